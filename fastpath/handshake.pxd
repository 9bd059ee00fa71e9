"""How a TLS handshake goes, read from both directions until it is known how it ended (RFC 8446, 5246)."""

from libc.stdint cimport uint8_t, uint32_t

from fastpath.tcp cimport Conversation, Memory
from fastpath.tls cimport Handshake

cdef enum:
    MAX_CERTIFICATES = 10       # of a chain
    MAX_CHAIN = 65536           # octets of a Certificate message that are read


# Read what a direction of TLS holds: HELLO_NOT when it is none, and HELLO_DONE when the handshake's outcome is known.
cdef int tls_take(Conversation* talk, Memory* memory, bint from_high) noexcept nogil

# Keep a certificate, whose length is before it, behind those that are kept.
cdef bint keep_certificate(Handshake* shake, Memory* memory, const uint8_t* der, uint32_t octets) noexcept nogil

# Is it known that an earlier session goes on?
cdef bint is_resumed(const Conversation* talk) noexcept nogil
