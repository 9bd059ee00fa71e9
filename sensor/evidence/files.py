"""Capture files that follow one another: each up to a size, the oldest deleted so that a number of them is kept.

Format: draft-ietf-opsawg-pcap, with nanoseconds. A record has the length that its packet had on the wire.
"""

from __future__ import annotations

import errno
import os
import re
import struct
import time
from pathlib import Path

from sensor.trial import try_out

MAGIC_NANOSECONDS = 0xA1B23C4D
FILE_HEADER = struct.Struct("=IHHiIII")  # magic, version, version, zone, accuracy, snaplen, link type
RECORD_HEADER = struct.Struct("=IIII")  # seconds, nanoseconds, octets kept, octets on the wire
NAME = re.compile(r"legwatch-evidence-(\d{8}T\d{6}Z)-(\d+)\.pcap")
NO_ROOM = (errno.ENOSPC, errno.EDQUOT)
SECOND = 1_000_000_000


class EvidenceFiles:
    """The files of one directory, which is this sensor's alone. Methods raise OSError; the file stays whole then."""

    def __init__(self, directory: str, *, max_octets: int, max_files: int, snaplen: int) -> None:
        self.opened = 0  # files ever begun
        self._directory = Path(directory)
        self._max_octets = max_octets
        self._max_files = max_files
        self._snaplen = snaplen
        self._file = -1
        self._linktype = -1
        self._size = 0

    def write(self, ts_ns: int, octets: bytes, wire: int, linktype: int) -> None:
        """Add a packet to the newest file, or begin another one: at the size, and where somebody took the file away."""
        record = RECORD_HEADER.pack(*divmod(ts_ns, SECOND), len(octets), wire) + octets
        if self._file >= 0 and (
            self._size + len(record) > self._max_octets
            or linktype != self._linktype
            or not os.fstat(self._file).st_nlink
        ):
            self.close()
        if self._file < 0:
            self._open(linktype)
        self._append(record)

    def try_out(self) -> None:
        """See whether the directory takes files."""
        try_out(self._directory)

    def close(self) -> None:
        """End the newest file."""
        file, self._file = self._file, -1
        if file >= 0:
            os.close(file)

    def _open(self, linktype: int) -> None:
        kept = self._kept()
        for path in kept[: max(len(kept) - self._max_files + 1, 0)]:
            path.unlink(missing_ok=True)
        stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        taken = [number for (when, number), _ in map(_named, kept) if when == stamp]
        path = self._directory / f"legwatch-evidence-{stamp}-{max(taken, default=0) + 1}.pcap"
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        self._linktype, self._size = linktype, 0
        try:
            self._append(FILE_HEADER.pack(MAGIC_NANOSECONDS, 2, 4, 0, 0, self._snaplen, linktype))
        except OSError:
            # A file without its header is none: it must not push out one that has something in it.
            self.close()
            path.unlink(missing_ok=True)
            raise
        self.opened += 1

    def _append(self, octets: bytes) -> None:
        try:
            written = os.pwrite(self._file, octets, self._size)
        except OSError as error:
            # A full disk may have room again. Another file then would push out one that is full of evidence.
            if error.errno not in NO_ROOM:
                self.close()
            raise
        if written < len(octets):
            os.ftruncate(self._file, self._size)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self._size += len(octets)

    def _kept(self) -> list[Path]:
        """Return the files there are, the oldest first."""
        return sorted((path for path in self._directory.iterdir() if NAME.fullmatch(path.name)), key=_named)


def _named(path: Path) -> tuple[tuple[str, int], str]:
    found = NAME.fullmatch(path.name)
    return ((found[1], int(found[2])), path.name) if found else (("", 0), path.name)
