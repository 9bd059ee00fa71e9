"""``legwatch status``: how the running sensor is."""

from __future__ import annotations

import io
import json
import sys
from argparse import Namespace

from sensor.commands import OperatorError, __version__
from sensor.commands.asking import ask, path_of


def execute(args: Namespace) -> int:
    """Ask and print; 1 when the sensor is blind."""
    path = path_of(args)
    status = ask(path)
    if args.json:
        print(json.dumps(status))  # noqa: T201
        return int(not status["ready"])
    from rich.console import Console  # noqa: PLC0415  (who wants JSON need not wait for the drawing of tables)

    from sensor.output.status_text import whole  # noqa: PLC0415

    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a terminal without signs still shows the words
    console = Console(file=sys.stdout, highlight=False, emoji=False, markup=False)
    try:
        for part in list(whole(status)):  # all of it, or nothing
            console.print(part)
    except (KeyError, TypeError, ValueError):
        said = f"{path}: the sensor is of version {status.get('version')}, this program of {__version__}"
        raise OperatorError(f"{said}; restart the sensor, or ask with --json") from None
    return int(not status["ready"])
