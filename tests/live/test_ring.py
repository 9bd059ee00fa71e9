"""The receive ring on real interfaces: veth pairs in namespaces of the test's own."""

import re
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from fastpath.ring import RingSource
from fastpath.source import read_all, skip
from sensor.capture import CaptureError, compile_filter, open_ring
from sensor.config.schema import Capture
from tests.live.lab import ROOT, Mirror, Namespace, namespaces, wait_for

pytestmark = pytest.mark.live

Packet = tuple[int, int, int, int, int, bytes]
WITHOUT_CAPABILITIES = ("setpriv", "--bounding-set=-all", "--inh-caps=-all", "--ambient-caps=-all")


@pytest.fixture
def namespace() -> Iterator[Namespace]:
    with namespaces("ring") as (made,):
        yield made


@pytest.fixture
def mirror(namespace: Namespace) -> Iterator[Mirror]:
    made = Mirror(namespace)
    yield made
    made.close()


def udp(payload: bytes, *, port: int = 5060, tags: bytes = b"") -> bytes:
    """Return an Ethernet frame with UDP in IPv4; checksums are left out."""
    datagram = struct.pack(">HHHH", 40000, port, 8 + len(payload), 0) + payload
    ip = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 20 + len(datagram), 0, 0, 64, 17, 0, b"\x0a\0\0\1", b"\x0a\0\0\2")
    return b"\x02\0\0\0\0\2" + b"\x02\0\0\0\0\1" + tags + b"\x08\0" + ip + datagram


def ring_on(namespace: Namespace, interface: str = "span0", **options: object) -> RingSource:
    """Open a ring in a namespace."""
    with namespace.entered():
        return RingSource(interface, **options)  # type: ignore[arg-type]


def receive(ring: RingSource, count: int = 1) -> list[Packet]:
    """Return packets as they come, at least ``count``."""
    packets: list[Packet] = []

    def enough() -> bool:
        packets.extend(read_all(ring))
        return len(packets) >= count

    wait_for(enough, f"{count} packets")
    return packets


def first_to_arrive(ring: RingSource, mirror: Mirror, frame: bytes) -> bytes:
    """Send a frame until one arrives: an interface that has just come up may still swallow what is sent."""

    def arrived() -> list[Packet]:
        mirror.send(frame)
        return read_all(ring)

    return wait_for(arrived, "a packet")[0][5]


def test_packet_arrives_whole_at_its_time(namespace: Namespace, mirror: Mirror) -> None:
    ring = ring_on(namespace)
    frame = udp(b"x" * 172)
    before = time.time_ns()
    mirror.send(frame)
    ((ts_ns, caplen, wirelen, linktype, vlan_tci, octets),) = receive(ring)
    assert before <= ts_ns <= time.time_ns()
    assert (caplen, wirelen, linktype, vlan_tci, octets) == (len(frame), len(frame), 1, 0, frame)
    assert (ring.link, ring.timestamps, ring.error, ring.packets) == ("up", "software", "", 1)
    assert (ring.kernel_packets, ring.kernel_drops) == (1, 0)


def test_vlan_tag_comes_from_the_ring_header(namespace: Namespace, mirror: Mirror) -> None:
    ring = ring_on(namespace)
    mirror.send(udp(b"voice", tags=b"\x81\0\xa0\x64"))
    mirror.send(udp(b"voice", tags=b"\x88\xa8\0\7\x81\0\xa0\x64"))
    mirror.send(udp(b"voice"))
    tagged, stacked, untagged = receive(ring, 3)
    assert tagged[4:] == (0xA064, udp(b"voice"))
    assert stacked[4:] == (7, udp(b"voice", tags=b"\x81\0\xa0\x64"))
    assert untagged[4:] == (0, udp(b"voice"))


def test_filter_lets_in_what_it_names(namespace: Namespace, mirror: Mirror) -> None:
    ring = ring_on(namespace, bpf=compile_filter("udp port 5061"))
    mirror.send(udp(b"not this"))
    mirror.send(udp(b"this", port=5061))
    assert [packet[5] for packet in receive(ring)] == [udp(b"this", port=5061)]
    assert ring.kernel_packets == 1


def test_filter_on_vlan_is_refused_as_it_could_not_match(namespace: Namespace, mirror: Mirror) -> None:
    with namespace.entered(), pytest.raises(CaptureError, match="takes the tag off"):
        open_ring("span0", Capture(filter="vlan 100 and udp"))
    assert mirror.namespace is namespace


def test_own_packets_are_seen_unless_they_are_ignored(namespace: Namespace, mirror: Mirror) -> None:
    seeing, ignoring = ring_on(namespace), ring_on(namespace, ignore_outgoing=True)
    with namespace.entered(), socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as own:
        own.bind(("span0", 0))
        own.send(udp(b"sent"))
    mirror.send(udp(b"received"))
    assert [packet[5] for packet in receive(seeing, 2)] == [udp(b"sent"), udp(b"received")]
    assert [packet[5] for packet in receive(ignoring)] == [udp(b"received")]


def test_loopback_packet_is_seen_once(namespace: Namespace) -> None:
    ring = ring_on(namespace, "lo")
    with namespace.entered(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for number in range(3):
            sender.sendto(b"voice %d" % number, ("127.0.0.1", 40000))
        ring.stop()
    # A closed port answers by ICMP, which quotes the datagram.
    datagrams = [packet[5] for packet in receive(ring, 6) if packet[5][23] == socket.IPPROTO_UDP]
    assert [octets[-7:] for octets in datagrams] == [b"voice 0", b"voice 1", b"voice 2"]


def test_tunnel_gives_packets_without_link_header(namespace: Namespace) -> None:
    namespace.ip("tuntap", "add", "tun0", "mode", "tun")
    try:
        ring = ring_on(namespace, "tun0")
    except OSError as error:
        pytest.fail(str(error))
    assert ring.link == "down"


# The interface goes and comes.


def test_interface_down_and_up_is_survived(namespace: Namespace, mirror: Mirror) -> None:
    ring = ring_on(namespace, poll_ms=20)
    mirror.set_state("span0", "down")
    assert read_all(ring) == []
    assert ring.link == "down"
    assert read_all(ring) == []
    mirror.set_state("span0", "up")
    assert first_to_arrive(ring, mirror, udp(b"again")) == udp(b"again")
    assert (ring.link, ring.error) == ("up", "")


def test_carrier_lost_and_back_is_seen_without_a_packet(namespace: Namespace, mirror: Mirror) -> None:
    ring = ring_on(namespace, poll_ms=20)
    mirror.set_state("feed0", "down")
    assert read_all(ring) == []
    assert ring.link == "down"
    mirror.set_state("feed0", "up")
    wait_for(lambda: read_all(ring) or ring.link == "up", "the link")


def test_interface_down_at_the_start_is_waited_for(namespace: Namespace, mirror: Mirror) -> None:
    mirror.set_state("span0", "down")
    ring = ring_on(namespace, poll_ms=20)
    assert ring.link == "down"
    assert read_all(ring) == []
    mirror.set_state("span0", "up")
    assert first_to_arrive(ring, mirror, udp(b"first")) == udp(b"first")


def test_interface_deleted_and_made_again_is_survived(namespace: Namespace, mirror: Mirror) -> None:
    ring = ring_on(namespace, poll_ms=20)
    mirror.send(udp(b"before"))
    assert receive(ring)[0][5] == udp(b"before")
    namespace.ip("link", "del", "span0")
    assert read_all(ring) == []
    assert ring.link == "gone"
    assert read_all(ring) == []
    again = Mirror(namespace)
    wait_for(lambda: read_all(ring) or ring.link == "up", "the link")
    assert first_to_arrive(ring, again, udp(b"after")) == udp(b"after")
    assert promiscuity(namespace, "span0") == 1
    assert ring.kernel_packets == ring.packets
    again.close()


def test_interface_replaced_between_two_reads_is_survived(namespace: Namespace, mirror: Mirror) -> None:
    ring = ring_on(namespace, poll_ms=20)
    namespace.ip("link", "del", "span0")
    again = Mirror(namespace)
    assert mirror.namespace is namespace
    read_all(ring)
    assert first_to_arrive(ring, again, udp(b"after")) == udp(b"after")
    again.close()


def test_renamed_interface_is_kept(namespace: Namespace, mirror: Mirror) -> None:
    ring = ring_on(namespace, poll_ms=20)
    namespace.ip("link", "set", "span0", "name", "span9")
    read_all(ring)
    assert (ring.link, ring.name, ring.interface) == ("up", "span9", "span0")
    assert first_to_arrive(ring, mirror, udp(b"after")) == udp(b"after")


def promiscuity(namespace: Namespace, interface: str) -> int:
    """Return how many ask the interface to be promiscuous."""
    command = namespace.command("ip", "-d", "link", "show", interface)
    shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    found = re.search(r"promiscuity (\d+)", shown)
    assert found
    return int(found[1])


@pytest.mark.parametrize("promiscuous", [True, False])
def test_promiscuous_mode_lasts_as_long_as_the_ring(namespace: Namespace, mirror: Mirror, promiscuous: bool) -> None:
    ring = ring_on(namespace, promiscuous=promiscuous)
    assert promiscuity(namespace, "span0") == int(promiscuous)
    del ring
    assert promiscuity(namespace, "span0") == 0
    assert mirror.namespace is namespace


# A socket that it is handed, without any capability.

WITHOUT_RIGHTS = """
import sys
from fastpath.ring import RingSource
from fastpath.source import read_all
assert "CapEff:\\t0000000000000000" in open("/proc/self/status").read()
ring = RingSource("span0", descriptor=int(sys.argv[1]), bpf=bytes.fromhex(sys.argv[2]), poll_ms=20)
for line in sys.stdin:
    packets = read_all(ring)
    print(ring.link, *(packet[5].hex() for packet in packets), flush=True)
"""


def test_handed_in_socket_needs_no_capability(namespace: Namespace, mirror: Mirror) -> None:
    with namespace.entered(), socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as opened:
        descriptor = opened.fileno()
        command = [*WITHOUT_CAPABILITIES, sys.executable, "-c", WITHOUT_RIGHTS]
        process = subprocess.Popen(
            [*command, str(descriptor), compile_filter("udp").hex()],
            cwd=ROOT,
            pass_fds=(descriptor,),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def ask() -> list[str]:
        assert process.stdin
        assert process.stdout
        print("?", file=process.stdin, flush=True)
        return process.stdout.readline().split()

    with process:
        assert ask() == ["up"]
        wait_for(lambda: mirror.send(udp(b"handed in")) and udp(b"handed in").hex() in ask(), "a packet")
        namespace.ip("link", "del", "span0")
        wait_for(lambda: ask() == ["gone"], "the interface to go")
        again = Mirror(namespace)
        wait_for(lambda: again.send(udp(b"made again")) and ask() == ["up", udp(b"made again").hex()], "a packet")
        again.close()
        assert process.stdin
        process.stdin.close()
    assert process.returncode == 0


def test_no_permission_says_what_to_do() -> None:
    script = "import sensor.capture as c, sensor.config.schema as s; c.open_ring('lo', s.Capture())"
    command = [*WITHOUT_CAPABILITIES, sys.executable, "-c", script]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.stderr.splitlines()[-1].endswith("lo: no permission to capture; run as root or with CAP_NET_RAW")


def test_missing_interface_is_named_with_those_there_are(namespace: Namespace) -> None:
    with namespace.entered(), pytest.raises(CaptureError, match=r"span7: no such interface; there are: lo$"):
        open_ring("span7", Capture())


def test_interface_name_that_cannot_be_is_no_interface() -> None:
    with pytest.raises(CaptureError, match="no such interface"):
        open_ring("much-too-long-for-a-name", Capture())


def test_descriptor_of_something_else_is_refused() -> None:
    with socket.socket() as other, pytest.raises(OSError, match="ring"):
        RingSource("lo", descriptor=other.fileno())


def test_filter_of_broken_instructions_is_refused() -> None:
    with pytest.raises(OSError, match="filter"):
        RingSource("lo", bpf=bytes(8))
    with pytest.raises(ValueError, match="sock_filter"):
        RingSource("lo", bpf=bytes(7))


# Counts, and the end.


def test_kernel_drops_accumulate_over_readings(namespace: Namespace, mirror: Mirror) -> None:
    ring = ring_on(namespace, blocks=2, block_size=1 << 16)
    counts = []
    for burst in (2000, 3000):
        for _ in range(burst):
            mirror.send(udp(b"x" * 172))
        counts.append((ring.kernel_packets, ring.kernel_drops))
    assert [packets for packets, _ in counts] == [2000, 5000]
    assert 0 < counts[0][1] < counts[1][1] == ring.kernel_drops
    ring.stop()
    assert skip(ring) + ring.kernel_drops == 5000


def test_block_stays_until_all_of_it_was_taken(namespace: Namespace, mirror: Mirror) -> None:
    ring = ring_on(namespace, blocks=2, block_size=1 << 16)
    frames = [udp(struct.pack("I", number) * 43) for number in range(400)]
    for frame in frames:
        mirror.send(frame)
    ring.stop()
    taken = [packet[5] for _ in range(400) for packet in read_all(ring, 1)]
    assert taken == frames[: len(taken)]
    assert len(taken) == 400 - ring.kernel_drops


def test_stop_hands_out_what_came_before_it_and_nothing_after(namespace: Namespace, mirror: Mirror) -> None:
    ring = ring_on(namespace, retire_ms=100)
    mirror.send(udp(b"before"))
    ring.stop()
    packets = read_all(ring)
    mirror.send(udp(b"after"))
    assert [packet[5] for packet in packets] == [udp(b"before")]
    assert read_all(ring) == []
    assert ring.error == ""


@pytest.mark.parametrize("how", ["stop", "wake"])
def test_waiting_reader_returns_at_once(namespace: Namespace, mirror: Mirror, how: str) -> None:
    ring = ring_on(namespace, poll_ms=60_000)
    reader = threading.Thread(target=skip, args=(ring,))
    reader.start()
    time.sleep(0.1)
    assert (ring.kernel_packets, ring.link) == (0, "up")
    began = time.monotonic()
    getattr(ring, how)()
    reader.join()
    assert time.monotonic() - began < 1
    assert mirror.namespace is namespace


def sent_beside(command: list[str], work: Callable[[], object]) -> tuple[int, float]:
    """Run a sender, and ``work`` again and again until it ends; return its packets and its packets a second."""
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as sender:
        while sender.poll() is None:
            work()
        assert sender.stdout
        words = sender.stdout.read().split()  # "2500000 packets in 5.00 s, 500000 packets/s"
    return int(words[0]), float(words[-2])


def test_half_a_million_packets_a_second_or_what_the_machine_sends_arrive_without_loss(
    namespace: Namespace, mirror: Mirror
) -> None:
    rate, seconds, tries = 500_000, 5, 3
    assert mirror.namespace is namespace
    command = namespace.command(sys.executable, "-m", "benchmarks.sender", "feed0", str(rate), str(seconds))
    unheard = sent_beside(command, lambda: time.sleep(0.01))[1]
    ring = ring_on(namespace)
    reached = 0.0
    for _ in range(tries):
        before = ring.packets
        sent, heard = sent_beside(command, lambda: skip(ring))
        skip(ring)
        assert ring.packets - before == sent == rate * seconds
        assert ring.kernel_drops == 0
        reached = max(reached, heard)
        if reached > 0.95 * rate:
            break
    # The sender writes into the ring in its own time: with a ring it is slower, but not by half.
    assert reached > 0.5 * unheard
