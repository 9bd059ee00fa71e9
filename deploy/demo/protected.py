"""Calls with SRTP: keyed by SDES, by DTLS, and on one of two legs only."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from . import ice, wire
from .calls import Call, carry, signal
from .handshakes import KeyLog, certify, dtls_datagrams, dtls_link, exported_keys
from .keys import MediaKeys
from .srtp import protect
from .wire import MS, SECOND, Frame

_RELAY_NS = 300_000  # what an SBC needs to pass a packet on
_SETUP_NS = 150 * MS  # for ICE and DTLS
_CONSENT_NS = 5 * SECOND  # RFC 7675 section 5.1


def build_sdes_call(call: Call, rng: random.Random) -> list[Frame]:
    """Return the frames of a call with SRTP and SRTCP whose keys stand in SDP; the channel shows or hides them."""
    keys = MediaKeys.chosen(rng)
    offer, answer = keys.crypto_lines()
    media = protect(call.conversation(rng), keys)
    return signal(call, "RTP/SAVP", [offer], [answer], rng) + carry(call, media)


def build_dtls_call(call: Call, rng: random.Random, log: KeyLog) -> list[Frame]:
    """Return the frames of a WebRTC call: ICE, DTLS with ``use_srtp``, SRTP and SRTCP on one port (RFC 8827).

    The answer is ``setup:active``, so the callee is the DTLS client. ``log`` is given the handshake's secrets.
    """
    call = replace(call, setup_ns=_SETUP_NS)
    born = datetime.fromtimestamp(call.at_ns // SECOND, UTC) - timedelta(days=1)
    certificates = certify("WebRTC", born, 30), certify("WebRTC", born, 30)
    caller = ice.Agent.at(call.caller.media, rng, controlling=True)
    callee = ice.Agent.at(call.callee.media, rng, controlling=False)
    offer, answer = (
        ("rtcp-mux", f"setup:{setup}", f"fingerprint:{certificate.fingerprint}", *agent.attributes())
        for agent, certificate, setup in zip((caller, callee), certificates, ("actpass", "active"), strict=True)
    )
    frames = signal(call, "UDP/TLS/RTP/SAVPF", offer, answer, rng)

    at_ns = call.at_ns + call.ring_ns + 30 * MS
    frames += ice.check(caller, callee, at_ns, rng)
    frames += ice.check(callee, caller, at_ns + 4 * MS, rng)
    frames += ice.check(caller, callee, at_ns + 9 * MS, rng, nominate=True)
    for consent_ns in range(at_ns + _CONSENT_NS, call.end_ns, _CONSENT_NS):
        frames += ice.check(caller, callee, consent_ns, rng)
        frames += ice.check(callee, caller, consent_ns + 700 * MS, rng)

    link = dtls_link(client=certificates[1], server=certificates[0], log=log)
    at_ns += 12 * MS
    for from_callee, flight in link.handshake():
        src, dst = (call.callee, call.caller) if from_callee else (call.caller, call.callee)
        for datagram in dtls_datagrams(flight):
            frames.append((at_ns, wire.udp(src.media, dst.media, datagram, wire.MEDIA_DSCP)))
            at_ns += MS // 10
        at_ns += 3 * MS
    media = protect(call.conversation(rng), exported_keys(link, caller_is_client=False))
    return frames + carry(call, media, rtcp_mux=True)


def build_half_protected_call(inner: Call, outer: Call, rng: random.Random) -> list[Frame]:
    """Return the frames of a call through a relay: SRTP on its inner leg, the same packets in clear on its outer leg.

    Args:
        inner: from the phone to the relay.
        outer: from the relay to the far end; its times are set from the inner leg's, its speech is not used.
        rng: gives identifiers and keys.
    """
    keys = MediaKeys.chosen(rng)
    offer, answer = keys.crypto_lines()
    heard_ns = 10 * MS  # the outer dialog begins after the inner one, is answered before it and ends after it
    outer = replace(
        outer,
        at_ns=inner.at_ns + heard_ns,
        ring_ns=inner.ring_ns - 2 * heard_ns,
        linger_ns=inner.linger_ns + 2 * heard_ns,
        caller_speech=inner.caller_speech,
        callee_speech=inner.callee_speech,
    )
    conversation = inner.conversation(rng)
    at_inner, at_outer = (
        [
            datagram._replace(ts_ns=datagram.ts_ns + (_RELAY_NS if datagram.from_caller is is_outer else 0))
            for datagram in conversation
        ]
        for is_outer in (False, True)
    )
    return (
        signal(inner, "RTP/SAVP", [offer], [answer], rng)
        + carry(inner, protect(at_inner, keys))
        + signal(outer, "RTP/AVP", (), (), rng)
        + carry(outer, at_outer)
    )
