"""Makes the capture that ``legwatch selftest`` replays: ``python -m deploy.demo.make_selftest OUT.pcap``.

A phone registers over TLS, one call is in clear, one is SRTP whose keys stand in SIP in clear. What the sensor has to
say of it is in ``sensor/selftest/expected.py``. All but the TLS connection is the same in every run.
"""

from __future__ import annotations

import argparse
import random
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.generate import speech

from . import noise
from .calls import Call, build_clear_call, build_registration
from .channels import UdpChannel
from .handshakes import Identity, certify
from .media import PCMU
from .protected import build_sdes_call
from .sip import Party
from .tls import TLS_1_2, TlsChannel
from .wire import MS, SECOND, Endpoint, Frame, Host, write_pcap

START = datetime(2026, 3, 2, 15, 0, tzinfo=UTC)
START_NS = int(START.timestamp()) * SECOND
DOMAIN = "selftest.example.org"
PACKETS = 40  # each way of each call: enough for a verdict, and a small file

PBX = Host("pbx", "192.0.2.10")
ALICE = Party(Host("alice", "192.0.2.21"), "101", "Alice", "Example-Phone/1", 16384)
BOB = Party(Host("bob", "192.0.2.22"), "102", "Bob", "Example-Phone/1", 16390)
CAROL = Party(Host("carol", "192.0.2.23"), "103", "Carol", "Example-Phone/1", 16396)


def make_selftest() -> list[Frame]:
    """Return all frames of the capture."""
    rng = random.Random(8)
    frames = noise.arp_exchange(ALICE.host, PBX, START_NS)
    frames += _registration(rng)
    frames += build_clear_call(_call(ALICE, 12000, 600 * MS, rng), rng)
    frames += build_sdes_call(_call(BOB, 12010, 900 * MS, rng), rng)
    return frames


def _registration(rng: random.Random) -> list[Frame]:
    authority = certify(f"CA {DOMAIN}", START.replace(month=1, day=5), 3650)
    name = f"{PBX.name}.{DOMAIN}"
    identity = Identity(name, certify(name, START.replace(month=1, day=6), 397, authority), authority)
    channel = TlsChannel(
        Endpoint(CAROL.host, 41822), Endpoint(PBX, 5061), identity, TLS_1_2, log=lambda _: None, rng=rng
    )
    return channel.open(START_NS + 20 * MS) + build_registration(CAROL, channel, DOMAIN, START_NS + 100 * MS, rng)


def _call(caller: Party, port: int, after_ns: int, rng: random.Random) -> Call:
    callee = Party(PBX, f"9{port}", "PBX", "Example-PBX/1", port)
    channel = UdpChannel(Endpoint(caller.host, 5060), Endpoint(PBX, 5060))
    said = speech(rng)
    size = PCMU.octets
    asked, answered = ([said[at * size : (at + 1) * size] for at in range(first, first + PACKETS)] for first in (0, 60))
    return Call(
        caller, callee, channel, START_NS + after_ns, asked, answered, domain=DOMAIN, codec=PCMU, ring_ns=200 * MS
    )


def main() -> None:
    """Write the capture."""
    parser = argparse.ArgumentParser(prog="python -m deploy.demo.make_selftest", description=__doc__)
    parser.add_argument("capture", type=Path, metavar="OUT.pcap")
    write_pcap(parser.parse_args().capture, make_selftest())


if __name__ == "__main__":
    main()
