"""An attacker's code in the sensor. Upon SIGUSR1 it tries what it must not be able to and says what came of each.

Python imports a module of this name at its start, wherever PYTHONPATH finds it. Each attempt is a process of its own,
for the kernel may end it. What it says: "done", the name of the error, or that of the signal.
"""

import ctypes
import errno
import fcntl
import json
import mmap
import os
import resource
import signal
import socket
import struct
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

_LIBC = ctypes.CDLL(None, use_errno=True)
_CLONE_NEWUSER, _CLONE_NEWNET = 0x10000000, 0x40000000
_PTRACE_ATTACH, _PTRACE_TRACEME = 16, 0
_SIOCSIFFLAGS = 0x8914
_SOL_PACKET, _PACKET_QDISC_BYPASS = 263, 20
_PER_LINUX32 = 8
_OTHER = 255  # what failed for no error of the system


def _call(name: str, *arguments: object) -> None:
    """Call a function of the C library; raise OSError where it says that it failed."""
    if getattr(_LIBC, name)(*arguments) == -1:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def _write(path: str) -> Callable[[], object]:
    return lambda: Path(path).write_text("intruder")


def _read(path: str) -> Callable[[], object]:
    return lambda: Path(path).read_bytes()


def _open_socket(family: int, kind: int, protocol: int = 0) -> Callable[[], object]:
    return lambda: socket.socket(family, kind, protocol)


def _send(address: str) -> Callable[[], object]:
    return lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"calls", (address, 9))


def _take_interface_down() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, _SIOCSIFFLAGS, struct.pack("16sH14x", b"mgmt0", 0))


def _look_into_parent() -> None:
    with Path(f"/proc/{os.getppid()}/mem").open("rb") as memory:
        memory.read(0)


def _leave_core() -> None:
    with suppress(ValueError):
        resource.setrlimit(resource.RLIMIT_CORE, (-1, -1))
    os.abort()


def _set_user_bit() -> None:
    path = Path(os.environ["STATE_DIRECTORY"], "intruder")
    path.write_text("#!/bin/sh")
    path.chmod(0o4755)


def _run_new_code() -> None:
    with mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC):
        pass


def _make_device() -> None:
    os.mknod(Path(os.environ["STATE_DIRECTORY"], "device"), 0o20600, os.makedev(1, 1))


def _as_socket(descriptor: int) -> socket.socket | None:
    with suppress(OSError):
        return socket.socket(fileno=os.dup(descriptor))
    return None


def _send_frame(straight: int) -> None:
    """Send through a packet socket of the sensor, past the queue of the interface or not, to another network."""
    with next(each for each in map(_as_socket, range(1024)) if each and each.family == socket.AF_PACKET) as own:
        own.setsockopt(_SOL_PACKET, _PACKET_QDISC_BYPASS, straight)
        own.sendto(b"\xff" * 12 + b"\x88\xb5calls", ("mgmt0", 0x88B5))


ALLOWED: dict[str, Callable[[], object]] = {
    "write its state": lambda: Path(os.environ["STATE_DIRECTORY"], "written").write_text("state"),
    "read its configuration": _read("/etc/legwatch/legwatch.yaml"),
    "send on loopback": _send("127.0.0.1"),
    "ask for interfaces": _open_socket(socket.AF_NETLINK, socket.SOCK_RAW),
}
REFUSED: dict[str, Callable[[], object]] = {
    "open a packet socket": _open_socket(socket.AF_PACKET, socket.SOCK_RAW),
    "open a raw socket": _open_socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP),
    "open a raw socket of IPv6": _open_socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6),
    "open a socket of another family": _open_socket(socket.AF_VSOCK, socket.SOCK_STREAM),
    "send to the network": _send("192.0.2.1"),
    "take an interface down": _take_interface_down,
    "serve a port of the system": lambda: socket.create_server(("127.0.0.1", 80)),
    "write its configuration": _write("/etc/legwatch/legwatch.yaml"),
    "write its program": _write("/opt/legwatch/intruder"),
    "write where anybody may, in /etc": _write("/etc/for-anybody/file"),
    "write where anybody may, in /run": _write("/run/for-anybody/file"),
    "write where anybody may, in /var/lib": _write("/var/lib/for-anybody/file"),
    "write to the memory of others": _write("/dev/shm/for-anybody/file"),
    "write to /tmp of others": _write("/tmp/for-anybody/file"),
    "write to /var/tmp of others": _write("/var/tmp/for-anybody/file"),
    "write a setting of the kernel": _write("/proc/sys/net/ipv4/ip_forward"),
    "write a control group": _write("/sys/fs/cgroup/cgroup.procs"),
    "read passwords": _read("/etc/shadow"),
    "read secrets": _read("/etc/legwatch/secrets/for-another"),
    "read what anybody may, in /home": _read("/home/for-anybody/file"),
    "read what another one writes to /tmp": _read("/tmp/for-anybody/note"),
    "read a disk": _read("/dev/for-anybody"),
    "read the environment of others": _read("/proc/1/environ"),
    "read memory of the kernel": _read("/proc/kcore"),
    "see the processes of others": lambda: os.kill(os.getsid(1), 0),
    "look into the sensor's memory": _look_into_parent,
    "trace the sensor": lambda: _call("ptrace", _PTRACE_ATTACH, os.getppid(), None, None),
    "be traced": lambda: _call("ptrace", _PTRACE_TRACEME, 0, None, None),
    "end a process of others": lambda: os.kill(1, 0),
    "become root": lambda: os.setuid(0),
    "join a group": lambda: os.setgid(0),
    "mount": lambda: _call("mount", b"none", b"/tmp", b"tmpfs", 0, None),
    "unmount": lambda: _call("umount2", b"/proc", 2),
    "change the root directory": lambda: os.chroot("/tmp"),
    "be root in a namespace": lambda: _call("unshare", _CLONE_NEWUSER),
    "have a network of its own": lambda: _call("unshare", _CLONE_NEWNET),
    "enter a namespace": lambda: _call("setns", os.open("/proc/self/ns/net", os.O_RDONLY), 0),
    "load a module": lambda: _call("syscall", {"x86_64": 175, "aarch64": 105}[os.uname().machine], b"", 0, b""),
    "load a program into the kernel": lambda: _call(
        "syscall", {"x86_64": 321, "aarch64": 280}[os.uname().machine], 0, b"\0" * 128, 128
    ),
    "set the clock": lambda: time.clock_settime(time.CLOCK_REALTIME, time.time()),
    "set the host's name": lambda: socket.sethostname("intruder"),
    "account for processes": lambda: _call("acct", None),
    "stop swapping": lambda: _call("swapoff", b"/swap"),
    "have another personality": lambda: _call("personality", _PER_LINUX32),
    "take real time": lambda: os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1)),
    "go before others": lambda: os.setpriority(os.PRIO_PROCESS, 0, -5),
    "run code that it wrote": _run_new_code,
    "let a file run as its owner": _set_user_bit,
    "make a device": _make_device,
    "leave a core": _leave_core,
}
# Landlock alone refuses these: the kernel has to have it.
LANDLOCKED: dict[str, Callable[[], object]] = {
    "execute a program": lambda: os.execv("/bin/true", ["true"]),  # noqa: S606
    "read what anybody may, in /srv": _read("/srv/for-anybody/file"),
    "write to its own /tmp": _write("/tmp/file"),
}

# Nothing of the sensor's refuses these: a firewall may.
LEFT: dict[str, Callable[[], object]] = {
    "send a frame": lambda: _send_frame(0),
    "send a frame past the queue": lambda: _send_frame(1),
}


def outcome(attempt: Callable[[], object]) -> str:
    """Try in a process of its own."""
    child = os.fork()
    if not child:
        signal.alarm(5)
        try:
            attempt()
        except OSError as error:
            os._exit(error.errno or _OTHER)
        except BaseException:  # noqa: BLE001  (it must not go on as a second sensor)
            os._exit(_OTHER)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        name = signal.Signals(os.WTERMSIG(status)).name
        return "done" if os.WCOREDUMP(status) else name
    number = os.WEXITSTATUS(status)
    return errno.errorcode.get(number, str(number)) if number else "done"


def _try_all(_number: int, _frame: object) -> None:
    came = {name: outcome(attempt) for name, attempt in (ALLOWED | REFUSED | LANDLOCKED | LEFT).items()}
    sys.stdout.write(json.dumps({"event": "intruder", "came": came}) + "\n")
    sys.stdout.flush()


signal.signal(signal.SIGUSR1, _try_all)
