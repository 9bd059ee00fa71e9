"""The kernel's receive ring as a packet source."""

from libc.stddef cimport size_t
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t

from fastpath.block cimport PacketRef, PacketSource


cdef extern from "<linux/if_packet.h>":
    struct tpacket_block_desc:
        uint32_t block_status "hdr.bh1.block_status"
        uint32_t num_pkts "hdr.bh1.num_pkts"
        uint32_t offset_to_first_pkt "hdr.bh1.offset_to_first_pkt"

    struct tpacket3_hdr:
        uint32_t tp_next_offset
        uint32_t tp_sec
        uint32_t tp_nsec
        uint32_t tp_snaplen
        uint32_t tp_len
        uint32_t tp_status
        uint16_t tp_mac
        uint32_t tp_vlan_tci "hv1.tp_vlan_tci"
        uint16_t tp_vlan_tpid "hv1.tp_vlan_tpid"


cdef extern from "<linux/filter.h>":
    struct sock_filter:
        uint16_t code
        uint8_t jt
        uint8_t jf
        uint32_t k


cdef extern from "<linux/if.h>":
    struct ifreq:
        char[16] ifr_name
        int ifr_ifindex
        short ifr_flags
        char* ifr_data


cdef class RingSource(PacketSource):
    cdef readonly str interface
    cdef readonly uint64_t packets
    cdef readonly uint64_t losses       # times that the link went down, or the interface away
    cdef readonly int fanout_group      # -1: the ring has its interface for itself
    cdef bytes bpf
    cdef char[16] wanted        # the name that it is to have …
    cdef char[16] called        # … and the one that the interface has
    cdef int socket
    cdef int waker              # eventfd, polled together with the socket
    cdef bint promiscuous
    cdef bint stopping          # set by stop(), from any thread
    cdef bint silenced          # the kernel was told to let nothing more in
    cdef bint left_behind       # the interface came back, and the ring cannot be bound to it
    cdef int link_state
    cdef int failure            # errno that ended it
    cdef int poll_ms
    cdef int retire_ms
    cdef uint16_t linktype

    cdef uint8_t* ring
    cdef uint32_t block_size
    cdef uint32_t block_count
    cdef uint32_t block_number  # held, or waited for
    cdef tpacket_block_desc* block      # held; NULL: none
    cdef tpacket3_hdr* packet           # next one of it
    cdef uint32_t left                  # packets of it not yet handed out

    cdef bint hardware          # the packets carry the network card's time
    cdef uint64_t substitute_ns         # of this block: stands in for a hardware clock that is not set; 0: not needed

    cdef uint64_t seen          # accumulated: the kernel clears what it is asked for
    cdef uint64_t dropped

    cdef int fill(self, PacketRef* refs, int capacity) noexcept nogil
    cdef int take_block(self) noexcept nogil
    cdef uint8_t waiting(self) noexcept nogil
    cdef void give_back(self) noexcept nogil
    cdef int wait(self) noexcept nogil
    cdef void silence(self) noexcept nogil
    cdef int attach_nothing(self) noexcept nogil
    cdef void check_clock(self) noexcept nogil
    cdef void note_link(self, int state) noexcept nogil
    cdef void check_link(self) noexcept nogil
    cdef bint bind_anew(self, int before, int index) noexcept nogil
    cdef int bind(self, int index) noexcept nogil
    cdef int change_membership(self, int index, int change) noexcept nogil
    cdef int join(self, int group, bytes program, bint ignore_outgoing) except -1
    cdef bint is_up(self) noexcept nogil
    cdef int make_ring(self, unsigned int block_size, unsigned int blocks) noexcept nogil
    cdef void use_hardware_time(self) noexcept nogil
    cdef int ask(self, ifreq* request, unsigned long what) noexcept nogil
    cdef int set(self, int option, int value) noexcept nogil
    cdef int attach(self, sock_filter* instructions, unsigned short length) noexcept nogil
    cdef void collect_statistics(self) noexcept nogil
    cdef object refused(self, str what)
