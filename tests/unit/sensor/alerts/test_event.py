"""The canonical event: as its schema says, and separate from the finding it is about."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, cast

import pytest
from jsonschema import Draft202012Validator, ValidationError

from sensor.alerts.event import Event, finding_event
from sensor.model import Subject
from sensor.policy.catalogue import CATALOGUE
from tests.unit.sensor.alerts.samples import ID, RUNBOOKS, SAMPLES, TIME, event
from tests.unit.sensor.samples import finding

ROOT = Path(__file__).parents[4]
SCHEMA = json.loads((ROOT / "docs" / "schema" / "event.schema.json").read_text())
Draft202012Validator.check_schema(SCHEMA)
VALIDATOR = Draft202012Validator(SCHEMA)


@pytest.mark.parametrize("sample", SAMPLES.values(), ids=SAMPLES)
def test_event_is_as_its_schema_says(sample: Event) -> None:
    VALIDATOR.validate(json.loads(json.dumps(sample)))


@pytest.mark.parametrize(
    "changes",
    [
        {"time": "2026-01-05T10:00:31Z"},
        {"event": "finding_forgotten"},
        {"id": "xyz"},
        {"state": "closed"},
        {"subject": {}},
        {"subject": {"kind": "leg", "caller": "15550199734"}},
        {"suppressed": {"opened": 1, "resolved": 0}},
        {"extra": 1},
        {"controls": ["everything"]},
        {"count": 1.5},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_event_of_another_shape_is_refused_by_the_schema(changes: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        VALIDATOR.validate(cast("dict[str, Any]", event()) | changes)


def test_summary_without_its_counts_is_refused_by_the_schema() -> None:
    made = cast("dict[str, Any]", dict(SAMPLES["summary"]))
    del made["suppressed"]
    with pytest.raises(ValidationError):
        VALIDATOR.validate(made)


@pytest.mark.parametrize("code", CATALOGUE)
def test_every_finding_of_the_catalogue_makes_an_event(code: str) -> None:
    entry = CATALOGUE[code]
    made = event(code=code, severity=entry.severity, controls=entry.controls)
    VALIDATOR.validate(json.loads(json.dumps(made)))
    assert (made["title"], made["runbook"]) == (entry.title, f"{RUNBOOKS}/{code}.md")


def test_event_says_what_the_finding_says() -> None:
    assert event() == {
        "time": TIME,
        "event": "finding_opened",
        "id": ID,
        "code": "media-clear-despite-srtp",
        "title": "Media in clear although SRTP was agreed",
        "severity": "critical",
        "state": "open",
        "subject": {"kind": "leg", "a": "192.0.2.10", "b": "192.0.2.20"},
        "segments": ["voice"],
        "evidence": ["250 packets of PCMU were in clear although SRTP was agreed on."],
        "controls": ["164.312(e)(2)(ii)"],
        "first": "2026-01-05T10:00:00.000000Z",
        "last": "2026-01-05T10:00:30.000000Z",
        "since": "2026-01-05T09:59:58.000000Z",
        "count": 1,
        "waived_by": None,
        "site": "north",
        "sensor": "span-1",
        "runbook": f"{RUNBOOKS}/media-clear-despite-srtp.md",
    }


def test_finding_about_no_packet_has_no_since() -> None:
    assert event(since_ns=0)["since"] is None


def test_finding_that_changes_later_leaves_its_event_as_it_was() -> None:
    changing = finding(subject=Subject("leg", "192.0.2.1", "192.0.2.2"))
    made = finding_event(changing, "opened", time=TIME, site="", sensor="s", runbooks="docs/runbooks/")
    changing.evidence.append("more")
    changing.severity, changing.state, changing.count = "low", "resolved", 9
    assert (made["evidence"], made["severity"], made["state"], made["count"]) == (
        ["250 packets of PCMU were in clear although SRTP was agreed on."], "critical", "open", 1,
    )  # fmt: skip
    assert made["runbook"] == "docs/runbooks/media-clear-despite-srtp.md"
