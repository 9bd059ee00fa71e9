"""A sensor that is killed anywhere and started again: what its sinks are told is what one sensor would have told."""

from __future__ import annotations

import json
import random
import sqlite3
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from sensor.alerts.delivery import Delivery
from sensor.alerts.event import Change, Event, finding_event
from sensor.alerts.notifier import Notifier
from sensor.alerts.sender import Sender, SendError
from sensor.config.network import Alerts
from sensor.findings import Book, Claim
from sensor.model import Finding, Severity, Subject
from sensor.state.findings import Changes, FindingsFile
from sensor.state.outbox import Outbox
from tests.unit.sensor.traffic import T0, S

SETTLE_S, HELD_S, WINDOW_S = 30, 60, 60
STORIES = 300


class KilledError(BaseException):
    """SIGKILL: nothing that runs may catch it."""


class Fuse:
    """Kills at the n-th of all the places where it is passed."""

    def __init__(self) -> None:
        self.left: int | None = None

    def passes(self) -> None:
        if self.left is not None:
            self.left -= 1
            if self.left < 0:
                self.left = None
                raise KilledError


class Disk(FindingsFile):
    """A file that can be killed at each statement; ``committed`` are the events that were ever in it."""

    def __init__(self, folder: Path, fuse: Fuse, committed: list[str]) -> None:
        super().__init__(folder, "plain")
        self.fuse, self.committed, self.full = fuse, committed, False

    def write(self, changes: Changes) -> None:
        if self.full:
            raise OSError(28, "No space left on device")
        super().write(changes)
        self.committed += [text for text, _ in changes.events.values()]
        self.fuse.passes()

    def die(self) -> None:
        """Leave the file as a process that is killed does."""
        if self._db is not None:
            with suppress(sqlite3.Error):
                self._db.close()  # rolls back

    def _execute(self, statement: str, *values: object) -> list[tuple[object, ...]]:
        self.fuse.passes()
        return super()._execute(statement, *values)

    def _execute_each(self, statement: str, rows: Sequence[tuple[object, ...]]) -> None:
        self.fuse.passes()
        super()._execute_each(statement, rows)


class Receiver(Sender):
    """Who is told; it outlives every sensor."""

    def __init__(self, fuse: Fuse, batch: int) -> None:
        self.fuse, self.batch = fuse, batch
        self.got: list[str] = []
        self.down = False

    def put(self, event: Event) -> None:
        """Take an event, as the log."""
        self.send([event])

    def send(self, events: Sequence[Event]) -> None:
        self.fuse.passes()
        if self.down:
            raise SendError("down")
        self.got += [json.dumps(event, separators=(",", ":")) for event in events]
        self.fuse.passes()

    def told(self) -> list[str]:
        """What it was told, without what came again when it was known to a sensor no longer that it had come."""
        return list(dict.fromkeys(self.got))


class World:
    """What is true, whoever looks; a sensor that looks; and what else outlives it."""

    def __init__(self, folder: Path, limits: Alerts) -> None:
        self.folder, self.limits = folder, limits
        self.fuse = Fuse()
        self.committed: list[str] = []
        self.receivers = {"log": Receiver(self.fuse, 1), "near": Receiver(self.fuse, 1), "far": Receiver(self.fuse, 4)}
        self.true: dict[int, Claim] = {}
        self.waived = False
        self.now_ns = T0
        self.events = 0
        self.kills = 0
        self.start()

    def start(self) -> None:
        self.disk = Disk(self.folder, self.fuse, self.committed)
        self.outbox = Outbox(self.disk, self.receivers["log"], "log", lambda *_, **__: None)
        self.deliveries = [
            Delivery(name, self.receivers[name], queue=queue, shelf=self.outbox.shelf(name), spool_octets=spool)
            for name, queue, spool in (("near", 1000, 0), ("far", 3, 1 << 20))
        ]
        self.outbox.deliver_to(self.deliveries)
        self.notifier = Notifier([self.outbox], self.limits, self.made)
        self.book = Book([self.notifier, self.outbox], waived=lambda *_: "J. Doe" if self.waived else None)
        self.book.settle_ns = SETTLE_S * S
        stored = self.outbox.stored
        self.book.restore((kept, self.now_ns + HELD_S * S) for kept in stored.kept)
        told = {said: each.open for said, each in stored.told.items()}
        self.outbox.resume(self.notifier.resume(told, stored.summaries, renamed=False))
        self.book.waive(self.now_ns)
        self.outbox.catch_up()  # its thread is not started: each turn is a step of the test

    def made(self, finding: Finding, change: Change) -> Event:
        self.events += 1  # no two events are the same
        return finding_event(finding, change, time=f"event {self.events}", site="", sensor="", runbooks="")

    # What may happen

    def claim(self, holder: int, subject: int, severity: Severity) -> None:
        self.true[holder] = Claim("media-clear", severity, Subject("leg", str(subject)), (), f"by {holder}", ())
        self.book.hold(holder, [self.true[holder]], self.now_ns)

    def leave(self, holder: int) -> None:
        self.true.pop(holder, None)
        self.book.hold(holder, [], self.now_ns)

    def see(self) -> None:
        """Find again all that is true."""
        for holder, claim in self.true.items():
            self.book.hold(holder, [claim], self.now_ns)

    def passes(self, seconds: int) -> None:
        self.now_ns += seconds * S
        self.book.advance(self.now_ns)
        self.notifier.advance(self.now_ns)

    def waive(self) -> None:
        self.waived = not self.waived
        self.book.waive(self.now_ns)

    def commit(self) -> None:
        self.outbox.commit(self.book, self.notifier.summaries(), self.now_ns)

    def write(self) -> None:
        self.outbox.turn()

    def deliver(self, which: int) -> None:
        delivery = self.deliveries[which]
        while delivery._fill() and delivery._attempt():
            pass

    def tell(self) -> None:
        """Write what there is, and have it delivered."""
        self.write()
        self.deliver(0)
        self.deliver(1)
        self.write()

    def turn_down(self, down: bool) -> None:
        self.receivers["far"].down = down

    def restart(self) -> None:
        """End as SIGTERM has it, and begin again."""
        self.notifier.close()
        self.outbox.commit(self.book, self.notifier.summaries(), self.now_ns, save=True)
        self.outbox.turn()
        for delivery in self.deliveries:
            delivery.stop(0.0)
        self.outbox.turn()
        self.outbox.stop()
        self.start()

    def kill(self) -> None:
        """End at once, and begin again; the fuse of the last kill may be burning still."""
        self.kills += 1
        self.disk.die()
        self.start()

    def settle(self) -> None:
        """Let everything come to an end."""
        self.fuse.left = None
        self.turn_down(False)
        self.see()
        true = {(claim.code, claim.subject) for claim in self.true.values()}
        before = [each for each in self.book.open_findings() if (each.code, each.subject) in true]
        for _ in range(4):
            self.see()
            self.passes(WINDOW_S + HELD_S)
            self.commit()
            self.tell()
        assert all(any(each is other for other in self.book.open_findings()) for each in before)


def run(world: World, steps: Iterable[tuple[Any, ...]]) -> None:
    for name, *arguments in steps:
        if name == "burn":
            world.fuse.left = arguments[0]
            continue
        try:
            getattr(world, name)(*arguments)
            world.commit()  # as after each step of the sensor
        except KilledError:
            while True:  # it may be killed while it starts, too
                try:
                    world.kill()
                    break
                except KilledError:
                    pass


def lives(events: Iterable[str]) -> dict[str, list[Event]]:
    """The events of each finding."""
    found = defaultdict(list)
    for text in events:
        event = json.loads(text)
        found[event["id"]].append(event)
    return found


def assert_is_a_life(events: list[Event]) -> None:
    """Opened, updated, resolved, and so on; that a waiver is over opens, too."""
    state = "resolved"
    for event in events:
        name = event["event"]
        if name == "finding_opened":
            assert state == "resolved" or (state == "waived" and event["state"] == "open"), events
        elif name in {"finding_updated", "finding_resolved"}:
            assert state != "resolved", events
        state = "resolved" if name == "finding_resolved" else event["state"]


def assert_adds_up(summaries: list[Event]) -> None:
    """Each counts what the one before did, what was opened since, and what is over no more."""
    count = 0
    for event in summaries:
        assert event["count"] == count + event["suppressed"]["opened"] - event["suppressed"]["resolved"]
        count = event["count"]


def story(seed: int) -> list[tuple[Any, ...]]:
    """Steps by chance: much is found and told, and one step in ten is the last one of a sensor."""
    chance = random.Random(seed)
    kinds: dict[str, tuple[int, Callable[[], tuple[Any, ...]]]] = {
        "claim": (8, lambda: (chance.randrange(5), chance.randrange(4), chance.choice(["low", "high"]))),
        "leave": (5, lambda: (chance.randrange(5),)),
        "tell": (6, tuple),
        "write": (3, tuple),
        "deliver": (2, lambda: (chance.randrange(2),)),
        "turn_down": (1, lambda: (chance.random() < 0.5,)),
        "passes": (5, lambda: (chance.choice([1, 10, 20, 45, 100]),)),
        "see": (3, tuple),
        "waive": (1, tuple),
        "restart": (1, tuple),
        "kill": (2, tuple),
        "burn": (2, lambda: (chance.randrange(60),)),
    }
    names = chance.choices(list(kinds), [weight for weight, _ in kinds.values()], k=chance.randrange(5, 80))
    return [(name, *kinds[name][1]()) for name in names]


@pytest.mark.parametrize("first", range(0, STORIES, STORIES // 10))
def test_sensor_killed_anywhere_says_each_step_of_each_finding_once(first: int) -> None:
    for seed in range(first, first + STORIES // 10):
        look_at(story(seed), burst=1 + seed % 2 * 99)


def look_at(steps: list[tuple[Any, ...]], *, burst: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        world = World(Path(folder), Alerts(burst=burst, window=WINDOW_S))
        run(world, steps)
        world.settle()
        for name, receiver in world.receivers.items():
            assert receiver.told() == world.committed, name
            assert world.kills or receiver.told() == receiver.got
        said = lives(world.committed)
        summaries = [events for events in said.values() if events[0]["event"] == "finding_summary"]
        findings = {each: events for each, events in said.items() if events[0]["event"] != "finding_summary"}
        for events in findings.values():
            assert_is_a_life(events)
        for events in summaries:
            assert_adds_up(events)
        open_ = {finding.id: finding.state for finding in world.book.open_findings()}
        last = {each: events[-1] for each, events in findings.items() if events[-1]["event"] != "finding_resolved"}
        assert last.keys() <= open_.keys()
        counted = summaries[0][-1]["count"] if summaries else 0
        assert all(last[each]["state"] == open_[each] or last[each]["state"] == "waived" for each in last)
        is_open = [each for each, state in open_.items() if state == "open"]
        is_said = [each for each in is_open if each in last and last[each]["state"] == "open"]
        assert len(is_open) == len(is_said) + counted
        assert len({claim.subject for claim in world.true.values()}) == len(open_)
        world.disk.die()
