"""TCP streams in order, for the conversations that carry signalling."""

from libc.stdint cimport int32_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free, malloc, realloc
from libc.string cimport memcpy, memmove, memset

cdef enum:
    FIRST_ROOM = 4096


cdef void lose(Side* side, Memory* memory, uint32_t octets) noexcept nogil:
    # What web traffic loses costs no call, and is no news of the sensor's.
    if side.reads == SIDE_SIP or side.reads == SIDE_WS:
        memory.lost += octets
    else:
        memory.passed += octets


cdef void leave_queue(Conversation* talk, Memory* memory) noexcept nogil:
    if talk.gave:
        return
    if talk.older != NULL:
        talk.older.newer = talk.newer
    else:
        memory.oldest = talk.newer
    if talk.newer != NULL:
        talk.newer.older = talk.older
    else:
        memory.newest = talk.older


cdef void conversation_gave(Conversation* talk, Memory* memory) noexcept nogil:
    if not talk.gave:
        leave_queue(talk, memory)
        talk.gave = True


cdef Conversation* begin_conversation(Conversation** owner, Memory* memory) noexcept nogil:
    cdef Conversation* talk
    cdef Conversation** evicted
    while memory.used + sizeof(Conversation) > memory.limit and memory.oldest != NULL:
        memory.evicted += 1
        evicted = memory.oldest.owner
        end_conversation(memory.oldest, memory)
        evicted[0] = NULL
    if memory.used + sizeof(Conversation) > memory.limit:
        memory.refused += 1
        return NULL
    talk = <Conversation*>calloc(1, sizeof(Conversation))
    if talk == NULL:
        memory.refused += 1
        return NULL
    memory.used += sizeof(Conversation)
    talk.shake.alert = -1
    talk.owner = owner
    talk.older = memory.newest
    if talk.older != NULL:
        talk.older.newer = talk
    else:
        memory.oldest = talk
    memory.newest = talk
    return talk


cdef void forget(Side* side) noexcept nogil:
    """Drop what was not consumed."""
    side.start = 0
    side.octets = 0
    side.searched = 0
    side.framed = 0
    side.message = 0
    side.pieces = 0
    side.unread = False
    side.skip = 0


cdef void finish_side(Side* side, Memory* memory) noexcept nogil:
    """Nothing more is wanted of this direction."""
    cdef int i
    for i in range(side.held):
        free(side.segment[i].data)
    memory.used -= side.held_octets
    side.held = 0
    side.held_octets = 0
    free(side.data)
    memory.used -= side.room
    side.data = NULL
    side.room = 0
    side.reads = SIDE_DONE
    forget(side)


cdef void release_handshake(Handshake* shake, Memory* memory) noexcept nogil:
    cdef int i
    for i in range(2):
        memory.used -= shake.message[i].room
        free(shake.message[i].data)
    memset(shake.message, 0, sizeof(shake.message))
    memory.used -= shake.chain_octets
    free(shake.chain)
    shake.chain = NULL
    shake.chain_octets = 0


cdef void forget_handshake(Conversation* talk, Memory* memory) noexcept nogil:
    cdef int i
    release_handshake(&talk.shake, memory)
    for i in range(2):
        memory.used -= talk.certificate[i].room
        free(talk.certificate[i].data)
        talk.certificate_said[i] = False
    talk.hello_said = False
    memset(talk.certificate, 0, sizeof(talk.certificate))
    memset(&talk.hello, 0, sizeof(talk.hello))
    memset(&talk.shake, 0, sizeof(talk.shake))
    talk.shake.alert = -1


cdef void end_conversation(Conversation* talk, Memory* memory) noexcept nogil:
    leave_queue(talk, memory)
    forget_handshake(talk, memory)
    lose(&talk.side[0], memory, talk.side[0].held_octets)
    lose(&talk.side[1], memory, talk.side[1].held_octets)
    finish_side(&talk.side[0], memory)
    finish_side(&talk.side[1], memory)
    memory.used -= sizeof(Conversation)
    free(talk)


cdef void begin_side(Side* side, uint8_t reads, uint32_t seq) noexcept nogil:
    side.reads = reads
    side.next_seq = seq


cdef bint append(Side* side, Memory* memory, const uint8_t* data, uint32_t octets) noexcept nogil:
    cdef uint32_t room = side.room if side.room else FIRST_ROOM
    cdef uint8_t* wider
    if side.octets + octets > MAX_STREAM_OCTETS:
        lose(side, memory, octets)
        return False
    if side.start and side.start + side.octets + octets > side.room:
        memmove(side.data, side.data + side.start, side.octets)
        side.start = 0
    while room < side.octets + octets:
        room *= 2
    if room != side.room:
        if memory.used + room - side.room > memory.limit:
            lose(side, memory, octets)
            return False
        wider = <uint8_t*>realloc(side.data, room)
        if wider == NULL:
            lose(side, memory, octets)
            return False
        memory.used += room - side.room
        side.data = wider
        side.room = room
    memcpy(side.data + side.start + side.octets, data, octets)
    side.octets += octets
    side.next_seq += octets
    return True


cdef void hold(Side* side, Memory* memory, uint32_t seq, const uint8_t* data, uint32_t octets) noexcept nogil:
    cdef uint8_t* copy
    if (side.held == MAX_HELD_SEGMENTS or side.held_octets + octets > MAX_HELD_OCTETS
            or memory.used + octets > memory.limit):
        lose(side, memory, octets)
        return
    copy = <uint8_t*>malloc(octets)
    if copy == NULL:
        lose(side, memory, octets)
        return
    memcpy(copy, data, octets)
    side.segment[side.held].seq = seq
    side.segment[side.held].octets = octets
    side.segment[side.held].data = copy
    side.held += 1
    side.held_octets += octets
    memory.used += octets


cdef bint add_segment(Side* side, Memory* memory, uint32_t seq, const uint8_t* data, uint32_t octets,
                      uint64_t ts_ns) noexcept nogil:
    """Take one segment. Return whether octets were added in order.

    After it call ``next_held`` until it says False. What stays missing is given up when too much waits behind it, or
    for too long.
    """
    cdef uint32_t behind
    if <int32_t>(seq - side.next_seq) > 0:
        if side.held == 0:
            side.gap_ns = ts_ns
        elif (side.held == MAX_HELD_SEGMENTS or side.held_octets + octets > MAX_HELD_OCTETS
                or ts_ns > side.gap_ns + GAP_NS):
            skip_gap(side, memory)
            while next_held(side, memory):
                pass
        if <int32_t>(seq - side.next_seq) > 0:
            hold(side, memory, seq, data, octets)
            return False
    behind = side.next_seq - seq
    if behind >= octets:
        return False                    # all of it was there before
    return append(side, memory, data + behind, octets - behind)


cdef bint next_held(Side* side, Memory* memory) noexcept nogil:
    """Add a held segment that has become due. Return whether one was added."""
    cdef int i
    cdef int32_t behind
    cdef Segment segment
    cdef bint added
    for i in range(side.held):
        behind = <int32_t>(side.next_seq - side.segment[i].seq)
        if behind < 0:
            continue
        segment = side.segment[i]
        side.held -= 1
        side.segment[i] = side.segment[side.held]
        side.held_octets -= segment.octets
        memory.used -= segment.octets
        added = False
        if <uint32_t>behind < segment.octets:
            added = append(side, memory, segment.data + behind, segment.octets - behind)
        free(segment.data)
        return added or next_held(side, memory)
    return False


cdef void skip_gap(Side* side, Memory* memory) noexcept nogil:
    """Give up what is missing: go on at the earliest held segment, without the octets before the gap."""
    cdef int i, first = 0
    if side.held == 0:
        return
    for i in range(1, side.held):
        if <int32_t>(side.segment[i].seq - side.segment[first].seq) < 0:
            first = i
    lose(side, memory, side.segment[first].seq - side.next_seq)
    forget(side)
    side.gaps = True
    side.next_seq = side.segment[first].seq


cdef void consume(Side* side, Memory* memory, uint32_t octets) noexcept nogil:
    """Drop octets from the front. What a large message needed is given back, and all of what is seldom used."""
    side.octets -= octets
    side.start += octets
    side.searched = 0
    side.framed = 0
    if side.octets:
        return
    side.start = 0
    if side.room > FIRST_ROOM or side.reads == SIDE_LINES or side.reads == SIDE_TLS:
        free(side.data)
        memory.used -= side.room
        side.data = NULL
        side.room = 0
