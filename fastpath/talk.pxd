"""Signalling and handshakes of a flow: SIP, TLS, DTLS, ZRTP and STUN told apart, and read as far as they matter.

Read first: RFC 7983 section 7, RFC 8489 sections 5 and 6.3, RFC 3489 section 11.1, RFC 6189 section 5, RFC 5764.
"""

from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memchr, memcmp, memcpy, memset

from fastpath.certificate cimport (
    CERTIFICATE_DONE, CERTIFICATE_LOST, CERTIFICATE_NOT, drop_parts, gather_certificate,
)
from fastpath.core cimport Core, begin_event, say_app, set_app
from fastpath.crc32c cimport crc32c
from fastpath.events cimport EVENT_CERTIFICATE, EVENT_HELLO, EVENT_SIP, EventHead, EventHello, ring_commit
from fastpath.flow cimport (
    FLOW_CLOSED, FLOW_DTLS_DONE, FLOW_DTLS_SEEN, FLOW_FAX, FLOW_FIN_HIGH, FLOW_FIN_LOW, FLOW_ZRTP_DONE, FLOW_ZRTP_SEEN,
    Flow,
)
from fastpath.hints cimport Hint, find_fax, note_hints
from fastpath.names cimport APP_DTLS, APP_SIP, APP_STUN, APP_T38, APP_TLS, APP_TURN, APP_ZRTP
from fastpath.octets cimport be16, be32, raw32
from fastpath.sip cimport (
    SIP_MAX_MESSAGE, SIP_MAX_PACKED, SIP_NOT_SIP, SIP_OK, sip_frame, sip_pack, sip_probe, sip_resync, sip_scan,
)
from fastpath.tcp cimport (
    MAX_HELLO_OCTETS, SIDE_DONE, SIDE_IDLE, SIDE_SIP, SIDE_TLS, Conversation, Side, add_segment, begin_conversation,
    begin_side, consume, finish_side, forget, next_held,
    skip_gap,
)
from fastpath.tls cimport (
    HELLO_NOT, SEEN_PROTECTED, SEEN_SERVER_HELLO, HelloScan, dtls_probe, dtls_scan, tls_probe, tls_scan,
)
from fastpath.udptl cimport goes_on, is_udptl
from fastpath.wire cimport TCP_FIN, TCP_RST, TCP_SYN, Decoded

cdef enum:
    MAX_PROBES = 8              # segments of one direction that are looked at before a conversation is let go
    SIP_PORT = 5060

    STUN_COOKIE = 0x2112A442
    ZRTP_COOKIE = 0x5A525450
    ZRTP_LEAST = 28             # octets of a message without content

    DTLS_HANDSHAKE = 22         # type of a record
    DTLS_1_3 = 0xFEFC
    SRTP_NULL_80 = 5            # SRTP_NULL_HMAC_SHA1_80 (RFC 5764 section 4.1.2)
    SRTP_NULL_32 = 6


cdef inline bint sip_message(Core* c, Flow* f, const uint8_t* p, uint32_t n, bint from_high,
                             uint64_t ts_ns) noexcept nogil:
    cdef EventHead* head
    cdef uint32_t size
    cdef int reason = sip_scan(p, n, c.key_secret, &c.scan)
    if reason == SIP_NOT_SIP:
        return False
    set_app(c, f, APP_SIP, ts_ns)
    c.sip_messages += 1
    if reason == SIP_OK and c.scan.has_sdp:
        note_hints(&c.hints, p, &c.scan, &c.flow_secret, ts_ns)
    size = sip_pack(&c.scan, p, c.packed, SIP_MAX_PACKED) if reason == SIP_OK else 0
    if size == 0:
        c.sip_unreadable += 1
        return True
    head = begin_event(c, f, EVENT_SIP, size + 8, ts_ns, from_high)
    if head != NULL:
        (<uint32_t*>(<uint8_t*>head + sizeof(EventHead)))[0] = size
        memcpy(<uint8_t*>head + sizeof(EventHead) + 8, c.packed, size)
        ring_commit(&c.ring, head)
    return True


cdef inline void fill_hello(EventHello* e, const Conversation* talk, bint is_dtls) noexcept nogil:
    e.version = talk.hello.version
    e.cipher = talk.hello.cipher
    e.srtp_profile = talk.hello.srtp_profile
    e.is_dtls = is_dtls
    e.name_len = talk.hello.server_name_len
    e.alpn_len = talk.hello.alpn_len
    memcpy(e.name, talk.hello.server_name, 255)
    memcpy(e.alpn, talk.hello.alpn, 255)


cdef inline void say_hello(Core* c, Flow* f, bint is_dtls, uint64_t ts_ns) noexcept nogil:
    cdef EventHead* head
    if f.talk.hello_said or not f.talk.hello.seen & SEEN_SERVER_HELLO:
        return
    f.talk.hello_said = True
    head = begin_event(c, f, EVENT_HELLO, sizeof(EventHello), ts_ns, False)
    if head != NULL:
        fill_hello(<EventHello*>(<uint8_t*>head + sizeof(EventHead)), f.talk, is_dtls)
        ring_commit(&c.ring, head)


cdef inline void read_certificates(Core* c, Flow* f, const Decoded* d, const HelloScan* scan) noexcept nogil:
    # One for each side is said. In DTLS-SRTP both show theirs (RFC 5764 section 4.1).
    cdef Conversation* talk = f.talk
    cdef EventHead* head
    cdef const uint8_t* der = NULL
    cdef uint32_t octets = 0
    cdef int i, state
    for i in range(scan.fragments):
        if talk.certificate_said[d.from_high]:
            return
        state = gather_certificate(&talk.certificate[d.from_high], &c.memory, scan.fragment[i], &der, &octets)
        c.certificates_unreadable += state == CERTIFICATE_NOT
        c.certificates_lost += state == CERTIFICATE_LOST
        if state != CERTIFICATE_DONE:
            continue
        talk.certificate_said[d.from_high] = True
        head = begin_event(c, f, EVENT_CERTIFICATE, octets + 8, d.ts_ns, d.from_high)
        if head != NULL:
            (<uint32_t*>(<uint8_t*>head + sizeof(EventHead)))[0] = octets
            memcpy(<uint8_t*>head + sizeof(EventHead) + 8, der, octets)
            ring_commit(&c.ring, head)
        drop_parts(&talk.certificate[d.from_high], &c.memory)


cdef inline void read_late(Core* c, Flow* f, const Decoded* d) noexcept nogil:
    # A flight whose fragments were lost is sent again after its protected end was seen (RFC 6347 section 4.2.4).
    cdef HelloScan scan
    if f.talk == NULL or f.talk.certificate_said[d.from_high] or d.payload[0] != DTLS_HANDSHAKE:
        return
    memset(&scan, 0, sizeof(HelloScan))
    if dtls_scan(d.payload, d.payload_len, &scan) != HELLO_NOT:
        read_certificates(c, f, d, &scan)


cdef inline void dtls_packet(Core* c, Flow* f, const Decoded* d) noexcept nogil:
    cdef uint16_t profile
    if f.flags & FLOW_DTLS_DONE:
        read_late(c, f, d)
        return
    if not f.flags & FLOW_DTLS_SEEN:
        if not dtls_probe(d.payload, d.payload_len):
            return
        f.flags |= FLOW_DTLS_SEEN
        set_app(c, f, APP_DTLS, d.ts_ns)
    if f.talk == NULL:
        f.talk = begin_conversation(&c.memory)
        if f.talk == NULL:
            return
    if dtls_scan(d.payload, d.payload_len, &f.talk.hello) == HELLO_NOT:
        return
    say_hello(c, f, True, d.ts_ns)
    read_certificates(c, f, d, &f.talk.hello)
    if f.talk.hello.seen & SEEN_SERVER_HELLO and f.talk.hello.seen & SEEN_PROTECTED:
        # DTLS 1.3 answers use_srtp inside the encrypted part: there the client's offer must do (RFC 9147, RFC 5764).
        profile = f.talk.hello.srtp_profile
        if profile == 0 and f.talk.hello.version == DTLS_1_3:
            profile = f.talk.hello.srtp_offer
        if profile and profile != SRTP_NULL_80 and profile != SRTP_NULL_32:
            f.flags |= FLOW_DTLS_DONE


cdef inline void zrtp_packet(Core* c, Flow* f, const Decoded* d) noexcept nogil:
    # RFC 6189 section 5: cookie at 4, then the SSRC, the preamble 0x505A, the message's length in words and its type; a
    # CRC ends the packet. One that is damaged, or only looks like this, says nothing.
    cdef uint32_t n = d.payload_len
    if (n < ZRTP_LEAST or n != d.payload_wire or be32(d.payload + 4) != ZRTP_COOKIE
            or be16(d.payload + 12) != 0x505A or 16 + 4 * <uint32_t>be16(d.payload + 14) != n
            or raw32(d.payload + n - 4) != crc32c(d.payload, n - 4)):
        return
    f.flags |= FLOW_ZRTP_SEEN
    set_app(c, f, APP_ZRTP, d.ts_ns)
    if memcmp(d.payload + 16, b"Conf2ACK", 8) == 0:
        f.flags |= FLOW_ZRTP_DONE


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


cdef inline Hint* fax_end(const Core* c, const Decoded* d, bint high) noexcept nogil:
    if high:
        return find_fax(&c.hints, <const uint64_t*>d.key.high, d.key.ports & 0xFFFF, &c.flow_secret)
    return find_fax(&c.hints, <const uint64_t*>d.key.low, d.key.ports >> 16, &c.flow_secret)


cdef inline void fax_packet(Core* c, Flow* f, const Decoded* d) noexcept nogil:
    # Two that follow each other, to or from an end where facsimile is wanted. Indicators are sent more than once with
    # one number. What began as speech often goes on as facsimile on the same ports: then both are said of the flow.
    cdef bint from_end = False
    cdef uint16_t sequence
    cdef Hint* hint
    if d.payload_len != d.payload_wire or not is_udptl(d.payload, d.payload_len):
        return
    hint = fax_end(c, d, not d.from_high)
    if hint == NULL:
        from_end = True
        hint = fax_end(c, d, d.from_high)
    if hint == NULL:
        return
    sequence = be16(d.payload)
    if not hint.fax[from_end] or not goes_on(sequence, hint.fax_sequence[from_end]):
        hint.fax[from_end] = True
        hint.fax_sequence[from_end] = sequence
        return
    hint.fax[from_end] = False
    f.flags |= FLOW_FAX
    if f.app < APP_T38:
        set_app(c, f, APP_T38, d.ts_ns)
    else:
        say_app(c, f, APP_T38, d.ts_ns)


cdef inline void udp_talk(Core* c, Flow* f, const Decoded* d) noexcept nogil:
    """Take a datagram that is not RTP or RTCP."""
    cdef uint8_t first = d.payload[0]
    cdef int app
    if c.hints.udptl and not f.flags & FLOW_FAX:
        fax_packet(c, f, d)
    if first <= 3:
        app = stun_probe(d.payload, d.payload_len, d.payload_wire)
        if app:
            set_app(c, f, app, d.ts_ns)
    elif first == 16:
        zrtp_packet(c, f, d)
    elif 20 <= first <= 63:
        dtls_packet(c, f, d)
    elif 64 <= first <= 122:
        if sip_probe(d.payload, d.payload_len):
            sip_message(c, f, d.payload, d.payload_len, d.from_high, d.ts_ns)
        elif first <= 79 and f.app == APP_STUN:
            set_app(c, f, APP_TURN, d.ts_ns)    # ChannelData (RFC 8656 section 12.4)


cdef inline void read_sip(Core* c, Flow* f, Side* side, bint from_high, uint64_t ts_ns) noexcept nogil:
    cdef const uint8_t* data
    cdef int64_t n
    while side.octets and side.octets >= side.framed:
        data = side.data + side.start
        # Only a line end can end the headers: a message that trickles in costs no more than its octets.
        if side.searched and not side.framed and memchr(data + side.searched, 10, side.octets - side.searched) == NULL:
            side.searched = side.octets
            return
        n = side.framed if side.framed else sip_frame(data, side.octets, side.searched)
        if n > side.octets:
            side.framed = <uint32_t>n
        elif n > 0:
            sip_message(c, f, data, <uint32_t>n, from_high, ts_ns)
            consume(side, &c.memory, <uint32_t>n)
        elif n < 0 or side.octets > SIP_MAX_MESSAGE:
            consume(side, &c.memory, sip_resync(data, side.octets))
        else:
            side.searched = side.octets
            return


cdef inline void read_side(Core* c, Flow* f, Side* side, bint from_high, uint64_t ts_ns) noexcept nogil:
    if side.reads == SIDE_SIP:
        read_sip(c, f, side, from_high, ts_ns)
    elif side.reads == SIDE_TLS:
        if tls_scan(side.data + side.start, side.octets, &f.talk.hello) or side.octets > MAX_HELLO_OCTETS:
            finish_side(side, &c.memory)
            say_hello(c, f, False, ts_ns)


cdef inline void read_rest(Core* c, Flow* f, bint from_high) noexcept nogil:
    """Read what a direction of SIP still holds, as no more will come: behind gaps, and a last message that was cut."""
    cdef Side* side = &f.talk.side[from_high]
    while side.held:
        skip_gap(side, &c.memory)
        while side.held and next_held(side, &c.memory):
            read_sip(c, f, side, from_high, f.last_ns)
    if side.octets:
        sip_message(c, f, side.data + side.start, side.octets, from_high, f.last_ns)


cdef inline uint8_t probe_segment(Core* c, Flow* f, const Decoded* d) noexcept nogil:
    cdef int app
    if f.recent[d.from_high] >= MAX_PROBES and (f.key.ports >> 16) != SIP_PORT and (f.key.ports & 0xFFFF) != SIP_PORT:
        return SIDE_IDLE
    if sip_probe(d.payload, d.payload_len):
        return SIDE_SIP
    if tls_probe(d.payload, d.payload_len):
        set_app(c, f, APP_TLS, d.ts_ns)
        return SIDE_TLS
    app = stun_probe(d.payload, d.payload_len, d.payload_wire)
    if app and d.payload_len >= 8 and be32(d.payload + 4) == STUN_COOKIE:
        set_app(c, f, app, d.ts_ns)
    f.recent[d.from_high] += 1
    return SIDE_IDLE


cdef inline void begin_again(Core* c, Flow* f, const Decoded* d) noexcept nogil:
    # A SYN begins a new connection; one on the ports of an old connection, or sent twice, finds that one's state.
    f.recent[d.from_high] = 0
    f.flags &= ~(FLOW_CLOSED | FLOW_FIN_LOW | FLOW_FIN_HIGH)
    if f.talk != NULL:
        finish_side(&f.talk.side[d.from_high], &c.memory)
        f.talk.side[d.from_high].reads = SIDE_IDLE
        f.talk.hello_said = False
        memset(&f.talk.hello, 0, sizeof(HelloScan))


cdef inline void tcp_segment(Core* c, Flow* f, const Decoded* d) noexcept nogil:
    """Take a TCP segment of a flow."""
    cdef Side* side
    cdef uint8_t reads
    if d.tcp_flags & TCP_RST:
        f.flags |= FLOW_CLOSED
    if d.tcp_flags & TCP_FIN:
        f.flags |= FLOW_FIN_HIGH if d.from_high else FLOW_FIN_LOW
        if f.flags & FLOW_FIN_HIGH and f.flags & FLOW_FIN_LOW:
            f.flags |= FLOW_CLOSED
    if d.tcp_flags & TCP_SYN:
        begin_again(c, f, d)
        return
    if d.payload_len == 0:
        return
    if f.talk == NULL or f.talk.side[d.from_high].reads == SIDE_IDLE:
        reads = probe_segment(c, f, d)
        if reads == SIDE_IDLE:
            return
        if f.talk == NULL:
            f.talk = begin_conversation(&c.memory)
            if f.talk == NULL:
                return
        begin_side(&f.talk.side[d.from_high], reads, d.tcp_seq)
    side = &f.talk.side[d.from_high]
    if side.reads == SIDE_DONE:
        return
    if add_segment(side, &c.memory, d.tcp_seq, d.payload, d.payload_len, d.ts_ns):
        read_side(c, f, side, d.from_high, d.ts_ns)
    while side.held and next_held(side, &c.memory):
        read_side(c, f, side, d.from_high, d.ts_ns)
    if d.payload_len < d.payload_wire and side.reads == SIDE_SIP:
        # The snap length cut it: what is missing will not come.
        c.memory.lost += d.payload_wire - d.payload_len
        forget(side)
        side.next_seq = d.tcp_seq + d.payload_wire
