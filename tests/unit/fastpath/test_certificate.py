"""Certificates of DTLS handshakes, in any fragments (RFC 6347 section 4.2.3)."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy.demo.wire import MS
from fastpath.records import Certificate
from fastpath.source import PcapFile
from tests.canaries import CLINIC
from tests.packets import T0, A, B, End, Outcome, ethernet, finish, new_engine, observe, udp

DER = random.Random(1).randbytes(700)
CHAIN = len(DER).to_bytes(3) + DER + (3).to_bytes(3) + b"abc"
MESSAGE = len(CHAIN).to_bytes(3) + CHAIN


def handshake(kind: int, body: bytes, begin: int = 0, end: int | None = None, *, total: int | None = None) -> bytes:
    """Return a fragment of a handshake message."""
    part = body[begin:end]
    length = len(body) if total is None else total
    return bytes([kind]) + length.to_bytes(3) + b"\0\1" + begin.to_bytes(3) + len(part).to_bytes(3) + part


def record(content: bytes, *, kind: int = 22, epoch: int = 0) -> bytes:
    return bytes([kind]) + b"\xfe\xfd" + epoch.to_bytes(2) + bytes(6) + len(content).to_bytes(2) + content


HELLO = record(handshake(1, b"\xfe\xfd" + bytes(32) + b"\0\0\0\2\xc0\x2b\1\0"))


def shown(*datagrams: bytes, source: End = A, target: End = B) -> Outcome:
    return observe(
        [(T0 + i * MS, ethernet(udp(datagram, source, target))) for i, datagram in enumerate((HELLO, *datagrams))]
    )


def certificates(outcome: Outcome) -> list[bytes]:
    return [each.der for each in outcome.records if isinstance(each, Certificate)]


def test_first_certificate_of_the_list_is_said_once() -> None:
    datagram = record(handshake(11, MESSAGE))
    assert certificates(shown(datagram, datagram)) == [DER]


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 0, 0, 2), (1, 2, 1, 0)])
def test_fragments_in_any_order_and_again_are_put_together(order: tuple[int, ...]) -> None:
    parts = [handshake(11, MESSAGE, begin, begin + 300) for begin in (0, 300, 600)]
    assert certificates(shown(*(record(parts[i]) for i in order))) == [DER]


def test_fragments_cut_otherwise_when_sent_again_are_put_together() -> None:
    parts = [(0, 400), (200, 650), (600, len(MESSAGE))]
    assert certificates(shown(*(record(handshake(11, MESSAGE, *part)) for part in parts))) == [DER]


def test_first_copy_of_an_octet_counts() -> None:
    other = bytes(len(MESSAGE))
    parts = [handshake(11, MESSAGE, 0, 300), handshake(11, other, 0, 300), handshake(11, MESSAGE, 300)]
    assert certificates(shown(*map(record, parts))) == [DER]


def test_several_messages_and_records_in_a_datagram_are_looked_through() -> None:
    datagram = record(handshake(2, b"\xfe\xfd" + bytes(36)) + handshake(11, MESSAGE, 0, 100)) + record(
        handshake(11, MESSAGE, 100) + handshake(14, b"")
    )
    assert certificates(shown(datagram)) == [DER]


@pytest.mark.parametrize(
    "content",
    [
        handshake(11, MESSAGE, total=20_000),  # longer than is kept
        handshake(11, MESSAGE, total=len(MESSAGE) + 1),  # never whole
        handshake(11, MESSAGE)[:11] + b"\xff" + MESSAGE,  # a fragment beyond its message
        handshake(11, (9999).to_bytes(3) + (9998).to_bytes(3) + DER),  # a certificate beyond its list
        handshake(11, (0).to_bytes(3)),  # none: the client has no certificate (RFC 5246 section 7.4.6)
        handshake(11, MESSAGE)[:10],
    ],
)
def test_what_is_no_certificate_says_nothing_and_keeps_no_memory(content: bytes) -> None:
    assert certificates(shown(record(content))) == []


def test_encrypted_handshake_shows_none() -> None:
    assert certificates(shown(record(handshake(11, MESSAGE), epoch=1))) == []


def test_both_sides_of_a_real_handshake_show_theirs() -> None:
    engine, source = new_engine(), PcapFile(str(CLINIC))
    said = []
    while engine.process(source) > 0:
        said += engine.drain()
    both = [each for each in (*said, *finish(engine)) if isinstance(each, Certificate)]
    assert {each.from_a for each in both} == {True, False}
    assert all(each.der[:1] == b"\x30" for each in both)


@given(st.lists(st.binary(max_size=90), max_size=8), st.integers(0, 2**32))
def test_any_octets_in_handshake_records_do_no_harm(parts: list[bytes], seed: int) -> None:
    rng = random.Random(seed)
    shown(*(record(bytes([11]) + (rng.randrange(60)).to_bytes(3) + part) for part in parts))
