"""Clear or encrypted, from payloads: what is decided, how soon, and how seldom wrongly (RFC 3711, 7714, 3551)."""

import os
import random
import struct
import zlib
from collections.abc import Callable, Iterable
from importlib import resources

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CTR

from deploy.demo.wire import MS
from fastpath.records import Verdict
from fastpath.source import BufferSource
from fastpath.verdict import Tables, judge_payloads
from tests.packets import (
    T0,
    Outcome,
    Packet,
    account,
    ciphertext,
    ethernet,
    finish,
    g729,
    new_engine,
    observe,
    rtp,
    speech,
    stream,
    udp,
)

BLOB = resources.files("fastpath").joinpath("tables", "tables.bin").read_bytes()
TABLES = Tables(BLOB)
DYNAMIC = 111
TAG = 10  # HMAC-SHA1-80, RFC 3711 section 4.2


def clear_and_tagged(count: int, tag: int = TAG) -> list[bytes]:
    """PCMU under the NULL cipher: authenticated, and readable by all."""
    rng = random.Random(count)
    return [payload + rng.randbytes(tag) for payload in speech(count)]


# Clear


@pytest.mark.parametrize("seed", range(20))
def test_pcmu_speech_is_clear_within_5_packets(seed: int) -> None:
    outcome = observe(stream(speech(50, seed=seed)))
    ((protection, packet),) = outcome.verdicts
    assert protection == "clear"
    assert packet <= 5
    assert (outcome.stream.codec, outcome.stream.basis, outcome.stream.grade) == ("PCMU", ("payload-structure",), None)


@pytest.mark.parametrize(("payload_type", "octet"), [(0, 0xFF), (0, 0x7F), (8, 0xD5), (8, 0x55), (DYNAMIC, 0x00)])
def test_silence_is_clear_within_5_packets(payload_type: int, octet: int) -> None:
    outcome = observe(stream([bytes([octet]) * 160] * 50, payload_type=payload_type))
    assert outcome.verdicts[0][0] == "clear"
    assert outcome.verdicts[0][1] <= 5


def test_clear_verdict_bounds_its_error_by_2_to_minus_40() -> None:
    (clear,) = observe(stream(speech(50))).of(Verdict)
    assert (clear.protection, clear.previous, clear.from_a) == ("clear", None, True)
    assert clear.log10_p is not None
    assert clear.log10_p <= -12.04


def test_encrypted_verdict_follows_undetermined_and_has_no_bound() -> None:
    first, second = observe(stream(ciphertext(50, 160))).of(Verdict)
    assert (first.protection, first.previous, first.grade, first.packet) == ("undetermined", None, None, 3)
    assert (second.protection, second.previous, second.grade) == ("encrypted", "undetermined", "inferred")
    assert (first.log10_p, second.log10_p) == (None, None)
    assert second.elapsed_ns == (second.packet - 1) * 20 * MS


def test_clear_is_said_once_and_never_taken_back_in_a_long_stream() -> None:
    outcome = observe(stream(speech(20_000)))
    assert (len(outcome.verdicts), outcome.changes, outcome.flow.protection) == (1, [], "clear")


@pytest.mark.parametrize("tag", [4, 10, 16])
def test_null_cipher_is_clear_and_its_tag_is_named(tag: int) -> None:
    found = observe(stream(clear_and_tagged(100, tag))).stream
    assert (found.protection, found.basis) == ("clear", ("payload-structure", "tag-present"))


# Encrypted


@pytest.mark.parametrize("mki", [0, 1, 2, 4, 8])
@pytest.mark.parametrize("tag", [4, 10, 16])
@pytest.mark.parametrize("payload_type", [0, 8])
def test_ciphertext_with_tag_on_a_static_type_is_proved_in_3_packets(payload_type: int, tag: int, mki: int) -> None:
    outcome = observe(stream(ciphertext(100, 160 + mki + tag), payload_type=payload_type))
    assert outcome.verdicts == [("encrypted", 3)]
    assert (outcome.flow.grade, outcome.flow.basis) == ("proved", ("tag-length", "no-codec-fits"))
    assert outcome.flow.log10_p is None


@pytest.mark.parametrize("excess", [0, 3, 7, 9, 13, 40])
def test_ciphertext_without_tag_on_a_static_type_is_inferred(excess: int) -> None:
    outcome = observe(stream(ciphertext(100, 160 + excess)))
    assert [verdict[0] for verdict in outcome.verdicts] == ["encrypted"]
    assert (outcome.flow.grade, outcome.flow.basis) == ("inferred", ("no-codec-fits",))


@pytest.mark.parametrize("octets", [30, 90, 170, 1200])
def test_ciphertext_on_a_dynamic_type_is_inferred_at_one_of_four_looks(octets: int) -> None:
    """They are 24, 48, 96 and 192 packets after the last table was rejected; nearly all pass the first or second."""
    packets = []
    for seed in range(20):
        outcome = observe(stream(ciphertext(600, octets, seed=seed), payload_type=DYNAMIC))
        ((kind, packet),) = outcome.verdicts
        packets.append(packet)
        assert (kind, packet >= 32) == ("encrypted", True)
        assert (outcome.flow.grade, outcome.flow.basis) == ("inferred", ("no-codec-fits",))
    assert sorted(packets)[len(packets) // 2] <= 60


def test_ciphertext_on_a_dynamic_type_is_undetermined_before() -> None:
    found = observe(stream(ciphertext(31, 90), payload_type=DYNAMIC)).stream
    assert (found.protection, found.basis) == ("undetermined", ("looks-uniform",))


def test_random_octets_of_a_sample_length_stay_undetermined() -> None:
    """White noise in G.711 or L16 is as random as ciphertext: 160 octets for 160 timestamp units may be either."""
    found = observe(stream(ciphertext(600, 160), payload_type=DYNAMIC)).stream
    assert (found.protection, found.basis) == ("undetermined", ("looks-uniform",))


@pytest.mark.parametrize("after", [1, 3, 25])
@pytest.mark.parametrize("octets", [20, 80, 200])
def test_white_noise_whose_length_changes_stays_undetermined(octets: int, after: int) -> None:
    """What was seen while the length was that of samples says nothing, also when the length is another by now."""
    noise = ciphertext(300, 160) + ciphertext(after, octets)
    assert observe(stream(noise, payload_type=DYNAMIC)).verdicts == []


def test_white_noise_after_a_pause_stays_undetermined() -> None:
    """Discontinuous transmission: the timestamp jumps while the sequence number goes on (RFC 3551 section 4.1)."""
    packets = [
        (T0 + 20 * MS * index, ethernet(udp(rtp(index, payload, timestamp=160 * (index + 9 * (index // 200)),
                                                payload_type=DYNAMIC))))
        for index, payload in enumerate(ciphertext(900, 160))
    ]  # fmt: skip
    assert observe(packets).verdicts == []


@pytest.mark.parametrize("octets", [12, 15, 19])
def test_few_octets_a_packet_are_enough_where_all_of_them_are_even(octets: int) -> None:
    flow = observe(stream(ciphertext(600, octets), payload_type=DYNAMIC)).flow
    assert (flow.protection, flow.grade, flow.basis) == ("encrypted", "inferred", ("no-codec-fits",))


@pytest.mark.parametrize("mki", [2, 4, 8])
@pytest.mark.parametrize("payload", [1, 2, 3])
def test_mki_in_a_short_payload_keeps_it_undetermined(payload: int, mki: int) -> None:
    """Text of T.140: the MKI is among the first octets and repeats, as a codec's header would."""
    found = observe(stream(srtp(1, 600, payload, 10, mki), payload_type=DYNAMIC)).stream
    assert found.protection == "undetermined"


@pytest.mark.parametrize("captured", [1, 2, 3])
@pytest.mark.parametrize("payload", [1, 2, 20])
def test_mki_in_what_was_captured_of_a_packet_is_never_clear(payload: int, captured: int) -> None:
    """A snap length that leaves so many octets of the payload."""
    packets = stream(srtp(3, 900, payload, 10, 8), payload_type=DYNAMIC)
    cut = [(ts_ns, frame[: 54 + captured], len(frame)) for ts_ns, frame, *_ in packets]
    assert "clear" not in [protection for protection, _ in observe(cut).verdicts]


def unknown_codec(packets: int, bias: float, octets: int = 40) -> list[bytes]:
    """Frames whose fifth bit alone is not even, as an index of a rarely used codebook would be."""
    source = random.Random(f"{bias}")
    return [
        bytes([octet & 0xF7 | (source.random() < bias) << 3]) + source.randbytes(octets - 1)
        for octet in source.randbytes(packets)
    ]


@pytest.mark.parametrize("bias", [0.05, 0.1, 0.9, 0.95])
def test_one_uneven_bit_in_each_frame_keeps_a_stream_from_being_called_encrypted(bias: float) -> None:
    outcome = observe(stream(unknown_codec(600, bias), payload_type=DYNAMIC))
    assert not [verdict for verdict in outcome.verdicts if verdict[0] == "encrypted"]


@pytest.mark.parametrize(("bias", "octets"), [(0.05, 20), (0.1, 14), (0.1, 20), (0.15, 40), (0.2, 40)])
def test_what_took_long_to_be_shown_clear_is_not_soon_called_something_else(bias: float, octets: int) -> None:
    outcome = observe(stream(unknown_codec(3000, bias, octets), payload_type=DYNAMIC))
    said = [protection for protection, _ in outcome.verdicts]
    assert said[said.index("clear") :] == ["clear"]


@pytest.mark.parametrize("silence", [1, 2, 4, 6])
@pytest.mark.parametrize("before", [0, 200])
def test_silence_of_few_octets_leaves_no_codec_unasked(before: int, silence: int) -> None:
    """A descriptor of silence comes first, or where the test begins anew as the length changed: no frame, no answer."""
    payloads = g729(before) + ciphertext(1, silence) + g729(600)
    said = [protection for protection, _ in observe(stream(payloads, payload_type=DYNAMIC)).verdicts]
    assert said == ["clear"]


def test_tag_of_one_payload_type_is_not_taken_for_one_of_another() -> None:
    """PCMU shows a tag by its frame law; JPEG has no law, so nothing can be proved by its length."""
    first = stream(ciphertext(40, 170))
    after = stream(ciphertext(200, 400, seed=2), payload_type=26, first=1040, start_ns=T0 + 800 * MS)
    verdicts = [verdict for verdict in observe(first + after).of(Verdict) if verdict.payload_type == 26]
    found = observe(first + after).stream
    assert "tag-length" not in found.basis
    assert [verdict for verdict in verdicts if "tag-length" in verdict.basis] == []


def test_few_packets_are_undetermined() -> None:
    found = observe(stream(ciphertext(6, 160))).stream
    assert (found.protection, found.basis, found.decided_packet) == ("undetermined", ("too-few-packets",), 0)


# Changes


@pytest.mark.parametrize("before", [20, 500, 5000])
@pytest.mark.parametrize("tag", [0, TAG])
def test_stream_that_turns_clear_changes(before: int, tag: int) -> None:
    outcome = observe(stream(ciphertext(before, 160 + tag) + speech(400)))
    assert [verdict[0] for verdict in outcome.verdicts] == ["encrypted", "clear"]
    assert before < outcome.verdicts[1][1] <= before + 100
    (change,) = outcome.flow.changes
    assert (change.before, change.after, change.packet) == ("encrypted", "clear", outcome.verdicts[1][1])
    assert outcome.flow.protection == "clear"


@pytest.mark.parametrize("before", [20, 500, 10_000])
@pytest.mark.parametrize("tag", [0, TAG])
@pytest.mark.parametrize("kind", [speech, lambda count: [b"\xff" * 160] * count], ids=["speech", "silence"])
def test_stream_that_turns_encrypted_changes(before: int, tag: int, kind: Callable[[int], list[bytes]]) -> None:
    outcome = observe(stream(kind(before) + ciphertext(400, 160 + tag)))
    assert [verdict[0] for verdict in outcome.verdicts] == ["clear", "encrypted"]
    assert before < outcome.verdicts[1][1] <= before + 150
    assert outcome.changes == [("clear", "encrypted")]
    assert outcome.flow.protection == "encrypted"


def test_stream_that_loses_its_structure_on_a_dynamic_type_is_not_called_clear_any_more() -> None:
    outcome = observe(stream(speech(100) + ciphertext(600, 160), payload_type=DYNAMIC))
    assert outcome.changes == [("clear", "undetermined")]
    assert (outcome.flow.protection, outcome.flow.basis) == ("undetermined", ("looks-uniform",))
    assert outcome.flow.log10_p is None


def test_alternating_halves_change_each_time() -> None:
    halves = [payload for turn in range(6) for payload in (speech(300, seed=turn) if turn % 2 else ciphertext(300))]
    assert observe(stream(halves)).changes == [("encrypted", "clear"), ("clear", "encrypted")] * 2 + [
        ("encrypted", "clear")
    ]


@pytest.mark.parametrize(
    "payloads", [speech(300), ciphertext(300), clear_and_tagged(300)], ids=["clear", "srtp", "null"]
)
def test_duplicates_loss_and_reordering_change_no_verdict(payloads: list[bytes]) -> None:
    rng = random.Random(5)
    clean = observe(stream(payloads))
    packets: list[Packet] = []
    for packet in stream(payloads):
        if rng.random() < 0.05 and len(packets) > 10:
            continue
        packets.append(packet)
        if rng.random() < 0.05:
            packets.append(packet)
        if rng.random() < 0.05 and len(packets) > 10:
            packets[-1], packets[-2] = packets[-2], packets[-1]
    rough = observe(packets)
    assert (rough.flow.protection, rough.flow.grade, rough.flow.basis) == (
        clean.flow.protection,
        clean.flow.grade,
        clean.flow.basis,
    )
    assert rough.changes == []


def test_duplicates_are_never_scored() -> None:
    once = observe(stream(ciphertext(50, 60), payload_type=DYNAMIC))
    packets = [packet for packet in stream(ciphertext(50, 60), payload_type=DYNAMIC) for _ in range(40)]
    often = observe(packets)
    assert often.counters["duplicates"] == 50 * 39
    assert (often.verdicts, often.flow.basis) == (once.verdicts, once.flow.basis)


@pytest.mark.parametrize("length", [70, 200])
@pytest.mark.parametrize("payload_type", [0, DYNAMIC])
def test_ciphertext_that_is_played_again_and_again_is_never_clear(length: int, payload_type: int) -> None:
    for seed in range(3):
        payloads = ciphertext(length, seed=seed)
        again = [
            packet
            for turn in range(40)
            for packet in stream(payloads, start_ns=T0 + turn * length * 20 * MS, payload_type=payload_type)
        ]
        assert "clear" not in [verdict[0] for verdict in observe(again).verdicts]


# The bound: ciphertext with all that RFC 3711 leaves constant in it


def keystream(seed: int, octets: int) -> bytes:
    """AES-128-CTR keystream; the counter block is the seed."""
    encryptor = Cipher(AES(b"legwatch is test"), CTR(seed.to_bytes(16, "big"))).encryptor()
    return encryptor.update(bytes(octets))


def srtp(seed: int, count: int, octets: int, tag: int, mki: int) -> list[bytes]:
    """Payloads of one SRTP stream: ciphertext, a constant MKI and a tag, or for AEAD the tag before the MKI."""
    uniform = keystream(seed << 64, count * (octets + tag))
    identifier = bytes(mki - 1) + b"\x01" if mki else b""
    pieces = [uniform[at : at + octets + tag] for at in range(0, len(uniform), octets + tag)]
    if tag == 16:
        return [piece + identifier for piece in pieces]
    return [piece[:octets] + identifier + piece[octets:] for piece in pieces]


@pytest.mark.parametrize("mki", [0, 1, 2, 4, 8])
@pytest.mark.parametrize("tag", [4, 10, 16])
@pytest.mark.parametrize(
    ("payload_type", "octets"), [(0, 160), (3, 33), (8, 80), (9, 160), (18, 20), (DYNAMIC, 40), (DYNAMIC, 3)]
)
def test_srtp_with_any_mki_is_never_clear(payload_type: int, octets: int, tag: int, mki: int) -> None:
    # 105 combinations of 20 streams each
    engine = new_engine()
    packets = [
        packet
        for number in range(20)
        for packet in stream(
            srtp(number * 1009 + mki, 40, octets, tag, mki),
            ssrc=number,
            start_ns=T0 + number * 10_000 * MS,
            payload_type=payload_type,
        )
    ]
    engine.process(BufferSource(packets))
    counters = engine.counters()
    assert counters["streams_begun"] == 20
    assert counters["received"] == sum(account(counters).values())
    said = [record.protection for record in engine.drain() + finish(engine) if isinstance(record, Verdict)]
    assert said
    assert "clear" not in said


def highest(payloads: Iterable[bytes], payload_type: int, tail: int = -1) -> float:
    """The most evidence for "clear" that a stream of payloads ever had, in bits."""
    return max(bits for bits, *_ in judge_payloads(TABLES, payloads, payload_type, tail=tail))


@pytest.mark.parametrize(
    ("payload_type", "octets", "tag", "mki"),
    [
        (0, 160, 10, 0),
        (8, 160, 4, 4),
        (9, 160, 10, 1),
        (18, 20, 10, 2),
        (3, 33, 4, 8),
        (DYNAMIC, 80, 16, 4),
        (DYNAMIC, 24, 10, 0),
    ],
)
def test_evidence_under_the_null_obeys_its_bound(payload_type: int, octets: int, tag: int, mki: int) -> None:
    # Ville: P(sup E >= 2^j) <= 2^-j. Five standard deviations above the bound would be a defect, not chance.
    streams = 1000
    most = [highest(srtp(1_000_000 + number, 24, octets, tag, mki), payload_type) for number in range(streams)]
    for j in range(1, 12):
        expected = streams * 2.0**-j
        assert sum(bits >= j for bits in most) <= expected + 5 * expected**0.5 + 1, j


def test_evidence_under_the_null_obeys_its_bound_with_a_known_tail() -> None:
    streams = 1000
    for tail in (0, 4, 10):
        most = [highest(srtp(2_000_000 + number, 24, 160, tail, 0), 0, tail) for number in range(streams)]
        for j in range(1, 12):
            expected = streams * 2.0**-j
            assert sum(bits >= j for bits in most) <= expected + 5 * expected**0.5 + 1, (tail, j)


def test_payloads_of_the_operating_systems_randomness_are_never_clear() -> None:
    for _ in range(300):
        assert highest((os.urandom(160) for _ in range(30)), 0) < 40


# judge_payloads


def test_judge_names_codec_and_rejection() -> None:
    *_, (bits, codec, rejected, uniform) = judge_payloads(TABLES, speech(20), 0)
    assert bits > 40
    assert (codec, rejected, uniform) == ("pcmu", False, False)
    *_, (bits, _, rejected, uniform) = judge_payloads(TABLES, ciphertext(20), 0)
    assert bits < 8
    assert (rejected, uniform) == (True, True)


@pytest.mark.parametrize("payload_type", [0, 3, 4, 8, 9, 13, 18, 34, 35, 96, 127])
@pytest.mark.parametrize("octets", [0, 1, 2, 3, 4, 5, 18, 19, 20, 255, 256, 257, 1500])
def test_judge_takes_payloads_of_any_length(payload_type: int, octets: int) -> None:
    assert len(judge_payloads(TABLES, ciphertext(20, octets), payload_type)) == 20
    assert len(judge_payloads(TABLES, [bytes(octets)] * 20, payload_type, same_frame=range(5))) == 20


# Damage to the table file


def described(at: int, value: bytes) -> bytes:
    """The blob with other octets in its first table's description, and a checksum that fits."""
    damaged = bytearray(BLOB)
    damaged[16 + at : 16 + at + len(value)] = value
    damaged[12:16] = zlib.crc32(damaged[16:]).to_bytes(4, "little")
    return bytes(damaged)


@pytest.mark.parametrize("length", [0, 1, 4, 15, 16, 63, 64, 200, len(BLOB) // 2, len(BLOB) - 1])
def test_tables_cut_short_are_refused(length: int) -> None:
    with pytest.raises(ValueError, match="codec tables"):
        Tables(BLOB[:length])


@pytest.mark.parametrize("octets", [0, 47])
def test_tables_without_room_for_their_descriptions_are_refused(octets: int) -> None:
    body = BLOB[16 : 16 + octets]
    head = struct.pack("<4sHHII", b"LWTB", 1, 1, 16 + octets, zlib.crc32(body))
    with pytest.raises(ValueError, match="codec tables"):
        Tables(head + body)


def test_tables_with_any_octet_of_their_description_changed_are_refused() -> None:
    for at in range(16 + 48):
        for flip in (0x01, 0x08, 0x41):
            damaged = bytearray(BLOB)
            damaged[at] ^= flip
            with pytest.raises(ValueError, match="codec tables"):
                Tables(bytes(damaged))


def test_tables_with_changed_entries_are_refused() -> None:
    rng = random.Random(2)
    for _ in range(50):
        damaged = bytearray(BLOB)
        damaged[rng.randrange(len(BLOB))] ^= 1 << rng.randrange(8)
        with pytest.raises(ValueError, match="codec tables"):
            Tables(bytes(damaged))


def test_tables_with_a_right_checksum_and_wild_descriptions_do_no_harm() -> None:
    rng = random.Random(4)
    payloads = [*ciphertext(10, 320), *ciphertext(10, 20), *ciphertext(10, 1)]
    accepted = 0
    for _ in range(400):
        blob = described(rng.randrange(48 * 4), rng.randbytes(rng.choice([1, 2, 4])))
        try:
            tables = Tables(blob)
        except ValueError:
            continue
        accepted += 1
        for payload_type in (0, 8, DYNAMIC):
            judge_payloads(tables, payloads, payload_type)
    assert accepted


def test_tables_with_something_behind_them_are_refused() -> None:
    with pytest.raises(ValueError, match="codec tables"):
        Tables(BLOB + b"\0")


def test_outcome_of_one_stream_is_the_same_whatever_else_is_there() -> None:
    # A verdict belongs to its SSRC: neighbours in the flow and in the table do not touch it.
    own = stream(speech(100), ssrc=5)
    noise = stream(ciphertext(100), ssrc=6, start_ns=T0 + MS)
    alone: Outcome = observe(own)
    together = observe(sorted(own + noise))
    assert [found for found in together.flow.streams if found.ssrc == 5] == list(alone.flow.streams)
