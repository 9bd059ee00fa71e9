"""Keys of Ed25519 as C2SP signed notes have them: https://c2sp.org/signed-note."""

from __future__ import annotations

import base64
import binascii
import hashlib
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

ED25519 = b"\x01"  # the type of the signature
KEY_OCTETS = 32
ID_OCTETS = 4


class KeyFormatError(ValueError):
    """What should be a key is none; the text says why."""


@dataclass(frozen=True, slots=True)
class VerifierKey:
    """A public key with its name; as text ``NAME+HASH+BASE64``."""

    name: str
    public: bytes

    @classmethod
    def parse(cls, text: str) -> VerifierKey:
        """Read one; KeyFormatError when it is none."""
        name, _, rest = text.strip().partition("+")
        hash_, _, encoded = rest.partition("+")
        octets = from_base64(encoded)
        if not is_name(name) or octets is None or len(octets) != 1 + KEY_OCTETS or octets[:1] != ED25519:
            raise KeyFormatError("is no verifier key of Ed25519: NAME+HASH+BASE64")
        key = cls(name, octets[1:])
        if key.id.hex() != hash_:
            raise KeyFormatError("is a verifier key whose hash does not fit")
        return key

    def __str__(self) -> str:
        return f"{self.name}+{self.id.hex()}+{to_base64(ED25519 + self.public)}"

    @property
    def id(self) -> bytes:
        """The first octets of its hash, which signatures have before them."""
        return hashlib.sha256(self.name.encode() + b"\n" + ED25519 + self.public).digest()[:ID_OCTETS]

    def verify(self, octets: bytes, signature: bytes) -> bool:
        """Say whether a signature over octets is by this key."""
        try:
            Ed25519PublicKey.from_public_bytes(self.public).verify(signature, octets)
        except (InvalidSignature, ValueError):
            return False
        return True


class SigningKey:
    """A private key with its name, which is the origin of the ledger that it signs."""

    def __init__(self, private: Ed25519PrivateKey, origin: str) -> None:
        """Raises KeyFormatError for a name that signed notes do not allow."""
        if not is_name(origin):
            raise KeyFormatError(f"{origin!r} is no name of a key: it is empty, or has spaces or a plus")
        self._private = private
        self.verifier = VerifierKey(origin, private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw))

    @classmethod
    def from_pem(cls, octets: bytes, origin: str) -> SigningKey:
        """Read a key in PKCS #8; KeyFormatError when it is none of Ed25519."""
        try:
            private = load_pem_private_key(octets, None)
        except (ValueError, TypeError):
            private = None
        if not isinstance(private, Ed25519PrivateKey):
            raise KeyFormatError("is no private key of Ed25519 in PEM without a password")
        return cls(private, origin)

    def sign(self, octets: bytes) -> bytes:
        """Return the signature over octets."""
        return self._private.sign(octets)


def new_pem() -> bytes:
    """Return a new private key in PKCS #8."""
    return Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def is_name(text: str) -> bool:
    """Say whether signed notes allow a name of a key."""
    return "+" not in text and text.split() == [text]


def to_base64(octets: bytes) -> str:
    """Return base64."""
    return base64.b64encode(octets).decode()


def from_base64(text: str) -> bytes | None:
    """Return what base64 in its one form says, None where it is not that."""
    try:
        octets = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
    return octets if to_base64(octets) == text else None


def rotation(origin: str, number: int, old: str, new: str) -> bytes:
    """Return what the old key signs when a new one takes its place at entry ``number``: docs/LEDGER.md, Keys."""
    return "".join(f"{line}\n" for line in ("legwatch ledger key", origin, number, old, new)).encode()
