"""``legwatch ledger stamp``: notes get time stamps."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sensor.commands import OperatorError
from sensor.commands.asked import directory_of
from sensor.commands.ledger import authority_of
from sensor.ledger.layout import NOTE, STAMP, Directory, LedgerError
from sensor.ledger.note import MAX_OCTETS
from sensor.ledger.stamps import StampError, ask

if TYPE_CHECKING:
    from argparse import Namespace


def execute(args: Namespace) -> int:
    """Ask for a stamp of each note that has none."""
    directory, authority = directory_of(args), authority_of(args.ca)
    stamped = 0
    try:
        with Directory(directory) as place:
            there = set(place.names())
            for segment in place.segments():
                if segment.sealed and segment.file(STAMP) not in there:
                    stamp = ask(args.tsa, place.read(segment.file(NOTE), MAX_OCTETS), authority)
                    place.put(segment.file(STAMP), stamp)
                    stamped += 1
    except StampError as error:
        raise OperatorError(f"{args.tsa}: {error}; {stamped} notes were stamped before") from None
    except LedgerError as error:
        raise OperatorError(str(error)) from None
    except OSError as error:
        raise OperatorError(f"{directory}: {error.strerror}") from None
    print(f"{stamped} notes were stamped")  # noqa: T201
    return 0
