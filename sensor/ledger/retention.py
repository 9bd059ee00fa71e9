"""How long segments are kept, and how long the disk will take them: nothing goes before its time, or unsaid."""

from __future__ import annotations

import math
import os
from typing import TYPE_CHECKING, NamedTuple

from sensor.ledger import reader
from sensor.ledger.keys import to_base64
from sensor.ledger.layout import DAY_MS, NOTE, PACKED, STAMP, SUMS, TEXT, Directory, Segment, span_of

if TYPE_CHECKING:
    from pathlib import Path

    from sensor.ledger.entries import Entry
    from sensor.ledger.writer import Writer

GROWTH_DAYS = 7  # whose segments tell how much a day takes


class Budget(NamedTuple):
    """What a ledger takes of the disk."""

    octets: int  # that it has
    room: int  # octets that it may have besides: by what it was given, and by what the disk has free
    a_day: int  # octets that a day adds, by the last days that there were entries; 0: not known yet
    full_in_days: int | None  # None: not before the oldest segments go


def expire(writer: Writer, keep_days: int, now_ms: int, said: set[str]) -> int:
    """Delete the segments that were to be kept so long; return how many went.

    That a segment goes is an entry, and signed, before it does: once for those that are ``said``, which cannot be
    deleted always. Notes go but for the newest: hashing begins behind it. OSError when the disk does not do it.
    """
    with Directory(writer.directory) as place:
        segments = place.segments()
        kept = [each for each in segments if each.entries]
        over = []
        for segment in kept:
            if not segment.sealed or not 0 < span_of(segment.day)[1] + keep_days * DAY_MS <= now_ms:
                break
            over.append(segment)
        if new := [segment for segment in over if segment.stem not in said]:
            writer.append([_deletion(place, segment, f"kept for {keep_days} days") for segment in new], now_ms)
            writer.commit()
            said.update(segment.stem for segment in new)
        gone = [each for each in segments if each in over or (kept and each.number < kept[0].number)]
        _remove(place, gone)
    return len(over)


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
