"""``legwatch run`` as a real process on a mirror port: the clinic of the demo is replayed into it."""

import json
import os
import pty
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

from sensor.capture.fanout import fanout_program
from sensor.commands.trust import system_roots
from tests import canaries
from tests.bpf import choice
from tests.live.lab import (
    LEGWATCH,
    ROOT,
    STAY_ROOT,
    Frames,
    Mirror,
    Namespace,
    Sensor,
    namespaces,
    read_capture,
    run_to_end,
    running,
    running_sensor,
    wait_for,
    write_capture,
)

pytestmark = pytest.mark.live

CLINIC = ROOT / "deploy" / "demo" / "clinic.pcap"
SPEED = 4
AGING = {"cert-expiring", "cert-expired"}  # the capture is of one day, and it is replayed on another
LASTING = AGING | {"cert-untrusted", "not-observable", "sensor-clock"}  # of a server, until it shows something else
# The defaults divided by the speed of the replay, and shorter where they would only make the test wait.
CONFIG = """
alerts: {settle: 0}
policy: {grace: 0.5, media_idle: 4, resolve_after: 3, no_traffic_after: 3600}
capture: {flow_idle: 5}
"""


@pytest.fixture(scope="module")
def clinic() -> Frames:
    return read_capture(CLINIC)


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "legwatch.yaml"
    path.write_text(CONFIG)
    return path


class Shift(NamedTuple):
    """A clinic's day as one sensor saw it."""

    sent: Frames
    before: dict[tuple[str, ...], float]
    after: dict[tuple[str, ...], float]
    scrape: str
    opened: list[dict[str, Any]]
    resolved: list[dict[str, Any]]
    scanned: list[dict[str, Any]]


@pytest.fixture(scope="module", params=[1, 2], ids=["thread", "threads"])
def shift(
    request: pytest.FixtureRequest,
    namespace: Namespace,
    mirror: Mirror,
    clinic: Frames,
    tmp_path_factory: pytest.TempPathFactory,
) -> Shift:
    folder = tmp_path_factory.mktemp("shift")
    config = folder / "legwatch.yaml"
    config.write_text(CONFIG.replace("flow_idle: 5", f"flow_idle: 5, threads: {request.param}"))
    with running_sensor(namespace, folder, "--config", str(config)) as sensor:
        before = sensor.metrics()
        sent = mirror.replay(clinic, SPEED)
        wait_for(lambda: sensor.metric("legwatch_received_packets_total") >= len(sent), "all packets are received")
        wait_for(lambda: not open_findings(sensor), "the findings are resolved")
        wait_for(lambda: not sensor.metric("legwatch_flows_active"), "the flows end")
        after, scrape = sensor.metrics(), sensor.get("/metrics")[1]
        assert sensor.stop() == 0
    write_capture(folder / "sent.pcap", sent)
    scan = subprocess.run(
        [*LEGWATCH, "scan", "--json", "--config", config, folder / "sent.pcap"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    return Shift(
        sent,
        before,
        after,
        scrape,
        sensor.events("finding_opened"),
        sensor.events("finding_resolved"),
        [json.loads(line) for line in scan.stdout.splitlines()],
    )


def open_findings(sensor: Sensor) -> float:
    """How many findings are open now, but for those that last."""
    return sum(
        value
        for (name, *labels), value in sensor.metrics().items()
        if name == "legwatch_findings" and not LASTING.intersection(labels)
    )


def identity(finding: dict[str, Any]) -> tuple[str, str, str]:
    """What makes two findings the same in a live run and in a scan."""
    return finding["code"], finding["severity"], json.dumps(finding["subject"], sort_keys=True)


def test_every_packet_that_was_sent_is_accounted_for(shift: Shift) -> None:
    reasons = ("ignored", "malformed", "shed")
    account = [
        sum(value for (name, *_), value in shift.after.items() if name == f"legwatch_{kind}_packets_total")
        for kind in ("classified", *reasons)
    ]
    assert shift.after["legwatch_received_packets_total",] == len(shift.sent) == sum(account)
    assert shift.after["legwatch_kernel_dropped_packets_total",] == 0


def test_every_series_exists_from_the_start(shift: Shift) -> None:
    assert shift.before.keys() == shift.after.keys()


def test_replayed_clinic_opens_the_findings_of_its_truth(shift: Shift) -> None:
    truth = yaml.safe_load((CLINIC.parent / "truth.yaml").read_text())
    trusted = set() if system_roots() is not None else {"cert-untrusted"}
    assert {event["code"] for event in shift.opened} - AGING == set(truth["findings"]) - trusted


def test_each_finding_is_opened_once_and_resolved_once(shift: Shift) -> None:
    opened = sorted(identity(event) for event in shift.opened)
    assert len(set(opened)) == len(opened)
    assert [each for each in opened if each[0] not in LASTING] == sorted(identity(event) for event in shift.resolved)


def test_findings_are_counted_as_they_were_told(shift: Shift) -> None:
    for code in {event["code"] for event in shift.opened}:
        told = [event for event in shift.opened if event["code"] == code]
        assert shift.after["legwatch_findings_opened_total", code, told[0]["severity"]] == len(told)


def test_live_findings_equal_those_of_a_scan_of_the_same_packets(shift: Shift) -> None:
    scanned = [line for line in shift.scanned if line["type"] == "finding"]
    live, read = ([each for each in map(identity, found) if each[0] not in AGING] for found in (shift.opened, scanned))
    assert sorted(live) == sorted(read)


def test_live_verdicts_equal_those_of_a_scan_of_the_same_packets(shift: Shift) -> None:
    legs = [line for line in shift.scanned if line["type"] == "leg"]
    live = {
        tuple(labels): value
        for (name, *labels), value in shift.after.items()
        if name == "legwatch_legs_ended_total" and value
    }
    known = {segments for name, _, segments, _ in (key for key in shift.after if key[0] == "legwatch_legs_ended_total")}
    scanned: dict[tuple[str, ...], float] = {}
    for leg in legs:
        (segments,) = known & {"/".join(leg["segments"]), "/".join(reversed(leg["segments"]))}
        key = (leg["observed"], segments, leg["signalled"])
        scanned[key] = scanned.get(key, 0) + 1
    assert live == scanned
    (summary,) = (line for line in shift.scanned if line["type"] == "summary")
    assert summary["account"]["received"] == len(shift.sent)


def test_live_scrape_pleases_promtool(shift: Shift) -> None:
    done = subprocess.run(
        ["promtool", "check", "metrics"], input=shift.scrape, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_live_scrape_stays_small(shift: Shift) -> None:
    assert len(shift.after) <= 1500


def test_sighup_takes_a_good_file_and_keeps_it_when_the_next_is_bad(
    namespace: Namespace, mirror: Mirror, clinic: Frames, config: Path, tmp_path: Path
) -> None:
    clear = [frame for frame in clinic if b"RTP/AVP 0" in frame[1]][:1]
    with running_sensor(namespace, tmp_path, "--config", str(config)) as sensor:
        config.write_text("policy: {severities: {signalling-clear: low}}")
        taken = sensor.metric("legwatch_config_last_reload_success_timestamp_seconds")
        sensor.process.send_signal(signal.SIGHUP)
        wait_for(
            lambda: sensor.metric("legwatch_config_last_reload_success_timestamp_seconds") > taken, "the file is taken"
        )
        config.write_text("policy: {severitys: {}}")
        sensor.process.send_signal(signal.SIGHUP)
        wait_for(lambda: sensor.metric("legwatch_config_last_reload_successful") == 0, "the file is refused")
        mirror.replay(clear, SPEED)
        (opened,) = wait_for(lambda: sensor.events("finding_opened"), "a finding by the good policy")
        assert (opened["code"], opened["severity"]) == ("signalling-clear", "low")
        config.write_text(CONFIG)
        sensor.process.send_signal(signal.SIGHUP)
        wait_for(lambda: sensor.metric("legwatch_config_last_reload_successful") == 1, "the mended file is taken")
        assert sensor.ready()
        assert sensor.stop() == 0


def test_sigterm_under_load_ends_at_once_with_status_0(
    namespace: Namespace, mirror: Mirror, clinic: Frames, tmp_path: Path
) -> None:
    with running_sensor(namespace, tmp_path) as sensor:
        mirror.replay(clinic[: len(clinic) // 2], speed=100)
        start = time.monotonic()
        assert sensor.stop() == 0
        assert time.monotonic() - start < 3
        assert sensor.events()  # whole lines to the end


@pytest.mark.usefixtures("mirror")
def test_port_in_use_ends_with_status_2(namespace: Namespace, tmp_path: Path) -> None:
    with running_sensor(namespace, tmp_path) as sensor:
        status, said = run_to_end(namespace, "run", "-i", "span0")
        assert status == 2
        assert "9767" in said
        assert len(said.splitlines()) == 1
        assert sensor.ready()


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("-i", "nonesuch0"), "nonesuch0"),
        (("-i", "span0", "--config", "nonesuch.yaml"), "nonesuch.yaml"),
        (("-i", "span0", "--filter", "udp port ("), "filter"),
        (("-i", "span0", "--listen", "127.0.0.1"), "--listen"),
    ],
    ids=["interface", "config", "filter", "listen"],
)
@pytest.mark.usefixtures("mirror")
def test_mistake_of_the_operator_ends_with_status_2(
    namespace: Namespace, arguments: tuple[str, ...], named: str
) -> None:
    status, said = run_to_end(namespace, "run", *arguments)
    assert status == 2
    assert named in said
    assert len(said.splitlines()) == 1


@pytest.mark.usefixtures("mirror")
def test_no_permission_ends_with_status_2(namespace: Namespace) -> None:
    without = ("setpriv", "--bounding-set=-net_raw,-net_admin", "--inh-caps=-all")
    done = subprocess.run(
        namespace.command(*without, *LEGWATCH, "run", *STAY_ROOT, "-i", "span0"),
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 2
    assert "CAP_NET_RAW" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_interface_down_and_up_again_goes_on(
    namespace: Namespace, mirror: Mirror, clinic: Frames, tmp_path: Path
) -> None:
    with running_sensor(namespace, tmp_path) as sensor:
        mirror.set_state("span0", "down")
        wait_for(lambda: sensor.metric("legwatch_capture_up") == 0, "it sees the interface go down")
        mirror.set_state("span0", "up")
        wait_for(lambda: sensor.metric("legwatch_capture_up") == 1, "it sees the interface come up")
        before = sensor.metric("legwatch_received_packets_total")
        mirror.replay(clinic[:50], speed=100)
        wait_for(lambda: sensor.metric("legwatch_received_packets_total") >= before + 50, "packets again")
        assert sensor.stop() == 0


@pytest.mark.usefixtures("mirror")
def test_silence_is_a_finding_until_the_first_packet(
    namespace: Namespace, mirror: Mirror, clinic: Frames, config: Path, tmp_path: Path
) -> None:
    config.write_text("policy: {no_traffic_after: 1}\nalerts: {settle: 0}")
    with running_sensor(namespace, tmp_path, "--config", str(config)) as sensor:
        (opened,) = wait_for(lambda: sensor.events("finding_opened"), "silence is found")
        assert opened["code"] == "sensor-no-traffic"
        mirror.replay(clinic[:1], SPEED)
        (resolved,) = wait_for(lambda: sensor.events("finding_resolved"), "silence is over")
        assert identity(resolved) == identity(opened)


@pytest.mark.usefixtures("mirror")
def test_health_answers_and_unknown_paths_do_not(namespace: Namespace, tmp_path: Path) -> None:
    with running_sensor(namespace, tmp_path) as sensor:
        assert sensor.get("/-/healthy")[0] == 200
        assert sensor.get("/-/ready")[0] == 200
        assert sensor.get("/../etc/passwd")[0] == 404


def test_output_to_a_terminal_is_text(namespace: Namespace, mirror: Mirror, clinic: Frames) -> None:
    terminal, end = pty.openpty()
    os.set_blocking(terminal, False)
    said = bytearray()

    def tells(what: bytes) -> bool:
        with suppress(BlockingIOError):
            said.extend(os.read(terminal, 65536))
        return what in said

    with os.fdopen(terminal, "rb"), running(namespace.command(*LEGWATCH, "run", *STAY_ROOT, "-i", "span0"), stdout=end):
        os.close(end)
        wait_for(lambda: tells(b"ready"), "it is ready")
        mirror.replay([frame for frame in clinic if b"RTP/AVP 0" in frame[1]][:1], SPEED)
        wait_for(lambda: tells(b"signalling-clear"), "it tells of the finding")
    with pytest.raises(json.JSONDecodeError):
        json.loads(said.splitlines()[0])


def test_planted_secrets_appear_in_no_event_and_no_metric(
    namespace: Namespace, mirror: Mirror, config: Path, tmp_path: Path
) -> None:
    with running_sensor(namespace, tmp_path, "--config", str(config)) as sensor:
        mirror.replay(canaries.frames(), SPEED)
        wait_for(
            lambda: {event["code"] for event in sensor.events("finding_opened")} >= {"sdes-key-exposed"}, "findings"
        )
        wait_for(lambda: not sensor.metric("legwatch_flows_active"), "the flows end")
        scrape = sensor.get("/metrics")[1]
        assert sensor.stop() == 0
    said = scrape + sensor.output.read_text() + sensor.output.with_suffix(".err").read_text()
    assert not canaries.leaks(said)


# Several capture threads.


@pytest.fixture
def threaded(tmp_path: Path) -> Path:
    """A configuration of two threads, each on a CPU of its own where there are two."""
    cpus = sorted(os.sched_getaffinity(0))[:2]
    path = tmp_path / "legwatch.yaml"
    path.write_text(yaml.safe_dump({"capture": {"threads": 2, "cpus": cpus if len(cpus) == 2 else []}}))
    return path


def test_both_threads_have_packets_of_the_clinic(clinic: Frames) -> None:
    assert {choice(fanout_program(), frame, 2) for _, frame in clinic} == {0, 1}


def test_threads_run_where_they_were_put(namespace: Namespace, mirror: Mirror, threaded: Path, tmp_path: Path) -> None:
    assert mirror.namespace is namespace
    with running_sensor(namespace, tmp_path, "--config", str(threaded)) as sensor:
        status = Path(f"/proc/{sensor.process.pid}/maps").read_text()
        assert status.count("socket:[") == 2  # a ring each
        assert sensor.get("/-/healthy")[0] == 200
        allowed = [os.sched_getaffinity(int(task.name)) for task in Path(f"/proc/{sensor.process.pid}/task").iterdir()]
        for cpu in yaml.safe_load(threaded.read_text())["capture"]["cpus"]:
            assert {cpu} in allowed
        assert sensor.stop() == 0


def test_threads_survive_an_interface_that_goes_down(
    namespace: Namespace, mirror: Mirror, clinic: Frames, threaded: Path, tmp_path: Path
) -> None:
    with running_sensor(namespace, tmp_path, "--config", str(threaded)) as sensor:
        mirror.set_state("span0", "down")
        wait_for(lambda: sensor.metric("legwatch_capture_up") == 0, "it sees the interface go down")
        mirror.set_state("span0", "up")
        wait_for(lambda: sensor.metric("legwatch_capture_up") == 1, "it sees the interface come up")
        before = sensor.metric("legwatch_received_packets_total")
        mirror.replay(clinic[:200], speed=1000)
        wait_for(lambda: sensor.metric("legwatch_received_packets_total") >= before + 200, "packets again")
        assert sensor.stop() == 0


def test_threads_end_with_status_1_when_the_interface_was_replaced(tmp_path: Path, threaded: Path) -> None:
    """Their rings cannot be bound to the new one: systemd starts the sensor again."""
    with namespaces("replaced") as (place,):
        first = Mirror(place)
        with running_sensor(place, tmp_path, "--config", str(threaded)) as sensor:
            place.ip("link", "del", "span0")
            wait_for(lambda: sensor.metric("legwatch_capture_up") == 0, "it sees the interface go")
            wait_for(lambda: not sensor.ready(), "it is blind")
            assert sensor.get("/-/healthy")[0] == 200
            again = Mirror(place)
            assert sensor.process.wait(10) == 1
            (failed,) = sensor.events("capture_failed")
            assert "another interface has its name now" in failed["error"]
            again.close()
        first.close()


def test_one_thread_follows_an_interface_that_was_replaced(clinic: Frames, config: Path, tmp_path: Path) -> None:
    with namespaces("replaced") as (place,):
        first = Mirror(place)
        with running_sensor(place, tmp_path, "--config", str(config)) as sensor:
            place.ip("link", "del", "span0")
            wait_for(lambda: sensor.metric("legwatch_capture_up") == 0, "it sees the interface go")
            again = Mirror(place)
            wait_for(lambda: sensor.metric("legwatch_capture_up") == 1, "it sees the interface come")
            before = sensor.metric("legwatch_received_packets_total")
            again.replay(clinic[:50], speed=100)
            wait_for(lambda: sensor.metric("legwatch_received_packets_total") >= before + 50, "packets again")
            assert sensor.stop() == 0
            again.close()
        first.close()


@pytest.mark.parametrize(
    ("capture", "named"),
    [("{cpus: [8000]}", "capture.cpus"), ("{numa_node: 1000}", "capture.numa_node")],
    ids=["cpu", "node"],
)
@pytest.mark.usefixtures("mirror")
def test_place_that_the_machine_has_not_ends_with_status_2(
    namespace: Namespace, tmp_path: Path, capture: str, named: str
) -> None:
    path = tmp_path / "legwatch.yaml"
    path.write_text(f"capture: {capture}\n")
    status, said = run_to_end(namespace, "run", "-i", "span0", "--config", str(path))
    assert status == 2
    assert named in said
    assert len(said.splitlines()) == 1


def test_threads_on_an_interface_that_is_down_end_with_status_2(threaded: Path) -> None:
    with namespaces("down") as (place,):
        first = Mirror(place)
        first.set_state("span0", "down")
        status, said = run_to_end(place, "run", "-i", "span0", "--config", str(threaded))
        assert (status, len(said.splitlines())) == (2, 1)
        assert "is down" in said
        first.close()
