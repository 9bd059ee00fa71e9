"""Elastic Common Schema 8.17 (https://www.elastic.co/guide/en/ecs/8.17/); the rest is ``legwatch.*``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastpath import __version__
from sensor.alerts.mappings.subject import End, ends, sentence

if TYPE_CHECKING:
    from sensor.alerts.event import Event
    from sensor.model import Severity

_SEVERITY: dict[Severity, int] = {"info": 1, "low": 21, "medium": 47, "high": 73, "critical": 99}  # as Elastic's rules
_TYPES = {"finding_opened": "start", "finding_resolved": "end"}


def ecs(event: Event) -> dict[str, object]:
    """Return an event as an ECS document."""
    a, b = ends(event)
    document: dict[str, object] = {
        "@timestamp": event["time"],
        "ecs": {"version": "8.17.0"},
        "message": sentence(event),
        "event": {
            "kind": "alert",
            "category": ["network"],
            "type": [_TYPES.get(event["event"], "info")],
            "action": event["event"],
            "code": event["code"],
            "module": "legwatch",
            "dataset": "legwatch.finding",
            "severity": _SEVERITY[event["severity"]],
            "start": event["first"],
            "end": event["last"],
        },
        "rule": {
            "id": event["code"],
            "name": event["title"],
            "reference": event["runbook"],
            "ruleset": "legwatch",
        },
        "observer": {
            "name": event["sensor"],
            "type": "sensor",
            "product": "legwatch",
            "vendor": "legwatch",
            "version": __version__,
        },
        "related": {"ip": list(dict.fromkeys(str(end.ip) for end in (a, b) if end))},
        "legwatch": {
            "id": event["id"],
            "severity": event["severity"],
            "state": event["state"],
            "subject": event["subject"],
            "segments": event["segments"],
            "evidence": event["evidence"],
            "controls": event["controls"],
            "since": event["since"],
            "count": event["count"],
            "waived_by": event["waived_by"],
            "site": event["site"],
        },
    }
    if a:
        document["source"] = _host(a)
    if b:
        document["destination"] = _host(b)
    if "suppressed" in event:
        summary = {"suppressed": event["suppressed"], "window_s": event.get("window_s")}
        document["legwatch"] = {**document["legwatch"], **summary}  # type: ignore[dict-item]
    return document


def _host(end: End) -> dict[str, object]:
    address = str(end.ip)
    return {"address": address, "ip": address} | ({} if end.port is None else {"port": end.port})
