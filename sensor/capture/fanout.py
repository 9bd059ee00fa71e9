"""Which of several rings a packet goes to: a program for the kernel, in its classic packet filter language.

Reading list: packet(7) (PACKET_FANOUT), net/packet/af_packet.c (``fanout_demux_bpf``: the program's result modulo the
number of sockets is the socket), Documentation/networking/filter.rst.

One engine must see all of a flow: both directions, its fragments (of which only the first has ports), and RTP with the
RTCP on the next port. So the innermost IP addresses decide and nothing else, each with equal right. Looking for them
goes through what ``fastpath/wire.pxd`` goes through, and through tunnels that mobile and overlay networks have besides.
A fragment of a tunnel's own packet goes by the addresses around it, as all its fragments can.

The language has no loops and jumps forward only, so a level is written out for each tunnel in a tunnel. What cannot be
read, and what is no IP, goes to the first socket: a load beyond the end makes the program return 0.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

from sensor.capture.linktypes import LINKTYPE_ETHERNET

SOCK_FILTER = struct.Struct("=HBBI")  # linux/filter.h: code, jt, jf, k
LEVELS = 3  # IP headers that are looked for: two tunnels in one another
VLAN_TAGS = 2  # in the frame; the kernel takes the outermost off before
MPLS_LABELS = 4
TZSP_TAGS = 4
GTP_EXTENSIONS = 2

# linux/bpf_common.h and linux/filter.h, put together to whole instructions; [x + k] is relative to the index register.
LDB, LDH, LDW = 0x50, 0x48, 0x40
LD_ABSOLUTE, LD_MEM, LDX_MEM, LDX_IMM, LD_IMM = 0x20, 0x60, 0x61, 0x01, 0x00
ST, STX, TAX, TXA, RET_A, RET_K = 0x02, 0x03, 0x07, 0x87, 0x16, 0x06
ADD, ADD_X, MUL, AND, LSH, RSH, XOR_X = 0x04, 0x0C, 0x24, 0x54, 0x64, 0x74, 0xAC
JA, JEQ, JGE, JSET = 0x05, 0x15, 0x35, 0x45
SKF_AD = 0xFFFFF000  # SKF_AD_OFF: loads from here on are what the kernel knows beside the octets
AD_PROTOCOL, AD_PKTTYPE = 0, 4
PACKET_OUTGOING = 4  # linux/if_packet.h

IPV4, IPV6, BRIDGED = 0x0800, 0x86DD, 0x6558  # IEEE 802 numbers (IANA)
MPLS, PPPOE, ERSPAN, ERSPAN3 = (0x8847, 0x8848), 0x8864, 0x88BE, 0x22EB
VLANS = (0x8100, 0x88A8, 0x9100, 0x9200)
IP_IN_IP, UDP, IPV6_IN_IP, GRE = 4, 17, 41, 47  # IANA protocol numbers
VXLAN_PORT, GENEVE_PORT, GTPU_PORT, TZSP_PORT = 4789, 6081, 2152, 37008
LEAST_TUNNEL = 30  # octets of UDP around the least header of a tunnel and what may be in it: shorter is none

NOWHERE = 1 << 30

# Scratch memory
AT, KEPT, OTHER, FLAGS, KIND, NEXT = range(6)  # AT: where the innermost IP header known so far begins

STEPS = {"if": (0, 1), "unless": (1, 0)}  # over the jump that follows, or to it

# Addresses that are neighbours have to get far from one another: what MurmurHash3 ends with (Appleby, public domain).
MIX = 0x9E3779B1
FINISH = ((16, 0x85EBCA6B), (13, 0xC2B2AE35))


@dataclass(slots=True)
class _Assembler:
    """Instructions in a row, with names for places further down."""

    rows: list[tuple[int, int, str]] = field(default_factory=list)  # code, k, place of a jump
    places: dict[str, int] = field(default_factory=dict)

    def add(self, code: int, k: int = 0) -> None:
        """Write an instruction."""
        self.rows.append((code, k, ""))

    def place(self, name: str) -> None:
        """Name the next instruction."""
        self.places[name] = len(self.rows)

    def go(self, name: str) -> None:
        """Jump."""
        self.rows.append((JA, 0, name))

    def go_if(self, code: int, k: int, name: str) -> None:
        """Jump where a condition holds. In two steps: a conditional jump reaches 255 instructions far only."""
        self.rows.append((code, k, "if"))
        self.go(name)

    def go_unless(self, code: int, k: int, name: str) -> None:
        """Jump where a condition does not hold."""
        self.rows.append((code, k, "unless"))
        self.go(name)

    def forward(self, octets: int) -> None:
        """Move the index register on; it is in the accumulator, too."""
        self.add(TXA)
        self.add(ADD, octets)
        self.add(TAX)

    def packed(self) -> bytes:
        """Return the program as packed ``struct sock_filter``."""
        out = []
        for at, (code, k, name) in enumerate(self.rows):
            jt, jf = STEPS.get(name, (0, 0))
            out.append(SOCK_FILTER.pack(code, jt, jf, self.places[name] - at - 1 if code == JA else k))
        return b"".join(out)


def fanout_program(linktype: int = LINKTYPE_ETHERNET) -> bytes:
    """Return the program for an interface of a link type, as packed ``struct sock_filter``."""
    a = _Assembler()
    # Around a frame in MPLS there are no addresses: looking there is beyond any end.
    a.add(LDX_IMM, NOWHERE)
    a.add(STX, AT)
    a.add(LDX_IMM, 0)
    if linktype == LINKTYPE_ETHERNET:
        # What comes in has lost its Ethernet header by now (and an outer VLAN tag); what this machine sends has not.
        a.add(LD_ABSOLUTE, SKF_AD + AD_PKTTYPE)
        a.go_if(JEQ, PACKET_OUTGOING, "ethernet0")
        a.add(LD_ABSOLUTE, SKF_AD + AD_PROTOCOL)
        a.go("ethertype0")
    else:
        a.go("ip0")
    for level in range(LEVELS):
        _link(a, level)
        _network(a, level)
        if level + 1 < LEVELS:
            _gre(a, level)
            _udp(a, level)
    _hash(a)
    return a.packed()


def _other(level: int) -> str:
    # A tunnel with something else in it goes by the addresses around it.
    return "hash" if level else "none"


def _link(a: _Assembler, level: int) -> None:
    other = _other(level)
    a.place(f"ethernet{level}")
    a.add(LDH, 12)
    a.add(ST, KEPT)
    a.forward(14)
    a.add(LD_MEM, KEPT)
    a.place(f"ethertype{level}")  # in the accumulator; the index register is behind it
    for tag in range(VLAN_TAGS):
        for ethertype in VLANS:
            a.go_if(JEQ, ethertype, f"tag{level}.{tag}")
        a.go(f"untagged{level}")
        a.place(f"tag{level}.{tag}")
        a.add(LDH, 2)
        a.add(ST, KEPT)
        a.forward(4)
        a.add(LD_MEM, KEPT)
    a.place(f"untagged{level}")
    for ethertype, name in ((IPV4, "ipv4."), (IPV6, "ipv6."), *((kind, "mpls") for kind in MPLS), (PPPOE, "pppoe")):
        a.go_if(JEQ, ethertype, f"{name}{level}")
    a.go(other)

    a.place(f"mpls{level}")  # RFC 3032 section 2.1: the bottom of the stack is marked
    for _ in range(MPLS_LABELS):
        a.add(LDB, 2)
        a.add(ST, KEPT)
        a.forward(4)
        a.add(LD_MEM, KEPT)
        a.go_if(JSET, 1, f"unlabelled{level}")
    a.go(other)
    a.place(f"unlabelled{level}")
    a.add(LDB, 0)
    a.add(RSH, 4)
    # RFC 4385 section 3: a control word begins with zero, and then comes a frame.
    a.go_unless(JEQ, 0, f"ip{level}")
    if level + 1 < LEVELS:
        a.forward(4)
        a.go(f"ethernet{level + 1}")
    else:
        a.go(other)

    a.place(f"pppoe{level}")  # RFC 2516 section 4, RFC 1661 section 2
    a.add(LDH, 6)
    a.go_if(JEQ, 0x0021, f"pppoe-ip{level}")
    a.go_unless(JEQ, 0x0057, other)
    a.place(f"pppoe-ip{level}")
    a.forward(8)

    a.place(f"ip{level}")  # of a version that only its own first octet tells
    a.add(LDB, 0)
    a.add(RSH, 4)
    a.go_if(JEQ, 4, f"ipv4.{level}")
    a.go_if(JEQ, 6, f"ipv6.{level}")
    a.go(other)


def _network(a: _Assembler, level: int) -> None:
    last = level + 1 == LEVELS
    a.place(f"ipv4.{level}")
    a.add(LDB, 0)
    a.add(RSH, 4)
    a.go_unless(JEQ, 4, _other(level))
    a.add(STX, AT)
    if last:
        a.go("hash")
    else:
        a.add(LDH, 6)
        a.go_if(JSET, 0x3FFF, "hash")  # a fragment: RFC 791 section 3.1
        a.add(LDB, 9)
        a.add(ST, KEPT)
        a.add(LDB, 0)
        a.add(AND, 15)
        a.add(LSH, 2)
        a.add(ADD_X)
        a.add(TAX)
        a.go(f"transport{level}")

    a.place(f"ipv6.{level}")
    a.add(LDB, 0)
    a.add(RSH, 4)
    a.go_unless(JEQ, 6, _other(level))
    a.add(STX, AT)
    if last:
        a.go("hash")
        return
    a.add(LDB, 6)
    a.add(ST, KEPT)
    a.forward(40)

    a.place(f"transport{level}")
    a.add(LD_MEM, KEPT)
    a.go_if(JEQ, UDP, f"udp{level}")
    a.go_if(JEQ, GRE, f"gre{level}")
    a.go_if(JEQ, IP_IN_IP, f"ipv4.{level + 1}")
    a.go_if(JEQ, IPV6_IN_IP, f"ipv6.{level + 1}")
    a.go("hash")


def _by_kind(a: _Assembler, level: int) -> None:
    """Go on at the offset in ``NEXT`` with what the ethertype in ``KIND`` says."""
    a.add(LD_MEM, KIND)
    a.add(LDX_MEM, NEXT)
    a.go_if(JEQ, BRIDGED, f"ethernet{level + 1}")
    a.go_if(JEQ, IPV4, f"ipv4.{level + 1}")
    a.go_if(JEQ, IPV6, f"ipv6.{level + 1}")
    for kind in MPLS:
        a.go_if(JEQ, kind, f"mpls{level + 1}")


def _gre(a: _Assembler, level: int) -> None:
    a.place(f"gre{level}")  # RFC 2784 section 2, RFC 2890 section 2, draft-foschiano-erspan
    a.add(LDH, 0)
    a.go_if(JSET, 0x4007, "hash")  # source routes, or another version
    a.add(ST, FLAGS)
    a.add(LDH, 2)
    a.add(ST, KIND)
    a.forward(4)
    a.add(STX, NEXT)
    for bit in (15, 13, 12):  # checksum, key, sequence number
        a.add(LD_MEM, FLAGS)
        a.add(RSH, bit)
        a.add(AND, 1)
        a.add(LSH, 2)
        a.add(LDX_MEM, NEXT)
        a.add(ADD_X)
        a.add(ST, NEXT)
    _by_kind(a, level)
    a.go_if(JEQ, ERSPAN, f"erspan{level}")
    a.go_unless(JEQ, ERSPAN3, "hash")
    a.add(LDB, 11)  # whether a platform's own header follows
    a.add(AND, 1)
    a.add(LSH, 3)
    a.add(ADD, 12)
    a.add(ADD_X)
    a.add(TAX)
    a.go(f"ethernet{level + 1}")
    a.place(f"erspan{level}")
    a.add(LD_MEM, FLAGS)
    a.go_unless(JSET, 0x1000, f"ethernet{level + 1}")  # type I has neither number nor header
    a.forward(8)
    a.go(f"ethernet{level + 1}")


def _udp(a: _Assembler, level: int) -> None:
    a.place(f"udp{level}")
    a.add(LDH, 4)
    a.go_unless(JGE, LEAST_TUNNEL, "hash")
    a.add(LDH, 2)
    for port, name in ((VXLAN_PORT, "vxlan"), (GENEVE_PORT, "geneve"), (GTPU_PORT, "gtp"), (TZSP_PORT, "tzsp")):
        a.go_if(JEQ, port, f"{name}{level}")
    a.go("hash")
    # Media may have such a port, too: their first octet is none that these begin with.

    a.place(f"vxlan{level}")  # RFC 7348 section 5
    a.add(LDW, 8)
    a.go_unless(JEQ, 0x08000000, "hash")
    a.add(LDB, 15)
    a.go_unless(JEQ, 0, "hash")
    a.forward(16)
    a.go(f"ethernet{level + 1}")

    a.place(f"geneve{level}")  # RFC 8926 section 3.4
    a.add(LDB, 8)
    a.go_if(JSET, 0xC0, "hash")
    a.add(AND, 0x3F)
    a.add(LSH, 2)
    a.add(ADD, 16)
    a.add(ADD_X)
    a.add(ST, NEXT)
    a.add(LDH, 10)
    a.add(ST, KIND)
    _by_kind(a, level)
    a.go("hash")

    _gtp(a, level)
    _tzsp(a, level)


def _gtp(a: _Assembler, level: int) -> None:
    a.place(f"gtp{level}")  # 3GPP TS 29.281 sections 5.1 and 5.2.1
    a.add(LDB, 8)
    a.add(ST, FLAGS)
    a.add(AND, 0xF0)
    a.go_unless(JEQ, 0x30, "hash")
    a.add(LDB, 9)
    a.go_unless(JEQ, 255, "hash")
    a.forward(16)
    a.add(LD_MEM, FLAGS)
    a.go_unless(JSET, 7, f"ip{level + 1}")
    a.forward(4)
    a.add(LD_MEM, FLAGS)
    a.go_unless(JSET, 4, f"ip{level + 1}")
    for _ in range(GTP_EXTENSIONS):
        # The octet before an extension says whether there is one, its first how many words it has.
        a.forward(0xFFFFFFFF)
        a.add(LDB, 0)
        a.add(ST, KEPT)
        a.forward(1)
        a.add(LD_MEM, KEPT)
        a.go_if(JEQ, 0, f"ip{level + 1}")
        a.add(LDB, 0)
        a.add(LSH, 2)
        a.add(ADD_X)
        a.add(TAX)
    a.go(f"ip{level + 1}")


def _tzsp(a: _Assembler, level: int) -> None:
    a.place(f"tzsp{level}")
    a.add(LDB, 8)
    a.go_unless(JEQ, 1, "hash")
    a.add(LDH, 10)
    a.go_unless(JEQ, 1, "hash")
    a.forward(12)
    for tag in range(TZSP_TAGS):
        a.add(LDB, 0)
        a.go_if(JEQ, 1, f"tzsp-frame{level}")
        a.go_unless(JEQ, 0, f"tzsp-field{level}.{tag}")
        a.forward(1)
        a.go(f"tzsp-next{level}.{tag}")
        a.place(f"tzsp-field{level}.{tag}")
        a.add(LDB, 1)
        a.add(ADD, 2)
        a.add(ADD_X)
        a.add(TAX)
        a.place(f"tzsp-next{level}.{tag}")
    a.add(LDB, 0)
    a.go_unless(JEQ, 1, "hash")
    a.place(f"tzsp-frame{level}")
    a.forward(1)
    a.go(f"ethernet{level + 1}")


def _hash(a: _Assembler) -> None:
    a.place("hash")
    a.add(LDX_MEM, AT)
    a.add(LDB, 0)
    a.add(RSH, 4)
    a.go_if(JEQ, 6, "hash6")
    a.add(LDW, 12)
    a.add(ST, KEPT)
    a.add(LDW, 16)
    a.add(ST, OTHER)
    a.go("mix")
    a.place("hash6")
    for address, kept in ((8, KEPT), (24, OTHER)):
        a.add(LDW, address)
        a.add(ST, kept)
        for word in (4, 8, 12):
            a.add(LDW, address + word)
            a.add(LDX_MEM, kept)
            a.add(XOR_X)
            a.add(ST, kept)
            a.add(LDX_MEM, AT)
    a.place("mix")
    # Sum and difference: the same for both directions. The difference alone is one for all pairs of neighbours.
    a.add(LD_MEM, KEPT)
    a.add(LDX_MEM, OTHER)
    a.add(XOR_X)
    a.add(MUL, MIX)
    a.add(ST, NEXT)
    a.add(LD_MEM, KEPT)
    a.add(ADD_X)
    a.add(LDX_MEM, NEXT)
    a.add(XOR_X)
    for shift, factor in FINISH:
        a.add(TAX)
        a.add(RSH, shift)
        a.add(XOR_X)
        a.add(MUL, factor)
    a.add(RSH, 16)
    a.add(RET_A)
    a.place("none")
    a.add(RET_K, 0)
