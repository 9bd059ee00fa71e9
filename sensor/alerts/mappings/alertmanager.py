"""Alerts as Alertmanager's API takes them (v2, POST /api/v2/alerts; api/v2/openapi.yaml in its sources)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sensor.alerts.mappings.plain import valid
from sensor.alerts.mappings.subject import sentence

if TYPE_CHECKING:
    from sensor.alerts.event import Event


def alert(event: Event, *, generator: str = "") -> dict[str, object]:
    """Return an event as an alert; ``generator`` is an URL to lead back to.

    Labels name what is wrong, never whom it is about: ``finding`` keeps two findings of one code apart. Whatever is not
    open ends with the event.
    """
    labels = {
        "alertname": event["code"],
        "severity": event["severity"],
        "segment": ",".join(event["segments"]),
        "site": event["site"],
        "sensor": event["sensor"],
        "finding": event["id"],
        "summary": "true" if event["event"] == "finding_summary" else "",
    }
    annotations = {
        "summary": event["title"],
        "description": sentence(event),
        "runbook_url": event["runbook"],
        "controls": ",".join(event["controls"]),
    }
    result: dict[str, object] = {
        "labels": {name: valid(value) for name, value in labels.items() if value},
        "annotations": {name: valid(value) for name, value in annotations.items() if value},
        # Alertmanager refuses what ends before it starts, and packet time may be ahead of the wall clock
        "startsAt": min(event["first"], event["time"]),
    }
    if event["state"] != "open":
        result["endsAt"] = event["time"]
    if generator:
        result["generatorURL"] = generator
    return result
