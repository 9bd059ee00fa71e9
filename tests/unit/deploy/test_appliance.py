"""The appliance's role and user-data, as far as they can be checked without a machine; tests/boot has the rest."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from fastpath import __version__
from tests.unit.deploy.linters import ROOT, STYLE, run

APPLIANCE = ROOT / "deploy" / "appliance"
ROLE = APPLIANCE / "ansible" / "roles" / "legwatch"


def read(path: Path) -> Any:
    return yaml.safe_load(path.read_text())


def test_yaml_has_no_lint() -> None:
    run("yamllint", "--strict", "--config-data", STYLE, APPLIANCE)


def test_role_is_fit_for_production(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANSIBLE_HOME", str(tmp_path))
    options = ("--offline", "--strict", "--profile", "production", "--project-dir", ".")
    run("ansible-lint", *options, folder=APPLIANCE / "ansible")


def test_everything_that_can_be_set_has_a_default_and_a_type() -> None:
    defaults = read(ROLE / "defaults" / "main.yml")
    options = read(ROLE / "meta" / "argument_specs.yml")["argument_specs"]["main"]["options"]
    assert defaults.keys() == options.keys()
    texts = [path.read_text() for path in ROLE.rglob("*") if path.is_file()]
    used = {name for text in texts for name in re.findall(r"\blegwatch_\w+", text)}
    own = {"legwatch_ifupdown", "legwatch_interface", "legwatch_networkd", "legwatch_features"}
    assert used - own == defaults.keys()


def test_examples_set_what_the_role_knows() -> None:
    defaults = read(ROLE / "defaults" / "main.yml")
    inventory = read(APPLIANCE / "ansible" / "inventory.yml")["sensors"]
    user_data = read(APPLIANCE / "cloud-init" / "user-data.yml")
    (file,) = user_data["write_files"]
    named = [inventory["vars"], *inventory["hosts"].values(), yaml.safe_load(file["content"])]
    assert {name for each in named for name in each if name.startswith("legwatch")} <= defaults.keys()


def test_examples_name_this_version() -> None:
    for path in (APPLIANCE / "ansible" / "inventory.yml", APPLIANCE / "cloud-init" / "user-data.yml"):
        assert re.findall(r"legwatch_([\d.]+)_", path.read_text()) == [__version__]
