"""WebSocket as far as SIP goes through it: the opening handshake, and frames (RFC 6455, RFC 7118).

Nothing is inflated: a message whose reserved bits are set (permessage-deflate, RFC 7692) is not read.
"""

from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.string cimport memcmp

from fastpath.octets cimport be16, be64
from fastpath.sip cimport sip_probe
from fastpath.text cimport begins, same

cdef extern from "<string.h>" nogil:
    void* memmem(const void* haystack, size_t n, const void* needle, size_t needle_n)


cdef enum:
    WS_MAX_HANDSHAKE = 16384    # octets of a request or response to its end
    WS_MAX_PIECES = 64          # frames of one message, and control frames between them
    WS_LEAST_SIP = 24           # octets of payload that can begin a SIP message
    WS_PROBED = 96              # … and so many of it are looked at

    WS_CONTINUATION = 0         # opcodes, RFC 6455 section 11.8
    WS_TEXT = 1
    WS_BINARY = 2
    WS_CLOSE = 8
    WS_PING = 9
    WS_PONG = 10

    WS_NO = 0                   # ws_handshake
    WS_OTHER = 1                # an upgrade to something else than SIP
    WS_SIP = 2


cdef struct WsFrame:
    uint64_t length             # of the payload
    uint32_t head               # octets before it
    uint8_t opcode
    uint8_t final
    uint8_t reserved
    uint8_t masked
    uint8_t[4] mask


cdef inline bint ws_lists(const uint8_t* p, uint32_t n, const char* name, uint32_t name_n, const char* word,
                          uint32_t word_n) noexcept nogil:
    """Whether a header of an HTTP message, of which there may be several, lists a token."""
    cdef uint32_t at = 0, end, stop
    while at < n:
        end = at
        while end < n and p[end] != c"\n":
            end += 1
        if begins(p + at, end - at, name, name_n):
            at += name_n
            while at < end:
                while at < end and (p[at] == c" " or p[at] == c"\t" or p[at] == c","):
                    at += 1
                stop = at
                while stop < end and p[stop] not in (c",", c" ", c"\t", c"\r"):
                    stop += 1
                if same(p + at, stop - at, word, word_n):
                    return True
                at = max(stop, at + 1)
        at = end + 1
    return False


cdef inline bint ws_opens(const uint8_t* p, uint32_t n) noexcept nogil:
    """Do these octets begin an opening handshake (RFC 6455 sections 4.1 and 4.2.2)? Its headers may be cut."""
    if n >= 12 and memcmp(p, b"HTTP/1.1 101", 12) == 0:
        return True
    return n >= 16 and memcmp(p, b"GET ", 4) == 0 and (
        memmem(p, n, b"\r\n\r\n", 4) == NULL or ws_lists(p, n, b"upgrade:", 8, b"websocket", 9))


cdef inline int ws_handshake(const uint8_t* p, uint32_t n, uint32_t* end) noexcept nogil:
    """Read a handshake of one side. ``end`` is past it, 0 while its end was not seen."""
    cdef const uint8_t* hit = <const uint8_t*>memmem(p, n, b"\r\n\r\n", 4)
    end[0] = 0
    if hit == NULL:
        return WS_NO
    n = <uint32_t>(hit - p) + 4
    end[0] = n
    if not ws_lists(p, n, b"upgrade:", 8, b"websocket", 9):
        return WS_NO
    return WS_SIP if ws_lists(p, n, b"sec-websocket-protocol:", 23, b"sip", 3) else WS_OTHER


cdef inline int ws_frame(const uint8_t* p, uint32_t n, WsFrame* frame) noexcept nogil:
    """Read a frame's head (RFC 6455 section 5.2): 1, 0 when more octets are needed, -1 when it is none."""
    cdef uint32_t at = 2
    if n < 2:
        return 0
    frame.final = p[0] >> 7
    frame.reserved = p[0] >> 4 & 7
    frame.opcode = p[0] & 15
    frame.masked = p[1] >> 7
    frame.length = p[1] & 127
    if frame.opcode > WS_PONG or WS_BINARY < frame.opcode < WS_CLOSE:
        return -1
    if frame.opcode >= WS_CLOSE and (frame.length > 125 or not frame.final):
        return -1
    if frame.length == 126:
        if n < 4:
            return 0
        frame.length = be16(p + 2)
        at = 4
    elif frame.length == 127:
        if n < 10:
            return 0
        frame.length = be64(p + 2)
        if frame.length >> 63:
            return -1
        at = 10
    if frame.masked:
        if n < at + 4:
            return 0
        frame.mask[0] = p[at]
        frame.mask[1] = p[at + 1]
        frame.mask[2] = p[at + 2]
        frame.mask[3] = p[at + 3]
        at += 4
    frame.head = at
    return 1


cdef inline void ws_unmask(const WsFrame* frame, const uint8_t* p, uint32_t n, uint8_t* out) noexcept nogil:
    """RFC 6455 section 5.3; ``out`` may be ``p``."""
    cdef uint32_t i
    for i in range(n):
        out[i] = p[i] ^ frame.mask[i & 3] if frame.masked else p[i]


cdef inline bint ws_probe(const uint8_t* p, uint32_t n) noexcept nogil:
    """Is this a frame whose payload begins a SIP message? So a conversation is found of which no handshake was seen."""
    cdef WsFrame frame
    cdef uint8_t[WS_PROBED] begin
    cdef uint32_t seen
    if n < 2 or p[0] & 0x70 or not WS_TEXT <= p[0] & 15 <= WS_BINARY:
        return False
    if ws_frame(p, n, &frame) <= 0 or frame.length < WS_LEAST_SIP:
        return False
    seen = <uint32_t>min(frame.length, <uint64_t>min(n - frame.head, <uint32_t>WS_PROBED))
    ws_unmask(&frame, p + frame.head, seen, begin)
    return sip_probe(begin, seen)
