"""``legwatch interfaces``: what there is to watch, and what would spoil the view."""

from __future__ import annotations

import sys
from argparse import Namespace

from rich.console import Console
from rich.table import Table

from sensor.capture import Interface, list_interfaces

# Merged packets are not those of the wire: their number and their lengths are wrong.
_ADVICE = "\nOffloads merge packets before the sensor sees them; on a mirror port: ethtool -K INTERFACE gro off lro off"


def execute(_args: Namespace) -> int:
    """Print the interfaces of this network namespace."""
    interfaces = list_interfaces()
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="bold")
    for name in ("Interface", "State", "Speed", "Offloads", "Addresses"):
        table.add_column(name, overflow="fold")
    for interface in interfaces:
        table.add_row(*_row(interface))
    console = Console(file=sys.stdout, highlight=False, emoji=False, markup=False)
    console.print(table)
    if any(interface.offloads for interface in interfaces):
        console.print(_ADVICE, style="dim")
    return 0


def _row(interface: Interface) -> tuple[str, ...]:
    return (
        interface.name,
        interface.state,
        "-" if interface.speed_mbps is None else f"{interface.speed_mbps} Mbit/s",
        " ".join(interface.offloads) or "-",
        "\n".join(interface.addresses) or "-",
    )
