"""Capture threads: where they run, and how what several engines say becomes one."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import pytest

from fastpath.engine import Engine
from fastpath.records import Record
from sensor.capture import CaptureError
from sensor.capture.engines import Engines
from sensor.capture.threads import cpu_list, cpus_of_threads
from sensor.config.schema import Capture

S = 1_000_000_000


@dataclass
class Said:
    """Stands in for a record."""

    ts_ns: int
    name: str


@dataclass
class Teller:
    """Stands in for an engine that says what it is given."""

    now_ns: int = 0
    says: list[Said] = field(default_factory=list)
    ends: list[bool] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)

    def drain(self) -> list[Said]:
        said, self.says = self.says, []
        return said

    def finish(self) -> bool:
        return self.ends.pop(0) if self.ends else False

    def counters(self) -> dict[str, int]:
        return self.counts


def together(*tellers: Teller) -> Engines:
    return Engines(cast("list[Engine]", tellers))


def names(records: list[Record]) -> str:
    return "".join(cast("Any", record).name for record in records)


def test_one_engine_is_passed_on_as_it_is() -> None:
    one = Teller(5, [Said(9, "b"), Said(3, "a")])
    assert names(together(one).drain()) == "ba"
    assert together(one).now_ns == 5


def test_records_come_in_the_order_of_their_time() -> None:
    one, other = Teller(9, [Said(1, "a"), Said(4, "d")]), Teller(9, [Said(2, "b"), Said(3, "c"), Said(5, "e")])
    assert names(together(one, other).drain()) == "abcde"


def test_record_waits_until_no_engine_can_say_anything_earlier() -> None:
    one, other = Teller(9, [Said(1, "a"), Said(8, "c")]), Teller(4)
    both = together(one, other)
    assert (names(both.drain()), both.now_ns) == ("a", 4)
    other.says, other.now_ns = [Said(6, "b")], 10
    assert (names(both.drain()), both.now_ns) == ("bc", 9)


def test_what_an_engine_says_stays_in_its_order() -> None:
    """The end of a flow bears the time of its last packet, and comes after what was said meanwhile."""
    one, other = Teller(9, [Said(5, "b"), Said(1, "c"), Said(7, "e")]), Teller(9, [Said(3, "a"), Said(6, "d")])
    both = together(one, other)
    assert names(both.drain()) == "abcde"
    one.says = [Said(2, "f")]
    assert names(both.drain()) == "f"


def test_engine_that_lags_holds_nobody_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [100.0]
    monkeypatch.setattr("sensor.capture.engines.time.monotonic", lambda: clock[0])
    one, other = Teller(9 * S, [Said(8 * S, "a")]), Teller(1 * S)
    both = together(one, other)
    assert names(both.drain()) == ""
    clock[0] += 0.9
    assert names(both.drain()) == ""
    clock[0] += 0.2
    one.says = [Said(8 * S, "b")]
    assert names(both.drain()) == "ab"
    one.says = [Said(9 * S, "c")]
    assert names(both.drain()) == ""


def test_clock_that_was_set_back_does_not_bind_what_comes_after_to_what_came_before() -> None:
    one, other = Teller(9000 * S, [Said(9000 * S, "a")]), Teller(9001 * S)
    both = together(one, other)
    assert names(both.drain()) == "a"
    one.now_ns, one.says, other.now_ns = 100 * S, [Said(99 * S, "b")], 100 * S
    assert names(both.drain()) == "b"


def test_end_of_the_input_tells_everything() -> None:
    one, other = Teller(9, [Said(8, "b")], [True]), Teller(1, [Said(1, "a")])
    both = together(one, other)
    assert names(both.drain()) == "a"
    assert both.finish()
    one.says = [Said(20, "c")]
    assert not both.finish()
    assert names(both.drain()) == "bc"


def test_counts_are_added_up_and_of_stages_the_highest_is_told() -> None:
    one, other = Teller(counts={"x": 1, "overload_stage": 3}), Teller(counts={"x": 2, "overload_stage": 1})
    assert together(one, other).counters() == {"x": 3, "overload_stage": 3}


@pytest.mark.parametrize(
    ("text", "cpus"),
    [("0\n", {0}), ("0-3,8", {0, 1, 2, 3, 8}), ("2,4-5\n", {2, 4, 5}), ("\n", set[int]())],
)
def test_kernels_notation_for_cpus_is_read(text: str, cpus: set[int]) -> None:
    assert cpu_list(text) == cpus


def test_threads_run_anywhere_unless_they_are_told() -> None:
    assert cpus_of_threads(Capture(threads=3)) == [set(), set(), set()]


def test_each_thread_has_its_cpu() -> None:
    cpus = tuple(sorted(os.sched_getaffinity(0))[:2])
    assert cpus_of_threads(Capture(threads=len(cpus), cpus=cpus, numa_node=999)) == [{cpu} for cpu in cpus]


def test_threads_run_on_their_node(tmp_path: Path) -> None:
    usable = os.sched_getaffinity(0)
    for number, text in enumerate([",".join(map(str, sorted(usable))) + ",8100", "8100-8101"]):
        (tmp_path / f"node{number}").mkdir()
        (tmp_path / f"node{number}" / "cpulist").write_text(f"{text}\n")
    assert cpus_of_threads(Capture(threads=2, numa_node=0), tmp_path) == [usable, usable]
    with pytest.raises(CaptureError, match="node 1 has no CPU"):
        cpus_of_threads(Capture(numa_node=1), tmp_path)
    with pytest.raises(CaptureError, match="no node 7 here; there are: 0-1"):
        cpus_of_threads(Capture(numa_node=7), tmp_path)
    with pytest.raises(CaptureError, match="the kernel tells of none"):
        cpus_of_threads(Capture(numa_node=0), tmp_path / "node0")


def test_cpu_that_is_not_there_is_named_with_those_there_are() -> None:
    with pytest.raises(CaptureError, match=r"capture\.cpus: no CPU 8000 for this process; there are: \d"):
        cpus_of_threads(Capture(cpus=(8000,)))
