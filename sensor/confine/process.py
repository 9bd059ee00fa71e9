"""What this process keeps to itself: its memory, where packets are, reaches neither a core file nor a debugger."""

from __future__ import annotations

import ctypes
import resource

_PR_SET_DUMPABLE = 4


def hide_memory() -> None:
    """Leave no core, and let nobody but root look into this process (prctl(2), ptrace(2))."""
    if resource.getrlimit(resource.RLIMIT_CORE) != (0, 0):
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0) < 0:
        raise OSError("prctl: this process stays dumpable")
