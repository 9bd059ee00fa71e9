"""Fax over UDPTL (ITU-T T.38 section 9.1), by structure alone."""

from __future__ import annotations

import random
import struct

import pytest

from deploy.demo.wire import MS
from fastpath.records import AppSeen
from tests.packets import T0, A, B, Packet, ethernet, observe, speech, stream, udp

CNG, CED, FLAGS = b"\x02", b"\x04", b"\x06"  # t30-indicator
V21 = b"\xc0\x01\x80\x00\x00\xff"  # data of V.21: HDLC


def octets(data: bytes) -> bytes:
    return bytes([len(data)]) + data if len(data) < 128 else struct.pack(">H", 0x8000 | len(data)) + data


def udptl(seq: int, primary: bytes, *earlier: bytes) -> bytes:
    """Return a datagram with redundancy."""
    return struct.pack(">H", seq) + octets(primary) + bytes([0, len(earlier)]) + b"".join(map(octets, earlier))


def fec(seq: int, primary: bytes, *parts: bytes) -> bytes:
    return struct.pack(">H", seq) + octets(primary) + bytes([0x80, 1, 3, len(parts)]) + b"".join(map(octets, parts))


def apps(datagrams: list[bytes], *before: Packet) -> list[str]:
    packets = [(T0 + 20_000 * MS + 40 * MS * i, ethernet(udp(each, A, B))) for i, each in enumerate(datagrams)]
    return [record.app for record in observe([*before, *packets]).of(AppSeen)]


def page(first: int = 0, count: int = 30) -> list[bytes]:
    return [udptl(first + i, V21 + bytes(i % 40), *[V21] * min(i, 3)) for i in range(count)]


@pytest.mark.parametrize("first", [0, 250, 0x0FFE, 0x3F00])
def test_datagrams_that_follow_each_other_are_fax(first: int) -> None:
    assert apps(page(first)) == ["t38"]


def test_indicators_and_long_packets_and_parity_are_fax() -> None:
    assert apps([udptl(0, CNG), udptl(1, CED, CNG), udptl(2, FLAGS, CED, CNG), udptl(3, V21 * 30, FLAGS)]) == ["t38"]
    assert apps([fec(i, V21, b"abc", b"de") for i in range(4)]) == ["t38"]


def test_flow_that_carries_fax_is_in_clear() -> None:
    flow = observe([(T0 + 40 * MS * i, ethernet(udp(each))) for i, each in enumerate(page())]).flow
    assert (flow.app, flow.protection, flow.basis) == ("t38", "clear", ("payload-structure",))


def test_media_that_turns_to_fax_on_the_same_ports_is_said_to() -> None:
    assert apps(page(), *stream(speech(50))) == ["rtp", "t38"]


def test_packets_given_twice_are_fax_as_well() -> None:
    assert apps([each for each in page(0, 6) for _ in range(2)]) == ["t38"]


@pytest.mark.parametrize(
    "datagrams",
    [
        page(0, 3),  # too few
        [udptl(i * 2, V21) for i in range(30)],  # numbers that do not follow each other
        [udptl(i, V21) + b"x" for i in range(30)],  # more than the lengths say
        [udptl(i, V21)[:-1] for i in range(30)],
        [udptl(i, b"\x01") for i in range(30)],  # no indicator
        [udptl(i, b"\x3f" * 9) for i in range(30)],  # no data of a modulation
        [struct.pack(">H", i) + b"\xc1\x00" + bytes(300) for i in range(30)],  # a length that PER would cut up
    ],
)
def test_what_is_not_quite_fax_is_none(datagrams: list[bytes]) -> None:
    assert apps(datagrams) == []


def test_random_datagrams_with_numbers_are_never_fax() -> None:
    rng = random.Random(1)
    datagrams = [struct.pack(">H", i) + rng.randbytes(rng.randrange(3, 60)) for i in range(3000)]
    assert apps(datagrams) == []
