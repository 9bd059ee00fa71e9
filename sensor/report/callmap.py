"""The map of all call paths: segments, hosts, and how what was seen between them was protected."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, NamedTuple
from xml.etree import ElementTree as ET

from sensor.output.drawing import SOFT, document, fitted, path, rectangle, sheet, text, width_of
from sensor.output.signs import printable
from sensor.report.bundles import PROBLEMS, Key, Traffic, network
from sensor.report.palette import LOOKS, STATES
from sensor.report.words import count

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from sensor.output.drawing import Point
    from sensor.report.bundles import Box, Network, Node

WIDTH = 720  # as the charts have it: 11 units are 7.5 points on a page of the report
EDGES = 48  # drawn; what there is beyond is said below
NUMBERED = 12  # of those with something in clear or undetermined, which the list below names

_MARGIN, _COLUMN, _PAD = 12.0, 188.0, 8.0
_TOP, _TITLE, _LINE, _BETWEEN, _LANE = 52.0, 48.0, 14.0, 14.0, 18.0
_BADGE, _ROW, _SECOND = 8.0, 18.0, 14.0
_LIST = 36.0  # where the words of the list begin
_BEND = 80.0  # of a line between hosts of one column, where there is another column beside it
_HEADINGS = ("Outside and trunks", "Servers", "Phones and all else")
_OF_PICTURE = {
    "media in clear": "clear",
    "signalling in clear": "clear",
    "media undetermined": "undetermined",
    "media not observed": "not-observed",
    "media encrypted": "encrypted",
    "signalling only": "not-observed",
}


class _Place(NamedTuple):
    """Where a host or a box is."""

    x: float
    top: float
    height: float


class _Edge(NamedTuple):
    ends: tuple[Key, Key]
    traffic: Traffic
    number: int  # in the list; 0 for none


class _Curve(NamedTuple):
    """A line as cubic curves one behind the other."""

    start: Point
    pieces: tuple[tuple[Point, Point, Point], ...]

    def at(self, share: float) -> Point:
        """Return the point of the piece in the middle at a share of it."""
        middle = len(self.pieces) // 2
        p0 = self.start if middle == 0 else self.pieces[middle - 1][2]
        p1, p2, p3 = self.pieces[middle]
        weights = ((1 - share) ** 3, 3 * (1 - share) ** 2 * share, 3 * (1 - share) * share**2, share**3)
        points = (p0, p1, p2, p3)
        return (
            sum(weight * point[0] for weight, point in zip(weights, points, strict=True)),
            sum(weight * point[1] for weight, point in zip(weights, points, strict=True)),
        )


def draw(paths: Sequence[Mapping[str, Any]], segments: Sequence[Mapping[str, Any]]) -> str:
    """Return the map of ``paths`` and ``segments`` of a report object as SVG."""
    net = network(paths, segments)
    edges = list(_numbered(net))
    columns = sorted({box.column for box in net.boxes.values()})
    lanes = sum(_crosses(net, edge) for edge in edges) if len(columns) > 2 else 0  # noqa: PLR2004
    places = _places(net, columns, lanes)
    bottom = max((place.top + place.height for place in places.values()), default=_TOP)
    listed = [edge for edge in edges if edge.number]
    notes = list(_notes(net, edges))
    height = bottom + 30 + _height(net, listed) + _ROW * len(notes) + 60
    said = f"{count(len(paths), 'path')} between {count(sum(node.hosts for node in net.nodes.values()), 'host')}"
    svg = sheet(WIDTH, height, "Map of call paths", f"{said}. {'. '.join(_words(net, edge) for edge in listed)}")
    text(svg, _MARGIN, 22, fitted(said, WIDTH - 2 * _MARGIN, 12), size=12, fill=SOFT)
    for column in columns:
        x = _left(columns, column)
        text(svg, x, _TOP - 8, _HEADINGS[column], size=12, weight="bold", fill=SOFT)
    _draw_edges(svg, net, edges, places, columns)
    for name, box in net.boxes.items():
        _draw_box(svg, net, box, places, name)
    y = bottom + 30
    if listed:
        y = _draw_list(svg, net, listed, y)
    for note in notes:
        text(svg, _MARGIN, y, fitted(note, WIDTH - 2 * _MARGIN, 11), size=11)
        y += _ROW
    _draw_legend(svg, y + 10)
    return document(svg)


def _numbered(net: Network) -> Iterator[_Edge]:
    for number, (ends, traffic) in enumerate(list(net.edges.items())[:EDGES], 1):
        yield _Edge(ends, traffic, number if number <= NUMBERED and traffic.picture in PROBLEMS else 0)


def _notes(net: Network, edges: Sequence[_Edge]) -> Iterator[str]:
    """Say what the picture leaves out."""
    if not net.edges:
        yield "No path between hosts was seen."
    elif not any(edge.number for edge in edges):
        yield "No path was seen with media or signalling in clear, nor with media undetermined."
    unnumbered = _sum(edge.traffic for edge in edges if not edge.number and edge.traffic.picture in PROBLEMS)
    if unnumbered.paths:
        yield from _more("Drawn and not in this list:", unnumbered)
    left_out = _sum(list(net.edges.values())[EDGES:])
    if left_out.paths:
        yield from _more("And more that are not drawn:", left_out)


def _more(what: str, traffic: Traffic) -> Iterator[str]:
    """Say what was seen on paths in lines that are short enough to stay whole."""
    yield f"{what} {count(traffic.paths, 'path')}"
    for plane, states in _planes(traffic):
        line = f"{plane}: {_counted(states)}"
        if width_of(line, 11) <= WIDTH - 2 * _MARGIN:
            yield from [line] if states.total() else []
        else:
            yield from (f"{plane}: {states[state]} {state}" for state in STATES if states[state])


def _sum(traffics: Iterator[Traffic] | list[Traffic]) -> Traffic:
    whole = Traffic()
    for traffic in traffics:
        whole.join(traffic)
    return whole


def _said(traffic: Traffic) -> str:
    return "; ".join(_parts(traffic))


def _parts(traffic: Traffic) -> list[str]:
    return [
        *([count(traffic.paths, "path")] if traffic.paths > 1 else []),
        *(f"{what}: {_counted(states)}" for what, states in _planes(traffic) if states.total()),
    ]


def _planes(traffic: Traffic) -> tuple[tuple[str, Counter[str]], tuple[str, Counter[str]]]:
    return ("media", traffic.media), ("signalling", traffic.signalling)


def _counted(states: Mapping[str, int]) -> str:
    return ", ".join(f"{states[state]} {state}" for state in STATES if states[state])


def _words(net: Network, edge: _Edge) -> str:
    return f"{' ↔ '.join(_named(net, key) for key in edge.ends)}: {_said(edge.traffic)}"


def _between(net: Network, edge: _Edge) -> str:
    """Return the ends of a path as short as the map beside it allows."""
    ends = [(net.nodes[key].label, net.boxes[key.box].title if key.picture else "") for key in edge.ends]
    return printable(" ↔ ".join(f"{label} ({title})" if title else label for label, title in ends))


def _named(net: Network, key: Key) -> str:
    node, box = net.nodes[key], net.boxes[key.box]
    return f"{node.label} ({', '.join(filter(None, (node.detail, box.title)))})"


# Layout: columns from outside to phones, boxes one below the other, lines in between


def _left(columns: Sequence[int], column: int) -> float:
    if len(columns) == 1:
        return _MARGIN
    return _MARGIN + columns.index(column) * (WIDTH - 2 * _MARGIN - _COLUMN) / (len(columns) - 1)


def _crosses(net: Network, edge: _Edge) -> bool:
    """Whether a line goes from the first column to the last and has the one between them in its way."""
    one, other = (net.boxes[key.box].column for key in edge.ends)
    return abs(one - other) > 1


def _places(net: Network, columns: Sequence[int], lanes: int) -> dict[Key | str, _Place]:
    places: dict[Key | str, _Place] = {}
    tops = {column: _TOP + (lanes * _LANE if column == 1 else 0) for column in columns}
    for name, box in net.boxes.items():
        x, top = _left(columns, box.column), tops[box.column]
        y = top + _TITLE + 4
        for key in box.nodes:
            height = _LINE * (2 if net.nodes[key].detail else 1) + 8
            places[key] = _Place(x, y, height)
            y += height + 3
        places[name] = _Place(x, top, y + 4 - top)
        tops[box.column] = y + 4 + _BETWEEN
    return places


def _draw_edges(
    svg: ET.Element,
    net: Network,
    edges: Sequence[_Edge],
    places: Mapping[Key | str, _Place],
    columns: Sequence[int],
) -> None:
    ports = _ports(net, edges, places, columns)
    taken: list[Point] = []
    badges: list[tuple[_Edge, Point | None]] = []
    lane = _TOP
    for number, edge in reversed(list(enumerate(edges))):  # the worst on top
        one, other = ports[number]
        if _crosses(net, edge) and len(columns) > 2:  # noqa: PLR2004
            curve = _over(one, other, lane, _left(columns, 1))
            lane += _LANE
        else:
            curve = _direct(one, other, _BEND if len(columns) > 2 else 4 * _BEND)  # noqa: PLR2004
        group = ET.SubElement(svg, "g")
        ET.SubElement(group, "title").text = printable(_words(net, edge))
        _draw_curve(group, curve, edge.traffic)
        if edge.number:
            badges.append((edge, _free(curve, taken)))
    for edge, point in reversed(badges):
        if point is not None:  # what finds no place is in the list all the same
            _draw_badge(svg, point, edge)


class _Port(NamedTuple):
    x: float
    y: float
    out: int  # to the right 1, to the left -1


def _ports(
    net: Network, edges: Sequence[_Edge], places: Mapping[Key | str, _Place], columns: Sequence[int]
) -> list[tuple[_Port, _Port]]:
    """Return where each line begins and ends: spread over the side of a host, in the order of the other ends."""
    sides: dict[tuple[Key, int], list[tuple[float, int, int]]] = {}
    for number, edge in enumerate(edges):
        for end in (0, 1):
            key, other = edge.ends[end], edge.ends[1 - end]
            column, beyond = net.boxes[key.box].column, net.boxes[other.box].column
            inner = -1 if column == columns[-1] and len(columns) > 1 else 1
            out = (1 if beyond > column else -1) if beyond != column else inner
            sides.setdefault((key, out), []).append((places[other].top, number, end))
    found: dict[tuple[int, int], _Port] = {}
    for (key, out), lines in sides.items():
        place = places[key]
        x = place.x + (_COLUMN - 4 if out > 0 else 4)
        for order, (_, number, end) in enumerate(sorted(lines), 1):
            found[number, end] = _Port(x, place.top + place.height * order / (len(lines) + 1), out)
    return [(found[number, 0], found[number, 1]) for number in range(len(edges))]


def _direct(one: _Port, other: _Port, most: float) -> _Curve:
    reach = min(_BEND / 3 + abs(one.y - other.y), most) if one.out == other.out else abs(one.x - other.x) / 2
    end = (other.x, other.y)
    return _Curve((one.x, one.y), (((one.x + one.out * reach, one.y), (other.x + other.out * reach, other.y), end),))


def _over(one: _Port, other: _Port, lane: float, middle: float) -> _Curve:
    first, last = sorted((one, other))
    left, right = (middle, lane), (middle + _COLUMN, lane)
    bend = (middle - first.x) / 2
    third = _COLUMN / 3
    return _Curve(
        (first.x, first.y),
        (
            ((first.x + bend, first.y), (middle - bend, lane), left),
            ((middle + third, lane), (middle + 2 * third, lane), right),
            ((right[0] + bend, lane), (last.x - bend, last.y), (last.x, last.y)),
        ),
    )


def _free(curve: _Curve, taken: list[Point]) -> Point | None:
    """Return a place on a line for its number, where there is none yet."""
    for step in range(16):
        for share in (0.5 - step * 0.022, 0.5 + step * 0.022):
            x, y = curve.at(share)
            if all((x - a) ** 2 + (y - b) ** 2 > (2 * _BADGE + 4) ** 2 for a, b in taken):
                taken.append((x, y))
                return x, y
    return None


def _draw_curve(group: ET.Element, curve: _Curve, traffic: Traffic) -> None:
    for (_, states), width, shift in zip(_planes(traffic), (3.0, 1.4), (-2.0, 2.0), strict=True):
        state = next((state for state in STATES if states[state]), None)
        if state is None:
            continue
        pieces = "".join(" C" + ", ".join(f"{x:.1f} {y + shift:.1f}" for x, y in piece) for piece in curve.pieces)
        line = path(group, [(curve.start[0], curve.start[1] + shift)], stroke=LOOKS[state].colour, width=width)
        line.set("d", line.get("d", "") + pieces)
        if LOOKS[state].dashes:
            line.set("stroke-dasharray", LOOKS[state].dashes)


def _draw_badge(svg: ET.Element, at: Point, edge: _Edge) -> None:
    """Draw the number of a path: on a disc for clear, in a square for undetermined."""
    x, y = at
    look = LOOKS[_OF_PICTURE[edge.traffic.picture]]
    if look is LOOKS["clear"]:
        disc = {"cx": f"{x:.1f}", "cy": f"{y:.1f}", "r": f"{_BADGE:g}", "fill": look.colour}
        ET.SubElement(svg, "circle", disc)
        text(svg, x, y + 3.5, str(edge.number), size=10, fill="#ffffff", weight="bold", anchor="middle")
    else:
        rectangle(svg, x - _BADGE, y - _BADGE, 2 * _BADGE, 2 * _BADGE, fill="#ffffff", stroke=look.colour)
        text(svg, x, y + 3.5, str(edge.number), size=10, weight="bold", anchor="middle")


def _draw_box(svg: ET.Element, net: Network, box: Box, places: Mapping[Key | str, _Place], name: str) -> None:
    place = places[name]
    group = ET.SubElement(svg, "g")
    rectangle(group, place.x, place.top, _COLUMN, place.height, fill="#f0f3f6", stroke="#8a8a8a")
    inner = _COLUMN - 2 * _PAD
    title = fitted(box.title, inner, 12, bold=True)
    text(group, place.x + _PAD, place.top + 16, title, size=12, weight="bold")
    hosts = count(box.hosts, "host") if box.hosts else "nothing seen"
    for number, words in enumerate((box.detail, hosts)):
        y = place.top + 30 + number * _LINE
        text(group, place.x + _PAD, y, fitted(words, inner, 10), size=10, fill=SOFT)
    for key in box.nodes:
        _draw_node(group, net.nodes[key], places[key])


def _draw_node(group: ET.Element, node: Node, place: _Place) -> None:
    look = LOOKS[_OF_PICTURE[node.traffic.picture]]
    rectangle(group, place.x + 4, place.top, _COLUMN - 8, place.height, fill="#ffffff", stroke=look.colour)
    path(
        group,
        [(place.x + 7, place.top + 2), (place.x + 7, place.top + place.height - 2)],
        stroke=look.colour,
        width=4,
        dashes=look.dashes,
    )
    inner = _COLUMN - 8 - 2 * _PAD
    text(group, place.x + 14, place.top + 14, fitted(node.label, inner, 11), size=11)
    if node.detail:
        text(group, place.x + 14, place.top + 28, fitted(node.detail, inner, 10), size=10, fill=SOFT)


def _height(net: Network, edges: Sequence[_Edge]) -> float:
    """Return how high the list is."""
    more = sum(len(_lines(_between(net, edge), edge.traffic)) - 1 for edge in edges)
    return _ROW * (len(edges) + 1) + _SECOND * more if edges else 0


def _draw_list(svg: ET.Element, net: Network, edges: Sequence[_Edge], y: float) -> float:
    text(svg, _MARGIN, y, "Not protected, or not known to be; the worst first", size=12, weight="bold")
    right = WIDTH - _MARGIN
    for edge in edges:
        y += _ROW
        _draw_badge(svg, (_MARGIN + _BADGE, y - 4), edge)
        who = _between(net, edge)
        text(svg, _LIST, y, fitted(who, right - _LIST, 11), size=11)
        for number, line in enumerate(_lines(who, edge.traffic)):
            y += _SECOND if number else 0
            if line:
                text(svg, right, y, fitted(line, right - _LIST, 11), size=11, anchor="end")
    return y + _ROW


def _lines(who: str, traffic: Traffic) -> list[str]:
    """Return what was seen on a path: beside its ends, or in as many lines below as keep it whole."""
    room, said = WIDTH - _MARGIN - _LIST, _said(traffic)
    if width_of(who, 11) + width_of(said, 11) + _PAD <= room:
        return [said]
    return ["", said] if width_of(said, 11) <= room else ["", *_parts(traffic)]


def _draw_legend(svg: ET.Element, y: float) -> None:
    x = _MARGIN
    for state in reversed(STATES):
        look = LOOKS[state]
        path(svg, [(x, y - 4), (x + 40, y - 4)], stroke=look.colour, width=3, dashes=look.dashes)
        text(svg, x + 48, y, state, size=11)
        x += 132
    x, y = _MARGIN, y + 20
    path(svg, [(x, y - 7), (x + 40, y - 7)], stroke=SOFT, width=3)
    path(svg, [(x, y - 2), (x + 40, y - 2)], stroke=SOFT, width=1.4)
    text(svg, x + 48, y, "thick: media, thin: signalling; the worst that was seen on a path counts", size=11)
