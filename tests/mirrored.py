"""Frames of one pair of addresses in every shape that a mirror may give them, for what divides packets."""

from __future__ import annotations

import ipaddress
import struct
from collections.abc import Iterator

from tests.packets import End, ethernet, frame, tcp, udp

IPV4, IPV6, BRIDGED, ERSPAN, ERSPAN3 = 0x0800, 0x86DD, 0x6558, 0x88BE, 0x22EB
CHECKSUM, KEY, SEQUENCE = 0x8000, 0x2000, 0x1000
SWITCH, COLLECTOR = End("192.0.2.1", 50000), End("192.0.2.2", 0)

Pair = tuple[str, str]


def pairs(count: int) -> list[Pair]:
    """Return pairs of hosts, IPv4 and IPv6 by turns."""
    return [
        (f"10.20.{n // 50}.{n + 1}", "10.20.9.9") if n % 2 else (f"2001:db8::{n + 1:x}", "2001:db8:1::9")
        for n in range(count)
    ]


def ip_packet(protocol: int, body: bytes, src: str = SWITCH.ip, dst: str = COLLECTOR.ip, *, options: int = 0) -> bytes:
    """Return an IP packet of any protocol; IPv4 may have words of options."""
    source, target = ipaddress.ip_address(src), ipaddress.ip_address(dst)
    if source.version == 6:
        return struct.pack(">IHBB", 6 << 28, len(body), protocol, 64) + source.packed + target.packed + body
    head = struct.pack(">BBHHHBBH", 0x45 + options, 0, 20 + 4 * options + len(body), 0, 0, 64, protocol, 0)
    return head + source.packed + target.packed + bytes([1]) * 4 * options + body


def gre(kind: int, body: bytes, flags: int = 0, *, options: int = 0) -> bytes:
    """Return GRE in IPv4; a word for each of checksum, key and sequence number."""
    words = (flags & (CHECKSUM | KEY | SEQUENCE)).bit_count()
    return ip_packet(47, struct.pack(">HH", flags, kind) + bytes(4 * words) + body, options=options)


def over_udp(port: int, body: bytes) -> bytes:
    """Return a datagram from the mirroring switch to a port of the collector."""
    return udp(body, SWITCH, COLLECTOR._replace(port=port))


def fragments(packet: bytes) -> list[bytes]:
    """Return an IP packet in two fragments, the first with the ports (RFC 791 section 3.2, RFC 8200 section 4.5)."""
    if packet[0] >> 4 == 4:
        head, body = packet[:20], packet[20:]
        return [
            head[:2] + struct.pack(">HHH", 20 + len(part), 7, flags) + head[8:] + part
            for part, flags in ((body[:16], 0x2000), (body[16:], 2))
        ]
    head, body = packet[:40], packet[40:]
    return [
        head[:4] + struct.pack(">HB", 8 + len(part), 44) + head[7:] + struct.pack(">BBHI", head[6], 0, flags, 7) + part
        for part, flags in ((body[:16], 1), (body[16:], 16))
    ]


def plain(a: str, b: str) -> Iterator[bytes]:
    """Give IP packets between two hosts: both directions, RTP and RTCP, UDP and TCP, whole and in fragments."""
    one, other = End(a, 16384), End(b, 20000)
    for src, dst in ((one, other), (other, one)):
        yield udp(b"\x80" + bytes(40), src, dst)
        yield udp(b"\x80\xc8" + bytes(40), End(src.ip, src.port + 1), End(dst.ip, dst.port + 1))
        yield tcp(b"INVITE", src, dst)
        yield from fragments(udp(bytes(60), src, dst))
        # Media to a port that tunnels have, and too short for one.
        for port in (4789, 6081, 2152, 37008):
            yield udp(b"\x80\x08" + bytes(170), src, End(dst.ip, port))
            yield udp(b"\x08", src, End(dst.ip, port))


def shapes(a: str, b: str) -> dict[str, list[bytes]]:
    """Return frames of two hosts by the shape in which a mirror gives them; all of a pair belong together."""
    packets = list(plain(a, b))
    kind = IPV6 if packets[0][0] >> 4 == 6 else IPV4
    frames = [ethernet(packet) for packet in packets]
    tagged = [ethernet(packet, (0x8100, 20)) for packet in packets]
    label, bottom = struct.pack(">I", 100 << 12 | 64), struct.pack(">I", 101 << 12 | 1 << 8 | 64)
    proto = 41 if kind == IPV6 else 4
    erspan2 = struct.pack(">HHI", 0x1000 | 100, 7, 0)
    erspan3 = struct.pack(">HHIHH", 0x2000, 7, 0, 0, 0)
    erspan3_long = erspan3[:-1] + b"\1" + bytes(8)
    gtp = struct.pack(">BBHI", 0x30, 255, 0, 1)
    ppp = 0x57 if kind == IPV6 else 0x21
    return {
        "plain": frames,
        "vlan": tagged,
        "provider": [ethernet(packet, (0x88A8, 7), (0x8100, 20)) for packet in packets],
        "three tags": [ethernet(packet, (0x88A8, 7), (0x9100, 9), (0x8100, 20)) for packet in packets],
        "gre": [ethernet(gre(kind, packet)) for packet in packets],
        "gre with all words": [ethernet(gre(kind, packet, CHECKSUM | KEY | SEQUENCE)) for packet in packets],
        "gre behind options": [ethernet(gre(kind, packet, KEY, options=3)) for packet in packets],
        "gre bridged": [ethernet(gre(BRIDGED, each)) for each in tagged],
        "erspan 1": [ethernet(gre(ERSPAN, each)) for each in frames],
        "erspan 2": [ethernet(gre(ERSPAN, erspan2 + each, SEQUENCE)) for each in tagged],
        "erspan 3": [ethernet(gre(ERSPAN3, erspan3 + each, SEQUENCE)) for each in frames],
        "erspan 3 with subheader": [ethernet(gre(ERSPAN3, erspan3_long + each, SEQUENCE)) for each in tagged],
        "vxlan": [ethernet(over_udp(4789, b"\x08\0\0\0\0\0\x2a\0" + each)) for each in frames],
        "geneve": [ethernet(over_udp(6081, b"\0\0\x65\x58\0\0\x2a\0" + each)) for each in frames],
        "geneve with options": [
            ethernet(over_udp(6081, struct.pack(">BBHI", 3, 0, kind, 0x2A00) + bytes(12) + packet))
            for packet in packets
        ],
        "gtp": [ethernet(over_udp(2152, gtp + packet)) for packet in packets],
        "gtp numbered": [ethernet(over_udp(2152, b"\x32" + gtp[1:] + bytes(4) + packet)) for packet in packets],
        "gtp with extension": [
            ethernet(over_udp(2152, b"\x34" + gtp[1:] + b"\0\0\0\x85" + b"\1\0\0\0" + packet)) for packet in packets
        ],
        "tzsp": [ethernet(over_udp(37008, b"\1\0\0\1\1" + each)) for each in frames],
        "tzsp with fields": [ethernet(over_udp(37008, b"\1\0\0\1\0\x0a\1\x2c\1" + each)) for each in frames],
        "ip in ip": [ethernet(ip_packet(proto, packet)) for packet in packets],
        "ip in ipv6": [ethernet(ip_packet(proto, packet, "2001:db8::f", "2001:db8::e")) for packet in packets],
        "mpls": [frame(0x8847, bottom + packet) for packet in packets],
        "mpls of three": [frame(0x8847, label + label + bottom + packet, (0x8100, 20)) for packet in packets],
        "pseudowire": [frame(0x8847, label + bottom + bytes(4) + each) for each in frames],
        "pppoe": [
            frame(0x8864, struct.pack(">BBHHH", 0x11, 0, 1, 2 + len(packet), ppp) + packet, (0x8100, 20))
            for packet in packets
        ],
        "gtp in erspan 2": [
            ethernet(gre(ERSPAN, erspan2 + ethernet(over_udp(2152, gtp + packet)), SEQUENCE)) for packet in packets
        ],
    }
