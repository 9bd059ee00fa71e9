"""What one engine holds, and how its parts say something to the sensor."""

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcpy, memset

from fastpath.dialogs cimport DIALOGS_PER_CALL, DialogNews, DialogTable
from fastpath.events cimport EVENT_APP, EventApp, EventHead, EventRing, ring_commit, ring_reserve
from fastpath.flow cimport FLOW_A_IS_HIGH, Flow, FlowTable
from fastpath.fragments cimport Fragments
from fastpath.hints cimport HintTable
from fastpath.reasons cimport REASONS
from fastpath.sip cimport SipScan, WantedHeaders
from fastpath.sip_records cimport SIP_MAX_PACKED
from fastpath.tcp cimport Memory
from fastpath.tones cimport ToneTable
from fastpath.verdict cimport TableSet
from fastpath.wire cimport Decoded, HashSecret, same_key


cdef enum:
    MAX_NEWS = DIALOGS_PER_CALL + 2     # of dialogues: all of a call, and those that made room


cdef struct Attempt:            # a request of SIP (attempts.pxd)
    uint64_t key                # of Call-ID and CSeq; 0: free
    uint64_t account
    uint32_t secret             # digest of its credentials, 0: none
    uint8_t is_invite
    uint8_t answered
    uint8_t said


cdef struct Mirror:             # how well it shows the network (mirror.pxd)
    uint64_t* twins             # what was here a moment ago: a mark in the upper 40 bits, its time in the lower 24
    uint64_t window_ns          # begin of the window in which gaps are counted
    uint64_t[64] gaps           # streams with a gap in it, by a hash
    uint32_t gapped             # … how many
    uint32_t active             # streams with a packet in it
    uint32_t missing            # packets
    # counters
    uint64_t common_gaps        # packets that many streams lacked at once
    uint64_t unreported_gaps    # packets that are missing here and that their receivers have
    uint64_t unreported_streams
    uint64_t one_way            # media flows, as look_both_ways has them
    uint64_t both_ways
    uint64_t truncated          # packets of which less was captured than there was


cdef struct Shedding:           # under overload (shedding.pxd)
    uint64_t busy_ns            # when the stage was last needed
    uint64_t second             # in which flows of media are counted …
    uint32_t begun              # … that would begin
    uint8_t stage               # 0: nothing is left out
    # counters
    uint64_t statistics         # packets whose jitter was not followed
    uint64_t looks              # at settled media


cdef struct Core:
    FlowTable table
    EventRing ring
    Memory memory
    const TableSet* tables
    HashSecret flow_secret
    HintTable hints
    DialogTable dialogs
    Fragments fragments
    Mirror mirror
    Shedding shedding
    DialogNews news[MAX_NEWS]
    ToneTable tones
    uint8_t key_secret[16]      # digests of SDES keys and cut identifiers
    WantedHeaders wanted        # what the configuration joins calls by
    SipScan scan                # one message at a time
    uint8_t packed[SIP_MAX_PACKED]
    uint8_t parties[SIP_MAX_PACKED]
    Attempt* attempts           # requests, to know what their responses mean (attempts.pxd)
    uint64_t attempts_second
    uint32_t attempts_said      # in this second
    bint every_message          # each SIP message is said as it was read
    uint64_t now_ns             # latest packet time; 0 before the first packet
    uint64_t jump_ns            # time of a packet too far off to be believed by itself
    uint32_t behind             # packets in a row that were far behind
    uint64_t media_idle_ns
    uint64_t flow_idle_ns
    uint64_t least_idle_ns      # no flow ends sooner
    const Decoded* at_hand      # the packet taken last; NULL between batches
    uint64_t traced             # the flow whose every packet is said (evidence.pxd); 0: none
    uint32_t finish_at          # next record that the end of the input looks at …
    uint8_t finish_round        # … for media first, as its record tells of the RTCP beside it
    # counters
    uint64_t received
    uint64_t octets
    uint64_t reason[REASONS]
    uint64_t duplicates         # packets that were seen before: of media by their numbers, others as twins
    uint64_t sip_messages
    uint64_t sip_unreadable
    uint64_t streams_begun
    uint64_t streams_refused    # packets of streams that found no room
    uint64_t streams_replaced   # ended streams that made room in a full flow
    uint64_t changes_lost
    uint64_t attempts_left_out  # beyond what is said in a second
    uint64_t asides_refused     # what a flow would have kept beside its record
    uint64_t certificates_unreadable
    uint64_t certificates_lost  # fragments of certificates that found no room


cdef inline EventHead* begin_event(Core* c, const Flow* f, uint16_t kind, uint32_t size, uint64_t ts_ns,
                                   bint from_high) noexcept nogil:
    """Reserve a record of ``size`` octets behind its head, all zero; NULL when there is no room."""
    cdef EventHead* head = ring_reserve(&c.ring, <uint32_t>sizeof(EventHead) + size)
    if head == NULL:
        return NULL
    memset(<uint8_t*>head + sizeof(EventHead), 0, size)
    head.kind = kind
    head.a_is_high = (f.flags & FLOW_A_IS_HIGH) != 0
    head.from_a = from_high == head.a_is_high
    head.flow = f.id
    head.ts_ns = ts_ns
    head.key = f.key
    return head


cdef inline void say_app(Core* c, const Flow* f, uint8_t app, uint64_t ts_ns) noexcept nogil:
    cdef EventHead* head = begin_event(c, f, EVENT_APP, sizeof(EventApp), ts_ns, False)
    cdef EventApp* e
    cdef bint from_a
    if head == NULL:
        return
    e = <EventApp*>(<uint8_t*>head + sizeof(EventHead))
    e.app = app
    # What was held of a flow is read at its end, too: the packet at hand is another flow's then, or there is none.
    if c.at_hand != NULL and c.at_hand.ethernet != NULL and same_key(&c.at_hand.key, &f.key):
        from_a = c.at_hand.from_high == head.a_is_high
        e.has_macs = True
        memcpy(e.mac[not from_a], c.at_hand.ethernet + 6, 6)
        memcpy(e.mac[from_a], c.at_hand.ethernet, 6)
    ring_commit(&c.ring, head)


cdef inline void set_app(Core* c, Flow* f, uint8_t app, uint64_t ts_ns) noexcept nogil:
    """Note what a flow carries; the highest in the order of ``App`` stays."""
    if app > f.app:
        f.app = app
        say_app(c, f, app, ts_ns)
