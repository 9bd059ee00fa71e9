"""TLS and DTLS recognised, and what their hellos agree on (RFC 8446, 5246, 9147, 6347, 5764, 6066, 7301)."""

from libc.stdint cimport int16_t, uint8_t, uint16_t, uint32_t


cdef enum:
    # read_hello, dtls_scan, and tls_take of handshake.pyx
    HELLO_NOT = -1              # not TLS, or not DTLS
    HELLO_MORE = 0              # well-formed so far; the hello is not there, or not whole
    HELLO_DONE = 1              # a hello was read

    TLS_HEADER = 5              # octets of a record's header …
    TLS_HANDSHAKE_HEADER = 4    # … and of a handshake message's

    CHANGE_CIPHER_SPEC = 20     # types of records
    ALERT = 21
    HANDSHAKE = 22
    APPLICATION_DATA = 23

    CLIENT_HELLO = 1            # types of handshake messages
    SERVER_HELLO = 2
    CERTIFICATE = 11
    SERVER_KEY_EXCHANGE = 12

    TLS_1_3 = 0x0304

    # HelloScan.seen
    SEEN_CLIENT_HELLO = 1
    SEEN_SERVER_HELLO = 2       # not HelloRetryRequest
    SEEN_HELLO_RETRY = 4        # RFC 8446 section 4.1.4
    SEEN_HELLO_VERIFY = 8       # RFC 6347 section 4.2.1
    SEEN_CHANGE_CIPHER = 16
    SEEN_PROTECTED = 32         # DTLS record of epoch 1 or more
    SEEN_APPLICATION = 64
    SEEN_ALERT = 128            # one that was sent in clear
    SEEN_PARTIAL = 256          # a hello lay in fragments that were not all read: its fields may be incomplete

    # HelloScan.alpn_offered (RFC 7301)
    ALPN_SIP = 1                # "sip/2", as IANA has it, or "sip"
    ALPN_HTTP_1_1 = 2
    ALPN_H2 = 4

    MAX_FRAGMENTS = 8           # of Certificate messages in one datagram; further ones are not read
    MAX_PARTS = 16              # of a message that is not whole yet


cdef struct HelloScan:          # all zero before a flow's first octets; each scan adds to it
    uint16_t seen               # SEEN_…
    uint16_t client_version     # highest that the client offers, as on the wire
    uint16_t version            # what the server chose, as on the wire; supported_versions wins
    uint16_t cipher             # what the server chose
    uint16_t srtp_offer         # the client's first use_srtp profile (RFC 5764), 0: none
    uint16_t srtp_profile       # the server's choice, 0: none seen
    uint16_t group              # of the key exchange; 0: none seen
    uint8_t alpn_offered        # ALPN_…
    uint8_t alert               # description of the last alert in clear
    uint8_t server_name_len
    uint8_t alpn_first_len
    uint8_t alpn_len
    uint8_t[255] server_name    # SNI; printable ASCII only, anything else is "?"
    uint8_t[255] alpn_first     # the client's first offer, likewise
    uint8_t[255] alpn           # the server's choice, likewise
    # DTLS: fragments of Certificate messages in the datagram scanned last, at their handshake headers
    uint8_t fragments
    const uint8_t* fragment[MAX_FRAGMENTS]


cdef enum:                      # Handshake.outcome
    OUTCOME_NONE = 0            # it goes on
    OUTCOME_COMPLETED
    OUTCOME_REFUSED             # by an alert
    OUTCOME_CUT                 # the connection ended
    OUTCOME_UNKNOWN             # octets are missing

    MAX_SESSION = 32


cdef struct Gathered:           # a handshake message of one direction, from its header on
    uint8_t* data
    uint32_t room
    uint32_t have
    uint32_t passed             # octets behind those that are kept


cdef struct Handshake:          # of one connection; index 0: from the key's low end
    Gathered message[2]
    uint8_t* chain              # the server's certificates as they are listed, its own first; NULL: none were seen
    uint32_t chain_octets
    uint32_t taken              # octets read so far
    int16_t alert               # -1: none, or an encrypted one
    uint8_t change[2]           # ChangeCipherSpec came
    uint8_t sealed[2]           # protected records came
    uint8_t session[2][MAX_SESSION + 1]     # length and session ID, of the client's and the server's hello
    uint8_t outcome
    uint8_t client_is_high
    uint8_t alert_by_client
    uint8_t left_out            # more certificates were listed than are kept
    uint8_t client_certificates


cdef struct Part:               # octets [start, end) of a message
    uint32_t start
    uint32_t end


cdef struct Parts:              # a Certificate message of DTLS that is not whole yet (certificate.pxd)
    uint8_t* data
    uint32_t room
    uint32_t total
    uint16_t sequence
    uint8_t count
    Part part[MAX_PARTS]        # in order, with octets missing between them


# Do the first octets of a TCP stream begin (or continue) a TLS record stream?
cdef bint tls_probe(const uint8_t* p, uint32_t n) noexcept nogil

# Could these octets, 1 to 5 of them or more, begin a TLS record?
cdef bint record_header(const uint8_t* p, uint32_t n) noexcept nogil

# A ClientHello or ServerHello of TLS from its handshake header on, as far as it is there: HELLO_NOT or HELLO_DONE.
cdef int read_hello(const uint8_t* p, uint32_t n, HelloScan* out) noexcept nogil

# Is this handshake message of TLS a HelloRetryRequest?
cdef bint is_retry(const uint8_t* message, uint32_t n) noexcept nogil

# Is this datagram made of DTLS records? The unified header of DTLS 1.3 is not enough by itself.
cdef bint dtls_probe(const uint8_t* p, uint32_t n) noexcept nogil

# One datagram of either direction: HELLO_… Unified headers (RFC 9147 section 4) count once a hello was seen.
cdef int dtls_scan(const uint8_t* p, uint32_t n, HelloScan* out) noexcept nogil

# Cipher suites that protect integrity at most: TLS_*_WITH_NULL_*, and TLS_SHA256_SHA256 and its like (RFC 9150).
cdef bint cipher_is_null(uint16_t cipher) noexcept nogil

# The words of ALPN_….
cdef tuple alpn_words(uint8_t offered)

# The fields of a scan for tests.
cdef object hello_fields(int result, const HelloScan* s)
