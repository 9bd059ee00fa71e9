"""What a datagram is that is no RTP or RTCP, and who reads it.

Read first: RFC 7983 section 7, RFC 8489 sections 5 and 6.3, RFC 3489 section 11.1, RFC 6189 section 5.
"""

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcpy

from fastpath.core cimport Core, begin_event, say_app, set_app
from fastpath.events cimport EVENT_NAMED, EventHead, EventNamed, ring_commit
from fastpath.exposure cimport aside, note_shown
from fastpath.flow cimport FLOW_FAX, FLOW_TURN, Flow
from fastpath.hints cimport fax_goes_on, is_set
from fastpath.keying cimport dtls_packet, zrtp_packet
from fastpath.legacy cimport Legacy, has_port, udp_legacy
from fastpath.media cimport media_packet
from fastpath.messages cimport sip_message
from fastpath.names cimport (
    APP_3CX_TUNNEL, APP_MSRP, APP_OPENVPN, APP_OTHER, APP_STUN, APP_T38, APP_TURN, SECRET_NONE, SHOWN_CREDENTIALS,
    SHOWN_KEYS, SHOWN_KINDS, SHOWN_LEGACY, SHOWN_MEDIA, SHOWN_TUNNEL,
)
from fastpath.octets cimport be16, be32
from fastpath.services cimport Service, udp_service
from fastpath.sip cimport sip_probe
from fastpath.tunnels cimport TUNNEL_TURN
from fastpath.turn cimport TURN_PORT, Carried, channel_data, is_indication, stun_data
from fastpath.udptl cimport is_udptl
from fastpath.wire cimport Decoded

cdef enum:
    TUNNEL_3CX_PORT = 5090      # of 3CX clients and session border controllers
    TUNNEL_PACKETS = 10         # each way
    STUN_COOKIE = 0x2112A442


cdef inline void say_services(Core* c, Flow* f, const Service* services, int count, uint64_t ts_ns) noexcept nogil:
    cdef int i
    for i in range(count):
        set_app(c, f, services[i].app, ts_ns)
        if services[i].shown < SHOWN_KINDS:
            note_shown(c, f, services[i].shown, services[i].app, services[i].secret, services[i].by_content, ts_ns)


cdef inline int stun_probe(const uint8_t* p, uint32_t captured, uint32_t n) noexcept nogil:
    """Return 0, or APP_STUN or APP_TURN for a STUN message, with the magic cookie or as RFC 3489 had it."""
    cdef uint16_t kind, length, method, attribute
    cdef uint32_t at = 20
    if captured < 20 or n < 20 or p[0] & 0xC0:
        return 0
    kind = be16(p)
    length = be16(p + 2)
    if length & 3 or 20 + <uint32_t>length > n:
        return 0
    method = (kind & 0xF) | ((kind >> 1) & 0x70) | ((kind >> 2) & 0xF80)
    if be32(p + 4) == STUN_COOKIE:
        return APP_TURN if 3 <= method <= 9 and method != 5 else APP_STUN
    if 20 + <uint32_t>length != n or kind & ~<uint16_t>0x0113 or method == 0 or method > 2:
        return 0
    while at + 4 <= captured:
        attribute = be16(p + at)
        if attribute == 0 or 0x0FFF < attribute < 0x8000:
            return 0
        at += 4 + ((<uint32_t>be16(p + at + 2) + 3) & ~<uint32_t>3)
    return APP_STUN if at == n or captured < n else 0


cdef inline bint fax_at(Core* c, const Decoded* d, bint high, bint from_end, bint* wanted) noexcept nogil:
    cdef uint16_t sequence = be16(d.payload)
    if high:
        return fax_goes_on(&c.hints, <const uint64_t*>d.key.high, d.key.ports & 0xFFFF, from_end, sequence, wanted,
                           &c.flow_secret)
    return fax_goes_on(&c.hints, <const uint64_t*>d.key.low, d.key.ports >> 16, from_end, sequence, wanted,
                       &c.flow_secret)


cdef inline void fax_packet(Core* c, Flow* f, const Decoded* d) noexcept nogil:
    # Two that follow each other, to or from an end where facsimile is wanted. Indicators are sent more than once with
    # one number. What began as speech often goes on as facsimile on the same ports: then both are said of the flow.
    cdef bint second, wanted = False
    if d.payload_len != d.payload_wire or not is_udptl(d.payload, d.payload_len):
        return
    second = fax_at(c, d, not d.from_high, False, &wanted)
    if not wanted:
        second = fax_at(c, d, d.from_high, True, &wanted)
    if not second:
        return
    f.flags |= FLOW_FAX
    if f.app < APP_T38:
        set_app(c, f, APP_T38, d.ts_ns)
    else:
        say_app(c, f, APP_T38, d.ts_ns)


cdef inline void say_legacy(Core* c, Flow* f, const Legacy* seen, uint64_t ts_ns) noexcept nogil:
    """Take what a message of older call signalling is, shows, and names."""
    cdef EventHead* head
    cdef EventNamed* e
    cdef int i
    set_app(c, f, seen.app, ts_ns)
    note_shown(c, f, SHOWN_LEGACY, seen.app, SECRET_NONE, True, ts_ns)
    if f.aside == NULL:
        return
    f.aside.sealed |= seen.encryption
    if seen.secret:
        note_shown(c, f, SHOWN_CREDENTIALS, seen.app, seen.secret, True, ts_ns)
    if seen.keys:
        note_shown(c, f, SHOWN_KEYS, seen.app, SECRET_NONE, True, ts_ns)
    if seen.media and not f.aside.sealed:
        note_shown(c, f, SHOWN_MEDIA, seen.app, SECRET_NONE, True, ts_ns)
    for i in range(seen.count):
        head = begin_event(c, f, EVENT_NAMED, sizeof(EventNamed), ts_ns, False)
        if head == NULL:
            return
        e = <EventNamed*>(<uint8_t*>head + sizeof(EventHead))
        e.address[10] = e.address[11] = 0xFF
        memcpy(e.address + 12, seen.end[i].ip, 4)
        e.port = seen.end[i].port
        e.app = seen.app
        e.keys = seen.keys
        ring_commit(&c.ring, head)


cdef inline bint iax2_packet(Core* c, Flow* f, const Decoded* d) noexcept nogil:
    """Take a datagram at the port of IAX2, unless its flow is media already. Return whether it is IAX2."""
    cdef Legacy seen
    if f.app > APP_MSRP or d.payload_len != d.payload_wire:
        return False
    if not udp_legacy(d.payload, d.payload_len, f.key.ports, f.app, &seen):
        return False
    say_legacy(c, f, &seen, d.ts_ns)
    return True


cdef inline void follow_tunnel(Core* c, Flow* f, uint64_t ts_ns) noexcept nogil:
    # Nothing is known of what is in it but its port, so it must last before it is named.
    if (f.app == APP_OTHER and has_port(f.key.ports, TUNNEL_3CX_PORT) and f.packets[0] >= TUNNEL_PACKETS
            and f.packets[1] >= TUNNEL_PACKETS):
        set_app(c, f, APP_3CX_TUNNEL, ts_ns)
        note_shown(c, f, SHOWN_TUNNEL, APP_3CX_TUNNEL, SECRET_NONE, False, ts_ns)


cdef inline void carried_packet(Core* c, Flow* f, const Decoded* d, const uint8_t* p, uint32_t n,
                                bint in_turn) noexcept nogil:
    """Take what a frame carries (turn.pxd) as if it had come in a datagram of the flow."""
    cdef Decoded inner = d[0]
    cdef int app
    inner.payload = p
    inner.payload_len = n
    inner.payload_wire = n
    if n == 0:
        return
    if p[0] >> 6 == 2:
        if media_packet(c, f, &inner) and in_turn and not f.flags & FLOW_TURN and aside(c, f) != NULL:
            f.flags |= FLOW_TURN
            f.aside.tunnels = f.aside.tunnels << 8 | TUNNEL_TURN
    elif p[0] == 16:
        zrtp_packet(c, f, &inner)
    elif 20 <= p[0] <= 63:
        dtls_packet(c, f, &inner)
    elif p[0] <= 3:
        app = stun_probe(p, n, n)
        if app:
            set_app(c, f, app, d.ts_ns)


cdef inline void udp_talk(Core* c, Flow* f, const Decoded* d) noexcept nogil:
    """Take a datagram that is not RTP or RTCP."""
    cdef uint8_t first = d.payload[0]
    cdef Carried frame
    cdef Service service
    cdef Legacy legacy
    cdef bint whole
    cdef int app
    if is_set(&c.hints.pool.udptl) and not f.flags & FLOW_FAX:
        fax_packet(c, f, d)
    follow_tunnel(c, f, d.ts_ns)
    whole = d.payload_len == d.payload_wire
    if f.app <= APP_OPENVPN and whole and udp_service(d.payload, d.payload_len, f.key.ports, &service):
        say_services(c, f, &service, 1, d.ts_ns)
    elif f.app <= APP_MSRP and whole and udp_legacy(d.payload, d.payload_len, f.key.ports, f.app, &legacy):
        say_legacy(c, f, &legacy, d.ts_ns)
    elif first <= 3:
        app = stun_probe(d.payload, d.payload_len, d.payload_wire)
        if app:
            set_app(c, f, app, d.ts_ns)
        if app == APP_TURN and is_indication(be16(d.payload)) and stun_data(d.payload, d.payload_len, &frame):
            carried_packet(c, f, d, d.payload + frame.at, frame.octets, True)
    elif first == 16:
        zrtp_packet(c, f, d)
    elif 20 <= first <= 63:
        dtls_packet(c, f, d)
    elif 64 <= first <= 122:
        if sip_probe(d.payload, d.payload_len):
            sip_message(c, f, d.payload, d.payload_len, d.from_high, d.ts_ns)
        elif (f.app == APP_STUN or f.app == APP_TURN or f.flags & FLOW_TURN or f.key.ports >> 16 == TURN_PORT
                or f.key.ports & 0xFFFF == TURN_PORT) and channel_data(d.payload, d.payload_len, &frame):
            set_app(c, f, APP_TURN, d.ts_ns)
            carried_packet(c, f, d, d.payload + frame.at, frame.octets, True)
