"""What carries SIP between a client and its server."""

from __future__ import annotations

from typing import Protocol

from . import wire
from .wire import Endpoint, Frame


class Channel(Protocol):
    """A way between a SIP client and its server."""

    transport: str  # as Via names it
    client: Endpoint
    server: Endpoint

    def send(self, at_ns: int, message: bytes, *, from_client: bool) -> list[Frame]:
        """Return the frames that carry one SIP message."""


class UdpChannel:
    """SIP over UDP (RFC 3261 section 18): every message is one datagram."""

    transport = "UDP"

    def __init__(self, client: Endpoint, server: Endpoint) -> None:
        """Name the ends; ``client`` is the one that sends requests here."""
        self.client, self.server = client, server

    def send(self, at_ns: int, message: bytes, *, from_client: bool) -> list[Frame]:
        """Return one frame."""
        src, dst = (self.client, self.server) if from_client else (self.server, self.client)
        return [(at_ns, wire.udp(src, dst, message, wire.SIGNALLING_DSCP))]
