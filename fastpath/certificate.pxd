"""The certificate that each side of a DTLS handshake shows, put together from its fragments (RFC 6347 section 4.2.3).

DTLS 1.3 encrypts it. Of an octet that comes twice the first copy counts.
"""

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy

from fastpath.core cimport Core, begin_event
from fastpath.events cimport EVENT_CERTIFICATE, EventHead, ring_commit
from fastpath.exposure cimport aside
from fastpath.flow cimport Flow, Shown
from fastpath.octets cimport be16
from fastpath.tcp cimport Memory

cdef enum:
    MAX_CERTIFICATES = 16384    # octets of a Certificate message
    RECORD_HEADER = 13          # RFC 6347 section 4.1
    MESSAGE_HEADER = 12         # section 4.2.2
    HANDSHAKE = 22
    CERTIFICATE = 11            # RFC 5246 section 7.4


cdef inline uint32_t be24(const uint8_t* p) noexcept nogil:
    return <uint32_t>p[0] << 16 | be16(p + 1)


cdef inline void forget_certificate(Shown* shown, Memory* memory) noexcept nogil:
    if shown.data != NULL:
        memory.used -= shown.length + (shown.length >> 3) + 1
        free(shown.data)
    shown.data = NULL


cdef inline bint begin_certificate(Shown* shown, uint32_t length, Memory* memory) noexcept nogil:
    # The message's octets, and behind them a bit for each that is there.
    cdef uint32_t size = length + (length >> 3) + 1
    if length < 7 or length > MAX_CERTIFICATES:
        return False
    if memory.used + size > memory.limit:
        memory.lost += length
        return False
    shown.data = <uint8_t*>calloc(1, size)
    if shown.data == NULL:
        return False
    memory.used += size
    shown.length = length
    shown.have = 0
    return True


cdef inline void say_certificate(Core* c, Flow* f, const Shown* shown, bint from_high, uint64_t ts_ns) noexcept nogil:
    """Say the first certificate of the list: the sender's own (RFC 5246 section 7.4.2)."""
    cdef uint32_t size = be24(shown.data + 3)
    cdef EventHead* head
    if size == 0 or 6 + size > shown.length:
        return
    head = begin_event(c, f, EVENT_CERTIFICATE, size + 8, ts_ns, from_high)
    if head != NULL:
        (<uint32_t*>(<uint8_t*>head + sizeof(EventHead)))[0] = size
        memcpy(<uint8_t*>head + sizeof(EventHead) + 8, shown.data + 6, size)
        ring_commit(&c.ring, head)


cdef inline void take_message(Core* c, Flow* f, const uint8_t* p, uint32_t n, bint from_high,
                              uint64_t ts_ns) noexcept nogil:
    """Take a fragment of a handshake message, header included."""
    cdef uint32_t length = be24(p + 1), begin = be24(p + 6), size = be24(p + 9), i
    cdef uint8_t* there
    cdef Shown* shown
    if p[0] != CERTIFICATE or size > n - MESSAGE_HEADER or begin + size > length or aside(c, f) == NULL:
        return
    shown = &f.aside.certificate[from_high]
    if shown.said or (shown.data == NULL and not begin_certificate(shown, length, &c.memory)):
        return
    if length != shown.length:
        return
    there = shown.data + length
    for i in range(begin, begin + size):
        if not there[i >> 3] >> (i & 7) & 1:
            there[i >> 3] |= 1 << (i & 7)
            shown.data[i] = p[MESSAGE_HEADER + i - begin]
            shown.have += 1
    if shown.have == length:
        shown.said = True
        say_certificate(c, f, shown, from_high, ts_ns)
        forget_certificate(shown, &c.memory)


cdef inline void note_certificates(Core* c, Flow* f, const uint8_t* p, uint32_t n, bint from_high,
                                   uint64_t ts_ns) noexcept nogil:
    """Look through a datagram of DTLS records, which dtls_scan has found sound, for a certificate in clear."""
    cdef uint32_t at = 0, end, size
    if f.aside != NULL and f.aside.certificate[from_high].said:
        return
    while at + RECORD_HEADER <= n:
        end = at + RECORD_HEADER + be16(p + at + 11)
        if end > n:
            return
        if p[at] == HANDSHAKE and be16(p + at + 3) == 0:
            at += RECORD_HEADER
            while at + MESSAGE_HEADER <= end:
                take_message(c, f, p + at, end - at, from_high, ts_ns)
                size = be24(p + at + 9)
                if size > end - at - MESSAGE_HEADER:
                    break
                at += MESSAGE_HEADER + size
        at = end
