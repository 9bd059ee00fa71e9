"""Faults of the configuration of a sensor that runs: it keeps the one it has, says so, and takes the next good one."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

from tests.live.faults import POLICY, all_are_accounted_for, feeding, holds, judges, of_code, watching
from tests.live.lab import Mirror, Namespace, Sensor, namespaces, running_sensor, wait_for

pytestmark = pytest.mark.live

LARGE = 100 << 20
FAULTY = 5000  # entries of a configuration whose faults take seconds to be told


@pytest.fixture
def namespace() -> Iterator[Namespace]:
    with namespaces("configuration") as (made,):
        Mirror(made).close()
        yield made


def delete(path: Path) -> None:
    path.unlink()


def move_directory_away(path: Path) -> None:
    path.parent.rename(path.parent.with_name("aside"))


def make_directory(path: Path) -> None:
    path.unlink()
    path.mkdir()


def make_fifo(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def make_unreadable(path: Path) -> None:
    path.chmod(0)


def make_large(path: Path) -> None:
    with path.open("r+b") as file:
        file.truncate(LARGE)


def make_link_to_itself(path: Path) -> None:
    path.unlink()
    path.symlink_to(path)


def make_another_format(path: Path) -> None:
    path.write_bytes(bytes(range(256)))


FAULTS: dict[Callable[[Path], None], str] = {
    delete: "No such file or directory",
    move_directory_away: "No such file or directory",
    make_directory: "Is a directory",
    make_fifo: "it is no regular file",
    make_unreadable: "Permission denied",
    make_large: "too large for a configuration",
    make_link_to_itself: "Too many levels of symbolic links",
    make_another_format: "not YAML",
}


def write(path: Path) -> None:
    """Write the good configuration, whatever is there."""
    if (aside := path.parent.with_name("aside")).exists():
        aside.rename(path.parent)  # one that was made anew would be closed to a confined sensor until its restart
    if path.is_dir():
        path.rmdir()
    path.unlink(missing_ok=True)
    path.write_text(
        yaml.safe_dump({"policy": POLICY | {"severities": {"media-clear": "low"}}, "alerts": {"settle": 0}})
    )


def reload(sensor: Sensor, event: str) -> dict[str, object]:
    """Ask for a reload; return how it ended, which is to be ``event``."""
    before = len(sensor.events(event))
    sensor.process.send_signal(signal.SIGHUP)
    wait_for(lambda: len(sensor.events(event)) > before, event)
    return sensor.events(event)[-1]


def test_configuration_that_cannot_be_read_leaves_the_one_in_use_and_the_next_good_one_is_taken(
    namespace: Namespace, tmp_path: Path
) -> None:
    path = tmp_path / "etc" / "legwatch.yaml"
    path.parent.mkdir()
    write(path)
    with running_sensor(namespace, tmp_path, "--config", str(path)) as sensor, feeding(namespace) as feed:
        for number, (fault, reason) in enumerate(FAULTS.items()):
            fault(path)
            assert reason in str(reload(sensor, "reload_failed")["faults"])
            assert sensor.metric("legwatch_config_last_reload_successful") == 0
            holds(sensor, reload_failed="degraded")
            judges(sensor, feed, 1 + 4 * number)
            write(path)
            reload(sensor, "reloaded")
            assert sensor.metric("legwatch_config_last_reload_successful") == 1
            holds(sensor, reload_failed=None)
            judges(sensor, feed, 3 + 4 * number)
        all_are_accounted_for(sensor, feed)
        found = of_code(sensor.events("finding_opened"), "media-clear")
        assert [event["severity"] for event in found] == ["low"] * 2 * len(FAULTS)
        assert sensor.stop() == 0


def test_configuration_that_takes_long_to_read_holds_nothing_up(namespace: Namespace, tmp_path: Path) -> None:
    with watching(namespace, tmp_path, alerts={"settle": 0, "burst": 1000}) as sensor, feeding(namespace) as feed:
        (tmp_path / "legwatch.yaml").write_text("policy: {segments: [" + "{name: a}, " * FAULTY + "]}")
        sensor.process.send_signal(signal.SIGHUP)
        judged = 0
        while not sensor.events("reload_failed"):
            judges(sensor, feed, 1 + 2 * judged)
            judged += 1
        assert judged > 1
        all_are_accounted_for(sensor, feed)
