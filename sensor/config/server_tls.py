"""``tls_server_config`` of a web configuration file, and the ``ssl.SSLContext`` that it asks for.

Names are Go's, as in the file. What ssl cannot do is refused: a setting that is only read protects nobody.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar

from pydantic import ConfigDict

from sensor.config.fields import FaultsError, Location, Parsed, suggestion
from sensor.config.files import read_file

_CLIENT_AUTH = {
    "NoClientCert": ssl.CERT_NONE,
    "VerifyClientCertIfGiven": ssl.CERT_OPTIONAL,
    "RequireAndVerifyClientCert": ssl.CERT_REQUIRED,
}
_CLIENT_AUTH_UNVERIFIED = ("RequestClientCert", "RequireAnyClientCert", "RequireClientCert")
_VERSIONS = {"TLS12": ssl.TLSVersion.TLSv1_2, "TLS13": ssl.TLSVersion.TLSv1_3}
_VERSIONS_BROKEN = ("TLS10", "TLS11")
_CIPHERS = {  # by Go's names, to OpenSSL's
    "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA": "ECDHE-ECDSA-AES128-SHA",
    "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA": "ECDHE-ECDSA-AES256-SHA",
    "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA": "ECDHE-RSA-AES128-SHA",
    "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA": "ECDHE-RSA-AES256-SHA",
    "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256": "ECDHE-ECDSA-AES128-GCM-SHA256",
    "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384": "ECDHE-ECDSA-AES256-GCM-SHA384",
    "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256": "ECDHE-RSA-AES128-GCM-SHA256",
    "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384": "ECDHE-RSA-AES256-GCM-SHA384",
    "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256": "ECDHE-RSA-CHACHA20-POLY1305",
    "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256": "ECDHE-ECDSA-CHACHA20-POLY1305",
}
_CIPHERS_13 = ("TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256")
_CURVES = {"CurveP256": "prime256v1", "CurveP384": "secp384r1", "CurveP521": "secp521r1", "X25519": "X25519"}


def unsupported(what: str) -> Parsed:
    """Return field metadata that refuses a key that others know; ``what`` says what to do instead."""

    def parse(_value: object) -> None:
        raise ValueError(what)

    return Parsed(parse)


def _file(value: object) -> str:
    if not isinstance(value, str) or not value or "-----BEGIN" in value:  # a key at the wrong place is not quoted
        raise ValueError("must be the path of a file in PEM")
    try:
        read_file(value, 1)
    except OSError as error:
        raise ValueError(f"{value} cannot be read: {error.strerror}") from None
    return value


def _named(value: object, known: Iterable[str], what: str) -> str:
    if not isinstance(value, str) or value not in known:
        raise ValueError(f"must be {what}{suggestion(str(value), known)}")
    return value


def _client_auth(value: object) -> str:
    if value in _CLIENT_AUTH_UNVERIFIED:
        msg = f"{value} takes certificates that nobody verified, which ssl cannot do; use RequireAndVerifyClientCert"
        raise ValueError(msg)
    return _named(value, _CLIENT_AUTH, "NoClientCert, VerifyClientCertIfGiven or RequireAndVerifyClientCert")


def _version(value: object) -> str:
    if value in _VERSIONS_BROKEN:
        raise ValueError(f"{value} is broken (RFC 8996); must be TLS12 or TLS13")
    return _named(value, _VERSIONS, "TLS12 or TLS13")


def _cipher(value: object) -> str:
    if value in _CIPHERS_13:
        raise ValueError(f"{value} is of TLS 1.3, of which all suites are always offered; leave it out")
    if isinstance(value, str) and value.startswith("TLS_RSA_WITH_"):
        raise ValueError(f"{value} has no forward secrecy; use one of TLS_ECDHE_…")
    return _named(value, _CIPHERS, "a cipher suite of TLS 1.2 by Go's name")


def _curve(value: object) -> str:
    return _named(value, _CURVES, "CurveP256, CurveP384, CurveP521 or X25519")


def _san(value: object) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError("must be a name, an address, a mail address or a URI, as text")
    return value


class Section:
    """A mapping of the file; keys that it does not name are errors."""

    __slots__ = ()
    __pydantic_config__: ClassVar[ConfigDict] = {"extra": "forbid"}


@dataclass(frozen=True, slots=True)
class TlsServer(Section):
    """``tls_server_config``, its paths relative to nothing but the working directory."""

    cert_file: Annotated[str, Parsed(_file)]
    key_file: Annotated[str, Parsed(_file)]
    client_auth_type: Annotated[str, Parsed(_client_auth)] = "NoClientCert"
    client_ca_file: Annotated[str | None, Parsed(_file)] = None
    client_allowed_sans: tuple[Annotated[str, Parsed(_san)], ...] = ()
    min_version: Annotated[str, Parsed(_version)] = "TLS12"
    max_version: Annotated[str, Parsed(_version)] = "TLS13"
    cipher_suites: tuple[Annotated[str, Parsed(_cipher)], ...] = ()
    prefer_server_cipher_suites: bool = True
    curve_preferences: tuple[Annotated[str, Parsed(_curve)], ...] = ()
    cert: Annotated[None, unsupported("must be in a file; name it in cert_file")] = None
    key: Annotated[None, unsupported("must be in a file; name it in key_file")] = None
    client_ca: Annotated[None, unsupported("must be in a file; name it in client_ca_file")] = None

    def __post_init__(self) -> None:
        """Refuse what contradicts itself, what ssl cannot do, and certificates that cannot be used."""
        faults: list[tuple[Location, str]] = []
        verifying = self.client_auth_type != "NoClientCert"
        if verifying and not self.client_ca_file:
            faults.append((("client_auth_type",), f"{self.client_auth_type} needs client_ca_file"))
        if self.client_ca_file and not verifying:
            faults.append((("client_ca_file",), "verifies nobody; set client_auth_type: RequireAndVerifyClientCert"))
        if self.client_allowed_sans and not self.clients_verified:
            faults.append((("client_allowed_sans",), "needs client_auth_type: RequireAndVerifyClientCert"))
        if _VERSIONS[self.max_version] < _VERSIONS[self.min_version]:
            faults.append((("max_version",), "must not be below min_version"))
        if len(self.curve_preferences) > 1:
            faults.append((("curve_preferences",), "must be one curve, for no order can be set here; or leave it out"))
        if faults:
            raise FaultsError(faults)
        self.context()

    @property
    def clients_verified(self) -> bool:
        """Whether nobody gets in without a certificate that ``client_ca_file`` vouches for."""
        return self.client_auth_type == "RequireAndVerifyClientCert"

    @property
    def files(self) -> tuple[str, ...]:
        """What is read by ``context``."""
        return tuple(path for path in (self.cert_file, self.key_file, self.client_ca_file) if path)

    def context(self) -> ssl.SSLContext:
        """Return what a server needs, of files read now; FaultsError says which of them cannot be used."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = _VERSIONS[self.min_version]
        context.maximum_version = _VERSIONS[self.max_version]
        # Without tickets each connection proves itself anew, by the certificates that are valid now.
        context.options |= ssl.OP_NO_TICKET | ssl.OP_NO_RENEGOTIATION
        context.num_tickets = 0
        context.set_alpn_protocols(["http/1.1"])
        if not self.prefer_server_cipher_suites:
            context.options &= ~ssl.OP_CIPHER_SERVER_PREFERENCE
        if self.cipher_suites:
            context.set_ciphers(":".join(_CIPHERS[name] for name in self.cipher_suites))
        for curve in self.curve_preferences:
            context.set_ecdh_curve(_CURVES[curve])
        _load_certificate(context, self.cert_file, self.key_file)
        if self.client_ca_file:
            try:
                context.load_verify_locations(self.client_ca_file)
            except OSError as error:
                raise FaultsError([(("client_ca_file",), _why(self.client_ca_file, error))]) from None
            context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN  # as Go: every certificate in the file is an anchor
            context.verify_mode = _CLIENT_AUTH[self.client_auth_type]
        return context


def _load_certificate(context: ssl.SSLContext, cert_file: str, key_file: str) -> None:
    encrypted: list[bool] = []

    def no_passphrase() -> str:  # without it OpenSSL asks on the terminal
        encrypted.append(True)
        return ""

    try:
        context.load_cert_chain(cert_file, key_file, no_passphrase)
    except OSError as error:
        if encrypted:
            fault = ("key_file", f"{key_file} is encrypted; nobody can be asked for its passphrase")
        elif isinstance(error, ssl.SSLError) and error.reason == "KEY_VALUES_MISMATCH":
            fault = ("key_file", f"{key_file} is not the key of the certificate in cert_file")
        elif isinstance(error, ssl.SSLError) and error.reason in {None, "NO_START_LINE"} and _parses(cert_file):
            fault = ("key_file", f"{key_file} has no private key in PEM")
        else:
            fault = ("cert_file", _why(cert_file, error))
        raise FaultsError([((fault[0],), fault[1])]) from None


def _parses(cert_file: str) -> bool:
    """Whether it is not the certificate that OpenSSL stumbles over: its errors name no file."""
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_verify_locations(cert_file)
    except OSError:
        return False
    return True


def _why(path: str, error: OSError) -> str:
    if not isinstance(error, ssl.SSLError):
        return f"{path} cannot be read: {error.strerror}"
    if b"-----BEGIN CERTIFICATE-----" not in Path(path).read_bytes():  # RFC 7468 section 5.1
        return f"{path} has no certificate in PEM"
    return f"{path} cannot be used: {(error.reason or 'a certificate in it is damaged').lower().replace('_', ' ')}"
