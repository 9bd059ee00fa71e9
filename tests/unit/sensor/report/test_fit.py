"""Entries that are not what the schema says of their kind: none makes a report fail, and each is counted."""

from __future__ import annotations

import json
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from sensor.cli import main
from sensor.report.fit import fit
from tests.unit.sensor.report.made import DAY, HOUR, ORDINARY, Entry, ledger, tls_server

SCHEMA = json.loads((Path(__file__).parents[4] / "docs/schema/ledger.schema.json").read_text())
VALID = Draft202012Validator(SCHEMA)
NOTE, DIGEST, TIMES = "legwatch/x+01234567+QUJD", "ab" * 32, {"first": DAY, "last": DAY}
OTHERS: list[Entry] = [
    {"kind": "ledger", "at": DAY, "origin": "legwatch/x", "vkey": NOTE, "format": 1},
    {"kind": "clock", "at": DAY, "back": 5, "synchronised": True},
    {"kind": "gap", "at": DAY, "lost": 5, "from": DAY, "to": DAY, "why": "disk"},
    {"kind": "recovered", "at": DAY, "cut": 5, "unsigned": 1},
    {"kind": "key", "at": DAY, "old": NOTE, "new": NOTE, "signature": "QUJD"},
    {"kind": "deleted", "at": DAY, "segment": "0", "first": 0, "size": 5, "root": "QUJD", "why": "age"},
    {"kind": "stop", "at": DAY, "packets": 5, "reason": "asked to"},
    {
        "kind": "call",
        "at": DAY,
        "call": "c",
        "caller": None,
        "callee": "d",
        "recording": False,
        "legs": 2,
        "observed": "clear",
        "joined_by": ["identity"],
        **TIMES,
    },
    {
        "kind": "transaction",
        "at": DAY,
        "outcome": "refused",
        "status": 403,
        "a": "x",
        "b": "y",
        "account": "account-" + "0" * 16,
        "last": DAY,
    },
    {
        "kind": "endpoint",
        "at": DAY,
        "address": "10.20.1.7",
        "mac": None,
        "user_agent": "x",
        "media": "clear",
        "signalling": None,
        **TIMES,
    },
]
ENTRIES = list({each["kind"]: each for each in [*ORDINARY, tls_server(), *OTHERS]}.values())
OTHER: tuple[Any, ...] = (None, 7, "x", "999", [], [None], {}, {"a": 1}, True, -1, 2**53, 2**53 - 1, 1.5, "\u202e<b>")


def changed(entry: Entry) -> Iterator[Entry]:
    """The entry with each of its fields, of what is inside it too, removed, renamed and replaced in turn."""
    for path in list(_paths(entry)):
        for what in ("removed", "renamed", *OTHER):
            copy = deepcopy(entry)
            inner: Any = copy
            for step in path[:-1]:
                inner = inner[step]
            if what == "removed":
                del inner[path[-1]]
            elif what == "renamed":
                if isinstance(inner, dict):
                    inner[f"{path[-1]}x"] = inner.pop(path[-1])
            else:
                inner[path[-1]] = what
            yield copy


def _paths(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, each in inner:
        yield (*path, key)
        yield from _paths(each, (*path, key))


@pytest.mark.parametrize("entry", ENTRIES, ids=[each["kind"] for each in ENTRIES])
def test_what_the_schema_refuses_is_unfit_and_what_is_fit_the_schema_has(entry: Entry) -> None:
    assert fit(entry)
    assert VALID.is_valid(entry)
    for other in changed(entry):
        if fit(other):
            assert VALID.is_valid(other), other
        elif VALID.is_valid(other):  # a time that no calendar has, or a day, or a number too great
            assert any(word in json.dumps(other) for word in (str(2**53 - 1), str(2**53), '"x"', '"999"', "\\u202e"))


def test_every_kind_is_tried() -> None:
    assert {each["kind"] for each in ENTRIES} == set(SCHEMA["properties"]["kind"]["enum"])


@pytest.mark.parametrize("entry", ENTRIES, ids=[each["kind"] for each in ENTRIES])
def test_report_is_made_whatever_an_entry_is(entry: Entry, tmp_path: Path) -> None:
    """All the changes of a kind in one ledger, as lines that a hand wrote over it."""
    place, path = tmp_path / "ledger", tmp_path / "report.json"
    ledger(place, ORDINARY)
    at = entry["at"]
    others = [{**each, "at": DAY + 2 * HOUR} if each.get("at") == at else each for each in changed(entry)]
    (segment,) = place.glob("*.jsonl")
    with segment.open("a") as file:
        file.writelines(json.dumps(each) + "\n" for each in others)
    days = ("--from", "2026-01-05", "--to", "2026-01-05")
    assert main(["report", *days, "--ledger", str(place), "-o", str(path)]) == 1
    known = [each for each in others if type(each.get("at")) is int and type(each.get("kind")) is str]
    unread = len(others) - len(known)
    unfit = sum(DAY <= each["at"] <= DAY + 48 * HOUR + 600_000 and not fit(each) for each in known)
    assert json.loads(path.read_text())["ledger"]["unfit"] == unread + unfit
