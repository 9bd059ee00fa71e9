"""The systemd units: confined alike, accepted by systemd, exposed as little as is claimed."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from sensor.config.schema import MAX_THREADS
from sensor.launch import SOCKETS

SYSTEMD = Path(__file__).parent.parent / "systemd"
UNITS = ("legwatch.service", "legwatch@.service")
EXPOSURE_LIMIT = 18  # tenths of a point, as systemd-analyze counts


def settings(unit: str) -> set[str]:
    """Return the settings of a unit's [Service] section."""
    _, _, section = (SYSTEMD / unit).read_text().partition("[Service]")
    lines = section.partition("[Install]")[0].splitlines()
    return {line for line in lines if line and not line.startswith("#")}


def analyze(*arguments: str | Path) -> None:
    """Run systemd-analyze, which has to be content and silent about it."""
    done = subprocess.run(["systemd-analyze", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""


def test_units_differ_only_in_how_they_name_the_interface_and_their_state() -> None:
    one, many = map(settings, UNITS)
    assert {line.partition("=")[0] for line in one ^ many} == {
        "EnvironmentFile",
        "ExecStart",
        "RuntimeDirectory",
        "RuntimeDirectoryPreserve",
        "StateDirectory",
    }


@pytest.mark.parametrize("unit", UNITS)
def test_unit_has_room_for_a_socket_of_each_thread_and_of_evidence(unit: str) -> None:
    assert SOCKETS == MAX_THREADS + 1
    assert f"FileDescriptorStoreMax={SOCKETS}" in settings(unit)


@pytest.mark.live
@pytest.mark.parametrize("unit", UNITS)
def test_unit_is_accepted_by_systemd(unit: str, tmp_path: Path) -> None:
    text = (SYSTEMD / unit).read_text()
    # systemd looks whether the program is there.
    (tmp_path / unit).write_text(re.sub(r"/opt/legwatch/bin/\w+", sys.executable, text))
    shutil.copystat(SYSTEMD / unit, tmp_path / unit)
    analyze("verify", "--man=no", tmp_path / unit)


@pytest.mark.live
@pytest.mark.parametrize("unit", UNITS)
def test_unit_is_exposed_as_little_as_claimed(unit: str) -> None:
    analyze("security", "--offline=true", f"--threshold={EXPOSURE_LIMIT}", SYSTEMD / unit)
