"""The baseline on disk: SQLite, so that the sensor and ``legwatch baseline`` can have it open at the same time."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, cast

from sensor.network.baseline import Known
from sensor.state.directory import StateError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from sensor.model import Protection

NAME = "baseline.db"
_TABLES = """
CREATE TABLE IF NOT EXISTS endpoints (
    address TEXT PRIMARY KEY, first_ns INTEGER NOT NULL, last_ns INTEGER NOT NULL, media TEXT, signalling TEXT
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS learning (only_one INTEGER PRIMARY KEY CHECK (only_one = 1), until_ns INTEGER NOT NULL);
PRAGMA user_version = 1;
"""
_Row = tuple[str, int, int, str | None, str | None]
_STATES = (None, "clear", "encrypted")


class BaselineFile:
    """A baseline in a state directory. Every method raises StateError when the file cannot be used."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / NAME
        try:
            self._path.touch(mode=0o600, exist_ok=True)
            with self._open() as connection:
                connection.executescript(_TABLES)
        except (OSError, sqlite3.Error) as error:
            raise self._failed(error) from None

    def load(self, before_ns: int = 0) -> tuple[dict[str, Known], int]:
        """Return the endpoints that were seen since then, and the packet time until which it is learned (0: unset)."""
        try:
            with self._open() as connection:
                with connection:
                    connection.execute("DELETE FROM endpoints WHERE last_ns < ?", (before_ns,))
                rows = connection.execute("SELECT address, first_ns, last_ns, media, signalling FROM endpoints")
                entries = {str(address): _known(*rest) for address, *rest in rows}
                until = connection.execute("SELECT until_ns FROM learning").fetchone()
        except (sqlite3.Error, TypeError) as error:
            raise self._failed(error) from None
        return entries, int(until[0]) if until else 0

    def save(self, entries: Mapping[str, Known], changed: Iterable[str], learning_ns: int) -> None:
        """Keep what changed."""
        self._write("REPLACE", _rows(entries, changed), learning_ns)

    def add(self, entries: Mapping[str, Known], changed: Iterable[str]) -> None:
        """Keep those of the changed endpoints that are not there yet."""
        self._write("INSERT OR IGNORE", _rows(entries, changed))

    def replace(self, entries: Mapping[str, Known], learning_ns: int) -> None:
        """Keep these endpoints and no other ones."""
        self._write("INSERT", _rows(entries, entries), learning_ns, empty=True)

    def learn(self, until_ns: int) -> None:
        """Learn until a packet time: 0 for anew from the next packet on, 1 for no longer."""
        self._write("INSERT", [], until_ns)

    def _write(self, how: str, rows: list[_Row], learning_ns: int | None = None, *, empty: bool = False) -> None:
        try:
            with self._open() as connection, connection:
                if empty:
                    connection.execute("DELETE FROM endpoints")
                connection.executemany(f"{how} INTO endpoints VALUES (?, ?, ?, ?, ?)", rows)
                if learning_ns is not None:
                    connection.execute("REPLACE INTO learning VALUES (1, ?)", (learning_ns,))
        except sqlite3.Error as error:
            raise self._failed(error) from None

    def _open(self) -> closing[sqlite3.Connection]:
        return closing(sqlite3.connect(self._path, timeout=2.0))

    def _failed(self, error: Exception) -> StateError:
        reason = error.strerror if isinstance(error, OSError) else error
        return StateError(f"{self._path}: {reason}; delete it to learn the baseline anew")


def _rows(entries: Mapping[str, Known], addresses: Iterable[str]) -> list[_Row]:
    known = [(address, entries[address]) for address in addresses if address in entries]
    return [(address, each.first_ns, each.last_ns, each.media, each.signalling) for address, each in known]


def _known(first_ns: int, last_ns: int, media: str | None, signalling: str | None) -> Known:
    if media not in _STATES or signalling not in _STATES or not isinstance(first_ns, int):
        raise TypeError("an entry is not one of ours")
    return Known(first_ns, last_ns, cast("Protection | None", media), cast("Protection | None", signalling))
