"""The state directory: what is in it can be read by its owner only, outlives the sensor, and is refused when broken."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from sensor.cli import main
from sensor.config.schema import Policy
from sensor.findings import Book
from sensor.identities import Pseudonyms
from sensor.network.baseline import Baseline, Known
from sensor.policy.segments import Segments
from sensor.state.baseline import BaselineFile
from sensor.state.directory import StateError, state_directory
from sensor.state.keys import DAY_S, current_key
from sensor.state.memory import Memory
from tests.unit.sensor.traffic import T0

ROOT = Path(__file__).parents[3]
CLINIC = str(ROOT / "deploy" / "demo" / "clinic.pcap")
PHONE = Known(T0, T0 + 5, "encrypted", None)


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def baseline(entries: dict[str, Known]) -> Baseline:
    return Baseline(Book(()), Segments(Policy()), Policy(), entries, 1)


def test_directory_is_the_configured_one_or_that_of_systemd_or_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("STATE_DIRECTORY", raising=False)
    assert state_directory(None) is None
    monkeypatch.setenv("STATE_DIRECTORY", f"{tmp_path}/one:{tmp_path}/two")
    assert state_directory(None) == tmp_path / "one"
    assert state_directory(f"{tmp_path}/mine") == tmp_path / "mine"
    assert mode(tmp_path / "mine") == 0o700


def test_directory_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StateError, match="cannot be made: Not a directory"):
        state_directory(f"{tmp_path}/file/state")


def test_first_start_draws_a_key_that_only_its_owner_can_read(tmp_path: Path) -> None:
    first = current_key(tmp_path, 1000, 0)
    assert (first.number, first.since_s, len(first.key)) == (1, 1000, 32)
    assert mode(tmp_path / "pseudonym.keys") == 0o600
    assert current_key(tmp_path, 10**9, 0) == first


def test_key_is_rotated_when_it_is_old_and_the_old_one_is_kept(tmp_path: Path) -> None:
    first = current_key(tmp_path, 1000, 90)
    assert current_key(tmp_path, 1000 + 90 * DAY_S - 1, 90) == first
    second = current_key(tmp_path, 1000 + 90 * DAY_S, 90)
    assert (second.number, second.since_s) == (2, 1000 + 90 * DAY_S)
    assert second.key != first.key
    assert len((tmp_path / "pseudonym.keys").read_text().splitlines()) == 2


def test_key_file_that_others_may_read_is_refused(tmp_path: Path) -> None:
    current_key(tmp_path, 1000, 0)
    (tmp_path / "pseudonym.keys").chmod(0o640)
    with pytest.raises(StateError, match="others may read it; chmod 600 it"):
        current_key(tmp_path, 1000, 0)


@pytest.mark.parametrize("text", ["nonsense\n", "1 1000 abcd\n", "1 1000\n", "one 1000 " + 64 * "a" + "\n", "\xff\n"])
def test_key_file_that_is_none_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "pseudonym.keys"
    path.touch(0o600)
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(StateError, match="is not a file of keys"):
        current_key(tmp_path, 1000, 0)


def test_baseline_outlives_the_sensor(tmp_path: Path) -> None:
    assert BaselineFile(tmp_path).save({"10.0.0.1": PHONE, "10.0.0.2": PHONE}, {"10.0.0.1"}, 77, 0)
    assert BaselineFile(tmp_path).load() == ({"10.0.0.1": PHONE}, 77, 0)
    assert mode(tmp_path / "baseline.db") == 0o600


def test_endpoint_not_seen_for_long_is_forgotten(tmp_path: Path) -> None:
    file = BaselineFile(tmp_path)
    file.save({"10.0.0.1": PHONE}, {"10.0.0.1"}, 0, 0)
    assert file.load(PHONE.last_ns)[0] == {"10.0.0.1": PHONE}
    assert file.load(PHONE.last_ns + 1)[0] == {}
    assert file.load()[0] == {}


@pytest.mark.parametrize("change", ["hold", "relearn"])
def test_sensor_that_runs_does_not_undo_what_was_decided_of_the_baseline(tmp_path: Path, change: str) -> None:
    file = BaselineFile(tmp_path)
    file.save({"10.0.0.1": PHONE}, {"10.0.0.1"}, 77, 0)
    if change == "hold":
        file.learn(1)
    else:
        file.replace({}, 0)
    after = file.load()
    assert not file.save({"10.0.0.1": PHONE}, {"10.0.0.1"}, 77, 0)
    assert file.load() == after
    assert file.save({"10.0.0.1": PHONE}, {"10.0.0.1"}, 78, after.generation)


def test_baseline_that_was_deleted_is_made_again(tmp_path: Path) -> None:
    file = BaselineFile(tmp_path)
    (tmp_path / "baseline.db").unlink()
    assert file.save({"10.0.0.1": PHONE}, {"10.0.0.1"}, 0, 0)
    assert mode(tmp_path / "baseline.db") == 0o600


def test_baseline_set_from_an_old_capture_is_not_forgotten(tmp_path: Path) -> None:
    assert main(["baseline", "set", CLINIC, "--state", str(tmp_path)]) == 0
    assert len(Memory(tmp_path, Pseudonyms(), 0).baseline(3600).entries) == 9


@pytest.mark.parametrize("content", [b"not a database" * 100, b"SQLite format 3\0" + bytes(4000)])
def test_baseline_that_is_broken_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "baseline.db").write_bytes(content)
    with pytest.raises(StateError, match="delete it to learn the baseline anew"):
        BaselineFile(tmp_path).load()


def test_baseline_with_words_of_others_is_refused(tmp_path: Path) -> None:
    file = BaselineFile(tmp_path)
    with sqlite3.connect(tmp_path / "baseline.db") as connection:
        connection.execute("INSERT INTO endpoints VALUES ('10.0.0.1', 1, 2, 'perfect', NULL)")
    connection.close()
    with pytest.raises(StateError):
        file.load()


def test_memory_keeps_what_changed_and_tries_again_what_failed(tmp_path: Path) -> None:
    names = Pseudonyms()
    memory = Memory(tmp_path, names, 0)
    stored = memory.baseline(3600)
    assert (stored.entries, memory.adopt(stored), memory.adopt(stored)) == ({}, True, False)
    assert names.of("+15550100").startswith("user-1-")
    held = baseline({"10.0.0.1": PHONE})
    held.changed.add("10.0.0.1")
    broken = tmp_path / "baseline.db"
    aside = broken.rename(tmp_path / "aside")
    broken.mkdir()
    memory.keep(held, now=True)
    assert held.changed == set()
    held.changed.add("10.0.0.2")
    memory.close(held)
    assert held.changed == {"10.0.0.1", "10.0.0.2"}
    assert memory.errors == 2  # what was being written, and what changed since
    assert str(broken) in memory.problem
    broken.rmdir()
    aside.rename(broken)
    memory.close(held)
    assert (memory.errors, memory.problem, held.changed) == (2, "", set())
    assert BaselineFile(tmp_path).load()[0] == {"10.0.0.1": PHONE}


def said(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(["baseline", *arguments]) == 0
    return capsys.readouterr().out


def test_baseline_is_set_shown_held_accepted_and_learned_anew(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    state = ("--state", str(tmp_path))
    assert said(capsys, "set", CLINIC, *state).startswith("9 endpoints are the baseline.")
    assert "10.20.1.102  encrypted  encrypted  2026-03-02 " in said(capsys, "show", *state)
    assert said(capsys, "show", *state).endswith("9 endpoints; held\n")
    first, *_ = said(capsys, "show", "--json", *state).splitlines()
    assert first.startswith('{"address": "10.20.0.10", "media": "clear", "signalling": "clear", ')
    said(capsys, "accept", "10.20.1.102", *state)
    assert "10.20.1.102  -          -          2026-03-02 " in said(capsys, "show", *state)
    said(capsys, "relearn", *state)
    assert said(capsys, "show", *state).endswith("0 endpoints; learning begins with the first packet\n")
    said(capsys, "hold", *state)
    assert said(capsys, "show", *state).endswith("0 endpoints; held\n")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["set"], "name the captures that show what is right"),
        (["accept"], "no address was named"),
        (["accept", "10.0.0.1"], "not in the baseline: 10.0.0.1"),
        (["accept", "phone"], "phone: is not an address"),
        (["set", "missing.pcap"], "missing.pcap"),
        (["hold", "10.0.0.1"], "baseline hold: takes no names"),
    ],
)
def test_wrong_use_of_the_baseline_says_what_to_do(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    BaselineFile(tmp_path)
    assert main(["baseline", *arguments, "--state", str(tmp_path)]) == 2
    assert message in capsys.readouterr().err


def test_directory_without_a_baseline_shows_none_and_gets_none(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["baseline", "show", "--state", str(tmp_path)]) == 2
    assert "has no baseline" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_baseline_without_a_state_directory_says_how_to_name_one(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("STATE_DIRECTORY", raising=False)
    assert main(["baseline", "show"]) == 2
    assert "name one by --state" in capsys.readouterr().err
