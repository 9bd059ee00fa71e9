"""Each expression of each panel on a real Prometheus, scraping a sensor that watches the demo's calls."""

import json
import re
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from sensor.ledger.keys import new_pem
from tests.live.lab import ROOT, Mirror, Namespace, namespaces, program, read_capture, running_sensor, wait_for

pytestmark = pytest.mark.live

RULES = ROOT / "deploy" / "prometheus" / "legwatch.rules.yml"
API = "http://127.0.0.1:9090/api/v1"
SPEED = 10
VARIABLES = {"__rate_interval": "5s", "__range": "2m", "site": "main", "instance": ".*", "segments": ".*"}

Ask = Callable[..., Any]


def filled(expr: str) -> str:
    """Put in what Grafana would."""
    return re.sub(r"\$(\w+)", lambda match: VARIABLES[match[1]], expr)


def panels() -> Iterator[tuple[str, str]]:
    """Every panel's name and expression."""
    for path in sorted((ROOT / "deploy" / "grafana" / "dashboards").glob("*.json")):
        for panel in json.loads(path.read_text())["panels"]:
            for target in panel.get("targets", ()):
                yield f"{path.stem}: {panel['title']} {target['refId']}", target["expr"]


PANELS = dict(panels())


def settings(folder: Path) -> Path:
    """Write the configuration that is delivered, with scrapes every second."""
    given = yaml.safe_load((RULES.parent / "prometheus.yml").read_text())
    given["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    given["rule_files"] = [str(RULES)]
    path = folder / "prometheus.yml"
    path.write_text(yaml.safe_dump(given))
    return path


def asking(namespace: Namespace) -> Ask:
    """Return a function that asks Prometheus' API."""

    def ask(path: str, **query: str) -> Any:
        try:
            with (
                namespace.entered(),
                urllib.request.urlopen(f"{API}/{path}?{urllib.parse.urlencode(query)}", timeout=10) as answer,
            ):
                return json.load(answer)["data"]
        except OSError:
            return None

    return ask


@pytest.fixture(scope="module")
def ask(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ask]:
    """A Prometheus that has scraped all of the demo's calls."""
    folder = tmp_path_factory.mktemp("dashboards")
    policy = folder / "policy.yaml"
    key = folder / "key.pem"
    key.write_bytes(new_pem())
    key.chmod(0o600)
    ledger = f"{{directory: {folder / 'ledger'}, key_file: {key}}}"
    policy.write_text(f"policy: {{media_idle: 2}}\nledger: {ledger}\n")  # legs are over soon after the last packet
    command = (
        "prometheus",
        f"--config.file={settings(folder)}",
        f"--storage.tsdb.path={folder / 'data'}",
        "--web.listen-address=127.0.0.1:9090",
    )
    with namespaces("dashboards") as (namespace,):
        mirror, asked = Mirror(namespace), asking(namespace)
        with (
            running_sensor(namespace, folder, "--config", str(policy)),
            program(namespace.command(*command), folder / "server.txt"),
        ):
            wait_for(lambda: (asked("query", query='up{job="legwatch"} == 1') or {}).get("result"), "a scrape", 30)
            mirror.replay(read_capture(ROOT / "deploy" / "demo" / "clinic.pcap"), SPEED)
            ended = "sum(legwatch_legs_ended_total) > 0 and sum(legwatch_legs_active) == 0"
            wait_for(lambda: asked("query", query=ended)["result"], "all legs are over", 60)
            time.sleep(2)  # scrapes and evaluations of what came last
            yield asked
        mirror.close()


@pytest.mark.parametrize("panel", PANELS)
def test_panel_shows_something_while_calls_run(panel: str, ask: Ask) -> None:
    now = time.time()
    data = ask("query_range", query=filled(PANELS[panel]), start=str(now - 120), end=str(now), step="1")
    assert data["result"], filled(PANELS[panel])


def test_rules_are_loaded_and_evaluate_without_error(ask: Ask) -> None:
    groups = ask("rules")["groups"]
    rules = [rule for group in groups for rule in group["rules"]]
    delivered = [rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]
    assert len(rules) == len(delivered)
    assert not [(rule["name"], rule["lastError"]) for rule in rules if rule.get("lastError") or rule["health"] != "ok"]


def test_every_variable_has_values(ask: Ask) -> None:
    for label, metric in (("site", "legwatch_build_info"), ("segments", "legwatch_unprotected_legs")):
        assert ask(f"label/{label}/values", **{"match[]": metric})
