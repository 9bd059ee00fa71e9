"""What the verdict costs: a capture of mixed codecs, whole and cut behind the RTP header, which leaves all but it.

Both are pcapng of one size: where a packet was cut, an option that nobody reads takes the place of its octets, so that
reading the file costs the same.
"""

from __future__ import annotations

import random
import struct
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import Executor
from itertools import islice
from pathlib import Path

from benchmarks.media import streams
from benchmarks.verdict.report import Limit, Row
from benchmarks.verdict.sending import Listener, endless, media
from benchmarks.verdict.srtp import SUITES
from fastpath.engine import Engine
from fastpath.source import PcapngFile

PACKETS = 1500  # of every stream
HEADERS = 14 + 20 + 8 + 12
LIMIT = Limit(60, "<= 60 ns", "<= 20 ns")
COPIES = 4  # of each codec, in clear and encrypted
CODECS = ("pcmu-20", "pcma-20", "g722-20", "g729-20", "gsm-20", "opus-32", "opus-wb20", "amr-122be", "amrwb-1265be",
          "ilbc-20", "speex-nb8", "h264-x264", "vp8-15bit")  # fmt: skip


def _frames(name: str, copy: int, *, protected: bool, listener: Listener) -> list[tuple[int, bytes]]:
    """Return a stream's frames; the time begins at nought."""
    contents = list(streams("test", name))
    stream = contents[copy % len(contents)]
    protect = SUITES[0].keyed(random.Random(f"{name} {copy}")) if protected else None
    sender = listener.sender(stream.variant, protect=protect)
    frames = list(sender.frames(list(islice(endless(media(stream)), PACKETS))))
    begin = frames[0][0]
    return [(at - begin, frame) for at, frame in frames]


def _option(code: int, value: bytes) -> bytes:
    return struct.pack("<HH", code, len(value)) + value + bytes(-len(value) % 4)


def _block(kind: int, body: bytes) -> bytes:
    return struct.pack("<II", kind, 12 + len(body)) + body + struct.pack("<I", 12 + len(body))


def write(path: Path, frames: list[tuple[int, bytes]], snapshot: int) -> None:
    """Write a pcapng file in nanoseconds, every packet cut to so many octets and padded to what it was."""
    with path.open("wb") as file:
        file.write(_block(0x0A0D0D0A, struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1)))
        file.write(_block(1, struct.pack("<HHI", 1, 0, 0) + _option(9, b"\x09") + _option(0, b"")))
        for at, frame in frames:
            time_ns, kept = 1_770_000_000_000_000_000 + at, frame[:snapshot]
            head = struct.pack("<IIIII", 0, time_ns >> 32, time_ns & 0xFFFFFFFF, len(kept), len(frame))
            rest = _option(1, frame[snapshot:]) + _option(0, b"")
            file.write(_block(6, head + kept + bytes(-len(kept) % 4) + rest))


def once(path: Path) -> float:
    """Return the CPU nanoseconds a packet that an engine takes."""
    engine = Engine(max_flows=1 << 12, max_streams=1 << 12)
    source = PcapngFile(path)
    begin = time.process_time_ns()
    while engine.process(source) == 1:
        engine.drain()
    return (time.process_time_ns() - begin) / engine.counters()["received"]


def measure(runs: int, protected: tuple[bool, ...]) -> tuple[float, float, int]:
    """Return nanoseconds a packet whole and cut, the least of each, and how many packets there are."""
    listener = Listener()
    frames = [
        frame
        for name in CODECS for copy in range(COPIES) for secret in protected
        for frame in _frames(name, copy, protected=secret, listener=listener)
    ]  # fmt: skip
    frames.sort(key=lambda frame: frame[0])
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder, "whole.pcapng"), Path(folder, "cut.pcapng")]
        write(paths[0], frames, 65535)
        write(paths[1], frames, HEADERS)
        taken = [[once(path) for path in paths] for _ in range(runs)]
    return min(run[0] for run in taken), min(run[1] for run in taken), len(frames)


def rows(pool: Executor, runs: int) -> Iterator[Row]:
    """Yield what a packet costs with the verdict and without, amortised over streams of 1,500 packets."""
    for what, protected in (("clear and encrypted", (False, True)), ("clear", (False,)), ("encrypted", (True,))):
        whole, cut, packets = pool.submit(measure, runs, protected).result()
        seen = f"{whole - cut:.0f} ns/packet ({whole:.0f} whole, {cut:.0f} cut to headers; {packets:,} packets)"
        both = len(protected) > 1
        yield Row(f"{'' if both else '  '}cost, {what}", seen, LIMIT if both else None, whole - cut)
