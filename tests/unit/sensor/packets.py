"""Small captures for the commands to read."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from pathlib import Path

import dpkt

from tests.unit.sensor.samples import T0

USER = "+15550100777"
CALL_ID = "canary-call-id@192.0.2.10"
KEY = "d0RmdmcmVCspeEc3QGZiNWpVLFJhQX1cfHAwJSoj"  # as RFC 4568 section 9 prints one

INVITE = (
    "INVITE sip:+15550100888@192.0.2.20 SIP/2.0\r\n"
    "Via: SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bK1\r\n"
    f"From: <sip:{USER}@192.0.2.10>;tag=1\r\n"
    "To: <sip:+15550100888@192.0.2.20>\r\n"
    f"Call-ID: {CALL_ID}\r\n"
    "CSeq: 1 INVITE\r\n"
    "Content-Type: application/sdp\r\n"
    "Content-Length: {length}\r\n\r\n"
)
OFFER = (
    "v=0\r\no=- 1 1 IN IP4 192.0.2.10\r\ns=-\r\nc=IN IP4 192.0.2.10\r\nt=0 0\r\n"
    f"m=audio 16384 RTP/SAVP 0\r\na=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:{KEY}\r\n"
)


def invite() -> bytes:
    """Return an INVITE in clear that gives away numbers, a Call-ID and a key."""
    return (INVITE.format(length=len(OFFER)) + OFFER).encode()


def udp(payload: bytes, *, sport: int = 5060, dport: int = 5060) -> bytes:
    """Return a frame from 192.0.2.10 to 192.0.2.20."""
    datagram = dpkt.udp.UDP(sport=sport, dport=dport, data=payload)
    datagram.ulen = len(datagram)
    packet = dpkt.ip.IP(src=bytes([192, 0, 2, 10]), dst=bytes([192, 0, 2, 20]), p=dpkt.ip.IP_PROTO_UDP, data=datagram)
    packet.len = len(packet)
    return bytes(dpkt.ethernet.Ethernet(src=b"\2\0\0\0\0\1", dst=b"\2\0\0\0\0\2", data=packet))


def arp() -> bytes:
    """Return a frame that the sensor ignores."""
    return bytes(dpkt.ethernet.Ethernet(type=dpkt.ethernet.ETH_TYPE_ARP, data=dpkt.arp.ARP()))


def write_pcap(path: Path, frames: Sequence[bytes]) -> Path:
    """Write a capture with 20 ms between its packets."""
    records = [
        struct.pack("<IIII", *divmod(T0 // 1000 + 20_000 * i, 1_000_000), len(frame), len(frame)) + frame
        for i, frame in enumerate(frames)
    ]
    path.write_bytes(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1) + b"".join(records))
    return path
