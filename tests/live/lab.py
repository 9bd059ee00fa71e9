"""A network of namespaces with a mirror port, and programs in it: what the live tests are made of."""

import ctypes
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import dpkt
from prometheus_client.parser import text_string_to_metric_families

from tests import process

ROOT, LEGWATCH, STAY_ROOT = process.ROOT, process.LEGWATCH, process.STAY_ROOT
CLONE_NEWNET = 0x40000000
LIBC = ctypes.CDLL(None, use_errno=True)

Seen = TypeVar("Seen")
Frames = list[tuple[int, bytes]]  # nanoseconds, octets from the Ethernet header


def wait_for(look: Callable[[], Seen], what: str, seconds: float = 15.0) -> Seen:
    """Return the first true value that ``look`` gives; fail after ``seconds``."""
    deadline = time.monotonic() + seconds
    while not (seen := look()):
        assert time.monotonic() < deadline, f"waited {seconds} s in vain: {what}"
        time.sleep(0.05)
    return seen


def sh(*command: str) -> None:
    """Run a command that has to succeed."""
    done = subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stderr}"


class Namespace:
    """A network namespace of this test run, silent by itself: no IPv6, no address but loopback."""

    def __init__(self, name: str) -> None:
        self.name = f"legwatch-{os.getpid()}-{name}"
        sh("ip", "netns", "add", self.name)
        with self.entered():
            for scope in ("all", "default"):
                Path(f"/proc/sys/net/ipv6/conf/{scope}/disable_ipv6").write_text("1")
        self.ip("link", "set", "lo", "up")

    def ip(self, *arguments: str) -> None:
        """Change links and addresses of the namespace."""
        sh("ip", "-n", self.name, *arguments)

    def command(self, *command: str) -> list[str]:
        """Return the command that runs ``command`` in the namespace; the process is the program itself."""
        return ["ip", "netns", "exec", self.name, *command]

    @contextmanager
    def entered(self) -> Iterator[None]:
        """Put this thread into the namespace: a socket made meanwhile stays there."""
        with open("/proc/thread-self/ns/net") as own, open(f"/run/netns/{self.name}") as other:  # noqa: PTH123
            assert LIBC.setns(other.fileno(), CLONE_NEWNET) == 0, os.strerror(ctypes.get_errno())
            try:
                yield
            finally:
                LIBC.setns(own.fileno(), CLONE_NEWNET)

    def remove(self) -> None:
        """Take the namespace and the interfaces in it away."""
        sh("ip", "netns", "del", self.name)


@contextmanager
def namespaces(*names: str) -> Iterator[list[Namespace]]:
    """Give namespaces and take them away again."""
    made: list[Namespace] = []
    try:
        for name in names:
            made.append(Namespace(name))  # noqa: PERF401  (those made before a failure have to go)
        yield made
    finally:
        for namespace in made:
            namespace.remove()


@contextmanager
def running(
    command: Sequence[str], *, stdout: int, stderr: int | None = None, stop: int = signal.SIGTERM
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a program while the block lasts; it is gone when the block is left."""
    process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=stdout, stderr=stderr)
    try:
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(stop)
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


@contextmanager
def program(command: Sequence[str], output: Path, *, stop: int = signal.SIGTERM) -> Iterator[subprocess.Popen[bytes]]:
    """Run a program while the block lasts; its standard output goes to ``output``, its errors beside it."""
    with (
        output.open("wb") as out,
        output.with_suffix(".err").open("wb") as err,
        running(command, stdout=out.fileno(), stderr=err.fileno(), stop=stop) as process,
    ):
        yield process


_ONLY = "-all,+net_raw"
# As an engine of containers starts a process: CAP_NET_RAW and nothing else
ONE_CAPABILITY = (
    "setpriv",
    "--securebits=+noroot,+noroot_locked",
    f"--bounding-set={_ONLY}",
    f"--inh-caps={_ONLY}",
    f"--ambient-caps={_ONLY}",
    "--no-new-privs",
)


class Mirror:
    """A veth pair: what is sent into its ``feed`` comes out of its ``span`` in the namespace.

    The feed is in the same namespace, unless one ``outside`` is given.
    """

    def __init__(self, namespace: Namespace, *, outside: Namespace | None = None, number: int = 0) -> None:
        self.namespace = namespace
        self.span, self._feed = f"span{number}", f"feed{number}"
        self._address = f"02:00:00:00:00:{number:02x}"
        self._outside = outside or namespace
        self._make()
        self.set_state(self.span, "up")

    def _make(self) -> None:
        end = ("name", self.span, "address", self._address, "netns", self.namespace.name)
        self._outside.ip("link", "add", self._feed, "type", "veth", "peer", *end)
        self._outside.ip("link", "set", self._feed, "up")
        with self._outside.entered():
            self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
            self._socket.bind((self._feed, 0))

    def renew(self) -> None:
        """Make the pair anew, as a card is when a machine boots: with its address, down, and as the maker meant it."""
        self.close()
        self._outside.ip("link", "delete", self._feed)
        self._make()

    def set_state(self, interface: str, state: str) -> None:
        """Set an interface of the namespace up or down."""
        self.namespace.ip("link", "set", interface, state)

    def send(self, octets: bytes) -> int:
        """Send one frame; return when, in nanoseconds since the epoch."""
        self._socket.send(octets)
        return time.time_ns()

    def replay(self, frames: Frames, speed: float) -> Frames:
        """Send frames in their own time divided by ``speed``; return them with the times they had."""
        start, first = time.monotonic(), frames[0][0]
        sent: Frames = []
        for ts_ns, octets in frames:
            ahead = (ts_ns - first) / 1e9 / speed - (time.monotonic() - start)
            if ahead > 0:
                time.sleep(ahead)
            sent.append((self.send(octets), octets))
        return sent

    def close(self) -> None:
        """Close the sender."""
        self._socket.close()


def read_capture(path: Path) -> Frames:
    """Return the frames of a pcap file."""
    with path.open("rb") as file:
        return [(round(ts * 1_000_000_000), octets) for ts, octets in dpkt.pcap.Reader(file)]


def write_capture(path: Path, frames: Frames) -> None:
    """Write Ethernet frames as pcap with nanoseconds."""
    with path.open("wb") as file:
        writer = dpkt.pcap.Writer(file, snaplen=65535, nano=True)
        for ts_ns, octets in frames:
            writer.writepkt_time(octets, ts_ns / 1e9)


class Exporter:
    """A sensor in a namespace, as its metrics and its health show it."""

    def __init__(self, namespace: Namespace, port: int = 9767) -> None:
        self.namespace = namespace
        self._port = port

    def get(self, path: str) -> tuple[int, str]:
        """Return status and body of an HTTP request; status 0 when nobody answers."""
        try:
            with (
                self.namespace.entered(),
                urllib.request.urlopen(f"http://127.0.0.1:{self._port}{path}", timeout=5) as answer,
            ):
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as refusal:
            with refusal:
                return refusal.code, refusal.read().decode()
        except OSError:
            return 0, ""

    def ready(self) -> bool:
        """Whether it says that it is ready."""
        return self.get("/-/ready")[0] == 200

    def metrics(self) -> dict[tuple[str, ...], float]:
        """Return every sample: (name, label values in the order of their names …) to value."""
        return {
            (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
            for family in text_string_to_metric_families(self.get("/metrics")[1])
            for sample in family.samples
        }

    def metric(self, *name_and_labels: str) -> float:
        """Return one sample's value."""
        return self.metrics()[name_and_labels]


class Sensor(Exporter):
    """``legwatch run`` as a real process."""

    def __init__(self, namespace: Namespace, process: subprocess.Popen[bytes], output: Path) -> None:
        super().__init__(namespace)
        self.process = process
        self.output = output

    def events(self, name: str | None = None) -> list[dict[str, Any]]:
        """Return the events so far, of one name or all; what is said of this machine's own clock is no test's."""
        whole, _, _ = self.output.read_text().rpartition("\n")
        events = [json.loads(line) for line in whole.splitlines()]
        return [event for event in events if name in {None, event["event"]} and event.get("code") != "sensor-clock"]

    def stop(self, seconds: float = 10.0) -> int:
        """Ask it to end; return its exit status."""
        self.process.terminate()
        return self.process.wait(seconds)


@contextmanager
def running_sensor(
    namespace: Namespace, folder: Path, *arguments: str, confined_by: Sequence[str] = ()
) -> Iterator[Sensor]:
    """Run ``legwatch run`` on ``span0`` in the namespace; it takes packets from the start of the block on."""
    output = folder / "events.jsonl"
    command = namespace.command(*confined_by, *LEGWATCH, "run", *STAY_ROOT, "-i", "span0", *arguments)
    with program(command, output) as process:
        sensor = Sensor(namespace, process, output)
        try:
            wait_for(lambda: process.poll() is not None or sensor.events("ready"), "the sensor takes packets")
            assert process.poll() is None, output.with_suffix(".err").read_text()
            yield sensor
        finally:
            sys.stderr.write(output.with_suffix(".err").read_text())  # pytest shows it with a failure


def run_to_end(namespace: Namespace, command: str, *arguments: str) -> tuple[int, str]:
    """Run a command that captures, in the namespace, to its end; return exit status and standard error."""
    return process.run_to_end(command, *STAY_ROOT, *arguments, within=tuple(namespace.command()))
