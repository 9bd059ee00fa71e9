"""How a TLS handshake goes, read from both directions until it is known how it ended.

Read first: RFC 8446 sections 4.1, 5 and 6; RFC 5246 sections 6.2.1, 7.2, 7.3 and 7.4.2; RFC 8422 section 5.4.

    Certificate        list<u24> of certificate<u24>, the server's own first    (up to TLS 1.2: 1.3 encrypts it)
    ServerKeyExchange  curve_type:u8 group:u16 …                                (of an elliptic curve)

It is complete when both directions sent a protected record: up to TLS 1.2 the Finished behind ChangeCipherSpec, in 1.3
any application_data, but for an alert, which is shorter than a Finished can be. What is protected is passed over.
"""

from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.stdlib cimport realloc
from libc.string cimport memcmp, memcpy, memset

from fastpath.octets cimport be16, be24
from fastpath.tcp cimport (
    SIDE_TLS, Conversation, Memory, Side, add_segment, begin_conversation, begin_side, consume, end_conversation,
)
from fastpath.tls cimport (
    ALERT, APPLICATION_DATA, CERTIFICATE, CHANGE_CIPHER_SPEC, CLIENT_HELLO, HANDSHAKE, HELLO_DONE, HELLO_MORE,
    HELLO_NOT, MAX_SESSION, OUTCOME_COMPLETED, OUTCOME_CUT, OUTCOME_NONE, OUTCOME_REFUSED, SEEN_ALERT,
    SEEN_CLIENT_HELLO, SEEN_HELLO_RETRY, SEEN_SERVER_HELLO, SERVER_HELLO, SERVER_KEY_EXCHANGE, TLS_1_3,
    TLS_HANDSHAKE_HEADER, TLS_HEADER, Gathered, Handshake, hello_fields, is_retry, read_hello, record_header,
)

cdef enum:
    MAX_TAKEN = 1 << 21         # octets of a handshake without an end that are read
    MAX_MESSAGE = 65536 + 7     # of a handshake message that are kept: MAX_CHAIN behind the lengths
    FIRST_ROOM = 1024
    RANDOM_END = 38             # of a hello's header, version and random
    NAMED_CURVE = 3             # RFC 8422 section 5.4

    WARNING = 1                 # level of an alert up to TLS 1.2
    CLOSE_NOTIFY = 0
    USER_CANCELED = 90
    LEAST_FINISHED = 24         # octets of a protected record that is no alert


# --- what is kept ------------------------------------------------------------------------------------------------

cdef bint widen(uint8_t** data, uint32_t* room, Memory* memory, uint32_t octets) noexcept nogil:
    cdef uint32_t wanted = max(room[0], <uint32_t>FIRST_ROOM)
    cdef uint8_t* wider
    while wanted < octets:
        wanted *= 2
    if wanted == room[0]:
        return True
    if memory.used + wanted - room[0] > memory.limit:
        return False
    wider = <uint8_t*>realloc(data[0], wanted)
    if wider == NULL:
        return False
    memory.used += wanted - room[0]
    data[0] = wider
    room[0] = wanted
    return True


cdef bint keep_certificate(Handshake* shake, Memory* memory, const uint8_t* der, uint32_t octets) noexcept nogil:
    cdef uint8_t* wider = NULL
    if memory.used + octets <= memory.limit:
        wider = <uint8_t*>realloc(shake.chain, shake.chain_octets + octets)
    if wider == NULL:
        shake.left_out = True
        memory.passed += octets
        return False
    memory.used += octets
    memcpy(wider + shake.chain_octets, der, octets)
    shake.chain = wider
    shake.chain_octets += octets
    return True


cdef void read_certificates(Handshake* shake, Memory* memory, bint from_server, const uint8_t* p,
                            uint32_t have) noexcept nogil:
    cdef uint32_t at = TLS_HANDSHAKE_HEADER + 3, size, kept = 0
    cdef uint32_t end
    if have < at or (from_server and shake.chain != NULL):
        return
    end = at + be24(p + TLS_HANDSHAKE_HEADER)
    while at + 3 <= min(end, have):
        size = 3 + be24(p + at)
        if size > min(end, have) - at:
            break
        kept += 1
        if not from_server:
            shake.client_certificates = <uint8_t>min(kept, <uint32_t>255)
        elif kept > MAX_CERTIFICATES or not keep_certificate(shake, memory, p + at, size):
            break
        at += size
    if from_server and at < end:
        shake.left_out = True


# --- messages ----------------------------------------------------------------------------------------------------

cdef void note_session(Handshake* shake, bint server, const uint8_t* p, uint32_t have) noexcept nogil:
    cdef uint8_t size
    if have <= RANDOM_END or p[RANDOM_END] > MAX_SESSION or have - RANDOM_END - 1 < p[RANDOM_END]:
        return
    size = p[RANDOM_END]
    memcpy(shake.session[server], p + RANDOM_END, 1 + size)


cdef bint is_resumed(const Conversation* talk) noexcept nogil:
    # RFC 5246 section 7.4.1.3, RFC 5077 section 3.4: the session ID is echoed, and no certificate follows.
    cdef const Handshake* shake = &talk.shake
    return (talk.hello.version < TLS_1_3 and shake.chain == NULL and shake.session[0][0] != 0
            and memcmp(shake.session[0], shake.session[1], 1 + shake.session[0][0]) == 0)


cdef int take_message(Conversation* talk, Memory* memory, bint from_high, const uint8_t* p,
                      uint32_t have) noexcept nogil:
    """Take a handshake message, as far as it is kept."""
    cdef Handshake* shake = &talk.shake
    cdef bint from_server
    if p[0] == CLIENT_HELLO or p[0] == SERVER_HELLO:
        if read_hello(p, have, &talk.hello) == HELLO_NOT:
            return HELLO_NOT
        from_server = p[0] == SERVER_HELLO
        shake.client_is_high = from_high != from_server
        if not is_retry(p, have):
            note_session(shake, from_server, p, have)
        return HELLO_MORE
    from_server = shake.client_is_high != from_high
    if p[0] == CERTIFICATE:
        read_certificates(shake, memory, from_server, p, have)
    elif p[0] == SERVER_KEY_EXCHANGE and from_server and have >= 7 and p[TLS_HANDSHAKE_HEADER] == NAMED_CURVE:
        talk.hello.group = be16(p + TLS_HANDSHAKE_HEADER + 1)
    return HELLO_MORE


cdef int take_handshake(Conversation* talk, Memory* memory, bint from_high, const uint8_t* p,
                        uint32_t n) noexcept nogil:
    """Take a record's part of the handshake: messages, or pieces of them (RFC 8446 section 5.1)."""
    cdef Gathered* g = &talk.shake.message[from_high]
    cdef uint32_t total, step, keep
    while n:
        if g.have == 0 and n >= TLS_HANDSHAKE_HEADER and n - TLS_HANDSHAKE_HEADER >= be24(p + 1):
            total = TLS_HANDSHAKE_HEADER + be24(p + 1)      # whole in its record, as is usual
            if take_message(talk, memory, from_high, p, total) == HELLO_NOT:
                return HELLO_NOT
            p += total
            n -= total
            continue
        if g.have < TLS_HANDSHAKE_HEADER:
            step = min(n, TLS_HANDSHAKE_HEADER - g.have)
        else:
            step = min(n, TLS_HANDSHAKE_HEADER + be24(g.data + 1) - g.have - g.passed)
        keep = min(step, MAX_MESSAGE - min(g.have, <uint32_t>MAX_MESSAGE))
        if g.passed or not widen(&g.data, &g.room, memory, g.have + keep):
            memory.passed += keep
            keep = 0
        if keep == 0 and g.have < TLS_HANDSHAKE_HEADER:
            return HELLO_NOT            # no room for a header: nothing can be followed
        memcpy(g.data + g.have, p, keep)
        g.have += keep
        g.passed += step - keep
        p += step
        n -= step
        if g.have >= TLS_HANDSHAKE_HEADER and g.have + g.passed == TLS_HANDSHAKE_HEADER + be24(g.data + 1):
            if take_message(talk, memory, from_high, g.data, g.have) == HELLO_NOT:
                return HELLO_NOT
            g.have = 0
            g.passed = 0
    return HELLO_MORE


# --- records -----------------------------------------------------------------------------------------------------

cdef void refuse(Handshake* shake, bint from_high, int alert) noexcept nogil:
    shake.outcome = OUTCOME_CUT if alert == CLOSE_NOTIFY or alert == USER_CANCELED else OUTCOME_REFUSED
    shake.alert = alert
    shake.alert_by_client = shake.client_is_high == from_high


cdef void take_sealed(Conversation* talk, bint from_high, uint8_t kind, uint32_t length) noexcept nogil:
    """Take a protected record by its header."""
    cdef Handshake* shake = &talk.shake
    cdef bint from_client = shake.client_is_high == from_high
    if not talk.hello.seen & SEEN_SERVER_HELLO:
        return                          # early data (RFC 8446 section 2.3), or a beginning that was not seen
    if kind == ALERT or (kind == APPLICATION_DATA and talk.hello.version >= TLS_1_3 and from_client
                         and not shake.sealed[from_high] and length < LEAST_FINISHED):
        refuse(shake, from_high, -1)
        return
    shake.sealed[from_high] = True
    if shake.sealed[0] and shake.sealed[1]:
        shake.outcome = OUTCOME_COMPLETED


cdef void take_alert(Conversation* talk, bint from_high, const uint8_t* p) noexcept nogil:
    talk.hello.seen |= SEEN_ALERT
    talk.hello.alert = p[1]
    # A warning ends nothing, but for one that says so (RFC 5246 section 7.2).
    if p[0] != WARNING or p[1] == CLOSE_NOTIFY or p[1] == USER_CANCELED:
        refuse(&talk.shake, from_high, p[1])


cdef int tls_take(Conversation* talk, Memory* memory, bint from_high) noexcept nogil:
    cdef Side* side = &talk.side[from_high]
    cdef Handshake* shake = &talk.shake
    cdef const uint8_t* p
    cdef uint32_t length, passed
    cdef uint8_t kind
    while side.octets and side.octets >= side.framed and shake.outcome == OUTCOME_NONE:
        if side.skip:
            passed = <uint32_t>min(side.skip, <uint64_t>side.octets)
            side.skip -= passed
            consume(side, memory, passed)
            continue
        p = side.data + side.start
        if not record_header(p, side.octets):
            return HELLO_NOT
        if side.octets < TLS_HEADER:
            return HELLO_MORE
        kind = p[0]
        length = be16(p + 3)
        if shake.taken > MAX_TAKEN:
            return HELLO_NOT
        if kind == APPLICATION_DATA or (shake.change[from_high] and kind != CHANGE_CIPHER_SPEC):
            if not talk.hello.seen & (SEEN_CLIENT_HELLO | SEEN_SERVER_HELLO):
                return HELLO_NOT        # a stream joined in the middle says nothing more
            shake.taken += TLS_HEADER
            consume(side, memory, TLS_HEADER)
            side.skip = length
            take_sealed(talk, from_high, kind, length)
            continue
        if side.octets < TLS_HEADER + length:
            side.framed = TLS_HEADER + length
            return HELLO_MORE
        p += TLS_HEADER
        if kind == CHANGE_CIPHER_SPEC:
            # In TLS 1.3 it means nothing (RFC 8446 appendix D.4), and a second ClientHello may follow.
            shake.change[from_high] = not (talk.hello.seen & SEEN_HELLO_RETRY or talk.hello.version >= TLS_1_3)
        elif kind == ALERT and length == 2:
            take_alert(talk, from_high, p)
        elif kind != HANDSHAKE or take_handshake(talk, memory, from_high, p, length) == HELLO_NOT:
            return HELLO_NOT
        shake.taken += TLS_HEADER + length
        consume(side, memory, TLS_HEADER + length)
    return HELLO_MORE if shake.outcome == OUTCOME_NONE else HELLO_DONE


# --- for tests and fuzzing ---------------------------------------------------------------------------------------

def scan_tls(octets: bytes):
    """The hello of one direction of a stream, from its start."""
    cdef Memory memory
    cdef Conversation* talk = NULL
    cdef int state
    memset(&memory, 0, sizeof(memory))
    memory.limit = 1 << 22
    talk = begin_conversation(&talk, &memory)
    begin_side(&talk.side[0], SIDE_TLS, 0)
    add_segment(&talk.side[0], &memory, 0, octets, <uint32_t>len(octets), 0)
    state = tls_take(talk, &memory, False)
    if state != HELLO_NOT:
        state = HELLO_DONE if talk.hello.seen & (SEEN_CLIENT_HELLO | SEEN_SERVER_HELLO | SEEN_ALERT) else HELLO_MORE
    try:
        return hello_fields(state, &talk.hello)
    finally:
        end_conversation(talk, &memory)
