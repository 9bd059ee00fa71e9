"""The end of a flow: what became of its streams, said in one record."""

from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.stdlib cimport free

from fastpath.core cimport Core, begin_event
from fastpath.dialogs cimport dialogs_set_back
from fastpath.events cimport (
    EVENT_FLOW, MAX_EVENT_STREAMS, EventChange, EventFlow, EventHead, EventHello, EventStream, ring_commit, ring_used,
)
from fastpath.exposure cimport say_rest
from fastpath.flow cimport (
    FLOW_A_IS_HIGH, FLOW_CLOSED, FLOW_DEAD, FLOW_DTLS_SEEN, FLOW_TLS_NULL, FLOW_ZRTP_DONE, STREAM_FROM_HIGH,
    STREAM_VALID, WHEEL_SLOTS, Flow, Reception, Stream, flows_set_back, put_on_wheel, remove_flow, remove_stream,
    reuse_flow,
)
from fastpath.media cimport companion
from fastpath.names cimport (
    APP_3CX_TUNNEL, APP_DTLS, APP_IAX2, APP_LDAP, APP_MSRP, APP_OTHER, APP_RTCP, APP_RTP, APP_SCCP, APP_SIP, APP_T38,
    APP_TFTP, APP_TLS, APP_WS, APP_ZRTP, BASIS_HANDSHAKE, BASIS_INCONCLUSIVE, BASIS_NULL_CIPHER,
    BASIS_PAYLOAD_STRUCTURE, BASIS_START_LINE, BASIS_TOO_FEW, GRADE_NONE, GRADE_PROVED, KEYS_DTLS, KEYS_NONE, KEYS_ZRTP,
    PROTECTION_CLEAR, PROTECTION_ENCRYPTED, PROTECTION_NONE, PROTECTION_NOT_APPLICABLE, PROTECTION_NOT_OBSERVED,
    PROTECTION_UNDETERMINED,
)
from fastpath.rtp cimport RtcpState
from fastpath.keying cimport fill_hello
from fastpath.segments cimport close_tls, read_rest
from fastpath.tcp cimport SIDE_SIP, end_conversation
from fastpath.tls cimport SEEN_SERVER_HELLO
from fastpath.tones cimport forget_tones

cdef enum:
    SECOND_NS = 1000000000
    CLOSED_IDLE_S = 5               # a closed TCP flow waits so long for stragglers
    TIME_JUMP_S = 3600
    LATE_NS = 2000000000        # more than packets come late by
    MANY_BEHIND = 32            # packets in a row that are later than that: the clock was set back
    RTCP_IDLE_S = 15                # reports come seconds apart; those of a stream's last ones outlive it


cdef inline uint64_t idle_time(const Core* c, const Flow* f) noexcept nogil:
    if f.app == APP_RTP:
        return c.media_idle_ns
    if f.app == APP_RTCP:
        return c.media_idle_ns + <uint64_t>RTCP_IDLE_S * SECOND_NS
    if f.flags & FLOW_CLOSED:
        return <uint64_t>CLOSED_IDLE_S * SECOND_NS
    # A flow of nothing that is followed goes first, so that a flood of them makes no call wait for room.
    return min(c.media_idle_ns, c.flow_idle_ns) if f.app == APP_OTHER else c.flow_idle_ns


cdef inline void fill_stream(EventStream* e, const Stream* s, const Reception* r, bint a_is_high) noexcept nogil:
    e.ssrc = s.ssrc
    e.first_ns = s.first_ns
    e.last_ns = s.last_ns
    e.decided_ns = s.decided_ns
    e.decided_packet = s.decided_packet
    e.payload_types[0] = s.payload_types[0]
    e.payload_types[1] = s.payload_types[1]
    e.packets = s.packets
    e.lost = s.expected - s.packets if s.expected > s.packets else 0
    e.duplicates = s.duplicates
    e.reordered = s.reordered
    e.basis = s.basis
    e.bits = s.bits
    e.jitter_s = s.jitter / s.clock if s.clock else -1
    e.reported_lost = -1
    if r.since_ns == s.first_ns and r.reports:
        e.delay_us = r.delay_us
        e.reported_lost = max(r.lost, 0)
        e.unreported = r.unreported
    e.codec = s.codec
    e.protection = s.protection if s.protection else PROTECTION_UNDETERMINED
    e.grade = s.grade
    e.dscp = s.dscp
    e.from_a = ((s.flags & STREAM_FROM_HIGH) != 0) == a_is_high


cdef inline bint is_worse(const Stream* s, const EventFlow* e) noexcept nogil:
    # Clear before undetermined before encrypted; among equals the stronger evidence is the one to show.
    if e.protection == PROTECTION_NONE:
        return True
    if s.protection == e.protection:
        return s.bits > e.bits
    return s.protection == PROTECTION_CLEAR or (
        s.protection == PROTECTION_UNDETERMINED and e.protection == PROTECTION_ENCRYPTED)


cdef inline void judge_flow(EventFlow* e, Core* c, Flow* f) noexcept nogil:
    # The state of the last second of media, the worse of the two directions. A stream that just began says nothing
    # yet where another of its direction has a verdict.
    cdef uint32_t number = f.streams
    cdef uint64_t latest = 0
    cdef Stream* s
    cdef bint[2] decided
    decided[0] = False
    decided[1] = False
    while number:
        s = &c.table.streams[number]
        number = s.next
        if not s.flags & STREAM_VALID:
            continue
        latest = max(latest, s.last_ns)
        if s.decided_packet:
            decided[(s.flags & STREAM_FROM_HIGH) != 0] = True
            if e.decided_packet == 0 or s.first_ns + s.decided_ns < e.first_ns + e.decided_ns:
                e.decided_packet = s.decided_packet
                e.decided_ns = s.decided_ns
    number = f.streams
    while number:
        s = &c.table.streams[number]
        number = s.next
        if not s.flags & STREAM_VALID or s.last_ns + SECOND_NS < latest:
            continue
        if s.basis == BASIS_TOO_FEW and decided[(s.flags & STREAM_FROM_HIGH) != 0]:
            continue
        if is_worse(s, e):
            e.protection = s.protection
            e.grade = s.grade
            e.basis = s.basis
            e.bits = s.bits
    if e.protection == PROTECTION_NONE:
        e.protection = PROTECTION_UNDETERMINED
        e.basis = BASIS_TOO_FEW


cdef inline void judge_other(EventFlow* e, Flow* f) noexcept nogil:
    e.protection = PROTECTION_NOT_APPLICABLE
    if f.app == APP_SIP or f.app == APP_WS:
        e.protection = PROTECTION_CLEAR
        e.basis = BASIS_START_LINE
    elif f.app == APP_TLS or f.app == APP_DTLS:
        e.protection = PROTECTION_ENCRYPTED
        e.basis = BASIS_HANDSHAKE
        e.grade = GRADE_PROVED
        if f.flags & FLOW_TLS_NULL:
            e.protection = PROTECTION_CLEAR
            e.basis = BASIS_NULL_CIPHER
            e.grade = GRADE_NONE
    elif f.app == APP_3CX_TUNNEL or (f.app == APP_IAX2 and f.aside != NULL and f.aside.sealed):
        e.protection = PROTECTION_UNDETERMINED
        e.basis = BASIS_INCONCLUSIVE
    elif f.app == APP_T38 or APP_TFTP <= f.app <= APP_LDAP or APP_SCCP <= f.app <= APP_MSRP:
        e.protection = PROTECTION_CLEAR
        e.basis = BASIS_PAYLOAD_STRUCTURE
    elif f.app == APP_ZRTP:
        e.protection = PROTECTION_UNDETERMINED
        e.basis = BASIS_TOO_FEW
    elif f.app == APP_RTCP and f.rtcp != NULL:
        e.protection = f.rtcp.protection
        e.basis = f.rtcp.basis
        e.grade = GRADE_PROVED if f.rtcp.protection == PROTECTION_ENCRYPTED else GRADE_NONE


cdef inline void say_flow(Core* c, Flow* f, uint64_t ts_ns) noexcept nogil:
    cdef uint32_t number = f.streams, streams = 0, changes = 0, i
    cdef uint8_t* at
    cdef EventHead* head
    cdef EventFlow* e
    cdef EventStream* es
    cdef EventChange* ec
    cdef RtcpState* rtcp
    cdef bint hello = f.talk != NULL and f.talk.hello.seen & SEEN_SERVER_HELLO
    while number:
        if c.table.streams[number].flags & STREAM_VALID:
            streams += 1
        number = c.table.streams[number].next
    streams = min(streams, <uint32_t>MAX_EVENT_STREAMS)
    if f.aside != NULL and f.aside.changes != NULL:
        changes = f.aside.changes.count
    head = begin_event(c, f, EVENT_FLOW, <uint32_t>(sizeof(EventFlow) + streams * sizeof(EventStream)
                                                    + changes * sizeof(EventChange) + hello * sizeof(EventHello)),
                       ts_ns, False)
    if head == NULL:
        return
    e = <EventFlow*>(<uint8_t*>head + sizeof(EventHead))
    e.app = f.app
    e.packets = <uint64_t>f.packets[0] + f.packets[1]
    e.octets = f.octets
    e.first_ns = f.first_ns
    e.last_ns = f.last_ns
    e.streams = streams
    e.changes = changes
    e.tunnels = f.aside.tunnels if f.aside != NULL else 0
    e.hello = hello
    e.key_exchange = KEYS_NONE
    if f.flags & FLOW_DTLS_SEEN:
        e.key_exchange = KEYS_DTLS
    elif f.flags & FLOW_ZRTP_DONE:
        e.key_exchange = KEYS_ZRTP
    e.rtcp_protection = PROTECTION_NOT_OBSERVED
    if f.app == APP_RTP:
        judge_flow(e, c, f)
        e.rtcp_mux = f.rtcp != NULL
        rtcp = f.rtcp if f.rtcp != NULL else companion(c, f)
        if rtcp != NULL:
            e.rtcp_basis = rtcp.basis
            e.rtcp_protection = rtcp.protection if rtcp.protection else PROTECTION_UNDETERMINED
    else:
        judge_other(e, f)
    at = <uint8_t*>e + sizeof(EventFlow)
    number = f.streams
    while number and streams:
        if c.table.streams[number].flags & STREAM_VALID:
            es = <EventStream*>at
            fill_stream(es, &c.table.streams[number], &c.table.receptions[number], f.flags & FLOW_A_IS_HIGH)
            at += sizeof(EventStream)
            streams -= 1
        number = c.table.streams[number].next
    for i in range(changes):
        ec = <EventChange*>at
        ec.ts_ns = f.aside.changes.list[i].ts_ns
        ec.packet = f.aside.changes.list[i].packet
        ec.ssrc = f.aside.changes.list[i].ssrc
        ec.before = f.aside.changes.list[i].before
        ec.after = f.aside.changes.list[i].after
        at += sizeof(EventChange)
    if hello:
        fill_hello(<EventHello*>at, f.talk, f.flags & FLOW_DTLS_SEEN)
    ring_commit(&c.ring, head)


cdef inline void end_flow(Core* c, uint32_t number, uint64_t ts_ns) noexcept nogil:
    cdef Flow* f = &c.table.flows[number]
    cdef uint32_t stream, next
    cdef int i
    if f.talk != NULL:
        for i in range(2):
            if f.talk.side[i].reads == SIDE_SIP:
                read_rest(c, f, i)
        close_tls(c, f, False, True, f.last_ns)
    say_rest(c, f, f.last_ns)
    say_flow(c, f, ts_ns)
    stream = f.streams
    while stream:
        next = c.table.streams[stream].next
        forget_tones(&c.tones, &c.table.streams[stream].tones)
        remove_stream(&c.table, stream)
        stream = next
    free(f.rtcp)
    if f.aside != NULL:
        free(f.aside.changes)
    free(f.aside)
    if f.talk != NULL:
        end_conversation(f.talk, &c.memory)
    f.rtcp = NULL
    f.aside = NULL
    f.talk = NULL
    remove_flow(&c.table, number)


cdef inline bint serve_wheel(Core* c) noexcept nogil:
    """End the flows that were idle for long enough. Return False when the event ring had no room to go on."""
    cdef uint64_t now_s = c.now_ns // SECOND_NS, deadline
    cdef uint32_t number, next, slot
    if now_s > c.table.wheel_s + WHEEL_SLOTS:
        c.table.wheel_s = now_s - WHEEL_SLOTS       # once around serves every slot
    while c.table.wheel_s < now_s:
        slot = c.table.wheel_s % WHEEL_SLOTS
        number = c.table.wheel[slot]
        while number:
            if c.ring.capacity - (ring_used(&c.ring)) < c.ring.capacity // 4:
                c.table.wheel[slot] = number
                return False
            next = c.table.flows[number].wheel_next
            c.table.wheel[slot] = next
            deadline = c.table.flows[number].last_ns + idle_time(c, &c.table.flows[number])
            if c.table.flows[number].last_ns > c.now_ns + <uint64_t>TIME_JUMP_S * SECOND_NS:
                deadline = c.table.wheel_s * SECOND_NS      # a time that nothing confirmed keeps no flow for ever
            if c.table.flows[number].flags & FLOW_DEAD:
                reuse_flow(&c.table, number)
            elif deadline <= c.table.wheel_s * SECOND_NS:
                end_flow(c, number, deadline)
                reuse_flow(&c.table, number)
            else:
                # One second on at the least: the slot that is being served must come to its end.
                put_on_wheel(&c.table, number, max(deadline // SECOND_NS + 1, c.table.wheel_s + 1))
            number = next
        c.table.wheel_s += 1
    return True


cdef inline void set_back(Core* c, uint64_t ts_ns) noexcept nogil:
    """Take it that the clock was set: what was seen before is as long ago as it was."""
    cdef uint64_t now_s = ts_ns // SECOND_NS
    flows_set_back(&c.table, ts_ns, c.now_ns - ts_ns)
    dialogs_set_back(&c.dialogs, ts_ns)
    c.now_ns = ts_ns
    c.table.wheel_s = now_s - min(now_s, <uint64_t>WHEEL_SLOTS)     # once around serves every slot


cdef inline void pass_time(Core* c, uint64_t ts_ns) noexcept nogil:
    """Let packet time move to a packet's own.

    A packet that is far off, as a broken record header makes it, moves time only when the next one confirms it. Time
    goes back a little only when many packets in a row say so: some always come late.
    """
    cdef uint64_t jump = <uint64_t>TIME_JUMP_S * SECOND_NS
    if ts_ns - c.now_ns < jump:                     # forward: the difference is unsigned
        c.behind = 0
        c.now_ns = ts_ns
        if ts_ns >= (c.table.wheel_s + 1) * SECOND_NS:
            serve_wheel(c)
    elif c.now_ns - ts_ns < jump:
        c.behind = c.behind + 1 if c.now_ns - ts_ns >= <uint64_t>LATE_NS else 0
        if c.behind >= MANY_BEHIND:
            set_back(c, ts_ns)
            serve_wheel(c)
    else:
        if c.now_ns and not (c.jump_ns and (ts_ns - c.jump_ns < jump or c.jump_ns - ts_ns < jump)):
            c.jump_ns = ts_ns
            return
        if c.now_ns == 0:
            c.table.wheel_s = ts_ns // SECOND_NS
        elif ts_ns < c.now_ns:
            set_back(c, ts_ns)
        c.now_ns = ts_ns
        serve_wheel(c)
