"""Calls whose media is clear, as frames of the voice VLAN. Needs nothing but dpkt."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from . import wire
from .channels import Channel
from .keys import MediaKeys
from .media import PACKET_MS, PCMU, Codec
from .rtp import Datagram, converse
from .sip import Dialog, Party, registration, session
from .wire import MS, Frame


@dataclass(frozen=True, slots=True)
class Call:
    """Who calls whom, when, how it is signalled, and what is said."""

    caller: Party
    callee: Party
    channel: Channel  # the caller is its client
    at_ns: int  # of the INVITE
    caller_speech: Sequence[bytes]  # RTP payloads of 20 ms
    callee_speech: Sequence[bytes]
    domain: str = "clinic.example.org"
    codec: Codec = PCMU
    ring_ns: int = 1400 * MS  # from INVITE to 200
    setup_ns: int = 60 * MS  # from 200 to the caller's first media packet
    linger_ns: int = 40 * MS  # from the end of the media to BYE

    @property
    def media_ns(self) -> int:
        """When the caller's first media packet passes."""
        return self.at_ns + self.ring_ns + self.setup_ns

    @property
    def end_ns(self) -> int:
        """When the caller says BYE."""
        packets = max(len(self.caller_speech), len(self.callee_speech))
        return self.media_ns + packets * PACKET_MS * MS + self.linger_ns

    def conversation(self, rng: random.Random) -> list[Datagram]:
        """Return its RTP and RTCP without protection."""
        return converse(self.caller_speech, self.callee_speech, self.codec, self.media_ns, rng)


def build_registration(party: Party, channel: Channel, domain: str, at_ns: int, rng: random.Random) -> list[Frame]:
    """Return the frames of a registration with Digest authentication (RFC 3261 section 22)."""
    frames: list[Frame] = []
    for step, (from_client, message) in enumerate(registration(party, channel, domain, rng)):
        frames += channel.send(at_ns + step * 6 * MS, message, from_client=from_client)
    return frames


def build_clear_call(call: Call, rng: random.Random) -> list[Frame]:
    """Return the frames of a call with plain RTP and RTCP."""
    return signal(call, "RTP/AVP", (), (), rng) + carry(call, call.conversation(rng))


def build_broken_promise_call(call: Call, rng: random.Random) -> list[Frame]:
    """Return the frames of a call that agrees on SRTP with SDES keys and then sends plain RTP and RTCP."""
    offer, answer = MediaKeys.chosen(rng).crypto_lines()
    return signal(call, "RTP/SAVP", [offer], [answer], rng) + carry(call, call.conversation(rng))


def signal(call: Call, profile: str, offer: Sequence[str], answer: Sequence[str], rng: random.Random) -> list[Frame]:
    """Return the frames of the SIP dialog.

    Args:
        call: the call.
        profile: of both media lines.
        offer: further attributes of the caller's media line.
        answer: further attributes of the callee's.
        rng: gives identifiers.
    """
    dialog = Dialog(call.caller, call.callee, call.channel, call.domain, rng)
    invite = dialog.invite(session(call.caller, [call.codec], profile, offer, rng))
    accepted = dialog.response("200 OK", session(call.callee, [call.codec], profile, answer, rng))
    bye, done = dialog.bye()
    answered_ns = call.at_ns + call.ring_ns
    steps = (
        (call.at_ns, True, invite),
        (call.at_ns + 3 * MS, False, dialog.trying()),
        (call.at_ns + 60 * MS, False, dialog.response("180 Ringing")),
        (answered_ns, False, accepted),
        (answered_ns + 25 * MS, True, dialog.ack()),
        (call.end_ns, True, bye),
        (call.end_ns + 8 * MS, False, done),
    )
    return [frame for at_ns, mine, text in steps for frame in call.channel.send(at_ns, text, from_client=mine)]


def carry(call: Call, conversation: Sequence[Datagram], *, rtcp_mux: bool = False) -> list[Frame]:
    """Return the frames of RTP, and of RTCP on the next port or on the same one (RFC 5761)."""
    ends = {True: (call.caller, call.callee), False: (call.callee, call.caller)}
    frames: list[Frame] = []
    for ts_ns, from_caller, is_rtcp, octets in conversation:
        src, dst = ends[from_caller]
        own_port = is_rtcp and not rtcp_mux
        pair = (src.control, dst.control) if own_port else (src.media, dst.media)
        frames.append((ts_ns, wire.udp(*pair, octets, wire.MEDIA_DSCP)))
    return frames
