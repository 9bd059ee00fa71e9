"""Which SDES keys were chosen, by whom: only salted digests of them are known."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from sensor.calls.calls import Call
    from sensor.calls.leg import LegState

MAX_KEYS = 1 << 16  # the longest known make room


class _Use(NamedTuple):
    call: Call
    hosts: tuple[str, str]


class KeyUses:
    """The latest keys. One that is seen on several hops of one call, or in its forks, is used once."""

    def __init__(self) -> None:
        self._uses: dict[int, _Use] = {}

    def earlier(self, leg: LegState) -> tuple[str, str] | None:
        """Return the hosts of another call that had chosen one of a leg's keys before; note the leg's keys."""
        keys, call = leg.line.keys if leg.line else None, leg.call
        if keys is None or call is None:
            return None
        for digest in (keys.offerer, keys.answerer):
            if not digest:
                continue
            use = self._uses.get(digest)
            if use is None:
                self._uses[digest] = _Use(call, leg.hosts())
                if len(self._uses) > MAX_KEYS:
                    del self._uses[next(iter(self._uses))]
            elif use.call.whole() is not call.whole():
                return use.hosts
        return None
