"""One sink's queue and thread: what is put arrives, waits, or is counted as dropped, whatever the receiver does."""

from __future__ import annotations

import random
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from itertools import islice
from typing import Literal, NamedTuple

from sensor.alerts.event import Event
from sensor.alerts.sender import Sender, SendError
from sensor.alerts.spool import Spool
from sensor.model import SEVERITIES, Severity

Say = Callable[..., None]  # an event's name, its level and its keys, as sensor.output.events.Events.say
Reason = Literal["full", "refused", "spool", "unsent"]
REASONS: tuple[Reason, ...] = ("full", "refused", "spool", "unsent")
_CHUNK = 256  # events that go to disk at once
_SCANNED = 1000  # events among which room for an end is looked for
_LATE_S = 5.0  # an attempt that takes longer is none that works: a disk may hang, a receiver not answer
_INTERRUPTED_S = 0.5  # what a sender has to end after it was interrupted
_RANKS = {severity: rank for rank, severity in enumerate(SEVERITIES)}


class Counts(NamedTuple):
    """What became of events: delivered + all dropped + queued + spooled = put + restored."""

    put: int  # after the filter
    restored: int  # found in the spool at start
    filtered: int  # below the least severity
    delivered: int
    dropped: dict[Reason, int]  # no room; refused by the receiver; lost with a spool; left at the end
    retries: int  # attempts that failed and are made again
    queued: int
    spooled: int
    spool_resets: int  # spool files that were moved aside
    up: bool  # the last attempt worked, or there was none yet; and none hangs
    last_delivery: float  # seconds since 1970, 0: none yet


def _ends(event: Event) -> bool:
    """Whether a receiver that never gets it would take something over or waived for open."""
    return event["state"] != "open" and event["event"] != "finding_opened"


def _silent(*_args: object, **_keys: object) -> None:
    """Say nothing."""


class Delivery:
    """Brings events to one sink, in their order; at least once: an attempt that fails in the middle is made again.

    With a spool, what waits while the receiver fails goes to disk. ``say`` is called by the delivery's own thread.
    """

    def __init__(
        self,
        name: str,
        sender: Sender,
        *,
        queue: int = 1000,
        min_severity: Severity = "info",
        spool: Spool | None = None,
        say: Say = _silent,
        first_pause_s: float = 1.0,
        greatest_pause_s: float = 60.0,
    ) -> None:
        self.name = name
        self._sender = sender
        self._capacity = queue
        self._least = _RANKS[min_severity]
        self._spool = spool
        self._listener = say
        self._pauses_s = first_pause_s, greatest_pause_s
        self._lock = threading.Lock()  # held for a few instructions only: never over a file or a socket
        self._wake = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"sink-{name}", daemon=True)
        self._told: set[str] = set()  # open findings that passed the filter, so that their end does, too
        self._unended: set[str] = set()  # findings whose end was dropped
        self._queue: deque[Event] = deque()
        self._hand: list[Event] = []  # what the next attempt sends …
        self._from_spool = False  # … a copy of the spool's head
        self._suspects = 0  # events of a refused batch, which are sent one by one
        self._stop_at: float | None = None
        self._abandoned = False
        self._failures = 0  # in a row
        self._resets = spool.resets if spool else 0
        self._restored = self._spooled = len(spool) if spool else 0
        self._put = self._filtered = self._delivered = self._retries = 0
        self._dropped: dict[Reason, int] = dict.fromkeys(REASONS, 0)
        self._up = True
        self._attempted: float | None = None  # since when the attempt of now is made
        self._last_delivery = 0.0

    def start(self) -> None:
        """Deliver from now on."""
        self._thread.start()

    def put(self, event: Event) -> None:
        """Take an event, or count it as dropped; return at once. It must not be changed afterwards."""
        with self._lock:
            if not self._passes(event):
                self._filtered += 1
                return
            self._put += 1
            if not _ends(event):
                self._unended.discard(event["id"])
            if self._stop_at is not None:
                self._dropped["unsent"] += 1
                return
            if len(self._queue) >= self._capacity:
                self._dropped["full"] += 1
                if not self._makes_room(event):
                    return
            self._queue.append(event)
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
                len(self._queue) + (0 if self._from_spool else len(self._hand)),
                self._spooled,
                self._resets,
                self._up and not self._hangs(),
                self._last_delivery,
            )

    def stop(self, deadline_s: float) -> None:
        """Send what can be sent in so many seconds, once more each; the rest goes to the spool or is dropped."""
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
            rest = [*([] if self._from_spool else self._hand), *self._queue]
            self._hand = []
            self._queue.clear()
        stored = 0
        if self._spool is not None:
            stored = self._store(rest)
            self._note_spool(stored)
            self._spool.close()
        with self._lock:
            self._dropped["unsent"] += len(rest) - stored

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

    def _makes_room(self, event: Event) -> bool:
        """Let an end take the room of the oldest event that is none."""
        if not _ends(event):
            return False
        oldest = next((n for n, each in enumerate(islice(self._queue, _SCANNED)) if not _ends(each)), None)
        if oldest is None:
            if self._sender.repeat_s is not None:
                self._unended.add(event["id"])
            return False
        del self._queue[oldest]
        return True

    def _run(self) -> None:
        if self._resets:
            self._say("spool_moved_aside", level="error")
        repeat_s = self._sender.repeat_s
        repeat_at = None if repeat_s is None else time.monotonic() + repeat_s
        try:
            while self._stop_at is None:
                self._wake.clear()
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
        hand: list[Event] = []
        if self._spooled and self._spool is not None:
            try:
                hand = self._spool.head(self._sender.batch)
            except Exception as error:  # noqa: BLE001  (as in an attempt)
                self._failed(f"the spool cannot be read: {error}")
                return False
            self._note_spool(0)
        with self._lock:
            self._from_spool = bool(hand)
            while not self._from_spool and self._queue and len(hand) < self._sender.batch:
                hand.append(self._queue.popleft())
            self._hand = hand
        return bool(hand)

    def _attempt(self) -> bool:
        """Send what is in hand; False when that has to be tried again later."""
        events = self._hand[:1] if self._suspects else self._hand
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
                self._unended &= {event["id"] for event in (*self._hand, *self._queue)}
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
        if _ends(self._hand[0]):
            self._sender.forget([self._hand[0]["id"]])
        self._settle(1, "refused")

    def _settle(self, count: int, dropped: Reason | None = None) -> None:
        """Be done with the first events in hand."""
        with self._lock:
            if self._abandoned:
                return
            del self._hand[:count]
            self._suspects = max(self._suspects - count, 0)
            if dropped:
                self._dropped[dropped] += count
            else:
                self._delivered += count
                self._last_delivery = time.time()
            self._spooled -= count if self._from_spool else 0
        if self._from_spool and self._spool is not None:
            self._spool.remove(count)
            self._note_spool(0)
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
        """Wait before the next attempt; meanwhile what comes goes to the spool."""
        first_s, greatest_s = self._pauses_s
        pause_s = min(first_s * 2 ** min(self._failures - 1, 30), greatest_s)
        until = time.monotonic() + pause_s * random.uniform(0.5, 1.0)  # noqa: S311  (so that sensors do not try in step)
        self._unload()
        while self._stop_at is None and (left := until - time.monotonic()) > 0:
            self._wake.wait(left)
            self._wake.clear()
            self._unload()

    def _unload(self) -> None:
        """Move everything in memory to the spool, as far as there is room."""
        if self._spool is None:
            return
        with self._lock:
            if not self._from_spool:
                self._queue.extendleft(reversed(self._hand))
            self._hand, self._suspects = [], 0
        while True:
            with self._lock:
                oldest = [self._queue[n] for n in range(min(len(self._queue), _CHUNK))]
            stored = self._store(oldest)
            with self._lock:
                for _ in range(stored):
                    self._queue.popleft()
            self._note_spool(stored)
            if stored < _CHUNK:
                return

    def _store(self, events: list[Event]) -> int:
        """Put events into the spool; return how many found room, the first ones."""
        if self._spool is None or not events:
            return 0
        try:
            return self._spool.append(events)
        except Exception as error:  # noqa: BLE001  (as in an attempt)
            self._fell(f"{type(error).__name__} in the spool")
            return 0

    def _note_spool(self, stored: int) -> None:
        """Account for what was put into the spool, and for what went missing in it."""
        if self._spool is None:
            return
        reset = self._spool.resets > self._resets
        with self._lock:
            self._spooled += stored
            if reset:
                self._dropped["spool"] += self._spooled - len(self._spool)
                self._spooled = len(self._spool)
                self._resets = self._spool.resets
        if reset:
            self._say("spool_moved_aside", level="error")
