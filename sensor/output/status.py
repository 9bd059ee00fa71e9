"""The state of the running sensor as one JSON object: docs/schema/status.schema.json."""

from __future__ import annotations

import os
import time
from collections import Counter
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol

from sensor.model import SEVERITIES, WORSE
from sensor.output.jsonl import finding_object, timestamp
from sensor.output.metrics import Sources
from sensor.policy.health import UNDECODED
from sensor.readiness import readiness_object
from sensor.recent import RATE_S

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sensor.model import Protection
    from sensor.output.board import Board
    from sensor.output.metrics import LedgerState, Metrics, SinkState
    from sensor.recent import Growth, Recent

DAY_S = 86_400
_STATM = Path("/proc/self/statm")
_ACCOUNT = ("received", "classified")
_REASONS = ("ignored", "malformed", "shed")
_MIRROR = {
    "one_way": ("media_one_way",),
    "both_ways": ("media_both_ways",),
    "duplicates": ("duplicates",),
    "truncated": ("truncated",),
    "undecoded": UNDECODED,
    "gaps": ("gaps_common", "gaps_unreported"),
}


class Identity(NamedTuple):
    """Which sensor this is, and since when."""

    version: str
    site: str
    sensor: str
    interface: str
    started_s: float  # Unix time

    def fields(self) -> dict[str, object]:
        """Return them as the object has them, its process among them."""
        named = {"version": self.version, "site": self.site, "sensor": self.sensor, "interface": self.interface}
        return named | {"pid": os.getpid(), "started": _time(self.started_s)}


class StatusSources(Sources, Protocol):
    """What is asked for the status beside what is asked for the metrics."""

    def link(self) -> str:
        """Return the state of the interface: "up", "down" or "gone"."""

    def legs(self) -> Mapping[Protection, int]:
        """Return the legs in progress by what is observed of them (``Analysis.legs``)."""

    def recent(self) -> Recent:
        """Return the counters over the last minute, those of the kernel included."""


def status_object(sources: StatusSources, identity: Identity, metrics: Metrics, board: Board) -> dict[str, object]:
    """Return the status as of now. To be called by the thread that feeds the analysis: nothing may change meanwhile."""
    counters, capture = sources.counters(), sources.capture_state()
    recent, now_s, legs = sources.recent(), time.time(), sources.legs()
    return {
        **identity.fields(),
        "time": _time(now_s),
        "uptime_s": round(max(now_s - identity.started_s, 0.0), 1),
        **readiness_object(sources.conditions()),
        "link": sources.link(),
        "packets": {
            **{name: counters[name] for name in _ACCOUNT},
            **{family: _total(counters, family) for family in _REASONS},
            "kernel_drops": capture.kernel_drops,
        },
        "rates": _rates(recent.growth(RATE_S)),
        "legs": {state: legs.get(state, 0) for state in WORSE},
        "in_clear": [
            {"segments": list(ends), "legs": clear.legs} for ends, clear in sources.in_clear().items() if clear.legs
        ],
        "calls": sources.tables()["calls"],
        "streams": counters["streams"],
        "flows": counters["flows"],
        "findings": _findings(metrics, board),
        "mirror": _mirror(recent.growth()),
        "sinks": [_sink(name, state) for name, state in sources.sinks().items()],
        "ledger": _ledger(sources.ledger()),
        "tables": dict(sources.tables()),
        "clock": {"synchronised": capture.clock_synchronised, "steps": capture.clock_steps},
        "memory_octets": _resident(),
        "configuration": {"taken": _time(metrics.reload_time_s), "last_reload_successful": metrics.reload_succeeded},
    }


def _rates(lately: Growth) -> dict[str, float]:
    shed = (name for name in lately.after if name.startswith("shed."))
    rates = {
        "received": lately.rate("received"),
        "octets": lately.rate("octets"),
        "kernel_drops": lately.rate("kernel_drops"),
        "shed": lately.rate(*shed),
    }
    return {"seconds": round(lately.seconds, 1)} | {name: round(rate, 1) for name, rate in rates.items()}


def _mirror(minute: Growth) -> dict[str, float]:
    """Return what the mirror showed within the last minute."""
    malformed = tuple(name for name in minute.after if name.startswith("malformed."))
    counts = {name: minute.of(*counted) for name, counted in _MIRROR.items()}
    counts["undecoded"] += minute.of(*malformed)
    return {"seconds": round(minute.seconds, 1), "received": minute.of("received")} | counts


def _findings(metrics: Metrics, board: Board) -> dict[str, object]:
    severities, codes, waived = Counter[str](), Counter[str](), 0
    for (code, severity, state), count in metrics.findings().items():
        if state == "open":
            severities[severity] += count
            codes[code] += count
        else:
            waived += count
    return {
        "by_severity": {severity: severities[severity] for severity in reversed(SEVERITIES)},
        "by_code": {code: count for code, count in codes.most_common() if count},
        "waived": waived,
        "newest": [finding_object(finding) for finding in board.newest()],
    }


def _sink(name: str, state: SinkState) -> dict[str, object]:
    fields = state._asdict()
    last_s = fields.pop("last_s")
    return {"name": name} | fields | {"last": _time(last_s) if last_s else None}


def _ledger(state: LedgerState | None) -> dict[str, object] | None:
    if state is None:
        return None
    fields = state._asdict()
    checkpoint_s, room_s = fields.pop("checkpoint_s"), fields.pop("room_s")
    return fields | {
        "days_left": int(room_s // DAY_S) if isfinite(room_s) else None,
        "checkpoint": _time(checkpoint_s) if checkpoint_s else None,
    }


def _total(counters: Mapping[str, int], family: str) -> int:
    return sum(count for name, count in counters.items() if name.startswith(f"{family}."))


def _resident() -> int:
    """Return the octets of memory that this process has."""
    return int(_STATM.read_text("ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")


def _time(seconds: float) -> str:
    return timestamp(int(seconds * 1e9))
