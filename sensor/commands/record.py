"""What the running sensor writes into its ledger: what its analysis says, what it saw, and by what rules."""

from __future__ import annotations

import hashlib
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from math import inf

from sensor.analysis import Analysis
from sensor.commands.pipeline import Pipeline
from sensor.config.schema import Config, Policy
from sensor.findings import Book
from sensor.ledger.canonical import encode
from sensor.ledger.coverage import Coverage, Legs
from sensor.ledger.entries import Entry
from sensor.ledger.ledger import Ledger
from sensor.ledger.note import Checkpoint
from sensor.ledger.policy import policy_entry
from sensor.ledger.sink import LedgerSink
from sensor.model import Endpoint, Finding, Leg, QuietSink, Sink, TlsServer
from sensor.output.metrics import LedgerState
from sensor.readiness import Condition

DAY_S = 86_400
DAY_MS = DAY_S * 1000
MIB = 1 << 20
LEAST_DAYS = 30  # of room, below which somebody has to do something
PORTION = 500  # entries of an inventory in a second: a day's calls keep the queue to themselves
STOP_S = 3.0  # that the disk has at the end


class Record(QuietSink):
    """Puts into a ledger what happens; methods return at once, and are all for the thread of the analysis.

    As a sink it counts legs as they are. ``sinks`` are those that the analysis has to tell.
    """

    def __init__(self, ledger: Ledger, pipeline: Pipeline, config: Config) -> None:
        sink = LedgerSink(ledger.put, pipeline.names.hidden, transactions=config.ledger.transactions)
        self._ledger = ledger
        self._host = pipeline.host
        (self._told,) = pipeline.veiled((sink,))
        self._policy = config.policy
        self._configuration: str | None = None  # its digest
        self._coverage: Coverage | None = None
        self._synchronised: bool | None = None
        self._checkpoint: Checkpoint | None = None
        self._signed_s = 0.0  # Unix time of it
        self._day = 0
        self._inventory_ns = 0  # when the last one was begun
        self._inventory: deque[Callable[[], None]] = deque()  # of it, what is still to be told

    @property
    def sinks(self) -> tuple[Sink, ...]:
        """What the analysis has to tell."""
        return self, self._told

    def begin(
        self, start: Mapping[str, str], interface: str, configuration: str | None, counters: Mapping[str, int]
    ) -> None:
        """Begin: ``start`` names the sensor, ``configuration`` is the SHA-256 of the file."""
        now_ms = _now_ms()
        self._configuration = configuration
        policy = self._policy_entry()
        self._ledger.start()
        self._ledger.put({
            "kind": "start",
            **start,
            "interface": interface,
            "configuration": self._configuration,
            "policy": _digest_of_policy(policy),
        })  # fmt: skip
        self._ledger.put(policy)
        self._coverage = Coverage(interface, counters, now_ms)
        self._day = now_ms // DAY_MS

    def look(
        self, counters: Mapping[str, int], holding: Iterable[Condition], analysis: Analysis, *, synchronised: bool
    ) -> None:
        """Take how things are now, about once a second."""
        now_ms = _now_ms()
        if (checkpoint := self._ledger.checkpoint()) is not self._checkpoint:
            self._checkpoint, self._signed_s = checkpoint, now_ms / 1000
        another_day = now_ms // DAY_MS != self._day
        if another_day or synchronised != self._synchronised:  # of each segment it can be told
            self._synchronised = synchronised
            self._ledger.put({"kind": "clock", "back": 0, "synchronised": synchronised})
        if self._coverage is not None and self._coverage.watch(holding, now_ms):
            self._turn(self._coverage, counters, analysis, now_ms)
        if another_day:
            self._day = now_ms // DAY_MS
            self._ledger.put(self._policy_entry())
            self._take_inventory(analysis)
        for _ in range(min(PORTION, len(self._inventory))):
            self._inventory.popleft()()

    def reload(self, policy: Policy, configuration: str | None) -> None:
        """Take another policy, out of a file with the SHA-256 ``configuration``."""
        self._policy, self._configuration = policy, configuration
        self._ledger.put(self._policy_entry())

    def problem(self) -> str:
        """Return why nothing can be written now, "" when it can."""
        return self._ledger.problem()

    def shortage(self) -> str:
        """Return why the room will not do for long, or cannot be made; "" when all is well."""
        if untidy := self._ledger.untidy():
            return untidy
        budget = self._ledger.budget()
        if budget is None or (budget.room and (budget.full_in_days is None or budget.full_in_days >= LEAST_DAYS)):
            return ""
        days = "no room is left" if not budget.room else f"room for {budget.full_in_days} days"
        return f"{days}: it takes {budget.octets / MIB:,.0f} MiB, and {budget.a_day / MIB:,.1f} MiB more a day"

    def state(self) -> LedgerState:
        """Return how the ledger is doing; to be called by any thread."""
        counters, checkpoint, budget = self._ledger.counters(), self._ledger.checkpoint(), self._ledger.budget()
        return LedgerState(
            entries=counters["entries"],
            octets=counters["octets"],
            lost=counters["lost"],
            errors=counters["errors"],
            size=checkpoint.size if checkpoint is not None else 0,
            size_octets=budget.octets if budget is not None else 0,
            room_s=inf if budget is None or budget.full_in_days is None else budget.full_in_days * DAY_S,
            checkpoint_s=self._signed_s,
        )

    def leg_ended(self, leg: Leg) -> None:
        """Count a leg for the minute."""
        if self._coverage is not None:
            self._coverage.leg_ended(leg.segments, clear=leg.observed == "clear")

    def end(self, counters: Mapping[str, int], analysis: Analysis, reason: str) -> int:
        """End, after the analysis has ended; return how many entries are lost."""
        if self._coverage is not None:
            self._turn(self._coverage, counters, analysis, _now_ms())
        for finding in analysis.book.open_findings():
            self._told.finding_changed(finding, "updated")
        self._ledger.put({"kind": "stop", "packets": counters["received"], "reason": reason})
        return self._ledger.stop(STOP_S)

    def _turn(self, coverage: Coverage, counters: Mapping[str, int], analysis: Analysis, now_ms: int) -> None:
        legs = {
            ends: Legs(states.total(), states["clear"]) for ends, states in analysis.legs_by_segments().items()
        }  # fmt: skip
        for entry in coverage.turn(counters, legs, [segment.name for segment in self._policy.segments], now_ms):
            self._ledger.put(entry)

    def _take_inventory(self, analysis: Analysis) -> None:
        """Have the endpoints and servers told that were seen since the last time."""
        since_ns, self._inventory_ns = self._inventory_ns, _now_ms() * 1_000_000
        endpoints, servers = analysis.inventory()
        self._inventory.extend(self._endpoint(each) for each in endpoints if each.last_ns >= since_ns)
        self._inventory.extend(self._server(each) for each in servers if each.last_ns >= since_ns)
        self._inventory.extend(self._finding(each, analysis.book) for each in analysis.book.open_findings())

    def _endpoint(self, endpoint: Endpoint) -> Callable[[], None]:
        return lambda: self._told.endpoint_ended(endpoint)

    def _finding(self, finding: Finding, book: Book) -> Callable[[], None]:
        """Have told how often and until when an open finding was seen: of that alone nobody is told."""
        return lambda: self._told.finding_changed(finding, "updated") if book.is_open(finding) else None

    def _server(self, server: TlsServer) -> Callable[[], None]:
        return lambda: self._told.tls_server_ended(server)

    def _policy_entry(self) -> Entry:
        return policy_entry(self._policy, self._host) | {"configuration": self._configuration}


def _digest_of_policy(entry: Entry) -> str:
    """Return the SHA-256 of a policy entry, whenever it was written."""
    return hashlib.sha256(encode({name: value for name, value in entry.items() if name != "at"})).hexdigest()


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
