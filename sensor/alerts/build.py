"""From the configuration to deliveries."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from sensor.alerts.delivery import Delivery, Say, Shelf
from sensor.alerts.sender import Sender
from sensor.alerts.senders.file import File
from sensor.alerts.senders.hep import Hep
from sensor.alerts.senders.journald import Journald
from sensor.alerts.senders.syslog import Syslog
from sensor.alerts.senders.web import Alertmanager, Webhook
from sensor.config.sinks import (
    AlertmanagerSink,
    AnySink,
    FileSink,
    HepSink,
    JournaldSink,
    SyslogSink,
    WebhookSink,
)


def deliveries(
    sinks: Sequence[AnySink], shelf: Callable[[str], Shelf] | None, sensor: str, *, say: Say | None = None
) -> list[Delivery]:
    """Return a delivery for each sink, not started yet; OSError when one cannot be made.

    ``shelf`` returns what waits on disk for the sink of a name, ``sensor`` is what the sensor is called; ``say`` is
    called by the deliveries' threads.
    """
    return [_delivery(sink, shelf, sensor, say) for sink in sinks]


def _delivery(sink: AnySink, shelf: Callable[[str], Shelf] | None, sensor: str, say: Say | None) -> Delivery:
    if sink.spool and shelf is None:
        raise FileNotFoundError(f"sink {sink.label}: a spool needs a state directory")
    made = partial(
        Delivery,
        sink.label,
        sender_of(sink, sensor),
        queue=sink.queue,
        min_severity=sink.min_severity,
        shelf=shelf(sink.label) if shelf is not None else None,
        spool_octets=sink.spool * sink.spool_mib << 20,
    )
    return made() if say is None else made(say=say)


def sender_of(sink: AnySink, sensor: str) -> Sender:
    """Return what sends for a sink; OSError for an unusable key."""
    match sink:
        case FileSink():
            return File(sink)
        case JournaldSink():
            return Journald()
        case SyslogSink():
            return Syslog(sink, sensor)
        case AlertmanagerSink():
            return Alertmanager(sink)
        case WebhookSink():
            return Webhook(sink)
        case HepSink():
            return Hep(sink)
