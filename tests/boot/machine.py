"""A machine that boots: a container with its own systemd, udev and interfaces, from a tree that stays as it is."""

import os
import re
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

from tests.live.lab import Namespace, wait_for

BOOT_S = 180.0  # what a first boot installs included
HALT_S = 20.0
COMMAND_S = 120.0
CONTROLLERS = ("memory", "pids")  # by which systemd limits memory and tasks
MEMORY = "/dev/shm"  # where disks of machines are: nothing waits for a real one
ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8", "DEBIAN_FRONTEND": "noninteractive"}
# Joins control groups, up to "--"; has its own mounts, the machine's root directory among them; becomes the machine.
START = """
while [ "$1" != -- ]; do echo $$ >"$1/cgroup.procs"; shift; done; shift
exec unshare --mount sh -ec 'mount -t overlay -o "$1" machine "$2"; shift 2; exec "$@"' mount "$@"
"""


class Machine:
    """A machine, as somebody sees it who is root in it."""

    def __init__(
        self, tree: Path, disk: Path, namespace: Namespace, groups: Mapping[str, Path], shared: Sequence[Path]
    ) -> None:
        self.namespace = namespace
        self._disk = disk
        # Hierarchies of controllers of their own, as before the unified one, if this machine has these
        self._controllers = [each for each in CONTROLLERS if each in groups]
        for name in ("root", "changed", "work"):
            (disk / name).mkdir()
        root = disk / "root"
        overlay = f"lowerdir={tree},upperdir={disk / 'changed'},workdir={disk / 'work'}"
        # The machine goes when we do, however that is.
        self._command = ["setpriv", "--pdeathsig=TERM"]
        self._command += ["sh", "-ec", START, "start", *map(str, groups.values()), "--", overlay, str(root)]
        self._command += [
            "systemd-nspawn",
            f"--directory={root}",
            "--boot",
            f"--machine={namespace.name}",
            f"--network-namespace-path=/run/netns/{namespace.name}",
            "--capability=CAP_NET_RAW,CAP_NET_ADMIN",
            # By which IPAddressDeny= and Landlock are kept
            "--system-call-filter=bpf landlock_create_ruleset landlock_add_rule landlock_restrict_self",
            "--console=pipe",  # not a terminal, which would hold up who writes to it
            "--register=no",
            "--keep-unit",
            "--notify-ready=yes",
            *(f"--bind-ro={folder}:/mnt/{folder.name}" for folder in shared),
        ]
        self._process: subprocess.Popen[bytes] | None = None
        self._leader = 0

    def boot(self) -> None:
        """Switch it on, and wait until it is up."""
        console, address = self._disk / "console", self._disk / "notify"
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notices, console.open("wb") as output:
            address.unlink(missing_ok=True)
            notices.bind(str(address))
            notices.setblocking(False)
            self._process = subprocess.Popen(
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=os.environ
                | {
                    "NOTIFY_SOCKET": str(address),
                    "SYSTEMD_NSPAWN_API_VFS_WRITABLE": "network",  # /proc/sys/net, which is the namespace's own
                    # As Debian 12 has it, whatever this machine has, unless it is controllers that are asked for
                    "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "0" if self._controllers else "1",
                },
            )
            said = b""

            def up() -> bool:
                nonlocal said
                ended = self._process and self._process.poll()
                assert ended is None, f"it does not boot:\n{console.read_text(errors='replace')}"
                with suppress(BlockingIOError):
                    said += notices.recv(4096) + b"\n"
                return bool(re.search(rb"^READY=1$", said, re.MULTILINE))

            wait_for(up, "the machine boots", BOOT_S)
        # The socket is closed by now: what nobody reads would hold up who sends it.
        leader = re.search(rb"^X_NSPAWN_LEADER_PID=(\d+)$", said, re.MULTILINE)
        assert leader, said
        self._leader = int(leader[1])
        for controller in self._controllers:
            self.run("mount", "-o", "remount,bind,rw", f"/sys/fs/cgroup/{controller}")
        if self._controllers:  # which systemd looks for at its start, and takes where it may write
            self.run("systemctl", "daemon-reexec")

    def halt(self) -> None:
        """Switch it off: its systemd is asked first."""
        process = self._process
        if process is None:
            return
        for end in (process.terminate, lambda: _kill_children(process.pid), process.kill):
            end()
            with suppress(subprocess.TimeoutExpired):
                process.wait(HALT_S)
                self._process = None
                return

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
        """Install a package, from a file of the machine or what waits in apt's cache; return what was said."""
        options = ("--yes", "-qq", "--no-install-recommends", "--option=Dpkg::Options::=--force-confold")
        return self.run("apt-get", "install", *options, package)

    def shows(self, unit: str, *properties: str) -> list[str]:
        """Return properties of a unit (``systemctl show``)."""
        lines = self.run("systemctl", "show", unit, *(f"--property={each}" for each in properties)).splitlines()
        values = dict(line.split("=", 1) for line in lines)
        return [values[each] for each in properties]

    def pid(self, unit: str) -> int:
        """Return the number of a unit's main process, as the machine counts them; 0: it does not run."""
        return int(self.shows(unit, "MainPID")[0])


@contextmanager
def booted(tree: Path, namespace: Namespace, *shared: Path, limits: bool = False) -> Iterator[Machine]:
    """Boot a machine in a namespace and take it away again; it sees the folders ``shared`` as /mnt/<name>.

    With ``limits`` its systemd has the controllers of memory and tasks, if they are to be had here.
    """
    with tempfile.TemporaryDirectory(dir=MEMORY) as disk, _control_groups(namespace.name, limits) as groups:
        machine = Machine(tree, Path(disk), namespace, groups, shared)
        try:
            machine.boot()
            yield machine
        finally:
            machine.halt()


def _kill_children(pid: int) -> None:
    """Kill what a process started: with the first process of a machine all others go."""
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        os.kill(int(child), signal.SIGKILL)


@contextmanager
def _control_groups(name: str, limits: bool) -> Iterator[Mapping[str, Path]]:
    """Make a control group for one machine: two in one group would take each other for themselves.

    Returns it for each hierarchy: the unified one, the one that systemd had before, those of controllers.
    """
    roots = dict.fromkeys(("", "name=systemd", *(CONTROLLERS if limits else ())), "")
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        fields, _, (kind, _, options) = (part.split() for part in line.partition(" - "))
        if kind == "cgroup2":
            roots[""] = fields[4]
        elif kind == "cgroup":
            roots |= dict.fromkeys(roots.keys() & set(options.split(",")), fields[4])
    own = [line.split(":", 2)[1:] for line in Path("/proc/self/cgroup").read_text().splitlines()]
    if limits:  # of the unified hierarchy's groups the first is the one that hands its controllers on
        own = [[which, place if which else "/"] for which, place in own]
    groups = {which: Path(f"{roots[which]}{place}", name) for which, place in own if roots.get(which)}
    for group in groups.values():
        group.mkdir()
    try:
        yield groups
    finally:
        for group in groups.values():
            for folder, _, _ in os.walk(group, topdown=False):
                wait_for(partial(_removed, folder), f"{folder} is empty")


def _removed(folder: str) -> bool:
    try:
        Path(folder).rmdir()
    except OSError:
        return False
    return True
