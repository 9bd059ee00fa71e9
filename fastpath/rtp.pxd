"""RTP and RTCP headers, and what their lengths prove.

Read first: RFC 3550 sections 5.1, 5.3.1, 6.1, 6.4 and A.1; RFC 3551 section 6; RFC 5761 section 4; RFC 3711 sections
3.1 and 3.4; RFC 7714 section 9.

    SRTCP:  header and sender SSRC | encrypted … | E, index | MKI | tag          (RFC 3711 section 3.4)
            header and sender SSRC | encrypted … | tag | E, index | MKI          (AEAD, RFC 7714 section 9.3)
"""

from libc.stdint cimport int32_t, uint8_t, uint16_t, uint32_t, uint64_t

from fastpath.octets cimport be16, be32

cdef enum:
    RTP_HEADER = 12
    MAX_DROPOUT = 3000          # RFC 3550 appendix A.1
    MAX_VALID_STEP = 16         # sequence numbers a step may skip while a stream is on probation
    MAX_VALID_TS_STEP = 1 << 20
    VALID_STEPS = 2
    WINDOW = 64                 # sequence numbers remembered behind the highest

    RTCP_NOT = -1
    RTCP_HEADER = 0             # the first header fits, the rest does not tile the datagram: SRTCP perhaps
    RTCP_TILES = 1              # a plain packet, but not one that RFC 3550 lets stand first
    RTCP_COMPOUND = 2           # a plain compound packet that begins with a report

    CRYPTEX_ONE_BYTE = 0xC0DE   # RFC 9335 section 5.1
    CRYPTEX_TWO_BYTE = 0xC2DE

    SRTCP_PLACES = 12
    SRTCP_MAX_STEP = 4

cdef extern from *:
    """
    /* Octets from the E bit and index to the end: MKI of 0, 1, 2, 4 or 8 with no tag behind (AEAD), 32 or 80 bits. */
    static const unsigned char lw_srtcp_place[12] __attribute__((unused)) = {4, 5, 6, 8, 9, 10, 12, 14, 15, 16, 18, 22};
    """
    const uint8_t* srtcp_place "lw_srtcp_place"


cdef struct RtpHeader:
    uint32_t ssrc
    uint32_t timestamp
    uint16_t seq
    uint16_t profile            # of the header extension; 0 when there is none
    uint8_t payload_type
    uint8_t marker
    uint8_t padded              # the P bit: padding or, in SRTP, padding that cannot be seen
    uint32_t octets             # header, CSRCs and extension


cdef struct FrameLaw:
    # So many octets for so many timestamp units, or, where a codec has two, so many others; units 0: there is no law.
    uint32_t clock              # Hz; 0: any
    uint16_t units
    uint16_t octets
    uint16_t other_units
    uint16_t other_octets


cdef struct RtcpState:
    # Both directions of one flow; index 0: from the key's low end.
    uint32_t word[2][SRTCP_PLACES]
    uint32_t ssrc[2]
    uint8_t headers[2]          # in a row with this SSRC
    uint8_t protection
    uint32_t basis
    uint32_t packets
    uint32_t plain              # that tile their datagram …
    uint32_t reports            # … and begin with a report


cdef inline bint rtp_parse(const uint8_t* p, uint32_t captured, uint32_t wire, RtpHeader* h) noexcept nogil:
    cdef uint32_t octets
    if captured < RTP_HEADER or p[0] >> 6 != 2:
        return False
    octets = RTP_HEADER + 4 * (p[0] & 15)
    h.profile = 0
    if p[0] & 0x10:
        if octets + 4 > captured:
            return False
        h.profile = be16(p + octets)
        octets += 4 + 4 * <uint32_t>be16(p + octets + 2)
    if octets > wire:
        return False
    h.octets = octets
    h.marker = p[1] >> 7
    h.padded = p[0] & 0x20
    h.payload_type = p[1] & 0x7F
    h.seq = be16(p + 2)
    h.timestamp = be32(p + 4)
    h.ssrc = be32(p + 8)
    # 72 to 79 would be RTCP packet types 200 to 207 (RFC 5761 section 4)
    return not 72 <= h.payload_type <= 79


cdef inline uint32_t rtcp_least(const uint8_t* p) noexcept nogil:
    # The least length that the packet type and its count allow, in octets.
    cdef uint32_t count = p[0] & 31
    if p[1] == 200:
        return 28 + 24 * count
    if p[1] == 201:
        return 8 + 24 * count
    if p[1] == 202 or p[1] == 203:
        return 4 + 4 * count
    if p[1] == 204:
        return 12
    return 8


cdef inline int rtcp_parse(const uint8_t* p, uint32_t captured, uint32_t n) noexcept nogil:
    """Tell a plain RTCP packet (RFC 3550 A.2) from something that only begins like one. ``n``: octets on the wire."""
    cdef uint32_t at = 0, length
    if captured < 8 or n < 8 or p[0] >> 6 != 2 or not 200 <= p[1] <= 207:
        return RTCP_NOT
    length = 4 * (<uint32_t>be16(p + 2) + 1)
    if length < rtcp_least(p) or length > n:
        return RTCP_NOT
    while at + 4 <= captured:
        if p[at] >> 6 != 2 or not 192 <= p[at + 1] <= 223:
            return RTCP_HEADER
        length = 4 * (<uint32_t>be16(p + at + 2) + 1)
        if at + length > n or (at and length < rtcp_least(p + at) and p[at + 1] < 204):
            return RTCP_HEADER
        at += length
        if at == n:
            return RTCP_COMPOUND if p[1] <= 201 else RTCP_TILES
    return RTCP_HEADER


cdef inline bint tiles_until(const uint8_t* p, uint32_t n) noexcept nogil:
    cdef uint32_t at = 0
    while at + 4 <= n:
        if p[at] >> 6 != 2 or not 192 <= p[at + 1] <= 223:
            return False
        at += 4 * (<uint32_t>be16(p + at + 2) + 1)
    return at == n


cdef inline int32_t frame_octets(uint8_t payload_type, uint32_t step) noexcept nogil:
    """Octets of the frames that fill ``step`` timestamp units (RFC 3551 section 4.5), or -1 where no law is known."""
    if step == 0 or step > 8000:
        return -1
    if payload_type == 0 or payload_type == 8 or payload_type == 9:
        return <int32_t>step
    if payload_type == 3:
        return <int32_t>(step // 160 * 33) if step % 160 == 0 else -1
    if payload_type == 4:
        return <int32_t>(step // 240 * 24) if step % 240 == 0 else -1
    if payload_type == 18:
        return <int32_t>(step // 80 * 10) if step % 80 == 0 else -1
    if payload_type == 10:
        return <int32_t>(step * 4)
    if payload_type == 11:
        return <int32_t>(step * 2)
    if payload_type == 15:
        return <int32_t>(step // 20 * 5) if step % 20 == 0 else -1
    return -1


cdef inline int32_t hinted_frame_octets(const FrameLaw* law, uint32_t step) noexcept nogil:
    """The same for a codec that signalling named; -1 also where two laws of the codec allow the step."""
    cdef bint first = law.units and step % law.units == 0
    cdef bint other = law.other_units and step % law.other_units == 0
    if step == 0 or step > 8000 or first == other:
        return -1
    if first:
        return <int32_t>(step // law.units * law.octets)
    return <int32_t>(step // law.other_units * law.other_octets)


cdef inline bint is_frame_length(uint32_t octets, uint32_t step) noexcept nogil:
    """Are these the octets of whole frames of a common codec that fill ``step`` units, with nothing behind them?

    EFR, GSM, iLBC, G.729, and both rates of G.723.1, whose clocks run at 8000 Hz.
    """
    return (octets * 160 == 31 * step or octets * 160 == 33 * step or octets * 160 == 38 * step
            or octets * 240 == 50 * step or octets * 80 == 10 * step or octets * 240 == 24 * step
            or octets * 240 == 20 * step)


cdef inline uint32_t sample_bits(uint32_t octets, uint32_t step, uint32_t clock) noexcept nogil:
    """Bits a sample when these are the octets of ``step`` samples of one of the usual sizes, else 0.

    White noise in such a codec is as random as ciphertext: only the length tells them apart. ``clock`` in Hz, 0 when it
    is not known.
    """
    cdef uint32_t bits = octets * 8
    if step == 0 or bits % step:
        return 0
    bits //= step
    # Fewer than eight has G.726 alone, at 8000 Hz (RFC 3551 section 4.5.4).
    if 2 <= bits <= 5:
        return bits if clock == 8000 or clock == 0 else 0
    return bits if bits == 8 or bits == 16 or bits == 24 or bits == 32 else 0


cdef inline bint is_even_noise(uint32_t octets, uint32_t tag, uint32_t step, uint32_t clock) noexcept nogil:
    cdef uint32_t bits = sample_bits(octets - tag, step, clock) if octets > tag else 0
    return bits == 2 or bits >= 16


cdef inline bint may_be_tagged_noise(uint32_t octets, uint32_t step, uint32_t clock) noexcept nogil:
    """Can a payload that looks random be white noise with a NULL cipher's tag behind it?

    That of linear samples and of G.726 at 16 kbit/s is even; where samples have other sizes their tables show it.
    """
    return (is_even_noise(octets, 4, step, clock) or is_even_noise(octets, 10, step, clock)
            or is_even_noise(octets, 16, step, clock))


cdef inline uint32_t static_clock(uint8_t payload_type) noexcept nogil:
    """Clock rate in Hz of a static payload type (RFC 3551 section 6), 0 for others."""
    if payload_type in (0, 3, 4, 5, 7, 8, 9, 12, 13, 15, 18):
        return 8000
    if payload_type == 6:
        return 16000
    if payload_type == 10 or payload_type == 11:
        return 44100
    if payload_type == 14 or 25 <= payload_type <= 34:
        return 90000
    return 0


cdef inline bint is_mki_length(int32_t octets) noexcept nogil:
    return octets == 0 or octets == 1 or octets == 2 or octets == 4 or octets == 8


cdef inline bint is_tag_length(int32_t excess) noexcept nogil:
    # 32 and 80 bits (RFC 3711), 128 bits (RFC 7714), each with or without an MKI
    return is_mki_length(excess - 4) or is_mki_length(excess - 10) or is_mki_length(excess - 16)
