"""What shells complete, from the parser of the command line."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import shtab

from sensor.cli import parser as command_line

# Where each shell looks, under /usr/share.
PLACES = {
    "bash": "bash-completion/completions/legwatch",
    "zsh": "zsh/vendor-completions/_legwatch",
    "fish": "fish/vendor_completions.d/legwatch.fish",
}
_BY_METAVAR = {
    "FILE": shtab.FILE,
    "CAPTURE": shtab.FILE,
    "CAPTURE|ADDRESS": shtab.FILE,
    "DIR": shtab.DIRECTORY,
    "DIR|SEGMENT": shtab.FILE,
    "NOTE": shtab.FILE,
    "PUB": shtab.FILE,
    "IFACE": shtab.cmd("ls /sys/class/net"),
}


def write(share: Path) -> None:
    """Write the completions into ``share``, a picture of /usr/share."""
    parser = command_line()
    for action in _actions(parser):
        if isinstance(action.metavar, str) and action.metavar in _BY_METAVAR:
            action.complete = _BY_METAVAR[action.metavar]  # type: ignore[attr-defined]
    for shell, place in PLACES.items():
        path = share / place
        path.parent.mkdir(parents=True)
        path.write_text(shtab.complete(parser, shell))


def _actions(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    for action in parser._actions:  # noqa: SLF001  (argparse tells them in no other way)
        yield action
        if isinstance(action.choices, dict):
            for command in action.choices.values():
                yield from _actions(command)
