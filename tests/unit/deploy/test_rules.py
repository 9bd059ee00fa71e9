"""The alert rules: tested three ways each, with a runbook and a dashboard behind each."""

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from sensor.policy.catalogue import CATALOGUE
from sensor.policy.health import UNDECODED

ROOT = Path(__file__).parents[3]
FOLDER = ROOT / "deploy" / "prometheus"
RULES = FOLDER / "legwatch.rules.yml"
ALERTS: dict[str, dict[str, Any]] = {
    rule["alert"]: rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]
}
BY_CODE = "{{ $labels.code }}"
ALWAYS_ON = "LegwatchWatchdog"

each_alert = pytest.mark.parametrize("name", ALERTS)


def cases() -> Iterator[tuple[bool, dict[str, Any]]]:
    """Every case that promtool runs, and whether it has any series at all."""
    for path in FOLDER.glob("*.test.yml"):
        for test in yaml.safe_load(path.read_text())["tests"]:
            for case in test["alert_rule_test"]:
                yield bool(test["input_series"]), case


@each_alert
def test_alert_has_a_case_that_fires_one_that_does_not_and_one_without_series(name: str) -> None:
    found = {(with_series, bool(case["exp_alerts"])) for with_series, case in cases() if case["alertname"] == name}
    assert False in {with_series for with_series, _ in found}
    assert name == ALWAYS_ON or {(True, True), (True, False)} <= found


@each_alert
def test_alert_says_what_why_and_where_to_look(name: str) -> None:
    rule = ALERTS[name]
    assert set(rule["annotations"]) == {"summary", "description", "runbook_url", "dashboard_url"}
    assert rule["labels"]["severity"] in {"critical", "high", "medium", "info", "none", "{{ $labels.severity }}"}
    assert rule["annotations"]["description"].endswith(".")


@each_alert
def test_runbook_of_an_alert_is_there_and_names_it(name: str) -> None:
    page = ALERTS[name]["annotations"]["runbook_url"].rpartition("/")[2]
    for code in CATALOGUE if BY_CODE in page else [""]:
        text = (ROOT / "docs" / "runbooks" / page.replace(BY_CODE, code)).read_text()
        assert code or f"`{name}`" in text


@each_alert
def test_dashboard_of_an_alert_is_there(name: str) -> None:
    uid = ALERTS[name]["annotations"]["dashboard_url"].rpartition("/")[2].partition("?")[0]
    folder = ROOT / "deploy" / "grafana" / "dashboards"
    assert uid in {json.loads(path.read_text())["uid"] for path in folder.glob("*.json")}


def test_every_page_of_the_sensor_belongs_to_a_finding_or_an_alert() -> None:
    pages = {path.stem for path in (ROOT / "docs" / "runbooks").glob("*.md")}
    alerts = {Path(rule["annotations"]["runbook_url"]).stem for rule in ALERTS.values()}
    assert not pages - alerts - set(CATALOGUE)


def test_documented_line_replaces_every_address(tmp_path: Path) -> None:
    (line,) = re.findall(
        r"^sed -i .*legwatch\.rules\.yml$", (ROOT / "docs" / "OPERATIONS.md").read_text(), re.MULTILINE
    )
    (tmp_path / RULES.name).write_text(RULES.read_text())
    subprocess.run(line, shell=True, cwd=tmp_path, check=True)  # noqa: S602  (it is a line for a shell)
    replaced = (tmp_path / RULES.name).read_text()
    assert "legwatch.example" not in replaced
    assert replaced.count("https://") == 2 * len(ALERTS)


def test_undecoded_alert_counts_what_the_finding_counts() -> None:
    (reasons,) = re.findall(r'reason=~"([^"]+)"', ALERTS["LegwatchUndecoded"]["expr"])
    assert {f"ignored.{reason}" for reason in reasons.split("|")} == set(UNDECODED)
