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
        """Keep what changed. The sensor reads the file again before it is to heed what was changed there."""
        rows = [
            (known.last_ns, known.media, known.signalling, address, known.first_ns)
            for address in changed
            if (known := entries.get(address)) is not None
        ]
        try:
            with self._open() as connection, connection:
                connection.executemany(
                    "INSERT INTO endpoints (last_ns, media, signalling, address, first_ns) VALUES (?, ?, ?, ?, ?) "
                    "ON CONFLICT (address) DO UPDATE SET last_ns = excluded.last_ns, media = excluded.media, "
                    "signalling = excluded.signalling",
                    rows,
                )
                self._learn(connection, learning_ns)
        except sqlite3.Error as error:
            raise self._failed(error) from None

    def replace(self, entries: Mapping[str, Known], learning_ns: int) -> None:
        """Keep these endpoints and no other ones."""
        try:
            with self._open() as connection, connection:
                connection.execute("DELETE FROM endpoints")
                connection.executemany(
                    "INSERT INTO endpoints VALUES (?, ?, ?, ?, ?)",
                    [
                        (address, known.first_ns, known.last_ns, known.media, known.signalling)
                        for address, known in entries.items()
                    ],
                )
                self._learn(connection, learning_ns)
        except sqlite3.Error as error:
            raise self._failed(error) from None

    def learn(self, until_ns: int) -> None:
        """Learn until a packet time: 0 for anew from the next packet on, 1 for no longer."""
        try:
            with self._open() as connection, connection:
                self._learn(connection, until_ns)
        except sqlite3.Error as error:
            raise self._failed(error) from None

    def _learn(self, connection: sqlite3.Connection, until_ns: int) -> None:
        connection.execute(
            "INSERT INTO learning VALUES (1, ?) ON CONFLICT (only_one) DO UPDATE SET until_ns = excluded.until_ns",
            (until_ns,),
        )

    def _open(self) -> closing[sqlite3.Connection]:
        return closing(sqlite3.connect(self._path, timeout=2.0))

    def _failed(self, error: Exception) -> StateError:
        reason = error.strerror if isinstance(error, OSError) else error
        return StateError(f"{self._path}: {reason}; delete it to learn the baseline anew")


def _known(first_ns: int, last_ns: int, media: str | None, signalling: str | None) -> Known:
    if media not in _STATES or signalling not in _STATES or not isinstance(first_ns, int):
        raise TypeError("an entry is not one of ours")
    return Known(first_ns, last_ns, cast("Protection | None", media), cast("Protection | None", signalling))
