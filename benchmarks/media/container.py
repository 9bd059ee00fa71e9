"""Media streams on disk: what RTP would carry, without the parts of the header that say nothing about the codec.

A file is the four octets ``LWS1`` and then one record a packet, little endian: marker (u8), RTP timestamp (u32),
payload length (u16), payload.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

MAGIC = b"LWS1"
_RECORD = struct.Struct("<BIH")


class Packet(NamedTuple):
    """One RTP packet: marker bit, timestamp in units of the payload type's clock, payload octets."""

    marker: bool
    timestamp: int
    payload: bytes


def write(path: Path, packets: Iterable[Packet]) -> int:
    """Write a stream as a whole or not at all, and return how many packets it has."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(".unfinished")
    count = 0
    with unfinished.open("wb") as file:
        file.write(MAGIC)
        for packet in packets:
            file.write(_RECORD.pack(packet.marker, packet.timestamp & 0xFFFFFFFF, len(packet.payload)))
            file.write(packet.payload)
            count += 1
    unfinished.rename(path)
    return count


def read(path: Path) -> Iterator[Packet]:
    """Yield the packets of a stream file in sending order; ValueError if it is no such file."""
    data = path.read_bytes()
    if not data.startswith(MAGIC):
        raise ValueError(f"{path}: not a media stream")
    offset = len(MAGIC)
    while offset < len(data):
        marker, timestamp, length = _RECORD.unpack_from(data, offset)
        offset += _RECORD.size
        yield Packet(bool(marker), timestamp, data[offset : offset + length])
        offset += length
