"""Legs: what was agreed for a dialogue's media, joined with the flows that carry it.

A flow finds its leg by the address and port of its ends, one matching end being enough (symmetric RTP behind NAT,
RFC 4961). Media that no signalling explains is a leg of its own.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from fastpath.records import AppSeen, FlowEnded, FlowKey, Verdict
from sensor.model import Comparison, FlowContext, KeyExchange, Protection, Signalled
from sensor.policy.rules import PROMISES_SRTP, ClearMedia
from sensor.signalling.dialogs import ENDED

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sensor.signalling.agreement import End, Line
    from sensor.signalling.dialogs import Dialog

NS = 1_000_000_000
MAX_FLOWS = 256  # ids a leg record names
MAX_ENDS = 16  # addresses and ports a leg is found by
MAX_STREAMS = 16  # of one flow, each way

_WORSE: dict[Protection, int] = {"not-observed": 0, "encrypted": 1, "undetermined": 2, "clear": 3}
_KEYING: dict[str, KeyExchange] = {"dtls": "dtls", "zrtp": "zrtp"}


class MediaFlow:
    """A flow that carries media or the key exchange for it."""

    __slots__ = ("flow_id", "key", "keying", "left", "leg", "media", "streams")

    def __init__(self, flow_id: int, key: FlowKey) -> None:
        self.flow_id = flow_id
        self.key = key
        self.leg: LegState | None = None
        self.left: Signalled | None = None  # what was signalled for it when its leg moved to other ports
        self.media = False
        self.keying = ""  # "dtls" or "zrtp" once seen
        self.streams: dict[tuple[int, bool], tuple[int, Protection]] = {}  # (SSRC, from a) to (payload type, state)

    def judged(self, verdict: Verdict) -> None:
        """Note a stream's verdict. A new SSRC of the same payload type takes the place of the old one."""
        me = (verdict.ssrc, verdict.from_a)
        if me not in self.streams:
            for other, (payload_type, _) in list(self.streams.items()):
                if other[1] == verdict.from_a and payload_type == verdict.payload_type:
                    del self.streams[other]
            if len(self.streams) >= MAX_STREAMS:
                del self.streams[next(iter(self.streams))]
        self.streams[me] = (verdict.payload_type, _protection(verdict.protection))

    def observed(self) -> Protection:
        """Return the worse of the streams' states; media with no verdict yet is undetermined."""
        if not self.media or self.left is not None:
            return "not-observed"
        worst: Protection = "encrypted" if self.streams else "undetermined"
        for _, state in self.streams.values():
            if _WORSE[state] > _WORSE[worst]:
                worst = state
        return worst


class LegState:
    """A leg in progress."""

    __slots__ = (
        "accepted",
        "answerer",
        "call_id",
        "clear",
        "clear_since_ns",
        "cut_off",
        "dialogs",
        "encrypted_seen",
        "ends",
        "first_ns",
        "flow_ids",
        "flows",
        "hop",
        "key",
        "keying",
        "last_media_ns",
        "last_ns",
        "last_state",
        "lost",
        "media",
        "offerer",
        "packets",
        "sdes",
        "signalled",
        "tags",
        "waits_until_ns",
    )

    def __init__(self, ts_ns: int) -> None:
        self.call_id = ""  # "" while no signalling explains it
        self.tags: frozenset[str] | None = None  # of the dialogue whose answer it has
        self.hop: tuple[str, str] = ("", "")  # the hosts that signalled it
        self.media = "audio"
        self.signalled: Signalled = "unknown"
        self.accepted = False
        self.sdes = False  # keys for it were read in clear SIP
        self.offerer: End | None = None
        self.answerer: End | None = None
        self.ends: list[End] = []
        self.dialogs = 0  # dialogues, or the same one on several hops, that have not ended
        self.flows: list[MediaFlow] = []  # not ended
        self.flow_ids: list[int] = []
        self.key: FlowKey | None = None  # of the latest media flow
        self.keying: KeyExchange = "unknown"  # what the packets showed
        self.clear: Verdict | None = None  # the latest verdict of "clear"
        self.clear_since_ns = 0
        self.cut_off = False  # the end of the input came before the end of its media
        self.encrypted_seen = False
        self.waits_until_ns = 0  # end of the grace that clear media is in, 0 for none
        self.last_state: Protection = "not-observed"  # of the flow that ended last
        self.last_media_ns = 0
        self.packets = 0
        self.lost = 0
        self.first_ns = ts_ns
        self.last_ns = ts_ns

    def observed(self) -> Protection:
        """Return the worse of the flows' states, the last known one when none is left."""
        state = self.live()
        return self.last_state if state == "not-observed" else state

    def live(self) -> Protection:
        """Return the worse of the states of the flows that have not ended."""
        if len(self.flows) == 1:
            return self.flows[0].observed()
        return max((flow.observed() for flow in self.flows), key=_WORSE.__getitem__, default="not-observed")

    def is_clear(self) -> bool:
        """Say whether media that has not ended is in clear."""
        return self.clear is not None and self.live() == "clear"

    def clear_media(self) -> ClearMedia | None:
        """Return the leg's clear media as the rules take it, None while there is none."""
        if self.clear is None or not self.is_clear():
            return None
        promised = self.signalled in PROMISES_SRTP or self.signalled == "optional"
        keying = any(flow.keying for flow in self.flows)
        return ClearMedia(
            self.clear,
            self.clear_since_ns,
            self.signalled,
            self.accepted,
            (promised or keying) and not self.encrypted_seen,
        )

    def key_exchange(self) -> KeyExchange:
        """Return how the keys came."""
        return _key_exchange(self.keying, self.signalled, self.observed(), sdes=self.sdes)

    def comparison(self) -> Comparison:
        """Hold what was seen against what was signalled."""
        observed = self.observed()
        if not self.call_id:
            return "unsignalled"
        if observed in ("undetermined", "not-observed") or self.signalled == "unknown":
            return "undecided"
        if self.signalled == "clear" and observed == "encrypted":
            return "encrypted-despite-clear"
        if self.signalled in PROMISES_SRTP and observed == "clear":
            return "clear-despite-srtp"
        return "agree"

    def assessed(self) -> float:
        """Return the share of the leg's packets that was seen, by the gaps in their sequence numbers."""
        if not self.packets:
            return 1.0 if self.observed() != "not-observed" else 0.0
        return self.packets / (self.packets + self.lost)

    def hosts(self) -> tuple[str, str]:
        """Return the two media hosts, the offerer's first where that is known."""
        offerer, answerer = self.offerer, self.answerer
        if self.key is None:
            a, b = offerer and offerer[0], answerer and answerer[0]
            if not (a or b):
                return self.hop
            # Of an end that was not seen, the best guess is the host that it signals from.
            return a or self._other_hop(b), b or self._other_hop(a)
        a, b = self.key.a, self.key.b
        swapped = (offerer and offerer[0] == b and a != b) or (answerer and answerer[0] == a and a != b)
        return (b, a) if swapped else (a, b)

    def _other_hop(self, host: str | None) -> str:
        return self.hop[1] if self.hop[0] == host else self.hop[0]


class Legs:
    """The legs in progress.

    ``judge`` is called when a leg's state or promise may have changed, with the packet time of the change; ``ended``
    with a leg that is over and has something to say: media, or an answer that announced some.
    """

    def __init__(self, judge: Callable[[LegState, int], None], ended: Callable[[LegState], None]) -> None:
        self._judge = judge
        self._ended = ended
        self._flows: dict[int, MediaFlow] = {}
        self._legs: dict[LegState, None] = {}
        self._by_end: dict[End, LegState] = {}  # the latest leg that was agreed there
        self._strays: dict[End, MediaFlow] = {}  # ends of media that no signalling explains

    def __len__(self) -> int:
        """Return the number of legs in progress."""
        return len(self._legs)

    def __iter__(self) -> Iterator[LegState]:
        """Iterate over the legs in progress."""
        return iter(list(self._legs))

    def signalled(self, dialog: Dialog, ts_ns: int) -> None:
        """Take what a dialogue offered or agreed, or that it ended."""
        if dialog.state == ENDED:
            legs, dialog.legs, dialog.lines = dialog.legs, [], ()
            for leg in legs:
                self._let_go(leg)
            return
        legs = dialog.legs
        for i, line in enumerate(dialog.lines):
            if i == len(legs):
                legs.append(None)
            if line is None:
                if legs[i] is not None and not legs[i].accepted:
                    self._let_go(legs[i])
                    legs[i] = None
                continue
            leg = self._leg_of(dialog, i, line, ts_ns)
            if leg in legs[:i]:
                # The same ends twice: alternatives until the answer takes one, or media in one bundle (RFC 9143).
                if not line.accepted and leg.signalled != line.signalled:
                    leg.signalled = "unknown"
            else:
                self._promise(leg, dialog, line, ts_ns)

    def app_seen(self, record: AppSeen) -> None:
        """Take what a flow carries."""
        if record.app == "rtp":
            self._media_flow(record.flow, record.key, record.ts_ns)
        elif record.app in _KEYING:
            flow = self._flows.get(record.flow)
            if flow is None:
                flow = self._flows[record.flow] = MediaFlow(record.flow, record.key)
            flow.keying = record.app
            if flow.leg is not None:
                flow.leg.keying = _KEYING[record.app]

    def verdict(self, record: Verdict) -> None:
        """Take a stream's verdict."""
        flow, leg = self._media_flow(record.flow, record.key, record.ts_ns)
        was_clear = leg.is_clear()
        flow.judged(record)
        if record.protection == "encrypted":
            leg.encrypted_seen = True
        elif record.protection == "clear" and not was_clear:
            leg.clear, leg.clear_since_ns = record, record.ts_ns
        if was_clear != leg.is_clear():
            self._judge(leg, record.ts_ns)

    def flow_ended(self, record: FlowEnded) -> FlowContext:
        """Take the end of any flow; return what the signalling adds to it."""
        if record.app == "rtp":
            self._media_flow(record.flow, record.key, record.first_ns)
        flow = self._flows.pop(record.flow, None)
        if flow is None or flow.leg is None:
            return UNSIGNALLED
        leg, key = flow.leg, record.key
        for end in _ends(key):
            if self._strays.get(end) is flow:
                del self._strays[end]
        was_clear = leg.is_clear()
        leg.flows.remove(flow)
        keying = _KEYING.get(record.key_exchange or flow.keying, "unknown")
        if keying != "unknown":
            leg.keying = keying
        for stream in record.streams:
            leg.packets += stream.packets
            leg.lost += stream.lost
        leg.first_ns = min(leg.first_ns, record.first_ns)
        leg.last_ns = max(leg.last_ns, record.last_ns)
        state = _protection(record.protection)
        if record.last_ns > leg.last_media_ns + NS or (
            record.last_ns > leg.last_media_ns - NS and _WORSE[state] > _WORSE[leg.last_state]
        ):
            leg.last_state = state
        leg.last_media_ns = max(leg.last_media_ns, record.last_ns)
        signalled = flow.left or leg.signalled
        context = _context(signalled, _key_exchange(keying, signalled, state, sdes=leg.sdes))
        # The core ends an idle flow later than its last packet, and every other one with it.
        leg.cut_off = record.ts_ns <= record.last_ns
        if was_clear:
            self._judge(leg, record.last_ns)
        self._close_if_over(leg)
        return context

    def close(self) -> None:
        """End every leg."""
        for leg in self:
            self._close(leg)

    def _media_flow(self, flow_id: int, key: FlowKey, ts_ns: int) -> tuple[MediaFlow, LegState]:
        """Return a flow that carries media, and its leg."""
        flow = self._flows.get(flow_id)
        if flow is None:
            flow = self._flows[flow_id] = MediaFlow(flow_id, key)
        leg = flow.leg
        if leg is None:
            flow.media = True
            leg = self._find(key)
            if leg is None:
                leg = self._begin(ts_ns)
                self._strays[key.a, key.a_port] = self._strays[key.b, key.b_port] = flow
            self._join(flow, leg)
            if len(leg.flow_ids) >= MAX_FLOWS:
                del leg.flow_ids[0]
            leg.flow_ids.append(flow_id)
        return flow, leg

    def _find(self, key: FlowKey) -> LegState | None:
        """Return the leg at either end of a flow; where they differ, the one that has both, else the later one."""
        a_end, b_end = _ends(key)
        a, b = self._in_progress(a_end), self._in_progress(b_end)
        if a is None or b is None or a is b:
            return a or b
        if b_end in a.ends:
            return a
        return b if a_end in b.ends or b.last_ns >= a.last_ns else a

    def _in_progress(self, end: End) -> LegState | None:
        """Return the leg that was agreed at an end, unless its call is over: its port may be anyone's by now."""
        leg = self._by_end.get(end)
        return leg if leg is not None and leg.dialogs > 0 else None

    def _join(self, flow: MediaFlow, leg: LegState) -> None:
        flow.leg = leg
        leg.flows.append(flow)
        leg.key = flow.key
        if flow.keying:
            leg.keying = _KEYING[flow.keying]

    def _begin(self, ts_ns: int) -> LegState:
        leg = LegState(ts_ns)
        self._legs[leg] = None
        return leg

    def _leg_of(self, dialog: Dialog, i: int, line: Line, ts_ns: int) -> LegState:
        """Return the leg of a dialogue's m-line: its own, the same one seen on another hop, or a new one."""
        own: LegState | None = dialog.legs[i]
        tags = frozenset((dialog.from_tag, dialog.to_tag)) if line.accepted else None
        if own is not None and (tags is None or own.tags is None or own.tags == tags):
            own.tags = tags or own.tags
            return own
        leg = None
        for end in (line.answerer, line.offerer):
            known = self._by_end.get(end) if end else None
            if known is not None and known.call_id == dialog.call_id and (tags is None or known.tags in (None, tags)):
                leg = known
                break
        if leg is None:
            leg = self._begin(ts_ns)
        leg.tags = tags or leg.tags
        leg.dialogs += 1
        dialog.legs[i] = leg
        self._let_go(own)  # another fork answered it (RFC 3261 section 13.2.2.4)
        return leg

    def _promise(self, leg: LegState, dialog: Dialog, line: Line, ts_ns: int) -> None:
        leg.call_id, leg.hop = dialog.call_id, leg.hop if leg.call_id else dialog.hosts
        leg.last_ns = max(leg.last_ns, ts_ns)
        changed = leg.signalled != line.signalled or leg.accepted != line.accepted
        if line.accepted and leg.flows:
            changed |= self._leave(leg, line)
        if line.accepted or not leg.accepted:
            leg.media, leg.signalled, leg.accepted = line.media, line.signalled, line.accepted
        leg.sdes = leg.sdes or line.sdes
        if line.offerer is not None:
            leg.offerer = line.offerer
            self._register(leg, line.offerer)
        if line.answerer is not None:
            leg.answerer = line.answerer
            self._register(leg, line.answerer)
        if changed and leg.flows:
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
        gone = [flow for flow in leg.flows if flow.left is None and any(end in left for end in _ends(flow.key))]
        if gone:
            leg.last_state = leg.observed()
        for flow in gone:
            flow.left = leg.signalled
        back = [flow for flow in leg.flows if flow.left is not None and set(_ends(flow.key)) == set(stay)]
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
            leg.ends = [*leg.ends[1 - MAX_ENDS :], end]
            if before is not None and before.dialogs <= 0:
                # The call before is over, its ports are used again before its flow went idle. Where it named the
                # other end too, the flow is this call's only if this call names it as well.
                for flow in [flow for flow in before.flows if _is_between(flow, end, leg.ends, before.ends)]:
                    self._move(flow, leg, ts_ns=leg.last_ns)
        stray = self._strays.get(end)
        if stray is not None:
            for at in _ends(stray.key):
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
        self._join(flow, leg)
        leg.flow_ids = [*leg.flow_ids[1 - MAX_FLOWS :], flow.flow_id]
        if old.call_id:
            flow.streams.clear()  # they were the other call's
        else:
            if old.clear is not None:
                leg.clear, leg.clear_since_ns = old.clear, ts_ns
            leg.encrypted_seen |= old.encrypted_seen
            leg.first_ns = min(leg.first_ns, old.first_ns)
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
        if leg.flow_ids or leg.accepted:
            self._ended(leg)


def _key_exchange(keying: KeyExchange, signalled: Signalled, observed: Protection, *, sdes: bool) -> KeyExchange:
    """Return how keys came: by the packets, else by the signalling as far as the packets agree with it."""
    if keying == "dtls" or (keying == "zrtp" and observed != "clear"):
        return keying  # a ZRTP that one side began, or that was not completed, brought no keys
    if sdes and signalled in ("srtp-sdes", "optional"):
        return "sdes-exposed"
    if observed == "clear" or signalled == "clear":
        return "none"
    if observed == "encrypted" and signalled in ("srtp-dtls", "zrtp"):
        return "dtls" if signalled == "srtp-dtls" else "zrtp"
    return "unknown"


UNSIGNALLED = FlowContext("unknown", "unknown")


@cache
def _context(signalled: Signalled, key_exchange: KeyExchange) -> FlowContext:
    return FlowContext(signalled, key_exchange)


def _ends(key: FlowKey) -> tuple[End, End]:
    return (key.a, key.a_port), (key.b, key.b_port)


def _is_between(flow: MediaFlow, end: End, now: list[End], before: list[End]) -> bool:
    """Say whether a flow has an end, and its other one is agreed now or was not agreed before."""
    a, b = _ends(flow.key)
    other = b if a == end else a
    return end in (a, b) and (other in now or other not in before)


def _protection(text: str) -> Protection:
    return "encrypted" if text == "encrypted" else "clear" if text == "clear" else "undetermined"
