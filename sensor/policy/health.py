"""What is true by the policy of the sensor itself: its blindness is a finding too."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sensor.model import Subject
from sensor.policy.claims import NS, claim

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sensor.config.schema import Policy
    from sensor.findings import Claim


def no_traffic(interface: str, silent_ns: int, policy: Policy) -> list[Claim]:
    """Return the claim that a watched interface is silent, once it has been for the policy's time."""
    if silent_ns < policy.no_traffic_after * NS:
        return []
    evidence = f"no packet on {interface} for more than {policy.no_traffic_after:g} s"
    return [claim("sensor-no-traffic", policy, Subject("interface", name=interface), None, evidence)]


def loss(interface: str, lost: Mapping[str, int], policy: Policy) -> list[Claim]:
    """Return the claim that the sensor lost traffic: counts by the name of their counter, none when all are zero."""
    figures = ", ".join(f"{count} {name}" for name, count in lost.items() if count)
    if not figures:
        return []
    subject = Subject("sensor", name=interface)
    return [claim("sensor-loss", policy, subject, None, f"lost: {figures}; the calls in it are not assessed")]
