"""A small public-key infrastructure for tests: a root, an intermediate, and server certificates."""

from __future__ import annotations

import datetime as dt

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

PEM, DER = serialization.Encoding.PEM, serialization.Encoding.DER


class Pki:
    """Makes each certificate once."""

    def __init__(self) -> None:
        self._made: dict[str, tuple[ec.EllipticCurvePrivateKey, x509.Certificate]] = {}
        self._root = self._issue("Test Root", None)
        self._intermediate = self._issue("Test Intermediate", self._root)

    @property
    def root_pem(self) -> str:
        """The certificate to trust."""
        return self._root[1].public_bytes(PEM).decode()

    def server_pem(self, name: str) -> bytes:
        """The key, the certificate and the intermediate of a server, as it loads them."""
        key, certificate = self._server(name)
        return (
            key.private_bytes(PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
            + certificate.public_bytes(PEM)
            + self._intermediate[1].public_bytes(PEM)
        )

    def chain(self, name: str) -> tuple[bytes, ...]:
        """What the server shows, in DER."""
        return self._server(name)[1].public_bytes(DER), self._intermediate[1].public_bytes(DER)

    def _server(self, name: str) -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
        if name not in self._made:
            self._made[name] = self._issue(name, self._intermediate, host=name)
        return self._made[name]

    @staticmethod
    def _issue(
        name: str, issuer: tuple[ec.EllipticCurvePrivateKey, x509.Certificate] | None, host: str = ""
    ) -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        now = dt.datetime.now(dt.UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer[1].subject if issuer else subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(days=1))
            .not_valid_after(now + dt.timedelta(days=30))
            .add_extension(x509.BasicConstraints(ca=not host, path_length=None), critical=True)
        )
        if host:
            builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
        return key, builder.sign(issuer[0] if issuer else key, hashes.SHA256())
