"""Facsimile over UDPTL: is a datagram built as one, and is it the next of its direction?

Read first: ITU-T T.38 sections 7.2 and 9.1 with annex A, ITU-T X.691 sections 10.9 and 22 for the aligned encoding;
RFC 3362. UDPTL has no mark of its own, and short datagrams of anything may be built like it. So it is looked for only
at ends that SDP in clear describes as such (hints.pxd).

    sequence:16 | length primary-ifp | 0 count (length secondary-ifp)*
                                     | 1 1 span count (length fec)*
"""

from libc.stdint cimport int16_t, uint8_t, uint16_t, uint32_t

from fastpath.octets cimport be16

cdef enum:
    UDPTL_LEAST = 6                 # sequence number, an indicator, no error recovery
    UDPTL_FEC = 0x80                # which error recovery follows; the rest of its octet is padding
    UDPTL_MAX_STEP = 16

    IFP_HAS_FIELDS = 0x80
    IFP_DATA = 0x40                 # else an indicator
    IFP_EXTENDED = 0x20             # of T.38's later versions: six bits more, in the next octet
    LAST_DATA = 8                   # v17-14400


cdef inline uint32_t open_type(const uint8_t* p, uint32_t n, uint32_t at) noexcept nogil:
    """Return where an open type at ``at`` ends; 0 when it is empty or does not fit."""
    cdef uint32_t length
    if at >= n:
        return 0
    length = p[at]
    at += 1
    if length >= 0xC0:              # fragments of 16384 octets
        return 0
    if length >= 0x80:
        if at >= n:
            return 0
        length = (length & 0x3F) << 8 | p[at]
        at += 1
    return at + length if 0 < length <= n - at else 0


cdef inline bint is_ifp(const uint8_t* p, uint32_t n) noexcept nogil:
    if p[0] & IFP_EXTENDED:
        return n >= 2
    if p[0] & 1:
        return False                # padding
    if not p[0] & IFP_DATA:
        return n == 1 and not p[0] & IFP_HAS_FIELDS
    return p[0] >> 1 & 15 <= LAST_DATA and (n > 1) == ((p[0] & IFP_HAS_FIELDS) != 0)


cdef inline bint is_udptl(const uint8_t* p, uint32_t n) noexcept nogil:
    """Do ``n`` octets make one UDPTL packet, with nothing left over?"""
    cdef uint32_t at, primary
    cdef int left
    if n < UDPTL_LEAST:
        return False
    at = open_type(p, n, 2)
    if at == 0 or at + 2 > n:
        return False
    primary = 3 if p[2] < 0x80 else 4
    if not is_ifp(p + primary, at - primary):
        return False
    if p[at] == UDPTL_FEC:
        if at + 4 > n or p[at + 1] != 1:
            return False
        at += 2
    elif p[at] != 0:
        return False
    left = p[at + 1]
    at += 2
    while left and at:
        at = open_type(p, n, at)
        left -= 1
    return at == n


cdef inline bint goes_on(uint16_t sequence, uint16_t before) noexcept nogil:
    return 1 <= <int16_t>(sequence - before) <= UDPTL_MAX_STEP
