"""Senders against real sockets and files: receivers that work, are down, wait, refuse or talk nonsense."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import resource
import signal
import socket
import stat
import struct
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, cast

import pytest

from sensor.alerts.build import deliveries
from sensor.alerts.delivery import Delivery
from sensor.alerts.event import Event
from sensor.alerts.sender import SendError
from sensor.alerts.senders.file import File
from sensor.alerts.senders.hep import Hep
from sensor.alerts.senders.journald import Journald, serialized
from sensor.alerts.senders.syslog import Syslog
from sensor.alerts.senders.web import Alertmanager, Webhook
from sensor.config.load import parse_config
from sensor.config.sinks import AlertmanagerSink, AnySink, FileSink, HepSink, SyslogSink, WebhookSink
from tests.unit.sensor.alerts.receivers import (
    OK,
    Authority,
    answers,
    authority,
    closed_port,
    read_all,
    read_request,
    server_context,
    serving,
)
from tests.unit.sensor.alerts.samples import ID, TIME, event, numbered, summary

SENSOR = "span-1"


def sink(text: str) -> Any:
    """Return the one sink of a configuration."""
    return parse_config(f"sinks: [{{{text}}}]", "f").sinks[0]


def eventually(look: Any, seconds: float = 5.0) -> None:
    deadline = time.monotonic() + seconds
    while not look():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.005)


@pytest.fixture(scope="module")
def ca(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture
def datagrams() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("127.0.0.1", 0))
        receiver.settimeout(5)
        yield receiver


def secret(path: Path, content: str) -> Path:
    path.touch(0o600)
    path.write_text(content)
    return path


# Files


def file_sink(path: Path, more: str = "") -> FileSink:
    return cast("FileSink", sink(f"type: file, path: {path}{more}"))


def test_file_has_one_line_an_event_and_is_not_for_everyone(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    sender = File(file_sink(path))
    sender.send([numbered(1), numbered(2)])
    sender.send([numbered(3)])
    sender.close()
    assert [json.loads(line) for line in path.read_text().splitlines()] == [numbered(n) for n in (1, 2, 3)]
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


@pytest.mark.parametrize(
    ("form", "begins"),
    [
        ("json", '{"time":'),
        ("ecs", '{"@timestamp":'),
        ("ocsf", '{"activity_id":1'),
        ("ocsf-compliance", '{"activity_id":1'),
        ("cef", "CEF:0|"),
    ],
)
def test_file_has_the_form_that_is_asked_for(form: str, begins: str, tmp_path: Path) -> None:
    sender = File(file_sink(tmp_path / "f", f", format: {form}"))
    sender.send([event()])
    sender.close()
    assert (tmp_path / "f").read_text().startswith(begins)


def test_file_that_would_grow_too_large_is_rotated_and_so_many_are_kept(tmp_path: Path) -> None:
    sender = File(file_sink(tmp_path / "f", ", max_mib: 1, keep: 2"))
    large = event(evidence=["x" * 400_000])
    for n in range(9):
        sender.send([large | {"count": n}])
    sender.close()
    counts = {
        path.name: [json.loads(line)["count"] for line in path.read_text().splitlines()] for path in tmp_path.iterdir()
    }
    assert counts == {"f": [8], "f.1": [6, 7], "f.2": [4, 5]}


def test_file_of_which_none_is_kept_begins_again(tmp_path: Path) -> None:
    sender = File(file_sink(tmp_path / "f", ", max_mib: 1, keep: 0"))
    for _ in range(4):
        sender.send([event(evidence=["x" * 400_000])])
    sender.close()
    assert [path.name for path in tmp_path.iterdir()] == ["f"]


def test_file_moved_away_by_others_is_begun_again(tmp_path: Path) -> None:
    path = tmp_path / "f"
    sender = File(file_sink(path))
    sender.send([numbered(1)])
    path.rename(tmp_path / "moved")
    sender.send([numbered(2)])
    path.unlink()
    sender.send([numbered(3)])
    sender.close()
    assert json.loads(path.read_text())["id"].endswith("3")
    assert json.loads((tmp_path / "moved").read_text())["id"].endswith("1")


def test_file_whose_last_line_a_crash_left_open_goes_on_in_a_new_one(tmp_path: Path) -> None:
    (tmp_path / "f").write_text('{"time": "20')
    sender = File(file_sink(tmp_path / "f"))
    sender.send([numbered(1)])
    sender.close()
    first, second = (tmp_path / "f").read_text().splitlines()
    assert (first, json.loads(second)) == ('{"time": "20', numbered(1))


@pytest.mark.parametrize("where", ["none/f", "link", "folder"])
def test_file_that_cannot_be_opened_is_tried_again(where: str, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "target")
    (tmp_path / "folder").mkdir()
    with pytest.raises(SendError) as failed:
        File(file_sink(tmp_path / where)).send([event()])
    assert not failed.value.permanent


def test_file_on_a_full_disk_keeps_whole_lines_and_is_tried_again(tmp_path: Path) -> None:
    path = tmp_path / "f"
    sender = File(file_sink(path))
    sender.send([numbered(1)])
    size = path.stat().st_size
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size + 100, limits[1]))
        with pytest.raises(SendError) as failed:
            sender.send([numbered(2)])
        assert path.stat().st_size == size
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert not failed.value.permanent
    sender.send([numbered(2)])
    sender.close()
    assert [json.loads(line)["id"][-1] for line in path.read_text().splitlines()] == ["1", "2"]


# The journal


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(str(tmp_path / "socket"))
        receiver.settimeout(5)
        yield receiver


def test_journal_entry_has_its_fields_and_lengths_where_lines_end(journal: socket.socket, tmp_path: Path) -> None:
    sender = Journald(tmp_path / "socket")
    sender.send([event(evidence=["one", "two"])])
    sender.close()
    entry = journal.recv(65_536)
    assert b"PRIORITY=2\n" in entry
    assert b"LEGWATCH_CODE=media-clear-despite-srtp\n" in entry
    assert b"LEGWATCH_EVIDENCE\n" + struct.pack("<Q", 7) + b"one\ntwo\n" in entry


def test_journal_field_cannot_be_forged_by_a_line_in_another() -> None:
    assert serialized({"MESSAGE": "a\nPRIORITY=0"}) == b"MESSAGE\n" + struct.pack("<Q", 12) + b"a\nPRIORITY=0\n"


def test_journal_entry_that_no_datagram_holds_comes_as_a_sealed_file(journal: socket.socket, tmp_path: Path) -> None:
    sender = Journald(tmp_path / "socket")
    sender.send([event(evidence=["x" * 1_000_000])])
    sender.close()
    data, (ancillary,), _, _ = journal.recvmsg(65_536, 64)
    (descriptor,) = struct.unpack("i", ancillary[2])
    with os.fdopen(descriptor, "rb") as file:
        file.seek(0)
        assert b"x" * 1_000_000 in file.read()
        with pytest.raises(PermissionError):
            os.ftruncate(descriptor, 0)
    assert data == b""


def test_journal_that_is_not_there_is_tried_again(tmp_path: Path) -> None:
    with pytest.raises(SendError, match="No such file") as failed:
        Journald(tmp_path / "none").send([event()])
    assert not failed.value.permanent


# Syslog and HEP


def syslog_sender(port: int, more: str = "") -> Syslog:
    return Syslog(cast("SyslogSink", sink(f"type: syslog, address: '127.0.0.1:{port}', timeout: 1{more}")), SENSOR)


def send_often(sender: Syslog, events: Sequence[Event], pause_s: float = 0.0) -> None:
    """Send the same until it fails, or long enough."""
    for _ in range(1000):
        time.sleep(pause_s)
        sender.send(events)


def frames(stream: bytes) -> list[bytes]:
    """The messages of a stream by their octet counts."""
    found = []
    while stream:
        count, _, rest = stream.partition(b" ")
        found.append(rest[: int(count)])
        stream = rest[int(count) :]
    return found


def test_syslog_by_udp_is_one_datagram_a_message(datagrams: socket.socket) -> None:
    sender = syslog_sender(datagrams.getsockname()[1])
    sender.send([event()])
    sender.close()
    assert datagrams.recv(65_536).startswith(b"<130>1 2026-01-05T10:00:31.250000Z span-1 legwatch - media-clear-desp")


def test_syslog_by_tcp_counts_octets() -> None:
    with serving(read_all) as server:
        sender = syslog_sender(server.port, ", transport: tcp, format: json, facility: auth")
        sender.send([numbered(1), event(evidence=["Zürich\n<0>1 forged"])])
        sender.send([numbered(3)])
        sender.close()
        eventually(lambda: server.got)
    first, second, third = frames(server.got[0])
    assert first.startswith(b"<34>1 ")
    assert json.loads(first.partition(b"] ")[2]) == numbered(1)
    assert b"\n" not in second
    assert third.startswith(b"<34>1 ")


@pytest.mark.parametrize("transport", ["tcp", "tls"])
def test_syslog_receiver_that_is_down_is_tried_again(transport: str) -> None:
    with pytest.raises(SendError, match="Connection refused") as failed:
        syslog_sender(closed_port(), f", transport: {transport}").send([event()])
    assert not failed.value.permanent


def test_syslog_receiver_that_does_not_read_holds_nobody_for_longer_than_its_time() -> None:
    leave = threading.Event()

    def wait(connection: socket.socket) -> bytes:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        leave.wait(10)
        return b""

    with serving(wait) as server:
        sender = syslog_sender(server.port, ", transport: tcp, max_octets: 65000")
        with pytest.raises(SendError, match="it took too long"):
            send_often(sender, [event(evidence=["x" * 60_000])] * 64)
        leave.set()


def test_syslog_connection_that_was_closed_meanwhile_loses_nothing() -> None:
    def read_one(connection: socket.socket) -> bytes:
        return connection.recv(65_536)

    with serving(read_one) as server:
        sender = syslog_sender(server.port, ", transport: tcp")
        for n in range(5):
            sender.send([numbered(n)])
            eventually(lambda n=n: len(server.got) == n + 1)
            time.sleep(0.02)
        sender.close()
    assert len(server.got) == 5


def test_syslog_by_tls_checks_the_servers_name_and_shows_its_own_certificate(ca: Authority) -> None:
    certificate, key = ca.issue("sensor.example.org")
    own = f", cert_file: {certificate}, key_file: {key}"
    with serving(read_all, server_context(ca, "logs.example.org", client=True)) as server:
        more = f", transport: tls, ca_file: {ca.path}, server_name: logs.example.org"
        sender = syslog_sender(server.port, more + own)
        sender.send([event()])
        sender.close()
        eventually(lambda: server.got)
        assert frames(server.got[0])[0].startswith(b"<130>1 ")
        with pytest.raises(SendError, match="certificate is refused: IP address mismatch"):
            syslog_sender(server.port, f", transport: tls, ca_file: {ca.path}{own}").send([event()])


def test_syslog_by_tls_refuses_an_authority_that_it_was_not_given(ca: Authority, tmp_path: Path) -> None:
    other = authority(tmp_path)
    with (
        serving(read_all, server_context(ca, "127.0.0.1")) as server,
        pytest.raises(SendError, match="the certificate is refused") as failed,
    ):
        syslog_sender(server.port, f", transport: tls, ca_file: {other.path}").send([event()])
    assert not failed.value.permanent


def test_syslog_by_tls_to_a_server_without_it_is_tried_again(ca: Authority) -> None:
    def garbage(connection: socket.socket) -> bytes:
        connection.sendall(b"220 mail.example.org ESMTP\r\n")
        return connection.recv(65_536)

    with serving(garbage) as server, pytest.raises(SendError) as failed:
        syslog_sender(server.port, f", transport: tls, ca_file: {ca.path}").send([event()])
    assert not failed.value.permanent


def test_hep_by_udp_and_tcp_is_whole_packets(datagrams: socket.socket, tmp_path: Path) -> None:
    key = secret(tmp_path / "key", "hep-key\n")
    text = f"type: hep, agent: 2001, key_file: {key}, address: '127.0.0.1"
    sender = Hep(cast("HepSink", sink(f"{text}:{datagrams.getsockname()[1]}'")))
    sender.send([event()])
    sender.close()
    packet = datagrams.recv(65_536)
    assert (packet[:4], struct.unpack_from("!H", packet, 4)[0]) == (b"HEP3", len(packet))
    assert b"\0\0\0\x0e\0\x0dhep-key" in packet
    with serving(read_all) as server:
        sender = Hep(cast("HepSink", sink(f"{text}:{server.port}', transport: tcp")))
        sender.send([event()])
        sender.send([event()])
        sender.close()
        eventually(lambda: server.got)
    assert server.got == [packet + packet]


# Web


def webhook(port: int, more: str = "", scheme: str = "http") -> Webhook:
    return Webhook(
        cast("WebhookSink", sink(f"type: webhook, url: '{scheme}://127.0.0.1:{port}/in?x=1', timeout: 1{more}"))
    )


def test_webhook_posts_an_array_that_its_secret_signs(tmp_path: Path) -> None:
    more = f", secret_file: {secret(tmp_path / 's', 'hush')}, token_file: {secret(tmp_path / 't', 'abc')}"
    with serving(answers(OK)) as server:
        sender = webhook(server.port, more)
        sender.send([numbered(1), numbered(2)])
        sender.close()
    head, _, body = server.got[0].partition(b"\r\n\r\n")
    fields = dict(line.split(": ", 1) for line in head.decode().split("\r\n")[1:])
    assert head.startswith(b"POST /in?x=1 HTTP/1.1\r\n")
    assert json.loads(body) == [numbered(1), numbered(2)]
    assert (fields["Content-Type"], fields["Authorization"]) == ("application/json", "Bearer abc")
    stamp = fields["X-Legwatch-Timestamp"]
    assert abs(int(stamp) - time.time()) < 10
    digest = hmac.new(b"hush", f"{stamp}.".encode() + body, hashlib.sha256).hexdigest()
    assert fields["X-Legwatch-Signature"] == f"sha256={digest}"


@pytest.mark.parametrize(
    ("form", "name"),
    [("json", "time"), ("ecs", "@timestamp"), ("ocsf", "evidences"), ("ocsf-compliance", "compliance")],
)
def test_webhook_posts_the_form_that_is_asked_for(form: str, name: str) -> None:
    with serving(answers(OK)) as server:
        webhook(server.port, f", format: {form}").send([event()])
    assert name in json.loads(server.got[0].partition(b"\r\n\r\n")[2])[0]


def test_webhook_sends_user_and_password_as_basic_authentication(tmp_path: Path) -> None:
    with serving(answers(OK)) as server:
        webhook(server.port, f", basic_auth_file: {secret(tmp_path / 's', 'me:pass')}").send([event()])
    assert b"Authorization: Basic bWU6cGFzcw==\r\n" in server.got[0]


@pytest.mark.parametrize(
    ("status", "permanent"),
    [(400, True), (401, False), (404, False), (413, True), (408, False), (429, False), (500, False), (503, False),
     (302, False)],
)  # fmt: skip
def test_webhook_that_is_refused_says_whether_for_good(status: int, permanent: bool) -> None:
    answer = b"HTTP/1.1 %d No\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n" % status
    with serving(answers(answer)) as server, pytest.raises(SendError, match=f"HTTP {status}") as failed:
        webhook(server.port).send([event()])
    assert failed.value.permanent is permanent
    assert len(server.got) == 1, "no redirect, no second try"


@pytest.mark.parametrize(
    "answer",
    [b"", b"\0\xff" * 5000, b"HTTP/1.1 abc\r\n\r\n", b"HTTP/1.1 200 OK\r\n" + b"x" * 100_000, b"SSH-2.0-x\r\n"],
    ids=["nothing", "noise", "status", "header", "ssh"],
)
def test_webhook_that_answers_nonsense_is_tried_again(answer: bytes) -> None:
    with serving(answers(answer)) as server, pytest.raises(SendError) as failed:
        webhook(server.port).send([event()])
    assert not failed.value.permanent


def test_webhook_that_never_answers_holds_nobody_for_longer_than_its_time() -> None:
    def wait(connection: socket.socket) -> bytes:
        read_request(connection)
        return connection.recv(1)

    with serving(wait) as server:
        began = time.monotonic()
        with pytest.raises(SendError, match="it took too long"):
            webhook(server.port).send([event()])
        assert time.monotonic() - began < 3


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_webhook_whose_answer_trickles_in_holds_nobody_for_longer_than_its_time(scheme: str, ca: Authority) -> None:
    def trickle(connection: socket.socket) -> bytes:
        request = read_request(connection)
        for octet in b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100:
            connection.sendall(bytes([octet]))
            time.sleep(0.1)
        return request

    tls = server_context(ca, "127.0.0.1") if scheme == "https" else None
    more = f", ca_file: {ca.path}" if tls else ""
    with serving(trickle, tls) as server:
        began = time.monotonic()
        with pytest.raises(SendError, match="it took too long") as failed:
            webhook(server.port, more, scheme).send([event()])
        assert time.monotonic() - began < 2
    assert not failed.value.permanent


def test_webhook_whose_answer_has_no_end_is_not_read_to_it() -> None:
    with serving(answers(b"HTTP/1.1 204 No Content\r\nContent-Length: 99999999\r\n\r\n")) as server:
        began = time.monotonic()
        webhook(server.port).send([event()])
        assert time.monotonic() - began < 0.9


def test_webhook_that_is_down_says_so_without_its_address() -> None:
    with pytest.raises(SendError) as failed:
        webhook(closed_port()).send([event()])
    assert str(failed.value) == "Connection refused"


def test_webhook_by_tls_checks_the_servers_name(ca: Authority) -> None:
    with serving(answers(OK), server_context(ca, "127.0.0.1")) as server:
        webhook(server.port, f", ca_file: {ca.path}", "https").send([event()])
        assert b"POST /in" in server.got[0]
    with serving(answers(OK), server_context(ca, "other.example.org")) as server:
        with pytest.raises(SendError, match="the certificate is refused: IP address mismatch"):
            webhook(server.port, f", ca_file: {ca.path}", "https").send([event()])
        with pytest.raises(SendError, match="the certificate is refused"):
            webhook(server.port, "", "https").send([event()])


class Manager:
    """An Alertmanager sender with the alerts that it posted."""

    def __init__(self, sender: Alertmanager) -> None:
        self.sender = sender
        self.posts: list[list[dict[str, Any]]] = []
        sender._post = lambda alerts: self.posts.append(json.loads(json.dumps(alerts)))  # type: ignore[method-assign]


def alertmanager(url: str = "http://127.0.0.1:9/am/") -> Alertmanager:
    return Alertmanager(cast("AlertmanagerSink", sink(f"type: alertmanager, url: '{url}', repeat: 30, timeout: 1")))


def test_alertmanager_gets_alerts_at_its_path() -> None:
    with serving(answers(OK)) as server:
        alertmanager(f"http://127.0.0.1:{server.port}/am/").send([event()])
    head, _, body = server.got[0].partition(b"\r\n\r\n")
    assert head.startswith(b"POST /am/api/v2/alerts HTTP/1.1\r\n")
    assert json.loads(body)[0]["labels"]["alertname"] == "media-clear-despite-srtp"


def test_alertmanager_is_told_again_of_what_is_open_and_of_nothing_else() -> None:
    manager = Manager(alertmanager())
    waived = event(id="f" * 16, state="waived", waived_by="J. Doe")
    manager.sender.send([numbered(1), numbered(2), waived, summary()])
    manager.sender.repeat()
    manager.sender.send([event("resolved", id=f"{1:016x}", state="resolved")])
    manager.sender.repeat()
    findings = [[alert["labels"]["finding"] for alert in post] for post in manager.posts]
    one, two = f"{1:016x}", f"{2:016x}"
    assert findings == [[one, two, "f" * 16, ID], [one, two, ID], [one], [two, ID]]
    assert manager.sender.repeat_s == 30


def test_alertmanager_is_told_that_the_alert_of_the_former_severity_is_over() -> None:
    manager = Manager(alertmanager())
    manager.sender.send([event(severity="low")])
    manager.sender.send([event("updated", severity="high")])
    manager.sender.repeat()
    said = [[(alert["labels"]["severity"], alert.get("endsAt")) for alert in post] for post in manager.posts]
    assert said == [[("low", None)], [("low", TIME), ("high", None)], [("high", None)]]


def test_alertmanager_that_failed_is_told_again_by_the_next_attempt_only() -> None:
    sender = alertmanager(f"http://127.0.0.1:{closed_port()}")
    with pytest.raises(SendError):
        sender.send([event()])
    manager = Manager(sender)
    sender.repeat()
    assert manager.posts == []


def test_alertmanager_is_not_told_again_of_what_is_to_be_forgotten() -> None:
    manager = Manager(alertmanager())
    manager.sender.send([numbered(1), numbered(2)])
    manager.sender.forget([f"{1:016x}", f"{3:016x}"])
    manager.sender.repeat()
    assert [alert["labels"]["finding"] for alert in manager.posts[1]] == [f"{2:016x}"]


def test_alertmanager_goes_on_to_repeat_what_an_earlier_run_said_to_be_open() -> None:
    manager = Manager(alertmanager())
    manager.sender.restore(numbered(1))
    manager.sender.restore(numbered(2, state="waived"))
    manager.sender.repeat()
    manager.sender.send([numbered(1, state="resolved")])
    manager.sender.repeat()
    assert [[(each["labels"]["finding"][-1], "endsAt" in each) for each in post] for post in manager.posts] == [
        [("1", False)],
        [("1", True)],
    ]


def test_alertmanager_repeats_no_more_than_its_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sensor.alerts.senders.web._MAX_OPEN", 100)
    manager = Manager(alertmanager())
    for n in range(150):
        manager.sender.send([numbered(n)])
    manager.posts.clear()
    manager.sender.repeat()
    assert sum(len(post) for post in manager.posts) == 100


# All together


def test_every_kind_of_sink_becomes_a_delivery_that_can_be_started_and_stopped(tmp_path: Path) -> None:
    text = f"""
sinks:
- {{type: file, path: {tmp_path}/f, name: one}}
- {{type: file, path: {tmp_path}/g, name: two, format: ocsf, spool: true, min_severity: high}}
- {{type: journald}}
- {{type: syslog, address: "127.0.0.1:{closed_port()}", transport: tcp}}
- {{type: alertmanager, url: "http://127.0.0.1:{closed_port()}"}}
- {{type: webhook, url: "http://127.0.0.1:{closed_port()}", queue: 16}}
- {{type: hep, address: "127.0.0.1:{closed_port()}"}}
"""
    made = deliveries(parse_config(text, "f").sinks, lambda _: NoDisk(), SENSOR)
    assert [one.name for one in made] == ["one", "two", "journald", "syslog", "alertmanager", "webhook", "hep"]
    for one in made:
        one.start()
        one.put(event())
    eventually(lambda: all(one.counts().delivered for one in made[:2]))
    for one in made:
        one.stop(1.0)
    assert json.loads((tmp_path / "f").read_text()) == event()


class NoDisk:
    """What waits on a disk that has nothing."""

    resets = 0

    def waiting(self) -> tuple[int, int]:
        return 0, 0

    def has(self, _number: int) -> bool:
        return False

    def head(self, _after: int, _count: int) -> list[tuple[int, int, Event]]:
        return []

    def settle(self, _numbers: Iterable[int]) -> None:
        pass


def test_sink_with_a_spool_needs_a_state_directory(tmp_path: Path) -> None:
    sinks: tuple[AnySink, ...] = (file_sink(tmp_path / "f", ", spool: true"),)
    with pytest.raises(FileNotFoundError, match="sink file: a spool needs a state directory"):
        deliveries(sinks, None, SENSOR)


def test_delivery_to_a_receiver_that_comes_back_loses_nothing() -> None:
    port = closed_port()
    delivery = Delivery("web", webhook(port, ", batch: 3"), first_pause_s=0.02, greatest_pause_s=0.05)
    delivery.start()
    try:
        for n in range(10):
            delivery.put(numbered(n))
        eventually(lambda: delivery.counts().retries > 2)
        with socket.create_server(("127.0.0.1", port)) as listener:
            got: list[int] = []
            listener.settimeout(5)
            while len(got) < 10:
                connection, _ = listener.accept()
                with connection:
                    connection.settimeout(5)
                    body = read_request(connection).partition(b"\r\n\r\n")[2]
                    connection.sendall(OK)
                    got += [int(entry["id"], 16) for entry in json.loads(body)]
        assert got == list(range(10))
        eventually(lambda: delivery.counts().delivered == 10)
    finally:
        delivery.stop(1.0)


def test_closed_udp_port_is_told_by_the_attempt_after(datagrams: socket.socket) -> None:
    port = datagrams.getsockname()[1]
    datagrams.close()
    sender = syslog_sender(port)
    sender.send([event()])
    with pytest.raises(SendError, match="Connection refused"):
        send_often(sender, [event()], pause_s=0.05)
