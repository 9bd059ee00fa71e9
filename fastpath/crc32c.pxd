"""CRC-32C (RFC 9260 appendix A), four bits at a time: what ends a ZRTP packet."""

from libc.stdint cimport uint8_t, uint32_t

cdef extern from *:
    """
    static const uint32_t crc32c_nibble[16] = {
        0x00000000, 0x105EC76F, 0x20BD8EDE, 0x30E349B1, 0x417B1DBC, 0x5125DAD3, 0x61C69362, 0x7198540D,
        0x82F63B78, 0x92A8FC17, 0xA24BB5A6, 0xB21572C9, 0xC38D26C4, 0xD3D3E1AB, 0xE330A81A, 0xF36E6F75,
    };
    """
    const uint32_t[16] crc32c_nibble


cdef inline uint32_t crc32c(const uint8_t* p, uint32_t n) noexcept nogil:
    """Checksum of n octets; on the wire its least octet comes first."""
    cdef uint32_t crc = 0xFFFFFFFF, i
    for i in range(n):
        crc ^= p[i]
        crc = (crc >> 4) ^ crc32c_nibble[crc & 15]
        crc = (crc >> 4) ^ crc32c_nibble[crc & 15]
    return ~crc
