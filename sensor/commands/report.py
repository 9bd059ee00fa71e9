"""``legwatch report``: what a ledger says of a period, for people and for programs."""

from __future__ import annotations

import shlex
import sys
import time
from argparse import Namespace
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from typing import Any, cast

from sensor.commands import OperatorError
from sensor.commands.asked import Period, directory_of, key_of, period_of
from sensor.commands.reporting import FORMS, form_of, read_report, rendered, write
from sensor.ledger import reader
from sensor.ledger.entries import Entry
from sensor.ledger.layout import CHECKPOINT, LedgerError
from sensor.ledger.note import Checkpoint, NoteError, split
from sensor.ledger.verify import verify
from sensor.report.compare import NotComparableError, compare
from sensor.report.controls import Profile
from sensor.report.facts import HOLDS_ON, INVENTORY_LATE_MS, Facts, gather
from sensor.report.fit import fit
from sensor.report.object import Report, build
from sensor.report.words import left_out

_MS = 1000
_FAULTS = 20  # of a ledger that does not verify; the first one is what matters


def execute(args: Namespace) -> int:
    """Make a report; 1 when the ledger does not verify, or entries are left out."""
    period = period_of(args.first, args.last)
    form, path = _target(args, period)
    directory = directory_of(args)
    try:
        ledger = ledger_of(directory, args.key)
        report = made(directory, period, args.profile, ledger)
        former = former_of(directory, period, args, report)
    except LedgerError as error:
        raise OperatorError(str(error)) from None
    if former is not None:
        try:
            report["changes"] = compare(former, report)
        except NotComparableError as error:
            raise OperatorError(f"--since {args.since}: {error}") from None
    write(path, rendered(report, form))
    if path != "-":
        print(path)  # noqa: T201
    if ledger["verified"] is False:
        print(f"{directory} does not verify: {ledger['faults'][0]}", file=sys.stderr)  # noqa: T201
        return 1
    if unfit := report["ledger"]["unfit"]:
        print(f"{directory}: {left_out(unfit)}", file=sys.stderr)  # noqa: T201
        return 1
    return 0


def made(directory: Path, period: Period, profile: Profile, ledger: dict[str, Any]) -> Report:
    """Return the report object of a period of a ledger."""
    facts = facts_of(directory, period, ledger)
    source = {
        "kind": "ledger",
        "site": next((site for site, _, _ in facts.sensors), "not known"),
        "sensors": [
            {"site": site, "sensor": sensor, "interface": interface, "version": version}
            for (site, sensor, interface), version in sorted(facts.sensors.items())
        ],
    }
    return build(facts, profile=profile, source=source, ledger=ledger)


def former_of(directory: Path, period: Period, args: Namespace, report: Report) -> Report | None:
    """Return the report before: the one that is named, else that of as long a time before; None when nothing was."""
    if args.since is not None:
        return read_report(args.since)
    if report["ledger"]["oldest"] is None or report["ledger"]["oldest"] >= period.first:
        return None
    before = Period(2 * period.first - period.last - 1, period.first - 1)
    return made(directory, before, args.profile, report["ledger"])


def facts_of(directory: Path, period: Period, ledger: Mapping[str, Any]) -> Facts:
    """Return the facts of a period of a ledger; LedgerError.

    Entries that are not what they should be are left out and counted.

    Of one with faults what can be read is taken, and where that ends is one more of them. Of one that was verified only
    what is signed is taken: what is behind the checkpoint anybody may have written.
    """
    faults: list[str] = ledger["faults"]
    size = ledger["size"] if ledger["verified"] else None
    unread: set[int] = set()
    within = reader.entries(directory, first_ms=period.first, last_ms=period.last + INVENTORY_LATE_MS, unread=unread)
    before = reader.former(directory, period.first, HOLDS_ON, unread)
    entries = chain(before, (entry for number, entry in within if size is None or number < size))
    unfit: list[None] = []
    facts = gather(_fit(_readable(entries, faults) if faults else entries, unfit), *period)
    facts.unfit = len(unfit) + sum(size is None or number < size for number in unread)
    every = (entry for _, entry in reader.entries(directory, unread=set()))
    oldest = next(_fit(_readable(every, []) if faults else every, []), None)  # what ends the reading is said above
    facts.oldest = None if oldest is None else cast("int", oldest["at"])
    return facts


def _fit(entries: Iterator[Entry], unfit: list[None]) -> Iterator[Entry]:
    for entry in entries:
        if fit(entry):
            yield entry
        else:
            unfit.append(None)


def _readable(entries: Iterator[Entry], faults: list[str]) -> Iterator[Entry]:
    try:
        yield from entries
    except LedgerError as error:
        faults.append(f"{error}; what follows it is not in this report")


def _target(args: Namespace, period: Period) -> tuple[str, str]:
    """Return the form and where it goes."""
    if args.output is None:
        form = args.format or FORMS[0]
        days = [datetime.fromtimestamp(ms // _MS, UTC).strftime("%Y%m%d") for ms in period]
        return form, f"legwatch-{days[0]}-{days[1]}.{form}"
    if args.format:
        return args.format, args.output
    return (FORMS[0] if args.output == "-" else form_of(args.output)), args.output


def ledger_of(directory: Path, key: str | None) -> dict[str, Any]:
    """Return what a report says of its ledger; LedgerError where there is none."""
    name = shlex.quote(directory.resolve().name)
    try:
        note = (directory / CHECKPOINT).read_text(encoding="utf-8")
        checkpoint: Checkpoint | None = Checkpoint.parse(split(note)[0])
    except (OSError, UnicodeDecodeError, NoteError):
        note, checkpoint = "", None
        if not reader.segments(directory):
            raise LedgerError(f"{directory}: is no ledger: it has neither a checkpoint nor entries") from None
    said: dict[str, Any] = {
        "origin": checkpoint.origin if checkpoint else "not known",
        "size": checkpoint.size if checkpoint else 0,
        "root": checkpoint.root.hex() if checkpoint else "",
        "checkpoint": note,
        "verified": None,
        "faults": [],
        "unsigned": 0,
        "command": f"python3 legwatch_verify.py {name} --key PUB",
    }
    if key is not None:
        public = key_of(key)
        result = verify(directory, [public], now_ms=time.time_ns() // 1_000_000)
        said["verified"] = not result.faults
        said["faults"] = [str(fault) for fault in result.faults[:_FAULTS]]
        said["unsigned"] = result.unsigned
        said["command"] = f"python3 legwatch_verify.py {name} --key {shlex.quote(str(public))}"
    return said
