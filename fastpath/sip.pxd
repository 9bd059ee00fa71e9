"""SIP (RFC 3261) and SDP (RFC 8866) read in place: spans of the message's own octets, numbers, and keyed digests."""

from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t


cdef enum:
    SIP_MAX_MESSAGE = 65535     # octets; what follows in a longer one is not read
    SIP_MAX_PACKED = 16384      # what sip_pack writes at most

    SDP_MAX_MEDIA = 8
    SDP_MAX_PAYLOADS = 16
    SDP_MAX_CRYPTOS = 8
    SDP_MAX_CANDIDATES = 16

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


cdef enum:                      # SdpCrypto.flags, RFC 4568 section 6.3
    CRYPTO_UNENCRYPTED_SRTP = 1
    CRYPTO_UNENCRYPTED_SRTCP = 2
    CRYPTO_UNAUTHENTICATED_SRTP = 4


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


cdef struct SdpCandidate:       # component 1, an address and not a name
    Span address
    uint16_t port


cdef struct SdpMedia:           # with what holds from session level
    Span media
    Span profile
    Span address                # nearest c=, without TTL and count
    Span hash_name              # a=fingerprint
    Span fingerprint            # its hexadecimal
    uint16_t port
    uint16_t rtcp_port          # a=rtcp (RFC 3605), 0 when none
    uint8_t direction           # SdpDirection
    uint8_t setup               # SdpSetup
    uint8_t rtcp_mux            # RFC 5761, RFC 8858
    uint8_t zrtp_hash           # RFC 6189 section 8
    uint8_t payload_count
    uint8_t crypto_count
    uint8_t candidate_count
    SdpPayload[SDP_MAX_PAYLOADS] payloads
    SdpCrypto[SDP_MAX_CRYPTOS] cryptos
    SdpCandidate[SDP_MAX_CANDIDATES] candidates


cdef struct SipScan:
    Span method                 # of the request; of the CSeq in a response
    Span user_agent             # or Server
    Name call_id
    Name from_tag
    Name to_tag
    Name from_user              # without password and parameters
    Name to_user
    uint32_t cseq
    uint32_t headers            # octets up to the body; 0 when the headers were cut
    uint32_t content_length     # as the header says, at most UINT32_MAX; 0 when there is none
    uint32_t media_total        # m= lines, those beyond SDP_MAX_MEDIA too
    uint16_t status             # 0 for a request
    uint8_t has_sdp
    uint8_t cut                 # the body ends before Content-Length says: the last media may lack attributes
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
cdef int sip_scan(const uint8_t* p, uint32_t n, const uint8_t* secret, SipScan* out) noexcept nogil

# Octets written, at most SIP_MAX_PACKED; 0 when they do not fit. p is the message that was scanned.
cdef uint32_t sip_pack(const SipScan* s, const uint8_t* p, uint8_t* out, uint32_t capacity) noexcept nogil

# records.SipMessage from what sip_pack wrote.
cdef object sip_unpack(const uint8_t* body, uint32_t size, object flow, object ts_ns, object key, bint from_a)
