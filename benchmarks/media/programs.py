"""Other programs as functions: bytes in, bytes out. One that is missing or fails raises with its own words."""

from __future__ import annotations

import subprocess

import numpy as np
import numpy.typing as npt


class ProgramError(Exception):
    """A program is not installed, or it failed; the text says which and why."""


def run(*command: str, given: bytes = b"") -> bytes:
    """Return what a program writes to standard output; raise ProgramError if it fails."""
    try:
        done = subprocess.run(command, input=given, capture_output=True, check=True)
    except FileNotFoundError:
        advice = "docs/design/003-codec-tables.md lists the packages"
        raise ProgramError(f"{command[0]} is not installed; {advice}") from None
    except subprocess.CalledProcessError as error:
        raise ProgramError(f"{' '.join(command)}: {error.stderr.decode(errors='replace').strip()[-400:]}") from None
    return done.stdout


def decode(rate: int, *source: str, given: bytes = b"") -> npt.NDArray[np.int16]:
    """Decode a sound by ffmpeg, with these input arguments, to mono samples at a rate."""
    output = run(
        "ffmpeg",
        "-v",
        "error",
        *source,
        "-f",
        "s16le",
        "-ac",
        "1",
        "-ar",
        str(rate),
        "pipe:1",
        given=given,
    )
    return np.frombuffer(output, "<i2")


def encode(samples: npt.NDArray[np.int16], rate: int, *target: str) -> bytes:
    """Encode mono samples by ffmpeg with these output arguments."""
    return run(
        "ffmpeg",
        "-v",
        "error",
        "-f",
        "s16le",
        "-ac",
        "1",
        "-ar",
        str(rate),
        "-i",
        "pipe:0",
        *target,
        "pipe:1",
        given=samples.astype("<i2").tobytes(),
    )
