"""What the running sensor remembers: its baseline and the key of its pseudonyms, read at the start and kept since."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from sensor.state.baseline import BaselineFile
from sensor.state.directory import StateError
from sensor.state.keys import current_key

if TYPE_CHECKING:
    from pathlib import Path

    from sensor.identities import Pseudonyms
    from sensor.network.baseline import Baseline
    from sensor.state.baseline import Stored

NS = 1_000_000_000
SAVE_S = 30.0  # what the sensor learned in so long is lost when it is killed


class Memory:
    """The state directory of a running sensor. What fails after the start is counted and tried again."""

    def __init__(self, directory: Path, names: Pseudonyms, rotate_days: int) -> None:
        """Raise StateError when the directory cannot be used."""
        self.errors = 0
        self.problem = ""  # why the directory could not be used the last time, "" when it could
        self._directory = directory
        self._names = names
        self._rotate_days = rotate_days
        self._file = BaselineFile(directory)
        self._next_save = 0.0
        self._generation = -1
        self._use_key()

    def baseline(self, forget_after_s: float) -> Stored:
        """Return the baseline, without those that were not seen for so long; raises StateError."""
        stored = self._file.load(int((time.time() - forget_after_s) * NS))
        self._generation = stored.generation
        return stored

    def keep(self, baseline: Baseline, *, now: bool = False) -> None:
        """Write what changed, every half minute or ``now``, and see whether another epoch has begun."""
        if not now and time.monotonic() < self._next_save:
            return
        self._next_save = time.monotonic() + SAVE_S
        changed, baseline.changed = baseline.changed, set()
        try:
            self._use_key()
            if changed:
                self._file.save(baseline.entries, changed, baseline.learning_ns, self._generation)
        except StateError as error:
            self.failed(error)
            baseline.changed |= changed
        else:
            self.problem = ""

    def failed(self, error: StateError) -> None:
        """Count something that failed."""
        self.errors += 1
        self.problem = str(error)

    def _use_key(self) -> None:
        epoch = current_key(self._directory, int(time.time()), self._rotate_days)
        self._names.set_key(epoch.number, epoch.key)
