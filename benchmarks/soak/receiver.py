"""A webhook's receiver that is there at times."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.live.lab import Namespace

PORT = 9080


class Receiver:
    """Takes events within a namespace while it is up; ``arrived`` has each step of each finding once."""

    def __init__(self, namespace: Namespace) -> None:
        self.arrived: set[tuple[str, str, str]] = set()
        self._namespace = namespace
        self._server: ThreadingHTTPServer | None = None
        self._thread: threading.Thread | None = None

    def up(self) -> None:
        """Be there."""
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                events: list[dict[str, Any]] = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                receiver.arrived.update((each["id"], each["event"], each["time"]) for each in events)
                self.send_response(204)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        with self._namespace.entered():
            self._server = ThreadingHTTPServer(("127.0.0.1", PORT), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()

    def down(self) -> None:
        """Be away: connections are refused."""
        if self._server is not None and self._thread is not None:
            self._server.shutdown()
            self._thread.join()
            self._server.server_close()
            self._server = self._thread = None
