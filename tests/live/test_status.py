"""A running sensor says whether it sees, why not, and what it sees: to probes, to metrics, to who stands before it."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import signal
import socket
import struct
import subprocess
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from sensor.readiness import LEVELS
from tests import canaries
from tests.live.disk import Disk
from tests.live.faults import call, feeding, watching
from tests.live.lab import (
    LEGWATCH,
    ROOT,
    Mirror,
    Namespace,
    Sensor,
    read_capture,
    run_to_end,
    running_sensor,
    wait_for,
)
from tests.live.test_fault_disk import everything_on
from tests.unit.sensor.status import VALIDATOR, asked

CLINIC = ROOT / "deploy" / "demo" / "clinic.pcap"


pytestmark = [pytest.mark.live, pytest.mark.usefixtures("mirror")]


def reasons(sensor: Sensor) -> set[str]:
    """Return the reasons that probes are told; metrics must say the same, as must the answer's status."""
    status, body = sensor.get("/-/ready")
    lines = [line.split(": ") for line in body.splitlines()[1:]]
    assert all(LEVELS[reason] == level for level, reason, *_ in lines)  # type: ignore[index]
    assert (status == 503) == any(level == "blind" for level, *_ in lines)
    return {reason for _, reason, *_ in lines} - {"clock"}  # of this machine's own clock nothing is to be known


def says(sensor: Sensor, *wanted: str, seconds: float = 15.0) -> None:
    """Wait until these are the reasons, in the probe's answer and in the metrics."""

    def shown() -> set[str]:
        samples = sensor.metrics().items()
        return {labels[-1] for labels, value in samples if labels[0] == "legwatch_condition" and value} - {"clock"}

    wait_for(lambda: reasons(sensor) == shown() == set(wanted), f"{wanted or 'nothing'} holds", seconds)
    blind = any(LEVELS[reason] == "blind" for reason in wanted)  # type: ignore[index]
    assert sensor.metric("legwatch_ready") == (not blind)


def said(sensor: Sensor) -> list[set[str]]:
    """Return the reasons of each change that the journal has."""
    changes = [event["holding"] for event in sensor.events("conditions_changed")]
    return [{line.split(": ")[1] for line in holding} - {"clock"} for holding in changes]


# Blind, and why.


def test_interface_down_blinds_until_it_is_up(namespace: Namespace, mirror: Mirror, tmp_path: Path) -> None:
    with watching(namespace, tmp_path) as sensor:
        says(sensor)
        mirror.set_state("span0", "down")
        says(sensor, "link-down")
        assert "blind: link-down: span0 is down" in sensor.get("/-/ready")[1]
        assert sensor.get("/-/healthy")[0] == 200
        mirror.set_state("span0", "up")
        says(sensor)
        assert said(sensor)[-2:] == [{"link-down"}, set()]


def test_silence_blinds_until_it_is_over(namespace: Namespace, tmp_path: Path) -> None:
    with watching(namespace, tmp_path, {"no_traffic_after": 1}) as sensor, feeding(namespace) as feed:
        says(sensor, "no-traffic")
        deadline = time.monotonic() + 3
        while time.monotonic() < deadline:
            feed.send(*call(1, packets=1))
            time.sleep(0.1)
        assert "no-traffic" not in reasons(sensor)


def test_voice_that_stops_blinds_and_voice_that_never_was_degrades(namespace: Namespace, tmp_path: Path) -> None:
    other = bytes.fromhex("ffffffffffff020000000001" + "0806") + bytes(46)
    policy: dict[str, object] = {"no_voice_after": 2, "media_idle": 1, "no_traffic_after": 3600}
    with watching(namespace, tmp_path, policy) as sensor, feeding(namespace) as feed:
        feed.send(other)
        says(sensor, "no-voice-yet")
        assert sensor.ready()
        feed.send(*call(2))
        says(sensor)
        says(sensor, "no-voice")
        assert not sensor.ready()


def test_packets_lost_beyond_the_policy_blind_for_the_minute_that_they_are_in(
    namespace: Namespace, tmp_path: Path
) -> None:
    with (
        watching(namespace, tmp_path, capture={"ring_mib": 1, "block_kib": 64}) as sensor,
        feeding(namespace) as feed,
    ):
        sensor.process.send_signal(signal.SIGSTOP)
        for _ in range(100):
            feed.send(*call(3))
        sensor.process.send_signal(signal.SIGCONT)
        wait_for(lambda: {"drops", "loss"} <= reasons(sensor), "loss blinds")
        assert not sensor.ready()
        assert "dropped by the kernel" in sensor.get("/-/ready")[1]
        assert sensor.metric("legwatch_kernel_dropped_packets_total") > 100


def test_evidence_that_cannot_be_written_blinds_until_it_can(namespace: Namespace, tmp_path: Path) -> None:
    folder = tmp_path / "evidence"
    folder.mkdir(mode=0o700)
    with watching(namespace, tmp_path, evidence={"directory": str(folder)}) as sensor, feeding(namespace) as feed:
        says(sensor)
        folder.chmod(0o500)  # the sensor is root here, and has no right to go beyond that
        feed.send(*call(4))
        wait_for(lambda: sensor.events("finding_opened"), "a finding")

        def is_blind() -> bool:
            feed.send(*call(4))
            return reasons(sensor) == {"evidence-unwritable"}

        wait_for(is_blind, "its packets cannot be kept")
        assert "Permission denied" in sensor.get("/-/ready")[1]
        folder.chmod(0o700)
        says(sensor)


# Degraded.


def test_lesser_ills_degrade_each_by_its_reason_and_end_with_it(namespace: Namespace, tmp_path: Path) -> None:
    sinks = [{"type": "webhook", "url": "http://127.0.0.1:9/"}]
    with watching(namespace, tmp_path, sinks=sinks) as sensor, feeding(namespace) as feed:
        says(sensor)
        feed.send(*call(5))
        says(sensor, "sink-down")
        assert sensor.ready()
        config = tmp_path / "legwatch.yaml"
        good = config.read_text()
        config.write_text("policy: {grase: 1}")
        sensor.process.send_signal(signal.SIGHUP)
        says(sensor, "sink-down", "reload-failed")
        config.write_text(good)
        sensor.process.send_signal(signal.SIGHUP)
        says(sensor, "sink-down")


def test_full_disk_blinds_by_evidence_and_degrades_by_state_and_sink_until_there_is_room(
    namespace: Namespace, disk: Disk, tmp_path: Path
) -> None:
    of_disk = {"evidence-unwritable", "state-unwritable", "sink-down"}
    numbers = iter(range(40, 240))
    with watching(namespace, tmp_path, **everything_on(disk, tmp_path)) as sensor, feeding(namespace) as feed:

        def says_after_a_call() -> set[str]:
            feed.send(*call(next(numbers)), *call(40))  # a new finding, and packets of one that is known
            time.sleep(0.5)
            return reasons(sensor)

        disk.fill()
        wait_for(lambda: of_disk <= says_after_a_call(), "it says what is full")
        assert "No space left on device" in sensor.get("/-/ready")[1]
        disk.make_room()
        # The baseline is written every half minute.
        wait_for(lambda: not (of_disk - {"sink-down"}) & says_after_a_call(), "it says that there is room", 45)


# The status socket.


@contextmanager
def telling(namespace: Namespace, folder: Path, **sections: Any) -> Iterator[tuple[Sensor, Path]]:
    """Run a sensor with a status socket."""
    path = folder / "status.sock"
    with watching(namespace, folder, status={"socket": str(path)}, **sections) as sensor:
        yield sensor, path


def test_status_of_a_running_sensor_is_by_the_schema_and_tells_what_it_sees(
    namespace: Namespace, mirror: Mirror, tmp_path: Path
) -> None:
    with telling(namespace, tmp_path) as (sensor, path), feeding(namespace) as feed:
        start = time.monotonic()
        feed.send(*call(8))
        wait_for(lambda: asked(path)["legs"]["clear"] == 1, "the leg")
        mirror.replay(read_capture(CLINIC)[:2000], speed=50)
        wait_for(lambda: asked(path)["packets"]["received"] >= 2100, "the packets")
        status = asked(path)
        VALIDATOR.validate(status)
        assert status["rates"]["received"] > 100
        assert status["pid"] == sensor.process.pid
        assert status["uptime_s"] >= time.monotonic() - start - 1
        codes = {each["code"] for each in status["findings"]["newest"]}
        assert {"media-clear", "signalling-clear"} <= codes
        assert status["findings"]["by_severity"]["critical"] >= 1
        assert status["in_clear"]
    assert not path.exists()


def test_planted_secrets_are_in_no_status(namespace: Namespace, mirror: Mirror, tmp_path: Path) -> None:
    with telling(namespace, tmp_path, privacy={"addresses": "pseudonym"}) as (sensor, path):
        mirror.replay(canaries.frames(), 4)
        wait_for(lambda: {"sdes-key-exposed"} <= {e["code"] for e in sensor.events("finding_opened")}, "findings")
        time.sleep(0.6)
        with top(path) as terminal:
            terminal.shows("signalling-clear")
        text = json.dumps(asked(path)) + terminal.said.decode()
        printed = subprocess.run(
            [*LEGWATCH, "status", "--socket", str(path)], cwd=ROOT, capture_output=True, text=True, check=False
        )
    assert "sdes-key-exposed" in text
    assert printed.returncode == 0, printed.stderr
    assert not canaries.leaks(text + printed.stdout)
    assert "10.33." not in text + printed.stdout


def test_clients_that_crowd_and_dawdle_cost_no_packet(namespace: Namespace, mirror: Mirror, tmp_path: Path) -> None:
    clinic = read_capture(CLINIC)
    with telling(namespace, tmp_path) as (sensor, path):
        clients = [socket.socket(socket.AF_UNIX) for _ in range(300)]
        for client in clients:
            client.setblocking(False)
            client.connect_ex(str(path))
        sent = mirror.replay(clinic, speed=10)
        wait_for(lambda: sensor.metric("legwatch_received_packets_total") == len(sent), "every packet is there")
        for client in clients:
            client.close()
        assert asked(path)["packets"]["kernel_drops"] == 0


def test_killed_sensors_socket_is_replaced_and_a_living_ones_is_not(namespace: Namespace, tmp_path: Path) -> None:
    with telling(namespace, tmp_path) as (sensor, path):
        config = str(tmp_path / "legwatch.yaml")
        status, err = run_to_end(namespace, "run", "-i", "span0", "--config", config, "--listen", "127.0.0.1:9768")
        assert status == 2
        assert err == f"{path}: another sensor answers there; status.socket in the configuration names another path\n"
        assert asked(path)["pid"] == sensor.process.pid
    with running_sensor(namespace, tmp_path, "--config", config) as killed:
        killed.process.kill()
        killed.process.wait()
        assert path.is_socket()
    with telling(namespace, tmp_path) as (sensor, path):
        assert asked(path)["pid"] == sensor.process.pid


def test_socket_where_none_can_be_is_2(namespace: Namespace, tmp_path: Path) -> None:
    config = tmp_path / "legwatch.yaml"
    config.write_text("status: {socket: /nonesuch/status.sock}")
    status, err = run_to_end(namespace, "run", "-i", "span0", "--config", str(config))
    assert status == 2
    assert err.startswith("/nonesuch/status.sock: No such file or directory;")
    assert err.count("\n") == 1


# The live view, in a terminal of its own.


class Terminal:
    """A pseudo-terminal with ``legwatch top`` in it."""

    def __init__(self, path: Path, rows: int = 24, columns: int = 80) -> None:
        self.said = b""
        self._master, slave = pty.openpty()
        self._size(rows, columns)
        os.set_blocking(self._master, False)
        environment = os.environ | {"TERM": "xterm-256color"}
        self.process = subprocess.Popen(
            [*LEGWATCH, "top", "--socket", str(path)],
            cwd=ROOT,
            env=environment,
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
        )
        os.close(slave)

    def resize(self, rows: int, columns: int) -> None:
        """Make the terminal another size."""
        self._size(rows, columns)
        self.process.send_signal(signal.SIGWINCH)

    def shows(self, *texts: str) -> None:
        """Wait until all of these have come since the last time."""
        self.said = b""

        def look() -> bool:
            with suppress(BlockingIOError):
                self.said += os.read(self._master, 1 << 16)
            return all(text.encode() in self.said for text in texts)

        wait_for(look, f"{texts} on the terminal")

    def press(self, key: str) -> None:
        """Press a key."""
        os.write(self._master, key.encode())

    def close(self) -> None:
        """End it, whatever it does."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        os.close(self._master)

    def _size(self, rows: int, columns: int) -> None:
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))


@contextmanager
def top(path: Path) -> Iterator[Terminal]:
    """Run ``legwatch top`` while the block lasts."""
    terminal = Terminal(path)
    try:
        yield terminal
    finally:
        terminal.close()


def test_live_view_shows_a_call_in_clear_as_it_is_found_and_q_ends_it(namespace: Namespace, tmp_path: Path) -> None:
    with telling(namespace, tmp_path) as (_, path), feeding(namespace) as feed, top(path) as terminal:
        terminal.shows("Legs now", "Rates", "Newest findings")
        feed.send(*call(6))
        terminal.shows("media-clear", "10.60.6.1")
        terminal.resize(40, 120)
        terminal.shows("media-clear")
        terminal.press("q")
        terminal.shows("\x1b[?1049l")  # the screen that was there before
        assert terminal.process.wait(5) == 0


def test_live_view_says_that_the_sensor_is_gone_and_shows_the_next_one(namespace: Namespace, tmp_path: Path) -> None:
    with telling(namespace, tmp_path) as (_, path):
        pass
    with top(path) as terminal:
        terminal.shows("NO SENSOR")
        with telling(namespace, tmp_path):
            terminal.shows("span0")
        terminal.shows("NO SENSOR")
        terminal.press("q")
        assert terminal.process.wait(10) == 0


def test_status_is_what_the_command_prints(namespace: Namespace, mirror: Mirror, tmp_path: Path) -> None:
    def printed(*options: str) -> tuple[int, str]:
        command = [*LEGWATCH, "status", "--socket", str(tmp_path / "status.sock"), *options]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        return done.returncode, done.stdout

    with telling(namespace, tmp_path):
        status, text = printed("--json")
        assert status == 0
        VALIDATOR.validate(json.loads(text))
        mirror.set_state("span0", "down")
        wait_for(lambda: printed()[0] == 1, "it is blind")
        text = printed()[1]
        mirror.set_state("span0", "up")
    assert "✗ BLIND" in text
    assert "span0 is down" in text
    assert printed()[0] == 2
