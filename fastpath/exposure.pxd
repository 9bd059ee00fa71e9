"""What a flow of clear SIP shows to whoever reads it: said at first, then now and then with how often since."""

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport calloc

from fastpath.core cimport Core, begin_event
from fastpath.events cimport (
    EVENT_AGENT, EVENT_EXPOSURE, MAX_SAID_SUITES, MAX_SAID_TEXT, EventAgent, EventExposure, EventHead, ring_commit,
)
from fastpath.flow cimport SHOWN_KINDS, Aside, Flow, SipShown
from fastpath.sip cimport SdpMedia, SipScan, sip_clean
from fastpath.siphash cimport siphash

cdef enum:
    SHOWN_SIP = 0
    SHOWN_KEYS = 1
    SHOWN_CREDENTIALS = 2
    SHOWN_TEXT = 3

    SAY_AGAIN_NS = 10000000000


cdef inline Aside* aside(Core* c, Flow* f) noexcept nogil:
    """What a flow keeps beside its record, made when first needed; NULL when there is no room."""
    if f.aside == NULL:
        f.aside = <Aside*>calloc(1, sizeof(Aside))
        if f.aside == NULL:
            c.asides_refused += 1
    return f.aside


cdef inline bint is_used(const SdpMedia* m, uint16_t status) noexcept nogil:
    """Whether an m-line's keys serve: always in an answer, in an offer unless RTP may be chosen (RFC 8643)."""
    return m.crypto_count != 0 and m.port != 0 and (status != 0 or m.secure)


cdef inline void fill_suites(EventExposure* e, const SipScan* s) noexcept nogil:
    cdef uint32_t i, k
    for i in range(s.media_count):
        if is_used(&s.media[i], s.status):
            for k in range(s.media[i].crypto_count):
                if e.details < MAX_SAID_SUITES:
                    e.detail[e.details] = s.media[i].cryptos[k].suite
                    e.details += 1


cdef inline void say_exposure(Core* c, Flow* f, int kind, const uint8_t* p, const SipScan* s,
                              uint64_t ts_ns) noexcept nogil:
    """Say one kind; without a message (s is NULL) what is left of it at the flow's end."""
    cdef SipShown* shown = &f.aside.shown[kind]
    cdef EventHead* head = begin_event(c, f, EVENT_EXPOSURE, sizeof(EventExposure), ts_ns, False)
    cdef EventExposure* e
    if head == NULL:
        return
    e = <EventExposure*>(<uint8_t*>head + sizeof(EventHead))
    e.kind = <uint8_t>kind
    e.count = shown.count
    if s != NULL:
        e.status = s.status
        e.method_len = <uint8_t>sip_clean(p, s.method, MAX_SAID_TEXT, e.method)
        if kind == SHOWN_KEYS:
            fill_suites(e, s)
        elif kind == SHOWN_CREDENTIALS:
            e.detail[0] = s.credentials
            e.details = 1
    shown.count = 0
    shown.said_ns = ts_ns
    ring_commit(&c.ring, head)


cdef inline void show(Core* c, Flow* f, int kind, const uint8_t* p, const SipScan* s, uint64_t ts_ns) noexcept nogil:
    cdef SipShown* shown = &f.aside.shown[kind]
    shown.count += 1
    # Also when the clock was set back: what was said then was said of another time.
    if shown.said_ns == 0 or ts_ns - shown.said_ns >= <uint64_t>SAY_AGAIN_NS:
        say_exposure(c, f, kind, p, s, ts_ns)


cdef inline void note_agent(Core* c, Flow* f, const uint8_t* p, const SipScan* s, bint from_high,
                            uint64_t ts_ns) noexcept nogil:
    cdef uint32_t digest
    cdef EventHead* head
    cdef EventAgent* e
    if s.user_agent.len == 0:
        return
    digest = <uint32_t>siphash(c.key_secret, p + s.user_agent.at, s.user_agent.len) | 1
    if digest == f.aside.agent[from_high]:
        return
    f.aside.agent[from_high] = digest
    head = begin_event(c, f, EVENT_AGENT, sizeof(EventAgent), ts_ns, from_high)
    if head == NULL:
        return
    e = <EventAgent*>(<uint8_t*>head + sizeof(EventHead))
    e.size = <uint8_t>sip_clean(p, s.user_agent, MAX_SAID_TEXT, e.text)
    ring_commit(&c.ring, head)


cdef inline void note_exposure(Core* c, Flow* f, const uint8_t* p, const SipScan* s, bint from_high,
                               uint64_t ts_ns) noexcept nogil:
    """Take a message that was read in clear."""
    cdef uint32_t i
    if aside(c, f) == NULL:
        return
    show(c, f, SHOWN_SIP, p, s, ts_ns)
    if s.credentials:
        show(c, f, SHOWN_CREDENTIALS, p, s, ts_ns)
    if s.text:
        show(c, f, SHOWN_TEXT, p, s, ts_ns)
    for i in range(s.media_count):
        if is_used(&s.media[i], s.status):
            show(c, f, SHOWN_KEYS, p, s, ts_ns)
            break
    note_agent(c, f, p, s, from_high, ts_ns)


cdef inline void say_rest(Core* c, Flow* f, uint64_t ts_ns) noexcept nogil:
    """Say what was shown since it was said last, as the flow is over."""
    cdef int kind
    if f.aside == NULL:
        return
    for kind in range(SHOWN_KINDS):
        if f.aside.shown[kind].count:
            say_exposure(c, f, kind, NULL, NULL, ts_ns)
