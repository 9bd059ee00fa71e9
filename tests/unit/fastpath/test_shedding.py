"""What is left out when packets come faster than they are read, and what never is."""

from __future__ import annotations

import pytest

from deploy.demo.wire import MS, SECOND
from fastpath.records import FlowEnded, SipMessage
from fastpath.source import BufferSource
from tests.packets import T0, A, B, End, Packet, ethernet, new_engine, rtp, speech, stream, udp

OPTIONS = b"OPTIONS sip:b@example.com SIP/2.0\r\ni: 1\r\nCSeq: 1 OPTIONS\r\n\r\n"


def host(number: int) -> End:
    return End(f"192.0.{number >> 8 & 0xFF}.{number & 0xFF}", 16384)


def first_packets(count: int, start_ns: int = T0) -> list[Packet]:
    return [
        (start_ns + number, ethernet(udp(rtp(1, bytes(160), ssrc=number), host(number)))) for number in range(count)
    ]


@pytest.mark.parametrize(("eighths", "stage"), [(0, 0), (1, 0), (2, 1), (3, 1), (4, 2), (5, 2), (6, 3), (7, 3)])
def test_stage_follows_what_waits(eighths: int, stage: int) -> None:
    engine = new_engine()
    engine.process(BufferSource(first_packets(3), eighths))
    assert engine.counters()["overload_stage"] == stage


def test_stage_ends_step_by_step_after_calm_seconds() -> None:
    engine = new_engine()
    engine.process(BufferSource(first_packets(3), 7))
    stages = []
    for second in range(1, 20):
        engine.process(BufferSource(first_packets(1, T0 + second * SECOND), 0))
        stages.append(engine.counters()["overload_stage"])
    assert stages[0] == 3
    assert stages[-1] == 0
    assert stages == sorted(stages, reverse=True)
    assert stages.count(2) == stages.count(1) == 5


def test_stage_stays_while_more_than_half_of_what_it_takes_waits() -> None:
    engine = new_engine()
    engine.process(BufferSource(first_packets(3), 4))
    for second in range(1, 20):
        engine.process(BufferSource(first_packets(1, T0 + second * SECOND), 3))
    assert engine.counters()["overload_stage"] == 2


def test_stage_ends_on_a_link_that_fell_silent() -> None:
    engine = new_engine()
    engine.process(BufferSource(first_packets(3), 3))
    engine.advance(T0 + 6 * SECOND)
    assert engine.counters()["overload_stage"] == 0


def test_new_media_beyond_the_rate_is_kept_out_and_counted_and_comes_in_later() -> None:
    engine = new_engine()
    engine.process(BufferSource(first_packets(1), 7))
    engine.process(BufferSource(first_packets(500), 7))
    counters = engine.counters()
    assert counters["shed.new-media"] == 500 - 1 - 200
    assert counters["received"] == counters["classified"] + counters["shed.new-media"] == 501
    engine.process(BufferSource(first_packets(500, T0 + SECOND), 7))
    assert engine.counters()["flows"] == 401


def test_signalling_and_known_flows_are_never_left_out() -> None:
    known = stream(speech(100))
    engine = new_engine(every_message=True)
    engine.process(BufferSource(known[:50], 7))
    engine.process(BufferSource(first_packets(500, T0 + SECOND), 7))
    calls = [(T0 + SECOND + 600 + n, ethernet(udp(OPTIONS, host(1000 + n), B))) for n in range(300)]
    engine.process(BufferSource(calls, 7))
    engine.process(BufferSource(known[50:], 7))
    engine.finish()
    records = engine.drain()
    assert len([each for each in records if isinstance(each, SipMessage)]) == 300
    (media,) = [each for each in records if isinstance(each, FlowEnded) and each.key.a == A.ip]
    assert (media.packets, media.protection) == (100, "clear")


@pytest.mark.parametrize("eighths", [2, 4, 6])
def test_verdict_under_overload_is_the_verdict(eighths: int) -> None:
    engine = new_engine()
    engine.process(BufferSource(stream(speech(400)), eighths))
    counters = engine.counters()
    assert (counters["overload_statistics"] > 0, counters["overload_looks"] > 0) == (True, eighths >= 4)
    engine.finish()
    (flow,) = [each for each in engine.drain() if isinstance(each, FlowEnded)]
    assert (flow.protection, flow.streams[0].packets, flow.streams[0].lost) == ("clear", 400, 0)


def test_downgrade_by_its_lengths_is_seen_without_looks() -> None:
    sealed = [bytes((7 * octet + number * 31) % 251 for octet in range(170)) for number in range(200)]
    packets = stream(sealed + speech(200))
    engine = new_engine()
    engine.process(BufferSource(packets, 4))
    engine.finish()
    (flow,) = [each for each in engine.drain() if isinstance(each, FlowEnded)]
    assert flow.protection == "clear"
    assert packets[-1][0] == T0 + 399 * 20 * MS
