"""What was said before a time: found without reading all lines, whole or damaged."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import zstandard

from sensor.ledger import reader
from sensor.ledger.entries import Entry
from sensor.ledger.keys import new_pem
from sensor.ledger.layout import Directory, LedgerError, Segment
from sensor.ledger.sealing import compress_sealed
from sensor.ledger.writer import Writer

DAY, DAY_MS = 1_767_571_200_000, 86_400_000
DAYS = 5
KINDS = ("stop", "start")
TRAP = '{"kind":"start"}'


@pytest.fixture(params=[True, False], ids=["compressed", "text"])
def ledger(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """Some days, the last of them open."""
    path = tmp_path / "ledger"
    writer = Writer(path, new_pem(), origin_name="legwatch/north")
    writer.open(DAY)
    for day in range(DAYS):
        first: list[Entry] = [{"kind": "start", "why": TRAP}, {"kind": "clock", "of": {"kind": "stop"}, "why": TRAP}]
        some: list[Entry] = [{"kind": "leg", "number": number} for number in range(50)]
        writer.append([*first, *some, {"kind": "stop", "day": day}, *some], DAY + day * DAY_MS)
    writer.close()
    compress_sealed(path)
    if not request.param:
        for packed in path.glob("*.zst"):
            text = zstandard.ZstdDecompressor().stream_reader(packed.read_bytes(), read_across_frames=True).read()
            packed.with_suffix("").write_bytes(text)
            packed.unlink()
    return path


def expected(path: Path, before_ms: int) -> list[Entry]:
    read = reader.entries(path)
    return [entry for _, entry in read if entry["kind"] in KINDS and int(str(entry["at"])) < before_ms]


@pytest.mark.parametrize("block", [2, 7, 64, 1 << 20])
@pytest.mark.parametrize("days", [0, 1, DAYS])
def test_former_entries_of_some_kinds_are_those_that_reading_all_finds(
    ledger: Path, monkeypatch: pytest.MonkeyPatch, block: int, days: int
) -> None:
    monkeypatch.setattr(reader, "BUFFER", block)
    found = list(reader.former(ledger, DAY + days * DAY_MS, KINDS))
    assert found == expected(ledger, DAY + days * DAY_MS)
    assert len(found) == 2 * days


def told(entries: Iterator[Entry]) -> tuple[list[Entry], str]:
    """The entries that come, and why no more do."""
    came: list[Entry] = []
    try:
        for entry in entries:
            came.append(entry)  # noqa: PERF402  (what came before the error counts)
    except LedgerError as error:
        return came, str(error)
    return came, ""


@pytest.mark.parametrize("ledger", [True], indirect=True)
def test_former_entries_before_damage_are_told_as_far_as_they_can_be_read(ledger: Path) -> None:
    (damaged,) = ledger.glob("00000002-*.zst")
    octets = bytearray(damaged.read_bytes())
    octets[len(octets) // 2] ^= 0xFF
    damaged.write_bytes(octets)
    came, why = told(reader.former(ledger, DAY + DAYS * DAY_MS, KINDS))
    whole, said = told(entry for _, entry in reader.entries(ledger) if entry["kind"] in KINDS)
    assert (came, why) == (whole, said)
    assert len(came) >= 4
    assert "cannot be read" in why


@pytest.mark.parametrize("ledger", [False], indirect=True)
def test_line_that_is_no_entry_is_named_by_its_number(ledger: Path) -> None:
    (text,) = ledger.glob("00000001-*.jsonl")
    lines = text.read_bytes().split(b"\n")
    lines[52] = b'{"kind":"stop"'
    text.write_bytes(b"\n".join(lines))
    before = sum(1 for _ in reader.entries(ledger, last_ms=DAY + DAY_MS - 1))
    assert told(reader.former(ledger, DAY + DAYS * DAY_MS, KINDS))[1].startswith(f"entry {before + 52} cannot be read")


@pytest.mark.parametrize("ledger", [False], indirect=True)
def test_sealed_segment_that_ends_within_an_entry_is_an_error(ledger: Path) -> None:
    (text,) = ledger.glob("00000001-*.jsonl")
    text.write_bytes(text.read_bytes()[:-3])
    assert told(reader.former(ledger, DAY + DAYS * DAY_MS, KINDS))[1].endswith("ends within an entry")


def test_years_are_read_and_the_directory_is_listed_once(ledger: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A listing for each day makes six years take their square."""
    listed = []
    segments = Directory.segments

    def listing(place: Directory) -> list[Segment]:
        listed.append(place)
        return segments(place)

    monkeypatch.setattr(Directory, "segments", listing)
    assert list(reader.former(ledger, DAY + DAYS * DAY_MS, KINDS))
    assert list(reader.entries(ledger))
    assert len(listed) == 2


def test_segment_that_was_sealed_since_the_listing_is_found(ledger: Path) -> None:
    with Directory(ledger) as place:
        *_, last = place.segments()
        assert reader.start_of(place, last, [Segment(last.number - 1, "20260108")]) == reader.start_of(place, last)
