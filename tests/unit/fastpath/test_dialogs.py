"""Dialogues: the flows of RFC 3665, RFC 3264 and RFC 3261, and anything else in any order."""

from __future__ import annotations

from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from sensor.signalling.dialogs import AGREED, ENDED, IDLE_NS, MAX_PER_CALL, Dialog, Dialogs

from fastpath.records import SdpMedia, SipMessage
from sensor.signalling.agreement import MAX_LINES, End, Line, lines
from tests.unit.sensor.traffic import ALICE, BOB, CAROL, MS, PROXY, RELAY, T0, Sdp, dtls, line, sdes, sdp, sip

CALLEE = ("bob", "alice")  # the tags of a request that the callee sends


class Promise(NamedTuple):
    """What is agreed for one m-line, in short."""

    signalled: str
    accepted: bool
    offerer: End | None
    answerer: End | None


def hosts(msg: SipMessage) -> tuple[str, str]:
    a, b = sorted((msg.key.a, msg.key.b))
    return a, b


def play(*messages: SipMessage, dialogs: Dialogs | None = None) -> list[Dialog]:
    """Feed messages; return the dialogues that changed, each once, in the order of their first change."""
    dialogs = Dialogs(64) if dialogs is None else dialogs
    changed: dict[Dialog, None] = {}
    for msg in messages:
        changed.update(dict.fromkeys(dialogs.feed(msg, hosts(msg))))
    return list(changed)


def promises(dialog: Dialog) -> list[Promise | None]:
    return [entry and Promise(entry.signalled, entry.accepted, entry.offerer, entry.answerer) for entry in dialog.lines]


A, B = (ALICE, 16384), (BOB, 16390)
OFFER, ANSWER = sdp(*A), sdp(*B)
INVITE = sip("INVITE", OFFER, tags=("alice", ""))
OK = sip("200 INVITE", ANSWER, source=BOB, target=ALICE)
ACK = sip("ACK")
BYE = sip("BYE", cseq=2)
CLEAR = Promise("clear", True, A, B)


def test_call_set_up_and_ended_agrees_on_both_ends_then_ends() -> None:
    """RFC 3665 section 3.1."""
    ringing = sip("180 INVITE", source=BOB, target=ALICE)
    (dialog,) = play(INVITE, ringing, OK, ACK)
    assert (dialog.state, promises(dialog)) == (AGREED, [CLEAR])
    (dialog,) = play(INVITE, ringing, OK, ACK, BYE, sip("200 BYE", cseq=2, source=BOB, target=ALICE))
    assert dialog.state == ENDED


def test_bye_of_the_callee_ends_the_dialogue() -> None:
    """RFC 3261 section 15: its tags are the other way round."""
    (dialog,) = play(INVITE, OK, ACK, sip("BYE", tags=CALLEE, source=BOB, target=ALICE))
    assert dialog.state == ENDED


def test_offer_alone_promises_its_own_end() -> None:
    (dialog,) = play(INVITE)
    assert promises(dialog) == [Promise("clear", False, A, None)]


def test_answer_alone_promises_its_own_end() -> None:
    (dialog,) = play(OK)
    assert promises(dialog) == [Promise("clear", True, None, B)]


def test_early_media_is_agreed_by_the_183() -> None:
    """RFC 3665 section 3.8 (SDP in a 183), RFC 3261 section 13.2.1."""
    (dialog,) = play(INVITE, sip("183 INVITE", ANSWER, source=BOB, target=ALICE))
    assert promises(dialog) == [CLEAR]


def test_late_offer_is_answered_by_the_ack() -> None:
    """RFC 3261 section 13.2.1: an INVITE without SDP, the offer in the 2xx, the answer in the ACK."""
    messages = (sip("INVITE", tags=("alice", "")), sip("200 INVITE", sdp(*B), source=BOB, target=ALICE))
    (dialog,) = play(*messages)
    assert promises(dialog) == [Promise("clear", False, B, None)]
    (dialog,) = play(*messages, sip("ACK", sdp(*A)))
    assert promises(dialog) == [Promise("clear", True, B, A)]


def test_late_offer_whose_invite_was_not_seen_is_recognised_by_the_ack() -> None:
    (dialog,) = play(sip("200 INVITE", sdp(*B), source=BOB, target=ALICE), sip("ACK", sdp(*A)))
    assert promises(dialog) == [Promise("clear", True, B, A)]


def test_ack_with_sdp_after_a_complete_exchange_changes_nothing() -> None:
    """RFC 3261 section 13.2.2.4: the ACK carries an answer only when the 2xx carried the offer."""
    (dialog,) = play(INVITE, OK, sip("ACK", sdp(CAROL, 9)))
    assert promises(dialog) == [CLEAR]


def test_late_offer_in_a_reliable_183_is_answered_by_the_prack() -> None:
    """RFC 3262 section 5."""
    (dialog,) = play(
        sip("INVITE", tags=("alice", "")),
        sip("183 INVITE", sdp(*B), source=BOB, target=ALICE),
        sip("PRACK", sdp(*A), cseq=2),
        sip("200 PRACK", cseq=2, source=BOB, target=ALICE),
    )
    assert promises(dialog) == [Promise("clear", True, B, A)]


def test_prack_with_a_new_offer_is_answered_by_its_response() -> None:
    """RFC 3262 section 5: once the first exchange is complete, the PRACK may carry an offer."""
    (dialog,) = play(
        INVITE,
        sip("183 INVITE", ANSWER, source=BOB, target=ALICE),
        sip("PRACK", sdes(ALICE, 17000), cseq=2),
        sip("200 PRACK", sdes(BOB, 17002), cseq=2, source=BOB, target=ALICE),
    )
    assert promises(dialog) == [Promise("srtp-sdes", True, (ALICE, 17000), (BOB, 17002))]


def test_update_of_the_callee_moves_the_media() -> None:
    """RFC 3311 section 5.1."""
    (dialog,) = play(
        INVITE,
        sip("183 INVITE", ANSWER, source=BOB, target=ALICE),
        sip("UPDATE", sdp(BOB, 17002), cseq=7, tags=CALLEE, source=BOB, target=ALICE),
        sip("200 UPDATE", sdp(*A), cseq=7, tags=CALLEE),
    )
    assert promises(dialog) == [Promise("clear", True, (BOB, 17002), A)]


def test_session_refresh_without_sdp_changes_nothing() -> None:
    """RFC 4028: an UPDATE may carry no offer."""
    messages = (sip("UPDATE", cseq=2), sip("200 UPDATE", cseq=2, source=BOB, target=ALICE))
    (dialog,) = play(INVITE, OK, ACK, *messages)
    assert promises(dialog) == [CLEAR]


def test_reinvite_replaces_what_was_agreed_when_answered_not_before() -> None:
    """RFC 3264 section 8: until the answer the old agreement stands."""
    again = sip("INVITE", sdes(ALICE, 17000), cseq=2)
    (dialog,) = play(INVITE, OK, ACK, again)
    assert promises(dialog) == [CLEAR]
    (dialog,) = play(INVITE, OK, ACK, again, sip("200 INVITE", sdes(BOB, 17002), cseq=2, source=BOB, target=ALICE))
    assert promises(dialog) == [Promise("srtp-sdes", True, (ALICE, 17000), (BOB, 17002))]


def test_reinvite_refused_leaves_the_agreement() -> None:
    """RFC 3261 section 14.1: a 488 leaves the session as it was."""
    (dialog,) = play(
        INVITE, OK, ACK, sip("INVITE", sdes(ALICE, 17000), cseq=2), sip("488 INVITE", cseq=2, source=BOB, target=ALICE)
    )
    assert (dialog.state, promises(dialog)) == (AGREED, [CLEAR])


def test_answer_of_before_repeated_within_a_reinvite_changes_nothing() -> None:
    moved = sdp(ALICE, 17000)
    again = sip("200 INVITE", ANSWER, cseq=2, source=BOB, target=ALICE)
    (dialog,) = play(INVITE, OK, sip("INVITE", moved, cseq=2), OK, again)
    assert promises(dialog) == [Promise("clear", True, (ALICE, 17000), B)]


def test_glare_of_two_reinvites_leaves_the_agreement() -> None:
    """RFC 3261 section 14.1: both are refused by a 491."""
    (dialog,) = play(
        INVITE,
        OK,
        ACK,
        sip("INVITE", sdes(ALICE, 17000), cseq=2),
        sip("INVITE", sdes(BOB, 17002), cseq=2, tags=CALLEE, source=BOB, target=ALICE),
        sip("491 INVITE", cseq=2, source=BOB, target=ALICE),
        sip("491 INVITE", cseq=2, tags=CALLEE),
    )
    assert (dialog.state, promises(dialog)) == (AGREED, [CLEAR])


def test_hold_keeps_the_line_and_an_address_of_nought_is_no_end() -> None:
    """RFC 3264 section 8.4, and the older c=0.0.0.0."""
    (dialog,) = play(
        INVITE,
        OK,
        ACK,
        sip("INVITE", (line("0.0.0.0", 16384, direction="sendonly"),), cseq=2),
        sip("200 INVITE", (line(BOB, 16390, direction="recvonly"),), cseq=2, source=BOB, target=ALICE),
    )
    assert promises(dialog) == [Promise("clear", True, None, B)]


def test_line_refused_with_port_nought_is_not_agreed() -> None:
    """RFC 3264 section 6: one of two alternatives is taken."""
    offer: Sdp = (*sdes(*A), line(*A))
    answer: Sdp = (line(BOB, 0, "RTP/SAVP"), line(*B))
    (dialog,) = play(sip("INVITE", offer, tags=("alice", "")), sip("200 INVITE", answer, source=BOB, target=ALICE))
    assert promises(dialog) == [None, CLEAR]


def test_line_that_is_no_rtp_is_not_followed() -> None:
    (dialog,) = play(sip("INVITE", (line(ALICE, 5000, "udptl", media="image"), *OFFER), tags=("alice", "")))
    assert promises(dialog) == [None, Promise("clear", False, A, None)]


def test_forks_are_dialogues_of_their_own() -> None:
    """RFC 3261 section 12.1.2: one dialogue per To tag."""
    first, second = play(
        INVITE,
        sip("183 INVITE", ANSWER, source=BOB, target=ALICE, tags=("alice", "b1")),
        sip("200 INVITE", sdp(CAROL, 17002), source=BOB, target=ALICE, tags=("alice", "b2")),
    )
    assert promises(first) == [CLEAR]
    assert promises(second) == [Promise("clear", True, A, (CAROL, 17002))]


def test_call_refused_ends_the_dialogue_it_never_became() -> None:
    """RFC 3665 section 3.7 (busy)."""
    (dialog,) = play(INVITE, sip("486 INVITE", source=BOB, target=ALICE), ACK)
    assert dialog.state == ENDED


def test_call_cancelled_ends_by_its_487() -> None:
    """RFC 3665 section 3.9: early media was agreed, then the caller hung up."""
    (dialog,) = play(
        INVITE,
        sip("183 INVITE", ANSWER, source=BOB, target=ALICE),
        sip("CANCEL", tags=("alice", "")),
        sip("200 CANCEL", source=BOB, target=ALICE),
        sip("487 INVITE", source=BOB, target=ALICE),
        ACK,
    )
    assert dialog.state == ENDED


def test_invite_challenged_comes_again_with_credentials() -> None:
    """RFC 3665 section 3.3: the same From tag and Call-ID, the next CSeq, the 407 with a To tag of the proxy's own."""
    (dialog,) = play(
        INVITE,
        sip("407 INVITE", source=BOB, target=ALICE, tags=("alice", "proxy")),
        sip("INVITE", OFFER, tags=("alice", ""), cseq=2),
        sip("200 INVITE", ANSWER, cseq=2, source=BOB, target=ALICE),
    )
    assert (dialog.state, promises(dialog)) == (AGREED, [CLEAR])


def test_invite_refused_comes_again_with_other_media() -> None:
    """A phone that may fall back offers RTP after SRTP got a 488."""
    (dialog,) = play(
        sip("INVITE", sdes(*A), tags=("alice", "")),
        sip("488 INVITE", source=BOB, target=ALICE),
        sip("INVITE", OFFER, tags=("alice", ""), cseq=2),
        sip("200 INVITE", ANSWER, cseq=2, source=BOB, target=ALICE),
    )
    assert (dialog.state, promises(dialog)) == (AGREED, [CLEAR])


def test_retransmissions_change_nothing() -> None:
    """RFC 3261 section 17: over UDP each message may come again, a 2xx after the BYE too."""
    dialogs = Dialogs(64)
    (dialog,) = play(INVITE, INVITE, OK, INVITE, OK, ACK, ACK, dialogs=dialogs)
    assert promises(dialog) == [CLEAR]
    assert play(BYE, dialogs=dialogs) == [dialog]
    assert play(BYE, OK, INVITE, ACK, dialogs=dialogs) == []
    assert len(dialogs) == 1


def test_call_through_a_proxy_is_a_dialogue_on_each_hop() -> None:
    """RFC 3665 section 3.2: the SDP passes unchanged."""
    inner = {"source": PROXY, "target": BOB, "flow": 2}
    first, second = play(
        sip("INVITE", OFFER, tags=("alice", ""), target=PROXY),
        sip("INVITE", OFFER, tags=("alice", ""), **inner),  # type: ignore[arg-type]
        sip("200 INVITE", ANSWER, source=BOB, target=PROXY, flow=2),
        sip("200 INVITE", ANSWER, source=PROXY, target=ALICE),
    )
    assert promises(first) == promises(second) == [CLEAR]


def test_call_through_a_relay_keeps_its_hops_apart() -> None:
    """The relay writes itself into each SDP; Call-ID and tags stay."""
    first, second = play(
        sip("INVITE", OFFER, tags=("alice", ""), target=PROXY),
        sip("INVITE", sdp(RELAY, 40000), tags=("alice", ""), source=PROXY, target=BOB, flow=2),
        sip("200 INVITE", ANSWER, source=BOB, target=PROXY, flow=2),
        sip("200 INVITE", sdp(RELAY, 40002), source=PROXY, target=ALICE),
    )
    assert promises(first) == [Promise("clear", True, A, (RELAY, 40002))]
    assert promises(second) == [Promise("clear", True, (RELAY, 40000), B)]


def test_bye_ends_the_dialogue_on_every_hop() -> None:
    dialogs = Dialogs(64)
    play(sip("INVITE", OFFER, tags=("alice", ""), target=PROXY), dialogs=dialogs)
    play(sip("200 INVITE", ANSWER, source=PROXY, target=ALICE), dialogs=dialogs)
    play(sip("200 INVITE", ANSWER, source=BOB, target=PROXY, flow=2), dialogs=dialogs)
    assert {dialog.state for dialog in play(sip("BYE", cseq=2, target=PROXY), dialogs=dialogs)} == {ENDED}
    assert len(dialogs) == 2


@pytest.mark.parametrize("method", ["REGISTER", "OPTIONS", "SUBSCRIBE", "NOTIFY", "INFO", "MESSAGE", "WHATEVER", ""])
def test_message_outside_sessions_makes_no_state(method: str) -> None:
    dialogs = Dialogs(64)
    assert play(sip(method, OFFER), sip(f"200 {method}", OFFER), dialogs=dialogs) == []
    assert len(dialogs) == 0


SIGNALLED: dict[str, tuple[SdpMedia, SdpMedia | None, str]] = {
    "avp": (line(*A), line(*B), "clear"),
    "savp-sdes": (sdes(*A)[0], sdes(*B)[0], "srtp-sdes"),
    "savpf-sdes": (sdes(*A, "RTP/SAVPF")[0], sdes(*B, "RTP/SAVPF")[0], "srtp-sdes"),
    "dtls": (dtls(*A)[0], dtls(*B)[0], "srtp-dtls"),  # RFC 5764 section 8
    "savp-fingerprint": (
        line(*A, "RTP/SAVPF", fingerprint="x"),
        line(*B, "RTP/SAVPF", fingerprint="x"),
        "srtp-dtls",
    ),
    "savp-both-offered-dtls-taken": (
        line(*A, "RTP/SAVPF", fingerprint="x", cryptos=sdes(*A)[0].cryptos),
        line(*B, "RTP/SAVPF", fingerprint="x"),
        "srtp-dtls",
    ),
    "savp-without-keys": (line(*A, "RTP/SAVP"), line(*B, "RTP/SAVP"), "unknown"),
    "osrtp-taken": (sdes(*A, "RTP/AVP")[0], sdes(*B, "RTP/AVP")[0], "optional"),  # RFC 8643 section 3.1
    "osrtp-refused": (sdes(*A, "RTP/AVP")[0], line(*B), "clear"),
    "osrtp-dtls-taken": (line(*A, fingerprint="x"), line(*B, fingerprint="x"), "optional"),
    "osrtp-offered": (sdes(*A, "RTP/AVP")[0], None, "optional"),
    "zrtp-both": (line(*A, zrtp=True), line(*B, zrtp=True), "zrtp"),  # RFC 6189 section 8.1
    "zrtp-one-side": (line(*A, zrtp=True), line(*B), "clear"),
    "savp-offered": (sdes(*A)[0], None, "srtp-sdes"),
}


@pytest.mark.parametrize(("offer", "answer", "expected"), SIGNALLED.values(), ids=SIGNALLED)
def test_agreement_is_what_both_sides_carry(offer: SdpMedia, answer: SdpMedia | None, expected: str) -> None:
    (agreed,) = lines((offer,), None if answer is None else (answer,), accepted=answer is not None)
    assert agreed is not None
    assert agreed.signalled == expected


@pytest.mark.parametrize(
    "host", ["15550001111.example.com", "fe80::1%15550001111", "010.0.0.1", "10.0.0.1\0", "\udcff"]
)
def test_host_that_is_no_address_is_no_end(host: str) -> None:
    """It is found in no packet, and may hold a user's name or number."""
    assert lines((line(host, 16384),), (line(*B),), accepted=True) == (Line("audio", "clear", True, False, None, B),)


def test_media_type_that_nobody_registered_is_not_repeated() -> None:
    (agreed,) = lines((line(*A, media="15550001111"),), None, accepted=False)
    assert agreed is not None
    assert agreed.media == "other"


def test_lines_beyond_the_cap_are_not_followed() -> None:
    many = tuple(line(ALICE, 10_000 + i) for i in range(MAX_LINES + 1))
    assert len(lines(many, None, accepted=False)) == MAX_LINES
    assert len(lines(None, many, accepted=True)) == MAX_LINES
    assert len(lines(many, many, accepted=True)) == MAX_LINES


def test_table_full_lets_the_least_recently_heard_go() -> None:
    dialogs = Dialogs(16)
    for i in range(16):
        play(sip("INVITE", OFFER, tags=("alice", ""), call_id=f"c{i}"), dialogs=dialogs)
    assert (len(dialogs), dialogs.evicted) == (16, 0)
    play(sip("200 INVITE", ANSWER, call_id="c0"), dialogs=dialogs)
    changed = play(sip("INVITE", OFFER, tags=("alice", ""), call_id="c16"), dialogs=dialogs)
    assert [(dialog.call_id, dialog.state) for dialog in changed] == [("c1", ENDED), ("c16", 0)]
    assert (len(dialogs), dialogs.evicted) == (16, 1)


def test_forks_without_end_stay_within_a_call_s_cap() -> None:
    dialogs = Dialogs(1 << 17)
    for i in range(MAX_PER_CALL + 10):
        play(sip("183 INVITE", ANSWER, tags=("alice", f"b{i}")), dialogs=dialogs)
    assert (len(dialogs), dialogs.evicted) == (MAX_PER_CALL, 10)


def test_dialogue_silent_for_too_long_is_over() -> None:
    dialogs = Dialogs(64)
    play(INVITE, OK, sip("INVITE", OFFER, tags=("alice", ""), call_id="later", ts_ns=T0 + MS), dialogs=dialogs)
    assert dialogs.expire(T0 + IDLE_NS) == ()
    (gone,) = dialogs.expire(T0 + IDLE_NS + 1)
    assert (gone.call_id, gone.state, len(dialogs)) == ("call-1", ENDED, 1)


methods = st.sampled_from(["INVITE", "ACK", "PRACK", "UPDATE", "BYE", "CANCEL", "REGISTER"])
starts = st.builds(
    lambda status, method: f"{status} {method}" if status else method,
    st.sampled_from([0, 0, 0, 100, 183, 200, 202, 401, 487, 491]),
    methods,
)
tags = st.sampled_from(["", "alice", "bob", "carol"])
bodies = st.sampled_from([None, OFFER, ANSWER, sdes(*A), sdes(*B), dtls(*A), (line(BOB, 0),), (), (*OFFER, *ANSWER)])
messages = st.builds(
    lambda start, body, from_tag, to_tag, cseq, call_id, source, target: sip(
        start, body, tags=(from_tag, to_tag), cseq=cseq, call_id=call_id, source=source, target=target
    ),
    starts,
    bodies,
    tags,
    tags,
    st.integers(1, 3),
    st.sampled_from([f"c{i}" for i in range(12)]),
    st.sampled_from([ALICE, BOB, PROXY]),
    st.sampled_from([ALICE, BOB, PROXY]),
)


class AnyOrder(RuleBasedStateMachine):
    """Any messages in any order, repeated or not: nothing is raised, the table stays in its bounds."""

    def __init__(self) -> None:
        super().__init__()
        self.dialogs = Dialogs(16)
        self.now_ns = T0
        self.alive: set[Dialog] = set()

    @rule(msg=messages, times=st.integers(1, 2))
    def message(self, msg: SipMessage, times: int) -> None:
        self.now_ns += MS
        msg.ts_ns = self.now_ns
        for _ in range(times):
            for dialog in self.dialogs.feed(msg, hosts(msg)):
                if dialog.state == ENDED:
                    # Whoever follows a dialogue hears of its end once.
                    self.alive.discard(dialog)
                else:
                    self.alive.add(dialog)

    @rule()
    def silence(self) -> None:
        self.now_ns += IDLE_NS
        for dialog in self.dialogs.expire(self.now_ns + 1):
            self.alive.discard(dialog)
        assert len(self.dialogs) == 0

    @invariant()
    def table_is_bounded_and_forgets_nobody_untold(self) -> None:
        assert len(self.dialogs) <= 16
        held = {dialog for dialogs in self.dialogs._calls.values() for dialog in dialogs}
        assert len(held) == len(self.dialogs)
        assert self.alive <= held
        assert all(dialog.state != ENDED for dialog in self.alive)


TestAnyOrder = AnyOrder.TestCase


@given(st.permutations([INVITE, OK, ACK]))
def test_messages_that_overtake_each_other_agree_on_the_same_line(order: list[SipMessage]) -> None:
    """Over UDP, or from two mirrors, the answer may be seen before its offer."""
    dialogs = Dialogs(64)
    changed = play(*order, *order, dialogs=dialogs)
    assert promises(changed[0])[0] in (CLEAR, Promise("clear", True, None, B))
