"""The pairs of hosts that SIP was read between, and the findings that this alone makes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sensor.policy import rules

if TYPE_CHECKING:
    from fastpath.records import FlowKey, SdpMedia, SipMessage
    from sensor.config.schema import Policy
    from sensor.findings import Book, Claim
    from sensor.policy.segments import Segments
    from sensor.signalling.dialogs import Hosts

NS = 1_000_000_000
MAX_PATHS = 1 << 16


class Exposure:
    """Something that is read in clear between two hosts, as the holder of its finding."""

    __slots__ = ("count", "last_ns", "open")

    def __init__(self) -> None:
        self.count = 0  # times seen again since the book was told
        self.last_ns = 0
        self.open = False


class Path:
    """Two hosts that exchange SIP in clear."""

    __slots__ = ("hosts", "key", "keys", "messages", "method", "sdes")

    def __init__(self, msg: SipMessage, hosts: Hosts) -> None:
        self.hosts = hosts
        self.key = msg.key
        self.method = msg.method  # of the first message
        self.messages = Exposure()
        self.keys = Exposure()
        self.sdes: tuple[str, tuple[str, ...]] = ("", ())  # message and suites of the first keys


class Paths:
    """The pairs of hosts that exchange SIP in clear, until they have not for the policy's time."""

    def __init__(self, book: Book, segments: Segments, policy: Policy) -> None:
        self.refused = 0  # messages between pairs that found the table full
        self._book = book
        self._segments = segments
        self._policy = policy
        self._by_hosts: dict[Hosts, Path] = {}
        self._by_flow: dict[int, Path] = {}

    def __len__(self) -> int:
        """Return the number of pairs held."""
        return len(self._by_hosts)

    def take(self, msg: SipMessage) -> Hosts:
        """Take a message; return the hosts that exchanged it, in text order."""
        path = self._by_flow.get(msg.flow)
        if path is None or not path.messages.open:
            path = self._open(msg, path)
            if path is None:
                return _hosts(msg.key)
        seen = path.messages
        seen.count += 1
        seen.last_ns = msg.ts_ns
        if msg.media is not None:
            for line in msg.media:
                if line.cryptos and _is_used(line, msg):
                    self._key_seen(path, msg)
                    break
        return path.hosts

    def flow_ended(self, flow: int) -> None:
        """Forget a flow."""
        self._by_flow.pop(flow, None)

    def sweep(self, now_ns: int) -> None:
        """Resolve what was not seen again for the policy's time, forget the pairs that nothing is left of."""
        self.tell()
        before_ns = now_ns - int(self._policy.resolve_after * NS)
        for path in list(self._by_hosts.values()):
            for exposure in (path.keys, path.messages):
                # Later than now: the clock was set back since, and nothing has been seen again.
                if exposure.open and not before_ns <= exposure.last_ns <= now_ns:
                    exposure.open = False
                    self._book.hold(exposure, (), exposure.last_ns)
            if not path.messages.open:
                del self._by_hosts[path.hosts]

    def tell(self) -> None:
        """Tell the book how often what is open was seen again."""
        for path in self._by_hosts.values():
            for exposure in (path.messages, path.keys):
                if exposure.count > 0:
                    self._book.touch(exposure, exposure.last_ns, exposure.count)
                    exposure.count = 0

    def reload(self, segments: Segments, policy: Policy) -> None:
        """Judge by another policy."""
        self._segments, self._policy = segments, policy
        for path in self._by_hosts.values():
            self._hold(path, path.messages)
            if path.keys.open:
                self._hold(path, path.keys)

    def _open(self, msg: SipMessage, path: Path | None) -> Path | None:
        """Return the message's pair of hosts, opened; None when the table is full."""
        hosts = path.hosts if path else _hosts(msg.key)
        known = self._by_hosts.get(hosts)
        if known is None:
            if len(self._by_hosts) >= MAX_PATHS:
                self.refused += 1
                return None
            known = self._by_hosts[hosts] = Path(msg, hosts)
            self._begin(known, known.messages, msg.ts_ns)
        self._by_flow[msg.flow] = known
        return known

    def _key_seen(self, path: Path, msg: SipMessage) -> None:
        seen = path.keys
        if not seen.open:
            lines = (line for line in msg.media or () if _is_used(line, msg))
            suites = tuple(crypto.suite for line in lines for crypto in line.cryptos)
            path.sdes = (rules.message_name(msg.method, msg.status), suites)
            self._begin(path, seen, msg.ts_ns)
        seen.count += 1
        seen.last_ns = msg.ts_ns

    def _begin(self, path: Path, exposure: Exposure, now_ns: int) -> None:
        exposure.open = True
        exposure.count = -1  # the finding itself counts the first
        exposure.last_ns = now_ns
        self._hold(path, exposure)

    def _hold(self, path: Path, exposure: Exposure) -> None:
        """Claim what the policy says of an exposure."""
        required = self._segments.required(*path.hosts, path.key.vlans)
        claims: list[Claim]
        if exposure is path.messages:
            claims = rules.signalling_clear(path.key, path.method, required, self._policy)
        else:
            claims = rules.sdes_key_exposed(path.key, *path.sdes, required, self._policy)
        self._book.hold(exposure, claims, exposure.last_ns)


def _hosts(key: FlowKey) -> Hosts:
    return (key.a, key.b) if key.a <= key.b else (key.b, key.a)


def _is_used(line: SdpMedia, msg: SipMessage) -> bool:
    """Say whether an m-line's keys serve: always in an answer, in an offer unless RTP may be chosen (RFC 8643)."""
    return line.port != 0 and (msg.status != 0 or "SAVP" in line.profile)
