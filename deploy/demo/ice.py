"""ICE connectivity checks: STUN binding requests and their answers (RFC 8445, RFC 8489)."""

from __future__ import annotations

import hashlib
import hmac
import random
import struct
import zlib
from dataclasses import dataclass

from . import wire
from .sip import token
from .wire import MS, Endpoint, Frame

_COOKIE = 0x2112A442
_REQUEST, _SUCCESS = 0x0001, 0x0101
_USERNAME, _INTEGRITY, _XOR_MAPPED = 0x0006, 0x0008, 0x0020
_PRIORITY, _USE_CANDIDATE, _FINGERPRINT = 0x0024, 0x0025, 0x8028
_CONTROLLED, _CONTROLLING = 0x8029, 0x802A
_HEADER, _INTEGRITY_LENGTH, _FINGERPRINT_LENGTH = 20, 24, 8
_HOST_PRIORITY = (126 << 24) | (65535 << 8) | 255  # RFC 8445 section 5.1.2.1
_PEER_REFLEXIVE_PRIORITY = (110 << 24) | (65535 << 8) | 255
_ROUND_TRIP_NS = MS


@dataclass(frozen=True, slots=True)
class Agent:
    """One end of the checks."""

    end: Endpoint
    fragment: str
    password: str
    controlling: bool

    @staticmethod
    def at(end: Endpoint, rng: random.Random, *, controlling: bool) -> Agent:
        """Return an agent with fresh credentials (RFC 8445 section 5.3)."""
        return Agent(end, token(rng, 8), token(rng, 24), controlling)

    def attributes(self) -> tuple[str, ...]:
        """Return what SDP says of it (RFC 8839), its one candidate included."""
        candidate = f"candidate:1 1 udp {_HOST_PRIORITY} {self.end.host.ip} {self.end.port} typ host"
        return (f"ice-ufrag:{self.fragment}", f"ice-pwd:{self.password}", candidate, "end-of-candidates")


def check(own: Agent, other: Agent, at_ns: int, rng: random.Random, *, nominate: bool = False) -> list[Frame]:
    """Return one connectivity or consent check (RFC 7675) from ``own`` and its answer."""
    transaction = rng.randbytes(12)
    role = struct.pack(">Q", rng.getrandbits(64))
    request = (
        _attribute(_USERNAME, f"{other.fragment}:{own.fragment}".encode())
        + _attribute(_CONTROLLING if own.controlling else _CONTROLLED, role)
        + _attribute(_PRIORITY, struct.pack(">I", _PEER_REFLEXIVE_PRIORITY))
        + (_attribute(_USE_CANDIDATE, b"") if nominate else b"")
    )
    address = struct.pack(
        ">xBHI",
        1,  # IPv4
        own.end.port ^ _COOKIE >> 16,
        int.from_bytes(own.end.host.packed, "big") ^ _COOKIE,
    )
    asked = _message(_REQUEST, transaction, request, other.password)
    answered = _message(_SUCCESS, transaction, _attribute(_XOR_MAPPED, address), other.password)
    return [
        (at_ns, wire.udp(own.end, other.end, asked, wire.MEDIA_DSCP)),
        (at_ns + _ROUND_TRIP_NS, wire.udp(other.end, own.end, answered, wire.MEDIA_DSCP)),
    ]


def _message(kind: int, transaction: bytes, attributes: bytes, password: str) -> bytes:
    """Return a message with MESSAGE-INTEGRITY and FINGERPRINT, each made over a length that counts itself."""
    covered = _header(kind, transaction, len(attributes) + _INTEGRITY_LENGTH) + attributes
    attributes += _attribute(_INTEGRITY, hmac.digest(password.encode(), covered, hashlib.sha1))
    whole = _header(kind, transaction, len(attributes) + _FINGERPRINT_LENGTH) + attributes
    return whole + _attribute(_FINGERPRINT, struct.pack(">I", zlib.crc32(whole) ^ 0x5354554E))


def _header(kind: int, transaction: bytes, length: int) -> bytes:
    return struct.pack(">HHI", kind, length, _COOKIE) + transaction


def _attribute(kind: int, value: bytes) -> bytes:
    return struct.pack(">HH", kind, len(value)) + value + bytes(-len(value) % 4)
