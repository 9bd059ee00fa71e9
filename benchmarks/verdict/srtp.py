"""SRTP as its RFCs frame it: real ciphers and real tags, with session keys drawn at random."""

from __future__ import annotations

import hmac
import random
import struct
from dataclasses import dataclass

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import ECB

from benchmarks.verdict.sending import Payloads, Protect

_BLOCK = 16
_SSRC = slice(8, 12)  # of an RTP header
_ROLLOVER_BITS = 16


@dataclass(frozen=True, slots=True)
class Suite:
    """One way to protect: key length, tag, and a Master Key Identifier of so many octets."""

    key_octets: int
    tag_octets: int  # 0 with AEAD: its tag belongs to the cipher
    mki_octets: int = 0
    aead: bool = False
    null_cipher: bool = False

    @property
    def name(self) -> str:
        """The suite's name, shortened."""
        kind = "null" if self.null_cipher else f"{'gcm' if self.aead else 'cm'}{8 * self.key_octets}"
        tag = "" if self.aead else f"-{8 * self.tag_octets}"
        return kind + tag + (f" mki {self.mki_octets}" if self.mki_octets else "")

    def keyed(self, rng: random.Random) -> Protect:
        """Return what protects the payloads of one stream, with keys of its own."""
        key, salt, auth, mki = (rng.randbytes(size) for size in (self.key_octets, 14, 20, self.mki_octets))
        if self.aead:
            cipher = AESGCM(key)

            def sealed(packets: Payloads, index: int) -> list[bytes]:
                """RFC 7714 section 8.1: the header is authenticated, the MKI comes last."""
                found = []
                for number, (header, payload) in enumerate(packets, index):
                    iv = int.from_bytes(b"\0\0" + header[_SSRC] + number.to_bytes(6, "big"), "big")
                    nonce = (iv ^ int.from_bytes(salt[:12], "big")).to_bytes(12, "big")
                    found.append(cipher.encrypt(nonce, payload, header) + mki)
                return found

            return sealed
        block = Cipher(AES(key), ECB()).encryptor()  # noqa: S305  counter mode is made of it, many packets at once

        def encrypted(packets: Payloads, index: int) -> list[bytes]:
            """RFC 3711 section 4.1.1: the counter begins at salt * 2^16 xor SSRC * 2^64 xor index * 2^16."""
            counters = []
            for number, (header, payload) in enumerate(packets, index):
                iv = int.from_bytes(salt + b"\0\0", "big") ^ int.from_bytes(header[_SSRC], "big") << 64 ^ number << 16
                counters += [(iv + at).to_bytes(_BLOCK, "big") for at in range(-(-len(payload) // _BLOCK))]
            keystream = block.update(b"".join(counters))
            found, at = [], 0
            for _, payload in packets:
                octets = len(payload)
                mask = int.from_bytes(keystream[at : at + octets], "big")
                found.append((int.from_bytes(payload, "big") ^ mask).to_bytes(octets, "big"))
                at += -(-octets // _BLOCK) * _BLOCK
            return found

        def protected(packets: Payloads, index: int) -> list[bytes]:
            bodies = [payload for _, payload in packets] if self.null_cipher else encrypted(packets, index)
            found = []
            for number, ((header, _), body) in enumerate(zip(packets, bodies, strict=True), index):
                rollover = struct.pack(">I", number >> _ROLLOVER_BITS)
                tag = hmac.digest(auth, header + body + rollover, "sha1")[: self.tag_octets]
                found.append(body + mki + tag)
            return found

        return protected


SUITES = (
    Suite(16, 10), Suite(16, 4), Suite(24, 10), Suite(32, 10), Suite(16, 0, aead=True), Suite(32, 0, aead=True),
)  # fmt: skip
WITH_MKI = tuple(Suite(16, tag, octets, aead=tag == 0) for tag in (10, 4, 0) for octets in (1, 2, 4, 8))
NULL_CIPHERS = (Suite(16, 10, null_cipher=True), Suite(16, 4, null_cipher=True))


def srtcp(rng: random.Random, ssrc: int, count: int) -> list[bytes]:
    """Return SRTCP packets (RFC 3711 section 3.4): what is encrypted and the tag are drawn at random."""
    return [
        struct.pack(">BBHI", 0x80, 200, 6, ssrc)
        + rng.randbytes(20)
        + struct.pack(">I", 1 << 31 | index)
        + rng.randbytes(10)
        for index in range(1, count + 1)
    ]
