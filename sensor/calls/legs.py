"""Legs: what was agreed for a dialogue's media, joined with the flows that carry it.

A flow finds its leg by the address and port of its ends, one matching end being enough (symmetric RTP behind NAT,
RFC 4961). Media that no signalling explains is a leg of its own.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, NamedTuple

from sensor.calls.certificates import unannounced
from sensor.calls.leg import LegState, MediaFlow, ends, key_exchange, protection
from sensor.calls.passing import went_on
from sensor.calls.quality import quality_of
from sensor.model import WORSE, FlowContext, KeyExchange, Signalled
from sensor.signalling.agreement import Line, lines

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from fastpath.records import (
        AppSeen,
        Certificate,
        Control,
        FlowEnded,
        FlowKey,
        Hello,
        MediaNamed,
        Negotiation,
        Tones,
        Verdict,
    )
    from sensor.calls.calls import Call, Calls
    from sensor.signalling.agreement import End

NS = 1_000_000_000
MAX_FLOWS = 256  # ids a leg record names
MAX_ENDS = 32  # addresses and ports a leg is found by
MAX_NAMED = 1 << 16  # ends that older signalling named

# What that agrees on
_IN_CLEAR = Line("audio", "clear", accepted=True, sdes=False, offerer=None, answerer=None)
_WITH_KEYS = _IN_CLEAR._replace(signalled="srtp-sdes", sdes=True)

_KEYING: dict[str, KeyExchange] = {"dtls": "dtls", "zrtp": "zrtp"}


class Unexplained(NamedTuple):
    """Where a stream that no signalling explains was last judged."""

    leg: LegState
    timestamp: int
    ts_ns: int


class Dialog:
    """The legs of one dialogue on one hop, m-line by m-line."""

    __slots__ = ("call", "legs")

    def __init__(self, call: Call) -> None:
        self.call = call
        self.legs: list[LegState | None] = []


class Legs:
    """The legs in progress.

    ``judge`` is called when a leg's state or promise may have changed, with the packet time of the change; ``ended``
    with a leg that is over and has something to say: media, or an answer that announced some.
    """

    def __init__(self, calls: Calls, judge: Callable[[LegState, int], None], ended: Callable[[LegState], None]) -> None:
        self._calls = calls
        self._judge = judge
        self._ended = ended
        self._dialogs: dict[int, Dialog] = {}
        self._flows: dict[int, MediaFlow] = {}
        self._legs: dict[LegState, None] = {}
        self._by_end: dict[End, LegState] = {}  # the latest leg that was agreed there
        self._named: dict[End, Line] = {}
        self._strays: dict[End, MediaFlow] = {}  # ends of media that no signalling explains
        self._unexplained: dict[tuple[int, str, str], Unexplained] = {}  # its streams: SSRC, sender, receiver

    def __len__(self) -> int:
        """Return the number of legs in progress."""
        return len(self._legs)

    def __iter__(self) -> Iterator[LegState]:
        """Iterate over the legs in progress."""
        return iter(list(self._legs))

    def negotiated(self, record: Negotiation) -> None:
        """Take what a dialogue offered or agreed, or that it ended."""
        if record.state == "ended":
            self._hung_up(record.dialog)
            return
        dialog = self._dialogs.get(record.dialog)
        call = self._calls.negotiated(record, is_new=dialog is None)
        if dialog is None:
            dialog = self._dialogs[record.dialog] = Dialog(call)
        dialog.call = call
        legs = dialog.legs
        for i, line in enumerate(lines(record.offer, record.answer, accepted=record.state == "agreed")):
            if i == len(legs):
                legs.append(None)
            before = legs[i]
            if line is None:
                if before is not None and not before.accepted:
                    self._let_go(before)
                    legs[i] = None
                continue
            leg = self._leg_of(dialog, record, i, line)
            if leg in legs[:i]:
                # The same ends twice: alternatives until the answer takes one, or media in one bundle (RFC 9143).
                if not line.accepted and leg.line is not None and leg.signalled != line.signalled:
                    leg.line = leg.line._replace(signalled="unknown")
            else:
                self._promise(leg, record, line)

    def _hung_up(self, number: int) -> None:
        dialog = self._dialogs.pop(number, None)
        if dialog is not None:
            for leg in dialog.legs:
                self._let_go(leg)
            self._calls.dialog_ended(dialog.call)

    def named(self, record: MediaNamed) -> None:
        """Take an end that older signalling, which is always in clear, named for media."""
        end = record.address, record.port
        self._named.pop(end, None)
        self._named[end] = line = _WITH_KEYS if record.keys else _IN_CLEAR
        if len(self._named) > MAX_NAMED:
            del self._named[next(iter(self._named))]
        flow = self._strays.get(end)
        if flow is not None and flow.leg is not None and flow.leg.line is None:
            flow.leg.line = line
            self._judge(flow.leg, record.ts_ns)

    def app_seen(self, record: AppSeen) -> None:
        """Take what a flow carries."""
        if record.app == "rtp":
            self._media_flow(record.flow, record.key, record.ts_ns)
        elif record.app == "t38":
            _, leg = self._media_flow(record.flow, record.key, record.ts_ns)
            leg.sightings.fax = record.key
            self._judge(leg, record.ts_ns)
        elif record.app in _KEYING:
            flow = self._flow(record.flow, record.key)
            flow.keying = record.app
            if flow.leg is not None:
                flow.leg.keying = _KEYING[record.app]

    def verdict(self, record: Verdict) -> None:
        """Take a stream's verdict."""
        flow, leg = self._media_flow(record.flow, record.key, record.ts_ns)
        if leg.line is None:
            leg = self._continued(flow, leg, record)
        self._calls.stream(leg, record)  # before it is judged: what joins calls may explain it
        before = leg.live()
        is_news = leg.judged(record)
        flow.judged(record)
        after = leg.live()
        if after == "undetermined" != before:
            leg.unsettled_ns = record.ts_ns
        if is_news or before != after:
            self._judge(leg, record.ts_ns)

    def _continued(self, flow: MediaFlow, leg: LegState, record: Verdict) -> LegState:
        """Return the leg of a stream that no signalling explains.

        Where its SSRC went between the same two hosts before and its timestamps went on as the time did, it is that
        one's, on other ports after a re-INVITE that was not seen.
        """
        a, b = record.key.a, record.key.b
        stream = (record.ssrc, a, b) if record.from_a else (record.ssrc, b, a)
        before = self._unexplained.get(stream)
        if before is not None and before.leg is not leg and went_on(before.timestamp, before.ts_ns, record):
            self._move(flow, before.leg, record.ts_ns)
            leg = before.leg
        self._unexplained[stream] = Unexplained(leg, record.timestamp, record.ts_ns)
        leg.unexplained = (*leg.unexplained[1 - MAX_ENDS :], stream)
        return leg

    def control(self, record: Control) -> None:
        """Take the protection of a flow's RTCP."""
        leg = self._leg_at(record.flow, record.key)
        if leg is not None and (record.protection == "clear" or leg.seen is not None):
            leg.sightings.control = record if record.protection == "clear" else None
            self._judge(leg, record.ts_ns)

    def tones(self, record: Tones) -> None:
        """Take that telephone events could be read."""
        _, leg = self._media_flow(record.flow, record.key, record.ts_ns)
        leg.sightings.tones = record
        self._judge(leg, record.ts_ns)

    def hello(self, record: Hello) -> None:
        """Take what a DTLS handshake chose."""
        if record.srtp_profile:
            leg = self._leg_at(record.flow, record.key)
            if leg is not None:
                leg.sightings.profile = record.srtp_profile
                self._judge(leg, record.ts_ns)
            else:
                self._flow(record.flow, record.key).profile = record.srtp_profile

    def certificate(self, record: Certificate) -> None:
        """Take a certificate of a DTLS handshake; hold it against what the signalling announced."""
        flow = self._flow(record.flow, record.key)
        flow.certificates = (*flow.certificates[-3:], record.der)
        leg = flow.leg or self._find(record.key)
        if leg is not None:
            self._authenticate(leg, flow, record.ts_ns)

    def flow_ended(self, record: FlowEnded) -> FlowContext:
        """Take the end of any flow; return what the signalling adds to it."""
        if record.app in ("rtp", "t38"):
            self._media_flow(record.flow, record.key, record.first_ns)
        flow = self._flows.pop(record.flow, None)
        if flow is None or flow.leg is None:
            return UNSIGNALLED
        leg, key = flow.leg, record.key
        for end in ends(key):
            if self._strays.get(end) is flow:
                del self._strays[end]
        before = leg.live()
        leg.flows.remove(flow)
        leg.clears = tuple(verdict for verdict in leg.clears if verdict.flow != record.flow)
        keying = _KEYING.get(record.key_exchange or flow.keying, "unknown")
        if keying != "unknown":
            leg.keying = keying
        for stream in record.streams:
            leg.packets += stream.packets
            leg.lost += stream.lost
        leg.quality = quality_of(record.streams, leg.quality)
        leg.first_ns = min(leg.first_ns, record.first_ns)
        leg.last_ns = max(leg.last_ns, record.last_ns)
        state = protection(record.protection)
        if record.last_ns > leg.last_media_ns + NS or (
            record.last_ns > leg.last_media_ns - NS and WORSE[state] > WORSE[leg.last_state]
        ):
            leg.last_state = state
        leg.last_media_ns = max(leg.last_media_ns, record.last_ns)
        signalled = flow.left or leg.signalled
        context = _context(signalled, key_exchange(keying, signalled, state, sdes=leg.sdes))
        # The core ends an idle flow later than its last packet, and every other one with it.
        leg.cut_off = record.ts_ns <= record.last_ns
        if before != leg.live() and leg.is_notable():
            self._judge(leg, record.last_ns)
        self._close_if_over(leg)
        return context

    def close(self) -> None:
        """End every leg."""
        for leg in self:
            leg.cut_off = True
            self._close(leg)

    def _flow(self, flow_id: int, key: FlowKey) -> MediaFlow:
        flow = self._flows.get(flow_id)
        if flow is None:
            flow = self._flows[flow_id] = MediaFlow(flow_id, key)
        return flow

    def _media_flow(self, flow_id: int, key: FlowKey, ts_ns: int) -> tuple[MediaFlow, LegState]:
        """Return a flow that carries media, and its leg."""
        flow = self._flow(flow_id, key)
        leg = flow.leg
        if leg is None:
            flow.media = True
            leg = self._find(key)
            if leg is None:
                leg = self._begin(ts_ns)
                leg.line = self._named.get((key.a, key.a_port)) or self._named.get((key.b, key.b_port))
                self._strays[key.a, key.a_port] = self._strays[key.b, key.b_port] = flow
            leg.unsettled_ns = leg.unsettled_ns or ts_ns
            self._join(flow, leg, ts_ns)
            if len(leg.flow_ids) >= MAX_FLOWS:
                del leg.flow_ids[0]
            leg.flow_ids.append(flow_id)
        return flow, leg

    def _leg_at(self, flow_id: int, key: FlowKey) -> LegState | None:
        """Return the leg that a flow beside its media belongs to: RTCP on the next ports (RFC 3550 section 11)."""
        flow = self._flows.get(flow_id)
        if flow is not None and flow.leg is not None:
            return flow.leg
        return self._find(key) or self._find(key._replace(a_port=key.a_port - 1, b_port=key.b_port - 1))

    def _find(self, key: FlowKey) -> LegState | None:
        """Return the leg at either end of a flow; where they differ, the one that has both, else the later one."""
        a_end, b_end = ends(key)
        a, b = self._in_progress(a_end), self._in_progress(b_end)
        if a is None or b is None or a is b:
            return a or b or self._stray_leg(a_end, b_end)
        if b_end in a.ends:
            return a
        return b if a_end in b.ends or b.last_ns >= a.last_ns else a

    def _stray_leg(self, a_end: End, b_end: End) -> LegState | None:
        """Return the leg of unexplained media between the same two ends."""
        flow = self._strays.get(a_end)
        return flow.leg if flow is not None and flow is self._strays.get(b_end) else None

    def _in_progress(self, end: End) -> LegState | None:
        """Return the leg that was agreed at an end, unless its call is over: its port may be anyone's by now."""
        leg = self._by_end.get(end)
        return leg if leg is not None and leg.dialogs > 0 else None

    def _join(self, flow: MediaFlow, leg: LegState, ts_ns: int) -> None:
        flow.leg = leg
        leg.flows.append(flow)
        leg.key = flow.key
        if flow.keying:
            leg.keying = _KEYING[flow.keying]
        if flow.profile:
            leg.sightings.profile = flow.profile
        self._authenticate(leg, flow, ts_ns)

    def _authenticate(self, leg: LegState, flow: MediaFlow, ts_ns: int) -> None:
        """Hold the certificates that a flow showed against the fingerprints of an answer and its offer."""
        if not flow.certificates or leg.line is None or not leg.line.accepted:
            return
        wrong = unannounced(flow.certificates, leg.fingerprints)
        if wrong != (leg.seen.mismatch if leg.seen else None):
            leg.sightings.mismatch = wrong
            self._judge(leg, ts_ns)

    def _begin(self, ts_ns: int) -> LegState:
        leg = LegState(ts_ns)
        self._legs[leg] = None
        return leg

    def _leg_of(self, dialog: Dialog, record: Negotiation, i: int, line: Line) -> LegState:
        """Return the leg of a dialogue's m-line: its own, the same one seen on another hop, or a new one."""
        own = dialog.legs[i]
        tags = _tags(record) if line.accepted else None
        if own is not None and (tags is None or own.tags is None or own.tags == tags):
            own.tags = tags or own.tags
            return own
        leg = None
        for end in (line.answerer, line.offerer):
            known = self._by_end.get(end) if end else None
            if known is None or known.call is None:
                continue
            if known.call is dialog.call and (tags is None or known.tags in (None, tags)):
                leg = known
                break
            if known.dialogs > 0 and {known.offerer, known.answerer} == {line.offerer, line.answerer} != {None}:
                # Another Call-ID, the same two ends: a B2BUA that lets media pass by.
                self._calls.same_media(known, dialog.call, record.ts_ns)
                dialog.call = dialog.call.whole()
                leg = known
                break
        if leg is None:
            leg = self._begin(record.ts_ns)
        leg.tags = tags or leg.tags
        leg.dialogs += 1
        dialog.legs[i] = leg
        self._let_go(own)  # another fork answered it (RFC 3261 section 13.2.2.4)
        return leg

    def _promise(self, leg: LegState, record: Negotiation, line: Line) -> None:
        ts_ns, a, b = record.ts_ns, record.key.a, record.key.b
        if leg.line is None:
            leg.hop = (a, b) if a <= b else (b, a)
        self._calls.add(self._dialogs[record.dialog].call, leg)
        changed = leg.signalled != line.signalled or leg.accepted != line.accepted
        if line.accepted and leg.flows:
            changed |= self._leave(leg, line)
        leg.promised(line, ts_ns)
        for end in (line.offerer, line.answerer, *line.more):
            if end is not None:
                self._register(leg, end)
        for flow in leg.flows:
            self._authenticate(leg, flow, ts_ns)
        if changed and (leg.flows or line.keys or line.fingerprints):
            leg.clear_since_ns = ts_ns
            self._judge(leg, ts_ns)

    def _leave(self, leg: LegState, line: Line) -> bool:
        """Let go of the media on addresses or ports that a new agreement leaves, take back what it returns to.

        Say whether there was any.
        """
        stay = (line.offerer, line.answerer)
        # On hold with no address, or seen on one side only, nothing is known to have moved.
        if None in stay:
            return False
        left = [end for end in (leg.offerer, leg.answerer) if end is not None and end not in stay]
        gone = [flow for flow in leg.flows if flow.left is None and any(end in left for end in flow.ends())]
        if gone:
            leg.last_state = leg.observed()
        for flow in gone:
            flow.left = leg.signalled
        back = [flow for flow in leg.flows if flow.left is not None and set(flow.ends()) == set(stay)]
        for flow in back:
            flow.left = None
        return bool(gone or back)

    def _register(self, leg: LegState, end: End) -> None:
        """Let an address and port lead to a leg, and bring it the media that is there already."""
        before = self._by_end.get(end)
        if before is not leg:
            self._by_end[end] = leg
            if len(leg.ends) >= MAX_ENDS and self._by_end.get(leg.ends[0]) is leg:
                del self._by_end[leg.ends[0]]
            leg.ends = (*leg.ends[1 - MAX_ENDS :], end)
            if before is not None and before.dialogs <= 0:
                # The call before is over, its ports are used again before its flow went idle. Where it named the
                # other end too, the flow is this call's only if this call names it as well.
                for flow in [flow for flow in before.flows if _is_between(flow, end, leg.ends, before.ends)]:
                    self._move(flow, leg, ts_ns=leg.last_ns)
        stray = self._strays.get(end)
        if stray is not None:
            for at in stray.ends():
                if self._strays.get(at) is stray:
                    del self._strays[at]
            self._move(stray, leg, ts_ns=leg.last_ns)

    def _move(self, flow: MediaFlow, leg: LegState, ts_ns: int) -> None:
        """Give a flow to the leg that the signalling, as it turns out, explains it by."""
        old = flow.leg
        if old is None or old is leg:
            return
        old.last_state = old.observed()
        old.flows.remove(flow)
        self._join(flow, leg, ts_ns)
        leg.flow_ids = [*leg.flow_ids[1 - MAX_FLOWS :], flow.flow_id]
        if old.line is not None:
            flow.streams.clear()  # they were the other call's
            flow.certificates = ()
        else:
            leg.adopt(old, ts_ns)
            if old.call is not None and leg.call is not None:
                self._calls.same_media(old, leg.call, ts_ns)
            old.flow_ids.clear()
        self._judge(leg, ts_ns)
        self._judge(old, ts_ns)
        self._close_if_over(old)

    def _let_go(self, leg: LegState | None) -> None:
        """Take back a dialogue's share in a leg."""
        if leg is not None:
            leg.dialogs -= 1
            self._close_if_over(leg)

    def _close_if_over(self, leg: LegState) -> None:
        if not leg.flows and leg.dialogs <= 0:
            self._close(leg)

    def _close(self, leg: LegState) -> None:
        if self._legs.pop(leg, self) is self:
            return
        for end in leg.ends:
            if self._by_end.get(end) is leg:
                del self._by_end[end]
        for stream in leg.unexplained:
            if stream in self._unexplained and self._unexplained[stream].leg is leg:
                del self._unexplained[stream]
        if leg.flow_ids or leg.accepted:
            self._ended(leg)
        self._calls.leg_ended(leg)


UNSIGNALLED = FlowContext("unknown", "unknown")


@cache
def _context(signalled: Signalled, keys: KeyExchange) -> FlowContext:
    return FlowContext(signalled, keys)


def _tags(record: Negotiation) -> tuple[int, int]:
    one, other = record.from_tag, record.to_tag
    return (one, other) if one <= other else (other, one)


def _is_between(flow: MediaFlow, end: End, now: tuple[End, ...], before: tuple[End, ...]) -> bool:
    """Say whether a flow has an end, and its other one is agreed now or was not agreed before."""
    a, b = flow.ends()
    other = b if a == end else a
    return end in (a, b) and (other in now or other not in before)
