"""Payloads as symbols in contexts: the one place that says which entry of a table a symbol takes.

Training counts these indices; scoring looks them up.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import numpy as np

from benchmarks.tables.layout import Kind, OctetContext

if TYPE_CHECKING:
    import numpy.typing as npt

    Octets = npt.NDArray[np.uint8]
    Indices = npt.NDArray[np.int32]
    Flags = npt.NDArray[np.bool_]


class Shape(Protocol):
    """What of a table decides the indices."""

    @property
    def kind(self) -> Kind: ...  # noqa: D102
    @property
    def context(self) -> int: ...  # noqa: D102
    @property
    def by_frame(self) -> bool: ...  # noqa: D102
    @property
    def period_bits(self) -> int: ...  # noqa: D102
    @property
    def cap(self) -> int: ...  # noqa: D102


def indices(shape: Shape, payloads: Octets, first: Flags) -> Indices:
    """Return the flat entry index of every scored symbol.

    Args:
        shape: of the table.
        payloads: one payload a row, all of one length.
        first: for each payload, whether it is the first of a frame (its timestamp is new).

    Returns:
        One row a payload, one column a symbol (octets, or bits from the most significant).
    """
    if shape.kind is Kind.OCTET:
        return _octets(OctetContext(shape.context), payloads[:, : shape.cap].astype(np.int32))
    bits = np.unpackbits(payloads[:, : (shape.cap + 7) // 8], axis=1)[:, : shape.cap].astype(np.int32)
    context = np.zeros_like(bits)
    for back in range(1, min(shape.context, bits.shape[1] - 1) + 1):
        context[:, back:] |= bits[:, :-back] << (back - 1)
    position = np.arange(bits.shape[1], dtype=np.int32)[None, :] % shape.period_bits
    if shape.by_frame:
        position = position + shape.period_bits * first[:, None].astype(np.int32)
    return ((position << shape.context | context) << 1) | bits


def _octets(context: OctetContext, octets: Indices) -> Indices:
    last, before = np.zeros_like(octets), np.zeros_like(octets)
    last[:, 1:] = octets[:, :-1]
    before[:, 2:] = octets[:, :-2]
    match context:
        case OctetContext.TWO_NIBBLES:
            number = last >> 4 << 4 | before >> 4
        case OctetContext.NIBBLE:
            number = last >> 4
        case OctetContext.NOTHING:
            number = np.zeros_like(octets)
        case OctetContext.BIG_ENDIAN_16:
            odd = np.arange(octets.shape[1])[None, :] % 2 == 1
            number = np.where(odd, 64 + (last >> 2), before >> 2).astype(np.int32)
    return number << 8 | octets
