"""Syslog: datagrams (RFC 5426), TCP with octet counting (RFC 6587), TLS (RFC 5425)."""

from __future__ import annotations

from sensor.alerts.event import Event
from sensor.alerts.mappings.cef import cef
from sensor.alerts.mappings.plain import encode
from sensor.alerts.mappings.subject import sentence
from sensor.alerts.mappings.syslog import FACILITIES, counted, message
from sensor.alerts.senders.connection import Connection, ConnectionSender
from sensor.alerts.senders.tls import context
from sensor.config.sinks import SyslogSink

_TEXTS = {"text": sentence, "json": encode, "cef": cef}
_BATCH = 64


class Syslog(ConnectionSender):
    """Sends one message an event; ``hostname`` is what the sensor is called."""

    def __init__(self, sink: SyslogSink, hostname: str) -> None:
        datagrams = sink.transport == "udp"
        super().__init__(
            Connection(
                sink.address,
                datagrams=datagrams,
                timeout_s=sink.timeout,
                tls=context(sink) if sink.transport == "tls" else None,
                server_name=sink.server_name,
            )
        )
        # one datagram an attempt: a batch that failed in the middle would be sent again from its start
        self.batch = 1 if datagrams else _BATCH
        self._sink = sink
        self._hostname = hostname
        self._text = _TEXTS[sink.format]
        self._frame = bytes if datagrams else counted

    def octets(self, event: Event) -> bytes:
        """Return the message of an event, framed as the transport wants it."""
        return self._frame(
            message(
                event,
                self._text(event),
                facility=FACILITIES[self._sink.facility],
                hostname=self._hostname,
                enterprise=self._sink.enterprise,
                octets=self._sink.max_octets,
            )
        )
