"""The forms of a report: PDF, HTML and CSV, of what hostile packets and long names may bring."""

from __future__ import annotations

import base64
import csv as spreadsheet
import hashlib
import io
import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pypdf
import pytest

from sensor.report import csv, html, pdf
from sensor.report.blocks import Figure, Heading
from sensor.report.document import document
from tests.pictures import SVG, texts
from tests.pictures import parsed as parsed_picture
from tests.unit.sensor.report.made import (
    DAY,
    HOUR,
    LEDGER,
    ORDINARY,
    POLICY,
    finding,
    leg,
    report,
    start,
    tls_server,
)

HOSTILE = '</td><script>alert(1)</script>" #panic() $x$ *b* _i_ `raw` @ref <label> \\ // 中文 \u202e \x1b[2J \x00 🕵'
TRAPS = [
    start(),
    {**POLICY, "hosts": [{"name": HOSTILE, "role": "pbx", "addresses": ["10.20.0.10"]}]},
    leg(observed="clear"),
    finding(DAY + HOUR, evidence=[HOSTILE, "x" * 3000, "=cmd|' /C calc'!A0"]),
]


def octets(made: dict[str, Any]) -> bytes:
    return json.dumps(made).encode()


def typeset(made: dict[str, Any]) -> bytes:
    return pdf.render(document(made), octets(made))


@pytest.fixture(scope="module")
def ordinary() -> bytes:
    return typeset(report(ORDINARY))


@pytest.fixture(scope="module")
def trapped() -> bytes:
    return typeset(report(TRAPS))


def reader(octets: bytes) -> pypdf.PdfReader:
    return pypdf.PdfReader(io.BytesIO(octets), strict=True)


def text(octets: bytes) -> str:
    return "\n".join(page.extract_text() for page in reader(octets).pages)


def test_pdf_says_that_it_is_pdf_a_3a_and_pdf_ua_1(ordinary: bytes) -> None:
    stream = reader(ordinary).root_object["/Metadata"].get_object()
    assert isinstance(stream, pypdf.generic.StreamObject)
    metadata = stream.get_data().decode()
    assert re.search(r"<pdfaid:part>3</pdfaid:part>", metadata)
    assert re.search(r"<pdfaid:conformance>A</pdfaid:conformance>", metadata)
    assert re.search(r"<pdfuaid:part>1</pdfuaid:part>", metadata)


def test_pdf_is_tagged_in_english_with_a_title_and_bookmarks(ordinary: bytes) -> None:
    root: Any = reader(ordinary).root_object
    assert root["/Lang"] == "en"
    assert root["/MarkInfo"]["/Marked"]
    metadata = reader(ordinary).metadata
    assert metadata
    assert "North wing, 2026-01-05" in str(metadata.title)
    outline: list[Any] = reader(ordinary).outline
    titles = [each["/Title"] for each in outline if not isinstance(each, list)]
    assert titles[0] == "Summary"
    assert "Control by control" in titles


def test_pdf_has_the_report_object_attached(ordinary: bytes) -> None:
    assert reader(ordinary).attachments["report.json"] == [octets(report(ORDINARY))]


def test_pdf_of_the_same_report_is_the_same_to_the_octet(ordinary: bytes) -> None:
    assert typeset(report(ORDINARY)) == ordinary


def test_pdf_is_dated_by_the_end_of_its_period(ordinary: bytes) -> None:
    metadata = reader(ordinary).metadata
    assert metadata
    assert metadata.creation_date == datetime(2026, 1, 5, 23, 59, 59, tzinfo=UTC)


def test_pdf_uses_no_font_of_the_machine(ordinary: bytes) -> None:
    fonts = set(re.findall(rb"/FontName\s*/(?:[A-Z]{6}\+)?([A-Za-z]+)", ordinary))
    assert fonts <= {b"LibertinusSerif", b"DejaVuSansMono", b"NewCMMath"}


def test_pdf_shows_site_and_period_on_every_page_and_how_many_there_are(ordinary: bytes) -> None:
    pages = [page.extract_text() for page in reader(ordinary).pages]
    assert len(pages) > 3
    for number, page in enumerate(pages, 1):
        assert f"{number} / {len(pages)}" in page
        assert "North wing" in page


def test_pdf_of_hostile_words_shows_them_as_words(trapped: bytes) -> None:
    shown = text(trapped).replace("\n", "")
    assert "<script>alert(1)</script>" in shown
    assert "#panic()" in shown
    assert "[U+4E2D][U+6587]" in shown
    assert "[U+0000]" in shown


def test_pdf_text_is_copied_digests_and_keys_are_what_was_written() -> None:
    # Two letters f in Libertinus are one glyph.
    digests = [f"{number:x}ff{number:x}" * 16 for number in range(4)]
    key = "legwatch/north-wing/5d41402a+deadbeef+AVffi9/2mOUxBeZfnGJlTDZxqFk+TuT8k0uhYxZ1cQaB"
    files = [
        {"name": f"{n}.pcap", "sha256": digest, "from": DAY, "to": DAY + HOUR, "packets": n, "error": None}
        for n, digest in enumerate(digests[:2])
    ]
    attestation = {**POLICY["attestations"][0], "file": "recordings.pdf", "sha256": digests[2]}
    checkpoint = f"legwatch/north/1\n42\n{'/+fi' * 10}q6s=\n\n\u2014 legwatch/north/1 {'ff+/' * 22}YS0=\n"
    ledger = {**LEDGER, "checkpoint": checkpoint, "command": f"python3 legwatch_verify.py DIR --key {key}"}
    entries = [start(), {**POLICY, "attestations": [attestation]}, tls_server(sha256=digests[3])]
    captures = {"kind": "captures", "site": "North wing", "files": files}
    made = typeset(report(entries, source=captures, ledger=ledger))
    shown = "".join(map(str.rstrip, text(made).splitlines()))
    assert [word for word in (*digests, *checkpoint.split(), key) if word not in shown] == []
    assert set(filter(None, checkpoint.split("\n"))) <= set(text(made).split("\n"))  # line by line
    # Readers copy these words in place of what is drawn; pypdf does not.
    drawn = b"".join(page["/Contents"].get_object().get_data() for page in reader(made).pages)  # type: ignore[union-attr]
    assert not [words for words in re.findall(rb"ActualText[^>]*", drawn) if b"200B" in words]


def test_pdf_cannot_be_made_and_the_reason_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pdf, "TIMEOUT_S", 0.001)
    with pytest.raises(pdf.TypesettingError, match=r"^the typesetter did not end within 0\.001 s$"):
        typeset(report(ORDINARY))


def test_typesetter_that_fails_says_why() -> None:
    files = b'{"main": "#panic(\\"no\\")"}'
    command = [sys.executable, "-m", "sensor.report.typeset", "0"]
    done = subprocess.run(command, input=files, capture_output=True, check=False)
    assert (done.returncode, done.stdout) == (1, b"")
    assert done.stderr.splitlines()[-1].endswith(b"panicked with: no")


def test_typesetter_writes_no_file(tmp_path: Path, ordinary: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "report.json").write_text("of somebody else")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "missing"))
    monkeypatch.chdir(tmp_path)
    assert typeset(report(ORDINARY)) == ordinary
    assert [path.name for path in tmp_path.iterdir()] == ["report.json"]


def test_picture_below_its_heading_is_named_and_draws_no_title() -> None:
    blocks = document(report(ORDINARY)).blocks
    pictures = [block for block in blocks if isinstance(block, Figure)]
    assert len(pictures) == 6
    for picture in pictures:
        assert picture.alternative
        root = parsed_picture(picture.svg)  # which has a title, and a description
        assert not [each for each in root.iter(f"{SVG}text") if float(each.get("font-size", "0")) > 12]
        headings = {block.text for block in blocks if isinstance(block, Heading)}
        assert not headings & {text.words for text in texts(root)}


class Tags(HTMLParser):
    """Collects elements, and texts that are shown."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        if self.tags[-1:] and self.tags[-1][0] not in ("style", "title", "desc"):
            self.texts.append(data)


def parsed(made: dict[str, Any]) -> Tags:
    tags = Tags()
    tags.feed(html.render(document(made), octets(made)).decode())
    return tags


@pytest.mark.parametrize("entries", [ORDINARY, TRAPS], ids=["ordinary", "hostile"])
def test_html_has_no_script_and_asks_for_nothing(entries: list[dict[str, Any]]) -> None:
    tags = parsed(report(entries)).tags
    assert not {tag for tag, _ in tags} & {"script", "iframe", "object", "embed", "link", "form", "img"}
    assert not [name for _, attributes in tags for name in attributes if name.startswith("on")]
    targets = [attributes.get("href") or attributes.get("src") or "" for _, attributes in tags]
    assert all(target.startswith(("#", "data:")) for target in targets if target)


def test_html_of_hostile_words_shows_them_as_words() -> None:
    texts = "".join(parsed(report(TRAPS)).texts)
    assert "</td><script>alert(1)</script>" in texts
    assert "\x1b" not in texts
    assert "\u202e" not in texts


def test_html_allows_its_own_style_alone() -> None:
    page = html.render(document(report(ORDINARY)), b"").decode()
    style = re.search(r"<style>(.*?)</style>", page, re.DOTALL)
    assert style
    digest = base64.b64encode(hashlib.sha256(style[1].encode()).digest()).decode()
    policy = next(each["content"] for tag, each in parsed(report(ORDINARY)).tags if "http-equiv" in each)
    assert policy
    assert f"style-src 'sha256-{digest}'" in policy
    assert "default-src 'none'" in policy
    assert " style=" not in page


def test_html_has_the_report_object_in_it() -> None:
    made = report(ORDINARY)
    (link,) = (each for tag, each in parsed(made).tags if each.get("download"))
    assert base64.b64decode((link["href"] or "").partition("base64,")[2]) == octets(made)


def test_html_and_pdf_say_the_same(ordinary: bytes) -> None:
    def said(words: str) -> set[str]:
        return set(re.findall(r"[\w.%]+", words))

    page = said(" ".join(parsed(report(ORDINARY)).texts))
    sheet = said(text(ordinary))
    # Words that a column broke in two are in the other form as a whole.
    assert {word for word in page - sheet if not word.isdigit() and len(word) < 9} <= {"The", "JSON", "attached"}


def rows(made: dict[str, Any]) -> Iterator[list[str]]:
    return spreadsheet.reader(io.StringIO(csv.render(made).decode()))


@pytest.mark.parametrize("cell", ["=1+1", "+1", "-1", "@x", "\tx", "\rx"])
def test_csv_has_no_formula(cell: str) -> None:
    assert csv.safe(cell) == f"'{cell}"
    made = report([start(), POLICY, finding(DAY, evidence=[cell])])
    assert [row[9] for row in rows(made) if row[:1] == ["critical"]] == [f"'{cell}"]


def test_csv_has_findings_and_legs() -> None:
    table = list(rows(report(ORDINARY)))
    assert [row[2] for row in table if row[:1] == ["critical"]] == ["media-clear"]
    assert ["segment", "phones", "voice", "1", "1", "0", "0"] in table
