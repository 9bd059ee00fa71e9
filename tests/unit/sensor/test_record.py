"""What the running sensor records by itself: a start, minutes, days with their inventories, a stop."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from sensor.commands import record
from sensor.commands.pipeline import Pipeline
from sensor.commands.reading import batches, open_source
from sensor.commands.record import Record
from sensor.config.schema import Config, Privacy
from sensor.ledger import reader
from sensor.ledger.keys import new_pem
from sensor.ledger.ledger import Ledger
from sensor.ledger.writer import Writer
from sensor.readiness import condition
from tests.unit.sensor.ledger.schema import VALIDATOR
from tests.unit.sensor.traffic import Heard

if TYPE_CHECKING:
    from collections.abc import Callable

CLINIC = Path(__file__).parents[3] / "deploy" / "demo" / "clinic.pcap"
START = {"version": "1.2.3", "site": "main", "sensor": "span-1", "filter": ""}
COUNTERS = {"received": 100, "classified": 90}
DIGESTS = ("0" * 64, "1" * 64)  # of a configuration, and of the next one
DAY_MS = 86_400_000
EVENING_MS = 20_515 * DAY_MS - 30_000  # half a minute before a midnight of March 2026, after the clinic's day
MINUTE_MS = 60_000


class Night:
    """A sensor that has seen the clinic and is looked at by a clock of its own."""

    def __init__(self, folder: Path, config: Config) -> None:
        self.now_ms = EVENING_MS
        self.directory = folder / "ledger"
        writer = Writer(self.directory, new_pem(), origin_name="legwatch/main")
        pipeline = Pipeline(config)
        self.record = Record(Ledger(writer), pipeline, config)
        self.heard = Heard()
        self.analysis = pipeline.analysis((self.heard,), "span0", self.record.sinks)

    def watch(self, share: float = 1.0) -> None:
        """Begin, and see this share of what the clinic's packets show."""
        self.record.begin(START, "span0", DIGESTS[0], COUNTERS)
        engine = Pipeline(Config()).engine()
        seen = [each for records in batches(str(CLINIC), open_source(str(CLINIC)), engine) for each in records]
        for each in seen[: round(share * len(seen))]:
            self.analysis.feed(each)

    def look(self, after_ms: int = 1000, *, synchronised: bool = True) -> None:
        """Look again after so long."""
        self.now_ms += after_ms
        self.record.look(COUNTERS, (condition("loss", "text"),), self.analysis, synchronised=synchronised)

    def end(self) -> list[dict[str, Any]]:
        """End; return what is in the ledger."""
        self.analysis.close()
        self.record.end(COUNTERS, self.analysis, "asked to")
        entries: list[Any] = [entry for _, entry in reader.entries(self.directory)]
        for entry in entries:
            VALIDATOR.validate(entry)
        return entries


@pytest.fixture
def night(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Config], Night]:
    def made(config: Config) -> Night:
        begun = Night(tmp_path, config)
        monkeypatch.setattr(record, "_now_ms", lambda: begun.now_ms)
        return begun

    return made


def kinds(entries: list[dict[str, Any]]) -> list[str]:
    return [entry["kind"] for entry in entries]


def test_new_day_has_its_policy_and_what_was_seen_and_no_other_sink_is_told(night: Callable[[Config], Night]) -> None:
    sensor = night(Config())
    sensor.watch()
    sensor.look()
    legs = len(sensor.heard.legs)
    for _ in range(40):  # over midnight
        sensor.look()
    told = len(sensor.heard.endpoints), len(sensor.heard.tls_servers), len(sensor.heard.legs)
    assert told == (0, 0, legs)
    for _ in range(60):
        sensor.look()
    endpoints, servers = sensor.analysis.inventory()
    assert endpoints
    assert servers
    entries = sensor.end()
    assert kinds(entries).count("policy") == 2
    assert kinds(entries).count("endpoint") == 2 * len(endpoints)  # of the day, and at the end
    assert kinds(entries).count("tls-server") == 2 * len(servers)


def test_what_was_not_seen_since_the_last_inventory_is_not_in_the_next(night: Callable[[Config], Night]) -> None:
    sensor = night(Config())
    sensor.watch()
    for _ in range(3):
        sensor.look(DAY_MS)
    entries = sensor.end()
    assert kinds(entries).count("policy") == 4
    assert kinds(entries).count("endpoint") == 2 * len(sensor.heard.endpoints)


def test_open_finding_has_how_often_it_was_seen_each_day_and_at_the_end(night: Callable[[Config], Night]) -> None:
    sensor = night(Config())
    sensor.watch()
    for _ in range(100):
        sensor.look()  # over midnight, and long enough for the inventory
    often = max(sensor.analysis.book.open_findings(), key=lambda finding: finding.count)
    assert (at_midnight := often.count) > 1
    steps = [entry for entry in sensor.end() if entry["kind"] == "finding" and entry["id"] == often.id]
    assert [(entry["step"], entry["count"]) for entry in steps][-2:] == [
        ("updated", at_midnight),
        ("updated", often.count),
    ]
    assert steps[-1]["last"] == often.last_ns // 1_000_000


def test_finding_that_is_over_is_not_told_again(night: Callable[[Config], Night]) -> None:
    sensor = night(Config())
    sensor.watch()
    for _ in range(31):
        sensor.look()  # the inventory has begun
    often = sensor.analysis.book.open_findings()
    sensor.analysis.advance(often[0].last_ns + 3600 * 1_000_000_000)
    gone = {each.id for each in often if each.state == "resolved"}
    assert gone
    for _ in range(9):
        sensor.look()
    last = {entry["id"]: entry["step"] for entry in sensor.end() if entry["kind"] == "finding"}
    assert {last[each] for each in gone} == {"resolved"}


def test_clock_is_said_when_it_becomes_another_one(night: Callable[[Config], Night]) -> None:
    sensor = night(Config())
    sensor.watch()
    for synchronised in (True, True, False, False, True):
        sensor.look(synchronised=synchronised)
    assert [entry["synchronised"] for entry in sensor.end() if entry["kind"] == "clock"] == [True, False, True]


def test_whether_the_clock_is_kept_is_said_of_each_day(night: Callable[[Config], Night]) -> None:
    sensor = night(Config())
    sensor.watch()
    for _ in range(4):  # the third is of another day
        sensor.look(15_000)
    assert [entry["synchronised"] for entry in sensor.end() if entry["kind"] == "clock"] == [True, True]


def test_legs_in_progress_are_in_their_minute_and_those_that_ended_in_theirs(night: Callable[[Config], Night]) -> None:
    sensor = night(Config())
    sensor.watch(0.5)
    in_progress, ended = len(sensor.analysis), len(sensor.heard.legs)
    assert in_progress
    sensor.look()
    sensor.look(MINUTE_MS)
    first, last = [entry for entry in sensor.end() if entry["kind"] == "coverage"]
    assert (first["state"], first["reasons"]) == ("blind", ["stuck", "loss"])  # nobody looked for a minute
    assert last["reasons"] == []
    within = [{each["name"]: each["legs"] for each in entry["segments"]}["voice"] for entry in (first, last)]
    assert within == [in_progress + ended, in_progress]


def test_configuration_is_named_by_the_digest_of_what_was_read(
    night: Callable[[Config], Night],
) -> None:
    sensor = night(Config())
    sensor.watch()
    sensor.record.reload(Config().policy, DIGESTS[1])
    entries = sensor.end()
    start = entries[kinds(entries).index("start")]
    assert start | START | {"interface": "span0"} == start
    assert start["configuration"] == DIGESTS[0]
    assert [each["configuration"] for each in entries if each["kind"] == "policy"] == list(DIGESTS)
    assert start["policy"] == record._digest_of_policy(entries[kinds(entries).index("policy")])


def test_veiled_inventory_shows_no_address(night: Callable[[Config], Night]) -> None:
    sensor = night(Config(privacy=Privacy(addresses="pseudonym")))
    sensor.watch()
    for _ in range(60):
        sensor.look()
    entries = sensor.end()
    assert {"endpoint", "tls-server", "leg", "finding"} <= set(kinds(entries))
    assert "10.20." not in str([entry for entry in entries if entry["kind"] != "policy"])
