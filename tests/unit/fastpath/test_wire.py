"""From a captured frame to flow key and payload: every link layer, every reason (IEEE 802.1Q, RFC 791, 8200, 768)."""

import struct

import dpkt
import pytest

from fastpath.records import FlowKey
from tests.packets import (
    A6,
    B6,
    ETHERNET,
    LOOP,
    NULL,
    RAW,
    SLL,
    SLL2,
    T0,
    A,
    B,
    Outcome,
    Packet,
    ethernet,
    frame,
    observe,
    rtp,
    speech,
    tcp,
    udp,
)

KEY = FlowKey("udp", *A, *B, ())
KEY6 = FlowKey("udp", *A6, *B6, ())
IPV4, IPV6, QINQ, VLAN = 0x0800, 0x86DD, 0x88A8, 0x8100
PLAIN = udp(b"voice")
PLAIN6 = udp(b"voice", A6, B6)


def one(octets: bytes, linktype: int = ETHERNET, wirelen: int = 0) -> Outcome:
    """What the engine says of one packet; ``wirelen`` 0: it was captured whole."""
    packet: Packet = (T0, octets, wirelen or len(octets), linktype)
    return observe([packet])


def why(octets: bytes, linktype: int = ETHERNET, wirelen: int = 0) -> str:
    """The reason why one packet was not classified, "classified" when it was."""
    reasons = one(octets, linktype, wirelen).reasons
    assert sum(reasons.values()) <= 1
    return next(iter(reasons), "classified")


def ipv4(proto: int, body: bytes = bytes(40), *, offset: int = 0, total: int | None = None) -> bytes:
    """An IPv4 packet of any protocol in a frame; ``offset`` is the word of flags and fragment offset."""
    length = 20 + len(body) if total is None else total
    head = struct.pack(">BBHHHBBH", 0x45, 0, length, 1, offset, 64, proto, 0)
    return frame(IPV4, head + bytes(8) + body)


def ipv6(following: int, body: bytes) -> bytes:
    """An IPv6 packet in a frame, from A6 to B6."""
    return frame(IPV6, struct.pack(">IHBB", 6 << 28, len(body), following, 64) + PLAIN6[8:40] + body)


def extension(following: int, octets: int = 8) -> bytes:
    """An IPv6 extension header (RFC 8200 section 4.2)."""
    return bytes([following, octets // 8 - 1]) + bytes(octets - 2)


def heard(payload: bytes, packets: list[Packet]) -> bool:
    """Whether the payload of the only stream came through whole: its silence is clear, and of its own length."""
    assert len(payload) == 160
    stream = observe(packets).stream
    return (stream.protection, stream.codec, stream.basis) == ("clear", "PCMU", ("payload-structure",))


# Link layers


@pytest.mark.parametrize(
    ("tags", "vlans"),
    [
        ((), ()),
        (((VLAN, 20),), (20,)),
        (((VLAN, 0xA000 | 20),), (20,)),
        (((QINQ, 100), (VLAN, 20)), (100, 20)),
        (((0x9100, 100), (VLAN, 20)), (100, 20)),
        (((0x9200, 7),), (7,)),
        (((VLAN, 0),), ()),
        (((VLAN, 0xE000), (VLAN, 20)), (20,)),
        (((VLAN, 4095),), (4095,)),
        (((QINQ, 9), (VLAN, 100), (VLAN, 20)), (100, 20)),
    ],
)
def test_ethernet_tags_are_read_outermost_first_without_priority_tags(
    tags: tuple[tuple[int, int], ...], vlans: tuple[int, ...]
) -> None:
    assert one(ethernet(PLAIN, *tags)).flow.key == KEY._replace(vlans=vlans)


def sll(kind: int) -> bytes:
    return struct.pack(">HHH8sH", 0, 1, 6, bytes(8), kind)


def sll2(kind: int) -> bytes:
    return struct.pack(">HHIHBB8s", kind, 0, 3, 1, 0, 6, bytes(8))


@pytest.mark.parametrize(
    ("octets", "linktype", "key"),
    [
        (ethernet(PLAIN), ETHERNET, KEY),
        (ethernet(PLAIN6), ETHERNET, KEY6),
        (sll(IPV4) + PLAIN, SLL, KEY),
        (sll(IPV6) + PLAIN6, SLL, KEY6),
        (sll(VLAN) + struct.pack(">HH", 20, IPV4) + PLAIN, SLL, KEY._replace(vlans=(20,))),
        (sll2(IPV4) + PLAIN, SLL2, KEY),
        (sll2(IPV6) + PLAIN6, SLL2, KEY6),
        (PLAIN, RAW, KEY),
        (PLAIN6, RAW, KEY6),
        (PLAIN, 12, KEY),
        (PLAIN, 228, KEY),
        (PLAIN6, 229, KEY6),
        (struct.pack("<I", 2) + PLAIN, NULL, KEY),
        (struct.pack(">I", 2) + PLAIN, NULL, KEY),
        (struct.pack(">I", 2) + PLAIN, LOOP, KEY),
        *((struct.pack(order + "I", family) + PLAIN6, NULL, KEY6) for order in "<>" for family in (10, 24, 28, 30)),
    ],
)
def test_link_layer_gives_the_same_flow(octets: bytes, linktype: int, key: FlowKey) -> None:
    assert one(octets, linktype).flow.key == key


# IP and transport


@pytest.mark.parametrize("words", range(11))
def test_ipv4_options_are_skipped(words: int) -> None:
    options = b"\x01" * (4 * words)
    packets: list[Packet] = [
        (T0 + i, ethernet(udp(rtp(i, p), options=options))) for i, p in enumerate([b"\xff" * 160] * 9)
    ]
    assert observe(packets).flow.key == KEY
    assert heard(b"\xff" * 160, packets)


@pytest.mark.parametrize("chain", [(0,), (60,), (43,), (135,), (0, 60, 43), (0, 60, 43, 60, 135, 60, 60)])
@pytest.mark.parametrize("octets", [8, 24, 2048])
def test_ipv6_extension_headers_are_skipped(chain: tuple[int, ...], octets: int) -> None:
    body = b"".join(extension(following, octets) for following in (*chain[1:], 17)) + PLAIN6[40:]
    assert one(ipv6(chain[0], body)).flow.key == KEY6


def test_ipv6_endless_extension_headers_are_ignored() -> None:
    assert why(ipv6(60, extension(60) * 200)) == "ignored.ip-protocol"


def test_transport_tcp_options_are_not_payload() -> None:
    message = b"SIP/2.0 200 OK\r\nCall-ID: a\r\nCSeq: 1 INVITE\r\nContent-Length: 0\r\n\r\n"
    flow = one(ethernet(tcp(message, options=b"\x01" * 40))).flow
    assert (flow.key, flow.app) == (FlowKey("tcp", *A, *B, ()), "sip")


def test_ipv4_flow_ends_are_those_of_dscp_and_octets() -> None:
    frames = [ethernet(udp(rtp(i, b"\xff" * 160), tos=46 << 2 | 1)) for i in range(5)]
    outcome = observe([(T0 + i, octets) for i, octets in enumerate(frames)])
    assert outcome.stream.dscp == 46
    assert (outcome.flow.packets, outcome.flow.octets) == (5, sum(map(len, frames)))


def test_ipv6_dscp_is_that_of_the_traffic_class() -> None:
    packets: list[Packet] = [(T0 + i, ethernet(udp(rtp(i, b"\xff" * 160), A6, B6, tos=46 << 2))) for i in range(5)]
    assert observe(packets).stream.dscp == 46


def test_ethernet_padding_is_not_payload() -> None:
    # 20 octets of G.729 fill no Ethernet frame: what pads it would look like a tag behind the codec's frames.
    padded = [ethernet(udp(rtp(i, bytes([0x78, 0x52, 0x80, 0xA0] * 5)[:2], payload_type=18))) for i in range(40)]
    assert all(len(octets) < 60 for octets in padded)
    plain = observe([(T0 + i, octets) for i, octets in enumerate(padded)])
    filled = observe([(T0 + i, octets.ljust(60, b"\xa5")) for i, octets in enumerate(padded)])
    assert filled.stream == plain.stream


def test_tcp_ethernet_padding_is_not_payload() -> None:
    outcome = one(ethernet(tcp(b"")).ljust(60, b"S"))
    assert (outcome.flow.app, outcome.after["sip_messages"]) == ("other", 0)


def test_udp_length_shorter_than_the_packet_limits_the_payload() -> None:
    packets: list[Packet] = []
    for i in range(20):
        datagram = dpkt.udp.UDP(
            sport=A.port, dport=B.port, ulen=8 + 12 + 160, data=rtp(i, b"\xff" * 160) + b"\xa5" * 10
        )
        packets.append(
            (T0 + i, frame(IPV4, PLAIN[:2] + struct.pack(">H", 20 + len(datagram)) + PLAIN[4:20] + bytes(datagram)))
        )
    assert heard(b"\xff" * 160, packets)


@pytest.mark.parametrize("lie", [0, 1, 7, 14, 65535])
def test_udp_length_that_does_not_fit_is_malformed(lie: int) -> None:
    octets = bytearray(ethernet(PLAIN))
    octets[38:40] = lie.to_bytes(2, "big")
    assert why(bytes(octets)) == "malformed.udp"


def test_ipv4_total_length_zero_means_what_was_captured() -> None:
    # The sending host of a capture sees its packets before segmentation offload fills the length in.
    octets = bytearray(ethernet(tcp(b"SIP/2.0 200 OK\r\nCall-ID: a\r\nCSeq: 1 BYE\r\nContent-Length: 0\r\n\r\n")))
    octets[16:18] = bytes(2)
    assert one(bytes(octets)).flow.app == "sip"


# Cut by the snap length


def test_frame_cut_behind_the_ports_keeps_flow_and_claimed_length() -> None:
    packets: list[Packet] = [(T0 + i, ethernet(udp(rtp(i, p)))[:54], 214) for i, p in enumerate(speech(20))]
    outcome = observe(packets)
    assert (outcome.flow.app, outcome.flow.octets, outcome.stream.packets) == ("rtp", 20 * 214, 20)
    assert (outcome.stream.protection, outcome.stream.basis) == ("undetermined", ("too-few-packets",))


def test_frame_cut_inside_the_payload_is_judged_by_what_is_there() -> None:
    outcome = observe([(T0 + i, ethernet(udp(rtp(i, p)))[:114], 214) for i, p in enumerate(speech(20))])
    assert outcome.flow.protection == "clear"


@pytest.mark.parametrize(
    ("octets", "linktype", "reasons"),
    [
        (ethernet(PLAIN), ETHERNET, [(14, "malformed.link"), (34, "malformed.ipv4"), (42, "malformed.udp")]),
        (ethernet(tcp(b"x")), ETHERNET, [(14, "malformed.link"), (34, "malformed.ipv4"), (54, "malformed.tcp")]),
        (ethernet(PLAIN6), ETHERNET, [(14, "malformed.link"), (54, "malformed.ipv6"), (62, "malformed.udp")]),
        (
            ethernet(PLAIN, (QINQ, 1), (VLAN, 2)),
            ETHERNET,
            [(14, "malformed.link"), (22, "malformed.vlan"), (42, "malformed.ipv4"), (50, "malformed.udp")],
        ),
        (sll(IPV4) + PLAIN, SLL, [(16, "malformed.link"), (36, "malformed.ipv4"), (44, "malformed.udp")]),
        (sll2(IPV4) + PLAIN, SLL2, [(20, "malformed.link"), (40, "malformed.ipv4"), (48, "malformed.udp")]),
        (b"\2\0\0\0" + PLAIN, NULL, [(5, "malformed.link"), (24, "malformed.ipv4"), (32, "malformed.udp")]),
        (PLAIN, RAW, [(1, "malformed.link"), (20, "malformed.ipv4"), (28, "malformed.udp")]),
    ],
)
def test_frame_cut_at_every_length_is_counted_by_the_layer_that_lacks(
    octets: bytes, linktype: int, reasons: list[tuple[int, str]]
) -> None:
    for caplen in range(len(octets)):
        expected = next((reason for below, reason in reasons if caplen < below), "classified")
        assert why(octets[:caplen], linktype, len(octets)) == expected, caplen


# Reasons


@pytest.mark.parametrize(
    ("octets", "reason"),
    [
        (bytes(dpkt.ethernet.Ethernet(type=dpkt.ethernet.ETH_TYPE_ARP, data=dpkt.arp.ARP())), "ignored.arp"),
        (frame(38, b"\x42\x42\x03" + bytes(35)), "ignored.llc"),
        (frame(1500, bytes(1500)), "ignored.llc"),
        (frame(0x88CC, bytes(40)), "ignored.lldp"),
        (frame(0x88E5, bytes(40)), "ignored.macsec"),
        (frame(0x8847, bytes(40)), "ignored.mpls"),
        (frame(0x8848, bytes(40)), "ignored.mpls"),
        (frame(0x8863, bytes(40)), "ignored.pppoe"),
        (frame(0x8864, bytes(40)), "malformed.pppoe"),
        (frame(0x1501, bytes(40)), "ignored.ethertype"),
        (frame(0x88F7, bytes(40), (VLAN, 20)), "ignored.ethertype"),
        (frame(0x8926, bytes(5)), "malformed.vlan"),
        (frame(0x893F, bytes(7)), "malformed.vlan"),
        (ipv4(1), "ignored.icmp"),
        (ipv6(58, bytes(8)), "ignored.icmp"),
        (ipv4(2), "ignored.igmp"),
        (ipv4(4), "malformed.ipv4"),
        (ipv4(41), "malformed.ipv6"),
        (ipv6(41, bytes(40)), "malformed.ipv6"),
        (ipv4(115), "ignored.l2tp"),
        (ipv4(47), "ignored.gre"),
        (ipv4(50), "ignored.esp"),
        (ipv4(51), "ignored.esp"),
        (ipv4(132), "ignored.sctp"),
        (ipv4(89), "ignored.ip-protocol"),
        (ipv6(59, b""), "ignored.ip-protocol"),
        (ipv4(17, PLAIN[20:], offset=0x2000), "ignored.ip-fragment"),
        (ipv4(17, PLAIN[20:], offset=0x0001), "ignored.ip-fragment"),
        (ipv4(17, PLAIN[20:], offset=0x4000), "classified"),
        (ipv6(44, b"\x11\0\0\1\0\0\0\7" + PLAIN6[40:]), "ignored.ip-fragment"),
        (ipv6(44, b"\x11\0\0\0\0\0\0\7" + PLAIN6[40:]), "classified"),  # RFC 6946
        (ipv6(0, extension(44) + b"\x11\0\0\1\0\0\0\7" + PLAIN6[40:]), "ignored.ip-fragment"),
        (ipv6(44, b"\x11\0\0"), "malformed.ipv6"),
        (frame(VLAN, b""), "malformed.vlan"),
        (ethernet(PLAIN, *[(VLAN, 1)] * 5), "malformed.vlan"),
        (frame(IPV4, PLAIN6), "malformed.ipv4"),
        (frame(IPV4, b"\x44" + PLAIN[1:]), "malformed.ipv4"),
        (frame(IPV4, b"\x4f" + PLAIN[1:]), "malformed.ipv4"),
        (ipv4(17, PLAIN[20:], total=19), "malformed.ipv4"),
        (frame(IPV6, PLAIN), "malformed.ipv6"),
        (ipv6(60, b"\x11\xff" + bytes(30)), "malformed.ipv6"),
        (ipv6(0, b"\x11"), "malformed.ipv6"),
        (ipv4(17, b"\0" * 7), "malformed.udp"),
        (ipv4(6), "malformed.tcp"),
        (ethernet(tcp(b""))[:46] + b"\x40" + ethernet(tcp(b""))[47:], "malformed.tcp"),
        (ethernet(tcp(b""))[:46] + b"\xf0" + ethernet(tcp(b""))[47:], "malformed.tcp"),
    ],
)
def test_frame_that_is_not_followed_is_counted_by_its_reason(octets: bytes, reason: str) -> None:
    assert why(octets) == reason


@pytest.mark.parametrize(
    ("octets", "linktype", "reason"),
    [
        (PLAIN, 105, "ignored.linktype"),
        (PLAIN, 65535, "ignored.linktype"),
        (b"\0\0\0\0" + PLAIN, NULL, "ignored.linktype"),
        (b"\2\2\2\2" + PLAIN, NULL, "ignored.linktype"),
        (b"\xf5" + PLAIN[1:], RAW, "malformed.link"),
        (b"", RAW, "malformed.link"),
        (b"\2\0\0\0", NULL, "malformed.link"),
    ],
)
def test_link_layer_that_is_not_decoded_is_counted_by_its_reason(octets: bytes, linktype: int, reason: str) -> None:
    assert why(octets, linktype) == reason


def test_every_reason_is_a_counter_from_the_start() -> None:
    named = {
        *("classified", "shed.flow-table-full", "shed.new-media"),
        *(f"ignored.{kind}" for kind in ("arp", "llc", "lldp", "macsec", "mpls", "pppoe", "ppp", "ethertype")),
        *(
            f"ignored.{kind}"
            for kind in ("linktype", "ip-fragment", "icmp", "igmp", "sctp", "esp", "gre", "l2tp", "hep", "ip-protocol")
        ),
        "ignored.tunnel-depth",
        *(f"malformed.{layer}" for layer in ("link", "vlan", "ipv4", "ipv6", "gre", "pppoe", "udp", "tcp")),
    }
    counters = observe([]).counters
    assert {name for name in counters if name == "classified" or "." in name} == named
    assert not any(counters.values())


def test_packet_longer_than_its_frame_was_cut_on_its_way_and_is_read_as_far_as_it_goes() -> None:
    # A mirror session that truncates leaves nothing but the IP length to tell of it.
    for octets in (ipv4(17, PLAIN[20:], total=1000), ethernet(PLAIN6)[:-1]):
        counters = observe([(T0, octets)]).counters
        assert counters["truncated"] == 1
        assert counters["classified"] + counters["malformed.udp"] == 1
