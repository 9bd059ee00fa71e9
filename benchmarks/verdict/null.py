"""Ciphertext past the test: how often does the evidence for "clear" ever reach 2^j? At most in 2^-j of the streams."""

from __future__ import annotations

import hashlib
import importlib.machinery
import importlib.util
import math
import os
import subprocess
import sys
import sysconfig
from array import array
from collections.abc import Iterator
from concurrent.futures import Executor
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from pathlib import Path
from types import ModuleType

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CTR

from benchmarks.inputs import scratch
from benchmarks.measured import ROOT
from benchmarks.verdict.report import Limit, Row
from fastpath._build import DIRECTIVES
from fastpath.engine import shipped_tables

CHUNK = 1 << 20  # octets of keystream at a time
LEVELS = 64
USUAL_PACKETS = 24  # of a stream: the evidence is greatest early, or hardly ever
EPOCH = 64  # scored packets after which a settled stream's test begins anew
BOUND = Limit(1, "P(sup E >= 2^j) <= 2^-j", "10^8 streams")


@dataclass(frozen=True, slots=True)
class Shape:
    """What an encrypted stream looks like from outside; the fields are those of ``simulate.run``."""

    payload_type: int
    lengths: tuple[int, ...]
    packets: int = USUAL_PACKETS
    frame_packets: int = 1
    tail: int = -1
    mki_octets: int = 0
    mki_before: int = 0
    epoch_packets: int = 0


_STATIC = ((0, 160), (8, 80), (9, 160), (3, 33), (4, 24), (18, 20), (18, 10), (13, 11))
_DYNAMIC = ((32,), (61,), (14,), (38,), (50,), (70,), (80,), (8,), (62, 81, 70, 55, 90, 77), (31, 7, 32))
_FILM = (1180, 1180, 400)
SHAPES = (
    *(Shape(kind, (octets + tag,)) for kind, octets in _STATIC for tag in (4, 10, 16)),
    *(Shape(kind, (octets + tag,), tail=tag) for kind, octets in _STATIC for tag in (0, 4, 10, 16)),
    *(Shape(96, tuple(octets + tag for octets in lengths)) for lengths in _DYNAMIC for tag in (0, 4, 10, 16)),
    *(Shape(kind, _FILM, frame_packets=3) for kind in (26, 96)),
    *(
        Shape(kind, (octets + tag + mki,), mki_octets=mki, mki_before=before)
        for kind, octets in (*_STATIC, *((96, lengths[0]) for lengths in _DYNAMIC))
        for tag, before in ((10, 10), (4, 4), (16, 0))
        for mki in (1, 2, 4, 8)
    ),
    *(Shape(kind, (octets + 10,), packets=1024) for kind, octets in ((0, 160), (18, 20), (96, 61), (96, 32))),
    *(
        Shape(kind, (octets + 10,), packets=16 * EPOCH, epoch_packets=EPOCH)
        for kind, octets in ((0, 160), (18, 20), (96, 61), (96, 32))
    ),
)


@cache
def simulation() -> ModuleType:
    """Return the compiled loop, built anew where it or the core's declarations changed."""
    sources = (Path(__file__).with_name("simulate.pyx"), *sorted((ROOT / "fastpath").glob("verdict.p*")))
    version = hashlib.sha256(b"".join(source.read_bytes() for source in sources)).hexdigest()[:16]
    built = scratch() / f"simulate-{version}{sysconfig.get_config_var('EXT_SUFFIX')}"
    if not built.exists():
        code, unfinished = built.with_suffix(f".{os.getpid()}.c"), built.with_suffix(f".{os.getpid()}.part")
        options = [word for name, value in DIRECTIVES.items() for word in ("-X", f"{name}={value}")]
        cython = [sys.executable, "-m", "cython", "-3", *options, "-I", str(ROOT), "--module-name", "simulate"]
        subprocess.run([*cython, str(sources[0]), "-o", str(code)], check=True)
        include = sysconfig.get_path("include")
        subprocess.run(["cc", "-shared", "-fPIC", "-O3", "-w", f"-I{include}", code, "-o", unfinished], check=True)
        code.unlink()
        unfinished.rename(built)
    loader = importlib.machinery.ExtensionFileLoader("simulate", str(built))
    spec = importlib.util.spec_from_file_location("simulate", built, loader=loader)
    if spec is None:
        raise ImportError(str(built))
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    return module


def simulate(shape: Shape, streams: int, seed: int) -> tuple[int, list[int]]:
    """Judge at least so many streams of AES-CTR; return how many, and for each j how many ever reached 2^j."""
    run = simulation().run
    key = hashlib.sha256(f"{seed} {shape}".encode()).digest()
    cipher = Cipher(AES(key[:16]), CTR(key[16:])).encryptor()
    octets = sum(min(256, shape.lengths[packet % len(shape.lengths)]) for packet in range(shape.packets)) + 8
    size = min(max(CHUNK, octets), octets * streams)
    zeros, keystream = bytes(size), bytearray(size + 16)
    reached = array("q", bytes(8 * LEVELS))
    options = {name: getattr(shape, name) for name in Shape.__slots__}
    done = 0
    while done < streams:
        cipher.update_into(zeros, keystream)
        done += run(shipped_tables(), memoryview(keystream)[:size], reached, **options)
    return done, list(reached)


def streams_of(shape: Shape, streams: int) -> int:
    """Return how many of all streams a shape gets: long ones are dear and few."""
    whole = sum(Fraction(USUAL_PACKETS, other.packets) for other in SHAPES)
    return math.ceil(streams * Fraction(USUAL_PACKETS, shape.packets) / whole)


def measure(pool: Executor, streams: int, seed: int) -> tuple[int, list[int]]:
    """Judge at least so many streams of all shapes."""
    done, reached = 0, [0] * LEVELS
    counts = [streams_of(shape, streams) for shape in SHAPES]
    simulation()
    for count, levels in pool.map(simulate, SHAPES, counts, [seed] * len(SHAPES)):
        done += count
        reached = [one + more for one, more in zip(reached, levels, strict=True)]
    return done, reached


def rows(pool: Executor, streams: int, seed: int) -> Iterator[Row]:
    """Yield the share of the streams that ever reached 2^j, beside its bound."""
    done, reached = measure(pool, streams, seed)
    ratios = {j: count / done * 2**j for j, count in enumerate(reached) if j and count}
    worst = max(ratios, key=lambda j: ratios[j], default=0)
    greatest = max(ratios, default=0)
    curve = " ".join(f"{j}:{reached[j]}" for j in sorted(ratios))
    excess = max(ratios.values(), default=0.0)
    seen = f"{done:,} streams: {excess:.3f} of the bound (j = {worst}), greatest 2^{greatest}"
    yield Row("false clear, AES-CTR streams", seen, BOUND, excess)
    yield Row("  streams that reached 2^j (j:count)", curve)
