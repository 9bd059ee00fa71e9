"""What the pictures of this project have in common: sheet, lines, texts, and how wide a text can be at most."""

from __future__ import annotations

from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

from sensor.output.signs import printable

if TYPE_CHECKING:
    from collections.abc import Sequence

INK, SOFT, GRID = "#1a1a1a", "#5a5a5a", "#e3e3e3"
_FONT = "DejaVu Sans, Verdana, Helvetica, Arial, sans-serif"
# In parts of the size, and at least those of DejaVu Sans and Verdana, which are wider than what else a reader may have.
_NARROW, _WIDE = frozenset("iIjlftr.,:;'|!()[]-/ "), frozenset("mwMW@%&")
_EM_NARROW, _EM, _EM_CAPITAL, _EM_WIDE, _EM_OTHER = 0.46, 0.66, 0.84, 1.02, 1.2
_EM_SPELT = 6.4  # a letter that a PDF has no font for, and spells "[U+4E2D]"
_SPELT_FROM, _SIGNS = 0x450, ("\u2010", "\u22ff")
_BOLD = 1.12

Point = tuple[float, float]


def sheet(width: float, height: float, title: str, description: str) -> ET.Element:
    """Return an empty white picture; title and description are for those who do not see it."""
    # Several pictures may stand in one HTML document: identifiers are those of their titles.
    name = "".join(letter if letter.isascii() and letter.isalnum() else "-" for letter in title)
    svg = ET.Element(
        "svg",
        {
            "xmlns": "http://www.w3.org/2000/svg",
            "viewBox": f"0 0 {width:.0f} {height:.0f}",
            "width": f"{width:.0f}",
            "height": f"{height:.0f}",
            "role": "img",
            "aria-labelledby": f"title-{name} description-{name}",
            "font-family": _FONT,
        },
    )
    ET.SubElement(svg, "title", {"id": f"title-{name}"}).text = printable(title)
    ET.SubElement(svg, "desc", {"id": f"description-{name}"}).text = printable(description)
    ET.SubElement(svg, "rect", {"width": "100%", "height": "100%", "fill": "#ffffff"})
    return svg


def document(svg: ET.Element) -> str:
    """Return a picture as a document of SVG 1.1 that needs nothing else."""
    ET.indent(svg)
    return ET.tostring(svg, encoding="unicode", xml_declaration=False) + "\n"


def path(group: ET.Element, points: Sequence[Point], *, stroke: str, width: float = 1, dashes: str = "") -> ET.Element:
    """Draw a line through points."""
    line = ET.SubElement(group, "path", {"fill": "none", "stroke": stroke, "stroke-width": f"{width:g}"})
    line.set("d", "M" + " L".join(f"{x:.1f} {y:.1f}" for x, y in points))
    if dashes:
        line.set("stroke-dasharray", dashes)
    return line


def rectangle(
    group: ET.Element, x: float, y: float, width: float, height: float, *, fill: str, stroke: str = ""
) -> ET.Element:
    """Draw a rectangle."""
    size = {"x": f"{x:.1f}", "y": f"{y:.1f}", "width": f"{width:.1f}", "height": f"{height:.1f}", "fill": fill}
    return ET.SubElement(group, "rect", size | ({"stroke": stroke} if stroke else {}))


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
    """Write words; y is that of their base line."""
    attributes = {"x": f"{x:.1f}", "y": f"{y:.1f}", "font-size": str(size), "fill": fill}
    if weight != "normal":
        attributes["font-weight"] = weight
    if anchor != "start":
        attributes["text-anchor"] = anchor
    written = ET.SubElement(group, "text", attributes)
    written.text = printable(words)
    return written


def width_of(words: str, size: float, *, bold: bool = False) -> float:
    """Return how wide words are at most: what font a reader has is not known."""
    return sum(map(_em, words)) * size * (_BOLD if bold else 1)


def fitted(words: str, width: float, size: float, *, bold: bool = False) -> str:
    """Return words that are no wider than ``width``; what is too long loses its middle, as both ends tell most."""
    words = printable(words)
    if width_of(words, size, bold=bold) <= width:
        return words
    kept = len(words)
    while kept > 1:
        kept -= 1
        shorter = words[: (kept + 1) // 2] + "…" + words[len(words) - kept // 2 :]
        if width_of(shorter, size, bold=bold) <= width:
            return shorter
    return "…"


def _em(letter: str) -> float:
    if letter in _NARROW:
        return _EM_NARROW
    if letter in _WIDE:
        return _EM_WIDE
    if letter.isascii():
        return _EM if letter.islower() or letter.isdigit() else _EM_CAPITAL
    sign = _SIGNS[0] <= letter <= _SIGNS[1]
    return _EM_OTHER if ord(letter) < _SPELT_FROM or sign else _EM_SPELT
