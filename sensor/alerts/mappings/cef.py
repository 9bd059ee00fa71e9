"""ArcSight Common Event Format, revision 25 ("Implementing ArcSight CEF"), version 0."""

from __future__ import annotations

from ipaddress import IPv4Address
from typing import TYPE_CHECKING

from fastpath import __version__
from sensor.alerts.mappings.plain import milliseconds, one_line
from sensor.alerts.mappings.subject import ends, sentence

if TYPE_CHECKING:
    from sensor.alerts.event import Event
    from sensor.model import Severity

_SEVERITY: dict[Severity, int] = {"info": 1, "low": 3, "medium": 5, "high": 8, "critical": 10}
_SIDES = (("src", "spt", "c6a2", "Source IPv6 Address"), ("dst", "dpt", "c6a3", "Destination IPv6 Address"))


def cef(event: Event) -> str:
    """Return an event as one line of CEF without a syslog header and without an end of line."""
    header = ("legwatch", "legwatch", __version__, event["code"], event["title"])
    extension = " ".join(f"{key}={_escaped(value)}" for key, value in _extension(event).items() if value)
    severity = _SEVERITY[event["severity"]]
    return f"CEF:0|{'|'.join(_header(part) for part in header)}|{severity}|{extension}"


def _extension(event: Event) -> dict[str, str]:
    fields = {
        "rt": str(milliseconds(event["time"])),
        "cat": event["event"],
        "externalId": event["id"],
        "start": str(milliseconds(event["first"])),
        "end": str(milliseconds(event["last"])),
        "cnt": str(event["count"]),
        "dvchost": event["sensor"],
    }
    for end, (address, port, address6, label) in zip(ends(event), _SIDES, strict=True):
        if end is None:
            continue
        if isinstance(end.ip, IPv4Address):
            fields[address] = str(end.ip)
        else:
            fields |= {address6: str(end.ip), f"{address6}Label": label}
        fields[port] = "" if end.port is None else str(end.port)
    custom = {
        "state": event["state"],
        "segments": ",".join(event["segments"]),
        "controls": ",".join(event["controls"]),
        "site": event["site"],
        "runbook": event["runbook"],
        "waived_by": event["waived_by"] or "",
    }
    for n, (label, value) in enumerate(custom.items(), start=1):
        if value:
            fields |= {f"cs{n}": value, f"cs{n}Label": label}
    if suppressed := event.get("suppressed"):
        for n, name in enumerate(("opened", "resolved"), start=1):
            fields |= {f"cn{n}": str(suppressed[name]), f"cn{n}Label": f"suppressed {name}"}  # type: ignore[literal-required]
    return fields | {"msg": sentence(event)}


def _header(text: str) -> str:
    # a newline cannot stand in a header, escaped or not
    return one_line(text).replace("\\", "\\\\").replace("|", "\\|")


def _escaped(text: str) -> str:
    return one_line(text).replace("\\", "\\\\").replace("=", "\\=")
