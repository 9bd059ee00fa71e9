"""Tables that several chapters have, and how long they may be."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sensor.report.blocks import Column, Paragraph, Table
from sensor.report.words import BLIND, moment, share, sighted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from sensor.report.blocks import Block

Report = dict[str, Any]

NOTHING = "\u2013"  # a cell without anything to say
ROWS = 40  # of a table, beyond which the rest is in the JSON
EVIDENCE = 3  # statements of a finding
LONG = 400  # letters of a statement


def seconds_seen(report: Report) -> int:
    """Return for how many seconds anything was seen."""
    seconds = report["coverage"]["seconds"]
    return int(seconds["seen"] + seconds["degraded"])


def about(report: Report, of: Callable[[str], bool], otherwise: str) -> Iterator[Block]:
    """Return the findings of some codes; where there is none, ``otherwise`` in words, unless nobody could see."""
    found = [finding for finding in report["findings"] if of(finding["code"])]
    yield finding_table(found) if found else Paragraph(otherwise if sighted(report) else BLIND)


def finding_table(findings: Sequence[Mapping[str, Any]]) -> Table:
    """Return findings with their evidence."""
    return table(
        (
            Column("Severity", 2),
            Column("Finding", 4),
            Column("Subject", 4),
            Column("Evidence", 7),
            Column("Seen (UTC)", 4),
        ),
        [
            (
                finding["severity"] + ("" if finding["state"] == "open" else f"\n{finding['state']}"),
                f"{finding['title']}\n{finding['code']}",
                _subject(finding["subject"]),
                "\n".join(filter(None, (*map(short, finding["evidence"][-EVIDENCE:]), waiver_of(finding)))),
                "\n".join(_times(finding)),
            )
            for finding in findings
        ],
    )


def waiver_of(finding: Mapping[str, Any]) -> str:
    """Return in words who waived a finding, "" where nobody did."""
    if not finding["waived_by"]:
        return ""
    return f"{'Waived' if finding['state'] == 'waived' else 'Was waived'} by {finding['waived_by']}"


def _times(finding: Mapping[str, Any]) -> Iterator[str]:
    yield from dict.fromkeys((moment(finding["first"]), moment(finding["last"])))
    if finding["over"] is not None:
        yield f"over {moment(finding['over'])}"


def _subject(subject: Mapping[str, str]) -> str:
    if subject["b"]:
        return f"{subject['a']}\n{subject['b']}"
    return " ".join(filter(None, (subject["a"] or subject["kind"], subject["name"])))


def short(text: str) -> str:
    """Return a statement, cut off where it is long."""
    return text if len(text) <= LONG else f"{text[:LONG]}…"


def table(columns: tuple[Column, ...], rows: Sequence[tuple[str, ...]], *, whole: bool = False) -> Table:
    """Return a table with as many rows as a document has room for; all of them where it is ``whole``."""
    shown = len(rows) if whole else ROWS
    return Table(columns, tuple(rows[:shown]), max(len(rows) - shown, 0))


def verified(ledger: Mapping[str, Any]) -> str:
    """Return in words whether a ledger was verified."""
    if ledger["verified"] is None:
        return "no: no public key was given"
    return "yes" if ledger["verified"] else "it does not verify; see Evidence and its verification"


def share_of(states: Mapping[str, int]) -> str:
    """Return the share of encrypted legs among those whose media were seen."""
    return share(states["encrypted"], states["encrypted"] + states["clear"] + states["undetermined"])
