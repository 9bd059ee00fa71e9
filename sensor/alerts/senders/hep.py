"""HEP3 over UDP or TCP, which divides packets by the length in them."""

from __future__ import annotations

from collections.abc import Sequence

from sensor.alerts.event import Event
from sensor.alerts.mappings.hep import packet
from sensor.alerts.sender import Sender
from sensor.alerts.senders.connection import Connection
from sensor.config.sinks import HepSink


class Hep(Sender):
    """Sends one packet an event."""

    def __init__(self, sink: HepSink) -> None:
        self._agent = sink.agent
        self._key = sink.key_file.content if sink.key_file else b""
        self._connection = Connection(sink.address, datagrams=sink.transport == "udp", timeout_s=sink.timeout)

    def send(self, events: Sequence[Event]) -> None:
        """Send the packets of events."""
        self._connection.send(b"".join(packet(event, agent=self._agent, key=self._key) for event in events))

    def try_out(self) -> None:
        """Connect."""
        self._connection.try_out()

    def interrupt(self) -> None:
        """Make a ``send`` that waits fail."""
        self._connection.interrupt()

    def close(self) -> None:
        """Close the socket."""
        self._connection.close()
