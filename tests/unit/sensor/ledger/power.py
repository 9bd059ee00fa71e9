"""What a disk may hold when the power goes: a real run's calls recorded, and every state that they allow.

A file's octets are on disk after ``fsync`` of the file, its name after ``fsync`` of the directory, and nothing before
that is promised: it may be there, in part, or not at all, and each file by itself. Names change in their order.
"""

import itertools
import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from sensor.ledger.layout import ASIDE

State = tuple[tuple[str, bytes], ...]  # files and what they hold


@dataclass
class Call:
    """A call that changed something, or made it durable."""

    what: str
    name: str = ""
    to: str = ""
    fd: int = -1
    octets: bytes = b""
    flags: int = 0
    size: int = 0


@dataclass
class Recorder:
    """The calls by which something in one directory was changed."""

    directory: Path
    calls: list[Call] = field(default_factory=list)

    def record(self, patch: pytest.MonkeyPatch) -> None:
        """Record from now on; the calls do what they do."""
        lock = threading.RLock()
        inside: set[int] = set()
        here = self.directory.stat()

        def is_here(fd: int | None) -> bool:
            return fd is not None and os.path.samestat(os.fstat(fd), here)

        def recorded(name: str, note: Callable[..., None]) -> None:
            real = getattr(os, name)

            def call(*args: Any, **keywords: Any) -> Any:
                with lock:
                    result = real(*args, **keywords)
                    note(result, *args, **keywords)
                    return result

            patch.setattr(os, name, call)

        def opened(fd: int, path: object, flags: int, *_: object, dir_fd: int | None = None, **__: object) -> None:
            if is_here(dir_fd):
                inside.add(fd)
                self.calls.append(Call("open", str(path), fd=fd, flags=flags))

        def written(count: int, fd: int, octets: bytes) -> None:
            if fd in inside:
                self.calls.append(Call("write", fd=fd, octets=bytes(octets[:count])))

        def synced(_: None, fd: int) -> None:
            if fd in inside:
                # What went through a file object is seen here at the latest.
                self.calls.append(Call("fsync", fd=fd, octets=Path(f"/proc/self/fd/{fd}").read_bytes()))
            elif is_here(fd):
                self.calls.append(Call("sync"))

        def closed(_: None, fd: int) -> None:
            inside.discard(fd)

        def cut(_: None, fd: int, size: int) -> None:
            if fd in inside:
                self.calls.append(Call("cut", fd=fd, size=size))

        def renamed(_: None, name: str, to: str, **__: object) -> None:
            self.calls.append(Call("rename", name, to))

        def unlinked(_: None, name: object, *, dir_fd: int | None = None, **__: object) -> None:
            if is_here(dir_fd):
                self.calls.append(Call("unlink", str(name)))

        notes: dict[str, Callable[..., None]] = {
            "open": opened,
            "write": written,
            "fsync": synced,
            "close": closed,
            "ftruncate": cut,
            "rename": renamed,
            "unlink": unlinked,
        }
        for name, note in notes.items():
            recorded(name, note)

    def promise(self, size: int) -> None:
        """Note that so many entries were said to be safe."""
        self.calls.append(Call("promise", size=size))


def states(calls: list[Call], before: dict[str, bytes]) -> dict[State, int]:
    """Return every state that the disk may be in, at any moment, with how many entries were safe at most then."""
    files = {
        number: [octets] for number, octets in enumerate(before.values())
    }  # what each may hold, the safe one first
    names = [{name: number for number, name in enumerate(before)}]  # likewise
    by_fd: dict[int, int] = {}
    promised = 0
    found: dict[State, int] = {}
    for call in [Call("start"), *calls]:
        now = dict(names[-1])
        match call.what:
            case "open":
                if call.name not in now and call.flags & os.O_CREAT:
                    now[call.name] = len(files)
                    files[now[call.name]] = [b""]
                    names.append(now)
                by_fd[call.fd] = now[call.name]
                if call.flags & os.O_TRUNC and files[now[call.name]][-1]:
                    files[now[call.name]].append(b"")
            case "write":
                files[by_fd[call.fd]].append(files[by_fd[call.fd]][-1] + call.octets)
            case "cut":
                files[by_fd[call.fd]].append(files[by_fd[call.fd]][-1][: call.size])
            case "fsync":
                files[by_fd[call.fd]] = [call.octets]
            case "sync":
                names = [now]
            case "rename":
                now[call.to] = now.pop(call.name)
                names.append(now)
            case "unlink":
                del now[call.name]
                names.append(now)
            case "promise":
                promised = call.size
        for state in _states(files, names):
            found[state] = max(found.get(state, 0), promised)
    return found


def _states(files: dict[int, list[bytes]], names: list[dict[str, int]]) -> Iterator[State]:
    for listing in names:
        unsafe = {number: name for name, number in listing.items() if len(files[number]) > 1}
        for rest in (0, -1):  # of the others nothing is there that was not safe, or all
            held = {number: files[number][rest] for number in listing.values()}
            yield tuple(sorted((name, held[number]) for name, number in listing.items()))
            for torn, name in unsafe.items():
                # Of a file that is being made no octet is ever read.
                for octets in files[torn] if name.endswith(ASIDE) else _torn(files[torn]):
                    now = held | {torn: octets}
                    yield tuple(sorted((name, now[number]) for name, number in listing.items()))


def _torn(versions: list[bytes]) -> Iterator[bytes]:
    """Return what a file may hold that was at some of these: cut at any octet, or with nothing where something was."""
    for before, after in itertools.pairwise(versions):
        yield before
        for size in range(len(before), len(after)):
            yield after[:size]
        yield after
        if len(after) > len(before):
            yield before + bytes(len(after) - len(before))
            yield before + bytes((len(after) - len(before)) // 2) + after[(len(before) + len(after)) // 2 :]


def lay(state: State, directory: Path) -> None:
    """Have a directory hold a state."""
    directory.mkdir()
    for name, octets in state:
        (directory / name).write_bytes(octets)
