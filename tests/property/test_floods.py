"""Floods: what an attacker sends takes no verdict from a call, and no more memory than was set apart."""

from __future__ import annotations

import heapq
import struct
from collections.abc import Callable, Iterator
from operator import itemgetter
from pathlib import Path

import pytest

from fastpath.records import FlowEnded
from fastpath.source import BufferSource
from tests.packets import T0, A, B, End, Packet, ethernet, new_engine, rtp, speech, stream, tcp, udp

COUNT = 400_000
STEP_NS = 10_000  # so that a flood lasts as long as the call
MIB = 1 << 20
ATTACKER = End("203.0.113.66", 6666)
CALL = stream(speech(200))


def five_tuples() -> Iterator[Packet]:
    frame = bytearray(ethernet(udp(bytes(20), ATTACKER, B)))
    for number in range(COUNT):
        struct.pack_into(">IHH", frame, 30, 0xC6336400 | number >> 16, 20000, 0)
        struct.pack_into(">HH", frame, 34, number & 0xFFFF, 20000 + (number >> 16))
        yield T0 + number * STEP_NS, bytes(frame)


def sources_of_media() -> Iterator[Packet]:
    # Synchronisation sources of one flow, and into the flow of the call itself.
    frame = bytearray(ethernet(udp(rtp(1, bytes(160)), A, B)))
    for number in range(COUNT):
        struct.pack_into(">I", frame, 50, number)
        yield T0 + number * STEP_NS, bytes(frame)


def fragments() -> Iterator[Packet]:
    frame = bytearray(ethernet(udp(bytes(160), ATTACKER, B)))
    for number in range(COUNT):
        struct.pack_into(">HH", frame, 18, number & 0xFFFF, 0x2000)
        yield T0 + number * STEP_NS, bytes(frame)


def holes() -> Iterator[Packet]:
    # Every second segment of connections to a SIP server is missing.
    for number in range(COUNT // 10):
        octets = tcp(
            b"INVITE sip:b SIP/2.0\r\n", ATTACKER._replace(port=number % 5000 + 1), End(B.ip, 5060), seq=number * 99
        )
        yield T0 + number * 10 * STEP_NS, ethernet(octets)


def resident() -> int:
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) * 1024


@pytest.mark.parametrize("flood", [five_tuples, sources_of_media, fragments, holes])
def test_flood_leaves_the_verdict_of_a_call_alone_and_memory_at_its_cap(flood: Callable[[], Iterator[Packet]]) -> None:
    alone, amid = new_engine(max_flows=4096, max_streams=4096), new_engine(max_flows=4096, max_streams=4096)
    alone.process(BufferSource(CALL))
    amid.process(BufferSource(CALL[:50]))  # the call was there first
    before = resident()
    source = BufferSource(heapq.merge(CALL[50:], flood(), key=itemgetter(0)))
    while amid.process(source) > 0:
        amid.drain()
    said = []
    for engine in (alone, amid):
        records = list(engine.drain())
        while engine.finish():
            records += engine.drain()
        records += engine.drain()
        found = [each for each in records if isinstance(each, FlowEnded) and (each.key.a, each.key.b) == (A.ip, B.ip)]
        said.append([stream for flow in found for stream in flow.streams if stream.packets == len(CALL)])
    assert len(said[0]) == 1
    assert [(each.protection, each.lost) for each in said[1]] == [(each.protection, each.lost) for each in said[0]]
    assert resident() - before < 64 * MIB
    counters = amid.counters()
    reasons = sum(count for name, count in counters.items() if name == "classified" or "." in name)
    assert counters["received"] == reasons > COUNT // 10
