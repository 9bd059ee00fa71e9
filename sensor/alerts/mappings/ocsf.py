"""Open Cybersecurity Schema Framework 1.4.0: Detection Finding (2004), or Compliance Finding (2003).

https://schema.ocsf.io/1.4.0/classes/detection_finding and …/compliance_finding. Times are milliseconds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastpath import __version__
from sensor.alerts.mappings.plain import milliseconds
from sensor.alerts.mappings.subject import End, ends, sentence

if TYPE_CHECKING:
    from sensor.alerts.event import Event, EventName
    from sensor.model import FindingState, Severity

_FINDINGS = 2  # the category
_COMPLIANCE, _DETECTION = 2003, 2004
_IP_ADDRESS = 2  # type of an observable
_ACTIVITY: dict[EventName, tuple[int, str]] = {
    "finding_opened": (1, "Create"),
    "finding_updated": (2, "Update"),
    "finding_resolved": (3, "Close"),
    "finding_summary": (1, "Create"),
}
_SEVERITY: dict[Severity, tuple[int, str]] = {
    "info": (1, "Informational"),
    "low": (2, "Low"),
    "medium": (3, "Medium"),
    "high": (4, "High"),
    "critical": (5, "Critical"),
}
_STATUS: dict[FindingState, tuple[int, str]] = {
    "open": (1, "New"),
    "waived": (3, "Suppressed"),
    "resolved": (4, "Resolved"),
}
# That a fault is no longer seen is not a check that passed: the sensor never says that a control is met.
_CHECK: dict[FindingState, tuple[int, str]] = {
    "open": (3, "Fail"),
    "waived": (99, "Waived"),
    "resolved": (0, "Unknown"),
}


def ocsf(event: Event, *, compliance: bool = False) -> dict[str, object]:
    """Return an event as a Detection Finding, or as a Compliance Finding."""
    kind = _COMPLIANCE if compliance else _DETECTION
    activity, activity_name = _ACTIVITY[event["event"]]
    severity, severity_name = _SEVERITY[event["severity"]]
    status, status_name = _STATUS[event["state"]]
    sides = dict(zip(("src_endpoint", "dst_endpoint"), ends(event), strict=True))
    endpoints = {name: _endpoint(end) for name, end in sides.items() if end}
    product = {"name": "legwatch", "vendor_name": "legwatch", "version": __version__}
    finding: dict[str, object] = {
        "activity_id": activity,
        "activity_name": activity_name,
        "category_uid": _FINDINGS,
        "category_name": "Findings",
        "class_uid": kind,
        "class_name": "Compliance Finding" if compliance else "Detection Finding",
        "type_uid": kind * 100 + activity,
        "time": milliseconds(event["time"]),
        "start_time": milliseconds(event["first"]),
        "end_time": milliseconds(event["last"]),
        "severity_id": severity,
        "severity": severity_name,
        "status_id": status,
        "status": status_name,
        "count": event["count"],
        "message": sentence(event),
        "metadata": {"version": "1.4.0", "product": product, "event_code": event["code"]},
        "finding_info": {
            "uid": event["id"],
            "title": event["title"],
            "desc": sentence(event),
            "types": [event["code"]],
            "analytic": {"uid": event["code"], "name": event["title"], "type_id": 1, "type": "Rule"},
            "first_seen_time": milliseconds(event["first"]),
            "last_seen_time": milliseconds(event["last"]),
        },
        "remediation": {"desc": "See the runbook.", "references": [event["runbook"]]},
        "observables": [
            {"name": f"evidences[].{name}.ip", "type_id": _IP_ADDRESS, "type": "IP Address", "value": str(end.ip)}
            for name, end in sides.items()
            if end
        ],
        "unmapped": _unmapped(event),
    }
    evidences = [{**endpoints, "data": {"statement": statement}} for statement in event["evidence"]]
    if compliance:
        # the class has no evidences of its own
        finding["observables"] = [{**entry, "name": "unmapped.subject"} for entry in finding["observables"]]  # type: ignore[attr-defined]
        finding["compliance"] = _compliance(event)
    else:
        finding["is_alert"] = event["event"] != "finding_resolved" and event["state"] == "open"
        finding["evidences"] = evidences or ([endpoints] if endpoints else [])
    return finding


def _compliance(event: Event) -> dict[str, object]:
    status, name = _CHECK[event["state"]]
    result: dict[str, object] = {
        "standards": ["HIPAA Security Rule, 45 CFR Part 164 Subpart C"],
        "requirements": event["controls"],
        "status_id": status,
        "status": name,
        "status_detail": "Observed on the segments that the sensor watches; no statement about the rest.",
    }
    if event["controls"]:
        result["control"] = event["controls"][0]
    return result


def _unmapped(event: Event) -> dict[str, object]:
    rest: dict[str, object] = {
        "event": event["event"],
        "subject": event["subject"],
        "segments": event["segments"],
        "evidence": event["evidence"],
        "controls": event["controls"],
        "since": event["since"],
        "waived_by": event["waived_by"],
        "site": event["site"],
        "sensor": event["sensor"],
    }
    if "suppressed" in event:
        rest |= {"suppressed": event["suppressed"], "window_s": event.get("window_s")}
    return rest


def _endpoint(end: End) -> dict[str, object]:
    return {"ip": str(end.ip)} | ({} if end.port is None else {"port": end.port})
