"""What crosses to Python of SIP, and of what flows show: packed by the core, unpacked into records when drained."""

from libc.stdint cimport uint8_t, uint32_t

from fastpath.events cimport EventAgent, EventExposure, EventHead, EventNegotiation
from fastpath.sip cimport SipScan
from fastpath.text cimport Span


cdef enum:
    SIP_MAX_PACKED = 20480      # what sip_pack writes at most


# Octets written; 0 when they do not fit. p is the message that was scanned. A whole one has at most SIP_MAX_PACKED; its
# two parts are whom it is between and what joins it to others, and what its SDP describes but for the payload types:
# those are the core's own business (hints.pxd).
cdef uint32_t sip_pack(const SipScan* s, const uint8_t* p, uint8_t* out, uint32_t capacity) noexcept nogil
cdef uint32_t sip_pack_parties(const SipScan* s, const uint8_t* p, uint8_t* out, uint32_t capacity) noexcept nogil
cdef uint32_t sip_pack_media(const SipScan* s, const uint8_t* p, uint8_t* out, uint32_t capacity) noexcept nogil

# Octets written, at most so many: a text without control characters.
cdef uint32_t sip_clean(const uint8_t* p, Span text, uint32_t most, uint8_t* out) noexcept nogil

# Records of events.
cdef object negotiation_record(const EventNegotiation* e, const EventHead* head, object key)
cdef object exposure_record(const EventExposure* e, const EventHead* head, object key)
cdef object agent_record(const EventAgent* e, const EventHead* head, object key)

# records.SipMessage from what sip_pack wrote.
cdef object sip_unpack(const uint8_t* body, uint32_t size, object flow, object ts_ns, object key, bint from_a)
