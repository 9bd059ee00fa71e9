"""``python typeset.py SECONDS``: the files of a document on standard input to PDF, in a process that may die alone.

Nothing touches a disk: what is stopped here leaves nothing behind.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import typst

STANDARDS: list[typst.PDFStandard] = ["a-3a", "ua-1"]


def main(made_at_s: int) -> None:
    """Read texts by the names of files, ``main`` being the first, as JSON; no font but those that are built in."""
    texts: dict[str, str] = json.load(sys.stdin.buffer)
    # Its README has files in memory, its stub has not.
    made = typst.compile(  # type: ignore[call-overload]
        {name: text.encode() for name, text in texts.items()},
        root=Path(__file__).parent,  # a directory that there is, whatever became of the one where the command was given
        ignore_system_fonts=True,
        pdf_standards=STANDARDS,
        timestamp=made_at_s,
    )
    sys.stdout.buffer.write(made)


if __name__ == "__main__":
    main(int(sys.argv[1]))
