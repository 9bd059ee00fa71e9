"""What somebody gains who takes over the running sensor: nothing. Their code is put into it and tries."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.boot import place as places
from tests.boot.intruder.sitecustomize import ALLOWED, LANDLOCKED, LEFT, REFUSED
from tests.boot.place import PACKAGE, Place
from tests.live.lab import ROOT, wait_for

pytestmark = pytest.mark.boot

HERE = Path(__file__).parent
# Why something is refused: a right is missing, a place is not to be written to, or not to be seen, or the kernel ends
# who asks for it.
REASONS = {"EPERM", "EACCES", "EROFS", "ENOENT", "ESRCH", "EAFNOSUPPORT", "SIGSYS"}
SYMBOLS = ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")
FOLDERS = ("/etc", "/run", "/dev/shm", "/var/lib", "/tmp", "/var/tmp", "/home", "/srv")
FIREWALL = re.search(
    r"^table netdev legwatch {.*?^}\n", (ROOT / "docs/OPERATIONS.md").read_text(), re.DOTALL | re.MULTILINE
)


@pytest.fixture(scope="module")
def place(packages: Path) -> Iterator[Place]:
    """A sensor with the intruder in it, on a machine with much that anybody may read and write."""
    with places.place(packages, HERE / "intruder") as made:
        machine = made.machine
        machine.install(PACKAGE)
        machine.install("nftables")
        made.name_interface()
        for folder in FOLDERS:
            machine.run("install", "--directory", "--mode=777", f"{folder}/for-anybody")
            for name in ("file", "note"):
                machine.run("install", "--mode=666", "/dev/null", f"{folder}/for-anybody/{name}")
        machine.run("install", "--mode=666", "/dev/null", "/dev/for-anybody")
        machine.path("/etc/legwatch/secrets/for-another").write_text("secret")
        dropin = machine.path("/etc/systemd/system/legwatch.service.d/intruder.conf")
        dropin.parent.mkdir()
        dropin.write_text("[Service]\nEnvironment=PYTHONPATH=/mnt/intruder\n")
        machine.run("systemctl", "daemon-reload")
        machine.run("systemctl", "start", "legwatch")
        yield made


@pytest.fixture(scope="module")
def came(place: Place) -> dict[str, str]:
    """What came of each attempt."""
    return tried(place, 1)


def tried(place: Place, time: int) -> dict[str, str]:
    """Have the intruder try all."""
    place.machine.run("systemctl", "kill", "--kill-whom=main", "--signal=USR1", "legwatch")
    said = wait_for(lambda: place.events(name="intruder")[time - 1 :], "the intruder has tried all")
    outcomes: dict[str, str] = said[0]["came"]
    return outcomes


def status(place: Place) -> dict[str, str]:
    lines = place.machine.run("cat", f"/proc/{place.machine.pid('legwatch')}/status").splitlines()
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


def test_running_sensor_is_nobody_special_and_has_no_capability_in_any_set(place: Place) -> None:
    seen = status(place)
    user = place.machine.run("id", "--user", "legwatch").strip()
    assert seen["Uid"].split() == [user] * 4
    assert seen["Groups"].split() == [place.machine.run("id", "--group", "legwatch").strip()]
    assert {int(seen[name], 16) for name in SYMBOLS} == {0}
    assert seen["NoNewPrivs"] == "1"
    assert seen["Seccomp"] == "2"  # a filter


def test_no_packet_socket_is_left_in_the_store(place: Place) -> None:
    assert place.machine.shows("legwatch", "NFileDescriptorStore") == ["0"]


@pytest.mark.parametrize("what", ALLOWED)
def test_intruder_can_do_what_the_sensor_needs(came: dict[str, str], what: str) -> None:
    """If this could not be, nothing that is refused would say anything."""
    assert came[what] == "done"


@pytest.mark.parametrize("what", REFUSED)
def test_intruder_cannot(came: dict[str, str], what: str) -> None:
    # abort() ends who calls it in any case: what it must not do is to leave a core.
    assert came[what] in REASONS | ({"SIGABRT"} if what == "leave a core" else set())


def test_intruder_is_held_by_landlock_where_the_kernel_has_it(place: Place, came: dict[str, str]) -> None:
    (started,) = place.events(name="started")
    expected = {"EACCES", "ENOENT"} if started["landlock"] else {"done"}
    assert {came[what] for what in LANDLOCKED} <= expected


def test_intruder_sends_frames_until_a_firewall_refuses_what_comes_of_packet_sockets(
    place: Place, came: dict[str, str]
) -> None:
    assert {came[what] for what in LEFT} == {"done"}
    assert FIREWALL
    place.machine.path("/run/firewall").write_text(FIREWALL[0].replace("eth0", "mgmt0"))
    place.machine.run("nft", "--file", "/run/firewall")
    again = tried(place, 2)
    assert {again[what] for what in LEFT} == {"ENOBUFS"}
    assert {again[what] for what in ALLOWED} == {"done"}


def test_sensor_goes_on_after_all_of_it(place: Place, came: dict[str, str]) -> None:
    assert came
    assert place.sensor.ready()
    assert place.machine.shows("legwatch", "NRestarts") == ["0"]


def test_another_process_of_its_user_cannot_look_into_the_sensor(place: Place) -> None:
    """Its memory holds packets: it is not dumpable, so it belongs to root (prctl(2))."""
    pid = place.machine.pid("legwatch")
    for file in ("mem", "environ", "maps"):
        done = place.machine.attempt("runuser", "--user=legwatch", "--", "head", "--bytes=1", f"/proc/{pid}/{file}")
        assert re.search("Permission denied", done.stdout), file


def test_exposure_is_what_the_gate_allows(place: Place) -> None:
    for unit in ("legwatch.service", "legwatch@span1.service"):
        place.machine.run("systemd-analyze", "security", "--threshold=18", unit)


def test_units_please_systemd(place: Place) -> None:
    said = place.machine.run("systemd-analyze", "verify", "--man=no", "legwatch.service", "legwatch@span1.service")
    assert not said
