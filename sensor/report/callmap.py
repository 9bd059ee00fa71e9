"""The call map: segments, the endpoints in them, and what was seen between them, as one picture (SVG).

Outside and trunks are at the left, servers in the middle, phones at the right. Every line is said in the box of one of
its ends, so that no text lies on a line. The picture is never higher than a page of the report.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple
from xml.etree import ElementTree as ET

from sensor.output import drawing
from sensor.output.drawing import INK, LOOKS, SOFT, box, fitted, mark, path, text, trace
from sensor.output.signs import printable
from sensor.report.topology import DETAILS, CallPath, End, Link, Node, Segment, Topology, arrange, worst
from sensor.report.words import count

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

WIDTH = 960
MAX_HEIGHT = 1280  # at that width, a page of A4 with a line below it

_MARGIN, _TOP, _PAD = 16, 34, 8
_SEGMENT, _NODE, _ROW, _PORT = 42, 38, 20, 9  # heights: of headings, of a line that is said, of one that is not
_BETWEEN_NODES, _BETWEEN_SEGMENTS, _LANE = 6, 14, 13
_BOXES = {1: 460, 2: 330, 3: 250}  # width of a column, by how many there are
_TITLES = ("Outside and trunks", "Servers", "Phones")
_LINE, _STROKES = 18, 4  # height of a line of the legend; between the strokes of media and of signalling
_SHADE, _EDGE = "#f4f6f8", "#9aa4ad"
_MEDIA_WIDTH, _SIGNALLING_WIDTH = 3.0, 1.4


class _Port(NamedTuple):
    """Where a line ends."""

    x: float
    y: float
    right: bool  # side of the box


@dataclass(slots=True)
class _Box:
    """A node as it is drawn."""

    node: Node
    column: int
    said: list[Link] = field(default_factory=list)  # lines that are said in it
    left: list[Link] = field(default_factory=list)  # lines that are said elsewhere, by the side they come to
    right: list[Link] = field(default_factory=list)
    x: float = 0
    y: float = 0

    @property
    def height(self) -> float:
        ports = max(len(self.left), len(self.right)) * _PORT
        return _NODE + len(self.said) * _ROW + ports + (4 if self.said or ports else 0)


class _Layout:
    """Where everything lies."""

    def __init__(self, topology: Topology, width: int) -> None:
        self.topology = topology
        sides = sorted({segment.side for segment, _ in topology.segments})
        self.columns = len(sides)
        self.sides = sides
        self.box = _BOXES.get(self.columns, 0) * width / WIDTH
        self._step = (width - 2 * _MARGIN - self.box) / max(1, self.columns - 1)
        self._left = width - _MARGIN - self.box if self.columns == 1 else _MARGIN
        self.gutter = self._step - self.box if self.columns > 1 else self._left - _MARGIN
        self.boxes = {
            id(node): _Box(node, sides.index(segment.side)) for segment, nodes in topology.segments for node in nodes
        }
        self.lanes: dict[int, float] = {}
        self.frames: list[tuple[Segment, int, float, float]] = []  # of a segment: its nodes, top, height
        self._connect()
        self.bottom = self._place()

    def x(self, column: int) -> float:
        """Return the left edge of a column."""
        return self._left + column * self._step

    def ends(self, link: Link) -> tuple[_Box, _Box]:
        """Return the boxes of a link, the one in the left column first."""
        a, b = self.boxes[id(link.a)], self.boxes[id(link.b)]
        return (a, b) if a.column <= b.column else (b, a)

    def _connect(self) -> None:
        last = self.columns - 1
        for link in self.topology.links:
            a, b = self.ends(link)
            said, other = (a, b) if a.column == b.column or (a.column == 0 and b.column < last) else (b, a)
            said.said.append(link)
            right = other.column < last if a.column == b.column else other is a
            (other.right if right else other.left).append(link)
            if b.column - a.column > 1:
                self.lanes[id(link)] = _TOP + _LANE * len(self.lanes)

    def _place(self) -> float:
        bottom = [float(_TOP)] * max(1, self.columns)
        if self.lanes:
            bottom[1] += _LANE * len(self.lanes)
        for segment, nodes in self.topology.segments:
            column = self.sides.index(segment.side)
            top = bottom[column]
            y = top + _SEGMENT
            for node in nodes:
                placed = self.boxes[id(node)]
                placed.x, placed.y = self.x(column) + _PAD, y
                y += placed.height + _BETWEEN_NODES
            y += _PAD - _BETWEEN_NODES if nodes else 0
            self.frames.append((segment, sum(len(node.ends) for node in nodes), top, y - top))
            bottom[column] = y + _BETWEEN_SEGMENTS
        return max(bottom)

    def sort_ports(self) -> None:
        """Let lines leave a box in the order in which they arrive, which spares crossings."""
        for placed in self.boxes.values():
            for links in (placed.left, placed.right):
                links.sort(key=lambda link: sum(each.y for each in self.ends(link)))

    def port(self, link: Link, *, said: bool) -> _Port:
        """Return where a link ends: in the box that says it, or in the other one."""
        a, b = self.ends(link)
        first = a if any(each is link for each in a.said) else b
        placed = first if said else (b if first is a else a)
        same = a.column == b.column
        right = placed.column < self.columns - 1 if same else placed is a
        if said:
            y = placed.y + _NODE + _index(placed.said, link) * _ROW + _ROW / 2 - _STROKES / 2
        else:
            ports = placed.right if right else placed.left
            y = placed.y + _NODE + len(placed.said) * _ROW + (_index(ports, link) + 0.5) * _PORT - _STROKES / 2
        return _Port(placed.x + (self.box - 2 * _PAD if right else 0), y, right)


def _index(links: Sequence[Link], link: Link) -> int:
    return next(number for number, each in enumerate(links) if each is link)


def draw(
    paths: Sequence[CallPath], ends: Sequence[End], segments: Sequence[Segment] = (), *, width: int = WIDTH
) -> str:
    """Return the map as a document of SVG 1.1 that needs nothing else.

    ``width`` is that of the sheet in units of SVG, 960 at least; a text of ten to thirteen units is to be readable.
    """
    for detail in DETAILS:
        topology = arrange(paths, ends, segments, detail)
        layout = _Layout(topology, width)
        notes = list(_notes(paths, topology))
        height = round(layout.bottom + _LINE * (3 + len(notes)) + 8)
        if height <= MAX_HEIGHT * width / WIDTH:
            break
    layout.sort_ports()
    svg = drawing.sheet("callmap", "Map of the call paths", " ".join(notes), (width, height))
    if not layout.columns:
        text(svg, _MARGIN, _TOP, "No endpoint and no path between hosts was seen.", size=13)
    for column, side in enumerate(layout.sides):
        text(svg, layout.x(column), 22, _TITLES[side], size=13, fill=SOFT, weight="bold")
    for frame in layout.frames:
        _draw_segment(svg, layout, *frame)
    for link in reversed(topology.links):  # the worst lies on top
        _draw_link(svg, layout, link)
    for placed in layout.boxes.values():
        _draw_node(svg, layout, placed)
    _draw_legend(svg, layout.bottom + 8, notes)
    return drawing.written(svg)


def _draw_segment(svg: ET.Element, layout: _Layout, segment: Segment, ends: int, top: float, height: float) -> None:
    group = ET.SubElement(svg, "g")
    x = layout.x(layout.sides.index(segment.side))
    room = layout.box - 2 * _PAD
    ET.SubElement(group, "title").text = printable(segment.name)
    box(group, (x, top), (layout.box, height), fill=_SHADE, stroke=_EDGE, round_=4)
    text(group, x + _PAD, top + 17, fitted(segment.name, 13, room, bold=True), size=13, weight="bold")
    about = [segment.kind] if segment.kind not in ("", segment.name) else []
    if segment.ranges:
        about.append(count(segment.ranges, "range"))
    about.append(count(ends, "endpoint") if ends else "nothing seen")
    text(group, x + _PAD, top + 33, fitted(", ".join(about), 11, room), size=11, fill=SOFT)


def _draw_link(svg: ET.Element, layout: _Layout, link: Link) -> None:
    group = ET.SubElement(svg, "g")
    ET.SubElement(group, "title").text = (
        f"{printable(_title(link.a))} ↔ {printable(_title(link.b))}: {count(link.paths, 'path')}; "
        f"media {all_of(link.media)}; signalling {all_of(link.signalling)}"
    )
    for states, stroke, below in (
        (link.media, _MEDIA_WIDTH, 0),
        (link.signalling, _SIGNALLING_WIDTH, _STROKES),
    ):
        state = worst(states)
        if state is not None:
            look = LOOKS[state]
            trace(group, _way(layout, link, below), stroke=look.colour, width=stroke, dashes=look.dashes)


def _way(layout: _Layout, link: Link, below: float) -> str:
    one, other = layout.port(link, said=True), layout.port(link, said=False)
    if one.x > other.x:
        one, other = other, one
    y, end = one.y + below, other.y + below
    start = f"M{one.x:.1f} {y:.1f} "
    if one.right == other.right:  # of one column
        reach = min(layout.gutter - 6, 20 + abs(end - y) / 4) * (1 if one.right else -1) + below
        return f"{start}C{one.x + reach:.1f} {y:.1f} {one.x + reach:.1f} {end:.1f} {other.x:.1f} {end:.1f}"
    lane = layout.lanes.get(id(link))
    if lane is None:
        middle = (one.x + other.x) / 2
        return f"{start}C{middle:.1f} {y:.1f} {middle:.1f} {end:.1f} {other.x:.1f} {end:.1f}"
    lane += below
    near, far = layout.x(1), layout.x(1) + layout.box
    out, back = (one.x + near) / 2, (far + other.x) / 2
    return (
        f"{start}C{out:.1f} {y:.1f} {out:.1f} {lane:.1f} {near:.1f} {lane:.1f} L{far:.1f} {lane:.1f} "
        f"C{back:.1f} {lane:.1f} {back:.1f} {end:.1f} {other.x:.1f} {end:.1f}"
    )


def _draw_node(svg: ET.Element, layout: _Layout, placed: _Box) -> None:
    node = placed.node
    group = ET.SubElement(svg, "g")
    room = layout.box - 2 * _PAD
    state = worst(node.media) or worst(node.signalling)
    ET.SubElement(group, "title").text = f"{printable(_title(node))}: media {all_of(node.media)}"
    stroke = LOOKS[state].colour if state else _EDGE
    box(group, (placed.x, placed.y), (room, placed.height), fill="#ffffff", stroke=stroke, round_=3)
    x, inner = placed.x + _PAD, room - 2 * _PAD
    text(group, x, placed.y + 16, fitted(_title(node), 12, inner, bold=True), size=12, weight="bold")
    text(group, x, placed.y + 31, fitted(_about(node), 11, inner), size=11, fill=SOFT)
    for number, link in enumerate(placed.said):
        y = placed.y + _NODE + number * _ROW + _ROW / 2
        path(group, [(placed.x, y - _ROW / 2), (placed.x + room, y - _ROW / 2)], stroke="#e3e3e3")
        _draw_row(group, link, (x, y), inner)


def _draw_row(group: ET.Element, link: Link, at: tuple[float, float], room: float) -> None:
    x, y = at
    media, signalling = worst(link.media), worst(link.signalling)
    if media is not None:
        mark(group, x + 5, y, media)
    if signalling is not None:
        mark(group, x + room - 5, y, signalling)
    said = short_of(link.media) if media is not None else f"signalling {short_of(link.signalling)}"
    text(group, x + 15, y + 4, fitted(said, 11, room - 30), size=11)


def _title(node: Node) -> str:
    if len(node.ends) == 1:
        return node.ends[0].name or node.ends[0].address
    return count(len(node.ends), "endpoint")


def _about(node: Node) -> str:
    if len(node.ends) == 1 and node.ends[0].name:
        return node.ends[0].address
    return short_of(node.media, "leg") if node.media.total() else "no media seen"


def short_of(states: Mapping[str, int], what: str = "") -> str:
    """Return the worst of the states with its number: "3 of 312 clear"."""
    state, whole = worst(states), sum(states.values())
    if state is None:
        return "nothing"
    all_ = count(whole, what) if what else str(whole)
    number = f"{states[state]} of {all_}" if states[state] < whole else all_
    return f"{number} {LOOKS[state].word}"


def all_of(states: Mapping[str, int]) -> str:
    """Return all states with their numbers, the worst first: "3 clear, 309 encrypted"."""
    return ", ".join(f"{states[state]} {look.word}" for state, look in LOOKS.items() if states.get(state)) or "nothing"


def _notes(paths: Sequence[CallPath], topology: Topology) -> Iterator[str]:
    """Return what has to be said beside the picture: what was seen, and what of it is not drawn by itself."""
    if not paths:
        yield "No path between hosts was seen."
        return
    bad = [each for each in paths if each.unprotected]
    if bad:
        yield f"Something was in clear on {len(bad)} of {count(len(paths), 'path')}: {_where(topology)}."
    else:
        yield f"Nothing was seen in clear on {count(len(paths), 'path')}."
    if topology.left_out:
        sums = Link(topology.left_out[0].a, topology.left_out[0].b)
        for link in topology.left_out:
            sums.paths += link.paths
            sums.media.update(link.media)
            sums.signalling.update(link.signalling)
        yield (
            f"And {len(topology.left_out)} more lines are not drawn, of {count(sums.paths, 'path')}; "
            f"media {all_of(sums.media)};"
        )
        yield f"signalling {all_of(sums.signalling)}."


def _where(topology: Topology) -> str:
    """Say where the paths with something in clear are in the picture."""
    numbers = (
        (sum(link.unprotected for link in topology.links if link.single), "drawn each by itself"),
        (sum(link.unprotected for link in topology.links if not link.single), "within boxes of several endpoints"),
        (sum(link.unprotected for link in topology.left_out), "not drawn"),
    )
    return ", ".join(f"{number} {where}" for number, where in numbers if number)


def _draw_legend(svg: ET.Element, top: float, notes: Sequence[str]) -> None:
    x, y = float(_MARGIN), top + 8
    for state, look in LOOKS.items():
        path(svg, [(x, y - 4), (x + 44, y - 4)], stroke=look.colour, width=_MEDIA_WIDTH, dashes=look.dashes)
        path(svg, [(x, y), (x + 44, y)], stroke=look.colour, width=_SIGNALLING_WIDTH, dashes=look.dashes)
        mark(svg, x + 58, y - 2, state)
        text(svg, x + 70, y + 2, look.word, size=12)
        x += 190
    y += _LINE
    words = (
        "Thick line: media, thin line: signalling; the worst that was seen. In a box: media left, signalling right.",
        *notes,
    )
    for number, line in enumerate(words):
        fill = INK if number else SOFT
        text(svg, _MARGIN, y + 4 + number * _LINE, fitted(line, 11, WIDTH - 2 * _MARGIN), size=11, fill=fill)
