"""What a ledger is asked for, and the entries that answer it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, cast

from sensor.ledger import reader
from sensor.ledger.layout import Directory, LedgerError, span_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from sensor.ledger.entries import Entry, Value
    from sensor.ledger.index import Index

Trait = tuple[str, str]  # what it is, and which one

EVER = 253_402_300_799_999  # the end of the last year that a date can have, in milliseconds since 1970
_SEEN = {"leg": ("observed",), "call": ("observed",), "endpoint": ("media", "signalling")}
_ENDS = ("a", "b", "address")


class Question(NamedTuple):
    """A time, both ends included in milliseconds since 1970, and what entries have to have."""

    first: int = 0
    last: int = EVER
    traits: Mapping[str, str] = {}  # kind, code, severity, verdict, segment, endpoint

    def is_of(self, entry: Entry) -> bool:
        """Say whether an entry answers it."""
        within = self.first <= cast("int", entry["at"]) <= self.last
        return within and (not self.traits or self.traits.items() <= traits_of(entry))


def answers(directory: Path, question: Question, index: Index | None = None) -> Iterator[tuple[int, Entry]]:
    """Return the entries that answer a question, each with its number.

    Nothing is verified. Raises LedgerError where an entry cannot be read.
    """
    try:
        with Directory(directory) as place:
            segments = place.segments()
            for segment in (each for each in segments if each.entries):
                begin, end = span_of(segment.day)
                if question.last < begin or end <= question.first:
                    continue
                if index is None or index.may_hold(place, segment, segments, question):
                    yield from (
                        found for found in reader.entries_of(place, segment, segments) if question.is_of(found[1])
                    )
    except OSError as error:
        raise LedgerError(f"{directory}: {error.strerror}") from None


def traits_of(entry: Entry) -> set[Trait]:
    """Return what an entry can be found by."""
    return {(what, name) for what, name in _traits(entry) if type(name) is str and name}


def _traits(entry: Entry) -> Iterator[tuple[str, Value]]:
    for what in ("kind", "code", "severity"):
        yield what, entry.get(what)
    for name in _SEEN.get(str(entry.get("kind")), ()):
        yield "verdict", entry.get(name)
    for each in _listed(entry.get("segments")):
        yield "segment", each.get("name") if isinstance(each, dict) else each
    subject = entry.get("subject")
    for ends in (entry, subject if isinstance(subject, dict) else {}):
        for name in _ENDS:
            yield "endpoint", ends.get(name)


def _listed(value: Value) -> list[Value]:
    return value if isinstance(value, list) else []
