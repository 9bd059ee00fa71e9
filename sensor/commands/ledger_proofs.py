"""``legwatch ledger prove`` and ``check``: small files that prove something without the ledger."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from sensor.commands import OperatorError
from sensor.commands.asked import directory_of, key_of
from sensor.commands.ledger import note_of
from sensor.ledger import canonical, proofs
from sensor.ledger.layout import LedgerError
from sensor.output.signs import printable

if TYPE_CHECKING:
    from argparse import Namespace

MAX_OCTETS = 1 << 26  # of a proof: three times an entry, which JSON may escape, and its note


def execute(args: Namespace) -> int:
    """Make a proof, or verify one."""
    return _prove(args) if args.action == "prove" else _check(args)


def _prove(args: Namespace) -> int:
    directory = directory_of(args)
    try:
        if args.consistency is not None:
            proof = proofs.consistency(directory, note_of(Path(args.consistency)))
        else:
            proof = proofs.inclusion(directory, args.entry)
    except LedgerError as error:
        raise OperatorError(str(error)) from None
    print(json.dumps(proof, indent=2))  # noqa: T201
    return 0


def _check(args: Namespace) -> int:
    keys = [key_of(each) for each in args.key]
    try:
        with Path(args.proof).open("rb") as file:
            text = file.read(MAX_OCTETS).decode()
    except OSError as error:
        raise OperatorError(f"{args.proof}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise OperatorError(f"{args.proof}: is no text") from None
    try:
        proof = proofs.parse(text)
        if "entry" in proof:
            entry = proofs.verify_inclusion_proof(proof, keys)
            print(f"verified: entry {proof['index']}, in a ledger of {proof['size']}")  # noqa: T201
            print(printable(canonical.encode(entry).decode()))  # noqa: T201
        else:
            first, second = proofs.verify_consistency_proof(proof, keys)
            print(f"verified: {second.size} entries begin with the {first.size} of before")  # noqa: T201
    except proofs.ProofError as error:
        print(f"{args.proof}: {error}")  # noqa: T201
        return 1
    return 0
