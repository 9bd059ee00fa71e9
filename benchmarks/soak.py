"""A sensor under mixed traffic for a long time: ``python -m benchmarks.soak --minutes 30``, as root.

Calls that come and go, floods of new flows, of fragments and of synchronisation sources, and frames that are damaged
are sent into a veth pair; a third of the time is for warming up, for the longest idle time has to pass. Fails (1) when
the sensor's memory grew by more than 8 MiB after that, or when the account does not add up to the packet.
"""

from __future__ import annotations

import argparse
import os
import random
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks import generate
from tests.live.lab import Mirror, Sensor, namespaces, read_capture, running_sensor, wait_for

GROWTH = 8 << 20  # octets
CALLS, PACKETS = 8, 250
NETS = 24  # address ranges that calls come from in turn, so that tables fill and stay so
FLOOD = 400  # frames of each flood a round
REST_S = 0.02  # between two rounds, so that the sensor is loaded and not drowned
LEAST = 60  # octets of a frame (IEEE 802.3 section 4A.4.2, without the check sequence)
SETTLE_S = 1.0
_FAMILIES = ("legwatch_ignored_packets_total", "legwatch_malformed_packets_total", "legwatch_shed_packets_total")
_RECEIVED, _DROPPED = "legwatch_received_packets_total", "legwatch_kernel_dropped_packets_total"


def rounds(chance: random.Random) -> Iterator[list[bytes]]:
    """Yield rounds of frames without end."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "calls.pcap")
        generate.write(path, CALLS, PACKETS, stagger_s=0.5)
        calls = [octets for _, octets in read_capture(path)]
    number = 0
    while True:
        number += 1
        net = number % NETS
        mine = [_moved(octets, net) for octets in calls]
        for at in range(0, len(mine), FLOOD):
            frames = mine[at : at + FLOOD]
            flood = [_new_flow(chance) for _ in range(FLOOD // 4)]
            damaged = [_damaged(chance.choice(calls), chance) for _ in range(FLOOD // 8)]
            yield [*frames, *flood, *damaged]


def _moved(octets: bytes, net: int) -> bytes:
    """Return a frame with the second octet of both addresses changed: another site's call."""
    at = octets.index(b"\x08\x00\x45") + 2
    changed = bytearray(octets)
    changed[at + 13] = changed[at + 17] = net
    return bytes(changed)


def _new_flow(chance: random.Random) -> bytes:
    payload = bytes([0x80, 0]) + chance.randbytes(30)
    head = b"\x45\0" + (28 + len(payload)).to_bytes(2, "big") + chance.randbytes(2)
    head += chance.choice((b"\0\0", b"\0\0", b"\x20\0")) + b"\x40\x11\0\0"  # one in three is a fragment
    head += b"\xcb\x00" + chance.randbytes(2) + b"\xc6\x33\x64\x09"
    udp = chance.randbytes(2) + b"\x4e\x20" + (8 + len(payload)).to_bytes(2, "big") + chance.randbytes(2)
    return bytes(12) + b"\x08\0" + head + udp + payload


def _damaged(octets: bytes, chance: random.Random) -> bytes:
    changed = bytearray(octets[: chance.randrange(LEAST, len(octets) + 1)])
    for _ in range(3):
        changed[chance.randrange(len(changed))] ^= 1 << chance.randrange(8)
    return bytes(changed)


def resident(process: int) -> int:
    """Return the octets of memory that a process holds."""
    lines = Path("/proc", str(process), "status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmRSS")).split()[1]) * 1024


def soak(sensor: Sensor, mirror: Mirror, seconds: float) -> bool:
    """Send for so long, print what came of it, and return whether the limits were kept."""
    before = sensor.metrics()
    begin, sent, warm = time.monotonic(), 0, 0
    for frames in rounds(random.Random(1)):
        elapsed_s = time.monotonic() - begin
        if elapsed_s >= seconds:
            break
        if not warm and elapsed_s >= seconds / 3:
            warm = resident(sensor.process.pid)
        for octets in frames:
            mirror.send(octets)
        sent += len(frames)
        time.sleep(REST_S)
    time.sleep(SETTLE_S)
    after = sensor.metrics()
    grown = resident(sensor.process.pid) - warm
    received, dropped = (int(after[name,] - before[name,]) for name in (_RECEIVED, _DROPPED))
    became = after["legwatch_classified_packets_total",]
    became += sum(value for (name, *_), value in after.items() if name in _FAMILIES)
    print(f"soak: {seconds / 60:g} minutes; {sent:,} packets sent, {received:,} received, {dropped:,} dropped")
    print(f"  account     {int(after[_RECEIVED,]):,} received, {int(became):,} told of")
    print(f"  memory      {warm / 2**20:.1f} MiB after a third of it, {grown / 2**20:+.1f} MiB since (limit 8)")
    return grown <= GROWTH and after[_RECEIVED,] == became and received + dropped == sent


def main() -> int:
    """Soak once; return 1 when a limit was exceeded."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak", description="memory and account over hours")
    parser.add_argument("--minutes", type=float, default=30, help="(default: 30)")
    arguments = parser.parse_args()
    if os.geteuid() != 0:
        print("benchmarks.soak makes a network namespace: run it as root", file=sys.stderr)
        return 2
    with namespaces("soak") as (namespace,), tempfile.TemporaryDirectory() as folder:
        mirror = Mirror(namespace)
        try:
            with running_sensor(namespace, Path(folder)) as sensor:
                wait_for(lambda: sensor.metrics().get((_RECEIVED,)) is not None, "metrics are served")
                kept = soak(sensor, mirror, arguments.minutes * 60)
        finally:
            mirror.close()
    print("limits kept" if kept else "a limit was exceeded")
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
