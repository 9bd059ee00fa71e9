"""Syslog messages (RFC 5424), and how TCP and TLS divide them (RFC 6587 section 3.4.1, RFC 5425 section 4.3)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from sensor.alerts.mappings.plain import cut, one_line, valid

if TYPE_CHECKING:
    from sensor.alerts.event import Event
    from sensor.model import Severity

# RFC 5424 section 6.2.1
FACILITIES = {
    name: number
    for number, name in enumerate(
        (
            "kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv", "ftp",
            "ntp", "audit", "alert", "clock", "local0", "local1", "local2", "local3", "local4", "local5", "local6",
            "local7",
        )
    )
}  # fmt: skip
ENTERPRISE = 32473  # RFC 5612: reserved for examples, and so nobody's; a site with a number of its own sets that
MIN_OCTETS, MAX_OCTETS = 480, 65_000  # section 6.1; what a datagram holds
_SEVERITY: dict[Severity, int] = {"info": 6, "low": 5, "medium": 4, "high": 3, "critical": 2}
_QUIET = 6
_BOM = b"\xef\xbb\xbf"
_MAX_VALUE = 200  # octets of one parameter, so that the structured data leaves room for the message
_UNPRINTABLE = re.compile(r"[^!-~]")  # PRINTUSASCII


def message(
    event: Event, text: str, *, facility: int, hostname: str, enterprise: int = ENTERPRISE, octets: int = 8192
) -> bytes:
    """Return one message that says ``text`` and has the event as structured data.

    Nothing in it ends a line. ``octets`` is the greatest length: parameters that find no room are left out, the text is
    cut. ``text`` in other characters than ASCII has a byte order mark, as section 6.4 asks for.
    """
    quiet = event["state"] != "open"
    pri = facility * 8 + (_QUIET if quiet else _SEVERITY[event["severity"]])
    time = _header(event["time"], 32)
    header = f"<{pri}>1 {time} {_header(hostname, 255)} legwatch - {_header(event['code'], 32)} ".encode()
    data = _structured(event, enterprise, octets - len(header))
    text = one_line(text)
    mark = b"" if text.isascii() else _BOM
    room = octets - len(header) - len(data) - 1 - len(mark)
    said = cut(text, room).encode() if room > 0 else b""
    return header + data + (b" " + mark + said if said else b"")


def counted(message: bytes) -> bytes:
    """Return a message with its length before it, as a stream carries it."""
    return b"%d %s" % (len(message), message)


def _header(text: str, octets: int) -> str:
    return _UNPRINTABLE.sub("_", valid(text))[:octets] or "-"


def _structured(event: Event, enterprise: int, octets: int) -> bytes:
    parameters = {
        "id": event["id"],
        "event": event["event"],
        "severity": event["severity"],
        "state": event["state"],
        "kind": event["subject"].get("kind", ""),
        "a": event["subject"].get("a", ""),
        "b": event["subject"].get("b", ""),
        "name": event["subject"].get("name", ""),
        "site": event["site"],
        "sensor": event["sensor"],
        "segments": ",".join(event["segments"]),
        "count": str(event["count"]),
        "first": event["first"],
        "last": event["last"],
        "since": event["since"] or "",
        "controls": ",".join(event["controls"]),
        "waivedBy": event["waived_by"] or "",
        "runbook": event["runbook"],
    }
    if "suppressed" in event:
        parameters["opened"] = str(event["suppressed"]["opened"])
        parameters["resolved"] = str(event["suppressed"]["resolved"])
    data = f"[legwatch@{enterprise}".encode()
    for name, value in parameters.items():
        parameter = f' {name}="{_escaped(value)}"'.encode()
        if value and len(data) + len(parameter) < octets:
            data += parameter
    return data + b"]"


def _escaped(value: str) -> str:
    # section 6.3.3; a backslash before anything else would be taken as it is, so that one is escaped, too
    return re.sub(r'(["\\\]])', r"\\\1", cut(one_line(value), _MAX_VALUE))
