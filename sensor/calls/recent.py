"""What is remembered for a while only: two generations, the older of which is forgotten as a whole."""

from __future__ import annotations

from typing import Generic, TypeVar

KEPT_NS = 30_000_000_000  # at least so long, at most twice that
MOST = 1 << 16  # entries of one generation

Key = TypeVar("Key")
Value = TypeVar("Value")


class Recent(Generic[Key, Value]):
    """A dictionary whose memory is bounded by the rate of what is put in, not by how long it matters."""

    def __init__(self) -> None:
        self._new: dict[Key, Value] = {}
        self._old: dict[Key, Value] = {}
        self._since_ns = 0

    def get(self, key: Key) -> Value | None:
        """Return what was put last."""
        value = self._new.get(key)
        return self._old.get(key) if value is None else value

    def put(self, key: Key, value: Value, now_ns: int) -> None:
        """Remember a value; time is the packets' and may step back."""
        if len(self._new) >= MOST or not self._since_ns <= now_ns < self._since_ns + KEPT_NS:
            self._old, self._new, self._since_ns = self._new, {}, now_ns
        self._new[key] = value
