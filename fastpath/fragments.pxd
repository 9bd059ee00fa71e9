"""IP fragments put together again (RFC 791, RFC 815, RFC 8200 section 4.5), in a table that is fixed at start.

Overlaps are refused, for IPv4 as RFC 5722 has it for IPv6: what two copies of an octet say differs only where somebody
means it to. The same fragment twice is a mirror's doing and is passed over. A datagram that is refused stays in the
table until its time is over, so that the rest of it does not begin another.
"""

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t

from fastpath.wire cimport Decoded, HashSecret

cdef enum:
    MAX_DATAGRAMS = 1024        # in progress; the oldest makes room
    MAX_PIECES = 64             # of one datagram: 64 KiB in Ethernet frames are 45
    MAX_DATAGRAM = 65535
    MAX_FRAGMENT_OCTETS = 16777216      # of all that wait
    BUCKETS = 2048

    # Fragments of one datagram are sent together; RFC 8200's 60 s are for hosts. Identifiers of IPv4 come again sooner.
    FRAGMENT_NS = 15000000000


cdef struct Datagram:
    uint64_t[2] src
    uint64_t[2] dst
    uint64_t first_ns
    uint8_t* data
    uint32_t id
    uint32_t meta               # VLANs and protocol, as of a flow's key
    uint32_t room               # octets that data has
    uint32_t have               # … of them there
    uint32_t total              # 0: the last fragment was not seen
    uint32_t wire               # octets of its packets
    uint32_t next               # of the same bucket
    uint32_t older              # by age
    uint32_t newer
    uint16_t[MAX_PIECES] begin
    uint16_t[MAX_PIECES] end
    uint8_t pieces
    uint8_t refused


cdef struct Fragments:
    Datagram* datagrams         # number 0 is never used
    uint32_t[BUCKETS] buckets
    uint32_t free               # head of the list of those that are not in use
    uint32_t oldest
    uint32_t newest
    uint32_t count
    uint64_t octets             # that wait
    uint8_t* done               # memory of the datagrams that are being read; a list through its first octets
    uint64_t complete
    uint64_t refused            # datagrams: overlaps, lengths that cannot be, cut fragments
    uint64_t expired
    uint64_t evicted


cdef int open_fragments(Fragments* table) except -1
cdef void close_fragments(Fragments* table) noexcept

# Take a fragment, as decode_packet left it. CLASSIFIED: the datagram is complete and decoded in d, until release_done;
# else the reason by which the packet is counted.
cdef int take_fragment(Fragments* table, Decoded* d, const HashSecret* secret) noexcept nogil
cdef void release_done(Fragments* table) noexcept nogil
