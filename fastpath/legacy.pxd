"""Call signalling that is not SIP: SCCP, MGCP, Megaco, H.323 and IAX2, by their structure; the media that they name.

Read first: RFC 3435 section 3 (MGCP), ITU-T H.248.1 annex B (Megaco's text), ITU-T H.225.0 with Q.931 and RFC 1006,
ITU-T H.245, ITU-T X.691 for the aligned encoding of both, RFC 5456 sections 8 and 9 (IAX2). SCCP has no public
standard: a message has a length, a version and a number, all little-endian.

None of them has encryption of its own in use but IAX2 (RFC 5456 section 10): a flow that was offered it is not called
clear.
"""

from libc.stdint cimport uint8_t, uint16_t, uint32_t
from libc.string cimport memchr, memcmp

from fastpath.names cimport (
    APP_H323, APP_IAX2, APP_MEGACO, APP_MGCP, APP_OTHER, APP_SCCP, SECRET_DIGEST, SECRET_NONE, SECRET_PASSWORD,
)
from fastpath.octets cimport be16, be32

cdef enum:
    SCCP_PORT = 2000
    MGCP_GATEWAY_PORT = 2427    # RFC 3435 section 3.5
    MGCP_AGENT_PORT = 2727
    RAS_PORT = 1719             # H.225.0 annex … and for gatekeepers to be found
    RAS_DISCOVERY_PORT = 1718
    IAX2_PORT = 4569

    MAX_NAMED = 8

    SCCP_LAST = 0x0163          # the highest number of a message that is known
    SCCP_RECEIVE_ACK = 0x0022
    SCCP_START_MEDIA = 0x008A
    SCCP_NEW_ADDRESSES = 17     # from this version on addresses have 16 octets

    IAX_VOICE = 2
    IAX_VIDEO = 3
    IAX_CONTROL = 6
    IAX_LAST_TYPE = 12
    IAX_LAST_CONTROL = 0x28
    IAX_REGREQ = 0x0D
    IAX_AUTHREP = 0x09
    IAX_AUTHREQ = 0x08
    IAX_PASSWORD = 0x07         # information elements (RFC 5456 section 8.6)
    IAX_MD5 = 0x10
    IAX_ENCRYPTION = 0x2B


cdef struct NamedEnd:           # an IPv4 address and a port that media are to be sent to
    uint8_t ip[4]
    uint16_t port


cdef struct Legacy:
    uint8_t app                 # APP_OTHER: none of them
    uint8_t media               # voice is in it
    uint8_t secret              # SECRET_…
    uint8_t encryption          # IAX2 encryption is offered
    uint8_t keys                # SRTP keys are in it
    uint8_t count
    NamedEnd end[MAX_NAMED]


cdef inline uint32_t le32(const uint8_t* p) noexcept nogil:
    return p[0] | <uint32_t>p[1] << 8 | <uint32_t>p[2] << 16 | <uint32_t>p[3] << 24


cdef inline void name_end(Legacy* out, const uint8_t* ip, uint32_t port) noexcept nogil:
    cdef int i
    if out.count == MAX_NAMED or not 1024 <= port <= 0xFFFF or be32(ip) == 0:
        return
    out.end[out.count].port = <uint16_t>port
    for i in range(4):
        out.end[out.count].ip[i] = ip[i]
    out.count += 1


# --- SCCP --------------------------------------------------------------------------------------------------------

cdef inline void sccp_media(const uint8_t* p, uint32_t n, Legacy* out) noexcept nogil:
    """The address in a message that opens media; p is its length."""
    cdef uint32_t kind = le32(p + 8), version = le32(p + 4)
    cdef uint32_t at = 20 if kind == SCCP_START_MEDIA else 16
    if kind != SCCP_START_MEDIA and kind != SCCP_RECEIVE_ACK:
        return
    if version < SCCP_NEW_ADDRESSES:
        if n >= at + 8:
            name_end(out, p + at, le32(p + at + 4))
    elif n >= at + 24 and le32(p + at) == 0:        # IPv4
        name_end(out, p + at + 4, le32(p + at + 20))


cdef inline bint sccp(const uint8_t* p, uint32_t n, bint at_port, Legacy* out) noexcept nogil:
    """Messages that fill a segment; a single one is believed at the port of SCCP only."""
    cdef uint32_t at = 0, messages = 0, length, kind
    while n - at >= 12:
        length = le32(p + at)
        kind = le32(p + at + 8)
        if not 4 <= length <= 4096 or le32(p + at + 4) > 0x20 or kind > SCCP_LAST or length > n - at - 8:
            return False
        sccp_media(p + at, length + 8, out)
        messages += 1
        at += 8 + length
    if at != n or messages < (1 if at_port else 3):
        return False
    out.app = APP_SCCP
    return True


# --- MGCP and Megaco ---------------------------------------------------------------------------------------------

cdef inline bint is_mgcp_verb(const uint8_t* p) noexcept nogil:
    return (memcmp(p, b"EPCF", 4) == 0 or memcmp(p, b"CRCX", 4) == 0 or memcmp(p, b"MDCX", 4) == 0
            or memcmp(p, b"DLCX", 4) == 0 or memcmp(p, b"RQNT", 4) == 0 or memcmp(p, b"NTFY", 4) == 0
            or memcmp(p, b"AUEP", 4) == 0 or memcmp(p, b"AUCX", 4) == 0 or memcmp(p, b"RSIP", 4) == 0)


cdef inline uint32_t number_at(const uint8_t* p, uint32_t n, uint32_t* at, uint32_t digits) noexcept nogil:
    cdef uint32_t value = 0, start = at[0]
    while at[0] < n and at[0] - start < digits and c"0" <= p[at[0]] <= c"9":
        value = value * 10 + p[at[0]] - c"0"
        at[0] += 1
    return value


cdef inline void sdp_media(const uint8_t* p, uint32_t n, Legacy* out) noexcept nogil:
    """Connection and m-lines of SDP (RFC 8866 section 5), of IPv4."""
    cdef uint32_t at = 0, i, k, port
    cdef int part
    cdef uint8_t[4] ip
    cdef const uint8_t* end
    cdef bint known = False
    while at < n:
        end = <const uint8_t*>memchr(p + at, 10, n - at)
        k = n if end == NULL else <uint32_t>(end - p)
        if k - at > 9 and memcmp(p + at, b"c=IN IP4 ", 9) == 0:
            i = at + 9
            known = True
            for part in range(4):
                ip[part] = <uint8_t>number_at(p, k, &i, 3)
                if part < 3:
                    known &= i < k and p[i] == c"."
                    i += 1
        elif k - at > 9 and memcmp(p + at, b"a=crypto:", 9) == 0:
            out.keys = True             # RFC 4568
        elif k - at > 8 and memcmp(p + at, b"m=audio ", 8) == 0 and known:
            i = at + 8
            port = number_at(p, k, &i, 5)
            name_end(out, ip, port)
        at = k + 1


cdef inline bint mgcp(const uint8_t* p, uint32_t n, bint at_port, Legacy* out) noexcept nogil:
    """A command: verb, transaction, endpoint and version; at its port also a response (RFC 3435 section 3.2)."""
    cdef const uint8_t* end = <const uint8_t*>memchr(p, 10, n)
    cdef uint32_t line, at
    if n < 6:
        return False
    line = n if end == NULL else <uint32_t>(end - p)
    line -= line > 0 and p[line - 1] == 13
    if line >= 16 and is_mgcp_verb(p) and p[4] == c" ":
        at = 5
        number_at(p, line, &at, 9)
        if at == 5 or p[at] != c" ":
            return False
        while at + 9 <= line and memcmp(p + at, b" MGCP 1.0", 9) != 0:
            at += 1
        if at + 9 > line:
            return False
    elif at_port and line >= 5 and p[3] == c" ":
        at = 0
        if not (c"0" <= p[0] <= c"9" and number_at(p, 3, &at, 3) < 1000 and at == 3):
            return False
        at = 4
        number_at(p, line, &at, 9)
        if at == 4 or (at < line and p[at] != c" "):
            return False
    else:
        return False
    out.app = APP_MGCP
    sdp_media(p, n, out)
    return True


cdef inline bint megaco(const uint8_t* p, uint32_t n, Legacy* out) noexcept nogil:
    """The text encoding's start: "MEGACO/1 [", or "!/1 " and who sends (H.248.1 annex B.2)."""
    cdef uint32_t at = 0
    if n < 12:
        return False
    if memcmp(p, b"MEGACO/", 7) == 0:
        at = 7
    elif memcmp(p, b"!/", 2) == 0:
        at = 2
    else:
        return False
    if not c"1" <= p[at] <= c"9":
        return False
    at += 1
    while at < n and p[at] in (c" ", c"\t", c"\r", c"\n"):
        at += 1
    if at >= n or p[at - 1] == p[at] or not (p[at] == c"[" or p[at] == c"<" or c"A" <= p[at] <= c"z"):
        return False
    out.app = APP_MEGACO
    sdp_media(p, n, out)
    return True


# --- H.323 -------------------------------------------------------------------------------------------------------

cdef inline bint ras(const uint8_t* p, uint32_t n, Legacy* out) noexcept nogil:
    """RasMessage at its port: an alternative of the root, and the protocol's identifier in the first of them.

    itu-t(0) recommendation(0) h(8) 2250 version(0) n is 00 08 91 4A 00 n behind its length.
    """
    cdef uint32_t at
    if n < 6 or p[0] > 0x60:
        return False
    for at in range(2, min(n, <uint32_t>16) - 5 if n >= 12 else 0):
        if memcmp(p + at, b"\x06\x00\x08\x91\x4a\x00", 6) == 0:
            out.app = APP_H323
            return True
    return False


cdef inline void h323_media(const uint8_t* p, uint32_t n, const uint8_t* low, const uint8_t* high,
                            Legacy* out) noexcept nogil:
    """Transport addresses of either end: an end names its own, and what is behind it is a port (H.245 section 6.8)."""
    cdef uint32_t at
    for at in range(n - 5 if n >= 6 else 0):
        if memcmp(p + at, low, 4) == 0 or memcmp(p + at, high, 4) == 0:
            name_end(out, p + at, be16(p + at + 4))


cdef inline bint h323(const uint8_t* p, uint32_t n, const uint8_t* low, const uint8_t* high,
                      Legacy* out) noexcept nogil:
    """TPKT (RFC 1006 section 6) with Q.931 that has H.225.0 in its user-user element, or with H.245's first message."""
    cdef uint32_t length, at
    cdef bint is_setup = False
    if n < 7 or p[0] != 3 or p[1] != 0:
        return False
    length = be16(p + 2)
    if length < 7:
        return False
    if n >= 12 and p[4] == 8 and p[5] == 2:
        # Call reference of two octets, a message of Q.931 (table 4-2), then elements up to user-user.
        if not (p[8] in (0x01, 0x02, 0x03, 0x05, 0x07, 0x0F, 0x5A, 0x62, 0x6E, 0x75, 0x7B, 0x7D)):
            return False
        at = 9
        for _ in range(24):
            if at + 3 > n:
                return False
            if p[at] == 0x7E:
                is_setup = at + 4 <= n and p[at + 3] == 5
                break
            at += 1 if p[at] & 0x80 else 2 + p[at + 1]
        if not is_setup:
            return False
    else:
        is_setup = n >= 16 and (memcmp(p + 7, b"\x06\x00\x08\x81\x75\x00", 6) == 0
                                or memcmp(p + 8, b"\x06\x00\x08\x81\x75\x00", 6) == 0)
        if not is_setup:
            return False
    out.app = APP_H323
    h323_media(p, n, low, high, out)
    return True


# --- IAX2 --------------------------------------------------------------------------------------------------------

cdef inline bint iax2(const uint8_t* p, uint32_t n, bint known, Legacy* out) noexcept nogil:
    """A full frame (RFC 5456 section 8.1.1); a mini frame only where a full one was seen (section 8.1.2)."""
    cdef uint32_t at = 12
    if n < 5:
        return False
    if not p[0] & 0x80:
        if not known or be16(p) == 0:
            return False
        out.app = APP_IAX2
        out.media = True
        return True
    if n < 12 or not 1 <= p[10] <= IAX_LAST_TYPE or be16(p) == 0x8000:
        return False
    out.app = APP_IAX2
    if p[10] == IAX_VOICE or p[10] == IAX_VIDEO:
        out.media = known and n > 12
        return known
    if p[10] != IAX_CONTROL:
        return known
    if not 1 <= p[11] <= IAX_LAST_CONTROL:
        return False
    while at < n:               # information elements fill the frame
        if at + 2 > n or at + 2 + p[at + 1] > n:
            return False
        if p[at] == IAX_MD5 and p[11] in (IAX_REGREQ, IAX_AUTHREP):
            out.secret = SECRET_DIGEST
        elif p[at] == IAX_PASSWORD:
            out.secret = SECRET_PASSWORD
        elif p[at] == IAX_ENCRYPTION and p[11] == IAX_AUTHREQ:
            out.encryption = True
        at += 2 + p[at + 1]
    return True


# --- which it is -------------------------------------------------------------------------------------------------

cdef inline bint has_port(uint32_t ports, uint32_t port) noexcept nogil:
    return ports >> 16 == port or ports & 0xFFFF == port


cdef inline bint udp_legacy(const uint8_t* p, uint32_t n, uint32_t ports, uint8_t known, Legacy* out) noexcept nogil:
    """Take a datagram; ``known`` is what its flow is by now."""
    out.app = APP_OTHER
    out.media = out.encryption = out.keys = False
    out.secret = SECRET_NONE
    out.count = 0
    if has_port(ports, IAX2_PORT):
        return iax2(p, n, known == APP_IAX2, out)
    if has_port(ports, RAS_PORT) or has_port(ports, RAS_DISCOVERY_PORT):
        return ras(p, n, out)
    if c"A" <= p[0] <= c"Z" or c"0" <= p[0] <= c"9":
        if mgcp(p, n, has_port(ports, MGCP_GATEWAY_PORT) or has_port(ports, MGCP_AGENT_PORT) or known == APP_MGCP, out):
            return True
    return (p[0] == c"M" or p[0] == c"!") and megaco(p, n, out)


cdef inline bint tcp_legacy(const uint8_t* p, uint32_t n, uint32_t ports, const uint8_t* low, const uint8_t* high,
                            Legacy* out) noexcept nogil:
    """Take a segment; ``low`` and ``high`` are the IPv4 addresses of the key's ends."""
    out.app = APP_OTHER
    out.media = out.encryption = out.keys = False
    out.secret = SECRET_NONE
    out.count = 0
    if n < 7:
        return False
    if p[0] == 3 and p[1] == 0:
        return h323(p, n, low, high, out)
    if n >= 12 and p[1] <= 0x10 and p[2] == 0 and p[3] == 0:
        return sccp(p, n, has_port(ports, SCCP_PORT), out)
    return (p[0] == c"M" or p[0] == c"!") and megaco(p, n, out)
