"""The alert rules by promtool, and a real Prometheus that scrapes the sensor."""

import json
import re
import subprocess
import urllib.parse
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from tests.live.lab import ROOT, Mirror, namespaces, program, read_capture, running_sensor, wait_for

pytestmark = pytest.mark.live

FOLDER = ROOT / "deploy" / "prometheus"
API = "http://127.0.0.1:9090/api/v1"


@pytest.mark.parametrize(
    "arguments",
    [
        ("check", "rules", "legwatch.rules.yml"),
        ("check", "config", "prometheus.yml"),
        ("test", "rules", "legwatch.rules.test.yml"),
        ("test", "rules", "legwatch.rules.weeks.test.yml"),
    ],
    ids=" ".join,
)
def test_promtool_accepts_what_is_delivered(arguments: tuple[str, ...]) -> None:
    done = subprocess.run(["promtool", *arguments], cwd=FOLDER, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


class Prometheus:
    """A real server beside a sensor, with the rules that are delivered, scraping every second."""

    def __init__(self, mirror: Mirror) -> None:
        self.mirror = mirror

    def ask(self, path: str, **query: str) -> Any:
        """Return the data of an API answer; None while nobody answers."""
        try:
            with (
                self.mirror.namespace.entered(),
                urllib.request.urlopen(f"{API}/{path}?{urllib.parse.urlencode(query)}", timeout=5) as answer,
            ):
                return json.load(answer)["data"]
        except OSError:
            return None

    def value(self, expression: str) -> float | None:
        """Return the value of an expression with one series; None while there is none."""
        data = self.ask("query", query=expression)
        return float(data["result"][0]["value"][1]) if data and data["result"] else None


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    folder = tmp_path_factory.mktemp("prometheus")
    settings = yaml.safe_load((FOLDER / "prometheus.yml").read_text())
    settings["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    settings["rule_files"] = [str(FOLDER / "legwatch.rules.yml")]
    (folder / "prometheus.yml").write_text(yaml.safe_dump(settings))
    command = (
        "prometheus",
        f"--config.file={folder / 'prometheus.yml'}",
        f"--storage.tsdb.path={folder / 'data'}",
        "--web.listen-address=127.0.0.1:9090",
    )
    with namespaces("prometheus") as (namespace,):
        mirror = Mirror(namespace)
        with (
            running_sensor(namespace, folder),
            program(namespace.command(*command), folder / "server.txt"),
        ):
            server = Prometheus(mirror)
            wait_for(lambda: server.value('up{job="legwatch"}') == 1, "a scrape", 30)
            yield server
        mirror.close()


def test_every_metric_that_is_documented_arrives(prometheus: Prometheus) -> None:
    names = set(prometheus.ask("label/__name__/values"))
    rows = (ROOT / "docs" / "METRICS.md").read_text().splitlines()
    documented = [row.split("`")[1] for row in rows if row.startswith("| `legwatch_")]
    assert documented
    assert not [name for name in documented if not {name, f"{name}_bucket"} & names]


def test_every_alert_uses_series_that_exist(prometheus: Prometheus) -> None:
    names = set(re.findall(r"\blegwatch_\w+", (FOLDER / "legwatch.rules.yml").read_text()))
    assert names
    assert not [name for name in names if prometheus.value(f"count({name})") is None]


def test_clear_media_fires_the_alert(prometheus: Prometheus) -> None:
    frames = read_capture(ROOT / "deploy" / "demo" / "clinic.pcap")
    prometheus.mirror.replay(frames[: len(frames) // 3], speed=50)

    def firing() -> set[str]:
        alerts = prometheus.ask("alerts")["alerts"]
        return {alert["labels"].get("code", "") for alert in alerts if alert["state"] == "firing"}

    wait_for(lambda: "media-clear" in firing(), "the alert fires", 30)


def test_watchdog_is_always_on(prometheus: Prometheus) -> None:
    wait_for(lambda: prometheus.value('ALERTS{alertname="LegwatchWatchdog"}') == 1, "the watchdog", 30)
