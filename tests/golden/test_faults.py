"""Faults put into a capture: what they do not touch is judged as before, and the account adds up to the packet."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from fastpath.records import FlowEnded
from tests.live.lab import read_capture
from tests.packets import observe

CLINIC = Path(__file__).parents[2] / "deploy" / "demo" / "clinic.pcap"
FRAMES = read_capture(CLINIC)
Frames = list[tuple[int, bytes]]
Fault = Callable[[Frames, random.Random], Frames]
Hosts = frozenset[str]


def drop(frames: Frames, chance: random.Random) -> Frames:
    return [frame for frame in frames if chance.random() > 0.2]


def duplicate(frames: Frames, chance: random.Random) -> Frames:
    return [frame for each in frames for frame in [each] * (1 + (chance.random() < 0.3))]


def reorder(frames: Frames, chance: random.Random) -> Frames:
    moved = list(frames)
    for at in range(len(moved) - 1):
        if chance.random() < 0.2:
            (a, one), (b, other) = moved[at], moved[at + 1]
            moved[at], moved[at + 1] = (a, other), (b, one)
    return moved


def truncate(frames: Frames, chance: random.Random) -> Frames:
    return [(ts_ns, octets[: chance.randrange(len(octets) + 1)]) for ts_ns, octets in frames]


def flip(frames: Frames, chance: random.Random) -> Frames:
    def flipped(octets: bytes) -> bytes:
        at = chance.randrange((network(octets) + 20) * 8, len(octets) * 8)  # whose packet it is stays
        changed = bytearray(octets)
        changed[at // 8] ^= 1 << at % 8
        return bytes(changed)

    return [(ts_ns, flipped(octets) if hosts(octets) else octets) for ts_ns, octets in frames]


def verdicts(frames: Frames) -> dict[tuple[object, ...], list[tuple[object, ...]]]:
    """Return what is said of every flow, by its ends, after checking the account."""
    outcome = observe(list(frames))
    counters = outcome.counters
    reasons = sum(count for name, count in counters.items() if name == "classified" or "." in name)
    assert counters["received"] == len(frames) == reasons
    said: dict[tuple[object, ...], list[tuple[object, ...]]] = {}
    for flow in outcome.of(FlowEnded):
        key = flow.key
        ends = tuple(sorted(((key.a, key.a_port), (key.b, key.b_port))))
        said.setdefault((key.proto, *ends), []).append((flow.app, flow.protection, flow.packets, flow.streams))
    return said


def network(octets: bytes) -> int:
    """Return where the IP header begins in an Ethernet frame, tagged or not."""
    return 18 if octets[12:14] == b"\x81\0" else 14


def hosts(octets: bytes) -> Hosts:
    """Return the two hosts of an IPv4 packet, none of anything else."""
    at = network(octets)
    if octets[at - 2 : at] != b"\x08\0":
        return frozenset()
    return frozenset((".".join(map(str, octets[at + 12 : at + 16])), ".".join(map(str, octets[at + 16 : at + 20]))))


PAIRS = sorted({hosts(octets) for _, octets in FRAMES if hosts(octets)}, key=sorted)
BEFORE = verdicts(FRAMES)


@pytest.mark.parametrize("fault", [drop, duplicate, reorder, truncate, flip])
@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: "-".join(sorted(pair)))
def test_fault_between_two_hosts_changes_nothing_of_the_others(fault: Fault, pair: Hosts) -> None:
    chance = random.Random("-".join(sorted(pair)))
    mine = [frame for frame in FRAMES if hosts(frame[1]) == pair]
    others = [frame for frame in FRAMES if hosts(frame[1]) != pair]
    after = verdicts(sorted(others + fault(mine, chance), key=lambda frame: frame[0]))

    def is_other(ends: tuple[object, ...]) -> bool:
        return {end[0] for end in ends[1:] if isinstance(end, tuple)} != pair

    assert {ends: said for ends, said in after.items() if is_other(ends)} == {
        ends: said for ends, said in BEFORE.items() if is_other(ends)
    }


@pytest.mark.parametrize("fault", [drop, duplicate, reorder, truncate, flip])
@pytest.mark.parametrize("seed", range(4))
def test_fault_everywhere_keeps_the_account_and_makes_nothing_encrypted_that_was_clear(fault: Fault, seed: int) -> None:
    after = verdicts(sorted(fault(FRAMES, random.Random(seed)), key=lambda frame: frame[0]))
    for ends, said in BEFORE.items():
        if {each[1] for each in said if each[0] == "rtp"} == {"clear"}:
            assert "encrypted" not in {each[1] for each in after.get(ends, []) if each[0] == "rtp"}
