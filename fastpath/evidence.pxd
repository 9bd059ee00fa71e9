"""What each packet did to the evidence, said of the one flow that an engine was told to trace."""

from libc.stdint cimport uint8_t

from fastpath.core cimport Core, begin_event
from fastpath.events cimport EVENT_EVIDENCE, EventEvidence, EventHead, ring_commit
from fastpath.flow cimport Flow, Stream
from fastpath.names cimport PROTECTION_UNDETERMINED
from fastpath.rtp cimport RtpHeader, frame_octets, hinted_frame_octets
from fastpath.verdict cimport CODEC_UNKNOWN, HINT_NONE, TABLE_VETO, Candidate, Judge, TableSet, judge_rejects
from fastpath.wire cimport Decoded

cdef enum:
    # Where few octets are behind a step of the evidence, it could be turned back into a digit or a letter.
    MIN_TOLD_OCTETS = 20


cdef inline void fill_fit(EventEvidence* e, const Judge* j, const TableSet* tables) noexcept nogil:
    # Of the codecs that must contradict the payload before it is called encrypted, the one that does so least.
    cdef const Candidate* candidate
    cdef int i
    e.rejected = judge_rejects(j, tables)
    e.hardest = CODEC_UNKNOWN
    for i in range(j.candidates):
        candidate = &j.room.candidate[i]
        if candidate.again:
            continue
        if tables.table[candidate.table].flags & TABLE_VETO and (e.hardest == CODEC_UNKNOWN or candidate.r > e.fit):
            e.hardest = candidate.table
            e.fit = candidate.r


cdef inline bint has_law(const Core* c, const Stream* s) noexcept nogil:
    return frame_octets(s.payload_type, s.step) >= 0 or (
        s.hint != HINT_NONE and hinted_frame_octets(&c.hints.law[s.hint], s.step) >= 0)


cdef inline void write_evidence(Core* c, const Flow* f, const Stream* s, const Decoded* d, const RtpHeader* h,
                                uint8_t fate) noexcept nogil:
    cdef EventHead* head = begin_event(c, f, EVENT_EVIDENCE, sizeof(EventEvidence), d.ts_ns, d.from_high)
    cdef EventEvidence* e
    if head == NULL:
        return
    e = <EventEvidence*>(<uint8_t*>head + sizeof(EventHead))
    e.ssrc = s.ssrc
    e.packet = s.packets
    e.elapsed_ns = d.ts_ns - s.first_ns if d.ts_ns > s.first_ns else 0
    e.seq = h.seq
    e.payload_type = h.payload_type
    e.octets = d.payload_wire - h.octets
    e.fate = fate
    e.has_law = h.payload_type == s.payload_type and s.excess_run > 0 and has_law(c, s)
    e.excess = s.excess
    e.protection = s.protection if s.protection else PROTECTION_UNDETERMINED
    e.grade = s.grade
    e.basis = s.basis
    e.told = e.octets >= MIN_TOLD_OCTETS
    e.scored = s.judge.scored
    e.best = s.judge.best
    e.leads = s.judge.best_codec
    if e.leads == 0xFF:
        e.leads = CODEC_UNKNOWN
    fill_fit(e, &s.judge, c.tables)
    ring_commit(&c.ring, head)


cdef inline void say_evidence(Core* c, const Flow* f, const Stream* s, const Decoded* d, const RtpHeader* h,
                              uint8_t fate) noexcept nogil:
    """Say of a packet what became of it and where it left the evidence, if its flow is traced.

    Called before a verdict is drawn from it, for that begins the test anew.
    """
    if f.id == c.traced:
        write_evidence(c, f, s, d, h, fate)
