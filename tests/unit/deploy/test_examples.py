"""The example configurations: right by the sensor and by what an editor holds them against."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator, ValidationError

from sensor.cli import main
from sensor.config.load import load_config

ROOT = Path(__file__).parents[3]
SCHEMA = ROOT / "docs/schema/config.schema.json"
EXAMPLES = sorted((ROOT / "deploy/examples").glob("*.yaml"))
EDITOR = "# yaml-language-server: $schema="

each_example = pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
Capture = pytest.CaptureFixture[str]


def plain(text: str) -> Any:
    """Return YAML as an editor has it: a day is text there."""
    return json.loads(json.dumps(yaml.safe_load(text), default=str))


def validator() -> Draft202012Validator:
    schema = json.loads(SCHEMA.read_text())
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema, format_checker=Draft202012Validator.FORMAT_CHECKER)


def test_examples_are_three() -> None:
    assert [path.stem for path in EXAMPLES] == ["clinic-hosted-3cx", "hospital-sbc-trunk", "provider-multi-tenant"]


def test_examples_checked_together_are_right_and_nothing_in_them_is_in_doubt(capsys: Capture) -> None:
    assert main(["check-config", *map(str, EXAMPLES)]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert len(list(yaml.safe_load_all(out))) == len(EXAMPLES)


def test_committed_schema_is_the_one_that_is_printed(capsys: Capture) -> None:
    assert main(["check-config", "--schema"]) == 0
    assert capsys.readouterr().out == SCHEMA.read_text(), (
        "legwatch check-config --schema > docs/schema/config.schema.json"
    )


@each_example
def test_example_holds_against_the_schema(path: Path) -> None:
    validator().validate(plain(path.read_text()))


@each_example
def test_example_tells_an_editor_where_its_schema_is(path: Path) -> None:
    first = path.read_text().splitlines()[0]
    assert first.startswith(EDITOR)
    assert (path.parent / first.removeprefix(EDITOR)).resolve() == SCHEMA


@each_example
def test_example_names_public_addresses_of_documentation_only(path: Path) -> None:
    """RFC 5737; all else is private."""
    policy = load_config(path)[0].policy
    documented = ("192.0.2.", "198.51.100.", "203.0.113.")
    named = [network for segment in policy.segments for network in segment.cidrs]
    named += [network for vendor in policy.vendors for network in vendor.addresses]
    shared = "100.64."  # RFC 6598
    assert not [
        network
        for network in map(str, named)
        if not network.startswith((*documented, shared, "10.", "172.", "192.168.", "fd"))
    ]


@pytest.mark.parametrize(
    "text",
    [
        "policy: {grase: 1}",
        "policy: {grace: fast}",
        "policy: {segments: [{vlans: [5]}]}",
        "policy: {pairs: [{between: [a]}]}",
        "policy: {pairs: [{between: [a, b], min_tls: '1.1'}]}",
        "policy: {hosts: [{name: a, role: switch, addresses: [10.0.0.1]}]}",
        "policy: {vendors: [{name: a, addresses: [203.0.113.0/24], baa: {signed: soon}}]}",
        "policy: {waivers: [{subjects: [10.0.0.1], codes: [media-clear], owner: a, reason: b}]}",
        "policy: {severities: {media-clear: urgent}}",
        "sensors: [a]",
    ],
)
def test_wrong_configuration_is_refused_by_the_schema(text: str) -> None:
    with pytest.raises(ValidationError):
        validator().validate(plain(text))
