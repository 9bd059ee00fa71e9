"""The book: one finding per code and subject, and what is said of it."""

from __future__ import annotations

from sensor.findings import MAX_EVIDENCE, Book, Claim, Kept
from sensor.model import Severity, Subject
from tests.unit.sensor.traffic import T0, Heard, S, counts


def claim(evidence: str = "seen", *, code: str = "media-clear", a: str = "x", severity: Severity = "critical") -> Claim:
    return Claim(code, severity, Subject("leg", a, "y"), ("voice",), evidence, ("164.312(e)(1)",))


def book(capacity: int = 16) -> tuple[Book, Heard]:
    heard = Heard()
    return Book([heard], capacity=capacity), heard


def test_claim_held_opens_its_finding_once() -> None:
    findings, heard = book()
    findings.hold("leg", [claim()], T0)
    findings.hold("leg", [claim()], T0 + S)
    assert heard.said == [("opened", "media-clear")]
    (finding,) = findings.open_findings()
    assert (finding.state, finding.first_ns, finding.last_ns, finding.count) == ("open", T0, T0 + S, 1)
    assert (finding.evidence, finding.segments, finding.controls) == (["seen"], ("voice",), ("164.312(e)(1)",))


def test_claim_no_longer_held_resolves_its_finding() -> None:
    findings, heard = book()
    findings.hold("leg", [claim(), claim(code="signalling-clear")], T0)
    findings.hold("leg", [claim()], T0 + S)
    assert heard.said[2:] == [("resolved", "signalling-clear")]
    findings.hold("leg", [], T0 + 2 * S)
    assert heard.said[3:] == [("resolved", "media-clear")]
    assert [finding.state for finding in heard.findings] == ["resolved", "resolved"]
    assert heard.findings[0].last_ns == T0 + 2 * S
    assert findings.open_findings() == []


def test_finding_with_two_holders_resolves_with_the_last() -> None:
    findings, heard = book()
    findings.hold("one", [claim()], T0)
    findings.hold("two", [claim()], T0)
    findings.hold("one", [], T0)
    assert heard.said == [("opened", "media-clear")]
    findings.hold("two", [], T0)
    assert heard.said == [("opened", "media-clear"), ("resolved", "media-clear")]
    assert heard.findings[0].count == 2


def test_finding_opened_again_is_another_one() -> None:
    findings, heard = book()
    for now_ns in (T0, T0 + S):
        findings.hold("leg", [claim()], now_ns)
        findings.hold("leg", [], now_ns)
    assert [finding.first_ns for finding in heard.findings] == [T0, T0 + S]
    assert len({finding.id for finding in heard.findings}) == 1


def test_new_evidence_is_an_update_up_to_the_cap() -> None:
    findings, heard = book()
    for i in range(MAX_EVIDENCE + 5):
        findings.hold(i, [claim(f"leg {i}")], T0)
    assert heard.said == [("opened", "media-clear")] + [("updated", "media-clear")] * (MAX_EVIDENCE - 1)
    assert heard.findings[0].evidence == [f"leg {i}" for i in range(MAX_EVIDENCE)]
    assert heard.findings[0].count == MAX_EVIDENCE + 5


def test_change_of_severity_is_an_update() -> None:
    findings, heard = book()
    findings.hold("leg", [claim()], T0)
    findings.hold("leg", [claim(severity="low")], T0)
    assert heard.said == [("opened", "media-clear"), ("updated", "media-clear")]
    assert counts(findings) == {("media-clear", "low"): 1}


def test_touch_counts_in_silence() -> None:
    findings, heard = book()
    findings.hold("leg", [claim()], T0)
    findings.touch("leg", T0 + S, 41)
    findings.touch("nobody", T0 + 2 * S, 1)
    assert heard.said == [("opened", "media-clear")]
    assert (heard.findings[0].count, heard.findings[0].last_ns) == (42, T0 + S)


def test_code_with_its_share_of_the_book_waits_and_is_opened_when_there_is_room() -> None:
    findings, heard = book(capacity=8)  # a quarter of which is two
    for a in "abc":
        findings.hold(a, [claim(a=a)], T0)
    assert (len(heard.findings), findings.overflow) == (2, 1)
    findings.hold("c", [claim(a="c")], T0)
    assert findings.overflow == 1
    findings.hold("a", [], T0)
    assert [finding.subject.a for finding in findings.open_findings()] == ["b", "c"]
    findings.hold("c", [], T0)
    findings.advance(T0)
    assert counts(findings) == {("media-clear", "critical"): 1}


def test_claim_let_go_while_it_waits_is_not_opened() -> None:
    findings, _ = book(capacity=4)
    findings.hold("a", [claim(a="a")], T0)
    findings.hold("b", [claim(a="b")], T0)
    findings.hold("b", [], T0)
    findings.hold("a", [], T0)
    assert findings.open_findings() == []


def test_flood_of_one_code_leaves_room_for_others() -> None:
    findings, _ = book(capacity=8)
    for i in range(100):
        findings.hold(i, [claim(a=str(i), code="signalling-clear")], T0)
    findings.hold("leg", [claim()], T0)
    assert counts(findings) == {("signalling-clear", "critical"): 2, ("media-clear", "critical"): 1}


def test_finding_that_only_settles_makes_room() -> None:
    findings, heard = book(capacity=4)
    findings.settle_ns = 60 * S
    for i, code in enumerate(("media-clear", "dtmf-clear", "fax-clear", "rtcp-clear")):
        findings.hold(i, [claim(code=code)], T0)
        findings.hold(i, [], T0)
    findings.hold("leg", [claim(code="message-clear")], T0 + S)
    assert heard.said[-2:] == [("resolved", "media-clear"), ("opened", "message-clear")]


def test_finding_is_as_severe_as_the_worst_of_its_holders_and_in_the_segments_of_all() -> None:
    findings, heard = book()
    held: list[tuple[str, Severity, str]] = [("a", "info", "attic"), ("b", "critical", "icu"), ("c", "low", "attic")]
    for holder, severity, segment in (*held[:2], held[0], held[2]):
        findings.hold(holder, [claim(severity=severity)._replace(segments=(segment,))], T0)
    (finding,) = findings.open_findings()
    assert (finding.severity, finding.segments, finding.count) == ("critical", ("attic", "icu"), 3)
    assert heard.said == [("opened", "media-clear"), ("updated", "media-clear")]
    findings.hold("b", [], T0)
    assert (finding.severity, finding.segments) == ("low", ("attic",))


def test_finding_is_waived_only_when_all_of_its_holders_are() -> None:
    heard = Heard()
    findings = Book(
        [heard], waived=lambda _code, _subject, segments, _now_ns: "J. Doe" if "attic" in segments else None
    )
    findings.hold("a", [claim()._replace(segments=("attic",))], T0)
    (finding,) = findings.open_findings()
    assert finding.state == "waived"
    for _ in range(3):
        findings.hold("b", [claim()._replace(segments=("icu",))], T0)
        findings.hold("a", [claim()._replace(segments=("attic",))], T0)
    assert (finding.state, heard.said) == ("open", [("opened", "media-clear"), ("opened", "media-clear")])
    findings.hold("b", [], T0)
    assert (finding.state, finding.waived_by) == ("waived", "J. Doe")


def settling(seconds: float) -> tuple[Book, Heard]:
    findings, heard = book()
    findings.settle_ns = int(seconds * S)
    return findings, heard


def test_finding_that_flaps_is_one_and_is_resolved_when_it_has_settled() -> None:
    findings, heard = settling(60)
    for i in range(5):
        findings.hold(i, [claim()], T0 + 20 * i * S)
        findings.hold(i, [], T0 + (20 * i + 10) * S)
        findings.advance(T0 + (20 * i + 19) * S)
    assert heard.said == [("opened", "media-clear")]
    findings.advance(T0 + 149 * S)
    assert heard.said == [("opened", "media-clear")]
    findings.advance(T0 + 150 * S)
    assert heard.said == [("opened", "media-clear"), ("resolved", "media-clear")]
    assert (heard.findings[0].count, heard.findings[0].last_ns) == (5, T0 + 90 * S)


def test_finding_that_comes_back_more_severe_is_updated() -> None:
    findings, heard = settling(60)
    findings.hold("one", [claim(severity="medium")], T0)
    findings.hold("one", [], T0 + S)
    findings.hold("two", [claim()], T0 + 2 * S)
    assert heard.said == [("opened", "media-clear"), ("updated", "media-clear")]


def test_finding_that_comes_back_after_it_settled_is_opened_again() -> None:
    findings, heard = settling(60)
    findings.hold("one", [claim()], T0)
    findings.hold("one", [], T0 + S)
    findings.advance(T0 + 61 * S)
    findings.hold("one", [claim()], T0 + 62 * S)
    assert heard.said == [("opened", "media-clear"), ("resolved", "media-clear"), ("opened", "media-clear")]


def test_clock_set_back_and_the_end_leave_nothing_settling() -> None:
    findings, heard = settling(60)
    findings.hold("one", [claim()], T0)
    findings.hold("one", [], T0 + S)
    findings.advance(T0 - 7200 * S)
    assert heard.said[1:] == [("resolved", "media-clear")]
    findings.hold("two", [claim()], T0)
    findings.hold("two", [], T0 + S)
    findings.close()
    assert heard.said[2:] == [("opened", "media-clear"), ("resolved", "media-clear")]


# What was open before a restart


def restored(*held_s: float, settle_s: float = 60, left_s: float = 0) -> tuple[Book, Heard]:
    """A book that got findings "a", "b" … from before, each held for so many seconds."""
    before, _ = book()
    kept = []
    for i, seconds in enumerate(held_s):
        before.hold(i, [claim(a="abc"[i])], T0 - 100 * S)
        before.hold(10 + i, [claim("more", a="abc"[i])], T0 - 90 * S)
        left_ns = T0 + int(left_s * S) if left_s else 0
        kept.append((Kept(before.open_findings()[i], left_ns), T0 + int(seconds * S)))
    after, heard = settling(settle_s)
    after.restore(kept)
    return after, heard


def test_finding_from_before_a_restart_is_open_and_told_as_such() -> None:
    findings, heard = restored(90)
    assert heard.said == [("restored", "media-clear")]
    (finding,) = findings.open_findings()
    assert (finding.first_ns, finding.count, finding.evidence) == (T0 - 100 * S, 2, ["seen", "more"])
    assert findings.kept(finding) == Kept(finding, former=True)
    findings.hold("leg", [claim(a="a")], T0)
    assert findings.kept(finding) == Kept(finding)


def test_finding_from_before_that_nobody_claims_is_over_at_its_time_with_its_last_time() -> None:
    findings, heard = restored(90, 30)
    (a, b) = findings.open_findings()
    findings.advance(T0 + 29 * S)
    assert len(heard.said) == 2
    findings.advance(T0 + 30 * S)
    assert (heard.said[2:], findings.open_findings()) == ([("resolved", "media-clear")], [a])
    assert (b.state, b.last_ns) == ("resolved", T0 - 90 * S)
    findings.advance(T0 + 90 * S)
    assert findings.open_findings() == []


def test_finding_from_before_that_is_claimed_again_is_the_same_and_lives_by_who_claims_it() -> None:
    findings, heard = restored(90)
    findings.hold("leg", [claim("of another packet", a="a")], T0 + S)
    findings.advance(T0 + 1000 * S)
    (finding,) = findings.open_findings()
    assert (heard.said, finding.count, finding.last_ns) == ([("restored", "media-clear")], 2, T0 + S)
    findings.hold("other", [claim(a="a")], T0 + 1000 * S)
    assert finding.count == 3
    findings.hold("leg", [], T0 + 1001 * S)
    findings.hold("other", [], T0 + 1002 * S)
    findings.advance(T0 + 1062 * S)
    assert (heard.said[1:], finding.last_ns) == ([("resolved", "media-clear")], T0 + 1002 * S)


def test_finding_from_before_has_the_severity_that_it_is_claimed_with() -> None:
    findings, heard = restored(90)
    findings.hold("leg", [claim(a="a", severity="low")], T0)
    assert heard.said[1:] == [("updated", "media-clear")]
    assert counts(findings) == {("media-clear", "low"): 1}


def test_finding_that_settled_before_settles_on() -> None:
    findings, heard = restored(90, left_s=-20)
    findings.advance(T0 + 39 * S)
    assert len(heard.said) == 1
    findings.advance(T0 + 40 * S)
    assert heard.said[1:] == [("resolved", "media-clear")]


def test_finding_that_settled_before_and_comes_back_was_never_over() -> None:
    findings, heard = restored(90, left_s=-20)
    findings.hold("leg", [claim(a="a")], T0)
    findings.advance(T0 + 1000 * S)
    assert (len(heard.said), len(findings.open_findings())) == (1, 1)


def test_finding_from_before_that_is_judged_otherwise_settles() -> None:
    findings, heard = restored(90, 90)
    findings.hold("leg", [claim(a="a")], T0)
    for subject in "ab":
        findings.judged(("dtmf-clear", "media-clear"), Subject("leg", subject, "y"), T0 + S)
    findings.advance(T0 + 61 * S)
    assert heard.said[2:] == [("resolved", "media-clear")]
    assert [finding.subject.a for finding in findings.open_findings()] == ["a"]


def test_clock_that_is_set_back_holds_nothing_from_before_for_longer() -> None:
    findings, heard = restored(90)
    findings.set_back(7200 * S)
    findings.advance(T0 + (91 - 7200) * S)
    assert heard.said[1:] == [("resolved", "media-clear")]


def test_waiver_is_asked_again_of_what_is_from_before() -> None:
    findings, heard = restored(90, 90)
    findings.waive(T0, lambda _code, subject, _segments, _now_ns: "J. Doe" if subject.a == "a" else None)
    assert heard.said[2:] == [("updated", "media-clear")]
    assert [finding.state for finding in findings.open_findings()] == ["waived", "open"]
    findings.waive(T0, lambda *_: None)
    assert heard.said[3:] == [("opened", "media-clear")]


def test_code_has_no_more_room_for_what_was_there_before() -> None:
    before, _ = book(capacity=8)
    before.hold("a", [claim(a="a")], T0)
    before.hold("b", [claim(a="b")], T0)
    after, _ = book(capacity=8)
    after.restore([(Kept(finding), T0 + S) for finding in before.open_findings()])
    after.hold("c", [claim(a="c")], T0)
    assert (len(after.open_findings()), after.overflow) == (2, 1)
    after.advance(T0 + S)
    assert [finding.subject.a for finding in after.open_findings()] == ["c"]


def test_what_the_sensor_says_of_itself_has_room_in_a_full_book() -> None:
    findings, heard = book(capacity=4)
    for code in ("media-clear", "rtcp-clear", "fax-clear", "dtmf-clear"):
        findings.hold(code, [claim(code=code)], T0)
    findings.hold("traffic", [claim(code="sensor-no-traffic")], T0)
    assert heard.said[-1] == ("opened", "sensor-no-traffic")
