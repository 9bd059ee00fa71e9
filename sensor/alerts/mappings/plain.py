"""What all forms have in common: text that breaks no frame, and times as numbers."""

from __future__ import annotations

import json
from datetime import datetime

# C0, DEL and C1 controls, and the two separators that some readers take for the end of a line
_CONTROLS = dict.fromkeys([*range(0x20), *range(0x7F, 0xA0), 0x2028, 0x2029], " ")


def valid(text: str) -> str:
    """Return the text with "?" in place of lone surrogates, so that it can be encoded."""
    return text.encode("utf-8", "replace").decode()


def one_line(text: str) -> str:
    """Return the text without anything that could end a line or move a cursor: a space stands in its place."""
    return valid(text).translate(_CONTROLS)


def cut(text: str, octets: int) -> str:
    """Return as much of a valid text as fits into so many octets of UTF-8, whole characters only."""
    raw = text.encode()
    return text if len(raw) <= octets else raw[:octets].decode(errors="ignore")


def encode(value: object) -> str:
    """Return JSON in ASCII on one line."""
    return json.dumps(_valid(value), allow_nan=False, separators=(",", ":"))


def _valid(value: object) -> object:
    if isinstance(value, str):
        return valid(value)
    if isinstance(value, dict):
        return {valid(key): _valid(entry) for key, entry in value.items()}
    return [_valid(entry) for entry in value] if isinstance(value, list | tuple) else value


def milliseconds(time: str) -> int:
    """Return RFC 3339 text as milliseconds since 1970."""
    return microseconds(time) // 1000


def microseconds(time: str) -> int:
    """Return RFC 3339 text as microseconds since 1970, exactly."""
    moment = datetime.fromisoformat(time)
    return int(moment.replace(microsecond=0).timestamp()) * 1_000_000 + moment.microsecond
