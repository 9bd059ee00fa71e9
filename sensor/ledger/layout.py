"""The directory of a ledger: the names in it, and how its files are opened, put in place and made durable."""

from __future__ import annotations

import itertools
import os
import re
import stat
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path
    from typing import Self

CHECKPOINT = "checkpoint"
ASIDE = ".new"  # behind the name of a file that is being made
TEXT, PACKED, SUMS, NOTE, STAMP = ".jsonl", ".jsonl.zst", ".sums", ".note", ".note.tsr"
NAME = re.compile(r"(\d{8})-(\d{8})(\.jsonl|\.jsonl\.zst|\.sums|\.note)", re.ASCII)
SUM_OCTETS = 4  # of each leaf hash
DAY_MS = 86_400_000

# An auditor's group may read.
DIRECTORY_MODE = 0o750
FILE_MODE = 0o640


class LedgerError(Exception):
    """A ledger cannot be used; the text is one line that says why."""


@dataclass(frozen=True, slots=True)
class Segment:
    """What there is of a segment."""

    number: int
    day: str
    parts: frozenset[str] = frozenset()  # the ends of the names of its files

    @property
    def stem(self) -> str:
        """Its files' names up to the ends."""
        return f"{self.number:08}-{self.day}"

    def file(self, part: str) -> str:
        """Return the name of one of its files."""
        return f"{self.stem}{part}"

    @property
    def entries(self) -> bool:
        """Whether its entries are there; of a deleted one only the note is."""
        return TEXT in self.parts or PACKED in self.parts

    @property
    def sealed(self) -> bool:
        """Whether no entry comes to it any more; it may still have to be compressed."""
        return NOTE in self.parts


def day_of(at: int) -> str:
    """Return the day of a time in milliseconds, in UTC."""
    return datetime.fromtimestamp(at // 1000, UTC).strftime("%Y%m%d")


def span_of(day: str) -> tuple[int, int]:
    """Return the first millisecond of a day and the first one behind it, twice the same where there is no such day."""
    try:
        start = int(datetime.strptime(day, "%Y%m%d").replace(tzinfo=UTC).timestamp()) * 1000
    except ValueError:
        return 0, 0
    return start, start + DAY_MS


def segments_of(names: Iterable[str]) -> list[Segment]:
    """Return the segments that files are of, by number; LedgerError when two have one number."""
    parts: dict[tuple[int, str], set[str]] = {}
    for name in names:
        if found := NAME.fullmatch(name):
            parts.setdefault((int(found[1]), found[2]), set()).add(found[3])
    segments = [Segment(number, day, frozenset(ends)) for (number, day), ends in sorted(parts.items())]
    for before, after in itertools.pairwise(segments):
        if before.number == after.number:
            raise LedgerError(f"{before.stem} and {after.stem} are one segment of two days")
    return segments


class Directory:
    """The directory, by descriptor: no name in it is followed elsewhere. Methods raise OSError."""

    def __init__(self, path: Path) -> None:
        """The path itself may be a link, as systemd makes them."""
        self.path = path
        self.fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of it."""
        fd, self.fd = self.fd, -1
        if fd >= 0:
            os.close(fd)

    def names(self) -> list[str]:
        """Return all names in it."""
        return os.listdir(self.fd)  # noqa: PTH208  (by descriptor)

    def segments(self) -> list[Segment]:
        """Return the segments in it, by number."""
        return segments_of(self.names())

    def open(self, name: str, flags: int = os.O_RDONLY) -> int:
        """Open a plain file; one that is made may be read by the group."""
        # Without O_NONBLOCK a pipe that somebody put there would never open.
        fd = os.open(name, flags | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK, FILE_MODE, dir_fd=self.fd)
        try:
            if not stat.S_ISREG(os.fstat(fd).st_mode):
                raise LedgerError(f"{self.path / name} is no file")  # noqa: TRY301  (closed below)
            if flags & os.O_CREAT:
                os.fchmod(fd, FILE_MODE)  # whatever the umask is
        except BaseException:
            os.close(fd)
            raise
        return fd

    def read(self, name: str, greatest: int | None = None) -> bytes:
        """Return what a file has; LedgerError when that is more than ``greatest`` octets."""
        with os.fdopen(self.open(name), "rb") as file:
            octets = file.read(-1 if greatest is None else greatest + 1)
        if greatest is not None and len(octets) > greatest:
            raise LedgerError(f"{self.path / name} is too large for what it should be")
        return octets

    def size(self, name: str) -> int:
        """Return how many octets a file has."""
        return os.stat(name, dir_fd=self.fd, follow_symlinks=False).st_size

    def put(self, name: str, octets: bytes) -> None:
        """Have a file hold octets, whole or not at all, and for good."""
        fd = self.open(name + ASIDE, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        try:
            write_all(fd, octets)
            os.fsync(fd)
        finally:
            os.close(fd)
        self.move(name)

    def move(self, name: str) -> None:
        """Put a file in place that was made aside and is on disk."""
        os.rename(name + ASIDE, name, src_dir_fd=self.fd, dst_dir_fd=self.fd)
        self.sync()

    def remove(self, name: str) -> None:
        """Take a file away, if it is there."""
        with suppress(FileNotFoundError):
            os.unlink(name, dir_fd=self.fd)

    def sync(self) -> None:
        """Have the names that were made, moved and taken away on disk."""
        os.fsync(self.fd)


def write_all(fd: int, octets: bytes) -> None:
    """Write all octets; a disk without room is told by the write that has none."""
    rest = memoryview(octets)
    while rest:
        rest = rest[os.write(fd, rest) :]
