"""``legwatch ledger``: verify it, and what signs it."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sensor.commands import OperatorError
from sensor.commands.asked import directory_of, key_of
from sensor.ledger import reader
from sensor.ledger.keys import KeyFormatError, SigningKey, new_pem
from sensor.ledger.layout import CHECKPOINT, NAME, PACKED, TEXT, LedgerError
from sensor.ledger.note import MAX_OCTETS, Checkpoint, NoteError, split
from sensor.ledger.question import EVER
from sensor.ledger.verify import verify
from sensor.output.signs import printable

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Callable

    from cryptography.x509 import Certificate

    from sensor.ledger.verify import Result

KEY_MODE = 0o600
_CHANGES = ("ledger", "key")  # kinds of entries that name keys


def execute(args: Namespace) -> int:
    """Do what was asked for."""
    return _ACTIONS[args.action](args)


def note_of(path: Path) -> str:
    """Return the text of a file with a note; OperatorError when it cannot be read or has none."""
    try:
        with path.open("rb") as file:
            note = file.read(MAX_OCTETS + 1).decode()
        Checkpoint.parse(split(note)[0])
    except OSError as error:
        raise OperatorError(f"{path}: {error.strerror}") from None
    except (NoteError, UnicodeDecodeError):
        raise OperatorError(f"{path}: is no signed checkpoint") from None
    return note


def authority_of(path: str | None) -> list[Certificate] | None:
    """Return the certificates of those whose time stamps are trusted; OperatorError."""
    if path is None:
        return None
    from sensor.ledger import stamps  # noqa: PLC0415  (slow to load)

    try:
        return stamps.authority_of(Path(path).read_bytes())
    except OSError as error:
        raise OperatorError(f"{path}: {error.strerror}") from None
    except stamps.StampError as error:
        raise OperatorError(f"{path}: {error}") from None


def _verify(args: Namespace) -> int:
    places = [Path(each) for each in args.places] or [directory_of(args)]
    keys = [key_of(each) for each in args.key]
    witnesses = [note_of(Path(each)) for each in args.witness]
    authority = authority_of(args.tsa_ca)
    if witnesses and not all(place.is_dir() for place in places):
        raise OperatorError("--witness: is held against a whole ledger, not against segments")
    status = 0
    for place in places:
        directory, number = (place, None) if place.is_dir() else (place.parent, _segment_of(place))
        try:
            now_ms = time.time_ns() // 1_000_000
            result = verify(directory, keys, witnesses=witnesses, authority=authority, segment=number, now_ms=now_ms)
            faults = [printable(str(each)) for each in result.faults]
        except LedgerError as error:
            if not os.access(directory, os.R_OK | os.X_OK):
                raise OperatorError(str(error)) from None
            result, faults = None, [printable(str(error))]
        status |= bool(faults)
        if args.json:
            print(json.dumps(_object(place, result, faults)))  # noqa: T201
        else:
            _say(place, result, faults, held=bool(witnesses) or number is not None)
    return status


def _segment_of(place: Path) -> int:
    """Return the number of the segment that a file has; OperatorError when it has none."""
    found = NAME.fullmatch(place.name)
    if not place.exists():
        raise OperatorError(f"{place}: is not there")
    if found is None or found[3] not in {TEXT, PACKED}:
        raise OperatorError(f"{place}: is no ledger and no segment of one")
    return int(found[1])


def _object(place: Path, result: Result | None, faults: list[str]) -> dict[str, Any]:
    said: dict[str, Any] = {"place": str(place), "verified": not faults, "faults": []}
    if result is None:
        return said | {"faults": [{"entry": None, "segment": None, "what": faults[0]}]}
    checkpoint = result.checkpoint
    return said | {
        "faults": [{"entry": each.entry, "segment": each.segment, "what": each.what} for each in result.faults],
        "origin": checkpoint.origin if checkpoint else None,
        "first": result.first,
        "size": result.size,
        "unsigned": result.unsigned,
        "root": checkpoint.root.hex() if checkpoint else None,
        "remarks": result.remarks,
    }


def _say(place: Path, result: Result | None, faults: list[str], *, held: bool) -> None:
    for remark in result.remarks if result else ():
        print(printable(remark))  # noqa: T201
    if faults or result is None:
        more = f" (and {len(faults) - 1} more that does not hold)" if len(faults) > 1 else ""
        print(f"{place}: does not verify: {faults[0]}{more}")  # noqa: T201
        return
    print(f"{place}: verified, entries {result.first} to {result.size - result.unsigned - 1}")  # noqa: T201
    if result.unsigned:
        print(f"{result.unsigned} entries behind them are signed by no checkpoint yet")  # noqa: T201
    if not held:
        print(  # noqa: T201
            "Held against no checkpoint that was kept elsewhere (--witness): had it been cut back, nobody could tell."
        )


def _checkpoint(args: Namespace) -> int:
    sys.stdout.buffer.write(note_of(directory_of(args) / CHECKPOINT).encode())  # what is signed are these octets
    return 0


def _keys(args: Namespace) -> int:
    directory = directory_of(args)
    try:
        changes = list(reader.former(directory, EVER, _CHANGES))
    except LedgerError as error:
        raise OperatorError(str(error)) from None
    if not changes:
        raise OperatorError(f"{directory}: no entry that is left names a key")
    if changes[0]["kind"] == "key":
        print(printable(str(changes[0].get("old"))))  # noqa: T201
    for entry in changes:
        print(printable(str(entry.get("vkey" if entry["kind"] == "ledger" else "new"))))  # noqa: T201
    return 0


def _new_key(args: Namespace) -> int:
    pem = new_pem()
    origin = args.origin or _origin(args)
    try:
        public = SigningKey.from_pem(pem, origin).verifier if origin else None
        fd = os.open(args.file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, KEY_MODE)
        with os.fdopen(fd, "wb") as file:
            file.write(pem)
            file.flush()
            os.fsync(fd)
    except KeyFormatError as error:
        raise OperatorError(f"--origin: {error}") from None
    except OSError as error:
        raise OperatorError(f"{args.file}: {error.strerror}") from None
    if public is not None:
        print(public)  # noqa: T201
    else:
        print(f"{args.file} is made. Its public key has the name of the ledger that it begins: legwatch ledger keys")  # noqa: T201
    return 0


def _origin(args: Namespace) -> str | None:
    """Return the name of the ledger that there is, None without one."""
    if not (args.ledger or args.config):
        return None
    path = directory_of(args) / CHECKPOINT
    return note_of(path).partition("\n")[0] if path.exists() else None


_ACTIONS: dict[str, Callable[[Namespace], int]] = {
    "verify": _verify,
    "checkpoint": _checkpoint,
    "keys": _keys,
    "new-key": _new_key,
}
