"""What retention deletes: what was kept for so long by the sensor's own word, and nothing else."""

import shutil
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
import zstandard

from sensor.ledger import reader
from sensor.ledger.canonical import encode
from sensor.ledger.entries import Entry
from sensor.ledger.keys import SigningKey, new_pem
from sensor.ledger.layout import DAY_MS, Directory, LedgerError
from sensor.ledger.retention import Retention
from sensor.ledger.sealing import compress_sealed
from sensor.ledger.verify import verify
from sensor.ledger.writer import Writer

T0 = 1_767_830_400_000  # 2026-01-08 00:00 UTC
PEM = new_pem()
KEEP_DAYS = 30
LEG: Entry = {"kind": "leg", "number": 1}
UNKEPT: Entry = {"kind": "clock", "back": 0, "synchronised": False}
KEPT: Entry = {"kind": "clock", "back": 0, "synchronised": True}


def write(directory: Path, days: Sequence[tuple[int, Entry]]) -> None:
    """Write a ledger with an entry on each day, which count from the first."""
    writer = Writer(directory, PEM, origin_name="legwatch/test")
    writer.open(T0 + days[0][0] * DAY_MS)
    for day, entry in days:
        writer.append([entry, LEG], T0 + day * DAY_MS)
    writer.close()


def expire(directory: Path, day: int) -> int:
    writer = Writer(directory, PEM, origin_name="legwatch/test")
    writer.open(T0 + day * DAY_MS)
    try:
        return Retention(writer, KEEP_DAYS).expire(T0 + day * DAY_MS)
    finally:
        writer.close()


def stems(directory: Path) -> list[str]:
    return [each.stem for each in reader.segments(directory)]


def faults(directory: Path) -> list[str]:
    origin = (directory / "checkpoint").read_text().split("\n")[0]
    key = SigningKey.from_pem(PEM, origin).verifier
    return [str(fault) for fault in verify(directory, [key], now_ms=T0 + 1000 * DAY_MS).faults]


def test_segment_goes_when_its_last_moment_was_kept_so_long(tmp_path: Path) -> None:
    write(tmp_path, [(0, LEG), (1, LEG), (2, LEG)])
    assert expire(tmp_path, KEEP_DAYS) == 0
    assert expire(tmp_path, KEEP_DAYS + 2) == 2
    assert stems(tmp_path)[0] == "00000002-20260110"
    assert not faults(tmp_path)


def test_segment_that_was_renamed_to_an_older_day_stays_and_that_is_said(tmp_path: Path) -> None:
    """Otherwise whoever can rename a file would have the sensor delete it, and sign that it was its time."""
    write(tmp_path, [(0, LEG), (1, LEG), (2, LEG)])
    for path in list(tmp_path.glob("00000000-*")):
        path.rename(tmp_path / path.name.replace("20260108", "20150101"))
    with pytest.raises(LedgerError, match="00000000-20150101 is not what its name and its note say"):
        expire(tmp_path, 3)
    assert stems(tmp_path)[0] == "00000000-20150101"
    assert "deleted" not in {entry["kind"] for _, entry in reader.entries(tmp_path)}


@pytest.mark.parametrize("replaced", [b"", b"{}\n", encode({**LEG, "at": T0 - 4000 * DAY_MS}) + b"\n", b"\xff\n"])
def test_segment_whose_entries_are_not_its_notes_stays(tmp_path: Path, replaced: bytes) -> None:
    write(tmp_path, [(0, LEG), (1, LEG)])
    (tmp_path / "00000000-20260108.jsonl.zst").unlink()
    (tmp_path / "00000000-20260108.jsonl").write_bytes(replaced)
    with pytest.raises(LedgerError, match="00000000-20260108 is not what its name and its note say"):
        expire(tmp_path, 100)


def test_segment_that_has_more_than_its_note_is_read_no_further(tmp_path: Path) -> None:
    """A file of some hundred octets unpacks to as many lines as anybody likes."""
    write(tmp_path, [(0, LEG), (1, LEG)])
    packed = tmp_path / "00000000-20260108.jsonl.zst"
    whole = zstandard.ZstdDecompressor().decompress(packed.read_bytes())
    packed.write_bytes(zstandard.ZstdCompressor().compress(whole + b"\n" * (64 << 20)))
    before = time.process_time()
    with pytest.raises(LedgerError, match="00000000-20260108 is not what its name and its note say"):
        expire(tmp_path, 100)
    assert time.process_time() - before < 5.0


def test_segment_of_a_clock_that_nobody_kept_is_as_old_as_the_next_one_of_a_clock_that_was(tmp_path: Path) -> None:
    """Its name may be of any day: a machine without a battery begins in 1970."""
    write(tmp_path, [(-400, UNKEPT), (-399, UNKEPT), (0, KEPT), (1, LEG)])
    assert expire(tmp_path, 2) == 0
    assert expire(tmp_path, KEEP_DAYS) == 0
    assert expire(tmp_path, KEEP_DAYS + 1) == 3
    assert not faults(tmp_path)


def test_deleted_entry_that_nobody_signed_is_cut(tmp_path: Path) -> None:
    """Whoever writes to the file of a stopped sensor would have it sign that the segments before were to go."""
    write(tmp_path, [(0, LEG), (1, LEG)])
    noted = (tmp_path / "00000000-20260108.note").read_text().split("\n")
    deleted: Entry = {
        "kind": "deleted", "segment": "00000000-20260108", "first": 0, "size": int(noted[1]), "root": noted[2],
        "why": "kept for 30 days", "at": T0 + DAY_MS,
    }  # fmt: skip
    line = encode(deleted) + b"\n"
    with (tmp_path / "00000001-20260109.jsonl").open("ab") as file:
        file.write(line)
    writer = Writer(tmp_path, PEM, origin_name="legwatch/test")
    assert writer.open(T0 + DAY_MS) == (len(line), 0)
    writer.close()
    assert "deleted" not in {entry["kind"] for _, entry in reader.entries(tmp_path)}


@pytest.mark.parametrize("damaged", ["compressed", "text"])
def test_text_and_the_compressed_file_beside_it_stay_when_they_differ(tmp_path: Path, damaged: str) -> None:
    """Only one of them is what was signed: a verifier says which, and whoever has only the other has nothing."""
    write(tmp_path, [(0, LEG), (1, LEG)])
    packed, text = tmp_path / "00000000-20260108.jsonl.zst", tmp_path / "00000000-20260108.jsonl"
    (segment,) = [each for each in reader.segments(tmp_path) if each.sealed]
    with Directory(tmp_path) as place:
        text.write_bytes(b"".join(line + b"\n" for line in reader.lines(place, segment)))
    changed = packed if damaged == "compressed" else text
    changed.write_bytes(changed.read_bytes()[:-1])
    before = packed.read_bytes(), text.read_bytes()
    with pytest.raises(LedgerError, match=r"zst does not hold the text beside it"):
        compress_sealed(tmp_path)
    assert (packed.read_bytes(), text.read_bytes()) == before


def test_text_goes_when_the_compressed_file_beside_it_holds_it(tmp_path: Path) -> None:
    write(tmp_path, [(0, LEG), (1, LEG)])
    (segment,) = [each for each in reader.segments(tmp_path) if each.sealed]
    text = tmp_path / segment.file(".jsonl")
    with Directory(tmp_path) as place:
        text.write_bytes(b"".join(line + b"\n" for line in reader.lines(place, segment)))
    compress_sealed(tmp_path)
    assert not text.exists()
    assert not faults(tmp_path)


@pytest.mark.parametrize("jump_ms", [10_001, 3_600_000])
def test_clock_that_jumps_leaves_no_tail_that_is_refused(tmp_path: Path, jump_ms: int) -> None:
    write(tmp_path / "ledger", [(0, LEG)])
    writer = Writer(tmp_path / "ledger", PEM, origin_name="legwatch/test")
    writer.open(T0 + 1)
    for at in (T0 + 2, T0 + 2 + jump_ms, T0 + 3, T0 + 3 + jump_ms):
        writer.append([LEG], at)
    shutil.copytree(tmp_path / "ledger", tmp_path / "power")  # goes here
    writer.close()
    after = Writer(tmp_path / "power", PEM, origin_name="legwatch/test")
    after.open(T0 + 4 + jump_ms)
    after.close()
    assert not faults(tmp_path / "power")
