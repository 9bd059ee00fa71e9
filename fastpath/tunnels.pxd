"""Headers of tunnels: whether octets are one, how long it is and what comes behind it.

Read first: RFC 3032 (MPLS), RFC 4385 and RFC 4448 (pseudowires), RFC 7348 and draft-ietf-nvo3-vxlan-gpe (VXLAN),
RFC 8926 (Geneve), 3GPP TS 29.281 (GTP-U), RFC 2661 and RFC 3931 (L2TP), RFC 4380 (Teredo), RFC 1661 and RFC 1662 (PPP),
and the HEP3 protocol of the Homer project. A tunnel that only its port suggests is believed when its header is right
and a packet begins behind it; everything else is a datagram like others.
"""

from libc.stdint cimport uint8_t, uint16_t, uint32_t

from fastpath.octets cimport be16, be32

cdef enum:
    TUNNEL_PPPOE = 1
    TUNNEL_GRE = 2
    TUNNEL_ERSPAN1 = 3
    TUNNEL_ERSPAN2 = 4
    TUNNEL_ERSPAN3 = 5
    TUNNEL_VXLAN = 6
    TUNNEL_TZSP = 7
    TUNNEL_TURN = 8             # of media only (turn.pxd): its addresses are those of the flow around it
    TUNNEL_MPLS = 9
    TUNNEL_GENEVE = 10
    TUNNEL_GTPU = 11
    TUNNEL_L2TP = 12
    TUNNEL_IPIP = 13
    TUNNEL_6IN4 = 14
    TUNNEL_TEREDO = 15
    TUNNEL_HEP3 = 16

    L2TP_PORT = 1701
    GTPU_PORT = 2152
    TEREDO_PORT = 3544
    VXLAN_PORT = 4789
    VXLAN_GPE_PORT = 4790
    GENEVE_PORT = 6081
    HEP_PORT = 9060
    TZSP_PORT = 37008
    LAST_LOW_PORT = HEP_PORT    # of those but TZSP's: below the ports that media mostly has

    ETHERTYPE_IPV4 = 0x0800
    ETHERTYPE_IPV6 = 0x86DD
    ETHERTYPE_BRIDGED = 0x6558  # a whole Ethernet frame
    ETHERTYPE_MPLS = 0x8847
    ETHERTYPE_ERSPAN = 0x88BE
    ETHERTYPE_ERSPAN3 = 0x22EB
    ETHERTYPE_PPP = 0x880B

    MAX_LABELS = 8
    MAX_EXTENSIONS = 8          # headers of GTP-U, one behind the other
    MAX_CHUNKS = 64             # of HEP3


cdef struct Opening:            # of a tunnel
    uint32_t head               # octets before what is inside
    uint16_t ethertype          # of what is inside
    uint8_t tunnel


cdef struct Reported:           # a packet as HEP3 reports it; addresses as in a flow's key
    const uint8_t* src          # 4 or 16 octets
    const uint8_t* dst
    const uint8_t* payload
    uint32_t octets
    uint16_t sport
    uint16_t dport
    uint8_t is_ipv6
    uint8_t proto


cdef inline bint is_ip(const uint8_t* p, uint32_t captured, uint32_t wire) noexcept nogil:
    """Does an IP packet begin here that fits in?"""
    if captured >= 20 and p[0] >> 4 == 4:
        return p[0] & 15 >= 5 and (p[0] & 15) * 4 <= be16(p + 2) <= wire
    return captured >= 40 and p[0] >> 4 == 6 and 40 + <uint32_t>be16(p + 4) <= wire


cdef inline uint16_t ip_ethertype(const uint8_t* p) noexcept nogil:
    return ETHERTYPE_IPV4 if p[0] >> 4 == 4 else ETHERTYPE_IPV6


cdef inline bint is_frame(const uint8_t* p, uint32_t n) noexcept nogil:
    """Could this be an Ethernet frame of something that voice travels in, or ARP?"""
    cdef uint16_t ethertype
    if n < 14:
        return False
    ethertype = be16(p + 12)
    return (ethertype == ETHERTYPE_IPV4 or ethertype == ETHERTYPE_IPV6 or ethertype == 0x0806 or ethertype == 0x8100
            or ethertype == 0x88A8 or ethertype == 0x8864 or ethertype == 0x8863 or ethertype == 0x88CC
            or ethertype == ETHERTYPE_MPLS)


cdef inline bint is_ip_frame(const uint8_t* p, uint32_t captured, uint32_t wire) noexcept nogil:
    """Is this an Ethernet frame, tagged or not, in which an IP packet begins?"""
    cdef uint32_t at = 12
    for _ in range(3):
        if at + 2 > captured:
            return False
        if be16(p + at) != 0x8100 and be16(p + at) != 0x88A8:
            break
        at += 4
    if at + 2 > captured or (be16(p + at) != ETHERTYPE_IPV4 and be16(p + at) != ETHERTYPE_IPV6):
        return False
    at += 2
    return is_ip(p + at, captured - at, wire - at) and ip_ethertype(p + at) == be16(p + at - 2)


cdef inline uint32_t ppp_header(const uint8_t* p, uint32_t n, uint16_t* ethertype) noexcept nogil:
    """Octets of PPP's address, control and protocol, each as short as it may be (RFC 1661 section 6.5 and 6.6)."""
    cdef uint32_t at = 2 if n >= 2 and p[0] == 0xFF and p[1] == 3 else 0
    cdef uint16_t protocol
    if at + 2 > n:
        return 0
    if p[at] & 1:
        protocol = p[at]
        at += 1
    else:
        protocol = be16(p + at)
        at += 2
    if protocol == 0x21:
        ethertype[0] = ETHERTYPE_IPV4
    elif protocol == 0x57:
        ethertype[0] = ETHERTYPE_IPV6
    elif protocol == 0x281 or protocol == 0x283:
        ethertype[0] = ETHERTYPE_MPLS       # RFC 3032 section 4.3
    else:
        return 0
    return at


cdef inline uint32_t mpls_header(const uint8_t* p, uint32_t captured, uint32_t wire,
                                 uint16_t* ethertype) noexcept nogil:
    """Octets of a label stack, and of a pseudowire's control word behind it; 0 where what follows cannot be told.

    No label says what it carries (RFC 3032 section 2.2): IP shows by its version (RFC 4928 section 3), a frame by a
    control word that begins with 0 (RFC 4385 section 3) or by itself.
    """
    cdef uint32_t at = 0
    for _ in range(MAX_LABELS):
        if at + 4 > captured:
            return 0
        at += 4
        if p[at - 2] & 1:
            break
    else:
        return 0
    if is_ip(p + at, captured - at, wire - at):
        ethertype[0] = ip_ethertype(p + at)
        return at
    ethertype[0] = ETHERTYPE_BRIDGED
    if at + 4 <= captured and p[at] >> 4 == 0 and is_frame(p + at + 4, captured - at - 4):
        return at + 4
    return at if is_frame(p + at, captured - at) else 0


cdef inline uint32_t vxlan_header(const uint8_t* p, uint32_t n) noexcept nogil:
    # RFC 7348 section 5: only the flag of a valid identifier is set and what is reserved is zero, but for a group's
    # (draft-smith-vxlan-group-policy section 2.1).
    cdef bint plain = n >= 8 and be32(p) == 0x08000000
    cdef bint grouped = n >= 8 and p[0] == 0x88 and p[1] & 0xB7 == 0
    return 8 if (plain or grouped) and p[7] == 0 and is_frame(p + 8, n - 8) else 0


cdef inline bint open_gpe(const uint8_t* p, uint32_t captured, uint32_t wire, Opening* o) noexcept nogil:
    # draft-ietf-nvo3-vxlan-gpe section 3: version 0, an identifier and a next protocol.
    if captured < 8 or p[0] & 0xF4 != 0x04 or p[1] or p[2] or p[7]:
        return False
    o.head = 8
    if p[3] == 3:
        o.ethertype = ETHERTYPE_BRIDGED
        return is_frame(p + 8, captured - 8)
    if p[3] != 1 and p[3] != 2:
        return False
    o.ethertype = ETHERTYPE_IPV4 if p[3] == 1 else ETHERTYPE_IPV6
    return is_ip(p + 8, captured - 8, wire - 8) and ip_ethertype(p + 8) == o.ethertype


cdef inline bint open_geneve(const uint8_t* p, uint32_t captured, uint32_t wire, Opening* o) noexcept nogil:
    # RFC 8926 section 3.4: version 0, options in words of four octets; what is reserved is zero.
    cdef uint32_t head
    if captured < 8 or p[0] >> 6 or p[1] & 0x3F or p[7]:
        return False
    head = 8 + (p[0] & 0x3F) * 4
    if head > captured:
        return False
    o.head = head
    o.ethertype = be16(p + 2)
    if o.ethertype == ETHERTYPE_BRIDGED:
        return is_frame(p + head, captured - head)
    return ((o.ethertype == ETHERTYPE_IPV4 or o.ethertype == ETHERTYPE_IPV6)
            and is_ip(p + head, captured - head, wire - head) and ip_ethertype(p + head) == o.ethertype)


cdef inline bint open_gtpu(const uint8_t* p, uint32_t captured, uint32_t wire, Opening* o) noexcept nogil:
    # TS 29.281 section 5: version 1, a user's packet (255); the optional octets are there when any of three flags is.
    cdef uint32_t head = 8
    cdef uint8_t following
    if captured < 8 or p[0] & 0xF8 != 0x30 or p[1] != 0xFF or 8 + <uint32_t>be16(p + 2) != wire:
        return False
    if p[0] & 7:
        head = 12
        if captured < 12:
            return False
        following = p[11] if p[0] & 4 else 0
        for _ in range(MAX_EXTENSIONS):
            if following == 0:
                break
            if head + 4 > captured or p[head] == 0 or head + p[head] * 4 > captured:
                return False
            head += p[head] * 4
            following = p[head - 1]
        if following:
            return False
    o.head = head
    if not is_ip(p + head, captured - head, wire - head):
        return False
    o.ethertype = ip_ethertype(p + head)
    return True


cdef inline bint open_l2tpv3(const uint8_t* p, uint32_t captured, uint32_t wire, Opening* o) noexcept nogil:
    # RFC 3931 section 4.1: a session, then a cookie and a sublayer whose lengths only the two ends know.
    cdef uint32_t head
    if captured < 4 or be32(p) == 0:        # 0: a control message
        return False
    for head in range(4, 20, 4):
        if head <= captured and is_ip_frame(p + head, captured - head, wire - head):
            o.head = head
            o.ethertype = ETHERTYPE_BRIDGED
            return True
    return False


cdef inline bint open_l2tp(const uint8_t* p, uint32_t captured, uint32_t wire, Opening* o) noexcept nogil:
    # RFC 2661 section 3.1: a data message of version 2, in which PPP is; or RFC 3931 section 4.1.2.1.
    cdef uint32_t head = 6, ppp
    cdef uint16_t flags
    if captured < 8:
        return False
    flags = be16(p)
    if flags == 3 and be16(p + 2) == 0 and open_l2tpv3(p + 4, captured - 4, wire - 4, o):
        o.head += 4
        return True
    if flags & 0xB4FF != 2:                 # of a control message, reserved, or of another version
        return False
    if flags & 0x4000:
        if be16(p + 2) != wire:
            return False
        head += 2
    if flags & 0x0800:
        head += 4
    if flags & 0x0200:
        if head + 2 > captured:
            return False
        head += 2 + be16(p + head)
    if head >= captured:
        return False
    ppp = ppp_header(p + head, captured - head, &o.ethertype)
    head += ppp
    o.head = head
    return ppp != 0 and is_ip(p + head, captured - head, wire - head) and ip_ethertype(p + head) == o.ethertype


cdef inline bint open_teredo(const uint8_t* p, uint32_t captured, uint32_t wire, Opening* o) noexcept nogil:
    # RFC 4380 section 5.1.1: an authentication, an origin, or both in this order; then IPv6 of its prefix.
    cdef uint32_t head = 0
    if captured >= 4 and be16(p) == 1:
        head = 13 + <uint32_t>p[2] + p[3]
    if head + 2 <= captured and be16(p + head) == 0:
        head += 8
    o.head = head
    o.ethertype = ETHERTYPE_IPV6
    return (head + 40 <= captured and p[head] >> 4 == 6 and head + 40 + <uint32_t>be16(p + head + 4) == wire
            and (be32(p + head + 8) == 0x20010000 or be32(p + head + 24) == 0x20010000))


cdef inline uint32_t tzsp_header(const uint8_t* p, uint32_t n) noexcept nogil:
    # TaZmen Sniffer Protocol: version 1, a packet received or to be sent, of Ethernet; then tags up to the one that
    # ends them. It has no standard; this is what MikroTik sends.
    cdef uint32_t at = 4
    if n < 5 or p[0] != 1 or p[1] > 1 or be16(p + 2) != 1:
        return 0
    while at < n and p[at] != 1:
        if p[at] == 0:
            at += 1
        elif at + 2 > n:
            return 0
        else:
            at += 2 + p[at + 1]
    return at + 1 if at < n and is_frame(p + at + 1, n - at - 1) else 0


cdef inline bint open_udp_tunnel(uint16_t sport, uint16_t dport, const uint8_t* p, uint32_t captured, uint32_t wire,
                                 Opening* o) noexcept nogil:
    """Say whether a datagram is a tunnel's, and how far its header goes."""
    o.ethertype = ETHERTYPE_BRIDGED
    if dport == VXLAN_PORT:
        o.tunnel = TUNNEL_VXLAN
        o.head = vxlan_header(p, captured)
        return o.head != 0
    if dport == TZSP_PORT:
        o.tunnel = TUNNEL_TZSP
        o.head = tzsp_header(p, captured)
        return o.head != 0
    if dport == VXLAN_GPE_PORT:
        o.tunnel = TUNNEL_VXLAN
        return open_gpe(p, captured, wire, o)
    if dport == GENEVE_PORT:
        o.tunnel = TUNNEL_GENEVE
        return open_geneve(p, captured, wire, o)
    if dport == GTPU_PORT or sport == GTPU_PORT:
        o.tunnel = TUNNEL_GTPU
        return open_gtpu(p, captured, wire, o)
    if dport == L2TP_PORT or sport == L2TP_PORT:
        o.tunnel = TUNNEL_L2TP
        return open_l2tp(p, captured, wire, o)
    if dport == TEREDO_PORT or sport == TEREDO_PORT:
        o.tunnel = TUNNEL_TEREDO
        return open_teredo(p, captured, wire, o)
    return False


cdef inline bint open_hep(const uint8_t* p, uint32_t captured, uint32_t wire, Reported* r) noexcept nogil:
    """Read a packet that a HEP3 agent reports; False when it is none, or not whole."""
    cdef uint32_t at = 6, end, size
    cdef uint16_t kind
    cdef const uint8_t* value
    if captured < 6 or be32(p) != 0x48455033 or be16(p + 4) != wire or captured != wire:
        return False
    end = be16(p + 4)
    r.src = r.dst = r.payload = NULL
    r.octets = 0
    r.sport = r.dport = 0
    r.is_ipv6 = r.proto = 0
    for _ in range(MAX_CHUNKS):
        if at == end:
            break
        if at + 6 > end:
            return False
        size = be16(p + at + 4)
        if size < 6 or at + size > end:
            return False
        kind = be16(p + at + 2) if be16(p + at) == 0 else 0     # of another vendor: passed over
        value = p + at + 6
        at += size
        size -= 6
        if (kind == 1 or kind == 2) and size == 1:
            if kind == 2:
                r.proto = value[0]
        elif (kind == 3 or kind == 5) and size == (4 if kind == 3 else 16):
            r.src = value
            r.is_ipv6 = kind == 5
        elif (kind == 4 or kind == 6) and size == (4 if kind == 4 else 16):
            if r.src != NULL and (kind == 6) != r.is_ipv6:
                return False
            r.dst = value
            r.is_ipv6 = kind == 6
        elif kind == 7 and size == 2:
            r.sport = be16(value)
        elif kind == 8 and size == 2:
            r.dport = be16(value)
        elif kind == 15:
            r.payload = value
            r.octets = size
    return at == end and r.src != NULL and r.dst != NULL and r.payload != NULL
