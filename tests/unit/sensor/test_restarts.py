"""What was open when the sensor ended, in the next one: it goes on, or it is over, as it would have been in one run."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from typing import Any

import pytest

from fastpath.records import Record
from sensor.analysis import Analysis
from sensor.config.load import parse_config
from sensor.config.schema import Policy
from sensor.findings import Kept
from sensor.model import Finding, Subject
from sensor.network.baseline import Known
from sensor.policy.catalogue import CATALOGUE
from sensor.policy.former import NEVER_NS, WEEK_NS, held
from tests.unit.sensor.test_tls_certificates import NOW_NS, ROOT
from tests.unit.sensor.test_tls_servers import SHAKE
from tests.unit.sensor.traffic import (
    ALICE,
    BOB,
    CAROL,
    T0,
    Heard,
    Message,
    S,
    Signalling,
    crypto,
    ended,
    line,
    media_key,
    sdes,
    sdp,
    seen,
    sip,
    verdict,
)

A, B = (ALICE, 16384), (BOB, 16390)
CALL = (sip("INVITE", sdp(*A), tags=("alice", "")), sip("200 INVITE", sdp(*B), source=BOB, target=ALICE))
SRTP_CALL = (sip("INVITE", sdes(*A), tags=("alice", "")), sip("200 INVITE", sdes(*B), source=BOB, target=ALICE))
SETTLE_S, IDLE_S, QUIET_S = 60, 30, 300
SILENT = {"received": 0, "duplicates": 0, "truncated": 0, "media_one_way": 0, "media_both_ways": 0}


class Sensor:
    """An analysis of a live link behind the core that reads SIP."""

    def __init__(self, policy: Policy | None = None) -> None:
        self.heard = Heard()
        self.former: list[Finding] = []  # what the one before it left
        self._signalling = Signalling()
        self.analysis = Analysis(policy or Policy(), [self.heard], interface="span0", roots=lambda: [ROOT.der])
        self.analysis.settle(SETTLE_S)

    def hears(self, *records: Message | Record) -> Sensor:
        for record in self._signalling.read(records):
            self.analysis.feed(record)
        return self

    def waits(self, until_ns: int) -> Sensor:
        """Let time pass, as it does live."""
        for now_ns in range(self.analysis._now_ns or T0, until_ns, 10 * S):
            self.analysis.advance(now_ns)
        self.analysis.advance(until_ns)
        return self

    def is_killed(self, alive_ns: int, now_ns: int, policy: Policy | None = None) -> Sensor:
        """Return the next sensor: this one was alive then, that one begins now."""
        kept = deepcopy([self.analysis.book.kept(each) for each in self.analysis.book.open_findings()])
        after = Sensor(policy)
        after.former = [each.finding for each in kept]
        after.analysis.restore(kept, alive_ns, now_ns)
        after.analysis.waive(now_ns)
        after.analysis.advance(now_ns)
        return after

    @property
    def open(self) -> set[str]:
        return {finding.code for finding in self.analysis.book.open_findings()}

    def finding(self, code: str) -> Finding:
        (found,) = (each for each in self.analysis.book.open_findings() if each.code == code)
        return found

    def said(self, change: str) -> set[str]:
        return {code for what, code in self.heard.said if what == change}


def in_clear(*call: Message) -> Sensor:
    """A sensor that sees a call whose media is in clear, five seconds long."""
    clear = verdict("clear", ts_ns=T0 + 3 * S)
    return Sensor().hears(*call, seen("rtp"), clear).waits(T0 + 5 * S)


def test_call_in_clear_that_goes_on_is_no_other_finding() -> None:
    after = in_clear().is_killed(T0 + 60 * S, T0 + 70 * S)
    after.hears(seen("rtp", ts_ns=T0 + 71 * S), verdict("clear", ts_ns=T0 + 71 * S)).waits(T0 + 600 * S)
    assert (after.said("opened"), after.said("resolved")) == (set(), set())
    assert (after.finding("media-clear").count, after.finding("media-clear").first_ns) == (1, T0 + 3 * S)
    after.hears(ended(last_ns=T0 + 700 * S)).waits(T0 + 800 * S)
    assert after.said("resolved") == {"media-clear"}


def test_call_in_clear_that_ended_meanwhile_is_resolved_with_the_time_when_it_was_there_last() -> None:
    after = in_clear().is_killed(T0 + 60 * S, T0 + 70 * S)
    finding = after.finding("media-clear")
    after.waits(T0 + (70 + IDLE_S + SETTLE_S) * S - 1)
    assert after.open == {"media-clear"}
    after.waits(T0 + (70 + IDLE_S + SETTLE_S) * S)
    assert (after.open, finding.last_ns) == (set(), T0 + 60 * S)


def test_sensor_that_is_killed_again_and_again_makes_no_call_last_longer() -> None:
    sensor = in_clear()
    for minute in range(1, 8):
        sensor = sensor.is_killed(T0 + 60 * minute * S, T0 + (60 * minute + 10) * S)
        if minute < 6:
            assert sensor.finding("media-clear").last_ns == T0 + 60 * S
    assert (sensor.open, sensor.said("resolved")) == (set(), set())  # the run before resolved it


def test_call_of_before_a_long_outage_is_over_at_once() -> None:
    after = in_clear().is_killed(T0 + 60 * S, T0 + (60 + QUIET_S + 1) * S)
    (finding,) = after.former
    assert (after.said("resolved"), after.open, finding.last_ns) == ({"media-clear"}, set(), T0 + 60 * S)


def test_what_settles_when_the_sensor_is_killed_settles_on() -> None:
    before = in_clear().hears(ended(last_ns=T0 + 10 * S)).waits(T0 + 50 * S)
    after = before.is_killed(T0 + 50 * S, T0 + 55 * S)
    assert after.open == {"media-clear"}
    after.waits(T0 + (10 + SETTLE_S) * S)
    assert after.open == set()


def test_what_only_signalling_told_of_media_goes_on_with_the_media() -> None:
    before = in_clear(*SRTP_CALL)
    codes = {"media-clear", "media-clear-despite-srtp"}
    assert before.open > codes
    after = before.is_killed(T0 + 60 * S, T0 + 70 * S)
    clear = verdict("clear", ts_ns=T0 + 71 * S, packet=5)
    after.hears(seen("rtp", ts_ns=T0 + 71 * S), clear).waits(T0 + 600 * S)
    assert (after.said("opened"), after.said("updated")) == (set(), set())
    assert after.open & codes == codes
    after.hears(ended(last_ns=T0 + 700 * S)).waits(T0 + 800 * S)
    assert after.open == set()


def test_media_that_is_encrypted_now_is_in_clear_no_longer_whatever_was_said() -> None:
    after = in_clear(*SRTP_CALL).is_killed(T0 + 60 * S, T0 + 70 * S)
    after.hears(seen("rtp", ts_ns=T0 + 71 * S), verdict("encrypted", ts_ns=T0 + 71 * S)).waits(T0 + 600 * S)
    assert after.said("resolved") >= {"media-clear", "media-clear-despite-srtp"}


def test_weakness_of_keys_goes_on_with_encrypted_media() -> None:
    short = crypto(suite="AES_CM_128_HMAC_SHA1_32")
    weak = (
        sip("INVITE", (line(*A, "RTP/SAVP", short),), tags=("alice", "")),
        sip("200 INVITE", (line(*B, "RTP/SAVP", short),), source=BOB, target=ALICE),
    )
    before = Sensor().hears(*weak, seen("rtp"), verdict("encrypted", tag=4)).waits(T0 + 5 * S)
    assert "media-weak-srtp" in before.open
    after = before.is_killed(T0 + 60 * S, T0 + 70 * S)
    after.hears(seen("rtp", ts_ns=T0 + 71 * S), verdict("encrypted", ts_ns=T0 + 71 * S, tag=10)).waits(T0 + 600 * S)
    assert "media-weak-srtp" in after.open
    after.hears(ended("encrypted", last_ns=T0 + 700 * S)).waits(T0 + 800 * S)
    assert "media-weak-srtp" not in after.open


@pytest.mark.parametrize(
    ("key", "at_s"), [(media_key(b=CAROL), 71), (media_key(), 70 + IDLE_S + 1)], ids=["other-hosts", "later"]
)
def test_media_that_did_not_go_on_takes_nothing_over(key: Any, at_s: int) -> None:
    after = in_clear(*SRTP_CALL).is_killed(T0 + 60 * S, T0 + 70 * S)
    after.hears(seen("rtp", key, ts_ns=T0 + at_s * S), verdict("clear", key, ts_ns=T0 + at_s * S)).waits(T0 + 600 * S)
    assert after.open == {"media-clear"}


def test_call_that_is_signalled_again_is_judged_by_that() -> None:
    after = in_clear(*SRTP_CALL).is_killed(T0 + 60 * S, T0 + 70 * S)
    call = [replace(each, ts_ns=T0 + 70 * S) for each in CALL]
    after.hears(*call, seen("rtp", ts_ns=T0 + 71 * S), verdict("clear", ts_ns=T0 + 71 * S)).waits(T0 + 200 * S)
    assert "media-clear-despite-srtp" not in after.open
    assert after.said("opened") == set()


def test_clear_signalling_is_over_when_it_was_not_seen_for_the_policys_time() -> None:
    before = Sensor().hears(sip("REGISTER")).waits(T0 + 60 * S)
    assert before.open == {"signalling-clear"}
    after = before.is_killed(T0 + 60 * S, T0 + 200 * S).waits(T0 + QUIET_S * S - 1)
    assert after.open == {"signalling-clear"}
    after.waits(T0 + QUIET_S * S)
    assert after.open == set()


def test_clear_signalling_that_is_seen_again_in_time_is_no_other_finding() -> None:
    before = Sensor().hears(sip("REGISTER")).waits(T0 + 60 * S)
    after = before.is_killed(T0 + 60 * S, T0 + 200 * S)
    after.hears(sip("REGISTER", ts_ns=T0 + 290 * S)).waits(T0 + 580 * S)
    assert (after.said("opened"), after.open) == (set(), {"signalling-clear"})
    after.waits(T0 + 700 * S)
    assert after.open == set()


def finding(code: str, subject: Subject, last_ns: int = T0) -> Finding:
    return Finding(code, CATALOGUE[code].severity, "open", subject, (), ["seen"], (), T0 - 900 * S, last_ns)


def restored(*findings: Finding, now_ns: int = T0 + 10 * S, policy: Policy | None = None) -> Sensor:
    """A sensor that begins ten seconds after one ended that had these."""
    made = Sensor(policy)
    made.analysis.restore([Kept(each) for each in findings], T0, now_ns)
    made.analysis.waive(now_ns)
    return made


LINK, ITSELF = Subject("interface", name="span0"), Subject("sensor", name="span0")


def test_silence_lasts_until_there_is_a_packet() -> None:
    sensor = restored(finding("sensor-no-traffic", LINK), finding("sensor-no-voice", LINK))
    for second in range(10, 200, 10):
        sensor.analysis.advance(T0 + second * S)
        sensor.analysis.counters(SILENT)
    assert (sensor.open, sensor.said("opened")) == ({"sensor-no-traffic", "sensor-no-voice"}, set())
    sensor.analysis.counters(SILENT | {"received": 1})
    sensor.waits(T0 + 300 * S)
    assert sensor.open == {"sensor-no-voice"}
    sensor.analysis.counters(SILENT | {"received": 2, "sip_messages": 1})
    sensor.waits(T0 + 400 * S)
    assert sensor.open == set()


def test_ills_of_the_last_run_are_those_of_the_new_one_or_over() -> None:
    sensor = restored(finding("sensor-overload", ITSELF), finding("sensor-clock", ITSELF))
    sensor.analysis.advance(T0 + 11 * S)
    sensor.analysis.counters(SILENT | {"clock_steps": 0, "clock_synchronised": 0})
    sensor.waits(T0 + 100 * S)
    assert (sensor.open, sensor.said("opened")) == ({"sensor-clock"}, set())


def test_mirror_of_the_last_run_is_ill_until_it_is_judged() -> None:
    sensor = restored(finding("sensor-truncated", LINK), finding("sensor-duplicate-mirror", LINK))
    ill = {"truncated": 4000}
    for second in range(10, 140, 10):
        sensor.analysis.advance(T0 + second * S)
        sensor.analysis.counters(SILENT | ({"received": 9000 + second} | ill if second > 60 else {"received": second}))
        if second < 70:
            assert sensor.open == {"sensor-truncated", "sensor-duplicate-mirror"}
    sensor.waits(T0 + 200 * S)
    assert (sensor.open, sensor.said("opened")) == ({"sensor-truncated"}, set())


def test_loss_of_the_last_run_is_over_after_the_policys_time() -> None:
    sensor = restored(finding("sensor-loss", ITSELF)).waits(T0 + QUIET_S * S - 1)
    assert sensor.open == {"sensor-loss"}
    assert sensor.waits(T0 + QUIET_S * S).open == set()


def test_what_was_said_of_another_interface_is_over_at_once() -> None:
    sensor = restored(finding("sensor-no-traffic", Subject("interface", name="span9"))).waits(T0 + 10 * S)
    assert sensor.open == set()


SERVER, PAIR = Subject("tls-server", name="10.0.0.2:5061"), Subject("signalling", "10.0.0.1", "10.0.0.2")


def test_what_is_wrong_with_tls_lasts_until_a_handshake_shows_otherwise() -> None:
    at_ns = NOW_NS - 3600 * S
    sensor = Sensor()
    wrong = finding("cert-expired", SERVER, at_ns), finding("tls-version", PAIR, at_ns)
    sensor.analysis.restore(map(Kept, wrong), at_ns, NOW_NS - 60 * S)
    sensor.analysis.advance(NOW_NS - 1)
    assert sensor.open == {"cert-expired", "tls-version"}
    sensor.hears(SHAKE)
    sensor.analysis.advance(NOW_NS + 100 * S)
    assert sensor.open == set()


def test_resumed_session_shows_nothing_of_the_certificate_and_takes_nothing_back() -> None:
    sensor = Sensor()
    sensor.analysis.restore([Kept(finding("cert-expired", SERVER, NOW_NS))], NOW_NS, NOW_NS)
    sensor.hears(replace(SHAKE, resumed=True, certificates=()))
    sensor.analysis.advance(NOW_NS + 100 * S)
    assert sensor.open == {"cert-expired", "not-observable"}


def test_drift_is_over_when_the_endpoint_is_seen_as_it_was() -> None:
    sensor = restored(finding("posture-drift", Subject("endpoint", ALICE, name="media")))
    sensor.analysis.compare({ALICE: Known(T0, T0, "encrypted")}, 1)
    sensor.waits(T0 + 3600 * S)
    assert sensor.open == {"posture-drift"}
    sensor.hears(verdict("encrypted", ts_ns=T0 + 3601 * S)).waits(T0 + 3700 * S)
    assert sensor.open == set()


def test_marks_are_right_again_when_media_is_seen_that_has_them() -> None:
    policy = Policy(dscp=(46,))
    sensor = restored(finding("qos-unmarked", Subject("leg", ALICE, BOB)), policy=policy).waits(T0 + 3600 * S)
    assert sensor.open == {"qos-unmarked"}
    sensor.hears(ended("encrypted", last_ns=T0 + 3601 * S)).waits(T0 + 3700 * S)
    assert sensor.open == set()


def until(found: Finding, now_ns: int = T0 + 10 * S, alive_ns: int = T0 + 5 * S, **policy: Any) -> int | None:
    """Until when it is held, as it is known then; None: it is not known at all."""
    made = list(held([Kept(found)], alive_ns, now_ns, "span0", Policy(**policy), SETTLE_S * S))
    return made[0][1] if made else None


@pytest.mark.parametrize(
    ("code", "subject", "lasts_s"),
    [
        ("media-clear", Subject("leg", "a", "b"), 10 + IDLE_S + SETTLE_S),
        ("recording-clear", Subject("leg", "a", "b"), 10 + IDLE_S + SETTLE_S),
        ("recording-clear", PAIR, QUIET_S),
        ("registration-attack", PAIR, QUIET_S),
        ("new-endpoint", Subject("endpoint", "a"), QUIET_S),
        ("tls-handshake-failed", PAIR, QUIET_S),
        ("tls-null", Subject("leg", "a", "b"), QUIET_S),  # of DTLS
        ("cert-weak", Subject("leg", "a", "b"), QUIET_S),
        ("segment-violation", Subject("access", "a", "b"), 5 + QUIET_S),  # its flow may have gone on to the end
        ("vendor-without-baa", Subject("vendor", name="v"), 5 + QUIET_S),
        ("posture-drift", Subject("endpoint", "a", name="media"), 86_400),
        ("cert-weak", SERVER, WEEK_NS // S),
        ("tls-cipher", PAIR, WEEK_NS // S),
        ("qos-unmarked", Subject("leg", "a", "b"), WEEK_NS // S),
        ("sensor-loss", ITSELF, QUIET_S),
    ],
)
def test_each_kind_is_held_as_long_as_it_is_in_one_run(code: str, subject: Subject, lasts_s: int) -> None:
    assert until(finding(code, subject)) == T0 + lasts_s * S


def test_time_is_the_policys() -> None:
    assert until(finding("registration-attack", PAIR), resolve_after=900) == T0 + 900 * S
    assert until(finding("media-clear", Subject("leg")), media_idle=5) == T0 + (10 + 5 + SETTLE_S) * S


def test_what_is_said_of_the_sensor_is_over_by_its_facts_only() -> None:
    assert until(finding("sensor-overload", ITSELF)) == NEVER_NS


def test_what_was_seen_in_the_future_is_taken_for_seen_now() -> None:
    future = T0 + 10**9 * S
    ahead = finding("registration-attack", PAIR, future)
    assert until(ahead, alive_ns=future) == T0 + (10 + QUIET_S) * S
    assert ahead.last_ns == T0 + 10 * S
    assert until(finding("media-clear", Subject("leg"), future), alive_ns=future) == T0 + (10 + IDLE_S + SETTLE_S) * S


def test_code_that_there_is_no_longer_is_forgotten() -> None:
    known = finding("media-clear", Subject("leg"))
    known.code = "media-yellow"
    assert until(known) is None


def test_restored_finding_is_as_severe_as_the_policy_of_today_has_it_when_it_is_claimed() -> None:
    after = in_clear().is_killed(T0 + 60 * S, T0 + 70 * S, Policy(severities={"media-clear": "low"}))
    assert after.finding("media-clear").severity == "critical"
    after.hears(seen("rtp", ts_ns=T0 + 71 * S), verdict("clear", ts_ns=T0 + 71 * S))
    assert (after.finding("media-clear").severity, after.said("opened")) == ("low", set())


def test_waivers_of_today_hold_for_what_was_open_before() -> None:
    waiver = f"{{subjects: [{ALICE}], codes: [media-clear], owner: J. Doe, reason: old gateway, until: 2100-01-01}}"
    policy = parse_config(f"policy: {{waivers: [{waiver}]}}", "f").policy
    waived = in_clear().is_killed(T0 + 60 * S, T0 + 70 * S, policy)
    assert (waived.finding("media-clear").state, waived.said("updated")) == ("waived", {"media-clear"})
    again = waived.is_killed(T0 + 70 * S, T0 + 80 * S)
    assert (again.finding("media-clear").state, again.said("opened")) == ("open", {"media-clear"})
