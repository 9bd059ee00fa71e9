"""What ``compare`` says of two reports, and the command."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import suppress
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from sensor.cli import main
from sensor.report.compare import NotComparableError, compare, interval, words
from tests.unit.sensor.report.made import DAY, HOUR, LAST, MINUTE, ORDINARY, PHONE, ledger, leg, report
from tests.unit.sensor.report.networks import states

ROOT = Path(__file__).parents[4]
SCHEMA = json.loads((ROOT / "docs/schema/comparison.schema.json").read_text())
Report = dict[str, Any]
Capture = pytest.CaptureFixture[str]

CHAIN: Report = {
    "sha256": "aa",
    "key": "RSA 2048",
    "signature": None,
    "self_signed": False,
    "trust": "trusted",
    "weak": [],
    "not_before": DAY,
    "not_after": DAY + 90 * 24 * HOUR,
}
SERVER: Report = {"address": "10.1.0.1", "port": 5061, "versions": ["TLS 1.2"], "chain": CHAIN}


@pytest.fixture
def before() -> Report:
    """An ordinary day, as it comes out of a file."""
    made: Report = json.loads(json.dumps(report(ORDINARY)))
    return made


@pytest.fixture
def after(before: Report) -> Report:
    """The same again."""
    return deepcopy(before)


def changes(before: Report, after: Report) -> list[tuple[str, str, str, str]]:
    comparison = compare(before, after)
    Draft202012Validator(SCHEMA).validate(comparison)
    return [(each["kind"], each["about"], each["subject"], each["text"]) for each in comparison["changes"]]


def notes(before: Report, after: Report) -> str:
    return " ".join(compare(before, after)["notes"])


def seen_less(report: Report) -> None:
    report["coverage"]["share"] -= 200


class TestProtection:
    """Shares of legs."""

    def test_same_report_has_no_change(self, before: Report, after: Report) -> None:
        assert changes(before, after) == []
        assert "No change that the counts support." in words(compare(before, after), most=1)

    @pytest.mark.parametrize(
        ("one", "other", "kind"),
        [
            (states(990, 10), states(900, 100), "worse"),
            (states(900, 100), states(990, 10), "better"),
            (states(9, 1), states(10, 0), None),  # so few legs support nothing
            (states(1, 0), states(0, 1), None),
            (states(9, 0, 1), states(0, 9, 1), "worse"),
            (states(1000, 0, 0, 0), states(1000, 0, 0, 900), None),  # what was not seen says nothing
            (states(1000), states(0), None),
            (states(990, 10), states(985, 15), None),
            (states(1000), states(900, 0, 100), "worse"),  # what is undetermined is not protected
        ],
    )
    @pytest.mark.parametrize(
        ("key", "about"), [("by_segment", "segment"), ("by_trunk", "trunk"), ("by_device", "device")]
    )
    def test_share_has_changed_where_the_intervals_do_not_overlap(
        self, before: Report, after: Report, one: Report, other: Report, kind: str | None, key: str, about: str
    ) -> None:
        for side, numbers in ((before, one), (after, other)):
            side["legs"][key] = [{"name": "x", "kind": "voice", "states": numbers}]
        assert [(each[0], each[1], each[2]) for each in changes(before, after)] == (
            [(kind, about, "x")] if kind else []
        )

    def test_change_says_shares_and_numbers(self, before: Report, after: Report) -> None:
        before["legs"]["states"], after["legs"]["states"] = states(990, 10), states(900, 100)
        text = "90.0 % of 1000 legs encrypted; before 99.0 % of 1000 legs encrypted"
        assert changes(before, after) == [("worse", "protection", "all legs", text)]

    def test_share_of_signalling_is_held_against_that_of_the_legs_whose_signalling_was_seen(
        self, before: Report, after: Report
    ) -> None:
        before["legs"]["signalling"] = states(990, 10, 5000)
        after["legs"]["signalling"] = states(900, 100)
        text = "90.0 % of 1000 legs encrypted; before 99.0 % of 1000 legs encrypted"
        assert changes(before, after) == [("worse", "signalling", "all legs", text)]

    def test_segment_and_trunk_that_come_and_go_are_said(self, before: Report, after: Report) -> None:
        before["legs"]["by_trunk"] = [{"name": "old", "kind": "vendor", "states": states(3)}]
        after["legs"]["by_trunk"] = [{"name": "young", "kind": "vendor", "states": states(3, 1)}]
        assert changes(before, after) == [
            ("new", "trunk", "young", "75.0 % of 4 legs encrypted"),
            ("gone", "trunk", "old", "100.0 % of 3 legs encrypted"),
        ]

    def test_device_that_comes_is_an_endpoint_and_no_second_change(self, before: Report, after: Report) -> None:
        after["legs"]["by_device"] = []
        assert changes(before, after) == []

    @pytest.mark.parametrize(
        ("part", "whole", "low", "high"),
        # None of n: z² / (n + z²). A half: 1/2 ± z / (2 √(n + z²)).
        [(0, 10, 0.0, 0.39886), (10, 10, 0.60114, 1.0), (50, 100, 0.37528, 0.62472), (0, 0, 0.0, 1.0)],
    )
    def test_interval_is_that_of_wilson(self, part: int, whole: int, low: float, high: float) -> None:
        assert interval(part, whole) == pytest.approx((low, high), abs=1e-4)

    @given(st.integers(0, 10**6), st.integers(0, 10**6))
    def test_interval_holds_the_share_and_gets_narrower_with_more_legs(self, part: int, rest: int) -> None:
        low, high = interval(part, part + rest)
        assert 0 <= low <= high <= 1
        if part + rest:
            assert low - 1e-9 <= part / (part + rest) <= high + 1e-9
            more = interval(4 * part, 4 * (part + rest))
            assert more[1] - more[0] <= high - low


class TestFindings:
    """By code and subject."""

    SUBJECT = "media-clear 10.20.0.10 10.20.1.7"

    def test_new_one_is_worse(self, before: Report, after: Report) -> None:
        before["findings"] = []
        assert changes(before, after) == [("worse", "finding", self.SUBJECT, "new, critical, open")]

    def test_new_one_that_is_over_again_is_worse_all_the_same(self, before: Report, after: Report) -> None:
        before["findings"], after["findings"][0]["state"] = [], "resolved"
        assert changes(before, after) == [("worse", "finding", self.SUBJECT, "new, critical, resolved")]

    def test_new_one_that_is_waived_is_new(self, before: Report, after: Report) -> None:
        before["findings"] = []
        for state, text in (("waived", "waived"), ("resolved", "resolved, was waived")):
            after["findings"][0].update(state=state, waived_by="Ops: old phones (until 2026-06-30)")
            assert changes(before, after) == [("new", "finding", self.SUBJECT, f"new, critical, {text}")]

    def test_new_one_that_only_informs_is_new(self, before: Report, after: Report) -> None:
        found = after["findings"][0]
        after["findings"] = [{**found, "code": "new-endpoint", "severity": "info", "id": "f9"}, found]
        assert [each[0] for each in changes(before, after)] == ["new"]

    def test_one_that_only_informed_and_is_over_is_gone(self, before: Report, after: Report) -> None:
        before["findings"] = [{**before["findings"][0], "code": "not-observable", "severity": "info", "state": "open"}]
        after["findings"] = []
        assert [each[0] for each in changes(before, after)] == ["gone"]

    def test_worst_comes_first(self, before: Report, after: Report) -> None:
        """Words and tables end after some."""
        found = after["findings"][0]
        before["findings"] = []
        after["findings"] = [
            {**found, "code": code, "severity": severity}
            for code, severity in (("a", "low"), ("b", "critical"), ("c", "medium"), ("d", "critical"))
        ]
        assert [each[2][0] for each in changes(before, after)] == ["b", "d", "c", "a"]

    def test_new_one_where_less_was_seen_before_may_have_been_there(self, before: Report, after: Report) -> None:
        before["findings"] = []
        seen_less(before)
        assert {each[0] for each in changes(before, after) if each[1] == "finding"} == {"worse"}
        assert "what is new may have been there" in notes(before, after)

    def test_one_that_is_not_found_again_where_no_media_were_seen_is_not_called_better(
        self, before: Report, after: Report
    ) -> None:
        after["findings"] = []
        after["legs"]["states"] = states(0, unseen=7)
        assert {each[0] for each in changes(before, after) if each[1] == "finding"} == {"gone"}
        assert "No media of calls were seen after" in notes(before, after)

    def test_one_that_is_not_found_again_is_better(self, before: Report, after: Report) -> None:
        after["findings"] = []
        assert changes(before, after) == [("better", "finding", self.SUBJECT, "critical, over")]

    def test_one_that_is_not_found_again_where_less_was_seen_is_not_called_better(
        self, before: Report, after: Report
    ) -> None:
        after["findings"] = []
        seen_less(after)
        text = "critical, not found again, and less was seen"
        assert ("gone", "finding", self.SUBJECT, text) in changes(before, after)
        assert not [each for each in changes(before, after) if each[0] == "better"]

    def test_one_that_was_over_before_is_no_change(self, before: Report, after: Report) -> None:
        before["findings"][0]["state"], after["findings"] = "resolved", []
        assert changes(before, after) == []

    def test_lasting_one_is_no_change_whatever_its_id_and_whichever_end_is_first(
        self, before: Report, after: Report
    ) -> None:
        subject = after["findings"][0]["subject"]
        after["findings"][0]["id"] = "other"
        subject["a"], subject["b"] = subject["b"], subject["a"]
        assert changes(before, after) == []

    @pytest.mark.parametrize(("severity", "kind"), [("critical", None), ("high", "better")])
    def test_severity_that_changed_is_said(
        self, before: Report, after: Report, severity: str, kind: str | None
    ) -> None:
        after["findings"][0]["severity"] = severity
        expected = [(kind, "finding", self.SUBJECT, f"{severity}, before critical")] if kind else []
        assert changes(before, after) == expected
        assert [each[0] for each in changes(after, before)] == (["worse"] if kind else [])

    @pytest.mark.parametrize(
        ("one", "other", "kind"),
        [
            ("open", "resolved", "better"),
            ("resolved", "open", "worse"),
            ("open", "waived", "changed"),
            ("waived", "open", "changed"),
            ("waived", "resolved", "better"),
        ],
    )
    def test_state_that_changed_is_said(self, before: Report, after: Report, one: str, other: str, kind: str) -> None:
        before["findings"][0]["state"], after["findings"][0]["state"] = one, other
        assert changes(before, after) == [(kind, "finding", self.SUBJECT, f"critical, {other}, before {one}")]


class TestInventory:
    """Endpoints, servers, certificates, vendors."""

    def test_endpoints_that_come_and_go_are_said(self, before: Report, after: Report) -> None:
        endpoint = {"address": "10.0.0.1", "name": "", "segment": "phones", "user_agent": "Yealink"}
        after["endpoints"] = [endpoint]
        assert changes(before, after) == [("new", "endpoint", "10.0.0.1", "phones, Yealink")]
        assert changes(after, before) == [("gone", "endpoint", "10.0.0.1", "phones, Yealink")]

    @pytest.mark.parametrize(
        ("versions", "kind"),
        [
            (["TLS 1.3"], "better"),
            (["TLS 1.2", "TLS 1.3"], "changed"),
            (["TLS 1.0", "TLS 1.2"], "worse"),
            (["TLS 1.2"], None),
            ([], None),
        ],
    )
    def test_oldest_version_of_tls_tells_better_from_worse(
        self, before: Report, after: Report, versions: list[str], kind: str | None
    ) -> None:
        before["tls_servers"] = [SERVER]
        after["tls_servers"] = [{**SERVER, "versions": versions}]
        expected = [(kind, "TLS version", "10.1.0.1 port 5061")] if kind else []
        assert [each[:3] for each in changes(before, after)] == expected

    @pytest.mark.parametrize(
        ("change", "kind"),
        [
            ({"sha256": "bb"}, "changed"),
            ({"trust": "untrusted"}, "worse"),
            ({"trust": "unknown"}, "changed"),
            ({"weak": ["RSA 1024"]}, "worse"),
            ({}, None),
        ],
    )
    def test_certificate_that_changed_is_said(
        self, before: Report, after: Report, change: Report, kind: str | None
    ) -> None:
        before["tls_servers"] = [SERVER]
        after["tls_servers"] = [{**SERVER, "chain": {**CHAIN, **change}}]
        assert [each[0] for each in changes(before, after)] == ([kind] if kind else [])

    def test_agreement_of_a_vendor_that_went_is_worse_and_one_that_came_is_better(
        self, before: Report, after: Report
    ) -> None:
        after["vendors"][0]["baa"] = None
        text = "agreement none; before signed 2025-01-01"
        assert changes(before, after) == [("worse", "vendor", "Carrier", text)]
        assert [each[0] for each in changes(after, before)] == ["better"]

    def test_vendors_that_come_and_go_are_said(self, before: Report, after: Report) -> None:
        after["vendors"] = []
        assert changes(before, after) == [("gone", "vendor", "Carrier", "carrier")]
        assert changes(after, before) == [("new", "vendor", "Carrier", "carrier")]


class TestCoverage:
    """What limits the comparison comes first."""

    def test_period_that_was_seen_less_is_worse_and_said_first(self, before: Report, after: Report) -> None:
        seen_less(after)
        assert [each[:3] for each in changes(before, after)] == [("worse", "coverage", "sensor")]
        assert "Less was seen after (80.0 % of the period" in notes(before, after)
        lines = list(words(compare(before, after), most=9))
        assert "Less was seen" in lines[2]

    def test_period_that_was_seen_as_well_and_is_much_shorter_is_said(self, before: Report, after: Report) -> None:
        after["coverage"]["seconds"]["seen"] //= 2
        assert "Less was seen after" in notes(before, after)
        assert changes(before, after) == []

    def test_no_endpoint_in_common_is_said(self, before: Report, after: Report) -> None:
        """As when pseudonyms are made with another key."""
        endpoint = {"address": "host-1", "name": "", "segment": "voice", "user_agent": None}
        before["endpoints"] = after["endpoints"] = [endpoint]
        assert "No endpoint is in both" not in notes(before, after)
        after["endpoints"] = [{**endpoint, "address": "host-2"}]
        assert "No endpoint is in both" in notes(before, after)
        after["endpoints"] = []
        assert "No endpoint is in both" not in notes(before, after)

    def test_period_that_was_seen_as_long_with_losses_is_worse_and_said(self, before: Report, after: Report) -> None:
        whole = after["coverage"]["seconds"]
        after["coverage"]["seconds"] = {**whole, "seen": 0, "degraded": whole["seen"] + whole["degraded"]}
        after["findings"] = []
        told = changes(before, after)
        assert ("worse", "coverage", "without losses", "0.0 % of the time; before 100.0 %") in told
        assert {each[0] for each in told if each[1] == "finding"} == {"gone"}
        assert "Less was seen after" in notes(before, after)

    def test_nothing_seen_is_said(self, before: Report, after: Report) -> None:
        after["coverage"]["seconds"] = dict.fromkeys(after["coverage"]["seconds"], 0)
        assert "Nothing was seen after" in notes(before, after)

    def test_other_site_other_source_other_order_and_a_ledger_that_does_not_verify_are_said(
        self, before: Report, after: Report
    ) -> None:
        after["source"] = {"kind": "captures", "site": "South wing"}
        after["period"]["from"] -= 1
        before["ledger"]["verified"] = False
        said = notes(before, after)
        assert "North wing and South wing" in said
        assert "one of captures" in said
        assert "earlier period" in said
        assert "does not verify" in said


@pytest.mark.parametrize("wrong", [{}, {"type": "report"}, {"type": "report", "format": 2}])
def test_what_is_no_report_is_refused(before: Report, wrong: Report) -> None:
    with pytest.raises(NotComparableError):
        compare(before, wrong)


Way = tuple[Any, ...]


def put(report: Report, way: Way, value: object) -> None:
    part: Any = report
    for key in way[:-1]:
        part = part[key]
    part[way[-1]] = value


def places(value: Any, way: Way = ()) -> Iterator[Way]:
    """The way to each part of a report object."""
    if way:
        yield way
    for key in value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ():
        yield from places(value[key], (*way, key))


@pytest.mark.parametrize("wrong", [None, -1, 10**30, float("nan"), float("inf"), "x", [[]], {"a": 1}], ids=repr)
def test_report_that_was_edited_is_compared_or_refused_and_never_a_crash(before: Report, wrong: object) -> None:
    """A crash would end with 1, as something that got worse does."""
    before["tls_servers"] = [SERVER]
    for way in places(before):
        edited = deepcopy(before)
        put(edited, way, wrong)
        for pair in ((before, edited), (edited, before)):
            with suppress(NotComparableError):
                assert list(words(compare(*pair), most=1))


@pytest.mark.parametrize("wrong", [float("nan"), float("inf"), -1, 1.0, True, "1", None, 2**53], ids=repr)
@pytest.mark.parametrize(
    "way",
    [
        ("legs", "states", "clear"),
        ("legs", "signalling", "encrypted"),
        ("legs", "by_device", 0, "states", "undetermined"),
        ("coverage", "seconds", "seen"),
        ("coverage", "share"),
    ],
)
def test_count_that_is_none_is_refused_by_its_place(before: Report, after: Report, way: Way, wrong: object) -> None:
    put(after, way, wrong)
    with pytest.raises(
        NotComparableError, match=f"^the later one is not what a report is: {'.'.join(map(str, way))}: "
    ):
        compare(before, after)
    with pytest.raises(NotComparableError, match=r"^the former one"):
        compare(after, before)


@pytest.mark.parametrize(
    ("way", "wrong"),
    [
        (("findings", 0, "state"), "gone"),
        (("findings", 0, "severity"), "worst"),
        (("source", "kind"), "hearsay"),
        (("period", "from"), LAST + 1),
        (("period", "to"), 10**18),
        (("coverage", "share"), 1001),
        (("tls_servers", 0, "chain", "trust"), "some"),
        (("endpoints",), {}),
        (("ledger", "verified"), "yes"),
    ],
    ids=str,
)
def test_word_or_time_that_there_is_not_is_refused(before: Report, after: Report, way: Way, wrong: object) -> None:
    before["tls_servers"], after["tls_servers"] = [SERVER], [deepcopy(SERVER)]
    put(after, way, wrong)
    with pytest.raises(NotComparableError, match=rf"^the later one is not what a report is: {way[0]}\b"):
        compare(before, after)


def test_report_without_a_part_is_refused(before: Report, after: Report) -> None:
    for part in ("legs", "findings", "coverage", "period", "source", "endpoints", "tls_servers", "vendors", "ledger"):
        broken = {key: value for key, value in after.items() if key != part}
        with pytest.raises(NotComparableError):
            compare(before, broken)


class TestCommand:
    """``legwatch compare``."""

    @pytest.fixture
    def files(self, tmp_path: Path, before: Report, after: Report) -> tuple[str, str]:
        """The ordinary day, and the same without its finding."""
        after["findings"] = []
        for name, made in (("before", before), ("after", after)):
            (tmp_path / f"{name}.json").write_text(json.dumps(made))
        return str(tmp_path / "before.json"), str(tmp_path / "after.json")

    def test_nothing_worse_is_0_and_something_is_1(self, files: tuple[str, str], capsys: Capture) -> None:
        assert main(["compare", *files]) == 0
        assert "better (1)\n  finding media-clear 10.20.0.10 10.20.1.7: critical, over" in capsys.readouterr().out
        assert main(["compare", *reversed(files)]) == 1
        assert "worse (1)" in capsys.readouterr().out

    def test_json_is_one_object_as_the_schema_has_it(self, files: tuple[str, str], capsys: Capture) -> None:
        assert main(["compare", "--json", *files]) == 0
        Draft202012Validator(SCHEMA).validate(json.loads(capsys.readouterr().out))

    def test_periods_of_a_ledger_are_compared(self, tmp_path: Path, capsys: Capture) -> None:
        day = 24 * HOUR
        calls = [leg(DAY + day + n * MINUTE, observed="clear" if n % 2 else "encrypted") for n in range(1, 100)]
        earlier = [leg(DAY + 4 * HOUR + n * MINUTE) for n in range(1, 100)]
        entries = sorted([*ORDINARY, *earlier, *calls], key=lambda entry: entry["at"])
        key = ledger(tmp_path / "ledger", entries)
        place = ("--ledger", str(tmp_path / "ledger"), "--key", key)
        assert main(["compare", "2026-01-05..2026-01-05", "2026-01-06..2026-01-06", *place]) == 1
        said = capsys.readouterr().out
        assert said.splitlines()[0].startswith("before: 2026-01-05, North wing: seen 1 day")
        assert f"device {PHONE}: " in said
        assert "of 99 legs encrypted; before " in said

    @pytest.mark.parametrize("text", ["", "[]", "7", '{"type": "report"}', "{" * 100_000, "\x00"])
    def test_what_is_no_report_is_2_and_one_line(
        self, tmp_path: Path, files: tuple[str, str], capsys: Capture, text: str
    ) -> None:
        wrong = tmp_path / "wrong.json"
        wrong.write_text(text)
        assert main(["compare", files[0], str(wrong)]) == 2
        assert len(capsys.readouterr().err.splitlines()) == 1

    @pytest.mark.parametrize("number", ["NaN", "-Infinity", "1e400", "-1"])
    def test_report_with_an_edited_number_is_2_and_one_line(
        self, tmp_path: Path, files: tuple[str, str], capsys: Capture, number: str
    ) -> None:
        wrong = tmp_path / "wrong.json"
        wrong.write_text(re.sub(r'"clear": \d+', f'"clear": {number}', Path(files[0]).read_text(), count=1))
        assert main(["compare", files[0], str(wrong)]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert "wrong.json" in line

    def test_no_such_file_and_no_ledger_are_2(self, files: tuple[str, str], tmp_path: Path, capsys: Capture) -> None:
        assert main(["compare", files[0], str(tmp_path / "no.json")]) == 2
        assert main(["compare", "2026-01-05..2026-01-05", "2026-01-06..2026-01-06"]) == 2
        assert main(["compare", "2026-01-05..x", files[0], "--ledger", str(tmp_path)]) == 2
        assert len(capsys.readouterr().err.splitlines()) == 3

    def test_many_changes_are_bounded_in_words(self, before: Report, after: Report) -> None:
        after["endpoints"] = [
            {"address": f"10.0.0.{n}", "name": "", "segment": "s", "user_agent": None} for n in range(90)
        ]
        lines = list(words(compare(before, after), most=5))
        assert len([line for line in lines if line.startswith("  endpoint ")]) == 5
        assert "  and 85 more, which --json has" in lines

    def test_names_from_the_wire_cannot_command_a_terminal(
        self, tmp_path: Path, before: Report, after: Report, capsys: Capture
    ) -> None:
        after["endpoints"] = [{"address": "x", "name": "", "segment": "s", "user_agent": "\x1b[2J"}]
        for name, made in (("a", before), ("b", after)):
            (tmp_path / name).write_text(json.dumps(made))
        assert main(["compare", str(tmp_path / "a"), str(tmp_path / "b")]) == 0
        assert "\x1b" not in capsys.readouterr().out
