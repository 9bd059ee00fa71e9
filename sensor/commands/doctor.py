"""``legwatch doctor``: a look at a mirror port, in plain words."""

from __future__ import annotations

import sys
import threading
import time
from argparse import Namespace
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

from fastpath.engine import Engine
from sensor.capture import CaptureError, CaptureThreads, Interface, list_interfaces
from sensor.capture.clock import Clock
from sensor.commands import OperatorError, configuration
from sensor.commands.pipeline import Pipeline
from sensor.config.schema import Policy
from sensor.confine.descriptors import Packets
from sensor.confine.landlock import keep_to
from sensor.confine.paths import readable
from sensor.confine.process import hide_memory
from sensor.policy import health

# Ten seconds of one call are enough to say what is wrong with its mirror.
LEAST = health.Least(packets=50, flows=1)
_TICK_S = 0.1

_ADVICE = {
    "sensor-one-way-mirror": "mirror both directions of the port (Cisco: 'both', not 'rx' or 'tx'), or the other "
    "uplink too",
    "sensor-duplicate-mirror": "mirror one direction of every port, or both of the uplink alone; copies are left "
    "out of every figure, but cost the mirror its room",
    "sensor-truncated": "let the mirror pass whole packets: no truncation or slicing in the mirror session, and an "
    "MTU on its way that has room for the tunnel's headers",
    "sensor-undecoded": "mirror before the encryption or the tunnel that is named, or from another point",
    "sensor-no-traffic": "check cable and mirror session: its destination has to be this port",
    "sensor-no-voice": "check that the voice VLAN is among the sources; was there a call, or a registration?",
    "sensor-loss": "give the ring more room (capture.ring_mib), or mirror less",
    "sensor-clock": "run chrony or another client of NTP on this machine",
}


class Line(NamedTuple):
    """One thing that was looked at."""

    well: bool
    text: str
    advice: str = ""


def execute(args: Namespace) -> int:
    """Watch, then print; 1 when something is wrong."""
    interface = next((each for each in list_interfaces() if each.name == args.interface), None)
    counters, clock = _watched(args)
    lines = [*_link(interface), *_findings(counters, clock, args.seconds)]
    print(f"{args.interface}, {args.seconds} s:")  # noqa: T201
    for line in lines:
        print(f"  {'well ' if line.well else 'WRONG'}  {line.text}")  # noqa: T201
        if line.advice:
            print(f"         {line.advice}")  # noqa: T201
    return int(not all(line.well for line in lines))


def _watched(args: Namespace) -> tuple[Mapping[str, int], Clock]:
    """Return what the counters came to in the time that was asked for."""
    hide_memory()
    config = configuration(args.config)
    keep_to(readable(config, args.config), ())
    pipeline, clock, records, packets = Pipeline(config), Clock(), threading.Event(), Packets()

    def engine(first: Engine | None) -> Engine:
        return pipeline.engine(share=first, parts=config.capture.threads)

    try:
        capture = CaptureThreads(args.interface, config.capture, engine, records, packets)
    except CaptureError as error:
        raise OperatorError(str(error)) from None
    packets.close()
    if sys.stderr.isatty():
        print(f"looking at {args.interface} for {args.seconds} seconds", file=sys.stderr)  # noqa: T201
    capture.start()
    end = time.monotonic() + args.seconds
    while (left := end - time.monotonic()) > 0 and capture.alive():
        records.wait(min(left, _TICK_S))
        records.clear()
        capture.engines.drain()
    capture.stop()
    while not capture.join(_TICK_S):
        capture.engines.drain()
    clock.look()
    return capture.engines.counters() | {"kernel_drops": capture.kernel_drops}, clock


def _link(interface: Interface | None) -> Iterator[Line]:
    if interface is None:
        return
    yield Line(
        interface.state == "up", f"the link is {interface.state}", "" if interface.state == "up" else "check the cable"
    )
    if interface.offloads:
        advice = f"ethtool -K {interface.name} " + " ".join(f"{name} off" for name in interface.offloads)
        yield Line(False, f"{' and '.join(interface.offloads)} merge packets before they are seen", advice)


def _findings(seen: Mapping[str, int], clock: Clock, seconds: int) -> Iterator[Line]:
    policy = Policy(no_traffic_after=1.0, no_voice_after=1.0)
    received = seen["received"]
    if not received:
        yield Line(False, "no packet came", _ADVICE["sensor-no-traffic"])
    else:
        yield Line(
            True, f"{received:,} packets, {received / seconds:,.0f} a second; {seen['classified']:,} of them read"
        )
        yield from _voice(seen)
        wrong = {each.code: each.evidence for each in health.mirror("", seen, policy, LEAST)}
        for code, well in _WELL.items():
            yield Line(False, wrong[code], _ADVICE[code]) if code in wrong else Line(True, well(seen))
        yield from _loss(seen)
    said = health.clock("", clock.steps, synchronised=clock.synchronised(), policy=policy)
    yield Line(False, said[0].evidence, _ADVICE["sensor-clock"]) if said else Line(True, "the clock is kept")


_WELL: dict[str, Callable[[Mapping[str, int]], str]] = {
    "sensor-one-way-mirror": lambda seen: f"{seen['media_both_ways']} media flows were seen in both directions",
    "sensor-duplicate-mirror": lambda seen: f"{seen['duplicates']:,} packets came twice",
    "sensor-truncated": lambda seen: f"{seen['truncated']:,} packets were cut",
    "sensor-undecoded": lambda seen: f"{sum(seen[name] for name in health.UNDECODED):,} packets could not be decoded",
}


def _voice(seen: Mapping[str, int]) -> Iterator[Line]:
    streams, messages = seen["streams_begun"], seen["sip_messages"]
    well = streams + messages > 0
    text = f"{streams:,} media streams, {messages:,} SIP messages in clear" if well else "no voice is among them"
    yield Line(well, text, "" if well else _ADVICE["sensor-no-voice"])


def _loss(seen: Mapping[str, int]) -> Iterator[Line]:
    dropped, common, unreported = seen["kernel_drops"], seen["gaps_common"], seen["gaps_unreported"]
    if dropped:
        yield Line(False, f"the kernel dropped {dropped:,} packets", _ADVICE["sensor-loss"])
    if common or unreported:
        text = (
            f"{common:,} media packets were missing from many streams at once, {unreported:,} that their receivers have"
        )
        yield Line(False, text, "the mirror loses packets: mirror less, or use a port of more speed")
    if not (dropped or common or unreported):
        yield Line(True, "no packet was lost on the way here, as far as that shows")
