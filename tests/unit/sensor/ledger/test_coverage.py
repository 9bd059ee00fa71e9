"""What is kept of each minute: what was counted in it, what blinded the sensor, and whose legs there were."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sensor.ledger.coverage import Coverage, Legs
from sensor.readiness import condition
from tests.unit.sensor.ledger.schema import valid

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sensor.readiness import Condition, Reason

MINUTE = 60_000
T0 = 29_460_120 * MINUTE  # a full minute
S = 1000
VOICE = ("voice",)


class Clockwork:
    """A sensor that is looked at by the second."""

    def __init__(self, begin: int = T0, counters: Mapping[str, int] | None = None) -> None:
        self.coverage = Coverage("span0", counters or {}, begin)
        self.counters: dict[str, int] = dict(counters or {})
        self.legs: dict[tuple[str, str], Legs] = {}
        self.kept: list[Any] = []

    def look(self, at: int, *reasons: Reason) -> None:
        holding: list[Condition] = [condition(reason, "text") for reason in reasons]
        if self.coverage.watch(holding, at):
            self.turn(at)

    def turn(self, at: int) -> None:
        self.kept += [valid(entry) for entry in self.coverage.turn(dict(self.counters), self.legs, VOICE, at)]

    def run(self, begin: int, end: int) -> None:
        for at in range(begin, end + 1, S):
            self.look(at)

    def spans(self) -> list[tuple[int, int, str]]:
        return [(each["from"] - T0, each["to"] - T0, each["state"]) for each in self.kept]


def test_minutes_follow_each_other_without_a_hole_from_the_start_to_the_stop() -> None:
    sensor = Clockwork(T0 + 12_345)
    sensor.run(T0 + 12_345, T0 + 150 * S)
    sensor.turn(T0 + 150_500)
    assert sensor.spans() == [(12_345, 60_000, "seen"), (60_000, 120_000, "seen"), (120_000, 150_500, "seen")]


def test_counts_are_those_of_the_minute() -> None:
    sensor = Clockwork(counters={"received": 100, "malformed.short": 1, "kernel_drops": 5})
    sensor.counters |= {
        "received": 150,
        "malformed.short": 2,
        "malformed.length": 3,
        "shed.flows": 4,
        "kernel_drops": 11,
    }
    sensor.counters |= {"gaps_common": 7, "gaps_unreported": 1, "duplicates": 9, "media_one_way": 2, "classified": 40}
    sensor.run(T0, T0 + MINUTE)
    sensor.counters["received"] = 151
    sensor.run(T0 + MINUTE, T0 + 2 * MINUTE)
    first, second = sensor.kept
    told = {"received": 50, "malformed": 4, "shed": 4, "kernel_drops": 6, "gaps": 8, "duplicates": 9, "one_way": 2}
    assert first | told | {"classified": 40} == first
    assert second | dict.fromkeys(told, 0) | {"received": 1, "classified": 0} == second


def test_condition_of_a_second_is_one_of_its_minute_and_the_worst_counts() -> None:
    sensor = Clockwork()
    sensor.look(T0 + S, "overload")
    sensor.look(T0 + 2 * S, "drops", "clock")
    sensor.run(T0 + 3 * S, T0 + 61 * S)
    sensor.look(T0 + 62 * S, "sink-down")
    sensor.run(T0 + 63 * S, T0 + 180 * S)
    assert [(each["state"], each["reasons"]) for each in sensor.kept] == [
        ("blind", ["drops", "overload", "clock"]),
        ("degraded", ["sink-down"]),
        ("seen", []),
    ]


def test_leg_counts_once_in_each_segment_that_it_has_an_end_in() -> None:
    sensor = Clockwork()
    sensor.coverage.leg_ended(("voice", "voice"), clear=True)
    sensor.coverage.leg_ended(("voice", "outside"), clear=False)
    sensor.legs = {("voice", "trunk"): Legs(3, 1)}
    sensor.run(T0, T0 + MINUTE)
    sensor.legs = {}
    sensor.run(T0 + MINUTE, T0 + 2 * MINUTE)
    assert [each["segments"] for each in sensor.kept] == [
        [
            {"name": "voice", "legs": 5, "clear": 2},
            {"name": "outside", "legs": 1, "clear": 0},
            {"name": "trunk", "legs": 3, "clear": 1},
        ],
        [{"name": "voice", "legs": 0, "clear": 0}],
    ]


def test_machine_that_slept_has_seen_nothing_meanwhile() -> None:
    sensor = Clockwork()
    sensor.run(T0, T0 + 30 * S)
    sensor.counters["received"] = 7
    sensor.look(T0 + 1000 * S)
    sensor.run(T0 + 1001 * S, T0 + 1020 * S)
    assert sensor.spans() == [
        (0, 60_000, "blind"), (60_000, 960_000, "blind"), (960_000, 1_020_000, "seen")
    ]  # fmt: skip
    assert {reason for each in sensor.kept[:2] for reason in each["reasons"]} == {"stuck"}
    assert [each["received"] for each in sensor.kept] == [7, 0, 0]


def test_clock_that_is_set_back_ends_the_minute_at_the_last_look() -> None:
    sensor = Clockwork()
    sensor.run(T0, T0 + 30 * S)
    sensor.look(T0 - 600 * S)
    sensor.run(T0 - 599 * S, T0 - 540 * S)
    assert sensor.spans() == [(0, 30_000, "seen"), (-600_000, -540_000, "seen")]


def test_clock_that_is_set_back_within_the_minute_goes_on() -> None:
    sensor = Clockwork()
    sensor.run(T0, T0 + 30 * S)
    sensor.look(T0 + 20 * S)
    sensor.run(T0 + 21 * S, T0 + 60 * S)
    assert sensor.spans() == [(0, 60_000, "seen")]
