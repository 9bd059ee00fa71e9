"""What is said of findings: each once, none for what comes back at once, a summary where there are too many."""

from __future__ import annotations

from collections import deque
from dataclasses import replace
from typing import TYPE_CHECKING, Literal

from sensor.findings import identity
from sensor.model import QuietSink, Subject
from sensor.policy.claims import NS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Protocol

    from sensor.alerts.event import Event
    from sensor.config.network import Alerts
    from sensor.model import Finding

    Maker = Callable[[Finding, Literal["opened", "updated", "resolved"]], Event]

    class Outlet(Protocol):
        """Where events go; ``put`` returns at once and never raises."""

        def put(self, event: Event) -> None:
            """Take an event."""


class _Summary:
    """The findings of one code that are not said one by one."""

    __slots__ = ("changed", "end_ns", "example", "findings", "opened", "resolved")

    def __init__(self, example: Finding, end_ns: int) -> None:
        self.example = example  # the first of them
        self.end_ns = end_ns  # when it is to be said
        self.findings: dict[str, None] = {}  # ids of those that are open
        self.opened = 0  # since it was said last, as is the next
        self.resolved = 0
        self.changed = False


class Notifier(QuietSink):
    """A sink of findings that tells outlets of them, as ``make`` puts them in words. Time is the packets' own.

    A finding that is over is said to be after ``settle``; if it is true again by then, nothing has happened. Of one
    code at most ``burst`` findings are said to be open within ``window``; what is beyond is counted, and a summary at
    the window's end says how many there are. ``suppressed`` counts what was never said by itself.
    """

    def __init__(self, outlets: Sequence[Outlet], alerts: Alerts, make: Maker) -> None:
        self.suppressed = 0
        self._outlets = outlets
        self._alerts = alerts
        self._make = make
        self._told: dict[str, Finding] = {}  # by id, as it was said last
        self._settling: dict[str, tuple[int, Finding]] = {}  # over, and when that is to be said; the first to be first
        self._recent: dict[str, deque[int]] = {}  # by code, when findings were said to be open
        self._summaries: dict[str, _Summary] = {}
        self._now_ns = 0

    def finding_changed(self, finding: Finding, change: Literal["opened", "updated", "resolved"]) -> None:
        """Say it, or keep it until it is time to."""
        now_ns = finding.last_ns if change != "opened" else max(finding.first_ns, self._now_ns)
        summary = self._summaries.get(finding.code)
        if summary is not None and finding.id in summary.findings:
            self._summed(summary, finding, change)
        elif change == "resolved":
            if finding.id in self._told:
                self._settling[finding.id] = (now_ns + int(self._alerts.settle * NS), _copy(finding))
        elif finding.id in self._told:
            self._again(finding)
        elif finding.state == "waived" or self._has_room(finding.code, now_ns):
            self._say(finding, "opened")
        else:
            self._sum(finding, now_ns)

    def advance(self, now_ns: int) -> None:
        """Say what is due by now. Time that goes back makes nothing due."""
        self._now_ns = now_ns
        for due_ns, finding in list(self._settling.values()):
            if due_ns <= now_ns:
                self._end(finding)
        for code, summary in list(self._summaries.items()):
            if summary.end_ns <= now_ns:
                summary.end_ns = now_ns + int(self._alerts.window * NS)
                self._say_summary(code, summary)

    def reload(self, alerts: Alerts) -> None:
        """Go on by other limits."""
        self._alerts = alerts

    def close(self) -> None:
        """Say what is still kept back, at the end."""
        for _, finding in list(self._settling.values()):
            self._end(finding)
        for code, summary in list(self._summaries.items()):
            self._say_summary(code, summary)

    def _again(self, finding: Finding) -> None:
        """Say of a finding that is known to be open what is new of it."""
        before = self._told[finding.id]
        came_back = self._settling.pop(finding.id, None) is not None
        if came_back and (before.severity, before.state) == (finding.severity, finding.state):
            return
        self._say(finding, "opened" if before.state == "waived" != finding.state else "updated")

    def _end(self, finding: Finding) -> None:
        del self._settling[finding.id], self._told[finding.id]
        self._put(self._make(finding, "resolved"))

    def _say(self, finding: Finding, change: Literal["opened", "updated"]) -> None:
        self._told[finding.id] = _copy(finding)
        self._put(self._make(finding, change))

    def _has_room(self, code: str, now_ns: int) -> bool:
        recent = self._recent.setdefault(code, deque())
        after_ns = now_ns - int(self._alerts.window * NS)
        while recent and not after_ns < recent[0] <= now_ns:
            recent.popleft()
        if len(recent) >= self._alerts.burst:
            return False
        recent.append(now_ns)
        return True

    def _sum(self, finding: Finding, now_ns: int) -> None:
        summary = self._summaries.get(finding.code)
        if summary is None:
            end_ns = now_ns + int(self._alerts.window * NS)
            summary = self._summaries[finding.code] = _Summary(_copy(finding), end_ns)
        summary.findings[finding.id] = None
        summary.opened += 1
        summary.changed = True
        self.suppressed += 1

    def _summed(self, summary: _Summary, finding: Finding, change: str) -> None:
        if change == "resolved":
            del summary.findings[finding.id]
            summary.resolved += 1
            summary.changed = True

    def _say_summary(self, code: str, summary: _Summary) -> None:
        if summary.changed:
            summary.changed = False
            self._put(self._summary_event(code, summary))
            summary.opened = summary.resolved = 0
        if not summary.findings:
            del self._summaries[code]

    def _summary_event(self, code: str, summary: _Summary) -> Event:
        subject, still_open = Subject("summary"), len(summary.findings)
        evidence = f"{still_open} more findings {code} are open; their alerts are left out"
        said = replace(
            summary.example,
            id=identity(code, subject),
            subject=subject,
            state="open" if still_open else "resolved",
            waived_by=None,
            evidence=[evidence, *summary.example.evidence[:1]],
            last_ns=max(summary.example.last_ns, self._now_ns),
            count=still_open,
        )
        event = self._make(said, "updated")
        event["event"] = "finding_summary"
        event["suppressed"] = {"opened": summary.opened, "resolved": summary.resolved}
        event["window_s"] = self._alerts.window
        return event

    def _put(self, event: Event) -> None:
        for outlet in self._outlets:
            outlet.put(event)


def _copy(finding: Finding) -> Finding:
    return replace(finding, evidence=list(finding.evidence))
