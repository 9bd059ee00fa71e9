"""The ledger on a kernel that stops it, or refuses it something, at any system call; on a disk that fills or hangs."""

from __future__ import annotations

import itertools
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from sensor.ledger import reader
from sensor.ledger.entries import Entry
from sensor.ledger.keys import VerifierKey, new_pem
from sensor.ledger.layout import DAY_MS
from sensor.ledger.ledger import MAX_WAITING, SLOW_S, Ledger
from sensor.ledger.verify import verify
from sensor.ledger.writer import Writer
from tests.live.disk import Disk
from tests.live.lab import wait_for

pytestmark = pytest.mark.live

T0 = 1_767_830_400_000  # 2026-01-08 00:00 UTC
PEM = new_pem()
# Says after each checkpoint how many entries are safe; after an error it opens the ledger again, once.
RUN = f"""
import sys
from pathlib import Path
from sensor.ledger.writer import Writer

writer = Writer(Path(sys.argv[1]), sys.stdin.buffer.read(), origin_name="legwatch/test")
steps = [(1, {T0} + 1), (2, {T0} + 2), (3, {T0}), (4, {T0 + DAY_MS})]

def attempt(work):
    try:
        if not writer.is_open:
            writer.open({T0})
        return work()
    except OSError:
        writer.open({T0})
        return work() if work.__name__ == "commit" else None

def tell(size):
    print(size, flush=True)

attempt(lambda: None)
for number, at in steps:
    attempt(lambda: writer.append([{{"kind": "leg", "number": number}}], at))
    tell(attempt(writer.commit).size)
try:
    writer.close()
except OSError:
    writer.open({T0})
    writer.close()
"""
CALLS = ("write", "fsync", "renameat", "unlinkat")


class Traced(NamedTuple):
    """What came of a writer whose system call had a fault."""

    directory: Path
    safe: int  # entries that it said were
    said: str  # on standard error


def traced(folder: Path, call: str, fault: str) -> Iterator[Traced]:
    """Run a writer again and again, each time with a fault at the next system call of one kind, up to the last one."""
    calls = f"/^{call}2?$"
    for at in itertools.count(1):
        directory, trace = folder / str(at), folder / "trace"
        inject = ("strace", "-f", "-o", trace, "-e", f"trace={calls}", "-e", f"inject={calls}:{fault}:when={at}")
        done = subprocess.run(
            (*inject, sys.executable, "-B", "-c", RUN, directory),
            input=PEM,
            capture_output=True,
            timeout=60,
            check=False,
        )
        if trace.read_text().count("INJECTED") + (done.returncode < 0 or done.returncode > 128) == 0:
            assert at > 1
            return
        yield Traced(directory, max([int(line) for line in done.stdout.split()], default=0), done.stderr.decode())


def said(directory: Path, kind: str) -> list[Entry]:
    return [entry for _, entry in reader.entries(directory) if entry["kind"] == kind]


def faults(directory: Path, now_ms: int) -> list[str]:
    key = VerifierKey.parse(str(said(directory, "ledger")[0]["vkey"]))
    return [str(fault) for fault in verify(directory, [key], now_ms=now_ms).faults]


@pytest.mark.parametrize("call", CALLS)
def test_writer_that_is_killed_at_any_system_call_loses_nothing_that_was_safe(tmp_path: Path, call: str) -> None:
    for directory, safe, _ in traced(tmp_path, call, "signal=KILL"):
        writer = Writer(directory, PEM, origin_name="legwatch/test")
        recovered = writer.open(T0 + DAY_MS)
        writer.close()
        numbers = [each["number"] for each in said(directory, "leg")]
        assert numbers == list(range(1, len(numbers) + 1))
        assert writer.size >= safe
        assert len(said(directory, "recovered")) == (recovered is not None)
        assert not faults(directory, T0 + 2 * DAY_MS)


@pytest.mark.parametrize("error", ["ENOSPC", "EIO"])
@pytest.mark.parametrize("call", ["write", "fsync", "renameat"])
def test_writer_that_is_refused_any_system_call_has_every_entry_once(tmp_path: Path, call: str, error: str) -> None:
    for directory, _, complaint in traced(tmp_path, call, f"error={error}"):
        if "in tell" in complaint:  # what it could not write was that an entry is safe
            continue
        assert not complaint
        assert [each["number"] for each in said(directory, "leg")] == [1, 2, 3, 4]
        assert not faults(directory, T0 + 2 * DAY_MS)


@pytest.fixture
def ledger(disk: Disk) -> Iterator[Ledger]:
    made = Ledger(Writer(disk.place / "ledger", PEM, origin_name="legwatch/test"))
    made.start()
    wait_for(made.checkpoint, "a checkpoint")
    yield made
    made.stop(10.0)


def entry(number: int) -> Entry:
    return {"kind": "leg", "number": number, "text": "x" * 100}


def test_disk_that_is_full_is_a_problem_and_the_gap_is_said_when_there_is_room(disk: Disk, ledger: Ledger) -> None:
    disk.fill()
    for number in range(3_000):
        ledger.put(entry(number))
    wait_for(ledger.problem, "a problem")
    assert "No space left on device" in ledger.problem()
    for number in range(3_000, 3_000 + MAX_WAITING + 7):
        ledger.put({"kind": "leg", "number": number})
    disk.make_room()
    wait_for(lambda: not ledger.problem(), "room")
    ledger.stop(10.0)
    directory = disk.place / "ledger"
    lost = ledger.counters()["lost"]
    assert lost >= 7
    assert [each["number"] for each in said(directory, "leg")] == list(range(3_000 + MAX_WAITING + 7 - lost))
    assert [(each["lost"], each["why"]) for each in said(directory, "gap")] == [(lost, "disk")]
    assert not faults(directory, time.time_ns() // 1_000_000)


def test_disk_that_hangs_is_a_problem_and_nobody_waits_for_it(disk: Disk, ledger: Ledger) -> None:
    disk.hang()
    try:
        begin = time.monotonic()
        for number in range(1_000):
            ledger.put(entry(number))
        assert time.monotonic() - begin < 0.5
        wait_for(ledger.problem, "a problem", seconds=SLOW_S + 5)
        assert "takes nothing for more than 10 s" in ledger.problem()
    finally:
        disk.go_on()
    wait_for(lambda: not ledger.problem(), "the disk")
    ledger.stop(10.0)
    assert [each["number"] for each in said(disk.place / "ledger", "leg")] == list(range(1_000))
    assert not said(disk.place / "ledger", "gap")
