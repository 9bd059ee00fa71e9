"""The thread that takes headers of the packets that findings are about."""

from __future__ import annotations

import queue
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from sensor.capture.errors import CaptureError
from sensor.capture.linktypes import LINKTYPE_ETHERNET
from sensor.evidence.files import EvidenceFiles
from sensor.evidence.headers import find_headers
from sensor.evidence.pairs import Pair, Pairs, pair_of
from sensor.evidence.streams import Streams
from sensor.evidence.tap import SNAPLEN
from sensor.model import SEVERITIES, QuietSink

if TYPE_CHECKING:
    from sensor.config.schema import Evidence
    from sensor.evidence.tap import Packet, Tap
    from sensor.model import Finding, Step

CODES = ("media-", "signalling-", "sdes-", "rtcp-", "dtmf-", "fax-", "recording-", "legacy-")
# UDPTL counts its packets where RTP has its version, IAX2 has keys where RTP has a source, and what they carry repeats
# itself: beside these nothing that looks like RTP is believed to be it.
WITHOUT_RTP = ("fax-", "legacy-")
MAX_WAITING = 64  # findings on their way to the thread
# Packets are fetched by the clock and not as they come: a flood of them never takes the interpreter from the sensor.
TICK_S = 0.05
TICK_PACKETS = 256
RETRY_S = 2.0
TRIAL_S = 10.0  # between two looks whether the directory can be written, while nothing else tells it
SLOW_S = 10.0  # that a disk may take before it counts as one that takes nothing
STOP_S = 5.0


class _Wish(NamedTuple):
    pair: Pair
    rtp: bool


class EvidenceCapture(QuietSink):
    """A sink that has headers of the packets of a finding's hosts written, from the moment when it was opened.

    It sees what the sensor's own ring sees: it does not set promiscuous mode, and ``base_filter`` holds for it, too.
    """

    def __init__(self, tap: Tap, settings: Evidence, directory: str, *, base_filter: str = "") -> None:
        self._tap = tap
        self._settings = settings
        self._directory = directory
        self._base_filter = base_filter
        self._pairs = Pairs(settings.seconds, settings.packets)
        self._streams = Streams()
        self._files = EvidenceFiles(
            directory, max_octets=settings.file_mib << 20, max_files=settings.files, snaplen=SNAPLEN
        )
        self._waiting: queue.Queue[_Wish | None] = queue.Queue(MAX_WAITING)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="evidence", daemon=True)
        self._filter: str | None = None  # None: nothing is let through
        self._try_at = 0.0
        self._busy_since: float | None = None  # with the interface or the disk
        self._problem = ""
        self._written = self._refused = self._errors = self._overflow = 0

    def start(self) -> None:
        """Begin; nothing is opened before a finding asks for it."""
        self._thread.start()

    def stop(self) -> None:
        """End; what was written is whole."""
        self._stopping.set()
        with suppress(queue.Full):  # then the thread does not sleep
            self._waiting.put_nowait(None)
        self._thread.join(STOP_S)

    def counters(self) -> dict[str, int]:
        """Return what was done, and what could not be.

        ``packets`` written; ``refused``, whose headers could not be told; ``files`` begun; ``errors`` of the interface
        or the disk, after each of which it was tried again; findings for which the thread had no room (``overflow``).
        """
        return {
            "packets": self._written,
            "refused": self._refused,
            "files": self._files.opened,
            "errors": self._errors,
            "overflow": self._overflow,
        }

    def problem(self) -> str:
        """Return why evidence can not be taken or written now, "" when it can; nothing has to have asked for it."""
        since = self._busy_since
        if since is not None and time.monotonic() - since > SLOW_S:
            return f"{self._directory} takes nothing for more than {SLOW_S:.0f} s"
        return self._problem

    def finding_changed(self, finding: Finding, change: Step) -> None:
        """Want the packets of the two hosts of a finding that was opened, if it is one that packets can show."""
        if (
            change != "opened"
            or finding.state != "open"
            or not finding.code.startswith(CODES)
            or SEVERITIES.index(finding.severity) < SEVERITIES.index(self._settings.min_severity)
        ):
            return
        pair = pair_of(finding.subject.a, finding.subject.b)
        if pair is None:
            return
        try:
            self._waiting.put_nowait(_Wish(pair, rtp=not finding.code.startswith(WITHOUT_RTP)))
        except queue.Full:
            self._overflow += 1

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self._step()
                self._problem = ""
                pause_s = TICK_S if self._pairs else 0.0
            except Exception as error:  # noqa: BLE001  (frames are hostile: a defect of ours must not end the thread)
                self._errors += bool(self._pairs)
                reason = _reason(error)
                self._problem = f"cannot be taken or written to {self._directory}: {reason}"
                self._filter = None
                self._try_at = 0.0  # what was wrong is over when this works, and not when nothing is to be written
                pause_s = RETRY_S
            self._busy_since = None
            self._stopping.wait(pause_s)
        self._tap.close()
        self._files.close()

    def _step(self) -> None:
        self._hear()
        self._busy_since = now = time.monotonic()
        if now >= self._try_at:
            self._files.try_out()
            self._try_at = now + TRIAL_S
        self._pairs.expire(now)
        if self._pairs:
            self._fetch()
        if not self._pairs and self._filter is not None:
            self._filter = None
            self._tap.rest()

    def _fetch(self) -> None:
        if self._filter is None:
            self._tap.open()
        tagged = self._tap.linktype == LINKTYPE_ETHERNET
        if (text := self._pairs.filter(self._base_filter, tagged=tagged)) != self._filter:
            self._tap.listen(text)
            self._filter = text
        for packet in self._tap.packets(TICK_PACKETS):
            self._take(packet)

    def _hear(self) -> None:
        """Take the findings that are waiting; without a wish there is little else to do but wait for one."""
        pause_s = 0.0 if self._pairs else max(self._try_at - time.monotonic(), 0.0)
        try:
            wish = self._waiting.get(block=pause_s > 0, timeout=pause_s)
            while wish is not None:
                self._pairs.want(wish.pair, time.monotonic(), rtp=wish.rtp)
                wish = self._waiting.get_nowait()
        except queue.Empty:
            pass

    def _take(self, packet: Packet) -> None:
        frame, linktype = packet.octets, self._tap.linktype
        found = find_headers(frame, linktype)
        if found is None:
            self._refused += 1
            return
        # A packet from before the filter, or behind the last one of its pair, is nobody's.
        if (pair := self._pairs.wanted(found.source, found.target)) is None:
            return
        rtp = self._streams.continues(frame, found) and self._pairs.rtp(pair)
        octets = found.octets + found.rtp_octets * rtp
        self._files.write(packet.ts_ns, frame[:octets], packet.length, linktype)
        self._pairs.spend(pair)
        self._written += 1


def _reason(error: Exception) -> object:
    if isinstance(error, OSError):
        return error.strerror
    return error if isinstance(error, CaptureError) else f"{type(error).__name__} in the sensor"
