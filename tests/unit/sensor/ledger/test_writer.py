"""The one writer of a ledger: what it writes, what it mends and what it does not write on top of."""

import errno
import itertools
import json
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import zstandard

from sensor.ledger import reader
from sensor.ledger.entries import Entry
from sensor.ledger.keys import KeyFormatError, VerifierKey, new_pem
from sensor.ledger.layout import DAY_MS, LedgerError
from sensor.ledger.verify import verify
from sensor.ledger.writer import Writer

T0 = 1_767_830_400_000  # 2026-01-08 00:00 UTC
PEM, SUCCESSOR = new_pem(), new_pem()
FIRST = "00000000-20260108"


def open_writer(directory: Path, now_ms: int = T0, key: bytes = PEM, former: bytes | None = None) -> Writer:
    writer = Writer(directory, key, origin_name="legwatch/test", former=former)
    writer.open(now_ms)
    return writer


def legs(*numbers: int) -> list[Entry]:
    return [{"kind": "leg", "number": number} for number in numbers]


def said(directory: Path, *kinds: str) -> list[Entry]:
    return [entry for _, entry in reader.entries(directory) if not kinds or entry["kind"] in kinds]


def numbers(directory: Path) -> list[object]:
    return [entry["number"] for entry in said(directory, "leg")]


def faults(directory: Path, now_ms: int = T0 + 9 * DAY_MS) -> list[str]:
    key = VerifierKey.parse(str(said(directory, "ledger")[0]["vkey"]))
    return [str(fault) for fault in verify(directory, [key], now_ms=now_ms).faults]


@pytest.fixture
def made(tmp_path: Path) -> Path:
    """A ledger of two days, at rest."""
    writer = open_writer(tmp_path / "ledger")
    writer.append(legs(1, 2, 3), T0 + 1)
    writer.append(legs(4, 5), T0 + DAY_MS)
    writer.close()
    return tmp_path / "ledger"


OPEN = "00000001-20260109.jsonl"


def test_new_ledger_says_who_signs_it_and_can_be_read_by_the_group(tmp_path: Path) -> None:
    os.umask(0o077)
    try:
        open_writer(tmp_path / "ledger").close()
    finally:
        os.umask(0o022)
    (entry,) = said(tmp_path / "ledger")
    assert entry == {"kind": "ledger", "at": T0, "format": 1, "origin": entry["origin"], "vkey": entry["vkey"]}
    assert str(entry["origin"]).startswith("legwatch/test/")
    assert {stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "ledger").iterdir()} == {0o640}


def test_entry_of_another_day_seals_the_segment_before_it(made: Path) -> None:
    assert sorted(path.name for path in made.iterdir()) == [
        f"{FIRST}.jsonl.zst", f"{FIRST}.note", f"{FIRST}.sums", OPEN, "00000001-20260109.sums", "checkpoint",
    ]  # fmt: skip
    packed = (made / f"{FIRST}.jsonl.zst").read_bytes()
    frame = zstandard.get_frame_parameters(packed)
    assert frame.has_checksum
    assert frame.content_size == len(zstandard.ZstdDecompressor().decompress(packed))
    assert numbers(made) == [1, 2, 3, 4, 5]
    assert not faults(made)


def test_clock_that_is_set_back_is_said_before_time_goes_back(tmp_path: Path) -> None:
    writer = open_writer(tmp_path, T0 + DAY_MS)
    writer.append(legs(1), T0 + DAY_MS + 5)
    writer.append(legs(2), T0 + 7)
    writer.close()
    clock, after = said(tmp_path)[-2:]
    assert clock == {"kind": "clock", "at": T0 + DAY_MS + 5, "back": DAY_MS - 2}
    assert after["at"] == T0 + 7
    assert [each.stem for each in reader.segments(tmp_path)] == ["00000000-20260109", "00000001-20260108"]
    assert not faults(tmp_path)


def test_second_writer_of_a_directory_is_refused_until_the_first_one_ends(tmp_path: Path) -> None:
    writer = open_writer(tmp_path)
    with pytest.raises(LedgerError, match="written by another sensor"):
        open_writer(tmp_path)
    writer.append(legs(1), T0)
    writer.close()
    open_writer(tmp_path).close()
    assert numbers(tmp_path) == [1]


def test_tail_of_more_than_seconds_is_refused(made: Path) -> None:
    """A checkpoint of before was put back, and entries changed behind it: a sensor has a second unsigned."""
    with (made / OPEN).open("ab") as file:
        file.writelines(b'{"at":%d,"kind":"leg","number":6}\n' % (T0 + DAY_MS + ms) for ms in (1, 10_002))
    before = {each.name: each.read_bytes() for each in made.iterdir()}
    with pytest.raises(LedgerError, match="more than 10 s are behind the checkpoint"):
        Writer(made, PEM, origin_name="x").open(T0 + DAY_MS + 20_000)
    assert {each.name: each.read_bytes() for each in made.iterdir()} == before


@pytest.mark.parametrize("at", [T0 + DAY_MS + 400_000, T0 + 2 * DAY_MS, T0])
def test_entry_of_another_time_behind_the_checkpoint_is_cut(made: Path, at: int) -> None:
    line = b'{"at":%d,"kind":"leg","number":6}\n' % at
    with (made / OPEN).open("ab") as file:
        file.write(line)
    writer = Writer(made, PEM, origin_name="x")
    assert writer.open(T0 + DAY_MS + 9) == (len(line), 0)
    writer.close()
    assert not faults(made)


def test_checkpoint_that_names_no_ledger_is_refused_with_what_is_wrong(made: Path) -> None:
    checkpoint = made / "checkpoint"
    checkpoint.write_text(checkpoint.read_text().replace("legwatch/", "legwatch x/", 1))
    with pytest.raises(LedgerError, match="nothing is written on top of it"):
        Writer(made, PEM, origin_name="x").open(T0 + DAY_MS + 9)


def test_entry_that_cannot_be_one_is_refused_and_none_beside_it_is_taken(tmp_path: Path) -> None:
    writer = open_writer(tmp_path)
    with pytest.raises(ValueError, match="cannot have a float"):
        writer.append([*legs(1), {"kind": "leg", "number": 1.5}], T0)  # type: ignore[dict-item]
    writer.append(legs(2), T0)
    writer.close()
    assert numbers(tmp_path) == [2]


@pytest.mark.parametrize(
    ("rest", "cut", "unsigned"),
    [
        (b"", 0, 0),
        (b"x", 1, 0),
        (b'{"at":1767916800001,"kind":"leg","number":6}', 44, 0),
        (b'{"at":1767916800001,"kind":"leg","number":6}\n', 0, 1),
        (b'{"at":1767916800001,"kind":"leg","number":6}\n{"at":', 6, 1),
        (b'{"kind":"leg","at":1767916800001}\n{"at":1767916800001,"kind":"leg","number":6}\n', 79, 0),
        (bytes(100), 100, 0),
    ],
)
def test_tail_that_is_torn_is_cut_behind_the_last_whole_entry_and_that_is_said(
    made: Path, rest: bytes, cut: int, unsigned: int
) -> None:
    with (made / OPEN).open("ab") as file:
        file.write(rest)
    writer = Writer(made, PEM, origin_name="x")
    recovered = writer.open(T0 + DAY_MS + 9)
    writer.append(legs(7), T0 + DAY_MS + 9)
    writer.close()
    assert recovered == ((cut, unsigned) if rest else None)
    kept = [{"kind": "recovered", "at": T0 + DAY_MS + 9, "cut": cut, "unsigned": unsigned}] if rest else []
    assert said(made, "recovered") == kept
    assert numbers(made) == [1, 2, 3, 4, 5, *[6] * unsigned, 7]
    assert not faults(made)


def test_sums_that_are_shorter_are_mended(made: Path) -> None:
    sums = made / "00000001-20260109.sums"
    whole = sums.read_bytes()
    for octets in (b"", whole[:5], whole + b"x", bytes(len(whole))):
        sums.write_bytes(octets)
        open_writer(made, T0 + DAY_MS).close()
        assert sums.read_bytes() == whole
    sums.unlink()
    open_writer(made, T0 + DAY_MS).close()
    assert sums.read_bytes() == whole


def flip(path: Path) -> None:
    octets = path.read_bytes()
    path.write_bytes(octets.replace(b'"number":4', b'"number":9'))


def clear(directory: Path) -> None:
    for path in directory.glob("0*"):
        path.unlink()


TAMPERING: dict[str, tuple[Callable[[Path], Any], str]] = {
    "entry changed": (lambda made: flip(made / OPEN), "is not what the checkpoint says"),
    "entries cut": (lambda made: os.truncate(made / OPEN, 60), "fewer entries than the checkpoint says"),
    "open segment taken": (lambda made: (made / OPEN).unlink(), "fewer entries than the checkpoint says"),
    "checkpoint taken": (lambda made: (made / "checkpoint").unlink(), "entries and no checkpoint"),
    "checkpoint garbled": (lambda made: (made / "checkpoint").write_bytes(b"x"), "is no signed note"),
    "note taken": (lambda made: (made / f"{FIRST}.note").unlink(), "not followed by|note of the segment before"),
    "all entries taken": (clear, "a checkpoint and no entries"),
}


@pytest.mark.parametrize("name", TAMPERING)
def test_ledger_that_is_not_what_was_signed_is_not_written_to(made: Path, name: str) -> None:
    do, message = TAMPERING[name]
    do(made)
    before = {path.name: path.read_bytes() for path in made.iterdir()}
    with pytest.raises(LedgerError, match=message):
        open_writer(made, T0 + DAY_MS)
    assert {path.name: path.read_bytes() for path in made.iterdir()} == before


def test_ledger_of_another_key_is_not_written_to(made: Path) -> None:
    with pytest.raises(LedgerError, match="not signed by a key that is trusted"):
        open_writer(made, T0 + DAY_MS, SUCCESSOR)


@pytest.mark.parametrize("day", [1, 2])
def test_key_that_changes_is_signed_by_the_one_before_it(made: Path, day: int) -> None:
    for _ in range(2):  # the former key may stay configured
        open_writer(made, T0 + day * DAY_MS, SUCCESSOR, PEM).close()
    writer = open_writer(made, T0 + day * DAY_MS, SUCCESSOR)
    writer.append(legs(6), T0 + 3 * DAY_MS)
    writer.close()
    (change,) = said(made, "key")
    new = VerifierKey.parse(str(change["new"]))
    assert not faults(made)
    assert not verify(made, [new], now_ms=T0 + 9 * DAY_MS).faults
    with pytest.raises(LedgerError, match="not signed by a key that is trusted"):
        open_writer(made, T0 + 3 * DAY_MS)


def test_name_that_is_no_origin_is_refused(tmp_path: Path) -> None:
    with pytest.raises(KeyFormatError, match="no name of a key"):
        Writer(tmp_path, PEM, origin_name="two words").open(T0)


def test_link_in_place_of_a_file_is_not_followed(made: Path, tmp_path: Path) -> None:
    (made / OPEN).rename(tmp_path / "elsewhere")
    (made / OPEN).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match=os.strerror(errno.ELOOP)):
        open_writer(made, T0 + DAY_MS)


def work(directory: Path, faulty: Iterator[bool], code: int, patch: pytest.MonkeyPatch) -> Writer:
    """Write two days, with whatever has to be opened again; calls fail where ``faulty`` says so."""

    def failing(name: str) -> None:
        real = getattr(os, name)

        def call(*args: Any, **keywords: Any) -> Any:
            if next(faulty):
                if name == "write" and len(args[1]) > 1:
                    real(args[0], bytes(args[1])[: len(args[1]) // 2])  # a part of it was there
                if name == "rename":
                    real(*args, **keywords)  # it is not known whether it was done
                raise OSError(code, os.strerror(code))
            return real(*args, **keywords)

        patch.setattr(os, name, call)

    writer = Writer(directory, PEM, origin_name="legwatch/test")

    def insist(*steps: Callable[[], object]) -> None:
        """Take each step once, as ``Ledger`` does: what was appended is not appended again."""
        for step in steps:
            while True:
                try:
                    if not writer.is_open:
                        writer.open(T0)
                    break
                except OSError:
                    continue
            try:
                step()
            except OSError:
                continue

    for name in ("open", "write", "fsync", "rename"):
        failing(name)
    insist(
        lambda: writer.append(legs(1, 2), T0 + 1),
        writer.commit,
        lambda: writer.append(legs(3), T0 + 2),
        lambda: writer.append(legs(4), T0 + DAY_MS),
        writer.commit,
        lambda: writer.append(legs(5), T0 + DAY_MS),
        writer.commit,
        writer.commit,
    )
    return writer


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO, errno.EROFS], ids=errno.errorcode.__getitem__)
def test_disk_that_fails_at_any_call_takes_every_entry_once_when_it_works_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    for at in itertools.count():
        directory = tmp_path / str(at)
        directory.mkdir()
        calls = itertools.count()
        with monkeypatch.context() as patch:
            writer = work(directory, (number == at for number in calls), code, patch)
        writer.close()
        assert numbers(directory) == [1, 2, 3, 4, 5]
        assert all(entry["unsigned"] == 0 for entry in said(directory, "recovered"))  # it had not begun then
        assert not faults(directory)
        if next(calls) <= at:
            break
    assert at > 40


def test_lines_of_a_ledger_are_plain_json(made: Path) -> None:
    for line in (made / OPEN).read_bytes().splitlines():
        assert json.loads(line)["kind"] == "leg"
