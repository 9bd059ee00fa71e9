"""Which files a sensor needs once it runs: its interpreter's, its system's, and those that its configuration names."""

from __future__ import annotations

import os
import sys
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sensor.config.files import Secret, TrustFile
from sensor.config.sinks import FileSink

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sensor.config.schema import Config

# Names and addresses of hosts, authorities and zones of time in /etc, modules, what /proc and /sys say of interfaces
_SYSTEM = ("/etc", "/usr", "/lib", "/lib64", "/proc", "/sys", "/run/systemd", "/run/resolvconf", "/run/NetworkManager")
_NULL = Path("/dev/null")


def readable(config: Config, file: str | None) -> set[Path]:
    """Return what is read: of each file that the configuration names its directory, where the next one will be."""
    files = [Path(each).absolute() for each in (*_files(config), *([file] if file else ()))]
    named = {each.parent for each in files} | {each.resolve().parent for each in files}  # links lead elsewhere
    code = {Path(each).absolute() for each in (*sys.path, sys.prefix, sys.base_prefix)}
    code.add(Path(__file__).parents[2])  # where packages are that an installation only points to
    return named | code | {Path(each) for each in _SYSTEM}


def writable(config: Config, state: Path | None) -> set[Path]:
    """Return what is written: directories of state, evidence and ledger, of files that are sinks, and at run time."""
    own = (config.evidence.directory, config.ledger.directory, os.environ.get("RUNTIME_DIRECTORY"))
    named = {each for each in own if each}
    files = {sink.path for sink in config.sinks if isinstance(sink, FileSink)}
    files |= {config.status.socket} if config.status.socket else set()
    directories = {*map(Path, named), *(Path(file).parent for file in files)}
    return {each.absolute() for each in directories} | ({state} if state else set()) | {_NULL}


def _files(value: object) -> Iterator[str]:
    """Yield the path of every file that a configuration names to be read."""
    if isinstance(value, Secret | TrustFile):
        yield value.path
    elif is_dataclass(value):
        for field in fields(value):
            each = getattr(value, field.name)
            if field.name.endswith("_file") and each:
                yield str(each)
            yield from _files(each)
    elif isinstance(value, tuple):
        for each in value:
            yield from _files(each)
    elif isinstance(value, dict):
        yield from _files(tuple(value.values()))
