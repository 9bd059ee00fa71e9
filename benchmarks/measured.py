"""Programs run to their end, and what they took."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

KEPT = 1 << 16  # octets
ROOT = Path(__file__).parents[1]
LEGWATCH = (sys.executable, "-m", "sensor")


@dataclass(frozen=True, slots=True)
class Run:
    """One run of a program."""

    cpu_s: float  # user and system, of all its threads
    wall_s: float
    resident: int  # octets at most
    status: int
    said: bytes  # the end of its standard output


@dataclass(frozen=True, slots=True)
class Figure:
    """Median and least of what the runs of one program took."""

    median: float
    least: float

    @staticmethod
    def of(values: Iterable[float]) -> Figure:
        """Return the figure of some values."""
        ordered = sorted(values)
        return Figure(statistics.median(ordered), ordered[0])


def run(command: Sequence[str]) -> Run:
    """Run a program in the project's folder."""
    begin = time.monotonic()
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as process:
        said = b""
        # No more is kept: a program begins with the memory of the process that starts it, and its most is what counts.
        while process.stdout and (more := process.stdout.read(KEPT)):
            said = (said + more)[-KEPT:]
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    return Run(
        cpu_s=usage.ru_utime + usage.ru_stime,
        wall_s=time.monotonic() - begin,
        resident=usage.ru_maxrss * 1024,
        status=process.returncode,
        said=said,
    )


def interleaved(runs: int, *programs: Callable[[], Run]) -> list[list[Run]]:
    """Run every program once, then again, so that what else the machine does falls on all; a list for each."""
    return [list(of_one) for of_one in zip(*([program() for program in programs] for _ in range(runs)), strict=True)]
