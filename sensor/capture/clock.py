"""The clock that packets are stamped with: whether it was set while we looked, and whether somebody keeps it."""

from __future__ import annotations

import ctypes
import time

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


def _ahead_ns() -> int:
    return time.time_ns() - time.monotonic_ns()


def _adjtimex() -> int:
    # With no mode set it only reads, which needs no privilege.
    state: int = ctypes.CDLL(None).adjtimex(ctypes.create_string_buffer(_TIMEX_OCTETS))
    return state
