"""Faults of the process: killed, stopped, a thread that hangs. What it leaves, what it loses, and who notices."""

from __future__ import annotations

import ctypes
import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import dpkt
import pytest

from tests.live.faults import (
    RATED,
    all_are_accounted_for,
    call,
    changes_of_verdicts,
    configured,
    feeding,
    holds,
    judges,
    loading,
    of_code,
    stand_still,
    watching,
)
from tests.live.lab import LIBC, Mirror, Namespace, namespaces, running_sensor, wait_for

pytestmark = pytest.mark.live

BRIDGED_S = 2.0  # that the ring bridges at the rated load
STOPPED_S = 8.0  # longer than it bridges
HANG_S = 15.0  # in which a thread that hangs is noticed at the latest


@pytest.fixture
def namespace() -> Iterator[Namespace]:
    with namespaces("process") as (made,):
        Mirror(made).close()
        yield made


def test_process_that_stands_still_for_two_seconds_loses_nothing_at_the_rated_load(
    namespace: Namespace, tmp_path: Path
) -> None:
    with watching(namespace, tmp_path) as sensor, feeding(namespace) as feed:
        with loading(sensor, feed, RATED, BRIDGED_S + 1):
            stand_still(sensor, BRIDGED_S)
        found = all_are_accounted_for(sensor, feed)
        assert (found.dropped, found.reasons["shed"]) == (0, 0)


def test_process_that_stands_still_for_long_has_its_losses_counted_and_goes_on(
    namespace: Namespace, tmp_path: Path
) -> None:
    with watching(namespace, tmp_path) as sensor, feeding(namespace) as feed:
        with loading(sensor, feed, RATED, STOPPED_S + 1):
            stand_still(sensor, STOPPED_S)
        found = all_are_accounted_for(sensor, feed)
        assert found.dropped > 0
        (said,) = wait_for(lambda: of_code(sensor.events("finding_opened"), "sensor-loss"), "it is said")
        assert "packets dropped by the kernel" in said["evidence"][0]
        assert sensor.get("/-/healthy")[0] == 200
        judges(sensor, feed, 1)
        assert changes_of_verdicts(sensor) == 0


# Killed


def promiscuity(namespace: Namespace) -> int:
    """Return how many ask for promiscuous mode."""
    (link,) = json.loads(output(namespace, "ip", "-details", "-json", "link", "show", "span0"))
    return int(link["promiscuity"])


def output(namespace: Namespace, *command: str) -> str:
    return subprocess.run(namespace.command(*command), capture_output=True, text=True, check=True).stdout


def records(folder: Path) -> int:
    """Return how many packets are in files of evidence, which have to be whole."""
    count = 0
    for path in folder.iterdir():
        with path.open("rb") as file:
            found = [octets for _, octets in dpkt.pcap.Reader(file)]
        assert 24 + sum(16 + len(octets) for octets in found) == path.stat().st_size
        count += len(found)
    return count


def test_sensor_that_is_killed_under_load_leaves_nothing_behind_and_what_it_wrote_whole(
    namespace: Namespace, tmp_path: Path
) -> None:
    for name in ("state", "evidence"):
        (tmp_path / name).mkdir()
    path = configured(
        tmp_path,
        state={"directory": str(tmp_path / "state")},
        evidence={"directory": str(tmp_path / "evidence"), "packets": 100_000},
        sinks=[{"type": "syslog", "address": "127.0.0.1:9", "transport": "tcp", "spool": True}],
    )
    with feeding(namespace) as feed:
        for number in (1, 3):
            with running_sensor(namespace, tmp_path, "--config", path) as sensor:
                assert promiscuity(namespace) == 1
                waiting = sensor.metric("legwatch_sink_waiting_events", "syslog")
                assert waiting >= number // 2  # of those before it, none of which was delivered
                with loading(sensor, feed, RATED, 3.0):
                    judges(sensor, feed, number)

                    def has_evidence(number: int = number) -> bool:
                        feed.send(*call(number))
                        return sensor.metric("legwatch_evidence_packets_total") > 100

                    wait_for(has_evidence, "evidence")
                    sensor.process.kill()
                    assert sensor.process.wait(10) == -signal.SIGKILL
                assert promiscuity(namespace) == 0
            assert records(tmp_path / "evidence") > 100 * (number // 2 + 1)


# Hanging


class Ptrace:
    """Stops single threads, as a debugger does (ptrace(2))."""

    SEIZE, INTERRUPT, DETACH = 0x4206, 0x4207, 17
    WAIT_ALL = 0x40000000  # __WALL

    def __init__(self, thread: int) -> None:
        self._thread = thread

    def __enter__(self) -> None:
        self._ask(self.SEIZE)
        self._ask(self.INTERRUPT)
        os.waitpid(self._thread, self.WAIT_ALL)

    def __exit__(self, *_: object) -> None:
        self._ask(self.DETACH)

    def _ask(self, request: int) -> None:
        assert LIBC.ptrace(request, self._thread, None, None) == 0, os.strerror(ctypes.get_errno())


class Supervisor:
    """What systemd would hear."""

    def __init__(self, folder: Path) -> None:
        self.path = str(folder / "notify")
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(self.path)
        self._socket.setblocking(False)

    def heard(self) -> list[str]:
        """Return what came since the last call."""
        heard = []
        with suppress(BlockingIOError):
            while True:
                heard += self._socket.recv(4096).decode().splitlines()
        return heard

    def close(self) -> None:
        """Listen no longer."""
        self._socket.close()


@pytest.fixture
def supervisor(tmp_path: Path) -> Iterator[Supervisor]:
    made = Supervisor(tmp_path)
    yield made
    made.close()


@pytest.mark.parametrize("which", ["main", "capture"])
def test_thread_that_hangs_ends_the_signs_of_life_until_it_goes_on(
    namespace: Namespace, tmp_path: Path, supervisor: Supervisor, which: str
) -> None:
    cpu = min(os.sched_getaffinity(0))
    path = configured(tmp_path, capture={"cpus": [cpu]})
    told = ("env", f"NOTIFY_SOCKET={supervisor.path}", "WATCHDOG_USEC=1000000")
    with (
        running_sensor(namespace, tmp_path, "--config", path, confined_by=told) as sensor,
        feeding(namespace) as feed,
    ):
        judges(sensor, feed, 1)
        wait_for(lambda: "WATCHDOG=1" in supervisor.heard(), "a sign of life")
        process = sensor.process.pid
        threads = [int(task.name) for task in Path(f"/proc/{process}/task").iterdir()]
        (pinned,) = (thread for thread in threads if os.sched_getaffinity(thread) == {cpu})
        with Ptrace(process if which == "main" else pinned):
            feed.send(*call(3))
            wait_for(lambda: sensor.get("/-/healthy")[0] == 503, "it says that it hangs", HANG_S)
            holds(sensor, stuck="blind")
            supervisor.heard()
            time.sleep(1.5)
            assert "WATCHDOG=1" not in supervisor.heard()
        wait_for(lambda: sensor.get("/-/healthy")[0] == 200, "it goes on")
        wait_for(lambda: "WATCHDOG=1" in supervisor.heard(), "a sign of life again")
        judges(sensor, feed, 5)
        all_are_accounted_for(sensor, feed)
        assert sensor.stop() == 0
