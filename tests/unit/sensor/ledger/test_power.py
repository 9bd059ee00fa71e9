"""The power goes at any moment of a writer's work: what was safe is there, and what had to be mended is said."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from sensor.ledger import reader
from sensor.ledger.entries import Entry
from sensor.ledger.keys import SigningKey, VerifierKey, new_pem
from sensor.ledger.layout import CHECKPOINT, DAY_MS, Directory
from sensor.ledger.retention import Retention
from sensor.ledger.verify import verify
from sensor.ledger.writer import Writer
from tests.unit.sensor.ledger.power import Recorder, lay, states

T0 = 1_767_830_400_000  # 2026-01-08 00:00 UTC
NOW = T0 + 3 * DAY_MS
PEM, SUCCESSOR = new_pem(), new_pem()
MENDED = {"recovered", "key"}


class Run:
    """A ledger, and the calls of what is done to it from a moment on."""

    def __init__(self, directory: Path, patch: pytest.MonkeyPatch) -> None:
        self.directory = directory
        self.recorder = Recorder(directory)
        self.before: dict[str, bytes] = {}
        self._patch = patch

    def record(self) -> Recorder:
        self.before = {path.name: path.read_bytes() for path in self.directory.iterdir()}
        self.recorder.record(self._patch)
        return self.recorder

    def end(self) -> None:
        self._patch.undo()
        self._patch.setattr(os, "fsync", lambda _: None)  # what is checked from here on needs no disk

    @property
    def key(self) -> VerifierKey:
        origin = (self.directory / CHECKPOINT).read_text().partition("\n")[0]
        return SigningKey.from_pem(PEM, origin).verifier

    def entries(self) -> list[Entry]:
        return [entry for _, entry in reader.entries(self.directory) if entry["kind"] not in MENDED]


def check(run: Run, entries: list[Entry], base: Path, pems: tuple[bytes, bytes | None]) -> int:
    """Start a writer on every state that the disk may be in; return how many there are.

    ``entries`` are those that there would be without an interruption, whoever said what was mended left out.
    """
    found = states(run.recorder.calls, run.before)
    for number, (state, safe) in enumerate(found.items()):
        directory = base / str(number)
        lay(state, directory)
        writer = Writer(directory, pems[0], former=pems[1], origin_name="legwatch/test")
        recovered = writer.open(NOW)
        writer.close()
        kept = list(reader.entries(directory))
        first, begun = kept[0][0], kept[0][1]
        whole = [entry for _, entry in kept if entry["kind"] not in MENDED]
        assert first + len(whole) >= safe
        if begun == entries[first]:  # else it had not begun, and begins only now
            assert whole == entries[first : first + len(whole)]
        else:
            assert (safe, first, len(whole)) == (0, 0, 1)
        key = VerifierKey.parse(str(begun["vkey"])) if first == 0 else run.key
        result = verify(directory, [key], now_ms=NOW)
        assert not result.faults
        assert not result.unsigned
        if recovered is None:
            assert all(octets in _text(directory, name) for name, octets in state if name.endswith(".jsonl"))
        else:
            said = {"kind": "recovered", "cut": recovered.cut, "unsigned": recovered.unsigned, "at": NOW}
            assert kept[-1][1] == said
        shutil.rmtree(directory)
    return len(found)


def _text(directory: Path, name: str) -> bytes:
    """Return the text of the segment that a file was of."""
    for segment in reader.segments(directory):
        if name.startswith(segment.stem):
            with Directory(directory) as place:
                return b"".join(line + b"\n" for line in reader.lines(place, segment))
    return b""


def grow(writer: Writer, recorder: Recorder, at: int, *numbers: int) -> None:
    writer.append([{"kind": "leg", "number": number} for number in numbers], at)
    recorder.promise(writer.commit().size)


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Run]:
    directory = tmp_path / "ledger"
    directory.mkdir()
    with monkeypatch.context() as patch:
        yield Run(directory, patch)


def test_ledger_that_begins_grows_and_is_sealed_loses_nothing_that_was_safe(run: Run, tmp_path: Path) -> None:
    recorder = run.record()
    writer = Writer(run.directory, PEM, origin_name="legwatch/test")
    writer.open(T0)
    recorder.promise(writer.size)
    grow(writer, recorder, T0 + 1, 1, 2)
    grow(writer, recorder, T0, 3)  # the clock was set back
    grow(writer, recorder, T0 + DAY_MS, 4)  # the first day is sealed
    writer.append([{"kind": "leg", "number": 5}], T0 + DAY_MS + 1)
    writer.close()
    recorder.promise(writer.size)
    run.end()
    assert check(run, run.entries(), tmp_path, (PEM, None)) > 1000


def test_writer_that_mends_and_changes_the_key_loses_nothing_that_was_safe(run: Run, tmp_path: Path) -> None:
    writer = Writer(run.directory, PEM, origin_name="legwatch/test")
    writer.open(T0)
    writer.append([{"kind": "leg", "number": 1}], T0 + 1)
    writer.close()
    safe = writer.size
    text = run.directory / "00000000-20260108.jsonl"
    text.write_bytes(text.read_bytes() + b'{"at":1767830400002,"kind":"leg","number":2}\n{"at":17')
    recorder = run.record()
    recorder.promise(safe)
    writer = Writer(run.directory, SUCCESSOR, former=PEM, origin_name="legwatch/test")
    assert writer.open(T0 + DAY_MS) == (len(b'{"at":17'), 1)
    recorder.promise(writer.size - 2)  # without what it says of the mending, and of the key
    writer.close()
    run.end()
    assert check(run, run.entries(), tmp_path, (SUCCESSOR, PEM)) > 500


def test_segment_whose_time_is_over_goes_only_when_that_is_signed(run: Run, tmp_path: Path) -> None:
    writer = Writer(run.directory, PEM, origin_name="legwatch/test")
    writer.open(T0)
    for day in range(4):
        writer.append([{"kind": "leg", "number": day}], T0 + day * DAY_MS)
    writer.close()
    before = run.entries()
    writer = Writer(run.directory, PEM, origin_name="legwatch/test")
    recorder = run.record()
    recorder.promise(len(before))
    writer.open(T0 + 3 * DAY_MS)
    assert Retention(writer, 1).expire(T0 + 3 * DAY_MS) == 2
    recorder.promise(writer.size)
    writer.close()
    run.end()
    assert [path.name for path in sorted(run.directory.glob("0000000[01]*"))] == ["00000001-20260109.note"]
    assert check(run, [*before[:3], *run.entries()], tmp_path, (PEM, None)) > 5
