"""Pictures under test: read as XML, and where their texts lie."""

from itertools import combinations
from typing import NamedTuple
from xml.etree import ElementTree as ET

from sensor.output.drawing import width_of

SVG = "{http://www.w3.org/2000/svg}"


class Area(NamedTuple):
    """The box around a text."""

    left: float
    top: float
    right: float
    bottom: float
    words: str


def parsed(svg: str) -> ET.Element:
    root = ET.fromstring(svg)  # noqa: S314  (our own)
    assert root.tag == f"{SVG}svg"
    assert [root.findtext(f"{SVG}{part}") is not None for part in ("title", "desc")] == [True, True]
    return root


def words(root: ET.Element) -> list[str]:
    return [text.text or "" for text in root.iter(f"{SVG}text")]


def areas(root: ET.Element) -> list[Area]:
    """Where texts lie, with the widest of the fonts."""
    found = []
    for text in root.iter(f"{SVG}text"):
        x, y, size = (float(text.attrib[name]) for name in ("x", "y", "font-size"))
        width = width_of(text.text or "", size, bold=text.get("font-weight") == "bold")
        left = x - width * {"start": 0, "middle": 0.5, "end": 1}[text.get("text-anchor", "start")]
        found.append(Area(left, y - size * 0.8, left + width, y + size * 0.22, text.text or ""))
    return found


def assert_texts_have_room(root: ET.Element) -> None:
    """No text overlaps another one, and none leaves the picture."""
    _, _, width, height = map(float, root.attrib["viewBox"].split())
    texts = areas(root)
    for text in texts:
        assert 0 <= text.left <= text.right <= width, text
        assert 0 <= text.top <= text.bottom <= height, text
    for one, other in combinations(texts, 2):
        apart = one.right <= other.left or other.right <= one.left or one.bottom <= other.top or other.bottom <= one.top
        assert apart, (one, other)
