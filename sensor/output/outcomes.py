"""How the requests to the metrics endpoint end, counted."""

from __future__ import annotations

import threading
from collections import Counter

# answered: with what was asked for, or with what there is. unauthorized: without the right user and password.
# busy: too many at a time. timeout: the client took too long. refused: no handshake, or nothing that is a request.
OUTCOMES = ("answered", "unauthorized", "busy", "timeout", "refused")


class Outcomes:
    """One count for each of OUTCOMES, from any thread."""

    def __init__(self) -> None:
        self._counts = Counter(dict.fromkeys(OUTCOMES, 0))
        self._lock = threading.Lock()

    def count(self, outcome: str) -> None:
        """Take one more."""
        with self._lock:
            self._counts[outcome] += 1

    def counts(self) -> dict[str, int]:
        """Return all of them, those at 0 included."""
        with self._lock:
            return dict(self._counts)
