"""A document as PDF/A-3 and PDF/UA, with the report object attached; the same report gives the same octets."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import asdict, replace
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from sensor.report import typeset
from sensor.report.blocks import Figure

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sensor.report.blocks import Block, Document

TIMEOUT_S = 120.0
# What the built-in fonts have glyphs for: Latin, Greek, Cyrillic, and the signs that documents use. PDF/A has no room
# for a character without a glyph, and a name must not be the reason for no report.
_DRAWN = ((0x20, 0x7E), (0xA0, 0x17F), (0x391, 0x3A1), (0x3A3, 0x3A9), (0x3B1, 0x3C9), (0x410, 0x44F))
_SIGNS = frozenset("\n\u2013\u2014\u2018\u2019\u201c\u201d\u2026\u2190\u2192\u2194\u2264\u2265\u2212\u20ac")
_VIEW_BOX = re.compile(r'viewBox="0 0 ([\d.]+) ([\d.]+)"')


class TypesettingError(Exception):
    """The typesetter did not make a document; the text says why."""


def render(document: Document, report_json: bytes) -> bytes:
    """Return a document as PDF with the report object in it; TypesettingError."""
    texts = {
        "main": files("sensor.report").joinpath("report.typ").read_text(encoding="utf-8"),
        "report.json": report_json.decode(),
    }
    blocks = list(_blocks(document, texts))
    texts["document.json"] = json.dumps(_shown({**asdict(replace(document, blocks=())), "blocks": blocks}))
    # -P: what lies where the command was given is no module, as reports are made beside captures of others.
    command = [sys.executable, "-P", typeset.__file__, str(document.made_at // 1000)]
    octets = json.dumps(texts).encode()
    try:
        done = subprocess.run(command, input=octets, capture_output=True, timeout=TIMEOUT_S, check=False)  # noqa: S603  (our own interpreter)
    except subprocess.TimeoutExpired:
        raise TypesettingError(f"the typesetter did not end within {TIMEOUT_S:g} s") from None
    except OSError as error:
        raise TypesettingError(f"the typesetter cannot be run: {error.strerror}") from None
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().splitlines()
        raise TypesettingError(f"the typesetter failed: {said[-1] if said else f'status {done.returncode}'}")
    return done.stdout


def _blocks(document: Document, texts: dict[str, str]) -> Iterator[dict[str, Any]]:
    """Return the blocks as data; a picture becomes a text of its own."""
    for number, block in enumerate(document.blocks):
        if isinstance(block, Figure):
            svg = f"{number}.svg"
            texts[svg] = _drawn(block.svg)
            yield {**_data(replace(block, svg=svg)), "ratio": _ratio(block.svg)}
        else:
            yield _data(block)


def _ratio(svg: str) -> float:
    """Return how many times a picture is as high as wide."""
    box = _VIEW_BOX.search(svg)
    return float(box[2]) / float(box[1]) if box else 1.0


def _data(block: Block) -> dict[str, Any]:
    return {"type": type(block).__name__.lower(), **asdict(block)}


def _shown(value: Any) -> Any:
    """Return data with its texts as they can be drawn."""
    if isinstance(value, str):
        return _drawn(value)
    if isinstance(value, (list, tuple)):
        return [_shown(each) for each in value]
    if isinstance(value, dict):
        return {key: _shown(each) for key, each in value.items()}
    return value


def _drawn(text: str) -> str:
    """Return a text with "[U+4E2D]" for each character that no font has."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(each if _has_glyph(each) else f"[U+{ord(each):04X}]" for each in text)


def _has_glyph(character: str) -> bool:
    return character in _SIGNS or any(first <= ord(character) <= last for first, last in _DRAWN)
