"""How the metrics endpoint is protected: the web configuration file of Prometheus' exporter-toolkit.

https://github.com/prometheus/exporter-toolkit/blob/master/docs/web-configuration.md. A file that is accepted here is
accepted there. What Python's ssl cannot do is refused: a setting that is only read protects nobody.
"""

from __future__ import annotations

import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, ClassVar

from pydantic import ConfigDict, TypeAdapter, ValidationError

from sensor.config.reader import ConfigError, Reader, read_bytes
from sensor.config.schema import FaultsError, Location, Parsed, suggestion

MAX_COST = 14  # about a second for each wrong password; a scraper does not wait for more
_HASH = re.compile(r"\$2[aby]\$(\d\d)\$[./A-Za-z0-9]{53}")
_MIN_COST = 4  # of bcrypt itself

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
_HEADERS: Mapping[str, tuple[str, ...]] = {  # to their values, where only some are possible
    "Strict-Transport-Security": (),
    "X-Content-Type-Options": ("nosniff",),
    "X-Frame-Options": ("deny", "sameorigin"),
    "X-XSS-Protection": (),
    "Content-Security-Policy": (),
}
_FILES = ("cert_file", "key_file", "client_ca_file")


def _unsupported(what: str) -> Parsed:
    def parse(_value: object) -> None:
        raise ValueError(what)

    return Parsed(parse)


def _file(value: object) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError("must be the path of a file in PEM")
    try:
        Path(value).read_bytes()
    except OSError as error:
        raise ValueError(f"{value} cannot be read: {error.strerror}") from None
    return value


def _client_auth(value: object) -> str:
    if value in _CLIENT_AUTH_UNVERIFIED:
        raise ValueError(
            f"{value} takes certificates that nobody verified, which cannot be done here: RequireAndVerifyClientCert"
        )
    if value not in _CLIENT_AUTH:
        raise ValueError(f"must be one of {', '.join(_CLIENT_AUTH)}{suggestion(str(value), _CLIENT_AUTH)}")
    return str(value)


def _version(value: object) -> str:
    if value in _VERSIONS_BROKEN:
        raise ValueError(f"{value} is broken (RFC 8996); must be TLS12 or TLS13")
    if value not in _VERSIONS:
        raise ValueError("must be TLS12 or TLS13")
    return str(value)


def _cipher(value: object) -> str:
    if value in _CIPHERS_13:
        raise ValueError(f"{value} is of TLS 1.3, of which all suites are always offered; leave it out")
    if isinstance(value, str) and value.startswith("TLS_RSA_WITH_"):
        raise ValueError(f"{value} has no forward secrecy; use one of TLS_ECDHE_…")
    if value not in _CIPHERS:
        raise ValueError(f"must be a cipher suite of TLS 1.2 by Go's name{suggestion(str(value), _CIPHERS)}")
    return str(value)


def _curve(value: object) -> str:
    if value not in _CURVES:
        raise ValueError(f"must be one of {', '.join(_CURVES)}{suggestion(str(value), _CURVES)}")
    return str(value)


def _san(value: object) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError("must be a name, an address, a mail address or a URI, as text")
    return value


def _http2(value: object) -> bool:
    if not isinstance(value, bool):
        raise ValueError("must be true or false")  # noqa: TRY004  (pydantic reports ValueError, not TypeError)
    if value:
        raise ValueError("HTTP/2 is not spoken here, and no scraper needs it; leave it out, or write false")
    return value


def _headers(value: object) -> dict[str, str]:
    if not isinstance(value, dict):
        raise ValueError("must be a mapping of headers to their values")  # noqa: TRY004
    faults: list[tuple[Location, str]] = []
    for name, text in value.items():
        if name not in _HEADERS:
            faults.append(((name,), f"cannot be set; must be one of {', '.join(_HEADERS)}{suggestion(name, _HEADERS)}"))
        elif not isinstance(text, str) or not text.isascii() or not (text.isprintable()):
            faults.append(((name,), "must be text in printable ASCII"))
        elif (possible := _HEADERS[name]) and text not in possible:
            faults.append(((name,), f"must be {' or '.join(possible)}"))
    if faults:
        raise FaultsError(faults)
    return {name: text for name, text in value.items() if text}  # a blank one is unset


def _users(value: object) -> dict[str, str]:
    if not isinstance(value, dict):
        raise ValueError("must be a mapping of users to bcrypt hashes")  # noqa: TRY004
    faults: list[tuple[Location, str]] = []
    for user, hashed in value.items():
        match = _HASH.fullmatch(hashed) if isinstance(hashed, str) else None
        if not user or ":" in user:
            # said of the mapping: where the space after the colon is missing, the hash is part of the key
            faults.append(((), "a user needs a name without a colon (RFC 7617 section 2), and a space before the hash"))
        elif not match:
            faults.append(((user,), "must be a bcrypt hash, as `htpasswd -nBC 10 ''` makes it"))
        elif not _MIN_COST <= int(match[1]) <= MAX_COST:
            faults.append(((user,), f"must be a bcrypt hash of a cost from {_MIN_COST} to {MAX_COST}"))
    if faults:
        raise FaultsError(faults)
    return value


class _Section:
    """A mapping of the file; keys that it does not name are errors."""

    __slots__ = ()
    __pydantic_config__: ClassVar[ConfigDict] = {"extra": "forbid"}


@dataclass(frozen=True, slots=True)
class TlsServer(_Section):
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
    cert: Annotated[None, Parsed(_unsupported("must be in a file; name it in cert_file"))] = None
    key: Annotated[None, Parsed(_unsupported("must be in a file; name it in key_file"))] = None
    client_ca: Annotated[None, Parsed(_unsupported("must be in a file; name it in client_ca_file"))] = None

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
            faults.append(
                (("curve_preferences",), "must be one curve, for an order cannot be set here; or leave it out")
            )
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
        elif (
            isinstance(error, ssl.SSLError) and _has_certificate(cert_file) and error.reason in {None, "NO_START_LINE"}
        ):
            fault = ("key_file", f"{key_file} has no private key in PEM")
        else:
            fault = ("cert_file", _why(cert_file, error))
        raise FaultsError([((fault[0],), fault[1])]) from None


def _has_certificate(path: str) -> bool:
    return b"-----BEGIN CERTIFICATE-----" in Path(path).read_bytes()  # RFC 7468


def _why(path: str, error: OSError) -> str:
    if not isinstance(error, ssl.SSLError):
        return f"{path} cannot be read: {error.strerror}"
    if not _has_certificate(path):
        return f"{path} has no certificate in PEM"
    return f"{path} cannot be used: {(error.reason or 'not understood').lower().replace('_', ' ')}"


@dataclass(frozen=True, slots=True)
class HttpServer(_Section):
    """``http_server_config``."""

    http2: Annotated[bool, Parsed(_http2)] = False
    headers: Annotated[Mapping[str, str], Parsed(_headers)] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class WebConfig(_Section):
    """A web configuration file. Its ``repr`` has no hashes."""

    tls_server_config: TlsServer | None = None
    http_server_config: HttpServer = field(default_factory=HttpServer)
    basic_auth_users: Annotated[Mapping[str, str], Parsed(_users)] = field(default_factory=dict, repr=False)
    rate_limit: Annotated[None, Parsed(_unsupported("is not done here; a few requests at a time are the limit"))] = None

    @property
    def protects(self) -> bool:
        """Whether nobody reads along, and nobody gets in unknown."""
        tls = self.tls_server_config
        return tls is not None and (bool(self.basic_auth_users) or tls.clients_verified)


_SECTIONS: dict[str, type[Any]] = {"": WebConfig, "tls_server_config": TlsServer, "http_server_config": HttpServer}


def load_web_config(path: str | Path) -> WebConfig:
    """Return what a file says; ConfigError with all that is wrong with it, and with no word of its secrets.

    Relative paths in it are relative to its folder.
    """
    reader = Reader(str(path), _SECTIONS, secret=True)
    value = reader.read(read_bytes(path))
    if isinstance(value, dict):
        value = {key: entry for key, entry in value.items() if entry is not None or key not in _OPTIONAL}
        if isinstance(tls := value.get("tls_server_config"), dict):
            folder = Path(path).parent
            placed = {key: str(folder / tls[key]) for key in _FILES if isinstance(tls.get(key), str) and tls[key]}
            value["tls_server_config"] = tls | placed
    config = WebConfig()
    try:
        config = TypeAdapter(WebConfig).validate_python({} if value is None else value)
    except ValidationError as error:
        for details in error.errors(include_url=False, include_input=False):
            reader.refused(details)
    if reader.faults:
        raise ConfigError(reader.lines())
    return config


_OPTIONAL = {"tls_server_config", "http_server_config", "basic_auth_users"}  # nulls when all in them is commented out
