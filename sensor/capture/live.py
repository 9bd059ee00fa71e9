"""Live capture: a ring on an interface, with errors that an operator can act on."""

from __future__ import annotations

import errno
import re
import socket
from typing import Protocol

from fastpath.ring import RingSource
from sensor.capture.errors import CaptureError
from sensor.capture.filters import compile_filter
from sensor.capture.interfaces import linktype_of_interface
from sensor.capture.linktypes import LINKTYPE_ETHERNET


class RingSettings(Protocol):
    """What of the configuration a ring needs."""

    @property
    def filter(self) -> str:
        """Return a capture filter; "" for none."""

    @property
    def promiscuous(self) -> bool:
        """Return whether to see packets that are addressed to others."""

    @property
    def ring_mib(self) -> int:
        """Return the size of the ring in MiB."""


def live_filter(text: str, linktype: int = LINKTYPE_ETHERNET) -> bytes:
    """Return a filter as ``compile_filter`` does, if it can work on an interface. Raises CaptureError."""
    if re.search(r"\bvlan\b", text):
        why = "'vlan' cannot match: the kernel takes the tag off before the filter sees a packet; leave it out"
        raise CaptureError(f"filter {text!r}: {why}")
    return compile_filter(text, linktype)


def open_ring(interface: str, settings: RingSettings, *, descriptor: int = -1) -> RingSource:
    """Return the live packets of an interface, on the packet socket ``descriptor`` if there is one.

    Raises:
        CaptureError: no such interface, no permission, a filter that is none, or what the kernel refused.
    """
    bpf = live_filter(settings.filter, linktype_of_interface(interface))
    try:
        return RingSource(
            interface,
            descriptor=descriptor,
            bpf=bpf,
            promiscuous=settings.promiscuous,
            blocks=settings.ring_mib,
            block_size=1 << 20,
        )
    except OSError as error:
        raise CaptureError(_explain(interface, error)) from error


def _explain(interface: str, error: OSError) -> str:
    if error.errno == errno.ENODEV:
        there = ", ".join(name for _, name in socket.if_nameindex())
        return f"{interface}: no such interface; there are: {there}"
    if error.errno in (errno.EPERM, errno.EACCES):
        return f"{interface}: no permission to capture; run as root or with CAP_NET_RAW"
    if error.errno == errno.EPFNOSUPPORT:
        return f"{interface}: an interface of this kind cannot be captured (neither Ethernet nor IP)"
    return f"{interface}: {error.strerror}"
