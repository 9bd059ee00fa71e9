"""Packets in packets: GRE (RFC 2784, RFC 2890), ERSPAN on it, PPPoE (RFC 2516), VXLAN (RFC 7348) and TZSP."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastpath.records import AppSeen, SipMessage
from tests.packets import A6, B6, T0, A, B, End, Outcome, ethernet, frame, observe, udp

OPTIONS = b"OPTIONS sip:b@example.com SIP/2.0\r\ni: 1\r\nCSeq: 1 OPTIONS\r\n\r\n"
PLAIN, PLAIN6 = udp(OPTIONS), udp(OPTIONS, A6, B6)
GRE_IPV4, GRE_IPV6, BRIDGED, ERSPAN, ERSPAN3 = 0x0800, 0x86DD, 0x6558, 0x88BE, 0x22EB
CHECKSUM, KEY, SEQUENCE, ROUTING = 0x8000, 0x2000, 0x1000, 0x4000
IPV4, IPV6, PPPOE = 0x0800, 0x86DD, 0x8864


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
VXLAN, TZSP = 4789, 37008


def over_udp(port: int, body: bytes) -> bytes:
    return ethernet(udp(body, MIRROR, End(COLLECTOR, port)))


def vxlan(inner: bytes, head: bytes = b"\x08\0\0\0\0\0\x2a\0", port: int = VXLAN) -> bytes:
    return over_udp(port, head + inner)


def tzsp(inner: bytes, head: bytes = b"\1\0\0\1\1", port: int = TZSP) -> bytes:
    return over_udp(port, head + inner)


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
    ],
)
def test_flow_in_a_tunnel_is_that_of_the_innermost_addresses(octets: bytes, tunnels: tuple[str, ...]) -> None:
    outcome = seen(octets)
    (message,) = outcome.of(SipMessage)
    assert (message.key.a, message.key.b) in {(A.ip, B.ip), (A6.ip, B6.ip)}
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
        (gre(0x880B, PLAIN), "ignored.gre"),  # PPP
        (gre(GRE_IPV4, PLAIN, ROUTING), "ignored.gre"),
        (gre(GRE_IPV4, PLAIN, 1), "ignored.gre"),  # PPTP
        (gre(ERSPAN, ethernet(PLAIN), SEQUENCE), "malformed.gre"),  # no header of version 1
        (gre(ERSPAN3, ethernet(PLAIN)), "malformed.gre"),
        (erspan3(PLAIN, kind=2), "ignored.gre"),
        (gre(GRE_IPV4, b"", CHECKSUM)[:-4], "malformed.ipv4"),
        (gre(BRIDGED, b"short"), "malformed.link"),
        (pppoe(0xC021, bytes(20)), "ignored.pppoe"),  # LCP
        (pppoe(0x0021, PLAIN, length=1), "malformed.pppoe"),
        (pppoe(0x0021, PLAIN, length=9000), "malformed.pppoe"),
        (erspan2(erspan2(erspan2(erspan2(ethernet(PLAIN))))), "ignored.gre"),  # too deep
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
