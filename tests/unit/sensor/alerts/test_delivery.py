"""Delivery: nothing is lost silently, nothing waits for a receiver but its own thread."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sensor.alerts.delivery import Counts, Delivery
from sensor.alerts.event import Event
from sensor.alerts.sender import Sender, SendError
from sensor.findings import Book
from sensor.state.findings import FindingsFile, Written
from sensor.state.outbox import Outbox
from tests.unit.sensor.alerts.samples import event, numbered, summary
from tests.unit.sensor.traffic import T0

MIB = 1 << 20
DOWN, REFUSED, BROKEN = SendError("down"), SendError("HTTP 400", permanent=True), RuntimeError("a defect")


class Receiver(Sender):
    """Keeps what it is sent; answers as ``answer`` says: raises what that returns, None takes the events."""

    def __init__(self, answer: Callable[[Sequence[Event]], Exception | None] = lambda _: None, batch: int = 1) -> None:
        self.answer = answer
        self.batch = batch
        self.got: list[int] = []
        self.attempts = 0
        self.closed = 0

    def send(self, events: Sequence[Event]) -> None:
        self.attempts += 1
        assert 0 < len(events) <= self.batch
        if error := self.answer(events):
            raise error
        self.got += [int(event["id"], 16) for event in events]

    def close(self) -> None:
        self.closed += 1


def eventually(look: Callable[[], object], seconds: float = 5.0) -> None:
    """Wait until something is true."""
    deadline = time.monotonic() + seconds
    while not look():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.002)


def ended(n: int) -> Event:
    """The end of another finding for each number."""
    return event("resolved", id=f"{n:016x}", state="resolved")


def adds_up(counts: Counts) -> bool:
    """Whether every event is accounted for, once."""
    return (
        counts.delivered + sum(counts.dropped.values()) + counts.queued + counts.spooled
        == counts.put + counts.restored
    )  # fmt: skip


@contextmanager
def delivering(sender: Sender, **options: Any) -> Iterator[Delivery]:
    """A delivery that tries again soon, and is stopped at the end."""
    delivery = Delivery("test", sender, **({"first_pause_s": 0.01, "greatest_pause_s": 0.02} | options))
    delivery.start()
    try:
        yield delivery
    finally:
        delivery.stop(2.0)
        assert adds_up(delivery.counts())


def test_events_arrive_in_their_order_in_batches_that_the_receiver_takes() -> None:
    receiver = Receiver(batch=7)
    with delivering(receiver) as delivery:
        for n in range(100):
            delivery.put(numbered(n))
        eventually(lambda: delivery.counts().delivered == 100)
    assert receiver.got == list(range(100))
    assert receiver.closed == 1
    counts = delivery.counts()
    assert (counts.put, counts.queued, counts.retries, counts.up) == (100, 0, 0, True)
    assert abs(counts.last_delivery - time.time()) < 10


def test_receiver_that_was_down_gets_everything_in_order_and_both_changes_are_said_once() -> None:
    said: list[tuple[str, str]] = []
    down = threading.Event()
    down.set()
    receiver = Receiver(lambda _: DOWN if down.is_set() else None, batch=3)
    with delivering(receiver, say=lambda name, **keys: said.append((name, keys.get("reason", "")))) as delivery:
        for n in range(10):
            delivery.put(numbered(n))
        eventually(lambda: receiver.attempts > 3)
        counts = delivery.counts()
        assert (counts.up, counts.queued, counts.delivered, counts.last_delivery) == (False, 10, 0, 0.0)
        assert counts.retries >= 3
        down.clear()
        eventually(lambda: delivery.counts().delivered == 10)
        assert delivery.counts().up
    assert receiver.got == list(range(10))
    assert said == [("sink_down", "down"), ("sink_up", "")]


def test_pauses_grow_to_their_greatest_and_differ() -> None:
    times: list[float] = []

    def answer(_: Sequence[Event]) -> Exception:
        times.append(time.monotonic())
        return DOWN

    receiver = Receiver(answer)
    with delivering(receiver, first_pause_s=0.02, greatest_pause_s=0.08) as delivery:
        delivery.put(numbered(1))
        eventually(lambda: len(times) > 6)
    pauses = [after - before for before, after in pairwise(times)]
    assert 0.01 <= pauses[0] < 0.04
    assert min(pauses[3:6]) >= 0.04
    assert len({round(pause, 4) for pause in pauses[2:6]}) > 1


@pytest.mark.parametrize("error", [REFUSED, BROKEN], ids=["refused", "defect"])
def test_event_that_is_refused_is_dropped_once_and_alone(error: Exception) -> None:
    receiver = Receiver(lambda events: error if any(event["id"].endswith("5") for event in events) else None, batch=8)
    with delivering(receiver) as delivery:
        for n in range(16):
            delivery.put(numbered(n))
        eventually(lambda: delivery.counts().queued == 0)
    assert receiver.got == [n for n in range(16) if n != 5]
    assert delivery.counts().dropped == {"full": 0, "refused": 1, "spool": 0, "unsent": 0}
    assert delivery.counts().retries == 0


def test_queue_that_is_full_drops_the_newest_and_counts_them() -> None:
    receiver = Receiver(lambda _: DOWN)
    with delivering(receiver, queue=16) as delivery:
        for n in range(40):
            delivery.put(numbered(n))
        counts = delivery.counts()
        assert adds_up(counts)
        assert counts.queued in {16, 17}, "one may be in hand"
        receiver.answer = lambda _: None
        eventually(lambda: delivery.counts().queued == 0)
    assert receiver.got == list(range(len(receiver.got)))


def test_end_that_finds_the_queue_full_takes_the_room_of_the_oldest_event_that_is_none() -> None:
    receiver = Receiver(lambda _: DOWN)
    with delivering(receiver, queue=16) as delivery:
        delivery.put(numbered(100))
        eventually(lambda: receiver.attempts)
        for n in range(16):
            delivery.put(numbered(n))
        delivery.put(ended(200))
        delivery.put(event("updated", id=f"{201:016x}", state="waived", waived_by="J. Doe"))
        delivery.put(event("opened", id=f"{202:016x}", state="waived", waived_by="J. Doe"))
        assert adds_up(delivery.counts())
        assert delivery.counts().dropped["full"] == 3
        receiver.answer = lambda _: None
        eventually(lambda: delivery.counts().queued == 0)
    assert receiver.got == [100, *range(2, 16), 200, 201]


class Repeating(Receiver):
    """Remembers what it is to forget, and how much it had got by then."""

    repeat_s = 0.01

    def __init__(self, answer: Callable[[Sequence[Event]], Exception | None]) -> None:
        super().__init__(answer)
        self.forgotten: list[tuple[int, int]] = []

    def forget(self, findings: Iterable[str]) -> None:
        self.forgotten += [(int(finding, 16), len(self.got)) for finding in findings]


def test_end_for_which_there_is_no_room_at_all_is_forgotten_by_the_sender_after_what_waits() -> None:
    receiver = Repeating(lambda _: DOWN)
    with delivering(receiver, queue=16) as delivery:
        delivery.put(numbered(100))
        eventually(lambda: receiver.attempts)
        for n in (*range(16), 100, 101):
            delivery.put(ended(n))
        assert delivery.counts().dropped["full"] == 2
        eventually(lambda: receiver.forgotten.count((100, 0)) > 1)
        receiver.answer = lambda _: None
        eventually(lambda: delivery.counts().queued == 0)
        eventually(lambda: receiver.forgotten[-1][1])
    assert receiver.forgotten[-1][0] == 100
    assert [finding for finding, _ in receiver.forgotten].count(101) == 1


def test_finding_that_opens_again_is_not_forgotten() -> None:
    receiver = Repeating(lambda _: None)
    delivery = Delivery("test", receiver, queue=16)
    for n in range(18):
        delivery.put(ended(n))
    delivery.put(numbered(16))
    delivery._forget()
    assert receiver.forgotten == [(17, 0)]
    delivery.stop(0.1)


def test_end_that_is_refused_is_forgotten_by_the_sender() -> None:
    receiver = Repeating(lambda _: REFUSED)
    with delivering(receiver) as delivery:
        delivery.put(numbered(1))
        delivery.put(ended(2))
        eventually(lambda: delivery.counts().queued == 0)
    assert receiver.forgotten == [(2, 0)]


def test_put_returns_at_once_while_the_receiver_keeps_its_sender_waiting() -> None:
    waiting, leave = threading.Event(), threading.Event()

    def wait(_: Sequence[Event]) -> None:
        waiting.set()
        leave.wait(10)

    with delivering(Receiver(wait)) as delivery:
        delivery.put(numbered(0))
        assert waiting.wait(5)
        began = time.monotonic()
        for n in range(1000):
            delivery.put(numbered(n))
        assert time.monotonic() - began < 0.5
        leave.set()
        eventually(lambda: delivery.counts().queued == 0)


def test_sender_that_waits_for_long_is_not_up_until_it_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sensor.alerts.delivery._LATE_S", 0.05)
    go_on = threading.Event()
    with delivering(Receiver(lambda _: None if go_on.wait(10) else OSError())) as delivery:
        assert delivery.counts().up
        delivery.put(numbered(1))
        eventually(lambda: not delivery.counts().up)
        go_on.set()
        eventually(lambda: delivery.counts().delivered == 1)
        assert delivery.counts().up


def test_delivery_stopped_sends_what_is_left() -> None:
    receiver = Receiver(lambda _: time.sleep(0.001), batch=2)
    with delivering(receiver) as delivery:
        for n in range(50):
            delivery.put(numbered(n))
    assert receiver.got == list(range(50))


def test_delivery_stopped_while_the_receiver_is_down_drops_and_counts_the_rest() -> None:
    with delivering(Receiver(lambda _: DOWN), first_pause_s=60, greatest_pause_s=60) as delivery:
        for n in range(5):
            delivery.put(numbered(n))
        eventually(lambda: not delivery.counts().up)
        began = time.monotonic()
        delivery.stop(5.0)
        assert time.monotonic() - began < 1
        delivery.put(numbered(9))
    assert delivery.counts().dropped["unsent"] == 6


def test_delivery_stopped_while_its_sender_waits_leaves_at_the_deadline() -> None:
    leave = threading.Event()

    class Stuck(Receiver):
        def interrupt(self) -> None:
            leave.set()

    receiver = Stuck(lambda _: DOWN if leave.wait(10) else None)
    with delivering(receiver) as delivery:
        delivery.put(numbered(1))
        delivery.put(numbered(2))
        eventually(lambda: receiver.attempts)
        began = time.monotonic()
        delivery.stop(0.1)
        assert time.monotonic() - began < 1
        assert delivery.counts().dropped["unsent"] == 2


def test_delivery_that_was_never_started_can_be_stopped() -> None:
    delivery = Delivery("test", Receiver())
    delivery.put(numbered(1))
    delivery.stop(1.0)
    assert adds_up(delivery.counts())


def test_events_below_the_least_severity_are_counted_and_not_sent() -> None:
    receiver = Receiver()
    with delivering(receiver, min_severity="high") as delivery:
        delivery.put(numbered(1, severity="medium"))
        delivery.put(numbered(2, severity="high"))
        delivery.put(numbered(3, severity="critical"))
        eventually(lambda: delivery.counts().delivered == 2)
    assert (receiver.got, delivery.counts().filtered, delivery.counts().put) == ([2, 3], 1, 2)


def test_finding_that_was_said_is_resolved_though_it_became_less_severe() -> None:
    receiver = Receiver()
    low: dict[str, Any] = {"id": f"{7:016x}", "severity": "low"}
    with delivering(receiver, min_severity="high") as delivery:
        delivery.put(numbered(7, severity="high"))
        delivery.put(event("updated", **low))
        delivery.put(event("resolved", state="resolved", **low))
        delivery.put(event("resolved", state="resolved", **low))
        delivery.put(summary())
        eventually(lambda: delivery.counts().delivered == 4)
    assert delivery.counts().filtered == 1


def test_summary_that_became_less_severe_is_still_said_to_its_end() -> None:
    receiver = Receiver()
    low, over = summary() | {"severity": "low"}, summary() | {"severity": "low", "state": "resolved"}
    with delivering(receiver, min_severity="high") as delivery:
        for said in (low, summary(), low, over, over):
            delivery.put(said)
        eventually(lambda: delivery.counts().delivered == 3)
    assert delivery.counts().filtered == 2


def test_sender_that_repeats_is_called_when_that_is_due() -> None:
    class Failing(Receiver):
        repeat_s = 0.02
        repeats = 0

        def repeat(self) -> None:
            self.repeats += 1
            if self.repeats == 2:
                raise DOWN

    receiver = Failing()
    with delivering(receiver) as delivery:
        eventually(lambda: receiver.repeats == 2 and not delivery.counts().up)
        eventually(lambda: receiver.repeats > 3)
        assert delivery.counts().up


class Disk:
    """An outbox in a folder, with one delivery behind it."""

    def __init__(self, folder: Path, sender: Sender, **options: Any) -> None:
        self.said: list[str] = []
        self.file = FindingsFile(folder, "plain")
        self.outbox = Outbox(self.file, QUIET, "log", lambda name, **_: self.said.append(name))
        settings: dict[str, Any] = {
            "first_pause_s": 0.01,
            "greatest_pause_s": 0.02,
            "shelf": self.outbox.shelf("test"),
        } | options
        self.delivery = Delivery("test", sender, **settings)
        self.outbox.deliver_to([self.delivery])

    def put(self, *events: Event) -> None:
        """Have events written, and then delivered."""
        for each in events:
            self.outbox.put(each)
        self.outbox.commit(Book(()), {}, T0)

    def counts(self) -> Counts:
        return self.delivery.counts()

    def ends(self) -> None:
        """End as a sensor does."""
        self.outbox.flush(5.0)
        self.delivery.stop(2.0)
        self.outbox.stop()
        assert adds_up(self.counts())

    def is_killed(self) -> None:
        """Leave on disk what is there."""
        self.outbox.flush(5.0)
        self.delivery._sender.send = Receiver(lambda _: DOWN).send  # type: ignore[method-assign]
        self.outbox.stop()
        self.delivery.stop(0.0)


class Quiet:
    """A log that nobody reads."""

    def put(self, event: Event) -> None:
        pass


QUIET = Quiet()


@contextmanager
def on_disk(folder: Path, sender: Sender, **options: Any) -> Iterator[Disk]:
    disk = Disk(folder, sender, **options)
    disk.outbox.start()
    disk.delivery.start()
    try:
        yield disk
    finally:
        disk.ends()


def test_what_waits_beyond_the_queue_is_on_disk_only_and_comes_back_in_order(tmp_path: Path) -> None:
    receiver = Receiver(lambda _: DOWN, batch=4)
    with on_disk(tmp_path, receiver, queue=16, spool_octets=MIB) as disk:
        for n in range(100):
            disk.put(numbered(n))
        eventually(lambda: disk.counts().queued + disk.counts().spooled == 100)
        assert disk.counts().queued <= 20
        receiver.answer = lambda _: None
        eventually(lambda: disk.counts().delivered == 100)
        for n in range(100, 120):
            disk.put(numbered(n))
        eventually(lambda: disk.counts().delivered == 120)
    assert receiver.got == list(range(120))
    assert sum(disk.counts().dropped.values()) == 0


@pytest.mark.parametrize("end", ["ends", "is_killed"])
@pytest.mark.parametrize("spool_octets", [0, MIB], ids=["queue", "spool"])
def test_what_waits_at_the_end_is_delivered_by_the_next_run(tmp_path: Path, spool_octets: int, end: str) -> None:
    disk = Disk(tmp_path, Receiver(lambda _: DOWN), spool_octets=spool_octets)
    disk.outbox.start()
    disk.delivery.start()
    disk.put(*map(numbered, range(20)))
    getattr(disk, end)()
    receiver = Receiver(batch=8)
    with on_disk(tmp_path, receiver, spool_octets=spool_octets) as disk:
        disk.put(numbered(20))
        eventually(lambda: disk.counts().delivered == 21)
    assert receiver.got == list(range(21))
    assert (disk.counts().restored, disk.counts().put) == (20, 1)
    assert FindingsFile(tmp_path, "plain").load().waiting == {}


def test_sink_without_a_spool_leaves_no_more_than_its_queue_however_often_it_is_restarted(tmp_path: Path) -> None:
    for _ in range(3):
        with on_disk(tmp_path, Receiver(lambda _: DOWN), queue=16) as disk:
            disk.put(*map(numbered, range(20)))
    assert FindingsFile(tmp_path, "plain").load().waiting["test"][0] <= 17  # one was in hand


def test_spool_that_is_full_leaves_the_rest_in_memory_and_then_drops(tmp_path: Path) -> None:
    receiver = Receiver(lambda _: DOWN)
    with on_disk(tmp_path, receiver, queue=16, spool_octets=32 * 1024) as disk:
        for n in range(0, 300, 2):
            disk.put(numbered(n), ended(n + 1))
        eventually(lambda: disk.counts().put == 300)
        counts = disk.counts()
        assert adds_up(counts)
        assert counts.spooled > 20
        assert counts.dropped["full"] > 0
        receiver.answer = lambda _: None
        eventually(lambda: disk.counts().queued + disk.counts().spooled == 0)
    assert receiver.got == sorted(receiver.got)
    assert len(receiver.got) == disk.counts().delivered == 300 - counts.dropped["full"]
    assert disk.counts().dropped["spool"] == 0


def test_event_on_disk_that_is_refused_is_dropped_alone(tmp_path: Path) -> None:
    with on_disk(tmp_path, Receiver(lambda _: DOWN)) as disk:
        disk.put(*map(numbered, range(10)))
    receiver = Receiver(lambda events: REFUSED if any(event["id"].endswith("5") for event in events) else None, batch=8)
    with on_disk(tmp_path, receiver) as disk:
        eventually(lambda: disk.counts().spooled + disk.counts().queued == 0)
    assert receiver.got == [0, 1, 2, 3, 4, 6, 7, 8, 9]
    assert FindingsFile(tmp_path, "plain").load().waiting == {}


def test_file_that_becomes_unreadable_is_counted_and_said_once_and_events_go_on(tmp_path: Path) -> None:
    receiver = Receiver(lambda _: DOWN)
    with on_disk(tmp_path, receiver, queue=2, spool_octets=MIB) as disk:
        disk.put(numbered(0))
        eventually(lambda: receiver.attempts)
        disk.put(*map(numbered, range(1, 6)))
        eventually(lambda: disk.counts().spooled == 4)
        disk.outbox.flush(5.0)
        assert disk.file._db is not None
        disk.file._db.execute("UPDATE events SET event = 'x'")
        receiver.answer = lambda _: None
        eventually(lambda: disk.counts().delivered == 2)
        disk.put(numbered(6))
        eventually(lambda: disk.counts().delivered == 3)
    assert (disk.counts().dropped["spool"], receiver.got) == (4, [0, 5, 6])
    assert disk.said.count("state_moved_aside") == 1


def test_disk_that_does_not_give_what_waits_is_asked_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with on_disk(tmp_path, Receiver(lambda _: DOWN)) as disk:
        disk.put(*map(numbered, range(5)))
    receiver = Receiver()
    disk = Disk(tmp_path, receiver)
    errors = iter([OSError(5, "Input/output error"), BROKEN])
    head = disk.file.head

    def failing(sink: str, after: int, count: int) -> list[Written]:
        if error := next(errors, None):
            raise error
        return head(sink, after, count)

    monkeypatch.setattr(disk.file, "head", failing)
    disk.outbox.start()
    disk.delivery.start()
    eventually(lambda: disk.counts().delivered == 5)
    disk.ends()
    assert (receiver.got, disk.counts().retries) == (list(range(5)), 2)


def test_finding_that_was_said_in_an_earlier_run_is_said_to_its_end(tmp_path: Path) -> None:
    with on_disk(tmp_path, Receiver(), min_severity="high") as disk:
        disk.put(numbered(1, severity="high"), numbered(2, severity="low"))
        disk.put(event("updated", id=f"{1:016x}", severity="low"))
        eventually(lambda: disk.counts().delivered == 2)
    receiver = Receiver()
    disk = Disk(tmp_path, receiver, min_severity="high")
    disk.outbox.resume([numbered(1, severity="low"), numbered(2, severity="low")])
    disk.outbox.start()
    disk.delivery.start()
    for n in (1, 2):
        disk.put(event("resolved", id=f"{n:016x}", severity="low", state="resolved"))
    eventually(lambda: disk.counts().delivered == 1)
    disk.ends()
    assert (receiver.got, disk.counts().filtered) == ([1], 1)


def test_listener_and_repeat_that_fail_do_not_end_the_delivery() -> None:
    class Broken(Receiver):
        repeat_s = 0.005

        def repeat(self) -> None:
            raise BROKEN

    def listen(*_: object, **__: object) -> None:
        raise BROKEN

    receiver = Broken()
    with delivering(receiver, say=listen) as delivery:
        eventually(lambda: not delivery.counts().up)
        delivery.put(numbered(1))
        eventually(lambda: delivery.counts().delivered == 1)


@given(
    answers=st.lists(st.sampled_from([None, DOWN, REFUSED, BROKEN]), max_size=20),
    puts=st.integers(0, 30),
    batch=st.integers(1, 5),
    spool_octets=st.sampled_from([0, 4000, MIB]),
)
def test_whatever_the_receiver_answers_every_event_is_accounted_for(
    tmp_path_factory: pytest.TempPathFactory,
    answers: list[Exception | None],
    puts: int,
    batch: int,
    spool_octets: int,
) -> None:
    left = iter(answers)
    receiver = Receiver(lambda _: next(left, None), batch=batch)
    folder = tmp_path_factory.mktemp("state")
    pauses = {"first_pause_s": 0.0005, "greatest_pause_s": 0.001}
    with on_disk(folder, receiver, queue=4, spool_octets=spool_octets, **pauses) as disk:
        disk.put(*map(numbered, range(puts)))
        eventually(lambda: disk.counts().put == puts)
        eventually(lambda: disk.counts().queued + disk.counts().spooled == 0)
        assert adds_up(disk.counts())
    assert receiver.got == sorted(set(receiver.got))
    assert disk.counts().delivered == len(receiver.got)
    assert FindingsFile(folder, "plain").load().waiting == {}


def test_stop_that_comes_while_the_thread_turns_around_is_not_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    delivery = Delivery("test", Receiver(lambda _: None))
    wake = delivery._wake
    clear = wake.clear

    def stopped_meanwhile() -> None:
        monkeypatch.setattr(wake, "clear", clear)
        delivery._stop_at = time.monotonic() + 5  # as stop() does
        wake.set()
        clear()

    monkeypatch.setattr(wake, "clear", stopped_meanwhile)
    delivery.start()
    delivery._thread.join(2)
    assert not delivery._thread.is_alive()
