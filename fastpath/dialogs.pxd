"""Dialogues: whose offer and answer belong together, as a table in the core, so that only a change crosses.

Read first: RFC 3261 sections 12 to 15, RFC 3264 sections 5 to 8, RFC 3262 section 5, RFC 3311 section 5, RFC 6337.

A dialogue is known on one hop, by keyed digests of its Call-ID and tags and of the two hosts between which it was seen.
The table is fixed at start. When it is full, dialogues that are over make room first, then those never confirmed (a
flood of INVITEs evicts itself), then the one not heard of for longest.
"""

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t

cdef enum:
    DIALOGS_PER_CALL = 64       # forks times hops under one Call-ID
    DIALOG_QUEUES = 3           # over, half-open, confirmed: in the order in which they make room

    DIALOG_OFFERED = 0          # states, and what is said of them
    DIALOG_AGREED = 1
    DIALOG_ENDED = 2

    METHOD_OTHER = 0
    METHOD_INVITE = 1
    METHOD_UPDATE = 2
    METHOD_ACK = 3
    METHOD_PRACK = 4
    METHOD_BYE = 5


cdef struct Description:        # SDP as sip_pack_media wrote it; NULL: none was seen
    uint8_t* octets
    uint32_t size


cdef struct Dialog:
    uint64_t id                 # never used again in a process
    uint64_t call               # keyed digests: of the Call-ID …
    uint64_t from_tag           # … of the tags, 0: not known yet …
    uint64_t to_tag
    uint64_t hop                # … of the two hosts
    uint64_t seen_ns
    uint64_t offer_by           # tag of the side whose request carries the offer, or asks for one
    uint64_t said               # keyed digest of what was said last
    Description offer
    uint32_t offer_cseq         # of that request; its responses and its ACK bear it too
    uint32_t next               # of the same bucket
    uint32_t older              # in its queue
    uint32_t newer
    uint8_t state
    uint8_t confirmed           # a 2xx was seen, or must have been
    uint8_t offer_place
    uint8_t queue
    uint8_t told                # something was said of it


cdef struct DialogTable:
    Dialog* dialogs             # number 0 is never used: 0 means none
    uint32_t* buckets
    uint32_t bucket_mask
    uint32_t capacity
    uint32_t count
    uint32_t fresh              # first number that was never used
    uint32_t free               # head of the list of numbers used before
    uint32_t oldest[DIALOG_QUEUES]
    uint32_t newest[DIALOG_QUEUES]
    uint64_t next_id
    uint64_t offer_octets       # that are kept …
    uint64_t offer_limit        # … and may be
    uint64_t evicted
    uint64_t offers_refused     # that found no room


cdef struct DialogMessage:      # a SIP message, as far as dialogues go
    uint64_t call
    uint64_t from_tag
    uint64_t to_tag
    uint64_t hop
    uint64_t ts_ns
    Description media           # octets NULL: no SDP
    uint32_t cseq
    uint16_t status             # 0: a request
    uint8_t method


cdef struct DialogNews:         # what changed
    uint64_t id
    uint64_t from_tag
    uint64_t to_tag
    Description offer           # valid until the table is used again
    Description answer
    uint8_t state


cdef int open_dialogs(DialogTable* table, uint32_t capacity) except -1
cdef void close_dialogs(DialogTable* table) noexcept

# How many dialogues a message changed, at most DIALOGS_PER_CALL; any message in any order is taken.
cdef int take_message(DialogTable* table, const DialogMessage* message, const uint8_t* secret,
                      DialogNews* news) noexcept nogil

# The clock was set back, to now.
cdef void dialogs_set_back(DialogTable* table, uint64_t now_ns) noexcept nogil

# The next dialogue that was silent for too long, or had to make room. Call it until it says False.
cdef bint expire_dialog(DialogTable* table, uint64_t now_ns, DialogNews* news) noexcept nogil
