"""From probabilities to integer scores that keep the bound and lose as little as possible."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    from benchmarks.tables.layout import Entries

    Probabilities = npt.NDArray[np.float64]

OCTET_UNIT = 16
BIT_UNIT = 32
LEAST = -128


def _bit_pairs() -> npt.NDArray[np.int64]:
    """Every pair (score if 0, score if 1) that wastes nothing: the loser gets all that the winner leaves of 2."""
    pairs = [(0, 0)]
    for winner in range(1, BIT_UNIT):
        loser = int(np.floor(BIT_UNIT * np.log2(2 - 2 ** (winner / BIT_UNIT)) - 1e-9))
        if loser >= LEAST:
            pairs += [(loser, winner), (winner, loser)]
    return np.array(pairs)


_PAIRS = _bit_pairs()


def bits(probabilities: Probabilities, worthwhile: float) -> Entries:
    """Return scores of shape (positions, contexts, 2) for probabilities of that shape.

    A context whose best pair gains less than ``worthwhile`` bit a visit is (0, 0): near one half the rounding of a
    pair costs more than it gains, and a hundred such bits would drown the few that tell.
    """
    expected = probabilities @ _PAIRS.T
    best = expected.argmax(axis=-1)
    best[expected.max(axis=-1) < worthwhile * BIT_UNIT] = 0
    entries: Entries = _PAIRS[best].astype(np.int8)
    return entries


def octets(probabilities: Probabilities, worthwhile: float) -> Entries:
    """Return scores of shape (contexts, 256): the ideal ones rounded down after the largest shift that keeps the bound.

    A context that gains less than ``worthwhile`` bit a visit is all zero.
    """
    ideal = OCTET_UNIT * np.log2(256 * probabilities)
    entries = np.zeros(ideal.shape, np.int64)
    for context, scores in enumerate(ideal):
        for shift in np.arange(1, -1 / 16, -1 / 16):
            rounded = np.clip(np.floor(scores + shift), LEAST, 127)
            if np.sum(2 ** (rounded / OCTET_UNIT)) <= 256 * (1 - 1e-9):
                break
        if probabilities[context] @ rounded >= worthwhile * OCTET_UNIT:
            entries[context] = rounded
    return entries.astype(np.int8)
