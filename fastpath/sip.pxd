"""SIP (RFC 3261) and SDP (RFC 8866) read in place: spans of the message's own octets, numbers, and keyed digests."""

from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t

from fastpath.events cimport EventAgent, EventExposure, EventHead, EventNegotiation


cdef enum:
    SIP_MAX_MESSAGE = 65535     # octets; what follows in a longer one is not read
    SIP_MAX_PACKED = 20480      # what sip_pack writes at most

    SDP_MAX_MEDIA = 8
    SDP_MAX_PAYLOADS = 16
    SDP_MAX_CRYPTOS = 8
    SDP_MAX_CANDIDATES = 16
    SDP_MAX_FINGERPRINTS = 4
    SDP_MAX_BUNDLES = 4

    SIP_MAX_WANTED = 8          # headers that a configuration names …
    SIP_MAX_HEADER_NAME = 32    # … and the octets of such a name

    # sip_scan
    SIP_OK = 0
    SIP_NOT_SIP = 1             # no start line of SIP
    SIP_NO_DIALOGUE = 2         # Call-ID or CSeq is missing, unreadable or cut away: the message belongs nowhere


cdef enum SdpDirection:         # RFC 8866 section 6.7
    SDP_SENDRECV = 0
    SDP_SENDONLY = 1
    SDP_RECVONLY = 2
    SDP_INACTIVE = 3


cdef enum SdpSetup:             # RFC 4145 section 4
    SDP_SETUP_NONE = 0
    SDP_SETUP_ACTIVE = 1
    SDP_SETUP_PASSIVE = 2
    SDP_SETUP_ACTPASS = 3
    SDP_SETUP_HOLDCONN = 4


cdef enum SipCredentials:       # of Authorization and Proxy-Authorization
    SIP_CREDENTIALS_NONE = 0
    SIP_CREDENTIALS_DIGEST = 1
    SIP_CREDENTIALS_BASIC = 2
    SIP_CREDENTIALS_BEARER = 3  # RFC 8898
    SIP_CREDENTIALS_OTHER = 4


cdef enum:                      # SdpCrypto.flags
    CRYPTO_UNENCRYPTED_SRTP = 1         # RFC 4568 section 6.3
    CRYPTO_UNENCRYPTED_SRTCP = 2
    CRYPTO_UNAUTHENTICATED_SRTP = 4
    CRYPTO_POTENTIAL = 8                # a capability (RFC 5939 section 3.4.1)


cdef struct Span:               # octets of the message that was scanned; len 0: absent
    uint32_t at
    uint32_t len


cdef struct Name:               # a text that identifies something and so must stay distinct when it is cut
    Span span
    uint64_t digest             # keyed; 0 when the text can leave as it is


cdef struct SdpPayload:
    Span encoding               # rtpmap after the number: "opus/48000/2"
    uint8_t number


cdef struct SdpCrypto:
    uint64_t key_digest         # keyed; 0 when there was no inline key
    uint32_t tag
    uint8_t suite               # index into the registered suites; 0 when not registered
    uint8_t flags               # CRYPTO_…
    uint8_t mki                 # octets of the master key identifier, at most 128; 0 when there is none


cdef struct SdpCandidate:       # component 1, an address and not a name
    Span address
    uint16_t port


cdef struct SdpFingerprint:
    Span hash_name
    Span octets                 # in hexadecimal


cdef struct SdpMedia:           # with what holds from session level
    Span media
    Span profile
    Span address                # nearest c=, without TTL and count
    Span mid                    # RFC 5888 section 4
    Span rtcp_address           # a=rtcp (RFC 3605), len 0 when it names none
    uint16_t port
    uint16_t rtcp_port          # a=rtcp, 0 when none
    uint8_t direction           # SdpDirection
    uint8_t setup               # SdpSetup
    uint8_t rtcp_mux            # RFC 5761, RFC 8858
    uint8_t zrtp_hash           # RFC 6189 section 8
    uint8_t bundle              # which of the session's BUNDLE groups it is in (RFC 9143), 1: the first; 0: none
    uint8_t bundle_only         # RFC 9143 section 6: port 0 refuses nothing
    uint8_t secure              # its profile is SAVP or SAVPF: RTP in clear is no choice
    uint8_t potential_srtp      # a secure profile is among the capabilities (RFC 5939 section 3.4.2)
    uint8_t fingerprint_count
    uint8_t payload_count
    uint8_t crypto_count
    uint8_t candidate_count
    SdpFingerprint[SDP_MAX_FINGERPRINTS] fingerprints
    SdpPayload[SDP_MAX_PAYLOADS] payloads
    SdpCrypto[SDP_MAX_CRYPTOS] cryptos
    SdpCandidate[SDP_MAX_CANDIDATES] candidates


cdef struct WantedHeaders:
    uint8_t count
    uint8_t[SIP_MAX_WANTED] size
    uint8_t[SIP_MAX_WANTED][SIP_MAX_HEADER_NAME] name   # in lower case


cdef struct SipScan:
    Span method                 # of the request; of the CSeq in a response
    Span user_agent             # or Server
    Name call_id
    Name from_tag
    Name to_tag
    Name from_user              # without password and parameters
    Name to_user
    Span authorization          # credentials, whole
    Name replaces               # Call-ID that Replaces names (RFC 3891)
    Span[2] session             # UUIDs of Session-ID (RFC 7989), len 0: none, or nil
    uint64_t[SIP_MAX_WANTED] wanted     # keyed digests of the values of headers that a configuration names, 0: none
    Span[SDP_MAX_BUNDLES] bundles       # identification tags of a=group:BUNDLE, as they are listed
    uint32_t cseq
    uint32_t headers            # octets up to the body; 0 when the headers were cut
    uint32_t content_length     # as the header says, at most UINT32_MAX; 0 when there is none
    uint32_t media_total        # m= lines, those beyond SDP_MAX_MEDIA too
    uint16_t status             # 0 for a request
    uint8_t credentials         # SipCredentials
    uint8_t text                # the body of a MESSAGE is to be read by people, and is in clear
    uint8_t recording           # asks for a recording session (RFC 7866 section 6.1.1), or tells of one (RFC 7865)
    uint8_t has_sdp
    uint8_t cut                 # the body ends before Content-Length says: the last media may lack attributes
    uint8_t bundle_count
    uint8_t media_count
    SdpMedia[SDP_MAX_MEDIA] media


# Do these octets begin a SIP message? The start line may be cut once method and URI scheme are there.
cdef bint sip_probe(const uint8_t* p, uint32_t n) noexcept nogil

# Octets of the first message of a stream (RFC 3261 section 18.3), 0: its headers have no end yet, -1: no SIP message
# begins here. More than n: so many are needed. The first `searched` octets are known to hold no end of the headers.
cdef int64_t sip_frame(const uint8_t* p, uint32_t n, uint32_t searched) noexcept nogil

# After -1: octets to skip, at least 1, to the next possible start line, which may be cut; n when there is none.
cdef uint32_t sip_resync(const uint8_t* p, uint32_t n) noexcept nogil

# SIP_OK or a reason. The secret has 16 octets; spans are valid as long as p is. No octet of a key is kept.
cdef int sip_scan(const uint8_t* p, uint32_t n, const uint8_t* secret, const WantedHeaders* wanted,
                  SipScan* out) noexcept nogil

# Octets written; 0 when they do not fit. p is the message that was scanned. A whole one has at most SIP_MAX_PACKED; its
# two parts are whom it is between and what joins it to others, and what its SDP describes but for the payload types:
# those are the core's own business (hints.pxd).
cdef uint32_t sip_pack(const SipScan* s, const uint8_t* p, uint8_t* out, uint32_t capacity) noexcept nogil
cdef uint32_t sip_pack_parties(const SipScan* s, const uint8_t* p, uint8_t* out, uint32_t capacity) noexcept nogil
cdef uint32_t sip_pack_media(const SipScan* s, const uint8_t* p, uint8_t* out, uint32_t capacity) noexcept nogil

# Octets written, at most so many: a text without control characters.
cdef uint32_t sip_clean(const uint8_t* p, Span text, uint32_t most, uint8_t* out) noexcept nogil

# The headers that a configuration names. Raises ValueError for too many, or names that are too long.
cdef int want_headers(object names, WantedHeaders* wanted) except -1

# What sip_pack_parties wrote: call_id, from_user, to_user, session_ids, headers, replaces, recording.
cdef tuple sip_unpack_parties(const uint8_t* body, uint32_t size)
# A tuple of records.SdpMedia from what sip_pack_media wrote.
cdef tuple sip_unpack_media(const uint8_t* body, uint32_t size)
# Records of events.
cdef object negotiation_record(const EventNegotiation* e, const EventHead* head, object key)
cdef object exposure_record(const EventExposure* e, const EventHead* head, object key)
cdef object agent_record(const EventAgent* e, const EventHead* head, object key)

# records.SipMessage from what sip_pack wrote.
cdef object sip_unpack(const uint8_t* body, uint32_t size, object flow, object ts_ns, object key, bint from_a)
