"""How large a machine: what calls take of a running sensor: ``python -m benchmarks.sizing``, as root.

Calls of the generator, as real phones send them, go into a veth pair. Processor time is that of the sensor's threads
while so many calls are up, as a share of one core for 10,000 packets a second, beside what the C floor (``inputs.py``)
takes for the same packets out of a file in the same run. Memory is what the process has more with many calls up than
before them. Disk is what the state directory, a sink's file and evidence have grown by.
"""

from __future__ import annotations

import argparse
import os
import statistics
import struct
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks import generate
from benchmarks.calls import resident
from benchmarks.inputs import floor, scratch
from benchmarks.measured import run
from deploy.demo import wire
from fastpath.engine import Engine
from fastpath.source import BufferSource
from sensor.config.schema import Limits
from tests.live.lab import Frames, Mirror, Sensor, namespaces, read_capture, running_sensor, wait_for

PACKETS = 1000  # of each stream: twenty seconds
UP = 16  # of each stream while all calls stay up: enough for a verdict
RATE = 8000  # packets a second, which a sender in Python keeps up with
FLOORS = 5  # runs
KIB, MIB, NS = 1 << 10, 1 << 20, 1e9
SETTLE_S = 2.0
RECEIVED = "legwatch_received_packets_total"
RTP = struct.Struct(">BBHII")
PER = 10_000  # packets a second
CONFIG = """
alerts: {{burst: 100000}}
state: {{directory: {folder}/state}}
evidence: {{directory: {folder}/evidence}}
sinks: [{{type: file, path: {folder}/alerts.jsonl, max_mib: 4096}}]
"""


@contextmanager
def sensor_on_a_mirror(folder: Path) -> Iterator[tuple[Sensor, Mirror]]:
    """Run a sensor that keeps state, evidence and alerts on one end of a veth pair."""
    for name in ("state", "evidence"):
        (folder / name).mkdir(mode=0o700)
    config = folder / "legwatch.yaml"
    config.write_text(CONFIG.format(folder=folder))
    with namespaces("sizing") as (namespace,):
        mirror = Mirror(namespace)
        try:
            with running_sensor(namespace, folder, "--config", str(config)) as sensor:
                yield sensor, mirror
        finally:
            mirror.close()


def calls(count: int, packets: int) -> tuple[Path, Frames]:
    """Return a capture of calls that all begin within a second, and its frames."""
    path = scratch() / f"sizing-{count}x{packets}.pcap"
    if not path.exists():
        generate.write(path, count, packets, stagger_s=1.0)
    return path, read_capture(path)


def processor_s(process: int) -> dict[str, float]:
    """Return the seconds that each thread of a process has run, by its id (the kernel's sched-stats.rst)."""
    tasks = Path("/proc", str(process), "task").iterdir()
    return {task.name: int((task / "schedstat").read_text().split()[0]) / NS for task in tasks}


def memory(process: int) -> dict[str, int]:
    """Return octets that a process has: its own, and what it shares with the kernel (the ring) and with files."""
    fields = dict(line.split(":", 1) for line in Path("/proc", str(process), "status").read_text().splitlines())
    own, *shared = (int(fields[f"Rss{name}"].split()[0]) * KIB for name in ("Anon", "Shmem", "File"))
    return {"own": own, "shared": sum(shared)}


def measure_processor(count: int) -> None:
    """Print what packets take, and what is written meanwhile."""
    capture, frames = calls(count, PACKETS)
    tool = str(floor())
    floors = [run((tool, str(capture))).cpu_s for _ in range(FLOORS)]
    with tempfile.TemporaryDirectory() as name, sensor_on_a_mirror(Path(name)) as (sensor, mirror):
        folder, received = Path(name), sensor.metric(RECEIVED)
        before, begin = processor_s(sensor.process.pid), time.monotonic()
        mirror.replay(frames, 1.0)
        took_s = time.monotonic() - begin
        time.sleep(SETTLE_S)
        after = processor_s(sensor.process.pid)
        received = sensor.metric(RECEIVED) - received
        kept = sensor.metric("legwatch_evidence_packets_total")
        written = {name: octets_in(folder / name) for name in ("evidence", "alerts.jsonl")}
        alerts = (folder / "alerts.jsonl").read_bytes().count(b"\n")
    rate = len(frames) / took_s
    lost = len(frames) - received
    print(f"processor: {count:,} calls at once, {rate:,.0f} packets/s for {took_s:.0f} s, {lost:,.0f} not received")
    spent = {thread: seconds - before.get(thread, 0.0) for thread, seconds in after.items()}
    main, capture_s = spent.pop(str(sensor.process.pid)), max(spent.values())
    parts = {"analysis": main, "capture": capture_s, "the rest": sum(spent.values()) - capture_s}
    for name, seconds in parts.items():
        print(f"  {name:12} {seconds / took_s / rate * PER:7.2%} of a core for {PER:,} packets/s")
    least = statistics.median(floors) / len(frames)
    total = sum(parts.values()) / len(frames)
    print(f"  all          {total * PER:7.2%}, {total * NS:,.0f} ns/packet; floor {least * PER:.2%}, {least * NS:,.0f}")
    print(f"disk: {written['alerts.jsonl'] / max(alerts, 1):,.0f} octets an alert, "
          f"{written['evidence'] / max(kept, 1):,.0f} octets a packet of evidence")  # fmt: skip


def measure_memory(count: int) -> None:
    """Print what calls hold while they are up."""
    _, frames = calls(count, UP)
    lasting = [(ts_ns, octets) for ts_ns, octets in frames if b" BYE\r\n" not in octets]
    length_s = (lasting[-1][0] - lasting[0][0]) / NS
    with tempfile.TemporaryDirectory() as folder:
        with sensor_on_a_mirror(Path(folder)) as (sensor, mirror):
            before = memory(sensor.process.pid)
            mirror.replay(lasting, min(RATE * length_s / len(lasting), 1.0))
            wait_for(lambda: sensor.metric("legwatch_legs_active") >= count, "all calls are up")
            time.sleep(SETTLE_S)
            up = memory(sensor.process.pid)
            findings = sum(value for (name, *_), value in sensor.metrics().items() if name == "legwatch_findings")
            endpoints = sensor.metric("legwatch_baseline_endpoints")
        state = octets_in(Path(folder, "state"))
    print(
        f"memory: {before['own'] / MIB:.0f} MiB at rest, and {before['shared'] / MIB:.0f} of the ring and of libraries"
    )
    grown = up["own"] - before["own"]
    print(f"  {grown / MIB:+.1f} MiB for {count:,} calls that are up, with {findings:,.0f} findings: "
          f"{grown / count:,.0f} octets a call")  # fmt: skip
    print(f"disk: state {state / MIB:.1f} MiB with these findings and {endpoints:,.0f} endpoints")


def measure_tables() -> None:
    """Print what an engine holds whose tables are full, as they are by default."""
    before, engine = resident(), Engine()
    source = BufferSource(_flood(Limits().flows))
    while engine.process(source) > 0:
        engine.drain()
    held, counters = resident() - before, engine.counters()
    print(f"memory: {held / MIB:.0f} MiB for {counters['flows']:,} flows and {counters['streams']:,} streams")


def _flood(flows: int) -> Iterator[tuple[int, bytes]]:
    """Yield three packets of media for each of so many flows, all within the time that a flow lasts."""
    phone, server = (wire.Endpoint(wire.Host(ip, ip), 20_000) for ip in ("10.0.0.1", "10.255.0.1"))
    frame = bytearray(wire.udp(phone, server, bytes(RTP.size) + bytes([0xFF]) * 160, wire.MEDIA_DSCP))
    source, media = frame.rindex(phone.host.packed), len(frame) - RTP.size - 160
    for flow in range(flows):
        frame[source : source + 4] = struct.pack(">I", 0x0A000001 + flow)
        for number in range(3):
            RTP.pack_into(frame, media, 0x80, 0, number, 160 * number, flow)
            yield generate.BEGIN_NS + 3 * flow + number, bytes(frame)


def octets_in(path: Path) -> int:
    """Return the size of a file, or of all in a folder."""
    return sum(each.stat().st_size for each in (path, *path.rglob("*")) if each.is_file())


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.sizing", description="what calls take of a sensor")
    parser.add_argument(
        "--calls", type=int, default=100, help="at once, while processor time is measured (default: 100)"
    )
    parser.add_argument("--up", type=int, nargs="*", default=[1000, 4000], help="while memory is (default: 1000 4000)")
    arguments = parser.parse_args()
    if os.geteuid() != 0:
        print("benchmarks.sizing makes a network namespace: run it as root", file=sys.stderr)
        return 2
    measure_processor(arguments.calls)
    for count in arguments.up:
        measure_memory(count)
    measure_tables()
    return 0


if __name__ == "__main__":
    sys.exit(main())
