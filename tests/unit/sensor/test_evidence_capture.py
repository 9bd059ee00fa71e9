"""The thread that keeps headers: what it is asked for, what it opens, and what becomes of its failures."""

from __future__ import annotations

import errno
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import dpkt
import pytest

import sensor.evidence.capture as module
from sensor.config.schema import Evidence
from sensor.evidence.capture import MAX_WAITING, EvidenceCapture
from sensor.evidence.tap import Packet, Tap
from sensor.model import Finding, FindingState, Severity, Subject
from tests.packets import A6, B6, A, B, ethernet, frame, rtp, udp

FIRST, VOICE = (ethernet(udp(rtp(number, b"voice" * 32))) for number in (1, 2))
HEADERS = 14 + 20 + 8 + 12


class Interface:
    """Stands in for the tap of an interface: gives the packets that are put on it."""

    def __init__(self) -> None:
        self.linktype = 1
        self.waiting: list[bytes] = []
        self.filters: list[str] = []
        self.opened = self.rested = 0
        self.absent = self.broken = False

    def open(self) -> None:
        if self.absent:
            raise OSError(errno.ENODEV, "no such interface")
        self.opened += 1

    def listen(self, text: str) -> None:
        self.filters.append(text)

    def packets(self, most: int) -> Iterator[Packet]:
        if self.broken:
            raise OSError(errno.ENETDOWN, "the interface went down")
        for _ in range(min(most, len(self.waiting))):
            octets = self.waiting.pop(0)
            yield Packet(1_770_000_000_000_005_000, octets, len(octets))

    def rest(self) -> None:
        self.rested += 1

    def close(self) -> None:
        """Be done."""


@pytest.fixture
def interface(monkeypatch: pytest.MonkeyPatch) -> Interface:
    monkeypatch.setattr(module, "TICK_S", 0.001)
    monkeypatch.setattr(module, "RETRY_S", 0.01)
    return Interface()


Make = Callable[..., EvidenceCapture]


@pytest.fixture
def make(interface: Interface, tmp_path: Path) -> Iterator[Make]:
    made: list[EvidenceCapture] = []

    def start(directory: Path = tmp_path, **settings: Any) -> EvidenceCapture:
        assert interface.opened == 0
        capture = EvidenceCapture(cast("Tap", interface), Evidence(**settings), str(directory))
        capture.start()
        made.append(capture)
        return capture

    yield start
    for capture in made:
        capture.stop()


def finding(
    code: str = "media-clear",
    severity: Severity = "critical",
    *,
    a: str = A.ip,
    b: str = B.ip,
    state: FindingState = "open",
) -> Finding:
    return Finding(code, severity, state, Subject("leg", a, b), (), [], (), 0, 0)


def wait_for(what: Callable[[], object]) -> None:
    deadline = time.monotonic() + 5
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.002)


def written(folder: Path) -> list[bytes]:
    out: list[bytes] = []
    for path in sorted(folder.iterdir()):
        with path.open("rb") as file:
            out += [octets for _, octets in dpkt.pcap.Reader(file)]
    return out


def test_no_finding_opens_nothing(make: Make, interface: Interface, tmp_path: Path) -> None:
    capture = make()
    interface.waiting.append(VOICE)
    time.sleep(0.02)
    capture.stop()
    assert interface.opened == 0
    assert not list(tmp_path.iterdir())


def test_finding_opened_has_the_headers_of_its_hosts_written(make: Make, interface: Interface, tmp_path: Path) -> None:
    capture = make()
    other = ethernet(udp(rtp(1, b"voice"), A, A._replace(ip="192.0.2.99")))
    interface.waiting += [other, FIRST, VOICE, ethernet(udp(rtp(2, b"voice" * 32), B, A))]
    capture.finding_changed(finding(), "opened")
    wait_for(lambda: capture.counters()["packets"] == 3)
    capture.stop()
    first, second, other_way = written(tmp_path)
    assert (first, second) == (FIRST[: HEADERS - 12], VOICE[:HEADERS])
    assert len(other_way) == HEADERS - 12  # the first of its stream
    assert capture.counters() == {"packets": 3, "refused": 0, "files": 1, "errors": 0, "overflow": 0}


@pytest.mark.parametrize(
    ("said", "change"),
    [
        (finding(), "updated"),
        (finding(), "resolved"),
        (finding(state="waived"), "opened"),
        (finding("media-not-observed", "medium"), "opened"),
        (finding("tls-null"), "opened"),
        (finding("sensor-loss"), "opened"),
        (finding("recording-clear", b=""), "opened"),
        (finding("recording-clear", a="phone"), "opened"),
    ],
)
def test_other_finding_asks_for_nothing(make: Make, interface: Interface, said: Finding, change: Any) -> None:
    capture = make()
    capture.finding_changed(said, change)
    time.sleep(0.02)
    assert interface.opened == 0


def test_severity_at_the_configured_one_asks(make: Make, interface: Interface) -> None:
    capture = make(min_severity="medium")
    capture.finding_changed(finding("rtcp-clear", "low"), "opened")
    capture.finding_changed(finding("rtcp-clear", "medium", a=A6.ip, b=B6.ip), "opened")
    interface.waiting += [VOICE, ethernet(udp(rtp(1, b"voice"), A6, B6))]
    wait_for(lambda: capture.counters()["packets"])
    capture.stop()
    assert capture.counters()["packets"] == 1


@pytest.mark.parametrize("code", ["fax-clear", "legacy-signalling-clear"])
def test_beside_fax_and_old_signalling_nothing_is_believed_to_be_rtp(
    make: Make, interface: Interface, tmp_path: Path, code: str
) -> None:
    capture = make()
    interface.waiting += [FIRST, VOICE]
    capture.finding_changed(finding(code), "opened")
    wait_for(lambda: capture.counters()["packets"] == 2)
    capture.stop()
    assert written(tmp_path) == [FIRST[: HEADERS - 12], VOICE[: HEADERS - 12]]


def test_pair_that_had_its_packets_closes_the_interface(make: Make, interface: Interface) -> None:
    capture = make(packets=3)
    interface.waiting += [VOICE] * 5
    capture.finding_changed(finding(), "opened")
    wait_for(lambda: interface.rested == interface.opened == 1)
    assert capture.counters()["packets"] == 3


def test_packet_that_cannot_be_decoded_is_counted_and_not_written(make: Make, interface: Interface) -> None:
    capture = make()
    interface.waiting += [frame(0x0806, bytes(28)), VOICE[:40], VOICE]
    capture.finding_changed(finding(), "opened")
    wait_for(lambda: capture.counters()["packets"])
    assert capture.counters()["refused"] == 2


@pytest.mark.parametrize("failure", ["absent", "broken"])
def test_interface_that_fails_is_counted_and_tried_again(make: Make, interface: Interface, failure: str) -> None:
    capture = make()
    setattr(interface, failure, True)
    interface.waiting.append(VOICE)
    capture.finding_changed(finding(), "opened")
    wait_for(lambda: capture.counters()["errors"] >= 2)
    setattr(interface, failure, False)
    wait_for(lambda: capture.counters()["packets"] == 1)


def test_directory_that_cannot_be_written_is_counted_and_tried_again(
    make: Make, interface: Interface, tmp_path: Path
) -> None:
    later = tmp_path / "later"
    capture = make(later)
    interface.waiting += [VOICE] * 3
    capture.finding_changed(finding(), "opened")
    wait_for(lambda: capture.counters()["errors"])
    later.mkdir()
    interface.waiting.append(VOICE)
    wait_for(lambda: capture.counters()["packets"])
    assert len(list(later.iterdir())) == 1


def test_directory_that_takes_nothing_is_a_problem_before_any_finding_asks_and_until_it_takes_something(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "TRIAL_S", 0.02)
    folder = tmp_path / "evidence"
    folder.mkdir()
    capture = make(folder)
    wait_for(lambda: capture._try_at > 0)
    assert capture.problem() == ""
    folder.rmdir()
    wait_for(lambda: capture.problem() != "")
    assert capture.problem() == f"cannot be taken or written to {folder}: No such file or directory"
    assert capture.counters()["errors"] == 0, "nothing was lost"
    folder.mkdir()
    wait_for(lambda: capture.problem() == "")
    assert not list(folder.iterdir())


def test_full_disk_is_a_problem_for_as_long_as_it_is_full(
    make: Make, interface: Interface, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = threading.Event()
    full.set()

    def write(_directory: Path) -> None:
        if full.is_set():
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("sensor.evidence.files.try_out", write)
    capture = make()
    capture.finding_changed(finding(), "opened")
    interface.waiting.append(VOICE)
    wait_for(lambda: "No space left on device" in capture.problem())
    wait_for(lambda: capture.counters()["errors"] >= 2)
    full.clear()
    wait_for(lambda: capture.problem() == "")
    wait_for(lambda: capture.counters()["packets"] == 1)


def test_write_that_failed_is_a_problem_until_a_trial_works_though_no_further_packet_comes(
    make: Make, interface: Interface, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = OSError(errno.ENOSPC, "No space left on device")
    capture = make()
    wait_for(lambda: capture._try_at > 0)
    with monkeypatch.context() as patch:
        patch.setattr("sensor.evidence.files.try_out", lambda _directory: (_ for _ in ()).throw(full))
        patch.setattr("sensor.evidence.files.os.pwrite", lambda *_: (_ for _ in ()).throw(full))
        capture.finding_changed(finding(), "opened")
        interface.waiting.append(VOICE)
        wait_for(lambda: capture.problem() != "")
        for _ in range(20):
            time.sleep(0.01)
            assert "No space left on device" in capture.problem()
    wait_for(lambda: capture.problem() == "")


def test_interface_that_fails_is_a_problem_until_it_works(make: Make, interface: Interface) -> None:
    capture = make()
    interface.absent = True
    capture.finding_changed(finding(), "opened")
    wait_for(lambda: "no such interface" in capture.problem())
    interface.absent = False
    wait_for(lambda: capture.problem() == "")


def test_disk_that_does_not_answer_is_a_problem(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    answers = threading.Event()
    monkeypatch.setattr(module, "SLOW_S", 0.05)
    monkeypatch.setattr("sensor.evidence.files.try_out", lambda _directory: answers.wait(5))
    capture = make()
    wait_for(lambda: "takes nothing" in capture.problem())
    answers.set()
    wait_for(lambda: capture.problem() == "")


def test_findings_beyond_the_bound_are_counted(interface: Interface, tmp_path: Path) -> None:
    assert interface.opened == 0
    capture = EvidenceCapture(cast("Tap", interface), Evidence(), str(tmp_path))
    for number in range(MAX_WAITING + 5):
        capture.finding_changed(finding(b=f"198.51.100.{number}"), "opened")
    assert capture.counters()["overflow"] == 5
    capture.start()
    capture.stop()
    assert threading.active_count() == 1
