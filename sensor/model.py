"""What the analysis says and the sinks carry: legs, findings, and the health of the sensor itself.

Words as everywhere in the project: a *leg* is one dialogue's media between two endpoints; a *finding* is one statement
of policy about one subject, opened when it becomes true, updated while it lasts, resolved when it ends.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, Protocol

from fastpath.records import FlowEnded

Protection = Literal["encrypted", "clear", "undetermined", "not-observed"]
Signalled = Literal["clear", "srtp-sdes", "srtp-dtls", "zrtp", "optional", "unknown"]
Comparison = Literal["agree", "clear-despite-srtp", "encrypted-despite-clear", "undecided", "unsignalled"]
KeyExchange = Literal["sdes", "sdes-exposed", "dtls", "zrtp", "none", "unknown"]
Severity = Literal["info", "low", "medium", "high", "critical"]
FindingState = Literal["open", "resolved", "waived"]

SEVERITIES: tuple[Severity, ...] = ("info", "low", "medium", "high", "critical")


@dataclass(frozen=True, slots=True)
class Subject:
    """Whom a finding is about. ``kind`` is "leg", "signalling", "interface" or "sensor"; unused ends are ""."""

    kind: str
    a: str = ""
    b: str = ""
    name: str = ""


@dataclass(slots=True)
class Finding:
    """One finding through its life; the same object is handed out at every step of it."""

    code: str
    severity: Severity
    state: FindingState
    subject: Subject
    segments: tuple[str, ...]
    evidence: list[str]  # statements, each with its figures; no identity that the output may not show
    controls: tuple[str, ...]  # HIPAA Security Rule clauses, "164.312(e)(1)"
    first_ns: int
    last_ns: int
    count: int = 1
    waived_by: str | None = None


@dataclass(slots=True)
class Leg:
    """One leg: what was promised for it and what its packets showed, kept apart."""

    a: str  # hosts; the media's own addresses once media was seen
    b: str
    media: str  # "audio", "video", …; "audio" when no SDP was seen
    signalling: Literal["clear", "tls", "unknown"]
    signalled: Signalled
    observed: Protection
    comparison: Comparison
    key_exchange: KeyExchange
    assessed: float  # share of its time that was well observed, 0 to 1
    flows: list[int] = field(default_factory=list)
    call: str | None = None  # pseudonym of the call
    first_ns: int = 0
    last_ns: int = 0


@dataclass(frozen=True, slots=True)
class FlowContext:
    """What the signalling adds to a flow that ended."""

    signalled: Signalled
    key_exchange: KeyExchange
    carries: str | None = None  # "sip" on TLS and WebSocket flows known to carry it


class Sink(Protocol):
    """Where results go. Every method returns at once; a sink that fails counts it and never raises."""

    def flow_ended(self, flow: FlowEnded, context: FlowContext) -> None:
        """A flow is over."""

    def leg_ended(self, leg: Leg) -> None:
        """A leg is over; its record is final."""

    def finding_changed(self, finding: Finding, change: Literal["opened", "updated", "resolved"]) -> None:
        """A finding was opened, updated or resolved."""
