"""Faults of the disk: full, read-only, hung. Packets and alerts go on, and what could not be written is counted."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from sensor.network.baseline import Known
from sensor.state.baseline import BaselineFile
from tests.live.disk import Disk
from tests.live.faults import Feed, all_are_accounted_for, call, configured, feeding, holds, judges, watching
from tests.live.lab import LEGWATCH, STAY_ROOT, Mirror, Namespace, Sensor, namespaces, running, wait_for

pytestmark = pytest.mark.live

HUNG_S = 11.0  # longer than a loop may stand still without being taken for stuck


@pytest.fixture
def namespace() -> Iterator[Namespace]:
    with namespaces("disk") as (made,):
        Mirror(made).close()
        yield made


class Fault(NamedTuple):
    """How it is brought about, how it ends, how long it lasts, and whether anything is written again then."""

    begin: Callable[[Disk], None]
    end: Callable[[Disk], None]
    lasts_s: float = 0.0
    mends: bool = True


FAULTS = {
    "full": Fault(Disk.fill, Disk.make_room),
    "hung": Fault(Disk.hang, Disk.go_on, HUNG_S),
    "read-only": Fault(Disk.break_down, Disk.stay, mends=False),
}


@contextmanager
def faulty(disk: Disk, fault: Fault) -> Iterator[float]:
    """Have the fault while the block lasts; give when it began."""
    fault.begin(disk)
    try:
        yield time.monotonic()
    finally:
        fault.end(disk)


def everything_on(disk: Disk, folder: Path) -> dict[str, Any]:
    """Return the sections of a configuration by which all is written to the disk, and one sink elsewhere."""
    (folder / "elsewhere").mkdir()
    return {
        "state": {"directory": str(disk.place / "state")},
        "evidence": {"directory": str(disk.place / "evidence"), "seconds": 600, "packets": 10_000},
        "sinks": [
            {"type": "file", "name": "here", "path": str(disk.place / "alerts" / "log")},
            {"type": "file", "name": "elsewhere", "path": str(folder / "elsewhere" / "log")},
            {"type": "syslog", "name": "spooled", "address": "127.0.0.1:9", "transport": "tcp", "spool": True},
        ],
    }


def told(path: Path) -> set[str]:
    """Return the hosts of the findings that a file was told of."""
    lines = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    return {line["subject"].get("a") for line in lines if line["event"] == "finding_opened"}


def is_evidence_taken(sensor: Sensor, feed: Feed, number: int) -> bool:
    """Send on a call that a finding is about; say whether headers of it are written."""
    before = sensor.metric("legwatch_evidence_packets_total")
    feed.send(*call(number))
    time.sleep(0.1)
    return sensor.metric("legwatch_evidence_packets_total") > before


def leave_something_to_forget(state: Path) -> None:
    """Have an endpoint in the baseline that was not seen for so long that reading it means writing."""
    file = BaselineFile(state)
    assert file.save({"10.60.0.1": Known(1, 1)}, {"10.60.0.1"}, 1, file.load().generation)


def is_said(sensor: Sensor) -> bool:
    """Whether metrics say that the sink on the disk is down, that no other one is, and that state cannot be kept."""
    now = sensor.metrics()
    sinks = [now["legwatch_sink_up", name] for name in ("here", "elsewhere")]
    return sinks == [0, 1] and now["legwatch_state_errors_total",] > 0


@pytest.mark.parametrize("name", FAULTS)
def test_disk_that_fails_costs_what_it_should_have_kept_and_nothing_else(
    namespace: Namespace, disk: Disk, tmp_path: Path, name: str
) -> None:
    fault = FAULTS[name]
    here, elsewhere = disk.place / "alerts" / "log", tmp_path / "elsewhere" / "log"
    with watching(namespace, tmp_path, **everything_on(disk, tmp_path)) as sensor, feeding(namespace) as feed:
        judges(sensor, feed, 1)
        wait_for(lambda: "10.60.1.1" in told(here), "it is on the disk")
        wait_for(lambda: is_evidence_taken(sensor, feed, 1), "evidence is on the disk")
        reloads = len(sensor.events("reloaded"))
        leave_something_to_forget(disk.place / "state")
        with faulty(disk, fault) as began:
            sensor.process.send_signal(signal.SIGHUP)  # by which the state directory is read
            judges(sensor, feed, 3)
            feed.send(*call(3))
            wait_for(lambda: "10.60.3.1" in told(elsewhere), "it is told elsewhere")
            wait_for(lambda: len(sensor.events("reloaded")) > reloads, "the configuration is taken")
            while time.monotonic() < began + fault.lasts_s:
                assert sensor.get("/-/healthy")[0] == 200
                time.sleep(0.2)
            judges(sensor, feed, 5)
            assert all_are_accounted_for(sensor, feed).dropped == 0
            wait_for(lambda: is_said(sensor), "the fault is counted")
            holds(sensor, evidence_unwritable="blind", sink_down="degraded")
            if name != "full":  # there a database may have room of its own
                holds(sensor, state_unwritable="degraded")
        if fault.mends:
            wait_for(lambda: {"10.60.3.1", "10.60.5.1"} <= told(here), "the sink has what waited")
            wait_for(lambda: is_evidence_taken(sensor, feed, 5), "evidence is taken again")
            wait_for(lambda: sensor.metric("legwatch_sink_up", "here"), "the sink is up")
            holds(sensor, evidence_unwritable=None)
        judges(sensor, feed, 7)
        all_are_accounted_for(sensor, feed)


# What the sensor says of itself, to a file or to whoever started it

CALLS = 120  # whose events are more than a pipe holds


@contextmanager
def saying(namespace: Namespace, folder: Path, to: int) -> Iterator[Sensor]:
    """Run a sensor that says everything to a descriptor, which is closed here."""
    path = configured(folder, alerts={"settle": 0, "burst": 1000})
    command = namespace.command(*LEGWATCH, "run", *STAY_ROOT, "-i", "span0", "--config", path)
    with running(command, stdout=to) as process:
        os.close(to)
        sensor = Sensor(namespace, process, folder / "none")
        wait_for(sensor.ready, "it is ready")
        yield sensor


def stdout(sensor: Sensor) -> tuple[float, float]:
    """Return how many events were written, and how many could not be."""
    now = sensor.metrics()
    return now["legwatch_sink_delivered_events_total", "stdout"], now["legwatch_sink_dropped_events_total", "stdout"]


def finds(sensor: Sensor, feed: Feed, first: int, last: int) -> None:
    """Send short calls in clear; wait until each has its finding."""
    code = ("legwatch_findings_opened_total", "media-clear", "critical")
    before = sensor.metric(*code)
    for number in range(first, last):
        feed.send(*call(number, packets=5))
    wait_for(lambda: sensor.metric(*code) == before + last - first, "all are found")
    assert sensor.get("/-/healthy")[0] == 200


@pytest.mark.parametrize("to", ["pipe", "full-device"])
def test_output_that_takes_no_more_costs_whole_lines_which_are_counted(
    namespace: Namespace, tmp_path: Path, to: str
) -> None:
    ours, theirs = os.pipe() if to == "pipe" else (os.open(os.devnull, os.O_RDONLY), os.open("/dev/full", os.O_WRONLY))
    with os.fdopen(ours, "rb") as reader, feeding(namespace) as feed:
        with saying(namespace, tmp_path, theirs) as sensor:
            finds(sensor, feed, 0, CALLS)
            all_are_accounted_for(sensor, feed)
            written, dropped = stdout(sensor)
            assert sensor.stop() == 0
        assert dropped > 0
        assert written + dropped > CALLS
        assert len([json.loads(line) for line in reader]) == written


def test_output_to_a_full_disk_goes_on_with_whole_lines_when_there_is_room(
    namespace: Namespace, disk: Disk, tmp_path: Path
) -> None:
    log = disk.place / "log"
    with log.open("wb") as file:
        to = os.dup(file.fileno())
    with saying(namespace, tmp_path, to) as sensor, feeding(namespace) as feed:
        finds(sensor, feed, 0, 20)
        disk.fill()
        finds(sensor, feed, 20, 60)
        dropped = stdout(sensor)[1]
        assert dropped > 0
        disk.make_room()
        finds(sensor, feed, 60, 80)
        assert stdout(sensor) == (len([json.loads(line) for line in log.read_text().splitlines()]), dropped)
        all_are_accounted_for(sensor, feed)
        assert sensor.stop() == 0
