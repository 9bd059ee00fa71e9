"""Packets lost at a steady rate by ``legwatch run`` as a real process: ``python -m benchmarks.live``, as root.

A network namespace of its own holds a veth pair; a sender sends into one end and the sensor listens at the other. The
sender is ``xtx`` of ``../shared/bench``, which spends 0.8 microseconds a packet, where that and a compiler for it are,
else ``benchmarks.sender``, for which a slow machine may be too slow. What the sensor's metrics say before and after is
held against what was sent. The exit status is 0 when the rate was reached and nothing was lost.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks.inputs import SHARED, bpf_object, compiled, scratch, shared
from benchmarks.measured import ROOT
from benchmarks.sender import FRAME
from tests.live.lab import Mirror, Namespace, Sensor, namespaces, running_sensor, sh, wait_for

RATE = 500_000.0  # packets a second
SECONDS = 5.0
FLOWS = 2000
REACHED = 0.98  # of the rate: a sender that is slower than this measured something else
MIN_CPUS = 2  # one for the sender, one for the sensor
SETTLE_S = 0.3  # for what is still on its way
RECEIVED = "legwatch_received_packets_total"
DROPPED = "legwatch_kernel_dropped_packets_total"

_SENT = re.compile(r"(\d+) packets in ([\d.]+) s|sent=(\d+) .* secs=([\d.]+)")


def sender(namespace: Namespace, rate: float, seconds: float, flows: int, *, own: bool) -> tuple[str, list[str], Path]:
    """Return the name of a sender, its command, and the folder to run it in."""
    amount = str(rate), str(seconds)
    if own or not shared() or shutil.which("clang") is None:
        words = (sys.executable, "-m", "benchmarks.sender", "feed0", *amount, "--flows", str(flows))
        return "benchmarks.sender", namespace.command(*words), ROOT
    tool = compiled(SHARED / "live" / "xtx.c", "-lbpf")
    bpf_object(SHARED / "live" / "xtx.bpf.c")
    # A veth end takes XDP frames only while it polls, which GRO turns on (veth_set_features in the kernel's veth.c).
    sh(*namespace.command("ethtool", "-K", "span0", "gro", "on"))
    return "xtx", namespace.command(str(tool), "feed0", *amount, str(flows)), scratch()


def cpu_s(process: int) -> dict[str, float]:
    """Return the CPU time of each thread of a process so far, user and system, by the thread's id."""
    seconds = {}
    for thread in Path("/proc", str(process), "task").iterdir():
        # proc_pid_stat(5): fields 14 and 15; the name before them may hold anything but ends with the last ")"
        fields = (thread / "stat").read_text().rpartition(")")[2].split()
        seconds[thread.name] = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return seconds


@dataclass(frozen=True, slots=True)
class Live:
    """What came of sending at one rate."""

    sender: str
    sent: int
    received: int
    dropped: int  # by the kernel
    took_s: float
    cpu_s: float  # of the whole sensor
    capture_s: float  # of its capture thread, the busiest
    wanted: float  # packets a second

    @property
    def lost(self) -> int:
        """Packets that were sent and not received."""
        return self.sent - self.received

    @property
    def kept(self) -> bool:
        """Whether the rate was reached with no loss."""
        return self.lost == 0 and self.dropped == 0 and self.sent / self.took_s >= REACHED * self.wanted

    @property
    def ns_a_packet(self) -> float:
        """CPU time of the sensor, in nanoseconds."""
        return self.cpu_s / self.sent * 1e9

    @property
    def capture_share(self) -> float:
        """The part of a core that the capture thread took."""
        return self.capture_s / self.took_s


def measured(rate: float, seconds: float, flows: int, *, own_sender: bool = False) -> Live:
    """Send to a new sensor, each on a processor of its own where there are two, and return what came of it."""
    with namespaces("bench") as (namespace,), tempfile.TemporaryDirectory() as folder:
        mirror = Mirror(namespace)
        try:
            with running_sensor(namespace, Path(folder)) as sensor:
                wait_for(lambda: sensor.metrics().get((RECEIVED,)) is not None, "metrics are served")
                return _send(sensor, rate, seconds, flows, own_sender=own_sender)
        finally:
            mirror.close()


def _send(sensor: Sensor, rate: float, seconds: float, flows: int, *, own_sender: bool) -> Live:
    name, command, folder = sender(sensor.namespace, rate, seconds, flows, own=own_sender)
    cpus = sorted(os.sched_getaffinity(0))
    if len(cpus) >= MIN_CPUS:
        for thread in Path("/proc", str(sensor.process.pid), "task").iterdir():
            os.sched_setaffinity(int(thread.name), {cpus[-1]})
        command = ["taskset", "--cpu-list", str(cpus[0]), *command]
    before, cpu_before = sensor.metrics(), cpu_s(sensor.process.pid)
    said = subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout
    time.sleep(SETTLE_S)
    after, cpu_after = sensor.metrics(), cpu_s(sensor.process.pid)
    found = _SENT.search(said)
    if found is None:
        message = f"the sender said: {said}"
        raise RuntimeError(message)
    used = [cpu_after[thread] - cpu_before.get(thread, 0.0) for thread in cpu_after]
    return Live(
        name,
        int(found[1] or found[3]),
        int(after[RECEIVED,] - before[RECEIVED,]),
        int(after[DROPPED,] - before[DROPPED,]),
        float(found[2] or found[4]),
        sum(used),
        max(used),
        rate,
    )


def main() -> int:
    """Measure once; return 1 when packets were lost or the rate was not reached."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.live", description="loss at a steady rate; needs root")
    parser.add_argument("--rate", type=float, default=RATE, help=f"packets a second (default: {RATE:.0f})")
    parser.add_argument("--seconds", type=float, default=SECONDS, help=f"(default: {SECONDS:.0f})")
    parser.add_argument("--flows", type=int, default=FLOWS, help=f"(default: {FLOWS})")
    parser.add_argument("--own-sender", action="store_true", help="use benchmarks.sender in any case")
    arguments = parser.parse_args()
    if os.geteuid() != 0:
        print("benchmarks.live makes a network namespace: run it as root", file=sys.stderr)
        return 2
    live = measured(arguments.rate, arguments.seconds, arguments.flows, own_sender=arguments.own_sender)
    print(f"live: {arguments.flows:,} flows, packets of {FRAME} octets for {live.took_s:.2f} s, sent by {live.sender}")
    print(f"  sent        {live.sent:12,} packets, {live.sent / live.took_s:,.0f} a second; wanted: {live.wanted:,.0f}")
    print(f"  received    {live.received:12,}")
    print(f"  lost        {live.lost:12,} ({live.lost / live.sent:.3%}); the kernel says {live.dropped:,} dropped")
    print(f"  CPU         {live.cpu_s / live.took_s:12.0%} of a core, {live.ns_a_packet:.0f} ns/packet;"
          f" capture thread {live.capture_share:.0%}")  # fmt: skip
    print("no packet lost" if live.kept else "packets were lost, or the rate was not reached")
    return 0 if live.kept else 1


if __name__ == "__main__":
    sys.exit(main())
