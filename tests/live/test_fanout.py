"""Rings that divide an interface's packets: what the kernel's own machine makes of the program."""

import socket
from collections.abc import Iterator

import pytest

from fastpath.ring import RingSource
from fastpath.source import read_all
from sensor.capture import compile_filter
from sensor.capture.fanout import fanout_program
from tests.bpf import VLANS, choice
from tests.live.lab import Mirror, Namespace, namespaces, wait_for
from tests.mirrored import pairs, shapes
from tests.packets import ethernet, tcp, udp

pytestmark = pytest.mark.live

RINGS = 3
PROGRAM = fanout_program()
FRAMES = [each for pair in pairs(12) for shape in shapes(*pair).values() for each in shape]


@pytest.fixture
def namespace() -> Iterator[Namespace]:
    with namespaces("fanout") as (made,):
        yield made


@pytest.fixture
def mirror(namespace: Namespace) -> Iterator[Mirror]:
    made = Mirror(namespace)
    yield made
    made.close()


def rings_on(namespace: Namespace, interface: str = "span0") -> list[RingSource]:
    """Return the rings of a group in a namespace, all of which let packets in."""
    rings = closed_rings_on(namespace, interface)
    for ring in rings:
        ring.admit()
    return rings


def closed_rings_on(namespace: Namespace, interface: str = "span0") -> list[RingSource]:
    """Open the rings of a group in a namespace."""
    rings: list[RingSource] = []
    with namespace.entered():
        for _ in range(RINGS):
            fanout = (rings[0].fanout_group if rings else -1, PROGRAM)
            rings.append(RingSource(interface, blocks=32, block_size=1 << 18, poll_ms=20, fanout=fanout))
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


def untagged(frame: bytes) -> bytes:
    """Return a frame as the ring has it: the kernel puts an outer tag into the ring's header."""
    return frame[:12] + frame[16:] if int.from_bytes(frame[12:14]) in VLANS else frame


def test_kernel_chooses_as_the_program_says(namespace: Namespace, mirror: Mirror) -> None:
    rings = rings_on(namespace)
    for frame in FRAMES:
        mirror.send(frame)
    got = received(rings, len(FRAMES))
    wanted: list[list[bytes]] = [[] for _ in rings]
    for frame in FRAMES:
        wanted[choice(PROGRAM, frame, RINGS)].append(untagged(frame))
    assert [sorted(each) for each in got] == [sorted(each) for each in wanted]
    assert all(got)
    assert sum(ring.kernel_packets for ring in rings) == len(FRAMES)


@pytest.mark.parametrize("text", ["", "udp"])
def test_nothing_comes_in_before_all_have_joined(namespace: Namespace, mirror: Mirror, text: str) -> None:
    rings: list[RingSource] = []
    bpf = compile_filter(text)
    frame = ethernet(udp(b"voice"))
    for _ in range(RINGS):
        with namespace.entered():
            fanout = (rings[0].fanout_group if rings else -1, PROGRAM)
            rings.append(RingSource("span0", blocks=4, poll_ms=20, bpf=bpf, fanout=fanout))
        mirror.send(frame)
    for ring in rings:
        ring.admit()
    mirror.send(frame)
    mirror.send(ethernet(tcp(b"")))
    received(rings, 1 if text else 2)
    assert sum(ring.kernel_packets for ring in rings) == (1 if text else 2)


def test_stopped_ring_stays_closed(namespace: Namespace, mirror: Mirror) -> None:
    rings = rings_on(namespace)
    for ring in rings:
        ring.stop()
        assert read_all(ring) == []
        ring.admit()
    mirror.send(FRAMES[0])
    assert sum(ring.kernel_packets for ring in rings) == 0


def test_what_this_machine_sends_goes_where_its_answers_go(namespace: Namespace, mirror: Mirror) -> None:
    rings = rings_on(namespace)
    assert mirror.namespace is namespace
    with namespace.entered(), socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as own:
        own.bind(("span0", 0))
        frames = [frame for frame in FRAMES if int.from_bytes(frame[12:14]) not in VLANS]
        for frame in frames:
            own.send(frame)
    for number, got in enumerate(received(rings, len(frames))):
        assert {choice(PROGRAM, frame, RINGS) for frame in got} == {number}


def test_loopback_packet_is_seen_once(namespace: Namespace) -> None:
    rings = rings_on(namespace, "lo")
    with namespace.entered(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for number in range(20):
            sender.sendto(b"voice %d" % number, (f"127.0.0.{number + 1}", 40000))
        for ring in rings:
            ring.stop()
    # A closed port answers by ICMP, which quotes the datagram.
    got = received(rings, 40)
    datagrams = [frame[42:] for each in got for frame in each if frame[23] == socket.IPPROTO_UDP]
    assert sorted(datagrams) == sorted(b"voice %d" % number for number in range(20))


def test_two_sensors_on_one_interface_have_groups_of_their_own(namespace: Namespace, mirror: Mirror) -> None:
    one, other = rings_on(namespace), rings_on(namespace)
    assert one[0].fanout_group != other[0].fanout_group
    for frame in FRAMES:
        mirror.send(frame)
    for rings in (one, other):
        received(rings, len(FRAMES))
        assert sum(ring.packets for ring in rings) == len(FRAMES)


def test_interface_down_and_up_is_survived(namespace: Namespace, mirror: Mirror) -> None:
    rings = rings_on(namespace)
    mirror.set_state("span0", "down")
    for ring in rings:
        read_all(ring)
        assert ring.link == "down"
    mirror.set_state("span0", "up")

    def arrived() -> bool:
        mirror.send(FRAMES[0])
        return any(read_all(ring) for ring in rings)

    wait_for(arrived, "a packet")
    assert not any(ring.error for ring in rings)


def test_interface_that_is_down_at_the_start_is_refused(namespace: Namespace, mirror: Mirror) -> None:
    mirror.set_state("span0", "down")
    with pytest.raises(OSError, match="Network is down"):
        rings_on(namespace)


def test_interface_deleted_and_made_again_is_an_error(namespace: Namespace, mirror: Mirror) -> None:
    rings = rings_on(namespace)
    namespace.ip("link", "del", "span0")
    for ring in rings:
        read_all(ring)
        assert (ring.link, ring.error) == ("gone", "")
    again = Mirror(namespace)
    for ring in rings:
        assert read_all(ring) == []
        assert "has its name now" in ring.error
    again.close()
    mirror.close()


def test_program_and_group_that_cannot_be_are_refused() -> None:
    for fanout in ((-2, PROGRAM), (1 << 16, PROGRAM), (-1, b""), (-1, bytes(7))):
        with pytest.raises(ValueError, match="fanout"):
            RingSource("lo", blocks=1, fanout=fanout)
    with pytest.raises(OSError, match="program"):
        RingSource("lo", blocks=1, fanout=(-1, bytes(8)))


def test_group_of_number_zero_is_a_group_like_any_other(namespace: Namespace, mirror: Mirror) -> None:
    """The kernel counts new groups up: the first one after it was booted, and every 65,536th, is 0."""
    with namespace.entered():
        rings = [RingSource("span0", blocks=32, block_size=1 << 18, poll_ms=20, fanout=(0, PROGRAM)) for _ in range(2)]
    assert {ring.fanout_group for ring in rings} == {0}
    for ring in rings:
        ring.admit()
    for frame in FRAMES:
        mirror.send(frame)
    assert sum(map(len, received(rings, len(FRAMES)))) == len(FRAMES)
