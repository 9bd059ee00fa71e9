"""The pairs of hosts that may not talk, and those outside that take part in calls."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from sensor.network.passing import Passing
from sensor.policy import access
from sensor.policy.claims import NS

if TYPE_CHECKING:
    from fastpath.records import FlowKey
    from sensor.config.schema import Policy
    from sensor.findings import Book, Claim
    from sensor.policy.segments import Segments


class _Stranger(NamedTuple):
    """Two hosts that may not talk, by the flow that showed it first, as the holder of the finding."""

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
        self._held: Passing[_Stranger | _Peer] = Passing(book, int(policy.resolve_after * NS))
        self._firsts: dict[_Stranger | _Peer, tuple[FlowKey, str]] = {}  # of what is held, the flow that showed it

    @property
    def refused(self) -> int:
        """What found no room."""
        return self._held.refused

    def seen(self, flow: int, key: FlowKey, app: str, now_ns: int) -> None:
        """Take that two hosts exchange packets, and go on to."""
        if self._segments.isolates:
            self._hold(_stranger(key), key, app, access.violation(key, app, self._segments, self._policy), now_ns, flow)

    def calls(self, flow: int, key: FlowKey, now_ns: int) -> None:
        """Take that two hosts are in a call, or have agreed on one: not just that one of them asked."""
        holder = self._peer(key) if self._policy.vendors else None
        if holder is not None:
            self._hold(holder, key, "", self._vendor(holder, key, now_ns), now_ns, flow)

    def ended(self, flow: int, key: FlowKey, app: str, now_ns: int) -> None:
        """Take that a flow is over; what it carried may be known only now."""
        if not self._segments.isolates and not self._policy.vendors:
            return
        if app == "other":
            self.seen(flow, key, app, now_ns)
        for holder in (_stranger(key), self._peer(key)):
            if holder is not None:
                self._held.ended(holder, flow, now_ns)

    def reload(self, segments: Segments, policy: Policy, now_ns: int) -> None:
        """Judge what is held by another policy."""
        self._segments, self._policy = segments, policy
        self._held.after_ns = int(policy.resolve_after * NS)
        for holder in self._held:
            key, app = self._firsts[holder]
            if isinstance(holder, _Stranger):
                claims = access.violation(key, app, segments, policy)
            else:
                claims = self._vendor(holder, key, now_ns) if policy.vendors and self._peer(key) == holder else []
            self._held.judge(holder, claims, now_ns)
        self._forget()

    def sweep(self, now_ns: int) -> None:
        """Resolve what was not seen again for the policy's time."""
        self._held.sweep(now_ns)
        self._forget()

    def _hold(
        self, holder: _Stranger | _Peer, key: FlowKey, app: str, claims: list[Claim], now_ns: int, flow: int
    ) -> None:
        if claims:  # other traffic between the same two hosts may be allowed: it says nothing of this
            self._held.hold(holder, claims, now_ns, flow)
            self._firsts.setdefault(holder, (key, app))

    def _forget(self) -> None:
        held = set(self._held)
        for holder in [each for each in self._firsts if each not in held]:
            del self._firsts[holder]

    def _peer(self, key: FlowKey) -> _Peer | None:
        a, b = (access.is_external(host, key.vlans, self._segments) for host in (key.a, key.b))
        if a == b:  # traffic between strangers, or inside
            return None
        return _Peer(key.a, key.b) if a else _Peer(key.b, key.a)

    def _vendor(self, holder: _Peer, key: FlowKey, now_ns: int) -> list[Claim]:
        required = self._segments.required(key.a, key.b, key.vlans)
        return access.peer(*holder, required, self._policy, now_ns)


def _stranger(key: FlowKey) -> _Stranger:
    return _Stranger(key.a, key.b) if key.a <= key.b else _Stranger(key.b, key.a)
