"""What the ledger costs: ``python -m benchmarks.ledger``.

A day of a site is written, sealed and verified: legs, steps of findings with their evidence, coverage of each minute.
Beside it is what no ledger can do without, in the same run: the same octets hashed and written, and hashed. Limits are
for the processor's time, as others may use the machine, too; what the clock said stands below. The exit status is 0
when they were kept.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import random
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from sensor.ledger import reader
from sensor.ledger.entries import Entry
from sensor.ledger.keys import VerifierKey, new_pem
from sensor.ledger.layout import DAY_MS
from sensor.ledger.verify import verify
from sensor.ledger.writer import Writer

APPEND_LIMIT = 50_000  # entries a second
VERIFY_LIMIT_S = 10.0  # for a million
SEALED_LIMIT = 40  # octets an entry
SHARE_LIMIT = 0.01  # of a core …
RATED = 230  # … when so many entries come in a second: 20,000 legs at once, each three minutes, a tenth with findings
T0 = 1_767_830_400_000
PART = 1000  # entries that are appended at once
MINUTE_MS = 60_000


class Cost(NamedTuple):
    """What something took for all entries, and the floor beside it, in seconds of the processor and of the clock."""

    cpu_s: float
    wall_s: float


def measured(work: Callable[[], object]) -> Cost:
    """Do work once and return what it took."""
    cpu, wall = time.process_time(), time.perf_counter()
    work()
    return Cost(time.process_time() - cpu, time.perf_counter() - wall)


def day(count: int) -> list[Entry]:
    """Return the entries of a day, the same each time: ``count`` of them, in the order of their ends."""
    rnd = random.Random(9)
    phones = [f"10.20.{host // 250}.{host % 250 + 2}" for host in range(400)]
    others = ["10.20.9.4", "10.20.9.5", "198.51.100.7", *phones[:40]]
    entries: list[Entry] = []
    end, minute = T0, T0
    while len(entries) < count:
        end += rnd.randrange(2 * DAY_MS // count)
        a, b = rnd.choice(phones), rnd.choice(others)
        state = rnd.choices(["encrypted", "clear", "undetermined", "not-observed"], [80, 15, 3, 2])[0]
        first = end - int(rnd.expovariate(1 / 120_000)) - 1000
        entries.append(leg(rnd, a, b, state, first, end))
        if state == "clear" and rnd.randrange(2):
            entries.append(finding(rnd, a, b, first, end))
        while end > minute + MINUTE_MS:
            minute += MINUTE_MS
            entries.append(coverage(rnd, minute))
    return entries[:count]


def leg(rnd: random.Random, a: str, b: str, state: str, first: int, last: int) -> Entry:
    """Return a leg that ended."""
    secured = state == "encrypted"
    return {
        "kind": "leg",
        "a": a,
        "b": b,
        "media": "audio",
        "signalling": "tls" if secured else "clear",
        "signalled": "srtp-sdes" if secured else "clear",
        "observed": state,
        "comparison": "agree",
        "key_exchange": "sdes" if secured else "none",
        "assessed": rnd.randrange(800, 1000) if not rnd.randrange(10) else 1000,
        "recording": False,
        "call": f"call-{rnd.getrandbits(48):012x}",
        "segments": ["phones", rnd.choice(["trunk", "phones"])],
        "first": first,
        "last": last,
    }


def finding(rnd: random.Random, a: str, b: str, first: int, last: int) -> Entry:
    """Return a step of a finding."""
    return {
        "kind": "finding",
        "step": rnd.choice(["opened", "updated", "resolved"]),
        "id": f"{rnd.choice(range(500)) * 0x9E3779B97F4A7C15 % 2**64:016x}",
        "code": "media-unencrypted",
        "severity": "high",
        "state": "open",
        "subject": {"kind": "leg", "a": a, "b": b, "name": ""},
        "segments": ["phones", "trunk"],
        "evidence": [
            f"{rnd.randrange(9000)} of {rnd.randrange(9000, 30000)} packets are G.711 in clear by their payload",
            "SDP in clear offers RTP/AVP without a key",
        ],
        "controls": ["164.312(e)(1)", "164.312(e)(2)(ii)"],
        "count": rnd.randrange(1, 40),
        "waived_by": None,
        "first": first,
        "last": last,
        "since": first,
    }


def coverage(rnd: random.Random, end: int) -> Entry:
    """Return what was seen of a minute."""
    received = rnd.randrange(900_000, 1_100_000)
    return {
        "kind": "coverage",
        "interface": "mirror0",
        "from": end - MINUTE_MS,
        "to": end,
        "state": "seen",
        "reasons": [],
        "received": received,
        "classified": received - rnd.randrange(100),
        "malformed": 0,
        "shed": 0,
        "kernel_drops": 0,
        "gaps": 0,
        "duplicates": rnd.randrange(10),
        "one_way": rnd.randrange(3),
        "segments": [
            {"name": name, "legs": rnd.randrange(80), "clear": rnd.randrange(20)} for name in ("phones", "trunk")
        ],
    }


def write(writer: Writer, entries: Sequence[Entry]) -> None:
    """Append entries, with a checkpoint each second."""
    committed = time.monotonic()
    for start in range(0, len(entries), PART):
        writer.append(entries[start : start + PART], T0 + start * DAY_MS // len(entries))
        if (now := time.monotonic()) >= committed + 1:
            committed = now
            writer.commit()
    writer.commit()


def write_floor(lines: Sequence[bytes], path: Path) -> None:
    """Hash lines and write them."""
    file = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)
    for start in range(0, len(lines), PART):
        part = lines[start : start + PART]
        for line in part:
            hashlib.sha256(line).digest()
        os.write(file, b"\n".join(part))
    os.fsync(file)
    os.close(file)


def hash_floor(path: Path) -> None:
    """Read lines and hash them."""
    with path.open("rb") as file:
        for line in file:
            hashlib.sha256(line).digest()


def said(what: str, value: float, unit: str, floor: str, bound: float, *, least: bool = False) -> bool:
    """Print a row and return whether its limit was kept."""
    kept = value >= bound if least else value <= bound
    limit = f"{'>=' if least else '<='} {bound:,g}"
    print(f"{what:<18} {value:>12,.4g} {unit:<14} floor {floor:<14} limit {limit:<10} {'' if kept else 'EXCEEDED'}")
    return kept


def main() -> int:
    """Measure; return 1 when a limit was exceeded."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.ledger", description="what the ledger costs")
    parser.add_argument("--entries", type=int, default=1_000_000, help="(default: 1000000)")
    parser.add_argument("--directory", type=Path, help="on the disk that is meant (default: that of temporary files)")
    arguments = parser.parse_args()
    count = arguments.entries
    with tempfile.TemporaryDirectory(dir=arguments.directory) as folder:
        path = Path(folder) / "ledger"
        entries = day(count)
        writer = Writer(path, new_pem(), origin_name="legwatch/benchmark")
        writer.open(T0)
        append = measured(lambda: write(writer, entries))
        lines = (path / "00000000-20260108.jsonl").read_bytes().splitlines()
        floor = measured(lambda: write_floor(lines, Path(folder) / "floor"))
        begin = time.perf_counter()
        writer.append(entries[:1], T0 + DAY_MS)
        held_s = time.perf_counter() - begin
        writer.close()
        seal_s = time.perf_counter() - begin
        key = VerifierKey.parse(str(next(reader.entries(path))[1]["vkey"]))
        faults: list[object] = []
        check = measured(lambda: faults.extend(verify(path, [key], now_ms=T0 + 2 * DAY_MS).faults))
        hashed = measured(lambda: hash_floor(Path(folder) / "floor"))
        octets = sum(each.stat().st_size for each in path.glob("00000000-*"))
        plain = sum(map(len, lines)) / count
    million = 1_000_000 / count
    share = append.cpu_s / count * RATED
    kept = [
        said("append", count / append.cpu_s, "entries/s", f"{count / floor.cpu_s:,.0f}", APPEND_LIMIT, least=True),
        said("verify a million", check.cpu_s * million, "s", f"{hashed.cpu_s * million:.2f}", VERIFY_LIMIT_S),
        said("sealed", octets / count, "octets/entry", f"{plain:.0f} as text", SEALED_LIMIT),
        said(f"{RATED} entries/s", share, "of a core", f"{floor.cpu_s / count * RATED:.2g}", SHARE_LIMIT),
        not faults,
    ]
    print(
        f"by the clock: {count / append.wall_s:,.0f} entries/s, verified in {check.wall_s * million:.1f} s a million;"
        f" floor {count / floor.wall_s:,.0f} entries/s, {hashed.wall_s * million:.1f} s"
    )
    print(f"appending waited {held_s * 1000:.0f} ms for the seal, which took {seal_s:.1f} s beside")
    print("limits kept" if all(kept) else "a limit was exceeded")
    return 0 if all(kept) else 1


if __name__ == "__main__":
    sys.exit(main())
