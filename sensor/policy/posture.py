"""What is true by the policy of an endpoint that is new, or that has lost the protection that it had."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from sensor.model import Subject
from sensor.policy.claims import claim

if TYPE_CHECKING:
    from sensor.findings import Claim
    from sensor.policy.segments import Required

Plane = Literal["media", "signalling"]


def new(address: str, required: Required) -> Claim:
    """Return the claim that an endpoint was never seen before."""
    evidence = f"{address} takes part in calls and is not in the baseline"
    return claim("new-endpoint", required.policy, Subject("endpoint", address), required, evidence)


def drifted(address: str, plane: Plane, since: str, required: Required) -> Claim:
    """Return the claim that an endpoint's media or signalling was encrypted whenever it was seen, and is not now."""
    words = "SIP went by TLS" if plane == "signalling" else "media was encrypted"
    evidence = f"{words} with {address} whenever it was seen since {since}; now it is in clear"
    return claim("posture-drift", required.policy, plane_of(address, plane), required, evidence)


def plane_of(address: str, plane: Plane) -> Subject:
    """Return an endpoint's media or signalling as a subject."""
    return Subject("endpoint", address, name=plane)
