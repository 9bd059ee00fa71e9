"""Faults of memory: what finds none is refused and counted, and where even Python has none the sensor ends at once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.live.faults import POLICY, all_are_accounted_for, configured, feeding, holds, judges, of_code
from tests.live.lab import Mirror, Namespace, Sensor, namespaces, running_sensor, wait_for
from tests.packets import End, ethernet, tcp, udp
from tests.refusing_malloc import Refusal, preload

pytestmark = pytest.mark.live

FLOWS = 3000  # the index of a new engine has room for 2048
INVITE = b"INVITE sip:b@example.com SIP/2.0\r\nCall-ID: %d\r\nCSeq: 1 INVITE\r\nContent-Length: 0\r\n\r\n"


@pytest.fixture
def namespace() -> Iterator[Namespace]:
    with namespaces("memory") as (made,):
        Mirror(made).close()
        yield made


@pytest.fixture
def preloaded(tmp_path: Path) -> list[str]:
    return ["env", *(f"{name}={value}" for name, value in preload(tmp_path).items())]


@pytest.fixture
def sensor(namespace: Namespace, tmp_path: Path, preloaded: list[str]) -> Iterator[Sensor]:
    path = configured(tmp_path, POLICY | {"resolve_after": 1})
    with running_sensor(namespace, tmp_path, "--config", path, confined_by=preloaded) as made:
        yield made


@pytest.fixture
def refusal(sensor: Sensor) -> Refusal:
    return Refusal(sensor.output.with_name("refusing_malloc"))


def call_by_tcp(number: int) -> bytes:
    return ethernet(tcp(INVITE % number, End(f"10.63.0.{number}", 40000), End("10.63.1.1", 5060)))


def in_clear(sensor: Sensor) -> set[str]:
    return {event["subject"]["a"] for event in of_code(sensor.events("finding_opened"), "signalling-clear")}


def test_core_without_memory_refuses_what_needs_some_and_goes_on(
    namespace: Namespace, sensor: Sensor, refusal: Refusal
) -> None:
    others = [ethernet(udp(b"x" * 30, End("10.64.0.1", 1024 + n), End("10.64.0.2", 9))) for n in range(FLOWS)]
    with feeding(namespace) as feed:
        refusal.refuse()
        feed.send(*(call_by_tcp(number) for number in range(1, 21)))
        judges(sensor, feed, 1)
        feed.send(*others)
        found = all_are_accounted_for(sensor, feed)
        assert sensor.metric("legwatch_refused_conversations_total") == 20
        assert found.reasons["shed"] == 20 + 2 + FLOWS - sensor.metric("legwatch_flows_begun_total")
        assert not in_clear(sensor)
        wait_for(lambda: of_code(sensor.events("finding_opened"), "sensor-loss"), "it is said")
        holds(sensor, loss="degraded")
        assert refusal.end().refused > 20
        feed.send(*others, call_by_tcp(1))
        after = all_are_accounted_for(sensor, feed)
        assert after.reasons["shed"] == found.reasons["shed"]
        wait_for(lambda: in_clear(sensor) == {"10.63.0.1"}, "signalling in clear is found again")
        judges(sensor, feed, 3)
        wait_for(lambda: of_code(sensor.events("finding_resolved"), "sensor-loss"), "it is over")
    assert sensor.stop() == 0


def test_sensor_without_any_memory_ends_at_once_so_that_it_is_started_again(sensor: Sensor, refusal: Refusal) -> None:
    refusal.refuse(everybody=True)
    assert sensor.process.wait(10) not in {0, 2}  # status 2 is the only one after which systemd would not
