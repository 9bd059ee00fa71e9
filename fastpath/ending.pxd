"""The end of a flow: what became of its streams, said in one record."""

from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.stdlib cimport free

from fastpath.core cimport Core, begin_event
from fastpath.events cimport (
    EVENT_FLOW, EventChange, EventFlow, EventHead, EventHello, EventStream, MAX_EVENT_STREAMS, ring_commit, ring_used,
)
from fastpath.flow cimport (
    FLOW_CLOSED, FLOW_DTLS_DONE, FLOW_DTLS_SEEN, FLOW_ZRTP_DONE, STREAM_FROM_HIGH, STREAM_VALID, WHEEL_SLOTS, Flow,
    FLOW_A_IS_HIGH, Stream, put_on_wheel, remove_flow, remove_stream,
)
from fastpath.names cimport (
    APP_DTLS, APP_RTCP, APP_RTP, APP_SIP, APP_TLS, APP_ZRTP, BASIS_HANDSHAKE, BASIS_NULL_CIPHER, BASIS_START_LINE,
    BASIS_TOO_FEW, GRADE_NONE, GRADE_PROVED, KEYS_DTLS, KEYS_NONE, KEYS_ZRTP, PROTECTION_CLEAR, PROTECTION_ENCRYPTED,
    PROTECTION_NONE, PROTECTION_NOT_APPLICABLE, PROTECTION_NOT_OBSERVED, PROTECTION_UNDETERMINED,
)
from fastpath.talk cimport fill_hello, sip_message
from fastpath.tcp cimport SIDE_SIP, end_conversation
from fastpath.tls cimport SEEN_SERVER_HELLO, cipher_is_null

cdef enum:
    LAST_STATE_NS = 1000000000      # the flow's state is that of its last second of media
    CLOSED_IDLE_NS = 5000000000     # a closed TCP flow waits so long for stragglers


cdef inline uint64_t idle_time(const Core* c, const Flow* f) noexcept nogil:
    if f.app >= APP_RTCP:
        return c.media_idle_ns
    if f.flags & FLOW_CLOSED:
        return CLOSED_IDLE_NS
    return c.flow_idle_ns


cdef inline void fill_stream(EventStream* e, const Stream* s, bint a_is_high) noexcept nogil:
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
    e.codec = s.codec
    e.protection = s.protection
    e.grade = s.grade
    e.dscp = s.dscp
    e.from_a = ((s.flags & STREAM_FROM_HIGH) != 0) == a_is_high


cdef inline void judge_flow(EventFlow* e, Core* c, Flow* f) noexcept nogil:
    # Media: the worse of what the last second holds, clear before undetermined before encrypted.
    cdef uint32_t number = f.streams
    cdef uint64_t latest = 0
    cdef Stream* s
    cdef bint better
    while number:
        s = &c.table.streams[number]
        if s.flags & STREAM_VALID and s.last_ns > latest:
            latest = s.last_ns
        number = s.next
    e.protection = PROTECTION_NONE
    number = f.streams
    while number:
        s = &c.table.streams[number]
        number = s.next
        if not s.flags & STREAM_VALID:
            continue
        if s.decided_packet and (e.decided_packet == 0 or s.first_ns + s.decided_ns < e.first_ns + e.decided_ns):
            e.decided_packet = s.decided_packet
            e.decided_ns = s.decided_ns
        if s.last_ns + LAST_STATE_NS < latest:
            continue
        better = s.protection == e.protection and s.bits > e.bits
        if e.protection == PROTECTION_NONE or better or (s.protection != e.protection and (
                s.protection == PROTECTION_CLEAR
                or (s.protection == PROTECTION_UNDETERMINED and e.protection == PROTECTION_ENCRYPTED))):
            e.protection = s.protection
            e.grade = s.grade
            e.basis = s.basis
            e.bits = s.bits
    if e.protection == PROTECTION_NONE:
        e.protection = PROTECTION_UNDETERMINED
        e.basis = BASIS_TOO_FEW


cdef inline void judge_other(EventFlow* e, Flow* f) noexcept nogil:
    e.protection = PROTECTION_NOT_APPLICABLE
    if f.app == APP_SIP:
        e.protection = PROTECTION_CLEAR
        e.basis = BASIS_START_LINE
    elif f.app == APP_TLS or f.app == APP_DTLS:
        e.protection = PROTECTION_ENCRYPTED
        e.basis = BASIS_HANDSHAKE
        e.grade = GRADE_PROVED
        if f.talk != NULL and f.talk.hello.seen & SEEN_SERVER_HELLO and cipher_is_null(f.talk.hello.cipher):
            e.protection = PROTECTION_CLEAR
            e.basis = BASIS_NULL_CIPHER
            e.grade = GRADE_NONE
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
    cdef bint hello = f.talk != NULL and f.talk.hello.seen & SEEN_SERVER_HELLO
    while number:
        if c.table.streams[number].flags & STREAM_VALID:
            streams += 1
        number = c.table.streams[number].next
    streams = min(streams, <uint32_t>MAX_EVENT_STREAMS)
    if f.changes != NULL:
        changes = f.changes.count
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
    e.hello = hello
    e.key_exchange = KEYS_NONE
    if f.flags & FLOW_DTLS_SEEN:
        e.key_exchange = KEYS_DTLS
    elif f.flags & FLOW_ZRTP_DONE:
        e.key_exchange = KEYS_ZRTP
    e.rtcp_protection = PROTECTION_NOT_OBSERVED
    if f.app == APP_RTP:
        judge_flow(e, c, f)
        if f.rtcp != NULL:
            e.rtcp_mux = True
            e.rtcp_basis = f.rtcp.basis
            e.rtcp_protection = f.rtcp.protection if f.rtcp.protection else PROTECTION_UNDETERMINED
    else:
        judge_other(e, f)
    at = <uint8_t*>e + sizeof(EventFlow)
    number = f.streams
    while number and streams:
        if c.table.streams[number].flags & STREAM_VALID:
            es = <EventStream*>at
            fill_stream(es, &c.table.streams[number], f.flags & FLOW_A_IS_HIGH)
            at += sizeof(EventStream)
            streams -= 1
        number = c.table.streams[number].next
    for i in range(changes):
        ec = <EventChange*>at
        ec.ts_ns = f.changes.list[i].ts_ns
        ec.packet = f.changes.list[i].packet
        ec.ssrc = f.changes.list[i].ssrc
        ec.before = f.changes.list[i].before
        ec.after = f.changes.list[i].after
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
            if f.talk.side[i].reads == SIDE_SIP and f.talk.side[i].octets:
                sip_message(c, f, f.talk.side[i].data, f.talk.side[i].octets, i, f.last_ns)
    say_flow(c, f, ts_ns)
    stream = f.streams
    while stream:
        next = c.table.streams[stream].next
        remove_stream(&c.table, stream)
        stream = next
    free(f.rtcp)
    free(f.changes)
    if f.talk != NULL:
        end_conversation(f.talk, &c.memory)
    remove_flow(&c.table, number)
    f.id = 0


cdef inline bint serve_wheel(Core* c) noexcept nogil:
    """End the flows that were idle for long enough. Return False when the event ring had no room to go on."""
    cdef uint64_t now_s = c.now_ns // 1000000000, deadline
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
            if deadline <= c.table.wheel_s * 1000000000:
                end_flow(c, number, deadline)
            else:
                # One second on at the least: the slot that is being served must come to its end.
                put_on_wheel(&c.table, number, max(deadline // 1000000000 + 1, c.table.wheel_s + 1))
            number = next
        c.table.wheel_s += 1
    return True
