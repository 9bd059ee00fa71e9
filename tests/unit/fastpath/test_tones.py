"""Telephone events that are seen in clear: said once for each stream, and nothing of what they are (RFC 4733)."""

import random
import struct
from dataclasses import astuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deploy.demo.wire import MS
from fastpath.records import Tones
from tests.packets import T0, A, B, Outcome, Packet, ciphertext, ethernet, observe, rtp, speech, udp

EVENT = 101
SHOWN = 4  # packets of a sender that keeps its steps


def press(
    event: int = 5, *, updates: int = 6, step: int = 160, volume: int = 10, ends: int = 3, first: int = 160
) -> list[bytes]:
    """The payloads of one key: its updates, the last of them with E set and sent again (section 2.5.1.4)."""
    durations = [first + step * n for n in range(updates)]
    return [struct.pack(">BBH", event, volume, duration) for duration in durations[:-1]] + [
        struct.pack(">BBH", event, volume | 0x80, durations[-1])
    ] * ends


def call(*keys: list[bytes], audio: int = 20, payload_type: int = 0, event_type: int = EVENT) -> Outcome:
    """Audio, then the keys with audio between them, in one stream; a key's packets have one timestamp."""
    return observe(packets(*keys, audio=audio, payload_type=payload_type, event_type=event_type))


def packets(
    *keys: list[bytes],
    audio: int = 20,
    payload_type: int = 0,
    event_type: int = EVENT,
    voice: list[bytes] | None = None,
) -> list[Packet]:
    """The frames of such a call, 20 ms apart."""
    voice = speech(audio * (len(keys) + 1)) if voice is None else voice
    made: list[bytes] = []

    def talk(part: int) -> None:
        for payload in voice[audio * part : audio * (part + 1)]:
            made.append(rtp(len(made), payload, payload_type=payload_type))

    for part, key in enumerate(keys):
        talk(part)
        stamp = len(made) * 160
        for payload in key:
            made.append(rtp(len(made), payload, timestamp=stamp, payload_type=event_type))
    talk(len(keys))
    return [(T0 + 20 * MS * n, ethernet(udp(octets, A, B))) for n, octets in enumerate(made)]


def test_events_are_said_at_the_fourth_packet_of_a_key() -> None:
    outcome = call(press())
    (said,) = outcome.of(Tones)
    assert (said.ts_ns, said.ssrc, said.payload_type, said.from_a) == (T0 + 23 * 20 * MS, 0xDECAFBAD, EVENT, True)
    assert (said.packets, said.flow, said.key) == (SHOWN, outcome.flow.flow, outcome.flow.key)


def test_events_are_said_once_whatever_follows() -> None:
    said = [call(*[press(event) for event in keys]).of(Tones) for keys in ([5], [5, 5, 1], range(16))]
    assert [len(records) for records in said] == [1, 1, 1]
    assert len({astuple(record) for (record,) in said}) == 1


@pytest.mark.parametrize("event", [0, 9, 11, 15, 16, 36, 128, 205])
def test_which_event_it_is_changes_nothing(event: int) -> None:
    assert call(press(event)).records == call(press(0)).records


def test_events_in_a_stream_of_their_own_are_said() -> None:
    (said,) = call(press(updates=9), audio=0).of(Tones)
    assert said.packets <= 9


@pytest.mark.parametrize("tail", [4, 10, 16, 4 + 8, 10 + 8, 16 + 8])
def test_events_under_a_null_cipher_are_said(tail: int) -> None:
    rng = random.Random(tail)
    (said,) = call([payload + rng.randbytes(tail) for payload in press()]).of(Tones)
    assert said.packets == SHOWN


def test_tone_that_is_described_by_its_frequencies_is_said() -> None:
    """Section 4: modulation, volume and duration lie as event, volume and duration do."""
    (said,) = call([payload + struct.pack(">HH", 350, 440) for payload in press(0)]).of(Tones)
    assert said.packets == SHOWN


def test_short_keys_with_few_updates_add_up() -> None:
    keys = [press(event, updates=2, step=400, first=400) for event in (4, 7, 1, 1)]
    (said,) = call(*keys).of(Tones)
    assert said.ts_ns > T0 + 2 * 20 * 20 * MS


def test_updates_whose_steps_differ_take_longer() -> None:
    durations = [160, 330, 480, 650, 800, 990, 1130, 1300, 1440]
    uneven = [struct.pack(">BBH", 5, 10, duration) for duration in durations]
    (said,) = call(uneven).of(Tones)
    assert SHOWN < said.packets <= len(durations)


def test_lost_and_repeated_packets_of_an_event_do_not_hide_it() -> None:
    frames = packets(press(updates=12))
    lossy = [frame for n, frame in enumerate(frames) if n not in (22, 25)]
    assert len(observe(sorted(lossy + lossy[20:25])).of(Tones)) == 1


def test_events_beside_encrypted_media_are_said() -> None:
    frames = packets(press(), voice=ciphertext(40))
    assert len(observe(frames).of(Tones)) == 1


def test_events_between_short_frames_of_a_dynamic_codec_are_said() -> None:
    frames = packets(press(), press(), voice=ciphertext(60, 14), payload_type=97)
    assert len(observe(frames).of(Tones)) == 1


# What is no event in clear


def changed(payloads: list[bytes], octet: int, value: int, *, at: int | None = None) -> list[bytes]:
    """The payloads with an octet changed by exclusive or, in all or in one of them."""
    return [
        payload[:octet] + bytes([payload[octet] ^ value]) + payload[octet + 1 :] if at in (None, n) else payload
        for n, payload in enumerate(payloads)
    ]


@pytest.mark.parametrize(
    "key",
    [
        pytest.param(press(updates=2), id="one-update"),
        pytest.param(changed(press(), 1, 0x40), id="reserved-bit-set"),
        pytest.param(press(206), id="event-not-registered"),
        pytest.param(press(step=0), id="duration-that-stands"),
        pytest.param(press(step=1, first=1, updates=60), id="counter"),
        pytest.param(press(step=-160, first=4000), id="duration-that-falls"),
        pytest.param(press(step=9700, first=0, updates=6), id="duration-that-leaps"),
        pytest.param(press(ends=40, updates=2), id="end-that-is-repeated"),
        pytest.param([press()[0]] * 40, id="constant"),
        pytest.param([press(event)[event % 3] for event in range(40)], id="other-event-in-every-packet"),
    ],
)
def test_what_does_not_go_on_as_an_event_is_not_said(key: list[bytes]) -> None:
    assert call(key).of(Tones) == []


def test_packets_with_a_timestamp_each_are_not_said() -> None:
    made = [rtp(n, payload, payload_type=EVENT) for n, payload in enumerate(press(updates=60, ends=1))]
    assert observe([(T0 + 20 * MS * n, ethernet(udp(octets))) for n, octets in enumerate(made)]).of(Tones) == []


def test_static_payload_types_carry_no_events() -> None:
    assert call(press(), event_type=18).of(Tones) == []


def test_mki_and_tag_behind_empty_payloads_are_not_said() -> None:
    rng = random.Random(7)
    for key in (b"\0\0\0\1", b"\x05\x8a\x03\x20", rng.randbytes(4)):
        for octets in (0, 4, 10, 16):
            assert call([key + rng.randbytes(octets) for _ in range(200)]).of(Tones) == []


@pytest.mark.parametrize("octets", [4, 8, 14, 20])
def test_encrypted_events_are_not_said(octets: int) -> None:
    for seed in range(40):
        keys = [ciphertext(40, octets, seed=seed * 100 + n) for n in range(20)]
        assert call(*keys, audio=5).of(Tones) == []


def test_encrypted_events_leave_no_room_taken() -> None:
    outcome = call(*[ciphertext(40, 14, seed=n) for n in range(20)])
    assert outcome.after["tones"] == 0


def test_stream_that_is_not_proved_says_nothing() -> None:
    made = [rtp(n * 20, payload, timestamp=0, payload_type=EVENT) for n, payload in enumerate(press(updates=9))]
    assert observe([(T0 + 20 * MS * n, ethernet(udp(octets))) for n, octets in enumerate(made)]).of(Tones) == []


@settings(max_examples=200, deadline=None)
@given(
    payloads=st.lists(st.binary(max_size=30), max_size=60),
    stamps=st.lists(st.integers(0, 3), min_size=60, max_size=60),
    types=st.lists(st.sampled_from([0, 97, EVENT]), min_size=60, max_size=60),
)
def test_whatever_short_packets_hold_room_is_given_back(
    payloads: list[bytes], stamps: list[int], types: list[int]
) -> None:
    made = [
        rtp(n, payload, timestamp=stamps[n], payload_type=types[n]) for n, payload in enumerate([*press(), *payloads])
    ]
    outcome = observe([(T0 + 20 * MS * n, ethernet(udp(octets))) for n, octets in enumerate(made)])
    assert outcome.counters["tones"] <= 1
    assert outcome.after["tones"] == 0


def test_streams_that_are_replaced_give_their_room_back() -> None:
    made = [rtp(n, press()[0], ssrc=n, payload_type=EVENT) for n in range(500)]
    outcome = observe([(T0 + MS * n, ethernet(udp(octets))) for n, octets in enumerate(made)])
    assert outcome.counters["tones"] <= 8
    assert outcome.after["tones"] == 0


def test_evidence_of_an_update_sums_to_less_than_one_under_encryption() -> None:
    """The bound of tones.pxd, with its numbers: shares of 32 uniform bits, each times what it is worth."""
    durations = 9600 - 40 + 1
    volume = 2**5 / 64 + 63 / 64 / 2
    steady = 2**15 / 65536 + (durations - 1) * 2 / 65536
    begun = durations * 2**2 / 65536
    goes_on = 2**8 / 256 * 2 / 2 * volume  # event, R
    same = 1 / 256 / 2 / 2 * 40 / 65536  # what may be an end, and is worth nothing
    assert all(goes_on * steps + same < 1 for steps in (steady, begun))
