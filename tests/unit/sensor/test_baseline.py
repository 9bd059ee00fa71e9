"""The baseline: endpoints that are new, and protection that was there and is not any more."""

from __future__ import annotations

import pytest

from sensor.config.load import parse_config
from sensor.config.schema import Policy
from sensor.findings import Book
from sensor.model import Protection
from sensor.network.baseline import Baseline, Known
from sensor.policy.posture import Plane
from sensor.policy.segments import Segments
from tests.unit.sensor.traffic import T0, Heard, S

POLICY = parse_config(
    """
policy:
  baseline: {learn: 3600}
  segments:
  - {name: phones, cidrs: [10.20.0.0/16]}
  - {name: desks, kind: data, cidrs: [10.50.0.0/16]}
""",
    "f",
).policy
HOUR = 3600 * S


class Made:
    """A baseline with a book, and what it said."""

    def __init__(self, entries: dict[str, Known] | None = None, learning_ns: int = 1, policy: Policy = POLICY) -> None:
        self.heard = Heard()
        known = {} if entries is None else entries
        self.baseline = Baseline(Book([self.heard]), Segments(policy), policy, known, learning_ns)

    def seen(self, address: str, plane: Plane, protection: Protection, at: int = T0) -> None:
        self.baseline.seen(address, plane, protection, (), at)


def phone(media: Protection | None = None, signalling: Protection | None = None) -> dict[str, Known]:
    return {"10.20.0.1": Known(T0 - HOUR, T0 - HOUR, media, signalling)}


def test_endpoint_that_is_not_in_the_baseline_is_new_once() -> None:
    made = Made()
    for at in (T0, T0 + S):
        made.seen("10.20.0.7", "media", "encrypted", at)
    made.seen("10.20.0.7", "signalling", "clear", T0 + 2 * S)
    assert made.heard.said == [("opened", "new-endpoint")]
    assert (made.heard.findings[0].severity, made.heard.findings[0].segments) == ("info", ("phones",))
    made.baseline.sweep(T0 + 301 * S)
    assert made.heard.said[1:] == [("resolved", "new-endpoint")]
    assert made.baseline.changed == {"10.20.0.7"}


@pytest.mark.parametrize("address", ["10.50.0.1", "203.0.113.5"])
def test_hosts_outside_the_voice_segments_are_nobody_to_the_baseline(address: str) -> None:
    made = Made()
    made.seen(address, "media", "encrypted")
    assert (made.heard.said, len(made.baseline)) == ([], 0)


def test_learning_takes_the_worst_of_what_it_sees_and_finds_nothing() -> None:
    made = Made(learning_ns=0)
    for protection in ("encrypted", "clear", "encrypted"):
        made.seen("10.20.0.1", "media", protection)
    made.seen("10.20.0.2", "media", "encrypted", T0 + HOUR - 1)
    assert made.heard.said == []
    assert [known.media for known in made.baseline.entries.values()] == ["clear", "encrypted"]
    assert made.baseline.is_learning(T0 + HOUR - 1)
    assert not made.baseline.is_learning(T0 + HOUR)
    made.seen("10.20.0.3", "media", "encrypted", T0 + HOUR)
    assert made.heard.said == [("opened", "new-endpoint")]


def test_phone_that_registered_by_tls_and_registers_by_udp_has_drifted() -> None:
    made = Made(phone(signalling="encrypted"))
    made.seen("10.20.0.1", "signalling", "clear")
    made.seen("10.20.0.1", "signalling", "clear", T0 + S)
    assert made.heard.said == [("opened", "posture-drift")]
    (finding,) = made.heard.findings
    assert finding.evidence == [
        "SIP went by TLS with 10.20.0.1 whenever it was seen since 2026-01-05; now it is in clear"
    ]
    made.seen("10.20.0.1", "signalling", "encrypted", T0 + 2 * S)
    assert made.heard.said[1:] == [("resolved", "posture-drift")]


@pytest.mark.parametrize(
    ("before", "now"), [("clear", "clear"), ("clear", "encrypted"), ("encrypted", "encrypted"), (None, "clear")]
)
def test_what_is_no_worse_than_before_has_not_drifted(before: Protection | None, now: Protection) -> None:
    made = Made(phone(media=before))
    made.seen("10.20.0.1", "media", now)
    assert made.heard.said == []


def test_what_cannot_be_told_says_nothing() -> None:
    made = Made(phone(media="encrypted"))
    for protection in ("undetermined", "not-observed"):
        made.seen("10.20.0.1", "media", protection)
    assert made.heard.said == []


def test_drift_is_resolved_when_another_baseline_accepts_it() -> None:
    made = Made(phone(media="encrypted"))
    made.seen("10.20.0.1", "media", "clear")
    made.baseline.replace(phone(), 1, T0 + S)
    made.seen("10.20.0.1", "media", "clear", T0 + 2 * S)
    assert made.heard.said == [("opened", "posture-drift"), ("resolved", "posture-drift")]
    assert made.baseline.entries["10.20.0.1"].media == "clear"


def test_drift_that_is_not_seen_again_is_over_after_a_day() -> None:
    made = Made(phone(media="encrypted"))
    made.seen("10.20.0.1", "media", "clear")
    made.baseline.sweep(T0 + 23 * HOUR)
    assert made.heard.said == [("opened", "posture-drift")]
    made.baseline.sweep(T0 + 25 * HOUR)
    assert made.heard.said[1:] == [("resolved", "posture-drift")]


def test_endpoint_that_is_always_there_is_kept_every_hour() -> None:
    made = Made(phone(media="encrypted"))
    for minutes in range(0, 180, 10):
        made.baseline.changed.clear()
        made.seen("10.20.0.1", "media", "encrypted", T0 + minutes * 60 * S)
        assert bool(made.baseline.changed) == (minutes in (0, 70, 140))


def test_clock_that_was_not_set_yet_begins_no_learning() -> None:
    made = Made(learning_ns=0)
    made.seen("10.20.0.1", "media", "encrypted", 5 * S)
    assert (made.baseline.learning_ns, len(made.baseline)) == (0, 0)


@pytest.mark.parametrize("address", ["224.0.1.75", "198.51.100.9"])
def test_address_from_anywhere_in_a_voice_vlan_is_no_endpoint_of_it(address: str) -> None:
    policy = parse_config("policy: {segments: [{name: phones, vlans: [20]}]}", "f").policy
    made = Made(policy=policy)
    made.baseline.seen(address, "media", "clear", (20,), T0)
    made.baseline.seen("10.1.1.1", "media", "clear", (20,), T0)
    assert list(made.baseline.entries) == ["10.1.1.1"]


def test_drift_stays_through_a_reload_that_changes_nothing_of_its_baseline() -> None:
    made = Made(phone(signalling="encrypted"))
    made.seen("10.20.0.1", "signalling", "clear")
    made.baseline.replace(phone(signalling="encrypted"), 1, T0 + S)
    assert made.heard.said == [("opened", "posture-drift")]


def test_reload_forgets_whom_the_policy_forgets() -> None:
    made = Made(phone())
    policy = parse_config("policy: {baseline: {forget_after: 3600}}", "f").policy
    made.baseline.reload(Segments(policy), policy, T0)
    assert made.baseline.entries
    made.baseline.reload(Segments(policy), policy, T0 + S)
    assert not made.baseline.entries
