"""What is open, what was said of it and what waits for sinks, on disk: one SQLite file, changed whole or not at all.

The file is written ahead (WAL) and not synchronised with each change: a process that is killed loses nothing of it, a
power cut what the kernel had not written yet, about the last half minute.
"""

from __future__ import annotations

import json
import os
import sqlite3
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar, cast

from sensor.alerts.notifier import Counted
from sensor.findings import Kept, identity
from sensor.model import SEVERITIES, Finding, Severity, Subject

if TYPE_CHECKING:
    from pathlib import Path

    from sensor.alerts.event import Event

NAME = "findings.db"
PATIENCE_S = 5.0  # with an earlier sensor that has not ended yet
AHEAD_PAGES = 256  # that are written ahead before they are brought home, which takes a synchronised write: a mebibyte
_VERSION = 1
# Of each event that waits, which sinks it waits for. "run" has what is said of all: the packet time of the last change,
# and what findings are called by.
_SCHEMA = f"""
CREATE TABLE IF NOT EXISTS findings (id TEXT PRIMARY KEY, finding TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS told (id TEXT PRIMARY KEY, worst TEXT NOT NULL, open INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS summaries (code TEXT PRIMARY KEY, summary TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS events (number INTEGER PRIMARY KEY, event TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS waiting (number INTEGER, sink TEXT, PRIMARY KEY (number, sink)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS run (only_one INTEGER PRIMARY KEY CHECK (only_one = 1), alive_ns INTEGER, names TEXT);
PRAGMA user_version = {_VERSION};
"""
_PUT_AND_TAKE = {
    "findings": ("REPLACE INTO findings VALUES (?, ?)", "DELETE FROM findings WHERE id = ?"),
    "summaries": ("REPLACE INTO summaries VALUES (?, ?)", "DELETE FROM summaries WHERE code = ?"),
    "told": ("REPLACE INTO told VALUES (?, ?, ?)", "DELETE FROM told WHERE id = ?"),
}
_UNWANTED = "DELETE FROM events WHERE NOT EXISTS (SELECT 1 FROM waiting WHERE waiting.number = events.number)"

_encode = json.JSONEncoder(separators=(",", ":"), check_circular=False).encode
_Result = TypeVar("_Result")
_Statement = tuple[str, Sequence[tuple[object, ...]]]  # and the values of each time that it is executed


class Told(NamedTuple):
    """What sinks were told last of a finding, or of the findings that a summary counts."""

    worst: Severity  # since it was opened
    open: bool  # and not waived


class Written(NamedTuple):
    """An event on disk."""

    number: int
    octets: int
    event: Event


class Stored(NamedTuple):
    """What a sensor left."""

    kept: list[Kept]
    told: dict[str, Told]  # by the id that was said
    summaries: dict[str, Counted]  # by code
    waiting: dict[str, tuple[int, int]]  # events and their octets, by sink
    last_number: int  # of an event
    alive_ns: int  # packet time of the last change
    names: str  # what findings were called by; "": no sensor left anything


EMPTY = Stored([], {}, {}, {}, 0, 0, "")


@dataclass(slots=True)
class Changes:
    """What is written at once. None is for what is over."""

    findings: dict[str, str | None] = field(default_factory=dict)  # as ``encode_finding`` makes them
    told: dict[str, Told | None] = field(default_factory=dict)
    summaries: dict[str, str | None] = field(default_factory=dict)
    events: dict[int, tuple[str, set[str]]] = field(default_factory=dict)  # with the sinks that they wait for
    settled: set[tuple[int, str]] = field(default_factory=set)  # events that a sink waits for no longer
    forgotten: set[str] = field(default_factory=set)  # sinks that there are no longer
    alive_ns: int = 0
    anew: int = 0  # unless 0: nothing that the file has holds any more, and no event up to this number

    def __bool__(self) -> bool:
        return bool(self.alive_ns or self.settled or self.forgotten)

    def settle(self, number: int, sink: str) -> None:
        """Have an event wait for a sink no longer, whether it was written or not."""
        if number not in self.events:
            self.settled.add((number, sink))
            return
        self.events[number][1].discard(sink)
        if not self.events[number][1]:
            del self.events[number]

    def then(self, later: Changes) -> Changes:
        """Return these and later ones as one."""
        before = Changes() if later.anew else self
        both = Changes(
            before.findings | later.findings,
            before.told | later.told,
            before.summaries | later.summaries,
            self.events | later.events,
            set(before.settled),
            before.forgotten | later.forgotten,
            later.alive_ns or self.alive_ns,
            later.anew or self.anew,
        )
        for number, sink in later.settled:
            both.settle(number, sink)
        return both


class InUseError(OSError):
    """Another process has the file."""


class _CorruptError(Exception):
    """The file is not what was written."""


class FindingsFile:
    """The file in a state directory; methods raise OSError when the disk does not give or take it.

    A file that cannot be understood is moved aside (``.corrupt`` is added to its name) and counted in ``resets``.
    """

    def __init__(self, directory: Path, names: str) -> None:
        self.resets = 0
        self._path = directory / NAME
        self._names = names
        self._lock = threading.Lock()
        self._db: sqlite3.Connection | None = None

    def load(self) -> Stored:
        """Return what an earlier sensor left."""
        with self._lock:
            try:
                self._open()
                return self._read()
            except _CorruptError:
                self._begin_again()
                return EMPTY

    def write(self, changes: Changes) -> None:
        """Change the file."""
        with self._lock:
            try:
                self._open()
                self._execute("BEGIN IMMEDIATE")
                for statement, rows in _statements(changes, self._names):
                    if rows:
                        self._execute_each(statement, rows)
                self._execute("COMMIT")
            except _CorruptError:
                self._begin_again()
                raise OSError(f"{self._path}: cannot be understood and was moved aside") from None
            except OSError:
                self._roll_back()
                raise

    def head(self, sink: str, after: int, count: int) -> list[Written]:
        """Return the first events that wait for a sink and have greater numbers, at most ``count``."""
        statement = (
            "SELECT number, event FROM waiting JOIN events USING (number)"
            " WHERE sink = ? AND number > ? ORDER BY number LIMIT ?"
        )
        with self._lock:
            try:
                self._open()
                rows = self._execute(statement, sink, after, count)
                return [Written(cast("int", number), len(cast("str", text)), _event(text)) for number, text in rows]
            except _CorruptError:
                self._begin_again()
                return []

    def close(self) -> None:
        """Let go of the file."""
        with self._lock:
            self._close()

    def _open(self) -> None:
        if self._db is not None:
            return
        # SQLite would make the file with the mode that the umask leaves.
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            os.fchmod(descriptor, 0o600)
        finally:
            os.close(descriptor)
        self._db = sqlite3.connect(self._path, timeout=PATIENCE_S, isolation_level=None, check_same_thread=False)
        try:
            self._execute("PRAGMA locking_mode = EXCLUSIVE")
            self._execute("PRAGMA journal_mode = WAL")
            self._execute("PRAGMA synchronous = NORMAL")
            self._execute(f"PRAGMA wal_autocheckpoint = {AHEAD_PAGES}")
            if not self._version():
                for statement in _SCHEMA.strip().split("\n"):
                    self._execute(statement)
        except BaseException:
            self._close()
            raise

    def _version(self) -> int:
        """Return the version of the file, 0 for a new one, if it is whole and one of ours."""
        (version,) = self._execute("PRAGMA user_version")[0]
        (state,) = self._execute("PRAGMA quick_check(1)")[0]
        if state != "ok" or version not in {0, _VERSION}:
            raise _CorruptError
        return version

    def _read(self) -> Stored:
        kept = [_kept(text) for (text,) in self._execute("SELECT finding FROM findings")]
        told = {cast("str", id_): _told(worst, is_open) for id_, worst, is_open in self._execute("SELECT * FROM told")}
        summaries = {
            cast("str", code): _counted(text) for code, text in self._execute("SELECT code, summary FROM summaries")
        }
        waiting = self._execute(
            "SELECT sink, count(*), sum(length(event)) FROM waiting JOIN events USING (number) GROUP BY sink"
        )
        (last,) = self._execute("SELECT ifnull(max(number), 0) FROM events")[0]
        run = self._execute("SELECT alive_ns, names FROM run")
        alive_ns, names = cast("tuple[int, str]", run[0]) if run else (0, "")
        by_sink = {sink: (count, octets) for sink, count, octets in cast("list[tuple[str, int, int]]", waiting)}
        return Stored(kept, told, summaries, by_sink, cast("int", last), alive_ns, names)

    def _begin_again(self) -> None:
        """Put an empty file in place of one that cannot be used."""
        self._close()
        self.resets += 1
        self._path.replace(self._path.with_name(f"{NAME}.corrupt"))
        self._path.with_name(f"{NAME}-wal").unlink(missing_ok=True)  # it is of the other file
        with suppress(_CorruptError):
            self._open()

    def _roll_back(self) -> None:
        """Undo what was not committed, unless SQLite did so itself; where that fails the file is opened again.

        What is written ahead may have filled the disk: it is brought home.
        """
        try:
            if self._db is not None and self._db.in_transaction:
                self._execute("ROLLBACK")
            if self._db is not None:
                self._execute("PRAGMA wal_checkpoint(TRUNCATE)")
        except (OSError, _CorruptError):
            self._close()

    def _close(self) -> None:
        if self._db is not None:
            with suppress(sqlite3.Error):
                self._db.close()
            self._db = None

    def _execute(self, statement: str, *values: object) -> list[tuple[object, ...]]:
        return self._do(lambda db: db.execute(statement, values).fetchall())

    def _execute_each(self, statement: str, rows: Sequence[tuple[object, ...]]) -> None:
        self._do(lambda db: db.executemany(statement, rows))

    def _do(self, work: Callable[[sqlite3.Connection], _Result]) -> _Result:
        assert self._db is not None  # noqa: S101
        try:
            return work(self._db)
        except sqlite3.OperationalError as error:
            kind = InUseError if error.sqlite_errorcode == sqlite3.SQLITE_BUSY else OSError
            raise kind(f"{self._path}: {error}") from None
        except sqlite3.DatabaseError:
            raise _CorruptError from None


def _statements(changes: Changes, names: str) -> Iterator[_Statement]:
    if changes.anew:
        for table in _PUT_AND_TAKE:
            yield f"DELETE FROM {table}", [()]  # noqa: S608  (a closed list)
        yield "DELETE FROM waiting WHERE number <= ?", [(changes.anew,)]
        yield _UNWANTED, [()]
    yield "INSERT INTO events VALUES (?, ?)", [(number, text) for number, (text, _) in changes.events.items()]
    waits = [(number, sink) for number, (_, sinks) in changes.events.items() for sink in sinks]
    yield "INSERT INTO waiting VALUES (?, ?)", waits
    yield "DELETE FROM waiting WHERE number = ? AND sink = ?", list(changes.settled)
    yield "DELETE FROM waiting WHERE sink = ?", [(sink,) for sink in changes.forgotten]
    yield _UNWANTED, [()] * bool(changes.forgotten)
    yield f"{_UNWANTED} AND number = ?", [(number,) for number in {number for number, _ in changes.settled}]
    rows: dict[str, Mapping[str, tuple[object, ...] | None]] = {
        "findings": {id_: (row,) if row else None for id_, row in changes.findings.items()},
        "summaries": {code: (row,) if row else None for code, row in changes.summaries.items()},
        "told": changes.told,
    }
    for table, (put, take) in _PUT_AND_TAKE.items():
        yield put, [(key, *row) for key, row in rows[table].items() if row is not None]
        yield take, [(key,) for key, row in rows[table].items() if row is None]
    if changes.alive_ns:
        yield "REPLACE INTO run VALUES (1, ?, ?)", [(changes.alive_ns, names)]


def encode_event(event: Event) -> str:
    """Return an event as the file has it, in ASCII."""
    return _encode(event)


def encode_finding(kept: Kept) -> str:
    """Return a finding as the file has it."""
    return _encode((*_values(kept.finding), kept.left_ns, kept.former))


def encode_summary(counted: Counted) -> str:
    """Return a summary as the file has it."""
    return _encode((_values(counted.example), *counted[1:]))


def _values(finding: Finding) -> tuple[object, ...]:
    subject = finding.subject
    return (
        finding.code,
        finding.severity,
        finding.state,
        (subject.kind, subject.a, subject.b, subject.name),
        finding.segments,
        finding.evidence,
        finding.controls,
        finding.first_ns,
        finding.last_ns,
        finding.count,
        finding.waived_by,
        finding.since_ns,
        finding.names,
    )


def _finding(values: list[Any]) -> Finding:
    code, severity, state, of, segments, evidence, controls, first_ns, last_ns, count, waived_by, since_ns, names = (
        values
    )
    subject = Subject(*map(_text, of))
    return Finding(
        _text(code),
        _severity(severity),
        "open" if state == "open" else "waived",
        subject,
        tuple(map(_text, segments)),
        list(map(_text, evidence)) or [""],
        tuple(map(_text, controls)),
        int(first_ns),
        int(last_ns),
        int(count),
        None if waived_by is None else _text(waived_by),
        identity(code, subject),
        int(since_ns),
        dict(names),
    )


def _kept(text: object) -> Kept:
    try:
        *values, left_ns, former = json.loads(_text(text))
        return Kept(_finding(values), int(left_ns), bool(former))
    except (ValueError, TypeError, OverflowError, RecursionError):
        raise _CorruptError from None


def _counted(text: object) -> Counted:
    try:
        example, end_ns, severity, opened, resolved, changed = json.loads(_text(text))
        return Counted(_finding(example), int(end_ns), _severity(severity), int(opened), int(resolved), bool(changed))
    except (ValueError, TypeError, OverflowError, RecursionError):
        raise _CorruptError from None


def _told(worst: object, is_open: object) -> Told:
    try:
        return Told(_severity(worst), bool(is_open))
    except ValueError:
        raise _CorruptError from None


def _event(text: object) -> Event:
    try:
        event = json.loads(_text(text))
    except (ValueError, TypeError, OverflowError, RecursionError):
        raise _CorruptError from None
    if not isinstance(event, dict) or "event" not in event:
        raise _CorruptError
    return cast("Event", event)


def _severity(value: object) -> Severity:
    return SEVERITIES[SEVERITIES.index(cast("Severity", value))]


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value
