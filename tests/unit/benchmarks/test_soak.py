"""The gates of the soak: kept at their limits, failed beyond them; the calls whose truth they go by."""

from __future__ import annotations

from collections import Counter

import pytest

from benchmarks.soak import gates
from benchmarks.soak.gates import DROPPED, GROWTH, MIB, RECEIVED, Look, Row
from benchmarks.soak.traffic import Leg, Noise, cycle

LEGS: Counter[Leg] = Counter({("clear", "clear"): 70, ("srtp-sdes", "encrypted"): 70, ("srtp-sdes", "clear"): 60})
ENDED = "legwatch_legs_ended_total"


def looks(*memory: int, descriptors: tuple[int, ...] = (), threads: tuple[int, ...] = ()) -> list[Look]:
    """A look a second."""
    return [
        Look(
            float(at),
            octets,
            descriptors[at] if descriptors else 9,
            threads[at] if threads else 5,
        )
        for at, octets in enumerate(memory)
    ]


def hosts(octets: bytes) -> tuple[bytes, bytes]:
    """Both addresses of a frame."""
    at = octets.index(b"\x08\0") + 2
    return octets[at + 12 : at + 16], octets[at + 16 : at + 20]


def kept(rows: list[Row]) -> dict[str, bool]:
    return {row.name: row.kept for row in rows}


def ended(legs: Counter[Leg], segments: str = "voice/voice") -> dict[tuple[str, ...], float]:
    """The metric, its labels in the order of their names."""
    return {(ENDED, observed, segments, signalled): float(count) for (signalled, observed), count in legs.items()}


@pytest.mark.parametrize(("memory", "flat"), [
    ((100 * MIB,) * 4, True),
    ((100 * MIB, 100 * MIB + GROWTH, 100 * MIB, 100 * MIB), True),
    ((100 * MIB, 100 * MIB + GROWTH + 1, 100 * MIB, 100 * MIB), False),
    ((100 * MIB, 100 * MIB, 104 * MIB, 108 * MIB), False),  # by its slope
    ((200 * MIB, 100 * MIB, 100 * MIB, 100 * MIB), True),
])  # fmt: skip
def test_memory_is_flat_by_its_most_and_by_its_slope(memory: tuple[int, ...], *, flat: bool) -> None:
    assert kept(gates.flat(looks(*memory)))["memory"] is flat


@pytest.mark.parametrize("name", ["descriptors", "threads"])
def test_one_more_at_one_look_is_a_leak(name: str) -> None:
    counts = {name: (7, 7, 8, 7)}
    assert kept(gates.flat(looks(*[MIB] * 4, **counts))) == {
        "memory": True, "descriptors": name != "descriptors", "threads": name != "threads",
    }  # fmt: skip


@pytest.mark.parametrize(("received", "dropped", "classified", "exact"), [
    (100, 0, 107, True),
    (98, 2, 105, True),
    (98, 1, 105, False),  # one went nowhere
    (100, 0, 106, False),  # one was not told of
])  # fmt: skip
def test_account_is_exact(received: int, dropped: int, classified: int, *, exact: bool) -> None:
    before: dict[tuple[str, ...], float] = {(RECEIVED,): 10.0, (DROPPED,): 1.0}
    after: dict[tuple[str, ...], float] = {
        (RECEIVED,): 10.0 + received,
        (DROPPED,): 1.0 + dropped,
        ("legwatch_classified_packets_total",): float(classified),
        ("legwatch_ignored_packets_total", "arp"): 1.0,
        ("legwatch_ignored_packets_total", "icmp"): 1.0,
        ("legwatch_malformed_packets_total", "udp"): 1.0,
    }
    assert gates.account(before, after, 100).kept is exact


def test_verdicts_that_are_what_was_sent_are_kept() -> None:
    assert kept(gates.verdicts(LEGS, ended(LEGS))) == {"legs": True, "wrong verdicts": True, "no verdict": True}


def test_legs_elsewhere_are_not_counted() -> None:
    assert all(kept(gates.verdicts(LEGS, ended(LEGS) | ended(Counter({("unknown", "clear"): 9}), "other"))).values())


@pytest.mark.parametrize("wrong", [("clear", "encrypted"), ("srtp-sdes", "encrypted"), ("unknown", "clear")])
def test_one_wrong_verdict_or_promise_fails(wrong: Leg) -> None:
    said = LEGS - Counter([("srtp-sdes", "clear")]) + Counter([wrong])
    assert kept(gates.verdicts(LEGS, ended(said))) == {"legs": True, "wrong verdicts": False, "no verdict": True}


@pytest.mark.parametrize(("count", "bound"), [(2, True), (3, False)])
def test_one_in_a_hundred_may_have_no_verdict(count: int, *, bound: bool) -> None:
    said = LEGS - Counter({("clear", "clear"): count}) + Counter({("clear", "undetermined"): count})
    assert kept(gates.verdicts(LEGS, ended(said))) == {"legs": True, "wrong verdicts": True, "no verdict": bound}


def test_leg_that_is_never_told_of_fails() -> None:
    assert not kept(gates.verdicts(LEGS, ended(LEGS - Counter([("clear", "clear")]))))["legs"]


@pytest.mark.parametrize(
    ("took_s", "missing", "well"), [([0.1, 5.0], 0, True), ([5.1], 0, False), ([0.1], 1, False), ([], 0, False)]
)
def test_every_answer_is_in_time(took_s: list[float], missing: int, *, well: bool) -> None:
    assert gates.answers("scrapes", took_s, missing).kept is well


@pytest.mark.parametrize(("delivered", "dropped", "waiting", "well"), [
    (10, 0, 0, True), (11, 0, 0, False), (10, 1, 0, False), (10, 0, 1, False),
])  # fmt: skip
def test_what_was_delivered_arrived_and_nothing_waits(
    delivered: int, dropped: int, waiting: int, *, well: bool
) -> None:
    after: dict[tuple[str, ...], float] = {
        ("legwatch_sink_delivered_events_total", "webhook"): float(delivered),
        ("legwatch_sink_dropped_events_total", "webhook"): float(dropped),
        ("legwatch_sink_waiting_events", "webhook"): float(waiting),
    }
    assert gates.sink("webhook", after, 10).kept is well


def test_cycles_have_the_same_phones_and_other_calls() -> None:
    first, second = (cycle(number) for number in (0, 1))
    assert first.legs == second.legs
    assert set(first.legs.values()) == {8, 56}
    assert len({frozenset(hosts(octets) for _, octets in made.frames) for made in (first, second)}) == 1
    assert not {octets for _, octets in first.frames} & {octets for _, octets in second.frames}


def test_noise_speaks_of_no_call_that_counts() -> None:
    noise = Noise(1)
    frames = [octets for number in range(2000) for octets in noise.between(number)]
    assert len(frames) > 500
    assert not [
        octets for octets in frames if b"\x08\0" in octets[:18] and any(host[0] == 10 for host in hosts(octets))
    ]
    assert not [octets for octets in frames if b"10.16.0." in octets or b"10.0.0." in octets]
