"""``legwatch ledger query`` and ``export``: entries of a ledger, for people and for programs."""

from __future__ import annotations

import csv
import json
import os
import sys
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, cast

from sensor.commands import OperatorError
from sensor.commands.asked import directory_of, moment_of
from sensor.commands.ledger import note_of
from sensor.ledger.index import Index
from sensor.ledger.layout import CHECKPOINT, LedgerError
from sensor.ledger.note import Checkpoint, split
from sensor.ledger.question import EVER, Question, answers
from sensor.output.signs import printable
from sensor.report.csv import safe
from sensor.report.words import moment

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Callable, Iterable, Iterator

    from sensor.ledger.entries import Entry, Value

_TRAITS = ("kind", "code", "verdict", "segment", "endpoint")
_BEFORE = ("n", "signed", "at", "kind")  # columns that every entry has


def execute(args: Namespace) -> int:
    """Print what answers the question."""
    traits = {name: value for name in _TRAITS if (value := getattr(args, name, None)) is not None}
    first = 0 if args.first is None else moment_of(args.first)[0]
    last = EVER if args.last is None else moment_of(args.last)[1]
    if first > last:
        raise OperatorError(f"the time ends before it begins: {args.first} to {args.last}")
    if args.action == "export" and args.format == "csv" and args.kind is None:
        raise OperatorError("export --format csv: is of one kind: name it by --kind")
    directory = directory_of(args)
    question = Question(first, last, traits)
    index = _index(args, directory) if args.action == "query" else None

    size = _size(directory)

    def found() -> Iterator[Entry]:
        for number, entry in islice(answers(directory, question, index), getattr(args, "limit", None)):
            ours: Entry = {"n": number, "signed": number < size}
            yield ours | entry | ours  # whatever names the entry has

    try:
        _FORMS[args.format](found)
    except LedgerError as error:
        raise OperatorError(str(error)) from None
    return 0


def _size(directory: Path) -> int:
    """Return how many entries the checkpoint is of, 0 where there is none: anybody can have written what is behind."""
    path = directory / CHECKPOINT
    return Checkpoint.parse(split(note_of(path))[0]).size if path.exists() else 0


def _index(args: Namespace, directory: Path) -> Index:
    """Return the index that is asked for, or that of the ledger's name."""
    if args.index:
        path = Path(args.index)
        if path.resolve().parent == directory.resolve():
            raise OperatorError(f"--index {args.index}: the ledger's directory is for the ledger only")
        return Index(path)
    origin = note_of(directory / CHECKPOINT).partition("\n")[0]
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    name = "".join(each if each.isalnum() or each in "-_" else "_" for each in origin)
    return Index(cache / "legwatch" / f"{name}.sqlite")


def _table(found: Callable[[], Iterator[Entry]]) -> None:
    for entry in found():
        rest = " ".join(f"{name}={text}" for name, text in _flat(entry).items() if text and name not in _BEFORE)
        at, kind = moment(cast("int", entry["at"])), str(entry["kind"])
        mark = "" if entry["signed"] else "NOT SIGNED  "
        print(f"{entry['n']:>9}  {at}  {printable(kind):11}  {mark}{printable(rest)}")  # noqa: T201


def _lines(found: Callable[[], Iterator[Entry]]) -> None:
    for entry in found():
        print(json.dumps(entry, separators=(",", ":")))  # noqa: T201


def _csv(found: Callable[[], Iterator[Entry]]) -> None:
    """Print a column for each name that any of the entries has: they are read twice."""
    names = dict.fromkeys(_BEFORE)
    for entry in found():
        names |= dict.fromkeys(_flat(entry))
    writer = csv.writer(sys.stdout, lineterminator="\r\n")  # RFC 4180
    writer.writerow([safe(name) for name in names])
    for entry in found():
        cells = _flat(entry)
        writer.writerow([cells.get(name, "") for name in names])


def _flat(entry: Entry) -> dict[str, str]:
    """Return an entry's values as cells, those of an object inside it by both names."""
    return {name: _cell(name, value) for name, value in _values("", entry)}


def _values(before: str, inner: Entry) -> Iterator[tuple[str, Value]]:
    for name, value in inner.items():
        if isinstance(value, dict):
            yield from _values(f"{before}{name}.", value)
        else:
            yield before + name, value


def _cell(name: str, value: Value) -> str:
    if value is None:
        return ""
    if name == "at":
        return moment(cast("int", value))
    if isinstance(value, list):
        return safe("; ".join(_words(value)))
    return safe(value) if isinstance(value, str) else json.dumps(value)


def _words(values: Iterable[Value]) -> Iterator[str]:
    for value in values:
        yield value if isinstance(value, str) else json.dumps(value, separators=(",", ":"), ensure_ascii=False)


_FORMS: dict[str, Callable[[Callable[[], Iterator[Entry]]], None]] = {"table": _table, "json": _lines, "csv": _csv}
