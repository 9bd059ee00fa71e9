"""What is fuzzed: each target takes any octets and must neither crash nor break an invariant of the core."""

from __future__ import annotations

import struct
import tempfile
from collections.abc import Callable, Iterator

from deploy.demo.wire import MS
from fastpath import sip
from fastpath.records import Negotiation, Record
from fastpath.source import BufferSource, OfflineSource
from sensor.capture.errors import CaptureError
from sensor.capture.files import open_capture
from sensor.signalling.agreement import lines
from sensor.tls.certificates import Certificates
from tests.packets import T0, A, B, End, Packet, account, ethernet, finish, new_engine, tcp, udp
from tests.unit.fastpath.test_fragments import fragment
from tests.unit.fastpath.test_turn import ALLOCATE, stun
from tests.unit.fastpath.test_udptl import described, sent
from tests.unit.fastpath.test_websocket import OFFER
from tests.unit.sensor.test_tls_certificates import NOW_NS, ROOT

SIP_ENDS = End(A.ip, 5060), End(B.ip, 5060)
MAX_OCTETS = 16384


def heard(packets: list[Packet]) -> None:
    """Have the core hear packets of this program."""
    read(BufferSource(packets))


def read(source: OfflineSource) -> None:
    """Have the core hear packets; its account must add up and nothing may be left in its tables."""
    engine = new_engine(
        max_flows=64, max_streams=64, event_bytes=1 << 17, stream_bytes=1 << 20, max_hints=1 << 8, max_dialogs=16
    )
    records: list[Record] = []
    while engine.process(source) == 1:
        records += engine.drain()
    counters = engine.counters()
    assert counters["received"] == sum(account(counters).values()) == source.packets
    records += finish(engine)
    after = engine.counters()
    assert (after["flows"], after["streams"], after["reassembly_bytes"]) == (0, 0, 0)
    for record in records:
        if isinstance(record, Negotiation):
            lines(record.offer, record.answer, accepted=record.state == "agreed")


def piece(control: int, octets: bytes) -> bytes:
    """Return a piece as ``pieces`` takes it apart."""
    return bytes([control]) + struct.pack(">H", len(octets)) + octets


def pieces(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield octets in pieces: a control octet, a length of 16 bits, so many octets."""
    at = 0
    while at + 3 <= len(data):
        control, size = data[at], int.from_bytes(data[at + 1 : at + 3]) % 1500
        yield control, data[at + 3 : at + 3 + size]
        at += 3 + size


def sip_message(data: bytes) -> None:
    """One SIP message."""
    found = sip.scan(data)
    assert found is None or sip.probe(data)
    sip.frame(data)
    assert 0 < sip.resync(data or b"x") <= max(len(data), 1)
    heard([(T0, ethernet(udp(data[:MAX_OCTETS], *SIP_ENDS)))])


def sdp(data: bytes) -> None:
    """An offer and an answer, parted by a NUL octet."""
    offer, _, answer = data.partition(b"\0")
    packets: list[Packet] = []
    for i, (start, to_tag, body) in enumerate(
        ((b"INVITE sip:b@example.com SIP/2.0", b"", offer), (b"SIP/2.0 200 OK", b";tag=b", answer))
    ):
        head = b"%b\r\nFrom: <sip:a@b>;tag=a\r\nTo: <sip:b@b>%b\r\ni: 1\r\nCSeq: 1 INVITE\r\n" % (start, to_tag)
        message = head + b"Content-Type: application/sdp\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
        packets.append((T0 + i, ethernet(udp(message[:MAX_OCTETS], *SIP_ENDS))))
    heard(packets)


def dialogues(data: bytes) -> None:
    """Several SIP messages, in pieces."""
    heard(
        [
            (T0 + i * (1 + control) * MS, ethernet(udp(part, *SIP_ENDS)))
            for i, (control, part) in enumerate(pieces(data))
        ]
    )


def tcp_stream(data: bytes) -> None:
    """Segments of one conversation: the control octet moves their sequence numbers."""
    packets: list[Packet] = []
    seq = [1, 1]
    for i, (control, part) in enumerate(pieces(data)):
        side = control & 1
        source, target = SIP_ENDS if side == 0 else SIP_ENDS[::-1]
        shift = (control >> 1 & 63) - 32 if control & 128 else 0
        packets.append((T0 + i * MS, ethernet(tcp(part, source, target, seq=seq[side] + shift))))
        seq[side] += len(part) + max(shift, 0)
    heard(packets)


def datagrams(data: bytes) -> None:
    """Datagrams of one flow, in pieces: the control octet says which end sends."""
    packets: list[Packet] = []
    for i, (control, part) in enumerate(pieces(data)):
        source, target = (A, B) if control & 1 == 0 else (B, A)
        packets.append((T0 + i * MS, ethernet(udp(part, source, target))))
    heard(packets)


def certificate(data: bytes) -> None:
    """A chain of certificates in DER, in pieces."""
    chain = [part for _, part in pieces(data)]
    Certificates(lambda: [ROOT.der]).read(chain, NOW_NS)
    Certificates(lambda: None).read([data], NOW_NS)


def turn(data: bytes) -> None:
    """What follows a TURN allocation, in pieces: over UDP, and over TCP as one stream."""
    before = piece(0, stun(ALLOCATE))
    datagrams(before + data)
    tcp_stream(before + b"".join(piece(0, part) for _, part in pieces(data)))


def at_port(port: int) -> Callable[[bytes], None]:
    """Return a target: the octets behind the first two as datagrams, in pieces, to a port."""

    def target(data: bytes) -> None:
        end = End(B.ip, port)
        heard([(T0 + i * MS, ethernet(udp(part, A, end))) for i, (_, part) in enumerate(pieces(data))])

    return target


def legacy_datagrams(data: bytes) -> None:
    """MGCP, Megaco, RAS and IAX2, by the first octet."""
    at_port((1719, 2427, 2944, 4569)[data[0] & 3] if data else 4569)(data[1:])


def services(data: bytes) -> None:
    """Services over UDP, by the first octet."""
    at_port((53, 69, 123, 161, 500, 4500, 1194, 51820)[data[0] & 7] if data else 69)(data[1:])


def websocket(data: bytes) -> None:
    """What follows a WebSocket's opening handshake, in pieces."""
    packets: list[Packet] = [(T0, ethernet(tcp(OFFER, *SIP_ENDS, seq=1)))]
    seq = 1 + len(OFFER)
    for i, (_, part) in enumerate(pieces(data)):
        packets.append((T0 + i * MS, ethernet(tcp(part, *SIP_ENDS, seq=seq))))
        seq += len(part)
    heard(packets)


def fragments(data: bytes) -> None:
    """IP fragments: four octets say where and of what, then a piece."""
    packets: list[Packet] = []
    for i, (control, part) in enumerate(pieces(data)):
        at = struct.unpack(">H", part[:2].ljust(2, b"\0"))[0] % 8192 * 8
        body = part[2:]
        head = udp(b"", *SIP_ENDS)[:20] + bytes(at) + body
        octets = fragment(head, at, at + len(body), more=bool(control & 1), ident=control >> 1 & 3)
        packets.append((T0 + i * MS, ethernet(octets)))
    heard(packets)


def frames(data: bytes) -> None:
    """Ethernet frames, in pieces: VLANs, tunnels, IPv6 extension headers."""
    heard([(T0 + i * MS, part) for i, (_, part) in enumerate(pieces(data))])


def facsimile(data: bytes) -> None:
    """Datagrams to where SDP said that facsimile comes, in pieces."""
    heard([described(), *sent(*(part for _, part in pieces(data)))])


def capture(data: bytes) -> None:
    """A capture file."""
    with tempfile.NamedTemporaryFile() as file:
        file.write(data)
        file.flush()
        try:
            source = open_capture(file.name)
        except CaptureError:
            return
        read(source)


TARGETS: dict[str, Callable[[bytes], None]] = {
    "sip": sip_message,
    "sdp": sdp,
    "dialogues": dialogues,
    "tcp": tcp_stream,
    "tls": tcp_stream,
    "dtls": datagrams,
    "turn": turn,
    "lines": tcp_stream,
    "legacy": legacy_datagrams,
    "legacy-tcp": tcp_stream,
    "services": services,
    "services-tcp": tcp_stream,
    "certificate": certificate,
    "attempts": dialogues,
    "websocket": websocket,
    "fragments": fragments,
    "frames": frames,
    "media": datagrams,
    "facsimile": facsimile,
    "capture": capture,
}
