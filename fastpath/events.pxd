"""The event ring: how records cross from the capture thread to the sensor's.

One producer (the engine) and one consumer (``Engine.drain``), no lock. A record is an EventHead, a fixed struct and,
for some kinds, an array or packed bytes behind it; it never wraps. The producer reserves, fills and commits; when there
is no room the record is lost and counted, and packets go on.
"""

from libc.stdint cimport int16_t, int32_t, uint8_t, uint16_t, uint32_t, uint64_t

from fastpath.octets cimport load_acquire, store_release
from fastpath.wire cimport FlowKeyBits

cdef enum:
    EVENT_PAD = 0           # the rest of the ring before it starts over
    EVENT_APP = 1
    EVENT_VERDICT = 2
    EVENT_HELLO = 3
    EVENT_SIP = 4
    EVENT_FLOW = 5
    EVENT_EVIDENCE = 6
    EVENT_NEGOTIATION = 8
    EVENT_EXPOSURE = 9
    EVENT_AGENT = 10
    EVENT_CONTROL = 7
    EVENT_TONES = 11
    EVENT_CERTIFICATE = 12
    EVENT_HANDSHAKE = 13
    EVENT_ATTEMPT = 14
    EVENT_NAMED = 15

    MAX_EVENT_STREAMS = 64
    MAX_SAID_TEXT = 128
    MAX_SAID_SUITES = 16


cdef struct EventHead:
    uint32_t size           # octets of the whole record, a multiple of 8
    uint16_t kind
    uint8_t a_is_high       # the flow's first sender is the key's high end
    uint8_t from_a
    uint64_t flow
    uint64_t ts_ns
    FlowKeyBits key


cdef struct EventApp:
    uint8_t app
    uint8_t has_macs
    uint8_t mac[2][6]       # of a and b


cdef struct EventVerdict:
    uint64_t elapsed_ns
    uint32_t ssrc
    uint32_t packet
    uint32_t basis
    int32_t bits            # log2 of the evidence, in 1/32 bit
    uint32_t timestamp
    uint32_t since_packet   # the first that the verdict rests on
    uint32_t missing        # until then
    uint16_t seq
    int16_t tag             # octets behind the codec's frames, -1: not known
    uint8_t payload_type
    uint8_t protection
    uint8_t previous        # PROTECTION_NONE for the first verdict
    uint8_t grade
    uint16_t codec


cdef struct EventControl:
    uint32_t basis
    uint8_t protection


cdef struct EventTones:
    uint32_t ssrc
    uint8_t payload_type
    uint8_t packets


cdef struct EventEvidence:
    uint64_t elapsed_ns
    uint32_t ssrc
    uint32_t packet
    uint32_t basis
    uint32_t octets
    int16_t best                # scores are in 1/32 bit
    int16_t fit                 # of the codec that is hardest to reject
    int16_t excess
    uint16_t seq
    uint16_t scored
    uint16_t leads              # a table, or CODEC_UNKNOWN: a generic expert
    uint16_t hardest            # its table, or CODEC_UNKNOWN
    uint8_t payload_type
    uint8_t fate
    uint8_t protection
    uint8_t grade
    uint8_t has_law
    uint8_t rejected
    uint8_t told                # whether the scores may leave


cdef struct EventNegotiation:
    uint64_t dialog
    uint64_t from_tag
    uint64_t to_tag
    uint32_t parties            # octets of what sip_pack_parties wrote, which follows …
    uint32_t offer              # … and of what sip_pack_media did, 0: none was seen
    uint32_t answer
    uint8_t state


cdef struct EventExposure:
    uint32_t count
    uint16_t status
    uint8_t kind
    uint8_t app
    uint8_t by_content          # that it belongs to telephones shows in what is shown
    uint8_t first               # what shows it is described: it is not what a flow's end adds
    uint8_t details
    uint8_t method_len
    uint8_t detail[MAX_SAID_SUITES]     # suites, the scheme of SIP's credentials, or SECRET_…
    uint8_t method[MAX_SAID_TEXT]


cdef struct EventAttempt:
    uint64_t account
    uint16_t status
    uint8_t kind
    uint8_t fresh


cdef struct EventNamed:
    uint8_t address[16]         # IPv4 is mapped into IPv6
    uint16_t port
    uint8_t app
    uint8_t keys                # for SRTP came with it


cdef struct EventAgent:
    uint8_t size
    uint8_t text[MAX_SAID_TEXT]


cdef struct EventHello:
    uint16_t version
    uint16_t cipher
    uint16_t srtp_profile
    uint8_t is_dtls
    uint8_t name_len
    uint8_t alpn_len
    char name[255]
    char alpn[255]


cdef struct EventHandshake:
    uint32_t chain              # octets of certificates, each behind its length, which follow
    uint16_t client_version
    uint16_t version
    uint16_t cipher
    uint16_t group
    uint16_t srtp_profile
    int16_t alert
    uint8_t is_dtls
    uint8_t outcome
    uint8_t resumed
    uint8_t alert_by_client
    uint8_t left_out
    uint8_t client_certificates
    uint8_t alpn_offered
    uint8_t name_len
    uint8_t alpn_len
    char name[255]
    char alpn[255]


cdef struct EventStream:
    uint64_t first_ns
    uint64_t last_ns
    uint64_t decided_ns
    uint64_t payload_types[2]   # bit n: type n was seen
    uint32_t ssrc
    uint32_t packets
    uint32_t lost
    uint32_t duplicates
    uint32_t reordered
    uint32_t decided_packet
    uint32_t basis
    int32_t bits
    float jitter_s              # negative: clock rate unknown
    uint32_t delay_us           # as Reception has it
    int32_t reported_lost       # negative: no receiver said anything
    int32_t unreported
    uint16_t codec
    uint8_t protection
    uint8_t grade
    uint8_t dscp
    uint8_t from_a


cdef struct EventChange:
    uint64_t ts_ns
    uint32_t packet
    uint32_t ssrc
    uint8_t before
    uint8_t after


cdef struct EventFlow:
    uint64_t packets
    uint64_t octets
    uint64_t first_ns
    uint64_t last_ns
    uint64_t decided_ns
    uint32_t decided_packet
    uint32_t basis
    uint32_t rtcp_basis
    int32_t bits
    uint16_t streams            # EventStream records that follow, then the changes, then one EventHello or none
    uint16_t changes
    uint8_t app
    uint8_t protection
    uint8_t grade
    uint8_t key_exchange
    uint8_t rtcp_mux
    uint8_t rtcp_protection
    uint8_t hello
    uint32_t tunnels            # as Decoded has them


cdef struct EventRing:
    uint8_t* base
    uint64_t capacity       # a power of two
    uint64_t head           # octets ever written; the producer's
    uint64_t tail           # octets ever read; the consumer's
    uint64_t lost           # records that found no room


cdef inline uint64_t ring_used(EventRing* ring) noexcept nogil:
    return ring.head - load_acquire(&ring.tail)


cdef inline EventHead* ring_reserve(EventRing* ring, uint32_t size) noexcept nogil:
    """Return room for ``size`` octets, EventHead included, or NULL when there is none."""
    cdef uint64_t at, left, need
    cdef EventHead* pad
    cdef EventHead* head
    size = (size + 7) & ~<uint32_t>7
    at = ring.head & (ring.capacity - 1)
    left = ring.capacity - at
    need = size if size <= left else size + left
    if ring_used(ring) + need > ring.capacity:
        ring.lost += 1
        return NULL
    if size > left:
        # Sizes are multiples of 8 and so is the capacity: at least size and kind fit.
        pad = <EventHead*>(ring.base + at)
        pad.size = <uint32_t>left
        pad.kind = EVENT_PAD
        store_release(&ring.head, ring.head + left)
        at = 0
    head = <EventHead*>(ring.base + at)
    head.size = size
    return head


cdef inline void ring_commit(EventRing* ring, EventHead* head) noexcept nogil:
    store_release(&ring.head, ring.head + head.size)
