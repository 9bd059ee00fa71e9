"""What a TCP stream carries, told by its first octets, and who reads it: SIP, TLS, WebSocket, lines, media."""

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memchr, memmove, memset

from fastpath.core cimport Core, set_app
from fastpath.flow cimport FLOW_CLOSED, FLOW_FIN_HIGH, FLOW_FIN_LOW, FLOW_FRAMES, Flow
from fastpath.handshake cimport tls_take
from fastpath.keying cimport say_handshake, say_hello
from fastpath.legacy cimport Legacy, has_port, tcp_legacy
from fastpath.lines cimport LINES_DONE, LINES_TLS, MAX_LINE, MAX_LINES_TAKEN, Said, opens_lines, take_line
from fastpath.messages cimport sip_message
from fastpath.names cimport APP_RTSP, APP_TLS, APP_WS
from fastpath.services cimport Service, tcp_service
from fastpath.sip cimport SIP_MAX_MESSAGE, sip_frame, sip_probe, sip_resync
from fastpath.talk cimport carried_packet, follow_tunnel, say_legacy, say_services, stun_probe
from fastpath.tcp cimport (
    SIDE_DONE, SIDE_FRAMES, SIDE_HTTP, SIDE_IDLE, SIDE_LINES, SIDE_SIP, SIDE_TLS, SIDE_WS, Conversation, Lines, Memory,
    Side, add_segment, begin_conversation, begin_side, consume, conversation_gave, finish_side, forget,
    forget_handshake, lose, next_held, release_handshake, skip_gap,
)
from fastpath.tls cimport HELLO_NOT, OUTCOME_CUT, OUTCOME_NONE, OUTCOME_UNKNOWN, tls_probe
from fastpath.turn cimport FRAMES_RTSP, FRAMES_TURN, SEARCHED, Carried, find_frames, next_frame, probe_frames
from fastpath.websocket cimport (
    WS_CLOSE, WS_CONTINUATION, WS_MAX_HANDSHAKE, WS_MAX_PIECES, WS_NO, WS_SIP, WsFrame, ws_frame, ws_handshake,
    ws_opens, ws_probe, ws_unmask,
)
from fastpath.wire cimport TCP_FIN, TCP_RST, TCP_SYN, Decoded

cdef enum:
    MAX_PROBES = 8              # segments of one direction that are looked at before a conversation is let go
    SIP_PORT = 5060


cdef inline void read_sip(Core* c, Flow* f, Side* side, bint from_high, uint64_t ts_ns) noexcept nogil:
    cdef const uint8_t* data
    cdef int64_t n
    while side.octets and side.octets >= side.framed:
        data = side.data + side.start
        # Only a line end can end the headers: a message that trickles in costs no more than its octets.
        if side.searched and not side.framed and memchr(data + side.searched, 10, side.octets - side.searched) == NULL:
            side.searched = side.octets
            return
        n = side.framed if side.framed else sip_frame(data, side.octets, side.searched)
        if n > side.octets:
            side.framed = <uint32_t>n
        elif n > 0:
            sip_message(c, f, data, <uint32_t>n, from_high, ts_ns)
            consume(side, &c.memory, <uint32_t>n)
        elif n < 0 or side.octets > SIP_MAX_MESSAGE:
            consume(side, &c.memory, sip_resync(data, side.octets))
        else:
            side.searched = side.octets
            return


cdef inline void read_handshake(Core* c, Flow* f, Side* side, uint64_t ts_ns) noexcept nogil:
    cdef const uint8_t* data = side.data + side.start
    cdef uint32_t end
    cdef int found = ws_handshake(data, side.octets, &end)
    if end == 0:
        if side.octets > WS_MAX_HANDSHAKE:
            finish_side(side, &c.memory)
        return
    # A request may be refused; what the server says or frames that are SIP decide.
    if found != WS_NO and data[0] == c"H":
        set_app(c, f, APP_WS, ts_ns)
    if found != WS_SIP:
        finish_side(side, &c.memory)
        return
    side.reads = SIDE_WS
    consume(side, &c.memory, end)


cdef inline void drop_frame(Side* side, uint32_t octets) noexcept nogil:
    """Take octets out from behind the message that is being put together."""
    cdef uint8_t* data = side.data + side.start
    if side.message:
        memmove(data + octets, data, side.message)
    side.start += octets
    side.octets -= octets
    if side.octets == 0:
        side.start = 0


cdef inline bint take_frame(Core* c, Flow* f, Side* side, const WsFrame* frame, bint from_high,
                            uint64_t ts_ns) noexcept nogil:
    """Take a whole frame. Return whether the conversation goes on."""
    cdef uint8_t* data = side.data + side.start
    cdef uint32_t length = <uint32_t>frame.length, whole
    if frame.opcode == WS_CLOSE:
        return False
    side.pieces += 1
    if side.pieces > WS_MAX_PIECES:
        return False
    if frame.opcode >= WS_CLOSE:
        drop_frame(side, frame.head + length)
        side.pieces -= side.message == 0
        return True
    if frame.opcode != WS_CONTINUATION and side.message:
        return False                    # a message in a message (RFC 6455 section 5.4)
    side.unread |= frame.reserved != 0
    ws_unmask(frame, data + side.message + frame.head, length, data + side.message + frame.head)
    drop_frame(side, frame.head)
    whole = side.message + length
    if not frame.final:
        side.message = whole
        return whole <= SIP_MAX_MESSAGE
    if side.unread:
        c.sip_unreadable += 1
    elif whole:
        set_app(c, f, APP_WS, ts_ns)
        sip_message(c, f, side.data + side.start, whole, from_high, ts_ns)
    side.message = 0
    side.pieces = 0
    side.unread = False
    consume(side, &c.memory, whole)
    return True


cdef inline void read_websocket(Core* c, Flow* f, Side* side, bint from_high, uint64_t ts_ns) noexcept nogil:
    """Read frames; one message is one SIP message (RFC 7118 section 5)."""
    cdef WsFrame frame
    cdef uint32_t passed
    cdef int state
    while side.octets and side.octets >= side.framed:
        if side.skip:
            passed = <uint32_t>min(side.skip, <uint64_t>side.octets)
            side.skip -= passed
            consume(side, &c.memory, passed)
            continue
        state = ws_frame(side.data + side.start + side.message, side.octets - side.message, &frame)
        if state == 0:
            return
        if state > 0 and frame.length > SIP_MAX_MESSAGE and side.message == 0 and frame.final:
            c.sip_unreadable += 1
            consume(side, &c.memory, frame.head)
            side.skip = frame.length
            continue
        if state < 0 or frame.length > SIP_MAX_MESSAGE - side.message:
            c.sip_unreadable += 1
            finish_side(side, &c.memory)
            return
        if side.octets - side.message < frame.head + frame.length:
            side.framed = side.message + frame.head + <uint32_t>frame.length
            return
        side.framed = 0
        if not take_frame(c, f, side, &frame, from_high, ts_ns):
            finish_side(side, &c.memory)
            return


cdef inline void read_lines(Core* c, Flow* f, Side* side, bint from_high, uint64_t ts_ns) noexcept nogil:
    cdef Lines* lines = &f.talk.lines
    cdef const uint8_t* p
    cdef const uint8_t* end
    cdef uint32_t n
    cdef int state, i
    cdef Said said
    while side.octets:
        if side.skip:
            n = <uint32_t>min(side.skip, <uint64_t>side.octets)
            side.skip -= n
            consume(side, &c.memory, n)
            continue
        p = side.data + side.start
        if lines.app == APP_RTSP and p[0] == c"$":
            frames_begin(f, side, FRAMES_RTSP)
            return
        end = <const uint8_t*>memchr(p + side.searched, 10, side.octets - side.searched)
        if end == NULL:
            side.searched = side.octets
            if side.octets >= MAX_LINE:
                consume(side, &c.memory, side.octets)
            return
        n = <uint32_t>(end - p)
        state = take_line(lines, from_high, p, n - (n > 0 and p[n - 1] == 13), &said)
        lines.taken += n + 1
        consume(side, &c.memory, n + 1)
        side.skip = said.body
        say_services(c, f, said.service, said.count, ts_ns)
        if said.endless:
            finish_side(side, &c.memory)
            return
        if state == LINES_TLS:
            look_again(f, &f.talk.side[0], &c.memory, 0)
            look_again(f, &f.talk.side[1], &c.memory, 1)
            return
        if state == LINES_DONE or lines.taken > MAX_LINES_TAKEN:
            for i in range(2):
                finish_side(&f.talk.side[i], &c.memory)
            return


cdef inline void frames_begin(Flow* f, Side* side, uint8_t frames) noexcept nogil:
    side.reads = SIDE_FRAMES
    side.frames = frames
    if not f.flags & FLOW_FRAMES:
        f.flags |= FLOW_FRAMES
        f.recent[0] = 0                 # from here on the stream last met, as of a datagram
        f.recent[1] = 0


cdef inline void look_again(Flow* f, Side* side, Memory* memory, bint from_high) noexcept nogil:
    """Octets are missing, and where the next frame begins is not known: let the next segments tell."""
    finish_side(side, memory)
    side.reads = SIDE_IDLE
    side.gaps = False
    f.recent[from_high] = 0


cdef inline void read_frames(Core* c, Flow* f, Side* side) noexcept nogil:
    cdef const uint8_t* p
    cdef Carried frame
    cdef int state, app
    while side.octets and side.octets >= side.framed:
        p = side.data + side.start
        if side.gaps:
            if side.octets < SEARCHED:
                return
            consume(side, &c.memory, find_frames(side.frames, p, side.octets))
            side.gaps = side.octets == 0
            continue
        if side.frames == FRAMES_RTSP and c"A" <= p[0] <= c"Z":
            side.reads = SIDE_LINES     # a request or a response between the frames
            return
        state = next_frame(side.frames, p, side.octets, &frame)
        if state == 0:
            return
        if state < 0:
            side.gaps = True
            continue
        if side.octets < frame.total:
            side.framed = frame.total
            return
        if side.frames == FRAMES_TURN and p[0] <= 3:
            app = stun_probe(p, frame.total, frame.total)
            if app:
                set_app(c, f, app, c.at_hand.ts_ns)
        if frame.at:
            conversation_gave(f.talk, &c.memory)
            carried_packet(c, f, c.at_hand, p + frame.at, frame.octets, side.frames == FRAMES_TURN)
        consume(side, &c.memory, frame.total)


cdef inline void finish_tls(Core* c, Flow* f, uint64_t ts_ns) noexcept nogil:
    """Say how the handshake ended, and read no more of either direction."""
    cdef int i
    say_handshake(c, f, False, ts_ns)
    release_handshake(&f.talk.shake, &c.memory)
    for i in range(2):
        finish_side(&f.talk.side[i], &c.memory)


cdef inline void read_tls(Core* c, Flow* f, Side* side, bint from_high, uint64_t ts_ns) noexcept nogil:
    cdef int state = HELLO_NOT if side.gaps else tls_take(f.talk, &c.memory, from_high)
    say_hello(c, f, False, ts_ns)
    if state == HELLO_NOT:
        f.talk.shake.outcome = OUTCOME_UNKNOWN
    if f.talk.shake.outcome != OUTCOME_NONE:
        finish_tls(c, f, ts_ns)


cdef inline void close_tls(Core* c, Flow* f, bint from_high, bint ended, uint64_t ts_ns) noexcept nogil:
    """A connection is closed by a direction's packet, or its flow has ``ended``: a handshake is as far as it came."""
    cdef Conversation* talk = f.talk
    if talk.shake.outcome != OUTCOME_NONE or not (talk.side[0].reads == SIDE_TLS or talk.side[1].reads == SIDE_TLS):
        return
    if not ended and (talk.side[0].held or talk.side[1].held):
        return                          # what is late may tell more
    talk.shake.outcome = OUTCOME_UNKNOWN
    # A direction that was never seen is not one that said nothing.
    if f.flags & FLOW_CLOSED and f.packets[0] and f.packets[1]:
        talk.shake.outcome = OUTCOME_CUT
        talk.shake.alert_by_client = not ended and talk.shake.client_is_high == from_high
    finish_tls(c, f, ts_ns)


cdef inline void read_side(Core* c, Flow* f, Side* side, bint from_high, uint64_t ts_ns) noexcept nogil:
    cdef uint8_t reads
    if side.reads == SIDE_SIP:
        read_sip(c, f, side, from_high, ts_ns)
    elif side.gaps and (side.reads == SIDE_WS or side.reads == SIDE_HTTP):
        look_again(f, side, &c.memory, from_high)
    elif side.reads == SIDE_HTTP or side.reads == SIDE_WS:
        if side.reads == SIDE_HTTP:
            read_handshake(c, f, side, ts_ns)
        if side.reads == SIDE_WS:
            read_websocket(c, f, side, from_high, ts_ns)
    elif side.reads == SIDE_LINES or side.reads == SIDE_FRAMES:
        reads = SIDE_DONE
        while side.reads != reads and side.octets:
            reads = side.reads
            if reads == SIDE_FRAMES:
                read_frames(c, f, side)
            elif reads == SIDE_LINES:
                read_lines(c, f, side, from_high, ts_ns)
    elif side.reads == SIDE_TLS:
        read_tls(c, f, side, from_high, ts_ns)


cdef inline void read_rest(Core* c, Flow* f, bint from_high) noexcept nogil:
    """Read what a direction of SIP still holds, as no more will come: behind gaps, and a last message that was cut."""
    cdef Side* side = &f.talk.side[from_high]
    while side.held:
        skip_gap(side, &c.memory)
        while side.held and next_held(side, &c.memory):
            read_sip(c, f, side, from_high, f.last_ns)
    if side.octets:
        sip_message(c, f, side.data + side.start, side.octets, from_high, f.last_ns)


cdef inline uint8_t probe_segment(Core* c, Flow* f, const Decoded* d) noexcept nogil:
    cdef Service service
    cdef Legacy legacy
    if not f.flags & FLOW_FRAMES and f.recent[d.from_high] >= MAX_PROBES and not has_port(f.key.ports, SIP_PORT):
        return SIDE_IDLE
    if sip_probe(d.payload, d.payload_len):
        return SIDE_SIP
    if f.talk != NULL and f.talk.side[not d.from_high].reads == SIDE_TLS:
        return SIDE_TLS
    if tls_probe(d.payload, d.payload_len):
        set_app(c, f, APP_TLS, d.ts_ns)
        return SIDE_TLS
    if ws_opens(d.payload, d.payload_len):
        return SIDE_HTTP
    if ws_probe(d.payload, d.payload_len):
        return SIDE_WS
    if d.payload_len == d.payload_wire and probe_frames(d.payload, d.payload_len):
        return SIDE_FRAMES
    if opens_lines(d.payload, d.payload_len):
        return SIDE_LINES
    if f.talk != NULL and f.talk.side[not d.from_high].reads == SIDE_LINES:
        return SIDE_LINES
    if tcp_legacy(d.payload, d.payload_len, f.key.ports, <const uint8_t*>f.key.low + 12,
                  <const uint8_t*>f.key.high + 12, &legacy):
        say_legacy(c, f, &legacy, d.ts_ns)
        f.recent[d.from_high] = 0       # every message may name media
        return SIDE_IDLE
    if tcp_service(d.payload, d.payload_len, &service):
        say_services(c, f, &service, 1, d.ts_ns)
    if not f.flags & FLOW_FRAMES:
        f.recent[d.from_high] += 1
    return SIDE_IDLE


cdef inline void begin_again(Core* c, Flow* f, const Decoded* d) noexcept nogil:
    # A SYN begins a new connection; one on the ports of an old connection, or sent twice, finds that one's state.
    if not f.flags & FLOW_FRAMES:
        f.recent[d.from_high] = 0
    f.flags &= ~(FLOW_CLOSED | FLOW_FIN_LOW | FLOW_FIN_HIGH)
    if f.talk != NULL:
        finish_side(&f.talk.side[d.from_high], &c.memory)
        f.talk.side[d.from_high].reads = SIDE_IDLE
        memset(&f.talk.lines, 0, sizeof(Lines))
        # One that is sent twice comes before anything was read.
        if f.talk.shake.outcome != OUTCOME_NONE or f.talk.shake.taken:
            forget_handshake(f.talk, &c.memory)


cdef inline void tcp_octets(Core* c, Flow* f, const Decoded* d) noexcept nogil:
    cdef Side* side
    cdef uint8_t reads
    if f.talk == NULL or f.talk.side[d.from_high].reads == SIDE_IDLE:
        reads = probe_segment(c, f, d)
        if reads == SIDE_IDLE:
            return
        if f.talk == NULL:
            f.talk = begin_conversation(&f.talk, &c.memory)
            if f.talk == NULL:
                return
        begin_side(&f.talk.side[d.from_high], reads, d.tcp_seq)
        if reads == SIDE_FRAMES:
            frames_begin(f, &f.talk.side[d.from_high], probe_frames(d.payload, d.payload_len))
    side = &f.talk.side[d.from_high]
    if side.reads == SIDE_DONE:
        return
    if add_segment(side, &c.memory, d.tcp_seq, d.payload, d.payload_len, d.ts_ns):
        read_side(c, f, side, d.from_high, d.ts_ns)
    while side.held and next_held(side, &c.memory):
        read_side(c, f, side, d.from_high, d.ts_ns)
    if d.payload_len < d.payload_wire and side.reads == SIDE_TLS:
        side.gaps = True
        read_tls(c, f, side, d.from_high, d.ts_ns)
    elif d.payload_len < d.payload_wire and (side.reads == SIDE_SIP or side.reads == SIDE_WS
                                             or side.reads == SIDE_FRAMES):
        # The snap length cut it: what is missing will not come.
        lose(side, &c.memory, d.payload_wire - d.payload_len)
        side.gaps = True
        forget(side)
        side.next_seq = d.tcp_seq + d.payload_wire


cdef inline void tcp_segment(Core* c, Flow* f, const Decoded* d) noexcept nogil:
    """Take a TCP segment of a flow."""
    if d.tcp_flags & TCP_RST:
        f.flags |= FLOW_CLOSED
    if d.tcp_flags & TCP_FIN:
        f.flags |= FLOW_FIN_HIGH if d.from_high else FLOW_FIN_LOW
        if f.flags & FLOW_FIN_HIGH and f.flags & FLOW_FIN_LOW:
            f.flags |= FLOW_CLOSED
    if d.tcp_flags & TCP_SYN:
        begin_again(c, f, d)
        return
    if d.payload_len:
        tcp_octets(c, f, d)
        follow_tunnel(c, f, d.ts_ns)
    if f.flags & FLOW_CLOSED and f.talk != NULL:
        close_tls(c, f, d.from_high, False, d.ts_ns)
