"""Events on disk: first in, first out, bounded, and there again after a restart."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import cast

from sensor.alerts.event import Event
from sensor.alerts.mappings.plain import encode

_PAGE = 4096
_VERSION = 1
_SCHEMA = f"""
CREATE TABLE IF NOT EXISTS events (seq INTEGER PRIMARY KEY AUTOINCREMENT, event TEXT NOT NULL);
PRAGMA user_version = {_VERSION};
"""


class _CorruptError(Exception):
    """The file is not what was written."""


class Spool:
    """A bounded queue of events in an SQLite file that nobody else may read.

    A file that cannot be understood is moved aside (``.corrupt`` is added to its name) and counted in ``resets``; what
    was known to be in it is counted in ``lost``. A full disk is a full spool. Used by one thread at a time.
    """

    def __init__(self, path: Path, max_octets: int) -> None:
        self.resets = 0
        self.lost = 0
        self._path = path
        self._pages = max(max_octets // _PAGE, 8)
        self._count = 0
        self._after = 0  # the last one that was taken away, whether the disk could be told or not
        self._seen: list[int] = []  # what ``head`` returned
        self._db: sqlite3.Connection | None = None
        try:
            self._open()
        except _CorruptError:
            self._move_aside()
            self._open()

    def __len__(self) -> int:
        """Return how many events are in it."""
        return self._count

    def append(self, events: Sequence[Event]) -> int:
        """Store events at the end; return how many found room, the first ones."""
        if self._db is None:
            return 0
        rows = [(encode(event),) for event in events]
        try:
            stored = self._insert(rows) or next((n for n, row in enumerate(rows) if not self._insert([row])), len(rows))
        except _CorruptError:
            self._begin_again()
            return 0
        self._count += stored
        return stored

    def head(self, count: int) -> list[Event]:
        """Return the first events, at most ``count``; OSError when the disk does not give them."""
        if self._db is None:
            return []
        try:
            self._roll_back()
            rows = self._execute("SELECT seq, event FROM events WHERE seq > ? ORDER BY seq LIMIT ?", self._after, count)
            events = [_event(text) for _, text in rows]
        except _CorruptError:
            self._begin_again()
            return []
        self._seen = [cast("int", seq) for seq, _ in rows]
        return events

    def remove(self, count: int) -> None:
        """Take away the first events that ``head`` returned; a disk that fails may bring them back after a restart."""
        if self._db is None or not count:
            return
        self._after = self._seen[count - 1]
        del self._seen[:count]
        self._count -= count
        try:
            self._roll_back()
            self._execute("DELETE FROM events WHERE seq <= ?", self._after)
        except OSError:
            return  # the next one takes these away, too
        except _CorruptError:
            self._begin_again()

    def close(self) -> None:
        """Let go of the file."""
        if self._db is not None:
            self._db.close()
            self._db = None

    def _open(self) -> None:
        # SQLite would make the file with the mode that the umask leaves.
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            os.fchmod(descriptor, 0o600)
        finally:
            os.close(descriptor)
        self._db = sqlite3.connect(self._path, timeout=1.0, isolation_level=None, check_same_thread=False)
        try:
            self._execute("PRAGMA locking_mode = EXCLUSIVE")
            self._execute(f"PRAGMA page_size = {_PAGE}")
            self._execute("PRAGMA journal_mode = TRUNCATE")
            self._execute(f"PRAGMA max_page_count = {self._pages}")
            self._check()
            for statement in _SCHEMA.strip().split("\n"):
                self._execute(statement)
            (self._count,) = cast("tuple[int]", self._execute("SELECT count(*) FROM events")[0])
        except BaseException:
            self.close()
            raise

    def _check(self) -> None:
        (version,) = self._execute("PRAGMA user_version")[0]
        (state,) = self._execute("PRAGMA quick_check(1)")[0]
        if state != "ok" or version not in {0, _VERSION}:
            raise _CorruptError

    def _begin_again(self) -> None:
        """Put an empty file in place of one that cannot be used; without a disk the spool has no room from now on."""
        try:
            self._move_aside()
            self._open()
        except (OSError, _CorruptError):
            self.close()

    def _move_aside(self) -> None:
        self.close()
        self.resets += 1
        self.lost += self._count
        self._count = self._after = 0
        self._seen = []
        self._path.replace(self._path.with_name(f"{self._path.name}.corrupt"))
        self._path.with_name(f"{self._path.name}-journal").unlink(missing_ok=True)

    def _insert(self, rows: list[tuple[str]]) -> int:
        """Insert all rows or, where they find no room, none."""
        assert self._db is not None  # noqa: S101
        try:
            self._roll_back()
            self._execute("BEGIN IMMEDIATE")
            self._db.executemany("INSERT INTO events (event) VALUES (?)", rows)
            self._execute("COMMIT")
        except (OSError, sqlite3.OperationalError):
            with suppress(OSError):  # it is tried again before anything else is done
                self._roll_back()
            return 0
        except sqlite3.DatabaseError:
            raise _CorruptError from None
        return len(rows)

    def _roll_back(self) -> None:
        """Undo what was not committed, unless SQLite did so itself."""
        if self._db is not None and self._db.in_transaction:
            self._execute("ROLLBACK")

    def _execute(self, statement: str, *values: object) -> list[tuple[object, ...]]:
        assert self._db is not None  # noqa: S101
        try:
            return self._db.execute(statement, values).fetchall()
        except sqlite3.OperationalError as error:
            raise OSError(f"{self._path}: {error}") from None
        except sqlite3.DatabaseError:
            raise _CorruptError from None


def _event(text: object) -> Event:
    try:
        event = json.loads(cast("str", text))
    except (ValueError, TypeError):
        raise _CorruptError from None
    if not isinstance(event, dict) or "event" not in event:
        raise _CorruptError
    return cast("Event", event)
