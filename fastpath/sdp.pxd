"""SDP (RFC 8866) read in place, for what it says of addresses, encryption and codecs."""

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t

from fastpath.text cimport Span


cdef enum:
    SDP_MAX_MEDIA = 8
    SDP_MAX_PAYLOADS = 16
    SDP_MAX_CRYPTOS = 8
    SDP_MAX_CANDIDATES = 16
    SDP_MAX_FINGERPRINTS = 4
    SDP_MAX_BUNDLES = 4
    SDP_FINGERPRINT_OCTETS = 64     # at most: SHA-512
    SDP_SUITES = 23


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


cdef enum:                      # SdpCrypto.flags
    CRYPTO_UNENCRYPTED_SRTP = 1         # RFC 4568 section 6.3
    CRYPTO_UNENCRYPTED_SRTCP = 2
    CRYPTO_UNAUTHENTICATED_SRTP = 4
    CRYPTO_POTENTIAL = 8                # a capability (RFC 5939 section 3.4.1)


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


cdef struct SdpScan:
    Span[SDP_MAX_BUNDLES] bundles       # identification tags of a=group:BUNDLE, as they are listed
    uint8_t bundle_count
    uint8_t media_count
    SdpMedia[SDP_MAX_MEDIA] media


# A description from one octet to another; out is cleared but for the media beyond its count. No octet of a key is kept;
# the secret of 16 octets keys their digests. An unfinished last line counts where the body is whole.
cdef void sdp_scan(
    const uint8_t* p, uint32_t at, uint32_t end, bint whole, const uint8_t* secret, SdpScan* out) noexcept nogil
