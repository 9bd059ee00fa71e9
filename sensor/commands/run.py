"""``legwatch run``: the daemon, put together here from its parts and nowhere else."""

from __future__ import annotations

import signal
import sys
import threading
import time
from argparse import Namespace
from dataclasses import replace
from types import FrameType

from prometheus_client import CollectorRegistry

from fastpath.engine import Engine
from sensor.capture import CaptureError, CaptureThreads
from sensor.capture.clock import Clock
from sensor.commands import OperatorError, __version__, configuration
from sensor.commands.pipeline import Pipeline
from sensor.config.schema import Config, parse_address
from sensor.output import systemd
from sensor.output.events import Events, configure
from sensor.output.http import Server
from sensor.output.metrics import CaptureState, Metrics
from sensor.policy.catalogue import CATALOGUE

TICK_S = 0.1  # how often records are fetched: what a live finding waits for at most
HEALTH_S = 1.0  # how often counters become findings
STUCK_S = 10.0  # a capture thread or a main loop that did not move for so long is not healthy

EXIT_CAPTURE_FAILED = 1  # systemd starts us again; status 2 it does not, for only the operator can help there


def execute(args: Namespace) -> int:
    """Watch an interface until SIGTERM or SIGINT; 1 when the capture failed."""
    return _Daemon(args).run()


class _Daemon:
    def __init__(self, args: Namespace) -> None:
        self._args = args
        self._config = config = self._configuration()
        self._events = Events(configure(sys.stdout))
        self._wake = threading.Event()
        self._stopping = False
        self._reloading = False
        self._beat = time.monotonic()
        self._next_health = 0.0
        pipeline = Pipeline(config)
        self._metrics = Metrics(self._counters, self._tables, self._capture_state, tuple(CATALOGUE))
        self._metrics.reload_time_s = time.time()
        registry = CollectorRegistry()
        registry.register(self._metrics)
        # The server is bound before the ring is opened: a second sensor by mistake takes no packet from the first.
        self._server = _server(config, registry, self)

        def engine(first: Engine | None) -> Engine:
            return pipeline.engine(share=first, parts=config.capture.threads)

        try:
            self._capture = CaptureThreads(args.interface, config.capture, engine, self._wake)
        except CaptureError as error:
            self._server.stop()
            raise OperatorError(str(error)) from None
        self._link = self._capture.link
        self._clock = Clock()
        self._analysis = pipeline.analysis((self._metrics, self._events), args.interface)

    def healthy(self) -> bool:
        """Whether packets and records still move; true on a quiet network, too."""
        slowest = min(self._beat, self._capture.beat)
        return self._capture.alive() and time.monotonic() - slowest < STUCK_S

    def ready(self) -> bool:
        """Whether packets are being taken."""
        return self._capture.alive() and not self._stopping

    def run(self) -> int:
        self._events.say(
            "started", version=__version__, interface=self._args.interface, metrics=str(self._config.metrics.listen)
        )
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self._on_signal)
        self._capture.start()
        self._server.start()
        self._events.say("ready", link=self._link)
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
            if self._reloading:
                self._reloading = False
                self._reload()
            if interval_s and time.monotonic() >= next_notice and self.healthy():
                next_notice = time.monotonic() + interval_s
                systemd.notify("WATCHDOG=1")

    def _step(self) -> None:
        records = self._capture.engines.drain()
        self._metrics.observe(records)
        for record in records:
            self._analysis.feed(record)
        self._analysis.advance(self._capture.engines.now_ns)
        self._metrics.events_failed = self._events.failed
        self._beat = time.monotonic()
        if self._beat >= self._next_health:
            self._next_health = self._beat + HEALTH_S
            self._check_health()

    def _check_health(self) -> None:
        self._capture.wake()
        self._clock.look()
        self._analysis.counters(
            self._counters()
            | {
                "kernel_drops": self._capture.kernel_drops,
                "clock_steps": self._clock.steps,
                "clock_synchronised": self._clock.synchronised(),
            }
        )
        if (link := self._capture.link) != self._link:
            self._link = link
            self._events.say("link_changed", level="info" if link == "up" else "warning", link=link)

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
        self._server.stop()
        self._events.say("stopped", packets=self._counters()["received"])

    def _reload(self) -> None:
        systemd.notify("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")
        try:
            config = self._configuration()
        except OperatorError as error:
            self._metrics.reload_succeeded = False
            self._events.say("reload_failed", level="error", faults=str(error).splitlines())
        else:
            self._analysis.reload(config.policy)
            fixed = [
                name for name in ("capture", "limits", "metrics", "privacy") if _differ(name, config, self._config)
            ]
            self._config = replace(self._config, policy=config.policy)
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

    def _counters(self) -> dict[str, int]:
        return self._capture.engines.counters()

    def _tables(self) -> dict[str, int]:
        return self._analysis.tables()

    def _capture_state(self) -> CaptureState:
        return CaptureState(
            up=self.ready() and self._capture.link == "up",
            kernel_drops=self._capture.kernel_drops,
            clock_steps=self._clock.steps,
            clock_synchronised=self._clock.synchronised(),
        )

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        if number == signal.SIGHUP:
            self._reloading = True
        else:
            self._stopping = True
        self._wake.set()


def _differ(section: str, one: Config, other: Config) -> bool:
    return bool(getattr(one, section) != getattr(other, section))


def _server(config: Config, registry: CollectorRegistry, daemon: _Daemon) -> Server:
    listen, file = config.metrics.listen, config.metrics.web_config_file
    web = file.config if file else None
    try:
        return Server(listen.host, listen.port, registry, healthy=daemon.healthy, ready=daemon.ready, web=web)
    except OSError as error:
        raise OperatorError(
            f"{listen}: {error.strerror}; is legwatch running already? --listen names another address"
        ) from None
