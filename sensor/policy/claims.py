"""What all rules have in common: how a claim is made, and whom it is about."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sensor.findings import Claim
from sensor.model import Subject
from sensor.policy.catalogue import CATALOGUE

if TYPE_CHECKING:
    from sensor.config.schema import Policy
    from sensor.model import Severity
    from sensor.policy.segments import Required

NS = 1_000_000_000


def claim(
    code: str,
    policy: Policy,
    subject: Subject,
    required: Required | None,
    evidence: str,
    severity: Severity | None = None,
    since_ns: int = 0,
) -> Claim:
    """Return a claim with the severity that the policy gives it, else the one named here, else the usual one."""
    entry = CATALOGUE[code]
    severity = policy.severities.get(code, severity or entry.severity)
    return Claim(code, severity, subject, required.segments if required else (), evidence, entry.controls, since_ns)


def pair(kind: str, a: str, b: str) -> Subject:
    """Return two hosts as a subject, the same whichever is named first."""
    return Subject(kind, a, b) if a <= b else Subject(kind, b, a)


def end(host: str, port: int) -> str:
    """Return an address and port as text."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
