"""Events: each step in a finding's life once, as JSON for a service and as text on a terminal."""

from __future__ import annotations

import fcntl
import io
import json
import os
import select
import threading
from pathlib import Path
from typing import Any

import pytest

from sensor.output.events import Events, configure
from tests.unit.sensor.samples import event, finding


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


class Full(io.StringIO):
    """A stream on a full disk."""

    def write(self, text: str, /) -> int:
        raise OSError(28, f"No space left on device for {len(text)} characters")


def said(out: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in out.getvalue().splitlines()]


def test_finding_says_each_step_once_with_its_evidence() -> None:
    out = io.StringIO()
    events = Events(configure(out))
    found = finding()
    events.put(event(found, "opened"))
    events.put(event(found, "updated"))
    found.state = "resolved"
    events.put(event(found, "resolved"))
    assert [(line["event"], line["level"], line["state"]) for line in said(out)] == [
        ("finding_opened", "critical", "open"),
        ("finding_updated", "critical", "open"),
        ("finding_resolved", "info", "resolved"),
    ]
    opened = said(out)[0]
    assert opened["code"] == "media-clear-despite-srtp"
    assert opened["severity"] == "critical"
    assert opened["subject"] == {"kind": "leg", "a": "192.0.2.10", "b": "192.0.2.20"}
    assert opened["evidence"] == ["250 packets of PCMU were in clear although SRTP was agreed on."]
    assert opened["first"] == "2026-01-05T10:00:00.000000Z"
    assert opened["time"].endswith("Z")


@pytest.mark.parametrize(
    ("severity", "level"),
    [("info", "info"), ("low", "info"), ("medium", "warning"), ("high", "error"), ("critical", "critical")],
)
def test_finding_opened_has_the_level_of_its_severity(severity: str, level: str) -> None:
    out = io.StringIO()
    Events(configure(out)).put(event(finding(severity=severity)))
    assert said(out)[0]["level"] == level


def test_finding_waived_is_recorded_but_does_not_alert() -> None:
    out = io.StringIO()
    Events(configure(out)).put(event(finding(state="waived", waived_by="J. Doe")))
    assert (said(out)[0]["level"], said(out)[0]["waived_by"]) == ("info", "J. Doe")


def test_terminal_gets_text_for_people() -> None:
    out = Terminal()
    Events(configure(out)).say("capture_started", interface="span0")
    with pytest.raises(json.JSONDecodeError):
        json.loads(out.getvalue())
    assert "capture_started" in out.getvalue()
    assert "span0" in out.getvalue()


def test_event_that_cannot_be_written_is_counted_and_not_raised() -> None:
    events = Events(configure(Full()))
    events.say("capture_started")
    events.put(event(finding()))
    assert events.failed == 2


def test_reader_that_does_not_read_holds_nobody_up() -> None:
    reader, writer = os.pipe()
    with os.fdopen(reader), os.fdopen(writer, "w") as out:
        events = Events(configure(out))
        for _ in range(1000):
            events.put(event(finding()))
    assert 0 < events.failed < 1000


def test_event_longer_than_a_pipe_takes_at_once_is_shortened_and_holds_nobody_up() -> None:
    faults = [f"legwatch.yaml:{n}:3: policy.segments[{n}].cidrs[0]: must be an address range" for n in range(200)]
    reader, writer = os.pipe()
    os.write(writer, bytes(fcntl.fcntl(writer, fcntl.F_GETPIPE_SZ) - select.PIPE_BUF))
    with os.fdopen(reader, "rb", buffering=0) as pipe, os.fdopen(writer, "w") as out:
        events = Events(configure(out))
        thread = threading.Thread(
            target=events.say, args=("reload_failed",), kwargs={"faults": faults, "codes": [1, 2]}
        )
        thread.start()
        thread.join(2)
        in_time = not thread.is_alive()
        text = pipe.read(1 << 20).lstrip(b"\0")
        thread.join()
    assert in_time
    assert events.failed == 0
    line = json.loads(text)
    assert 3900 < len(text) <= select.PIPE_BUF
    assert (line["faults"], line["codes"]) == (faults[: len(line["faults"])], [1, 2])
    assert line["left_out"] == 200 - len(line["faults"])


@pytest.mark.parametrize(("octets", "written"), [(3700, True), (4000, False)])
def test_event_that_is_too_long_without_its_lists_is_counted_and_not_written(octets: int, *, written: bool) -> None:
    out = io.StringIO()
    events = Events(configure(out))
    events.say("state_failed", error="x" * octets, more=["y" * 400])
    assert (events.failed, bool(said(out))) == (0, True) if written else (1, False)
    assert not written or (said(out)[0]["more"], said(out)[0]["left_out"]) == ([], 1)


def test_threads_that_speak_at_once_lose_nothing_and_write_whole_lines(tmp_path: Path) -> None:
    with (tmp_path / "log").open("w") as out:
        events = Events(configure(out))

        def speak(who: int) -> None:
            for number in range(2000):
                events.say("said", who=who, number=number)

        threads = [threading.Thread(target=speak, args=(who,)) for who in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    lines = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()]
    assert sorted((line["who"], line["number"]) for line in lines) == [
        (who, n) for who in range(4) for n in range(2000)
    ]
    assert (events.state().delivered, events.failed) == (8000, 0)


def test_two_runs_in_one_process_do_not_share_a_logger() -> None:
    one, two = io.StringIO(), io.StringIO()
    first, second = Events(configure(one)), Events(configure(two))
    first.say("capture_started")
    second.say("capture_stopped")
    assert [line["event"] for line in said(one)] == ["capture_started"]
    assert [line["event"] for line in said(two)] == ["capture_stopped"]
