"""A report's PDF before the programs that people open and check it with."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
from pathlib import Path

import pytest

from sensor.cli import main

pytestmark = pytest.mark.live
CLINIC = str(Path(__file__).parents[2] / "deploy/demo/clinic.pcap")


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the demo's report in its forms."""
    folder = tmp_path_factory.mktemp("report")
    for form in ("pdf", "json", "html"):
        assert main(["scan", "--report", str(folder / f"clinic.{form}"), CLINIC]) == 1
    return folder


def said(*command: str | Path) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout


def test_pdf_is_sound_to_qpdf(reports: Path) -> None:
    assert "No syntax or stream encoding errors found" in said("qpdf", "--check", reports / "clinic.pdf")


def test_pdf_is_tagged_and_dated_by_its_evidence_to_poppler(reports: Path) -> None:
    shown = said("pdfinfo", "-isodates", reports / "clinic.pdf")
    assert re.search(r"^Tagged: +yes$", shown, re.MULTILINE)
    assert re.search(r"^CreationDate: +2026-03-02T15:00:36Z?", shown, re.MULTILINE)
    assert re.search(r"^JavaScript: +no$", shown, re.MULTILINE)


def test_digest_copied_from_the_pdf_is_that_of_the_capture(reports: Path) -> None:
    words = "".join(map(str.rstrip, said("pdftotext", reports / "clinic.pdf", "-").splitlines()))
    assert hashlib.sha256(Path(CLINIC).read_bytes()).hexdigest() in words


def test_what_is_attached_is_the_report_object(reports: Path) -> None:
    (reports / "attached").mkdir()
    said("pdfdetach", "-saveall", "-o", reports / "attached", reports / "clinic.pdf")
    (attached,) = (reports / "attached").iterdir()
    assert attached.name == "report.json"
    assert attached.read_bytes() == (reports / "clinic.json").read_bytes()
    assert json.loads(attached.read_text())["type"] == "report"


def test_every_font_is_embedded(reports: Path) -> None:
    _, _, *fonts = said("pdffonts", reports / "clinic.pdf").splitlines()
    assert fonts
    assert all(re.search(r" yes (yes|no) +yes +\d", font) for font in fonts)
