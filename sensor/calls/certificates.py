"""Certificates of DTLS-SRTP, held against the fingerprints that SDP announced (RFC 5763 section 5, RFC 8122)."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

_HASHES = {
    "md5": hashlib.md5,
    "sha-1": hashlib.sha1,
    "sha-224": hashlib.sha224,
    "sha-256": hashlib.sha256,
    "sha-384": hashlib.sha384,
    "sha-512": hashlib.sha512,
}


def unannounced(certificates: Iterable[bytes], fingerprints: Iterable[str]) -> str | None:
    """Return hash and fingerprint of a certificate (DER) that none of the fingerprints is of; None where all are.

    A fingerprint is "sha-256 AB:CD…". Several may stand for one certificate, by several hashes, and those of both
    sides are here: one that fits is enough. Of hashes that are not known nothing is said.
    """
    known = [(name, text) for name, _, text in (each.partition(" ") for each in fingerprints) if name in _HASHES]
    for der in certificates:
        for name, text in known:
            if _fingerprint(name, der) == text:
                break
        else:
            if known:
                return f"{known[0][0]} {_fingerprint(known[0][0], der)}"
    return None


def _fingerprint(name: str, der: bytes) -> str:
    return _HASHES[name](der, usedforsecurity=False).digest().hex(":").upper()
