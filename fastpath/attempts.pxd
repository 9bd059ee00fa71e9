"""Requests that a server does not serve: what guessing, searching and wrong passwords look like (RFC 3261 section 22).

Requests and responses are matched by Call-ID and CSeq in a table where a newer request may take a place. Only what
comes to nothing is said: a refusal in spite of credentials, and, where many are open at once between two hosts,
requests that nobody goes on with. Who and what was asked for is a keyed digest.
"""

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcmp

from fastpath.core cimport Attempt, Core, begin_event
from fastpath.events cimport EVENT_ATTEMPT, EventAttempt, EventHead, ring_commit
from fastpath.exposure cimport aside
from fastpath.flow cimport Flow
from fastpath.sip cimport SipScan
from fastpath.siphash cimport siphash
from fastpath.text cimport Span

cdef enum:
    MAX_ATTEMPTS = 4096         # a power of two
    MANY_OPEN = 8               # requests of a flow that nobody went on with; more are said one by one
    MAX_PER_SECOND = 1000       # records; what there is beyond is counted in the next one
    SHORT_NUMBER = 6            # digits of an extension, at most

    ATTEMPT_REFUSED = 0         # in spite of credentials, or for good
    ATTEMPT_CHALLENGED = 1      # a REGISTER without credentials, among many
    ATTEMPT_UNANSWERED = 2      # an INVITE to an extension, among many
    ATTEMPT_FOLLOWED = 3        # one of those two was gone on with, or answered
    ATTEMPT_ACCEPTED = 4        # a REGISTER with credentials


cdef inline bint is_extension(const uint8_t* p, Span user) noexcept nogil:
    cdef uint32_t i
    for i in range(user.at, user.at + user.len):
        if not c"0" <= p[i] <= c"9":
            return False
    return 0 < user.len <= SHORT_NUMBER


cdef inline void say_attempt(Core* c, Flow* f, int kind, uint64_t account, uint16_t status, bint fresh,
                             bint from_high, uint64_t ts_ns) noexcept nogil:
    """Say one; ``from_high`` is the end that asks."""
    cdef EventHead* head
    cdef EventAttempt* e
    if ts_ns // 1000000000 != c.attempts_second:
        c.attempts_second = ts_ns // 1000000000
        c.attempts_said = 0
    if c.attempts_said >= MAX_PER_SECOND:
        c.attempts_left_out += 1
        return
    c.attempts_said += 1
    head = begin_event(c, f, EVENT_ATTEMPT, sizeof(EventAttempt), ts_ns, from_high)
    if head == NULL:
        return
    e = <EventAttempt*>(<uint8_t*>head + sizeof(EventHead))
    e.account = account
    e.status = status
    e.kind = <uint8_t>kind
    e.fresh = fresh
    ring_commit(&c.ring, head)


cdef inline void note_request(Core* c, Flow* f, const uint8_t* p, const SipScan* s, Attempt* a, uint64_t key,
                              bint is_invite, bint from_high, uint64_t ts_ns) noexcept nogil:
    cdef uint32_t secret = 0
    if s.credentials:
        secret = <uint32_t>siphash(c.key_secret, p + s.authorization.at, s.authorization.len) | 1
    if a.key == key and a.secret == secret:
        return                          # sent again
    a.key = key
    a.account = siphash(c.key_secret, p + s.to_user.span.at, s.to_user.span.len)
    a.secret = secret
    a.is_invite = is_invite
    a.answered = False
    a.said = False
    if is_invite:
        if s.to_tag.span.len or not is_extension(p, s.to_user.span):
            a.answered = True           # within a dialogue, or to a telephone number: nothing is enumerated
            return
        f.aside.open[1] += f.aside.open[1] < 0xFFFF
        if f.aside.open[1] > MANY_OPEN:
            a.said = True
            say_attempt(c, f, ATTEMPT_UNANSWERED, a.account, 0, False, from_high, ts_ns)
    elif secret:
        if f.aside.open[0]:
            f.aside.open[0] -= 1
        if f.aside.many:
            say_attempt(c, f, ATTEMPT_FOLLOWED, a.account, 0, False, from_high, ts_ns)


cdef inline bint is_refusal(uint16_t status) noexcept nogil:
    """For good (RFC 3261 sections 21.4 and 21.6), and not for being busy, away or cancelled."""
    return status == 403 or status == 404 or status == 410 or status == 484 or status == 604


cdef inline void note_response(Core* c, Flow* f, const SipScan* s, Attempt* a, bint from_high,
                               uint64_t ts_ns) noexcept nogil:
    cdef bint is_challenge = s.status == 401 or s.status == 407
    if a.is_invite and f.aside.open[1]:
        f.aside.open[1] -= 1
    if a.said and not is_refusal(s.status):
        say_attempt(c, f, ATTEMPT_FOLLOWED, a.account, s.status, False, not from_high, ts_ns)
    if is_refusal(s.status) or (is_challenge and a.secret):
        say_attempt(c, f, ATTEMPT_REFUSED, a.account, s.status, f.aside.fresh, not from_high, ts_ns)
        f.aside.fresh = False
    elif is_challenge:
        f.aside.fresh = True            # what is refused next was asked for anew
        if not a.is_invite:
            f.aside.open[0] += f.aside.open[0] < 0xFFFF
            if f.aside.open[0] > MANY_OPEN:
                f.aside.many = True
                say_attempt(c, f, ATTEMPT_CHALLENGED, a.account, s.status, False, not from_high, ts_ns)
    elif not a.is_invite and a.secret and 200 <= s.status < 300:
        say_attempt(c, f, ATTEMPT_ACCEPTED, a.account, s.status, False, not from_high, ts_ns)


cdef inline void follow_attempts(Core* c, Flow* f, const uint8_t* p, const SipScan* s, bint from_high,
                                 uint64_t ts_ns) noexcept nogil:
    """Take a message of SIP in clear."""
    cdef uint64_t key
    cdef Attempt* a
    cdef bint is_invite = s.method.len == 6 and memcmp(p + s.method.at, b"INVITE", 6) == 0
    if not is_invite and not (s.method.len == 8 and memcmp(p + s.method.at, b"REGISTER", 8) == 0):
        return
    if s.status == 100 or aside(c, f) == NULL:
        return
    key = (siphash(c.key_secret, p + s.call_id.span.at, s.call_id.span.len) + s.cseq * 0x9E3779B97F4A7C15ULL) | 1
    a = &c.attempts[key >> 52 & (MAX_ATTEMPTS - 1)]
    if s.status == 0:
        note_request(c, f, p, s, a, key, is_invite, from_high, ts_ns)
    elif a.key == key and not a.answered:
        a.answered = True
        note_response(c, f, s, a, from_high, ts_ns)
