"""What in a policy is over or has no effect, although every value of it is right."""

from __future__ import annotations

from ipaddress import ip_address
from typing import TYPE_CHECKING

from sensor.policy.access import missing_agreement
from sensor.policy.segments import Segments
from sensor.policy.waivers import day

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sensor.config.schema import Policy


def doubts(policy: Policy, now_ns: int) -> Iterator[tuple[str, str]]:
    """Give the place of each doubt below ``policy``, and what the doubt is."""
    for i, waiver in enumerate(policy.waivers):
        if day(now_ns) > waiver.until:
            yield f"waivers[{i}].until", f"the waiver ended on {waiver.until}"
    yield from _vendors(policy, now_ns)
    yield from _hosts(policy)


def _vendors(policy: Policy, now_ns: int) -> Iterator[tuple[str, str]]:
    segments = Segments(policy)
    for i, vendor in enumerate(policy.vendors):
        why = missing_agreement(vendor, now_ns)
        if why is not None:
            yield f"vendors[{i}].baa", f"{vendor.name}: {why}"
        for j, network in enumerate(vendor.addresses):
            segment = segments.of(str(network.network_address))
            if segment is not None and segment.kind != "trunk":
                what = f'{network} begins in segment "{segment.name}", which is no trunk: no vendor is looked for there'
                yield f"vendors[{i}].addresses[{j}]", what


def _hosts(policy: Policy) -> Iterator[tuple[str, str]]:
    if any(segment.vlans or segment.interfaces for segment in policy.segments):
        return  # which of them an address is seen in shows in its packets only
    for i, host in enumerate(policy.hosts):
        for j, address in enumerate(host.addresses):
            if not any(ip_address(address) in network for segment in policy.segments for network in segment.cidrs):
                yield f"hosts[{i}].addresses[{j}]", f"{address} is in no segment"
