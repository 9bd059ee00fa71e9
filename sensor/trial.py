"""Whether something can be written into a directory: tried, as a full or read-only one is told by nothing else."""

from __future__ import annotations

import errno
import os
from pathlib import Path

NAME, OCTETS = "legwatch-trial", 4096


def try_out(directory: Path) -> None:
    """Write a file into a directory and take it away again; OSError when that cannot be done."""
    path = directory / NAME
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        if os.write(file, bytes(OCTETS)) < OCTETS:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    finally:
        os.close(file)
        path.unlink(missing_ok=True)
