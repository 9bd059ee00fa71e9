"""Work that may take long, or never end, done beside a thread that must not wait for it: the disk is one such thing."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

Result = TypeVar("Result")


class Beside(threading.Thread, Generic[Result]):
    """Does ``work`` once, at once. A process that ends does not wait for it."""

    def __init__(self, work: Callable[[], Result], over: threading.Event | None = None) -> None:
        """``over`` is set when the work is done, a moment before ``is_alive`` says so."""
        super().__init__(name="beside", daemon=True)
        self._work = work
        self._over = over
        self._result: list[Result] = []
        self._error: Exception | None = None
        self.since = time.monotonic()
        self.start()

    def run(self) -> None:
        """Work."""
        try:
            self._result.append(self._work())
        except Exception as error:  # noqa: BLE001  (whoever asks for the outcome gets it)
            self._error = error
        if self._over is not None:
            self._over.set()

    def outcome(self) -> Result:
        """Return what the work, which is done, returned; raise what it raised."""
        if self._error is not None:
            raise self._error
        return self._result[0]
