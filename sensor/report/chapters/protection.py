"""How much of the calls was protected, and which paths were not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sensor.report import callmap, charts
from sensor.report.blocks import Column, Figure, Heading, Paragraph
from sensor.report.chapters.tables import NOTHING, share_of, short, table, waiver_of
from sensor.report.facts import STATES
from sensor.report.words import BLIND, count, moment, sighted

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from sensor.report.blocks import Block
    from sensor.report.chapters.tables import Report


def protected(report: Report) -> Iterator[Block]:
    """Return the shares of legs protected."""
    legs = report["legs"]
    yield Heading("Legs protected, by segment, trunk, device and week")
    if not legs["total"]:
        yield Paragraph("No leg ended in the period, so there is nothing to count." if sighted(report) else BLIND)
        return
    yield Paragraph(
        "A leg between two segments counts in both. The share is that of encrypted legs among those whose media were "
        "seen."
    )
    recordings = sum(legs["recordings"].values())
    if recordings:
        clear = legs["recordings"]["clear"]
        yield Paragraph(f"{count(recordings, 'leg')} of recording sessions (SIPREC), {clear} of them in clear.")
    for title, rows, what in (
        ("By segment", legs["by_segment"], "Segment"),
        ("By trunk", legs["by_trunk"], "Trunk or vendor"),
        ("By device", legs["by_device"], "Device"),
        ("By week", legs["by_week"], "Week"),
    ):
        yield Heading(title, 2)
        if not rows:
            yield Paragraph("No leg had an end there.")
            continue
        picture = charts.trend(rows) if what == "Week" else charts.states_by(title, rows)
        yield Figure(picture, f"Bars of the table below: {title.lower()}.", f"Legs by state, {title.lower()}")
        yield table(
            (
                *(Column(what, 4), Column("Share", 2, numeric=True), Column("Encrypted", 2, numeric=True)),
                *(
                    Column("Clear", 2, numeric=True),
                    Column("Undet.", 2, numeric=True),
                    Column("Not seen", 2, numeric=True),
                ),
            ),
            [
                (_labelled(row), share_of(row["states"]), *(str(row["states"][state]) for state in STATES))
                for row in rows
            ],
        )


def _labelled(row: Mapping[str, Any]) -> str:
    label = row.get("label", "")
    return f"{row['name']} ({label})" if label else row["name"]


def call_map(report: Report) -> Iterator[Block]:
    """Return the map of call paths."""
    yield Heading("Call map")
    if not report["paths"]:
        yield Paragraph("No path between hosts was seen in the period." if sighted(report) else BLIND)
        return
    clear = sum(1 for path in report["paths"] if _in_clear(path))
    yield Figure(
        callmap.draw(report["paths"], report["segments"]),
        f"{count(len(report['paths']), 'path')} between hosts by segment, {clear} of them with media or signalling in "
        "clear; the next chapter lists those.",
        "Segments, hosts, and what was seen between them. All paths are in the attached JSON.",
    )


def _in_clear(path: Mapping[str, Any]) -> bool:
    return bool(path["media"]["clear"] or path["signalling"]["clear"])


def unprotected(report: Report) -> Iterator[Block]:
    """Return each path in clear with its evidence."""
    yield Heading("Unprotected paths, each with its evidence")
    order = {finding["id"]: number for number, finding in enumerate(report["findings"])}  # the gravest first
    paths = [path for path in report["paths"] if _in_clear(path)]
    if not paths:
        if report["paths"]:
            yield Paragraph("No path was seen with media or signalling in clear.")
        else:
            yield Paragraph("No path between hosts was seen in the period." if sighted(report) else BLIND)
        return
    yield Paragraph(
        f"{count(len(paths), 'path')} of {len(report['paths'])} had media or signalling in clear, the worst first."
    )
    yield table(
        (Column("Path", 5), Column("Media", 3), Column("Signalling", 3), Column("Evidence", 11)),
        [
            (
                f"{_end(path, 0)}\n{_end(path, 1)}",
                _counted(path["media"]),
                _counted(path["signalling"]),
                "\n".join(
                    _statement(report["findings"][number])
                    for number in sorted(map(order.__getitem__, path["findings"]))
                )
                or "Its legs, as counted here; no finding was open.",
            )
            for path in paths
        ],
        whole=True,  # each of them is what somebody has to do something about
    )


def _end(path: Mapping[str, Any], end: int) -> str:
    name = path[("a_name", "b_name")[end]]
    address = path[("a", "b")[end]]
    return f"{address} ({name}, {path['segments'][end]})" if name else f"{address} ({path['segments'][end]})"


def _counted(states: Mapping[str, int]) -> str:
    return (
        "\n".join(
            f"{states[state]} {state}"
            for state in ("clear", "undetermined", "encrypted", "not-observed")
            if states[state]
        )
        or NOTHING
    )


def _statement(finding: Mapping[str, Any]) -> str:
    evidence = short(finding["evidence"][-1]) if finding["evidence"] else ""
    over = f"Over {moment(finding['over'])}" if finding["over"] is not None else ""
    said = ". ".join(filter(None, (evidence, waiver_of(finding), over)))
    return f"[{finding['severity']}] {finding['title']}: {said}"
