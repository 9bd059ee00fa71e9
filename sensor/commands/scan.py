"""``legwatch scan``: capture files in, legs and findings out."""

from __future__ import annotations

import io
import sys
from argparse import Namespace
from collections.abc import Callable
from contextlib import ExitStack
from typing import Protocol

from fastpath.source import OfflineSource
from sensor.capture import CaptureError, open_capture
from sensor.commands import OperatorError, configuration
from sensor.commands.pipeline import Pipeline
from sensor.model import Sink
from sensor.output.jsonl import JsonLines
from sensor.output.summary import Summary, rank

BIG_FILE = 64 << 20  # octets; a smaller one is read before a progress bar is understood

_BUDGET = 1 << 18  # packets between two looks at the records and the progress


class _Output(Sink, Protocol):
    def begin(self, capture: str | None) -> None: ...

    def end(self) -> None: ...

    def close(self, summary: Summary) -> None: ...


def execute(args: Namespace) -> int:
    """Read every capture and report; 1 when a finding is at least as severe as asked for."""
    pipeline = Pipeline(configuration(args.config, reveal=args.reveal_identities))
    # All are opened before anything is printed: a name mistyped costs no half a report.
    sources = [(path, _open(path)) for path in args.captures]
    summary = Summary()
    output = _output(as_json=args.json)
    unreadable = False
    for path, source in sources:
        output.begin(path if len(sources) > 1 else None)
        with ExitStack() as stack:
            _read(source, pipeline, (output, summary), _progress(path, source, stack))
        output.end()
        if source.error or source.truncated:
            print(f"{path}: {source.error or source.note}; read up to there", file=sys.stderr)  # noqa: T201
        unreadable |= bool(source.error)
    output.close(summary)
    if unreadable:
        return 2
    return int(summary.worst is not None and rank(summary.worst) >= rank(args.fail_on))


def _open(path: str) -> OfflineSource:
    try:
        return open_capture(path)
    except CaptureError as error:
        raise OperatorError(str(error)) from None


def _output(*, as_json: bool) -> _Output:
    if as_json:
        return JsonLines(sys.stdout)
    from sensor.output.table import Report  # noqa: PLC0415  (JSON need not wait for the drawing of tables)

    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a terminal without arrows and ticks still shows the words
    return Report(sys.stdout)


def _read(
    source: OfflineSource,
    pipeline: Pipeline,
    sinks: tuple[_Output, Summary],
    progress: Callable[[int], object],
) -> None:
    engine, analysis = pipeline.engine(), pipeline.analysis(sinks)
    status = 1
    while status > 0:
        status = engine.process(source, _BUDGET)
        for record in engine.drain():
            analysis.feed(record)
        analysis.advance(engine.now_ns)
        progress(source.position)
    more = True
    while more:
        more = engine.finish()
        for record in engine.drain():
            analysis.feed(record)
    counters = engine.counters()
    analysis.counters(counters)
    analysis.close()
    sinks[1].capture_ended(counters)


def _progress(path: str, source: OfflineSource, stack: ExitStack) -> Callable[[int], object]:
    if source.size < BIG_FILE or not sys.stderr.isatty():
        return lambda _position: None
    from rich.console import Console  # noqa: PLC0415  (seldom needed, slow to load)
    from rich.markup import escape  # noqa: PLC0415
    from rich.progress import Progress  # noqa: PLC0415

    bar = stack.enter_context(Progress(console=Console(stderr=True), transient=True))
    task = bar.add_task(escape(path), total=source.size)
    return lambda position: bar.update(task, completed=position)
