"""What the speed measurements read, and the floor that they compare with; made once, outside the repository.

Where the tools of ``../shared/bench`` are, their generator and their floor are built and used. Elsewhere it is
``benchmarks.generate`` and ``floor.c``, which do the same work.
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from benchmarks import generate
from benchmarks.measured import ROOT

SHARED = ROOT.parent / "shared" / "bench"
CFLAGS = ("-O3", "-march=native", "-w")


class MissingToolError(Exception):
    """Something that a measurement needs is not on this machine."""


@dataclass(frozen=True, slots=True)
class Shape:
    """A capture by what is in it."""

    name: str
    calls: int
    packets: int  # of every stream
    stagger_s: float
    other_percent: int = 0  # packets of something else than voice, with RTCP beside; only ../shared/bench makes them


def scratch() -> Path:
    """Return the folder for inputs and tools: ``$LEGWATCH_BENCH``, or one in the user's cache."""
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    folder = Path(os.environ.get("LEGWATCH_BENCH") or Path(cache, "legwatch", "bench"))
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def shared() -> bool:
    """Whether the tools of ``../shared/bench`` are there."""
    return (SHARED / "gen.c").is_file()


def floor() -> Path:
    """Return the C program that is the floor."""
    if shared():
        return compiled(SHARED / "limits" / "rd.c", "-DPFD=2048")
    return compiled(ROOT / "benchmarks" / "floor.c")


def capture(shape: Shape) -> Path:
    """Return a capture of this shape, made unless it is there."""
    origin = "shared" if shared() else "own"
    path = scratch() / f"{shape.name}-{shape.calls}x{shape.packets}-{origin}.pcap"
    if path.exists():
        return path
    unfinished = path.with_suffix(".part")
    if shared():
        figures = (shape.calls, shape.packets, round(shape.stagger_s * 1000), shape.other_percent, 0)
        words = [str(figure) for figure in (*figures, int(shape.other_percent > 0), 1)]
        tool = compiled(SHARED / "gen.c", "-lm")
        subprocess.run([tool, unfinished, path.with_suffix(".csv"), *words], check=True, stderr=subprocess.DEVNULL)
    elif shape.other_percent:
        message = f"{shape.name}: only the tools of ../shared/bench make it, and they are not here"
        raise MissingToolError(message)
    else:
        generate.write(unfinished, shape.calls, shape.packets, stagger_s=shape.stagger_s)
    return unfinished.rename(path)


def one_packet(path: Path) -> Path:
    """Return a capture of nothing but the first packet of another."""
    short = path.with_suffix(".one.pcap")
    with path.open("rb") as whole:
        head = whole.read(24 + 16)
        short.write_bytes(head + whole.read(int.from_bytes(head[32:36], "little")))
    return short


def compiled(source: Path, *flags: str) -> Path:
    """Return the program that a C file makes, compiled unless it is there and newer."""
    libraries = [flag for flag in flags if flag.startswith("-l")]
    options = [flag for flag in flags if flag not in libraries]
    return _built(source, scratch() / source.stem, "cc", [*CFLAGS, *options], libraries)


def bpf_object(source: Path) -> Path:
    """Return the BPF object that a C file makes, compiled unless it is there and newer. Needs clang and libbpf."""
    headers = f"-I/usr/include/{platform.machine()}-linux-gnu"
    return _built(source, scratch() / f"{source.stem}.o", "clang", ["-O2", "-g", "-target", "bpf", headers, "-c"], [])


def _built(source: Path, out: Path, compiler: str, options: list[str], libraries: list[str]) -> Path:
    if out.exists() and out.stat().st_mtime >= source.stat().st_mtime:
        return out
    if shutil.which(compiler) is None:
        message = f"no {compiler}: {source.name} cannot be compiled"
        raise MissingToolError(message)
    subprocess.run([compiler, *options, "-o", out, source, *libraries], check=True)
    return out
