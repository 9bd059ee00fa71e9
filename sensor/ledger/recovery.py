"""What an earlier writer left: brought to the last whole entry, and held against what it had signed.

Only what came after the last checkpoint may be torn, as nothing else had to be on disk when the power went. Anything
else that does not fit was done to the ledger, and a writer that went on would sign it.
"""

from __future__ import annotations

import io
import itertools
import os
from functools import partial
from typing import TYPE_CHECKING, NamedTuple, cast

from sensor.ledger import canonical, reader
from sensor.ledger.keys import from_base64, rotation
from sensor.ledger.layout import (
    ASIDE,
    CHECKPOINT,
    NOTE,
    SUM_OCTETS,
    SUMS,
    TEXT,
    Directory,
    LedgerError,
    span_of,
    write_all,
)
from sensor.ledger.merkle import Edge, leaf_hash
from sensor.ledger.note import MAX_OCTETS, Checkpoint, NoteError, split, verified

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sensor.ledger.entries import Entry
    from sensor.ledger.keys import VerifierKey
    from sensor.ledger.layout import Segment

REFUSED = "nothing is written on top of it"
AT_RISK_MS = 10_000  # between the first and the last entry that may be unsigned: a sensor signs each second
AHEAD_MS = 300_000  # that the clock may have been set back by when the sensor ended


class Recovered(NamedTuple):
    """What a start found to be mended."""

    cut: int  # octets behind the last whole entry
    unsigned: int  # entries that are whole, and had no checkpoint yet


class Left(NamedTuple):
    """The ledger as it goes on."""

    checkpoint: Checkpoint
    signer: VerifierKey  # of the next checkpoint, unless the key changes
    edge: Edge
    segment: Segment | None  # that is open
    last_number: int  # of a segment
    at: int  # the next entry's time is this at least
    recovered: Recovered


def origin_of(place: Directory) -> str | None:
    """Return the name of the ledger in a directory, None where none has begun; LedgerError when it cannot be told."""
    try:
        note = place.read(CHECKPOINT, MAX_OCTETS).decode()
        return Checkpoint.parse(split(note)[0]).origin
    except FileNotFoundError:
        return None
    except (NoteError, UnicodeDecodeError) as error:
        raise LedgerError(f"{place.path / CHECKPOINT} {error}: {REFUSED}") from None


def clear(place: Directory) -> int:
    """Take away a ledger that had not begun: without a checkpoint it has its first entry at most.

    Returns how many octets that were; raises LedgerError when there is more.
    """
    segments, octets = place.segments(), 0
    for segment in segments:
        text = place.read(segment.file(TEXT)) if TEXT in segment.parts else b""
        if segment.number or segment.sealed or len(segments) > 1 or text.count(b"\n") > 1:
            raise LedgerError(f"{place.path} has entries and no checkpoint: {REFUSED}")
        octets += len(text)
        for part in segment.parts:
            place.remove(segment.file(part))
    _clear_aside(place)
    place.sync()
    return octets


def recover(place: Directory, keys: Sequence[VerifierKey], now_ms: int, *, unsigned: bool) -> Left:
    """Return a ledger that has a checkpoint, mended; LedgerError when it is not what was signed.

    Args:
        place: its directory.
        keys: whoever may have signed the checkpoint.
        now_ms: the time now.
        unsigned: whether whole entries behind the checkpoint stay.
    """
    checkpoint, signer = _checkpoint(place, keys)
    segments = place.segments()
    _clear_aside(place)
    last = segments[-1] if segments else None
    for before, after in itertools.pairwise(segments):
        if after.number != before.number + 1 or not before.sealed:
            raise LedgerError(f"{place.path}: {before.stem} is not followed by {after.stem}: {REFUSED}")
    if last is None:
        raise LedgerError(f"{place.path} has a checkpoint and no entries: {REFUSED}")
    if last.sealed:
        return _between_segments(place, last, checkpoint, signer)
    return _within_segment(place, last, checkpoint, signer, keys, now_ms if unsigned else None)


def _checkpoint(place: Directory, keys: Sequence[VerifierKey]) -> tuple[Checkpoint, VerifierKey]:
    try:
        text, signer = verified(place.read(CHECKPOINT, MAX_OCTETS).decode(), keys)
        return Checkpoint.parse(text), signer
    except (NoteError, UnicodeDecodeError) as error:
        raise LedgerError(f"{place.path / CHECKPOINT} {error}: {REFUSED}") from None


def _between_segments(place: Directory, last: Segment, checkpoint: Checkpoint, signer: VerifierKey) -> Left:
    """Return a ledger whose last segment is sealed."""
    noted = reader.note_of(place, last)
    edge = _edge(place, noted, last)
    if (checkpoint.size, checkpoint.root) != (noted.size, noted.root):
        raise LedgerError(f"{place.path}: {last.file(NOTE)} is not what the checkpoint says: {REFUSED}")
    return Left(checkpoint, signer, edge, None, last.number, _last_at(place, last), Recovered(0, 0))


def _within_segment(
    place: Directory,
    segment: Segment,
    checkpoint: Checkpoint,
    signer: VerifierKey,
    keys: Sequence[VerifierKey],
    now_ms: int | None,
) -> Left:
    """Return a ledger whose last segment is open; whole entries that are not signed stay where ``now_ms`` is given."""
    before = reader.segment_before(place, segment)
    edge = Edge() if before is None else _edge(place, reader.note_of(place, before), before)
    start, octets, sums, root, last = edge.size, 0, bytearray(), edge.root(), b""
    tail = _Tail(segment, now_ms)
    with reader.opened(place, segment) if TEXT in segment.parts else io.BytesIO() as file:
        for text in iter(partial(file.readline, canonical.MAX_OCTETS), b""):
            line = text[:-1]
            if not text.endswith(b"\n"):
                break
            if edge.size >= checkpoint.size and not tail.may_have(line, last):
                break
            if edge.size >= checkpoint.size:
                signer = _signer_behind(canonical.decode(line), edge.size, signer, keys)
            leaf = leaf_hash(line)
            edge.append(leaf)
            sums += leaf[:SUM_OCTETS]
            octets += len(text)
            last = line
            if edge.size == checkpoint.size:
                root = edge.root()
    if edge.size < checkpoint.size or root != checkpoint.root:
        what = "has fewer entries than" if edge.size < checkpoint.size else "is not what"
        raise LedgerError(f"{place.path}: {segment.file(TEXT)} {what} the checkpoint says: {REFUSED}")
    cut = _cut(place, segment, octets, bytes(sums))
    at = _floor(last) if last else 0 if before is None else _last_at(place, before)
    recovered = Recovered(cut, edge.size - checkpoint.size)
    if edge.size == start:
        return Left(checkpoint, signer, edge, None, segment.number - 1, at, recovered)
    return Left(checkpoint, signer, edge, segment, segment.number, at, recovered)


class _Tail:
    """The entries behind the checkpoint of an open segment: what a sensor that ended at once may have left."""

    def __init__(self, segment: Segment, now_ms: int | None) -> None:
        self._day = span_of(segment.day)
        self._now_ms = now_ms  # None: there are none
        self._first: int | None = None

    def may_have(self, line: bytes, before: bytes) -> bool:
        """Say whether a line is such an entry, ``before`` being the one before it in the segment."""
        if self._now_ms is None or not canonical.is_canonical(line):
            return False
        entry = canonical.decode(line)
        if entry["kind"] == "deleted":  # is signed before another thing is done: nobody else's word is
            return False
        at = cast("int", entry["at"])
        floor, latest = _floor(before) if before else 0, min(self._day[1] - 1, self._now_ms + AHEAD_MS)
        if not max(floor, self._day[0]) <= at <= latest:
            return False
        self._first = at if self._first is None else self._first
        if at - self._first > AT_RISK_MS:
            raise LedgerError(f"entries of more than {AT_RISK_MS // 1000} s are behind the checkpoint: {REFUSED}")
        return True


def _signer_behind(entry: Entry, number: int, signer: VerifierKey, keys: Sequence[VerifierKey]) -> VerifierKey:
    """Return who signs what has an entry, which no checkpoint has yet."""
    if entry["kind"] != "key":
        return signer
    old, new = str(signer), entry.get("new")
    signature = from_base64(str(entry.get("signature")))
    found = [key for key in keys if str(key) == new]
    if not found or not signature or not signer.verify(rotation(signer.name, number, old, str(new)), signature):
        raise LedgerError(f"entry {number} is a change of the key that the key before it did not sign: {REFUSED}")
    return found[0]


def _edge(place: Directory, noted: Checkpoint, segment: Segment) -> Edge:
    edge = noted.tree()
    if edge is None:
        raise LedgerError(f"{place.path}: {segment.file(NOTE)} has no edge: {REFUSED}")
    return edge


def _cut(place: Directory, segment: Segment, octets: int, sums: bytes) -> int:
    """Bring a segment to a length and its sums to what they are; return how much that took away.

    One that has nothing left goes, as the day in its name is that of its first entry.
    """
    if not octets:
        size = place.size(segment.file(TEXT)) if TEXT in segment.parts else 0
        place.remove(segment.file(SUMS))
        place.remove(segment.file(TEXT))
        place.sync()
        return size
    fd = place.open(segment.file(TEXT), os.O_WRONLY)
    try:
        if cut := os.fstat(fd).st_size - octets:
            os.ftruncate(fd, octets)
    finally:
        os.close(fd)
    if SUMS not in segment.parts or place.read(segment.file(SUMS)) != sums:
        fd = place.open(segment.file(SUMS), os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        try:
            write_all(fd, sums)
        finally:
            os.close(fd)
    return cut


def _last_at(place: Directory, segment: Segment) -> int:
    last = b""
    for line in reader.lines(place, segment):
        last = line
    return _floor(last)


def _floor(last: bytes) -> int:
    """Return what the time of the entry behind one is at least: docs/LEDGER.md, Entries."""
    try:
        entry = canonical.decode(last)
    except ValueError as error:
        raise LedgerError(f"the last entry cannot be read, {error}: {REFUSED}") from None
    back = entry.get("back")
    return cast("int", entry["at"]) - (back if entry["kind"] == "clock" and isinstance(back, int) else 0)


def _clear_aside(place: Directory) -> None:
    for name in place.names():
        if name.endswith(ASIDE):
            place.remove(name)
