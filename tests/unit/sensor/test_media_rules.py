"""The rules about media: what is true by the policy, and the sentence that says why."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fastpath.records import FlowKey
from sensor.config.network import KeyExchangeKind
from sensor.config.schema import Policy
from sensor.model import Signalled, Subject
from sensor.policy import media as rules
from sensor.policy.media import Early, Encrypted, MediaFacts
from sensor.policy.segments import Required
from sensor.signalling.agreement import Keys
from tests.unit.sensor.samples import VERDICT
from tests.unit.sensor.traffic import ALICE, BOB, T0, S, control, media_key, tones, verdict

POLICY = Policy()
VOICE = Required(media=True, signalling=True, segments=("voice",), policy=POLICY)
NOTHING = Required(media=False, signalling=False, segments=(), policy=POLICY)
LEG = Subject("leg", ALICE, BOB)
EVIDENCE = (
    "PCMU payload structure in 3 packets (0.04 s): probability under encryption below 10^-12.0; "
    "stream 0x12345678 from 10.0.0.1:16384 to 10.0.0.2:16390"
)


def clear(signalled: Signalled = "clear", *, accepted: bool = True, keys_coming: bool = False) -> MediaFacts:
    return MediaFacts(
        ALICE, BOB, (), signalled, "clear", accepted, clear=verdict("clear"), since_ns=T0, keys_coming=keys_coming
    )


SAFE = MediaFacts(ALICE, BOB, (), "srtp-sdes", "encrypted", True, encrypted=(Encrypted(T0, 8, ALICE, "proved", 10),))


def said(facts: MediaFacts, policy: Policy = POLICY, after_ns: int = 0) -> list[tuple[str, str]]:
    return [(claim.code, claim.evidence) for claim in rules.media(facts, VOICE, policy, T0 + after_ns)]


def codes(media: MediaFacts, required: Required = VOICE, after_ns: int = 0) -> list[str]:
    return [claim.code for claim in rules.media(media, required, POLICY, T0 + after_ns)]


def test_clear_media_is_claimed_with_its_figures() -> None:
    (claim,) = rules.media(clear(), VOICE, POLICY, T0)
    assert tuple(claim) == (
        "media-clear",
        "critical",
        LEG,
        ("voice",),
        EVIDENCE,
        ("164.312(e)(1)", "164.312(e)(2)(ii)"),
        verdict("clear").ts_ns - verdict("clear").elapsed_ns,
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


def test_encrypted_media_claims_nothing() -> None:
    assert said(SAFE) == []
    assert said(SAFE._replace(keys=Keys("AES_CM_128_HMAC_SHA1_80", (), 1, 2))) == []


def test_downgrade_names_before_and_after() -> None:
    facts = clear()._replace(downgraded_from=Encrypted(T0 - 5 * S, 8, ALICE, "proved", 10))
    ((code, evidence),) = [each for each in said(facts) if each[0] == "media-downgraded"]
    assert code == "media-downgraded"
    assert evidence == f"encrypted (proved, by packet 8 from 10.0.0.1), 6.00 s later in clear: {EVIDENCE}"


@pytest.mark.parametrize(
    ("packets", "ns", "expected"),
    [(50, S, []), (51, S, ["media-clear-before-key"]), (10, S + 1, ["media-clear-before-key"])],
)
def test_media_before_its_keys_is_claimed_beyond_either_limit(packets: int, ns: int, expected: list[str]) -> None:
    assert [code for code, _ in said(SAFE._replace(early=Early(packets, ns, T0)))] == expected


def test_packets_behind_the_verdict_of_encrypted_are_not_counted_as_clear() -> None:
    early = Early.before(verdict("encrypted", previous="clear", packet=101, since_packet=51))
    assert (early.packets, early.ns) == (50, S)


@pytest.mark.parametrize(
    ("facts", "evidence"),
    [
        (
            SAFE._replace(keys=Keys("AES_CM_128_HMAC_SHA1_80", ("UNENCRYPTED_SRTCP",), 1, 2)),
            "UNENCRYPTED_SRTCP was agreed with a=crypto",
        ),
        (SAFE._replace(profile=5), "the DTLS handshake chose SRTP_NULL_HMAC_SHA1_80"),
        (
            clear()._replace(clear=verdict("clear", basis=("payload-structure", "tag-present"))),
            f"SRTP with a NULL cipher: {EVIDENCE}".replace(
                "payload structure", "payload structure and authentication tag without encryption"
            ),
        ),
    ],
)
def test_null_cipher_is_claimed_as_agreed_or_as_seen(facts: MediaFacts, evidence: str) -> None:
    assert [text for code, text in said(facts) if code == "media-null-cipher"] == [evidence]


@pytest.mark.parametrize(
    ("facts", "evidence"),
    [
        (SAFE._replace(keys=Keys("AES_CM_128_HMAC_SHA1_32", (), 1, 2)), "AES_CM_128_HMAC_SHA1_32 was agreed"),
        (SAFE._replace(keys=Keys("F8_128_HMAC_SHA1_80", (), 1, 2)), "F8_128_HMAC_SHA1_80 was agreed"),
        (SAFE._replace(keys=Keys("", (), 1, 2)), "an unregistered SRTP suite was agreed"),
        (SAFE._replace(profile=2), "the DTLS handshake chose SRTP_AES128_CM_HMAC_SHA1_32"),
        (
            SAFE._replace(encrypted=(Encrypted(T0, 8, ALICE, "proved", 4),)),
            "SRTP with a tag of 32 bits, by packet 8 from 10.0.0.1",
        ),
    ],
)
def test_weak_suite_is_claimed_as_agreed_or_as_seen(facts: MediaFacts, evidence: str) -> None:
    assert said(facts) == [("media-weak-srtp", evidence)]


def test_weak_suites_that_the_policy_allows_are_not_claimed() -> None:
    policy = Policy(allowed_suites=("AES_CM_128_HMAC_SHA1_32",))
    assert said(SAFE._replace(keys=Keys("AES_CM_128_HMAC_SHA1_32", (), 1, 2)), policy) == []
    assert said(SAFE._replace(encrypted=(Encrypted(T0, 8, ALICE, "proved", 4),)), policy) == []
    assert said(SAFE._replace(keys=Keys("F8_128_HMAC_SHA1_80", (), 1, 2)), policy) != []


def test_rtcp_in_clear_is_claimed_beside_encrypted_media_or_where_the_policy_wants_it() -> None:
    facts = SAFE._replace(control=control("clear"))
    where = "between 10.0.0.1:16385 and 10.0.0.2:16391"
    assert said(facts) == [("rtcp-clear", f"RTCP in clear beside encrypted media, {where}")]
    facts = clear()._replace(control=control("clear"))
    assert "rtcp-clear" not in codes(facts)
    wanted = f"RTCP in clear where the policy wants it encrypted, {where}"
    assert ("rtcp-clear", wanted) in said(facts, Policy(rtcp="encrypted"))


def test_telephone_events_are_claimed_without_a_digit() -> None:
    assert said(SAFE._replace(tones=tones())) == [
        (
            "dtmf-clear",
            "telephone events readable, payload type 101; stream 0x12345678 from 10.0.0.1:16384 to 10.0.0.2:16390",
        )
    ]


def test_fax_in_clear_is_claimed() -> None:
    facts = MediaFacts(ALICE, BOB, (), "clear", "undetermined", fax=media_key())
    assert said(facts) == [("fax-clear", "T.38 over UDPTL between 10.0.0.1:16384 and 10.0.0.2:16390")]


def test_another_certificate_than_announced_is_claimed() -> None:
    ((code, evidence),) = said(SAFE._replace(mismatch="sha-256 AB"))
    assert code == "dtls-fingerprint-mismatch"
    assert evidence == "the certificate on the wire has sha-256 AB, which the SDP did not announce"


def test_fingerprint_in_clear_is_claimed_once_it_is_agreed() -> None:
    facts = SAFE._replace(signalled="srtp-dtls", carries_fingerprint=True)
    assert [code for code, _ in said(facts)] == ["dtls-fingerprint-unprotected"]
    assert said(facts._replace(accepted=False)) == []


def test_media_undetermined_and_media_not_observed_wait_for_the_policy_s_time() -> None:
    facts = MediaFacts(ALICE, BOB, (), "unknown", "undetermined", unsettled_ns=T0)
    assert said(facts, after_ns=30 * S - 1) == []
    assert [code for code, _ in said(facts, after_ns=30 * S)] == ["media-undetermined"]
    facts = MediaFacts(ALICE, BOB, (), "clear", "not-observed", True, expected_ns=T0)
    assert said(facts, after_ns=30 * S - 1) == []
    assert [code for code, _ in said(facts, after_ns=30 * S)] == ["media-not-observed"]


def test_recording_in_clear_is_claimed_beside() -> None:
    assert codes(clear()._replace(recording=True)) == ["media-clear", "recording-clear"]


def test_half_protected_call_names_both_sides_and_what_joins_them() -> None:
    safe = SAFE._replace(a="10.0.0.8", b="10.0.0.3")
    (claim,) = rules.half_protected(clear(), safe, "joined by Session-ID", VOICE, POLICY)
    assert (claim.code, claim.severity, claim.subject) == ("media-half-protected", "critical", LEG)
    assert claim.evidence == (
        "joined by Session-ID: between 10.0.0.8 and 10.0.0.3 media is encrypted (proved), "
        f"between 10.0.0.1 and 10.0.0.2 it is in clear: {EVIDENCE}"
    )
    assert rules.half_protected(clear(), safe, "joined by Session-ID", NOTHING, POLICY) == []


def test_key_chosen_twice_names_the_other_call_s_hosts() -> None:
    (claim,) = rules.key_reuse(SAFE, ("10.0.0.3", "10.0.0.4"), VOICE, POLICY)
    assert (claim.code, claim.evidence) == (
        "srtp-key-reuse",
        "the SDES key of 10.0.0.1 and 10.0.0.2 was chosen for a call between 10.0.0.3 and 10.0.0.4 too",
    )


def test_evidence_says_what_was_not_seen_between_its_packets() -> None:
    assert "not seen" not in rules.media_evidence(VERDICT)
    assert "in 3 packets (0.04 s), 7 between them not seen: " in rules.media_evidence(replace(VERDICT, missing=7))


@pytest.mark.parametrize(
    ("wanted", "signalled", "profile", "said_of_it"),
    [
        (("dtls",), "srtp-sdes", 0, "the keys were exchanged by SDES; the policy wants DTLS"),
        (("zrtp", "sdes"), "unknown", 7, "the keys were exchanged by DTLS; the policy wants ZRTP or SDES"),
        (("sdes",), "srtp-sdes", 0, None),
        (("dtls",), "unknown", 7, None),
        (("dtls",), "unknown", 0, None),  # how is not known
        ((), "srtp-sdes", 0, None),
    ],
)
def test_keys_exchanged_in_another_way_than_the_policy_wants_are_weak(
    wanted: tuple[KeyExchangeKind, ...], signalled: Signalled, profile: int, said_of_it: str | None
) -> None:
    facts = SAFE._replace(signalled=signalled, profile=profile)
    expected = [] if said_of_it is None else [("media-weak-srtp", said_of_it)]
    assert said(facts, Policy(key_exchange=wanted)) == expected
