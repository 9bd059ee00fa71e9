"""Signalling as phones write it and media as the core reports them, with what a test does not name filled in.

SIP goes through the real core, so that what the sensor is told of a dialogue is what it will be told. Records of media
are made up: which packets bring them about is the core's own business.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from fastpath.records import (
    AppSeen,
    Control,
    FlowEnded,
    FlowKey,
    Hello,
    Record,
    SdpMedia,
    StreamStats,
    Tones,
    Verdict,
)
from fastpath.sip import scan
from fastpath.source import BufferSource
from sensor.findings import Book
from sensor.model import Call, Endpoint, Finding, FlowContext, Leg, QuietSink, Severity, Step, TlsServer
from tests import packets

MS = 1_000_000
S = 1_000_000_000
T0 = 1_767_607_200 * S  # 2026-01-05T10:00:00Z

ALICE, BOB, CAROL, PROXY, RELAY = "10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.9", "10.0.0.8"
KEY, OTHER_KEY = "YWJjZGVmZ2hpamtsbW5vcHFyc3R1dnd4eXowMTIz", "enl4d3Z1dHNycXBvbm1sa2ppaGdmZWRjYmE5ODc2"
FINGERPRINT = "sha-256 " + ":".join(["AB"] * 32)


@dataclass(frozen=True)
class Line:
    """One m-line of an SDP."""

    address: str
    port: int
    profile: str = "RTP/AVP"
    media: str = "audio"
    attributes: tuple[str, ...] = ()

    def __str__(self) -> str:
        """Return its lines."""
        formats = "t38" if self.profile == "udptl" else "0"
        family = "IP6" if ":" in self.address else "IP4"
        first = f"m={self.media} {self.port} {self.profile} {formats}", f"c=IN {family} {self.address}"
        return "".join(f"{text}\r\n" for text in (*first, *(f"a={attribute}" for attribute in self.attributes)))


Sdp = tuple[Line, ...]


def line(address: str, port: int, profile: str = "RTP/AVP", *attributes: str, media: str = "audio") -> Line:
    """Return one m-line; attributes without "a="."""
    return Line(address, port, profile, media, attributes)


def sdp(address: str, port: int) -> Sdp:
    """Return an SDP with one audio line in clear."""
    return (line(address, port),)


def crypto(key: str = KEY, suite: str = "AES_CM_128_HMAC_SHA1_80", parameters: str = "") -> str:
    """Return the attribute that carries an SDES key."""
    return f"crypto:1 {suite} inline:{key}{parameters and ' '}{parameters}"


def sdes(address: str, port: int, profile: str = "RTP/SAVP", key: str = KEY) -> Sdp:
    """Return an SDP with one audio line that carries SDES keys."""
    return (line(address, port, profile, crypto(key)),)


def dtls(address: str, port: int) -> Sdp:
    """Return an SDP with one audio line for DTLS-SRTP."""
    return (line(address, port, "UDP/TLS/RTP/SAVP", f"fingerprint:{FINGERPRINT}"),)


@dataclass(frozen=True)
class Message:
    """A SIP message, and between whom it was seen."""

    start: str
    media: Sdp | None
    tags: tuple[str, str]
    cseq: int
    call_id: str
    source: str
    target: str
    ts_ns: int
    headers: tuple[str, ...]
    users: tuple[str, str]

    def octets(self) -> bytes:
        """Return its text."""
        first, _, method = self.start.partition(" ")
        start = f"SIP/2.0 {first} Reason" if method else f"{first} sip:{self.users[1]}@example.com SIP/2.0"
        parties = [
            f"{name}: <sip:{user}@example.com>{tag and ';tag='}{tag}"
            for name, user, tag in zip(("From", "To"), self.users, self.tags, strict=True)
        ]
        body = "v=0\r\ns=-\r\nt=0 0\r\n" + "".join(map(str, self.media)) if self.media is not None else ""
        content = ["Content-Type: application/sdp"] if body else []
        lines = [start, f"Call-ID: {self.call_id}", f"CSeq: {self.cseq} {method or first}", *parties, *self.headers]
        return "\r\n".join([*lines, *content, f"Content-Length: {len(body)}", "", body]).encode()


def sip(
    start: str,
    media: Sdp | None = None,
    *headers: str,
    tags: tuple[str, str] = ("alice", "bob"),
    cseq: int = 1,
    call_id: str = "call-1",
    source: str = ALICE,
    target: str = BOB,
    ts_ns: int = T0,
    users: tuple[str, str] = ("alice", "bob"),
) -> Message:
    """Return a message: "INVITE" is a request, "200 INVITE" a response. ``tags`` are those of From and To."""
    return Message(start, media, tags, cseq, call_id, source, target, ts_ns, headers, users)


def read_sdp(described: Sdp) -> tuple[SdpMedia, ...]:
    """Return an SDP as the core reads it."""
    message = scan(sip("INVITE", described).octets())
    assert message is not None
    assert message.media is not None
    return message.media


class Signalling:
    """The core, reading SIP over UDP."""

    def __init__(self, **options: Any) -> None:
        self._engine = packets.new_engine(call_headers=("x-call",), every_message=False, **options)

    def read(self, messages: Iterable[Message | Record]) -> Iterator[Record]:
        """Yield what the core says of messages; records pass."""
        for message in messages:
            if not isinstance(message, Message):
                yield message
                continue
            ends = (packets.End(host, 5060) for host in (message.source, message.target))
            datagram = packets.ethernet(packets.udp(message.octets(), *ends))
            assert self._engine.process(BufferSource([(message.ts_ns, datagram)])) == -1
            yield from self._engine.drain()

    def counters(self) -> dict[str, int]:
        """Return the engine's."""
        return self._engine.counters()

    def finish(self) -> list[Record]:
        """Return what the core says at the end of the input."""
        return packets.finish(self._engine)


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
    packet: int = 3,
    since_packet: int = 1,
    tag: int | None = None,
    seq: int = 1003,
    basis: tuple[str, ...] = (),
) -> Verdict:
    """Return a stream's verdict, PCMU after three packets of 20 ms."""
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
        basis or (("payload-structure",) if clear else ("tag-length",)),
        -12.04 if clear else None,
        packet,
        20 * MS * (packet - 1),
        seq,
        160 * seq,
        since_packet,
        tag,
    )


def control(protection: str, key: FlowKey | None = None, *, flow: int = 70, ts_ns: int = T0 + 2 * S) -> Control:
    """Return what is known of RTCP, by default on ports of its own."""
    key = key or media_key(a_port=16385, b_port=16391)
    return Control(flow, ts_ns, key, protection, ("rtcp-compound",))


def tones(key: FlowKey | None = None, *, flow: int = 7, ts_ns: int = T0 + 2 * S) -> Tones:
    """Return that telephone events could be read."""
    return Tones(flow, ts_ns, key or media_key(), True, 0x12345678, 101, 3)


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
class Heard(QuietSink):
    """A sink that remembers."""

    flows: list[tuple[FlowEnded, FlowContext]] = field(default_factory=list)
    legs: list[Leg] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)
    endpoints: list[Endpoint] = field(default_factory=list)
    tls_servers: list[TlsServer] = field(default_factory=list)
    said: list[tuple[str, str]] = field(default_factory=list)  # (change, code)
    findings: list[Finding] = field(default_factory=list)

    def flow_ended(self, flow: FlowEnded, context: FlowContext) -> None:
        """Remember a flow."""
        self.flows.append((flow, context))

    def leg_ended(self, leg: Leg) -> None:
        """Remember a leg."""
        self.legs.append(leg)

    def call_ended(self, call: Call) -> None:
        """Remember a call."""
        self.calls.append(call)

    def tls_server_ended(self, server: TlsServer) -> None:
        """Remember a server."""
        self.tls_servers.append(server)

    def endpoint_ended(self, endpoint: Endpoint) -> None:
        """Remember an endpoint."""
        self.endpoints.append(endpoint)

    def finding_changed(self, finding: Finding, change: Step) -> None:
        """Remember what was said, and each finding once."""
        self.said.append((change, finding.code))
        if change == "opened":
            self.findings.append(finding)


def counts(findings: Book) -> Counter[tuple[str, Severity]]:
    """Return the open findings by code and severity."""
    return Counter((finding.code, finding.severity) for finding in findings.open_findings())
