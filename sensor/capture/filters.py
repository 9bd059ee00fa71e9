"""Capture filters in the language of pcap-filter(7), compiled for the kernel."""

from __future__ import annotations

import struct

import pcapy

from sensor.capture.errors import CaptureError
from sensor.capture.linktypes import LINKTYPE_ETHERNET, dlt_of_linktype

SOCK_FILTER = struct.Struct("=HBBI")  # linux/filter.h: code, jt, jf, k
MAX_INSTRUCTIONS = 4096  # BPF_MAXINSNS
SNAPLEN = 262_144  # what an accepting program returns: packets are kept whole
NETMASK_UNKNOWN = 0xFFFF_FFFF


def compile_filter(text: str, linktype: int = LINKTYPE_ETHERNET, snaplen: int = SNAPLEN) -> bytes:
    """Return the filter as packed ``struct sock_filter`` for packets of a link type; b"" when the text is blank.

    Of a packet that passes, ``snaplen`` octets are kept.

    Raises:
        CaptureError: the text is no filter, or its program is too long for the kernel.
    """
    if not text.strip():
        return b""
    try:
        program = pcapy.compile(dlt_of_linktype(linktype), snaplen, text, 1, NETMASK_UNKNOWN).get_bpf()
    except (pcapy.PcapError, pcapy.BPFError, ValueError) as error:
        raise CaptureError(f"filter {text!r}: {error}") from error
    if len(program) > MAX_INSTRUCTIONS:
        raise CaptureError(f"filter {text!r}: {len(program)} instructions, the kernel takes {MAX_INSTRUCTIONS}")
    return b"".join(SOCK_FILTER.pack(code, jt, jf, k) for code, jt, jf, k in program)
