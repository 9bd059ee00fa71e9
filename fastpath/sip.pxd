"""SIP (RFC 3261) read in place: spans of the message's own octets, numbers, and keyed digests."""

from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t

from fastpath.sdp cimport SdpScan
from fastpath.text cimport Span


cdef enum:
    SIP_MAX_MESSAGE = 65535     # octets; what follows in a longer one is not read
    SIP_MAX_METHOD = 64         # octets; RFC 4475 section 3.1.1.2 has one of 43
    SIP_MAX_NAME = 128          # octets of a Call-ID, tag or user that leave the process's packet memory

    SIP_MAX_WANTED = 8          # headers that a configuration names …
    SIP_MAX_HEADER_NAME = 32    # … and the octets of such a name

    # sip_scan
    SIP_OK = 0
    SIP_NOT_SIP = 1             # no start line of SIP
    SIP_NO_DIALOGUE = 2         # Call-ID or CSeq is missing, unreadable or cut away: the message belongs nowhere


cdef enum SipCredentials:       # of Authorization and Proxy-Authorization
    SIP_CREDENTIALS_NONE = 0
    SIP_CREDENTIALS_DIGEST = 1
    SIP_CREDENTIALS_BASIC = 2
    SIP_CREDENTIALS_BEARER = 3  # RFC 8898
    SIP_CREDENTIALS_OTHER = 4


cdef struct Name:               # a text that identifies something and so must stay distinct when it is cut
    Span span
    uint64_t digest             # keyed; 0 when the text can leave as it is


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
    uint32_t cseq
    uint32_t headers            # octets up to the body; 0 when the headers were cut
    uint32_t content_length     # as the header says, at most UINT32_MAX; 0 when there is none
    uint16_t status             # 0 for a request
    uint8_t credentials         # SipCredentials
    uint8_t text                # the body of a MESSAGE is to be read by people, and is in clear
    uint8_t recording           # asks for a recording session (RFC 7866 section 6.1.1), or tells of one (RFC 7865)
    uint8_t has_sdp
    SdpScan sdp                 # what its SDP says; nothing where it has none


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

# The headers that a configuration names. Raises ValueError for too many, or names that are too long.
cdef int want_headers(object names, WantedHeaders* wanted) except -1
