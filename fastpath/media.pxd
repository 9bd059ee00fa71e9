"""RTP and RTCP of a flow: validity, statistics, and when the verdict is given.

Read first: RFC 3550 sections 6.4.1, A.1, A.3 and A.8; RFC 7983 for what else shares a media port.
"""

from libc.stdint cimport int16_t, int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport calloc

from fastpath.core cimport Core, begin_event, set_app
from fastpath.events cimport (
    EVENT_CONTROL, EVENT_TONES, EVENT_VERDICT, EventControl, EventHead, EventTones, EventVerdict, ring_commit,
)
from fastpath.evidence cimport MIN_TOLD_OCTETS, say_evidence
from fastpath.exposure cimport aside
from fastpath.flow cimport (
    FLOW_DTLS_DONE, FLOW_ZRTP_DONE, MAX_CHANGES, MAX_FLOW_STREAMS, MAX_PROBATION, STREAM_CHANGED, STREAM_CRYPTEX,
    STREAM_FROM_HIGH, STREAM_NOISE, STREAM_RESYNC, STREAM_SAID, STREAM_SETTLED, STREAM_VALID, Changes, Flow, Stream,
    add_stream, find_flow,
)
from fastpath.hints cimport find_hint
from fastpath.mirror cimport DIRECTION_LOOK, follow_gaps, look_both_ways, note_gap
from fastpath.names cimport (
    APP_RTCP, APP_RTP, BASIS_COMPOUND, BASIS_CRYPTEX, BASIS_DTLS, BASIS_INCONCLUSIVE, BASIS_LOOKS_UNIFORM,
    BASIS_NO_CODEC_FITS, BASIS_PAYLOAD_STRUCTURE, BASIS_SRTCP_INDEX, BASIS_TAG_LENGTH, BASIS_TAG_PRESENT, BASIS_TOO_FEW,
    BASIS_ZRTP, FATE_BEHIND, FATE_DUPLICATE, FATE_EMPTY, FATE_GLANCE, FATE_OTHER_TYPE, FATE_SCORED, FATE_SETTLED,
    FATE_STRAY, FATE_WATCHED, GRADE_INFERRED, GRADE_NONE, GRADE_PROVED, PROTECTION_CLEAR, PROTECTION_ENCRYPTED,
    PROTECTION_NONE, PROTECTION_UNDETERMINED,
)
from fastpath.octets cimport be32
from fastpath.reception cimport take_reports
from fastpath.rtp cimport (
    CRYPTEX_ONE_BYTE, CRYPTEX_TWO_BYTE, MAX_DROPOUT, MAX_VALID_STEP, MAX_VALID_TS_STEP, RTCP_COMPOUND, RTCP_HEADER,
    RTCP_NOT, SRTCP_MAX_STEP, SRTCP_PLACES, VALID_STEPS, WINDOW, RtcpState, RtpHeader, frame_octets,
    hinted_frame_octets, is_frame_length, is_tag_length, may_be_tagged_noise, rtcp_parse, rtp_parse, sample_bits,
    srtcp_place, static_clock, tiles_until,
)
from fastpath.shedding cimport STAGE_LOOKS, STAGE_STATISTICS
from fastpath.tones cimport (
    MAX_TONE_OCTETS, MAX_TONE_PACKETS, TONE_OCTETS, TONES_SAID, follow_tones, forget_tones,
)
from fastpath.verdict cimport (
    CLEAR_BITS, CODEC_UNKNOWN, FIRST_DYNAMIC_TYPE, HINT_NONE, MIN_SCORED, TABLES_REJECTED, TAIL_UNKNOWN, UNIT, glance,
    judge_clear, judge_codec, judge_infers, judge_packet, judge_rejects, judge_restart, judge_uniform,
)
from fastpath.wire cimport Decoded, FlowKeyBits, hash_key

cdef enum:
    OTHER_TYPE_RUN = 8          # packets of a new payload type before the stream is taken to have changed to it
    WATCH_SHIFT = 4             # one of 16 packets of a settled stream is looked at …
    WATCH_MASK = (1 << WATCH_SHIFT) - 1
    SELDOM_MASK = 63            # … one of 64 where that takes the full test
    SUSPICIOUS_BITS = 8
    MAX_DOUBTS = 3              # looks in a row that speak against "clear" …
    MAX_RISES = 2               # … and against "encrypted", before the full test is back
    RISING_BITS = 2
    MAX_REPEATS = 3             # equal first octets in a row: of ciphertext in one of 2^24 packets
    CONSTANT_RUN = 8            # packets of one length before a change of it is a sign
    LOST_CLEAR = 64             # scored packets without structure before a clear stream is not called clear any more
    LONGEST_PROOF = 250         # … or as many as it took to be called so, up to this
    NULL_CIPHER_RUN = 3         # equal steps that show a tag behind payload in clear
    WATCH_EPOCH = 64            # scored packets after which a settled stream's test begins anew
    OPENERS = 2                 # RTCP packets that are no reports, with which both ends may open a path before SRTCP
    SRTCP_HEADERS = 3           # RTCP headers of one SSRC before what follows them is taken to be encrypted somehow
    HINT_SCORED = 20            # packets with a tag behind the frames of a hinted codec
    CLOCK_PACKETS = 16          # packets before the clock rate of a dynamic type is told from its timestamps
    NEAR_CLOCKS_NS = 2000000000     # what it takes to tell two rates that are close


cdef inline Stream* find_stream(Core* c, Flow* f, uint32_t ssrc, bint from_high) noexcept nogil:
    cdef uint32_t number = f.recent[from_high]
    cdef Stream* s
    if number:
        s = &c.table.streams[number]
        if s.ssrc == ssrc and ((s.flags & STREAM_FROM_HIGH) != 0) == from_high:
            return s
    number = f.streams
    while number:
        s = &c.table.streams[number]
        if s.ssrc == ssrc and ((s.flags & STREAM_FROM_HIGH) != 0) == from_high:
            f.recent[from_high] = number
            return s
        number = s.next
    return NULL


cdef inline Stream* begin_stream(Core* c, Flow* f, const Decoded* d, const RtpHeader* h) noexcept nogil:
    # Unproved streams of a flow share a few records, so that a flow of something else cannot fill the table: the one
    # with the fewest steps, then the longest silence, makes room. In a full flow so does a proved one that ended.
    cdef uint32_t number = f.streams, weakest = 0, ended = 0, unproved = 0, next
    cdef Stream* s
    cdef Stream* w
    while number:
        s = &c.table.streams[number]
        if not s.flags & STREAM_VALID:
            unproved += 1
            w = &c.table.streams[weakest]
            if weakest == 0 or s.steps < w.steps or (s.steps == w.steps and s.last_ns < w.last_ns):
                weakest = number
        elif s.last_ns + c.media_idle_ns < d.ts_ns:
            ended = number
        number = s.next
    if f.stream_count >= MAX_FLOW_STREAMS and not weakest and ended:
        weakest = ended
        c.streams_replaced += 1
    if unproved >= MAX_PROBATION or (weakest and f.stream_count >= MAX_FLOW_STREAMS):
        number = weakest
        s = &c.table.streams[number]
        next = s.next
        forget_tones(&c.tones, &s.tones)
        s[0] = c.table.streams[0]       # record 0 is all zero
        s.next = next
    elif f.stream_count >= MAX_FLOW_STREAMS:
        c.streams_refused += 1
        return NULL
    else:
        number = add_stream(&c.table)
        if number == 0:
            c.streams_refused += 1
            return NULL
        s = &c.table.streams[number]
        s.next = f.streams
        f.streams = number
        f.stream_count += 1
    f.recent[d.from_high] = number
    s.ssrc = h.ssrc
    s.seq = h.seq
    s.timestamp = h.timestamp
    s.first_timestamp = h.timestamp
    s.payload_type = h.payload_type
    s.flags = STREAM_FROM_HIGH if d.from_high else 0
    s.clock = static_clock(h.payload_type)
    s.protection = PROTECTION_NONE
    s.codec = CODEC_UNKNOWN
    s.hint = HINT_NONE
    s.basis = BASIS_TOO_FEW
    s.first_ns = d.ts_ns
    s.window = 1
    s.expected = 1
    return s


cdef inline void say_verdict(Core* c, Flow* f, Stream* s, uint8_t previous, uint32_t scored,
                             uint64_t ts_ns) noexcept nogil:
    cdef EventHead* head = begin_event(c, f, EVENT_VERDICT, sizeof(EventVerdict), ts_ns,
                                       (s.flags & STREAM_FROM_HIGH) != 0)
    cdef EventVerdict* v
    s.flags |= STREAM_SAID
    if head == NULL:
        return
    v = <EventVerdict*>(<uint8_t*>head + sizeof(EventHead))
    v.ssrc = s.ssrc
    v.packet = s.packets
    v.elapsed_ns = ts_ns - s.first_ns if ts_ns > s.first_ns else 0
    v.basis = s.basis
    v.bits = s.bits
    v.timestamp = s.timestamp
    v.seq = s.seq
    v.missing = s.expected - s.packets if s.expected > s.packets else 0
    v.since_packet = s.packets - scored + 1 if 0 < scored <= s.packets else 1
    v.tag = s.excess if s.protection == PROTECTION_ENCRYPTED and s.excess_run >= 2 and is_tag_length(s.excess) else -1
    v.payload_type = s.payload_type
    v.protection = s.protection
    v.previous = previous
    v.grade = s.grade
    v.codec = s.codec
    ring_commit(&c.ring, head)


cdef inline void note_change(Core* c, Flow* f, Stream* s, uint8_t before, uint64_t ts_ns) noexcept nogil:
    cdef Changes* changes = NULL
    if aside(c, f) != NULL:
        if f.aside.changes == NULL:
            f.aside.changes = <Changes*>calloc(1, sizeof(Changes))
        changes = f.aside.changes
    if changes == NULL or changes.count == MAX_CHANGES:
        c.changes_lost += 1
        return
    changes.list[changes.count].ts_ns = ts_ns
    changes.list[changes.count].packet = s.packets
    changes.list[changes.count].ssrc = s.ssrc
    changes.list[changes.count].before = before
    changes.list[changes.count].after = s.protection
    changes.count += 1


cdef inline void settle(Core* c, Flow* f, Stream* s, uint8_t protection, uint8_t grade, uint32_t basis,
                        uint64_t ts_ns) noexcept nogil:
    cdef uint8_t before = s.protection
    cdef uint32_t scored = s.judge.scored, known = s.basis
    cdef int32_t bits
    s.flags |= STREAM_SETTLED
    s.doubts = 0
    if protection == PROTECTION_CLEAR:
        # How far few octets went beyond the threshold depends on which digits or letters they are.
        bits = CLEAR_BITS * UNIT if 0 < s.octets < MIN_TOLD_OCTETS else s.judge.best
        s.bits = max(s.bits, bits) if before == protection else bits
        s.codec = judge_codec(&s.judge, s.codec)
    else:
        s.bits = 0
    s.grade = grade
    s.basis = basis
    s.protection = protection
    judge_restart(&s.judge, protection != PROTECTION_CLEAR)
    if before == protection:
        if protection == PROTECTION_CLEAR and basis & ~known & BASIS_TAG_PRESENT:
            say_verdict(c, f, s, before, scored, ts_ns)     # a NULL cipher: known better than before
        return
    if s.decided_packet == 0:
        s.decided_packet = s.packets
        s.decided_ns = ts_ns - s.first_ns if ts_ns > s.first_ns else 0
    if before == PROTECTION_CLEAR or before == PROTECTION_ENCRYPTED:
        s.flags |= STREAM_CHANGED
        note_change(c, f, s, before, ts_ns)
    say_verdict(c, f, s, before if s.flags & STREAM_SAID else PROTECTION_NONE, scored, ts_ns)


cdef inline RtcpState* companion(Core* c, const Flow* f) noexcept nogil:
    # RTCP on a port of its own is that of the media plus one, at both ends (RFC 3550 section 11).
    cdef FlowKeyBits key = f.key
    cdef uint32_t number
    key.ports += 0x00010001
    number = find_flow(&c.table, &key, <uint32_t>(hash_key(&key, &c.flow_secret) >> 32))
    return c.table.flows[number].rtcp if number else NULL


cdef inline bint was_noise(Stream* s) noexcept nogil:
    # White noise may have begun in clear media, but not just when its payloads grew by a tag. A step or a length that
    # is no longer that of samples proves nothing by itself: what was seen before it counts no more.
    if s.judge.next_table != TABLES_REJECTED or (s.hint == HINT_NONE and is_tag_length(s.excess)):
        return False
    if sample_bits(s.octets, s.step, s.clock):
        s.flags |= STREAM_NOISE
        return True
    if s.flags & STREAM_NOISE:
        s.flags &= ~STREAM_NOISE
        judge_restart(&s.judge, s.protection != PROTECTION_CLEAR)
    return False


cdef inline bint is_inferred(const Stream* s) noexcept nogil:
    # White noise for as long as the last look takes is hardly a call, NULL cipher or not.
    cdef bint grown = s.hint == HINT_NONE and is_tag_length(s.excess)
    return judge_infers(&s.judge, not grown and may_be_tagged_noise(s.octets, s.step, s.clock))


cdef inline void take_hint(Core* c, Stream* s, const Decoded* d) noexcept nogil:
    # What signalling says of this payload type where the packet goes to.
    cdef uint8_t hint
    if s.payload_type < FIRST_DYNAMIC_TYPE or c.tables.first_static[s.payload_type] != 0xFF:
        return
    if d.from_high:
        hint = find_hint(&c.hints, <const uint64_t*>d.key.low, d.key.ports >> 16, s.payload_type, &c.flow_secret)
    else:
        hint = find_hint(&c.hints, <const uint64_t*>d.key.high, d.key.ports & 0xFFFF, s.payload_type, &c.flow_secret)
    if hint == HINT_NONE or hint == s.hint:
        return
    s.hint = hint
    s.excess_run = 0
    if s.judge.scored and c.tables.tables_of[0][hint]:
        # Tables of a static type are asked at the start of a test only, and once in one.
        judge_restart(&s.judge, s.protection != PROTECTION_CLEAR)


cdef inline void check_hint(const Core* c, Stream* s) noexcept nogil:
    # Media in clear show whether a hint is true: what a false one says of their length is worth nothing.
    if s.hint != HINT_NONE and (
            s.judge.best_codec == 0xFF or c.tables.table[s.judge.best_codec].codec != s.hint):
        s.hint = HINT_NONE
        s.excess = 0
        s.excess_run = 0


cdef inline bint hint_infers(const Core* c, const Stream* s) noexcept nogil:
    """Is the tag behind the frames of the codec that signalling names enough to call a stream encrypted?

    Signalling may lie. So that codec must be contradicted, and with it every other that has a table; the length must
    not be that of another codec's frames or of noise; and the clock must be the codec's own. A codec without a law of
    length has no tag to show: there the bits have to be even, hint or not.
    """
    cdef uint32_t clock
    if (s.hint == HINT_NONE or s.judge.scored < HINT_SCORED or s.excess_run < HINT_SCORED
            or not is_tag_length(s.excess) or not judge_rejects(&s.judge, c.tables)):
        return False
    clock = c.hints.law[s.hint].clock
    return ((clock == 0 or s.clock == clock) and not is_frame_length(s.octets, s.step)
            and not may_be_tagged_noise(s.octets, s.step, s.clock))


cdef inline bint is_too_soon(const Stream* s) noexcept nogil:
    # Structure that took long to be seen is as long not seen again: nothing is inferred before that. How long it took
    # is known of the first verdict only.
    cdef uint32_t proof = LONGEST_PROOF
    if not s.flags & STREAM_CHANGED:
        proof = min(proof, s.decided_packet)
    return s.protection == PROTECTION_CLEAR and s.judge.scored < proof


cdef inline void decide(Core* c, Flow* f, Stream* s, uint64_t ts_ns) noexcept nogil:
    # The order is the strength of the evidence. A stream that is not proved to be RTP gets no verdict.
    cdef bint tagged = is_tag_length(s.excess)
    cdef bint covered = c.tables.first_static[s.payload_type] != 0xFF
    cdef bint unsure
    cdef RtcpState* rtcp
    if judge_clear(&s.judge):
        check_hint(c, s)
        settle(c, f, s, PROTECTION_CLEAR, GRADE_NONE,
               BASIS_PAYLOAD_STRUCTURE | (BASIS_TAG_PRESENT if tagged and s.excess_run >= NULL_CIPHER_RUN else 0),
               ts_ns)
    elif covered and tagged and s.excess_run >= 2 and judge_rejects(&s.judge, c.tables):
        settle(c, f, s, PROTECTION_ENCRYPTED, GRADE_PROVED, BASIS_TAG_LENGTH | BASIS_NO_CODEC_FITS, ts_ns)
    elif judge_uniform(&s.judge):
        rtcp = f.rtcp if f.rtcp != NULL else companion(c, f)
        unsure = was_noise(s) or is_too_soon(s)
        if f.flags & FLOW_DTLS_DONE:
            settle(c, f, s, PROTECTION_ENCRYPTED, GRADE_PROVED, BASIS_DTLS, ts_ns)
        elif f.flags & FLOW_ZRTP_DONE:
            settle(c, f, s, PROTECTION_ENCRYPTED, GRADE_PROVED, BASIS_ZRTP, ts_ns)
        elif rtcp != NULL and rtcp.protection == PROTECTION_ENCRYPTED:
            settle(c, f, s, PROTECTION_ENCRYPTED, GRADE_PROVED, BASIS_SRTCP_INDEX, ts_ns)
        elif s.flags & STREAM_CRYPTEX:
            settle(c, f, s, PROTECTION_ENCRYPTED, GRADE_PROVED, BASIS_CRYPTEX, ts_ns)
        elif not unsure and hint_infers(c, s):
            settle(c, f, s, PROTECTION_ENCRYPTED, GRADE_INFERRED, BASIS_TAG_LENGTH | BASIS_NO_CODEC_FITS, ts_ns)
        elif judge_rejects(&s.judge, c.tables) if covered else not unsure and is_inferred(s):
            settle(c, f, s, PROTECTION_ENCRYPTED, GRADE_INFERRED, BASIS_NO_CODEC_FITS, ts_ns)
        elif s.protection == PROTECTION_UNDETERMINED:
            s.basis = BASIS_LOOKS_UNIFORM
        elif s.protection == PROTECTION_CLEAR and s.judge.scored >= LOST_CLEAR and not is_too_soon(s):
            settle(c, f, s, PROTECTION_UNDETERMINED, GRADE_NONE, BASIS_LOOKS_UNIFORM, ts_ns)
            s.flags &= ~STREAM_SETTLED
    elif s.judge.scored >= MIN_SCORED and s.protection == PROTECTION_UNDETERMINED:
        s.basis = BASIS_INCONCLUSIVE
    if s.protection == PROTECTION_NONE:
        s.protection = PROTECTION_UNDETERMINED
        say_verdict(c, f, s, PROTECTION_NONE, s.judge.scored, ts_ns)


cdef inline int known_tail(const Stream* s) noexcept nogil:
    # Where only a hint says which codec it is, nothing shows that no MKI is there.
    if s.hint == HINT_NONE and frame_octets(s.payload_type, s.step) < 0:
        return TAIL_UNKNOWN
    if s.excess_run >= 3 and s.excess == 0:
        return 0 if s.hint == HINT_NONE else TAIL_UNKNOWN
    if s.excess_run >= 2 and is_tag_length(s.excess):
        return s.excess
    return TAIL_UNKNOWN


cdef inline void doubt(Stream* s) noexcept nogil:
    # Back to the full test: the verdict stands until that has another.
    s.doubts = 0
    s.flags &= ~STREAM_SETTLED
    judge_restart(&s.judge, s.protection != PROTECTION_CLEAR)


cdef inline void watch(Core* c, Flow* f, Stream* s, const Decoded* d, const RtpHeader* h, const uint8_t* payload,
                       uint32_t captured, uint32_t length, bint new_frame) noexcept nogil:
    """Look at a packet of a settled stream: does it speak against the verdict?

    With a codec's table one glance costs little and decides nothing: it only brings the full test back. Where no table
    is to be had the test itself goes on.
    """
    cdef uint8_t first = c.tables.first_static[s.payload_type]
    cdef int16_t before = s.judge.best
    cdef int table, score
    cdef bint against
    if s.protection == PROTECTION_CLEAR and s.codec != CODEC_UNKNOWN:
        say_evidence(c, f, s, d, h, FATE_GLANCE)
        score = glance(&c.tables.table[s.codec], payload, captured, length, new_frame, known_tail(s))
        against = score < 0
    elif s.protection == PROTECTION_ENCRYPTED and first != 0xFF:
        # By turns with each table of the codec: random octets fit one this well in one of 256 packets.
        say_evidence(c, f, s, d, h, FATE_GLANCE)
        table = first + (s.packets >> WATCH_SHIFT) % c.tables.static_tables[s.payload_type]
        score = glance(&c.tables.table[table], payload, captured, length, new_frame, known_tail(s))
        if score >= SUSPICIOUS_BITS * UNIT:
            doubt(s)
        return
    elif s.protection == PROTECTION_ENCRYPTED and s.packets & SELDOM_MASK:
        say_evidence(c, f, s, d, h, FATE_SETTLED)
        return
    else:
        score = judge_packet(&s.judge, c.tables, payload, captured, length, s.payload_type, new_frame, known_tail(s),
                             s.hint)
        say_evidence(c, f, s, d, h, FATE_WATCHED)
        if s.protection == PROTECTION_CLEAR:
            against = s.judge.best <= before
            if judge_clear(&s.judge):
                judge_restart(&s.judge, False)
        else:
            if judge_clear(&s.judge):
                decide(c, f, s, d.ts_ns)
                return
            against = score >= RISING_BITS * UNIT or s.judge.best >= before + UNIT
            if s.judge.scored >= WATCH_EPOCH:
                judge_restart(&s.judge, True)
    s.doubts = s.doubts + 1 if against else 0
    if s.doubts >= (MAX_DOUBTS if s.protection == PROTECTION_CLEAR else MAX_RISES):
        doubt(s)


cdef inline void follow_constant(Stream* s, uint32_t length) noexcept nogil:
    # No law is known, but a constant length that grows or shrinks by a tag's is a stream that changes its protection.
    cdef int32_t grown = <int32_t>length - s.octets
    if grown == 0:
        if s.excess_run < 255:
            s.excess_run += 1
        return
    s.excess = 0
    if s.flags & STREAM_SETTLED and s.excess_run >= CONSTANT_RUN and (is_tag_length(grown) or is_tag_length(-grown)):
        if s.protection == PROTECTION_CLEAR and grown > 0:
            s.excess = <int16_t>grown
        doubt(s)
    s.octets = <uint16_t>length
    s.excess_run = 1


cdef inline void follow_length(const Core* c, Stream* s, const RtpHeader* h, uint32_t length) noexcept nogil:
    # What the payload has beyond its codec's frames. The step before this packet tells how much sound a packet holds.
    cdef int32_t law = frame_octets(h.payload_type, s.step), excess
    if length == 0 or h.padded:
        s.excess_run = 0
        return
    if law < 0 and s.hint != HINT_NONE:
        law = hinted_frame_octets(&c.hints.law[s.hint], s.step)
        if law >= 0:
            s.octets = length
    if law < 0:
        follow_constant(s, length)
        return
    excess = <int32_t>length - law
    if excess < -1000 or excess > 1000:
        s.excess_run = 0
        return
    if excess == s.excess and s.excess_run:
        if s.excess_run < 255:
            s.excess_run += 1
        if (s.flags & STREAM_SETTLED and s.excess_run >= NULL_CIPHER_RUN and s.protection == PROTECTION_CLEAR
                and is_tag_length(excess)):
            s.basis |= BASIS_TAG_PRESENT
    else:
        # What was shown to be clear had no tag: one that comes may be that of SRTP, however soon it does.
        if s.flags & STREAM_SETTLED and (
                s.excess_run >= 3 or (s.protection == PROTECTION_CLEAR and is_tag_length(excess))):
            doubt(s)
        s.excess = <int16_t>excess
        s.excess_run = 1


cdef inline void follow_first_octet(Stream* s, uint8_t octet) noexcept nogil:
    # Most codecs without a law of length begin their frames alike: the soonest sign that ciphertext has ended.
    s.repeats = s.repeats + 1 if octet == s.first_octet else 0
    s.first_octet = octet
    if s.repeats >= MAX_REPEATS:
        s.repeats = 0
        doubt(s)


cdef inline void follow_jitter(Stream* s, uint32_t timestamp, uint64_t ts_ns, bint follows) noexcept nogil:
    # RFC 3550 A.8, with the arrival time in timestamp units since the stream began.
    # After a restart the new base gives a transit time, but no difference.
    cdef int32_t transit
    cdef float difference
    cdef uint64_t elapsed_us = (ts_ns - s.first_ns) // 1000
    if ts_ns < s.first_ns:
        return
    transit = <int32_t>(<uint32_t>(elapsed_us * s.clock // 1000000) - (timestamp - s.first_timestamp))
    difference = <float>transit - <float>s.transit
    s.transit = transit
    if follows:
        s.jitter += ((difference if difference >= 0 else -difference) - s.jitter) * <float>0.0625


cdef inline uint32_t nearest_clock(uint64_t units, uint64_t ns) noexcept nogil:
    # The clock rates of RFC 3551 and of the codecs registered since; 0 when none is within an eighth.
    cdef uint64_t rate
    if ns == 0:
        return 0
    rate = units * 1000000 // (ns // 1000 + 1)
    if 7000 <= rate <= 9000:
        return 8000
    if 14000 <= rate <= 18000:
        return 16000
    if 28000 <= rate <= 36000:
        return 32000
    if 42000 <= rate < 46000:
        return 44100 if ns > NEAR_CLOCKS_NS else 0      # or jitter could make it of 48000
    if 46000 <= rate <= 54000:
        return 48000
    if 79000 <= rate <= 101000:
        return 90000
    return 0


cdef inline void say_tones(Core* c, const Flow* f, const Stream* s, const Decoded* d) noexcept nogil:
    cdef EventHead* head = begin_event(c, f, EVENT_TONES, sizeof(EventTones), d.ts_ns, d.from_high)
    cdef EventTones* e
    if head == NULL:
        return
    e = <EventTones*>(<uint8_t*>head + sizeof(EventHead))
    e.ssrc = s.ssrc
    e.payload_type = c.tones.entries[s.tones].payload_type
    e.packets = c.tones.entries[s.tones].packets + 1
    ring_commit(&c.ring, head)


cdef inline void watch_tones(Core* c, const Flow* f, Stream* s, const Decoded* d, const RtpHeader* h) noexcept nogil:
    # Said once for each stream, be that for few keys or many.
    if (s.tones == TONES_SAID or h.padded or d.payload_len < h.octets + TONE_OCTETS
            or s.packets > MAX_TONE_PACKETS):
        return
    if follow_tones(&c.tones, &s.tones, h, d.payload + h.octets) and s.flags & STREAM_VALID:
        say_tones(c, f, s, d)
        forget_tones(&c.tones, &s.tones)
        s.tones = TONES_SAID


cdef inline void score(Core* c, Flow* f, Stream* s, const Decoded* d, const RtpHeader* h,
                       bint new_frame) noexcept nogil:
    cdef const uint8_t* payload
    cdef uint32_t captured, length = d.payload_wire - h.octets, tagged
    if length <= MAX_TONE_OCTETS and h.payload_type >= FIRST_DYNAMIC_TYPE:
        watch_tones(c, f, s, d, h)
    if h.payload_type != s.payload_type:
        # Events and comfort noise come between the codec's packets under types of their own.
        s.other_run += 1
        if s.other_run < OTHER_TYPE_RUN:
            say_evidence(c, f, s, d, h, FATE_OTHER_TYPE)
            return
        s.payload_type = h.payload_type
        s.clock = static_clock(h.payload_type)
        s.flags &= ~STREAM_SETTLED
        s.excess = 0                # a tag that one type's law showed says nothing of another
        s.excess_run = 0
        judge_restart(&s.judge, s.protection != PROTECTION_CLEAR)
        s.hint = HINT_NONE
        take_hint(c, s, d)
    s.other_run = 0
    if s.flags & STREAM_VALID or s.steps:
        tagged = s.basis & BASIS_TAG_PRESENT
        follow_length(c, s, h, length)
        if s.basis & BASIS_TAG_PRESENT and not tagged and s.protection == PROTECTION_CLEAR:
            say_verdict(c, f, s, PROTECTION_CLEAR, 0, d.ts_ns)
    captured = d.payload_len - h.octets if d.payload_len > h.octets else 0
    payload = d.payload + h.octets
    if s.flags & STREAM_SETTLED:
        if s.protection == PROTECTION_ENCRYPTED and captured and new_frame:
            follow_first_octet(s, payload[0])
        if s.packets & WATCH_MASK or c.shedding.stage >= STAGE_LOOKS:
            c.shedding.looks += not s.packets & WATCH_MASK
            say_evidence(c, f, s, d, h, FATE_SETTLED)
        else:
            watch(c, f, s, d, h, payload, captured, length, new_frame)
        return
    if s.packets & (s.packets - 1) == 0 and s.protection != PROTECTION_CLEAR:
        take_hint(c, s, d)      # the description may come after the media (RFC 3264 section 5.1)
    judge_packet(&s.judge, c.tables, payload, captured, length, s.payload_type, new_frame, known_tail(s), s.hint)
    say_evidence(c, f, s, d, h, FATE_SCORED if captured else FATE_EMPTY)
    if s.flags & STREAM_VALID:
        decide(c, f, s, d.ts_ns)


cdef inline void rtp_packet(Core* c, Flow* f, const Decoded* d, const RtpHeader* h) noexcept nogil:
    cdef Stream* s = find_stream(c, f, h.ssrc, d.from_high)
    cdef int16_t ahead
    cdef int32_t moved
    cdef bint new_frame = True, follows = True
    if s == NULL:
        s = begin_stream(c, f, d, h)
        if s == NULL:
            return
    else:
        ahead = <int16_t>(h.seq - s.seq)
        if ahead <= 0:
            if ahead > -WINDOW:
                if s.window >> <uint16_t>(-ahead) & 1:
                    s.duplicates += 1
                    c.duplicates += 1
                    f.packets[d.from_high] -= 1
                    f.octets -= d.wirelen
                    say_evidence(c, f, s, d, h, FATE_DUPLICATE)
                    return
                s.window |= <uint64_t>1 << <uint16_t>(-ahead)
                s.reordered += s.reordered < 0xFFFF
                s.packets += 1
                s.last_ns = d.ts_ns
                say_evidence(c, f, s, d, h, FATE_BEHIND)
                return
            if not (s.flags & STREAM_RESYNC and h.seq == s.resync):
                s.flags |= STREAM_RESYNC
                s.resync = h.seq + 1
                say_evidence(c, f, s, d, h, FATE_STRAY)
                return
        follow_gaps(c, s.last_ns, d.ts_ns)
        moved = <int32_t>(h.timestamp - s.timestamp)
        new_frame = moved != 0
        if ahead <= 0 or ahead > MAX_DROPOUT:
            # Sequence numbers began anew, or so much was lost that counting it would say nothing.
            if ahead > 0 and not (s.flags & STREAM_RESYNC and h.seq == s.resync):
                s.flags |= STREAM_RESYNC
                s.resync = h.seq + 1
                say_evidence(c, f, s, d, h, FATE_STRAY)
                return
            s.flags &= ~STREAM_RESYNC
            s.window = 1
            s.expected += 1
            s.excess_run = 0
            follows = False
            # What comes now may have been here before, and octets that were judged must not be judged again.
            judge_restart(&s.judge, s.protection != PROTECTION_CLEAR)
            if not s.flags & STREAM_VALID:
                s.steps = 0
        else:
            s.expected += <uint16_t>ahead
            if ahead > 1 and s.flags & STREAM_VALID:
                note_gap(c, s.ssrc, <uint16_t>ahead - 1)
            s.window = s.window << ahead | 1 if ahead < WINDOW else 1
            if ahead == 1 and 0 < moved <= 0xFFFF:
                s.step = <uint16_t>moved
            if not s.flags & STREAM_VALID:
                if ahead <= MAX_VALID_STEP and -MAX_VALID_TS_STEP < moved < MAX_VALID_TS_STEP:
                    s.steps += 1
                    if s.steps >= VALID_STEPS and (h.payload_type == s.payload_type or s.other_run < VALID_STEPS):
                        s.flags |= STREAM_VALID
                        c.streams_begun += 1
                        set_app(c, f, APP_RTP, d.ts_ns)
                else:
                    s.steps = 0
        s.seq = h.seq
        s.timestamp = h.timestamp
    if h.profile == CRYPTEX_ONE_BYTE or h.profile == CRYPTEX_TWO_BYTE:
        s.flags |= STREAM_CRYPTEX
    s.packets += 1
    if f.packets[d.from_high] == DIRECTION_LOOK and s.flags & STREAM_VALID:
        look_both_ways(c, f, d.from_high)
    s.last_ns = d.ts_ns
    s.dscp = d.tos >> 2
    s.payload_types[h.payload_type >> 6] |= <uint64_t>1 << (h.payload_type & 63)
    if c.shedding.stage >= STAGE_STATISTICS:
        c.shedding.statistics += 1
    elif s.clock:
        follow_jitter(s, h.timestamp, d.ts_ns, follows)
    elif s.packets >= CLOCK_PACKETS and h.payload_type == s.payload_type and d.ts_ns > s.first_ns:
        s.clock = nearest_clock(h.timestamp - s.first_timestamp, d.ts_ns - s.first_ns)
        s.transit = <int32_t>(<uint32_t>((d.ts_ns - s.first_ns) // 1000 * s.clock // 1000000)
                              - (h.timestamp - s.first_timestamp))
    score(c, f, s, d, h, new_frame)


cdef inline void say_control(Core* c, const Flow* f, const Decoded* d) noexcept nogil:
    cdef EventHead* head = begin_event(c, f, EVENT_CONTROL, sizeof(EventControl), d.ts_ns, d.from_high)
    cdef EventControl* e
    if head == NULL:
        return
    e = <EventControl*>(<uint8_t*>head + sizeof(EventHead))
    e.basis = f.rtcp.basis
    e.protection = f.rtcp.protection
    ring_commit(&c.ring, head)


cdef inline void rtcp_packet(Core* c, Flow* f, const Decoded* d, int form) noexcept nogil:
    cdef RtcpState* r = f.rtcp
    cdef const uint8_t* p = d.payload
    cdef uint32_t n = d.payload_wire, at, word, step, ssrc
    cdef uint8_t before
    cdef int i
    cdef bint known, clear = False, proved = False
    if r == NULL:
        r = <RtcpState*>calloc(1, sizeof(RtcpState))
        if r == NULL:
            c.asides_refused += 1
            return
        r.protection = PROTECTION_NONE
        f.rtcp = r
    r.packets += 1
    before = r.protection
    if form > RTCP_HEADER:
        # A packet that is no report proves little by itself: some senders open a path with one before SRTCP begins.
        r.plain += 1
        r.reports += form == RTCP_COMPOUND
        clear = r.reports > 0 or (r.plain > OPENERS and r.protection != PROTECTION_ENCRYPTED)
        if clear:
            r.basis |= BASIS_COMPOUND
        take_reports(c, f, d)
    elif d.payload_len == n:
        ssrc = be32(p + 4)
        known = r.headers[d.from_high] and r.ssrc[d.from_high] == ssrc
        for i in range(SRTCP_PLACES):
            at = srtcp_place[i]
            word = be32(p + n - at) if n >= 8 + at else 0
            step = word - r.word[d.from_high][i]
            if known and word and r.word[d.from_high][i] and 1 <= step <= SRTCP_MAX_STEP:
                if word >> 31:
                    proved = True
                elif tiles_until(p, n - at) or (at <= 12 and n > at + 16 and tiles_until(p, n - at - 16)):
                    # E unset: authenticated, and readable by all (RFC 3711 section 3.4)
                    clear = True
                    r.basis |= BASIS_TAG_PRESENT | BASIS_COMPOUND
            r.word[d.from_high][i] = word
        r.headers[d.from_high] = min(r.headers[d.from_high] + 1, 255) if known else 1
        r.ssrc[d.from_high] = ssrc
    if clear:
        r.protection = PROTECTION_CLEAR
        r.basis &= BASIS_TAG_PRESENT | BASIS_COMPOUND   # what spoke for another protection before does not for this one
    elif proved:
        if r.reports == 0:
            r.protection = PROTECTION_ENCRYPTED
            r.basis = BASIS_SRTCP_INDEX
    elif r.protection == PROTECTION_NONE and (f.app == APP_RTP or r.headers[d.from_high] >= SRTCP_HEADERS):
        r.protection = PROTECTION_UNDETERMINED
        r.basis |= BASIS_INCONCLUSIVE
    if r.protection != PROTECTION_NONE:
        set_app(c, f, APP_RTCP, d.ts_ns)
    if r.protection != before:
        say_control(c, f, d)


cdef inline bint media_packet(Core* c, Flow* f, const Decoded* d) noexcept nogil:
    """Take a datagram whose first octet is in 128 to 191 (RFC 7983). Return whether its header was RTP's or RTCP's."""
    cdef RtpHeader h
    cdef int form
    if d.payload_len >= 8 and 200 <= d.payload[1] <= 207:
        form = rtcp_parse(d.payload, d.payload_len, d.payload_wire)
        if form == RTCP_NOT:
            return False
        rtcp_packet(c, f, d, form)
        return True
    if not rtp_parse(d.payload, d.payload_len, d.payload_wire, &h):
        return False
    rtp_packet(c, f, d, &h)
    return True
