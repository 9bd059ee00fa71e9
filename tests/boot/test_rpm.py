"""The .rpm's life on a machine: rpm itself installs, replaces and erases it, and its scripts run for real.

The machine is a Debian, with nothing of it in rpm's books: what the package requires is held against what is asked for
and what it uses, and then left out (``--nodeps``).
"""

import platform
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from fastpath import __version__
from tests.boot import place as places
from tests.boot import previous
from tests.boot.place import Place
from tests.live.lab import ROOT

pytestmark = pytest.mark.boot

PACKAGE, PREVIOUS = "/mnt/rpms/legwatch.rpm", "/mnt/rpms/previous.rpm"
# All programs that its scripts find, by the package that brings them where rpm is at home
PROGRAMS = {
    "coreutils": ("rm", "rmdir"),
    "glibc": ("getent",),
    "shadow-utils": ("groupadd",),
    "systemd": ("systemctl", "systemd-sysusers", "systemd-tmpfiles"),
}
# What else has to be there: the interpreters, and what the extensions are linked with
USED = {"/bin/sh", f"/usr/bin/python3.{sys.version_info.minor}", "libgcc", "libstdc++"}
REACH = "/run/reach"
CONFIGURATION, DEFAULTS = "/etc/legwatch/legwatch.yaml", "/etc/default/legwatch"
EDITED = "policy: {no_traffic_after: 300}  # ours\n"
EVIDENCE = "/var/lib/legwatch-evidence/legwatch-evidence-20260101T000000Z-1.pcap"
SECRET = "/etc/legwatch/secrets/webhook"
STOPPED = ["inactive", "disabled"]


@pytest.fixture(scope="module")
def rpms(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("boot") / "rpms"
    folder.mkdir()
    built = ROOT / "dist" / f"legwatch-{__version__}-1.{platform.machine()}.rpm"
    assert built.exists(), f"make package makes {built.relative_to(ROOT)}"
    shutil.copy(built, folder / Path(PACKAGE).name)
    previous.make_rpm(folder)
    return folder


@pytest.fixture
def place(rpms: Path) -> Iterator[Place]:
    """A machine with rpm, whose scripts find no program but those of what is required."""
    with places.place(rpms) as made:
        made.machine.install("rpm")
        made.machine.path(REACH).mkdir()
        for program in (each for programs in PROGRAMS.values() for each in programs):
            where = made.machine.run("sh", "-c", 'command -v "$1"', "sh", program).strip()
            made.machine.path(f"{REACH}/{program}").symlink_to(where)
        yield made


def rpm(place: Place, *arguments: str) -> str:
    """Have rpm do something that it has to do without any complaint; return what was said."""
    said = place.machine.run("rpm", "--nodeps", "--define", f"_install_script_path {REACH}", *arguments)
    assert not re.search("error|failed|not found", said), said
    return said


def pid(place: Place) -> int:
    return place.machine.pid("legwatch")


def test_rpm_asks_for_what_it_uses_and_no_more(place: Place) -> None:
    refused = place.machine.attempt("rpm", "--install", PACKAGE)
    assert refused.returncode != 0
    asked = re.findall(r"^\s+(\S+).* is needed by legwatch-", refused.stdout, re.MULTILINE)
    assert set(asked) == USED | set(PROGRAMS)
    # But for what rpm itself has to be able to.
    listed = place.machine.run("rpm", "--query", "--package", "--requires", PACKAGE).splitlines()
    assert {line.split()[0] for line in listed if not line.startswith(("rpm", "warning"))} == set(asked)
    assert not place.machine.path("/opt/legwatch").exists()


def test_rpm_runs_is_as_it_was_packed_and_watches_nothing_until_an_interface_is_named(place: Place) -> None:
    said = rpm(place, "--install", PREVIOUS)
    assert "/etc/default/legwatch" in said
    rpm(place, "--upgrade", PACKAGE)
    assert place.machine.run("rpm", "--query", "legwatch").strip().startswith(f"legwatch-{__version__}-1.")
    assert rpm(place, "--verify", "legwatch") == ""
    assert not place.machine.path(previous.FILE).exists()
    assert previous.COMMENT not in place.machine.path(CONFIGURATION).read_bytes()
    assert place.machine.run("stat", "--format=%A %U %G", CONFIGURATION).split() == ["-rw-r-----", "root", "legwatch"]

    assert place.machine.run("legwatch", "--version").split()[-1] == __version__
    assert "Every stage is well." in place.machine.run("legwatch", "selftest")
    assert place.machine.shows("legwatch", "ActiveState", "UnitFileState") == STOPPED
    assert not place.machine.run("systemctl", "list-units", "--failed", "--no-legend")
    place.name_interface()
    place.machine.run("systemctl", "start", "legwatch")
    assert place.sensor.ready()


def test_rpm_that_is_replaced_keeps_what_was_edited_and_erased_what_is_not_its_own_and_says_so(place: Place) -> None:
    rpm(place, "--install", PREVIOUS)
    place.name_interface()
    place.machine.run("systemctl", "enable", "--now", "legwatch")
    place.machine.path(CONFIGURATION).write_text(EDITED)
    for kept in (EVIDENCE, SECRET):
        place.machine.path(kept).parent.mkdir(exist_ok=True)
        place.machine.path(kept).write_text("kept")
    before = pid(place)
    rpm(place, "--upgrade", PACKAGE)
    assert pid(place) not in {0, before}
    assert place.sensor.ready()
    assert place.machine.path(CONFIGURATION).read_text() == EDITED
    assert place.machine.path(f"{CONFIGURATION}.rpmnew").exists()

    said = rpm(place, "--erase", "legwatch")
    assert re.findall(r"^legwatch: (\S+) is kept", said, re.MULTILINE) == [
        "/etc/legwatch",
        "/var/lib/legwatch",
        "/var/lib/legwatch-evidence",
    ]
    assert place.machine.shows("legwatch", "LoadState", "ActiveState") == ["not-found", "inactive"]
    assert {place.machine.path(kept).read_text() for kept in (EVIDENCE, SECRET)} == {"kept"}
    assert place.machine.path(f"{CONFIGURATION}.rpmsave").read_text() == EDITED
    named = ("-path", "/var", "-prune", "-o", "-path", "/etc/legwatch", "-prune", "-o", "-name", "*legwatch*", "-print")
    left = place.machine.run("find", "/", "-xdev", *named).split()
    assert set(left) == {f"{DEFAULTS}.{end}" for end in ("rpmnew", "rpmsave")}
    assert place.machine.run("id", "--name", "--user", "legwatch").strip() == "legwatch"  # who owns what is kept
