"""Protocols of lines: HTTP, RTSP, MSRP, FTP, SMTP, IMAP and POP3. What a line says of who speaks, and what it shows.

Read first: RFC 9112 sections 2 and 3, RFC 7826 section 4 (RTSP), RFC 4975 section 9 (MSRP), RFC 959 section 4, RFC 5321
sections 3 and 4.1, RFC 3207, RFC 9051 sections 6 and 7, RFC 1939, RFC 2595, RFC 2045 section 5.

Nothing that is read here is kept: a service is named, and the kind of secret that it shows.
"""

from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.string cimport memcmp

from fastpath.names cimport (
    APP_FTP, APP_HTTP, APP_IMAP, APP_MSRP, APP_OTHER, APP_POP3, APP_RTSP, APP_SMTP, SECRET_AUDIO, SECRET_BASIC,
    SECRET_BEARER, SECRET_CONFIGURATION, SECRET_DIGEST, SECRET_MAIL, SECRET_NONE, SECRET_PASSWORD, SHOWN_CREDENTIALS,
    SHOWN_KINDS, SHOWN_MANAGEMENT, SHOWN_PROVISIONING, SHOWN_RECORDING, SHOWN_TEXT, SHOWN_VOICEMAIL,
)
from fastpath.services cimport Service, holds, is_audio_file, is_configuration, is_phone_file
from fastpath.tcp cimport Lines
from fastpath.text cimport begins

cdef enum:
    MAX_LINE = 4096             # octets; a longer one is passed over
    MAX_LINES_TAKEN = 1 << 18   # octets of lines that are read of a conversation
    MAX_BODY = 1 << 16          # octets of a body that is passed over; behind a longer one nothing more is read
    MAX_REQUESTS = 16
    MAX_SHOWN = 4               # of one line

    LINES_MORE = 0
    LINES_DONE = 1              # nothing more can be learned
    LINES_TLS = 2               # TLS follows


cdef struct Said:               # what a line says
    Service service[MAX_SHOWN]
    int count
    uint64_t body               # octets that follow and are no lines
    bint endless                # … and their number is not known, or too large


cdef inline void say(Said* out, uint8_t app, uint8_t shown, uint8_t secret, bint by_content) noexcept nogil:
    if out.count < MAX_SHOWN:
        out.service[out.count].app = app
        out.service[out.count].shown = shown
        out.service[out.count].secret = secret
        out.service[out.count].by_content = by_content
        out.count += 1


cdef inline bint is_phone(const uint8_t* p, uint32_t n) noexcept nogil:
    """Does a User-Agent name a telephone?"""
    return (holds(p, n, b"snom", 4) or holds(p, n, b"yealink", 7) or holds(p, n, b"polycom", 7)
            or holds(p, n, b"filetransport", 13) or holds(p, n, b"cisco-cp", 8) or holds(p, n, b"cisco/spa", 9)
            or holds(p, n, b"linksys/spa", 11) or holds(p, n, b"grandstream", 11) or holds(p, n, b"mitel", 5)
            or holds(p, n, b"aastra", 6) or holds(p, n, b"fanvil", 6) or holds(p, n, b"gigaset", 7)
            or holds(p, n, b"avaya", 5) or holds(p, n, b"obihai", 6) or holds(p, n, b"htek", 4)
            or holds(p, n, b"audiocodes", 10) or holds(p, n, b"vtech", 5))


cdef inline uint8_t secret_of(const uint8_t* p, uint32_t n) noexcept nogil:
    if holds(p, min(n, <uint32_t>12), b"basic ", 6):
        return SECRET_BASIC
    if holds(p, min(n, <uint32_t>12), b"digest ", 7):
        return SECRET_DIGEST
    return SECRET_BEARER if holds(p, min(n, <uint32_t>12), b"bearer ", 7) else SECRET_NONE


cdef inline uint64_t decimal(const uint8_t* p, uint32_t n) noexcept nogil:
    cdef uint64_t value = 0
    cdef uint32_t i
    for i in range(n):
        if c"0" <= p[i] <= c"9":
            value = min(value * 10 + p[i] - c"0", <uint64_t>1 << 40)
        elif p[i] != c" " or value:
            break
    return value


# --- HTTP, and those that are written like it --------------------------------------------------------------------

cdef inline bint start_line(Lines* l, bint side, const uint8_t* p, uint32_t n) noexcept nogil:
    """Begin a message. Return whether this is how one begins."""
    cdef uint32_t at = 0, size = 0, query = 0
    cdef bint request = False
    l.in_head[side] = False
    l.is_request[side] = False
    l.phone = l.file = l.config = l.audio = l.browser = False
    l.secret = SECRET_NONE
    l.body[side] = 0
    l.endless[side] = False
    if n >= 12 and (memcmp(p, b"HTTP/1.", 7) == 0 or memcmp(p, b"RTSP/1.0", 8) == 0):
        l.app = APP_HTTP if p[0] == c"H" else APP_RTSP
    elif n >= 10 and memcmp(p, b"MSRP ", 5) == 0:
        l.app = APP_MSRP
    elif n >= 14 and memcmp(p + n - 9, b" HTTP/1.", 8) == 0:
        l.app = APP_HTTP
        request = True
    elif n >= 14 and memcmp(p + n - 9, b" RTSP/1.0", 9) == 0:
        l.app = APP_RTSP
        request = True
    else:
        return False
    l.in_head[side] = True
    if not request:
        return True
    while at < min(n, <uint32_t>16) and c"A" <= p[at] <= c"Z":
        at += 1
    if at < 3 or p[at] != c" ":
        l.in_head[side] = False
        return False
    l.is_request[side] = True
    l.requests += 1
    size = n - 10 - at if n > at + 10 else 0
    while query < size and p[at + 1 + query] != c"?":
        query += 1
    l.file = is_phone_file(p + at + 1, query, False)
    l.config = is_configuration(p + at + 1, query)
    l.audio = is_audio_file(p + at + 1, query)
    return True


cdef inline void header(Lines* l, bint side, const uint8_t* p, uint32_t n) noexcept nogil:
    if begins(p, n, b"user-agent:", 11):
        l.phone = is_phone(p + 11, n - 11)
        l.browser = holds(p + 11, min(n - 11, <uint32_t>10), b"mozilla/", 8)
    elif begins(p, n, b"authorization:", 14):
        l.secret = secret_of(p + 14, n - 14)
    elif begins(p, n, b"proxy-authorization:", 20):
        l.secret = secret_of(p + 20, n - 20)
    elif begins(p, n, b"content-length:", 15):
        l.body[side] = decimal(p + 15, n - 15)
    elif begins(p, n, b"transfer-encoding:", 18):
        l.endless[side] = True
    elif begins(p, n, b"content-type:", 13):
        l.audio |= holds(p + 13, min(n - 13, <uint32_t>8), b"audio/", 6)
        l.text = holds(p + 13, min(n - 13, <uint32_t>8), b"text/", 5) or holds(
            p + 13, min(n - 13, <uint32_t>14), b"message/cpim", 12)


cdef inline void head_ends(Lines* l, bint side, Said* out) noexcept nogil:
    cdef bint phone = l.phone or l.file
    l.in_head[side] = False
    out.body = l.body[side]
    out.endless = l.endless[side] or out.body > MAX_BODY
    if l.app == APP_MSRP:
        # What was a head is the content's: the body ends with a line of its own.
        out.body = 0
        say(out, APP_MSRP, SHOWN_TEXT if l.text else SHOWN_KINDS, SECRET_NONE, True)
        return
    say(out, l.app, SHOWN_KINDS, SECRET_NONE, False)
    if l.app == APP_RTSP:
        return
    if l.is_request[side]:
        if l.file or (l.phone and l.config):
            say(out, APP_HTTP, SHOWN_PROVISIONING, SECRET_CONFIGURATION, True)
        if l.secret:
            say(out, APP_HTTP, SHOWN_CREDENTIALS, l.secret, phone)
        if l.browser:
            say(out, APP_HTTP, SHOWN_MANAGEMENT, SECRET_NONE, False)
    if l.audio:
        say(out, APP_HTTP, SHOWN_RECORDING, SECRET_AUDIO, False)


cdef inline int message_line(Lines* l, bint side, const uint8_t* p, uint32_t n, Said* out) noexcept nogil:
    """A line of HTTP, RTSP or MSRP."""
    if not l.in_head[side]:
        if not start_line(l, side, p, n):
            # Between messages there may be empty lines, and the body of MSRP.
            return LINES_MORE if n == 0 or l.app == APP_MSRP else LINES_DONE
        return LINES_DONE if l.requests > MAX_REQUESTS and l.app == APP_HTTP else LINES_MORE
    if n:
        header(l, side, p, n)
    else:
        head_ends(l, side, out)
    return LINES_MORE


# --- mail and files ----------------------------------------------------------------------------------------------

cdef inline bint is_voice_mail(const uint8_t* p, uint32_t n) noexcept nogil:
    """A header that says that a mail is a voice message, or has audio attached (RFC 2045, RFC 3801)."""
    if begins(p, n, b"content-type:", 13):
        return holds(p, n, b"audio/", 6) or holds(p, n, b"multipart/voice-message", 23)
    if begins(p, n, b"subject:", 8):
        return holds(p, n, b"voicemail", 9) or holds(p, n, b"voice message", 13) or holds(p, n, b"voice mail", 10)
    return begins(p, n, b"content-disposition:", 20) and (
        holds(p, n, b".wav", 4) or holds(p, n, b".mp3", 4) or holds(p, n, b".gsm", 4))


cdef inline bint is_reply(const uint8_t* p, uint32_t n) noexcept nogil:
    return n >= 3 and c"2" <= p[0] <= c"5" and c"0" <= p[1] <= c"5" and c"0" <= p[2] <= c"9" and (
        n == 3 or p[3] == c" " or p[3] == c"-")


cdef inline int smtp_line(Lines* l, bint side, const uint8_t* p, uint32_t n, Said* out) noexcept nogil:
    if side != l.client:
        if l.starttls and is_reply(p, n):
            return LINES_TLS if p[0] == c"2" else LINES_MORE
        return LINES_MORE
    if l.in_mail:
        if n == 1 and p[0] == c".":
            l.in_mail = False
            say(out, APP_SMTP, SHOWN_VOICEMAIL, SECRET_MAIL, False)
        elif is_voice_mail(p, n):
            say(out, APP_SMTP, SHOWN_VOICEMAIL, SECRET_AUDIO, True)
            return LINES_DONE
        return LINES_MORE
    l.starttls = begins(p, n, b"starttls", 8)
    l.in_mail = n == 4 and begins(p, n, b"data", 4)
    if begins(p, n, b"auth plain", 10) or begins(p, n, b"auth login", 10):
        say(out, APP_SMTP, SHOWN_VOICEMAIL, SECRET_PASSWORD, False)
    return LINES_MORE


cdef inline int store_line(Lines* l, bint side, const uint8_t* p, uint32_t n, Said* out) noexcept nogil:
    """A line of IMAP or POP3: mail comes from the server."""
    cdef uint32_t at = 0
    if side != l.client:
        if l.starttls:
            return LINES_TLS
        if is_voice_mail(p, n):
            say(out, l.app, SHOWN_VOICEMAIL, SECRET_AUDIO, True)
            return LINES_DONE
        if begins(p, n, b"from:", 5):
            say(out, l.app, SHOWN_VOICEMAIL, SECRET_MAIL, False)
        return LINES_MORE
    if l.app == APP_IMAP:               # behind its tag
        while at < n and p[at] != c" ":
            at += 1
        at += at < n
    p += at
    n -= at
    l.starttls = begins(p, n, b"starttls", 8) or (n == 4 and begins(p, n, b"stls", 4))
    if (begins(p, n, b"login ", 6) or begins(p, n, b"pass ", 5)
            or begins(p, n, b"authenticate plain", 18)):
        say(out, l.app, SHOWN_VOICEMAIL, SECRET_PASSWORD, False)
    return LINES_MORE


cdef inline int ftp_line(Lines* l, bint side, const uint8_t* p, uint32_t n, Said* out) noexcept nogil:
    if side != l.client:
        return LINES_TLS if l.starttls and is_reply(p, n) and p[0] == c"2" else LINES_MORE
    l.starttls = begins(p, n, b"auth ", 5)
    if begins(p, n, b"retr ", 5) or begins(p, n, b"stor ", 5):
        if is_audio_file(p + 5, n - 5):
            say(out, APP_FTP, SHOWN_RECORDING, SECRET_AUDIO, False)
        elif is_phone_file(p + 5, n - 5, False):
            say(out, APP_FTP, SHOWN_PROVISIONING, SECRET_CONFIGURATION, True)
    return LINES_MORE


cdef inline bint first_line(Lines* l, bint side, const uint8_t* p, uint32_t n, Said* out) noexcept nogil:
    """Tell by a line which protocol this is. A server that greets with 220 may be one of two."""
    if begins(p, n, b"ehlo ", 5) or begins(p, n, b"helo ", 5) or begins(p, n, b"mail from:", 10):
        l.app = APP_SMTP
        l.client = side
    elif begins(p, n, b"user ", 5) or begins(p, n, b"auth tls", 8):
        l.app = APP_FTP
        l.client = side
    elif begins(p, n, b"+ok", 3):
        l.app = APP_POP3
        l.client = not side
    elif begins(p, n, b"* ok", 4) or begins(p, n, b"* preauth", 9):
        l.app = APP_IMAP
        l.client = not side
    elif is_reply(p, n):
        return False
    if l.app:
        say(out, l.app, SHOWN_KINDS, SECRET_NONE, False)
    return True


cdef inline int take_line(Lines* l, bint side, const uint8_t* p, uint32_t n, Said* out) noexcept nogil:
    """Take a line without its end. ``side`` is 1 from the key's high end."""
    out.count = 0
    out.body = 0
    out.endless = False
    if l.app == APP_HTTP or l.app == APP_RTSP or l.app == APP_MSRP:
        return message_line(l, side, p, n, out)
    if l.app == APP_OTHER:
        if start_line(l, side, p, n):
            return LINES_MORE
        if not first_line(l, side, p, n, out) or l.app == APP_OTHER:
            l.strange += not is_reply(p, n)
            return LINES_DONE if l.strange > 3 else LINES_MORE
    if l.app == APP_SMTP:
        return smtp_line(l, side, p, n, out)
    return ftp_line(l, side, p, n, out) if l.app == APP_FTP else store_line(l, side, p, n, out)


cdef inline bint opens_lines(const uint8_t* p, uint32_t n) noexcept nogil:
    """Could a segment begin such a conversation?"""
    if n < 5:
        return False
    if (memcmp(p, b"GET ", 4) == 0 or memcmp(p, b"POST ", 5) == 0 or memcmp(p, b"PUT ", 4) == 0
            or memcmp(p, b"HEAD ", 5) == 0 or memcmp(p, b"HTTP/", 5) == 0 or memcmp(p, b"RTSP/", 5) == 0
            or memcmp(p, b"MSRP ", 5) == 0 or memcmp(p, b"+OK", 3) == 0 or memcmp(p, b"* OK", 4) == 0):
        return True
    if memcmp(p, b"220", 3) == 0 and (p[3] == c" " or p[3] == c"-"):
        return True
    if (begins(p, n, b"ehlo ", 5) or begins(p, n, b"helo ", 5) or begins(p, n, b"user ", 5)
            or begins(p, n, b"auth ", 5)):
        return True
    # Methods of RTSP that are none of HTTP or SIP; OPTIONS is looked at with its target.
    return (begins(p, n, b"describe rtsp", 13) or begins(p, n, b"setup rtsp", 10)
            or begins(p, n, b"play rtsp", 9) or begins(p, n, b"options rtsp", 12)
            or begins(p, n, b"announce rtsp", 13))
