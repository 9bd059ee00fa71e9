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

from prometheus_client import CollectorRegistry, ProcessCollector

from fastpath.engine import Engine
from sensor.alerts.event import Change, Event, finding_event
from sensor.alerts.notifier import Notifier, Outlet
from sensor.beside import Beside
from sensor.calls.unprotected import InClear
from sensor.capture import CaptureError, CaptureThreads
from sensor.capture.clock import Clock
from sensor.commands import OperatorError, __version__, configuration_read, parts
from sensor.commands.pipeline import Pipeline
from sensor.commands.sight import Sight
from sensor.config.schema import STDOUT, Config, parse_address
from sensor.confine.descriptors import Packets
from sensor.confine.process import hide_memory
from sensor.launch import NAME
from sensor.model import Finding, Protection, Sink
from sensor.output import systemd
from sensor.output.board import Board
from sensor.output.events import Events, configure
from sensor.output.metrics import CaptureState, LedgerState, Metrics, SinkState
from sensor.output.status import Identity, status_object
from sensor.readiness import Condition, Drops, Phase, Seen, condition
from sensor.recent import Recent
from sensor.state.baseline import Stored
from sensor.state.directory import StateError
from sensor.state.memory import Memory
from sensor.state.outbox import Outbox

TICK_S = 0.1  # how often records are fetched: what a live finding waits for at most
HEALTH_S = 1.0  # how often counters become findings
# What only a restart takes over
_FIXED = ("site", "sensor", "capture", "limits", "metrics", "privacy", "state", "status", "evidence", "ledger", "sinks")
WRITE_S = 1.0  # what the disk has at the end, before they are told
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
        config, self._digest = self._configuration()
        self._config = config
        self._events = Events(configure(sys.stdout))
        self._wake = threading.Event()  # lets the main loop take its next step at once
        self._stopping = False
        self._reloading = False
        self._rereading: Beside[tuple[Config, str | None]] | None = None
        self._phase: Phase = "starting"
        self._sight = Sight(Seen(args.interface, self._phase), self._events)
        self._recent, self._drops, self._board = Recent(time.monotonic()), Drops(), Board()
        self._beat = time.monotonic()
        self._next_health = 0.0
        pipeline = Pipeline(config)
        self._name = config.sensor or socket.gethostname()
        self._memory = parts.make_memory(config, pipeline.names)
        self._outbox = parts.make_outbox(config, self._events)
        self._record = parts.make_record(config, pipeline)
        self._deliveries = parts.make_deliveries(config, self._name, self._events, self._outbox)
        outlets: list[Outlet] = [self._events, *self._deliveries] if self._outbox is None else [self._outbox]
        self._notifier = Notifier(outlets, config.alerts, self._event)
        labels = {"site": config.site, "sensor": self._name, "interface": args.interface}
        self._metrics = Metrics(self, config.policy, labels)
        self._metrics.reload_time_s = time.time()
        registry = CollectorRegistry()
        registry.register(self._metrics)
        ProcessCollector(registry=registry)
        # The server is bound before the ring is opened: a second sensor by mistake takes no packet from the first.
        self._server = parts.make_server(config, registry, self.healthy, self.conditions)
        identity = Identity(__version__, config.site, self._name, args.interface, time.time())
        self._status = parts.make_status(
            config, lambda: status_object(self, identity, self._metrics, self._board), self.conditions, self._wake
        )

        def engine(first: Engine | None) -> Engine:
            return pipeline.engine(share=first, parts=config.capture.threads)

        packets = Packets()
        try:
            self._evidence = parts.make_evidence(args.interface, config, packets)
            self._landlock = parts.confine(config, args.config)
            self._capture = CaptureThreads(args.interface, config.capture, engine, self._wake, packets)
        except CaptureError as error:
            self._stop_serving()
            raise OperatorError(str(error)) from None
        packets.close()
        systemd.notify("FDSTOREREMOVE=1", f"FDNAME={NAME}")  # the kernel takes the rings away with this process
        self._link = self._link_now()
        self._clock = Clock()
        unveiled: list[Sink] = [sink for sink in (self._evidence, self._outbox) if sink is not None]
        unveiled += self._record.sinks if self._record is not None else ()  # which veils what it tells by itself
        self._analysis = pipeline.analysis((self._metrics, self._notifier, self._board), args.interface, unveiled)
        self._analysis.settle(config.alerts.settle)
        self._restore()

    def healthy(self) -> bool:
        """Whether packets and records still move; true on a quiet network, too."""
        slowest = min(self._beat, self._capture.beat)
        return self._capture.alive() and time.monotonic() - slowest < STUCK_S

    def conditions(self) -> tuple[Condition, ...]:
        """Return what keeps the sensor from seeing, or from seeing well; to be called by any thread."""
        if self._phase != "running" or self.healthy():
            return self._sight.holding
        return (condition("stuck", "neither packets nor records have moved for some seconds"), *self._sight.holding)

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
        if self._outbox is not None:
            self._outbox.start()
        for delivery in self._deliveries:
            delivery.start()
        self._capture.start()
        if self._evidence is not None:
            self._evidence.start()
        if self._record is not None:
            config = self._config
            start = {"version": __version__, "site": config.site, "sensor": self._name}
            start["filter"] = config.capture.filter
            self._record.begin(start, self._args.interface, self._digest, self._counters())
        self._server.start()
        if self._status is not None:
            self._status.start()
        self._phase = "running"
        self._judge()
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
        self._commit()
        self._beat = time.monotonic()
        if self._beat >= self._next_health:
            self._next_health = self._beat + HEALTH_S
            self._check_health()
        if self._status is not None:
            self._status.step()

    def _check_health(self) -> None:
        self._capture.wake()
        self._clock.look()
        counters = self._counters()
        self._recent.look(counters, self._beat)
        self._analysis.counters(counters)
        self._analysis.evidence([each for each in self._evidence_problems() if each])
        if self._memory is not None:
            self._compare(self._memory, self._memory.read)
            if self._analysis.baseline is not None:
                self._memory.keep(self._analysis.baseline)
        if (now := self._link_now()) != self._link:
            self._link = now
            self._events.say("link_changed", level="info" if now["link"] == "up" else "warning", **now)
        self._judge()
        if self._record is not None and self._phase == "running":
            synchronised = bool(counters["clock_synchronised"])
            self._record.look(counters, self.conditions(), self._analysis, synchronised=synchronised)

    def _counters(self) -> dict[str, int]:
        """Return what is counted of packets, and of the clock that stamps them."""
        return self.counters() | {
            "kernel_drops": self._capture.kernel_drops,
            "clock_steps": self._clock.steps,
            "clock_synchronised": self._clock.synchronised(),
        }

    def _evidence_problems(self) -> tuple[str, str]:
        """Return why headers of packets, and why the ledger cannot be written; "" where they can."""
        evidence, record = self._evidence, self._record
        headers = "" if evidence is None else evidence.problem()
        return headers, "" if record is None else record.problem()

    def _judge(self) -> None:
        """See whether the sensor sees."""
        capture = self._capture
        headers, ledger = self._evidence_problems()
        ended = capture.failed or (self._phase == "running" and not capture.alive())
        seen = Seen(
            capture.name,
            self._phase,
            capture_ended=(capture.error or "a capture thread has ended") if ended else "",
            link=capture.link,
            findings=self._board.own(),
            voice_known=self._analysis.voice_known(),
            drops=self._drops.judge(self._recent.growth(), self._config.policy.max_loss),
            evidence=headers,
            ledger=ledger,
            ledger_budget="" if self._record is None else self._record.shortage(),
            sinks_down=[name for name, state in self.sinks().items() if not state.up],
            state="; ".join(each.problem for each in self._on_disk() if each.problem),
            reload_failed=not self._metrics.reload_succeeded,
            certificate_unreadable=self._server.certificate_broken(),
        )
        clear = sum(each.legs for each in self._analysis.in_clear().values())
        self._sight.judge(seen, len(self._analysis), clear)

    def _link_now(self) -> dict[str, str | int]:
        capture = self._capture
        return {"link": capture.link, "losses": capture.link_losses, "name": capture.name}

    def _stop(self) -> None:
        self._phase = "stopping"
        self._judge()
        systemd.notify("STOPPING=1")
        self._events.say("stopping")
        self._capture.stop()
        while not self._capture.join(TICK_S):
            self._step()
        while self._capture.engines.finish():
            self._step()
        self._step()
        self._check_health()
        self._analysis.close(goes_on=self._outbox is not None)
        self._notifier.close()
        self._commit(save=True)
        if self._outbox is not None:
            self._outbox.flush(WRITE_S)
        stop_at = time.monotonic() + FLUSH_S
        for delivery in self._deliveries:
            delivery.stop(max(stop_at - time.monotonic(), 0.1))
        if self._outbox is not None:
            self._outbox.stop()
        if self._memory is not None and self._analysis.baseline is not None:
            self._memory.close(self._analysis.baseline)
        if self._record is not None:
            lost = self._record.end(self._counters(), self._analysis, self._capture.error or "asked to")
            if lost:
                self._events.say("ledger_lost", level="error", entries=lost)
        if self._evidence is not None:
            self._evidence.stop()
        self._stop_serving()
        self._events.say("stopped", packets=self.counters()["received"])

    def _stop_serving(self) -> None:
        self._server.stop()
        if self._status is not None:
            self._status.stop()

    def _reread(self) -> None:
        """Begin to read the configuration anew when that was asked for, and take it when it is there."""
        if self._rereading is not None and not self._rereading.is_alive():
            self._reload(self._rereading)
            self._rereading = None
        if self._reloading and self._rereading is None:
            self._reloading = False
            systemd.notify("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")
            self._rereading = Beside(self._configuration, self._wake)

    def _reload(self, read: Beside[tuple[Config, str | None]]) -> None:
        try:
            config, digest = read.outcome()
        except Exception as error:  # noqa: BLE001  (a defect of ours in reading it must not end the sensor)
            self._metrics.reload_succeeded = False
            faults = str(error) if isinstance(error, OperatorError) else f"{type(error).__name__} in reading it"
            self._events.say("reload_failed", level="error", faults=faults.splitlines())
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
            if self._record is not None:
                self._record.reload(config.policy, digest)
            self._metrics.reload_succeeded = True
            self._metrics.reload_time_s = time.time()
            self._events.say("reloaded", restart_needed_for=fixed)
        systemd.notify("READY=1")

    def _configuration(self) -> tuple[Config, str | None]:
        """Return the configuration with what the command line says in its place, and the digest of its file."""
        args = self._args
        config, digest = configuration_read(args.config, reveal=args.reveal_identities)
        if args.filter is not None:
            config = replace(config, capture=replace(config.capture, filter=args.filter))
        if args.listen is not None:
            try:
                config = replace(config, metrics=replace(config.metrics, listen=parse_address(args.listen)))
            except ValueError as error:
                raise OperatorError(f"--listen {args.listen}: {error}") from None
        return config, digest

    def _compare(self, memory: Memory, read: Callable[[], Stored | None]) -> None:
        """Take a baseline that was read, if there is one and it is another one."""
        try:
            stored = read()
        except StateError as error:
            memory.failed(error)
            self._events.say("state_failed", level="error", error=str(error))
            if self._analysis.baseline is None:
                self._analysis.compare({}, 0)
        else:
            if stored is not None and memory.adopt(stored):
                self._analysis.compare(stored.entries, stored.learning_ns)

    def _restore(self) -> None:
        """Go on with the baseline of an earlier run, and with what was open when it ended."""
        memory = self._memory
        if memory is None:
            self._analysis.compare({}, 0)  # it begins anew at every start
        else:
            self._compare(memory, lambda: memory.baseline(self._config.policy.baseline.forget_after))
        if self._outbox is None:
            return
        stored, now_ns = self._outbox.stored, time.time_ns()
        self._analysis.restore(stored.kept, stored.alive_ns, now_ns)
        told = {said: each.open for said, each in stored.told.items()}
        renamed = stored.names not in {"", self._config.privacy.addresses}
        self._outbox.resume(self._notifier.resume(told, stored.summaries, renamed=renamed))
        self._analysis.waive(now_ns)
        waiting = sum(count for count, _ in stored.waiting.values())
        self._events.say("restored", findings=len(stored.kept), waiting=waiting)

    def _commit(self, *, save: bool = False) -> None:
        """Have what changed written, and then told."""
        if self._outbox is not None:
            now_ns = self._capture.engines.now_ns or time.time_ns()
            self._outbox.commit(
                self._analysis.book, self._notifier.summaries(every=self._outbox.anew), now_ns, save=save
            )

    def _on_disk(self) -> list[Memory | Outbox]:
        """Return what uses the state directory."""
        return [each for each in (self._memory, self._outbox) if each is not None]

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

    def legs(self) -> dict[Protection, int]:
        return self._analysis.legs()

    def link(self) -> str:
        return self._capture.link

    def recent(self) -> Recent:
        return self._recent

    def expiries(self) -> dict[str, int]:
        return self._analysis.expiries()

    def waivers(self) -> dict[str, int]:
        return self._analysis.waivers()

    def sinks(self) -> dict[str, SinkState]:
        return {STDOUT: self._events.state()} | {
            each.name: parts.sink_state(each.counts()) for each in self._deliveries
        }

    def requests(self) -> dict[str, int]:
        return self._server.outcomes()

    def ledger(self) -> LedgerState | None:
        return None if self._record is None else self._record.state()

    def extra(self) -> dict[str, int]:
        evidence = {} if self._evidence is None else self._evidence.counters()
        return {f"evidence_{name}": count for name, count in evidence.items()} | {
            "suppressed": self._notifier.suppressed,
            "certificate_failures": self._server.certificate_failures(),
            "state_errors": sum(each.errors for each in self._on_disk()),
        }

    def capture_state(self) -> CaptureState:
        return CaptureState(
            up=self._capture.alive() and not self._stopping and self._capture.link == "up",
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
