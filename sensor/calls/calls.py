"""Calls: the legs that belong together, and the evidence that joins them.

Legs of one Call-ID are one call, and so are forks. Across a B2BUA, an SBC or a relay only evidence joins; that two legs
use one relay at the same time is none (docs/design/004).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

from sensor.calls.passing import is_passed_on
from sensor.calls.recent import Recent
from sensor.model import CallLeg

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from fastpath.records import Negotiation, Verdict
    from sensor.calls.leg import LegState

Evidence = Literal["session-id", "header", "replaces", "same-media", "same-stream", "identities"]

NS = 1_000_000_000
MAX_LEGS = 64  # of one call: what joins more of them joins everything
MAX_DIALOGS = 256
IDENTITIES_NS = 10 * NS  # between the two INVITEs of a call through a B2BUA
HOW: dict[Evidence, str] = {
    "session-id": "joined by Session-ID",
    "header": "joined by a header that the configuration names",
    "replaces": "joined by Replaces",
    "same-media": "joined by the same two media addresses and ports",
    "same-stream": "joined by SSRC, sequence numbers and timestamps that a relay passed on",
    "identities": "joined by caller and callee, and by the times of their INVITEs",
}
_STRENGTH = list(HOW)


class Call:
    """A call in progress."""

    __slots__ = ("dialogs", "first_ns", "from_user", "into", "joined", "keys", "last_ns", "legs", "name", "past",
                 "recording", "to_user")  # fmt: skip

    def __init__(self, name: str, ts_ns: int) -> None:
        self.name = name  # the Call-ID that was seen first
        self.from_user = ""
        self.to_user = ""
        self.recording = False
        self.dialogs = 0  # that have not ended
        self.legs: list[LegState] = []  # that are not over
        self.past: list[CallLeg] = []
        self.joined: tuple[Evidence, ...] = ()  # what joined its parts, the strongest first
        self.keys: list[Hashable] = [name]
        self.into: Call | None = None  # the call that it was found to be a part of
        self.first_ns = ts_ns
        self.last_ns = ts_ns

    def whole(self) -> Call:
        """Return the call that this is a part of."""
        call = self
        while call.into is not None:
            call = call.into
        return call

    def unlike_legs(self) -> tuple[LegState, LegState] | None:
        """Return a leg in clear and an encrypted one that are two sides of the call at one time, if there are such.

        Legs that share an end are none: answers to one offer, of which one is taken (RFC 3261 section 13.2.2.4). Nor is
        one whose dialogue is over, though its flow is not idle for long enough.
        """
        going = [leg for leg in self.legs if leg.flows and (leg.line is None or leg.dialogs > 0)]
        for clear in going:
            if not clear.is_clear():
                continue
            for safe in going:
                if safe.live() == "encrypted" and not clear.shares_end(safe):
                    return clear, safe
        return None

    def how(self) -> str:
        """Return what joins its legs, in words."""
        return HOW[self.joined[0]] if self.joined else "one Call-ID"


class _Invited(NamedTuple):
    call: Call
    source: str
    target: str
    ts_ns: int


class _Passed(NamedTuple):
    """Where a stream was judged; a verdict itself would be ten times as large."""

    leg: LegState
    flow: int
    seq: int
    timestamp: int
    ts_ns: int


class Calls:
    """The calls in progress.

    ``ended`` is told of each that is over; ``joined`` of each that another one became a part of, and of that one.
    """

    def __init__(self, joined: Callable[[Call, Call, int], None], ended: Callable[[Call], None]) -> None:
        self.joins_refused = 0  # calls that would have become too large
        self._joined = joined
        self._ended = ended
        self._by_key: dict[Hashable, Call] = {}
        self._invited: Recent[tuple[str, str], _Invited] = Recent()
        self._streams: Recent[int, tuple[_Passed, ...]] = Recent()
        self._unnamed = 0

    def __len__(self) -> int:
        """Return the number of calls in progress."""
        return len({id(call) for call in self._by_key.values()})

    def negotiated(self, record: Negotiation, *, is_new: bool) -> Call:
        """Return the call of a dialogue; ``is_new``: nothing was heard of the dialogue before."""
        call = self._by_key.get(record.call_id)
        if call is None:
            call = self._by_key[record.call_id] = Call(record.call_id, record.ts_ns)
        call.last_ns = max(call.last_ns, record.ts_ns)
        if not is_new:
            return call
        call.dialogs += 1
        call.from_user = call.from_user or record.from_user
        call.to_user = call.to_user or record.to_user
        call.recording = call.recording or record.recording
        for session in record.session_ids:
            call = self._named(call, ("session", session), "session-id", record.ts_ns)
        for header in record.headers:
            call = self._named(call, ("header", *header), "header", record.ts_ns)
        if record.replaces:
            call = self._named(call, record.replaces, "replaces", record.ts_ns)
        return self._by_identities(call, record)

    def dialog_ended(self, call: Call) -> None:
        """Note that one of a call's dialogues is over."""
        call = call.whole()
        call.dialogs -= 1
        self._close_if_over(call)

    def add(self, call: Call, leg: LegState) -> None:
        """Let a leg belong to a call."""
        call = call.whole()
        if leg.call is not call:
            if leg.call is not None:
                leg.call.legs.remove(leg)
            leg.call = call
            call.legs.append(leg)

    def leg_ended(self, leg: LegState) -> None:
        """Take a leg that is over out of its call."""
        call = leg.call
        if call is None:
            return
        call.legs.remove(leg)
        if leg.flow_ids or leg.accepted:
            call.last_ns = max(call.last_ns, leg.last_ns)
            call.past = [
                *call.past[1 - MAX_LEGS :],
                CallLeg(*leg.hosts(), leg.media, leg.signalled, leg.observed()),
            ]
        self._close_if_over(call)

    def close(self) -> None:
        """End every call, after its legs."""
        for call in dict.fromkeys(self._by_key.values()):
            call.dialogs = 0
            self._close_if_over(call)

    def same_media(self, leg: LegState, call: Call, ts_ns: int) -> None:
        """Join two calls of which one leg has the same two ends in both."""
        if leg.call is not None:
            self._join(leg.call, call.whole(), "same-media", ts_ns)

    def stream(self, leg: LegState, verdict: Verdict) -> None:
        """Take a stream's verdict: where another leg has the same stream, a relay passed it on."""
        others = self._streams.get(verdict.ssrc) or ()
        for other in others:
            if other.leg is not leg and other.flow != verdict.flow and is_passed_on(other, verdict):
                self._join(self._call_of(other.leg), self._call_of(leg), "same-stream", verdict.ts_ns)
        kept = tuple(other for other in others if other.flow != verdict.flow)[-3:]
        me = _Passed(leg, verdict.flow, verdict.seq, verdict.timestamp, verdict.ts_ns)
        self._streams.put(verdict.ssrc, (*kept, me), verdict.ts_ns)

    def _call_of(self, leg: LegState) -> Call:
        if leg.call is None:
            self._unnamed += 1
            name = f"unsignalled {self._unnamed}"
            call = self._by_key[name] = Call(name, leg.first_ns)
            self.add(call, leg)
        return leg.call.whole() if leg.call is not None else call

    def _named(self, call: Call, key: Hashable, evidence: Evidence, ts_ns: int) -> Call:
        """Join a call with the one that has the same key; be the one that has it from now on."""
        other = self._by_key.get(key)
        if other is not None:
            return self._join(other, call, evidence, ts_ns)
        self._by_key[key] = call
        call.keys.append(key)
        return call

    def _by_identities(self, call: Call, record: Negotiation) -> Call:
        """Join the two sides of a B2BUA: the same caller and callee, one host between both, almost at one time."""
        if not (record.from_user and record.to_user):
            return call
        source, target = (record.key.a, record.key.b) if record.from_a else (record.key.b, record.key.a)
        users = record.from_user, record.to_user
        before = self._invited.get(users)
        if (
            before is not None
            and before.call.whole() is not call
            and before.call.whole().dialogs > 0
            and abs(record.ts_ns - before.ts_ns) <= IDENTITIES_NS
            and record.state == "offered"
            and (before.target == source) != (before.source == target)
        ):
            call = self._join(before.call.whole(), call, "identities", record.ts_ns)
        self._invited.put(users, _Invited(call, source, target, record.ts_ns), record.ts_ns)
        return call

    def _join(self, one: Call, other: Call, evidence: Evidence, ts_ns: int) -> Call:
        one, other = one.whole(), other.whole()
        if one is other:
            return one
        if len(one.legs) + len(other.legs) >= MAX_LEGS or one.dialogs + other.dialogs > MAX_DIALOGS:
            self.joins_refused += 1
            return other
        if other.first_ns < one.first_ns:
            one, other = other, one
        other.into = one
        for key in other.keys:
            self._by_key[key] = one
        one.keys += other.keys
        for leg in other.legs:
            leg.call = one
        one.legs += other.legs
        one.past = [*one.past, *other.past][-MAX_LEGS:]
        one.dialogs += other.dialogs
        one.from_user = one.from_user or other.from_user
        one.to_user = one.to_user or other.to_user
        one.recording = one.recording or other.recording
        one.last_ns = max(one.last_ns, other.last_ns)
        one.joined = tuple(sorted({*one.joined, *other.joined, evidence}, key=_STRENGTH.index))
        other.legs, other.past, other.keys = [], [], []
        self._joined(one, other, ts_ns)
        return one

    def _close_if_over(self, call: Call) -> None:
        if call.legs or call.dialogs > 0:
            return
        for key in call.keys:
            if self._by_key.get(key) is call:
                del self._by_key[key]
        call.keys = []
        if call.past:
            self._ended(call)
