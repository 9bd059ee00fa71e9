"""Packets for the tests of the core, built with dpkt, and what an engine says of them.

A packet is a tuple as ``BufferSource`` takes it: nanoseconds, octets, and where needed the length on the wire and the
link type. All addresses are documentation addresses (RFC 5737, RFC 3849).
"""

from __future__ import annotations

import ipaddress
import itertools
import random
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple, TypeVar

import dpkt

from deploy.demo.wire import MS, SECOND
from fastpath.engine import Engine
from fastpath.records import (
    AppSeen,
    Certificate,
    Control,
    Evidence,
    FlowEnded,
    Hello,
    Record,
    SipMessage,
    StreamStats,
    Tones,
    Verdict,
)
from fastpath.source import BufferSource
from sensor.evidence.headers import find_headers

Packet = tuple[int, bytes] | tuple[int, bytes, int] | tuple[int, bytes, int, int]
Kind = TypeVar("Kind", AppSeen, Certificate, Control, Evidence, FlowEnded, Hello, SipMessage, Tones, Verdict)

T0 = 1_770_000_000 * SECOND
SECRET = bytes(range(48))  # the same hashes and digests in every run
IDENTIFIERS = itertools.count(1)
PCMU_STEP = 160  # timestamp units of 20 ms at 8000 Hz

ETHERNET, RAW, NULL, LOOP, SLL, SLL2 = 1, 101, 0, 108, 113, 276  # LINKTYPE_ values, tcpdump.org/linktypes.html


class End(NamedTuple):
    """An address and a port."""

    ip: str
    port: int


A, B = End("192.0.2.10", 16384), End("198.51.100.20", 20000)
A6, B6 = End("2001:db8::10", 16384), End("2001:db8:1::20", 20000)


def ip(segment: dpkt.Packet, src: End = A, dst: End = B, *, tos: int = 0, options: bytes = b"") -> bytes:
    """Return an IPv4 or IPv6 packet, by the address family of ``src``; lengths and checksums are right."""
    source, target = (ipaddress.ip_address(end.ip) for end in (src, dst))
    proto = dpkt.ip.IP_PROTO_UDP if isinstance(segment, dpkt.udp.UDP) else dpkt.ip.IP_PROTO_TCP
    if source.version == 4:
        words = 5 + len(options) // 4
        # An identifier of its own, as hosts give it (RFC 791): two equal packets are a mirror's twins.
        packet = dpkt.ip.IP(
            id=next(IDENTIFIERS) & 0xFFFF,
            src=source.packed,
            dst=target.packed,
            p=proto,
            hl=words,
            tos=tos,
            opts=options,
            data=segment,
        )
        packet.len = 20 + len(options) + len(segment)
    else:
        packet = dpkt.ip6.IP6(src=source.packed, dst=target.packed, nxt=proto, fc=tos, hlim=64, data=segment)
        packet.plen = len(segment)
    return bytes(packet)


def udp(payload: bytes, src: End = A, dst: End = B, *, tos: int = 0, options: bytes = b"") -> bytes:
    """Return an IP packet with one UDP datagram."""
    datagram = dpkt.udp.UDP(sport=src.port, dport=dst.port, ulen=8 + len(payload), data=payload)
    return ip(datagram, src, dst, tos=tos, options=options)


def tcp(
    payload: bytes, src: End = A, dst: End = B, *, seq: int = 1, flags: int = dpkt.tcp.TH_ACK, options: bytes = b""
) -> bytes:
    """Return an IP packet with one TCP segment; ``seq`` counts modulo 2^32."""
    segment = dpkt.tcp.TCP(
        sport=src.port,
        dport=dst.port,
        seq=seq & 0xFFFFFFFF,
        flags=flags,
        off=5 + len(options) // 4,
        opts=options,
        data=payload,
    )
    return ip(segment, src, dst)


def ethernet(packet: bytes, *tags: tuple[int, int]) -> bytes:
    """Return an Ethernet frame around an IP packet, with VLAN tags ``(tpid, tci)``, the outer one first."""
    kind = dpkt.ethernet.ETH_TYPE_IP if packet[0] >> 4 == 4 else dpkt.ethernet.ETH_TYPE_IP6
    return frame(kind, packet, *tags)


def frame(kind: int, body: bytes, *tags: tuple[int, int]) -> bytes:
    """Return an Ethernet frame of any type."""
    header = b"".join(struct.pack(">HH", *tag) for tag in tags) + struct.pack(">H", kind)
    return b"\x02\0\0\0\0\x02\x02\0\0\0\0\x01" + header + body


def rtp(
    seq: int,
    payload: bytes,
    *,
    timestamp: int | None = None,
    ssrc: int = 0xDECAFBAD,
    payload_type: int = 0,
    marker: bool = False,
    csrcs: Sequence[int] = (),
    extension: bytes | None = None,
    padding: int = 0,
) -> bytes:
    """Return an RTP packet; sequence number and timestamp wrap, and the timestamp follows 20 ms at 8000 Hz."""
    first = 0x80 | (0x20 if padding else 0) | (0x10 if extension is not None else 0) | len(csrcs)
    stamp = seq * PCMU_STEP if timestamp is None else timestamp
    head = struct.pack(
        ">BBHII", first, payload_type | marker << 7, seq & 0xFFFF, stamp & 0xFFFFFFFF, ssrc
    ) + struct.pack(f">{len(csrcs)}I", *csrcs)
    if extension is not None:
        head += struct.pack(">HH", 0xBEDE, len(extension) // 4) + extension
    return head + payload + (bytes(padding - 1) + bytes([padding]) if padding else b"")


def stream(
    payloads: Iterable[bytes],
    *,
    start_ns: int = T0,
    first: int = 1000,
    src: End = A,
    dst: End = B,
    ssrc: int = 0xDECAFBAD,
    payload_type: int = 0,
) -> list[Packet]:
    """Return the frames of one RTP stream, 20 ms apart."""
    return [
        (
            start_ns + 20 * MS * index,
            ethernet(udp(rtp(first + index, payload, ssrc=ssrc, payload_type=payload_type), src, dst)),
        )
        for index, payload in enumerate(payloads)
    ]


def speech(count: int, *, octets: int = 160, seed: int = 1) -> list[bytes]:
    """Return PCMU payloads of a voiced sound whose loudness and pitch change; it repeats itself after 10 s."""
    once = voice(octets, seed)
    return [once[index % len(once)] for index in range(count)]


@lru_cache(maxsize=64)
def voice(octets: int, seed: int) -> tuple[bytes, ...]:
    """Return 500 payloads of sawtooth and noise, as G.711 codes them."""
    rng = random.Random(seed)
    samples: list[int] = []
    level, phase = 0.0, 0.0
    for index in range(500 * octets):
        if index % 400 == 0:
            pitch, aim = rng.uniform(0.01, 0.03), rng.choice((30.0, 400.0, 2000.0))
        level += (aim - level) * 0.002
        phase = (phase + pitch) % 1.0
        samples.append(int(level * (1 - 2 * phase) + rng.gauss(0, level / 20 + 4)))
    octets_of = bytes(mu_law(sample) for sample in samples)
    return tuple(octets_of[at : at + octets] for at in range(0, len(octets_of), octets))


def mu_law(sample: int) -> int:
    """Return the G.711 mu-law code of a 14-bit sample."""
    sign, magnitude = (0x80, -sample) if sample < 0 else (0, sample)
    magnitude = min(magnitude, 8158) + 33
    exponent = magnitude.bit_length() - 6
    return ~(sign | exponent << 4 | (magnitude >> (exponent + 1)) & 15) & 0xFF


def ciphertext(count: int, octets: int = 170, *, seed: int = 1) -> list[bytes]:
    """Return payloads as SRTP makes them: uniform, by default with the 80-bit tag behind 20 ms of G.711."""
    rng = random.Random(seed)
    return [rng.randbytes(octets) for _ in range(count)]


def g729(count: int, octets: int = 20) -> list[bytes]:
    """G.729 with nothing to see but its parity bit, odd over the six high bits of P1 (ITU-T G.729 section 3.7.2)."""
    rng = random.Random(octets)

    def frame() -> bytes:
        bits = rng.getrandbits(80)
        parity = 1 ^ (bits >> 56 & 0x3F).bit_count() & 1
        return (bits & ~(1 << 53) | parity << 53).to_bytes(10)

    return [b"".join(frame() for _ in range((octets + 9) // 10))[:octets] for _ in range(count)]


@dataclass(frozen=True)
class Outcome:
    """What an engine said from its first packet to the end of the input."""

    records: list[Record]
    counters: dict[str, int]  # after the last packet, before the flows were ended
    after: dict[str, int]  # when all flows had ended

    def of(self, kind: type[Kind]) -> list[Kind]:
        """Return the records of one kind, in their order."""
        return [record for record in self.records if isinstance(record, kind)]

    @property
    def flow(self) -> FlowEnded:
        """The only flow."""
        (flow,) = self.of(FlowEnded)
        return flow

    @property
    def stream(self) -> StreamStats:
        """The only stream of the only flow."""
        (only,) = self.flow.streams
        return only

    @property
    def verdicts(self) -> list[tuple[str, int]]:
        """Protection and deciding packet of each verdict that is another; "undetermined" at the start left out."""
        return [
            (verdict.protection, verdict.packet)
            for verdict in self.of(Verdict)
            if verdict.protection not in {"undetermined", verdict.previous}
        ]

    @property
    def changes(self) -> list[tuple[str, str]]:
        """The changes of the only flow."""
        return [(change.before, change.after) for change in self.flow.changes]

    @property
    def reasons(self) -> dict[str, int]:
        """What became of the packets, without those that were classified."""
        return {name: count for name, count in account(self.counters).items() if count and name != "classified"}


def account(counters: dict[str, int]) -> dict[str, int]:
    """Return the part of the counters that the packet account is made of, "received" left out."""
    return {
        name: count
        for name, count in counters.items()
        if name == "classified" or name.startswith(("ignored.", "malformed.", "shed."))
    }


def new_engine(**options: Any) -> Engine:
    """Return an engine with the fixed secret, which says every SIP message too."""
    defaults: dict[str, Any] = {"secret": SECRET, "every_message": True}
    return Engine(**(defaults | options))


def finish(engine: Engine) -> list[Record]:
    """End the input and return the remaining records."""
    records = engine.drain()
    more = True
    while more:
        more = engine.finish()
        records += engine.drain()
    return records


def observe(packets: Iterable[Packet], *, budget: int = 1 << 20, **options: Any) -> Outcome:
    """Run an engine over packets to their end. The packet account must add up, and no octet may stay in reassembly."""
    engine = new_engine(**options)
    source = BufferSource(packets)
    records: list[Record] = []
    while (status := engine.process(source, budget)) == 1:
        records += engine.drain()
    assert (status, source.error) == (-1, "")
    counters = engine.counters()
    assert counters["received"] == sum(account(counters).values())
    records += finish(engine)
    after = engine.counters()
    assert (after["flows"], after["streams"], after["reassembly_bytes"]) == (0, 0, 0)
    return Outcome(records, counters, after)


def headers_only(octets: bytes, linktype: int) -> bytes | None:
    """What evidence keeps of a frame."""
    found = find_headers(octets, linktype)
    return None if found is None else octets[: found.octets + found.rtp_octets]
