"""Capture files and packets in memory, as packet sources."""

from libc.stddef cimport size_t
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t

from fastpath.block cimport PacketRef, PacketSource
from fastpath.octets cimport prefetch


cdef enum:
    # More than any link's packet; libpcap's MAXIMUM_SNAPLEN. A longer one is a broken record, not a packet.
    MAX_CAPLEN = 262144

    # Interfaces of one section; no honest one describes more.
    MAX_INTERFACES = 65536

    BUFFER_CHUNK = 1024     # packets that BufferSource takes from its iterable at a time
    PREFETCH = 2048         # octets that a walk over record headers looks ahead


# Four cache lines, so that consecutive records of the size of a voice packet leave no gap. A prefetch never faults.
cdef inline void prefetch_ahead(const uint8_t* record) noexcept nogil:
    prefetch(record + PREFETCH)
    prefetch(record + PREFETCH + 64)
    prefetch(record + PREFETCH + 128)
    prefetch(record + PREFETCH + 192)


cdef struct Interface:
    # One interface description block: how the packets that name it are to be read.
    int64_t offset_s        # if_tsoffset
    uint64_t multiplier     # ns = (units * multiplier >> shift) / divisor
    uint64_t divisor
    uint32_t shift
    uint32_t snaplen        # 0: no limit
    uint16_t linktype


cdef class OfflineSource(PacketSource):
    cdef readonly uint64_t packets
    cdef readonly uint64_t position
    cdef readonly uint64_t size
    cdef readonly bint truncated
    cdef readonly str note
    cdef readonly str error

    cdef int cut(self, const char* what) noexcept with gil
    cdef int fail(self, const char* what) noexcept with gil


cdef class MappedFile(OfflineSource):
    cdef const uint8_t* data
    cdef size_t released    # octets before it are no longer mapped in
    cdef size_t populated   # octets before it were mapped in

    cdef int turn_pages(self) noexcept nogil
    cdef bint pages_low(self) noexcept nogil
    cdef int map_in(self, size_t at, size_t octets) noexcept nogil


cdef class PcapFile(MappedFile):
    cdef readonly uint16_t linktype
    cdef bint swap
    cdef uint32_t subsecond_ns

    cdef int fill(self, PacketRef* refs, int capacity) noexcept nogil


cdef class PcapngFile(MappedFile):
    cdef bint swap
    cdef Interface* interfaces
    cdef uint32_t interface_count
    cdef uint32_t interface_room
    cdef uint64_t last_ns   # of the packet before

    cdef int fill(self, PacketRef* refs, int capacity) noexcept nogil
    cdef const char* read_section(self, const uint8_t* block, uint64_t length) noexcept nogil
    cdef const char* read_interface(self, const uint8_t* block, uint64_t length) noexcept nogil
    cdef const char* read_packet(self, const uint8_t* block, uint64_t length, uint32_t kind,
                                 PacketRef* ref) noexcept nogil
    cdef const char* read_simple(self, const uint8_t* block, uint64_t length, PacketRef* ref) noexcept nogil
    cdef bint make_room(self) noexcept nogil


cdef class BufferSource(OfflineSource):
    cdef object iterator
    cdef list held
    cdef PacketRef* chunk
    cdef int chunk_used
    cdef int chunk_length

    cdef int fill(self, PacketRef* refs, int capacity) noexcept nogil
    cdef int refill(self) noexcept with gil
    cdef void let_go(self) noexcept
