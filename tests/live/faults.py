"""What the tests of faults share: a sender that knows what was taken, a sensor's account, calls to be judged."""

from __future__ import annotations

import errno
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from deploy.demo.wire import MS
from tests.live.lab import ROOT, Namespace, Sensor, running_sensor, wait_for
from tests.packets import T0, End, ciphertext, speech, stream

SOL_PACKET, PACKET_QDISC_BYPASS = 263, 20  # linux/socket.h, linux/if_packet.h
NOT_TAKEN = {errno.ENOBUFS, errno.ENETDOWN, errno.ENXIO}  # no carrier at the other end, down, gone
KINDS = ("classified", "ignored", "malformed", "shed")
PACKETS = 50  # of each direction of a call
RATED = 20_000  # packets a second: 200 calls, in both directions
FLOWS = RATED // 50
POLICY: dict[str, object] = {"grace": 0.2, "media_idle": 4, "resolve_after": 3, "no_traffic_after": 3600}


class Feed:
    """Sends into an interface as a driver does, with no queue between: what is not taken at once is counted."""

    def __init__(self, namespace: Namespace, interface: str = "feed0") -> None:
        self.taken = self.refused = 0
        with namespace.entered():
            self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        self._socket.setsockopt(SOL_PACKET, PACKET_QDISC_BYPASS, 1)
        self.attach(interface)

    def attach(self, interface: str = "feed0") -> None:
        """Send into the interface that has this name now."""
        self._socket.bind((interface, 0))

    def send(self, *frames: bytes) -> None:
        """Send frames as fast as they go."""
        for octets in frames:
            try:
                self._socket.send(octets)
            except OSError as error:
                if error.errno not in NOT_TAKEN:
                    raise
                self.refused += 1
            else:
                self.taken += 1

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()


@contextmanager
def feeding(namespace: Namespace, interface: str = "feed0") -> Iterator[Feed]:
    """Send into an interface while the block lasts."""
    feed = Feed(namespace, interface)
    try:
        yield feed
    finally:
        feed.close()


@contextmanager
def loading(sensor: Sensor, feed: Feed, rate: float, seconds: float, flows: int = FLOWS) -> Iterator[None]:
    """Send media steadily beside the block, which begins when it comes, to its end; a feed counts it as its own."""
    amount = (str(rate), str(seconds), "--flows", str(flows))
    before = account(sensor).received
    command = sensor.namespace.command(sys.executable, "-m", "benchmarks.sender", "feed0", *amount)
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as sender:
        try:
            wait_for(lambda: account(sensor).received > before, "the load begins")
            yield
            said, _ = sender.communicate()
        except BaseException:
            sender.kill()
            raise
    feed.taken += int(said.split()[0])


class Account(NamedTuple):
    """What became of packets; while some are on their way it need not add up."""

    received: int
    dropped: int  # by the kernel, the ring being full
    reasons: dict[str, int]  # what was received, by what became of it

    def adds_up(self, packets: int) -> bool:
        """Whether this is all of so many packets."""
        return self.received + self.dropped == packets and sum(self.reasons.values()) == self.received


def account(sensor: Sensor) -> Account:
    """Return a sensor's account."""
    samples = sensor.metrics()
    reasons = {
        kind: int(sum(value for (name, *_), value in samples.items() if name == f"legwatch_{kind}_packets_total"))
        for kind in KINDS
    }
    received, dropped = (int(samples[f"legwatch_{name}_packets_total",]) for name in ("received", "kernel_dropped"))
    return Account(received, dropped, reasons)


def all_are_accounted_for(sensor: Sensor, feed: Feed) -> Account:
    """Wait until each packet that was taken is received or dropped, to the packet; return the account."""
    wait_for(lambda: account(sensor).adds_up(feed.taken), f"all of {feed.taken} packets")
    return account(sensor)


def ends_of(number: int) -> tuple[End, End]:
    """Return the two ends of a call."""
    return End(f"10.60.{number}.1", 16384), End(f"10.60.{number}.2", 20000)


def call(number: int, *, protected: bool = False, packets: int = PACKETS) -> list[bytes]:
    """Return the media of a call between two hosts that are its own, G.711 in clear or SRTP, in both directions."""
    a, b = ends_of(number)
    payloads = (ciphertext if protected else speech)(2 * packets)
    frames = sorted(
        stream(payloads[:packets], src=a, dst=b, ssrc=2 * number)
        + stream(payloads[packets:], src=b, dst=a, ssrc=2 * number + 1, start_ns=T0 + MS)
    )
    return [frame[1] for frame in frames]


def opened(sensor: Sensor, number: int) -> list[str]:
    """Return the codes of the findings about a call that were opened."""
    hosts = {end.ip for end in ends_of(number)}
    return [
        event["code"]
        for event in sensor.events("finding_opened")
        if {event["subject"].get("a"), event["subject"].get("b")} == hosts
    ]


def judges(sensor: Sensor, feed: Feed, number: int) -> None:
    """Check that a call in clear is found and one in SRTP is not; they have this number and the next one."""
    feed.send(*call(number + 1, protected=True), *call(number))
    wait_for(lambda: opened(sensor, number), f"the finding about call {number}")
    assert (opened(sensor, number), opened(sensor, number + 1)) == (["media-clear"], [])


def holding(sensor: Sensor) -> dict[str, str]:
    """Return the conditions that hold, by reason: "blind" or "degraded"."""
    lines = sensor.get("/-/ready")[1].splitlines()[1:]
    return {reason: level for level, reason, _ in (line.split(": ", 2) for line in lines)}


def holds(sensor: Sensor, **conditions: str | None) -> None:
    """Wait until conditions hold, or do not (None); "_" is for "-" in their reasons."""
    wanted = {reason.replace("_", "-"): level for reason, level in conditions.items()}
    wait_for(lambda: wanted == {reason: holding(sensor).get(reason) for reason in wanted}, f"{wanted} holds")


def changes_of_verdicts(sensor: Sensor) -> float:
    """Return how many streams were said to be in clear and then encrypted, or the other way round."""
    sides = ("clear", "encrypted")
    return sum(sensor.metric("legwatch_stream_verdict_changes_total", *way) for way in (sides, sides[::-1]))


def of_code(events: list[dict[str, Any]], code: str) -> list[dict[str, Any]]:
    """Return the events about findings of a code."""
    return [event for event in events if event["code"] == code]


def stand_still(sensor: Sensor, seconds: float) -> None:
    """Stop the process for so long."""
    sensor.process.send_signal(signal.SIGSTOP)
    try:
        time.sleep(seconds)
    finally:
        sensor.process.send_signal(signal.SIGCONT)


def configured(folder: Path, policy: dict[str, object] = POLICY, **sections: object) -> str:
    """Write a configuration that loses no time; return its path."""
    path = folder / "legwatch.yaml"
    path.write_text(yaml.safe_dump({"policy": policy, "alerts": {"settle": 0}, **sections}))
    return str(path)


@contextmanager
def watching(
    namespace: Namespace, folder: Path, policy: dict[str, object] = POLICY, **sections: object
) -> Iterator[Sensor]:
    """Run a sensor that loses no time while the block lasts; it must still be the same process at the end."""
    with running_sensor(namespace, folder, "--config", configured(folder, policy, **sections)) as sensor:
        yield sensor
        assert sensor.process.poll() is None
        assert sensor.stop() == 0
