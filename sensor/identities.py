"""Pseudonyms: the only form in which a telephone identity leaves the process."""

from __future__ import annotations

import hashlib
import secrets

_KEY_BYTES = 32
_DIGEST_BYTES = 6  # 48 bits: two of ten thousand users share a pseudonym once in five million runs


class Pseudonyms:
    """Turns user parts, numbers and Call-IDs into keyed pseudonyms, the same one for the same input.

    The key is drawn at random for each run unless one is given (16 to 64 octets), so pseudonyms of two runs cannot be
    compared, and nobody without the key can try numbers against them. A pseudonym is not de-identification in the
    sense of 45 CFR 164.514.
    """

    def __init__(self, key: bytes | None = None, *, reveal: bool = False) -> None:
        self._key = key or secrets.token_bytes(_KEY_BYTES)
        self._reveal = reveal

    def of(self, identity: str, kind: str = "user") -> str:
        """Return the pseudonym, ``"user-3f2a9c01b4de"``, or the identity itself when revealing; "" stays ""."""
        if not identity or self._reveal:
            return identity
        # The kind is part of what is hashed: a user and a call of the same name must not be seen to be equal.
        text = f"{kind}:{identity}".encode("utf-8", "surrogateescape")
        digest = hashlib.blake2b(text, key=self._key, digest_size=_DIGEST_BYTES)
        return f"{kind}-{digest.hexdigest()}"
