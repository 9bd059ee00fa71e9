"""A place where a sensor is put: a machine with a mirror port and a management port, and the network outside of it."""

import itertools
import json
import shutil
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from fastpath import __version__
from tests.boot import previous
from tests.boot.machine import Machine, booted
from tests.boot.tree import tree
from tests.live.lab import ROOT, Exporter, Mirror, Namespace, namespaces

MANAGEMENT = "192.0.2.10"  # of the machine; outside is .1
PACKAGE, PREVIOUS = "/mnt/packages/legwatch.deb", "/mnt/packages/previous.deb"

_NUMBERS = itertools.count()


class Place(NamedTuple):
    """What there is, and what the sensor shows of itself."""

    machine: Machine
    outside: Namespace
    mirror: Mirror
    sensor: Exporter

    def name_interface(self) -> None:
        """Say which interface the service watches."""
        self.machine.path("/etc/default/legwatch").write_text("LEGWATCH_INTERFACE=span0\n")

    def events(self, unit: str = "legwatch", name: str | None = None) -> list[dict[str, Any]]:
        """Return what a unit's sensors said in the journal, of one event or all."""
        lines = self.machine.attempt("journalctl", "--unit", unit, "--output=cat").stdout.splitlines()
        events = [json.loads(line) for line in lines if line.startswith("{")]
        return [event for event in events if name in {None, event["event"]}]


@contextmanager
def place(*shared: Path, limits: bool = False) -> Iterator[Place]:
    """Build a place and take it away again; the machine sees the folders ``shared`` in /mnt.

    With ``limits`` its systemd limits memory and tasks, if it can.
    """
    number = next(_NUMBERS)
    with namespaces(f"machine{number}", f"outside{number}") as (inside, outside):
        with inside.entered():  # a machine has IPv6, unless somebody turns it off
            for scope in ("all", "default"):
                Path(f"/proc/sys/net/ipv6/conf/{scope}/disable_ipv6").write_text("0")
        outside.ip("link", "add", "mgmt0", "type", "veth", "peer", "name", "mgmt0", "netns", inside.name)
        for namespace, address in ((inside, MANAGEMENT), (outside, "192.0.2.1")):
            namespace.ip("address", "add", f"{address}/24", "dev", "mgmt0")
            namespace.ip("link", "set", "mgmt0", "up")
        with (
            closing(Mirror(inside, outside=outside)) as mirror,
            booted(tree(), inside, *shared, limits=limits) as machine,
        ):
            try:
                yield Place(machine, outside, mirror, Exporter(inside))
            finally:
                # pytest shows it with a failure.
                sys.stderr.write(machine.attempt("journalctl", "--unit=legwatch*").stdout)


def packages(folder: Path) -> Path:
    """Put the package and a previous one into a folder, for machines to install from; return it."""
    built = ROOT / "dist" / f"legwatch_{__version__}_{previous.architecture()}.deb"
    assert built.exists(), f"make package makes {built.relative_to(ROOT)}"
    shutil.copy(built, folder / Path(PACKAGE).name)
    previous.make(built, folder)
    return folder
