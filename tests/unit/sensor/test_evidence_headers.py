"""Where the headers of a frame end: what evidence keeps, and that nothing is kept of what is not understood."""

from __future__ import annotations

import struct

import dpkt
import pytest

from sensor.evidence.headers import MAX_EXTENSIONS, MAX_VLAN_TAGS, NEVER_RTP, find_headers
from tests.packets import (
    A6,
    B6,
    ETHERNET,
    LOOP,
    RAW,
    SLL,
    A,
    B,
    End,
    ethernet,
    frame,
    headers_only,
    ip,
    rtp,
    tcp,
    udp,
)

VOICE = b"voice" * 32
SIP = b"INVITE sip:5550188412@example.org SIP/2.0\r\n\r\n"
RTP = rtp(7, VOICE)


def extended(chain: list[tuple[int, bytes]], segment: bytes, kind: int = 17) -> bytes:
    """Return an IPv6 frame with extension headers, (protocol number, octets without the first)."""
    kinds = [number for number, _ in chain] + [kind]
    body = b"".join(bytes((kinds[n + 1],)) + octets for n, (_, octets) in enumerate(chain)) + segment
    return frame(0x86DD, struct.pack(">IHBB", 6 << 28, len(body), kinds[0], 64) + bytes(range(32)) + body)


def datagram(payload: bytes, sport: int = 16000, dport: int = 17000, claimed: int | None = None) -> bytes:
    return struct.pack(">HHHH", sport, dport, 8 + len(payload) if claimed is None else claimed, 0) + payload


OPTIONS = b"\x00\x04" + bytes(4)  # seven octets behind the first: a header of eight with nothing in it
HOP, ROUTING, DESTINATION, FRAGMENT, AUTHENTICATION = 0, 43, 60, 44, 51


@pytest.mark.parametrize(
    ("octets", "headers"),
    [
        (ethernet(udp(RTP)), 14 + 20 + 8 + 12),
        (ethernet(udp(RTP), (0x8100, 5)), 14 + 4 + 20 + 8 + 12),
        (ethernet(udp(RTP), *[(0x88A8, 5)] * MAX_VLAN_TAGS), 14 + 4 * MAX_VLAN_TAGS + 20 + 8 + 12),
        (ethernet(udp(RTP, options=b"\x94\x04\0\0")), 14 + 24 + 8 + 12),
        (ethernet(udp(RTP, A6, B6)), 14 + 40 + 8 + 12),
        (ethernet(udp(rtp(7, VOICE, csrcs=(1, 2), extension=b"\x10\xff\0\0"))), 14 + 20 + 8 + 12),
        (ethernet(udp(RTP[:12])), 14 + 20 + 8 + 12),
        (ethernet(udp(RTP[:11])), 14 + 20 + 8),
        (ethernet(udp(b"\x80\xc8" + RTP[2:])), 14 + 20 + 8),
        (ethernet(udp(b"\x80\xdf" + RTP[2:])), 14 + 20 + 8),
        (ethernet(udp(b"\x80\xe0" + RTP[2:])), 14 + 20 + 8 + 12),
        (ethernet(udp(SIP)), 14 + 20 + 8),
        (ethernet(udp(b"")), 14 + 20 + 8),
        (ethernet(tcp(SIP)), 14 + 20 + 20),
        (ethernet(tcp(RTP)), 14 + 20 + 20),
        (ethernet(tcp(SIP, options=bytes(40))), 14 + 20 + 60),
        (extended([(HOP, b"\0" + bytes(6)), (DESTINATION, b"\1" + bytes(14))], datagram(RTP)), 14 + 40 + 24 + 8 + 12),
        (extended([(AUTHENTICATION, b"\4" + bytes(22))], datagram(RTP)), 14 + 40 + 24 + 8 + 12),
        (extended([(FRAGMENT, b"\0\0\1" + bytes(4))], datagram(RTP, claimed=4000)), 14 + 40 + 8 + 8 + 12),
    ],
    ids=[
        "rtp", "vlan", "vlans", "options", "ipv6", "rtp-extended", "rtp-empty", "rtp-short", "rtcp-first", "rtcp-last",
        "rtp-marked", "sip", "udp-empty", "sip-tcp", "rtp-tcp", "tcp-options", "extensions", "authenticated",
        "first-fragment",
    ],
)  # fmt: skip
def test_frame_is_cut_behind_its_headers(octets: bytes, headers: int) -> None:
    assert headers_only(octets, ETHERNET) == octets[:headers]


def test_packet_without_link_header_is_cut_behind_its_headers() -> None:
    for packet, headers in ((udp(RTP), 20 + 8 + 12), (udp(RTP, A6, B6), 40 + 8 + 12)):
        assert headers_only(packet, RAW) == packet[:headers]


def test_frame_shows_its_hosts() -> None:
    found = find_headers(ethernet(udp(RTP)), ETHERNET)
    assert found is not None
    assert (found.source, found.target) == (bytes((192, 0, 2, 10)), bytes((198, 51, 100, 20)))
    found = find_headers(ethernet(udp(RTP, A6, B6)), ETHERNET)
    assert found is not None
    assert (found.source[:4], found.target[-1]) == (b"\x20\x01\x0d\xb8", 0x20)


def patched(octets: bytes, at: int, *values: int) -> bytes:
    return octets[:at] + bytes(values) + octets[at + len(values) :]


@pytest.mark.parametrize(
    "octets",
    [
        b"",
        frame(0x0806, bytes(28)),
        frame(46, udp(RTP)),
        frame(0x8847, b"\0\0\1\xff" + udp(RTP)),
        frame(0x8864, b"\x11\0\0\1\0\xc8\0\x21" + udp(RTP)),
        frame(0, bytes(60)),
        ethernet(udp(RTP), *[(0x8100, 5)] * (MAX_VLAN_TAGS + 1)),
        frame(0x86DD, udp(RTP)),
        patched(ethernet(udp(RTP)), 14, 0x44),
        patched(ethernet(udp(RTP)), 16, 0, 19),
        patched(ethernet(udp(RTP)), 16, 0, 27),
        patched(ethernet(tcp(SIP)), 16, 0, 39),
        patched(ethernet(udp(RTP)), 16, 0, 27, 0, 0, 0x20),
        patched(ethernet(udp(RTP)), 20, 0, 1),
        patched(ethernet(udp(RTP)), 23, 47),
        patched(ethernet(udp(RTP)), 23, 4),
        patched(ethernet(udp(RTP)), 38, 0, 7),
        patched(ethernet(udp(RTP)), 38, 0, 8 + len(RTP) + 1),
        patched(ethernet(tcp(SIP)), 46, 0x40),
        patched(ethernet(tcp(b"")), 46, 0x60),
        extended([(FRAGMENT, b"\0\0\x09" + bytes(4))], datagram(RTP)),
        extended([(50, OPTIONS)], datagram(RTP)),
        extended([(DESTINATION, b"\xff" + bytes(6))], datagram(RTP)),
        extended([(DESTINATION, b"\0" + bytes(6))] * (MAX_EXTENSIONS + 1), datagram(RTP)),
        extended([], datagram(RTP), kind=58),
    ],
    ids=[
        "empty", "arp", "llc", "mpls", "pppoe", "nothing", "vlans", "not-ipv6", "header-short", "total-in-header",
        "total-in-udp", "total-in-tcp", "first-fragment-in-udp",
        "fragment", "gre", "ipip", "udp-short", "udp-long", "tcp-short", "tcp-long", "fragment6",
        "esp", "extension-long", "extensions", "icmp6",
    ],
)  # fmt: skip
def test_frame_that_is_not_understood_is_not_kept(octets: bytes) -> None:
    assert headers_only(octets, ETHERNET) is None


@pytest.mark.parametrize("linktype", [LOOP, SLL, 0, -1])
def test_other_link_type_is_not_kept(linktype: int) -> None:
    assert headers_only(ethernet(udp(RTP)), linktype) is None
    assert headers_only(b"", RAW) is None


def test_most_extensions_are_passed() -> None:
    octets = extended([(DESTINATION, b"\0" + bytes(6))] * MAX_EXTENSIONS, datagram(RTP))
    assert headers_only(octets, ETHERNET) == octets[: 14 + 40 + 8 * MAX_EXTENSIONS + 8 + 12]


def test_padding_behind_the_datagram_is_no_rtp() -> None:
    packet = ip(dpkt.udp.UDP(sport=A.port, dport=B.port, ulen=8 + 4, data=RTP[:4]))
    assert headers_only(ethernet(packet) + RTP[4:], ETHERNET) == ethernet(packet)[: 14 + 20 + 8]
    # … nor what an IP packet has behind its datagram (RFC 9868)
    surplus = patched(ethernet(udp(RTP)), 38, 0, 8 + 4)
    assert headers_only(surplus, ETHERNET) == surplus[: 14 + 20 + 8]


@pytest.mark.parametrize("port", sorted(NEVER_RTP))
def test_key_of_an_iax2_frame_is_no_rtp(port: int) -> None:
    """A full frame begins with a bit and a call number, and has its type and the key where RTP has a source."""
    full = bytes((0x80, 1, 0, 2, 0, 0, 0, 9, 1, 1, 1, ord("7")))
    for ends in ((End(A.ip, port), B), (A, End(B.ip, port))):
        octets = ethernet(udp(full, *ends))
        assert headers_only(octets, ETHERNET) == octets[: 14 + 20 + 8]
