"""The rule, control by control; the evidence and its verification; what words mean."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sensor.report.blocks import Callout, Code, Column, Heading, Items, Paragraph
from sensor.report.chapters.tables import ROWS, finding_table, table, verified
from sensor.report.controls import ABOUT, NOTES
from sensor.report.words import BLIND, count, left_out, sighted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sensor.report.blocks import Block
    from sensor.report.chapters.tables import Report

GLOSSARY = (
    ("encrypted", "Packets showed it: by the protocol's own evidence, or because no codec fits and the bits are even."),
    ("clear", "The payload has a codec's structure, which encrypted octets have once in 2^40 streams at most."),
    (
        "undetermined",
        "Packets were seen and do not say: too few, or too even for a codec and without proof of a cipher.",
    ),
    ("not-observed", "Media were agreed in signalling and no packet of them came to the sensor."),
)


def controls(report: Report) -> Iterator[Block]:
    """Return the rule, control by control."""
    yield Heading("Control by control")
    yield Callout(f"Profile {report['profile']}", ABOUT[report["profile"]])
    for control in report["controls"]:
        yield Heading(f"{control['control']} {control['title']}", 2)
        yield Paragraph(f"Status: {control['status']}.")
        yield Heading("What the evidence supports", 3)
        yield Items(tuple(control["supports"]) or ("Nothing was seen that would bear on it.",))
        yield Heading("What the evidence contradicts", 3)
        if control["contradicts"]:
            yield table(
                (
                    Column("Finding", 6),
                    Column("Severity", 2),
                    Column("In the period", 2, numeric=True),
                    Column("Open", 2, numeric=True),
                    Column("Waived", 2, numeric=True),
                ),
                [
                    (
                        f"{each['title']} ({each['code']})",
                        each["severity"],
                        str(each["findings"]),
                        str(each["open"]),
                        str(each["waived"]),
                    )
                    for each in control["contradicts"]
                ],
            )
        else:
            yield Paragraph("No finding bears on it." if sighted(report) else BLIND)
        yield Heading("What a network sensor cannot see", 3)
        yield Items(tuple(control["not_seen"]))
        yield Heading("The organisation's own statement", 3)
        if control["attestations"]:
            for each in control["attestations"]:
                file = (
                    f" File: {each['file']}" + (f", SHA-256 {each['sha256']}" if each.get("sha256") else "")
                    if each.get("file")
                    else ""
                )
                yield Paragraph(f"{each['statement']} ({each['by']}, {each['on']}).{file}")
        else:
            yield Paragraph("[ to be attached: none is in the policy's attestations ]")
    yield Heading("Notes", 2)
    yield Items(NOTES)


def evidence(report: Report) -> Iterator[Block]:
    """Return what the report rests on, and how to verify it."""
    yield Heading("Evidence and its verification")
    ledger = report["ledger"]
    if ledger is None:
        yield Paragraph(
            "The evidence are the capture files named under Scope and method, with their SHA-256. Who has them can "
            "make this report again."
        )
        return
    yield Paragraph(
        f"Ledger {ledger['origin']}: {count(ledger['size'], 'signed entry', 'signed entries')}, "
        f"{ledger['entries']} written in the period. Verified: {verified(ledger)}."
    )
    if ledger["faults"]:
        yield Items(tuple(ledger["faults"][:ROWS]))
    if ledger["unfit"]:
        yield Paragraph(f"{left_out(ledger['unfit'])}.")
    if ledger["checkpoint"]:
        yield Paragraph(
            "The newest signed checkpoint. Hold it against the copies that are kept where the sensor cannot write:"
        )
        yield Code(ledger["checkpoint"])
    yield Paragraph("To verify it without legwatch, with one file that imports nothing of it:")
    yield Code(ledger["command"])


def all_findings(report: Report) -> Iterator[Block]:
    """Return all findings."""
    yield Heading("All findings")
    if report["findings"]:
        yield finding_table(report["findings"])
    else:
        yield Paragraph("None was open in the period.")


def glossary(report: Report) -> Iterator[Block]:  # noqa: ARG001
    """Return what the states mean."""
    yield Heading("The four states")
    yield table((Column("State", 2), Column("What it means", 8)), list(GLOSSARY))
