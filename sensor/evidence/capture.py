"""The thread that takes headers of the packets that findings are about."""

from __future__ import annotations

import ctypes
import os
import queue
import socket
import struct
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import pcapy

from sensor.capture.errors import CaptureError
from sensor.capture.filters import SOCK_FILTER, compile_filter
from sensor.capture.linktypes import LINKTYPE_ETHERNET, linktype_of_dlt
from sensor.evidence.files import EvidenceFiles
from sensor.evidence.headers import find_headers
from sensor.evidence.pairs import Pair, Pairs, pair_of
from sensor.evidence.streams import Streams
from sensor.model import SEVERITIES, QuietSink

if TYPE_CHECKING:
    from sensor.config.schema import Evidence
    from sensor.model import Finding

CODES = ("media-", "signalling-", "sdes-", "rtcp-", "dtmf-", "fax-", "recording-", "legacy-")
# UDPTL counts its packets where RTP has its version, IAX2 has keys where RTP has a source, and what they carry repeats
# itself: beside these nothing that looks like RTP is believed to be it.
WITHOUT_RTP = ("fax-", "legacy-")
SNAPLEN = 256  # room for the headers of a frame with extension headers or options
BUFFER_OCTETS = 1 << 21
BLOCK_TIMEOUT_MS = 100
MAX_WAITING = 64  # findings on their way to the thread
# Packets are fetched by the clock and not as they come: a flood of them never takes the interpreter from the sensor.
TICK_S = 0.05
TICK_PACKETS = 256
RETRY_S = 2.0
STOP_S = 5.0

_SO_ATTACH_FILTER = 26  # asm-generic/socket.h
_SOCK_FPROG = struct.Struct("@HP")  # linux/filter.h: instructions, and where they are


class _Wish(NamedTuple):
    pair: Pair
    rtp: bool


class EvidenceCapture(QuietSink):
    """A sink that has headers of the packets of a finding's hosts written, from the moment when it was opened.

    It sees what the sensor's own ring sees: it does not set promiscuous mode, and ``base_filter`` holds for it, too.
    """

    def __init__(self, interface: str, settings: Evidence, directory: str, *, base_filter: str = "") -> None:
        self._interface = interface
        self._settings = settings
        self._base_filter = base_filter
        self._pairs = Pairs(settings.seconds, settings.packets)
        self._streams = Streams()
        self._files = EvidenceFiles(
            directory, max_octets=settings.file_mib << 20, max_files=settings.files, snaplen=SNAPLEN
        )
        self._waiting: queue.Queue[_Wish | None] = queue.Queue(MAX_WAITING)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="evidence", daemon=True)
        self._reader: Any = None
        self._filter = ""
        self._linktype = -1
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

    def finding_changed(self, finding: Finding, change: Literal["opened", "updated", "resolved"]) -> None:
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
            pause_s = TICK_S
            try:
                self._step()
            except (OSError, pcapy.PcapError, CaptureError):
                self._errors += 1
                self._close_reader()
                pause_s = RETRY_S
            if self._pairs:
                self._stopping.wait(pause_s)
        self._close_reader()
        self._files.close()

    def _step(self) -> None:
        self._hear()
        self._pairs.expire(time.monotonic())
        if self._pairs:
            self._fetch()
        if not self._pairs:
            self._close_reader()

    def _fetch(self) -> None:
        if self._reader is None:
            self._open_reader()
        self._set_filter()
        for _ in range(TICK_PACKETS):
            header, frame = self._reader.next()
            if header is None:
                break
            self._take(header, frame)

    def _hear(self) -> None:
        """Take the findings that are waiting; without a wish there is nothing else to do but wait for one."""
        try:
            wish = self._waiting.get(block=not self._pairs)
            while wish is not None:
                self._pairs.want(wish.pair, time.monotonic(), rtp=wish.rtp)
                wish = self._waiting.get_nowait()
        except queue.Empty:
            pass

    def _take(self, header: Any, frame: bytes) -> None:
        found = find_headers(frame, self._linktype)
        if found is None:
            self._refused += 1
            return
        # A packet from before the filter, or behind the last one of its pair, is nobody's.
        if (pair := self._pairs.wanted(found.source, found.target)) is None:
            return
        rtp = self._streams.continues(frame, found) and self._pairs.rtp(pair)
        octets = found.octets + found.rtp_octets * rtp
        seconds, microseconds = header.getts()
        ts_ns = seconds * 1_000_000_000 + microseconds * 1_000
        self._files.write(ts_ns, frame[:octets], header.getlen(), self._linktype)
        self._pairs.spend(pair)
        self._written += 1

    def _open_reader(self) -> None:
        reader = pcapy.create(self._interface)
        reader.set_snaplen(SNAPLEN)
        reader.set_timeout(BLOCK_TIMEOUT_MS)
        reader.set_buffer_size(BUFFER_OCTETS)
        if (status := reader.activate()) < 0:
            raise CaptureError(f"{self._interface}: cannot be captured ({status})")
        reader.setnonblock(1)
        self._linktype = linktype_of_dlt(reader.datalink())
        self._reader, self._filter = reader, ""

    def _set_filter(self) -> None:
        """Give the kernel the filter for the pairs of now: Reader.setfilter would lose memory each time."""
        tagged = self._linktype == LINKTYPE_ETHERNET
        if (text := self._pairs.filter(self._base_filter, tagged=tagged)) == self._filter:
            return
        program = compile_filter(text, self._linktype, SNAPLEN)
        room = ctypes.create_string_buffer(program)
        fprog = _SOCK_FPROG.pack(len(program) // SOCK_FILTER.size, ctypes.addressof(room))
        with socket.socket(fileno=os.dup(self._reader.getfd())) as ring:
            ring.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, fprog)
        self._filter = text

    def _close_reader(self) -> None:
        reader, self._reader = self._reader, None
        if reader is not None:
            reader.close()
