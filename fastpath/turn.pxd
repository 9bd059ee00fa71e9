"""Media that travels in another protocol's frames: TURN, RTP over TCP, and RTSP's own connection.

Read first: RFC 8656 sections 11 and 12 (TURN), RFC 8489 section 5 (STUN), RFC 4571 section 2 (RTP over TCP, and ICE-TCP
of RFC 6544), RFC 7826 section 14 (RTSP).

    TURN   STUN message with DATA, or channel:16 length:16 data, padded to 4 octets over TCP
    4571   length:16 packet
    RTSP   "$" channel:8 length:16 packet
"""

from libc.stdint cimport uint8_t, uint16_t, uint32_t

from fastpath.octets cimport be16, be32

cdef enum:
    FRAMES_NONE = 0
    FRAMES_TURN = 1
    FRAMES_4571 = 2
    FRAMES_RTSP = 3

    TURN_PORT = 3478            # RFC 8656 section 3.2
    STUN_HEADER = 20
    TURN_COOKIE = 0x2112A442
    SEND_INDICATION = 0x0016
    DATA_INDICATION = 0x0017
    DATA_ATTRIBUTE = 0x0013

    LEAST_RTP = 12
    SEARCHED = 4096             # octets behind a gap among which two frames are looked for


cdef struct Carried:            # a frame, and what is in it for an application
    uint32_t total              # octets of the frame, padding included
    uint32_t at                 # where what it carries begins; 0: it carries nothing
    uint32_t octets


cdef inline bint is_indication(uint16_t kind) noexcept nogil:
    return kind == SEND_INDICATION or kind == DATA_INDICATION


cdef inline bint stun_data(const uint8_t* p, uint32_t n, Carried* out) noexcept nogil:
    """Find DATA in a Send or Data indication of which n octets are there. Return whether it has one."""
    cdef uint32_t at = STUN_HEADER, end = min(n, STUN_HEADER + <uint32_t>be16(p + 2)), length
    out.at = 0
    out.octets = 0
    while at + 4 <= end:
        length = be16(p + at + 2)
        if length > end - at - 4:
            return False
        if be16(p + at) == DATA_ATTRIBUTE:
            out.at = at + 4
            out.octets = length
            return length != 0
        at += 4 + ((length + 3) & ~<uint32_t>3)
    return False


cdef inline bint channel_data(const uint8_t* p, uint32_t n, Carried* out) noexcept nogil:
    """ChannelData in a datagram, which may be padded (RFC 8656 section 12.4). Return whether it is that."""
    cdef uint32_t length
    if n < 4 or p[0] >> 4 != 4:
        return False
    length = be16(p + 2)
    if length == 0 or length > n - 4 or n - 4 - length > 3:
        return False
    out.total = n
    out.at = 4
    out.octets = length
    return True


cdef inline bint is_media(const uint8_t* p, uint32_t n) noexcept nogil:
    """Could this be a packet of what a media session exchanges (RFC 7983 section 7)?"""
    if n >= LEAST_RTP and p[0] >> 6 == 2:
        return True
    return (n >= STUN_HEADER and p[0] <= 3 and be32(p + 4) == TURN_COOKIE) or (n > 13 and 20 <= p[0] <= 63
                                                                               and p[1] == 0xFE)


cdef inline int next_frame(int frames, const uint8_t* p, uint32_t n, Carried* out) noexcept nogil:
    """Read the head of a stream's next frame: 1, 0 when more octets are needed to tell, -1 when it is none.

    ``out.total`` octets make the frame; all of it must be there before what it carries is looked at.
    """
    out.at = 0
    out.octets = 0
    if n < 4:
        return 0
    if frames == FRAMES_TURN:
        out.total = 4 + ((<uint32_t>be16(p + 2) + 3) & ~<uint32_t>3)
        if p[0] >> 4 == 4:
            out.at = 4
            out.octets = be16(p + 2)
            return 1
        if n < 8:
            return 0
        out.total = STUN_HEADER + be16(p + 2)
        if p[0] > 3 or out.total & 3 or be32(p + 4) != TURN_COOKIE:
            return -1
        if is_indication(be16(p)) and n >= out.total:
            stun_data(p, n, out)
        return 1
    if frames == FRAMES_4571:
        out.at = 2
        out.octets = be16(p)
        out.total = 2 + out.octets
        return 1 if out.octets >= LEAST_RTP else -1
    if p[0] != c"$":
        return -1
    out.at = 4
    out.octets = be16(p + 2)
    out.total = 4 + out.octets
    return 1


cdef inline bint tiles(int frames, const uint8_t* p, uint32_t n) noexcept nogil:
    """Is a segment made of whole frames that carry media, with nothing left over?"""
    cdef Carried frame
    cdef uint32_t at = 0
    while at < n:
        if next_frame(frames, p + at, n - at, &frame) != 1 or frame.total > n - at:
            return False
        if frame.at and not is_media(p + at + frame.at, frame.octets):
            return False
        at += frame.total
    return n > 0


cdef inline bint carries_media(int frames, const uint8_t* p, uint32_t n, Carried* frame) noexcept nogil:
    return (next_frame(frames, p, n, frame) == 1 and frame.at != 0 and frame.at + LEAST_RTP <= n
            and is_media(p + frame.at, frame.octets))


cdef inline uint32_t find_frames(int frames, const uint8_t* p, uint32_t n) noexcept nogil:
    """Return where two frames that carry media begin, one behind the other; n when nowhere."""
    cdef Carried one, other
    cdef uint32_t at
    for at in range(n):
        if (carries_media(frames, p + at, n - at, &one) and one.total < n - at
                and carries_media(frames, p + at + one.total, n - at - one.total, &other)):
            return at
    return n


cdef inline int probe_frames(const uint8_t* p, uint32_t n) noexcept nogil:
    """Which frames a segment is made of; FRAMES_NONE when it is none."""
    if n < 8:
        return FRAMES_NONE
    if p[0] == c"$":
        return FRAMES_RTSP if tiles(FRAMES_RTSP, p, n) else FRAMES_NONE
    if p[0] <= 3 and be32(p + 4) == TURN_COOKIE and be16(p + 2) & 3 == 0:
        return FRAMES_TURN
    if p[0] >> 4 == 4 and tiles(FRAMES_TURN, p, n):
        return FRAMES_TURN          # a channel's number alone could be a letter
    return FRAMES_4571 if tiles(FRAMES_4571, p, n) else FRAMES_NONE
