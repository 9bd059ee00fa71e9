"""The book of findings: what is open, on whose account, and what was said of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

from sensor.model import Finding, Severity, Sink, Subject

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Sequence

MAX_EVIDENCE = 4  # statements a finding keeps; each one is an update, so this also bounds what is said of it


class Claim(NamedTuple):
    """What a rule says is true now, in the words of a finding."""

    code: str
    severity: Severity
    subject: Subject
    segments: tuple[str, ...]
    evidence: str  # one statement with its figures
    controls: tuple[str, ...]


class Book:
    """One open finding per code and subject, held open by whoever claims it.

    A holder (a leg, two SIP hosts, the sensor) claims what is true of it now; a finding opens with its first holder
    and resolves with its last. ``count`` is how many holders it had, and what they counted. Sinks hear that a finding
    opened and resolved once each, and that it was updated when its severity or its evidence changed.
    """

    def __init__(self, sinks: Sequence[Sink], *, capacity: int = 10_000) -> None:
        self.opened: dict[tuple[str, Severity], int] = {}  # findings ever opened, by code and severity
        self.overflow = 0  # claims turned away because the book was full
        self._sinks = sinks
        self._capacity = capacity
        self._open: dict[tuple[str, Subject], Finding] = {}
        self._holders: dict[tuple[str, Subject], set[Hashable]] = {}
        self._held: dict[Hashable, list[tuple[str, Subject]]] = {}

    def hold(self, holder: Hashable, claims: Iterable[Claim], now_ns: int) -> None:
        """Make these the holder's only claims: open or join what is new, let go of what is gone."""
        before = self._held.pop(holder, None)
        after = []
        for claim in claims:
            key = (claim.code, claim.subject)
            if key in self._open:
                self._join(key, claim, holder, now_ns)
            elif len(self._open) < self._capacity:
                self._begin(key, claim, holder, now_ns)
            else:
                self.overflow += 1
                continue
            after.append(key)
        if after:
            self._held[holder] = after
        for key in before or ():
            if key not in after:
                self._leave(key, holder, now_ns)

    def touch(self, holder: Hashable, now_ns: int, times: int = 0) -> None:
        """Note that what the holder claims still holds, and was seen so many times more; the sinks hear nothing."""
        for key in self._held.get(holder, ()):
            finding = self._open[key]
            finding.last_ns = max(finding.last_ns, now_ns)
            finding.count += times

    def open_findings(self) -> list[Finding]:
        """Return the findings that are open, oldest first."""
        return list(self._open.values())

    def counts(self) -> dict[tuple[str, Severity], int]:
        """Return the number of open findings by code and severity; those that are zero are left out."""
        counts: dict[tuple[str, Severity], int] = {}
        for finding in self._open.values():
            key = (finding.code, finding.severity)
            counts[key] = counts.get(key, 0) + 1
        return counts

    def _begin(self, key: tuple[str, Subject], claim: Claim, holder: Hashable, now_ns: int) -> None:
        finding = self._open[key] = Finding(
            claim.code,
            claim.severity,
            "open",
            claim.subject,
            claim.segments,
            [claim.evidence],
            claim.controls,
            now_ns,
            now_ns,
        )
        self._holders[key] = {holder}
        kind = (claim.code, claim.severity)
        self.opened[kind] = self.opened.get(kind, 0) + 1
        self._say(finding, "opened")

    def _join(self, key: tuple[str, Subject], claim: Claim, holder: Hashable, now_ns: int) -> None:
        finding, holders = self._open[key], self._holders[key]
        finding.last_ns = max(finding.last_ns, now_ns)
        if holder not in holders:
            holders.add(holder)
            finding.count += 1
        changed = finding.severity != claim.severity or finding.segments != claim.segments
        finding.severity, finding.segments = claim.severity, claim.segments
        if len(finding.evidence) < MAX_EVIDENCE and claim.evidence not in finding.evidence:
            finding.evidence.append(claim.evidence)
            changed = True
        if changed:
            self._say(finding, "updated")

    def _leave(self, key: tuple[str, Subject], holder: Hashable, now_ns: int) -> None:
        holders = self._holders[key]
        holders.discard(holder)
        if not holders:
            del self._holders[key]
            finding = self._open.pop(key)
            finding.state = "resolved"
            finding.last_ns = max(finding.last_ns, now_ns)
            self._say(finding, "resolved")

    def _say(self, finding: Finding, change: Literal["opened", "updated", "resolved"]) -> None:
        for sink in self._sinks:
            sink.finding_changed(finding, change)
