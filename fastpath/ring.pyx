"""The kernel's receive ring (AF_PACKET, TPACKET_V3) as a packet source, read in place.

Reading list: Documentation/networking/packet_mmap.rst, packet(7), Documentation/networking/timestamping.rst.

The kernel fills blocks of the ring in turn and passes each on when it is full or its time is up. A block goes back to
the kernel when the engine asks for packets and has had all of it.
"""

import os

from cpython.bytes cimport PyBytes_AS_STRING
from libc.errno cimport EINTR, EPFNOSUPPORT, ENETDOWN, ENODEV, errno
from libc.stddef cimport size_t
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcpy, memset, strncmp

from fastpath.block cimport FILL_END, FILL_ERROR, FILL_TIMEOUT, PACKET_OUTGOING, PacketRef, PacketSource
from fastpath.ring cimport ifreq, sock_filter, tpacket3_hdr, tpacket_block_desc
from fastpath.source cimport prefetch_ahead


cdef extern from "<poll.h>" nogil:
    short POLLIN
    short POLLERR
    struct pollfd:
        int fd
        short events
        short revents
    int poll(pollfd* descriptors, unsigned long count, int timeout_ms)


cdef extern from "<sys/eventfd.h>" nogil:
    int EFD_CLOEXEC
    int EFD_NONBLOCK
    int eventfd(unsigned int value, int flags)
    int eventfd_read(int descriptor, uint64_t* value)
    int eventfd_write(int descriptor, uint64_t value)


cdef extern from "<sys/mman.h>" nogil:
    int PROT_READ
    int PROT_WRITE
    int MAP_SHARED
    int MAP_POPULATE
    void* MAP_FAILED
    void* mmap(void* address, size_t length, int protection, int flags, int descriptor, size_t offset)
    int munmap(void* address, size_t length)


cdef extern from "<sys/socket.h>" nogil:
    int AF_PACKET
    int SOCK_RAW
    int SOCK_CLOEXEC
    int SOL_SOCKET
    int SO_ATTACH_FILTER
    int SO_DETACH_FILTER
    int SO_ERROR
    ctypedef uint32_t socklen_t
    struct sockaddr:
        pass
    int socket(int domain, int kind, int protocol)
    int c_bind "bind"(int descriptor, const sockaddr* address, socklen_t length)
    int getsockname(int descriptor, sockaddr* address, socklen_t* length)
    int getsockopt(int descriptor, int level, int option, void* value, socklen_t* length)
    int setsockopt(int descriptor, int level, int option, const void* value, socklen_t length)


cdef extern from "<sys/ioctl.h>" nogil:
    int ioctl(int descriptor, unsigned long request, ...)


cdef extern from "<time.h>" nogil:
    int CLOCK_REALTIME
    struct timespec:
        int64_t tv_sec
        long tv_nsec
    int clock_gettime(int clock, timespec* now)


cdef extern from "<unistd.h>" nogil:
    int close(int descriptor)


cdef extern from "<fcntl.h>" nogil:
    int F_DUPFD_CLOEXEC
    int fcntl(int descriptor, int command, ...)


cdef extern from "<arpa/inet.h>" nogil:
    uint16_t htons(uint16_t value)


cdef extern from "<linux/if.h>":
    enum:
        IFNAMSIZ
        IFF_UP
        IFF_RUNNING
        IFF_LOOPBACK


cdef extern from "<linux/if_arp.h>":
    enum:
        ARPHRD_ETHER
        ARPHRD_LOOPBACK
        ARPHRD_NONE
        ARPHRD_RAWIP


cdef extern from "<linux/sockios.h>":
    enum:
        SIOCGIFINDEX
        SIOCGIFNAME
        SIOCGIFFLAGS
        SIOCGHWTSTAMP
        SIOCSHWTSTAMP


cdef extern from "<linux/net_tstamp.h>":
    enum:
        HWTSTAMP_FILTER_ALL
        SOF_TIMESTAMPING_RAW_HARDWARE
    struct hwtstamp_config:
        int rx_filter


cdef extern from "<linux/filter.h>":
    struct sock_fprog:
        unsigned short len
        sock_filter* filter
    enum:
        BPF_RET
        BPF_K


cdef extern from "<linux/if_ether.h>":
    enum:
        ETH_P_ALL
        ETH_P_8021Q


cdef extern from "<linux/if_packet.h>" nogil:
    enum:
        SOL_PACKET
        PACKET_VERSION
        TPACKET_V3
        PACKET_RX_RING
        PACKET_STATISTICS
        PACKET_TIMESTAMP
        PACKET_ADD_MEMBERSHIP
        PACKET_DROP_MEMBERSHIP
        PACKET_MR_PROMISC
        PACKET_IGNORE_OUTGOING
        PACKET_FANOUT
        PACKET_FANOUT_DATA
        PACKET_FANOUT_CBPF
        PACKET_FANOUT_FLAG_UNIQUEID
        KERNEL_OUTGOING "PACKET_OUTGOING"
        TP_STATUS_KERNEL
        TP_STATUS_USER
        TP_STATUS_VLAN_VALID
        TP_STATUS_VLAN_TPID_VALID
        TP_STATUS_TS_RAW_HARDWARE
    struct sockaddr_ll:
        unsigned short sll_family
        uint16_t sll_protocol
        int sll_ifindex
        unsigned short sll_hatype
        unsigned char sll_pkttype
    struct packet_mreq:
        int mr_ifindex
        unsigned short mr_type
    struct tpacket_req3:
        unsigned int tp_block_size
        unsigned int tp_block_nr
        unsigned int tp_frame_size
        unsigned int tp_frame_nr
        unsigned int tp_retire_blk_tov
    struct tpacket_stats_v3:
        unsigned int tp_packets
        unsigned int tp_drops
    size_t TPACKET_ALIGN(size_t size)


cdef extern from * nogil:
    uint32_t acquire "__atomic_load_n"(uint32_t* at, int order)
    void store "__atomic_store_n"(uint32_t* at, uint32_t value, int order)
    uint64_t add "__atomic_fetch_add"(uint64_t* at, uint64_t value, int order)
    int ORDER_ACQUIRE "__ATOMIC_ACQUIRE"
    int ORDER_RELEASE "__ATOMIC_RELEASE"
    int ORDER_RELAXED "__ATOMIC_RELAXED"


cdef enum:
    LINKTYPE_ETHERNET = 1
    LINKTYPE_RAW = 101

    NEW_GROUP = -1              # of rings: the kernel finds its number
    PACKET_FANOUT_FLAG_IGNORE_OUTGOING = 0x4000     # linux/if_packet.h, since Linux 5.17; headers may be older

    LINK_UP = 0
    LINK_DOWN = 1
    LINK_GONE = 2

    FRAME_SIZE = 2048           # TPACKET_V3 packs packets tightly; the kernel only wants it to divide the block
    CLOCK_TOLERANCE_S = 10      # further apart are only clocks of which one is wrong, or counts TAI (37 s)


cdef class RingSource(PacketSource):
    """Live packets of one interface.

    ``descriptor`` is an AF_PACKET socket of protocol 0 to work on (a duplicate is taken); without one a socket is
    opened, which needs CAP_NET_RAW. ``bpf`` is a filter as packed ``struct sock_filter``; b"" lets everything in. The
    ring has ``blocks`` of ``block_size`` octets (a power of two, at least a page); a block that is not full is passed
    on after ``retire_ms``. ``fill`` waits ``poll_ms`` for a packet. What this machine sends itself is seen too unless
    ``ignore_outgoing``; on a loopback interface it is always ignored, as everything would be seen twice.

    ``fanout`` makes the ring one of several that divide an interface's packets: the number of a group to join, -1 for
    a new one (``fanout_group`` is its number then, which may be 0), and a program as packed ``struct sock_filter``
    whose result modulo the number of rings says to which a packet goes. Nothing comes in before ``admit`` is called,
    which has to wait for the last of them: until then packets would go to another, and before it joins a ring has them
    all. The interface has to be up.

    An interface that goes down, vanishes or comes back is followed by its name; ``link`` says how it is, ``losses``
    how often it went. One that is renamed is kept (``name`` is what it is called now) until another one has the name.
    A ring of a group cannot be bound again: to it an interface that was deleted and made again is an error.
    Raises OSError. One thread calls ``fill``; everything else may be used from any thread.
    """

    def __cinit__(self, *args, **kwargs):
        self.socket = self.waker = self.fanout_group = -1

    def __init__(self, str interface not None, *, int descriptor=-1, bytes bpf not None=b"", bint promiscuous=True,
                 bint ignore_outgoing=False, unsigned int blocks=64, unsigned int block_size=1 << 20,
                 unsigned int retire_ms=10, int poll_ms=200, tuple fanout=None):
        cdef bytes name = os.fsencode(interface)
        cdef ifreq request
        if not 0 < len(name) < IFNAMSIZ:
            raise OSError(ENODEV, os.strerror(ENODEV), interface)
        if len(bpf) % sizeof(sock_filter):
            raise ValueError("bpf is not a row of struct sock_filter")
        self.interface = interface
        self.promiscuous = promiscuous
        self.poll_ms = poll_ms
        self.retire_ms = retire_ms
        memcpy(self.wanted, PyBytes_AS_STRING(name), len(name))   # the rest is zero
        memcpy(self.called, self.wanted, IFNAMSIZ)

        self.waker = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)
        if self.waker < 0:
            raise self.refused("event descriptor")
        # Protocol 0: nothing comes in before filter, ring and interface are settled.
        if descriptor < 0:
            self.socket = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0)
        else:
            self.socket = fcntl(descriptor, F_DUPFD_CLOEXEC, 0)
        if self.socket < 0:
            raise self.refused("packet socket")
        if self.ask(&request, SIOCGIFINDEX) < 0 or self.ask(&request, SIOCGIFFLAGS) < 0:
            raise self.refused("interface")
        self.use_hardware_time()
        if bpf and self.attach(<sock_filter*> PyBytes_AS_STRING(bpf), len(bpf) // sizeof(sock_filter)) < 0:
            raise self.refused("filter")
        self.bpf = bpf
        if fanout is not None and self.attach_nothing() < 0:
            raise self.refused("filter")
        ignore_outgoing = ignore_outgoing or request.ifr_flags & IFF_LOOPBACK
        if ignore_outgoing:
            if self.set(PACKET_IGNORE_OUTGOING, 1) < 0:
                raise self.refused("ignoring what this machine sends")
        if self.make_ring(block_size, blocks) < 0:
            raise self.refused(f"ring of {blocks} blocks of {block_size} octets")
        if self.ask(&request, SIOCGIFINDEX) < 0 or self.bind(request.ifr_ifindex) < 0:
            raise self.refused("interface")
        self.link_state = LINK_DOWN
        self.check_link()
        if fanout is not None:
            self.join(fanout[0], fanout[1], ignore_outgoing)

    def __dealloc__(self):
        if self.ring != NULL:
            munmap(self.ring, <size_t> self.block_size * self.block_count)
        if self.socket >= 0:
            close(self.socket)
        if self.waker >= 0:
            close(self.waker)

    def admit(self) -> None:
        """Let packets into a ring of a group, all of which have joined it."""
        cdef int status, unused = 0
        if self.stopping:
            return
        if self.bpf:
            status = self.attach(<sock_filter*> PyBytes_AS_STRING(self.bpf), len(self.bpf) // sizeof(sock_filter))
        else:
            status = setsockopt(self.socket, SOL_SOCKET, SO_DETACH_FILTER, &unused, sizeof(unused))
        if status < 0:
            raise self.refused("filter")

    def wake(self) -> None:
        """Make the waiting, or else the next, ``fill`` return at once."""
        eventfd_write(self.waker, 1)

    def stop(self) -> None:
        """Let nothing more in: ``fill`` hands out what had come before, then says that this is the end."""
        self.stopping = True
        eventfd_write(self.waker, 1)

    @property
    def link(self) -> str:
        """Return "up", "down" (administratively, or no carrier) or "gone" (no interface of this name)."""
        return ("up", "down", "gone")[self.link_state]

    @property
    def name(self) -> str:
        """Return what the interface is called now, or was when it was there last."""
        return os.fsdecode(self.called)

    @property
    def timestamps(self) -> str:
        """Return "hardware" when the latest packets carry the network card's own time, else "software"."""
        return "hardware" if self.hardware else "software"

    @property
    def kernel_packets(self) -> int:
        """Return how many packets passed the filter since the start, those included that found no room."""
        self.collect_statistics()
        return self.seen

    @property
    def kernel_drops(self) -> int:
        """Return how many packets found no room in the ring since the start."""
        self.collect_statistics()
        return self.dropped

    @property
    def error(self) -> str:
        """Return why ``fill`` reported an error; "" if it did not."""
        if self.left_behind:
            return "another interface has its name now, and rings that share one cannot be bound to another"
        return os.strerror(self.failure) if self.failure else ""

    cdef int fill(self, PacketRef* refs, int capacity) noexcept nogil:
        cdef tpacket3_hdr* packet
        cdef PacketRef* ref
        cdef uint32_t status
        cdef int count
        while self.left == 0:
            self.give_back()
            count = self.take_block()
            if count <= 0:
                return count
        packet = self.packet
        count = min(<uint32_t> capacity, self.left)
        for index in range(count):
            prefetch_ahead(<const uint8_t*> packet)
            ref = &refs[index]
            status = packet.tp_status
            ref.ts_ns = self.substitute_ns or <uint64_t> packet.tp_sec * 1000000000 + packet.tp_nsec
            ref.data = <const uint8_t*> packet + packet.tp_mac
            ref.caplen = packet.tp_snaplen
            ref.wirelen = packet.tp_len
            ref.linktype = self.linktype
            ref.vlan_tci = ref.vlan_tpid = 0
            if status & TP_STATUS_VLAN_VALID:
                ref.vlan_tci = packet.tp_vlan_tci
                ref.vlan_tpid = packet.tp_vlan_tpid if status & TP_STATUS_VLAN_TPID_VALID else ETH_P_8021Q
            ref.flags = PACKET_OUTGOING if link_address(packet).sll_pkttype == KERNEL_OUTGOING else 0
            packet = <tpacket3_hdr*> (<uint8_t*> packet + packet.tp_next_offset)
        self.packet = packet
        self.left -= count
        self.packets += count
        return count

    # Hold the next block of the ring: 1, or what fill is to return. Waits at most once.
    cdef int take_block(self) noexcept nogil:
        cdef tpacket_block_desc* block = <tpacket_block_desc*> (
            self.ring + <size_t> self.block_number * self.block_size)
        cdef int status
        if self.stopping and not self.silenced:
            self.silence()
        if not acquire(&block.block_status, ORDER_ACQUIRE) & TP_STATUS_USER:
            status = self.wait()
            if status < 0:
                return status
            if not acquire(&block.block_status, ORDER_ACQUIRE) & TP_STATUS_USER:
                return FILL_END if self.silenced else FILL_TIMEOUT
        self.link_state = LINK_UP
        self.block = block
        self.backlog = self.waiting()
        self.left = block.num_pkts
        self.packet = <tpacket3_hdr*> (<uint8_t*> block + block.offset_to_first_pkt)
        if self.left > 0:
            self.check_clock()
        return 1

    # Eighths of the ring that are full: the kernel fills blocks in turn, so that one far ahead tells of all before it.
    cdef uint8_t waiting(self) noexcept nogil:
        cdef uint32_t eighth, number
        for eighth in range(7, 0, -1):
            number = (self.block_number + self.block_count * eighth // 8) % self.block_count
            if number == self.block_number:
                break
            if acquire(&(<tpacket_block_desc*> (self.ring + <size_t> number * self.block_size)).block_status,
                       ORDER_ACQUIRE) & TP_STATUS_USER:
                return eighth
        return 0

    cdef void give_back(self) noexcept nogil:
        if self.block == NULL:
            return
        store(&self.block.block_status, TP_STATUS_KERNEL, ORDER_RELEASE)
        self.block = NULL
        self.block_number += 1
        if self.block_number == self.block_count:
            self.block_number = 0
            self.collect_statistics()       # long before the kernel's 32-bit counts wrap

    # Wait for the kernel, for stop() or for wake(). Returns 0 or FILL_ERROR.
    cdef int wait(self) noexcept nogil:
        cdef pollfd[2] watched
        cdef uint64_t wakes = 0
        cdef int problem = 0
        cdef socklen_t length = sizeof(problem)
        cdef int ready
        watched[0].fd = self.socket
        watched[1].fd = self.waker
        watched[0].events = watched[1].events = POLLIN
        watched[0].revents = watched[1].revents = 0
        if self.silenced:
            # All that can still come is the block that was being filled; twice its time is enough.
            ready = poll(watched, 1, 2 * self.retire_ms)
        else:
            ready = poll(watched, 2, self.poll_ms)
        if ready < 0 and errno != EINTR:
            self.failure = errno
        if watched[1].revents & POLLIN:
            eventfd_read(self.waker, &wakes)
        if watched[0].revents & POLLERR:
            getsockopt(self.socket, SOL_SOCKET, SO_ERROR, &problem, &length)
            if problem == ENETDOWN:
                self.note_link(LINK_DOWN)       # even if it is up again by now
            elif problem != 0:
                self.failure = problem
        if ready == 0 or watched[0].revents & POLLERR or wakes:
            self.check_link()
        return FILL_ERROR if self.failure else 0

    # A filter that lets nothing in: binding to protocol 0 would leave the protocol as it was (packet(7)).
    cdef void silence(self) noexcept nogil:
        self.attach_nothing()
        self.silenced = True

    cdef int attach_nothing(self) noexcept nogil:
        cdef sock_filter nothing
        nothing.code = BPF_RET | BPF_K
        nothing.jt = nothing.jf = 0
        nothing.k = 0
        return self.attach(&nothing, 1)

    # A network card's clock need not have been set, and may count TAI. Then the kernel's time is better, and what is in
    # the ring already gets the time of its reading.
    cdef void check_clock(self) noexcept nogil:
        cdef timespec now
        self.substitute_ns = 0
        self.hardware = self.packet.tp_status & TP_STATUS_TS_RAW_HARDWARE != 0
        if not self.hardware:
            return
        clock_gettime(CLOCK_REALTIME, &now)
        if -CLOCK_TOLERANCE_S <= now.tv_sec - <int64_t> self.packet.tp_sec <= CLOCK_TOLERANCE_S:
            return
        self.set(PACKET_TIMESTAMP, 0)
        self.hardware = False
        self.substitute_ns = <uint64_t> now.tv_sec * 1000000000 + now.tv_nsec

    cdef void note_link(self, int state) noexcept nogil:
        self.losses += self.link_state == LINK_UP and state != LINK_UP
        self.link_state = state

    # The kernel keeps the socket on an interface that goes down and comes up, or is renamed, but not on one that is
    # deleted: its index is then -1. An interface that has the name now, and is another one, has to be bound anew.
    cdef void check_link(self) noexcept nogil:
        cdef sockaddr_ll address
        cdef socklen_t length = sizeof(address)
        cdef ifreq bound, named
        cdef bint gone
        memset(&address, 0, sizeof(address))
        getsockname(self.socket, <sockaddr*> &address, &length)
        bound.ifr_ifindex = address.sll_ifindex
        gone = address.sll_ifindex <= 0 or ioctl(self.socket, SIOCGIFNAME, &bound) < 0
        if gone or strncmp(bound.ifr_name, self.wanted, IFNAMSIZ) != 0:
            if self.ask(&named, SIOCGIFINDEX) == 0:
                if not self.bind_anew(address.sll_ifindex, named.ifr_ifindex):
                    return
                bound = named
            elif gone:
                self.note_link(LINK_GONE)
                return
        memcpy(self.called, bound.ifr_name, IFNAMSIZ)
        if ioctl(self.socket, SIOCGIFFLAGS, &bound) < 0:
            self.note_link(LINK_GONE)
        elif bound.ifr_flags & IFF_UP and bound.ifr_flags & IFF_RUNNING:
            self.note_link(LINK_UP)
        else:
            self.note_link(LINK_DOWN)

    cdef bint bind_anew(self, int before, int index) noexcept nogil:
        self.note_link(LINK_GONE)
        if self.fanout_group >= 0:
            # packet_do_bind in net/packet/af_packet.c: no socket of a group is bound again.
            self.left_behind = True
            self.failure = ENODEV
            return False
        if self.promiscuous and before > 0:
            self.change_membership(before, PACKET_DROP_MEMBERSHIP)
        if self.bind(index) < 0:
            if errno != ENODEV:
                self.failure = errno
            return False
        return True

    # Returns 0, or -1 with errno.
    cdef int bind(self, int index) noexcept nogil:
        cdef sockaddr_ll address
        cdef socklen_t length = sizeof(address)
        memset(&address, 0, sizeof(address))
        address.sll_family = AF_PACKET
        address.sll_protocol = htons(ETH_P_ALL)
        address.sll_ifindex = index
        if c_bind(self.socket, <const sockaddr*> &address, sizeof(address)) < 0:
            return -1
        getsockname(self.socket, <sockaddr*> &address, &length)
        if address.sll_hatype == ARPHRD_ETHER or address.sll_hatype == ARPHRD_LOOPBACK:
            self.linktype = LINKTYPE_ETHERNET
        elif address.sll_hatype == ARPHRD_NONE or address.sll_hatype == ARPHRD_RAWIP:
            self.linktype = LINKTYPE_RAW
        else:
            (&errno)[0] = EPFNOSUPPORT
            return -1
        return self.change_membership(index, PACKET_ADD_MEMBERSHIP) if self.promiscuous else 0

    cdef int change_membership(self, int index, int change) noexcept nogil:
        cdef packet_mreq membership
        memset(&membership, 0, sizeof(membership))
        membership.mr_ifindex = index
        membership.mr_type = PACKET_MR_PROMISC
        return setsockopt(self.socket, SOL_PACKET, change, &membership, sizeof(membership))

    # The kernel finds the number of a new group, so that nobody else's is joined by mistake.
    cdef int join(self, int group, bytes program, bint ignore_outgoing) except -1:
        cdef int kind = PACKET_FANOUT_CBPF, answer = 0
        cdef socklen_t length = sizeof(answer)
        cdef sock_fprog demultiplexer
        if group < NEW_GROUP or group > 0xFFFF or not program or len(program) % sizeof(sock_filter):
            raise ValueError("fanout: the number of a group and a row of struct sock_filter are needed")
        if not self.is_up():
            # Before Linux 6.14 a socket joins only while it receives.
            (&errno)[0] = ENETDOWN
            raise self.refused("interface")
        if ignore_outgoing:
            kind |= PACKET_FANOUT_FLAG_IGNORE_OUTGOING
        if group == NEW_GROUP:
            kind |= PACKET_FANOUT_FLAG_UNIQUEID
        if self.set(PACKET_FANOUT, <int> (<unsigned int> kind << 16 | <unsigned int> max(group, 0))) < 0:
            raise self.refused("group of rings")
        if getsockopt(self.socket, SOL_PACKET, PACKET_FANOUT, &answer, &length) < 0:
            raise self.refused("number of the group of rings")
        if group == NEW_GROUP:
            demultiplexer.len = len(program) // sizeof(sock_filter)
            demultiplexer.filter = <sock_filter*> PyBytes_AS_STRING(program)
            if setsockopt(self.socket, SOL_PACKET, PACKET_FANOUT_DATA, &demultiplexer, sizeof(demultiplexer)) < 0:
                raise self.refused("program that divides packets")
        self.fanout_group = answer & 0xFFFF
        return 0

    cdef bint is_up(self) noexcept nogil:
        cdef ifreq request
        return self.ask(&request, SIOCGIFFLAGS) == 0 and request.ifr_flags & IFF_UP != 0

    # Returns 0, or -1 with errno.
    cdef int make_ring(self, unsigned int block_size, unsigned int blocks) noexcept nogil:
        cdef tpacket_req3 request
        cdef void* ring
        memset(&request, 0, sizeof(request))
        request.tp_block_size = block_size
        request.tp_block_nr = blocks
        request.tp_frame_size = FRAME_SIZE
        request.tp_frame_nr = block_size // FRAME_SIZE * blocks
        request.tp_retire_blk_tov = self.retire_ms
        if self.set(PACKET_VERSION, TPACKET_V3) < 0:
            return -1
        if setsockopt(self.socket, SOL_PACKET, PACKET_RX_RING, &request, sizeof(request)) < 0:
            return -1
        ring = mmap(
            NULL, <size_t> block_size * blocks, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, self.socket, 0)
        if ring == MAP_FAILED:
            return -1
        self.ring = <uint8_t*> ring
        self.block_size = block_size
        self.block_count = blocks
        return 0

    # Best effort: needs a card that can, and CAP_NET_ADMIN unless somebody else switched it on. A packet without the
    # card's time gets the kernel's.
    cdef void use_hardware_time(self) noexcept nogil:
        cdef hwtstamp_config config
        cdef ifreq request
        memset(&request, 0, sizeof(request))
        memcpy(request.ifr_name, self.wanted, IFNAMSIZ)
        request.ifr_data = <char*> &config
        if ioctl(self.socket, SIOCGHWTSTAMP, &request) == 0 and config.rx_filter != HWTSTAMP_FILTER_ALL:
            config.rx_filter = HWTSTAMP_FILTER_ALL      # what is set for sending stays: PTP may need it
            ioctl(self.socket, SIOCSHWTSTAMP, &request)
        self.set(PACKET_TIMESTAMP, SOF_TIMESTAMPING_RAW_HARDWARE)

    cdef int ask(self, ifreq* request, unsigned long what) noexcept nogil:
        memset(request, 0, sizeof(request[0]))
        memcpy(request.ifr_name, self.wanted, IFNAMSIZ)
        return ioctl(self.socket, what, request)

    cdef int set(self, int option, int value) noexcept nogil:
        return setsockopt(self.socket, SOL_PACKET, option, &value, sizeof(value))

    cdef int attach(self, sock_filter* instructions, unsigned short length) noexcept nogil:
        cdef sock_fprog program
        program.len = length
        program.filter = instructions
        return setsockopt(self.socket, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program))

    # Asking clears the kernel's counts, so every answer is added up, whichever thread asked.
    cdef void collect_statistics(self) noexcept nogil:
        cdef tpacket_stats_v3 statistics
        cdef socklen_t length = sizeof(statistics)
        if getsockopt(self.socket, SOL_PACKET, PACKET_STATISTICS, &statistics, &length) < 0:
            return
        add(&self.seen, statistics.tp_packets, ORDER_RELAXED)
        add(&self.dropped, statistics.tp_drops, ORDER_RELAXED)

    cdef object refused(self, str what):
        cdef int number = errno
        return OSError(number, f"{what}: {os.strerror(number)}", self.interface)


cdef inline sockaddr_ll* link_address(tpacket3_hdr* packet) noexcept nogil:
    return <sockaddr_ll*> (<uint8_t*> packet + TPACKET_ALIGN(sizeof(tpacket3_hdr)))
