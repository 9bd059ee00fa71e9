"""Metrics: every series at 0 from the start, labels from closed sets only, nobody's identity."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.exposition import choose_encoder
from prometheus_client.parser import text_string_to_metric_families

from fastpath.engine import Engine
from fastpath.records import APP_NAMES
from sensor.analysis import Analysis
from sensor.calls.unprotected import InClear
from sensor.config.network import Pair, Segment
from sensor.config.schema import Policy
from sensor.model import FlowContext, Quality, Subject
from sensor.output.metrics import APPS, CaptureState, LedgerState, Metrics, SinkState, reference
from sensor.output.outcomes import OUTCOMES
from sensor.readiness import LEVELS, Condition, condition
from tests.unit.sensor.samples import CONTEXT, FLOW, STREAM, TLS_FLOW, VERDICT, finding, leg

DOCS = Path(__file__).parents[3] / "docs"
MAX_SERIES = 1500
COUNTERS = Engine(max_flows=16, max_streams=16, event_bytes=1 << 17).counters()


@dataclass
class Sources:
    """What a scrape asks for, all of it at rest."""

    given: Mapping[str, int] = field(default_factory=lambda: COUNTERS)
    capture: CaptureState = field(default_factory=lambda: CaptureState(up=True, kernel_drops=0))
    clear: dict[tuple[str, str], InClear] = field(default_factory=dict)
    ends: dict[str, int] = field(default_factory=dict)
    holding: tuple[Condition, ...] = ()
    ways: dict[str, SinkState] = field(default_factory=lambda: {"stdout": SinkState()})
    kept: LedgerState | None = None

    def counters(self) -> Mapping[str, int]:
        return self.given

    def tables(self) -> dict[str, int]:
        return Analysis(Policy(), ()).tables()

    def capture_state(self) -> CaptureState:
        return self.capture

    def conditions(self) -> tuple[Condition, ...]:
        return self.holding

    def in_clear(self) -> dict[tuple[str, str], InClear]:
        return self.clear

    def expiries(self) -> dict[str, int]:
        return self.ends

    def waivers(self) -> dict[str, int]:
        return {"active": 0, "expired": 0}

    def sinks(self) -> dict[str, SinkState]:
        return self.ways

    def requests(self) -> dict[str, int]:
        return dict.fromkeys(OUTCOMES, 0)

    def ledger(self) -> LedgerState | None:
        return self.kept

    def extra(self) -> dict[str, int]:
        return {}


def build(sources: Sources | None = None, policy: Policy | None = None) -> Metrics:
    labels = {"site": "default", "sensor": "span", "interface": "span0"}
    return Metrics(sources or Sources(), policy or Policy(), labels)


def scrape(metrics: Metrics) -> str:
    registry = CollectorRegistry()
    registry.register(metrics)
    return generate_latest(registry).decode()


def samples(metrics: Metrics) -> dict[str, float]:
    """Return the samples by name and labels as they stand in a scrape: ``name{label="value"}``."""
    lines = (line.rpartition(" ") for line in scrape(metrics).splitlines() if not line.startswith("#"))
    return {name: float(value) for name, _, value in lines}


def filled() -> Metrics:
    """Return metrics that saw one of everything, with a canary wherever a name could hide."""
    metrics = build()
    canary = "canary+15550100"
    metrics.observe([replace(VERDICT, codec=canary)])
    metrics.flow_ended(replace(FLOW, streams=(replace(STREAM, codec=canary),)), CONTEXT)
    metrics.flow_ended(TLS_FLOW, FlowContext("unknown", "unknown", carries="sip"))
    metrics.leg_ended(leg(call=canary))
    metrics.finding_changed(
        finding(subject=Subject("endpoint", "192.0.2.10", name=canary), evidence=[canary]), "opened"
    )
    return metrics


def test_start_every_series_is_there_at_zero() -> None:
    constant = {"legwatch_build_info", "legwatch_capture_up", "legwatch_config_last_reload_successful"}
    constant |= {
        "legwatch_clock_synchronised",
        "legwatch_ledger_room_seconds",
        "legwatch_ready",
        "legwatch_sensor_info",
        "legwatch_sink_up",
    }
    started = samples(build())
    assert {name: value for name, value in started.items() if value and name.partition("{")[0] not in constant} == {}
    assert started.keys() == samples(filled()).keys()


def test_series_stay_few() -> None:
    assert len(samples(build())) <= MAX_SERIES


def test_names_keep_to_the_conventions() -> None:
    for family in text_string_to_metric_families(scrape(build())):
        assert family.name.startswith("legwatch_")
        assert family.documentation.endswith(".")


def test_canaries_and_addresses_appear_nowhere() -> None:
    text = scrape(filled())
    assert "canary" not in text
    assert "192.0.2." not in text
    assert str(FLOW.streams[0].ssrc) not in text


def test_packets_are_read_from_the_engine_at_each_scrape() -> None:
    counters = dict(COUNTERS)
    metrics = build(Sources(counters))
    counters |= {"received": 12, "ignored.arp": 5}
    now = samples(metrics)
    assert now["legwatch_received_packets_total"] == 12
    assert now['legwatch_ignored_packets_total{reason="arp"}'] == 5


def test_capture_state_is_read_at_each_scrape() -> None:
    now = samples(build(Sources(capture=CaptureState(up=False, kernel_drops=9))))
    assert now["legwatch_capture_up"] == 0
    assert now["legwatch_kernel_dropped_packets_total"] == 9


def test_every_condition_is_a_series_and_those_that_hold_are_1() -> None:
    holding = (condition("link-down", "span0 is down"), condition("clock", "nobody keeps it"))
    now = samples(build(Sources(holding=holding)))
    given = {name for name in now if name.startswith("legwatch_condition{")}
    assert len(given) == len(LEVELS)
    assert {name for name in given if now[name]} == {
        'legwatch_condition{level="blind",reason="link-down"}',
        'legwatch_condition{level="degraded",reason="clock"}',
    }
    assert now["legwatch_ready"] == 0
    assert samples(build(Sources(holding=holding[1:])))["legwatch_ready"] == 1


def test_findings_that_are_true_now_are_given_by_what_they_are() -> None:
    metrics = build()
    metrics.finding_changed(finding(code="media-clear", severity="critical"), "opened")
    assert metrics.findings() == {("media-clear", "critical", "open"): 1}


def test_first_verdict_counts_with_its_time() -> None:
    metrics = build()
    metrics.observe([VERDICT])
    now = samples(metrics)
    assert now['legwatch_stream_verdicts_total{protection="clear"}'] == 1
    assert now['legwatch_time_to_verdict_seconds_bucket{le="0.02",protection="clear"}'] == 0
    assert now['legwatch_time_to_verdict_seconds_bucket{le="0.05",protection="clear"}'] == 1
    assert now['legwatch_time_to_verdict_seconds_bucket{le="+Inf",protection="clear"}'] == 1
    assert now['legwatch_time_to_verdict_seconds_sum{protection="clear"}'] == pytest.approx(0.041)


def test_verdict_at_a_bucket_bound_is_in_that_bucket() -> None:
    metrics = build()
    metrics.observe([replace(VERDICT, elapsed_ns=50_000_000)])
    assert samples(metrics)['legwatch_time_to_verdict_seconds_bucket{le="0.05",protection="clear"}'] == 1


def test_verdict_later_than_every_bucket_is_in_the_last() -> None:
    metrics = build()
    metrics.observe([replace(VERDICT, elapsed_ns=90_000_000_000)])
    now = samples(metrics)
    assert now['legwatch_time_to_verdict_seconds_bucket{le="30.0",protection="clear"}'] == 0
    assert now['legwatch_time_to_verdict_seconds_count{protection="clear"}'] == 1


def test_changed_verdict_counts_as_change_and_not_as_time() -> None:
    metrics = build()
    metrics.observe([VERDICT, replace(VERDICT, previous="clear", protection="encrypted")])
    now = samples(metrics)
    assert now['legwatch_stream_verdict_changes_total{after="encrypted",before="clear"}'] == 1
    assert now['legwatch_time_to_verdict_seconds_count{protection="encrypted"}'] == 0


def test_signalling_counts_inside_tls_and_out() -> None:
    metrics = build()
    metrics.flow_ended(replace(FLOW, app="sip"), CONTEXT)
    metrics.flow_ended(TLS_FLOW, FlowContext("unknown", "unknown", carries="sip"))
    metrics.flow_ended(TLS_FLOW, FlowContext("unknown", "unknown"))
    now = samples(metrics)
    assert now['legwatch_signalling_flows_ended_total{protection="clear"}'] == 1
    assert now['legwatch_signalling_flows_ended_total{protection="encrypted"}'] == 1
    assert now['legwatch_flows_ended_total{app="tls",protection="encrypted"}'] == 2


def test_leg_counts_by_promise_sight_and_comparison() -> None:
    metrics = build()
    metrics.leg_ended(leg(segments=("outside", "voice")))
    now = samples(metrics)
    assert now['legwatch_legs_ended_total{observed="clear",segments="voice/outside",signalled="srtp-sdes"}'] == 1
    assert now['legwatch_legs_compared_total{comparison="clear-despite-srtp"}'] == 1


def test_finding_opens_grows_and_resolves_and_the_gauge_follows() -> None:
    metrics = build(policy=Policy(severities={"media-clear": "high"}))
    found = finding(code="media-clear", severity="high")
    high = 'legwatch_findings{code="media-clear",severity="high",state="open"}'
    critical = high.replace("high", "critical")
    opened = 'legwatch_findings_opened_total{code="media-clear",severity="high"}'

    metrics.finding_changed(found, "opened")
    assert (samples(metrics)[high], samples(metrics)[opened]) == (1, 1)
    found.severity = "critical"
    metrics.finding_changed(found, "updated")
    assert (samples(metrics)[high], samples(metrics)[critical]) == (0, 1)
    found.state = "waived"
    metrics.finding_changed(found, "updated")
    assert (samples(metrics)[critical], samples(metrics)[critical.replace("open", "waived")]) == (0, 1)
    metrics.finding_changed(found, "resolved")
    assert (samples(metrics)[critical.replace("open", "waived")], samples(metrics)[opened]) == (0, 1)
    assert samples(metrics)['legwatch_findings_resolved_total{code="media-clear",severity="critical"}'] == 1


def test_finding_from_before_a_restart_is_open_and_was_not_opened() -> None:
    metrics, found = build(), finding()
    before = samples(metrics)
    metrics.finding_changed(found, "restored")
    changed = {name: value for name, value in samples(metrics).items() if value != before[name]}
    assert changed == {
        f'legwatch_findings{{code="{found.code}",severity="{found.severity}",state="open"}}': 1,
    }
    metrics.finding_changed(found, "resolved")
    after = samples(metrics)
    assert after[f'legwatch_findings{{code="{found.code}",severity="{found.severity}",state="open"}}'] == 0
    assert after[f'legwatch_findings_resolved_total{{code="{found.code}",severity="{found.severity}"}}'] == 1


def test_opened_finding_is_the_exemplar_of_its_code_and_its_delay_is_counted() -> None:
    metrics = build()
    found = finding(code="media-clear", severity="critical", id="0123456789abcdef")
    found.since_ns = found.first_ns - 1_500_000_000
    metrics.finding_changed(found, "opened")
    registry = CollectorRegistry()
    registry.register(metrics)
    encode, _ = choose_encoder("application/openmetrics-text; version=1.0.0")
    lines = encode(registry).decode().splitlines()
    (line,) = (line for line in lines if line.startswith('legwatch_findings_opened_total{code="media-clear",'))
    assert ' 1.0 # {finding_id="0123456789abcdef"} 1.0 ' in line
    assert samples(metrics)['legwatch_time_to_finding_seconds_bucket{le="1.0"}'] == 0
    assert samples(metrics)['legwatch_time_to_finding_seconds_bucket{le="2.0"}'] == 1


def test_legs_in_clear_are_given_by_the_segments_of_their_ends() -> None:
    policy = Policy(segments=(Segment("phones", vlans=(5,)), Segment("trunk", kind="trunk", vlans=(6,))))
    clear = {("trunk", "phones"): InClear(2, 90 * 10**9), ("attic", "cellar"): InClear(1, 10**9)}
    now = samples(build(Sources(clear=clear), policy))
    assert now['legwatch_unprotected_legs{segments="phones/trunk"}'] == 2
    assert now['legwatch_unprotected_seconds_total{segments="phones/trunk"}'] == 90
    assert now['legwatch_unprotected_legs{segments="other"}'] == 0, "segments of an earlier policy are history"


def test_certificates_end_by_role() -> None:
    now = samples(build(Sources(ends={"pbx": 1_800_000_000 * 10**9})))
    assert now['legwatch_certificate_expiry_timestamp_seconds{role="pbx"}'] == 1_800_000_000
    assert now['legwatch_certificate_expiry_timestamp_seconds{role="other"}'] == 0


def test_policy_of_many_segments_keeps_the_series_few() -> None:
    segments = tuple(Segment(f"ward-{i}", vlans=(i + 1,)) for i in range(40))
    pairs = (Pair(("ward-7", "ward-9"), media="any"),)
    crowded = build(policy=Policy(segments=segments, pairs=pairs))
    assert len(samples(crowded)) <= MAX_SERIES
    assert 'legwatch_unprotected_legs{segments="ward-7/ward-9"}' in samples(crowded)


def test_policy_reloaded_brings_its_series_and_keeps_the_counts() -> None:
    metrics = build(policy=Policy(segments=(Segment("phones", vlans=(5,)), Segment("attic", vlans=(6,)))))
    for ends in (("phones", "phones"), ("attic", "attic")):
        metrics.leg_ended(leg(segments=ends))
    metrics.reload(Policy(segments=(Segment("phones", vlans=(5,)),), severities={"media-clear": "low"}))
    now = samples(metrics)
    assert not [name for name in now if "attic" in name]
    assert now['legwatch_legs_ended_total{observed="clear",segments="phones/phones",signalled="srtp-sdes"}'] == 1
    assert now['legwatch_findings{code="media-clear",severity="low",state="open"}'] == 0


def test_apps_are_those_of_the_contract() -> None:
    schema = json.loads((DOCS / "schema/output.schema.json").read_text())
    assert set(APPS) == set(schema["$defs"]["flow"]["properties"]["app"]["enum"])


def test_promtool_has_no_complaint() -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool (Debian package prometheus) is not installed")
    done = subprocess.run(
        [promtool, "check", "metrics"], input=scrape(filled()), capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_documentation_holds_the_table_of_today() -> None:
    assert reference(build()) in (DOCS / "METRICS.md").read_text(), (
        "put what sensor.output.metrics.reference gives there"
    )


def test_documentation_counts_the_series_of_today() -> None:
    series = sum(1 for line in scrape(build()).splitlines() if line and not line.startswith("#"))
    assert f"There are {series} series" in " ".join((DOCS / "METRICS.md").read_text().split())
    assert series <= 1500


@pytest.mark.parametrize("app", APP_NAMES)
def test_flow_of_anything_that_the_core_knows_is_counted(app: str) -> None:
    metrics = build()
    for protection in ("clear", "encrypted", "undetermined"):
        metrics.flow_ended(replace(FLOW, app=app, protection=protection), CONTEXT)
    if app != "sip":
        metrics.flow_ended(replace(FLOW, app=app, protection="not-applicable"), CONTEXT)
    assert scrape(metrics)


def test_quality_of_a_leg_is_counted_where_it_is_known() -> None:
    metrics = build()
    metrics.leg_ended(leg())
    metrics.leg_ended(leg(quality=Quality(0.3, None, None, None, None, 0)))
    metrics.leg_ended(leg(quality=None))
    found = samples(metrics)
    assert found['legwatch_leg_mos_bucket{le="4.3"}'] == 0
    assert found["legwatch_leg_mos_count"] == found["legwatch_leg_delay_seconds_count"] == 1
    assert found["legwatch_leg_jitter_seconds_count"] == 1
    assert found['legwatch_leg_loss_ratio_bucket{le="0.2"}'] == 1
    assert found["legwatch_leg_loss_ratio_count"] == 2
