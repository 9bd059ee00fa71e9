"""The sensor's own health, from the engine's counters to findings: silence, loss, the mirror, the clock."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sensor.model import Subject
from sensor.policy import health

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sensor.config.schema import Policy
    from sensor.findings import Book

NS = 1_000_000_000
WINDOW_NS = 60 * NS  # over which the mirror is judged

# Counters that mean that something was not seen, and what they count
LOSSES = {
    "kernel_drops": "packets dropped by the kernel",
    "events_lost": "records dropped between core and sensor",
    "streams_refused": "media streams that found no room",
    "reassembly_lost_bytes": "octets of TCP signalling",
    "datagrams_evicted": "fragmented datagrams that found no room",
    "gaps_common": "media packets that many streams lacked at once",
}
# Of single packets receivers may be wrong; of whole streams several are not.
LEAST_UNREPORTED = 3


class Health:
    """Holds findings about the sensor; ``interface`` is "" for a capture file, which cannot fall silent."""

    def __init__(self, book: Book, interface: str, policy: Policy) -> None:
        self._book = book
        self._interface = interface
        self._sensor, self._link = Subject("sensor", name=interface), Subject("interface", name=interface)
        self._policy = policy
        self._received = 0
        self._received_ns: int | None = None
        self._looked_ns = 0
        self._voice = 0
        self._voice_ns = 0
        self._window: Mapping[str, int] = {}  # counters at its begin
        self._window_ns: int | None = None
        self._latest: Mapping[str, int] = {}
        self._lost_total = 0
        self._lost_before: dict[str, int] = {}  # what had been lost when the last finding about it was resolved
        self._lost_said = 0
        self._lost_ns = 0
        self._steps = 0
        self._step_ns = 0  # when the clock was set last

    @property
    def voice_seen(self) -> bool:
        """Whether there was media, or SIP in clear, since the start."""
        return self._voice > 0

    def reload(self, policy: Policy) -> None:
        """Judge by another policy from now on."""
        self._policy = policy

    def set_back(self, now_ns: int) -> None:
        """Start again from an earlier time."""
        self._lost_ns = min(self._lost_ns, now_ns)
        self._step_ns = min(self._step_ns, now_ns)
        self._voice_ns = min(self._voice_ns, now_ns)
        if self._received_ns is not None:
            self._received_ns = min(self._received_ns, now_ns)
        if self._window_ns is not None:
            self._window_ns = min(self._window_ns, now_ns)

    def counters(self, counters: Mapping[str, int], now_ns: int) -> None:
        """Take the counters of the engine and of the capture, live about once a second."""
        self._latest = counters
        if self._interface and now_ns - self._looked_ns > WINDOW_NS:
            # Nobody was silent meanwhile: the clock was set, or the sensor stood still.
            self._voice_ns += now_ns - self._looked_ns
        self._looked_ns = now_ns
        self._watch_silence(counters, now_ns)
        self._watch_loss(counters, now_ns)
        shed = health.overload(self._interface, counters.get("overload_stage", 0), self._policy)
        self._book.hold("overload", shed, now_ns)
        self._book.judged(("sensor-overload",), self._sensor, now_ns)
        if self._window_ns is None:
            self._window_ns = now_ns if self._interface else 0
        if self._interface and now_ns - self._window_ns >= WINDOW_NS:
            self._judge(now_ns)
            self._window, self._window_ns = counters, now_ns
        if "clock_steps" in counters:
            steps, synchronised = self._recent_steps(counters, now_ns), bool(counters["clock_synchronised"])
            claims = health.clock(self._interface, steps, synchronised=synchronised, policy=self._policy)
            self._book.hold("clock", claims, now_ns)
            self._book.judged(("sensor-clock",), self._sensor, now_ns)

    def evidence(self, problems: Sequence[str], now_ns: int) -> None:
        """Take why evidence cannot be written now; nothing when it can."""
        self._book.hold("evidence", health.evidence(self._interface, problems, self._policy), now_ns)
        self._book.judged(("sensor-evidence",), self._sensor, now_ns)

    def close(self, now_ns: int) -> None:
        """Judge a capture file, of which all is there."""
        if not self._interface and self._latest:
            self._judge(now_ns)

    def _judge(self, now_ns: int) -> None:
        grown = {name: count - self._window.get(name, 0) for name, count in self._latest.items()}
        if grown.get("received", 0) >= health.LEAST.packets:
            self._book.hold("mirror", health.mirror(self._interface, grown, self._policy), now_ns)
            self._book.judged(health.MIRROR, self._link, now_ns)

    def _recent_steps(self, counters: Mapping[str, int], now_ns: int) -> int:
        """Return how often the clock was set since the start, 0 when the last time is long ago."""
        if counters["clock_steps"] != self._steps:
            self._steps, self._step_ns = counters["clock_steps"], now_ns
        return self._steps if now_ns - self._step_ns < self._policy.resolve_after * NS else 0

    def _watch_silence(self, counters: Mapping[str, int], now_ns: int) -> None:
        received = counters.get("received", 0)
        voice = counters.get("sip_messages", 0) + counters.get("streams_begun", 0)
        if self._received_ns is None:
            self._voice_ns = now_ns
        if self._received_ns is None or received != self._received:
            self._received, self._received_ns = received, now_ns
        if voice != self._voice or counters.get("streams", 0):
            self._voice, self._voice_ns = voice, now_ns
        if not self._interface:
            return
        silent = health.no_traffic(self._interface, now_ns - self._received_ns, self._policy)
        self._book.hold("traffic", silent, now_ns)
        if received:
            self._book.judged(("sensor-no-traffic",), self._link, now_ns)
        if voice:
            self._book.judged(("sensor-no-voice",), self._link, now_ns)
        voiceless = [] if silent else health.no_voice(self._interface, now_ns - self._voice_ns, self._policy)
        self._book.hold("voice", voiceless, now_ns)

    def _watch_loss(self, counters: Mapping[str, int], now_ns: int) -> None:
        lost = {words: counters.get(name, 0) for name, words in LOSSES.items()}
        lost["packets shed under load"] = sum(count for name, count in counters.items() if name.startswith("shed."))
        if counters.get("streams_unreported", 0) >= LEAST_UNREPORTED:
            lost["media packets that their receivers have"] = counters["gaps_unreported"]
        total = sum(lost.values())
        if total > self._lost_total:
            self._lost_total, self._lost_ns = total, now_ns
            since = {words: count - self._lost_before.get(words, 0) for words, count in lost.items()}
            new = sum(since.values())
            # Said again only when it has become ten times as much.
            if new >= 10 * self._lost_said:
                self._lost_said = new
                self._book.hold("loss", health.loss(self._interface, since, self._policy), now_ns)
            else:
                self._book.touch("loss", now_ns, 1)
        elif self._lost_said and now_ns - self._lost_ns >= self._policy.resolve_after * NS:
            self._lost_said, self._lost_before = 0, lost
            self._book.hold("loss", (), self._lost_ns)
