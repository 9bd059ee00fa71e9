"""Basic authentication (RFC 7617) by bcrypt, at a price that strangers cannot run up."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
import threading
from collections.abc import Mapping

import bcrypt

_MAX_PASSWORD = 72  # octets that bcrypt takes; what makes its hashes leaves the rest out, and so must we


class BusyError(Exception):
    """Too many unknown passwords wait to be looked at."""


class Credentials:
    """Who may come in: ``users`` to their bcrypt hashes.

    A password that was right is known again by a salted digest, one for each user; any other costs one bcrypt, one at
    a time for all. A user that does not exist costs the same, so nobody learns from the time who does.
    """

    def __init__(self, users: Mapping[str, str]) -> None:
        self._hashes = {user.encode(): hashed.encode() for user, hashed in users.items()}
        self._decoy = max(self._hashes.values(), key=lambda hashed: hashed[4:6])  # the dearest
        self._salt = secrets.token_bytes(32)
        self._digests: dict[bytes, bytes] = {}
        self._bcrypt = threading.Lock()

    def accept(self, authorization: str, patience_s: float) -> bool:
        """Whether a header's value names a user and the right password; BusyError after ``patience_s`` in the queue."""
        scheme, _, encoded = authorization.partition(" ")
        try:
            user, colon, password = base64.b64decode(encoded.strip(), validate=True).partition(b":")
        except ValueError:
            return False
        if scheme.lower() != "basic" or not colon:
            return False
        return self._known(user, password[:_MAX_PASSWORD], patience_s)

    def _known(self, user: bytes, password: bytes, patience_s: float) -> bool:
        digest = hashlib.blake2b(user + b":" + password, key=self._salt).digest()
        if self._remembered(user, digest):
            return True
        if not self._bcrypt.acquire(timeout=patience_s):
            raise BusyError
        try:
            if self._remembered(user, digest):  # by the one that was waited for
                return True
            right = bcrypt.checkpw(password, self._hashes.get(user, self._decoy)) and user in self._hashes
            if right:
                self._digests[user] = digest
            return right
        finally:
            self._bcrypt.release()

    def _remembered(self, user: bytes, digest: bytes) -> bool:
        return hmac.compare_digest(self._digests.get(user, b""), digest)
