"""Findings that are over when what they say was not seen again for a while."""

from __future__ import annotations

from collections.abc import Hashable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sensor.findings import Book, Claim

MOST = 1 << 14  # holders; what finds no room is counted


class Passing:
    """Holds claims, each by its holder, until they were not renewed for ``after_ns``."""

    def __init__(self, book: Book, after_ns: int) -> None:
        self.after_ns = after_ns
        self.refused = 0
        self._book = book
        self._seen: dict[Hashable, int] = {}

    def __len__(self) -> int:
        """Return the number of holders."""
        return len(self._seen)

    def __contains__(self, holder: Hashable) -> bool:
        """Say whether somebody holds claims now."""
        return holder in self._seen

    def renew(self, holder: Hashable, now_ns: int) -> bool:
        """Say that what a holder claims was seen again; False when it claims nothing."""
        if holder not in self._seen:
            return False
        self._seen[holder] = max(self._seen[holder], now_ns)
        self._book.touch(holder, now_ns, 1)
        return True

    def hold(self, holder: Hashable, claims: list[Claim], now_ns: int) -> None:
        """Make these the holder's only claims from now on; none lets go of what it held."""
        if not claims:
            if self._seen.pop(holder, None) is not None:
                self._book.hold(holder, (), now_ns)
        elif holder in self._seen or len(self._seen) < MOST:
            self._seen[holder] = now_ns
            self._book.hold(holder, claims, now_ns)
        else:
            self.refused += 1

    def sweep(self, now_ns: int) -> None:
        """Let go of what was not renewed. What lies in the future was seen before the clock was set back."""
        for holder, seen_ns in list(self._seen.items()):
            if not now_ns - self.after_ns <= seen_ns <= now_ns:
                del self._seen[holder]
                self._book.hold(holder, (), seen_ns)

    def clear(self, now_ns: int) -> None:
        """Let go of everything."""
        for holder in list(self._seen):
            self.hold(holder, [], now_ns)
