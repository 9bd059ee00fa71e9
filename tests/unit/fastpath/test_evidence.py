"""What an engine says of every packet of the flow that it was told to trace."""

import random
import struct
from itertools import pairwise
from pathlib import Path

import pytest

from deploy.demo.wire import MS
from fastpath.engine import thresholds
from fastpath.records import Evidence, FlowEnded, Record, Verdict
from sensor.capture import open_capture
from tests.packets import T0, A, B, Outcome, Packet, ciphertext, ethernet, finish, new_engine, observe, rtp, speech, udp
from tests.packets import stream as packets_of

CLINIC = Path(__file__).parents[3] / "deploy" / "demo" / "clinic.pcap"
CLEAR, REJECT = thresholds()
OPUS = 111  # a dynamic payload type


def traced(*packets: bytes) -> Outcome:
    """What an engine that traces the only flow says of RTP packets 20 ms apart."""
    return observe([(T0 + 20 * MS * n, ethernet(udp(packet))) for n, packet in enumerate(packets)], trace_flow=1)


def fates(*packets: bytes) -> list[str]:
    """What became of each packet."""
    return [said.fate for said in traced(*packets).of(Evidence)]


def clinic(flow: int = 0) -> list[Record]:
    """The records of the demo, one of its flows traced."""
    engine, source = new_engine(trace_flow=flow), open_capture(CLINIC)
    records: list[Record] = []
    while engine.process(source) > 0:
        records += engine.drain()
    return records + finish(engine)


def media(protection: str, codec: str) -> int:
    """The demo's first media flow of this kind."""
    return next(
        record.flow
        for record in clinic()
        if isinstance(record, FlowEnded) and record.app == "rtp" and record.protection == protection
        if {found.codec for found in record.streams} == {codec}
    )


def until_verdict(flow: int) -> dict[int, list[Evidence]]:
    """By SSRC, what was said up to the stream's first verdict."""
    said: dict[int, list[Evidence]] = {}
    decided = set()
    for record in clinic(flow):
        if isinstance(record, Evidence) and record.ssrc not in decided:
            assert record.flow == flow
            said.setdefault(record.ssrc, []).append(record)
        elif isinstance(record, Verdict) and record.flow == flow:
            assert record.packet == said[record.ssrc][-1].packet
            decided.add(record.ssrc)
    return said


def test_thresholds_are_those_of_the_bound() -> None:
    assert (CLEAR, REJECT) == (40, -20)


def test_clear_pcmu_of_the_demo_gains_evidence_with_every_packet_until_the_verdict() -> None:
    said = until_verdict(media("clear", "PCMU"))
    assert len(said) == 2
    for packets in said.values():
        bits = [packet.clear_bits or 0 for packet in packets]
        assert all(before < after for before, after in pairwise([0.0, *bits]))
        assert bits[-1] >= CLEAR
        assert {(packet.leads, packet.hardest, packet.rejected) for packet in packets} == {("PCMU", "PCMU", False)}


def test_encrypted_pcmu_of_the_demo_has_no_evidence_and_every_codec_rejected_at_the_verdict() -> None:
    said = until_verdict(media("encrypted", "PCMU"))
    assert len(said) == 2
    for packets in said.values():
        assert max(packet.clear_bits or 0 for packet in packets) < CLEAR
        last = packets[-1]
        assert (last.rejected, last.excess, last.octets) == (True, 10, 170)
        assert last.fit_bits is not None
        assert last.fit_bits <= REJECT


def test_clear_stream_says_its_bound_as_the_last_evidence() -> None:
    outcome = observe(packets_of(speech(50)), trace_flow=1)
    (verdict,) = outcome.of(Verdict)
    at = outcome.records.index(verdict)
    said = outcome.records[at - 1]
    assert isinstance(said, Evidence)
    assert (said.packet, said.protection) == (verdict.packet, "undetermined")
    assert said.clear_bits == pytest.approx(-(verdict.log10_p or 0) / 0.30103, rel=1e-4)
    after = outcome.records[at + 1]
    assert isinstance(after, Evidence)
    assert (after.protection, after.basis, after.fate) == ("clear", ("payload-structure",), "settled")


def test_packet_says_its_number_time_and_lengths() -> None:
    said = traced(*(rtp(65_534 + n, payload) for n, payload in enumerate(speech(3)))).of(Evidence)
    assert [(packet.packet, packet.elapsed_ns, packet.seq) for packet in said] == [
        (1, 0, 65_534),
        (2, 20 * MS, 65_535),
        (3, 40 * MS, 0),
    ]
    assert [packet.excess for packet in said] == [None, 0, 0]
    assert {(packet.octets, packet.payload_type, packet.from_a) for packet in said} == {(160, 0, True)}


def test_flow_that_is_not_traced_is_not_said() -> None:
    here = packets_of(speech(30))
    there = packets_of(speech(30), src=B, dst=A._replace(port=9000), start_ns=T0 + MS, ssrc=7)
    assert observe(here).of(Evidence) == []
    outcome = observe(sorted(here + there), trace_flow=2)
    assert {(said.flow, said.ssrc) for said in outcome.of(Evidence)} == {(2, 7)}
    assert len(outcome.of(Evidence)) == 30


def test_tracing_changes_no_verdict() -> None:
    packets = packets_of(speech(100) + ciphertext(200, 170))
    plain, said = observe(packets), observe(packets, trace_flow=1)
    assert [record for record in said.records if not isinstance(record, Evidence)] == plain.records
    assert said.counters == plain.counters


def test_duplicate_is_not_scored() -> None:
    payloads = ciphertext(6)
    packets = [rtp(n, payload) for n, payload in enumerate(payloads) for _ in range(2)]
    said = [packet for packet in traced(*packets).of(Evidence) if packet.fate == "duplicate"]
    assert [packet.packet for packet in said] == [1, 2, 3, 4, 5, 6]
    assert {(packet.clear_bits, packet.leads, packet.fit_bits, packet.rejected) for packet in said} == {
        (None, "", None, False)
    }


def test_packet_behind_is_not_scored() -> None:
    payloads = ciphertext(4, 90)
    numbers = (0, 1, 3, 2)
    assert fates(*(rtp(n, payloads[n], payload_type=OPUS) for n in numbers)) == ["scored"] * 3 + ["behind"]


@pytest.mark.parametrize("far", [10_000, 40_000])
def test_number_far_off_is_a_stray_until_the_next_one_confirms_it(far: int) -> None:
    payloads = ciphertext(6, 90)
    numbers = (*range(4), far, far + 1)
    packets = [rtp(n, payload, payload_type=OPUS) for n, payload in zip(numbers, payloads, strict=True)]
    said = traced(*packets).of(Evidence)
    assert [packet.fate for packet in said] == ["scored"] * 4 + ["stray", "scored"]
    assert [packet.scored for packet in said] == [1, 2, 3, 4, 4, 1]


def test_event_between_speech_is_of_another_type() -> None:
    packets = [rtp(0, speech(1)[0]), rtp(1, b"\x05\x0a\x00\xa0", payload_type=101), rtp(2, speech(2)[1])]
    assert fates(*packets) == ["scored", "other-type", "scored"]


def test_packet_without_payload_is_empty() -> None:
    assert fates(*(rtp(n, b"") for n in range(3))) == ["empty"] * 3


def test_settled_stream_is_looked_at_in_one_packet_of_16() -> None:
    said = fates(*(rtp(n, payload) for n, payload in enumerate(speech(48))))
    assert said == ["scored"] * 3 + ["settled"] * 12 + (["glance"] + ["settled"] * 15) * 2 + ["glance"]


def test_settled_stream_without_a_table_is_watched_by_the_test_itself() -> None:
    packets = [rtp(n, payload, payload_type=OPUS) for n, payload in enumerate(ciphertext(300, 97))]
    outcome = traced(*packets)
    ((_, decided),) = outcome.verdicts
    said = [packet for packet in outcome.of(Evidence) if packet.packet > decided and packet.fate != "settled"]
    assert said
    assert {packet.fate for packet in said} == {"watched"}
    assert None not in {packet.clear_bits for packet in said}


def event(digit: int) -> bytes:
    """A telephone event (RFC 4733 section 2.3)."""
    return struct.pack(">BBH", digit, 0x8A, 800)


@pytest.mark.parametrize("octets", [4, 19])
def test_scores_of_short_payloads_stay_inside(octets: int) -> None:
    rng = random.Random(octets)
    packets = [rtp(n, event(rng.randrange(10)) + bytes(octets - 4), payload_type=101) for n in range(60)]
    said = traced(*packets).of(Evidence)
    assert len(said) == 60
    assert {(packet.clear_bits, packet.leads, packet.fit_bits, packet.hardest) for packet in said} == {
        (None, "", None, "")
    }


def test_scores_of_text_stay_inside_once_it_is_known_as_text() -> None:
    text = b"the results are back, and they are good news for all of us here today; please call again. " * 20
    outcome = traced(*(rtp(n, text[20 * n : 20 * n + 20], payload_type=98) for n in range(60)))
    ((protection, decided),) = outcome.verdicts
    assert (protection, outcome.stream.codec) == ("clear", "t140")
    (said,) = (packet for packet in outcome.of(Evidence) if packet.packet == decided)
    assert (said.fate, said.clear_bits, said.leads, said.fit_bits) == ("scored", None, "", None)


def test_long_flow_in_a_small_ring_loses_no_record() -> None:
    payloads = ciphertext(5000, 60)
    packets: list[Packet] = packets_of(payloads, payload_type=OPUS)
    outcome = observe(packets, trace_flow=1, event_bytes=1 << 17)
    assert len(outcome.of(Evidence)) == 5000
    assert outcome.after["events_lost"] == 0
