"""``python -m sensor.report.typeset ROOT SECONDS``: a directory to PDF, in a process that may die alone."""

from __future__ import annotations

import sys
from pathlib import Path

import typst

STANDARDS: list[typst.PDFStandard] = ["a-3a", "ua-1"]


def main(root: Path, made_at_s: int) -> None:
    """Write ``report.pdf`` from what is in the directory; no font but those that are built in."""
    typst.compile(
        root / "report.typ",
        output=root / "report.pdf",
        root=root,
        ignore_system_fonts=True,
        pdf_standards=STANDARDS,
        timestamp=made_at_s,
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
