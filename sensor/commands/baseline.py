"""``legwatch baseline``: see, set and mend what endpoints are held against."""

from __future__ import annotations

import json
import sys
import time
from argparse import Namespace
from collections.abc import Callable
from datetime import UTC, datetime
from ipaddress import ip_address

from fastpath.engine import Engine
from fastpath.source import OfflineSource
from sensor.analysis import Analysis
from sensor.commands import OperatorError, configuration
from sensor.commands.pipeline import FILE_EVENTS, Pipeline
from sensor.commands.reading import batches, open_source, say_how_it_ended
from sensor.config.schema import Config
from sensor.network.baseline import Known
from sensor.state.baseline import NAME, BaselineFile
from sensor.state.directory import StateError, state_directory

NS = 1_000_000_000
NOT_LEARNING = 1  # a packet time long past
_RELOAD = "A sensor that is running reads it again when told to: systemctl reload legwatch"


def execute(args: Namespace) -> int:
    """Do what was asked for with the baseline of a state directory."""
    config = configuration(args.config)
    if args.names and args.action not in ("set", "accept"):
        raise OperatorError(f"baseline {args.action}: takes no names")
    try:
        directory = state_directory(args.state or config.state.directory)
        if directory is None:
            raise OperatorError("no state directory: name one by --state, or as state.directory in the configuration")
        if args.action in ("show", "hold", "accept") and not (directory / NAME).exists():
            raise OperatorError(f"{directory}: has no baseline")
        file = BaselineFile(directory)
        return _ACTIONS[args.action](file, args, config)
    except StateError as error:
        raise OperatorError(str(error)) from None


def _show(file: BaselineFile, args: Namespace, _config: Config) -> int:
    entries, learning_ns, _ = file.load()
    if args.json:
        for address, known in sorted(entries.items(), key=_in_order):
            line = {"address": address, "media": known.media, "signalling": known.signalling}
            print(json.dumps(line | {"first": _day(known.first_ns), "last": _day(known.last_ns)}))  # noqa: T201
        return 0
    width = max(map(len, entries), default=7)
    print(f"{'address':{width}}  {'media':10} {'signalling':10} {'first':10} last")  # noqa: T201
    for address, known in sorted(entries.items(), key=_in_order):
        states = f"{known.media or '-':10} {known.signalling or '-':10}"
        print(f"{address:{width}}  {states} {_day(known.first_ns)} {_day(known.last_ns)}")  # noqa: T201
    print(f"{len(entries)} endpoints; {_learning(learning_ns)}")  # noqa: T201
    return 0


def _set(file: BaselineFile, args: Namespace, config: Config) -> int:
    if not args.names:
        raise OperatorError("baseline set: name the captures that show what is right")
    entries: dict[str, Known] = {}
    for path in args.names:
        source = open_source(path)
        pipeline = Pipeline(config)
        engine, analysis = pipeline.engine(event_bytes=FILE_EVENTS), pipeline.analysis(())
        analysis.compare(entries, sys.maxsize)
        _feed(path, source, engine, analysis)
        say_how_it_ended(path, source)
    for known in entries.values():
        known.last_ns = max(known.last_ns, time.time_ns())  # a capture may be old; that it was chosen is not
    file.replace(entries, NOT_LEARNING)
    print(f"{len(entries)} endpoints are the baseline. {_RELOAD}")  # noqa: T201
    return 0


def _feed(path: str, source: OfflineSource, engine: Engine, analysis: Analysis) -> None:
    for records in batches(path, source, engine):
        for record in records:
            analysis.feed(record)


def _hold(file: BaselineFile, _args: Namespace, _config: Config) -> int:
    file.learn(NOT_LEARNING)
    print(f"What was learned is the baseline from now on. {_RELOAD}")  # noqa: T201
    return 0


def _relearn(file: BaselineFile, _args: Namespace, config: Config) -> int:
    file.replace({}, 0)
    days = config.policy.baseline.learn / 86_400
    print(f"The baseline is empty and is learned for {days:g} days. {_RELOAD}")  # noqa: T201
    return 0


def _accept(file: BaselineFile, args: Namespace, _config: Config) -> int:
    entries, learning_ns, _ = file.load()
    unknown = [name for name in args.names if _address(name) not in entries]
    if unknown or not args.names:
        raise OperatorError(f"baseline accept: not in the baseline: {', '.join(unknown) or '(no address was named)'}")
    for name in args.names:
        known = entries[_address(name)]
        known.media = known.signalling = None
    file.replace(entries, learning_ns)
    print(f"What {len(args.names)} endpoints show next is right. {_RELOAD}")  # noqa: T201
    return 0


_ACTIONS: dict[str, Callable[[BaselineFile, Namespace, Config], int]] = {
    "show": _show,
    "set": _set,
    "hold": _hold,
    "relearn": _relearn,
    "accept": _accept,
}


def _address(text: str) -> str:
    try:
        return str(ip_address(text))
    except ValueError:
        raise OperatorError(f"{text}: is not an address") from None


def _in_order(entry: tuple[str, Known]) -> tuple[int, int]:
    address = ip_address(entry[0])
    return address.version, int(address)


def _day(ns: int) -> str:
    return datetime.fromtimestamp(ns // NS, UTC).date().isoformat()


def _learning(until_ns: int) -> str:
    if until_ns == 0:
        return "learning begins with the first packet"
    until = datetime.fromtimestamp(min(until_ns // NS, 253_402_300_799), UTC)
    return f"learning until {until:%Y-%m-%d %H:%M} UTC" if until > datetime.now(UTC) else "held"
