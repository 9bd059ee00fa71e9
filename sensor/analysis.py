"""The sensor's middle: records in, legs and findings out. No I/O and no clock; time is the packets' own."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from fastpath.records import (
    AppSeen,
    Certificate,
    Control,
    Evidence,
    FlowEnded,
    Hello,
    Record,
    SipMessage,
    Tones,
    Verdict,
)
from sensor.calls.legs import Legs, LegState
from sensor.config.schema import Limits, Policy
from sensor.findings import Book
from sensor.model import FlowContext, Leg
from sensor.policy import rules
from sensor.policy.segments import Segments
from sensor.signalling.dialogs import Dialogs
from sensor.signalling.paths import Paths

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from sensor.model import Sink

NS = 1_000_000_000
SWEEP_NS = 10 * NS  # between looks at what may have gone silent
JUMP_NS = 3600 * NS  # a step of time that one record alone does not prove: its packet's stamp may be broken
MAX_TLS_HOSTS = 1 << 16
SIPS_PORT = 5061  # RFC 3261 section 18.2.1

_SIP_IN_TLS = FlowContext("unknown", "unknown", "sip")

# Counters of the core that mean that something was not seen, and what they count
_LOSSES = {
    "kernel_drops": "packets dropped by the kernel",
    "events_lost": "records dropped between core and sensor",
    "streams_refused": "media streams that found no room",
    "reassembly_lost_bytes": "octets of TCP signalling",
}


class Analysis:
    """Feeds records through signalling, legs and policy, and tells the sinks.

    ``interface`` names the watched link, "" for a capture file: only a live link can fall silent.
    ``pseudonym`` turns a Call-ID into the name of the call in leg records; without it legs name no call.
    """

    def __init__(
        self,
        policy: Policy,
        sinks: Sequence[Sink],
        *,
        limits: Limits | None = None,
        interface: str = "",
        pseudonym: Callable[[str], str] | None = None,
    ) -> None:
        limits = limits or Limits()
        self.book = Book(sinks, capacity=limits.findings)
        self._policy = policy
        self._segments = Segments(policy, interface)
        self._sinks = sinks
        self._interface = interface
        self._pseudonym = pseudonym
        self._legs = Legs(self._judge, self._leg_ended)
        self._dialogs = Dialogs(limits.dialogues)
        self._paths = Paths(self.book, self._segments, policy)
        self._tls_hosts: dict[str, None] = {}  # ends of TLS that carries SIP, the latest last
        self._sip_tls: set[int] = set()  # its flows
        self._waiting: deque[LegState] = deque()  # legs in grace, the first to leave it first
        self._now_ns = 0
        self._record_ns = 0  # time of the latest record
        self._sweep_ns = 0
        self._received = 0
        self._received_ns: int | None = None
        self._lost_total = 0
        self._lost_before: dict[str, int] = {}  # what had been lost when the last finding about it was resolved
        self._lost_said = 0
        self._lost_ns = 0
        self._take: dict[type, Callable[..., None]] = {
            SipMessage: self._sip,
            AppSeen: self._app_seen,
            Verdict: self._legs.verdict,
            Hello: self._hello,
            Evidence: lambda _record: None,  # how a verdict came about changes nothing
            Control: lambda _record: None,
            Tones: lambda _record: None,
            Certificate: lambda _record: None,
            FlowEnded: self._flow_ended,
        }

    def feed(self, record: Record) -> None:
        """Take one record of the core, in order."""
        before_ns, self._record_ns = self._record_ns, record.ts_ns
        if self._now_ns < record.ts_ns < max(self._now_ns, before_ns) + JUMP_NS:
            self.advance(record.ts_ns)
        self._take[type(record)](record)

    def advance(self, now_ns: int) -> None:
        """Move packet time on; call between batches, live at least once a second.

        A little back is packets out of order, and nothing; far back is a clock that was set.
        """
        if self._now_ns - now_ns >= JUMP_NS:
            self._set_back(now_ns)
        if now_ns < self._now_ns:
            return
        self._now_ns = now_ns
        while self._waiting and self._waiting[0].waits_until_ns <= now_ns:
            leg = self._waiting.popleft()
            leg.waits_until_ns = 0
            self._judge(leg, now_ns)
        if now_ns >= self._sweep_ns:
            self._sweep_ns = now_ns + SWEEP_NS
            self._sweep()

    def counters(self, counters: Mapping[str, int]) -> None:
        """Take the engine's counters (``Engine.counters()``): loss and silence become findings."""
        received = counters.get("received", 0)
        if self._received_ns is None or received != self._received:
            self._received, self._received_ns = received, self._now_ns
        if self._interface:
            silent_ns = self._now_ns - self._received_ns
            self.book.hold("traffic", rules.no_traffic(self._interface, silent_ns, self._policy), self._now_ns)
        self._watch_loss(counters)

    def reload(self, policy: Policy) -> None:
        """Judge by another policy from now on, what is open included."""
        self._policy = policy
        self._segments = Segments(policy, self._interface)
        self._paths.reload(self._segments, policy)
        # The grace may be another one, too.
        for leg in self._waiting:
            leg.waits_until_ns = 0
        self._waiting.clear()
        for leg in sorted(self._legs, key=lambda leg: leg.clear_since_ns):
            self._judge(leg, self._now_ns)

    def close(self) -> None:
        """End every leg, after the last record. Findings stay open: the end of the input resolves nothing."""
        self._legs.close()
        self._paths.tell()

    def tables(self) -> dict[str, int]:
        """Return the fill of the tables and what they had to turn away, by name, for the metrics."""
        return {
            "legs": len(self._legs),
            "dialogues": len(self._dialogs),
            "dialogues_evicted": self._dialogs.evicted,
            "signalling_pairs": len(self._paths),
            "signalling_pairs_refused": self._paths.refused,
            "findings_refused": self.book.overflow,
        }

    def _set_back(self, now_ns: int) -> None:
        """Start again from an earlier time: no grace and no silence lasts until the old one comes again."""
        while self._waiting:
            leg = self._waiting.popleft()
            ends_ns, leg.waits_until_ns = leg.waits_until_ns, 0
            self._judge(leg, ends_ns)
        self._now_ns = self._sweep_ns = now_ns
        self._lost_ns = min(self._lost_ns, now_ns)
        if self._received_ns is not None:
            self._received_ns = min(self._received_ns, now_ns)

    def _sip(self, msg: SipMessage) -> None:
        hosts = self._paths.take(msg)
        for dialog in self._dialogs.feed(msg, hosts):
            self._legs.signalled(dialog, msg.ts_ns)

    def _app_seen(self, record: AppSeen) -> None:
        if record.app == "tls":
            if SIPS_PORT in (record.key.a_port, record.key.b_port):
                self._carries_sip(record)
        else:
            self._legs.app_seen(record)

    def _hello(self, record: Hello) -> None:
        if record.kind == "tls" and record.alpn.startswith("sip"):
            self._carries_sip(record)

    def _carries_sip(self, record: AppSeen | Hello) -> None:
        self._sip_tls.add(record.flow)
        for host in (record.key.a, record.key.b):
            self._tls_hosts.pop(host, None)
            self._tls_hosts[host] = None
        while len(self._tls_hosts) > MAX_TLS_HOSTS:
            del self._tls_hosts[next(iter(self._tls_hosts))]

    def _flow_ended(self, record: FlowEnded) -> None:
        context = self._legs.flow_ended(record)
        if record.app == "sip":
            self._paths.flow_ended(record.flow)
        elif record.flow in self._sip_tls:
            self._sip_tls.discard(record.flow)
            context = _SIP_IN_TLS
        for sink in self._sinks:
            sink.flow_ended(record, context)

    def _leg_ended(self, state: LegState) -> None:
        a, b = state.hosts()
        by_tls = a in self._tls_hosts or b in self._tls_hosts
        leg = Leg(
            a,
            b,
            state.media,
            "clear" if state.call_id else "tls" if by_tls else "unknown",
            state.signalled,
            state.observed(),
            state.comparison(),
            state.key_exchange(),
            state.assessed(),
            state.flow_ids,
            self._pseudonym(state.call_id) if self._pseudonym and state.call_id else None,
            state.first_ns,
            state.last_ns,
        )
        for sink in self._sinks:
            sink.leg_ended(leg)

    def _judge(self, leg: LegState, now_ns: int) -> None:
        """Hold a leg against the policy, or wait until its grace is over."""
        clear = leg.clear_media()
        if clear is None:
            if leg.cut_off:
                self.book.touch(leg, now_ns)
            else:
                self.book.hold(leg, (), now_ns)
            return
        grace_end = rules.grace_end(clear, self._policy)
        if now_ns >= grace_end:
            key = clear.verdict.key
            required = self._segments.required(key.a, key.b, key.vlans)
            self.book.hold(leg, rules.media(clear, required, self._policy, now_ns), now_ns)
        elif not leg.waits_until_ns:
            leg.waits_until_ns = grace_end
            self._waiting.append(leg)

    def _watch_loss(self, counters: Mapping[str, int]) -> None:
        lost = {words: counters.get(name, 0) for name, words in _LOSSES.items()}
        lost["packets shed under load"] = sum(count for name, count in counters.items() if name.startswith("shed."))
        total = sum(lost.values())
        if total > self._lost_total:
            self._lost_total, self._lost_ns = total, self._now_ns
            since = {words: count - self._lost_before.get(words, 0) for words, count in lost.items()}
            new = sum(since.values())
            # Said again only when it has become ten times as much.
            if new >= 10 * self._lost_said:
                self._lost_said = new
                self.book.hold("loss", rules.loss(self._interface, since, self._policy), self._now_ns)
            else:
                self.book.touch("loss", self._now_ns, 1)
        elif self._lost_said and self._now_ns - self._lost_ns >= self._policy.resolve_after * NS:
            self._lost_said, self._lost_before = 0, lost
            self.book.hold("loss", (), self._lost_ns)

    def _sweep(self) -> None:
        self._paths.sweep(self._now_ns)
        for dialog in self._dialogs.expire(self._now_ns):
            self._legs.signalled(dialog, self._now_ns)
