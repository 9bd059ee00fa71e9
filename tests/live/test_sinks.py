"""Events to real receivers: rsyslog, Alertmanager, the journal, and a disk that is full."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from io import StringIO
from pathlib import Path

import pytest

from sensor.alerts.build import deliveries
from sensor.alerts.delivery import Delivery
from sensor.alerts.event import Event
from sensor.config.load import parse_config
from sensor.config.sinks import AlertmanagerSink, AnySink
from sensor.findings import Book
from sensor.output.events import Events, configure
from sensor.state.findings import FindingsFile
from sensor.state.outbox import Outbox
from tests.live.lab import ROOT, Namespace, namespaces, program, sh, wait_for
from tests.live.servers import ALERTS, Alertmanager, listening, running_alertmanager
from tests.unit.sensor.alerts.receivers import Authority, authority
from tests.unit.sensor.alerts.samples import SAMPLES, event, numbered

pytestmark = pytest.mark.live

SENSOR = "span-1"
UDP, TCP, TLS = 5514, 5515, 6514
HOSTILE = event(evidence=['Zürich 🙂 "quoted" ]\n<13>1 forged - - - - - \\ | = \u2028 end', "x" * 3000], id="f" * 16)


@pytest.fixture(scope="module")
def namespace() -> Iterator[Namespace]:
    with namespaces("sinks") as (made,):
        yield made


@contextmanager
def delivering(
    namespace: Namespace, sinks: Sequence[AnySink], outbox: Outbox | None = None
) -> Iterator[list[Delivery]]:
    """Deliver from within the namespace: its threads are where the one that starts them is."""
    made = deliveries(sinks, None if outbox is None else outbox.shelf, SENSOR)
    with namespace.entered():
        for delivery in made:
            delivery.start()
    try:
        yield made
    finally:
        for delivery in made:
            delivery.stop(5.0)


def sinks_of(text: str) -> tuple[AnySink, ...]:
    return parse_config(f"sinks: {text}", "f").sinks


# rsyslog


class Rsyslog:
    """A real rsyslog, as the files that it writes show it."""

    def __init__(self, folder: Path, ca: Authority) -> None:
        self.folder, self.ca = folder, ca

    def settings(self) -> str:
        certificate, key = self.ca.issue("logs.example.org")
        shown = "%inputname%|%pri%|%timereported:::date-rfc3339%|%hostname%|%app-name%|%msgid%|%structured-data%|%msg%"
        return f"""
global(workDirectory="{self.folder}" maxMessageSize="64k" defaultNetstreamDriverCAFile="{self.ca.path}"
       defaultNetstreamDriverCertFile="{certificate}" defaultNetstreamDriverKeyFile="{key}")
module(load="imudp")
module(load="imptcp")
module(load="imtcp" streamDriver.name="gtls" streamDriver.mode="1" streamDriver.authMode="x509/name"
       permittedPeer=["sensor.example.org"])
input(type="imudp" address="127.0.0.1" port="{UDP}" name="udp")
input(type="imptcp" address="127.0.0.1" port="{TCP}" name="tcp")
input(type="imtcp" address="127.0.0.1" port="{TLS}" name="tls")
template(name="shown" type="string" string="{shown}\\n")
action(type="omfile" file="{self.folder}/shown" template="shown")
"""

    def shown(self, way: str) -> list[list[str]]:
        """The messages that came by a way, in the parts that rsyslog found in them."""
        path = self.folder / "shown"
        lines = path.read_text().splitlines() if path.exists() else []
        return [line.split("|", 7) for line in lines if line.startswith(f"{way}|")]


@pytest.fixture(scope="module")
def rsyslog(namespace: Namespace, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rsyslog]:
    folder = tmp_path_factory.mktemp("rsyslog")
    server = Rsyslog(folder, authority(folder))
    (folder / "rsyslog.conf").write_text(server.settings())
    command = ("rsyslogd", "-n", "-f", str(folder / "rsyslog.conf"), "-i", str(folder / "pid"))
    with program(namespace.command(*command), folder / "out.txt"):
        wait_for(lambda: all(listening(namespace, port) for port in (TCP, TLS)), "rsyslog listens")
        yield server


@pytest.mark.parametrize("way", ["udp", "tcp", "tls"])
def test_rsyslog_writes_what_was_sent(way: str, rsyslog: Rsyslog, namespace: Namespace) -> None:
    certificate, key = rsyslog.ca.issue("sensor.example.org")
    port = {"udp": UDP, "tcp": TCP, "tls": TLS}[way]
    tls = (
        f", ca_file: {rsyslog.ca.path}, cert_file: {certificate}, key_file: {key}, server_name: logs.example.org"
        if way == "tls"
        else ""
    )
    with delivering(namespace, sinks_of(f"[{{type: syslog, address: '127.0.0.1:{port}', transport: {way}{tls}}}]")) as (
        delivery,
    ):
        for n in range(20):
            delivery.put(numbered(n))
        delivery.put(HOSTILE)
        wait_for(lambda: len(rsyslog.shown(way)) == 21, f"21 messages by {way}")
        assert delivery.counts().delivered == 21
    messages = rsyslog.shown(way)
    assert [message[6].partition(' id="')[2][:16] for message in messages] == [
        *(f"{n:016x}" for n in range(20)), "f" * 16,
    ]  # fmt: skip
    assert messages[0][1:6] == [
        "130", "2026-01-05T10:00:31.250000Z", SENSOR, "legwatch", "media-clear-despite-srtp",
    ]  # fmt: skip
    assert messages[0][7].endswith("250 packets of PCMU were in clear although SRTP was agreed on.")
    assert 'Zürich 🙂 "quoted" ] <13>1 forged' in messages[20][7]
    assert messages[20][7].endswith("x" * 3000)


def test_rsyslog_by_another_name_is_sent_nothing(rsyslog: Rsyslog, namespace: Namespace) -> None:
    before = len(rsyslog.shown("tls"))
    text = f"[{{type: syslog, address: '127.0.0.1:{TLS}', transport: tls, ca_file: {rsyslog.ca.path}}}]"
    with delivering(namespace, sinks_of(text)) as (delivery,):
        delivery.put(event())
        wait_for(lambda: not delivery.counts().up, "the name is refused")
    assert (delivery.counts().delivered, len(rsyslog.shown("tls"))) == (0, before)


# Alertmanager


@pytest.fixture
def alertmanager(namespace: Namespace, tmp_path: Path) -> Iterator[Alertmanager]:
    with running_alertmanager(namespace, tmp_path, "alertname", "finding") as running:
        yield running


def test_alertmanager_shows_calls_and_resolves_an_alert(alertmanager: Alertmanager, namespace: Namespace) -> None:
    sink = AlertmanagerSink(type="alertmanager", url=f"http://127.0.0.1:{ALERTS}", repeat=1.0)
    with delivering(namespace, [sink]) as (delivery,):
        now = time.strftime("%Y-%m-%dT%H:%M:%S.000000Z", time.gmtime())
        opened: Event = numbered(1) | {"time": now, "first": now}
        delivery.put(opened)
        delivery.put(SAMPLES["waived"] | {"time": now, "first": now, "id": "e" * 16})
        wait_for(lambda: ("firing", f"{1:016x}") in alertmanager.called(), "the receiver is called")
        (shown,) = alertmanager.alerts()
        assert shown["labels"] == {
            "alertname": "media-clear-despite-srtp",
            "severity": "critical",
            "segment": "voice",
            "site": "north",
            "sensor": SENSOR,
            "finding": f"{1:016x}",
        }
        assert shown["annotations"]["runbook_url"].endswith("/media-clear-despite-srtp.md")
        time.sleep(5)  # longer than the time after which Alertmanager takes silence for an end
        assert len(alertmanager.alerts()) == 1
        ended = time.strftime("%Y-%m-%dT%H:%M:%S.000000Z", time.gmtime())
        delivery.put(opened | {"event": "finding_resolved", "state": "resolved", "time": ended})
        wait_for(lambda: ("resolved", f"{1:016x}") in alertmanager.called(), "the receiver hears of the end")
        wait_for(lambda: not alertmanager.alerts(), "no alert is active")
        assert delivery.counts().up
    assert {finding for _, finding in alertmanager.called()} == {f"{1:016x}"}, "what is waived calls nobody"
    assert alertmanager.called().count(("firing", f"{1:016x}")) == 1


# The journal

JOURNALD = "/usr/lib/systemd/systemd-journald"
IN_ITS_OWN_MOUNTS = f"""
set -eu
mount -t tmpfs tmpfs /run
mkdir -p /run/systemd/journald.conf.d /run/log/journal /run/systemd/journal
printf '[Journal]\\nStorage=volatile\\nAudit=no\\nReadKMsg=no\\nForwardToWall=no\\nRateLimitBurst=0\\n' \\
    >/run/systemd/journald.conf.d/test.conf
{JOURNALD} >/dev/null 2>&1 </dev/null &
journald=$!
trap 'kill $journald; wait $journald || true' EXIT
for _ in $(seq 100); do [ -S /run/systemd/journal/socket ] && break; sleep 0.1; done
"$@"
journalctl --sync || true
journalctl --directory=/run/log/journal --output=json --all SYSLOG_IDENTIFIER=legwatch
"""
SEND = """
import json, sys
from sensor.alerts.build import deliveries
from sensor.config.load import parse_config
(delivery,) = deliveries(parse_config("sinks: [{type: journald}]", "f").sinks, None, "span-1")
delivery.start()
for line in sys.stdin:
    delivery.put(json.loads(line))
delivery.stop(10.0)
assert delivery.counts().queued == 0 and not any(delivery.counts().dropped.values()), delivery.counts()
"""


def test_journal_shows_entries_with_their_fields() -> None:
    large = event(evidence=["y" * 400_000], id="d" * 16)
    sent = [*SAMPLES.values(), HOSTILE, large]
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", IN_ITS_OWN_MOUNTS, "sh", sys.executable, "-c", SEND],
        cwd=ROOT,
        input="".join(json.dumps(entry) + "\n" for entry in sent),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    entries = [json.loads(line) for line in done.stdout.strip().split("\n")]  # U+2028 ends no line here
    assert [entry["LEGWATCH_ID"] for entry in entries] == [entry["id"] for entry in sent]
    opened, hostile, last = entries[0], entries[-2], entries[-1]
    assert (opened["PRIORITY"], opened["LEGWATCH_CODE"]) == ("2", "media-clear-despite-srtp")
    assert opened["MESSAGE"].startswith("Media in clear although SRTP was agreed, 192.0.2.10 and 192.0.2.20: 250")
    assert hostile["LEGWATCH_EVIDENCE"] == "\n".join(HOSTILE["evidence"])
    assert last["LEGWATCH_EVIDENCE"] == "y" * 400_000


# A full disk


@contextmanager
def small_disk(folder: Path, kib: int = 64) -> Iterator[Path]:
    """A file system of so many KiB."""
    place = folder / "small"
    place.mkdir()
    sh("mount", "-t", "tmpfs", "-o", f"size={kib}k", "tmpfs", str(place))
    try:
        yield place
    finally:
        sh("umount", str(place))


def test_file_on_a_full_disk_gets_what_waited_when_there_is_room(namespace: Namespace, tmp_path: Path) -> None:
    with small_disk(tmp_path) as place:
        (place / "filler").write_bytes(bytes(60 * 1024))
        with delivering(namespace, sinks_of(f"[{{type: file, path: {place}/f}}]")) as (delivery,):
            for n in range(40):
                delivery.put(numbered(n))
            wait_for(lambda: delivery.counts().retries, "the disk is full")
            assert not delivery.counts().up
            (place / "filler").unlink()
            wait_for(lambda: delivery.counts().delivered == 40, "there is room again")
        lines = [json.loads(line) for line in (place / "f").read_text().splitlines()]
    assert [int(line["id"], 16) for line in lines] == list(range(40))


def test_spool_on_a_full_disk_loses_nothing_silently(namespace: Namespace, tmp_path: Path) -> None:
    with small_disk(tmp_path, 2048) as place:
        said: list[str] = []
        log = Events(configure(StringIO()))
        outbox = Outbox(FindingsFile(place, "plain"), log, "log", lambda name, **_: said.append(name))
        text = "[{type: syslog, address: '127.0.0.1:9', transport: tcp, queue: 16, spool: true}]"
        try:
            with delivering(namespace, sinks_of(text), outbox) as (delivery,):
                outbox.deliver_to([delivery])
                outbox.start()
                for n in range(400):
                    outbox.put(numbered(n, evidence=["x" * 4000]))
                    outbox.commit(Book(()), {}, 1)
                    time.sleep(0.002)
                wait_for(lambda: delivery.counts().put == 400, "all are handed on")
                counts = delivery.counts()
                assert counts.spooled > 20
                assert counts.dropped["full"] > 0
                assert (outbox.errors > 0, said) == (True, ["state_failed"])
                assert sum(counts.dropped.values()) + counts.queued + counts.spooled == counts.put
        finally:
            outbox.stop()
