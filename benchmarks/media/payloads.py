"""From codec frames to RTP payloads, as the payload format RFCs lay them out."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.media.container import Packet

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from benchmarks.media.signals import Samples

# RFC 4867 section 4.3.1: speech bits a frame type has; 15 is NO_DATA
AMR_BITS = (95, 103, 118, 134, 148, 159, 204, 244, 39)
AMR_WB_BITS = (132, 177, 253, 285, 317, 365, 397, 461, 477, 40)
AMR_NO_DATA = 15
CN_ORDER = 10


def paced(payloads: Iterable[bytes], step: int) -> Iterator[Packet]:
    """Give each payload its timestamp; b"" is time without a packet, and the marker begins a talkspurt."""
    talking = False
    for index, payload in enumerate(payloads):
        if payload:
            yield Packet(not talking, index * step, payload)
        talking = bool(payload)


def bundled(frames: Sequence[bytes], count: int) -> list[bytes]:
    """Put so many frames into each payload."""
    return [b"".join(frames[start : start + count]) for start in range(0, len(frames) - count + 1, count)]


def big_endian(samples: Samples, count: int) -> list[bytes]:
    """L16 (RFC 3551 section 4.5.11): samples in network order, so many a payload."""
    starts = range(0, len(samples) - count + 1, count)
    return [samples[start : start + count].astype(">i2").tobytes() for start in starts]


def amr_octet_aligned(frames: Iterable[bytes], request: int) -> Iterator[bytes]:
    """AMR, octet-aligned (RFC 4867 section 4.4): the mode request, a table of contents of one entry, the frame."""
    for frame in frames:
        silent = (frame[0] >> 3) & 15 == AMR_NO_DATA
        yield b"" if silent else bytes([request << 4, frame[0] & 0x7C]) + frame[1:]


def amr_bandwidth_efficient(frames: Iterable[bytes], request: int, bits: Sequence[int]) -> Iterator[bytes]:
    """AMR, bandwidth-efficient (RFC 4867 section 4.3): the same without padding between the parts."""
    for frame in frames:
        kind, good = (frame[0] >> 3) & 15, (frame[0] >> 2) & 1
        if kind == AMR_NO_DATA:
            yield b""
            continue
        octets = len(frame) - 1
        speech = int.from_bytes(frame[1:], "big") >> (8 * octets - bits[kind])
        value = (((request << 6) | (kind << 1) | good) << bits[kind]) | speech
        length = 10 + bits[kind]
        yield (value << (-length % 8)).to_bytes((length + 7) // 8, "big")


def comfort_noise(samples: Samples, order: int = CN_ORDER, background: float = 0.01) -> Iterator[bytes]:
    """Comfort noise (RFC 3389) of a sound heard very softly: its level in -dBov, then reflection coefficients.

    The encoder is ours: autocorrelation over 100 ms and the Levinson-Durbin recursion.
    """
    dither = np.random.default_rng(len(samples)).standard_normal(len(samples))
    sound = samples * background + dither
    for start in range(0, len(sound) - 799, 800):
        window = sound[start : start + 800]
        level = min(127, round(-20 * np.log10(np.sqrt(np.mean(window**2)) / 32768)))
        lags = np.array([window[: 800 - lag] @ window[lag:] for lag in range(order + 1)])
        error, predictor, reflections = lags[0] * 1.0001, np.zeros(0), []
        for lag in range(order):
            reflection = (lags[lag + 1] - predictor @ lags[lag:0:-1]) / error
            predictor = np.append(predictor - reflection * predictor[::-1], reflection)
            error *= 1 - reflection**2
            reflections.append(int(np.clip(round(127 - 127 * reflection), 0, 254)))
        yield bytes([level, *reflections])


def telephone_events(digits: str, alphabet: str) -> Iterator[Packet]:
    """Dialled digits (RFC 4733 section 2.5): updates each 20 ms, the last one sent three times."""
    start = 0
    for index, digit in enumerate(digits):
        event, last = alphabet.index(digit), 4 + index * 7 % 9
        for update in range(1, last + 4):
            ended = update > last
            duration = 160 * min(update, last + 1)
            yield Packet(update == 1, start, struct.pack(">BBH", event, ended << 7 | 10, duration))
        start += 160 * (last + 6)


def typed(text: str, seed: int) -> list[bytes]:
    """Text as it is typed (RFC 4103): what came within 300 ms, UTF-8, b"" for a pause."""
    generator = np.random.default_rng(seed)
    pieces, start = [], 0
    while start < len(text):
        count = int(generator.choice([0, 1, 1, 1, 2, 2, 3, 4]))
        pieces.append(text[start : start + count].encode())
        start += count
    return pieces


def redundant(payloads: Sequence[bytes], payload_type: int, step: int, generations: int) -> Iterator[bytes]:
    """RED (RFC 2198): each payload with copies of the ones before it, as far as a block header can hold them."""
    for index, payload in enumerate(payloads):
        if not payload:
            yield b""
            continue
        head, copies = b"", b""
        for back in range(generations, 0, -1):
            copy = payloads[index - back] if index >= back else b""
            if len(copy) < 1 << 10 and (copy or generations > 1):
                head += struct.pack(">I", 0x80000000 | payload_type << 24 | back * step << 10 | len(copy))
                copies += copy
        yield head + bytes([payload_type]) + copies + payload
