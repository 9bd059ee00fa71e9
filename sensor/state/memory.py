"""What the running sensor remembers: its baseline and the key of its pseudonyms, read at the start and kept since."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING

from sensor.beside import Beside
from sensor.state.baseline import BaselineFile
from sensor.state.directory import StateError
from sensor.state.keys import Epoch, current_key

if TYPE_CHECKING:
    from pathlib import Path

    from sensor.identities import Pseudonyms
    from sensor.network.baseline import Baseline, Known
    from sensor.state.baseline import Stored

NS = 1_000_000_000
SAVE_S = 30.0  # what the sensor learned in so long is lost when it is killed
LATE_S = 5.0  # after which a disk does not answer
STOP_S = 2.0  # what it has at the end


class Memory:
    """The state directory of a running sensor. What fails after the start is counted and tried again.

    But for the start and the end nothing here waits for the disk: reading and writing is done beside the caller. A
    disk that does not answer is counted as an error, too.
    """

    def __init__(self, directory: Path, names: Pseudonyms, rotate_days: int) -> None:
        """Raise StateError when the directory cannot be used."""
        self.errors = 0
        self._problem = ""  # why the directory could not be used the last time
        self._directory = directory
        self._names = names
        self._rotate_days = rotate_days
        self._file = BaselineFile(directory, at_once=False)
        self._generation = -1
        self._reading: Beside[Stored] | None = None
        self._saving: Beside[Epoch] | None = None
        self._saved: set[str] = set()  # addresses that are being written
        self._next_save = 0.0
        self._late: set[Beside[Stored] | Beside[Epoch]] = set()  # what was counted as such
        self._take_key(self._key())

    def baseline(self, forget_after_s: float) -> Stored:
        """Return the baseline on disk, without those that were not seen for so long; raises StateError."""
        return self._file.load(int((time.time() - forget_after_s) * NS))

    def read_again(self, forget_after_s: float) -> None:
        """Begin to read the baseline anew; ``read`` has it later."""
        self._reading = self._reading or Beside(lambda: self.baseline(forget_after_s))

    def read(self) -> Stored | None:
        """Return, once, the baseline that was read anew; None while there is none. Raises StateError."""
        if self._reading is None or self._reading.is_alive():
            return None
        reading, self._reading = self._reading, None
        return reading.outcome()

    def adopt(self, stored: Stored) -> bool:
        """Keep this baseline from now on; False when it is the one that is kept already."""
        is_another = stored.generation != self._generation
        self._generation = stored.generation
        return is_another

    def keep(self, baseline: Baseline, *, now: bool = False) -> None:
        """Write what changed, every half minute or ``now``, and see whether another epoch has begun."""
        self._count_late()
        self._settle(baseline)
        if self._saving is not None or not (now or time.monotonic() >= self._next_save):
            return
        self._next_save = time.monotonic() + SAVE_S
        self._saved, baseline.changed = baseline.changed, set()
        known = baseline.entries
        entries = {address: replace(known[address]) for address in self._saved if address in known}
        learning_ns, generation = baseline.learning_ns, self._generation
        self._saving = Beside(lambda: self._save(entries, learning_ns, generation))

    def close(self, baseline: Baseline) -> None:
        """Write what changed, if the disk takes it soon."""
        self._settle(baseline, STOP_S)  # what is being written
        self.keep(baseline, now=True)  # what changed since
        self._settle(baseline, STOP_S)

    def _settle(self, baseline: Baseline, wait_s: float = 0.0) -> None:
        """Note what became of what was given to the disk, if that is known by now."""
        if self._saving is None:
            return
        self._saving.join(wait_s)
        if self._saving.is_alive():
            return
        saving, self._saving = self._saving, None
        try:
            self._take_key(saving.outcome())
        except StateError as error:
            self.failed(error)
            baseline.changed |= self._saved
        else:
            self._problem = ""

    @property
    def problem(self) -> str:
        """Why the directory cannot be used now, "" when it can."""
        return f"{self._directory} does not answer" if self._late else self._problem

    def failed(self, error: StateError) -> None:
        """Count something that failed."""
        self.errors += 1
        self._problem = str(error)

    def _count_late(self) -> None:
        works = {work for work in (self._reading, self._saving) if work is not None and work.is_alive()}
        late = {work for work in works if time.monotonic() - work.since > LATE_S}
        self.errors += len(late - self._late)
        self._late = late

    def _save(self, entries: dict[str, Known], learning_ns: int, generation: int) -> Epoch:
        epoch = self._key()
        if entries:
            self._file.save(entries, entries, learning_ns, generation)
        return epoch

    def _key(self) -> Epoch:
        return current_key(self._directory, int(time.time()), self._rotate_days)

    def _take_key(self, epoch: Epoch) -> None:
        self._names.set_key(epoch.number, epoch.key)
