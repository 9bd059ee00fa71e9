"""Records of signalling and media as the core makes them, with what a test does not name filled in."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from fastpath.records import (
    AppSeen,
    FlowEnded,
    FlowKey,
    Hello,
    SdpCrypto,
    SdpMedia,
    SipMessage,
    StreamStats,
    Verdict,
)
from sensor.model import Finding, FlowContext, Leg

MS = 1_000_000
S = 1_000_000_000
T0 = 1_767_607_200 * S  # 2026-01-05T10:00:00Z

ALICE, BOB, CAROL, PROXY, RELAY = "10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.9", "10.0.0.8"
AES80 = SdpCrypto(1, "AES_CM_128_HMAC_SHA1_80", 0x1234, False, False, False)
FINGERPRINT = "sha-256 AB:CD"

Sdp = tuple[SdpMedia, ...]


def line(
    address: str,
    port: int,
    profile: str = "RTP/AVP",
    *,
    media: str = "audio",
    cryptos: tuple[SdpCrypto, ...] = (),
    fingerprint: str = "",
    zrtp: bool = False,
    direction: str = "sendrecv",
) -> SdpMedia:
    """Return one m-line."""
    mapped = ((0, "PCMU/8000"),)
    return SdpMedia(
        media, port, profile, address, direction, mapped, cryptos, fingerprint, "", zrtp, False, 0, ()
    )  # fmt: skip


def sdp(address: str, port: int) -> Sdp:
    """Return an SDP with one audio line in clear."""
    return (line(address, port),)


def sdes(address: str, port: int, profile: str = "RTP/SAVP") -> Sdp:
    """Return an SDP with one audio line that carries SDES keys."""
    return (line(address, port, profile, cryptos=(AES80,)),)


def dtls(address: str, port: int) -> Sdp:
    """Return an SDP with one audio line for DTLS-SRTP."""
    return (line(address, port, "UDP/TLS/RTP/SAVP", fingerprint=FINGERPRINT),)


def sip(
    start: str,
    media: Sdp | None = None,
    *,
    tags: tuple[str, str] = ("alice", "bob"),
    cseq: int = 1,
    call_id: str = "call-1",
    source: str = ALICE,
    target: str = BOB,
    ts_ns: int = T0,
    flow: int = 1,
    proto: str = "udp",
) -> SipMessage:
    """Return a message: "INVITE" is a request, "200 INVITE" a response. ``tags`` are those of From and To."""
    first, _, second = start.partition(" ")
    status, method = (int(first), second) if second else (0, first)
    key = FlowKey(proto, source, 5060, target, 5060, ())
    return SipMessage(
        flow, ts_ns, key, True, method, status, cseq, call_id, tags[0], tags[1], "alice", "bob", "", media
    )  # fmt: skip


def media_key(a: str = ALICE, a_port: int = 16384, b: str = BOB, b_port: int = 16390) -> FlowKey:
    """Return the key of a media flow, by default the one that the SDPs of the tests announce."""
    return FlowKey("udp", a, a_port, b, b_port, ())


def seen(app: str, key: FlowKey | None = None, *, flow: int = 7, ts_ns: int = T0 + S) -> AppSeen:
    """Return what a flow carries."""
    return AppSeen(flow, ts_ns, key or media_key(), app)


def verdict(
    protection: str,
    key: FlowKey | None = None,
    *,
    flow: int = 7,
    ts_ns: int = T0 + S,
    ssrc: int = 0x12345678,
    from_a: bool = True,
    payload_type: int = 0,
    previous: str | None = None,
) -> Verdict:
    """Return a stream's verdict, PCMU after three packets."""
    clear = protection == "clear"
    return Verdict(
        flow,
        ts_ns,
        key or media_key(),
        ssrc,
        from_a,
        payload_type,
        "PCMU",
        protection,
        previous,
        None if clear else "proved",
        ("payload-structure",) if clear else ("tag-length",),
        -12.04 if clear else None,
        3,
        40 * MS,
    )


def ended(
    protection: str = "clear",
    key: FlowKey | None = None,
    *,
    flow: int = 7,
    app: str = "rtp",
    first_ns: int = T0 + S,
    last_ns: int = T0 + 10 * S,
    idle: bool = True,
    packets: int = 900,
    lost: int = 100,
    key_exchange: str = "",
) -> FlowEnded:
    """Return a flow's end: after it had been idle for 30 s, or with its last packet because the input ended there."""
    stream = StreamStats(
        1, True, (0,), "PCMU", protection, None, (), None, 3, 0, packets, lost, 0, 0, None, 46, first_ns, last_ns
    )  # fmt: skip
    return FlowEnded(
        flow,
        last_ns + 30 * S if idle else last_ns,
        key or media_key(),
        app,
        protection,
        None,
        (),
        None,
        3,
        0,
        key_exchange,
        False,
        "not-observed",
        (),
        (stream,) if app == "rtp" else (),
        (),
        (),
        None,
        packets,
        0,
        first_ns,
        last_ns,
    )


def tls_hello(alpn: str, key: FlowKey, *, flow: int = 5, ts_ns: int = T0) -> Hello:
    """Return the server's hello of a TLS handshake."""
    return Hello(flow, ts_ns, key, "tls", 0x0303, 0xC02F, "", alpn, 0)


@dataclass
class Heard:
    """A sink that remembers."""

    flows: list[tuple[FlowEnded, FlowContext]] = field(default_factory=list)
    legs: list[Leg] = field(default_factory=list)
    said: list[tuple[str, str]] = field(default_factory=list)  # (change, code)
    findings: list[Finding] = field(default_factory=list)

    def flow_ended(self, flow: FlowEnded, context: FlowContext) -> None:
        """Remember a flow."""
        self.flows.append((flow, context))

    def leg_ended(self, leg: Leg) -> None:
        """Remember a leg."""
        self.legs.append(leg)

    def finding_changed(self, finding: Finding, change: Literal["opened", "updated", "resolved"]) -> None:
        """Remember what was said, and each finding once."""
        self.said.append((change, finding.code))
        if change == "opened":
            self.findings.append(finding)
