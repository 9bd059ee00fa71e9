"""What a delivery needs of the thing that sends."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sensor.alerts.event import Event


class SendError(Exception):
    """An attempt that failed; ``permanent``: trying the same again is in vain. Its text is fit to be logged."""

    def __init__(self, reason: str, *, permanent: bool = False) -> None:
        super().__init__(reason)
        self.permanent = permanent


class Sender:
    """Takes events to one receiver. All methods are called by one thread, ``interrupt`` by any."""

    batch = 1  # events that one call takes at most
    repeat_s: float | None = None  # how often ``repeat`` is due

    def send(self, events: Sequence[Event]) -> None:
        """Send events; SendError when it cannot be said that all of them arrived, and then some may have."""
        raise NotImplementedError

    def repeat(self) -> None:
        """Say again what has to be said again; SendError as with ``send``."""

    def restore(self, event: Event) -> None:
        """Know of something that is said to be open since an earlier run; before any other call."""

    def forget(self, findings: Iterable[str]) -> None:
        """Say no more of the findings with these ids: they are over, and nobody will send that."""

    def try_out(self) -> None:
        """See whether the receiver can be reached, and send nothing; SendError when it cannot."""
        raise NotImplementedError

    def interrupt(self) -> None:
        """Make an attempt that waits fail soon, where that is possible."""

    def close(self) -> None:
        """Let go of files and connections; ``send`` opens them again."""
