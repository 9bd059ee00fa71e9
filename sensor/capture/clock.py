"""The clock that stamps packets: whether it was set, whether somebody keeps it, and what time packets make."""

from __future__ import annotations

import ctypes
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fastpath.engine import Engine

STEP_NS = 500_000_000  # more than any correction by degrees makes between two looks
_TIMEX_OCTETS = 256  # struct timex has 208 on 64-bit Linux
_TIME_ERROR = 5  # adjtimex(2): the clock is not synchronised


class Clock:
    """Compares the wall clock with the monotonic one, which nobody can set."""

    def __init__(self) -> None:
        self.steps = 0
        self._ahead_ns = _ahead_ns()

    def look(self) -> None:
        """Count a step since the last look."""
        ahead_ns = _ahead_ns()
        self.steps += abs(ahead_ns - self._ahead_ns) > STEP_NS
        self._ahead_ns = ahead_ns

    @staticmethod
    def synchronised() -> bool:
        """Say whether a time daemon keeps the clock; true where the kernel does not tell."""
        return _adjtimex() != _TIME_ERROR


class PacketTime:
    """The time of an engine: that of its packets, and from the last one on it goes on by the monotonic clock."""

    def __init__(self, engine: Engine, monotonic_ns: int) -> None:
        self._engine = engine
        self._latest_ns = self._packet_ns = engine.now_ns
        self._since_ns = monotonic_ns

    def follow(self, monotonic_ns: int, *, quiet: bool, least_ns: int = 0) -> None:
        """Take it that no packet was waiting (``quiet``), or that some were; it is ``least_ns`` at the least then."""
        engine = self._engine
        if engine.now_ns != self._latest_ns:
            self._packet_ns, self._since_ns = engine.now_ns, monotonic_ns
        elif quiet:
            engine.advance(max(self._packet_ns + monotonic_ns - self._since_ns, least_ns))
        self._latest_ns = engine.now_ns


def _ahead_ns() -> int:
    return time.time_ns() - time.monotonic_ns()


def _adjtimex() -> int:
    # With no mode set it only reads, which needs no privilege.
    state: int = ctypes.CDLL(None).adjtimex(ctypes.create_string_buffer(_TIMEX_OCTETS))
    return state
