"""Any octets at all, and the same packets in any portions; dpkt as an independent decoder."""

import ipaddress
import struct

import dpkt
from hypothesis import given, settings
from hypothesis import strategies as st

from deploy.demo.wire import MS
from fastpath.records import FlowEnded, Record
from fastpath.source import BufferSource
from tests.packets import (
    A6,
    B6,
    T0,
    A,
    B,
    End,
    Packet,
    account,
    ciphertext,
    ethernet,
    finish,
    new_engine,
    observe,
    rtp,
    speech,
    stream,
    tcp,
    udp,
)

LINKS = st.sampled_from([0, 1, 12, 101, 108, 113, 228, 229, 276, 147, 65535])
TIMES = st.integers(0, 2**64 - 1) | st.integers(T0, T0 + 10**12)
SIP = b"OPTIONS sip:b@example.com SIP/2.0\r\nCall-ID: a\r\nCSeq: 1 OPTIONS\r\nContent-Length: 4\r\n\r\nbody"
STUN = struct.pack(">HHI", 3, 8, 0x2112A442) + bytes(12) + struct.pack(">HHI", 0x0019, 4, 0x11000000)
DTLS = struct.pack(">BHHHIH", 22, 0xFEFD, 0, 0, 0, 40) + b"\x01\0\0\x1c\0\0\0\0\0\0\0\x1c\xfe\xfd" + bytes(26)
TLS = b"\x16\x03\x01\0\x30\x01\0\0\x2c\x03\x03" + bytes(32) + b"\0\0\2\x13\x01\1\0\0\0"
ZRTP = struct.pack(">HHII", 0x1000, 1, 0x5A525450, 7) + b"\x50\x5a\0\x03Conf2ACK" + bytes(4)
RTCP = struct.pack(">BBHI", 0x80, 200, 6, 7) + bytes(20) + struct.pack(">BBHI", 0x81, 203, 1, 7)
VALID = [
    *(
        ethernet(udp(payload))
        for payload in (rtp(1, b"\xff" * 160), rtp(2, b"x" * 20, csrcs=(1, 2), extension=bytes(8)))
    ),
    *(ethernet(udp(payload)) for payload in (SIP, STUN, DTLS, ZRTP, RTCP)),
    *(ethernet(tcp(payload)) for payload in (SIP, TLS, STUN)),
    ethernet(udp(SIP, A6, B6)),
    ethernet(udp(RTCP), (0x88A8, 1), (0x8100, 2)),
    ethernet(udp(rtp(3, b"\xd5" * 160, payload_type=8), options=b"\x01" * 8)),
]


@given(st.lists(st.tuples(TIMES, st.binary(max_size=300), st.integers(0, 2000), LINKS), max_size=40))
def test_any_octets_at_any_link_are_counted(packets: list[tuple[int, bytes, int, int]]) -> None:
    outcome = observe([(ts_ns, octets, max(len(octets), wirelen), link) for ts_ns, octets, wirelen, link in packets])
    assert outcome.counters["received"] == len(packets)


@given(
    st.lists(
        st.tuples(st.sampled_from(VALID), st.lists(st.tuples(st.integers(0, 250), st.integers(0, 255)), max_size=6)),
        max_size=40,
    )
)
def test_valid_packets_with_any_octets_changed_are_counted(damage: list[tuple[bytes, list[tuple[int, int]]]]) -> None:
    packets: list[Packet] = []
    for number, (octets, changes) in enumerate(damage):
        damaged = bytearray(octets)
        for at, value in changes:
            damaged[at % len(damaged)] = value
        packets.append((T0 + number * MS, bytes(damaged)))
    observe(packets, stream_bytes=20_000, max_flows=20, max_streams=5)


def test_valid_packets_cut_at_every_length_are_counted() -> None:
    for octets in VALID:
        for wirelen in (0, len(octets)):
            cuts: list[Packet] = [(T0 + n, octets[:n], wirelen or n) for n in range(len(octets) + 1)]
            assert observe(cuts).counters["classified"] > 0


@given(st.binary(min_size=1, max_size=1500), st.booleans(), st.integers(1, 5))
def test_any_payload_is_classified(payload: bytes, over_tcp: bool, copies: int) -> None:
    octets = ethernet(tcp(payload) if over_tcp else udp(payload))
    assert observe([(T0 + n, octets) for n in range(copies)]).counters["classified"] == copies


LINES = st.sampled_from(
    [
        b"v=0", b"c=IN IP4 198.51.100.20", b"c=IN IP6 2001:db8:1::20", b"c=IN IP4 198.51.100.21/127/3", b"c=",
        b"m=audio 20000 RTP/AVP 96 97 98 99 100 101 102 103 104 105 0", b"m=audio 20000 RTP/SAVPF 96 97",
        b"m=video 20000 UDP/TLS/RTP/SAVPF 97", b"m=audio 0 RTP/AVP 96", b"m=audio 65535/2 RTP/AVP 96 96 96",
        b"a=rtpmap:96 iLBC/8000", b"a=rtpmap:96 PCMU/8000", b"a=rtpmap:97 opus/48000/2", b"a=rtpmap:97 L16/8000/",
        b"a=rtpmap:98 /", b"a=rtpmap:99", b"a=rtpmap:100 G726-32/8000/1/1",
        b"a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:k", b"a=crypto:2 x",
    ]
)  # fmt: skip


@given(
    st.lists(
        st.tuples(
            st.integers(0, 600),
            st.lists(LINES | st.binary(max_size=20), max_size=12),
            st.lists(st.tuples(st.integers(0, 400), st.integers(0, 255)), max_size=2),
        ),
        max_size=8,
    ),
    st.sampled_from([170, 48, 160]),
)
def test_any_descriptions_keep_their_room_and_make_no_ciphertext_clear(
    descriptions: list[tuple[int, list[bytes], list[tuple[int, int]]]], octets: int
) -> None:
    packets = stream(ciphertext(60, octets), payload_type=96)
    for ms, lines, changes in descriptions:
        body = b"\r\n".join([b"v=0", *lines, b""])
        head = b"INVITE sip:b@example.com SIP/2.0\r\nCall-ID: a\r\nCSeq: 1 INVITE\r\nContent-Length: %d\r\n\r\n"
        damaged = bytearray(head % len(body) + body)
        for at, value in changes:
            damaged[at % len(damaged)] = value
        packets.append((T0 + ms * MS, ethernet(udp(bytes(damaged), End("192.0.2.7", 5060), End("192.0.2.8", 5060)))))
    outcome = observe(sorted(packets), max_hints=4)
    assert outcome.counters["hints"] <= 4
    assert "clear" not in [kind for kind, _ in outcome.verdicts]


@given(st.data())
def test_any_portions_give_the_same_records(data: st.DataObject) -> None:
    packets = sorted(
        stream(speech(60), ssrc=1)
        + stream(ciphertext(60), ssrc=2, src=End("192.0.2.9", 7), start_ns=T0 + MS)
        + [(T0 + n * 15_000 * MS, octets) for n, octets in enumerate(VALID)]
    )
    whole = observe(packets).records
    engine = new_engine()
    records: list[Record] = []
    at = 0
    while at < len(packets):
        portion = data.draw(st.integers(1, 60))
        source = BufferSource(packets[at : at + portion])
        while engine.process(source, data.draw(st.integers(1, 40))) == 1:
            records += engine.drain()
        at += portion
    assert engine.counters()["received"] == sum(account(engine.counters()).values())
    assert records + finish(engine) == whole


ADDRESSES = st.ip_addresses(v=4).map(str)
ADDRESSES6 = st.ip_addresses(v=6).map(str).filter(lambda address: not address.startswith("::ffff:"))
PORTS = st.integers(0, 65535)


@given(
    st.tuples(ADDRESSES, ADDRESSES) | st.tuples(ADDRESSES6, ADDRESSES6),
    PORTS,
    PORTS,
    st.booleans(),
    st.lists(st.tuples(st.just(0x8100), st.integers(0, 65535)), max_size=2),
    st.binary(max_size=64),
)
@settings(max_examples=300)
def test_keys_agree_with_dpkt(
    addresses: tuple[str, str], sport: int, dport: int, over_tcp: bool, tags: list[tuple[int, int]], payload: bytes
) -> None:
    src, dst = End(addresses[0], sport), End(addresses[1], dport)
    octets = ethernet(tcp(payload, src, dst) if over_tcp else udp(payload, src, dst), *tags)
    decoded = dpkt.ethernet.Ethernet(octets)
    packet = decoded.data
    (flow,) = [record for record in observe([(T0, octets)]).records if isinstance(record, FlowEnded)]
    assert ipaddress.ip_address(flow.key.a).packed == packet.src
    assert ipaddress.ip_address(flow.key.b).packed == packet.dst
    assert (flow.key.a_port, flow.key.b_port) == (packet.data.sport, packet.data.dport)
    assert flow.key.proto == ("tcp" if isinstance(packet.data, dpkt.tcp.TCP) else "udp")
    assert flow.key.vlans == tuple(tag.id for tag in getattr(decoded, "vlan_tags", []) if tag.id)


# No media among it: the same sequence number again is a packet that came twice, and is left out.
NO_MEDIA = st.binary(min_size=1, max_size=30).filter(lambda payload: payload[0] >> 6 != 2)


@given(
    st.lists(st.tuples(st.integers(0, 3), NO_MEDIA), min_size=1, max_size=60),
    st.sampled_from([A, A6]),
)
def test_flows_agree_with_a_dictionary(packets: list[tuple[int, bytes]], src: End) -> None:
    dst = B if src is A else B6
    frames: list[Packet] = []
    counted: dict[int, int] = {}
    for number, (port, payload) in enumerate(packets):
        ends = (src._replace(port=port), dst)
        frames.append((T0 + number * 1_000_000_000, ethernet(udp(payload, *(ends if number % 2 else ends[::-1])))))
        counted[port] = counted.get(port, 0) + 1
    flows = observe(frames).of(FlowEnded)
    assert {min(flow.key.a_port, flow.key.b_port): flow.packets for flow in flows} == counted
