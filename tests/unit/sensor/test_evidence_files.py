"""Capture files in a row: what is in them, how many are kept, and that a failure leaves them whole."""

from __future__ import annotations

import errno
import os
import stat
import time
from pathlib import Path

import dpkt
import pytest

from sensor.evidence.files import FILE_HEADER, NAME, RECORD_HEADER, EvidenceFiles

T0 = 1_770_000_000_123_456_789
RECORD = RECORD_HEADER.size + 100


def some(folder: Path, *, records: int = 1000, files: int = 3) -> EvidenceFiles:
    return EvidenceFiles(str(folder), max_octets=FILE_HEADER.size + records * RECORD, max_files=files, snaplen=256)


def write(files: EvidenceFiles, *numbers: int, linktype: int = 1) -> None:
    for number in numbers:
        files.write(T0 + number, bytes([number]) * 100, 1000, linktype)


def read(path: Path) -> list[int]:
    """Return which packets a file has."""
    with path.open("rb") as file:
        return [octets[0] for _, octets in dpkt.pcap.Reader(file)]


def kept(folder: Path) -> list[list[int]]:
    """Return the packets of each file, the oldest file first."""
    return sorted(read(path) for path in folder.iterdir())


@pytest.fixture
def files(tmp_path: Path) -> EvidenceFiles:
    return some(tmp_path, records=2)


def test_nothing_written_leaves_no_file(files: EvidenceFiles, tmp_path: Path) -> None:
    files.close()
    assert not list(tmp_path.iterdir())


def test_file_is_for_its_owner_and_named_by_its_time(files: EvidenceFiles, tmp_path: Path) -> None:
    write(files, 1)
    (path,) = tmp_path.iterdir()
    found = NAME.fullmatch(path.name)
    assert found
    stamp = time.strptime(found[1], "%Y%m%dT%H%M%SZ")
    assert abs(time.time() - (time.mktime(stamp) - time.timezone)) < 60
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    files.close()


def test_record_has_its_time_and_its_length_on_the_wire(files: EvidenceFiles, tmp_path: Path) -> None:
    write(files, 7)
    files.close()
    (path,) = tmp_path.iterdir()
    raw = path.read_bytes()
    assert FILE_HEADER.unpack_from(raw) == (0xA1B23C4D, 2, 4, 0, 0, 256, 1)
    assert RECORD_HEADER.unpack_from(raw, FILE_HEADER.size) == (1_770_000_000, 123_456_796, 100, 1000)
    assert raw[FILE_HEADER.size + RECORD_HEADER.size :] == b"\7" * 100


def test_full_file_is_followed_by_another_and_the_oldest_makes_room(files: EvidenceFiles, tmp_path: Path) -> None:
    write(files, *range(9))
    files.close()
    assert kept(tmp_path) == [[4, 5], [6, 7], [8]]
    assert files.opened == 5


def test_files_of_an_earlier_run_count_and_others_are_left_alone(tmp_path: Path) -> None:
    old = [f"legwatch-evidence-20200101T000000Z-{number}.pcap" for number in (9, 10, 11)]
    others = ["legwatch-evidence-2020-1.pcap", "notes.txt"]
    for name in (*old, *others):
        (tmp_path / name).touch()
    files = some(tmp_path)
    write(files, 1)
    files.close()
    left = {path.name for path in tmp_path.iterdir()}
    assert left >= {*others, *old[1:]}
    assert old[0] not in left


def test_other_link_type_has_a_file_of_its_own(files: EvidenceFiles, tmp_path: Path) -> None:
    write(files, 1)
    write(files, 2, linktype=101)
    files.close()
    assert kept(tmp_path) == [[1], [2]]


def test_file_that_somebody_took_away_is_followed_by_another(files: EvidenceFiles, tmp_path: Path) -> None:
    write(files, 1)
    next(tmp_path.iterdir()).unlink()
    write(files, 2)
    files.close()
    assert kept(tmp_path) == [[2]]


def test_link_in_the_place_of_a_file_is_not_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever can write to the directory does not make the sensor write elsewhere."""
    monkeypatch.setattr(time, "strftime", lambda *_: "20200101T000000Z")
    target = tmp_path / "elsewhere"
    (tmp_path / "legwatch-evidence-20200101T000000Z-1.pcap").symlink_to(target)
    files = some(tmp_path)
    write(files, 1)
    files.close()
    assert not target.exists()
    assert read(tmp_path / "legwatch-evidence-20200101T000000Z-2.pcap") == [1]


def test_directory_that_is_not_there_is_an_error_until_it_is(tmp_path: Path) -> None:
    files = some(tmp_path / "later")
    with pytest.raises(FileNotFoundError):
        write(files, 1)
    (tmp_path / "later").mkdir()
    write(files, 2)
    files.close()
    assert kept(tmp_path / "later") == [[2]]


class Disk:
    """Stands in for pwrite on a disk with room for so many octets."""

    def __init__(self, room: int, error: int = 0) -> None:
        self.room = room
        self.error = error
        self.write = os.pwrite

    def __call__(self, file: int, octets: bytes, at: int) -> int:
        if not self.room and self.error:
            raise OSError(self.error, os.strerror(self.error))
        written = self.write(file, octets[: self.room], at)
        self.room -= written
        return written


@pytest.mark.parametrize("error", [0, errno.ENOSPC, errno.EDQUOT])
def test_full_disk_leaves_the_file_whole_and_it_goes_on_when_there_is_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: int
) -> None:
    files = some(tmp_path)
    disk = Disk(FILE_HEADER.size + RECORD + 50 * (not error), error)
    monkeypatch.setattr(os, "pwrite", disk)
    write(files, 1)
    for number in (2, 3, 4, 5, 6):
        with pytest.raises(OSError, match=r"No space|quota"):
            write(files, number)
    assert kept(tmp_path) == [[1]]
    disk.room = 1 << 20
    write(files, 7)
    files.close()
    assert kept(tmp_path) == [[1, 7]]


def test_disk_without_room_for_a_header_keeps_no_empty_file_and_no_evidence_is_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = some(tmp_path, records=1)
    disk = Disk(1 << 20)
    monkeypatch.setattr(os, "pwrite", disk)
    write(files, 1, 2)
    disk.room = 10
    for _ in range(5):
        with pytest.raises(OSError, match="No space"):
            write(files, 3)
        disk.room = 10
    assert kept(tmp_path) == [[1], [2]]


def test_broken_disk_is_tried_with_another_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = some(tmp_path)
    disk = Disk(FILE_HEADER.size + RECORD, errno.EIO)
    monkeypatch.setattr(os, "pwrite", disk)
    write(files, 1)
    with pytest.raises(OSError, match="Input/output"):
        write(files, 2)
    disk.room = 1 << 20
    write(files, 3)
    files.close()
    assert kept(tmp_path) == [[1], [3]]
