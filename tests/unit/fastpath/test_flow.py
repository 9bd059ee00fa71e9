"""The flow table: one flow for both directions, bounded, ended by packet time, never two with one number."""

import random
from collections.abc import Iterator

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from deploy.demo.wire import MS, SECOND
from fastpath.records import FlowEnded, FlowKey
from fastpath.source import BufferSource
from tests.packets import (
    A6,
    B6,
    T0,
    A,
    B,
    End,
    Packet,
    account,
    ethernet,
    finish,
    frame,
    new_engine,
    observe,
    stream,
    tcp,
    udp,
)

VLAN = 0x8100
OTHER = b"@@@@"  # begins like no protocol that is followed
IDLE_S = 10


def at(seconds: float, src: End = A, dst: End = B, *tags: tuple[int, int]) -> Packet:
    """A datagram of no particular application, in a frame."""
    return T0 + round(seconds * SECOND), ethernet(udp(OTHER, src, dst), *tags)


def host(number: int) -> End:
    """One of 2^24 hosts."""
    return End(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}", 5000)


@pytest.mark.parametrize(("one", "other"), [(A, B), (B, A), (A6, B6), (B6, A6), (A, A._replace(port=1))])
def test_both_directions_are_one_flow_and_a_is_who_sent_first(one: End, other: End) -> None:
    flow = observe([at(0, one, other), at(1, other, one), at(2, one, other)]).flow
    assert flow.key == FlowKey("udp", *one, *other, ())
    assert (flow.packets, flow.first_ns, flow.last_ns) == (3, T0, T0 + 2 * SECOND)


def test_flow_to_itself_is_one_flow() -> None:
    assert observe([at(0, A, A), at(1, A, A)]).flow.packets == 2


@pytest.mark.parametrize(
    "other",
    [
        at(0, A._replace(port=1)),
        at(0, A, B._replace(port=1)),
        at(0, A._replace(ip="192.0.2.11")),
        at(0, A, B._replace(ip="198.51.100.21")),
        at(0, A._replace(port=B.port), B._replace(port=A.port)),
        at(0, A, B, (VLAN, 20)),
        (T0, ethernet(tcp(OTHER))),
        at(0, A6, B6),
    ],
)
def test_another_address_port_protocol_or_vlan_is_another_flow(other: Packet) -> None:
    assert len(observe([at(0), other, at(1)]).of(FlowEnded)) == 2


def test_vlans_separate_and_priority_tags_do_not() -> None:
    tags = [(), ((VLAN, 0xE000),), ((VLAN, 1),), ((VLAN, 0x6001),), ((VLAN, 2), (VLAN, 1)), ((VLAN, 1), (VLAN, 2))]
    flows = observe([at(index, A, B, *tag) for index, tag in enumerate(tags)], flow_idle_s=300).of(FlowEnded)
    assert [(flow.key.vlans, flow.packets) for flow in flows] == [((), 2), ((1,), 2), ((2, 1), 1), ((1, 2), 1)]


def test_full_table_sheds_and_counts_new_flows_and_serves_the_old_ones() -> None:
    packets = [at(second, host(number)) for second in range(2) for number in range(8)]
    outcome = observe(packets, max_flows=5)
    assert outcome.reasons == {"shed.flow-table-full": 6}
    assert [flow.key.a for flow in outcome.of(FlowEnded)] == [host(number).ip for number in range(5)]
    assert all(flow.packets == 2 for flow in outcome.of(FlowEnded))


def test_full_table_has_room_again_when_a_flow_ended() -> None:
    packets = [
        at(0, host(1)),
        at(1, host(2)),
        at(IDLE_S + 3, host(2)),
        at(IDLE_S + 3.1, host(2)),
        at(IDLE_S + 4, host(3)),
    ]
    outcome = observe(packets, max_flows=1, flow_idle_s=IDLE_S, media_idle_s=IDLE_S)
    assert outcome.counters["flows_begun"] == 2
    assert outcome.counters["classified"] + outcome.counters["shed.flow-table-full"] == len(packets)


def test_idle_flow_ends_at_its_last_packet_plus_the_idle_time() -> None:
    engine = new_engine(flow_idle_s=IDLE_S, media_idle_s=IDLE_S)
    engine.process(BufferSource([at(0), at(3.25)]))
    engine.advance(T0 + 13 * SECOND)
    assert engine.drain() == []
    engine.advance(T0 + 16 * SECOND)
    (flow,) = engine.drain()
    assert isinstance(flow, FlowEnded)
    assert (flow.ts_ns, flow.last_ns) == (T0 + 13 * SECOND + 250 * MS, T0 + 3 * SECOND + 250 * MS)


MESSAGE = b"OPTIONS sip:b@example.com SIP/2.0\r\nCall-ID: a\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n"


@pytest.mark.parametrize(
    ("packets", "idle_s"),
    [
        (stream([b"\xff" * 160] * 10), 5),
        ([(T0 + 180 * MS, ethernet(udp(MESSAGE)))], 60),
        ([(T0 + 180 * MS, ethernet(tcp(MESSAGE)))], 60),
        ([at(0.18)], 5),
    ],
)
def test_idle_time_is_that_of_media_or_signalling_and_the_shorter_for_anything_else(
    packets: list[Packet], idle_s: int
) -> None:
    engine = new_engine(flow_idle_s=60, media_idle_s=5)
    engine.process(BufferSource(packets))
    engine.drain()
    ended = []
    for second in range(100):
        engine.advance(T0 + second * SECOND)
        ended += [record.ts_ns for record in engine.drain() if isinstance(record, FlowEnded)]
    assert ended == [T0 + 180 * MS + idle_s * SECOND]


def test_media_idle_longer_than_flow_idle_does_not_keep_other_flows() -> None:
    engine = new_engine(flow_idle_s=5, media_idle_s=100)
    engine.process(BufferSource([at(0)]))
    engine.advance(T0 + 8 * SECOND)
    assert [type(record) for record in engine.drain()] == [FlowEnded]


def test_flow_used_again_and_again_goes_on() -> None:
    flow = observe([at(second) for second in range(0, 2000, IDLE_S - 1)], flow_idle_s=IDLE_S, media_idle_s=IDLE_S).flow
    assert flow.packets == 223


@pytest.mark.parametrize("idle_s", [1, 30, 500])
@pytest.mark.parametrize("silence_s", [505, 513, 1024, 3000])
def test_silence_separates_two_flows_of_one_key(idle_s: int, silence_s: int) -> None:
    between = at(silence_s - 1, host(1))
    flows = observe([at(0), between, at(silence_s)], flow_idle_s=idle_s, media_idle_s=idle_s).of(FlowEnded)
    assert [flow.ts_ns - T0 for flow in flows if flow.key.a == A.ip] == [idle_s * SECOND, silence_s * SECOND]
    assert len({flow.flow for flow in flows}) == 3


@pytest.mark.parametrize("silence_s", [305, 3500, 4000, 100_000])
def test_silence_of_the_whole_capture_separates_two_flows_of_one_key(silence_s: int) -> None:
    flows = observe([at(0), at(silence_s), at(silence_s + 1), at(silence_s + 2)]).of(FlowEnded)
    assert [flow.packets for flow in flows] == [1, 3]


def test_closed_connection_ends_soon() -> None:
    packets: list[Packet] = [
        (T0 + second * SECOND, ethernet(tcp(MESSAGE if second == 0 else b"", *ends, seq=seq, flags=flags)))
        for second, (ends, seq, flags) in enumerate([((A, B), 1, 0x18), ((A, B), 90, 0x11), ((B, A), 1, 0x11)])
    ]
    engine = new_engine()
    engine.process(BufferSource(packets))
    engine.drain()
    engine.advance(T0 + 40 * SECOND)
    assert [record.ts_ns for record in engine.drain()] == [T0 + 7 * SECOND]


@pytest.mark.parametrize("wild_ns", [0, 1, T0 // 2, (2**32 - 1) * SECOND, 2**64 - 1])
def test_wild_timestamp_does_not_end_the_flows_of_the_present(wild_ns: int) -> None:
    wild: Packet = (wild_ns, at(0, host(9))[1])
    packets = [at(0), at(1), wild, at(2), at(3)] + [at(10 + index / 8, host(index)) for index in range(1600)]
    outcome = observe(packets, flow_idle_s=IDLE_S, media_idle_s=IDLE_S)
    assert next(flow.packets for flow in outcome.of(FlowEnded) if flow.key.a == A.ip) == 4
    assert outcome.counters["flows"] < 200


@pytest.mark.parametrize("back_s", [3, 600, 3599, 3601, 10**8])
def test_clock_set_back_ends_no_flow_that_goes_on_and_every_one_that_does_not(back_s: int) -> None:
    before = [at(second / 8, host(number)) for second in range(80) for number in (1, 2)]
    after = [at(10 + second / 8 - back_s, host(2)) for second in range(800)]
    engine = new_engine(flow_idle_s=IDLE_S, media_idle_s=IDLE_S)
    engine.process(BufferSource(before + after))
    (ended,) = (record for record in engine.drain() if isinstance(record, FlowEnded))
    assert (ended.key.a, ended.packets) == (host(1).ip, 80)
    (going_on,) = (record for record in finish(engine) if isinstance(record, FlowEnded))
    assert (going_on.packets, going_on.last_ns) == (880, after[-1][0])


def test_packets_that_are_late_in_turn_with_others_set_no_clock_back() -> None:
    packets = [at(100 + n / 100 - 20 * (n % 2), host(n % 2)) for n in range(400)]
    engine = new_engine()
    engine.process(BufferSource(packets))
    assert engine.now_ns == packets[-2][0]


def test_packets_that_are_ignored_let_time_pass() -> None:
    engine = new_engine(flow_idle_s=IDLE_S, media_idle_s=IDLE_S)
    arp = frame(0x0806, bytes(28))
    engine.process(BufferSource([at(0), *((T0 + second * SECOND, arp) for second in range(1, 40))]))
    assert engine.now_ns == T0 + 39 * SECOND
    assert [type(record) for record in engine.drain()] == [FlowEnded]


def test_idle_expiry_is_the_same_for_a_clock_that_begins_at_zero() -> None:
    packets = [at(0)] * 40 + [at(100, host(1)), at(101, host(1))] * 20 + [at(200, host(2))]
    from_zero: list[Packet] = [(packet[0] - T0, packet[1]) for packet in packets]
    ends = [flow.ts_ns for flow in observe(packets, flow_idle_s=30).of(FlowEnded)]
    assert [flow.ts_ns + T0 for flow in observe(from_zero, flow_idle_s=30).of(FlowEnded)] == ends


def test_packets_out_of_order_in_time_are_one_flow_with_the_latest_time_as_its_last() -> None:
    flow = observe([at(5), at(3), at(4)]).flow
    assert (flow.packets, flow.last_ns) == (3, T0 + 5 * SECOND)


def test_advance_backwards_changes_nothing() -> None:
    engine = new_engine()
    engine.process(BufferSource([at(50)]))
    engine.advance(T0)
    assert (engine.now_ns, engine.drain()) == (T0 + 50 * SECOND, [])


def test_advance_before_the_first_packet_is_allowed() -> None:
    engine = new_engine()
    engine.advance(T0)
    engine.process(BufferSource([at(1)]))
    assert engine.counters()["flows"] == 1


def test_finish_ends_every_flow_at_its_last_packet() -> None:
    flows = observe([at(index, host(index)) for index in range(20)]).of(FlowEnded)
    assert [flow.ts_ns for flow in flows] == [flow.last_ns for flow in flows] == [T0 + i * SECOND for i in range(20)]


def test_finish_in_pieces_says_every_flow_once() -> None:
    outcome = observe([at(0, host(index)) for index in range(5000)], event_bytes=1 << 17)
    assert sorted(flow.key.a for flow in outcome.of(FlowEnded)) == sorted(host(index).ip for index in range(5000))
    assert outcome.after["events_lost"] == 0


def test_packets_after_finish_begin_new_flows_with_new_numbers() -> None:
    engine = new_engine(flow_idle_s=IDLE_S, media_idle_s=IDLE_S)
    numbers = []
    for run in range(3):
        engine.process(BufferSource([at(100 * run + second) for second in range(5)]))
        numbers += [record.flow for record in finish(engine)]
    assert len(numbers) == len(set(numbers)) == 3


def test_packets_between_two_pieces_of_finish_do_no_harm() -> None:
    engine = new_engine(event_bytes=1 << 17, flow_idle_s=IDLE_S, media_idle_s=IDLE_S)
    engine.process(BufferSource([at(0, host(index)) for index in range(2000)]))
    assert engine.finish()
    ended = engine.drain()
    engine.process(BufferSource([at(100 + index, host(10_000 + index)) for index in range(100)]))
    ended += finish(engine) + finish(engine)
    numbers = [record.flow for record in ended if isinstance(record, FlowEnded)]
    assert len(numbers) == len(set(numbers)) == 2100


def test_many_flows_grow_the_index_and_each_is_found_again() -> None:
    count = 120_000

    def packets() -> Iterator[Packet]:
        for _ in range(2):
            for number in range(count):
                yield T0 + number, ethernet(udp(OTHER, host(number)))

    engine = new_engine(event_bytes=1 << 26)
    engine.process(BufferSource(packets()))
    assert engine.counters()["flows"] == engine.counters()["flows_begun"] == count
    seen = [record for record in finish(engine) if isinstance(record, FlowEnded)]
    assert len({flow.key for flow in seen}) == len({flow.flow for flow in seen}) == len(seen) == count
    assert {flow.packets for flow in seen} == {2}


class FlowTable(RuleBasedStateMachine):
    """The engine against a dictionary, with few keys, a small table and much time."""

    hosts, room, idle_s, late_s = 12, 6, 5, 2

    def __init__(self) -> None:
        super().__init__()
        self.engine = new_engine(max_flows=self.room, flow_idle_s=self.idle_s, media_idle_s=self.idle_s)
        self.now = 0
        self.open: dict[int, tuple[int, int]] = {}  # last second and packets
        self.kept: list[int] = []  # second at which the record of a flow that ended early is free at the latest
        self.shed = 0
        self.numbers: set[int] = set()

    def due(self, number: int, late_s: int = 0) -> bool:
        """Whether the flow's idle time was over so many seconds ago."""
        return self.open[number][0] + self.idle_s + late_s <= self.now

    def take_ends(self) -> set[int]:
        """Check the ends that the engine says against the model, and take them out of it."""
        ended = set()
        for record in self.engine.drain():
            assert isinstance(record, FlowEnded)
            number = int((record.key.a if record.key.a.startswith("10.") else record.key.b).rsplit(".", 1)[1])
            assert self.due(number)
            last, packets = self.open.pop(number)
            assert (record.ts_ns, record.packets) == (T0 + (last + self.idle_s) * SECOND, packets)
            assert record.flow not in self.numbers
            self.numbers.add(record.flow)
            ended.add(number)
        return ended

    @rule(number=st.integers(0, hosts - 1), reverse=st.booleans())
    def packet(self, number: int, reverse: bool) -> None:
        ends = (B, host(number)) if reverse else (host(number), B)
        must_end = number in self.open and self.due(number, 1)
        self.engine.process(BufferSource([at(self.now, *ends)]))
        if must_end or number in self.open:
            ended = self.take_ends()
            assert number in ended or not must_end
            if number in ended:
                self.kept.append(self.now + self.late_s)
        if self.engine.counters()["shed.flow-table-full"] > self.shed:
            self.shed += 1
            assert number not in self.open
            assert len(self.open) + sum(free_at > self.now for free_at in self.kept) >= self.room
        else:
            self.open[number] = self.now, self.open.get(number, (0, 0))[1] + 1

    @rule(seconds=st.sampled_from([1, 2, 8, 600]))
    def time_passes(self, seconds: int) -> None:
        self.now += seconds
        self.engine.advance(T0 + self.now * SECOND)
        must_end = {number for number in self.open if self.due(number, self.late_s)}
        assert self.take_ends() >= must_end

    @invariant()
    def table_and_account_agree(self) -> None:
        counters = self.engine.counters()
        assert counters["flows"] == len(self.open) <= self.room
        assert counters["shed.flow-table-full"] == self.shed
        assert counters["received"] == sum(account(counters).values())


TestFlowTable = FlowTable.TestCase
TestFlowTable.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)


def test_removal_keeps_every_other_flow_findable() -> None:
    # Linear probing moves entries up when one is removed; thousands of random lives would lose one if it moved wrongly.
    rng = random.Random(7)
    engine = new_engine(flow_idle_s=3, media_idle_s=3)
    now, begun = 0.0, 0
    last: dict[int, float] = {}
    for _ in range(300):
        batch = []
        for _ in range(32):
            now += 0.05
            number = rng.randrange(3000)
            batch.append(at(now, host(number)))
            begun += number not in last or now - last[number] > 6
            last[number] = now
        engine.process(BufferSource(batch))
    assert begun <= engine.counters()["flows_begun"] <= 300 * 32
    assert engine.counters()["flows"] < 3000
    ended = [record for record in engine.drain() + finish(engine) if isinstance(record, FlowEnded)]
    assert sum(flow.packets for flow in ended) == 300 * 32
