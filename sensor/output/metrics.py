"""Prometheus metrics: the engine's counters and what the sinks were told, read at each scrape.

Labels come from closed sets only, never an address, number, SSRC or Call-ID, and every series exists at 0 from the
start, so that "no data" always means a broken scrape and never a quiet network. docs/METRICS.md lists them all.
"""

from __future__ import annotations

import platform
from bisect import bisect_left
from collections.abc import Hashable, Mapping
from itertools import accumulate, combinations, product
from math import inf
from typing import TYPE_CHECKING, NamedTuple, Protocol, TypeVar, get_args

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
)
from prometheus_client.registry import Collector
from prometheus_client.samples import Exemplar

from fastpath import __version__
from fastpath.records import Verdict
from sensor.config.network import OUTSIDE, Role
from sensor.model import UNNAMED_APPS, Comparison, Protection, QuietSink, Signalled
from sensor.output.metric_names import (
    ANALYSIS_COUNTERS,
    ANALYSIS_GAUGES,
    ENGINE_COUNTERS,
    ENGINE_GAUGES,
    EXTRA_COUNTERS,
    LEDGER_COUNTERS,
    LEDGER_GAUGES,
    PACKET_FAMILIES,
    QUALITY,
    SINK_COUNTERS,
    SINK_GAUGES,
)
from sensor.policy.catalogue import CATALOGUE
from sensor.readiness import LEVELS, is_blind

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from prometheus_client.metrics_core import Metric

    from fastpath.records import FlowEnded, Record
    from sensor.calls.unprotected import InClear
    from sensor.config.schema import Policy
    from sensor.model import Call, Finding, FlowContext, Leg, Step
    from sensor.readiness import Condition

# Seconds. A verdict takes 1 to 64 packets of 10 to 60 ms; a quiet stream with comfort noise takes longer.
VERDICT_BUCKETS = (0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
APPS = (
    *("sip", "rtp", "rtcp", "tls", "dtls", "stun", "turn", "zrtp", "t38", "sccp", "mgcp", "megaco", "h323", "iax2"),
    *("msrp", "ws", "3cx-tunnel", "http", "ftp", "tftp", "telnet", "smtp", "imap", "pop3", "ldap", "snmp", "dns"),
    *("ntp", "other"),
)

FINDING_BUCKETS = (0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0)
MAX_PAIRS = 15  # of segments, each with 26 series
OTHER_PAIRS = "other"
FINDING_STATES = ("open", "waived")
CERTIFICATE_ROLES = (*get_args(Role), "other")

_Key = TypeVar("_Key", bound=Hashable)
_Values = float | Mapping[str, float] | Mapping[tuple[str, str], float] | Mapping[tuple[str, str, str], float]

STREAM_STATES = ("clear", "encrypted", "undetermined")
FLOW_STATES = (*STREAM_STATES, "not-applicable")
LEG_STATES: tuple[str, ...] = get_args(Protection)
COMPARISONS: tuple[str, ...] = get_args(Comparison)
SIGNALLED: tuple[str, ...] = get_args(Signalled)


class _Histogram:
    """Counts of values up to each of some bounds."""

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.total = 0.0
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)

    def observe(self, value: float) -> None:
        """Count a value."""
        self._counts[bisect_left(self._bounds, value)] += 1
        self.total += value

    def family(self, name: str, help_text: str) -> HistogramMetricFamily:
        """Return it as a metric."""
        family = HistogramMetricFamily(name, help_text)
        family.add_metric([], self.buckets(), self.total)
        return family

    def buckets(self) -> list[tuple[str, float]]:
        """Return how many values were at most each bound, as Prometheus has it."""
        return list(zip((*map(str, self._bounds), "+Inf"), accumulate(tuple(self._counts)), strict=True))


class CaptureState(NamedTuple):
    """How the capture is doing, as the ring says it."""

    up: bool
    kernel_drops: int  # packets, since the start
    link_losses: int = 0  # as RingSource has it
    clock_steps: int = 0
    clock_synchronised: bool = True


class SinkState(NamedTuple):
    """How a way out is doing: events, since the start but for those that are waiting."""

    delivered: int = 0
    dropped: int = 0
    retries: int = 0
    waiting: int = 0  # in memory and on disk
    up: bool = True  # the last attempt succeeded
    last_s: float = 0.0  # Unix time of the last delivery


class LedgerState(NamedTuple):
    """How the ledger is doing; counts are since the start."""

    entries: int = 0
    octets: int = 0
    lost: int = 0  # entries that found no room
    errors: int = 0
    size: int = 0  # entries that are signed, of all runs
    size_octets: int = 0  # on disk
    room_s: float = inf  # until there is no room; infinite: not before the oldest entries go
    checkpoint_s: float = 0.0  # Unix time of the last one; 0: not since the start


class Sources(Protocol):
    """What is asked at each scrape, on the scraping thread."""

    def counters(self) -> Mapping[str, int]:
        """Return the counters of the core (``Engine.counters``)."""

    def tables(self) -> Mapping[str, int]:
        """Return the fill of the analysis' tables (``Analysis.tables``)."""

    def capture_state(self) -> CaptureState:
        """Return how the capture is doing."""

    def conditions(self) -> Sequence[Condition]:
        """Return what keeps the sensor from seeing, or from seeing well."""

    def in_clear(self) -> Mapping[tuple[str, str], InClear]:
        """Return the legs in clear, by segments (``Analysis.in_clear``)."""

    def expiries(self) -> Mapping[str, int]:
        """Return when certificates end, ns, by role (``Analysis.expiries``)."""

    def waivers(self) -> Mapping[str, int]:
        """Return how many waivers are "active" and "expired"."""

    def sinks(self) -> Mapping[str, SinkState]:
        """Return the ways out, by name."""

    def requests(self) -> Mapping[str, int]:
        """Return the requests to the endpoint, by outcome."""

    def ledger(self) -> LedgerState | None:
        """Return how the ledger is doing, None where there is none."""

    def extra(self) -> Mapping[str, int]:
        """Return single counters by their names in ``EXTRA_COUNTERS``."""


class Metrics(Collector, QuietSink):
    """Collects for one ``CollectorRegistry``; told of results as a sink, of records by ``observe``.

    ``sources`` are asked at each scrape. All else is written by one thread and read by another without a lock: a
    scrape may be one event behind, and that is all.
    """

    def __init__(self, sources: Sources, policy: Policy, sensor: Mapping[str, str]) -> None:
        self._sources = sources
        self._sensor = dict(sensor)
        self._verdicts = _zeros(STREAM_STATES)
        self._changes = _zeros(tuple((a, b) for a, b in product(STREAM_STATES, repeat=2) if a != b))
        self._flows = _zeros(tuple(product(APPS, FLOW_STATES)))
        self._signalling = _zeros(STREAM_STATES)
        self._legs: dict[tuple[str, str, str], int] = {}
        self._comparisons = _zeros(COMPARISONS)
        self._calls = _zeros(LEG_STATES)
        self._opened: dict[tuple[str, str], int] = {}
        self._resolved: dict[tuple[str, str], int] = {}
        self._findings: dict[tuple[str, str, str], int] = {}
        self._now: dict[int, tuple[str, str, str]] = {}  # a finding's severity may change while it is open
        self._exemplars: dict[tuple[str, str], Exemplar] = {}
        self._elapsed = {state: _Histogram(VERDICT_BUCKETS) for state in ("clear", "encrypted")}
        self._to_finding = _Histogram(FINDING_BUCKETS)
        self._quality = {name: _Histogram(bounds) for name, (bounds, _) in QUALITY.items()}
        self._pairs: dict[tuple[str, str], str] = {}
        self._known: frozenset[str] = frozenset()
        self.reload(policy)
        self.reload_succeeded = True
        self.reload_time_s = 0.0  # Unix time of the last configuration that was taken

    def reload(self, policy: Policy) -> None:
        """Take the segments and severities of a policy; what was counted stays where its labels do."""
        pairs = pair_labels(policy)
        legs = product(SIGNALLED, LEG_STATES, dict.fromkeys((*pairs.values(), OTHER_PAIRS)))
        kinds = list(severities_of(policy))
        now = set(self._now.values())
        self._legs = {key: self._legs.get(key, 0) for key in legs}
        self._opened = {key: self._opened.get(key, 0) for key in kinds}
        self._resolved = {key: self._resolved.get(key, 0) for key in kinds}
        findings = dict.fromkeys((*((*kind, state) for kind in kinds for state in FINDING_STATES), *now))
        self._findings = {key: self._findings.get(key, 0) for key in findings}
        self._known = frozenset((OUTSIDE, *(segment.name for segment in policy.segments)))
        self._pairs = pairs

    def observe(self, records: Iterable[Record]) -> None:
        """Count what records say before any leg or flow is over: verdicts, their changes and how long they took."""
        for record in records:
            if isinstance(record, Verdict):
                if record.previous is not None and record.previous != record.protection:
                    self._changes[record.previous, record.protection] += 1
                self._verdicts[record.protection] += 1
                if record.previous in {None, "undetermined"} and record.protection in self._elapsed:
                    self._elapsed[record.protection].observe(record.elapsed_ns / 1e9)

    def flow_ended(self, flow: FlowEnded, context: FlowContext) -> None:
        """Count the flow by what it carried."""
        self._flows["other" if flow.app in UNNAMED_APPS else flow.app, flow.protection] += 1
        if flow.app == "sip" or context.carries == "sip":
            self._signalling[flow.protection] += 1

    def leg_ended(self, leg: Leg) -> None:
        """Count the leg by what was promised, what was seen, where, and how they compare."""
        key = leg.signalled, leg.observed, self._pairs.get(leg.segments, OTHER_PAIRS)
        self._legs[key] += 1
        self._comparisons[leg.comparison] += 1
        if leg.quality is not None:
            seen = leg.quality
            self._quality["legwatch_leg_loss_ratio"].observe(seen.loss)
            if seen.jitter_ms is not None:
                self._quality["legwatch_leg_jitter_seconds"].observe(seen.jitter_ms / 1000)
            if seen.delay_ms is not None:
                self._quality["legwatch_leg_delay_seconds"].observe(seen.delay_ms / 1000)
            if seen.mos is not None:
                self._quality["legwatch_leg_mos"].observe(seen.mos)

    def call_ended(self, call: Call) -> None:
        """Count the call by what its legs were seen to be, the worst of them."""
        self._calls[call.observed] += 1

    def finding_changed(self, finding: Finding, change: Step) -> None:
        """Move the gauge of findings; count those that opened and resolved, which one from before did not."""
        before = self._now.pop(id(finding), None)
        if before is not None:
            self._findings[before] -= 1
        key = finding.code, finding.severity
        if change == "resolved":
            self._resolved[key] = self._resolved.get(key, 0) + 1
            return
        self._now[id(finding)] = state = (*key, finding.state)
        self._findings[state] = self._findings.get(state, 0) + 1
        if change == "opened":
            self._opened[key] = self._opened.get(key, 0) + 1
            self._exemplars[key] = Exemplar({"finding_id": finding.id}, 1.0, finding.first_ns / 1e9)
            if finding.since_ns:
                self._to_finding.observe(max(finding.first_ns - finding.since_ns, 0) / 1e9)

    def findings(self) -> dict[tuple[str, str, str], int]:
        """Return how many findings are true now, by code, severity and state; those that are none are left out."""
        return {key: count for key, count in tuple(self._findings.items()) if count}

    def collect(self) -> Iterator[Metric]:
        """Give every series there is, those at 0 included."""
        yield InfoMetricFamily(
            "legwatch_build", "Version of the sensor.", {"version": __version__, "python": platform.python_version()}
        )
        yield InfoMetricFamily("legwatch_sensor", "Which sensor this is.", self._sensor)
        yield from self._readiness()
        yield from self._packets()
        yield from self._traffic()
        yield from self._results()
        yield from self._self()

    def _readiness(self) -> Iterator[Metric]:
        holding = self._sources.conditions()
        now = {each.reason for each in holding}
        yield _gauge("legwatch_ready", "1 while nothing blinds the sensor.", not is_blind(holding))
        yield _gauge(
            "legwatch_condition",
            "1 while this holds of the sensor: it is blind, or sees and is degraded.",
            {(str(level), str(reason)): reason in now for reason, level in LEVELS.items()},
            "level",
            "reason",
        )

    def _self(self) -> Iterator[Metric]:
        yield _gauge(
            "legwatch_config_last_reload_successful", "1 when the last configuration was taken.", self.reload_succeeded
        )
        yield _gauge(
            "legwatch_config_last_reload_success_timestamp_seconds",
            "When the configuration in use was taken, Unix time.",
            self.reload_time_s,
        )
        yield _gauge("legwatch_waivers", "Waivers of the policy.", dict(self._sources.waivers()), "state")
        sinks = self._sources.sinks()
        for field, (name, help_text) in SINK_COUNTERS.items():
            yield _counter(name, help_text, {sink: getattr(state, field) for sink, state in sinks.items()}, "sink")
        for field, (name, help_text) in SINK_GAUGES.items():
            yield _gauge(name, help_text, {sink: getattr(state, field) for sink, state in sinks.items()}, "sink")
        yield _counter(
            "legwatch_http_requests", "Requests to this endpoint.", dict(self._sources.requests()), "outcome"
        )
        extra = self._sources.extra()
        for key, (name, help_text) in EXTRA_COUNTERS.items():
            yield _counter(name, help_text, extra.get(key, 0))
        ledger = self._sources.ledger() or LedgerState()
        for key, (name, help_text) in LEDGER_COUNTERS.items():
            yield _counter(name, help_text, getattr(ledger, key))
        for key, (name, help_text) in LEDGER_GAUGES.items():
            yield _gauge(name, help_text, getattr(ledger, key))

    def _packets(self) -> Iterator[Metric]:
        counters, capture = self._sources.counters(), self._sources.capture_state()
        yield _gauge("legwatch_capture_up", "1 while the interface is up and packets are taken from it.", capture.up)
        yield _counter(
            "legwatch_link_losses", "Times that the link went down, or the interface away.", capture.link_losses
        )
        yield _counter(
            "legwatch_kernel_dropped_packets",
            "Packets that the kernel dropped, the ring being full.",
            capture.kernel_drops,
        )
        yield _counter("legwatch_clock_steps", "Times that the clock was set.", capture.clock_steps)
        yield _gauge(
            "legwatch_clock_synchronised", "1 while a time daemon keeps the clock.", capture.clock_synchronised
        )
        for family, help_text in PACKET_FAMILIES.items():
            reasons = {name.partition(".")[2]: n for name, n in counters.items() if name.startswith(f"{family}.")}
            yield _counter(f"legwatch_{family}_packets", help_text, reasons, "reason")
        for counter, (name, help_text) in ENGINE_COUNTERS.items():
            yield _counter(name, help_text, counters[counter])
        for counter, (name, help_text) in ENGINE_GAUGES.items():
            yield _gauge(name, help_text, counters[counter])
        tables = self._sources.tables()
        for table, (name, help_text) in ANALYSIS_GAUGES.items():
            yield _gauge(name, help_text, tables[table])
        for table, (name, help_text) in ANALYSIS_COUNTERS.items():
            yield _counter(name, help_text, tables[table])

    def _traffic(self) -> Iterator[Metric]:
        yield _counter("legwatch_flows_ended", "Flows that are over.", self._flows, "app", "protection")
        yield _counter(
            "legwatch_signalling_flows_ended",
            "Flows of SIP that are over, inside TLS or not.",
            self._signalling,
            "protection",
        )
        yield _counter(
            "legwatch_stream_verdicts",
            "Verdicts on media streams, changed ones included.",
            self._verdicts,
            "protection",
        )
        yield _counter(
            "legwatch_stream_verdict_changes",
            "Streams whose protection changed in mid-stream.",
            self._changes,
            "before",
            "after",
        )
        histogram = HistogramMetricFamily(
            "legwatch_time_to_verdict_seconds",
            "From a stream's first packet to the first verdict that it is clear or encrypted.",
            labels=["protection"],
        )
        for protection, elapsed in self._elapsed.items():
            histogram.add_metric([protection], elapsed.buckets(), elapsed.total)
        yield histogram

    def _results(self) -> Iterator[Metric]:
        yield _counter(
            "legwatch_legs_ended",
            "Legs by what was promised, what was seen, and the segments of their ends.",
            self._legs,
            "signalled",
            "observed",
            "segments",
        )
        yield _counter(
            "legwatch_legs_compared", "Legs by how promise and packets compare.", self._comparisons, "comparison"
        )
        pairs, known = self._pairs, self._known
        legs = dict.fromkeys((*pairs.values(), OTHER_PAIRS), 0)
        seconds = dict.fromkeys(legs, 0.0)
        for ends, clear in self._sources.in_clear().items():
            if known.issuperset(ends):  # segments of an earlier policy are history
                legs[pairs.get(ends, OTHER_PAIRS)] += clear.legs
                seconds[pairs.get(ends, OTHER_PAIRS)] += clear.ns / 1e9
        yield _gauge("legwatch_unprotected_legs", "Legs with media in clear now.", legs, "segments")
        yield _counter("legwatch_unprotected_seconds", "Time that legs were in clear.", seconds, "segments")
        for name, (_, help_text) in QUALITY.items():
            yield self._quality[name].family(name, help_text)
        yield _counter("legwatch_calls_ended", "Calls by the worst state of their legs.", self._calls, "observed")
        yield self._findings_opened()
        yield _counter("legwatch_findings_resolved", "Findings that are over.", self._resolved, "code", "severity")
        yield _gauge("legwatch_findings", "Findings that are true now.", self._findings, "code", "severity", "state")
        yield self._to_finding.family(
            "legwatch_time_to_finding_seconds", "From the first packet that a finding is about until it was opened."
        )
        expiries = self._sources.expiries()
        yield _gauge(
            "legwatch_certificate_expiry_timestamp_seconds",
            "When the first certificate of a server of SIP ends, Unix time; 0: none was seen.",
            {role: expiries.get(role, 0) / 1e9 for role in CERTIFICATE_ROLES},
            "role",
        )

    def _findings_opened(self) -> Metric:
        family = CounterMetricFamily("legwatch_findings_opened", "Findings opened.", labels=("code", "severity"))
        for key, value in tuple(self._opened.items()):
            family.add_metric(key, value, exemplar=self._exemplars.get(key))
        return family


def pair_labels(policy: Policy) -> dict[tuple[str, str], str]:
    """Return the label of each ordered pair of segments: those that the policy names first, then each with itself.

    There are ``MAX_PAIRS`` labels at most; what is beyond is "other" together, so that the series stay few.
    """
    names = [*(segment.name for segment in policy.segments), OUTSIDE]
    pairs = [pair.between for pair in policy.pairs]
    pairs += [(name, name) for name in names[:-1]]
    pairs += [(name, OUTSIDE) for name in names[:-1]]
    pairs += list(combinations(names, 2))
    labels: dict[tuple[str, str], str] = {}
    for a, b in pairs:
        if (a, b) not in labels and len(set(labels.values())) < MAX_PAIRS:
            labels[a, b] = labels[b, a] = f"{a}/{b}"
    return labels


def severities_of(policy: Policy) -> Iterator[tuple[str, str]]:
    """Yield each code with each severity that a finding of it may have by a policy."""
    said = [policy.severities, *(segment.severities for segment in policy.segments)]
    said += [pair.severities for pair in policy.pairs]
    for code, entry in CATALOGUE.items():
        by_policy = (severities[code] for severities in said if code in severities)
        for severity in dict.fromkeys((entry.severity, *entry.also, *by_policy)):
            yield code, severity


def reference(metrics: Collector) -> str:
    """Return the table of docs/METRICS.md: every metric with its type, its labels with their values, its meaning."""
    lines = ["| metric | type | labels | meaning |", "|---|---|---|---|"]
    for metric in metrics.collect():
        values: dict[str, dict[str, None]] = {}
        for sample in metric.samples:
            for label, value in sample.labels.items():
                if metric.type != "info" and label != "le":
                    values.setdefault(label, {})[value] = None
        suffix = {"counter": "_total", "info": "_info"}.get(metric.type, "")
        labels = "<br>".join(f"`{label}`: {' '.join(found)}" for label, found in values.items())
        lines.append(f"| `{metric.name}{suffix}` | {metric.type} | {labels} | {metric.documentation} |")
    return "\n".join(lines) + "\n"


def _zeros(labels: Iterable[_Key]) -> dict[_Key, int]:
    # Not a Counter: a label outside its closed set has to be an error where it is counted.
    return dict.fromkeys(labels, 0)


def _counter(name: str, help_text: str, values: _Values, *labels: str) -> Metric:
    return _filled(CounterMetricFamily(name, help_text, labels=labels), values)


def _gauge(name: str, help_text: str, values: _Values, *labels: str) -> Metric:
    return _filled(GaugeMetricFamily(name, help_text, labels=labels), values)


def _filled(family: CounterMetricFamily | GaugeMetricFamily, values: _Values) -> Metric:
    if not isinstance(values, Mapping):
        family.add_metric([], values)
        return family
    for label, value in tuple(values.items()):
        family.add_metric(label if isinstance(label, tuple) else [str(label)], value)
    return family
