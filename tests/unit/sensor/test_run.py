"""``legwatch run`` on the loopback interface, as a real process that gets real packets and signals."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.process import STAY_ROOT
from tests.unit.sensor.packets import CALL_ID, KEY, USER, invite

pytestmark = pytest.mark.live

ROOT = Path(__file__).parents[3]
PATIENCE_S = 10.0


class Sensor:
    """A running sensor that sees only what is sent to ``media``."""

    def __init__(self, folder: Path) -> None:
        self.config = folder / "legwatch.yaml"
        self.config.write_text("{}\n")
        self.log = folder / "log.jsonl"
        self.peer = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.peer.bind(("127.0.0.1", 0))
        self.supervisor = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.supervisor.bind(str(folder / "notify"))
        self.supervisor.settimeout(PATIENCE_S)
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.listen = f"127.0.0.1:{free.getsockname()[1]}"
        self.argv = [
            *(sys.executable, "-m", "sensor", "run", *STAY_ROOT, "-i", "lo", "--config", str(self.config)),
            *("--listen", self.listen, "--filter", f"udp port {self.port}"),
        ]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                self.argv,
                cwd=ROOT,
                stdout=log,
                stderr=log,
                env=os.environ | {"NOTIFY_SOCKET": str(folder / "notify"), "WATCHDOG_USEC": "400000"},
            )
        assert self.told() == "READY=1"

    @property
    def port(self) -> int:
        return int(self.peer.getsockname()[1])

    def told(self) -> str:
        """Return what systemd was told next; heartbeat, status and store of descriptors left out."""
        while (text := self.supervisor.recv(4096).decode()).startswith(("WATCHDOG=1", "STATUS=", "FDSTOREREMOVE=1")):
            pass
        return text

    def send(self, datagram: bytes) -> None:
        self.peer.sendto(datagram, ("127.0.0.1", self.port))

    def get(self, path: str) -> str:
        with urllib.request.urlopen(f"http://{self.listen}{path}", timeout=PATIENCE_S) as answer:
            return str(answer.read().decode())

    def metric(self, name: str) -> float:
        lines = (line.rpartition(" ") for line in self.get("/metrics").splitlines())
        return next(float(value) for label, _, value in lines if label == name)

    def events(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.log.read_text().splitlines()]

    def stop(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(PATIENCE_S)

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.peer.close()
        self.supervisor.close()


@pytest.fixture
def sensor(tmp_path: Path) -> Iterator[Sensor]:
    sensor = Sensor(tmp_path)
    yield sensor
    sensor.close()


def eventually(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)


def test_start_says_ready_and_both_checks_agree(sensor: Sensor) -> None:
    assert (sensor.get("/-/ready"), sensor.get("/-/healthy")) == ("OK\n", "OK\n")
    assert sensor.metric("legwatch_capture_up") == 1
    assert [event["event"] for event in sensor.events()] == ["started", "ready"]
    assert list(sensor.events()[0])[:3] == ["time", "level", "event"]


def test_sip_in_clear_opens_a_finding_that_metrics_and_events_show_and_no_canary_does(sensor: Sensor) -> None:
    sensor.send(invite())
    eventually(lambda: sensor.metric('legwatch_findings{code="signalling-clear",severity="high",state="open"}') == 1)
    assert sensor.metric("legwatch_sip_messages_total") == 1
    scrape = sensor.get("/metrics")
    assert sensor.stop() == 0
    log = sensor.log.read_text()
    assert "finding_opened" in log
    for canary in (USER, USER[1:], CALL_ID, KEY):
        assert canary not in log + scrape


def test_scrape_of_a_running_sensor_pleases_promtool(sensor: Sensor) -> None:
    sensor.send(invite())
    done = subprocess.run(
        ["promtool", "check", "metrics"], input=sensor.get("/metrics"), capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_stop_drains_says_so_and_is_0(sensor: Sensor, number: int) -> None:
    for _ in range(50):
        sensor.send(invite())
    assert sensor.stop(number) == 0
    assert sensor.told() == "STOPPING=1"
    last = sensor.events()[-1]
    assert (last["event"], last["packets"]) == ("stopped", 50)


def test_reload_of_a_good_file_takes_it(sensor: Sensor) -> None:
    before = sensor.metric("legwatch_config_last_reload_success_timestamp_seconds")
    sensor.config.write_text("policy: {grace: 1}\ncapture: {ring_mib: 8}\n")
    sensor.process.send_signal(signal.SIGHUP)
    assert sensor.told().startswith("RELOADING=1\nMONOTONIC_USEC=")
    assert sensor.told() == "READY=1"
    assert sensor.metric("legwatch_config_last_reload_success_timestamp_seconds") > before
    assert sensor.events()[-1]["restart_needed_for"] == ["capture"]


def test_reload_of_a_bad_file_keeps_the_old_one_and_says_so(sensor: Sensor) -> None:
    before = sensor.metric("legwatch_config_last_reload_success_timestamp_seconds")
    sensor.config.write_text("policy: {grase: 1}\n")
    sensor.process.send_signal(signal.SIGHUP)
    assert [sensor.told().partition("\n")[0] for _ in range(2)] == ["RELOADING=1", "READY=1"]
    assert sensor.metric("legwatch_config_last_reload_successful") == 0
    assert sensor.metric("legwatch_config_last_reload_success_timestamp_seconds") == before
    assert "policy.grase" in sensor.events()[-1]["faults"][0]
    sensor.config.write_text("{}\n")
    sensor.process.send_signal(signal.SIGHUP)
    eventually(lambda: sensor.metric("legwatch_config_last_reload_successful") == 1)


def test_second_start_on_the_same_port_is_one_line_and_2(sensor: Sensor) -> None:
    done = subprocess.run(sensor.argv, cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1
    assert "in use" in done.stderr


def test_heartbeat_goes_on_while_the_link_is_silent(sensor: Sensor) -> None:
    told = [sensor.supervisor.recv(4096).decode() for _ in range(6)]
    assert told.count("WATCHDOG=1") >= 5
    assert sensor.get("/-/healthy") == "OK\n"


def test_supervisor_that_does_not_listen_holds_nobody_up(sensor: Sensor) -> None:
    time.sleep(4)  # more heartbeats than its socket's queue has room for
    assert sensor.get("/-/healthy") == "OK\n"
    assert sensor.stop() == 0


def test_stopped_sensor_serves_nothing(sensor: Sensor) -> None:
    sensor.stop()
    with pytest.raises(urllib.error.URLError):
        sensor.get("/metrics")
