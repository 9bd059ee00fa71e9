"""A socket to a receiver of datagrams or of a stream, opened when it is needed and again after it failed."""

from __future__ import annotations

import errno
import socket
import ssl
from collections.abc import Sequence

from sensor.alerts.event import Event
from sensor.alerts.sender import Sender, SendError
from sensor.alerts.senders.tls import reason
from sensor.config.sinks import Endpoint


class Connection:
    """Sends octets; SendError closes the socket, and the next attempt opens another.

    Nothing that is sent here is acknowledged: a datagram may be lost, and so may what a receiver of a stream had not
    read when it went away. That it went away is looked for before each sending.
    """

    def __init__(
        self,
        to: Endpoint,
        *,
        datagrams: bool,
        timeout_s: float,
        tls: ssl.SSLContext | None = None,
        server_name: str | None = None,
    ) -> None:
        self._to = to
        self._datagrams = datagrams
        self._timeout_s = timeout_s
        self._tls = tls
        self._server_name = server_name or to.host
        self._socket: socket.socket | None = None

    def send(self, octets: bytes) -> None:
        """Send one datagram, or the next octets of the stream."""
        try:
            if self._socket is not None and not self._datagrams and _is_over(self._socket):
                self.close()
            if self._socket is None:
                self._socket = self._opened()
            self._socket.sendall(octets)
        except OSError as error:
            self.close()
            raise SendError(f"{self._to}: {reason(error)}", permanent=error.errno == errno.EMSGSIZE) from None

    def try_out(self) -> None:
        """Connect, with a handshake where there is TLS, and send nothing. Of datagrams that says little."""
        try:
            self._opened().close()
        except OSError as error:
            raise SendError(f"{self._to}: {reason(error)}") from None

    def interrupt(self) -> None:
        """Make a ``send`` that waits fail."""
        if (waiting := self._socket) is not None:
            try:
                waiting.shutdown(socket.SHUT_RDWR)
            except OSError:
                return  # it is over already

    def close(self) -> None:
        """Close the socket."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _opened(self) -> socket.socket:
        if not self._datagrams:
            made = socket.create_connection(self._to, self._timeout_s)
            if self._tls is None:
                return made
            try:
                return self._tls.wrap_socket(made, server_hostname=self._server_name)
            except BaseException:
                made.close()
                raise
        family, kind, protocol, _, address = socket.getaddrinfo(*self._to, type=socket.SOCK_DGRAM)[0]
        made = socket.socket(family, kind, protocol)
        try:
            made.settimeout(self._timeout_s)
            made.connect(address)  # so that a closed port is told
        except BaseException:
            made.close()
            raise
        return made


class ConnectionSender(Sender):
    """Sends what one kind of receiver takes an event for, one after the other through a connection."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def send(self, events: Sequence[Event]) -> None:
        """Send events as ``octets`` has them."""
        self._connection.send(b"".join(map(self.octets, events)))

    def octets(self, event: Event) -> bytes:
        """Return an event as it is sent."""
        raise NotImplementedError

    def try_out(self) -> None:
        """Connect."""
        self._connection.try_out()

    def interrupt(self) -> None:
        """Make a ``send`` that waits fail."""
        self._connection.interrupt()

    def close(self) -> None:
        """Close the socket."""
        self._connection.close()


def _is_over(stream: socket.socket) -> bool:
    """Whether the other side has closed a connection; what it says otherwise is thrown away."""
    timeout = stream.gettimeout()
    stream.setblocking(False)
    try:
        while stream.recv(4096):
            pass
    except (BlockingIOError, ssl.SSLWantReadError):
        return False
    except OSError:
        return True
    finally:
        stream.settimeout(timeout)
    return True
