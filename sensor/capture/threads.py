"""The capture threads of a sensor: each with a ring and an engine of its own, and no lock between them.

Reading list: packet(7) (PACKET_FANOUT), sched_setaffinity(2), Documentation/admin-guide/mm/numa_memory_policy.rst.

A thread makes its ring and its engine itself, after it was pinned: the kernel takes a page from the node of the CPU
that first touches it.
"""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from sensor.capture.clock import PacketTime
from sensor.capture.engines import Engines
from sensor.capture.errors import CaptureError
from sensor.capture.live import RingSettings, open_ring

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from collections.abc import Set as AbstractSet

    from fastpath.engine import Engine
    from fastpath.ring import RingSource

PAUSE_S = 0.001
LAG_NS = 1_000_000_000  # that a thread without packets may be behind the others' time
NODES = Path("/sys/devices/system/node")

_BUDGET = 1 << 20
_TIMEOUT = 0
_ERROR = -2


class ThreadSettings(RingSettings, Protocol):
    """What of the configuration the threads need."""

    @property
    def cpus(self) -> Sequence[int]:
        """Return the CPUs of the threads, one each; none: they are not pinned."""

    @property
    def numa_node(self) -> int | None:
        """Return the node on whose CPUs all threads run, unless they have CPUs of their own."""


def cpu_list(text: str) -> set[int]:
    """Return what the kernel's notation for CPUs means, as "0-3,8" (Documentation/admin-guide/cputopology.rst)."""
    cpus: set[int] = set()
    for part in text.strip().split(","):
        first, _, last = part.partition("-")
        if first:
            cpus.update(range(int(first), int(last or first) + 1))
    return cpus


def cpus_of_threads(settings: ThreadSettings, nodes: Path = NODES) -> list[AbstractSet[int]]:
    """Return on which CPUs each thread may run; an empty set is wherever it is put.

    Raises:
        CaptureError: a CPU or node that this machine has not, or that this process may not use.
    """
    if not settings.cpus and settings.numa_node is None:
        return [set()] * settings.threads
    usable = os.sched_getaffinity(0)
    if settings.cpus:
        if missing := sorted(set(settings.cpus) - usable):
            said = ", ".join(map(str, missing))
            raise CaptureError(f"capture.cpus: no CPU {said} for this process; there are: {_ranges(usable)}")
        return [{cpu} for cpu in settings.cpus]
    try:
        there = cpu_list((nodes / f"node{settings.numa_node}" / "cpulist").read_text(encoding="ascii"))
    except OSError:
        numbers = {int(path.name[4:]) for path in nodes.glob("node[0-9]*")}
        known = f"there are: {_ranges(numbers)}" if numbers else "the kernel tells of none"
        raise CaptureError(f"capture.numa_node: no node {settings.numa_node} here; {known}") from None
    if not there & usable:
        raise CaptureError(f"capture.numa_node: node {settings.numa_node} has no CPU that this process may use")
    return [there & usable] * settings.threads


def _ranges(numbers: AbstractSet[int]) -> str:
    """Return numbers in the kernel's notation."""
    text: list[str] = []
    for number in sorted(numbers):
        if number - 1 in numbers:
            text[-1] = f"{text[-1].partition('-')[0]}-{number}"
        else:
            text.append(str(number))
    return ",".join(text)


class _CaptureThread(threading.Thread):
    """Makes a ring and an engine, and feeds one from the other, mostly without the interpreter's lock.

    It ends with the ring, or when it could make none (``refusal``).
    """

    def __init__(
        self, name: str, cpus: AbstractSet[int], make: Callable[[], tuple[RingSource, Engine]], now: _Clock
    ) -> None:
        super().__init__(name=name, daemon=True)
        self.ring: RingSource
        self.engine: Engine
        self.refusal: Exception | None = None
        self.made = threading.Event()
        self.go = threading.Event()
        self.abandoned = False
        self.beat = time.monotonic()
        self.status = 1
        self._cpus = cpus
        self._make = make
        self._clock = now

    def run(self) -> None:
        try:
            if self._cpus:
                os.sched_setaffinity(0, self._cpus)  # of this thread
            self.ring, self.engine = self._make()
        except Exception as error:  # noqa: BLE001  (whoever waits for it raises it)
            self.refusal = error
        self.made.set()
        self.go.wait()
        if self.refusal is None and not self.abandoned:
            self._take_packets()

    def _take_packets(self) -> None:
        engine = self.engine
        packet_time = PacketTime(engine, time.monotonic_ns())
        while self.status >= 0:
            self.status = engine.process(self.ring, _BUDGET)
            self.beat = time.monotonic()
            if self.status > 0:
                # Perhaps there is no room for records: the ring can wait for this, and turning in circles helps nobody.
                self._clock.records.set()
                time.sleep(PAUSE_S)
            packet_time.follow(
                time.monotonic_ns(), quiet=self.status == _TIMEOUT, least_ns=self._clock.latest_ns() - LAG_NS
            )


class _Clock:
    """What a capture thread knows of the others."""

    def __init__(self, threads: list[_CaptureThread], records: threading.Event) -> None:
        self.records = records  # set when they should be fetched at once
        self._threads = threads

    def latest_ns(self) -> int:
        """Return the latest packet time of all."""
        return max(thread.engine.now_ns for thread in self._threads)


class Sockets(Protocol):
    """Packet sockets that were made before."""

    def take(self) -> int:
        """Return a descriptor to be closed after use, -1 for none: then one is made."""


class CaptureThreads:
    """The threads of one interface; ``engines`` is what they found.

    Raises CaptureError, with no thread left. ``engine`` makes one, given the first (None: it is the first itself).
    """

    def __init__(
        self,
        interface: str,
        settings: ThreadSettings,
        engine: Callable[[Engine | None], Engine],
        records: threading.Event,
        sockets: Sockets,
    ) -> None:
        self._threads: list[_CaptureThread] = []
        clock = _Clock(self._threads, records)

        def make() -> tuple[RingSource, Engine]:
            first = self._threads[0] if self._threads else None
            made = engine(first.engine if first else None)
            # Before the first packet, packet time is that of the wall clock: the kernel stamps packets with it.
            made.advance(time.time_ns())
            return open_ring(interface, settings, sockets.take(), beside=first.ring if first else None), made

        for number, cpus in enumerate(cpus_of_threads(settings)):
            name = f"capture-{number}" if settings.threads > 1 else "capture"
            thread = _CaptureThread(name, cpus, make, clock)
            thread.start()
            thread.made.wait()
            if thread.refusal is not None:
                thread.go.set()
                self._abandon()
                raise thread.refusal
            self._threads.append(thread)
        self.engines = Engines([thread.engine for thread in self._threads])

    def _abandon(self) -> None:
        for thread in self._threads:
            thread.abandoned = True
            thread.go.set()
            thread.join()

    def start(self) -> None:
        """Begin to take packets."""
        if len(self._threads) > 1:
            for thread in self._threads:
                thread.ring.admit()
        for thread in self._threads:
            thread.go.set()

    def stop(self) -> None:
        """Let nothing more in; the threads end when they have taken what had come before."""
        for thread in self._threads:
            thread.ring.stop()

    def join(self, timeout_s: float) -> bool:
        """Wait for the threads to end; return whether they have."""
        deadline = time.monotonic() + timeout_s
        for thread in self._threads:
            thread.join(max(deadline - time.monotonic(), 0))
        return not any(thread.is_alive() for thread in self._threads)

    def wake(self) -> None:
        """Let every thread show that it moves: on a quiet but steady link it would wait on."""
        for thread in self._threads:
            thread.ring.wake()

    def alive(self) -> bool:
        """Whether all threads take packets; without one of them a part of the calls is not seen."""
        return all(thread.is_alive() for thread in self._threads)

    @property
    def beat(self) -> float:
        """The monotonic time when the slowest thread moved last."""
        return min(thread.beat for thread in self._threads)

    @property
    def link(self) -> str:
        """The state of the interface."""
        return self._threads[0].ring.link

    @property
    def link_losses(self) -> int:
        """How often the link went down, or the interface away."""
        return self._threads[0].ring.losses

    @property
    def name(self) -> str:
        """What the interface is called now: it may have been renamed."""
        return self._threads[0].ring.name

    @property
    def kernel_drops(self) -> int:
        """How many packets found no room in the rings."""
        return sum(thread.ring.kernel_drops for thread in self._threads)

    @property
    def failed(self) -> bool:
        """Whether a ring broke."""
        return any(thread.status == _ERROR for thread in self._threads)

    @property
    def error(self) -> str:
        """Why a ring broke, "" when none did."""
        return next((thread.ring.error for thread in self._threads if thread.ring.error), "")
