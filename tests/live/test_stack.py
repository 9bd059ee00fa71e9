"""The whole way of an alert: a clear leg, the sensor, Prometheus, its rules, Alertmanager, and whoever that calls."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import dpkt
import pytest
import yaml

from sensor.cli import main
from tests.live.lab import ROOT, Frames, Mirror, Namespace, namespaces, program, read_capture, running_sensor, wait_for
from tests.live.servers import ALERTS, Alertmanager, listening, running_alertmanager

pytestmark = pytest.mark.live

FOLDER = ROOT / "deploy" / "prometheus"
CLINIC = ROOT / "deploy" / "demo" / "clinic.pcap"
PROMETHEUS = 9090
WHOLE_WAY_S = 15.0
CONFIG = f"""
site: clinic
policy: {{media_idle: 1}}
alerts: {{settle: 0}}
sinks:
- {{type: alertmanager, url: "http://127.0.0.1:{ALERTS}", repeat: 5}}
"""


class Stack:
    """The mirror that the sensor watches, and the end of the chain."""

    def __init__(self, mirror: Mirror, alertmanager: Alertmanager) -> None:
        self.mirror, self.alertmanager = mirror, alertmanager

    def heard(self, status: str, **labels: str) -> list[dict[str, str]]:
        """Return the alerts with these labels that were told with this status."""
        return [told for state, told in self.alertmanager.told() if state == status and labels.items() <= told.items()]


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    folder = tmp_path_factory.mktemp("stack")
    (folder / "legwatch.yaml").write_text(CONFIG)
    settings = yaml.safe_load((FOLDER / "prometheus.yml").read_text())
    settings["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    settings["rule_files"] = [str(FOLDER / "legwatch.rules.yml")]
    settings["alerting"] = {"alertmanagers": [{"static_configs": [{"targets": [f"127.0.0.1:{ALERTS}"]}]}]}
    (folder / "prometheus.yml").write_text(yaml.safe_dump(settings))
    with ExitStack() as opened:
        (namespace,) = opened.enter_context(namespaces("stack"))
        mirror = Mirror(namespace)
        opened.callback(mirror.close)
        alertmanager = opened.enter_context(running_alertmanager(namespace, folder, "..."))
        opened.enter_context(running_prometheus(namespace, folder))
        opened.enter_context(running_sensor(namespace, folder, "--config", str(folder / "legwatch.yaml")))
        wait_for(lambda: listening(namespace, PROMETHEUS), "Prometheus listens")
        yield Stack(mirror, alertmanager)


def running_prometheus(namespace: Namespace, folder: Path) -> ExitStack:
    command = (
        "prometheus",
        f"--config.file={folder / 'prometheus.yml'}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{PROMETHEUS}",
    )
    stack = ExitStack()
    stack.enter_context(program(namespace.command(*command), folder / "prometheus.txt"))
    return stack


def clear_leg(capsys: pytest.CaptureFixture[str]) -> Frames:
    """Return the packets of one leg in clear, its media only."""
    main(["scan", "--json", str(CLINIC)])
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    flow = next(line for line in lines if line.get("app") == "rtp" and line["protection"] == "clear")
    ports = {flow["a_port"], flow["b_port"]}

    def is_its(octets: bytes) -> bool:
        packet = dpkt.ethernet.Ethernet(octets).data
        udp = getattr(packet, "data", None)
        return isinstance(udp, dpkt.udp.UDP) and {udp.sport, udp.dport} == ports

    return [(ts_ns, octets) for ts_ns, octets in read_capture(CLINIC) if is_its(octets)][:400]


def test_clear_leg_reaches_who_is_on_call_and_so_does_its_end(stack: Stack, capsys: pytest.CaptureFixture[str]) -> None:
    frames = clear_leg(capsys)
    begin = time.monotonic()
    stack.mirror.replay(frames, speed=1)
    by_rule = {"alertname": "LegwatchFinding", "code": "media-clear"}
    pushed = {"alertname": "media-clear"}
    for status in ("firing", "resolved"):
        for labels in (by_rule, pushed):
            wait_for(lambda: stack.heard(status, **labels), f"{labels['alertname']} is {status}", 30)  # noqa: B023
    took = time.monotonic() - begin
    assert took < WHOLE_WAY_S, f"the whole way took {took:.1f} s"


def test_leg_was_one_alert_by_either_way(stack: Stack) -> None:
    (pushed,) = {tuple(sorted(told.items())) for told in stack.heard("firing", alertname="media-clear")}
    assert ("site", "clinic") in pushed
    assert ("severity", "critical") in pushed
    by_rule = {tuple(sorted(t.items())) for t in stack.heard("firing", alertname="LegwatchFinding", code="media-clear")}
    assert len(by_rule) == 1
