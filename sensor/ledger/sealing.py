"""Sealed segments are compressed beside the writer: their text stays until what replaces it is on disk."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import zstandard

from sensor.ledger.layout import ASIDE, PACKED, TEXT, Directory

if TYPE_CHECKING:
    from pathlib import Path

    from sensor.ledger.layout import Segment

LEVEL = 9  # 19 takes thirty times as long for a sixth less


def compress_sealed(path: Path) -> None:
    """Compress each sealed segment of a ledger that is not yet; OSError when the disk does not take it."""
    with Directory(path) as place:
        for segment in place.segments():
            if segment.sealed and TEXT in segment.parts:
                if PACKED not in segment.parts:  # else somebody was stopped before the text went
                    _compress(place, segment)
                place.remove(segment.file(TEXT))
                place.sync()


def _compress(place: Directory, segment: Segment) -> None:
    name = segment.file(PACKED)
    compressor = zstandard.ZstdCompressor(level=LEVEL, write_checksum=True, write_content_size=True)
    with (
        os.fdopen(place.open(segment.file(TEXT)), "rb") as text,
        os.fdopen(place.open(name + ASIDE, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), "wb") as packed,
    ):
        compressor.copy_stream(text, packed, size=os.fstat(text.fileno()).st_size)
        packed.flush()
        os.fsync(packed.fileno())
    place.move(name)
