"""The sequential test that tells media in clear from ciphertext: its state and what drives it."""

from libc.stdint cimport int8_t, int16_t, int32_t, uint8_t, uint16_t, uint32_t

cdef enum:
    UNIT = 32                   # scores are log2 likelihood ratios in 1/32 bit

    MAX_TABLES = 120            # Judge.next_table counts two rounds
    MAX_CANDIDATES = 9
    GENERICS = 9                # experts for codecs that no table knows; the bit planes come on top
    MAX_SCORED_OCTETS = 256     # of one payload
    MAX_SILENCE_OCTETS = 8      # of what describes silence between a codec's frames (SID)
    TABLES_REJECTED = 0xFF      # Judge.next_table: no table is left; the candidates' room counts bit positions
    POSITION_OCTETS = 4         # of a payload's first, whose bits are counted …
    PAIR_OCTETS = 2             # … and of these, whether each bit differs from the next
    POSITION_BITS = 8 * (POSITION_OCTETS + PAIR_OCTETS)

    NAMING_BITS = 20            # evidence that names the codec where a generic expert has more
    CLEAR_BITS = 40             # evidence for "clear": at most 2^-40 under encryption
    REJECT_BITS = 20            # evidence against a codec …
    CERTAIN_LEAST = 9 * UNIT // 2   # … against what every frame of it has: two exceptions of four bits each
    MAX_GENERIC_BITS = 8        # a stream with more structure than this is not called ciphertext
    MIN_SCORED = 8              # packets behind "encrypted" when nothing but the payload speaks for it
    MIN_FRAMES = 4              # of which this many began a frame …
    MIN_UNFRAMED = 24           # … or so many packets
    # Behind "encrypted" where the payload type says nothing of the codec: packets after every table was rejected, at
    # which the bits of each position are held against even ones. One that no table knows shows itself there.
    FIRST_LOOK = 24
    LAST_LOOK = 192
    LAST_FRAMES = 6             # that began since then, at the last look; at the others there must be FIRST_LOOK
    MOST_UNEVEN = 12            # (2c - n)^2 / n of one position: of ciphertext 1 in 1900
    LOOK_POSITIONS = 32         # at least, of bits and pairs

    POSITIONS_EVEN = 1          # at the last look the bits were as even as ciphertext's
    POSITIONS_DUE = 2           # a frame has begun with a packet too short to be counted

    TABLE_VETO = 1              # its rejection is asked for before a stream is called encrypted
    TABLE_BY_FRAME = 2          # a second table for the first packet of a frame
    TABLE_CERTAIN = 4           # what it predicts every frame has: its rejection is the codec's

    CODEC_UNKNOWN = 0xFFFF
    HINT_NONE = 0xFF            # signalling names no codec that has tables
    FIRST_DYNAMIC_TYPE = 35     # unassigned types are used like dynamic ones (RFC 3551 section 6, RFC 5761 section 4)

    TAIL_UNKNOWN = -1           # how much of a payload is tag and MKI is not known
    MAX_TAIL = 18               # MKI of 8 and tag of 10 octets
    MAX_FRAME_TAIL = 24         # MKI of 8 and tag of 16 octets


cdef struct Table:
    const int8_t* entries
    uint32_t states             # contexts of one table (a by-frame table has two such halves)
    int16_t payload_type        # static type, or -1
    int16_t prior               # log2 of the inverse weight, in 1/32 bit
    uint16_t frame_octets
    uint16_t min_octets
    uint16_t max_octets
    uint16_t period_bits
    uint16_t cap
    uint16_t codec              # index of its first table: one per codec name
    uint8_t kind                # 0 octet contexts, 1 bit contexts
    uint8_t context
    uint8_t flags
    uint8_t shift               # from the table's unit to 1/32 bit


cdef struct TableSet:
    Table table[MAX_TABLES]
    int count
    uint8_t first_static[128]   # first table of a static payload type, 0xFF when there is none
    uint8_t static_tables[128]  # how many follow it
    uint8_t first_dynamic       # dynamic types share the tables from here on
    # By codec, of static types and of dynamic ones: its first table, and how many follow it.
    uint8_t first_of[2][MAX_TABLES]
    uint8_t tables_of[2][MAX_TABLES]


cdef struct Candidate:
    int16_t s                   # evidence for the codec, with restarts
    int16_t r                   # the same without: how well the codec fits in all
    uint8_t table
    uint8_t again               # it was rejected before, in the first round


cdef struct Positions:
    uint8_t ones[POSITION_BITS]
    uint8_t seen[POSITION_OCTETS]
    uint8_t packets
    uint8_t frames              # of these, those that began one: only their bits are counted
    uint8_t covered             # octets at the end of these that an MKI could cover
    uint8_t flags


cdef union Room:
    Candidate candidate[MAX_CANDIDATES]
    Positions positions         # once every table was rejected


cdef struct Judge:
    # 128 octets a stream. Cleared to zero it is ready for a stream's first packet.
    Room room
    int16_t generic[GENERICS]
    uint16_t plane[8]           # ones in each bit plane
    uint16_t equal[8]           # equal neighbours in each bit plane
    uint16_t plane_octets
    uint16_t equal_octets
    uint16_t scored             # packets
    int16_t best                # evidence for "clear" after weights, 1/32 bit
    uint8_t previous[4]
    uint8_t candidates
    uint8_t next_table          # dynamic types: the next table to try; from TableSet.count on in a later round
    uint8_t frames
    uint8_t best_codec          # table of the best codec expert, 0xFF when a generic one leads
    uint16_t epoch              # how often the test began anew; later epochs weigh less
    uint8_t longest             # payload, up to 255 octets


cdef class Tables:
    cdef TableSet set
    cdef readonly bytes blob
    cdef readonly tuple codecs


cdef int32_t judge_packet(Judge* judge, const TableSet* tables, const uint8_t* payload, uint32_t captured,
                          uint32_t length, uint8_t payload_type, bint frame_start, int tail,
                          uint8_t hint) noexcept nogil
cdef int glance(const Table* table, const uint8_t* payload, uint32_t captured, uint32_t length, bint frame_start,
                int tail) noexcept nogil
cdef bint judge_clear(const Judge* judge) noexcept nogil
cdef uint16_t judge_codec(const Judge* judge, uint16_t known) noexcept nogil
cdef bint judge_rejects(const Judge* judge, const TableSet* tables) noexcept nogil
cdef bint judge_uniform(const Judge* judge) noexcept nogil
cdef bint judge_infers(const Judge* judge, bint at_last) noexcept nogil
cdef void judge_restart(Judge* judge, bint new_claim) noexcept nogil
