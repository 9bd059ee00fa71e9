"""The reference scorer: what a payload scores under a table, and how many packets a stream needs.

Slow and plain, so that the fast one can be compared with it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from benchmarks.tables import symbols
from benchmarks.tables.layout import DRIFT_UNIT, Kind

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from benchmarks.tables.layout import Table
    from benchmarks.tables.symbols import Flags, Octets

    Scores = npt.NDArray[np.int64]

CLEAR_BITS = 40
REJECT_BITS = 20
LEAST_REJECTING = 8  # packets
# RFC 3711 section 3.1 allows a constant Master Key Identifier, here of up to eight octets, before a tag of ten or of
# four octets; RFC 7714 section 8.1 puts it at the very end. Octets are counted from the end of the payload.
MKI_PLACES = ((18, 10), (12, 4), (8, 0))
NO_ROOM_OCTETS = 4


def scored_symbols(table: Table, octets: int) -> int:
    """Return how many symbols of a payload of that length are scored; of a framed codec only whole frames."""
    if table.kind is Kind.OCTET:
        return min(octets, table.cap)
    if table.frame_octets and octets >= table.frame_octets:
        octets -= octets % table.frame_octets
    return min(8 * octets, table.cap)


def payload_scores(table: Table, payloads: Octets, first: Flags, *, whole: bool = False) -> Scores:
    """Return the score of each payload in 1/32 bit, the least over every place where an MKI can be.

    Args:
        table: it must apply to the length.
        payloads: one payload a row, all of one length.
        first: for each payload, whether it is the first of a frame.
        whole: the length is known to be the codec's own, so that there is no room for an MKI.
    """
    length = payloads.shape[1]
    found = symbols.indices(table, payloads, first)[:, : scored_symbols(table, length)]
    scores = table.entries.ravel()[found].astype(np.int64) * (DRIFT_UNIT >> table.unit_log2)
    place = np.arange(found.shape[1]) // (8 if table.kind is Kind.BIT else 1)
    least: Scores = scores.sum(axis=1)
    if length > NO_ROOM_OCTETS and not whole:
        total = least
        for start, end in MKI_PLACES:
            hidden = (place >= max(1, length - start)) & (place < length - end)
            least = np.minimum(least, total - scores[:, hidden].sum(axis=1))
    return least


def by_length(payloads: Sequence[bytes]) -> dict[int, npt.NDArray[np.intp]]:
    """Return for each payload length where in the sequence it occurs."""
    lengths = np.array([len(payload) for payload in payloads])
    return {int(length): np.flatnonzero(lengths == length) for length in np.unique(lengths)}


def stream_scores(
    tables: Sequence[Table],
    payloads: Sequence[bytes],
    first: Flags,
    *,
    whole: bool = False,
) -> Scores:
    """Return the score of each packet (column) under each table (row), 0 where the table does not apply."""
    scores = np.zeros((len(tables), len(payloads)), np.int64)
    for length, where in by_length(payloads).items():
        rows = np.frombuffer(b"".join(payloads[index] for index in where), np.uint8).reshape(len(where), length)
        for number, table in enumerate(tables):
            if table.applies(length):
                scores[number, where] = payload_scores(table, rows, first[where], whole=whole)
    return scores


def evidence(tables: Sequence[Table], scores: Scores) -> Scores:
    """Return after each packet the best weighted evidence of any table, in 1/32 bit."""
    priors = np.array([table.prior for table in tables])[:, None] * DRIFT_UNIT
    return np.asarray((np.cumsum(scores, axis=-1) - priors).max(axis=-2))


def packets_needed(tables: Sequence[Table], scores: Scores, start: int, bits: int = CLEAR_BITS) -> int | None:
    """Return how many packets from a start reach so many bits of evidence, or None if none do."""
    reached = np.flatnonzero(evidence(tables, scores[:, start:]) >= bits * DRIFT_UNIT)
    return int(reached[0]) + 1 if len(reached) else None


def wrongly_rejected(tables: Sequence[Table], scores: Scores, start: int, end: int | None) -> bool:
    """Whether from a start, before ``end``, every table that has a veto and scored at all is at -REJECT_BITS."""
    asked = [number for number, table in enumerate(tables) if table.veto and scores[number].any()]
    sums = np.cumsum(scores[asked, start:], axis=1)[:, LEAST_REJECTING:][:, :end]
    return bool(asked) and bool(np.any(sums.max(axis=0, initial=np.iinfo(np.int64).min) <= -REJECT_BITS * DRIFT_UNIT))
