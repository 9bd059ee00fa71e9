"""HEP3 packets for HOMER (HEP3 Network Protocol Specification, sipcapture.org, sections 4 and 5)."""

from __future__ import annotations

import struct
from ipaddress import IPv4Address
from typing import TYPE_CHECKING

from sensor.alerts.mappings.plain import cut, encode, microseconds, one_line
from sensor.alerts.mappings.subject import ends, sentence

if TYPE_CHECKING:
    from sensor.alerts.event import Event

LOG = 100  # protocol type: a log of any kind
MAX_OCTETS = 65_000  # of a packet: its length has 16 bits, and a datagram a little less
_AF_INET, _AF_INET6 = 2, 10
_UDP = 17
_MAX_NAME = 255

# chunk types of the vendor 0 (generic)
_FAMILY, _PROTOCOL, _SRC4, _DST4, _SRC6, _DST6 = 1, 2, 3, 4, 5, 6
_SRC_PORT, _DST_PORT, _SECONDS, _MICROSECONDS, _TYPE, _AGENT = 7, 8, 9, 10, 11, 12
_KEY, _PAYLOAD, _CORRELATION, _NODE = 14, 15, 17, 19


def packet(event: Event, *, agent: int = 0, key: bytes = b"") -> bytes:
    """Return an event as one packet; its payload is JSON, the event itself or, where that is too long, a part of it.

    ``agent`` is the capture agent's number, ``key`` what the receiver knows it by. Ends that are not known are the
    unspecified address and port 0, since receivers insist on both.
    """
    a, b = ends(event)
    family6 = any(end is not None and not isinstance(end.ip, IPv4Address) for end in (a, b))
    now = microseconds(event["time"])
    chunks = [
        _chunk(_FAMILY, bytes([_AF_INET6 if family6 else _AF_INET])),
        _chunk(_PROTOCOL, bytes([_UDP])),
    ]
    for end, kind4, kind6 in ((a, _SRC4, _SRC6), (b, _DST4, _DST6)):
        kind, size = (kind6, 16) if family6 else (kind4, 4)
        raw = end.ip.packed if end is not None else bytes(size)
        # one end of each family: IPv4 is mapped (RFC 4291 section 2.5.5.2)
        chunks.append(_chunk(kind, raw if len(raw) == size else b"\0" * 10 + b"\xff\xff" + raw))
    chunks += [
        _chunk(_SRC_PORT, struct.pack("!H", (a and a.port) or 0)),
        _chunk(_DST_PORT, struct.pack("!H", (b and b.port) or 0)),
        _chunk(_SECONDS, struct.pack("!I", now // 1_000_000 & 0xFFFFFFFF)),
        _chunk(_MICROSECONDS, struct.pack("!I", now % 1_000_000)),
        _chunk(_TYPE, bytes([LOG])),
        _chunk(_AGENT, struct.pack("!I", agent)),
        _chunk(_CORRELATION, cut(one_line(event["id"]), _MAX_NAME).encode()),
        _chunk(_NODE, cut(one_line(event["sensor"]), _MAX_NAME).encode()),
    ]
    if key:
        chunks.append(_chunk(_KEY, key))
    head = b"".join(chunks)
    body = head + _chunk(_PAYLOAD, _payload(event, MAX_OCTETS - 6 - len(head) - 6))
    return b"HEP3" + struct.pack("!H", 6 + len(body)) + body


def _payload(event: Event, octets: int) -> bytes:
    whole = encode(event).encode()
    if len(whole) <= octets:
        return whole
    # one character is twelve at most, as two escapes
    rest = {name: one_line(event[name])[:_MAX_NAME] for name in ("event", "id", "code", "time")}
    return encode(rest | {"message": sentence(event)[: octets // 24]}).encode()


def _chunk(kind: int, value: bytes) -> bytes:
    return struct.pack("!HHH", 0, kind, 6 + len(value)) + value
