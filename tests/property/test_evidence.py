"""Evidence never has an octet of payload, however it is wrapped, wherever it is cut, and whatever it looks like."""

from __future__ import annotations

import struct
from typing import NamedTuple

import dpkt
from hypothesis import given
from hypothesis import strategies as st

from sensor.evidence.headers import RTP_OCTETS
from tests.canaries import SECRETS
from tests.packets import A6, B6, ETHERNET, RAW, A, B, frame, headers_only, ip

CANARIES = [secret.encode() for secret in SECRETS]
RTP_LIKE = st.builds(
    lambda first, second, rest: bytes((0x80 | first, second)) + rest,
    st.integers(0, 63),
    st.integers(0, 255),
    st.binary(max_size=64),
)
PAYLOADS = st.builds(
    lambda head, canary, tail: head + canary + tail,
    st.one_of(st.just(b""), st.binary(max_size=40), RTP_LIKE),
    st.sampled_from(CANARIES),
    st.binary(max_size=40),
)
TAGS = st.lists(st.tuples(st.sampled_from((0x8100, 0x88A8, 0x9100)), st.integers(0, 0xFFFF)), max_size=4)
EXTENSIONS = st.lists(st.tuples(st.sampled_from((0, 43, 60)), st.integers(0, 3)), max_size=8)


class Wrapped(NamedTuple):
    """A packet in some encapsulation."""

    octets: bytes
    linktype: int
    payload: int  # where it begins
    udp: bool


@st.composite
def wrapped(draw: st.DrawFn) -> Wrapped:
    payload, udp = draw(PAYLOADS), draw(st.booleans())
    if udp:
        segment: dpkt.Packet = dpkt.udp.UDP(sport=A.port, dport=B.port, ulen=8 + len(payload), data=payload)
    else:
        words = draw(st.integers(0, 10))
        segment = dpkt.tcp.TCP(sport=A.port, dport=B.port, off=5 + words, opts=b"\1" * 4 * words, data=payload)
    if draw(st.booleans()):
        packet = ip(segment, options=b"\1" * 4 * draw(st.integers(0, 10)))
    else:
        packet = extended(ip(segment, A6, B6), draw(EXTENSIONS))
    linktype = draw(st.sampled_from((ETHERNET, RAW)))
    if linktype == ETHERNET:
        packet = frame(0x0800 if packet[0] >> 4 == 4 else 0x86DD, packet, *draw(TAGS))
    return Wrapped(packet, linktype, len(packet) - len(payload), udp)


def extended(packet: bytes, extensions: list[tuple[int, int]]) -> bytes:
    """Return an IPv6 packet with extension headers: (protocol number, units of eight octets less one)."""
    kinds = [kind for kind, _ in extensions] + [packet[6]]
    between = b"".join(bytes((kinds[n + 1], units)) + bytes(6 + 8 * units) for n, (_, units) in enumerate(extensions))
    plen = struct.pack(">H", len(packet) - 40 + len(between))
    return packet[:4] + plen + bytes((kinds[0],)) + packet[7:40] + between + packet[40:]


def is_rtp(payload: bytes) -> bool:
    """Whether the first octets are a header of RTP and not of RTCP."""
    return len(payload) >= RTP_OCTETS and payload[0] >> 6 == 2 and payload[1] not in range(192, 224)


@given(wrapped(), st.binary(max_size=20))
def test_no_octet_of_payload_gets_through_wherever_the_frame_is_cut(made: Wrapped, padding: bytes) -> None:
    whole = made.octets + padding
    for cut in range(len(whole) + 1):
        kept = headers_only(whole[:cut], made.linktype)
        if cut < made.payload:
            assert kept is None
        else:
            rtp = made.udp and is_rtp(made.octets[made.payload : cut])
            assert kept == made.octets[: made.payload + RTP_OCTETS * rtp]


@given(st.binary(max_size=300), st.sampled_from((ETHERNET, RAW, 0, 113)))
def test_any_octets_give_a_beginning_of_themselves_or_nothing(octets: bytes, linktype: int) -> None:
    kept = headers_only(octets, linktype)
    assert kept is None or octets.startswith(kept)


@given(wrapped(), st.lists(st.tuples(st.integers(0, 120), st.integers(0, 255)), max_size=8))
def test_damaged_headers_give_a_beginning_of_the_frame_or_nothing(made: Wrapped, damage: list[tuple[int, int]]) -> None:
    octets = bytearray(made.octets)
    for at, value in damage:
        octets[at % len(octets)] = value
    kept = headers_only(bytes(octets), made.linktype)
    assert kept is None or bytes(octets).startswith(kept)
