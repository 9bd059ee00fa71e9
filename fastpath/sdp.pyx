"""A session description read in one pass, without a copy and without keeping an octet of a key.

Read first: RFC 8866 sections 5, 6 and 9; RFC 4568 sections 4 to 6; RFC 5939 section 3; RFC 9143 section 7.
A line counts only when its end was seen, so that a cut description says less than the whole one, but nothing else. Work
is linear in the octets, whatever they are.
"""

from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcmp, memset, strlen

from fastpath.siphash cimport siphash
from fastpath.text cimport (
    Span, begins, find, is_digit, is_hex, is_token, next_word, number, same, skip_space, span, trim_end,
)


cdef extern from "<string.h>" nogil:
    void* memmem(const void* haystack, size_t n, const void* needle, size_t needle_n)
    void explicit_bzero(void* octets, size_t n)


cdef enum:
    MAX_HASH_NAME = 16
    MAX_CANDIDATE = 45          # an IPv6 address that ends in an IPv4 one
    MAX_KEY = 64                # octets of key and salt; no suite has more than 46
    MAX_MKI = 128               # RFC 4568 section 6.1


# What RFC 4568 section 6.2, RFC 5669, RFC 6188 and RFC 7714 registered; the names of RFC 8269; and those that phones
# took for RFC 6188 from its drafts.
cdef const char* SUITE[SDP_SUITES]
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
SUITE_NAME = tuple([SUITE[i].decode("ascii").upper() for i in range(SDP_SUITES)])


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
    for i in range(1, <uint32_t>SDP_SUITES):
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
    if hash_name.len == 0 or hash_name.len > MAX_HASH_NAME:
        return False
    if value.len % 3 != 2 or value.len > 3 * SDP_FINGERPRINT_OCTETS:
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


cdef void read_group(const uint8_t* p, uint32_t at, uint32_t end, SdpScan* out) noexcept nogil:
    """a=group:BUNDLE <identification tag> … (RFC 9143 section 7.1)."""
    cdef Span semantics = next_word(p, &at, end)
    if out.bundle_count < SDP_MAX_BUNDLES and same(p + semantics.at, semantics.len, b"bundle", 6):
        out.bundles[out.bundle_count] = span(at, end)
        out.bundle_count += 1


cdef void read_mid(const uint8_t* p, uint32_t at, uint32_t end, const SdpScan* s, SdpMedia* m) noexcept nogil:
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
        SdpScan* out, SdpMedia* m) noexcept nogil:
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
        const uint8_t* p, uint32_t at, uint32_t end, bint whole, const uint8_t* secret, SdpScan* out) noexcept nogil:
    """Session level, then each m= section (RFC 8866 section 5)."""
    cdef SdpMedia session
    cdef SdpMedia* m = &session     # NULL: a section that is not kept
    cdef bint in_media = False, own_address = False, own_fingerprint = False
    cdef uint32_t line = at, stop
    memset(out, 0, <const uint8_t*>&out.media[0] - <const uint8_t*>out)
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
