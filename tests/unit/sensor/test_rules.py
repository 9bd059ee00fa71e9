"""The rules: what is true by the policy, and the sentence that says why."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fastpath.records import FlowKey
from sensor.config.load import parse_config
from sensor.config.schema import Policy
from sensor.model import Signalled, Subject
from sensor.policy import rules
from sensor.policy.catalogue import CATALOGUE
from sensor.policy.rules import ClearMedia
from sensor.policy.segments import Required, Segments
from tests.unit.sensor.traffic import ALICE, BOB, T0, S, media_key, verdict

POLICY = Policy()
VOICE = Required(media=True, signalling=True, segments=("voice",))
NOTHING = Required(media=False, signalling=False, segments=())
LEG = Subject("leg", ALICE, BOB)
EVIDENCE = (
    "PCMU payload structure in 3 packets (0.04 s): probability under encryption below 10^-12.0; "
    "stream 0x12345678 from 10.0.0.1:16384 to 10.0.0.2:16390"
)


def clear(signalled: Signalled = "clear", *, accepted: bool = True, keys_coming: bool = False) -> ClearMedia:
    return ClearMedia(verdict("clear"), T0, signalled, accepted, keys_coming)


def codes(media: ClearMedia, required: Required = VOICE, after_ns: int = 0) -> list[str]:
    return [claim.code for claim in rules.media(media, required, POLICY, T0 + after_ns)]


def test_clear_media_is_claimed_with_its_figures() -> None:
    (claim,) = rules.media(clear(), VOICE, POLICY, T0)
    assert claim == (
        "media-clear",
        "critical",
        LEG,
        ("voice",),
        EVIDENCE,
        ("164.312(e)(1)", "164.312(e)(2)(ii)"),
    )


def test_evidence_names_the_sender_first_and_never_claims_more_than_measured() -> None:
    given = replace(verdict("clear", from_a=False), codec="", packet=1, log10_p=-12.99, elapsed_ns=0)
    assert rules.media_evidence(given) == (
        "payload structure in 1 packet (0.00 s): probability under encryption below 10^-12.9; "
        "stream 0x12345678 from 10.0.0.2:16390 to 10.0.0.1:16384"
    )


def test_evidence_of_ipv6_and_of_a_tag_without_encryption() -> None:
    key = FlowKey("udp", "fd00::1", 4000, "fd00::2", 4002, ())
    given = replace(verdict("clear", key), basis=("payload-structure", "tag-present"), log10_p=None)
    assert rules.media_evidence(given) == (
        "PCMU payload structure and authentication tag without encryption in 3 packets (0.04 s); "
        "stream 0x12345678 from [fd00::1]:4000 to [fd00::2]:4002"
    )


def test_clear_media_where_anything_goes_is_not_claimed() -> None:
    assert codes(clear(), NOTHING) == []


@pytest.mark.parametrize("signalled", ["srtp-sdes", "srtp-dtls", "zrtp"])
def test_clear_media_despite_srtp_is_claimed_beside(signalled: Signalled) -> None:
    assert codes(clear(signalled)) == ["media-clear", "media-clear-despite-srtp"]
    assert codes(clear(signalled), NOTHING) == ["media-clear-despite-srtp"]


@pytest.mark.parametrize("signalled", ["clear", "optional", "unknown"])
def test_clear_media_breaks_no_promise_that_was_not_made(signalled: Signalled) -> None:
    assert codes(clear(signalled)) == ["media-clear"]


def test_offer_without_answer_is_no_promise() -> None:
    assert codes(clear("srtp-sdes", accepted=False)) == ["media-clear"]


def test_keys_on_their_way_give_grace_to_its_last_nanosecond() -> None:
    media = clear("srtp-sdes", keys_coming=True)
    assert codes(media, after_ns=2 * S - 1) == []
    assert codes(media, after_ns=2 * S) == ["media-clear", "media-clear-despite-srtp"]
    assert rules.grace_end(media, POLICY) == T0 + 2 * S
    assert rules.grace_end(clear("srtp-sdes"), POLICY) == T0


def test_severity_is_the_policy_s_where_it_names_one() -> None:
    policy = Policy(severities={"media-clear": "low"})
    (claim,) = rules.media(clear(), VOICE, policy, T0)
    assert claim.severity == "low"


def test_sip_in_clear_names_transport_ends_and_first_method() -> None:
    key = FlowKey("tcp", BOB, 5060, ALICE, 40000, ())
    (claim,) = rules.signalling_clear(key, "REGISTER", VOICE, POLICY)
    assert (claim.code, claim.severity, claim.subject) == (
        "signalling-clear",
        "high",
        Subject("signalling", ALICE, BOB),
    )
    assert claim.evidence == (
        "SIP read in clear over TCP between 10.0.0.2:5060 and 10.0.0.1:40000; the first message was REGISTER"
    )
    assert rules.signalling_clear(key, "REGISTER", NOTHING, POLICY) == []


def test_method_of_nobody_s_is_not_repeated() -> None:
    (claim,) = rules.signalling_clear(media_key(), "15550199734", VOICE, POLICY)
    assert "15550199734" not in claim.evidence
    assert rules.message_name("15550199734", 200) == "200 to extension method"


def test_exposed_keys_name_suites_and_message_only() -> None:
    suites = ("AES_CM_128_HMAC_SHA1_80", "inline:c2VjcmV0", "AES_CM_128_HMAC_SHA1_80")
    (claim,) = rules.sdes_key_exposed(media_key(), rules.message_name("INVITE", 200), suites, VOICE, POLICY)
    assert claim.evidence == (
        "a=crypto with AES_CM_128_HMAC_SHA1_80, an unregistered suite readable in a SIP 200 to INVITE over UDP "
        "between 10.0.0.1:16384 and 10.0.0.2:16390"
    )
    assert rules.sdes_key_exposed(media_key(), "INVITE", suites, NOTHING, POLICY) == []


def test_silence_is_claimed_after_the_policy_s_time() -> None:
    assert rules.no_traffic("span0", 60 * S - 1, POLICY) == []
    (claim,) = rules.no_traffic("span0", 60 * S, POLICY)
    assert (claim.code, claim.subject, claim.evidence) == (
        "sensor-no-traffic", Subject("interface", name="span0"), "no packet on span0 for more than 60 s",
    )  # fmt: skip


def test_loss_is_claimed_with_what_was_lost() -> None:
    assert rules.loss("span0", {"packets": 0}, POLICY) == []
    (claim,) = rules.loss("span0", {"packets dropped by the kernel": 7, "octets": 0}, POLICY)
    assert claim.evidence == "lost: 7 packets dropped by the kernel; the calls in it are not assessed"


def test_every_entry_of_the_catalogue_has_controls() -> None:
    assert all(entry.controls and entry.title for entry in CATALOGUE.values())


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
        assert table.required(a, b, vlans) == (media, signalling, segments)


def test_interface_decides_last() -> None:
    assert Segments(SEGMENTED, "span1").required("203.0.113.5", "10.1.1.1").segments == ("mirror", "phones")
    assert Segments(SEGMENTED, "span2").required("203.0.113.5", "203.0.113.6").segments == ()


@pytest.mark.parametrize("address", ["10.77.0.11", "192.168.1.1", "100.64.0.1", "127.0.0.1", "fe80::1", "fd77::11"])
def test_without_a_policy_private_addresses_must_be_protected_wherever_the_other_end_is(address: str) -> None:
    table = Segments(Policy())
    assert table.required(address, "203.0.113.5") == VOICE
    assert table.required("239.77.0.1", address) == VOICE
    assert table.required("203.0.113.5", "198.51.100.7") == NOTHING
