"""``legwatch run``: the daemon, put together here from its parts and nowhere else."""

from __future__ import annotations

import signal
import socket
import sys
import threading
import time
from argparse import Namespace
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from types import FrameType
from typing import Literal

from prometheus_client import CollectorRegistry, ProcessCollector

from fastpath.engine import Engine
from sensor.alerts.build import deliveries
from sensor.alerts.delivery import Counts, Delivery
from sensor.alerts.event import Event, finding_event
from sensor.alerts.notifier import Notifier
from sensor.beside import Beside
from sensor.calls.unprotected import InClear
from sensor.capture import CaptureError, CaptureThreads
from sensor.capture.clock import Clock
from sensor.commands import OperatorError, __version__, configuration
from sensor.commands.pipeline import Pipeline
from sensor.config.schema import STDOUT, Config, parse_address
from sensor.confine.descriptors import Packets
from sensor.confine.landlock import keep_to
from sensor.confine.paths import readable, writable
from sensor.confine.process import hide_memory
from sensor.evidence import EvidenceCapture
from sensor.evidence.tap import Tap
from sensor.identities import Pseudonyms
from sensor.launch import NAME
from sensor.model import Finding
from sensor.output import systemd
from sensor.output.events import Events, configure
from sensor.output.http import Server
from sensor.output.metrics import CaptureState, Metrics, SinkState
from sensor.state.baseline import Stored
from sensor.state.directory import StateError, state_directory
from sensor.state.memory import Memory

Change = Literal["opened", "updated", "resolved"]

TICK_S = 0.1  # how often records are fetched: what a live finding waits for at most
HEALTH_S = 1.0  # how often counters become findings
# What only a restart takes over
_FIXED = ("site", "sensor", "capture", "limits", "metrics", "privacy", "state", "evidence", "sinks")
FLUSH_S = 3.0  # what all sinks together have at the end
STUCK_S = 10.0  # a capture thread or a main loop that did not move for so long is not healthy

EXIT_CAPTURE_FAILED = 1  # systemd starts us again; status 2 it does not, for only the operator can help there


def execute(args: Namespace) -> int:
    """Watch an interface until SIGTERM or SIGINT; 1 when the capture failed."""
    return _Daemon(args).run()


class _Daemon:
    def __init__(self, args: Namespace) -> None:
        hide_memory()
        self._args = args
        self._config = config = self._configuration()
        self._events = Events(configure(sys.stdout))
        self._wake = threading.Event()
        self._stopping = False
        self._reloading = False
        self._rereading: Beside[Config] | None = None
        self._beat = time.monotonic()
        self._next_health = 0.0
        pipeline = Pipeline(config)
        self._name = config.sensor or socket.gethostname()
        self._memory = _memory(config, pipeline.names)
        self._deliveries = _deliveries(config, self._name, self._events)
        self._notifier = Notifier((self._events, *self._deliveries), config.alerts, self._event)
        labels = {"site": config.site, "sensor": self._name, "interface": args.interface}
        self._metrics = Metrics(self, config.policy, labels)
        self._metrics.reload_time_s = time.time()
        registry = CollectorRegistry()
        registry.register(self._metrics)
        ProcessCollector(registry=registry)
        # The server is bound before the ring is opened: a second sensor by mistake takes no packet from the first.
        self._server = _server(config, registry, self)

        def engine(first: Engine | None) -> Engine:
            return pipeline.engine(share=first, parts=config.capture.threads)

        packets = Packets()
        try:
            self._evidence = _evidence(args.interface, config, packets)
            self._landlock = _confine(config, args.config)
            self._capture = CaptureThreads(args.interface, config.capture, engine, self._wake, packets)
        except CaptureError as error:
            self._server.stop()
            raise OperatorError(str(error)) from None
        packets.close()
        systemd.notify("FDSTOREREMOVE=1", f"FDNAME={NAME}")  # the kernel takes the rings away with this process
        self._link = self._link_now()
        self._clock = Clock()
        unveiled = () if self._evidence is None else (self._evidence,)
        self._analysis = pipeline.analysis((self._metrics, self._notifier), args.interface, unveiled)
        self._analysis.settle(config.alerts.settle)
        if self._memory is None:
            self._analysis.compare({}, 0)  # it begins anew at every start
        else:
            memory = self._memory
            self._compare(memory, lambda: memory.baseline(config.policy.baseline.forget_after))

    def healthy(self) -> bool:
        """Whether packets and records still move; true on a quiet network, too."""
        slowest = min(self._beat, self._capture.beat)
        return self._capture.alive() and time.monotonic() - slowest < STUCK_S

    def ready(self) -> bool:
        """Whether packets are being taken."""
        return self._capture.alive() and not self._stopping

    def run(self) -> int:
        self._events.say(
            "started",
            version=__version__,
            interface=self._args.interface,
            metrics=str(self._config.metrics.listen),
            landlock=self._landlock,
        )
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self._on_signal)
        for delivery in self._deliveries:
            delivery.start()
        self._capture.start()
        if self._evidence is not None:
            self._evidence.start()
        self._server.start()
        self._events.say("ready", link=self._capture.link)
        systemd.notify("READY=1")
        try:
            self._watch()
        finally:
            self._stop()
        if self._stopping and not self._capture.failed:
            return 0
        self._events.say("capture_failed", level="error", error=self._capture.error)
        return EXIT_CAPTURE_FAILED

    def _watch(self) -> None:
        interval_s = systemd.watchdog_interval_s()
        next_notice = time.monotonic()
        while not self._stopping and self._capture.alive():
            self._wake.wait(TICK_S)
            self._wake.clear()
            self._step()
            self._reread()
            if interval_s and time.monotonic() >= next_notice and self.healthy():
                next_notice = time.monotonic() + interval_s
                systemd.notify("WATCHDOG=1")

    def _step(self) -> None:
        records = self._capture.engines.drain()
        self._metrics.observe(records)
        for record in records:
            self._analysis.feed(record)
        self._analysis.advance(self._capture.engines.now_ns)
        self._notifier.advance(self._capture.engines.now_ns)
        self._beat = time.monotonic()
        if self._beat >= self._next_health:
            self._next_health = self._beat + HEALTH_S
            self._check_health()

    def _check_health(self) -> None:
        self._capture.wake()
        self._clock.look()
        self._analysis.counters(
            self.counters()
            | {
                "kernel_drops": self._capture.kernel_drops,
                "clock_steps": self._clock.steps,
                "clock_synchronised": self._clock.synchronised(),
            }
        )
        if self._memory is not None:
            self._compare(self._memory, self._memory.read)
            if self._analysis.baseline is not None:
                self._memory.keep(self._analysis.baseline)
        if (now := self._link_now()) != self._link:
            self._link = now
            self._events.say("link_changed", level="info" if now["link"] == "up" else "warning", **now)

    def _link_now(self) -> dict[str, str | int]:
        capture = self._capture
        return {"link": capture.link, "losses": capture.link_losses, "name": capture.name}

    def _stop(self) -> None:
        systemd.notify("STOPPING=1")
        self._events.say("stopping")
        self._capture.stop()
        while not self._capture.join(TICK_S):
            self._step()
        while self._capture.engines.finish():
            self._step()
        self._step()
        self._check_health()
        self._analysis.close()
        self._notifier.close()
        stop_at = time.monotonic() + FLUSH_S
        for delivery in self._deliveries:
            delivery.stop(max(stop_at - time.monotonic(), 0.1))
        if self._memory is not None and self._analysis.baseline is not None:
            self._memory.close(self._analysis.baseline)
        if self._evidence is not None:
            self._evidence.stop()
        self._server.stop()
        self._events.say("stopped", packets=self.counters()["received"])

    def _reread(self) -> None:
        """Begin to read the configuration anew when that was asked for, and take it when it is there."""
        if self._rereading is not None and not self._rereading.is_alive():
            self._reload(self._rereading)
            self._rereading = None
        if self._reloading and self._rereading is None:
            self._reloading = False
            systemd.notify("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")
            self._rereading = Beside(self._configuration, self._wake)

    def _reload(self, read: Beside[Config]) -> None:
        try:
            config = read.outcome()
        except OperatorError as error:
            self._metrics.reload_succeeded = False
            self._events.say("reload_failed", level="error", faults=str(error).splitlines())
        else:
            self._metrics.reload(config.policy)
            self._analysis.reload(config.policy)
            self._analysis.settle(config.alerts.settle)
            self._notifier.reload(config.alerts)
            fixed = [name for name in _FIXED if getattr(config, name) != getattr(self._config, name)]
            if config.policy.media_idle != self._config.policy.media_idle:
                fixed.append("policy.media_idle")
            self._config = replace(self._config, policy=config.policy, alerts=config.alerts)
            if self._memory is not None:
                self._memory.read_again(config.policy.baseline.forget_after)
            self._metrics.reload_succeeded = True
            self._metrics.reload_time_s = time.time()
            self._events.say("reloaded", restart_needed_for=fixed)
        systemd.notify("READY=1")

    def _configuration(self) -> Config:
        """Return the configuration with what the command line says in its place."""
        args = self._args
        config = configuration(args.config, reveal=args.reveal_identities)
        if args.filter is not None:
            config = replace(config, capture=replace(config.capture, filter=args.filter))
        if args.listen is not None:
            try:
                config = replace(config, metrics=replace(config.metrics, listen=parse_address(args.listen)))
            except ValueError as error:
                raise OperatorError(f"--listen {args.listen}: {error}") from None
        return config

    def _compare(self, memory: Memory, read: Callable[[], Stored | None]) -> None:
        """Take a baseline that was read, if there is one and it is another one."""
        try:
            stored = read()
        except StateError as error:
            memory.errors += 1
            self._events.say("state_failed", level="error", error=str(error))
        else:
            if stored is not None and memory.adopt(stored):
                self._analysis.compare(stored.entries, stored.learning_ns)

    def _event(self, finding: Finding, change: Change) -> Event:
        """Return a step of a finding as it is said to the outside."""
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        config = self._config
        return finding_event(
            finding, change, time=now, site=config.site, sensor=self._name, runbooks=config.alerts.runbooks
        )

    def counters(self) -> dict[str, int]:
        return self._capture.engines.counters()

    def tables(self) -> dict[str, int]:
        return self._analysis.tables()

    def in_clear(self) -> dict[tuple[str, str], InClear]:
        return self._analysis.in_clear()

    def expiries(self) -> dict[str, int]:
        return self._analysis.expiries()

    def waivers(self) -> dict[str, int]:
        return self._analysis.waivers()

    def sinks(self) -> dict[str, SinkState]:
        return {STDOUT: self._events.state()} | {each.name: _state(each.counts()) for each in self._deliveries}

    def requests(self) -> dict[str, int]:
        return self._server.outcomes()

    def extra(self) -> dict[str, int]:
        evidence = {} if self._evidence is None else self._evidence.counters()
        return {f"evidence_{name}": count for name, count in evidence.items()} | {
            "suppressed": self._notifier.suppressed,
            "certificate_failures": self._server.certificate_failures(),
            "state_errors": 0 if self._memory is None else self._memory.errors,
        }

    def capture_state(self) -> CaptureState:
        return CaptureState(
            up=self.ready() and self._capture.link == "up",
            kernel_drops=self._capture.kernel_drops,
            link_losses=self._capture.link_losses,
            clock_steps=self._clock.steps,
            clock_synchronised=self._clock.synchronised(),
        )

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        if number == signal.SIGHUP:
            self._reloading = True
        else:
            self._stopping = True
        self._wake.set()


def _memory(config: Config, names: Pseudonyms) -> Memory | None:
    try:
        directory = state_directory(config.state.directory)
        if directory is None:
            return None
        return Memory(directory, names, config.privacy.rotate_days)
    except StateError as error:
        raise OperatorError(str(error)) from None


def _deliveries(config: Config, name: str, events: Events) -> list[Delivery]:
    try:
        directory = state_directory(config.state.directory)
        return deliveries(config.sinks, directory, name, say=events.say)
    except StateError as error:
        raise OperatorError(str(error)) from None
    except OSError as error:
        raise OperatorError(f"sinks: {error}") from None


def _state(counts: Counts) -> SinkState:
    waiting, dropped = counts.queued + counts.spooled, sum(counts.dropped.values())
    return SinkState(counts.delivered, dropped, counts.retries, waiting, counts.up, counts.last_delivery)


def _evidence(interface: str, config: Config, packets: Packets) -> EvidenceCapture | None:
    directory = config.evidence.directory
    if directory is None:
        return None
    try:
        tap = Tap(interface, packets.take())
    except OSError as error:
        raise CaptureError(f"evidence: {error.strerror}") from None
    return EvidenceCapture(tap, config.evidence, directory, base_filter=config.capture.filter)


def _confine(config: Config, file: str | None) -> int:
    """Keep this process to its files; return the kernel's version of Landlock, 0 where it has none."""
    try:
        return keep_to(readable(config, file), writable(config, state_directory(config.state.directory)))
    except (OSError, StateError) as error:
        raise OperatorError(str(error)) from None


def _server(config: Config, registry: CollectorRegistry, daemon: _Daemon) -> Server:
    listen, file = config.metrics.listen, config.metrics.web_config_file
    web = file.config if file else None
    try:
        return Server(listen.host, listen.port, registry, healthy=daemon.healthy, ready=daemon.ready, web=web)
    except OSError as error:
        raise OperatorError(
            f"{listen}: {error.strerror}; is legwatch running already? --listen names another address"
        ) from None
