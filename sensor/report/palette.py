"""How the four states look in pictures: by colour, and by line or filling for print and eyes that see no colour."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple
from xml.etree import ElementTree as ET

from sensor.output.drawing import path, rectangle, text

if TYPE_CHECKING:
    from collections.abc import Mapping


class Look(NamedTuple):
    """Colour, dashes of a line, and what fills an area: nothing but colour, bars upright or lying, or no colour."""

    colour: str
    dashes: str
    filling: str


# Colours of Okabe and Ito: told apart by eyes that do not see all of them.
LOOKS: Mapping[str, Look] = {
    "clear": Look("#d55e00", "7 3", "upright"),
    "undetermined": Look("#b85c93", "2 3", "lying"),
    "not-observed": Look("#6f6f6f", "2 5", "empty"),
    "encrypted": Look("#0072b2", "", "full"),
}
STATES = tuple(LOOKS)  # the worst first
SIGHTS: Mapping[str, Look] = {
    "seen": Look("#009e73", "", "full"),
    "degraded": Look("#b85c93", "", "lying"),
    "blind": Look("#d55e00", "", "upright"),
    "not-running": Look("#6f6f6f", "", "empty"),
}
_STEP = 4.0


def area(group: ET.Element, x: float, y: float, size: tuple[float, float], look: Look) -> None:
    """Fill a rectangle; it needs no pattern of SVG, whose identifiers would clash in one document."""
    width, height = size
    if width <= 0:
        return
    solid = look.filling in ("full", "upright")
    rectangle(group, x, y, width, height, fill=look.colour if solid else "#ffffff", stroke=look.colour)
    if look.filling == "upright":
        for number in range(1, int(width / _STEP)):
            at = x + number * _STEP
            path(group, [(at, y), (at, y + height)], stroke="#ffffff")
    elif look.filling == "lying":
        for number in range(1, int(height / _STEP) + 1):
            at = y + number * height / (int(height / _STEP) + 1)
            path(group, [(x, at), (x + width, at)], stroke=look.colour, width=1.5)


def legend(svg: ET.Element, x: float, y: float, looks: Mapping[str, Look]) -> None:
    """Draw what the fillings mean."""
    for state, look in looks.items():
        area(svg, x, y - 10, (30, 12), look)
        text(svg, x + 38, y, state, size=11)
        x += 150
