"""What runs with rights, and how they are given up: packet sockets are made here and nowhere else.

Reading list: capabilities(7), packet(7), sd_notify(3), sd_listen_fds(3), prctl(2).

``python -I -m sensor.launch`` is the unit's ExecStartPre=+: root makes the sockets and leaves them in the unit's store
of descriptors; systemd executes the sensor with them, and without any right. Elsewhere ``give_up_rights`` does both in
one process, which then executes itself. Standard library only: nothing else is to run as root.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import pwd
import select
import socket
import struct
import sys
from contextlib import suppress
from pathlib import Path

USER = "legwatch"
# One for each thread that can be configured, one for evidence. Unbound ones cost a kilobyte; the sensor closes what it
# does not want. What the configuration asks for is not read with rights.
SOCKETS = 65
NAME = "packets"  # of the descriptors in the unit's store

_CAP_SETUID, _CAP_SETPCAP, _CAP_NET_RAW = 7, 8, 13
_VERSION_3 = 0x20080522  # linux/capability.h: two words of 32 capabilities
_PR_CAPBSET_READ, _PR_CAPBSET_DROP = 23, 24
_PR_SET_NO_NEW_PRIVS = 38
_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL = 47, 4
_SETS = ("CapInh", "CapPrm", "CapEff", "CapAmb")
_FIRST = 3  # descriptor (SD_LISTEN_FDS_START)
_BARRIER_S = 10.0

_LIBC = ctypes.CDLL(None, use_errno=True)


class LaunchError(Exception):
    """Rights could not be used, or not be given up; the text says which and what to do."""


def rights() -> list[str]:
    """Return the sets of this thread that have a capability, with what is in them."""
    status = dict(line.split(":", 1) for line in Path("/proc/thread-self/status").read_text("ascii").splitlines())
    return [f"{name} {status[name].strip()}" for name in _SETS if int(status[name], 16)]


def give_up_rights(user: str) -> None:
    """Make packet sockets, become ``user`` if this is root, and execute this program again without any right.

    Returns when there is nothing to give up. Raises LaunchError, then with rights that nothing may be done with.
    """
    held = rights()
    if not held:
        if os.geteuid() == 0 and _account(user).pw_uid != 0:
            raise LaunchError(f"root cannot become {user} here, it has no capability; --user root lets it stay root")
        return
    if os.environ.get("LISTEN_PID") == str(os.getpid()):
        raise LaunchError(f"the sensor was started with packet sockets and with rights: {', '.join(held)}")
    account = _account(user) if os.geteuid() == 0 else None
    environment = dict(os.environ)
    if _holds(_CAP_NET_RAW):
        _mark_files(user)
        environment |= _passed_on(open_sockets())
    _prctl(_PR_SET_NO_NEW_PRIVS, 1)
    if account is not None and account.pw_uid != os.geteuid():
        _become(account)
    drop_capabilities()
    try:
        os.execve(sys.executable, sys.orig_argv, environment)  # noqa: S606  (ourselves)
    except OSError as error:
        who = account.pw_name if account else "this user"
        raise LaunchError(f"{sys.executable} cannot be executed by {who}: {error.strerror}") from None


def open_sockets(count: int = SOCKETS) -> list[socket.socket]:
    """Return packet sockets that receive nothing before they are bound."""
    try:
        return [socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) for _ in range(count)]
    except OSError as error:
        raise LaunchError(f"packet sockets cannot be made: {error.strerror}") from None


def drop_capabilities(*kept: int) -> None:
    """Keep these capabilities and no other one, and let none be had again; raise LaunchError when others are left."""
    most = int(Path("/proc/sys/kernel/cap_last_cap").read_text("ascii"))
    if _holds(_CAP_SETPCAP):  # without it the bounding set stays as it is; what is in it cannot be had any more
        for number in range(most + 1):
            if _LIBC.prctl(_PR_CAPBSET_READ, number, 0, 0, 0) == 1:
                _prctl(_PR_CAPBSET_DROP, number)
    _prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL)
    words = [sum(1 << (number - first) for number in kept if 0 <= number - first < 32) for first in (0, 32)]  # noqa: PLR2004
    header = struct.pack("=Ii", _VERSION_3, 0)
    data = b"".join(struct.pack("=III", word, word, 0) for word in words)  # effective, permitted, inheritable
    if _LIBC.capset(header, data) < 0:
        reason = os.strerror(ctypes.get_errno())
        raise LaunchError(f"capabilities cannot be given up: {reason}; does a system call filter forbid capset?")
    left = rights()
    if not kept and left:
        raise LaunchError(f"capabilities are left: {', '.join(left)}")


def main() -> int:
    """Put packet sockets into the store of the unit that this is the ExecStartPre= of."""
    path = os.environ.get("NOTIFY_SOCKET", "")
    if not path:
        print("sensor.launch: is ExecStartPre=+ of a unit with NotifyAccess=exec", file=sys.stderr)  # noqa: T201
        return 2
    try:
        _mark_files(USER)
        drop_capabilities(_CAP_NET_RAW)
        packets = open_sockets()
        drop_capabilities()
        _store(path, packets)
    except (LaunchError, OSError) as error:
        print(f"sensor.launch: {error}", file=sys.stderr)  # noqa: T201
        return 1
    return 0


def _store(path: str, packets: list[socket.socket]) -> None:
    """Replace what is in the store, and wait until systemd has it."""
    address = "\0" + path[1:] if path.startswith("@") else path
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as peer:
        peer.connect(address)
        peer.send(f"FDSTOREREMOVE=1\nFDNAME={NAME}".encode())
        # Not polled: an interface that is down would take it from the store.
        message = f"FDSTORE=1\nFDNAME={NAME}\nFDPOLL=0".encode()
        socket.send_fds(peer, [message], [each.fileno() for each in packets])
        ours, theirs = os.pipe()
        socket.send_fds(peer, [b"BARRIER=1"], [theirs])
        os.close(theirs)
        _wait_for_end(ours)


def _wait_for_end(descriptor: int) -> None:
    waiting = select.poll()
    waiting.register(descriptor, 0)
    if not waiting.poll(_BARRIER_S * 1000):
        raise LaunchError("systemd does not take the packet sockets")
    os.close(descriptor)


def _mark_files(user: str) -> None:
    """Let what root opens from now on be this user's, and root's group's: no other process has both.

    By that a firewall knows what is sent through packet sockets; the sensor sends nothing there.
    """
    with suppress(KeyError):  # a unit that was given another user
        _LIBC.setfsuid(pwd.getpwnam(user).pw_uid)


def _account(user: str) -> pwd.struct_passwd:
    try:
        return pwd.getpwnam(user)
    except KeyError:
        raise LaunchError(
            f"no user {user} to become; make it (useradd --system --user-group {user}), or name another with --user"
        ) from None


def _become(account: pwd.struct_passwd) -> None:
    try:
        os.setgroups(os.getgrouplist(account.pw_name, account.pw_gid))
        os.setresgid(account.pw_gid, account.pw_gid, account.pw_gid)
        # The others go with root's user id, but for the bounding set: emptying that takes one of them.
        drop_capabilities(_CAP_SETUID)
        os.setresuid(account.pw_uid, account.pw_uid, account.pw_uid)
    except OSError as error:
        raise LaunchError(f"root cannot become {account.pw_name} here: {error.strerror}") from None


def _passed_on(packets: list[socket.socket]) -> dict[str, str]:
    """Put sockets where sd_listen_fds(3) looks for them; return what the environment has to say of it."""
    # First above all places that will be taken, so that none is closed by another one's coming.
    high = [fcntl.fcntl(each.fileno(), fcntl.F_DUPFD_CLOEXEC, _FIRST + len(packets)) for each in packets]
    for each in packets:
        each.close()
    for at, descriptor in enumerate(high):
        os.dup2(descriptor, _FIRST + at, inheritable=True)
        os.close(descriptor)
    names = ":".join([NAME] * len(packets))
    return {"LISTEN_FDS": str(len(packets)), "LISTEN_PID": str(os.getpid()), "LISTEN_FDNAMES": names}


def _holds(capability: int) -> bool:
    status = Path("/proc/thread-self/status").read_text("ascii")
    return bool(int(status.partition("CapEff:")[2].split()[0], 16) >> capability & 1)


def _prctl(option: int, value: int) -> None:
    if _LIBC.prctl(option, value, 0, 0, 0) < 0:
        raise LaunchError(f"prctl {option}: {os.strerror(ctypes.get_errno())}")


if __name__ == "__main__":
    sys.exit(main())
