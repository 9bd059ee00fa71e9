"""HEP3 over UDP or TCP, which divides packets by the length in them."""

from __future__ import annotations

from sensor.alerts.event import Event
from sensor.alerts.mappings.hep import packet
from sensor.alerts.senders.connection import Connection, ConnectionSender
from sensor.config.sinks import HepSink


class Hep(ConnectionSender):
    """Sends one packet an event."""

    def __init__(self, sink: HepSink) -> None:
        super().__init__(Connection(sink.address, datagrams=sink.transport == "udp", timeout_s=sink.timeout))
        self._agent = sink.agent
        self._key = sink.key_file.content if sink.key_file else b""

    def octets(self, event: Event) -> bytes:
        """Return the packet of an event."""
        return packet(event, agent=self._agent, key=self._key)
