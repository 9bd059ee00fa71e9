"""The HTTP server under a web configuration file: who gets in, and what those who do not get in can do."""

from __future__ import annotations

import base64
import contextlib
import http.client
import ipaddress
import os
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import bcrypt
import pytest
from cryptography import x509
from prometheus_client import CollectorRegistry, Gauge

from sensor.config.web_config import load_web_config
from sensor.output import credentials, patience
from sensor.output import http as served
from sensor.output.credentials import BusyError, Credentials
from sensor.output.http import MAX_REQUESTS, Server
from tests.unit.sensor.web import HASH, MTLS, PASSWORD, TLS, USER, USERS, Authority

Login = tuple[str, str]
RIGHT = (USER, PASSWORD)


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    authority = Authority(tmp_path)
    authority.sign("server")
    return authority


@contextmanager
def serving(folder: Path, text: str) -> Iterator[Server]:
    path = folder / "web.yml"
    path.write_text(text)
    registry = CollectorRegistry()
    Gauge("legwatch_test", "A gauge.", registry=registry).set(3)
    server = Server("127.0.0.1", 0, registry, healthy=lambda: True, conditions=lambda: (), web=load_web_config(path))
    server.start()
    try:
        yield server
    finally:
        server.stop()


def port(server: Server) -> int:
    return int(server.server_address[1])


def get(
    server: Server, path: str = "/metrics", *, login: Login | None = None, tls: ssl.SSLContext | None = None
) -> http.client.HTTPResponse:
    """Return the answer, read to its end; OSError when there is none."""
    connection = (
        http.client.HTTPSConnection("127.0.0.1", port(server), timeout=10, context=tls)
        if tls
        else http.client.HTTPConnection("127.0.0.1", port(server), timeout=10)
    )
    headers = {"Authorization": "Basic " + base64.b64encode(":".join(login).encode()).decode()} if login else {}
    with contextlib.closing(connection):
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        answer.read()
        return answer


def eventually(server: Server, **outcomes: int) -> None:
    """Wait until requests have ended so; a client may hear its answer before it is counted."""
    deadline = time.monotonic() + 5
    while (seen := {name: count for name, count in server.outcomes().items() if count}) != outcomes:
        assert time.monotonic() < deadline, seen
        time.sleep(0.01)


@pytest.fixture
def bcrypts(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """The hashes that passwords are held against."""
    calls: list[bytes] = []

    def checkpw(password: bytes, hashed: bytes) -> bool:
        calls.append(hashed)
        return bcrypt.checkpw(password, hashed)

    monkeypatch.setattr(credentials, "bcrypt", SimpleNamespace(checkpw=checkpw))
    return calls


class TestBasicAuthentication:
    """``basic_auth_users``."""

    @pytest.fixture
    def server(self, tmp_path: Path) -> Iterator[Server]:
        with serving(tmp_path, USERS) as server:
            yield server

    @pytest.mark.parametrize("path", ["/metrics", "/-/healthy", "/-/ready", "/admin"])
    def test_request_without_a_user_learns_nothing(self, server: Server, path: str) -> None:
        answer = get(server, path)
        assert (answer.status, answer.headers["Content-Length"]) == (401, "13")
        assert answer.headers["WWW-Authenticate"] == 'Basic realm="legwatch", charset="UTF-8"'
        eventually(server, unauthorized=1)

    def test_right_password_is_paid_for_once(self, server: Server, bcrypts: list[bytes]) -> None:
        for path in ("/metrics", "/-/healthy", "/-/ready"):
            assert get(server, path, login=RIGHT).status == 200
        assert bcrypts == [HASH.encode()]
        eventually(server, answered=3)

    def test_wrong_password_is_paid_for_every_time_even_after_the_right_one(
        self, server: Server, bcrypts: list[bytes]
    ) -> None:
        assert get(server, login=RIGHT).status == 200
        for _ in range(2):
            assert get(server, login=(USER, PASSWORD + "r")).status == 401
        assert len(bcrypts) == 3
        eventually(server, answered=1, unauthorized=2)

    def test_unknown_user_costs_the_same_and_never_gets_in(self, server: Server, bcrypts: list[bytes]) -> None:
        for password in ("x", PASSWORD, PASSWORD):  # the decoy's own password, too
            assert get(server, login=("nobody", password)).status == 401
        assert bcrypts == [HASH.encode()] * 3

    @pytest.mark.parametrize(
        "value", ["", "Basic", "Basic !", "Bearer abc", "Basic YWJj", f"Digest {base64.b64encode(b'a:b').decode()}"]
    )
    def test_header_that_names_nobody_is_refused_without_work(self, value: str, bcrypts: list[bytes]) -> None:
        assert not Credentials({USER: HASH}).accept(value, 1)
        assert not bcrypts


def basic(user: str, password: str) -> str:
    return "bAsIc  " + base64.b64encode(f"{user}:{password}".encode()).decode()


def test_passwords_beyond_what_bcrypt_takes_are_cut_as_by_those_who_made_the_hash() -> None:
    long = "ü" * 50
    users = {"a": bcrypt.hashpw(long.encode()[:72], bcrypt.gensalt(4)).decode()}
    assert Credentials(users).accept(basic("a", long), 1)
    assert not Credentials(users).accept(basic("a", "x" + long), 1)


@pytest.mark.parametrize("password", ["", ":", "\0", "a\0b", "x" * 10_000])
def test_odd_passwords_are_wrong_ones(password: str) -> None:
    assert not Credentials({USER: HASH}).accept(basic(USER, password), 1)


def test_unknown_user_pays_the_dearest_hash(bcrypts: list[bytes]) -> None:
    dear = bcrypt.hashpw(b"x", bcrypt.gensalt(5)).decode()
    assert not Credentials({"a": HASH, "b": dear, "c": HASH}).accept(basic("z", "x"), 1)
    assert bcrypts == [dear.encode()]


def test_passwords_are_looked_at_one_at_a_time_and_the_known_one_does_not_wait(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    users = Credentials({USER: HASH})
    assert users.accept(basic(*RIGHT), 1)
    begun, go_on = threading.Event(), threading.Event()

    def checkpw(_password: bytes, _hashed: bytes) -> bool:
        begun.set()
        return go_on.wait(5) and False

    monkeypatch.setattr(credentials, "bcrypt", SimpleNamespace(checkpw=checkpw))
    guess = threading.Thread(target=users.accept, args=(basic(USER, "wrong"), 1))
    guess.start()
    assert begun.wait(5)
    try:
        with pytest.raises(BusyError):
            users.accept(basic("other", "wrong"), 0.05)
        assert users.accept(basic(*RIGHT), 0.05)
    finally:
        go_on.set()
        guess.join()


def test_right_passwords_that_come_at_once_are_paid_for_once(bcrypts: list[bytes]) -> None:
    users = Credentials({USER: HASH})
    answers: list[bool] = []
    threads = [threading.Thread(target=lambda: answers.append(users.accept(basic(*RIGHT), 5))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [True] * 8
    assert len(bcrypts) == 1


def test_queue_for_passwords_that_is_too_long_is_told_busy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(served, "QUEUE_S", 0.05)
    with serving(tmp_path, USERS) as server:
        assert server.credentials
        with server.credentials._bcrypt:
            assert get(server, login=RIGHT).status == 503
        assert get(server, login=RIGHT).status == 200
        eventually(server, busy=1, answered=1)


class TestTls:
    """``tls_server_config``."""

    @pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
    def test_client_of_either_version_gets_the_metrics_and_a_goodbye(
        self, authority: Authority, version: ssl.TLSVersion
    ) -> None:
        client = authority.client()
        client.minimum_version = client.maximum_version = version
        with (
            serving(authority.folder, TLS + USERS) as server,
            socket.create_connection(("127.0.0.1", port(server)), timeout=5) as plain,
            client.wrap_socket(plain, server_hostname="127.0.0.1", suppress_ragged_eofs=False) as connection,
        ):
            connection.sendall(f"GET /metrics HTTP/1.1\r\nAuthorization: {basic(*RIGHT)}\r\n\r\n".encode())
            answer = b"".join(iter(lambda: connection.recv(4096), b""))
            assert answer.startswith(b"HTTP/1.0 200")
            assert b"legwatch_test 3.0" in answer
            eventually(server, answered=1)

    def test_client_without_tls_or_with_an_old_one_is_refused(self, authority: Authority) -> None:
        old = authority.client()
        old.set_ciphers("ALL:@SECLEVEL=0")
        with pytest.warns(DeprecationWarning, match="TLS"):
            old.minimum_version = ssl.TLSVersion.TLSv1
        with pytest.warns(DeprecationWarning, match="TLS"):
            old.maximum_version = ssl.TLSVersion.TLSv1_1
        with serving(authority.folder, TLS) as server:
            for tls in (None, old):
                with pytest.raises((OSError, http.client.HTTPException)):
                    get(server, tls=tls)
            assert get(server, tls=authority.client()).status == 200
            eventually(server, refused=2, answered=1)

    def test_version_that_the_file_rules_out_is_refused(self, authority: Authority) -> None:
        client = authority.client()
        client.maximum_version = ssl.TLSVersion.TLSv1_2
        with serving(authority.folder, TLS.replace("}", ", min_version: TLS13}")) as server:
            with pytest.raises(OSError):  # noqa: PT011  (an alert or a reset, as it comes)
                get(server, tls=client)
            eventually(server, refused=1)

    def test_client_that_shows_nothing_or_another_authoritys_certificate_is_refused(
        self, authority: Authority, tmp_path_factory: pytest.TempPathFactory
    ) -> None:
        stranger = Authority(tmp_path_factory.mktemp("stranger")).sign("client", client=True)
        with serving(authority.folder, MTLS) as server:
            for certificate in (None, stranger, authority.sign("server2")):  # the last is no client's
                with pytest.raises((OSError, http.client.HTTPException)):
                    get(server, tls=authority.client(certificate))
            assert get(server, tls=authority.client(authority.sign("client", client=True))).status == 200
            eventually(server, refused=3, answered=1)

    def test_certificate_that_is_asked_for_and_optional_is_verified_when_shown(
        self, authority: Authority, tmp_path_factory: pytest.TempPathFactory
    ) -> None:
        stranger = Authority(tmp_path_factory.mktemp("stranger")).sign("client", client=True)
        text = MTLS.replace("RequireAndVerifyClientCert", "VerifyClientCertIfGiven")
        with serving(authority.folder, text) as server:
            assert get(server, tls=authority.client()).status == 200
            with pytest.raises((OSError, http.client.HTTPException)):
                get(server, tls=authority.client(stranger))

    @pytest.mark.parametrize(
        "name",
        [
            x509.DNSName("scraper.example"),
            x509.IPAddress(ipaddress.ip_address("2001:db8::1")),
            x509.RFC822Name("ops@scraper.example"),
            x509.UniformResourceIdentifier("spiffe://example/scraper"),
        ],
        ids=lambda name: type(name).__name__,
    )
    def test_only_clients_with_an_allowed_name_get_in(self, authority: Authority, name: x509.GeneralName) -> None:
        text = MTLS.replace("}", f", client_allowed_sans: [another, '{name.value}']}}")
        right = authority.sign("right", client=True, sans=(x509.DNSName("x"), name))
        wrong = authority.sign("wrong", client=True, sans=(x509.DNSName("scraper.example.org"),))
        with serving(authority.folder, text) as server:
            assert get(server, tls=authority.client(right)).status == 200
            with pytest.raises((OSError, http.client.HTTPException)):
                get(server, tls=authority.client(wrong))
            eventually(server, answered=1, refused=1)

    def test_headers_that_are_set_come_with_every_answer(self, authority: Authority) -> None:
        text = TLS + USERS + "http_server_config: {headers: {Strict-Transport-Security: max-age=31536000}}\n"
        with serving(authority.folder, text) as server:
            for login, status in ((None, 401), (RIGHT, 200)):
                answer = get(server, login=login, tls=authority.client())
                assert answer.status == status
                assert answer.headers["Strict-Transport-Security"] == "max-age=31536000"


def shown(server: Server, authority: Authority) -> int:
    """Return the serial number of the certificate that a client sees."""
    with (
        socket.create_connection(("127.0.0.1", port(server)), timeout=5) as plain,
        authority.client().wrap_socket(plain, server_hostname="127.0.0.1") as connection,
    ):
        return x509.load_der_x509_certificate(connection.getpeercert(True) or b"").serial_number


def test_certificate_that_changes_is_shown_and_a_broken_one_is_not(authority: Authority) -> None:
    with serving(authority.folder, TLS) as server:
        first = shown(server, authority)
        authority.sign("server")
        second = shown(server, authority)
        assert first != second
        certificate, key = authority.folder / "server.crt", authority.folder / "server.key"
        os.replace(certificate, authority.folder / "away")  # noqa: PTH105
        assert shown(server, authority) == second
        certificate.write_text("junk")
        assert shown(server, authority) == second
        assert shown(server, authority) == second
        assert server.certificate_failures() == 2  # once for each change
        assert server.certificate_broken()
        os.replace(authority.sign("third")[0], certificate)  # noqa: PTH105
        assert shown(server, authority) == second  # whose key is still the old one
        os.replace(authority.folder / "third.key", key)  # noqa: PTH105
        assert shown(server, authority) not in {first, second}
        assert server.certificate_failures() == 3
        assert not server.certificate_broken()


def trickle(connection: socket.socket, octets: Callable[[int], bytes], interval_s: float) -> float:
    """Send a little every now and then until the peer has enough; return how long that took."""
    start = time.monotonic()
    connection.settimeout(interval_s)
    for i in range(10_000):
        with contextlib.suppress(TimeoutError):
            try:
                connection.sendall(octets(i))
                if not connection.recv(1):
                    break
            except ConnectionError:
                break
    return time.monotonic() - start


class TestHostileClients:
    """Clients that want a thread, the processor or the memory rather than metrics."""

    @pytest.mark.parametrize("text", ["", TLS], ids=["clear", "tls"])
    def test_request_that_trickles_in_is_cut_when_its_whole_time_is_over(
        self, authority: Authority, text: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(served, "HEAR_S", 0.6)
        request = b"GET /metrics HTTP/1.1\r\nX: "
        with serving(authority.folder, text) as server, contextlib.ExitStack() as stack:
            plain = stack.enter_context(socket.create_connection(("127.0.0.1", port(server)), timeout=5))
            connection = (
                stack.enter_context(authority.client().wrap_socket(plain, server_hostname="127.0.0.1"))
                if text
                else plain
            )
            took = trickle(connection, lambda i: request[i : i + 1] or b"x", 0.05)
            assert 0.4 < took < 3
            eventually(server, timeout=1)

    def test_handshake_that_trickles_in_or_never_begins_is_cut_and_holds_nobody_up(
        self, authority: Authority, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(served, "HEAR_S", 0.6)
        hello = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"
        with (
            serving(authority.folder, TLS) as server,
            socket.create_connection(("127.0.0.1", port(server)), timeout=5) as silent,
            socket.create_connection(("127.0.0.1", port(server)), timeout=5) as slow,
        ):
            assert get(server, tls=authority.client()).status == 200
            assert trickle(slow, lambda i: hello[i : i + 1] or b"x", 0.05) < 3
            assert silent.recv(1) == b""
            eventually(server, answered=1, timeout=2)

    def test_client_that_does_not_read_its_answer_is_cut(
        self, authority: Authority, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(served, "ANSWER_S", 0.5)
        monkeypatch.setattr(
            served, "choose_encoder", lambda _accept: (lambda _registry: b"x" * (16 << 20), "text/plain")
        )
        with (
            serving(authority.folder, TLS) as server,
            socket.create_connection(("127.0.0.1", port(server)), timeout=5) as plain,
            authority.client().wrap_socket(plain, server_hostname="127.0.0.1") as connection,
        ):
            connection.sendall(b"GET /metrics HTTP/1.1\r\n\r\n")
            eventually(server, timeout=1)

    @pytest.mark.parametrize(
        ("request_", "status"),
        [
            (b"GET /" + b"x" * patience.MAX_REQUEST, 414),
            (b"GET / HTTP/1.1\r\nX: " + b"x" * patience.MAX_REQUEST, 431),
            (b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 101 + b"\r\n", 431),
            (b"nonsense\r\n\r\n", 400),
            (b"POST /metrics HTTP/1.1\r\n\r\n", 501),
        ],
        ids=["line", "header", "headers", "nonsense", "method"],
    )
    def test_request_that_is_too_large_or_none_is_told_so(self, tmp_path: Path, request_: bytes, status: int) -> None:
        with (
            serving(tmp_path, USERS) as server,
            socket.create_connection(("127.0.0.1", port(server)), timeout=5) as client,
        ):
            client.sendall(request_)
            answer = b""
            with contextlib.suppress(ConnectionResetError):  # what it did not hear is reset when it has answered
                while octets := client.recv(4096):
                    answer += octets
            assert f"Error code: {status}" in answer.decode()
            eventually(server, refused=1)

    def test_request_at_the_limit_is_heard(self, tmp_path: Path) -> None:
        start = f"GET /metrics HTTP/1.1\r\nAuthorization: {basic(*RIGHT)}\r\nX: ".encode()
        with (
            serving(tmp_path, USERS) as server,
            socket.create_connection(("127.0.0.1", port(server)), timeout=5) as client,
        ):
            client.sendall(start + b"x" * (patience.MAX_REQUEST - len(start) - 4) + b"\r\n\r\n")
            assert client.recv(100).startswith(b"HTTP/1.0 200 ")

    def test_client_that_goes_away_is_counted_and_nothing_is_said(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        with serving(tmp_path, "") as server:
            socket.create_connection(("127.0.0.1", port(server))).close()
            eventually(server, refused=1)
        assert capsys.readouterr() == ("", "")

    def test_thread_that_is_not_to_be_had_is_busy_and_costs_no_slot(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        start = threading.Thread.start

        def refuse(thread: threading.Thread) -> None:
            if "process_request_thread" in thread.name:
                raise RuntimeError("can't start new thread")
            start(thread)

        with serving(tmp_path, "") as server:
            with monkeypatch.context() as patch:
                patch.setattr(threading.Thread, "start", refuse)
                for _ in range(MAX_REQUESTS + 1):
                    with pytest.raises((OSError, http.client.HTTPException)):
                        get(server)
            assert get(server).status == 200
            eventually(server, busy=MAX_REQUESTS + 1, answered=1)

    def test_thousand_at_once_get_few_threads_and_the_scraper_gets_its_answer(
        self, authority: Authority, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(served, "HEAR_S", 1.0)
        threads, most = threading.active_count(), 0
        with serving(authority.folder, TLS + USERS) as server, contextlib.ExitStack() as stack:
            for _ in range(1000):
                client = socket.create_connection(("127.0.0.1", port(server)), timeout=5)
                stack.enter_context(client)
                most = max(most, threading.active_count())
            start, status, tries = time.monotonic(), 0, 0
            while status != 200:
                assert time.monotonic() < start + 5
                tries += 1
                with contextlib.suppress(OSError, http.client.HTTPException):
                    status = get(server, login=RIGHT, tls=authority.client()).status
                time.sleep(0.05)
            deadline = time.monotonic() + 5
            while sum(server.outcomes().values()) < 1000 + tries:
                assert time.monotonic() < deadline
                time.sleep(0.01)
            assert most <= threads + 1 + MAX_REQUESTS
            outcomes = server.outcomes()
            assert outcomes["answered"] == 1
            assert outcomes["busy"] > MAX_REQUESTS
            assert outcomes["busy"] + outcomes["timeout"] == 1000 + tries - 1
