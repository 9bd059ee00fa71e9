"""What RTCP in clear says of a stream: how much its receivers miss, and how far away they are.

Read first: RFC 3550 sections 6.4.1 and 6.4.3. The delay is that from the mirror to the receiver and back: from where a
sender report was seen to where the receiver's answer to it was, less the time that the receiver held it.
"""

from libc.stdint cimport int32_t, uint8_t, uint32_t, uint64_t

from fastpath.core cimport Core
from fastpath.flow cimport STREAM_FROM_HIGH, STREAM_VALID, Flow, Reception, Stream, find_flow
from fastpath.octets cimport be16, be32
from fastpath.wire cimport Decoded, FlowKeyBits, hash_key

cdef enum:
    MAX_BLOCKS = 31             # RFC 3550 section 6.4.1
    MAX_DELAY_NS = 10000000000
    MISSED_STREAM = 5           # packets that a stream's receivers did get before it counts as one of those


cdef inline Flow* media_of(Core* c, Flow* f) noexcept nogil:
    # RTCP beside its media, or on the next port at both ends (RFC 3550 section 11).
    cdef FlowKeyBits key = f.key
    cdef uint32_t number
    if f.streams:
        return f
    key.ports -= 0x00010001
    number = find_flow(&c.table, &key, <uint32_t>(hash_key(&key, &c.flow_secret) >> 32))
    return &c.table.flows[number] if number else NULL


cdef inline Reception* reception(Core* c, const Flow* f, uint32_t ssrc, bint from_high, Stream** stream) noexcept nogil:
    """What is known of a stream; NULL when there is no such stream."""
    cdef uint32_t number = f.streams
    cdef Reception* r
    cdef Stream* s
    while number:
        s = &c.table.streams[number]
        if s.ssrc == ssrc and ((s.flags & STREAM_FROM_HIGH) != 0) == from_high and s.flags & STREAM_VALID:
            r = &c.table.receptions[number]
            if r.since_ns != s.first_ns:        # the record is another stream's that ended
                r[0] = c.table.receptions[0]    # number 0 is all zero
                r.since_ns = s.first_ns
            stream[0] = s
            return r
        number = s.next
    return NULL


cdef inline void take_block(Core* c, const Flow* f, const uint8_t* p, const Decoded* d) noexcept nogil:
    cdef Stream* s = NULL
    cdef Reception* r = reception(c, f, be32(p), not d.from_high, &s)
    cdef int32_t lost, missed, more
    cdef uint64_t held
    if r == NULL:
        return
    lost = <int32_t>(be32(p + 4) << 8) >> 8         # 24 bits, with a sign
    missed = <int32_t>(s.expected - s.packets) if s.expected > s.packets else 0
    if r.reports == 0:
        r.first_lost = lost
        r.first_missed = missed
    r.lost = lost - r.first_lost
    missed -= r.first_missed
    # Only what two reports in a row do not know of: the last gap may have come after the report was made.
    more = missed - r.lost - r.unreported
    if more > 0 and r.pending > 0:
        more = min(more, r.pending)
        c.mirror.unreported_gaps += <uint32_t>more
        c.mirror.unreported_streams += r.unreported < MISSED_STREAM and r.unreported + more >= MISSED_STREAM
        r.unreported += more
    r.pending = missed - r.lost - r.unreported
    r.reports += r.reports < 0xFF
    held = <uint64_t>be32(p + 20) * 1000000000 >> 16
    if r.sent_ntp and be32(p + 16) == r.sent_ntp and r.sent_ns + held < d.ts_ns <= r.sent_ns + held + MAX_DELAY_NS:
        r.delay_us = <uint32_t>((d.ts_ns - r.sent_ns - held) // 1000)


cdef inline void take_reports(Core* c, Flow* f, const Decoded* d) noexcept nogil:
    """Take a compound packet whose headers are known to tile it (rtcp_parse)."""
    cdef const uint8_t* p = d.payload
    cdef Flow* media = media_of(c, f)
    cdef uint32_t at = 0, block, end
    cdef Stream* s = NULL
    cdef Reception* r
    if media == NULL:
        return
    while at + 8 <= d.payload_len:
        end = at + 4 * (<uint32_t>be16(p + at + 2) + 1)
        if end > d.payload_len:
            return
        block = at + 8
        if p[at + 1] == 200:
            block = at + 28
            if block > end:
                return
            r = reception(c, media, be32(p + at + 4), d.from_high, &s)
            if r != NULL:
                r.sent_ntp = be32(p + at + 10)
                r.sent_ns = d.ts_ns
        if p[at + 1] == 200 or p[at + 1] == 201:
            for _ in range(p[at] & MAX_BLOCKS):
                if block + 24 > end:
                    break
                take_block(c, media, p + block, d)
                block += 24
        at = end
