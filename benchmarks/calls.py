"""What a plain call costs, and what it holds: ``python -m benchmarks.calls``.

Calls of five messages and two streams, all at one time, go through the engine and the analysis, with a policy that asks
for nothing: what findings cost is not in it. Time is CPU time of the process: of the engine (packets of media
included), of taking its records, and of the analysis. Memory is what the process has more when all calls are up than
before the first packet, flows and streams included.
"""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks import generate
from benchmarks.inputs import scratch
from fastpath.source import PcapFile
from sensor.commands.pipeline import Pipeline
from sensor.config.schema import Config, Policy

PACKETS = 16  # of each stream: enough for a verdict
BUDGET = 2_000  # packets between two looks


@dataclass(slots=True)
class Cost:
    """Seconds of CPU, and octets."""

    engine: float = 0.0
    drain: float = 0.0
    analysis: float = 0.0
    held: int = 0
    legs: int = 0


def resident() -> int:
    """Return the octets of memory that the process has now, pages of the capture left out (proc(5): RssAnon)."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("RssAnon:")[2].split()[0]) * 1024


def measured(capture: Path, budget: int = BUDGET) -> Cost:
    """Read a capture as ``scan`` does, with nobody to tell."""
    pipeline, cost = Pipeline(Config(policy=Policy(segments=()))), Cost()
    engine, analysis, source = pipeline.engine(), pipeline.analysis([]), PcapFile(str(capture))
    before, status, more = resident(), 1, True
    while more:
        begin = time.process_time()
        if status > 0:
            status = engine.process(source, budget)
        else:
            more = engine.finish()
        processed = time.process_time()
        records = engine.drain()
        drained = time.process_time()
        for record in records:
            analysis.feed(record)
        cost.engine += processed - begin
        cost.drain += drained - processed
        cost.analysis += time.process_time() - drained
        if status > 0 and len(analysis) >= cost.legs:
            cost.legs = len(analysis)
            cost.held = resident() - before
    return cost


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.calls", description="what a plain call costs and holds")
    parser.add_argument("--calls", type=int, default=32_000)
    calls = parser.parse_args().calls
    capture = scratch() / f"calls-{calls}.pcap"
    if not capture.exists():
        generate.write(capture, calls, PACKETS, stagger_s=0.1)
    cost = measured(capture)
    print(f"calls: {calls:,} at one time, of five SIP messages and two streams of {PACKETS} packets, CPU time")
    for name, seconds in (("engine", cost.engine), ("drain", cost.drain), ("analysis", cost.analysis)):
        print(f"  {name:9} {seconds / calls * 1e6:7.2f} us a call")
    mebibytes = cost.held / (1 << 20)
    print(
        f"  memory    {cost.held / calls:7,.0f} octets a call, {mebibytes:,.0f} MiB; {calls / mebibytes:,.0f} calls/MiB"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
