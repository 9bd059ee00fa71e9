"""Flows and streams: their records, the keyed index over them, and the wheel that ends them.

A flow record is two cache lines: one to find it, one to count. Records lie in address space that is reserved whole at
the start and touched only as flows come, so they never move; the index doubles as it fills. Idle flows are found by a
wheel of one-second slots: a flow stands in the slot of its earliest possible end and is put back when it was used.
"""

from libc.stdint cimport int16_t, int32_t, uint8_t, uint16_t, uint32_t, uint64_t

from fastpath.names cimport SHOWN_KINDS
from fastpath.rtp cimport RtcpState
from fastpath.tcp cimport Conversation
from fastpath.verdict cimport Judge
from fastpath.wire cimport FlowKeyBits

cdef enum:
    WHEEL_SLOTS = 512           # seconds; longer than any idle time
    MAX_FLOW_STREAMS = 64
    MAX_PROBATION = 8           # unproved streams of one flow
    MAX_CHANGES = 32

    # Flow.flags
    FLOW_A_IS_HIGH = 1
    FLOW_CLOSED = 2             # TCP: FIN both ways or RST
    FLOW_FIN_LOW = 4
    FLOW_FIN_HIGH = 8
    FLOW_DTLS_DONE = 16         # use_srtp agreed and protected records seen
    FLOW_ZRTP_DONE = 32         # Confirm2 was acknowledged
    FLOW_ZRTP_SEEN = 64
    FLOW_DTLS_SEEN = 128
    FLOW_DEAD = 256             # ended, but still on the wheel
    FLOW_FAX = 512              # UDPTL was seen
    FLOW_TURN = 1024            # media came inside TURN
    FLOW_TLS_NULL = 4096        # TLS or DTLS agreed on a suite that does not encrypt
    FLOW_FRAMES = 2048          # TCP: its streams are made of frames that carry media

    # Stream.flags
    STREAM_VALID = 1
    STREAM_FROM_HIGH = 2
    STREAM_SETTLED = 4          # decided; only watched from here on
    STREAM_SAID = 8             # its first Verdict record went out
    STREAM_CRYPTEX = 16         # its header extensions are encrypted (RFC 9335)
    STREAM_RESYNC = 32          # resync holds a sequence number
    STREAM_CHANGED = 128        # its verdict was clear or encrypted, and then another
    STREAM_NOISE = 64           # what is judged had the length of samples, whose white noise is as even as ciphertext


cdef struct Change:
    uint64_t ts_ns
    uint32_t packet
    uint32_t ssrc
    uint8_t before
    uint8_t after


cdef struct Changes:
    uint32_t count
    Change list[MAX_CHANGES]


cdef struct Shown:              # one kind of what a protocol in clear shows
    uint64_t said_ns            # 0: never
    uint32_t count              # messages since then
    uint8_t app                 # the protocol that showed it last


cdef struct Aside:              # what most flows have nothing of
    Changes* changes
    Shown shown[SHOWN_KINDS]
    uint8_t by_content[SHOWN_KINDS]     # it was said that telephones show in it
    uint32_t tunnels            # around its first packet, as Decoded has them
    uint16_t open[2]            # requests that nobody went on with: REGISTER, INVITE (attempts.pxd)
    uint8_t many                # of the first kind there were many
    uint8_t sealed              # IAX2: encryption was offered
    uint8_t fresh               # a challenge came since the last refusal
    uint32_t agent[2]           # digest of what the low and the high end call themselves


cdef struct Flow:
    FlowKeyBits key
    uint64_t last_ns
    uint32_t recent[2]          # by direction: the stream last met (UDP), or segments probed in vain (TCP)
    uint16_t flags
    uint8_t app
    uint8_t stream_count
    uint32_t wheel_next         # also links the free records
    # second line
    uint64_t first_ns
    uint64_t octets
    uint64_t id
    uint32_t packets[2]
    RtcpState* rtcp
    Conversation* talk          # handshake and TCP streams; NULL for most flows
    Aside* aside
    uint32_t streams            # head of their list
    uint32_t hash


cdef struct Stream:
    # first line: every packet
    uint32_t ssrc
    uint32_t next
    uint32_t timestamp
    uint16_t seq                # the highest
    uint16_t step               # timestamp units of the last single step
    uint64_t window             # bit n: the highest minus n was seen
    uint64_t last_ns
    uint32_t packets            # without duplicates
    uint32_t clock              # Hz, 0 until known
    float jitter                # timestamp units
    int32_t transit
    uint8_t payload_type
    uint8_t flags
    uint8_t steps
    uint8_t protection
    int16_t excess              # payload octets beyond the codec's frames
    uint8_t excess_run          # equal ones in a row
    uint8_t other_run           # packets of another payload type in a row
    uint8_t dscp
    uint8_t doubts              # watched packets in a row that spoke against the verdict
    uint16_t resync             # RFC 3550 A.1: the sequence number that would confirm a restart
    uint32_t expected
    # second line
    uint64_t first_ns
    uint64_t decided_ns
    uint64_t payload_types[2]
    uint32_t decided_packet
    uint32_t basis
    int32_t bits
    uint32_t first_timestamp
    uint32_t duplicates
    uint16_t reordered          # at most 65,535
    uint16_t tones              # record of its telephone events (tones.pxd), 0 for none, or TONES_SAID
    uint16_t codec
    uint8_t grade
    uint8_t hint                # the codec that signalling names for a dynamic type, or HINT_NONE
    uint16_t octets             # of the last payload, where no law says how many it must have
    uint8_t first_octet         # of the last payload of an encrypted stream …
    uint8_t repeats             # … and how often in a row it was the one before
    # third and fourth line
    Judge judge


cdef struct Reception:          # what RTCP said of a stream (reception.pxd)
    uint64_t since_ns           # first_ns of the stream that it is of
    uint64_t sent_ns            # when its last sender report was seen …
    uint32_t sent_ntp           # … and what time that gave, as receivers give it back
    uint32_t delay_us           # from here to the receiver and back; 0: not known
    int32_t first_lost          # by the first report: what the receiver lacked …
    int32_t first_missed        # … and what was missing here
    int32_t lost                # that receivers lack since then
    int32_t unreported          # that is missing here and not there
    int32_t pending             # … by the last report only
    uint8_t reports             # at most 255


cdef struct FlowTable:
    Flow* flows                 # record 0 is never used: 0 means none
    Stream* streams
    Reception* receptions       # by a stream's number; touched only where RTCP is seen
    uint64_t* index             # hash in the upper half, record in the lower; 0: free
    uint32_t index_mask
    uint32_t max_flows
    uint32_t max_streams
    uint32_t flow_count
    uint32_t stream_count
    uint32_t fresh_flow         # first record that was never used
    uint32_t fresh_stream
    uint32_t free_flow          # head of the list of records used before
    uint32_t free_stream
    uint64_t next_id
    uint32_t wheel[WHEEL_SLOTS]
    uint64_t wheel_s            # every slot before this second was served


cdef int open_table(FlowTable* table, uint32_t max_flows, uint32_t max_streams) except -1
cdef void close_table(FlowTable* table) noexcept
cdef uint32_t find_flow(const FlowTable* table, const FlowKeyBits* key, uint32_t hash) noexcept nogil
cdef uint32_t add_flow(FlowTable* table, const FlowKeyBits* key, uint32_t hash) noexcept nogil
cdef void remove_flow(FlowTable* table, uint32_t number) noexcept nogil
cdef void reuse_flow(FlowTable* table, uint32_t number) noexcept nogil
cdef uint32_t add_stream(FlowTable* table) noexcept nogil
cdef void remove_stream(FlowTable* table, uint32_t number) noexcept nogil
cdef void put_on_wheel(FlowTable* table, uint32_t number, uint64_t second) noexcept nogil
# The clock was set back by so much, to now: what is later is from before that.
cdef void flows_set_back(FlowTable* table, uint64_t now_ns, uint64_t back_ns) noexcept nogil


cdef inline uint32_t guess_flow(const FlowTable* table, uint32_t hash) noexcept nogil:
    """Return the record that most likely has this hash, so that it can be prefetched; 0 when there is none."""
    cdef uint32_t at = hash & table.index_mask
    cdef uint64_t entry = table.index[at]
    if entry >> 32 != hash:
        entry = table.index[(at + 1) & table.index_mask]
        if entry >> 32 != hash:
            return 0
    return <uint32_t>entry
