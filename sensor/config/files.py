"""Files that are read with the configuration, once: certificates of authorities, and secrets."""

from __future__ import annotations

import binascii
import errno
import os
import re
import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

_PEM = re.compile(rb"-----BEGIN CERTIFICATE-----\s+([A-Za-z0-9+/=\s]+)-----END CERTIFICATE-----")  # RFC 7468
MAX_SECRET = 65_536
CREDENTIALS = "CREDENTIALS_DIRECTORY"
MAX_TRUST = 1 << 24


def read_file(path: str | Path, limit: int) -> tuple[bytes, int]:
    """Return a file's first ``limit`` octets, and its mode; OSError when it cannot be read, or is no regular file."""
    # Without O_NONBLOCK the other end of a FIFO would be waited for, and the sensor with it.
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
        mode = os.fstat(file.fileno()).st_mode
        if not stat.S_ISREG(mode):
            raise OSError(errno.EINVAL, "it is no regular file")
        return file.read(limit), mode


class TrustFile(NamedTuple):
    """A file of certificates of authorities that are trusted, read with the configuration."""

    path: str
    certificates: tuple[bytes, ...]  # DER

    def __str__(self) -> str:
        """Return the path."""
        return self.path


def parse_trust_file(value: object) -> TrustFile:
    """Return the certificates in a PEM file; ValueError when there are none to read."""
    if not isinstance(value, str):
        raise ValueError("must be the path of a file with certificates in PEM")  # noqa: TRY004
    try:
        content, _ = read_file(value, MAX_TRUST + 1)
        blocks = _PEM.findall(content)
        certificates = tuple(binascii.a2b_base64(block) for block in blocks)
    except OSError as error:
        raise ValueError(f"{value} cannot be read: {error.strerror}") from None
    except binascii.Error:
        certificates = ()
    if len(content) > MAX_TRUST:
        raise ValueError(f"{value} is larger than {MAX_TRUST} bytes, too large for certificates")
    if not certificates:
        raise ValueError(f"{value} has no certificate in PEM")
    return TrustFile(value, certificates)


@dataclass(frozen=True, slots=True)
class Secret:
    """A file that holds a secret: it is named by its path, and its content never shows."""

    path: str
    content: bytes = field(repr=False)

    def __str__(self) -> str:
        """Return the path."""
        return self.path


def _placed(path: str) -> str:
    """Return a path whose beginning may stand for what systemd passes on (systemd.exec(5), LoadCredential=)."""
    if not path.startswith(f"${CREDENTIALS}/"):
        return path
    if not (directory := os.environ.get(CREDENTIALS)):
        raise ValueError(f"${CREDENTIALS} is not set: only a service has credentials")
    return str(Path(directory, path.partition("/")[2]))


def parse_secret(value: object) -> Secret:
    """Return the secret in a file, without a line's end; ValueError when others may read it, or there is none."""
    if not isinstance(value, str):
        raise ValueError("must be the path of a file that holds the secret")  # noqa: TRY004
    value = _placed(value)
    try:
        content, mode = read_file(value, MAX_SECRET + 1)
    except OSError as error:
        raise ValueError(f"{value} cannot be read: {error.strerror}") from None
    content = content.rstrip(b"\r\n")
    if mode & stat.S_IRWXO:
        raise ValueError(f"{value} holds a secret and is open to everyone; take the rights of others away (chmod o=)")
    if not 0 < len(content) <= MAX_SECRET:
        raise ValueError(f"{value} must hold 1 to {MAX_SECRET} octets")
    return Secret(value, content)


def parse_header_secret(value: object) -> Secret:
    """Return a secret that can stand in an HTTP header: printable ASCII; ValueError as with ``parse_secret``."""
    secret = parse_secret(value)
    if not all(0x20 <= octet < 0x7F for octet in secret.content):  # noqa: PLR2004  (printable ASCII)
        raise ValueError(f"{secret.path} must hold one line of printable ASCII")
    return secret


def parse_credentials(value: object) -> Secret:
    """Return user and password as HTTP Basic authentication has them (RFC 7617); ValueError as the others."""
    secret = parse_header_secret(value)
    if b":" not in secret.content:
        raise ValueError(f"{secret.path} must hold user:password")
    return secret


def parse_signing_key(value: object) -> Secret:
    """Return a private key of Ed25519 in a PEM file; ValueError as with ``parse_secret``."""
    from cryptography.exceptions import UnsupportedAlgorithm  # noqa: PLC0415  (who has no ledger needs none of it)
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey  # noqa: PLC0415
    from cryptography.hazmat.primitives.serialization import load_pem_private_key  # noqa: PLC0415

    secret = parse_secret(value)
    try:
        key = load_pem_private_key(secret.content, None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, Ed25519PrivateKey):
        msg = f"{secret.path} is no private key of Ed25519 in PEM without a password"
        raise ValueError(f"{msg}; `legwatch ledger new-key FILE` makes one")  # noqa: TRY004
    return secret
