"""A package's life on a machine: it comes, is replaced by the next one, and goes."""

import pytest

from fastpath import __version__
from tests.boot import previous
from tests.boot.place import PACKAGE, PREVIOUS, Place
from tests.live.lab import wait_for

pytestmark = pytest.mark.boot

EDITED = "policy: {no_traffic_after: 300}  # ours\n"
EXAMPLE = "/usr/share/doc/legwatch/examples/clinic-hosted-3cx.yaml"
STOPPED = ["inactive", "disabled"]
EVIDENCE = "/var/lib/legwatch-evidence/legwatch-evidence-20260101T000000Z-1.pcap"


def version(place: Place) -> str:
    return place.machine.run("dpkg-query", "--show", "--showformat=${Version}", "legwatch")


def state(place: Place) -> dict[str, bytes]:
    """What the sensor remembers, but for what it writes all the time."""
    folder = place.machine.path("/var/lib/legwatch")
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file() and "key" in path.name}


def files(place: Place) -> set[str]:
    """All that has the project's name, but for logs."""
    named = ("-path", "/var/log", "-prune", "-o", "-name", "*legwatch*", "-print")
    return set(place.machine.run("find", "/", "-xdev", *named).splitlines())


def start(place: Place) -> None:
    place.name_interface()
    place.machine.run("systemctl", "enable", "--now", "legwatch")


def test_fresh_package_watches_nothing_until_an_interface_is_named(place: Place) -> None:
    said = place.machine.install(PACKAGE)
    assert "/etc/default/legwatch" in said
    assert place.machine.shows("legwatch", "ActiveState", "UnitFileState") == STOPPED
    assert not place.machine.run("systemctl", "list-units", "--failed", "--no-legend")
    start(place)
    # systemd has waited for READY=1, so by now it is.
    assert place.machine.shows("legwatch", "ActiveState", "UnitFileState") == ["active", "enabled"]
    assert place.sensor.ready()

    assert place.machine.run("legwatch", "--version").split()[-1] == __version__
    nobody = ("setpriv", "--reuid=nobody", "--clear-groups")
    assert "policy" in place.machine.run(*nobody, "legwatch", "check-config", EXAMPLE)


def test_upgrade_keeps_configuration_and_state_and_goes_on_watching(place: Place) -> None:
    place.machine.install(PREVIOUS)
    start(place)
    place.machine.path("/etc/legwatch/legwatch.yaml").write_text(EDITED)
    before, remembered = place.machine.pid("legwatch"), wait_for(lambda: state(place), "the sensor has a state")

    place.machine.install(PACKAGE)
    assert version(place) == __version__
    assert place.machine.path("/etc/legwatch/legwatch.yaml").read_text() == EDITED
    assert place.machine.path("/etc/default/legwatch").read_text() == "LEGWATCH_INTERFACE=span0\n"
    assert not place.machine.path(previous.FILE).exists()
    assert place.machine.pid("legwatch") not in {0, before}
    assert place.sensor.ready()
    assert state(place) == remembered


def test_upgrade_starts_nothing_removal_keeps_what_is_the_operators_and_purge_the_evidence_alone(place: Place) -> None:
    before = files(place)
    place.machine.install(PREVIOUS)
    assert version(place) == previous.VERSION
    place.machine.install(PACKAGE)
    assert version(place) == __version__
    assert previous.COMMENT not in place.machine.path("/etc/legwatch/legwatch.yaml").read_bytes()
    assert place.machine.shows("legwatch", "ActiveState", "UnitFileState") == STOPPED
    start(place)
    wait_for(lambda: state(place), "the sensor has a state")
    evidence = place.machine.path(EVIDENCE)
    evidence.parent.mkdir()
    evidence.write_bytes(b"packets")

    place.machine.run("apt-get", "remove", "--yes", "-qq", "legwatch")
    assert place.machine.shows("legwatch", "LoadState", "ActiveState") == ["not-found", "inactive"]
    assert not place.machine.path("/opt/legwatch").exists()
    assert place.machine.path("/etc/legwatch/legwatch.yaml").exists()
    assert state(place)

    said = place.machine.run("apt-get", "purge", "--yes", "-qq", "legwatch")
    assert "evidence in /var/lib/legwatch-evidence is kept" in said
    assert evidence.read_bytes() == b"packets"
    assert place.machine.attempt("id", "legwatch").returncode != 0
    assert {path for path in files(place) - before if not path.startswith("/var/lib/legwatch-evidence")} == set()
