"""A machine that boots: a container with its own systemd, udev and interfaces, from a tree that stays as it is."""

import os
import re
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from tests.live.lab import Namespace, wait_for

BOOT_S = 60.0
COMMAND_S = 120.0
ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8", "DEBIAN_FRONTEND": "noninteractive"}
# Joins control groups, up to "--", and becomes the command behind it.
JOIN = 'while [ "$1" != -- ]; do echo $$ >"$1/cgroup.procs"; shift; done; shift; exec "$@"'


class Machine:
    """A machine that is up, as somebody sees it who is root in it."""

    def __init__(self, namespace: Namespace, leader: int) -> None:
        self.namespace = namespace
        self._leader = leader

    def path(self, inside: str) -> Path:
        """Return where a file of the machine can be read and written from here."""
        return Path(f"/proc/{self._leader}/root{inside}")

    def attempt(self, *command: str, seconds: float = COMMAND_S) -> subprocess.CompletedProcess[str]:
        """Run a command in the machine; the result has both outputs, interleaved."""
        entered = ["nsenter", f"--target={self._leader}", "--mount", "--uts", "--ipc", "--net", "--pid", "--cgroup"]
        return subprocess.run(
            [*entered, "--root", "--wd", "--", *command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            env=ENVIRONMENT,
            timeout=seconds,
        )

    def run(self, *command: str, seconds: float = COMMAND_S) -> str:
        """Run a command that has to succeed; return what it printed."""
        done = self.attempt(*command, seconds=seconds)
        assert done.returncode == 0, f"{' '.join(command)}: status {done.returncode}\n{done.stdout}"
        return done.stdout

    def install(self, package: str) -> str:
        """Install a package from a file of the machine, as the instructions say; return what was said."""
        return self.run("apt-get", "install", "--yes", "-qq", "--option=Dpkg::Options::=--force-confold", package)

    def shows(self, unit: str, *properties: str) -> list[str]:
        """Return properties of a unit (``systemctl show``)."""
        lines = self.run("systemctl", "show", unit, *(f"--property={each}" for each in properties)).splitlines()
        values = dict(line.split("=", 1) for line in lines)
        return [values[each] for each in properties]

    def pid(self, unit: str) -> int:
        """Return the number of a unit's main process, as the machine counts them; 0: it does not run."""
        return int(self.shows(unit, "MainPID")[0])


@contextmanager
def booted(tree: Path, namespace: Namespace, *shared: Path) -> Iterator[Machine]:
    """Boot a machine in a namespace and take it away again; it sees the folders ``shared`` as /mnt/<name>."""
    options = [
        f"--directory={tree}",
        "--volatile=overlay",  # what is written goes into memory, and away with the machine
        "--boot",
        f"--machine={namespace.name}",
        f"--network-namespace-path=/run/netns/{namespace.name}",
        "--capability=CAP_NET_RAW,CAP_NET_ADMIN",
        "--system-call-filter=bpf",  # by which IPAddressDeny= is kept
        "--console=passive",
        "--register=no",
        "--keep-unit",
        "--notify-ready=yes",
        *(f"--bind-ro={folder}:/mnt/{folder.name}" for folder in shared),
    ]
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        console = stack.enter_context((folder / "console").open("wb"))
        notices = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))
        notices.bind(str(folder / "notify"))
        groups = stack.enter_context(_control_groups(namespace.name))
        # The machine goes when we do, however that is.
        command = ["setpriv", "--pdeathsig=TERM", "sh", "-c", JOIN, "join", *groups, "--", "systemd-nspawn", *options]
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=console,
            stderr=subprocess.STDOUT,
            env=os.environ
            | {
                "NOTIFY_SOCKET": str(folder / "notify"),
                "SYSTEMD_NSPAWN_API_VFS_WRITABLE": "network",  # /proc/sys/net, which is the namespace's own
                "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1",  # as Debian 12 has it, whatever this machine has
            },
        )
        try:
            leader = _leader(notices, process, folder / "console")
            notices.close()  # what nobody reads would hold up who sends it
            yield Machine(namespace, leader)
        finally:
            _halt(process)


def _leader(notices: socket.socket, process: subprocess.Popen[bytes], console: Path) -> int:
    """Wait until the machine is up; return the number of its first process."""
    notices.setblocking(False)  # noqa: FBT003
    said = b""

    def up() -> bool:
        nonlocal said
        assert process.poll() is None, f"the machine does not boot:\n{console.read_text(errors='replace')}"
        try:
            said += notices.recv(4096) + b"\n"
        except BlockingIOError:
            return False
        return b"\nREADY=1\n" in b"\n" + said

    wait_for(up, "the machine boots", BOOT_S)
    leader = re.search(rb"^X_NSPAWN_LEADER_PID=(\d+)$", said, re.MULTILINE)
    assert leader, said
    return int(leader[1])


def _halt(process: subprocess.Popen[bytes]) -> None:
    """End the machine: its systemd is asked first."""
    for end in (process.terminate, lambda: _kill_children(process.pid), process.kill):
        end()
        with suppress(subprocess.TimeoutExpired):
            process.wait(15)
            return


def _kill_children(pid: int) -> None:
    """Kill what a process started: with the first process of a machine all others go."""
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        os.kill(int(child), signal.SIGKILL)


@contextmanager
def _control_groups(name: str) -> Iterator[Sequence[str]]:
    """Make a control group for one machine: two in one group would take each other for themselves."""
    roots = {"": "", "name=systemd": ""}  # of the unified hierarchy, and of the one that systemd had before
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        fields, _, (kind, _, options) = (part.split() for part in line.partition(" - "))
        if kind == "cgroup2":
            roots[""] = fields[4]
        elif kind == "cgroup" and "name=systemd" in options.split(","):
            roots["name=systemd"] = fields[4]
    own = (line.split(":", 2) for line in Path("/proc/self/cgroup").read_text().splitlines())
    groups = [Path(f"{roots[which]}{place}", name) for _, which, place in own if roots.get(which)]
    for group in groups:
        group.mkdir()
    try:
        yield [str(group) for group in groups]
    finally:
        for group in groups:
            for folder, _, _ in os.walk(group, topdown=False):
                wait_for(lambda at=folder: _removed(at), f"{folder} is empty")


def _removed(folder: str) -> bool:
    try:
        Path(folder).rmdir()
    except OSError:
        return False
    return True
