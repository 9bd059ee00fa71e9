"""Capture files and packets in memory, as packet sources.

Reading list: draft-ietf-opsawg-pcap (classic pcap), draft-ietf-opsawg-pcapng sections 3 and 4.

A capture file is mapped, not read: a reference points into the page cache. The pages of what was handed out are given
back in strides, so resident memory does not grow with the file. A file that breaks off, as every capture does whose
writer was killed, is read up to there; ``truncated`` and ``note`` say so.
"""

import os
import stat

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.errno cimport EFAULT, errno
from libc.stddef cimport size_t
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc, realloc
from libc.string cimport memcpy

from fastpath.block cimport FILL_END, FILL_ERROR, PacketRef, PacketSource


cdef extern from "<sys/mman.h>" nogil:
    int PROT_READ
    int MAP_SHARED
    int MADV_SEQUENTIAL
    int MADV_DONTNEED
    void* MAP_FAILED
    void* mmap(void* address, size_t length, int protection, int flags, int descriptor, size_t offset)
    int munmap(void* address, size_t length)
    int madvise(void* address, size_t length, int advice)


cdef extern from * nogil:
    """
    #ifndef MADV_POPULATE_READ
    #define MADV_POPULATE_READ 22
    #endif
    static inline uint16_t load16(const uint8_t* at, int swap) {
        uint16_t value; memcpy(&value, at, sizeof value); return swap ? __builtin_bswap16(value) : value;
    }
    static inline uint32_t load32(const uint8_t* at, int swap) {
        uint32_t value; memcpy(&value, at, sizeof value); return swap ? __builtin_bswap32(value) : value;
    }
    static inline uint64_t load64(const uint8_t* at, int swap) {
        uint64_t value; memcpy(&value, at, sizeof value); return swap ? __builtin_bswap64(value) : value;
    }
    // 128 bits in between: units may be any power of two or ten of a second. The result always fits a signed 64.
    static inline uint64_t scaled_ns(uint64_t units, uint64_t multiplier, unsigned shift, uint64_t divisor,
                                     int64_t offset_s) {
        unsigned __int128 scaled = (unsigned __int128)units * multiplier >> shift;
        if (divisor != 1) scaled /= divisor;
        __int128 ns = (__int128)scaled + (__int128)offset_s * 1000000000;
        return ns < 0 ? 0 : ns > INT64_MAX ? INT64_MAX : (uint64_t)ns;
    }
    // What lies behind a file in its last page, and the octet by which Python ends its own: AddressSanitizer would let
    // pass a read of them.
    #ifdef __SANITIZE_ADDRESS__
    #include <sanitizer/asan_interface.h>
    static inline void forbid(const void* at, size_t octets) { __asan_poison_memory_region(at, octets); }
    static inline void allow(const void* at, size_t octets) { __asan_unpoison_memory_region(at, octets); }
    #else
    static inline void forbid(const void* at, size_t octets) { (void)at; (void)octets; }
    static inline void allow(const void* at, size_t octets) { (void)at; (void)octets; }
    #endif
    """
    int MADV_POPULATE_READ
    uint64_t scaled_ns(uint64_t units, uint64_t multiplier, unsigned int shift, uint64_t divisor, int64_t offset_s)
    uint16_t load16(const uint8_t* at, bint swap)
    uint32_t load32(const uint8_t* at, bint swap)
    uint64_t load64(const uint8_t* at, bint swap)
    void forbid(const void* at, size_t octets)
    void allow(const void* at, size_t octets)


cdef enum:
    PAGE = 4096                 # the smallest page; alignment of what is given back
    STRIDE = 1 << 20            # octets mapped in, and given back, at a time
    LINKTYPE_ETHERNET = 1

    PCAP_HEADER = 24
    PCAP_RECORD = 16
    MAGIC_US = 0xA1B2C3D4
    MAGIC_NS = 0xA1B23C4D

    BLOCK_MIN = 12              # type, total length, total length again
    BLOCK_SECTION = 0x0A0D0D0A
    BLOCK_INTERFACE = 1
    BLOCK_PACKET = 2            # obsolete, still met in old files
    BLOCK_SIMPLE = 3
    BLOCK_ENHANCED = 6
    SECTION_MIN = 28
    INTERFACE_MIN = 20
    PACKET_MIN = 32             # enhanced and obsolete alike
    SIMPLE_MIN = 16
    BYTE_ORDER = 0x1A2B3C4D
    OPT_END = 0
    OPT_TSRESOL = 9
    OPT_TSOFFSET = 14


cdef inline void write_ref(PacketRef* ref, uint64_t ts_ns, const uint8_t* data, uint32_t caplen, uint32_t wirelen,
                           uint16_t linktype) noexcept nogil:
    ref.ts_ns = ts_ns
    ref.data = data
    ref.caplen = caplen
    ref.wirelen = max(caplen, wirelen)
    ref.linktype = linktype
    ref.vlan_tci = ref.vlan_tpid = ref.flags = 0


cdef class OfflineSource(PacketSource):
    """Packets of the past; what a file and a buffer have in common.

    ``packets`` were handed out so far; ``position`` of ``size`` octets were read (0 of 0 where that is not known).
    ``truncated`` says that the input broke off before its end, ``note`` where and how. ``error`` is not "" once the
    input could not be read any further for another reason than its content.
    """

    def __cinit__(self, *args, **kwargs):
        self.note = ""
        self.error = ""

    cdef int cut(self, const char* what) noexcept with gil:
        self.truncated = True
        self.note = f"{what.decode('ascii')} (octet {self.position} of {self.size})"
        return FILL_END

    cdef int fail(self, const char* what) noexcept with gil:
        self.error = f"{what.decode('ascii')} (octet {self.position} of {self.size})"
        return FILL_ERROR


cdef class MappedFile(OfflineSource):
    """A regular file in memory. Raises OSError when it cannot be opened or mapped, ValueError when it is not one."""

    def __init__(self, path):
        cdef int descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        cdef void* data
        try:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise ValueError("not a regular file")
            if status.st_size == 0:
                raise ValueError("the file is empty")
            data = mmap(NULL, status.st_size, PROT_READ, MAP_SHARED, descriptor, 0)
            if data == MAP_FAILED:
                raise OSError(errno, os.strerror(errno), path)
        finally:
            os.close(descriptor)
        self.data = <const uint8_t*> data
        self.size = status.st_size
        madvise(data, self.size, MADV_SEQUENTIAL)
        forbid(self.data + self.size, -self.size & (PAGE - 1))

    def __dealloc__(self):
        if self.data != NULL:
            allow(self.data + self.size, -self.size & (PAGE - 1))
            munmap(<void*> self.data, self.size)

    # Called while no reference is held: what lies before self.position is given back, and afterwards at least
    # STRIDE / 2 octets from there, or all that are left, are mapped in. Returns 0 or FILL_ERROR.
    cdef int turn_pages(self) noexcept nogil:
        cdef size_t passed = self.position & ~(<size_t> PAGE - 1)
        cdef size_t ahead
        if passed - self.released >= STRIDE:
            madvise(<void*> (self.data + self.released), passed - self.released, MADV_DONTNEED)
            self.released = passed
        if self.pages_low():
            self.populated = max(self.populated, passed)
            ahead = min(<size_t> STRIDE, self.size - self.populated)
            if self.map_in(self.populated, ahead) < 0:
                return FILL_ERROR
            self.populated += ahead
        return 0

    cdef bint pages_low(self) noexcept nogil:
        return self.populated < self.size and self.position + STRIDE // 2 > self.populated

    # Asking for pages turns what would be a SIGBUS, when the file shrank, into an error. ``at`` is page-aligned.
    cdef int map_in(self, size_t at, size_t octets) noexcept nogil:
        if madvise(<void*> (self.data + at), octets, MADV_POPULATE_READ) < 0 and errno == EFAULT:
            return self.fail(b"the file shrank while it was read, or its disk failed")
        return 0


cdef class PcapFile(MappedFile):
    """A classic pcap file, version 2.4, with microseconds or nanoseconds, in either byte order.

    Raises OSError when it cannot be opened, ValueError when it is no such file.
    """

    def __init__(self, path):
        super().__init__(path)
        if self.size < PCAP_HEADER:
            raise ValueError("no pcap file: shorter than its header")
        cdef uint32_t magic = load32(self.data, False)
        self.swap = magic not in (MAGIC_US, MAGIC_NS)
        magic = load32(self.data, self.swap)
        if magic not in (MAGIC_US, MAGIC_NS):
            raise ValueError("no pcap file: unknown magic number")
        if (load16(self.data + 4, self.swap), load16(self.data + 6, self.swap)) != (2, 4):
            raise ValueError("no pcap file of version 2.4")
        self.subsecond_ns = 1 if magic == MAGIC_NS else 1000
        # The upper bits hold the length of a frame check sequence.
        self.linktype = load32(self.data + 20, self.swap) & 0xFFFF
        self.position = PCAP_HEADER

    cdef int fill(self, PacketRef* refs, int capacity) noexcept nogil:
        if self.turn_pages() < 0:
            return FILL_ERROR
        cdef const uint8_t* record
        cdef const uint8_t* start = self.data + self.position
        cdef const uint8_t* at = start
        cdef const uint8_t* end = self.data + self.populated      # a record is always shorter than what is mapped in
        cdef const char* broken = NULL
        cdef uint64_t subsecond_ns = self.subsecond_ns
        cdef uint64_t ts_ns
        cdef uint32_t caplen
        cdef bint swap = self.swap
        cdef int count = 0
        while count < capacity and at < end:
            if end - at < PCAP_RECORD:
                broken = b"the file ends within a record header"
                break
            record = at
            prefetch_ahead(record)
            caplen = load32(record + 8, swap)
            if caplen > MAX_CAPLEN:
                broken = b"a record claims an impossible packet length"
                break
            if end - at < PCAP_RECORD + <int64_t> caplen:
                broken = b"the file ends within a packet"
                break
            ts_ns = <uint64_t> load32(record, swap) * 1000000000 + load32(record + 4, swap) * subsecond_ns
            write_ref(&refs[count], ts_ns, record + PCAP_RECORD, caplen, load32(record + 12, swap), self.linktype)
            at += PCAP_RECORD + caplen
            count += 1
        self.position += at - start
        self.packets += count
        if count > 0 or capacity <= 0:
            return count
        return FILL_END if broken == NULL else self.cut(broken)


cdef class PcapngFile(MappedFile):
    """A pcapng file: any number of sections in either byte order, of interfaces, link types and time resolutions.

    Blocks other than sections, interfaces and packets are passed over. A simple packet block has no time of its own
    and gets that of the packet before it. Raises OSError when the file cannot be opened, ValueError when it does not
    begin with a section header.
    """

    def __init__(self, path):
        super().__init__(path)
        if self.size < SECTION_MIN or load32(self.data, False) != BLOCK_SECTION:
            raise ValueError("no pcapng file: no section header at its beginning")
        if load32(self.data + 8, load32(self.data + 8, False) != <uint32_t> BYTE_ORDER) != <uint32_t> BYTE_ORDER:
            raise ValueError("no pcapng file: no byte-order magic in its section header")

    def __dealloc__(self):
        free(self.interfaces)

    cdef int fill(self, PacketRef* refs, int capacity) noexcept nogil:
        if self.turn_pages() < 0:
            return FILL_ERROR
        cdef const uint8_t* block
        cdef const char* broken = NULL
        cdef uint64_t left
        cdef uint64_t length
        cdef uint32_t kind
        cdef int count = 0
        while count < capacity and self.position < self.size:
            if self.pages_low():
                if count > 0:
                    break
                if self.turn_pages() < 0:
                    return FILL_ERROR
            left = self.size - self.position
            if left < BLOCK_MIN:
                broken = b"the file ends within a block"
                break
            block = self.data + self.position
            prefetch_ahead(block)
            kind = load32(block, self.swap)
            if kind == BLOCK_SECTION:
                # Its type reads the same in both byte orders; its length does not.
                self.swap = load32(block + 8, False) != <uint32_t> BYTE_ORDER
            # Some writers leave the padding out of the length.
            length = (<uint64_t> load32(block + 4, self.swap) + 3) & ~<uint64_t> 3
            if length < BLOCK_MIN:
                broken = b"a block claims to be shorter than its own header"
                break
            if length > left:
                broken = b"the file ends within a block"
                break
            if self.position + length > self.populated:
                # A large block: of its far end only the length is read.
                if count > 0:
                    break
                if self.map_in((self.position + length - 4) & ~(<size_t> PAGE - 1), 4) < 0:
                    return FILL_ERROR
            if (<uint64_t> load32(block + length - 4, self.swap) + 3) & ~<uint64_t> 3 != length:
                broken = b"the two lengths of a block differ"
                break
            if kind == BLOCK_ENHANCED or kind == BLOCK_PACKET:
                broken = self.read_packet(block, length, kind, &refs[count])
                count += broken == NULL
            elif kind == BLOCK_SIMPLE:
                broken = self.read_simple(block, length, &refs[count])
                count += broken == NULL
            elif kind == BLOCK_INTERFACE:
                broken = self.read_interface(block, length)
            elif kind == BLOCK_SECTION:
                broken = self.read_section(block, length)
            if broken != NULL:
                break
            self.position += length
        self.packets += count
        if count > 0 or capacity <= 0:
            return count
        return FILL_END if broken == NULL else self.cut(broken)

    # The readers below return NULL, or what is wrong with the block. ``length`` is a multiple of 4, at least BLOCK_MIN,
    # and all of it is in the file.

    # Section 4.1: interfaces are numbered anew in every section.
    cdef const char* read_section(self, const uint8_t* block, uint64_t length) noexcept nogil:
        if length < SECTION_MIN:
            return b"a section header is too short"
        if load32(block + 8, self.swap) != <uint32_t> BYTE_ORDER:
            return b"a section header has no byte-order magic"
        if load16(block + 12, self.swap) != 1:
            return b"a section is of an unknown version"
        self.interface_count = 0
        return NULL

    # Section 4.2; options as in section 3.5.
    cdef const char* read_interface(self, const uint8_t* block, uint64_t length) noexcept nogil:
        if length < INTERFACE_MIN:
            return b"an interface description is too short"
        if not self.make_room():
            return b"there are too many interface descriptions"
        cdef Interface* interface = &self.interfaces[self.interface_count]
        interface.linktype = load16(block + 8, self.swap)
        interface.snaplen = load32(block + 12, self.swap)
        interface.offset_s = 0
        set_resolution(interface, 6)
        cdef uint64_t at = 16
        cdef uint64_t end = length - 4
        cdef uint16_t code
        cdef uint16_t octets
        while end - at >= 4:
            code = load16(block + at, self.swap)
            octets = load16(block + at + 2, self.swap)
            at += 4
            if code == OPT_END:
                break
            if octets > end - at:
                return b"an interface description ends within an option"
            if code == OPT_TSRESOL and octets == 1:
                set_resolution(interface, block[at])
            elif code == OPT_TSOFFSET and octets == 8:
                interface.offset_s = <int64_t> load64(block + at, self.swap)
            at += (octets + 3) & ~3
        self.interface_count += 1
        return NULL

    # Sections 4.3 (enhanced) and A (obsolete); the same but for the width of the interface number.
    cdef const char* read_packet(self, const uint8_t* block, uint64_t length, uint32_t kind,
                                 PacketRef* ref) noexcept nogil:
        if length < PACKET_MIN:
            return b"a packet block is too short"
        cdef uint32_t number = load32(block + 8, self.swap) if kind == BLOCK_ENHANCED else load16(block + 8, self.swap)
        cdef uint32_t caplen = load32(block + 20, self.swap)
        if number >= self.interface_count:
            return b"a packet names an interface that nothing describes"
        if caplen > MAX_CAPLEN:
            return b"a packet block claims an impossible packet length"
        if caplen > length - PACKET_MIN:
            return b"a packet is longer than its block"
        cdef Interface* interface = &self.interfaces[number]
        cdef uint64_t units = <uint64_t> load32(block + 12, self.swap) << 32 | load32(block + 16, self.swap)
        self.last_ns = scaled_ns(
            units, interface.multiplier, interface.shift, interface.divisor, interface.offset_s)
        write_ref(ref, self.last_ns, block + 28, caplen, load32(block + 24, self.swap), interface.linktype)
        return NULL

    # Section 4.4: no interface (it is the first), no time, no captured length.
    cdef const char* read_simple(self, const uint8_t* block, uint64_t length, PacketRef* ref) noexcept nogil:
        if length < SIMPLE_MIN:
            return b"a packet block is too short"
        if self.interface_count == 0:
            return b"a packet names an interface that nothing describes"
        cdef uint32_t wirelen = load32(block + 8, self.swap)
        cdef uint32_t snaplen = self.interfaces[0].snaplen
        cdef uint32_t caplen = wirelen if snaplen == 0 else min(wirelen, snaplen)
        if caplen > MAX_CAPLEN:
            return b"a packet block claims an impossible packet length"
        if caplen > length - SIMPLE_MIN:
            return b"a packet is longer than its block"
        write_ref(ref, self.last_ns, block + 12, caplen, wirelen, self.interfaces[0].linktype)
        return NULL

    cdef bint make_room(self) noexcept nogil:
        cdef uint32_t room = max(<uint32_t> 8, 2 * self.interface_room)
        if self.interface_count < self.interface_room:
            return True
        if room > MAX_INTERFACES:
            return False
        cdef void* moved = realloc(self.interfaces, room * sizeof(Interface))
        if moved == NULL:
            return False
        self.interfaces = <Interface*> moved
        self.interface_room = room
        return True


# if_tsresol: a negative power of 10, or of 2 when the top bit is set.
cdef void set_resolution(Interface* interface, uint8_t resolution) noexcept nogil:
    cdef int power = resolution & 0x7F
    interface.multiplier = interface.divisor = 1
    interface.shift = 0
    if resolution & 0x80:
        interface.multiplier = 1000000000
        interface.shift = power
        return
    for _ in range(power, 9):
        interface.multiplier *= 10
    for _ in range(9, min(power, 28)):
        interface.divisor *= 10
    if power > 28:
        interface.multiplier = 0            # 64 bits of so small a unit are no nanosecond


cdef class BufferSource(OfflineSource):
    """Packets that Python has: ``(ts_ns, octets[, wirelen[, linktype]])`` each, LINKTYPE_ETHERNET (1) if not given.

    ``packets`` may be any iterable; it is asked for some packets at a time, with the GIL. When it raises ValueError
    the input counts as truncated, with the exception's text as ``note``. ``backlog`` is what it says of itself, in
    eighths, as a ring does that is not read fast enough; for tests only.
    """

    def __init__(self, packets, uint8_t backlog=0):
        self.backlog = backlog
        self.iterator = iter(packets)
        self.held = []
        self.chunk = <PacketRef*> malloc(BUFFER_CHUNK * sizeof(PacketRef))
        if self.chunk == NULL:
            raise MemoryError

    def __dealloc__(self):
        self.let_go()
        free(self.chunk)

    cdef int fill(self, PacketRef* refs, int capacity) noexcept nogil:
        cdef int status
        if self.chunk_used == self.chunk_length:
            status = self.refill()
            if status <= 0:
                return status
        cdef int count = min(capacity, self.chunk_length - self.chunk_used)
        memcpy(refs, self.chunk + self.chunk_used, count * sizeof(PacketRef))
        self.chunk_used += count
        self.packets += count
        return count

    cdef int refill(self) noexcept with gil:
        cdef bytes octets
        self.let_go()
        self.chunk_used = self.chunk_length = 0
        try:
            while self.chunk_length < BUFFER_CHUNK:
                ts_ns, octets, *more = next(self.iterator)
                wirelen = more[0] if more else 0
                linktype = more[1] if len(more) > 1 else LINKTYPE_ETHERNET
                write_ref(&self.chunk[self.chunk_length], ts_ns, <const uint8_t*> PyBytes_AS_STRING(octets),
                          PyBytes_GET_SIZE(octets), wirelen, linktype)
                self.held.append(octets)
                forbid(PyBytes_AS_STRING(octets) + PyBytes_GET_SIZE(octets), 1)
                self.chunk_length += 1
        except StopIteration:
            pass
        except ValueError as broken:
            self.truncated = True
            self.note = str(broken)
        except Exception as failure:  # nothing can be raised through fill: the caller reads it from ``error``
            self.error = f"{type(failure).__name__}: {failure}"
        if self.chunk_length > 0:
            return self.chunk_length
        return FILL_ERROR if self.error else FILL_END

    cdef void let_go(self) noexcept:
        for octets in self.held or ():
            allow(PyBytes_AS_STRING(octets) + PyBytes_GET_SIZE(octets), 1)
        self.held = []


def skip(PacketSource source not None, uint64_t limit=1 << 63) -> int:
    """Read and forget up to ``limit`` packets; return how many. Releases the GIL."""
    cdef PacketRef[64] refs
    cdef uint64_t skipped = 0
    cdef int count
    with nogil:
        while skipped < limit:
            count = source.fill(refs, min(<uint64_t> 64, limit - skipped))
            if count <= 0:
                break
            skipped += count
    return skipped


def read_all(PacketSource source not None, int limit=1 << 20) -> list:
    """Return up to ``limit`` packets as ``(ts_ns, caplen, wirelen, linktype, vlan_tci, octets)``.

    For tests and for people; returns early when a live source has nothing within its poll time.
    """
    cdef PacketRef[64] refs
    cdef int wanted
    cdef int count
    packets = []
    while limit > len(packets):
        wanted = min(64, limit - len(packets))
        with nogil:
            count = source.fill(refs, wanted)
        if count <= 0:
            break
        for ref in refs[:count]:
            octets = PyBytes_FromStringAndSize(<const char*> ref.data, ref.caplen)
            packets.append((ref.ts_ns, ref.caplen, ref.wirelen, ref.linktype, ref.vlan_tci, octets))
    return packets
