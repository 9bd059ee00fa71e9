"""What happens to the sensor, and what is seen of it meanwhile."""

from __future__ import annotations

import signal
import time
from collections import Counter
from collections.abc import Callable
from datetime import datetime
from http import HTTPStatus
from pathlib import Path

from benchmarks.soak.gates import Look
from benchmarks.soak.receiver import PORT, Receiver
from benchmarks.soak.traffic import VOICE, Leg, Noise, cycle
from sensor.commands import OperatorError
from sensor.commands.asking import ask
from tests.live.lab import Mirror, Sensor, wait_for

SPEED = 2.0
FLOOD = 400_000  # flows, whose records are more than the room between engine and analysis
ASK_S = 1.0  # between two scrapes
LOOKS, BETWEEN_S = 10, 0.1  # at rest: what comes and goes is not there at one of them
PATIENCE_S = 120.0
SEVERITIES = ("medium", "low")  # in turn
WEBHOOK, FILE = "webhook", "file"
ALERTS = "alerts.jsonl"
CONFIG = """
policy:
  segments: [{{name: voice, cidrs: [{voice}]}}]
  severities: {{signalling-clear: {severity}}}
  grace: 0.5
  media_idle: 4
  resolve_after: 3
  no_traffic_after: 3600
alerts: {{settle: 0, burst: 100000}}
capture: {{flow_idle: 5}}
limits: {{findings: 1600}}
state: {{directory: {folder}/state}}
status: {{socket: {folder}/status.sock}}
sinks:
  - {{type: webhook, url: "http://127.0.0.1:{port}/", spool: true, timeout: 2}}
  - {{type: file, path: {folder}/{alerts}, max_mib: 4096}}
"""


class Course:
    """One sensor at work, cycle after cycle."""

    def __init__(self, mirror: Mirror, receiver: Receiver, folder: Path) -> None:
        self.config = folder / "legwatch.yaml"
        self._mirror, self._receiver, self._folder = mirror, receiver, folder
        self._noise = Noise(1)
        self._asked: list[float] = []  # when the configuration was to be read, Unix time
        self._next_s = 0.0
        self.legs: Counter[Leg] = Counter()
        self.sent = self.unanswered = 0
        self._took_s = 0.0
        self.scrapes: list[float] = []
        self.statuses: list[float] = []  # which the main loop makes: how long one of its rounds takes
        self.silent = 0
        self.looks: list[Look] = []
        (folder / "state").mkdir(mode=0o700)
        self._configure(0)

    def begin(self, sensor: Sensor) -> None:
        """Take the sensor that was started with ``config``, and let a flood fill what fills once and stays so."""
        self._sensor = sensor
        self.before = sensor.metrics()
        for frame in self._noise.flood(FLOOD):
            self._mirror.send(frame)
        self.sent += FLOOD

    @property
    def rate(self) -> float:
        """Packets a second in the cycles so far."""
        return (self.sent - FLOOD) / self._took_s

    def cycle(self) -> None:
        """Send the calls of a cycle with all that disturbs, then let the sensor rest, and look."""
        made = cycle(len(self.looks))
        self.legs += made.legs
        begin, first, count = time.monotonic(), made.frames[0][0], len(made.frames)
        disturbances: dict[int, Callable[[], None]] = {
            count // 4: self._receiver.down,
            count // 2: self._reload,
            count * 3 // 4: self._receiver.up,
        }
        for i, (ts_ns, octets) in enumerate(made.frames):
            if (ahead := (ts_ns - first) / 1e9 / SPEED - (time.monotonic() - begin)) > 0:
                time.sleep(ahead)
            for frame in (octets, *self._noise.between(i)):
                self._mirror.send(frame)
                self.sent += 1
            disturbances.get(i, self._ask)()
        self._took_s += time.monotonic() - begin
        self._look()

    def end(self) -> dict[tuple[str, ...], float]:
        """Wait until all calls and alerts are over; return the metrics."""
        # A dialogue that was damaged on its way never ends, nor does its leg: those of sound calls do with their flows.
        wait_for(lambda: not self._sensor.metric("legwatch_flows_active"), "the flows end", PATIENCE_S)
        self._rest()
        return self._sensor.metrics()

    def stop(self) -> int:
        """End the sensor; return its exit status."""
        return self._sensor.stop()

    def reloads(self) -> tuple[list[float], int]:
        """Return how long it took until a new configuration was in use, in seconds, and how many never were."""
        done = [datetime.fromisoformat(event["time"]).timestamp() for event in self._sensor.events("reloaded")]
        return [then - asked for asked, then in zip(self._asked, done, strict=False)], len(self._asked) - len(done)

    def arrived(self) -> dict[str, int]:
        """Return how many steps of findings arrived at each sink."""
        lines = (self._folder / ALERTS).read_text().splitlines()
        return {WEBHOOK: len(self._receiver.arrived), FILE: len(lines)}

    def _configure(self, number: int) -> None:
        text = CONFIG.format(
            voice=VOICE, severity=SEVERITIES[number % 2], folder=self._folder, port=PORT, alerts=ALERTS
        )
        self.config.write_text(text)

    def _reload(self) -> None:
        self._asked.append(time.time())
        self._configure(len(self._asked))
        self._sensor.process.send_signal(signal.SIGHUP)

    def _ask(self) -> None:
        begin = time.monotonic()
        if begin < self._next_s:
            return
        self._next_s = begin + ASK_S
        status, _ = self._sensor.get("/metrics")
        scraped = time.monotonic()
        self.scrapes.append(scraped - begin)
        self.unanswered += status != HTTPStatus.OK
        try:
            ready = ask(self._folder / "status.sock")["ready"]
        except OperatorError:
            ready = False
        self.statuses.append(time.monotonic() - scraped)
        self.silent += not ready

    def _rest(self) -> None:
        def drained() -> bool:
            metrics = self._sensor.metrics()
            return not any(metrics["legwatch_sink_waiting_events", name] for name in (WEBHOOK, FILE))

        wait_for(drained, "no event waits", PATIENCE_S)

    def _look(self) -> None:
        self._rest()
        process = Path("/proc", str(self._sensor.process.pid))
        looks = []
        for _ in range(LOOKS):
            time.sleep(BETWEEN_S)
            looks.append((resident(process), *(sum(1 for _ in (process / of).iterdir()) for of in ("fd", "task"))))
        self.looks.append(Look(time.monotonic(), *map(min, zip(*looks, strict=True))))


def resident(process: Path) -> int:
    """Return the octets of memory that a process holds."""
    lines = (process / "status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmRSS")).split()[1]) * 1024
