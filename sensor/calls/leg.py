"""One leg, and the flows that carry its media: what was promised, what was seen, and how they compare."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from sensor.model import WORSE, Comparison, KeyExchange, Protection, Quality, Signalled
from sensor.policy.media import PROMISES_SRTP, Early, Encrypted, MediaFacts

if TYPE_CHECKING:
    from fastpath.records import Control, FlowKey, Tones, Verdict
    from sensor.calls.calls import Call
    from sensor.model import Finding
    from sensor.signalling.agreement import End, Line

MAX_STREAMS = 16  # of one flow, each way
MAX_FINGERPRINTS = 8
MAX_SENDERS = 4  # of encrypted media


class Stream(NamedTuple):
    """What is known of one direction and SSRC of a flow."""

    ssrc: int
    from_a: bool
    payload_type: int
    state: Protection


class MediaFlow:
    """A flow that carries media or the key exchange for it."""

    __slots__ = ("certificates", "flow_id", "key", "keying", "left", "leg", "media", "profile", "streams")

    def __init__(self, flow_id: int, key: FlowKey) -> None:
        self.flow_id = flow_id
        self.key = key
        self.leg: LegState | None = None
        self.left: Signalled | None = None  # what was signalled for it when its leg moved to other ports
        self.media = False
        self.keying = ""  # "dtls" or "zrtp" once seen
        self.profile = 0  # SRTP protection profile that a DTLS handshake chose (RFC 5764 section 4.1.2)
        self.certificates: tuple[bytes, ...] = ()  # DER, of both sides of its DTLS handshake
        self.streams: list[Stream] = []

    def judged(self, verdict: Verdict) -> None:
        """Note a stream's verdict. A new SSRC of the same payload type takes the place of the old one."""
        ssrc, from_a = verdict.ssrc, verdict.from_a
        now = Stream(ssrc, from_a, verdict.payload_type, protection(verdict.protection))
        for i, stream in enumerate(self.streams):
            if stream.from_a == from_a and stream.ssrc == ssrc:
                self.streams[i] = now
                return
        self.streams = [
            stream
            for stream in self.streams[1 - MAX_STREAMS :]
            if stream.from_a != from_a or stream.payload_type != verdict.payload_type
        ]
        self.streams.append(now)

    def observed(self) -> Protection:
        """Return the worse of the streams' states; media with no verdict yet is undetermined."""
        if not self.media or self.left is not None:
            return "not-observed"
        worst: Protection = "encrypted" if self.streams else "undetermined"
        for stream in self.streams:
            if WORSE[stream.state] > WORSE[worst]:
                worst = stream.state
        return worst

    def ends(self) -> tuple[End, End]:
        """Return the two ends, that which sent first before the other."""
        return ends(self.key)


class Sightings:
    """What most legs never show."""

    __slots__ = ("control", "downgraded_from", "early", "fax", "mismatch", "profile", "tones")

    def __init__(self) -> None:
        self.control: Control | None = None  # RTCP in clear
        self.downgraded_from: Encrypted | None = None
        self.early: Early | None = None
        self.fax: FlowKey | None = None
        self.mismatch: str | None = None  # hash and fingerprint of a certificate that the signalling did not announce
        self.profile = 0  # as MediaFlow has it
        self.tones: Tones | None = None


class LegState:
    """A leg in progress."""

    __slots__ = (
        "agreed_ns",
        "answerer",
        "call",
        "clear_since_ns",
        "clears",
        "cut_off",
        "dialogs",
        "encrypted",
        "ends",
        "fingerprints",
        "first_ns",
        "flow_ids",
        "flows",
        "former",
        "hop",
        "key",
        "keying",
        "last_media_ns",
        "last_ns",
        "last_state",
        "line",
        "lost",
        "offerer",
        "packets",
        "quality",
        "sdes",
        "seen",
        "silent_ns",
        "tags",
        "unexplained",
        "unsettled_ns",
        "waits_until_ns",
    )

    def __init__(self, ts_ns: int) -> None:
        self.call: Call | None = None  # None while no signalling explains it and nothing joins it to another
        self.line: Line | None = None  # what was offered or agreed last
        self.tags: tuple[int, int] | None = None  # of the dialogue whose answer it has
        self.hop: tuple[str, str] = ("", "")  # the hosts that signalled it
        self.sdes = False  # keys for it were read in clear SIP
        self.offerer: End | None = None
        self.answerer: End | None = None
        self.ends: tuple[End, ...] = ()
        self.fingerprints: tuple[str, ...] = ()  # of both sides' certificates, as far as SDP announced them
        self.dialogs = 0  # dialogues, or the same one on several hops, that have not ended
        self.agreed_ns = 0
        self.flows: list[MediaFlow] = []  # not ended
        self.flow_ids: list[int] = []
        self.former: tuple[Finding, ...] | None = None  # of its hosts, from before a restart; None: not looked for yet
        self.key: FlowKey | None = None  # of the latest media flow
        self.keying: KeyExchange = "unknown"  # what the packets showed
        self.clears: tuple[Verdict, ...] = ()  # of the streams that are in clear, as far as their flows have not ended
        self.clear_since_ns = 0
        self.unexplained: tuple[tuple[int, str, str], ...] = ()  # streams that no signalling explains, as Legs has them
        self.unsettled_ns = 0  # since when media is there that nothing is known of
        self.silent_ns = 0  # until when nobody was to send
        self.cut_off = False  # the end of the input came before the end of its media
        self.encrypted: tuple[Encrypted, ...] = ()  # each sender's latest such verdict, the last one last
        self.seen: Sightings | None = None
        self.waits_until_ns = 0  # end of the grace that clear media is in, 0 for none
        self.last_state: Protection = "not-observed"  # of the flow that ended last
        self.last_media_ns = 0
        self.packets = 0
        self.lost = 0
        self.quality: Quality | None = None  # of the worst stream that ended
        self.first_ns = ts_ns
        self.last_ns = ts_ns

    @property
    def signalled(self) -> Signalled:
        """What was promised."""
        return self.line.signalled if self.line is not None else "unknown"

    @property
    def accepted(self) -> bool:
        """Whether an answer was seen."""
        return self.line is not None and self.line.accepted

    @property
    def media(self) -> str:
        """The kind of media, "audio" where no SDP tells."""
        return self.line.media if self.line is not None else "audio"

    @property
    def sightings(self) -> Sightings:
        """What most legs never show, to be written."""
        if self.seen is None:
            self.seen = Sightings()
        return self.seen

    def observed(self) -> Protection:
        """Return the worse of the flows' states, the last known one when none is left."""
        state = self.live()
        return self.last_state if state == "not-observed" else state

    def live(self) -> Protection:
        """Return the worse of the states of the flows that have not ended."""
        if len(self.flows) == 1:
            return self.flows[0].observed()
        return max((flow.observed() for flow in self.flows), key=WORSE.__getitem__, default="not-observed")

    def is_clear(self) -> bool:
        """Say whether media that has not ended is in clear."""
        return self.clear() is not None

    def clear(self) -> Verdict | None:
        """Return the verdict on a stream that is in clear now; of one that had been encrypted before any other."""
        if not self.clears or self.live() != "clear":
            return None
        live = {flow.flow_id for flow in self.flows if flow.left is None}
        now = [verdict for verdict in self.clears if verdict.flow in live]
        had_keys = {each.sender for each in self.encrypted}
        return next((verdict for verdict in now if sender(verdict) in had_keys), now[0] if now else None)

    def shares_end(self, other: LegState) -> bool:
        """Say whether two legs have an address and port in common, agreed or seen."""
        mine = {*self.ends, *(end for flow in self.flows for end in flow.ends())}
        return any(end in mine for end in (*other.ends, *(end for flow in other.flows for end in flow.ends())))

    def promised(self, line: Line, ts_ns: int) -> None:
        """Note what a dialogue offered or agreed; an offer alone takes nothing back that was agreed."""
        before = self.line
        if line.accepted or before is None or not before.accepted:
            self.line = line
            if line.accepted and not (before and before.accepted):
                self.agreed_ns = ts_ns
            if line.silent or (before and before.silent):
                self.silent_ns = ts_ns
        self.sdes = self.sdes or line.sdes
        if line.fingerprints:
            self.fingerprints = tuple(dict.fromkeys((*self.fingerprints, *line.fingerprints)))[-MAX_FINGERPRINTS:]
        self.offerer = line.offerer or self.offerer
        self.answerer = line.answerer or self.answerer
        self.last_ns = max(self.last_ns, ts_ns)

    def judged(self, verdict: Verdict) -> bool:
        """Note a stream's verdict, before its flow does: what it changes is seen against what was.

        Say whether it is news of the leg, beside its state: another stream in clear is none.
        """
        is_news = False
        if verdict.protection == "encrypted":
            is_news = self._encrypted(verdict)
        elif verdict.protection == "clear":
            before = self._was_encrypted(verdict)
            is_news = before is not None or verdict.previous == "clear"
            if before is not None:
                self.sightings.downgraded_from = before
            if not self.is_clear():
                self.clear_since_ns = verdict.ts_ns
                if self.seen is not None and before is None:
                    self.seen.downgraded_from = None
        if self.clears or verdict.protection == "clear":
            others = [each for each in self.clears if not _is_same_stream(each, verdict)]
            is_news |= len(others) < len(self.clears)
            if verdict.protection == "clear":
                others.append(verdict)
            self.clears = tuple(others[-MAX_STREAMS:])
        return is_news

    def _encrypted(self, verdict: Verdict) -> bool:
        keyed = self.signalled in PROMISES_SRTP or self.signalled == "optional" or self.keying != "unknown"
        who = sender(verdict)
        others = tuple(each for each in self.encrypted if each.sender != who)[1 - MAX_SENDERS :]
        if verdict.previous == "clear" and keyed and len(others) == len(self.encrypted):
            early = Early.before(verdict)
            if self.seen is None or self.seen.early is None or early.packets > self.seen.early.packets:
                self.sightings.early = early
        grade = verdict.grade or "inferred"
        self.encrypted = (
            *others,
            Encrypted(verdict.ts_ns, verdict.packet, who, grade, verdict.tag, verdict.flow, verdict.payload_type),
        )
        return verdict.previous is not None or self.encrypted[-1].is_weak()

    def _was_encrypted(self, verdict: Verdict) -> Encrypted | None:
        """Return what was encrypted before a stream that is in clear: the sender's own, or that of both sides.

        Where a side, or video beside audio on one flow, is in clear from its beginning nothing was taken away.
        """
        who = sender(verdict)
        own = next(
            (
                each
                for each in self.encrypted
                if each.sender == who
                and (
                    verdict.previous == "encrypted"
                    or each.flow != verdict.flow
                    or each.payload_type == verdict.payload_type
                )
            ),
            None,
        )
        if own is None and self.encrypted and self.live() == "encrypted" and self._is_both_ways():
            return self.encrypted[-1]
        return own

    def adopt(self, other: LegState, ts_ns: int) -> None:
        """Take what was seen of another leg, which turned out to be this one."""
        if other.clears:
            self.clears, self.clear_since_ns = (*self.clears, *other.clears)[-MAX_STREAMS:], ts_ns
        self.encrypted = self.encrypted or other.encrypted
        self.seen = self.seen or other.seen
        self.unsettled_ns = other.unsettled_ns or self.unsettled_ns
        self.first_ns = min(self.first_ns, other.first_ns)

    def _is_both_ways(self) -> bool:
        return len({(flow.flow_id, stream.from_a) for flow in self.flows for stream in flow.streams}) > 1

    def is_notable(self) -> bool:
        """Say whether a rule could have something to say."""
        line = self.line
        return (
            self.clears != ()
            or self.seen is not None
            or not self.encrypted
            or any(each.is_weak() for each in self.encrypted)
            or (line is not None and (line.keys is not None or line.fingerprints != ()))
        )

    def vlans(self) -> tuple[int, ...]:
        """Return the VLANs in which its media was seen last."""
        return self.key.vlans if self.key else ()

    def facts(self) -> MediaFacts:
        """Return the leg as the rules take it."""
        seen, line, live = self.seen, self.line, self.live()
        promised = self.signalled in PROMISES_SRTP or self.signalled == "optional"
        keying = any(flow.keying for flow in self.flows)
        a, b = self.hosts()
        clear = self.clear()
        expected = self.accepted and not (line and line.silent) and self.last_state == live == "not-observed"
        return MediaFacts(
            a,
            b,
            self.vlans(),
            self.signalled,
            live,
            accepted=self.accepted,
            clear=clear,
            since_ns=self.clear_since_ns,
            keys_coming=(promised or keying)
            and not (clear and any(each.sender == sender(clear) for each in self.encrypted)),
            encrypted=self.encrypted,
            keys=line.keys if line else None,
            carries_fingerprint=bool(line and line.fingerprints),
            unsettled_ns=self.unsettled_ns if live == "undetermined" else 0,
            expected_ns=max(self.agreed_ns, self.silent_ns) if expected else 0,
            recording=self.call is not None and self.call.recording,
            control=seen.control if seen else None,
            downgraded_from=seen.downgraded_from if seen else None,
            early=seen.early if seen else None,
            fax=seen.fax if seen else None,
            mismatch=seen.mismatch if seen else None,
            profile=seen.profile if seen else 0,
            tones=seen.tones if seen else None,
        )

    def key_exchange(self) -> KeyExchange:
        """Return how the keys came."""
        return key_exchange(self.keying, self.signalled, self.observed(), sdes=self.sdes)

    def comparison(self) -> Comparison:
        """Hold what was seen against what was signalled."""
        observed = self.observed()
        if self.line is None:
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


def key_exchange(keying: KeyExchange, signalled: Signalled, observed: Protection, *, sdes: bool) -> KeyExchange:
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


def ends(key: FlowKey) -> tuple[End, End]:
    """Return the two ends of a flow."""
    return (key.a, key.a_port), (key.b, key.b_port)


def protection(text: str) -> Protection:
    """Return a record's word for a protection as the model has it."""
    return "encrypted" if text == "encrypted" else "clear" if text == "clear" else "undetermined"


def _is_same_stream(one: Verdict, other: Verdict) -> bool:
    """Say whether a verdict takes another's place: of one stream, or of one that took its place (MediaFlow.judged)."""
    return (
        one.flow == other.flow
        and one.from_a == other.from_a
        and (one.ssrc == other.ssrc or one.payload_type == other.payload_type)
    )


def sender(verdict: Verdict) -> str:
    """Return the host that sends a stream."""
    return verdict.key.a if verdict.from_a else verdict.key.b
