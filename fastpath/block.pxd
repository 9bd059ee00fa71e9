"""What every capture source hands to the engine: references to packets that lie in somebody else's memory."""

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t


cdef struct PacketRef:
    uint64_t ts_ns          # nanoseconds since the Unix epoch, by the capture's own clock
    const uint8_t* data     # caplen octets; valid until the source is asked for more
    uint32_t caplen         # octets captured
    uint32_t wirelen        # octets on the wire; at least caplen
    uint16_t linktype       # LINKTYPE_ value (tcpdump.org/linktypes.html)
    uint16_t vlan_tci       # 802.1Q tag that the kernel took out of the frame
    uint16_t vlan_tpid      # its TPID; 0 when there was none
    uint16_t flags          # PACKET_OUTGOING


cdef enum:
    # What PacketSource.fill returns besides a count of packets.
    FILL_TIMEOUT = 0        # live source: nothing came within the poll time
    FILL_END = -1           # file: no more packets
    FILL_ERROR = -2         # the source is broken; PacketSource.error says how

    PACKET_OUTGOING = 1     # sent by this machine itself


cdef class PacketSource:
    cdef uint8_t backlog        # eighths of its room that wait to be read; a file has none

    cdef int fill(self, PacketRef* refs, int capacity) noexcept nogil
