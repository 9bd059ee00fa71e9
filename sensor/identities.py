"""Pseudonyms: the only form in which a telephone identity leaves the process."""

from __future__ import annotations

import hashlib
import secrets
from typing import Literal

_KEY_BYTES = 32
_DIGEST_BYTES = 6  # 48 bits: two of ten thousand users share a pseudonym once in five million runs
_SHOWN = 2  # digits at the end of a masked number

Mode = Literal["pseudonym", "mask", "reveal"]


class Pseudonyms:
    """Turns user parts, numbers, Call-IDs and hosts into keyed pseudonyms, the same one for the same input.

    The key is drawn at random for each run unless one is set (16 to 64 octets), so pseudonyms of two runs cannot be
    compared, and nobody without the key can try numbers against them. Those of a key that was set have its epoch in
    them: of two epochs they cannot be compared either. A pseudonym is not de-identification in the sense of
    45 CFR 164.514.
    """

    def __init__(self, mode: Mode = "pseudonym") -> None:
        self._mode = mode
        self._key = secrets.token_bytes(_KEY_BYTES)
        self._epoch = ""

    def set_key(self, epoch: int, key: bytes) -> None:
        """Use a key from now on."""
        self._key, self._epoch = key, f"{epoch}-"

    def of(self, identity: str, kind: str = "user") -> str:
        """Return what is shown of an identity: ``"user-3f2a9c01b4de"``, ``"…67"`` masked, or itself; "" stays ""."""
        if not identity or self._mode == "reveal":
            return identity
        if self._mode == "mask" and kind == "user":
            return f"…{identity[-_SHOWN:]}" if identity[-_SHOWN:].isdigit() and len(identity) > 2 * _SHOWN else "…"
        return self._digest(identity, kind)

    def hidden(self, shown: str, kind: str = "user") -> str | None:
        """Return the pseudonym of what ``of`` shows, whatever it shows; None where too little is left of it to tell."""
        if shown and self._mode == "reveal":
            return self._digest(shown, kind)
        return None if self._mode == "mask" and kind == "user" else shown or None

    def host(self, address: str) -> str:
        """Return the pseudonym of an address, ``"host-3f2a9c01b4de"``, whatever is shown of telephone identities."""
        return self._digest(address, "host") if address else ""

    def _digest(self, identity: str, kind: str) -> str:
        # The kind is part of what is hashed: a user and a call of the same name must not be seen to be equal.
        text = f"{kind}:{identity}".encode("utf-8", "surrogateescape")
        digest = hashlib.blake2b(text, key=self._key, digest_size=_DIGEST_BYTES)
        return f"{kind}-{self._epoch}{digest.hexdigest()}"
