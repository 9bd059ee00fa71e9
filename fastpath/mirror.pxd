"""How well the mirror shows the network: packets given twice, flows of which one direction is missing, gaps that many
streams have at once.

What the network loses hits one call or those on one path; what a mirror loses hits whatever it carries at that moment
(RFC 3550 knows loss by sequence numbers only, and cannot tell the two apart).
"""

from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.string cimport memset

from fastpath.core cimport Core, Mirror
from fastpath.flow cimport Flow
from fastpath.octets cimport fold, raw64
from fastpath.wire cimport PROTO_UDP, Decoded

cdef enum:
    TWINS = 1 << 13             # packets remembered, by what they hold
    TWIN_SHIFT = 17             # a twin's time is kept in units of 131 microseconds …
    TWIN_UNITS = 381            # … and it is a twin for 50 milliseconds: nothing is sent again so soon (RFC 6298)
    WHOLE_OCTETS = 512          # looked at where no header tells two datagrams apart

    GAP_WINDOW_NS = 200000000
    GAP_BITS = 4096             # streams with a gap in a window are told apart by so many
    LEAST_GAPPED = 4            # streams before a gap is common

    DIRECTION_LOOK = 100        # media packets after which the other direction ought to have been seen


cdef inline uint64_t twin_mark(const Decoded* d) noexcept nogil:
    """What two copies of a packet have in common, whatever a router or a tag did to it; no two packets else."""
    cdef uint64_t mark = fold(d.hash ^ (<uint64_t>d.tcp_flags << 32 | d.tcp_seq if d.proto != PROTO_UDP else 0),
                              (<uint64_t>d.mark << 32 | d.payload_wire) ^ 0x9E3779B97F4A7C15ULL)
    cdef uint32_t at = 0, octets = 16
    if d.proto == PROTO_UDP and d.mark >> 16 == 0:
        # Without an identifier (RFC 6864), and perhaps with a checksum that the sender's card was to fill in.
        octets = WHOLE_OCTETS
    while at + 8 <= d.payload_len and at < octets:
        mark = fold(mark ^ raw64(d.payload + at), 0xD6E8FEB86659FD93ULL)
        at += 8
    if d.payload_len >= 8:
        mark = fold(mark ^ raw64(d.payload + d.payload_len - 8), 0xD6E8FEB86659FD93ULL)
    return mark | 1


cdef inline bint is_twin(Core* c, const Decoded* d) noexcept nogil:
    """Was this packet here a moment ago? Not asked of media, whose sequence numbers tell."""
    cdef uint64_t mark = twin_mark(d)
    cdef uint64_t* entry = &c.mirror.twins[mark >> 8 & (TWINS - 1)]
    cdef uint64_t now = d.ts_ns >> TWIN_SHIFT & 0xFFFFFF
    cdef bint twin = (entry[0] ^ mark) >> 24 == 0 and (now - entry[0] & 0xFFFFFF) <= TWIN_UNITS
    entry[0] = (mark & ~<uint64_t>0xFFFFFF) | now
    return twin


cdef inline void follow_gaps(Core* c, uint64_t last_ns, uint64_t ts_ns) noexcept nogil:
    """Take a stream's packet: the window in which gaps are counted moves on, and knows how many streams are there."""
    cdef Mirror* m = &c.mirror
    if ts_ns - m.window_ns >= <uint64_t>GAP_WINDOW_NS:      # also when time was set back
        if m.gapped >= LEAST_GAPPED and m.gapped * 2 >= m.active:
            m.common_gaps += m.missing
        if m.gapped:
            memset(m.gaps, 0, sizeof(m.gaps))
        m.gapped = m.active = m.missing = 0
        m.window_ns = ts_ns - ts_ns % <uint64_t>GAP_WINDOW_NS
    m.active += last_ns < m.window_ns


cdef inline void note_gap(Core* c, uint32_t ssrc, uint32_t packets) noexcept nogil:
    cdef Mirror* m = &c.mirror
    cdef uint32_t bit = <uint32_t>(fold(ssrc ^ c.flow_secret.word[0], c.flow_secret.word[1]) >> 32) % GAP_BITS
    if not m.gaps[bit >> 6] >> (bit & 63) & 1:
        m.gaps[bit >> 6] |= <uint64_t>1 << (bit & 63)
        m.gapped += 1
    m.missing += packets


cdef inline bint goes_to_many(const Flow* f, bint from_high) noexcept nogil:
    # A group's address (RFC 5771, RFC 4291 section 2.7): nobody answers from there.
    cdef const uint8_t* to = <const uint8_t*>f.key.low if from_high else <const uint8_t*>f.key.high
    return to[0] == 0xFF or (f.key.low[0] | f.key.high[0] == 0 and to[12] >> 4 == 14)


cdef inline void look_both_ways(Core* c, const Flow* f, bint from_high) noexcept nogil:
    """Count a media flow once by whether both directions are seen."""
    cdef uint32_t other = f.packets[not from_high]
    if other == 0:
        c.mirror.one_way += not goes_to_many(f, from_high)
    elif other < DIRECTION_LOOK:
        c.mirror.both_ways += 1
