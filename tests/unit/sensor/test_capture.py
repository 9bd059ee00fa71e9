"""Opening capture files, compiling filters, listing interfaces: what works, and what the operator is told."""

import gzip
import os
import socket
import struct
import subprocess
from pathlib import Path

import pcapy
import pytest

from fastpath.source import BufferSource, OfflineSource, PcapFile, PcapngFile, read_all
from sensor.capture import CaptureError, compile_filter, list_interfaces, open_capture

NOBODY = 65534
OCTETS = b"\x02" * 60
PCAP = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1) + struct.pack("<IIII", 5, 7, 60, 90) + OCTETS
# The patched libpcap of Alexey Kuznetzov: eight octets more in every record.
MODIFIED = (
    struct.pack("<IHHiIII", 0xA1B2CD34, 2, 4, 0, 0, 65535, 101)
    + struct.pack("<IIIIIHBx", 5, 7, 60, 90, 1, 0x0800, 0)
    + OCTETS
)
PCAPNG = (
    struct.pack("<IIIHHqI", 0x0A0D0D0A, 28, 0x1A2B3C4D, 1, 0, -1, 28)
    + struct.pack("<IIHHII", 1, 20, 1, 0, 0, 20)
    + struct.pack("<IIIIIII", 6, 92, 0, 0, 5_000_007, 60, 90)
    + OCTETS
    + struct.pack("<I", 92)
)


@pytest.mark.parametrize(
    ("content", "kind", "linktype"), [(PCAP, PcapFile, 1), (PCAPNG, PcapngFile, 1), (MODIFIED, BufferSource, 101)]
)
def test_capture_is_opened_by_its_content(
    tmp_path: Path, content: bytes, kind: type[OfflineSource], linktype: int
) -> None:
    path = tmp_path / "any.name"
    path.write_bytes(content)
    source = open_capture(path)
    assert isinstance(source, kind)
    assert read_all(source) == [(5_000_007_000, 60, 90, linktype, 0, OCTETS)]
    assert (source.truncated, source.error) == (False, "")


@pytest.mark.parametrize("content", [PCAP, PCAPNG, MODIFIED])
def test_cut_capture_is_read_up_to_there(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "cut"
    path.write_bytes(content + content[-90:-30])
    source = open_capture(str(path))
    assert len(read_all(source)) == 1
    assert source.truncated
    assert source.note
    assert source.error == ""


def test_capture_comes_through_a_pipe(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    (tmp_path / "file").write_bytes(PCAP)
    with subprocess.Popen(["cp", tmp_path / "file", path]):
        source = open_capture(path)
        assert read_all(source) == [(5_000_007_000, 60, 90, 1, 0, OCTETS)]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "the file is empty"),
        (b"x", "no capture file"),
        (b"INVITE sip:clinic SIP/2.0\r\n\r\n", "no capture file"),
        (PCAP[:20], "no pcap file: shorter than its header"),
        (PCAPNG[:20], "no pcapng file: no section header at its beginning"),
        (gzip.compress(PCAP), "is compressed by gzip; unpack it first"),
        (b"\xfd7zXZ\0", "is compressed by xz; unpack it first"),
        (b"\x28\xb5\x2f\xfd", "is compressed by zstd; unpack it first"),
    ],
)
def test_file_that_is_no_capture_is_one_clear_line(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "file"
    path.write_bytes(content)
    with pytest.raises(CaptureError) as refused:
        open_capture(path)
    assert str(refused.value).startswith(f"{path}: {message}")
    assert "\n" not in str(refused.value)


def test_path_without_a_file_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(CaptureError, match="No such file or directory"):
        open_capture(tmp_path / "nothing")
    with pytest.raises(CaptureError, match="is a directory, not a capture file"):
        open_capture(tmp_path)
    with pytest.raises(CaptureError, match="is neither a file nor a pipe"):
        open_capture("/dev/zero")


def test_file_without_permission_is_one_clear_line(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.touch(mode=0)
    user = os.geteuid()
    if user == 0:
        os.seteuid(NOBODY)  # root may read everything
    try:
        with pytest.raises(CaptureError, match="Permission denied"):
            open_capture(path)
    finally:
        os.seteuid(user)


def matches(program: bytes, linktype: int, text: str, octets: bytes) -> bool:
    """Run a filter as libpcap would, and make sure that ours is the same program."""
    dlt = 12 if linktype == 101 else linktype
    theirs = pcapy.compile(dlt, 262_144, text, 1, 0xFFFF_FFFF)
    assert list(struct.iter_unpack("=HBBI", program)) == theirs.get_bpf()
    return bool(theirs.filter(octets))


@pytest.mark.parametrize(("linktype", "header"), [(1, bytes(12) + b"\x08\0"), (101, b"")])
def test_filter_is_compiled_for_the_link_type(linktype: int, header: bytes) -> None:
    ip = struct.pack(">BBHHHBBH8s", 0x45, 0, 28, 0, 0, 64, 17, 0, b"\xff" * 8) + struct.pack(">HHHH", 1, 5060, 8, 0)
    program = compile_filter("udp port 5060 and dst host 255.255.255.255", linktype)
    assert matches(program, linktype, "udp port 5060 and dst host 255.255.255.255", header + ip)


def test_filter_of_nothing_is_no_program() -> None:
    assert compile_filter("") == compile_filter(" \n") == b""


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("udp prt 5060", "filter 'udp prt 5060': can't parse filter expression: syntax error"),
        ("port 70000", "filter 'port 70000': illegal port number 70000 > 65535"),
        ("udp\0", "filter 'udp\\x00': embedded null character"),
        ("udp\nand", "filter 'udp\\nand': can't parse filter expression: syntax error"),
    ],
)
def test_filter_that_is_none_is_one_clear_line(text: str, message: str) -> None:
    with pytest.raises(CaptureError) as refused:
        compile_filter(text)
    assert str(refused.value) == message


def test_filter_too_long_for_the_kernel_is_refused() -> None:
    text = " or ".join(f"ether[{number}] = 1" for number in range(1500))
    with pytest.raises(CaptureError, match="the kernel takes 4096"):
        compile_filter(text)


def test_interfaces_are_those_of_this_machine() -> None:
    interfaces = {interface.name: interface for interface in list_interfaces()}
    assert list(interfaces) == [name for _, name in socket.if_nameindex()]
    loopback = interfaces["lo"]
    assert loopback.mtu > 0
    assert (loopback.driver, loopback.speed_mbps) == ("", None)
    assert loopback.state == "down" or "127.0.0.1" in loopback.addresses
