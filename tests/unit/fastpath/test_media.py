"""RTP and RTCP of a flow: when a stream is one, what is counted of it, and what else shares its port.

RFC 3550 sections 6.4, A.1, A.3 and A.8; RFC 3711 section 3.4; RFC 7714 section 9; RFC 7983.
"""

import random
import struct
from itertools import pairwise

import pytest

from deploy.demo.wire import MS, SECOND
from fastpath.records import AppSeen, Control, FlowEnded, Verdict
from tests.packets import (
    PCMU_STEP,
    T0,
    A,
    B,
    End,
    Outcome,
    Packet,
    ciphertext,
    ethernet,
    observe,
    rtp,
    speech,
    stream,
    udp,
)

SILENCE = b"\xff" * 160
SSRC = 0xDECAFBAD


def datagrams(*payloads: bytes, src: End = A, dst: End = B, gap_ns: int = 20 * MS, start_ns: int = T0) -> list[Packet]:
    """UDP payloads in frames, 20 ms apart."""
    return [(start_ns + gap_ns * index, ethernet(udp(payload, src, dst))) for index, payload in enumerate(payloads)]


def next_port(end: End) -> End:
    """Where RTCP goes when it has a port of its own (RFC 3550 section 11)."""
    return End(end.ip, end.port + 1)


def sequence(*numbers: int, payload: bytes = SILENCE) -> Outcome:
    """What the engine says of RTP packets with these sequence numbers."""
    return observe(datagrams(*(rtp(number, payload) for number in numbers)))


# Validity


@pytest.mark.parametrize(
    ("numbers", "valid"),
    [
        ([1], False),
        ([1, 2], False),
        ([1, 2, 3], True),
        ([1, 3, 5], True),
        ([1, 17, 33], True),
        ([1, 18, 35, 52, 69], False),
        ([1, 2, 2, 2], False),
        ([1, 2, 2, 3], True),
        ([3, 2, 1], False),
        ([65534, 65535, 65536], True),
        ([65535, 65536, 65537], True),
        ([1, 40000, 2000, 50000], False),
    ],
)
def test_stream_is_valid_after_two_forward_steps(numbers: list[int], valid: bool) -> None:
    outcome = sequence(*numbers)
    assert outcome.after["streams_begun"] == valid
    assert (outcome.flow.app, len(outcome.flow.streams)) == (("rtp", 1) if valid else ("other", 0))


def test_stream_is_said_at_the_packet_that_proves_it() -> None:
    (seen,) = sequence(*range(10)).of(AppSeen)
    assert (seen.app, seen.ts_ns) == ("rtp", T0 + 40 * MS)


def test_stream_with_other_ssrc_in_every_packet_is_never_valid() -> None:
    outcome = observe(datagrams(*(rtp(number, SILENCE, ssrc=number * 7919) for number in range(200))))
    assert (outcome.counters["streams_begun"], outcome.flow.app) == (0, "other")
    assert outcome.counters["streams"] <= 8


def test_stream_with_leaping_timestamps_is_not_valid() -> None:
    leaps = [rtp(number, SILENCE, timestamp=number << 24) for number in range(20)]
    assert observe(datagrams(*leaps)).counters["streams_begun"] == 0


def test_stream_with_version_other_than_2_is_not_media() -> None:
    for version in (0, 1, 3):
        packets = [
            bytes([version << 6 | packet[0] & 0x3F]) + packet[1:] for packet in (rtp(n, SILENCE) for n in range(9))
        ]
        assert observe(datagrams(*packets)).flow.app != "rtp"


@pytest.mark.parametrize("payload_type", range(128))
def test_payload_types_that_are_rtcp_packet_types_are_not_media(payload_type: int) -> None:
    for marker in (False, True):
        packets = [rtp(number, SILENCE, payload_type=payload_type, marker=marker) for number in range(4)]
        assert observe(datagrams(*packets)).counters["streams_begun"] == (not 72 <= payload_type <= 79)


@pytest.mark.parametrize(
    ("csrcs", "extension"), [(0, None), (3, None), (15, None), (0, b""), (2, bytes(32)), (15, bytes(4))]
)
def test_csrcs_and_extension_are_not_payload(csrcs: int, extension: bytes | None) -> None:
    packets = [rtp(n, SILENCE, csrcs=range(csrcs), extension=extension) for n in range(20)]
    found = observe(datagrams(*packets)).stream
    assert (found.protection, found.basis) == ("clear", ("payload-structure",))


@pytest.mark.parametrize("octets", [bytes(4), struct.pack(">HH", 0xBEDE, 0xFFFF), struct.pack(">HH", 0xBEDE, 41)])
def test_header_that_does_not_fit_is_not_media(octets: bytes) -> None:
    packets = [bytes([0x9F]) + rtp(n, b"")[1:] + octets for n in range(9)]
    assert observe(datagrams(*packets)).flow.app == "other"


def test_header_that_fills_the_packet_is_media_without_payload() -> None:
    found = sequence(*range(40), payload=b"").stream
    assert (found.packets, found.protection, found.basis) == (40, "undetermined", ("too-few-packets",))


def test_padding_is_not_taken_for_a_tag() -> None:
    found = observe(datagrams(*(rtp(n, payload, padding=4) for n, payload in enumerate(speech(60))))).stream
    assert (found.protection, found.basis) == ("clear", ("payload-structure",))


# Streams of a flow


def test_each_ssrc_and_direction_is_a_stream() -> None:
    there = stream(speech(30), ssrc=1) + stream(speech(30), ssrc=2, start_ns=T0 + MS)
    back = stream(speech(30), ssrc=1, src=B, dst=A, start_ns=T0 + 2 * MS)
    flow = observe(sorted(there + back)).flow
    assert [(found.ssrc, found.from_a, found.packets) for found in flow.streams] == [
        (1, True, 30),
        (2, True, 30),
        (1, False, 30),
    ]


@pytest.mark.parametrize("count", [2, 4, 6, 8])
def test_streams_that_begin_together_are_all_found(count: int) -> None:
    packets = [rtp(number // count, SILENCE, ssrc=number % count) for number in range(40 * count)]
    flow = observe(datagrams(*packets, gap_ns=MS)).flow
    assert {found.ssrc: found.packets for found in flow.streams} == dict.fromkeys(range(count), 40)


def test_streams_on_probation_do_not_push_out_proved_ones() -> None:
    proved = stream(speech(100), ssrc=1)
    noise: list[Packet] = [
        (T0 + 100 * MS + index * MS, ethernet(udp(rtp(index, SILENCE, ssrc=1000 + index * 7919))))
        for index in range(2000)
    ]
    outcome = observe(sorted(proved + noise))
    assert [(found.ssrc, found.packets) for found in outcome.flow.streams] == [(1, 100)]
    assert outcome.counters["streams"] <= 9


def test_streams_beyond_the_room_of_a_flow_are_refused_and_counted() -> None:
    packets = [rtp(number % 10, SILENCE, ssrc=number // 10) for number in range(700)]
    outcome = observe(datagrams(*packets, gap_ns=MS))
    assert [found.ssrc for found in outcome.flow.streams] == list(range(64))
    assert outcome.counters["streams_refused"] == 60


def test_stream_that_ended_makes_room_in_a_full_flow() -> None:
    before = datagrams(*(rtp(number % 10, SILENCE, ssrc=number // 10) for number in range(640)), gap_ns=MS)
    alive = datagrams(*(rtp(10 + number, SILENCE, ssrc=63) for number in range(3000)), start_ns=T0 + SECOND)
    late = datagrams(*(rtp(number, SILENCE, ssrc=99) for number in range(10)), start_ns=T0 + 55 * SECOND)
    outcome = observe(sorted(before + alive + late))
    assert 99 in {found.ssrc for found in outcome.flow.streams}
    assert (outcome.counters["streams_refused"], outcome.counters["streams_replaced"]) == (0, 1)


def test_full_stream_table_is_counted_and_flows_go_on() -> None:
    packets = [
        packet
        for number in range(5)
        for packet in stream(speech(10), src=End(f"192.0.2.{number}", 4000), start_ns=T0 + number * SECOND)
    ]
    outcome = observe(packets, max_streams=2)
    assert (outcome.counters["streams_begun"], outcome.counters["streams_refused"]) == (2, 30)
    assert outcome.counters["classified"] == 50


# Counting


@pytest.mark.parametrize(
    ("numbers", "packets", "lost", "duplicates", "reordered"),
    [
        ([*range(100)], 100, 0, 0, 0),
        ([*range(50), *range(60, 100)], 90, 10, 0, 0),
        ([*range(65500, 65600)], 100, 0, 0, 0),
        ([*range(65500, 65530), *range(65550, 65600)], 80, 20, 0, 0),
        ([number for number in range(50) for _ in range(2)], 50, 0, 50, 0),
        ([*range(10), 11, 10, *range(12, 50)], 50, 0, 0, 1),
        ([*range(10), 12, 10, 11, *range(13, 50)], 50, 0, 0, 2),
        ([*range(10), 12, 10, 10, 10, *range(13, 50)], 49, 1, 2, 1),
        ([*range(65526, 65536), 65538, 65536, 65537, *range(65539, 65550)], 24, 0, 0, 2),
        ([*range(100), *range(37, 100)], 100, 0, 63, 0),
        ([*range(10), *range(3009, 3040)], 41, 2999, 0, 0),
    ],
)
def test_numbers_give_packets_lost_duplicates_and_reordered(
    numbers: list[int], packets: int, lost: int, duplicates: int, reordered: int
) -> None:
    outcome = sequence(*numbers)
    found = outcome.stream
    assert (found.packets, found.lost, found.duplicates, found.reordered) == (packets, lost, duplicates, reordered)
    assert outcome.counters["duplicates"] == duplicates
    assert outcome.flow.packets == len(numbers) - duplicates


@pytest.mark.parametrize("restart", [40_000, 10_000, 150, 65_535])
def test_restart_goes_on_without_loss_after_two_numbers_in_sequence(restart: int) -> None:
    numbers = (
        [*range(500, 600), *range(restart, restart + 50)] if restart != 150 else [*range(500, 600), *range(150, 200)]
    )
    found = sequence(*numbers).stream
    assert (found.packets, found.lost, found.duplicates) == (149, 0, 0)


def test_single_stray_number_is_no_restart() -> None:
    found = sequence(*range(100), 40_000, *range(100, 200)).stream
    assert (found.packets, found.lost) == (200, 0)


def test_first_payload_type_of_an_interlude_is_kept_as_the_streams_codec() -> None:
    # Telephone events come between packets of speech under a type of their own (RFC 4733).
    packets = [
        rtp(n, b"\x05\x0a\x00\xa0" if 30 <= n < 36 else payload, payload_type=101 if 30 <= n < 36 else 0)
        for n, payload in enumerate(speech(100))
    ]
    outcome = observe(datagrams(*packets))
    assert (outcome.stream.payload_types, outcome.stream.codec, outcome.stream.packets) == ((0, 101), "PCMU", 100)
    assert outcome.verdicts == [("clear", 3)]


def test_bound_of_events_does_not_depend_on_their_digits() -> None:
    bounds = set()
    for digits in ("1111111111", "5050505050", "9173648250"):
        events = [struct.pack(">BBH", int(digit), 0x8A, 800) for digit in digits]  # RFC 4733 section 2.3
        outcome = observe(datagrams(*(rtp(n, octets, payload_type=101) for n, octets in enumerate(events))))
        assert outcome.stream.codec == "telephone-event"
        bounds |= {outcome.flow.log10_p, outcome.stream.log10_p, *(said.log10_p for said in outcome.of(Verdict))}
    (bound,) = bounds
    assert bound == pytest.approx(-12.041, abs=1e-3)


def test_lasting_change_of_payload_type_is_judged_anew() -> None:
    packets = [
        rtp(n, payload, payload_type=0 if n < 100 else 111)
        for n, payload in enumerate(speech(100) + ciphertext(300, 160))
    ]
    outcome = observe(datagrams(*packets))
    assert outcome.flow.protection != "encrypted"
    assert outcome.stream.payload_types == (0, 111)


# Jitter


def reference(arrivals: list[int], stamps: list[int], clock: int = 8000) -> float:
    """RFC 3550 A.8 in exact arithmetic, in milliseconds."""
    jitter = 0.0
    for (arrived, stamp), (arrives, stamps_) in pairwise(zip(arrivals, stamps, strict=True)):
        late = (arrives - arrived) * clock / SECOND - (stamps_ - stamp)
        jitter += (abs(late) - jitter) / 16
    return jitter * 1000 / clock


@pytest.mark.parametrize("spread_ms", [0, 1, 10, 50])
@pytest.mark.parametrize("first", [0, 2**32 - 8000])
def test_jitter_is_that_of_rfc_3550(spread_ms: int, first: int) -> None:
    rng = random.Random(spread_ms)
    stamps = [first + PCMU_STEP * n for n in range(400)]
    arrivals = [T0 + 20 * MS * n + rng.randrange(spread_ms * MS + 1) for n in range(400)]
    packets: list[Packet] = [
        (arrived, ethernet(udp(rtp(n, SILENCE, timestamp=stamp))))
        for n, (arrived, stamp) in enumerate(zip(arrivals, stamps, strict=True))
    ]
    found = observe(packets).stream.jitter_ms
    assert found == pytest.approx(reference(arrivals, stamps), abs=0.13)


def test_jitter_of_a_dynamic_type_is_none_until_its_clock_is_known() -> None:
    packets = datagrams(*(rtp(n, SILENCE, timestamp=n * 960, payload_type=111) for n in range(15)))
    assert observe(packets).stream.jitter_ms is None


@pytest.mark.parametrize(("clock", "step"), [(8000, 160), (16000, 320), (48000, 960), (90000, 1800)])
def test_jitter_of_a_dynamic_type_uses_the_clock_that_its_timestamps_show(clock: int, step: int) -> None:
    rng = random.Random(clock)
    arrivals = [T0 + 20 * MS * n + rng.randrange(8 * MS) for n in range(1000)]
    packets: list[Packet] = [
        (arrived, ethernet(udp(rtp(n, SILENCE, timestamp=n * step, payload_type=111))))
        for n, arrived in enumerate(arrivals)
    ]
    expected = reference(arrivals, [n * step for n in range(1000)], clock)
    assert observe(packets).stream.jitter_ms == pytest.approx(expected, abs=0.1)


def test_jitter_is_not_upset_by_a_restart_with_other_timestamps() -> None:
    payloads = [
        *(rtp(n, SILENCE) for n in range(100)),
        *(rtp(40_000 + n, SILENCE, timestamp=2**31 + n * 160) for n in range(100)),
    ]
    assert observe(datagrams(*payloads)).stream.jitter_ms == pytest.approx(0, abs=2)


# RTCP


def report(kind: int = 200, ssrc: int = SSRC, *, blocks: int = 0) -> bytes:
    """A sender or receiver report."""
    body = struct.pack(">I", ssrc) + bytes(20 if kind == 200 else 0) + bytes(24 * blocks)
    return struct.pack(">BBH", 0x80 | blocks, kind, len(body) // 4) + body


def description(ssrc: int = SSRC) -> bytes:
    """A source description with a CNAME of 7 octets."""
    return struct.pack(">BBHIBB", 0x81, 202, 4, ssrc, 1, 7) + b"someone" + bytes(3)


GOODBYE = struct.pack(">BBHI", 0x81, 203, 1, SSRC)
COMPOUND = report() + description()


def srtcp(index: int, place: str, *, encrypted: bool = True, seed: int = 1) -> bytes:
    """An SRTCP packet with 80- or 32-bit tag, with or without MKI, or as AEAD has it; with E unset it can be read."""
    rng = random.Random(seed * 1000 + index)
    body = COMPOUND[:8] + (rng.randbytes(len(COMPOUND) - 8) if encrypted else COMPOUND[8:])
    word = struct.pack(">I", index | encrypted << 31)
    mki = {"mki1": b"\x07", "mki2": b"\0\x07", "mki4": b"\0\0\0\x07", "mki8": bytes(7) + b"\x07"}
    shape, _, key = place.partition("+")
    identifier = mki.get(key, b"")
    if shape == "gcm":
        return body + rng.randbytes(16) + word + identifier
    return body + word + identifier + rng.randbytes(10 if shape == "80" else 4)


@pytest.mark.parametrize(
    "compound", [report(201), report(blocks=3), COMPOUND, COMPOUND + GOODBYE, report(201) + GOODBYE]
)
def test_compound_rtcp_is_clear_at_its_first_packet(compound: bytes) -> None:
    flow = observe(datagrams(compound)).flow
    assert (flow.app, flow.protection, flow.basis) == ("rtcp", "clear", ("rtcp-compound",))


PLACES = ["80", "32", "gcm", *(f"{shape}+mki{octets}" for shape in ("80", "32", "gcm") for octets in (1, 2, 4, 8))]


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("step", [1, 2, 4])
def test_srtcp_is_proved_by_its_index_wherever_it_stands(place: str, step: int) -> None:
    flow = observe(datagrams(*(srtcp(1 + index * step, place) for index in range(4)))).flow
    assert (flow.app, flow.protection, flow.grade, flow.basis) == ("rtcp", "encrypted", "proved", ("srtcp-index",))


@pytest.mark.parametrize("place", ["80", "32", "80+mki4", "gcm"])
def test_srtcp_with_e_bit_unset_is_clear_and_tagged(place: str) -> None:
    flow = observe(datagrams(*(srtcp(1 + index, place, encrypted=False) for index in range(4)))).flow
    assert (flow.app, flow.protection, flow.basis) == ("rtcp", "clear", ("tag-present", "rtcp-compound"))


@pytest.mark.parametrize("step", [0, 5, 100, -1])
def test_srtcp_whose_index_does_not_go_on_is_not_proved(step: int) -> None:
    flow = observe(datagrams(*(srtcp(1000 + index * step, "80", seed=index) for index in range(2)))).flow
    assert flow.protection not in ("encrypted", "clear")


def test_random_behind_an_rtcp_header_is_never_proved() -> None:
    rng = random.Random(3)
    for _ in range(3000):
        packets = datagrams(*(COMPOUND[:8] + rng.randbytes(48) for _ in range(3)))
        assert observe(packets).flow.protection not in ("encrypted", "clear")


def test_rtcp_on_the_port_of_its_media_is_said_to_be_multiplexed() -> None:
    flow = observe(sorted(stream(speech(30)) + datagrams(COMPOUND, start_ns=T0 + 105 * MS))).flow
    assert (flow.app, flow.rtcp_mux, flow.rtcp_protection, flow.rtcp_basis) == (
        "rtp",
        True,
        "clear",
        ("rtcp-compound",),
    )


@pytest.mark.parametrize("media_first", [True, False])
def test_rtcp_on_the_next_ports_is_said_of_its_media(*, media_first: bool) -> None:
    control = datagrams(COMPOUND, start_ns=T0 + (105 if media_first else -5) * MS, src=next_port(A), dst=next_port(B))
    outcome = observe(sorted(stream(speech(30)) + control))
    flow = next(flow for flow in outcome.of(FlowEnded) if flow.app == "rtp")
    assert (flow.rtcp_mux, flow.rtcp_protection, flow.rtcp_basis) == (False, "clear", ("rtcp-compound",))


def test_rtcp_of_other_ports_is_not_said_of_the_media() -> None:
    control = datagrams(COMPOUND, start_ns=T0 + 105 * MS, src=next_port(next_port(A)), dst=next_port(B))
    outcome = observe(sorted(stream(speech(30)) + control))
    assert next(flow for flow in outcome.of(FlowEnded) if flow.app == "rtp").rtcp_protection == "not-observed"


def test_media_without_rtcp_says_that_none_was_observed() -> None:
    flow = observe(stream(speech(30))).flow
    assert (flow.rtcp_mux, flow.rtcp_protection, flow.rtcp_basis) == (False, "not-observed", ())


def test_srtcp_index_proves_media_that_looks_uniform() -> None:
    media = stream(ciphertext(100, 90), payload_type=111)
    control = datagrams(*(srtcp(1 + index, "80") for index in range(3)), start_ns=T0 + 5 * MS)
    outcome = observe(sorted(media + control))
    assert (outcome.flow.protection, outcome.flow.grade, outcome.flow.basis) == (
        "encrypted",
        "proved",
        ("srtcp-index",),
    )
    assert outcome.flow.rtcp_protection == "encrypted"


def test_srtcp_index_on_the_next_ports_proves_media_that_looks_uniform() -> None:
    media = stream(ciphertext(100, 90), payload_type=111)
    reports = (srtcp(1 + index, "80") for index in range(3))
    control = datagrams(*reports, start_ns=T0 + 5 * MS, src=next_port(A), dst=next_port(B))
    flow = next(flow for flow in observe(sorted(media + control)).of(FlowEnded) if flow.app == "rtp")
    assert (flow.protection, flow.grade, flow.basis) == ("encrypted", "proved", ("srtcp-index",))


def test_plain_packet_that_opens_a_path_does_not_make_srtcp_clear() -> None:
    """Some senders send one APP packet each way before SRTCP begins; it is no report."""
    opening = struct.pack(">BBHI4sI", 0x80, 204, 3, 7, b"open", 0)
    packets = datagrams(opening) + datagrams(opening, src=B, dst=A, start_ns=T0 + MS)
    packets += datagrams(*(srtcp(1 + index, "80") for index in range(3)), start_ns=T0 + SECOND)
    assert observe(packets).flow.protection == "encrypted"


# What is said of RTCP while the flow lives


def told(packets: list[Packet]) -> list[tuple[str, tuple[str, ...], int]]:
    """Protection, basis and milliseconds of each Control record."""
    return [(said.protection, said.basis, (said.ts_ns - T0) // MS) for said in observe(packets).of(Control)]


def test_clear_rtcp_is_said_once_at_its_first_report() -> None:
    assert told(datagrams(*[COMPOUND] * 5)) == [("clear", ("rtcp-compound",), 0)]


def test_rtcp_is_said_after_what_the_flow_carries() -> None:
    records = observe(datagrams(COMPOUND)).records
    assert [type(record) for record in records] == [AppSeen, Control, FlowEnded]


def test_rtcp_beside_media_on_one_port_is_said_of_their_flow() -> None:
    outcome = observe(sorted(stream(speech(30)) + datagrams(COMPOUND, start_ns=T0 + 105 * MS)))
    (said,) = outcome.of(Control)
    assert (said.flow, said.key, said.protection) == (outcome.flow.flow, outcome.flow.key, "clear")


def test_srtcp_is_said_when_its_index_proves_it() -> None:
    assert told(datagrams(*(srtcp(1 + index, "80") for index in range(5)))) == [
        ("encrypted", ("srtcp-index",), 20),
    ]


def test_plain_packets_that_are_no_reports_and_open_a_path_are_not_said() -> None:
    """One of each end, before the handshake that SRTCP waits for."""
    opening = struct.pack(">BBHI4sI", 0x80, 204, 3, 7, b"open", 0)
    assert told(datagrams(opening, opening)) == []
    assert told(datagrams(opening, opening, opening)) == [("clear", ("rtcp-compound",), 40)]


def test_change_of_rtcp_protection_is_said_with_what_shows_it() -> None:
    packets = datagrams(*(srtcp(1 + index, "80") for index in range(4)), COMPOUND, COMPOUND)
    assert told(packets) == [("encrypted", ("srtcp-index",), 20), ("clear", ("rtcp-compound",), 80)]


def test_rtcp_that_stays_undetermined_is_said_once() -> None:
    rng = random.Random(5)
    packets = datagrams(*(COMPOUND[:8] + rng.randbytes(48) for _ in range(30)))
    assert [said[:2] for said in told(packets)] == [("undetermined", ("inconclusive",))]


# What else shares a media port


def stun(kind: int, attributes: bytes = b"", *, cookie: int = 0x2112A442) -> bytes:
    """A STUN message (RFC 8489 section 5); another cookie is part of RFC 3489's transaction identifier."""
    return struct.pack(">HHI", kind, len(attributes), cookie) + bytes(range(12)) + attributes


BINDING, CHANGE_REQUEST = stun(1), struct.pack(">HHI", 3, 4, 6)


@pytest.mark.parametrize(
    ("octets", "app"),
    [
        (stun(0x0001), "stun"),
        (stun(0x0101), "stun"),
        (stun(0x0111), "stun"),
        (stun(0x0003), "turn"),
        (stun(0x0103), "turn"),
        (stun(0x0016), "turn"),
        (stun(0x0017), "turn"),
        (stun(0x0001, CHANGE_REQUEST, cookie=0x01020304), "stun"),
        (stun(0x0001, cookie=0x01020304), "stun"),
        (stun(0x0001, cookie=0x01020304) + b"x", "other"),
        (stun(0x0016, cookie=0x01020304), "other"),
        (stun(0x0001, struct.pack(">HHI", 0x7000, 4, 6), cookie=0x01020304), "other"),
        (stun(0x0001)[:19], "other"),
        (stun(0x0001, bytes(8))[:24], "other"),
        (struct.pack(">HH", 1, 3) + stun(1)[4:] + bytes(3), "other"),
    ],
)
def test_stun_is_told_by_cookie_or_by_its_classic_form(octets: bytes, app: str) -> None:
    assert observe(datagrams(octets)).flow.app == app


def test_channel_data_after_stun_is_turn() -> None:
    channel = struct.pack(">HH", 0x4001, 100) + bytes(100)
    assert observe(datagrams(BINDING, channel)).flow.app == "turn"
    assert observe(datagrams(channel)).flow.app == "other"


def crc32c(octets: bytes) -> int:
    """CRC-32C, bit by bit (RFC 9260 appendix A)."""
    crc = 0xFFFFFFFF
    for octet in octets:
        crc ^= octet
        for _ in range(8):
            crc = crc >> 1 ^ 0x82F63B78 * (crc & 1)
    return crc ^ 0xFFFFFFFF


def test_crc32c_of_the_test_is_that_of_the_standard() -> None:
    assert crc32c(b"123456789") == 0xE3069283


def zrtp(kind: bytes, octets: int = 40) -> bytes:
    """A ZRTP packet (RFC 6189 section 5.1)."""
    head = struct.pack(">BBHII", 0x10, 0, 1, 0x5A525450, SSRC)
    message = struct.pack(">HH", 0x505A, 3 + octets // 4) + kind.ljust(8) + bytes(octets)
    return head + message + struct.pack("<I", crc32c(head + message))


def test_zrtp_without_media_is_undetermined() -> None:
    flow = observe(datagrams(zrtp(b"Hello"), zrtp(b"HelloACK", 0))).flow
    assert (flow.app, flow.protection, flow.key_exchange) == ("zrtp", "undetermined", "")


def test_zrtp_with_a_wrong_checksum_is_nothing() -> None:
    packet = zrtp(b"Conf2ACK", 0)
    for damaged in (packet[:-1] + bytes([packet[-1] ^ 1]), packet[:20] + b"x" + packet[21:], packet + bytes(4)):
        flow = observe(datagrams(damaged) + stream(ciphertext(50, 170), start_ns=T0 + SECOND)).flow
        assert (flow.basis, flow.key_exchange) == (("tag-length", "no-codec-fits"), "")


def test_zrtp_that_is_confirmed_proves_media_that_looks_uniform() -> None:
    steps = (b"Hello", b"HelloACK", b"Commit", b"DHPart1", b"DHPart2", b"Confirm1", b"Confirm2", b"Conf2ACK")
    handshake = datagrams(*map(zrtp, steps), gap_ns=MS)
    outcome = observe(handshake + stream(ciphertext(100, 90), payload_type=111, start_ns=T0 + SECOND))
    assert (outcome.flow.protection, outcome.flow.grade, outcome.flow.basis) == ("encrypted", "proved", ("zrtp",))
    assert outcome.flow.key_exchange == "zrtp"


def test_zrtp_hello_alone_proves_nothing() -> None:
    flow = observe(datagrams(zrtp(b"Hello")) + stream(ciphertext(100, 90), payload_type=111, start_ns=T0 + SECOND)).flow
    assert (flow.grade, flow.basis, flow.key_exchange) == ("inferred", ("no-codec-fits",), "")


def test_handshake_does_not_hide_media_in_clear() -> None:
    outcome = observe(datagrams(zrtp(b"Conf2ACK", 0)) + stream(speech(50), start_ns=T0 + SECOND))
    assert outcome.flow.protection == "clear"


def dtls_record(kind: int, body: bytes, *, epoch: int = 0, number: int = 0) -> bytes:
    """A DTLS 1.2 record (RFC 6347 section 4.1)."""
    return struct.pack(">BHHHIH", kind, 0xFEFD, epoch, number >> 32, number, len(body)) + body


def dtls_hello(kind: int, profiles: bytes) -> bytes:
    """A hello with the use_srtp extension (RFC 5764 section 4.1.1)."""
    ciphers = b"\x00\x02\xc0\x2b\x01\x00" if kind == 1 else b"\xc0\x2b\x00"
    extension = struct.pack(">HHH", 14, len(profiles) + 3, len(profiles)) + profiles + b"\0"
    cookie = b"\0" if kind == 1 else b""
    body = b"\xfe\xfd" + bytes(32) + b"\0" + cookie + ciphers + struct.pack(">H", len(extension)) + extension
    length = len(body).to_bytes(3, "big")
    return dtls_record(22, bytes([kind]) + length + bytes(5) + length + body)


def dtls(profile: int) -> list[Packet]:
    """A DTLS handshake as far as a sensor needs it: both hellos, and a record of epoch 1 from each side."""
    offer = struct.pack(">HH", 7, 1)
    finished = dtls_record(22, bytes(40), epoch=1)
    client = datagrams(dtls_hello(1, offer), finished, gap_ns=4 * MS)
    server = datagrams(
        dtls_hello(2, struct.pack(">H", profile)), finished, src=B, dst=A, start_ns=T0 + MS, gap_ns=4 * MS
    )
    return sorted(client + server)


@pytest.mark.parametrize("profile", [1, 2, 7, 8])
def test_dtls_that_agreed_on_srtp_proves_media_that_looks_uniform(profile: int) -> None:
    outcome = observe(dtls(profile) + stream(ciphertext(100, 90), payload_type=111, start_ns=T0 + SECOND))
    flow = outcome.flow
    assert (flow.protection, flow.grade, flow.basis, flow.key_exchange) == ("encrypted", "proved", ("dtls",), "dtls")
    assert flow.hello
    assert (flow.hello.kind, flow.hello.srtp_profile) == ("dtls", profile)


@pytest.mark.parametrize("profile", [5, 6])
def test_dtls_that_agreed_on_a_null_cipher_proves_nothing(profile: int) -> None:
    flow = observe(dtls(profile) + stream(ciphertext(100, 90), payload_type=111, start_ns=T0 + SECOND)).flow
    assert (flow.grade, flow.basis) == ("inferred", ("no-codec-fits",))


def test_dtls_without_media_is_encrypted_by_its_handshake() -> None:
    flow = observe(dtls(1)).flow
    assert (flow.app, flow.protection, flow.basis) == ("dtls", "encrypted", ("handshake",))


def test_media_that_came_first_is_proved_when_the_handshake_is_seen() -> None:
    media = stream(ciphertext(100, 90), payload_type=111, start_ns=T0 - 500 * MS)
    outcome = observe(sorted(media + dtls(1)))
    assert [verdict.protection for verdict in outcome.of(Verdict)] == ["undetermined", "encrypted"]


def test_verdict_says_how_many_packets_were_missing_until_then() -> None:
    whole = stream(speech(120))
    (first, *_) = observe(whole).of(Verdict)
    (gappy, *_) = observe([whole[0], *whole[8:]]).of(Verdict)
    assert (first.missing, gappy.missing) == (0, 7)
