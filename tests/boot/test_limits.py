"""What the unit's limits do to a sensor that wants more: of memory, of tasks."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.boot import place as places
from tests.boot.greedy.sitecustomize import STEP_MIB
from tests.boot.place import PACKAGE, Place
from tests.boot.test_service import calls, opened, received, restarts
from tests.live.lab import wait_for

pytestmark = pytest.mark.boot

TASKS = 192  # TasksMax= of the unit
MEMORY_MIB = 512  # in place of its MemoryMax=, to be taken sooner
KEY, LEDGER = "/etc/legwatch/secrets/ledger.pem", "/var/lib/legwatch/ledger"
CONFIG = f"""
alerts: {{settle: 0}}
ledger: {{directory: {LEDGER}, key_file: $CREDENTIALS_DIRECTORY/secrets_ledger.pem}}
"""


@pytest.fixture(scope="module")
def place(packages: Path) -> Iterator[Place]:
    """A sensor with a ledger and a defect."""
    with places.place(packages, Path(__file__).with_name("greedy"), limits=True) as made:
        machine = made.machine
        machine.install(PACKAGE)
        made.name_interface()
        machine.run("legwatch", "ledger", "new-key", KEY)
        machine.path("/etc/legwatch/legwatch.yaml").write_text(CONFIG)
        dropin = machine.path("/etc/systemd/system/legwatch.service.d/greedy.conf")
        dropin.parent.mkdir()
        dropin.write_text(f"[Service]\nEnvironment=PYTHONPATH=/mnt/greedy\nMemoryMax={MEMORY_MIB}M\n")
        machine.run("systemctl", "daemon-reload")
        machine.run("systemctl", "start", "legwatch")
        if "[not set]" in machine.shows("legwatch", "MemoryCurrent", "TasksCurrent"):
            pytest.skip("control groups of this machine hand on no controllers of memory and tasks")
        yield made


def taken(place: Place, what: str) -> list[int]:
    return [event[what] for event in place.events(name="greedy") if what in event]


def test_sensor_that_wants_more_tasks_than_it_may_have_goes_without_and_goes_on(place: Place) -> None:
    before = place.machine.pid("legwatch")
    own = len(place.machine.run("ls", f"/proc/{before}/task").split())
    place.machine.run("systemctl", "kill", "--kill-whom=main", "--signal=USR2", "legwatch")
    (more,) = wait_for(lambda: taken(place, "threads"), "it has taken all that it gets")
    assert own + more == TASKS
    sent = calls(place.mirror)
    wait_for(lambda: received(place.sensor) >= sent, "it receives")
    assert place.machine.pid("legwatch") == before
    assert place.sensor.ready()


def test_sensor_that_wants_more_memory_than_it_may_have_is_killed_and_comes_back_to_a_whole_ledger(
    place: Place,
) -> None:
    calls(place.mirror)
    said = wait_for(lambda: opened(place), "it finds")
    place.machine.run("systemctl", "kill", "--kill-whom=main", "--signal=USR1", "legwatch")
    wait_for(lambda: restarts(place) == 1 and place.sensor.ready(), "systemd starts it again", 20)
    assert MEMORY_MIB - 3 * STEP_MIB <= max(taken(place, "mib")) < MEMORY_MIB
    assert place.machine.run("journalctl", "--unit=legwatch", "--grep=status=9/KILL")
    assert opened(place) == said

    (key,) = place.machine.run("legwatch", "ledger", "keys", "--ledger", LEDGER).split()
    place.machine.run("legwatch", "ledger", "verify", LEDGER, "--key", key)
    lines = place.machine.run("legwatch", "ledger", "export", "--ledger", LEDGER).splitlines()
    kept = [json.loads(line) for line in lines]
    assert [entry["kind"] for entry in kept if entry["kind"] in {"start", "stop"}] == ["start", "start"]
    assert {event["id"] for event in said} == {entry["id"] for entry in kept if entry["kind"] == "finding"}
