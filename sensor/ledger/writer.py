"""The one writer of a ledger: docs/LEDGER.md. Time is an argument; whoever calls it takes one thread for all calls.

What is appended is written, and durable with the next checkpoint, which never says more than what is on disk: the
entries are brought there before it is signed. After an error the writer is closed; ``open`` cuts the ledger back to the
checkpoint on disk, whatever became of the rest, and writes again what was appended since.
"""

from __future__ import annotations

import fcntl
import os
import secrets
from typing import TYPE_CHECKING

from sensor.beside import Beside
from sensor.ledger import recovery
from sensor.ledger.canonical import encode
from sensor.ledger.keys import KeyFormatError, SigningKey, rotation, to_base64
from sensor.ledger.layout import (
    CHECKPOINT,
    DIRECTORY_MODE,
    NOTE,
    SUM_OCTETS,
    SUMS,
    TEXT,
    Directory,
    LedgerError,
    Segment,
    day_of,
    write_all,
)
from sensor.ledger.merkle import Edge, leaf_hash
from sensor.ledger.note import Checkpoint, sign
from sensor.ledger.recovery import Recovered
from sensor.ledger.sealing import compress_sealed

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from sensor.ledger.entries import Entry

FORMAT = 1
_WRITE = os.O_WRONLY | os.O_APPEND

_Batch = tuple[int, list[bytes]]  # the time, and the lines without their ends


class Writer:
    """Methods raise OSError when the disk does not take something, and LedgerError when the ledger cannot be used."""

    def __init__(self, directory: Path, key: bytes, *, origin_name: str, former: bytes | None = None) -> None:
        """A ledger that goes on keeps its origin.

        Args:
            directory: is made when it is missing.
            key: that signs, as PEM.
            origin_name: what the origin of a new ledger begins with; a name of a key as signed notes have it.
            former: the key that signed until now, where ``key`` is to take its place.
        """
        self._path = directory
        self._pems = [key] if former is None else [key, former]
        self._origin_name = origin_name
        self._place: Directory | None = None
        self._signers: list[SigningKey] = []  # in the order of the PEMs
        self._signer: SigningKey | None = None
        self._edge = Edge()
        self._segment: Segment | None = None  # that is open
        self._number = -1  # of the last segment
        self._text = self._sums = -1
        self._at = 0
        self._checkpoint: Checkpoint | None = None
        self._begun = False  # there was an ``open`` that came to its end
        self._pending: list[_Batch] = []  # that no checkpoint has yet, the first entry being the one behind it
        self._written = 0  # of these batches
        self._tail_ms: int | None = None  # the time of the first entry that is written and in no checkpoint
        self.octets = 0  # of entries that were taken
        self._sealing: Beside[None] | None = None

    @property
    def directory(self) -> Path:
        """Where it writes."""
        return self._path

    @property
    def is_open(self) -> bool:
        """Whether it takes entries; after an error it does not."""
        return self._place is not None

    @property
    def size(self) -> int:
        """How many entries there are."""
        return self._edge.size

    @property
    def checkpoint(self) -> Checkpoint | None:
        """The newest one; None before the first ``open``."""
        return self._checkpoint

    def open(self, now_ms: int) -> Recovered | None:
        """Begin, or begin again after an error; return what had to be mended of an earlier writer's, None for nothing.

        Raises LedgerError also where another writer is at work.
        """
        self._shut()
        try:
            recovered = self._begin(now_ms)
        except BaseException:
            self._shut()
            raise
        self._begun = True
        return recovered

    def append(self, entries: Sequence[Entry], now_ms: int) -> None:
        """Write entries, which get ``now_ms`` for their time.

        Raises ValueError when one cannot be an entry: none of them is taken then. After OSError all of them are.
        """
        if self._place is None:
            raise OSError("the ledger is closed")
        batches: list[_Batch] = []
        if now_ms < self._at:
            clock: Entry = {"kind": "clock", "back": self._at - now_ms, "at": self._at}
            batches.append((self._at, [encode(clock)]))
        if entries:
            batches.append((now_ms, [encode({**entry, "at": now_ms}) for entry in entries]))
        self._at = now_ms
        self._pending += batches
        self.octets += sum(len(line) + 1 for _, lines in batches for line in lines)
        self._write_pending()

    def commit(self) -> Checkpoint:
        """Have on disk what was appended, and sign it; OSError when the disk does not take it."""
        try:
            return self._commit()
        except OSError:
            self._shut()
            raise

    @property
    def unsigned(self) -> int:
        """How many entries were taken and are in no checkpoint."""
        return sum(len(lines) for _, lines in self._pending)

    def look(self) -> None:
        """See that the ledger is still where its name is; LedgerError when it is not."""
        if self._place is None:
            return
        here, named = os.fstat(self._place.fd), self._path.stat() if self._path.exists() else None
        gone = named is None or (here.st_dev, here.st_ino) != (named.st_dev, named.st_ino)
        if gone or (self._text >= 0 and not os.fstat(self._text).st_nlink):
            self._shut()
            raise LedgerError(f"{self._path} was taken away: {recovery.REFUSED}")

    def compress(self) -> None:
        """Have compressed, beside, what is sealed and is not yet; OSError when the last time did not work."""
        before = self._sealing
        if before is not None and before.is_alive():
            return
        self._compress()
        if before is not None:
            before.outcome()

    def _compress(self) -> None:
        if self._sealing is None or not self._sealing.is_alive():
            self._sealing = Beside(lambda: compress_sealed(self._path))

    def close(self) -> None:
        """End, with all on disk and all compressed that is sealed."""
        if self._place is not None:
            try:
                self._commit()
            finally:
                self._shut()
        if self._sealing is not None:
            self._sealing.join()
            self._compress()  # what was sealed meanwhile
            self._sealing.join()

    def _begin(self, now_ms: int) -> Recovered | None:
        self._path.mkdir(mode=DIRECTORY_MODE, parents=True, exist_ok=True)
        self._place = place = Directory(self._path)
        try:
            fcntl.flock(place.fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise LedgerError(f"{self._path} is written by another sensor") from None
        origin = recovery.origin_of(place)
        if origin is None:
            if self._begun:
                raise LedgerError(f"{self._path} has lost its checkpoint: {recovery.REFUSED}")
            return self._create(place, now_ms)
        try:
            self._signers = [SigningKey.from_pem(pem, origin) for pem in self._pems]
        except KeyFormatError as error:
            raise LedgerError(f"{self._path / CHECKPOINT} is of no ledger, {error}: {recovery.REFUSED}") from None
        signers = [each.verifier for each in self._signers]
        left = recovery.recover(place, signers, now_ms, unsigned=not self._begun)
        self._signer = next(each for each in self._signers if each.verifier == left.signer)
        self._edge, self._segment, self._number = left.edge, left.segment, left.last_number
        if self._segment is not None:
            self._open_segment(place, self._segment)
        self._compress()
        if not self._begun:
            return self._take_over(left, now_ms)
        self._skip_pending(left.checkpoint)
        self._checkpoint = left.checkpoint
        self._write_pending()
        return None

    def _create(self, place: Directory, now_ms: int) -> Recovered | None:
        """Begin a ledger."""
        cut = recovery.clear(place)
        origin = f"{self._origin_name}/{secrets.token_hex(4)}"
        self._signers = [SigningKey.from_pem(pem, origin) for pem in self._pems]
        self._signer = self._signers[0]
        self._edge, self._segment, self._number = Edge(), None, -1
        self._at, self._checkpoint, self._pending = now_ms, None, []
        vkey = str(self._signer.verifier)
        self.append([{"kind": "ledger", "origin": origin, "vkey": vkey, "format": FORMAT}], now_ms)
        recovered = Recovered(cut, 0) if cut else None
        self._commit()
        self._note_recovered(recovered, now_ms)
        return recovered

    def _take_over(self, left: recovery.Left, now_ms: int) -> Recovered | None:
        """Go on with what an earlier writer left."""
        self._at, self._checkpoint, self._pending = left.at, left.checkpoint, []
        recovered = left.recovered if any(left.recovered) else None
        if self._signer is not self._signers[0]:
            self._change_key(now_ms)
        self._note_recovered(recovered, now_ms)
        self._commit()
        return recovered

    def _note_recovered(self, recovered: Recovered | None, now_ms: int) -> None:
        if recovered is not None:
            self.append([{"kind": "recovered", "cut": recovered.cut, "unsigned": recovered.unsigned}], now_ms)
            self._commit()

    def _change_key(self, now_ms: int) -> None:
        """Have the key that signs now sign the one that will; what is before it, the old one seals."""
        assert self._place is not None  # noqa: S101
        self.append([], now_ms)  # the clock's entry, should there be one, has its number before the key's
        if self._segment is not None and self._segment.day != day_of(now_ms):
            self._seal(self._place, self._segment)
        signer, successor = self._signers[1], self._signers[0]
        assert self._signer is signer  # noqa: S101
        old, new = str(signer.verifier), str(successor.verifier)
        signature = signer.sign(rotation(signer.verifier.name, self._edge.size, old, new))
        entry: Entry = {"kind": "key", "old": old, "new": new, "signature": to_base64(signature)}
        self._signer = successor
        self.append([entry], now_ms)

    def _skip_pending(self, checkpoint: Checkpoint) -> None:
        """Forget what the checkpoint on disk has: the error came after it was put there."""
        assert self._checkpoint is not None  # noqa: S101
        known = checkpoint.size - self._checkpoint.size
        rest = []
        for at, lines in self._pending:
            rest += [(at, lines[known:])] if known < len(lines) else []
            known = max(known - len(lines), 0)
        self._pending = rest

    def _write_pending(self) -> None:
        try:
            while self._written < len(self._pending):
                self._write(*self._pending[self._written])
                self._written += 1
        except OSError:
            self._shut()
            raise

    def _write(self, at: int, lines: list[bytes]) -> None:
        assert self._place is not None  # noqa: S101
        if self._tail_ms is not None and at - self._tail_ms > recovery.AT_RISK_MS // 2:
            self._commit()  # a disk that was full, or a clock that jumps, leaves no tail that a sensor does not leave
        day = day_of(at)
        if self._segment is not None and self._segment.day != day:
            self._seal(self._place, self._segment)
        if self._segment is None:
            self._start_segment(self._place, Segment(self._number + 1, day))
        self._tail_ms = at if self._tail_ms is None else self._tail_ms
        leaves = [leaf_hash(line) for line in lines]
        write_all(self._text, b"\n".join((*lines, b"")))
        write_all(self._sums, b"".join([leaf[:SUM_OCTETS] for leaf in leaves]))
        self._edge.extend(leaves)

    def _commit(self) -> Checkpoint:
        assert self._place is not None  # noqa: S101
        assert self._signer is not None  # noqa: S101
        newest = self._checkpoint
        if newest is None or self._edge.size > newest.size:
            newest = Checkpoint.of(self._signer.verifier.name, self._edge)
            os.fsync(self._text)
            self._place.put(CHECKPOINT, sign(str(newest), self._signer).encode())
            self._checkpoint = newest
            del self._pending[: self._written]
            self._written = 0
            self._tail_ms = None
        return newest

    def _start_segment(self, place: Directory, segment: Segment) -> None:
        self._number = segment.number
        self._segment = segment
        self._open_segment(place, segment)
        place.sync()

    def _open_segment(self, place: Directory, segment: Segment) -> None:
        self._text = place.open(segment.file(TEXT), _WRITE | os.O_CREAT)
        self._sums = place.open(segment.file(SUMS), _WRITE | os.O_CREAT)

    def _seal(self, place: Directory, segment: Segment) -> None:
        """End a segment: nothing comes behind its note. Compressing it takes its time, beside."""
        assert self._signer is not None  # noqa: S101
        self._commit()
        os.fsync(self._sums)
        noted = Checkpoint.of(self._signer.verifier.name, self._edge, with_edge=True)
        place.put(segment.file(NOTE), sign(str(noted), self._signer).encode())
        self._close_segment()
        self._compress()

    def _close_segment(self) -> None:
        text, sums = self._text, self._sums
        self._text = self._sums = -1
        self._segment = None
        for fd in (text, sums):
            if fd >= 0:
                os.close(fd)

    def _shut(self) -> None:
        """Let go of everything; what is pending stays for the next ``open``."""
        self._written = 0
        self._tail_ms = None
        try:
            self._close_segment()
        finally:
            place, self._place = self._place, None
            if place is not None:
                place.close()
