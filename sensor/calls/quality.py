"""How a leg sounded, by the E-model: the transmission rating factor R of ITU-T G.107 (06/2015) and its opinion score.

All parameters have the default values of G.107 table 2, but for the delay, the loss and the codec's impairment. Codecs
are those with values in ITU-T G.113 (11/2007) appendix I, tables I.1 and I.3; for others, and for wideband, which has a
scale of its own (G.107.1), nothing is said. The jitter buffer is not known: what it adds to the delay and what it
drops is left out, so the figure is what the network allowed at best.
"""

from __future__ import annotations

from functools import lru_cache
from math import exp, fsum, log, log2, log10, sqrt
from typing import TYPE_CHECKING

from sensor.model import Quality

if TYPE_CHECKING:
    from collections.abc import Iterable

    from fastpath.records import StreamStats

# Equipment impairment Ie and robustness to loss Bpl; G.711 with the concealment of its appendix I
_CODECS = {"PCMU": (0.0, 25.1), "PCMA": (0.0, 25.1), "G729": (11.0, 19.0), "G723": (15.0, 16.1)}

_SLR, _RLR, _STMR, _LSTR, _DS, _TELR, _WEPL = 8.0, 2.0, 15.0, 18.0, 3.0, 65.0, 110.0
_OLR = _SLR + _RLR
LEAST_PACKETS = 50  # of a stream before its figures mean something

_NC, _NFOR, _PS, _PR = -70.0, -64.0, 35.0, 35.0  # dBm0p, dBmp, dB(A), dB(A)


def quality_of(streams: Iterable[StreamStats], before: Quality | None = None) -> Quality | None:
    """Return the quality of the worst of some streams, and of one that was known before."""
    streams = [stream for stream in streams if stream.packets >= LEAST_PACKETS]
    there_and_back = [stream.delay_ms for stream in streams if stream.delay_ms is not None]
    # Between the two ends lies what is before the mirror and what is behind it.
    delay_ms = sum(there_and_back) / 2 if len(there_and_back) > 1 else None
    worst = before
    for stream in streams:
        expected = stream.packets + stream.lost
        loss = stream.lost / expected if expected else 0.0
        r = rating(stream.codec, round(loss, 3), round(delay_ms or 0.0))
        found = Quality(loss, stream.jitter_ms, delay_ms, r, None if r is None else score(r), stream.dscp)
        if worst is None or _badness(found) > _badness(worst):
            worst = found
    return worst


def _badness(quality: Quality) -> tuple[float, float]:
    return (0.0 if quality.r is None else 100.0 - quality.r, quality.loss)


@lru_cache(maxsize=4096)
def rating(codec: str, loss: float, delay_ms: float) -> float | None:
    """Return R for a codec by its name in SDP, a share of lost packets and a one-way delay; None: no values."""
    if codec not in _CODECS:
        return None
    impairment, robustness = _CODECS[codec]
    percent = 100 * loss
    effective = impairment + (95 - impairment) * percent / (percent + robustness)  # G.107 (7-29), random loss
    return min(max(_RO - _IS - _delay(delay_ms) - effective, 0.0), 100.0)


def score(r: float) -> float:
    """Return the mean opinion score of R (G.107 annex B)."""
    if r <= 0:
        return 1.0
    if r >= 100:  # noqa: PLR2004
        return 4.5
    return max(1.0, 1 + 0.035 * r + r * (r - 60) * (100 - r) * 7e-6)


def _power(decibels: float) -> float:
    return exp(decibels * log(10) / 10)


def _decibels(*levels: float) -> float:
    return 10 * log10(fsum(map(_power, levels)))


def _basic() -> tuple[float, float]:
    """Return the noise floor No and the basic signal-to-noise ratio Ro (G.107 section 7.2)."""
    sent = _PS - _SLR - _DS - 100 + 0.004 * (_PS - _OLR - _DS - 14) ** 2
    room = _PR + 10 * log10(1 + _power(10 - _LSTR))
    received = _RLR - 121 + room + 0.008 * (room - 35) ** 2
    noise = _decibels(_NC, sent, received, _NFOR + _RLR)
    return noise, 15 - 1.5 * (_SLR + noise)


def _simultaneous(noise: float, ratio: float) -> float:
    """Return Is, the impairments that come with the voice (section 7.3)."""
    loud = _OLR + 0.2 * (64 + noise - _RLR)
    too_loud: float = 20 * ((1 + (loud / 8) ** 8) ** (1 / 8) - loud / 8)
    side = -_decibels(-_STMR, -_TELR)
    sidetone: float = (
        12 * (1 + ((side - 13) / 6) ** 8) ** (1 / 8)
        - 28 * (1 + ((side + 1) / 19.4) ** 35) ** (1 / 35)
        - 13 * (1 + ((side - 3) / 33) ** 13) ** (1 / 13)
        + 29
    )
    levels = 37.0  # of quantizing: one unit of distortion, 37 - 15 lg 1
    distortion = 1.07 + 0.258 * levels + 0.0602 * levels**2
    quantizing: float = 15 * log10(
        1 + 10 ** ((ratio - 100) / 15 + 46 / 8.4 - distortion / 9) + 10 ** (46 / 30 - distortion / 40)
    )
    return too_loud + sidetone + quantizing


def _delay(ms: float) -> float:
    """Return Id, the impairments by delay and echo (section 7.4), of one and the same delay each way."""
    echo = _TELR - 40 * log10((1 + ms / 10) / (1 + ms / 150)) + 6 * exp(-0.3 * ms**2)
    heard = -1.5 * (_NO - _RLR) - (80 + 2.5 * (echo - 14))
    talker = (heard / 2 + sqrt(heard**2 / 4 + 100) - 1) * (1 - exp(-ms))
    listened: float = _RO - 10.5 * (_WEPL + 7) * (2 * ms + 1) ** -0.25
    listener = listened / 2 + sqrt(listened**2 / 4 + 169)
    long = 0.0
    if ms > 100:  # noqa: PLR2004
        x = log2(ms / 100)
        long = 25 * float((1 + x**6) ** (1 / 6) - 3 * (1 + (x / 3) ** 6) ** (1 / 6) + 2)
    return talker + listener + long


_NO, _RO = _basic()
_IS = _simultaneous(_NO, _RO)
