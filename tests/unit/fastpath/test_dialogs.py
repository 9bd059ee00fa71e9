"""Dialogues: the flows of RFC 3665, RFC 3264 and RFC 3261, and anything else in any order."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from fastpath.records import Negotiation, SdpMedia
from sensor.signalling.agreement import MAX_LINES, End, Line, lines
from tests.unit.sensor.traffic import (
    ALICE,
    BOB,
    CAROL,
    FINGERPRINT,
    KEY,
    MS,
    PROXY,
    RELAY,
    T0,
    Message,
    S,
    Sdp,
    Signalling,
    crypto,
    dtls,
    line,
    read_sdp,
    sdes,
    sdp,
    sip,
)

CALLEE = ("bob", "alice")  # the tags of a request that the callee sends
MAX_PER_CALL = 64
IDLE_NS, STRAGGLER_NS = 1800 * S, 64 * S
OFFERED, AGREED, ENDED = "offered", "agreed", "ended"


class Promise(NamedTuple):
    """What is agreed for one m-line, in short."""

    signalled: str
    accepted: bool
    offerer: End | None
    answerer: End | None


@dataclass(eq=False)
class Dialog:
    """What was said of one dialogue."""

    call_id: str
    state: str = ""
    lines: tuple[Line | None, ...] = ()


class Dialogs:
    """The core, and what it said."""

    def __init__(self, capacity: int = 64) -> None:
        self.signalling = Signalling(max_dialogs=capacity)
        self.told: dict[int, Dialog] = {}

    def __len__(self) -> int:
        return self.signalling.counters()["dialogs"]

    @property
    def evicted(self) -> int:
        return self.signalling.counters()["dialogs_evicted"]

    def feed(self, message: Message) -> list[Dialog]:
        changed = []
        for record in self.signalling.read([message]):
            if isinstance(record, Negotiation):
                dialog = self.told.setdefault(record.dialog, Dialog(record.call_id))
                assert dialog.state != ENDED
                dialog.state = record.state
                if record.state != ENDED:
                    dialog.lines = lines(record.offer, record.answer, accepted=record.state == AGREED)
                changed.append(dialog)
        return changed


def play(*messages: Message, dialogs: Dialogs | None = None) -> list[Dialog]:
    """Feed messages; return the dialogues that changed, each once, in the order of their first change."""
    dialogs = Dialogs() if dialogs is None else dialogs
    return list(dict.fromkeys(dialog for message in messages for dialog in dialogs.feed(message)))


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
        sip("INVITE", (line("0.0.0.0", 16384, "RTP/AVP", "sendonly"),), cseq=2),
        sip("200 INVITE", (line(BOB, 16390, "RTP/AVP", "recvonly"),), cseq=2, source=BOB, target=ALICE),
    )
    assert promises(dialog) == [Promise("clear", True, None, B)]


def test_line_refused_with_port_nought_is_not_agreed() -> None:
    """RFC 3264 section 6: one of two alternatives is taken."""
    offer: Sdp = (*sdes(*A), line(*A))
    answer: Sdp = (line(BOB, 0, "RTP/SAVP"), line(*B))
    (dialog,) = play(sip("INVITE", offer, tags=("alice", "")), sip("200 INVITE", answer, source=BOB, target=ALICE))
    assert promises(dialog) == [None, CLEAR]


def test_line_that_is_no_media_is_not_followed_and_fax_is() -> None:
    message, fax = line(ALICE, 5000, "TCP/MSRP", media="message"), line(ALICE, 5002, "udptl", media="image")
    (dialog,) = play(sip("INVITE", (message, fax, *OFFER), tags=("alice", "")))
    assert promises(dialog) == [
        None,
        Promise("clear", False, (ALICE, 5002), None),
        Promise("clear", False, A, None),
    ]
    assert [entry.fax for entry in dialog.lines if entry] == [True, False]


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
    refused, dialog = play(
        sip("INVITE", sdes(*A), tags=("alice", "")),
        sip("488 INVITE", source=BOB, target=ALICE),
        sip("INVITE", OFFER, tags=("alice", ""), cseq=2),
        sip("200 INVITE", ANSWER, cseq=2, source=BOB, target=ALICE),
    )
    assert (refused.state, dialog.state, promises(dialog)) == (ENDED, AGREED, [CLEAR])


def test_retransmissions_change_nothing() -> None:
    """RFC 3261 section 17: over UDP each message may come again, a 2xx after the BYE too."""
    dialogs = Dialogs()
    (dialog,) = play(INVITE, INVITE, OK, INVITE, OK, ACK, ACK, dialogs=dialogs)
    assert promises(dialog) == [CLEAR]
    assert play(BYE, dialogs=dialogs) == [dialog]
    assert play(BYE, OK, INVITE, ACK, dialogs=dialogs) == []
    assert len(dialogs) == 1


def test_call_through_a_proxy_is_a_dialogue_on_each_hop() -> None:
    """RFC 3665 section 3.2: the SDP passes unchanged."""
    first, second = play(
        sip("INVITE", OFFER, tags=("alice", ""), target=PROXY),
        sip("INVITE", OFFER, tags=("alice", ""), source=PROXY, target=BOB),
        sip("200 INVITE", ANSWER, source=BOB, target=PROXY),
        sip("200 INVITE", ANSWER, source=PROXY, target=ALICE),
    )
    assert promises(first) == promises(second) == [CLEAR]


def test_call_through_a_relay_keeps_its_hops_apart() -> None:
    """The relay writes itself into each SDP; Call-ID and tags stay."""
    first, second = play(
        sip("INVITE", OFFER, tags=("alice", ""), target=PROXY),
        sip("INVITE", sdp(RELAY, 40000), tags=("alice", ""), source=PROXY, target=BOB),
        sip("200 INVITE", ANSWER, source=BOB, target=PROXY),
        sip("200 INVITE", sdp(RELAY, 40002), source=PROXY, target=ALICE),
    )
    assert promises(first) == [Promise("clear", True, A, (RELAY, 40002))]
    assert promises(second) == [Promise("clear", True, (RELAY, 40000), B)]


def test_bye_ends_the_dialogue_on_every_hop() -> None:
    dialogs = Dialogs()
    play(sip("INVITE", OFFER, tags=("alice", ""), target=PROXY), dialogs=dialogs)
    play(sip("200 INVITE", ANSWER, source=PROXY, target=ALICE), dialogs=dialogs)
    play(sip("200 INVITE", ANSWER, source=BOB, target=PROXY), dialogs=dialogs)
    assert {dialog.state for dialog in play(sip("BYE", cseq=2, target=PROXY), dialogs=dialogs)} == {ENDED}
    assert len(dialogs) == 2


@pytest.mark.parametrize("method", ["REGISTER", "OPTIONS", "SUBSCRIBE", "NOTIFY", "INFO", "MESSAGE", "WHATEVER", ""])
def test_message_outside_sessions_makes_no_state(method: str) -> None:
    dialogs = Dialogs()
    assert play(sip(method, OFFER), sip(f"200 {method}", OFFER), dialogs=dialogs) == []
    assert len(dialogs) == 0


PRINT = f"fingerprint:{FINGERPRINT}"
ZRTP = "zrtp-hash:1.10 fe30efd02423cb054e50efd0248742ac7a52c8f91bc2df881ae642c371ba46df"
CAPABLE = ("tcap:1 RTP/SAVP", f"acap:1 {crypto()}", "pcfg:1 t=1 a=1")
SIGNALLED: dict[str, tuple[Sdp, Sdp | None, str]] = {
    "avp": (sdp(*A), sdp(*B), "clear"),
    "savp-sdes": (sdes(*A), sdes(*B), "srtp-sdes"),
    "savpf-sdes": (sdes(*A, "RTP/SAVPF"), sdes(*B, "RTP/SAVPF"), "srtp-sdes"),
    "dtls": (dtls(*A), dtls(*B), "srtp-dtls"),  # RFC 5764 section 8
    "savp-fingerprint": ((line(*A, "RTP/SAVPF", PRINT),), (line(*B, "RTP/SAVPF", PRINT),), "srtp-dtls"),
    "savp-both-offered-dtls-taken": (
        (line(*A, "RTP/SAVPF", PRINT, crypto()),),
        (line(*B, "RTP/SAVPF", PRINT),),
        "srtp-dtls",
    ),
    "savp-without-keys": ((line(*A, "RTP/SAVP"),), (line(*B, "RTP/SAVP"),), "unknown"),
    "osrtp-taken": (sdes(*A, "RTP/AVP"), sdes(*B, "RTP/AVP"), "optional"),  # RFC 8643 section 3.1
    "osrtp-refused": (sdes(*A, "RTP/AVP"), sdp(*B), "clear"),
    "osrtp-dtls-taken": ((line(*A, "RTP/AVP", PRINT),), (line(*B, "RTP/AVP", PRINT),), "optional"),
    "osrtp-offered": (sdes(*A, "RTP/AVP"), None, "optional"),
    "zrtp-both": ((line(*A, "RTP/AVP", ZRTP),), (line(*B, "RTP/AVP", ZRTP),), "zrtp"),  # RFC 6189 section 8.1
    "zrtp-one-side": ((line(*A, "RTP/AVP", ZRTP),), sdp(*B), "clear"),
    "savp-offered": (sdes(*A), None, "srtp-sdes"),
    "capability-offered": ((line(*A, "RTP/AVP", *CAPABLE),), None, "optional"),  # RFC 5939
    "capability-taken": (
        (line(*A, "RTP/AVP", *CAPABLE),),
        (line(*B, "RTP/SAVP", crypto(), "acfg:1 t=1 a=1"),),
        "srtp-sdes",
    ),
    "capability-for-later": (sdes(*A, "RTP/AVP"), (line(*B, "RTP/AVP", *CAPABLE),), "clear"),  # section 3.6.2
    "capability-left": ((line(*A, "RTP/AVP", *CAPABLE),), sdp(*B), "clear"),
    "bundle-only": ((line(ALICE, 0, "RTP/SAVPF", PRINT, "bundle-only"),), (line(*B, "RTP/SAVPF", PRINT),), "srtp-dtls"),
}


def media(described: Sdp | None) -> tuple[SdpMedia, ...] | None:
    return None if described is None else read_sdp(described)


@pytest.mark.parametrize(("offer", "answer", "expected"), SIGNALLED.values(), ids=SIGNALLED)
def test_agreement_is_what_both_sides_carry(offer: Sdp, answer: Sdp | None, expected: str) -> None:
    (agreed,) = lines(media(offer), media(answer), accepted=answer is not None)
    assert agreed is not None
    assert agreed.signalled == expected


def test_keys_that_an_answer_chose_are_known_by_digests() -> None:
    """RFC 4568 section 5.1.2: the answer's tag says which of the offer's."""
    offer = (line(*A, "RTP/SAVP", crypto(), crypto("x" * 40, "AES_256_CM_HMAC_SHA1_80").replace(":1 ", ":2 ")),)
    answer = (
        line(*B, "RTP/SAVP", crypto("y" * 40, "AES_256_CM_HMAC_SHA1_80", "UNENCRYPTED_SRTCP").replace(":1 ", ":2 ")),
    )
    (agreed,) = lines(media(offer), media(answer), accepted=True)
    assert agreed is not None
    assert agreed.keys is not None
    assert (agreed.keys.suite, agreed.keys.unprotected) == ("AES_256_CM_HMAC_SHA1_80", ("UNENCRYPTED_SRTCP",))
    (again,) = lines(media(answer), media(offer[:1]), accepted=True)
    assert again is not None
    assert again.keys is not None
    assert agreed.keys.offerer not in (0, agreed.keys.answerer, again.keys.answerer)
    assert KEY not in repr((agreed, again))


def test_rtcp_of_a_line_ends_where_its_attribute_says() -> None:
    """RFC 3605 section 2.1: on a port of its own, and on an address of its own where one is named."""
    offer, answer = (line(*A, "RTP/AVP", "rtcp:53020 IN IP4 10.0.0.77"),), (line(*B, "RTP/AVP", "rtcp:53021"),)
    (agreed,) = lines(media(offer), media(answer), accepted=True)
    assert agreed is not None
    assert agreed.more == (("10.0.0.77", 53020), (B[0], 53021))


@pytest.mark.parametrize(
    "host", ["15550001111.example.com", "fe80::1%15550001111", "010.0.0.1", "10.0.0.1\0", "\udcff"]
)
def test_host_that_is_no_address_is_no_end(host: str) -> None:
    """It is found in no packet, and may hold a user's name or number."""
    offer = replace(read_sdp(sdp(*A))[0], address=host)
    assert lines((offer,), media(sdp(*B)), accepted=True) == (Line("audio", "clear", True, False, None, B),)


def test_media_type_that_nobody_registered_is_not_repeated() -> None:
    (agreed,) = lines((replace(read_sdp(sdp(*A))[0], media="15550001111"),), None, accepted=False)
    assert agreed is not None
    assert agreed.media == "other"


def test_lines_beyond_the_cap_are_not_followed() -> None:
    many = read_sdp(sdp(*A)) * (MAX_LINES + 1)
    assert len(lines(many, None, accepted=False)) == MAX_LINES
    assert len(lines(None, many, accepted=True)) == MAX_LINES
    assert len(lines(many, many, accepted=True)) == MAX_LINES


def test_table_full_lets_those_over_go_first_then_those_never_confirmed() -> None:
    """A flood of INVITEs makes room for itself, and calls that stand are left alone."""
    dialogs = Dialogs(16)
    for i in range(16):
        play(sip("INVITE", OFFER, tags=("alice", ""), call_id=f"c{i}"), dialogs=dialogs)
    assert (len(dialogs), dialogs.evicted) == (16, 0)
    play(sip("200 INVITE", ANSWER, call_id="c0"), sip("486 INVITE", call_id="c5"), dialogs=dialogs)
    later = [sip("INVITE", OFFER, tags=("alice", ""), call_id=f"d{i}") for i in range(3)]
    changed = play(*later, dialogs=dialogs)
    assert [(dialog.call_id, dialog.state) for dialog in changed] == [
        ("d0", OFFERED),  # c5 was over already
        ("c1", ENDED),
        ("d1", OFFERED),
        ("c2", ENDED),
        ("d2", OFFERED),
    ]
    assert (len(dialogs), dialogs.evicted) == (16, 2)
    flood = [sip("INVITE", OFFER, tags=("x", ""), call_id=f"e{i}") for i in range(100)]
    assert "c0" not in {dialog.call_id for dialog in play(*flood, dialogs=dialogs)}


def test_forks_without_end_stay_within_a_call_s_cap() -> None:
    dialogs = Dialogs(1 << 10)
    for i in range(MAX_PER_CALL + 10):
        play(sip("183 INVITE", ANSWER, tags=("alice", f"b{i}")), dialogs=dialogs)
    assert (len(dialogs), dialogs.evicted) == (MAX_PER_CALL, 10)


def test_dialogue_silent_for_too_long_is_over_at_the_next_message() -> None:
    dialogs = Dialogs()
    play(INVITE, OK, dialogs=dialogs)
    assert play(sip("OPTIONS", ts_ns=T0 + IDLE_NS), dialogs=dialogs) == []
    (gone,) = play(sip("OPTIONS", ts_ns=T0 + IDLE_NS + 1), dialogs=dialogs)
    assert (gone.call_id, gone.state, len(dialogs)) == ("call-1", ENDED, 0)


def test_dialogue_that_is_over_stays_for_its_stragglers_only() -> None:
    dialogs = Dialogs()
    play(INVITE, OK, sip("BYE", cseq=2), dialogs=dialogs)
    play(sip("OPTIONS", ts_ns=T0 + STRAGGLER_NS), dialogs=dialogs)
    assert len(dialogs) == 1
    assert play(sip("OPTIONS", ts_ns=T0 + STRAGGLER_NS + 1), dialogs=dialogs) == []
    assert len(dialogs) == 0


def test_session_refreshed_with_what_was_agreed_is_no_news() -> None:
    """RFC 4028 section 7.4: a re-INVITE with the SDP of before."""
    dialogs = Dialogs()
    play(INVITE, OK, dialogs=dialogs)
    again = sip("INVITE", OFFER, cseq=2), sip("200 INVITE", ANSWER, cseq=2, source=BOB, target=ALICE)
    assert play(*again, dialogs=dialogs) == []


def test_offer_that_waits_gives_its_memory_back() -> None:
    dialogs = Dialogs()
    play(INVITE, OK, sip("BYE", cseq=2), dialogs=dialogs)
    assert dialogs.signalling.counters()["offer_octets"] == 0


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
    def message(self, msg: Message, times: int) -> None:
        self.now_ns += MS
        for _ in range(times):
            self.note(self.dialogs.feed(replace(msg, ts_ns=self.now_ns)))

    @rule()
    def silence(self) -> None:
        self.now_ns += IDLE_NS + 1
        self.note(self.dialogs.feed(sip("OPTIONS", ts_ns=self.now_ns)))
        assert (len(self.dialogs), self.alive) == (0, set())
        assert self.dialogs.signalling.counters()["offer_octets"] == 0

    def note(self, changed: list[Dialog]) -> None:
        # Whoever follows a dialogue hears of its end once: feed() sees to that.
        self.alive = {dialog for dialog in (*self.alive, *changed) if dialog.state != ENDED}

    @invariant()
    def table_is_bounded_and_forgets_nobody_untold(self) -> None:
        assert len(self.alive) <= len(self.dialogs) <= 16


TestAnyOrder = AnyOrder.TestCase


@given(st.permutations([INVITE, OK, ACK]))
def test_messages_that_overtake_each_other_agree_on_the_same_line(order: list[Message]) -> None:
    """Over UDP, or from two mirrors, the answer may be seen before its offer."""
    dialogs = Dialogs()
    changed = play(*order, *order, dialogs=dialogs)
    assert promises(changed[0])[0] in (CLEAR, Promise("clear", True, None, B))
