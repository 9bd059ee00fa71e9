"""What is believed to be RTP: two packets of one source in order, and nothing that only looks like it."""

from __future__ import annotations

import pytest

from sensor.evidence.headers import find_headers
from sensor.evidence.streams import MAX_DROPOUT, MAX_STREAMS, Streams
from tests.packets import A6, B6, ETHERNET, A, B, End, ethernet, rtp, tcp, udp


def continues(streams: Streams, payload: bytes, src: End = A, dst: End = B) -> bool:
    frame = ethernet(udp(payload, src, dst))
    found = find_headers(frame, ETHERNET)
    assert found is not None
    return streams.continues(frame, found)


@pytest.mark.parametrize(
    ("first", "second", "believed"),
    [
        (1, 2, True),
        (0xFFFF, 0, True),
        (1, 1 + MAX_DROPOUT, True),
        (1, 2 + MAX_DROPOUT, False),
        (1, 1, False),
        (2, 1, False),
    ],
)
def test_second_packet_in_order_is_believed(first: int, second: int, believed: bool) -> None:
    for ends in ((A, B), (A6, B6)):
        streams = Streams()
        assert not continues(streams, rtp(first, b"x"), *ends)
        assert continues(streams, rtp(second, b"x"), *ends) is believed


def test_packet_of_another_source_or_between_other_ends_is_not_believed() -> None:
    streams = Streams()
    assert not continues(streams, rtp(1, b"x"))
    assert not continues(streams, rtp(2, b"x", ssrc=7))
    assert not continues(streams, rtp(2, b"x"), B, A)
    assert not continues(streams, rtp(2, b"x"), A._replace(port=A.port + 2), B)
    assert continues(streams, rtp(2, b"x"))


def test_keys_of_iax2_on_another_port_are_not_believed() -> None:
    """Frame after frame the sequence numbers differ where RTP has its source, the call numbers never."""
    streams = Streams()
    for number in range(10):
        for again in (0, 0x80, 0x80):
            frame = bytes((0x80, 1, again, 2, 0, 0, 0, number, number, 1, 1, 0x30 + number))
            assert not continues(streams, frame)


def test_what_is_no_rtp_is_not_remembered() -> None:
    streams = Streams()
    for frame in (ethernet(udp(b"INVITE sip:")), ethernet(tcp(rtp(1, b"x"))), ethernet(udp(b""))):
        found = find_headers(frame, ETHERNET)
        assert found is not None
        assert not streams.continues(frame, found)
    assert not streams._latest


def test_stream_beyond_the_bound_takes_the_place_of_the_one_not_heard_for_longest() -> None:
    streams = Streams()
    for ssrc in range(MAX_STREAMS):
        continues(streams, rtp(1, b"x", ssrc=ssrc))
    assert continues(streams, rtp(2, b"x", ssrc=0))
    continues(streams, rtp(1, b"x", ssrc=MAX_STREAMS))
    assert len(streams._latest) == MAX_STREAMS
    assert continues(streams, rtp(3, b"x", ssrc=0))
    assert not continues(streams, rtp(2, b"x", ssrc=1))
