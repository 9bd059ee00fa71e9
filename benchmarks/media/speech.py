"""Speech and music from packages: recorded prompts, speech synthesis, music on hold.

Every function returns a source, as in ``signals``: a callable from a sampling rate in Hz to 16-bit mono samples.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.media.programs import ProgramError, decode, run
from benchmarks.media.signals import SECONDS

if TYPE_CHECKING:
    from benchmarks.media.signals import Samples, Source

PROMPTS = Path("/usr/share/asterisk/sounds")
MUSIC = Path("/usr/share/asterisk/moh")
WIDEBAND_HZ = 16000
_SHORTEST_OCTETS = {"wav": 24_000, "g722": 12_000, "gsm": 4_000}


def _decode_file(path: Path, rate: int) -> Samples:
    raw = () if path.suffix == ".wav" else ("-f", path.suffix[1:])
    return decode(rate, *raw, "-i", str(path))


def prompts(folder: str, suffix: str = "wav", first: int = 0) -> Source:
    """Recorded prompts of a folder, one in seven beginning with ``first``, joined to the usual length.

    The 16 kHz recordings are taken where the rate has use for them and the folder has them.
    """

    def make(rate: int) -> Samples:
        files: list[Path] = []
        for kind in ("g722", suffix) if rate >= WIDEBAND_HZ else (suffix,):
            files = files or sorted(
                path for path in (PROMPTS / folder).rglob(f"*.{kind}") if path.stat().st_size > _SHORTEST_OCTETS[kind]
            )
        if not files:
            raise ProgramError(f"no prompts in {PROMPTS / folder}; docs/design/003-codec-tables.md lists the packages")
        pieces: list[Samples] = []
        for path in files[first::7] + files[first + 1 :: 7]:
            pieces.append(_decode_file(path, rate))
            if sum(map(len, pieces)) >= rate * SECONDS:
                break
        return np.concatenate(pieces)[: rate * SECONDS]

    return make


def music(title: str, start_s: float) -> Source:
    """A stretch of a piece of music on hold."""

    def make(rate: int) -> Samples:
        suffix = "g722" if rate >= WIDEBAND_HZ else "wav"
        whole = _decode_file(MUSIC / f"{title}.{suffix}", rate)
        return whole[int(start_s * rate) : int((start_s + SECONDS) * rate)]

    return make


def _spoken(rate: int, *command: str, given: str = "") -> Samples:
    """Run a synthesiser whose last argument is to be the sound file it writes."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "speech.wav")
        run(*command, str(path), given=given.encode())
        return np.resize(_decode_file(path, rate), rate * SECONDS)


def espeak(voice: str, text: str, speed: int = 160, pitch: int = 50) -> Source:
    """Formant synthesis in many languages (espeak-ng)."""
    return lambda rate: _spoken(rate, "espeak-ng", "-v", voice, "-s", str(speed), "-p", str(pitch), text, "-w")


def flite(voice: str, text: str) -> Source:
    """Synthesis from recorded English speakers (flite)."""
    return lambda rate: _spoken(rate, "flite", "-voice", voice, "-t", text, "-o")


def festival(voice: str, text: str) -> Source:
    """Synthesis from recorded diphones in several languages (festival)."""
    return lambda rate: _spoken(rate, "text2wave", "-eval", f"(voice_{voice})", "-o", given=text)


def through_gsm(source: Source) -> Source:
    """A sound as the far end of a mobile call gives it: band-limited and once through GSM full rate."""

    def make(rate: int) -> Samples:
        narrow = source(8000)
        given = narrow.astype("<i2").tobytes()
        raw = ("-f", "s16le", "-ac", "1", "-ar", "8000", "-i", "pipe:0")
        coded = run("ffmpeg", "-v", "error", *raw, "-c:a", "libgsm", "-f", "gsm", "pipe:1", given=given)
        return decode(rate, "-f", "gsm", "-i", "pipe:0", given=coded)

    return make
