"""Packet sockets that somebody with the right to made (sensor/launch.py), passed on as sd_listen_fds(3) says."""

from __future__ import annotations

import os

from sensor.launch import NAME

_FIRST = 3  # SD_LISTEN_FDS_START


class Packets:
    """The sockets that are ours from now on; there are none where nobody passed any on."""

    def __init__(self) -> None:
        count, process = os.environ.pop("LISTEN_FDS", ""), os.environ.pop("LISTEN_PID", "")
        names = os.environ.pop("LISTEN_FDNAMES", "").split(":")
        self._left: list[int] = []
        if process == str(os.getpid()) and count.isdigit():
            given = range(_FIRST, _FIRST + int(count))
            self._left = [descriptor for descriptor, name in zip(given, names, strict=False) if name == NAME]
        for descriptor in self._left:
            os.set_inheritable(descriptor, False)

    def take(self) -> int:
        """Return a descriptor that the caller closes, -1 when there is none."""
        return self._left.pop(0) if self._left else -1

    def close(self) -> None:
        """Close what nobody took."""
        while self._left:
            os.close(self._left.pop())
