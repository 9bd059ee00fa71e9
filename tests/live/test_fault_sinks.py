"""Receivers of events that refuse them for long: what waits arrives in order, what found no room is counted."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.live.faults import POLICY, all_are_accounted_for, call, ends_of, feeding, holds, of_code, watching
from tests.live.lab import Mirror, Namespace, Sensor, namespaces, wait_for
from tests.unit.sensor.alerts.receivers import OK, Server, read_request

pytestmark = pytest.mark.live

QUEUE, BATCH, CALLS = 16, 5, 60  # events that wait in memory, that one attempt sends, and more than these
UNAVAILABLE = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n"


@pytest.fixture
def namespace() -> Iterator[Namespace]:
    with namespaces("sinks") as (made,):
        Mirror(made).close()
        yield made


class Receiver:
    """Takes events by HTTP while it is up, from each sink by a path of its own."""

    def __init__(self, namespace: Namespace) -> None:
        self.up = False
        self.got: dict[str, list[dict[str, Any]]] = {}
        self._namespace = namespace
        with namespace.entered():
            self._server = Server(self._serve)

    def url(self, sink: str) -> str:
        """Where a sink is to send."""
        return f"http://127.0.0.1:{self._server.port}/{sink}"

    def close(self) -> None:
        """Take nothing more."""
        with self._namespace.entered():
            self._server.stop()

    def _serve(self, connection: socket.socket) -> bytes:
        head, _, body = read_request(connection).partition(b"\r\n\r\n")
        if not self.up:
            connection.sendall(UNAVAILABLE)
            return b""
        sink = head.split(b" ")[1].decode().strip("/")
        self.got.setdefault(sink, []).extend(json.loads(body))
        connection.sendall(OK)
        return body


@pytest.fixture
def receiver(namespace: Namespace) -> Iterator[Receiver]:
    made = Receiver(namespace)
    yield made
    made.close()


def became_of(sensor: Sensor, sink: str) -> tuple[int, int, int]:
    """Return how many events of a sink were delivered, were dropped, and wait."""
    now = sensor.metrics()
    names = (
        "legwatch_sink_delivered_events_total",
        "legwatch_sink_dropped_events_total",
        "legwatch_sink_waiting_events",
    )
    delivered, dropped, waiting = (int(now[name, sink]) for name in names)
    return delivered, dropped, waiting


def test_receiver_that_was_down_for_long_gets_what_waited_in_order_and_the_rest_is_counted(
    namespace: Namespace, tmp_path: Path, receiver: Receiver
) -> None:
    (tmp_path / "state").mkdir()
    sinks = [
        {
            "type": "webhook",
            "name": name,
            "url": receiver.url(name),
            "queue": QUEUE,
            "batch": BATCH,
            "spool": name == "disk",
        }
        for name in ("disk", "memory")
    ]
    sections = {"sinks": sinks, "state": {"directory": str(tmp_path / "state")}, "alerts": {"burst": 1000}}
    with watching(namespace, tmp_path, POLICY | {"media_idle": 60}, **sections) as sensor, feeding(namespace) as feed:
        for number in range(CALLS):
            feed.send(*call(number, packets=5))
        all_are_accounted_for(sensor, feed)
        wait_for(lambda: len(of_code(sensor.events("finding_opened"), "media-clear")) == CALLS, "all are found")
        holds(sensor, sink_down="degraded")
        wait_for(lambda: sum(became_of(sensor, "disk")) == sum(became_of(sensor, "memory")) >= CALLS, "all are put")
        assert became_of(sensor, "disk")[:2] == (0, 0)
        assert became_of(sensor, "memory")[1] > 0
        receiver.up = True
        for sink in ("disk", "memory"):
            wait_for(lambda: became_of(sensor, sink)[2] == 0, "nothing waits", 60)  # noqa: B023
            assert len(receiver.got[sink]) == became_of(sensor, sink)[0]
        holds(sensor, sink_down=None)
        hosts = [event["subject"]["a"] for event in of_code(receiver.got["disk"], "media-clear")]
        assert hosts == [ends_of(number)[0].ip for number in range(CALLS)]
        kept = [event["subject"]["a"] for event in of_code(receiver.got["memory"], "media-clear")]
        # What the thread took in hand made room: when it did so is a race with the events.
        assert QUEUE - 1 <= len(kept) <= QUEUE + BATCH
        assert kept[: QUEUE - 1] == hosts[: QUEUE - 1]  # beside the one of the clock, if it is not kept here
        assert kept == [host for host in hosts if host in kept]
