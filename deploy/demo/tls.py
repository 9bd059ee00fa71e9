"""SIP inside TLS: over TCP, and over WebSocket."""

from __future__ import annotations

import base64
import hashlib
import random
import struct
from datetime import UTC, datetime

from OpenSSL import SSL

from . import wire
from .handshakes import Identity, KeyLog, tls_link
from .wire import MS, SECOND, Endpoint, Frame

TLS_1_2, TLS_1_3 = SSL.TLS1_2_VERSION, SSL.TLS1_3_VERSION

_TURN_NS = 2 * MS  # from hearing to answering
_WEBSOCKET_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455 section 1.3
_TEXT_FRAME, _MASKED = 0x81, 0x80


class TlsChannel:
    """SIP over one TLS connection (RFC 3261 section 26.3.1)."""

    transport = "TLS"
    alpn = b""

    def __init__(
        self, client: Endpoint, server: Endpoint, identity: Identity, version: int, *, log: KeyLog, rng: random.Random
    ) -> None:
        """Name the ends, the server's identity and the TLS version; ``log`` is given the session's secrets."""
        self.client, self.server = client, server
        self._tcp = wire.TcpConnection(client, server, rng)
        self._identity, self._version, self._log, self._rng = identity, version, log, rng

    def open(self, at_ns: int) -> list[Frame]:
        """Return the frames of the TCP and TLS handshakes."""
        at = datetime.fromtimestamp(at_ns // SECOND, UTC)
        self._link = tls_link(self._identity, self._version, self.alpn, at, self._log)
        frames = self._tcp.open(at_ns)
        for from_client, flight in self._link.handshake():
            frames += self._tcp.send(frames[-1][0] + _TURN_NS, from_client=from_client, octets=flight)
        return frames

    def send(self, at_ns: int, message: bytes, *, from_client: bool) -> list[Frame]:
        """Return the frames of the TLS records that carry the message."""
        records = self._link.say(from_client=from_client, octets=message)
        return self._tcp.send(at_ns, from_client=from_client, octets=records)


class WebSocketChannel(TlsChannel):
    """SIP over WebSocket inside TLS (RFC 7118), as a browser speaks it."""

    transport = "WSS"
    alpn = b"http/1.1"

    def open(self, at_ns: int) -> list[Frame]:
        """Return the frames of the TCP, TLS and WebSocket handshakes (RFC 6455 section 4)."""
        frames = super().open(at_ns)
        nonce = base64.b64encode(self._rng.randbytes(16))
        accept = base64.b64encode(hashlib.sha1(nonce + _WEBSOCKET_GUID, usedforsecurity=False).digest())
        host = f"{self._identity.name}:{self.server.port}"
        request = (
            f"GET /ws HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            f"Origin: https://{self._identity.name}\r\nSec-WebSocket-Version: 13\r\n"
            f"Sec-WebSocket-Key: {nonce.decode()}\r\nSec-WebSocket-Protocol: sip\r\n\r\n"
        )
        response = (
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Accept: {accept.decode()}\r\nSec-WebSocket-Protocol: sip\r\n\r\n"
        )
        frames += super().send(frames[-1][0] + _TURN_NS, request.encode(), from_client=True)
        return frames + super().send(frames[-1][0] + _TURN_NS, response.encode(), from_client=False)

    def send(self, at_ns: int, message: bytes, *, from_client: bool) -> list[Frame]:
        """Return the frames of one text message; a client masks it (RFC 6455 section 5.3)."""
        masked = _MASKED if from_client else 0
        header = struct.pack(">BBH", _TEXT_FRAME, masked | 126, len(message))  # 126: a 16-bit length follows
        if from_client:
            mask = self._rng.randbytes(4)
            message = bytes(octet ^ mask[at % 4] for at, octet in enumerate(message))
            header += mask
        return super().send(at_ns, header + message, from_client=from_client)
