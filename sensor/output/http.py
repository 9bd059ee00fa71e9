"""The sensor's HTTP server: ``/metrics``, ``/-/healthy`` and ``/-/ready``, protected by a web configuration file."""

from __future__ import annotations

import json
import socket
import sys
import threading
from collections.abc import Mapping
from contextlib import nullcontext
from http import HTTPStatus
from http.client import LineTooLong
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BufferedReader
from socketserver import TCPServer
from typing import TYPE_CHECKING, cast

from prometheus_client.exposition import choose_encoder

from sensor.output.certificates import Certificates
from sensor.output.credentials import BusyError, Credentials
from sensor.output.outcomes import Outcomes
from sensor.output.patience import Patience, PatientStream
from sensor.readiness import is_blind, readiness_object

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from io import BufferedIOBase

    from prometheus_client import CollectorRegistry

    from sensor.config.web_config import WebConfig
    from sensor.readiness import Condition

MAX_REQUESTS = 16  # at a time; the next one is closed unheard, for a scraper comes again
HEAR_S = 5.0  # for the handshake and the request together, however they trickle in
ANSWER_S = 10.0  # from then on until the client has taken the answer
QUEUE_S = 5.0  # of these, to wait for others' passwords

_TEXT = "text/plain; charset=utf-8"


class Server(ThreadingHTTPServer):
    """Serves one registry in threads of its own from ``start`` to ``stop``.

    Raises OSError when the address cannot be bound. ``healthy`` and ``conditions`` are asked at each request. Without
    ``web`` it speaks HTTP in clear with everybody.
    """

    daemon_threads = True
    request_queue_size = 1024  # those who will be turned away must not keep a scraper out of the queue

    def __init__(
        self,
        host: str,
        port: int,
        registry: CollectorRegistry,
        *,
        healthy: Callable[[], bool],
        conditions: Callable[[], Sequence[Condition]],
        web: WebConfig | None = None,
    ) -> None:
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.registry = registry
        self.healthy = healthy
        self.conditions = conditions
        self.headers: Mapping[str, str] = web.http_server_config.headers if web else {}
        self.credentials = Credentials(web.basic_auth_users) if web and web.basic_auth_users else None
        self._certificates = Certificates(web.tls_server_config) if web and web.tls_server_config else None
        self._outcomes = Outcomes()
        self._slots = threading.BoundedSemaphore(MAX_REQUESTS)
        self._thread = threading.Thread(target=self.serve_forever, args=(0.2,), name="http", daemon=True)
        super().__init__((host, port), BaseHTTPRequestHandler)  # finish_request has its own

    def server_bind(self) -> None:
        """Bind, without asking the DNS what the address is called, as HTTPServer would."""
        TCPServer.server_bind(self)

    def start(self) -> None:
        """Answer from now on."""
        self._thread.start()

    def stop(self) -> None:
        """Stop listening, whether it was started or not."""
        if self._thread.is_alive():
            self.shutdown()
            self._thread.join()
        self.server_close()

    def outcomes(self) -> dict[str, int]:
        """Return how many requests ended how, by each of ``sensor.output.outcomes.OUTCOMES``."""
        return self._outcomes.counts()

    def certificate_failures(self) -> int:
        """Return how often a new certificate, key or authority could not be used, and the old one was kept."""
        return self._certificates.failures if self._certificates else 0

    def certificate_broken(self) -> bool:
        """Say whether that is so now."""
        return self._certificates.broken if self._certificates else False

    def process_request(self, request: socket.socket | tuple[bytes, socket.socket], client_address: object) -> None:
        """Give the request a thread, or close it when all of them are busy or there is none to be had."""
        if self._slots.acquire(blocking=False):
            try:
                super().process_request(request, client_address)
            except RuntimeError:
                self._slots.release()
            else:
                return
        self._outcomes.count("busy")
        self.shutdown_request(request)

    def process_request_thread(
        self, request: socket.socket | tuple[bytes, socket.socket], client_address: object
    ) -> None:
        """Answer, then give the thread back."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._slots.release()

    def finish_request(self, request: socket.socket | tuple[bytes, socket.socket], client_address: object) -> None:
        """Shake hands, hear and answer; count how it ended."""
        plain = cast("socket.socket", request)  # of a TCP server
        patience = Patience(HEAR_S)
        outcome = "refused"
        try:
            with (
                self._certificates.secured(plain, patience) if self._certificates else nullcontext(plain) as connection
            ):
                outcome = _Handler(connection, client_address, self, patience).outcome
        finally:
            self._outcomes.count("timeout" if outcome == "refused" and patience.is_over() else outcome)

    def handle_error(self, request: socket.socket | tuple[bytes, socket.socket], client_address: object) -> None:
        """Say nothing of clients that go away; anything else is a defect of ours and shows."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    server: Server
    server_version = "legwatch"
    sys_version = ""

    def __init__(self, connection: socket.socket, client_address: object, server: Server, patience: Patience) -> None:
        self.outcome = "refused"
        self._patience = patience
        super().__init__(connection, client_address, server)

    def setup(self) -> None:
        stream = PatientStream(self.request, self._patience)
        self.rfile = BufferedReader(stream)
        self.wfile = cast("BufferedIOBase", stream)

    def handle(self) -> None:
        try:
            self.handle_one_request()
        except LineTooLong:  # in the first line; in later ones it is answered by parse_request
            self.requestline = self.command = self.request_version = ""
            self.send_error(HTTPStatus.REQUEST_URI_TOO_LONG)

    def do_GET(self) -> None:
        self._patience.renew(ANSWER_S)
        path = self.path.partition("?")[0]
        if not self._authorized():
            return
        if path == "/metrics":
            encode, content_type = choose_encoder(self.headers.get("Accept", ""))
            self._answer(HTTPStatus.OK, encode(self.server.registry), content_type)
        elif path == "/-/healthy":
            status = HTTPStatus.OK if self.server.healthy() else HTTPStatus.SERVICE_UNAVAILABLE
            self._answer(status, f"{status.phrase}\n".encode())
        elif path == "/-/ready":
            self._answer_ready()
        else:
            self._answer(HTTPStatus.NOT_FOUND, b"Here are /metrics, /-/healthy and /-/ready.\n")

    do_HEAD = do_GET  # noqa: N815

    def end_headers(self) -> None:
        for name, value in self.server.headers.items():
            self.send_header(name, value)
        super().end_headers()

    def _answer_ready(self) -> None:
        """Say whether the sensor sees, and every condition in a line of its own."""
        holding = self.server.conditions()
        status = HTTPStatus.SERVICE_UNAVAILABLE if is_blind(holding) else HTTPStatus.OK
        if "application/json" in self.headers.get("Accept", ""):
            body = f"{json.dumps(readiness_object(holding))}\n"
            self._answer(status, body.encode(), "application/json")
        else:
            lines = (status.phrase, *map(str, holding))
            self._answer(status, "".join(f"{line}\n" for line in lines).encode())

    def _authorized(self) -> bool:
        """Whether the request may go on; otherwise it was answered."""
        credentials = self.server.credentials
        try:
            if credentials is None or credentials.accept(self.headers.get("Authorization", ""), QUEUE_S):
                return True
        except BusyError:
            self._answer(
                HTTPStatus.SERVICE_UNAVAILABLE, b"Too many passwords to look at; come again.\n", outcome="busy"
            )
        else:
            self._answer(HTTPStatus.UNAUTHORIZED, b"Unauthorized\n", outcome="unauthorized")
        return False

    def _answer(self, status: HTTPStatus, body: bytes, content_type: str = _TEXT, outcome: str = "answered") -> None:
        self.send_response(status)
        if status is HTTPStatus.UNAUTHORIZED:
            self.send_header("WWW-Authenticate", 'Basic realm="legwatch", charset="UTF-8"')  # RFC 7617 section 2.1
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)
        self.outcome = outcome

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Requests are not logged: they come every few seconds, for years."""
