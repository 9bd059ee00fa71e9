"""Which segment an address is in, and what the policy asks of traffic between two addresses."""

from __future__ import annotations

from ipaddress import ip_address
from typing import TYPE_CHECKING, NamedTuple

from sensor.config.schema import OUTSIDE, PRIVATE, Pair, Policy, Requirement, Segment

if TYPE_CHECKING:
    from collections.abc import Iterable

CACHED = 1 << 16  # addresses, and pairs of them, whose answer is kept; the cache starts afresh when full


class Required(NamedTuple):
    """What must hold between two addresses, and the segments they are in."""

    media: bool  # must be encrypted
    signalling: bool  # must be encrypted
    segments: tuple[str, ...]  # without repetition; what is outside all segments is not named


class Segments:
    """The policy's answer for pairs of addresses: a pair's rule where there is one, else the stricter segment's.

    What is outside every segment asks for nothing by itself.
    """

    def __init__(self, policy: Policy, interface: str = "") -> None:
        self._pairs = {frozenset(pair.between): pair for pair in policy.pairs}
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
        self._vlans = {vlan: segment for segment in policy.segments for vlan in segment.vlans}
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
        try:
            segment = self._by_address[address]
        except KeyError:
            if len(self._by_address) >= CACHED:
                self._by_address.clear()
            segment = self._by_address[address] = self._longest_match(address)
        if segment is None and self._vlans:
            segment = next((self._vlans[vlan] for vlan in vlans if vlan in self._vlans), None)
        return segment or self._on_interface

    def is_voice(self, address: str, vlans: Iterable[int] = ()) -> bool:
        """Say whether an address is in a segment that somebody called one of the telephone system."""
        segment = self.of(address, vlans)
        return segment is not None and segment is not PRIVATE and segment.kind not in ("data", "management")

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

    def _judge(self, a: Segment | None, b: Segment | None) -> Required:
        ends = [segment for segment in (a, b) if segment is not None]
        pair = self._pairs.get(frozenset((a.name if a else OUTSIDE, b.name if b else OUTSIDE)))
        return Required(
            _encrypted(pair and pair.media, [segment.media for segment in ends]),
            _encrypted(pair and pair.signalling, [segment.signalling for segment in ends]),
            tuple(dict.fromkeys(segment.name for segment in ends)),
        )


def _encrypted(by_pair: Pair | Requirement | None, by_segment: list[Requirement]) -> bool:
    return by_pair == "encrypted" if by_pair else "encrypted" in by_segment
