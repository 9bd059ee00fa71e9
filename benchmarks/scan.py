"""CPU time of ``legwatch scan --json`` per packet against the floor in C: ``python -m benchmarks.scan``.

Both are whole processes, run in turns; start-up, measured on a capture of one packet, is taken off. The exit status is
0 when every limit was kept: 3 times the floor on ``calls-1k``, half a second of start-up, no memory that grows with the
length of the file.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from benchmarks.inputs import MissingToolError, Shape, capture, floor, one_packet, shared
from benchmarks.measured import LEGWATCH, Figure, Run, interleaved, run

LIMIT = 3.0
START_UP_LIMIT_S = 0.5
GROWTH_LIMIT = 4 << 20  # octets: what an allocator may keep by chance

CALLS = 1000
CALLS_1K = "calls-1k"
MEMORY = "memory"
DEFAULT = (CALLS_1K, MEMORY)
ALL = (CALLS_1K, "calls-32k", "mixed", MEMORY)

MIB = 1 << 20
NS = 1e9


def shape_of(name: str, calls: int) -> Shape:
    """Return the shape of an input by its name; ``calls`` is the size of ``calls-1k``."""
    return {
        CALLS_1K: Shape(CALLS_1K, calls, 2500, 10),
        "calls-32k": Shape("calls-32k", 32 * calls, 100, 0.5),
        "mixed": Shape("mixed", calls // 2, 1400, 8, other_percent=30),
    }[name]


def scan(path: Path) -> Run:
    """Run ``legwatch scan --json`` on a capture. Raises RuntimeError when it fails."""
    done = run((*LEGWATCH, "scan", "--json", str(path)))
    if done.status not in {0, 1}:
        message = f"legwatch scan ended with status {done.status}"
        raise RuntimeError(message)
    return done


def packets_in(scanned: Run) -> int:
    """Return how many packets a scan says that it received."""
    summary = json.loads(scanned.said.splitlines()[-1])
    return int(summary["account"]["received"])


def measure_speed(shape: Shape, runs: int) -> bool:
    """Print ns/packet of the sensor and of the floor; return whether the limits were kept."""
    path, tool = capture(shape), floor()
    short = one_packet(path)
    packets = packets_in(scan(path))  # and the file is in the page cache from here on
    ours, least, starts = interleaved(
        runs, lambda: scan(path), lambda: run((str(tool), str(path))), lambda: scan(short)
    )
    start = Figure.of(each.cpu_s for each in starts)
    sensor = Figure.of(NS * (each.cpu_s - start.median) / packets for each in ours)
    bound = Figure.of(NS * each.cpu_s / packets for each in least)
    ratio, limited = sensor.median / bound.median, shape == shape_of(CALLS_1K, CALLS)
    print(f"{shape.name}: {packets:,} packets, {runs} runs, CPU time")
    print(f"  legwatch scan --json {sensor.median:8.1f} ns/packet (least {sensor.least:.1f})  {_wall(ours)}")
    print(f"  floor in C           {bound.median:8.1f} ns/packet (least {bound.least:.1f})  {_wall(least)}")
    print(f"  start-up             {start.median:8.2f} s (least {start.least:.2f}; limit {START_UP_LIMIT_S})")
    print(f"  ratio                {ratio:8.2f} (of the least {sensor.least / bound.least:.2f}"
          + (f"; limit {LIMIT})" if limited else ")"))  # fmt: skip
    return start.median <= START_UP_LIMIT_S and (ratio <= LIMIT or not limited)


def measure_memory(calls: int) -> bool:
    """Print the most memory that a scan held for a file and for one four times as long; return whether it grew."""
    short, long = (Shape(MEMORY, max(1, calls // 5), packets, 2) for packets in (500, 2000))
    first, then = (scan(capture(shape)) for shape in (short, long))
    growth = then.resident - first.resident
    print(f"memory: {packets_in(first):,} and {packets_in(then):,} packets of the same calls")
    print(f"  resident at most     {first.resident / MIB:8.1f} and {then.resident / MIB:.1f} MiB"
          f" (limit {GROWTH_LIMIT // MIB} more)")  # fmt: skip
    return growth <= GROWTH_LIMIT


def _wall(runs: list[Run]) -> str:
    return f"wall {Figure.of(each.wall_s for each in runs).median:.2f} s"


def main() -> int:
    """Measure what was asked for; return 1 when a limit was exceeded, 2 when something is missing."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scan", description="ns/packet against the floor in C")
    parser.add_argument("--runs", type=int, default=5, help="of each program, in turns (default: 5)")
    parser.add_argument("--calls", type=int, default=CALLS, help=f"in calls-1k (default: {CALLS})")
    parser.add_argument(
        "--only",
        action="append",
        choices=ALL,
        help=f"what to measure; may be repeated (default: {' and '.join(DEFAULT)})",
    )
    arguments = parser.parse_args()
    print("inputs and floor:", "../shared/bench" if shared() else "the project's own")
    kept = True
    try:
        for name in arguments.only or DEFAULT:
            if name == MEMORY:
                kept &= measure_memory(arguments.calls)
            else:
                kept &= measure_speed(shape_of(name, arguments.calls), arguments.runs)
    except MissingToolError as error:
        print(error, file=sys.stderr)
        return 2
    print("limits kept" if kept else "a limit was exceeded")
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
