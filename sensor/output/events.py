"""Structured events: what happens to the sensor and to findings, JSON for a service, readable on a terminal."""

from __future__ import annotations

import io
import json
import os
import select
import threading
import time
from typing import TYPE_CHECKING, TextIO, cast

import structlog

from sensor.output.metrics import SinkState

if TYPE_CHECKING:
    from structlog.typing import EventDict, FilteringBoundLogger, Processor

    from sensor.alerts.event import Event
    from sensor.model import Severity

_LONGEST = 4000  # octets of an event; with the end of its line less than PIPE_BUF
_METHODS: dict[Severity, str] = {
    "info": "info",
    "low": "info",
    "medium": "warning",
    "high": "error",
    "critical": "critical",
}


def configure(out: TextIO) -> FilteringBoundLogger:
    """Return the logger of one run: JSON lines, or coloured text where ``out`` is a terminal."""
    shared: list[Processor] = [
        _Room(out),
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
    ]
    last: list[Processor] = (
        [structlog.dev.ConsoleRenderer(timestamp_key="time", sort_keys=False)]
        if out.isatty()
        else [_in_order, _shortened, structlog.processors.JSONRenderer()]
    )
    logger: FilteringBoundLogger = structlog.wrap_logger(
        structlog.WriteLogger(cast("TextIO", _Lines(out))),
        processors=[*shared, *last],
        wrapper_class=structlog.make_filtering_bound_logger("info"),
        cache_logger_on_first_use=True,
    )
    return logger


class _Room:
    """Refuses an event that ``out`` has no room for: who does not read its log must not hold the sensor up.

    A pipe that can be written to takes PIPE_BUF octets at once, 4096 (pipe(7)); JSON is cut to that.
    """

    def __init__(self, out: TextIO) -> None:
        self._poll: select.poll | None = select.poll()
        try:
            self._poll.register(out.fileno(), select.POLLOUT)
        except io.UnsupportedOperation:  # in memory
            self._poll = None

    def __call__(self, _logger: object, _method: str, event: EventDict) -> EventDict:
        """Pass the event on, or raise BlockingIOError."""
        if self._poll is not None and not self._poll.poll(0):
            raise BlockingIOError
        return event


class _Lines:
    """Writes whole lines, and keeps none: what a buffer held would be written later, and was counted as lost."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._rest = b""  # of a line for which the disk had no room
        try:
            self._file = out.fileno()
        except io.UnsupportedOperation:  # in memory
            self._file = -1

    def write(self, line: str) -> None:
        """Write a line, once the one before it is whole; OSError, and nothing of it, where there is no room."""
        if self._file < 0:
            self._out.write(line)
            return
        while self._rest:
            self._rest = self._rest[os.write(self._file, self._rest) :]
        octets = line.encode("utf-8", "backslashreplace")
        self._rest = octets[os.write(self._file, octets) :]

    def flush(self) -> None:
        """Do nothing: all is written."""


def _in_order(_logger: object, _method: str, event: EventDict) -> EventDict:
    """Put first what every event has."""
    return {name: event.pop(name) for name in ("time", "level", "event")} | dict(event)


def _shortened(_logger: object, _method: str, event: EventDict) -> EventDict:
    """Leave out the ends of lists of an event that is too long, the longest one first, and count what they were.

    BlockingIOError when it is too long without them.
    """
    excess = _size(event) - _LONGEST
    if excess <= 0:
        return event
    left_out = 0
    excess += len(', "left_out": 1000000')
    lists = [name for name in event if isinstance(event[name], list | tuple)]
    for name in sorted(lists, key=lambda name: _size(event[name]), reverse=True):
        kept = list(event[name])
        while kept and excess > 0:
            excess -= _size(kept.pop()) + len(", ")
            left_out += 1
        event[name] = kept
    if excess > 0:
        raise BlockingIOError
    event["left_out"] = left_out
    return event


def _size(value: object) -> int:
    return len(json.dumps(value, default=repr))


class Events:
    """An outlet of events: the log of the service. Any thread may say something."""

    def __init__(self, log: FilteringBoundLogger) -> None:
        self._log = log
        self._lock = threading.Lock()
        self.failed = 0  # events that could not be written
        self._written = 0
        self._last_s = 0.0
        self._up = True

    def say(self, event: str, *, level: str = "info", **keys: object) -> None:
        """Write one event; one that cannot be written is counted."""
        with self._lock:
            try:
                getattr(self._log, level)(event, **keys)
            except OSError:
                self.failed += 1
                self._up = False
            else:
                self._written += 1
                self._up, self._last_s = True, time.time()

    def state(self) -> SinkState:
        """Return how it is doing."""
        return SinkState(self._written, self.failed, up=self._up, last_s=self._last_s)

    def put(self, event: Event) -> None:
        """Say ``finding_opened``, ``finding_updated``, ``finding_resolved`` or ``finding_summary``.

        What is over or waived does not alert.
        """
        quiet = event["state"] != "open"
        keys = {name: value for name, value in event.items() if name not in ("event", "time")}
        self.say(event["event"], level="info" if quiet else _METHODS[event["severity"]], **keys)
