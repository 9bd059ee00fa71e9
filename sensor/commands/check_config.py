"""``legwatch check-config``: all that is wrong with files, or what they come to."""

from __future__ import annotations

import json
import sys
import time
from argparse import Namespace
from collections.abc import Iterator

from sensor.capture import CaptureError, live_filter
from sensor.commands import OperatorError, configuration
from sensor.config.load import json_schema, to_yaml
from sensor.config.schema import SIX_YEARS, Config
from sensor.policy.review import doubts


def execute(args: Namespace) -> int:
    """Print each configuration, defaults included; 1 when something in one is over, without effect or too little.

    What is wrong with any file is an OperatorError, after all of them were read.
    """
    if args.schema == bool(args.files):
        raise OperatorError("legwatch check-config: name files, or --schema; see legwatch check-config --help")
    if args.schema:
        print(schema_text(), end="")  # noqa: T201
        return 0
    configs: dict[str, Config] = {}
    faults: list[str] = []
    for path in dict.fromkeys(args.files):
        try:
            configs[path] = _checked(path)
        except OperatorError as error:
            faults.append(str(error))
    doubted = [f"{path}: {place}: {what}" for path, config in configs.items() for place, what in _doubts(config)]
    for path, config in configs.items():
        if len(args.files) > 1:  # one stream of documents
            print(f"--- # {path}")  # noqa: T201
        sys.stdout.write(to_yaml(config))
    if faults:
        raise OperatorError("\n".join(faults + doubted))
    for line in doubted:
        print(line, file=sys.stderr)  # noqa: T201
    return int(bool(doubted))


def schema_text() -> str:
    """Return the JSON Schema of a configuration as it is in docs/schema/config.schema.json."""
    return f"{json.dumps(json_schema(), indent=2, ensure_ascii=False)}\n"


def _doubts(config: Config) -> Iterator[tuple[str, str]]:
    """Yield places of a configuration and what is to be doubted there."""
    for place, what in doubts(config.policy, time.time_ns()):
        yield f"policy.{place}", what
    if config.ledger.directory is not None and config.ledger.keep_days < SIX_YEARS:
        yield "ledger.keep_days", f"{config.ledger.keep_days} days are less than six years (45 CFR 164.316(b)(2)(i))"


def _checked(path: str) -> Config:
    config = configuration(path)
    try:
        live_filter(config.capture.filter)
    except CaptureError as error:
        raise OperatorError(f"{path}: capture.filter: {error}") from None
    return config
