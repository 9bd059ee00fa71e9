"""A packet socket from which the first octets of single packets are taken: those that pass a filter.

Reading list: packet(7), socket(7), linux/if_packet.h (struct tpacket_auxdata), linux/net_tstamp.h.

libpcap would make a socket of its own, and the running sensor has no right to.
"""

from __future__ import annotations

import ctypes
import socket
import struct
import time
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from sensor.capture.filters import SOCK_FILTER, compile_filter
from sensor.capture.linktypes import LINKTYPE_ETHERNET, LINKTYPE_RAW

if TYPE_CHECKING:
    from collections.abc import Iterator

SNAPLEN = 256  # room for the headers of a frame with extension headers or options
BUFFER_OCTETS = 1 << 20

_ETH_P_ALL = 0x0003
_RAW_IP = (0xFFFE, 519)  # ARPHRD_NONE, ARPHRD_RAWIP
_LOOPBACK = 772  # ARPHRD_LOOPBACK
_SOL_PACKET, _PACKET_AUXDATA, _PACKET_OUTGOING = 263, 8, 4
_SO_ATTACH_FILTER, _SO_TIMESTAMPNS = 26, 35  # asm-generic/socket.h
_SOCK_FPROG = struct.Struct("@HP")  # linux/filter.h: instructions, and where they are
_NOTHING = SOCK_FILTER.pack(0x06, 0, 0, 0)  # BPF_RET | BPF_K
_TIMESPEC = struct.Struct("@qq")
_AUXDATA = struct.Struct("=IIIHHHH")  # status, length, kept, offsets of link and network header, VLAN tag and its type
_VLAN_VALID, _VLAN_TPID_VALID = 0x10, 0x40  # TP_STATUS_…
_VLAN_TPID = 0x8100
_ADDRESSES = 12  # octets of an Ethernet frame before what may be a tag
_ANCILLARY = socket.CMSG_SPACE(_TIMESPEC.size) + socket.CMSG_SPACE(_AUXDATA.size)


class Packet(NamedTuple):
    """The first octets of a packet."""

    ts_ns: int
    octets: bytes  # with the VLAN tag that the kernel took off
    length: int  # on the wire


class Tap:
    """Packets of one interface, at first none; ``descriptor`` is an unbound packet socket, if there is one already.

    Without one a socket is made, which needs CAP_NET_RAW. Whatever is asked of it may raise OSError.
    """

    def __init__(self, interface: str, descriptor: int = -1) -> None:
        self.linktype = LINKTYPE_ETHERNET
        self._interface = interface
        made = descriptor if descriptor >= 0 else None
        self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0, fileno=made)
        self._sees_own = True

    def listen(self, text: str) -> None:
        """Let packets through that pass a filter. Raises CaptureError where the text is none."""
        self._attach(compile_filter(text, self.linktype, SNAPLEN))

    def open(self) -> None:
        """Watch the interface of this name as it is now; nothing passes yet."""
        tap = self._socket
        self.rest()
        tap.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER_OCTETS)
        tap.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
        tap.setsockopt(_SOL_PACKET, _PACKET_AUXDATA, 1)
        tap.bind((self._interface, _ETH_P_ALL))
        kind = tap.getsockname()[3]
        self.linktype = LINKTYPE_RAW if kind in _RAW_IP else LINKTYPE_ETHERNET
        self._sees_own = kind != _LOOPBACK  # there everything would be seen twice

    def packets(self, most: int) -> Iterator[Packet]:
        """Yield what has come, at most so many, and wait for nothing."""
        for _ in range(most):
            try:
                octets, ancillary, _, address = self._socket.recvmsg(SNAPLEN, _ANCILLARY, socket.MSG_DONTWAIT)
            except BlockingIOError:
                return
            if self._sees_own or address[2] != _PACKET_OUTGOING:
                yield _packet(octets, ancillary)

    def rest(self) -> None:
        """Let nothing through, and forget what has come."""
        self._attach(_NOTHING)
        for _ in range(2):  # that the interface was down is said first, and once
            with suppress(OSError):
                while True:
                    self._socket.recv(1, socket.MSG_DONTWAIT)

    def close(self) -> None:
        """Be done."""
        self._socket.close()

    def _attach(self, program: bytes) -> None:
        room = ctypes.create_string_buffer(program)
        fprog = _SOCK_FPROG.pack(len(program) // SOCK_FILTER.size, ctypes.addressof(room))
        self._socket.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, fprog)


def _packet(octets: bytes, ancillary: list[tuple[int, int, bytes]]) -> Packet:
    ts_ns, length = time.time_ns(), len(octets)
    for level, kind, data in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, _SO_TIMESTAMPNS):
            seconds, nanoseconds = _TIMESPEC.unpack(data)
            ts_ns = seconds * 1_000_000_000 + nanoseconds
        elif (level, kind) == (_SOL_PACKET, _PACKET_AUXDATA):
            status, length, _, _, _, tag, tpid = _AUXDATA.unpack(data)
            if status & _VLAN_VALID:
                tpid = tpid if status & _VLAN_TPID_VALID else _VLAN_TPID
                octets = octets[:_ADDRESSES] + struct.pack("!HH", tpid, tag) + octets[_ADDRESSES:]
                length += 4
    return Packet(ts_ns, octets, length)
