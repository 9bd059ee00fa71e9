"""Counters over the last minute: what they grew by, and how fast. Time is given, in seconds of any steady clock."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

WINDOW_S = 60.0  # that is looked back over
RATE_S = 10.0  # that a rate is taken over


class Growth(NamedTuple):
    """What counters grew by within some seconds."""

    seconds: float
    before: Mapping[str, int]
    after: Mapping[str, int]

    def of(self, *names: str) -> int:
        """Return what these grew by together; those that are not counted are 0."""
        return sum(self.after.get(name, 0) - self.before.get(name, 0) for name in names)

    def rate(self, *names: str) -> float:
        """Return that for one second."""
        return self.of(*names) / self.seconds if self.seconds else 0.0


class Recent:
    """The looks of the last minute at counters that are 0 now, about one a second."""

    def __init__(self, now_s: float) -> None:
        self._looks: deque[tuple[float, Mapping[str, int]]] = deque([(now_s, {})])

    def look(self, counters: Mapping[str, int], now_s: float) -> None:
        """Take counters, which nobody changes afterwards."""
        self._looks.append((now_s, counters))
        while len(self._looks) > 1 and self._looks[1][0] <= now_s - WINDOW_S:
            self._looks.popleft()

    def growth(self, seconds: float = WINDOW_S) -> Growth:
        """Return what they grew by in the last seconds, or since the first look that is kept."""
        now_s, after = self._looks[-1]
        long_ago = (look for look in reversed(self._looks) if look[0] <= now_s - seconds)
        then_s, before = next(long_ago, self._looks[0])
        return Growth(now_s - then_s, before, after)
