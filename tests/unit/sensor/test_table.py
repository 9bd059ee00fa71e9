"""``scan`` for people: what is worst comes first, and everything fits into 80 columns."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sensor.model import Finding, Leg, Sink, Subject
from sensor.output.summary import Summary
from sensor.output.table import MAX_FINDINGS, MAX_LEGS, Report, account, describe
from tests.unit.sensor.samples import CONTEXT, FLOW, T0, finding, leg

ESCAPE = "\x1b["


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def plain_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the terminal of whoever runs the tests out of them."""
    for name in ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE", "COLORTERM"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "80")


def printed(legs: Sequence[Leg], findings: Sequence[Finding], out: io.StringIO | None = None) -> str:
    """Return what a run with these legs and findings prints."""
    out = out or io.StringIO()
    report, summary = Report(out), Summary(received=10, classified=10)
    sinks: tuple[Sink, ...] = (report, summary)
    for sink in sinks:
        for one in legs:
            sink.leg_ended(one)
        for found in findings:
            sink.finding_changed(found, "opened")
    report.close(summary)
    return out.getvalue()


def test_leg_shows_promise_and_sight_side_by_side() -> None:
    text = printed([leg()], [])
    assert re.search(r"192\.0\.2\.10 ↔ 192\.0\.2\.20 +audio +clear +SRTP-SDES +✗ clear +100%", text)
    assert "1 clear." in text


def test_four_states_are_told_apart_without_colour() -> None:
    states = ("clear", "undetermined", "not-observed", "encrypted")
    text = printed([leg(observed=state, comparison="undecided") for state in states], [])
    places = [text.index(mark) for mark in ("✗ clear", "? undetermined", "- not observed", "✓ encrypted")]
    assert places == sorted(places), "the worst comes first"


def test_leg_whose_key_was_readable_is_not_shown_like_a_safe_one() -> None:
    safe = {"observed": "encrypted", "comparison": "agree"}
    text = printed([leg(**safe, key_exchange="dtls"), leg(**safe, key_exchange="sdes-exposed", first_ns=T0 + 1)], [])
    assert text.index("✓ encrypted !") < text.index("✓ encrypted  ")


def test_leg_not_observed_has_no_share_that_was_seen() -> None:
    assert "0%" not in printed([leg(observed="not-observed", comparison="undecided", assessed=0.0)], [])


def test_findings_come_by_severity_with_their_evidence() -> None:
    text = printed(
        [],
        [
            finding(code="signalling-clear", severity="high", evidence=["12 SIP messages over UDP."]),
            finding(code="media-clear", severity="critical", evidence=["250 packets of PCMU.", "Decided at packet 3."]),
        ],
    )
    order = ["CRITICAL  media-clear", "250 packets", "Decided at", "HIGH  signalling-clear", "12 SIP messages"]
    assert [text.index(part) for part in order] == sorted(text.index(part) for part in order)


def test_finding_waived_says_by_whom() -> None:
    assert "waived by J. Doe" in printed([], [finding(state="waived", waived_by="J. Doe")])


def test_finding_resolved_is_still_shown_once() -> None:
    out, found = io.StringIO(), finding()
    report, summary = Report(out), Summary()
    sinks: tuple[Sink, ...] = (report, summary)
    for sink in sinks:
        sink.finding_changed(found, "opened")
        sink.finding_changed(found, "resolved")
    report.close(summary)
    assert out.getvalue().count("media-clear-despite-srtp") == 1


def test_nothing_seen_says_so() -> None:
    text = printed([], [])
    assert "No call legs were seen." in text
    assert "No findings." in text


def test_pipe_gets_no_colour_and_a_terminal_does() -> None:
    assert ESCAPE not in printed([leg()], [finding()])
    assert ESCAPE in printed([leg()], [finding()], Terminal())


@given(
    a=st.ip_addresses().map(str),
    b=st.ip_addresses().map(str),
    media=st.sampled_from(["audio", "video", "application"]),
    observed=st.sampled_from(["clear", "undetermined", "not-observed", "encrypted"]),
    evidence=st.text(st.characters(codec="ascii", exclude_categories=["C"]), max_size=300),
)
def test_any_leg_and_finding_fit_into_80_columns(a: str, b: str, media: str, observed: str, evidence: str) -> None:
    found = finding(subject=Subject("leg", a, b), evidence=[evidence])
    text = printed([leg(a=a, b=b, media=media, observed=observed)], [found])
    assert max(map(len, text.splitlines())) <= 80
    shown = "".join(text.split())
    assert a in shown
    assert b in shown


@given(st.text(max_size=60))
def test_control_characters_of_the_wire_do_not_reach_the_terminal(text: str) -> None:
    shown = printed([], [finding(evidence=[text + "\x1b]0;owned\x07"])])
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]", shown)


def test_more_than_a_person_reads_is_cut_to_the_worst() -> None:
    legs = [leg(observed="encrypted", comparison="agree", first_ns=T0 + i) for i in range(5 * MAX_LEGS)]
    legs.append(leg(a="192.0.2.99"))
    findings = [finding(severity="low", subject=Subject("endpoint", f"10.0.{i}.1")) for i in range(2 * MAX_FINDINGS)]
    findings.append(finding())
    text = printed(legs, findings)
    assert text.index("192.0.2.99") < text.index("✓ encrypted")
    assert text.count("✓ encrypted") == MAX_LEGS - 1
    assert text.count("media-clear-despite-srtp") == MAX_FINDINGS
    assert f"Call legs ({5 * MAX_LEGS + 1})  the worst {MAX_LEGS}; --json prints all" in text
    assert f"1 clear, {5 * MAX_LEGS} encrypted." in text


def test_account_names_what_happened_and_leaves_out_what_did_not() -> None:
    summary = Summary()
    summary.flow_ended(FLOW, CONTEXT)
    summary.capture_ended(
        {
            "received": 3000,
            "classified": 2992,
            "duplicates": 4,
            "ignored.arp": 8,
            "ignored.llc": 0,
            "shed.flow-table": 0,
        }
    )
    assert account(summary) == "3,000 packets in 30.0 s: 2,992 read, 8 ignored (arp 8), 4 duplicates. 1 flow."


@pytest.mark.parametrize(
    ("subject", "words"),
    [
        (Subject("leg", "10.0.0.1", "10.0.0.2"), "10.0.0.1 ↔ 10.0.0.2"),
        (Subject("endpoint", "10.0.0.1"), "10.0.0.1"),
        (Subject("interface", name="span0"), "interface span0"),
        (Subject("sensor"), "sensor"),
    ],
)
def test_subject_is_said_in_words(subject: Subject, words: str) -> None:
    assert describe(subject) == words
