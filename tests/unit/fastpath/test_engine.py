"""The engine as its caller sees it: the account, the order and the loss of records, threads, and reproducibility."""

import threading
from pathlib import Path

import pytest

from deploy.demo.wire import MS, SECOND
from fastpath.block import PacketSource
from fastpath.engine import Engine
from fastpath.records import AppSeen, Attempt, FlowEnded, Negotiation, Record, SipMessage, Verdict
from fastpath.source import BufferSource, PcapFile
from tests.packets import (
    SECRET,
    T0,
    End,
    Packet,
    account,
    ciphertext,
    ethernet,
    finish,
    frame,
    new_engine,
    observe,
    speech,
    stream,
    tcp,
    udp,
)

CLINIC = Path(__file__).parents[3] / "deploy" / "demo" / "clinic.pcap"
MESSAGE = b"OPTIONS sip:b@example.com SIP/2.0\r\nCall-ID: a\r\nCSeq: %d OPTIONS\r\nContent-Length: 0\r\n\r\n"


def read(engine: Engine, source: PacketSource, budget: int = 1 << 20) -> list[Record]:
    """Run a source to its end and the engine to its."""
    records = []
    while (status := engine.process(source, budget)) == 1:
        records += engine.drain()
    assert status == -1
    return records + finish(engine)


def messages(count: int, *, first: int = 0) -> list[Packet]:
    """SIP messages over UDP, all of one flow."""
    return [(T0 + n * MS, ethernet(udp(MESSAGE % n))) for n in range(first, first + count)]


# The account


def test_account_of_the_clinic_adds_up() -> None:
    engine = new_engine()
    source = PcapFile(CLINIC)
    read(engine, source)
    counters = engine.counters()
    assert counters["received"] == source.packets == sum(account(counters).values())
    assert counters["classified"] > 0
    assert counters["ignored.arp"] > 0


def test_account_adds_up_whatever_comes() -> None:
    packets: list[Packet] = [
        *stream(speech(20)),
        (T0, frame(0x0806, bytes(28))),
        (T0, b""),
        (T0, b"\0" * 13),
        (T0, udp(b"x"), 0, 101),
        (T0, udp(b"x"), 0, 9999),
        (T0, ethernet(udp(b"x"))[:20], 1500),
    ]
    outcome = observe(packets, max_flows=1)
    assert sum(outcome.reasons.values()) + outcome.counters["classified"] == len(packets)


def test_octets_are_those_on_the_wire() -> None:
    outcome = observe([(T0, ethernet(udp(b"x" * 100))[:60], 142), (T0, b"", 1500)])
    assert (outcome.counters["octets"], outcome.flow.octets) == (1642, 142)


# Records


def test_records_come_in_the_order_of_their_packets() -> None:
    packets = sorted(messages(200) + stream(speech(50), src=End("192.0.2.77", 4000), ssrc=7))
    outcome = observe(packets)
    times = [record.ts_ns for record in outcome.records if not isinstance(record, FlowEnded)]
    assert times == sorted(times)
    assert [found.cseq for found in outcome.of(SipMessage)] == list(range(200))


def test_flow_is_said_before_its_verdict_and_its_end_comes_last() -> None:
    kinds = [type(record) for record in observe(stream(ciphertext(20, 160))).records]
    assert kinds == [AppSeen, Verdict, Verdict, FlowEnded]


def test_drain_gives_each_record_once() -> None:
    engine = new_engine()
    engine.process(BufferSource(messages(10)))
    assert len([record for record in engine.drain() if isinstance(record, SipMessage)]) == 10
    assert engine.drain() == []


def test_full_buffer_stops_processing_until_it_is_drained() -> None:
    engine, source = new_engine(event_bytes=1 << 17), BufferSource(messages(5000))
    assert engine.process(source) == 1
    assert engine.process(source) == 1
    taken = engine.counters()["received"]
    assert 0 < taken < 5000
    assert engine.drain()
    engine.process(source)
    assert engine.counters()["received"] > taken
    assert engine.counters()["events_lost"] == 0


def test_records_without_room_are_counted_and_packets_go_on() -> None:
    # One segment with more messages in it than the whole buffer has room for.
    count = 1650
    crowded = b"ACK sip:b SIP/2.0\r\ni:a\r\nCSeq:1 ACK\r\n\r\n" * count
    engine = new_engine(event_bytes=1 << 17)
    engine.process(BufferSource([(T0, ethernet(tcp(crowded)))]))
    said = engine.drain()
    lost = engine.counters()["events_lost"]
    assert lost > 0
    assert len(said) + lost == 2 + count  # what the flow carries, that it is in clear, and each message
    assert engine.counters()["sip_messages"] == count
    engine.process(BufferSource(messages(5)))
    assert len([record for record in engine.drain() if isinstance(record, SipMessage)]) == 5
    assert engine.counters()["events_lost"] == lost


def test_expiry_waits_while_the_buffer_is_full_and_loses_nothing() -> None:
    flows: list[Packet] = [(T0, ethernet(udp(b"@@@@", End(f"10.0.{n >> 8}.{n & 255}", 5000)))) for n in range(4000)]
    engine = new_engine(event_bytes=1 << 17)
    engine.process(BufferSource(flows))
    ended = 0
    for turn in range(100):
        engine.advance(T0 + (400 + turn) * SECOND)
        ended += len(engine.drain())
    assert (ended, engine.counters()["events_lost"], engine.counters()["flows"]) == (4000, 0, 0)


# Reproducibility


@pytest.mark.parametrize("budget", [1, 5, 33, 1000])
def test_same_capture_gives_equal_records_whatever_the_budget(budget: int) -> None:
    whole = read(new_engine(), PcapFile(CLINIC))
    assert len(whole) > 20
    assert read(new_engine(), PcapFile(CLINIC), budget) == whole


def test_same_capture_gives_the_same_with_another_secret_but_for_digests() -> None:
    with_digests = (SipMessage, Negotiation, Attempt)
    mine, other = (read(engine, PcapFile(CLINIC)) for engine in (new_engine(secret=None), new_engine()))
    assert [record for record in mine if not isinstance(record, with_digests)] == [
        record for record in other if not isinstance(record, with_digests)
    ]


def test_packets_one_at_a_time_give_the_same_as_all_at_once() -> None:
    packets = sorted(
        messages(40) + stream(speech(200), ssrc=1) + stream(ciphertext(200), ssrc=2, src=End("192.0.2.8", 9))
    )
    engine, records = new_engine(), []
    for packet in packets:
        engine.process(BufferSource([packet]))
        records += engine.drain()
    assert records + finish(engine) == observe(packets).records


def test_two_engines_know_nothing_of_each_other() -> None:
    packets = stream(speech(40))
    first, second = new_engine(), new_engine()
    first.process(BufferSource(packets[:20]))
    second.process(BufferSource(packets[20:]))
    (one,) = [record for record in finish(first) if isinstance(record, FlowEnded)]
    (other,) = [record for record in finish(second) if isinstance(record, FlowEnded)]
    assert (one.packets, other.packets, one.flow, other.flow) == (20, 20, 1, 1)


# Threads


def test_drain_in_one_thread_while_another_processes() -> None:
    whole = read(new_engine(), BufferSource(messages(20_000)))
    engine, source = new_engine(event_bytes=1 << 17), BufferSource(messages(20_000))
    done = threading.Event()

    def capture() -> None:
        while engine.process(source, 100) == 1:
            pass
        done.set()

    thread = threading.Thread(target=capture)
    thread.start()
    records = []
    while not done.is_set():
        records += engine.drain()
    thread.join()
    records += finish(engine)
    assert engine.counters()["events_lost"] == 0
    assert records == whole


# Arguments


@pytest.mark.parametrize("event_bytes", [0, 1 << 16, (1 << 17) + 1])
def test_event_buffer_that_is_no_power_of_two_or_too_small_is_refused(event_bytes: int) -> None:
    with pytest.raises(ValueError, match="event_bytes"):
        Engine(event_bytes=event_bytes)


@pytest.mark.parametrize("idle_s", [0, 0.5, 501, -1, float("nan"), float("inf")])
def test_idle_time_out_of_range_is_refused(idle_s: float) -> None:
    with pytest.raises(ValueError, match="idle times"):
        Engine(media_idle_s=idle_s)
    with pytest.raises(ValueError, match="idle times"):
        Engine(flow_idle_s=idle_s)


@pytest.mark.parametrize("room", [0, (1 << 28) + 1])
def test_table_size_out_of_range_is_refused(room: int) -> None:
    with pytest.raises(ValueError, match="max_flows"):
        Engine(max_flows=room)
    with pytest.raises(ValueError, match="max_streams"):
        Engine(max_streams=room)


def test_secret_of_wrong_length_is_refused() -> None:
    with pytest.raises(ValueError, match="secret"):
        Engine(secret=SECRET[1:])


def test_broken_source_ends_processing_with_its_error() -> None:
    source = BufferSource([*messages(3), "no packet"])  # type: ignore[list-item]
    engine = new_engine()
    assert engine.process(source) == -2
    assert source.error
    assert engine.counters()["received"] == 3
