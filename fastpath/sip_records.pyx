"""Packing of what was scanned, at the packet; records made of it, when somebody drains them.

No control character crosses, names stay distinct when they are cut (RFC 3261 sections 7.3.1 and 19.1.4), and addresses
are written in one way (RFC 5952).
"""

from cpython.unicode cimport PyUnicode_DecodeLatin1
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcpy, memset, strlen

from fastpath.events cimport EventAgent, EventExposure, EventHead, EventNegotiation
from fastpath.names cimport APP_SIP
from fastpath.sdp cimport (
    CRYPTO_POTENTIAL, CRYPTO_UNAUTHENTICATED_SRTP, CRYPTO_UNENCRYPTED_SRTCP, CRYPTO_UNENCRYPTED_SRTP,
    SDP_FINGERPRINT_OCTETS, SdpFingerprint, SdpMedia,
)
from fastpath.sip cimport SIP_MAX_METHOD, SIP_MAX_NAME, SIP_MAX_WANTED, Name, SipScan
from fastpath.text cimport Span, find, is_digit, is_hex, is_space, lower

from fastpath.records import APP_NAMES, Agent, Exposure, Negotiation, SipMessage
from fastpath.records import SdpCrypto as CryptoRecord
from fastpath.records import SdpMedia as MediaRecord
from fastpath.sdp import SUITE_NAME


cdef extern from "<arpa/inet.h>" nogil:
    enum:
        AF_INET
        AF_INET6
    int inet_pton(int family, const char* text, void* address)
    const char* inet_ntop(int family, const void* address, char* text, uint32_t size)


cdef enum:
    MAX_USER_AGENT = 128
    MAX_MEDIA_TYPE = 16
    MAX_TOKEN = 32              # profile, rtpmap encoding
    MAX_ADDRESS = 64
    MAX_TEXT = 128              # octets of any text that is cut
    DIGEST_TEXT = 17            # "~" and 16 hexadecimal digits


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
    """At most SIP_MAX_NAME octets; cut or cleaned ones end in "~" and the digest.

    %HH is decoded in a user: RFC 3261 section 19.1.4 takes both for the same.
    """
    cdef uint8_t[SIP_MAX_NAME] octets
    cdef uint32_t most = SIP_MAX_NAME - DIGEST_TEXT if text.digest else SIP_MAX_NAME
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
    put_u8(w, s.sdp.media_count)
    for i in range(s.sdp.media_count):
        put_media(w, p, &s.sdp.media[i], with_payloads)


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
    put_text(&w, p, s.method, SIP_MAX_METHOD)
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
    cdef uint8_t[SDP_FINGERPRINT_OCTETS] octets
    cdef uint8_t n = min(take_u8(r), <uint8_t>SDP_FINGERPRINT_OCTETS)
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
    """Call-ID, user of From, of To, Session-IDs, wanted headers, Replaces, recording."""
    cdef Reader r = reader(body, size)
    return take_parties(&r)


cdef tuple sip_unpack_media(const uint8_t* body, uint32_t size):
    """Records of media."""
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
