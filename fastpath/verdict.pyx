"""Media in clear or ciphertext, from payload bytes alone: a sequential test with a proved bound on one side.

Under encryption the payload and the authentication tag are uniform given their lengths, so for every predictive model
Q the product of Q(bytes)/2^-bits is a test martingale, and by Ville's inequality the probability that it ever reaches
2^40 is at most 2^-40, whenever and however often one looks. Experts are codec tables (trained) and generic ones
(constant octets, runs, biased bit planes); their weights sum to at most one, so the largest weighted one bounds the
mixture.

Not uniform in SRTP is the Master Key Identifier (RFC 3711 section 3.1), a constant before or behind the tag. The null
is therefore composite: where the payload is scored near its end, the score is the least over every place where an MKI
of up to eight octets can lie. Table entries are rounded so that no context gives an expectation above one.

Only packets ahead of the highest sequence number may be judged: a repeated packet repeats its ciphertext.
"""

import struct
import zlib

from libc.math cimport ceil, log2
from libc.stdint cimport int8_t, int16_t, int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcpy, memset

cdef enum:
    STICKY = 0              # generic[0..3]: octet 0..3 repeats the previous packet's
    STICKY_PAIR = 4         # octets 0 and 1 together
    STICKY_QUAD = 5
    RUN_1 = 6               # an octet equals its neighbour
    RUN_2 = 7               # … or the one before that
    SYMBOLS = 8             # the silence and padding octets of the common codecs

    GENERIC_PRIOR = 5 * UNIT    # GENERICS + 3 experts of 2^-5 each stay below one half; the codec tables have the other
    START_PRIOR = UNIT          # half of the weight starts with the stream, the rest at restarts
    PLANE_PRIOR = 3 * UNIT      # eight planes share one expert's weight
    POSITION_PRIOR = 5 * UNIT   # and so do the bit positions
    HINTED_PRIOR = 5 * UNIT     # a static type's tables on a dynamic one: 2^-6 of weight that nothing else has

    # log2 of 128 and of 127/255, floored: a constant octet with probability one half
    HIT = 7 * UNIT
    MISS = -33
    # log2 of 64 and of (3/4)/(255/256)
    RUN_HIT = 6 * UNIT
    RUN_MISS = -14
    # four symbols with a quarter of the probability
    SYMBOL_HIT = 4 * UNIT
    SYMBOL_MISS = -13

    PLANE_OCTETS = 64       # of one payload
    GLANCE_OCTETS = 32
    PLANE_LIMIT = 60000     # the counters stop before they wrap
    DROP = -24 * UNIT
    LOWEST = -32000


cdef int32_t half_log2[65536]   # 0.5 * log2(n) rounded up, 1/32 bit
cdef uint64_t spread[256]       # the eight bits of an octet in eight octets
cdef int32_t share[256]         # log2 of 1/((i+1)(i+2)) rounded down: these weights sum to one over all i


cdef void fill_constants():
    cdef int i, b
    for i in range(256):
        share[i] = -<int32_t>ceil(UNIT * log2((i + 1.0) * (i + 2.0)))
    for i in range(1, 65536):
        half_log2[i] = <int32_t>ceil(UNIT * 0.5 * log2(<double>i))
    for i in range(256):
        spread[i] = 0
        for b in range(8):
            spread[i] |= <uint64_t>((i >> b) & 1) << (8 * b)


fill_constants()


cdef inline int32_t epoch_share(uint16_t epoch) noexcept nogil:
    # Twice the whole logarithm is less than the share, which costs nothing but a little evidence.
    cdef int32_t bits = 0
    if epoch < 256:
        return share[epoch]
    if epoch == 0xFFFF:
        return LOWEST           # the shares are spent: nothing is called clear any more
    while (epoch + 2) >> bits:
        bits += 1
    return -2 * bits * UNIT


cdef inline int16_t clamp(int32_t value) noexcept nogil:
    return <int16_t>max(LOWEST, min(32000, value))


cdef struct Score:
    int32_t least               # over every place that an MKI can have: for the evidence, where the null is what counts
    int32_t own                 # of the octets that are the codec's in any case: for the codec's fit


cdef inline void add(int16_t* sum, int32_t score) noexcept nogil:
    sum[0] = clamp(sum[0] + score)


cdef inline int32_t least_over_mki(const int32_t* prefix, int scored, int length) noexcept nogil:
    # prefix[i]: score of the first i octets. A payload of at least one octet comes before any MKI, so octet 0 counts.
    cdef int32_t total = prefix[scored], least = total, part
    cdef int low, high, place
    for place in range(3):
        if place == 0:          # MKI, then an 80-bit tag
            high = length - 10
        elif place == 1:        # MKI, then a 32-bit tag
            high = length - 4
        else:                   # AEAD: the MKI comes last (RFC 7714 section 8.1)
            high = length
        low = max(1, high - 8)
        if low >= scored or high <= low:
            continue
        part = total - prefix[min(high, scored)] + prefix[low]
        if part < least:
            least = part
    return least


cdef inline void sum_up(const Table* t, const int32_t* prefix, int scored, int length, int own, bint whole,
                        Score* score) noexcept nogil:
    score.least = (prefix[scored] if whole else least_over_mki(prefix, scored, length)) << t.shift
    score.own = prefix[min(own, scored)] << t.shift


cdef void score_octets(const Table* t, const uint8_t* p, int n, int length, int own, bint whole,
                       Score* score) noexcept nogil:
    cdef int32_t prefix[MAX_SCORED_OCTETS + 1]
    cdef int32_t total = 0
    cdef uint32_t z1 = 0, z2 = 0, a, context
    cdef int i
    cdef const int8_t* entries = t.entries
    if n > t.cap:
        n = t.cap
    prefix[0] = 0
    if t.context == 0:
        for i in range(n):
            a = p[i]
            total += entries[((((z1 & 0xF0) | (z2 >> 4)) << 8) | a)]
            prefix[i + 1] = total
            z2 = z1
            z1 = a
    elif t.context == 1:
        for i in range(n):
            a = p[i]
            total += entries[((z1 >> 4) << 8) | a]
            prefix[i + 1] = total
            z1 = a
    elif t.context == 2:
        for i in range(n):
            total += entries[p[i]]
            prefix[i + 1] = total
    else:
        for i in range(n):
            a = p[i]
            context = 64 + (z1 >> 2) if i & 1 else z2 >> 2
            total += entries[(context << 8) | a]
            prefix[i + 1] = total
            z2 = z1
            z1 = a
    sum_up(t, prefix, n, length, own, whole, score)


cdef void score_bits(const Table* t, const uint8_t* p, int n, int length, int own, bint whole, bint frame_start,
                     Score* score) noexcept nogil:
    cdef int32_t prefix[MAX_SCORED_OCTETS + 1]
    cdef int32_t total = 0
    cdef uint32_t context = 0, mask = (1 << t.context) - 1, bit, octet
    cdef int bits = 8 * n, i, position = 0, k = t.context
    cdef const int8_t* entries = t.entries
    if t.flags & TABLE_BY_FRAME and frame_start:
        entries += t.states << 1
    if t.frame_octets and n >= t.frame_octets:
        bits = n // t.frame_octets * t.frame_octets * 8     # whole frames; what is behind may be a tag
    if bits > t.cap:
        bits = t.cap
    prefix[0] = 0
    for i in range(bits):
        bit = (p[i >> 3] >> (7 - (i & 7))) & 1
        total += entries[((<uint32_t>position << k | context) << 1) | bit]
        context = ((context << 1) | bit) & mask
        position += 1
        if position == t.period_bits:
            position = 0
        if i & 7 == 7:
            prefix[(i >> 3) + 1] = total
    octet = (bits + 7) >> 3
    prefix[octet] = total
    sum_up(t, prefix, octet, length, own, whole, score)


cdef inline bint fits(const Table* t, uint32_t length) noexcept nogil:
    if length < t.min_octets or length > t.max_octets:
        return False
    return t.frame_octets == 0 or length % t.frame_octets <= MAX_FRAME_TAIL


cdef inline uint32_t dyadic(const Judge* j) noexcept nogil:
    # Which of the start times 1, 2, 4, … was the last, counted from 1; 0 before the first packet.
    cdef uint32_t i = 0
    while j.scored >> i:
        i += 1
    return i


cdef inline int32_t start_evidence(uint32_t start) noexcept nogil:
    # Log2 of a start time's weight beside the stream's own beginning, which has one half (START_PRIOR).
    return share[start] + START_PRIOR if start else 0


cdef void add_candidate(Judge* j, uint8_t table, int32_t evidence) noexcept nogil:
    cdef Candidate* c = &j.room.candidate[j.candidates]
    c.table = table
    c.s = <int16_t>evidence
    c.r = 0
    j.candidates += 1


cdef bint is_candidate(const Judge* j, uint8_t table) noexcept nogil:
    cdef int i
    for i in range(j.candidates):
        if j.room.candidate[i].table == table:
            return True
    return False


cdef inline bint is_hinted(const TableSet* tables, uint8_t table, uint8_t hint) noexcept nogil:
    return hint != HINT_NONE and tables.table[table].codec == hint


cdef inline int32_t table_prior(const Judge* j, const TableSet* tables, uint8_t table) noexcept nogil:
    # Dynamic types try their tables in turn; one of a static type is among them by a hint only.
    return tables.table[table].prior + (HINTED_PRIOR if j.next_table and table < tables.first_dynamic else 0)


cdef void add_hinted(Judge* j, const TableSet* tables, uint8_t hint, uint32_t length) noexcept nogil:
    # Once for each start time, as a table that is tried twice from one would weigh twice.
    cdef int kind, i
    cdef uint8_t table
    for kind in range(2):
        for i in range(tables.tables_of[kind][hint]):
            table = tables.first_of[kind][hint] + i
            if j.candidates < MAX_CANDIDATES and fits(&tables.table[table], length) and not is_candidate(j, table):
                add_candidate(j, table, start_evidence(dyadic(j)))


cdef void choose_candidates(Judge* j, const TableSet* tables, uint8_t pt, uint32_t length, uint8_t hint) noexcept nogil:
    # By header and signalling alone, which the null does not constrain: the choice costs no validity. A dynamic type
    # tries its tables in turn, as places come free, those of a hinted codec first, and all of them again from each
    # start time on.
    cdef int i
    cdef uint8_t first = tables.first_static[pt]
    if first != 0xFF:
        if j.candidates == 0:
            for i in range(min(tables.static_tables[pt], MAX_CANDIDATES)):
                add_candidate(j, first + i, 0)
        return
    if pt < FIRST_DYNAMIC_TYPE or j.next_table == TABLES_REJECTED:
        return
    if j.next_table == 0:
        j.next_table = tables.first_dynamic
    if hint != HINT_NONE and j.next_table == tables.first_dynamic and (j.scored & (j.scored - 1)) == 0:
        add_hinted(j, tables, hint, length)
    i = 0
    while i < j.candidates and j.next_table < tables.count:
        if fits(&tables.table[j.room.candidate[i].table], length):
            i += 1
        else:
            j.candidates -= 1
            j.room.candidate[i] = j.room.candidate[j.candidates]
    while j.candidates < MAX_CANDIDATES and j.next_table < tables.count:
        if fits(&tables.table[j.next_table], length) and not is_candidate(j, j.next_table):
            add_candidate(j, j.next_table, start_evidence(dyadic(j)))
        j.next_table += 1


cdef void score_sticky(Judge* j, const uint8_t* p, int n, int free) noexcept nogil:
    cdef int32_t hit[4]
    cdef int i
    if j.scored:
        for i in range(4):
            hit[i] = 0
            if i < n:
                hit[i] = HIT if p[i] == j.previous[i] else MISS
                if i >= free:
                    hit[i] = min(hit[i], 0)
            add(&j.generic[STICKY + i], hit[i])
        add(&j.generic[STICKY_PAIR], hit[0] + hit[1])
        add(&j.generic[STICKY_QUAD], hit[0] + hit[1] + hit[2] + hit[3])
    memset(j.previous, 0, 4)
    memcpy(j.previous, p, min(n, 4))


cdef void count_positions(Positions* positions, const uint8_t* p, int octets) noexcept nogil:
    cdef int i
    for i in range(octets):
        if positions.seen[i] < PLANE_LIMIT:
            positions.seen[i] += 1
    for i in range(min(8 * octets, POSITION_BITS)):
        if positions.seen[i >> 3] < PLANE_LIMIT:
            positions.ones[i] += (p[i >> 3] >> (7 - (i & 7))) & 1


cdef void score_generic(Judge* j, const uint8_t* p, int n, int length, bint whole, bint frame_start) noexcept nogil:
    cdef int i, free
    cdef int32_t sum1 = 0, sum2 = 0, symbols = 0
    cdef uint64_t ones = 0, equals = 0
    cdef uint8_t octet
    # Octets that no MKI can cover: all of them where there is no room for a tag.
    free = n if whole else max(1, min(n, length - 18))
    # Only how a frame begins is compared, where packets of one frame follow each other: what they continue is random.
    if frame_start or j.frames < 2:
        score_sticky(j, p, n, free)
    if j.next_table == TABLES_REJECTED:
        count_positions(&j.room.positions, p, min(free, POSITION_OCTETS))
    if free > PLANE_OCTETS:
        free = PLANE_OCTETS
    for i in range(free):
        octet = p[i]
        symbols += SYMBOL_HIT if octet == 0 or octet == 0xFF or octet == 0x7F or octet == 0xD5 else SYMBOL_MISS
        ones += spread[octet]
        if i >= 1:
            sum1 += RUN_HIT if octet == p[i - 1] else RUN_MISS
            equals += spread[<uint8_t>~(octet ^ p[i - 1])]
        if i >= 2:
            sum2 += RUN_HIT if octet == p[i - 2] else RUN_MISS
    add(&j.generic[RUN_1], sum1)
    add(&j.generic[RUN_2], sum2)
    add(&j.generic[SYMBOLS], symbols)
    if j.plane_octets < PLANE_LIMIT:
        for i in range(8):
            j.plane[i] += (ones >> (8 * i)) & 0xFF
            j.equal[i] += (equals >> (8 * i)) & 0xFF
        j.plane_octets += free
        j.equal_octets += free - 1 if free else 0


cdef inline int32_t bias(uint16_t ones, uint16_t total) noexcept nogil:
    # Krichevsky-Trofimov mixture over the bias, bounded below: 2.885 (c - n/2)^2 / n - log2(n)/2 - 1 bits.
    cdef int64_t twice = 2 * <int64_t>ones - total
    if total == 0:
        return LOWEST
    # 23 / 32 bit = 0.719 < 2.885 / 4, so that rounding stays on the safe side
    return <int32_t>(twice * twice * 23 // total) - half_log2[total] - UNIT


cdef int32_t plane_bias(const uint16_t* counts, uint16_t total) noexcept nogil:
    cdef int32_t most = LOWEST
    cdef int i
    for i in range(8):
        most = max(most, bias(counts[i], total))
    return most - PLANE_PRIOR


cdef int32_t position_bias(const Positions* positions) noexcept nogil:
    cdef int32_t most = LOWEST
    cdef int i
    for i in range(POSITION_BITS):
        most = max(most, bias(positions.ones[i], positions.seen[i >> 3]))
    return most - POSITION_PRIOR


cdef int32_t generic_best(const Judge* j) noexcept nogil:
    cdef int32_t most = LOWEST
    cdef int i
    for i in range(GENERICS):
        most = max(most, <int32_t>j.generic[i])
    most = max(most, plane_bias(j.plane, j.plane_octets), plane_bias(j.equal, j.equal_octets))
    if j.next_table == TABLES_REJECTED:
        most = max(most, position_bias(&j.room.positions))
    return most


cdef void restart_evidence(Judge* j, const TableSet* tables) noexcept nogil:
    # A mixture over start times 1, 2, 4, …: a stream that turns clear later is not held to its past.
    cdef int32_t floor = start_evidence(dyadic(j))
    cdef int n
    for n in range(j.candidates):
        if j.room.candidate[n].s < floor:
            j.room.candidate[n].s = floor
    for n in range(GENERICS):
        if j.generic[n] < floor:
            j.generic[n] = floor
    if j.next_table == tables.count:
        j.next_table = tables.first_dynamic


cdef bint rejects_tables(const Judge* j, const TableSet* tables) noexcept nogil:
    # Dynamic types: every table had its turn, and those that are left contradict the payload.
    cdef int i
    if j.next_table != tables.count or j.scored < MIN_SCORED:
        return False
    for i in range(j.candidates):
        if j.room.candidate[i].r > -REJECT_BITS * UNIT and (
                tables.table[j.room.candidate[i].table].flags & TABLE_VETO):
            return False
    return True


cdef int32_t judge_packet(Judge* j, const TableSet* tables, const uint8_t* payload, uint32_t captured,
                          uint32_t length, uint8_t payload_type, bint frame_start, int tail,
                          uint8_t hint) noexcept nogil:
    """Add one packet's payload to the evidence.

    ``captured`` octets of ``payload`` are there, of ``length`` on the wire. ``frame_start``: its RTP timestamp differs
    from the previous packet's. ``tail``: how many octets at its end were shown, by the lengths and timestamps of other
    packets, not to be the codec's; 0 leaves no room for an MKI; TAIL_UNKNOWN when nothing was shown. ``hint``: what
    signalling says that this dynamic type is, or HINT_NONE. Returns how well the best of the tables fits this one
    packet, in 1/32 bit.
    """
    cdef int n = <int>min(captured, <uint32_t>MAX_SCORED_OCTETS), i, own
    cdef bint whole = tail == 0 or length <= 4
    cdef const Table* t
    cdef Candidate* c
    cdef Score score
    cdef int32_t value, best = LOWEST, fit = LOWEST
    own = <int>length - (MAX_TAIL if tail < 0 else tail)
    if own < 0:
        own = 0
    if tail > 0 and n > own:
        n = own
    if n == 0:
        return fit
    if j.scored == 0:
        j.best_codec = 0xFF
    choose_candidates(j, tables, payload_type, length, hint)
    i = 0
    while i < j.candidates:
        c = &j.room.candidate[i]
        t = &tables.table[c.table]
        if fits(t, length):
            if t.kind == 0:
                score_octets(t, payload, n, length, own, whole, &score)
            else:
                score_bits(t, payload, n, length, own, whole, frame_start, &score)
            c.s = clamp(c.s + score.least)
            c.r = clamp(c.r + score.own)
            fit = max(fit, score.own)
        if (c.s < DROP and c.r < DROP and j.next_table < tables.count and j.next_table
                and not is_hinted(tables, c.table, hint)):
            j.candidates -= 1
            c[0] = j.room.candidate[j.candidates]
            continue
        i += 1
    score_generic(j, payload, n, length, whole, frame_start)
    if j.scored < 0xFFFF:
        j.scored += 1
    if frame_start and j.frames < 255:
        j.frames += 1
    for i in range(j.candidates):
        c = &j.room.candidate[i]
        value = c.s - table_prior(j, tables, c.table) - START_PRIOR
        if value > best:
            best = value
            j.best_codec = c.table
    value = generic_best(j) - GENERIC_PRIOR - START_PRIOR
    if value > best:
        best = value
        j.best_codec = 0xFF
    j.best = clamp(best + epoch_share(j.epoch))
    if rejects_tables(j, tables):
        memset(&j.room, 0, sizeof(Room))
        j.candidates = 0
        j.next_table = TABLES_REJECTED
    if (j.scored & (j.scored - 1)) == 0:
        restart_evidence(j, tables)
    return fit


cdef int glance(const Table* t, const uint8_t* payload, uint32_t captured, uint32_t length, bint frame_start,
                int tail) noexcept nogil:
    """Return how well one codec fits one payload, in 1/32 bit; 0 when it does not apply. Nothing is remembered."""
    cdef int n = <int>min(captured, <uint32_t>MAX_SCORED_OCTETS)
    cdef int own = max(0, <int>length - (MAX_TAIL if tail < 0 else tail))
    cdef Score score
    if not fits(t, length) or n == 0:
        return 0
    if t.kind == 0:
        score_octets(t, payload, min(n, GLANCE_OCTETS), length, own, True, &score)
    else:
        score_bits(t, payload, n, length, own, True, frame_start, &score)
    return score.own


cdef bint judge_clear(const Judge* j) noexcept nogil:
    """Is the payload shown to be in clear, with probability at most 2^-CLEAR_BITS under encryption?"""
    return j.best >= CLEAR_BITS * UNIT


cdef bint judge_rejects(const Judge* j, const TableSet* tables) noexcept nogil:
    """Does every codec that the payload type can mean contradict the payload?"""
    cdef int i, asked = 0
    if j.next_table:
        return j.next_table == TABLES_REJECTED
    for i in range(j.candidates):
        if tables.table[j.room.candidate[i].table].flags & TABLE_VETO:
            asked += 1
            if j.room.candidate[i].r > -REJECT_BITS * UNIT:
                return False
    return asked > 0


cdef bint hint_rejects(const Judge* j, const TableSet* tables, uint8_t codec) noexcept nogil:
    """Does the codec that signalling names contradict the payload?

    All of its tables that the lengths allow were asked from the first packet on, or every table was rejected.
    """
    cdef int i, asked = 0
    if codec == HINT_NONE or j.scored < MIN_SCORED or j.next_table == 0:
        return False
    if j.next_table == TABLES_REJECTED:
        return True
    for i in range(j.candidates):
        if (tables.table[j.room.candidate[i].table].flags & TABLE_VETO
                and is_hinted(tables, j.room.candidate[i].table, codec)):
            asked += 1
            if j.room.candidate[i].r > -REJECT_BITS * UNIT:
                return False
    return asked > 0


cdef bint judge_uniform(const Judge* j) noexcept nogil:
    """Has the payload no structure that a generic expert would have seen by now?"""
    # A large frame's later packets hold its most random part: some packets must have begun one, or there must be many.
    return (j.scored >= MIN_SCORED and (j.frames >= MIN_FRAMES or j.scored >= MIN_UNFRAMED)
            and generic_best(j) <= MAX_GENERIC_BITS * UNIT and j.best <= MAX_GENERIC_BITS * UNIT)


cdef bint judge_infers(const Judge* j, bint again) noexcept nogil:
    """Is all that a dynamic type's payload showed enough to call it encrypted, with nothing else to go by?

    Every table was rejected long ago; what a codec that no table knows would have shown by now, it did not show.
    ``again``: it was so in an earlier epoch already.
    """
    if j.next_table != TABLES_REJECTED:
        return False
    if again:
        return j.scored >= INFER_AGAIN
    return j.scored >= INFER_SCORED and j.plane_octets >= INFER_OCTETS and j.frames >= INFER_FRAMES


cdef void judge_restart(Judge* j, bint new_claim) noexcept nogil:
    """Begin the test anew.

    ``new_claim``: it could say "clear" of a stream that is not known to be clear. Such an epoch weighs less than the
    one before, so that all of them together keep the bound, and the last one claims nothing. A stream that was shown
    to be clear has spent its share: what follows only keeps the verdict.
    """
    cdef uint16_t epoch = j.epoch
    memset(j, 0, sizeof(Judge))
    j.epoch = epoch + new_claim if epoch < 0xFFFF else 0xFFFF


cdef class Tables:
    """The codec tables, read from their packed form and checked.

    ``blob`` is the content of ``tables.bin`` (layout: docs/design/003-codec-tables.md). Raises ValueError with the
    reason for a damaged one.
    """

    def __cinit__(self, bytes blob not None):
        cdef const uint8_t* base = blob
        cdef uint32_t at
        cdef Table* t
        cdef int i, shared
        cdef uint64_t states
        self.blob = blob
        memset(self.set.first_static, 0xFF, 128)
        if len(blob) < 16 or blob[:4] != b"LWTB":
            raise ValueError("codec tables: not a table file")
        version, count, total, crc = struct.unpack_from("<HHII", blob, 4)
        if version != 1 or total != len(blob) or zlib.crc32(blob[16:]) != crc or count > MAX_TABLES:
            raise ValueError("codec tables: damaged or of another version")
        names = []
        dynamic = False
        for i in range(count):
            (name, kind, context, flags, prior, payload_type, frame_octets, min_octets, max_octets, period, cap, unit,
             _, _, offset, size) = struct.unpack_from("<16sBBBBhHHHHHBBhII", blob, 16 + 48 * i)
            t = &self.set.table[i]
            codec = name.rstrip(b"\0").split(b"~")[0].decode("ascii")
            if kind == 0:
                if context > 3:
                    raise ValueError(f"codec tables: {codec}: unknown context")
                states = (256, 16, 1, 128)[context] * 256
                if cap > MAX_SCORED_OCTETS:
                    raise ValueError(f"codec tables: {codec}: scores too many octets")
            else:
                if kind != 1 or context > 8 or period == 0 or cap > 8 * MAX_SCORED_OCTETS:
                    raise ValueError(f"codec tables: {codec}: unknown kind")
                states = (<uint64_t>period << context) * 2
            if size != states * (2 if flags & TABLE_BY_FRAME else 1) or offset + size > len(blob) or unit > 5:
                raise ValueError(f"codec tables: {codec}: sizes do not fit")
            if (offset < 16 + 48 * count) if i else (offset != 16 + 48 * count):
                raise ValueError(f"codec tables: {codec}: entries are not where they must be")
            at = offset
            t.entries = <const int8_t*>(base + at)
            t.states = states // 2
            t.payload_type = payload_type
            t.prior = prior * UNIT
            t.frame_octets = frame_octets
            t.min_octets = min_octets
            t.max_octets = max_octets
            t.period_bits = period
            t.cap = cap
            t.kind = kind
            t.context = context
            t.flags = flags
            t.shift = 5 - unit
            if codec not in names:
                names.append(codec)
            t.codec = names.index(codec)
            shared = payload_type < 0
            if self.set.tables_of[shared][t.codec] == 0:
                self.set.first_of[shared][t.codec] = i
            if self.set.first_of[shared][t.codec] + self.set.tables_of[shared][t.codec] == i:
                self.set.tables_of[shared][t.codec] += 1
            if payload_type >= 0:
                if dynamic or payload_type > 127:
                    raise ValueError(f"codec tables: {codec}: tables of static types come first")
                if self.set.static_tables[payload_type] == 0:
                    self.set.first_static[payload_type] = i
                elif self.set.first_static[payload_type] + self.set.static_tables[payload_type] != i:
                    raise ValueError(f"codec tables: {codec}: tables of one static type must follow each other")
                self.set.static_tables[payload_type] += 1
            elif not dynamic:
                dynamic = True
                self.set.first_dynamic = i
        self.set.count = count
        if not dynamic:
            self.set.first_dynamic = count
        self.codecs = tuple(names)


def judge_payloads(Tables tables not None, payloads, int payload_type, *, same_frame=(), int tail=TAIL_UNKNOWN,
                   str hint=None):
    """Judge a sequence of payloads as one stream, for evaluation and tests.

    Returns a list with, after each packet, ``(bits, codec, rejected, uniform)``: the evidence for "clear" in bits, the
    codec that leads ("" for a generic expert), whether every codec is rejected, whether nothing generic was seen.
    ``same_frame`` holds the indices of packets whose RTP timestamp repeats the one before; ``tail`` as in
    ``judge_packet``; ``hint`` is the name of a codec in the tables.
    """
    cdef Judge judge
    cdef const uint8_t[::1] view
    cdef int index = 0
    cdef uint8_t codec_hint = HINT_NONE if hint is None else tables.codecs.index(hint)
    memset(&judge, 0, sizeof(Judge))
    out = []
    for payload in payloads:
        if len(payload):
            view = payload
            judge_packet(&judge, &tables.set, &view[0], len(payload), len(payload), payload_type,
                         index not in same_frame, tail, codec_hint)
        leads = judge.scored and judge.best_codec != 0xFF
        codec = tables.codecs[tables.set.table[judge.best_codec].codec] if leads else ""
        out.append((<double>judge.best / UNIT, codec, judge_rejects(&judge, &tables.set), judge_uniform(&judge)))
        index += 1
    return out
