"""The ledger of a running sensor: what is in it, and that a kill, a full disk and a forger leave it honest."""

from __future__ import annotations

import itertools
import json
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from deploy.demo.wire import Endpoint, Host, udp
from sensor.ledger import reader
from sensor.ledger.keys import VerifierKey, new_pem
from sensor.ledger.verify import Result, verify
from tests import canaries
from tests.live.disk import Disk
from tests.live.faults import (
    POLICY,
    Feed,
    all_are_accounted_for,
    call,
    configured,
    feeding,
    holds,
    judges,
    loading,
    of_code,
    watching,
)
from tests.live.lab import ROOT, Mirror, Namespace, Sensor, namespaces, running_sensor, sh, wait_for
from tests.unit.sensor.ledger.schema import VALIDATOR

pytestmark = pytest.mark.live

WAITING = 65_536  # entries that a ledger has room for while its disk takes none
Entries = list[dict[str, Any]]


@pytest.fixture
def namespace() -> Iterator[Namespace]:
    with namespaces("ledger") as (made,):
        Mirror(made).close()
        yield made


def new_key(path: Path) -> str:
    """Make a key that only its owner may read; return its path."""
    path.write_bytes(new_pem())
    path.chmod(0o600)
    return str(path)


@pytest.fixture
def ledger(tmp_path: Path) -> dict[str, Any]:
    return {"directory": str(tmp_path / "ledger"), "key_file": new_key(tmp_path / "key.pem")}


def kept(ledger: dict[str, Any]) -> Entries:
    """Return the entries."""
    entries: Any = [entry for _, entry in reader.entries(Path(ledger["directory"]))]
    return list(entries)


def of_kind(ledger: dict[str, Any], kind: str) -> Entries:
    """Return the entries of a kind."""
    return [entry for entry in kept(ledger) if entry["kind"] == kind]


def verified(ledger: dict[str, Any], vkey: str = "") -> Result:
    """Verify a ledger by a public key, or by that of its first entry; two programs have to agree that it is whole."""
    key = VerifierKey.parse(vkey or kept(ledger)[0]["vkey"])
    result = verify(Path(ledger["directory"]), [key], now_ms=time.time_ns() // 1_000_000)
    assert result.faults == []
    independent = (sys.executable, str(ROOT / "deploy/verify/legwatch_verify.py"))
    sh(*independent, ledger["directory"], "--key", str(key))
    return result


def signed(ledger: dict[str, Any]) -> int:
    """Return how many entries the newest checkpoint is about."""
    path = Path(ledger["directory"], "checkpoint")
    return int(path.read_text().splitlines()[1]) if path.exists() else 0


@contextmanager
def keeping(
    namespace: Namespace, folder: Path, ledger: dict[str, Any], **sections: Any
) -> Iterator[tuple[Sensor, Feed]]:
    """Run a sensor that keeps this ledger, and feed it; it must end well."""
    with watching(namespace, folder, ledger=ledger, **sections) as sensor, feeding(namespace) as feed:
        wait_for(lambda: signed(ledger), "the ledger is begun")
        yield sensor, feed


def test_what_the_sensor_saw_said_and_did_is_in_a_ledger_that_verifies(
    namespace: Namespace, tmp_path: Path, ledger: dict[str, Any]
) -> None:
    with keeping(namespace, tmp_path, ledger) as (sensor, feed):
        judges(sensor, feed, 1)
        wait_for(lambda: len(of_kind(ledger, "leg")) == 2, "the legs are over and kept")
        assert sensor.metric("legwatch_ledger_entries_total") > 0
        assert sensor.metric("legwatch_ledger_lost_entries_total") == 0
        assert abs(sensor.metric("legwatch_ledger_last_checkpoint_timestamp_seconds") - time.time()) < 30
        assert sensor.metric("legwatch_ledger_size_octets") > 0
        holds(sensor, ledger_unwritable=None, ledger_budget=None)
    result = verified(ledger)
    assert (result.size, result.unsigned) == (len(kept(ledger)), 0)
    entries = kept(ledger)
    for entry in entries:
        VALIDATOR.validate(entry)
    assert [entry["kind"] for entry in entries[:3]] == ["ledger", "start", "policy"]
    assert len(of_kind(ledger, "clock")) == 1
    assert {leg["a"]: leg["observed"] for leg in of_kind(ledger, "leg")} == {
        "10.60.1.1": "clear", "10.60.2.1": "encrypted"
    }  # fmt: skip
    steps = [entry["step"] for entry in of_kind(ledger, "finding") if entry["code"] == "media-clear"]
    assert steps == ["opened", "resolved"]
    assert {entry["address"] for entry in of_kind(ledger, "endpoint")} >= {"10.60.1.1", "10.60.2.2"}
    coverage = of_kind(ledger, "coverage")
    assert sum(entry["received"] for entry in coverage) == feed.taken
    assert all(before["to"] == after["from"] for before, after in itertools.pairwise(coverage))
    (voice,) = coverage[-1]["segments"]
    assert voice["name"] == "voice"
    assert entries[-1] | {"kind": "stop", "packets": feed.taken} == entries[-1]


def test_policy_of_a_reload_is_kept(namespace: Namespace, tmp_path: Path, ledger: dict[str, Any]) -> None:
    with keeping(namespace, tmp_path, ledger) as (sensor, _):
        said = {"control": "164.312(a)(1)", "statement": "Recordings are encrypted.", "by": "Ann", "date": "2026-01-05"}
        text = Path(configured(tmp_path, POLICY | {"attestations": [said]}, ledger=ledger)).read_text()
        (tmp_path / "legwatch.yaml").write_text(text.replace("'2026-01-05'", "2026-01-05"))
        sensor.process.send_signal(signal.SIGHUP)
        wait_for(lambda: sensor.events("reloaded"), "the configuration is taken")
        wait_for(lambda: len(of_kind(ledger, "policy")) == 2, "the policy is kept")
    before, after = of_kind(ledger, "policy")
    assert (before["attestations"], after["attestations"][0]["on"]) == ([], "2026-01-05")


def test_killed_sensor_has_lost_nothing_that_was_signed_and_says_what_it_found(
    namespace: Namespace, tmp_path: Path, ledger: dict[str, Any]
) -> None:
    config = configured(tmp_path, ledger=ledger)
    with running_sensor(namespace, tmp_path, "--config", config) as sensor, feeding(namespace) as feed:
        wait_for(lambda: signed(ledger), "the ledger is begun")
        with loading(sensor, feed, 5_000, 8.0, flows=100):
            for number in range(1, 60):
                feed.send(*call(number, packets=10))
                time.sleep(0.1)
            had = signed(ledger)
            sensor.process.kill()
            sensor.process.wait()
    (segment,) = Path(ledger["directory"]).glob("*.jsonl")
    before = segment.read_bytes().splitlines(keepends=True)
    assert len(before) >= signed(ledger) >= had > 10
    unsigned = len(before) - signed(ledger)
    with segment.open("ab") as file:
        file.write(b'{"at":17')  # what a power cut leaves of a line
    with keeping(namespace, tmp_path, ledger):
        pass
    verified(ledger)
    assert segment.read_bytes().splitlines(keepends=True)[: len(before)] == before
    (recovered,) = of_kind(ledger, "recovered")
    assert recovered | {"cut": 8, "unsigned": unsigned} == recovered
    assert [entry["kind"] for entry in kept(ledger) if entry["kind"] in {"start", "stop"}] == ["start", "start", "stop"]


def refusals(count: int) -> Iterator[bytes]:
    """Yield so many registrations that a server refuses, two frames each."""
    phone, server = Endpoint(Host("phone", "10.60.200.1"), 5060), Endpoint(Host("pbx", "10.60.200.2"), 5060)
    for number in range(count):
        head = (
            f"Via: SIP/2.0/UDP 10.60.200.1:5060;branch=z9hG4bK{number}\r\nFrom: <sip:u@x>;tag=1\r\nTo: <sip:u@x>\r\n"
            f"Call-ID: {number}\r\nCSeq: {number + 1} REGISTER\r\n"
        )
        login = 'Authorization: Digest username="u", realm="x", nonce="1", uri="sip:x", response="00"\r\n'
        yield udp(phone, server, f"REGISTER sip:x SIP/2.0\r\n{head}{login}Content-Length: 0\r\n\r\n".encode())
        yield udp(server, phone, f"SIP/2.0 403 Forbidden\r\n{head}Content-Length: 0\r\n\r\n".encode())


def send_in_time(feed: Feed, frames: Iterator[bytes], rate: float = 1_900) -> None:
    """Send frames no faster than the core says all of what they are: a thousand refusals a second."""
    start = time.monotonic()
    for number, frame in enumerate(frames):
        feed.send(frame)
        if number % 20 == 0 and (ahead := number / rate - (time.monotonic() - start)) > 0:
            time.sleep(ahead)


def test_full_disk_is_a_critical_finding_and_a_gap_and_capture_goes_on(
    namespace: Namespace,
    disk: Disk,
    tmp_path: Path,
    ledger: dict[str, Any],
) -> None:
    ledger |= {"directory": str(disk.place / "ledger"), "transactions": True}
    with keeping(namespace, tmp_path, ledger, limits={"findings": 100}) as (sensor, feed):
        judges(sensor, feed, 1)
        disk.fill()
        send_in_time(feed, refusals(100))  # more than the last block has room for
        holds(sensor, ledger_unwritable="blind")
        wait_for(lambda: of_code(sensor.events("finding_opened"), "sensor-evidence"), "an alert says so")
        (found,) = of_code(sensor.events("finding_opened"), "sensor-evidence")
        assert (found["severity"], "No space left on device" in found["evidence"][0]) == ("critical", True)
        judges(sensor, feed, 3)
        send_in_time(feed, refusals(WAITING + 1_000))
        wait_for(lambda: sensor.metric("legwatch_ledger_lost_entries_total") > 0, "the queue is full")
        judges(sensor, feed, 5)
        assert all_are_accounted_for(sensor, feed).dropped == 0
        assert sensor.get("/-/ready")[0] == 503
        disk.make_room()
        holds(sensor, ledger_unwritable=None)
        wait_for(lambda: of_code(sensor.events("finding_resolved"), "sensor-evidence"), "it is over")
        wait_for(lambda: of_kind(ledger, "gap"), "the gap is kept", 60.0)
        lost = sensor.metric("legwatch_ledger_lost_entries_total")
        judges(sensor, feed, 7)
    verified(ledger)
    gaps = of_kind(ledger, "gap")
    assert (sum(gap["lost"] for gap in gaps), {gap["why"] for gap in gaps}) == (lost, {"disk"})
    findings = [entry["step"] for entry in of_kind(ledger, "finding") if entry["code"] == "sensor-evidence"]
    assert findings == ["opened", "resolved"]
    opened = {entry["subject"]["a"] for entry in of_kind(ledger, "finding") if entry["code"] == "media-clear"}
    assert opened >= {"10.60.1.1", "10.60.3.1", "10.60.7.1"}  # the fifth came when there was no room
    assert any("ledger-unwritable" in entry["reasons"] for entry in of_kind(ledger, "coverage"))


def test_new_key_is_told_by_the_old_one_and_the_first_public_key_is_enough(
    namespace: Namespace, tmp_path: Path, ledger: dict[str, Any]
) -> None:
    with keeping(namespace, tmp_path, ledger):
        pass
    first = kept(ledger)[0]["vkey"]
    rotated = ledger | {"key_file": new_key(tmp_path / "new.pem"), "former_key_file": ledger["key_file"]}
    with keeping(namespace, tmp_path, rotated):
        pass
    del rotated["former_key_file"]
    with keeping(namespace, tmp_path, rotated):
        pass
    (told,) = of_kind(ledger, "key")
    assert told["old"] == first
    for vkey in (first, told["new"]):
        assert verified(ledger, vkey).unsigned == 0
    assert [entry["kind"] for entry in kept(ledger)].count("stop") == 3


def test_entry_that_was_changed_is_not_signed_over_and_the_sensor_says_so(
    namespace: Namespace, tmp_path: Path, ledger: dict[str, Any]
) -> None:
    with keeping(namespace, tmp_path, ledger):
        pass
    (segment,) = Path(ledger["directory"]).glob("*.jsonl")
    forged = segment.read_bytes().replace(b'"kind":"stop","packets":0', b'"kind":"stop","packets":7')
    segment.write_bytes(forged)
    with watching(namespace, tmp_path, ledger=ledger) as sensor, feeding(namespace) as feed:
        holds(sensor, ledger_unwritable="blind")
        judges(sensor, feed, 1)
        wait_for(lambda: of_code(sensor.events("finding_opened"), "sensor-evidence"), "an alert says so")
    assert segment.read_bytes() == forged


@pytest.mark.parametrize("identities", ["pseudonym", "mask", "reveal"])
def test_planted_secrets_are_in_no_entry(
    namespace: Namespace, tmp_path: Path, ledger: dict[str, Any], identities: str
) -> None:
    ledger |= {"transactions": True}
    with keeping(namespace, tmp_path, ledger, privacy={"identities": identities}) as (sensor, feed):
        for _, frame in canaries.frames():
            feed.send(frame)
            time.sleep(0.001)
        refusal = canaries.message("SIP/2.0 403 Forbidden", f"{canaries.HEAD}CSeq: 1 REGISTER\n")
        feed.send(next(frame for _, frame in canaries.frames()), udp(*canaries.SIP[::-1], refusal))
        wait_for(lambda: of_code(sensor.events("finding_opened"), "sdes-key-exposed"), "findings")
        all_are_accounted_for(sensor, feed)
    for entry in kept(ledger):
        VALIDATOR.validate(entry)
    kinds = {entry["kind"] for entry in kept(ledger)}
    assert kinds >= {"leg", "call", "finding", "endpoint", "transaction"}
    text = "".join(path.read_text("latin-1") for path in Path(ledger["directory"]).iterdir())
    assert not canaries.leaks(text)


def test_addresses_that_are_veiled_are_in_no_entry(
    namespace: Namespace, tmp_path: Path, ledger: dict[str, Any]
) -> None:
    hosts = [{"name": "pbx", "role": "pbx", "addresses": ["10.60.200.2"]}]
    policy = POLICY | {"segments": [{"name": "voice", "cidrs": ["10.60.0.0/16"]}], "hosts": hosts}
    ledger |= {"transactions": True}
    sections: dict[str, Any] = {"ledger": ledger, "privacy": {"addresses": "pseudonym"}}
    with watching(namespace, tmp_path, policy, **sections) as sensor, feeding(namespace) as feed:
        feed.send(*call(1), *refusals(3))
        wait_for(lambda: sensor.events("finding_opened"), "a finding")
        all_are_accounted_for(sensor, feed)
    verified(ledger)
    assert {entry["kind"] for entry in kept(ledger)} >= {"leg", "finding", "endpoint", "transaction", "policy"}
    assert "10.60." not in json.dumps(kept(ledger))
