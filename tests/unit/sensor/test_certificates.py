"""Certificates of DTLS held against the fingerprints of the SDP (RFC 8122 section 5)."""

from __future__ import annotations

import hashlib

import pytest

from fastpath.records import Certificate, Record
from sensor.calls.certificates import unannounced
from tests.unit.sensor.test_analysis import Sensor
from tests.unit.sensor.traffic import (
    ALICE,
    BOB,
    T0,
    Message,
    S,
    line,
    media_key,
    seen,
    sip,
    verdict,
)

MINE, THEIRS, OTHER = b"my certificate", b"their certificate", b"somebody's"
DTLS = "UDP/TLS/RTP/SAVPF"


def announced(der: bytes, name: str = "sha-256") -> str:
    digest = hashlib.new(name.replace("-", "") if name != "md5" else name, der).digest()
    return f"{name} {digest.hex(':').upper()}"


@pytest.mark.parametrize("name", ["md5", "sha-1", "sha-224", "sha-256", "sha-384", "sha-512"])
def test_certificate_that_was_announced_is_known_by_any_hash(name: str) -> None:
    assert unannounced([MINE], [announced(MINE, name)]) is None


def test_one_of_several_fingerprints_is_enough() -> None:
    assert unannounced([MINE, THEIRS], [announced(OTHER), announced(MINE, "sha-1"), announced(THEIRS)]) is None


def test_certificate_that_was_not_announced_is_named_by_its_fingerprint() -> None:
    assert unannounced([MINE, OTHER], [announced(MINE), announced(THEIRS)]) == announced(OTHER)


def test_of_hashes_that_are_not_known_nothing_is_said() -> None:
    assert unannounced([OTHER], ["sha3-256 AB:CD"]) is None
    assert unannounced([OTHER], []) is None


def call() -> tuple[Message, Message]:
    offer = (line(ALICE, 16384, DTLS, f"fingerprint:{announced(MINE).replace('SHA', 'sha')}"),)
    answer = (line(BOB, 16390, DTLS, f"fingerprint:{announced(THEIRS, 'sha-1').lower()}"),)
    return sip("INVITE", offer, tags=("alice", "")), sip("200 INVITE", answer, source=BOB, target=ALICE)


def shown(der: bytes, *, from_a: bool = False) -> Certificate:
    return Certificate(7, T0 + S // 2, media_key(), from_a, der)


def mismatches(*records: Message | Record) -> list[str]:
    sensor = Sensor()
    sensor.hear(*records)
    return [each.evidence[0] for each in sensor.heard.findings if each.code == "dtls-fingerprint-mismatch"]


@pytest.mark.parametrize("late", [False, True], ids=["before-the-answer", "after-it"])
def test_certificates_that_were_announced_open_nothing(late: bool) -> None:
    invite, answer = call()
    showing: list[Message | Record] = [seen("dtls"), shown(MINE, from_a=True), shown(THEIRS)]
    said: list[Message | Record] = [invite, *showing, answer] if late else [invite, answer, *showing]
    assert mismatches(*said, seen("rtp"), verdict("encrypted")) == []


@pytest.mark.parametrize("late", [False, True], ids=["before-the-answer", "after-it"])
def test_certificate_of_somebody_else_is_a_mismatch_whenever_the_answer_comes(late: bool) -> None:
    invite, answer = call()
    showing: list[Message | Record] = [seen("dtls"), shown(MINE, from_a=True), shown(OTHER)]
    said: list[Message | Record] = [invite, *showing, answer] if late else [invite, answer, *showing]
    (evidence,) = mismatches(*said, seen("rtp"), verdict("encrypted"))
    assert evidence == f"the certificate on the wire has {announced(OTHER)}, which the SDP did not announce"


def test_certificate_without_signalling_in_clear_is_nobody_s_business() -> None:
    assert mismatches(seen("dtls"), shown(OTHER), seen("rtp"), verdict("encrypted")) == []
