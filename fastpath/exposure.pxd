"""What a flow in clear shows to whoever reads it: said at first, then now and then with how often since."""

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport calloc

from fastpath.core cimport Core, begin_event
from fastpath.events cimport (
    EVENT_AGENT, EVENT_EXPOSURE, MAX_SAID_SUITES, MAX_SAID_TEXT, EventAgent, EventExposure, EventHead, ring_commit,
)
from fastpath.flow cimport Aside, Flow, Shown
from fastpath.names cimport (
    APP_SIP, SECRET_NONE, SHOWN_CREDENTIALS, SHOWN_KEYS, SHOWN_KINDS, SHOWN_SIP, SHOWN_TEXT,
)
from fastpath.sdp cimport SdpMedia
from fastpath.sip cimport SipScan
from fastpath.sip_records cimport sip_clean
from fastpath.siphash cimport siphash

cdef enum:
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
    for i in range(s.sdp.media_count):
        if is_used(&s.sdp.media[i], s.status):
            for k in range(s.sdp.media[i].crypto_count):
                if e.details < MAX_SAID_SUITES:
                    e.detail[e.details] = s.sdp.media[i].cryptos[k].suite
                    e.details += 1


cdef inline EventHead* begin_exposure(Core* c, Flow* f, int kind, uint8_t app, uint64_t ts_ns) noexcept nogil:
    """Begin to say one kind. Nothing more is said of what is left of it at a flow's end."""
    cdef Shown* shown = &f.aside.shown[kind]
    cdef EventHead* head = begin_event(c, f, EVENT_EXPOSURE, sizeof(EventExposure), ts_ns, False)
    cdef EventExposure* e
    if head == NULL:
        return NULL
    e = <EventExposure*>(<uint8_t*>head + sizeof(EventHead))
    e.kind = <uint8_t>kind
    e.app = app
    e.count = shown.count
    shown.count = 0
    shown.said_ns = ts_ns
    shown.app = app
    return head


cdef inline bint is_due(Flow* f, int kind, uint64_t ts_ns) noexcept nogil:
    """Count one kind once more. Return whether it is to be said."""
    cdef Shown* shown = &f.aside.shown[kind]
    shown.count += 1
    # Also when the clock was set back: what was said then was said of another time.
    return shown.said_ns == 0 or ts_ns - shown.said_ns >= <uint64_t>SAY_AGAIN_NS


cdef inline void note_shown(Core* c, Flow* f, int kind, uint8_t app, uint8_t secret, bint by_content,
                            uint64_t ts_ns) noexcept nogil:
    """Take that a protocol other than SIP shows something, and what of it is secret (SECRET_…)."""
    cdef EventHead* head
    cdef EventExposure* e
    if aside(c, f) == NULL:
        return
    if by_content and not f.aside.by_content[kind]:
        f.aside.by_content[kind] = True
        f.aside.shown[kind].said_ns = 0         # that is news, whatever was said before
    if not is_due(f, kind, ts_ns):
        return
    head = begin_exposure(c, f, kind, app, ts_ns)
    if head == NULL:
        return
    e = <EventExposure*>(<uint8_t*>head + sizeof(EventHead))
    e.first = True
    e.by_content = by_content
    if secret != SECRET_NONE:
        e.detail[0] = secret
        e.details = 1
    ring_commit(&c.ring, head)


cdef inline void show(Core* c, Flow* f, int kind, const uint8_t* p, const SipScan* s, uint64_t ts_ns) noexcept nogil:
    cdef EventHead* head
    cdef EventExposure* e
    if not is_due(f, kind, ts_ns):
        return
    head = begin_exposure(c, f, kind, APP_SIP, ts_ns)
    if head != NULL:
        e = <EventExposure*>(<uint8_t*>head + sizeof(EventHead))
        e.first = True
        e.status = s.status
        e.method_len = <uint8_t>sip_clean(p, s.method, MAX_SAID_TEXT, e.method)
        if kind == SHOWN_KEYS:
            fill_suites(e, s)
        elif kind == SHOWN_CREDENTIALS:
            e.detail[0] = s.credentials
            e.details = 1
        ring_commit(&c.ring, head)


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
    for i in range(s.sdp.media_count):
        if is_used(&s.sdp.media[i], s.status):
            show(c, f, SHOWN_KEYS, p, s, ts_ns)
            break
    note_agent(c, f, p, s, from_high, ts_ns)


cdef inline void say_rest(Core* c, Flow* f, uint64_t ts_ns) noexcept nogil:
    """Say what was shown since it was said last, as the flow is over."""
    cdef EventHead* head
    cdef int kind
    if f.aside == NULL:
        return
    for kind in range(<int>SHOWN_KINDS):
        if f.aside.shown[kind].count:
            head = begin_exposure(c, f, kind, f.aside.shown[kind].app, ts_ns)
            if head != NULL:
                ring_commit(&c.ring, head)
