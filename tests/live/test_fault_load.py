"""Load: a neighbour that takes all processors, and bursts far beyond what the sensor is made for."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from tests.live.faults import (
    RATED,
    all_are_accounted_for,
    changes_of_verdicts,
    feeding,
    holds,
    judges,
    loading,
    of_code,
    stand_still,
    watching,
)
from tests.live.lab import Mirror, Namespace, Sensor, namespaces, wait_for
from tests.packets import End, ethernet, rtp, udp

pytestmark = pytest.mark.live

BURST, BURST_S, BURST_FLOWS = 10 * RATED, 2.0, 4000
STALL_S = 0.5  # in which a small ring is full of it
NEW_MEDIA, LET_IN = 3, 200  # fastpath/shedding.pxd: its last stage, and the flows of media that begin in a second
CALM_S = 30.0  # in which shedding ends, stage by stage


@pytest.fixture
def namespace() -> Iterator[Namespace]:
    with namespaces("load") as (made,):
        Mirror(made).close()
        yield made


@contextmanager
def neighbours() -> Iterator[None]:
    """Keep every processor busy twice while the block lasts."""
    busy = [subprocess.Popen(("sh", "-c", "while :; do :; done")) for _ in range(2 * len(os.sched_getaffinity(0)))]
    try:
        yield
    finally:
        for process in busy:
            process.kill()
            process.wait()


def test_neighbour_that_takes_all_processors_costs_nothing_at_the_rated_load(
    namespace: Namespace, tmp_path: Path
) -> None:
    with watching(namespace, tmp_path) as sensor, feeding(namespace) as feed, neighbours():
        with loading(sensor, feed, RATED, 5.0):
            judges(sensor, feed, 1)
        found = all_are_accounted_for(sensor, feed)
        assert (found.dropped, found.reasons["shed"]) == (0, 0)
        judges(sensor, feed, 3)
        assert changes_of_verdicts(sensor) == 0


def test_burst_that_outruns_the_ring_is_counted_shed_and_said_and_then_all_is_as_before(
    namespace: Namespace, tmp_path: Path
) -> None:
    small = {"ring_mib": 1, "block_kib": 64}
    with watching(namespace, tmp_path, capture=small) as sensor, feeding(namespace) as feed:
        judges(sensor, feed, 1)
        with loading(sensor, feed, BURST, BURST_S, BURST_FLOWS):
            stand_still(sensor, STALL_S)
        assert sensor.metric("legwatch_overload_stage") == NEW_MEDIA
        holds(sensor, overload="degraded")
        feed.send(*new_media())
        found = all_are_accounted_for(sensor, feed)
        assert found.dropped > 0
        assert sensor.metric("legwatch_shed_packets_total", "new-media") == found.reasons["shed"] > 0
        for code in ("sensor-loss", "sensor-overload"):
            wait_for(partial(is_told, sensor, "finding_opened", code), f"{code} is said")
            wait_for(partial(is_told, sensor, "finding_resolved", code), f"{code} is over", CALM_S)
        assert sensor.metric("legwatch_overload_stage") == 0
        judges(sensor, feed, 3)
        assert all_are_accounted_for(sensor, feed).dropped == found.dropped
        assert changes_of_verdicts(sensor) == 0


def new_media() -> list[bytes]:
    """Return the first packets of more new flows of media than are let in at the last stage."""
    ends = (End("10.65.0.1", 10_000 + 2 * number) for number in range(3 * LET_IN))
    return [ethernet(udp(rtp(1, bytes(160)), end, End("10.65.0.2", 20_000))) for end in ends]


def is_told(sensor: Sensor, event: str, code: str) -> bool:
    return bool(of_code(sensor.events(event), code))
