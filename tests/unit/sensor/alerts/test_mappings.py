"""Every form of an event: as the golden files say, and unbroken whatever its texts are."""

from __future__ import annotations

import json
import re
import struct
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sensor.alerts.event import Event
from sensor.alerts.mappings import hep, journald, syslog
from sensor.alerts.mappings.alertmanager import alert
from sensor.alerts.mappings.cef import cef
from sensor.alerts.mappings.ecs import ecs
from sensor.alerts.mappings.ocsf import ocsf
from sensor.alerts.mappings.plain import cut, encode, microseconds, one_line
from sensor.alerts.mappings.subject import sentence
from sensor.model import SEVERITIES, Subject
from sensor.policy.catalogue import CATALOGUE
from tests.canaries import SECRETS, leaks
from tests.unit.sensor.alerts.samples import SAMPLES, TIME, event, hostile_events

GOLDEN = Path(__file__).parent / "golden"
VERSION = re.compile(r"\b\d+\.\d+\.\d+(\.dev\d+|[ab]\d+|rc\d+)?(?=[|\"])")


def line(sample: Event, *, octets: int = 8192, text: str | None = None) -> bytes:
    """One syslog message."""
    said = sentence(sample) if text is None else text
    return syslog.message(sample, said, facility=16, hostname="span-1", octets=octets)


def forms(sample: Event) -> dict[str, Any]:
    """Every form of an event, as JSON can hold it."""
    return {
        "alertmanager": alert(sample, generator="https://sensor.example.org/"),
        "cef": cef(sample),
        "ecs": ecs(sample),
        "hep": hep.packet(sample, agent=2001, key=b"key").hex(),
        "journald": journald.fields(sample),
        "ocsf": ocsf(sample),
        "ocsf-compliance": ocsf(sample, compliance=True),
        "syslog": line(sample).decode(),
    }


@pytest.mark.parametrize("name", SAMPLES)
def test_event_has_the_forms_of_its_golden_file(name: str) -> None:
    """Made again by ``python -m tests.unit.sensor.alerts.test_mappings``, and then read by a person."""
    assert golden(name) == json.loads((GOLDEN / f"{name}.json").read_text())


def golden(name: str) -> Any:
    """All forms of a sample, without the version of the program."""
    made = {form: value for form, value in forms(SAMPLES[name]).items() if form != "hep"}
    return json.loads(re.sub(r'(\\"|\||"version": ")0\.\d+\.\d+[^"|]*', r"\g<1>VERSION", json.dumps(made)))


def chunks(packet: bytes) -> Iterator[tuple[int, bytes]]:
    """The chunks of a HEP3 packet, read by the lengths that it gives."""
    assert packet[:4] == b"HEP3"
    assert struct.unpack_from("!H", packet, 4)[0] == len(packet)
    at = 6
    while at < len(packet):
        vendor, kind, size = struct.unpack_from("!HHH", packet, at)
        assert vendor == 0
        assert 6 < size <= len(packet) - at
        yield kind, packet[at + 6 : at + size]
        at += size


def test_hep_packet_has_the_chunks_of_a_log() -> None:
    found = dict(chunks(hep.packet(SAMPLES["opened"], agent=2001, key=b"key")))
    payload = found.pop(15)
    assert json.loads(payload) == SAMPLES["opened"]
    assert found == {
        1: b"\2",
        2: b"\x11",
        3: bytes([192, 0, 2, 10]),
        4: bytes([192, 0, 2, 20]),
        7: b"\0\0",
        8: b"\0\0",
        9: struct.pack("!I", microseconds(TIME) // 1_000_000),
        10: struct.pack("!I", 250_000),
        11: b"\x64",
        12: struct.pack("!I", 2001),
        14: b"key",
        17: b"00112233445566aa",
        19: b"span-1",
    }


def test_hep_packet_of_a_server_by_ipv6_has_its_address_and_port() -> None:
    found = dict(chunks(hep.packet(SAMPLES["tls-server"])))
    assert (found[1], found[5], found[6], found[8]) == (
        b"\x0a", bytes(16), bytes.fromhex("20010db8000000000000000000000005"), struct.pack("!H", 5061),
    )  # fmt: skip
    assert not {3, 4, 14} & set(found)


def test_hep_packet_between_both_families_maps_the_older_one() -> None:
    found = dict(chunks(hep.packet(event(subject=Subject("leg", "192.0.2.1", "2001:db8::1")))))
    assert found[5] == bytes.fromhex("00000000000000000000ffffc0000201")


@pytest.mark.parametrize("text", ["x" * 70_000, "🙂" * 70_000, '"' * 70_000], ids=["ascii", "emoji", "quotes"])
def test_hep_packet_of_an_event_that_is_too_long_says_less_and_stays_whole(text: str) -> None:
    packet = hep.packet(event(evidence=[text], id=text))
    payload = json.loads(dict(chunks(packet))[15])
    assert len(packet) <= hep.MAX_OCTETS
    assert payload["code"] == "media-clear-despite-srtp"
    assert payload["message"].startswith("Media in clear although SRTP was agreed")


SYSLOG = re.compile(
    rb"<(\d{1,3})>1 ([0-9T:.Z-]+) ([!-~]{1,255}) legwatch - ([!-~]{1,32}) "
    rb"\[legwatch@32473((?: [A-Za-z]+=\"(?:[^\"\\\]]|\\[\"\\\]])*\")*)\](?: (.+))?",
    re.DOTALL,
)


@given(hostile_events(), st.integers(syslog.MIN_OCTETS, 9000))
def test_syslog_of_any_event_is_one_message_of_the_grammar(sample: Event, octets: int) -> None:
    made = line(sample, octets=octets)
    match = SYSLOG.fullmatch(made)
    assert match
    assert len(made) <= octets
    assert not re.search(rb"[\x00-\x1f\x7f]", made)
    text = match[6] or b""
    assert text.isascii() or text.startswith(b"\xef\xbb\xbf")
    made.decode()
    assert syslog.counted(made) == str(len(made)).encode() + b" " + made


def test_syslog_text_beyond_ascii_has_the_mark_and_other_text_has_none() -> None:
    assert b"] \xef\xbb\xbfZ\xc3\xbcrich" in line(SAMPLES["opened"], text="Zürich")
    assert line(SAMPLES["opened"], text="Zurich").endswith(b"] Zurich")
    assert line(SAMPLES["opened"], text="").endswith(b"]")


def test_syslog_is_cut_between_characters_at_its_greatest_length() -> None:
    whole = line(SAMPLES["opened"], text="ü" * 100)
    for octets in (len(whole), len(whole) - 1, len(whole) - 2):
        made = line(SAMPLES["opened"], text="ü" * 100, octets=octets)
        assert len(made) == octets - (len(whole) - octets) % 2
        made.decode()


def test_syslog_parameters_escape_what_ends_them() -> None:
    made = line(event(waived_by='a"b\\c]d\ne', state="waived"))
    assert rb' waivedBy="a\"b\\c\]d e"' in made


@pytest.mark.parametrize(("severity", "pri"), [("info", 134), ("medium", 132), ("critical", 130)])
def test_syslog_priority_is_that_of_the_severity_in_the_facility(severity: str, pri: int) -> None:
    assert line(event(severity=severity)).startswith(b"<%d>1 " % pri)


def test_syslog_of_a_finding_that_is_over_is_informational() -> None:
    assert line(SAMPLES["resolved"]).startswith(b"<134>1 ")


CEF_HEADER = re.compile(r"CEF:0(?:\|(?:[^|\\]|\\[|\\])*){5}\|(?:10|[0-9])\|")
CEF_PAIR = re.compile(r"([A-Za-z0-9]+)=((?:[^=\\]|\\[=\\])*?)(?= [A-Za-z0-9]+=|$)")


@given(hostile_events())
def test_cef_of_any_event_is_one_line_whose_fields_read_back(sample: Event) -> None:
    made = cef(sample)
    header = CEF_HEADER.match(made)
    assert header
    assert len(made.splitlines()) == 1
    pairs = CEF_PAIR.findall(made[header.end() :])
    assert " ".join(f"{name}={value}" for name, value in pairs) == made[header.end() :]
    fields = {name: re.sub(r"\\([=\\])", r"\1", value) for name, value in pairs}
    assert fields["externalId"] == one_line(sample["id"]) if sample["id"] else "externalId" not in fields
    assert fields.get("msg", "") == sentence(sample)


@given(hostile_events())
def test_journal_fields_of_any_event_have_names_that_it_takes_and_valid_text(sample: Event) -> None:
    for name, value in journald.fields(sample).items():
        assert re.fullmatch(r"[A-Z][A-Z0-9_]{0,63}", name)
        value.encode()


@given(hostile_events())
def test_json_forms_of_any_event_are_one_line_that_reads_back(sample: Event) -> None:
    for form in (sample, ecs(sample), ocsf(sample), ocsf(sample, compliance=True), alert(sample)):
        made = encode(form)
        assert made.isascii()
        assert len(made.splitlines()) == 1
        json.dumps(json.loads(made), ensure_ascii=False).encode()


@given(hostile_events(), st.binary(min_size=1, max_size=64))
def test_hep_packet_of_any_event_reads_back_by_its_lengths(sample: Event, key: bytes) -> None:
    made = dict(entry for entry in pairs_of(hep.packet(sample, key=key)) if entry[1])
    json.loads(made[15])
    assert made[14] == key


def pairs_of(packet: bytes) -> list[tuple[int, bytes]]:
    """The chunks, an empty one allowed: an event may lack an id."""
    found, at = [], 6
    while at < len(packet):
        _, kind, size = struct.unpack_from("!HHH", packet, at)
        found.append((kind, packet[at + 6 : at + size]))
        at += size
    assert at == len(packet)
    return found


def test_message_ids_are_uuids_of_their_own() -> None:
    ids = {journald.message_id(code) for code in CATALOGUE}
    assert len(ids) == len(CATALOGUE)
    namespace = uuid.UUID(journald._NAMESPACE)
    assert ids == {uuid.uuid5(namespace, code).hex for code in CATALOGUE}
    assert journald.message_id("media-clear") == "662968c1a9b553c2928181e8ba62988a"


@pytest.mark.parametrize("name", SAMPLES)
def test_alertmanager_labels_name_nobody(name: str) -> None:
    labels = json.dumps(alert(SAMPLES[name])["labels"])
    assert not re.search(r"192\.0\.2|2001:db8|span0|Doe", labels)


def test_alertmanager_alert_ends_with_its_finding_and_a_summary_with_the_last_of_its_findings() -> None:
    ends = {name: alert(sample).get("endsAt") for name, sample in SAMPLES.items()}
    assert ends["opened"] is ends["summary"] is None
    assert ends["resolved"] == ends["waived"] == alert({**SAMPLES["summary"], "state": "resolved"})["endsAt"] == TIME


def test_alertmanager_alert_never_starts_after_it_is_said() -> None:
    ahead = event("resolved", state="resolved", first_ns=4_000_000_000_000_000_000)
    assert alert(ahead)["startsAt"] == alert(ahead)["endsAt"] == TIME


def test_ocsf_never_says_that_a_control_is_met() -> None:
    for sample in SAMPLES.values():
        compliance: Any = ocsf(sample, compliance=True)["compliance"]
        assert compliance["status_id"] != 1, "Pass"


@pytest.mark.parametrize("severity", SEVERITIES)
def test_every_severity_is_in_every_form(severity: str) -> None:
    assert forms(event(severity=severity))


@pytest.mark.parametrize("name", SAMPLES)
def test_no_form_says_what_the_event_does_not(name: str) -> None:
    assert not leaks(json.dumps(forms(SAMPLES[name])))


def test_canary_in_an_event_is_found_by_the_same_look() -> None:
    assert leaks(json.dumps(forms(event(evidence=[SECRETS[0]])))) == [SECRETS[0]]


@given(st.text(), st.integers(0, 50))
def test_text_is_cut_to_whole_characters(text: str, octets: int) -> None:
    text = one_line(text)
    assert text.startswith(cut(text, octets))
    assert len(cut(text, octets).encode()) <= octets


if __name__ == "__main__":
    GOLDEN.mkdir(exist_ok=True)
    for sample_name in SAMPLES:
        text = json.dumps(golden(sample_name), indent=1, ensure_ascii=False, sort_keys=True)
        (GOLDEN / f"{sample_name}.json").write_text(text + "\n")
