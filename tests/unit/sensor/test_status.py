"""The state of the running sensor as an object: all of it by the schema, nobody's identity in it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sensor.calls.unprotected import InClear
from sensor.findings import identity
from sensor.model import Finding, Subject
from sensor.output.board import NEWEST, Board
from sensor.output.metrics import CaptureState, LedgerState, SinkState
from sensor.output.veil import Veil
from sensor.readiness import condition
from sensor.recent import Recent
from tests.unit.sensor import test_metrics
from tests.unit.sensor.samples import finding
from tests.unit.sensor.status import VALIDATOR, Sources, status

DOWN = condition("link-down", "span0 is down")


def numbered(number: int) -> Finding:
    subject = Subject("leg", f"192.0.2.{number}", "192.0.2.200")
    return finding(code="media-clear", subject=subject, id=identity("media-clear", subject))


def test_sensor_at_rest_says_who_it_is_and_that_it_sees() -> None:
    said = status()
    assert (said["version"], said["site"], said["sensor"], said["interface"]) == ("1.2.3", "main", "span-1", "span0")
    assert said["started"] == "2026-01-05T10:00:00.000000Z"
    assert (said["ready"], said["conditions"], said["link"]) == (True, [], "up")
    assert said["legs"] == {"encrypted": 0, "clear": 0, "undetermined": 0, "not-observed": 0}
    assert said["memory_octets"] > 1 << 20


def test_schema_asks_for_every_field_and_knows_no_other() -> None:
    said = status()
    assert isinstance(VALIDATOR.schema, dict)
    assert set(VALIDATOR.schema["required"]) == set(said)
    for name in said:
        assert not VALIDATOR.is_valid({key: value for key, value in said.items() if key != name}), name
    assert not VALIDATOR.is_valid(said | {"more": 1})


def test_blind_sensor_says_why() -> None:
    said = status(Sources(holding=(DOWN,), state="down"))
    assert (said["ready"], said["link"]) == (False, "down")
    assert said["conditions"] == [{"level": "blind", "reason": "link-down", "text": "span0 is down"}]


def test_legs_are_told_by_what_is_observed_and_those_in_clear_by_their_segments() -> None:
    clear = {("voice", "outside"): InClear(2, 5), ("voice", "voice"): InClear(0, 9)}
    said = status(Sources(now={"clear": 2, "encrypted": 7}, clear=clear))
    assert said["legs"] == {"encrypted": 7, "clear": 2, "undetermined": 0, "not-observed": 0}
    assert said["in_clear"] == [{"segments": ["voice", "outside"], "legs": 2}]


def test_packets_are_told_as_an_account_and_as_rates_of_the_last_seconds() -> None:
    counters = dict(test_metrics.COUNTERS)
    recent = Recent(0.0)
    for second in range(100):
        counters = counters | {
            "received": second * 50,
            "octets": second * 10_000,
            "classified": second * 40,
            "ignored.arp": second * 9,
            "shed.new-media": second,
            "kernel_drops": second * 2,
            "malformed.udp": second * 3,
            "duplicates": second * 4,
            "gaps_common": second,
        }
        recent.look(counters, float(second))
    said = status(Sources(given=counters, lately=recent, capture=CaptureState(up=True, kernel_drops=198)))
    assert said["packets"] == {
        "received": 4950,
        "classified": 3960,
        "ignored": 891,
        "malformed": 297,
        "shed": 99,
        "kernel_drops": 198,
    }
    assert said["rates"] == {"seconds": 10, "received": 50, "octets": 10_000, "kernel_drops": 2, "shed": 1}
    mirror = said["mirror"]
    assert (mirror["seconds"], mirror["received"], mirror["duplicates"]) == (60, 3000, 240)
    assert (mirror["undecoded"], mirror["gaps"]) == (180, 60)


def test_findings_are_counted_by_severity_and_code_and_those_waived_apart() -> None:
    metrics, board = test_metrics.build(), Board()
    said = [numbered(1), numbered(2), replace(numbered(3), state="waived")]
    for each in said:
        metrics.finding_changed(each, "opened")
        board.finding_changed(each, "opened")
    found = status(metrics=metrics, board=board)["findings"]
    assert found["by_severity"] == {"critical": 2, "high": 0, "medium": 0, "low": 0, "info": 0}
    assert (found["by_code"], found["waived"]) == ({"media-clear": 2}, 1)
    assert [each["subject"]["a"] for each in found["newest"]] == ["192.0.2.3", "192.0.2.2", "192.0.2.1"]


def test_newest_findings_are_bounded_and_show_what_became_of_them() -> None:
    board = Board()
    told = [numbered(number) for number in range(NEWEST + 5)]
    for each in told:
        board.finding_changed(each, "opened")
    told[-1].state = "resolved"
    board.finding_changed(told[-1], "resolved")
    newest = status(board=board)["findings"]["newest"]
    assert len(newest) == NEWEST
    assert [each["state"] for each in newest[:2]] == ["resolved", "open"]


def test_finding_that_was_waived_and_is_open_again_is_the_newest_and_there_once() -> None:
    board = Board()
    first, second = numbered(1), numbered(2)
    for each in (first, second, first):
        board.finding_changed(each, "opened")
    assert [each is first for each in board.newest()] == [True, False]


def test_what_the_sensor_says_of_itself_is_kept_until_it_is_over() -> None:
    board = Board()
    clock = finding(code="sensor-clock", severity="medium", evidence=["it was set once"])
    board.finding_changed(clock, "opened")
    board.finding_changed(numbered(1), "opened")
    clock.evidence.append("it was set twice")
    board.finding_changed(clock, "updated")
    assert board.own() == {"sensor-clock": "it was set twice"}
    board.finding_changed(clock, "resolved")
    assert board.own() == {}


def test_addresses_are_veiled_where_events_are() -> None:
    board = Board()
    Veil((board,), lambda _address: "host-0123").finding_changed(numbered(7), "opened")
    (newest,) = status(board=board)["findings"]["newest"]
    assert newest["subject"]["a"] == "host-0123"
    assert "192.0.2." not in str(newest)


def test_sinks_are_told_with_what_waits() -> None:
    ways = {"stdout": SinkState(3), "siem": SinkState(0, 1, 2, 3, up=False, last_s=1_767_607_200.0)}
    said = status(Sources(ways=ways))["sinks"]
    assert (said[0]["name"], said[0]["delivered"], said[0]["up"], said[0]["last"]) == ("stdout", 3, True, None)
    assert (said[1]["dropped"], said[1]["retries"], said[1]["waiting"]) == (1, 2, 3)
    assert (said[1]["name"], said[1]["up"], said[1]["last"]) == ("siem", False, "2026-01-05T10:00:00.000000Z")


@pytest.mark.parametrize("synchronised", [True, False])
def test_clock_is_told(synchronised: bool) -> None:
    capture = CaptureState(up=True, kernel_drops=0, clock_steps=2, clock_synchronised=synchronised)
    assert status(Sources(capture=capture))["clock"] == {"synchronised": synchronised, "steps": 2}


def test_ledger_is_told_with_its_room_in_days_and_where_there_is_none_it_is_null() -> None:
    assert status()["ledger"] is None
    told = status(Sources(kept=LedgerState(5, 900, 2, 1, 77, 4096, 12.9 * 86_400, 1_767_607_200.0)))["ledger"]
    assert told == {
        "entries": 5,
        "octets": 900,
        "lost": 2,
        "errors": 1,
        "size": 77,
        "size_octets": 4096,
        "days_left": 12,
        "checkpoint": "2026-01-05T10:00:00.000000Z",
    }
    fresh = status(Sources(kept=LedgerState()))["ledger"]
    assert (fresh["days_left"], fresh["checkpoint"]) == (None, None)
