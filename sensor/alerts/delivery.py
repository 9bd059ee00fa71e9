"""One sink's queue and thread: what is put arrives, waits, or is counted as dropped, whatever the receiver does."""

from __future__ import annotations

import random
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from itertools import islice
from typing import Literal, NamedTuple, Protocol

from sensor.alerts.event import Event
from sensor.alerts.sender import Sender, SendError
from sensor.model import SEVERITIES, Severity

Say = Callable[..., None]  # an event's name, its level and its keys, as sensor.output.events.Events.say
Reason = Literal["full", "refused", "spool", "unsent"]
REASONS: tuple[Reason, ...] = ("full", "refused", "spool", "unsent")
_SCANNED = 1000  # events among which room for an end is looked for
_LATE_S = 5.0  # an attempt that takes longer is none that works: a disk may hang, a receiver not answer
_INTERRUPTED_S = 0.5  # what a sender has to end after it was interrupted
_RANKS = {severity: rank for rank, severity in enumerate(SEVERITIES)}


class Waiting(NamedTuple):
    """An event that waits; its number and its octets are 0 where there is no disk."""

    number: int
    octets: int
    event: Event


class Shelf(Protocol):
    """What waits for one sink on disk: every event that it was given and has not settled, in the order of numbers."""

    @property
    def resets(self) -> int:
        """How often all of it was lost."""

    def waiting(self) -> tuple[int, int]:
        """Return how many events there were at start, and their octets."""

    def has(self, number: int) -> bool:
        """Say whether an event is there."""

    def head(self, after: int, count: int) -> Sequence[tuple[int, int, Event]]:
        """Return the first events with greater numbers, as ``Waiting`` has them; OSError when the disk fails."""

    def settle(self, numbers: Iterable[int]) -> None:
        """Take these away; returns at once."""


class Counts(NamedTuple):
    """What became of events: delivered + all dropped + queued + spooled = put + restored."""

    put: int  # after the filter
    restored: int  # found on disk at start
    filtered: int  # below the least severity
    delivered: int
    dropped: dict[Reason, int]  # no room; refused by the receiver; lost with the disk; left at the end
    retries: int  # attempts that failed and are made again
    queued: int
    spooled: int  # on disk only
    up: bool  # the last attempt worked, or there was none yet; and none hangs
    last_delivery: float  # seconds since 1970, 0: none yet


def _ends(event: Event) -> bool:
    """Whether a receiver that never gets it would take something over or waived for open."""
    return event["state"] != "open" and event["event"] != "finding_opened"


def _silent(*_args: object, **_keys: object) -> None:
    """Say nothing."""


class Delivery:
    """Brings events to one sink, in their order; at least once: an attempt that fails in the middle is made again.

    ``queue`` events wait in memory. With a ``shelf`` these are on disk, too, and left there for the next run; up to
    ``spool_octets`` more are on disk only. ``say`` is called by the delivery's own thread.
    """

    def __init__(
        self,
        name: str,
        sender: Sender,
        *,
        queue: int = 1000,
        min_severity: Severity = "info",
        shelf: Shelf | None = None,
        spool_octets: int = 0,
        say: Say = _silent,
        first_pause_s: float = 1.0,
        greatest_pause_s: float = 60.0,
    ) -> None:
        self.name = name
        self._sender = sender
        self._capacity = queue
        self._least = _RANKS[min_severity]
        self._shelf = shelf
        self._spool_octets = spool_octets
        self._listener = say
        self._pauses_s = first_pause_s, greatest_pause_s
        self._lock = threading.Lock()  # held for a few instructions only: never over a file or a socket
        self._wake = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"sink-{name}", daemon=True)
        self._told: set[str] = set()  # open findings that passed the filter, so that their end does, too
        self._unended: set[str] = set()  # findings whose end was dropped
        self._queue: deque[Waiting] = deque()
        self._hand: list[Waiting] = []  # what the next attempt sends
        self._taken = 0  # the number of the last event that was in hand
        self._suspects = 0  # events of a refused batch, which are sent one by one
        self._stop_at: float | None = None
        self._abandoned = False
        self._failures = 0  # in a row
        self._resets = shelf.resets if shelf else 0
        # On disk only, between what is in hand and the queue
        self._spooled, self._spooled_octets = shelf.waiting() if shelf else (0, 0)
        self._restored = self._spooled
        self._put = self._filtered = self._delivered = self._retries = 0
        self._dropped: dict[Reason, int] = dict.fromkeys(REASONS, 0)
        self._up = True
        self._attempted: float | None = None  # since when the attempt of now is made
        self._last_delivery = 0.0

    def start(self) -> None:
        """Deliver from now on."""
        self._thread.start()

    def restore(self, event: Event, worst: Severity) -> None:
        """Know of something that was said in an earlier run, when it was as severe as this; before ``start``."""
        if _RANKS[worst] >= self._least:
            self._told.add(event["id"])
            self._sender.restore(event)

    def put(self, event: Event) -> None:
        """Take an event, or count it as dropped; return at once. It must not be changed afterwards."""
        if self.wants(event):
            self.accept(event, 0, 0)

    def wants(self, event: Event) -> bool:
        """Say whether an event is severe enough, or of a finding that was. To be asked once of each event."""
        with self._lock:
            passes = self._passes(event)
            self._filtered += not passes
            return passes

    def accept(self, event: Event, number: int, octets: int) -> None:
        """Take an event that is wanted, as ``put`` does; ``number`` is what it has on disk."""
        with self._lock:
            self._put += 1
            if not _ends(event):
                self._unended.discard(event["id"])
            self._take(Waiting(number, octets, event))
        self._wake.set()

    def counts(self) -> Counts:
        """Return what became of everything so far."""
        with self._lock:
            return Counts(
                self._put,
                self._restored,
                self._filtered,
                self._delivered,
                dict(self._dropped),
                self._retries,
                len(self._queue) + len(self._hand),
                self._spooled,
                self._up and not self._hangs(),
                self._last_delivery,
            )

    def stop(self, deadline_s: float) -> None:
        """Send what can be sent in so many seconds, once more each; the rest is left on disk or dropped."""
        with self._lock:
            self._stop_at = time.monotonic() + deadline_s
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(deadline_s)
            if self._thread.is_alive():
                self._sender.interrupt()
                self._thread.join(_INTERRUPTED_S)
        with self._lock:
            self._abandoned = True  # a thread that still waits in its sender counts no more
            for waiting in (*self._hand, *self._queue):
                self._leave(waiting)
            self._hand = []
            self._queue.clear()

    def _passes(self, event: Event) -> bool:
        if self._least == 0:
            return True
        known = event["id"] in self._told
        if not known and _RANKS[event["severity"]] < self._least:
            return False
        if event["event"] == "finding_resolved" or event["state"] == "resolved":  # as a summary is
            self._told.discard(event["id"])
        else:
            self._told.add(event["id"])
        return True

    def _take(self, waiting: Waiting) -> None:
        if self._stop_at is not None:
            self._leave(waiting)
            return
        if self._is_full():
            self._spool()
        if self._is_full():
            self._dropped["full"] += 1
            if not self._makes_room(waiting.event):
                self._put_away([waiting])
                return
        self._queue.append(waiting)

    def _is_full(self) -> bool:
        # What an earlier run left counts where nothing may be on disk only: it must not grow with each of them.
        return len(self._queue) + (0 if self._spool_octets else self._spooled) >= self._capacity

    def _spool(self) -> None:
        """Have the queue on disk only, the oldest first, as far as it is there and may be there."""
        while self._queue and self._is_on_disk(self._queue[0]):
            octets = self._spooled_octets + self._queue[0].octets
            if octets > self._spool_octets:
                return
            self._queue.popleft()
            self._spooled, self._spooled_octets = self._spooled + 1, octets

    def _makes_room(self, event: Event) -> bool:
        """Let an end take the room of the oldest event that is none."""
        if not _ends(event):
            return False
        oldest = next((n for n, each in enumerate(islice(self._queue, _SCANNED)) if not _ends(each.event)), None)
        if oldest is None:
            if self._sender.repeat_s is not None:
                self._unended.add(event["id"])
            return False
        self._put_away([self._queue[oldest]])
        del self._queue[oldest]
        return True

    def _leave(self, waiting: Waiting) -> None:
        """Leave an event to the next run, or drop it."""
        if self._is_on_disk(waiting):
            self._spooled += 1
        else:
            self._dropped["unsent"] += 1

    def _is_on_disk(self, waiting: Waiting) -> bool:
        return self._shelf is not None and self._shelf.has(waiting.number)

    def _put_away(self, settled: Iterable[Waiting]) -> None:
        """Have these no longer on disk."""
        if self._shelf is not None:
            self._shelf.settle([each.number for each in settled if each.number])

    def _run(self) -> None:
        repeat_s = self._sender.repeat_s
        # At once, too: after a restart there may be something
        repeat_at = None if repeat_s is None else time.monotonic()
        try:
            while True:
                self._wake.clear()  # before what it is set for is looked at: what comes meanwhile ends the waiting
                if self._stop_at is not None:
                    break
                if repeat_s is not None and repeat_at is not None and time.monotonic() >= repeat_at:
                    repeat_at = time.monotonic() + repeat_s
                    self._repeat()
                if self._fill():
                    if not self._attempt():
                        self._pause()
                elif self._spooled:  # on a disk that does not give it
                    self._pause()
                else:
                    self._wake.wait(None if repeat_at is None else max(repeat_at - time.monotonic(), 0.0))
            while time.monotonic() < self._stop_at and self._fill() and self._attempt():
                pass
        finally:
            self._sender.close()

    def _fill(self) -> bool:
        """Take the oldest events in hand; say whether there are any."""
        if self._hand:
            return True
        with self._lock:
            while not self._spooled and self._queue and len(self._hand) < self._sender.batch:
                self._hand.append(self._queue.popleft())
            if self._hand:
                self._taken = self._hand[-1].number
                return True
        return self._shelf is not None and self._spooled > 0 and self._fill_from(self._shelf)

    def _fill_from(self, shelf: Shelf) -> bool:
        """Take in hand what is on disk only."""
        try:
            found = shelf.head(self._taken, min(self._sender.batch, self._spooled))
        except Exception as error:  # noqa: BLE001  (as in an attempt)
            self._failed(f"what waits cannot be read: {error}")
            return False
        with self._lock:
            if shelf.resets > self._resets or not found:
                self._resets = shelf.resets
                self._dropped["spool"] += self._spooled
                self._spooled = self._spooled_octets = 0
            else:
                self._hand = [Waiting(*each) for each in found]
                self._taken = self._hand[-1].number
                self._spooled -= len(found)
                self._spooled_octets = max(self._spooled_octets - sum(each.octets for each in self._hand), 0)
        return self._fill()

    def _attempt(self) -> bool:
        """Send what is in hand; False when that has to be tried again later."""
        events = [each.event for each in (self._hand[:1] if self._suspects else self._hand)]
        self._attempted = time.monotonic()
        try:
            self._sender.send(events)
        except SendError as error:
            if not error.permanent:
                self._failed(str(error))
                return False
            self._refused(len(events), str(error))
        except Exception as error:  # noqa: BLE001  (a defect of ours must not end the thread and all that is to come)
            self._refused(len(events), f"{type(error).__name__} in the sender")
        else:
            self._settle(len(events))
        finally:
            self._attempted = None
        return True

    def _hangs(self) -> bool:
        since = self._attempted
        return since is not None and time.monotonic() - since > _LATE_S

    def _forget(self) -> None:
        """Have the sender forget what is over; again, when that of which events still wait was sent."""
        with self._lock:
            unended = set(self._unended)
            if unended:
                self._unended &= {each.event["id"] for each in (*self._hand, *self._queue)}
        self._sender.forget(unended)

    def _repeat(self) -> None:
        try:
            self._forget()
            self._sender.repeat()
        except SendError as error:
            self._failed(str(error))
        except Exception as error:  # noqa: BLE001  (as in an attempt)
            self._fell(f"{type(error).__name__} in the sender")
        else:
            self._worked()

    def _refused(self, count: int, reason: str) -> None:
        if count > 1:
            self._suspects = count  # one of them may be what is refused
            return
        self._fell(reason)
        if _ends(self._hand[0].event):
            self._sender.forget([self._hand[0].event["id"]])
        self._settle(1, "refused")

    def _settle(self, count: int, dropped: Reason | None = None) -> None:
        """Be done with the first events in hand."""
        with self._lock:
            if self._abandoned:
                return
            settled, self._hand = self._hand[:count], self._hand[count:]
            self._suspects = max(self._suspects - count, 0)
            if dropped:
                self._dropped[dropped] += count
            else:
                self._delivered += count
                self._last_delivery = time.time()
        self._put_away(settled)
        if not dropped:
            self._worked()

    def _say(self, event: str, **keys: str) -> None:
        with suppress(Exception):  # who listens must not end the thread
            self._listener(event, sink=self.name, **keys)

    def _worked(self) -> None:
        self._failures = 0
        if not self._up:
            self._up = True
            self._say("sink_up")

    def _failed(self, reason: str) -> None:
        self._failures += 1
        with self._lock:
            self._retries += 1
        self._fell(reason)

    def _fell(self, reason: str) -> None:
        if self._up:
            self._up = False
            self._say("sink_down", level="warning", reason=reason)

    def _pause(self) -> None:
        """Wait before the next attempt."""
        first_s, greatest_s = self._pauses_s
        pause_s = min(first_s * 2 ** min(self._failures - 1, 30), greatest_s)
        until = time.monotonic() + pause_s * random.uniform(0.5, 1.0)  # noqa: S311  (so that sensors do not try in step)
        while self._stop_at is None and (left := until - time.monotonic()) > 0:
            self._wake.wait(left)
            self._wake.clear()
