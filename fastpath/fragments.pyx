"""Fragments to datagrams."""

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free, realloc
from libc.string cimport memcpy, memset

from fastpath.octets cimport fold
from fastpath.reasons cimport CLASSIFIED, IGNORED_FRAGMENT, MALFORMED_IPV4, MALFORMED_IPV6
from fastpath.wire cimport (
    DECODE_INNER, DECODE_REPORTED, MAX_IPV6_EXTENSIONS, PROTO_TCP, Decoded, Fragment, HashSecret, decode_transport,
    hash_key, name_ip_in_ipv6, set_ends,
)

cdef enum:
    FIRST_ROOM = 4096
    LINK = 8                    # octets before a datagram's own, for the list of those that are being read
    LEAST_TCP = 20              # octets of a first fragment, so that it has the ports and flags (RFC 1858 section 3)
    LEAST_UDP = 8


cdef int open_fragments(Fragments* table) except -1:
    cdef uint32_t number
    memset(table, 0, sizeof(Fragments))
    table.datagrams = <Datagram*>calloc(MAX_DATAGRAMS + 1, sizeof(Datagram))
    if table.datagrams == NULL:
        raise MemoryError("no room for fragments")
    for number in range(MAX_DATAGRAMS, 0, -1):
        table.datagrams[number].next = table.free
        table.free = number
    return 0


cdef void close_fragments(Fragments* table) noexcept:
    cdef uint32_t number
    release_done(table)
    if table.datagrams != NULL:
        for number in range(1, MAX_DATAGRAMS + 1):
            free(table.datagrams[number].data)
    free(table.datagrams)
    table.datagrams = NULL


cdef void release_done(Fragments* table) noexcept nogil:
    cdef uint8_t* next
    while table.done != NULL:
        memcpy(&next, table.done, sizeof(next))
        free(table.done)
        table.done = next


cdef inline uint32_t bucket(const Fragment* f, uint32_t meta, const HashSecret* secret) noexcept nogil:
    cdef uint64_t h = fold(f.src[1] ^ secret.word[0], f.dst[1] ^ secret.word[1])
    h ^= fold(f.src[0] ^ secret.word[2], f.dst[0] ^ secret.word[3])
    return fold(h ^ ((<uint64_t>f.id << 32) | meta), secret.word[0]) >> 53     # of BUCKETS


cdef void drop_data(Fragments* table, Datagram* g) noexcept nogil:
    table.octets -= g.room
    free(g.data)
    g.data = NULL
    g.room = 0


cdef void remove(Fragments* table, uint32_t number, const HashSecret* secret) noexcept nogil:
    cdef Datagram* g = &table.datagrams[number]
    cdef Fragment key
    cdef uint32_t* link
    key.src = g.src
    key.dst = g.dst
    key.id = g.id
    link = &table.buckets[bucket(&key, g.meta, secret)]
    while link[0] != number:
        link = &table.datagrams[link[0]].next
    link[0] = g.next
    if g.older:
        table.datagrams[g.older].newer = g.newer
    else:
        table.oldest = g.newer
    if g.newer:
        table.datagrams[g.newer].older = g.older
    else:
        table.newest = g.older
    drop_data(table, g)
    memset(g, 0, sizeof(Datagram))
    g.next = table.free
    table.free = number
    table.count -= 1


cdef void evict_oldest(Fragments* table, const HashSecret* secret) noexcept nogil:
    table.evicted += not table.datagrams[table.oldest].refused
    remove(table, table.oldest, secret)


cdef void expire(Fragments* table, uint64_t now_ns, const HashSecret* secret) noexcept nogil:
    cdef uint64_t since_ns
    while table.oldest:
        since_ns = table.datagrams[table.oldest].first_ns
        # Also when the clock was set back.
        if (now_ns - since_ns if now_ns >= since_ns else since_ns - now_ns) <= <uint64_t>FRAGMENT_NS:
            return
        table.expired += not table.datagrams[table.oldest].refused
        remove(table, table.oldest, secret)


cdef Datagram* find(Fragments* table, const Decoded* d, const HashSecret* secret) noexcept nogil:
    """The datagram of a fragment, begun when it is the first."""
    cdef const Fragment* f = &d.fragment
    cdef uint32_t* head = &table.buckets[bucket(f, d.key.meta, secret)]
    cdef uint32_t number = head[0]
    cdef Datagram* g
    while number:
        g = &table.datagrams[number]
        if (g.id == f.id and g.meta == d.key.meta and g.src[1] == f.src[1] and g.dst[1] == f.dst[1]
                and g.src[0] == f.src[0] and g.dst[0] == f.dst[0]):
            return g
        number = g.next
    if table.free == 0:
        evict_oldest(table, secret)
    number = table.free
    g = &table.datagrams[number]
    table.free = g.next
    memcpy(g.src, f.src, 16)
    memcpy(g.dst, f.dst, 16)
    g.id = f.id
    g.meta = d.key.meta
    g.first_ns = d.ts_ns
    g.next = head[0]
    head[0] = number
    g.newer = 0
    g.older = table.newest
    if table.newest:
        table.datagrams[table.newest].newer = number
    else:
        table.oldest = number
    table.newest = number
    table.count += 1
    return g


cdef bint refuse(Fragments* table, Datagram* g) noexcept nogil:
    table.refused += 1
    g.refused = True
    drop_data(table, g)
    return False


cdef bint make_room(Fragments* table, Datagram* g, uint32_t octets, const HashSecret* secret) noexcept nogil:
    cdef uint32_t room = g.room if g.room else FIRST_ROOM
    cdef uint8_t* wider
    while room < octets:
        room *= 2
    if room == g.room:
        return True
    while table.octets + room - g.room > MAX_FRAGMENT_OCTETS:
        if &table.datagrams[table.oldest] == g:
            return False
        evict_oldest(table, secret)
    wider = <uint8_t*>realloc(g.data, room)
    if wider == NULL:
        return False
    table.octets += room - g.room
    g.data = wider
    g.room = room
    return True


cdef bint add(Fragments* table, Datagram* g, const Fragment* f, const HashSecret* secret) noexcept nogil:
    """Add a fragment. Return whether the datagram is whole."""
    cdef uint32_t begin = f.at, end = f.at + f.length
    cdef uint32_t least = LEAST_TCP if f.proto == PROTO_TCP else LEAST_UDP
    cdef int i
    if f.length == 0 or f.captured < f.length or end > MAX_DATAGRAM or (f.more and f.length & 7):
        return refuse(table, g)
    if begin == 0 and f.length < least:
        return refuse(table, g)
    for i in range(g.pieces):
        if g.begin[i] == begin and g.end[i] == end:
            return False                # the mirror gave it twice
        if begin < g.end[i] and g.begin[i] < end:
            return refuse(table, g)
    if (g.total and end > g.total) or g.pieces == MAX_PIECES:
        return refuse(table, g)
    if not f.more:
        for i in range(g.pieces):
            if g.end[i] > end:
                return refuse(table, g)
        g.total = end
    if not make_room(table, g, end + LINK, secret):
        return refuse(table, g)
    memcpy(g.data + LINK + begin, f.data, f.length)
    g.begin[g.pieces] = <uint16_t>begin
    g.end[g.pieces] = <uint16_t>end
    g.pieces += 1
    g.have += f.length
    return g.have == g.total


cdef int decode_datagram(Datagram* g, Decoded* d) noexcept nogil:
    """Decode what is behind the IP headers; IPv6 may have further ones there (RFC 8200 section 4.1)."""
    cdef uint32_t at = 0
    cdef uint16_t sport = 0, dport = 0
    cdef uint8_t following = d.fragment.proto
    cdef bint is_ipv6 = (g.src[1] & 0xFFFFFFFFU) != 0xFFFF0000U or g.src[0] != 0
    cdef const uint8_t* p = g.data + LINK
    cdef int reason
    for _ in range(MAX_IPV6_EXTENSIONS):
        if not is_ipv6 or (following != 0 and following != 43 and following != 60 and following != 135):
            break
        if at + 8 > g.total:
            return MALFORMED_IPV6
        following = p[at]
        at += (<uint32_t>p[at + 1] + 1) * 8
    if at > g.total:
        return MALFORMED_IPV6 if is_ipv6 else MALFORMED_IPV4
    d.mark = (g.id & 0xFFFF) << 16
    reason = decode_transport(p + at, g.total - at, g.total - at, following, &sport, &dport, d)
    if is_ipv6 and reason == DECODE_INNER:
        name_ip_in_ipv6(d)
    if reason == CLASSIFIED:
        set_ends(d, g.src[0], g.src[1], g.dst[0], g.dst[1], sport, dport)
    elif reason == DECODE_REPORTED:
        reason = CLASSIFIED
    d.key.meta = (g.meta & ~<uint32_t>0xFF) | d.proto
    return reason


cdef int take_fragment(Fragments* table, Decoded* d, const HashSecret* secret) noexcept nogil:
    cdef Datagram* g
    cdef int reason
    expire(table, d.ts_ns, secret)
    g = find(table, d, secret)
    if g.refused:
        return IGNORED_FRAGMENT
    g.wire += d.wirelen
    if not add(table, g, &d.fragment, secret):
        return IGNORED_FRAGMENT
    table.complete += 1
    reason = decode_datagram(g, d)
    d.wirelen = g.wire
    if reason == CLASSIFIED or reason == DECODE_INNER:
        d.hash = hash_key(&d.key, secret)
        # It stays where it is until the batch was read.
        memcpy(g.data, &table.done, sizeof(table.done))
        table.done = g.data
        table.octets -= g.room
        g.data = NULL
        g.room = 0
    remove(table, <uint32_t>(g - table.datagrams), secret)
    return reason
