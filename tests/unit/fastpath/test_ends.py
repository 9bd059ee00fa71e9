"""What is said of the two ends of a flow, and of the packet behind a verdict."""

import struct

import pytest

from deploy.demo.wire import MS
from fastpath.records import AppSeen, Verdict
from tests.packets import (
    NULL,
    PCMU_STEP,
    RAW,
    SLL,
    SLL2,
    T0,
    A,
    B,
    Packet,
    ciphertext,
    ethernet,
    observe,
    rtp,
    speech,
    stream,
    tcp,
    udp,
)

SENDER, RECEIVER = "02:00:00:00:00:01", "02:00:00:00:00:02"  # of every frame that packets.ethernet makes
OPTIONS = b"OPTIONS sip:b@example.org SIP/2.0\r\nCall-ID: x\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n"


def macs(packets: list[Packet]) -> list[tuple[str, str]]:
    """The addresses of a and b in each record of what a flow carries."""
    return [seen.macs for seen in observe(packets).of(AppSeen)]


def test_app_is_said_with_the_addresses_of_its_packet() -> None:
    assert macs(stream(speech(4))) == [(SENDER, RECEIVER)]


def test_addresses_are_those_of_a_and_b_whoever_sent_the_packet_that_showed_the_app() -> None:
    unknown = (T0, ethernet(udp(b"\0", A, B)))
    assert macs([unknown, *stream(speech(4), src=B, dst=A, start_ns=T0 + MS)]) == [(RECEIVER, SENDER)]
    unknown = (T0, ethernet(udp(b"\0", B, A)))
    assert macs([unknown, *stream(speech(4), start_ns=T0 + MS)]) == [(RECEIVER, SENDER)]


def test_addresses_stand_before_vlan_tags() -> None:
    packets: list[Packet] = [(ts, ethernet(frame[14:], (0x8100, 7))) for ts, frame, *_ in stream(speech(4))]
    assert macs(packets) == [(SENDER, RECEIVER)]


@pytest.mark.parametrize(
    ("linktype", "header"),
    [
        (RAW, b""),
        (NULL, struct.pack("=I", 2)),
        (SLL, struct.pack(">HHH8sH", 0, 1, 6, bytes(8), 0x0800)),
        (SLL2, struct.pack(">HHIHBB8s", 0x0800, 0, 1, 1, 0, 6, bytes(8))),
    ],
)
def test_no_address_where_the_link_layer_has_none(linktype: int, header: bytes) -> None:
    packets = [(ts, header + frame[14:]) for ts, frame, *_ in stream(speech(4))]
    assert macs([(ts, octets, len(octets), linktype) for ts, octets in packets]) == [("", "")]


def test_no_address_of_a_message_that_is_read_at_the_end() -> None:
    first, second = OPTIONS[:40], OPTIONS[40:].replace(b"0\r\n\r\n", b"9\r\n\r\n")
    packets = [(T0, ethernet(tcp(first, A, B))), (T0 + MS, ethernet(tcp(second, A, B, seq=41)))]
    other = stream(speech(4), start_ns=T0 + 2 * MS)
    found = [(seen.app, seen.macs) for seen in observe(packets + other).of(AppSeen)]
    assert found == [("rtp", (SENDER, RECEIVER)), ("sip", ("", ""))]


def test_verdict_names_the_packet_that_decided() -> None:
    (verdict,) = observe(stream(speech(20), first=65534)).of(Verdict)
    assert (verdict.packet, verdict.seq) == (3, 0)
    assert verdict.timestamp == (65536 * PCMU_STEP) & 0xFFFFFFFF


def test_verdict_names_the_packet_that_changed_it() -> None:
    media = [rtp(number, payload) for number, payload in enumerate(speech(100))]
    tail = [rtp(100 + number, payload) for number, payload in enumerate(ciphertext(200))]
    packets: list[Packet] = [(T0 + 20 * MS * n, ethernet(udp(octets))) for n, octets in enumerate(media + tail)]
    verdicts = observe(packets).of(Verdict)
    assert len(verdicts) > 1
    assert all(verdict.seq == verdict.packet - 1 for verdict in verdicts)
    assert all(verdict.timestamp == verdict.seq * PCMU_STEP for verdict in verdicts)
