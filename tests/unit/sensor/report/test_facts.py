"""The facts of a period: what counts, what holds on from before, what the sensor could not see."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from sensor.report.facts import Facts, gather
from tests.unit.sensor.report.made import (
    CARRIER,
    DAY,
    HOUR,
    LAST,
    MINUTE,
    ORDINARY,
    PBX,
    PHONE,
    POLICY,
    Entry,
    coverage,
    finding,
    leg,
    minutes,
    start,
    stop,
    tls_server,
)

LEDGER_SCHEMA = json.loads((Path(__file__).parents[4] / "docs/schema/ledger.schema.json").read_text())


def facts(*entries: Entry, first: int = DAY, last: int = LAST) -> Facts:
    return gather(entries, first, last)


def sight(*entries: Entry, first: int = DAY, last: int = LAST) -> dict[str, int]:
    """Minutes by how the sensor saw."""
    found: dict[str, int] = {}
    for span in facts(*entries, first=first, last=last).sight.spans:
        found[span.state] = found.get(span.state, 0) + (span.last - span.first) // MINUTE
    return found


def test_a_leg_counts_in_both_segments_and_once_in_one_that_holds_both_ends() -> None:
    counted = facts(leg(), leg(segments=["phones", "phones"]))
    assert {name: states.total() for name, states in counted.by_segment.items()} == {"phones": 2, "servers": 1}


def test_a_leg_counts_in_the_period_in_which_it_ended() -> None:
    assert facts(leg(DAY - 1), leg(DAY), leg(LAST), leg(LAST + 1)).states.total() == 2


def test_a_leg_to_a_vendor_counts_for_that_trunk_and_one_to_a_stranger_for_outside() -> None:
    away = [leg(a=PBX, b=host, segments=["servers", "outside"]) for host in (CARRIER, "203.0.113.1")]
    counted = facts(POLICY, leg(), *away)
    assert {name: states.total() for name, states in counted.by_trunk.items()} == {"Carrier": 1, "outside": 1}


def test_pseudonyms_of_vendors_are_matched_as_they_are() -> None:
    vendor = {**POLICY["vendors"][0], "addresses": ["host-0123"]}
    counted = facts({**POLICY, "vendors": [vendor]}, leg(b="host-0123", segments=["servers", "outside"]))
    assert list(counted.by_trunk) == ["Carrier"]


def test_both_directions_of_a_path_are_one() -> None:
    (path,) = facts(leg(), leg(a=PBX, b=PHONE, segments=["servers", "phones"])).paths.values()
    assert path.media["encrypted"] == 2
    assert dict(zip((path.a, path.b), path.segments, strict=True)) == {PHONE: "phones", PBX: "servers"}


def test_a_week_across_new_year_is_that_of_iso_8601() -> None:
    assert list(facts(leg(DAY - 6 * 24 * HOUR, first=DAY - 6 * 24 * HOUR), first=0).by_week) == ["2026-W01"]


@pytest.mark.parametrize(
    ("steps", "state"),
    [
        ([finding(DAY - HOUR)], "open"),
        ([finding(DAY - HOUR), finding(DAY + HOUR, "resolved")], "resolved"),
        ([finding(DAY - HOUR), finding(DAY - MINUTE, "resolved")], None),
        ([finding(DAY - HOUR), finding(DAY - MINUTE, "resolved"), finding(DAY + HOUR)], "open"),
        ([finding(LAST + 1)], None),
    ],
    ids=["open at the beginning", "over in it", "over before it", "open again", "opened after it"],
)
def test_a_finding_counts_when_it_was_open_in_the_period(steps: list[Entry], state: str | None) -> None:
    found = facts(*steps).findings
    assert (found["f1"]["state"] if found else None) == state


def test_a_finding_keeps_its_evidence_its_first_time_and_its_worst_severity() -> None:
    steps = [finding(DAY - HOUR, severity="medium"), finding(DAY + HOUR, "updated", count=3, severity="high")]
    (found,) = facts(*steps, finding(DAY + 2 * HOUR, "resolved", count=4, severity="low")).findings.values()
    assert found["evidence"] == ["PCMU payload structure in 3 packets"]
    assert (found["first"], found["severity"], found["count"], found["openings"]) == (DAY - HOUR, "high", 4, 1)


def test_time_before_the_first_start_is_no_end_without_a_word() -> None:
    first = facts(start(DAY + HOUR), *minutes(DAY + HOUR, DAY + 24 * HOUR))
    assert [gap.why for gap in first.sight.gaps] == ["before the sensor's first start"]
    killed = [start(DAY), *minutes(DAY, DAY + HOUR), start(DAY + 2 * HOUR), *minutes(DAY + 2 * HOUR, DAY + 24 * HOUR)]
    assert [gap.why.partition(",")[0] for gap in facts(*killed).sight.gaps] == ["the sensor ended without a word"]


def test_a_waived_finding_that_was_over_before_the_period_is_not_in_it() -> None:
    """It keeps its state to its end, as its waiver says so."""
    waived = {"state": "waived", "waived_by": "Ops: old phones (until 2026-06-30)"}
    steps = [finding(DAY - 2, **waived), finding(DAY - 1, "resolved", **waived)]
    assert not facts(*steps).findings
    lives = facts(*steps, finding(DAY, **waived), finding(DAY + 1, "resolved", count=2, **waived)).findings.values()
    assert [(each["openings"], each["count"]) for each in lives] == [(1, 2)]


def test_a_waived_finding_that_ends_in_the_period_is_over_and_was_waived() -> None:
    waived = {"state": "waived", "waived_by": "Ops: old phones (until 2026-06-30)"}
    steps = [finding(DAY, **waived), finding(DAY + HOUR, "resolved", **waived)]
    (over,) = facts(*steps).findings.values()
    assert (over["state"], over["over"], over["waived_by"]) == ("resolved", DAY + HOUR, waived["waived_by"])
    (again,) = facts(*steps, finding(DAY + 2 * HOUR, **waived)).findings.values()
    assert (again["state"], again["over"], again["count"]) == ("waived", None, 2)


def test_a_server_is_what_all_runs_saw_of_it_and_counts_once_in_each() -> None:
    first = tls_server(DAY + HOUR)
    later = {**first, "at": DAY + 2 * HOUR, "last": DAY + 2 * HOUR, "handshakes": {"completed": 5}}
    hidden = {"versions": [0x0304], "certificate": "not-observable", "chain": None}
    other = {**tls_server(DAY + 3 * HOUR), **hidden, "handshakes": {"completed": 2, "failed": 1}, "resumed": 1}
    (server,) = facts(first, later, other).servers.values()
    assert (server["versions"], server["handshakes"]) == ([0x0303, 0x0304], {"completed": 7, "failed": 1})
    assert (server["first"], server["last"], server["resumed"]) == (DAY + HOUR, DAY + 3 * HOUR, 1)
    assert (server["certificate"], server["chain"]["sha256"]) == ("readable", "cd" * 32)


def test_a_finding_that_comes_back_counts_all_its_lives() -> None:
    steps = [finding(DAY, count=2), finding(DAY + 1, "resolved", count=5), finding(DAY + 2, count=1)]
    (found,) = facts(*steps, finding(DAY + 3, "updated", count=3)).findings.values()
    assert (found["count"], found["openings"]) == (8, 2)


def test_signalling_of_a_leg_is_not_that_of_its_media_hosts() -> None:
    counted = facts(leg(signalling="clear", b="10.20.1.8", segments=["phones", "phones"]))
    (path,) = counted.paths.values()
    assert path.signalling.total() == 0
    assert counted.signalling["clear"] == 1


def test_finding_that_is_open_and_showed_nothing_in_the_period_makes_no_path() -> None:
    found = facts(POLICY, finding(DAY - HOUR, code="signalling-clear", last=DAY - HOUR))
    assert set(found.findings) == {"f1"}
    assert not found.paths


def test_inventory_that_is_told_the_day_after_counts_for_the_day_in_which_it_was_seen() -> None:
    endpoint = {"kind": "endpoint", "mac": None, "user_agent": None, "media": None, "signalling": "clear"}
    told = [
        {**endpoint, "at": LAST + MINUTE, "address": PHONE, "first": DAY + HOUR, "last": DAY + HOUR},
        {**endpoint, "at": LAST + MINUTE, "address": PBX, "first": LAST + 1, "last": LAST + MINUTE},
        {**endpoint, "at": DAY + MINUTE, "address": CARRIER, "first": DAY - HOUR, "last": DAY - 1},
    ]
    assert set(facts(*told).endpoints) == {PHONE}


def test_keys_count_where_the_media_were_encrypted() -> None:
    assert facts(leg(), leg(observed="clear")).key_exchanges == {"sdes": 1}


def test_waivers_that_held_in_a_part_of_the_period_stay_and_earlier_ones_do_not() -> None:
    (waiver,) = POLICY["waivers"]
    policies = [
        {**POLICY, "at": DAY - HOUR, "waivers": [{**waiver, "owner": "before"}]},
        {**POLICY, "at": DAY - 1, "waivers": [{**waiver, "owner": "until noon"}]},
        {**POLICY, "at": DAY + 12 * HOUR, "waivers": [{**waiver, "owner": "from noon"}]},
    ]
    assert [each["owner"] for each in facts(*policies).waivers.values()] == ["until noon", "from noon"]


def test_signalling_in_clear_without_media_is_a_path() -> None:
    found = facts(POLICY, finding(DAY, code="signalling-clear", count=7))
    (path,) = found.paths.values()
    assert (path.signalling["clear"], path.media.total(), path.findings) == (1, 0, {"f1"})
    assert dict(zip((path.a, path.b), path.segments, strict=True)) == {PHONE: "phones", PBX: "servers"}


def test_minutes_add_up_to_the_period() -> None:
    blind = minutes(DAY + HOUR, DAY + 2 * HOUR, "blind", ["no-traffic"])
    entries = [start(), *minutes(DAY, DAY + HOUR), *blind, *minutes(DAY + 2 * HOUR, DAY + 24 * HOUR)]
    assert sight(*entries) == {"seen": 23 * 60, "blind": 60}
    assert facts(*entries).sight.reasons == {"no-traffic": HOUR}


def test_the_last_minute_counts_although_it_is_said_behind_the_period() -> None:
    late = coverage(LAST + 1 - MINUTE, LAST + 1)
    assert facts(start(), *minutes(DAY, LAST - MINUTE), {**late, "at": LAST + 500}).sight.gaps == []


@pytest.mark.parametrize(
    ("between", "why"),
    [([stop(DAY + HOUR)], "was stopped (SIGTERM)"), ([], "ended without a word")],
    ids=["stopped", "killed"],
)
def test_time_between_an_end_and_a_start_is_a_gap_with_its_reason(between: list[Entry], why: str) -> None:
    entries = [start(), *minutes(DAY, DAY + HOUR), *between, start(DAY + 3 * HOUR)]
    found = facts(*entries, *minutes(DAY + 3 * HOUR, DAY + 24 * HOUR))
    (gap,) = found.sight.gaps
    assert (gap.first, gap.last) == (DAY + HOUR, DAY + 3 * HOUR)
    assert why in gap.why
    assert sight(*entries, *minutes(DAY + 3 * HOUR, DAY + 24 * HOUR)) == {"seen": 22 * 60, "not-running": 2 * 60}


def test_a_sensor_stopped_before_the_period_did_not_run_in_it() -> None:
    (gap,) = facts(start(DAY - HOUR), stop(DAY - MINUTE)).sight.gaps
    assert (gap.first, gap.last, gap.why) == (DAY, LAST + 1, "the sensor was stopped (SIGTERM)")


def test_a_period_before_the_first_start_is_said_to_be_so() -> None:
    (gap,) = facts().sight.gaps
    assert gap.why == "before the sensor's first start"


def test_what_a_clock_that_went_back_shows_twice_counts_once() -> None:
    again = [*minutes(DAY, DAY + HOUR), *minutes(DAY + HOUR // 2, DAY + HOUR, "degraded")]
    assert sight(start(), *again, last=DAY + HOUR) == {"seen": 60}


def test_lost_entries_are_a_gap() -> None:
    lost = {"kind": "gap", "at": DAY + HOUR, "lost": 17, "from": DAY, "to": DAY + MINUTE, "why": "disk full"}
    assert "17 entries lost: disk full" in [gap.why for gap in facts(lost).sight.gaps]


def test_captures_have_no_gaps_between_them() -> None:
    captures = [coverage(DAY, DAY + MINUTE), coverage(DAY + HOUR, DAY + HOUR + MINUTE)]
    found = gather(captures, DAY, LAST, continuous=False)
    assert (found.sight.gaps, len(found.sight.spans)) == ([], 2)


def test_ordinary_day_counts_everything_once() -> None:
    found = facts(*ORDINARY)
    assert found.states == {"encrypted": 1, "clear": 1, "undetermined": 1}
    assert sum(path.media.total() for path in found.paths.values()) == 3
    assert found.entries == len(ORDINARY) - 1, "the last minute is said behind the period"


def test_entries_of_these_tests_are_as_the_ledger_has_them() -> None:
    validator = Draft202012Validator(LEDGER_SCHEMA)
    for entry in [*ORDINARY, stop(DAY), *minutes(DAY, DAY + MINUTE, "blind", ["no-traffic"]), finding(DAY, "resolved")]:
        validator.validate(entry)
