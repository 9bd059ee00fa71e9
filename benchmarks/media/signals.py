"""Signals made by arithmetic: noise of several colours and levels, tones, dialling digits, fax modems, silence.

Every function returns a source: a callable from a sampling rate in Hz to 16-bit samples. The same rate gives the same
samples, always.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy.typing as npt

    Samples = npt.NDArray[np.int16]
    Signal = npt.NDArray[np.floating[Any]]
    Source = Callable[[int], Samples]

SECONDS = 20
FULL_SCALE = 32767.0
DIGITS = "123A456B789C*0#D"
_ROWS_HZ = (697, 770, 852, 941)
_COLUMNS_HZ = (1209, 1336, 1477, 1633)


def samples(signal: Signal) -> Samples:
    """Round and clip a signal of full scale 1 to 16-bit samples."""
    rounded: Samples = np.clip(np.rint(signal * FULL_SCALE), -32768, 32767).astype(np.int16)
    return rounded


def _level(decibel: float) -> float:
    return float(10 ** (decibel / 20))


def _time(rate: int, seconds: float) -> Signal:
    return np.arange(int(rate * seconds)) / rate


def silence() -> Source:
    """Digital silence."""
    return lambda rate: np.zeros(rate * SECONDS, np.int16)


def uniform(seed: int, decibel: float) -> Source:
    """White noise of uniform amplitude whose peak is so many dB against full scale."""
    return lambda rate: samples(_level(decibel) * np.random.default_rng(seed).uniform(-1, 1, rate * SECONDS))


def gaussian(seed: int, decibel: float) -> Source:
    """White noise of normal amplitude whose standard deviation is so many dB against full scale; clips when loud."""
    return lambda rate: samples(_level(decibel) * np.random.default_rng(seed).standard_normal(rate * SECONDS))


def coloured(seed: int, decibel: float, slope: float) -> Source:
    """Noise whose power falls as 1/f**slope (1: pink, 2: brown), RMS so many dB against full scale."""

    def make(rate: int) -> Samples:
        white = np.fft.rfft(np.random.default_rng(seed).standard_normal(rate * SECONDS))
        frequency = np.maximum(np.fft.rfftfreq(rate * SECONDS, 1 / rate), 20.0)
        signal = np.fft.irfft(white / frequency ** (slope / 2), rate * SECONDS)
        return samples(np.asarray(_level(decibel) * signal / np.std(signal), np.float64))

    return make


def tones(decibel: float, *parts: Sequence[float]) -> Source:
    """Repeat parts for ever: each is seconds, then the frequencies in Hz sounding together (none: a pause)."""

    def make(rate: int) -> Samples:
        once: list[Signal] = []
        for seconds, *frequencies in parts:
            time = _time(rate, seconds)
            sines = [np.sin(2 * np.pi * hertz * time) for hertz in frequencies]
            once.append(_level(decibel) * sum(sines, start=0 * time))
        cycle = np.concatenate(once)
        return samples(np.resize(cycle, rate * SECONDS))

    return make


def sweep(decibel: float, first_hz: float, last_hz: float, *, square: bool = False) -> Source:
    """A tone that glides from one frequency to the other."""

    def make(rate: int) -> Samples:
        time = _time(rate, SECONDS)
        wave = np.sin(2 * np.pi * (first_hz + (last_hz - first_hz) * time / SECONDS / 2) * time)
        return samples(_level(decibel) * (np.sign(wave) if square else wave))

    return make


def digits(seed: int, count: int = 200) -> str:
    """A sequence of dialling digits."""
    return "".join(np.random.default_rng(seed).choice(list(DIGITS[:12] if seed % 2 else DIGITS), count))


def dialling(seed: int, decibel: float, on_s: float, off_s: float) -> Source:
    """The digits of ``digits(seed)`` as DTMF (ITU-T Q.23)."""
    parts: list[Sequence[float]] = []
    for digit in digits(seed):
        row, column = divmod(DIGITS.index(digit), 4)
        parts += [(on_s, _ROWS_HZ[row], _COLUMNS_HZ[column]), (off_s,)]
    return tones(decibel, *parts)


def modem(seed: int, decibel: float, mark_hz: float, space_hz: float, baud: int = 300) -> Source:
    """Random bits as frequency-shift keying, the sound of a fax's T.30 handshake (ITU-T V.21)."""

    def make(rate: int) -> Samples:
        bits = np.random.default_rng(seed).integers(0, 2, baud * SECONDS)
        symbol = np.minimum((_time(rate, SECONDS) * baud).astype(int), len(bits) - 1)
        phase = np.cumsum(np.where(bits[symbol], mark_hz, space_hz)) / rate
        return samples(_level(decibel) * np.sin(2 * np.pi * phase))

    return make


def phase_modem(seed: int, decibel: float, carrier_hz: float = 1800, baud: int = 2400) -> Source:
    """Random 16-point QAM on a carrier, the sound of a fax page (close to ITU-T V.17 and V.29)."""

    def make(rate: int) -> Samples:
        generator = np.random.default_rng(seed)
        count = baud * SECONDS
        points = generator.choice([-3, -1, 1, 3], count) + 1j * generator.choice([-3, -1, 1, 3], count)
        time = _time(rate, SECONDS)
        position = time * baud
        symbol = np.minimum(position.astype(int), count - 2)
        blend = position - symbol
        envelope: npt.NDArray[np.complex128] = points[symbol] * (1 - blend) + points[symbol + 1] * blend
        turn = 2 * np.pi * carrier_hz * time
        wave = envelope.real * np.cos(turn) - envelope.imag * np.sin(turn)
        return samples(wave * (_level(decibel) / 4.3))

    return make


def gain(source: Source, decibel: float) -> Source:
    """The same sound louder or softer; it clips where it must."""
    return lambda rate: samples(_level(decibel) * source(rate) / FULL_SCALE)


def mix(first: Source, second: Source) -> Source:
    """Two sounds at once, as long as the shorter."""

    def make(rate: int) -> Samples:
        one, other = first(rate), second(rate)
        length = min(len(one), len(other))
        return samples((one[:length] / FULL_SCALE) + (other[:length] / FULL_SCALE))

    return make


def muted(source: Source, on_s: float, off_s: float) -> Source:
    """A sound cut by stretches of digital silence, as a muted handset or a sender with a noise gate makes it."""

    def make(rate: int) -> Samples:
        sound = source(rate)
        time = np.arange(len(sound)) / rate
        return np.where(time % (on_s + off_s) < on_s, sound, 0).astype(np.int16)

    return make
