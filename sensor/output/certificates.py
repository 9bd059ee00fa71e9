"""The certificate that the metrics endpoint shows, read again when its files change."""

from __future__ import annotations

import ipaddress
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, cast

from sensor.output.patience import Patience

if TYPE_CHECKING:
    from sensor.config.server_tls import TlsServer

_Stamp = tuple[tuple[int, int, int] | None, ...]


class Certificates:
    """The ``ssl.SSLContext`` of ``tls`` as its files are now, or as they last were when they are broken.

    Raises FaultsError when they are broken from the start.
    """

    def __init__(self, tls: TlsServer) -> None:
        self.failures = 0  # times that the files were new and broken
        self.broken = False  # those of now are, and what is shown is what they were before
        self._tls = tls
        self._sans = frozenset(tls.client_allowed_sans)
        self._lock = threading.Lock()
        self._stamp = _stamp(tls.files)
        self._context = tls.context()

    def context(self) -> ssl.SSLContext:
        """Return it, for one connection."""
        with self._lock:
            # The stamp is taken first: files that change while they are read are read once more.
            if (stamp := _stamp(self._tls.files)) != self._stamp:
                self._stamp = stamp
                try:
                    self._context = self._tls.context()
                    self.broken = False
                except (OSError, ValueError):
                    self.broken = True
                    self.failures += 1
            return self._context

    @contextmanager
    def secured(self, plain: socket.socket, patience: Patience) -> Iterator[ssl.SSLSocket]:
        """Give the connection after the handshake, and close it; OSError when there is no handshake in time."""
        with self.context().wrap_socket(plain, server_side=True, do_handshake_on_connect=False) as connection:
            connection.settimeout(patience.left())
            connection.do_handshake()
            if self._sans and self._sans.isdisjoint(_names(connection)):
                raise ssl.SSLCertVerificationError("not one of client_allowed_sans")
            yield connection
            connection.settimeout(0)  # say goodbye (RFC 8446 section 6.1) and wait for none
            with suppress(OSError, ValueError):
                connection.unwrap()


def _names(connection: ssl.SSLSocket) -> Iterator[str]:
    """Give the names of the client's certificate, as Go writes them."""
    certificate = connection.getpeercert() or {}
    for kind, name in cast("tuple[tuple[str, str], ...]", certificate.get("subjectAltName", ())):
        if kind in {"DNS", "email", "URI"}:
            yield name
        elif kind == "IP Address":
            yield str(ipaddress.ip_address(name.strip()))


def _stamp(paths: tuple[str, ...]) -> _Stamp:
    return tuple(_stamp_of(Path(path)) for path in paths)


def _stamp_of(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
