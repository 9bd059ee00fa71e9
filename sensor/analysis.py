"""The sensor's middle: records in, legs and findings out. No I/O and no clock; time is the packets' own."""

from __future__ import annotations

from collections import Counter, deque
from typing import TYPE_CHECKING

from fastpath.records import (
    Agent,
    AppSeen,
    Attempt,
    Certificate,
    Control,
    Evidence,
    Exposure,
    FlowEnded,
    Handshake,
    Hello,
    MediaNamed,
    Negotiation,
    Record,
    Tones,
    Verdict,
)
from sensor.calls.calls import Call, Calls
from sensor.calls.endpoints import Endpoints
from sensor.calls.keys import KeyUses
from sensor.calls.leg import LegState, protection
from sensor.calls.legs import Legs
from sensor.calls.unprotected import InClear, Unprotected
from sensor.config.schema import Limits, Policy
from sensor.findings import Book
from sensor.health import Health
from sensor.model import Call as CallRecord
from sensor.model import Endpoint, FlowContext, Leg
from sensor.network.baseline import Baseline, Known
from sensor.network.peers import Peers
from sensor.policy import former, qos
from sensor.policy import media as rules
from sensor.policy.claims import pair
from sensor.policy.segments import Required, Segments
from sensor.policy.waivers import Waivers
from sensor.signalling.attempts import Attempts
from sensor.signalling.paths import Paths
from sensor.tls.certificates import Certificates
from sensor.tls.servers import TlsServers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from sensor.findings import Claim, Kept
    from sensor.model import Finding, Protection, Sink, Subject, TlsServer
    from sensor.policy.media import MediaFacts

NS = 1_000_000_000
DAY_NS = 86_400 * NS
SWEEP_NS = 10 * NS  # between looks at what may have gone silent
JUMP_NS = 3600 * NS  # a step of time that one packet alone does not prove: its stamp may be broken
BACK_NS = 2 * NS  # the core goes back no less, and only when the clock was set

_LEGACY = frozenset(("sccp", "mgcp", "megaco", "h323", "iax2"))


class Analysis:
    """Feeds records through signalling, legs and policy, and tells the sinks.

    ``interface`` names the watched link, "" for a capture file: only a live link can fall silent.
    ``pseudonym`` turns an identity into what may leave the process, given its kind ("call" or "user"); without it
    legs name no call. ``roots`` gives the certificates (DER) of the operating system's authorities, None when it has
    none; it is asked when the first certificate is seen.
    """

    def __init__(
        self,
        policy: Policy,
        sinks: Sequence[Sink],
        *,
        limits: Limits | None = None,
        interface: str = "",
        pseudonym: Callable[[str, str], str] | None = None,
        roots: Callable[[], Sequence[bytes] | None] = lambda: None,
    ) -> None:
        limits = limits or Limits()
        self._policy = policy
        self._segments = Segments(policy, interface)
        self._waivers = Waivers(policy)
        self.book = Book(sinks, capacity=limits.findings, waived=self._waivers.of)
        self._former: dict[Subject, tuple[Finding, ...]] = {}  # about legs, from before a restart …
        self._former_until_ns = 0  # … and until when legs are seen that go on since then
        self._waived_day = 0  # on which it was looked last whether waivers are over
        self._unprotected = Unprotected()
        self._peers = Peers(self.book, self._segments, policy)
        self.baseline: Baseline | None = None
        self._sinks = sinks
        self._interface = interface
        self._pseudonym = pseudonym
        self._calls = Calls(self._calls_joined, self._call_ended)
        self._legs = Legs(self._calls, self._judge, self._leg_ended)
        self._keys = KeyUses()
        self._endpoints = Endpoints(self._endpoint_ended)
        self._paths = Paths(self.book, self._segments, policy, self._endpoints.__contains__)
        self._attempts = Attempts(self.book, self._segments, policy)
        self._certificates = Certificates(lambda: self._trusted(roots))
        self._tls = TlsServers(self.book, self._segments, policy, self._certificates, self._tls_server_ended)
        self._ws_flows: dict[int, bool] = {}  # of WebSocket, and whether it carries SIP
        self._waiting: deque[tuple[int, LegState]] = deque()  # legs in grace, the first to leave it first, and when
        self._closing = False
        self._now_ns = 0
        self._record_ns = 0  # time of the latest record …
        self._before_ns = 0  # … and of the latest one of another time, which is another packet's
        self._sweep_ns = 0
        self._health = Health(self.book, interface, policy)
        self._voice_before = False  # by the baseline
        self._take: dict[type, Callable[..., None]] = {
            Negotiation: self._negotiated,
            Exposure: self._exposed,
            Agent: self._agent,
            Attempt: self._attempted,
            MediaNamed: self._legs.named,
            AppSeen: self._app_seen,
            Verdict: self._verdict,
            Control: self._legs.control,
            Tones: self._legs.tones,
            Certificate: self._legs.certificate,
            Hello: self._hello,
            Handshake: self._handshake,
            Evidence: lambda _record: None,  # how a verdict came about changes nothing
            FlowEnded: self._flow_ended,
        }

    def __len__(self) -> int:
        """Return the number of legs in progress."""
        return len(self._legs)

    def feed(self, record: Record) -> None:
        """Take one record of the core, in order."""
        if record.ts_ns != self._record_ns:
            self._before_ns, self._record_ns = self._record_ns, record.ts_ns
        if self._now_ns < record.ts_ns < max(self._now_ns, self._before_ns) + JUMP_NS:
            self.advance(record.ts_ns)
        self._take[type(record)](record)

    def advance(self, now_ns: int) -> None:
        """Move packet time on; call between batches, live at least once a second.

        A little back is packets out of order, and nothing; further back is a clock that was set.
        """
        if self._now_ns - now_ns >= BACK_NS:
            self._set_back(now_ns)
        if now_ns < self._now_ns:
            return
        self._now_ns = now_ns
        self.book.advance(now_ns)
        while self._waiting and self._waiting[0][0] <= now_ns:
            _, leg = self._waiting.popleft()
            grace_end, leg.waits_until_ns = leg.waits_until_ns, 0
            self._judge(leg, max(now_ns, grace_end))  # which is later where the clock was set back meanwhile
        if now_ns >= self._sweep_ns:
            self._sweep_ns = now_ns + SWEEP_NS
            self._sweep()

    def counters(self, counters: Mapping[str, int]) -> None:
        """Take the engine's counters (``Engine.counters()``): loss and silence become findings."""
        self._health.counters(counters, self._now_ns)

    def reload(self, policy: Policy) -> None:
        """Judge by another policy from now on, what is open included."""
        self._policy = policy
        self._health.reload(policy)
        self._segments = Segments(policy, self._interface)
        self._waivers = Waivers(policy)
        self.book.waive(self._now_ns, self._waivers.of)
        self._peers.reload(self._segments, policy, self._now_ns)
        if self.baseline is not None:
            self.baseline.reload(self._segments, policy, self._now_ns)
        self._paths.reload(self._segments, policy)
        self._certificates.forget()
        self._attempts.reload(self._segments, policy)
        self._tls.reload(self._segments, policy, self._now_ns)
        # The grace may be another one, too.
        for _, leg in self._waiting:
            leg.waits_until_ns = 0
        self._waiting.clear()
        for leg in sorted(self._legs, key=lambda leg: leg.clear_since_ns):
            self._judge(leg, self._now_ns)

    def settle(self, seconds: float) -> None:
        """Let a finding that is over and comes back within so long be the same one; without it, it is another one."""
        self.book.settle_ns = int(seconds * NS)

    def restore(self, kept: Iterable[Kept], alive_ns: int, now_ns: int) -> None:
        """Go on with what was open when the sensor ended: it was there at ``alive_ns`` of packet time, now it is later.

        To be called before the first record, and before ``waive``.
        """
        held = list(former.held(kept, alive_ns, now_ns, self._interface, self._policy, self.book.settle_ns))
        self._former_until_ns = now_ns + int(self._policy.media_idle * NS)
        for (finding, left_ns, _), until_ns in held:
            if not left_ns and until_ns and former.is_of_leg(finding):
                self._former[finding.subject] = (*self._former.get(finding.subject, ()), finding)
        self.book.restore(held)

    def waive(self, now_ns: int) -> None:
        """Look again what the policy waives."""
        self.book.waive(now_ns)

    def close(self, *, goes_on: bool = False) -> None:
        """End every leg, after the last record. Findings stay open: the end of the input resolves nothing.

        What is over and only settles is resolved, unless another run ``goes_on`` with it.
        """
        self._judge_by_time()
        self._health.close(self._now_ns)
        self._closing = True
        self._legs.close()
        self._calls.close()
        self._endpoints.close()
        self._paths.settle()
        self._tls.close()
        self._attempts.close(self._now_ns)
        self._paths.tell()
        if not goes_on:
            self.book.close()

    def compare(self, entries: dict[str, Known], learning_ns: int) -> None:
        """Hold endpoints against a baseline from now on, in place of the one before."""
        if self.baseline is None:
            self.baseline = Baseline(self.book, self._segments, self._policy, entries, learning_ns)
        else:
            self.baseline.replace(entries, learning_ns, self._now_ns)
        self._voice_before = any(known.media or known.signalling == "clear" for known in entries.values())

    def voice_known(self) -> bool:
        """Say whether there ever was what counts as voice: media, or SIP in clear."""
        return self._voice_before or self._health.voice_seen

    def legs(self) -> dict[Protection, int]:
        """Return how many legs are in progress, by what is observed of them."""
        return Counter(leg.observed() for leg in self._legs)

    def legs_by_segments(self) -> dict[tuple[str, str], Counter[Protection]]:
        """Return the legs in progress by the segments of their ends, and by what is observed of them."""
        legs: dict[tuple[str, str], Counter[Protection]] = {}
        for leg in self._legs:
            ends = self._segments.names(*leg.hosts(), leg.vlans())
            legs.setdefault(ends, Counter())[leg.observed()] += 1
        return legs

    def inventory(self) -> tuple[list[Endpoint], list[TlsServer]]:
        """Return the endpoints and the servers of TLS as they are now; they may change afterwards."""
        return list(self._endpoints), self._tls.records()

    def evidence(self, problems: Sequence[str]) -> None:
        """Take why evidence cannot be written now; nothing when it can."""
        self._health.evidence(problems, self._now_ns)

    def in_clear(self) -> dict[tuple[str, str], InClear]:
        """Return how many legs are in clear now, and for how long legs were, by the segments of their ends."""
        return self._unprotected.totals(self._now_ns)

    def expiries(self) -> dict[str, int]:
        """Return when the first certificate ends of servers with a role, by role; of all others by "other"."""
        first: dict[str, int] = {}
        for address, not_after_ns in self._tls.expiries():
            role = self._segments.role(address) or "other"
            first[role] = min(first.get(role, not_after_ns), not_after_ns)
        return first

    def waivers(self) -> dict[str, int]:
        """Return how many waivers hold, and how many are over."""
        return self._waivers.counts(self._now_ns)

    def tables(self) -> dict[str, int]:
        """Return the fill of the tables and what they had to turn away, by name, for the metrics."""
        return {
            "legs": len(self._legs),
            "calls": len(self._calls),
            "joins_refused": self._calls.joins_refused,
            "endpoints": len(self._endpoints),
            "endpoints_evicted": self._endpoints.evicted,
            "attempts": len(self._attempts),
            "attempts_evicted": self._attempts.evicted,
            "tls_servers": len(self._tls),
            "tls_servers_evicted": self._tls.evicted,
            "certificates_unparsed": self._certificates.unreadable,
            "certificates_left_out": self._certificates.left_out,
            "exposures": len(self._paths),
            "exposures_refused": self._paths.refused,
            "findings_refused": self.book.overflow,
            "peers_refused": self._peers.refused,
            "baseline_refused": self.baseline.refused if self.baseline is not None else 0,
            "baseline": len(self.baseline or ()),
            "baseline_learning": int(self.baseline is not None and self.baseline.is_learning(self._now_ns)),
        }

    def _set_back(self, now_ns: int) -> None:
        """Start again from an earlier time: no grace and no silence lasts until the old one comes again."""
        back_ns = self._now_ns - now_ns
        self._waiting = deque((ends_ns - back_ns, leg) for ends_ns, leg in self._waiting)
        self.book.set_back(back_ns)
        self._now_ns = self._sweep_ns = now_ns
        self._health.set_back(now_ns)

    def _exposed(self, record: Exposure) -> None:
        if record.flow in self._ws_flows:
            self._ws_flows[record.flow] = True
            transport = "WebSocket"
        else:
            transport = record.key.proto.upper()
        self._paths.take(record, transport)

    def _agent(self, record: Agent) -> None:
        self._endpoints.agent(record)
        if self.baseline is not None and record.flow not in self._ws_flows:
            self.baseline.seen(_sender(record), "signalling", "clear", record.key.vlans, record.ts_ns)
        self._attempts.agent(record)

    def _attempted(self, record: Attempt) -> None:
        self._attempts.take(record)
        for sink in self._sinks:
            sink.attempted(record)

    def _app_seen(self, record: AppSeen) -> None:
        if record.app == "tls":
            if self._tls.tls_seen(record):
                self._signalling(record, "encrypted")
        elif record.app == "sip":
            self._signalling(record, "clear")
            self._tls.sip_seen(record)
        elif record.app in _LEGACY:
            self._signalling(record, "clear")
        elif record.app == "ws":
            self._ws_flows[record.flow] = False
        else:
            if record.app == "rtp":
                self._endpoints.media(record)
            self._legs.app_seen(record)
        self._peers.seen(record.flow, record.key, record.app, record.ts_ns)

    def _signalling(self, record: AppSeen, state: Protection) -> None:
        self._endpoints.signalling(record, state)
        if self.baseline is not None:
            # Whoever asks shows how it speaks. Whom it asks, may never answer.
            hosts = (record.key.a,) if state == "clear" else (record.key.a, record.key.b)
            for address in hosts:
                self.baseline.seen(address, "signalling", state, record.key.vlans, record.ts_ns)

    def _negotiated(self, record: Negotiation) -> None:
        self._legs.negotiated(record)
        if record.state == "agreed":
            self._peers.calls(record.flow, record.key, record.ts_ns)

    def _handshake(self, record: Handshake) -> None:
        self._tls.handshake(record)
        if record.outcome == "completed" and self._tls.is_sip(record.flow):
            self._peers.calls(record.flow, record.key, record.ts_ns)

    def _verdict(self, record: Verdict) -> None:
        self._legs.verdict(record)
        state = protection(record.protection)
        self._endpoints.verdict(record, state)
        self._peers.calls(record.flow, record.key, record.ts_ns)
        if self.baseline is not None and state == "encrypted":  # "clear" has its grace
            self.baseline.seen(_sender(record), "media", state, record.key.vlans, record.ts_ns)

    def _hello(self, record: Hello) -> None:
        if record.kind == "dtls":
            self._legs.hello(record)
        else:
            self._tls.hello(record)

    def _trusted(self, roots: Callable[[], Sequence[bytes] | None]) -> list[bytes]:
        """Return the certificates that the policy trusts, in DER."""
        tls = self._policy.tls
        own = [certificate for file in tls.trust_files for certificate in file.certificates]
        return own + list((roots() if tls.trust_system else None) or ())

    def _flow_ended(self, record: FlowEnded) -> None:
        context = self._legs.flow_ended(record)
        basis = "subprotocol" if self._ws_flows.pop(record.flow, False) else self._tls.flow_ended(record.flow)
        if basis is not None:
            context = FlowContext("unknown", "unknown", "sip", basis)
        self._peers.ended(record.flow, record.key, record.app, record.last_ns)
        if self._policy.dscp:
            holder, claims = qos.unmarked(record, self._segments, self._policy)
            self.book.hold(holder, claims, record.last_ns)
            self.book.judged(("qos-unmarked",), pair("leg", record.key.a, record.key.b), record.last_ns)
        for sink in self._sinks:
            sink.flow_ended(record, context)

    def _leg_ended(self, state: LegState) -> None:
        if not state.flow_ids:
            self._judge(state, self._now_ns)
        a, b = state.hosts()
        ends = self._segments.names(a, b, state.vlans())
        self._unprotected.judge(state, ends, None, state.last_ns)
        by_tls = self._tls.carries_sip(a) or self._tls.carries_sip(b)
        leg = Leg(
            a,
            b,
            state.media,
            "clear" if state.line is not None else "tls" if by_tls else "unknown",
            state.signalled,
            state.observed(),
            state.comparison(),
            state.key_exchange(),
            state.assessed(),
            state.flow_ids,
            state.quality,
            state.call is not None and state.call.recording,
            self._pseudonym(state.call.name, "call") if self._pseudonym and state.call is not None else None,
            state.first_ns,
            state.last_ns,
            ends,
        )
        for sink in self._sinks:
            sink.leg_ended(leg)
        if not state.cut_off:
            self.book.hold(state, (), state.last_ns)
            if state.call is not None and len(state.call.legs) > 1:
                self._judge_call(state.call, state.last_ns)

    def _call_ended(self, call: Call) -> None:
        if not self._closing:
            self.book.hold(call, (), call.last_ns)
        if self._pseudonym is None:
            return
        record = CallRecord(
            self._pseudonym(call.name, "call"),
            self._pseudonym(call.from_user, "user"),
            self._pseudonym(call.to_user, "user"),
            call.recording,
            tuple(call.past),
            call.joined,
            call.first_ns,
            call.last_ns,
        )
        for sink in self._sinks:
            sink.call_ended(record)

    def _endpoint_ended(self, endpoint: Endpoint) -> None:
        for sink in self._sinks:
            sink.endpoint_ended(endpoint)

    def _tls_server_ended(self, server: TlsServer) -> None:
        for sink in self._sinks:
            sink.tls_server_ended(server)

    def _judge(self, leg: LegState, now_ns: int) -> None:
        """Hold a leg against the policy, or wait until its grace is over."""
        facts = leg.facts()
        if facts.observed == "not-observed" and leg.cut_off:
            self.book.touch(leg, now_ns)
            return
        required = self._required(facts)
        self.book.hold(leg, self._claims(leg, facts, required, now_ns), now_ns)
        ends = self._segments.names(facts.a, facts.b, facts.vlans)
        clear_ns = rules.begin_ns(facts.clear) if facts.clear is not None else None
        self._unprotected.judge(leg, ends, clear_ns, now_ns)
        if facts.clear is not None:
            grace_end = rules.grace_end(facts, required.policy)
            if now_ns >= grace_end:
                self._note_senders(leg, now_ns)
            if now_ns < grace_end and not leg.waits_until_ns:
                leg.waits_until_ns = grace_end
                self._waiting.append((grace_end, leg))
        if leg.call is not None and len(leg.call.legs) > 1:
            self._judge_call(leg.call, now_ns)

    def _note_senders(self, leg: LegState, now_ns: int) -> None:
        """Hold whoever sends a leg's media in clear, its grace being over, against the baseline."""
        if self.baseline is not None:
            for stream in leg.clears:
                self.baseline.seen(_sender(stream), "media", "clear", stream.key.vlans, now_ns)

    def _claims(self, leg: LegState, facts: MediaFacts, required: Required, now_ns: int) -> list[Claim]:
        claims = rules.media(facts, required, required.policy, now_ns)
        if facts.keys is not None and facts.accepted and leg.call is not None and facts.observed != "not-observed":
            earlier = self._keys.earlier(leg)
            if earlier is not None:
                claims += rules.key_reuse(facts, earlier, required, required.policy)
        if self._former and leg.line is None and facts.observed != "not-observed":
            if leg.former is None:
                began = now_ns < self._former_until_ns
                leg.former = self._former.get(pair("leg", facts.a, facts.b), ()) if began else ()
            claims += former.goes_on(facts, leg.former, claims, required)
        return claims

    def _calls_joined(self, call: Call, part: Call, now_ns: int) -> None:
        self.book.hold(part, (), now_ns)
        self._judge_call(call, now_ns)

    def _judge_call(self, call: Call, now_ns: int) -> None:
        """Hold the legs of a call against each other."""
        claims: list[Claim] = []
        sides = None if call.recording else call.unlike_legs()
        if sides is not None:
            clear, safe = sides[0].facts(), sides[1].facts()
            required = self._required(clear)
            if now_ns >= rules.grace_end(clear, required.policy):
                claims = rules.half_protected(clear, safe, call.how(), required, required.policy)
        self.book.hold(call, claims, now_ns)

    def _required(self, facts: MediaFacts) -> Required:
        return self._segments.required(facts.a, facts.b, facts.vlans)

    def _sweep(self) -> None:
        self._paths.settle()
        self._paths.sweep(self._now_ns)
        self._tls.sweep(self._now_ns)
        self._attempts.sweep(self._now_ns)
        self._peers.sweep(self._now_ns)
        if self.baseline is not None:
            self.baseline.sweep(self._now_ns)
        today = self._now_ns // DAY_NS
        if self._policy.waivers and today != self._waived_day:
            self._waived_day = today
            self.book.waive(self._now_ns)
        self._judge_by_time()

    def _judge_by_time(self) -> None:
        """Judge the legs of which only time makes a finding."""
        for leg in self._legs:
            if leg.clears and not leg.waits_until_ns:
                self._note_senders(leg, self._now_ns)
            if leg.live() == "undetermined" or (leg.accepted and leg.last_state == leg.live() == "not-observed"):
                self._judge(leg, self._now_ns)


def _sender(record: Verdict | Agent) -> str:
    return record.key.a if record.from_a else record.key.b
