"""Nobody is told of anything before it is on disk, so that the next sensor knows what one that was killed had said.

What one step of the sensor changed is written at once: which findings are open, and the events that say so, each with
the sinks that wait for it. Only then the events go to the sinks, and a sink that has one waits for it no longer. So a
sensor that is killed before the writing has told nobody, and what one had written that is killed after it, it has said
or the next one says it. Twice comes only what a sink had taken when the sensor was killed before it could note that.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from typing import TYPE_CHECKING, NamedTuple

from sensor.model import SEVERITIES, QuietSink
from sensor.state.directory import StateError
from sensor.state.findings import EMPTY, Changes, InUseError, Told, encode_event, encode_finding, encode_summary

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from sensor.alerts.delivery import Delivery
    from sensor.alerts.event import Event
    from sensor.alerts.notifier import Counted, Outlet
    from sensor.findings import Book, Kept
    from sensor.model import Finding, Severity, Step
    from sensor.state.findings import FindingsFile, Stored, Written

PATIENCE_S = 1.0  # with a disk that does not answer: then events go out without it
RETRY_S = 1.0  # until what could not be written is tried again
SAVE_S = 10.0  # what changes unsaid (counts, times) is written so often
FORMER_S = 1.0  # … and while something from before a restart may be claimed again
STOP_S = 2.0  # what the disk has at the end

_Mark = tuple[int, int, int, bool]  # a finding's last time and count, since when it settles, whether it is former


class _Entry(NamedTuple):
    number: int
    octets: int
    event: Event
    sinks: frozenset[str]
    at: float  # monotonic


class Shelf:
    """What waits on disk for one sink."""

    def __init__(self, outbox: Outbox, sink: str) -> None:
        self._outbox = outbox
        self._sink = sink

    @property
    def resets(self) -> int:
        """How often all that was on disk was lost."""
        return self._outbox.resets

    def waiting(self) -> tuple[int, int]:
        """Return how many events an earlier sensor left, and their octets."""
        return self._outbox.stored.waiting.get(self._sink, (0, 0))

    def has(self, number: int) -> bool:
        """Say whether an event is on disk."""
        return self._outbox.has(number)

    def head(self, after: int, count: int) -> list[Written]:
        """Return the first events with greater numbers, at most ``count``; OSError when the disk does not give them."""
        return self._outbox.head(self._sink, after, count)

    def settle(self, numbers: Iterable[int]) -> None:
        """Wait for these no longer."""
        self._outbox.settle(self._sink, numbers)


class Outbox(QuietSink):
    """A sink of findings and an outlet of events, which writes both, and then tells ``log`` and deliveries.

    The thread that finds things calls ``put``, ``finding_changed`` and, after each of its steps, ``commit``; it never
    waits for the disk. A disk that fails, or does not answer for ``PATIENCE_S``, is counted in ``errors``, and events
    go out without it. Raises StateError where another process has the file.
    """

    def __init__(self, file: FindingsFile, log: Outlet, log_name: str, say: Callable[..., None]) -> None:
        """``say`` is told an event's name, its level and its keys when something is to be known of the disk."""
        self.errors = 0
        self.stored: Stored = EMPTY
        self._file = file
        self._log = log
        self._log_name = log_name
        self._say = say
        self._deliveries: Sequence[Delivery] = ()
        # Of the thread that finds things
        self._step = Changes()
        self._entries: list[_Entry] = []
        self._changed: dict[str, Finding | None] = {}
        self._saved: dict[str, _Mark] = {}  # how what is open was written last
        self._has_former = False
        self._next_save = 0.0
        # Of all threads, under the lock, which is held for a few instructions only
        self._lock = threading.Lock()
        self._pending = Changes()
        self._writing = Changes()
        self._unreleased: deque[_Entry] = deque()
        self._anew = False
        self._resets = 0  # of the file, as far as they were noticed
        self._lost = self._written = 0  # the greatest number when all was lost, and the greatest on disk
        self._retry_at = 0.0
        self._failure = ""  # of the last attempt to write
        self._late = False
        self._releasing = threading.Lock()  # held while outlets are told, so that they are in order
        self._wake = threading.Event()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="outbox", daemon=True)
        self._load()
        self._told = dict(self.stored.told)
        # Greater than any before, even where the file was lost
        self._first = self._number = self._written = max(self.stored.last_number, time.time_ns() // 1000)

    @property
    def anew(self) -> bool:
        """Whether the next step has to have everything, as the file has nothing."""
        return self._anew

    @property
    def resets(self) -> int:
        """How often the file was moved aside."""
        return self._file.resets

    @property
    def problem(self) -> str:
        """Why findings cannot be written now, "" when they can."""
        return "the disk of the open findings does not answer" if self._late else self._failure

    def shelf(self, sink: str) -> Shelf:
        """Return a sink's part of what is on disk."""
        return Shelf(self, sink)

    def deliver_to(self, deliveries: Sequence[Delivery]) -> None:
        """Take those who are told of events; what waits for anybody else is forgotten, and that is said."""
        self._deliveries = deliveries
        known = {self._log_name, *(each.name for each in deliveries)}
        for sink, (count, _) in self.stored.waiting.items():
            if sink not in known:
                self._pending.forgotten.add(sink)
                self._say("sink_forgotten", level="warning", sink=sink, events=count)

    def start(self) -> None:
        """Begin to write."""
        self.catch_up()
        self._thread.start()

    def catch_up(self) -> None:
        """Give the log what it had not got from an earlier sensor."""
        count, _ = self.stored.waiting.get(self._log_name, (0, 0))
        try:
            for number, _, event in self._file.head(self._log_name, 0, count) if count else ():
                self._log.put(event)
                self.settle(self._log_name, [number])
        except OSError as error:
            self._failed(error)

    def resume(self, known: Iterable[Event]) -> None:
        """Let deliveries know what sinks were told before the restart and still holds; all else is forgotten."""
        former = dict(self.stored.told)
        for event in known:
            told = former.pop(event["id"])
            for each in self._deliveries:
                each.restore(event, told.worst)
        for id_ in former.keys() - self._step.told.keys():  # of names that nobody has any more
            del self._told[id_]
            self._step.told[id_] = None
        for finding, *_ in self.stored.kept:  # what could not be restored
            self._changed.setdefault(finding.id, None)

    def finding_changed(self, finding: Finding, change: Step) -> None:
        """Note what is to be written of a finding."""
        if change == "resolved":
            self._saved.pop(finding.id, None)
        self._changed[finding.id] = None if change == "resolved" else finding

    def put(self, event: Event) -> None:
        """Take an event."""
        self._number += 1
        sinks = {self._log_name, *(each.name for each in self._deliveries if each.wants(event))}
        text = encode_event(event)
        self._step.events[self._number] = text, set(sinks)
        self._entries.append(_Entry(self._number, len(text), event, frozenset(sinks), time.monotonic()))
        before, told = self._told.pop(event["id"], None), None
        if event["event"] != "finding_resolved" and event["state"] != "resolved":  # as a summary is
            told = Told(_worse(event["severity"], before and before.worst), event["state"] == "open")
            self._told[event["id"]] = told
        self._step.told[event["id"]] = told

    def commit(self, book: Book, summaries: Mapping[str, Counted | None], now_ns: int, *, save: bool = False) -> None:
        """Have written what changed since the last time, in the book that has the findings and in summaries.

        Now and then, and with ``save``, that is also what changed unsaid.
        """
        now = time.monotonic()
        due = save or self._anew or now >= self._next_save
        if due or self._changed or self._entries or summaries:
            step, entries = self._take(book, unsaid=due)
            step.summaries.update((code, each and encode_summary(each)) for code, each in summaries.items())
            if step.anew or step.findings or step.told or step.summaries or self._saved:
                step.alive_ns = now_ns
                with self._lock:
                    self._pending = self._pending.then(step)
                    self._unreleased.extend(entries)
                self._wake.set()
        if due:
            self._next_save = now + (FORMER_S if self._has_former else SAVE_S)
        self._mind_the_disk(now)

    def has(self, number: int) -> bool:
        """Say whether an event is on disk."""
        return self._lost < number <= self._written

    def head(self, sink: str, after: int, count: int) -> list[Written]:
        """Return the first events that wait for a sink and have greater numbers, at most ``count``."""
        with self._lock:
            settled = {number for number, who in (*self._writing.settled, *self._pending.settled) if who == sink}
        found = self._file.head(sink, after, count + len(settled))
        self._look_for_the_file()
        return [each for each in found if each.number not in settled][:count]

    def settle(self, sink: str, numbers: Iterable[int]) -> None:
        """Note that a sink waits for these no longer; called by any thread."""
        with self._lock:
            for number in numbers:
                self._pending.settle(number, sink)
        self._wake.set()

    def turn(self) -> None:
        """Write what is to be written, and tell outlets of it."""
        with self._lock:
            if time.monotonic() >= self._retry_at:
                self._writing, self._pending = self._pending, Changes()
            last = self._unreleased[-1].number if self._unreleased else 0
        if self._writing:
            self._write(self._writing)
        self._release(last)

    def flush(self, seconds: float) -> None:
        """Wait until everything is written and outlets were told of it, but no longer than so many seconds."""
        deadline = time.monotonic() + seconds
        while self._pending or self._writing:
            if time.monotonic() >= deadline or not self._thread.is_alive():
                break
            time.sleep(0.005)
        with self._lock:
            last = self._unreleased[-1].number if self._unreleased else 0
        self._release(last)

    def stop(self) -> None:
        """Write what is left, once more, and end."""
        self._stopping = True
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(STOP_S)
        if not self._thread.is_alive():  # else the disk holds it
            self._file.close()

    def _load(self) -> None:
        try:
            self.stored = self._file.load()
        except InUseError as error:
            raise StateError(f"{error}; another sensor uses it: each needs a state.directory of its own") from None
        except OSError as error:
            self._failed(error)
            self._anew = True  # what is there is not known, so nothing of it must be found later
        self._look_for_the_file()

    def _look_for_the_file(self) -> None:
        """Have everything written anew where the file was moved aside; called by any thread."""
        with self._lock:
            if self._file.resets == self._resets:
                return
            self._resets = self._file.resets
            self._anew, self._lost = True, self._written
            self.errors += 1
        self._say("state_moved_aside", level="error")

    def _take(self, book: Book, *, unsaid: bool) -> tuple[Changes, list[_Entry]]:
        """Take what the step changed."""
        step, self._step = self._step, Changes()
        entries, self._entries = self._entries, []
        changed, self._changed = self._changed, {}
        with self._lock:
            step.anew, self._anew = self._anew * self._first, False
        if step.anew:
            self._saved.clear()
            step.told.update(self._told)
        for id_, finding in changed.items():
            step.findings[id_] = self._encoded(book.kept(finding)) if finding is not None else None
        if not (unsaid or step.anew):
            return step, entries
        self._has_former = False
        for kept in map(book.kept, book.open_findings()):
            self._has_former |= kept.former
            if self._saved.get(kept.finding.id) != _mark(kept):
                step.findings[kept.finding.id] = self._encoded(kept)
        return step, entries

    def _encoded(self, kept: Kept) -> str:
        self._saved[kept.finding.id] = _mark(kept)
        return encode_finding(kept)

    def _run(self) -> None:
        while not self._stopping:
            self._wake.wait(RETRY_S if self._pending else None)
            self._wake.clear()
            self.turn()
        self._retry_at = 0.0
        self.turn()

    def _write(self, changes: Changes) -> None:
        try:
            self._file.write(changes)
        except OSError as error:
            self._failed(error)
            with self._lock:
                self._pending, self._writing = changes.then(self._pending), Changes()
                self._retry_at = time.monotonic() + RETRY_S
            self._look_for_the_file()
            return
        with self._lock:
            self._written = max(self._written, *changes.events, 0)
            self._writing = Changes()
        self._late = False
        if self._failure:
            self._failure = ""
            self._say("state_written")

    def _failed(self, error: OSError) -> None:
        self.errors += 1
        if not self._failure:
            self._say("state_failed", level="error", error=str(error))
        self._failure = str(error)

    def _mind_the_disk(self, now: float) -> None:
        """Tell outlets of what waits for the disk for too long."""
        with self._lock:
            late = [each.number for each in self._unreleased if now - each.at >= PATIENCE_S]
        if not late:
            return
        if not self._late:
            self._late = True
            self.errors += 1
            self._say("state_late", level="error")
        self._release(late[-1])

    def _release(self, last: int) -> None:
        """Tell outlets of the events up to a number that they were not told of yet."""
        with self._releasing:
            while True:
                with self._lock:
                    if not self._unreleased or self._unreleased[0].number > last:
                        return
                    entry = self._unreleased.popleft()
                self._log.put(entry.event)
                self.settle(self._log_name, [entry.number])
                for each in self._deliveries:
                    if each.name in entry.sinks:
                        each.accept(entry.event, entry.number, entry.octets)


def _mark(kept: Kept) -> _Mark:
    return kept.finding.last_ns, kept.finding.count, kept.left_ns, kept.former


def _worse(severity: Severity, before: Severity | None) -> Severity:
    return max(severity, before or severity, key=SEVERITIES.index)
