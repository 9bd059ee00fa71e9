"""SIP in clear: what a message changes is said, and everything else is counted (RFC 3261 section 7)."""

from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.string cimport memcmp, memcpy

from fastpath.attempts cimport follow_attempts
from fastpath.core cimport Core, begin_event, set_app
from fastpath.dialogs cimport (
    DIALOG_ENDED, METHOD_ACK, METHOD_BYE, METHOD_INVITE, METHOD_OTHER, METHOD_PRACK, METHOD_UPDATE, DialogMessage,
    DialogNews, expire_dialog, take_message,
)
from fastpath.events cimport EVENT_NEGOTIATION, EVENT_SIP, EventHead, EventNegotiation, ring_commit
from fastpath.exposure cimport note_exposure
from fastpath.flow cimport Flow
from fastpath.hints cimport note_hints
from fastpath.names cimport APP_SIP
from fastpath.sip cimport SIP_NOT_SIP, SIP_OK, sip_scan
from fastpath.sip_records cimport SIP_MAX_PACKED, sip_pack, sip_pack_media, sip_pack_parties
from fastpath.siphash cimport siphash
from fastpath.tcp cimport conversation_gave
from fastpath.text cimport Span


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
