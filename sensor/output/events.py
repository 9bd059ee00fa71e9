"""Structured events: what happens to the sensor and to findings, JSON for a service, readable on a terminal."""

from __future__ import annotations

import io
import select
from typing import TYPE_CHECKING, Literal, TextIO

import structlog

from sensor.output.jsonl import subject_object, timestamp

if TYPE_CHECKING:
    from structlog.typing import EventDict, FilteringBoundLogger, Processor

    from fastpath.records import FlowEnded
    from sensor.model import Call, Endpoint, Finding, FlowContext, Leg, Severity, TlsServer

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
        else [_in_order, structlog.processors.JSONRenderer()]
    )
    logger: FilteringBoundLogger = structlog.wrap_logger(
        structlog.WriteLogger(out),
        processors=[*shared, *last],
        wrapper_class=structlog.make_filtering_bound_logger("info"),
        cache_logger_on_first_use=True,
    )
    return logger


class _Room:
    """Refuses an event that ``out`` has no room for: who does not read its log must not hold the sensor up.

    A pipe that can be written to takes PIPE_BUF octets at once (pipe(7)), more than an event has.
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


def _in_order(_logger: object, _method: str, event: EventDict) -> EventDict:
    """Put first what every event has."""
    return {name: event.pop(name) for name in ("time", "level", "event")} | dict(event)


class Events:
    """A sink that says each step in a finding's life once."""

    def __init__(self, log: FilteringBoundLogger) -> None:
        self._log = log
        self.failed = 0  # events that could not be written

    def say(self, event: str, *, level: str = "info", **keys: object) -> None:
        """Write one event; one that cannot be written is counted."""
        try:
            getattr(self._log, level)(event, **keys)
        except OSError:
            self.failed += 1

    def flow_ended(self, flow: FlowEnded, context: FlowContext) -> None:
        """Flows are too many for a log."""

    def leg_ended(self, leg: Leg) -> None:
        """Legs are too many for a log."""

    def call_ended(self, call: Call) -> None:
        """Calls are too many for a log."""

    def endpoint_ended(self, endpoint: Endpoint) -> None:
        """Endpoints are too many for a log."""

    def tls_server_ended(self, server: TlsServer) -> None:
        """TLS servers are too many for a log."""

    def finding_changed(self, finding: Finding, change: Literal["opened", "updated", "resolved"]) -> None:
        """Say ``finding_opened``, ``finding_updated`` or ``finding_resolved``; a waived finding does not alert."""
        quiet = change == "resolved" or finding.state == "waived"
        self.say(
            f"finding_{change}",
            level="info" if quiet else _METHODS[finding.severity],
            code=finding.code,
            severity=finding.severity,
            state=finding.state,
            subject=subject_object(finding.subject),
            segments=finding.segments,
            evidence=finding.evidence,
            controls=finding.controls,
            first=timestamp(finding.first_ns),
            last=timestamp(finding.last_ns),
            count=finding.count,
            waived_by=finding.waived_by,
        )
