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
    POSITION_PRIOR = 6 * UNIT   # and so do the bit positions
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
    DROP = -REJECT_BITS * UNIT
    LOWEST = -32000


cdef int32_t half_log2[65536]   # 0.5 * log2(n) rounded up, 1/32 bit
cdef int32_t share[256]         # log2 of 1/((i+1)(i+2)) rounded down: these weights sum to one over all i


cdef void fill_constants():
    cdef int i
    for i in range(256):
        share[i] = -<int32_t>ceil(UNIT * log2((i + 1.0) * (i + 2.0)))
    for i in range(1, 65536):
        half_log2[i] = <int32_t>ceil(UNIT * 0.5 * log2(<double>i))


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
    # On a dynamic type there is at least one frame of the codec, if it is that. On a static one all may be a descriptor
    # of silence, shorter than a frame, and a NULL cipher's tag.
    if t.payload_type < 0:
        own = max(own, t.min_octets)
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
    # Eight bits at a time: periods and caps are whole octets. A bit and those before it are its index.
    cdef int32_t prefix[MAX_SCORED_OCTETS + 1]
    cdef int32_t total = 0
    cdef uint32_t window = 0, mask = (2 << t.context) - 1, stride = 2 << t.context
    cdef int octets = n, i
    cdef const int8_t* begin = t.entries
    cdef const int8_t* at
    cdef const int8_t* end
    if t.flags & TABLE_BY_FRAME and frame_start:
        begin += t.states << 1
    at = begin
    end = begin + t.period_bits * stride
    if t.frame_octets and n >= t.frame_octets:
        octets = n // t.frame_octets * t.frame_octets       # whole frames; what is behind may be a tag
    if octets > t.cap >> 3:
        octets = t.cap >> 3
    prefix[0] = 0
    for i in range(octets):
        window = window << 8 | p[i]
        total += (at[window >> 7 & mask] + at[stride + (window >> 6 & mask)]
                  + at[2 * stride + (window >> 5 & mask)] + at[3 * stride + (window >> 4 & mask)]
                  + at[4 * stride + (window >> 3 & mask)] + at[5 * stride + (window >> 2 & mask)]
                  + at[6 * stride + (window >> 1 & mask)] + at[7 * stride + (window & mask)])
        prefix[i + 1] = total
        at += 8 * stride
        if at == end:
            at = begin
    sum_up(t, prefix, octets, length, own, whole, score)


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


cdef void add_candidate(Judge* j, uint8_t table, int32_t evidence, bint again) noexcept nogil:
    cdef Candidate* c = &j.room.candidate[j.candidates]
    c.table = table
    c.again = again
    c.s = <int16_t>evidence
    c.r = 0
    j.candidates += 1


cdef bint is_candidate(const Judge* j, uint8_t table) noexcept nogil:
    cdef int i
    for i in range(j.candidates):
        if j.room.candidate[i].table == table:
            return True
    return False


cdef inline uint8_t turn(const Judge* j, const TableSet* tables) noexcept nogil:
    # The table that is next to be tried, 0xFF when all had their turn. Up to TableSet.count, Judge.next_table is the
    # table of the first round; from there on it counts through a later round, which a restart begins.
    if j.next_table < tables.count:
        return j.next_table
    if j.next_table == tables.count or j.next_table > 2 * tables.count - tables.first_dynamic:
        return 0xFF
    return <uint8_t>(j.next_table - tables.count - 1 + tables.first_dynamic)


cdef void score_table(const Table* t, const uint8_t* p, int n, int length, int own, bint whole, bint frame_start,
                      Score* score) noexcept nogil:
    if t.kind == 0:
        score_octets(t, p, n, length, own, whole, score)
    else:
        score_bits(t, p, n, length, own, whole, frame_start, score)


cdef void choose_best(Judge* j, const TableSet* tables, const uint8_t* p, int n, int length, int own, bint whole,
                      bint frame_start) noexcept nogil:
    # Dynamic types: the tables that fit the first packet best, beside those of a hinted codec. Leaving experts of a
    # mixture out lowers it, so a choice by content is as valid as the mixture of all.
    cdef int32_t[MAX_CANDIDATES] value
    cdef int32_t worth
    cdef Score score
    cdef int table, i, hinted = j.candidates
    if hinted == MAX_CANDIDATES:
        return
    for table in range(tables.first_dynamic, tables.count):
        if not fits(&tables.table[table], length) or is_candidate(j, <uint8_t>table):
            continue
        score_table(&tables.table[table], p, n, length, own, whole, frame_start, &score)
        worth = score.least - tables.table[table].prior
        i = j.candidates
        if i == MAX_CANDIDATES:
            i -= 1
            if worth <= value[i]:
                continue
        else:
            j.candidates += 1
        while i > hinted and worth > value[i - 1]:
            value[i] = value[i - 1]
            j.room.candidate[i] = j.room.candidate[i - 1]
            i -= 1
        value[i] = worth
        memset(&j.room.candidate[i], 0, sizeof(Candidate))
        j.room.candidate[i].table = <uint8_t>table


cdef inline int32_t table_prior(const Judge* j, const TableSet* tables, uint8_t table) noexcept nogil:
    # Dynamic types try their tables in turn; one of a static type is among them by a hint only.
    return tables.table[table].prior + (HINTED_PRIOR if j.next_table and table < tables.first_dynamic else 0)


cdef void add_hinted(Judge* j, const TableSet* tables, uint8_t hint, uint32_t length) noexcept nogil:
    # Once for each start time, as a table that is tried twice from one would weigh twice.
    cdef int kind, i
    cdef uint8_t table
    if hint == HINT_NONE:
        return
    for kind in range(2):
        for i in range(tables.tables_of[kind][hint]):
            table = tables.first_of[kind][hint] + i
            if j.candidates < MAX_CANDIDATES and fits(&tables.table[table], length) and not is_candidate(j, table):
                add_candidate(j, table, start_evidence(dyadic(j)), j.next_table > tables.count)


cdef void choose_candidates(Judge* j, const TableSet* tables, uint8_t pt, uint32_t length, uint8_t hint) noexcept nogil:
    # By header and signalling alone, which the null does not constrain: the choice costs no validity. A dynamic type
    # tries its tables in turn, as places come free, those of a hinted codec first, and all of them again from each
    # start time on. None loses its turn to a descriptor of silence, which is shorter than what it is for.
    cdef int i
    cdef uint8_t table
    cdef uint8_t first = tables.first_static[pt]
    if first != 0xFF:
        if j.candidates == 0:
            for i in range(min(tables.static_tables[pt], MAX_CANDIDATES)):
                add_candidate(j, first + i, 0, False)
        return
    if pt < FIRST_DYNAMIC_TYPE:
        return
    if j.longest <= MAX_SILENCE_OCTETS < length and j.scored:
        # What went before may have been silence alone: of its codec no table has been asked.
        memset(&j.room, 0, sizeof(Room))
        j.candidates = 0
        j.next_table = 0
    j.longest = <uint8_t>max(<uint32_t>j.longest, min(length, <uint32_t>255))
    if j.next_table == TABLES_REJECTED or length <= MAX_SILENCE_OCTETS < j.longest:
        return
    if j.next_table == 0:
        j.next_table = tables.first_dynamic
    if j.next_table == tables.count + 1 and (j.scored & (j.scored - 1)) == 0:
        add_hinted(j, tables, hint, length)
    i = 0
    while i < j.candidates and turn(j, tables) != 0xFF:
        if fits(&tables.table[j.room.candidate[i].table], length):
            i += 1
        else:
            j.candidates -= 1
            j.room.candidate[i] = j.room.candidate[j.candidates]
    while j.candidates < MAX_CANDIDATES:
        table = turn(j, tables)
        if table == 0xFF:
            break
        if fits(&tables.table[table], length) and not is_candidate(j, table):
            add_candidate(j, table, start_evidence(dyadic(j)), j.next_table > tables.count)
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


cdef inline void add_bits(uint8_t* counts, uint8_t bits) noexcept nogil:
    cdef int i
    for i in range(8):
        counts[i] += bits >> (7 - i) & 1


cdef void count_positions(Positions* positions, const uint8_t* p, int octets, int free,
                          bint frame_start) noexcept nogil:
    # What continues a frame is even in video in clear, so of each frame the first packet counts that is long enough.
    # Where all are short an MKI among the octets would look like structure: that keeps a stream from being called
    # encrypted, which is safe, but must not count for "clear".
    cdef int i
    if positions.frames == 255:
        return
    if positions.packets < 255:
        positions.packets += 1
    if frame_start:
        positions.flags |= POSITIONS_DUE
    frame_start = positions.flags & POSITIONS_DUE and octets
    if frame_start:
        positions.flags &= ~POSITIONS_DUE
        if octets > free:
            positions.covered = <uint8_t>max(<int>positions.covered, POSITION_OCTETS - free)
        positions.frames += 1
        for i in range(octets):
            positions.seen[i] += 1
            add_bits(&positions.ones[8 * i], p[i])
            if i < PAIR_OCTETS:
                add_bits(&positions.ones[8 * (POSITION_OCTETS + i)], <uint8_t>(p[i] ^ (p[i] << 1 | p[i] >> 7)))
    if is_time_to_look(positions, frame_start):
        look(positions)


cdef inline bint is_time_to_look(const Positions* positions, bint frame_start) noexcept nogil:
    cdef int n = positions.packets // FIRST_LOOK
    if positions.packets % FIRST_LOOK or positions.packets > LAST_LOOK:
        return positions.packets > LAST_LOOK and frame_start and positions.frames == LAST_FRAMES
    return n & (n - 1) == 0 and positions.frames >= (LAST_FRAMES if positions.packets == LAST_LOOK else FIRST_LOOK)


cdef inline int seen_with(int group) noexcept nogil:
    # The octet whose bits, or pairs of bits, are the counts of a group of eight.
    return group if group < POSITION_OCTETS else group - POSITION_OCTETS


cdef void look(Positions* positions) noexcept nogil:
    """Hold the bits of all positions against even ones, at 24, 48, 96 and 192 packets: few looks are few chances.

    There must be as many frames as at the first look; at the last a few will do, or else when there are.

    Pearson's statistic, the sum of (2c - n)^2 / n over the positions, has under encryption as many degrees of freedom
    k as there are positions, so mean k and variance 2k; no single one may be far off either. Ciphertext passes a look
    with probability 0.9; what does not pass waits for the next.
    """
    cdef int64_t sum = 0, beyond, most = 0
    cdef int32_t n, square, k = 0, i
    for i in range(POSITION_BITS):
        n = positions.seen[seen_with(i >> 3)]
        if n < LAST_FRAMES:
            continue
        square = 2 * <int32_t>positions.ones[i] - n
        square = square * square * UNIT // n
        sum += square
        most = max(most, <int64_t>square)
        k += 1
    beyond = sum - k * UNIT
    # at most 1.5 standard deviations: beyond^2 <= 1.5^2 * 2k
    positions.flags &= ~POSITIONS_EVEN
    if (k >= LOOK_POSITIONS and most <= MOST_UNEVEN * UNIT
            and (beyond <= 0 or 2 * beyond * beyond <= 9 * k * UNIT * UNIT)):
        positions.flags |= POSITIONS_EVEN


# Counts of at most PLANE_OCTETS in an octet each: loops that a compiler turns into vector code.

cdef inline uint8_t matches(const uint8_t* p, int n, int lag) noexcept nogil:
    cdef uint8_t count = 0
    cdef int i
    for i in range(n - lag):
        count += p[i] == p[i + lag]
    return count


cdef inline uint8_t fillers(const uint8_t* p, int n) noexcept nogil:
    # the silence and padding octets of the common codecs
    cdef uint8_t count = 0
    cdef int i
    for i in range(n):
        count += (p[i] == 0) | (p[i] == 0xFF) | (p[i] == 0x7F) | (p[i] == 0xD5)
    return count


cdef inline uint8_t bits_set(const uint8_t* p, int n, int bit) noexcept nogil:
    cdef uint8_t count = 0
    cdef int i
    for i in range(n):
        count += (p[i] >> bit) & 1
    return count


cdef void score_generic(Judge* j, const uint8_t* p, int n, int length, bint whole, bint frame_start) noexcept nogil:
    cdef int i, free, found
    cdef uint8_t[PLANE_OCTETS] same
    # Octets that no MKI can cover: all of them where there is no room for a tag.
    free = n if whole else max(1, min(n, length - 18))
    # Only how a frame begins is compared, where packets of one frame follow each other: what they continue is random.
    if frame_start or j.frames < 2:
        score_sticky(j, p, n, free)
    if j.next_table == TABLES_REJECTED:
        i = 0 if free < POSITION_OCTETS and j.longest >= MAX_TAIL + POSITION_OCTETS else n
        count_positions(&j.room.positions, p, min(i, POSITION_OCTETS), min(free, POSITION_OCTETS), frame_start)
    if free > PLANE_OCTETS:
        free = PLANE_OCTETS
    found = matches(p, free, 1)
    add(&j.generic[RUN_1], found * RUN_HIT + (free - 1 - found) * RUN_MISS if free > 1 else 0)
    found = matches(p, free, 2)
    add(&j.generic[RUN_2], found * RUN_HIT + (free - 2 - found) * RUN_MISS if free > 2 else 0)
    found = fillers(p, free)
    add(&j.generic[SYMBOLS], found * SYMBOL_HIT + (free - found) * SYMBOL_MISS)
    if j.plane_octets < PLANE_LIMIT and free > 0:
        for i in range(free - 1):
            same[i] = ~(p[i] ^ p[i + 1])
        for i in range(8):
            j.plane[i] += bits_set(p, free, i)
            j.equal[i] += bits_set(same, free - 1, i)
        j.plane_octets += free
        j.equal_octets += free - 1


cdef inline int32_t bias(int64_t apart, uint32_t total) noexcept nogil:
    # Krichevsky-Trofimov mixture over the bias, bounded below: 2.885 (c - n/2)^2 / n - log2(n)/2 - 1 bits. ``apart`` is
    # 2c - n; of counts with one total that which is furthest apart has the most.
    if total == 0:
        return LOWEST
    # 23 / 32 bit = 0.719 < 2.885 / 4, so that rounding stays on the safe side
    return <int32_t>(apart * apart * 23 // total) - half_log2[total] - UNIT


cdef int32_t plane_bias(const uint16_t* counts, uint16_t total) noexcept nogil:
    cdef int32_t apart = 0
    cdef int i
    for i in range(8):
        apart = max(apart, 2 * <int32_t>counts[i] - total, total - 2 * <int32_t>counts[i])
    return bias(apart, total) - PLANE_PRIOR


cdef int32_t position_bias(const Positions* positions) noexcept nogil:
    cdef int32_t most = LOWEST, apart, total
    cdef int i, b
    for i in range(POSITION_BITS // 8):
        if seen_with(i) >= POSITION_OCTETS - positions.covered:
            continue
        apart = 0
        total = positions.seen[seen_with(i)]
        for b in range(8 * i, 8 * i + 8):
            apart = max(apart, 2 * <int32_t>positions.ones[b] - total, total - 2 * <int32_t>positions.ones[b])
        most = max(most, bias(apart, total))
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
    if j.next_table and j.next_table != TABLES_REJECTED and turn(j, tables) == 0xFF:
        j.next_table = <uint8_t>(tables.count + 1)


cdef bint rejects_tables(const Judge* j, const TableSet* tables) noexcept nogil:
    # Dynamic types: every table had its turn, and those that are left of the first round contradict the payload.
    cdef int i, least
    cdef uint8_t flags
    cdef const Candidate* c
    if j.next_table < tables.count or j.next_table == TABLES_REJECTED or j.scored < MIN_SCORED:
        return False
    for i in range(j.candidates):
        c = &j.room.candidate[i]
        flags = tables.table[c.table].flags
        least = -CERTAIN_LEAST if flags & TABLE_CERTAIN else -REJECT_BITS * UNIT
        if not c.again and flags & TABLE_VETO and c.r > least:
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
    if j.scored == 0 and payload_type >= FIRST_DYNAMIC_TYPE and tables.first_static[payload_type] == 0xFF:
        add_hinted(j, tables, hint, length)
        choose_best(j, tables, payload, n, length, own, whole, frame_start)
    choose_candidates(j, tables, payload_type, length, hint)
    i = 0
    while i < j.candidates:
        c = &j.room.candidate[i]
        t = &tables.table[c.table]
        if fits(t, length):
            score_table(t, payload, n, length, own, whole, frame_start, &score)
            c.s = clamp(c.s + score.least)
            c.r = clamp(c.r + score.own)
            fit = max(fit, score.own)
        if c.s < DROP and c.r < DROP and j.next_table and turn(j, tables) != 0xFF:
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
    score_table(t, payload, min(n, GLANCE_OCTETS) if t.kind == 0 else n, length, own, True, frame_start, &score)
    return score.own


cdef bint judge_clear(const Judge* j) noexcept nogil:
    """Is the payload shown to be in clear, with probability at most 2^-CLEAR_BITS under encryption?"""
    return j.best >= CLEAR_BITS * UNIT


cdef uint16_t judge_codec(const Judge* j, uint16_t known) noexcept nogil:
    """Return the table of the codec that fits best, ``known`` if none fits well."""
    cdef uint16_t table = known
    cdef int32_t most = NAMING_BITS * UNIT
    cdef int i
    if j.best_codec != 0xFF:
        return j.best_codec
    if j.next_table == TABLES_REJECTED:
        return known
    for i in range(j.candidates):
        if j.room.candidate[i].s >= most:
            most = j.room.candidate[i].s
            table = j.room.candidate[i].table
    return table


cdef bint judge_rejects(const Judge* j, const TableSet* tables) noexcept nogil:
    """Does every codec that the payload type can mean contradict the payload?

    Of a codec with a table that every frame obeys, exceptions to that one are enough, or some with half of the evidence
    against the others.
    """
    cdef int i, asked = 0, least = -REJECT_BITS * UNIT, certain = LOWEST
    cdef bint has_certain = False
    cdef int32_t fit = LOWEST
    cdef const Candidate* c
    if j.next_table:
        return j.next_table == TABLES_REJECTED
    for i in range(j.candidates):
        c = &j.room.candidate[i]
        if tables.table[c.table].flags & TABLE_CERTAIN:
            has_certain = True
            certain = c.r
        elif tables.table[c.table].flags & TABLE_VETO:
            fit = max(fit, <int32_t>c.r)
        else:
            continue
        asked += 1
    if has_certain:
        return certain <= -CERTAIN_LEAST or (certain < 0 and fit <= least // 2)
    return asked > 0 and fit <= least


cdef bint judge_uniform(const Judge* j) noexcept nogil:
    """Has the payload no structure that a generic expert would have seen by now?"""
    # A large frame's later packets hold its most random part: some packets must have begun one, or there must be many.
    return (j.scored >= MIN_SCORED and (j.frames >= MIN_FRAMES or j.scored >= MIN_UNFRAMED)
            and generic_best(j) <= MAX_GENERIC_BITS * UNIT and j.best <= MAX_GENERIC_BITS * UNIT)


cdef bint judge_infers(const Judge* j, bint at_last) noexcept nogil:
    """Is all that a dynamic type's payload showed enough to call it encrypted, with nothing else to go by?

    Every table was rejected, and in the frames that began since then the bits were even at each position that no MKI
    could cover. ``at_last``: the last look has to have shown it.
    """
    return (j.next_table == TABLES_REJECTED and (j.room.positions.flags & POSITIONS_EVEN) != 0
            and (j.room.positions.packets >= LAST_LOOK or not at_last))


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
        if total < 16 + 48 * count:
            raise ValueError("codec tables: shorter than their descriptions")
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
                if kind != 1 or context > 8 or period == 0 or (period | cap) & 7 or cap > 8 * MAX_SCORED_OCTETS:
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
