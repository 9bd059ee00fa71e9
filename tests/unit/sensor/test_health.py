"""The sensor's own health from the engine's counters, over time."""

from __future__ import annotations

from sensor.config.schema import Policy
from sensor.findings import Book
from sensor.health import Health
from tests.unit.sensor.traffic import S

SILENT = {"received": 0, "duplicates": 0, "truncated": 0, "media_one_way": 0, "media_both_ways": 0}


def watched(interface: str = "span0", *, no_voice_after: float = 3600) -> tuple[Health, Book]:
    book = Book(())
    return Health(book, interface, Policy(no_voice_after=no_voice_after)), book


def codes(book: Book) -> set[str]:
    return {finding.code for finding in book.open_findings()}


def test_mirror_is_judged_by_the_minute_and_well_again_when_the_next_one_is() -> None:
    health, book = watched()
    health.counters(SILENT, 1000 * S)
    health.counters(SILENT | {"received": 5000, "truncated": 4000}, 1059 * S)
    assert codes(book) == set()
    health.counters(SILENT | {"received": 5000, "truncated": 4000}, 1060 * S)
    assert codes(book) == {"sensor-truncated"}
    health.counters(SILENT | {"received": 5900, "truncated": 4000}, 1120 * S)
    assert codes(book) == {"sensor-truncated"}  # too little came to say anything
    health.counters(SILENT | {"received": 9000, "truncated": 4000}, 1180 * S)
    assert codes(book) == set()


def test_capture_file_is_judged_as_a_whole() -> None:
    health, book = watched("")
    health.counters(SILENT | {"received": 5000, "duplicates": 2500}, 1000 * S)
    assert codes(book) == set()
    health.close(1000 * S)
    assert codes(book) == {"sensor-duplicate-mirror"}


def test_voice_that_stops_is_missed_until_it_comes_again() -> None:
    health, book = watched(no_voice_after=100)
    for second in range(0, 120, 10):
        health.counters(SILENT | {"received": 10 + second, "sip_messages": 3}, (1000 + second) * S)
    assert codes(book) == {"sensor-no-voice"}
    health.counters(SILENT | {"received": 500, "sip_messages": 4}, 1121 * S)
    assert codes(book) == set()


def test_call_that_lasts_is_voice() -> None:
    health, book = watched(no_voice_after=100)
    for second in range(0, 300, 10):
        health.counters(SILENT | {"received": 10 + second, "streams": 2, "streams_begun": 2}, (1000 + second) * S)
    assert codes(book) == set()


def test_gaps_of_many_streams_at_once_are_loss() -> None:
    health, book = watched()
    health.counters(SILENT | {"received": 1}, 1000 * S)
    health.counters(SILENT | {"received": 2, "gaps_common": 40}, 1001 * S)
    assert codes(book) == {"sensor-loss"}


def test_gaps_that_one_receiver_does_not_know_of_may_be_its_own_fault() -> None:
    health, book = watched()
    health.counters(SILENT | {"received": 2, "gaps_unreported": 40, "streams_unreported": 2}, 1001 * S)
    assert codes(book) == set()
    health.counters(SILENT | {"received": 3, "gaps_unreported": 60, "streams_unreported": 3}, 1002 * S)
    assert codes(book) == {"sensor-loss"}


def test_clock_is_told_where_the_capture_knows_of_it() -> None:
    health, book = watched()
    health.counters(SILENT | {"received": 1, "clock_steps": 0, "clock_synchronised": 1}, 1000 * S)
    assert codes(book) == set()
    health.counters(SILENT | {"received": 2, "clock_steps": 1, "clock_synchronised": 1}, 1001 * S)
    assert codes(book) == {"sensor-clock"}


def test_clock_that_was_set_long_ago_is_right_again_and_one_that_nobody_keeps_is_not() -> None:
    health, book = watched()
    set_once = SILENT | {"clock_steps": 1, "clock_synchronised": 1}
    health.counters(set_once | {"received": 1}, 1000 * S)
    health.counters(set_once | {"received": 2}, 1299 * S)
    assert codes(book) == {"sensor-clock"}
    health.counters(set_once | {"received": 3}, 1300 * S)
    assert codes(book) == set()
    health.counters(set_once | {"received": 4, "clock_synchronised": 0}, 1301 * S)
    assert codes(book) == {"sensor-clock"}
    health.counters(set_once | {"received": 5, "clock_synchronised": 0}, 3000 * S)
    assert codes(book) == {"sensor-clock"}


def test_voice_is_known_once_there_was_some() -> None:
    health, _ = watched()
    health.counters(SILENT | {"received": 10}, 1000 * S)
    assert not health.voice_seen
    health.counters(SILENT | {"received": 11, "sip_messages": 1}, 1001 * S)
    health.counters(SILENT | {"received": 12, "sip_messages": 1}, 1002 * S)
    assert health.voice_seen


def test_overload_is_told_with_its_stage_while_it_lasts() -> None:
    health, book = watched()
    health.counters(SILENT | {"received": 1, "overload_stage": 2}, 1000 * S)
    (finding,) = book.open_findings()
    assert finding.code == "sensor-overload"
    assert finding.evidence == [
        "load is shed, stage 2 of 3: jitter is not followed, media with a verdict is not looked at"
    ]
    health.counters(SILENT | {"received": 2, "overload_stage": 0}, 1001 * S)
    assert codes(book) == set()


def test_evidence_that_cannot_be_written_is_critical_until_it_can() -> None:
    health, book = watched()
    health.evidence(["/ledger cannot be written: No space left on device"], 1000 * S)
    (found,) = book.open_findings()
    assert (found.code, found.severity, found.controls) == ("sensor-evidence", "critical", ("164.312(b)",))
    assert "/ledger cannot be written" in found.evidence[0]
    health.evidence([], 1001 * S)
    assert codes(book) == set()
