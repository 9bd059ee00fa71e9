"""The thread that feeds an engine from a ring."""

from __future__ import annotations

import threading
import time

from fastpath.engine import Engine
from fastpath.ring import RingSource

PAUSE_S = 0.001

_BUDGET = 1 << 20
_TIMEOUT = 0


class CaptureThread(threading.Thread):
    """Feeds the engine from the ring, mostly without the interpreter's lock, until the ring ends."""

    def __init__(self, engine: Engine, ring: RingSource, records: threading.Event) -> None:
        super().__init__(name="capture", daemon=True)
        self._records = records  # set when they should be fetched at once
        self._engine = engine
        self._ring = ring
        self.beat = time.monotonic()
        self.status = 1

    def run(self) -> None:
        """Go on until the ring ends; ``status`` then says why."""
        # With no packet coming, packet time goes on by the monotonic clock, from the last packet on.
        engine = self._engine
        now_ns = latest_ns = engine.now_ns
        since_ns = time.monotonic_ns()
        while self.status >= 0:
            self.status = engine.process(self._ring, _BUDGET)
            self.beat = time.monotonic()
            if self.status > 0:
                # Perhaps there is no room for records: the ring can wait for this, and turning in circles helps nobody.
                self._records.set()
                time.sleep(PAUSE_S)
            if engine.now_ns != latest_ns:
                now_ns, since_ns = engine.now_ns, time.monotonic_ns()
            elif self.status == _TIMEOUT:
                engine.advance(now_ns + time.monotonic_ns() - since_ns)
            latest_ns = engine.now_ns
