"""`legwatch ledger`: what is asked of a ledger, and what a wrong question gets."""

import csv
import hashlib
import io
import json
import os
import shutil
import sqlite3
import stat
import time
from pathlib import Path
from typing import BinaryIO

import pytest
import zstandard

from sensor.cli import main
from sensor.ledger import reader
from sensor.ledger.entries import Entry
from sensor.ledger.keys import SigningKey, VerifierKey, new_pem
from sensor.ledger.layout import Directory, Segment
from sensor.ledger.sealing import compress_sealed
from sensor.ledger.writer import Writer
from tests import ledgers
from tests.ledgers import DAY_MS, NAME, START_MS, Made, leg

FINDING: Entry = {
    "kind": "finding",
    "step": "opened",
    "id": "f-1",
    "code": "media-clear",
    "severity": "high",
    "state": "open",
    "subject": {"kind": "pair", "a": "10.20.0.77", "b": "10.20.9.1", "name": '=HYPERLINK("http://x")'},
    "segments": ["clinic"],
    "evidence": ["+1 of them"],
    "count": -1,
}
COVERAGE: Entry = {"kind": "coverage", "state": "seen", "segments": [{"name": "cellar", "legs": 1, "clear": 0}]}


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """Days 0, 1 and 2: legs on all, a finding on day 1, a minute on day 2, which is open."""
    path = tmp_path_factory.mktemp("kept") / "ledger"
    pem = new_pem()
    writer = Writer(path, pem, origin_name=NAME)
    writer.open(START_MS)
    for day in range(3):
        now = START_MS + day * DAY_MS + 3_600_000
        writer.append([leg(day * 10 + each) for each in range(5)], now)
        writer.append({0: [], 1: [FINDING], 2: [COVERAGE]}[day], now + 1)
    writer.close()
    compress_sealed(path)
    checkpoint = (path / "checkpoint").read_text()
    key = SigningKey.from_pem(pem, checkpoint.partition("\n")[0]).verifier
    return Made(path, [pem], [str(key)], [checkpoint])


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def made(kept: Made, tmp_path: Path) -> Made:
    shutil.copytree(kept.path, tmp_path / "ledger")
    return kept._replace(path=tmp_path / "ledger")


def run(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, str]:
    """The status, and what was printed; what is said of a mistake is one line."""
    status = main(["ledger", *map(str, words)])
    out, err = capsys.readouterr()
    assert err.count("\n") == (status == 2)
    return status, out


def numbers(capsys: pytest.CaptureFixture[str], made: Made, *words: object) -> list[int]:
    status, out = run(capsys, "query", "--ledger", made.path, "--format", "json", *words)
    assert status == 0
    return [json.loads(line)["n"] for line in out.splitlines()]


# --- query


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ([], [*range(18)]),
        (["--kind", "finding"], [11]),
        (["--code", "media-clear"], [11]),
        (["--segment", "clinic"], [11]),
        (["--segment", "cellar"], [17]),
        (["--endpoint", "10.20.0.77"], [11]),
        (["--endpoint", "10.20.0.12"], [8]),
        (["--endpoint", "10.20.9.1", "--verdict", "encrypted"], [1, 4, 8, 13, 16]),
        (["--endpoint", "10.20.0.12", "--verdict", "clear"], []),
        (["--from", "2026-01-09", "--to", "2026-01-09"], [6, 7, 8, 9, 10, 11]),
        (["--from", "2026-01-10T01:00:00.001Z"], [17]),
        (["--to", "2026-01-08T01:00:00Z"], [0]),
        (["--to", "2026-01-08T02:00:00+01:00"], [0]),
        (["--from", "2026-01-11"], []),
        (["--limit", "2"], [0, 1]),
        (["--segment", "nowhere"], []),
    ],
)
def test_query_finds_what_has_all_that_is_asked_for(
    made: Made, words: list[str], found: list[int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert numbers(capsys, made, *words) == found
    assert numbers(capsys, made, *words) == found  # by the index


def test_query_reads_the_days_that_may_have_an_answer_only(
    made: Made, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert numbers(capsys, made, "--code", "media-clear") == [11]
    read: list[str] = []
    opened = reader.opened

    def noted(place: Directory, segment: Segment) -> BinaryIO:
        read.append(segment.day)
        return opened(place, segment)

    monkeypatch.setattr(reader, "opened", noted)
    assert numbers(capsys, made, "--code", "media-clear") == [11]
    assert read == ["20260109", "20260110"]  # the open one is not in the index
    read.clear()
    assert numbers(capsys, made, "--endpoint", "10.20.0.2") == [3]
    assert read == ["20260108", "20260110"]


def index_of(tmp_path: Path) -> Path:
    (index,) = (tmp_path / "cache" / "legwatch").iterdir()
    return index


@pytest.mark.parametrize("keep", [100, 4096, -1])
def test_index_that_is_damaged_is_made_again(
    made: Made, tmp_path: Path, keep: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert numbers(capsys, made, "--kind", "finding") == [11]
    index = index_of(tmp_path)
    whole = index.read_bytes()
    index.write_bytes(whole[:keep] if keep > 0 else whole[:100] + bytes(len(whole) - 100))
    assert numbers(capsys, made, "--kind", "finding") == [11]
    with sqlite3.connect(index_of(tmp_path)) as base:
        assert base.execute("SELECT number, entries FROM segment ORDER BY number").fetchall() == [(0, 6), (1, 6)]
    base.close()


def foreign(path: Path, what: str, made: Made) -> None:
    """Make a file that is somebody's and no index."""
    if what == "database":
        with sqlite3.connect(path) as base:
            base.executescript("CREATE TABLE mine (a); INSERT INTO mine VALUES (42); PRAGMA user_version = 7")
        base.close()
    elif what == "note":
        path.write_bytes((made.path / "00000000-20260108.note").read_bytes())
    elif what == "pipe":
        os.mkfifo(path)
    else:
        path.write_bytes(b"%PDF-1.7 my only copy")


@pytest.mark.parametrize("what", ["document", "database", "note"])
def test_file_that_is_no_index_is_refused_and_stays_as_it_is(
    made: Made, tmp_path: Path, what: str, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "mine"
    foreign(file, what, made)
    before = file.read_bytes()
    assert run(capsys, "query", "--ledger", made.path, "--index", file)[0] == 2
    assert file.read_bytes() == before


def test_pipe_is_no_index_and_is_not_waited_for(made: Made, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    foreign(tmp_path / "mine", "pipe", made)
    assert run(capsys, "query", "--ledger", made.path, "--index", tmp_path / "mine")[0] == 2
    assert (tmp_path / "mine").is_fifo()


def test_link_into_the_ledger_is_no_place_for_an_index(
    made: Made, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "link").symlink_to(made.path / "index")
    assert run(capsys, "query", "--ledger", made.path, "--index", tmp_path / "link")[0] == 2
    assert not (made.path / "index").exists()


def packed(text: bytes) -> bytes:
    """A sealed segment's file: its frame, and behind it the digest."""
    frame = zstandard.ZstdCompressor(write_checksum=True).compress(text)
    return frame + bytes.fromhex("502a4d1820000000") + hashlib.sha256(frame).digest()


def test_entries_that_were_others_for_a_moment_leave_nothing_in_the_index(
    made: Made, capsys: pytest.CaptureFixture[str]
) -> None:
    segment = made.path / "00000001-20260109.jsonl.zst"
    whole = segment.read_bytes()
    text = zstandard.ZstdDecompressor().stream_reader(whole).read()
    segment.write_bytes(packed(text.replace(b'"media-clear"', b'"media-fine!"')))
    assert numbers(capsys, made, "--code", "media-clear") == []
    segment.write_bytes(whole)
    assert numbers(capsys, made, "--code", "media-clear") == [11]


def test_note_that_was_another_for_a_moment_leaves_nothing_in_the_index(
    made: Made, capsys: pytest.CaptureFixture[str]
) -> None:
    """One that takes the entries of the next segment for itself: with none of its own, that one's root is right."""
    before, segment = made.path / "00000000-20260108.note", made.path / "00000001-20260109.jsonl.zst"
    whole = before.read_bytes(), segment.read_bytes()
    before.write_bytes((made.path / "00000001-20260109.note").read_bytes())
    segment.write_bytes(packed(b""))
    assert numbers(capsys, made, "--code", "media-clear") == []
    before.write_bytes(whole[0])
    segment.write_bytes(whole[1])
    assert numbers(capsys, made, "--code", "media-clear") == [11]


@pytest.mark.parametrize("value", ["x", None, b"\0", 1e300])
def test_times_in_an_index_that_are_none_are_made_again(
    made: Made, tmp_path: Path, value: object, capsys: pytest.CaptureFixture[str]
) -> None:
    assert numbers(capsys, made, "--kind", "finding") == [11]
    with sqlite3.connect(index_of(tmp_path)) as base:
        base.execute("UPDATE segment SET first_ms = ?", (value,))
    base.close()
    assert numbers(capsys, made, "--kind", "finding") == [11]


def test_question_that_is_no_text_has_no_answer(made: Made, capsys: pytest.CaptureFixture[str]) -> None:
    assert numbers(capsys, made, "--segment", os.fsdecode(b"\xff")) == []


def test_index_of_entries_that_were_others_is_made_again(
    made: Made, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert numbers(capsys, made, "--kind", "finding") == [11]
    with sqlite3.connect(index_of(tmp_path)) as base:
        base.execute("DELETE FROM holds")
        base.execute("UPDATE segment SET root = ?", (bytes(32),))
    base.close()
    assert numbers(capsys, made, "--kind", "finding") == [11]


def test_index_counts_what_a_segment_has(made: Made, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert numbers(capsys, made, "--index", tmp_path / "index", "--kind", "finding") == [11]
    with sqlite3.connect(tmp_path / "index") as base:
        query = "SELECT what, name, entries FROM holds WHERE segment = 1 AND what IN ('kind', 'verdict')"
        held = base.execute(query).fetchall()
    base.close()
    assert held == [("kind", "finding", 1), ("kind", "leg", 5), ("verdict", "clear", 4), ("verdict", "encrypted", 1)]


def test_query_without_a_place_for_its_index_reads_all(
    made: Made, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    assert numbers(capsys, made, "--index", tmp_path / "file" / "index", "--kind", "finding") == [11]


def test_ledger_is_not_written_by_those_who_read_it(made: Made, capsys: pytest.CaptureFixture[str]) -> None:
    def everything() -> dict[str, tuple[bytes, int]]:
        return {each.name: (each.read_bytes(), each.stat().st_mtime_ns) for each in made.path.iterdir()}

    before = everything()
    numbers(capsys, made, "--kind", "leg")
    run(capsys, "verify", made.path, "--key", made.keys[0])
    run(capsys, "export", "--ledger", made.path)
    assert everything() == before
    assert run(capsys, "query", "--ledger", made.path, "--index", made.path / "index")[0] == 2


def test_table_shows_an_entry_a_line(made: Made, capsys: pytest.CaptureFixture[str]) -> None:
    status, out = run(capsys, "query", "--ledger", made.path, "--code", "media-clear")
    assert status == 0
    assert out.startswith("       11  2026-01-09 01:00:00  finding      code=media-clear ")
    assert out.count("\n") == 1


def test_cells_that_a_spreadsheet_would_run_are_text(made: Made, capsys: pytest.CaptureFixture[str]) -> None:
    for words in (["query", "--code", "media-clear"], ["export", "--kind", "finding"]):
        status, out = run(capsys, *words, "--ledger", made.path, "--format", "csv")
        assert status == 0
        (row,) = csv.DictReader(io.StringIO(out))
        assert row["n"] == "11"
        assert row["at"] == "2026-01-09 01:00:00"
        assert row["subject.name"] == '\'=HYPERLINK("http://x")'
        assert row["evidence"] == "'+1 of them"
        assert row["count"] == "-1"  # a number


@pytest.fixture
def forged(made: Made) -> Made:
    """A ledger with an entry that somebody wrote behind the last one, and calls signed."""
    entry = {**FINDING, "code": "forged", "at": START_MS + 2 * DAY_MS + 5_000_000, "n": 3, "signed": True}
    with (made.path / "00000002-20260110.jsonl").open("a") as file:
        file.write(f"{json.dumps(entry, separators=(',', ':'))}\n")
    return made


@pytest.mark.parametrize("words", [["query", "--code"], ["export", "--kind"]])
def test_entry_that_no_checkpoint_is_of_is_marked_in_every_form(
    forged: Made, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    words = [*words, {"query": "forged", "export": "finding"}[words[0]], "--ledger", str(forged.path)]
    last = json.loads(run(capsys, *words, "--format", "json")[1].splitlines()[-1])
    assert (last["n"], last["signed"], last["code"]) == (18, False, "forged")
    *_, row = csv.DictReader(io.StringIO(run(capsys, *words, "--format", "csv")[1]))
    assert (row["n"], row["signed"], row["code"]) == ("18", "false", "forged")
    if words[0] == "query":
        out = run(capsys, *words)[1]
        assert out.startswith("       18  2026-01-10 01:23:20  finding      NOT SIGNED  step=opened ")


def test_entry_that_the_checkpoint_is_of_is_signed(forged: Made, capsys: pytest.CaptureFixture[str]) -> None:
    out = run(capsys, "query", "--ledger", forged.path, "--format", "csv")[1]
    assert [row["signed"] for row in csv.DictReader(io.StringIO(out))] == ["true"] * 18 + ["false"]


def test_entry_of_a_ledger_without_a_checkpoint_is_not_signed(made: Made, capsys: pytest.CaptureFixture[str]) -> None:
    (made.path / "checkpoint").unlink()
    status, out = run(capsys, "export", "--ledger", made.path)
    assert status == 0
    assert {json.loads(line)["signed"] for line in out.splitlines()} == {False}


# --- export


def test_export_has_every_entry_with_its_number(made: Made, capsys: pytest.CaptureFixture[str]) -> None:
    status, out = run(capsys, "export", "--ledger", made.path)
    assert status == 0
    lines = [json.loads(line) for line in out.splitlines()]
    assert lines == [{"n": number, "signed": True, **entry} for number, entry in reader.entries(made.path)]
    assert run(capsys, "export", "--ledger", made.path, "--format", "csv")[0] == 2  # of one kind only


# --- verify


def test_verify_says_what_it_verified(made: Made, capsys: pytest.CaptureFixture[str]) -> None:
    status, out = run(capsys, "verify", made.path, "--key", made.keys[0])
    assert status == 0
    assert out.startswith(f"{made.path}: verified, entries 0 to 17\nHeld against no checkpoint")
    witness = made.path.parent / "witness"
    witness.write_text(made.checkpoints[0])
    status, out = run(capsys, "verify", made.path, "--key", made.keys[0], "--witness", witness)
    assert (status, out) == (0, f"{made.path}: verified, entries 0 to 17\n")


def test_verify_names_the_first_entry_that_does_not_fit(made: Made, capsys: pytest.CaptureFixture[str]) -> None:
    file = made.path / "00000002-20260110.jsonl"
    file.write_bytes(file.read_bytes().replace(b"10.20.0.21", b"10.20.0.22"))
    status, out = run(capsys, "verify", made.path, "--key", made.keys[0])
    assert status == 1
    assert f"{made.path}: does not verify: entry 13, segment 00000002-20260110: " in out
    status, out = run(capsys, "verify", made.path, "--key", made.keys[0], "--json")
    assert status == 1
    said = json.loads(out)
    assert (said["verified"], said["faults"][0]["entry"]) == (False, 13)


@pytest.mark.parametrize(
    "name", ["00000000-20260108.jsonl.zst", "00000001-20260109.jsonl.zst", "00000002-20260110.jsonl"]
)
def test_segment_is_verified_alone(made: Made, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    for each in made.path.glob("*.jsonl*"):
        if each.name != name:
            each.unlink()
    assert run(capsys, "verify", made.path / name, "--key", made.keys[0])[0] == 0
    octets = (made.path / name).read_bytes()
    (made.path / name).write_bytes(octets[:100] + bytes([octets[100] ^ 4]) + octets[101:])
    assert run(capsys, "verify", made.path / name, "--key", made.keys[0])[0] == 1


def test_two_segments_of_one_number_do_not_verify(made: Made, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copy(made.path / "00000001-20260109.note", made.path / "00000001-20260108.note")
    assert run(capsys, "verify", made.path, "--key", made.keys[0])[0] == 1


# --- keys and checkpoints


def test_checkpoint_is_printed_as_it_is(made: Made, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, "checkpoint", "--ledger", made.path) == (0, made.checkpoints[0])


def test_keys_are_those_that_the_ledger_had(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = ledgers.write(tmp_path / "ledger", [2, 2, 2], rotated=[0, 1])
    assert run(capsys, "keys", "--ledger", made.path) == (0, "".join(f"{each}\n" for each in made.keys))
    for end in (".jsonl.zst", ".sums"):
        (made.path / f"00000000-20260108{end}").unlink()
    assert run(capsys, "keys", "--ledger", made.path) == (0, "".join(f"{each}\n" for each in made.keys[1:]))


def test_new_key_is_its_owners_only_and_signs_what_its_public_key_verifies(
    made: Made, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "new.pem"
    before = os.umask(0)
    try:
        status, out = run(capsys, "new-key", file, "--ledger", made.path)
    finally:
        os.umask(before)
    assert status == 0
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    public = VerifierKey.parse(out)
    writer = Writer(made.path, file.read_bytes(), origin_name=NAME, former=made.pems[0])
    now = time.time_ns() // 1_000_000
    writer.open(now)
    writer.close()
    assert run(capsys, "keys", "--ledger", made.path)[1].splitlines() == [made.keys[0], str(public)]
    assert run(capsys, "verify", made.path, "--key", public)[0] == 0


def test_new_key_is_never_written_over_anything(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file, link = tmp_path / "key.pem", tmp_path / "link.pem"
    assert run(capsys, "new-key", file)[0] == 0
    octets = file.read_bytes()
    link.symlink_to(tmp_path / "elsewhere.pem")
    for each in (file, link):
        assert run(capsys, "new-key", each)[0] == 2
    assert file.read_bytes() == octets
    assert not (tmp_path / "elsewhere.pem").exists()


def test_new_key_of_a_name_that_notes_do_not_allow_is_not_made(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(capsys, "new-key", tmp_path / "key.pem", "--origin", "a+b")[0] == 2
    assert not (tmp_path / "key.pem").exists()


# --- wrong use


@pytest.mark.parametrize(
    "words",
    [
        ["query"],
        ["query", "--ledger", "/nowhere"],
        ["query", "--ledger", "LEDGER", "--from", "yesterday"],
        ["query", "--ledger", "LEDGER", "--from", "2026-02-30"],
        ["query", "--ledger", "LEDGER", "--from", "2026-01-09", "--to", "2026-01-08"],
        ["query", "--ledger", "LEDGER", "--limit", "0"],
        ["query", "--ledger", "LEDGER", "--verdict", "wrong"],
        ["export", "--ledger", "/nowhere"],
        ["export", "--ledger", "LEDGER", "--to", "9999-12-31"],
        ["verify", "--key", "KEY"],
        ["verify", "/nowhere", "--key", "KEY"],
        ["verify", "/etc/hostname", "--key", "KEY"],
        ["verify", "LEDGER"],
        ["verify", "LEDGER", "--key", "nothing"],
        ["verify", "LEDGER", "--key", "KEY", "--witness", "/nowhere"],
        ["verify", "LEDGER", "--key", "KEY", "--witness", "/etc/hostname"],
        ["verify", "LEDGER", "--key", "KEY", "--tsa-ca", "/etc/hostname"],
        ["verify", "LEDGER/00000001-20260109.jsonl.zst", "--key", "KEY", "--witness", "LEDGER/checkpoint"],
        ["checkpoint", "--ledger", "/nowhere"],
        ["keys", "--ledger", "/nowhere"],
        ["prove", "--ledger", "LEDGER"],
        ["prove", "-1", "--ledger", "LEDGER"],
        ["stamp", "--ledger", "LEDGER"],
        ["new-key", "/nowhere/key.pem"],
        [],
        ["nothing"],
    ],
)
def test_wrong_use_is_one_line_and_status_2(made: Made, words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    named = [word.replace("LEDGER", str(made.path)).replace("KEY", made.keys[0]) for word in words]
    assert run(capsys, *named)[0] == 2


def test_ledger_that_is_read_while_it_is_written_gives_whole_entries(
    made: Made, capsys: pytest.CaptureFixture[str]
) -> None:
    with (made.path / "00000002-20260110.jsonl").open("ab") as file:
        file.write(b'{"at":17')
    assert numbers(capsys, made, "--kind", "coverage") == [17]
    with Directory(made.path) as place:
        assert len(place.segments()) == 3
