"""``legwatch report`` of real ledgers, and ``legwatch scan --report`` of the demo's capture."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shlex
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dpkt
import pytest
from jsonschema import Draft202012Validator

from sensor.cli import main
from sensor.ledger.canonical import encode
from sensor.ledger.merkle import leaf_hash
from tests.unit.sensor.report.made import DAY, HOUR, LAST, ORDINARY, ledger, leg

ROOT = Path(__file__).parents[4]
CLINIC = ROOT / "deploy/demo/clinic.pcap"
SCHEMA = json.loads((ROOT / "docs/schema/report.schema.json").read_text())
DAYS = ("--from", "2026-01-05", "--to", "2026-01-05")

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "ledger"


@pytest.fixture
def public(place: Path) -> str:
    """The key of a ledger of an ordinary day and the next morning."""
    return ledger(place, [*ORDINARY, leg(DAY + 25 * HOUR)])


def said(place: Path, *arguments: str, status: int = 0) -> dict[str, Any]:
    path = place.parent / "report.json"
    assert main(["report", *DAYS, "--ledger", str(place), "-o", str(path), *arguments]) == status
    made: dict[str, Any] = json.loads(path.read_text())
    Draft202012Validator(SCHEMA).validate(made)
    return made


def test_report_of_a_day_has_its_legs_its_sensor_and_its_coverage(place: Path, public: str) -> None:
    made = said(place, "--key", public)
    assert made["legs"]["total"] == 3
    assert made["source"]["sensors"] == [
        {"site": "North wing", "sensor": "s1", "interface": "span0", "version": "0.1.0"}
    ]
    assert made["coverage"]["seconds"]["seen"] == 24 * 3600
    assert made["coverage"]["gaps"] == []
    assert made["ledger"]["verified"] is True
    assert public in made["ledger"]["command"]
    assert made["ledger"]["oldest"] == DAY
    assert [finding["openings"] for finding in made["findings"]] == [1]


def test_entries_that_no_checkpoint_has_are_in_no_report_that_says_verified(place: Path, public: str) -> None:
    """Anybody who can write the directory can append them, with their sums."""
    stem = max(each.name for each in place.glob("0*.jsonl")).partition(".")[0]
    line = encode({**leg(DAY + 25 * HOUR), "observed": "encrypted"})
    with (place / f"{stem}.jsonl").open("ab") as text, (place / f"{stem}.sums").open("ab") as sums:
        text.write((line + b"\n") * 99)
        sums.write(leaf_hash(line)[:4] * 99)
    made = said(place, "--key", public, "--from", "2026-01-06", "--to", "2026-01-06")
    assert (made["ledger"]["verified"], made["ledger"]["unsigned"], made["legs"]["total"]) == (True, 99, 1)


def test_command_to_verify_names_the_directory_as_a_shell_takes_it(
    place: Path, public: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    odd = place.rename(place.with_name("it's here"))
    monkeypatch.chdir(odd)
    made = said(odd, "--ledger", ".", "--key", public)
    assert shlex.split(made["ledger"]["command"]) == ["python3", "legwatch_verify.py", "it's here", "--key", public]


def test_module_that_lies_where_the_command_is_given_is_not_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Captures of others are scanned where they are."""
    for name in ("typst", "json", "sensor"):
        (tmp_path / f"{name}.py").write_text("import pathlib\npathlib.Path('RUN').touch()\n")
    monkeypatch.chdir(tmp_path)
    assert main(["scan", "--report", "x.pdf", str(CLINIC)]) == 1
    assert Path("x.pdf").stat().st_size > 10_000
    assert not Path("RUN").exists()


def test_finding_counts_what_scan_counts(tmp_path: Path, capsys: Capture) -> None:
    path = tmp_path / "report.json"
    assert main(["scan", "--json", "--report", str(path), str(CLINIC)]) == 1
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    scanned_ = {line["id"]: (line["count"], line["last"][:19]) for line in lines if line["type"] == "finding"}
    made = {
        each["id"]: (each["count"], datetime.fromtimestamp(each["last"] // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%S"))
        for each in json.loads(path.read_text())["findings"]
    }
    assert made == scanned_
    assert max(count for count, _ in made.values()) > 1


def test_report_of_the_next_day_knows_what_is_still_open_and_the_policy(place: Path, public: str) -> None:
    made = said(place, "--key", public, "--from", "2026-01-06", "--to", "2026-01-06")
    assert [finding["state"] for finding in made["findings"]] == ["open"]
    assert [segment["name"] for segment in made["segments"]] == ["phones", "servers"]
    assert made["legs"]["total"] == 1


def test_report_of_the_next_day_says_what_changed_since_the_day_before(place: Path, public: str) -> None:
    made = said(place, "--key", public, "--from", "2026-01-06", "--to", "2026-01-06")
    assert made["changes"]["before"]["period"] == {"from": DAY, "to": LAST}
    assert made["changes"]["before"]["legs"] == 3
    assert made["changes"]["seen_less"]
    assert said(place, "--key", public)["changes"] is None


def test_report_since_another_is_compared_with_that_one(place: Path, public: str, capsys: Capture) -> None:
    assert public
    assert main(["report", *DAYS, "--ledger", str(place), "-o", str(place.parent / "last.json")]) == 0
    made = said(place, "--since", str(place.parent / "last.json"), "--from", "2026-01-05T12:00:00Z")
    assert made["changes"]["before"]["legs"] == 3
    (place.parent / "other.json").write_text("{}")
    capsys.readouterr()
    for name, says in (("other.json", "is no report"), ("nowhere.json", "No such file")):
        arguments = [*DAYS, "--ledger", str(place), "--since", str(place.parent / name), "-o", str(place / "x.json")]
        assert main(["report", *arguments]) == 2
        assert says in capsys.readouterr().err


def test_report_of_part_of_a_day_counts_that_part(place: Path, public: str) -> None:
    assert public
    made = said(place, "--from", "2026-01-05T01:30:00Z", "--to", "2026-01-05T02:30:00Z")
    assert (made["legs"]["total"], made["coverage"]["seconds"]["seen"]) == (1, 3600)


def test_report_without_a_key_says_that_nothing_was_verified(place: Path, public: str) -> None:
    assert public
    assert said(place)["ledger"]["verified"] is None


def test_report_of_a_changed_ledger_is_made_says_so_and_exits_1(place: Path, public: str, capsys: Capture) -> None:
    (segment,) = place.glob("00000001-*.jsonl")
    segment.write_bytes(segment.read_bytes().replace(b'"observed":"encrypted"', b'"observed":"clear"'))
    made = said(place, "--key", public, status=1)
    assert made["ledger"]["verified"] is False
    assert "00000001-20260106" in made["ledger"]["faults"][0]
    assert made["legs"]["total"] == 3
    assert "does not verify" in capsys.readouterr().err


def test_report_of_a_ledger_that_breaks_off_has_what_can_be_read_and_says_where_it_ends(
    place: Path, public: str
) -> None:
    (segment,) = place.glob("00000001-*.jsonl")
    segment.rename(segment.with_name(f"{segment.name}.zst")).write_bytes(b"no frame")
    made = said(place, "--key", public, "--to", "2026-01-06", status=1)
    assert made["legs"]["total"] == 3
    assert "what follows it is not in this report" in made["ledger"]["faults"][-1]
    assert main(["report", *DAYS, "--ledger", str(place), "-o", str(place / "x.json")]) == 2


def test_report_of_a_line_that_is_no_entry_leaves_it_out(place: Path, public: str) -> None:
    (segment,) = place.glob("00000001-*.jsonl")
    segment.write_bytes(b"\xff\n" + segment.read_bytes())
    made = said(place, "--key", public, "--to", "2026-01-06", status=1)
    assert (made["ledger"]["unfit"], made["legs"]["total"], made["ledger"]["verified"]) == (1, 4, False)
    assert said(place, "--to", "2026-01-06", status=1)["legs"]["total"] == 4


def test_report_of_an_entry_that_is_none_leaves_it_out_and_says_so(tmp_path: Path, capsys: Capture) -> None:
    place = tmp_path / "ledger"
    public = ledger(place, [*ORDINARY, leg(observed="secure")])
    for key in ((), ("--key", public)):
        made = said(place, *key, status=1)
        assert (made["ledger"]["unfit"], made["legs"]["total"]) == (1, 3)
        assert "1 entry left out" in capsys.readouterr().err
    page = tmp_path / "x.html"
    assert main(["report", *DAYS, "--ledger", str(place), "-o", str(page)]) == 1
    assert "1 entry left out" in page.read_text()


def test_report_is_named_after_its_period_where_no_file_is(
    place: Path, public: str, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.chdir(place.parent)
    assert public
    assert main(["report", *DAYS, "--ledger", str(place), "--format", "html"]) == 0
    assert capsys.readouterr().out == "legwatch-20260105-20260105.html\n"
    assert (place.parent / "legwatch-20260105-20260105.html").read_text().startswith("<!DOCTYPE html>")


def test_report_twice_is_the_same_to_the_octet(place: Path, public: str, tmp_path: Path) -> None:
    for name in ("1.pdf", "2.pdf"):
        assert main(["report", *DAYS, "--ledger", str(place), "--key", public, "-o", str(tmp_path / name)]) == 0
    assert (tmp_path / "1.pdf").read_bytes() == (tmp_path / "2.pdf").read_bytes()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--from", "2026-01-06", "--to", "2026-01-05"), "the period ends before it begins"),
        (("--from", "yesterday", "--to", "2026-01-05"), "yesterday is no day and no time"),
        ((*DAYS, "-o", "report.doc"), "report.doc: the name of a report ends with .pdf, .html, .json, .csv"),
        ((*DAYS, "--key", "nonsense"), "--key nonsense: is no verifier key"),
        (DAYS, "no ledger is named"),
        ((*DAYS, "--ledger", "/nowhere"), "/nowhere"),
    ],
)
def test_a_mistake_is_answered_in_one_line(
    arguments: tuple[str, ...], says: str, place: Path, public: str, capsys: Capture
) -> None:
    assert public
    where = () if says in ("no ledger is named", "/nowhere") else ("--ledger", str(place))
    assert main(["report", *arguments, *where]) == 2
    error = capsys.readouterr().err
    assert says in error
    assert error.count("\n") == 1


def scanned(path: Path, *arguments: str) -> int:
    return main(["scan", "--report", str(path), *arguments, str(CLINIC)])


def test_scan_writes_a_report_beside_its_output_and_its_status_is_the_same(tmp_path: Path, capsys: Capture) -> None:
    path = tmp_path / "clinic.json"
    plain = main(["scan", str(CLINIC)])
    output = capsys.readouterr().out
    assert scanned(path) == plain == 1
    assert capsys.readouterr().out == output
    made = json.loads(path.read_text())
    Draft202012Validator(SCHEMA).validate(made)
    (file,) = made["source"]["files"]
    assert (file["name"], file["sha256"]) == ("clinic.pcap", hashlib.sha256(CLINIC.read_bytes()).hexdigest())
    assert made["coverage"]["account"]["received"] == 5069
    assert scanned(path, "--fail-on", "critical") == main(["scan", "--fail-on", "critical", str(CLINIC)])


def test_scan_report_of_a_capture_without_packets_says_that_nothing_was_seen(tmp_path: Path) -> None:
    empty, path = tmp_path / "empty.pcap", tmp_path / "empty.html"
    empty.write_bytes(CLINIC.read_bytes()[:24])
    assert main(["scan", "--report", str(path), str(empty)]) == 0
    assert "Nothing was seen in this period" in path.read_text()
    assert "1970" not in path.read_text()


def test_scan_report_of_less_than_a_second_has_seen_something(tmp_path: Path) -> None:
    short, path = tmp_path / "short.pcap", tmp_path / "short.html"
    with CLINIC.open("rb") as file, short.open("wb") as first:
        writer = dpkt.pcap.Writer(first, nano=True)
        for n, (_, frame) in enumerate(list(dpkt.pcap.Reader(file))[:6]):
            writer.writepkt(frame, 1_772_463_600 + n / 100)
    main(["scan", "--report", str(path), str(short)])
    assert "Nothing was seen" not in path.read_text()
    assert "No call was seen in this period" in path.read_text()


def test_scan_report_of_captures_in_any_order_counts_each_once(tmp_path: Path) -> None:
    path, copy, other = tmp_path / "clinic.json", tmp_path / "copy.pcap", tmp_path / "later.pcap"
    copy.write_bytes(CLINIC.read_bytes())
    with CLINIC.open("rb") as file, other.open("wb") as later:
        writer = dpkt.pcap.Writer(later, nano=True)
        for at, frame in dpkt.pcap.Reader(file):
            writer.writepkt(frame, at + 3600)
    seen = []
    for captures in ((CLINIC, other), (other, CLINIC), (other, CLINIC, copy)):
        main(["scan", "--report", str(path), *map(str, captures)])
        made = json.loads(path.read_text())
        seen.append((made["legs"]["states"], made["coverage"]["seconds"], made["coverage"]["account"]))
    assert seen[0] == seen[1] == seen[2]
    assert made["coverage"]["seconds"]["seen"] == 72
    assert made["source"]["files"][2]["error"] == "the same as one above: counted once"


def test_scan_report_has_addresses_as_pseudonyms_where_the_configuration_wants_it(tmp_path: Path) -> None:
    config, path = tmp_path / "config.yaml", tmp_path / "clinic.html"
    config.write_text("privacy: {addresses: pseudonym}\n")
    assert scanned(path, "--config", str(config)) == 1
    assert "10.20." not in path.read_text().partition("Segmentation</h2>")[0].partition("<main>")[2]
    assert "host-" in path.read_text()


def test_scan_report_of_a_wrong_name_is_refused_before_anything_is_read(tmp_path: Path, capsys: Capture) -> None:
    assert scanned(tmp_path / "report.docx") == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "ends with" in shown.err


def test_scan_report_that_cannot_be_written_is_said(tmp_path: Path, capsys: Capture) -> None:
    assert scanned(tmp_path / "nowhere" / "report.json") == 2
    assert "there is no directory" in capsys.readouterr().err


def test_scan_report_of_a_capture_that_breaks_off_says_so(tmp_path: Path, capsys: Capture) -> None:
    cut, path = tmp_path / "cut.pcap", tmp_path / "cut.json"
    cut.write_bytes(CLINIC.read_bytes()[:-7])
    assert main(["scan", "--report", str(path), str(cut)]) == 1
    assert "read up to there" in capsys.readouterr().err
    made = json.loads(path.read_text())
    assert made["source"]["files"][0]["error"]
    assert made["coverage"]["seconds"]["degraded"] > 0


def test_report_to_a_pipe_is_written_into_it(place: Path, public: str, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with os.fdopen(os.open(pipe, os.O_RDONLY | os.O_NONBLOCK), "rb") as reader:
        fcntl.fcntl(reader, fcntl.F_SETPIPE_SZ, 1 << 20)  # it has room for the whole report
        command = ["report", *DAYS, "--ledger", str(place), "--key", public, "--format", "json", "-o", str(pipe)]
        assert main(command) == 0
        assert pipe.is_fifo()
        assert json.loads(reader.read())["legs"]["total"] == 3


def test_report_to_a_link_is_written_where_it_leads(place: Path, public: str, tmp_path: Path) -> None:
    link, target = place.parent / "report.json", tmp_path / "elsewhere" / "target.json"
    target.parent.mkdir()
    link.symlink_to(target)
    for _ in ("no file yet", "a file"):
        said(place, "--key", public)
        assert link.is_symlink()
        assert json.loads(target.read_text())["legs"]["total"] == 3


def test_report_of_a_directory_without_a_ledger_is_refused_in_one_line(tmp_path: Path, capsys: Capture) -> None:
    assert main(["report", *DAYS, "--ledger", str(tmp_path), "-o", str(tmp_path / "report.json")]) == 2
    assert capsys.readouterr().err == f"{tmp_path}: is no ledger: it has neither a checkpoint nor entries\n"
    assert list(tmp_path.iterdir()) == []


def test_pdf_without_a_process_for_it_is_refused_in_one_line(
    place: Path, public: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "gone"))
    assert main(["report", *DAYS, "--ledger", str(place), "--key", public, "-o", str(tmp_path / "report.pdf")]) == 2
    said = capsys.readouterr().err
    assert said.startswith("no PDF: the typesetter cannot be run: No such file or directory; ")
    assert said.count("\n") == 1
