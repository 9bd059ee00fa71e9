#!/usr/bin/env python3
"""Verify a ledger of legwatch, or a proof out of one, without trusting legwatch: written from docs/LEDGER.md alone.

Beside Python 3.9 and its standard library it needs somebody who knows Ed25519 (the package ``cryptography``, or the
program openssl from 3.0 on) and, for segments that are sealed, zstd (Python 3.14, the package ``zstandard``, or the
program zstd). Memory does not grow with the ledger but by a note for each segment.

Exit status: 0 verified, 1 something does not hold, 2 it could not be tried.
"""

from __future__ import annotations

import argparse
import base64
import binascii
import hashlib
import importlib
import io
import json
import os
import re
import stat
import subprocess
import sys
import tempfile
import time
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, NoReturn, cast

DAY_MS = 86_400_000
TRIES = 3  # where it is written meanwhile, and what was read first is not of what was read last
AHEAD_MS = 300_000  # that two machines' clocks may be apart
SUM_OCTETS = 4
HASH_OCTETS = 32
ID_OCTETS = 4  # of a key, before its signatures
MAX_NOTE = 65_536  # octets; no checkpoint comes near
MAX_LINE = 1 << 24  # octets; no entry comes near
MAX_STAMP = 65_536  # octets; one with its certificates has some thousand
MAX_PROOF = 1 << 26  # octets; three times an entry, which JSON may escape, and its note
MAX_INTEGER = 2**53 - 1
TOLD = ("ledger", "key", "clock", "deleted")  # kinds that say something of the ledger
UNPACKED = 512  # octets at a time: what cannot be unpacked takes no more than this of what is before it along
MAX_WINDOW = 1 << 27  # octets that a decoder of zstd has to remember

FILE = re.compile(r"([0-9]{8})-([0-9]{8})(\.jsonl|\.jsonl\.zst|\.sums|\.note|\.note\.tsr)")
NUMBER = r"(0|[1-9][0-9]{0,15})"
SIGNATURE = r"— ([^\s+]+) ([A-Za-z0-9+/]+=*)\n"
NOTE = re.compile(rf"(([^\n]+)\n{NUMBER}\n([A-Za-z0-9+/]{{43}}=)\n(?:edge ([A-Za-z0-9+/]+=*)\n)?)\n((?:{SIGNATURE})+)")
KEY = re.compile(r"([^\s+]+)\+([0-9a-f]{8})\+([A-Za-z0-9+/]+=*)")


class MisfitError(Exception):
    """Something does not hold; the text says what."""


class UnableError(Exception):
    """It could not be tried; the text says why."""


class Fault(NamedTuple):
    """What does not hold."""

    entry: int | None  # the first that it is about
    place: str  # segment and line, or a file
    what: str

    def __str__(self) -> str:
        named = "" if self.entry is None else f"entry {self.entry}"
        place = f" ({self.place})" if named and self.place else self.place
        return f"{named}{place}: {self.what}"


# --- keys, signatures, notes


def unbase64(text: str) -> bytes:
    """Return what base64 says, when it is in its one form."""
    try:
        octets = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise MisfitError("has what is no base64") from None
    if base64.b64encode(octets).decode() != text:
        raise MisfitError("has base64 that is not in its one form")
    return octets


class Key(NamedTuple):
    """A verifier key of signed notes."""

    name: str
    id: bytes
    public: bytes
    text: str


def parse_key(text: str) -> Key:
    """Read a verifier key."""
    found = KEY.fullmatch(text)
    octets = unbase64(found[3]) if found else b""
    if not found or len(octets) != 1 + HASH_OCTETS or octets[0] != 1:
        raise MisfitError("is no verifier key of Ed25519: NAME+HASH+BASE64")
    try:
        identity = hashlib.sha256(found[1].encode() + b"\n" + octets).digest()[:ID_OCTETS]
    except UnicodeEncodeError:
        raise MisfitError("is a verifier key whose name is no text") from None
    if identity.hex() != found[2]:
        raise MisfitError("is a verifier key whose hash is not its own")
    return Key(found[1], identity, octets[1:], text)


def is_signed(public: bytes, octets: bytes, signature: bytes) -> bool:
    """Say whether an Ed25519 signature is right."""
    try:
        ed25519 = importlib.import_module("cryptography.hazmat.primitives.asymmetric.ed25519")
        invalid = importlib.import_module("cryptography.exceptions").InvalidSignature
    except ImportError:
        return is_signed_by_program(public, octets, signature)
    try:
        ed25519.Ed25519PublicKey.from_public_bytes(public).verify(signature, octets)
    except (invalid, ValueError):
        return False
    return True


def is_signed_by_program(public: bytes, octets: bytes, signature: bytes) -> bool:
    """Ask openssl."""
    info = bytes.fromhex("302a300506032b6570032100") + public  # RFC 8410 section 4
    pem = b"-----BEGIN PUBLIC KEY-----\n" + base64.b64encode(info) + b"\n-----END PUBLIC KEY-----\n"
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder, name) for name in ("key", "text", "signature")]
        for path, content in zip(files, (pem, octets, signature)):
            path.write_bytes(content)
        key, text, signed = map(str, files)
        said = openssl("pkeyutl", "-verify", "-pubin", "-inkey", key, "-rawin", "-in", text, "-sigfile", signed)
    if said.startswith("Signature Verified Successfully"):
        return True
    if "Signature Verification Failure" in said:
        return False
    raise UnableError(f"openssl cannot verify Ed25519: {' '.join(said.split())[:200]}")


def openssl(*arguments: str) -> str:
    """Return what openssl prints."""
    try:
        done = subprocess.run(["openssl", *arguments], capture_output=True, check=False)
    except OSError:
        raise UnableError("the program openssl is needed, or, but for time stamps, the package cryptography") from None
    return (done.stdout + done.stderr).decode(errors="replace")


class Note(NamedTuple):
    """A checkpoint with its signature."""

    what: str  # the file
    text: bytes  # that is signed
    origin: str
    size: int
    root: bytes
    edge: Tree | None
    signatures: Sequence[tuple[str, bytes, bytes]]  # by whom: the name, and the first octets of the key's hash


def parse_note(what: str, octets: bytes) -> Note:
    """Read a note; whether it is signed rightly is another question."""
    try:
        note = octets.decode()
    except UnicodeDecodeError:
        raise MisfitError("is no signed checkpoint") from None
    found = NOTE.fullmatch(note)
    if found is None or len(octets) > MAX_NOTE or any(each < " " and each != "\n" for each in note):
        raise MisfitError("is no signed checkpoint")
    text, origin, size, root, hashes, signed = found.groups()[:6]
    edge = None
    if hashes is not None:
        edge = Tree.of(int(size), unbase64(hashes))
        if edge is None or edge.root() != unbase64(root):
            raise MisfitError("has an edge that does not give its root")
    by = [(name, unbase64(octets)) for name, octets in re.findall(SIGNATURE, signed)]
    if any(len(octets) <= ID_OCTETS for _, octets in by):
        raise MisfitError("is no signed checkpoint")
    signatures = [(name, octets[:ID_OCTETS], octets[ID_OCTETS:]) for name, octets in by]
    return Note(what, text.encode(), origin, int(size), unbase64(root), edge, signatures)


def check_signature(note: Note, key: Key) -> None:
    """See that a key has signed a note; what others signed does not matter."""
    by = [signature for *whom, signature in note.signatures if whom == [key.name, key.id]]
    if note.origin != key.name or not by:
        raise MisfitError(f"is not signed by {key.text}")
    if not all(is_signed(key.public, note.text, signature) for signature in by):
        raise MisfitError("has a signature that is wrong")


def is_by(note: Note, key: Key) -> bool:
    """Say whether a key seems to have signed a note."""
    return key.id in [identity for _, identity, _ in note.signatures]


# --- the tree (RFC 6962)


def leaf_hash(line: bytes) -> bytes:
    """Return the hash of an entry."""
    return hashlib.sha256(b"\0" + line).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return the hash of two subtrees."""
    return hashlib.sha256(b"\1" + left + right).digest()


class Tree:
    """The edge of a tree that grows."""

    def __init__(self, size: int = 0, hashes: Sequence[bytes] = ()) -> None:
        self.size = size
        self.hashes = list(hashes)

    @classmethod
    def of(cls, size: int, octets: bytes) -> Tree | None:
        """Return the tree with an edge, None when its size has another number of hashes."""
        hashes = [octets[each : each + HASH_OCTETS] for each in range(0, len(octets), HASH_OCTETS)]
        return cls(size, hashes) if len(octets) == bin(size).count("1") * HASH_OCTETS else None

    def append(self, leaf: bytes) -> None:
        """Add an entry by its hash."""
        full = self.size
        while full & 1:
            leaf = node_hash(self.hashes.pop(), leaf)
            full >>= 1
        self.hashes.append(leaf)
        self.size += 1

    def root(self) -> bytes:
        """Return the root."""
        if not self.hashes:
            return hashlib.sha256().digest()
        root = self.hashes[-1]
        for left in self.hashes[-2::-1]:
            root = node_hash(left, root)
        return root


def root_by_inclusion(leaf: bytes, index: int, size: int, proof: Sequence[bytes]) -> bytes | None:
    """Return the root that a proof leads to, None when it is too long or too short (RFC 9162 section 2.1.3.2)."""
    fn, sn, root = index, size - 1, leaf
    for node in proof:
        if sn == 0:
            return None
        if fn & 1 or fn == sn:
            root = node_hash(node, root)
            while fn and not fn & 1:
                fn, sn = fn >> 1, sn >> 1
        else:
            root = node_hash(root, node)
        fn, sn = fn >> 1, sn >> 1
    return root if sn == 0 else None


def is_consistent(first: Note, second: Note, proof: Sequence[bytes]) -> bool:
    """Say whether the second tree goes on from the first (RFC 9162 section 2.1.4.2)."""
    if not 0 < first.size <= second.size:
        return False
    if first.size == second.size:
        return first.root == second.root and not proof
    path = [first.root, *proof] if first.size & (first.size - 1) == 0 else list(proof)
    if not path:
        return False
    fn, sn = first.size - 1, second.size - 1
    while fn & 1:
        fn, sn = fn >> 1, sn >> 1
    before = after = path[0]
    for node in path[1:]:
        if sn == 0:
            return False
        if fn & 1 or fn == sn:
            before, after = node_hash(node, before), node_hash(node, after)
            while fn and not fn & 1:
                fn, sn = fn >> 1, sn >> 1
        else:
            after = node_hash(after, node)
        fn, sn = fn >> 1, sn >> 1
    return sn == 0 and (before, after) == (first.root, second.root)


# --- sealed segments (RFC 8878)


HEAD_OCTETS = 3  # of a block
RLE, RESERVED = 1, 3  # types of blocks


class Part(io.RawIOBase):
    """The first octets of a file, and no more."""

    def __init__(self, file: BinaryIO, length: int) -> None:
        super().__init__()
        self._file = file
        self._left = length

    def readable(self) -> bool:
        """It is."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Read some."""
        octets = self._file.read(min(len(buffer), self._left))
        self._left -= len(octets)
        buffer[: len(octets)] = octets
        return len(octets)


def frame_of(file: BinaryIO) -> tuple[int, int]:
    """Return the length of the frame that a file begins with, and of what it unpacks to."""
    magic, header = file.read(4), file.read(1)
    if magic != b"\x28\xb5\x2f\xfd" or not header:
        raise MisfitError("is no frame of zstd")
    flags = header[0]
    single, sizes = flags >> 5 & 1, flags >> 6
    length = (single, 2, 4, 8)[sizes]
    if not length or flags & 0b11011 or not flags & 0b100:
        raise MisfitError("is a frame of zstd without size or checksum, or with what no ledger has")
    rest = file.read((1 - single) + length)
    content = int.from_bytes(rest[1 - single :], "little") + (256 if sizes == 1 else 0)
    last = 0
    while not last:
        head = file.read(HEAD_OCTETS)
        block = int.from_bytes(head, "little")
        last, kind, size = block & 1, block >> 1 & 3, block >> 3
        if len(head) != HEAD_OCTETS or kind == RESERVED:
            raise MisfitError("is a frame of zstd that breaks off")
        file.seek(1 if kind == RLE else size, os.SEEK_CUR)
    return file.tell() + 4, content


def check_digest(path: Path) -> tuple[int, int]:
    """See that a sealed segment's file is a frame and its digest, and nothing else; return what ``frame_of`` does."""
    with path.open("rb") as file:
        length, content = frame_of(file)
        file.seek(0)
        digest = hashlib.sha256()
        part = Part(file, length)
        while octets := part.read(1 << 20):
            digest.update(octets)
        # A frame that decoders skip, of 32 octets.
        if file.read(HASH_OCTETS + 9) != bytes.fromhex("502a4d1820000000") + digest.digest():
            raise MisfitError("is not what its digest is of")
    return length, content


@contextmanager
def unpacked(path: Path) -> Iterator[BinaryIO]:
    """Give the text of a sealed segment; reading it may raise what ``UNPACKING`` has."""
    for name in ("compression.zstd", "zstandard"):
        try:
            module = importlib.import_module(name)
        except ImportError:
            continue
        with path.open("rb") as file:
            if name == "zstandard":
                raw = module.ZstdDecompressor(max_window_size=MAX_WINDOW).stream_reader(file, read_across_frames=True)
            else:
                raw = module.ZstdFile(file)
            with io.BufferedReader(raw, UNPACKED) as stream:
                try:
                    yield cast("BinaryIO", stream)
                except (module.ZstdError, EOFError) as error:
                    raise MisfitError(f"cannot be unpacked: {error}") from None
        return
    with path.open("rb") as file, tempfile.TemporaryFile() as said:
        try:
            program = subprocess.Popen(["zstd", "-dcq"], stdin=file, stdout=subprocess.PIPE, stderr=said)
        except OSError:
            raise UnableError("the package zstandard or the program zstd is needed to read what is sealed") from None
        with program:
            yield cast("BinaryIO", program.stdout)
            cast("BinaryIO", program.stdout).read(1)  # it has ended by now, or has no more to say
        if program.returncode:
            said.seek(0)
            raise MisfitError(f"cannot be unpacked: {' '.join(said.read().decode(errors='replace').split())[:200]}")


# --- time stamps (RFC 3161)


def fields(der: bytes) -> list[tuple[int, bytes]]:
    """Return what a constructed value of DER has in it: tags and contents."""
    found, at = [], 0
    while at < len(der):
        tag, length, at = der[at], der[at + 1], at + 2
        if length & 0x80:
            octets = length & 0x7F
            length, at = int.from_bytes(der[at : at + octets], "big"), at + octets
        if at + length > len(der):
            raise IndexError
        found.append((tag, der[at : at + length]))
        at += length
    return found


def check_stamp(note: Path, stamp: Path, authority: str | None) -> str:
    """See that a time stamp is of a note, and signed if a certificate is given; return its time."""
    try:
        ((_, response),) = fields(read(stamp, MAX_STAMP))
        (_, status), (_, token) = fields(response)
        (_, granted), *_ = fields(status)
        _, (_, signed) = fields(token)
        ((_, signed),) = fields(signed)
        _, _, (_, content), *_ = fields(signed)
        _, (_, content) = fields(content)
        ((_, content),) = fields(content)
        ((_, info),) = fields(content)
        _, _, (_, imprint), _, (_, at), *_ = fields(info)
        (_, algorithm), (_, digest) = fields(imprint)
        (_, oid), *_ = fields(algorithm)
        when = datetime.strptime(at.decode()[:14], "%Y%m%d%H%M%S").replace(tzinfo=timezone.utc)
    except (IndexError, ValueError):
        raise MisfitError("is no time stamp") from None
    names = {"608648016503040201": "sha256", "608648016503040202": "sha384", "608648016503040203": "sha512"}
    name = names.get(oid.hex())
    if granted != b"\0" or name is None or hashlib.new(name, read(note)).digest() != digest:
        raise MisfitError(f"is no time stamp of {note.name}")
    if authority is not None:
        at_time = str(int(when.timestamp()))  # certificates end, and what they signed stays signed
        said = openssl(
            *("ts", "-verify", "-in", str(stamp), "-data", str(note), "-CAfile", authority, "-attime", at_time)
        )
        if "Verification: OK" not in said:
            raise MisfitError(f"is not signed by that authority: {' '.join(said.split())[:200]}")
    return f"{when:%Y-%m-%d %H:%M:%S} UTC"


# --- the ledger


class Segment:
    """What there is of a segment."""

    def __init__(self, number: int, day: str) -> None:
        self.number = number
        self.stem = f"{number:08}-{day}"
        self.day_ms = -1
        try:
            begins = datetime.strptime(day, "%Y%m%d").replace(tzinfo=timezone.utc)
            self.day_ms = (begins - datetime(1970, 1, 1, tzinfo=timezone.utc)) // timedelta(milliseconds=1)
        except ValueError:
            pass  # no entry is of such a day
        self.parts: set[str] = set()

    @property
    def entries(self) -> bool:
        """Whether its entries are there."""
        return bool(self.parts & {".jsonl", ".jsonl.zst"})

    @property
    def sealed(self) -> bool:
        """Whether no entry comes any more."""
        return ".note" in self.parts


def segments_in(directory: Path) -> list[Segment]:
    """Return the segments that files are of, by number."""
    found: dict[tuple[int, str], Segment] = {}
    names = {file.name for file in directory.iterdir()}
    for name in names:
        match = FILE.fullmatch(name)
        if match and not is_stray(name, names):
            number, day, part = match.groups()
            found.setdefault((int(number), day), Segment(int(number), day)).parts.add(part)
    return [found[each] for each in sorted(found)]


def is_stray(name: str, names: set[str]) -> bool:
    """Say whether a file is a time stamp of no note."""
    return name.endswith(".tsr") and name[: -len(".tsr")] not in names


def no_plain_file(directory: Path) -> str | None:
    """Return a part of the ledger that is a link, which may lead elsewhere tomorrow, or no file; None for none."""
    files = list(directory.iterdir())
    names = {file.name for file in files}
    for file in files:
        if (not FILE.fullmatch(file.name) and file.name != "checkpoint") or is_stray(file.name, names):
            continue
        with suppress(FileNotFoundError):  # taken away since the directory was listed
            if not stat.S_ISREG(file.lstat().st_mode):
                return file.name
    return None


def unfit_directory(directory: Path, listed: Sequence[Segment]) -> Fault | None:
    """Return why nothing in a directory can be told, None when it can."""
    for segment, behind in zip(listed, listed[1:]):
        if segment.number == behind.number:
            return Fault(None, behind.stem, f"has the number that {segment.stem} has")
    name = no_plain_file(directory)
    return None if name is None else Fault(None, name, "is no plain file")


class Ledger:
    """One look at a ledger, which may be written meanwhile."""

    def __init__(self, directory: Path, keys: Sequence[Key], authority: str | None, now_ms: int) -> None:
        self.directory = directory
        self.keys = keys
        self.authority = authority
        self.latest = now_ms + AHEAD_MS
        self.faults: list[Fault] = []
        self.said: list[str] = []  # that is worth knowing, and no fault
        self.notes: list[tuple[Note, int | None, str]] = []  # with entry and place, should it not be signed rightly
        self.epochs: list[tuple[int, Key]] = []  # sizes above the number are signed by the key, up to the next
        self.deleted: dict[tuple[str, int, str], int] = {}  # with the entry that says so
        self.wanted: dict[int, bytes | None] = {}  # roots at sizes
        self.floor = 0  # the next entry's time is this at least
        self.first = 0
        self.tree = Tree()
        self.witnesses: list[Note] = []
        self.checkpoint: Note | None = None
        self.behind: tuple[Note, Segment] | None = None  # what hashing begins behind
        self.suspect: Fault | None = None  # the first of its segment

    def verify(self, witnesses: Sequence[str]) -> None:
        """Verify it all; what does not hold is in ``faults``, the first entry first."""
        listed = segments_in(self.directory)
        if (unfit := unfit_directory(self.directory, listed)) is not None:
            self.faults.append(unfit)
            return
        unread: str | None = None
        try:
            self.checkpoint = parse_note("checkpoint", read(self.directory / "checkpoint"))
            self.wanted[self.checkpoint.size] = None
        except FileNotFoundError:
            unread = "is missing"
        except MisfitError as misfit:
            unread = str(misfit)
        for name in witnesses:
            self.witness(name)
        start = self.segments(listed)
        if unread is not None:
            self.faults.append(Fault(start, "checkpoint", unread))
        elif self.checkpoint is not None:
            self.notes.append((self.checkpoint, start, "checkpoint"))
            self.compare(self.checkpoint, "checkpoint", start)
        for note in self.witnesses:
            self.notes.append((note, None, f"witness {note.what}"))
            self.compare(note, f"witness {note.what}", None)
        if self.checkpoint is not None:
            self.newest(self.checkpoint.size)
        self.signatures()
        if self.behind is not None and not self.faults:  # what does not hold may be the entry that says it
            self.check_deleted(*self.behind)
        self.faults.sort(key=lambda fault: (fault.entry is None, fault.entry or 0))

    def newest(self, size: int) -> None:
        """See that no note is of more entries than the checkpoint."""
        noted = max((note.size for note, _, _ in self.notes if note not in self.witnesses), default=0)
        if size < noted:
            said = f"is of {size} entries, and there is a note of {noted}: it was put back"
            self.faults.append(Fault(size, "checkpoint", said))

    def witness(self, name: str) -> None:
        """Take a checkpoint that was kept elsewhere."""
        try:
            note = parse_note(name, read(Path(name)))
        except MisfitError as misfit:
            self.faults.append(Fault(None, f"witness {name}", str(misfit)))
            return
        self.witnesses.append(note)
        self.wanted[note.size] = None

    def segments(self, segments: Sequence[Segment]) -> int:
        """Verify segment by segment; return the first entry of the last one."""
        there = [each for each in segments if each.entries]
        if not there:
            self.faults.append(Fault(0, "", "there are no entries"))
            return 0
        older = [each for each in segments if each.number < there[0].number and each.sealed]
        base = self.base(there[0], older)
        start = self.first = self.tree.size
        for number, segment in enumerate(there, there[0].number):
            if segment.number != number:
                start = self.tree.size
                self.faults.append(Fault(start, segment.stem, "segments before it are missing"))
                self.rest([each for each in there if each.number >= segment.number], start)
                break
            start = self.tree.size
            self.segment(segment, last=segment is there[-1])
        self.rest([each for each in segments if each.number > there[0].number and not each.entries], None)
        if base is not None:
            self.behind = base, older[-1]
        for segment in segments:
            if segment.parts >= {".note", ".note.tsr"}:
                self.stamp(segment)
        return start

    def rest(self, segments: Sequence[Segment], entry: int | None) -> None:
        """Read the notes of segments that cannot be verified."""
        if entry is None:
            entry = min([self.tree.size, *(each.entry for each in self.faults if each.entry is not None)])
        for segment in segments:
            if not segment.entries:
                self.faults.append(Fault(entry, segment.stem, "its entries are missing"))
            if segment.sealed:
                self.note(segment, entry)

    def base(self, first: Segment, older: Sequence[Segment]) -> Note | None:
        """Begin behind what was deleted; return its note, None when nothing was."""
        if first.number == 0:
            return None
        if not older or older[-1].number != first.number - 1:
            self.faults.append(Fault(0, first.stem, "segments before it are missing, and the note of the last of them"))
            return None
        note = None
        size = 0
        for segment in older:
            note = self.note(segment, 0)
            if note is not None and note.size <= size:
                self.faults.append(Fault(0, segment.stem, "its note is of no more entries than the one before"))
            size = size if note is None else note.size
        if note is not None and note.edge is not None:
            self.tree = Tree(note.size, note.edge.hashes)
            self.root()
        return note

    def check_deleted(self, base: Note, segment: Segment) -> None:
        """See that the ledger says what was deleted."""
        said = segment.stem, base.size, base64.b64encode(base.root).decode()
        if self.deleted.get(said, self.signed_to()) >= self.signed_to():
            self.faults.append(
                Fault(0, segment.stem, "entries up to here are missing, and none says that they were deleted")
            )

    def note(self, segment: Segment, entry: int) -> Note | None:
        """Return the note of a segment, None when it is none."""
        said = "has no edge"
        note = None
        try:
            note = parse_note(f"{segment.stem}.note", read(self.directory / f"{segment.stem}.note"))
        except FileNotFoundError:
            said = "is missing"
        except MisfitError as misfit:
            said = str(misfit)
        if note is None or note.edge is None:
            self.faults.append(Fault(entry, f"{segment.stem}.note", said))
            return None
        self.notes.append((note, entry, f"{segment.stem}.note"))
        return note

    def segment(self, segment: Segment, *, last: bool) -> None:
        """Verify a segment, from the tree at its beginning to that at its end."""
        first, fault = self.tree.size, None
        try:
            with self.sums(segment) as sums:
                fault = self.entries(segment, sums)
        except MisfitError as misfit:  # read to its end, and yet not what it should be
            fault = Fault(first, segment.stem, str(misfit))
        if fault is not None and fault.place == segment.stem and fault.entry is not None:
            fault = fault._replace(place=f"{segment.stem}, line {fault.entry - first + 1}")
        if last and not segment.sealed:
            self.settle(fault, segment, None)
            return
        note = self.note(segment, first)
        fits = None if note is None else (note.size, note.root) == (self.tree.size, self.tree.root())
        if fits is False and fault is None:
            said = f"entries {first} to {self.tree.size - 1} are not those that its note is of, though each has its sum"
            fault = Fault(min(first, cast("Note", note).size), segment.stem, said)
        self.settle(fault, segment, fits)
        if note is not None and note.edge is not None:
            self.tree = Tree(note.size, note.edge.hashes)

    def settle(self, fault: Fault | None, segment: Segment, fits: bool | None) -> None:
        """Keep a fault, and say of one by its sum which of the two is wrong, where a note tells."""
        if fault is None:
            return
        if fault.what == NOT_ITS_SUM and fits:
            fault = fault._replace(what=f"is what was signed: {segment.stem}.sums was changed")
        self.faults.append(fault)

    @contextmanager
    def sums(self, segment: Segment) -> Iterator[BinaryIO]:
        """Open the sums of a segment; an open one may have none yet."""
        path = self.directory / f"{segment.stem}.sums"
        if ".sums" in segment.parts:
            with path.open("rb") as file:
                # Of what is appended from now on, the text may be seen without its sum, but no sum without its text.
                yield cast("BinaryIO", io.BufferedReader(Part(file, os.fstat(file.fileno()).st_size)))
        elif segment.sealed:
            raise MisfitError("its sums are missing")
        else:
            yield io.BytesIO()

    def entries(self, segment: Segment, sums: BinaryIO) -> Fault | None:
        """Read a segment to its end; return the first thing that does not hold."""
        path = self.directory / f"{segment.stem}.jsonl"
        fault: Fault | None = None
        start = self.tree.size
        try:
            plain = path.open("rb")
        except FileNotFoundError:  # it is compressed, maybe since the directory was looked at
            path = self.directory / f"{segment.stem}.jsonl.zst"
            packed = None
            try:
                packed = check_digest(path)
            except MisfitError as misfit:
                fault = Fault(self.tree.size, path.name, str(misfit))  # unless an entry can be named, below
            try:
                with unpacked(path) as text:
                    inner, octets = self.lines(segment, text, sums)
            except MisfitError as misfit:
                return Fault(self.tree.size, segment.stem, str(misfit)) if self.suspect is None else self.suspect
            if packed is not None and octets != packed[1]:
                fault = Fault(start, path.name, "unpacks to another length than it says")
            return inner or fault
        with plain:
            fault = self.lines(segment, plain, sums)[0]
        if fault is None and ".jsonl.zst" in segment.parts and not self.is_same(segment):
            fault = Fault(start, segment.stem, "is not what is compressed beside it")
        return fault

    def is_same(self, segment: Segment) -> bool:
        """Say whether a text that is compressed already is what is compressed."""
        path = self.directory / f"{segment.stem}.jsonl.zst"
        try:
            check_digest(path)
            with (self.directory / f"{segment.stem}.jsonl").open("rb") as plain, unpacked(path) as text:
                while octets := plain.read(1 << 20):
                    if text.read(len(octets)) != octets:
                        return False
                return not text.read(1)
        except FileNotFoundError:  # it has gone by now
            return True
        except MisfitError:
            return False

    def lines(self, segment: Segment, text: BinaryIO, sums: BinaryIO) -> tuple[Fault | None, int]:
        """Hash each entry and look at it; return the first that does not hold, and the octets read."""
        octets = wrong = 0
        tree = self.tree
        self.suspect = None
        while line := text.readline(MAX_LINE):
            octets += len(line)
            number = tree.size
            if not line.endswith(b"\n"):
                if segment.sealed or len(line) == MAX_LINE:
                    self.blame(number, segment, "does not end")
                break
            line = line[:-1]
            leaf = leaf_hash(line)
            each = sums.read(SUM_OCTETS)
            # Behind one sum that is wrong reading goes on, as the note tells whether the sum or the entry was changed.
            # Behind anything else it does not: a segment may be made to unpack to any size.
            if each != leaf[:SUM_OCTETS] and (segment.sealed or not leaf.startswith(each)):
                wrong += 1
                self.blame(number, segment, NOT_ITS_SUM)
                if wrong > 1 or len(each) < SUM_OCTETS:
                    return self.suspect, octets
            try:
                self.look(number, line, segment)
            except MisfitError as misfit:
                self.blame(number, segment, str(misfit))
                return self.suspect, octets
            tree.append(leaf)
            self.root()
        if sums.read(1):
            self.blame(tree.size, segment, "is not there, and has a sum")
        return self.suspect, octets

    def root(self) -> None:
        """Keep the root here, should a checkpoint be of it."""
        if self.tree.size in self.wanted:
            self.wanted[self.tree.size] = self.tree.root()

    def blame(self, number: int, segment: Segment, what: str) -> None:
        """Remember the first entry of a segment that does not fit."""
        if self.suspect is None:
            self.suspect = Fault(number, segment.stem, what)

    def look(self, number: int, line: bytes, segment: Segment) -> None:
        """See what an entry says of the ledger."""
        entry = entry_of(line)
        kind, at = entry["kind"], entry["at"]
        if at > self.latest:
            raise MisfitError("is from the future")
        if at < self.floor:
            raise MisfitError("has a time before that of the entry before it")
        if not segment.day_ms <= at < segment.day_ms + DAY_MS or segment.day_ms < 0:
            raise MisfitError("is of another day than its segment")
        self.floor = at
        if number == 0:
            self.begin(entry)
        elif kind == "key":
            self.change(number, entry)
        elif kind == "clock" and type(entry.get("back")) is int:
            self.floor -= max(entry["back"], 0)
        elif kind == "deleted":
            stem, size, root = (entry.get(name) for name in ("segment", "size", "root"))
            if type(stem) is str and type(size) is int and type(root) is str:
                self.deleted.setdefault((stem, size, root), number)

    def begin(self, entry: dict[str, Any]) -> None:
        """Take the first key from the first entry."""
        if entry["kind"] != "ledger" or entry.get("format") != 1:
            raise MisfitError("is not how a ledger of format 1 begins")
        key = parse_key(str(entry.get("vkey")))
        if key.name != entry.get("origin"):
            raise MisfitError("has a key with the name of another ledger")
        self.epochs.append((-1, key))

    def change(self, number: int, entry: dict[str, Any]) -> None:
        """Take a new key."""
        old, new = parse_key(str(entry.get("old"))), parse_key(str(entry.get("new")))
        if not self.epochs:  # what was before is deleted
            self.epochs.append((-1, old))
        if old != self.epochs[-1][1] or new.name != old.name:
            raise MisfitError("has an old key that was not the one, or a new one of another name")
        lines = ("legwatch ledger key", old.name, str(number), old.text, new.text)
        signed = "".join(f"{each}\n" for each in lines).encode()
        if not is_signed(old.public, signed, unbase64(str(entry.get("signature")))):
            raise MisfitError("is a new key that the old one did not sign")
        self.epochs.append((number, new))

    def compare(self, note: Note, what: str, entry: int | None) -> None:
        """Hold the tree against a checkpoint."""
        if note.size > self.tree.size:
            said = f"is of {note.size} entries: from here on they are missing"
            self.faults.append(Fault(self.tree.size, what, said))
        elif note.size < self.first:
            self.said.append(f"{what} is of {note.size} entries, which are deleted: nothing is held against it")
        elif self.wanted[note.size] != note.root and not self.faults:
            self.faults.append(Fault(entry, what, f"of {note.size} entries: they were others"))

    def signed_to(self) -> int:
        """Return how many entries some note is of: what no note is of, anybody may have written."""
        return max((note.size for note, _, _ in self.notes), default=0)

    def signatures(self) -> None:
        """See that each note is signed by whom it has to be."""
        if not self.epochs and self.faults:
            return  # what does not hold may be, or hide, the entry that says it
        if not self.epochs:
            here = [key for key in self.keys if self.checkpoint is not None and is_by(self.checkpoint, key)]
            self.epochs.append((-1, (here or self.keys)[0]))
        # A key that only entries name which nobody has signed has signed nothing: anybody can name it.
        self.epochs = [each for each in self.epochs if each[0] < self.signed_to()]
        numbers = [number for number, _ in self.epochs]
        known = [key for _, key in self.epochs]
        # The entry that names it may be the one that does not hold, or be behind it.
        if not self.faults and not any(key in known for key in self.keys):
            self.faults.append(Fault(self.first, "", f"{self.keys[0].text} is no key of this ledger"))
        for note, entry, place in self.notes:
            key = self.epochs[max(bisect_left(numbers, note.size) - 1, 0)][1]
            if note.size < self.first and not any(is_by(note, each) for each in known):
                continue  # a key that no entry is left of
            try:
                check_signature(note, key)
            except MisfitError as misfit:
                # An entry that does not hold may be the one that names the key.
                named = [each.entry for each in self.faults if each.entry is not None]
                if entry is None or not any(entry <= each < note.size for each in named):
                    self.faults.append(Fault(entry, place, str(misfit)))

    def stamp(self, segment: Segment) -> None:
        """Look at the time stamp of a note."""
        note = self.directory / f"{segment.stem}.note"
        stamp = self.directory / f"{segment.stem}.note.tsr"
        try:
            at = check_stamp(note, stamp, self.authority)
        except MisfitError as misfit:
            self.faults.append(Fault(None, stamp.name, str(misfit)))
            return
        whom = "" if self.authority else "; who signed that was not looked at (--tsa-ca)"
        self.said.append(f"{note.name} was there at {at}{whom}")


NOT_ITS_SUM = "is not the entry that its sum is of"


def read(path: Path, most: int = MAX_NOTE) -> bytes:
    """Return what a file has; one octet more than ``most`` tells that it has more."""
    with path.open("rb") as file:
        return file.read(most + 1)


def refuse(number: str) -> NoReturn:
    """Refuse what no entry has: fractions, exponents, NaN."""
    raise ValueError(number)


ENTRIES = json.JSONDecoder(parse_float=refuse, parse_constant=refuse)


def entry_of(line: bytes) -> dict[str, Any]:
    """Return the entry that a line has."""
    try:
        entry = ENTRIES.decode(line.decode())
    except (ValueError, RecursionError):
        raise MisfitError("is no JSON that an entry has") from None
    kind, at = (entry.get("kind"), entry.get("at")) if type(entry) is dict else (None, None)
    if type(at) is not int or type(kind) is not str:
        raise MisfitError("has no kind or no time")
    canonical = line[:1] == b"{" and line[-1:] == b"}" and line.count(b'"at":') == 1
    if canonical and (kind in TOLD or b"\\u" in line):
        text = json.dumps(entry, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
        canonical = text.encode(errors="replace") == line and all(map(is_allowed, entry.items()))
    if not canonical:
        raise MisfitError("is not in its canonical form")
    return cast("dict[str, Any]", entry)


def is_allowed(member: tuple[str, Any]) -> bool:
    """Say whether an entry may have a member: a name in ASCII, and integers that every reader has exactly."""
    name, value = member
    if type(value) is list:
        return name.isascii() and all(is_allowed(("", each)) for each in value)
    if type(value) is dict:
        return name.isascii() and all(map(is_allowed, value.items()))
    return name.isascii() and (type(value) is not int or abs(value) <= MAX_INTEGER)


# --- proofs


def proof_of(path: str, names: Sequence[str]) -> dict[str, Any]:
    """Read a proof file."""
    try:
        proof = json.loads(read(Path(path), MAX_PROOF).decode())
    except (ValueError, RecursionError):
        raise MisfitError("is no JSON") from None
    if type(proof) is not dict or sorted(proof) != sorted(names):
        raise MisfitError(f"is no proof: it has not {', '.join(names)} and nothing else")
    for name in names:
        kind = {"hashes": list, "index": int, "size": int}.get(name, str)
        if type(proof[name]) is not kind or (kind is list and any(type(each) is not str for each in proof[name])):
            raise MisfitError(f"is no proof: {name} is not what it should be")
    proof["hashes"] = [unbase64(each) for each in proof["hashes"]]
    if any(len(each) != HASH_OCTETS for each in proof["hashes"]):
        raise MisfitError("has a hash that is none")
    return proof


def signed_note(text: str, keys: Sequence[Key]) -> Note:
    """Read a note that one of the keys has signed."""
    note = parse_note("", encoded(text))
    by = [key for key in keys if (key.name, key.id) in [(name, identity) for name, identity, _ in note.signatures]]
    for key in by:
        check_signature(note, key)
    if not by:
        raise MisfitError(f"is signed by none of {', '.join(key.text for key in keys)}")
    return note


def encoded(text: str) -> bytes:
    """Return the octets of what a proof has; JSON may have what is no text."""
    try:
        return text.encode()
    except UnicodeEncodeError:
        raise MisfitError("has what is no text") from None


def verify_entry(path: str, keys: Sequence[Key]) -> str:
    """Verify the proof of one entry."""
    proof = proof_of(path, ("entry", "index", "size", "hashes", "checkpoint"))
    note = signed_note(proof["checkpoint"], keys)
    if note.size != proof["size"] or not 0 <= proof["index"] < note.size:
        raise MisfitError("is of another tree than its checkpoint, or of no entry of it")
    line = encoded(proof["entry"])
    entry_of(line)
    if root_by_inclusion(leaf_hash(line), proof["index"], note.size, proof["hashes"]) != note.root:
        raise MisfitError(f"does not prove that this is entry {proof['index']}")
    return f"entry {proof['index']} of {note.origin}, verified in {note.size} entries:\n{proof['entry']}"


def verify_consistency(path: str, keys: Sequence[Key]) -> str:
    """Verify the proof that a ledger went on from a checkpoint."""
    proof = proof_of(path, ("first", "second", "hashes"))
    first, second = signed_note(proof["first"], keys), signed_note(proof["second"], keys)
    if first.origin != second.origin or not is_consistent(first, second, proof["hashes"]):
        raise MisfitError(f"does not prove that {second.size} entries go on from these {first.size}")
    return f"{first.origin}: verified that {second.size} entries begin with the {first.size} of before"


# --- the command


def key_of(text: str) -> Key:
    """Return the key that is given by itself or by a file."""
    if not KEY.fullmatch(text):
        text = Path(text).read_text(encoding="utf-8").strip()
    return parse_key(text)


def checkpoint_of(directory: Path) -> bytes:
    """Return what the checkpoint is now."""
    try:
        return read(directory / "checkpoint")
    except OSError:
        return b""


def say(text: str) -> None:
    """Print a line without what a terminal obeys."""
    text = "".join(each if each.isprintable() else "\ufffd" for each in text)
    encoding = sys.stdout.encoding or "ascii"  # which may have no sign for some
    print(text.encode(encoding, "backslashreplace").decode(encoding))


def verified(args: argparse.Namespace) -> Ledger:
    """Return a ledger that was verified, once more where it was written meanwhile."""
    name = ""
    try:
        for name in args.witness:
            parse_note(name, read(Path(name)))
    except MisfitError as misfit:
        raise UnableError(f"witness {name} {misfit}") from None
    for left in reversed(range(TRIES)):
        before = checkpoint_of(Path(args.directory))
        ledger = Ledger(Path(args.directory), args.keys, args.tsa_ca, int(time.time() * 1000))
        try:
            ledger.verify(args.witness)
        except FileNotFoundError:  # its time has come since the directory was listed
            if left:
                continue
            raise
        if not ledger.faults or before == checkpoint_of(Path(args.directory)):
            break
    return ledger


def verify_directory(args: argparse.Namespace) -> int:
    """Verify a ledger; say what came of it."""
    ledger = verified(args)
    for said in ledger.said:
        say(said)
    if ledger.faults:
        fault, *more = ledger.faults
        say(f"does not verify: {fault}" + (f" (and {len(more)} more that does not hold)" if more else ""))
        return 1
    checkpoint = cast("Note", ledger.checkpoint)
    say(f"{checkpoint.origin}: verified, entries {ledger.first} to {checkpoint.size - 1}")
    if unsigned := ledger.tree.size - checkpoint.size:
        print(f"{unsigned} entries behind them are signed by no checkpoint yet")
    if not ledger.witnesses:
        print("held against no checkpoint that was kept elsewhere (--witness): had it been cut back, nobody could tell")
    return 0


def main(argv: Sequence[str] | None = None) -> int:
    """Do what the command line says."""
    parser = argparse.ArgumentParser(description="Verify a ledger of legwatch, or proofs out of one.")
    parser.add_argument("directory", metavar="DIR", nargs="?", help="the ledger")
    parser.add_argument(
        "--key", required=True, action="append", metavar="PUB", help="a verifier key, or a file with it"
    )
    parser.add_argument("--witness", nargs="+", default=[], metavar="NOTE", help="checkpoints that were kept elsewhere")
    parser.add_argument("--tsa-ca", metavar="FILE", help="who signs time stamps, in PEM")
    parser.add_argument("--entry", metavar="PROOF", help="verify the proof of one entry")
    parser.add_argument("--consistency", metavar="PROOF", help="verify the proof between two checkpoints")
    args = parser.parse_args(argv)
    if not (args.directory or args.entry or args.consistency):
        parser.error("nothing to verify: name DIR, --entry or --consistency")
    what = ""
    status = 0
    try:
        try:
            args.keys = [key_of(each) for each in args.key]
        except MisfitError as misfit:
            fail(f"--key {misfit}")
        for path, verify in ((args.entry, verify_entry), (args.consistency, verify_consistency)):
            if path:
                what = path
                for line in verify(path, args.keys).split("\n"):
                    say(line)
        if args.directory:
            status = verify_directory(args)
    except MisfitError as misfit:
        say(f"does not verify: {what} {misfit}")
        return 1
    except UnableError as unable:
        fail(str(unable))
    except (OSError, UnicodeDecodeError) as error:
        fail(f"{getattr(error, 'filename', None) or ''}: {getattr(error, 'strerror', None) or error}")
    return status


def fail(text: str) -> NoReturn:
    """End with what could not be tried."""
    print(f"legwatch_verify: {text}", file=sys.stderr)
    raise SystemExit(2)


if __name__ == "__main__":
    sys.exit(main())
