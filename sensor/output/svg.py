"""``explain --svg``: the evidence for the verdict on one flow as a plot that stands by itself in a report."""

from __future__ import annotations

from math import ceil, floor, log10
from typing import TYPE_CHECKING, NamedTuple
from xml.etree import ElementTree as ET

from fastpath import __version__
from sensor.output.drawing import GRID, SOFT, document, path, sheet, text
from sensor.output.evidence import State, bound, ends, name_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from fastpath.records import Evidence, Verdict
    from sensor.output.drawing import Point
    from sensor.output.evidence import Course, Explanation

WIDTH = 960
MAX_CURVES = 6  # more in one plot nobody tells apart

_LEFT, _RIGHT, _TOP, _PANEL, _GAP = 84, 24, 106, 220, 64
_LEGEND_LINE, _LABEL_LINE, _LABEL_ROOM = 38, 16, 220
_LONG = 70  # letters of a heading, beyond which it is set smaller: two IPv6 addresses
_MAX_SAID = 3  # verdicts on one stream that the legend has room for
_LEAST_PACKETS = 10
_DENSE = 80  # packets from which on markers would hide a curve
# Told apart by eyes that do not see all colours (Okabe and Ito), and in print by marker and dashes.
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#5c4b00", "#56b4e9")
_DASHES = ("", "7 3", "2 3", "9 3 2 3", "12 4", "4 4")
_THRESHOLD = "#b00020"


class _Panel(NamedTuple):
    """One of the two diagrams: what it shows of a packet, and where it decides."""

    title: str
    axis: str
    value: Callable[[Evidence], float | None]
    threshold: float
    says: str


class _Frame(NamedTuple):
    """Where a diagram lies on the sheet and what its axes span."""

    top: float
    last: int
    low: float
    high: float
    strip: float  # above it, for the names of verdicts

    def x(self, packet: float) -> float:
        return _LEFT + (packet - 0.5) / self.last * (WIDTH - _LEFT - _RIGHT)

    def y(self, bits: float) -> float:
        return self.top + (self.high - bits) / (self.high - self.low) * _PANEL

    @property
    def bottom(self) -> float:
        return self.top + _PANEL


def draw(explanation: Explanation) -> str:
    """Return the plot as a document of SVG 1.1 that needs nothing else."""
    flow, courses, thresholds = explanation
    courses = courses[:MAX_CURVES]
    last = _last_packet(courses)
    panels = [
        _Panel(
            "Evidence that the media are in clear",
            "evidence, bits",
            lambda packet: packet.clear_bits,
            thresholds.clear,
            f"clear from {thresholds.clear:g} bits on: probability under encryption at most "
            f"2^-{thresholds.clear:g} = 10^{-thresholds.clear * log10(2):.1f}",
        ),
        _Panel(
            "Fit of the codec that is hardest to reject, of those being asked",
            "fit, bits",
            lambda packet: packet.fit_bits,
            thresholds.reject,
            f"rejected at {thresholds.reject:g} bits",
        ),
    ]
    if not any(_curves(course, panels[1], last) for course in courses):
        del panels[1]
    strip = _LABEL_LINE * len(courses)
    legend_top = _TOP + strip + len(panels) * (_PANEL + _GAP) + 8
    height = legend_top + _LEGEND_LINE * len(courses) + 28
    a, b = ends(flow)
    state = State(flow.protection, flow.grade, flow.basis)
    heading = f"Flow {flow.flow}: {a} ↔ {b}"
    svg = sheet(WIDTH, height, f"Evidence for the verdict on {heading}: {state}", _description(explanation))
    text(svg, 24, 36, heading, size=20 if len(heading) <= _LONG else 13, weight="bold")
    text(svg, 24, 62, str(state), size=15, fill=SOFT)
    for number, panel in enumerate(panels):
        top = _TOP + strip + number * (_PANEL + _GAP)
        _draw_panel(svg, panel, courses, _Frame(top, last, 0, 0, strip if number == 0 else 0))
    _draw_legend(svg, explanation, courses, legend_top)
    return document(svg)


def _description(explanation: Explanation) -> str:
    return ". ".join(f"{_name(explanation, course)}: {_said(course)}" for course in explanation.courses) + "."


def _name(explanation: Explanation, course: Course) -> str:
    codec = f", {course.stats.codec}" if course.stats.codec else ""
    return name_of(explanation.flow, course.stats) + codec


def _said(course: Course) -> str:
    if not course.verdicts:
        return f"{course.stats.protection}, no verdict"
    more = f", then {len(course.verdicts) - _MAX_SAID} more" if len(course.verdicts) > _MAX_SAID else ""
    return ", ".join(map(_decision, course.verdicts[:_MAX_SAID])) + more


def _decision(verdict: Verdict) -> str:
    limit = f" (\u2264 {bound(verdict)})" if bound(verdict) else ""
    return f"{verdict.protection} at packet {verdict.packet}{limit}"


def _last_packet(courses: Sequence[Course]) -> int:
    """As far as something is decided and as far again: what is settled for long shows nothing new."""
    shown = max((step.packet.packet for course in courses for step in course.steps), default=1)
    decided = [step.packet.packet for course in courses for step in course.steps if step.verdict]
    return max(_LEAST_PACKETS, min(shown, 2 * max(decided)) if decided else shown)


def _curves(course: Course, panel: _Panel, last: int) -> list[list[Point]]:
    """The pieces of a stream's curve: where the test began anew, another one begins."""
    pieces: list[list[Point]] = []
    scored = 0
    for step in course.steps:
        packet = step.packet
        value = panel.value(packet)
        if value is None or packet.packet > last:
            continue
        if not pieces or packet.scored <= scored:
            pieces.append([])
        scored = packet.scored
        pieces[-1].append((packet.packet, value))
    return pieces


def _draw_panel(svg: ET.Element, panel: _Panel, courses: Sequence[Course], sheet: _Frame) -> None:
    drawn = [_curves(course, panel, sheet.last) for course in courses]
    values = [value for pieces in drawn for piece in pieces for _, value in piece]
    ticks = _ticks(min([0.0, panel.threshold, *values]), max([0.0, panel.threshold, *values]))
    frame = sheet._replace(low=ticks[0], high=ticks[-1])
    group = ET.SubElement(svg, "g")
    text(group, _LEFT, frame.top - frame.strip - 10, panel.title, size=14, weight="bold")
    _draw_axes(group, frame, ticks, panel.axis)
    y = frame.y(panel.threshold)
    path(group, [(_LEFT, y), (WIDTH - _RIGHT, y)], stroke=_THRESHOLD, width=1.5, dashes="6 4")
    below = panel.threshold < 0
    for number, course in enumerate(courses):
        _draw_marks(group, frame, course, number)
    for number, pieces in enumerate(drawn):
        for piece in pieces:
            _draw_curve(group, frame, piece, number)
    says = text(group, WIDTH - _RIGHT - 4, y + (15 if below else -6), panel.says, size=12, anchor="end")
    _set_off(says, _THRESHOLD)


def _draw_axes(group: ET.Element, frame: _Frame, ticks: Sequence[float], axis: str) -> None:
    for tick in ticks:
        y = frame.y(tick)
        path(group, [(_LEFT, y), (WIDTH - _RIGHT, y)], stroke=SOFT if tick == 0 else GRID)
        text(group, _LEFT - 8, y + 4, f"{tick:g}".replace("-", "\u2212"), size=12, anchor="end", fill=SOFT)
    for packet in _packet_ticks(frame.last):
        x = frame.x(packet)
        path(group, [(x, frame.bottom), (x, frame.bottom + 4)], stroke=SOFT)
        text(group, x, frame.bottom + 17, str(packet), size=12, anchor="middle", fill=SOFT)
    path(group, [(_LEFT, frame.top), (_LEFT, frame.bottom)], stroke=SOFT)
    text(group, WIDTH - _RIGHT, frame.bottom + 32, "packet of its stream", size=12, anchor="end", fill=SOFT)
    label = text(group, 0, 0, axis, size=12, anchor="middle", fill=SOFT)
    label.set("transform", f"translate(24 {frame.top + _PANEL / 2:.1f}) rotate(-90)")


def _draw_marks(group: ET.Element, frame: _Frame, course: Course, number: int) -> None:
    free = 0.0
    for step in course.steps:
        if not step.verdict or step.packet.packet > frame.last:
            continue
        x = frame.x(step.packet.packet) + 2 * number
        colour = _COLOURS[number]
        path(group, [(x, frame.top - frame.strip), (x, frame.bottom)], stroke=colour, width=1.5, dashes="2 3")
        if frame.strip and x >= free:
            # Verdicts that follow each other closely would write over each other: the legend names them all.
            free = x + _LABEL_ROOM
            y = frame.top - frame.strip + 12 + _LABEL_LINE * number
            at, anchor = (x + 5, "start") if x + _LABEL_ROOM < WIDTH else (x - 5, "end")
            _set_off(text(group, at, y, _decision(step.verdict), size=12, anchor=anchor), colour)


def _draw_curve(group: ET.Element, frame: _Frame, piece: Sequence[Point], number: int) -> None:
    points = [(frame.x(packet), frame.y(value)) for packet, value in piece]
    path(group, points, stroke=_COLOURS[number], width=2, dashes=_DASHES[number])
    if frame.last > _DENSE and len(points) > 1:
        return
    for (x, y), (packet, value) in zip(points, piece, strict=True):
        marker = _marker(group, x, y, number)
        ET.SubElement(marker, "title").text = f"packet {packet:g}: {value:.1f} bits"


def _marker(group: ET.Element, x: float, y: float, number: int) -> ET.Element:
    colour = _COLOURS[number]
    if number % 2 == 0:
        return ET.SubElement(group, "circle", {"cx": f"{x:.1f}", "cy": f"{y:.1f}", "r": "3.5", "fill": colour})
    shape = {"x": f"{x - 3.5:.1f}", "y": f"{y - 3.5:.1f}", "width": "7", "height": "7"}
    return ET.SubElement(group, "rect", shape | {"fill": "#ffffff", "stroke": colour, "stroke-width": "2"})


def _draw_legend(svg: ET.Element, explanation: Explanation, courses: Sequence[Course], top: float) -> None:
    for number, course in enumerate(courses):
        y = top + 12 + _LEGEND_LINE * number
        path(svg, [(_LEFT, y - 4), (_LEFT + 40, y - 4)], stroke=_COLOURS[number], width=2, dashes=_DASHES[number])
        _marker(svg, _LEFT + 20, y - 4, number)
        text(svg, _LEFT + 50, y, _name(explanation, course), size=12)
        text(svg, _LEFT + 50, y + 16, _said(course), size=12, fill=SOFT)
    left_out = len(explanation.courses) - len(courses)
    note = (
        f"A curve breaks where the test began anew or no codec is left. Lengths and scores only; legwatch {__version__}"
    )
    if left_out:
        note += f" {left_out} more streams are not drawn."
    text(svg, _LEFT, top + 14 + _LEGEND_LINE * len(courses), note, size=11, fill=SOFT)


def _ticks(low: float, high: float) -> list[float]:
    """Four to nine round values that enclose both."""
    step = _round_step((high - low) / 5)
    first, last = floor(low / step), ceil(high / step)
    # A curve on the edge of its diagram looks cut off.
    if last * step - high < step / 8:
        last += 1
    if low and low - first * step < step / 8:
        first -= 1
    return [step * n for n in range(first, last + 1)]


def _packet_ticks(last: int) -> Iterator[int]:
    step = max(1, round(_round_step(last / 12)))
    yield 1
    yield from range(step if step > 1 else 2, last + 1, step)


def _round_step(least: float) -> float:
    power = 10.0 ** floor(log10(least))
    return next(power * factor for factor in (1, 2, 5, 10) if power * factor >= least)


def _set_off(words: ET.Element, fill: str) -> None:
    # White around the letters, so that lines behind them do no harm.
    words.attrib |= {"fill": fill, "font-weight": "bold", "stroke": "#ffffff", "stroke-width": "3"}
    words.attrib |= {"stroke-linejoin": "round", "paint-order": "stroke"}
