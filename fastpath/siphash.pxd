"""SipHash-2-4 (Aumasson and Bernstein, 2012): a keyed 64-bit digest of octets that strangers choose."""

from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.string cimport memcpy


cdef enum:
    SIPHASH_SECRET_OCTETS = 16


cdef inline uint64_t _rotl(uint64_t x, int bits) noexcept nogil:
    return (x << bits) | (x >> (64 - bits))


cdef inline void _round(uint64_t* v) noexcept nogil:
    v[0] += v[1]
    v[1] = _rotl(v[1], 13) ^ v[0]
    v[0] = _rotl(v[0], 32)
    v[2] += v[3]
    v[3] = _rotl(v[3], 16) ^ v[2]
    v[0] += v[3]
    v[3] = _rotl(v[3], 21) ^ v[0]
    v[2] += v[1]
    v[1] = _rotl(v[1], 17) ^ v[2]
    v[2] = _rotl(v[2], 32)


cdef inline uint64_t siphash(const uint8_t* secret, const uint8_t* p, uint32_t n) noexcept nogil:
    """Digest of n octets under a secret of 16 octets; words are taken as this (little-endian) machine lays them."""
    cdef uint64_t[4] v
    cdef uint64_t[2] k
    cdef uint64_t word
    cdef uint32_t at = 0
    memcpy(k, secret, SIPHASH_SECRET_OCTETS)
    v[0] = k[0] ^ <uint64_t>0x736f6d6570736575
    v[1] = k[1] ^ <uint64_t>0x646f72616e646f6d
    v[2] = k[0] ^ <uint64_t>0x6c7967656e657261
    v[3] = k[1] ^ <uint64_t>0x7465646279746573
    while n - at >= 8:
        memcpy(&word, p + at, 8)
        v[3] ^= word
        _round(v)
        _round(v)
        v[0] ^= word
        at += 8
    word = 0
    memcpy(&word, p + at, n - at)
    word |= <uint64_t>(n & 0xFF) << 56
    v[3] ^= word
    _round(v)
    _round(v)
    v[0] ^= word
    v[2] ^= 0xFF
    _round(v)
    _round(v)
    _round(v)
    _round(v)
    return v[0] ^ v[1] ^ v[2] ^ v[3]
