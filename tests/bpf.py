"""The kernel's classic packet filter machine, as far as the tests need it to run a program over a frame.

Reading list: net/core/filter.c, Documentation/networking/filter.rst. ``choice`` is what fanout_demux_bpf makes of it.
"""

from __future__ import annotations

import struct

SOCK_FILTER = struct.Struct("=HBBI")
WORD = 0xFFFFFFFF
VLANS = (0x8100, 0x88A8)  # eth_type_vlan() in linux/if_vlan.h
PACKET_HOST, PACKET_OUTGOING = 0, 4
SIZES = {0x00: 4, 0x08: 2, 0x10: 1}
ANCILLARY = 0xFFFFF000


def run(program: bytes, data: bytes, *, protocol: int = 0, kind: int = PACKET_HOST) -> tuple[int, int]:
    """Return what a program says of a packet, and after how many steps; a load beyond the end says 0."""
    rows = list(SOCK_FILTER.iter_unpack(program))
    memory: dict[int, int] = {}
    a = x = at = steps = 0
    while True:
        code, jt, jf, k = rows[at]
        at, steps = at + 1, steps + 1
        family = code & 7
        if family == 0 and code & 0xE0 in {0x20, 0x40}:
            if k >= ANCILLARY:
                a = {0: protocol, 4: kind}[k - ANCILLARY]
                continue
            size, begin = SIZES[code & 0x18], k + (x if code & 0xE0 == 0x40 else 0)
            if begin + size > len(data):
                return 0, steps
            a = int.from_bytes(data[begin : begin + size])
        elif code == 0x60:
            a = memory[k]
        elif code == 0x61:
            x = memory[k]
        elif code == 0x01:
            x = k
        elif family in {2, 3}:
            memory[k] = a if family == 2 else x
        elif family == 4:
            other = x if code & 8 else k
            a = {
                0x00: lambda a, b: a + b, 0x20: lambda a, b: a * b, 0x50: lambda a, b: a & b,
                0x60: lambda a, b: a << b, 0x70: lambda a, b: a >> b, 0xA0: lambda a, b: a ^ b,
            }[code & 0xF0](a, other) & WORD  # fmt: skip
        elif code == 0x05:
            at += k
        elif family == 5:
            at += jt if {0x10: a == k, 0x30: a >= k, 0x40: bool(a & k)}[code & 0xF0] else jf
        elif code == 0x07:
            x = a
        elif code == 0x87:
            a = x
        else:
            return (a if code == 0x16 else k), steps


def received(frame: bytes) -> tuple[bytes, int]:
    """Return what the program sees of an Ethernet frame that came in: without its header, without an outer tag."""
    protocol, at = int.from_bytes(frame[12:14]), 14
    if protocol in VLANS:
        protocol, at = int.from_bytes(frame[16:18]), 18
    return frame[at:], protocol


def choice(program: bytes, frame: bytes, count: int, *, outgoing: bool = False) -> int:
    """Return which of ``count`` rings an Ethernet frame goes to."""
    if outgoing:
        return run(program, frame, protocol=int.from_bytes(frame[12:14]), kind=PACKET_OUTGOING)[0] % count
    data, protocol = received(frame)
    return run(program, data, protocol=protocol)[0] % count
