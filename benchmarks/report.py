"""How long a report of a hospital's month takes: ``python -m benchmarks.report``.

A ledger of 100,000 legs on 5,000 paths, each tenth in clear with a finding of its own, and a month of coverage by the
minute. The exit status is 0 when the whole command, from the ledger to the file, takes 15 s at most in every form.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from sensor.ledger.entries import Entry
from sensor.ledger.keys import new_pem
from sensor.ledger.writer import Writer

LIMIT_S = 15.0
FORMS = ("pdf", "html", "json", "csv")
PHONES, DAYS = 5000, 30
DAY_MS, MINUTE_MS = 86_400_000, 60_000
START_MS = 1_767_225_600_000  # 2026-01-01T00:00:00Z
BATCH = 1000


def main() -> int:
    """Make the ledger, then a report in each form."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--legs", type=int, default=100_000)
    legs = arguments.parse_args().legs
    slowest = 0.0
    with tempfile.TemporaryDirectory() as folder:
        ledger = Path(folder) / "ledger"
        write(ledger, legs)
        for form in FORMS:
            target = Path(folder) / f"report.{form}"
            began = time.perf_counter()
            subprocess.run(
                [
                    *(sys.executable, "-m", "sensor", "report", "--from", "2026-01-01", "--to", "2026-01-30"),
                    *("--ledger", str(ledger), "-o", str(target)),
                ],
                check=True,
                stdout=subprocess.DEVNULL,
            )
            took = time.perf_counter() - began
            slowest = max(slowest, took)
            print(f"{legs:,} legs, {form}: {took:.1f} s, {target.stat().st_size / 1e6:.1f} MB")
    return int(slowest > LIMIT_S)


def write(directory: Path, legs: int) -> None:
    """Write a ledger of a month."""
    writer = Writer(directory, new_pem(), origin_name="legwatch/bench")
    writer.open(START_MS)
    for day in range(DAYS):
        at = START_MS + day * DAY_MS
        entries = list(of_day(day, legs // DAYS + (day < legs % DAYS), at))
        for first in range(0, len(entries), BATCH):
            writer.append(entries[first : first + BATCH], at + first * DAY_MS // len(entries))
    writer.close()


def of_day(day: int, legs: int, at: int) -> Iterator[Entry]:
    """What a day brings."""
    if not day:
        yield {
            "kind": "start",
            "filter": "",
            "version": "0.1.0",
            "site": "bench",
            "sensor": "bench",
            "interface": "span0",
            "configuration": None,
            "policy": "00" * 32,
        }
        yield policy()
    for minute in range(DAY_MS // MINUTE_MS):
        yield coverage(at + minute * MINUTE_MS)
    for n in range(legs):
        phone = (n * 17 + day * 131) % PHONES
        yield from leg(phone, at + n * (DAY_MS // legs))


def policy() -> Entry:
    """The policy of the month."""
    return {
        "kind": "policy",
        "segments": [
            {
                "name": f"ward-{n}",
                "kind": "voice",
                "ranges": [f"10.{n}.0.0/16"],
                "vlans": [n + 1],
                "media": "encrypted",
                "signalling": "encrypted",
                "isolated": False,
            }
            for n in range(20)
        ],
        "hosts": [],
        "vendors": [],
        "waivers": [],
        "attestations": [],
    }


def coverage(at: int) -> Entry:
    """A minute of sight."""
    return {
        "kind": "coverage",
        "interface": "span0",
        "from": at,
        "to": at + MINUTE_MS,
        "state": "seen",
        "reasons": [],
        "received": 60_000,
        "classified": 60_000,
        "malformed": 0,
        "shed": 0,
        "kernel_drops": 0,
        "gaps": 0,
        "duplicates": 0,
        "one_way": 0,
        "segments": [],
    }


def leg(phone: int, at: int) -> Iterator[Entry]:
    """A leg, and a finding where it is in clear."""
    ward, clear = phone % 20, phone % 10 == 0
    address = f"10.{ward}.{phone // 250}.{phone % 250}"
    yield {
        "kind": "leg",
        "a": address,
        "b": "10.0.0.10",
        "media": "audio",
        "signalling": "tls",
        "signalled": "srtp-sdes",
        "observed": "clear" if clear else "encrypted",
        "comparison": "agree",
        "key_exchange": "sdes",
        "assessed": 1000,
        "recording": False,
        "call": f"call-{at:012x}",
        "segments": [f"ward-{ward}", "ward-0"],
        "first": at,
        "last": at + MINUTE_MS,
    }
    if clear:
        yield {
            "kind": "finding",
            "step": "opened",
            "id": f"{phone:016x}",
            "code": "media-clear",
            "severity": "critical",
            "state": "open",
            "segments": [f"ward-{ward}", "ward-0"],
            "subject": {"kind": "leg", "a": "10.0.0.10", "b": address, "name": ""},
            "evidence": ["PCMU payload structure in 3 packets (0.04 s): probability under encryption below 10^-277"],
            "controls": ["164.312(e)(1)", "164.312(e)(2)(ii)"],
            "count": 1,
            "waived_by": None,
            "first": at,
            "last": at,
            "since": None,
        }


if __name__ == "__main__":
    sys.exit(main())
