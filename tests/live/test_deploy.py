"""What is delivered for containers, by the tools that will read it, and what the container's rights come to."""

import os
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tests.live.lab import ROOT
from tests.unit.deploy.containerfile import stages

pytestmark = pytest.mark.live

DEPLOY = ROOT / "deploy"
ALERTMANAGER = DEPLOY / "alertmanager/alertmanager.yml"
BUILD, FINAL = stages((DEPLOY / "Containerfile").read_text())
WANTED = ("LEGWATCH_INTERFACE", "GRAFANA_ADMIN_PASSWORD_FILE")


def compose(**environment: str) -> subprocess.CompletedProcess[str]:
    """Let Compose read the file with these variables set."""
    plain = {name: value for name, value in os.environ.items() if name not in WANTED}
    command = ["docker-compose", "--file", str(DEPLOY / "compose.yaml"), "config", "--quiet"]
    return subprocess.run(command, env=plain | environment, capture_output=True, text=True, check=False)


def test_compose_accepts_what_is_delivered(tmp_path: Path) -> None:
    done = compose(LEGWATCH_INTERFACE="span0", GRAFANA_ADMIN_PASSWORD_FILE=str(tmp_path))
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("missing", WANTED)
def test_compose_without_what_has_no_default_says_what_to_name(missing: str) -> None:
    done = compose(**{name: "x" for name in WANTED if name != missing})
    assert done.returncode != 0
    assert missing in done.stderr


def amtool(*arguments: str) -> str:
    done = subprocess.run(["amtool", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.strip()


def test_amtool_accepts_what_is_delivered() -> None:
    assert "SUCCESS" in amtool("check-config", str(ALERTMANAGER))


@pytest.mark.parametrize(
    ("labels", "receiver"),
    [
        (("alertname=LegwatchFinding", "severity=critical"), "page"),
        (("alertname=LegwatchFinding", "severity=high"), "chat"),
        (("alertname=LegwatchFinding", "severity=medium"), "ticket"),
        (("alertname=LegwatchReloadFailed", "severity=warning"), "ticket"),
        (("alertname=LegwatchBaselineLearning", "severity=info"), "nobody"),
        (("alertname=LegwatchWatchdog", "severity=none"), "dead-mans-switch"),
        (("alertname=LegwatchWatchdog", "severity=critical"), "dead-mans-switch"),
        (("alertname=SomebodyElses",), "ticket"),
    ],
)
def test_alert_goes_to_the_receiver_of_its_severity(labels: Sequence[str], receiver: str) -> None:
    assert amtool("config", "routes", "test", f"--config.file={ALERTMANAGER}", *labels) == receiver


# As an engine starts a process of another user than root: nothing but CAP_NET_RAW in the bounding set. "kept": what was
# added stays permitted until the program is executed (Podman; Docker from 24.0.6 on); "lost": it does not.
AS_CONTAINER = """
import ctypes, os, sys
permitted, new_privileges, *command = sys.argv[1:]
call = ctypes.CDLL(None).prctl
KEEPCAPS, CAPBSET_DROP, NO_NEW_PRIVS, NET_RAW = 8, 24, 38, 13
call(KEEPCAPS, 1, 0, 0, 0)
for capability in range(41):
    if capability != NET_RAW:
        call(CAPBSET_DROP, capability, 0, 0, 0)
os.setgroups([]), os.setgid(9767), os.setuid(9767)
bits = 1 << NET_RAW if permitted == "kept" else 0
header, data = (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)(bits, bits, 0, 0, 0, 0)
assert ctypes.CDLL(None).capset(header, data) == 0
if new_privileges == "no-new-privileges":
    call(NO_NEW_PRIVS, 1, 0, 0, 0)
os.execv(command[0], command)
"""
OPEN = "import socket; socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0); print('opened')"


@pytest.fixture(scope="module")
def interpreter() -> Iterator[Path]:
    """A copy of the interpreter with the file capability that the image gives it, where others may execute it."""
    (setcap,) = (command for command in FINAL.commands() if command[0] == "setcap")
    with tempfile.TemporaryDirectory(prefix="legwatch-") as folder:
        Path(folder).chmod(0o755)
        made = Path(folder) / "venv"
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", "--copies", made], check=True)
        subprocess.run([*setcap[:2], made / "bin/python3"], check=True)
        yield made / "bin/python3"


@pytest.mark.parametrize(
    ("permitted", "privileges", "opens"),
    [
        ("kept", "no-new-privileges", True),
        ("kept", "any", True),
        ("lost", "any", True),
        ("lost", "no-new-privileges", False),  # Docker before 24.0.6
    ],
)
def test_file_capability_opens_a_packet_socket_for_a_user_other_than_root(
    permitted: str, privileges: str, opens: bool, interpreter: Path
) -> None:
    command = [sys.executable, "-c", AS_CONTAINER, permitted, privileges, str(interpreter), "-c", OPEN]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.stdout.strip() == "opened") is opens, done.stderr
    assert opens or "PermissionError" in done.stderr


def test_program_without_the_file_capability_opens_none() -> None:
    command = [sys.executable, "-c", AS_CONTAINER, "kept", "any", "/usr/bin/python3", "-c", OPEN]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "PermissionError" in done.stderr


def test_wheel_of_what_the_containerfile_copies_has_the_core_and_no_sources_of_it(tmp_path: Path) -> None:
    """It is built from these files alone, with this environment's compiler."""
    for source in {source for words in BUILD.of("COPY") for source in words[:-1]}:
        subprocess.run(["cp", "--recursive", ROOT / source, tmp_path], check=True)
    for path in [*tmp_path.glob("fastpath/*.so"), *tmp_path.glob("fastpath/*.c")]:
        path.unlink()
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir", "out"]
    subprocess.run([*pip, "."], cwd=tmp_path, check=True)
    (wheel,) = tmp_path.glob("out/legwatch-*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    cores = {path.stem for path in (ROOT / "fastpath").glob("*.pyx")}
    assert {Path(name).name.partition(".")[0] for name in names if name.endswith(".so")} == cores
    assert {"sensor/cli.py", "fastpath/tables/tables.bin"} <= set(names)
    assert not [name for name in names if name.endswith(".c") or name.startswith(("tests/", "deploy/"))]
