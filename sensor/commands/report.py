"""``legwatch report``: what a ledger says of a period, for people and for programs."""

from __future__ import annotations

import sys
import time
from argparse import Namespace
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple, cast

from sensor.commands import OperatorError, configuration
from sensor.commands.reporting import FORMS, form_of, rendered, write
from sensor.ledger import reader
from sensor.ledger.entries import Entry
from sensor.ledger.keys import KeyFormatError, VerifierKey
from sensor.ledger.layout import CHECKPOINT, LedgerError
from sensor.ledger.note import Checkpoint, NoteError, split
from sensor.ledger.verify import verify
from sensor.report.controls import Profile
from sensor.report.facts import COVERAGE_LATE_MS, HOLDS_ON, Facts, UnfitEntryError, gather
from sensor.report.object import Report, build

_MS = 1000
_FAULTS = 20  # of a ledger that does not verify; the first one is what matters


class Period(NamedTuple):
    """Milliseconds since 1970, both ends included."""

    first: int
    last: int


def execute(args: Namespace) -> int:
    """Make a report; 1 when the ledger does not verify."""
    period = period_of(args.first, args.last)
    form, path = _target(args, period)
    directory = _directory(args)
    try:
        ledger = _ledger(directory, args.key)
        report = made(directory, period, args.profile, ledger)
    except (LedgerError, UnfitEntryError) as error:
        raise OperatorError(str(error)) from None
    write(path, rendered(report, form))
    if path != "-":
        print(path)  # noqa: T201
    if ledger["verified"] is False:
        print(f"{directory} does not verify: {ledger['faults'][0]}", file=sys.stderr)  # noqa: T201
        return 1
    return 0


def made(directory: Path, period: Period, profile: Profile, ledger: dict[str, Any]) -> Report:
    """Return the report object of a period of a ledger."""
    facts = facts_of(directory, period, ledger["faults"])
    source = {
        "kind": "ledger",
        "site": next((site for site, _, _ in facts.sensors), "not known"),
        "sensors": [
            {"site": site, "sensor": sensor, "interface": interface, "version": version}
            for (site, sensor, interface), version in sorted(facts.sensors.items())
        ],
    }
    return build(facts, profile=profile, source=source, ledger=ledger)


def facts_of(directory: Path, period: Period, faults: list[str]) -> Facts:
    """Return the facts of a period of a ledger; LedgerError.

    Of a ledger with ``faults`` what can be read is taken, and where that ends is one more of them.
    """
    within = reader.entries(directory, first_ms=period.first, last_ms=period.last + COVERAGE_LATE_MS)
    before = reader.former(directory, period.first, HOLDS_ON)
    entries = chain(before, (entry for _, entry in within))
    facts = gather(_readable(entries, faults) if faults else entries, *period)
    oldest = next((entry["at"] for _, entry in reader.entries(directory)), None)
    facts.oldest = cast("int | None", oldest)
    return facts


def _readable(entries: Iterator[Entry], faults: list[str]) -> Iterator[Entry]:
    try:
        yield from entries
    except LedgerError as error:
        faults.append(f"{error}; what follows it is not in this report")


def period_of(first: str, last: str) -> Period:
    """Return a period from two days, or times, in UTC; OperatorError."""
    period = Period(_moment(first)[0], _moment(last)[1])
    if period.first > period.last:
        raise OperatorError(f"the period ends before it begins: {first} to {last}")
    return period


def _moment(text: str) -> tuple[int, int]:
    """Return the first and the last millisecond of a day; of a time, itself and the millisecond before it."""
    try:
        if len(text) == len("2026-03-01"):
            day = datetime.combine(date.fromisoformat(text), datetime.min.time(), UTC)
            return _ms(day), _ms(day + timedelta(days=1)) - 1
        at = datetime.fromisoformat(text)
    except ValueError:
        raise OperatorError(f"{text} is no day and no time: 2026-03-01 or 2026-03-01T10:00:00Z") from None
    at = at if at.tzinfo else at.replace(tzinfo=UTC)
    return _ms(at), _ms(at) - 1


def _ms(at: datetime) -> int:
    return int(at.timestamp()) * _MS


def _target(args: Namespace, period: Period) -> tuple[str, str]:
    """Return the form and where it goes."""
    if args.output is None:
        form = args.format or FORMS[0]
        days = [datetime.fromtimestamp(ms // _MS, UTC).strftime("%Y%m%d") for ms in period]
        return form, f"legwatch-{days[0]}-{days[1]}.{form}"
    if args.format:
        return args.format, args.output
    return (FORMS[0] if args.output == "-" else form_of(args.output)), args.output


def _directory(args: Namespace) -> Path:
    if args.ledger:
        return Path(args.ledger)
    directory = configuration(args.config).ledger.directory
    if directory is None:
        raise OperatorError("no ledger is named: --ledger DIR, or --config FILE whose ledger has a directory")
    return Path(directory)


def _ledger(directory: Path, key: str | None) -> dict[str, Any]:
    """Return what a report says of its ledger."""
    try:
        note = (directory / CHECKPOINT).read_text(encoding="utf-8")
        checkpoint: Checkpoint | None = Checkpoint.parse(split(note)[0])
    except (OSError, UnicodeDecodeError, NoteError):
        note, checkpoint = "", None
    said: dict[str, Any] = {
        "origin": checkpoint.origin if checkpoint else "not known",
        "size": checkpoint.size if checkpoint else 0,
        "root": checkpoint.root.hex() if checkpoint else "",
        "checkpoint": note,
        "verified": None,
        "faults": [],
        "unsigned": 0,
        "command": f"python3 legwatch_verify.py {directory.name} --key PUB",
    }
    if key is not None:
        public = _key(key)
        result = verify(directory, [public], now_ms=time.time_ns() // 1_000_000)
        said["verified"] = not result.faults
        said["faults"] = [str(fault) for fault in result.faults[:_FAULTS]]
        said["unsigned"] = result.unsigned
        said["command"] = f"python3 legwatch_verify.py {directory.name} --key '{public}'"
    return said


def _key(text: str) -> VerifierKey:
    """Return a public key, given as text or as the name of a file that holds it."""
    try:
        path = Path(text)
        return VerifierKey.parse(path.read_text(encoding="utf-8") if path.is_file() else text)
    except (KeyFormatError, OSError, UnicodeDecodeError) as error:
        raise OperatorError(f"--key {text}: {error}") from None
