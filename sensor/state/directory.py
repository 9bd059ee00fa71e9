"""The state directory, and the one kind of failure that all of its files share."""

from __future__ import annotations

import os
from pathlib import Path


class StateError(Exception):
    """Something in the state directory cannot be used; the text says what, and what to do."""


def state_directory(configured: str | None) -> Path | None:
    """Return the directory that is configured, else the one that systemd made (systemd.exec(5)), else None.

    Raises StateError when it is not there and cannot be made.
    """
    # With several names systemd gives them all, separated by colons; ours is the first.
    text = configured or os.environ.get("STATE_DIRECTORY", "").partition(":")[0]
    if not text:
        return None
    path = Path(text)
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise StateError(f"{path}: cannot be made: {error.strerror}") from None
    return path
