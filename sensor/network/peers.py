"""The pairs of hosts that may not talk, and those outside that take part in calls."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from sensor.network.passing import Passing
from sensor.policy import access
from sensor.policy.claims import NS

if TYPE_CHECKING:
    from fastpath.records import FlowKey
    from sensor.config.schema import Policy
    from sensor.findings import Book
    from sensor.policy.segments import Segments


class _Stranger(NamedTuple):
    """Two hosts that may not talk, as the holder of the finding."""

    a: str
    b: str


class _Peer(NamedTuple):
    """A host outside and one inside that are in a call, as the holder of the finding."""

    outside: str
    inside: str


class Peers:
    """Judges who talks with whom; without isolated segments and vendors in the policy it costs one comparison."""

    def __init__(self, book: Book, segments: Segments, policy: Policy) -> None:
        self._segments = segments
        self._policy = policy
        self._held = Passing(book, int(policy.resolve_after * NS))

    @property
    def refused(self) -> int:
        """What found no room."""
        return self._held.refused

    def seen(self, key: FlowKey, app: str, now_ns: int, *, calls: bool) -> None:
        """Take that two hosts exchange packets; ``calls``: of a call or its signalling."""
        if self._segments.isolates and not self._held.renew(_Stranger(key.a, key.b), now_ns):
            self._held.hold(_Stranger(key.a, key.b), access.violation(key, app, self._segments, self._policy), now_ns)
        if calls and self._policy.vendors:
            self._vendor(key, now_ns)

    def reload(self, segments: Segments, policy: Policy, now_ns: int) -> None:
        """Judge by another policy from the next packets on."""
        self._segments, self._policy = segments, policy
        self._held.after_ns = int(policy.resolve_after * NS)
        self._held.clear(now_ns)

    def sweep(self, now_ns: int) -> None:
        """Resolve what was not seen again for the policy's time."""
        self._held.sweep(now_ns)

    def _vendor(self, key: FlowKey, now_ns: int) -> None:
        a, b = (access.is_external(host, key.vlans, self._segments) for host in (key.a, key.b))
        if a == b:  # traffic between strangers, or inside
            return
        holder = _Peer(key.a, key.b) if a else _Peer(key.b, key.a)
        if not self._held.renew(holder, now_ns):
            required = self._segments.required(key.a, key.b, key.vlans)
            self._held.hold(holder, access.peer(*holder, required, self._policy, now_ns), now_ns)
