"""Ethernet frames of a voice VLAN, and the capture file that they go into. Frames are built with dpkt."""

from __future__ import annotations

import random
import socket
import struct
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import dpkt

VOICE_VLAN = 20
MEDIA_DSCP = 46  # EF, RFC 4594 section 4.1
SIGNALLING_DSCP = 40  # CS5, RFC 4594 section 4.2

MS = 1_000_000  # nanoseconds
SECOND = 1_000 * MS

_MINIMUM_FRAME = 60  # without FCS, IEEE 802.3 clause 3.2.8
_SEGMENT = 1448  # a 1500-octet MTU less IPv4, TCP and room for options
_PRIORITY = {MEDIA_DSCP: 5, SIGNALLING_DSCP: 3}  # DSCP to 802.1Q priority, as switches map them
_ACK_DELAY_NS = 180_000

Frame = tuple[int, bytes]  # nanoseconds since the Unix epoch, octets from the Ethernet header without FCS


@dataclass(frozen=True, slots=True)
class Host:
    """A host of the voice VLAN, or one that is reached through ``router``."""

    name: str
    ip: str
    router: Host | None = None

    @property
    def mac(self) -> bytes:
        """The address that its frames carry here: locally administered, made from the IP address."""
        return self.router.mac if self.router else b"\x02\x00" + self.packed

    @property
    def packed(self) -> bytes:
        """The IP address as it stands in packets."""
        return socket.inet_aton(self.ip)

    @property
    def ttl(self) -> int:
        """The time to live of its packets when they pass the mirror port."""
        return 60 if self.router else 64


class Endpoint(NamedTuple):
    """One end of a UDP or TCP flow."""

    host: Host
    port: int


def ethernet(src: bytes, dst: bytes, data: dpkt.Packet, priority: int = 0, vlan: int = VOICE_VLAN) -> bytes:
    """Return a frame with an 802.1Q tag."""
    frame = dpkt.ethernet.Ethernet(src=src, dst=dst, data=data)
    frame.vlan_tags = [dpkt.ethernet.VLANtag8021Q(pri=priority, id=vlan)]
    return bytes(frame).ljust(_MINIMUM_FRAME, b"\0")


def udp(src: Endpoint, dst: Endpoint, payload: bytes, dscp: int = 0) -> bytes:
    """Return a frame with one UDP datagram."""
    return _ip(src, dst, dpkt.udp.UDP(sport=src.port, dport=dst.port, ulen=8 + len(payload), data=payload), dscp)


def arp(sender: Host, target: Host, *, reply: bool = False) -> bytes:
    """Return an ARP request to everybody for ``target``, or the reply to ``target``."""
    packet = dpkt.arp.ARP(
        op=dpkt.arp.ARP_OP_REPLY if reply else dpkt.arp.ARP_OP_REQUEST,
        sha=sender.mac,
        spa=sender.packed,
        tha=target.mac if reply else bytes(6),
        tpa=target.packed,
    )
    return ethernet(sender.mac, target.mac if reply else b"\xff" * 6, packet)


class TcpConnection:
    """One TCP connection without loss; every burst of segments is acknowledged once."""

    def __init__(self, client: Endpoint, server: Endpoint, rng: random.Random) -> None:
        """Choose the initial sequence numbers."""
        self._ends = (client, server)
        self._next = [rng.getrandbits(31), rng.getrandbits(31)]

    def open(self, at_ns: int) -> list[Frame]:
        """Return the three-way handshake."""
        flags = dpkt.tcp
        options = dpkt.tcp.TCP_OPT_MSS.to_bytes(1, "big") + b"\x04" + struct.pack(">H", 1460)
        syn = self._segment(0, flags.TH_SYN, options=options)
        self._next[0] += 1
        syn_ack = self._segment(1, flags.TH_SYN | flags.TH_ACK, options=options)
        self._next[1] += 1
        ack = self._segment(0, flags.TH_ACK)
        return [(at_ns, syn), (at_ns + _ACK_DELAY_NS, syn_ack), (at_ns + 2 * _ACK_DELAY_NS, ack)]

    def send(self, at_ns: int, *, from_client: bool, octets: bytes) -> list[Frame]:
        """Return the segments that carry ``octets``, and the acknowledgement."""
        side = 0 if from_client else 1
        frames: list[Frame] = []
        for offset in range(0, len(octets), _SEGMENT):
            piece = octets[offset : offset + _SEGMENT]
            last = offset + _SEGMENT >= len(octets)
            flags = dpkt.tcp.TH_ACK | (dpkt.tcp.TH_PUSH if last else 0)
            frames.append((at_ns + 12_000 * len(frames), self._segment(side, flags, piece)))
            self._next[side] = (self._next[side] + len(piece)) & 0xFFFFFFFF
        frames.append((frames[-1][0] + _ACK_DELAY_NS, self._segment(1 - side, dpkt.tcp.TH_ACK)))
        return frames

    def _segment(self, side: int, flags: int, payload: bytes = b"", options: bytes = b"") -> bytes:
        src, dst = self._ends[side], self._ends[1 - side]
        segment = dpkt.tcp.TCP(
            sport=src.port,
            dport=dst.port,
            seq=self._next[side],
            ack=self._next[1 - side] if flags & dpkt.tcp.TH_ACK else 0,
            off=5 + len(options) // 4,
            flags=flags,
            win=64240,
            opts=options,
            data=payload,
        )
        return _ip(src, dst, segment, SIGNALLING_DSCP)


def write_pcap(path: Path, frames: Iterable[Frame]) -> None:
    """Write the frames in the order of time as a classic pcap file with nanoseconds, little endian."""
    with path.open("wb") as file:
        file.write(struct.pack("<IHHiIII", 0xA1B23C4D, 2, 4, 0, 0, 65535, dpkt.pcap.DLT_EN10MB))
        for ts_ns, octets in sorted(frames, key=lambda frame: frame[0]):
            file.write(struct.pack("<IIII", ts_ns // SECOND, ts_ns % SECOND, len(octets), len(octets)) + octets)


def _ip(src: Endpoint, dst: Endpoint, data: dpkt.Packet, dscp: int) -> bytes:
    """Return a frame with one IPv4 packet; dpkt fills in lengths and checksums."""
    packet = dpkt.ip.IP(
        tos=dscp << 2,
        id=zlib.crc32(bytes(data)) & 0xFFFF,  # as good as random, and the same in every run
        ttl=src.host.ttl,
        p=dpkt.ip.IP_PROTO_UDP if isinstance(data, dpkt.udp.UDP) else dpkt.ip.IP_PROTO_TCP,
        src=src.host.packed,
        dst=dst.host.packed,
        data=data,
    )
    packet.df = 1
    return ethernet(src.host.mac, dst.host.mac, packet, _PRIORITY.get(dscp, 0))
