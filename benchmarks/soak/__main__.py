"""``python -m benchmarks.soak --minutes 30``, as root: what has to stay flat in a sensor that has much to do.

Cycles of calls whose protection is known, at twice their speed, with floods and damaged frames between them, go into a
veth pair. Meanwhile metrics and status are asked for every second, the configuration changes and is read anew, and the
receiver of alerts is away for a while. At the end of each cycle the sensor rests, and what it has is looked at; the
first third of the time is for warming up. Fails (1) when a gate is not kept.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.soak import gates
from benchmarks.soak.course import Course
from benchmarks.soak.gates import Row
from benchmarks.soak.receiver import Receiver
from tests.live.lab import Mirror, namespaces, running_sensor

_RESTS = 3  # after warming up; a slope of fewer says nothing


@contextmanager
def sensor_at_work(folder: Path) -> Iterator[Course]:
    """Run a sensor on one end of a veth pair in a namespace of its own."""
    with namespaces("soak") as (namespace,):
        mirror, receiver = Mirror(namespace), Receiver(namespace)
        course = Course(mirror, receiver, folder)
        receiver.up()
        try:
            with running_sensor(namespace, folder, "--config", str(course.config)) as sensor:
                course.begin(sensor)
                yield course
        finally:
            receiver.down()
            mirror.close()


def soak(course: Course, seconds: float) -> list[Row]:
    """Let it work for so long, at least until there is something to compare; return the gates."""
    begin, warm = time.monotonic(), 0
    while time.monotonic() - begin < seconds or len(course.looks) - warm < _RESTS:
        course.cycle()
        if time.monotonic() - begin < seconds / 3:
            warm = len(course.looks)
    after = course.end()
    return [
        *gates.flat(course.looks[warm:]),
        gates.account(course.before, after, course.sent),
        *gates.verdicts(course.legs, after),
        gates.answers("scrapes", course.scrapes, course.unanswered),
        gates.answers("status", course.statuses, course.silent),
        gates.answers("reloads", *course.reloads()),
        *(gates.sink(name, after, arrived) for name, arrived in course.arrived().items()),
    ]


def main() -> int:
    """Soak once; return 1 when a gate was not kept."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak", description="what has to stay flat over hours")
    parser.add_argument("--minutes", type=float, default=30, help="(default: 30)")
    arguments = parser.parse_args()
    if os.geteuid() != 0:
        print("benchmarks.soak makes a network namespace: run it as root", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory() as folder, sensor_at_work(Path(folder)) as course:
        rows = soak(course, arguments.minutes * 60)
        rows.append(Row("end", f"status {(status := course.stop())}", "0", status == 0))
    print(f"soak: {arguments.minutes:g} minutes, {len(course.looks)} cycles, {course.rate:,.0f} packets/s in them")
    for row in rows:
        print(f"  {'kept' if row.kept else 'FAILED':6}  {row.name:14} {row.seen} (limit: {row.limit})")
    kept = all(row.kept for row in rows)
    print("all gates kept" if kept else "a gate was not kept")
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
