"""What the pictures have in common: the sheet, lines, texts and how wide they are, the colours and marks of states."""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING, NamedTuple
from xml.etree import ElementTree as ET

from sensor.output.signs import printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sensor.model import Protection

INK, SOFT, GRID, PAPER = "#1a1a1a", "#5a5a5a", "#e3e3e3", "#ffffff"
# The last but one is what a PDF has.
FONT = "DejaVu Sans, Verdana, Helvetica, Arial, Libertinus Serif, sans-serif"

Point = tuple[float, float]


class Look(NamedTuple):
    """How a state is drawn: told apart by eyes that do not see all colours (Okabe and Ito), and in print by dashes."""

    colour: str
    dashes: str
    word: str


LOOKS: dict[Protection, Look] = {
    "clear": Look("#d55e00", "9 4", "clear"),
    "undetermined": Look("#8a6d00", "2 3", "undetermined"),
    "encrypted": Look("#0072b2", "", "encrypted"),
    "not-observed": Look("#8c8c8c", "1 5", "not observed"),
}


def sheet(name: str, title: str, description: str, size: tuple[int, int]) -> ET.Element:
    """Return an empty picture. Its ``name`` keeps its ids apart from those of others in the same document."""
    width, height = size
    svg = ET.Element(
        "svg",
        {
            "xmlns": "http://www.w3.org/2000/svg",
            "viewBox": f"0 0 {width} {height}",
            "width": str(width),
            "height": str(height),
            "role": "img",
            "aria-labelledby": f"{name}-title {name}-description",
            "font-family": FONT,
        },
    )
    ET.SubElement(svg, "title", {"id": f"{name}-title"}).text = printable(title)
    ET.SubElement(svg, "desc", {"id": f"{name}-description"}).text = printable(description)
    ET.SubElement(svg, "rect", {"width": "100%", "height": "100%", "fill": PAPER})
    return svg


def written(svg: ET.Element) -> str:
    """Return the picture as a document of SVG 1.1."""
    ET.indent(svg)
    return ET.tostring(svg, encoding="unicode", xml_declaration=False) + "\n"


def path(group: ET.Element, points: Sequence[Point], *, stroke: str, width: float = 1, dashes: str = "") -> ET.Element:
    """Draw straight lines from point to point."""
    return trace(
        group, "M" + " L".join(f"{x:.1f} {y:.1f}" for x, y in points), stroke=stroke, width=width, dashes=dashes
    )


def trace(group: ET.Element, way: str, *, stroke: str, width: float = 1, dashes: str = "") -> ET.Element:
    """Draw a line whose way is said as SVG has it."""
    line = ET.SubElement(group, "path", {"fill": "none", "stroke": stroke, "stroke-width": f"{width:g}", "d": way})
    if dashes:
        line.set("stroke-dasharray", dashes)
    return line


def text(
    group: ET.Element,
    x: float,
    y: float,
    words: str,
    *,
    size: int,
    fill: str = INK,
    weight: str = "normal",
    anchor: str = "start",
) -> ET.Element:
    """Write words whose base line begins, has its middle or ends at a point."""
    attributes = {"x": f"{x:.1f}", "y": f"{y:.1f}", "font-size": str(size), "fill": fill}
    if weight != "normal":
        attributes["font-weight"] = weight
    if anchor != "start":
        attributes["text-anchor"] = anchor
    element = ET.SubElement(group, "text", attributes)
    element.text = words
    return element


def box(group: ET.Element, at: Point, size: Point, *, fill: str, stroke: str = "none", round_: float = 0) -> ET.Element:
    """Draw a rectangle from its upper left corner on."""
    (x, y), (width, height) = at, size
    shape = {"x": f"{x:.1f}", "y": f"{y:.1f}", "width": f"{width:.1f}", "height": f"{height:.1f}"}
    if round_:
        shape["rx"] = f"{round_:g}"
    return ET.SubElement(group, "rect", shape | {"fill": fill, "stroke": stroke})


def mark(group: ET.Element, x: float, y: float, state: Protection) -> None:
    """Draw the sign of a state, ten units wide, around a point."""
    colour = LOOKS[state].colour
    round_ = {"cx": f"{x:.1f}", "cy": f"{y:.1f}", "r": "4.5", "stroke": colour, "stroke-width": "1.8"}
    if state == "encrypted":
        ET.SubElement(group, "circle", round_ | {"fill": colour})
    elif state == "undetermined":
        ET.SubElement(group, "circle", round_ | {"fill": PAPER})
    elif state == "clear":
        box(group, (x - 5, y - 5), (10, 10), fill=PAPER)
        path(group, [(x - 4, y - 4), (x + 4, y + 4)], stroke=colour, width=2.6)
        path(group, [(x - 4, y + 4), (x + 4, y - 4)], stroke=colour, width=2.6)
    else:
        box(group, (x - 5, y - 3), (10, 6), fill=PAPER)
        path(group, [(x - 4, y), (x + 4, y)], stroke=colour, width=2.6)


# As wide as the widest of the fonts, Verdana and DejaVu Sans, draw a letter, in sizes; bold ones are wider.
_NARROW, _WIDE, _WIDEST = (
    frozenset(" !\"'()*,-./:;I[]`fijlrt|\u2026"),
    frozenset("w+=<>~#&^_"),
    frozenset("mMW@%\u2026"),
)
_BOLD = 1.16
_REPLACED = 5.5  # "[U+4E2D]", which a PDF has in place of what its fonts lack


def width_of(words: str, size: float, *, bold: bool = False) -> float:
    """Return how wide a text is at most, whichever of the fonts there is."""
    return sum(map(_letter, words)) * size * (_BOLD if bold else 1)


def _letter(letter: str) -> float:
    if letter in _WIDEST:
        return 1.08
    if letter in _NARROW:
        return 0.5
    if letter.isascii():
        return 0.84 if letter in _WIDE or letter.isupper() else 0.65
    return 1.1 if unicodedata.name(letter, "").startswith("LATIN") else _REPLACED


def fitted(words: str, size: float, room: float, *, bold: bool = False) -> str:
    """Return a text without what may not be shown, and cut where it would not fit into the room."""
    words = printable(words)
    if width_of(words, size, bold=bold) <= room:
        return words
    while words and width_of(f"{words}\u2026", size, bold=bold) > room:
        words = words[:-1]
    return f"{words}\u2026"
