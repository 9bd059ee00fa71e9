"""The flow table: bounded, keyed, growing with the flows that there are."""

from libc.stdint cimport uint32_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memset

from fastpath.wire cimport FlowKeyBits, same_key

cdef extern from "<sys/mman.h>" nogil:
    void* mmap(void* address, size_t length, int protection, int flags, int fd, long offset)
    int munmap(void* address, size_t length)
    int madvise(void* address, size_t length, int advice)
    int PROT_READ, PROT_WRITE, MAP_PRIVATE, MAP_ANONYMOUS, MAP_NORESERVE, MADV_HUGEPAGE
    void* MAP_FAILED

cdef enum:
    FIRST_INDEX = 1 << 12


cdef void* reserve(size_t octets, bint dense) except NULL:
    cdef void* base = mmap(NULL, octets, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0)
    if base == MAP_FAILED:
        raise MemoryError(f"cannot reserve {octets} octets of address space for the flow table")
    if dense:
        madvise(base, octets, MADV_HUGEPAGE)
    return base


cdef int open_table(FlowTable* table, uint32_t max_flows, uint32_t max_streams) except -1:
    """Make room for ``max_flows`` flows and ``max_streams`` streams between them. Raises MemoryError."""
    memset(table, 0, sizeof(FlowTable))
    table.max_flows = max_flows
    table.max_streams = max_streams
    table.flows = <Flow*>reserve((<size_t>max_flows + 1) * sizeof(Flow), True)
    table.streams = <Stream*>reserve((<size_t>max_streams + 1) * sizeof(Stream), True)
    table.receptions = <Reception*>reserve((<size_t>max_streams + 1) * sizeof(Reception), False)
    table.index = <uint64_t*>calloc(FIRST_INDEX, sizeof(uint64_t))
    if table.index == NULL:
        raise MemoryError("no room for the flow index")
    table.index_mask = FIRST_INDEX - 1
    table.fresh_flow = 1
    table.fresh_stream = 1
    table.next_id = 1
    return 0


cdef void close_table(FlowTable* table) noexcept:
    if table.flows != NULL:
        munmap(table.flows, (<size_t>table.max_flows + 1) * sizeof(Flow))
    if table.streams != NULL:
        munmap(table.streams, (<size_t>table.max_streams + 1) * sizeof(Stream))
    if table.receptions != NULL:
        munmap(table.receptions, (<size_t>table.max_streams + 1) * sizeof(Reception))
    free(table.index)


cdef uint32_t find_flow(const FlowTable* table, const FlowKeyBits* key, uint32_t hash) noexcept nogil:
    cdef uint32_t at = hash & table.index_mask
    cdef uint64_t entry = table.index[at]
    while entry:
        if entry >> 32 == hash and same_key(&table.flows[<uint32_t>entry].key, key):
            return <uint32_t>entry
        at = (at + 1) & table.index_mask
        entry = table.index[at]
    return 0


cdef bint grow(FlowTable* table) noexcept nogil:
    cdef uint64_t* wider
    cdef uint32_t mask = table.index_mask * 2 + 1, at
    cdef uint64_t i, entry
    wider = <uint64_t*>calloc(<size_t>mask + 1, sizeof(uint64_t))
    if wider == NULL:
        return False
    for i in range(<uint64_t>table.index_mask + 1):
        entry = table.index[i]
        if entry:
            at = <uint32_t>(entry >> 32) & mask
            while wider[at]:
                at = (at + 1) & mask
            wider[at] = entry
    free(table.index)
    table.index = wider
    table.index_mask = mask
    return True


cdef uint32_t add_flow(FlowTable* table, const FlowKeyBits* key, uint32_t hash) noexcept nogil:
    # The caller knows that the key is not there. Returns 0 when the table is full: records of flows that ended count
    # until the wheel has met them.
    cdef uint32_t number, at
    cdef Flow* flow
    if table.flow_count == table.max_flows:
        return 0
    if <uint64_t>table.flow_count * 2 > table.index_mask and not grow(table):
        return 0
    if table.free_flow:
        number = table.free_flow
        table.free_flow = table.flows[number].wheel_next
    elif table.fresh_flow <= table.max_flows:
        number = table.fresh_flow
        table.fresh_flow += 1
    else:
        return 0
    flow = &table.flows[number]
    memset(flow, 0, sizeof(Flow))
    flow.key = key[0]
    flow.hash = hash
    flow.id = table.next_id
    table.next_id += 1
    at = hash & table.index_mask
    while table.index[at]:
        at = (at + 1) & table.index_mask
    table.index[at] = (<uint64_t>hash << 32) | number
    table.flow_count += 1
    return number


cdef void remove_flow(FlowTable* table, uint32_t number) noexcept nogil:
    # Linear probing without tombstones: entries behind the gap move up when their home allows it.
    cdef uint32_t mask = table.index_mask, gap, at, home
    cdef Flow* flow = &table.flows[number]
    gap = flow.hash & mask
    while <uint32_t>table.index[gap] != number:
        gap = (gap + 1) & mask
    at = gap
    while True:
        at = (at + 1) & mask
        if table.index[at] == 0:
            break
        home = <uint32_t>(table.index[at] >> 32) & mask
        if ((at - home) & mask) >= ((at - gap) & mask):
            table.index[gap] = table.index[at]
            gap = at
    table.index[gap] = 0
    flow.id = 0
    flow.flags = FLOW_DEAD
    table.flow_count -= 1


cdef void reuse_flow(FlowTable* table, uint32_t number) noexcept nogil:
    # The record is on no list of the wheel any more.
    table.flows[number].flags = 0
    table.flows[number].wheel_next = table.free_flow
    table.free_flow = number


cdef uint32_t add_stream(FlowTable* table) noexcept nogil:
    cdef uint32_t number
    if table.free_stream:
        number = table.free_stream
        table.free_stream = table.streams[number].next
    elif table.fresh_stream <= table.max_streams:
        number = table.fresh_stream
        table.fresh_stream += 1
    else:
        return 0
    memset(&table.streams[number], 0, sizeof(Stream))
    table.stream_count += 1
    return number


cdef void remove_stream(FlowTable* table, uint32_t number) noexcept nogil:
    table.streams[number].next = table.free_stream
    table.free_stream = number
    table.stream_count -= 1


cdef void flows_set_back(FlowTable* table, uint64_t now_ns, uint64_t back_ns) noexcept nogil:
    cdef uint32_t number
    cdef Flow* f
    cdef Stream* s
    cdef Reception* r
    for number in range(1, table.fresh_flow):
        f = &table.flows[number]
        if f.last_ns > now_ns:
            f.last_ns -= back_ns
            f.first_ns -= min(f.first_ns, back_ns)
    for number in range(1, table.fresh_stream):
        s = &table.streams[number]
        if s.last_ns > now_ns:
            r = &table.receptions[number]
            if r.since_ns == s.first_ns and r.since_ns:
                r.since_ns -= min(r.since_ns, back_ns)
                r.sent_ns -= min(r.sent_ns, back_ns)
            s.last_ns -= back_ns
            s.first_ns -= min(s.first_ns, back_ns)


cdef void put_on_wheel(FlowTable* table, uint32_t number, uint64_t second) noexcept nogil:
    # A second further off than the wheel reaches is served at the far end and put back then.
    if second < table.wheel_s:
        second = table.wheel_s
    elif second >= table.wheel_s + WHEEL_SLOTS:
        second = table.wheel_s + WHEEL_SLOTS - 1
    table.flows[number].wheel_next = table.wheel[second % WHEEL_SLOTS]
    table.wheel[second % WHEEL_SLOTS] = number
