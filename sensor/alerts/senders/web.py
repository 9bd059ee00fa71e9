"""Webhooks and Alertmanager, by HTTP: one connection a request, no redirect, no proxy."""

from __future__ import annotations

import hashlib
import hmac
import socket
import threading
import time
from base64 import b64encode
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from http import HTTPStatus
from http.client import HTTPException
from itertools import islice
from urllib.parse import urlsplit

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection

from fastpath import __version__
from sensor.alerts.event import Event
from sensor.alerts.mappings.alertmanager import alert
from sensor.alerts.mappings.ecs import ecs
from sensor.alerts.mappings.ocsf import ocsf
from sensor.alerts.mappings.plain import encode
from sensor.alerts.sender import Sender, SendError
from sensor.alerts.senders.connection import Connection
from sensor.alerts.senders.tls import context, reason
from sensor.config.sinks import AlertmanagerSink, Endpoint, WebhookSink, WebSink

# Of the answers that say it is the request's fault, those that another time may not
_AGAIN = frozenset((
    # a wrong token or path is for the operator to put right, and events wait for that
    *(HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND, HTTPStatus.PROXY_AUTHENTICATION_REQUIRED),
    *(HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS),
))  # fmt: skip
DEFAULT_PORTS = {"http": 80, "https": 443}
_MAX_OPEN = 10_000
_ALERTS = 64  # in a request
_FORMATS: dict[str, Callable[[Event], object]] = {
    "json": lambda event: event,
    "ecs": ecs,
    "ocsf": ocsf,
    "ocsf-compliance": lambda event: ocsf(event, compliance=True),
}


class _Patient:
    """A connection that waits for an answer only so long in all, however slowly one comes in."""

    sock: socket.socket | None
    timeout: float

    def getresponse(self) -> urllib3.BaseHTTPResponse:
        """Return the answer's status and headers; TimeoutError when they take too long."""
        late = threading.Event()
        timer = threading.Timer(self.timeout, _give_up, (self.sock, late))
        timer.daemon = True
        timer.start()
        try:
            answer = super().getresponse()  # type: ignore[misc]
        except (OSError, HTTPException):
            if late.is_set():
                raise TimeoutError from None
            raise
        finally:
            timer.cancel()
        if late.is_set():  # what looks like the end of an answer is where it was given up
            raise TimeoutError
        return answer  # type: ignore[no-any-return]


class _Http(_Patient, HTTPConnection):  # type: ignore[misc]
    pass


class _Https(_Patient, HTTPSConnection):  # type: ignore[misc]
    pass


class _HttpPool(urllib3.HTTPConnectionPool):
    ConnectionCls = _Http  # type: ignore[assignment]


class _HttpsPool(urllib3.HTTPSConnectionPool):
    ConnectionCls = _Https  # type: ignore[assignment]


def _give_up(connection: socket.socket, late: threading.Event) -> None:
    late.set()
    with suppress(OSError):  # it is over already
        connection.shutdown(socket.SHUT_RDWR)


class _Poster:
    """Posts JSON to one URL."""

    def __init__(self, sink: WebSink, url: str) -> None:
        self._url = url
        self._sink = sink
        self._tls = context(sink) if url.startswith("https:") else None
        self._pool = urllib3.PoolManager(ssl_context=self._tls)
        self._pool.pool_classes_by_scheme = {"http": _HttpPool, "https": _HttpsPool}
        self._timeout = urllib3.Timeout(connect=sink.timeout, read=sink.timeout)
        self._headers = {
            "Content-Type": "application/json",
            "User-Agent": f"legwatch/{__version__}",
            "Connection": "close",
        }
        if sink.token_file:
            self._headers["Authorization"] = f"Bearer {sink.token_file.content.decode()}"
        if sink.basic_auth_file:
            self._headers["Authorization"] = f"Basic {b64encode(sink.basic_auth_file.content).decode()}"

    def post(self, body: bytes, headers: dict[str, str]) -> None:
        """Post a body; SendError unless the answer is that it was taken. What the answer says further is not read."""
        try:
            answer = self._pool.request(
                "POST",
                self._url,
                body=body,
                headers=self._headers | headers,
                retries=False,
                redirect=False,
                timeout=self._timeout,
                preload_content=False,
            )
        except (urllib3.exceptions.HTTPError, OSError, ValueError) as error:
            raise SendError(reason(error)) from None
        answer.close()
        status = answer.status
        if not HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
            refused = HTTPStatus.BAD_REQUEST <= status < HTTPStatus.INTERNAL_SERVER_ERROR and status not in _AGAIN
            raise SendError(f"HTTP {status}", permanent=refused)

    def try_out(self) -> None:
        """Connect, and ask for nothing."""
        parts = urlsplit(self._url)
        port = parts.port or DEFAULT_PORTS[parts.scheme]
        to = Endpoint(parts.hostname or "", port)
        Connection(to, datagrams=False, timeout_s=self._sink.timeout, tls=self._tls).try_out()

    def close(self) -> None:
        """Close connections."""
        self._pool.clear()


class Webhook(Sender):
    """Posts arrays of events, signed where there is a secret.

    ``X-Legwatch-Signature`` is ``sha256=`` and the HMAC (RFC 2104), in hexadecimal, of ``X-Legwatch-Timestamp``, a dot
    and the body. Who checks it refuses old timestamps, too.
    """

    def __init__(self, sink: WebhookSink) -> None:
        self.batch = sink.batch
        self._form = _FORMATS[sink.format]
        self._secret = sink.secret_file.content if sink.secret_file else b""
        self._poster = _Poster(sink, sink.url)

    def send(self, events: Sequence[Event]) -> None:
        """Post events."""
        body = encode([self._form(event) for event in events]).encode()
        self._poster.post(body, signature(self._secret, int(time.time()), body) if self._secret else {})

    def try_out(self) -> None:
        """Connect, and ask for nothing."""
        self._poster.try_out()

    def close(self) -> None:
        """Close connections."""
        self._poster.close()


def signature(secret: bytes, timestamp: int, body: bytes) -> dict[str, str]:
    """Return the headers that sign a body."""
    digest = hmac.new(secret, b"%d.%s" % (timestamp, body), hashlib.sha256).hexdigest()
    return {"X-Legwatch-Timestamp": str(timestamp), "X-Legwatch-Signature": f"sha256={digest}"}


class Alertmanager(Sender):
    """Posts alerts, and those that are open again and again, since Alertmanager takes silence for an end.

    Of more than 10,000 open ones the oldest are no longer repeated.
    """

    batch = _ALERTS

    def __init__(self, sink: AlertmanagerSink) -> None:
        self.repeat_s = sink.repeat
        self._generator = sink.generator_url or ""
        self._poster = _Poster(sink, f"{sink.url.rstrip('/')}/api/v2/alerts")
        self._open: dict[str, dict[str, object]] = {}  # alerts by their finding

    def send(self, events: Sequence[Event]) -> None:
        """Post the alerts of events."""
        alerts: list[dict[str, object]] = []
        after: dict[str, dict[str, object] | None] = {}
        for event in events:
            made = alert(event, generator=self._generator)
            before = after.get(event["id"], self._open.get(event["id"]))
            if before is not None and before["labels"] != made["labels"]:
                # another severity makes another alert: the one before is over
                alerts.append(before | {"endsAt": event["time"]})
            after[event["id"]] = None if "endsAt" in made else made
            alerts.append(made)
        self._post(alerts)
        for finding, left in after.items():
            self._open.pop(finding, None)
            if left is not None:
                self._open[finding] = left
        while len(self._open) > _MAX_OPEN:
            del self._open[next(iter(self._open))]

    def restore(self, event: Event) -> None:
        """Post what is open still, when that is due."""
        made = alert(event, generator=self._generator)
        if "endsAt" not in made:
            self._open[event["id"]] = made

    def repeat(self) -> None:
        """Post what is open."""
        rest = iter(list(self._open.values()))
        while alerts := list(islice(rest, _ALERTS)):
            self._post(alerts)

    def forget(self, findings: Iterable[str]) -> None:
        """Repeat these no more; Alertmanager ends them by itself."""
        for finding in findings:
            self._open.pop(finding, None)

    def try_out(self) -> None:
        """Connect, and ask for nothing."""
        self._poster.try_out()

    def close(self) -> None:
        """Close connections."""
        self._poster.close()

    def _post(self, alerts: list[dict[str, object]]) -> None:
        self._poster.post(encode(alerts).encode(), {})
