"""Engines of one sensor: hints that one reads and another needs, digests that compare, numbers that never meet."""

import ipaddress
import struct
import threading
from collections.abc import Iterable
from importlib import resources
from typing import Any

import pytest

from deploy.demo.wire import MS, SECOND
from fastpath.engine import Engine
from fastpath.records import AppSeen, Negotiation, Record, Verdict
from fastpath.source import BufferSource
from fastpath.verdict import Tables
from tests.packets import SECRET, T0, A, B, End, Packet, ciphertext, ethernet, finish, new_engine, stream, udp

PHONE, PROXY = End("192.0.2.1", 5060), End("192.0.2.2", 5060)
TYPE = 97
SOON = 80  # packets until the tag behind a hinted codec's frames is enough; without a hint it is none


def message(*media: tuple[int, str], ip: str = B.ip, number: int = 1) -> bytes:
    """An INVITE that describes media at ports, each an rtpmap or "t38"."""
    body = f"v=0\r\no=- 1 1 IN IP4 {ip}\r\ns=-\r\nc=IN IP4 {ip}\r\nt=0 0\r\n"
    for port, what in media:
        if what == "t38":
            body += f"m=image {port} udptl t38\r\n"
        else:
            body += f"m=audio {port} RTP/AVP {TYPE}\r\na=rtpmap:{TYPE} {what}\r\n"
    return (
        "INVITE sip:b@example.com SIP/2.0\r\nFrom: <sip:a@example.com>;tag=1\r\nTo: <sip:b@example.com>\r\n"
        f"Call-ID: {number}@example.com\r\nCSeq: 1 INVITE\r\nContent-Type: application/sdp\r\n"
        f"Content-Length: {len(body)}\r\n\r\n{body}"
    ).encode()


def said(*messages: bytes, ts_ns: int = T0 - SECOND) -> list[Packet]:
    return [(ts_ns + MS * number, ethernet(udp(octets, PHONE, PROXY))) for number, octets in enumerate(messages)]


def take(engine: Engine, packets: Iterable[Packet]) -> list[Record]:
    """Give packets to an engine and return what it says of them."""
    assert engine.process(BufferSource(packets)) == -1
    return engine.drain()


def two(**options: int) -> tuple[Engine, Engine]:
    first = new_engine(every_message=False, **options)
    return first, Engine(share=first)


def mapped(ip: str) -> bytes:
    return ipaddress.IPv6Address(f"::ffff:{ip}").packed


def test_media_are_judged_by_what_another_engine_read() -> None:
    media = stream(ciphertext(300, 30), payload_type=TYPE)
    reader, judge = two()
    take(reader, said(message((B.port, "G729/8000"))))
    (soon,) = [each for each in take(judge, media) if isinstance(each, Verdict) and each.protection == "encrypted"]
    assert soon.packet <= SOON
    assert "tag-length" in soon.basis
    alone = new_engine()
    assert not [each for each in take(alone, media) if isinstance(each, Verdict) and "tag-length" in each.basis]


def test_verdict_is_that_of_one_engine() -> None:
    signalling, media = said(message((B.port, "G729/8000"))), stream(ciphertext(300, 30), payload_type=TYPE)
    one = new_engine(every_message=False)
    (together,) = [each for each in take(one, [*signalling, *media]) if isinstance(each, Verdict)][-1:]
    reader, judge = two()
    take(reader, signalling)
    (apart,) = [each for each in take(judge, media) if isinstance(each, Verdict)][-1:]
    assert (apart.packet, apart.protection, apart.basis) == (together.packet, together.protection, together.basis)


def test_facsimile_is_known_where_another_engine_read_of_it() -> None:
    reader, judge = two()
    take(reader, said(message((B.port, "t38"))))
    datagrams = [struct.pack(">H", number) + b"\x01\x06\0\0" for number in range(3)]
    packets = [(T0 + 20 * MS * n, ethernet(udp(octets, A, B))) for n, octets in enumerate(datagrams)]
    assert [each.app for each in take(judge, packets) if isinstance(each, AppSeen)] == ["t38"]


def test_digests_compare_and_numbers_do_not_meet() -> None:
    engines = [new_engine(every_message=False)]
    for number in range(3):
        engines.append(Engine(share=engines[number // 2]))  # with the first, and with one that shares itself
    news = [
        each
        for engine in engines
        for each in take(engine, said(message((B.port, "G729/8000"))))
        if isinstance(each, Negotiation)
    ]
    assert len({each.from_tag for each in news}) == 1
    assert len({each.call_id for each in news}) == 1
    assert len({each.dialog for each in news}) == len({each.flow for each in news}) == len(engines)
    assert news[0].flow == news[0].dialog == 1
    assert max(each.flow for each in news) < 1 << 53  # exact in a JSON reader of doubles
    assert [engine.counters()["flows_begun"] for engine in engines] == [1] * len(engines)


def test_hints_are_counted_once() -> None:
    first, other = two()
    take(first, said(message((B.port, "G729/8000"))))
    take(other, said(message((B.port + 2, "G729/8000"))))
    assert [engine.counters()["hints"] for engine in (first, other)] == [2, 0]


def test_description_replaces_what_another_engine_read() -> None:
    first, other = two()
    take(first, said(message((B.port, "G729/8000"))))
    take(other, said(message((B.port, "GSM/8000"))))
    assert [engine.hint(mapped(B.ip), B.port, TYPE) for engine in (first, other)] == ["gsm", "gsm"]


def test_engine_that_is_gone_leaves_what_it_shared() -> None:
    first, other = two()
    take(first, said(message((B.port, "G729/8000"))))
    finish(first)
    del first
    assert other.hint(mapped(B.ip), B.port, TYPE) == "g729"
    assert Engine(share=other).hint(mapped(B.ip), B.port, TYPE) == "g729"


def test_engines_that_share_have_an_end() -> None:
    engine = Engine(max_flows=16, max_streams=16, max_dialogs=16, event_bytes=1 << 17, max_hints=4)
    small: dict[str, Any] = {"max_flows": 16, "max_streams": 16, "max_dialogs": 16, "event_bytes": 1 << 17}
    for _ in range(255):
        Engine(share=engine, **small)
    with pytest.raises(ValueError, match="256 engines"):
        Engine(share=engine, **small)


CODECS = {0: "G729/8000", 1: "GSM/8000", 2: "iLBC/8000"}
NAMES = {0: "g729", 1: "gsm", 2: "ilbc"}


def test_hints_written_and_read_at_once_are_never_mixed() -> None:
    """Three engines write into one bucket of four, so that entries are replaced all the time; a fourth reads.

    The codec of an end follows from its port: an answer that does not fit it was read half written.
    """
    first = new_engine(every_message=False, max_hints=4)
    engines = [first, Engine(share=first), Engine(share=first)]
    reader = Engine(share=first)
    ports = range(10000, 10024, 2)
    ready = threading.Barrier(len(engines) + 1)

    def write(engine: Engine, turn: int) -> None:
        ready.wait()
        for again in range(60):
            messages = [
                message((port, CODECS[port // 2 % 3]), number=turn)
                for port in [*ports[turn:], *ports[:turn]]
                for _ in range(20)
            ]
            take(engine, said(*messages, ts_ns=T0 + again * SECOND))

    threads = [threading.Thread(target=write, args=(engine, turn)) for turn, engine in enumerate(engines)]
    for thread in threads:
        thread.start()
    seen = {port: {reader.hint(mapped(B.ip), port, TYPE)} for port in ports}
    ready.wait()
    while any(thread.is_alive() for thread in threads):
        for port in ports:
            seen[port].add(reader.hint(mapped(B.ip), port, TYPE))
    for port in ports:
        assert seen[port] <= {"", NAMES[port // 2 % 3]}
    assert any(NAMES[port // 2 % 3] in seen[port] for port in ports)
    counters = first.counters()
    assert counters["hints"] == 4
    assert counters["hints_replaced"] > 100
    assert first.hint(mapped(B.ip), 9, TYPE) == ""


def test_two_writers_never_have_one_bucket() -> None:
    """An address that both put into a free entry would be counted twice, or leave the bucket shut for good."""
    calls = [said(*(message((port, CODECS[0])) for port in range(first, first + 240, 2))) for first in (10000, 11000)]
    for _ in range(600):
        engine = new_engine(every_message=False, max_hints=4)
        writers = [(engine, calls[0]), (Engine(share=engine), calls[1])]
        ready = threading.Barrier(len(writers))

        def write(writer: Engine, call: list[Packet], ready: threading.Barrier = ready) -> None:
            ready.wait()
            take(writer, call)

        threads = [threading.Thread(target=write, args=each) for each in writers]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert engine.counters()["hints"] == 4
        before = engine.counters()["hints_given_up"]
        take(engine, calls[1])
        assert engine.counters()["hints_given_up"] == before


def test_engine_says_what_an_argument_must_be() -> None:
    with pytest.raises(ValueError, match="secret"):
        Engine(secret=SECRET[1:])
    with pytest.raises(TypeError):
        Engine(share="another")  # type: ignore[arg-type]
    tables = Tables(resources.files("fastpath").joinpath("tables", "tables.bin").read_bytes())
    assert Engine(share=Engine(tables=tables)).counters()["received"] == 0
