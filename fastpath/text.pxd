"""Text that is read in place: runs of a message's own octets, classes of characters, words and numbers."""

from libc.stdint cimport UINT32_MAX, int64_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memchr


cdef struct Span:               # octets of the message that was scanned; len 0: absent
    uint32_t at
    uint32_t len


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
