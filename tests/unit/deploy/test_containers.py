"""The container's recipe and what runs beside it, as far as they can be checked without an engine."""

from __future__ import annotations

import json
import re
import tomllib
from typing import Any

import pytest
import yaml

import fastpath
from sensor.config.schema import LOOPBACK
from tests.unit.deploy.containerfile import Stage, stages
from tests.unit.deploy.linters import ROOT, STYLE, run

DEPLOY = ROOT / "deploy"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
COMPOSE: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
BUILD, FINAL = stages((DEPLOY / "Containerfile").read_text())


def test_containerfile_has_no_lint() -> None:
    run("hadolint", "deploy/Containerfile")


@pytest.mark.parametrize("path", ["examples", "alertmanager", "compose.yaml", "prometheus/prometheus.yml"])
def test_yaml_has_no_lint(path: str) -> None:
    run("yamllint", "--strict", "--config-data", STYLE, DEPLOY / path)


def installed(stage: Stage) -> set[str]:
    """Return the Debian packages that a stage installs and keeps."""
    kept: set[str] = set()
    for command in stage.commands():
        if command[:2] == ["apt-get", "install"]:
            kept |= {word for word in command[2:] if not word.startswith("-")}
        elif command[:2] == ["apt-get", "purge"]:
            kept -= set(command)
    return kept


def test_build_takes_from_the_project_what_is_there_and_what_its_wheel_needs() -> None:
    taken = {source for words in BUILD.of("COPY") for source in words[:-1]}
    assert not [source for source in taken if not (ROOT / source).exists()]
    assert taken >= {"pyproject.toml", PROJECT["readme"], *PROJECT["license-files"], "MANIFEST.in"}
    packages = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    assert taken >= {name.rstrip("*") for name in packages["find"]["include"]}


def test_build_installs_what_bootstrapping_the_project_asks_for() -> None:
    script = (DEPLOY / "bootstrap.sh").read_text()
    compiler = set(re.findall(r'packages="\$packages ([a-z0-9-]+)"', script))
    python = {f"python3-{suffix}" for suffix in re.findall(r'packages="\$packages \$name-(\w+)"', script)}
    assert compiler | python == {"gcc", "libc6-dev", "python3-dev", "python3-venv"}
    assert installed(BUILD) == compiler | python


def test_final_image_has_neither_a_compiler_nor_the_tool_that_gave_the_capability() -> None:
    assert installed(FINAL) == {"ca-certificates", "python3"}


def test_final_image_runs_the_installed_command_as_nobody_in_particular() -> None:
    (user,) = FINAL.of("USER")
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", user[0])
    (entry,) = FINAL.of("ENTRYPOINT")
    assert json.loads(" ".join(entry)) == list(PROJECT["scripts"])
    (copied,) = FINAL.of("COPY")
    assert copied == ["--from=build", "/opt/legwatch", "/opt/legwatch"]
    assert ["setcap", "cap_net_raw+ep", "/opt/legwatch/bin/python3"] in FINAL.commands()


def test_health_check_asks_where_the_sensor_answers() -> None:
    (check,) = FINAL.of("HEALTHCHECK")
    assert f"http://{LOOPBACK}/-/healthy" in " ".join(check)


def test_labels_name_the_version_that_is_built() -> None:
    assert ["VERSION=" + fastpath.__version__] in FINAL.of("ARG")
    assert COMPOSE["services"]["sensor"]["image"] == f"legwatch:{fastpath.__version__}"
    assert f"--tag legwatch:{fastpath.__version__} " in (DEPLOY / "Containerfile").read_text()


@pytest.mark.parametrize("name", COMPOSE["services"])
def test_service_has_no_right_that_it_does_not_need(name: str) -> None:
    service = COMPOSE["services"][name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service.get("cap_add", []) == (["NET_RAW"] if name == "sensor" else [])
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert not service.get("privileged")
    assert not service.get("user", "").startswith(("0", "root"))


@pytest.mark.parametrize("name", COMPOSE["services"])
def test_service_is_of_a_named_version(name: str) -> None:
    assert re.fullmatch(r"[a-z./]+:v?\d+\.\d+\.\d+", COMPOSE["services"][name]["image"])


def test_services_listen_on_loopback_only() -> None:
    services = COMPOSE["services"]
    assert all(service["network_mode"] == "host" and "ports" not in service for service in services.values())
    assert "--web.listen-address=127.0.0.1:9090" in services["prometheus"]["command"]
    assert "--web.listen-address=127.0.0.1:9093" in services["alertmanager"]["command"]
    assert services["grafana"]["environment"]["GF_SERVER_HTTP_ADDR"] == "127.0.0.1"


def test_password_of_grafana_comes_from_a_file_and_has_no_default() -> None:
    environment = COMPOSE["services"]["grafana"]["environment"]
    assert [name for name in environment if "PASSWORD" in name] == ["GF_SECURITY_ADMIN_PASSWORD__FILE"]
    assert COMPOSE["secrets"]["grafana_admin_password"]["file"].startswith("${GRAFANA_ADMIN_PASSWORD_FILE:?")


def test_prometheus_scrapes_the_sensor_and_tells_the_alertmanager() -> None:
    settings = yaml.safe_load((DEPLOY / "prometheus/prometheus.yml").read_text())
    (job,) = settings["scrape_configs"]
    assert job["static_configs"] == [{"targets": [str(LOOPBACK)], "labels": {"site": "main"}}]
    assert settings["alerting"]["alertmanagers"] == [{"static_configs": [{"targets": ["127.0.0.1:9093"]}]}]


def test_dashboards_are_mounted_where_grafana_is_told_to_look() -> None:
    mounts = dict(mount.split(":")[:2] for mount in COMPOSE["services"]["grafana"]["volumes"])
    for path in (DEPLOY / "grafana/provisioning/dashboards").glob("*.y*ml"):
        for provider in yaml.safe_load(path.read_text())["providers"]:
            assert provider["options"]["path"] == mounts["./grafana/dashboards"]


def test_rules_of_alertmanager_name_alerts_that_exist() -> None:
    text = (DEPLOY / "alertmanager/alertmanager.yml").read_text()
    rules = (DEPLOY / "prometheus/legwatch.rules.yml").read_text()
    alerts = set(re.findall(r"alert: (\w+)", rules))
    named = set(re.findall(r"Legwatch[A-Z]\w+", text))
    assert {"LegwatchDown", "LegwatchWatchdog"} <= named
    assert not named - alerts
