"""Capture files and packets in memory: what is read, and how far when the file is broken."""

import itertools
import os
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastpath.source import BufferSource, MappedFile, OfflineSource, PcapFile, PcapngFile, read_all, skip

ETHERNET = 1
RAW = 101
SLL2 = 276
S = 1_000_000_000
ENDIANS: tuple[Literal["<", ">"], ...] = ("<", ">")


class Packet(NamedTuple):
    """A packet as the files below hold it."""

    ts_ns: int
    octets: bytes
    wirelen: int
    linktype: int = ETHERNET


PACKETS = (
    Packet(1_700_000_000 * S + 1_000, b"\x01" * 60, 60),
    Packet(1_700_000_000 * S + 2_000, b"\x02" * 61, 1500),  # cut by the snap length, and of odd length
    Packet(1_700_000_001 * S, b"", 0),
    Packet(1_700_000_002 * S + 999_999_000, b"\x03" * 214, 214),
)


def tuples(source: OfflineSource) -> list[Packet]:
    """Return all packets of a source; the lengths it gives have to fit them."""
    packets = read_all(source)
    assert all(caplen == len(octets) <= wirelen for _, caplen, wirelen, _, _, octets in packets)
    assert source.packets == len(packets)
    return [Packet(ts_ns, octets, wirelen, linktype) for ts_ns, _, wirelen, linktype, _, octets in packets]


# Classic pcap, as draft-ietf-opsawg-pcap has it.


def pcap(packets: tuple[Packet, ...] = PACKETS, *, endian: str = "<", nano: bool = False, linktype: int = 1) -> bytes:
    """Return a pcap file."""
    unit = 1 if nano else 1000
    magic = 0xA1B23C4D if nano else 0xA1B2C3D4
    header = struct.pack(f"{endian}IHHiIII", magic, 2, 4, 0, 0, 65535, linktype)
    records = (
        struct.pack(f"{endian}IIII", p.ts_ns // S, p.ts_ns % S // unit, len(p.octets), p.wirelen) + p.octets
        for p in packets
    )
    return header + b"".join(records)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "capture"


def write(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("endian", ENDIANS)
@pytest.mark.parametrize("nano", [False, True])
def test_pcap_of_every_magic_is_read(path: Path, endian: str, nano: bool) -> None:
    source = PcapFile(write(path, pcap(endian=endian, nano=nano)))
    assert tuples(source) == list(PACKETS)
    assert (source.truncated, source.note, source.error) == (False, "", "")
    assert source.position == source.size == path.stat().st_size


def test_pcap_nanoseconds_are_exact(path: Path) -> None:
    packet = Packet(1_700_000_000 * S + 123_456_789, b"\x00" * 20, 20)
    assert tuples(PcapFile(write(path, pcap((packet,), nano=True)))) == [packet]


def test_pcap_link_type_is_read_without_the_frame_check_bits(path: Path) -> None:
    assert PcapFile(write(path, pcap(linktype=0x5400_0000 | SLL2))).linktype == SLL2


def test_pcap_wire_length_below_captured_length_is_raised_to_it(path: Path) -> None:
    (packet,) = tuples(PcapFile(write(path, pcap((Packet(0, b"\x00" * 40, 20),)))))
    assert packet.wirelen == 40


def test_pcap_without_a_packet_has_no_packet(path: Path) -> None:
    source = PcapFile(write(path, pcap(())))
    assert tuples(source) == []
    assert not source.truncated


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "empty"),
        (pcap()[:23], "shorter than its header"),
        (b"\x00" * 24, "magic"),
        (pcap()[:4] + b"\x02\x00\x03\x00" + pcap()[8:], "version 2.4"),
    ],
)
def test_file_that_is_no_pcap_is_refused(path: Path, content: bytes, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        PcapFile(write(path, content))


@pytest.mark.parametrize("kind", [PcapFile, PcapngFile])
def test_missing_file_is_refused(path: Path, kind: type[MappedFile]) -> None:
    with pytest.raises(FileNotFoundError):
        kind(path)


@pytest.mark.parametrize("kind", [PcapFile, PcapngFile])
def test_directory_is_refused(tmp_path: Path, kind: type[MappedFile]) -> None:
    with pytest.raises(ValueError, match="not a regular file"):
        kind(tmp_path)


def test_pcap_packet_of_the_largest_length_is_read(path: Path) -> None:
    packet = Packet(0, bytes(262_144), 262_144)
    assert tuples(PcapFile(write(path, pcap((packet,))))) == [packet]


def test_pcap_packet_of_an_impossible_length_ends_the_file(path: Path) -> None:
    source = PcapFile(write(path, pcap((PACKETS[0], Packet(0, bytes(262_145), 262_145), PACKETS[0]))))
    assert tuples(source) == [PACKETS[0]]
    assert source.truncated
    assert source.note == f"a record claims an impossible packet length (octet 100 of {source.size})"


# pcapng, as draft-ietf-opsawg-pcapng has it.


class Pcapng:
    """Writes pcapng blocks of one byte order."""

    def __init__(self, endian: str = "<") -> None:
        self.endian = endian

    def block(self, kind: int, body: bytes) -> bytes:
        """Return a block: section 3.1."""
        body += bytes(-len(body) % 4)
        length = struct.pack(f"{self.endian}I", len(body) + 12)
        return struct.pack(f"{self.endian}I", kind) + length + body + length

    def section(self, version: int = 1) -> bytes:
        """Return a section header: section 4.1."""
        return self.block(0x0A0D0D0A, struct.pack(f"{self.endian}IHHq", 0x1A2B3C4D, version, 0, -1))

    def interface(
        self, linktype: int = ETHERNET, *, resolution: int | None = None, offset_s: int | None = None, snaplen: int = 0
    ) -> bytes:
        """Return an interface description: section 4.2."""
        options = struct.pack(f"{self.endian}HH", 2, 5) + b"eth0\0\0\0\0"
        if resolution is not None:
            options += struct.pack(f"{self.endian}HHB3x", 9, 1, resolution)
        if offset_s is not None:
            options += struct.pack(f"{self.endian}HHq", 14, 8, offset_s)
        options += bytes(4)
        return self.block(1, struct.pack(f"{self.endian}HHI", linktype, 0, snaplen) + options)

    def enhanced(self, packet: Packet, *, interface: int = 0, units: int | None = None) -> bytes:
        """Return an enhanced packet block: section 4.3."""
        units = packet.ts_ns // 1000 if units is None else units
        fields = (interface, units >> 32, units & 0xFFFF_FFFF, len(packet.octets), packet.wirelen)
        padded = packet.octets + bytes(-len(packet.octets) % 4)
        return self.block(6, struct.pack(f"{self.endian}IIIII", *fields) + padded + struct.pack("I", 0))

    def simple(self, packet: Packet) -> bytes:
        """Return a simple packet block: section 4.4."""
        return self.block(3, struct.pack(f"{self.endian}I", packet.wirelen) + packet.octets)

    def obsolete(self, packet: Packet, *, interface: int = 0) -> bytes:
        """Return an obsolete packet block: appendix A."""
        units = packet.ts_ns // 1000
        fields = (interface, 7, units >> 32, units & 0xFFFF_FFFF, len(packet.octets), packet.wirelen)
        return self.block(2, struct.pack(f"{self.endian}HHIIII", *fields) + packet.octets)

    def file(self, packets: tuple[Packet, ...] = PACKETS) -> bytes:
        """Return a whole file of one section and one interface."""
        return self.section() + self.interface() + b"".join(map(self.enhanced, packets))


@pytest.mark.parametrize("endian", ENDIANS)
def test_pcapng_of_either_byte_order_is_read(path: Path, endian: str) -> None:
    source = PcapngFile(write(path, Pcapng(endian).file()))
    assert tuples(source) == list(PACKETS)
    assert (source.truncated, source.note, source.error) == (False, "", "")
    assert source.position == source.size == path.stat().st_size


@pytest.mark.parametrize(
    ("resolution", "units", "ts_ns"),
    [
        (None, 1_700_000_000_000_001, 1_700_000_000_000_001_000),
        (0, 1_700_000_000, 1_700_000_000 * S),
        (3, 1_700_000_000_001, 1_700_000_000_001_000_000),
        (9, 1_700_000_000_123_456_789, 1_700_000_000_123_456_789),
        (10, 17_000_000_001_234_567_899, 1_700_000_000_123_456_789),
        (12, 1_700_000_999, 1_700_000),
        (28, 2**64 - 1, 1),
        (29, 2**64 - 1, 0),
        (127, 2**64 - 1, 0),
        (0x80 | 0, 1_700_000_000, 1_700_000_000 * S),
        (0x80 | 10, 1_700_000_000 << 10 | 512, 1_700_000_000 * S + S // 2),
        (0x80 | 32, 1_700_000_000 << 32 | 1 << 31, 1_700_000_000 * S + S // 2),
        (0x80 | 63, 3 << 62, 1_500_000_000),
        (0x80 | 127, 2**64 - 1, 0),
    ],
)
def test_pcapng_time_is_read_in_its_resolution(path: Path, resolution: int | None, units: int, ts_ns: int) -> None:
    ng = Pcapng()
    content = ng.section() + ng.interface(resolution=resolution) + ng.enhanced(PACKETS[0], units=units)
    (packet,) = tuples(PcapngFile(write(path, content)))
    assert packet.ts_ns == ts_ns


@pytest.mark.parametrize(
    ("offset_s", "ts_ns"),
    [(1_700_000_000, 1_700_000_005 * S), (-5, 0), (-6, 0), (2**63 - 1, 2**63 - 1), (-(2**63), 0)],
)
def test_pcapng_time_offset_is_added_within_63_bits(path: Path, offset_s: int, ts_ns: int) -> None:
    ng = Pcapng()
    content = ng.section() + ng.interface(offset_s=offset_s) + ng.enhanced(PACKETS[0], units=5_000_000)
    (packet,) = tuples(PcapngFile(write(path, content)))
    assert packet.ts_ns == ts_ns


def test_pcapng_several_interfaces_keep_their_own_link_type_and_resolution(path: Path) -> None:
    ng = Pcapng()
    content = (
        ng.section()
        + ng.interface(ETHERNET)
        + ng.enhanced(PACKETS[0])
        + ng.interface(RAW, resolution=9)
        + ng.enhanced(PACKETS[1], interface=1, units=PACKETS[1].ts_ns)
        + ng.interface(SLL2, resolution=0x80 | 20)
        + ng.enhanced(PACKETS[3], interface=2, units=7 << 20)
        + ng.enhanced(PACKETS[2], interface=0)
    )
    assert tuples(PcapngFile(write(path, content))) == [
        PACKETS[0],
        PACKETS[1]._replace(linktype=RAW),
        PACKETS[3]._replace(linktype=SLL2, ts_ns=7 * S),
        PACKETS[2],
    ]


def test_pcapng_sections_number_their_interfaces_anew_in_their_own_byte_order(path: Path) -> None:
    little, big = Pcapng("<"), Pcapng(">")
    content = little.file(PACKETS[:1]) + big.section() + big.interface(RAW) + big.enhanced(PACKETS[1]) + little.file()
    expected = [PACKETS[0], PACKETS[1]._replace(linktype=RAW), *PACKETS]
    assert tuples(PcapngFile(write(path, content))) == expected


def test_pcapng_interface_of_another_section_is_unknown(path: Path) -> None:
    ng = Pcapng()
    source = PcapngFile(write(path, ng.file(PACKETS[:1]) + ng.section() + ng.enhanced(PACKETS[1])))
    assert tuples(source) == [PACKETS[0]]
    assert "interface that nothing describes" in source.note


def test_pcapng_obsolete_packet_block_is_read(path: Path) -> None:
    ng = Pcapng()
    content = ng.section() + ng.interface() + ng.interface(RAW) + ng.obsolete(PACKETS[1], interface=1)
    assert tuples(PcapngFile(write(path, content))) == [PACKETS[1]._replace(linktype=RAW)]


def test_pcapng_simple_packet_has_the_time_before_it_and_the_first_interfaces_snap_length(path: Path) -> None:
    ng = Pcapng()
    content = ng.section() + ng.interface(RAW, snaplen=61) + ng.enhanced(PACKETS[0]) + ng.simple(PACKETS[1])
    first, second = tuples(PcapngFile(write(path, content)))
    assert second == (first.ts_ns, PACKETS[1].octets, 1500, RAW)


def test_pcapng_simple_packet_without_snap_length_is_whole(path: Path) -> None:
    ng = Pcapng()
    content = ng.section() + ng.interface() + ng.simple(PACKETS[3])
    assert tuples(PcapngFile(write(path, content))) == [PACKETS[3]._replace(ts_ns=0)]


def test_pcapng_unknown_blocks_are_passed_over(path: Path) -> None:
    ng = Pcapng()
    unknown = ng.block(5, bytes(20)) + ng.block(0x80000BAD, bytes(3 << 20)) + ng.block(10, b"")
    content = ng.section() + unknown + ng.interface() + unknown + ng.enhanced(PACKETS[0]) + unknown
    source = PcapngFile(write(path, content))
    assert tuples(source) == [PACKETS[0]]
    assert not source.truncated


def test_pcapng_length_without_its_padding_is_read(path: Path) -> None:
    ng = Pcapng()
    unpadded = struct.pack("<II", 6, 93) + ng.enhanced(PACKETS[1])[8:92] + struct.pack("<I", 93)
    content = ng.section() + ng.interface() + unpadded + ng.enhanced(PACKETS[0])
    assert tuples(PcapngFile(write(path, content))) == [PACKETS[1], PACKETS[0]]


NG = Pcapng()
BEGIN = NG.section() + NG.interface() + NG.enhanced(PACKETS[0])


@pytest.mark.parametrize(
    ("broken", "note"),
    [
        (struct.pack("<III", 6, 8, 8), "shorter than its own header"),
        (struct.pack("<IIII", 5, 16, 0, 12), "two lengths of a block differ"),
        (struct.pack("<III", 6, 0xFFFFFFFF, 0), "ends within a block"),
        (NG.block(6, bytes(16)), "packet block is too short"),
        (NG.block(3, b""), "packet block is too short"),
        (NG.block(1, bytes(4)), "interface description is too short"),
        (NG.block(1, bytes(8) + struct.pack("<HH", 2, 9) + bytes(8)), "ends within an option"),
        (NG.block(0x0A0D0D0A, struct.pack("<I", 0x1A2B3C4D)), "section header is too short"),
        (NG.section(version=2), "unknown version"),
        (NG.section()[:8] + bytes(4) + NG.section()[12:], "the file ends within a block"),
        (NG.enhanced(PACKETS[0], interface=1), "interface that nothing describes"),
        (NG.block(6, struct.pack("<IIIII", 0, 0, 0, 5, 5) + bytes(4)), "longer than its block"),
        (NG.block(6, struct.pack("<IIIII", 0, 0, 0, 262_145, 5)), "impossible packet length"),
        (NG.block(3, struct.pack("<I", 5) + bytes(4)), "longer than its block"),
    ],
)
def test_pcapng_broken_block_ends_the_file(path: Path, broken: bytes, note: str) -> None:
    source = PcapngFile(write(path, BEGIN + broken + NG.enhanced(PACKETS[0])))
    assert tuples(source) == [PACKETS[0]]
    assert source.truncated
    assert note in source.note
    assert f"octet {len(BEGIN)} of" in source.note


def test_pcapng_interfaces_up_to_the_cap_are_read(path: Path) -> None:
    interface = NG.block(1, struct.pack("<HHI", ETHERNET, 0, 0))
    content = NG.section() + interface * 65_536 + NG.enhanced(PACKETS[0], interface=65_535)
    source = PcapngFile(write(path, content + interface))
    assert tuples(source) == [PACKETS[0]]
    assert "too many interface" in source.note


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "empty"),
        (pcap(), "section header"),
        (NG.section()[:27], "section header"),
        (b"\n\r\r\n" * 8, "byte-order"),
    ],
)
def test_file_that_is_no_pcapng_is_refused(path: Path, content: bytes, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        PcapngFile(write(path, content))


# Every file can be cut or spoilt anywhere.

MIXED = (
    Pcapng(">").file()
    + NG.section()
    + NG.interface(snaplen=61)
    + NG.obsolete(PACKETS[3])
    + NG.simple(PACKETS[1])
    + NG.block(5, bytes(8))
)
FILES: tuple[tuple[type[MappedFile], bytes], ...] = (
    (PcapFile, pcap()),
    (PcapFile, pcap(endian=">", nano=True)),
    (PcapngFile, MIXED),
)


@pytest.mark.parametrize(("kind", "content"), FILES)
def test_file_cut_at_any_octet_gives_a_prefix(path: Path, kind: type[MappedFile], content: bytes) -> None:
    whole = tuples(kind(write(path, content)))
    counts = []
    for length in range(32, len(content)):
        source = kind(write(path, content[:length]))
        packets = tuples(source)
        assert packets == whole[: len(packets)]
        # Only a cut between two records cannot be seen.
        assert source.truncated == (source.position < source.size)
        assert source.truncated == bool(source.note)
        assert source.error == ""
        counts.append(len(packets))
    assert counts == sorted(counts)
    assert counts[-1] >= len(whole) - 1


@given(
    file=st.sampled_from(FILES),
    patches=st.lists(st.tuples(st.integers(0, 2000), st.binary(min_size=1, max_size=8)), max_size=8),
    length=st.integers(0, 2000),
)
def test_spoilt_file_is_refused_or_read_to_its_end_or_its_flaw(
    tmp_path_factory: pytest.TempPathFactory,
    file: tuple[type[MappedFile], bytes],
    patches: list[tuple[int, bytes]],
    length: int,
) -> None:
    kind, content = file
    spoilt = bytearray(content)
    for at, octets in patches:
        spoilt[at % len(spoilt) : at % len(spoilt) + len(octets)] = octets
    path = write(tmp_path_factory.getbasetemp() / "spoilt", bytes(spoilt[: len(spoilt) - length % len(spoilt)]))
    try:
        source = kind(path)
    except ValueError:
        return
    packets = tuples(source)
    assert sum(len(packet.octets) for packet in packets) <= source.position <= source.size
    assert source.truncated == (source.position < source.size)
    assert all(packet.ts_ns < 2**63 for packet in packets)


# A long file.


def sparse_pcap(path: Path, packets: int) -> int:
    """Write a pcap with ``packets`` packets of 262,128 octets that take no room on the disk; return its size."""
    with path.open("wb") as file:
        file.write(pcap(()))
        for _ in range(packets):
            file.write(struct.pack("<IIII", 1, 0, 262_128, 262_128))
            file.seek(262_128, os.SEEK_CUR)
        file.truncate(file.tell())
        return file.tell()


READ_AND_TELL_MEMORY = """
import resource, sys
from fastpath.source import PcapFile, read_all
source = PcapFile(sys.argv[1])
count = 0
while packets := read_all(source, 64):
    count += len(packets)
print(count, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
"""


def test_memory_does_not_grow_with_the_file(path: Path) -> None:
    root = Path(__file__).parents[3]
    used = []
    for packets in (256, 2048):
        sparse_pcap(path, packets)
        command = [sys.executable, "-c", READ_AND_TELL_MEMORY, str(path)]
        done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True)
        count, octets = map(int, done.stdout.split())
        assert count == packets
        used.append(octets)
    assert used[1] - used[0] < 8 << 20


def test_file_that_shrinks_while_it_is_read_is_an_error(path: Path) -> None:
    size = sparse_pcap(path, 64)
    source = PcapFile(path)
    assert skip(source, 1) > 0
    os.truncate(path, size // 4)
    # References into what is gone are never followed here: a mapping cannot help against that.
    skip(source)
    assert "shrank" in source.error


# Packets in memory.


def test_buffer_gives_what_a_file_gives(path: Path) -> None:
    assert tuples(BufferSource(PACKETS)) == tuples(PcapFile(write(path, pcap()))) == list(PACKETS)


def test_buffer_fills_in_what_is_not_given() -> None:
    assert tuples(BufferSource([(5, b"abc"), (6, b"abcd", 100)])) == [(5, b"abc", 3, 1), (6, b"abcd", 100, 1)]


def test_buffer_takes_any_iterable_as_it_needs_it() -> None:
    taken = itertools.count()
    source = BufferSource((next(taken), b"x") for _ in range(5000))
    assert [packet[0] for packet in read_all(source, 10)] == list(range(10))
    assert next(taken) < 2000
    assert skip(source) == 4990


def test_buffer_whose_iterable_breaks_off_is_truncated() -> None:
    def broken() -> Iterator[tuple[int, bytes]]:
        yield 1, b"a"
        raise ValueError("no more")

    source = BufferSource(broken())
    assert tuples(source) == [(1, b"a", 1, 1)]
    assert (source.truncated, source.note, source.error) == (True, "no more", "")


def test_buffer_of_something_else_than_packets_is_an_error() -> None:
    source = BufferSource([(1, b"a"), (2, "text")])  # type: ignore[list-item]
    assert tuples(source) == [(1, b"a", 1, 1)]
    assert source.error.startswith("TypeError")
    assert not source.truncated
