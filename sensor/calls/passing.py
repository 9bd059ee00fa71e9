"""Is a stream seen elsewhere, or later, the same one? Its counters tell (RFC 3550 sections 5.1 and 8)."""

from __future__ import annotations

from typing import Protocol

NS = 1_000_000_000
# A relay passes a stream on at once; the verdicts of its two sides may come seconds apart, if they are unlike.
PASSED_NS = 20 * NS
LATE_NS = NS // 4  # between a relay's two sides, and the jitter of both
MAX_PACKET_RATE, MAX_CLOCK, MIN_CLOCK = 400, 96_000, 8_000  # 2.5 ms a packet (RFC 7587); Hz
CLOCKS = (8_000, 16_000, 24_000, 32_000, 44_100, 48_000, 90_000)
DRIFT = 0.002  # between a sender's clock and the sensor's


class Judged(Protocol):
    """A stream at a moment."""

    @property
    def seq(self) -> int:
        """RTP sequence number."""

    @property
    def timestamp(self) -> int:
        """RTP timestamp."""

    @property
    def ts_ns(self) -> int:
        """Packet time."""


def is_passed_on(one: Judged, other: Judged) -> bool:
    """Say whether two streams of one SSRC are the same packets: sequence and timestamp went on as the time did.

    By chance they did so with a probability below 2^-10, and the SSRC is the same with one of 2^-32. Senders that give
    every stream one SSRC begin them anew: those are told by the time between them.
    """
    if one.ts_ns > other.ts_ns:
        one, other = other, one
    passed_ns = other.ts_ns - one.ts_ns
    packets, units = _apart(other.seq, one.seq, 16), _apart(other.timestamp, one.timestamp, 32)
    least_ns, most_ns = passed_ns - LATE_NS, passed_ns + LATE_NS
    return (
        passed_ns <= PASSED_NS
        and -LATE_NS * MAX_PACKET_RATE <= packets * NS <= most_ns * MAX_PACKET_RATE
        and min(least_ns * MIN_CLOCK, least_ns * MAX_CLOCK) <= units * NS <= most_ns * MAX_CLOCK
    )


def went_on(timestamp: int, ts_ns: int, later: Judged) -> bool:
    """Say whether a stream that had a timestamp at some time has the later one at the rate of a media clock."""
    passed_ns = later.ts_ns - ts_ns
    units = (later.timestamp - timestamp) & 0xFFFFFFFF
    slack_ns = LATE_NS + passed_ns * DRIFT
    return passed_ns > 0 and any(abs(units * NS / clock - passed_ns) <= slack_ns for clock in CLOCKS)


def _apart(one: int, other: int, bits: int) -> int:
    """Return how far a counter that wraps is ahead of another."""
    apart = (one - other) & ((1 << bits) - 1)
    return apart - (1 << bits) if apart >> (bits - 1) else apart
