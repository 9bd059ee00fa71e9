"""The charts: what is drawn is what was counted, at any length of time, and nothing is cut."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sensor.report.charts import MAX_COLUMNS, MAX_LINES, MAX_ROWS, Row, Span, coverage_strip, states_by, trend
from tests.unit.sensor.report.pictures import SVG, assert_texts_have_room, parsed, words

DAY, HOUR = 86_400_000, 3_600_000
MONDAY = 1_767_571_200_000  # 2026-01-05T00:00:00Z
SIGHT = ("seen", "degraded", "not-running", "blind")
STATES = st.fixed_dictionaries(
    {state: st.integers(0, 10**12) for state in ("encrypted", "clear", "undetermined", "not-observed")}
)

NAMES = st.text(st.characters(exclude_categories=["Nd"]), max_size=60)


def titles(svg: str) -> list[str]:
    return [group.findtext(f"{SVG}title") or "" for group in parsed(svg).iter(f"{SVG}g")]


def sights(svg: str, colour: str) -> list[tuple[float, float]]:
    """Where a sight is drawn on the lines, without the legend: x and width."""
    rects = [rect for rect in parsed(svg).iter(f"{SVG}rect") if rect.get("fill") == colour]
    return [(float(rect.attrib["x"]), float(rect.attrib["width"])) for rect in rects][:-1]


class TestStatesBy:
    """Bars, one a name."""

    def test_each_row_is_a_bar_with_its_figures(self) -> None:
        rows = [Row("voice", {"encrypted": 309, "clear": 3, "not-observed": 2}), Row("guest", {"not-observed": 2})]
        svg = states_by("By segment", rows, name="segments")
        assert titles(svg) == ["voice: 309 encrypted, 3 clear, 2 not observed", "guest: 2 not observed"]
        assert {"By segment", "voice", "309 of 312, 99.0 %", "none seen"} <= set(words(parsed(svg)))

    def test_one_leg_of_a_million_is_seen(self) -> None:
        svg = states_by("By segment", [Row("voice", {"encrypted": 10**6, "clear": 1})], name="segments")
        clear = [rect for rect in parsed(svg).iter(f"{SVG}rect") if rect.get("fill") == "#d55e00"]
        assert float(clear[0].attrib["width"]) >= 3

    def test_rows_beyond_the_bound_are_one_and_counted(self) -> None:
        rows = [Row(f"phone-{n}", {"encrypted": 1, "clear": n}) for n in range(MAX_ROWS + 3)]
        assert "and" not in " ".join(titles(states_by("By device", rows[:MAX_ROWS], name="devices")))
        assert titles(states_by("By device", rows, name="devices"))[-1] == "and 3 more: 3 encrypted, 75 clear"

    def test_nothing_is_a_chart_without_bars(self) -> None:
        assert titles(states_by("By trunk", [], name="trunks")) == []

    @given(st.lists(st.builds(Row, NAMES, STATES), max_size=40))
    def test_any_rows_have_room(self, rows: list[Row]) -> None:
        svg = states_by("By device", rows, name="devices")
        assert_texts_have_room(parsed(svg))
        said = [int(number) for title in titles(svg) for number in re.findall(r"(\d+) encrypted(?:,|$)", title)]
        assert sum(said) == sum(row.states["encrypted"] for row in rows)
        assert states_by("By device", rows, name="devices") == svg


class TestTrend:
    """Columns, one a week."""

    def test_week_without_legs_has_its_place(self) -> None:
        svg = trend([Row("2026-W01", {"encrypted": 1}), Row("2026-W03", {"clear": 1})], name="weeks")
        assert titles(svg) == ["2026-W01: 1 encrypted", "2026-W02: no leg", "2026-W03: 1 clear"]

    def test_turn_of_the_year_is_no_hole(self) -> None:
        svg = trend([Row("2026-W53", {"encrypted": 1}), Row("2027-W01", {"encrypted": 1})], name="weeks")
        assert len(titles(svg)) == 2

    def test_six_years_are_columns_of_several_weeks_and_lose_no_leg(self) -> None:
        weeks = [Row(f"{year}-W{week:02d}", {"encrypted": 2}) for year in range(2020, 2026) for week in range(1, 53)]
        svg = trend(weeks, name="weeks")
        assert "Legs by state, 6 weeks a column" in words(parsed(svg))
        assert len(titles(svg)) <= MAX_COLUMNS
        assert sum(int(n) for title in titles(svg) for n in re.findall(r"(\d+) encrypted", title)) == 2 * len(weeks)

    @pytest.mark.parametrize("number", [0, 1, 12, 13, 52])
    def test_any_number_of_weeks_has_room(self, number: int) -> None:
        assert_texts_have_room(
            parsed(trend([Row(f"2026-W{n + 1:02d}", {"clear": 1}) for n in range(number)], name="w"))
        )


class TestCoverageStrip:
    """What of the time was seen."""

    @pytest.mark.parametrize(
        ("days", "lines", "says"),
        [(1, 1, "a day"), (31, 31, "a day"), (62, 62, "a day"), (63, 9, "a week"), (365, 53, "a week")],
    )
    def test_line_is_as_long_as_the_period_needs(self, days: int, lines: int, says: str) -> None:
        svg = coverage_strip([Span(MONDAY, MONDAY + days * DAY, "seen")], MONDAY, MONDAY + days * DAY - 1, name="c")
        root = parsed(svg)
        assert says in (root.findtext(f"{SVG}desc") or "")
        assert len(sights(svg, "#9ecae1")) == lines
        assert_texts_have_room(root)

    def test_six_years_have_lines_of_several_weeks(self) -> None:
        last = MONDAY + 2191 * DAY - 1
        svg = coverage_strip([Span(MONDAY, last, "seen")], MONDAY, last, name="coverage")
        assert len(sights(svg, "#9ecae1")) <= MAX_LINES
        assert_texts_have_room(parsed(svg))

    def test_minute_in_which_the_sensor_was_blind_shows_in_a_year(self) -> None:
        noon = MONDAY + 100 * DAY + 12 * HOUR
        spans = [
            Span(MONDAY, noon, "seen"), Span(noon, noon + 60_000, "blind"),
            Span(noon + 60_000, MONDAY + 365 * DAY, "seen"),
        ]  # fmt: skip
        svg = coverage_strip(spans, MONDAY, MONDAY + 365 * DAY - 1, name="coverage")
        ((_, width),) = sights(svg, "#7a0019")
        assert width >= 2

    def test_time_of_which_nothing_is_said_stays_empty(self) -> None:
        svg = coverage_strip([Span(MONDAY + 6 * HOUR, MONDAY + 12 * HOUR, "seen")], MONDAY, MONDAY + DAY - 1, name="c")
        ((x, width),) = sights(svg, "#9ecae1")
        assert x == pytest.approx(104 + 210, abs=2)
        assert width == pytest.approx(210, abs=2)

    def test_description_has_the_time_of_each_sight(self) -> None:
        spans = [Span(MONDAY, MONDAY + HOUR, "seen"), Span(MONDAY + HOUR, MONDAY + HOUR + 60_000, "blind")]
        svg = coverage_strip(spans, MONDAY, MONDAY + DAY - 1, name="coverage")
        assert parsed(svg).findtext(f"{SVG}desc") == "a day a line. seen: 1 hour, blind: 1 minute"

    @given(
        st.integers(0, 4 * 10**12),
        st.integers(0, 3000 * DAY),
        st.lists(st.tuples(st.integers(0, 3000 * DAY), st.integers(0, 40 * DAY), st.sampled_from(SIGHT)), max_size=20),
    )
    def test_any_period_has_room(self, first: int, length: int, spans: list[tuple[int, int, str]]) -> None:
        made = [Span(first + at, first + at + long, state) for at, long, state in spans]
        assert_texts_have_room(parsed(coverage_strip(made, first, first + length, name="coverage")))


def test_pictures_of_one_document_have_ids_of_their_own() -> None:
    ids = [
        part.attrib["id"]
        for name in ("segments", "devices")
        for part in parsed(states_by("x", [], name=name)).iter()
        if "id" in part.attrib
    ]
    assert len(ids) == len(set(ids)) == 4
