"""How many SIP messages a second the scanner reads: ``python -m benchmarks.sip``.

The message is an INVITE with SDP as a phone sends it through a proxy. Two figures: that of the engine, which takes it
from a capture and puts what it read into its event buffer, and that of ``fastpath.sip.scan``, in which the making of
the record that Python sees is added.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import dpkt

from benchmarks.measured import Figure
from deploy.demo import sip, wire
from deploy.demo.channels import UdpChannel
from deploy.demo.keys import MediaKeys
from deploy.demo.media import G722, OPUS, PCMA, PCMU
from deploy.demo.wire import Endpoint, Frame, Host
from fastpath.engine import Engine
from fastpath.sip import scan
from fastpath.source import PcapFile

MESSAGES = 20_000  # of one run
HOPS = 3
CANDIDATES = tuple(
    f"candidate:{number} 1 udp {2130706431 - number} 10.20.0.{number} 16384 typ host" for number in range(1, 4)
)


def message() -> bytes:
    """Return the INVITE, with the Via lines of proxies that it passed."""
    rng = random.Random(1)
    phone, proxy = Host("phone", "10.20.0.11"), Host("proxy", "10.20.0.10")
    caller = sip.Party(phone, "2001", "Front Desk", "Phone 1.0", 16384)
    callee = sip.Party(proxy, "2002", "Ward", "Server 1.0", 20000)
    channel = UdpChannel(Endpoint(phone, 5060), Endpoint(proxy, 5060))
    offer, _ = MediaKeys.chosen(rng).crypto_lines()
    body = sip.session(caller, (OPUS, G722, PCMA, PCMU), "RTP/SAVP", (offer, "rtcp-mux", *CANDIDATES), rng)
    dialog = sip.Dialog(caller, callee, channel, "clinic.example.org", rng)
    first, _, rest = dialog.invite(body).partition(b"\r\n")
    vias = [
        f"Via: SIP/2.0/UDP 10.20.1.{hop}:5060;branch=z9hG4bK{sip.token(rng, 24)};received=10.20.1.{hop}".encode()
        for hop in range(HOPS)
    ]
    return b"\r\n".join((first, *vias, rest))


def captured(octets: bytes, count: int) -> Iterator[Frame]:
    """Return the message so often, each time in a packet of its own: what is given twice is counted and left out."""
    phone, proxy = (Endpoint(Host("", address), 5060) for address in ("10.20.0.11", "10.20.0.10"))
    frame = dpkt.ethernet.Ethernet(wire.udp(phone, proxy, octets, wire.SIGNALLING_DSCP))
    for number in range(count):
        frame.data.id = number & 0xFFFF
        frame.data.sum = 0  # dpkt computes it
        yield number * wire.MS, bytes(frame)


def in_engine(capture: Path, count: int) -> float:
    """Return the CPU seconds that the engine needs for a message of a capture. Raises RuntimeError if it misses one."""
    engine, source = Engine(), PcapFile(str(capture))
    took, status = 0.0, 1
    while status > 0:
        begin = time.process_time()
        status = engine.process(source)
        took += time.process_time() - begin
        engine.drain()
    if engine.counters()["sip_messages"] != count:
        message = "the engine did not read every message"
        raise RuntimeError(message)
    return took / count


def as_record(octets: bytes) -> float:
    """Return the CPU seconds that one message takes until Python has its record."""
    begin = time.process_time()
    for _ in range(MESSAGES):
        scan(octets)
    return (time.process_time() - begin) / MESSAGES


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.sip", description="SIP messages a second")
    parser.add_argument("--runs", type=int, default=5)
    arguments = parser.parse_args()
    octets = message()
    with tempfile.TemporaryDirectory() as folder:
        capture = Path(folder, "invites.pcap")
        wire.write_pcap(capture, captured(octets, MESSAGES))
        engine, record = zip(
            *((in_engine(capture, MESSAGES), as_record(octets)) for _ in range(arguments.runs)), strict=True
        )
    print(f"sip: an INVITE of {len(octets)} octets with SDP, {arguments.runs} runs of {MESSAGES:,}, CPU time")
    for name, each in (("engine", Figure.of(engine)), ("record", Figure.of(record))):
        print(
            f"  {name}  {each.median * 1e6:6.2f} us (least {each.least * 1e6:.2f}), {1 / each.median:,.0f} messages/s"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
