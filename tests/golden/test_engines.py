"""Two engines that divide the packets find what one finds."""

import io
import json
from pathlib import Path
from typing import Any

import pytest

from fastpath.engine import Engine
from fastpath.source import BufferSource
from sensor.capture.engines import Engines
from sensor.capture.fanout import fanout_program
from sensor.commands.pipeline import Pipeline
from sensor.config.schema import Config
from sensor.output.jsonl import JsonLines
from tests.bpf import choice
from tests.live.lab import Frames, read_capture

ROOT = Path(__file__).parents[2]
CLINIC = ROOT / "deploy" / "demo" / "clinic.pcap"
STEP_NS = 100_000_000  # of packet time between two looks at the records
PROGRAM = fanout_program()

Lines = dict[str, list[str]]


def told(frames: Frames, count: int, pipeline: Pipeline) -> Lines:
    """Return what is printed of frames that ``count`` engines divide, by kind of line, without numbers of flows."""
    made: list[Engine] = []
    for _ in range(count):
        made.append(pipeline.engine(share=made[0] if made else None, parts=count))
    engines, out = Engines(made), io.StringIO()
    analysis = pipeline.analysis((JsonLines(out),))
    end_ns, at = frames[0][0], 0

    def step() -> None:
        for record in engines.drain():
            analysis.feed(record)
        analysis.advance(engines.now_ns)

    while at < len(frames):
        end_ns += STEP_NS
        parts: list[Frames] = [[] for _ in made]
        while at < len(frames) and frames[at][0] <= end_ns:
            parts[choice(PROGRAM, frames[at][1], count)].append(frames[at])
            at += 1
        for engine, part in zip(made, parts, strict=True):
            assert engine.process(BufferSource(part)) == -1
            engine.advance(end_ns)
        step()
    while engines.finish():
        step()
    step()
    assert engines.counters()["received"] == len(frames)
    assert len([engine for engine in made if engine.counters()["received"]]) >= min(count, 2)
    analysis.counters(engines.counters())
    analysis.close()
    lines: Lines = {}
    for line in map(json.loads, out.getvalue().splitlines()):
        lines.setdefault(line["type"], []).append(json.dumps(without_ids(line), sort_keys=True))
    return {kind: sorted(each) for kind, each in lines.items()}


def without_ids(line: dict[str, Any]) -> dict[str, Any]:
    """A line without what only numbers a flow in its own engine, and legs of a call in no order."""
    if line["type"] == "call":
        line["legs"].sort(key=lambda leg: sorted(leg.items()))
    return {name: value for name, value in line.items() if name not in {"id", "flows"}}


@pytest.mark.parametrize("count", [2, 3, 5])
def test_engines_that_divide_the_packets_find_what_one_finds(count: int) -> None:
    frames = read_capture(CLINIC)
    pipeline = Pipeline(Config())
    assert told(frames, count, pipeline) == told(frames, 1, pipeline)
