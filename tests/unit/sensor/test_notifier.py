"""The notifier: a finding is said once, and in a summary where there are too many."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from sensor.alerts.event import Event
from sensor.alerts.notifier import Notifier
from sensor.config.network import Alerts
from sensor.findings import Book, Claim
from sensor.model import Severity, Subject
from tests.unit.sensor.samples import event
from tests.unit.sensor.traffic import T0, S


class Heard:
    """An outlet that remembers."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def put(self, said: Event) -> None:
        self.events.append(said)

    @property
    def said(self) -> list[str]:
        return [said["event"].removeprefix("finding_") for said in self.events]


class Made:
    """A book with a notifier behind it, and what that said."""

    def __init__(self, waived: str | None = None, **limits: Any) -> None:
        self.heard = Heard()
        self.waived = waived
        self.known: list[Event] = []  # from before a restart
        self.notifier = Notifier([self.heard], Alerts(**limits), event)
        self.book = Book([self.notifier], waived=lambda *_: self.waived)

    def hold(self, holder: str, *claims: Claim, at: float = 0) -> None:
        now_ns = T0 + int(at * S)
        self.book.hold(holder, claims, now_ns)
        self.notifier.advance(now_ns)


def claim(a: str = "10.0.0.1", code: str = "media-clear", severity: Severity = "critical") -> Claim:
    return Claim(code, severity, Subject("leg", a, "10.0.0.9"), ("phones",), f"{a} in clear", ("164.312(e)(1)",))


def test_finding_opened_and_resolved_is_said_once_each() -> None:
    made = Made()
    made.hold("leg", claim())
    made.hold("leg", at=5)
    assert made.heard.said == ["opened", "resolved"]
    assert made.heard.events[1]["last"] == "2026-01-05T10:00:05.000000Z"


def test_evidence_that_is_new_is_an_update() -> None:
    made = Made()
    made.hold("leg", claim())
    made.hold("other", claim()._replace(evidence="more"), at=1)
    assert made.heard.said == ["opened", "updated"]
    assert made.heard.events[1]["evidence"] == ["10.0.0.1 in clear", "more"]


def test_event_said_does_not_change_with_its_finding() -> None:
    made = Made()
    made.hold("leg", claim())
    made.hold("other", claim()._replace(evidence="more"), at=1)
    assert made.heard.events[0]["evidence"] == ["10.0.0.1 in clear"]


def test_ten_thousand_clear_legs_are_a_burst_and_one_summary() -> None:
    made = Made(burst=20, window=60)
    for i in range(10_000):
        made.book.hold(i, [claim(f"10.{i >> 8}.{i & 255}.1")], T0 + i)
    made.notifier.advance(T0 + 30 * S)
    assert made.heard.said == ["opened"] * 20
    made.notifier.advance(T0 + 61 * S)
    assert made.heard.said == ["opened"] * 20 + ["summary"]
    summary = made.heard.events[-1]
    assert (summary["count"], summary["suppressed"], summary["window_s"]) == (9980, {"opened": 9980, "resolved": 0}, 60)
    assert (summary["code"], summary["state"], summary["subject"]) == ("media-clear", "open", {"kind": "summary"})
    assert made.notifier.suppressed == 9980


def test_summary_is_said_again_only_when_it_changed_and_is_resolved_with_the_last() -> None:
    made = Made(burst=1, window=60)
    for i in range(3):
        made.hold(f"leg{i}", claim(f"10.0.0.{i}"), at=i)
    for minute in range(1, 4):
        made.notifier.advance(T0 + (60 * minute + 5) * S)
    assert made.heard.said == ["opened", "summary"]
    made.hold("leg1", at=200)
    made.hold("leg2", at=201)
    made.notifier.advance(T0 + 400 * S)
    assert made.heard.said == ["opened", "summary", "summary"]
    last = made.heard.events[-1]
    assert (last["state"], last["count"], last["suppressed"]) == ("resolved", 0, {"opened": 0, "resolved": 2})


def test_codes_have_bursts_of_their_own() -> None:
    made = Made(burst=1)
    made.hold("a", claim(), claim(code="dtmf-clear"))
    assert made.heard.said == ["opened", "opened"]


def test_burst_is_over_when_the_window_is() -> None:
    made = Made(burst=1, window=60)
    made.hold("a", claim("10.0.0.1"))
    made.hold("b", claim("10.0.0.2"), at=61)
    assert made.heard.said == ["opened", "opened"]


def test_waived_finding_is_told_as_waived_and_opened_when_the_waiver_is_over() -> None:
    made = Made(waived="J. Doe: old gateway")
    made.hold("leg", claim())
    made.waived = None
    made.book.waive(T0 + S)
    assert [(said["event"], said["state"]) for said in made.heard.events] == [
        ("finding_opened", "waived"),
        ("finding_opened", "open"),
    ]


def test_summary_has_the_worst_severity_of_what_is_open_and_is_said_again_when_that_rises() -> None:
    made = Made(burst=1, window=60)
    for i in range(3):
        made.hold(f"leg{i}", claim(f"10.0.0.{i}", severity="info"))
    made.hold("leg3", claim("10.0.0.3", severity="medium"))
    for minute in (1, 2):
        made.notifier.advance(T0 + 61 * minute * S)
    made.hold("leg1", claim("10.0.0.1", severity="critical"), at=130)
    made.hold("leg1", claim("10.0.0.1", severity="high"), at=131)
    made.hold("leg1", claim("10.0.0.1", severity="critical"), at=132)
    for minute in (3, 4):
        made.notifier.advance(T0 + 61 * minute * S)
    made.hold("leg1", at=250)
    made.notifier.advance(T0 + 310 * S)
    for i in (2, 3):
        made.hold(f"leg{i}", at=311)
    made.notifier.advance(T0 + 400 * S)
    said = [(said["severity"], said["count"]) for said in made.heard.events if said["event"] == "finding_summary"]
    assert said == [("medium", 3), ("critical", 3), ("medium", 2), ("medium", 0)]


def test_clock_set_back_a_day_leaves_a_summary_due_within_its_window() -> None:
    made = Made(burst=1, window=60)
    for i in range(5):
        made.hold(f"leg{i}", claim(f"10.0.0.{i}"), at=86_400)
    made.notifier.advance(T0)
    assert made.heard.said == ["opened"]
    made.notifier.advance(T0 + 60 * S)
    assert made.heard.said == ["opened", "summary"]


def test_waiver_of_many_that_ends_is_a_burst_and_one_summary() -> None:
    made = Made(waived="J. Doe: old gateway", burst=20, window=60)
    for i in range(500):
        made.hold(f"leg{i}", claim(f"10.0.{i >> 8}.{i & 255}"))
    del made.heard.events[:]
    made.waived = None
    made.book.waive(T0 + S)
    assert made.heard.said == ["opened"] * 20
    made.notifier.advance(T0 + 62 * S)
    assert (made.heard.said[20:], made.heard.events[-1]["count"]) == (["summary"], 480)
    made.hold("leg0", at=63)
    made.hold("leg499", at=63)
    assert made.heard.said[21:] == ["resolved", "resolved"], "both were told, if only as waived"


def test_finding_kept_back_that_is_waived_leaves_the_summary_and_comes_back_with_the_waivers_end() -> None:
    made = Made(burst=1, window=60)
    made.hold("a", claim("10.0.0.1"))
    made.hold("b", claim("10.0.0.2"))
    made.waived = "J. Doe"
    made.book.waive(T0 + S)
    made.notifier.advance(T0 + 61 * S)
    assert [(said["event"], said["state"]) for said in made.heard.events] == [
        ("finding_opened", "open"),
        ("finding_updated", "waived"),
        ("finding_summary", "resolved"),
    ]
    made.waived = None
    made.book.waive(T0 + 62 * S)
    assert [said["state"] for said in made.heard.events[3:]] == ["open"]


def test_end_says_what_was_kept_back() -> None:
    made = Made(burst=1)
    made.hold("a", claim("10.0.0.1"))
    made.hold("b", claim("10.0.0.2"))
    made.hold("a", at=1)
    made.notifier.close()
    assert made.heard.said == ["opened", "resolved", "summary"]


@settings(max_examples=200)
@given(
    steps=st.lists(st.tuples(st.integers(0, 5), st.booleans(), st.integers(0, 90)), max_size=60),
    burst=st.integers(1, 4),
)
def test_whatever_happens_every_finding_is_told_or_counted(steps: list[tuple[int, bool, int]], burst: int) -> None:
    made = Made(burst=burst, window=60)
    at = 0
    for leg, clear, later in steps:
        at += later
        made.hold(f"leg{leg}", *([claim(f"10.0.0.{leg}")] if clear else []), at=at)
    made.notifier.close()
    open_now = {finding.id for finding in made.book.open_findings()}
    told: dict[str, str] = {}
    for said in made.heard.events:
        told[said["id"]] = said["state"]
    summed = next((said["count"] for said in reversed(made.heard.events) if said["event"] == "finding_summary"), 0)
    told_open = {identity for identity, state in told.items() if state == "open"}
    assert len(open_now) == len(told_open & open_now) + summed
    assert sum(said["suppressed"]["opened"] for said in made.heard.events if "suppressed" in said) == (
        made.notifier.suppressed
    )


# What was said before a restart


def next_run(made: Made, *, renamed: bool = False, told: dict[str, bool] | None = None, **limits: Any) -> Made:
    """What goes on where another left off, with what that one had said."""
    after = Made(made.waived, **limits)
    after.book.restore((made.book.kept(each), T0 + 900 * S) for each in made.book.open_findings())
    summaries = {code: counted for code, counted in made.notifier.summaries().items() if counted is not None}
    said: dict[str, bool] = {}
    for each in made.heard.events:
        said.pop(each["id"], None)
        if each["event"] != "finding_resolved" and each["state"] != "resolved":
            said[each["id"]] = each["state"] == "open"
    after.known = after.notifier.resume(said if told is None else told, summaries, renamed=renamed)
    return after


def test_finding_that_was_said_is_not_opened_again_and_is_said_to_its_end() -> None:
    made = Made()
    made.hold("leg", claim())
    after = next_run(made)
    assert ([each["event"] for each in after.known], after.heard.said) == (["finding_updated"], [])
    after.hold("leg", claim()._replace(evidence="of another packet"), at=1)
    after.hold("other", claim()._replace(evidence="more"), at=1)
    after.hold("leg", at=2)
    after.hold("other", at=2)
    assert after.heard.said == ["updated", "resolved"]


def test_findings_that_a_summary_counts_are_counted_on() -> None:
    made = Made(burst=1, window=60)
    for i in range(4):
        made.hold(f"leg{i}", claim(f"10.0.0.{i}"), at=i)
    made.hold("leg3", at=5)
    after = next_run(made, burst=1, window=60)
    assert len(after.known) == 1  # the summary was not said yet
    after.notifier.advance(T0 + 62 * S)
    (summary,) = after.heard.events
    assert (summary["count"], summary["suppressed"]) == (2, {"opened": 3, "resolved": 1})
    for i in range(1, 3):
        after.hold(f"leg{i}", claim(f"10.0.0.{i}"), at=63)
        after.hold(f"leg{i}", at=64)
    after.notifier.advance(T0 + 200 * S)
    assert after.heard.said == ["summary", "summary"]
    assert (after.heard.events[-1]["state"], after.heard.events[-1]["suppressed"]["resolved"]) == ("resolved", 2)


def test_summary_that_was_said_is_known_and_said_again_only_when_it_changed() -> None:
    made = Made(burst=1, window=60)
    for i in range(3):
        made.hold(f"leg{i}", claim(f"10.0.0.{i}"), at=i)
    made.notifier.advance(T0 + 62 * S)
    after = next_run(made, burst=1, window=60)
    assert {each["event"] for each in after.known} == {"finding_updated", "finding_summary"}
    after.notifier.advance(T0 + 300 * S)
    assert after.heard.said == []


def test_finding_that_was_said_as_waived_and_whose_waiver_is_over_is_opened() -> None:
    made = Made(waived="J. Doe")
    made.hold("leg", claim())
    after = next_run(made)
    assert [each["state"] for each in after.known] == ["waived"]
    after.waived = None
    after.book.waive(T0)
    assert after.heard.said == ["opened"]
    again = next_run(after, told={after.heard.events[0]["id"]: True})
    assert ([each["state"] for each in again.known], again.heard.said) == (["open"], [])


def test_finding_that_was_waived_and_is_counted_now_is_known_as_waived() -> None:
    made = Made(waived="J. Doe", burst=1)
    made.hold("leg", claim())
    made.waived = None
    made.hold("other", claim("10.0.0.2"))
    made.book.waive(T0)
    after = next_run(made, burst=1)
    assert sorted(each["state"] for each in after.known) == ["open", "waived"]
    after.notifier.advance(T0 + 300 * S)
    assert [(each["event"], each["count"]) for each in after.heard.events] == [("finding_summary", 1)]


def test_finding_under_another_name_than_before_is_opened_under_it() -> None:
    made = Made(burst=1)
    made.hold("leg", claim())
    made.hold("other", claim("10.0.0.2"))
    after = next_run(made, renamed=True, told={"another": True}, burst=2)
    assert (after.known, after.heard.said) == ([], ["opened", "opened"])


def test_finding_that_is_waived_before_it_was_said_is_opened_when_it_is_said() -> None:
    made = Made(burst=1)
    made.hold("leg", claim())
    made.hold("other", claim("10.0.0.2"))
    made.waived = "J. Doe"
    made.book.waive(T0)
    made.hold("third", claim("10.0.0.2")._replace(evidence="more"))
    assert [(each["event"], each["state"]) for each in made.heard.events] == [
        ("finding_opened", "open"),
        ("finding_updated", "waived"),
        ("finding_opened", "waived"),
    ]
