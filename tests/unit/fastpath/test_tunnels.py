"""Packets in packets: every tunnel of tunnels.pxd and wire.pxd, alone, in one another, cut, and looked like."""

from __future__ import annotations

import ipaddress
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastpath.records import AppSeen, SipMessage
from tests.packets import A6, B6, T0, A, B, End, Outcome, ethernet, frame, observe, udp

OPTIONS = b"OPTIONS sip:b@example.com SIP/2.0\r\ni: 1\r\nCSeq: 1 OPTIONS\r\n\r\n"
PLAIN, PLAIN6 = udp(OPTIONS), udp(OPTIONS, A6, B6)
OTHER = udp(OPTIONS, B, A)
GRE_IPV4, GRE_IPV6, BRIDGED, ERSPAN, ERSPAN3 = 0x0800, 0x86DD, 0x6558, 0x88BE, 0x22EB
CHECKSUM, KEY, SEQUENCE, ROUTING = 0x8000, 0x2000, 0x1000, 0x4000
IPV4, IPV6, PPPOE, MPLS, PPP = 0x0800, 0x86DD, 0x8864, 0x8847, 0x880B


def gre(kind: int, body: bytes, flags: int = 0) -> bytes:
    """Return GRE in IPv4 in a frame; a word for each of checksum, key and sequence number."""
    words = (flags & (CHECKSUM | KEY | SEQUENCE)).bit_count()
    packet = struct.pack(">HH", flags, kind) + bytes(4 * words) + body
    head = struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(packet), 0, 0, 64, 47, 0) + b"\x0a\0\0\1" + b"\x0a\0\0\2"
    return frame(IPV4, head + packet)


def erspan2(inner: bytes) -> bytes:
    return gre(ERSPAN, struct.pack(">HHI", 0x1000 | 100, 7, 0) + inner, SEQUENCE)


def erspan3(inner: bytes, *, subheader: bool = False, kind: int = 0) -> bytes:
    last = kind << 2 << 8 | subheader
    return gre(ERSPAN3, struct.pack(">HHIHH", 0x2000, 7, 0, 0, last) + bytes(8 * subheader) + inner, SEQUENCE)


def pppoe(protocol: int, body: bytes, length: int | None = None) -> bytes:
    size = 2 + len(body) if length is None else length
    return frame(PPPOE, struct.pack(">BBHHH", 0x11, 0, 1, size, protocol) + body, (0x8100, 20))


MIRROR, COLLECTOR = End("192.0.2.1", 50000), "192.0.2.2"
VXLAN, TZSP, GENEVE, GTPU, L2TP, TEREDO = 4789, 37008, 6081, 2152, 1701, 3544


def over_udp(port: int, body: bytes) -> bytes:
    return ethernet(udp(body, MIRROR, End(COLLECTOR, port)))


def vxlan(inner: bytes, head: bytes = b"\x08\0\0\0\0\0\x2a\0", port: int = VXLAN) -> bytes:
    return over_udp(port, head + inner)


def tzsp(inner: bytes, head: bytes = b"\1\0\0\1\1", port: int = TZSP) -> bytes:
    return over_udp(port, head + inner)


def carried(proto: int, body: bytes) -> bytes:
    """Return what an IP protocol carries, in IPv4 in a frame."""
    head = struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(body), 0, 0, 64, proto, 0) + b"\x0a\0\0\1" + b"\x0a\0\0\2"
    return frame(IPV4, head + body)


def carried6(proto: int, body: bytes) -> bytes:
    return frame(
        IPV6, struct.pack(">IHBB", 6 << 28, len(body), proto, 64) + bytes(15) + b"\1" + bytes(15) + b"\2" + body
    )


def mpls(inner: bytes, *labels: int) -> bytes:
    stack = [label << 12 | 64 for label in labels or (100,)]
    stack[-1] |= 0x100
    return frame(MPLS, b"".join(struct.pack(">I", entry) for entry in stack) + inner)


def geneve(inner: bytes, kind: int = BRIDGED, options: bytes = b"", first: int = 0) -> bytes:
    return over_udp(GENEVE, struct.pack(">BBHI", first | len(options) // 4, 0, kind, 42 << 8) + options + inner)


def gpe(inner: bytes, following: int, first: int = 0x0C) -> bytes:
    return over_udp(4790, struct.pack(">BBBBI", first, 0, 0, following, 42 << 8) + inner)


def gtpu(inner: bytes, flags: int = 0x30, extra: bytes = b"", kind: int = 255) -> bytes:
    return over_udp(GTPU, struct.pack(">BBHI", flags, kind, len(extra + inner), 7) + extra + inner)


def l2tp(inner: bytes, flags: int = 2, extra: bytes = b"", ppp: bytes = b"\xff\x03\0\x21") -> bytes:
    length = struct.pack(">H", 8 + len(extra + ppp + inner)) if flags & 0x4000 else b""
    return over_udp(L2TP, struct.pack(">H", flags) + length + b"\0\1\0\2" + extra + ppp + inner)


def teredo(inner: bytes, before: bytes = b"") -> bytes:
    return over_udp(TEREDO, before + inner)


def hep(payload: bytes, *, proto: int = 17, ends: tuple[End, End] = (A, B), more: bytes = b"") -> bytes:
    """Return a report of an agent: family, protocol, addresses, ports, time, kind and payload."""
    source, target = (ipaddress.ip_address(end.ip).packed for end in ends)
    is_ipv6 = len(source) == 16
    chunks = [
        (1, bytes([10 if is_ipv6 else 2])),
        (2, bytes([proto])),
        (5 if is_ipv6 else 3, source),
        (6 if is_ipv6 else 4, target),
        (7, struct.pack(">H", ends[0].port)),
        (8, struct.pack(">H", ends[1].port)),
        (9, bytes(4)),
        (10, bytes(4)),
        (11, b"\1"),
        (15, payload),
    ]
    body = more + b"".join(struct.pack(">HHH", 0, kind, 6 + len(value)) + value for kind, value in chunks)
    return over_udp(9060, b"HEP3" + struct.pack(">H", 6 + len(body)) + body)


TEREDO_ENDS = End("2001:0:c000:201::1", 5060), B6
TEREDO6 = udp(OPTIONS, *TEREDO_ENDS)
AUTHENTICATION, ORIGIN = b"\0\1\0\0" + bytes(9), b"\0\0" + bytes(6)
VENDOR_CHUNK = struct.pack(">HHH", 7, 15, 10) + b"more"
WHOLE = [
    (carried(4, PLAIN), ("ipip",)),
    (carried(41, PLAIN6), ("6in4",)),
    (carried6(41, PLAIN6), ("ipip",)),
    (carried6(4, PLAIN), ("ipip",)),
    (mpls(PLAIN), ("mpls",)),
    (mpls(PLAIN6, 2, 16, 17), ("mpls",)),
    (mpls(bytes(4) + ethernet(PLAIN)), ("mpls",)),  # a control word, then a frame
    (mpls(ethernet(PLAIN)), ("mpls",)),
    (gre(MPLS, b"\0\x06\x41\x40" + PLAIN), ("gre", "mpls")),
    (gre(PPP, b"\xff\x03\0\x21" + PLAIN), ("gre",)),
    (carried(47, struct.pack(">HHHHI", 0x3001, PPP, 2 + len(PLAIN), 5, 1) + b"\0\x21" + PLAIN), ("gre",)),
    (carried(47, struct.pack(">HHHHII", 0x3081, PPP, 1 + len(PLAIN), 5, 1, 1) + b"\x21" + PLAIN), ("gre",)),
    (vxlan(ethernet(PLAIN), b"\x88\x08\0\x07\0\0\x2a\0"), ("vxlan",)),  # with a group policy
    (gpe(PLAIN, 1), ("vxlan",)),
    (gpe(PLAIN6, 2), ("vxlan",)),
    (gpe(ethernet(PLAIN), 3), ("vxlan",)),
    (geneve(ethernet(PLAIN)), ("geneve",)),
    (geneve(ethernet(PLAIN), options=bytes(12)), ("geneve",)),
    (geneve(PLAIN, IPV4), ("geneve",)),
    (geneve(PLAIN6, IPV6, bytes(4)), ("geneve",)),
    (gtpu(PLAIN), ("gtpu",)),
    (gtpu(PLAIN6, 0x32, bytes(4)), ("gtpu",)),
    (gtpu(PLAIN, 0x34, b"\0\0\0\x85" + b"\1\0\0\x85" + b"\2" + bytes(7)), ("gtpu",)),
    (l2tp(PLAIN), ("l2tp",)),
    (l2tp(PLAIN, 0x4802, bytes(4), b"\0\x21"), ("l2tp",)),
    (l2tp(PLAIN, 0x0202, b"\0\3pad", b"\x21"), ("l2tp",)),
    (l2tp(PLAIN6, ppp=b"\x57"), ("l2tp",)),
    (carried(115, b"\0\0\0\7" + ethernet(PLAIN)), ("l2tp",)),
    (carried(115, b"\0\0\0\7" + bytes(8) + bytes(4) + ethernet(PLAIN6, (0x8100, 9))), ("l2tp",)),
    (over_udp(L2TP, b"\0\3\0\0" + b"\0\0\0\7" + ethernet(PLAIN)), ("l2tp",)),
    (teredo(TEREDO6), ("teredo",)),
    (teredo(TEREDO6, AUTHENTICATION), ("teredo",)),
    (teredo(TEREDO6, AUTHENTICATION + ORIGIN), ("teredo",)),
    (hep(OPTIONS), ("hep3",)),
    (hep(OPTIONS, ends=(A6, B6), more=VENDOR_CHUNK), ("hep3",)),
    (ethernet(PLAIN, (0x88A8, 30), (0x8100, 20)), ("qinq",)),
    (ethernet(PLAIN, (0x9100, 30), (0x8100, 20)), ("qinq",)),
    (erspan2(ethernet(PLAIN, (0x8100, 30), (0x8100, 20))), ("erspan2", "qinq")),
    (mpls(ethernet(PLAIN, (0x8100, 30))), ("mpls",)),
    (gtpu(carried(4, PLAIN)[14:]), ("gtpu", "ipip")),
    (vxlan(mpls(bytes(4) + ethernet(PLAIN))), ("vxlan", "mpls")),
    (geneve(carried(41, PLAIN6)[14:], IPV4), ("geneve", "6in4")),
    (vxlan(hep(OPTIONS)), ("vxlan", "hep3")),
]


def seen(*frames: bytes) -> Outcome:
    return observe([(T0, octets) for octets in frames])


@pytest.mark.parametrize(
    ("octets", "tunnels"),
    [
        (gre(GRE_IPV4, PLAIN), ("gre",)),
        (gre(GRE_IPV6, PLAIN6), ("gre",)),
        (gre(GRE_IPV4, PLAIN, CHECKSUM | KEY | SEQUENCE), ("gre",)),
        (gre(BRIDGED, ethernet(PLAIN), KEY), ("gre",)),
        (gre(ERSPAN, ethernet(PLAIN)), ("erspan1",)),
        (erspan2(ethernet(PLAIN)), ("erspan2",)),
        (erspan3(ethernet(PLAIN)), ("erspan3",)),
        (erspan3(ethernet(PLAIN), subheader=True), ("erspan3",)),
        (pppoe(0x0021, PLAIN), ("pppoe",)),
        (pppoe(0x0057, PLAIN6 + bytes(6)), ("pppoe",)),
        (vxlan(ethernet(PLAIN)), ("vxlan",)),
        (vxlan(ethernet(PLAIN6, (0x8100, 20))), ("vxlan",)),
        (tzsp(ethernet(PLAIN)), ("tzsp",)),
        (tzsp(ethernet(PLAIN), b"\1\0\0\1\0\x0a\1\x2f\1"), ("tzsp",)),
        (vxlan(gre(GRE_IPV4, PLAIN)), ("vxlan", "gre")),
        (erspan2(pppoe(0x0021, PLAIN)), ("erspan2", "pppoe")),
        (erspan2(erspan2(ethernet(PLAIN))), ("erspan2", "erspan2")),
        *WHOLE,
    ],
)
def test_flow_in_a_tunnel_is_that_of_the_innermost_addresses(octets: bytes, tunnels: tuple[str, ...]) -> None:
    outcome = seen(octets)
    (message,) = outcome.of(SipMessage)
    assert (message.key.a, message.key.b) in {(A.ip, B.ip), (A6.ip, B6.ip), (TEREDO_ENDS[0].ip, B6.ip)}
    assert outcome.flow.encapsulation == tunnels


def test_vlan_and_mac_addresses_are_those_of_the_inner_frame() -> None:
    outcome = seen(erspan2(ethernet(PLAIN, (0x8100, 30))))
    (app,) = outcome.of(AppSeen)
    assert (app.key.vlans, app.macs) == ((30,), ("02:00:00:00:00:01", "02:00:00:00:00:02"))
    (app,) = seen(pppoe(0x0021, PLAIN)).of(AppSeen)
    assert app.key.vlans == (20,)
    (app,) = seen(gre(GRE_IPV4, PLAIN)).of(AppSeen)
    assert app.macs == ("", "")


@pytest.mark.parametrize(
    ("octets", "reason"),
    [
        (gre(PPP, b"\xc0\x21" + PLAIN), "ignored.gre"),  # LCP
        (gre(GRE_IPV4, PLAIN, ROUTING), "ignored.gre"),
        (gre(GRE_IPV4, PLAIN, 1), "ignored.gre"),  # version 1, and not PPP
        (mpls(bytes(40)), "ignored.mpls"),
        (frame(MPLS, bytes(32)), "ignored.mpls"),  # labels without a last one
        (carried(115, bytes(4) + ethernet(PLAIN)), "ignored.l2tp"),  # a control message
        (hep(OPTIONS, proto=6), "ignored.hep"),
        (gre(ERSPAN, ethernet(PLAIN), SEQUENCE), "malformed.gre"),  # no header of version 1
        (gre(ERSPAN3, ethernet(PLAIN)), "malformed.gre"),
        (erspan3(PLAIN, kind=2), "ignored.gre"),
        (gre(GRE_IPV4, b"", CHECKSUM)[:-4], "malformed.gre"),
        (gre(BRIDGED, b"short"), "malformed.link"),
        (pppoe(0xC021, bytes(20)), "ignored.pppoe"),  # LCP
        (pppoe(0x0021, PLAIN, length=1), "malformed.pppoe"),
        (pppoe(0x0021, PLAIN, length=9000), "malformed.pppoe"),
        (erspan2(erspan2(erspan2(erspan2(ethernet(PLAIN))))), "ignored.tunnel-depth"),
    ],
)
def test_tunnel_that_is_not_followed_is_counted_by_its_reason(octets: bytes, reason: str) -> None:
    assert seen(octets).reasons == {reason: 1}


@given(st.binary(max_size=120), st.sampled_from([GRE_IPV4, BRIDGED, ERSPAN, ERSPAN3]), st.integers(0, 0xFFFF))
def test_any_octets_in_a_tunnel_do_no_harm(octets: bytes, kind: int, flags: int) -> None:
    seen(gre(kind, octets, flags), pppoe(0x0021, octets))


@pytest.mark.parametrize(
    "octets",
    [
        vxlan(ethernet(PLAIN), b"\x0c\0\0\0\0\0\x2a\0"),  # a flag that RFC 7348 does not have
        vxlan(ethernet(PLAIN), b"\x08\0\0\0\0\0\x2a\1"),
        vxlan(b"\x08\0" + bytes(40)),
        vxlan(ethernet(PLAIN), port=4788),
        tzsp(ethernet(PLAIN), b"\2\0\0\1\1"),
        tzsp(ethernet(PLAIN), b"\1\0\0\x12\1"),  # IEEE 802.11
        tzsp(b"", b"\1\0\0\1\x0a\xff\1"),
        tzsp(b"", b"\1\0\0\1" + bytes(40)),
        tzsp(ethernet(PLAIN), port=37009),
        gpe(PLAIN, 1, first=0x08),  # no next protocol
        gpe(PLAIN, 2),
        gpe(PLAIN, 4),  # network service header
        geneve(ethernet(PLAIN), first=0x40),
        geneve(PLAIN, IPV6),
        geneve(bytes(40)),
        gtpu(PLAIN, kind=1),  # an echo
        gtpu(PLAIN, 0x20),  # GTP'
        gtpu(PLAIN, 0x34, b"\0\0\0\x85" + bytes(4)),
        gtpu(bytes(40)),
        l2tp(PLAIN, 0x8002),  # a control message
        l2tp(PLAIN, 2, ppp=b"\xc0\x21"),
        l2tp(bytes(40)),
        over_udp(L2TP, b"\0\3\0\0" + b"\0\0\0\7" + bytes(60)),
        teredo(PLAIN6),  # no address of its prefix
        teredo(TEREDO6 + b"\0"),
        over_udp(9060, b"HEP3" + bytes(40)),
        over_udp(9060, b"HEP2" + bytes(40)),
    ],
)
def test_what_only_has_the_port_of_a_tunnel_is_a_flow_of_its_own(octets: bytes) -> None:
    found = seen(octets).flow
    assert (found.key.b, found.encapsulation, found.app) == (COLLECTOR, (), "other")


def test_vxlan_in_fragments_is_put_together_and_opened() -> None:
    body = b"\x08\0\0\0\0\0\x2a\0" + ethernet(udp(OPTIONS + bytes(1200)))
    datagram = udp(body, MIRROR, End(COLLECTOR, VXLAN))[20:]
    pieces = []
    for at in range(0, len(datagram), 800):
        piece = datagram[at : at + 800]
        more = 0x2000 if at + 800 < len(datagram) else 0
        head = struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(piece), 7, more | at // 8, 64, 17, 0)
        pieces.append(frame(IPV4, head + b"\x0a\0\0\1" + b"\x0a\0\0\2" + piece))
    outcome = seen(*pieces)
    assert [each.method for each in outcome.of(SipMessage)] == ["OPTIONS"]
    assert outcome.flow.encapsulation == ("vxlan",)


@pytest.mark.parametrize("octets", [octets for octets, _ in WHOLE])
def test_tunnel_cut_at_any_octet_does_no_harm_and_adds_up(octets: bytes) -> None:
    for size in range(len(octets)):
        counters = observe([(T0, octets[:size], len(octets)), (T0, octets[:size])]).counters
        reasons = sum(count for name, count in counters.items() if "." in name)
        assert counters["classified"] + reasons == counters["received"] == 2


def in_pieces(octets: bytes, size: int = 400) -> list[bytes]:
    """Return the IPv4 fragments of a frame's packet, the last one first."""
    pieces: list[bytes] = []
    body, proto = octets[34:], octets[23]
    for at in range(0, len(body), size):
        piece = body[at : at + size]
        more = 0x2000 if at + size < len(body) else 0
        head = struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(piece), 7, more | at // 8, 64, proto, 0)
        pieces.insert(0, frame(IPV4, head + octets[26:34] + piece))
    return pieces


LONG = udp(OPTIONS + bytes(900))


@pytest.mark.parametrize(
    ("octets", "tunnels"),
    [
        (carried(4, LONG), ("ipip",)),
        (carried(41, udp(OPTIONS + bytes(900), A6, B6)), ("6in4",)),
        (gre(GRE_IPV4, LONG), ("gre",)),
        (geneve(ethernet(LONG)), ("geneve",)),
        (hep(OPTIONS + bytes(900)), ("hep3",)),
    ],
)
def test_tunnel_in_fragments_is_put_together_and_opened(octets: bytes, tunnels: tuple[str, ...]) -> None:
    outcome = seen(*in_pieces(octets))
    assert [each.method for each in outcome.of(SipMessage)] == ["OPTIONS"]
    assert (outcome.flow.encapsulation, outcome.flow.key.a) == (tunnels, A6.ip if tunnels == ("6in4",) else A.ip)


def test_fragments_in_tunnels_in_fragments_are_put_together() -> None:
    inner = in_pieces(ethernet(LONG))
    middle = [piece for each in inner for piece in in_pieces(vxlan(each), 160)]
    # Datagrams between the same two ends have the identifier of the one before only when that is whole.
    outcome = seen(*(carried(4, each[14:]) for each in middle))
    assert [each.method for each in outcome.of(SipMessage)] == ["OPTIONS"]
    assert outcome.flow.encapsulation == ("ipip", "vxlan")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (ethernet(PLAIN), ethernet(OTHER, (0x8100, 0))),  # a priority tag in one direction only
        (frame(0x8926, bytes(4) + b"\x08\0" + PLAIN), ethernet(OTHER)),
        (frame(0x893F, bytes(6) + b"\x81\0" + b"\0\x14" + b"\x08\0" + PLAIN), ethernet(OTHER, (0x8100, 20))),
    ],
)
def test_tags_that_are_no_vlan_do_not_split_a_flow(one: bytes, other: bytes) -> None:
    outcome = observe([(T0, one), (T0 + 1, other)])
    assert (outcome.flow.packets, outcome.flow.encapsulation) == (2, ())


@pytest.mark.parametrize(
    ("linktype", "octets"),
    [
        (9, b"\xff\x03\0\x21" + PLAIN),
        (9, b"\x21" + PLAIN),
        (50, b"\xff\x03\0\x57" + PLAIN6),
        (51, pppoe(0x0021, PLAIN)[18:]),
        (166, b"\0\x03\0\x21" + PLAIN),
        (239, b"\2\0\0\0" + b"\x08\0\1\0abcd" + struct.pack("<HH", 4 + len(PLAIN), 9) + PLAIN),
    ],
)
def test_link_of_another_kind_carries_a_flow(linktype: int, octets: bytes) -> None:
    outcome = observe([(T0, octets, len(octets), linktype)])
    assert len(outcome.of(SipMessage)) == 1
    for size in range(len(octets)):
        observe([(T0, octets[:size], len(octets), linktype)])


def test_link_of_ppp_that_carries_something_else_is_counted() -> None:
    assert observe([(T0, b"\xc0\x21" + PLAIN, 100, 9)]).reasons == {"ignored.ppp": 1}
