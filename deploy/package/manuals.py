"""What the shell and ``man`` know of the command line and the configuration, made from what defines them."""

from __future__ import annotations

import argparse
import gzip
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import shtab
from docutils.core import publish_string
from myst_parser.parsers.docutils_ import Parser

from sensor.cli import parser as command_line

ROOT = Path(__file__).parents[2]
COMPLETIONS = {
    "bash": "bash-completion/completions/legwatch",
    "zsh": "zsh/vendor-completions/_legwatch",
    "fish": "fish/vendor_completions.d/legwatch.fish",
}
_COMPLETED = {"FILE": shtab.FILE, "CAPTURE": shtab.FILE, "CAPTURE|ADDRESS": shtab.FILE, "DIR": shtab.DIRECTORY}


def write(share: Path, version: str) -> None:
    """Write manual pages and completions into ``share``, a picture of /usr/share."""
    _compressed(share / "man/man1/legwatch.1.gz", _commands(version))
    _compressed(share / "man/man5/legwatch.yaml.5.gz", _configuration(version))
    parser = command_line()
    for action in _actions(parser):
        if isinstance(action.metavar, str) and action.metavar in _COMPLETED:
            action.complete = _COMPLETED[action.metavar]  # type: ignore[attr-defined]
    for shell, place in COMPLETIONS.items():
        path = share / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(shtab.complete(parser, shell))


def _compressed(path: Path, text: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(text, mtime=0))


def _commands(version: str) -> bytes:
    tool = Path(sys.executable).with_name("argparse-manpage")
    what = ("--module", "sensor.cli", "--function", "parser", "--prog", "legwatch", "--project-name", "legwatch")
    told = ("--version", version, "--manual-title", "legwatch", "--description", "are the calls really encrypted")
    command = (tool, *what, *told, "--format", "single-commands-section")
    # argparse breaks lines for the terminal that it thinks it has.
    environment = os.environ | {"COLUMNS": "80", "PYTHONPATH": str(ROOT)}
    return subprocess.run(command, check=True, capture_output=True, cwd=ROOT, env=environment).stdout


def _configuration(version: str) -> bytes:
    text = (ROOT / "docs" / "CONFIGURATION.md").read_text()
    # A link to another document leads nowhere in a manual.
    text = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", text)
    settings = {"report_level": 3, "halt_level": 3}
    page: bytes = publish_string(text, parser=Parser(), writer="manpage", settings_overrides=settings)
    return page.replace(b'.TH "Configuration" "" "" ""', b'.TH "LEGWATCH.YAML" "5" "" "legwatch %b" "legwatch"' % version.encode())


def _actions(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    for action in parser._actions:  # noqa: SLF001  (argparse tells them in no other way)
        yield action
        if isinstance(action.choices, dict):
            for command in action.choices.values():
                yield from _actions(command)
