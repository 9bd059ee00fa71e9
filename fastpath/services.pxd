"""The services beside the phones, by what their packets hold: files, names, time, management, directories.

Read first: RFC 1350 (TFTP), RFC 1157 and RFC 3416 (SNMP), RFC 1035 section 4.1 (DNS), RFC 5905 section 7.3 (NTP), RFC
4511 (LDAP), RFC 854 (Telnet), MS-SMB2 section 2.2, RFC 7296 section 3.1 (IKE), the WireGuard paper section 5.4.

Nothing that is read here is kept: a service is named, and the kind of secret that it shows.
"""

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memchr, memcmp

from fastpath.names cimport (
    APP_DNS, APP_IPSEC, APP_LDAP, APP_NTP, APP_OPENVPN, APP_OTHER, APP_SMB, APP_SNMP, APP_TELNET, APP_TFTP,
    APP_WIREGUARD, SECRET_AUDIO, SECRET_BIND, SECRET_COMMUNITY, SECRET_CONFIGURATION, SECRET_ENTRIES, SECRET_NONE,
    SHOWN_DIRECTORY, SHOWN_KINDS, SHOWN_MANAGEMENT, SHOWN_NAME_TIME, SHOWN_PROVISIONING, SHOWN_RECORDING,
)
from fastpath.octets cimport be16, be32
from fastpath.text cimport is_hex, lower

cdef enum:
    DNS_PORT = 53
    NTP_PORT = 123
    OPENVPN_PORT = 1194

    MAX_FILE_NAME = 255
    MAX_LABELS = 127

    BER_SEQUENCE = 0x30
    BER_INTEGER = 0x02
    BER_OCTETS = 0x04
    LDAP_BIND = 0x60
    LDAP_SEARCH = 0x63
    LDAP_SIMPLE = 0x80

    SMB2_CREATE = 5
    SMB2_HEADER = 64


cdef struct Service:            # what a packet is, and what it shows
    uint8_t app                 # APP_OTHER: nothing known
    uint8_t shown               # SHOWN_KINDS: nothing
    uint8_t secret
    uint8_t by_content          # that it belongs to telephones shows in it


cdef inline bint found(Service* out, uint8_t app, uint8_t shown, uint8_t secret, bint by_content) noexcept nogil:
    out.app = app
    out.shown = shown
    out.secret = secret
    out.by_content = by_content
    return True


# --- names of files ----------------------------------------------------------------------------------------------

cdef inline bint ends_with(const uint8_t* p, uint32_t n, const char* text, uint32_t size) noexcept nogil:
    cdef uint32_t i
    if n < size:
        return False
    for i in range(size):
        if lower(p[n - size + i]) != <uint8_t>text[i]:
            return False
    return True


cdef inline bint holds(const uint8_t* p, uint32_t n, const char* text, uint32_t size) noexcept nogil:
    """Is a word in lower case among the octets, in any case?"""
    cdef uint32_t at, i
    for at in range(n - size + 1 if n >= size else 0):
        i = 0
        while i < size and lower(p[at + i]) == <uint8_t>text[i]:
            i += 1
        if i == size:
            return True
    return False


cdef inline bint has_mac(const uint8_t* p, uint32_t n, bint decimal) noexcept nogil:
    """Twelve hexadecimal digits in a row, or six pairs parted by one sign; of ``decimal`` ones only, if they may be.

    A date and time has twelve digits, too.
    """
    cdef uint32_t at, digits = 0
    cdef bint letter = decimal
    for at in range(n):
        if is_hex(p[at]):
            digits += 1
            letter |= p[at] > c"9"
            if digits == 12:
                return letter and (at + 1 == n or not is_hex(p[at + 1]))
        elif not (p[at] in (c":", c"-", c"_") and digits and digits % 2 == 0):
            digits = 0
            letter = decimal
    return False


cdef inline bint is_configuration(const uint8_t* p, uint32_t n) noexcept nogil:
    """Has a file an end that configurations of telephones have?"""
    return (
        ends_with(p, n, b".cfg", 4) or ends_with(p, n, b".cnf", 4) or ends_with(p, n, b".xml", 4)
        or ends_with(p, n, b".cnf.xml", 8) or ends_with(p, n, b".conf", 5) or ends_with(p, n, b".boot", 5)
        or ends_with(p, n, b".tlv", 4) or ends_with(p, n, b".htm", 4) or ends_with(p, n, b".ini", 4)
        or ends_with(p, n, b".txt", 4) or ends_with(p, n, b".sgn", 4) or ends_with(p, n, b".loads", 6)
        or ends_with(p, n, b".php", 4))


cdef inline bint is_phone_file(const uint8_t* p, uint32_t n, bint decimal) noexcept nogil:
    """Is it a file that telephones ask for? By its end, and by their own address or their maker's name in it."""
    cdef uint32_t name = n
    if not is_configuration(p, n):
        return False
    while name and p[name - 1] != c"/":
        name -= 1
    if n - name > 4 and holds(p + name, 3, b"spa", 3) and c"0" <= p[name + 3] <= c"9":
        return True
    return (has_mac(p, n, decimal) or holds(p, n, b"snom", 4) or holds(p, n, b"y000000", 7)
            or holds(p, n, b"sipdefault", 10) or holds(p, n, b"xmldefault", 10) or holds(p, n, b"polycom", 7)
            or holds(p, n, b"yealink", 7) or holds(p, n, b"grandstream", 11) or holds(p, n, b"aastra", 6)
            or holds(p, n, b"mitel", 5) or holds(p, n, b"46xxsettings", 12) or holds(p, n, b"fanvil", 6)
            or holds(p, n, b"gigaset", 7) or holds(p, n, b"dialplan", 8) or ends_with(p, n, b".tlv", 4)
            or ends_with(p, n, b".cnf.xml", 8))


cdef inline bint is_audio_file(const uint8_t* p, uint32_t n) noexcept nogil:
    return (ends_with(p, n, b".wav", 4) or ends_with(p, n, b".mp3", 4) or ends_with(p, n, b".gsm", 4)
            or ends_with(p, n, b".ogg", 4) or ends_with(p, n, b".opus", 5) or ends_with(p, n, b".wav49", 6))


# --- datagrams ---------------------------------------------------------------------------------------------------

cdef inline bint tftp(const uint8_t* p, uint32_t n, Service* out) noexcept nogil:
    """A request: opcode:16 name NUL mode NUL … (RFC 1350 section 5, RFC 2347)."""
    cdef const uint8_t* end
    cdef const uint8_t* mode
    cdef uint32_t name, i
    if n < 9 or p[0] or not 1 <= p[1] <= 2:
        return False
    end = <const uint8_t*>memchr(p + 2, 0, min(n - 2, <uint32_t>MAX_FILE_NAME))
    if end == NULL or end == p + 2:
        return False
    name = <uint32_t>(end - p) - 2
    for i in range(name):
        if not 0x20 <= p[2 + i] <= 0x7E:
            return False
    mode = end + 1
    i = n - name - 3
    if not ((i >= 6 and ends_with(mode, 5, b"octet", 5) and mode[5] == 0)
            or (i >= 9 and ends_with(mode, 8, b"netascii", 8) and mode[8] == 0)):
        return False
    if is_audio_file(p + 2, name):
        return found(out, APP_TFTP, SHOWN_RECORDING, SECRET_AUDIO, False)
    return found(out, APP_TFTP, SHOWN_PROVISIONING, SECRET_CONFIGURATION, is_phone_file(p + 2, name, True))


cdef inline uint32_t ber_length(const uint8_t* p, uint32_t n, uint32_t* at) noexcept nogil:
    """The length at ``at``, which moves past it (ITU-T X.690 section 8.1.3); more than there is when it is none."""
    cdef uint32_t octets, length = 0
    if at[0] >= n:
        return n + 1
    octets = p[at[0]]
    at[0] += 1
    if octets < 0x80:
        return octets
    octets &= 0x7F
    if octets == 0 or octets > 4 or octets > n - at[0]:
        return n + 1
    for _ in range(octets):
        length = length << 8 | p[at[0]]
        at[0] += 1
    return length


cdef inline bint snmp(const uint8_t* p, uint32_t n, Service* out) noexcept nogil:
    """SEQUENCE { version INTEGER, community OCTET STRING, PDU } (RFC 1157 section 4)."""
    cdef uint32_t at = 1, length
    if n < 12 or p[0] != BER_SEQUENCE:
        return False
    length = ber_length(p, n, &at)
    if length != n - at or p[at] != BER_INTEGER or p[at + 1] != 1:
        return False
    if p[at + 2] == 3:          # RFC 3412 section 6: a header follows
        return p[at + 3] == BER_SEQUENCE and found(out, APP_SNMP, SHOWN_KINDS, SECRET_NONE, False)
    if p[at + 2] > 1 or p[at + 3] != BER_OCTETS:
        return False
    at += 4
    length = ber_length(p, n, &at)
    if length >= n - at or not 0xA0 <= p[at + length] <= 0xA8:
        return False
    return found(out, APP_SNMP, SHOWN_MANAGEMENT, SECRET_COMMUNITY, False)


cdef inline bint dns(const uint8_t* p, uint32_t n, Service* out) noexcept nogil:
    """A query or its answer with one question (RFC 1035 section 4.1), at the port of DNS."""
    cdef uint32_t at = 12, labels = 0
    cdef bint asks_for_sip = False
    if n < 17 or p[2] & 0x78 or be16(p + 4) != 1 or be16(p + 6) > 64 or be16(p + 8) > 64 or be16(p + 10) > 64:
        return False
    while at < n and p[at]:
        if p[at] > 63 or labels == MAX_LABELS or at + 1 + p[at] >= n:
            return False
        asks_for_sip |= labels == 0 and p[at] in (4, 5) and holds(p + at + 1, 4, b"_sip", 4)
        at += 1 + p[at]
        labels += 1
    if at + 5 > n or be16(p + at + 3) & 0x7FFF not in (1, 255):
        return False
    asks_for_sip &= be16(p + at + 1) == 33          # SRV (RFC 3263 section 4.1)
    return found(out, APP_DNS, SHOWN_NAME_TIME, SECRET_NONE, asks_for_sip)


cdef inline bint ntp(const uint8_t* p, uint32_t n, Service* out) noexcept nogil:
    """A client's or a server's packet (RFC 5905 section 7.3), at the port of NTP; a longer one may be signed."""
    cdef uint8_t mode = p[0] & 7, version = p[0] >> 3 & 7
    if n < 48 or not 3 <= mode <= 4 or not 1 <= version <= 4 or p[1] > 16:
        return False
    return found(out, APP_NTP, SHOWN_NAME_TIME if n == 48 else SHOWN_KINDS, SECRET_NONE, False)


cdef inline bint ike(const uint8_t* p, uint32_t n, Service* out) noexcept nogil:
    """ISAKMP's header (RFC 7296 section 3.1), on port 4500 behind four octets of zero (RFC 3948 section 2.2)."""
    if n >= 32 and be32(p) == 0:
        p += 4
        n -= 4
    if n < 28 or p[17] not in (0x10, 0x20) or be32(p + 24) != n or be32(p) == 0:
        return False
    return found(out, APP_IPSEC, SHOWN_KINDS, SECRET_NONE, False)


cdef inline bint wireguard(const uint8_t* p, uint32_t n, Service* out) noexcept nogil:
    """The two messages of its handshake, which have one length each."""
    if not ((p[0] == 1 and n == 148) or (p[0] == 2 and n == 92)) or p[1] or p[2] or p[3]:
        return False
    return found(out, APP_WIREGUARD, SHOWN_KINDS, SECRET_NONE, False)


cdef inline bint openvpn(const uint8_t* p, uint32_t n, Service* out) noexcept nogil:
    """A hard reset of client or server, at its port: opcode and key, session, no packets acknowledged or one."""
    if n < 14 or not (p[0] == 0x38 or p[0] == 0x40 or p[0] == 0x50) or n > 128:
        return False
    return found(out, APP_OPENVPN, SHOWN_KINDS, SECRET_NONE, False)


cdef inline bint udp_service(const uint8_t* p, uint32_t n, uint32_t ports, Service* out) noexcept nogil:
    """Take a datagram that is nothing of media, SIP, STUN or DTLS; ``ports`` are those of the key."""
    cdef uint32_t one = ports >> 16, other = ports & 0xFFFF
    found(out, APP_OTHER, SHOWN_KINDS, SECRET_NONE, False)
    if (one == DNS_PORT or other == DNS_PORT) and dns(p, n, out):
        return True
    if (one == NTP_PORT or other == NTP_PORT) and ntp(p, n, out):
        return True
    if (one in (500, 4500) or other in (500, 4500)) and ike(p, n, out):
        return True
    if (one == OPENVPN_PORT or other == OPENVPN_PORT) and openvpn(p, n, out):
        return True
    if p[0] == BER_SEQUENCE:
        return snmp(p, n, out)
    if p[0] == 0:
        return tftp(p, n, out)
    return p[0] <= 2 and n >= 92 and wireguard(p, n, out)


# --- the first octets of a TCP stream ----------------------------------------------------------------------------

cdef inline bint is_directory_attribute(const uint8_t* p, uint32_t n) noexcept nogil:
    return (holds(p, n, b"telephonenumber", 15) or holds(p, n, b"ipphone", 7) or holds(p, n, b"facsimile", 9)
            or holds(p, n, b"homephone", 9))


cdef inline bint ldap(const uint8_t* p, uint32_t n, Service* out) noexcept nogil:
    """LDAPMessage ::= SEQUENCE { messageID INTEGER, protocolOp … } (RFC 4511 section 4.1.1)."""
    cdef uint32_t at = 1, end, length, op
    if n < 12 or p[0] != BER_SEQUENCE:
        return False
    length = ber_length(p, n, &at)
    if length > n - at:
        return False
    end = at + length
    if at + 3 > end or p[at] != BER_INTEGER or not 1 <= p[at + 1] <= 4 or at + 2 + p[at + 1] >= end:
        return False
    at += 2 + p[at + 1]
    op = p[at]
    if op != LDAP_BIND and op != LDAP_SEARCH:
        return False
    at += 1
    length = ber_length(p, end, &at)
    if length != end - at and not (op == LDAP_SEARCH and length <= end - at):
        return False
    if op == LDAP_SEARCH:       # scope and dereferencing are ENUMERATED behind the base
        if at + 1 >= end or p[at] != BER_OCTETS:
            return False
        return found(out, APP_LDAP, SHOWN_DIRECTORY, SECRET_ENTRIES, is_directory_attribute(p + at, end - at))
    if at + 3 >= end or p[at] != BER_INTEGER or p[at + 1] != 1 or not 2 <= p[at + 2] <= 3 or p[at + 3] != BER_OCTETS:
        return False
    at += 4
    length = ber_length(p, end, &at)
    if length >= end - at:
        return False
    at += length
    if p[at] != LDAP_SIMPLE or at + 1 >= end:
        return found(out, APP_LDAP, SHOWN_KINDS, SECRET_NONE, False)
    return found(out, APP_LDAP, SHOWN_DIRECTORY if p[at + 1] else SHOWN_KINDS, SECRET_BIND, False)


cdef inline bint telnet(const uint8_t* p, uint32_t n, Service* out) noexcept nogil:
    """Options that are offered and wanted (RFC 854, RFC 855), and nothing else."""
    cdef uint32_t at = 0
    if n < 6:
        return False
    while at + 3 <= n and at < 12:
        if p[at] != 0xFF or not 0xFB <= p[at + 1] <= 0xFE or p[at + 2] > 49:
            return False
        at += 3
    return found(out, APP_TELNET, SHOWN_MANAGEMENT, SECRET_NONE, False)


cdef inline bint smb(const uint8_t* p, uint32_t n, Service* out) noexcept nogil:
    """A message behind its length (MS-SMB2 sections 2.1 and 2.2.1); one that opens audio shows a recording."""
    cdef uint32_t at, size, name, i
    cdef uint8_t[16] end
    if n < 8 + 24 or p[0] or (p[4] != 0xFE and p[4] != 0xFF and p[4] != 0xFD) or memcmp(p + 5, b"SMB", 3) != 0:
        return False
    found(out, APP_SMB, SHOWN_KINDS, SECRET_NONE, False)
    at = 4 + SMB2_HEADER
    if p[4] != 0xFE or n < at + 57 or p[16] != SMB2_CREATE or p[17] or p[20] & 1:
        return True
    name = 4 + (p[at + 44] | <uint32_t>p[at + 45] << 8)
    size = p[at + 46] | <uint32_t>p[at + 47] << 8
    if size < 2 or name > n or size > n - name:
        return True
    for i in range(min(size // 2, <uint32_t>16)):
        end[min(size // 2, <uint32_t>16) - 1 - i] = p[name + size - 2 - 2 * i]
    if is_audio_file(end, min(size // 2, <uint32_t>16)):
        found(out, APP_SMB, SHOWN_RECORDING, SECRET_AUDIO, False)
    return True


cdef inline bint tcp_service(const uint8_t* p, uint32_t n, Service* out) noexcept nogil:
    """Take a segment that could begin a message."""
    found(out, APP_OTHER, SHOWN_KINDS, SECRET_NONE, False)
    if p[0] == BER_SEQUENCE:
        return ldap(p, n, out)
    if p[0] == 0xFF:
        return telnet(p, n, out)
    return p[0] == 0 and smb(p, n, out)
