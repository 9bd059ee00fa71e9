"""What was seen, what was not, and why."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sensor.report import charts
from sensor.report.blocks import Column, Figure, Heading, Items, Paragraph
from sensor.report.chapters.tables import finding_table, table
from sensor.report.words import BLIND, count, duration, moment, share, sighted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sensor.report.blocks import Block
    from sensor.report.chapters.tables import Report

SENSOR = "sensor-"  # codes of findings about the sensor itself begin so


def coverage(report: Report) -> Iterator[Block]:
    """Return what was seen, what was not, and why."""
    coverage, legs = report["coverage"], report["legs"]
    yield Heading("Coverage: what was seen, and what was not")
    seconds = coverage["seconds"]
    total = sum(seconds.values())
    yield table(
        (Column("The sensor's sight", 3), Column("Time", 3), Column("Share", 1, numeric=True)),
        [(label, duration(seconds[state]), share(seconds[state], total)) for state, label in _SIGHT],
    )
    if report["source"]["kind"] == "ledger":  # of the time between captures nothing is said
        first, last = report["period"]["from"], report["period"]["to"]
        yield Figure(
            charts.coverage_strip(first, last, coverage["spans"]),
            f"What was seen from {moment(first)} to {moment(last)}, in time: the table above in a picture.",
            "What was seen when (UTC)",
        )
    if coverage["reasons"]:
        yield Paragraph("Why sight was degraded or lost, with the time for which each held:")
        yield table(
            (Column("Reason", 4), Column("Time", 2)),
            [(each["reason"], duration(each["seconds"])) for each in coverage["reasons"]],
        )
    if coverage["gaps"]:
        yield Paragraph("Times of which nothing is known, or of which entries are missing:")
        yield table(
            (Column("From (UTC)", 2), Column("To (UTC)", 2), Column("Time", 2), Column("Why", 4)),
            [
                (moment(gap["from"]), moment(gap["to"]), duration((gap["to"] - gap["from"]) // 1000), gap["why"])
                for gap in coverage["gaps"]
            ],
        )
    if coverage["recovered"]:
        yield Paragraph(
            f"The sensor started {count(coverage['starts'], 'time')} in the period. "
            f"{count(coverage['recovered'], 'start')} found the end of the ledger torn, by a loss of power or a crash: "
            "what was not whole was cut off, a second at most, and that is recorded."
        )
    if coverage["clock"]:
        yield Paragraph("The sensor's clock:")
        yield table(
            (Column("When (UTC)", 2), Column("What", 5)),
            [(moment(each["time"]), each["what"]) for each in coverage["clock"]],
        )
    if coverage["account"]:
        yield Paragraph("What became of the packets:")
        yield table(
            (Column("Packets", 3), Column("Number", 2, numeric=True)),
            [(_ACCOUNT.get(name, name), f"{number:,}") for name, number in coverage["account"].items()],
        )
    states = legs["states"]
    yield Heading("Legs that were not assessed", 2)
    if not legs["total"]:
        yield Paragraph("No leg ended in the period." if sighted(report) else BLIND)
        return
    yield Items(
        (
            f"{states['undetermined']} of {legs['total']} legs are undetermined: packets were seen and do not say.",
            (
                f"{states['not-observed']} of {legs['total']} were agreed in "
                "signalling, and no packet of their media came here."
            ),
            (
                f"{legs['partly']} of {legs['total']} were well observed for a part of "
                "their time only; the rest of it is not vouched for."
            ),
        )
    )
    health = [finding for finding in report["findings"] if finding["code"].startswith(SENSOR)]
    if health:
        yield Paragraph("Findings about the sensor itself:")
        yield finding_table(health)


_SIGHT = (
    ("seen", "seen: nothing was missing that would show"),
    ("degraded", "degraded: seen with losses or limits"),
    ("blind", "blind: running, and not seeing"),
    ("not-running", "not running, or nothing recorded"),
)
_ACCOUNT = {
    "received": "received",
    "classified": "read",
    "ignored": "no part of what is looked at",
    "malformed": "malformed",
    "shed": "left out under overload",
    "kernel_drops": "dropped by the kernel",
    "gaps": "missing at the mirror",
    "duplicates": "given twice",
    "one_way": "of one direction only",
}
