"""SIP over WebSocket (RFC 7118): the opening handshake and frames (RFC 6455), in any pieces."""

from __future__ import annotations

import random
import struct
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy.demo.wire import MS
from fastpath.records import AppSeen, Exposure, FlowEnded, SipMessage
from tests.packets import T0, A, B, End, Outcome, Packet, ethernet, observe, tcp

OFFER = (
    b"GET / HTTP/1.1\r\nHost: sip-ws.example.com\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: sip\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
ANSWER = (
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nSec-WebSocket-Protocol: sip\r\n\r\n"
)
TEXT, BINARY, CONTINUATION, CLOSE, PING, PONG = 1, 2, 0, 8, 9, 10
REGISTER = b"REGISTER sip:proxy.example.com SIP/2.0\r\nCall-ID: %d\r\nCSeq: 1 REGISTER\r\nContent-Length: 0\r\n\r\n"
LEAST = 16  # octets of a first segment by which a handshake is known
CLIENT, SERVER = End(A.ip, 43380), End(B.ip, 8080)


def frame(payload: bytes, opcode: int = TEXT, *, masked: bool = True, final: bool = True, reserved: int = 0) -> bytes:
    """Return a frame; RFC 6455 section 5.2."""
    first = final << 7 | reserved << 4 | opcode
    if len(payload) < 126:
        head = struct.pack(">BB", first, masked << 7 | len(payload))
    elif len(payload) < 1 << 16:
        head = struct.pack(">BBH", first, masked << 7 | 126, len(payload))
    else:
        head = struct.pack(">BBQ", first, masked << 7 | 127, len(payload))
    if not masked:
        return head + payload
    mask = bytes((0x37, 0xFA, 0x21, 0x3D))
    return head + mask + bytes(octet ^ mask[i & 3] for i, octet in enumerate(payload))


def segments(octets: bytes, *, cuts: tuple[int, ...] = (), answer: bytes = b"", start: int = 1) -> list[Packet]:
    """Return the client's octets in segments that end at the cuts, then the server's in one."""
    packets: list[Packet] = []
    places = sorted({0, *(cut for cut in cuts if 0 < cut < len(octets)), len(octets)})
    for i, (begin, end) in enumerate(pairwise(places)):
        packets.append((T0 + i * MS, ethernet(tcp(octets[begin:end], CLIENT, SERVER, seq=start + begin))))
    if answer:
        packets.append((T0 + len(places) * MS, ethernet(tcp(answer, SERVER, CLIENT, seq=9000))))
    return packets


def calls(outcome: Outcome) -> list[str]:
    return [message.call_id for message in outcome.of(SipMessage)]


def flow(outcome: Outcome) -> tuple[str, str]:
    return outcome.flow.app, outcome.flow.protection


def test_sip_in_masked_frames_is_read_behind_the_handshake() -> None:
    outcome = observe(
        segments(OFFER + frame(REGISTER % 1) + frame(REGISTER % 2), answer=ANSWER + frame(b"", PING, masked=False))
    )
    assert calls(outcome) == ["1", "2"]
    assert flow(outcome) == ("ws", "clear")
    assert [record.app for record in outcome.of(AppSeen)] == ["ws"]
    assert sum(record.count for record in outcome.records if isinstance(record, Exposure)) == 2


def test_answer_of_the_server_is_not_masked() -> None:
    ok = b"SIP/2.0 200 OK\r\nCall-ID: 1\r\nCSeq: 1 REGISTER\r\n\r\n"
    outcome = observe(segments(OFFER + frame(REGISTER % 1), answer=ANSWER + frame(ok, masked=False)))
    assert [(message.status, message.from_a) for message in outcome.of(SipMessage)] == [(0, True), (200, False)]


@pytest.mark.parametrize("octets", [60, 200, 70_000 - 5_000])
def test_payload_lengths_of_each_form_are_read(octets: int) -> None:
    """RFC 6455 section 5.2: 7 bits, 16, 64."""
    message = b"OPTIONS sip:a@b SIP/2.0\r\ni:1\r\nCSeq:1 OPTIONS\r\n" + b"x:" + b"y" * octets + b"\r\n\r\n"
    assert calls(observe(segments(OFFER + frame(message), cuts=tuple(range(1400, 70_000, 1400))))) == ["1"]


def test_frame_longer_than_any_message_is_passed_over_and_counted() -> None:
    octets = OFFER + frame(b"x" * 200_000, BINARY) + frame(REGISTER % 2)
    outcome = observe(segments(octets, cuts=tuple(range(1400, len(octets), 1400))))
    assert calls(outcome) == ["2"]
    assert outcome.counters["sip_unreadable"] == 1


def test_fragments_with_control_frames_between_them_are_one_message() -> None:
    """RFC 6455 section 5.4."""
    whole = REGISTER % 7
    octets = OFFER + b"".join(
        (
            frame(whole[:10], TEXT, final=False),
            frame(b"still there?", PING),
            frame(whole[10:40], CONTINUATION, final=False),
            frame(b"", PONG),
            frame(whole[40:], CONTINUATION),
            frame(REGISTER % 8),
        )
    )
    assert calls(observe(segments(octets))) == ["7", "8"]
    assert calls(observe(segments(octets, cuts=tuple(range(LEAST, len(octets)))))) == ["7", "8"]


def test_message_that_is_deflated_is_counted_and_not_guessed() -> None:
    """RFC 7692 section 6: RSV1."""
    outcome = observe(segments(OFFER + frame(REGISTER % 1, reserved=4) + frame(REGISTER % 2), answer=ANSWER))
    assert calls(outcome) == ["2"]
    assert (outcome.counters["sip_unreadable"], flow(outcome)) == (1, ("ws", "clear"))


def test_conversation_joined_in_the_middle_is_found_by_a_frame_of_sip() -> None:
    outcome = observe(segments(frame(REGISTER % 1) + frame(REGISTER % 2)))
    assert calls(outcome) == ["1", "2"]
    assert flow(outcome) == ("ws", "clear")


def test_lost_segment_costs_its_messages_and_the_next_frame_is_found() -> None:
    first, second, third = OFFER + frame(REGISTER % 1), frame(REGISTER % 2), frame(REGISTER % 3)
    packets: list[Packet] = [
        (T0, ethernet(tcp(first, CLIENT, SERVER, seq=1))),
        (T0 + MS, ethernet(tcp(third, CLIENT, SERVER, seq=1 + len(first + second)))),
        (T0 + 3000 * MS, ethernet(tcp(third, CLIENT, SERVER, seq=1 + len(first + second + third)))),
        (T0 + 3001 * MS, ethernet(tcp(frame(REGISTER % 4), CLIENT, SERVER, seq=1 + len(first + second + third * 2)))),
    ]
    assert calls(observe(packets)) == ["1", "4"]


@pytest.mark.parametrize(
    ("offer", "answer"),
    [
        (OFFER.replace(b": sip\r\n", b": chat\r\n"), ANSWER.replace(b": sip\r\n", b": chat\r\n")),
        (
            OFFER.replace(b"Sec-WebSocket-Protocol: sip\r\n", b""),
            ANSWER.replace(b"Sec-WebSocket-Protocol: sip\r\n", b""),
        ),
    ],
)
def test_other_subprotocol_is_a_websocket_without_sip(offer: bytes, answer: bytes) -> None:
    outcome = observe(segments(offer + frame(b"hello"), answer=answer))
    assert (calls(outcome), flow(outcome)) == ([], ("ws", "clear"))


def test_plain_http_is_no_websocket() -> None:
    request, answer = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
    assert flow(observe(segments(request, answer=answer))) == ("http", "clear")


def test_request_that_was_refused_is_no_websocket() -> None:
    outcome = observe(segments(OFFER, answer=b"HTTP/1.1 400 Bad Request\r\n\r\n"))
    assert outcome.flow.app == "http"


@pytest.mark.parametrize(
    "broken",
    [
        frame(b"x" * 20, 3),  # an opcode that nobody has registered
        struct.pack(">BB", 0x89, 126) + b"\0\x90" + bytes(144),  # a ping longer than 125 octets
        frame(b"", PING, final=False),
        frame(REGISTER % 9, TEXT, final=False) + frame(REGISTER % 9, TEXT),  # a message in a message
        struct.pack(">BBQ", 0x81, 127, 1 << 63),
    ],
    ids=["opcode", "long-ping", "ping-in-pieces", "nested", "negative-length"],
)
def test_what_breaks_the_protocol_ends_the_reading(broken: bytes) -> None:
    outcome = observe(segments(OFFER + frame(REGISTER % 1) + broken + frame(REGISTER % 2)))
    assert calls(outcome) == ["1"]


def test_thousand_fragments_and_pings_are_bounded() -> None:
    octets = OFFER + frame(b"R", TEXT, final=False) + frame(b"", PING) * 100_000
    outcome = observe(segments(octets, cuts=tuple(range(1400, len(octets), 1400))))
    assert calls(outcome) == []


CONVERSATION = OFFER + b"".join(
    (
        frame(REGISTER % 1),
        frame((REGISTER % 2)[:30], BINARY, final=False),
        frame(b"ping", PING),
        frame((REGISTER % 2)[30:], CONTINUATION),
        frame(b"\r\n"),
        frame(REGISTER % 3, masked=False),
        frame(b"\x03\xe8", CLOSE),
        frame(REGISTER % 4),
    )
)


@given(st.sets(st.integers(LEAST, len(CONVERSATION) - 1), max_size=30))
def test_any_chunking_gives_the_same(cuts: set[int]) -> None:
    assert calls(observe(segments(CONVERSATION, cuts=tuple(cuts)))) == ["1", "2", "3"]


@given(st.integers(0, 2**32), st.binary(max_size=200))
def test_any_octets_behind_a_handshake_do_no_harm(seed: int, octets: bytes) -> None:
    rng = random.Random(seed)
    noise = bytearray(frame(REGISTER % 1) + octets + rng.randbytes(rng.randrange(400)))
    for _ in range(rng.randrange(8)):
        noise[rng.randrange(len(noise))] = rng.randrange(256)
    outcome = observe(segments(OFFER + bytes(noise), cuts=tuple(rng.randrange(1, 700) for _ in range(5))))
    assert len(outcome.of(FlowEnded)) == 1


def test_what_is_left_of_an_exposure_at_the_end_is_said_of_the_protocol_that_showed_it() -> None:
    outcome = observe(segments(CONVERSATION, answer=ANSWER))
    said = [(each.kind, each.protocol, each.first) for each in outcome.records if isinstance(each, Exposure)]
    assert said[0] == ("sip", "sip", True)
    assert {protocol for _, protocol, _ in said} == {"sip"}
    assert any(not first for _, _, first in said)
