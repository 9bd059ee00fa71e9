"""Addresses as pseudonyms: none of them leaves, in whatever a sink is told."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from io import StringIO
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sensor.cli import main
from sensor.identities import Pseudonyms
from sensor.model import Finding, QuietSink, Subject
from sensor.output.jsonl import JsonLines
from sensor.output.veil import Veil
from tests.unit.sensor.samples import CALL, CONTEXT, ENDPOINT, FLOW, TLS_FLOW, finding, leg
from tests.unit.sensor.traffic import Heard

ROOT = Path(__file__).parents[3]
SCHEMA = json.loads((ROOT / "docs" / "schema" / "output.schema.json").read_text())


class Steps(QuietSink):
    """A sink that remembers what findings were when it was told of them."""

    def __init__(self) -> None:
        self.steps: list[tuple[tuple[str, Subject], list[str]]] = []

    def finding_changed(self, finding: Finding, _change: object) -> None:
        self.steps.append(((finding.id, finding.subject), list(finding.evidence)))


def test_every_record_names_the_same_pseudonyms_and_no_address() -> None:
    out, names = StringIO(), Pseudonyms()
    names.set_key(1, bytes(32))
    lines = JsonLines(out)
    veil = Veil([lines], names.host)
    veil.flow_ended(FLOW, CONTEXT)
    veil.flow_ended(TLS_FLOW, CONTEXT)
    veil.leg_ended(leg())
    veil.call_ended(CALL)
    veil.endpoint_ended(ENDPOINT)
    veil.finding_changed(finding(), "opened")
    veil.finding_changed(finding(), "updated")
    lines.end()
    text = out.getvalue()
    assert "192.0.2." not in text
    assert "02:00:00" not in text
    assert text.count(names.host("192.0.2.10")) >= 5
    for line in text.splitlines():
        jsonschema.validate(json.loads(line), SCHEMA)


@pytest.mark.parametrize(
    ("statement", "veiled"),
    [
        ("stream 0x12345678 from 10.0.0.1:16384 to 10.0.0.2:16390", "stream 0x12345678 from A1:16384 to A2:16390"),
        ("between [fd00::1]:5060 and [2001:db8::2]:5061", "between [A3]:5060 and [A4]:5061"),
        ("10.0.0.1 searches at 10.0.0.2.", "A1 searches at A2."),
        ("at 10:00:30 sha-256 AB:CD:EF:01, version 1.2.3.4.5", "at 10:00:30 sha-256 AB:CD:EF:01, version 1.2.3.4.5"),
        ("searches for accounts at 2001:db8::2: 30 refusals", "searches for accounts at A4: 30 refusals"),
        ("at::ffff:10.0.0.1:5060, ...10.0.0.2", "at::ffff:A1:5060, ...A2"),
        (":.: :: and 300.0.0.1", ":.: A5 and 300.0.0.1"),
        ("10^-12.0 in 3 packets (0.04 s)", "10^-12.0 in 3 packets (0.04 s)"),
    ],
)
def test_statement_keeps_all_but_its_addresses(statement: str, veiled: str) -> None:
    hosts = {"10.0.0.1": "A1", "10.0.0.2": "A2", "fd00::1": "A3", "2001:db8::2": "A4", "::": "A5"}
    heard = Heard()
    Veil([heard], hosts.__getitem__).finding_changed(
        finding(subject=finding().subject.__class__("sensor"), evidence=[statement]), "opened"
    )
    assert heard.findings[0].evidence == [veiled]


@given(
    address=st.ip_addresses(), after=st.sampled_from([*".:,;!?)]'\"", "...", ": 30", ".:", ".Then", "; ", "%eth0", ""])
)
def test_address_before_any_punctuation_is_veiled(address: IPv4Address | IPv6Address, after: str) -> None:
    heard = Heard()
    said = finding(evidence=[f"refused by ({address}{after}", f"{address}{after}"])
    Veil([heard], {"192.0.2.10": "A", "192.0.2.20": "B", str(address): "C"}.__getitem__).finding_changed(said, "opened")
    assert heard.findings[0].evidence == [f"refused by (C{after}", f"C{after}"]


def test_key_that_changes_leaves_an_open_finding_its_names_and_its_id() -> None:
    names, heard, found = Pseudonyms(), Steps(), finding(evidence=["192.0.2.10 in clear"])
    veil = Veil([heard], names.host)
    names.set_key(1, bytes(32))
    veil.finding_changed(found, "opened")
    names.set_key(2, bytes([1]) * 32)
    found.evidence.append("192.0.2.10 again")
    veil.finding_changed(found, "resolved")
    (opened, _), (resolved, evidence) = heard.steps
    assert opened == resolved
    assert evidence == [f"{opened[1].a} in clear", f"{opened[1].a} again"]
    veil.finding_changed(finding(), "opened")
    assert heard.steps[2][0] != opened


def test_finding_from_before_a_restart_keeps_its_names_and_its_id_under_another_key() -> None:
    names, before, after, found = Pseudonyms(), Steps(), Steps(), finding(evidence=["192.0.2.10 in clear"])
    names.set_key(1, bytes(32))
    Veil([before], names.host).finding_changed(found, "opened")
    names.set_key(2, bytes([1]) * 32)
    again = replace(found, evidence=["192.0.2.10 in clear"], names=dict(found.names))
    veil = Veil([after], names.host)
    veil.finding_changed(again, "restored")
    veil.finding_changed(again, "resolved")
    assert before.steps * 2 == after.steps


def test_sinks_are_not_told_what_the_names_stand_for() -> None:
    heard = Heard()
    Veil([heard], lambda _: "host").finding_changed(finding(), "opened")
    assert heard.findings[0].names == {}


def test_finding_is_one_object_through_its_life_and_its_id_tells_no_address() -> None:
    heard, found = Heard(), finding()
    veil = Veil([heard], lambda address: f"host-{len(address)}")
    for change in ("opened", "updated", "resolved"):
        veil.finding_changed(found, change)
    assert len({id(told) for told in heard.findings}) == 1
    assert heard.findings[0].id != found.id


def test_scan_of_the_clinic_with_veiled_addresses_shows_none(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "veiled.yaml"
    config.write_text("privacy: {addresses: pseudonym}\n")
    assert main(["scan", "--json", "--config", str(config), str(ROOT / "deploy" / "demo" / "clinic.pcap")]) == 1
    text = capsys.readouterr().out
    assert not re.findall(r"\b10\.20\.\d+\.\d+|\b203\.0\.113\.\d+|\b(?:[0-9a-f]{2}:){5}[0-9a-f]{2}\b", text)
    for line in text.splitlines():
        jsonschema.validate(json.loads(line), SCHEMA)
