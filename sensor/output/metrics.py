"""Prometheus metrics: the engine's counters and what the sinks were told, read at each scrape.

Labels come from closed sets only, never an address, number, SSRC or Call-ID, and every series exists at 0 from the
start, so that "no data" always means a broken scrape and never a quiet network. docs/METRICS.md lists them all.
"""

from __future__ import annotations

import platform
from bisect import bisect_left
from itertools import accumulate, product
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeVar, get_args

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
)
from prometheus_client.registry import Collector

from fastpath import __version__
from fastpath.records import Verdict
from sensor.model import SEVERITIES, UNNAMED_APPS, Comparison, Protection, Signalled

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from prometheus_client.metrics_core import Metric

    from fastpath.records import FlowEnded, Record
    from sensor.model import Call, Endpoint, Finding, FlowContext, Leg, TlsServer

# Seconds. A verdict takes 1 to 64 packets of 10 to 60 ms; a quiet stream with comfort noise takes longer.
VERDICT_BUCKETS = (0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
APPS = (
    *("sip", "rtp", "rtcp", "tls", "dtls", "stun", "turn", "zrtp", "t38", "sccp", "mgcp", "megaco", "h323", "iax2"),
    *("msrp", "ws", "3cx-tunnel", "http", "ftp", "tftp", "telnet", "smtp", "imap", "pop3", "ldap", "snmp", "dns"),
    *("ntp", "other"),
)
_Label = TypeVar("_Label", str, tuple[str, str])
_Values = float | dict[str, int] | dict[tuple[str, str], int]

STREAM_STATES = ("clear", "encrypted", "undetermined")
FLOW_STATES = (*STREAM_STATES, "not-applicable")
LEG_STATES: tuple[Protection, ...] = get_args(Protection)
COMPARISONS: tuple[Comparison, ...] = get_args(Comparison)
SIGNALLED: tuple[Signalled, ...] = get_args(Signalled)


# Names of Engine.counters() and what they are called here.
_PACKET_FAMILIES = {
    "ignored": "Sound packets of kinds that the sensor does not follow, by reason.",
    "malformed": "Packets whose bytes contradict themselves or end too early, by reason.",
    "shed": "Sound packets that found no room, by reason.",
}
_ENGINE_COUNTERS = {
    "received": (
        "legwatch_received_packets",
        "Packets that the engine took: classified, ignored, malformed and shed together.",
    ),
    "classified": ("legwatch_classified_packets", "Packets that were given to a flow."),
    "duplicates": ("legwatch_duplicate_packets", "Packets that the mirror gave twice."),
    "truncated": ("legwatch_truncated_packets", "Packets of which less was captured than there was."),
    "media_one_way": (
        "legwatch_media_flows_one_way",
        "Media flows of which one direction was seen when it had 100 packets.",
    ),
    "media_both_ways": ("legwatch_media_flows_both_ways", "Media flows of which both directions were seen by then."),
    "gaps_common": ("legwatch_common_gaps", "Media packets that many streams lacked at once: lost in the mirror."),
    "gaps_unreported": (
        "legwatch_unreported_gaps",
        "Media packets that are missing here and that their receivers have, by RTCP: lost in the mirror.",
    ),
    "streams_unreported": ("legwatch_streams_with_unreported_gaps", "Media streams with at least five of these."),
    "overload_statistics": (
        "legwatch_overload_unmeasured_packets",
        "Media packets whose jitter was not followed under overload.",
    ),
    "overload_looks": (
        "legwatch_overload_omitted_looks",
        "Looks at media with a verdict that were left out under overload.",
    ),
    "octets": ("legwatch_received_octets", "Octets of the received packets, on the wire."),
    "flows_begun": ("legwatch_flows_begun", "Flows that were put into the table."),
    "streams_begun": ("legwatch_streams_begun", "Media streams that were put into the table."),
    "streams_refused": ("legwatch_streams_refused", "Media streams that found no room in the table."),
    "sip_messages": ("legwatch_sip_messages", "SIP messages that were read."),
    "sip_unreadable": ("legwatch_sip_unreadable_messages", "SIP messages that could not be read."),
    "hints_replaced": (
        "legwatch_hints_replaced",
        "Addresses whose payload types were known from SDP, and that had to make room for others.",
    ),
    "reassembly_lost_bytes": (
        "legwatch_reassembly_lost_octets",
        "Octets of TCP signalling that were never seen or found no room.",
    ),
    "reassembly_passed_bytes": (
        "legwatch_reassembly_passed_octets",
        "Octets of other TCP conversations that were never seen or found no room.",
    ),
    "conversations_refused": ("legwatch_refused_conversations", "TCP and DTLS conversations that found no room."),
    "conversations_evicted": ("legwatch_evicted_conversations", "Conversations that gave nothing and made room."),
    "events_lost": ("legwatch_lost_records", "Records that found no room on their way to the analysis."),
    "dialogs_evicted": ("legwatch_sip_dialogues_evicted", "SIP dialogues that had to make room for others."),
    "offers_refused": ("legwatch_sip_offers_refused", "Offers of SIP dialogues that found no room."),
    "datagrams_reassembled": ("legwatch_reassembled_datagrams", "Datagrams put together from IP fragments."),
    "datagrams_refused": (
        "legwatch_refused_datagrams",
        "Fragmented datagrams that overlapped, were cut or could not be.",
    ),
    "datagrams_expired": ("legwatch_expired_datagrams", "Fragmented datagrams of which a part never came."),
    "datagrams_evicted": ("legwatch_evicted_datagrams", "Fragmented datagrams that had to make room for others."),
    "certificates_unreadable": ("legwatch_unreadable_certificates", "DTLS certificates whose lengths do not fit."),
    "certificates_lost": ("legwatch_lost_certificates", "Fragments of DTLS certificates that found no room."),
    "attempts_left_out": ("legwatch_sip_attempts_left_out", "Refused SIP requests beyond what is told in a second."),
    "tones_refused": ("legwatch_tones_refused", "Short packets of streams whose telephone events found no room."),
    "asides_refused": (
        "legwatch_asides_refused",
        "What flows would have kept beside their record and had no room for.",
    ),
    "changes_lost": ("legwatch_lost_changes", "Changes of protection beyond what a flow's record holds."),
}
_ENGINE_GAUGES = {
    "overload_stage": (
        "legwatch_overload_stage",
        "What is left out under overload: 0 nothing, 1 jitter, 2 looks at media with a verdict, 3 media of new flows.",
    ),
    "flows": ("legwatch_flows_active", "Flows in the table."),
    "streams": ("legwatch_streams_active", "Media streams in the table."),
    "dialogs": ("legwatch_sip_dialogues_active", "SIP dialogues in the table, ended ones with stragglers included."),
    "tones": ("legwatch_tones_active", "Media streams with packets that may be telephone events."),
    "hints": ("legwatch_hints_active", "Addresses and ports whose payload types are known from SDP."),
    "reassembly_bytes": ("legwatch_reassembly_octets", "Octets of TCP signalling that wait for what is missing."),
}

# Names of Analysis.tables() and what they are called here.
_ANALYSIS_GAUGES = {
    "legs": ("legwatch_legs_active", "Legs that are not over."),
    "calls": ("legwatch_calls_active", "Calls that are not over."),
    "endpoints": ("legwatch_endpoints_active", "Addresses that speak SIP or exchange media."),
    "exposures": ("legwatch_exposures_active", "What pairs of hosts show in clear, by kind and protocol."),
    "tls_servers": ("legwatch_tls_servers_active", "Servers of TLS that carries SIP."),
    "attempts": ("legwatch_sip_attempts_active", "Pairs of hosts and accounts with refused SIP requests."),
}
_ANALYSIS_COUNTERS = {
    "joins_refused": ("legwatch_call_joins_refused", "Calls that evidence would have joined to too large ones."),
    "endpoints_evicted": ("legwatch_endpoints_evicted", "Endpoints that had to make room for others."),
    "tls_servers_evicted": ("legwatch_tls_servers_evicted", "TLS servers that had to make room for others."),
    "certificates_unparsed": (
        "legwatch_unparsed_certificates",
        "Certificates of TLS servers that could not be parsed.",
    ),
    "certificates_left_out": ("legwatch_left_out_certificates", "Certificates beyond what is read in a second."),
    "attempts_evicted": ("legwatch_sip_attempts_evicted", "Such pairs and accounts that had to make room for others."),
    "exposures_refused": ("legwatch_exposures_refused", "What pairs of hosts showed and found no room."),
    "findings_refused": ("legwatch_findings_refused", "Findings that found the book full."),
}


# Of a leg's worst stream: bounds, and what it is
_QUALITY = {
    "legwatch_leg_loss_ratio": (
        (0.001, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2),
        "Share of a leg's packets that did not come.",
    ),
    "legwatch_leg_jitter_seconds": ((0.001, 0.005, 0.01, 0.02, 0.03, 0.05, 0.1), "Interarrival jitter of a leg."),
    "legwatch_leg_delay_seconds": ((0.01, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4), "Delay of a leg one way, by RTCP."),
    "legwatch_leg_mos": ((2.0, 2.6, 3.1, 3.6, 4.0, 4.3), "Opinion score of a leg at best, by ITU-T G.107."),
}


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

    def buckets(self) -> list[tuple[str, float]]:
        """Return how many values were at most each bound, as Prometheus has it."""
        return list(zip((*map(str, self._bounds), "+Inf"), accumulate(tuple(self._counts)), strict=True))


class CaptureState(NamedTuple):
    """How the capture is doing, as the ring says it."""

    up: bool
    kernel_drops: int  # packets, since the start
    clock_steps: int = 0
    clock_synchronised: bool = True


class Metrics(Collector):
    """Collects for one ``CollectorRegistry``; told of results as a sink, of records by ``observe``.

    ``counters`` (``Engine.counters``), ``tables`` (``Analysis.tables``) and ``capture`` are called at each scrape, on
    the scraping thread. All else is written by one thread
    and read by another without a lock: a scrape may be one event behind, and that is all.
    """

    def __init__(
        self,
        counters: Callable[[], Mapping[str, int]],
        tables: Callable[[], Mapping[str, int]],
        capture: Callable[[], CaptureState],
        finding_codes: Sequence[str],
    ) -> None:
        self._counters = counters
        self._tables = tables
        self._capture = capture
        self._verdicts = _zeros(STREAM_STATES)
        self._changes = _zeros(tuple((a, b) for a, b in product(STREAM_STATES, repeat=2) if a != b))
        self._flows = _zeros(tuple(product(APPS, FLOW_STATES)))
        self._signalling = _zeros(STREAM_STATES)
        self._legs = _zeros(tuple(product(SIGNALLED, LEG_STATES)))
        self._comparisons = _zeros(COMPARISONS)
        self._calls = _zeros(LEG_STATES)
        self._opened = _zeros(tuple(product(finding_codes, SEVERITIES)))
        self._open_now: dict[int, tuple[str, str]] = {}  # a finding's severity may change while it is open
        self._open = _zeros(tuple(self._opened))
        self._elapsed = {state: _Histogram(VERDICT_BUCKETS) for state in ("clear", "encrypted")}
        self._quality = {name: _Histogram(bounds) for name, (bounds, _) in _QUALITY.items()}
        self.reload_succeeded = True
        self.reload_time_s = 0.0  # Unix time of the last configuration that was taken
        self.events_failed = 0  # events that could not be written

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
        """Count the leg by what was promised, what was seen and how they compare."""
        self._legs[leg.signalled, leg.observed] += 1
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

    def endpoint_ended(self, endpoint: Endpoint) -> None:
        """Endpoints are a gauge of the tables."""

    def tls_server_ended(self, server: TlsServer) -> None:
        """TLS servers are a gauge of the tables."""

    def finding_changed(self, finding: Finding, change: Literal["opened", "updated", "resolved"]) -> None:
        """Move the gauge of open findings; count the opened ones."""
        before = self._open_now.pop(id(finding), None)
        if before is not None:
            self._open[before] -= 1
        if change != "resolved":
            labels = finding.code, finding.severity
            self._open_now[id(finding)] = labels
            self._open[labels] += 1
            if change == "opened":
                self._opened[labels] += 1

    def collect(self) -> Iterator[Metric]:
        """Give every series there is, those at 0 included."""
        yield InfoMetricFamily(
            "legwatch_build", "Version of the sensor.", {"version": __version__, "python": platform.python_version()}
        )
        yield from self._packets()
        yield from self._traffic()
        yield from self._results()
        yield _gauge(
            "legwatch_config_last_reload_successful", "1 when the last configuration was taken.", self.reload_succeeded
        )
        yield _gauge(
            "legwatch_config_last_reload_success_timestamp_seconds",
            "When the configuration in use was taken, Unix time.",
            self.reload_time_s,
        )
        yield _counter("legwatch_event_write_failures", "Events that could not be written.", self.events_failed)

    def _packets(self) -> Iterator[Metric]:
        counters, capture = self._counters(), self._capture()
        yield _gauge("legwatch_capture_up", "1 while the interface is up and packets are taken from it.", capture.up)
        yield _counter(
            "legwatch_kernel_dropped_packets",
            "Packets that the kernel dropped, the ring being full.",
            capture.kernel_drops,
        )
        yield _counter("legwatch_clock_steps", "Times that the clock was set.", capture.clock_steps)
        yield _gauge(
            "legwatch_clock_synchronised", "1 while a time daemon keeps the clock.", capture.clock_synchronised
        )
        for family, help_text in _PACKET_FAMILIES.items():
            reasons = {name.partition(".")[2]: n for name, n in counters.items() if name.startswith(f"{family}.")}
            yield _counter(f"legwatch_{family}_packets", help_text, reasons, "reason")
        for counter, (name, help_text) in _ENGINE_COUNTERS.items():
            yield _counter(name, help_text, counters[counter])
        for counter, (name, help_text) in _ENGINE_GAUGES.items():
            yield _gauge(name, help_text, counters[counter])
        tables = self._tables()
        for table, (name, help_text) in _ANALYSIS_GAUGES.items():
            yield _gauge(name, help_text, tables[table])
        for table, (name, help_text) in _ANALYSIS_COUNTERS.items():
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
            "legwatch_legs_ended", "Legs by what was promised and what was seen.", self._legs, "signalled", "observed"
        )
        yield _counter(
            "legwatch_legs_compared", "Legs by how promise and packets compare.", self._comparisons, "comparison"
        )
        for name, (_, help_text) in _QUALITY.items():
            quality = HistogramMetricFamily(name, help_text)
            quality.add_metric([], self._quality[name].buckets(), self._quality[name].total)
            yield quality
        yield _counter("legwatch_calls_ended", "Calls by the worst state of their legs.", self._calls, "observed")
        yield _counter("legwatch_findings_opened", "Findings opened.", self._opened, "code", "severity")
        yield _gauge("legwatch_findings_open", "Findings that are open now.", self._open, "code", "severity")


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


def _zeros(labels: Iterable[_Label]) -> dict[_Label, int]:
    # Not a Counter: a label outside its closed set has to be an error where it is counted.
    return dict.fromkeys(labels, 0)


def _counter(name: str, help_text: str, values: _Values, *labels: str) -> Metric:
    return _filled(CounterMetricFamily(name, help_text, labels=labels), values)


def _gauge(name: str, help_text: str, values: _Values, *labels: str) -> Metric:
    return _filled(GaugeMetricFamily(name, help_text, labels=labels), values)


def _filled(family: CounterMetricFamily | GaugeMetricFamily, values: _Values) -> Metric:
    if not isinstance(values, dict):
        family.add_metric([], values)
        return family
    for label, value in values.items():
        family.add_metric(label if isinstance(label, tuple) else [label], value)
    return family
