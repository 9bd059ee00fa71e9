"""Rings that divide an interface's packets: what the kernel's own machine makes of the program."""

import struct
from collections.abc import Iterator

import pytest

from fastpath.ring import RingSource
from fastpath.source import read_all
from sensor.capture.fanout import fanout_program
from tests.bpf import choice
from tests.live.lab import Mirror, Namespace, namespaces, wait_for
from tests.unit.sensor.tunnels import pairs, shapes

pytestmark = pytest.mark.live

RINGS = 3


@pytest.fixture
def namespace() -> Iterator[Namespace]:
    with namespaces("fanout") as (made,):
        yield made


@pytest.fixture
def mirror(namespace: Namespace) -> Iterator[Mirror]:
    made = Mirror(namespace)
    yield made
    made.close()


def rings_on(namespace: Namespace, interface: str = "span0", count: int = RINGS) -> list[RingSource]:
    """Open rings of one group in a namespace."""
    rings: list[RingSource] = []
    with namespace.entered():
        for _ in range(count):
            group = rings[0].fanout_group if rings else 0
            rings.append(
                RingSource(interface, blocks=4, block_size=1 << 18, poll_ms=20, fanout=(group, fanout_program()))
            )
    return rings


def received(rings: list[RingSource], count: int) -> list[list[bytes]]:
    """Return what each ring got, once there are ``count`` frames in all."""
    frames: list[list[bytes]] = [[] for _ in rings]

    def enough() -> bool:
        for ring, got in zip(rings, frames, strict=True):
            got.extend(packet[5] for packet in read_all(ring))
        return sum(map(len, frames)) >= count

    wait_for(enough, f"{count} packets")
    return frames


def test_kernel_chooses_as_the_program_says(namespace: Namespace, mirror: Mirror) -> None:
    rings = rings_on(namespace)
    frames = [frame for pair in pairs(8) for shape in shapes(*pair).values() for frame in shape]
    for frame in frames:
        mirror.send(frame)
    got = received(rings, len(frames))
    wanted: list[list[bytes]] = [[] for _ in rings]
    for frame in frames:
        wanted[choice(fanout_program(), frame, RINGS)].append(untagged(frame))
    assert [sorted(each) for each in got] == [sorted(each) for each in wanted]
    assert all(got)


def test_what_this_machine_sends_is_divided_alike(namespace: Namespace, mirror: Mirror) -> None:
    rings = rings_on(namespace)
    there = Mirror.__new__(Mirror)
    assert mirror.namespace is namespace
    import socket  # noqa: PLC0415

    with namespace.entered(), socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as own:
        own.bind(("span0", 0))
        frames = [frame for pair in pairs(8) for shape in shapes(*pair).values() for frame in shape]
        for frame in frames:
            own.send(frame)
    del there
    got = received(rings, len(frames))
    for number, each in enumerate(got):
        assert {choice(fanout_program(), frame, RINGS) for frame in each} <= {number}
    _ = struct
