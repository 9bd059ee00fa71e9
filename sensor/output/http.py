"""The sensor's HTTP server: ``/metrics``, ``/-/healthy`` and ``/-/ready``."""

from __future__ import annotations

import socket
import sys
import threading
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

from prometheus_client.exposition import choose_encoder

if TYPE_CHECKING:
    from collections.abc import Callable

    from prometheus_client import CollectorRegistry

MAX_REQUESTS = 16  # at a time; the next one is closed unheard, for a scraper comes again
TIMEOUT_S = 5.0  # for a client that says nothing

_TEXT = "text/plain; charset=utf-8"


class Server(ThreadingHTTPServer):
    """Serves one registry in threads of its own from ``start`` to ``stop``.

    Raises OSError when the address cannot be bound. ``healthy`` and ``ready`` are asked at each request.
    """

    daemon_threads = True

    def __init__(
        self,
        host: str,
        port: int,
        registry: CollectorRegistry,
        *,
        healthy: Callable[[], bool],
        ready: Callable[[], bool],
    ) -> None:
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.registry = registry
        self.checks = {"/-/healthy": healthy, "/-/ready": ready}
        self._slots = threading.BoundedSemaphore(MAX_REQUESTS)
        self._thread = threading.Thread(target=self.serve_forever, args=(0.2,), name="http", daemon=True)
        super().__init__((host, port), _Handler)

    def start(self) -> None:
        """Answer from now on."""
        self._thread.start()

    def stop(self) -> None:
        """Stop listening, whether it was started or not."""
        if self._thread.is_alive():
            self.shutdown()
            self._thread.join()
        self.server_close()

    def process_request(self, request: socket.socket | tuple[bytes, socket.socket], client_address: object) -> None:
        """Give the request a thread, or close it when all of them are busy."""
        if self._slots.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(
        self, request: socket.socket | tuple[bytes, socket.socket], client_address: object
    ) -> None:
        """Answer, then give the thread back."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._slots.release()

    def handle_error(self, request: socket.socket | tuple[bytes, socket.socket], client_address: object) -> None:
        """Say nothing of clients that go away; anything else is a defect of ours and shows."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    server: Server
    timeout = TIMEOUT_S
    server_version = "legwatch"
    sys_version = ""

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if path == "/metrics":
            encode, content_type = choose_encoder(self.headers.get("Accept", ""))
            self._answer(HTTPStatus.OK, encode(self.server.registry), content_type)
        elif check := self.server.checks.get(path):
            status = HTTPStatus.OK if check() else HTTPStatus.SERVICE_UNAVAILABLE
            self._answer(status, f"{status.phrase}\n".encode(), _TEXT)
        else:
            self._answer(HTTPStatus.NOT_FOUND, b"Here are /metrics, /-/healthy and /-/ready.\n", _TEXT)

    do_HEAD = do_GET  # noqa: N815

    def _answer(self, status: HTTPStatus, body: bytes, content_type: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Requests are not logged: they come every few seconds, for years."""
