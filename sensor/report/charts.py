"""The charts of a report (SVG): states by name, by week, and what of the time was seen. Same looks as the call map."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple
from xml.etree import ElementTree as ET

from sensor.output import drawing
from sensor.output.drawing import GRID, INK, LOOKS, SOFT, box, fitted, mark, path, text
from sensor.output.signs import printable
from sensor.report.words import count, duration, moment, share

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from sensor.model import Protection

WIDTH = 960
MAX_ROWS = 24  # bars, beyond which the rest is one
MAX_COLUMNS = 53  # weeks, beyond which several are one column
MAX_LINES = 62  # of the strip of coverage

_MARGIN, _NAME, _FIGURES = 16, 230, 190  # left of a bar, right of it
_ROW, _BAR = 24, 15
_LEAST = 3.0  # a state that was seen at all is seen in the chart
_TREND, _SLOT = 150, 75  # height of a column, and its greatest width
_WEEK = 61  # width of its name
_DAY_MS = 86_400_000
_CELL = 2.0  # of the strip; the worst of its time
_STRIP_LEFT, _STRIP = 104, 11
# From the best to the worst: of one cell, the last one that was
_SIGHT = {
    "seen": "seen",
    "degraded": "degraded: seen with losses or limits",
    "not-running": "not running, or nothing recorded",
    "blind": "blind: running, and not seeing",
}
_SIGHT_COLOURS = {"seen": "#9ecae1", "degraded": "#e69f00", "not-running": "#6b6b6b", "blind": "#7a0019"}
_ORDER: tuple[Protection, ...] = ("encrypted", "clear", "undetermined", "not-observed")


class Row(NamedTuple):
    """How many legs were so, by state, of what has a name."""

    name: str
    states: Mapping[str, int]


class Span(NamedTuple):
    """A time in which the sensor's sight was the same; milliseconds since 1970, ``last`` is in it."""

    first: int
    last: int
    state: str


def states_by(title: str, rows: Sequence[Row], *, name: str) -> str:
    """Return stacked bars, one for each row in the order given, each the whole of its legs.

    Rows beyond ``MAX_ROWS`` are one bar together. ``name`` keeps the picture apart from others in the same document.
    """
    shown = list(rows[:MAX_ROWS])
    if rest := rows[MAX_ROWS:]:
        states: Counter[str] = Counter()
        for row in rest:
            states.update(row.states)
        shown.append(Row(f"and {len(rest)} more", states))
    top = 36
    height = top + len(shown) * _ROW + 34
    said = "; ".join(f"{row.name}: {_all(row.states)}" for row in shown)
    svg = drawing.sheet(name, title, said or "No leg was seen.", (WIDTH, height))
    text(svg, _MARGIN, 20, fitted(title, 14, WIDTH - 2 * _MARGIN, bold=True), size=14, weight="bold")
    left, right = _MARGIN + _NAME, WIDTH - _MARGIN - _FIGURES
    for number, row in enumerate(shown):
        y = top + number * _ROW
        group = ET.SubElement(svg, "g")
        ET.SubElement(group, "title").text = f"{printable(row.name)}: {_all(row.states)}"
        text(group, left - 8, y + 12, fitted(row.name, 12, _NAME - 8), size=12, anchor="end")
        _draw_bar(group, left, y, right - left, row.states)
        text(group, right + 8, y + 12, fitted(_figures(row.states), 12, _FIGURES - 8), size=12)
    _draw_legend(svg, top + len(shown) * _ROW + 18)
    return drawing.written(svg)


def _all(states: Mapping[str, int]) -> str:
    return ", ".join(f"{states[state]} {LOOKS[state].word}" for state in _ORDER if states.get(state)) or "no leg"


def _figures(states: Mapping[str, int]) -> str:
    """Return the share of encrypted legs among those that were seen."""
    seen = sum(states.values()) - states.get("not-observed", 0)
    return f"{states.get('encrypted', 0)} of {seen}, {share(states.get('encrypted', 0), seen)}" if seen else "none seen"


def _lengths(states: Mapping[str, int], whole: float) -> list[tuple[Protection, float]]:
    """Return how long each state's part is: none that was seen is too short to be seen."""
    total = sum(states.values())
    parts = [(state, states[state]) for state in _ORDER if states.get(state)]
    room = whole - _LEAST * len(parts)
    return [(state, _LEAST + room * number / total) for state, number in parts]


def _draw_bar(group: ET.Element, x: float, y: float, width: float, states: Mapping[str, int]) -> None:
    for state, length in _lengths(states, width):
        _fill(group, (x, y), (length, _BAR), state)
        x += length


def _fill(group: ET.Element, at: tuple[float, float], size: tuple[float, float], state: Protection) -> None:
    """Fill a rectangle so that its state is known without colour: full, hatched upright, hatched across, empty."""
    (x, y), (width, height) = at, size
    colour = LOOKS[state].colour
    hollow = state == "not-observed"
    box(group, at, size, fill="#ffffff" if hollow else colour, stroke=colour if hollow else "none")
    upright = [x + n * 5 for n in range(1, int(width / 5) + 1) if n * 5 < width - 1]
    across = [y + n * 4 for n in range(1, int(height / 4) + 1) if n * 4 < height - 1]
    if state == "clear" and upright:
        _hatch(group, [f"M{at_x:.1f} {y:.1f} V{y + height:.1f}" for at_x in upright])
    elif state == "undetermined" and across:
        _hatch(group, [f"M{x:.1f} {at_y:.1f} H{x + width:.1f}" for at_y in across])


def _hatch(group: ET.Element, ways: Iterable[str]) -> None:
    drawing.trace(group, " ".join(ways), stroke="#ffffff", width=1.2)


def _draw_legend(svg: ET.Element, y: float) -> None:
    x = float(_MARGIN)
    for state in _ORDER:
        _fill(svg, (x, y - 10), (34, 12), state)
        mark(svg, x + 46, y - 4, state)
        text(svg, x + 58, y, LOOKS[state].word, size=12)
        x += 190


def trend(weeks: Sequence[Row], *, name: str) -> str:
    """Return a column for each week ("2026-W05"), or for several where there are many; none for one without legs."""
    columns = _columns(weeks)
    top, left = 36, 60
    bottom = top + _TREND
    each = count(columns[0].weeks, "week") if columns else "week"
    title = f"Legs by state, {each} a column" if columns and columns[0].weeks > 1 else "Legs by state, week by week"
    said = "; ".join(f"{column.name}: {_all(column.states)}" for column in columns if column.states)
    svg = drawing.sheet(name, title, said or "No leg was seen.", (WIDTH, bottom + 66))
    text(svg, _MARGIN, 20, title, size=14, weight="bold")
    for percent in (0, 50, 100):
        y = bottom - percent * _TREND / 100
        path(svg, [(left, y), (WIDTH - _MARGIN, y)], stroke=GRID)
        text(svg, left - 8, y + 4, f"{percent} %", size=11, anchor="end", fill=SOFT)
    slot = min(_SLOT, (WIDTH - _MARGIN - left) / max(1, len(columns)))
    step = -(-len(columns) // 12) or 1  # twelve names have room
    for number, column in enumerate(columns):
        x = left + number * slot
        group = ET.SubElement(svg, "g")
        ET.SubElement(group, "title").text = f"{column.name}: {_all(column.states)}"
        y = float(bottom)
        for state, length in _lengths(column.states, _TREND):
            y -= length
            _fill(group, (x + slot * 0.1, y), (slot * 0.8, length), state)
        if number % step == 0 and x <= WIDTH - _MARGIN - _WEEK:
            text(group, x, bottom + 16, column.name, size=11, fill=SOFT)
    _draw_legend(svg, bottom + 46)
    return drawing.written(svg)


class _Column(NamedTuple):
    name: str
    weeks: int
    states: Counter[str]


def _columns(weeks: Sequence[Row]) -> list[_Column]:
    """Return all weeks from the first to the last, also those without legs, so that time is even."""
    by_day: dict[date, Counter[str]] = {}
    for week in weeks:
        year, _, number = week.name.partition("-W")
        by_day.setdefault(date.fromisocalendar(int(year), int(number), 1), Counter()).update(week.states)
    if not by_day:
        return []
    first, last = min(by_day), max(by_day)
    every = [first + timedelta(weeks=n) for n in range((last - first).days // 7 + 1)]
    size = -(-len(every) // MAX_COLUMNS)
    columns = []
    for begin in range(0, len(every), size):
        states: Counter[str] = Counter()
        for day in every[begin : begin + size]:
            states.update(by_day.get(day, {}))
        columns.append(_Column(f"{every[begin]:%G-W%V}", size, states))
    return columns


class _Scale(NamedTuple):
    """How time lies on the lines of the strip."""

    origin: int  # ms since 1970 at which the first line begins
    length: int  # of a line, ms
    lines: int
    says: str
    ticks: tuple[tuple[float, str], ...]  # where on a line, 0 to 1


def coverage_strip(spans: Sequence[Span], first: int, last: int, *, name: str) -> str:
    """Return what of the time from ``first`` to ``last`` (ms, both in it) was seen, a day, a week or weeks a line.

    A cell shows the worst of its time, however short that was. Where nothing is drawn nothing is known.
    """
    scale = _scale(first, last)
    top = 54
    bottom = top + scale.lines * (_STRIP + 4)
    width = WIDTH - _MARGIN - _STRIP_LEFT
    cells = int(width / _CELL)
    spans = [Span(max(span.first, first), min(span.last, last), span.state) for span in spans]
    worst = _cells(spans, scale, cells)
    title = f"What was seen, from {moment(first)} to {moment(last)} UTC"
    said = f"{scale.says} a line. {_told(spans)}"
    svg = drawing.sheet(name, title, said, (WIDTH, bottom + 50))
    text(svg, _MARGIN, 20, fitted(f"{title}, {scale.says} a line", 14, WIDTH - 32, bold=True), size=14, weight="bold")
    for share_, label in scale.ticks:
        x = _STRIP_LEFT + share_ * width
        path(svg, [(x, top - 6), (x, bottom)], stroke=GRID)
        text(svg, x, top - 10, label, size=11, fill=SOFT)
    for line in range(scale.lines):
        y = top + line * (_STRIP + 4)
        begins = datetime.fromtimestamp((scale.origin + line * scale.length) // 1000, UTC)
        text(svg, _STRIP_LEFT - 8, y + 9, f"{begins:%Y-%m-%d}", size=10, anchor="end", fill=SOFT)
        for begin, end, state in _runs(worst[line * cells : (line + 1) * cells]):
            at, size = (_STRIP_LEFT + begin * _CELL, float(y)), ((end - begin) * _CELL, float(_STRIP))
            _draw_sight(svg, at, size, state)
    x = float(_MARGIN)
    for state, words in _SIGHT.items():
        _draw_sight(svg, (x, bottom + 18.0), (24.0, float(_STRIP)), state)
        text(svg, x + 30, bottom + 28, words, size=11)
        x += 30 + drawing.width_of(words, 11) + 12
    return drawing.written(svg)


def _scale(first: int, last: int) -> _Scale:
    day = first // _DAY_MS * _DAY_MS
    days = (last - day) // _DAY_MS + 1
    if days <= MAX_LINES:
        hours = tuple((hour / 24, f"{hour:02d}:00") for hour in range(0, 24, 3))
        return _Scale(day, _DAY_MS, days, "a day", hours)
    monday = day - (datetime.fromtimestamp(day // 1000, UTC).weekday()) * _DAY_MS
    weeks = (last - monday) // (7 * _DAY_MS) + 1
    size = -(-weeks // MAX_LINES)
    if size == 1:
        names = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
        return _Scale(monday, 7 * _DAY_MS, weeks, "a week", tuple((n / 7, name) for n, name in enumerate(names)))
    ticks = tuple((n / size, f"week {n + 1}") for n in range(0, size, -(-size // 8)))
    return _Scale(monday, size * 7 * _DAY_MS, -(-weeks // size), f"{size} weeks", ticks)


def _cells(spans: Iterable[Span], scale: _Scale, cells: int) -> list[str]:
    """Return the worst that was in each cell, "" where nothing is known."""
    order = ("", *_SIGHT)
    rank = {state: number for number, state in enumerate(order)}
    found = [0] * (cells * scale.lines)
    for first, last, state in spans:
        if first > last:
            continue
        low = (first - scale.origin) * cells // scale.length
        high = max(low, (last - 1 - scale.origin) * cells // scale.length)  # the end may be the next one's begin
        for cell in range(low, min(high, len(found) - 1) + 1):
            found[cell] = max(found[cell], rank[state])
    return [order[number] for number in found]


def _runs(cells: Sequence[str]) -> Iterator[tuple[int, int, str]]:
    begin = 0
    for at in range(1, len(cells) + 1):
        if at == len(cells) or cells[at] != cells[begin]:
            if cells[begin]:
                yield begin, at, cells[begin]
            begin = at


def _told(spans: Iterable[Span]) -> str:
    known: Counter[str] = Counter()
    for first, last, state in spans:
        known[state] += max(0, last - first)
    return ", ".join(f"{state}: {duration(known[state] // 1000)}" for state in _SIGHT if known[state]) or "Nothing."


def _draw_sight(svg: ET.Element, at: tuple[float, float], size: tuple[float, float], state: str) -> None:
    """Draw a time so that its state is known without colour: low is worse, and a line in it is less than full."""
    (x, y), (width, height) = at, size
    colour = _SIGHT_COLOURS[state]
    if state == "not-running":
        box(svg, (x, y + height - 2), (width, 2), fill=colour)
        return
    box(svg, at, size, fill=colour)
    if state == "degraded":
        path(svg, [(x, y + height / 2), (x + width, y + height / 2)], stroke=INK, width=2)
