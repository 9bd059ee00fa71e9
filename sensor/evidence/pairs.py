"""The pairs of hosts whose packets are wanted: the latest ones, each for a while and for so many packets."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_address
from typing import NamedTuple

MAX_PAIRS = 16  # a filter of so many, twice, is far from the 4096 instructions that the kernel takes


class Pair(NamedTuple):
    """Two hosts, packed, the lower one first."""

    a: bytes
    b: bytes


def pair_of(one: str, other: str) -> Pair | None:
    """Return the pair that two addresses make; None when they make none."""
    try:
        a, b = sorted((ip_address(one).packed, ip_address(other).packed))
    except ValueError:
        return None
    return Pair(a, b) if len(a) == len(b) else None


@dataclass(slots=True)
class _Wish:
    until: float
    left: int
    rtp: bool


class Pairs:
    """What is wanted now; ``now`` is any clock in seconds that is not set back."""

    def __init__(self, seconds: float, packets: int) -> None:
        self._seconds = seconds
        self._packets = packets
        self._wishes: dict[Pair, _Wish] = {}  # the latest one last

    def __bool__(self) -> bool:
        return bool(self._wishes)

    def want(self, pair: Pair, now: float, *, rtp: bool = True) -> None:
        """Want a pair from now on, anew where it is wanted already; beyond the bound the oldest makes room.

        Without ``rtp`` nothing behind the transport header is to be kept of it, until nobody wants it any more.
        """
        former = self._wishes.pop(pair, None)
        self._wishes[pair] = _Wish(now + self._seconds, self._packets, rtp and (former is None or former.rtp))
        if len(self._wishes) > MAX_PAIRS:
            del self._wishes[next(iter(self._wishes))]

    def expire(self, now: float) -> None:
        """Forget the pairs that had their time."""
        for pair in [pair for pair, wish in self._wishes.items() if now >= wish.until]:
            del self._wishes[pair]

    def wanted(self, source: bytes, target: bytes) -> Pair | None:
        """Return the pair that a packet is of, if that is wanted."""
        pair = Pair(source, target) if source <= target else Pair(target, source)
        return pair if pair in self._wishes else None

    def rtp(self, pair: Pair) -> bool:
        """Say whether RTP headers of a pair are to be kept."""
        return self._wishes[pair].rtp

    def spend(self, pair: Pair) -> None:
        """Count a packet of a pair; with its last one the pair is forgotten."""
        wish = self._wishes[pair]
        wish.left -= 1
        if not wish.left:
            del self._wishes[pair]

    def filter(self, base: str, *, tagged: bool) -> str:
        """Return a capture filter for the pairs, within what ``base`` lets through; "" when there are none.

        The kernel takes the outer VLAN tag off before it filters; where frames can be ``tagged``, "vlan" finds another
        one. It changes what comes after it, so it stands last.
        """
        if not self._wishes:
            return ""
        pairs = " or ".join(sorted(map(_filter_of, self._wishes)))
        both = f"{pairs} or (vlan and ({pairs}))" if tagged else pairs
        return f"({base}) and ({both})" if base.strip() else both


def _filter_of(pair: Pair) -> str:
    a, b = map(ip_address, pair)
    kind = "ip" if a.version == 4 else "ip6"  # noqa: PLR2004  (the number is the name)
    return f"({kind} host {a} and {kind} host {b})"
