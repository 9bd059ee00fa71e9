"""The keys of pseudonyms: one an epoch, in a file that only its owner can read.

A line for each epoch: its number, the Unix time from which it holds, and the key in hexadecimal. Old lines serve to
find again what old pseudonyms stand for; whoever deletes one makes sure that nobody ever can.
"""

from __future__ import annotations

import os
import secrets
import stat
from typing import TYPE_CHECKING, NamedTuple

from sensor.state.directory import StateError

if TYPE_CHECKING:
    from pathlib import Path

NAME = "pseudonym.keys"
KEY_BYTES = 32
DAY_S = 86_400


class Epoch(NamedTuple):
    """A key and since when it holds."""

    number: int  # 1 = the first
    since_s: int
    key: bytes


def current_key(directory: Path, now_s: int, rotate_days: int) -> Epoch:
    """Return the key that holds now; one is drawn where there is none, or where the last one is older than allowed.

    Raises StateError when the file cannot be read or written, is not one of ours, or can be read by others.
    """
    path = directory / NAME
    try:
        epochs = _read(path)
        last = epochs[-1] if epochs else None
        if last is None or (rotate_days and now_s - last.since_s >= rotate_days * DAY_S):
            last = Epoch(last.number + 1 if last else 1, now_s, secrets.token_bytes(KEY_BYTES))
            _append(path, last)
    except OSError as error:
        raise StateError(f"{path}: {error.strerror}") from None
    return last


def _read(path: Path) -> list[Epoch]:
    try:
        with path.open(encoding="ascii", errors="replace") as file:
            if stat.S_IMODE(os.fstat(file.fileno()).st_mode) & 0o077:
                raise StateError(f"{path}: others may read it; chmod 600 it, or delete it for new pseudonyms")
            return [_epoch(path, line) for line in file if line.strip()]
    except FileNotFoundError:
        return []


def _epoch(path: Path, line: str) -> Epoch:
    try:
        number, since_s, key = line.split()
        epoch = Epoch(int(number), int(since_s), bytes.fromhex(key))
    except ValueError:
        epoch = Epoch(0, 0, b"")
    if len(epoch.key) != KEY_BYTES:
        raise StateError(f"{path}: is not a file of keys; delete it for new pseudonyms")
    return epoch


def _append(path: Path, epoch: Epoch) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(f"{epoch.number} {epoch.since_s} {epoch.key.hex()}\n")
        file.flush()
        os.fsync(file.fileno())
