"""How long segments are kept, and how long the disk will take them: nothing goes before its time, or unsaid."""

from __future__ import annotations

import math
import os
from typing import TYPE_CHECKING, NamedTuple, cast

from sensor.ledger import canonical, reader
from sensor.ledger.keys import to_base64
from sensor.ledger.layout import (
    DAY_MS,
    NOTE,
    PACKED,
    STAMP,
    SUMS,
    TEXT,
    Directory,
    LedgerError,
    Segment,
    day_of,
    span_of,
)
from sensor.ledger.merkle import Edge, leaf_hash

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from sensor.ledger.entries import Entry
    from sensor.ledger.writer import Writer

_CLOCK = b'"kind":"clock"'
GROWTH_DAYS = 7  # whose segments tell how much a day takes


class Budget(NamedTuple):
    """What a ledger takes of the disk."""

    octets: int  # that it has
    room: int  # octets that it may have besides: by what it was given, and by what the disk has free
    a_day: int  # octets that a day adds, by the last days that there were entries; 0: not known yet
    full_in_days: int | None  # None: not before the oldest segments go


class Retention:
    """Deletes the segments of a writer's ledger that were kept for so many days."""

    def __init__(self, writer: Writer, keep_days: int) -> None:
        self._writer = writer
        self._keep_ms = keep_days * DAY_MS
        self._why = f"kept for {keep_days} days"
        self._said: set[str] = set()  # segments of which there is an entry that they go: they cannot go always
        self._doubtful: dict[str, bool] = {}  # segments that may be of any day

    def expire(self, now_ms: int) -> int:
        """Delete what is over; return how many segments that were.

        That a segment goes is an entry, and signed, before it does. Notes go but for the newest: hashing begins behind
        it. OSError when the disk does not do it, LedgerError when a segment is not what its name and its note say:
        nobody is to have something else taken away, and that signed.
        """
        with Directory(self._writer.directory) as place:
            segments = place.segments()
            kept = [each for each in segments if each.entries]
            over = self._over(place, kept, now_ms)
            if new := [each for each in over if each.stem not in self._said]:
                self._writer.append([_deletion(place, each, self._why) for each in new], now_ms)
                self._writer.commit()
                self._said.update(each.stem for each in new)
            gone = [each for each in segments if each in over or (kept and each.number < kept[0].number)]
            _remove(place, gone)
        return len(over)

    def _over(self, place: Directory, kept: Sequence[Segment], now_ms: int) -> list[Segment]:
        """Return the segments that were kept so long, the oldest first.

        One that was written while nobody kept the clock is as old as the next one that was not.
        """
        over: list[Segment] = []
        waiting: list[Segment] = []
        for segment in kept:
            if not segment.sealed or not 0 < span_of(segment.day)[1] + self._keep_ms <= now_ms:
                break
            waiting.append(segment)
            if not self._is_doubtful(place, segment):
                over += waiting
                waiting = []
        return over

    def _is_doubtful(self, place: Directory, segment: Segment) -> bool:
        if segment.stem not in self._doubtful:
            self._doubtful[segment.stem] = not _clock_was_kept(place, segment)
        return self._doubtful[segment.stem]


def _clock_was_kept(place: Directory, segment: Segment) -> bool:
    """Say whether nothing in a segment tells of a clock that nobody kept.

    LedgerError when its entries are not those of its note, or not of its day. Who signed the note is not looked at: to
    a verifier, one that the ledger's key did not sign is a fault for good. No more is read than the note is of.
    """
    noted, before = reader.note_of(place, segment), reader.segment_before(place, segment)
    edge = Edge() if before is None else reader.note_of(place, before).tree()
    unfit = LedgerError(f"{segment.stem} is not what its name and its note say")
    if edge is None:
        raise unfit
    kept, last = True, b""
    try:
        for last in reader.lines(place, segment):
            if edge.size >= noted.size:
                raise unfit
            edge.append(leaf_hash(last))
            if _CLOCK in last:
                kept = kept and canonical.decode(last).get("synchronised") is not False
        day = day_of(cast("int", canonical.decode(last)["at"]))
    except (ValueError, OverflowError):  # no entry, or no time that has a day
        raise unfit from None
    if (edge.size, edge.root(), day) != (noted.size, noted.root, segment.day):
        raise unfit
    return kept


def _deletion(place: Directory, segment: Segment, why: str) -> Entry:
    noted = reader.note_of(place, segment)
    return {
        "kind": "deleted",
        "segment": segment.stem,
        "first": reader.start_of(place, segment),
        "size": noted.size,
        "root": to_base64(noted.root),
        "why": why,
    }


def _remove(place: Directory, segments: list[Segment]) -> None:
    """Delete what there is of segments, the newest of which keeps its note.

    A note goes when the segment behind it has gone: until then hashing begins behind it.
    """
    for segment in segments:
        for part in (PACKED, TEXT, SUMS):
            place.remove(segment.file(part))
    if segments:
        place.sync()
    for segment in segments[:-1]:
        for part in (STAMP, NOTE):
            place.remove(segment.file(part))


def budget(directory: Path, keep_days: int, max_octets: int | None) -> Budget:
    """Return what a ledger takes now, and when that is too much; OSError when it cannot be looked at."""
    with Directory(directory) as place:
        disk = os.fstatvfs(place.fd)
        sizes: dict[str, int] = {}
        growing = ""
        for segment in place.segments():
            octets = sum(place.size(segment.file(part)) for part in segment.parts)
            sizes[segment.day] = sizes.get(segment.day, 0) + octets
            growing = segment.day if not segment.sealed or PACKED not in segment.parts else growing
    octets = sum(sizes.values())
    room = disk.f_bavail * disk.f_frsize
    if max_octets is not None:
        room = min(room, max(max_octets - octets, 0))
    days = [size for day, size in sizes.items() if day != growing][-GROWTH_DAYS:]
    a_day = math.ceil(sum(days) / len(days)) if days else 0
    if a_day * keep_days - octets <= room:
        return Budget(octets, room, a_day, None)
    return Budget(octets, room, a_day, room // a_day)
