"""The journal's native protocol (https://systemd.io/JOURNAL_NATIVE_PROTOCOL/)."""

from __future__ import annotations

import array
import errno
import fcntl
import os
import socket
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path

from sensor.alerts.event import Event
from sensor.alerts.mappings.journald import fields
from sensor.alerts.sender import Sender, SendError

SOCKET = Path("/run/systemd/journal/socket")
_TIMEOUT_S = 10.0
_SEALS = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SEAL


class Journald(Sender):
    """Sends one entry an event; what no datagram holds goes by a sealed file in memory."""

    def __init__(self, path: Path = SOCKET) -> None:
        self._path = path
        self._socket: socket.socket | None = None

    def send(self, events: Sequence[Event]) -> None:
        """Send the entries of events."""
        for event in events:
            try:
                self._send(serialized(fields(event)))
            except OSError as error:
                self.close()
                raise SendError(f"{self._path}: {error.strerror or 'it took too long'}") from None

    def try_out(self) -> None:
        """See whether the journal listens."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as client:
            if number := client.connect_ex(str(self._path)):
                raise SendError(f"{self._path}: {os.strerror(number)}")

    def close(self) -> None:
        """Close the socket."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _send(self, entry: bytes) -> None:
        if self._socket is None:
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            self._socket.settimeout(_TIMEOUT_S)
        try:
            self._socket.sendto(entry, str(self._path))
        except OSError as error:
            if error.errno not in {errno.EMSGSIZE, errno.ENOBUFS}:
                raise
            self._send_file(self._socket, entry)

    def _send_file(self, to: socket.socket, entry: bytes) -> None:
        descriptor = os.memfd_create("legwatch", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        with os.fdopen(descriptor, "wb") as file:
            file.write(entry)
            file.flush()
            fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, _SEALS)
            rights = array.array("i", [descriptor])
            to.sendmsg([], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)], 0, str(self._path))


def serialized(entry: Mapping[str, str]) -> bytes:
    """Return an entry as the journal reads it: a value with a newline in it has its length before it."""
    return b"".join(_field(name.encode(), value.encode()) for name, value in entry.items())


def _field(name: bytes, value: bytes) -> bytes:
    if b"\n" in value:
        return name + b"\n" + struct.pack("<Q", len(value)) + value + b"\n"
    return name + b"=" + value + b"\n"
