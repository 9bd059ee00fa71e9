"""The outbox: on disk before anybody is told, and told all the same when the disk does not take it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from sensor.alerts.delivery import Delivery
from sensor.alerts.event import Event
from sensor.alerts.notifier import Notifier
from sensor.alerts.sender import Sender
from sensor.config.network import Alerts
from sensor.findings import Book, Claim
from sensor.identities import Pseudonyms
from sensor.model import Severity, Subject
from sensor.output.veil import Veil
from sensor.state import findings
from sensor.state import outbox as module
from sensor.state.directory import StateError
from sensor.state.findings import NAME, Changes, FindingsFile
from sensor.state.outbox import Outbox
from tests.unit.sensor.alerts.samples import event, numbered
from tests.unit.sensor.samples import event as finding_event
from tests.unit.sensor.traffic import T0, S


class Heard(Sender):
    """An outlet that remembers, and looks at what is on disk when it is told."""

    def __init__(self) -> None:
        self.told: list[Event] = []
        self.look: Callable[[Event], object] = lambda _: None

    def put(self, said: Event) -> None:
        self.look(said)
        self.told.append(said)

    @property
    def ids(self) -> list[int]:
        return [int(each["id"], 16) for each in self.told]


class Disk(FindingsFile):
    """A file that hangs while ``open`` is not set, and fails while there is an ``error``."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, "plain")
        self.open = threading.Event()
        self.open.set()
        self.error: OSError | None = None
        self.written: list[Changes] = []

    def write(self, changes: Changes) -> None:
        self.open.wait(30)
        if self.error is not None:
            raise self.error
        super().write(changes)
        self.written.append(changes)


class Made:
    """An outbox with its disk, its log and the book whose sink it is."""

    def __init__(self, folder: Path) -> None:
        self.said: list[str] = []
        self.log = Heard()
        self.disk = Disk(folder)
        self.outbox = Outbox(self.disk, self.log, "log", lambda name, **_: self.said.append(name))
        self.book = Book([self.outbox])
        self.book.settle_ns = 60 * S

    def put(self, *events: Event) -> None:
        for each in events:
            self.outbox.put(each)
        self.commit()

    def hold(self, holder: str, at: float = 0, severity: Severity = "critical", code: str = "media-clear") -> None:
        claim = Claim(code, severity, Subject("leg", holder), (), "seen", ())
        self.book.hold(holder, [claim], T0 + int(at * S))
        self.commit(at)

    def commit(self, at: float = 0, *, save: bool = False) -> None:
        self.outbox.commit(self.book, {}, T0 + int(at * S), save=save)


@contextmanager
def running(folder: Path) -> Iterator[Made]:
    made = Made(folder)
    made.outbox.start()
    try:
        yield made
    finally:
        made.disk.open.set()
        made.outbox.flush(5.0)
        made.outbox.stop()


def eventually(look: Callable[[], object]) -> None:
    deadline = time.monotonic() + 5.0
    while not look():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.002)


def stored(folder: Path) -> list[str]:
    """The subjects of what is open on disk."""
    file = FindingsFile(folder, "plain")
    try:
        return sorted(each.finding.subject.a for each in file.load().kept)
    finally:
        file.close()


def test_finding_and_event_are_on_disk_when_the_log_is_told(tmp_path: Path) -> None:
    seen = []
    with running(tmp_path) as made:
        made.log.look = lambda _: seen.append((made.disk.written[0].findings.keys(), made.disk.head("log", 0, 9)))
        made.outbox.put(numbered(1))
        made.hold("a")
        eventually(lambda: made.log.told)
    (finding,) = made.book.open_findings()
    ((findings, ((_, _, on_disk),)),) = seen
    assert (set(findings), on_disk) == ({finding.id}, numbered(1))


def test_what_one_step_changed_is_one_change_of_the_file(tmp_path: Path) -> None:
    with running(tmp_path) as made:
        made.book.hold("a", [Claim("media-clear", "low", Subject("leg", "a"), (), "seen", ())], T0)
        made.book.hold("b", [Claim("media-clear", "low", Subject("leg", "b"), (), "seen", ())], T0)
        made.put(numbered(1), numbered(2))
        eventually(lambda: made.log.ids == [1, 2])
        first = made.disk.written[0]
        assert (len(first.findings), len(first.events)) == (2, 2)


def test_finding_that_is_over_is_on_disk_no_longer_and_one_that_settles_is(tmp_path: Path) -> None:
    with running(tmp_path) as made:
        made.hold("a")
        made.hold("b")
        made.book.hold("a", [], T0 + S)
        made.book.hold("b", [], T0 + 40 * S)
        made.book.advance(T0 + 70 * S)
        made.commit(70, save=True)
    kept = FindingsFile(tmp_path, "plain").load()
    assert [(each.finding.subject.a, each.left_ns) for each in kept.kept] == [("b", T0 + 40 * S)]
    assert kept.alive_ns == T0 + 70 * S


def test_what_changes_unsaid_is_written_now_and_then(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SAVE_S", 0.1)
    with running(tmp_path) as made:
        made.hold("a")
        made.book.touch("a", T0 + 9 * S, 5)
        made.commit(9)
        eventually(lambda: made.disk.written)
        time.sleep(0.1)
        made.commit(10)
        eventually(lambda: len(made.disk.written) > 1)
        count = len(made.disk.written)
        made.commit(11)
        assert len(made.disk.written) == count
    (kept,) = FindingsFile(tmp_path, "plain").load().kept
    assert (kept.finding.count, kept.finding.last_ns) == (6, T0 + 9 * S)


def test_finding_from_before_that_is_claimed_again_is_soon_on_disk_as_such(tmp_path: Path) -> None:
    with running(tmp_path) as made:
        made.hold("a")
    with running(tmp_path) as made:
        made.book.restore((each, T0 + 900 * S) for each in made.outbox.stored.kept)
        made.commit()
        made.outbox.flush(5.0)
        assert [each.former for each in made.disk.load().kept] == [True]
        made.book.hold("a", [Claim("media-clear", "critical", Subject("leg", "a"), (), "seen", ())], T0)
        deadline = time.monotonic() + 3 * module.FORMER_S
        while made.disk.load().kept[0].former:
            assert time.monotonic() < deadline
            made.commit()
            time.sleep(0.1)


def test_finding_that_was_told_under_a_pseudonym_ends_under_it_though_the_key_is_another(tmp_path: Path) -> None:
    names, told = Pseudonyms(), []
    for key in (1, 2):
        names.set_key(key, bytes([key]) * 32)
        made = Made(tmp_path)
        notifier = Notifier([made.outbox], Alerts(), finding_event)
        made.book = Book([Veil([notifier], names.host), made.outbox])
        made.book.restore((each, T0) for each in made.outbox.stored.kept)
        known = notifier.resume({said: each.open for said, each in made.outbox.stored.told.items()}, {}, renamed=False)
        made.outbox.resume(known)
        made.outbox.start()
        if key == 1:
            made.hold("10.0.0.1")
        made.book.advance(T0 + S)
        made.commit()
        made.outbox.flush(5.0)
        made.outbox.stop()
        told += made.log.told
        assert not known or known[0]["id"] == told[0]["id"]
    assert [each["event"] for each in told] == ["finding_opened", "finding_resolved"]
    assert len({(each["id"], each["subject"]["a"]) for each in told}) == 1
    assert "10.0.0.1" not in str(told)


def test_disk_that_fails_is_counted_and_said_and_the_log_is_told_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "RETRY_S", 0.02)
    with running(tmp_path) as made:
        made.disk.error = OSError(28, "No space left on device")
        began = time.monotonic()
        made.hold("a")
        made.put(numbered(1))
        eventually(lambda: made.log.ids == [1])
        assert time.monotonic() - began < module.PATIENCE_S / 2
        assert not made.outbox.has(made.outbox._number)
        eventually(lambda: made.outbox.errors >= 2)
        assert "No space left on device" in made.outbox.problem
        made.disk.error = None
        eventually(lambda: made.said == ["state_failed", "state_written"])
        assert made.outbox.problem == ""
        made.hold("b")
    assert made.log.ids == [1]
    assert stored(tmp_path) == ["a", "b"]


def test_disk_that_does_not_answer_holds_nobody_up_for_longer_than_its_patience(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PATIENCE_S", 1.0)
    with running(tmp_path) as made:
        made.disk.open.clear()
        began = time.monotonic()
        made.hold("a")
        made.put(numbered(1))
        made.put(numbered(2))
        assert time.monotonic() - began < 0.5
        assert made.log.ids == []
        while made.log.ids != [1, 2]:
            made.commit()
            time.sleep(0.01)
        assert 1.0 <= time.monotonic() - began < 4
        assert (made.outbox.errors, made.said) == (1, ["state_late"])
        assert "does not answer" in made.outbox.problem
        made.disk.open.set()
        eventually(lambda: made.disk.written)
        eventually(lambda: made.outbox.problem == "")
    assert made.log.ids == [1, 2]
    assert stored(tmp_path) == ["a"]
    assert FindingsFile(tmp_path, "plain").load().waiting == {}


def test_file_that_cannot_be_read_at_the_start_is_written_anew_when_it_can(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running(tmp_path) as made:
        made.hold("old")
    with monkeypatch.context() as patch:
        patch.setattr(Disk, "load", lambda _: (_ for _ in ()).throw(OSError(5, "Input/output error")))
        made = Made(tmp_path)
    assert (made.outbox.stored.kept, made.outbox.errors, made.said) == ([], 1, ["state_failed"])
    made.outbox.start()
    made.hold("new")
    made.outbox.flush(5.0)
    made.outbox.stop()
    assert stored(tmp_path) == ["new"]


def test_file_that_another_sensor_has_is_left_to_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(findings, "PATIENCE_S", 0.01)
    with running(tmp_path) as made:
        made.hold("first")
        made.outbox.flush(5.0)
        with pytest.raises(StateError, match="another sensor uses it"):
            Made(tmp_path)
    assert stored(tmp_path) == ["first"]


def test_file_that_is_moved_aside_while_it_runs_has_everything_again(tmp_path: Path) -> None:
    with running(tmp_path) as made:
        made.hold("a")
        made.put(numbered(1))
        made.outbox.flush(5.0)
        before = made.outbox._number
        assert made.outbox.has(before)
        made.disk._execute("INSERT INTO events VALUES (1, 'x')")
        made.disk._execute("INSERT INTO waiting VALUES (1, 'web')")
        assert made.outbox.head("web", 0, 9) == []
        assert not made.outbox.has(before)
        assert (made.outbox.resets, made.outbox.errors, made.said) == (1, 1, ["state_moved_aside"])
        made.commit()
        made.outbox.flush(5.0)
        assert made.disk.load().told.keys() == {numbered(1)["id"]}
    assert stored(tmp_path) == ["a"]


def test_log_gets_what_an_earlier_run_had_written_and_not_told(tmp_path: Path) -> None:
    made = Made(tmp_path)  # killed between the two
    made.outbox.put(numbered(1))
    made.outbox.put(numbered(2))
    made.commit()
    made.disk.write(made.outbox._pending)
    made.disk.close()
    with running(tmp_path) as again:
        assert again.log.ids == [1, 2]
        again.put(numbered(3))
        eventually(lambda: again.log.ids == [1, 2, 3])
    with running(tmp_path) as again:
        assert again.log.ids == []


def test_sink_that_is_configured_no_longer_is_forgotten_and_that_is_said(tmp_path: Path) -> None:
    made = Made(tmp_path)
    made.outbox.deliver_to([Delivery("web", Heard(), shelf=made.outbox.shelf("web"))])
    made.outbox.put(numbered(1))
    made.commit()
    made.disk.write(made.outbox._pending)
    made.disk.close()
    again = Made(tmp_path)
    assert again.outbox.stored.waiting.keys() == {"log", "web"}
    again.outbox.deliver_to([])
    again.outbox.start()
    again.outbox.flush(5.0)
    again.outbox.stop()
    assert again.said == ["sink_forgotten"]
    assert FindingsFile(tmp_path, "plain").load().waiting == {}


def test_worst_that_was_said_is_remembered_until_the_end(tmp_path: Path) -> None:
    with running(tmp_path) as made:
        for severity in ("medium", "high", "low"):
            made.put(numbered(1, severity=severity))
        made.put(numbered(2, state="waived", waived_by="J. Doe"), numbered(3), event("resolved", id=f"{3:016x}"))
    told = FindingsFile(tmp_path, "plain").load().told
    assert {int(said, 16): (each.worst, each.open) for said, each in told.items()} == {
        1: ("high", True),
        2: ("critical", False),
    }


def test_what_is_known_no_longer_is_forgotten_with_what_could_not_be_restored(tmp_path: Path) -> None:
    with running(tmp_path) as made:
        made.hold("a")
        made.hold("b")
        made.put(numbered(1), numbered(2))
    again = Made(tmp_path)
    again.book.restore((each, T0 + S) for each in again.outbox.stored.kept if each.finding.subject.a == "a")
    again.outbox.resume([numbered(1)])
    again.outbox.start()
    again.commit()
    again.outbox.flush(5.0)
    again.outbox.stop()
    left = FindingsFile(tmp_path, "plain").load()
    assert ([each.finding.subject.a for each in left.kept], list(left.told)) == (["a"], [numbered(1)["id"]])


def test_event_that_a_sink_settled_is_not_given_to_it_again_before_that_is_written(tmp_path: Path) -> None:
    made = Made(tmp_path)
    made.outbox.deliver_to([Delivery("web", Heard(), shelf=made.outbox.shelf("web"))])
    for n in range(4):
        made.outbox.put(numbered(n))
    made.commit()
    made.outbox.turn()
    first, second, third, fourth = (each.number for each in made.outbox.head("web", 0, 9))
    made.outbox.settle("web", [second])
    assert [each.number for each in made.outbox.head("web", 0, 2)] == [first, third]
    made.outbox.turn()
    made.outbox.settle("web", [third])
    assert [each.number for each in made.outbox.head("web", 0, 9)] == [first, fourth]
    made.disk.close()


def test_numbers_grow_though_the_file_was_lost(tmp_path: Path) -> None:
    made = Made(tmp_path)
    made.outbox.put(numbered(1))
    made.commit()
    made.outbox.turn()
    ((number, *_),) = made.disk.written[0].events.items()
    made.disk.close()
    (tmp_path / NAME).unlink()
    again = Made(tmp_path)
    assert again.outbox._number > number
    again.disk.close()
