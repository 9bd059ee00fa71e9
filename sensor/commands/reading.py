"""What the commands that read capture files have in common."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack

from fastpath.engine import Engine
from fastpath.records import Record
from fastpath.source import OfflineSource
from sensor.capture import CaptureError, open_capture
from sensor.commands import OperatorError

BIG_FILE = 64 << 20  # octets; a smaller one is read before a progress bar is understood

_BUDGET = 1 << 18  # packets between two looks at the records and the progress


def open_source(path: str) -> OfflineSource:
    """Return the packets of a capture file; OperatorError when it cannot be read."""
    try:
        return open_capture(path)
    except CaptureError as error:
        raise OperatorError(str(error)) from None


def batches(path: str, source: OfflineSource, engine: Engine) -> Iterator[list[Record]]:
    """Yield the records of a capture as they come, those of its last flows included; a big one shows its progress."""
    with ExitStack() as stack:
        progress = _progress(path, source, stack)
        status = 1
        while status > 0:
            status = engine.process(source, _BUDGET)
            yield engine.drain()
            progress(source.position)
    more = True
    while more:
        more = engine.finish()
        yield engine.drain()


def say_how_it_ended(path: str, source: OfflineSource) -> None:
    """Say on standard error where a capture breaks off, if it does."""
    if source.error or source.truncated:
        print(f"{path}: {source.error or source.note}; read up to there", file=sys.stderr)  # noqa: T201


def _progress(path: str, source: OfflineSource, stack: ExitStack) -> Callable[[int], object]:
    if source.size < BIG_FILE or not sys.stderr.isatty():
        return lambda _position: None
    from rich.console import Console  # noqa: PLC0415  (seldom needed, slow to load)
    from rich.markup import escape  # noqa: PLC0415
    from rich.progress import Progress  # noqa: PLC0415

    bar = stack.enter_context(Progress(console=Console(stderr=True), transient=True))
    task = bar.add_task(escape(path), total=source.size)
    return lambda position: bar.update(task, completed=position)
