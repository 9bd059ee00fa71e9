"""Which segments have what: a hint, by which a question unpacks only the days that may have an answer.

It is in SQLite, not in the ledger, and proves nothing. One that is damaged, or of entries that were others, is made
again; without one every day is read.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from contextlib import closing, contextmanager, suppress
from typing import TYPE_CHECKING, cast

from sensor.ledger import reader
from sensor.ledger.question import traits_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sensor.ledger.layout import Directory, Segment
    from sensor.ledger.question import Question, Trait

FORMAT = 1
PATIENCE_S = 5.0  # for another command that writes it
MODE = 0o700  # of its directory: it says what the ledger does

_TABLES = """
CREATE TABLE segment (number INTEGER PRIMARY KEY, root BLOB, first_ms INTEGER, last_ms INTEGER, entries INTEGER);
CREATE TABLE holds (
    segment INTEGER, what TEXT, name TEXT, entries INTEGER, PRIMARY KEY (what, name, segment)
) WITHOUT ROWID;
"""


class Index:
    """What is known of the sealed segments of one ledger."""

    def __init__(self, path: Path) -> None:
        """``path`` is its file, which is made when somebody asks."""
        self._path = path

    def may_hold(self, place: Directory, segment: Segment, question: Question) -> bool:
        """Say whether a segment may have an answer, the open one always; one that is not known yet is read.

        Raises LedgerError when it has to be read and cannot be.
        """
        for _ in range(2 if segment.sealed else 0):
            try:
                with self._opened() as base:
                    return _ask(base, place, segment, question)
            except sqlite3.OperationalError:  # somebody else writes it, or it cannot be written
                return True
            except sqlite3.DatabaseError:
                with suppress(OSError):
                    self._path.unlink()
        return True

    @contextmanager
    def _opened(self) -> Iterator[sqlite3.Connection]:
        with suppress(OSError):
            self._path.parent.mkdir(mode=MODE, parents=True, exist_ok=True)
        with closing(sqlite3.connect(self._path, timeout=PATIENCE_S)) as base:
            (version,) = base.execute("PRAGMA user_version").fetchone()
            if version == 0:
                base.executescript(f"BEGIN; {_TABLES} PRAGMA user_version = {FORMAT}; COMMIT;")
            elif version != FORMAT:
                raise sqlite3.DatabaseError(f"it is of format {version}")
            yield base


def _ask(base: sqlite3.Connection, place: Directory, segment: Segment, question: Question) -> bool:
    root = reader.note_of(place, segment).root
    query = "SELECT first_ms, last_ms FROM segment WHERE number = ? AND root = ?"
    known = base.execute(query, (segment.number, root)).fetchone() or _learn(base, place, segment, root)
    if known[0] > question.last or known[1] < question.first:
        return False
    query = "SELECT 1 FROM holds WHERE what = ? AND name = ? AND segment = ?"
    return all(base.execute(query, (*trait, segment.number)).fetchone() for trait in question.traits.items())


def _learn(base: sqlite3.Connection, place: Directory, segment: Segment, root: bytes) -> tuple[int, int]:
    holds: Counter[Trait] = Counter()
    times: list[int] = []
    entries = 0
    for _, entry in reader.entries_of(place, segment):
        at = cast("int", entry["at"])
        times = [min([at, *times]), max([at, *times])]
        entries += 1
        holds.update(traits_of(entry))
    first, last = times or (0, 0)
    with base:
        base.execute("DELETE FROM holds WHERE segment = ?", (segment.number,))
        rows = ((segment.number, *trait, count) for trait, count in holds.items())
        base.executemany("INSERT INTO holds VALUES (?, ?, ?, ?)", rows)
        row = (segment.number, root, first, last, entries)
        base.execute("INSERT OR REPLACE INTO segment VALUES (?, ?, ?, ?, ?)", row)
    return first, last
