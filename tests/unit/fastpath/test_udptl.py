"""Facsimile by UDPTL, where signalling in clear describes it (ITU-T T.38 section 9.1, RFC 3362)."""

import random
import struct
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deploy.demo.wire import MS, SECOND
from fastpath.records import AppSeen, FlowEnded
from tests.packets import T0, A, B, End, Outcome, Packet, ciphertext, ethernet, observe, speech, stream, udp

PHONE, PROXY = End("192.0.2.10", 5060), End("203.0.113.1", 5060)
NO_SIGNAL, CNG, V21 = b"\x00", b"\x02", b"\x06"  # indicators
HDLC = b"\xc0\x01\x80\x00\x00\xff"  # v21 data with one field


def length(octets: int) -> bytes:
    """A length determinant (ITU-T X.691 section 10.9)."""
    return bytes([octets]) if octets < 128 else struct.pack(">H", 0x8000 | octets)


def typed(octets: bytes) -> bytes:
    """An open type."""
    return length(len(octets)) + octets


def udptl(sequence: int, primary: bytes = HDLC, *, secondary: Sequence[bytes] = (), fec: Sequence[bytes] = ()) -> bytes:
    """A UDPTL packet, with earlier IFP packets or parity behind its own."""
    if fec:
        recovery = b"\x80\x01\x03" + length(len(fec)) + b"".join(map(typed, fec))
    else:
        recovery = b"\x00" + length(len(secondary)) + b"".join(map(typed, secondary))
    return struct.pack(">H", sequence & 0xFFFF) + typed(primary) + recovery


def described(profile: str = "udptl", end: End = B, *, port: int | None = None, ts_ns: int = T0 - SECOND) -> Packet:
    """The frame of a description that wants facsimile at an end."""
    body = (
        f"v=0\r\no=- 1 1 IN IP4 {end.ip}\r\ns=-\r\nc=IN IP4 {end.ip}\r\nt=0 0\r\n"
        f"m=image {end.port if port is None else port} {profile} t38\r\na=T38FaxVersion:0\r\n"
    )
    head = (
        "INVITE sip:b@example.com SIP/2.0\r\nFrom: <sip:a@example.com>;tag=1\r\nTo: <sip:b@example.com>\r\n"
        "Call-ID: 1@example.com\r\nCSeq: 1 INVITE\r\nContent-Type: application/sdp\r\n"
    )
    return ts_ns, ethernet(udp(f"{head}Content-Length: {len(body)}\r\n\r\n{body}".encode(), PHONE, PROXY))


def sent(*datagrams: bytes, src: End = A, dst: End = B, start_ns: int = T0) -> list[Packet]:
    return [(start_ns + 20 * MS * n, ethernet(udp(octets, src, dst))) for n, octets in enumerate(datagrams)]


def fax(outcome: Outcome) -> list[int]:
    """When facsimile was said, in milliseconds."""
    return [(seen.ts_ns - T0) // MS for seen in outcome.of(AppSeen) if seen.app == "t38"]


def flow(outcome: Outcome) -> FlowEnded:
    """The only flow that is no signalling."""
    (only,) = [ended for ended in outcome.of(FlowEnded) if ended.app != "sip"]
    return only


CALL = [udptl(0, CNG), udptl(1, V21), udptl(2, secondary=[V21, CNG]), udptl(3, fec=[HDLC, b"\x01\x02"])]


def test_facsimile_is_said_at_its_second_packet_and_is_clear() -> None:
    outcome = observe([described(), *sent(*CALL)])
    assert fax(outcome) == [20]
    ended = flow(outcome)
    assert (ended.app, ended.protection, ended.grade, ended.basis) == ("t38", "clear", None, ("payload-structure",))


@pytest.mark.parametrize("profile", ["udptl", "UDPTL", "Udptl"])
def test_profile_is_compared_without_regard_to_case(profile: str) -> None:
    assert fax(observe([described(profile), *sent(*CALL)])) == [20]


@pytest.mark.parametrize("profile", ["UDP/TLS/UDPTL", "TCP", "RTP/AVP", "udptlx", "udpt"])
def test_other_profile_expects_no_facsimile(profile: str) -> None:
    assert fax(observe([described(profile), *sent(*CALL)])) == []


def test_facsimile_from_the_end_that_was_described_is_said() -> None:
    assert fax(observe([described(), *sent(*CALL, src=B, dst=A)])) == [20]


def test_facsimile_at_other_ends_is_not_said() -> None:
    for other in (End(B.ip, B.port + 1), End("198.51.100.21", B.port)):
        assert fax(observe([described(), *sent(*CALL, dst=other)])) == []
    assert fax(observe(sent(*CALL))) == []


def test_refused_section_expects_no_facsimile() -> None:
    assert fax(observe([described(port=0), *sent(*CALL)])) == []


def test_later_description_of_speech_ends_the_expectation() -> None:
    speech_again = described("RTP/AVP", ts_ns=T0 - MS)
    frame = (
        speech_again[1]
        .replace(b"m=image", b"m=audio")
        .replace(b" t38\r\n", b" 120\r\n")
        .replace(b"a=T38FaxVersion:0\r\n", b"a=rtpmap:120 a/8000")
    )
    outcome = observe([described(), (T0 - MS, frame), *sent(*CALL)])
    assert fax(outcome) == []


def test_speech_that_goes_on_as_facsimile_is_both() -> None:
    media = stream(speech(30))
    outcome = observe([*media, described(ts_ns=T0 + 610 * MS), *sent(*CALL, start_ns=T0 + 700 * MS)])
    assert [seen.app for seen in outcome.of(AppSeen)] == ["rtp", "sip", "t38"]
    assert (flow(outcome).app, flow(outcome).protection) == ("rtp", "clear")


def test_encrypted_speech_that_goes_on_as_facsimile_says_so() -> None:
    media = stream(ciphertext(30))
    outcome = observe([*media, described(ts_ns=T0 + 610 * MS), *sent(*CALL, start_ns=T0 + 700 * MS)])
    assert fax(outcome) == [720]
    assert flow(outcome).protection == "encrypted"


def test_facsimile_is_said_once_for_a_flow() -> None:
    packets = sent(*(udptl(number) for number in range(200))) + sent(*CALL, src=B, dst=A, start_ns=T0 + SECOND)
    assert fax(observe([described(), *sorted(packets)])) == [20]


def test_indicator_that_is_sent_again_is_not_the_next_packet() -> None:
    assert fax(observe([described(), *sent(*[udptl(0, CNG)] * 5)])) == []
    assert fax(observe([described(), *sent(*[udptl(0, CNG)] * 3, udptl(1))])) == [60]


@pytest.mark.parametrize(
    ("numbers", "found"),
    [
        ([5, 6], True),
        ([5, 21], True),
        ([5, 22], False),
        ([6, 5], False),
        ([65535, 65536], True),
        ([0x8000, 0x8001], False),
    ],
)
def test_packets_must_follow_each_other(numbers: list[int], found: bool) -> None:
    """The first octet of the last pair is one of RTP (RFC 7983): it is taken for that."""
    assert bool(fax(observe([described(), *sent(*map(udptl, numbers))]))) == found


@pytest.mark.parametrize(
    "packet",
    [
        pytest.param(udptl(1, secondary=[bytes([0xC0]) + bytes(200)] * 3), id="two-octet-lengths"),
        pytest.param(udptl(1, b"\x20\x40"), id="extended-indicator"),
        pytest.param(udptl(1, b"\x50"), id="data-without-fields"),
        pytest.param(udptl(1, NO_SIGNAL), id="no-signal"),
    ],
)
def test_packet_of_any_form_counts(packet: bytes) -> None:
    assert fax(observe([described(), *sent(udptl(0), packet)])) == [20]


@pytest.mark.parametrize(
    "packet",
    [
        pytest.param(udptl(1) + b"\0", id="one-octet-over"),
        pytest.param(udptl(1)[:-1], id="one-octet-short"),
        pytest.param(udptl(1, secondary=[V21])[:-2], id="secondary-missing"),
        pytest.param(struct.pack(">H", 1) + b"\0\0\0\0", id="empty-primary"),
        pytest.param(struct.pack(">H", 1) + b"\xc1" + HDLC + b"\0\0", id="fragmented-length"),
        pytest.param(udptl(1, b"\x03"), id="padding-set"),
        pytest.param(udptl(1, b"\x02\x00"), id="indicator-of-two-octets"),
        pytest.param(udptl(1, b"\x82"), id="indicator-with-fields"),
        pytest.param(udptl(1, b"\x52"), id="data-that-is-not-assigned"),
        pytest.param(udptl(1, b"\xc0"), id="fields-that-are-missing"),
        pytest.param(struct.pack(">H", 1) + typed(V21) + b"\x01\0", id="recovery-padding-set"),
        pytest.param(struct.pack(">H", 1) + typed(V21) + b"\x80\x02\0\3\0", id="span-of-two-octets"),
        pytest.param(struct.pack(">H", 1) + typed(V21) + b"\x80\x01\3", id="fec-cut"),
        pytest.param(udptl(1)[:5], id="short"),
    ],
)
def test_datagram_that_is_not_built_so_is_no_facsimile(packet: bytes) -> None:
    assert fax(observe([described(), *sent(udptl(0), packet, udptl(40))])) == []


def test_datagram_that_was_cut_is_no_facsimile() -> None:
    frames = [(ts, frame[:-1], len(frame)) for ts, frame, *_ in sent(*CALL)]
    assert fax(observe([described(), *frames])) == []


def test_random_datagrams_to_such_an_end_are_no_facsimile() -> None:
    rng = random.Random(1)
    datagrams = [rng.randbytes(rng.randrange(1, 60)) for _ in range(20000)]
    assert fax(observe([described(), *sent(*datagrams)])) == []


@settings(max_examples=300, deadline=None)
@given(st.lists(st.binary(min_size=1, max_size=40), max_size=30))
def test_whatever_comes_to_such_an_end_is_taken(datagrams: list[bytes]) -> None:
    outcome = observe([described(), *sent(*datagrams)])
    assert outcome.counters["classified"] == len(datagrams) + 1
