"""The extensions as they were built: hardened as distributions do it."""

import subprocess
from pathlib import Path

import pytest

from fastpath import __file__ as package
from fastpath._build import LDFLAGS, RELEASE_CFLAGS
from tests.hardening import is_fortified, weaknesses

EXTENSIONS = sorted(Path(package).parent.glob("*.so"))
SOURCE = """
#include <string.h>
int table[4];
int *copied(char *from, long length) { char to[16]; memcpy(to, from, length); return table + to[3]; }
"""


def module(folder: Path, *flags: str) -> Path:
    """Build a small shared object as the extensions are built, with further flags."""
    source, target = folder / "module.c", folder / "module.so"
    source.write_text(SOURCE)
    command = ["cc", "-shared", "-fPIC", *RELEASE_CFLAGS, *LDFLAGS, *flags, "-o", str(target), str(source)]
    subprocess.run(command, check=True, capture_output=True)
    return target


@pytest.mark.parametrize("path", EXTENSIONS, ids=lambda path: path.name.partition(".")[0])
def test_extension_lacks_nothing(path: Path) -> None:
    assert weaknesses(path) == set()


def test_extensions_call_what_checks_lengths() -> None:
    assert len(EXTENSIONS) > 10
    assert sum(map(is_fortified, EXTENSIONS)) > len(EXTENSIONS) // 3


def test_module_with_the_flags_lacks_nothing(tmp_path: Path) -> None:
    path = module(tmp_path)
    assert weaknesses(path) == set()
    assert is_fortified(path)


@pytest.mark.parametrize(
    ("flags", "weakness"),
    [
        (("-fno-stack-protector",), "no canary"),
        (("-Wl,-z,norelro",), "no full RELRO"),
        (("-Wl,-z,lazy",), "no full RELRO"),
        (("-Wl,-z,execstack",), "executable stack"),
        (("-Wl,-rpath,/usr/local/lib",), "search path"),
        (("-fno-pic", "-mcmodel=large", "-Wl,-z,notext", "-Wl,-w"), "text relocations"),
    ],
)
def test_module_without_one_flag_is_found(flags: tuple[str, ...], weakness: str, tmp_path: Path) -> None:
    assert weakness in weaknesses(module(tmp_path, *flags))


def test_module_without_fortify_is_found(tmp_path: Path) -> None:
    assert not is_fortified(module(tmp_path, "-U_FORTIFY_SOURCE"))
