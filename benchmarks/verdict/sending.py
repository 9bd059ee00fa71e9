"""RTP past an engine: one stream after the other, each a flow of its own, and the verdicts on it."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable, Iterable, Iterator, Sequence

from benchmarks.media import Packet, Stream, Variant, streams
from fastpath.engine import Engine
from fastpath.records import Verdict
from fastpath.source import BufferSource
from fastpath.verdict import Tables

SECOND = 1_000_000_000
PACKET_NS = 20_000  # between the packets of one frame
DYNAMIC_TYPE = 96
SINGLE_STEP = 1600  # timestamp units until the only packet of a stream comes again
FIRST_CHUNK = 8  # packets after which a verdict is looked for first

Payloads = Sequence[tuple[bytes, bytes]]  # RTP header, payload
Protect = Callable[[Payloads, int], list[bytes]]  # what becomes of payloads, the first of which has this index

_CLOCKS = {
    "opus": 48_000, "red-opus": 48_000, "amrwb": 16_000, "speexwb": 16_000, "l16-16k": 16_000, "t140": 1000,
    "red-t140": 1000,
}  # fmt: skip
_FILM_CLOCK = 90_000
_RECEIVER_PORTS, _PAIRS, _SIP_PORT = 20000, 20000, 5060
_ENCODINGS = {
    "pcmu": "PCMU", "pcma": "PCMA", "g722": "G722", "gsm": "GSM", "g723": "G723", "g729": "G729", "ilbc": "iLBC",
    "opus": "opus", "amr": "AMR", "amrwb": "AMR-WB", "speex": "speex", "speexwb": "speex", "g726-16": "G726-16",
    "g726-24": "G726-24", "g726-32": "G726-32", "g726-40": "G726-40", "aal2-16": "AAL2-G726-16",
    "aal2-24": "AAL2-G726-24", "aal2-32": "AAL2-G726-32", "aal2-40": "AAL2-G726-40", "l16": "L16", "red": "red",
    "t140": "t140", "h264": "H264", "h265": "H265", "vp8": "VP8", "vp9": "VP9", "av1": "AV1", "h263p": "H263-1998",
    "mp4v": "MP4V-ES",
}  # fmt: skip
_AUDIO_CLOCK = 8000


def clock(variant: Variant) -> int:
    """Return the rate of a variant's RTP timestamps."""
    if "film" in variant.kinds:
        return _FILM_CLOCK
    for name, rate in _CLOCKS.items():
        if variant.name.startswith(name):
            return rate
    return _AUDIO_CLOCK


def payload_type(variant: Variant) -> int:
    """Return a variant's payload type: its static one, or a dynamic one."""
    return variant.payload_type if variant.payload_type >= 0 else DYNAMIC_TYPE


def rtpmap(variant: Variant) -> str:
    """Return what SDP calls a variant's codec; "" for one that it has no name for."""
    encoding = _ENCODINGS.get(variant.codec, "")
    channels = "/2" if encoding == "opus" else ""
    return f"{encoding}/{clock(variant)}{channels}" if encoding else ""


def test_streams(name: str, contents: int) -> list[Stream]:
    """Return a variant's streams of so many test contents, as different ones as there are."""
    found = list(streams("test", name))
    return found[:: max(1, len(found) // contents)][:contents]


def media(stream: Stream) -> list[Packet]:
    """Return the packets of a stream that have a payload."""
    return [packet for packet in stream.packets() if packet.payload]


def starts(packets: Sequence[Packet], count: int) -> list[int]:
    """Return where so many captures begin, evenly over a stream."""
    return sorted({len(packets) * number // count for number in range(count)})


def endless(packets: Sequence[Packet]) -> Iterator[Packet]:
    """Yield the packets again and again, their timestamps going on."""
    last = packets[-1].timestamp - packets[-2].timestamp if len(packets) > 1 else SINGLE_STEP
    span = packets[-1].timestamp - packets[0].timestamp + max(1, last)
    shift = 0
    while True:
        for packet in packets:
            yield packet._replace(timestamp=(packet.timestamp + shift) & 0xFFFFFFFF)
        shift += span


class Sender:
    """One RTP stream in a flow of its own, at its codec's pace.

    Args:
        listener: what listens.
        number: of the flow.
        rate: of the RTP timestamps.
        kind: payload type.
        protect: None sends in clear.
        repeats: share of the packets that come twice.
    """

    def __init__(
        self, listener: Listener, number: int, rate: int, kind: int, protect: Protect | None, repeats: float
    ) -> None:
        self.listener, self.rate, self.kind, self.protect, self.repeats = listener, rate, kind, protect, repeats
        self.rng = random.Random(number)
        self.ssrc = self.rng.getrandbits(32)
        self.seq = self.rng.getrandbits(15)
        self.base = self.rng.getrandbits(32)
        self.sent = 0
        self.timestamp: int | None = None
        # Ethernet, IPv4 and UDP up to what depends on the length; no checksum is looked at
        self.ends = struct.pack(">4s4s", struct.pack(">I", 0x0A000000 + number), b"\xc0\0\2\1")
        # a port of its own, as what signalling says of one holds for all that goes there
        self.ports = (16384 + 2 * self.rng.randrange(8192), _RECEIVER_PORTS + 2 * (number % _PAIRS))

    def frame(self, datagram: bytes, ports: tuple[int, int] | None = None) -> bytes:
        """Return the Ethernet frame of a datagram, of media when no ports are given."""
        octets = 28 + len(datagram)
        ip = struct.pack(">BBHIBBH", 0x45, 0, octets, 0, 64, 17, 0) + self.ends
        udp = struct.pack(">HHHH", *(ports or self.ports), octets - 20, 0)
        return b"\2\0\0\0\0\2\2\0\0\0\0\1\x08\0" + ip + udp + datagram

    def describe(self, encoding: str) -> None:
        """Let signalling name the codec of this stream's payload type, by an rtpmap such as ``opus/48000/2``."""
        body = (
            f"v=0\r\no=- 0 {self.sent} IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n"
            f"m=audio {self.ports[1]} RTP/AVP {self.kind}\r\na=rtpmap:{self.kind} {encoding}\r\n"
        )
        message = (
            "SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1\r\nFrom: <sip:a@192.0.2.1>;tag=1\r\n"
            f"To: <sip:b@192.0.2.1>;tag=2\r\nCall-ID: {self.ssrc}\r\nCSeq: 1 INVITE\r\n"
            f"Content-Type: application/sdp\r\nContent-Length: {len(body)}\r\n\r\n{body}"
        )
        self.listener.now_ns += PACKET_NS
        self.listener.hear([(self.listener.now_ns, self.frame(message.encode(), (_SIP_PORT, _SIP_PORT)))])

    def frames(self, packets: Sequence[Packet]) -> Iterator[tuple[int, bytes]]:
        """Yield the next packets as frames with their times."""
        headers = []
        for offset, (marker, timestamp, _) in enumerate(packets):
            stamp = (timestamp + self.base) & 0xFFFFFFFF
            number = (self.seq + self.sent + offset) & 0xFFFF
            headers.append(struct.pack(">BBHII", 0x80, self.kind | marker << 7, number, stamp, self.ssrc))
        payloads = [packet.payload for packet in packets]
        if self.protect:
            payloads = self.protect(list(zip(headers, payloads, strict=True)), self.seq + self.sent)
        self.sent += len(packets)
        for packet, header, payload in zip(packets, headers, payloads, strict=True):
            if self.timestamp is None:
                self.timestamp = packet.timestamp
            step = (packet.timestamp - self.timestamp) & 0xFFFFFFFF
            self.listener.now_ns += max(PACKET_NS, step * SECOND // self.rate) if step < 1 << 31 else PACKET_NS
            self.timestamp = packet.timestamp
            frame = self.frame(header + payload)
            yield self.listener.now_ns, frame
            if self.repeats and self.rng.random() < self.repeats:
                yield self.listener.now_ns + 1000, frame

    def send(self, packets: Sequence[Packet]) -> list[Verdict]:
        """Send packets, and return the verdicts that they brought, "undetermined" at the beginning left out."""
        return self.listener.hear(self.frames(packets), self.ssrc)

    def send_until_said(self, packets: Sequence[Packet], most: int) -> tuple[list[Verdict], int]:
        """Send up to ``most`` packets until there is a verdict; return it and how many were sent."""
        sent, chunk = 0, FIRST_CHUNK
        most = min(most, len(packets))
        while sent < most:
            part = packets[sent : min(most, sent + chunk)]
            said = self.send(part)
            sent += len(part)
            if said:
                return said, sent
            chunk = sent
        return [], sent


class Listener:
    """An engine that streams are sent past."""

    def __init__(self, tables: Tables | None = None) -> None:
        self.engine = Engine(max_flows=1 << 13, max_streams=1 << 13, event_bytes=1 << 20, tables=tables)
        self.now_ns = 1_770_000_000 * SECOND
        self.flows = 0

    def sender(
        self, variant: Variant, *, kind: int | None = None, protect: Protect | None = None, repeats: float = 0
    ) -> Sender:
        """Return the sender of a new stream."""
        self.flows += 1
        self.now_ns += SECOND
        number = payload_type(variant) if kind is None else kind
        return Sender(self, self.flows, clock(variant), number, protect, repeats)

    def hear(self, frames: Iterable[tuple[int, bytes]], ssrc: int | None = None) -> list[Verdict]:
        """Take frames, and return the verdicts on one SSRC (None: all)."""
        source = BufferSource(frames)
        said: list[Verdict] = []
        while True:
            more = self.engine.process(source)
            said += [record for record in self.engine.drain() if isinstance(record, Verdict)]
            if more != 1:
                break
        if source.error:
            raise RuntimeError(source.error)
        return [
            verdict
            for verdict in said
            if ssrc in (None, verdict.ssrc) and (verdict.protection != "undetermined" or verdict.previous is not None)
        ]
