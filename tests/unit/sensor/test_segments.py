"""What must hold between two addresses, by the segments that they are in."""

from __future__ import annotations

import pytest

from sensor.config.load import parse_config
from sensor.config.schema import Policy
from sensor.policy.segments import Required, Segments

VOICE = Required(media=True, signalling=True, segments=("voice",), policy=Policy())
NOTHING = Required(media=False, signalling=False, segments=(), policy=Policy())

SEGMENTED = parse_config(
    """
policy:
  segments:
  - {name: phones, cidrs: [10.0.0.0/8, "fd00::/16"]}
  - {name: servers, kind: server, cidrs: [10.9.0.0/16], signalling: any}
  - {name: lab, kind: data, vlans: [77], media: any, signalling: any}
  - {name: mirror, interfaces: [span1], media: any, signalling: any}
  pairs:
  - {between: [phones, outside], media: any}
  - {between: [lab, phones], signalling: encrypted}
""",
    "f",
).policy


@pytest.mark.parametrize(
    ("a", "b", "vlans", "media", "signalling", "segments"),
    [
        ("10.1.1.1", "10.2.2.2", (), True, True, ("phones",)),
        ("10.1.1.1", "10.9.0.1", (), True, True, ("phones", "servers")),  # the longest prefix; the stricter of two
        ("10.9.0.1", "10.9.0.2", (), True, False, ("servers",)),
        ("fd00::1", "fd00::2", (), True, True, ("phones",)),
        ("10.1.1.1", "203.0.113.5", (), False, True, ("phones",)),  # the pair says so
        ("203.0.113.5", "10.9.0.1", (), True, False, ("servers",)),  # outside asks for nothing
        ("203.0.113.5", "198.51.100.7", (), False, False, ()),
        ("203.0.113.5", "198.51.100.7", (5, 77), False, False, ("lab",)),
        ("203.0.113.5", "10.1.1.1", (77,), True, True, ("lab", "phones")),
        ("not.an.address", "10.9.0.1", (), True, False, ("servers",)),
    ],
)
def test_requirement_between_two_addresses(
    a: str, b: str, vlans: tuple[int, ...], media: bool, signalling: bool, segments: tuple[str, ...]
) -> None:
    table = Segments(SEGMENTED)
    for _ in range(2):  # computed, then remembered
        assert table.required(a, b, vlans)[:3] == (media, signalling, segments)


def test_interface_decides_last() -> None:
    assert Segments(SEGMENTED, "span1").required("203.0.113.5", "10.1.1.1").segments == ("mirror", "phones")
    assert Segments(SEGMENTED, "span2").required("203.0.113.5", "203.0.113.6").segments == ()


@pytest.mark.parametrize("address", ["10.77.0.11", "192.168.1.1", "100.64.0.1", "127.0.0.1", "fe80::1", "fd77::11"])
def test_without_a_policy_private_addresses_must_be_protected_wherever_the_other_end_is(address: str) -> None:
    table = Segments(Policy())
    assert table.required(address, "203.0.113.5") == VOICE
    assert table.required("239.77.0.1", address) == VOICE
    assert table.required("203.0.113.5", "198.51.100.7") == NOTHING


FLOORS = parse_config(
    """
policy:
  severities: {media-clear: high, rtcp-clear: low}
  segments:
  - {name: phones, cidrs: [10.0.0.0/16], severities: {media-clear: low, dtmf-clear: info}}
  - {name: icu, cidrs: [10.1.0.0/16], severities: {media-clear: critical}}
  - {name: trunk, kind: trunk, cidrs: [203.0.113.0/24]}
  pairs:
  - between: [phones, trunk]
    min_tls: "1.3"
    allowed_ciphers: [TLS_RSA_WITH_AES_128_CBC_SHA]
    allowed_suites: [AES_CM_128_HMAC_SHA1_32]
    key_exchange: [dtls]
    certificates: trusted
    rtcp: encrypted
    grace: 0
    undetermined_after: 5
    severities: {dtmf-clear: critical}
  hosts:
  - {name: pbx, role: pbx, addresses: [192.0.2.7]}
""",
    "f",
).policy


def test_pair_puts_its_floors_in_place_of_the_general_ones() -> None:
    between = Segments(FLOORS).required("10.0.0.1", "203.0.113.5").policy
    assert (between.tls.min_version, between.tls.certificates) == ("1.3", "trusted")
    assert between.tls.allowed_ciphers == ("TLS_RSA_WITH_AES_128_CBC_SHA",)
    assert (between.allowed_suites, between.key_exchange) == (("AES_CM_128_HMAC_SHA1_32",), ("dtls",))
    assert (between.rtcp, between.grace, between.undetermined_after) == ("encrypted", 0, 5)


def test_what_no_pair_names_is_as_the_policy_says() -> None:
    between = Segments(FLOORS).required("10.0.0.1", "10.1.0.1").policy
    assert (between.tls, between.rtcp, between.grace) == (FLOORS.tls, "beside-srtp", 2)


@pytest.mark.parametrize(
    ("a", "b", "code", "severity"),
    [
        ("10.0.0.1", "10.0.0.2", "media-clear", "low"),  # the segment's
        ("10.0.0.1", "10.1.0.1", "media-clear", "critical"),  # the worse of two segments'
        ("10.0.0.1", "203.0.113.5", "dtmf-clear", "critical"),  # the pair's
        ("10.0.0.1", "203.0.113.5", "media-clear", "low"),
        ("10.0.0.1", "10.0.0.2", "rtcp-clear", "low"),  # the policy's
        ("198.51.100.1", "203.0.113.5", "media-clear", "high"),
    ],
)
def test_severity_is_the_pairs_else_the_worse_segments_else_the_policys(
    a: str, b: str, code: str, severity: str
) -> None:
    assert Segments(FLOORS).required(a, b).policy.severities[code] == severity


def test_host_that_the_policy_names_is_of_the_telephone_system_wherever_it_is() -> None:
    table = Segments(FLOORS)
    assert (table.role("192.0.2.7"), table.role("192.0.2.8")) == ("pbx", None)
    assert (table.is_voice("192.0.2.7"), table.is_voice("192.0.2.8")) == (True, False)


def test_names_say_which_end_is_outside() -> None:
    assert Segments(FLOORS).names("10.1.0.1", "192.0.2.7") == ("icu", "outside")
    assert Segments(FLOORS).names("192.0.2.7", "10.1.0.1") == ("outside", "icu")
