"""Evidence of a call in clear on a mirror port: its headers are in the files, and nothing that was said in it."""

import socket
import stat
import struct
import time
from pathlib import Path

import dpkt
import pcapy
import pytest
import yaml

from tests import canaries
from tests.live.lab import ONE_CAPABILITY, Frames, Mirror, Namespace, running_sensor, sh, wait_for

pytestmark = pytest.mark.live

SPEED, SLOWLY = 4, 0.25
SIGNALLING_NS = 300_000_000  # the messages before the media: sent slowly, since a finding takes a tenth of a second
ETHERNET, VLAN, IPV4, UDP, RTP = 14, 4, 20, 8, 12
MEDIA = ETHERNET + VLAN + IPV4 + UDP + RTP + 160
VOICE = 24  # octets of sound in a row that are looked for in the files
POLICY = {"grace": 0.5, "media_idle": 4}


@pytest.fixture(scope="module")
def call() -> Frames:
    return canaries.frames()


def configured(folder: Path, directory: Path, **evidence: object) -> str:
    path = folder / "legwatch.yaml"
    settings = {"directory": str(directory), "seconds": 60, "packets": 100_000, **evidence}
    path.write_text(yaml.safe_dump({"policy": POLICY, "evidence": settings}))
    return str(path)


def tagged(frames: Frames, tags: int) -> Frames:
    """The call, which is in a voice VLAN, with so many tags."""
    return [
        (ts_ns, octets[:12] + b"\x81\0\0\x64" * (tags - 1) + octets[12 if tags else 16 :]) for ts_ns, octets in frames
    ]


def watching(namespace: Namespace) -> int:
    """How many packet sockets are bound to the mirror port, the one that the sensor sees all packets by among them."""
    with namespace.entered():
        index = socket.if_nametoindex("span0")
        lines = Path("/proc/thread-self/net/packet").read_text().splitlines()[1:]
    return sum(int(line.split()[4]) == index for line in lines)


def kept(folder: Path) -> list[tuple[bytes, int]]:
    """Return the records of all files, as dpkt reads them, with the lengths that their packets had."""
    records: list[tuple[bytes, int]] = []
    for path in sorted(folder.iterdir()):
        raw, at = path.read_bytes(), 24
        with path.open("rb") as file:
            for _, octets in dpkt.pcap.Reader(file):
                _, _, captured, wire = struct.unpack_from("=IIII", raw, at)
                assert captured == len(octets)
                records.append((octets, wire))
                at += 16 + captured
        assert at == len(raw)
    return records


def planted(frames: Frames) -> list[bytes]:
    """What must be in no file: all secrets, the signalling's words, and pieces of what was said."""
    words = [secret.encode() for secret in (*canaries.SECRETS, "INVITE", "SIP/2.0", "Signal=", "a=crypto")]
    sounds = [octets[-VOICE:] for _, octets in frames if len(octets) == MEDIA]
    assert len(sounds) > 100
    return words + sounds


@pytest.mark.parametrize("tags", [0, 1, 2], ids=["untagged", "vlan", "vlans"])
def test_call_in_clear_leaves_its_headers_and_nothing_that_was_said(
    namespace: Namespace, mirror: Mirror, call: Frames, tmp_path: Path, tags: int
) -> None:
    folder = tmp_path / "evidence"
    folder.mkdir()
    frames = tagged(call, tags)
    with running_sensor(namespace, tmp_path, "--config", configured(tmp_path, folder)) as sensor:
        assert watching(namespace) == 1
        signalling = sum(ts_ns < call[0][0] + SIGNALLING_NS for ts_ns, _ in frames)
        mirror.replay(frames[:signalling], SLOWLY)
        mirror.replay(frames[signalling:], SPEED)
        wait_for(
            lambda: {event["code"] for event in sensor.events("finding_opened")} >= {"media-clear", "signalling-clear"},
            "findings",
        )
        wait_for(lambda: len(kept(folder)) > 300, "evidence")
        assert watching(namespace) == 2
        assert sensor.stop() == 0
    assert not [name for name in folder.iterdir() if stat.S_IMODE(name.stat().st_mode) != 0o600]
    records = kept(folder)
    raw = b"".join(path.read_bytes() for path in folder.iterdir())
    assert not [piece for piece in planted(call) if piece in raw or piece.lower() in raw.lower()]
    headers = ETHERNET + VLAN * tags + IPV4 + UDP
    assert {len(octets) for octets, _ in records} == {headers, headers + RTP}
    media = [len(octets) for octets, wire in records if wire == headers + RTP + 160]
    assert media.count(headers) <= 1  # the first of the stream, which is not known for RTP yet
    # Each begins as a frame that was sent, and is as long on the wire as that one.
    sent = {octets[: headers + extra]: len(octets) for _, octets in frames for extra in (0, RTP)}
    assert all(octets in sent for octets, _ in records)
    assert {wire for _, wire in records} <= {len(octets) for _, octets in frames}


def test_evidence_opens_with_libpcap_and_has_the_time_of_its_packets(
    namespace: Namespace, mirror: Mirror, call: Frames, tmp_path: Path
) -> None:
    folder = tmp_path / "evidence"
    folder.mkdir()
    with running_sensor(namespace, tmp_path, "--config", configured(tmp_path, folder)) as sensor:
        sent = mirror.replay(call, SPEED)
        wait_for(lambda: folder.is_dir() and list(folder.iterdir()), "evidence")
        assert sensor.stop() == 0
    (path,) = folder.iterdir()
    reader = pcapy.open_offline(str(path))
    assert reader.datalink() == pcapy.DLT_EN10MB
    header, octets = reader.next()
    times = [ts_ns for ts_ns, frame in sent if frame.startswith(octets)]
    seconds, microseconds = header.getts()
    assert min(abs(seconds * 1e9 + microseconds * 1e3 - ts_ns) for ts_ns in times) < 0.1e9


def test_finding_below_the_severity_and_no_finding_leave_no_file(
    namespace: Namespace, mirror: Mirror, call: Frames, tmp_path: Path
) -> None:
    folder = tmp_path / "evidence"
    folder.mkdir()
    signalling = [frame for frame in call if len(frame[1]) > 300][:4]
    severities = {"signalling-clear": "medium", "sdes-key-exposed": "medium"}
    path = configured(tmp_path, folder)
    config = yaml.safe_load(Path(path).read_text())
    config["policy"]["severities"] = severities
    Path(path).write_text(yaml.safe_dump(config))
    with running_sensor(namespace, tmp_path, "--config", path) as sensor:
        mirror.replay(signalling, SPEED)
        wait_for(lambda: sensor.events("finding_opened"), "a finding")
        assert watching(namespace) == 1
        assert sensor.stop() == 0
    assert not list(folder.iterdir())


def test_window_that_is_over_leaves_the_next_packets_out(
    namespace: Namespace, mirror: Mirror, call: Frames, tmp_path: Path
) -> None:
    folder = tmp_path / "evidence"
    folder.mkdir()
    with running_sensor(namespace, tmp_path, "--config", configured(tmp_path, folder, seconds=3, packets=20)) as sensor:
        mirror.replay(call, SPEED)
        wait_for(lambda: len(kept(folder)) >= 20, "evidence")
        time.sleep(3)
        before = len(kept(folder))
        mirror.replay(call[-100:], SPEED)
        assert 20 <= before == len(kept(folder)) <= 20 * len(sensor.events("finding_opened"))
        assert sensor.stop() == 0


def test_full_files_make_room_for_others(namespace: Namespace, mirror: Mirror, call: Frames, tmp_path: Path) -> None:
    folder = tmp_path / "evidence"
    folder.mkdir()
    more = [octets for _, octets in call if len(octets) == MEDIA][-1]
    with running_sensor(namespace, tmp_path, "--config", configured(tmp_path, folder, file_mib=1, files=2)) as sensor:
        mirror.replay(call, SPEED)
        (first,) = wait_for(lambda: list(folder.iterdir()), "the first file")
        flood = [(call[0][0] + number * 250_000, more) for number in range(40_000)]  # 4000 a second
        mirror.replay(flood, 1)
        assert sensor.metric("legwatch_kernel_dropped_packets_total") == 0
        assert sensor.stop() == 0
    files = sorted(folder.iterdir())
    assert len(files) == 2
    assert first not in files
    assert max(path.stat().st_size for path in files) <= 1 << 20
    assert len(kept(folder)) > 14_000  # a full one among them


def test_full_disk_disturbs_nothing_and_leaves_whole_files(
    namespace: Namespace, mirror: Mirror, call: Frames, tmp_path: Path
) -> None:
    folder = tmp_path / "evidence"
    folder.mkdir()
    sh("mount", "-t", "tmpfs", "-o", "size=8k", "evidence", str(folder))
    try:
        with running_sensor(namespace, tmp_path, "--config", configured(tmp_path, folder)) as sensor:
            sent = mirror.replay(call, SPEED)
            wait_for(lambda: sensor.metric("legwatch_received_packets_total") >= len(sent), "all packets")
            assert sensor.metric("legwatch_kernel_dropped_packets_total") == 0
            assert sensor.get("/-/healthy")[0] == 200
            assert {event["code"] for event in sensor.events("finding_opened")} >= {"media-clear", "signalling-clear"}
            assert sensor.stop() == 0
        assert 50 < len(kept(folder)) < 8192 // (16 + ETHERNET + IPV4 + UDP)
    finally:
        sh("umount", str(folder))


def test_directory_that_is_not_there_disturbs_nothing(
    namespace: Namespace, mirror: Mirror, call: Frames, tmp_path: Path
) -> None:
    missing = tmp_path / "missing"
    with running_sensor(namespace, tmp_path, "--config", configured(tmp_path, missing)) as sensor:
        mirror.replay(call[:200], SPEED)
        wait_for(lambda: sensor.events("finding_opened"), "a finding")
        assert sensor.get("/-/healthy")[0] == 200
        assert sensor.stop() == 0
    assert not missing.exists()


def test_interface_that_goes_down_is_taken_up_again(
    namespace: Namespace, mirror: Mirror, call: Frames, tmp_path: Path
) -> None:
    folder = tmp_path / "evidence"
    folder.mkdir()
    with running_sensor(namespace, tmp_path, "--config", configured(tmp_path, folder)) as sensor:
        mirror.replay(call[:200], SPEED)
        wait_for(lambda: list(folder.iterdir()), "evidence")
        mirror.set_state("span0", "down")
        wait_for(lambda: sensor.metric("legwatch_capture_up") == 0, "it sees the interface go down")
        mirror.set_state("span0", "up")
        wait_for(lambda: sensor.metric("legwatch_capture_up") == 1, "it sees the interface come up")
        before = len(kept(folder))
        # The pause after an error is two seconds, and packets from meanwhile are nobody's.
        mirror.replay(call[200:], 1)
        wait_for(lambda: len(kept(folder)) > before + 50, "evidence again")
        assert sensor.stop() == 0


def test_one_capability_is_enough(namespace: Namespace, mirror: Mirror, call: Frames, tmp_path: Path) -> None:
    folder = tmp_path / "evidence"
    folder.mkdir()
    path = configured(tmp_path, folder)
    with running_sensor(namespace, tmp_path, "--config", path, confined_by=ONE_CAPABILITY) as sensor:
        mirror.replay(call, SPEED)
        wait_for(lambda: folder.is_dir() and len(list(folder.iterdir())) == 1, "evidence")
        assert sensor.stop() == 0
