"""The octets of an entry: canonical JSON (RFC 8785) without fractions, with names in ASCII.

Of RFC 8785 that leaves the order of names, the escapes of strings (section 3.2.2.2) and no space anywhere, which is
what ``json`` writes by these settings.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from sensor.ledger.entries import Entry, Value

MAX_OCTETS = 1 << 24  # docs/LEDGER.md
MAX_INTEGER = 2**53 - 1  # what every reader of JSON has exactly (RFC 7493 section 2.2)
SURROGATE = re.compile("[\ud800-\udfff]")

_write = json.JSONEncoder(ensure_ascii=False, sort_keys=True, separators=(",", ":"), check_circular=False).encode


def _refuse(number: str) -> float:
    raise ValueError(f"an entry cannot have the number {number[:20]}")


_read = json.JSONDecoder(parse_float=_refuse, parse_constant=_refuse).decode
# What says something of the ledger itself.
_TOLD = frozenset({"ledger", "key", "clock", "deleted"})


def encode(entry: Mapping[str, Value]) -> bytes:
    """Return an entry's octets, without the end of its line; a lone surrogate becomes U+FFFD.

    Raises ValueError for what an entry cannot have.
    """
    _check_names(entry)
    _check_values(entry.values())
    text = _write(entry)
    try:
        octets = text.encode()
    except UnicodeEncodeError:
        octets = SURROGATE.sub("\N{REPLACEMENT CHARACTER}", text).encode()
    if len(octets) >= MAX_OCTETS:
        raise ValueError(f"an entry has at most {MAX_OCTETS} octets with its end")
    return octets


def decode(line: bytes) -> Entry:
    """Return the entry that a line has; ValueError when it is none. That its octets are canonical is not looked at."""
    try:
        entry = _read(line.decode())
    except RecursionError:
        raise ValueError("it is nested too deep") from None
    if type(entry) is not dict or type(entry.get("at")) is not int or type(entry.get("kind")) is not str:
        raise ValueError("it is no object with a kind and a time")
    return cast("Entry", entry)


def verified(line: bytes) -> Entry:
    """Return the entry that a line has; ValueError when it is none, or may say something else to another reader.

    That the octets are canonical is looked at for what says something of the ledger, and where a name may be escaped;
    for all others that takes too long (docs/LEDGER.md, To verify).
    """
    entry = decode(line)
    fits = line[:1] == b"{" and line[-1:] == b"}" and line.count(b'"at":') == 1
    if not fits or ((entry["kind"] in _TOLD or b"\\u" in line) and encode(entry) != line):
        raise ValueError("it is not in its canonical form")
    return entry


def is_canonical(line: bytes) -> bool:
    """Say whether a line is the octets of an entry, and no others that mean the same."""
    try:
        return encode(decode(line)) == line
    except ValueError:
        return False


def _check_names(names: Iterable[str]) -> None:
    for name in names:
        if type(name) is not str or not name.isascii():
            raise ValueError(f"{name!r} is no name of ASCII")


def _check_values(values: Iterable[Value]) -> None:
    for value in values:
        kind = type(value)
        if kind is str or kind is bool or value is None:
            continue
        if kind is int:
            if not -MAX_INTEGER <= cast("int", value) <= MAX_INTEGER:
                raise ValueError(f"{value} is too great for a number")
        elif kind is list:
            _check_values(cast("list[Value]", value))
        elif kind is dict:
            inner = cast("dict[str, Value]", value)
            _check_names(inner)
            if "at" in inner:
                raise ValueError("an object inside an entry has the name of its time")
            _check_values(inner.values())
        else:
            raise ValueError(f"an entry cannot have a {kind.__name__}")
