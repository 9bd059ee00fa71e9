"""Calls: which legs belong together, by what evidence, and what joins nothing."""

from __future__ import annotations

import pytest

from fastpath.records import Record
from sensor.model import Call
from tests.unit.sensor.test_analysis import Sensor
from tests.unit.sensor.traffic import (
    ALICE,
    BOB,
    CAROL,
    PROXY,
    RELAY,
    T0,
    Message,
    S,
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
NEAR, FAR = (RELAY, 30000), (RELAY, 30002)
SESSION = "ab30317f1a784dc48ff824d0d3715d86"
NEAR_KEY, FAR_KEY = media_key(*A, *NEAR), media_key(*FAR, *B)


def invited(
    call_id: str, source: tuple[str, int], target: tuple[str, int], *headers: str, at_ns: int = T0, users: str = "u v"
) -> tuple[Message, Message]:
    """Return INVITE and answer between two hosts that send media themselves."""
    one, other = users.split()
    return (
        sip(
            "INVITE", sdp(*source), *headers, tags=(call_id, ""), call_id=call_id, source=source[0], target=target[0],
            ts_ns=at_ns, users=(one, other),
        ),
        sip(
            "200 INVITE", sdp(*target), *headers, tags=(call_id, "to"), call_id=call_id, source=target[0],
            target=source[0], ts_ns=at_ns + S // 10, users=(one, other),
        ),
    )  # fmt: skip


def media(near: str = "clear", far: str = "clear", *, ssrc: int = 1, far_ssrc: int = 2, seq: int = 0) -> list[Record]:
    """Return verdicts on both sides of a relay."""
    return [
        seen("rtp", NEAR_KEY, flow=7),
        seen("rtp", FAR_KEY, flow=8),
        verdict(near, NEAR_KEY, flow=7, ssrc=ssrc),
        verdict(far, FAR_KEY, flow=8, ssrc=far_ssrc, seq=1003 + seq),
    ]


def calls(*said: Message | Record) -> list[Call]:
    """Return the calls that were told of, with the names that they have in the core."""
    sensor = Sensor(pseudonym=lambda name, _kind: name)
    sensor.hear(*said)
    sensor.end()
    return sensor.heard.calls


def joined(*said: Message | Record) -> list[tuple[int, tuple[str, ...]]]:
    """Return how many legs each call has, and what joined them."""
    return [(len(call.legs), call.joined_by) for call in calls(*said)]


def test_call_is_told_with_its_parties_and_legs() -> None:
    (call,) = calls(*invited("c1", A, B), seen("rtp"), verdict("clear"), ended())
    assert (call.call, call.caller, call.callee, call.joined_by, call.observed) == ("c1", "u", "v", (), "clear")
    assert [(leg.a, leg.b, leg.media, leg.signalled) for leg in call.legs] == [(ALICE, BOB, "audio", "clear")]


def test_forks_are_one_call() -> None:
    invite, answer = invited("c1", A, B)
    other = sip("183 INVITE", sdp(CAROL, 5000), tags=("c1", "other"), call_id="c1", source=BOB, target=ALICE)
    assert joined(invite, other, answer) == [(2, ())]


@pytest.mark.parametrize(
    ("near", "far", "evidence"),
    [
        (f"Session-ID: {SESSION};remote={'0' * 32}", f"Session-ID: {'1' * 32};remote={SESSION}", "session-id"),
        ("X-Call: 4711", "X-Call:   4711", "header"),
        ("Subject: none", "Replaces: c1;from-tag=c1;to-tag=to", "replaces"),
    ],
)
def test_headers_join_the_two_sides_of_a_b2bua(near: str, far: str, evidence: str) -> None:
    said = [*invited("c1", A, NEAR, near), *invited("c2", FAR, B, far, users="x y")]
    assert joined(*said, *media()) == [(2, (evidence,))]


def test_headers_that_differ_join_nothing() -> None:
    said = [*invited("c1", A, NEAR, "X-Call: 1"), *invited("c2", FAR, B, "X-Call: 2", users="x y")]
    assert joined(*said, *media()) == [(1, ()), (1, ())]


def test_one_relay_at_one_time_joins_nothing() -> None:
    said = [*invited("c1", A, NEAR), *invited("c2", FAR, B, users="x y")]
    assert joined(*said, *media("encrypted", "clear")) == [(1, ()), (1, ())]


def test_same_stream_on_both_sides_of_a_relay_joins() -> None:
    said = [*invited("c1", A, NEAR), *invited("c2", FAR, B, users="x y")]
    assert joined(*said, *media(far_ssrc=1, seq=2)) == [(2, ("same-stream",))]
    assert joined(*media(far_ssrc=1, seq=2)) == [(2, ("same-stream",))]


def test_same_ssrc_with_other_sequence_numbers_joins_nothing() -> None:
    said = [*invited("c1", A, NEAR), *invited("c2", FAR, B, users="x y")]
    assert joined(*said, *media(far_ssrc=1, seq=30000)) == [(1, ()), (1, ())]


def test_same_two_media_addresses_under_two_call_ids_are_one_leg() -> None:
    """A B2BUA that lets media pass by."""
    near = (
        sip("INVITE", sdp(*A), tags=("a", ""), call_id="c1", target=PROXY, users=("u", "v")),
        sip("INVITE", sdp(*A), tags=("p", ""), call_id="c2", source=PROXY, target=BOB, users=("x", "y")),
        sip("200 INVITE", sdp(*B), tags=("p", "b"), call_id="c2", source=BOB, target=PROXY, users=("x", "y")),
        sip("200 INVITE", sdp(*B), tags=("a", "q"), call_id="c1", source=PROXY, target=ALICE, users=("u", "v")),
    )
    assert joined(*near, seen("rtp"), verdict("clear")) == [(1, ("same-media",))]


def test_caller_callee_and_time_join_what_one_host_received_and_sent() -> None:
    near, far = invited("c1", A, NEAR), invited("c2", FAR, B, at_ns=T0 + S)
    assert joined(*near, *far, *media()) == [(2, ("identities",))]


@pytest.mark.parametrize(
    ("source", "users", "at_ns"),
    [((CAROL, 4000), "u v", T0 + S), (FAR, "u w", T0 + S), (FAR, "u v", T0 + 11 * S)],
    ids=["sent-by-another-host", "another-callee", "much-later"],
)
def test_identities_without_the_rest_join_nothing(source: tuple[str, int], users: str, at_ns: int) -> None:
    far = invited("c2", source, B, users=users, at_ns=at_ns)
    assert [legs for legs, _ in joined(*invited("c1", A, NEAR), *far, *media())][:2] == [1, 1]


def test_half_protected_call_opens_with_its_second_side_and_resolves_with_either() -> None:
    sensor = Sensor()
    sensor.hear(*invited("c1", A, NEAR), *invited("c2", FAR, B, users="x y"))
    sensor.hear(*media("encrypted", "clear", far_ssrc=1, seq=2))
    half = [each for each in sensor.heard.findings if each.code == "media-half-protected"]
    assert [(each.state, each.subject.a, each.subject.b) for each in half] == [("open", BOB, RELAY)]
    sensor.hear(verdict("encrypted", FAR_KEY, flow=8, ssrc=1, previous="clear", ts_ns=T0 + 5 * S))
    assert [each.state for each in half] == ["resolved"]


def half_protected(*said: Message | Record) -> list[str]:
    sensor = Sensor()
    sensor.hear(*said)
    return [each.state for each in sensor.heard.findings if each.code == "media-half-protected"]


def test_answers_to_one_offer_are_no_two_sides() -> None:
    """RFC 3261 section 13.2.2.4: an announcement in clear, then the fork that was taken."""
    invite, announced = invited("c1", A, B)
    taken = sip("200 INVITE", sdp(CAROL, 5000), tags=("c1", "carol"), call_id="c1", source=BOB, target=ALICE)
    other = media_key(*A, CAROL, 5000)
    said: list[Message | Record] = [invite, announced, seen("rtp"), verdict("clear"), taken, seen("rtp", other, flow=9)]
    assert half_protected(*said, verdict("encrypted", other, flow=9, ssrc=9)) == []


def test_leg_whose_dialogue_is_over_is_no_side_though_its_flow_is_not_idle_yet() -> None:
    headers = "X-Call: 1"
    over = sip("BYE", tags=("c1", "to"), call_id="c1", cseq=2, ts_ns=T0 + S)
    said = [*invited("c1", A, NEAR, headers), *invited("c2", FAR, B, headers), *media("clear", "undetermined")]
    assert half_protected(*said, verdict("encrypted", FAR_KEY, flow=8, ssrc=2)) == ["open"]
    assert half_protected(*said, over, verdict("encrypted", FAR_KEY, flow=8, ssrc=2)) == []


def test_evidence_that_would_join_everything_joins_no_more_than_a_call_holds() -> None:
    """One Session-ID for all calls of a device."""
    sensor = Sensor()
    for i in range(200):
        at, to = (f"10.1.0.{i}", 4000), (f"10.2.0.{i}", 5000)
        sensor.hear(*invited(f"c{i}", at, to, f"Session-ID: {SESSION}", users=f"u{i} v{i}"))
    assert max(len(leg.call.legs) for leg in sensor._legs if leg.call) <= 64
    assert sensor.tables()["joins_refused"] > 0


def test_key_passed_on_with_its_stream_is_one_use() -> None:
    """A B2BUA that lets SDES through: the relay shows that both dialogues are one call."""
    sensor = Sensor()
    for call_id, source, target in (("c1", A, NEAR), ("c2", FAR, B)):
        sensor.hear(
            sip("INVITE", sdes(*source), tags=(call_id, ""), call_id=call_id, source=source[0], target=target[0]),
            sip("200 INVITE", sdes(*target), tags=(call_id, "b"), call_id=call_id, source=target[0], target=source[0]),
        )
    sensor.hear(*media("encrypted", "encrypted", far_ssrc=1, seq=2))
    assert [each.code for each in sensor.heard.findings if each.code == "srtp-key-reuse"] == []


def test_key_chosen_in_two_calls_is_reused() -> None:
    sensor = Sensor()
    for call_id, at, port, flow in (("c1", A, 16390, 7), ("c2", (CAROL, 4000), 17000, 8)):
        key = media_key(*at, BOB, port)
        sensor.hear(
            sip("INVITE", sdes(*at), tags=(call_id, ""), call_id=call_id, source=at[0]),
            sip("200 INVITE", sdes(BOB, port), tags=(call_id, "b"), call_id=call_id, source=BOB, target=at[0]),
            seen("rtp", key, flow=flow),
            verdict("encrypted", key, flow=flow, ssrc=flow),
        )
    (reused,) = [each for each in sensor.heard.findings if each.code == "srtp-key-reuse"]
    assert reused.evidence == [
        "the SDES key of 10.0.0.3 and 10.0.0.2 was chosen for a call between 10.0.0.1 and 10.0.0.2 too"
    ]


def test_key_on_the_hops_of_one_call_and_in_its_reinvite_is_one_use() -> None:
    sensor = Sensor()
    sensor.hear(
        sip("INVITE", sdes(*A), tags=("a", ""), target=PROXY),
        sip("INVITE", sdes(*A), tags=("a", ""), source=PROXY, target=BOB),
        sip("200 INVITE", sdes(*B), tags=("a", "b"), source=BOB, target=PROXY),
        sip("200 INVITE", sdes(*B), tags=("a", "b"), source=PROXY, target=ALICE),
        seen("rtp"),
        verdict("encrypted"),
        sip("INVITE", (line(*A, "RTP/SAVP", crypto(), "sendonly"),), tags=("a", "b"), cseq=2, target=PROXY),
        sip("200 INVITE", sdes(*B), tags=("a", "b"), cseq=2, source=PROXY, target=ALICE),
    )
    sensor.end()
    assert [each.code for each in sensor.heard.findings if each.code == "srtp-key-reuse"] == []


def test_recording_session_is_a_recording() -> None:
    invite, answer = invited("c1", A, B, "Require: siprec")
    (call,) = calls(invite, answer, seen("rtp"), verdict("clear"))
    assert call.recording


def test_nothing_is_kept_of_calls_that_are_over() -> None:
    sensor = Sensor(pseudonym=lambda name, _kind: name)
    sensor.hear(*invited("c1", A, NEAR, "X-Call: 1"), *invited("c2", FAR, B, "X-Call: 1"), *media(far_ssrc=1))
    for call_id in ("c1", "c2"):
        sensor.hear(sip("BYE", tags=(call_id, "to"), call_id=call_id, cseq=2, ts_ns=T0 + 9 * S))
    sensor.hear(ended(key=NEAR_KEY), ended(key=FAR_KEY, flow=8))
    assert (sensor._calls._by_key, len(sensor.heard.calls), sensor.tables()["calls"]) == ({}, 1, 0)
