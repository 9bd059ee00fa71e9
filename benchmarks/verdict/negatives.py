"""Traffic that begins like RTP and is none: how much of it is taken for RTP."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Executor
from types import MappingProxyType

from benchmarks.media import VARIANTS
from benchmarks.verdict.report import Limit, Row, rule_of_three
from benchmarks.verdict.sending import Listener
from fastpath.records import AppSeen
from fastpath.source import BufferSource

PACKETS = 30
STEP_NS = 20_000_000
FALSE_RTP = Limit(0, "0", "< 10^-9")


def _random(rng: random.Random) -> Iterator[bytes]:
    while True:
        yield rng.randbytes(rng.randrange(12, 400))


def _random_version_2(rng: random.Random) -> Iterator[bytes]:
    while True:
        yield bytes([0x80 | rng.getrandbits(6)]) + rng.randbytes(rng.randrange(12, 400))


def _quic_short(rng: random.Random) -> Iterator[bytes]:
    """RFC 9287: the fixed bit greased; a connection identifier of eight octets."""
    connection = rng.randbytes(8)
    while True:
        yield bytes([0x80 | rng.getrandbits(6)]) + connection + rng.randbytes(rng.randrange(20, 1200))


def _quic_long(rng: random.Random) -> Iterator[bytes]:
    head = b"\0\0\0\1\x08" + rng.randbytes(8) + b"\x08" + rng.randbytes(8)
    while True:
        yield bytes([0x80 | rng.getrandbits(6)]) + head + rng.randbytes(1100)


def _esp_in_udp(rng: random.Random) -> Iterator[bytes]:
    """RFC 3948: an SPI that does not change, then a sequence number."""
    spi = struct.pack(">I", 0x80000000 | rng.getrandbits(30))
    for number in range(1, 1 << 31):
        yield spi + struct.pack(">I", number) + rng.randbytes(rng.randrange(64, 200))


def _raknet(rng: random.Random) -> Iterator[bytes]:
    for number in range(1 << 24):
        yield bytes([0x84]) + struct.pack("<I", number)[:3] + b"\x60" + rng.randbytes(rng.randrange(20, 300))


def _kcp(rng: random.Random) -> Iterator[bytes]:
    conversation = struct.pack("<I", 0x80 | rng.getrandbits(32) << 8 & 0xFFFFFF00)
    for number in range(1 << 31):
        head = struct.pack("<BBHII", 81, 0, 128, number * 20, number)
        yield conversation + head + rng.randbytes(rng.randrange(20, 300))


def _srt_control(rng: random.Random) -> Iterator[bytes]:
    target = rng.randbytes(4)
    for number in range(1, 1 << 31):
        yield struct.pack(">HHII", 0x8002, 0, number, number * 10_000) + target + rng.randbytes(28)


def _dns(rng: random.Random) -> Iterator[bytes]:
    while True:
        head = struct.pack(">HHHHHH", 0x8000 | rng.getrandbits(14), rng.choice((0x0100, 0x8180)), 1, 0, 0, 0)
        yield head + bytes([7]) + rng.randbytes(7) + b"\x03com\0\0\1\0\1"


def _sctp_in_udp(rng: random.Random) -> Iterator[bytes]:
    head = struct.pack(">HH", 0x8000 | rng.getrandbits(14), 5000) + rng.randbytes(4)
    for number in range(1 << 31):
        yield head + rng.randbytes(4) + struct.pack(">BBHI", 0, 3, 80, number) + rng.randbytes(72)


KINDS: Mapping[str, Callable[[random.Random], Iterator[bytes]]] = MappingProxyType(
    {
        "random": _random,
        "random, version 2": _random_version_2,
        "QUIC, greased, short": _quic_short,
        "QUIC, greased, long": _quic_long,
        "ESP in UDP": _esp_in_udp,
        "RakNet": _raknet,
        "KCP": _kcp,
        "SRT control": _srt_control,
        "DNS": _dns,
        "SCTP in UDP": _sctp_in_udp,
    }
)


def hear(kind: str, flows: int, seed: int) -> int:
    """Send flows of one kind; return how many were taken for RTP."""
    listener = Listener()
    taken = set()

    def frames() -> Iterator[tuple[int, bytes]]:
        for flow in range(flows):
            sender = listener.sender(VARIANTS[0])
            made = KINDS[kind](random.Random(f"{seed} {kind} {flow}"))
            for _ in range(PACKETS):
                listener.now_ns += STEP_NS
                yield listener.now_ns, sender.frame(next(made))

    source = BufferSource(frames())
    more = 1
    while more == 1:
        more = listener.engine.process(source)
        taken |= {seen.flow for seen in listener.engine.drain() if isinstance(seen, AppSeen) and seen.app == "rtp"}
    return len(taken)


def rows(pool: Executor, flows: int, seed: int) -> Iterator[Row]:
    """Yield how many flows of something else were taken for RTP."""
    taken = dict(zip(KINDS, pool.map(hear, KINDS, [flows] * len(KINDS), [seed] * len(KINDS)), strict=True))
    total = flows * len(KINDS)
    wrong = {kind: count for kind, count in taken.items() if count}
    seen = f"{sum(taken.values())} of {total:,} flows of {len(KINDS)} kinds ({rule_of_three(total)})"
    yield Row("false RTP", f"{seen} {wrong or ''}", FALSE_RTP, len(wrong))
