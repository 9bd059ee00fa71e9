"""Calls through one media relay: packets in, what is said of the calls out."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest

from deploy.demo.wire import MS
from fastpath.source import BufferSource
from sensor.analysis import Analysis
from sensor.config.schema import Policy
from tests import packets
from tests.packets import End, Packet
from tests.unit.sensor.traffic import Heard, Message, sdes, sdp, sip

RELAY = "10.0.5.1"
CALLS = 20
PACKETS = 60
T0 = packets.T0


class Relayed:
    """A call of two phones through the relay, which keeps SSRC, sequence numbers and timestamps."""

    def __init__(self, number: int, *, near: bool, far: bool, start_ns: int) -> None:
        self.near, self.far = near, far  # whether each side is encrypted
        self.caller = End(f"10.0.1.{number + 1}", 16384)
        self.callee = End(f"10.0.2.{number + 1}", 16390)
        self.to_caller = End(RELAY, 30000 + 4 * number)
        self.to_callee = End(RELAY, 30002 + 4 * number)
        self.rng = random.Random(number)
        self.number = number
        self.start_ns = start_ns

    def media(self) -> Iterator[Packet]:
        """Yield both directions on both sides."""
        for source, sender in ((self.caller, self.callee), (self.callee, self.caller)):
            ssrc, first, stamp = self.rng.getrandbits(32), self.rng.getrandbits(16), self.rng.getrandbits(32)
            speech = packets.speech(PACKETS, seed=1 + self.rng.randrange(4))
            from_caller = source is self.caller
            hops = (
                (source, self.to_caller if from_caller else self.to_callee, self.near if from_caller else self.far, 0),
                (
                    self.to_callee if from_caller else self.to_caller,
                    sender,
                    self.far if from_caller else self.near,
                    2 * MS,
                ),
            )
            for src, dst, is_encrypted, late_ns in hops:
                for i, payload in enumerate(speech):
                    octets = self.rng.randbytes(170) if is_encrypted else payload
                    rtp = packets.rtp(first + i, octets, timestamp=stamp + 160 * i, ssrc=ssrc)
                    yield self.start_ns + 20 * MS * i + late_ns, packets.ethernet(packets.udp(rtp, src, dst))

    def signalling(self) -> Iterator[Packet]:
        """Yield the two dialogues of a B2BUA, each with a Call-ID of its own."""
        offer, answer = (
            (self.caller, self.to_caller, self.near),
            (self.to_callee, self.callee, self.far),
        )
        for side, (inviting, answering, is_encrypted) in enumerate((offer, answer)):
            session = sdes if is_encrypted else sdp
            hosts = (inviting.ip, answering.ip)
            call_id, tags = f"call-{self.number}-{side}", (f"f{side}", f"t{side}")
            users = (f"caller{self.number}", f"callee{self.number}")
            at_ns = self.start_ns - 500 * MS + 20 * MS * side
            messages = [
                sip("INVITE", session(*inviting), tags=(tags[0], ""), call_id=call_id, source=hosts[0],
                    target=hosts[1], ts_ns=at_ns, users=users),
                sip("200 INVITE", session(*answering), tags=tags, call_id=call_id, source=hosts[1], target=hosts[0],
                    ts_ns=at_ns + 200 * MS, users=users),
            ]  # fmt: skip
            yield from map(datagram, messages)


def datagram(message: Message) -> Packet:
    ends = (End(host, 5060) for host in (message.source, message.target))
    return message.ts_ns, packets.ethernet(packets.udp(message.octets(), *ends))


def heard(calls: list[Relayed], *, with_sip: bool) -> Heard:
    """Return what is said of calls, to the end of the input."""
    sink, engine = Heard(), packets.new_engine(every_message=False)
    analysis = Analysis(Policy(), [sink], pseudonym=lambda name, _kind: name)
    frames = [frame for call in calls for frame in call.media()]
    frames += [frame for call in calls if with_sip for frame in call.signalling()]
    assert engine.process(BufferSource(sorted(frames))) == -1
    for record in packets.finish(engine):
        analysis.feed(record)
    analysis.close()
    return sink


def calls(start_ns: int = T0) -> list[Relayed]:
    """Return calls at one time, the first half encrypted on both sides, the other half on none."""
    return [
        Relayed(number, near=number < CALLS // 2, far=number < CALLS // 2, start_ns=start_ns + number * 3 * MS)
        for number in range(CALLS)
    ]


def half_protected(sink: Heard) -> list[set[str]]:
    return [
        {finding.subject.a, finding.subject.b} for finding in sink.findings if finding.code == "media-half-protected"
    ]


@pytest.mark.parametrize("with_sip", [False, True], ids=["unseen-signalling", "b2bua"])
def test_calls_through_one_relay_at_one_time_are_not_half_protected(with_sip: bool) -> None:
    sink = heard(calls(), with_sip=with_sip)
    assert half_protected(sink) == []
    assert sum(len(call.legs) == 2 for call in sink.calls) == CALLS
    assert {leg.observed for leg in sink.legs} == {"clear", "encrypted"}


@pytest.mark.parametrize("with_sip", [False, True], ids=["unseen-signalling", "b2bua"])
def test_half_protected_call_among_them_is_found_with_both_its_sides(with_sip: bool) -> None:
    half = Relayed(CALLS, near=True, far=False, start_ns=T0 + 10 * MS)
    sink = heard([*calls(), half], with_sip=with_sip)
    assert half_protected(sink) == [{RELAY, half.callee.ip}]
    (finding,) = [each for each in sink.findings if each.code == "media-half-protected"]
    assert finding.evidence[0].startswith("joined by ")
    assert f"between {half.caller.ip} and {RELAY} media is encrypted" in finding.evidence[0]


def test_streams_of_one_ssrc_that_began_at_other_times_are_not_one() -> None:
    """Devices that give every stream the same SSRC and begin at sequence number 0."""
    sender, rng = [], random.Random(3)
    for number in range(2):
        speech = packets.speech(PACKETS) if number else packets.ciphertext(PACKETS)
        ends = End(f"10.0.1.{number + 1}", 16384), End(RELAY, 30000 + 2 * number)
        start_ns = T0 + number * 700 * MS + rng.randrange(MS)
        sender += packets.stream(speech, start_ns=start_ns, first=0, src=ends[0], dst=ends[1], ssrc=1)
    sink, engine = Heard(), packets.new_engine(every_message=False)
    analysis = Analysis(Policy(), [sink], pseudonym=lambda name, _kind: name)
    engine.process(BufferSource(sorted(sender)))
    for record in packets.finish(engine):
        analysis.feed(record)
    analysis.close()
    assert (len(sink.legs), half_protected(sink), sink.calls) == (2, [], [])
