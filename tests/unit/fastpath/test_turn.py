"""Media in other frames: TURN over UDP and TCP, RTP over TCP (RFC 8656, RFC 4571, RFC 7826)."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy.demo.wire import MS
from fastpath.records import FlowEnded
from tests.packets import T0, End, Outcome, Packet, ciphertext, ethernet, observe, rtp, speech, tcp, udp

PHONE, RELAY, PEER = End("192.0.2.10", 40000), End("198.51.100.20", 3478), End("203.0.113.9", 49170)
COOKIE = 0x2112A442
ALLOCATE, SEND, DATA = 0x0003, 0x0016, 0x0017
SPEECH = speech(100)


def stun(kind: int, *attributes: tuple[int, bytes]) -> bytes:
    body = b"".join(struct.pack(">HH", name, len(value)) + value + bytes(-len(value) % 4) for name, value in attributes)
    return struct.pack(">HHI12s", kind, len(body), COOKIE, b"transaction!") + body


def indication(payload: bytes, kind: int = DATA) -> bytes:
    return stun(kind, (0x0012, b"\0\1" + bytes(6)), (0x0013, payload))  # XOR-PEER-ADDRESS, DATA


def channel(payload: bytes, number: int = 0x4001) -> bytes:
    return struct.pack(">HH", number, len(payload)) + payload


def padded(payload: bytes) -> bytes:
    return channel(payload) + bytes(-len(payload) % 4)


def framed(payload: bytes) -> bytes:
    return len(payload).to_bytes(2) + payload


def interleaved(payload: bytes) -> bytes:
    return struct.pack(">sBH", b"$", 0, len(payload)) + payload


def voice(payloads: Sequence[bytes] = SPEECH) -> list[bytes]:
    return [rtp(1000 + n, payload) for n, payload in enumerate(payloads)]


def datagrams(*payloads: bytes, src: End = PHONE, dst: End = RELAY) -> list[Packet]:
    return [(T0 + 20 * MS * n, ethernet(udp(each, src, dst))) for n, each in enumerate(payloads)]


def segments(octets: bytes, size: int, src: End = PHONE, dst: End = RELAY) -> list[Packet]:
    return [
        (T0 + 5 * MS * n, ethernet(tcp(octets[at : at + size], src, dst, seq=7 + at)))
        for n, at in enumerate(range(0, len(octets), size))
    ]


def flow(outcome: Outcome) -> FlowEnded:
    (only,) = outcome.of(FlowEnded)
    return only


@pytest.mark.parametrize("wrap", [channel, padded, indication, lambda each: indication(each, SEND)])
@pytest.mark.parametrize(
    ("payloads", "protection"), [(SPEECH, "clear"), (ciphertext(100), "encrypted")], ids=["clear", "encrypted"]
)
def test_media_in_turn_over_udp_is_judged(
    wrap: Callable[[bytes], bytes], payloads: Sequence[bytes], protection: str
) -> None:
    found = flow(observe(datagrams(stun(ALLOCATE), *map(wrap, voice(payloads)))))
    assert (found.app, found.protection, found.encapsulation) == ("rtp", protection, ("turn",))
    assert (found.key.a, found.key.b, found.key.b_port) == (PHONE.ip, RELAY.ip, RELAY.port)
    assert [stream.packets for stream in found.streams] == [100]


def test_channel_on_the_port_of_turn_is_read_without_its_allocation() -> None:
    found = flow(observe(datagrams(*map(channel, voice()))))
    assert (found.app, found.protection, found.encapsulation) == ("rtp", "clear", ("turn",))


def test_channel_on_another_port_needs_a_stun_message_first() -> None:
    found = flow(observe(datagrams(*map(channel, voice()), dst=PEER)))
    assert (found.app, found.encapsulation) == ("other", ())


@pytest.mark.parametrize(
    "octets",
    [
        b"\x40\x01",
        b"\x40\x01\xff\xff" + bytes(40),
        b"\x40\x01\0\x10" + bytes(40),
        b"\x40\x01\0\0",
        b"\x40\x01\0\x04ABC",
    ],
    ids=["short", "longer-than-there-is", "padding-of-more-than-three", "empty", "one-octet-missing"],
)
def test_channel_data_that_lies_is_none(octets: bytes) -> None:
    found = flow(observe(datagrams(stun(ALLOCATE), octets, octets)))
    assert (found.app, found.streams) == ("turn", ())


@pytest.mark.parametrize("size", [60, 200, 1400, 8000])
@pytest.mark.parametrize("wrap", [padded, indication], ids=["channel", "indication"])
def test_media_in_turn_over_tcp_is_judged(wrap: Callable[[bytes], bytes], size: int) -> None:
    octets = stun(ALLOCATE) + b"".join(map(wrap, voice()))
    found = flow(observe(segments(octets, size)))
    assert (found.app, found.protection, found.encapsulation) == ("rtp", "clear", ("turn",))
    assert [stream.packets for stream in found.streams] == [100]


@pytest.mark.parametrize("wrap", [framed, interleaved], ids=["rfc4571", "rtsp"])
def test_rtp_over_tcp_is_judged(wrap: Callable[[bytes], bytes]) -> None:
    whole = [(T0 + 20 * MS * n, each) for n, each in enumerate(map(wrap, voice()))]
    packets: list[Packet] = []
    at = 0
    for ts_ns, octets in whole:
        packets.append((ts_ns, ethernet(tcp(octets, PHONE, PEER, seq=7 + at))))
        at += len(octets)
    found = flow(observe(packets))
    assert (found.app, found.protection, found.encapsulation) == ("rtp", "clear", ())
    assert [stream.packets for stream in found.streams] == [100]


def test_lost_segment_of_turn_costs_packets_and_no_more() -> None:
    packets = segments(stun(ALLOCATE) + b"".join(map(padded, voice(speech(300)))), 176)
    del packets[60]
    (stream,) = flow(observe(packets)).streams
    assert (stream.protection, stream.packets > 150) == ("clear", True)


def test_octets_that_could_be_frames_once_are_not_media() -> None:
    found = flow(observe(segments(framed(b"\x80" + bytes(40)) * 3, 43, dst=PEER)))
    assert (found.app, found.streams) == ("other", ())


def test_turn_in_turn_is_not_opened_again() -> None:
    nested = voice()[0]
    for _ in range(300):
        nested = channel(nested)
    assert flow(observe(datagrams(stun(ALLOCATE), nested))).app == "turn"


@given(st.lists(st.binary(max_size=400), max_size=20), st.integers(1, 100))
def test_any_octets_behind_an_allocation_do_no_harm(pieces: list[bytes], size: int) -> None:
    observe(datagrams(stun(ALLOCATE), *pieces))
    observe(segments(stun(ALLOCATE) + b"".join(pieces), size))
    observe(segments(framed(voice()[0]) + b"".join(pieces), size, dst=PEER))
