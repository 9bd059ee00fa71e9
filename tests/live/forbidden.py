"""A program that confines itself as the sensor does, then tries what must not be possible; prints what was.

``python -m tests.live.forbidden USER STATE OUTSIDE``: the user to become, its one directory, and a directory of all
users that is not its own. It has to be started by root.
"""

import ctypes
import json
import os
import resource
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from sensor.config.schema import Config
from sensor.confine.descriptors import Packets
from sensor.confine.landlock import keep_to
from sensor.confine.paths import readable, writable
from sensor.confine.process import hide_memory
from sensor.launch import give_up_rights, rights

LIBC = ctypes.CDLL(None, use_errno=True)


def call(name: str, *arguments: object) -> Callable[[], None]:
    """Return a call into the C library that raises OSError when it is refused."""

    def made() -> None:
        if getattr(LIBC, name)(*arguments) < 0:
            raise OSError(ctypes.get_errno(), name)

    return made


def attempts(outside: Path) -> dict[str, Callable[[], object]]:
    """Return what must not be possible, by a name."""
    return {
        "packet socket": lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0).close(),
        "raw socket": lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_UDP).close(),
        "listen on TCP": lambda: socket.create_server(("127.0.0.1", 0)).close(),
        "read another's file": (outside / "there").read_text,
        "write a file elsewhere": lambda: (outside / "new").write_text("x"),
        "list another directory": lambda: list(outside.iterdir()),
        "write the system's configuration": lambda: Path("/etc/legwatch-was-here").write_text("x"),
        "read the shadow file": lambda: Path("/etc/shadow").read_text(),
        "execute a program": lambda: subprocess.run(["/bin/true"], check=True),
        "signal another process": lambda: os.kill(os.getppid(), 0),
        "become root": lambda: os.setuid(0),
        "change its groups": lambda: os.setgroups([0]),
        "mount": call("mount", b"none", str(outside).encode(), b"tmpfs", 0, None),
        "chroot": lambda: os.chroot("/"),
        "leave a core": lambda: resource.setrlimit(resource.RLIMIT_CORE, (1 << 20, 1 << 20)),
        "give itself priority": lambda: os.nice(-5),
    }


def main() -> int:
    """Become what the sensor is and say what can be done still."""
    user, state, outside = sys.argv[1:]
    give_up_rights(user)
    packets = Packets()
    hide_memory()
    landlock = keep_to(readable(Config(), None), writable(Config(), Path(state)))
    done: dict[str, str] = {}
    for name, attempt in attempts(Path(outside)).items():
        try:
            attempt()
        except (OSError, ValueError) as error:
            done[name] = f"refused: {error}"
        else:
            done[name] = "done"
    Path(state, "own").write_text("x")
    made = os.fstat(packets.take())
    owner = [made.st_uid, made.st_gid]
    said = {"landlock": landlock, "rights": rights(), "packets": owner, "uid": os.getuid(), "done": done}
    sys.stdout.write(f"{json.dumps(said)}\n")
    sys.stdout.flush()
    signal.pause()  # for whoever looks from outside
    return 0


if __name__ == "__main__":
    sys.exit(main())
