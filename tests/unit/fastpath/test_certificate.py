"""Certificates of DTLS handshakes: said once for each side, however their messages are cut (RFC 6347 section 4.2.3)."""

import random
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deploy.demo.wire import MS
from fastpath.records import Certificate
from tests.packets import T0, A, B, End, Outcome, Packet, ethernet, observe, udp

SERVER_HELLO = b"\xfe\xfd" + bytes(32) + b"\0\xc0\x2b\0"  # no extensions
SRTP_HELLO = SERVER_HELLO + struct.pack(">HHHHHB", 9, 14, 5, 2, 1, 0)  # use_srtp, SRTP_AES128_CM_HMAC_SHA1_80
Piece = tuple[int, int]  # octets [start, end) of a message


def certificate(octets: int = 700, *, seed: int = 1) -> bytes:
    """A SEQUENCE with a length of two octets, as all certificates are; what is in it is for others to read."""
    return b"\x30\x82" + struct.pack(">H", octets - 4) + random.Random(seed).randbytes(octets - 4)


def u24(value: int) -> bytes:
    return value.to_bytes(3)


def listed(*entries: bytes) -> bytes:
    """The body of a Certificate message (RFC 5246 section 7.4.2)."""
    body = b"".join(u24(len(entry)) + entry for entry in entries)
    return u24(len(body)) + body


def fragment(body: bytes, piece: Piece | None = None, *, kind: int = 11, sequence: int = 2, total: int = -1) -> bytes:
    """A handshake message, or a piece of one, in a record of its own."""
    start, end = piece or (0, len(body))
    head = bytes([kind]) + u24(len(body) if total < 0 else total) + struct.pack(">H", sequence)
    content = head + u24(start) + u24(end - start) + body[start:end]
    return record(content)


def record(content: bytes, *, kind: int = 22, epoch: int = 0) -> bytes:
    """A DTLS 1.2 record (RFC 6347 section 4.1)."""
    return struct.pack(">BHHHIH", kind, 0xFEFD, epoch, 0, 0, len(content)) + content


def said(*datagrams: bytes, src: End = A, dst: End = B, **options: int) -> list[bytes]:
    """The certificates that are said of these datagrams."""
    return [each.der for each in heard(sent(*datagrams, src=src, dst=dst), **options).of(Certificate)]


def sent(*datagrams: bytes, src: End = A, dst: End = B, start_ns: int = T0) -> list[Packet]:
    return [(start_ns + MS * n, ethernet(udp(octets, src, dst))) for n, octets in enumerate(datagrams)]


def heard(packets: list[Packet], **options: int) -> Outcome:
    return observe(packets, **options)


def pieces(body: bytes, octets: int) -> list[Piece]:
    return [(at, min(at + octets, len(body))) for at in range(0, len(body), octets)]


DER = certificate()
BODY = listed(DER, certificate(900, seed=2))


def test_certificate_is_said_with_its_side() -> None:
    packets = sent(fragment(BODY)) + sent(fragment(listed(certificate(seed=3))), src=B, dst=A, start_ns=T0 + MS)
    outcome = heard(packets)
    assert [(each.from_a, each.der) for each in outcome.of(Certificate)] == [(True, DER), (False, certificate(seed=3))]
    assert {(each.flow, each.key) for each in outcome.of(Certificate)} == {(outcome.flow.flow, outcome.flow.key)}


def test_certificate_is_said_once_for_each_side() -> None:
    assert said(*[fragment(BODY)] * 3, fragment(listed(certificate(seed=9)), sequence=7)) == [DER]


@pytest.mark.parametrize("octets", [1, 2, 5, 6, 7, 100, 699, 700, 706, 1500])
@pytest.mark.parametrize("order", ["sent", "reversed"])
def test_message_in_fragments_says_what_it_says_whole(octets: int, order: str) -> None:
    cut = [fragment(BODY, piece) for piece in pieces(BODY, octets)]
    if order == "reversed":
        cut.reverse()
    assert said(*cut) == [DER]


def test_fragments_in_one_record_and_records_in_one_datagram_are_read() -> None:
    first, second, third = (fragment(BODY, piece) for piece in pieces(BODY, 700))
    assert said(record(first[13:] + second[13:]) + third) == [DER]
    assert said(fragment(SERVER_HELLO, kind=2, sequence=1) + fragment(BODY)) == [DER]


def test_first_entry_is_enough() -> None:
    assert said(*(fragment(BODY, piece) for piece in pieces(BODY, 6 + len(DER))[:1])) == [DER]


def test_first_copy_of_an_octet_counts() -> None:
    other = listed(certificate(seed=5), bytes(900))
    assert said(fragment(BODY, (0, 400)), fragment(other, (0, 500)), fragment(BODY, (450, 706))) == [
        DER[:394] + other[400:500] + DER[494:]
    ]


def test_fragment_of_another_message_does_not_mix() -> None:
    other = listed(certificate(seed=5))
    assert said(fragment(BODY, (0, 400)), fragment(other, (400, 706), sequence=9), fragment(BODY, (400, 706))) == [DER]


def test_message_that_begins_anew_takes_the_place_of_one_that_did_not_end() -> None:
    other = listed(certificate(seed=5))
    assert said(fragment(BODY, (0, 400)), fragment(other, (0, 300)), fragment(other, (300, 706))) == [
        certificate(seed=5)
    ]


def test_flight_that_is_sent_again_after_its_protected_end_is_read() -> None:
    finished = record(bytes(40), epoch=1)
    hello = fragment(SRTP_HELLO, kind=2, sequence=1)
    head, tail = fragment(BODY, (0, 400)), fragment(BODY, (400, 706))
    outcome = heard(sent(hello, head, finished, finished, tail))
    assert [each.der for each in outcome.of(Certificate)] == [DER]
    assert outcome.flow.key_exchange == "dtls"


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(listed(), id="empty-list"),
        pytest.param(listed(b""), id="empty-entry"),
        pytest.param(listed(bytes(700)), id="no-sequence"),
        pytest.param(listed(DER[:-1]), id="shorter-than-its-der"),
        pytest.param(listed(DER + b"\0"), id="longer-than-its-der"),
        pytest.param(u24(2000) + u24(len(DER)) + DER, id="list-longer-than-message"),
        pytest.param(u24(3 + len(DER)) + u24(len(DER) + 1) + DER, id="entry-longer-than-list"),
        pytest.param(u24(len(DER)) + DER, id="raw-public-key"),
        pytest.param(listed(certificate(16385)), id="over-the-cap"),
        pytest.param(b"\0" * 5, id="shorter-than-its-lengths"),
    ],
)
def test_message_without_a_certificate_says_none(body: bytes) -> None:
    assert said(*(fragment(body, piece) for piece in pieces(body, 16000))) == []
    assert said(*(fragment(body, piece) for piece in pieces(body, 300))) == []


def test_message_that_lies_is_counted_and_the_next_is_read() -> None:
    outcome = heard(sent(fragment(listed(bytes(700))), fragment(BODY, sequence=3)))
    assert [each.der for each in outcome.of(Certificate)] == [DER]
    assert outcome.after["certificates_unreadable"] == 1


def test_certificate_of_the_greatest_size_is_read_and_what_is_behind_it_is_not_kept() -> None:
    der = certificate(16384)
    body = listed(der, bytes(60000))
    outcome = heard(sent(*(fragment(body, piece) for piece in reversed(pieces(body, 1200)))))
    assert [each.der for each in outcome.of(Certificate)] == [der]


def test_fragments_that_never_meet_hold_a_bounded_room() -> None:
    body = listed(certificate(16384))
    outcome = heard(sent(*(fragment(body, (at, at + 1)) for at in range(1, 16384, 2))))
    assert outcome.of(Certificate) == []
    assert 0 < outcome.counters["reassembly_bytes"] < 1 << 14
    assert outcome.after["reassembly_bytes"] == 0
    assert outcome.after["certificates_lost"] == 8192 - 16


def test_fragments_of_all_flows_share_what_reassembly_may_hold() -> None:
    body = listed(certificate(16384))
    packets: list[Packet] = []
    for port in range(1000, 1100):
        packets += sent(fragment(body, (16000, 16001)), src=End(A.ip, port), start_ns=T0 + MS * port)
    outcome = heard(packets, stream_bytes=1 << 19)
    assert outcome.counters["reassembly_bytes"] <= 1 << 19
    assert outcome.after["certificates_lost"] + outcome.after["conversations_evicted"] > 60


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_fragments_cut_anywhere_in_any_order_say_the_certificate(data: st.DataObject) -> None:
    content = random.Random(1).randbytes(data.draw(st.integers(2, 400)))
    octets = len(content)
    length = (
        bytes([octets])
        if octets < 128
        else b"\x81" + bytes([octets])
        if octets < 256
        else b"\x82\1" + bytes([octets - 256])
    )
    der = b"\x30" + length + content
    body = listed(der, *data.draw(st.lists(st.binary(min_size=1, max_size=50), max_size=2)))
    cuts = sorted(data.draw(st.sets(st.integers(1, len(body) - 1), max_size=12)))
    spans = list(zip([0, *cuts], [*cuts, len(body)], strict=True))
    again = data.draw(st.lists(st.sampled_from(spans), max_size=5))
    wide = [(max(0, start - 9), min(len(body), end + 9)) for start, end in again]
    order = data.draw(st.permutations(spans + again + wide))
    assert said(*(fragment(body, piece) for piece in order)) == [der]


@settings(max_examples=300, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.integers(0, 1 << 15),
            st.integers(0, 1200),
            st.integers(0, 2),
            st.sampled_from([50, 706, 1609, 1 << 15, (1 << 24) - 1]),
            st.binary(max_size=8),
        ),
        max_size=40,
    )
)
def test_whatever_fragments_claim_room_is_bounded_and_given_back(
    claims: list[tuple[int, int, int, int, bytes]],
) -> None:
    datagrams = []
    for start, octets, sequence, total, head in claims:
        body = (head + bytes(octets))[:octets]
        content = b"\x0b" + u24(total) + struct.pack(">H", sequence) + u24(start) + u24(octets) + body
        datagrams.append(record(content))
    outcome = heard(sent(*datagrams))
    assert outcome.counters["reassembly_bytes"] < 1 << 17
    assert outcome.after["reassembly_bytes"] == 0
