"""What findings cost on their way out, and what a scrape does: ``python -m benchmarks.alerts``.

The exit status is 0 when the limits were kept: a scrape of every series there can be in 25 ms (99 of 100), a thousand
findings a second through the book, the notifier and six sinks, and as many when they are on disk before.
"""

from __future__ import annotations

import argparse
import socket
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from prometheus_client import CollectorRegistry, generate_latest

from fastpath.engine import Engine
from sensor.alerts.build import deliveries
from sensor.alerts.delivery import Delivery
from sensor.alerts.event import Change, Event, finding_event
from sensor.alerts.notifier import Notifier, Outlet
from sensor.analysis import Analysis
from sensor.calls.unprotected import InClear
from sensor.config.load import parse_config
from sensor.config.network import Alerts, Segment
from sensor.config.schema import Policy
from sensor.findings import Book, Claim
from sensor.model import Finding, Subject
from sensor.output.metrics import CaptureState, LedgerState, Metrics, SinkState
from sensor.output.outcomes import OUTCOMES
from sensor.readiness import Condition
from sensor.state.findings import FindingsFile
from sensor.state.outbox import Outbox

SCRAPE_LIMIT_S = 0.025
RATE = 1000  # findings a second
STEP = RATE // 10  # of the sensor's, ten a second
MANY_SEGMENTS = 40
SINKS = """
sinks:
- {{type: file, name: json, path: {folder}/events.json, queue: 100000}}
- {{type: file, name: ecs, format: ecs, path: {folder}/events.ecs, queue: 100000}}
- {{type: file, name: ocsf, format: ocsf, path: {folder}/events.ocsf, queue: 100000}}
- {{type: file, name: cef, format: cef, path: {folder}/events.cef, queue: 100000}}
- {{type: syslog, address: "127.0.0.1:5514", queue: 100000}}
- {{type: hep, address: "127.0.0.1:9060", queue: 100000}}
"""


class Full:
    """Sources of a sensor that has seen everything."""

    def __init__(self) -> None:
        self._counters = Engine(max_flows=16, max_streams=16, event_bytes=1 << 17).counters()
        self._tables = Analysis(Policy(), ()).tables()

    def counters(self) -> dict[str, int]:
        """Return counters."""
        return dict.fromkeys(self._counters, 123_456_789)

    def tables(self) -> dict[str, int]:
        """Return tables."""
        return dict.fromkeys(self._tables, 12_345)

    def capture_state(self) -> CaptureState:
        """Return a capture that runs."""
        return CaptureState(up=True, kernel_drops=1)

    def in_clear(self) -> dict[tuple[str, str], InClear]:
        """Return legs in clear."""
        return {("ward-1", "ward-2"): InClear(3, 10**12)}

    def expiries(self) -> dict[str, int]:
        """Return certificates."""
        return {"pbx": 2 * 10**18}

    def waivers(self) -> dict[str, int]:
        """Return waivers."""
        return {"active": 3, "expired": 1}

    def sinks(self) -> dict[str, SinkState]:
        """Return ten sinks."""
        return {f"sink-{i}": SinkState(10**6, 10) for i in range(10)}

    def requests(self) -> dict[str, int]:
        """Return requests."""
        return dict.fromkeys(OUTCOMES, 10**6)

    def conditions(self) -> tuple[Condition, ...]:
        """Return none."""
        return ()

    def ledger(self) -> LedgerState:
        """Return a ledger that has something of everything."""
        return LedgerState(10**9, 10**12, 10**6, 10**6, 10**9, 10**12, 1e9, 1.7e9)

    def extra(self) -> dict[str, int]:
        """Return nothing beside."""
        return {}


def measure_scrapes(count: int) -> bool:
    """Print how long a scrape of every series takes; return whether the limit was kept."""
    policy = Policy(segments=tuple(Segment(f"ward-{i}", vlans=(i + 1,)) for i in range(MANY_SEGMENTS)))
    registry = CollectorRegistry()
    registry.register(Metrics(Full(), policy, {"site": "main", "sensor": "span", "interface": "span0"}))
    took = [_timed(lambda: generate_latest(registry)) for _ in range(count)]
    text = generate_latest(registry).decode()
    series = sum(1 for line in text.splitlines() if not line.startswith("#"))
    p99 = statistics.quantiles(took, n=100)[98]
    print(f"scrape of {series} series, {len(text):,} octets: median {1000 * statistics.median(took):.1f} ms, "
          f"99 of 100 in {1000 * p99:.1f} ms (limit {1000 * SCRAPE_LIMIT_S:g})")  # fmt: skip
    return p99 <= SCRAPE_LIMIT_S


def measure_findings(count: int) -> bool:
    """Print what a finding costs the thread that finds it, with no sink and with six; return whether it is in time."""
    with _listening(5514), _listening(9060):
        without = _findings(count, "sinks: []")
        cost = _findings(count, SINKS)
        stored = _findings(count, SINKS, on_disk=True)
    print(f"a finding, opened and resolved: {1e6 * without.cost_s:.0f} us without sinks")
    for words, found in (("six sinks", cost), ("six sinks and a state directory", stored)):
        print(f"with {words}: {1e6 * found.cost_s:.0f} us, {1 / found.cost_s:,.0f} a second (limit {RATE}); "
              f"{found.arrived:,} of {12 * count:,} events arrived, {count / found.whole_s:,.0f} findings a second "
              "to the last sink")  # fmt: skip
    return all(1 / each.cost_s >= RATE and each.arrived == 12 * count for each in (cost, stored))


class _Found(NamedTuple):
    cost_s: float  # of each finding, to the thread that finds it
    whole_s: float  # until all was delivered
    arrived: int


def _findings(count: int, sinks: str, *, on_disk: bool = False) -> _Found:
    with tempfile.TemporaryDirectory() as folder:
        outbox = Outbox(FindingsFile(Path(folder), "plain"), _Nobody(), "log", _print) if on_disk else None
        shelf = None if outbox is None else outbox.shelf
        made = deliveries(parse_config(sinks.format(folder=folder), "sinks").sinks, shelf, "span")
        for delivery in made:
            delivery.start()
        began = time.perf_counter()
        cost_s = _find(count, made, outbox) / count
        wanted = 2 * count * len(made)
        while sum(each.counts().delivered for each in made) < wanted and time.perf_counter() < began + 120:
            time.sleep(0.01)
        whole_s = time.perf_counter() - began
        for delivery in made:
            delivery.stop(1.0)
        if outbox is not None:
            outbox.stop()
    return _Found(cost_s, whole_s, sum(delivery.counts().delivered for delivery in made))


def _print(event: str, **_keys: object) -> None:
    print(event)


class _Nobody:
    def put(self, event: Event) -> None:
        """Take an event."""


def _find(count: int, made: list[Delivery], outbox: Outbox | None) -> float:
    """Return what it takes to open and resolve so many findings, a tenth of a second's worth at a time."""

    def event(finding: Finding, change: Change) -> Event:
        return finding_event(
            finding, change, time="2026-01-05T10:00:00.000000Z", site="main", sensor="span", runbooks="docs/runbooks"
        )

    if outbox is not None:
        outbox.deliver_to(made)
        outbox.start()
    outlets: Sequence[Outlet] = made if outbox is None else [outbox]
    notifier = Notifier(outlets, Alerts(burst=100_000), event)
    book = Book([notifier] if outbox is None else [notifier, outbox])
    claims = [
        Claim("media-clear", "critical", Subject("leg", f"10.{i >> 8}.{i & 255}.1", "10.0.0.9"), ("voice",), "seen", ())
        for i in range(count)
    ]

    def all_of_them() -> None:
        for i in range(2 * count):
            book.hold(i % count, claims[i : i + 1], i)
            if outbox is not None and i % STEP == 0:
                outbox.commit(book, notifier.summaries(), i + 1)
        if outbox is not None:
            outbox.commit(book, notifier.summaries(), 2 * count)

    return _timed(all_of_them)


def _listening(port: int) -> socket.socket:
    """Return a socket that takes datagrams and reads none: a port with nobody there would refuse them."""
    made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    made.bind(("127.0.0.1", port))
    return made


def _timed(work: Callable[[], object]) -> float:
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin


def main() -> int:
    """Measure both; return 1 when a limit was exceeded."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.alerts", description="scrapes and findings")
    parser.add_argument("--scrapes", type=int, default=1000, help="(default: 1000)")
    parser.add_argument("--findings", type=int, default=10_000, help="(default: 10000)")
    arguments = parser.parse_args()
    kept = [measure_scrapes(arguments.scrapes), measure_findings(arguments.findings)]
    print("limits kept" if all(kept) else "a limit was exceeded")
    return 0 if all(kept) else 1


if __name__ == "__main__":
    sys.exit(main())
