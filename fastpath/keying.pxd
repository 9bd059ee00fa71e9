"""Handshakes that are read in clear, and what they say: hellos, how they end, certificates; DTLS and ZRTP.

Read first: RFC 6347 section 4, RFC 5764 section 4, RFC 6189 section 5.
"""

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcmp, memcpy, memset

from fastpath.certificate cimport CERTIFICATE_DONE, CERTIFICATE_LOST, CERTIFICATE_NOT, drop_parts, gather_certificate
from fastpath.core cimport Core, begin_event, set_app
from fastpath.crc32c cimport crc32c
from fastpath.events cimport (
    EVENT_CERTIFICATE, EVENT_HANDSHAKE, EVENT_HELLO, EventHandshake, EventHead, EventHello, ring_commit,
)
from fastpath.flow cimport FLOW_DTLS_DONE, FLOW_DTLS_SEEN, FLOW_TLS_NULL, FLOW_ZRTP_DONE, FLOW_ZRTP_SEEN, Flow
from fastpath.handshake cimport is_resumed, keep_certificate
from fastpath.names cimport APP_DTLS, APP_ZRTP
from fastpath.octets cimport be16, be32, raw32
from fastpath.tcp cimport Conversation, begin_conversation
from fastpath.tls cimport (
    HELLO_NOT, OUTCOME_COMPLETED, OUTCOME_CUT, OUTCOME_NONE, OUTCOME_REFUSED, SEEN_ALERT, SEEN_CLIENT_HELLO,
    SEEN_PROTECTED, SEEN_SERVER_HELLO, Handshake, HelloScan, cipher_is_null, dtls_probe, dtls_scan,
)
from fastpath.wire cimport Decoded

cdef enum:
    ZRTP_COOKIE = 0x5A525450
    ZRTP_LEAST = 28             # octets of a message without content
    DTLS_HANDSHAKE = 22         # type of a record
    DTLS_1_3 = 0xFEFC
    SRTP_NULL_80 = 5            # SRTP_NULL_HMAC_SHA1_80 (RFC 5764 section 4.1.2)
    SRTP_NULL_32 = 6


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
