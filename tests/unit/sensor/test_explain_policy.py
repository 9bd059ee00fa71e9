"""``legwatch explain-policy``: what it says of pairs of hosts of the example hospital."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from sensor.cli import main
from sensor.commands.explain_policy import answer, lines
from sensor.config.load import load_config, parse_config
from sensor.config.schema import Policy

HOSPITAL = Path(__file__).parents[3] / "deploy/examples/hospital-sbc-trunk.yaml"
NOW_NS = int(datetime(2026, 6, 30, 12, tzinfo=UTC).timestamp()) * 1_000_000_000
DAY_NS = 86_400 * 1_000_000_000

Capture = pytest.CaptureFixture[str]


def hospital(a: str, b: str, *options: str) -> list[str]:
    return ["explain-policy", a, b, "--config", str(HOSPITAL), *options]


PHONE_AND_PBX = """\
10.20.4.77 is in segment phones (voice), by range 10.20.0.0/20
10.20.32.10 is in segment servers (server), by range 10.20.32.0/26; it is host pbx-a, role pbx

Access      they may talk: segment phones is isolated and the other end is of the telephone system
Media       must be encrypted: segments phones and servers ask for it
Signalling  must be encrypted: segments phones and servers ask for it
RTCP        in clear is a finding beside encrypted media (policy)
SRTP        weak suites: none is accepted (policy)
            keys by sdes or dtls (pair [phones, servers])
Times       2 s may be in clear while keys are on their way (policy)
            more than 50 packets or 1 s in clear before the first encrypted packet are a finding (policy)
            media of which nothing can be said is a finding after 30 s (policy)
            media that was agreed and is not seen, after 30 s (policy)
DSCP        46 or 34 (policy)
TLS         1.2 or later (pair [phones, servers])
            weak suites: none is accepted (policy)
            certificates: one of an issuer that nobody trusts is a finding, high where an end is outside (policy)
Severity    provisioning-clear is critical, usually high (policy)
Severity    new-endpoint is low, usually info (segment phones)
Waiver      media-clear, rtcp-clear, signalling-clear, credentials-exposed, fax-clear of 10.20.4.77/32, until 2099-12-31
            Telecoms, J. Doe: analogue adapter of the fax in the old laboratory, to be replaced with the move to \
building C
"""

SBC_AND_CARRIER = """\
192.0.2.18 is in segment sbc (sbc), by range 192.0.2.16/29; it is host sbc-a, role sbc
203.0.113.9 is in segment carrier (trunk), by range 203.0.113.0/26; it is of vendor Example Carrier (SIP trunk): \
it needs no Business Associate Agreement

Access      they may talk: no isolated segment and no pair keeps them apart
Media       must be encrypted: pair [sbc, carrier] says so
Signalling  must be encrypted: pair [sbc, carrier] says so
RTCP        must be encrypted (pair [sbc, carrier])
SRTP        weak suites: none is accepted (policy)
            keys by sdes (pair [sbc, carrier])
Times       nothing may be in clear while keys are on their way (pair [sbc, carrier])
            more than 50 packets or 1 s in clear before the first encrypted packet are a finding (policy)
            media of which nothing can be said is a finding after 30 s (policy)
            media that was agreed and is not seen, after 30 s (policy)
DSCP        46 or 34 (policy)
TLS         1.2 or later (pair [sbc, carrier])
            weak suites: none is accepted (pair [sbc, carrier])
            certificates: one of an issuer that nobody trusts is a finding, always high (pair [sbc, carrier])
Severity    provisioning-clear is critical, usually high (policy)
Severity    signalling-clear is critical, usually high (pair [sbc, carrier])
"""

DESK_AND_MANAGEMENT = """\
10.30.1.1 is in segment data (data), by range 10.30.0.0/16
10.20.250.9 is in segment management (management), by range 10.20.250.0/27

Access      they may talk: no isolated segment and no pair keeps them apart
Media       may be in clear: no segment of theirs asks for more
            SRTP that was agreed on and is not there is a finding all the same
Signalling  may be in clear: no segment of theirs asks for more
Severity    provisioning-clear is critical, usually high (policy)
"""


@pytest.mark.parametrize(
    ("a", "b", "text"),
    [
        ("10.20.4.77", "10.20.32.10", PHONE_AND_PBX),
        ("192.0.2.18", "203.0.113.9", SBC_AND_CARRIER),
        ("10.30.1.1", "10.20.250.9", DESK_AND_MANAGEMENT),
    ],
    ids=["phone-pbx", "sbc-carrier", "desk-management"],
)
def test_two_addresses_of_the_hospital_are_explained_word_for_word(a: str, b: str, text: str, capsys: Capture) -> None:
    assert main(hospital(a, b)) == 0
    assert capsys.readouterr() == (text, "")


def lines_of(policy: Policy, a: str, b: str, label: str = "", now_ns: int = NOW_NS) -> list[str]:
    """Return the lines that begin with a label, without it, and those that go on from there."""
    found, said = [], False
    for line in lines(answer(policy, (a, b), (), "", now_ns)):
        said = line.startswith(label) if line[:1].strip() else said and bool(line)
        if said:
            found.append(line.removeprefix(label).strip())
    return found


@pytest.mark.parametrize(
    ("a", "b", "access"),
    [
        ("10.30.1.1", "10.20.0.5", ["they may not talk: segment phones is isolated and the other end is of kind data"]),
        ("10.20.0.5", "10.99.0.1", ["they may not talk: segment phones is isolated and the other end is outside"]),
        ("10.20.0.5", "203.0.113.9", ["they may not talk: pair [phones, carrier] has access: denied"]),
        ("10.20.0.5", "10.20.0.6", ["they may talk: both are in one segment"]),
        (
            "10.30.1.1",
            "10.20.32.20",
            [
                "they may talk: pair [data, servers] has access: allowed",
                "on a management path 10.30.1.1 may use https on 10.20.32.20",
            ],
        ),
        (
            "10.20.16.7",
            "10.20.250.9",
            [
                "they may not talk: segment nurse-call is isolated and the other end is of kind management",
                "on a management path 10.20.250.9 may use https on 10.20.16.7",
                "on a management path 10.20.250.9 may use http on 10.20.16.7",
            ],
        ),
    ],
    ids=["isolated-data", "isolated-outside", "pair-denied", "one-segment", "pair-allowed", "paths"],
)
def test_who_may_talk_is_said_with_the_line_that_says_so(a: str, b: str, access: list[str]) -> None:
    assert lines_of(load_config(HOSPITAL)[0].policy, a, b, "Access") == access


def test_pair_in_place_of_general_rules_is_named_at_each_of_them() -> None:
    found = lines_of(load_config(HOSPITAL)[0].policy, "10.20.16.5", "10.20.32.11")
    assert "SRTP        weak suites: AES_CM_128_HMAC_SHA1_32 (pair [nurse-call, servers])" in found
    assert "media of which nothing can be said is a finding after 60 s (pair [nurse-call, servers])" in found
    assert "Severity    dtmf-clear is critical, usually high (segment nurse-call)" in found


VENDORS = """
policy:
  segments:
  - {name: phones, cidrs: [10.0.0.0/8]}
  - {name: far, kind: trunk, cidrs: [203.0.113.0/24]}
  vendors:
  - {name: Signed, addresses: [203.0.113.0/26], baa: {signed: 2026-01-01, expires: 2026-06-30}}
  - {name: Endless, addresses: [203.0.113.64/26], baa: {signed: 2026-01-01}}
  - {name: Unsigned, addresses: [203.0.113.128/26]}
"""


@pytest.mark.parametrize(
    ("address", "days", "said"),
    [
        (
            "203.0.113.1",
            0,
            "Signed (carrier): its Business Associate Agreement, signed on 2026-01-01, holds until 2026-06-30",
        ),
        ("203.0.113.1", 1, "Signed (carrier): its Business Associate Agreement ended on 2026-06-30"),
        ("203.0.113.65", 1, "Endless (carrier): its Business Associate Agreement, signed on 2026-01-01, has no end"),
        ("203.0.113.129", 0, "Unsigned (carrier): the inventory has no Business Associate Agreement"),
        ("203.0.113.193", 0, "it is in the inventory of no vendor"),
    ],
    ids=["valid", "over", "endless", "none", "unknown"],
)
def test_address_outside_is_said_with_its_vendor_and_agreement(address: str, days: int, said: str) -> None:
    policy = parse_config(VENDORS, "f").policy
    assert lines_of(policy, "10.0.0.1", address, address, NOW_NS + days * DAY_NS)[0].endswith(said)


def test_two_addresses_outside_are_asked_for_no_vendor() -> None:
    found = answer(parse_config(VENDORS, "f").policy, ("203.0.113.1", "8.8.8.8"), (), "", NOW_NS)
    assert (found.a.vendor, found.b.external) == (None, False)


def test_waiver_that_is_over_is_said_to_be() -> None:
    text = "policy: {waivers: [{subjects: [voice], codes: [rtcp-clear], owner: IT, reason: old, until: 2026-06-29}]}"
    said = lines_of(parse_config(text, "f").policy, "10.0.0.1", "8.8.8.8", "Waiver")
    assert said == ["rtcp-clear of voice, ended on 2026-06-29", "IT: old"]


MATCHES = """
policy:
  segments:
  - {name: wide, cidrs: [10.0.0.0/8], vlans: [5]}
  - {name: narrow, cidrs: [10.1.0.0/16, 10.1.1.0/24]}
  - {name: port, interfaces: [span1]}
"""


@pytest.mark.parametrize(
    ("options", "segment", "by"),
    [
        (["10.1.1.1"], "narrow", "range 10.1.1.0/24"),
        (["10.2.1.1", "--vlan", "5"], "wide", "range 10.0.0.0/8"),
        (["192.0.2.1", "--vlan", "5", "--interface", "span1"], "wide", "VLAN 5"),
        (["192.0.2.1", "--vlan", "6", "--interface", "span1"], "port", "interface span1"),
        (["192.0.2.1", "--vlan", "6"], None, None),
        (["2001:DB8:0::1", "--interface", "span1"], "port", "interface span1"),
    ],
)
def test_segment_of_an_address_comes_with_what_it_was_matched_by(
    options: list[str], segment: str | None, by: str | None, tmp_path: Path, capsys: Capture
) -> None:
    path = tmp_path / "legwatch.yaml"
    path.write_text(MATCHES)
    assert main(["explain-policy", "10.9.9.9", *options, "--config", str(path), "--json"]) == 0
    end = json.loads(capsys.readouterr().out)["b"]
    assert (end["segment"], end["by"]) == (segment, by)


def test_json_has_what_the_words_have(capsys: Capture) -> None:
    assert main(hospital("10.20.4.77", "203.0.113.9", "--json")) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["a"]["segment"] == "phones"
    assert found["b"]["vendor"]["name"] == "Example Carrier"
    assert found["access"] == {"value": "denied", "why": "pair [phones, carrier] has access: denied"}
    assert found["media"]["value"] == found["signalling"]["value"] == "encrypted"
    assert found["rules"]["key_exchange"] == {"value": [], "why": "policy"}
    assert found["waivers"][0]["until"] == "2099-12-31"


@pytest.mark.parametrize("argv", [["10.20.4", "10.0.0.1"], ["10.0.0.1", "pbx.example.org"], ["10.0.0.0/8", "::1"]])
def test_what_is_no_address_is_one_line_and_2(argv: list[str], capsys: Capture) -> None:
    assert main(["explain-policy", *argv]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.endswith("is not an IP address such as 10.20.0.5 or fd00:20::5\n")
    assert err.count("\n") == 1


@pytest.mark.parametrize("vlan", ["0", "4095", "voice"])
def test_what_is_no_vlan_is_wrong_use(vlan: str, capsys: Capture) -> None:
    assert main(["explain-policy", "10.0.0.1", "10.0.0.2", "--vlan", vlan]) == 2
    assert f"{vlan} is not a VLAN, 1 to 4094" in capsys.readouterr().err
