"""Signalling and handshakes of a flow: SIP, TLS, DTLS, ZRTP and STUN told apart, and read as far as they matter.

Read first: RFC 7983 section 7, RFC 8489 sections 5 and 6.3, RFC 3489 section 11.1, RFC 6189 section 5, RFC 5764.
"""

from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memchr, memcmp, memcpy, memmove, memset

from fastpath.attempts cimport follow_attempts
from fastpath.certificate cimport CERTIFICATE_DONE, CERTIFICATE_LOST, CERTIFICATE_NOT, drop_parts, gather_certificate
from fastpath.core cimport Core, begin_event, say_app, set_app
from fastpath.crc32c cimport crc32c
from fastpath.dialogs cimport (
    DIALOG_ENDED, METHOD_ACK, METHOD_BYE, METHOD_INVITE, METHOD_OTHER, METHOD_PRACK, METHOD_UPDATE, DialogMessage,
    DialogNews, expire_dialog, take_message,
)
from fastpath.events cimport (
    EVENT_CERTIFICATE, EVENT_HANDSHAKE, EVENT_HELLO, EVENT_NAMED, EVENT_NEGOTIATION, EVENT_SIP, EventHandshake,
    EventHead, EventHello, EventNamed, EventNegotiation, ring_commit,
)
from fastpath.exposure cimport aside, note_exposure, note_shown
from fastpath.flow cimport (
    FLOW_CLOSED, FLOW_DTLS_DONE, FLOW_DTLS_SEEN, FLOW_FAX, FLOW_FIN_HIGH, FLOW_FIN_LOW, FLOW_FRAMES, FLOW_TLS_NULL,
    FLOW_TURN, FLOW_ZRTP_DONE, FLOW_ZRTP_SEEN, Flow,
)
from fastpath.handshake cimport is_resumed, keep_certificate, tls_take
from fastpath.hints cimport Hint, find_fax, note_hints
from fastpath.legacy cimport Legacy, has_port, tcp_legacy, udp_legacy
from fastpath.lines cimport LINES_DONE, LINES_TLS, MAX_LINE, MAX_LINES_TAKEN, Said, opens_lines, take_line
from fastpath.media cimport media_packet
from fastpath.names cimport (
    APP_3CX_TUNNEL, APP_DTLS, APP_MSRP, APP_OPENVPN, APP_OTHER, APP_RTSP, APP_SIP, APP_STUN, APP_T38, APP_TLS, APP_TURN,
    APP_WS, APP_ZRTP, SECRET_NONE, SHOWN_CREDENTIALS, SHOWN_KINDS, SHOWN_LEGACY, SHOWN_MEDIA, SHOWN_TUNNEL,
)
from fastpath.octets cimport be16, be32, raw32
from fastpath.services cimport Service, tcp_service, udp_service
from fastpath.sip cimport (
    SIP_MAX_MESSAGE, SIP_MAX_PACKED, SIP_NOT_SIP, SIP_OK, Span, sip_frame, sip_pack, sip_pack_media, sip_pack_parties,
    sip_probe, sip_resync, sip_scan,
)
from fastpath.siphash cimport siphash
from fastpath.tcp cimport (
    SIDE_DONE, SIDE_FRAMES, SIDE_HTTP, SIDE_IDLE, SIDE_LINES, SIDE_SIP, SIDE_TLS, SIDE_WS, Conversation, Lines, Memory,
    Side, add_segment, begin_conversation, begin_side, consume, conversation_gave, finish_side, forget,
    forget_handshake, next_held, release_handshake, skip_gap,
)
from fastpath.tls cimport (
    HELLO_NOT, OUTCOME_COMPLETED, OUTCOME_CUT, OUTCOME_NONE, OUTCOME_REFUSED, OUTCOME_UNKNOWN, SEEN_ALERT,
    SEEN_CLIENT_HELLO, SEEN_PROTECTED, SEEN_SERVER_HELLO, Handshake, HelloScan, cipher_is_null, dtls_probe, dtls_scan,
    tls_probe,
)
from fastpath.turn cimport (
    FRAMES_RTSP, FRAMES_TURN, SEARCHED, TURN_PORT, Carried, channel_data, find_frames, is_indication, next_frame,
    probe_frames, stun_data,
)
from fastpath.udptl cimport goes_on, is_udptl
from fastpath.websocket cimport (
    WS_CLOSE, WS_CONTINUATION, WS_MAX_HANDSHAKE, WS_MAX_PIECES, WS_NO, WS_SIP, WsFrame, ws_frame, ws_handshake,
    ws_opens, ws_probe, ws_unmask,
)
from fastpath.wire cimport TCP_FIN, TCP_RST, TCP_SYN, TUNNEL_TURN, Decoded

cdef enum:
    MAX_PROBES = 8              # segments of one direction that are looked at before a conversation is let go
    SIP_PORT = 5060
    TUNNEL_3CX_PORT = 5090      # of 3CX clients and session border controllers
    TUNNEL_PACKETS = 10         # each way

    STUN_COOKIE = 0x2112A442
    ZRTP_COOKIE = 0x5A525450
    ZRTP_LEAST = 28             # octets of a message without content

    DTLS_HANDSHAKE = 22         # type of a record
    DTLS_1_3 = 0xFEFC
    SRTP_NULL_80 = 5            # SRTP_NULL_HMAC_SHA1_80 (RFC 5764 section 4.1.2)
    SRTP_NULL_32 = 6


cdef inline uint8_t dialog_method(const uint8_t* p, Span method) noexcept nogil:
    # Methods are case-sensitive (RFC 3261 section 7.1).
    if method.len == 3:
        if memcmp(p + method.at, b"ACK", 3) == 0:
            return METHOD_ACK
        return METHOD_BYE if memcmp(p + method.at, b"BYE", 3) == 0 else METHOD_OTHER
    if method.len == 5:
        return METHOD_PRACK if memcmp(p + method.at, b"PRACK", 5) == 0 else METHOD_OTHER
    if method.len == 6:
        if memcmp(p + method.at, b"INVITE", 6) == 0:
            return METHOD_INVITE
        return METHOD_UPDATE if memcmp(p + method.at, b"UPDATE", 6) == 0 else METHOD_OTHER
    return METHOD_OTHER


cdef inline uint64_t digest(const Core* c, const uint8_t* p, Span text) noexcept nogil:
    return siphash(c.key_secret, p + text.at, text.len) if text.len else 0


cdef inline void say_negotiation(Core* c, Flow* f, const DialogNews* news, uint32_t parties, bint from_high,
                                 uint64_t ts_ns) noexcept nogil:
    cdef EventHead* head
    cdef EventNegotiation* e
    cdef uint8_t* at
    head = begin_event(c, f, EVENT_NEGOTIATION, <uint32_t>sizeof(EventNegotiation) + parties + news.offer.size
                       + news.answer.size, ts_ns, from_high)
    if head == NULL:
        return
    e = <EventNegotiation*>(<uint8_t*>head + sizeof(EventHead))
    e.dialog = news.id
    e.from_tag = news.from_tag
    e.to_tag = news.to_tag
    e.state = news.state
    e.parties = parties
    e.offer = news.offer.size
    e.answer = news.answer.size
    at = <uint8_t*>e + sizeof(EventNegotiation)
    memcpy(at, c.parties, parties)
    if news.offer.size:
        memcpy(at + parties, news.offer.octets, news.offer.size)
    if news.answer.size:
        memcpy(at + parties + news.offer.size, news.answer.octets, news.answer.size)
    ring_commit(&c.ring, head)


cdef inline void serve_dialogs(Core* c, const Flow* f, uint64_t now_ns) noexcept nogil:
    """End the dialogues that were silent for too long, as of a flow whose packet told the time."""
    while expire_dialog(&c.dialogs, now_ns, &c.news[0]):
        say_negotiation(c, <Flow*>f, &c.news[0], 0, False, now_ns)


cdef inline void follow_dialogs(Core* c, Flow* f, const uint8_t* p, bint from_high, uint64_t ts_ns) noexcept nogil:
    cdef DialogMessage m
    cdef uint32_t parties = 0
    cdef int said, i
    m.method = dialog_method(p, c.scan.method)
    if m.method == METHOD_OTHER:
        return
    m.status = c.scan.status
    m.cseq = c.scan.cseq
    m.ts_ns = ts_ns
    m.call = digest(c, p, c.scan.call_id.span)
    m.from_tag = digest(c, p, c.scan.from_tag.span)
    m.to_tag = digest(c, p, c.scan.to_tag.span)
    # The pair of hosts, whichever of them sent; ports come and go with connections.
    m.hop = (siphash(c.key_secret, <const uint8_t*>f.key.low, 16)
             + siphash(c.key_secret, <const uint8_t*>f.key.high, 16))
    m.media.octets = NULL
    m.media.size = 0
    if c.scan.has_sdp:
        m.media.size = sip_pack_media(&c.scan, p, c.packed, SIP_MAX_PACKED)
        m.media.octets = c.packed if m.media.size else NULL
    said = take_message(&c.dialogs, &m, c.key_secret, c.news)
    for i in range(said):
        if c.news[i].state != DIALOG_ENDED and parties == 0:
            parties = sip_pack_parties(&c.scan, p, c.parties, SIP_MAX_PACKED)
        say_negotiation(c, f, &c.news[i], 0 if c.news[i].state == DIALOG_ENDED else parties, from_high, ts_ns)


cdef inline void say_message(Core* c, Flow* f, const uint8_t* p, bint from_high, uint64_t ts_ns) noexcept nogil:
    cdef uint32_t size = sip_pack(&c.scan, p, c.packed, SIP_MAX_PACKED)
    cdef EventHead* head = begin_event(c, f, EVENT_SIP, size + 8, ts_ns, from_high)
    if head != NULL:
        (<uint32_t*>(<uint8_t*>head + sizeof(EventHead)))[0] = size
        memcpy(<uint8_t*>head + sizeof(EventHead) + 8, c.packed, size)
        ring_commit(&c.ring, head)


cdef inline bint sip_message(Core* c, Flow* f, const uint8_t* p, uint32_t n, bint from_high,
                             uint64_t ts_ns) noexcept nogil:
    cdef int reason = sip_scan(p, n, c.key_secret, &c.wanted, &c.scan)
    if reason == SIP_NOT_SIP:
        return False
    set_app(c, f, APP_SIP, ts_ns)
    c.sip_messages += 1
    if reason != SIP_OK:
        c.sip_unreadable += 1
        return True
    if c.scan.has_sdp:
        note_hints(&c.hints, p, &c.scan, &c.flow_secret, ts_ns)
    if f.talk != NULL:
        conversation_gave(f.talk, &c.memory)
    if c.every_message:
        say_message(c, f, p, from_high, ts_ns)
    note_exposure(c, f, p, &c.scan, from_high, ts_ns)
    follow_attempts(c, f, p, &c.scan, from_high, ts_ns)
    serve_dialogs(c, f, ts_ns)
    follow_dialogs(c, f, p, from_high, ts_ns)
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
    if cipher_is_null(f.talk.hello.cipher):
        f.flags |= FLOW_TLS_NULL
    head = begin_event(c, f, EVENT_HELLO, sizeof(EventHello), ts_ns, False)
    if head != NULL:
        fill_hello(<EventHello*>(<uint8_t*>head + sizeof(EventHead)), f.talk, is_dtls)
        ring_commit(&c.ring, head)


cdef inline void say_handshake(Core* c, Flow* f, bint is_dtls, uint64_t ts_ns) noexcept nogil:
    """Say how a handshake ended, if it was seen at all."""
    cdef Conversation* talk = f.talk
    cdef Handshake* shake = &talk.shake
    cdef EventHead* head
    cdef EventHandshake* e
    if not talk.hello.seen & (SEEN_CLIENT_HELLO | SEEN_SERVER_HELLO):
        return
    head = begin_event(c, f, EVENT_HANDSHAKE, <uint32_t>sizeof(EventHandshake) + shake.chain_octets, ts_ns,
                       shake.client_is_high)
    if head == NULL:
        return
    e = <EventHandshake*>(<uint8_t*>head + sizeof(EventHead))
    e.chain = shake.chain_octets
    e.client_version = talk.hello.client_version
    e.version = talk.hello.version
    e.cipher = talk.hello.cipher
    e.group = talk.hello.group
    e.srtp_profile = talk.hello.srtp_profile
    e.alert = shake.alert
    e.is_dtls = is_dtls
    e.outcome = shake.outcome
    e.resumed = is_resumed(talk)
    e.alert_by_client = shake.alert_by_client
    e.left_out = shake.left_out
    e.client_certificates = shake.client_certificates
    e.alpn_offered = talk.hello.alpn_offered
    e.name_len = talk.hello.server_name_len
    e.alpn_len = talk.hello.alpn_len
    memcpy(e.name, talk.hello.server_name, 255)
    memcpy(e.alpn, talk.hello.alpn, 255)
    if shake.chain_octets:
        memcpy(<uint8_t*>e + sizeof(EventHandshake), shake.chain, shake.chain_octets)
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
        if talk.shake.client_is_high == d.from_high:
            talk.shake.client_certificates += 1
        else:
            keep_certificate(&talk.shake, &c.memory, der - 3, octets + 3)   # with its length (certificate.pxd)
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


cdef inline void follow_dtls(Core* c, Flow* f, const Decoded* d, uint16_t news) noexcept nogil:
    # It is complete when both directions sent a protected record behind the hellos (RFC 6347 section 4.2.4).
    cdef Handshake* shake = &f.talk.shake
    if shake.outcome != OUTCOME_NONE or not f.talk.hello.seen & (SEEN_CLIENT_HELLO | SEEN_SERVER_HELLO):
        return
    if news & SEEN_ALERT:
        shake.outcome = OUTCOME_REFUSED if f.talk.hello.alert else OUTCOME_CUT
        shake.alert = f.talk.hello.alert
        shake.alert_by_client = shake.client_is_high == d.from_high
    elif news & SEEN_PROTECTED and f.talk.hello.seen & SEEN_SERVER_HELLO:
        shake.sealed[d.from_high] = True
        if shake.sealed[0] and shake.sealed[1]:
            shake.outcome = OUTCOME_COMPLETED
    if shake.outcome != OUTCOME_NONE:
        say_handshake(c, f, True, d.ts_ns)


cdef inline void dtls_packet(Core* c, Flow* f, const Decoded* d) noexcept nogil:
    cdef uint16_t profile, seen, news
    cdef int state
    if f.flags & FLOW_DTLS_DONE and (f.talk == NULL or f.talk.shake.outcome != OUTCOME_NONE):
        read_late(c, f, d)
        return
    if not f.flags & FLOW_DTLS_SEEN:
        if not dtls_probe(d.payload, d.payload_len):
            return
        f.flags |= FLOW_DTLS_SEEN
        set_app(c, f, APP_DTLS, d.ts_ns)
    if f.talk == NULL:
        f.talk = begin_conversation(&f.talk, &c.memory)
        if f.talk == NULL:
            return
    seen = f.talk.hello.seen
    f.talk.hello.seen &= ~<int>(SEEN_PROTECTED | SEEN_CLIENT_HELLO | SEEN_SERVER_HELLO | SEEN_ALERT)
    state = dtls_scan(d.payload, d.payload_len, &f.talk.hello)
    news = f.talk.hello.seen
    f.talk.hello.seen |= seen
    if state == HELLO_NOT:
        return
    say_hello(c, f, True, d.ts_ns)
    if news & SEEN_CLIENT_HELLO or news & SEEN_SERVER_HELLO:
        f.talk.shake.client_is_high = d.from_high != ((news & SEEN_SERVER_HELLO) != 0)
    read_certificates(c, f, d, &f.talk.hello)
    follow_dtls(c, f, d, news)
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
        ring_commit(&c.ring, head)


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
    if c.hints.udptl and not f.flags & FLOW_FAX:
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


cdef inline void read_handshake(Core* c, Flow* f, Side* side, uint64_t ts_ns) noexcept nogil:
    cdef const uint8_t* data = side.data + side.start
    cdef uint32_t end
    cdef int found = ws_handshake(data, side.octets, &end)
    if end == 0:
        if side.octets > WS_MAX_HANDSHAKE:
            finish_side(side, &c.memory)
        return
    # A request may be refused; what the server says or frames that are SIP decide.
    if found != WS_NO and data[0] == c"H":
        set_app(c, f, APP_WS, ts_ns)
    if found != WS_SIP:
        finish_side(side, &c.memory)
        return
    side.reads = SIDE_WS
    consume(side, &c.memory, end)


cdef inline void drop_frame(Side* side, uint32_t octets) noexcept nogil:
    """Take octets out from behind the message that is being put together."""
    cdef uint8_t* data = side.data + side.start
    if side.message:
        memmove(data + octets, data, side.message)
    side.start += octets
    side.octets -= octets
    if side.octets == 0:
        side.start = 0


cdef inline bint take_frame(Core* c, Flow* f, Side* side, const WsFrame* frame, bint from_high,
                            uint64_t ts_ns) noexcept nogil:
    """Take a whole frame. Return whether the conversation goes on."""
    cdef uint8_t* data = side.data + side.start
    cdef uint32_t length = <uint32_t>frame.length, whole
    if frame.opcode == WS_CLOSE:
        return False
    side.pieces += 1
    if side.pieces > WS_MAX_PIECES:
        return False
    if frame.opcode >= WS_CLOSE:
        drop_frame(side, frame.head + length)
        side.pieces -= side.message == 0
        return True
    if frame.opcode != WS_CONTINUATION and side.message:
        return False                    # a message in a message (RFC 6455 section 5.4)
    side.unread |= frame.reserved != 0
    ws_unmask(frame, data + side.message + frame.head, length, data + side.message + frame.head)
    drop_frame(side, frame.head)
    whole = side.message + length
    if not frame.final:
        side.message = whole
        return whole <= SIP_MAX_MESSAGE
    if side.unread:
        c.sip_unreadable += 1
    elif whole:
        set_app(c, f, APP_WS, ts_ns)
        sip_message(c, f, side.data + side.start, whole, from_high, ts_ns)
    side.message = 0
    side.pieces = 0
    side.unread = False
    consume(side, &c.memory, whole)
    return True


cdef inline void read_websocket(Core* c, Flow* f, Side* side, bint from_high, uint64_t ts_ns) noexcept nogil:
    """Read frames; one message is one SIP message (RFC 7118 section 5)."""
    cdef WsFrame frame
    cdef uint32_t passed
    cdef int state
    while side.octets and side.octets >= side.framed:
        if side.skip:
            passed = <uint32_t>min(side.skip, <uint64_t>side.octets)
            side.skip -= passed
            consume(side, &c.memory, passed)
            continue
        state = ws_frame(side.data + side.start + side.message, side.octets - side.message, &frame)
        if state == 0:
            return
        if state > 0 and frame.length > SIP_MAX_MESSAGE and side.message == 0 and frame.final:
            c.sip_unreadable += 1
            consume(side, &c.memory, frame.head)
            side.skip = frame.length
            continue
        if state < 0 or frame.length > SIP_MAX_MESSAGE - side.message:
            c.sip_unreadable += 1
            finish_side(side, &c.memory)
            return
        if side.octets - side.message < frame.head + frame.length:
            side.framed = side.message + frame.head + <uint32_t>frame.length
            return
        side.framed = 0
        if not take_frame(c, f, side, &frame, from_high, ts_ns):
            finish_side(side, &c.memory)
            return


cdef inline void say_services(Core* c, Flow* f, const Service* services, int count, uint64_t ts_ns) noexcept nogil:
    cdef int i
    for i in range(count):
        set_app(c, f, services[i].app, ts_ns)
        if services[i].shown < SHOWN_KINDS:
            note_shown(c, f, services[i].shown, services[i].app, services[i].secret, services[i].by_content, ts_ns)


cdef inline void read_lines(Core* c, Flow* f, Side* side, bint from_high, uint64_t ts_ns) noexcept nogil:
    cdef Lines* lines = &f.talk.lines
    cdef const uint8_t* p
    cdef const uint8_t* end
    cdef uint32_t n
    cdef int state, i
    cdef Said said
    while side.octets:
        if side.skip:
            n = <uint32_t>min(side.skip, <uint64_t>side.octets)
            side.skip -= n
            consume(side, &c.memory, n)
            continue
        p = side.data + side.start
        if lines.app == APP_RTSP and p[0] == c"$":
            frames_begin(f, side, FRAMES_RTSP)
            return
        end = <const uint8_t*>memchr(p + side.searched, 10, side.octets - side.searched)
        if end == NULL:
            side.searched = side.octets
            if side.octets >= MAX_LINE:
                consume(side, &c.memory, side.octets)
            return
        n = <uint32_t>(end - p)
        state = take_line(lines, from_high, p, n - (n > 0 and p[n - 1] == 13), &said)
        lines.taken += n + 1
        consume(side, &c.memory, n + 1)
        side.skip = said.body
        say_services(c, f, said.service, said.count, ts_ns)
        if said.endless:
            finish_side(side, &c.memory)
            return
        if state == LINES_TLS:
            look_again(f, &f.talk.side[0], &c.memory, 0)
            look_again(f, &f.talk.side[1], &c.memory, 1)
            return
        if state == LINES_DONE or lines.taken > MAX_LINES_TAKEN:
            for i in range(2):
                finish_side(&f.talk.side[i], &c.memory)
            return


cdef inline void frames_begin(Flow* f, Side* side, uint8_t frames) noexcept nogil:
    side.reads = SIDE_FRAMES
    side.frames = frames
    if not f.flags & FLOW_FRAMES:
        f.flags |= FLOW_FRAMES
        f.recent[0] = 0                 # from here on the stream last met, as of a datagram
        f.recent[1] = 0


cdef inline void look_again(Flow* f, Side* side, Memory* memory, bint from_high) noexcept nogil:
    """Octets are missing, and where the next frame begins is not known: let the next segments tell."""
    finish_side(side, memory)
    side.reads = SIDE_IDLE
    side.gaps = False
    f.recent[from_high] = 0


cdef inline void read_frames(Core* c, Flow* f, Side* side) noexcept nogil:
    cdef const uint8_t* p
    cdef Carried frame
    cdef int state, app
    while side.octets and side.octets >= side.framed:
        p = side.data + side.start
        if side.gaps:
            if side.octets < SEARCHED:
                return
            consume(side, &c.memory, find_frames(side.frames, p, side.octets))
            side.gaps = side.octets == 0
            continue
        if side.frames == FRAMES_RTSP and c"A" <= p[0] <= c"Z":
            side.reads = SIDE_LINES     # a request or a response between the frames
            return
        state = next_frame(side.frames, p, side.octets, &frame)
        if state == 0:
            return
        if state < 0:
            side.gaps = True
            continue
        if side.octets < frame.total:
            side.framed = frame.total
            return
        if side.frames == FRAMES_TURN and p[0] <= 3:
            app = stun_probe(p, frame.total, frame.total)
            if app:
                set_app(c, f, app, c.at_hand.ts_ns)
        if frame.at:
            conversation_gave(f.talk, &c.memory)
            carried_packet(c, f, c.at_hand, p + frame.at, frame.octets, side.frames == FRAMES_TURN)
        consume(side, &c.memory, frame.total)


cdef inline void finish_tls(Core* c, Flow* f, uint64_t ts_ns) noexcept nogil:
    """Say how the handshake ended, and read no more of either direction."""
    cdef int i
    say_handshake(c, f, False, ts_ns)
    release_handshake(&f.talk.shake, &c.memory)
    for i in range(2):
        finish_side(&f.talk.side[i], &c.memory)


cdef inline void read_tls(Core* c, Flow* f, Side* side, bint from_high, uint64_t ts_ns) noexcept nogil:
    cdef int state = HELLO_NOT if side.gaps else tls_take(f.talk, &c.memory, from_high)
    say_hello(c, f, False, ts_ns)
    if state == HELLO_NOT:
        f.talk.shake.outcome = OUTCOME_UNKNOWN
    if f.talk.shake.outcome != OUTCOME_NONE:
        finish_tls(c, f, ts_ns)


cdef inline void close_tls(Core* c, Flow* f, bint from_high, bint ended, uint64_t ts_ns) noexcept nogil:
    """A connection is closed by a direction's packet, or its flow has ``ended``: a handshake is as far as it came."""
    cdef Conversation* talk = f.talk
    if talk.shake.outcome != OUTCOME_NONE or not (talk.side[0].reads == SIDE_TLS or talk.side[1].reads == SIDE_TLS):
        return
    if not ended and (talk.side[0].held or talk.side[1].held):
        return                          # what is late may tell more
    talk.shake.outcome = OUTCOME_UNKNOWN
    # A direction that was never seen is not one that said nothing.
    if f.flags & FLOW_CLOSED and f.packets[0] and f.packets[1]:
        talk.shake.outcome = OUTCOME_CUT
        talk.shake.alert_by_client = not ended and talk.shake.client_is_high == from_high
    finish_tls(c, f, ts_ns)


cdef inline void read_side(Core* c, Flow* f, Side* side, bint from_high, uint64_t ts_ns) noexcept nogil:
    cdef uint8_t reads
    if side.reads == SIDE_SIP:
        read_sip(c, f, side, from_high, ts_ns)
    elif side.gaps and (side.reads == SIDE_WS or side.reads == SIDE_HTTP):
        look_again(f, side, &c.memory, from_high)
    elif side.reads == SIDE_HTTP or side.reads == SIDE_WS:
        if side.reads == SIDE_HTTP:
            read_handshake(c, f, side, ts_ns)
        if side.reads == SIDE_WS:
            read_websocket(c, f, side, from_high, ts_ns)
    elif side.reads == SIDE_LINES or side.reads == SIDE_FRAMES:
        reads = SIDE_DONE
        while side.reads != reads and side.octets:
            reads = side.reads
            if reads == SIDE_FRAMES:
                read_frames(c, f, side)
            elif reads == SIDE_LINES:
                read_lines(c, f, side, from_high, ts_ns)
    elif side.reads == SIDE_TLS:
        read_tls(c, f, side, from_high, ts_ns)


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
    cdef Service service
    cdef Legacy legacy
    if not f.flags & FLOW_FRAMES and f.recent[d.from_high] >= MAX_PROBES and not has_port(f.key.ports, SIP_PORT):
        return SIDE_IDLE
    if sip_probe(d.payload, d.payload_len):
        return SIDE_SIP
    if f.talk != NULL and f.talk.side[not d.from_high].reads == SIDE_TLS:
        return SIDE_TLS
    if tls_probe(d.payload, d.payload_len):
        set_app(c, f, APP_TLS, d.ts_ns)
        return SIDE_TLS
    if ws_opens(d.payload, d.payload_len):
        return SIDE_HTTP
    if ws_probe(d.payload, d.payload_len):
        return SIDE_WS
    if d.payload_len == d.payload_wire and probe_frames(d.payload, d.payload_len):
        return SIDE_FRAMES
    if opens_lines(d.payload, d.payload_len):
        return SIDE_LINES
    if f.talk != NULL and f.talk.side[not d.from_high].reads == SIDE_LINES:
        return SIDE_LINES
    if tcp_legacy(d.payload, d.payload_len, f.key.ports, <const uint8_t*>f.key.low + 12,
                  <const uint8_t*>f.key.high + 12, &legacy):
        say_legacy(c, f, &legacy, d.ts_ns)
        f.recent[d.from_high] = 0       # every message may name media
        return SIDE_IDLE
    if tcp_service(d.payload, d.payload_len, &service):
        say_services(c, f, &service, 1, d.ts_ns)
    if not f.flags & FLOW_FRAMES:
        f.recent[d.from_high] += 1
    return SIDE_IDLE


cdef inline void begin_again(Core* c, Flow* f, const Decoded* d) noexcept nogil:
    # A SYN begins a new connection; one on the ports of an old connection, or sent twice, finds that one's state.
    if not f.flags & FLOW_FRAMES:
        f.recent[d.from_high] = 0
    f.flags &= ~(FLOW_CLOSED | FLOW_FIN_LOW | FLOW_FIN_HIGH)
    if f.talk != NULL:
        finish_side(&f.talk.side[d.from_high], &c.memory)
        f.talk.side[d.from_high].reads = SIDE_IDLE
        # One that is sent twice loses nothing that was read.
        if f.talk.shake.outcome != OUTCOME_NONE:
            forget_handshake(f.talk, &c.memory)


cdef inline void tcp_octets(Core* c, Flow* f, const Decoded* d) noexcept nogil:
    cdef Side* side
    cdef uint8_t reads
    if f.talk == NULL or f.talk.side[d.from_high].reads == SIDE_IDLE:
        reads = probe_segment(c, f, d)
        if reads == SIDE_IDLE:
            return
        if f.talk == NULL:
            f.talk = begin_conversation(&f.talk, &c.memory)
            if f.talk == NULL:
                return
        begin_side(&f.talk.side[d.from_high], reads, d.tcp_seq)
        if reads == SIDE_FRAMES:
            frames_begin(f, &f.talk.side[d.from_high], probe_frames(d.payload, d.payload_len))
    side = &f.talk.side[d.from_high]
    if side.reads == SIDE_DONE:
        return
    if add_segment(side, &c.memory, d.tcp_seq, d.payload, d.payload_len, d.ts_ns):
        read_side(c, f, side, d.from_high, d.ts_ns)
    while side.held and next_held(side, &c.memory):
        read_side(c, f, side, d.from_high, d.ts_ns)
    if d.payload_len < d.payload_wire and side.reads == SIDE_TLS:
        side.gaps = True
        read_tls(c, f, side, d.from_high, d.ts_ns)
    elif d.payload_len < d.payload_wire and (side.reads == SIDE_SIP or side.reads == SIDE_WS
                                             or side.reads == SIDE_FRAMES):
        # The snap length cut it: what is missing will not come.
        c.memory.lost += d.payload_wire - d.payload_len
        side.gaps = True
        forget(side)
        side.next_seq = d.tcp_seq + d.payload_wire


cdef inline void tcp_segment(Core* c, Flow* f, const Decoded* d) noexcept nogil:
    """Take a TCP segment of a flow."""
    if d.tcp_flags & TCP_RST:
        f.flags |= FLOW_CLOSED
    if d.tcp_flags & TCP_FIN:
        f.flags |= FLOW_FIN_HIGH if d.from_high else FLOW_FIN_LOW
        if f.flags & FLOW_FIN_HIGH and f.flags & FLOW_FIN_LOW:
            f.flags |= FLOW_CLOSED
    if d.tcp_flags & TCP_SYN:
        begin_again(c, f, d)
        return
    if d.payload_len:
        tcp_octets(c, f, d)
        follow_tunnel(c, f, d.ts_ns)
    if f.flags & FLOW_CLOSED and f.talk != NULL:
        close_tls(c, f, d.from_high, False, d.ts_ns)
