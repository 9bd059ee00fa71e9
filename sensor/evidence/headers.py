"""How far the headers of a frame reach: what evidence may keep of it.

Reading list: IEEE 802.1Q-2022 section 9, RFC 791 section 3.1, RFC 8200 section 4, RFC 768, RFC 9293 section 3.1,
RFC 3550 section 5.1, RFC 5761 section 4.

Offsets are counted here rather than by dpkt, which takes apart the payload too and believes its lengths. A length from
the wire is checked against the layer around it; where anything does not fit, nothing of the frame is kept.
"""

from __future__ import annotations

from typing import NamedTuple

from sensor.capture.linktypes import LINKTYPE_ETHERNET, LINKTYPE_RAW

ETHERTYPE_IPV4, ETHERTYPE_IPV6 = 0x0800, 0x86DD
VLANS = frozenset((0x8100, 0x88A8, 0x9100, 0x9200))
MAX_VLAN_TAGS = 4
MAX_EXTENSIONS = 8
TCP, UDP = 6, 17  # IANA protocol numbers
FRAGMENT, AUTHENTICATION = 44, 51
COUNTED = frozenset((0, 43, 60))  # in units of eight, less one: hop-by-hop, routing, destination
ETHERNET_OCTETS, TAG_OCTETS, IPV4_OCTETS, IPV6_OCTETS, UDP_OCTETS, TCP_OCTETS = 14, 4, 20, 40, 8, 20
RTP_OCTETS = 12  # the fixed header; CSRCs and header extensions (audio levels, RFC 6464) are payload here
RTCP_TYPES = range(192, 224)  # of the second octet: no RTP where the two share a port
# What comes here may look like RTP and have a digit or text in its first twelve octets: DNS, H.323 RAS, MGCP, Megaco,
# IAX2, whose frame type and key are octets eleven and twelve (RFC 5456 section 8.1.1)
NEVER_RTP = frozenset((53, 1718, 1719, 2427, 2727, 2944, 2945, 4569, 5353))


class Headers(NamedTuple):
    """Whose a packet is, and how many of its octets are headers."""

    source: bytes  # packed addresses
    target: bytes
    octets: int  # to the end of the transport header
    rtp_octets: int  # of an RTP header behind it; 0: none that is to be seen whole


def find_headers(frame: bytes, linktype: int) -> Headers | None:
    """Return where the headers of a frame end; None when that cannot be told with certainty. It never raises."""
    if linktype == LINKTYPE_ETHERNET:
        return _ethernet(frame)
    if linktype == LINKTYPE_RAW and frame:
        return _ip(frame, 0, frame[0] >> 4)
    return None


def _ethernet(frame: bytes) -> Headers | None:
    at = ETHERNET_OCTETS
    for _ in range(MAX_VLAN_TAGS + 1):
        if len(frame) < at:
            return None
        kind = int.from_bytes(frame[at - 2 : at])
        if kind not in VLANS:
            version = {ETHERTYPE_IPV4: 4, ETHERTYPE_IPV6: 6}.get(kind, 0)
            return _ip(frame, at, version)
        at += TAG_OCTETS
    return None


def _ip(frame: bytes, at: int, version: int) -> Headers | None:
    if len(frame) <= at or frame[at] >> 4 != version:
        return None
    if version == 4:  # noqa: PLR2004  (the number is the name)
        return _ipv4(frame, at)
    return _ipv6(frame, at) if version == 6 else None  # noqa: PLR2004


def _ipv4(frame: bytes, at: int) -> Headers | None:
    if len(frame) < at + IPV4_OCTETS:
        return None
    head, total = (frame[at] & 15) * 4, int.from_bytes(frame[at + 2 : at + 4])
    offset = int.from_bytes(frame[at + 6 : at + 8])
    if not IPV4_OCTETS <= head <= total or offset & 0x1FFF:
        return None
    whole = not offset & 0x2000
    source, target = frame[at + 12 : at + 16], frame[at + 16 : at + 20]
    return _transport(frame, at + head, at + total, frame[at + 9], (source, target), whole=whole)


def _ipv6(frame: bytes, at: int) -> Headers | None:
    if len(frame) < at + IPV6_OCTETS:
        return None
    end = at + IPV6_OCTETS + int.from_bytes(frame[at + 4 : at + 6])
    hosts = frame[at + 8 : at + 24], frame[at + 24 : at + 40]
    kind, whole = frame[at + 6], True
    at += IPV6_OCTETS
    for _ in range(MAX_EXTENSIONS + 1):
        if kind in {TCP, UDP}:
            return _transport(frame, at, end, kind, hosts, whole=whole)
        if kind not in {*COUNTED, FRAGMENT, AUTHENTICATION} or len(frame) < at + 8:
            return None
        octets = (frame[at + 1] + 1) * 8
        if kind == FRAGMENT:
            offset = int.from_bytes(frame[at + 2 : at + 4])
            if offset & 0xFFF8:
                return None
            whole, octets = not offset & 1, 8
        elif kind == AUTHENTICATION:  # RFC 4302 section 2.2: in units of four, less two
            octets = (frame[at + 1] + 2) * 4
        kind, at = frame[at], at + octets
    return None


def _transport(
    frame: bytes, at: int, end: int, kind: int, hosts: tuple[bytes, bytes], *, whole: bool
) -> Headers | None:
    """``end`` is where the IP packet ends; what a frame has behind it is padding, and no more known than payload."""
    reach = min(len(frame), end)
    if kind == UDP and reach >= at + UDP_OCTETS:
        claimed = int.from_bytes(frame[at + 4 : at + 6])
        if claimed < UDP_OCTETS or (whole and at + claimed > end):
            return None
        ports = int.from_bytes(frame[at : at + 2]), int.from_bytes(frame[at + 2 : at + 4])
        payload = frame[at + UDP_OCTETS : min(reach, at + claimed)]
        media = NEVER_RTP.isdisjoint(ports) and _is_media(payload)
        return Headers(*hosts, at + UDP_OCTETS, RTP_OCTETS if media else 0)
    if kind == TCP and reach >= at + TCP_OCTETS:
        octets = (frame[at + 12] >> 4) * 4
        if octets >= TCP_OCTETS and reach >= at + octets:
            return Headers(*hosts, at + octets, 0)
    return None


def _is_media(payload: bytes) -> bool:
    return len(payload) >= RTP_OCTETS and payload[0] >> 6 == 2 and payload[1] not in RTCP_TYPES  # noqa: PLR2004
