"""The environment that a package brings: /opt/legwatch, from wheels that are locked by their hashes.

It is a virtual environment in all but the way it is made: ``venv`` and ``pip`` write where they are, and nothing of the
machine that builds may be in a package.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from elftools.elf.elffile import ELFFile
from elftools.elf.gnuversions import GNUVerNeedSection
from installer import install
from installer.destinations import SchemeDictionaryDestination
from installer.sources import WheelFile

PREFIX = Path("/opt/legwatch")
PYTHON = f"python3.{sys.version_info.minor}"
LOCK = Path(__file__).with_name("requirements.lock")
# What an installer writes for installers; here the package manager knows every file.
_OF_INSTALLERS = ("RECORD", "INSTALLER", "REQUESTED", "direct_url.json")


def fetch(folder: Path) -> None:
    """Download the locked wheels. pip fails on another hash, and on a requirement that the lock leaves out."""
    options = ("--quiet", "--disable-pip-version-check", "--require-hashes", "--only-binary", ":all:")
    command = (sys.executable, "-m", "pip", "download", *options, "--dest", folder, "--requirement", LOCK)
    subprocess.run(command, check=True)


def make(root: Path, wheels: list[Path]) -> None:
    """Lay out the environment under ``root``, a picture of the machine's root directory, from these wheels."""
    site = PREFIX / "lib" / PYTHON / "site-packages"
    scheme = dict.fromkeys(("purelib", "platlib"), site) | {"scripts": PREFIX / "bin", "data": PREFIX}
    for path in sorted(wheels):
        destination = SchemeDictionaryDestination(
            {name: str(place) for name, place in scheme.items()},
            interpreter=str(PREFIX / "bin" / "python3"),
            script_kind="posix",
            destdir=str(root),
        )
        with WheelFile.open(path) as wheel:
            install(wheel, destination, additional_metadata={})
    here = _under(root, PREFIX)
    for program in (here / "bin").iterdir():
        if program.name != "legwatch":  # the programs of dependencies are for nobody here
            program.unlink()
    (here / "bin" / "python3").symlink_to(Path("/usr/bin", PYTHON))
    (here / "bin" / "python").symlink_to("python3")
    (here / "pyvenv.cfg").write_text("home = /usr/bin\ninclude-system-site-packages = false\n")
    for name in _OF_INSTALLERS:
        for path in here.rglob(f"*.dist-info/{name}"):
            path.unlink()
    _strip(here)
    _compile(root, here)


def _under(root: Path, place: Path) -> Path:
    return root / place.relative_to("/")


def _strip(folder: Path) -> None:
    """Leave out what only a debugger reads."""
    for path in shared_objects(folder):
        subprocess.run(("strip", "--strip-unneeded", "--enable-deterministic-archives", path), check=True)


def _compile(root: Path, folder: Path) -> None:
    """Byte code that is never held against its source: the service may write nowhere, and starts in half the time."""
    command = (sys.executable, "-m", "compileall", "-q", "-s", root, "-p", "/", "--invalidation-mode", "unchecked-hash")
    # Constant sets are written in the order of their hashes.
    environment = os.environ | {"PYTHONHASHSEED": "0"}
    subprocess.run((*command, folder), check=True, env=environment)


def shared_objects(folder: Path) -> list[Path]:
    """Return the shared objects in a folder, its own and those that wheels bundle."""
    return sorted(path for path in folder.rglob("*.so*") if not path.is_symlink())


def needed_glibc(folder: Path) -> str:
    """Return the least version of the C library that the shared objects in a folder ask for."""
    versions = [(2, 17)]
    for path in shared_objects(folder):
        with path.open("rb") as file:
            section = ELFFile(file).get_section_by_name(".gnu.version_r")
            if not isinstance(section, GNUVerNeedSection):
                continue
            for _, symbols in section.iter_versions():
                names = (symbol.name for symbol in symbols)
                versions += [
                    tuple(map(int, name.removeprefix("GLIBC_").split(".")))[:2]
                    for name in names
                    if name.startswith("GLIBC_2")
                ]
    return ".".join(map(str, max(versions)))
