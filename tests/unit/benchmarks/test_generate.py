"""The generator of the speed measurements: what it labels is what a scan of its output says."""

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks.generate import Label, mu_law, write
from sensor.cli import main

CALLS = 16  # every kind of call is among them
PACKETS = 150  # three seconds: longer than keys may take (policy.grace)


@pytest.fixture(scope="module")
def capture(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Label]]:
    path = tmp_path_factory.mktemp("generated") / "calls.pcap"
    return path, write(path, CALLS, PACKETS, stagger_s=0.5)


def scan(path: Path, capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    assert main(["scan", "--json", str(path)]) == 1
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_generated_media_scan_finds_the_labelled_protection(
    capture: tuple[Path, list[Label]], capsys: pytest.CaptureFixture[str]
) -> None:
    path, labels = capture
    flows = [flow for flow in scan(path, capsys) if flow["type"] == "flow" and flow["app"] == "rtp"]
    seen = {}
    for flow in flows:
        for stream in flow["streams"]:
            assert (stream["packets"], stream["lost"]) == (PACKETS, 0)
            seen[stream["ssrc"]] = stream["protection"]
    assert seen == {label.ssrc: "encrypted" if label.encrypted else "clear" for label in labels}


def test_generated_calls_scan_finds_every_packet_and_the_broken_promise(
    capture: tuple[Path, list[Label]], capsys: pytest.CaptureFixture[str]
) -> None:
    path, labels = capture
    summary = scan(path, capsys)[-1]
    assert summary["account"]["classified"] == summary["account"]["received"] == CALLS * (2 * PACKETS + 5)
    assert summary["legs"] == CALLS
    broken = sum(label.promised and not label.encrypted for label in labels)
    assert summary["findings"]["media-clear-despite-srtp"] == broken // 2 == 1


def test_same_seed_gives_the_same_octets(capture: tuple[Path, list[Label]], tmp_path: Path) -> None:
    again = tmp_path / "again.pcap"
    assert write(again, CALLS, PACKETS, stagger_s=0.5) == capture[1]
    assert again.read_bytes() == capture[0].read_bytes()


@pytest.mark.parametrize(("sample", "code"), [(0, 0xFF), (-1, 0x7F), (32767, 0x80), (-32768, 0x00), (1000, 0xCE)])
def test_mu_law_sample_is_coded_as_g711_says(sample: int, code: int) -> None:
    assert mu_law(sample) == code
