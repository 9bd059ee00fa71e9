"""Fax over UDPTL (ITU-T T.38 section 9.1): is a datagram one, and do they follow each other?

    sequence number:16 | length, primary IFP packet | 0x00, count, so many (length, IFP packet)
                                                    | 0x80, 1, packets a FEC spans, count, so many (length, octets)

By chance a datagram is tiled by its own lengths and begins with a possible IFP packet with a probability below 2^-9,
and has the number after the last one's with 2^-16: four in a row are taken for fax, below 2^-75 for random octets.
"""

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t

from fastpath.core cimport Core, say_app
from fastpath.exposure cimport aside
from fastpath.flow cimport Flow
from fastpath.names cimport APP_T38
from fastpath.octets cimport be16
from fastpath.wire cimport Decoded

cdef enum:
    UDPTL_RUN = 4
    UDPTL_SAID = 0xFF
    UDPTL_MAX_ENTRIES = 32


cdef inline uint32_t skip_octets(const uint8_t* p, uint32_t at, uint32_t n) noexcept nogil:
    """Past a length and so many octets (ITU-T X.691 section 11.9, aligned); 0 when it does not fit."""
    cdef uint32_t length
    if at >= n:
        return 0
    length = p[at]
    at += 1
    if length & 0x80:
        if length & 0x40 or at >= n:
            return 0
        length = (length & 0x3F) << 8 | p[at]
        at += 1
    return at + length if length <= n - at else 0


cdef inline bint may_be_ifp(const uint8_t* p, uint32_t n) noexcept nogil:
    """T.38 section 7.2: an indicator alone, or data of some modulation."""
    if n == 1:
        return p[0] & 0xC1 == 0
    return p[0] & 0x40 != 0


cdef inline bint udptl_probe(const uint8_t* p, uint32_t n) noexcept nogil:
    cdef uint32_t at, begin, entries
    if n < 5:
        return False
    begin = 4 if p[2] & 0x80 else 3
    at = skip_octets(p, 2, n)
    if at <= begin or at + 2 > n or not may_be_ifp(p + begin, at - begin):
        return False
    if p[at] == 0x00:
        at += 1
    elif p[at] == 0x80 and at + 4 <= n and p[at + 1] == 1:
        at += 3
    else:
        return False
    entries = p[at]
    at += 1
    if entries > UDPTL_MAX_ENTRIES:
        return False
    for _ in range(entries):
        at = skip_octets(p, at, n)
        if at == 0:
            return False
    return at == n


cdef inline void udptl_packet(Core* c, Flow* f, const Decoded* d) noexcept nogil:
    """Follow what may be fax; a flow of media may have turned to it on the same ports."""
    cdef uint16_t seq
    cdef uint8_t* run
    if d.payload_len != d.payload_wire or not udptl_probe(d.payload, d.payload_len) or aside(c, f) == NULL:
        return
    run = &f.aside.udptl_run[d.from_high]
    if run[0] == UDPTL_SAID:
        return
    seq = be16(d.payload)
    if run[0] and seq == f.aside.udptl_seq[d.from_high]:
        return                          # a mirror gives packets twice
    run[0] = run[0] + 1 if run[0] and <uint16_t>(f.aside.udptl_seq[d.from_high] + 1) == seq else 1
    f.aside.udptl_seq[d.from_high] = seq
    if run[0] == UDPTL_RUN:
        run[0] = UDPTL_SAID
        if f.aside.udptl_run[not d.from_high] != UDPTL_SAID:
            if f.app < APP_T38:
                f.app = APP_T38
            say_app(c, f, APP_T38, d.ts_ns)
