"""How long legs are in clear, by the segments of their ends."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Hashable

Ends = tuple[str, str]  # names of segments, in the order of the leg's hosts


class InClear(NamedTuple):
    """Legs in clear between two segments."""

    legs: int  # now
    ns: int  # leg-time since the start, that of legs that are over included


class Unprotected:
    """The legs that are in clear now, and for how long they and earlier ones were."""

    def __init__(self) -> None:
        self._since: dict[Hashable, tuple[Ends, int]] = {}
        self._over: dict[Ends, int] = {}
        self._given: dict[Ends, int] = {}  # the most that was told

    def judge(self, leg: Hashable, ends: Ends, clear_ns: int | None, now_ns: int) -> None:
        """Take that a leg is in clear since ``clear_ns``, or (None) that it is not, or not any more."""
        if clear_ns is None:
            before = self._since.pop(leg, None)
            if before is not None:
                self._over[before[0]] = self._over.get(before[0], 0) + max(now_ns - before[1], 0)
        elif leg not in self._since:
            self._since[leg] = (ends, clear_ns)

    def totals(self, now_ns: int) -> dict[Ends, InClear]:
        """Return the figures by pair of segments; may be called from another thread."""
        totals = {ends: InClear(0, ns) for ends, ns in list(self._over.items())}
        for ends, since_ns in list(self._since.values()):
            legs, ns = totals.get(ends, InClear(0, 0))
            totals[ends] = InClear(legs + 1, ns + max(now_ns - since_ns, 0))
        # A leg that goes silent counts on until it is known to be over, and a counter must not go down again.
        for ends, (legs, ns) in totals.items():
            self._given[ends] = given = max(ns, self._given.get(ends, 0))
            totals[ends] = InClear(legs, given)
        return totals
