"""Legs: which media belongs to which agreement, and what becomes of it."""

from __future__ import annotations

import pytest

from fastpath.records import AppSeen, FlowEnded, Negotiation, Record, Verdict
from sensor.calls.calls import Call, Calls
from sensor.calls.leg import LegState
from sensor.calls.legs import Legs
from tests.unit.sensor.traffic import (
    ALICE,
    BOB,
    CAROL,
    PROXY,
    RELAY,
    T0,
    Message,
    S,
    Signalling,
    dtls,
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
INVITE = sip("INVITE", sdp(*A), tags=("alice", ""))
OK = sip("200 INVITE", sdp(*B), source=BOB, target=ALICE)
BYE = sip("BYE", cseq=2, ts_ns=T0 + 10 * S)
SRTP_INVITE = sip("INVITE", sdes(*A), tags=("alice", ""))
SRTP_OK = sip("200 INVITE", sdes(*B), source=BOB, target=ALICE)


class Joined:
    """Dialogues and legs with nothing behind them."""

    def __init__(self) -> None:
        self.over: list[LegState] = []
        self.judged: list[tuple[LegState, str]] = []
        self.joined: list[Call] = []
        self.signalling = Signalling()
        self.calls = Calls(lambda call, _part, _now: self.joined.append(call), lambda _call: None)
        self.legs = Legs(self.calls, lambda leg, _: self.judged.append((leg, leg.live())), self.over.append)

    def feed(self, *records: Message | Record) -> None:
        for record in self.signalling.read(records):
            match record:
                case Negotiation():
                    self.legs.negotiated(record)
                case AppSeen(app=app) if app != "sip":
                    self.legs.app_seen(record)
                case Verdict():
                    self.legs.verdict(record)
                case FlowEnded():
                    self.legs.flow_ended(record)

    def leg(self) -> LegState:
        (leg,) = self.legs
        return leg


def call_id(leg: LegState) -> str:
    return leg.call.name if leg.call else ""


@pytest.fixture
def joined() -> Joined:
    return Joined()


def test_media_between_the_agreed_ends_joins_the_leg(joined: Joined) -> None:
    joined.feed(INVITE, OK, seen("rtp"), verdict("clear"))
    leg = joined.leg()
    assert (leg.hosts(), leg.observed(), leg.comparison(), leg.flow_ids) == ((ALICE, BOB), "clear", "agree", [7])


def test_leg_names_the_offerer_first_whoever_sent_media_first(joined: Joined) -> None:
    joined.feed(INVITE, OK, seen("rtp", media_key(*B, *A)))
    assert joined.leg().hosts() == (ALICE, BOB)


def test_media_before_the_answer_joins_by_the_offer(joined: Joined) -> None:
    joined.feed(INVITE, seen("rtp"), OK)
    assert (len(joined.legs), joined.leg().accepted, joined.leg().flow_ids) == (1, True, [7])


def test_media_from_behind_nat_joins_by_its_one_known_end(joined: Joined) -> None:
    """RFC 4961: symmetric RTP comes from an address that no SDP named."""
    joined.feed(
        sip("INVITE", sdp("192.168.1.5", 4000), tags=("alice", ""), target=RELAY),
        sip("200 INVITE", sdp(RELAY, 40000), source=RELAY, target=ALICE),
        seen("rtp", media_key("203.0.113.9", 61000, RELAY, 40000)),
    )
    assert (call_id(joined.leg()), joined.leg().hosts()) == ("call-1", ("203.0.113.9", RELAY))


def test_media_seen_before_its_signalling_is_adopted(joined: Joined) -> None:
    joined.feed(seen("rtp"), verdict("clear"))
    assert joined.leg().comparison() == "unsignalled"
    joined.feed(OK)
    leg = joined.leg()
    assert (call_id(leg), leg.observed(), leg.comparison(), leg.flow_ids) == ("call-1", "clear", "agree", [7])
    assert joined.over == []


def test_media_that_nothing_explains_is_a_leg_of_its_own(joined: Joined) -> None:
    joined.feed(seen("rtp"), verdict("encrypted"), ended("encrypted"))
    (leg,) = joined.over
    assert (leg.hosts(), leg.observed(), leg.comparison(), leg.assessed()) == (
        (ALICE, BOB), "encrypted", "unsignalled", 0.9,
    )  # fmt: skip


def test_media_without_a_word_before_its_end_is_still_a_leg(joined: Joined) -> None:
    joined.feed(ended("undetermined"))
    assert [leg.observed() for leg in joined.over] == ["undetermined"]


def test_call_through_a_proxy_is_one_leg(joined: Joined) -> None:
    """RFC 3665 section 3.2: the same dialogue on two hops."""
    joined.feed(
        sip("INVITE", sdp(*A), tags=("alice", ""), target=PROXY),
        sip("INVITE", sdp(*A), tags=("alice", ""), source=PROXY, target=BOB),
        sip("200 INVITE", sdp(*B), source=BOB, target=PROXY),
        sip("200 INVITE", sdp(*B), source=PROXY, target=ALICE),
        seen("rtp"),
        sip("BYE", cseq=2, target=PROXY),
        ended(),
    )
    assert [leg.hosts() for leg in joined.over] == [(ALICE, BOB)]
    assert len(joined.legs) == 0


def test_call_through_a_relay_is_two_legs(joined: Joined) -> None:
    joined.feed(
        sip("INVITE", sdp(*A), tags=("alice", ""), target=PROXY),
        sip("INVITE", sdp(RELAY, 40000), tags=("alice", ""), source=PROXY, target=BOB),
        sip("200 INVITE", sdp(*B), source=BOB, target=PROXY),
        sip("200 INVITE", sdp(RELAY, 40002), source=PROXY, target=ALICE),
        seen("rtp", media_key(*A, RELAY, 40002), flow=7),
        seen("rtp", media_key(RELAY, 40000, *B), flow=8),
    )
    assert {(leg.hosts(), *leg.flow_ids) for leg in joined.legs} == {((ALICE, RELAY), 7), ((RELAY, BOB), 8)}


def test_forks_are_legs_of_their_own(joined: Joined) -> None:
    """RFC 3261 section 13.2.2.4: both answered the same offer."""
    joined.feed(
        INVITE,
        sip("183 INVITE", sdp(*B), source=PROXY, target=ALICE, tags=("alice", "b1")),
        sip("183 INVITE", sdp(*B), source=BOB, target=ALICE, tags=("alice", "b1")),
        sip("200 INVITE", sdp(CAROL, 17002), source=BOB, target=ALICE, tags=("alice", "b2")),
        seen("rtp", media_key(*A, CAROL, 17002)),
    )
    assert {(leg.hosts(), *leg.flow_ids) for leg in joined.legs} == {((ALICE, BOB),), ((ALICE, CAROL), 7)}


def test_call_refused_leaves_no_leg(joined: Joined) -> None:
    joined.feed(INVITE, sip("486 INVITE", source=BOB, target=ALICE))
    assert (len(joined.legs), joined.over) == (0, [])


def test_call_agreed_but_silent_is_a_leg_not_observed(joined: Joined) -> None:
    joined.feed(SRTP_INVITE, SRTP_OK, BYE)
    (leg,) = joined.over
    assert (leg.hosts(), leg.observed(), leg.comparison(), leg.assessed()) == (
        (ALICE, BOB), "not-observed", "undecided", 0.0,
    )  # fmt: skip


def test_answer_alone_takes_the_signalling_host_for_the_end_not_seen(joined: Joined) -> None:
    joined.feed(OK, BYE)
    (leg,) = joined.over
    assert leg.hosts() == (ALICE, BOB)


def test_answer_with_no_address_on_either_side_takes_the_signalling_hosts(joined: Joined) -> None:
    answer = sip("200 INVITE", sdp("0.0.0.0", 9), source=BOB, target=ALICE)
    joined.feed(sip("INVITE", sdp("0.0.0.0", 9), tags=("alice", "")), answer)
    assert joined.leg().hosts() == (ALICE, BOB)


def test_leg_ends_when_both_its_media_and_its_dialogue_have(joined: Joined) -> None:
    joined.feed(INVITE, OK, seen("rtp"), BYE)
    assert joined.over == []
    joined.feed(ended())
    assert len(joined.over) == 1


def test_leg_on_hold_outlives_its_media(joined: Joined) -> None:
    joined.feed(INVITE, OK, seen("rtp"), verdict("clear"), ended("clear"))
    assert (joined.over, joined.leg().observed()) == ([], "clear")
    joined.feed(seen("rtp", flow=9, ts_ns=T0 + 60 * S), BYE, ended("clear", flow=9, last_ns=T0 + 70 * S))
    assert [leg.flow_ids for leg in joined.over] == [[7, 9]]


def test_one_direction_in_clear_is_a_leg_in_clear(joined: Joined) -> None:
    joined.feed(seen("rtp"), verdict("clear", ssrc=1), verdict("encrypted", ssrc=2, from_a=False))
    assert joined.leg().observed() == "clear"


def test_media_without_a_verdict_is_undetermined(joined: Joined) -> None:
    joined.feed(seen("rtp"))
    assert joined.leg().observed() == "undetermined"
    joined.feed(verdict("encrypted", ssrc=1), verdict("undetermined", ssrc=2, from_a=False))
    assert joined.leg().observed() == "undetermined"


def test_stream_that_changes_counts_by_its_last_state(joined: Joined) -> None:
    joined.feed(seen("rtp"), verdict("clear"), verdict("encrypted", previous="clear"))
    assert joined.leg().observed() == "encrypted"


def test_new_ssrc_of_the_same_payload_type_takes_the_place_of_the_old(joined: Joined) -> None:
    joined.feed(seen("rtp"), verdict("clear", ssrc=1), verdict("encrypted", ssrc=2))
    assert joined.leg().observed() == "encrypted"


def test_audio_in_clear_is_not_hidden_by_encrypted_video_on_its_flow(joined: Joined) -> None:
    joined.feed(seen("rtp"), verdict("clear", ssrc=1), verdict("encrypted", ssrc=2, payload_type=96))
    assert joined.leg().observed() == "clear"


def test_reinvite_to_other_ports_leaves_the_clear_flow_behind(joined: Joined) -> None:
    """An upgrade: the old flow is not idle yet when SRTP begins on new ports."""
    joined.feed(
        INVITE,
        OK,
        seen("rtp"),
        verdict("clear"),
        sip("INVITE", sdes(ALICE, 17000), cseq=2),
        sip("200 INVITE", sdes(BOB, 17002), cseq=2, source=BOB, target=ALICE),
        seen("rtp", media_key(ALICE, 17000, BOB, 17002), flow=8),
        verdict("encrypted", media_key(ALICE, 17000, BOB, 17002), flow=8),
    )
    leg = joined.leg()
    assert (leg.observed(), leg.comparison(), leg.flow_ids) == ("encrypted", "agree", [7, 8])
    assert joined.legs.flow_ended(ended("clear")).signalled == "clear"
    assert joined.legs.flow_ended(ended("encrypted", flow=8, last_ns=T0 + 20 * S)).signalled == "srtp-sdes"
    assert leg.observed() == "encrypted"


def test_next_call_on_the_same_ports_takes_their_media_over(joined: Joined) -> None:
    joined.feed(INVITE, OK, seen("rtp"), verdict("clear"), BYE)
    joined.feed(
        sip("INVITE", sdes(*A), tags=("alice", ""), call_id="call-2", ts_ns=T0 + 12 * S),
        sip("200 INVITE", sdes(*B), call_id="call-2", source=BOB, target=ALICE, ts_ns=T0 + 12 * S),
        verdict("encrypted", ssrc=9, ts_ns=T0 + 13 * S),
    )
    assert [(call_id(leg), leg.observed()) for leg in joined.over] == [("call-1", "clear")]
    assert (call_id(joined.leg()), joined.leg().observed()) == ("call-2", "encrypted")


def test_next_call_to_the_same_port_leaves_the_media_of_the_call_before_alone(joined: Joined) -> None:
    """A server with one media port for all: the caller's port tells the calls apart."""
    joined.feed(INVITE, OK, seen("rtp"), verdict("clear"), BYE)
    joined.feed(
        sip("INVITE", sdp(CAROL, 20000), tags=("carol", ""), call_id="call-2", source=CAROL),
        sip("200 INVITE", sdp(*B), tags=("carol", "bob"), call_id="call-2", source=BOB, target=CAROL),
        ended("clear"),
    )
    assert [(call_id(leg), leg.flow_ids, leg.observed()) for leg in joined.over] == [("call-1", [7], "clear")]
    assert (call_id(joined.leg()), joined.leg().flow_ids, joined.leg().observed()) == ("call-2", [], "not-observed")


def test_media_at_the_port_of_a_call_that_is_over_is_not_that_call_s(joined: Joined) -> None:
    """The next call signals by TLS, and the port is used again before the flow of the one before went idle."""
    joined.feed(INVITE, OK, seen("rtp"), BYE, seen("rtp", media_key(ALICE, 16384, CAROL, 20000), flow=8))
    assert sorted((call_id(leg), *leg.flow_ids) for leg in joined.legs) == [("", 8), ("call-1", 7)]


def test_reinvite_back_to_the_ports_it_left_takes_their_media_back(joined: Joined) -> None:
    """Music from another port, then the same two phones again: their streams go on without a new verdict."""
    joined.feed(INVITE, OK, seen("rtp"), verdict("clear"))
    for cseq, port in ((2, 17002), (3, B[1])):
        joined.feed(
            sip("INVITE", sdp(*A), cseq=cseq), sip("200 INVITE", sdp(BOB, port), cseq=cseq, source=BOB, target=ALICE)
        )
    leg = joined.leg()
    assert (leg.live(), joined.judged[-1]) == ("clear", (leg, "clear"))


def test_media_adopted_late_does_not_hide_the_clear_media_of_its_leg(joined: Joined) -> None:
    """RTP from other ports than it is sent to: two flows, and the answer comes after both."""
    joined.feed(
        INVITE,
        seen("rtp", media_key(BOB, 30000, *A)),
        verdict("clear", media_key(BOB, 30000, *A)),
        seen("rtp", media_key(ALICE, 30002, *B), flow=8),
        OK,
    )
    assert (joined.leg().flow_ids, joined.leg().is_clear()) == ([7, 8], True)


def test_alternatives_on_one_port_are_open_until_answered(joined: Joined) -> None:
    """RFC 3264 section 6: two m-lines, one secure; only the accepted one counts."""
    joined.feed(sip("INVITE", (*sdes(*A), line(*A)), tags=("alice", "")))
    assert joined.leg().signalled == "unknown"
    joined.feed(sip("200 INVITE", (line(BOB, 0, "RTP/SAVP"), line(*B)), source=BOB, target=ALICE))
    assert (joined.leg().signalled, joined.leg().accepted) == ("clear", True)


def test_audio_and_video_are_two_legs_each_with_its_media(joined: Joined) -> None:
    joined.feed(
        sip("INVITE", (*sdp(*A), line(ALICE, 18000, media="video")), tags=("alice", "")),
        sip("200 INVITE", (*sdp(*B), line(BOB, 18002, media="video")), source=BOB, target=ALICE),
        seen("rtp", flow=7),
        seen("rtp", media_key(BOB, 18002, ALICE, 18000), flow=8),
    )
    assert {(leg.media, *leg.flow_ids) for leg in joined.legs} == {("audio", 7), ("video", 8)}


@pytest.mark.parametrize(
    ("invite", "ok", "apps", "protection", "expected"),
    [
        (INVITE, OK, [], "clear", ("clear", "agree", "none")),
        (INVITE, OK, [], "encrypted", ("clear", "encrypted-despite-clear", "none")),
        (SRTP_INVITE, SRTP_OK, [], "encrypted", ("srtp-sdes", "agree", "sdes-exposed")),
        (SRTP_INVITE, SRTP_OK, [], "clear", ("srtp-sdes", "clear-despite-srtp", "sdes-exposed")),
        (SRTP_INVITE, SRTP_OK, [], "undetermined", ("srtp-sdes", "undecided", "sdes-exposed")),
        (None, None, ["dtls"], "encrypted", ("unknown", "unsignalled", "dtls")),
        (None, None, ["zrtp"], "encrypted", ("unknown", "unsignalled", "zrtp")),
        (None, None, ["zrtp"], "clear", ("unknown", "unsignalled", "none")),
        (None, None, [], "clear", ("unknown", "unsignalled", "none")),
        (None, None, [], "encrypted", ("unknown", "unsignalled", "unknown")),
        (
            sip("INVITE", dtls(*A), tags=("alice", "")),
            sip("200 INVITE", dtls(*B), source=BOB, target=ALICE),
            [],
            "clear",
            ("srtp-dtls", "clear-despite-srtp", "none"),
        ),
        (
            sip("INVITE", sdes(*A, "RTP/AVP"), tags=("alice", "")),
            sip("200 INVITE", sdes(*B, "RTP/AVP"), source=BOB, target=ALICE),
            [],
            "clear",
            ("optional", "agree", "sdes-exposed"),
        ),
    ],
)
def test_signalled_and_observed_are_compared(
    joined: Joined,
    invite: Message | None,
    ok: Message | None,
    apps: list[str],
    protection: str,
    expected: tuple[str, str, str],
) -> None:
    joined.feed(*(msg for msg in (invite, ok) if msg), *(seen(app) for app in apps), seen("rtp"), verdict(protection))
    context = joined.legs.flow_ended(ended(protection))
    (leg,) = [*joined.legs, *joined.over]
    assert (leg.signalled, leg.comparison(), leg.key_exchange()) == expected
    assert (context.signalled, context.key_exchange) == (expected[0], expected[2])


def test_judgement_is_asked_for_when_media_turns_clear_and_when_it_no_longer_is(joined: Joined) -> None:
    joined.feed(seen("rtp"), verdict("encrypted", ssrc=1), verdict("encrypted", ssrc=2, from_a=False))
    joined.judged.clear()
    joined.feed(verdict("clear", ssrc=1), verdict("clear", ssrc=2, from_a=False))
    joined.feed(verdict("encrypted", ssrc=1), verdict("encrypted", ssrc=2, from_a=False))
    assert [state for _, state in joined.judged] == ["clear", "clear", "clear", "encrypted"]


def test_closing_ends_every_leg_that_has_something_to_say(joined: Joined) -> None:
    joined.feed(INVITE, sip("INVITE", sdp(CAROL, 9000), tags=("c", ""), call_id="call-2"), seen("rtp"))
    joined.legs.close()
    assert ([call_id(leg) for leg in joined.over], len(joined.legs)) == (["call-1"], 0)


def test_nothing_is_kept_of_a_leg_that_is_over(joined: Joined) -> None:
    joined.feed(seen("dtls"), INVITE, OK, seen("rtp"), verdict("clear"), BYE, ended())
    joined.feed(seen("rtp", flow=9), ended(flow=9))
    legs = joined.legs
    assert [legs._legs, legs._flows, legs._by_end, legs._strays] == [{}, {}, {}, {}]
