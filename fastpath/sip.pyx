"""SIP read in one pass over the message, without a copy.

Read first: RFC 3261 sections 7, 18.3, 20 and 25.
A message may be cut at any octet: a header counts only when its end was seen, so that a cut message says less than the
whole one, but nothing else. Work is linear in the octets, whatever they are.
"""

from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t
from libc.string cimport memcmp, memcpy, memset

from fastpath.sdp cimport sdp_scan
from fastpath.sip_records cimport SIP_MAX_PACKED, sip_pack, sip_unpack
from fastpath.siphash cimport SIPHASH_SECRET_OCTETS, siphash
from fastpath.text cimport (
    Span, begins, find, is_alpha, is_blank, is_digit, is_hex, is_space, is_token, lower, number, same, skip_space, span,
    trim_end,
)

from fastpath.records import FlowKey, SipMessage


cdef extern from "<string.h>" nogil:
    void* memmem(const void* haystack, size_t n, const void* needle, size_t needle_n)


cdef enum:
    MAX_SCHEME = 16
    MAX_START_LINE = 8192
    MAX_BOUNDARY = 70           # RFC 2046 section 5.1.1
    MAX_PARTS = 32
    MAX_NESTING = 4             # multipart in multipart (RFC 5621 section 3.2)

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
    while i < n and i <= SIP_MAX_METHOD and is_token(p[i]):
        i += 1
    if i == n and i <= SIP_MAX_METHOD:
        return START_SHORT
    if i == 0 or i > SIP_MAX_METHOD or p[i] != c" ":
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
        if p[i] < 0x21 or p[i] > 0x7E or i - at >= SIP_MAX_NAME:
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


# --- message -----------------------------------------------------------------------------------------------------

cdef void read_body(
        const uint8_t* p, uint32_t n, int kind, Span boundary, const uint8_t* secret, SipScan* out) noexcept nogil:
    """Content-Length is believed where it ends the body at a line's end; what lies is read to the last octet."""
    cdef uint32_t at = out.headers, end = n
    cdef Span part
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
        sdp_scan(p, part.at, part.at + part.len, out.content_length == n - at, secret, &out.sdp)


cdef int sip_scan(const uint8_t* p, uint32_t n, const uint8_t* secret, const WantedHeaders* wanted,
                  SipScan* out) noexcept nogil:
    cdef uint32_t at = 0, i
    cdef int kind, body = BODY_OTHER
    cdef int64_t value = -1, length = -1
    cdef bint has_type = False, has_from = False, has_to = False
    cdef Span name_of, field, boundary, server, cseq_method
    memset(out, 0, <const uint8_t*>&out.sdp.media[0] - <const uint8_t*>out)
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
