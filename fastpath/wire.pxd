"""From a captured frame to its transport payload and flow key, through tunnels where there are some.

Read first: IEEE 802.1Q-2022 section 9, RFC 791 section 3.1, RFC 8200 sections 3 and 4, RFC 768, RFC 9293 section 3.1,
RFC 2784, RFC 2890 and RFC 2637 (GRE), draft-foschiano-erspan, RFC 2516 (PPPoE), and tcpdump.org/linktypes.html; other
tunnels are in tunnels.pxd. Every length from the wire is checked against the layer around it and against what was
captured; a frame cut by the snap length is decoded as far as its headers reach.
"""

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t

from fastpath.block cimport PacketRef
from fastpath.octets cimport be16, be32, fold, raw32, raw64
from fastpath.reasons cimport (
    CLASSIFIED, IGNORED_ARP, IGNORED_ESP, IGNORED_ETHERTYPE, IGNORED_FRAGMENT, IGNORED_GRE, IGNORED_HEP, IGNORED_ICMP,
    IGNORED_IGMP, IGNORED_IP_PROTOCOL, IGNORED_L2TP, IGNORED_LINKTYPE, IGNORED_LLC, IGNORED_LLDP, IGNORED_MACSEC,
    IGNORED_MPLS, IGNORED_PPP, IGNORED_PPPOE, IGNORED_SCTP, IGNORED_TUNNEL_DEPTH, MALFORMED_GRE, MALFORMED_IPV4,
    MALFORMED_IPV6, MALFORMED_LINK, MALFORMED_PPPOE, MALFORMED_TCP, MALFORMED_UDP, MALFORMED_VLAN,
)
from fastpath.tunnels cimport (
    ETHERTYPE_BRIDGED, ETHERTYPE_ERSPAN, ETHERTYPE_ERSPAN3, ETHERTYPE_IPV4, ETHERTYPE_IPV6, ETHERTYPE_MPLS,
    ETHERTYPE_PPP, HEP_PORT, LAST_LOW_PORT, TUNNEL_6IN4, TUNNEL_ERSPAN1, TUNNEL_ERSPAN2, TUNNEL_ERSPAN3, TUNNEL_GRE,
    TUNNEL_HEP3, TUNNEL_IPIP, TUNNEL_L2TP, TUNNEL_MPLS, TUNNEL_PPPOE, TZSP_PORT, Opening, Reported, mpls_header,
    open_hep, open_l2tpv3, open_udp_tunnel, ppp_header,
)

cdef enum:
    PROTO_TCP = 6
    PROTO_UDP = 17

    TCP_FIN = 0x01
    TCP_SYN = 0x02
    TCP_RST = 0x04

    MAX_VLAN_TAGS = 4
    MAX_ATTRIBUTES = 32         # of a packet of netfilter's log
    MAX_IPV6_EXTENSIONS = 8
    MAX_TUNNELS = 4             # in one another

    # What decode_packet says beside the reasons
    DECODE_INNER = -1           # Decoded.inner has another packet in it
    DECODE_FRAGMENT = -2        # Decoded.fragment is a part of a datagram
    DECODE_REPORTED = -3        # the packet is another's, whose ends are in the key

    LINKTYPE_NULL = 0
    LINKTYPE_ETHERNET = 1
    LINKTYPE_PPP = 9
    DLT_RAW_BSD = 12
    LINKTYPE_PPP_HDLC = 50
    LINKTYPE_PPP_ETHER = 51
    LINKTYPE_RAW = 101
    LINKTYPE_LOOP = 108
    LINKTYPE_LINUX_SLL = 113
    LINKTYPE_PPP_PPPD = 166
    LINKTYPE_IPV4 = 228
    LINKTYPE_IPV6 = 229
    LINKTYPE_NFLOG = 239
    LINKTYPE_LINUX_SLL2 = 276


cdef struct FlowKeyBits:
    # The two endpoints in a fixed order ("low", "high"), so that both directions give one key. An IPv4 address is
    # held as ::ffff:a.b.c.d (RFC 4291 section 2.5.5.2). Words are as they lie in memory: only compared, never counted.
    uint64_t low[2]
    uint64_t high[2]
    uint32_t ports          # low's port in the upper half
    uint32_t meta           # outer VLAN 12 bits, inner VLAN 12 bits, IP protocol 8 bits


cdef struct Inner:              # a packet in a packet
    const uint8_t* data
    uint32_t captured
    uint32_t wire
    uint32_t vlans              # tags that were met around it, where it is on the same link
    uint16_t ethertype


cdef struct Fragment:           # of a datagram between two addresses
    const uint8_t* data         # after the IP headers
    uint64_t[2] src
    uint64_t[2] dst
    uint32_t id
    uint32_t at                 # in the datagram, octets
    uint32_t captured
    uint32_t length
    uint8_t more
    uint8_t proto


cdef struct Decoded:
    FlowKeyBits key
    uint64_t hash
    uint64_t ts_ns
    const uint8_t* payload
    const uint8_t* ethernet     # the frame's header (IEEE 802.3 section 3.2); NULL where the packet has none of its own
    uint32_t payload_len    # octets that were captured
    uint32_t payload_wire   # octets that the headers claim
    uint32_t wirelen
    uint32_t tcp_seq
    uint32_t mark               # IPv4 identifier in the upper half, the transport's checksum in the lower
    uint8_t from_high       # 1 when the sender is the key's high end
    uint8_t tos
    uint8_t tcp_flags
    uint8_t proto
    uint8_t cut             # it was longer before it came here: a mirror may cut packets, as a snap length does
    uint32_t tunnels        # TUNNEL_…, one an octet, the innermost in the lowest
    Inner inner
    Fragment fragment


cdef struct HashSecret:
    uint64_t word[4]


cdef inline uint64_t hash_key(const FlowKeyBits* k, const HashSecret* s) noexcept nogil:
    cdef uint64_t h = fold(k.low[1] ^ s.word[0], k.high[1] ^ s.word[1])
    if k.low[0] | k.high[0]:
        h ^= fold(k.low[0] ^ s.word[2], k.high[0] ^ s.word[3])
    return fold(h ^ ((<uint64_t>k.ports << 32) | k.meta), s.word[2] ^ 0x9E3779B97F4A7C15ULL)


cdef inline bint same_key(const FlowKeyBits* x, const FlowKeyBits* y) noexcept nogil:
    return ((x.low[1] ^ y.low[1]) | (x.high[1] ^ y.high[1]) | (x.low[0] ^ y.low[0]) | (x.high[0] ^ y.high[0])
            | (x.ports ^ y.ports) | (x.meta ^ y.meta)) == 0


cdef inline void set_ends(Decoded* d, uint64_t src0, uint64_t src1, uint64_t dst0, uint64_t dst1,
                          uint16_t sport, uint16_t dport) noexcept nogil:
    cdef bint swap
    if src1 != dst1:
        swap = src1 > dst1
    elif src0 != dst0:
        swap = src0 > dst0
    else:
        swap = sport > dport
    d.from_high = swap
    if swap:
        d.key.low[0] = dst0
        d.key.low[1] = dst1
        d.key.high[0] = src0
        d.key.high[1] = src1
        d.key.ports = (<uint32_t>dport << 16) | sport
    else:
        d.key.low[0] = src0
        d.key.low[1] = src1
        d.key.high[0] = dst0
        d.key.high[1] = dst1
        d.key.ports = (<uint32_t>sport << 16) | dport


cdef inline int other_protocol(uint8_t proto) noexcept nogil:
    if proto == 1 or proto == 58:
        return IGNORED_ICMP
    if proto == 2:
        return IGNORED_IGMP
    if proto == 50 or proto == 51:
        return IGNORED_ESP
    if proto == 132:
        return IGNORED_SCTP
    return IGNORED_IP_PROTOCOL


cdef inline int enter_tunnel(Decoded* d, uint8_t tunnel, const uint8_t* p, uint32_t captured, uint32_t wire,
                             uint16_t ethertype, uint32_t vlans) noexcept nogil:
    d.tunnels = d.tunnels << 8 | tunnel
    d.inner.data = p
    d.inner.captured = captured
    d.inner.wire = wire
    d.inner.ethertype = ethertype
    d.inner.vlans = vlans
    return DECODE_INNER


cdef inline int decode_mpls(const uint8_t* p, uint32_t captured, uint32_t wire, uint32_t vlans,
                            Decoded* d) noexcept nogil:
    cdef uint16_t ethertype = 0
    cdef uint32_t head = mpls_header(p, captured, wire, &ethertype)
    if head == 0:
        return IGNORED_MPLS
    return enter_tunnel(d, TUNNEL_MPLS, p + head, captured - head, wire - head, ethertype, vlans)


cdef inline int decode_ppp(const uint8_t* p, uint32_t captured, uint32_t wire, Decoded* d) noexcept nogil:
    cdef uint16_t ethertype = 0
    cdef uint32_t head = ppp_header(p, captured, &ethertype)
    if head == 0:
        return IGNORED_PPP
    return decode_ethertype(p + head, captured - head, wire - head, ethertype, 0, d)


cdef inline int decode_hep(Decoded* d) noexcept nogil:
    """Take the packet that an agent reports, if it went by UDP: of TCP it has no sequence numbers."""
    cdef Reported r
    cdef uint64_t[2] src
    cdef uint64_t[2] dst
    if not open_hep(d.payload, d.payload_len, d.payload_wire, &r):
        return CLASSIFIED
    if r.proto != PROTO_UDP:
        return IGNORED_HEP
    if d.tunnels >> (8 * (MAX_TUNNELS - 1)):
        return IGNORED_TUNNEL_DEPTH
    src[0] = dst[0] = 0
    if r.is_ipv6:
        src[0] = raw64(r.src)
        src[1] = raw64(r.src + 8)
        dst[0] = raw64(r.dst)
        dst[1] = raw64(r.dst + 8)
    else:
        src[1] = (<uint64_t>raw32(r.src) << 32) | 0xFFFF0000U
        dst[1] = (<uint64_t>raw32(r.dst) << 32) | 0xFFFF0000U
    set_ends(d, src[0], src[1], dst[0], dst[1], r.sport, r.dport)
    d.tunnels = d.tunnels << 8 | TUNNEL_HEP3
    d.ethernet = NULL
    d.payload = r.payload
    d.payload_len = d.payload_wire = r.octets
    return DECODE_REPORTED


cdef inline int enter_udp_tunnel(Decoded* d, uint16_t sport, uint16_t dport) noexcept nogil:
    """What a port alone does not say, the octets must: CLASSIFIED when this is no tunnel."""
    cdef Opening o
    if dport == HEP_PORT:
        return decode_hep(d)
    if not open_udp_tunnel(sport, dport, d.payload, d.payload_len, d.payload_wire, &o):
        return CLASSIFIED
    return enter_tunnel(d, o.tunnel, d.payload + o.head, d.payload_len - o.head, d.payload_wire - o.head, o.ethertype,
                        0)


cdef inline int decode_gre(const uint8_t* p, uint32_t captured, uint32_t claimed, Decoded* d) noexcept nogil:
    # RFC 2784 section 2, RFC 2890 section 2. ERSPAN is known by its type and by whether packets are counted.
    cdef uint32_t at = 4
    cdef uint16_t flags, kind
    cdef uint8_t tunnel = TUNNEL_GRE
    if captured < 4:
        return MALFORMED_GRE
    flags = be16(p)
    kind = be16(p + 2)
    if flags & 0x6007 == 0x2001 and kind == ETHERTYPE_PPP:
        # RFC 2637 section 4.1: a key, and then what is counted, what is acknowledged or both
        at = 8 + (flags >> 12 & 1) * 4 + (flags >> 7 & 1) * 4
    elif flags & 0x4007:            # source routes, or another version
        return IGNORED_GRE
    else:
        at += ((flags >> 15 & 1) + (flags >> 13 & 1) + (flags >> 12 & 1)) * 4
    if kind == ETHERTYPE_ERSPAN:
        kind = ETHERTYPE_BRIDGED
        tunnel = TUNNEL_ERSPAN1
        if flags & 0x1000:
            if at + 8 > captured or p[at] >> 4 != 1:
                return MALFORMED_GRE
            tunnel = TUNNEL_ERSPAN2
            at += 8
    elif kind == ETHERTYPE_ERSPAN3:
        if at + 12 > captured or p[at] >> 4 != 2:
            return MALFORMED_GRE
        tunnel = TUNNEL_ERSPAN3
        kind = ETHERTYPE_BRIDGED if p[at + 10] >> 2 & 0x1F == 0 else 0
        at += 20 if p[at + 11] & 1 else 12
    if at > captured or at > claimed:
        return MALFORMED_GRE
    if kind == ETHERTYPE_PPP:
        at += ppp_header(p + at, captured - at, &kind)
    if (kind != ETHERTYPE_BRIDGED and kind != ETHERTYPE_IPV4 and kind != ETHERTYPE_IPV6 and kind != ETHERTYPE_MPLS):
        return IGNORED_GRE
    return enter_tunnel(d, tunnel, p + at, captured - at, claimed - at, kind, 0)


cdef inline int decode_pppoe(const uint8_t* p, uint32_t captured, uint32_t wire, uint32_t vlans,
                             Decoded* d) noexcept nogil:
    # RFC 2516 section 4: version and type 1, code 0 for a session's data; then PPP's protocol (RFC 1661 section 2).
    cdef uint32_t length
    cdef uint16_t protocol
    if captured < 8 or p[0] != 0x11 or p[1] != 0:
        return MALFORMED_PPPOE
    length = be16(p + 4)
    protocol = be16(p + 6)
    if length < 2 or length + 6 > wire:
        return MALFORMED_PPPOE
    if protocol != 0x0021 and protocol != 0x0057:
        return IGNORED_PPPOE
    return enter_tunnel(d, TUNNEL_PPPOE, p + 8, min(captured - 8, length - 2), length - 2,
                        ETHERTYPE_IPV4 if protocol == 0x0021 else ETHERTYPE_IPV6, vlans)


cdef inline int decode_transport(const uint8_t* p, uint32_t captured, uint32_t claimed, uint8_t proto,
                                 uint16_t* sport, uint16_t* dport, Decoded* d) noexcept nogil:
    # captured and claimed: octets from the transport header on, as captured and by the IP header.
    cdef uint32_t length, header
    cdef Opening o
    d.proto = proto
    d.tcp_flags = 0
    if proto == PROTO_UDP:
        if captured < 8:
            return MALFORMED_UDP
        length = be16(p + 4)
        # RFC 2675: a jumbogram's UDP length is 0. Otherwise the length must fit the datagram around it.
        if length < 8 or length > claimed:
            return MALFORMED_UDP
        header = 8
        d.mark |= be16(p + 6)
    elif proto == PROTO_TCP:
        if captured < 20:
            return MALFORMED_TCP
        header = (p[12] >> 4) * 4
        if header < 20 or header > claimed:
            return MALFORMED_TCP
        length = claimed
        d.tcp_seq = be32(p + 4)
        d.tcp_flags = p[13]
        d.mark |= be16(p + 16)
    elif proto == 47:
        return decode_gre(p, captured, claimed, d)
    elif proto == 4:
        return enter_tunnel(d, TUNNEL_IPIP, p, captured, claimed, ETHERTYPE_IPV4, 0)
    elif proto == 41:
        return enter_tunnel(d, TUNNEL_6IN4, p, captured, claimed, ETHERTYPE_IPV6, 0)
    elif proto == 115:
        if not open_l2tpv3(p, captured, claimed, &o):
            return IGNORED_L2TP
        return enter_tunnel(d, TUNNEL_L2TP, p + o.head, captured - o.head, claimed - o.head, o.ethertype, 0)
    else:
        return other_protocol(proto)
    sport[0] = be16(p)
    dport[0] = be16(p + 2)
    d.payload_wire = length - header
    if header >= captured:
        d.payload = p + captured
        d.payload_len = 0
    else:
        d.payload = p + header
        d.payload_len = min(captured - header, d.payload_wire)
    if proto == PROTO_UDP and (dport[0] <= LAST_LOW_PORT or sport[0] <= LAST_LOW_PORT or dport[0] == TZSP_PORT):
        return enter_udp_tunnel(d, sport[0], dport[0])
    return CLASSIFIED


cdef inline void name_ip_in_ipv6(Decoded* d) noexcept nogil:
    # IPv6 in IPv6 (RFC 2473) has the protocol number of IPv6 in IPv4 (RFC 4213).
    if d.tunnels & 0xFF == TUNNEL_6IN4:
        d.tunnels = (d.tunnels & ~<uint32_t>0xFF) | TUNNEL_IPIP


cdef inline int decode_ipv4(const uint8_t* p, uint32_t captured, uint32_t wire, Decoded* d) noexcept nogil:
    cdef uint32_t header, total
    cdef uint16_t sport = 0, dport = 0
    cdef int reason
    if captured < 20 or p[0] >> 4 != 4:
        return MALFORMED_IPV4
    header = (p[0] & 15) * 4
    total = be16(p + 2)
    if total == 0:
        total = wire        # segmentation offload leaves it unset on the sending host
    if header < 20 or total < header or captured < header:
        return MALFORMED_IPV4
    d.cut |= total > wire
    d.tos = p[1]
    d.mark = <uint32_t>be16(p + 4) << 16
    if be16(p + 6) & 0x3FFF:
        d.fragment.src[0] = d.fragment.dst[0] = 0
        d.fragment.src[1] = (<uint64_t>raw32(p + 12) << 32) | 0xFFFF0000U
        d.fragment.dst[1] = (<uint64_t>raw32(p + 16) << 32) | 0xFFFF0000U
        d.fragment.id = be16(p + 4)
        d.fragment.proto = p[9]
        d.fragment.at = (be16(p + 6) & 0x1FFF) * 8
        d.fragment.more = p[6] >> 5 & 1
        d.fragment.data = p + header
        d.fragment.captured = min(captured, total) - header
        d.fragment.length = total - header
        return DECODE_FRAGMENT
    reason = decode_transport(p + header, min(captured, total) - header, total - header, p[9], &sport, &dport, d)
    if reason:
        return reason
    set_ends(d, 0, (<uint64_t>raw32(p + 12) << 32) | 0xFFFF0000U, 0, (<uint64_t>raw32(p + 16) << 32) | 0xFFFF0000U,
             sport, dport)
    return CLASSIFIED


cdef inline int decode_ipv6(const uint8_t* p, uint32_t captured, uint32_t wire, Decoded* d) noexcept nogil:
    cdef uint32_t total, at = 40
    cdef uint16_t sport = 0, dport = 0
    cdef uint8_t following
    cdef int reason
    if captured < 40 or p[0] >> 4 != 6:
        return MALFORMED_IPV6
    total = 40 + <uint32_t>be16(p + 4)
    if total == 40:
        total = wire
    d.cut |= total > wire
    following = p[6]
    d.mark = 0
    d.tos = ((p[0] & 15) << 4) | (p[1] >> 4)
    for _ in range(MAX_IPV6_EXTENSIONS):
        if following == 44:
            # RFC 8200 section 4.5; one that is whole by itself needs no other (RFC 6946).
            if at + 8 > captured or at + 8 > total:
                return MALFORMED_IPV6
            if be16(p + at + 2) & 0xFFF9:
                d.fragment.src[0] = raw64(p + 8)
                d.fragment.src[1] = raw64(p + 16)
                d.fragment.dst[0] = raw64(p + 24)
                d.fragment.dst[1] = raw64(p + 32)
                d.fragment.id = be32(p + at + 4)
                d.fragment.proto = p[at]
                d.fragment.at = be16(p + at + 2) & 0xFFF8
                d.fragment.more = p[at + 3] & 1
                d.fragment.data = p + at + 8
                d.fragment.captured = min(captured, total) - at - 8
                d.fragment.length = total - at - 8
                return DECODE_FRAGMENT
            following = p[at]
            at += 8
            continue
        if following != 0 and following != 43 and following != 60 and following != 135:
            break
        if at + 8 > captured or at + 8 > total:
            return MALFORMED_IPV6
        following = p[at]
        at += (<uint32_t>p[at + 1] + 1) * 8
    if at > captured or at > total:
        return MALFORMED_IPV6
    reason = decode_transport(p + at, min(captured, total) - at, total - at, following, &sport, &dport, d)
    if reason:
        name_ip_in_ipv6(d)
        return reason
    set_ends(d, raw64(p + 8), raw64(p + 16), raw64(p + 24), raw64(p + 32), sport, dport)
    return CLASSIFIED


cdef inline int decode_ethertype(const uint8_t* p, uint32_t captured, uint32_t wire, uint16_t ethertype,
                                 uint32_t vlans, Decoded* d) noexcept nogil:
    # vlans: tags already met, the outer one in the upper 12 of 24 bits.
    cdef uint32_t at = 0, vid, size
    cdef int tags = 0, reason
    while ethertype != ETHERTYPE_IPV4:
        if ethertype == 0x8100 or ethertype == 0x88A8 or ethertype == 0x9100 or ethertype == 0x9200:
            size = 4
        elif ethertype == 0x8926:
            size = 6                    # VN-Tag: of a virtual interface, on some packets of a conversation only
        elif ethertype == 0x893F:
            size = 8                    # IEEE 802.1BR section 7.5: the same of a port extender
        else:
            break
        if at + size > captured or tags == MAX_VLAN_TAGS:
            return MALFORMED_VLAN
        if size == 4:
            vid = be16(p + at) & 0x0FFF     # 0 is a priority tag: no VLAN (IEEE 802.1Q section 9.6)
            if vid:
                vlans = ((vlans & 0xFFF) << 12) | vid
        at += size
        ethertype = be16(p + at - 2)
        tags += 1
    if ethertype == ETHERTYPE_IPV4:
        reason = decode_ipv4(p + at, captured - at, wire - at, d)
    elif ethertype == 0x86DD:
        reason = decode_ipv6(p + at, captured - at, wire - at, d)
    elif ethertype == 0x0806:
        return IGNORED_ARP
    elif ethertype == 0x88CC:
        return IGNORED_LLDP
    elif ethertype == 0x88E5:
        return IGNORED_MACSEC
    elif ethertype == 0x8847 or ethertype == 0x8848:
        return decode_mpls(p + at, captured - at, wire - at, vlans, d)
    elif ethertype == 0x8864:
        return decode_pppoe(p + at, captured - at, wire - at, vlans, d)
    elif ethertype == 0x8863:
        return IGNORED_PPPOE
    elif ethertype <= 1500:
        return IGNORED_LLC
    else:
        return IGNORED_ETHERTYPE
    d.key.meta = (vlans << 8) | (d.fragment.proto if reason == DECODE_FRAGMENT else d.proto)
    return reason


cdef inline int decode_inner(Decoded* d) noexcept nogil:
    """Decode what is in a tunnel, or in tunnels in it."""
    cdef Inner inner
    cdef int reason = DECODE_INNER
    while reason == DECODE_INNER:
        if d.tunnels >> (8 * (MAX_TUNNELS - 1)):
            return IGNORED_TUNNEL_DEPTH
        inner = d.inner
        d.ethernet = NULL
        if inner.ethertype == ETHERTYPE_BRIDGED:
            if inner.captured < 14:
                return MALFORMED_LINK
            d.ethernet = inner.data
            reason = decode_ethertype(inner.data + 14, inner.captured - 14, inner.wire - 14, be16(inner.data + 12), 0,
                                      d)
        else:
            reason = decode_ethertype(inner.data, inner.captured, inner.wire, inner.ethertype, inner.vlans, d)
    return CLASSIFIED if reason == DECODE_REPORTED else reason


cdef inline int decode_raw_ip(const uint8_t* p, uint32_t captured, uint32_t wire, Decoded* d) noexcept nogil:
    if captured == 0:
        return MALFORMED_LINK
    if p[0] >> 4 == 4:
        return decode_ethertype(p, captured, wire, 0x0800, 0, d)
    if p[0] >> 4 == 6:
        return decode_ethertype(p, captured, wire, 0x86DD, 0, d)
    return MALFORMED_LINK


cdef inline int decode_nflog(const uint8_t* p, uint32_t captured, uint32_t wire, Decoded* d) noexcept nogil:
    # tcpdump.org/linktypes/LINKTYPE_NFLOG.html: attributes in the byte order of the capturing machine; little-endian
    # ones are read.
    cdef uint32_t at = 4, size, kind
    for _ in range(MAX_ATTRIBUTES):
        if at + 4 > captured:
            return MALFORMED_LINK
        size = p[at] | <uint32_t>p[at + 1] << 8
        kind = p[at + 2] | <uint32_t>p[at + 3] << 8
        if size < 4:
            return MALFORMED_LINK
        if kind == 9:                   # NFULA_PAYLOAD
            size = min(size - 4, captured - at - 4)
            return decode_raw_ip(p + at + 4, size, wire - at - 4, d)
        at += (size + 3) & ~<uint32_t>3
    return IGNORED_LINKTYPE


cdef inline int decode_packet(const PacketRef* ref, const HashSecret* secret, Decoded* d) noexcept nogil:
    """Fill ``d`` from a captured frame; return CLASSIFIED, DECODE_FRAGMENT or the reason why it is nothing of both.

    Of a fragment only ``d.fragment``, ``d.key.meta`` and what is said of the packet itself are set. ``d`` is
    unspecified after a reason.
    """
    cdef const uint8_t* p = ref.data
    cdef uint32_t n = ref.caplen, wire = max(ref.wirelen, ref.caplen), family, vlans = 0
    cdef int reason
    d.ts_ns = ref.ts_ns
    d.wirelen = ref.wirelen
    d.ethernet = NULL
    d.tunnels = 0
    d.cut = ref.caplen < ref.wirelen
    if ref.linktype == LINKTYPE_ETHERNET:
        if n < 14:
            return MALFORMED_LINK
        d.ethernet = p
        if ref.vlan_tpid:
            vlans = ref.vlan_tci & 0x0FFF
        reason = decode_ethertype(p + 14, n - 14, wire - 14, be16(p + 12), vlans, d)
    elif ref.linktype == LINKTYPE_LINUX_SLL:
        if n < 16:
            return MALFORMED_LINK
        reason = decode_ethertype(p + 16, n - 16, wire - 16, be16(p + 14), 0, d)
    elif ref.linktype == LINKTYPE_LINUX_SLL2:
        if n < 20:
            return MALFORMED_LINK
        reason = decode_ethertype(p + 20, n - 20, wire - 20, be16(p), 0, d)
    elif (ref.linktype == LINKTYPE_RAW or ref.linktype == DLT_RAW_BSD or ref.linktype == LINKTYPE_IPV4
            or ref.linktype == LINKTYPE_IPV6):
        reason = decode_raw_ip(p, n, wire, d)
    elif ref.linktype == LINKTYPE_NULL or ref.linktype == LINKTYPE_LOOP:
        # The address family is the capturing machine's own: its byte order and AF_INET6 differ between systems,
        # so the IP version decides.
        if n < 4:
            return MALFORMED_LINK
        family = raw32(p)
        if family == 0 or (family > 0xFF and family & 0x00FFFFFF):
            return IGNORED_LINKTYPE
        reason = decode_raw_ip(p + 4, n - 4, wire - 4, d)
    elif ref.linktype == LINKTYPE_PPP or ref.linktype == LINKTYPE_PPP_HDLC:
        reason = decode_ppp(p, n, wire, d)
    elif ref.linktype == LINKTYPE_PPP_PPPD:
        # The octet of the address says the direction instead (tcpdump.org/linktypes/LINKTYPE_PPP_PPPD.html).
        if n < 2:
            return MALFORMED_LINK
        reason = decode_ppp(p + 2, n - 2, wire - 2, d)
    elif ref.linktype == LINKTYPE_PPP_ETHER:
        reason = decode_pppoe(p, n, wire, 0, d)
    elif ref.linktype == LINKTYPE_NFLOG:
        reason = decode_nflog(p, n, wire, d)
    else:
        return IGNORED_LINKTYPE
    if reason == DECODE_INNER:
        reason = decode_inner(d)
    if reason == DECODE_REPORTED:
        reason = CLASSIFIED
    if reason == CLASSIFIED:
        d.hash = hash_key(&d.key, secret)
    return reason
