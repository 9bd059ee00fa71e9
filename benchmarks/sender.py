"""Send RTP at a steady rate: ``python -m benchmarks.sender INTERFACE PACKETS_PER_SECOND SECONDS [--flows N]``.

Nearly all of its time is the kernel's: the frames of many rounds are made beforehand, and between two uses of a round
only its sequence numbers and timestamps are written. Half of the flows carry speech-like G.711, half
random octets. Needs CAP_NET_RAW; use it on interfaces made for it only.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import random
import socket
import struct
import time

SOL_PACKET = 263
PACKET_QDISC_BYPASS = 20
BATCH = 64  # frames a system call
PACE_S = 0.0005
ROUNDS = 16  # one packet of every flow is a round
PAYLOAD = 160
HEADERS = 14 + 20 + 8 + 12
FRAME = HEADERS + PAYLOAD
AT_SEQUENCE = 14 + 20 + 8 + 2
SPEECH = bytes(0x60 | value & 0x9F for value in range(256))  # the loud codes of mu-law

LIBC = ctypes.CDLL(None, use_errno=True)


class _IoVec(ctypes.Structure):
    _fields_ = (("base", ctypes.c_void_p), ("octets", ctypes.c_size_t))


class _MessageHeader(ctypes.Structure):
    """struct mmsghdr with struct msghdr in it, as <sys/socket.h> of Linux lays them out."""

    _fields_ = (
        ("name", ctypes.c_void_p),
        ("name_octets", ctypes.c_uint),
        ("vector", ctypes.c_void_p),
        ("vectors", ctypes.c_size_t),
        ("control", ctypes.c_void_p),
        ("control_octets", ctypes.c_size_t),
        ("flags", ctypes.c_int),
        ("sent", ctypes.c_uint),
        ("padding", ctypes.c_uint),
    )


def frame(flow: int, payload: bytes) -> bytes:
    """Return an Ethernet frame with one RTP packet of a flow; sequence number and timestamp are 0."""
    rtp = struct.pack(">BBHII", 0x80, 0, 0, 0, 0x10000000 + flow) + payload
    udp = struct.pack(">HHHH", 16384 + 2 * (flow % 8192), 16384 + 2 * (flow % 8192), 8 + len(rtp), 0) + rtp
    addresses = struct.pack(">BBHBBH", 10, 1, flow // 8192, 10, 2, flow // 8192)
    header = struct.pack(">BBHHHBBH", 0x45, 0xB8, 20 + len(udp), 0, 0x4000, 64, 17, 0)
    total = sum(struct.unpack(">10H", header + addresses))
    total = (total & 0xFFFF) + (total >> 16)
    checksum = ~((total & 0xFFFF) + (total >> 16)) & 0xFFFF
    ethernet = bytes.fromhex("0200000000020200000000010800")
    return ethernet + header[:10] + struct.pack(">H", checksum) + addresses + udp


class Sender:
    """Sends one packet of every flow in turn, with the sequence numbers and timestamps of 20 ms packets."""

    def __init__(self, interface: str, flows: int) -> None:
        self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        self._socket.setsockopt(SOL_PACKET, PACKET_QDISC_BYPASS, 1)
        self._socket.bind((interface, 0))
        self._flows = flows
        self._rounds_sent = 0
        source = random.Random(1)
        self._octets = bytearray()
        for number in range(ROUNDS * flows):
            payload = source.randbytes(PAYLOAD)
            self._octets += frame(number % flows, payload.translate(SPEECH) if number % 2 else payload)
        base = ctypes.addressof(ctypes.c_char.from_buffer(self._octets))
        count = ROUNDS * flows
        self._vectors = (_IoVec * count)(*(_IoVec(base + FRAME * number, FRAME) for number in range(count)))
        self._messages = (_MessageHeader * count)()
        for number in range(count):
            self._messages[number].vector = ctypes.addressof(self._vectors[number])
            self._messages[number].vectors = 1

    def send(self, rate: float, seconds: float) -> int:
        """Send ``rate`` packets a second for ``seconds``; return how many were sent."""
        start = time.monotonic()
        wanted, sent = round(rate * seconds), 0
        while sent < wanted:
            due = min(wanted, round((time.monotonic() - start) * rate))
            if due <= sent:
                time.sleep(PACE_S)
            while sent < due:
                at = sent % self._flows
                if at == 0:
                    self._begin_round()
                sent += self._send_some(at, min(BATCH, due - sent, self._flows - at))
        return sent

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def _begin_round(self) -> None:
        """Write the round's sequence number and timestamp into all of its frames at once."""
        begin = self._rounds_sent % ROUNDS * self._flows * FRAME
        end = begin + self._flows * FRAME
        fields = struct.pack(">HI", self._rounds_sent & 0xFFFF, self._rounds_sent * PAYLOAD & 0xFFFF_FFFF)
        for place, octet in enumerate(fields, AT_SEQUENCE):
            self._octets[begin + place : end : FRAME] = bytes((octet,)) * self._flows
        self._rounds_sent += 1

    def _send_some(self, at: int, count: int) -> int:
        number = (self._rounds_sent - 1) % ROUNDS * self._flows + at
        first = ctypes.byref(self._messages, number * ctypes.sizeof(_MessageHeader))
        done = LIBC.sendmmsg(self._socket.fileno(), first, count, 0)
        if done < 0:
            error = ctypes.get_errno()
            raise OSError(error, os.strerror(error))
        return int(done)


def main() -> None:
    """Send, and say how much it was."""
    parser = argparse.ArgumentParser(description="send RTP at a steady rate")
    parser.add_argument("interface")
    parser.add_argument("rate", type=float)
    parser.add_argument("seconds", type=float)
    parser.add_argument("--flows", type=int, default=2000)
    arguments = parser.parse_args()
    sender = Sender(arguments.interface, arguments.flows)
    start = time.monotonic()
    sent = sender.send(arguments.rate, arguments.seconds)
    took = time.monotonic() - start
    sender.close()
    print(f"{sent} packets in {took:.2f} s, {sent / took:.0f} packets/s")


if __name__ == "__main__":
    main()
