"""A socket file on which the sensor says how it is: who may open it is told, and nobody is listened to."""

from __future__ import annotations

import errno
import json
import os
import socket
import stat
import sys
import threading
import time
from pathlib import Path
from socketserver import BaseRequestHandler, UnixStreamServer
from typing import TYPE_CHECKING

from sensor.output.patience import Patience, PatientStream
from sensor.readiness import readiness_object

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from sensor.readiness import Condition

NAME = "status.sock"  # in the runtime directory
MODE = 0o660  # the group may ask
FRESH_S = 0.5  # an object of this age is told again: a crowd costs the sensor no more than one that asks
MADE_S = 1.0  # the main thread has to make one; then the last one is told
ANSWER_S = 1.0  # a client has to take it
PAUSE_S = 0.02  # between two clients


def socket_path(configured: str | None) -> str | None:
    """Return the path that is configured, else the one in systemd's runtime directory (systemd.exec(5)), else None."""
    directory = os.environ.get("RUNTIME_DIRECTORY", "").partition(":")[0]
    return configured or (f"{directory}/{NAME}" if directory else None)


class StatusSocket(UnixStreamServer):
    """Answers one client after the other with a JSON object, and closes.

    ``make`` is called in ``step``, by the thread to whom all that it tells of belongs: only when somebody asked, and
    only twice a second. ``wake`` is set for that. What ``conditions`` gives is always of now, even when that thread
    hangs. Raises OSError, with EADDRINUSE where another sensor answers.
    """

    request_queue_size = 16

    def __init__(
        self,
        path: str,
        make: Callable[[], Mapping[str, object]],
        conditions: Callable[[], Sequence[Condition]],
        wake: threading.Event,
    ) -> None:
        self._path = Path(path)
        self._make = make
        self._conditions = conditions
        self._wake = wake
        self._asked, self._made = threading.Event(), threading.Event()
        self._latest: tuple[float, Mapping[str, object]] | None = None
        self._thread = threading.Thread(target=self.serve_forever, args=(0.2,), name="status", daemon=True)
        super().__init__(path, BaseRequestHandler)  # finish_request needs none

    def server_bind(self) -> None:
        """Bind, in place of what a sensor that was killed has left."""
        try:
            super().server_bind()
        except OSError as error:
            if error.errno != errno.EADDRINUSE or not _is_left(self._path):
                raise
            self._path.unlink()
            super().server_bind()
        self._path.chmod(MODE)

    def start(self) -> None:
        """Answer from now on."""
        self._thread.start()

    def step(self) -> None:
        """Make the object if somebody waits for it."""
        if self._asked.is_set():
            self._asked.clear()
            self._latest = time.monotonic(), self._make()
            self._made.set()

    def stop(self) -> None:
        """Answer no more, whether it was started or not."""
        if self._thread.is_alive():
            self.shutdown()
            self._thread.join()
        self.server_close()
        self._path.unlink(missing_ok=True)

    def finish_request(self, request: socket.socket | tuple[bytes, socket.socket], _client: object) -> None:
        """Tell one client."""
        status = self._status()
        if status is not None and isinstance(request, socket.socket):
            PatientStream(request, Patience(ANSWER_S)).write(json.dumps(status).encode() + b"\n")

    def shutdown_request(self, request: socket.socket | tuple[bytes, socket.socket]) -> None:
        """Close, and leave the processor to others for a while."""
        super().shutdown_request(request)
        time.sleep(PAUSE_S)

    def handle_error(self, request: socket.socket | tuple[bytes, socket.socket], client_address: object) -> None:
        """Say nothing of clients that go away, or take nothing; anything else is a defect of ours and shows."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)

    def _status(self) -> dict[str, object] | None:
        """Return the latest object with what is true of the sensor now; None when there was never one."""
        if self._latest is None or time.monotonic() - self._latest[0] > FRESH_S:
            self._made.clear()
            self._asked.set()
            self._wake.set()
            self._made.wait(MADE_S)
        if self._latest is None:
            return None
        made_s, status = self._latest
        return {**status, **readiness_object(self._conditions()), "age_s": round(time.monotonic() - made_s, 1)}


def _is_left(path: Path) -> bool:
    """Whether a socket is nobody's any more."""
    if not stat.S_ISSOCK(path.lstat().st_mode):
        return False
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.settimeout(ANSWER_S)
        return client.connect_ex(str(path)) == errno.ECONNREFUSED
