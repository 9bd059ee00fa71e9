"""Receivers on loopback that do as they are told, and certificates for them."""

from __future__ import annotations

import datetime as dt
import ipaddress
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"


class Server:
    """A TCP server: hands each connection to a function, one after the other, and keeps what that returns."""

    def __init__(self, serve: Callable[[socket.socket], bytes], tls: ssl.SSLContext | None = None) -> None:
        self.got: list[bytes] = []
        self._serve, self._tls = serve, tls
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._run)
        self._over = False
        self._thread.start()

    @property
    def port(self) -> int:
        port: int = self._listener.getsockname()[1]
        return port

    def _run(self) -> None:
        while not self._over:
            connection, _ = self._listener.accept()
            with connection:
                if self._over:
                    return
                connection.settimeout(5)
                try:
                    if self._tls:
                        with self._tls.wrap_socket(connection, server_side=True) as encrypted:
                            self.got.append(self._serve(encrypted))
                    else:
                        self.got.append(self._serve(connection))
                except OSError:
                    continue

    def stop(self) -> None:
        """Stop, whatever a connection waits for."""
        self._over = True
        with socket.create_connection(("127.0.0.1", self.port)):
            self._thread.join()
        self._listener.close()


@contextmanager
def serving(serve: Callable[[socket.socket], bytes], tls: ssl.SSLContext | None = None) -> Iterator[Server]:
    """Serve while the block lasts."""
    server = Server(serve, tls)
    try:
        yield server
    finally:
        server.stop()


def closed_port() -> int:
    """A port at which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
    return port


def read_all(connection: socket.socket) -> bytes:
    """Read until the other side closes."""
    got = b""
    while more := connection.recv(65_536):
        got += more
    return got


def read_request(connection: socket.socket) -> bytes:
    """Read one HTTP request with its body."""
    got = b""
    while b"\r\n\r\n" not in got:
        more = connection.recv(65_536)
        if not more:
            return got
        got += more
    head, _, body = got.partition(b"\r\n\r\n")
    length = next(
        (int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length")), 0
    )
    while len(body) < length and (more := connection.recv(65_536)):
        body += more
    return head + b"\r\n\r\n" + body


def answers(answer: bytes) -> Callable[[socket.socket], bytes]:
    """Return what reads a request and gives this answer."""

    def serve(connection: socket.socket) -> bytes:
        request = read_request(connection)
        connection.sendall(answer)
        return request

    return serve


class Authority(NamedTuple):
    """A certificate authority in a folder: ``ca.pem``, and what it issued."""

    folder: Path
    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate

    @property
    def path(self) -> Path:
        return self.folder / "ca.pem"

    def issue(self, name: str) -> tuple[Path, Path]:
        """Issue a certificate for a name or an address; return its file and its key's."""
        key = ec.generate_private_key(ec.SECP256R1())
        try:
            alternative: x509.GeneralName = x509.IPAddress(ipaddress.ip_address(name))
        except ValueError:
            alternative = x509.DNSName(name)
        made = (
            _builder(name, key, self.certificate.subject)
            .add_extension(x509.SubjectAlternativeName([alternative]), critical=False)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()), critical=False)
            .sign(self.key, hashes.SHA256())
        )
        certificate, key_file = self.folder / f"{name}.pem", self.folder / f"{name}.key"
        certificate.write_bytes(made.public_bytes(serialization.Encoding.PEM))
        key_file.touch(0o600)
        key_file.write_bytes(_pem(key))
        return certificate, key_file


def authority(folder: Path) -> Authority:
    """Make an authority."""
    key = ec.generate_private_key(ec.SECP256R1())
    usage = x509.KeyUsage(
        digital_signature=True, key_cert_sign=True, crl_sign=True, content_commitment=False, key_encipherment=False,
        data_encipherment=False, key_agreement=False, encipher_only=False, decipher_only=False,
    )  # fmt: skip
    certificate = (
        _builder("Test CA", key, x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Test CA")]))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    (folder / "ca.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    return Authority(folder, key, certificate)


def _builder(name: str, key: ec.EllipticCurvePrivateKey, issuer: x509.Name) -> x509.CertificateBuilder:
    now = dt.datetime.now(dt.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=10))
    )


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def server_context(authority: Authority, name: str, *, client: bool = False) -> ssl.SSLContext:
    """Return the context of a server with a certificate for a name; ``client``: it asks for one, too."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.load_cert_chain(*authority.issue(name))
    if client:
        made.load_verify_locations(authority.path)
        made.verify_mode = ssl.CERT_REQUIRED
    return made
