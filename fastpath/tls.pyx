"""TLS and DTLS: is it, and what was agreed, read from the hellos that cross in clear.

Read first: RFC 8446 sections 4.1, 4.2 and 5.1; RFC 6347 section 4; RFC 9147 section 4; RFC 5764 section 4.1.

    TLS record   type:u8 version:u16 length:u16                                         (RFC 8446 section 5.1)
    DTLS record  type:u8 version:u16 epoch:u16 sequence:u48 length:u16                  (RFC 6347 section 4.1)
    handshake    type:u8 length:u24 [DTLS: sequence:u16 fragment_offset:u24 fragment_length:u24]
    ClientHello  version:u16 random:32 session_id<u8> [DTLS: cookie<u8>] ciphers<u16> compressions<u8> extensions<u16>
    ServerHello  version:u16 random:32 session_id<u8> cipher:u16 compression:u8 extensions<u16>

A hello may be spread over records (TLS) or fragments (DTLS): a body is read as far as it is there, field by field.
"""

from libc.stdint cimport uint8_t, uint16_t, uint32_t
from libc.string cimport memcmp, memset

from fastpath.octets cimport be24 as u24

from typing import NamedTuple


cdef enum:
    DTLS_HEADER = 13
    DTLS_HANDSHAKE_HEADER = 12
    MAX_RECORD = 16384 + 2048   # RFC 5246 section 6.2.3
    RANDOM = 32

    TLS12_CID = 25              # RFC 9146: its header is longer by a connection ID that only the two ends know
    ACK = 26                    # RFC 9147

    HELLO_VERIFY_REQUEST = 3
    KEY_UPDATE = 24             # the highest that is assigned

    SERVER_NAME = 0             # RFC 6066
    USE_SRTP = 14               # RFC 5764
    ALPN = 16                   # RFC 7301
    SUPPORTED_VERSIONS = 43     # RFC 8446
    KEY_SHARE = 51

    # How far a hello could be read.
    READ_BAD = -1
    READ_PART = 0
    READ_ALL = 1


# Random of a ServerHello that is a HelloRetryRequest (RFC 8446 section 4.1.3).
cdef const uint8_t* RETRY_RANDOM = (
    b"\xCF\x21\xAD\x74\xE5\x9A\x61\x11\xBE\x1D\x8C\x02\x1E\x65\xB8\x91"
    b"\xC2\xA2\x11\x16\x7A\xBB\x8C\x5E\x07\x9E\x09\xE2\xC8\xA8\x33\x9C")


cdef inline uint16_t u16(const uint8_t* p) noexcept nogil:
    return <uint16_t>(p[0] << 8 | p[1])


# --- hellos ------------------------------------------------------------------------------------------------------

cdef struct Body:               # octets [at, n) of a body are there to read; it says to be total long
    const uint8_t* p
    uint32_t at
    uint32_t n
    uint32_t total


cdef inline int skip(Body* b, uint32_t octets) noexcept nogil:
    """READ_ALL when these octets are there; at moves past them."""
    if b.total - b.at < octets:
        return READ_BAD
    if b.n - b.at < octets:
        return READ_PART
    b.at += octets
    return READ_ALL


cdef inline int skip_vector(Body* b, uint32_t length_octets) noexcept nogil:
    """Past a vector with a length of one or two octets."""
    cdef int state = skip(b, length_octets)
    if state != READ_ALL:
        return state
    return skip(b, b.p[b.at - 1] if length_octets == 1 else u16(b.p + b.at - 2))


cdef inline uint8_t copy_name(uint8_t* out, const uint8_t* p, uint8_t n) noexcept nogil:
    cdef uint32_t i
    for i in range(n):
        out[i] = p[i] if 0x21 <= p[i] <= 0x7E else c"?"
    return n


cdef void read_server_name(const uint8_t* p, uint32_t n, HelloScan* out) noexcept nogil:
    """list<u16> of type:u8 name<u16>; host_name is type 0 and the only one (RFC 6066 section 3)."""
    cdef uint32_t length
    if n < 5 or p[2] != 0:
        return
    length = u16(p + 3)
    if 0 < length <= 255 and length <= n - 5:
        out.server_name_len = copy_name(out.server_name, p + 5, <uint8_t>length)


cdef void read_alpn(const uint8_t* p, uint32_t n, bint client, HelloScan* out) noexcept nogil:
    """list<u16> of name<u8>: what the client offers, or the server's one choice (RFC 7301 section 3.1)."""
    cdef uint32_t at = 2, first = 0
    cdef uint8_t length
    cdef const uint8_t* word
    while at < n:
        length = p[at]
        word = p + at + 1
        if length == 0 or length > n - at - 1:
            return
        if not client:
            out.alpn_len = copy_name(out.alpn, word, length)
            return
        if (length == 5 and memcmp(word, b"sip/2", 5) == 0) or (length == 3 and memcmp(word, b"sip", 3) == 0):
            out.alpn_offered |= ALPN_SIP
        elif length == 8 and memcmp(word, b"http/1.1", 8) == 0:
            out.alpn_offered |= ALPN_HTTP_1_1
        elif length == 2 and memcmp(word, b"h2", 2) == 0:
            out.alpn_offered |= ALPN_H2
        # A first name of two octets xAxA is grease and offers nothing (RFC 8701 section 2).
        if not first and not (length == 2 and word[0] & 15 == 10 and word[0] == word[1]):
            first = at
            out.alpn_first_len = copy_name(out.alpn_first, word, length)
        at += 1 + length


cdef inline uint16_t newer(uint16_t one, uint16_t other) noexcept nogil:
    """The higher version: DTLS counts downwards (RFC 6347 section 4.1)."""
    if one == 0:
        return other
    if one >> 8 == 0xFE:
        return other if other < one else one
    return other if other > one else one


cdef void read_versions(const uint8_t* p, uint32_t n, bint client, HelloScan* out) noexcept nogil:
    """The client's list<u8>, or the server's one version (RFC 8446 section 4.2.1)."""
    cdef uint32_t at
    cdef uint16_t best = 0
    cdef uint8_t major
    if not client:
        if n == 2:
            out.version = u16(p)
        return
    major = <uint8_t>(out.client_version >> 8)
    for at in range(1, n - 1 if n else 0, 2):
        if p[at] == major:
            best = newer(best, u16(p + at))
    if best:
        out.client_version = best


cdef void read_extension(uint16_t kind, const uint8_t* p, uint32_t n, bint client, HelloScan* out) noexcept nogil:
    if kind == SERVER_NAME and client:
        read_server_name(p, n, out)
    elif kind == ALPN:
        read_alpn(p, n, client, out)
    elif kind == SUPPORTED_VERSIONS:
        read_versions(p, n, client, out)
    elif kind == KEY_SHARE and n >= 4 and not client:
        out.group = u16(p)          # RFC 8446 section 4.2.8
    elif kind == USE_SRTP and n >= 4 and u16(p) >= 2:
        if client:
            out.srtp_offer = u16(p + 2)
        else:
            out.srtp_profile = u16(p + 2)


cdef int read_extensions(Body* b, bint client, HelloScan* out) noexcept nogil:
    cdef uint16_t kind
    cdef uint32_t start
    cdef int state
    if b.at == b.total:         # a hello without extensions ends here (RFC 5246 section 7.4.1.2)
        return READ_ALL
    state = skip(b, 2)
    if state != READ_ALL:
        return state
    if u16(b.p + b.at - 2) != b.total - b.at:
        return READ_BAD
    while b.at < b.total:
        state = skip(b, 4)
        if state != READ_ALL:
            return state
        kind = u16(b.p + b.at - 4)
        start = b.at
        state = skip(b, u16(b.p + b.at - 2))
        if state != READ_ALL:
            return state
        read_extension(kind, b.p + start, b.at - start, client, out)
    return READ_ALL


cdef bint is_retry(const uint8_t* message, uint32_t n) noexcept nogil:
    return (n >= TLS_HANDSHAKE_HEADER + 2 + RANDOM and message[0] == SERVER_HELLO
            and memcmp(message + TLS_HANDSHAKE_HEADER + 2, RETRY_RANDOM, RANDOM) == 0)


cdef int read_client_hello(Body* b, bint dtls, HelloScan* out) noexcept nogil:
    cdef int state = skip(b, 2 + RANDOM)
    if state != READ_ALL:
        return state
    if b.p[0] != (0xFE if dtls else 3):
        return READ_BAD
    out.client_version = u16(b.p)
    out.seen |= SEEN_CLIENT_HELLO
    state = skip_vector(b, 1)
    if state == READ_ALL and dtls:
        state = skip_vector(b, 1)
    if state == READ_ALL:
        state = skip_vector(b, 2)
    if state == READ_ALL:
        state = skip_vector(b, 1)
    return read_extensions(b, True, out) if state == READ_ALL else state


cdef int read_server_hello(Body* b, bint dtls, HelloScan* out) noexcept nogil:
    """Of a HelloRetryRequest only that it came: what it names, the ServerHello names again."""
    cdef int state = skip(b, 2 + RANDOM)
    if state != READ_ALL:
        return state
    if b.p[0] != (0xFE if dtls else 3):
        return READ_BAD
    if memcmp(b.p + 2, RETRY_RANDOM, RANDOM) == 0:
        out.seen |= SEEN_HELLO_RETRY
        return READ_ALL
    state = skip_vector(b, 1)
    if state == READ_ALL:
        state = skip(b, 3)
    if state != READ_ALL:
        return state
    out.version = u16(b.p)
    out.cipher = u16(b.p + b.at - 3)
    out.seen |= SEEN_SERVER_HELLO
    return read_extensions(b, False, out)


# --- TLS ---------------------------------------------------------------------------------------------------------

cdef bint record_header(const uint8_t* p, uint32_t n) noexcept nogil:
    cdef uint32_t length
    if p[0] < CHANGE_CIPHER_SPEC or p[0] > APPLICATION_DATA or (n > 1 and p[1] != 3) or (n > 2 and p[2] > 4):
        return False
    if n < TLS_HEADER:
        return True
    length = u16(p + 3)
    if p[0] == CHANGE_CIPHER_SPEC:
        return length == 1
    return 1 <= length <= MAX_RECORD


cdef inline bint hello_begins(const uint8_t* p, uint32_t n, bint dtls) noexcept nogil:
    """A ClientHello or ServerHello at its handshake header: type, length, and the major version."""
    cdef uint32_t body = DTLS_HANDSHAKE_HEADER if dtls else TLS_HANDSHAKE_HEADER
    if n < TLS_HANDSHAKE_HEADER or (p[0] != CLIENT_HELLO and p[0] != SERVER_HELLO):
        return False
    if u24(p + 1) < 2 + RANDOM + 4 or u24(p + 1) > 0xFFFF:
        return False
    return n <= body or p[body] == (0xFE if dtls else 3)


cdef bint tls_probe(const uint8_t* p, uint32_t n) noexcept nogil:
    cdef uint32_t length
    if n < TLS_HEADER + 1 or not record_header(p, n):
        return False
    length = u16(p + 3)
    if p[0] == HANDSHAKE and hello_begins(p + TLS_HEADER, min(length, n - TLS_HEADER), False):
        return True
    if p[0] == CHANGE_CIPHER_SPEC and p[TLS_HEADER] != 1:
        return False
    if p[0] == HANDSHAKE and n < TLS_HEADER + TLS_HANDSHAKE_HEADER:
        return p[TLS_HEADER] == CLIENT_HELLO or p[TLS_HEADER] == SERVER_HELLO      # a very short segment
    # In mid-stream, where a handshake message may be encrypted, the next header is the only witness.
    if n <= TLS_HEADER + length:
        return p[0] != HANDSHAKE
    return record_header(p + TLS_HEADER + length, n - TLS_HEADER - length)


cdef int read_hello(const uint8_t* p, uint32_t n, HelloScan* out) noexcept nogil:
    cdef Body body
    cdef int state
    if not hello_begins(p, n, False):
        return HELLO_NOT
    body.p = p + TLS_HANDSHAKE_HEADER
    body.at = 0
    body.total = u24(p + 1)
    body.n = min(n - TLS_HANDSHAKE_HEADER, body.total)
    state = read_client_hello(&body, False, out) if p[0] == CLIENT_HELLO else read_server_hello(&body, False, out)
    if state == READ_BAD:
        return HELLO_NOT
    if state == READ_PART:
        out.seen |= SEEN_PARTIAL
    return HELLO_DONE


# --- DTLS --------------------------------------------------------------------------------------------------------

cdef inline uint32_t dtls_record(const uint8_t* p, uint32_t n) noexcept nogil:
    """Octets of the record that begins a datagram's rest, header included; 0 when none does that fits."""
    cdef uint32_t size
    if n < DTLS_HEADER or p[0] < CHANGE_CIPHER_SPEC or p[0] > ACK or p[0] == TLS12_CID or p[1] != 0xFE:
        return 0
    if p[2] < 0xFC:
        return 0
    size = DTLS_HEADER + u16(p + 11)
    return size if DTLS_HEADER < size <= n and size <= DTLS_HEADER + MAX_RECORD else 0


cdef inline uint32_t unified_record(const uint8_t* p, uint32_t n) noexcept nogil:
    """The same for the header 001CSLEE of DTLS 1.3; one with a connection ID, or no length, takes the whole rest."""
    cdef uint32_t size
    if p[0] >> 5 != 1:
        return 0
    size = 3 if p[0] & 8 else 2
    if p[0] & 16 or not p[0] & 4:
        return n if n > size + 16 else 0    # at least sequence number and tag
    if n < size + 2:
        return 0
    size += 2 + u16(p + size)
    return size if size <= n else 0


cdef inline bint fragment_fits(const uint8_t* p, uint32_t n) noexcept nogil:
    """A handshake header in clear whose fragment lies in its message and in its record (RFC 6347 section 4.2.2)."""
    cdef uint32_t length
    if n < DTLS_HANDSHAKE_HEADER or p[0] > KEY_UPDATE:
        return False
    length = u24(p + 9)
    return length <= n - DTLS_HANDSHAKE_HEADER and u24(p + 6) + length <= u24(p + 1)


cdef bint dtls_probe(const uint8_t* p, uint32_t n) noexcept nogil:
    cdef uint32_t at = 0, size
    while at < n:
        size = dtls_record(p + at, n - at)
        if size == 0:
            # What follows keys may be DTLS 1.3 in the same datagram (RFC 9147 section 4.3).
            return at > 0 and unified_record(p + at, n - at) != 0
        if p[at] == HANDSHAKE and u16(p + at + 3) == 0 and not fragment_fits(p + at + DTLS_HEADER, size - DTLS_HEADER):
            return False
        at += size
    return n > 0


cdef int read_fragment(const uint8_t* p, HelloScan* out) noexcept nogil:
    """One handshake fragment of epoch 0; of a hello only the first is read, and it need not be the whole message."""
    cdef Body body
    cdef int state
    if p[0] == HELLO_VERIFY_REQUEST:
        out.seen |= SEEN_HELLO_VERIFY
        return HELLO_MORE
    if p[0] == CERTIFICATE and out.fragments < MAX_FRAGMENTS:
        out.fragment[out.fragments] = p
        out.fragments += 1
    if p[0] != CLIENT_HELLO and p[0] != SERVER_HELLO:
        return HELLO_MORE
    if u24(p + 6) != 0:
        return HELLO_MORE
    body.p = p + DTLS_HANDSHAKE_HEADER
    body.at = 0
    body.n = u24(p + 9)
    if not hello_begins(p, DTLS_HANDSHAKE_HEADER + body.n, True):
        return HELLO_NOT
    body.total = u24(p + 1)
    state = read_client_hello(&body, True, out) if p[0] == CLIENT_HELLO else read_server_hello(&body, True, out)
    if state == READ_BAD:
        return HELLO_NOT
    if state == READ_PART:
        out.seen |= SEEN_PARTIAL
    return HELLO_DONE


cdef int read_handshake(const uint8_t* p, uint32_t n, HelloScan* out) noexcept nogil:
    """Every fragment of a record: HELLO_DONE when a hello was among them."""
    cdef int state, result = HELLO_MORE
    cdef uint32_t size
    while n:
        if not fragment_fits(p, n):
            return HELLO_NOT
        state = read_fragment(p, out)
        if state == HELLO_NOT:
            return HELLO_NOT
        if state == HELLO_DONE:
            result = HELLO_DONE
        size = DTLS_HANDSHAKE_HEADER + u24(p + 9)
        p += size
        n -= size
    return result


cdef int dtls_scan(const uint8_t* p, uint32_t n, HelloScan* out) noexcept nogil:
    cdef uint32_t at = 0, size
    cdef int state, result = HELLO_MORE
    cdef const uint8_t* content
    out.fragments = 0
    if n == 0:
        return HELLO_NOT
    while at < n:
        size = dtls_record(p + at, n - at)
        if size == 0:
            if not out.seen & (SEEN_CLIENT_HELLO | SEEN_SERVER_HELLO):
                return HELLO_NOT
            size = unified_record(p + at, n - at)
            if size == 0:
                return HELLO_NOT
            out.seen |= SEEN_PROTECTED
            at += size
            continue
        content = p + at + DTLS_HEADER
        if p[at] == APPLICATION_DATA:
            out.seen |= SEEN_APPLICATION
        if u16(p + at + 3) != 0:
            out.seen |= SEEN_PROTECTED
        elif p[at] == CHANGE_CIPHER_SPEC:
            out.seen |= SEEN_CHANGE_CIPHER
        elif p[at] == ALERT and size == DTLS_HEADER + 2:
            out.seen |= SEEN_ALERT
            out.alert = content[1]
        elif p[at] == HANDSHAKE:
            state = read_handshake(content, size - DTLS_HEADER, out)
            if state == HELLO_NOT:
                return HELLO_NOT
            if state == HELLO_DONE:
                result = HELLO_DONE
        at += size
    return result


# --- cipher suites -----------------------------------------------------------------------------------------------

cdef bint cipher_is_null(uint16_t cipher) noexcept nogil:
    return cipher in (
        0x0000, 0x0001, 0x0002, 0x002C, 0x002D, 0x002E, 0x003B, 0x00B0, 0x00B1, 0x00B4, 0x00B5, 0x00B8,
        0x00B9, 0xC001, 0xC006, 0xC00B, 0xC010, 0xC015, 0xC039, 0xC03A, 0xC03B, 0xC0B4, 0xC0B5)


# --- for tests and fuzzing ---------------------------------------------------------------------------------------

class HelloFields(NamedTuple):
    """A HelloScan: ``result`` is 1 done, 0 more needed, -1 not TLS or DTLS; ``seen`` names what crossed."""

    result: int
    seen: frozenset[str]
    client_version: int
    version: int
    cipher: int
    srtp_offer: int
    srtp_profile: int
    alert: int
    server_name: str
    alpn_offered: frozenset[str]
    alpn_first: str
    alpn: str


SEEN = (
    ("client-hello", SEEN_CLIENT_HELLO), ("server-hello", SEEN_SERVER_HELLO), ("hello-retry", SEEN_HELLO_RETRY),
    ("hello-verify", SEEN_HELLO_VERIFY), ("change-cipher", SEEN_CHANGE_CIPHER), ("protected", SEEN_PROTECTED),
    ("application", SEEN_APPLICATION), ("alert", SEEN_ALERT), ("partial", SEEN_PARTIAL))
OFFERED = (("sip", ALPN_SIP), ("http/1.1", ALPN_HTTP_1_1), ("h2", ALPN_H2))


cdef tuple alpn_words(uint8_t offered):
    return tuple([word for word, bit in OFFERED if offered & <int>bit])


cdef object hello_fields(int result, const HelloScan* s):
    return HelloFields(
        result, frozenset([word for word, bit in SEEN if s.seen & <int>bit]), s.client_version, s.version, s.cipher,
        s.srtp_offer, s.srtp_profile, s.alert, s.server_name[:s.server_name_len].decode("ascii"),
        frozenset(alpn_words(s.alpn_offered)),
        s.alpn_first[:s.alpn_first_len].decode("ascii"), s.alpn[:s.alpn_len].decode("ascii"))


def probe_tls(octets: bytes) -> bool:
    """Whether a TCP stream with these first octets is made of TLS records."""
    return tls_probe(octets, <uint32_t>len(octets))


def probe_dtls(octets: bytes) -> bool:
    """Whether a datagram is made of DTLS records."""
    return dtls_probe(octets, <uint32_t>len(octets))


def scan_dtls(*datagrams: bytes) -> HelloFields:
    """The hellos of a flow's datagrams; ``result`` is that of the last one."""
    cdef HelloScan s
    cdef int result = HELLO_NOT
    memset(&s, 0, sizeof(s))
    for datagram in datagrams:
        result = dtls_scan(datagram, <uint32_t>len(datagram), &s)
    return hello_fields(result, &s)


def is_null_cipher(cipher: int) -> bool:
    """Whether a TLS cipher suite does not encrypt."""
    return cipher_is_null(<uint16_t>cipher)
