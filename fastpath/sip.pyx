"""SIP and SDP read in one pass over the message, without a copy and without keeping an octet of a key.

Read first: RFC 3261 sections 7, 18.3, 20 and 25; RFC 8866 sections 5, 6 and 9; RFC 4568 sections 4 to 6.
A message may be cut at any octet: a header or an SDP line counts only when its end was seen, so that a cut message
says less than the whole one, but nothing else. Work is linear in the octets, whatever they are.
"""

from cpython.unicode cimport PyUnicode_DecodeLatin1
from libc.stdint cimport UINT32_MAX, int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memchr, memcmp, memcpy, memset, strlen

from fastpath.events cimport EventAgent, EventExposure, EventHead, EventNegotiation
from fastpath.names cimport APP_SIP
from fastpath.siphash cimport SIPHASH_SECRET_OCTETS, siphash

from fastpath.records import APP_NAMES, Agent, Exposure, FlowKey, Negotiation, SipMessage
from fastpath.records import SdpCrypto as CryptoRecord
from fastpath.records import SdpMedia as MediaRecord


cdef extern from "<string.h>" nogil:
    void* memmem(const void* haystack, size_t n, const void* needle, size_t needle_n)
    void explicit_bzero(void* octets, size_t n)


cdef extern from "<arpa/inet.h>" nogil:
    enum:
        AF_INET
        AF_INET6
    int inet_pton(int family, const char* text, void* address)
    const char* inet_ntop(int family, const void* address, char* text, uint32_t size)


cdef enum:
    MAX_METHOD = 64             # RFC 4475 section 3.1.1.2 has one of 43 octets
    MAX_SCHEME = 16
    MAX_START_LINE = 8192
    MAX_NAME = 128              # octets of a Call-ID, tag or user that leave the process's packet memory
    MAX_USER_AGENT = 128
    MAX_MEDIA_TYPE = 16
    MAX_TOKEN = 32              # profile, rtpmap encoding
    MAX_ADDRESS = 64
    MAX_HASH_NAME = 16
    MAX_FINGERPRINT = 64        # octets: SHA-512
    MAX_CANDIDATE = 45          # an IPv6 address that ends in an IPv4 one
    MAX_KEY = 64                # octets of key and salt; no suite has more than 46
    MAX_MKI = 128               # RFC 4568 section 6.1
    MAX_TEXT = 128              # octets of any text that is cut
    MAX_BOUNDARY = 70           # RFC 2046 section 5.1.1
    MAX_PARTS = 32
    MAX_NESTING = 4             # multipart in multipart (RFC 5621 section 3.2)
    SUITES = 23
    DIGEST_TEXT = 17            # "~" and 16 hexadecimal digits

    START_NO = -1
    START_SHORT = 0             # nothing against it yet
    START_CUT = 1               # surely SIP; its end was not seen
    START_WHOLE = 2

    HEADER_CUT = -1
    HEADER_END = 0
    HEADER_OTHER = 1
    HEADER_CALL_ID = 2
    HEADER_CSEQ = 3
    HEADER_FROM = 4
    HEADER_TO = 5
    HEADER_CONTENT_LENGTH = 6
    HEADER_CONTENT_TYPE = 7
    HEADER_USER_AGENT = 8
    HEADER_SERVER = 9
    HEADER_AUTHORIZATION = 10
    HEADER_SESSION_ID = 11
    HEADER_REPLACES = 12
    HEADER_REQUIRE = 13

    BODY_OTHER = 0
    BODY_SDP = 1
    BODY_MULTIPART = 2
    BODY_SEALED = 3             # not to be read by people: encrypted, or no message
    BODY_CPIM = 4               # RFC 3862: headers, then a body with its own Content-Type
    BODY_METADATA = 5           # of a recording (RFC 7865)

    UUID_DIGITS = 32


# --- octets ------------------------------------------------------------------------------------------------------

cdef inline uint8_t lower(uint8_t c) noexcept nogil:
    return c + 32 if c"A" <= c <= c"Z" else c


cdef inline bint is_blank(uint8_t c) noexcept nogil:
    return c == c" " or c == c"\t"


cdef inline bint is_space(uint8_t c) noexcept nogil:
    """LWS of RFC 3261 section 25.1: a folded value holds its line ends too."""
    return c == c" " or c == c"\t" or c == c"\r" or c == c"\n"


cdef inline bint is_digit(uint8_t c) noexcept nogil:
    return c"0" <= c <= c"9"


cdef inline bint is_alpha(uint8_t c) noexcept nogil:
    return c"a" <= lower(c) <= c"z"


cdef inline bint is_hex(uint8_t c) noexcept nogil:
    return is_digit(c) or c"a" <= lower(c) <= c"f"


cdef inline bint is_token(uint8_t c) noexcept nogil:
    """RFC 3261 section 25.1."""
    if is_alpha(c) or is_digit(c):
        return True
    return (c == c"-" or c == c"." or c == c"!" or c == c"%" or c == c"*" or c == c"_" or c == c"+"
            or c == c"`" or c == c"'" or c == c"~")


cdef inline bint same(const uint8_t* p, uint32_t n, const char* word, uint32_t word_n) noexcept nogil:
    """Equality without regard to case; the word is in lower case."""
    cdef uint32_t i
    if n != word_n:
        return False
    for i in range(n):
        if lower(p[i]) != <uint8_t>word[i]:
            return False
    return True


cdef inline bint begins(const uint8_t* p, uint32_t n, const char* word, uint32_t word_n) noexcept nogil:
    return n >= word_n and same(p, word_n, word, word_n)


cdef inline uint32_t skip_space(const uint8_t* p, uint32_t at, uint32_t end) noexcept nogil:
    while at < end and is_space(p[at]):
        at += 1
    return at


cdef inline uint32_t trim_end(const uint8_t* p, uint32_t at, uint32_t end) noexcept nogil:
    while end > at and is_space(p[end - 1]):
        end -= 1
    return end


cdef inline uint32_t find(const uint8_t* p, uint32_t at, uint32_t end, uint8_t c) noexcept nogil:
    """Where c is next, or end."""
    cdef const uint8_t* hit
    if at >= end:
        return end
    hit = <const uint8_t*>memchr(p + at, c, end - at)
    return end if hit == NULL else <uint32_t>(hit - p)


cdef inline int64_t number(const uint8_t* p, uint32_t at, uint32_t end) noexcept nogil:
    """The decimal number that begins at an octet, at most UINT32_MAX; -1 when there is no digit."""
    cdef uint64_t value = 0
    if at >= end or not is_digit(p[at]):
        return -1
    while at < end and is_digit(p[at]):
        value = value * 10 + (p[at] - c"0")
        if value > UINT32_MAX:
            return UINT32_MAX
        at += 1
    return <int64_t>value


cdef inline Span span(uint32_t at, uint32_t end) noexcept nogil:
    cdef Span s
    s.at = at
    s.len = end - at if end > at else 0
    return s


cdef inline Span next_word(const uint8_t* p, uint32_t* at, uint32_t end) noexcept nogil:
    """The next run without blanks; len 0 at the end of the line."""
    cdef uint32_t i = at[0], start
    while i < end and is_blank(p[i]):
        i += 1
    start = i
    while i < end and not is_blank(p[i]):
        i += 1
    at[0] = i
    return span(start, i)


# --- start line --------------------------------------------------------------------------------------------------

cdef inline bint known_scheme(const uint8_t* p, uint32_t n) noexcept nogil:
    return (same(p, n, b"sip", 3) or same(p, n, b"sips", 4) or same(p, n, b"tel", 3) or same(p, n, b"urn", 3)
            or same(p, n, b"im", 2) or same(p, n, b"pres", 4))


cdef inline bint has_control(const uint8_t* p, uint32_t at, uint32_t end) noexcept nogil:
    while at < end:
        if p[at] < 0x20 or p[at] == 0x7F:
            return True
        at += 1
    return False


cdef int status_line(const uint8_t* p, uint32_t n, uint32_t* end) noexcept nogil:
    """SIP/2.0 SP 3DIGIT SP reason (RFC 3261 section 7.2)."""
    cdef uint32_t i
    if not begins(p, n if n < 8 else 8, b"sip/2.0 ", n if n < 8 else 8):
        return START_NO
    for i in range(8, 11):
        if i >= n:
            return START_SHORT
        if not is_digit(p[i]):
            return START_NO
    if p[8] < c"1" or p[8] > c"6":
        return START_NO
    if n == 11:
        return START_CUT
    if not is_space(p[11]):
        return START_NO
    i = find(p, 11, n, c"\n")
    if i == n:
        return START_CUT if n <= MAX_START_LINE else START_NO
    end[0] = i + 1
    return START_WHOLE


cdef int request_line(const uint8_t* p, uint32_t n, uint32_t* end) noexcept nogil:
    """Method SP Request-URI SP SIP/2.0 (RFC 3261 section 7.1).

    The version at the end of the line decides. While that has not been seen, only a URI scheme of SIP's own does:
    HTTP and RTSP (RFC 2326 section 6.1) look the same up to there.
    """
    cdef uint32_t i = 0, uri, colon, stop
    while i < n and i <= MAX_METHOD and is_token(p[i]):
        i += 1
    if i == n and i <= MAX_METHOD:
        return START_SHORT
    if i == 0 or i > MAX_METHOD or p[i] != c" ":
        return START_NO
    uri = i + 1
    colon = uri
    while colon < n and colon - uri <= MAX_SCHEME and (
            is_alpha(p[colon]) or (colon > uri and (is_digit(p[colon]) or p[colon] in (c"+", c"-", c".")))):
        colon += 1
    if colon == n and colon - uri <= MAX_SCHEME:
        return START_SHORT
    if colon == uri or colon - uri > MAX_SCHEME or p[colon] != c":":
        return START_NO
    i = find(p, colon, n, c"\n")
    if i == n:
        stop = n - 1 if p[n - 1] == c"\r" else n
        if n > MAX_START_LINE or has_control(p, colon, stop):
            return START_NO
        return START_CUT if known_scheme(p + uri, colon - uri) and stop > colon + 1 else START_SHORT
    stop = trim_end(p, colon, i)
    if stop - colon < 10 or not same(p + stop - 8, 8, b" sip/2.0", 8) or has_control(p, colon, stop):
        return START_NO
    end[0] = i + 1
    return START_WHOLE


cdef inline int start_line(const uint8_t* p, uint32_t n, uint32_t* end) noexcept nogil:
    """START_…; end is set past the line when it is whole."""
    cdef int status = status_line(p, n, end)
    return status if status > START_SHORT else request_line(p, n, end) if status == START_NO else status


cdef bint sip_probe(const uint8_t* p, uint32_t n) noexcept nogil:
    cdef uint32_t end = 0
    return start_line(p, n, &end) >= START_CUT


# --- headers -----------------------------------------------------------------------------------------------------

cdef int header_kind(const uint8_t* p, uint32_t n) noexcept nogil:
    """Long and compact names (RFC 3261 sections 7.3.3 and 20)."""
    cdef uint8_t c
    if n == 1:
        c = lower(p[0])
        if c == c"i":
            return HEADER_CALL_ID
        if c == c"f":
            return HEADER_FROM
        if c == c"t":
            return HEADER_TO
        if c == c"l":
            return HEADER_CONTENT_LENGTH
        if c == c"c":
            return HEADER_CONTENT_TYPE
    elif n == 2:
        if same(p, n, b"to", 2):
            return HEADER_TO
    elif n == 4:
        if same(p, n, b"from", 4):
            return HEADER_FROM
        if same(p, n, b"cseq", 4):
            return HEADER_CSEQ
    elif n == 6:
        if same(p, n, b"server", 6):
            return HEADER_SERVER
    elif n == 7:
        if same(p, n, b"call-id", 7):
            return HEADER_CALL_ID
        if same(p, n, b"require", 7):
            return HEADER_REQUIRE
    elif n == 8:
        if same(p, n, b"replaces", 8):
            return HEADER_REPLACES
    elif n == 10:
        if same(p, n, b"user-agent", 10):
            return HEADER_USER_AGENT
        if same(p, n, b"session-id", 10):
            return HEADER_SESSION_ID
    elif n == 12:
        if same(p, n, b"content-type", 12):
            return HEADER_CONTENT_TYPE
    elif n == 14:
        if same(p, n, b"content-length", 14):
            return HEADER_CONTENT_LENGTH
    elif n == 13:
        if same(p, n, b"authorization", 13):
            return HEADER_AUTHORIZATION
    elif n == 19:
        if same(p, n, b"proxy-authorization", 19):
            return HEADER_AUTHORIZATION
    return HEADER_OTHER


cdef int next_header(const uint8_t* p, uint32_t n, uint32_t* at, Span* field, Span* value) noexcept nogil:
    """One header field with its continuation lines (RFC 3261 section 7.3.1); at moves past it.

    A line counts once the octet after it was seen: until then it might go on.
    """
    cdef uint32_t start = at[0], end = start, i
    if start >= n:
        return HEADER_CUT
    if p[start] == c"\n":
        at[0] = start + 1
        return HEADER_END
    if p[start] == c"\r" and start + 1 < n and p[start + 1] == c"\n":
        at[0] = start + 2
        return HEADER_END
    while True:
        end = find(p, end, n, c"\n") + 1
        if end >= n:
            return HEADER_CUT
        if not is_blank(p[end]):
            break
    at[0] = end
    i = start
    while i < end and p[i] != c":" and not is_blank(p[i]):
        i += 1
    n = i - start
    while i < end and is_blank(p[i]):
        i += 1
    if i == end or p[i] != c":":
        return HEADER_OTHER
    i = skip_space(p, i + 1, end)
    value[0] = span(i, trim_end(p, i, end))
    field[0] = span(start, start + n)
    return header_kind(p + start, n)


cdef int64_t sip_frame(const uint8_t* p, uint32_t n, uint32_t searched) noexcept nogil:
    cdef uint32_t at = 0, begin
    cdef int64_t length = 0
    cdef int kind
    cdef Span field, value
    if n > SIP_MAX_MESSAGE:
        n = SIP_MAX_MESSAGE
    kind = start_line(p, n, &at)
    if kind == START_NO:
        return -1
    # A stream that comes octet by octet asks again each time: look for the end before reading the headers.
    if kind != START_WHOLE:
        return 0 if n < SIP_MAX_MESSAGE else -1
    begin = at - 1
    if searched > begin + 2:
        begin = min(searched - 2, n)
    if memmem(p + begin, n - begin, b"\n\r\n", 3) == NULL and memmem(p + begin, n - begin, b"\n\n", 2) == NULL:
        return 0 if n < SIP_MAX_MESSAGE else -1
    length = -1
    while True:
        kind = next_header(p, n, &at, &field, &value)
        if kind <= HEADER_END:
            break
        if kind == HEADER_CONTENT_LENGTH and length < 0:
            length = number(p, value.at, value.at + value.len)
    if kind == HEADER_CUT:
        return 0 if n < SIP_MAX_MESSAGE else -1
    # Mandatory on a stream (RFC 3261 section 20.14); without it there is nothing to believe but an empty body.
    length = at + (length if length > 0 else 0)
    if length > SIP_MAX_MESSAGE:
        return -1
    return length


cdef uint32_t sip_resync(const uint8_t* p, uint32_t n) noexcept nogil:
    cdef uint32_t at = 0, end = 0
    cdef int state
    while True:
        at = find(p, at, n, c"\n")
        if at >= n:
            return n
        at += 1
        state = start_line(p + at, n - at, &end)
        if state != START_NO and at < n:
            return at


# --- names -------------------------------------------------------------------------------------------------------

cdef Name name(const uint8_t* p, uint32_t at, uint32_t end, const uint8_t* secret) noexcept nogil:
    """A text to identify by: digested when it is too long, or not printable ASCII, to leave unchanged."""
    cdef Name text
    cdef uint32_t i
    text.span = span(at, end)
    text.digest = 0
    for i in range(at, end):
        if p[i] < 0x21 or p[i] > 0x7E or i - at >= MAX_NAME:
            text.digest = siphash(secret, p + at, text.span.len)
            break
    return text


cdef Span uri_user(const uint8_t* p, uint32_t at, uint32_t end) noexcept nogil:
    """User of a SIP URI without password, or the number of a tel URI; its parameters are left out in both.

    RFC 3261 section 19.1.6 puts a tel URI into a user part together with its parameters.
    """
    cdef uint32_t colon, stop
    at = skip_space(p, at, end)
    colon = find(p, at, end if end - at <= MAX_SCHEME else at + MAX_SCHEME, c":")
    if same(p + at, colon - at, b"tel", 3):
        stop = end
    elif same(p + at, colon - at, b"sip", 3) or same(p + at, colon - at, b"sips", 4):
        stop = find(p, colon, end, c"@")
        if stop == end:
            return span(0, 0)
    else:
        return span(0, 0)
    at = colon + 1
    if at >= stop:
        return span(0, 0)
    stop = find(p, at, stop, c";")
    stop = find(p, at, stop, c":")
    return span(at, trim_end(p, at, stop))


cdef inline uint32_t past_quoted(const uint8_t* p, uint32_t at, uint32_t end) noexcept nogil:
    """Past the quoted string that begins at an octet (RFC 3261 section 25.1)."""
    at += 1
    while at < end and p[at] != c'"':
        at += 2 if p[at] == c"\\" else 1
    return at + 1 if at < end else end


cdef Span parameter(const uint8_t* p, uint32_t at, uint32_t end, const char* word, uint32_t word_n) noexcept nogil:
    """Value of the first ;word=value or ;word="value" from an octet on; len 0 when there is none."""
    cdef uint32_t start, stop
    while at < end:
        if p[at] == c'"':
            at = past_quoted(p, at, end)
            continue
        if p[at] != c";":
            at += 1
            continue
        start = skip_space(p, at + 1, end)
        at = start
        while at < end and is_token(p[at]):
            at += 1
        stop = at
        at = skip_space(p, at, end)
        if at >= end or p[at] != c"=" or not same(p + start, stop - start, word, word_n):
            continue
        at = skip_space(p, at + 1, end)
        if at < end and p[at] == c'"':
            stop = past_quoted(p, at, end)
            return span(at + 1, stop - 1)
        stop = at
        while stop < end and p[stop] != c";" and not is_space(p[stop]):
            stop += 1
        return span(at, stop)
    return span(0, 0)


cdef void party(
        const uint8_t* p, Span value, const uint8_t* secret, Name* user, Name* tag) noexcept nogil:
    """From and To: name-addr or addr-spec, then parameters (RFC 3261 sections 20.20 and 20.39)."""
    cdef uint32_t at = value.at, end = value.at + value.len, close
    cdef Span text
    while at < end and p[at] != c"<" and p[at] != c";":
        at = past_quoted(p, at, end) if p[at] == c'"' else at + 1
    if at < end and p[at] == c"<":
        close = find(p, at, end, c">")
        text = uri_user(p, at + 1, close)
        at = close
    else:
        text = uri_user(p, value.at, at)
    user[0] = name(p, text.at, text.at + text.len, secret)
    text = parameter(p, at, end, b"tag", 3)
    tag[0] = name(p, text.at, text.at + text.len, secret)


# --- headers that say what a message exposes, and to what it belongs ------------------------------------------------

cdef uint8_t credentials(const uint8_t* p, Span value) noexcept nogil:
    """The scheme of credentials (RFC 3261 section 20.7, RFC 8898).

    A Digest with an empty response has nothing to guess by (RFC 3310 section 3.3: the first REGISTER of AKA), nor has a
    scheme alone.
    """
    cdef uint32_t at = value.at, end = value.at + value.len
    cdef Span scheme
    while at < end and is_token(p[at]):
        at += 1
    scheme = span(value.at, at)
    at = skip_space(p, at, end)
    if scheme.len == 0 or at == end:
        return SIP_CREDENTIALS_NONE
    if same(p + scheme.at, scheme.len, b"basic", 5):
        return SIP_CREDENTIALS_BASIC
    if same(p + scheme.at, scheme.len, b"bearer", 6):
        return SIP_CREDENTIALS_BEARER
    if not same(p + scheme.at, scheme.len, b"digest", 6):
        return SIP_CREDENTIALS_OTHER
    while at < end:
        at = skip_space(p, at, end)
        if begins(p + at, end - at, b"response", 8):
            at = skip_space(p, at + 8, end)
            if at < end and p[at] == c"=":
                at = skip_space(p, at + 1, end)
                at += at < end and p[at] == c'"'
                return SIP_CREDENTIALS_DIGEST if at < end and p[at] != c'"' and p[at] != c"," else 0
        while at < end and p[at] != c",":
            at = past_quoted(p, at, end) if p[at] == c'"' else at + 1
        at += 1
    return SIP_CREDENTIALS_NONE


cdef inline Span uuid(const uint8_t* p, Span text) noexcept nogil:
    """A UUID of Session-ID (RFC 7989 section 5); len 0 for anything else, and for the nil one."""
    cdef uint32_t i, zeros = 0
    if text.len != UUID_DIGITS:
        return span(0, 0)
    for i in range(text.at, text.at + UUID_DIGITS):
        if not is_hex(p[i]):
            return span(0, 0)
        zeros += p[i] == c"0"
    return span(0, 0) if zeros == UUID_DIGITS else text


cdef inline bint lists(const uint8_t* p, Span value, const char* word, uint32_t word_n) noexcept nogil:
    """Whether a token is in a list with commas."""
    cdef uint32_t at = value.at, end = value.at + value.len, stop
    while at < end:
        at = skip_space(p, at, end)
        stop = find(p, at, end, c",")
        if same(p + at, trim_end(p, at, stop) - at, word, word_n):
            return True
        at = stop + 1
    return False


cdef inline uint32_t first_value(const uint8_t* p, Span value) noexcept nogil:
    """Where what comes before the first parameter ends."""
    return trim_end(p, value.at, find(p, value.at, value.at + value.len, c";"))


cdef void take_wanted(
        const uint8_t* p, Span field, Span value, const uint8_t* secret, const WantedHeaders* wanted,
        SipScan* out) noexcept nogil:
    cdef int i
    for i in range(wanted.count):
        if out.wanted[i] == 0 and same(p + field.at, field.len, <const char*>&wanted.name[i][0], wanted.size[i]):
            out.wanted[i] = siphash(secret, p + value.at, value.len)


# --- body --------------------------------------------------------------------------------------------------------

cdef int content_type(const uint8_t* p, Span value, Span* boundary) noexcept nogil:
    """BODY_…; boundary is set for multipart (RFC 2046 section 5.1.1)."""
    cdef const uint8_t* v = p + value.at
    if begins(v, value.len, b"application/sdp", 15) and (value.len == 15 or not is_token(v[15])):
        return BODY_SDP
    if begins(v, value.len, b"multipart/", 10):
        if begins(v, value.len, b"multipart/encrypted", 19):
            return BODY_SEALED
        boundary[0] = parameter(p, value.at, value.at + value.len, b"boundary", 8)
        if 0 < boundary.len <= MAX_BOUNDARY:
            return BODY_MULTIPART
    if (begins(v, value.len, b"application/pkcs7-mime", 22) or begins(v, value.len, b"application/x-pkcs7-mime", 24)
            or begins(v, value.len, b"application/im-iscomposing", 26) or begins(v, value.len, b"message/imdn", 12)):
        return BODY_SEALED          # RFC 8591, RFC 3994, RFC 5438
    if begins(v, value.len, b"message/cpim", 12):
        return BODY_CPIM
    if begins(v, value.len, b"application/rs-metadata", 23):
        return BODY_METADATA
    return BODY_OTHER


cdef bint is_text(const uint8_t* p, uint32_t at, uint32_t end, int kind, bint whole) noexcept nogil:
    """Whether the body of a MESSAGE (RFC 3428) is to be read by people and in clear.

    What CPIM holds is told by the second block of its headers (RFC 3862 section 2).
    """
    cdef Span field, value, boundary
    cdef int header, block
    if at >= end or kind == BODY_SEALED:
        return False
    if kind != BODY_CPIM:
        return True
    for block in range(2):
        while True:
            header = next_header(p, end, &at, &field, &value)
            if header == HEADER_CUT:
                return whole
            if header == HEADER_END:
                break
            if block and header == HEADER_CONTENT_TYPE and content_type(p, value, &boundary) == BODY_SEALED:
                return False
    return True


cdef inline bint is_sdp(const uint8_t* p, uint32_t at, uint32_t end, int kind) noexcept nogil:
    """Every description begins with v=0 (RFC 8866 section 5.1); Content-Type alone is believed for any type=value."""
    if end - at >= 3 and memcmp(p + at, b"v=0", 3) == 0:
        return True
    return kind == BODY_SDP and end - at >= 2 and is_alpha(p[at]) and p[at + 1] == c"="


cdef Span sdp_part(
        const uint8_t* p, uint32_t at, uint32_t end, Span boundary, uint8_t* recording) noexcept nogil:
    """The first part of a multipart body that is SDP, also in a multipart within it (RFC 5621 section 3.2).

    A part that describes a recording (RFC 7865) is noted wherever it is.
    """
    cdef Span[MAX_NESTING] open
    cdef Span inner, field, value
    cdef Span part = span(0, 0)
    cdef uint32_t depth = 1, parts = 0, i, stop, found = 0
    cdef int kind = BODY_OTHER, header
    open[0] = boundary
    inner.len = 0
    while at < end:
        stop = find(p, at, end, c"\n")
        if stop - at >= 2 and p[at] == c"-" and p[at + 1] == c"-":
            for i in range(depth, 0, -1):
                inner = open[i - 1]
                if stop - at - 2 >= inner.len and memcmp(p + at + 2, p + inner.at, inner.len) == 0:
                    break
            else:
                at = stop + 1
                continue
            if found and part.len == 0:
                part = span(found, at)
            parts += 1
            if parts > MAX_PARTS:
                break
            at += 2 + inner.len
            depth = i
            if stop - at >= 2 and p[at] == c"-" and p[at + 1] == c"-":
                depth -= 1
                if depth == 0:
                    break
                at = stop + 1
                continue
            at = stop + 1
            kind = BODY_OTHER
            while True:
                header = next_header(p, end, &at, &field, &value)
                if header <= HEADER_END:
                    break
                if header == HEADER_CONTENT_TYPE:
                    kind = content_type(p, value, &inner)
            if header == HEADER_CUT:
                break
            if kind == BODY_METADATA:
                recording[0] = True
            elif is_sdp(p, at, end, kind):
                found = at if found == 0 else found
            elif kind == BODY_MULTIPART and depth < MAX_NESTING:
                open[depth] = inner
                depth += 1
            continue
        at = stop + 1
    return span(found, end) if found and part.len == 0 else part


# --- SDP ---------------------------------------------------------------------------------------------------------

# What RFC 4568 section 6.2, RFC 5669, RFC 6188 and RFC 7714 registered; the names of RFC 8269; and those that phones
# took for RFC 6188 from its drafts.
cdef const char* SUITE[SUITES]
SUITE[:] = [
    b"",
    b"aes_cm_128_hmac_sha1_80",
    b"aes_cm_128_hmac_sha1_32",
    b"f8_128_hmac_sha1_80",
    b"seed_ctr_128_hmac_sha1_80",
    b"seed_128_ccm_80",
    b"seed_128_gcm_96",
    b"aes_192_cm_hmac_sha1_80",
    b"aes_192_cm_hmac_sha1_32",
    b"aes_256_cm_hmac_sha1_80",
    b"aes_256_cm_hmac_sha1_32",
    b"aead_aes_128_gcm",
    b"aead_aes_256_gcm",
    b"aead_aria_128_gcm",
    b"aead_aria_256_gcm",
    b"aria_128_ctr_hmac_sha1_80",
    b"aria_128_ctr_hmac_sha1_32",
    b"aria_256_ctr_hmac_sha1_80",
    b"aria_256_ctr_hmac_sha1_32",
    b"aes_cm_192_hmac_sha1_80",
    b"aes_cm_192_hmac_sha1_32",
    b"aes_cm_256_hmac_sha1_80",
    b"aes_cm_256_hmac_sha1_32",
]


cdef inline bint names_secure_profile(const uint8_t* p, uint32_t at, uint32_t end) noexcept nogil:
    """Whether a profile, or one of a list (a=tcap, RFC 5939 section 3.4.2), is RTP/SAVP, RTP/SAVPF or one over DTLS."""
    return memmem(p + at, end - at, b"/SAVP", 5) != NULL


cdef inline void clear_media(SdpMedia* m) noexcept nogil:
    """Every field but the arrays, which their counts bound."""
    memset(m, 0, <const uint8_t*>&m.fingerprints[0] - <const uint8_t*>m)


cdef bint open_media(const uint8_t* p, uint32_t at, uint32_t end, const SdpMedia* session, SdpMedia* m) noexcept nogil:
    """m=<media> <port>[/<count>] <proto> <fmt> … (RFC 8866 section 5.14); what holds from session level is copied."""
    cdef Span word
    cdef int64_t value
    cdef int i
    clear_media(m)
    m.address = session.address
    for i in range(session.fingerprint_count):
        m.fingerprints[i] = session.fingerprints[i]
    m.fingerprint_count = session.fingerprint_count
    m.potential_srtp = session.potential_srtp
    m.direction = session.direction
    m.setup = session.setup
    m.media = next_word(p, &at, end)
    word = next_word(p, &at, end)
    value = number(p, word.at, word.at + word.len)
    if value < 0 or value > 0xFFFF:
        return False
    m.port = <uint16_t>value
    m.profile = next_word(p, &at, end)
    m.secure = names_secure_profile(p, m.profile.at, m.profile.at + m.profile.len)
    while m.payload_count < SDP_MAX_PAYLOADS:
        word = next_word(p, &at, end)
        if word.len == 0:
            break
        value = number(p, word.at, word.at + word.len)
        if 0 <= value <= 127:
            m.payloads[m.payload_count].number = <uint8_t>value
            m.payloads[m.payload_count].encoding.len = 0
            m.payload_count += 1
    return m.profile.len != 0


cdef Span connection_address(const uint8_t* p, uint32_t at, uint32_t end) noexcept nogil:
    """c=IN IP4 <address>[/<ttl>[/<count>]] (RFC 8866 section 5.7)."""
    cdef Span word
    next_word(p, &at, end)
    next_word(p, &at, end)
    word = next_word(p, &at, end)
    return span(word.at, find(p, word.at, word.at + word.len, c"/"))


cdef void read_rtpmap(const uint8_t* p, uint32_t at, uint32_t end, SdpMedia* m) noexcept nogil:
    """a=rtpmap:<payload type> <encoding>/<clock rate>[/<channels>] (RFC 8866 section 6.6)."""
    cdef Span word = next_word(p, &at, end)
    cdef int64_t value = number(p, word.at, word.at + word.len)
    cdef uint32_t i
    for i in range(m.payload_count):
        if m.payloads[i].number == value and m.payloads[i].encoding.len == 0:
            m.payloads[i].encoding = next_word(p, &at, end)
            return


cdef inline int sextet(uint8_t c) noexcept nogil:
    """The six bits of a base64 digit (RFC 4648 section 4), -1 for anything else."""
    if c"A" <= c <= c"Z":
        return c - c"A"
    if c"a" <= c <= c"z":
        return c - c"a" + 26
    if is_digit(c):
        return c - c"0" + 52
    return 62 if c == c"+" else 63 if c == c"/" else -1


cdef uint64_t key_digest(const uint8_t* p, uint32_t at, uint32_t end, const uint8_t* secret) noexcept nogil:
    """Digest of the octets that base64 stands for, however it is padded; 0 for what is no key."""
    cdef uint8_t[MAX_KEY] octets
    cdef uint32_t n = 0, bits = 0, held = 0
    cdef uint64_t digest = 0
    cdef int value = 0
    while end > at and p[end - 1] == c"=":
        end -= 1
    while at < end:
        value = sextet(p[at])
        if value < 0 or n == MAX_KEY:
            break
        bits = (bits & 0xFF) << 6 | <uint32_t>value
        held += 6
        if held >= 8:
            held -= 8
            octets[n] = <uint8_t>(bits >> held)
            n += 1
        at += 1
    if at == end and n and held < 6:
        digest = siphash(secret, octets, n)
    explicit_bzero(octets, MAX_KEY)
    return digest


cdef uint8_t mki_octets(const uint8_t* p, uint32_t at, uint32_t end) noexcept nogil:
    """Length of the identifier in |<lifetime>|<mki>:<length>, each of which may be missing; 0 for none."""
    cdef uint32_t bar, colon
    cdef int64_t value
    while at < end:
        bar = find(p, at + 1, end, c"|")
        colon = find(p, at + 1, bar, c":")
        if colon < bar:
            value = number(p, colon + 1, bar)
            return <uint8_t>value if 0 < value <= MAX_MKI else 0
        at = bar
    return 0


cdef void read_crypto(
        const uint8_t* p, uint32_t at, uint32_t end, const uint8_t* secret, uint8_t flags, SdpMedia* m) noexcept nogil:
    """a=crypto:<tag> <suite> inline:<key>[|<lifetime>][|<mki>:<length>][;…] <session parameters> (RFC 4568).

    Of the key a digest is all that stays; of several keys, that of the first.
    """
    cdef SdpCrypto* crypto
    cdef Span tag, suite, word
    cdef uint32_t i, stop
    cdef int64_t value
    if m.crypto_count == SDP_MAX_CRYPTOS:
        return
    tag = next_word(p, &at, end)
    value = number(p, tag.at, tag.at + tag.len)
    suite = next_word(p, &at, end)
    word = next_word(p, &at, end)
    if value < 0 or word.len == 0:
        return
    crypto = &m.cryptos[m.crypto_count]
    m.crypto_count += 1
    crypto.tag = <uint32_t>value
    crypto.suite = 0
    crypto.flags = flags
    crypto.mki = 0
    crypto.key_digest = 0
    for i in range(1, <uint32_t>SUITES):
        if same(p + suite.at, suite.len, SUITE[i], <uint32_t>strlen(SUITE[i])):
            crypto.suite = <uint8_t>i
            break
    if begins(p + word.at, word.len, b"inline:", 7):
        i = find(p, word.at + 7, word.at + word.len, c";")
        stop = find(p, word.at + 7, i, c"|")
        crypto.key_digest = key_digest(p, word.at + 7, stop, secret)
        crypto.mki = mki_octets(p, stop, i)
    while True:
        word = next_word(p, &at, end)
        if word.len == 0:
            return
        if same(p + word.at, word.len, b"unencrypted_srtp", 16):
            crypto.flags |= CRYPTO_UNENCRYPTED_SRTP
        elif same(p + word.at, word.len, b"unencrypted_srtcp", 17):
            crypto.flags |= CRYPTO_UNENCRYPTED_SRTCP
        elif same(p + word.at, word.len, b"unauthenticated_srtp", 20):
            crypto.flags |= CRYPTO_UNAUTHENTICATED_SRTP


cdef inline uint32_t hash_octets(const uint8_t* p, Span name) noexcept nogil:
    """Octets that a hash function gives (RFC 8122 section 5); 0 for one that is not known."""
    if name.len == 3 and (same(p + name.at, name.len, b"md5", 3) or same(p + name.at, name.len, b"md2", 3)):
        return 16
    if name.len == 5 and same(p + name.at, name.len, b"sha-1", 5):
        return 20
    if name.len == 7 and begins(p + name.at, name.len, b"sha-", 4):
        return <uint32_t>max(number(p, name.at + 4, name.at + name.len), 0) // 8
    return 0


cdef bint read_fingerprint(const uint8_t* p, uint32_t at, uint32_t end, bint replace, SdpMedia* m) noexcept nogil:
    """a=fingerprint:<hash> <hex pairs> (RFC 8122 section 5). Those of a section replace what it would inherit."""
    cdef Span hash_name = next_word(p, &at, end)
    cdef Span value = next_word(p, &at, end)
    cdef uint32_t i, octets
    if hash_name.len == 0 or hash_name.len > MAX_HASH_NAME or value.len % 3 != 2 or value.len > 3 * MAX_FINGERPRINT:
        return False
    octets = hash_octets(p, hash_name)
    if octets and value.len != 3 * octets - 1:
        return False
    for i in range(hash_name.at, hash_name.at + hash_name.len):
        if not is_token(p[i]):
            return False
    for i in range(value.len):
        if p[value.at + i] != c":" if i % 3 == 2 else not is_hex(p[value.at + i]):
            return False
    if replace:
        m.fingerprint_count = 0
    if m.fingerprint_count < SDP_MAX_FINGERPRINTS:
        m.fingerprints[m.fingerprint_count].hash_name = hash_name
        m.fingerprints[m.fingerprint_count].octets = value
        m.fingerprint_count += 1
    return True


cdef void read_capability(
        const uint8_t* p, uint32_t at, uint32_t end, const uint8_t* secret, SdpMedia* m) noexcept nogil:
    """a=acap:<number> crypto:…: a key that an answer may choose can be read as well as any (RFC 5939 section 3.4.1)."""
    next_word(p, &at, end)
    at = skip_space(p, at, end)
    if begins(p + at, end - at, b"crypto:", 7):
        read_crypto(p, at + 7, end, secret, CRYPTO_POTENTIAL, m)


cdef void read_group(const uint8_t* p, uint32_t at, uint32_t end, SipScan* out) noexcept nogil:
    """a=group:BUNDLE <identification tag> … (RFC 9143 section 7.1)."""
    cdef Span semantics = next_word(p, &at, end)
    if out.bundle_count < SDP_MAX_BUNDLES and same(p + semantics.at, semantics.len, b"bundle", 6):
        out.bundles[out.bundle_count] = span(at, end)
        out.bundle_count += 1


cdef void read_mid(const uint8_t* p, uint32_t at, uint32_t end, const SipScan* s, SdpMedia* m) noexcept nogil:
    """a=mid:<identification tag> (RFC 5888 section 4); the first of a section, which bounds the search."""
    cdef Span word
    cdef uint8_t i
    if m.mid.len:
        return
    m.mid = next_word(p, &at, end)
    for i in range(s.bundle_count):
        at, end = s.bundles[i].at, s.bundles[i].at + s.bundles[i].len
        while True:
            word = next_word(p, &at, end)
            if word.len == 0:
                break
            if word.len == m.mid.len and memcmp(p + word.at, p + m.mid.at, word.len) == 0:
                m.bundle = i + 1
                return


cdef void read_candidate(const uint8_t* p, uint32_t at, uint32_t end, SdpMedia* m) noexcept nogil:
    """a=candidate:<foundation> <component> <transport> <priority> <address> <port> typ … (RFC 8839 section 5.1).

    Names (FQDN, mDNS) tell a passive observer nothing; port 9 is that of a TCP candidate which only connects
    (RFC 6544 section 4.5).
    """
    cdef Span component, address, port
    cdef int64_t value
    cdef uint32_t i
    if m.candidate_count == SDP_MAX_CANDIDATES:
        return
    next_word(p, &at, end)
    component = next_word(p, &at, end)
    if component.len != 1 or p[component.at] != c"1":
        return
    next_word(p, &at, end)
    next_word(p, &at, end)
    address = next_word(p, &at, end)
    port = next_word(p, &at, end)
    value = number(p, port.at, port.at + port.len)
    if value <= 0 or value > 0xFFFF or value == 9 or address.len > MAX_CANDIDATE:
        return
    for i in range(address.at, address.at + address.len):
        if not is_hex(p[i]) and p[i] != c"." and p[i] != c":":
            return
    m.candidates[m.candidate_count].address = address
    m.candidates[m.candidate_count].port = <uint16_t>value
    m.candidate_count += 1


cdef inline uint8_t setup_role(const uint8_t* p, uint32_t n) noexcept nogil:
    if same(p, n, b"active", 6):
        return SDP_SETUP_ACTIVE
    if same(p, n, b"passive", 7):
        return SDP_SETUP_PASSIVE
    if same(p, n, b"actpass", 7):
        return SDP_SETUP_ACTPASS
    if same(p, n, b"holdconn", 8):
        return SDP_SETUP_HOLDCONN
    return SDP_SETUP_NONE


cdef void read_attribute(
        const uint8_t* p, uint32_t at, uint32_t end, const uint8_t* secret, bint in_media, bint* own_fingerprint,
        SipScan* out, SdpMedia* m) noexcept nogil:
    """a=<name>[:<value>]; at session level m is what the media will inherit."""
    cdef uint32_t colon = find(p, at, end, c":")
    cdef uint32_t n = colon - at, value_at = colon + 1 if colon < end else end
    cdef const uint8_t* word = p + at
    cdef Span value
    cdef int64_t port
    if n == 8:
        if same(word, n, b"sendrecv", 8):
            m.direction = SDP_SENDRECV
        elif same(word, n, b"sendonly", 8):
            m.direction = SDP_SENDONLY
        elif same(word, n, b"recvonly", 8):
            m.direction = SDP_RECVONLY
        elif same(word, n, b"inactive", 8):
            m.direction = SDP_INACTIVE
        elif in_media and same(word, n, b"rtcp-mux", 8):
            m.rtcp_mux = True
    elif n == 5 and same(word, n, b"setup", 5):
        value = next_word(p, &value_at, end)
        m.setup = setup_role(p + value.at, value.len)
    elif n == 11 and same(word, n, b"fingerprint", 11):
        if read_fingerprint(p, value_at, end, not own_fingerprint[0], m):
            own_fingerprint[0] = True
    elif n == 4 and same(word, n, b"tcap", 4):
        m.potential_srtp |= names_secure_profile(p, value_at, end)
    elif not in_media:
        if n == 5 and same(word, n, b"group", 5):
            read_group(p, value_at, end, out)
    elif n == 3 and same(word, n, b"mid", 3):
        read_mid(p, value_at, end, out, m)
    elif n == 6 and same(word, n, b"rtpmap", 6):
        read_rtpmap(p, value_at, end, m)
    elif n == 6 and same(word, n, b"crypto", 6):
        read_crypto(p, value_at, end, secret, 0, m)
    elif n == 9 and same(word, n, b"candidate", 9):
        read_candidate(p, value_at, end, m)
    elif n == 4 and same(word, n, b"rtcp", 4):
        port = number(p, value_at, end)
        if 0 < port <= 0xFFFF:
            m.rtcp_port = <uint16_t>port
            next_word(p, &value_at, end)
            m.rtcp_address = connection_address(p, value_at, end)
    elif n == 9 and same(word, n, b"zrtp-hash", 9):
        m.zrtp_hash = True
    elif n == 4 and same(word, n, b"acap", 4):
        read_capability(p, value_at, end, secret, m)
    elif n == 11 and same(word, n, b"bundle-only", 11):
        m.bundle_only = True
    elif n == 13 and same(word, n, b"rtcp-mux-only", 13):
        m.rtcp_mux = True


cdef void sdp_scan(
        const uint8_t* p, uint32_t at, uint32_t end, bint whole, const uint8_t* secret, SipScan* out) noexcept nogil:
    """Session level, then each m= section (RFC 8866 section 5). An unfinished last line counts in a whole body only."""
    cdef SdpMedia session
    cdef SdpMedia* m = &session     # NULL: a section that is not kept
    cdef bint in_media = False, own_address = False, own_fingerprint = False
    cdef uint32_t line = at, stop
    clear_media(&session)
    while line < end:
        at = line
        stop = find(p, at, end, c"\n")
        if stop == end and not whole:
            return
        line = stop + 1
        stop = trim_end(p, at, stop)
        if stop - at < 2 or p[at + 1] != c"=":
            continue
        if p[at] == c"m":
            out.media_total += 1
            in_media = True
            own_address = own_fingerprint = False
            m = NULL
            if out.media_count < SDP_MAX_MEDIA and open_media(p, at + 2, stop, &session, &out.media[out.media_count]):
                m = &out.media[out.media_count]
                out.media_count += 1
        elif m == NULL:
            continue
        elif p[at] == c"a":
            read_attribute(p, at + 2, stop, secret, in_media, &own_fingerprint, out, m)
        elif p[at] == c"c" and not own_address:
            m.address = connection_address(p, at + 2, stop)
            own_address = True


# --- message -----------------------------------------------------------------------------------------------------

cdef void read_body(
        const uint8_t* p, uint32_t n, int kind, Span boundary, const uint8_t* secret, SipScan* out) noexcept nogil:
    """Content-Length is believed where it ends the body at a line's end; what lies is read to the last octet."""
    cdef uint32_t at = out.headers, end = n
    cdef Span part
    out.cut = out.content_length > n - at
    if 0 < out.content_length < n - at and p[at + out.content_length - 1] == c"\n":
        end = at + out.content_length
    part = span(at, end)
    if kind == BODY_MULTIPART and not is_sdp(p, at, end, BODY_OTHER):
        part = sdp_part(p, at, end, boundary, &out.recording)
    elif not is_sdp(p, at, end, kind):
        out.recording |= kind == BODY_METADATA
        return
    if part.len:
        out.has_sdp = True
        sdp_scan(p, part.at, part.at + part.len, out.content_length == n - at, secret, out)


cdef int sip_scan(const uint8_t* p, uint32_t n, const uint8_t* secret, const WantedHeaders* wanted,
                  SipScan* out) noexcept nogil:
    cdef uint32_t at = 0, i
    cdef int kind, body = BODY_OTHER
    cdef int64_t value = -1, length = -1
    cdef bint has_type = False, has_from = False, has_to = False
    cdef Span name_of, field, boundary, server, cseq_method
    memset(out, 0, <const uint8_t*>&out.media[0] - <const uint8_t*>out)
    name_of = field = boundary = server = cseq_method = span(0, 0)
    if n > SIP_MAX_MESSAGE:
        n = SIP_MAX_MESSAGE
    kind = start_line(p, n, &at)
    if kind < START_CUT:
        return SIP_NOT_SIP
    if kind == START_CUT:
        return SIP_NO_DIALOGUE
    if p[3] == c"/":
        out.status = <uint16_t>number(p, 8, 11)
    else:
        out.method = span(0, find(p, 0, at, c" "))
    while True:
        kind = next_header(p, n, &at, &name_of, &field)
        if kind <= HEADER_END:
            break
        # The first of each counts: none of these may come twice (RFC 3261 section 7.3.1).
        if wanted.count and field.len:
            take_wanted(p, name_of, field, secret, wanted, out)
        if kind == HEADER_OTHER or field.len == 0:
            continue
        if kind == HEADER_CALL_ID:
            if out.call_id.span.len == 0:
                out.call_id = name(p, field.at, field.at + field.len, secret)
        elif kind == HEADER_CSEQ:
            if value < 0:
                value = number(p, field.at, field.at + field.len)
                i = field.at
                while i < field.at + field.len and is_digit(p[i]):
                    i += 1
                i = skip_space(p, i, field.at + field.len)
                cseq_method.at = i
                while i < field.at + field.len and is_token(p[i]):
                    i += 1
                cseq_method.len = i - cseq_method.at
        elif kind == HEADER_FROM:
            if not has_from:
                has_from = True
                party(p, field, secret, &out.from_user, &out.from_tag)
        elif kind == HEADER_TO:
            if not has_to:
                has_to = True
                party(p, field, secret, &out.to_user, &out.to_tag)
        elif kind == HEADER_CONTENT_LENGTH:
            if length < 0:
                length = number(p, field.at, field.at + field.len)
        elif kind == HEADER_CONTENT_TYPE:
            if not has_type:
                has_type = True
                body = content_type(p, field, &boundary)
        elif kind == HEADER_USER_AGENT:
            if out.user_agent.len == 0:
                out.user_agent = field
        elif kind == HEADER_AUTHORIZATION:
            if out.status == 0 and out.credentials == SIP_CREDENTIALS_NONE:
                out.credentials = credentials(p, field)
                out.authorization = field
        elif kind == HEADER_SESSION_ID:
            if out.session[0].len == 0 and out.session[1].len == 0:
                out.session[0] = uuid(p, span(field.at, first_value(p, field)))
                out.session[1] = uuid(p, parameter(p, field.at, field.at + field.len, b"remote", 6))
        elif kind == HEADER_REPLACES:
            if out.replaces.span.len == 0:
                out.replaces = name(p, field.at, first_value(p, field), secret)
        elif kind == HEADER_REQUIRE:
            out.recording |= lists(p, field, b"siprec", 6)
        elif server.len == 0:
            server = field
    if value < 0 or cseq_method.len == 0 or out.call_id.span.len == 0:
        return SIP_NO_DIALOGUE
    out.cseq = <uint32_t>value
    out.content_length = <uint32_t>length if length > 0 else 0
    if out.status:
        out.method = cseq_method
    if out.user_agent.len == 0:
        out.user_agent = server
    if kind == HEADER_END:
        out.headers = at
        if out.status == 0 and same(p + out.method.at, out.method.len, b"message", 7):
            i = n if length < 0 else at + <uint32_t>min(length, n - at)
            out.text = is_text(p, at, i, body, length == n - at)
        read_body(p, n, body, boundary, secret, out)
    return SIP_OK


# --- packing -----------------------------------------------------------------------------------------------------
#
#   message:  status:u16 cseq:u32 has_sdp:u8 credentials:u8 text:u8 method from_tag to_tag user_agent parties media
#   parties:  sessions:u8 wanted:u8 recording:u8 call_id from_user to_user replaces
#             sessions times a text; wanted times: which:u8 digest:u64
#   media:    count:u8, so many times:
#             media profile address rtcp_address
#             port:u16 rtcp_port:u16 direction:u8 setup:u8 rtcp_mux:u8 zrtp_hash:u8 bundle:u8 bundle_only:u8
#             potential_srtp:u8
#             fingerprint_count:u8 (hash_name octets)…
#             payload_count:u8 (number:u8 encoding)…
#             crypto_count:u8 (key_digest:u64 tag:u32 suite:u8 flags:u8 mki:u8)…
#             candidate_count:u8 (port:u16 address)…
#
# What has no size is a text: length:u8, octets.

cdef struct Writer:
    uint8_t* p
    uint32_t at
    uint32_t capacity
    bint full


cdef inline void put(Writer* w, const void* value, uint32_t n) noexcept nogil:
    if w.capacity - w.at < n:
        w.full = True
        return
    memcpy(w.p + w.at, value, n)
    w.at += n


cdef inline void put_u8(Writer* w, uint8_t value) noexcept nogil:
    put(w, &value, 1)


cdef inline void put_u16(Writer* w, uint16_t value) noexcept nogil:
    put(w, &value, 2)


cdef uint32_t clean(uint8_t* out, const uint8_t* p, uint32_t n, uint32_t most) noexcept nogil:
    """Octets written: white space as one blank (RFC 3261 section 7.3.1), C0 and C1 controls as "?", the rest as is."""
    cdef uint32_t i, written = 0
    cdef uint8_t c
    for i in range(n):
        if written == most:
            break
        c = p[i]
        if is_space(c):
            if written and out[written - 1] == c" ":
                continue
            c = c" "
        elif c < 0x20 or 0x7F <= c < 0xA0:
            c = c"?"
        out[written] = c
        written += 1
    return written


cdef void put_text(Writer* w, const uint8_t* p, Span text, uint32_t most) noexcept nogil:
    cdef uint8_t[MAX_TEXT] octets
    cdef uint32_t n = clean(octets, p + text.at, text.len, most)
    put_u8(w, <uint8_t>n)
    put(w, octets, n)


cdef void put_lower(Writer* w, const uint8_t* p, Span text) noexcept nogil:
    cdef uint32_t i
    put_u8(w, <uint8_t>text.len)
    for i in range(text.len):
        put_u8(w, lower(p[text.at + i]))


cdef inline uint8_t hex_value(uint8_t c) noexcept nogil:
    return c - c"0" if is_digit(c) else lower(c) - c"a" + 10


cdef void put_fingerprint(Writer* w, const uint8_t* p, const SdpFingerprint* f) noexcept nogil:
    """The hash's name and the octets themselves, which take a third of the room that hexadecimal does."""
    cdef uint32_t at
    put_lower(w, p, f.hash_name)
    put_u8(w, <uint8_t>((f.octets.len + 1) // 3))
    for at in range(f.octets.at, f.octets.at + f.octets.len, 3):
        put_u8(w, hex_value(p[at]) << 4 | hex_value(p[at + 1]))


cdef void put_name(Writer* w, const uint8_t* p, Name text, bint escaped) noexcept nogil:
    """At most MAX_NAME octets; cut or cleaned ones end in "~" and the digest.

    %HH is decoded in a user: RFC 3261 section 19.1.4 takes both for the same.
    """
    cdef uint8_t[MAX_NAME] octets
    cdef uint32_t most = MAX_NAME - DIGEST_TEXT if text.digest else MAX_NAME
    cdef uint32_t n = clean(octets, p + text.span.at, text.span.len, most)
    cdef uint32_t i = 0, written = 0
    cdef uint8_t c
    while escaped and i < n:
        c = octets[i]
        if c == c"%" and i + 2 < n and is_hex(octets[i + 1]) and is_hex(octets[i + 2]):
            c = hex_value(octets[i + 1]) << 4 | hex_value(octets[i + 2])
            if 0x20 < c < 0x7F:
                i += 2
            else:
                c = c"%"
        octets[written] = c
        written += 1
        i += 1
    if escaped:
        n = written
    if text.digest:
        octets[n] = c"~"
        for i in range(16):
            octets[n + 1 + i] = b"0123456789abcdef"[(text.digest >> (60 - 4 * i)) & 15]
        n += DIGEST_TEXT
    put_u8(w, <uint8_t>n)
    put(w, octets, n)


cdef void put_address(Writer* w, const uint8_t* p, Span text) noexcept nogil:
    """An address as RFC 5952 writes it; a host name as it stands."""
    cdef char[MAX_ADDRESS + 1] octets
    cdef uint8_t[16] binary
    cdef int family
    cdef uint32_t n = clean(<uint8_t*>octets, p + text.at, text.len, MAX_ADDRESS)
    octets[n] = 0
    family = AF_INET6 if find(<const uint8_t*>octets, 0, n, c":") < n else AF_INET
    if inet_pton(family, octets, binary) == 1 and inet_ntop(family, binary, octets, MAX_ADDRESS) != NULL:
        n = <uint32_t>strlen(octets)
    put_u8(w, <uint8_t>n)
    put(w, octets, n)


cdef void put_media(Writer* w, const uint8_t* p, const SdpMedia* m, bint with_payloads) noexcept nogil:
    cdef uint32_t i
    cdef uint8_t payloads = m.payload_count if with_payloads else 0
    put_text(w, p, m.media, MAX_MEDIA_TYPE)
    put_text(w, p, m.profile, MAX_TOKEN)
    put_address(w, p, m.address)
    put_address(w, p, m.rtcp_address)
    put_u16(w, m.port)
    put_u16(w, m.rtcp_port)
    put_u8(w, m.direction)
    put_u8(w, m.setup)
    put_u8(w, m.rtcp_mux)
    put_u8(w, m.zrtp_hash)
    put_u8(w, m.bundle)
    put_u8(w, m.bundle_only)
    put_u8(w, m.potential_srtp)
    put_u8(w, m.fingerprint_count)
    for i in range(m.fingerprint_count):
        put_fingerprint(w, p, &m.fingerprints[i])
    put_u8(w, payloads)
    for i in range(payloads):
        put_u8(w, m.payloads[i].number)
        put_text(w, p, m.payloads[i].encoding, MAX_TOKEN)
    put_u8(w, m.crypto_count)
    for i in range(m.crypto_count):
        put(w, &m.cryptos[i].key_digest, 8)
        put(w, &m.cryptos[i].tag, 4)
        put_u8(w, m.cryptos[i].suite)
        put_u8(w, m.cryptos[i].flags)
        put_u8(w, m.cryptos[i].mki)
    put_u8(w, m.candidate_count)
    for i in range(m.candidate_count):
        put_u16(w, m.candidates[i].port)
        put_address(w, p, m.candidates[i].address)


cdef void put_parties(Writer* w, const uint8_t* p, const SipScan* s) noexcept nogil:
    cdef uint8_t wanted = 0
    cdef int i
    put_u8(w, (s.session[0].len != 0) + (s.session[1].len != 0))
    for i in range(<int>SIP_MAX_WANTED):
        wanted += s.wanted[i] != 0
    put_u8(w, wanted)
    put_u8(w, s.recording)
    put_name(w, p, s.call_id, False)
    put_name(w, p, s.from_user, True)
    put_name(w, p, s.to_user, True)
    put_name(w, p, s.replaces, False)
    for i in range(2):
        if s.session[i].len:
            put_lower(w, p, s.session[i])
    for i in range(<int>SIP_MAX_WANTED):
        if s.wanted[i]:
            put_u8(w, <uint8_t>i)
            put(w, &s.wanted[i], 8)


cdef void put_description(Writer* w, const uint8_t* p, const SipScan* s, bint with_payloads) noexcept nogil:
    cdef uint32_t i
    put_u8(w, s.media_count)
    for i in range(s.media_count):
        put_media(w, p, &s.media[i], with_payloads)


cdef inline Writer writer(uint8_t* out, uint32_t capacity) noexcept nogil:
    cdef Writer w
    w.p = out
    w.at = 0
    w.capacity = capacity
    w.full = False
    return w


cdef uint32_t sip_pack(const SipScan* s, const uint8_t* p, uint8_t* out, uint32_t capacity) noexcept nogil:
    cdef Writer w = writer(out, capacity)
    put_u16(&w, s.status)
    put(&w, &s.cseq, 4)
    put_u8(&w, s.has_sdp)
    put_u8(&w, s.credentials)
    put_u8(&w, s.text)
    put_text(&w, p, s.method, MAX_METHOD)
    put_name(&w, p, s.from_tag, False)
    put_name(&w, p, s.to_tag, False)
    put_text(&w, p, s.user_agent, MAX_USER_AGENT)
    put_parties(&w, p, s)
    put_description(&w, p, s, True)
    return 0 if w.full else w.at


cdef uint32_t sip_pack_parties(const SipScan* s, const uint8_t* p, uint8_t* out, uint32_t capacity) noexcept nogil:
    cdef Writer w = writer(out, capacity)
    put_parties(&w, p, s)
    return 0 if w.full else w.at


cdef uint32_t sip_pack_media(const SipScan* s, const uint8_t* p, uint8_t* out, uint32_t capacity) noexcept nogil:
    cdef Writer w = writer(out, capacity)
    put_description(&w, p, s, False)
    return 0 if w.full else w.at


cdef uint32_t sip_clean(const uint8_t* p, Span text, uint32_t most, uint8_t* out) noexcept nogil:
    return clean(out, p + text.at, text.len, most)


# --- records -----------------------------------------------------------------------------------------------------

DIRECTION = ("sendrecv", "sendonly", "recvonly", "inactive")
SETUP = ("", "active", "passive", "actpass", "holdconn")
CREDENTIALS = ("", "digest", "basic", "bearer", "other")
SUITE_NAME = tuple([SUITE[i].decode("ascii").upper() for i in range(SUITES)])


cdef struct Reader:
    const uint8_t* p
    uint32_t at
    uint32_t n


cdef inline void take(Reader* r, void* value, uint32_t n) noexcept:
    """n octets, or zeros past the end."""
    if r.n - r.at < n:
        memset(value, 0, n)
        r.at = r.n
        return
    memcpy(value, r.p + r.at, n)
    r.at += n


cdef inline uint8_t take_u8(Reader* r) noexcept:
    cdef uint8_t value
    take(r, &value, 1)
    return value


cdef inline uint16_t take_u16(Reader* r) noexcept:
    cdef uint16_t value
    take(r, &value, 2)
    return value


cdef inline str take_text(Reader* r):
    cdef uint32_t n = take_u8(r)
    cdef uint32_t at = r.at
    n = min(n, r.n - at)
    r.at += n
    return PyUnicode_DecodeLatin1(<const char*>r.p + at, n, NULL)


cdef object take_crypto(Reader* r):
    cdef uint64_t key_digest
    cdef uint32_t tag
    cdef uint8_t suite, flags, mki
    take(r, &key_digest, 8)
    take(r, &tag, 4)
    suite = take_u8(r)
    flags = take_u8(r)
    mki = take_u8(r)
    return CryptoRecord(
        tag, SUITE_NAME[suite], key_digest, bool(flags & CRYPTO_UNENCRYPTED_SRTP),
        bool(flags & CRYPTO_UNENCRYPTED_SRTCP), bool(flags & CRYPTO_UNAUTHENTICATED_SRTP), mki,
        bool(flags & CRYPTO_POTENTIAL))


cdef object take_payload(Reader* r):
    cdef uint8_t payload_type = take_u8(r)
    return payload_type, take_text(r)


cdef object take_candidate(Reader* r):
    cdef uint16_t port = take_u16(r)
    return take_text(r), port


cdef object take_fingerprint(Reader* r):
    cdef str hash_name = take_text(r)
    cdef uint8_t[MAX_FINGERPRINT] octets
    cdef uint8_t n = min(take_u8(r), <uint8_t>MAX_FINGERPRINT)
    take(r, octets, n)
    return f"{hash_name} {octets[:n].hex(':').upper()}"


cdef object take_header(Reader* r):
    cdef uint8_t which = take_u8(r)
    cdef uint64_t digest
    take(r, &digest, 8)
    return which, digest


cdef object take_media(Reader* r):
    cdef uint16_t port, rtcp_port
    cdef uint8_t direction, setup, rtcp_mux, zrtp_hash, bundle, bundle_only, potential_srtp
    cdef str media = take_text(r)
    cdef str profile = take_text(r)
    cdef str address = take_text(r)
    cdef str rtcp_address = take_text(r)
    port = take_u16(r)
    rtcp_port = take_u16(r)
    direction = take_u8(r)
    setup = take_u8(r)
    rtcp_mux = take_u8(r)
    zrtp_hash = take_u8(r)
    bundle = take_u8(r)
    bundle_only = take_u8(r)
    potential_srtp = take_u8(r)
    fingerprints = tuple([take_fingerprint(r) for _ in range(take_u8(r))])
    payloads = tuple([take_payload(r) for _ in range(take_u8(r))])
    cryptos = tuple([take_crypto(r) for _ in range(take_u8(r))])
    candidates = tuple([take_candidate(r) for _ in range(take_u8(r))])
    return MediaRecord(
        media, port, profile, address, DIRECTION[direction], payloads, cryptos,
        fingerprints, SETUP[setup], bool(zrtp_hash), bool(rtcp_mux), rtcp_port, candidates, bool(bundle_only),
        bool(potential_srtp), bundle, rtcp_address)


cdef tuple take_parties(Reader* r):
    cdef uint8_t sessions = take_u8(r), wanted = take_u8(r), recording = take_u8(r)
    cdef str call_id = take_text(r)
    cdef str from_user = take_text(r)
    cdef str to_user = take_text(r)
    cdef str replaces = take_text(r)
    session_ids = tuple([take_text(r) for _ in range(sessions)])
    headers = tuple([take_header(r) for _ in range(wanted)])
    return call_id, from_user, to_user, session_ids, headers, replaces, bool(recording)


cdef tuple take_description(Reader* r):
    return tuple([take_media(r) for _ in range(take_u8(r))])


cdef inline Reader reader(const uint8_t* body, uint32_t size) noexcept:
    cdef Reader r
    r.p = body
    r.at = 0
    r.n = size
    return r


cdef tuple sip_unpack_parties(const uint8_t* body, uint32_t size):
    cdef Reader r = reader(body, size)
    return take_parties(&r)


cdef tuple sip_unpack_media(const uint8_t* body, uint32_t size):
    cdef Reader r = reader(body, size)
    return take_description(&r)


cdef object sip_unpack(const uint8_t* body, uint32_t size, object flow, object ts_ns, object key, bint from_a):
    cdef Reader r = reader(body, size)
    cdef uint16_t status = take_u16(&r)
    cdef uint32_t cseq
    cdef uint8_t has_sdp, scheme, text
    take(&r, &cseq, 4)
    has_sdp = take_u8(&r)
    scheme = take_u8(&r)
    text = take_u8(&r)
    method = take_text(&r)
    from_tag = take_text(&r)
    to_tag = take_text(&r)
    user_agent = take_text(&r)
    call_id, from_user, to_user, session_ids, headers, replaces, recording = take_parties(&r)
    media = take_description(&r)
    return SipMessage(
        flow, ts_ns, key, from_a, method, status, cseq, call_id, from_tag, to_tag, from_user, to_user, user_agent,
        media if has_sdp else None, session_ids, headers, replaces, CREDENTIALS[scheme], bool(text), recording)


NEGOTIATION_STATES = ("offered", "agreed", "ended")
EXPOSURE_KINDS = (
    "sip", "keys", "credentials", "text", "legacy", "media", "provisioning", "management", "voicemail", "directory",
    "recording", "name-time", "tunnel",
)
SECRET_NAMES = (
    "", "password", "basic", "digest", "bearer", "community", "bind", "configuration", "mail", "audio", "entries",
)


cdef object negotiation_record(const EventNegotiation* e, const EventHead* head, object key):
    cdef const uint8_t* at = <const uint8_t*>e + sizeof(EventNegotiation)
    cdef object offer = None, answer = None
    if e.offer:
        offer = sip_unpack_media(at + e.parties, e.offer)
    if e.answer:
        answer = sip_unpack_media(at + e.parties + e.offer, e.answer)
    call_id, from_user, to_user, session_ids, headers, replaces, recording = sip_unpack_parties(at, e.parties)
    return Negotiation(
        head.flow, head.ts_ns, key, bool(head.from_a), e.dialog, NEGOTIATION_STATES[e.state], call_id, e.from_tag,
        e.to_tag, from_user, to_user, session_ids, headers, replaces, recording, offer, answer)


cdef object exposure_record(const EventExposure* e, const EventHead* head, object key):
    cdef int i
    kind = EXPOSURE_KINDS[e.kind]
    names = SECRET_NAMES if e.app != APP_SIP else CREDENTIALS if kind == "credentials" else SUITE_NAME
    detail = tuple([names[e.detail[i]] for i in range(e.details)])
    method = PyUnicode_DecodeLatin1(<const char*>e.method, e.method_len, NULL)
    return Exposure(
        head.flow, head.ts_ns, key, kind, method, e.status, detail, e.count, APP_NAMES[e.app],
        bool(e.by_content), bool(e.first))


cdef object agent_record(const EventAgent* e, const EventHead* head, object key):
    return Agent(
        head.flow, head.ts_ns, key, bool(head.from_a), PyUnicode_DecodeLatin1(<const char*>e.text, e.size, NULL))


# --- for tests and fuzzing ---------------------------------------------------------------------------------------

NO_FLOW = FlowKey("udp", "", 0, "", 0, ())


def probe(octets: bytes) -> bool:
    """Whether these octets begin a SIP message; the start line may be cut."""
    return sip_probe(octets, <uint32_t>len(octets))


def frame(octets: bytes) -> int:
    """Octets of a stream's first message, 0 when more are needed, -1 when no SIP message begins here."""
    cdef int64_t length = sip_frame(octets, <uint32_t>len(octets), 0)
    return length if length <= len(octets) else 0


def resync(octets: bytes) -> int:
    """Octets to skip, at least 1, to the next possible start line; all of them when there is none."""
    return sip_resync(octets, <uint32_t>len(octets))


cdef int want_headers(names, WantedHeaders* wanted) except -1:
    memset(wanted, 0, sizeof(WantedHeaders))
    if len(names) > SIP_MAX_WANTED:
        raise ValueError(f"call_headers: at most {SIP_MAX_WANTED} are possible")
    for name_of in names:
        octets = name_of.lower().encode("ascii", "replace")
        if not 0 < len(octets) <= SIP_MAX_HEADER_NAME or not all(is_token(c) for c in octets):
            raise ValueError(f"call_headers: a name has 1 to {SIP_MAX_HEADER_NAME} characters of a token")
        memcpy(&wanted.name[wanted.count][0], <const uint8_t*>octets, len(octets))
        wanted.size[wanted.count] = <uint8_t>len(octets)
        wanted.count += 1
    return 0


def scan(
    octets: bytes, secret: bytes = bytes(SIPHASH_SECRET_OCTETS), headers: tuple[str, ...] = ()
) -> SipMessage | None:
    """One message, whole or cut, with flow 0 and time 0; None when it is not SIP or belongs to no dialogue.

    The secret of 16 octets keys the digests; ``headers`` are those that are wanted. ValueError where they cannot be.
    """
    cdef const uint8_t* p = octets
    cdef const uint8_t* key = secret
    cdef SipScan s
    cdef WantedHeaders wanted
    cdef uint8_t[SIP_MAX_PACKED] packed
    cdef uint32_t size
    if len(secret) != SIPHASH_SECRET_OCTETS:
        raise ValueError("the secret has 16 octets")
    want_headers(headers, &wanted)
    if sip_scan(p, <uint32_t>len(octets), key, &wanted, &s) != SIP_OK:
        return None
    size = sip_pack(&s, p, packed, SIP_MAX_PACKED)
    return sip_unpack(packed, size, 0, 0, NO_FLOW, True)
