"""The baseline on disk: SQLite, so that the sensor and ``legwatch baseline`` can have it open at the same time."""

from __future__ import annotations

import sqlite3
import threading
from contextlib import closing
from typing import TYPE_CHECKING, NamedTuple, TypeVar, cast

from sensor.network.baseline import Known
from sensor.state.directory import StateError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    from sensor.model import Protection

NAME = "baseline.db"
_TABLES = """
CREATE TABLE IF NOT EXISTS endpoints (
    address TEXT PRIMARY KEY, first_ns INTEGER NOT NULL, last_ns INTEGER NOT NULL, media TEXT, signalling TEXT
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS learning (
    only_one INTEGER PRIMARY KEY CHECK (only_one = 1), until_ns INTEGER NOT NULL, generation INTEGER NOT NULL
);
INSERT OR IGNORE INTO learning VALUES (1, 0, 0);
PRAGMA user_version = 1;
"""
_VERSION = 1
PATIENCE_S = 0.2  # with another process at the file: the sensor does not wait for it
Result = TypeVar("Result")
_Row = tuple[str, int, int, str | None, str | None]
_STATES = (None, "clear", "encrypted")


class Stored(NamedTuple):
    """A baseline as the file has it."""

    entries: dict[str, Known]
    learning_ns: int  # packet time until which it is learned; 0: from the next packet on, for the policy's time
    generation: int  # raised by ``legwatch baseline``: what a sensor holds of an earlier one is of no account


class BaselineFile:
    """A baseline in a state directory, for any thread. Every method raises StateError when the file cannot be used."""

    def __init__(self, directory: Path, *, at_once: bool = True) -> None:
        """Make it where there is none: ``at_once``, or else with its first use, which whoever begins may survive."""
        self._path = directory / NAME
        self._lock = threading.Lock()
        if at_once:
            self._use(lambda _connection: None)

    def load(self, before_ns: int = 0) -> Stored:
        """Return the endpoints that were seen since then, and forget the others."""

        def read(connection: sqlite3.Connection) -> Stored:
            connection.execute("DELETE FROM endpoints WHERE last_ns < ?", (before_ns,))
            rows = connection.execute("SELECT address, first_ns, last_ns, media, signalling FROM endpoints")
            entries = {str(address): _known(*rest) for address, *rest in rows}
            learning_ns, generation = connection.execute("SELECT until_ns, generation FROM learning").fetchone()
            return Stored(entries, int(learning_ns), int(generation))

        return self._use(read)

    def save(self, entries: Mapping[str, Known], changed: Iterable[str], learning_ns: int, generation: int) -> bool:
        """Keep what a sensor saw; False when the baseline that it holds was replaced meanwhile."""

        def write(connection: sqlite3.Connection) -> bool:
            if connection.execute("SELECT generation FROM learning").fetchone() != (generation,):
                return False
            connection.executemany("REPLACE INTO endpoints VALUES (?, ?, ?, ?, ?)", _rows(entries, changed))
            connection.execute("UPDATE learning SET until_ns = ?", (learning_ns,))
            return True

        return self._use(write)

    def replace(self, entries: Mapping[str, Known], learning_ns: int) -> None:
        """Keep these endpoints and no other ones, in a new generation."""

        def write(connection: sqlite3.Connection) -> None:
            connection.execute("DELETE FROM endpoints")
            connection.executemany("INSERT INTO endpoints VALUES (?, ?, ?, ?, ?)", _rows(entries, entries))
            connection.execute("UPDATE learning SET until_ns = ?, generation = generation + 1", (learning_ns,))

        self._use(write)

    def learn(self, until_ns: int) -> None:
        """Learn until a packet time, in a new generation: 0 for anew from the next packet on, 1 for no longer."""
        self._use(
            lambda connection: connection.execute(
                "UPDATE learning SET until_ns = ?, generation = generation + 1", (until_ns,)
            )
        )

    def _use(self, work: Callable[[sqlite3.Connection], Result]) -> Result:
        """Do something with the file in one transaction; it is made where it is not there, or not any more."""
        try:
            self._path.touch(mode=0o600, exist_ok=True)
            with self._lock, closing(sqlite3.connect(self._path, timeout=PATIENCE_S)) as connection:
                if connection.execute("PRAGMA user_version").fetchone() != (_VERSION,):
                    connection.executescript(_TABLES)
                with connection:
                    return work(connection)
        except (OSError, sqlite3.Error, TypeError) as error:
            reason = error.strerror if isinstance(error, OSError) else error
            damaged = not isinstance(error, OSError | sqlite3.OperationalError)
            advice = "; delete it to learn the baseline anew" if damaged else ""
            raise StateError(f"{self._path}: {reason}{advice}") from None


def _rows(entries: Mapping[str, Known], addresses: Iterable[str]) -> list[_Row]:
    known = [(address, entries[address]) for address in addresses if address in entries]
    return [(address, each.first_ns, each.last_ns, each.media, each.signalling) for address, each in known]


def _known(first_ns: int, last_ns: int, media: str | None, signalling: str | None) -> Known:
    if media not in _STATES or signalling not in _STATES or not isinstance(first_ns, int):
        raise TypeError("an entry is not one of ours")
    return Known(first_ns, last_ns, cast("Protection | None", media), cast("Protection | None", signalling))
