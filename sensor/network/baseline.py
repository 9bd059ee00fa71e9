"""The endpoints that have been here before, and how they were protected: against it new ones and drift are held."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple

from sensor.config.network import VOICE_KINDS
from sensor.model import WORSE
from sensor.network.passing import Passing
from sensor.policy import posture
from sensor.policy.access import is_group, is_public
from sensor.policy.claims import NS

if TYPE_CHECKING:
    from sensor.config.schema import Policy
    from sensor.findings import Book
    from sensor.model import Protection
    from sensor.policy.posture import Plane
    from sensor.policy.segments import Required, Segments

MAX_ENDPOINTS = 1 << 16
HOUR_NS = 3600 * NS
DRIFT_NS = 24 * HOUR_NS  # without another sight of it a drift is over
LEAST_NS = 1_577_836_800 * NS  # 2020: a clock that is before it was not set yet


@dataclass(slots=True)
class Known:
    """An endpoint of the baseline: the worst that it showed while it was learned; None: nothing of that kind."""

    first_ns: int
    last_ns: int
    media: Protection | None = None
    signalling: Protection | None = None


class _Drift(NamedTuple):
    """An endpoint whose media or signalling is not as it was, as the holder of the finding."""

    address: str
    plane: Plane


class Baseline:
    """Learns until ``learning_ns`` of packet time (0: from the first packet on, for the policy's time), then compares.

    ``changed`` has the addresses whose entries are to be kept; ``entries`` is the baseline itself.
    """

    def __init__(
        self, book: Book, segments: Segments, policy: Policy, entries: dict[str, Known], learning_ns: int = 0
    ) -> None:
        self.entries = entries
        self.learning_ns = learning_ns
        self.changed: set[str] = set()
        self.refused = 0
        self._segments = segments
        self._policy = policy
        self._book = book
        self._new: Passing[str] = Passing(book, int(policy.resolve_after * NS))
        self._drifts: Passing[_Drift] = Passing(book, DRIFT_NS)
        self._noted: dict[str, int] = {}  # when an entry was put among the changed ones last

    def __len__(self) -> int:
        """Return the number of endpoints."""
        return len(self.entries)

    def is_learning(self, now_ns: int) -> bool:
        """Say whether what is seen now still becomes the baseline."""
        return now_ns < self.learning_ns

    def seen(self, address: str, plane: Plane, protection: Protection, vlans: tuple[int, ...], now_ns: int) -> None:
        """Take how an endpoint of the telephone system's segments is protected."""
        if protection not in ("clear", "encrypted") or now_ns < LEAST_NS or not self._concerns(address, vlans):
            return
        if not self.learning_ns:
            self.learning_ns = now_ns + int(self._policy.baseline.learn * NS)
        known = self.entries.get(address)
        if known is None:
            known = self._first(address, self._segments.required(address, address, vlans), now_ns)
            if known is None:
                return
        if now_ns - self._noted.get(address, 0) > HOUR_NS:
            self._noted[address] = now_ns
            self.changed.add(address)
        known.last_ns = max(known.last_ns, now_ns)
        before: Protection | None = getattr(known, plane)
        if before is None or (self.is_learning(now_ns) and WORSE[protection] > WORSE[before]):
            setattr(known, plane, protection)
            self.changed.add(address)
        else:
            self._compare(_Drift(address, plane), before, protection, vlans, now_ns)

    def reload(self, segments: Segments, policy: Policy, now_ns: int) -> None:
        """Judge by another policy from now on; forget whom it has forgotten."""
        self._segments, self._policy = segments, policy
        self._new.after_ns = int(policy.resolve_after * NS)
        before_ns = now_ns - int(policy.baseline.forget_after * NS)
        for address in [address for address, known in self.entries.items() if known.last_ns < before_ns]:
            del self.entries[address]

    def replace(self, entries: dict[str, Known], learning_ns: int, now_ns: int) -> None:
        """Take another baseline: what has drifted from the old one may be right by the new one."""
        self.entries, self.learning_ns = entries, learning_ns
        self.changed.clear()
        self._noted.clear()
        for drift in self._drifts:
            known = entries.get(drift.address)
            if known is None or getattr(known, drift.plane) != "encrypted":
                self._drifts.judge(drift, [], now_ns)

    def sweep(self, now_ns: int) -> None:
        """Resolve what is new no longer."""
        self._new.sweep(now_ns)
        self._drifts.sweep(now_ns)

    def _concerns(self, address: str, vlans: tuple[int, ...]) -> bool:
        """Say whether an address is a host of the telephone system: in a VLAN, not one from anywhere."""
        segment = self._segments.of(address, vlans)
        if segment is None or segment.kind not in VOICE_KINDS:
            return False
        return self._segments.by_range(address) is not None or not (is_public(address) or is_group(address))

    def _first(self, address: str, required: Required, now_ns: int) -> Known | None:
        if len(self.entries) >= MAX_ENDPOINTS:
            self.refused += 1
            return None
        known = self.entries[address] = Known(now_ns, now_ns)
        self.changed.add(address)
        if not self.is_learning(now_ns):
            self._new.hold(address, [posture.new(address, required)], now_ns)
        return known

    def _compare(
        self, drift: _Drift, before: Protection, protection: Protection, vlans: tuple[int, ...], now_ns: int
    ) -> None:
        claims = []
        if before == "encrypted" and protection == "clear":
            required = self._segments.required(drift.address, drift.address, vlans)
            since = datetime.fromtimestamp(self.entries[drift.address].first_ns // NS, UTC).date().isoformat()
            claims = [posture.drifted(drift.address, drift.plane, since, required)]
        self._drifts.hold(drift, claims, now_ns)
        self._book.judged(("posture-drift",), posture.plane_of(*drift), now_ns)
