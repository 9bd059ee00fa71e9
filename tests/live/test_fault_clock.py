"""Faults of the wall clock of a running sensor: it is set, or nobody keeps it. The machine's own is left alone.

The kernel stamps packets: what becomes of those when its clock is set is in ``tests/golden/test_clock.py``.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.live.faults import all_are_accounted_for, configured, feeding, holds, judges, of_code
from tests.live.lab import ROOT, Mirror, Namespace, Sensor, namespaces, running_sensor, wait_for

pytestmark = pytest.mark.live

FAKETIME = next(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"), Path("libfaketimeMT.so.1"))
TIME_OK, TIME_ERROR = 0, 5  # adjtimex(2)


@pytest.fixture
def namespace() -> Iterator[Namespace]:
    with namespaces("clock") as (made,):
        Mirror(made).close()
        yield made


class Clock:
    """What a process that was started with ``environment`` takes for the time, and for who keeps it."""

    def __init__(self, folder: Path) -> None:
        self._time, self._state, library = folder / "time", folder / "state", folder / "adjtimex.so"
        source = str(ROOT / "tests" / "adjtimex.c")
        subprocess.run(("gcc", "-O2", "-Wall", "-Werror", "-shared", "-fPIC", "-o", library, source), check=True)
        self.set_by("+0")
        self.keep(TIME_OK)
        self.environment = (
            f"LD_PRELOAD={FAKETIME}:{library}",
            f"FAKETIME_TIMESTAMP_FILE={self._time}",
            "FAKETIME_NO_CACHE=1",
            "FAKETIME_DONT_FAKE_MONOTONIC=1",
            f"ADJTIMEX={self._state}",
        )

    def set_by(self, step: str) -> None:
        """Set it by so much, as faketime(1) has it."""
        new = self._time.with_suffix(".new")
        new.write_text(step)
        new.rename(self._time)

    def keep(self, state: int) -> None:
        """Have the kernel say this of who keeps it."""
        new = self._state.with_suffix(".new")
        new.write_text(str(state))
        new.rename(self._state)


@pytest.fixture
def clock(tmp_path: Path) -> Clock:
    return Clock(tmp_path)


@pytest.fixture
def sensor(namespace: Namespace, tmp_path: Path, clock: Clock) -> Iterator[Sensor]:
    confined_by = ("env", *clock.environment)
    with running_sensor(namespace, tmp_path, "--config", configured(tmp_path), confined_by=confined_by) as made:
        yield made


def said(sensor: Sensor, event: str) -> list[dict[str, Any]]:
    """Return the events about the clock, which ``Sensor.events`` leaves out."""
    lines = [json.loads(line) for line in sensor.output.read_text().splitlines()]
    return of_code([line for line in lines if line["event"] == event], "sensor-clock")


def is_counted(sensor: Sensor, steps: int) -> bool:
    return sensor.metric("legwatch_clock_steps_total") == steps


def test_clock_that_is_set_forth_and_back_is_said_and_costs_nothing(
    namespace: Namespace, sensor: Sensor, clock: Clock
) -> None:
    with feeding(namespace) as feed:
        assert (sensor.metric("legwatch_clock_steps_total"), said(sensor, "finding_opened")) == (0, [])
        for steps, step in enumerate(("+3600", "-3600"), start=1):
            clock.set_by(step)
            wait_for(partial(is_counted, sensor, steps), "the step is counted")
            judges(sensor, feed, 2 * steps)
        wait_for(lambda: said(sensor, "finding_opened"), "the step is said")
        holds(sensor, clock="degraded")
        assert all_are_accounted_for(sensor, feed).dropped == 0
        assert sensor.get("/-/healthy")[0] == 200
        assert sensor.stop() == 0


def test_clock_that_nobody_keeps_any_more_is_said_until_somebody_does(
    namespace: Namespace, sensor: Sensor, clock: Clock
) -> None:
    with feeding(namespace) as feed:
        assert sensor.metric("legwatch_clock_synchronised") == 1
        clock.keep(TIME_ERROR)
        (opened,) = wait_for(lambda: said(sensor, "finding_opened"), "it is said")
        assert "no server of time keeps it" in opened["evidence"][0]
        assert sensor.metric("legwatch_clock_synchronised") == 0
        judges(sensor, feed, 1)
        clock.keep(TIME_OK)
        wait_for(lambda: said(sensor, "finding_resolved"), "it is over")
        holds(sensor, clock=None)
        all_are_accounted_for(sensor, feed)
        assert sensor.stop() == 0
