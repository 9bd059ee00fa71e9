"""The book of findings: what is open, on whose account, and what was said of it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Literal, NamedTuple

from sensor.model import Finding, FindingState, Severity, Sink, Subject

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Sequence

MAX_EVIDENCE = 4  # statements a finding keeps; each one is an update, so this also bounds what is said of it


Waived = Callable[[str, Subject, tuple[str, ...], int], str | None]  # as sensor.policy.waivers.Waivers.of


def identity(code: str, subject: Subject) -> str:
    """Return the id of the finding of a code about a subject, 16 hexadecimal digits."""
    text = f"{code}\0{subject.kind}\0{subject.a}\0{subject.b}\0{subject.name}"
    return hashlib.blake2b(text.encode("utf-8", "surrogateescape"), digest_size=8).hexdigest()


def _nothing_is(_code: str, _subject: Subject, _segments: tuple[str, ...], _now_ns: int) -> None:
    """Waive nothing."""


def _state(waived_by: str | None) -> FindingState:
    return "open" if waived_by is None else "waived"


class Claim(NamedTuple):
    """What a rule says is true now, in the words of a finding."""

    code: str
    severity: Severity
    subject: Subject
    segments: tuple[str, ...]
    evidence: str  # one statement with its figures
    controls: tuple[str, ...]
    since_ns: int = 0  # when the first packet came that it is about; 0: not known


class Book:
    """One open finding per code and subject, held open by whoever claims it.

    A holder (a leg, two SIP hosts, the sensor) claims what is true of it now; a finding opens with its first holder
    and resolves ``settle_ns`` after its last has let go, unless there is another one by then. ``count`` is how many
    holders it had, and what they counted. Sinks hear that a finding opened and resolved once each, and that it was
    updated when its severity or its evidence changed.
    """

    def __init__(self, sinks: Sequence[Sink], *, capacity: int = 10_000, waived: Waived = _nothing_is) -> None:
        self.overflow = 0  # claims turned away because the book was full
        self.settle_ns = 0
        self._sinks = sinks
        self._capacity = capacity
        self._waived = waived
        self._open: dict[tuple[str, Subject], Finding] = {}
        self._holders: dict[tuple[str, Subject], set[Hashable]] = {}
        self._held: dict[Hashable, list[tuple[str, Subject]]] = {}
        self._settling: dict[tuple[str, Subject], int] = {}  # since when nobody holds them, the first one first

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

    def advance(self, now_ns: int) -> None:
        """Resolve what nobody has held for ``settle_ns``.

        What was let go later than now came before the clock was set.
        """
        while self._settling:
            key, left_ns = next(iter(self._settling.items()))
            if left_ns <= now_ns < left_ns + self.settle_ns:
                return
            self._resolve(key)

    def close(self) -> None:
        """Resolve what only waits for that, at the end."""
        for key in list(self._settling):
            self._resolve(key)

    def open_findings(self) -> list[Finding]:
        """Return the findings that are open, oldest first."""
        return list(self._open.values())

    def waive(self, now_ns: int, waived: Waived | None = None) -> None:
        """Ask again what is waived, by other waivers or because time went on: one that is over opens its finding."""
        self._waived = waived or self._waived
        for finding in self._open.values():
            by = self._waived(finding.code, finding.subject, finding.segments, now_ns)
            if by == finding.waived_by:
                continue
            reopened = by is None
            finding.state, finding.waived_by = _state(by), by
            self._say(finding, "opened" if reopened else "updated")

    def _begin(self, key: tuple[str, Subject], claim: Claim, holder: Hashable, now_ns: int) -> None:
        by = self._waived(claim.code, claim.subject, claim.segments, now_ns)
        finding = self._open[key] = Finding(
            claim.code,
            claim.severity,
            _state(by),
            claim.subject,
            claim.segments,
            [claim.evidence],
            claim.controls,
            now_ns,
            now_ns,
            waived_by=by,
            id=identity(claim.code, claim.subject),
            since_ns=claim.since_ns,
        )
        self._holders[key] = {holder}
        self._say(finding, "opened")

    def _join(self, key: tuple[str, Subject], claim: Claim, holder: Hashable, now_ns: int) -> None:
        finding, holders = self._open[key], self._holders[key]
        finding.last_ns = max(finding.last_ns, now_ns)
        self._settling.pop(key, None)
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
            finding = self._open[key]
            finding.last_ns = max(finding.last_ns, now_ns)
            self._settling[key] = now_ns
            if not self.settle_ns:
                self._resolve(key)

    def _resolve(self, key: tuple[str, Subject]) -> None:
        del self._settling[key], self._holders[key]
        finding = self._open.pop(key)
        finding.state = "resolved" if finding.waived_by is None else "waived"
        self._say(finding, "resolved")

    def _say(self, finding: Finding, change: Literal["opened", "updated", "resolved"]) -> None:
        for sink in self._sinks:
            sink.finding_changed(finding, change)
