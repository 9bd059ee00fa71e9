"""Unaligned big-endian loads and the few compiler built-ins that the packet loop needs."""

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t


cdef extern from *:
    """
    #include <stdint.h>
    #include <string.h>
    static inline uint16_t lw_be16(const uint8_t *p) { uint16_t v; memcpy(&v, p, 2); return __builtin_bswap16(v); }
    static inline uint32_t lw_be24(const uint8_t *p) { return (uint32_t)p[0] << 16 | p[1] << 8 | p[2]; }
    static inline uint32_t lw_be32(const uint8_t *p) { uint32_t v; memcpy(&v, p, 4); return __builtin_bswap32(v); }
    static inline uint64_t lw_be64(const uint8_t *p) { uint64_t v; memcpy(&v, p, 8); return __builtin_bswap64(v); }
    static inline uint32_t lw_raw32(const uint8_t *p) { uint32_t v; memcpy(&v, p, 4); return v; }
    static inline uint64_t lw_raw64(const uint8_t *p) { uint64_t v; memcpy(&v, p, 8); return v; }
    static inline void lw_prefetch(const void *p) { __builtin_prefetch(p, 1, 3); }
    /* The two halves of a 64x64 product folded together: with a secret operand, a fast keyed mix. */
    static inline uint64_t lw_fold(uint64_t a, uint64_t b) {
        unsigned __int128 r = (unsigned __int128)a * b;
        return (uint64_t)r ^ (uint64_t)(r >> 64);
    }
    static inline uint64_t lw_acquire(const uint64_t *p) { return __atomic_load_n(p, __ATOMIC_ACQUIRE); }
    static inline void lw_release(uint64_t *p, uint64_t v) { __atomic_store_n(p, v, __ATOMIC_RELEASE); }
    """
    uint16_t be16 "lw_be16"(const uint8_t* p) noexcept nogil
    uint32_t be24 "lw_be24"(const uint8_t* p) noexcept nogil
    uint32_t be32 "lw_be32"(const uint8_t* p) noexcept nogil
    uint64_t be64 "lw_be64"(const uint8_t* p) noexcept nogil
    uint32_t raw32 "lw_raw32"(const uint8_t* p) noexcept nogil
    uint64_t raw64 "lw_raw64"(const uint8_t* p) noexcept nogil
    void prefetch "lw_prefetch"(const void* p) noexcept nogil
    uint64_t fold "lw_fold"(uint64_t a, uint64_t b) noexcept nogil
    uint64_t load_acquire "lw_acquire"(const uint64_t* p) noexcept nogil
    void store_release "lw_release"(uint64_t* p, uint64_t v) noexcept nogil
