"""Where events go: ``sinks``, one section a kind. Reference for operators: docs/ALERTS.md."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from typing import Annotated, Literal, NamedTuple
from urllib.parse import urlsplit

from sensor.config.fields import FaultsError, Location, Name, Parsed, Section, seconds_in, whole_in
from sensor.config.files import (
    Secret,
    TrustFile,
    parse_credentials,
    parse_header_secret,
    parse_secret,
    parse_trust_file,
    read_file,
)
from sensor.model import Severity

MAX_PORT = 0xFFFF
MAX_QUEUE = 100_000
MAX_MIB = 4096
_HOST = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_-]{0,62})(\.[A-Za-z0-9_-]{1,63}){0,15}\.?")
_FACILITIES = Literal[
    "kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv", "ftp",
    "local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7",
]  # fmt: skip


class Endpoint(NamedTuple):
    """Where to send to: a host by name or address, and a port."""

    host: str
    port: int

    def __str__(self) -> str:
        """Return ``host:port``, an IPv6 host in brackets."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def _endpoint(value: object) -> Endpoint:
    host, _, port = value.rpartition(":") if isinstance(value, str) else ("", "", "")
    if port.isascii() and port.isdigit() and 0 < int(port[:6]) <= MAX_PORT:
        if host.startswith("[") and host.endswith("]") and _is_ip(host[1:-1]):
            return Endpoint(host[1:-1], int(port))
        if _HOST.fullmatch(host):
            return Endpoint(host, int(port))
    raise ValueError("must be a host and a port, such as logs.example.org:6514 or [fd00:20::9]:514")


def _is_ip(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _url(value: object) -> str:
    msg = "must be an URL, such as https://alerts.example.org:9093/"
    if not isinstance(value, str) or not value.isascii() or not value.isprintable() or " " in value:
        raise ValueError(msg)
    try:
        parts = urlsplit(value)
        port = parts.port
    except ValueError:
        raise ValueError(msg) from None
    host = parts.hostname or ""
    if parts.scheme not in {"http", "https"} or port == 0 or parts.fragment:
        raise ValueError(msg)
    if not _HOST.fullmatch(host) and not _is_ip(host):
        raise ValueError(msg)
    if "@" in parts.netloc:
        raise ValueError("must not hold a password; name a basic_auth_file or a token_file")
    return value


def _path(value: object) -> str:
    if not isinstance(value, str) or not value.startswith("/") or value.endswith("/") or "\0" in value:
        raise ValueError("must be the absolute path of a file")
    return value


def _server_name(value: object) -> str:
    if not isinstance(value, str) or not (_HOST.fullmatch(value) or _is_ip(value)):
        raise ValueError("must be the name or address that the server's certificate has")
    return value


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sink(Section):
    """What every sink has."""

    type: str
    name: Name | None = None  # None: its type
    min_severity: Severity = "info"
    queue: Annotated[int, whole_in(16, MAX_QUEUE)] = 1000  # events that wait in memory
    spool: bool = False  # more may wait while the receiver fails, on disk …
    spool_mib: Annotated[int, whole_in(1, MAX_MIB)] = 64  # … up to this

    @property
    def label(self) -> str:
        """What it is called."""
        return self.name or self.type


@dataclass(frozen=True, slots=True, kw_only=True)
class FileSink(_Sink):
    """Lines in a file."""

    type: Literal["file"]
    path: Annotated[str, Parsed(_path)]
    format: Literal["json", "ecs", "ocsf", "ocsf-compliance", "cef"] = "json"
    max_mib: Annotated[int, whole_in(1, MAX_MIB)] = 64  # a larger file becomes PATH.1 …
    keep: Annotated[int, whole_in(0, 100)] = 5  # … and so many of these are kept


@dataclass(frozen=True, slots=True, kw_only=True)
class JournaldSink(_Sink):
    """The journal of this machine."""

    type: Literal["journald"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SyslogSink(_Sink):
    """RFC 5424 over UDP (RFC 5426), TCP (RFC 6587) or TLS (RFC 5425)."""

    type: Literal["syslog"]
    address: Annotated[Endpoint, Parsed(_endpoint)]
    transport: Literal["udp", "tcp", "tls"] = "udp"
    format: Literal["text", "json", "cef"] = "text"
    facility: _FACILITIES = "local0"
    enterprise: Annotated[int, whole_in(1, 0xFFFFFFFF)] = 32473  # of the structured data (RFC 5424 section 7.2.2)
    max_octets: Annotated[int, whole_in(480, 65_000)] = 8192
    timeout: Annotated[float, seconds_in(1, 60)] = 10.0
    ca_file: Annotated[TrustFile, Parsed(parse_trust_file)] | None = None  # None: the system's authorities
    cert_file: Annotated[str, Parsed(_path)] | None = None
    key_file: Annotated[Secret, Parsed(parse_secret)] | None = None
    server_name: Annotated[str, Parsed(_server_name)] | None = None  # None: the host of the address

    def __post_init__(self) -> None:
        """Refuse keys of TLS without TLS, and half a certificate."""
        faults: list[tuple[Location, str]] = []
        if self.transport != "tls":
            faults += [
                ((key,), "is for transport: tls only")
                for key in ("ca_file", "cert_file", "key_file", "server_name")
                if getattr(self, key) is not None
            ]
        else:
            faults += _pair_faults(self.cert_file, self.key_file)
        if faults:
            raise FaultsError(faults)


@dataclass(frozen=True, slots=True, kw_only=True)
class WebSink(_Sink):
    """What is sent by HTTP; redirects are not followed, and no proxy is used."""

    url: Annotated[str, Parsed(_url)]
    timeout: Annotated[float, seconds_in(1, 60)] = 10.0
    ca_file: Annotated[TrustFile, Parsed(parse_trust_file)] | None = None  # None: the system's authorities
    cert_file: Annotated[str, Parsed(_path)] | None = None
    key_file: Annotated[Secret, Parsed(parse_secret)] | None = None
    token_file: Annotated[Secret, Parsed(parse_header_secret)] | None = None  # a bearer token (RFC 6750)
    basic_auth_file: Annotated[Secret, Parsed(parse_credentials)] | None = None  # user:password (RFC 7617)

    def __post_init__(self) -> None:
        """Refuse two kinds of credentials, credentials in clear, half a certificate, a spool where it would harm."""
        faults = _pair_faults(self.cert_file, self.key_file)
        if self.spool and self.type == "alertmanager":
            faults.append((("spool",), "is not for Alertmanager: what is open is said again, what is old must not be"))
        if self.token_file and self.basic_auth_file:
            faults.append((("basic_auth_file",), "cannot go with token_file: a request has one kind of credentials"))
        host = urlsplit(self.url).hostname or ""
        clear = self.url.startswith("http:") and not (_is_ip(host) and ipaddress.ip_address(host).is_loopback)
        if clear and (self.token_file or self.basic_auth_file):
            faults.append((("url",), "must be https: credentials would cross the network in clear"))
        if faults:
            raise FaultsError(faults)


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertmanagerSink(WebSink):
    """Alertmanager's API, version 2."""

    type: Literal["alertmanager"]
    repeat: Annotated[float, seconds_in(5, 3600)] = 60.0  # well below Alertmanager's resolve_timeout
    generator_url: Annotated[str, Parsed(_url)] | None = None  # where an alert's link leads


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookSink(WebSink):
    """An array of events in the body of a POST."""

    type: Literal["webhook"]
    format: Literal["json", "ecs", "ocsf", "ocsf-compliance"] = "json"
    batch: Annotated[int, whole_in(1, 1000)] = 50
    secret_file: Annotated[Secret, Parsed(parse_secret)] | None = None  # signs the body


@dataclass(frozen=True, slots=True, kw_only=True)
class HepSink(_Sink):
    """HOMER, by HEP3."""

    type: Literal["hep"]
    address: Annotated[Endpoint, Parsed(_endpoint)]
    transport: Literal["udp", "tcp"] = "udp"
    agent: Annotated[int, whole_in(0, 0xFFFFFFFF)] = 0  # the capture agent's number
    key_file: Annotated[Secret, Parsed(parse_secret)] | None = None
    timeout: Annotated[float, seconds_in(1, 60)] = 10.0


AnySink = FileSink | JournaldSink | SyslogSink | AlertmanagerSink | WebhookSink | HepSink
KINDS: dict[str, type[Section]] = {
    "file": FileSink,
    "journald": JournaldSink,
    "syslog": SyslogSink,
    "alertmanager": AlertmanagerSink,
    "webhook": WebhookSink,
    "hep": HepSink,
}


def _pair_faults(cert_file: str | None, key_file: Secret | None) -> list[tuple[Location, str]]:
    """Return what is wrong with a client's certificate and its key."""
    if (cert_file is None) != (key_file is None):
        missing = "key_file" if key_file is None else "cert_file"
        return [((), f"needs {missing}, too: a certificate and its key go together")]
    if cert_file is None or key_file is None:
        return []
    import ssl  # noqa: PLC0415  (a sensor without such a sink does without it)

    try:
        read_file(cert_file, 1)
        # a key with a passphrase would be asked for on the terminal
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_cert_chain(cert_file, key_file.path, password="")
    except OSError as error:  # of which ssl.SSLError is one
        reason = error.strerror if not isinstance(error, ssl.SSLError) else "no certificate in PEM that fits key_file"
        return [(("cert_file",), f"{cert_file} cannot be used: {reason}")]
    return []
