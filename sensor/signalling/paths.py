"""The pairs of hosts that show something in clear SIP, and the findings that this makes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sensor.policy.signalling import exposed

if TYPE_CHECKING:
    from fastpath.records import Exposure
    from sensor.config.schema import Policy
    from sensor.findings import Book
    from sensor.policy.segments import Segments

NS = 1_000_000_000
MAX_SHOWN = 1 << 16

Shown = tuple[str, str, str]  # the two hosts in text order, and what is shown


class Exposed:
    """Something that is read in clear between two hosts, as the holder of its finding."""

    __slots__ = ("count", "first", "last_ns", "transport")

    def __init__(self, first: Exposure, transport: str) -> None:
        self.first = first
        self.transport = transport
        self.count = -1  # times seen again since the book was told; the finding itself counts the first
        self.last_ns = first.ts_ns


class Paths:
    """What pairs of hosts show in clear, until they have not for the policy's time."""

    def __init__(self, book: Book, segments: Segments, policy: Policy) -> None:
        self.refused = 0  # what found the table full
        self._book = book
        self._segments = segments
        self._policy = policy
        self._shown: dict[Shown, Exposed] = {}

    def __len__(self) -> int:
        """Return how many are held, of all pairs and kinds."""
        return len(self._shown)

    def take(self, record: Exposure, transport: str) -> None:
        """Take what was shown over a transport: "UDP", "TCP" or "WebSocket"."""
        a, b = record.key.a, record.key.b
        shown = (a, b, record.kind) if a <= b else (b, a, record.kind)
        known = self._shown.get(shown)
        if known is None:
            if not record.first:
                return  # what a flow's end adds to what was resolved already
            if len(self._shown) >= MAX_SHOWN:
                self.refused += 1
                return
            known = self._shown[shown] = Exposed(record, transport)
            self._hold(known)
        known.count += record.count
        known.last_ns = record.ts_ns

    def sweep(self, now_ns: int) -> None:
        """Resolve what was not seen again for the policy's time."""
        self.tell()
        before_ns = now_ns - int(self._policy.resolve_after * NS)
        for shown, known in list(self._shown.items()):
            # Later than now: the clock was set back since, and nothing has been seen again.
            if not before_ns <= known.last_ns <= now_ns:
                del self._shown[shown]
                self._book.hold(known, (), known.last_ns)

    def tell(self) -> None:
        """Tell the book how often what is open was seen again."""
        for known in self._shown.values():
            if known.count > 0:
                self._book.touch(known, known.last_ns, known.count)
                known.count = 0

    def reload(self, segments: Segments, policy: Policy) -> None:
        """Judge by another policy."""
        self._segments, self._policy = segments, policy
        for known in self._shown.values():
            self._hold(known)

    def _hold(self, known: Exposed) -> None:
        """Claim what the policy says of it."""
        key = known.first.key
        required = self._segments.required(key.a, key.b, key.vlans)
        self._book.hold(known, exposed(known.first, known.transport, required, self._policy), known.last_ns)
