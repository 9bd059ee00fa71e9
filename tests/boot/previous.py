"""The packages as a version before this one might have been, made from this one's in seconds."""

import io
import re
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path

import yaml

from deploy.package import tools
from tests.live.lab import ROOT

VERSION = "0.0.1"
FILE = "/usr/share/legwatch/of-the-previous-version"  # is in it, and in the next one no more
CONTENT = b"gone with the upgrade\n"
COMMENT = b"# as the previous version had it\n"  # in its configuration files


def architecture() -> str:
    """Return this machine's, as Debian says it."""
    told = subprocess.run(["dpkg", "--print-architecture"], check=True, capture_output=True, text=True)
    return told.stdout.strip()


def make(built: Path, folder: Path) -> Path:
    """Put the previous version of a .deb into a folder; return its file."""
    conffiles = _part(built, "--ctrl-tarfile").extractfile("./conffiles")
    assert conffiles
    configuration = [f".{name}" for name in conffiles.read().decode().split()]

    def earlier(name: str, octets: bytes) -> bytes:
        return octets + COMMENT if name in configuration else octets

    def versioned(name: str, octets: bytes) -> bytes:
        if name != "./control":
            return octets
        return re.sub(rb"^Version: .*$", f"Version: {VERSION}".encode(), octets, flags=re.MULTILINE)

    (folder / "debian-binary").write_text("2.0\n")
    _rewrite(_part(built, "--ctrl-tarfile"), folder / "control.tar", versioned)
    _rewrite(_part(built, "--fsys-tarfile"), folder / "data.tar", earlier, {FILE: CONTENT})
    parts = ("debian-binary", "control.tar", "data.tar")
    subprocess.run(["ar", "rc", "previous.deb", *parts], cwd=folder, check=True)
    return folder / "previous.deb"


def make_rpm(folder: Path) -> Path:
    """Put the previous version of the .rpm into a folder, from what `make package` left in build/; return its file."""
    config = yaml.safe_load((ROOT / "deploy/package/nfpm.yaml").read_text())
    for each in config["contents"]:
        if each.get("type") == "config|noreplace":
            earlier = folder / Path(each["src"]).name
            earlier.write_bytes((ROOT / each["src"]).read_bytes() + COMMENT)
            each["src"] = str(earlier)
    (folder / "file").write_bytes(CONTENT)
    config["contents"].append({"src": str(folder / "file"), "dst": FILE})
    (folder / "nfpm.yaml").write_text(yaml.safe_dump(config))
    # What it requires is asked by nobody.
    told = {"ARCH": architecture(), "VERSION": VERSION} | dict.fromkeys(("GLIBC", "PYTHON_FROM", "PYTHON_BEFORE"), "0")
    made = folder / "previous.rpm"
    tools.run("nfpm", "package", "--config", folder / "nfpm.yaml", "--packager", "rpm", "--target", made, **told)
    return made


def _part(package: Path, which: str) -> tarfile.TarFile:
    done = subprocess.run(["dpkg-deb", which, package], check=True, capture_output=True)
    return tarfile.open(fileobj=io.BytesIO(done.stdout))


def _rewrite(
    read: tarfile.TarFile, target: Path, change: Callable[[str, bytes], bytes], added: dict[str, bytes] | None = None
) -> None:
    """Copy an archive member by member, owners and modes included, which need not exist here."""
    with read, tarfile.open(target, "w", format=tarfile.GNU_FORMAT) as written:
        for member in read:
            content = read.extractfile(member) if member.isfile() else None
            octets = change(member.name, content.read()) if content else b""
            member.size = len(octets)
            written.addfile(member, io.BytesIO(octets))
        for name, octets in (added or {}).items():
            member = tarfile.TarInfo(f".{name}")
            member.size = len(octets)
            written.addfile(member, io.BytesIO(octets))
