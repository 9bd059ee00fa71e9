"""What the running sensor cannot do any more, started by root without systemd; tests/boot does so in the unit."""

import errno
import json
import os
import pwd
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import process
from tests.live import lab
from tests.live.forbidden import attempts
from tests.live.lab import (
    ONE_CAPABILITY,
    ROOT,
    Frames,
    Mirror,
    Namespace,
    namespaces,
    read_capture,
    run_to_end,
    running_sensor,
    wait_for,
)

pytestmark = pytest.mark.live

USER = "daemon"  # of every Debian
CLINIC = ROOT / "deploy/demo/clinic.pcap"
SETS = ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")
PTRACE_ATTACH = 16
# What is installed for root alone, another user cannot execute.
PYTHON = f"/usr/bin/python3.{sys.version_info.minor}"
WITH_PACKAGES = {"PYTHONPATH": next(path for path in sys.path if path.endswith("site-packages"))}


@pytest.fixture(scope="module")
def clinic() -> Frames:
    return read_capture(CLINIC)[:50]


@pytest.fixture
def mirror() -> Iterator[Mirror]:
    with namespaces("confined") as (namespace,):
        made = Mirror(namespace)
        yield made
        made.close()


@pytest.fixture
def namespace(mirror: Mirror) -> Namespace:
    return mirror.namespace


@pytest.fixture
def folder() -> Iterator[Path]:
    """A directory that all users may enter."""
    with tempfile.TemporaryDirectory(prefix="legwatch-") as made:
        Path(made).chmod(0o755)
        yield Path(made)


def status_of(process: int) -> dict[str, str]:
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    return {name: value.strip() for name, value in (line.split(":", 1) for line in lines)}


@pytest.fixture(scope="module")
def confined() -> Iterator[tuple[dict[str, Any], int]]:
    """What a program that is confined as the sensor is says of itself, and its process, which goes on."""
    with tempfile.TemporaryDirectory(prefix="legwatch-") as made:
        state, outside = Path(made, "state"), Path(made, "outside")
        Path(made).chmod(0o755)
        for each in (state, outside):
            each.mkdir()
            os.chown(each, pwd.getpwnam(USER).pw_uid, -1)
        (outside / "there").write_text("x")
        outside.chmod(0o777)
        command = [PYTHON, "-m", "tests.live.forbidden", USER, str(state), str(outside)]
        with subprocess.Popen(
            command, cwd=ROOT, env=os.environ | WITH_PACKAGES, stdout=subprocess.PIPE, text=True
        ) as process:
            try:
                assert process.stdout is not None
                yield json.loads(process.stdout.readline()), process.pid
            finally:
                process.kill()


def test_no_capability_is_left_in_any_set(confined: tuple[dict[str, Any], int]) -> None:
    said, process = confined
    status = status_of(process)
    assert {name: int(status[name], 16) for name in SETS} == dict.fromkeys(SETS, 0)
    assert status["NoNewPrivs"] == "1"
    assert said["rights"] == []
    assert said["uid"] == pwd.getpwnam(USER).pw_uid
    assert said["packets"] == [said["uid"], 0]  # by which a firewall knows them


@pytest.mark.parametrize("name", attempts(Path("/")))
def test_forbidden_thing_is_refused(confined: tuple[dict[str, Any], int], name: str) -> None:
    said, _ = confined
    assert said["landlock"] > 0, "this kernel has no Landlock"
    assert said["done"][name].startswith("refused: ")


def test_forbidden_thing_is_possible_for_one_who_is_not_confined() -> None:
    """Or the test above would show nothing."""
    with tempfile.TemporaryDirectory() as made:
        Path(made, "there").write_text("x")
        tried = attempts(Path(made))
        for name in ("packet socket", "raw socket", "listen on TCP", "read another's file", "write a file elsewhere"):
            tried[name]()
        for name in ("list another directory", "execute a program", "signal another process", "become root"):
            tried[name]()


def test_memory_is_hidden_from_the_same_user(confined: tuple[dict[str, Any], int]) -> None:
    _, process = confined
    look = (
        "import ctypes, sys; libc = ctypes.CDLL(None, use_errno=True);"
        f"print(libc.ptrace({PTRACE_ATTACH}, {process}, 0, 0), ctypes.get_errno());"
        f"open('/proc/{process}/mem', 'rb')"
    )
    command = ["setpriv", f"--reuid={USER}", "--clear-groups", PYTHON, "-c", look]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stdout.split() == ["-1", str(errno.EPERM)]
    assert "PermissionError" in done.stderr


def test_sensor_started_by_root_watches_as_the_other_user(
    namespace: Namespace, mirror: Mirror, clinic: Frames, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = folder / "legwatch.yaml"
    config.write_text("{}")
    monkeypatch.setenv(*next(iter(WITH_PACKAGES.items())))
    monkeypatch.setattr(lab, "LEGWATCH", (PYTHON, "-m", "sensor"))
    with running_sensor(namespace, folder, "--user", USER, "--config", str(config)) as sensor:
        status = status_of(sensor.process.pid)
        assert {name: int(status[name], 16) for name in SETS} == dict.fromkeys(SETS, 0)
        assert status["Uid"].split() == [str(pwd.getpwnam(USER).pw_uid)] * 4
        mirror.replay(clinic, speed=100)
        wait_for(lambda: sensor.metric("legwatch_received_packets_total") >= len(clinic), "packets")
        namespace.ip("link", "del", "feed0")
        wait_for(lambda: sensor.metric("legwatch_capture_up") == 0, "it sees the interface go")
        again = Mirror(namespace)
        wait_for(lambda: sensor.metric("legwatch_capture_up") == 1, "it has the new interface")
        again.replay(clinic, speed=100)
        wait_for(lambda: sensor.metric("legwatch_received_packets_total") >= 2 * len(clinic), "packets again")
        again.close()
        assert sensor.events("started")[0]["landlock"] > 0
        assert sensor.stop() == 0


def test_one_capability_is_enough_and_is_given_up(
    namespace: Namespace, mirror: Mirror, clinic: Frames, tmp_path: Path
) -> None:
    """As an engine of containers starts it: CAP_NET_RAW and nothing else."""
    with running_sensor(namespace, tmp_path, confined_by=ONE_CAPABILITY) as sensor:
        status = status_of(sensor.process.pid)
        held = {name: int(status[name], 16) for name in SETS if name != "CapBnd"}
        assert set(held.values()) == {0}
        mirror.replay(clinic, speed=100)
        wait_for(lambda: sensor.metric("legwatch_received_packets_total") >= len(clinic), "packets")
        assert sensor.stop() == 0


@pytest.mark.usefixtures("mirror")
def test_user_that_is_not_there_ends_with_status_2(namespace: Namespace) -> None:
    status, said = run_to_end(namespace, "run", "--user", "nosuchuser", "-i", "span0")
    assert status == 2
    assert re.search("no user nosuchuser .*useradd", said)
    assert said.count("\n") == 1


@pytest.mark.usefixtures("mirror")
def test_root_without_capabilities_that_may_not_stay_root_ends_with_status_2(namespace: Namespace) -> None:
    without = ("setpriv", "--bounding-set=-all", "--inh-caps=-all")
    status, said = process.run_to_end("run", "--user", USER, "-i", "span0", within=(*namespace.command(), *without))
    assert status == 2
    assert f"root cannot become {USER} here" in said


@pytest.mark.usefixtures("mirror")
def test_capability_of_a_sensor_that_has_its_sockets_ends_with_status_2(namespace: Namespace) -> None:
    """As a unit would start it that gives it rights for good."""
    shell = ("sh", "-c", 'LISTEN_PID=$$ LISTEN_FDS=0 exec "$@"', "sh")
    status, said = process.run_to_end("run", "-i", "span0", within=(*namespace.command(), *shell))
    assert status == 2
    assert "with rights: CapPrm" in said
    assert said.count("\n") == 1
