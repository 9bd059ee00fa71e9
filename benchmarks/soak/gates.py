"""What has to stay flat, and how flat: each gate is a row that says what was seen and whether that is kept."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from benchmarks.soak.traffic import Leg

Sample = Mapping[tuple[str, ...], float]  # metrics: name and labels to value

MIB = 1 << 20
GROWTH = 8 * MIB
UNDECIDED = 0.01  # of the legs
ANSWER_S = 5.0  # half of what makes the watchdog doubt it
RECEIVED, DROPPED = "legwatch_received_packets_total", "legwatch_kernel_dropped_packets_total"
_BECAME = tuple(f"legwatch_{what}_packets_total" for what in ("classified", "ignored", "malformed", "shed"))
_VOICE = "voice/voice"


class Row(NamedTuple):
    """One gate."""

    name: str
    seen: str
    limit: str
    kept: bool


class Look(NamedTuple):
    """What a process has at a time, in seconds."""

    at_s: float
    memory: int  # octets
    descriptors: int
    threads: int


def flat(looks: Sequence[Look]) -> list[Row]:
    """Return the gates of what the process has, looked at at rest after warming up."""
    first, memory = looks[0], [look.memory for look in looks]
    slope = statistics.linear_regression([look.at_s for look in looks], memory).slope if len(looks) > 1 else 0.0
    trend = slope * (looks[-1].at_s - first.at_s)
    most = max(memory) - first.memory
    rows = [
        Row(
            "memory",
            f"{first.memory / MIB:.1f} MiB, {most / MIB:+.1f} at most, {trend / MIB:+.1f} by its slope",
            f"+{GROWTH / MIB:.0f} MiB each",
            max(most, trend) <= GROWTH,
        )
    ]
    for name in ("descriptors", "threads"):
        counts = [getattr(look, name) for look in looks]
        seen = f"{counts[0]}" if len(set(counts)) == 1 else f"{counts[0]}, then {min(counts)} to {max(counts)}"
        rows.append(Row(name, seen, "the same at every look", len(set(counts)) == 1))
    return rows


def account(before: Sample, after: Sample, sent: int) -> Row:
    """Return the gate of the packets: every one that was sent is told of."""
    received, dropped = (int(after[name,] - before[name,]) for name in (RECEIVED, DROPPED))
    became = int(sum(value for (name, *_), value in after.items() if name in _BECAME))
    return Row(
        "account",
        f"{sent:,} sent, {received:,} received, {dropped:,} dropped; {became:,} told of {int(after[RECEIVED,]):,}",
        "exact",
        received + dropped == sent and after[RECEIVED,] == became,
    )


def verdicts(sent: Counter[Leg], after: Sample) -> list[Row]:
    """Return the gates of what was said of the calls whose protection is known."""
    ended: Counter[Leg] = Counter()
    for (name, *labels), value in after.items():
        if name == "legwatch_legs_ended_total" and value and _VOICE in labels:
            observed, _, signalled = labels  # in the order of the labels' names
            ended[signalled, observed] += int(value)
    undecided = sum(count for (_, observed), count in ended.items() if observed not in {"clear", "encrypted"})
    wrong = sum((ended - sent).values()) - undecided
    legs, told = sent.total(), ended.total()
    return [
        Row("legs", f"{told:,} of {legs:,}", "every one", told == legs),
        Row("wrong verdicts", f"{wrong:,}", "none", wrong == 0),
        Row("no verdict", f"{undecided:,}", f"{UNDECIDED:.0%}", undecided <= UNDECIDED * legs),
    ]


def answers(name: str, took_s: Sequence[float], missing: int) -> Row:
    """Return the gate of how long the sensor took to answer."""
    longest = max(took_s, default=0.0)
    middle = statistics.median(took_s) if took_s else 0.0
    return Row(
        name,
        f"{len(took_s):,} answered, {missing:,} not; {middle * 1000:.0f} ms, {longest * 1000:.0f} ms at most",
        f"each within {ANSWER_S:.0f} s",
        bool(took_s) and missing == 0 and longest <= ANSWER_S,
    )


def sink(name: str, after: Sample, arrived: int) -> Row:
    """Return the gate of a sink: what it delivered arrived, nothing was lost, nothing waits."""
    delivered, dropped, waiting = (
        int(after[f"legwatch_sink_{what}", name])
        for what in ("delivered_events_total", "dropped_events_total", "waiting_events")
    )
    return Row(
        f"sink {name}",
        f"{delivered:,} delivered, {arrived:,} arrived, {dropped:,} dropped, {waiting:,} wait",
        "all arrived",
        bool(delivered) and delivered == arrived and not dropped and not waiting,
    )
