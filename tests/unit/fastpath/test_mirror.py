"""How well the mirror shows the network: what it gives twice, in one direction only, cut, or not at all."""

from __future__ import annotations

import pytest

from deploy.demo.wire import MS, SECOND
from fastpath.records import FlowEnded, SipMessage, StreamStats
from tests.packets import A6, B6, T0, A, B, End, Outcome, Packet, ethernet, observe, rtp, speech, stream, tcp, udp

OPTIONS = b"OPTIONS sip:b@example.com SIP/2.0\r\ni: 1\r\nCSeq: 1 OPTIONS\r\n\r\n"
TAGGED = (0x8100, 20)


def counted(packets: list[Packet]) -> dict[str, int]:
    return dict(observe(packets).counters)


@pytest.mark.parametrize(
    "frame",
    [
        ethernet(udp(OPTIONS)),
        ethernet(udp(OPTIONS, A6, B6)),
        ethernet(udp(b"\r\n")),
        ethernet(tcp(OPTIONS)),
        ethernet(tcp(b"")),
    ],
)
def test_packet_that_the_mirror_gives_twice_is_counted_and_seen_once(frame: bytes) -> None:
    outcome = observe([(T0, frame), (T0 + 5 * MS, frame)])
    assert (outcome.counters["duplicates"], outcome.counters["classified"], outcome.flow.packets) == (1, 2, 1)
    assert len(outcome.of(SipMessage)) == (OPTIONS in frame)


def test_packet_on_both_sides_of_a_router_is_one() -> None:
    frame = bytearray(ethernet(udp(OPTIONS)))
    routed = bytearray(frame)
    routed[:12] = bytes(range(12))
    routed[22] -= 1  # time to live, and the header's checksum with it
    routed[24:26] = b"\0\0"
    assert counted([(T0, bytes(frame)), (T0 + MS, bytes(routed))])["duplicates"] == 1


def test_packet_sent_again_later_or_by_itself_is_no_duplicate() -> None:
    frame = ethernet(udp(OPTIONS))
    assert counted([(T0, frame), (T0 + 500 * MS, frame)])["duplicates"] == 0
    assert counted([(T0, frame), (T0 + MS, ethernet(udp(OPTIONS)))])["duplicates"] == 0  # another identifier
    assert counted([(T0, ethernet(tcp(OPTIONS, seq=1))), (T0, ethernet(tcp(OPTIONS, seq=9)))])["duplicates"] == 0


def test_datagrams_without_identifier_and_checksum_are_told_apart_by_all_they_hold() -> None:
    def frame(call: bytes) -> bytes:
        octets = bytearray(ethernet(udp(OPTIONS.replace(b"i: 1", b"i: " + call))))
        octets[18:20] = octets[40:42] = b"\0\0"
        return bytes(octets)

    outcome = observe([(T0, frame(b"1")), (T0 + 1, frame(b"2")), (T0 + 2, frame(b"1"))])
    assert outcome.counters["duplicates"] == 1
    assert len(outcome.of(SipMessage)) == 2


def test_media_that_the_mirror_gives_twice_counts_once() -> None:
    frames = stream(speech(60))
    outcome = observe([packet for each in frames for packet in (each, each)])
    assert outcome.counters["duplicates"] == 60
    assert (outcome.flow.packets, outcome.flow.octets) == (60, sum(len(each[1]) for each in frames))
    assert (outcome.stream.packets, outcome.stream.lost) == (60, 0)


def both_ways(packets: int) -> list[Packet]:
    return sorted(stream(speech(packets)) + stream(speech(packets, seed=2), src=B, dst=A, ssrc=7, start_ns=T0 + 3 * MS))


@pytest.mark.parametrize(
    ("packets", "one_way", "two_ways"),
    [
        (stream(speech(150)), 1, 0),
        (stream(speech(90)), 0, 0),
        (both_ways(150), 0, 1),
        (stream(speech(150), dst=End("239.1.2.3", 20000)), 0, 0),  # a page to a group: nobody answers
        (stream(speech(150), src=A6, dst=End("ff15::1", 20000)), 0, 0),
    ],
)
def test_media_flow_is_counted_once_by_the_directions_that_are_seen(
    packets: list[Packet], one_way: int, two_ways: int
) -> None:
    counters = counted(packets)
    assert (counters["media_one_way"], counters["media_both_ways"]) == (one_way, two_ways)


def calls(streams: int, *, missing: dict[int, set[int]]) -> list[Packet]:
    """Return streams side by side; of each those packets are missing."""
    packets: list[Packet] = []
    for number in range(streams):
        src = End(f"192.0.2.{number + 1}", 16384)
        frames = stream(speech(100, seed=number), src=src, ssrc=1000 + number, start_ns=T0 + number * MS)
        packets += [frame for index, frame in enumerate(frames) if index not in missing.get(number, set())]
    return sorted(packets)


def test_gap_that_many_streams_have_at_once_is_the_mirrors() -> None:
    assert counted(calls(10, missing={number: {50, 51} for number in range(10)}))["gaps_common"] == 20


def test_gaps_of_single_calls_are_their_own() -> None:
    alone = {number: {20 + 7 * number} for number in range(10)}
    assert counted(calls(10, missing=alone))["gaps_common"] == 0
    assert counted(calls(10, missing={number: {50} for number in range(4)}))["gaps_common"] == 0  # a path's
    assert counted(calls(3, missing={number: {50} for number in range(3)}))["gaps_common"] == 0  # too few to tell


def test_packet_that_was_cut_is_counted() -> None:
    frame = ethernet(udp(OPTIONS))
    assert counted([(T0, frame[:60], len(frame)), (T0 + 1, frame)])["truncated"] == 1


def test_media_of_a_mirror_that_truncates_is_judged_by_what_is_left() -> None:
    outcome = observe([(ts_ns, octets[:96]) for ts_ns, octets, *_ in stream(speech(200))])
    assert (outcome.counters["truncated"], outcome.stream.protection, outcome.stream.lost) == (200, "clear", 0)


def report(block: bytes, *, ssrc: int = 7, sent: int | None = None) -> bytes:
    """Return a receiver's report with one block, or a sender's without any where ``sent`` is its NTP time."""
    if sent is not None:
        return b"\x80\xc8\0\6" + ssrc.to_bytes(4, "big") + sent.to_bytes(8, "big") + bytes(12)
    return b"\x81\xc9\0\7" + ssrc.to_bytes(4, "big") + block


def block(ssrc: int, lost: int, *, last: int = 0, held: int = 0) -> bytes:
    words = (lost & 0xFFFFFF, 0, 0, last, held)
    return ssrc.to_bytes(4, "big") + b"".join(word.to_bytes(4, "big") for word in words)


def reported(missing: set[int], *lost: int, mux: bool = False) -> Outcome:
    """Return what is said of a stream of 300 packets whose receiver reports every second how many it lacks."""
    payloads = stream(speech(300), ssrc=5)
    packets = [packet for index, packet in enumerate(payloads) if index not in missing]
    src, dst = (B, A) if mux else (End(B.ip, B.port + 1), End(A.ip, A.port + 1))
    for second, count in enumerate(lost, 1):
        octets = ethernet(udp(report(block(5, count)), src, dst))
        packets.append((T0 + second * SECOND + MS, octets))
    return observe(sorted(packets))


def media_stream(outcome: Outcome) -> StreamStats:
    (media,) = [stream for flow in outcome.of(FlowEnded) for stream in flow.streams]
    return media


@pytest.mark.parametrize("mux", [False, True])
def test_gap_that_the_receiver_does_not_report_is_the_mirrors(mux: bool) -> None:
    outcome = reported({60, 61, 62, 63, 64, 65}, 0, 0, 0, 0, 0, mux=mux)
    media = media_stream(outcome)
    assert (media.lost, media.reported_lost, media.unreported) == (6, 0, 6)
    assert (outcome.counters["gaps_unreported"], outcome.counters["streams_unreported"]) == (6, 1)


def test_gap_that_the_receiver_reports_is_the_calls() -> None:
    outcome = reported({60, 61, 62, 63, 64, 65}, 0, 6, 6, 6, 6)
    media = media_stream(outcome)
    assert (media.lost, media.reported_lost, media.unreported) == (6, 6, 0)
    assert (outcome.counters["gaps_unreported"], outcome.counters["streams_unreported"]) == (0, 0)


def test_gap_that_the_last_report_came_too_soon_for_is_nobodys() -> None:
    assert reported({148, 149}, 0, 0, 0).counters["gaps_unreported"] == 0


def test_stream_without_reports_has_none() -> None:
    media = media_stream(reported({60}))
    assert (media.reported_lost, media.unreported, media.delay_ms) == (None, 0, None)


def test_delay_is_from_the_mirror_to_the_receiver_and_back() -> None:
    sent = 0x1122_3344_5566_7788
    packets = stream(speech(150), ssrc=5)
    mine, theirs = End(A.ip, A.port + 1), End(B.ip, B.port + 1)
    packets.append((T0 + SECOND, ethernet(udp(report(b"", ssrc=5, sent=sent), mine, theirs))))
    held = 0x8000  # half a second
    answer = report(block(5, 0, last=sent >> 16 & 0xFFFFFFFF, held=held))
    packets.append((T0 + SECOND + 540 * MS, ethernet(udp(answer, theirs, mine))))
    media = media_stream(observe(sorted(packets)))
    assert media.delay_ms == pytest.approx(40, abs=0.1)


def test_rtp_packet_is_no_twin_of_another() -> None:
    octets = ethernet(udp(rtp(1, bytes(160))))
    assert counted([(T0, octets), (T0 + 1, octets)])["duplicates"] == 1
