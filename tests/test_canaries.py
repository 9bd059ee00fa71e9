"""Planted numbers, names, digits, keys and texts appear in no output."""

import re
import struct
import subprocess
import sys
from pathlib import Path

import pypdf
import pytest

from deploy.demo.wire import MS, udp, write_pcap
from tests.canaries import CALL_ID, DIGITS, EVENT, RTP, START_NS, frames, leaks

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def capture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("canaries") / "call.pcap"
    write_pcap(path, frames())
    return path


def run(*arguments: str | Path, status: int) -> str:
    """Everything that a command prints, to people and to programs."""
    done = subprocess.run(
        [sys.executable, "-m", "sensor", *arguments], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == status, done.stderr
    return done.stdout + done.stderr


def scan(*arguments: str | Path) -> str:
    """Everything that a scan prints."""
    return run("scan", *arguments, status=1)


@pytest.mark.parametrize("arguments", [(), ("--json",)], ids=["people", "json"])
def test_scan_of_planted_secrets_prints_none(capture: Path, arguments: tuple[str, ...]) -> None:
    assert leaks(scan(*arguments, capture)) == []


@pytest.mark.parametrize("form", ["html", "json", "csv"])
def test_report_of_planted_secrets_has_none(form: str, capture: Path, tmp_path: Path) -> None:
    report = tmp_path / f"report.{form}"
    scan("--report", report, capture)
    assert "media-clear" in report.read_text()
    assert leaks(report.read_text()) == []


def test_report_as_pdf_of_planted_secrets_has_none(capture: Path, tmp_path: Path) -> None:
    report = tmp_path / "report.pdf"
    scan("--report", report, capture)
    pdf = pypdf.PdfReader(report)
    shown = "".join(page.extract_text() for page in pdf.pages)
    assert "media-clear" in shown
    assert [leaks(text) for text in (shown, *(each[0].decode() for each in pdf.attachments.values()))] == [[], []]


def test_explain_of_planted_secrets_prints_and_draws_none(capture: Path, tmp_path: Path) -> None:
    listed = run("explain", capture, status=0)
    (flow,) = re.findall(r"^ *(\d+)  ", listed, re.MULTILINE)
    plot = tmp_path / "flow.svg"
    shown = run("explain", capture, "--flow", flow, "--packets", "1000", "--svg", plot, status=0)
    assert "another type: not scored" in shown, "the digits were met"
    assert [leaks(text) for text in (listed, shown, plot.read_text())] == [[], [], []]


@pytest.mark.parametrize("octets", [4, 16])
def test_explain_of_a_stream_of_digits_does_not_depend_on_them(octets: int, tmp_path: Path) -> None:
    said = set()
    for digits in (DIGITS, DIGITS[::-1]):
        packets = [
            struct.pack("!BBHIIBBH", 0x80, EVENT, n, 160 * n, 7, int(digit), 0x8A, 800) + bytes(octets - 4)
            for n, digit in enumerate(digits)
        ]
        write_pcap(
            tmp_path / "x.pcap", [(START_NS + 20 * MS * n, udp(*RTP, packet)) for n, packet in enumerate(packets)]
        )
        plot = tmp_path / "x.svg"
        shown = run("explain", tmp_path / "x.pcap", "--flow", "1", "--svg", plot, status=0)
        assert "too short to be shown" in shown
        said.add(shown + plot.read_text())
    assert len(said) == 1


@pytest.mark.parametrize("code", ["media-clear", "sdes-key-exposed", "signalling-clear"])
def test_planted_call_was_understood(capture: Path, code: str) -> None:
    """Without this the test above could pass because nothing was read."""
    assert code in scan("--json", capture)


def test_revealed_identities_are_found_by_the_same_look(capture: Path) -> None:
    assert CALL_ID in leaks(scan("--json", "--reveal-identities", capture))
