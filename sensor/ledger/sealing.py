"""Sealed segments are compressed beside the writer: their text stays until what replaces it is on disk."""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING

import zstandard

from sensor.ledger.layout import ASIDE, PACKED, TEXT, Directory, LedgerError
from sensor.ledger.reader import BUFFER, unpacked

if TYPE_CHECKING:
    from pathlib import Path

    from sensor.ledger.layout import Segment

LEVEL = 9  # 19 takes thirty times as long for a sixth less
# Behind the frame comes one that decoders skip (RFC 8878 section 3.1.2), with the SHA-256 of the first: a changed bit
# may unpack to the same text, and is not to go unnoticed.
SKIPPED = bytes.fromhex("502a4d18") + (32).to_bytes(4, "little")
DIGEST_OCTETS = len(SKIPPED) + 32


def compress_sealed(path: Path) -> None:
    """Compress each sealed segment of a ledger that is not yet; OSError when the disk does not take it.

    LedgerError at the end when a compressed file does not hold the text beside it: one of the two was changed, and a
    verifier tells which, so both stay.
    """
    other = ""
    with Directory(path) as place:
        for segment in place.segments():
            if not segment.sealed or TEXT not in segment.parts:
                continue
            if PACKED not in segment.parts:  # else somebody was stopped before the text went
                _compress(place, segment)
            elif not _holds_text(place, segment):
                other = segment.file(PACKED)
                continue
            place.remove(segment.file(TEXT))
            place.sync()
    if other:
        raise LedgerError(f"{other} does not hold the text beside it")


def is_whole(place: Directory, segment: Segment) -> bool:
    """Say whether the file of a compressed segment is what was made; OSError when it cannot be read."""
    with os.fdopen(place.open(segment.file(PACKED)), "rb") as packed:
        left = max(os.fstat(packed.fileno()).st_size - DIGEST_OCTETS, 0)
        digest = hashlib.sha256()
        while left and (octets := packed.read(min(left, BUFFER))):
            digest.update(octets)
            left -= len(octets)
        return packed.read() == SKIPPED + digest.digest()


def _holds_text(place: Directory, segment: Segment) -> bool:
    try:
        if not is_whole(place, segment):
            return False
        with os.fdopen(place.open(segment.file(TEXT)), "rb") as text, unpacked(place, segment) as packed:
            while octets := text.read(BUFFER):
                if packed.read(len(octets)) != octets:
                    return False
            return not packed.read(1)
    except zstandard.ZstdError:
        return False


def _compress(place: Directory, segment: Segment) -> None:
    name = segment.file(PACKED)
    compressor = zstandard.ZstdCompressor(level=LEVEL, write_checksum=True, write_content_size=True)
    with (
        os.fdopen(place.open(segment.file(TEXT)), "rb") as text,
        os.fdopen(place.open(name + ASIDE, os.O_RDWR | os.O_CREAT | os.O_TRUNC), "w+b") as packed,
    ):
        compressor.copy_stream(text, packed, size=os.fstat(text.fileno()).st_size)
        packed.seek(0)
        packed.write(SKIPPED + hashlib.file_digest(packed, "sha256").digest())
        packed.flush()
        os.fsync(packed.fileno())
    place.move(name)
