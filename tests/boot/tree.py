"""A Debian 12 to boot, made once and then kept: ``build/boot/<hash of what it is made of>``."""

import fcntl
import hashlib
import json
import shlex
import shutil
import subprocess
from pathlib import Path

from tests.live.lab import ROOT

BUILD = ROOT / "build" / "boot"
ADDED = Path(__file__).with_name("root")  # what makes a container of it in which udev runs
SUITE = "bookworm"
# What a virtual machine of Debian has, as far as a sensor touches it
PACKAGES = (
    "ca-certificates",
    "dbus",
    "iproute2",
    "openssh-server",
    "procps",
    "python3",
    "python3-apt",
    "systemd",
    "systemd-sysv",
    "udev",
)
# What can be installed in it without a network, for it waits in apt's cache
WAITING = ("ansible-core", "chrony", "cloud-init", "ethtool", "nftables", "rpm")
DOWNLOAD = "-qq --yes --no-install-recommends --download-only install"
SETTINGS = ("Acquire::Check-", "Acquire::http", "Acquire::Retries")  # of this machine's apt


def tree() -> Path:
    """Return the root directory of the system; nobody writes to it."""
    files = {str(path.relative_to(ADDED)): path.read_text() for path in sorted(ADDED.rglob("*")) if path.is_file()}
    made_of = json.dumps([SUITE, PACKAGES, WAITING, files])
    place = BUILD / hashlib.sha256(made_of.encode()).hexdigest()[:12]
    BUILD.mkdir(parents=True, exist_ok=True)
    with (BUILD / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # another run may be making it
        if not place.exists():
            _make(place)
    return place


def _make(place: Path) -> None:
    new, apt = place.with_suffix(".new"), place.with_suffix(".conf")
    shutil.rmtree(new, ignore_errors=True)
    settings = _said("apt-config", "dump", "--no-empty", "Acquire").splitlines()
    apt.write_text("\n".join(line for line in settings if line.startswith(SETTINGS)))
    command = [
        "mmdebstrap",
        "--quiet",
        "--mode=root",
        "--variant=minbase",
        "--skip=cleanup/apt",
        f"--include={','.join(PACKAGES)}",
        f"--aptopt={apt}",
        f'--customize-hook=cp -a {shlex.quote(str(ADDED))}/. "$1"',
        '--customize-hook=chroot "$1" apt-get clean',
        f'--customize-hook=chroot "$1" apt-get {DOWNLOAD} {" ".join(WAITING)}',
        SUITE,
        str(new),
        *_sources(),
    ]
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL)
    new.rename(place)


def _sources() -> list[str]:
    """Return where this machine has the same Debian from; nothing where it has another one, and the default will do."""
    form = "deb $(REPO_URI) $(RELEASE) $(COMPONENT)|$(ORIGIN)|$(CODENAME)"
    targets = _said("apt-get", "indextargets", "--format", form, "Created-By: Packages").splitlines()
    parts = [line.split("|") for line in targets]
    return [line for line, origin, codename in parts if origin == "Debian" and codename.startswith(SUITE)]


def _said(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout
