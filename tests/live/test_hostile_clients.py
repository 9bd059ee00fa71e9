"""Clients of the metrics endpoint that mean no good: the capture does not notice."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.live.lab import ROOT, Mirror, Namespace, namespaces, read_capture, running_sensor, wait_for

pytestmark = pytest.mark.live

CROWD = 1000
REQUEST = b"GET /metrics HTTP/1.1\r\nHost: sensor\r\nAuthorization: Basic d3Jvbmc6d3Jvbmc=\r\n\r\n"


@pytest.fixture
def namespace() -> Iterator[Namespace]:
    with namespaces("hostile") as (made,):
        yield made


def crowd(namespace: Namespace, stack: ExitStack) -> list[socket.socket]:
    """Return as many connections as a crowd makes, as far as they are taken."""
    taken = []
    with namespace.entered():
        for _ in range(CROWD):
            client = stack.enter_context(socket.socket())
            client.settimeout(5)
            try:
                client.connect(("127.0.0.1", 9767))
            except OSError:
                continue
            taken.append(client)
    return taken


def test_crowd_and_dawdlers_at_the_endpoint_cost_no_packet(
    namespace: Namespace, tmp_path_factory: pytest.TempPathFactory
) -> None:
    frames = read_capture(ROOT / "deploy" / "demo" / "clinic.pcap")
    mirror = Mirror(namespace)
    over = threading.Event()

    def dawdle(clients: list[socket.socket]) -> None:
        """Send an octet of a request at a time, as long as anybody listens."""
        for octet in REQUEST * 10:
            for client in clients:
                try:
                    client.send(bytes((octet,)))
                except OSError:
                    continue
            if over.wait(0.5):
                return

    with running_sensor(namespace, tmp_path_factory.mktemp("sensor")) as sensor, ExitStack() as stack:
        clients = crowd(namespace, stack)
        assert len(clients) > CROWD / 2
        dawdlers, scrapers = clients[: CROWD // 4], clients[CROWD // 4 :]
        thread = threading.Thread(target=dawdle, args=(dawdlers,))
        thread.start()
        for client in scrapers:
            try:
                client.send(REQUEST)
            except OSError:
                continue
        sent = mirror.replay(frames, speed=4)
        over.set()
        thread.join()
        for client in clients:
            client.close()
        wait_for(lambda: sensor.get("/metrics")[0] == 200, "a scraper that behaves is served again", 30)
        wait_for(lambda: sensor.metric("legwatch_received_packets_total") == len(sent), "every packet is there")
        assert sensor.metric("legwatch_kernel_dropped_packets_total") == 0
        refused = sum(
            sensor.metric("legwatch_http_requests_total", outcome) for outcome in ("busy", "timeout", "refused")
        )
        assert refused > 0
        assert sensor.stop() == 0
    mirror.close()
