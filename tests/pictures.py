"""What tests ask of a picture: that its texts can be read, and that it is whole."""

from __future__ import annotations

from typing import NamedTuple
from xml.etree import ElementTree as ET

from sensor.output.drawing import width_of

SVG = "{http://www.w3.org/2000/svg}"
_ASCENT, _DESCENT = 0.78, 0.24  # of letters, in parts of their size


class Text(NamedTuple):
    """A text with the room that it takes at most."""

    words: str
    left: float
    top: float
    right: float
    bottom: float


def parsed(svg: str) -> ET.Element:
    """The picture, which has to be XML that names and describes itself and needs nothing else."""
    root = ET.fromstring(svg)  # noqa: S314  (our own)
    assert root.tag == f"{SVG}svg"
    assert root.get("role") == "img"
    names = [root.find(f"{SVG}{kind}") for kind in ("title", "desc")]
    assert (root.get("aria-labelledby") or "").split() == [each.get("id") for each in names if each is not None]
    assert not [name for each in root.iter() for name, value in each.items() if "href" in name or "url(" in value]
    assert not [each for each in root.iter() if each.get("style")]  # the report's HTML allows none
    return root


def texts(root: ET.Element) -> list[Text]:
    """All texts with their room."""
    found = []
    for each in root.iter(f"{SVG}text"):
        words, size = each.text or "", float(each.get("font-size", "0"))
        x, y = float(each.get("x", "0")), float(each.get("y", "0"))
        width = width_of(words, size, bold=each.get("font-weight") == "bold")
        left = x - {"start": 0.0, "middle": width / 2, "end": width}[each.get("text-anchor", "start")]
        found.append(Text(words, left, y - _ASCENT * size, left + width, y + _DESCENT * size))
    return found


def assert_readable(svg: str) -> None:
    """No text lies on another one or outside the picture."""
    root = parsed(svg)
    width, height = float(root.get("width", "0")), float(root.get("height", "0"))
    ordered = sorted(texts(root), key=lambda text: (text.top, text.left))
    for text in ordered:
        assert 0 <= text.left <= text.right <= width, text
        assert 0 <= text.top <= text.bottom <= height, text
    for number, text in enumerate(ordered):
        for other in ordered[number + 1 :]:
            if other.top >= text.bottom:
                break
            assert other.left >= text.right or text.left >= other.right, (text, other)


def tooltips(root: ET.Element) -> list[str]:
    """What the parts of a picture say of themselves."""
    return [each.text or "" for group in root.iter(f"{SVG}g") for each in group.findall(f"{SVG}title")]
