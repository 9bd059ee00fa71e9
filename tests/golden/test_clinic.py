"""The demo's capture against its truth: what `make demo` shows is right."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import dpkt
import pytest
import yaml

from sensor.commands.trust import system_roots

ROOT = Path(__file__).parents[2]
DEMO = ROOT / "deploy" / "demo"
TRUTH = yaml.safe_load((DEMO / "truth.yaml").read_text())
MEDIA = pytest.mark.parametrize("media", TRUTH["media"], ids=[media["name"] for media in TRUTH["media"]])
SIGNALLING = pytest.mark.parametrize(
    "pair", TRUTH["signalling"], ids=[f"{pair['a']}-{pair['transport']}" for pair in TRUTH["signalling"]]
)

Line = dict[str, Any]


def scan(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "sensor", "scan", *arguments], cwd=ROOT, capture_output=True, text=True, check=False
    )


@pytest.fixture(scope="module")
def lines() -> list[Line]:
    done = scan("--json", DEMO / "clinic.pcap")
    assert done.stderr == ""
    return [json.loads(line) for line in done.stdout.splitlines()]


def of_type(lines: list[Line], kind: str) -> list[Line]:
    return [line for line in lines if line["type"] == kind]


def flow_between(lines: list[Line], a: tuple[str, int], b: tuple[str, int]) -> Line:
    """The one flow line of two ends, whichever sent first."""
    ends = {a, b}
    (flow,) = (
        line for line in of_type(lines, "flow") if {(line["a"], line["a_port"]), (line["b"], line["b_port"])} == ends
    )
    return flow


def test_findings_are_those_of_the_truth_and_no_others(lines: list[Line]) -> None:
    legs = [(media["a"]["host"], media["b"]["host"], media["findings"]) for media in TRUTH["media"]]
    pairs = [(pair["a"], pair["b"], pair["findings"]) for pair in TRUTH["signalling"]]
    wanted = {(code, frozenset({a, b})) for a, b, codes in legs + pairs for code in codes}
    wanted |= {(code, frozenset({server["name"]})) for server in TRUTH["servers"] for code in server["findings"]}
    codes = set(TRUTH["findings"])
    if system_roots() is None:  # where nobody is trusted, nothing is said of trust
        wanted = {(code, ends) for code, ends in wanted if code != "cert-untrusted"}
        codes.discard("cert-untrusted")
    findings = of_type(lines, "finding")
    assert {
        (line["code"], frozenset(line["subject"].values()) - {line["subject"]["kind"]}) for line in findings
    } == wanted
    assert {line["code"] for line in findings} == codes


@MEDIA
def test_media_flow_is_judged_by_its_packets(lines: list[Line], media: Line) -> None:
    flow = flow_between(lines, *((end["host"], end["rtp"]) for end in (media["a"], media["b"])))
    assert flow["app"] == "rtp"
    assert flow["vlans"] == [TRUTH["vlan"]]
    assert (flow["protection"], flow["signalled"], flow["key_exchange"]) == (
        media["observed"],
        media["signalled"],
        media["key_exchange"],
    )
    assert flow["changes"] == []
    assert [stream["protection"] for stream in flow["streams"]] == [media["observed"]] * 2
    assert sorted(stream["packets"] for stream in flow["streams"]) == sorted(media["packets"])
    assert [stream["lost"] for stream in flow["streams"]] == [0, 0]


@MEDIA
def test_clear_media_names_its_codec_and_is_decided_soon(lines: list[Line], media: Line) -> None:
    flow = flow_between(lines, *((end["host"], end["rtp"]) for end in (media["a"], media["b"])))
    if media["observed"] == "clear":
        assert {stream["codec"] for stream in flow["streams"]} == {media["codec"]}
        assert flow["decided_at_packet"] <= 50
        assert flow["log10_p"] <= -6
    else:
        assert flow["grade"] in {"proved", "inferred"}


@MEDIA
def test_rtcp_is_judged_by_itself(lines: list[Line], media: Line) -> None:
    rtp = flow_between(lines, *((end["host"], end["rtp"]) for end in (media["a"], media["b"])))
    control = flow_between(lines, *((end["host"], end["rtcp"]) for end in (media["a"], media["b"])))
    assert rtp["rtcp"]["mux"] == media["rtcp"]["mux"]
    if media["rtcp"]["mux"]:
        assert rtp["rtcp"]["protection"] == media["rtcp"]["observed"]
    else:
        assert (control["app"], control["protection"]) == ("rtcp", media["rtcp"]["observed"])


@MEDIA
def test_leg_says_what_was_promised_and_what_was_seen(lines: list[Line], media: Line) -> None:
    flow = flow_between(lines, *((end["host"], end["rtp"]) for end in (media["a"], media["b"])))
    ends = {media["a"]["host"], media["b"]["host"]}
    (leg,) = (
        leg
        for leg in of_type(lines, "leg")
        if {leg["a"], leg["b"]} == ends and leg["first"] <= flow["last"] and flow["first"] <= leg["last"]
    )
    assert (leg["signalled"], leg["observed"]) == (media["signalled"], media["observed"])
    # Signalling inside TLS cannot be told to belong to a leg unless its packets say so.
    assert leg["signalling"] in ({"tls", "unknown"} if media["signalling"] == "tls" else {media["signalling"]})


@SIGNALLING
def test_signalling_flow_is_judged(lines: list[Line], pair: Line) -> None:
    flows = [
        flow
        for flow in of_type(lines, "flow")
        if {flow["a"], flow["b"]} == {pair["a"], pair["b"]} and pair["port"] in {flow["a_port"], flow["b_port"]}
    ]
    clear = pair["transport"] == "udp"
    assert {(flow["app"], flow["protection"]) for flow in flows} == {
        ("sip", "clear") if clear else ("tls", "encrypted")
    }


def test_packet_account_adds_up(lines: list[Line]) -> None:
    with (DEMO / "clinic.pcap").open("rb") as file:
        frames = sum(1 for _ in dpkt.pcap.Reader(file))
    (summary,) = of_type(lines, "summary")
    account = summary["account"]
    reasons = sum(sum(account[kind].values()) for kind in ("ignored", "malformed", "shed"))
    assert account["received"] == frames == account["classified"] + reasons
    assert account["malformed"] == account["shed"] == {}
    assert summary["duplicates"] == 0


@pytest.mark.parametrize(("fail_on", "status"), [("critical", 1), ("high", 1), ("info", 1)])
def test_scan_ends_with_1_when_something_is_that_severe(fail_on: str, status: int) -> None:
    assert scan("--fail-on", fail_on, DEMO / "clinic.pcap").returncode == status


def test_scan_for_people_shows_every_leg_and_every_code() -> None:
    shown = scan(DEMO / "clinic.pcap").stdout
    for code in TRUTH["findings"]:
        assert code in shown
    for media in TRUTH["media"]:
        assert media["a"]["host"] in shown
        assert media["b"]["host"] in shown
