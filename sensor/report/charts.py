"""Bars of protection by name and by week, and the strip of what was seen when.

A title is for those who do not see a picture, and is not drawn: the document's heading stands above it.
"""

from __future__ import annotations

from collections import Counter
from itertools import groupby
from typing import TYPE_CHECKING, Any, NamedTuple
from xml.etree import ElementTree as ET

from sensor.output.drawing import SOFT, document, fitted, path, sheet, text
from sensor.report.facts import DAY_MS
from sensor.report.palette import LOOKS, SIGHTS, STATES, area, legend
from sensor.report.words import count, day, duration, moment, share

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from sensor.output.drawing import Point

WIDTH = 720  # 11 units are 7.5 points on a page of the report
ROWS = 30  # bars of one chart; what there is beyond is said below
WEEKS = 54

_MARGIN, _NAME, _SAID = 12.0, 210.0, 130.0
_TOP, _ROW, _BAR = 12.0, 24.0, 14.0
_AXIS, _COLUMN = 160.0, 64.0
_HOUR_MS = 3_600_000
_STRIP, _CELL = 46.0, 14.0
_LEAST = 3.0  # of a bar, for what is too little to be seen


def states_by(title: str, rows: Sequence[Mapping[str, Any]]) -> str:
    """Return bars of the states of ``rows`` of a report object (``legs.by_segment`` and others), as SVG."""
    shown, more = rows[:ROWS], rows[ROWS:]
    notes = [f"and {len(more)} more, with {_counted(_sum(more))}"] if more else []
    if not rows:
        notes = ["No leg had an end there."]
    height = _TOP + _ROW * (len(shown) + len(notes)) + 44
    svg = sheet(WIDTH, height, title, ". ".join(f"{_label(row)}: {_counted(row['states'])}" for row in shown))
    whole = WIDTH - 2 * _MARGIN - _NAME - _SAID
    y = _TOP
    for row in shown:
        text(svg, _MARGIN, y + 11, fitted(_label(row), _NAME - 12, 11), size=11)
        _bar(svg, (_MARGIN + _NAME, y), whole, row["states"])
        # All counts are in the description, and in the table that stands below each of these in a report.
        said = f"{_share(row['states'])} of {sum(row['states'].values()) - row['states']['not-observed']}"
        text(svg, _MARGIN + _NAME + whole + 12, y + 11, fitted(said, _SAID - 12, 11), size=11)
        y += _ROW
    for note in notes:
        text(svg, _MARGIN, y + 11, fitted(note, WIDTH - 2 * _MARGIN, 11), size=11)
        y += _ROW
    legend(svg, _MARGIN, y + 20, LOOKS)
    return document(svg)


def trend(weeks: Sequence[Mapping[str, Any]]) -> str:
    """Return the states of ``legs.by_week`` of a report object as upright bars, each with its number of legs, as SVG.

    Heights are shares: a week with few calls is as high as one with many, and its number says which it is.
    """
    shown, former = weeks[-WEEKS:], weeks[:-WEEKS]
    height = _TOP + _AXIS + 88
    svg = sheet(WIDTH, height, "Legs by week", ". ".join(f"{row['name']}: {_counted(row['states'])}" for row in shown))
    left = _MARGIN + 44
    for percent in (0, 50, 100):
        y = _TOP + _AXIS * (1 - percent / 100)
        text(svg, left - 6, y + 4, f"{percent} %", size=10, fill=SOFT, anchor="end")
        path(svg, [(left, y), (WIDTH - _MARGIN, y)], stroke="#c8c8c8")
    step = min(_COLUMN, (WIDTH - _MARGIN - left) / max(len(shown), 1))
    free = left  # where the next label may begin: narrow bars would write over each other
    for number, row in enumerate(shown):
        x = left + number * step
        _upright(svg, x + step * 0.1, step * 0.8, row["states"])
        if x >= free and x + _COLUMN <= WIDTH:
            legs = str(sum(row["states"].values()))
            text(svg, x, _TOP + _AXIS + 15, fitted(row["name"], _COLUMN - 4, 10), size=10)
            text(svg, x, _TOP + _AXIS + 28, fitted(legs, _COLUMN - 4, 10), size=10, fill=SOFT)
            free = x + _COLUMN
    text(svg, left, _TOP + _AXIS + 44, "share of the week's legs; below each week their number", size=10, fill=SOFT)
    note = "No leg ended in the period." if not weeks else ""
    if former:
        note = f"and {count(len(former), 'week')} before, with {_counted(_sum(former))}"
    text(svg, left, _TOP + _AXIS + 60, fitted(note, WIDTH - left - _MARGIN, 10), size=10)
    legend(svg, _MARGIN, _TOP + _AXIS + 80, LOOKS)
    return document(svg)


class _Grid(NamedTuple):
    """How a period becomes lines of cells."""

    longest: int  # periods that it is for; all in milliseconds
    cell: int
    line: int  # cells
    mark: int  # cells from one label above to the next
    says: str


_GRIDS = (
    _Grid(26 * _HOUR_MS, 60_000, 60, 5, "A line is an hour, a cell a minute."),
    _Grid(40 * DAY_MS, _HOUR_MS, 24, 3, "A line is a day, a cell an hour."),
    _Grid(800 * DAY_MS, DAY_MS, 28, 7, "A line is four weeks, a cell a day."),
    _Grid(2**63, 7 * DAY_MS, 52, 4, "A line is 52 weeks, a cell one of them."),
)


def coverage_strip(first: int, last: int, spans: Sequence[Mapping[str, Any]]) -> str:
    """Return what was seen from ``first`` to ``last`` (ms since 1970, both included) as SVG.

    ``spans`` are those of ``coverage`` of a report object. A state fills its part of a cell, however short it
    was a part that can be noticed. What no span covers is drawn as not running.
    """
    end = last + 1
    grid = next(each for each in _GRIDS if end - first <= each.longest)
    start = first - first % min(grid.cell * grid.line, DAY_MS)
    cells = _cells(first, end, start, grid.cell, spans)
    lines = -(-len(cells) // grid.line)
    words = _sighted(sum(cells, Counter()))
    svg = sheet(WIDTH, _STRIP + lines * (_CELL + 3) + 50, "What was seen when", words)
    text(svg, _MARGIN, 18, fitted(words, WIDTH - 2 * _MARGIN, 11), size=11, fill=SOFT)
    left = _MARGIN + 112
    width = (WIDTH - _MARGIN - left) / grid.line
    if grid.cell < DAY_MS:
        for number in range(0, grid.line, grid.mark):
            text(svg, left + number * width, _STRIP - 6, f"{number:02d}", size=10, fill=SOFT)
    for line in range(lines):
        y = _STRIP + line * (_CELL + 3)
        at = start + line * grid.line * grid.cell
        text(svg, _MARGIN, y + 11, moment(at)[:16] if grid.cell < _HOUR_MS else day(at), size=10, fill=SOFT)
        column = 0
        # Cells that are the same from edge to edge are drawn as one: most of a month is.
        for same, run in groupby(cells[line * grid.line : (line + 1) * grid.line], key=_only):
            several = list(run)
            for piece in [several] if same else [[cell] for cell in several]:
                _cell(svg, (left + column * width, y), width * len(piece) - 1, sum(piece, Counter()))
                column += len(piece)
    y = _STRIP + lines * (_CELL + 3)
    text(svg, _MARGIN, y + 14, grid.says, size=10, fill=SOFT)
    legend(svg, _MARGIN, y + 38, SIGHTS)
    return document(svg)


def _cells(first: int, end: int, start: int, cell: int, spans: Sequence[Mapping[str, Any]]) -> list[Counter[str]]:
    """Return for each cell for how many milliseconds the sight was how."""
    cells: list[Counter[str]] = [Counter() for _ in range(-(-(end - start) // cell))]
    covered = first
    for span in spans:
        since, until = max(span["from"], covered), min(span["to"], end)
        if until > since:
            _spread(cells, covered - start, since - start, cell, "not-running")
            _spread(cells, since - start, until - start, cell, span["state"])
            covered = until
    _spread(cells, covered - start, end - start, cell, "not-running")
    return cells


def _spread(cells: list[Counter[str]], since: int, until: int, cell: int, state: str) -> None:
    while since < until:
        step = min((since // cell + 1) * cell, until) - since
        cells[since // cell][state] += step
        since += step


def _only(cell: Counter[str]) -> str:
    """Return the state of a cell that has only one, "" for others."""
    return next(iter(cell)) if len(cell) == 1 else ""


def _cell(svg: ET.Element, at: Point, width: float, cell: Counter[str]) -> None:
    """Draw a cell, the worst at the bottom."""
    if not cell.total():
        return  # before the period
    group = ET.SubElement(svg, "g")
    ET.SubElement(group, "title").text = _sighted(cell)
    y = at[1]
    for state, height in _parts({state: cell[state] for state in SIGHTS}, _CELL):
        area(group, at[0], y, (width, height), SIGHTS[state])
        y += height


def _sighted(sights: Counter[str]) -> str:
    return ", ".join(f"{state} {duration(sights[state] // 1000)}" for state in SIGHTS if sights[state])


def _bar(svg: ET.Element, at: Point, width: float, states: Mapping[str, int]) -> None:
    x = at[0]
    for state, part in _parts({state: states[state] for state in reversed(STATES)}, width):
        area(svg, x, at[1], (part, _BAR), LOOKS[state])
        x += part


def _upright(svg: ET.Element, x: float, width: float, states: Mapping[str, int]) -> None:
    y = _TOP + _AXIS
    for state, part in _parts({state: states[state] for state in reversed(STATES)}, _AXIS):
        y -= part
        area(svg, x, y, (width, part), LOOKS[state])


def _parts(amounts: Mapping[str, int], whole: float) -> Iterator[tuple[str, float]]:
    """Return how much of a bar each state has: one leg in clear among a million is to be seen."""
    total = sum(amounts.values())
    if not total:
        return
    parts = {state: max(amount / total * whole, _LEAST) for state, amount in amounts.items() if amount}
    largest = max(parts, key=lambda state: parts[state])
    parts[largest] -= sum(parts.values()) - whole
    yield from parts.items()


def _label(row: Mapping[str, Any]) -> str:
    return f"{row['label']} ({row['name']})" if row.get("label") else str(row["name"])


def _share(states: Mapping[str, int]) -> str:
    """Return the share that is encrypted of what was seen."""
    seen = sum(states.values()) - states["not-observed"]
    return share(states["encrypted"], seen)


def _counted(states: Mapping[str, int]) -> str:
    return ", ".join(f"{states[state]} {state}" for state in STATES if states[state]) or "no leg"


def _sum(rows: Sequence[Mapping[str, Any]]) -> Counter[str]:
    return sum((Counter(row["states"]) for row in rows), Counter())
