"""One TCP conversation that is of interest: both byte streams in order, in bounded memory (RFC 9293 section 3.4).

Segments that come early are held, a few at a time; one that stays missing is given up and what follows is read from
there, so that a lost packet costs one message and not the conversation. The first copy of an octet counts.
"""

from libc.stdint cimport int32_t, uint8_t, uint16_t, uint32_t, uint64_t

from fastpath.tls cimport Handshake, HelloScan, Parts

cdef enum:
    MAX_STREAM_OCTETS = 66560       # a 64 KiB SIP message and the rest of a segment
    MAX_HELD_SEGMENTS = 16
    MAX_HELD_OCTETS = 32768

    GAP_NS = 2000000000         # a retransmission comes within RFC 6298's first timeout, or not at all

    SIDE_IDLE = 0
    SIDE_SIP = 1
    SIDE_TLS = 2
    SIDE_DONE = 3
    SIDE_HTTP = 4               # the opening handshake of a WebSocket …
    SIDE_WS = 5                 # … and its frames
    SIDE_LINES = 7              # of HTTP, mail, …
    SIDE_FRAMES = 6             # of TURN, of RTP over TCP (turn.pxd)


cdef struct Segment:
    uint32_t seq
    uint32_t octets
    uint8_t* data


cdef struct Side:
    uint8_t* data
    uint32_t start              # octets in order that were not consumed yet begin here …
    uint32_t octets             # … and are so many
    uint32_t searched           # of them, known to hold no end of a message's headers
    uint32_t framed             # length of the first message, 0 until it is known
    uint32_t room
    uint32_t next_seq
    uint32_t held_octets
    uint64_t gap_ns             # packet time at which the first of them was held
    uint64_t skip               # octets of a WebSocket frame that is not read
    uint32_t message            # octets at the front that frames before gave of a WebSocket message
    uint8_t pieces              # … and how many those were
    uint8_t unread              # the rest of that message is passed over
    uint8_t gaps                # octets are missing since it was set to 0
    uint8_t held
    uint8_t reads               # SIDE_…
    uint8_t frames              # FRAMES_…
    Segment segment[MAX_HELD_SEGMENTS]


cdef struct Lines:              # a conversation of lines (lines.pxd); index 0: from the key's low end
    uint64_t body[2]
    uint32_t taken              # octets of lines
    uint8_t app                 # APP_OTHER: not known yet
    uint8_t client              # 1: the high end is
    uint8_t strange             # lines that said nothing of what this is
    uint8_t starttls            # was asked for last
    uint8_t in_mail             # SMTP: between DATA and its end
    uint8_t requests
    uint8_t in_head[2]
    uint8_t is_request[2]
    uint8_t endless[2]          # a body whose length is not said
    uint8_t file                # what the head says: a telephone's file,
    uint8_t config              # one with an end as those have,
    uint8_t phone               # a telephone,
    uint8_t browser
    uint8_t audio
    uint8_t text
    uint8_t secret              # credentials (SECRET_…)


cdef struct Conversation:
    HelloScan hello
    Handshake shake
    Lines lines
    uint8_t hello_said
    uint8_t certificate_said[2]     # index 0: from the key's low end, as in the next ones
    Parts certificate[2]
    Side side[2]
    Conversation** owner            # what points at it, to be told when it is evicted
    Conversation* older             # among those that gave nothing yet
    Conversation* newer
    uint8_t gave                    # SIP, or frames of media, were read: it makes no room


cdef struct Memory:
    # What all conversations may hold together.
    uint64_t used
    uint64_t limit
    uint64_t lost               # octets of SIP that found no room, or that a gap cost …
    uint64_t passed             # … and of everything else
    uint64_t refused            # conversations that found no room
    uint64_t evicted            # that gave nothing and had to make room
    Conversation* oldest        # of those that gave nothing yet
    Conversation* newest


# Begin one, which `owner` will point at. Where there is no room the oldest that gave nothing go first: a flood of
# beginnings, or of holes, evicts itself.
cdef Conversation* begin_conversation(Conversation** owner, Memory* memory) noexcept nogil
cdef void conversation_gave(Conversation* talk, Memory* memory) noexcept nogil
# What was kept of a handshake that was said.
cdef void release_handshake(Handshake* shake, Memory* memory) noexcept nogil
# Of TLS or DTLS: a connection begins anew on the same ports.
cdef void forget_handshake(Conversation* talk, Memory* memory) noexcept nogil
cdef void end_conversation(Conversation* talk, Memory* memory) noexcept nogil
cdef void lose(Side* side, Memory* memory, uint32_t octets) noexcept nogil
cdef void begin_side(Side* side, uint8_t reads, uint32_t seq) noexcept nogil
cdef bint add_segment(Side* side, Memory* memory, uint32_t seq, const uint8_t* data, uint32_t octets,
                      uint64_t ts_ns) noexcept nogil
cdef bint next_held(Side* side, Memory* memory) noexcept nogil
cdef void skip_gap(Side* side, Memory* memory) noexcept nogil
cdef void consume(Side* side, Memory* memory, uint32_t octets) noexcept nogil
cdef void forget(Side* side) noexcept nogil
cdef void finish_side(Side* side, Memory* memory) noexcept nogil
