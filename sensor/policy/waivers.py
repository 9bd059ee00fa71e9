"""What the policy accepts for a while: a finding that a waiver names is recorded all the same, and does not alert."""

from __future__ import annotations

from datetime import UTC, datetime
from ipaddress import ip_address
from typing import TYPE_CHECKING

from sensor.policy.claims import NS

if TYPE_CHECKING:
    from datetime import date
    from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

    from sensor.config.network import Waiver
    from sensor.config.schema import Policy
    from sensor.model import Subject


class Waivers:
    """The waivers of a policy."""

    def __init__(self, policy: Policy) -> None:
        self._waivers = policy.waivers
        self._by_code: dict[str, list[Waiver]] = {}
        for waiver in policy.waivers:
            for code in waiver.codes:
                self._by_code.setdefault(code, []).append(waiver)
        self._vendors = {vendor.name: vendor.addresses for vendor in policy.vendors}

    def of(self, code: str, subject: Subject, segments: tuple[str, ...], now_ns: int) -> str | None:
        """Return what waives a finding now, in words; None when nothing does."""
        waivers = self._by_code.get(code)
        if waivers is None:
            return None
        today, ends = day(now_ns), _ends(subject)
        ranges = self._vendors.get(subject.name, ()) if subject.kind == "vendor" else ()
        for waiver in waivers:
            if today <= waiver.until and (_names(waiver, ends, segments) or _holds(waiver, ranges)):
                return f"{waiver.owner}: {waiver.reason} (until {waiver.until})"
        return None

    def naming(self, a: str, b: str, segments: tuple[str, ...]) -> list[Waiver]:
        """Return the waivers, those that are over too, which name one of two addresses or their segments."""
        ends = [ip_address(a), ip_address(b)]
        return [waiver for waiver in self._waivers if _names(waiver, ends, segments)]

    def counts(self, now_ns: int) -> dict[str, int]:
        """Return how many waivers hold and how many are over: "active" and "expired"."""
        active = sum(day(now_ns) <= waiver.until for waiver in self._waivers)
        return {"active": active, "expired": len(self._waivers) - active}


def _holds(waiver: Waiver, ranges: tuple[IPv4Network | IPv6Network, ...]) -> bool:
    """Say whether a waiver names a range of a vendor."""
    return any(
        not isinstance(subject, str) and subject.version == network.version and subject.overlaps(network)
        for subject in waiver.subjects
        for network in ranges
    )


def day(now_ns: int) -> date:
    """Return the day of a packet's time, UTC."""
    return datetime.fromtimestamp(now_ns // NS, UTC).date()


def _names(waiver: Waiver, ends: list[IPv4Address | IPv6Address], segments: tuple[str, ...]) -> bool:
    return any(
        subject in segments if isinstance(subject, str) else any(end in subject for end in ends)
        for subject in waiver.subjects
    )


def _ends(subject: Subject) -> list[IPv4Address | IPv6Address]:
    """Return the addresses that a subject is about; that of a server is in its name, before the port."""
    ends = []
    for text in (subject.a, subject.b, subject.name.rpartition(":")[0].strip("[]")):
        try:
            ends.append(ip_address(text))
        except ValueError:
            continue
    return ends
