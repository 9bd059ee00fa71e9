"""Fields of the systemd journal (systemd.journal-fields(7)); MESSAGE_ID says which finding, the same for ever."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from sensor.alerts.mappings.plain import valid
from sensor.alerts.mappings.subject import sentence

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sensor.alerts.event import Event
    from sensor.model import Severity

# drawn once; a change would change every MESSAGE_ID
_NAMESPACE = "dcb1a00b-b335-46d3-b1f4-d1e36c119d67"
# syslog(3), as the levels of sensor.output.events
_PRIORITY: dict[Severity, int] = {"info": 6, "low": 5, "medium": 4, "high": 3, "critical": 2}
_QUIET = 6


def message_id(code: str) -> str:
    """Return the MESSAGE_ID of a finding's code, a UUID of version 5 (RFC 9562 section 5.5): 32 hexadecimal digits."""
    name = bytes.fromhex(_NAMESPACE.replace("-", "")) + code.encode()
    octets = bytearray(hashlib.sha1(name, usedforsecurity=False).digest()[:16])
    octets[6] = octets[6] & 0x0F | 0x50
    octets[8] = octets[8] & 0x3F | 0x80
    return octets.hex()


def message_ids(codes: Iterable[str]) -> str:
    """Return the table of docs/ALERTS.md: a row for each code."""
    rows = [f"| `{code}` | `{message_id(code)}` |" for code in sorted(codes)]
    return "\n".join(["| code | MESSAGE_ID |", "|---|---|", *rows])


def fields(event: Event) -> dict[str, str]:
    """Return the fields of an entry; values may hold anything, newlines included, and are valid UTF-8."""
    own = {
        "EVENT": event["event"],
        "ID": event["id"],
        "CODE": event["code"],
        "TITLE": event["title"],
        "SEVERITY": event["severity"],
        "STATE": event["state"],
        "SUBJECT_KIND": event["subject"].get("kind", ""),
        "SUBJECT_A": event["subject"].get("a", ""),
        "SUBJECT_B": event["subject"].get("b", ""),
        "SUBJECT_NAME": event["subject"].get("name", ""),
        "SEGMENTS": ",".join(event["segments"]),
        "EVIDENCE": "\n".join(event["evidence"]),
        "CONTROLS": ",".join(event["controls"]),
        "TIME": event["time"],
        "FIRST": event["first"],
        "LAST": event["last"],
        "SINCE": event["since"] or "",
        "COUNT": str(event["count"]),
        "WAIVED_BY": event["waived_by"] or "",
        "SITE": event["site"],
        "SENSOR": event["sensor"],
    }
    if "suppressed" in event:
        own["SUPPRESSED_OPENED"] = str(event["suppressed"]["opened"])
        own["SUPPRESSED_RESOLVED"] = str(event["suppressed"]["resolved"])
        own["WINDOW_S"] = str(event.get("window_s", ""))
    quiet = event["state"] != "open"
    entry = {
        "MESSAGE": sentence(event),
        "MESSAGE_ID": message_id(valid(event["code"])),
        "PRIORITY": str(_QUIET if quiet else _PRIORITY[event["severity"]]),
        "SYSLOG_IDENTIFIER": "legwatch",
        "DOCUMENTATION": event["runbook"],
    } | {f"LEGWATCH_{name}": value for name, value in own.items()}
    return {name: valid(value) for name, value in entry.items() if value}
