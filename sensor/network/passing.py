"""Findings that are over when what they say was not seen again for a while."""

from __future__ import annotations

from collections.abc import Hashable
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sensor.findings import Book, Claim

Holder = TypeVar("Holder", bound=Hashable)
MOST = 1 << 14  # holders; what finds no room is counted


class Passing(Generic[Holder]):
    """Holds claims, each by its holder, until they were not renewed for ``after_ns`` and none of its flows goes on."""

    def __init__(self, book: Book, after_ns: int) -> None:
        self.after_ns = after_ns
        self.refused = 0
        self._book = book
        self._seen: dict[Holder, int] = {}
        self._flows: dict[Holder, set[int]] = {}  # that go on
        self._going_on = 0  # of all holders

    def __len__(self) -> int:
        """Return the number of holders."""
        return len(self._seen)

    def __iter__(self) -> Iterator[Holder]:
        """Iterate over the holders."""
        return iter(list(self._seen))

    def hold(self, holder: Holder, claims: list[Claim], now_ns: int, flow: int | None = None) -> None:
        """Make these the holder's claims, or note that they were seen again, in a flow that goes on; none lets go."""
        if not claims:
            self._let_go(holder, now_ns)
            return
        if holder in self._seen:
            self._seen[holder] = max(self._seen[holder], now_ns)
            self._book.touch(holder, now_ns, 1)
        elif len(self._seen) < MOST:
            self._seen[holder] = now_ns
            self._book.hold(holder, claims, now_ns)
        else:
            self.refused += 1
            return
        if flow is not None and self._going_on < MOST and flow not in self._flows.get(holder, ()):
            self._flows.setdefault(holder, set()).add(flow)
            self._going_on += 1

    def judge(self, holder: Holder, claims: list[Claim], now_ns: int) -> None:
        """Hold something else of what was seen before, since the policy is another one."""
        if claims:
            self._book.hold(holder, claims, now_ns)
        else:
            self._let_go(holder, now_ns)

    def ended(self, holder: Holder, flow: int, now_ns: int) -> None:
        """Take that a flow is over in which it was seen."""
        flows = self._flows.get(holder)
        if flows is not None and flow in flows:
            flows.remove(flow)
            self._going_on -= 1
            if not flows:
                del self._flows[holder]
            self._seen[holder] = max(self._seen[holder], now_ns)

    def sweep(self, now_ns: int) -> None:
        """Let go of what was not renewed. What lies in the future was seen before the clock was set back."""
        for holder, seen_ns in list(self._seen.items()):
            if holder not in self._flows and not now_ns - self.after_ns <= seen_ns <= now_ns:
                self._let_go(holder, seen_ns)

    def _let_go(self, holder: Holder, now_ns: int) -> None:
        if self._seen.pop(holder, None) is not None:
            self._going_on -= len(self._flows.pop(holder, ()))
            self._book.hold(holder, (), now_ns)
