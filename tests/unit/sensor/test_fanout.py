"""The program that divides packets among rings, run by the tests' own machine."""

from __future__ import annotations

import ctypes
import ipaddress
import socket
import struct
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sensor.capture.fanout import fanout_program
from tests.bpf import choice, received, run
from tests.mirrored import fragments, ip_packet, over_udp, plain, shapes
from tests.packets import ETHERNET, RAW, End, ethernet, frame, udp

PROGRAM = fanout_program()
MANY = 1 << 16
SO_ATTACH_FILTER = 26  # asm-generic/socket.h
FOUR, SIX = ("10.20.0.1", "10.20.9.9"), ("2001:db8::1", "2001:db8:1::9")


def alone(a: str, b: str) -> int:
    """What the program says of a datagram between two hosts that is in nothing."""
    return choice(PROGRAM, ethernet(udp(b"", End(a, 1), End(b, 2))), MANY)


@pytest.mark.parametrize("pair", [FOUR, SIX], ids=["ipv4", "ipv6"])
@pytest.mark.parametrize("shape", shapes(*FOUR))
def test_frames_of_a_pair_stay_together_in_every_shape(pair: tuple[str, str], shape: str) -> None:
    assert {choice(PROGRAM, each, MANY) for each in shapes(*pair)[shape]} == {alone(*pair)}


@pytest.mark.parametrize("pair", [FOUR, SIX], ids=["ipv4", "ipv6"])
def test_what_is_sent_goes_where_its_answer_goes(pair: tuple[str, str]) -> None:
    sent = [each for shape in shapes(*pair).values() for each in shape if each[12:14] != b"\x88\xa8"]
    assert {choice(PROGRAM, each, MANY, outgoing=True) for each in sent} == {alone(*pair)}


@pytest.mark.parametrize("pair", [FOUR, SIX], ids=["ipv4", "ipv6"])
def test_interface_without_link_header_divides_alike(pair: tuple[str, str]) -> None:
    program = fanout_program(RAW)
    assert {run(program, packet)[0] for packet in plain(*pair)} == {alone(*pair)}


@pytest.mark.parametrize("count", [2, 3, 4, 7, 8])
def test_pairs_of_hosts_spread_evenly(count: int) -> None:
    """Phones with a server, and point-to-point networks, of which each has the same difference of addresses."""
    phones = [(f"10.20.{n >> 8}.{n & 255}", "10.1.0.5") for n in range(2000)]
    links = [(f"10.9.{n >> 6}.{n % 64 * 4 + 1}", f"10.9.{n >> 6}.{n % 64 * 4 + 2}") for n in range(2000)]
    hosts = [(f"2001:db8::{n:x}", "2001:db8:1::9") for n in range(2000)]
    for hosts_of in (phones, links, hosts):
        shares = Counter(alone(*pair) % count for pair in hosts_of)
        assert len(shares) == count
        assert max(shares.values()) < 1.3 * 2000 / count


def test_what_is_no_ip_goes_to_the_first() -> None:
    pseudowire = frame(0x8847, b"\0\x06\x41\x40" + bytes(4) + frame(0x0806, bytes(28)))
    for each in (
        pseudowire,
        frame(0x0806, bytes(28)),
        frame(0x88CC, bytes(60)),
        frame(0x0800, b"\x60" + bytes(40)),
        b"\0" * 14,
    ):
        assert choice(PROGRAM, each, MANY) == 0


def test_tunnel_with_something_else_in_it_goes_by_the_addresses_around_it() -> None:
    outside = alone("192.0.2.1", "192.0.2.2")
    arp = frame(0x0806, bytes(28))
    for packet in (over_udp(4789, b"\x08\0\0\0\0\0\x2a\0" + arp), ip_packet(4, bytes(40)), ip_packet(47, b"\x40" * 40)):
        assert choice(PROGRAM, ethernet(packet), MANY) == outside


@pytest.mark.parametrize("port", [4789, 6081, 2152, 37008])
def test_fragments_of_a_tunnels_packet_stay_together(port: int) -> None:
    whole = over_udp(port, b"\x08\0\0\0\0\0\x2a\0" + ethernet(udp(bytes(200))))
    assert {choice(PROGRAM, ethernet(part), MANY) for part in fragments(whole)} == {alone("192.0.2.1", "192.0.2.2")}


def test_frame_cut_anywhere_is_read_to_the_end_of_its_addresses_or_goes_to_the_first() -> None:
    for shape in shapes(*FOUR).values():
        for cut in range(14, len(shape[0])):
            data, protocol = received(shape[0][:cut]) if cut >= 18 else (b"", 0)
            assert run(PROGRAM, data, protocol=protocol)[0] in {0, alone(*FOUR), alone("192.0.2.1", "192.0.2.2")} | {
                alone("2001:db8::f", "2001:db8::e")
            }


@given(st.binary(max_size=200), st.sampled_from([0x0800, 0x86DD, 0x8100, 0x8847, 0x8864, 0]))
def test_any_octets_come_to_an_end(data: bytes, protocol: int) -> None:
    said, steps = run(PROGRAM, data, protocol=protocol)
    assert 0 <= said < MANY
    assert steps <= len(PROGRAM) // 8


@given(st.ip_addresses(v=4), st.ip_addresses(v=4))
def test_both_directions_go_together(a: ipaddress.IPv4Address, b: ipaddress.IPv4Address) -> None:
    assert alone(str(a), str(b)) == alone(str(b), str(a))


@pytest.mark.parametrize("linktype", [ETHERNET, RAW])
def test_kernel_takes_the_program(linktype: int) -> None:
    """Any socket may ask for the kernel's judgement; it refuses what it cannot prove to be safe."""
    program = fanout_program(linktype)
    octets = ctypes.create_string_buffer(program)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as judge:
        judge.setsockopt(
            socket.SOL_SOCKET, SO_ATTACH_FILTER, struct.pack("HP", len(program) // 8, ctypes.addressof(octets))
        )
