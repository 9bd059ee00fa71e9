"""The ordinary packets between the calls: ARP, DNS, NTP and LLDP."""

from __future__ import annotations

import random
import struct

import dpkt

from . import wire
from .wire import MS, SECOND, Endpoint, Frame, Host

_LLDP_GROUP = bytes.fromhex("0180c200000e")  # IEEE 802.1AB clause 7.1
_LLDP_ETHERTYPE = 0x88CC
_NTP_EPOCH = 2_208_988_800
_MED = bytes.fromhex("0012bb")  # TIA-1057


def arp_exchange(asker: Host, target: Host, at_ns: int) -> list[Frame]:
    """Return an ARP request and its reply."""
    return [(at_ns, wire.arp(asker, target)), (at_ns + MS // 4, wire.arp(target, asker, reply=True))]


def dns_lookup(client: Host, resolver: Host, name: str, answer: Host, *, at_ns: int, rng: random.Random) -> list[Frame]:
    """Return a query for the address of ``name`` and its answer."""
    own, other = Endpoint(client, rng.randrange(32768, 61000)), Endpoint(resolver, 53)
    query = dpkt.dns.DNS(id=rng.getrandbits(16), qd=[dpkt.dns.DNS.Q(name=name)])
    reply = dpkt.dns.DNS(bytes(query))
    reply.op = dpkt.dns.DNS_QR | dpkt.dns.DNS_RD | dpkt.dns.DNS_RA
    reply.an = [dpkt.dns.DNS.RR(name=name, type=dpkt.dns.DNS_A, ttl=300, ip=answer.packed)]
    return [(at_ns, wire.udp(own, other, bytes(query))), (at_ns + MS, wire.udp(other, own, bytes(reply)))]


def ntp_exchange(client: Host, server: Host, at_ns: int) -> list[Frame]:
    """Return a client's question for the time and the server's answer (RFC 5905 section 7.3)."""
    own, other = Endpoint(client, 123), Endpoint(server, 123)
    unset = bytes(8)
    question = dpkt.ntp.NTP(
        flags=0x23,
        interval=6,
        precision=0xEC,
        id=bytes(4),
        update_time=unset,
        originate_time=unset,
        receive_time=unset,
        transmit_time=_ntp(at_ns),
    )
    answer = dpkt.ntp.NTP(
        flags=0x24,
        stratum=2,
        interval=6,
        precision=0xE9,
        id=bytes((10, 20, 0, 1)),
        update_time=_ntp(at_ns - 40 * SECOND),
        originate_time=_ntp(at_ns),
        receive_time=_ntp(at_ns + MS // 2),
        transmit_time=_ntp(at_ns + MS // 2 + 20_000),
    )
    return [(at_ns, wire.udp(own, other, bytes(question))), (at_ns + MS, wire.udp(other, own, bytes(answer)))]


def lldp_advertisement(switch: str, port: int, at_ns: int) -> Frame:
    """Return a switch's untagged advertisement, which tells a phone its voice VLAN (IEEE 802.1AB, LLDP-MED)."""
    source = b"\x02\x00\x00\x00\x01" + bytes((port,))
    policy = 1 << 24 | 1 << 22 | wire.VOICE_VLAN << 9 | 5 << 6 | wire.MEDIA_DSCP  # voice, tagged
    units = (
        (1, b"\x04" + source),  # chassis, by MAC address
        (2, b"\x05" + f"ge-0/0/{port}".encode()),  # port, by interface name
        (3, struct.pack(">H", 120)),  # seconds to live
        (5, switch.encode()),  # system name
        (127, _MED + b"\x02" + struct.pack(">I", policy)),
        (0, b""),
    )
    body = b"".join(struct.pack(">H", kind << 9 | len(value)) + value for kind, value in units)
    return at_ns, (_LLDP_GROUP + source + struct.pack(">H", _LLDP_ETHERTYPE) + body).ljust(60, b"\0")


def _ntp(at_ns: int) -> bytes:
    seconds, rest = divmod(at_ns, SECOND)
    return struct.pack(">II", seconds + _NTP_EPOCH, (rest << 32) // SECOND)
