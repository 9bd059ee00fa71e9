"""What is said of findings: each once, and a summary where there are too many."""

from __future__ import annotations

from collections import deque
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple, Protocol

from sensor.findings import identity
from sensor.model import SEVERITIES, QuietSink, Severity, Subject
from sensor.policy.claims import NS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from sensor.alerts.event import Change, Event
    from sensor.config.network import Alerts
    from sensor.model import Finding, Step

    Maker = Callable[[Finding, Change], Event]


_RANKS = {severity: rank for rank, severity in enumerate(SEVERITIES)}


class Outlet(Protocol):
    """Where events go; ``put`` returns at once and never raises."""

    def put(self, event: Event) -> None:
        """Take an event."""


class Counted(NamedTuple):
    """What outlives the sensor of a summary, beside the findings that it counts."""

    example: Finding
    end_ns: int
    severity: Severity
    opened: int
    resolved: int
    changed: bool


class _Summary:
    """The findings of one code that are not said one by one."""

    __slots__ = ("changed", "end_ns", "example", "findings", "opened", "resolved", "severity")

    def __init__(self, example: Finding, end_ns: int) -> None:
        self.example = example  # the first of them
        self.end_ns = end_ns  # when it is to be said
        self.findings: dict[str, Severity] = {}  # of those that are open, by id
        self.severity = example.severity  # the worst since it was said, and of those that were open then
        self.opened = 0  # since it was said last, as is the next
        self.resolved = 0
        self.changed = False

    @staticmethod
    def of(counted: Counted) -> _Summary:
        """Return the summary of before a restart, without its findings."""
        made = _Summary(counted.example, counted.end_ns)
        made.severity, made.changed = counted.severity, counted.changed
        made.opened, made.resolved = counted.opened, counted.resolved
        return made

    def counted(self) -> Counted:
        """Return what has to outlive the sensor."""
        return Counted(self.example, self.end_ns, self.severity, self.opened, self.resolved, self.changed)

    def holds(self, finding: Finding) -> None:
        """Note how severe one of them is now."""
        self.findings[finding.id] = finding.severity
        if _RANKS[finding.severity] > _RANKS[self.severity]:
            self.severity = finding.severity
            self.changed = True

    def left(self, identity: str) -> None:
        """Count that one of them is over, or waived."""
        del self.findings[identity]
        self.resolved += 1
        self.changed = True


class Notifier(QuietSink):
    """A sink of findings that tells outlets of them, as ``make`` puts them in words. Time is the packets' own.

    Of one code at most ``burst`` findings are said to be open within ``window``; what is beyond is counted, and a
    summary at the window's end says how many there are. ``suppressed`` counts what was never said by itself.
    """

    def __init__(self, outlets: Sequence[Outlet], alerts: Alerts, make: Maker) -> None:
        self.suppressed = 0
        self._outlets = outlets
        self._alerts = alerts
        self._make = make
        self._told: dict[str, bool] = {}  # ids of what was said, and whether that was open and not waived
        self._recent: dict[str, deque[int]] = {}  # by code, when findings were said to be open
        self._summaries: dict[str, _Summary] = {}
        self._touched: set[str] = set()  # codes of summaries that are another since ``summaries`` was called
        self._restored: list[Finding] = []
        self._now_ns = 0

    def finding_changed(self, finding: Finding, change: Step) -> None:
        """Say it, or count it for a summary. What is from before a restart waits for ``resume``."""
        if change == "restored":
            self._restored.append(finding)
            return
        summary = self._summaries.get(finding.code)
        kept_back = summary is not None and finding.id in summary.findings
        if summary is not None and kept_back:
            self._touched.add(finding.code)
            if finding.state == "open":
                summary.holds(finding)
            else:
                summary.left(finding.id)
        if change == "resolved":
            if self._told.pop(finding.id, None) is not None:
                self._put(self._make(finding, change))
        elif kept_back:
            pass  # the summary says it
        elif finding.state == "waived" or self._told.get(finding.id):
            self._say(finding, change if finding.id in self._told else "opened")
        elif self._has_room(finding.code, max(finding.first_ns, self._now_ns)):
            self._say(finding, "opened")
        else:
            self._sum(finding, max(finding.first_ns, self._now_ns))

    def advance(self, now_ns: int) -> None:
        """Say the summaries that are due by now. Time that goes back makes nothing due."""
        self._now_ns = now_ns
        next_ns = now_ns + int(self._alerts.window * NS)
        for code, summary in list(self._summaries.items()):
            if summary.end_ns <= now_ns:
                summary.end_ns = next_ns
                self._say_summary(code, summary)
            else:  # of a clock that was set back, or of a longer window
                summary.end_ns = min(summary.end_ns, next_ns)

    def resume(self, told: Mapping[str, bool], summaries: Mapping[str, Counted], *, renamed: bool) -> list[Event]:
        """Go on with what was restored: ``told`` has the ids of what was said, a summary's too, and whether to be open.

        Return an event of each of these, for whoever has to know it again. What was not said to be open is in the
        summary of its code, unless findings had other names then (``renamed``): that is said now.
        """
        restored, self._restored = self._restored, []
        known = []
        if not renamed:
            self._summaries = {code: _Summary.of(counted) for code, counted in summaries.items()}
        for finding in restored:
            if finding.id in told:
                self._told[finding.id] = told[finding.id]
                event = self._make(finding, "updated")
                event["state"] = "open" if told[finding.id] else "waived"
                known.append(event)
            elif renamed:
                self.finding_changed(finding, "opened")
            if finding.state == "open" and not self._told.get(finding.id) and finding.code in self._summaries:
                self._summaries[finding.code].findings[finding.id] = finding.severity
        said = [self._summary_event(code, summary) for code, summary in self._summaries.items()]
        return known + [event for event in said if event["id"] in told]

    def summaries(self, *, every: bool = False) -> dict[str, Counted | None]:
        """Return the summaries that are another since this was called last, by code; None: there is none any more.

        ``every`` has those among them that are as they were.
        """
        self._touched |= self._summaries.keys() if every else set()
        touched, self._touched = self._touched, set()
        return {code: self._summaries[code].counted() if code in self._summaries else None for code in touched}

    def reload(self, alerts: Alerts) -> None:
        """Go on by other limits."""
        self._alerts = alerts

    def close(self) -> None:
        """Say what is still kept back, at the end."""
        for code, summary in list(self._summaries.items()):
            self._say_summary(code, summary)

    def _say(self, finding: Finding, change: Change) -> None:
        self._told[finding.id] = finding.state == "open"
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
            example = replace(finding, evidence=list(finding.evidence))
            summary = self._summaries[finding.code] = _Summary(example, end_ns)
        self._touched.add(finding.code)
        summary.holds(finding)
        summary.opened += 1
        summary.changed = True
        self.suppressed += 1

    def _say_summary(self, code: str, summary: _Summary) -> None:
        self._touched.add(code)
        if summary.changed:
            summary.changed = False
            if summary.findings:
                summary.severity = max(summary.findings.values(), key=_RANKS.__getitem__)
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
            severity=summary.severity,
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
