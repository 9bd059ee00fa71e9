"""Every figure that legwatch promises beside the floor, its limit and its goal: ``python -m benchmarks``.

Offline, each run of ``legwatch scan --json`` is paired with one of the C floor, start-up is taken off, and the median
of the paired ratios counts. Live rows need root: a rate is tried at the limit and, if nothing was lost, at the goal.
The exit status is 0 when every limit was kept, 1 when not, 2 when something could not be measured or compared.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.inputs import MissingToolError, Shape, capture, floor, one_packet, scratch, shared
from benchmarks.live import MIN_CPUS, Live, measured
from benchmarks.measured import ROOT, Run, interleaved, run
from benchmarks.scan import packets_in, scan, shape_of

GATE_RUNS = 7  # fewer say too little for a limit
NS, MB = 1e9, 1e6


@dataclass(frozen=True, slots=True)
class Row:
    """One figure; ``limit`` and ``goal`` bound it from above, or from below where it is a ``rate``."""

    name: str
    value: float | None  # None: it could not be measured
    unit: str
    limit: float
    goal: float
    floor: str = ""  # what the least that any sensor must do took, in the same run
    note: str = ""
    rate: bool = False

    def within(self, bound: float) -> bool:
        """Say whether the figure keeps a bound."""
        return self.value is not None and (self.value >= bound if self.rate else self.value <= bound)


@dataclass(frozen=True, slots=True)
class Offline:
    """What runs of scan and floor in turns came to."""

    packets: int
    ratios: tuple[float, ...]  # of pairs
    ours_ns: float  # a packet, medians
    floor_ns: float
    resident: int  # octets, at most


def paired(ours: Sequence[Run], least: Sequence[Run], start_s: float) -> tuple[float, ...]:
    """Return the ratio of each run's CPU time without start-up to that of the floor's run beside it."""
    return tuple((mine.cpu_s - start_s) / bound.cpu_s for mine, bound in zip(ours, least, strict=True))


def offline(shape: Shape, runs: int) -> tuple[Offline, float]:
    """Return the figures of an input, and the CPU seconds of start-up."""
    path, tool = capture(shape), str(floor())
    short = one_packet(path)
    packets = packets_in(scan(path))  # and the file is in the page cache from here on
    ours, least, starts = interleaved(runs, lambda: scan(path), lambda: run((tool, str(path))), lambda: scan(short))
    start_s = statistics.median(each.cpu_s for each in starts)
    return (
        Offline(
            packets,
            paired(ours, least, start_s),
            NS * (statistics.median(each.cpu_s for each in ours) - start_s) / packets,
            NS * statistics.median(each.cpu_s for each in least) / packets,
            max(each.resident for each in ours),
        ),
        start_s,
    )


def offline_rows(runs: int, calls: int) -> Iterator[Row]:
    """Yield what is measured on captures."""
    few, start_s = offline(shape_of("calls-1k", calls), runs)
    yield Row("start-up", start_s, "s", 0.4, 0.25)
    yield _ratio("calls-1k", few, 2.2, 1.5)
    many, _ = offline(shape_of("calls-32k", calls), runs)
    yield _ratio("calls-32k", many, 2.5, 1.6)
    if shared():
        mixed, _ = offline(shape_of("mixed", calls), runs)
        yield _ratio("mixed", mixed, 2.2, 1.5)
    else:
        yield Row("mixed", None, "x", 2.2, 1.5, note="only the tools of ../shared/bench make it")
    yield Row("memory, calls-32k", many.resident / MB, "MB", 150, 100)
    growth = many.ours_ns / few.ours_ns
    yield Row("growth, 1k to 32k calls", growth, "x", 2.5, 2, f"{many.floor_ns / few.floor_ns:.2f} x")


def _ratio(name: str, figures: Offline, limit: float, goal: float) -> Row:
    note = f"{figures.ours_ns:.0f} ns/packet of {figures.packets:,}"
    return Row(name, statistics.median(figures.ratios), "x", limit, goal, f"{figures.floor_ns:.0f} ns/packet", note)


def live_rows() -> Iterator[Row]:
    """Yield what is measured on a veth pair."""
    for flows, limit, goal in ((2000, 1.0e6, 1.4e6), (64_000, 0.7e6, 1.2e6)):
        name = f"live, {flows:,} flows, no loss at"
        if (why := cannot_live()) is not None:
            yield Row(name, None, "packets/s", limit, goal, note=why, rate=True)
            continue
        best = 0.0
        for rate in (limit, goal):
            tried = measured(rate, 5.0, flows)
            if not tried.kept:
                break
            best = rate
        note = f"at {rate:,.0f}: {tried.lost:,} lost, {tried.ns_a_packet:.0f} ns/packet"
        yield Row(name, best, "packets/s", limit, goal, note=note, rate=True)
    name = "capture thread at 100,000 packets/s"
    if (why := cannot_live()) is not None:
        yield Row(name, None, "% of a core", 4, 2, note=why)
        return
    slow: Live = measured(100_000.0, 5.0, 2000)
    yield Row(name, 100 * slow.capture_share, "% of a core", 4, 2, note="" if slow.kept else f"{slow.lost} lost")


def cannot_live() -> str | None:
    """Return why nothing can be measured live here, None when it can."""
    if os.geteuid() != 0:
        return "needs root"
    return None if len(os.sched_getaffinity(0)) >= MIN_CPUS else f"needs {MIN_CPUS} processors"


def machine() -> dict[str, str]:
    """Return what makes figures of two machines incomparable."""
    about = Path("/proc/cpuinfo").read_text().splitlines()
    models = (line.partition(":")[2].strip() for line in about if line.startswith("model name"))
    return {
        "processor": next(models, platform.machine()),
        "processors": str(len(os.sched_getaffinity(0))),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "compiler": _said("cc", "--version").partition("\n")[0],
        "floor": "../shared/bench" if shared() else "the project's own",
    }


def _said(*command: str) -> str:
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False).stdout.strip()


def show(rows: Sequence[Row], *, judged: bool, before: dict[str, float]) -> None:
    """Print the table."""
    for row in rows:
        value = "-" if row.value is None else f"{row.value:,.2f}" if row.unit in "xs" else f"{row.value:,.0f}"
        state = "not measured" if row.value is None else "goal" if row.within(row.goal) else "kept"
        if row.value is not None and not row.within(row.limit):
            state = "MISSED"
        then = f"  before {before[row.name]:,.2f}" if row.name in before else ""
        bounds = f"limit {row.limit:,g}, goal {row.goal:,g}"
        print(f"{row.name:38} {value:>10} {row.unit:12} {bounds:32} {state if judged else '':12} "
              f"{'floor ' + row.floor if row.floor else '':20} {row.note}{then}")  # fmt: skip


def compared(path: Path, here: dict[str, str]) -> dict[str, float]:
    """Return the figures of an earlier run. Raises MissingToolError when they are another machine's."""
    earlier = json.loads(path.read_text())
    unlike = [f"{name}: {earlier['machine'].get(name)} then, {value} now" for name, value in here.items()
              if earlier["machine"].get(name) != value]  # fmt: skip
    if unlike:
        raise MissingToolError(f"{path}: figures of another machine are not compared ({'; '.join(unlike)})")
    return {row["name"]: row["value"] for row in earlier["rows"] if row["value"] is not None}


def main() -> int:
    """Measure everything; 1 when a limit was exceeded, 2 when something is missing."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="what legwatch promises, measured")
    parser.add_argument("--runs", type=int, default=GATE_RUNS, help=f"of each program, in turns (default: {GATE_RUNS})")
    parser.add_argument("--calls", type=int, default=1000, help="in calls-1k; fewer flatter the ratios (default: 1000)")
    parser.add_argument("--only", choices=("offline", "live"), help="measure only these rows")
    parser.add_argument("--compare", type=Path, metavar="FILE", help="show the figures of an earlier run beside")
    arguments = parser.parse_args()
    here = machine()
    judged = arguments.runs >= GATE_RUNS and arguments.calls >= 1000  # noqa: PLR2004
    try:
        before = compared(arguments.compare, here) if arguments.compare else {}
        rows = list(offline_rows(arguments.runs, arguments.calls)) if arguments.only != "live" else []
        rows += list(live_rows()) if arguments.only != "offline" else []
    except (MissingToolError, OSError) as error:
        print(error, file=sys.stderr)
        return 2
    print("; ".join(f"{name} {value}" for name, value in here.items()))
    show(rows, judged=judged, before=before)
    with tempfile.NamedTemporaryFile("w", dir=scratch(), prefix="table-", suffix=".json", delete=False) as file:
        commit = _said("git", "rev-parse", "--short", "HEAD")
        json.dump({"machine": here, "commit": commit, "rows": [asdict(row) for row in rows]}, file, indent=1)
    print(f"written to {file.name}")
    if not judged:
        print(f"no limit is applied to fewer than {GATE_RUNS} runs, or to fewer calls")
        return 0
    if any(row.value is None for row in rows):
        return 2
    return int(not all(row.within(row.limit) for row in rows))
