"""The network interfaces of this machine, as far as it matters for capturing on them."""

from __future__ import annotations

import array
import fcntl
import ipaddress
import socket
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from sensor.capture.linktypes import LINKTYPE_ETHERNET, LINKTYPE_RAW

SYSFS = Path("/sys/class/net")
IF_INET6 = Path("/proc/net/if_inet6")

ARPHRD_RAW_IP = (519, 65534)  # ARPHRD_RAWIP, ARPHRD_NONE: linux/if_arp.h
IFF_UP = 1
SIOCGIFCONF = 0x8912
SIOCETHTOOL = 0x8946
ETHTOOL_GFLAGS = 0x25
ETHTOOL_GGRO = 0x2B
ETH_FLAG_LRO = 1 << 15
IFREQ = struct.Struct("16s24s")
ADDRESS_ROOM = 1024 * IFREQ.size


@dataclass(frozen=True, slots=True)
class Interface:
    """One interface. ``offloads`` are those that hand on several packets as one ("gro", "lro")."""

    name: str
    state: Literal["up", "no-carrier", "down"]
    addresses: tuple[str, ...]
    mtu: int
    speed_mbps: int | None  # None: the driver does not say
    driver: str  # "" for a virtual interface
    offloads: tuple[str, ...]


def list_interfaces() -> list[Interface]:
    """Return the interfaces of this network namespace, in the kernel's order."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asker:
        addresses = _ipv4_addresses(asker) + _ipv6_addresses()
        return [
            Interface(
                name=name,
                state=_state(name),
                addresses=tuple(address for owner, address in addresses if owner == name),
                mtu=_number(name, "mtu") or 0,
                speed_mbps=_speed(name),
                driver=_driver(name),
                offloads=_offloads(asker, name),
            )
            for _, name in socket.if_nameindex()
        ]


def linktype_of_interface(name: str) -> int:
    """Return the LINKTYPE_ value of what an interface captures; Ethernet's when there is no such interface."""
    return LINKTYPE_RAW if _number(name, "type") in ARPHRD_RAW_IP else LINKTYPE_ETHERNET


def _attribute(name: str, attribute: str) -> str:
    """Return "" for what the driver does not tell: reading it then fails with one error or another."""
    try:
        return (SYSFS / name / attribute).read_text(encoding="ascii").strip()
    except OSError:
        return ""


def _number(name: str, attribute: str) -> int | None:
    text = _attribute(name, attribute)
    return int(text, 0) if text else None


def _state(name: str) -> Literal["up", "no-carrier", "down"]:
    if not (_number(name, "flags") or 0) & IFF_UP:
        return "down"
    return "up" if _number(name, "carrier") else "no-carrier"


def _speed(name: str) -> int | None:
    speed = _number(name, "speed")
    return speed if speed is not None and speed > 0 else None


def _driver(name: str) -> str:
    link = SYSFS / name / "device" / "driver"
    return link.resolve().name if link.exists() else ""


def _ipv4_addresses(asker: socket.socket) -> list[tuple[str, str]]:
    room = array.array("B", bytes(ADDRESS_ROOM))
    address, octets = room.buffer_info()
    answer = fcntl.ioctl(asker, SIOCGIFCONF, struct.pack("iP", octets, address))
    (used,) = struct.unpack_from("i", answer)
    return [
        (_text(label).partition(":")[0], str(ipaddress.IPv4Address(sockaddr[4:8])))
        for label, sockaddr in IFREQ.iter_unpack(room.tobytes()[:used])
    ]


def _ipv6_addresses() -> list[tuple[str, str]]:
    if not IF_INET6.exists():
        return []
    lines = (line.split() for line in IF_INET6.read_text(encoding="ascii").splitlines())
    return [(fields[5], str(ipaddress.IPv6Address(bytes.fromhex(fields[0])))) for fields in lines]


def _offloads(asker: socket.socket, name: str) -> tuple[str, ...]:
    offloads = []
    if _ethtool(asker, name, ETHTOOL_GGRO):
        offloads.append("gro")
    if _ethtool(asker, name, ETHTOOL_GFLAGS) & ETH_FLAG_LRO:
        offloads.append("lro")
    return tuple(offloads)


def _ethtool(asker: socket.socket, name: str, command: int) -> int:
    """Return the data of a struct ethtool_value; 0 when the driver does not know the command."""
    value = array.array("I", (command, 0))
    try:
        fcntl.ioctl(asker, SIOCETHTOOL, struct.pack("16sP16x", name.encode(), value.buffer_info()[0]))
    except OSError:
        return 0
    return value[1]


def _text(label: bytes) -> str:
    return label.partition(b"\0")[0].decode()
