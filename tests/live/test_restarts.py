"""A sensor that is killed, stopped and reloaded while calls go on: no alert twice, none missed, no packet lost."""

from __future__ import annotations

import json
import random
import signal
import socket
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.live.lab import Mirror, Namespace, Sensor, running_sensor, wait_for
from tests.live.servers import ALERTS, Alertmanager, running_alertmanager
from tests.packets import End, ethernet, rtp, speech, udp
from tests.unit.sensor.alerts.receivers import OK, Server, read_request

pytestmark = pytest.mark.live

KILLS = 12
CALLS = 3  # at a time
TALK_S = (4.0, 12.0)
CONFIG = """
alerts: {{settle: 1, burst: 1000}}
policy: {{media_idle: 2, resolve_after: 30, no_traffic_after: 3600}}
state: {{directory: {folder}/state}}
sinks:
- {{type: webhook, url: "http://127.0.0.1:{port}/", batch: 3}}
- {{type: alertmanager, url: "http://127.0.0.1:{alerts}", repeat: 5}}
"""
VOICE = speech(50)


class Hook:
    """A webhook that keeps every event as it came, before it answers."""

    def __init__(self, namespace: Namespace) -> None:
        self.got: list[str] = []
        self._namespace = namespace
        with namespace.entered():
            self._server = Server(self._serve)
        self.port = self._server.port

    def _serve(self, connection: socket.socket) -> bytes:
        request = read_request(connection)
        try:
            events = json.loads(request.partition(b"\r\n\r\n")[2])
        except ValueError:  # the sensor was killed while it sent
            return b""
        self.got += [json.dumps(event) for event in events]
        connection.sendall(OK)
        return request

    def lives(self, code: str) -> dict[str, list[dict[str, Any]]]:
        """The events of each finding of a code, without what came again as it was."""
        found = defaultdict(list)
        for text in dict.fromkeys(self.got):
            event = json.loads(text)
            if event["code"] == code:
                found[event["id"]].append(event)
        return found

    def said(self, code: str) -> list[str]:
        """What was said of findings of a code."""
        return [event["event"].removeprefix("finding_") for life in self.lives(code).values() for event in life]

    def stop(self) -> None:
        with self._namespace.entered():
            self._server.stop()


@pytest.fixture
def hook(namespace: Namespace) -> Iterator[Hook]:
    made = Hook(namespace)
    yield made
    made.stop()


class Call(threading.Thread):
    """Speech in clear between two hosts, 50 packets a second, until it is told to end."""

    def __init__(self, mirror: Mirror, number: int) -> None:
        super().__init__()
        self.caller = f"10.{number >> 8}.{number & 255}.1"
        self._mirror, self._over = mirror, threading.Event()
        self._ends = End(self.caller, 16384), End("10.99.0.9", 16390)
        self.began = self.ended = time.monotonic()
        self.start()

    def run(self) -> None:
        count = 0
        while not self._over.wait(max(self.began + count * 0.02 - time.monotonic(), 0)):
            payload = rtp(1000 + count & 0xFFFF, VOICE[count % len(VOICE)], ssrc=0xDECAFBAD)
            self._mirror.send(ethernet(udp(payload, *self._ends)))
            count += 1

    def hang_up(self) -> None:
        self._over.set()
        self.join()
        self.ended = time.monotonic()

    def was_heard(self, looks: list[tuple[float, float]]) -> bool:
        """Whether it went on for a second at least while somebody looked."""
        return any(min(self.ended, end) - max(self.began, begin) > 1 for begin, end in looks)


@contextmanager
def runs(namespace: Namespace, folder: Path, config: Path) -> Iterator[Sensor]:
    """One run of the sensor, with its output in a folder of its own."""
    own = folder / f"run-{len(list(folder.glob('run-*')))}"
    own.mkdir()
    with running_sensor(namespace, own, "--config", str(config)) as sensor:
        yield sensor


def configuration(folder: Path, hook: Hook) -> Path:
    path = folder / "legwatch.yaml"
    path.write_text(CONFIG.format(folder=folder, port=hook.port, alerts=ALERTS))
    return path


def alerts(manager: Alertmanager) -> dict[str, list[str]]:
    """What Alertmanager told of each finding, and not the same twice."""
    told: dict[str, list[str]] = defaultdict(list)
    for status, labels in manager.told():
        if labels["alertname"] == "media-clear" and told[labels["finding"]][-1:] != [status]:
            told[labels["finding"]].append(status)
    return told


def test_sensor_killed_at_any_time_opens_and_resolves_each_call_once(
    namespace: Namespace, mirror: Mirror, hook: Hook, tmp_path: Path
) -> None:
    config, chance = configuration(tmp_path, hook), random.Random(8)
    with ExitStack() as stack:
        manager = stack.enter_context(
            running_alertmanager(namespace, tmp_path, "alertname", "finding", resolve_timeout="1m")
        )
        calls: list[Call] = []
        looks: list[tuple[float, float]] = []
        over = threading.Event()

        def talk(line: int) -> None:
            for number in range(1000 * line, 1000 * line + 1000):
                call = Call(mirror, number)
                calls.append(call)
                over.wait(chance.uniform(*TALK_S))
                call.hang_up()
                if over.wait(chance.uniform(0.2, 2.0)):
                    return

        lines = [threading.Thread(target=talk, args=(line,)) for line in range(1, 1 + CALLS)]
        for each in lines:
            each.start()
        try:
            for _ in range(KILLS):
                with runs(namespace, tmp_path, config) as sensor:
                    began = time.monotonic()
                    time.sleep(chance.uniform(0.0, 4.0))
                    looks.append((began, time.monotonic()))
                    sensor.process.kill()
                    sensor.process.wait()
        finally:
            over.set()
            for each in lines:
                each.join()
        with runs(namespace, tmp_path, config) as sensor:
            wait_for(lambda: sensor.metric("legwatch_findings", "media-clear", "critical", "open") == 0, "all is over")
            wait_for(lambda: hook.said("media-clear").count("resolved") == len(hook.lives("media-clear")), "it is said")
            wait_for(
                lambda: not [each for each in manager.alerts() if each["labels"]["alertname"] == "media-clear"],
                "no alert is left",
            )
            assert sensor.metric("legwatch_state_errors_total") == 0
            assert sensor.stop() == 0
        lives = hook.lives("media-clear")
        heard = {life[0]["subject"]["a"] for life in lives.values()}
        assert {call.caller for call in calls if call.was_heard(looks)} <= heard <= {call.caller for call in calls}
        assert len(heard) >= KILLS
        for life in lives.values():
            names = [event["event"].removeprefix("finding_") for event in life]
            assert (names[0], names[-1], set(names[1:-1]) - {"updated"}) == ("opened", "resolved", set()), life
        again = len(hook.got) - len(set(hook.got))
        assert again <= 3 * KILLS  # a batch that was taken when the sensor was killed
        wait_for(lambda: all(each[-1] == "resolved" for each in alerts(manager).values()), "Alertmanager says it")
        assert alerts(manager) == {finding: ["firing", "resolved"] for finding in lives}
    log = [
        line
        for run in sorted(tmp_path.glob("run-*"), key=lambda path: int(path.name[4:]))
        for line in (run / "events.jsonl").read_text().splitlines()
    ]
    steps = [json.loads(line) for line in log if '"media-clear"' in line]
    assert len({(step["id"], step["event"]) for step in steps if step["event"] != "finding_updated"}) == 2 * len(lives)


def test_call_that_goes_on_over_a_kill_and_a_stop_is_one_alert(
    namespace: Namespace, mirror: Mirror, hook: Hook, tmp_path: Path
) -> None:
    config = configuration(tmp_path, hook)
    call = Call(mirror, 7)
    try:
        for end in (signal.SIGKILL, signal.SIGTERM, signal.SIGKILL):
            with runs(namespace, tmp_path, config) as sensor:
                wait_for(lambda: hook.said("media-clear")[:1] == ["opened"], "it is found")
                time.sleep(4)  # longer than what is from before is held
                assert sensor.metric("legwatch_findings", "media-clear", "critical", "open") == 1
                sensor.process.send_signal(end)
                sensor.process.wait(10)
        assert hook.said("media-clear") == ["opened"]
    finally:
        call.hang_up()
    with runs(namespace, tmp_path, config) as sensor:
        assert sensor.metric("legwatch_findings_opened_total", "media-clear", "critical") == 0
        assert sensor.events("restored")[0]["findings"] >= 1
        wait_for(lambda: hook.said("media-clear") == ["opened", "resolved"], "it is over")
        assert sensor.stop() == 0


def test_receiver_that_was_down_gets_from_the_next_run_what_the_one_before_could_not_say(
    namespace: Namespace, mirror: Mirror, hook: Hook, tmp_path: Path
) -> None:
    config = configuration(tmp_path, hook)
    good = config.read_text()
    config.write_text(good.replace(f":{hook.port}/", ":9/"))
    call = Call(mirror, 8)
    with runs(namespace, tmp_path, config) as sensor:
        wait_for(lambda: sensor.events("sink_down"), "nobody is there")
        call.hang_up()
        wait_for(lambda: sensor.metric("legwatch_findings_resolved_total", "media-clear", "critical"), "it is over")
        sensor.process.kill()
        sensor.process.wait()
    config.write_text(good)
    with runs(namespace, tmp_path, config) as sensor:
        wait_for(lambda: hook.said("media-clear")[-1:] == ["resolved"], "both are said")
        assert sensor.stop() == 0
    assert hook.said("media-clear")[0] == "opened"


PACKETS, RATE = 20_000, 2000.0


def test_reload_drops_no_packet(namespace: Namespace, mirror: Mirror, tmp_path: Path) -> None:
    """Numbered packets at a steady pace through reloads, of another policy and of a broken one."""
    config = tmp_path / "legwatch.yaml"
    config.write_text(f"state: {{directory: {tmp_path}/state}}")
    policies = (
        "policy: {severities: {media-clear: low}, grace: 1}",
        "policy: {severitys: {}}",
        "policy: {segments: [{name: phones, cidrs: [10.0.0.0/8]}]}",
    )
    with running_sensor(namespace, tmp_path, "--config", str(config)) as sensor:
        over = threading.Event()

        def reload() -> None:
            for n in range(1000):
                config.write_text(policies[n % 3])
                sensor.process.send_signal(signal.SIGHUP)
                if over.wait(0.5):
                    return

        reloader = threading.Thread(target=reload)
        reloader.start()
        start = time.monotonic()
        for n in range(PACKETS):
            payload = rtp(n & 0xFFFF, VOICE[n % len(VOICE)])
            mirror.send(ethernet(udp(payload, End("10.1.0.1", 16384 + 2 * (n % 50)), End("10.1.0.2", 16390))))
            time.sleep(max(start + n / RATE - time.monotonic(), 0))
        over.set()
        reloader.join()
        wait_for(lambda: sensor.metric("legwatch_received_packets_total") >= PACKETS, "all are received")
        metrics = sensor.metrics()
        reloads = len(sensor.events("reloaded")), len(sensor.events("reload_failed"))
        assert sensor.stop() == 0
    assert min(reloads) >= 4
    assert metrics["legwatch_received_packets_total",] == PACKETS
    assert metrics["legwatch_kernel_dropped_packets_total",] == 0
