"""What is true by the policy of hosts that talk with each other: may they, and is the one outside anybody's vendor."""

from __future__ import annotations

from ipaddress import IPv4Address, ip_address
from typing import TYPE_CHECKING

from sensor.config.network import PRIVATE, VOICE_KINDS
from sensor.model import Subject
from sensor.policy.claims import claim, end
from sensor.policy.waivers import day

if TYPE_CHECKING:
    from collections.abc import Iterator
    from ipaddress import IPv4Network, IPv6Address, IPv6Network

    from fastpath.records import FlowKey
    from sensor.config.network import ManagementPath, Vendor
    from sensor.config.schema import Policy
    from sensor.findings import Claim
    from sensor.policy.segments import Required, Segments

_DHCP = frozenset((67, 68, 546, 547))  # RFC 2131 and RFC 8415: who asks for an address has none yet
_ALL_HOSTS = IPv4Address("255.255.255.255")
_ENCRYPTED = {"https": (443, 8443), "ssh": (22,)}  # what a path may name and the packets do not show


def violation(key: FlowKey, app: str, segments: Segments, policy: Policy) -> list[Claim]:
    """Return the claim that two hosts talk that may not, the one outside the telephone system first."""
    required = segments.required(key.a, key.b, key.vlans)
    if required.access or _is_for_all(key, segments) or is_managed(key, app, segments, policy):
        return []
    a, b = segments.of(key.a, key.vlans), segments.of(key.b, key.vlans)
    # Where both may be it, the one that began is the stranger.
    stranger_is_b = a is not None and a.kind in VOICE_KINDS and (b is None or b.kind not in VOICE_KINDS)
    stranger, host = (key.b, key.a) if stranger_is_b else (key.a, key.b)
    what = "unrecognised traffic" if app == "other" else app.upper()
    evidence = f"{what} over {key.proto.upper()} between {end(key.a, key.a_port)} and {end(key.b, key.b_port)}"
    return [claim("segment-violation", required.policy, Subject("access", stranger, host), required, evidence)]


def is_managed(key: FlowKey, app: str, segments: Segments, policy: Policy) -> bool:
    """Say whether a flow is on a path that the policy allows for management."""
    return any(
        _is_protocol(protocol, app, key.proto, port)
        for client, server, port in ((key.a, key.b, key.b_port), (key.b, key.a, key.a_port))
        for path in paths(client, server, key.vlans, segments, policy)
        for protocol in path.protocols
    )


def paths(
    client: str, server: str, vlans: tuple[int, ...], segments: Segments, policy: Policy
) -> Iterator[ManagementPath]:
    """Give the paths on which the policy lets one host manage another."""
    for path in policy.management:
        if _is_at(path.clients, client, vlans, segments) and _is_at(path.servers, server, vlans, segments):
            yield path


def peer(outside: str, inside: str, required: Required, policy: Policy, now_ns: int) -> list[Claim]:
    """Return the claims about who an address outside is, that takes part in calls."""
    vendor = vendor_of(outside, policy)
    if vendor is None:
        evidence = f"{outside} takes part in calls with {inside} and is in the inventory of no vendor"
        return [claim("unknown-vendor", required.policy, Subject("peer", outside), required, evidence)]
    why = missing_agreement(vendor, now_ns)
    if why is None:
        return []
    subject = Subject("vendor", name=vendor.name)
    return [claim("vendor-without-baa", required.policy, subject, required, f"{vendor.name} carries calls; {why}")]


def vendor_of(address: str, policy: Policy) -> Vendor | None:
    """Return the vendor of an address, by the longest of the ranges that hold it."""
    ip = _ip(address)
    held = [
        (network.prefixlen, vendor)
        for vendor in policy.vendors
        for network in vendor.addresses
        if ip is not None and ip in network
    ]
    return max(held, key=lambda entry: entry[0])[1] if held else None


def missing_agreement(vendor: Vendor, now_ns: int) -> str | None:
    """Return what is wrong with a vendor's Business Associate Agreement; None when nothing is, or none is needed."""
    if not vendor.baa_required:
        return None
    if vendor.baa is None:
        return "the inventory has no Business Associate Agreement"
    today = day(now_ns)
    if today < vendor.baa.signed:
        return f"its Business Associate Agreement is signed for {vendor.baa.signed}"
    if vendor.baa.expires is not None and today > vendor.baa.expires:
        return f"its Business Associate Agreement ended on {vendor.baa.expires}"
    return None


def is_external(address: str, vlans: tuple[int, ...], segments: Segments) -> bool:
    """Say whether an address is somebody else's: in a trunk's segment, or public and in no segment's ranges."""
    segment = segments.of(address, vlans)
    if segment is not None and segment.kind == "trunk":
        return True
    return segments.by_range(address) is None and is_public(address)


def is_public(address: str) -> bool:
    """Say whether an address is a host's that may be anywhere."""
    ip = _ip(address)
    return ip is not None and not is_group(address) and not any(ip in network for network in PRIVATE.cidrs)


def is_group(address: str) -> bool:
    """Say whether an address is no host's: of many, of all, or of none yet."""
    ip = _ip(address)
    return ip is None or ip.is_multicast or ip.is_unspecified or ip == _ALL_HOSTS


def _is_for_all(key: FlowKey, segments: Segments) -> bool:
    """Say whether a flow is to every host of a network, or on the way to an address: who sends that talks to nobody."""
    if key.proto == "udp" and {key.a_port, key.b_port} <= _DHCP:
        return True
    for address in (key.a, key.b):
        ip, segment = _ip(address), segments.by_range(address)
        if is_group(address):
            return True
        if segment is not None and any(
            ip == network.broadcast_address for network in segment.cidrs if _is_lan(network)
        ):
            return True
    return False


def _is_lan(network: IPv4Network | IPv6Network) -> bool:
    return network.version == 4 and network.prefixlen < 31  # noqa: PLR2004  (RFC 3021: two hosts need no broadcast)


def _is_at(
    places: tuple[IPv4Network | IPv6Network | str, ...], address: str, vlans: tuple[int, ...], segments: Segments
) -> bool:
    segment, ip = segments.of(address, vlans), _ip(address)
    name = segment.name if segment is not None else "outside"
    return any(place == name if isinstance(place, str) else ip is not None and ip in place for place in places)


def _is_protocol(protocol: str, app: str, transport: str, port: int) -> bool:
    if protocol in ("any", app):
        return True
    if protocol in _ENCRYPTED:
        return transport == "tcp" and port in _ENCRYPTED[protocol]
    return protocol == f"{transport}/{port}"


def _ip(address: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(address)
    except ValueError:
        return None
