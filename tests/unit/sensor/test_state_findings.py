"""The file of what is open and what waits: there again after a restart, private, whole, and moved aside when broken."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sensor.alerts.notifier import Counted
from sensor.findings import Kept, identity
from sensor.model import SEVERITIES, Finding, Subject
from sensor.state import findings as module
from sensor.state.findings import (
    EMPTY,
    NAME,
    Changes,
    FindingsFile,
    Told,
    encode_event,
    encode_finding,
    encode_summary,
)
from tests.unit.sensor.alerts.samples import SAMPLES, numbered
from tests.unit.sensor.samples import finding
from tests.unit.sensor.traffic import T0

TEXT = st.text(max_size=20)
TIMES = st.integers(0, 2**63 - 1)
SUBJECTS = st.builds(Subject, TEXT, TEXT, TEXT, TEXT)


@st.composite
def findings(draw: st.DrawFn) -> Finding:
    code, subject, waived = draw(TEXT), draw(SUBJECTS), draw(st.none() | TEXT)
    return Finding(
        code,
        draw(st.sampled_from(SEVERITIES)),
        "open" if waived is None else "waived",
        subject,
        tuple(draw(st.lists(TEXT, max_size=3))),
        draw(st.lists(TEXT, min_size=1, max_size=3)),
        tuple(draw(st.lists(TEXT, max_size=3))),
        draw(TIMES),
        draw(TIMES),
        draw(st.integers(1, 10**9)),
        waived,
        identity(code, subject),
        draw(TIMES),
        draw(st.dictionaries(TEXT, TEXT, max_size=3)),
    )


def opened(folder: Path, names: str = "plain") -> FindingsFile:
    return FindingsFile(folder, names)


def waiting(*numbers: int, sinks: tuple[str, ...] = ("web",)) -> Changes:
    events = {n: (encode_event(numbered(n)), set(sinks)) for n in numbers}
    return Changes(events=events, alive_ns=T0)


def filled(folder: Path, *numbers: int) -> FindingsFile:
    file = opened(folder)
    file.write(waiting(*numbers))
    return file


def numbers(file: FindingsFile, sink: str = "web", after: int = 0, count: int = 100) -> list[int]:
    return [each.number for each in file.head(sink, after, count)]


@given(kept=st.lists(st.builds(Kept, findings(), TIMES), max_size=3, unique_by=lambda each: each.finding.id))
def test_findings_are_there_again_as_they_were(tmp_path_factory: pytest.TempPathFactory, kept: list[Kept]) -> None:
    folder = tmp_path_factory.mktemp("state")
    file = opened(folder)
    file.write(Changes({each.finding.id: encode_finding(each) for each in kept}, alive_ns=7))
    file.close()
    stored = opened(folder).load()
    assert sorted(stored.kept, key=lambda each: each.finding.id) == sorted(kept, key=lambda each: each.finding.id)
    assert (stored.alive_ns, stored.names) == (7, "plain")


def test_all_that_was_said_is_there_again_until_it_is_over(tmp_path: Path) -> None:
    counted = Counted(finding(id=identity("media-clear", finding().subject), code="media-clear"), 5, "low", 3, 1, True)
    said = Told("critical", open=False)
    file = opened(tmp_path)
    file.write(Changes({}, {"one": said}, {"media-clear": encode_summary(counted)}, alive_ns=1))
    assert (file.load().told, file.load().summaries) == ({"one": said}, {"media-clear": counted})
    file.write(Changes({}, {"one": None}, {"media-clear": None}, alive_ns=2))
    assert (file.load().told, file.load().summaries) == ({}, {})


def test_new_file_is_empty(tmp_path: Path) -> None:
    assert opened(tmp_path).load() == EMPTY


def test_events_come_out_in_their_order_and_are_gone_when_no_sink_waits(tmp_path: Path) -> None:
    file = opened(tmp_path)
    file.write(waiting(3, 1, 2, sinks=("web", "log")))
    assert (numbers(file), numbers(file, after=1), numbers(file, count=1)) == ([1, 2, 3], [2, 3], [1])
    assert file.head("web", 1, 1)[0].event == numbered(2)
    file.write(Changes(settled={(1, "web"), (1, "log"), (2, "web")}))
    file.close()
    again = opened(tmp_path)
    assert {sink: count for sink, (count, _) in again.load().waiting.items()} == {"web": 1, "log": 2}
    assert (numbers(again), numbers(again, "log"), again.load().last_number) == ([3], [2, 3], 3)
    again.write(Changes(forgotten={"log"}))
    assert (numbers(again), numbers(again, "log")) == ([3], [])
    assert again._execute("SELECT number FROM events") == [(3,)]


@pytest.mark.parametrize("sample", SAMPLES)
def test_event_of_any_kind_is_the_same_again(sample: str, tmp_path: Path) -> None:
    file = opened(tmp_path)
    event = SAMPLES[sample] | {"evidence": ["\ud800 Zürich \u2028"]}
    text = encode_event(event)
    file.write(Changes(events={1: (text, {"web"})}, alive_ns=1))
    assert file.head("web", 0, 9) == [(1, len(text.encode()), event)]


def test_what_holds_no_longer_is_gone_and_what_came_since_stays(tmp_path: Path) -> None:
    file = filled(tmp_path, 1, 2)
    file.write(Changes({"x": encode_finding(Kept(finding()))}, {"x": Told("low", open=True)}, alive_ns=1))
    changes = waiting(3)
    changes.anew = 2
    file.write(changes)
    stored = file.load()
    assert (stored.kept, stored.told, numbers(file)) == ([], {}, [3])


def test_changes_that_could_not_be_written_and_later_ones_are_one() -> None:
    first = waiting(1, 2, sinks=("web", "log"))
    first.findings, first.told = {"a": "1", "b": "2"}, {"a": Told("low", open=True)}
    later = waiting(3)
    later.findings, later.settled, later.alive_ns = {"b": None}, {(1, "web"), (1, "log"), (2, "log"), (0, "web")}, 9
    both = first.then(later)
    assert {n: sinks for n, (_, sinks) in both.events.items()} == {2: {"web"}, 3: {"web"}}
    assert (both.findings, both.settled, both.alive_ns) == ({"a": "1", "b": None}, {(0, "web")}, 9)
    anew = Changes({"c": "3"}, anew=7)
    assert (both.then(anew).findings, both.then(anew).told, both.then(anew).anew) == ({"c": "3"}, {}, 7)
    assert both.then(anew).events == both.events
    assert anew.then(Changes({"d": "4"})).anew == 7


def test_file_is_its_owners_alone_whatever_it_was(tmp_path: Path) -> None:
    (tmp_path / NAME).touch(0o644)
    file = filled(tmp_path, 1)
    assert {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()} == {0o600}
    file.close()


def test_file_that_is_a_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / NAME).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="symbolic"):
        opened(tmp_path).load()


@pytest.mark.parametrize("garbage", [b"garbage" * 100, b"SQLite format 3\0" + bytes(4000)], ids=["text", "header"])
def test_file_that_is_none_of_ours_is_moved_aside_and_counted(garbage: bytes, tmp_path: Path) -> None:
    (tmp_path / NAME).write_bytes(garbage)
    file = opened(tmp_path)
    assert (file.load(), file.resets) == (EMPTY, 1)
    assert (tmp_path / f"{NAME}.corrupt").read_bytes() == garbage
    file.write(waiting(1))
    assert numbers(file) == [1]


@pytest.mark.parametrize(
    "statement",
    [
        "PRAGMA user_version = 99",
        "UPDATE findings SET finding = '{'",
        "UPDATE findings SET finding = '[]'",
        """UPDATE findings SET finding = replace(finding, '"critical"', '"bad"')""",
        "UPDATE told SET worst = 'bad'",
        "UPDATE summaries SET summary = '[1, 2]'",
    ],
)
def test_file_with_something_in_it_that_was_not_written_is_moved_aside(statement: str, tmp_path: Path) -> None:
    file = opened(tmp_path)
    counted = encode_summary(Counted(finding(), 5, "low", 3, 1, True))
    file.write(
        Changes({"x": encode_finding(Kept(finding()))}, {"x": Told("low", open=True)}, {"y": counted}, alive_ns=1)
    )
    assert file.load().kept
    file._execute(statement)
    file.close()
    again = opened(tmp_path)
    assert (again.load(), again.resets) == (EMPTY, 1)


def test_event_that_is_none_has_the_file_moved_aside_while_it_runs(tmp_path: Path) -> None:
    file = filled(tmp_path, 1, 2)
    file._execute("UPDATE events SET event = '{' WHERE number = 2")
    assert (numbers(file), file.resets) == ([], 1)
    file.write(waiting(3))
    assert numbers(file) == [3]


def test_file_that_is_found_broken_when_it_is_written_is_moved_aside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = filled(tmp_path, 1)

    def broken(*_: object) -> Any:
        raise module._CorruptError

    with monkeypatch.context() as patch:
        patch.setattr(file, "_execute_each", broken)
        with pytest.raises(OSError, match="moved aside"):
            file.write(waiting(2))
    assert (file.resets, file.load()) == (1, EMPTY)


def test_file_that_two_sensors_want_is_the_firsts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PATIENCE_S", 0.01)
    file = filled(tmp_path, 1)
    with pytest.raises(OSError, match="locked"):
        opened(tmp_path).load()
    assert numbers(file) == [1]
    file.close()
    assert opened(tmp_path).load().last_number == 1


def test_file_where_there_is_no_folder_is_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        opened(tmp_path / "none").load()


def test_disk_that_fails_at_any_statement_leaves_the_file_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = filled(tmp_path, 1)
    execute = file._execute

    def failing(statement: str, *values: object) -> list[tuple[object, ...]]:
        if statement in {"COMMIT", "ROLLBACK"}:
            raise OSError(5, "Input/output error")
        return execute(statement, *values)

    with monkeypatch.context() as patch:
        patch.setattr(file, "_execute", failing)
        with pytest.raises(OSError, match="Input/output"):
            file.write(waiting(2))
    assert numbers(file) == [1]
    file.write(waiting(2))
    assert numbers(file) == [1, 2]


def test_process_that_ends_within_a_change_leaves_none_of_it(tmp_path: Path) -> None:
    file = filled(tmp_path, 1)
    file._execute("BEGIN IMMEDIATE")
    file._execute("DELETE FROM waiting")
    file.close()
    assert numbers(opened(tmp_path)) == [1]
