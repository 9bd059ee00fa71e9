"""What an entry has to be: docs/schema/ledger.schema.json."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from jsonschema import Draft202012Validator

from sensor.ledger.canonical import decode, encode

if TYPE_CHECKING:
    from sensor.ledger.entries import Entry

SCHEMA = json.loads((Path(__file__).parents[4] / "docs/schema/ledger.schema.json").read_text())
VALIDATOR = Draft202012Validator(SCHEMA)
KINDS = frozenset(SCHEMA["properties"]["kind"]["enum"])


def valid(entry: Entry) -> Entry:
    """Return an entry as the ledger would give it back, held against the schema of its kind."""
    written = decode(encode({**entry, "at": 1_767_607_200_000}))
    kind = str(written["kind"])
    Draft202012Validator({"$ref": f"#/$defs/{kind}", "$defs": SCHEMA["$defs"]}).validate(written)
    return written
