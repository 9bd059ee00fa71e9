"""A memory that has no room from a moment on that the test chooses (``refusing_malloc.c``)."""

from __future__ import annotations

import mmap
import os
import struct
import subprocess
from pathlib import Path
from typing import NamedTuple

SOURCE = Path(__file__).with_suffix(".c")
CONTROL = struct.Struct("@QQQQQ")  # struct control
ALWAYS = 1 << 62


class Requests(NamedTuple):
    """How often the core asked for memory since ``refuse``, and how often in vain."""

    asked: int
    refused: int


class Refusal:
    """What the library in a process is told, by a file that it has mapped."""

    def __init__(self, control: str | os.PathLike[str]) -> None:
        with Path(control).open("r+b") as file:
            self._memory = mmap.mmap(file.fileno(), CONTROL.size)

    def refuse(self, first: int = 0, count: int = ALWAYS, *, everybody: bool = False) -> None:
        """Refuse the core so many of the requests from now on, but for the ``first`` ones; or ``everybody``."""
        self._memory[:] = CONTROL.pack(2 if everybody else 1, 0, first, count, 0)

    def end(self) -> Requests:
        """Refuse nothing more; return what was asked for."""
        _, asked, _, _, refused = CONTROL.unpack(self._memory)
        self._memory[:] = bytes(CONTROL.size)
        return Requests(asked, refused)


def preload(folder: Path) -> dict[str, str]:
    """Build the library; return the environment of a process that ``Refusal`` (of its file) is to govern.

    What is freed and what is new is filled with rubbish (MALLOC_PERTURB_, mallopt(3)), so that reading it shows.
    """
    library, control = folder / "refusing_malloc.so", folder / "refusing_malloc"
    build = ("gcc", "-O2", "-Wall", "-Werror", "-shared", "-fPIC", "-o", str(library), str(SOURCE))
    subprocess.run(build, check=True)
    control.write_bytes(bytes(CONTROL.size))
    return {"LD_PRELOAD": str(library), "REFUSING_MALLOC": str(control), "MALLOC_PERTURB_": "165"}
