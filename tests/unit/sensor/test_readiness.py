"""When the sensor is blind, when it is degraded, and what it says of that."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, get_args

import pytest

from sensor.policy.catalogue import CATALOGUE
from sensor.readiness import (
    LEVELS,
    Blinding,
    Condition,
    Degrading,
    Drops,
    Reason,
    Seen,
    conditions,
    is_blind,
)
from sensor.recent import Growth, Recent

WELL = Seen("span0")

# Every reason, and what brings it about
CAUSES: dict[Reason, dict[str, Any]] = {
    "starting": {"phase": "starting"},
    "stopping": {"phase": "stopping"},
    "capture-ended": {"capture_ended": "Network is down"},
    "link-down": {"link": "down"},
    "link-gone": {"link": "gone"},
    "no-traffic": {"findings": {"sensor-no-traffic": "no packet"}},
    "no-voice": {"findings": {"sensor-no-voice": "no voice"}, "voice_known": True},
    "drops": {"drops": "2 %"},
    "evidence-unwritable": {"evidence": "/evidence: No space left on device"},
    "ledger-unwritable": {"ledger": "/ledger: No space left on device"},
    "no-voice-yet": {"findings": {"sensor-no-voice": "no voice"}},
    "loss": {"findings": {"sensor-loss": "lost: 3 packets"}},
    "overload": {"findings": {"sensor-overload": "stage 1"}},
    "one-way-mirror": {"findings": {"sensor-one-way-mirror": "9 of 9"}},
    "duplicate-mirror": {"findings": {"sensor-duplicate-mirror": "50 %"}},
    "truncated": {"findings": {"sensor-truncated": "80 %"}},
    "undecoded": {"findings": {"sensor-undecoded": "macsec"}},
    "clock": {"findings": {"sensor-clock": "no server of time keeps it"}},
    "sink-down": {"sinks_down": ("siem", "webhook")},
    "state-unwritable": {"state": "baseline.db: Read-only file system"},
    "reload-failed": {"reload_failed": True},
    "certificate-unreadable": {"certificate_unreadable": True},
    "ledger-budget": {"ledger_budget": "room for 12 days"},
}


def holding(**cause: Any) -> tuple[Condition, ...]:
    return conditions(Seen(interface="span0", **cause))


def test_sensor_that_sees_has_no_condition() -> None:
    assert conditions(WELL) == ()
    assert not is_blind(())


@pytest.mark.parametrize("reason", CAUSES)
def test_each_cause_is_one_condition_of_its_level_with_a_line_of_text(reason: Reason) -> None:
    (found,) = holding(**CAUSES[reason])
    assert (found.reason, found.level) == (reason, "blind" if reason in get_args(Blinding) else "degraded")
    assert is_blind((found,)) == (found.level == "blind")
    assert found.text
    assert "\n" not in str(found)
    assert str(found).startswith(f"{found.level}: {reason}: ")


def test_every_reason_of_the_closed_list_has_a_cause_here_but_being_stuck_which_the_loop_cannot_say() -> None:
    assert set(LEVELS) == set(CAUSES) | {"stuck"}
    assert not set(get_args(Blinding)) & set(get_args(Degrading))


def test_every_finding_about_the_sensor_is_a_condition_but_that_of_evidence_which_has_one_for_each_kind() -> None:
    for code in CATALOGUE:
        expected = code.startswith("sensor-") and code != "sensor-evidence"
        assert len(holding(findings={code: "text"})) == expected


def test_conditions_come_in_the_order_of_the_list_and_each_once() -> None:
    everything: dict[str, Any] = {}
    for cause in CAUSES.values():
        everything |= cause
    everything["findings"] = dict.fromkeys(reversed(CATALOGUE), "text")
    found = [each.reason for each in holding(**everything)]
    assert found == [reason for reason in LEVELS if reason in found]
    assert {"stopping", "link-gone", "no-traffic", "no-voice", "clock", "sink-down"} <= set(found)


def test_finding_speaks_for_itself_and_link_names_its_interface() -> None:
    assert holding(findings={"sensor-clock": "it was set 2 times"})[0].text == "it was set 2 times"
    assert holding(link="down")[0].text == "span0 is down"


# Loss, with figures of a minute.


def minute(received: int, dropped: int = 0, **shed: int) -> Growth:
    counters = {"received": received, "kernel_drops": dropped} | {f"shed.{name}": n for name, n in shed.items()}
    return Growth(60.0, dict.fromkeys(counters, 0), counters)


def test_share_at_the_limit_is_allowed_and_above_it_is_not() -> None:
    assert Drops().judge(minute(9900, 100), 0.01) == ""
    said = Drops().judge(minute(9899, 101), 0.01)
    assert said.startswith("1.0% of 10,000 packets within 60 s: 101 dropped by the kernel, 0 shed")
    assert "policy.max_loss is 1.0%" in said


def test_what_the_core_sheds_counts_as_lost_and_as_received() -> None:
    assert Drops().judge(minute(10_000, full=60, new=40), 0.01) == ""
    assert "101 shed" in Drops().judge(minute(10_000, full=60, new=41), 0.01)


def test_loss_is_over_when_the_share_is_half_of_what_is_allowed_so_that_nothing_flaps_at_the_limit() -> None:
    drops = Drops()
    assert [bool(drops.judge(minute(10_000 - n, n), 0.01)) for n in (99, 101, 99, 101, 51, 50, 99)] == [
        *(False, True, True, True, True, False, False)
    ]


def test_nothing_is_said_of_a_share_of_few_packets() -> None:
    assert Drops().judge(minute(500, 499), 0.01) == ""
    assert Drops().judge(minute(500, 500), 0.01)


def test_everything_lost_is_lost() -> None:
    assert Drops().judge(minute(0, 5000), 0.01).startswith("100.0%")


@pytest.mark.parametrize(("most", "blind"), [(0.0, True), (1.0, False)])
def test_policy_may_allow_nothing_or_everything(most: float, blind: bool) -> None:
    assert bool(Drops().judge(minute(9_999, 1), most)) is blind


# What counters grew by.


def looked(*looks: tuple[float, Mapping[str, int]]) -> Recent:
    recent = Recent(0.0)
    for now_s, counters in looks:
        recent.look(counters, now_s)
    return recent


def test_growth_is_between_the_first_look_within_the_time_and_the_last() -> None:
    recent = looked(*((float(second), {"received": second * 10}) for second in range(100)))
    assert recent.growth().of("received") == 600
    assert recent.growth().seconds == 60
    assert recent.growth(10).rate("received") == 10
    assert recent.growth(10).of("received", "nonesuch") == 100


def test_before_the_first_look_nothing_grew_and_with_it_all_that_is_counted() -> None:
    assert (looked().growth().of("received"), looked().growth().rate("received")) == (0, 0)
    recent = looked((5.0, {"received": 10}))
    assert (recent.growth().of("received"), recent.growth().rate("received")) == (10, 2)


def test_looks_are_few_however_many_are_taken() -> None:
    recent = looked(*((float(second), {"received": second}) for second in range(1000)))
    assert len(recent._looks) == 61


def test_looks_far_apart_are_kept_as_long_as_they_are_the_only_ones() -> None:
    recent = looked((0.0, {"received": 0}), (200.0, {"received": 2000}))
    assert recent.growth().of("received") == 2000
    assert recent.growth().seconds == 200
