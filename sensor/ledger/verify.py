"""Whether a ledger is what was signed: docs/LEDGER.md, To verify."""

from __future__ import annotations

import io
import os
from bisect import bisect_left, bisect_right
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, cast

from zstandard import ZstdError

from sensor.ledger import canonical, reader
from sensor.ledger.frame import is_frame
from sensor.ledger.keys import VerifierKey, from_base64, rotation, to_base64
from sensor.ledger.layout import (
    CHECKPOINT,
    NOTE,
    PACKED,
    STAMP,
    SUM_OCTETS,
    SUMS,
    TEXT,
    Directory,
    LedgerError,
    Segment,
    span_of,
)
from sensor.ledger.merkle import Edge, leaf_hash
from sensor.ledger.note import MAX_OCTETS, Checkpoint, NoteError, opened, split
from sensor.ledger.sealing import DIGEST_OCTETS, is_whole

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path
    from typing import BinaryIO

    from cryptography.x509 import Certificate

    from sensor.ledger.entries import Entry

AHEAD_MS = 300_000  # that the clock of the sensor may be before that of whoever verifies
BATCH, BATCH_OCTETS = 4096, 1 << 22  # entries, and octets of them, that are hashed at once
TRIES = 3  # where it is written meanwhile, and what was read first is not of what was read last


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that does not hold."""

    entry: int | None  # number of the first entry that does not fit
    segment: str | None
    what: str

    def __str__(self) -> str:
        place = [] if self.entry is None else [f"entry {self.entry}"]
        if self.segment is not None:
            place.append(f"segment {self.segment}")
        return f"{', '.join(place)}: {self.what}" if place else self.what


@dataclass(slots=True)
class Result:
    """What came of it."""

    size: int = 0  # entries that there are or were
    first: int = 0  # the first that is there
    unsigned: int = 0  # entries behind the checkpoint
    checkpoint: Checkpoint | None = None
    faults: list[Fault] = field(default_factory=list)  # by entry
    remarks: list[str] = field(default_factory=list)  # what is no fault, and yet to be known


def verify(
    directory: Path,
    keys: Sequence[VerifierKey],
    *,
    witnesses: Sequence[str] = (),
    authority: list[Certificate] | None = None,
    segment: int | None = None,
    now_ms: int,
) -> Result:
    """Verify a ledger, which may be written meanwhile.

    Args:
        directory: its directory.
        keys: that are trusted; one that signed any part of it is enough.
        witnesses: notes that were kept elsewhere, as text.
        authority: whose time stamps are trusted; None: who signed them is not looked at.
        segment: the only one to verify, from the note before it on; None: all of them.
        now_ms: the time now.

    Raises LedgerError when the directory cannot be read.
    """
    try:
        with Directory(directory) as place:
            for left in reversed(range(TRIES)):
                verification = _Verification(place, keys, now_ms)
                try:
                    result = verification.run(witnesses) if segment is None else verification.run_one(segment)
                    _stamps(place, result, authority, segment)
                except FileNotFoundError:  # its time has come since the directory was listed
                    if left:
                        continue
                    raise
                if not result.faults or not verification.is_passed():
                    break
            return result
    except OSError as error:
        raise LedgerError(f"{directory}: {error.strerror}") from None


@dataclass(frozen=True, slots=True)
class _Signed:
    """A note that the tree is held against."""

    what: str
    text: str
    checkpoint: Checkpoint
    segment: Segment | None = None
    entry: int | None = None  # what is named where it does not hold


class _Verification:
    def __init__(self, place: Directory, keys: Sequence[VerifierKey], now_ms: int) -> None:
        self._place = place
        self._keys = keys
        self._latest = now_ms + AHEAD_MS
        self._result = Result()
        self._marks: list[int] = []  # sizes at which a root is wanted, sorted
        self._roots: dict[int, bytes] = {}
        self._signed: list[_Signed] = []
        self._deleted: dict[tuple[str, int, str], int] = {}  # with the entry that says so
        self._checkpoint = b""  # as it was read
        # Sizes above the first of a pair are signed by the second, up to the next pair.
        self._epochs: list[tuple[int, VerifierKey]] = []
        self._floor = 0  # the time of the next entry is this at least …
        self._day = (0, 0)  # … and within this
        self._fits = True  # whether everything in the segment did so far
        self._unreadable = ""  # why the segment cannot be read further

    def run(self, witnesses: Sequence[str]) -> Result:
        self._verify(witnesses)
        self._result.faults.sort(key=lambda fault: (fault.entry is None, fault.entry))
        return self._result

    def run_one(self, number: int) -> Result:
        """Verify one segment only."""
        result = self._result
        for segment in self._place.segments():
            if segment.entries and segment.number == number:
                break
        else:
            raise LedgerError(f"{self._place.path} has no entries of segment {number:08}")
        checkpoint = None if segment.sealed else self._read("the checkpoint", CHECKPOINT)
        self._signed = [] if checkpoint is None else [checkpoint]
        result.checkpoint = None if checkpoint is None else checkpoint.checkpoint
        self._marks = [each.checkpoint.size for each in self._signed]
        base = self._base(segment, [])
        edge = Edge() if base is None else base.checkpoint.tree() or Edge()
        result.first = edge.size
        result.size = self._segment(segment, edge, None).size
        self._compare(result.first)
        self._verify_signatures(result.first)
        result.unsigned = 0 if checkpoint is None else max(result.size - checkpoint.checkpoint.size, 0)
        result.faults.sort(key=lambda fault: (fault.entry is None, fault.entry))
        return result

    def _verify(self, witnesses: Sequence[str]) -> None:
        result = self._result
        # The checkpoint first: what is appended meanwhile is behind it.
        checkpoint = self._read("the checkpoint", CHECKPOINT)
        unread = result.faults.copy()
        result.checkpoint = None if checkpoint is None else checkpoint.checkpoint
        whole = [checkpoint, *(self._parse("the witness", text) for text in witnesses)]
        self._signed = [each for each in whole if each is not None]
        self._marks = sorted({each.checkpoint.size for each in self._signed})
        listed = self._place.segments()
        self._check_files(listed)
        segments = [each for each in listed if each.entries]
        if not segments:
            self._fault(0, None, "there are no entries")
            return
        base = self._base(segments[0], [each for each in listed if each.number < segments[0].number])
        edge = Edge() if base is None else base.checkpoint.tree() or Edge()
        result.first = start = edge.size
        for segment, behind in zip(segments, (*segments[1:], None), strict=True):
            start = edge.size
            edge = self._segment(segment, edge, behind)
        result.size = edge.size
        self._without_text([each for each in listed if each.number > segments[0].number and not each.entries])
        result.faults = [replace(each, entry=start) if each in unread else each for each in result.faults]
        self._compare(start)
        if checkpoint is not None:
            size = checkpoint.checkpoint.size
            noted = max(each.checkpoint.size for each in self._signed if each.segment or each is checkpoint)
            if size < noted:
                self._fault(size, None, f"the checkpoint is of {size} entries, and a note of {noted}: it was put back")
            result.unsigned = max(result.size - size, 0)
        self._verify_signatures(start)
        # What does not fit may be the entry that says it: nothing is read behind it in its segment.
        if base is not None and not result.faults and not self._is_deleted(base):
            self._fault(0, base.segment, "entries up to here are missing, and no entry says that they were deleted")

    def is_passed(self) -> bool:
        """Say whether the ledger has another checkpoint by now."""
        try:
            return self._place.read(CHECKPOINT, MAX_OCTETS) != self._checkpoint
        except (FileNotFoundError, LedgerError):
            return False

    def _signed_to(self) -> int:
        """Return how many entries some note is of: what no note is of, anybody may have written."""
        return max((each.checkpoint.size for each in self._signed), default=0)

    def _fault(self, entry: int | None, segment: Segment | None, what: str) -> None:
        self._result.faults.append(Fault(entry, None if segment is None else segment.stem, what))

    def _read(self, what: str, name: str, segment: Segment | None = None, entry: int | None = None) -> _Signed | None:
        try:
            octets = self._place.read(name, MAX_OCTETS)
            if name == CHECKPOINT:
                self._checkpoint = octets
            return self._parse(what, octets.decode(), segment, entry)
        except FileNotFoundError:
            self._fault(entry, segment, f"{what} is missing")
        except (LedgerError, UnicodeDecodeError):
            self._fault(entry, segment, f"{what} is no signed note")
        return None

    def _parse(self, what: str, text: str, segment: Segment | None = None, entry: int | None = None) -> _Signed | None:
        try:
            return _Signed(what, text, Checkpoint.parse(split(text)[0]), segment, entry)
        except NoteError as error:
            self._fault(entry, segment, f"{what} {error}")
            return None

    def _check_files(self, segments: Sequence[Segment]) -> None:
        """See that what is part of the ledger is plain files; LedgerError when it is not."""
        names = set(self._place.names())
        for segment in segments:
            parts = {*segment.parts, *([STAMP] if segment.sealed else [])}
            for name in {segment.file(part) for part in parts} & names:
                with suppress(FileNotFoundError):  # taken away since the directory was listed
                    os.close(self._place.open(name))

    def _is_deleted(self, base: _Signed) -> bool:
        """Say whether a signed entry says that what is up to a note was deleted."""
        assert base.segment is not None  # noqa: S101
        said = base.segment.stem, base.checkpoint.size, to_base64(base.checkpoint.root)
        return self._deleted.get(said, self._signed_to()) < self._signed_to()

    def _without_text(self, segments: Sequence[Segment]) -> None:
        """Read the notes of segments whose entries are missing, from where they are on."""
        if segments:
            entry = min([self._result.size, *(each.entry for each in self._result.faults if each.entry is not None)])
            for segment in segments:
                self._fault(entry, segment, "its entries are missing")
                if segment.sealed:
                    self._noted(segment, entry)

    def _noted(self, segment: Segment, entry: int) -> _Signed | None:
        """Return the note of a sealed segment, None when it is none; it is one of those to be signed rightly."""
        note = self._read("its note", segment.file(NOTE), segment, entry)
        if note is not None and note.checkpoint.tree() is None:
            self._fault(entry, segment, "its note has no edge")
            return None
        if note is not None:
            self._signed.append(note)
        return note

    def _base(self, first: Segment, older: Sequence[Segment]) -> _Signed | None:
        """Return the note that hashing begins behind, None where it begins with the first entry.

        Notes that are ``older`` have to be right, too.
        """
        if first.number == 0:
            return None
        try:
            before = reader.segment_before(self._place, first)
        except LedgerError as error:
            self._fault(0, first, str(error))
            return None
        assert before is not None  # noqa: S101
        size, note = 0, None
        for segment in [each for each in older if each.sealed] or [before]:
            note = self._noted(segment, 0)
            if note is not None and note.checkpoint.size <= size:
                self._fault(0, segment, "its note is of no more entries than the one before")
            size = size if note is None else note.checkpoint.size
        return note

    def _segment(self, segment: Segment, edge: Edge, behind: Segment | None) -> Edge:
        """Verify a segment; return the tree that the one behind it goes on from."""
        first = edge.size
        self._fits = True
        self._day = span_of(segment.day)
        self._mark(edge)
        with self._sums(segment, first) as sums:
            self._entries(segment, sums, edge)
        if self._fits and PACKED in segment.parts:
            self._packed(segment, first)
        if behind is None and not segment.sealed:
            return edge
        note = self._noted(segment, first)
        noted = None if note is None else note.checkpoint.tree()
        if note is None or noted is None:
            return edge
        if (noted.size, note.checkpoint.root) != (edge.size, edge.root()) and self._fits:
            self._misfit(min(first, noted.size), segment, "its entries are not those that its note is of")
        if behind is not None and behind.number != segment.number + 1:
            self._fault(noted.size, behind, f"entries are missing: the segment before it is {segment.stem}")
            return self._edge_before(behind) or noted
        return noted

    def _edge_before(self, segment: Segment) -> Edge | None:
        try:
            before = reader.segment_before(self._place, segment)
            return None if before is None else reader.note_of(self._place, before).tree()
        except LedgerError:
            return None

    @contextmanager
    def _sums(self, segment: Segment, first: int) -> Iterator[_Sums]:
        try:
            file = os.fdopen(self._place.open(segment.file(SUMS)), "rb")
        except FileNotFoundError:
            if segment.sealed:
                self._misfit(first, segment, "its sums are missing")
            yield _Sums(io.BytesIO(), 0)
        else:
            with file:
                yield _Sums(file, os.fstat(file.fileno()).st_size)

    def _entries(self, segment: Segment, sums: _Sums, edge: Edge) -> None:
        """Hold the entries of a segment against its sums, up to the first that does not fit.

        It may be made to unpack to any size: what is behind that entry is not read.
        """
        lines = self._lines(segment)
        while self._fits and (batch := self._taken(lines, edge.size)):
            self._batch(segment, batch, sums.read(len(batch) * SUM_OCTETS), edge)
            self._mark(edge)
        if self._fits and self._unreadable:
            self._misfit(edge.size, segment, self._unreadable)
        elif self._fits and sums.read(1):
            self._misfit(edge.size, segment, "there is a sum and no entry")

    def _packed(self, segment: Segment, first: int) -> None:
        """See that the file of a compressed segment is what was made, and that a text beside it is the same."""
        with os.fdopen(self._place.open(segment.file(PACKED)), "rb") as file:
            fits = is_frame(file, os.fstat(file.fileno()).st_size - DIGEST_OCTETS)
        if not fits:
            self._misfit(first, segment, "its file is not one frame with its size, its checksum and its digest")
        elif not is_whole(self._place, segment):
            self._misfit(first, segment, "its file is not what its digest is of")
        elif TEXT in segment.parts and not self._is_same(segment):
            self._misfit(first, segment, "its text is not what is compressed beside it")

    def _is_same(self, segment: Segment) -> bool:
        with suppress(FileNotFoundError), reader.opened(self._place, segment) as text:
            try:
                with reader.unpacked(self._place, segment) as other:
                    while block := text.read(reader.BUFFER):
                        if other.read(len(block)) != block:
                            return False
                    return not other.read(1)
            except ZstdError:
                return False
        return True  # the text has gone by now

    def _lines(self, segment: Segment) -> Iterator[bytes]:
        self._unreadable = ""
        try:
            yield from reader.lines(self._place, segment)
        except LedgerError as error:
            self._unreadable = str(error)

    def _taken(self, lines: Iterator[bytes], size: int) -> list[bytes]:
        """Return the lines that are hashed at once: up to the next root that is wanted, and not too many octets."""
        behind = bisect_right(self._marks, size)
        most = min(self._marks[behind] - size, BATCH) if behind < len(self._marks) else BATCH
        batch, octets = [], 0
        for line in lines:
            batch.append(line)
            octets += len(line)
            if len(batch) == most or octets > BATCH_OCTETS:
                break
        return batch

    def _mark(self, edge: Edge) -> None:
        if edge.size in self._marks:
            self._roots.setdefault(edge.size, edge.root())

    def _misfit(self, entry: int, segment: Segment, what: str) -> None:
        """Note what does not fit; what comes behind it in the segment is not read any more."""
        if self._fits:
            self._fault(entry, segment, what)
        self._fits = False

    def _batch(self, segment: Segment, batch: list[bytes], sums: bytes, edge: Edge) -> None:
        leaves = [leaf_hash(line) for line in batch]
        given = b"".join([leaf[:SUM_OCTETS] for leaf in leaves])
        end = len(batch) if sums == given else _end(given, sums, segment)
        first = edge.size
        for number, line in enumerate(batch[:end]):
            try:
                self._entry(first + number, canonical.verified(line))
            except ValueError as error:
                self._misfit(first + number, segment, str(error))
                end = number
                break
        if end < len(batch):
            self._misfit(first + end, segment, "it is not the entry that its sum is of")
        edge.extend(leaves[:end])

    def _entry(self, number: int, entry: Entry) -> None:
        """See when an entry says it was appended, and what it says of the ledger; ValueError when that cannot be."""
        at, kind = cast("int", entry["at"]), entry["kind"]
        if at < self._floor:
            raise ValueError("its time is before that of the entry before it")
        if at > self._latest:
            raise ValueError("it is from the future")
        if not self._day[0] <= at < self._day[1]:
            raise ValueError("it is of another day than its segment")
        self._floor = at
        if number == 0:
            self._first(entry)
        elif kind == "key":
            self._change(number, entry)
        elif kind == "clock" and type(back := entry.get("back")) is int:
            self._floor -= max(back, 0)
        elif kind == "deleted":
            stem, size, root = (entry.get(name) for name in ("segment", "size", "root"))
            if type(stem) is str and type(size) is int and type(root) is str:
                self._deleted.setdefault((stem, size, root), number)

    def _first(self, entry: Entry) -> None:
        if entry["kind"] != "ledger":
            raise ValueError("a ledger begins otherwise")
        if entry.get("format") != 1:
            raise ValueError("it is of another format")
        key = VerifierKey.parse(str(entry.get("vkey")))
        if key.name != entry.get("origin"):
            raise ValueError("its key has the name of another ledger")
        self._epochs.append((-1, key))

    def _change(self, number: int, entry: Entry) -> None:
        old, new = (VerifierKey.parse(str(entry.get(name))) for name in ("old", "new"))
        signature = from_base64(str(entry.get("signature")))
        if not self._epochs:  # what was before it is deleted
            self._epochs.append((-1, old))
        if self._epochs[-1][1] != old or new.name != old.name:
            raise ValueError("the key was another one")
        if not signature or not old.verify(rotation(old.name, number, str(old), str(new)), signature):
            raise ValueError("the key before it did not sign it")
        self._epochs.append((number, new))

    def _compare(self, start: int) -> None:
        """Hold the checkpoint and the witnesses against the tree; ``start`` is where the last segment begins."""
        result = self._result
        for each in self._signed:
            size = each.checkpoint.size
            if each.segment is not None:
                continue
            if size > result.size:
                self._fault(result.size, None, f"{each.what} is of {size} entries: they are missing from here on")
            elif size < result.first:
                result.remarks.append(
                    f"{each.what} is of {size} entries, which are deleted: it says nothing of the rest"
                )
            elif size in self._roots and self._roots[size] != each.checkpoint.root and not result.faults:
                entry = start if each.what == "the checkpoint" else None
                self._fault(entry, None, f"{each.what} of {size} entries is of others")

    def _verify_signatures(self, start: int) -> None:
        """See whether each note is signed by whom it has to be."""
        if not self._epochs and self._result.faults:
            return  # what does not fit may be, or hide, the entry that says it
        if not self._epochs:
            self._epochs.append((-1, self._without_entries()))
        # A key that only entries name which nobody has signed has signed nothing: anybody can name it.
        self._epochs = [each for each in self._epochs if each[0] < self._signed_to()]
        keys = [key for _, key in self._epochs]
        # The entry that names it may be the one that does not fit, or be behind it.
        if not self._result.faults and not any(key in keys for key in self._keys):
            self._fault(self._result.first, None, "no key that is trusted has signed any of it")
        ids = {key.id for key in keys}
        for each in self._signed:
            if each.checkpoint.size < self._result.first and ids.isdisjoint(id_ for _, id_, _ in split(each.text)[1]):
                continue  # a key that no entry is left of
            epoch = bisect_left(self._epochs, each.checkpoint.size, key=lambda epoch: epoch[0])
            try:
                opened(each.text, [self._epochs[max(epoch - 1, 0)][1]])
            except NoteError as error:
                entry = start if each.what == "the checkpoint" else each.entry
                if not self._is_named(entry, each.checkpoint.size):
                    self._fault(entry, each.segment, f"{each.what} {error}")

    def _is_named(self, entry: int | None, size: int) -> bool:
        """Whether something that a note is of does not fit, so that it may be the key that is wrong."""
        return any(
            entry is not None and fault.entry is not None and entry <= fault.entry < size
            for fault in self._result.faults
        )

    def _without_entries(self) -> VerifierKey:
        """Return who signs where no entry that is left says it: whoever is trusted and signed the checkpoint."""
        for each in self._signed:
            for key in self._keys:
                try:
                    opened(each.text, [key])
                except NoteError:
                    continue
                return key
        return self._keys[0]


def _stamps(place: Directory, result: Result, authority: list[Certificate] | None, number: int | None) -> None:
    """Look at the time stamps of notes."""
    names = set(place.names())
    for segment in place.segments():
        name = segment.file(STAMP)
        if name not in names or not segment.sealed or number not in {None, segment.number}:
            continue
        from sensor.ledger import stamps  # noqa: PLC0415  (most ledgers have none, and it is slow to load)

        try:
            note = place.read(segment.file(NOTE), MAX_OCTETS)
            at = stamps.check(note, place.read(name, stamps.MAX_OCTETS), authority)
        except stamps.StampError as error:
            result.faults.append(Fault(None, segment.stem, f"its time stamp {error}"))
        else:
            whom = "" if authority else "; who signed that was not looked at"
            result.remarks.append(f"{segment.file(NOTE)} was there at {at:%Y-%m-%d %H:%M:%S} UTC{whom}")


@dataclass(slots=True)
class _Sums:
    """The sums that were there when the file was opened: those that come meanwhile are of entries not yet seen."""

    file: BinaryIO
    left: int

    def read(self, octets: int) -> bytes:
        """Return the next ones."""
        found = self.file.read(min(octets, self.left))
        self.left -= len(found)
        return found


def _end(given: bytes, sums: bytes, segment: Segment) -> int:
    """Return how many of the entries whose sums are ``given`` have those in the file; of an open one they may come."""
    for start in range(0, len(given), SUM_OCTETS):
        each = sums[start : start + SUM_OCTETS]
        if each != given[start : start + len(each)] or (len(each) < SUM_OCTETS and segment.sealed):
            return start // SUM_OCTETS
    return len(given) // SUM_OCTETS
