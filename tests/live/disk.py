"""A disk that fills, hangs or breaks down."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.live.lab import sh

DISK_MIB = 32  # more than a full queue of the ledger


class Disk:
    """A file system of its own, in a file; ext4, as tmpfs can neither hang nor break down."""

    def __init__(self, place: Path, device: str) -> None:
        self.place = place
        self._device = Path(device).name

    def fill(self) -> None:
        """Leave no room."""
        with (self.place / "filler").open("wb", buffering=0) as filler:
            for octets in (1 << 16, 1 << 10, 1):
                with suppress(OSError):
                    while True:
                        filler.write(bytes(octets))

    def make_room(self) -> None:
        """Give the room back."""
        (self.place / "filler").unlink()

    def hang(self) -> None:
        """Let every write wait (fsfreeze(8))."""
        sh("fsfreeze", "--freeze", str(self.place))

    def go_on(self) -> None:
        """Let writes go on."""
        sh("fsfreeze", "--unfreeze", str(self.place))

    def break_down(self) -> None:
        """Let it find an error in itself, upon which it is read-only (ext4(5), errors=remount-ro)."""
        Path("/sys/fs/ext4", self._device, "trigger_fs_error").write_text("1")

    def stay(self) -> None:
        """Leave it as it is: nothing but mounting it again would help."""


@contextmanager
def mounted(folder: Path) -> Iterator[Disk]:
    """Make one in a folder, empty but for some directories."""
    place, image = folder / "disk", folder / "image"
    place.mkdir()
    with image.open("wb") as file:
        file.truncate(DISK_MIB << 20)
    sh("mkfs.ext4", "-q", "-F", str(image))
    sh("mount", "-o", "loop,errors=remount-ro", str(image), str(place))
    try:
        for name in ("state", "evidence", "alerts"):
            (place / name).mkdir()
        yield Disk(place, output("findmnt", "--noheadings", "--output", "SOURCE", str(place)))
    finally:
        sh("umount", str(place))


def output(*command: str) -> str:
    """Return what a command that has to succeed says."""
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
