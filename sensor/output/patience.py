"""A connection whose peer has so much time in all and may say so much, however it spreads it."""

from __future__ import annotations

import io
import socket
import time
from http.client import LineTooLong
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer, WriteableBuffer

MAX_REQUEST = 16_384  # octets of a request; a scrape is a few hundred


class Patience:
    """Time that is left, as the timeout of one call after the other; TimeoutError when there is none."""

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds

    def renew(self, seconds: float) -> None:
        """Give so much time from now on."""
        self._end = time.monotonic() + seconds

    def is_over(self) -> bool:
        """Whether there is none left."""
        return time.monotonic() >= self._end

    def left(self) -> float:
        """Return the seconds that are left."""
        left = self._end - time.monotonic()
        if left <= 0:
            raise TimeoutError
        return left


class PatientStream(io.RawIOBase):
    """A socket, in clear or in TLS, as a stream under one Patience for all of it.

    Reading beyond MAX_REQUEST octets raises LineTooLong, being late TimeoutError. Closing leaves the socket open.
    """

    def __init__(self, connection: socket.socket, patience: Patience) -> None:
        self._connection = connection
        self._patience = patience
        self._room = MAX_REQUEST

    def readable(self) -> bool:
        """Say that it is."""
        return True

    def writable(self) -> bool:
        """Say that it is."""
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        """Take what is there; 0 when the peer has ended."""
        if not self._room:
            raise LineTooLong("request")
        self._connection.settimeout(self._patience.left())
        got = self._connection.recv_into(memoryview(buffer)[: self._room])
        self._room -= got
        return got

    def write(self, octets: ReadableBuffer) -> int:
        """Send all of it. Neither ``sendall`` will do: that of TLS starts its timeout again with every record."""
        rest = memoryview(octets)
        while rest:
            self._connection.settimeout(self._patience.left())
            rest = rest[self._connection.send(rest) :]
        return memoryview(octets).nbytes
