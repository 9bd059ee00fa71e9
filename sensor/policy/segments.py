"""Which segment an address is in, and what the policy asks of traffic between two addresses."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address
from typing import TYPE_CHECKING, NamedTuple

from sensor.config.network import OUTSIDE, PRIVATE, VOICE_KINDS, Pair, Requirement, Role, Segment
from sensor.model import SEVERITIES, Severity

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from sensor.config.schema import Policy

CACHED = 1 << 16  # addresses, and pairs of them, whose answer is kept; the cache starts afresh when full


class Required(NamedTuple):
    """What must hold between two addresses, and the segments they are in."""

    media: bool  # must be encrypted
    signalling: bool  # must be encrypted
    segments: tuple[str, ...]  # without repetition; what is outside all segments is not named
    policy: Policy  # as it is between these two: what their pair and their segments say in place of the general rule
    access: bool = True  # they may talk at all


class Match(NamedTuple):
    """A segment, and what puts an address into it: "range 10.20.0.0/16", "VLAN 20", "interface span0"."""

    segment: Segment
    by: str


class Segments:
    """The policy's answer for pairs of addresses: a pair's rule where there is one, else the stricter segment's.

    What is outside every segment asks for nothing by itself.
    """

    def __init__(self, policy: Policy, interface: str = "") -> None:
        self._policy = policy
        self._pairs = {frozenset(pair.between): pair for pair in policy.pairs}
        self._by_names: dict[frozenset[str], Required] = {}
        self.isolates = any(segment.isolated for segment in policy.segments) or any(
            pair.access == "denied" for pair in policy.pairs
        )
        # (IP version, mask, network, segment), longest prefix first
        self._networks = sorted(
            (
                (network.version, int(network.netmask), int(network.network_address), segment)
                for segment in policy.segments
                for network in segment.cidrs
            ),
            key=lambda entry: entry[1],
            reverse=True,
        )
        self._roles = {address: host.role for host in policy.hosts for address in host.addresses}
        self._vlans = {vlan: segment for segment in policy.segments for vlan in segment.vlans}
        self._interface = interface
        on_link = (segment for segment in policy.segments if interface and interface in segment.interfaces)
        self._on_interface = next(on_link, None)
        self._by_address: dict[str, Segment | None] = {}
        self._by_pair: dict[tuple[str, str, tuple[int, ...]], Required] = {}

    def required(self, a: str, b: str, vlans: tuple[int, ...] = ()) -> Required:
        """Return what must hold between two addresses (text, RFC 5952) that were seen in these VLANs."""
        key = (a, b, vlans)
        required = self._by_pair.get(key)
        if required is None:
            if len(self._by_pair) >= CACHED:
                self._by_pair.clear()
            required = self._by_pair[key] = self._judge(self.of(a, vlans), self.of(b, vlans))
        return required

    def of(self, address: str, vlans: Iterable[int] = ()) -> Segment | None:
        """Return the segment of an address, None when it is outside all of them."""
        segment = self.by_range(address)
        if segment is None and self._vlans:
            segment = next((self._vlans[vlan] for vlan in vlans if vlan in self._vlans), None)
        return segment or self._on_interface

    def by_range(self, address: str) -> Segment | None:
        """Return the segment whose range holds an address best, None where VLAN or interface would have to tell."""
        try:
            return self._by_address[address]
        except KeyError:
            if len(self._by_address) >= CACHED:
                self._by_address.clear()
            segment = self._by_address[address] = self._longest_match(address)
            return segment

    def match(self, address: str, vlans: tuple[int, ...] = ()) -> Match | None:
        """Return the segment of an address and why it is that one, None when the address is outside all of them."""
        segment = self.of(address, vlans)
        if segment is None:
            return None
        ranges = [network for network in segment.cidrs if ip_address(address) in network]
        if ranges:
            return Match(segment, f"range {max(ranges, key=lambda network: network.prefixlen)}")
        vlan = next((vlan for vlan in vlans if vlan in self._vlans), None)
        return Match(segment, f"interface {self._interface}" if vlan is None else f"VLAN {vlan}")

    def role(self, address: str) -> Role | None:
        """Return what the policy says that a host is there for, None when it says nothing."""
        return self._roles.get(address)

    def names(self, a: str, b: str, vlans: tuple[int, ...] = ()) -> tuple[str, str]:
        """Return the names of the segments of two addresses, "outside" for what none holds."""
        one, other = self.of(a, vlans), self.of(b, vlans)
        return one.name if one else OUTSIDE, other.name if other else OUTSIDE

    def is_voice(self, address: str, vlans: Iterable[int] = ()) -> bool:
        """Say whether the policy calls an address one of the telephone system, by itself or by its segment."""
        if address in self._roles:
            return True
        segment = self.of(address, vlans)
        return segment is not None and segment is not PRIVATE and segment.kind in VOICE_KINDS

    def _longest_match(self, address: str) -> Segment | None:
        try:
            ip = ip_address(address)
        except ValueError:  # a host name of an SDP
            return None
        value, version = int(ip), ip.version
        for entry_version, mask, network, segment in self._networks:
            if entry_version == version and value & mask == network:
                return segment
        return None

    def pair(self, a: Segment | None, b: Segment | None) -> Pair | None:
        """Return the pair that the policy names for two segments."""
        return self._pairs.get(_names(a, b))

    def _judge(self, a: Segment | None, b: Segment | None) -> Required:
        names = _names(a, b)
        required = self._by_names.get(names)
        if required is None:
            ends = [segment for segment in (a, b) if segment is not None]
            pair = self.pair(a, b)
            required = self._by_names[names] = Required(
                _encrypted(pair and pair.media, [segment.media for segment in ends]),
                _encrypted(pair and pair.signalling, [segment.signalling for segment in ends]),
                tuple(dict.fromkeys(segment.name for segment in ends)),
                self._between(pair, ends),
                _may_talk(pair, a, b),
            )
        return required._replace(segments=tuple(dict.fromkeys(each.name for each in (a, b) if each is not None)))

    def _between(self, pair: Pair | None, ends: list[Segment]) -> Policy:
        """Return the policy with what holds between two segments in place of what holds in general."""
        policy = self._policy
        severities = {**policy.severities, **_worst([segment.severities for segment in ends])}
        if pair is None:
            return policy if severities == policy.severities else replace(policy, severities=severities)
        tls = replace(
            policy.tls,
            min_version=pair.min_tls or policy.tls.min_version,
            allowed_ciphers=policy.tls.allowed_ciphers if pair.allowed_ciphers is None else pair.allowed_ciphers,
            certificates=pair.certificates or policy.tls.certificates,
        )
        return replace(
            policy,
            tls=tls,
            rtcp=pair.rtcp or policy.rtcp,
            allowed_suites=policy.allowed_suites if pair.allowed_suites is None else pair.allowed_suites,
            key_exchange=policy.key_exchange if pair.key_exchange is None else pair.key_exchange,
            grace=policy.grace if pair.grace is None else pair.grace,
            undetermined_after=pair.undetermined_after or policy.undetermined_after,
            severities={**severities, **pair.severities},
        )


def _names(a: Segment | None, b: Segment | None) -> frozenset[str]:
    return frozenset((a.name if a else OUTSIDE, b.name if b else OUTSIDE))


def _encrypted(by_pair: Pair | Requirement | None, by_segment: list[Requirement]) -> bool:
    return by_pair == "encrypted" if by_pair else "encrypted" in by_segment


def _may_talk(pair: Pair | None, a: Segment | None, b: Segment | None) -> bool:
    if pair is not None and pair.access is not None:
        return pair.access == "allowed"
    return isolating(a, b) is None


def isolating(a: Segment | None, b: Segment | None) -> Segment | None:
    """Return the segment that is isolated from the other one, None when neither is."""
    return next(
        (
            one
            for one, other in ((a, b), (b, a))
            if one is not None
            and one.isolated
            and one is not other
            and (other is None or other.kind not in VOICE_KINDS)
        ),
        None,
    )


def _worst(said: list[Mapping[str, Severity]]) -> dict[str, Severity]:
    worst: dict[str, Severity] = {}
    for severities in said:
        for code, severity in severities.items():
            if code not in worst or SEVERITIES.index(severity) > SEVERITIES.index(worst[code]):
                worst[code] = severity
    return worst
