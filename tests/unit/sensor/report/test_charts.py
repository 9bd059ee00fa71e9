"""Bars of states, the trend by week, and the strip of what was seen when."""

from __future__ import annotations

from typing import Any

import pytest

from sensor.report.charts import ROWS, WEEKS, coverage_strip, states_by, trend
from sensor.report.palette import LOOKS, SIGHTS
from tests.pictures import SVG, assert_readable, parsed, texts, tooltips
from tests.unit.sensor.report.made import DAY, HOUR, MINUTE
from tests.unit.sensor.report.networks import states

DAY_MS = 24 * HOUR


def words(svg: str) -> list[str]:
    return [text.words for text in texts(parsed(svg))]


def row(name: str, **numbers: int) -> dict[str, Any]:
    return {"name": name, "kind": "device", "states": states(**numbers)}


def span(first: int, last: int, state: str) -> dict[str, Any]:
    return {"from": first, "to": last, "state": state}


def widths(svg: str, colour: str) -> list[float]:
    """Of all areas but those of the legend, which is last."""
    found = [float(each.get("width", "0")) for each in parsed(svg).iter(f"{SVG}rect") if each.get("stroke") == colour]
    return found[:-1]


def heights(svg: str, colour: str) -> list[float]:
    found = [float(each.get("height", "0")) for each in parsed(svg).iter(f"{SVG}rect") if each.get("stroke") == colour]
    return found[:-1]


class TestBars:
    """``states_by``."""

    @pytest.mark.parametrize(
        "rows",
        [
            [],
            [row("phones")],
            [row("phones", encrypted=1, clear=2, undetermined=3, unseen=4)],
            [row("W" * 200, encrypted=10**12, clear=10**12, undetermined=10**12, unseen=10**12)],
            [row(f"d{n}", clear=n) for n in range(200)],
            [{**row("10.0.0.1", clear=1), "label": "</text>\x00\x1b"}],
        ],
    )
    def test_any_rows_are_readable(self, rows: list[dict[str, Any]]) -> None:
        assert_readable(states_by("Legs by device", rows))

    def test_each_row_has_its_share_and_its_counts(self) -> None:
        svg = states_by("Legs by device", [row("phones", encrypted=98, clear=2, unseen=5)])
        assert "98.0 % of 100" in words(svg)
        assert "phones: 2 clear, 5 not-observed, 98 encrypted</desc>" in svg

    def test_bar_is_as_long_as_the_share(self) -> None:
        svg = states_by("Legs", [row("phones", encrypted=75, clear=25)])
        (encrypted,), (clear,) = widths(svg, LOOKS["encrypted"].colour), widths(svg, LOOKS["clear"].colour)
        assert encrypted == pytest.approx(3 * clear, rel=0.01)

    def test_one_leg_in_clear_among_a_million_is_to_be_seen(self) -> None:
        svg = states_by("Legs", [row("phones", encrypted=10**6, clear=1)])
        assert widths(svg, LOOKS["clear"].colour) == [3.0]
        assert "99.9 % of 1000001" in words(svg)

    def test_more_rows_than_there_is_room_for_are_counted(self) -> None:
        found = words(states_by("Legs", [row(f"d{n}", clear=1) for n in range(ROWS + 5)]))
        assert "and 5 more, with 5 clear" in found

    def test_states_are_told_apart_without_colour(self) -> None:
        assert len({look.filling for look in LOOKS.values()}) == len(LOOKS)
        assert len({look.dashes for look in LOOKS.values()}) == len(LOOKS)
        assert len({look.filling for look in SIGHTS.values()}) == len(SIGHTS)


class TestTrend:
    """``trend``."""

    @pytest.mark.parametrize("weeks", [0, 1, 5, 13, 53, 300])
    def test_any_number_of_weeks_is_readable(self, weeks: int) -> None:
        assert_readable(trend([row(f"2026-W{n:02d}", encrypted=10**9, clear=n) for n in range(weeks)]))

    def test_each_week_has_its_name_and_number(self) -> None:
        found = words(trend([row("2026-W01", encrypted=3, clear=1)]))
        assert {"2026-W01", "4"} <= set(found)

    def test_weeks_before_those_drawn_are_counted(self) -> None:
        found = words(trend([row(f"w{n}", clear=1) for n in range(WEEKS + 3)]))
        assert "and 3 weeks before, with 3 clear" in found


class TestStrip:
    """``coverage_strip``."""

    @pytest.mark.parametrize("length", [1, MINUTE, HOUR, DAY_MS, 7 * DAY_MS, 31 * DAY_MS, 366 * DAY_MS, 9000 * DAY_MS])
    @pytest.mark.parametrize("begin", [DAY, DAY + 17 * MINUTE + 3])
    def test_any_period_is_readable_and_no_taller_than_a_page(self, length: int, begin: int) -> None:
        svg = coverage_strip(begin, begin + length - 1, [span(begin, begin + length, "seen")])
        assert_readable(svg)
        root = parsed(svg)
        assert float(root.get("height", "0")) <= 1.3 * float(root.get("width", "0"))

    def test_times_by_sight_are_those_of_the_spans_and_what_none_covers_is_not_running(self) -> None:
        spans = [span(DAY + HOUR, DAY + 2 * HOUR, "seen"), span(DAY + 2 * HOUR, DAY + 3 * HOUR, "blind")]
        svg = coverage_strip(DAY, DAY + DAY_MS - 1, spans)
        assert "seen 1 hour, blind 1 hour, not-running 22 hours" in words(svg)

    def test_one_minute_of_blindness_in_a_year_is_to_be_seen(self) -> None:
        at = DAY + 100 * DAY_MS
        spans = [span(DAY, at, "seen"), span(at, at + MINUTE, "blind"), span(at + MINUTE, DAY + 365 * DAY_MS, "seen")]
        svg = coverage_strip(DAY, DAY + 365 * DAY_MS - 1, spans)
        assert heights(svg, SIGHTS["blind"].colour) == [3.0]
        assert "seen 23 hours 59 minutes, blind 1 minute" in tooltips(parsed(svg))

    def test_spans_that_overlap_or_go_back_count_once(self) -> None:
        spans = [span(DAY, DAY + 2 * HOUR, "seen"), span(DAY + HOUR, DAY + 3 * HOUR, "blind"), span(DAY, DAY, "seen")]
        assert "seen 2 hours, blind 1 hour" in words(coverage_strip(DAY, DAY + 3 * HOUR - 1, spans))

    def test_no_spans_is_not_running(self) -> None:
        assert "not-running 1 day" in words(coverage_strip(DAY, DAY + DAY_MS - 1, []))
