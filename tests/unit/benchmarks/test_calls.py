"""The measurement of calls, on a few."""

from __future__ import annotations

from pathlib import Path

from benchmarks import generate
from benchmarks.calls import measured


def test_calls_are_measured_while_all_are_up(tmp_path: Path) -> None:
    capture = tmp_path / "calls.pcap"
    generate.write(capture, 20, 16, stagger_s=0.1)
    cost = measured(capture, budget=50)
    assert (cost.legs, cost.held > 0) == (20, True)
    assert min(cost.engine, cost.drain, cost.analysis) > 0
