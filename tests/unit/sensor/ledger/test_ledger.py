"""The thread that writes: nobody waits for it, and what it could not take is said."""

import errno
import itertools
import os
import resource
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sensor.ledger import reader
from sensor.ledger.entries import Entry
from sensor.ledger.keys import VerifierKey, new_pem
from sensor.ledger.layout import DAY_MS, Directory
from sensor.ledger.ledger import MAX_WAITING, Keeping, Ledger
from sensor.ledger.verify import verify
from sensor.ledger.writer import Writer

PEM = new_pem()


def entry(number: int) -> Entry:
    return {"kind": "leg", "number": number}


def make(directory: Path, keeping: Keeping | None = None, now_ms: Callable[[], int] | None = None) -> Ledger:
    writer = Writer(directory, PEM, origin_name="legwatch/test")
    return Ledger(writer, keeping) if now_ms is None else Ledger(writer, keeping, now_ms=now_ms)


def said(directory: Path, kind: str) -> list[Entry]:
    return [entry for _, entry in reader.entries(directory) if entry["kind"] == kind]


def faults(directory: Path) -> list[str]:
    key = VerifierKey.parse(str(said(directory, "ledger")[0]["vkey"]))
    return [str(fault) for fault in verify(directory, [key], now_ms=time.time_ns() // 1_000_000).faults]


def wait(what: Callable[[], object], seconds: float = 10.0) -> None:
    until = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < until
        time.sleep(0.02)


def test_entry_that_is_put_is_signed_within_a_second(tmp_path: Path) -> None:
    ledger = make(tmp_path)
    ledger.start()
    wait(ledger.checkpoint)
    for number in range(3):
        begin, before = time.monotonic(), ledger.checkpoint()
        ledger.put(entry(number))
        while ledger.checkpoint() is before:
            assert time.monotonic() - begin < 1.0
            time.sleep(0.01)
        assert not faults(tmp_path)
    ledger.stop(5.0)
    assert ledger.counters() == {
        "entries": 3,
        "lost": 0,
        "octets": ledger.counters()["octets"],
        "commits": 3,
        "errors": 0,
    }
    assert ledger.counters()["octets"] == (next(tmp_path.glob("*.jsonl"))).stat().st_size


def test_entries_of_many_threads_are_all_there_in_the_order_of_each(tmp_path: Path) -> None:
    ledger = make(tmp_path)
    ledger.start()

    def put(thread: int) -> None:
        for number in range(2_000):
            ledger.put({"kind": "leg", "thread": thread, "number": number})

    threads = [threading.Thread(target=put, args=(each,)) for each in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    ledger.stop(10.0)
    for thread in range(4):
        assert [each["number"] for each in said(tmp_path, "leg") if each["thread"] == thread] == list(range(2_000))
    assert not faults(tmp_path)


@pytest.fixture
def full() -> Iterator[Callable[[int | None], None]]:
    """Let no file of this process grow beyond a size: what the kernel refuses then is like a full disk."""
    former = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)

    def limit(octets: int | None) -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft if octets is None else octets, hard))

    yield limit
    limit(None)
    signal.signal(signal.SIGXFSZ, former)


def test_disk_that_takes_nothing_is_a_problem_until_it_does_and_the_gap_is_said(
    tmp_path: Path, full: Callable[[int | None], None]
) -> None:
    ledger = make(tmp_path)
    ledger.start()
    wait(ledger.checkpoint)
    full(1_000)
    for number in range(50):
        ledger.put(entry(number))
    wait(ledger.problem)
    assert ledger.problem().startswith(f"{tmp_path} cannot be written: ")
    for number in range(50, 50 + MAX_WAITING + 10):
        ledger.put(entry(number))
    assert ledger.counters()["lost"] == 10
    full(None)
    wait(lambda: not ledger.problem())
    ledger.stop(10.0)
    assert [each["number"] for each in said(tmp_path, "leg")] == list(range(50 + MAX_WAITING))
    (gap,) = said(tmp_path, "gap")
    assert (gap["lost"], gap["why"]) == (10, "disk")
    assert not said(tmp_path, "recovered")
    assert not faults(tmp_path)
    assert ledger.counters()["errors"] >= 1


def test_directory_that_is_written_by_another_sensor_is_a_problem_until_that_ends(tmp_path: Path) -> None:
    other = Writer(tmp_path, PEM, origin_name="legwatch/test")
    other.open(time.time_ns() // 1_000_000)
    ledger = make(tmp_path)
    ledger.put(entry(1))
    ledger.start()
    wait(ledger.problem)
    assert "is written by another sensor" in ledger.problem()
    other.close()
    wait(lambda: not ledger.problem())
    ledger.stop(5.0)
    assert len(said(tmp_path, "leg")) == 1


def test_entry_that_cannot_be_one_is_a_gap_and_those_beside_it_are_kept(tmp_path: Path) -> None:
    ledger = make(tmp_path)
    for each in (entry(1), {"kind": "leg", "number": 2.5}, entry(3)):
        ledger.put(each)  # type: ignore[arg-type]
    ledger.start()
    ledger.stop(5.0)
    ledger_says = [(each["kind"], each.get("number"), each.get("why")) for _, each in reader.entries(tmp_path)]
    assert ledger_says == [("ledger", None, None), ("leg", 1, None), ("leg", 3, None), ("gap", None, "refused")]


@pytest.mark.parametrize("is_clock_set", [True, False])
def test_segments_go_when_their_time_is_over_and_the_clock_can_be_believed(tmp_path: Path, is_clock_set: bool) -> None:
    writer = Writer(tmp_path, PEM, origin_name="legwatch/test")
    today = time.time_ns() // 1_000_000
    writer.open(today - 5 * DAY_MS)
    for day in range(5):
        writer.append([entry(day)], today - (5 - day) * DAY_MS)
    writer.close()
    key = VerifierKey.parse(str(said(tmp_path, "ledger")[0]["vkey"]))
    ledger = make(tmp_path, Keeping(days=2, is_clock_set=lambda: is_clock_set))
    ledger.start()
    wait(ledger.budget)
    ledger.stop(5.0)
    gone = [each["first"] for each in said(tmp_path, "deleted")]
    assert gone == ([0, 2, 3] if is_clock_set else [])
    assert [each["number"] for each in said(tmp_path, "leg")] == list(range(3 if is_clock_set else 0, 5))
    result = verify(tmp_path, [key], now_ms=today)
    assert not result.faults
    assert result.first == (4 if is_clock_set else 0)


def test_room_that_will_not_do_is_forecast_in_days(tmp_path: Path) -> None:
    writer = Writer(tmp_path, PEM, origin_name="legwatch/test")
    today = time.time_ns() // 1_000_000
    writer.open(today - 3 * DAY_MS)
    for day, number in itertools.product(range(4), range(50)):
        writer.append([entry(number)], today - (3 - day) * DAY_MS)
    writer.close()
    for keeping, bounded in (
        (Keeping(days=2000, max_octets=100_000), True),
        (Keeping(days=4, max_octets=100_000), False),
    ):
        ledger = make(tmp_path, keeping)
        ledger.start()
        wait(ledger.budget)
        ledger.stop(5.0)
        budget = ledger.budget()
        assert budget is not None
        assert budget.a_day > 0
        assert budget.full_in_days == (budget.room // budget.a_day if bounded else None)
        assert budget.room == 100_000 - budget.octets


def test_ledger_that_is_taken_away_is_noticed_and_none_is_begun_in_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sensor.ledger.ledger.TIDY_S", 0.0)
    directory = tmp_path / "ledger"
    ledger = make(directory)
    ledger.start()
    wait(ledger.checkpoint)
    directory.rename(tmp_path / "elsewhere")
    wait(ledger.problem)
    assert "was taken away" in ledger.problem()
    wait(lambda: "lost its checkpoint" in ledger.problem())
    assert ledger.stop(5.0) == 0


def test_defect_in_the_thread_is_said_and_does_not_end_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sensor.ledger.ledger.RETRY_S", 0.1)
    ledger = make(tmp_path)
    with monkeypatch.context() as broken:
        broken.setattr(Writer, "commit", lambda _: os.environ["NOTHING_HAS_THIS_NAME"])
        ledger.start()
        wait(ledger.problem)
        assert ledger.problem().endswith("KeyError in the sensor")
    ledger.put(entry(1))
    wait(lambda: not ledger.problem())
    assert ledger.stop(5.0) == 0
    assert len(said(tmp_path, "leg")) == 1


def test_what_the_disk_does_not_take_by_the_end_is_counted(tmp_path: Path) -> None:
    other = Writer(tmp_path, PEM, origin_name="legwatch/test")
    other.open(time.time_ns() // 1_000_000)  # has the directory
    ledger = make(tmp_path)
    ledger.start()
    for number in range(MAX_WAITING + 3):
        ledger.put(entry(number))
    assert ledger.stop(5.0) == MAX_WAITING + 3
    other.close()


def test_entries_wait_and_are_counted_when_only_the_checkpoint_is_not_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are not written anew with each attempt, and more with each."""
    monkeypatch.setattr("sensor.ledger.ledger.RETRY_S", 0.01)
    ledger = make(tmp_path)
    ledger.start()
    ledger.put(entry(0))
    wait(lambda: ledger.counters()["commits"])

    def refuse(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as broken:
        broken.setattr(Directory, "put", refuse)
        for number in range(1, 100):
            ledger.put(entry(number))
        wait(ledger.problem)
        taken = ledger.counters()["entries"]
        for number in range(MAX_WAITING + 7):
            ledger.put(entry(number))
        wait(lambda: ledger.counters()["errors"] > 10)
        assert ledger.counters()["entries"] == taken
        assert ledger.counters()["lost"] > 0
        octets = ledger.counters()["octets"]
        errors = ledger.counters()["errors"]
        wait(lambda: ledger.counters()["errors"] > errors + 5)
        assert ledger.counters()["octets"] == octets
    assert ledger.stop(20.0) == 0


def test_all_that_waits_at_the_end_is_written_while_there_is_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sensor.ledger.ledger.GROUP_S", 0.001)  # of one step it would be a part
    monkeypatch.setattr("sensor.ledger.ledger.BATCH", 16)
    ledger = make(tmp_path)
    ledger.start()
    wait(ledger.checkpoint)
    for number in range(5000):
        ledger.put(entry(number))
    assert ledger.stop(20.0) == 0
    assert len(said(tmp_path, "leg")) == 5000


def test_segment_that_cannot_be_deleted_is_told_once_and_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sensor.ledger.ledger.TIDY_S", 0.0)
    writer = Writer(tmp_path, PEM, origin_name="legwatch/test")
    today = time.time_ns() // 1_000_000
    for day in (3, 0):
        writer.open(today - day * DAY_MS)
        writer.append([entry(day)], today - day * DAY_MS)
        writer.close()

    def refuse(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr("sensor.ledger.retention._remove", refuse)
    ledger = make(tmp_path, Keeping(days=1))
    ledger.start()
    wait(ledger.untidy)
    assert ledger.untidy() == "old segments cannot be deleted or compressed: Operation not permitted"
    time.sleep(2.0)
    ledger.stop(5.0)
    assert len(said(tmp_path, "deleted")) == 1
