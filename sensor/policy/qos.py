"""Whether voice carries the marks by which switches and routers let it pass first (RFC 2474, RFC 4594 section 4.1)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sensor.policy.claims import claim, pair

if TYPE_CHECKING:
    from collections.abc import Hashable

    from fastpath.records import FlowEnded
    from sensor.config.schema import Policy
    from sensor.findings import Claim
    from sensor.policy.segments import Segments

LEAST_PACKETS = 50  # of a stream before its marks say anything


def unmarked(flow: FlowEnded, segments: Segments, policy: Policy) -> tuple[Hashable, list[Claim]]:
    """Return who holds it and the claim that media between two hosts was not marked as the policy has it."""
    key = flow.key
    hosts = pair("leg", key.a, key.b)
    wrong = {
        f"{stream.dscp} from {key.a if stream.from_a else key.b}"
        for stream in flow.streams
        if stream.packets >= LEAST_PACKETS and stream.dscp not in policy.dscp
    }
    if not wrong:
        return ("qos", hosts), []
    wanted = " or ".join(map(str, policy.dscp))
    evidence = f"media marked with DSCP {', '.join(sorted(wrong))}; the policy wants {wanted}"
    required = segments.required(key.a, key.b, key.vlans)
    return ("qos", hosts), [claim("qos-unmarked", required.policy, hosts, required, evidence)]
