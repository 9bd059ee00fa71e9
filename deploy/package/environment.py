"""The environment that a package brings: /opt/legwatch, from wheels that are locked by their hashes.

It is a virtual environment in all but the way it is made: ``venv`` and ``pip`` write down where they work, and nothing
of the machine that builds may be in a package.
"""

from __future__ import annotations

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


def fetch(folder: Path) -> None:
    """Download the locked wheels. pip fails on another hash, and on a requirement that the lock leaves out."""
    options = ("--quiet", "--quiet", "--disable-pip-version-check", "--require-hashes", "--only-binary", ":all:")
    command = (sys.executable, "-m", "pip", "download", *options, "--dest", folder, "--requirement", LOCK)
    subprocess.run(command, check=True)


def make(root: Path, own: Path, others: Path) -> Path:
    """Lay out the environment under ``root``, a picture of the machine's root directory; return where it is there.

    ``own`` is the project's wheel, ``others`` a folder with those of its dependencies.
    """
    _install(root, own, {"scripts": PREFIX / "bin"})
    # Programs and documents of dependencies are for nobody here.
    left_out = Path("/left-out")
    for wheel in sorted(others.iterdir()):
        _install(root, wheel, {"scripts": left_out, "data": left_out})
    shutil.rmtree(root / left_out.relative_to("/"))

    here = root / PREFIX.relative_to("/")
    (here / "bin" / "python3").symlink_to(Path("/usr/bin", PYTHON))
    (here / "bin" / "python").symlink_to("python3")
    (here / "pyvenv.cfg").write_text("home = /usr/bin\ninclude-system-site-packages = false\n")
    for path in here.rglob("*.dist-info/RECORD"):
        path.unlink()  # the package manager knows every file
    for path in here.rglob("*.so*"):
        subprocess.run(("strip", "--strip-unneeded", path), check=True)
    _compile(root, here)
    return here


def _install(root: Path, wheel: Path, places: dict[str, Path]) -> None:
    site = PREFIX / "lib" / PYTHON / "site-packages"
    scheme = {"purelib": site, "platlib": site} | places
    destination = SchemeDictionaryDestination(
        {name: str(place) for name, place in scheme.items()},
        interpreter=str(PREFIX / "bin" / "python3"),
        script_kind="posix",
        destdir=str(root),
    )
    with WheelFile.open(wheel) as source:
        install(source, destination, additional_metadata={})


def _compile(root: Path, folder: Path) -> None:
    """Byte code that is never held against its source: the service could not write any, and starts faster with it."""
    command = (sys.executable, "-m", "compileall", "-q", "-s", root, "-p", "/", "--invalidation-mode", "unchecked-hash")
    subprocess.run((*command, folder), check=True)


def needed_glibc(folder: Path) -> str:
    """Return the least version of the C library that the shared objects in a folder ask for."""
    versions = set()
    for path in folder.rglob("*.so*"):
        with path.open("rb") as file:
            needs = ELFFile(file).get_section_by_name(".gnu.version_r")
            assert isinstance(needs, GNUVerNeedSection), path  # noqa: S101  (all of them call the C library)
            names = [symbol.name for _, symbols in needs.iter_versions() for symbol in symbols]
        versions |= {tuple(map(int, name[6:].split("."))) for name in names if name.startswith("GLIBC_2.")}
    return ".".join(map(str, max(versions)))
