"""Syslog: datagrams (RFC 5426), TCP with octet counting (RFC 6587), TLS (RFC 5425)."""

from __future__ import annotations

from collections.abc import Sequence

from sensor.alerts.event import Event
from sensor.alerts.mappings.cef import cef
from sensor.alerts.mappings.plain import encode
from sensor.alerts.mappings.subject import sentence
from sensor.alerts.mappings.syslog import FACILITIES, counted, message
from sensor.alerts.sender import Sender
from sensor.alerts.senders.connection import Connection
from sensor.alerts.senders.tls import context
from sensor.config.sinks import SyslogSink

_TEXTS = {"text": sentence, "json": encode, "cef": cef}
_BATCH = 64


class Syslog(Sender):
    """Sends one message an event; ``hostname`` is what the sensor is called."""

    def __init__(self, sink: SyslogSink, hostname: str) -> None:
        datagrams = sink.transport == "udp"
        # one datagram an attempt: a batch that failed in the middle would be sent again from its start
        self.batch = 1 if datagrams else _BATCH
        self._sink = sink
        self._hostname = hostname
        self._text = _TEXTS[sink.format]
        self._frame = bytes if datagrams else counted
        self._connection = Connection(
            sink.address,
            datagrams=datagrams,
            timeout_s=sink.timeout,
            tls=context(sink) if sink.transport == "tls" else None,
            server_name=sink.server_name,
        )

    def send(self, events: Sequence[Event]) -> None:
        """Send the messages of events."""
        self._connection.send(b"".join(self._frame(self._message(event)) for event in events))

    def try_out(self) -> None:
        """Connect."""
        self._connection.try_out()

    def interrupt(self) -> None:
        """Make a ``send`` that waits fail."""
        self._connection.interrupt()

    def close(self) -> None:
        """Close the socket."""
        self._connection.close()

    def _message(self, event: Event) -> bytes:
        return message(
            event,
            self._text(event),
            facility=FACILITIES[self._sink.facility],
            hostname=self._hostname,
            enterprise=self._sink.enterprise,
            octets=self._sink.max_octets,
        )
