"""Ciphertext past the test, for the null simulation; compiled when it is asked for, and not part of the package."""

from libc.stdint cimport int16_t, int64_t, uint8_t, uint32_t
from libc.string cimport memcpy, memset

from fastpath.verdict cimport HINT_NONE, UNIT, Judge, Tables, judge_packet, judge_restart

cdef enum:
    LEVELS = 64
    CAPTURED = 256          # more of a payload is never scored
    MAX_MKI = 8


def run(Tables tables not None, uint8_t[::1] keystream not None, int64_t[::1] reached not None, *, int payload_type,
        lengths, int packets, int frame_packets=1, int tail=-1, int mki_octets=0, int mki_before=0,
        int epoch_packets=0):
    """Judge as many streams as the keystream is enough for, and return how many.

    ``reached[j]`` grows by the number of streams whose evidence for "clear" was at least 2^j at any time (j below 64).
    ``lengths``: of the payloads, by turns. ``mki_octets`` of each are a constant of the stream, with ``mki_before``
    octets behind it. ``epoch_packets``: the test begins anew so often, as it does in a stream called encrypted.
    """
    cdef uint32_t length[16]
    cdef int kinds = len(lengths), packet, level
    cdef int64_t streams = 0, at = 0, octets = 0, size = keystream.shape[0]
    cdef uint32_t captured
    cdef int16_t most
    cdef uint8_t mki[MAX_MKI]
    cdef uint8_t* payload
    cdef Judge judge
    if not 0 < kinds <= 16 or not 0 <= mki_octets <= MAX_MKI or reached.shape[0] != LEVELS:
        raise ValueError("out of range")
    for packet in range(kinds):
        length[packet] = lengths[packet]
        if length[packet] <= <uint32_t>(mki_octets + mki_before):
            raise ValueError("no room for the MKI")
    for packet in range(packets):
        octets += min(length[packet % kinds], <uint32_t>CAPTURED)
    octets += MAX_MKI
    with nogil:
        while at + octets <= size:
            memset(&judge, 0, sizeof(Judge))
            memcpy(mki, &keystream[at], MAX_MKI)
            at += MAX_MKI
            most = -32000
            for packet in range(packets):
                captured = min(length[packet % kinds], <uint32_t>CAPTURED)
                payload = &keystream[at]
                if mki_octets and captured == length[packet % kinds]:
                    memcpy(payload + captured - mki_before - mki_octets, mki, mki_octets)
                at += captured
                judge_packet(&judge, &tables.set, payload, captured, length[packet % kinds], payload_type,
                             packet % frame_packets == 0, tail, HINT_NONE)
                most = max(most, judge.best)
                if epoch_packets and packet % epoch_packets == epoch_packets - 1:
                    judge_restart(&judge, True)
            for level in range(min(LEVELS, most // UNIT + 1)):
                reached[level] += 1
            streams += 1
    return streams
