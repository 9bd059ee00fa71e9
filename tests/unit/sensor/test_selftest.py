"""``legwatch selftest``: all is well here, and whatever part is broken, its stage is named."""

from __future__ import annotations

import io
import os
import socket
import struct
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import dpkt
import pytest

from deploy.demo.make_selftest import make_selftest
from sensor.analysis import Analysis
from sensor.cli import main
from sensor.commands.selftest import replayed
from sensor.config.schema import Limits
from sensor.output.metrics import Metrics
from sensor.selftest import CAPTURE, CONFIG, EXPECTED
from tests.live.lab import Frames, read_capture, write_capture
from tests.unit.sensor.alerts.receivers import read_all, serving

Capture = pytest.CaptureFixture[str]


class Full(io.StringIO):
    """A log on a disk that is full."""

    def write(self, _text: str) -> int:
        raise OSError(28, "No space left on device")


def stops(folder: Path, capture: Path = CAPTURE, **changes: Any) -> str:
    """Return the first stage from which not what must came."""
    config, log, state = changes.get("config", CONFIG), changes.get("log", io.StringIO()), changes.get("state", folder)
    stages = list(replayed(capture, config, log, state))
    assert [stage.name for stage in stages] == list(EXPECTED)
    return next(stage.name for stage in stages if not stage.well)


def spoiled(folder: Path, spoil: Callable[[bytes], bytes]) -> Path:
    """Return the capture with every frame changed; the frames stay as long as they are."""
    path = folder / "spoiled.pcap"
    frames = [(ts_ns, spoil(octets)) for ts_ns, octets in read_capture(CAPTURE)]
    write_capture(path, frames)
    return path


def is_media(octets: bytes) -> bool:
    return octets[12:14] == b"\x81\x00" and octets[18 + 9] == 17 and len(octets) > 200 and octets[18 + 28] >> 6 == 2


def test_every_stage_is_well_and_status_0(capsys: Capture) -> None:
    assert main(["selftest"]) == 0
    out = capsys.readouterr().out
    assert out.count("  well   ") == len(EXPECTED)
    assert out.endswith("Every stage is well.\n")


def test_stage_that_is_wrong_is_said_with_what_must_be_and_status_1(
    capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(EXPECTED, "legs", "three")
    monkeypatch.setitem(EXPECTED, "metrics", "many")
    assert main(["selftest"]) == 1
    out = capsys.readouterr().out
    assert "  WRONG  legs " in out
    assert "must be three" in out
    assert out.endswith("Data stops at: legs.\n")


def test_capture_that_breaks_off_stops_at_the_source(tmp_path: Path) -> None:
    broken = tmp_path / "broken.pcap"
    broken.write_bytes(CAPTURE.read_bytes()[:-10])
    assert stops(tmp_path, broken) == "source"


def test_capture_that_is_not_there_stops_at_the_source(tmp_path: Path) -> None:
    assert stops(tmp_path, tmp_path / "none.pcap") == "source"


def test_packets_that_contradict_themselves_stop_at_decoding(tmp_path: Path) -> None:
    def no_header(octets: bytes) -> bytes:
        return octets[:18] + b"\x4f" + octets[19:] if is_media(octets) else octets

    assert stops(tmp_path, spoiled(tmp_path, no_header)) == "decode"


def test_packets_of_hosts_that_are_not_there_stop_at_flows_and_where_the_table_is_full_at_decoding(
    tmp_path: Path,
) -> None:
    def of_another_host(octets: bytes) -> bytes:
        return octets[:18] + octets[18:30] + os.urandom(4) + octets[34:] if is_media(octets) else octets

    assert stops(tmp_path, spoiled(tmp_path, of_another_host)) == "flows"
    small = replace(CONFIG, limits=Limits(flows=16))
    assert stops(tmp_path, spoiled(tmp_path, of_another_host), config=small) == "decode"


def test_media_that_is_not_known_as_such_stops_at_flows(tmp_path: Path) -> None:
    def no_version(octets: bytes) -> bytes:
        return octets[:46] + b"\x01" + octets[47:] if is_media(octets) else octets

    assert stops(tmp_path, spoiled(tmp_path, no_version)) == "flows"


def test_streams_that_are_not_told_apart_stop_at_media(tmp_path: Path) -> None:
    numbers = iter(range(1_000_000))

    def of_another_source(octets: bytes) -> bytes:
        ssrc = struct.pack(">I", 7 + next(numbers) % 3)
        return octets[:54] + ssrc + octets[58:] if is_media(octets) else octets

    assert stops(tmp_path, spoiled(tmp_path, of_another_source)) == "media"


def test_verdict_that_is_another_one_stops_at_verdicts(tmp_path: Path) -> None:
    def of_noise(octets: bytes) -> bytes:
        return octets[:58] + os.urandom(len(octets) - 58) if is_media(octets) else octets

    assert stops(tmp_path, spoiled(tmp_path, of_noise)) == "verdicts"


def test_sip_that_is_not_read_stops_at_signalling(tmp_path: Path) -> None:
    assert stops(tmp_path, spoiled(tmp_path, lambda octets: octets.replace(b"CSeq: 1 INVITE", b"CSeq: x INVITE"))) == (
        "signalling"
    )


def test_media_that_finds_no_leg_stops_at_legs(tmp_path: Path) -> None:
    assert stops(tmp_path, spoiled(tmp_path, lambda octets: octets.replace(b"m=audio 1", b"m=audio 3"))) == "legs"


def test_analysis_that_joins_nothing_stops_at_legs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Analysis, "_negotiated", lambda _self, _record: None)
    assert stops(tmp_path) == "legs"


def test_policy_that_asks_for_less_stops_at_findings(tmp_path: Path) -> None:
    segments = tuple(replace(segment, media="any") for segment in CONFIG.policy.segments)
    lenient = replace(CONFIG, policy=replace(CONFIG.policy, segments=segments))
    assert stops(tmp_path, config=lenient) == "findings"


def test_log_that_takes_nothing_stops_at_events(tmp_path: Path) -> None:
    assert stops(tmp_path, log=Full()) == "events"


def test_metrics_that_count_nothing_stop_at_metrics(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Metrics, "leg_ended", lambda _self, _leg: None)
    assert stops(tmp_path) == "metrics"


def test_directory_that_cannot_be_used_stops_at_state(tmp_path: Path) -> None:
    assert stops(tmp_path, state=tmp_path / "none") == "state"


def test_nothing_of_it_stays_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert main(["selftest"]) == 0
    assert not list(tmp_path.iterdir())


# The capture.


def test_capture_is_small() -> None:
    assert CAPTURE.stat().st_size <= 60_000


def in_clear(frames: Frames) -> Frames:
    """Return all frames but those of TCP, which a handshake of another time has differently."""
    payloads = [(frame, dpkt.ethernet.Ethernet(frame[1]).data) for frame in frames]
    return [frame for frame, packet in payloads if not isinstance(packet.data, dpkt.tcp.TCP)]


def test_capture_is_what_its_generator_gives_but_for_tls(tmp_path: Path) -> None:
    made = sorted(make_selftest(), key=lambda frame: frame[0])
    kept = read_capture(CAPTURE)
    assert [octets for _, octets in in_clear(made)] == [octets for _, octets in in_clear(kept)]
    again = tmp_path / "again.pcap"
    write_capture(again, made)
    stages = {stage.name: stage for stage in replayed(again, CONFIG, io.StringIO(), tmp_path)}
    assert [name for name, stage in stages.items() if not stage.well and name not in {"source", "decode"}] == []


# What a configuration names.


def tried(folder: Path, capsys: Capture, text: str) -> tuple[int, str]:
    """Return the exit status and what is printed of the places of a configuration."""
    path = folder / "legwatch.yaml"
    path.write_text(text)
    status = main(["selftest", "--config", str(path)])
    return status, capsys.readouterr().out.partition("Every stage is well.\n")[2]


def test_places_that_can_be_used_are_well_and_nothing_is_left_in_them(tmp_path: Path, capsys: Capture) -> None:
    for name in ("state", "evidence", "events"):
        (tmp_path / name).mkdir()
    with serving(read_all) as receiver:
        status, out = tried(
            tmp_path,
            capsys,
            f"state: {{directory: {tmp_path}/state}}\n"
            f"evidence: {{directory: {tmp_path}/evidence}}\n"
            "sinks:\n"
            f"  - {{type: file, path: {tmp_path}/events/legwatch.jsonl}}\n"
            f"  - {{type: webhook, url: 'http://127.0.0.1:{receiver.port}/'}}\n"
            f"  - {{type: syslog, transport: tcp, address: '127.0.0.1:{receiver.port}'}}\n"
            "  - {type: syslog, name: datagrams, address: '127.0.0.1:514', spool: true}\n",
        )
        assert status == 0, out
        assert out.count("  well   ") == 6
    assert not any(receiver.got), "it only connected"
    assert not [each for name in ("state", "evidence", "events") for each in (tmp_path / name).iterdir()]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("evidence: {directory: /nonesuch/evidence}", "WRONG  evidence     /nonesuch/evidence: No such file"),
        ("sinks: [{type: file, path: /proc/legwatch.jsonl}]", "WRONG  sink file    /proc/legwatch.jsonl: "),
        ("sinks: [{type: webhook, url: 'http://127.0.0.1:9/'}]", "127.0.0.1:9: Connection refused"),
        ("sinks: [{type: alertmanager, url: 'http://127.0.0.1:9/'}]", "127.0.0.1:9: Connection refused"),
        ("sinks: [{type: syslog, transport: tls, address: '127.0.0.1:9'}]", "127.0.0.1:9: Connection refused"),
        ("sinks: [{type: hep, transport: tcp, address: '127.0.0.1:9'}]", "127.0.0.1:9: Connection refused"),
        ("sinks: [{type: syslog, address: '127.0.0.1:514', spool: true}]", "a spool needs a state directory"),
        ("state: {directory: /proc/legwatch}", "WRONG  state "),
    ],
)
def test_place_that_cannot_be_used_is_wrong_and_status_1(
    tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch, text: str, said: str
) -> None:
    monkeypatch.delenv("STATE_DIRECTORY", raising=False)
    status, out = tried(tmp_path, capsys, text)
    assert status == 1
    assert said in out


def test_state_directory_that_the_sensor_will_make_is_well(tmp_path: Path, capsys: Capture) -> None:
    status, out = tried(tmp_path, capsys, f"state: {{directory: {tmp_path}/a/b}}")
    assert status == 0
    assert f"{tmp_path}/a/b can be made" in out
    assert not (tmp_path / "a").exists()


def test_journal_that_is_not_there_is_wrong(tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sensor.alerts.senders.journald.Journald.__init__.__defaults__", (tmp_path / "journal",))
    assert tried(tmp_path, capsys, "sinks: [{type: journald}]")[0] == 1
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as journal:
        journal.bind(str(tmp_path / "journal"))
        assert tried(tmp_path, capsys, "sinks: [{type: journald}]")[0] == 0
        journal.setblocking(False)
        with pytest.raises(BlockingIOError):
            journal.recv(1)


def test_wrong_configuration_is_2(tmp_path: Path) -> None:
    path = tmp_path / "legwatch.yaml"
    path.write_text("policy: {grase: 1}\n")
    assert main(["selftest", "--config", str(path)]) == 2
