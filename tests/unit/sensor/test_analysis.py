"""The sensor's middle as a whole: records in, legs and findings out, at the right moments."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastpath.records import FlowKey, Record
from sensor.analysis import SWEEP_NS, Analysis
from sensor.config.network import Segment, Vendor
from sensor.config.schema import Limits, Policy
from sensor.network.baseline import Known
from tests.unit.sensor.traffic import (
    ALICE,
    BOB,
    CAROL,
    MS,
    PROXY,
    T0,
    Heard,
    Message,
    S,
    Signalling,
    counts,
    dtls,
    ended,
    media_key,
    sdes,
    sdp,
    seen,
    sip,
    tls_hello,
    verdict,
)

A, B = (ALICE, 16384), (BOB, 16390)
CALL = (sip("INVITE", sdp(*A), tags=("alice", "")), sip("200 INVITE", sdp(*B), source=BOB, target=ALICE))
SRTP_CALL = (sip("INVITE", sdes(*A), tags=("alice", "")), sip("200 INVITE", sdes(*B), source=BOB, target=ALICE))
BYE = sip("BYE", cseq=2, ts_ns=T0 + 10 * S)


class Sensor(Analysis):
    """An analysis behind the core that reads SIP."""

    def __init__(self, policy: Policy | None = None, **options: Any) -> None:
        self.heard = Heard()
        self.signalling = Signalling()
        super().__init__(policy or Policy(), [self.heard], **options)

    def hear(self, *records: Message | Record) -> None:
        """Take records, and what the core makes of messages."""
        for record in self.signalling.read(records):
            self.feed(record)

    def end(self) -> None:
        """End the input."""
        for record in self.signalling.finish():
            self.feed(record)
        self.close()


def analysis(*records: Message | Record, **options: Any) -> tuple[Sensor, Heard]:
    made = Sensor(**options)
    made.hear(*records)
    return made, made.heard


def media(heard: Heard) -> list[tuple[str, str]]:
    """Return what was said about media."""
    return [(change, code) for change, code in heard.said if code.startswith("media")]


def test_clear_call_opens_its_findings_at_once_and_resolves_when_its_media_ends() -> None:
    made, heard = analysis(
        *CALL, seen("rtp"), verdict("clear", ts_ns=T0 + S), pseudonym=lambda name, _kind: f"<{name}>"
    )
    assert heard.said == [("opened", "signalling-clear"), ("opened", "media-clear")]
    assert heard.findings[1].first_ns == T0 + S
    for record in (verdict("clear", ssrc=2, from_a=False), BYE, ended("clear", last_ns=T0 + 10 * S)):
        made.hear(record)
    assert heard.said[2:] == [("resolved", "media-clear")]
    assert heard.findings[1].last_ns == T0 + 10 * S
    (leg,) = heard.legs
    assert (leg.a, leg.b, leg.signalling, leg.signalled, leg.observed, leg.comparison, leg.assessed, leg.call) == (
        ALICE, BOB, "clear", "clear", "clear", "agree", 0.9, "<call-1>",
    )  # fmt: skip


def test_srtp_promised_and_not_kept_waits_for_the_grace_then_opens_both() -> None:
    made, heard = analysis(*SRTP_CALL, seen("rtp"), verdict("clear", ts_ns=T0 + S))
    made.advance(T0 + 3 * S - 1)
    assert media(heard) == []
    made.advance(T0 + 3 * S)
    assert media(heard) == [("opened", "media-clear"), ("opened", "media-clear-despite-srtp")]


def test_srtp_that_starts_within_the_grace_says_nothing() -> None:
    made, heard = analysis(*SRTP_CALL, seen("rtp"), verdict("clear"), verdict("encrypted", ts_ns=T0 + 2 * S))
    made.advance(T0 + 100 * S)
    made.hear(ended("encrypted", last_ns=T0 + 90 * S))
    assert media(heard) == []


def test_dtls_on_the_flow_gives_grace_without_any_signalling() -> None:
    made, heard = analysis(seen("dtls"), seen("rtp"), verdict("clear"))
    made.advance(T0 + 2 * S)
    assert heard.said == []
    made.advance(T0 + 3 * S)
    assert heard.said == [("opened", "media-clear")]


def test_media_that_turns_clear_after_it_was_encrypted_has_no_grace() -> None:
    _, heard = analysis(*SRTP_CALL, seen("rtp"), verdict("encrypted"), verdict("clear", previous="encrypted"))
    assert media(heard) == [
        ("opened", "media-clear"),
        ("opened", "media-clear-despite-srtp"),
        ("opened", "media-downgraded"),
    ]


def test_video_in_clear_beside_encrypted_audio_on_one_flow_took_nothing_away() -> None:
    _, heard = analysis(seen("rtp"), verdict("encrypted"), verdict("clear", ssrc=9, payload_type=96))
    assert media(heard) == [("opened", "media-clear")]


def test_stream_that_goes_on_from_another_port_in_clear_is_downgraded() -> None:
    """SIP inside TLS: the re-INVITE was not seen, the SSRC and the clock of its timestamps go on."""
    later, moved = T0 + 8 * S, media_key(ALICE, 20002, *B)
    one = verdict("clear", moved, flow=8, ssrc=5, seq=1003 + 350, ts_ns=later)
    sensor, heard = analysis(seen("rtp"), verdict("encrypted", ssrc=5), seen("rtp", moved, flow=8, ts_ns=later), one)
    assert media(heard) == [("opened", "media-clear"), ("opened", "media-downgraded")]
    assert sensor.tables()["legs"] == 1
    _, heard = analysis(
        seen("rtp"),
        verdict("encrypted", ssrc=5),
        seen("rtp", moved, flow=8),
        replace(one, timestamp=one.timestamp + 10**6),
    )
    assert media(heard) == [("opened", "media-clear")]


def test_clear_media_of_one_side_is_told_while_the_other_side_has_its_keys() -> None:
    """ZRTP: each direction turns when its own sender does; the grace is that of the sender in clear."""
    _, heard = analysis(
        seen("zrtp"),
        seen("rtp"),
        verdict("clear", ssrc=1),
        verdict("clear", ssrc=2, from_a=False),
        verdict("encrypted", ssrc=1, previous="clear", packet=9, since_packet=7),
        verdict("encrypted", ssrc=2, from_a=False, previous="clear", packet=40, since_packet=7, ts_ns=T0 + 2 * S),
    )
    assert media(heard) == []


def test_grace_that_no_packet_ends_is_ended_by_the_next_record() -> None:
    _, heard = analysis(*SRTP_CALL, seen("rtp"), verdict("clear"), ended("clear", last_ns=T0 + 4 * S))
    assert media(heard) == [
        ("opened", "media-clear"),
        ("opened", "media-clear-despite-srtp"),
        ("resolved", "media-clear"),
        ("resolved", "media-clear-despite-srtp"),
    ]


def test_end_of_the_input_ends_the_leg_and_resolves_nothing() -> None:
    made, heard = analysis(*CALL, seen("rtp"), verdict("clear"), ended("clear", last_ns=T0 + 10 * S, idle=False))
    made.end()
    assert [change for change, _ in heard.said] == ["opened", "opened"]
    assert [leg.observed for leg in heard.legs] == ["clear"]
    clear = heard.findings[1]
    assert (clear.code, clear.state, clear.last_ns) == ("media-clear", "open", T0 + 10 * S)


def test_call_that_never_ends_is_told_by_closing() -> None:
    made, heard = analysis(*CALL)
    assert heard.legs == []
    made.end()
    assert [(leg.a, leg.b, leg.observed) for leg in heard.legs] == [(ALICE, BOB, "not-observed")]


def test_sip_in_clear_is_one_finding_a_pair_that_counts_and_resolves_in_silence() -> None:
    later = T0 + 20 * S
    made, heard = analysis(
        sip("REGISTER", source=ALICE, target=PROXY),
        sip("200 REGISTER", source=PROXY, target=ALICE),
        sip("OPTIONS", source=PROXY, target=ALICE, ts_ns=later),
        sip("OPTIONS", source=PROXY, target=BOB, ts_ns=later),
    )
    assert heard.said == [("opened", "signalling-clear")] * 2
    made.advance(later + 300 * S)
    assert heard.findings[0].count == 3
    made.advance(later + 300 * S + SWEEP_NS)
    assert heard.said[2:] == [("resolved", "signalling-clear")] * 2
    assert heard.findings[0].last_ns == later
    made.hear(sip("REGISTER", source=ALICE, target=PROXY, ts_ns=later + 400 * S))
    assert heard.said[4:] == [("opened", "signalling-clear")]
    assert made.tables()["exposures"] == 1


def test_count_that_a_flow_s_end_adds_opens_nothing_again() -> None:
    register = sip("REGISTER", source=ALICE, target=PROXY)
    made, heard = analysis(register, replace(register, ts_ns=T0 + 5 * S))
    made.advance(T0 + 400 * S)
    made.end()
    assert heard.said == [("opened", "signalling-clear"), ("resolved", "signalling-clear")]


def test_counts_are_told_at_the_end() -> None:
    made, heard = analysis(*CALL, BYE)
    made.end()
    assert heard.findings[0].count == 3


def test_keys_in_clear_sip_are_a_finding_of_the_hosts_that_exchanged_them() -> None:
    made, heard = analysis(*SRTP_CALL)
    made.end()
    assert heard.said == [("opened", "signalling-clear"), ("opened", "sdes-key-exposed")]
    exposed = heard.findings[1]
    assert (exposed.subject.kind, exposed.subject.a, exposed.subject.b, exposed.count) == ("signalling", ALICE, BOB, 2)
    (evidence,) = exposed.evidence
    assert evidence == (
        "a=crypto with AES_CM_128_HMAC_SHA1_80 readable in a SIP INVITE over UDP "
        "between 10.0.0.1:5060 and 10.0.0.2:5060"
    )
    assert str(0x1234) not in repr(exposed)


def test_keys_offered_and_not_taken_expose_nothing() -> None:
    """RFC 8643: the offer lets the answer choose RTP, and then its keys serve nobody."""
    _, heard = analysis(sip("INVITE", sdes(*A, "RTP/AVP"), tags=("alice", "")), CALL[1])
    assert heard.said == [("opened", "signalling-clear")]
    _, heard = analysis(sip("INVITE", sdes(*A, "RTP/AVP"), tags=("alice", "")), sip("200 INVITE", sdes(*B, "RTP/AVP")))
    assert heard.said == [("opened", "signalling-clear"), ("opened", "sdes-key-exposed")]


def test_media_of_hosts_that_signal_over_tls_is_known_to() -> None:
    tls = FlowKey("tcp", ALICE, 40000, PROXY, 5061, ())
    made, heard = analysis(seen("tls", tls, flow=5, ts_ns=T0), seen("rtp"), verdict("clear"), ended("clear"))
    made.hear(ended("encrypted", tls, flow=5, app="tls"))
    assert [leg.signalling for leg in heard.legs] == ["tls"]
    assert [context.carries for _, context in heard.flows] == [None, "sip"]


def test_sip_in_tls_is_known_by_its_alpn_on_any_port() -> None:
    tls = FlowKey("tcp", BOB, 40000, PROXY, 443, ())
    _, heard = analysis(seen("tls", tls, flow=5, ts_ns=T0), tls_hello("sip/2", tls), ended("clear"))
    assert [leg.signalling for leg in heard.legs] == ["tls"]
    _, heard = analysis(seen("tls", tls, flow=5, ts_ns=T0), tls_hello("h2", tls), ended("clear"))
    assert [leg.signalling for leg in heard.legs] == ["unknown"]


def test_flow_of_a_leg_is_told_with_what_was_signalled_for_it() -> None:
    offer, answer = sip("INVITE", dtls(*A), tags=("alice", "")), sip("200 INVITE", dtls(*B), source=BOB, target=ALICE)
    _, heard = analysis(offer, answer, seen("dtls"), seen("rtp"), verdict("encrypted"), ended("encrypted"))
    (_, context) = heard.flows[0]
    assert (context.signalled, context.key_exchange, context.carries) == ("srtp-dtls", "dtls", None)


def test_silence_of_a_watched_interface_opens_and_the_next_packet_resolves() -> None:
    made, heard = analysis(interface="span0")
    made.advance(T0)
    made.counters({"received": 5})
    made.advance(T0 + 59 * S)
    made.counters({"received": 5})
    assert heard.said == []
    made.advance(T0 + 60 * S)
    made.counters({"received": 5})
    made.counters({"received": 5})
    assert heard.said == [("opened", "sensor-no-traffic")]
    made.counters({"received": 6})
    assert heard.said == [("opened", "sensor-no-traffic"), ("resolved", "sensor-no-traffic")]


def test_silence_in_a_capture_file_is_nothing() -> None:
    made, heard = analysis()
    made.advance(T0)
    made.counters({"received": 5})
    made.advance(T0 + 3600 * S)
    made.counters({"received": 5})
    assert heard.said == []


def test_loss_opens_is_updated_when_tenfold_and_resolves_after_a_quiet_time() -> None:
    made, heard = analysis(interface="span0")
    for second, drops in enumerate((0, 3, 4, 29, 30, 31)):
        made.advance(T0 + second * S)
        made.counters({"received": 10 + second, "kernel_drops": drops, "shed.flow-table-full": 0})
    assert heard.said == [("opened", "sensor-loss"), ("updated", "sensor-loss")]
    assert heard.findings[0].evidence == [
        "lost: 3 packets dropped by the kernel; the calls in it are not assessed",
        "lost: 30 packets dropped by the kernel; the calls in it are not assessed",
    ]
    made.advance(T0 + 305 * S)
    made.counters({"received": 99, "kernel_drops": 31})
    assert heard.said[2:] == [("resolved", "sensor-loss")]
    made.counters({"received": 100, "kernel_drops": 31, "shed.stream-table-full": 2})
    assert heard.findings[1].evidence == ["lost: 2 packets shed under load; the calls in it are not assessed"]


def test_policy_reloaded_judges_what_is_open_again() -> None:
    made, _ = analysis(*SRTP_CALL, seen("rtp"), verdict("encrypted"), verdict("clear"))
    made.reload(Policy(severities={"media-clear": "low", "signalling-clear": "info"}))
    assert counts(made.book) == {
        ("signalling-clear", "info"): 1,
        ("sdes-key-exposed", "critical"): 1,
        ("media-clear", "low"): 1,
        ("media-clear-despite-srtp", "critical"): 1,
        ("media-downgraded", "critical"): 1,
    }
    made.reload(Policy(segments=()))
    assert counts(made.book) == {("media-clear-despite-srtp", "critical"): 1}
    made.reload(Policy())
    assert counts(made.book)["media-clear", "critical"] == 1


def test_policy_reloaded_with_a_shorter_grace_ends_the_longer_one() -> None:
    made, heard = analysis(*SRTP_CALL, seen("rtp"), verdict("clear"), policy=Policy(grace=600))
    made.reload(Policy())
    made.advance(T0 + 4 * S)
    assert media(heard) == [("opened", "media-clear"), ("opened", "media-clear-despite-srtp")]


def test_time_of_one_broken_record_moves_nothing() -> None:
    made, heard = analysis(*CALL, seen("rtp"), verdict("clear"), sip("BYE", call_id="x", ts_ns=T0 + 10**9 * S))
    made.hear(sip("OPTIONS", ts_ns=T0 + 2 * S))
    made.advance(T0 + 400 * S)
    assert heard.said[-1] == ("resolved", "signalling-clear")


def test_gap_in_a_capture_is_passed_by_its_second_record() -> None:
    made, heard = analysis(CALL[0])
    for second, host in ((7200, PROXY), (7201, CAROL)):
        made.hear(sip("BYE", call_id="x", source=host, ts_ns=T0 + second * S))
    assert heard.said == [
        ("opened", "signalling-clear"),
        ("opened", "signalling-clear"),
        ("resolved", "signalling-clear"),
        ("opened", "signalling-clear"),
    ]


@pytest.mark.parametrize("back", [2, 600, 7200])
def test_clock_set_back_leaves_what_was_left_of_a_grace_and_ends_what_is_not_seen_again(back: int) -> None:
    made, heard = analysis(*SRTP_CALL, seen("rtp"), verdict("clear"))
    made.advance(T0 + S)
    made.advance(T0 + S - back * S)
    assert media(heard) == []
    made.advance(T0 + 5 * S - back * S)
    assert media(heard) == [("opened", "media-clear"), ("opened", "media-clear-despite-srtp")]
    made.advance(T0 + S - back * S + SWEEP_NS)
    assert {("resolved", "signalling-clear"), ("resolved", "sdes-key-exposed")} <= set(heard.said)


def test_tables_are_told_with_what_they_turned_away() -> None:
    made = Sensor(limits=Limits(findings=64))
    for i in range(40):
        made.hear(sip("INVITE", sdp(f"10.1.0.{i}", 9), call_id=f"c{i}", source=f"10.1.0.{i}", tags=("a", "")))
    tables = made.tables()
    assert (tables["legs"], tables["calls"], tables["endpoints"]) == (40, 40, 41)
    assert (tables["exposures"], tables["findings_refused"]) == (40, 24)


def test_telephone_identities_appear_in_no_result() -> None:
    made, heard = analysis(
        *SRTP_CALL, seen("rtp"), verdict("clear"), BYE, ended("clear"), pseudonym=lambda _name, kind: f"{kind}-x"
    )
    made.end()
    shown = repr((heard.findings, heard.legs, heard.calls, heard.endpoints))
    assert "alice" not in shown
    assert "bob" not in shown


def test_analysis_loads_neither_validator_nor_yaml() -> None:
    """`scan` without a configuration file starts without them."""
    check = "import sys, sensor.analysis; sys.exit(any(name in sys.modules for name in ('pydantic', 'yaml')))"
    assert subprocess.run([sys.executable, "-c", check], cwd=Path(__file__).parents[3], check=False).returncode == 0


RECORDS = st.one_of(
    st.sampled_from([*CALL, *SRTP_CALL, BYE, sip("486 INVITE"), sip("INVITE", dtls(*A), cseq=2)]),
    st.builds(
        lambda app, flow: seen(app, flow=flow),
        st.sampled_from(["rtp", "dtls", "zrtp", "stun", "sip", "tls", "rtcp"]),
        st.integers(7, 9),
    ),
    st.builds(
        lambda protection, flow, ssrc, port: verdict(protection, media_key(b_port=port), flow=flow, ssrc=ssrc),
        st.sampled_from(["clear", "encrypted", "undetermined"]),
        st.integers(7, 9),
        st.integers(1, 3),
        st.sampled_from([16390, 5000]),
    ),
    st.builds(
        lambda protection, flow, app, idle: ended(protection, flow=flow, app=app, idle=idle),
        st.sampled_from(["clear", "encrypted", "undetermined", "not-applicable"]),
        st.integers(7, 9),
        st.sampled_from(["rtp", "dtls", "sip", "other"]),
        st.booleans(),
    ),
)


@given(st.lists(RECORDS, max_size=40), st.integers(0, 5))
def test_any_records_in_any_order_open_and_resolve_each_finding_once(
    records: list[Message | Record], step: int
) -> None:
    made, heard = analysis()
    for i, record in enumerate(records):
        made.hear(record)
        made.advance(T0 + i * step * 300 * MS)
    assert len(made.book.open_findings()) == heard_open(heard)
    made.end()
    tables = made.tables()
    assert tables["legs"] == 0
    ended_flows = [flow for flow, _ in heard.flows if flow.app != "sip" or flow.flow >= 7]
    assert len(ended_flows) == sum(type(record).__name__ == "FlowEnded" for record in records)
    assert len(heard.findings) - sum(change == "resolved" for change, _ in heard.said) == heard_open(heard)


def heard_open(heard: Heard) -> int:
    return sum(finding.state == "open" for finding in heard.findings)


def test_leg_in_clear_counts_its_time_by_the_segments_of_its_ends() -> None:
    made, heard = analysis(*SRTP_CALL, seen("rtp"), verdict("clear"))
    made.advance(T0 + 20 * S)
    assert [(ends, clear.legs) for ends, clear in made.in_clear().items()] == [(("voice", "voice"), 1)]
    made.end()
    (leg,) = heard.legs
    assert leg.segments == ("voice", "voice")
    assert made.in_clear()["voice", "voice"].legs == 0


def test_finding_of_clear_media_says_when_its_first_packet_came() -> None:
    _, heard = analysis(*CALL, seen("rtp"), verdict("clear"))
    (finding,) = (each for each in heard.findings if each.code == "media-clear")
    assert 0 < finding.since_ns <= finding.first_ns


def test_endpoint_is_held_against_the_baseline() -> None:
    made, heard = analysis()
    made.compare({ALICE: Known(T0, T0, media="encrypted"), BOB: Known(T0, T0, media="clear")}, 1)
    made.hear(*CALL, seen("rtp"), verdict("clear"))
    drifted = [(each.subject.a, each.subject.name) for each in heard.findings if each.code == "posture-drift"]
    assert drifted == [(ALICE, "media")]


def test_strangers_in_calls_are_held_against_the_policy() -> None:
    trunk = Segment("trunk", kind="trunk", cidrs=(ip_network(f"{BOB}/32"),))
    phones = Segment("phones", cidrs=(ip_network("10.0.0.0/8"),))
    vendor = Vendor("Example Telecom", (ip_network("203.0.113.0/24"),))
    policy = Policy(segments=(phones, trunk), vendors=(vendor,))
    _, heard = analysis(*CALL, seen("rtp"), verdict("clear"), policy=policy)
    assert "unknown-vendor" in {finding.code for finding in heard.findings}


def test_request_that_nobody_answers_shows_how_its_sender_speaks_and_no_vendor() -> None:
    vendor = Vendor("Example Telecom", (ip_network("203.0.113.0/24"),))
    made, heard = analysis(policy=Policy(vendors=(vendor,)))
    made.compare({ALICE: Known(T0, T0, signalling="encrypted"), BOB: Known(T0, T0, signalling="encrypted")}, 1)
    made.hear(sip("OPTIONS", source="198.51.100.9", target=ALICE), sip("OPTIONS", source=BOB, target=ALICE))
    found = [(each.code, each.subject.a) for each in heard.findings if each.code != "signalling-clear"]
    assert found == [("posture-drift", BOB)]


def test_every_sender_in_clear_is_held_against_the_baseline() -> None:
    made, heard = analysis()
    made.compare({ALICE: Known(T0, T0, media="encrypted"), BOB: Known(T0, T0, media="encrypted")}, 1)
    made.hear(*CALL, seen("rtp"), verdict("clear"), verdict("clear", from_a=False, ssrc=2))
    made.advance(T0 + 30 * S)
    drifted = {each.subject.a for each in heard.findings if each.code == "posture-drift"}
    assert drifted == {ALICE, BOB}


def test_media_in_clear_for_as_long_as_its_grace_has_not_drifted() -> None:
    made, heard = analysis()
    made.compare({ALICE: Known(T0, T0, media="encrypted")}, 1)
    made.hear(*SRTP_CALL, seen("rtp"), verdict("clear"), verdict("encrypted"))
    assert "posture-drift" not in {finding.code for finding in heard.findings}


def test_voice_is_known_from_the_baseline_unless_all_of_it_is_inside_tls() -> None:
    made, _ = analysis()
    made.compare({ALICE: Known(T0, T0, signalling="encrypted")}, 1)
    assert not made.voice_known()
    made.compare({ALICE: Known(T0, T0, media="encrypted")}, 1)
    assert made.voice_known()


def test_legs_in_progress_are_counted_by_what_is_observed_of_them() -> None:
    made, _ = analysis(*CALL)
    assert made.legs() == {"not-observed": 1}
    made.hear(seen("rtp"))
    assert made.legs() == {"undetermined": 1}
    made.hear(verdict("clear"))
    assert made.legs() == {"clear": 1}
