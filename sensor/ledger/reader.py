"""What reads a ledger: while it is written, too."""

from __future__ import annotations

import io
import os
import re
from functools import partial
from typing import TYPE_CHECKING, cast

import zstandard

from sensor.ledger import canonical
from sensor.ledger.layout import NOTE, PACKED, TEXT, Directory, LedgerError, Segment, day_of
from sensor.ledger.note import MAX_OCTETS, Checkpoint, NoteError, split

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path
    from typing import BinaryIO

    from sensor.ledger.entries import Entry

BUFFER = 1 << 20
UNPACKED = 512  # octets at a time: what cannot be unpacked takes no more than this of what is before it along
# What a decoder has to have of a segment: a file that asks for more is none of ours.
MAX_WINDOW = 1 << 27


def segments(directory: Path) -> list[Segment]:
    """Return the segments whose entries are there, by number; LedgerError when the directory cannot be read."""
    try:
        with Directory(directory) as place:
            return [each for each in place.segments() if each.entries]
    except OSError as error:
        raise LedgerError(f"{directory}: {error.strerror}") from None


def entries(
    directory: Path, *, first_ms: int = 0, last_ms: int | None = None, unread: set[int] | None = None
) -> Iterator[tuple[int, Entry]]:
    """Return the entries that were appended in a time, both ends included, each with its number.

    Nothing is verified. Raises LedgerError where an entry cannot be read; with ``unread``, its number goes there.
    """
    first_day = day_of(first_ms)
    last_day = None if last_ms is None else day_of(last_ms)
    try:
        with Directory(directory) as place:
            segments = place.segments()
            for segment in (each for each in segments if each.entries):
                if segment.day < first_day or (last_day is not None and segment.day > last_day):
                    continue
                for number, entry in entries_of(place, segment, segments, unread):
                    at = cast("int", entry["at"])
                    if first_ms <= at and (last_ms is None or at <= last_ms):
                        yield number, entry
    except OSError as error:
        raise LedgerError(f"{directory}: {error.strerror}") from None


def former(directory: Path, before_ms: int, kinds: Iterable[str], unread: set[int] | None = None) -> Iterator[Entry]:
    """Return the entries of some kinds that were appended before a time: what still holds then.

    Lines of other kinds are not even told apart, so that years of them cost little. Raises LedgerError as ``entries``.
    """
    wanted = frozenset(kinds)
    # Quotes inside strings have a backslash before them. Objects inside an entry may have such a name, too.
    mark = re.compile(f'"kind":"(?:{"|".join(sorted(wanted))})"'.encode())
    try:
        with Directory(directory) as place:
            segments = place.segments()
            for segment in (each for each in segments if each.entries and each.day <= day_of(before_ms)):
                for number, line in _marked(place, segment, segments, mark):
                    entry = _decoded(line, number, unread)
                    if entry is not None and entry["kind"] in wanted and cast("int", entry["at"]) < before_ms:
                        yield entry
    except OSError as error:
        raise LedgerError(f"{directory}: {error.strerror}") from None


def _marked(
    place: Directory, segment: Segment, segments: Sequence[Segment], mark: re.Pattern[bytes]
) -> Iterator[tuple[int, bytes]]:
    """Return the lines of a segment that have a mark, each with its number; what has none is only searched."""
    first = number = start_of(place, segment, segments)
    try:
        with opened(place, segment) as file:
            rest = b""
            while block := file.read(BUFFER):
                text = rest + block
                whole = text.rfind(b"\n") + 1
                at = 0
                while found := mark.search(text, at, whole):
                    begin, end = text.rfind(b"\n", at, found.start()) + 1 or at, text.index(b"\n", found.end())
                    number += text.count(b"\n", at, begin)
                    yield number, text[begin:end]
                    at, number = end + 1, number + 1
                number += text.count(b"\n", at, whole)
                rest = text[whole:]
                if len(rest) > canonical.MAX_OCTETS:
                    raise LedgerError(f"{segment.stem} has an entry that is too long")
            if rest and segment.sealed:
                raise LedgerError(f"{segment.stem} ends within an entry")
    except zstandard.ZstdError:
        # What is before the damage in its block is read line by line.
        for other, line in enumerate(lines(place, segment), first):
            if other >= number and mark.search(line):
                yield other, line


def entries_of(
    place: Directory, segment: Segment, segments: Sequence[Segment] = (), unread: set[int] | None = None
) -> Iterator[tuple[int, Entry]]:
    """Return the entries of a segment, each with its number; LedgerError as ``entries``, and OSError.

    ``segments`` are those that are known: who reads years of them lists the directory once.
    """
    for number, line in enumerate(lines(place, segment), start_of(place, segment, segments)):
        entry = _decoded(line, number, unread)
        if entry is not None:
            yield number, entry


def start_of(place: Directory, segment: Segment, segments: Sequence[Segment] = ()) -> int:
    """Return the number of a segment's first entry."""
    before = segment_before(place, segment, segments)
    return 0 if before is None else note_of(place, before).size


def segment_before(place: Directory, segment: Segment, segments: Sequence[Segment] = ()) -> Segment | None:
    """Return the one before a segment, None before the first; LedgerError when its note is missing."""
    if not segment.number:
        return None
    for known in (segments, None):  # what was listed may have been sealed since
        for each in place.segments() if known is None else known:
            if each.number == segment.number - 1 and each.sealed:
                return each
    raise LedgerError(f"{segment.stem}: the note of the segment before it is missing")


def note_of(place: Directory, segment: Segment) -> Checkpoint:
    """Return the checkpoint at the end of a sealed segment, whoever signed it; LedgerError when it is none."""
    try:
        return Checkpoint.parse(split(place.read(segment.file(NOTE), MAX_OCTETS).decode())[0])
    except (NoteError, UnicodeDecodeError) as error:
        raise LedgerError(f"{segment.file(NOTE)} {error}") from None


def lines(place: Directory, segment: Segment) -> Iterator[bytes]:
    """Return the whole lines of a segment without their ends.

    The last one of an open segment, which may be on its way, is left out unless it is whole.
    """
    with opened(place, segment) as file:
        try:
            for line in iter(partial(file.readline, canonical.MAX_OCTETS), b""):
                if line.endswith(b"\n"):
                    yield line[:-1]
                elif len(line) == canonical.MAX_OCTETS:
                    raise LedgerError(f"{segment.stem} has an entry that is too long")
                elif segment.sealed:
                    raise LedgerError(f"{segment.stem} ends within an entry")
        except zstandard.ZstdError as error:
            raise LedgerError(f"{segment.stem} cannot be read: {error}") from None


def opened(place: Directory, segment: Segment) -> BinaryIO:
    """Return the text of a segment, open; reading a compressed one may raise ZstdError."""
    try:
        return os.fdopen(place.open(segment.file(TEXT)), "rb", BUFFER)
    except FileNotFoundError:  # compressed, maybe since the directory was looked at
        return unpacked(place, segment)


def unpacked(place: Directory, segment: Segment) -> BinaryIO:
    """Return the text of a compressed segment, open; reading it may raise ZstdError."""
    packed = os.fdopen(place.open(segment.file(PACKED)), "rb")  # closed with what reads it
    text = zstandard.ZstdDecompressor(max_window_size=MAX_WINDOW).stream_reader(packed, read_across_frames=True)
    return cast("BinaryIO", io.BufferedReader(cast("io.RawIOBase", text), UNPACKED))


def _decoded(line: bytes, number: int, unread: set[int] | None) -> Entry | None:
    try:
        return canonical.decode(line)
    except ValueError as error:
        if unread is not None:
            unread.add(number)
            return None
        raise LedgerError(f"entry {number} cannot be read: {error}") from None
