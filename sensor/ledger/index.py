"""Which segments have what: a hint, by which a question unpacks only the days that may have an answer.

It is in SQLite, not in the ledger, and proves nothing: who writes it can hide entries from a question. One that is
damaged, or of entries that were others, is made again; without one every day is read. A file that is no index is left
alone.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from contextlib import closing, contextmanager, suppress
from typing import TYPE_CHECKING, cast

from sensor.ledger import canonical, reader
from sensor.ledger.layout import LedgerError
from sensor.ledger.merkle import Edge, leaf_hash
from sensor.ledger.question import EVER, traits_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from sensor.ledger.layout import Directory, Segment
    from sensor.ledger.note import Checkpoint
    from sensor.ledger.question import Question, Trait

APPLICATION = 0x4C574958  # "LWIX": what SQLite has for telling whose file one is
FORMAT = 1
PATIENCE_S = 5.0  # for another command that writes it
MODE = 0o700  # of its directory: it says what the ledger does

_MAGIC, _OURS, _HEADER = b"SQLite format 3\0", APPLICATION.to_bytes(4), 72  # https://sqlite.org/fileformat.html, 1.3
_TABLES = """
CREATE TABLE segment (
    number INTEGER PRIMARY KEY, start BLOB, root BLOB, first_ms INTEGER, last_ms INTEGER, entries INTEGER
);
CREATE TABLE holds (
    segment INTEGER, what TEXT, name TEXT, entries INTEGER, PRIMARY KEY (what, name, segment)
) WITHOUT ROWID;
"""


class Index:
    """What is known of the sealed segments of one ledger."""

    def __init__(self, path: Path) -> None:
        """``path`` is its file, which is made when somebody asks."""
        self._path = path

    def may_hold(self, place: Directory, segment: Segment, segments: Sequence[Segment], question: Question) -> bool:
        """Say whether a segment may have an answer, the open one always; one that is not known yet is read.

        ``segments`` are those of the directory. Raises LedgerError when notes cannot be read, or the segment where it
        has to be, or the file is no index.
        """
        for _ in range(2 if segment.sealed else 0):
            if self._is_foreign():
                raise LedgerError(f"{self._path} is no index of a ledger: name another file, or delete it")
            try:
                with self._opened() as base:
                    return _ask(base, place, segment, segments, question)
            except (sqlite3.OperationalError, UnicodeEncodeError):  # locked, not to be written, or text that is none
                return True
            except sqlite3.DatabaseError:
                with suppress(OSError):
                    self._path.unlink()
        return True

    def _is_foreign(self) -> bool:
        """Say whether something is there that was not made here: that is neither written nor taken away."""
        try:
            if self._path.exists() and not self._path.is_file():
                return True
            with self._path.open("rb") as file:
                header = file.read(_HEADER)
        except OSError:
            return False
        return bool(header) and (header[: len(_MAGIC)], header[-len(_OURS) :]) != (_MAGIC, _OURS)

    @contextmanager
    def _opened(self) -> Iterator[sqlite3.Connection]:
        with suppress(OSError):
            self._path.parent.mkdir(mode=MODE, parents=True, exist_ok=True)
        with closing(sqlite3.connect(self._path, timeout=PATIENCE_S)) as base:
            (version,) = base.execute("PRAGMA user_version").fetchone()
            if version == 0:
                marks = f"PRAGMA application_id = {APPLICATION}; PRAGMA user_version = {FORMAT};"
                base.executescript(f"BEGIN; {_TABLES} {marks} COMMIT;")
            elif version != FORMAT:
                raise sqlite3.DatabaseError(f"it is of format {version}")
            yield base


def _ask(
    base: sqlite3.Connection, place: Directory, segment: Segment, segments: Sequence[Segment], question: Question
) -> bool:
    before, end = reader.segment_before(place, segment, segments), reader.note_of(place, segment)
    start = Edge() if before is None else reader.note_of(place, before).tree()
    if start is None:
        return True
    query = """
        SELECT first_ms, last_ms FROM segment WHERE number = ? AND start = ? AND root = ?
        AND typeof(first_ms) = 'integer' AND typeof(last_ms) = 'integer'
    """
    known = base.execute(query, (segment.number, start.root(), end.root)).fetchone()
    known = known or _learn(base, place, segment, start, end)
    if known is None:
        return True
    if known[0] > question.last or known[1] < question.first:
        return False
    query = "SELECT 1 FROM holds WHERE what = ? AND name = ? AND segment = ?"
    return all(base.execute(query, (*trait, segment.number)).fetchone() for trait in question.traits.items())


def _learn(
    base: sqlite3.Connection, place: Directory, segment: Segment, start: Edge, end: Checkpoint
) -> tuple[int, int] | None:
    """Keep what a segment has and return its first and last time, None where its entries are not those of its notes."""
    edge, times = start.copy(), [EVER, 0]
    holds: Counter[Trait] = Counter()
    for line in reader.lines(place, segment):
        edge.append(leaf_hash(line))
        try:
            entry = canonical.decode(line)
        except ValueError:
            return None
        at = min(max(cast("int", entry["at"]), 0), EVER)  # what SQLite can hold
        times = [min(at, times[0]), max(at, times[1])]
        holds.update(traits_of(entry))
    if (edge.size, edge.root()) != (end.size, end.root):
        return None
    with base:
        base.execute("DELETE FROM holds WHERE segment = ?", (segment.number,))
        rows = ((segment.number, *trait, count) for trait, count in holds.items())
        base.executemany("INSERT INTO holds VALUES (?, ?, ?, ?)", rows)
        row = (segment.number, start.root(), end.root, *times, end.size - start.size)
        base.execute("INSERT OR REPLACE INTO segment VALUES (?, ?, ?, ?, ?, ?)", row)
    return times[0], times[1]
