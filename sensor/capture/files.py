"""Capture files of every kind, opened by what is in them."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING

import pcapy

from fastpath.source import BufferSource, OfflineSource, PcapFile, PcapngFile
from sensor.capture.errors import CaptureError
from sensor.capture.linktypes import linktype_of_dlt

if TYPE_CHECKING:
    from collections.abc import Iterator

PCAP_MAGICS = (b"\xa1\xb2\xc3\xd4", b"\xd4\xc3\xb2\xa1", b"\xa1\xb2\x3c\x4d", b"\x4d\x3c\xb2\xa1")
PCAP_VERSIONS = (b"\x00\x02\x00\x04", b"\x02\x00\x04\x00")
PCAPNG_MAGIC = b"\x0a\x0d\x0d\x0a"
COMPRESSED = {b"\x1f\x8b": "gzip", b"\xfd7zX": "xz", b"\x28\xb5\x2f\xfd": "zstd", b"BZh": "bzip2"}


def open_capture(path: str | os.PathLike[str]) -> OfflineSource:
    """Return the packets of a capture file.

    pcap and pcapng are read in place; what else libpcap knows, and what comes through a pipe, is read by pcapy-ng.

    Raises:
        CaptureError: there is no such file, it cannot be read, or it is no capture.
    """
    try:
        return _open(Path(path))
    except OSError as error:
        raise CaptureError(f"{path}: {error.strerror}") from error
    except ValueError as error:
        raise CaptureError(f"{path}: {error}") from error


def _open(path: Path) -> OfflineSource:
    mode = path.stat().st_mode
    if stat.S_ISFIFO(mode):
        return _through_pcapy(path)
    if stat.S_ISDIR(mode):
        raise ValueError("is a directory, not a capture file")
    if not stat.S_ISREG(mode):
        raise ValueError("is neither a file nor a pipe")
    with path.open("rb") as file:
        head = file.read(8)
    for magic, name in COMPRESSED.items():
        if head.startswith(magic):
            raise ValueError(f"is compressed by {name}; unpack it first")
    if head.startswith(PCAPNG_MAGIC):
        return PcapngFile(path)
    if not head or (head.startswith(PCAP_MAGICS) and head.endswith(PCAP_VERSIONS)):
        return PcapFile(path)
    return _through_pcapy(path)


def _through_pcapy(path: Path) -> BufferSource:
    try:
        reader = pcapy.open_offline(str(path))
    except pcapy.PcapError as error:
        raise ValueError(f"no capture file ({error})") from error
    return BufferSource(_packets(reader))


def _packets(reader: pcapy.Reader) -> Iterator[tuple[int, bytes, int, int]]:
    """Yield what BufferSource takes; ValueError, as it wants it, when the file breaks off."""
    linktype = linktype_of_dlt(reader.datalink())
    try:
        while True:
            header, octets = reader.next()
            if header is None:
                return
            seconds, microseconds = header.getts()
            yield seconds * 1_000_000_000 + microseconds * 1_000, octets, header.getlen(), linktype
    except pcapy.PcapError as error:
        raise ValueError(str(error)) from error
