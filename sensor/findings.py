"""The book of findings: what is open, on whose account, and what was said of it."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Hashable
from operator import itemgetter
from typing import TYPE_CHECKING, NamedTuple

from sensor.model import SEVERITIES, Finding, Severity, Sink, Step, Subject

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

CODES_AT_LEAST = 4  # that share the book when each has as much as it may
BEFORE = "before the restart"  # who holds what was open then and was not claimed again yet
MAX_EVIDENCE = 4  # statements a finding keeps; each one is an update, so this also bounds what is said of it


_Key = tuple[str, Subject]  # code and subject
Waived = Callable[[str, Subject, tuple[str, ...], int], str | None]  # as sensor.policy.waivers.Waivers.of


def identity(code: str, subject: Subject) -> str:
    """Return the id of the finding of a code about a subject, 16 hexadecimal digits."""
    text = f"{code}\0{subject.kind}\0{subject.a}\0{subject.b}\0{subject.name}"
    return hashlib.blake2b(text.encode("utf-8", "surrogateescape"), digest_size=8).hexdigest()


def _nothing_is(_code: str, _subject: Subject, _segments: tuple[str, ...], _now_ns: int) -> None:
    """Waive nothing."""


class Claim(NamedTuple):
    """What a rule says is true now, in the words of a finding."""

    code: str
    severity: Severity
    subject: Subject
    segments: tuple[str, ...]
    evidence: str  # one statement with its figures
    controls: tuple[str, ...]
    since_ns: int = 0  # when the first packet came that it is about; 0: not known


class Kept(NamedTuple):
    """An open finding, as it outlives the sensor."""

    finding: Finding
    left_ns: int = 0  # since when nobody holds it; 0: somebody does
    former: bool = False  # it is from before a restart, and was not claimed since


class _Together:
    """What several holders of a finding say together."""

    __slots__ = ("segments", "severities", "waivers")

    def __init__(self) -> None:
        self.severities: Counter[Severity] = Counter()
        self.segments: Counter[str] = Counter()
        self.waivers: Counter[str | None] = Counter()  # None: of those that nothing waives

    def add(self, claim: Claim, waived_by: str | None) -> None:
        """Add what one says."""
        self.severities[claim.severity] += 1
        self.segments.update(claim.segments)
        self.waivers[waived_by] += 1

    def remove(self, claim: Claim, waived_by: str | None) -> None:
        """Take back what one said."""
        self.severities[claim.severity] -= 1
        self.segments.subtract(claim.segments)
        self.waivers[waived_by] -= 1


class _Entry:
    """An open finding, and who holds it open by what claim."""

    __slots__ = ("finding", "holders", "together")

    def __init__(self, finding: Finding) -> None:
        self.finding = finding
        self.holders: dict[Hashable, tuple[Claim, str | None]] = {}  # with what waives it
        self.together: _Together | None = None  # most findings have one holder and need none

    def add(self, holder: Hashable, claim: Claim, waived_by: str | None) -> None:
        """Let a holder claim this, in place of what it claimed before."""
        self.remove(holder)
        if self.holders and self.together is None:
            self.together = _Together()
            for each in self.holders.values():
                self.together.add(*each)
        self.holders[holder] = claim, waived_by
        if self.together is not None:
            self.together.add(claim, waived_by)

    def remove(self, holder: Hashable) -> None:
        """Let a holder go."""
        said = self.holders.pop(holder, None)
        if said is not None and self.together is not None:
            self.together.remove(*said)

    def settle_on(self) -> bool:
        """Make the finding what its holders say together: the worst of it. Say whether that is another one."""
        finding, together = self.finding, self.together
        before = finding.severity, finding.segments, finding.waived_by
        if together is None:
            ((claim, finding.waived_by),) = self.holders.values()
            finding.severity, finding.segments = claim.severity, claim.segments
        else:
            finding.severity = next(each for each in reversed(SEVERITIES) if together.severities[each])
            finding.segments = tuple(name for name, count in together.segments.items() if count)
            # One that nothing waives is enough.
            waivers = together.waivers
            finding.waived_by = None if waivers[None] else next(by for by, count in waivers.items() if count)
        finding.state = "open" if finding.waived_by is None else "waived"
        return before != (finding.severity, finding.segments, finding.waived_by)


class Book:
    """One open finding per code and subject, held open by whoever claims it.

    A holder (a leg, two SIP hosts, the sensor) claims what is true of it now; a finding opens with its first holder
    and resolves ``settle_ns`` after its last has let go, unless there is another one by then. ``count`` is how many
    holders it had, and what they counted. Its severity is the worst of its holders'; it is waived when all of them are.
    Sinks hear that a finding opened and resolved once each, and that it was updated when its severity, its segments or
    its evidence changed.

    No code has more than a quarter of the book: a flood of one leaves room for the others. What finds no room waits,
    and is counted in ``overflow``.

    What was open before a restart is held until a time of its own, or until it is claimed again: that is no other
    holder, and nothing that sinks hear of.
    """

    def __init__(self, sinks: Sequence[Sink], *, capacity: int = 40_000, waived: Waived = _nothing_is) -> None:
        self.overflow = 0  # claims that found no room at once
        self.settle_ns = 0
        self._sinks = sinks
        self._capacity = capacity
        self._waived = waived
        self._open: dict[_Key, _Entry] = {}
        self._codes: Counter[str] = Counter()
        self._held: dict[Hashable, list[_Key]] = {}
        self._settling: dict[_Key, int] = {}  # since when nobody holds them, the first one first
        self._former: dict[_Key, int] = {}  # from before the restart: until when they are held, the first one first
        self._waiting: dict[str, dict[tuple[Hashable, _Key], Claim]] = {}  # for room, by code, the first one first
        self._waits = 0  # how many

    def hold(self, holder: Hashable, claims: Iterable[Claim], now_ns: int) -> None:
        """Make these the holder's only claims: open or join what is new, let go of what is gone."""
        before = self._held.pop(holder, None)
        after = []
        for claim in claims:
            key = (claim.code, claim.subject)
            after.append(key)
            if key in self._open:
                self._join(key, claim, holder, now_ns)
            elif self._has_room(claim.code):
                self._begin(key, claim, holder, now_ns)
            else:
                self._wait(holder, key, claim)
        if after:
            self._held[holder] = after
        for key in before or ():
            if key not in after:
                self._leave(key, holder, now_ns)

    def touch(self, holder: Hashable, now_ns: int, times: int = 0) -> None:
        """Note that what the holder claims still holds, and was seen so many times more; the sinks hear nothing."""
        for key in self._held.get(holder, ()):
            if key in self._open:
                finding = self._open[key].finding
                finding.last_ns = max(finding.last_ns, now_ns)
                finding.count += times

    def advance(self, now_ns: int) -> None:
        """Resolve what nobody has held for ``settle_ns``.

        What was let go later than now came before the clock was set.
        """
        while self._former:
            key, until_ns = next(iter(self._former.items()))
            if now_ns < until_ns:
                break
            del self._former[key]
            self._resolve(key)
        while self._settling:
            key, left_ns = next(iter(self._settling.items()))
            if left_ns <= now_ns < left_ns + self.settle_ns:
                break
            self._resolve(key)
        self._admit(now_ns)

    def restore(self, kept: Iterable[tuple[Kept, int]]) -> None:
        """Take what was open before a restart, each with the time until which it is held when nobody claims it."""
        for (finding, left_ns, _), until_ns in sorted(kept, key=lambda each: each[0].finding.first_ns):
            key = (finding.code, finding.subject)
            if key in self._open:
                continue
            entry = self._open[key] = _Entry(finding)
            self._codes[finding.code] += 1
            if left_ns:
                self._settling[key] = left_ns
            else:
                self._former[key] = until_ns
                entry.add(BEFORE, _claim_of(finding), finding.waived_by)
            self._say(finding, "restored")
        self._former = dict(sorted(self._former.items(), key=itemgetter(1)))
        self._settling = dict(sorted(self._settling.items(), key=itemgetter(1)))

    def kept(self, finding: Finding) -> Kept:
        """Return a finding that is open as it has to be kept for a restart."""
        key = (finding.code, finding.subject)
        return Kept(finding, self._settling.get(key, 0), key in self._former)

    def judged(self, codes: Iterable[str], subject: Subject, now_ns: int) -> None:
        """Let go of what was said of a subject before a restart: all that is true of it by these codes is claimed."""
        if not self._former:
            return
        for code in codes:
            if self._former.pop((code, subject), None) is not None:
                self._leave((code, subject), BEFORE, now_ns)

    def set_back(self, by_ns: int) -> None:
        """Take that the clock was set back: what is from before a restart is held no longer for that."""
        self._former = {key: until_ns - by_ns for key, until_ns in self._former.items()}

    def close(self) -> None:
        """Resolve what only waits for that, at the end."""
        for key in list(self._settling):
            self._resolve(key)

    def open_findings(self) -> list[Finding]:
        """Return the findings that are open, oldest first."""
        return [entry.finding for entry in self._open.values()]

    def is_open(self, finding: Finding) -> bool:
        """Say whether a finding is open, and not only another one about the same."""
        entry = self._open.get((finding.code, finding.subject))
        return entry is not None and entry.finding is finding

    def waive(self, now_ns: int, waived: Waived | None = None) -> None:
        """Ask again what is waived, by other waivers or because a day is over: one that is over opens its finding."""
        self._waived = waived or self._waived
        for entry in self._open.values():
            was_waived = entry.finding.state == "waived"
            for holder, (claim, _) in list(entry.holders.items()):
                entry.add(holder, claim, self._waived(claim.code, claim.subject, claim.segments, now_ns))
            if entry.holders and entry.settle_on():
                self._say(entry.finding, "opened" if was_waived and entry.finding.state == "open" else "updated")

    def _has_room(self, code: str) -> bool:
        if code.startswith("sensor-"):  # a few, of one subject each: no flood of others may hide that it does not see
            return True
        if len(self._open) >= self._capacity and self._settling:
            self._resolve(next(iter(self._settling)))
        return len(self._open) < self._capacity and self._codes[code] < max(self._capacity // CODES_AT_LEAST, 1)

    def _wait(self, holder: Hashable, key: _Key, claim: Claim) -> None:
        waiting = self._waiting.setdefault(claim.code, {})
        if (holder, key) in waiting:
            waiting[holder, key] = claim
            return
        self.overflow += 1
        if self._waits < self._capacity:
            self._waits += 1
            waiting[holder, key] = claim

    def _admit(self, now_ns: int) -> None:
        """Open what waits for room, as far as there is some."""
        if not self._waits:
            return
        for code, waiting in self._waiting.items():
            while waiting and self._has_room(code):
                (holder, key), claim = next(iter(waiting.items()))
                del waiting[holder, key]
                self._waits -= 1
                (self._join if key in self._open else self._begin)(key, claim, holder, now_ns)

    def _begin(self, key: _Key, claim: Claim, holder: Hashable, now_ns: int) -> None:
        finding = Finding(
            claim.code,
            claim.severity,
            "open",
            claim.subject,
            claim.segments,
            [claim.evidence],
            claim.controls,
            now_ns,
            now_ns,
            id=identity(claim.code, claim.subject),
            since_ns=claim.since_ns,
        )
        entry = self._open[key] = _Entry(finding)
        self._codes[claim.code] += 1
        entry.add(holder, claim, self._waived(claim.code, claim.subject, claim.segments, now_ns))
        entry.settle_on()
        self._say(finding, "opened")

    def _join(self, key: _Key, claim: Claim, holder: Hashable, now_ns: int) -> None:
        entry = self._open[key]
        finding = entry.finding
        finding.last_ns = max(finding.last_ns, now_ns)
        self._settling.pop(key, None)
        takes_over = self._former.pop(key, None) is not None  # and says the same again
        if takes_over:
            entry.remove(BEFORE)
        elif holder not in entry.holders:
            finding.count += 1
        was_waived = finding.state == "waived"
        entry.add(holder, claim, self._waived(claim.code, claim.subject, claim.segments, now_ns))
        changed = entry.settle_on()
        if len(finding.evidence) < MAX_EVIDENCE and claim.evidence not in finding.evidence and not takes_over:
            finding.evidence.append(claim.evidence)
            changed = True
        if changed:
            self._say(finding, "opened" if was_waived and finding.state == "open" else "updated")

    def _leave(self, key: _Key, holder: Hashable, now_ns: int) -> None:
        if self._waits and self._waiting.get(key[0], {}).pop((holder, key), None) is not None:
            self._waits -= 1
        entry = self._open.get(key)
        if entry is None or holder not in entry.holders:
            return
        entry.remove(holder)
        finding = entry.finding
        if entry.holders:
            was_waived = finding.state == "waived"
            if entry.settle_on():
                self._say(finding, "opened" if was_waived and finding.state == "open" else "updated")
            return
        finding.last_ns = max(finding.last_ns, now_ns)
        self._settling[key] = now_ns
        if not self.settle_ns:
            self._resolve(key)
            self._admit(now_ns)

    def _resolve(self, key: _Key) -> None:
        self._settling.pop(key, None)
        finding = self._open.pop(key).finding
        self._codes[finding.code] -= 1
        finding.state = "resolved" if finding.waived_by is None else "waived"
        self._say(finding, "resolved")

    def _say(self, finding: Finding, change: Step) -> None:
        for sink in self._sinks:
            sink.finding_changed(finding, change)


def _claim_of(finding: Finding) -> Claim:
    """Return what whoever held a finding claimed."""
    return Claim(
        finding.code,
        finding.severity,
        finding.subject,
        finding.segments,
        finding.evidence[0],
        finding.controls,
        finding.since_ns,
    )
