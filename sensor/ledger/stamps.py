"""Time stamps of notes (RFC 3161): asked for, and held against the note and its authority.

What a stamp adds: a note, and so each entry before it, was there at that time, whoever has the key of the ledger.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import urllib3
from cryptography.x509 import load_pem_x509_certificates
from rfc3161_client import (
    HashAlgorithm,
    TimestampRequestBuilder,
    VerificationError,
    VerifierBuilder,
    decode_timestamp_response,
)

if TYPE_CHECKING:
    from datetime import datetime

    from cryptography.x509 import Certificate
    from rfc3161_client import TimeStampResponse

PATIENCE_S = 30.0  # with an authority
MAX_OCTETS = 65_536  # of a time stamp; one with its certificates has some thousand
GRANTED = 0
OK = 200
_DIGESTS = {
    "2.16.840.1.101.3.4.2.1": "sha256",
    "2.16.840.1.101.3.4.2.2": "sha384",
    "2.16.840.1.101.3.4.2.3": "sha512",
}


class StampError(Exception):
    """A time stamp is none, or is not to be had; the text is one line that says why."""


def authority_of(pem: bytes) -> list[Certificate]:
    """Return the certificates of a file; StampError when there are none."""
    try:
        return load_pem_x509_certificates(pem)
    except ValueError:
        raise StampError("has no certificate in PEM") from None


def ask(url: str, note: bytes, authority: list[Certificate] | None = None) -> bytes:
    """Return a time stamp for a note, checked; StampError when the authority gives none.

    Args:
        url: of the authority, HTTP or HTTPS: what it gives is signed.
        note: the file.
        authority: who is to have signed it; None: whoever answers.
    """
    request = TimestampRequestBuilder().data(note).hash_algorithm(HashAlgorithm.SHA256).build()
    stamp = _posted(url, request.as_bytes())
    check(note, stamp, authority)
    if decode_timestamp_response(stamp).tst_info.nonce != request.nonce:
        raise StampError("the answer is to another question")
    return stamp


def check(note: bytes, stamp: bytes, authority: list[Certificate] | None = None) -> datetime:
    """Return when a note was there; StampError when the stamp is not of it, or not by ``authority``."""
    try:
        response = decode_timestamp_response(stamp)
        _check_imprint(response, note)
        if authority is not None:
            verifier = VerifierBuilder(roots=list(authority)).build()
            verifier.verify_message(response, note)
        at = response.tst_info.gen_time
    except VerificationError as error:
        raise StampError(f"is not signed by that authority: {error}") from None
    except ValueError:
        raise StampError("is no time stamp in DER") from None
    return at


def _check_imprint(response: TimeStampResponse, note: bytes) -> None:
    if response.status != GRANTED:
        raise StampError("is no time stamp: the authority refused")
    imprint = response.tst_info.message_imprint
    digest = _DIGESTS.get(imprint.hash_algorithm.dotted_string)
    if digest is None or hashlib.new(digest, note).digest() != imprint.message:
        raise StampError("is no time stamp of this note")


def _posted(url: str, request: bytes) -> bytes:
    if not url.startswith(("http://", "https://")):
        raise StampError("is no URL of HTTP")
    headers = {"Content-Type": "application/timestamp-query"}
    try:
        with urllib3.PoolManager(timeout=PATIENCE_S, retries=False) as pool:
            answer = pool.request("POST", url, body=request, headers=headers, redirect=False, preload_content=False)
            octets = answer.read(MAX_OCTETS + 1)
            answer.close()
    except (urllib3.exceptions.HTTPError, ValueError) as error:
        raise StampError(f"cannot be asked: {error}") from None
    if answer.status != OK or len(octets) > MAX_OCTETS:
        raise StampError(f"gives no time stamp: HTTP status {answer.status}")
    return octets
