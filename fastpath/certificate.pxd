"""The certificate that a side of a DTLS handshake shows, put together from the fragments of its message.

Read first: RFC 6347 sections 4.2.2 and 4.2.3; RFC 5246 section 7.4.2. Only up to DTLS 1.2: 1.3 encrypts it.

    certificate_list<u24> of certificate<u24>       the first is the sender's own, and the only one that is kept

Fragments may come twice, in any order, and overlap: the first copy of an octet counts. A message is let go when another
begins.
"""

from libc.stdint cimport uint8_t, uint16_t, uint32_t
from libc.stdlib cimport free, realloc
from libc.string cimport memcpy, memmove, memset

from fastpath.octets cimport be16, be24
from fastpath.tcp cimport Memory
from fastpath.tls cimport MAX_PARTS, Parts

cdef enum:
    LIST_HEADER = 6                 # lengths of the list and of its first entry
    MAX_CERTIFICATE = 16384
    FIRST_PARTS_ROOM = 1024

    CERTIFICATE_MORE = 0
    CERTIFICATE_DONE = 1
    CERTIFICATE_NOT = -1            # lengths that do not fit each other, or no certificate
    CERTIFICATE_LOST = -2           # a fragment that found no room


cdef inline void drop_parts(Parts* parts, Memory* memory) noexcept nogil:
    free(parts.data)
    memory.used -= parts.room
    memset(parts, 0, sizeof(Parts))


cdef inline bint is_sequence(const uint8_t* p, uint32_t n) noexcept nogil:
    # A certificate is a SEQUENCE whose DER length is that of the entry (ITU-T X.690 section 8.1.3).
    if n < 4 or p[0] != 0x30:
        return False
    if p[1] < 0x80:
        return 2 + <uint32_t>p[1] == n
    if p[1] == 0x81:
        return 3 + <uint32_t>p[2] == n
    return p[1] == 0x82 and 4 + <uint32_t>be16(p + 2) == n


cdef inline int first_entry(const uint8_t* p, uint32_t there, uint32_t total, uint32_t* octets) noexcept nogil:
    """Is the list's first entry among the first ``there`` octets of its message? ``octets`` are its own."""
    cdef uint32_t list_octets
    if there < LIST_HEADER:
        return CERTIFICATE_MORE
    list_octets = be24(p)
    octets[0] = be24(p + 3)
    if list_octets + 3 != total or octets[0] + 3 > list_octets or octets[0] > MAX_CERTIFICATE:
        return CERTIFICATE_NOT
    if there < LIST_HEADER + octets[0]:
        return CERTIFICATE_MORE
    return CERTIFICATE_DONE if is_sequence(p + LIST_HEADER, octets[0]) else CERTIFICATE_NOT


cdef inline bint make_room(Parts* parts, Memory* memory, uint32_t octets) noexcept nogil:
    cdef uint32_t room = max(parts.room, <uint32_t>FIRST_PARTS_ROOM)
    cdef uint8_t* wider
    while room < octets:
        room *= 2
    if room == parts.room:
        return True
    if memory.used + room - parts.room > memory.limit:
        return False
    wider = <uint8_t*>realloc(parts.data, room)
    if wider == NULL:
        return False
    memory.used += room - parts.room
    parts.data = wider
    parts.room = room
    return True


cdef inline bint add_part(Parts* parts, Memory* memory, uint32_t start, uint32_t end,
                          const uint8_t* p) noexcept nogil:
    """Keep octets [start, end) of the message where none are kept yet."""
    cdef uint32_t at = start
    cdef int first = 0, last, i
    while first < parts.count and parts.part[first].end < start:
        first += 1
    last = first                    # the parts [first, last) overlap or touch the new one, and become one with it
    while last < parts.count and parts.part[last].start <= end:
        last += 1
    if (first == last and parts.count == MAX_PARTS) or not make_room(parts, memory, end):
        return False
    for i in range(first, last):
        if parts.part[i].start > at:
            memcpy(parts.data + at, p + at - start, parts.part[i].start - at)
        at = max(at, parts.part[i].end)
    if at < end:
        memcpy(parts.data + at, p + at - start, end - at)
    if first < last:
        start = min(start, parts.part[first].start)
        end = max(end, parts.part[last - 1].end)
    memmove(&parts.part[first + 1], &parts.part[last], (parts.count - last) * sizeof(parts.part[0]))
    parts.count += 1 - (last - first)
    parts.part[first].start = start
    parts.part[first].end = end
    return True


cdef inline int gather_certificate(Parts* parts, Memory* memory, const uint8_t* header, const uint8_t** der,
                                   uint32_t* octets) noexcept nogil:
    """Take a fragment of a Certificate message, at its handshake header, that lies in its message and in its record.

    With CERTIFICATE_DONE ``der`` is the certificate, valid until the next call.
    """
    cdef uint32_t total = be24(header + 1), start = be24(header + 6), length = be24(header + 9)
    cdef uint32_t end = min(start + length, <uint32_t>(LIST_HEADER + MAX_CERTIFICATE))
    cdef uint16_t sequence = be16(header + 4)
    cdef const uint8_t* body = header + 12
    cdef int state
    if start == 0 and (parts.count == 0 or sequence != parts.sequence or total != parts.total):
        drop_parts(parts, memory)
        state = first_entry(body, length, total, octets)
        der[0] = body + LIST_HEADER
        if state != CERTIFICATE_MORE:
            return state
    elif parts.count and (sequence != parts.sequence or total != parts.total):
        return CERTIFICATE_MORE
    parts.sequence = sequence
    parts.total = total
    if start >= end:
        return CERTIFICATE_MORE     # of the entries behind the first
    if not add_part(parts, memory, start, end, body):
        return CERTIFICATE_LOST
    if parts.part[0].start:
        return CERTIFICATE_MORE
    state = first_entry(parts.data, parts.part[0].end, total, octets)
    der[0] = parts.data + LIST_HEADER
    if state == CERTIFICATE_NOT:
        drop_parts(parts, memory)
    return state
