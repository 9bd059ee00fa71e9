"""``legwatch compare``: what got better and what got worse from one report, or period of a ledger, to another."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sensor.commands import OperatorError
from sensor.commands.asked import directory_of, period_of
from sensor.commands.reporting import read_report
from sensor.output.signs import printable
from sensor.report.compare import NotComparableError, compare, words

if TYPE_CHECKING:
    from argparse import Namespace

_MOST = 50  # changes of a kind in text
_BETWEEN = ".."


def execute(args: Namespace) -> int:
    """Compare two reports; 1 when something got worse."""
    before, after = _report(args.before, args), _report(args.after, args)
    try:
        comparison = compare(before, after)
    except NotComparableError as error:
        raise OperatorError(f"{args.before} and {args.after} cannot be compared: {error}") from None
    if args.json:
        print(json.dumps(comparison))  # noqa: T201
    else:
        for line in words(comparison, most=_MOST):
            print(printable(line))  # noqa: T201
    return int(any(change["kind"] == "worse" for change in comparison["changes"]))


def _report(text: str, args: Namespace) -> dict[str, Any]:
    """Return the report object in a file, or that of a period of the ledger; OperatorError."""
    first, between, last = text.partition(_BETWEEN)
    if between and not Path(text).exists():
        return _of_ledger(first, last, args)
    return read_report(text)


def _of_ledger(first: str, last: str, args: Namespace) -> dict[str, Any]:
    # Loaded only here: what compares files needs nothing that reads ledgers.
    from sensor.commands.report import ledger_of, made  # noqa: PLC0415
    from sensor.ledger.layout import LedgerError  # noqa: PLC0415

    period = period_of(first, last)
    directory = directory_of(args)
    try:
        return made(directory, period, "current-rule", ledger_of(directory, args.key))
    except LedgerError as error:
        raise OperatorError(str(error)) from None
