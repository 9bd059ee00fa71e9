"""Telephone events in clear: are short payloads of one timestamp what RFC 4733 makes of a key that is held?

Read first: RFC 4733 sections 2.3, 2.5.1 and 4.1.

    event:8 | E:1 R:1 volume:6 | duration:16        the timestamp is that of the event's begin, the duration grows
    modulation:9 | T:1 volume:6 | duration:16 | …   a tone lies alike; those with T unset are found with the events

Under encryption these 32 bits are uniform, and new ones in each packet. A packet that goes on from the one before has
the same event, R unset and a longer duration; likely are the same volume and the same step. Each such packet is worth
the logarithm of how much likelier it is under that law than under uniform bits, rounded down:

    event 8 · R 1 · E either 0 · volume, half of all: 5, else -1 · step, half of all: 15, else 1; the first: 2

The law's shares sum to less than one, so the product is a supermartingale: it ever reaches 2^64 with a probability of
2^-64 at most. It begins anew at packets that break the law, at most 2^24 times a stream: no more than 2^-40 in all, as
for a verdict. Nothing else counts. What is the same again (the end of an event is sent three times) could be an MKI
behind an empty payload.

What was last seen of a stream's events is kept while they may be some. It leaves nowhere, and is wiped when the events
were said or the stream ends. The table is bounded; streams that find it full are counted and not followed.
"""

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memset

from fastpath.octets cimport be16
from fastpath.rtp cimport RtpHeader

cdef enum:
    MAX_TONES = 0xFFFE              # streams that are followed at once
    TONES_SAID = 0xFFFF             # Stream.tones: nothing is to be said any more
    TONE_OCTETS = 4
    MAX_TONE_OCTETS = 28            # with an MKI of 8 and a tag of 16 octets, as a NULL cipher leaves them
    MAX_TONE_PACKETS = 1 << 24      # of a stream: those after them are not looked at

    TONE_BITS = 64
    LAST_EVENT = 205                # that is registered (RFC 5244)
    LEAST_STEP = 40                 # timestamp units: 5 ms at 8000 Hz; a counter is no duration
    LONGEST_STEP = 9600             # 200 ms at 48000 Hz

    EVENT_ENDS = 0x80
    EVENT_RESERVED = 0x40
    EVENT_VOLUME = 0x3F


cdef struct Tone:
    uint32_t timestamp              # also links the free records
    uint16_t duration
    uint16_t step                   # the last growth of a duration; 0: none yet
    uint8_t event
    uint8_t second                  # E, R, volume
    uint8_t payload_type
    uint8_t bits
    uint8_t packets                 # that went on from the one before


cdef struct ToneTable:
    Tone* entries                   # record 0 is never used: 0 means none
    uint64_t count
    uint64_t refused                # short packets of streams that found no room
    uint32_t fresh                  # records that were ever used
    uint16_t free                   # head of the list of records used before


cdef inline void forget_tones(ToneTable* table, uint16_t* place) noexcept nogil:
    # Back to none, or to said: that is kept.
    cdef Tone* t
    if place[0] == 0 or place[0] == TONES_SAID:
        return
    t = &table.entries[place[0]]
    memset(t, 0, sizeof(Tone))
    t.timestamp = table.free
    table.free = place[0]
    table.count -= 1
    place[0] = 0


cdef inline Tone* add_tone(ToneTable* table, uint16_t* place) noexcept nogil:
    if table.free:
        place[0] = table.free
        table.free = <uint16_t>table.entries[place[0]].timestamp
    elif table.fresh < MAX_TONES:
        table.fresh += 1
        place[0] = <uint16_t>table.fresh
    else:
        table.refused += 1
        return NULL
    table.count += 1
    return &table.entries[place[0]]


cdef inline bint may_begin_tone(const uint8_t* p) noexcept nogil:
    return p[0] <= LAST_EVENT and not p[1] & EVENT_RESERVED and be16(p + 2) <= LONGEST_STEP


cdef inline int tone_bits(const Tone* t, const uint8_t* p) noexcept nogil:
    """Evidence of a packet that has the timestamp of the one before; 0: it may go on so; -1: it does not."""
    cdef int grown = <int>be16(p + 2) - t.duration
    cdef bint ends = p[1] & EVENT_ENDS
    if p[0] != t.event or p[1] & EVENT_RESERVED:
        return -1
    if t.second & EVENT_ENDS:
        return 0 if ends and grown == 0 else -1
    if 0 <= grown < LEAST_STEP:
        return 0 if ends else -1        # it ended soon after the last update
    if grown < 0 or grown > LONGEST_STEP:
        return -1
    return (9 + (5 if (p[1] ^ t.second) & EVENT_VOLUME == 0 else -1)
            + (2 if t.step == 0 else 15 if grown == t.step else 1))


cdef inline void note_tone(Tone* t, const RtpHeader* h, const uint8_t* p) noexcept nogil:
    t.timestamp = h.timestamp
    t.payload_type = h.payload_type
    t.event = p[0]
    t.second = p[1]
    t.duration = be16(p + 2)


cdef inline bint follow_tones(ToneTable* table, uint16_t* place, const RtpHeader* h, const uint8_t* p) noexcept nogil:
    """Take the first four octets of a short payload of a stream. Return whether its events are shown to be in clear."""
    cdef Tone* t = &table.entries[place[0]] if place[0] else NULL
    cdef int bits
    if t != NULL and t.payload_type != h.payload_type and t.bits:
        return False                    # short frames of the codec between the events
    if t != NULL and t.payload_type == h.payload_type:
        if t.timestamp != h.timestamp:
            bits = 0 if t.bits and may_begin_tone(p) else -1
        else:
            bits = tone_bits(t, p)
        if bits > 0:
            t.packets += t.bits < TONE_BITS
            t.bits = min(t.bits + bits, <int>TONE_BITS)
            t.step = be16(p + 2) - t.duration
        if bits >= 0:
            note_tone(t, h, p)
            return t.bits == TONE_BITS
    if not may_begin_tone(p):
        forget_tones(table, place)
        return False
    if t == NULL:
        t = add_tone(table, place)
        if t == NULL:
            return False
    memset(t, 0, sizeof(Tone))
    note_tone(t, h, p)
    return False
