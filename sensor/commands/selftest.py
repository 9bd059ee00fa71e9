"""``legwatch selftest``: a small capture through the real pipeline, and at which stage data stops."""

from __future__ import annotations

import getpass
import io
import json
import os
import tempfile
from argparse import Namespace
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from fastpath.records import FlowEnded, Handshake, Negotiation, Record, Verdict
from sensor.alerts.event import Change, Event, finding_event
from sensor.alerts.notifier import Notifier
from sensor.calls.unprotected import InClear
from sensor.commands import OperatorError, configuration
from sensor.commands.pipeline import Pipeline
from sensor.commands.reading import batches, open_source
from sensor.commands.usable import places
from sensor.config.schema import Config
from sensor.identities import Pseudonyms
from sensor.model import Finding, FlowContext, Leg, QuietSink, Step
from sensor.output.events import Events, configure
from sensor.output.jsonl import timestamp
from sensor.output.metrics import CaptureState, Metrics, SinkState
from sensor.readiness import Condition
from sensor.selftest import CAPTURE, CONFIG, EXPECTED
from sensor.state.directory import StateError
from sensor.state.memory import Memory

_KINDS = ("ignored", "malformed", "shed")
_FOREVER_S = 1e10  # the capture is of one day, and it is replayed on another
_IDENTITY = {"site": "selftest", "sensor": "selftest", "interface": "selftest"}


class Stage(NamedTuple):
    """What came out of one stage of the pipeline."""

    name: str
    came: str

    @property
    def well(self) -> bool:
        """Whether that is what must come out of it."""
        return self.came == EXPECTED[self.name]


def execute(args: Namespace) -> int:
    """Replay and say what came; 1 when a stage, or a place that a configuration names, is not as it must be."""
    config = configuration(args.config) if args.config else None
    with tempfile.TemporaryDirectory(prefix="legwatch-selftest-") as folder:
        stages = list(replayed(CAPTURE, CONFIG, io.StringIO(), Path(folder)))
    for stage in stages:
        must = "" if stage.well else f"; must be {EXPECTED[stage.name]}"
        _print(well=stage.well, name=stage.name, text=f"{stage.came}{must}")
    wrong = [stage.name for stage in stages if not stage.well]
    print(f"Data stops at: {wrong[0]}." if wrong else "Every stage is well.")  # noqa: T201
    if config is None:
        return int(bool(wrong))
    print(f"{args.config}, as user {_user()}:")  # noqa: T201
    found = places(config)
    for place in found:
        _print(well=not place.problem, name=place.name, text=place.problem or place.what)
    return int(bool(wrong) or any(place.problem for place in found))


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a number without a name, as containers have them
        return str(os.getuid())


def replayed(capture: Path, config: Config, log: io.StringIO, state: Path) -> Iterator[Stage]:
    """Yield what comes out of each stage for a capture; ``log`` is where events go, ``state`` a directory."""
    replay = _Replay(config, log)
    yield Stage("source", replay.read(capture))
    yield from replay.seen()
    yield Stage("events", replay.events_written())
    yield Stage("metrics", replay.scraped())
    yield Stage("state", replay.remembered(state))


class _Replay(QuietSink):
    """A sensor without an interface, and what it is seen to do; the sources of its own metrics, too."""

    def __init__(self, config: Config, log: io.StringIO) -> None:
        pipeline = Pipeline(config)
        self._log = log
        self._events = Events(configure(log))
        notifier = Notifier((self._events,), config.alerts, _event)
        self._metrics = Metrics(self, config.policy, _IDENTITY)
        self._engine = pipeline.engine()
        self._analysis = pipeline.analysis((self, self._metrics, notifier))
        self._analysis.compare({}, 0)
        self._records: Counter[str] = Counter()
        self._flows: list[FlowEnded] = []
        self._legs: list[Leg] = []
        self._findings: Counter[str] = Counter()

    def read(self, capture: Path) -> str:
        """Feed a capture through all of it; return how far it could be read."""
        try:
            source = open_source(str(capture))
        except OperatorError as error:
            return str(error)
        for records in batches(str(capture), source, self._engine):
            self._metrics.observe(records)
            self._note(records)
            for record in records:
                self._analysis.feed(record)
            self._analysis.advance(self._engine.now_ns)
        self._analysis.counters(self.counters())
        self._analysis.close()
        how = source.error or (source.note if source.truncated else "read to the end")
        return f"{source.packets} packets, {how}"

    def seen(self) -> Iterator[Stage]:
        """Yield what came out from decoding to findings."""
        count, records = self.counters(), self._records
        kinds = {kind: sum(n for name, n in count.items() if name.startswith(f"{kind}.")) for kind in _KINDS}
        yield Stage("decode", _listed({"classified": count["classified"]} | kinds))
        apps = Counter(flow.app for flow in self._flows)
        yield Stage("flows", f"{count['flows_begun']}: {_listed(dict(sorted(apps.items())))}")
        packets = sum(stream.packets for flow in self._flows for stream in flow.streams)
        yield Stage("media", f"{count['streams_begun']} streams with {packets} packets")
        yield Stage("verdicts", _listed({name: records[name] for name in ("clear", "encrypted")}))
        yield Stage(
            "signalling",
            f"{count['sip_messages']} SIP messages, {records['agreed']} dialogues agreed, "
            f"{records['completed']} TLS handshake completed",
        )
        legs = [f"{leg.a} ↔ {leg.b} {leg.observed}, {leg.signalled} by SIP" for leg in self._legs]
        yield Stage("legs", "; ".join(sorted(legs)))
        yield Stage("findings", _listed(dict(sorted(self._findings.items()))))

    def events_written(self) -> str:
        """Return what the log of the service holds."""
        lines = self._log.getvalue().splitlines()
        opened = [line for line in lines if json.loads(line)["event"] == "finding_opened"]
        return f"{len(opened)} findings opened, {self._events.failed} not written"

    def scraped(self) -> str:
        """Return what a scrape says."""
        registry = CollectorRegistry()
        registry.register(self._metrics)
        totals = {"legwatch_legs_ended_total": 0, "legwatch_findings_opened_total": 0}
        for family in text_string_to_metric_families(generate_latest(registry).decode()):
            for sample in family.samples:
                if sample.name in totals:
                    totals[sample.name] += int(sample.value)
        legs, findings = totals.values()
        return f"{legs} legs ended, {findings} findings opened"

    def remembered(self, directory: Path) -> str:
        """Return what a state directory has of the baseline after it was written."""
        try:
            memory = Memory(directory, Pseudonyms(), 0)
            memory.adopt(memory.baseline(_FOREVER_S))
            if self._analysis.baseline is not None:
                memory.close(self._analysis.baseline)
            kept = memory.baseline(_FOREVER_S)
        except StateError as error:
            return str(error)
        return memory.problem or f"{len(kept.entries)} endpoints kept and read again"

    def _note(self, records: Iterable[Record]) -> None:
        for record in records:
            match record:
                case Verdict():
                    self._records[record.protection] += 1
                case Negotiation(state="agreed"):
                    self._records["agreed"] += 1
                case Handshake(outcome="completed"):
                    self._records["completed"] += 1

    def flow_ended(self, flow: FlowEnded, context: FlowContext) -> None:  # noqa: ARG002
        self._flows.append(flow)

    def leg_ended(self, leg: Leg) -> None:
        self._legs.append(leg)

    def finding_changed(self, finding: Finding, change: Step) -> None:
        self._findings[finding.code] += change == "opened"

    def counters(self) -> dict[str, int]:
        return self._engine.counters()

    def tables(self) -> dict[str, int]:
        return self._analysis.tables()

    def capture_state(self) -> CaptureState:
        return CaptureState(up=True, kernel_drops=0)

    def conditions(self) -> tuple[Condition, ...]:
        return ()

    def in_clear(self) -> Mapping[tuple[str, str], InClear]:
        return self._analysis.in_clear()

    def expiries(self) -> dict[str, int]:
        return self._analysis.expiries()

    def waivers(self) -> dict[str, int]:
        return self._analysis.waivers()

    def sinks(self) -> dict[str, SinkState]:
        return {}

    def requests(self) -> dict[str, int]:
        return {}

    def ledger(self) -> None:
        return None

    def extra(self) -> dict[str, int]:
        return {}


def _event(finding: Finding, change: Change) -> Event:
    said = timestamp(finding.last_ns)
    return finding_event(finding, change, time=said, site="selftest", sensor="selftest", runbooks="docs/runbooks")


def _listed(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in counts.items())


def _print(*, well: bool, name: str, text: str) -> None:
    print(f"  {'well ' if well else 'WRONG'}  {name:<12} {text}")  # noqa: T201
