"""Events to map and to deliver: a leg in clear, a TLS server by IPv6, a waived finding, a summary."""

from __future__ import annotations

from datetime import datetime
from typing import Any, cast

from hypothesis import strategies as st

from sensor.alerts.event import Event, finding_event
from sensor.model import Subject
from tests.unit.sensor.samples import T0, finding

TIME = "2026-01-05T10:00:31.250000Z"
ID = "00112233445566aa"
RUNBOOKS = "https://docs.example.org/runbooks"


def event(change: Any = "opened", **changes: Any) -> Event:
    """Return the event of a change to the sample finding, with some of the finding's fields changed."""
    changed = finding(**({"id": ID, "since_ns": T0 - 2_000_000_000} | changes))
    return finding_event(changed, change, time=TIME, site="north", sensor="span-1", runbooks=RUNBOOKS)


def numbered(n: int, **changes: Any) -> Event:
    """Return the opening of another finding for each number."""
    return event(id=f"{n:016x}", **changes)


def summary() -> Event:
    """Return a summary of many findings."""
    made = event(evidence=[], segments=())
    return made | {"event": "finding_summary", "suppressed": {"opened": 41, "resolved": 7}, "window_s": 60.0}


SAMPLES: dict[str, Event] = {
    "opened": event(),
    "resolved": event("resolved", state="resolved"),
    "waived": event(state="waived", waived_by='J. "Doe" = owner|\nof it', severity="low"),
    "tls-server": event(
        "updated",
        code="cert-expired",
        severity="high",
        subject=Subject("tls-server", name="[2001:db8::5]:5061"),
        evidence=["The certificate of [2001:db8::5]:5061 expired 3 days ago.", "Zürich \\ pipe | and ] bracket"],
        controls=("164.312(d)",),
        since_ns=0,
    ),
    "interface": event(
        code="sensor-no-traffic", subject=Subject("interface", name="span0"), segments=(), controls=("164.312(b)",)
    ),
    "summary": summary(),
}

# Text of any kind, with much of what frames are made of
HOSTILE = st.text(st.characters() | st.sampled_from('\n\r\t\0|=\\"]\x7f\x85\u2028\ud800\udfff🙂'), max_size=40)
_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001  (as hypothesis wants it)
_ANY_TIME = st.datetimes(_EPOCH).map(lambda moment: f"{moment:%Y-%m-%dT%H:%M:%S.%f}Z")


@st.composite
def hostile_events(draw: st.DrawFn) -> Event:
    """An event whose every text may be anything; closed words and times are what they must be."""
    made = cast("dict[str, Any]", dict(draw(st.sampled_from(list(SAMPLES.values())))))
    for name in ("id", "code", "title", "site", "sensor", "runbook", "waived_by"):
        made[name] = draw(HOSTILE)
    for name in ("segments", "evidence", "controls"):
        made[name] = draw(st.lists(HOSTILE, max_size=4))
    made["subject"] = draw(st.dictionaries(st.sampled_from(["kind", "a", "b", "name"]), HOSTILE | _ADDRESSES))
    made["first"] = made["last"] = draw(_ANY_TIME)
    return cast("Event", made)


_ADDRESSES = st.one_of(st.ip_addresses().map(str), st.sampled_from(["fe80::1%\n", "[::1]:99999999", "1.2.3.4:٣", ":"]))
