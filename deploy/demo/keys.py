"""SRTP master keys, and how SDP carries them."""

from __future__ import annotations

import base64
import random
from dataclasses import dataclass

SDES_SUITE = "AES_CM_128_HMAC_SHA1_80"

_KEY, _SALT = 16, 14  # octets, RFC 3711 section 8.2
EXPORTED = 2 * (_KEY + _SALT)  # what a DTLS handshake has to export


@dataclass(frozen=True, slots=True)
class MediaKeys:
    """The SRTP master keys with their salts; each end sends under its own."""

    caller: bytes
    callee: bytes

    @staticmethod
    def chosen(rng: random.Random) -> MediaKeys:
        """Return keys that the two ends choose for themselves, as with SDES."""
        return MediaKeys(rng.randbytes(_KEY + _SALT), rng.randbytes(_KEY + _SALT))

    @staticmethod
    def exported(octets: bytes, *, caller_is_client: bool) -> MediaKeys:
        """Return the keys that DTLS exported: client key, server key, client salt, server salt (RFC 5764)."""
        salts = octets[2 * _KEY :]
        client = octets[:_KEY] + salts[:_SALT]
        server = octets[_KEY : 2 * _KEY] + salts[_SALT:]
        return MediaKeys(client, server) if caller_is_client else MediaKeys(server, client)

    def crypto_lines(self) -> tuple[str, str]:
        """Return the ``a=crypto`` attributes of the offer and of the answer (RFC 4568 section 9.1)."""
        offer, answer = (base64.b64encode(key).decode() for key in (self.caller, self.callee))
        return f"crypto:1 {SDES_SUITE} inline:{offer}", f"crypto:1 {SDES_SUITE} inline:{answer}"
