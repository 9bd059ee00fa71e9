"""What systemd is told (sd_notify(3)); nothing at all when it did not start us."""

from __future__ import annotations

import os
import socket


def notify(*assignments: str) -> None:
    """Send ``READY=1`` and the like to the socket that systemd named; a failure to do so is not ours to handle."""
    path = os.environ.get("NOTIFY_SOCKET")
    if not path:
        return
    address = "\0" + path[1:] if path.startswith("@") else path  # an abstract socket
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as peer:
        peer.setblocking(False)  # a service manager that does not listen must not hold us up
        try:
            peer.sendto("\n".join(assignments).encode(), address)
        except OSError:
            return


def watchdog_interval_s() -> float | None:
    """Return how often systemd wants to hear ``WATCHDOG=1`` (half its patience), None when it does not."""
    patience = os.environ.get("WATCHDOG_USEC", "")
    ours = os.environ.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
    return int(patience) / 2e6 if ours and patience.isdigit() else None
