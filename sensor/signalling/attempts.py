"""Sliding windows over requests that come to nothing, by who asks and by who is asked for."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from sensor.policy.attempts import Tally, of_account, of_scanner, of_source

if TYPE_CHECKING:
    from fastpath.records import Agent, Attempt
    from sensor.config.schema import Policy
    from sensor.findings import Book
    from sensor.model import Severity
    from sensor.policy.segments import Segments

NS = 1_000_000_000
MAX_HELD = 4096  # pairs of hosts, and accounts, that are followed
MAX_REFUSALS = 512  # of one of them that are kept
MAX_OPEN = 1024  # accounts that a host asked for and left
PATIENCE_NS = 3 * NS  # until a request that nobody went on with is one that nobody will

# How tools name themselves unless told otherwise
_TOOLS = {
    "friendly-scanner": "friendly-scanner (SIPVicious)",
    "sipvicious": "SIPVicious",
    "sundayddr": "sundayddr",
    "sip-scan": "sip-scan",
    "iwar": "iWar",
    "sivus": "SiVuS",
}


class _Pair:
    """What one host asked of another, as the holder of the finding about it."""

    __slots__ = ("claimed", "last_ns", "left", "refusals", "source", "target", "unanswered", "vlans")

    def __init__(self, source: str, target: str, vlans: tuple[int, ...]) -> None:
        self.source = source
        self.target = target
        self.vlans = vlans
        self.last_ns = 0
        self.claimed: Severity | None = None  # of what the book was told
        self.refusals: deque[tuple[int, int, bool]] = deque(maxlen=MAX_REFUSALS)  # time, account, fresh
        self.left: dict[int, int] = {}  # account to time
        self.unanswered: dict[int, int] = {}

    def accepted(self, account: int) -> None:
        """Take back the one refusal that an old nonce costs before each success (RFC 7616 section 3.3)."""
        since = [at for at, (_, who, _) in enumerate(self.refusals) if who == account]
        if 0 < len(since) <= 2:  # noqa: PLR2004
            for at in reversed(since):
                del self.refusals[at]

    def tally(self, now_ns: int, window_ns: int, device_ns: int) -> Tally:
        recent = [each for each in self.refusals if now_ns - each[0] <= window_ns]
        accounts = {account for _, account, _ in recent}
        slow = [each for each in self.refusals if now_ns - each[0] <= device_ns]
        return Tally(
            len(recent),
            len(accounts or {account for _, account, _ in slow}),
            sum(fresh for _, _, fresh in recent),
            _ripe(self.left, now_ns, window_ns),
            _ripe(self.unanswered, now_ns, window_ns),
            len(slow),
        )


class _Account:
    """Who was refused for an account, as the holder of the finding about it."""

    __slots__ = ("last_ns", "refusals", "target", "vlans")

    def __init__(self, target: str, vlans: tuple[int, ...]) -> None:
        self.target = target
        self.vlans = vlans
        self.last_ns = 0
        self.refusals: deque[tuple[int, str]] = deque(maxlen=MAX_REFUSALS)  # time, source


class Attempts:
    """Who asks too often, until they have not for the policy's time; the one heard of last makes room last."""

    def __init__(self, book: Book, segments: Segments, policy: Policy) -> None:
        self.evicted = 0
        self._book = book
        self._segments = segments
        self._policy = policy
        self._pairs: dict[tuple[str, str], _Pair] = {}
        self._accounts: dict[tuple[str, int], _Account] = {}
        self._scanners: dict[tuple[str, str], int] = {}  # pairs of hosts, with the time of the last message

    def __len__(self) -> int:
        """Return how many pairs of hosts and accounts are followed."""
        return len(self._pairs) + len(self._accounts)

    def take(self, record: Attempt) -> None:
        """Take a request that came to nothing, or did not."""
        key = record.key
        source, target = (key.a, key.b) if record.from_a else (key.b, key.a)
        if record.kind == "accepted":
            known = self._pairs.get((source, target))
            if known is not None:
                known.accepted(record.account)
            return
        asks = self._pair(source, target, key.vlans, record.ts_ns)
        if record.kind == "refused":
            asks.refusals.append((record.ts_ns, record.account, record.fresh))
            self._refused(record, source, target)
        elif record.kind == "followed":
            asks.left.pop(record.account, None)
            asks.unanswered.pop(record.account, None)
            return
        else:
            open_ = asks.left if record.kind == "challenged" else asks.unanswered
            if len(open_) < MAX_OPEN:
                open_[record.account] = record.ts_ns
            return
        self._judge(asks, record.ts_ns)

    def agent(self, record: Agent) -> None:
        """Take what a host calls itself."""
        name = record.user_agent.lower()
        tool = next((shown for word, shown in _TOOLS.items() if name.startswith(word)), "")
        if not tool:
            return
        key = record.key
        source, target = (key.a, key.b) if record.from_a else (key.b, key.a)
        required = self._segments.required(source, target, key.vlans)
        if any(source == other for _, other in self._scanners):
            return  # a proxy passes on what it was sent
        if (source, target) not in self._scanners and len(self._scanners) >= MAX_HELD:
            self.evicted += 1
            return
        self._scanners[source, target] = record.ts_ns
        claims = of_scanner(source, target, tool, required, required.policy) if required.signalling else []
        self._book.hold(("scanner", source, target), claims, record.ts_ns)

    def sweep(self, now_ns: int) -> None:
        """Judge what time makes ripe, and let go of what was not seen again for the policy's time."""
        quiet_ns = int(self._policy.resolve_after * NS)
        longest_ns = int(max(self._policy.registration.device_window, self._policy.resolve_after) * NS)
        for pair, asks in list(self._pairs.items()):
            if not asks.last_ns <= now_ns <= asks.last_ns + longest_ns:
                del self._pairs[pair]
                self._book.hold(asks, (), asks.last_ns)
            elif asks.left or asks.unanswered or asks.claimed:  # only these become another with time
                self._judge(asks, now_ns, quiet_ns)
        for at, account in list(self._accounts.items()):
            if not account.last_ns <= now_ns <= account.last_ns + self._shared_ns():
                del self._accounts[at]
                self._book.hold(account, (), account.last_ns)
        for pair, last_ns in list(self._scanners.items()):
            if not last_ns <= now_ns <= last_ns + quiet_ns:
                del self._scanners[pair]
                self._book.hold(("scanner", *pair), (), last_ns)

    def reload(self, segments: Segments, policy: Policy) -> None:
        """Judge by another policy from now on."""
        self._segments, self._policy = segments, policy

    def close(self, now_ns: int) -> None:
        """Judge what is left, after the last record."""
        for asks in self._pairs.values():
            self._judge(asks, max(now_ns, asks.last_ns))

    def _refused(self, record: Attempt, source: str, target: str) -> None:
        at = (target, record.account)
        account = self._accounts.pop(at, None) or _Account(target, record.key.vlans)
        self._accounts[at] = account
        if len(self._accounts) > MAX_HELD:
            oldest = next(iter(self._accounts))
            self._book.hold(self._accounts.pop(oldest), (), record.ts_ns)
            self.evicted += 1
        account.last_ns = record.ts_ns
        account.refusals.append((record.ts_ns, source))
        recent = [who for ts_ns, who in account.refusals if record.ts_ns - ts_ns <= self._shared_ns()]
        required = self._segments.required(source, target, account.vlans)
        if required.signalling:
            self._book.hold(
                account, of_account(target, len(recent), len(set(recent)), required, required.policy), record.ts_ns
            )

    def _pair(self, source: str, target: str, vlans: tuple[int, ...], ts_ns: int) -> _Pair:
        asks = self._pairs.pop((source, target), None) or _Pair(source, target, vlans)
        self._pairs[source, target] = asks
        if len(self._pairs) > MAX_HELD:
            oldest = next(iter(self._pairs))
            self._book.hold(self._pairs.pop(oldest), (), ts_ns)
            self.evicted += 1
        asks.last_ns = ts_ns
        return asks

    def _judge(self, asks: _Pair, now_ns: int, quiet_ns: int = 0) -> None:
        limits = self._policy.registration
        required = self._segments.required(asks.source, asks.target, asks.vlans)
        tally = asks.tally(now_ns, int(limits.window * NS), int(limits.device_window * NS))
        claims = of_source(asks.source, asks.target, tally, required, required.policy) if required.signalling else []
        severity = claims[0].severity if claims else None
        if severity != asks.claimed and (claims or now_ns - asks.last_ns > quiet_ns):
            asks.claimed = severity
            self._book.hold(asks, claims, now_ns)
        elif claims:
            self._book.touch(asks, now_ns, 1)

    def _shared_ns(self) -> int:
        return int(self._policy.registration.shared_window * NS)


def _ripe(open_: dict[int, int], now_ns: int, window_ns: int) -> int:
    """Count what was left open for long enough, and forget what is too old."""
    for account in [account for account, ts_ns in open_.items() if now_ns - ts_ns > window_ns]:
        del open_[account]
    return sum(now_ns - ts_ns >= PATIENCE_NS for ts_ns in open_.values())
