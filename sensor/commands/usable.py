"""Whether the places that a configuration names can be used, by whoever asks: tried, without an alert being sent."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from sensor.alerts.build import sender_of
from sensor.alerts.sender import SendError
from sensor.trial import try_out

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sensor.config.schema import Config
    from sensor.config.sinks import AnySink


class Place(NamedTuple):
    """Where a sensor would write, or whom it would tell."""

    name: str
    what: str
    problem: str = ""  # why it cannot be used


def places(config: Config) -> list[Place]:
    """Return every place, each tried out."""
    return list(_places(config))


def _places(config: Config) -> Iterator[Place]:
    state = config.state.directory or os.environ.get("STATE_DIRECTORY", "").partition(":")[0]
    if state:
        yield _own("state", Path(state))
    if config.ledger.directory:
        yield _own("ledger", Path(config.ledger.directory))
    if config.evidence.directory:
        yield _directory("evidence", Path(config.evidence.directory))
    for sink in config.sinks:
        yield _sink(sink, has_state=bool(state))


def _own(name: str, path: Path) -> Place:
    """Try a directory that the sensor makes, and whose files have to be the sensor's."""
    if not path.exists():
        there = next(each for each in path.parents if each.exists())
        return _directory(name, there)._replace(what=f"{path} can be made")
    place = _directory(name, path)
    if place.problem:
        return place
    foreign = [each.name for each in sorted(path.iterdir()) if not os.access(each, os.R_OK | os.W_OK)]
    return place._replace(problem=f"{path}: may not write {', '.join(foreign)}" if foreign else "")


def _directory(name: str, path: Path) -> Place:
    try:
        try_out(path)
    except OSError as error:
        return Place(name, "", f"{path}: {error.strerror}")
    return Place(name, f"{path} can be written")


def _sink(sink: AnySink, *, has_state: bool) -> Place:
    name = f"sink {sink.label}"
    if sink.spool and not has_state:
        return Place(name, "", "a spool needs a state directory")
    try:
        sender = sender_of(sink, "selftest")
        try:
            sender.try_out()
        finally:
            sender.close()
    except (SendError, OSError) as error:
        return Place(name, "", str(error))
    return Place(name, "can be reached")
