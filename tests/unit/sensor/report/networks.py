"""Paths and segments as a report object has them."""

from __future__ import annotations

from typing import Any

Row = dict[str, Any]


def states(encrypted: int = 0, clear: int = 0, undetermined: int = 0, unseen: int = 0) -> dict[str, int]:
    """Numbers of legs."""
    return {"encrypted": encrypted, "clear": clear, "undetermined": undetermined, "not-observed": unseen}


def segment(name: str, kind: str, *ranges: str) -> Row:
    """A segment of the policy."""
    return {"name": name, "kind": kind, "ranges": list(ranges), "vlans": []}


SEGMENTS = [
    segment("phones", "voice", "10.20.0.0/16", "10.21.0.0/16"),
    segment("servers", "server", "10.1.0.0/24"),
    segment("carrier", "trunk", "198.51.100.0/24"),
]
KINDS = {each["name"]: each["kind"] for each in SEGMENTS} | {"outside": "outside"}


def path(a: str, b: str, media: Row, signalling: Row | None = None, **changes: Any) -> Row:
    """A path between two hosts, whose segments are told by their addresses."""
    ends = [_segment(a), _segment(b)]
    return {
        "a": a,
        "b": b,
        "a_name": "",
        "b_name": "",
        "segments": ends,
        "kinds": [KINDS[end] for end in ends],
        "media": media,
        "signalling": states() if signalling is None else signalling,
        "findings": [],
        **changes,
    }


def _segment(address: str) -> str:
    for prefix, name in (("10.1.", "servers"), ("10.", "phones"), ("198.51.100.", "carrier")):
        if address.startswith(prefix):
            return name
    return "outside"


PBX, TRUNK = "10.1.0.1", "198.51.100.9"


def hospital(phones: int, clear: int) -> list[Row]:
    """Phones that call by one exchange, some of them in clear, and the trunk of the exchange."""
    paths = [
        path(PBX, f"10.20.{n // 250}.{n % 250 + 1}", states(5, int(n < clear)), states(6), a_name="exchange")
        for n in range(phones)
    ]
    return [*paths, path(PBX, TRUNK, states(100), states(100), a_name="exchange", b_name="Carrier")]
