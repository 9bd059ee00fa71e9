"""Whom an event is about, as addresses and in words."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import TYPE_CHECKING, NamedTuple

from sensor.alerts.mappings.plain import one_line

if TYPE_CHECKING:
    from sensor.alerts.event import Event

_MAX_PORT = 0xFFFF


class End(NamedTuple):
    """One end of what a finding is about."""

    ip: IPv4Address | IPv6Address
    port: int | None


def ends(event: Event) -> tuple[End | None, End | None]:
    """Return the addresses that a subject is about: its ``a`` and ``b``, else none and the server that it names.

    ``a`` and ``b`` are not who called whom, which a finding does not say.
    """
    subject = event["subject"]
    a, b = (_end(subject.get(part, "")) for part in ("a", "b"))
    return (a, b) if a or b else (None, _end(subject.get("name", "")))


def _end(text: str) -> End | None:
    try:
        return End(_ip(text), None)
    except ValueError:
        pass
    host, _, port = text.rpartition(":")
    if not (port.isascii() and port.isdigit() and int(port[:6]) <= _MAX_PORT):
        return None
    try:
        return End(_ip(host[1:-1] if host.startswith("[") and host.endswith("]") else host), int(port))
    except ValueError:
        return None


def _ip(text: str) -> IPv4Address | IPv6Address:
    ip = ip_address(text)
    if isinstance(ip, IPv6Address) and ip.scope_id is not None:
        # a zone may be any text; it means nothing on another machine
        return IPv6Address(int(ip))
    return ip


def sentence(event: Event) -> str:
    """Return what an event says as one line of text: what happened, to whom, and the evidence."""
    subject = event["subject"]
    who = " and ".join(subject[part] for part in ("a", "b") if part in subject) or subject.get("name", "")
    said = f"{event['title']}, {who}" if who else event["title"]
    if event["event"] == "finding_summary":
        counts = event.get("suppressed", {"opened": 0, "resolved": 0})
        said += f" ({counts['opened']} more opened, {counts['resolved']} resolved)"
    elif event["state"] != "open":
        said += f" ({event['state']})"
    evidence = "; ".join(event["evidence"])
    return one_line(f"{said}: {evidence}" if evidence else said)
