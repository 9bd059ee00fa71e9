"""The service on a mirror port: it sees calls, takes a new policy, and comes back from all that ends or holds it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.boot import place as places
from tests.boot.place import PACKAGE, Place
from tests.live.lab import ROOT, Exporter, Mirror, read_capture, wait_for

pytestmark = pytest.mark.boot

CLINIC = ROOT / "deploy" / "demo" / "clinic.pcap"
OF_ANOTHER_DAY = {"cert-expiring", "cert-expired"}  # than that of the capture
CONFIG = "alerts: {settle: 0}\n"
CONFIGURATION = "/etc/legwatch/legwatch.yaml"
DROPIN = "/etc/systemd/system/legwatch.service.d/patience.conf"
PATIENCE_S = 3
STUCK = Path(__file__).with_name("stuck.py")


@pytest.fixture(scope="module")
def installed(packages: Path) -> Iterator[Place]:
    with places.place(packages) as made:
        made.machine.install(PACKAGE)
        made.name_interface()
        yield made


@pytest.fixture
def place(installed: Place) -> Place:
    """The service, started anew, with no memory of what was before."""
    installed.machine.path(CONFIGURATION).write_text(CONFIG)
    installed.machine.run("journalctl", "--rotate", "--vacuum-time=1us")
    installed.machine.run("systemctl", "stop", "legwatch")
    installed.machine.run("systemctl", "clean", "--what=state", "legwatch")
    installed.machine.run("systemctl", "start", "legwatch")
    return installed


@pytest.fixture
def watched(place: Place) -> Iterator[Place]:
    """The service, with a watchdog that has less patience."""
    dropin = place.machine.path(DROPIN)
    dropin.parent.mkdir(exist_ok=True)
    dropin.write_text(f"[Service]\nWatchdogSec={PATIENCE_S}\n")
    place.machine.run("systemctl", "daemon-reload")
    place.machine.run("systemctl", "restart", "legwatch")
    yield place
    dropin.unlink()
    place.machine.run("systemctl", "daemon-reload")


def restarts(place: Place) -> int:
    return int(place.machine.shows("legwatch", "NRestarts")[0])


def calls(mirror: Mirror) -> int:
    """Let a morning of the clinic pass by; return how many packets it has."""
    frames = read_capture(CLINIC)
    mirror.replay(frames, speed=20)
    return len(frames)


def received(sensor: Exporter) -> float:
    return sensor.metric("legwatch_received_packets_total")


def opened(place: Place, unit: str = "legwatch") -> list[dict[str, Any]]:
    return place.events(unit, "finding_opened")


def comes_back(place: Place, seconds: float) -> None:
    """Wait until systemd has started the service again, and it sees packets."""
    wait_for(lambda: restarts(place) == 1 and place.sensor.ready(), "systemd starts it again", seconds)
    sent = calls(place.mirror)
    wait_for(lambda: received(place.sensor) >= sent, "it sees packets again")


def test_limits_of_the_unit_are_in_place(place: Place) -> None:
    named = ("MemoryHigh", "MemoryMax", "TasksMax", "LimitNOFILE", "LimitCORE", "WatchdogUSec", "Restart")
    shown = dict(zip(named, place.machine.shows("legwatch", *named), strict=True))
    assert shown == {
        "MemoryHigh": str(1536 << 20),
        "MemoryMax": str(2 << 30),
        "TasksMax": "192",
        "LimitNOFILE": "4096",
        "LimitCORE": "0",
        "WatchdogUSec": "30s",
        "Restart": "on-failure",
    }


def test_calls_become_findings_in_the_journal_and_in_metrics(place: Place) -> None:
    sent = calls(place.mirror)
    wait_for(lambda: received(place.sensor) >= sent, "all packets are received")
    truth = set(yaml.safe_load((CLINIC.parent / "truth.yaml").read_text())["findings"])
    wait_for(lambda: truth <= {event["code"] for event in opened(place)}, "the findings of the clinic")
    assert {event["code"] for event in opened(place)} - OF_ANOTHER_DAY - {"sensor-clock"} == truth
    metrics = place.sensor.metrics()
    assert metrics["legwatch_kernel_dropped_packets_total",] == 0
    for code in truth:
        told = [event for event in opened(place) if event["code"] == code]
        assert metrics["legwatch_findings_opened_total", code, told[0]["severity"]] == len(told)
    assert place.sensor.ready()


def test_reload_takes_a_policy_and_keeps_it_when_the_next_is_wrong(place: Place) -> None:
    pid, file = place.machine.pid("legwatch"), place.machine.path(CONFIGURATION)
    file.write_text(f"{CONFIG}policy: {{severities: {{signalling-clear: low}}}}\n")
    place.machine.run("systemctl", "reload", "legwatch")
    wait_for(lambda: place.events(name="reloaded"), "the policy is taken")
    file.write_text("policy: {severitys: {}}\n")
    place.machine.run("systemctl", "reload", "legwatch")
    wait_for(lambda: place.events(name="reload_failed"), "the policy is refused")
    assert place.sensor.metric("legwatch_config_last_reload_successful") == 0
    calls(place.mirror)
    wait_for(lambda: "signalling-clear" in {event["code"] for event in opened(place)}, "a finding")
    assert {event["severity"] for event in opened(place) if event["code"] == "signalling-clear"} == {"low"}
    assert place.machine.pid("legwatch") == pid
    assert place.sensor.ready()


def test_wrong_configuration_at_the_start_is_told_and_the_mended_one_is_taken(place: Place) -> None:
    file = place.machine.path(CONFIGURATION)
    file.write_text("policy: {severitys: {}}\n")
    assert place.machine.attempt("systemctl", "restart", "legwatch").returncode != 0
    assert "severities" in place.machine.run("journalctl", "--unit=legwatch", "--output=cat")
    file.write_text(CONFIG)
    wait_for(place.sensor.ready, "it starts by itself")


def test_interface_that_comes_after_the_start_is_watched(place: Place) -> None:
    place.machine.run("systemctl", "stop", "legwatch")
    place.mirror.renew()
    place.machine.run("ip", "link", "set", "span0", "name", "elsewhere")
    assert place.machine.attempt("systemctl", "start", "legwatch").returncode != 0
    place.machine.run("ip", "link", "set", "elsewhere", "name", "span0", "up")
    wait_for(place.sensor.ready, "it starts by itself")
    sent = calls(place.mirror)
    wait_for(lambda: received(place.sensor) >= sent, "it receives")


def test_stop_ends_well_and_at_once(place: Place) -> None:
    place.machine.run("systemctl", "stop", "legwatch", seconds=5)
    assert place.machine.shows("legwatch", "ActiveState", "Result") == ["inactive", "success"]
    assert place.events()[-1]["event"] == "stopped"


def test_killed_sensor_is_started_again_and_knows_what_it_has_said(place: Place) -> None:
    def hosts() -> list[str]:
        return [str(event["subject"]) for event in opened(place) if event["code"] == "signalling-clear"]

    calls(place.mirror)
    said = wait_for(hosts, "it finds")
    place.machine.run("systemctl", "kill", "--signal=KILL", "legwatch")
    comes_back(place, 10)
    assert place.events(name="restored")[-1]["findings"] > 0
    assert hosts() == said


def test_sensor_that_stands_still_is_started_again(watched: Place) -> None:
    watched.machine.run("systemctl", "kill", "--signal=STOP", "legwatch")
    comes_back(watched, PATIENCE_S + 15)
    assert watched.machine.run("journalctl", "--unit=legwatch", "--grep=Watchdog timeout")


def test_capture_thread_that_hangs_is_started_again_with_all_else_alive(watched: Place) -> None:
    pid = watched.machine.pid("legwatch")
    # The main thread is the first, capture the next that is started.
    capture = sorted(int(name) for name in watched.machine.run("ls", f"/proc/{pid}/task").split())[1]
    watched.machine.path("/run/stuck.py").write_text(STUCK.read_text())
    watched.machine.run("systemd-run", "--collect", "python3", "/run/stuck.py", str(capture))
    wait_for(lambda: watched.sensor.get("/-/healthy")[0] == 503, "it says that it is not healthy", 15)
    comes_back(watched, PATIENCE_S + 15)
    assert watched.machine.run("journalctl", "--unit=legwatch", "--grep=Watchdog timeout")


def test_interface_that_is_made_again_is_watched_again(place: Place) -> None:
    pid = place.machine.pid("legwatch")
    place.machine.run("ip", "link", "delete", "span0")
    wait_for(lambda: place.sensor.metric("legwatch_capture_up") == 0, "it notices")
    again = Mirror(place.mirror.namespace, outside=place.outside)
    try:
        wait_for(lambda: place.sensor.metric("legwatch_capture_up") == 1, "it watches again")
        before = received(place.sensor)
        sent = calls(again)
        wait_for(lambda: received(place.sensor) >= before + sent, "all packets are received")
        assert place.machine.pid("legwatch") == pid
    finally:
        again.close()


def test_instances_watch_ports_of_their_own_beside_the_service(place: Place) -> None:
    mirror = Mirror(place.mirror.namespace, outside=place.outside, number=1)
    place.machine.path("/etc/legwatch/span1.yaml").write_text(f"{CONFIG}metrics: {{listen: 127.0.0.1:9768}}\n")
    beside = Exporter(place.mirror.namespace, 9768)
    try:
        place.machine.run("systemctl", "start", "legwatch@span1")
        assert place.sensor.ready()
        wait_for(beside.ready, "the instance sees its link")
        sent = calls(mirror)
        wait_for(lambda: received(beside) >= sent, "the instance receives what its port gets")
        wait_for(lambda: opened(place, "legwatch@span1"), "it finds")
        assert not opened(place)
        place.machine.run("systemctl", "stop", "legwatch@span1")
        assert place.sensor.ready()
    finally:
        mirror.close()
