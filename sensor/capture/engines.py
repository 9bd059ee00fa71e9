"""The engines of one sensor as if they were one: their records in order, their counts together."""

from __future__ import annotations

import time
from bisect import bisect_right
from operator import itemgetter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fastpath.engine import Engine
    from fastpath.records import Record

HOLD_S = 1.0  # that a record waits for engines that lag
JUMP_NS = 3600 * 1_000_000_000  # a step back that is a clock which was set (sensor/analysis.py)


class Engines:
    """Engines that share (``Engine``'s argument), each with a part of the packets; with one there is nothing to do."""

    def __init__(self, engines: Sequence[Engine]) -> None:
        self._engines = engines
        self._told_ns = [0] * len(engines)  # the latest time of a record of each
        self._held: list[tuple[int, Record]] = []
        self._held_since = 0.0
        self._now_ns = 0
        self._ended = False

    @property
    def now_ns(self) -> int:
        """The packet time up to which ``drain`` has told all."""
        return self._engines[0].now_ns if len(self._engines) == 1 else self._now_ns

    def counters(self) -> dict[str, int]:
        """Return the engines' counts together."""
        first, *others = (engine.counters() for engine in self._engines)
        counts = {name: count + sum(other[name] for other in others) for name, count in first.items()}
        counts["overload_stage"] = max(each["overload_stage"] for each in (first, *others))
        return counts

    def drain(self) -> list[Record]:
        """Return the records since the last call; those of several engines in the order of their time.

        A record that is later than some engine's time waits: that engine may still have something earlier to say.
        """
        if len(self._engines) == 1:
            return self._engines[0].drain()
        self._now_ns = min(engine.now_ns for engine in self._engines)
        if not self._held:
            self._held_since = time.monotonic()
        for number in range(len(self._engines)):
            self._held += self._records(number)
        self._held.sort(key=itemgetter(0))
        # An engine whose clock was set, or whose thread gets no CPU, does not stop the others for long.
        if self._ended or time.monotonic() - self._held_since > HOLD_S:
            ready = len(self._held)
        else:
            ready = bisect_right(self._held, self._now_ns, key=itemgetter(0))
        if ready:
            self._held_since = time.monotonic()
        out = [record for _, record in self._held[:ready]]
        del self._held[:ready]
        return out

    def finish(self) -> bool:
        """End every flow, as the input has ended. Returns True while more remain: drain and call again."""
        self._ended = True
        more = [engine.finish() for engine in self._engines]
        return any(more)

    def _records(self, number: int) -> list[tuple[int, Record]]:
        # What an engine says stays in its order: the end of a flow, which bears the time of its last packet, is not
        # told before what was said of another flow meanwhile.
        told_ns = self._told_ns[number]
        out = []
        for record in self._engines[number].drain():
            if record.ts_ns > told_ns or told_ns - record.ts_ns >= JUMP_NS:
                told_ns = record.ts_ns
            out.append((told_ns, record))
        self._told_ns[number] = told_ns
        return out
