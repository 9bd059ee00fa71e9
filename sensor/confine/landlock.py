"""Landlock: the kernel keeps this process to some files and directories for good, whoever's code runs in it.

Reading list: landlock(7), linux/landlock.h, Documentation/userspace-api/landlock.rst.

Own code, as it is three system calls: what PyPI has for it stands at the first of its seven versions.
"""

from __future__ import annotations

import ctypes
import os
import stat
import struct
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

_CREATE, _ADD, _RESTRICT = 444, 445, 446  # system calls, the same on every architecture
_VERSION_FLAG, _PATH_BENEATH = 1, 1
_PR_SET_NO_NEW_PRIVS = 38

_WRITE_FILE, _READ_FILE, _READ_DIR, _TRUNCATE = 1 << 1, 1 << 2, 1 << 3, 1 << 14
_REMOVE_DIR, _REMOVE_FILE, _MAKE_DIR, _MAKE_REG, _MAKE_SOCK = 1 << 4, 1 << 5, 1 << 7, 1 << 8, 1 << 9
_READ = _READ_FILE | _READ_DIR
_WRITE = _READ | _WRITE_FILE | _TRUNCATE | _REMOVE_DIR | _REMOVE_FILE | _MAKE_DIR | _MAKE_REG | _MAKE_SOCK
_OF_FILES = _READ_FILE | _WRITE_FILE | _TRUNCATE
# All rights of a version: what is handled and not given is refused. The first has 13, execution among them.
_FILE_RIGHTS = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1, 5: (1 << 16) - 1}
_NET_SINCE, _BIND_TCP = 4, 1
_SCOPE_SINCE, _SCOPED = 6, 1 << 1  # signals to processes outside
_RULESET = struct.Struct("=QQQ")  # of files, of the network, scopes
_OCTETS = ((6, 24), (4, 16), (1, 8))  # of it that a version knows
_RULE = struct.Struct("=Qi")  # rights, descriptor of the file or directory

_LIBC = ctypes.CDLL(None, use_errno=True)


def keep_to(read: Iterable[Path], write: Iterable[Path]) -> int:
    """Let this thread, and those that it makes, read and write nothing but this and what is beneath.

    They execute nothing, listen on no further TCP port, and send no signal to others. What is open stays so; paths
    that are not there are left out. Returns the kernel's version of Landlock; 0: it has none, and nothing was done.
    Raises OSError.
    """
    version = _LIBC.syscall(_CREATE, None, 0, _VERSION_FLAG)
    if version < 1:
        return 0
    handled = _FILE_RIGHTS[max(each for each in _FILE_RIGHTS if each <= version)]
    attributes = _RULESET.pack(handled, _BIND_TCP * (version >= _NET_SINCE), _SCOPED * (version >= _SCOPE_SINCE))
    octets = next(octets for since, octets in _OCTETS if version >= since)
    ruleset = _checked(_LIBC.syscall(_CREATE, attributes, octets, 0))
    try:
        for paths, rights in ((read, _READ), (write, _WRITE)):
            for path in paths:
                _allow(ruleset, path, rights & handled)
        _checked(_LIBC.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
        _checked(_LIBC.syscall(_RESTRICT, ruleset, 0))
    finally:
        os.close(ruleset)
    return int(version)


def _allow(ruleset: int, path: Path, rights: int) -> None:
    with suppress(FileNotFoundError, NotADirectoryError):
        beneath = os.open(path, os.O_PATH | os.O_CLOEXEC)
        try:
            if not stat.S_ISDIR(os.fstat(beneath).st_mode):
                rights &= _OF_FILES
            _checked(_LIBC.syscall(_ADD, ruleset, _PATH_BENEATH, _RULE.pack(rights, beneath), 0))
        finally:
            os.close(beneath)


def _checked(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"landlock: {os.strerror(number)}")
    return result
