"""IP fragments (RFC 791, RFC 815, RFC 8200 section 4.5): in any order, twice, and as an attacker sends them."""

from __future__ import annotations

import itertools
import random
import struct

import dpkt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy.demo.wire import MS, SECOND
from fastpath.records import SipMessage
from fastpath.source import BufferSource
from tests.packets import (
    A6,
    B6,
    T0,
    A,
    B,
    End,
    Outcome,
    Packet,
    account,
    ethernet,
    new_engine,
    observe,
    rtp,
    udp,
)

TEXT = b"INVITE sip:b@example.com SIP/2.0\r\ni: %s\r\nCSeq: 1 INVITE\r\nSubject: " + b"s" * 3000 + b"\r\n\r\n"


def fragment(packet: bytes, begin: int, end: int, *, more: bool = True, ident: int = 7) -> bytes:
    """Return octets ``begin`` to ``end`` of what follows an IP packet's header, as a fragment of it."""
    if packet[0] >> 4 == 4:
        head = bytearray(packet[:20])
        struct.pack_into(">HHH", head, 2, 20 + end - begin, ident, more << 13 | begin // 8)
        return bytes(head) + packet[20 + begin : 20 + end]
    head = bytearray(packet[:40])
    struct.pack_into(">H", head, 4, 8 + end - begin)
    extension = struct.pack(">BBHI", head[6], 0, begin | more, ident)
    head[6] = 44
    return bytes(head) + extension + packet[40 + begin : 40 + end]


def pieces(packet: bytes, *cuts: int, ident: int = 7) -> list[bytes]:
    """Return a packet cut at multiples of eight octets."""
    length = len(packet) - (20 if packet[0] >> 4 == 4 else 40)
    places = [0, *cuts, length]
    return [fragment(packet, begin, end, more=end != length, ident=ident) for begin, end in itertools.pairwise(places)]


def seen(*packets: bytes, step_ns: int = MS) -> Outcome:
    return observe([(T0 + i * step_ns, ethernet(packet)) for i, packet in enumerate(packets)])


def invite(call_id: str = "1", src: End = A, dst: End = B) -> bytes:
    return udp(TEXT % call_id.encode(), src, dst)


def calls(outcome: Outcome) -> list[str]:
    return [message.call_id for message in outcome.of(SipMessage)]


BOTH = pytest.mark.parametrize("packet", [invite(), invite("1", A6, B6)], ids=["ipv4", "ipv6"])


@BOTH
@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0), (0, 0, 1, 1, 2), (2, 1, 2, 0)])
def test_fragments_in_any_order_and_twice_are_one_message(packet: bytes, order: tuple[int, ...]) -> None:
    parts = pieces(packet, 1480, 2960)
    outcome = seen(*(parts[i] for i in order))
    assert calls(outcome) == ["1"]
    assert outcome.flow.octets == sum(len(ethernet(parts[i])) for i in order)
    assert outcome.reasons == {"ignored.ip-fragment": len(order) - 1}
    assert outcome.counters["datagrams_reassembled"] == 1


@BOTH
def test_overlap_is_refused_with_all_that_comes_of_its_datagram(packet: bytes) -> None:
    """RFC 5722 section 4."""
    length = len(packet) - (20 if packet[0] >> 4 == 4 else 40)
    parts = [
        fragment(packet, 0, 1480),
        fragment(packet, 1472, 2960),
        fragment(packet, 1480, 2960),
        fragment(packet, 2960, length, more=False),
    ]
    outcome = seen(*parts)
    assert calls(outcome) == []
    assert outcome.counters["datagrams_refused"] == 1


def test_fragment_of_ipv6_that_is_whole_by_itself_waits_for_nothing() -> None:
    """RFC 6946 section 4: atomic fragments are not mixed with others of the same identification."""
    packet = udp(TEXT % b"6", A6, B6)
    outcome = seen(fragment(packet, 0, len(packet) - 40, more=False))
    assert (calls(outcome), outcome.counters["datagrams_reassembled"]) == (["6"], 0)


@pytest.mark.parametrize(
    "bad",
    [
        fragment(invite(), 0, 8 - 8),  # empty
        fragment(udp(b"x" * 64), 0, 4),  # not a multiple of eight octets, and no whole UDP header
        fragment(invite()[:20] + bytes(70000), 65528, 65528 + 1400, more=False),  # ends beyond 65,535 octets
    ],
    ids=["empty", "tiny", "ping-of-death"],
)
def test_fragment_that_cannot_be_refuses_its_datagram(bad: bytes) -> None:
    outcome = seen(bad, *pieces(invite(), 1480, 2960))
    assert calls(outcome) == []
    assert outcome.counters["datagrams_refused"] == 1


def test_first_fragment_without_a_whole_tcp_header_is_refused() -> None:
    """RFC 1858 section 3."""
    segment = dpkt.tcp.TCP(sport=1, dport=2, data=b"x" * 64)
    packet = bytes(dpkt.ip.IP(src=b"\1\1\1\1", dst=b"\2\2\2\2", p=6, data=segment, len=20 + len(segment)))
    assert seen(*pieces(packet, 16)).counters["datagrams_refused"] == 1


def test_fragment_cut_by_the_snap_length_is_refused() -> None:
    first, *rest = (ethernet(part) for part in pieces(invite(), 1480, 2960))
    packets: list[Packet] = [(T0, first[:200], len(first)), *((T0, part) for part in rest)]
    outcome = observe(packets)
    assert (calls(outcome), outcome.counters["datagrams_refused"]) == ([], 1)


def test_last_fragment_before_one_that_is_seen_refuses_the_datagram() -> None:
    outcome = seen(fragment(invite(), 1480, 2960), fragment(invite(), 8, 1480, more=False))
    assert outcome.counters["datagrams_refused"] == 1


def test_fragments_that_wait_too_long_are_given_up() -> None:
    parts = pieces(invite(), 1480, 2960)
    outcome = seen(*parts, step_ns=8 * SECOND)
    assert (calls(outcome), outcome.counters["datagrams_expired"]) == ([], 1)
    assert calls(seen(*parts, step_ns=7 * SECOND)) == ["1"]


def test_same_identification_of_other_hosts_protocols_or_vlans_is_another_datagram() -> None:
    one, other = pieces(invite("1"), 1480), pieces(invite("2", End("192.0.2.77", 5060)), 1480)
    tagged = [ethernet(part, (0x8100, 5)) for part in pieces(invite("3"), 1480)]
    frames = [ethernet(one[0]), ethernet(other[0]), tagged[0], ethernet(one[1]), ethernet(other[1]), tagged[1]]
    assert calls(observe([(T0, frame) for frame in frames])) == ["1", "2", "3"]


def test_flood_of_first_fragments_makes_the_oldest_go_and_leaves_the_next_datagram_alone() -> None:
    flood = [fragment(invite("f"), 0, 1480, ident=ident) for ident in range(5000)]
    outcome = seen(*flood, *pieces(invite("good"), 1480, ident=6000), step_ns=1000)
    assert calls(outcome) == ["good"]
    assert outcome.counters["datagrams_evicted"] == 5000 + 1 - 1024


def test_octets_that_wait_are_bounded() -> None:
    flood = [
        fragment(invite()[:20] + bytes(65535), begin, begin + 1400, ident=ident)
        for ident in range(600)
        for begin in (0, 60000 // 8 * 8)
    ]
    outcome = seen(*flood, step_ns=1000)
    assert outcome.counters["datagrams_evicted"] > 300


def test_several_datagrams_that_are_completed_in_one_batch_are_all_read() -> None:
    parts = [part for n in range(12) for part in pieces(invite(str(n)), 1480, ident=n)]
    assert calls(seen(*parts)) == [str(n) for n in range(12)]


def test_media_in_fragments_is_one_packet() -> None:
    payload = random.Random(1).randbytes(2000)
    frames = [part for n in range(20) for part in pieces(udp(rtp(n, payload, payload_type=96)), 1480, ident=n)]
    assert seen(*frames, step_ns=20 * MS).stream.packets == 20


def test_account_adds_up_at_every_moment() -> None:
    engine = new_engine()
    for i, part in enumerate(pieces(invite(), 1480, 2960)):
        engine.process(BufferSource([(T0 + i, ethernet(part))]))
        counters = engine.counters()
        assert counters["received"] == sum(account(counters).values()) == i + 1


@given(
    st.sets(st.integers(1, 370), min_size=1, max_size=12),
    st.randoms(use_true_random=False),
    st.booleans(),
)
def test_any_split_in_any_order_gives_what_the_whole_packet_gives(
    cuts: set[int], rng: random.Random, six: bool
) -> None:
    packet = invite("1", A6, B6) if six else invite()
    parts = pieces(packet, *(8 * cut for cut in sorted(cuts)))
    parts += [rng.choice(parts) for _ in range(rng.randrange(3))]
    rng.shuffle(parts)
    whole = observe([(T0, ethernet(packet))]).of(SipMessage)
    split = seen(*parts, step_ns=0).of(SipMessage) if len(parts) > 1 else whole
    # All fragments twice are two datagrams, as they are where the packet itself was mirrored twice.
    assert {(message.call_id, message.key) for message in split} == {(m.call_id, m.key) for m in whole}


@given(st.lists(st.tuples(st.integers(0, 8191), st.integers(0, 200), st.booleans(), st.integers(0, 3)), max_size=60))
def test_any_fragments_do_no_harm(parts: list[tuple[int, int, bool, int]]) -> None:
    packet = invite()[:20] + bytes(70000)
    frames = [fragment(packet, 8 * at, 8 * at + length, more=more, ident=ident) for at, length, more, ident in parts]
    seen(*frames)
