"""Proofs: that an entry is in a ledger, and that a checkpoint goes on from an older one; docs/LEDGER.md, Proofs."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, cast

from sensor.ledger import canonical, reader
from sensor.ledger.keys import from_base64, to_base64
from sensor.ledger.layout import CHECKPOINT, Directory, LedgerError
from sensor.ledger.merkle import (
    HASH_OCTETS,
    Edge,
    consistency_ranges,
    inclusion_ranges,
    leaf_hash,
    root_of_inclusion,
    verify_consistency,
)
from sensor.ledger.note import MAX_OCTETS, Checkpoint, NoteError, opened, split

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from sensor.ledger.entries import Entry
    from sensor.ledger.keys import VerifierKey
    from sensor.ledger.layout import Segment
    from sensor.ledger.merkle import Range

Proof = dict[str, Any]  # as JSON has it


class ProofError(ValueError):
    """A proof proves nothing; the text says why."""


def inclusion(directory: Path, index: int) -> Proof:
    """Return the proof that an entry is in a ledger; LedgerError when there is no such entry, or none that is signed.

    The ledger is not verified, but what is returned is.
    """
    with _opened(directory) as place:
        note, checkpoint = _checkpoint(place)
        if not 0 <= index < checkpoint.size:
            raise LedgerError(f"the checkpoint is of {checkpoint.size} entries: there is none {index} in it")
        ranges = inclusion_ranges(checkpoint.size, index)
        line, roots = _walk(place, ranges, index, checkpoint.size)
    try:
        root = root_of_inclusion(leaf_hash(line), index, checkpoint.size, roots)
    except ValueError as error:
        raise LedgerError(str(error)) from None
    if root != checkpoint.root:
        raise LedgerError("the entries are not those that the checkpoint is of: verify the ledger")
    return {
        "entry": line.decode(),
        "index": index,
        "size": checkpoint.size,
        "hashes": [to_base64(each) for each in roots],
        "checkpoint": note,
    }


def consistency(directory: Path, first: str, second: str | None = None) -> Proof:
    """Return the proof that a note, or the newest checkpoint, goes on from an older note.

    Raises LedgerError when that cannot be shown: it is not true, or entries that it takes are deleted.
    """
    with _opened(directory) as place:
        second = _checkpoint(place)[0] if second is None else second
        former, later = _parsed(first), _parsed(second)
        if not 0 < former.size <= later.size:
            raise LedgerError(f"a checkpoint of {later.size} entries cannot go on from one of {former.size}")
        ranges = consistency_ranges(later.size, former.size)
        roots = _walk(place, ranges, None, later.size)[1]
    if not verify_consistency(former.size, former.root, later.size, later.root, roots):
        raise LedgerError("the second checkpoint does not go on from the first")
    return {"first": first, "second": second, "hashes": [to_base64(each) for each in roots]}


def verify_inclusion_proof(proof: Proof, keys: Iterable[VerifierKey]) -> Entry:
    """Return the entry that a proof is of; ProofError when it proves nothing."""
    hashes = _hashes(proof, ("entry", "index", "size", "checkpoint"))
    entry, index, size, note = (proof.get(name) for name in ("entry", "index", "size", "checkpoint"))
    if type(entry) is not str or type(index) is not int or type(size) is not int or type(note) is not str:
        raise ProofError("is no proof of an entry")
    checkpoint = _signed(note, keys)
    if size != checkpoint.size:
        raise ProofError("is of another size than its checkpoint")
    try:
        line = entry.encode()
        root = root_of_inclusion(leaf_hash(line), index, checkpoint.size, hashes)
        found = canonical.verified(line)
    except ValueError as error:
        raise ProofError(f"proves nothing: {error}") from None
    if root != checkpoint.root:
        raise ProofError("proves nothing: the entry is not in the tree of its checkpoint")
    return found


def verify_consistency_proof(proof: Proof, keys: Iterable[VerifierKey]) -> tuple[Checkpoint, Checkpoint]:
    """Return the two checkpoints the second of which goes on from the first; ProofError when it is not shown."""
    hashes, trusted = _hashes(proof, ("first", "second")), list(keys)
    first, second = proof.get("first"), proof.get("second")
    if type(first) is not str or type(second) is not str:
        raise ProofError("is no proof of two checkpoints")
    former, later = _signed(first, trusted), _signed(second, trusted)
    if former.origin != later.origin:
        raise ProofError("is of two ledgers")
    if not former.size or not verify_consistency(former.size, former.root, later.size, later.root, hashes):
        raise ProofError("does not show that the second checkpoint goes on from the first")
    return former, later


def parse(text: str) -> Proof:
    """Read a proof; ProofError when it is no object of JSON."""
    try:
        proof = json.loads(text)
    except (ValueError, RecursionError):
        proof = None
    if type(proof) is not dict:
        raise ProofError("is no proof: no object of JSON")
    return cast("Proof", proof)


def _walk(place: Directory, ranges: Sequence[Range], index: int | None, size: int) -> tuple[bytes, list[bytes]]:
    """Return the line of an entry, and the roots over ranges of the first ``size`` leaves."""
    segments, start, edges = _begin(place, ranges, index)
    in_order = sorted(zip(ranges, edges, strict=True), key=lambda each: each[0])
    wanted, line = iter(in_order), b""
    (first, end), edge = next(wanted, ((size, size), Edge()))
    for number, each in enumerate((text for segment in segments for text in reader.lines(place, segment)), start):
        if number == index:
            line = each
        while number >= end < size:
            (first, end), edge = next(wanted, ((size, size), Edge()))
        if number >= size:
            break
        if first <= number:
            edge.append(leaf_hash(each))
    if any(edge.size != end - first for (first, end), edge in in_order):
        raise LedgerError("there are fewer entries than the checkpoint says: verify the ledger")
    return line, [edge.root() for edge in edges]


def _begin(place: Directory, ranges: Sequence[Range], index: int | None) -> tuple[list[Segment], int, list[Edge]]:
    """Return the segments to read, the number of their first entry, and what of each range is before it.

    These are as few as can be: what is before them is whole subtrees, whose roots a note has.
    """
    segments = [each for each in place.segments() if each.entries]
    for position in reversed(range(len(segments))):
        before = reader.segment_before(place, segments[position])
        edge = Edge() if before is None else reader.note_of(place, before).tree() or Edge()
        known = [edge.within(first, end) for first, end in ranges]
        if (index is None or edge.size <= index) and all(
            each.size == max(min(end, edge.size) - first, 0) for each, (first, end) in zip(known, ranges, strict=True)
        ):
            return segments[position:], edge.size, known
    raise LedgerError("entries that the proof takes are deleted")


def _opened(directory: Path) -> Directory:
    try:
        return Directory(directory)
    except OSError as error:
        raise LedgerError(f"{directory}: {error.strerror}") from None


def _checkpoint(place: Directory) -> tuple[str, Checkpoint]:
    try:
        note = place.read(CHECKPOINT, MAX_OCTETS).decode()
    except OSError as error:
        raise LedgerError(f"{place.path / CHECKPOINT}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise LedgerError(f"{place.path / CHECKPOINT} is no signed note") from None
    return note, _parsed(note)


def _parsed(note: str) -> Checkpoint:
    try:
        return Checkpoint.parse(split(note)[0])
    except NoteError as error:
        raise LedgerError(f"a checkpoint {error}") from None


def _signed(note: str, keys: Iterable[VerifierKey]) -> Checkpoint:
    try:
        return opened(note, keys)
    except NoteError as error:
        raise ProofError(f"has a checkpoint that {error}") from None


def _hashes(proof: Proof, others: Iterable[str]) -> list[bytes]:
    """Return the hashes of a proof, which has them and the others and nothing that it does not prove."""
    if proof.keys() != {"hashes", *others}:
        raise ProofError("is no proof: it has not what one has, or more")
    texts = proof["hashes"]
    hashes = [from_base64(each) for each in texts if type(each) is str] if type(texts) is list else []
    found = [each for each in hashes if each is not None and len(each) == HASH_OCTETS]
    if type(texts) is not list or len(found) != len(texts):
        raise ProofError("is no proof: its hashes are none")
    return found
