"""A row of the table: what was seen, and whether that is good enough."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

NEVER = 1 << 30


@dataclass(frozen=True, slots=True)
class Limit:
    """What a figure must not exceed."""

    most: float
    floor: str
    goal: str = ""


NOTHING = Limit(0, "0", "0")


@dataclass(frozen=True, slots=True)
class Row:
    """One figure of the table: what was seen in words, and with a limit the value that it holds for."""

    what: str
    seen: str
    limit: Limit | None = None
    value: float = 0

    @property
    def kept(self) -> bool:
        """Whether the limit was kept."""
        return self.limit is None or self.value <= self.limit.most

    def __str__(self) -> str:
        """Return the row as a line."""
        if self.limit is None:
            return f"{self.what:46} {self.seen}".rstrip()
        return _line(self.what, self.seen, self.limit.floor, self.limit.goal, "ok" if self.kept else "MISS")


def _line(what: str, seen: str, floor: str, goal: str, mark: str = "") -> str:
    return f"{what:46} {seen:68} {floor:24} {goal:14} {mark}".rstrip()


HEADING = _line("", "seen", "floor", "goal")


def at(values: Sequence[int], share: float) -> int:
    """Return the least value that so great a share of the values does not exceed; NEVER when there are none."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)] if ordered else NEVER


def text(packets: int) -> str:
    """Return a number of packets in words."""
    return "never" if packets >= NEVER else str(packets)


def shares(values: Sequence[int]) -> str:
    """Return median, 95th, 99th and 99.9th percentile and the greatest value."""
    return "/".join(text(at(values, share)) for share in (0.5, 0.95, 0.99, 0.999, 1.0))


def lost(values: Sequence[int]) -> int:
    """Return how many values are NEVER."""
    return sum(value >= NEVER for value in values)


def share_lost(values: Sequence[int]) -> float:
    """Return the share of the values that are NEVER; 1 when there are none."""
    return lost(values) / len(values) if values else 1.0


def rule_of_three(trials: int) -> str:
    """Return what no event in so many independent trials shows: the rate, with 95 % confidence."""
    return f"< {3 / trials:.1e} each" if trials else "nothing tried"
