"""The frame of a sealed segment: docs/LEDGER.md, Entries.

A decoder takes much more than a writer makes: frames behind each other, some of them skipped, without a checksum.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import BinaryIO

MAGIC = bytes.fromhex("28b52ffd")
HEAD_OCTETS = 3  # of a block
CHECKSUM_OCTETS = 4
RLE, RESERVED = 1, 3  # types of blocks
_NEVER, _CHECKED = 0b11011, 0b100  # flags: dictionaries and what is reserved; a checksum


def is_frame(file: BinaryIO, length: int) -> bool:
    """Say whether the first octets of a file are one frame that has its content's size and checksum."""
    start = file.read(len(MAGIC) + 1)
    if len(start) <= len(MAGIC) or not start.startswith(MAGIC):
        return False
    flags = start[-1]
    single = flags >> 5 & 1
    size_octets = (single, 2, 4, 8)[flags >> 6]
    if not size_octets or flags & _NEVER or not flags & _CHECKED:
        return False
    file.seek((1 - single) + size_octets, os.SEEK_CUR)
    last = 0
    while not last:
        head = file.read(HEAD_OCTETS)
        block = int.from_bytes(head, "little")
        last, kind, size = block & 1, block >> 1 & 3, block >> 3
        if len(head) < HEAD_OCTETS or kind == RESERVED:
            return False
        file.seek(1 if kind == RLE else size, os.SEEK_CUR)
    return file.tell() + CHECKSUM_OCTETS == length
