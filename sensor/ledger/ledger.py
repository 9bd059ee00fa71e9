"""The thread that writes the ledger: whoever has something to say never waits for the disk."""

from __future__ import annotations

import threading
import time
from collections import deque
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

from sensor.ledger.layout import LedgerError
from sensor.ledger.retention import Retention, budget

if TYPE_CHECKING:
    from collections.abc import Callable

    from sensor.ledger.entries import Entry
    from sensor.ledger.note import Checkpoint
    from sensor.ledger.recovery import Recovered
    from sensor.ledger.retention import Budget
    from sensor.ledger.writer import Writer

MAX_WAITING = 65_536  # entries that wait for the disk
BATCH = 8_192  # that are written at once
GROUP_S = 0.5  # between two checkpoints: with the writing, less than the second that may be at risk
RETRY_S = 2.0
SLOW_S = 10.0  # that a disk may take before it counts as one that takes nothing
TIDY_S = 60.0  # between two looks at what is to be deleted or compressed, and at the disk
YEARS_6_DAYS = 2192  # 45 CFR 164.316(b)(2)(i)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def _always() -> bool:
    return True


@dataclass(frozen=True, slots=True)
class Keeping:
    """How long entries are kept, and in how much room."""

    days: int = YEARS_6_DAYS
    max_octets: int | None = None  # for the forecast; None: what the disk has
    is_clock_set: Callable[[], bool] = (
        _always  # without that nothing is deleted: a clock that is wrong may be years off
    )


class _Lost:
    """Entries that could not be taken."""

    def __init__(self) -> None:
        self.count = self.first_ms = self.last_ms = 0
        self.why = ""

    def add(self, why: str, now_ms: int) -> None:
        self.first_ms = self.first_ms if self.count else now_ms
        self.count += 1
        self.last_ms = now_ms
        self.why = self.why or why

    def entry(self) -> Entry:
        return {"kind": "gap", "lost": self.count, "from": self.first_ms, "to": self.last_ms, "why": self.why}


class Ledger:
    """Entries from any thread to one ``Writer``: a group commit every ``GROUP_S``.

    When the disk does not take them they wait, up to ``MAX_WAITING``; what finds no room then is counted, and becomes
    an entry ``gap`` behind them, whose ``why`` is "disk", "overflow" (they came faster than they could be written) or
    "refused" (a defect of ours: it could not be an entry).
    """

    def __init__(self, writer: Writer, keeping: Keeping | None = None, *, now_ms: Callable[[], int] = _now_ms) -> None:
        self._writer = writer
        self._keeping = keeping or Keeping()
        self._now_ms = now_ms
        self._lock = threading.Lock()  # of the queue and what was lost: held for a few instructions only
        self._waiting: deque[Entry] = deque()
        self._lost = _Lost()
        self._all_lost = self._entries = self._commits = self._errors = 0
        self._wake = threading.Event()
        self._begun = self._stopping = False
        self._tidy_at = 0.0
        self._busy_since: float | None = None  # with the disk
        self._problem = ""
        self._retention = Retention(writer, self._keeping.days)
        self._untidy = ""  # why nothing could be deleted or looked at
        self._budget: Budget | None = None
        self._recovered: Recovered | None = None
        self._thread = threading.Thread(target=self._run, name="ledger", daemon=True)

    def start(self) -> None:
        """Begin; the directory is opened by the thread."""
        self._begun = True
        self._thread.start()

    def put(self, entry: Entry) -> None:
        """Take an entry, which belongs to the ledger from now on."""
        with self._lock:
            if len(self._waiting) >= MAX_WAITING:
                self._all_lost += 1
                self._lost.add("disk" if self.problem() else "overflow", self._now_ms())
                return
            self._waiting.append(entry)
            full = len(self._waiting) >= MAX_WAITING // 2
        if full:
            self._wake.set()

    def stop(self, timeout_s: float) -> int:
        """End, with all on disk that it takes in time; return how many entries are in no ledger and told by none."""
        self._stopping = True
        self._wake.set()
        self._thread.join(timeout_s)
        with self._lock:
            return len(self._waiting) + self._lost.count + self._writer.unsigned

    def counters(self) -> dict[str, int]:
        """Return what was done since the start.

        ``entries`` taken by the writer and their ``octets``; ``lost``, for which there was no room; ``commits``;
        ``errors``, after each of which it was tried again.
        """
        return {
            "entries": self._entries,
            "lost": self._all_lost,
            "octets": self._writer.octets,
            "commits": self._commits,
            "errors": self._errors,
        }

    def problem(self) -> str:
        """Return why entries cannot be written now, "" when they can."""
        if not self._stopping and not self._thread.is_alive() and self._begun:
            return "its thread has ended"
        since = self._busy_since
        if since is not None and time.monotonic() - since > SLOW_S:
            return f"{self._writer.directory} takes nothing for more than {SLOW_S:.0f} s"
        return self._problem

    def untidy(self) -> str:
        """Return why old segments cannot be deleted or the disk not be looked at, "" when they can."""
        return self._untidy

    def waiting(self) -> int:
        """Return how many entries wait for the disk."""
        return len(self._waiting)

    def checkpoint(self) -> Checkpoint | None:
        """Return the newest checkpoint, None before there is one."""
        return self._writer.checkpoint

    def recovered(self) -> Recovered | None:
        """Return what the start had to mend, None for nothing."""
        return self._recovered

    def budget(self) -> Budget | None:
        """Return what the ledger takes of the disk, by the last look; None before the first."""
        return self._budget

    def _run(self) -> None:
        while True:
            ending = self._stopping
            worked = self._attempt()
            if ending:
                if worked and self._waiting:
                    continue
                break
            self._wake.wait(GROUP_S if worked else RETRY_S)
            if not self._stopping:
                self._wake.clear()
        self._end()

    def _attempt(self) -> bool:
        """Write what waits; say whether that worked."""
        self._busy_since = time.monotonic()
        try:
            self._step()
        except Exception as error:  # noqa: BLE001  (a defect of ours must not end the thread unsaid)
            self._failed(error)
            return False
        finally:
            self._busy_since = None
        self._problem = ""
        return True

    def _step(self) -> None:
        if not self._writer.is_open:
            self._recovered = self._writer.open(self._now_ms()) or self._recovered
            self._writer.commit()  # what an error left is signed before more is taken: the rest waits, and is counted
        commit_at = time.monotonic() + GROUP_S
        while time.monotonic() < commit_at and (batch := self._next()):
            self._append(batch)
        if self._waiting:  # a flood does not put off what has to be signed
            self._wake.set()
        self._mend_gap()
        before = self._writer.checkpoint
        self._commits += self._writer.commit() is not before
        if (now := time.monotonic()) >= self._tidy_at:
            self._tidy_at = now + TIDY_S
            self._tidy()

    def _next(self) -> list[Entry]:
        """Return the entries that come next; they wait until the writer has them."""
        with self._lock:
            return list(islice(self._waiting, BATCH))

    def _taken(self, count: int) -> None:
        with self._lock:
            for _ in range(count):
                self._waiting.popleft()
        self._entries += count

    def _append(self, batch: list[Entry]) -> None:
        try:
            self._writer.append(batch, self._now_ms())
        except ValueError:
            self._append_each(batch)
        except OSError:  # it has them, and writes them when it is opened again
            self._taken(len(batch))
            raise
        else:
            self._taken(len(batch))

    def _append_each(self, batch: list[Entry]) -> None:
        for entry in batch:
            try:
                self._writer.append([entry], self._now_ms())
            except ValueError:
                with self._lock:
                    self._waiting.popleft()
                    self._all_lost += 1
                    self._lost.add("refused", self._now_ms())
            except OSError:
                self._taken(1)
                raise
            else:
                self._taken(1)

    def _mend_gap(self) -> None:
        with self._lock:
            lost, self._lost = self._lost, _Lost()
        if lost.count:
            self._writer.append([lost.entry()], self._now_ms())

    def _tidy(self) -> None:
        """Delete what is over; what does not work here is no reason not to write."""
        self._untidy = ""
        self._writer.look()
        try:
            if self._keeping.is_clock_set():
                self._retention.expire(self._now_ms())
            self._budget = budget(self._writer.directory, self._keeping.days, self._keeping.max_octets)
            self._writer.compress()
        except (OSError, LedgerError) as error:
            self._untidy = f"old segments cannot be deleted or compressed: {_reason(error)}"

    def _failed(self, error: Exception) -> None:
        self._errors += 1
        self._problem = f"{self._writer.directory} cannot be written: {_reason(error)}"

    def _end(self) -> None:
        self._busy_since = time.monotonic()
        try:
            self._writer.close()
        except OSError as error:
            self._failed(error)
        self._busy_since = None


def _reason(error: Exception) -> str:
    if isinstance(error, OSError):
        return error.strerror or str(error)
    return str(error) if isinstance(error, LedgerError) else f"{type(error).__name__} in the sensor"
