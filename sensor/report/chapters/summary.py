"""The first pages: what matters most, what must not be overlooked, what was looked at and how."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sensor.model import SEVERITIES
from sensor.report.blocks import Callout, Column, Heading, Numbers, Paragraph
from sensor.report.chapters.tables import EVIDENCE, NOTHING, finding_table, seconds_seen, table
from sensor.report.words import BLIND, count, duration, left_out, moment, share, sighted, were

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from sensor.report.blocks import Block
    from sensor.report.chapters.tables import Report

WORST_FINDINGS = 10
FULL = 990  # thousandths of a period; what is seen less is said first


def _warnings(report: Report) -> Iterator[Block]:
    ledger, coverage = report["ledger"], report["coverage"]
    if ledger is not None and ledger["verified"] is False:
        text = " ".join(["What follows rests on a ledger that does not verify.", *ledger["faults"][:EVIDENCE]])
        yield Callout("The ledger does not verify", text, "warning")
    if ledger is not None and ledger["unfit"]:
        text = f"{left_out(ledger['unfit'])}. What they would have said is not in this report."
        yield Callout("Entries of the ledger are left out", text, "warning")
    seconds = coverage["seconds"]
    if not sighted(report):
        why = "it was blind" if seconds["blind"] else "it did not run, or nothing was recorded"
        if report["source"]["kind"] == "captures":
            why = "the captures have no packet that is read"
        yield Callout(
            "Nothing was seen in this period",
            f"The sensor saw nothing at all: {why}. That no finding was opened says nothing about the network.",
            "warning",
        )
    elif not report["legs"]["total"]:
        yield Callout(
            "No call was seen in this period",
            f"The sensor could see for {duration(seconds_seen(report))}, and no leg of a call ended in it. "
            "That nothing was found in clear says nothing about calls.",
            "warning",
        )
    elif report["source"]["kind"] == "ledger" and coverage["share"] < FULL:
        yield Callout(
            "A part of the period was not seen",
            f"The sensor was blind or did not run for {duration(seconds['blind'] + seconds['not-running'])}. "
            "What happened then is not in this report.",
            "warning",
        )


def summary(report: Report) -> Iterator[Block]:
    """Return the first chapter: what matters most, and what must not be overlooked."""
    yield Heading("Summary")
    yield from _warnings(report)
    source, legs, findings = report["source"], report["legs"], report["findings"]
    states = legs["states"]
    seen = legs["total"] - states["not-observed"]
    standing = [finding for finding in findings if finding["state"] == "open"]
    grave = sum(finding["severity"] in ("high", "critical") for finding in standing)
    yield Numbers(
        (
            (share(states["encrypted"], seen), f"of {count(seen, 'leg')} seen were encrypted"),
            (str(states["clear"]), "legs in clear"),
            (str(states["undetermined"]), "legs undetermined"),
            (str(states["not-observed"]), "legs agreed, media not seen"),
            (str(grave), "open findings, high or critical"),
            (_share_seen(report), "of capture time" if source["kind"] == "captures" else "of the time seen"),
        )
    )
    if findings:
        yield Paragraph(_by_severity(findings))
        yield Heading("The gravest findings", 2)
        yield finding_table(
            [finding for finding in findings if finding["state"] != "resolved"][:WORST_FINDINGS]
            or findings[:WORST_FINDINGS]
        )
    else:
        yield Paragraph("No finding was open in this period." if sighted(report) else BLIND)
    yield Callout(
        "What this report is",
        "It says what packets showed at one place of the network. It passes no judgement on whether the organisation "
        "keeps a rule: that takes what no sensor sees. Each control says where the organisation's own statement "
        "belongs.",
    )


def _share_seen(report: Report) -> str:
    if report["source"]["kind"] == "captures":
        return duration(seconds_seen(report)) if seconds_seen(report) else "under a second"
    return f"{report['coverage']['share'] // 10}.{report['coverage']['share'] % 10} %"


def _by_severity(findings: Sequence[Mapping[str, Any]]) -> str:
    parts = []
    for severity in reversed(SEVERITIES):
        number = sum(finding["severity"] == severity for finding in findings)
        if number:
            parts.append(f"{number} {severity}")
    waived = sum(finding["state"] == "waived" for finding in findings)
    over = sum(finding["state"] == "resolved" for finding in findings)
    return (
        f"{count(len(findings), 'finding')} in the period: {', '.join(parts)}. "
        f"At its end {over} of them {were(over)} over and {waived} waived."
    )


def scope(report: Report) -> Iterator[Block]:
    """Return what was looked at, and how."""
    source = report["source"]
    yield Heading("Scope and method")
    if source["kind"] == "captures":
        yield Paragraph(
            "The report rests on capture files that somebody recorded and gave to legwatch. It can say nothing about "
            "calls that are not in them."
        )
        yield table(
            (
                Column("File", 4),
                Column("From (UTC)", 3),
                Column("Time", 2),
                Column("Packets", 2, numeric=True),
                Column("SHA-256", 5),
            ),
            [
                (
                    each["name"] + (f"\n{each['error']}" if each["error"] else ""),
                    moment(each["from"]) if each["from"] is not None else NOTHING,
                    duration((each["to"] - each["from"]) // 1000) if each["from"] is not None else NOTHING,
                    str(each["packets"]),
                    each["sha256"] or "not a file",
                )
                for each in source["files"]
            ],
            whole=True,  # they are the evidence
        )
    else:
        yield Paragraph(
            "A sensor on a mirror port of the network looked at copies of all packets that the switch gave it. It "
            "sends nothing, breaks no encryption and keeps no audio. What it saw it wrote into a ledger, in which "
            "verification shows a change."
        )
        yield table(
            (Column("Sensor", 3), Column("Site", 3), Column("Interface", 2), Column("legwatch", 2)),
            [(each["sensor"], each["site"], each["interface"], each["version"]) for each in source["sensors"]],
        )
    yield Paragraph(
        "For each stream of media legwatch asks how likely its octets would be under encryption and under each codec. "
        "Only packets decide: what signalling promises is compared with what was seen and never taken for it. A "
        "stream is called clear when encrypted octets would look like it once in 2^40 streams at most, and encrypted "
        "on the protocol's own evidence or where every codec was rejected. Everything else is called undetermined."
    )
    yield Paragraph(
        "A leg is the media of one dialogue between two endpoints; a call has one leg or several. Legs count in the "
        "period in which they ended. Telephone identities are keyed pseudonyms unless the operator revealed them."
    )
