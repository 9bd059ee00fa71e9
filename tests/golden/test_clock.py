"""The clock of packets is set while they come: calls are judged as ever, and nothing stays open that is over."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from fastpath.source import BufferSource
from sensor.capture.clock import PacketTime
from sensor.commands.pipeline import Pipeline
from sensor.config.load import parse_config
from sensor.model import Finding, Leg, QuietSink, Step
from tests.live.lab import Frames, read_capture

CLINIC = Path(__file__).parents[2] / "deploy" / "demo" / "clinic.pcap"
MS, S = 1_000_000, 1_000_000_000
HOUR_NS = 3600 * S
STEP_NS = 100 * MS  # between two looks at the records
QUIET_S = 900
BEAT = bytes.fromhex("ffffffffffff020000000001080600010800060400010200000000010a0000010000000000000a000002")
LASTING = {"cert-untrusted", "cert-expiring", "cert-expired", "not-observable"}
CONFIG = parse_config("policy: {no_traffic_after: 300, no_voice_after: 3000, resolve_after: 60}", "f")
SETTLE_S = 10
Stamp = Callable[[int, int], int]


class Told(QuietSink):
    """What was said of legs and findings."""

    def __init__(self) -> None:
        self.legs: dict[tuple[str, ...], set[str]] = {}
        self.ended = 0
        self.opened: list[tuple[str, str]] = []
        self.open: dict[str, str] = {}

    def leg_ended(self, leg: Leg) -> None:
        self.ended += 1
        self.legs.setdefault((*sorted((leg.a, leg.b)), leg.media), set()).add(leg.observed)

    def finding_changed(self, finding: Finding, change: Step) -> None:
        if change == "opened":
            self.opened.append((finding.code, json.dumps(finding.subject, default=str)))
            self.open[finding.id] = finding.code
        elif change == "resolved":
            del self.open[finding.id]


def watched(frames: Frames) -> Frames:
    """Return what a link carries for a while: the calls, and something of no interest every second."""
    first, last = frames[0][0], frames[-1][0]
    beats = [(at, BEAT) for at in range(first, last + QUIET_S * S, S)]
    return sorted([*frames, *beats], key=lambda frame: frame[0])


def told(frames: Frames, stamp: Stamp) -> Told:
    """Return what a running sensor says of frames; ``stamp`` makes their times of their numbers and true times."""
    pipeline, out = Pipeline(CONFIG), Told()
    engine, analysis = pipeline.engine(), pipeline.analysis((out,), "span0")
    analysis.settle(SETTLE_S)
    now_ns = frames[0][0]
    engine.advance(stamp(0, now_ns))
    packet_time = PacketTime(engine, now_ns)
    at, looks = 0, 0
    while at < len(frames):
        now_ns += STEP_NS
        part: Frames = []
        while at < len(frames) and frames[at][0] <= now_ns:
            part.append((stamp(at, frames[at][0]), frames[at][1]))
            at += 1
        engine.process(BufferSource(part))
        packet_time.follow(now_ns, quiet=False)
        looks += 1
        if looks % 10 == 0:  # the ring is woken once a second
            packet_time.follow(now_ns, quiet=True)
            analysis.counters(engine.counters())
        for record in engine.drain():
            analysis.feed(record)
        analysis.advance(engine.now_ns)
    return out


CALLS = read_capture(CLINIC)
FRAMES = watched(CALLS)
MIDDLE_NS = (CALLS[0][0] + CALLS[-1][0]) // 2


def set_by(step_ns: int) -> Stamp:
    return lambda _number, ts_ns: ts_ns + step_ns * (ts_ns > MIDDLE_NS)


def one_at(other_ns: int) -> Stamp:
    middle = next(number for number, frame in enumerate(FRAMES) if frame[0] > MIDDLE_NS)
    return lambda number, ts_ns: other_ns if number == middle else ts_ns


STEPS = {
    "hour-forth": set_by(HOUR_NS + S),
    "ten-minutes-forth": set_by(600 * S),
    "hour-back": set_by(-HOUR_NS - S),
    "year-back": set_by(-8760 * HOUR_NS),
    "ten-minutes-back": set_by(-600 * S),
    "leap-second": set_by(-S),
    "packet-of-the-future": one_at(CALLS[0][0] + 87600 * HOUR_NS),
    "packet-of-the-past": one_at(1),
}
PLAIN = told(FRAMES, lambda _number, ts_ns: ts_ns)


@pytest.mark.parametrize("step", STEPS)
def test_clock_that_is_set_loses_no_leg_changes_no_verdict_and_leaves_nothing_open(step: str) -> None:
    after = told(FRAMES, STEPS[step])
    assert after.legs == PLAIN.legs
    assert after.ended <= PLAIN.ended + 1  # the call that goes on meanwhile may be two
    assert set(after.opened) == set(PLAIN.opened)
    assert max(Counter(after.opened).values()) <= 2
    assert set(after.open.values()) <= LASTING


@pytest.mark.parametrize("step", ["leap-second", "packet-of-the-past", "packet-of-the-future"])
def test_leap_and_broken_stamp_say_nothing_twice(step: str) -> None:
    assert Counter(told(FRAMES, STEPS[step]).opened) == Counter(PLAIN.opened)
