"""The HTTP server: metrics for scrapers, two checks for supervisors, no patience for others."""

from __future__ import annotations

import http.client
import json
import socket
import threading
from collections.abc import Iterator
from types import SimpleNamespace

import pytest
from prometheus_client import CollectorRegistry, Gauge

from sensor.output import http as served
from sensor.output.http import MAX_REQUESTS, Server
from sensor.readiness import condition

NO_CLOCK = condition("clock", "no server of time keeps it")
DOWN = condition("link-down", "span0 is down")


@pytest.fixture
def state() -> SimpleNamespace:
    return SimpleNamespace(healthy=True, conditions=())


@pytest.fixture
def server(state: SimpleNamespace) -> Iterator[Server]:
    registry = CollectorRegistry()
    Gauge("legwatch_test", "A gauge.", registry=registry).set(3)
    server = Server("127.0.0.1", 0, registry, healthy=lambda: state.healthy, conditions=lambda: state.conditions)
    server.start()
    yield server
    server.stop()


def address(server: Server) -> tuple[str, int]:
    host, port = server.server_address[:2]
    return str(host), int(port)


def get(server: Server, path: str, method: str = "GET", **headers: str) -> tuple[int, str, str]:
    """Return status, content type and body."""
    connection = http.client.HTTPConnection(*address(server), timeout=5)
    try:
        connection.request(method, path, headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.headers["Content-Type"], answer.read().decode()
    finally:
        connection.close()


def test_scrape_gets_the_registry(server: Server) -> None:
    status, content_type, body = get(server, "/metrics")
    assert status == 200
    assert content_type.startswith("text/plain; version=")
    assert "legwatch_test 3.0" in body


def test_scrape_that_accepts_openmetrics_gets_openmetrics(server: Server) -> None:
    _, content_type, body = get(server, "/metrics", Accept="application/openmetrics-text; version=1.0.0")
    assert content_type.startswith("application/openmetrics-text")
    assert body.endswith("# EOF\n")


def test_sensor_in_which_nothing_moves_is_not_healthy(server: Server, state: SimpleNamespace) -> None:
    assert get(server, "/-/healthy")[0] == 200
    state.healthy = False
    assert get(server, "/-/healthy")[0] == 503


def test_blind_sensor_is_not_ready_and_says_every_reason_in_a_line(server: Server, state: SimpleNamespace) -> None:
    assert get(server, "/-/ready") == (200, "text/plain; charset=utf-8", "OK\n")
    state.conditions = (DOWN, NO_CLOCK)
    status, _, body = get(server, "/-/ready")
    assert status == 503
    assert body.splitlines() == [
        "Service Unavailable",
        "blind: link-down: span0 is down",
        "degraded: clock: no server of time keeps it",
    ]


def test_degraded_sensor_is_ready_and_says_why_all_is_not_well(server: Server, state: SimpleNamespace) -> None:
    state.conditions = (NO_CLOCK,)
    assert get(server, "/-/ready")[::2] == (200, "OK\ndegraded: clock: no server of time keeps it\n")
    assert get(server, "/-/healthy")[2] == "OK\n"


def test_readiness_is_json_for_who_accepts_that(server: Server, state: SimpleNamespace) -> None:
    assert json.loads(get(server, "/-/ready", Accept="application/json")[2]) == {"ready": True, "conditions": []}
    state.conditions = (DOWN,)
    status, kind, body = get(server, "/-/ready", Accept="text/html, application/json;q=0.9")
    assert (status, kind) == (503, "application/json")
    assert json.loads(body) == {
        "ready": False,
        "conditions": [{"level": "blind", "reason": "link-down", "text": "span0 is down"}],
    }


def test_other_path_is_told_what_there_is(server: Server) -> None:
    status, _, body = get(server, "/admin")
    assert status == 404
    assert "/metrics" in body


def test_head_has_no_body_and_post_is_refused(server: Server) -> None:
    assert get(server, "/metrics", "HEAD")[2] == ""
    assert get(server, "/metrics", "POST")[0] == 501


def test_port_in_use_is_an_error_at_once(server: Server) -> None:
    with pytest.raises(OSError, match="in use"):
        Server("127.0.0.1", address(server)[1], CollectorRegistry(), healthy=lambda: True, conditions=lambda: ())


def test_clients_that_say_nothing_are_dropped_and_more_than_the_limit_unheard(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(served, "HEAR_S", 0.5)
    threads = threading.active_count()
    silent = [socket.create_connection(address(server), timeout=5) for _ in range(MAX_REQUESTS + 4)]
    try:
        assert silent[-1].recv(1) == b""
        assert threading.active_count() <= threads + MAX_REQUESTS
        for client in silent:
            assert client.recv(1) == b""
    finally:
        for client in silent:
            client.close()
    assert get(server, "/-/healthy")[0] == 200


def test_nonsense_harms_nobody(server: Server) -> None:
    with socket.create_connection(address(server), timeout=5) as client:
        client.sendall(b"\x16\x03\x01\x00\xff\r\n\r\n")
        client.recv(4096)
    assert get(server, "/-/ready")[0] == 200
