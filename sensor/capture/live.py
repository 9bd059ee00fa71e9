"""Live capture: a ring on an interface, with errors that an operator can act on."""

from __future__ import annotations

import errno
import os
import re
import socket
from typing import Protocol

from fastpath.ring import RingSource
from sensor.capture.errors import CaptureError
from sensor.capture.fanout import fanout_program
from sensor.capture.filters import compile_filter
from sensor.capture.interfaces import linktype_of_interface
from sensor.capture.linktypes import LINKTYPE_ETHERNET

NEW_GROUP = -1  # of rings, whose number the kernel finds
POLL_MS = 200  # a quiet link lets packet time go on so often
SHARED_POLL_MS = 50  # … and the records of other threads wait for that


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
        """Return the size of the ring in MiB, or of all rings that share an interface."""

    @property
    def block_kib(self) -> int:
        """Return the size of a ring's blocks in KiB."""

    @property
    def block_timeout_ms(self) -> int:
        """Return after how many milliseconds a block that is not full is handed over."""

    @property
    def threads(self) -> int:
        """Return how many rings share the interface."""


def live_filter(text: str, linktype: int = LINKTYPE_ETHERNET) -> bytes:
    """Return a filter as ``compile_filter`` does, if it can work on an interface. Raises CaptureError."""
    if re.search(r"\bvlan\b", text):
        why = "'vlan' cannot match: the kernel takes the tag off before the filter sees a packet; leave it out"
        raise CaptureError(f"filter {text!r}: {why}")
    return compile_filter(text, linktype)


def open_ring(
    interface: str, settings: RingSettings, descriptor: int = -1, *, beside: RingSource | None = None
) -> RingSource:
    """Return the live packets of an interface, on the packet socket ``descriptor`` if there is one, and close that.

    With more than one thread they are the part of one of them; ``beside`` is the ring of the first.

    Raises:
        CaptureError: no such interface, no permission, a filter that is none, or what the kernel refused.
    """
    linktype = linktype_of_interface(interface)
    bpf = live_filter(settings.filter, linktype)
    fanout = (beside.fanout_group if beside else NEW_GROUP, fanout_program(linktype)) if settings.threads > 1 else None
    try:
        return RingSource(
            interface,
            descriptor=descriptor,
            bpf=bpf,
            promiscuous=settings.promiscuous,
            blocks=settings.ring_mib * 1024 // (settings.block_kib * settings.threads),
            block_size=settings.block_kib * 1024,
            retire_ms=settings.block_timeout_ms,
            poll_ms=SHARED_POLL_MS if fanout else POLL_MS,
            fanout=fanout,
        )
    except OSError as error:
        raise CaptureError(_explain(interface, error)) from error
    finally:
        if descriptor >= 0:
            os.close(descriptor)  # the ring has its own


def _explain(interface: str, error: OSError) -> str:
    if error.errno == errno.ENODEV:
        there = ", ".join(name for _, name in socket.if_nameindex())
        return f"{interface}: no such interface; there are: {there}"
    if error.errno in (errno.EPERM, errno.EACCES):
        return f"{interface}: no permission to capture; run as root or with CAP_NET_RAW"
    if error.errno == errno.EPFNOSUPPORT:
        return f"{interface}: an interface of this kind cannot be captured (neither Ethernet nor IP)"
    if error.errno == errno.ENETDOWN:
        return f"{interface}: the interface is down; several threads can share it only when it is up"
    return f"{interface}: {error.strerror}"
