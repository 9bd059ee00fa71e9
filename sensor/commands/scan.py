"""``legwatch scan``: capture files in, legs and findings out."""

from __future__ import annotations

import io
import sys
from argparse import Namespace
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from fastpath.source import OfflineSource
from sensor.commands import configuration
from sensor.commands.pipeline import FILE_EVENTS, Pipeline
from sensor.commands.reading import batches, open_source, say_how_it_ended
from sensor.model import Sink
from sensor.output.jsonl import JsonLines
from sensor.output.summary import Summary, rank

if TYPE_CHECKING:
    from sensor.commands.reporting import ScanReport
    from sensor.config.schema import Config


class Output(Sink, Protocol):
    """Prints results."""

    def begin(self, capture: str | None) -> None:
        """Results of a capture follow; None where there is one only."""

    def end(self) -> None:
        """There are no more of it."""

    def close(self, summary: Summary) -> None:
        """There are no more at all."""


def execute(args: Namespace) -> int:
    """Read every capture and report; 1 when a finding is at least as severe as asked for."""
    config = configuration(args.config, reveal=args.reveal_identities)
    pipeline = Pipeline(config)
    report = _report(args.report, config, pipeline.names.host) if args.report else None
    # All are opened before anything is printed: a name mistyped costs no half a report.
    sources = [(path, open_source(path)) for path in args.captures]
    summary = Summary()
    output = output_of(as_json=args.json)
    unreadable = False
    for path, source in sources:
        output.begin(path if len(sources) > 1 else None)
        counters = _read(path, source, pipeline, (output, summary, *(report.sinks(path) if report else ())))
        summary.capture_ended(counters)
        output.end()
        say_how_it_ended(path, source)
        if report:
            report.capture_ended(path, source, counters)
        unreadable |= bool(source.error)
    output.close(summary)
    if report:
        report.write()
    if unreadable:
        return 2
    return int(summary.worst is not None and rank(summary.worst) >= rank(args.fail_on))


def _report(path: str, config: Config, host: Callable[[str], str]) -> ScanReport:
    from sensor.commands.reporting import ScanReport  # noqa: PLC0415  (20 ms that a scan without a report does not pay)

    return ScanReport(path, config, host)


def output_of(*, as_json: bool) -> Output:
    """Return where results are printed."""
    if as_json:
        return JsonLines(sys.stdout)
    from sensor.output.table import Report  # noqa: PLC0415  (JSON need not wait for the drawing of tables)

    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a terminal without arrows and ticks still shows the words
    return Report(sys.stdout)


def _read(path: str, source: OfflineSource, pipeline: Pipeline, sinks: tuple[Sink, ...]) -> dict[str, int]:
    engine, analysis = pipeline.engine(event_bytes=FILE_EVENTS), pipeline.analysis(sinks)
    for records in batches(path, source, engine):
        for record in records:
            analysis.feed(record)
        analysis.advance(engine.now_ns)
    counters = engine.counters()
    analysis.counters(counters)
    analysis.close()
    return counters
