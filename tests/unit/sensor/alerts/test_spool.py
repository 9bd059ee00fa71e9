"""The spool: first in, first out, bounded, private, and there again after a restart or a crash."""

from __future__ import annotations

import sqlite3
import stat
from pathlib import Path

import pytest

from sensor.alerts.spool import Spool
from tests.unit.sensor.alerts.samples import numbered

MIB = 1 << 20


def ids(spool: Spool, count: int = 100) -> list[int]:
    """The numbers of the first events."""
    return [int(event["id"], 16) for event in spool.head(count)]


def filled(path: Path, *numbers: int) -> Spool:
    spool = Spool(path, MIB)
    assert spool.append([numbered(n) for n in numbers]) == len(numbers)
    return spool


def test_events_come_out_as_they_went_in_in_their_order(tmp_path: Path) -> None:
    spool = filled(tmp_path / "s.db", 3, 1, 2)
    assert spool.head(1) == [numbered(3)]
    assert ids(spool) == [3, 1, 2]
    spool.remove(2)
    assert (ids(spool), len(spool)) == ([2], 1)
    spool.close()


def test_spool_opened_again_has_what_was_left(tmp_path: Path) -> None:
    spool = filled(tmp_path / "s.db", 1, 2, 3)
    spool.head(1)
    spool.remove(1)
    spool.close()
    again = Spool(tmp_path / "s.db", MIB)
    assert (ids(again), len(again), again.resets) == ([2, 3], 2, 0)
    again.close()


def test_spool_file_is_its_owners_alone_whatever_it_was(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    path.touch(0o644)
    spool = filled(path, 1)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    spool.close()


def test_spool_file_that_is_a_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / "s.db").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="symbolic"):
        Spool(tmp_path / "s.db", MIB)


def test_spool_that_is_full_takes_the_first_and_says_how_many(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "s.db", 64 * 1024)
    events = [numbered(n) for n in range(500)]
    stored = spool.append(events)
    assert 20 < stored < 100
    assert spool.append(events[:1]) == 0
    assert (tmp_path / "s.db").stat().st_size <= 64 * 1024
    assert ids(spool, 500) == list(range(stored))
    spool.remove(10)
    assert 0 < spool.append(events[:10]) <= 10
    assert (tmp_path / "s.db").stat().st_size <= 64 * 1024
    spool.close()


@pytest.mark.parametrize("garbage", [b"garbage" * 100, b"SQLite format 3\0" + bytes(4000)], ids=["text", "header"])
def test_file_that_is_no_spool_is_moved_aside_and_counted(garbage: bytes, tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    path.write_bytes(garbage)
    spool = filled(path, 1)
    assert (spool.resets, ids(spool)) == (1, [1])
    assert (tmp_path / "s.db.corrupt").read_bytes() == garbage
    spool.close()


def test_spool_of_a_later_version_is_moved_aside(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "s.db") as db:
        db.execute("PRAGMA user_version = 99")
    db.close()
    spool = Spool(tmp_path / "s.db", MIB)
    assert spool.resets == 1
    spool.close()


def test_spool_with_a_row_that_is_no_event_is_moved_aside(tmp_path: Path) -> None:
    filled(tmp_path / "s.db", 1, 2).close()
    with sqlite3.connect(tmp_path / "s.db") as db:
        db.execute("UPDATE events SET event = '{' WHERE seq = 2")
    db.close()
    spool = Spool(tmp_path / "s.db", MIB)
    assert (spool.head(10), spool.resets, spool.lost, len(spool)) == ([], 1, 2, 0)
    assert spool.append([numbered(3)]) == 1
    spool.close()


def test_spool_that_two_processes_want_is_the_firsts(tmp_path: Path) -> None:
    spool = filled(tmp_path / "s.db", 1)
    with pytest.raises(OSError, match="locked"):
        Spool(tmp_path / "s.db", MIB)
    assert ids(spool) == [1]
    spool.close()


def test_spool_where_there_is_no_folder_is_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        Spool(tmp_path / "none" / "s.db", MIB)


def test_spool_that_is_closed_has_no_room(tmp_path: Path) -> None:
    spool = filled(tmp_path / "s.db", 1)
    spool.close()
    assert (spool.append([numbered(2)]), spool.head(1)) == (0, [])
    spool.remove(1)


def test_spool_on_a_disk_that_fails_to_roll_back_has_no_room_and_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool = filled(tmp_path / "s.db", 1)
    execute = spool._execute

    def failing(statement: str, *values: object) -> list[tuple[object, ...]]:
        if statement in {"COMMIT", "ROLLBACK"}:
            raise OSError(5, "Input/output error")
        return execute(statement, *values)

    with monkeypatch.context() as patch:
        patch.setattr(spool, "_execute", failing)
        assert spool.append([numbered(2)]) == 0
        with pytest.raises(OSError, match="Input/output"):
            spool.head(9)
    assert (ids(spool), len(spool)) == ([1], 1)
    assert spool.append([numbered(3)]) == 1
    assert (ids(spool), len(spool)) == ([1, 3], 2)
    spool.close()
