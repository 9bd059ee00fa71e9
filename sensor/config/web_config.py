"""How the metrics endpoint is protected: the web configuration file of Prometheus' exporter-toolkit.

https://github.com/prometheus/exporter-toolkit/blob/master/docs/web-configuration.md. A file that is accepted here is
accepted there.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

from pydantic import TypeAdapter, ValidationError

from sensor.config.fields import FaultsError, Location, Parsed, suggestion
from sensor.config.reader import ConfigError, Reader, read_bytes
from sensor.config.server_tls import Section, TlsServer, unsupported

MAX_COST = 14  # about a second for each wrong password; a scraper does not wait for more
_HASH = re.compile(r"\$2[aby]\$(\d\d)\$[./A-Za-z0-9]{53}")
_MIN_COST = 4  # of bcrypt itself

_HEADERS: Mapping[str, tuple[str, ...]] = {  # to their values, where only some are possible
    "Strict-Transport-Security": (),
    "X-Content-Type-Options": ("nosniff",),
    "X-Frame-Options": ("deny", "sameorigin"),
    "X-XSS-Protection": (),
    "Content-Security-Policy": (),
}
_OPTIONAL = ("tls_server_config", "http_server_config", "basic_auth_users")  # nulls where all in them is commented out
_FILES = ("cert_file", "key_file", "client_ca_file")


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
        elif not isinstance(text, str) or not text.isascii() or not text.isprintable():
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


@dataclass(frozen=True, slots=True)
class HttpServer(Section):
    """``http_server_config``."""

    http2: Annotated[bool, Parsed(_http2)] = False
    headers: Annotated[Mapping[str, str], Parsed(_headers)] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class WebConfig(Section):
    """A web configuration file. Its ``repr`` has no hashes."""

    tls_server_config: TlsServer | None = None
    http_server_config: HttpServer = field(default_factory=HttpServer)
    basic_auth_users: Annotated[Mapping[str, str], Parsed(_users)] = field(default_factory=dict, repr=False)
    rate_limit: Annotated[None, unsupported("is not done here; a few requests at a time are the limit")] = None

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
