"""The pairs of hosts that show something to whoever reads it, and the findings that this makes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sensor.policy.access import is_managed
from sensor.policy.signalling import exposed

if TYPE_CHECKING:
    from collections.abc import Callable

    from fastpath.records import Exposure
    from sensor.config.schema import Policy
    from sensor.findings import Book
    from sensor.policy.segments import Segments

NS = 1_000_000_000
MAX_SHOWN = 1 << 16

MAX_PENDING = 4096
DNS_PORT, NTP_PORT = 53, 123

Shown = tuple[str, str, str, str]  # the two hosts in text order, what is shown, and in which protocol

# What any network shows: it matters where a host of the telephone system is an end, or its content says so.
_ANYWHERE = frozenset(("credentials", "provisioning", "management", "voicemail", "directory", "recording", "name-time"))

_MANAGED = frozenset(("management", "provisioning"))  # what a path of the policy may allow


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

    def __init__(self, book: Book, segments: Segments, policy: Policy, is_voice: Callable[[str], bool]) -> None:
        """``is_voice`` says whether a host is known to belong to the telephone system by what it does."""
        self.refused = 0  # what found the table full
        self._is_voice = is_voice
        self._pending: dict[Shown, tuple[Exposure, str]] = {}  # of hosts that may turn out to belong to it
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
        first, second = (a, b) if a <= b else (b, a)
        shown = (first, second, record.kind, record.protocol)
        known = self._shown.get(shown)
        if known is None:
            if not record.first:
                return  # what a flow's end adds to what was resolved already
            if not self._concerns(record):
                self._put_off(shown, record, transport)
                return
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

    def settle(self) -> None:
        """Take what was put off of hosts that are known by now to belong to the telephone system."""
        for shown, (record, transport) in list(self._pending.items()):
            if self._concerns(record):
                del self._pending[shown]
                self.take(record, transport)

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

    def _concerns(self, record: Exposure) -> bool:
        """Say whether what is shown is the telephone system's."""
        if record.protocol == "sip" or record.kind not in _ANYWHERE:
            return True
        if record.kind == "name-time":
            return self._asks_outside(record)
        key = record.key
        return record.by_content or self._belongs(key.a, key.vlans) or self._belongs(key.b, key.vlans)

    def _belongs(self, host: str, vlans: tuple[int, ...]) -> bool:
        return self._is_voice(host) or self._segments.is_voice(host, vlans)

    def _asks_outside(self, record: Exposure) -> bool:
        """Say whether a host of the telephone system asks a server outside the network for names or the time."""
        key = record.key
        is_time = record.protocol == "ntp"
        port = NTP_PORT if is_time else DNS_PORT
        client, server = (key.a, key.b) if key.b_port == port else (key.b, key.a)
        if self._segments.of(client, key.vlans) is None or not (record.by_content or self._belongs(client, key.vlans)):
            return False
        if is_time and self._policy.ntp_servers:
            return server not in self._policy.ntp_servers
        return self._segments.of(server, key.vlans) is None

    def _put_off(self, shown: Shown, record: Exposure, transport: str) -> None:
        if record.kind != "name-time":  # of which there are too many, and more will come
            self._pending.setdefault(shown, (record, transport))
            if len(self._pending) > MAX_PENDING:
                del self._pending[next(iter(self._pending))]

    def _hold(self, known: Exposed) -> None:
        """Claim what the policy says of it."""
        key = known.first.key
        required = self._segments.required(key.a, key.b, key.vlans)
        if known.first.kind in _MANAGED and is_managed(key, known.first.protocol, self._segments, self._policy):
            self._book.hold(known, (), known.last_ns)
            return
        self._book.hold(known, exposed(known.first, known.transport, required, required.policy), known.last_ns)
