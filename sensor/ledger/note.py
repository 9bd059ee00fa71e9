"""Checkpoints of the tree as signed notes: https://c2sp.org/tlog-checkpoint, https://c2sp.org/signed-note."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sensor.ledger.keys import ID_OCTETS, from_base64, is_name, to_base64
from sensor.ledger.merkle import HASH_OCTETS, Edge

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sensor.ledger.keys import SigningKey, VerifierKey

MAX_OCTETS = 65_536  # of a note: no checkpoint comes near
MAX_DIGITS = 16  # of a size
MARK = "\N{EM DASH} "  # before each signature
EDGE = "edge "
_NO_TEXT = re.compile("[\x00-\x09\x0b-\x1f\ud800-\udfff]")


class NoteError(ValueError):
    """A text is no signed note, or not of anybody who is trusted; the text says why."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What is signed: how many entries there are, and the root over them."""

    origin: str
    size: int
    root: bytes
    edge: tuple[bytes, ...] = ()  # in the note of a segment

    @classmethod
    def of(cls, origin: str, edge: Edge, *, with_edge: bool = False) -> Checkpoint:
        """Return that of a tree."""
        return cls(origin, edge.size, edge.root(), edge.hashes if with_edge else ())

    @classmethod
    def parse(cls, text: str) -> Checkpoint:
        """Read the text of a note; NoteError when it is no checkpoint, or its edge is not that of its root."""
        lines = text.split("\n")
        if len(lines) not in {4, 5} or lines.pop():
            raise NoteError("is no checkpoint")
        origin, size, root, *rest = lines
        octets = from_base64(root)
        if not origin or not _is_number(size) or octets is None or len(octets) != HASH_OCTETS:
            raise NoteError("is no checkpoint")
        edge: tuple[bytes, ...] = ()
        if rest:
            hashes = from_base64(rest[0].removeprefix(EDGE))
            if not rest[0].startswith(EDGE) or not hashes:
                raise NoteError("has a line that no checkpoint has")
            edge = tuple(hashes[each : each + HASH_OCTETS] for each in range(0, len(hashes), HASH_OCTETS))
        checkpoint = cls(origin, int(size), octets, edge)
        if rest and checkpoint.tree() is None:
            raise NoteError("has an edge that does not give its root")
        return checkpoint

    def __str__(self) -> str:
        lines = [self.origin, str(self.size), to_base64(self.root)]
        if self.edge:
            lines.append(EDGE + to_base64(b"".join(self.edge)))
        return "".join(f"{line}\n" for line in lines)

    def tree(self) -> Edge | None:
        """Return the tree at this point, None when the edge, which only notes of segments have, does not give it."""
        try:
            edge = Edge(self.size, self.edge)
        except ValueError:
            return None
        return edge if edge.root() == self.root else None


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) <= MAX_DIGITS and str(int(text)) == text


def sign(text: str, key: SigningKey) -> str:
    """Return a note: the text, which ends with a line's end, and the signature."""
    verifier = key.verifier
    signature = to_base64(verifier.id + key.sign(text.encode()))
    return f"{text}\n{MARK}{verifier.name} {signature}\n"


def split(note: str) -> tuple[str, list[tuple[str, bytes, bytes]]]:
    """Return a note's text, and of each signature the name, the first octets of the key's hash, and the rest."""
    text, middle, end = note.rpartition("\n\n")
    if not middle or len(note) > MAX_OCTETS or not end.endswith("\n") or _NO_TEXT.search(note):
        raise NoteError("is no signed note")
    signatures = []
    for line in end[:-1].split("\n"):
        name, _, encoded = line.removeprefix(MARK).partition(" ")
        octets = from_base64(encoded)
        if not line.startswith(MARK) or not is_name(name) or octets is None or len(octets) <= ID_OCTETS:
            raise NoteError("is no signed note")
        signatures.append((name, octets[:ID_OCTETS], octets[ID_OCTETS:]))
    return f"{text}\n", signatures


def verified(note: str, keys: Iterable[VerifierKey]) -> tuple[str, VerifierKey]:
    """Return the text of a note and the first of the keys that signed it; NoteError when none did.

    Signatures by others do not matter, a wrong one by a key that is given does.
    """
    text, signatures = split(note)
    by: VerifierKey | None = None
    for key in keys:
        for name, id_, signature in signatures:
            if (name, id_) == (key.name, key.id):
                if not key.verify(text.encode(), signature):
                    raise NoteError("has a signature that is wrong")
                by = by or key
    if by is None:
        raise NoteError("is not signed by a key that is trusted")
    return text, by


def opened(note: str, keys: Iterable[VerifierKey]) -> Checkpoint:
    """Return the checkpoint that a note by one of the keys has; NoteError when it has none."""
    text, key = verified(note, keys)
    checkpoint = Checkpoint.parse(text)
    if checkpoint.origin != key.name:
        raise NoteError("is of another origin than the key that signed it")
    return checkpoint
