"""``legwatch explain``: the evidence as a table and as a plot, and what it answers to mistakes."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from deploy.demo.wire import write_pcap
from fastpath.records import Evidence
from sensor.analysis import Analysis
from sensor.cli import main
from sensor.config.schema import Policy
from sensor.output.evidence import MAX_STREAMS, Explanation, Thresholds, Trail, print_explanation
from sensor.output.svg import MAX_CURVES, draw
from tests.packets import A6, B6, Packet, ciphertext, speech, stream
from tests.unit.sensor.packets import arp
from tests.unit.sensor.packets import write_pcap as write_frames
from tests.unit.sensor.samples import FLOW, STREAM, T0, VERDICT

ROOT = Path(__file__).parents[3]
CLINIC = str(ROOT / "deploy/demo/clinic.pcap")
SVG = "{http://www.w3.org/2000/svg}"

Capture = pytest.CaptureFixture[str]

PACKET = Evidence(
    flow=FLOW.flow,
    ts_ns=T0,
    ssrc=STREAM.ssrc,
    from_a=True,
    packet=1,
    elapsed_ns=0,
    seq=65535,
    payload_type=0,
    octets=160,
    excess=0,
    fate="scored",
    scored=1,
    clear_bits=12.5,
    leads="PCMU",
    fit_bits=17.5,
    hardest="PCMU",
    rejected=False,
    protection="undetermined",
    grade=None,
    basis=("too-few-packets",),
)


@pytest.fixture(autouse=True)
def plain_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the terminal of whoever runs the tests out of them."""
    monkeypatch.setenv("COLUMNS", "80")


@pytest.fixture(scope="module")
def flows() -> list[dict[str, Any]]:
    """The demo's flows as ``scan --json`` prints them."""
    out = io.StringIO()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.stdout", out)
        main(["scan", "--json", CLINIC])
    lines = [json.loads(line) for line in out.getvalue().splitlines()]
    return [line for line in lines if line["type"] == "flow"]


def flow_of(flows: list[dict[str, Any]], app: str, protection: str, codec: str | None = None) -> str:
    """The number of the first flow like this."""
    return next(
        str(flow["id"])
        for flow in flows
        if (flow["app"], flow["protection"]) == (app, protection)
        if codec is None or codec in {found["codec"] for found in flow["streams"]}
    )


def parsed(text: str) -> ET.Element:
    """The root of a plot."""
    return ET.fromstring(text)  # noqa: S314  (we wrote it)


def write(path: Path, packets: Iterable[Packet]) -> str:
    """Write a capture."""
    write_pcap(path, [(packet[0], packet[1]) for packet in packets])
    return str(path)


def change(path: Path) -> str:
    """A capture whose only stream is clear for 100 packets and encrypted from then on."""
    return write(path, stream(speech(100) + ciphertext(100)))


def assert_one_line(capsys: Capture, *words: str) -> None:
    """Nothing was printed but one line for the operator with these words in it."""
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    for word in words:
        assert word in err


class TestList:
    """Without ``--flow``."""

    def test_media_flows_are_listed_by_the_numbers_of_scan(self, flows: list[dict[str, Any]], capsys: Capture) -> None:
        assert main(["explain", CLINIC]) == 0
        out = capsys.readouterr().out
        media = [flow for flow in flows if flow["app"] == "rtp"]
        assert [int(line[:4]) for line in out.splitlines() if re.match(r" *\d+  ", line)] == sorted(
            flow["id"] for flow in media
        )
        for flow in media:
            line = next(line for line in out.splitlines() if re.match(rf" *{flow['id']}  ", line))
            assert f"{flow['a']}:{flow['a_port']} ↔ {flow['b']}:{flow['b_port']}" in line
            assert flow["protection"] in line
        assert max(map(len, out.splitlines())) <= 80

    def test_capture_without_media_says_so(self, tmp_path: Path, capsys: Capture) -> None:
        assert main(["explain", str(write_frames(tmp_path / "x.pcap", [arp()]))]) == 0
        assert "No media flows" in capsys.readouterr().out


class TestFlow:
    """With ``--flow``."""

    def test_clear_flow_shows_the_evidence_and_marks_the_verdict(
        self, flows: list[dict[str, Any]], capsys: Capture
    ) -> None:
        assert main(["explain", CLINIC, "--flow", flow_of(flows, "rtp", "clear", "PCMU")]) == 0
        out = capsys.readouterr().out
        assert "2^-40 (log10 -12.0)" in " ".join(out.split())
        assert out.count("Stream 0x") == 2
        decided = r"^ +3 .* \d+\.\d PCMU +\d+\.\d PCMU +clear\n► packet 3, .*: clear"
        assert len(re.findall(decided, out, re.MULTILINE)) == 2
        assert max(map(len, out.splitlines())) <= 80

    def test_encrypted_flow_shows_grade_basis_and_that_all_is_rejected(
        self, flows: list[dict[str, Any]], capsys: Capture
    ) -> None:
        assert main(["explain", CLINIC, "--flow", flow_of(flows, "rtp", "encrypted", "PCMU")]) == 0
        out = capsys.readouterr().out
        assert re.search(r"^ +3 .* 170 +0 +10 .*all rejected +encrypted$", out, re.MULTILINE)
        assert "► packet 3" in out
        assert ": encrypted, proved (tag-length, no-codec-fits)" in out

    def test_change_in_mid_stream_is_marked(self, tmp_path: Path, capsys: Capture) -> None:
        path = change(tmp_path / "x.pcap")
        assert main(["explain", path, "--flow", "1", "--packets", "200"]) == 0
        out = " ".join(capsys.readouterr().out.split())
        assert "settled: not looked at" in out
        assert "a change, it was clear" in out

    def test_verdict_beyond_the_packets_shown_is_still_told(self, tmp_path: Path, capsys: Capture) -> None:
        path = change(tmp_path / "x.pcap")
        assert main(["explain", path, "--flow", "1", "--packets", "2"]) == 0
        out = capsys.readouterr().out
        assert len(re.findall(r"^ +\d+ ", out, re.MULTILINE)) == 2
        assert out.count("► packet ") == 2
        assert "The first 2 of 200 packets" in out

    def test_duplicate_is_said_to_be_not_scored_and_has_no_number(self, tmp_path: Path, capsys: Capture) -> None:
        packets = stream(ciphertext(5, 90), payload_type=111)
        assert main(["explain", write(tmp_path / "x.pcap", [packets[0], *packets]), "--flow", "1"]) == 0
        assert re.search(r"^ {6} .* duplicate: not scored +undetermined$", capsys.readouterr().out, re.MULTILINE)

    def test_stream_that_is_asked_for_is_the_only_one(self, flows: list[dict[str, Any]], capsys: Capture) -> None:
        flow = next(flow for flow in flows if flow["app"] == "rtp")
        ssrc = flow["streams"][1]["ssrc"]
        assert main(["explain", CLINIC, "--flow", str(flow["id"]), "--stream", hex(ssrc)]) == 0
        assert re.findall(r"Stream (0x\w+)", capsys.readouterr().out) == [f"0x{ssrc:08x}"]

    def test_flow_that_is_not_there_is_one_line_and_2(self, capsys: Capture) -> None:
        assert main(["explain", CLINIC, "--flow", "4711"]) == 2
        assert_one_line(capsys, "clinic.pcap", "no flow 4711", "--flow")

    def test_flow_that_is_no_media_is_one_line_and_2(self, flows: list[dict[str, Any]], capsys: Capture) -> None:
        assert main(["explain", CLINIC, "--flow", flow_of(flows, "sip", "clear")]) == 2
        assert_one_line(capsys, "carries sip, no media")

    def test_stream_that_is_not_there_is_one_line_and_2(self, flows: list[dict[str, Any]], capsys: Capture) -> None:
        assert main(["explain", CLINIC, "--flow", flow_of(flows, "rtp", "clear"), "--stream", "1"]) == 2
        assert_one_line(capsys, "no stream 0x00000001", "it has 0x")

    @pytest.mark.parametrize(
        ("options", "word"),
        [
            (["--flow", "0"], "--flow"),
            (["--flow", "x"], "--flow"),
            (["--packets", "0"], "--packets"),
            (["--stream", "0x100000000"], "--stream"),
            (["--svg", "x.svg"], "--flow"),
            (["--stream", "1"], "--flow"),
        ],
    )
    def test_wrong_use_is_one_line_and_2(self, options: list[str], word: str, capsys: Capture) -> None:
        assert main(["explain", CLINIC, *options]) == 2
        assert_one_line(capsys, word)

    @pytest.mark.parametrize("options", [[], ["--flow", "1"]])
    def test_file_that_is_no_capture_is_one_line_and_2(
        self, options: list[str], tmp_path: Path, capsys: Capture
    ) -> None:
        path = tmp_path / "x.pcap"
        path.write_bytes(b"no capture at all")
        assert main(["explain", str(path), *options]) == 2
        assert_one_line(capsys, "x.pcap")

    def test_capture_that_breaks_off_is_explained_up_to_there(self, tmp_path: Path, capsys: Capture) -> None:
        path = Path(change(tmp_path / "x.pcap"))
        path.write_bytes(path.read_bytes()[:-5])
        assert main(["explain", str(path), "--flow", "1"]) == 0
        out, err = capsys.readouterr()
        assert "of 199 packets" in out
        assert (err.count("\n"), "read up to there" in err) == (1, True)


class TestSvg:
    """``--svg``."""

    def test_plot_is_well_formed_and_names_itself(
        self, flows: list[dict[str, Any]], tmp_path: Path, capsys: Capture
    ) -> None:
        path = tmp_path / "flow.svg"
        assert main(["explain", CLINIC, "--flow", flow_of(flows, "rtp", "clear", "PCMU"), "--svg", str(path)]) == 0
        assert "Stream 0x" in capsys.readouterr().out
        svg = parsed(path.read_text())
        assert svg.tag == f"{SVG}svg"
        names = (svg.get("aria-labelledby") or "").split()
        assert [svg.findtext(f"{SVG}{kind}") is not None for kind in ("title", "desc")] == [True, True]
        assert names == [part.get("id") for kind in ("title", "desc") for part in svg.findall(f"{SVG}{kind}")]
        words = [text.text or "" for text in svg.iter(f"{SVG}text")]
        assert "packet of its stream" in words
        assert "evidence, bits" in words
        assert any(word.startswith("clear from 40 bits on") for word in words)
        assert sum(word.startswith("clear at packet 3 (") for word in words) == 4  # marks and legend of two streams
        assert not list(svg.iter(f"{SVG}image"))
        assert "href" not in path.read_text()

    def test_file_that_cannot_be_written_is_one_line_and_2(
        self, flows: list[dict[str, Any]], tmp_path: Path, capsys: Capture
    ) -> None:
        argv = ["explain", CLINIC, "--flow", flow_of(flows, "rtp", "clear"), "--svg", str(tmp_path / "no" / "x.svg")]
        assert main(argv) == 2
        assert_one_line(capsys, "x.svg", "No such file")

    def test_ipv6_and_a_long_stream_are_drawn(self, tmp_path: Path) -> None:
        packets = stream(ciphertext(300, 97), payload_type=111, src=A6, dst=B6)
        capture, path = write(tmp_path / "x.pcap", packets), tmp_path / "x.svg"
        assert main(["explain", capture, "--flow", "1", "--packets", "300", "--svg", str(path)]) == 0
        assert "[2001:db8::10]:16384" in (parsed(path.read_text()).findtext(f"{SVG}title") or "")

    def test_more_curves_than_can_be_told_apart_are_left_out_and_counted(self) -> None:
        streams = tuple(replace(STREAM, ssrc=n) for n in range(MAX_CURVES + 3))
        trail = Trail(FLOW.flow, 10)
        for found in streams:
            trail.take(replace(PACKET, ssrc=found.ssrc))
        flow = replace(FLOW, streams=streams)
        trail.take(flow)
        text = draw(Explanation(flow, trail.courses(), Thresholds(40, -20)))
        assert "3 more streams are not drawn" in text
        assert {found.stats.ssrc for found in trail.courses()} == set(range(MAX_CURVES + 3))
        assert [f"0x{n:08x}," in text for n in (0, MAX_CURVES)] == [True, True], "the description names them all"

    def test_stream_without_any_score_is_drawn_without_a_curve(self) -> None:
        trail = Trail(FLOW.flow, 10)
        trail.take(replace(PACKET, clear_bits=None, leads="", fit_bits=None, hardest=""))
        trail.take(FLOW)
        explanation = Explanation(FLOW, trail.courses(), Thresholds(40, -20))
        assert not [part.text for part in parsed(draw(explanation)).iter(f"{SVG}title")][1:]
        out = io.StringIO()
        print_explanation(explanation, out)
        assert "too short to be shown" in out.getvalue()


def test_trail_keeps_the_first_packets_and_all_verdicts() -> None:
    trail = Trail(FLOW.flow, 2)
    for n in range(1, 5):
        trail.take(replace(PACKET, packet=n))
    trail.take(VERDICT)
    trail.take(replace(PACKET, flow=FLOW.flow + 1))
    assert trail.courses() == []
    trail.take(FLOW)
    (course,) = trail.courses()
    assert ([step.packet.packet for step in course.steps], course.packets) == ([1, 2], 4)
    assert (course.verdicts, course.steps[-1].verdict) == ([VERDICT], None)


def test_trail_of_ever_new_streams_stays_bounded_and_keeps_the_long_one() -> None:
    trail = Trail(FLOW.flow, 5)
    for n in range(3):
        trail.take(replace(PACKET, packet=n + 1))
    for n in range(2 * MAX_STREAMS):
        trail.take(replace(PACKET, ssrc=n))
    assert len(trail._kept) == MAX_STREAMS
    trail.take(FLOW)
    (course,) = trail.courses()
    assert course.packets == 3


def test_analysis_is_told_of_evidence_and_says_nothing() -> None:
    analysis = Analysis(Policy(), ())
    before = analysis.tables()
    analysis.feed(PACKET)
    assert analysis.tables() == before
