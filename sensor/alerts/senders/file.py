"""Lines in a file that is rotated by size."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from sensor.alerts.event import Event
from sensor.alerts.mappings.cef import cef
from sensor.alerts.mappings.ecs import ecs
from sensor.alerts.mappings.ocsf import ocsf
from sensor.alerts.mappings.plain import encode
from sensor.alerts.sender import Sender, SendError
from sensor.config.sinks import FileSink
from sensor.trial import try_out

_BATCH = 256
_MODE = 0o640
FORMATS: dict[str, Callable[[Event], str]] = {
    "json": encode,
    "ecs": lambda event: encode(ecs(event)),
    "ocsf": lambda event: encode(ocsf(event)),
    "ocsf-compliance": lambda event: encode(ocsf(event, compliance=True)),
    "cef": cef,
}


class File(Sender):
    """Appends one line an event; a batch is in the file whole or, where the disk has no room, not at all.

    A file that would grow beyond its greatest size becomes PATH.1, that one PATH.2 and so on. One that somebody else
    moved away is begun again.
    """

    batch = _BATCH

    def __init__(self, sink: FileSink) -> None:
        self._path = Path(sink.path)
        self._text = FORMATS[sink.format]
        self._max_octets = sink.max_mib << 20
        self._keep = sink.keep
        self._file: int | None = None

    def send(self, events: Sequence[Event]) -> None:
        """Write the lines of events."""
        lines = b"".join(f"{self._text(event)}\n".encode() for event in events)
        try:
            file = self._opened()
            size = os.fstat(file).st_size
            if size and size + len(lines) > self._max_octets:
                self.close()
                self._rotate()
                file = self._opened()
                size = 0
            _append(file, size, lines)
        except OSError as error:
            self.close()
            raise SendError(f"{self._path}: {error.strerror}") from None

    def try_out(self) -> None:
        """See whether the directory takes files, and the file lines, if there is one."""
        try:
            try_out(self._path.parent)
            with suppress(FileNotFoundError):
                os.close(os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW))
        except OSError as error:
            raise SendError(f"{self._path}: {error.strerror}") from None

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _opened(self) -> int:
        if self._file is not None and not self._is_in_place(self._file):
            self.close()
        if self._file is None:
            flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
            self._file = os.open(self._path, flags, _MODE)
            _end_line(self._file)
        return self._file

    def _is_in_place(self, file: int) -> bool:
        try:
            return os.path.samestat(os.fstat(file), self._path.stat(follow_symlinks=False))
        except FileNotFoundError:
            return False

    def _rotate(self) -> None:
        if not self._keep:
            self._path.unlink()
            return
        for n in range(self._keep, 0, -1):
            older = self._numbered(n - 1)
            if older.exists():
                older.replace(self._numbered(n))

    def _numbered(self, n: int) -> Path:
        return self._path.with_name(f"{self._path.name}.{n}") if n else self._path


def _append(file: int, size: int, lines: bytes) -> None:
    """Write all lines, or leave the file as long as it was and raise OSError."""
    rest = memoryview(lines)
    try:
        while rest:
            rest = rest[os.write(file, rest) :]
    except OSError:
        os.ftruncate(file, size)
        raise


def _end_line(file: int) -> None:
    """End the last line, which a crash may have left open."""
    size = os.fstat(file).st_size
    if size and os.pread(file, 1, size - 1) != b"\n":
        os.write(file, b"\n")
