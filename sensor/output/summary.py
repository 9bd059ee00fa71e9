"""The account of one run: what became of every packet, and what was found."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sensor.model import SEVERITIES, QuietSink

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fastpath.records import FlowEnded
    from sensor.model import Call, Endpoint, Finding, FlowContext, Leg, Severity, Step, TlsServer


@dataclass(slots=True)
class Summary(QuietSink):
    """Adds up over the captures of a run. A sink, too: it counts what is reported.

    ``received = classified + sum(ignored) + sum(malformed) + sum(shed)``, exactly; reasons come from the engine.
    """

    received: int = 0
    classified: int = 0
    ignored: Counter[str] = field(default_factory=Counter)
    malformed: Counter[str] = field(default_factory=Counter)
    shed: Counter[str] = field(default_factory=Counter)
    duplicates: int = 0
    kernel_drops: int = 0
    flows: int = 0
    legs: int = 0
    calls: int = 0
    endpoints: int = 0
    tls_servers: int = 0
    findings: Counter[str] = field(default_factory=Counter)  # by code
    worst: Severity | None = None  # of the findings that are not waived
    seconds: float = 0.0  # from the first packet of any flow to the last, added over the captures
    _first_ns: int | None = None  # of the capture that is being read
    _last_ns: int = 0

    def capture_ended(self, counters: Mapping[str, int]) -> None:
        """Add the account of one capture (``Engine.counters()`` at its end)."""
        if self._first_ns is not None:
            self.seconds += max(self._last_ns - self._first_ns, 0) / 1e9
        self._first_ns, self._last_ns = None, 0
        self.received += counters["received"]
        self.classified += counters["classified"]
        self.duplicates += counters["duplicates"]
        for name, count in counters.items():
            family, _, reason = name.partition(".")
            if reason and family in {"ignored", "malformed", "shed"}:
                getattr(self, family)[reason] += count

    def flow_ended(self, flow: FlowEnded, context: FlowContext) -> None:  # noqa: ARG002
        """Count a flow."""
        self.flows += 1
        self._first_ns = flow.first_ns if self._first_ns is None else min(self._first_ns, flow.first_ns)
        self._last_ns = max(self._last_ns, flow.last_ns)

    def leg_ended(self, leg: Leg) -> None:  # noqa: ARG002
        """Count a leg."""
        self.legs += 1

    def call_ended(self, call: Call) -> None:  # noqa: ARG002
        """Count a call."""
        self.calls += 1

    def endpoint_ended(self, endpoint: Endpoint) -> None:  # noqa: ARG002
        """Count an endpoint."""
        self.endpoints += 1

    def tls_server_ended(self, server: TlsServer) -> None:  # noqa: ARG002
        """Count a server."""
        self.tls_servers += 1

    def finding_changed(self, finding: Finding, change: Step) -> None:
        """Count a finding when it opens; a waived one does not alert, so it is never the worst."""
        if change == "opened":
            self.findings[finding.code] += 1
        if finding.state != "waived" and (self.worst is None or rank(finding.severity) > rank(self.worst)):
            self.worst = finding.severity


def rank(severity: Severity) -> int:
    """Return the place of a severity, "info" being 0."""
    return SEVERITIES.index(severity)
