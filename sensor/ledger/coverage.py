"""What was seen of each minute, and what was not: one entry a minute of wall-clock time, pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from sensor.readiness import LEVELS
from sensor.recent import Growth

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from sensor.ledger.entries import Entry
    from sensor.readiness import Condition, Reason

MINUTE_MS = 60_000
STUCK_MS = 10_000  # between two looks: nobody looked meanwhile
# What is told of a minute, and the counters, or families of them, that it is the growth of
COUNTS = {
    "received": ("received",),
    "classified": ("classified",),
    "malformed": ("malformed",),
    "shed": ("shed",),
    "kernel_drops": ("kernel_drops",),
    "gaps": ("gaps_common", "gaps_unreported"),
    "duplicates": ("duplicates",),
    "one_way": ("media_one_way",),
}


class Legs(NamedTuple):
    """Legs with an end in a segment."""

    legs: int = 0
    clear: int = 0  # of these, with media in clear


class Coverage:
    """The minute that is being watched. Minutes begin with those of the clock; the first and the last are shorter.

    Counters are looked at about once a second, so what came at the very edge of a minute may count for the next one.
    """

    def __init__(self, interface: str, counters: Mapping[str, int], now_ms: int) -> None:
        self._interface = interface
        self._before = counters
        self._from = self._looked = now_ms
        self._reasons: set[Reason] = set()
        self._ended: dict[str, Legs] = {}

    def watch(self, holding: Iterable[Condition], now_ms: int) -> bool:
        """Take what keeps the sensor from seeing now; say whether the minute is over."""
        self._reasons.update(each.reason for each in holding)
        if now_ms - self._looked > STUCK_MS:
            self._reasons.add("stuck")
        if now_ms >= self._from:
            self._looked = now_ms
        return not self._from <= now_ms < self._end

    def leg_ended(self, segments: Iterable[str], *, clear: bool) -> None:
        """Take a leg that is over, by the segments of its ends."""
        _add(self._ended, segments, Legs(1, int(clear)))

    def turn(
        self, counters: Mapping[str, int], legs: Mapping[tuple[str, str], Legs], policy: Iterable[str], now_ms: int
    ) -> list[Entry]:
        """End the minute and begin the one that is now; return what is kept of it.

        ``legs`` are those in progress, ``policy`` the segments that are told even without any. Minutes in which nobody
        looked, as when the machine slept, are one more entry, and blind. When the clock was set back, the minute ends
        where it was looked last.
        """
        back, whole = now_ms < self._from, now_ms >= self._end
        until = self._looked if back else min(self._end, now_ms)
        begin = now_ms - now_ms % MINUTE_MS if whole else now_ms
        of = dict.fromkeys(policy, Legs()) | self._ended
        for ends, each in legs.items():
            _add(of, ends, each)
        told = [self._entry(counters, of, until)] if until > self._from else []
        if begin > until and not back:
            self._from, self._reasons = until, {"stuck"}
            told.append(self._entry(counters, {}, begin))
        self._before, self._reasons, self._ended = counters, set(), {}
        self._from, self._looked = begin, now_ms
        return told

    @property
    def _end(self) -> int:
        return self._from - self._from % MINUTE_MS + MINUTE_MS

    def _entry(self, counters: Mapping[str, int], legs: Mapping[str, Legs], until: int) -> Entry:
        growth, self._before = Growth(0.0, self._before, counters), counters
        reasons = [reason for reason in LEVELS if reason in self._reasons]
        blind = any(LEVELS[reason] == "blind" for reason in reasons)
        return {
            "kind": "coverage",
            "interface": self._interface,
            "from": self._from,
            "to": until,
            "state": "blind" if blind else "degraded" if reasons else "seen",
            "reasons": [*reasons],
            **{name: _grown(growth, counted) for name, counted in COUNTS.items()},
            "segments": [{"name": name, "legs": each.legs, "clear": each.clear} for name, each in legs.items()],
        }


def _grown(growth: Growth, counted: Iterable[str]) -> int:
    names = (name for name in growth.after if any(name == each or name.startswith(f"{each}.") for each in counted))
    return max(growth.of(*names), 0)


def _add(of: dict[str, Legs], segments: Iterable[str], more: Legs) -> None:
    for name in dict.fromkeys(segments):
        known = of.get(name, Legs())
        of[name] = Legs(known.legs + more.legs, known.clear + more.clear)
