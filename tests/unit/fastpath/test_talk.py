"""Signalling in TCP: messages and hellos from segments as they come (RFC 9293 section 3.4, RFC 3261 section 18.3)."""

import random
import struct
import time
from collections.abc import Sequence

import dpkt
import pytest

from deploy.demo.wire import MS, SECOND
from fastpath.records import Hello, SipMessage
from fastpath.source import BufferSource
from tests.packets import T0, End, Outcome, Packet, ethernet, new_engine, observe, tcp, udp

PHONE, PROXY = End("192.0.2.10", 5060), End("198.51.100.20", 5060)
SYN, ACK, FIN, RST = dpkt.tcp.TH_SYN, dpkt.tcp.TH_ACK, dpkt.tcp.TH_FIN, dpkt.tcp.TH_RST
FIRST = 2**32 - 300  # so that sequence numbers wrap in most tests


def message(number: int, body: bytes = b"", headers: str = "") -> bytes:
    """An OPTIONS request."""
    head = (
        "OPTIONS sip:b@example.com SIP/2.0\r\nVia: SIP/2.0/TCP h;branch=z9hG4bK1\r\n"
        "From: <sip:a@example.com>;tag=1\r\nTo: <sip:b@example.com>\r\n"
        f"Call-ID: {number}@example.com\r\nCSeq: {number} OPTIONS\r\n{headers}Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def segment(
    offset: int, octets: bytes, *, ms: int = 0, flags: int = ACK, src: End = PHONE, dst: End = PROXY, first: int = FIRST
) -> Packet:
    """A frame with the octets at this offset of a byte stream."""
    return T0 + ms * MS, ethernet(tcp(octets, src, dst, seq=first + offset, flags=flags))


def cut(octets: bytes, size: int, *, step_ms: int = 1) -> list[Packet]:
    """Segments of this size, in order."""
    return [
        segment(at, octets[at : at + size], ms=step_ms * index) for index, at in enumerate(range(0, len(octets), size))
    ]


def numbers(outcome: Outcome) -> list[int]:
    """CSeq numbers of the messages that were read."""
    return [found.cseq for found in outcome.of(SipMessage)]


MESSAGES = [message(number, b"x" * (number * 37 % 200)) for number in range(1, 13)]
WHOLE = b"".join(MESSAGES)
ALL = list(range(1, 13))


# Order


@pytest.mark.parametrize("size", [1, 2, 7, 100, 536, 1460, 65000])
def test_messages_are_read_whatever_the_segments(size: int) -> None:
    assert numbers(observe(cut(MESSAGES[0], 200) + cut_behind(size))) == ALL


def cut_behind(size: int) -> list[Packet]:
    """The messages after the first, in segments of this size."""
    return [segment(at, WHOLE[at : at + size], ms=10 + at) for at in range(len(MESSAGES[0]), len(WHOLE), size)]


@pytest.mark.parametrize("size", [40, 100, 200])
def test_message_is_found_when_its_first_segment_holds_the_start_line(size: int) -> None:
    assert numbers(observe(cut(WHOLE, size))) == ALL


def test_message_keeps_flow_direction_and_the_time_of_its_last_segment() -> None:
    packets = [*cut(MESSAGES[0], 100, step_ms=10), segment(0, MESSAGES[1], ms=500, src=PROXY, dst=PHONE, first=9)]
    first, second = observe(packets).of(SipMessage)
    assert (first.from_a, first.ts_ns) == (True, T0 + (len(packets) - 2) * 10 * MS)
    assert (second.from_a, second.ts_ns, second.flow) == (False, T0 + 500 * MS, first.flow)


@pytest.mark.parametrize("seed", range(10))
def test_segments_out_of_order_give_the_messages_in_order(seed: int) -> None:
    rng = random.Random(seed)
    packets = cut(WHOLE, 150)
    rest = packets[1:]
    for at in range(0, len(rest), 6):
        part = rest[at : at + 6]
        rng.shuffle(part)
        rest[at : at + 6] = part
    outcome = observe(packets[:1] + rest)
    assert (numbers(outcome), outcome.after["reassembly_lost_bytes"]) == (ALL, 0)


@pytest.mark.parametrize("seed", range(10))
def test_overlaps_and_retransmissions_change_nothing(seed: int) -> None:
    rng = random.Random(seed)
    packets = [segment(0, WHOLE[:300])]
    at = 300
    while at < len(WHOLE):
        start = max(0, at - rng.choice([0, 0, 1, 50, 299, at]))
        end = at + rng.choice([0, 1, 60, 400])
        packets.append(segment(start, WHOLE[start:end], ms=len(packets)))
        at = max(at, end) if end <= len(WHOLE) else len(WHOLE)
    outcome = observe(packets)
    assert (numbers(outcome), outcome.after["reassembly_lost_bytes"]) == (ALL, 0)


def test_first_copy_of_an_octet_counts() -> None:
    packets = [segment(0, MESSAGES[0]), segment(0, b"Z" * len(MESSAGES[0]), ms=1), *cut_behind(100)]
    assert numbers(observe(packets)) == ALL


def test_keepalives_between_messages_change_nothing() -> None:
    packets = [segment(0, WHOLE[:50])]
    for at in range(50, len(WHOLE), 400):
        packets += [segment(at - 1, b"\0", ms=at), segment(at, WHOLE[at : at + 400], ms=at + 1)]
    assert numbers(observe(packets)) == ALL


@pytest.mark.parametrize("distance", [2**31 - 1, 2**31, 2**31 + 1, 2**30])
def test_segment_far_outside_the_window_does_no_harm(distance: int) -> None:
    packets = [segment(0, MESSAGES[0]), segment(len(MESSAGES[0]) + distance, b"Z" * 100, ms=1), *cut_behind(536)]
    assert numbers(observe(packets)) == ALL


# What is missing


def test_stream_joined_in_the_middle_is_read_from_the_next_message() -> None:
    assert numbers(observe(cut(WHOLE[50:], 10_000))) in (ALL[1:], [])
    assert numbers(observe([segment(50, WHOLE[50 : len(MESSAGES[0])]), *cut_behind(2000)])) == ALL[1:]


@pytest.mark.parametrize("missing", range(1, 11))
def test_lost_segment_costs_one_message(missing: int) -> None:
    packets, at = [], 0
    for number, octets in enumerate(MESSAGES):
        if number != missing:
            packets.append(segment(at, octets, ms=10_000 * number))
        at += len(octets)
    outcome = observe(packets)
    assert numbers(outcome) == [number for number in ALL if number != missing + 1]
    assert outcome.after["reassembly_lost_bytes"] == len(MESSAGES[missing])


def test_segment_lost_inside_a_message_costs_that_message_and_resumes() -> None:
    at = WHOLE.index(MESSAGES[5]) + 60
    packets = [segment(o, WHOLE[o : o + 60], ms=o * 10) for o in range(0, len(WHOLE), 60) if not o <= at < o + 60]
    found = numbers(observe(packets))
    assert set(ALL) - set(found) <= {5, 6, 7}
    assert found == sorted(found)


@pytest.mark.parametrize("gaps", [17, 40, 500])
@pytest.mark.parametrize("first", [1, 5])
def test_many_gaps_do_no_harm(gaps: int, first: int) -> None:
    # More segments wait, each behind a gap of its own, than there is room for.
    for src, dst in ((PHONE, PROXY), (PROXY, PHONE)):
        start = segment(0, MESSAGES[0], src=src, dst=dst)
        islands = [segment(1000 + 10 * index, b"zzzz", ms=index * first, src=src, dst=dst) for index in range(gaps)]
        other = [segment(0, MESSAGES[1], ms=5000, src=dst, dst=src, first=7)]
        outcome = observe([start, *islands, *other])
        assert numbers(outcome) == [1, 2]
        assert outcome.after["reassembly_lost_bytes"] > 0


@pytest.mark.parametrize("size", [2000, 20_000])
def test_large_segments_behind_a_gap_are_bounded(size: int) -> None:
    packets = [segment(0, MESSAGES[0])] + [segment(10_000 + index * size, b"z" * size, ms=index) for index in range(50)]
    engine = new_engine()
    for packet in packets:
        engine.process(BufferSource([packet]))
        assert engine.counters()["reassembly_bytes"] < 200_000


# Connections


def test_new_connection_on_the_same_ports_is_read() -> None:
    first = 10_000_000
    for again in (first + 2**31 - 5, first + 1000, first - 1000, first - 2**30):
        packets = [
            segment(-1, b"", flags=SYN, first=first),
            segment(0, MESSAGES[0], ms=1, first=first),
            segment(len(MESSAGES[0]), b"", ms=2, flags=RST, first=first),
            segment(-1, b"", ms=100, flags=SYN, first=again),
        ]
        at = 0
        for index, octets in enumerate(MESSAGES[1:]):
            packets.append(segment(at, octets, ms=200 + index, first=again))
            at += len(octets)
        assert numbers(observe(packets)) == ALL


def test_message_that_ends_with_the_connection_is_read_cut() -> None:
    long = message(7, b"x" * 500)
    assert numbers(observe([segment(0, long[:-100]), segment(len(long) - 100, b"", ms=1, flags=FIN)])) == [7]


def test_signalling_on_other_ports_is_found_in_the_first_segments_only() -> None:
    src, dst = End("192.0.2.1", 7000), End("192.0.2.2", 7001)

    def after(junk: int) -> Sequence[int]:
        noise = [segment(index * 4, b"@@@@", ms=index, src=src, dst=dst) for index in range(junk)]
        return numbers(observe([*noise, segment(junk * 4, MESSAGES[0], ms=junk, src=src, dst=dst)]))

    assert after(7) == [1]
    assert after(100) == []


def test_conversation_of_something_else_holds_no_memory() -> None:
    engine = new_engine()
    engine.process(BufferSource([segment(index * 1000, b"\x17" * 1000, ms=index) for index in range(100)]))
    assert engine.counters()["reassembly_bytes"] == 0


# Memory


def test_memory_limit_is_kept_and_what_finds_no_room_is_counted() -> None:
    limit = 100_000
    engine = new_engine(stream_bytes=limit)
    for number in range(200):
        src = End(f"192.0.2.{number}", 5060)
        start = message(number, b"x" * 3000)[:2000]
        engine.process(BufferSource([segment(0, start, src=src), segment(5000, b"z" * 1400, ms=1, src=src)]))
        assert engine.counters()["reassembly_bytes"] <= limit
    counters = engine.counters()
    assert counters["conversations_refused"] + counters["reassembly_lost_bytes"] > 100


def test_memory_of_a_large_message_is_given_back_when_it_was_read() -> None:
    engine = new_engine()
    long = message(1, b"x" * 60_000)
    engine.process(BufferSource(cut(long, 1460)))
    assert engine.counters()["sip_messages"] == 1
    assert engine.counters()["reassembly_bytes"] < 10_000


def test_message_longer_than_64_kib_is_passed_over() -> None:
    long = message(1, b"xyz\r\n" * 40_000)
    packets = [
        segment(at, (long + MESSAGES[1])[at : at + 1460], ms=at // 1000) for at in range(0, len(long) + 400, 1460)
    ]
    outcome = observe(packets)
    assert numbers(outcome) == [2]


@pytest.mark.parametrize(
    "octets",
    [
        message(1, b"x" * 60_000),
        message(1, headers="X: " + "a" * 60_000 + "\r\n"),
        message(1, headers="X: a\r\n" * 10_000),
        message(1, b"x" * 30_000, headers="X: a\r\n" * 5000),
    ],
    ids=["body", "one header", "many headers", "both"],
)
def test_message_octet_by_octet_takes_linear_work(octets: bytes) -> None:
    packets = [segment(0, octets[:100]), *(segment(at, octets[at : at + 1]) for at in range(100, len(octets)))]
    source, engine = BufferSource(packets), new_engine()
    begun = time.process_time()
    engine.process(source)
    assert (
        time.process_time() - begun < 2.0
    )  # linear work takes a tenth of it; repeated work of 60 kB takes ten seconds
    assert engine.counters()["sip_messages"] == 1


# Cut by the snap length


def test_segment_cut_by_the_snap_length_costs_its_message_and_no_more() -> None:
    packets: list[Packet] = []
    at = 0
    for number, octets in enumerate(MESSAGES):
        ts_ns, frame = segment(at, octets, ms=number)[:2]
        packets.append((ts_ns, frame[:120], len(frame)) if number == 4 else (ts_ns, frame))
        at += len(octets)
    outcome = observe(packets)
    assert [number for number in numbers(outcome) if number != 5] == [number for number in ALL if number != 5]
    assert outcome.after["reassembly_lost_bytes"] > 0


# TLS


def client_hello(name: bytes = b"sip.example.com", *, padding: int = 0) -> bytes:
    """The handshake message of a ClientHello with SNI and, if wanted, padding (RFC 6066, RFC 7685)."""
    sni = struct.pack(">HHHBH", 0, len(name) + 5, len(name) + 3, 0, len(name)) + name
    extensions = sni + (struct.pack(">HH", 21, padding) + bytes(padding) if padding else b"")
    body = (
        b"\x03\x03"
        + bytes(32)
        + b"\0"
        + b"\x00\x02\x13\x01"
        + b"\x01\x00"
        + struct.pack(">H", len(extensions))
        + extensions
    )
    return b"\x01" + len(body).to_bytes(3, "big") + body


SERVER_HELLO = (
    b"\x02" + (44).to_bytes(3, "big") + b"\x03\x03" + bytes(32) + b"\0\x13\x01\0" + b"\x00\x04\x00\x2b\x00\x00"
)


def records(handshake: bytes, size: int = 16384) -> bytes:
    """TLS records of at most ``size`` octets (RFC 8446 section 5.1)."""
    pieces = [handshake[at : at + size] for at in range(0, len(handshake), size)]
    return b"".join(b"\x16\x03\x01" + struct.pack(">H", len(piece)) + piece for piece in pieces)


def pieces(octets: bytes, size: int) -> list[tuple[int, bytes]]:
    """The octets in pieces with their places; the first is long enough to be recognised (RFC 8446 section 4)."""
    return [(0, octets[:11]), *((at, octets[at : at + size]) for at in range(11, len(octets), size))]


@pytest.mark.parametrize("record", [50, 200, 16384])
@pytest.mark.parametrize("size", [1, 11, 100, 1460])
@pytest.mark.parametrize("padding", [0, 3000])
def test_tls_hello_is_read_from_split_records_and_segments(record: int, size: int, padding: int) -> None:
    client, server = End("192.0.2.1", 40000), End("192.0.2.2", 5061)
    said, answered = records(client_hello(padding=padding), record), records(SERVER_HELLO, record)
    packets = [
        *(segment(at, piece, ms=at, src=client, dst=server) for at, piece in pieces(said, size)),
        *(segment(at, piece, ms=5000 + at, src=server, dst=client, first=5) for at, piece in pieces(answered, size)),
    ]
    outcome = observe(packets)
    (hello,) = outcome.of(Hello)
    assert (hello.kind, hello.server_name, hello.version, hello.cipher) == ("tls", "sip.example.com", 0x0303, 0x1301)
    flow = outcome.flow
    assert (flow.app, flow.protection, flow.basis, flow.hello) == (
        "tls",
        "encrypted",
        ("handshake",),
        hello_at_end(hello, flow.ts_ns),
    )


def hello_at_end(hello: Hello, ts_ns: int) -> Hello:
    """The same hello as the flow's last record has it."""
    return Hello(
        hello.flow,
        ts_ns,
        hello.key,
        hello.kind,
        hello.version,
        hello.cipher,
        hello.server_name,
        hello.alpn,
        hello.srtp_profile,
    )


def test_tls_hello_that_never_ends_is_given_up() -> None:
    endless = b"\x16\x03\x01\x40\x00\x01\x00\xff\xff\x03\x03" + bytes(100_000)
    engine = new_engine()
    engine.process(BufferSource(cut(endless, 1460)))
    assert engine.counters()["reassembly_bytes"] < 4096


def test_sip_over_udp_is_one_message_a_datagram() -> None:
    packets: list[Packet] = [
        (T0 + n * SECOND, ethernet(udp(octets, PHONE, PROXY))) for n, octets in enumerate(MESSAGES)
    ]
    outcome = observe(packets)
    assert (numbers(outcome), outcome.flow.app, outcome.flow.basis) == (ALL, "sip", ("sip-start-line",))


def test_unreadable_sip_is_counted() -> None:
    packets: list[Packet] = [(T0, ethernet(udp(b"OPTIONS sip:b@example.com SIP/2.0\r\nVia: x\r\n\r\n", PHONE, PROXY)))]
    outcome = observe(packets)
    assert (outcome.after["sip_messages"], outcome.after["sip_unreadable"], outcome.flow.app) == (1, 1, "sip")


def test_flood_of_beginnings_makes_room_for_a_conversation_that_speaks() -> None:
    """Connections that begin a message and never end it, beside one that had given a message before."""
    begun, old, new = b"INVITE sip:a@b SIP/2.0\r\nVia: ", End("192.0.2.99", 5060), End("192.0.2.98", 5060)
    outcome = observe(
        [
            segment(0, message(1), src=old),
            *(segment(0, begun, ms=n, src=End(f"10.9.{n >> 8}.{n & 255}", 5060)) for n in range(1, 600)),
            segment(0, message(2), ms=1000, src=new),
            segment(len(message(1)), message(3), ms=1001, src=old),
        ],
        stream_bytes=1 << 20,
    )
    assert {1, 2, 3} <= set(numbers(outcome))
    assert outcome.counters["conversations_evicted"] > 0
    assert outcome.counters["conversations_refused"] == 0
