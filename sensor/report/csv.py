"""A report's findings and counts of legs as CSV, for a spreadsheet that must not execute what it reads."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING, Any

from sensor.report.facts import STATES
from sensor.report.words import moment

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

# With one of these at its beginning a cell is a formula to a spreadsheet (OWASP, "CSV injection")
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")


def render(report: Mapping[str, Any]) -> bytes:
    """Return two tables in UTF-8, lines ended by CRLF (RFC 4180), with an empty line between them."""
    out = io.StringIO(newline="")
    writer = csv.writer(out)
    for row in _rows(report):
        writer.writerow([safe(str(cell)) for cell in row])
    return out.getvalue().encode("utf-8", "replace")


def safe(cell: str) -> str:
    """Return a cell that no spreadsheet takes for a formula."""
    return f"'{cell}" if cell.startswith(_FORMULA) else cell


def _rows(report: Mapping[str, Any]) -> Iterator[tuple[object, ...]]:
    yield (
        *("severity", "state", "code", "title", "kind", "a", "b", "name", "segments", "evidence", "controls"),
        *("first", "last", "over", "count", "waived_by", "id"),
    )
    for finding in report["findings"]:
        subject = finding["subject"]
        yield (
            *(finding[key] for key in ("severity", "state", "code", "title")),
            *(subject[key] for key in ("kind", "a", "b", "name")),
            *("; ".join(finding[key]) for key in ("segments", "evidence", "controls")),
            *(moment(finding[key]) for key in ("first", "last")),
            moment(finding["over"]) if finding["over"] is not None else "",
            *(finding["count"], finding["waived_by"] or "", finding["id"]),
        )
    yield ()
    yield ("legs by", "name", "kind", *STATES)
    for by in ("segment", "trunk", "device", "week"):
        for row in report["legs"][f"by_{by}"]:
            yield (by, row["name"], row["kind"], *(row["states"][state] for state in STATES))
