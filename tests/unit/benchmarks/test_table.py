"""The table: pairs, bounds, and what is not compared."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.inputs import MissingToolError
from benchmarks.measured import Run
from benchmarks.table import Row, compared, machine, paired


def took(cpu_s: float) -> Run:
    return Run(cpu_s=cpu_s, wall_s=cpu_s, resident=0, status=0, said=b"")


def test_each_run_is_held_against_the_one_beside_it() -> None:
    # The machine was busy in the second round: both took twice as long, and the ratio is the same.
    assert paired([took(1.2), took(2.2)], [took(0.5), took(1.0)], 0.2) == pytest.approx((2.0, 2.0))


@pytest.mark.parametrize(
    ("value", "rate", "kept", "goal"),
    [
        (2.2, False, True, False),
        (1.5, False, True, True),
        (2.3, False, False, False),
        (2.2, True, True, True),
        (1.6, True, False, True),
        (None, False, False, False),
    ],
)
def test_bound_is_from_above_but_for_a_rate(value: float | None, rate: bool, kept: bool, goal: bool) -> None:
    row = Row("x", value, "x", 2.2, 1.5, rate=rate)
    assert (row.within(row.limit), row.within(row.goal)) == (kept, goal)


def written(path: Path, here: dict[str, str]) -> Path:
    rows = [{"name": "calls-1k", "value": 2.0}, {"name": "live", "value": None}]
    path.write_text(json.dumps({"machine": here, "rows": rows}))
    return path


def test_figures_of_this_machine_are_compared(tmp_path: Path) -> None:
    assert compared(written(tmp_path / "table.json", machine()), machine()) == {"calls-1k": 2.0}


def test_figures_of_another_machine_are_not_compared(tmp_path: Path) -> None:
    path = written(tmp_path / "table.json", machine() | {"processor": "another"})
    with pytest.raises(MissingToolError, match="another machine"):
        compared(path, machine())
