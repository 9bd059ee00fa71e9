"""The canonical event: what leaves the sensor about a finding (docs/schema/event.schema.json)."""

from __future__ import annotations

from typing import Literal, NotRequired, TypedDict

from sensor.model import Finding, FindingState, Severity
from sensor.output.jsonl import subject_object, timestamp
from sensor.policy.catalogue import CATALOGUE

EventName = Literal["finding_opened", "finding_updated", "finding_resolved", "finding_summary"]

Change = Literal["opened", "updated", "resolved"]
_NAMES: dict[Change, EventName] = {
    "opened": "finding_opened",
    "updated": "finding_updated",
    "resolved": "finding_resolved",
}


class Suppressed(TypedDict):
    """Findings of which a summary is all that is said."""

    opened: int
    resolved: int


class Event(TypedDict):
    """One step in a finding's life, or a summary of several findings of one code. Times are RFC 3339 in UTC."""

    time: str  # wall clock, when the event was made
    event: EventName
    id: str  # the finding's: the same in all of its events
    code: str
    title: str
    severity: Severity
    state: FindingState
    subject: dict[str, str]
    segments: list[str]
    evidence: list[str]
    controls: list[str]
    first: str  # packet time, as the rest
    last: str
    since: str | None  # the first packet that it is about
    count: int
    waived_by: str | None
    site: str
    sensor: str
    runbook: str
    suppressed: NotRequired[Suppressed]  # in a summary only, as is the next
    window_s: NotRequired[float]


def finding_event(
    finding: Finding,
    change: Change,
    *,
    time: str,
    site: str,
    sensor: str,
    runbooks: str,
) -> Event:
    """Return the event of a change; it shares nothing with the finding, which lives on.

    ``time`` is the wall clock as RFC 3339 text, ``runbooks`` the folder of the runbooks as a path or an URL.
    """
    code = finding.code
    return {
        "time": time,
        "event": _NAMES[change],
        "id": finding.id,
        "code": code,
        "title": CATALOGUE[code].title,
        "severity": finding.severity,
        "state": finding.state,
        "subject": subject_object(finding.subject),
        "segments": list(finding.segments),
        "evidence": list(finding.evidence),
        "controls": list(finding.controls),
        "first": timestamp(finding.first_ns),
        "last": timestamp(finding.last_ns),
        "since": timestamp(finding.since_ns) if finding.since_ns else None,
        "count": finding.count,
        "waived_by": finding.waived_by,
        "site": site,
        "sensor": sensor,
        "runbook": f"{runbooks.rstrip('/')}/{code}.md",
    }
