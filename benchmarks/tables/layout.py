"""The packed file of codec tables, as fastpath reads it, and the bound that every table in it must keep.

Little endian. Header (16 octets): magic, version, count, size of the file, CRC-32 of all that follows the header. Then
``count`` descriptors of 48 octets, then the entries, int8 log2 likelihood ratios against uniform, in units of
2**-unit_log2 bit.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from enum import IntEnum
from fractions import Fraction
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    Entries = npt.NDArray[np.int8]

MAGIC: Final = b"LWTB"
VERSION: Final = 1
MAX_OCTETS: Final = 512 << 10
DRIFT_UNIT: Final = 32  # the drift of a descriptor counts 1/32 bit
MAX_TAIL_OCTETS: Final = 20
_HEADER = struct.Struct("<4sHHII")
_DESCRIPTOR = struct.Struct("<16s4BhHHHHHBBhII4x")
_VETO, _BY_FRAME, _CERTAIN = 1, 2, 4
_SCALE = 40  # likelihood ratios are compared as integers, rounded up, in units of 2**-40


class Kind(IntEnum):
    """What a symbol is, and what it is predicted from."""

    OCTET = 0
    BIT = 1


class OctetContext(IntEnum):
    """What an octet is predicted from."""

    TWO_NIBBLES = 0
    NIBBLE = 1
    NOTHING = 2
    BIG_ENDIAN_16 = 3

    @property
    def count(self) -> int:
        """How many contexts there are."""
        return (256, 16, 1, 128)[self]


@dataclass(frozen=True)
class Table:
    """One table: which payloads it applies to, and the score of each symbol in each context.

    Attributes:
        name: the codec's name, and after "~" what the table is for.
        context: an OctetContext, or the number of previous bits.
        veto: whether its rejection may be demanded before a stream is called encrypted.
        by_frame: two tables, for packets whose timestamp is the previous packet's, then for the first of a frame.
        certain: it predicts only what every frame of the codec has; its rejection is that of the codec.
        prior: weight 2**-prior in the mixture of all tables that apply to a payload type.
        frame_octets: a payload is whole frames and a tail of 0 to 20 octets; 0 for any length.
        min_octets, max_octets: the lengths it applies to.
        period_bits: the position of a bit is its index modulo this.
        cap: how many symbols are scored at most.
        entries: shape (contexts, 256), or (parts * period_bits, 2**context, 2).
    """

    name: str
    kind: Kind
    context: int
    veto: bool
    by_frame: bool
    certain: bool
    prior: int
    payload_type: int
    frame_octets: int
    min_octets: int
    max_octets: int
    period_bits: int
    cap: int
    entries: Entries

    @property
    def codec(self) -> str:
        """Name of the codec."""
        return self.name.split("~")[0]

    @property
    def unit_log2(self) -> int:
        """A score of 2**unit_log2 is one bit."""
        return 4 if self.kind is Kind.OCTET else 5

    @property
    def drift(self) -> int:
        """Expected score of a payload of ``cap`` uniform symbols, in 1/32 bit, rounded up; the weaker of two parts."""
        parts = self.entries.reshape(1 + self.by_frame, -1)
        if self.kind is Kind.BIT:
            positions = parts.reshape(len(parts), self.period_bits, -1).mean(axis=2)
            repeats = np.arange(self.cap) % self.period_bits
            score = positions[:, repeats].sum(axis=1).max()
        else:
            score = parts.mean() * self.cap
        return max(-32768, int(np.ceil(score * DRIFT_UNIT / 2**self.unit_log2)))

    def applies(self, octets: int) -> bool:
        """Whether the table scores payloads of this length."""
        tail = octets % self.frame_octets if self.frame_octets else 0
        return self.min_octets <= octets <= self.max_octets and tail <= MAX_TAIL_OCTETS

    def bounded(self) -> bool:
        """Whether in every context the likelihood ratios average to at most 1 under uniform symbols.

        Exact: each ratio 2**(entry/unit) is replaced by an integer that is not smaller, and the integers are summed.
        """
        symbols = self.entries.shape[-1]
        ratios = np.array([_ratio(entry, 1 << self.unit_log2) for entry in range(-128, 128)], dtype=np.uint64)
        sums = ratios[self.entries.astype(int) + 128].reshape(-1, symbols).sum(axis=1, dtype=np.uint64)
        return bool(np.all(sums <= symbols << _SCALE))


def _ratio(entry: int, unit: int) -> int:
    """Return the least integer r with r >= 2**(entry/unit) * 2**_SCALE, by comparing r**unit with a power of two."""
    power = entry + unit * _SCALE
    low, high = 0, 1 << (power // unit + 1)
    while low < high:
        middle = (low + high) // 2
        if middle**unit >= 1 << power:
            high = middle
        else:
            low = middle + 1
    return low


def violations(tables: Sequence[Table]) -> list[str]:
    """Return what keeps these tables from being a mixture whose expectation under uniform payloads is at most 1/2."""
    found = [f"{table.name}: a context exceeds the bound" for table in tables if not table.bounded()]
    for payload_type in sorted({table.payload_type for table in tables}):
        weight = sum(Fraction(1, 1 << table.prior) for table in tables if table.payload_type == payload_type)
        if weight > Fraction(1, 2):
            found.append(f"payload type {payload_type}: the weights of its tables sum to {float(weight)}")
    if len({table.name for table in tables}) < len(tables):
        found.append("two tables have one name")
    if len(pack(tables)) > MAX_OCTETS:
        found.append(f"{len(pack(tables))} octets, over {MAX_OCTETS}")
    return found


def pack(tables: Sequence[Table]) -> bytes:
    """Return the tables as one file."""
    begin = _HEADER.size + _DESCRIPTOR.size * len(tables)
    entries, descriptors = b"", []
    kept: dict[bytes, int] = {}  # a codec's tables for its static type and for dynamic ones are the same octets
    for table in tables:
        own = table.entries.tobytes()
        offset = kept.setdefault(own, begin + len(entries))
        if offset == begin + len(entries):
            entries += own
        descriptors.append(
            _DESCRIPTOR.pack(
                table.name.encode().ljust(16, b"\0"),
                table.kind,
                table.context,
                _VETO * table.veto | _BY_FRAME * table.by_frame | _CERTAIN * table.certain,
                table.prior,
                table.payload_type,
                table.frame_octets,
                table.min_octets,
                table.max_octets,
                table.period_bits,
                table.cap,
                table.unit_log2,
                0,
                table.drift,
                offset,
                table.entries.size,
            ),
        )
    body = b"".join(descriptors) + entries
    return _HEADER.pack(MAGIC, VERSION, len(tables), _HEADER.size + len(body), zlib.crc32(body)) + body


def unpack(data: bytes) -> list[Table]:
    """Return the tables of a file; ValueError says what is wrong with it."""
    if len(data) < _HEADER.size:
        raise ValueError("shorter than its header")
    magic, version, count, size, crc = _HEADER.unpack_from(data)
    if (magic, version, size) != (MAGIC, VERSION, len(data)) or crc != zlib.crc32(data[_HEADER.size :]):
        raise ValueError("not a file of codec tables of this version, or damaged")
    tables = []
    for index in range(count):
        values = _DESCRIPTOR.unpack_from(data, _HEADER.size + _DESCRIPTOR.size * index)
        name, kind, context, flags, prior, payload_type, frame, shortest, longest, period, cap = values[:11]
        offset, octets = values[14:]
        entries = np.frombuffer(data, np.int8, octets, offset)
        shape = (-1, 256) if kind == Kind.OCTET else (-1, 1 << context, 2)
        tables.append(
            Table(
                name.rstrip(b"\0").decode(),
                Kind(kind),
                context,
                bool(flags & _VETO),
                bool(flags & _BY_FRAME),
                bool(flags & _CERTAIN),
                prior,
                payload_type,
                frame,
                shortest,
                longest,
                period,
                cap,
                entries.reshape(shape),
            ),
        )
    return tables
