"""What the commands about a ledger have in common: which ledger, which time, which keys."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from sensor.commands import OperatorError, configuration
from sensor.ledger.keys import KeyFormatError, VerifierKey

if TYPE_CHECKING:
    from argparse import Namespace

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Period(NamedTuple):
    """Milliseconds since 1970, both ends included."""

    first: int
    last: int


def directory_of(args: Namespace) -> Path:
    """Return the ledger's directory; OperatorError when none is named."""
    if args.ledger:
        return Path(args.ledger)
    directory = configuration(args.config).ledger.directory
    if directory is None:
        raise OperatorError("no ledger is named: --ledger DIR, or --config FILE whose ledger has a directory")
    return Path(directory)


def period_of(first: str, last: str) -> Period:
    """Return a period from two days, or times, in UTC; OperatorError."""
    period = Period(moment_of(first)[0], moment_of(last)[1])
    if period.first > period.last:
        raise OperatorError(f"the period ends before it begins: {first} to {last}")
    return period


def moment_of(text: str) -> tuple[int, int]:
    """Return the first and the last millisecond of a day; of a time, itself and the one before it. OperatorError."""
    try:
        if len(text) == len("2026-03-01"):
            day = datetime.combine(date.fromisoformat(text), datetime.min.time(), UTC)
            return _ms(day), _ms(day + timedelta(days=1)) - 1
        at = datetime.fromisoformat(text)
    except (ValueError, OverflowError):
        raise OperatorError(f"{text} is no day and no time: 2026-03-01 or 2026-03-01T10:00:00Z") from None
    at = at if at.tzinfo else at.replace(tzinfo=UTC)
    return _ms(at), _ms(at) - 1


def key_of(text: str) -> VerifierKey:
    """Return a public key, given as text or as the name of a file that holds it; OperatorError."""
    try:
        path = Path(text)
        return VerifierKey.parse(path.read_text(encoding="utf-8") if path.is_file() else text)
    except (KeyFormatError, OSError, UnicodeDecodeError) as error:
        raise OperatorError(f"--key {text}: {error}") from None


def _ms(at: datetime) -> int:
    return (at - _EPOCH) // timedelta(milliseconds=1)
