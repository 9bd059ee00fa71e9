"""What a period's entries come to: one pass, in which each entry is looked at once and let go.

Entries are those of the ledger (sensor/ledger/entries.py, docs/LEDGER.md), or the same of a scan, held in memory. Times
are milliseconds since 1970.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from sensor.model import SEVERITIES

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

STATES = ("encrypted", "clear", "undetermined", "not-observed")
SIGHT = ("seen", "degraded", "blind", "not-running")
ACCOUNT = ("received", "classified", "ignored", "malformed", "shed", "kernel_drops", "gaps", "duplicates", "one_way")
OUTSIDE = "outside"
DAY_MS = 86_400_000
# Codes that say of two hosts that what they signal to each other is in clear
CLEAR_SIGNALLING = frozenset((
    *("signalling-clear", "sdes-key-exposed", "credentials-exposed", "message-clear", "legacy-signalling-clear"),
    "dtls-fingerprint-unprotected",
))  # fmt: skip
_SIGNALLING = {"tls": "encrypted", "clear": "clear"}
INVENTORY_LATE_MS = DAY_MS + 600_000  # a day's inventory is said behind it, a minute's coverage, too
INVENTORY = frozenset(("endpoint", "tls-server"))
SAID_LATER = INVENTORY | {"coverage"}
HOLDS_ON = ("finding", "policy", "start", "stop")  # what was said before a period and holds in it
_HOLE_MS = 1000  # between two statements of coverage; less is no hole
_SPANS = 20_000  # of equal sight, one after the other; beyond it the shorter half of a flapping sensor is one

_Entry = dict[str, Any]
States = Counter[str]


class Gap(NamedTuple):
    """A time of which nothing is known, or only that something is missing."""

    first: int
    last: int
    why: str


class Span(NamedTuple):
    """A time in which the sensor's sight was the same."""

    first: int
    last: int
    state: str


@dataclass(slots=True)
class Path:
    """Two hosts between which media or signalling was seen."""

    a: str
    b: str
    segments: tuple[str, str]
    media: States = field(default_factory=Counter)
    signalling: States = field(default_factory=Counter)
    findings: set[str] = field(default_factory=set)


@dataclass(slots=True)
class Sight:
    """What the sensor could see, and what became of the packets that it got."""

    spans: list[Span] = field(default_factory=list)
    reasons: Counter[str] = field(default_factory=Counter)  # milliseconds in which each of them held
    gaps: list[Gap] = field(default_factory=list)
    account: Counter[str] = field(default_factory=Counter)
    clock: list[tuple[int, str]] = field(default_factory=list)
    starts: int = 0
    recovered: int = 0  # starts behind a torn end

    def cover(self, first: int, last: int, state: str, reasons: Iterable[str]) -> None:
        """Say how the sight was for a time that follows all that was said before."""
        for reason in reasons:
            self.reasons[reason] += last - first
        if self.spans and self.spans[-1].state == state and first - self.spans[-1].last <= _HOLE_MS:
            self.spans[-1] = self.spans[-1]._replace(last=last)
        elif len(self.spans) < _SPANS:
            self.spans.append(Span(first, last, state))
        else:  # the picture gets coarse, and never better than it was
            worst = max(state, self.spans[-1].state, key=SIGHT.index)
            self.spans[-1] = Span(self.spans[-1].first, last, worst)


@dataclass(slots=True)
class Facts:
    """What was true in a period. Of a capture: in the time that it covers."""

    first: int
    last: int
    states: States = field(default_factory=Counter)
    signalling: States = field(default_factory=Counter)
    by_segment: dict[str, States] = field(default_factory=dict)
    by_trunk: dict[str, States] = field(default_factory=dict)
    by_device: dict[str, States] = field(default_factory=dict)
    by_week: dict[str, States] = field(default_factory=dict)
    comparisons: Counter[str] = field(default_factory=Counter)
    key_exchanges: Counter[str] = field(default_factory=Counter)
    partly: int = 0  # legs of which a part was not well observed
    recordings: States = field(default_factory=Counter)
    calls: int = 0
    transactions: Counter[str] = field(default_factory=Counter)
    segments: dict[str, str] = field(default_factory=dict)  # of addresses, as legs had them: by VLAN or interface, too
    paths: dict[tuple[str, str], Path] = field(default_factory=dict)
    findings: dict[str, _Entry] = field(default_factory=dict)
    endpoints: dict[str, _Entry] = field(default_factory=dict)
    servers: dict[tuple[str, int], _Entry] = field(default_factory=dict)
    policy: _Entry = field(default_factory=dict)
    waivers: dict[str, _Entry] = field(default_factory=dict)  # that held at any time of it
    sensors: dict[tuple[str, str, str], str] = field(default_factory=dict)  # site, sensor, interface: version
    sight: Sight = field(default_factory=Sight)
    deleted: list[_Entry] = field(default_factory=list)
    oldest: int | None = None  # when the first entry that is there was written
    entries: int = 0  # in the period
    unfit: int = 0  # left out, because they are not what the schema says of their kind

    @property
    def end(self) -> int:
        """The first millisecond behind the period."""
        return self.last + 1

    def take_policy(self, policy: Mapping[str, Any], *, inside: bool) -> None:
        """Take the policy from here on; of the one before it, waivers stay that held in the period."""
        self.policy = dict(policy)
        if not inside:
            self.waivers.clear()
        for waiver in policy["waivers"]:
            self.waivers[str(sorted(waiver.items()))] = waiver

    def segment(self, address: str, names: Names) -> str:
        """Return the segment of an address."""
        return self.segments.get(address) or names.segment(address)


def _touches(entry: Mapping[str, Any], first: int, last: int) -> bool:
    return bool(entry["first"] <= last and entry["last"] >= first)


def gather(entries: Iterable[Mapping[str, Any]], first: int, last: int, *, continuous: bool = True) -> Facts:
    """Return the facts of ``first`` to ``last``; entries come in their order, from before the period on.

    What was written before tells what is open when the period begins, and under which policy. Where the evidence is
    not ``continuous`` (captures), the time between two statements of coverage is no gap.
    """
    facts = Facts(first, last)
    pass_ = _Pass(facts, continuous=continuous)
    for entry in entries:
        at, kind = entry["at"], entry["kind"]
        if facts.oldest is None:
            facts.oldest = at
        if at > last and kind not in SAID_LATER:
            continue
        inside = _touches(entry, first, last) if kind in INVENTORY else first <= at <= last
        pass_.take(entry, inside=inside)
    pass_.end()
    return facts


class _Pass:
    """One pass over entries."""

    def __init__(self, facts: Facts, *, continuous: bool) -> None:
        self._facts = facts
        self._continuous = continuous
        self._names = Names({})
        self._covered = facts.first  # until here something was said of the sight
        self._stopped: str | None = None
        self._started = False
        self._synchronised: bool | None = None  # not known yet
        self._servers: dict[tuple[str, int], dict[int, _Entry]] = {}  # by when the sensor first saw them, in each run

    def take(self, entry: Mapping[str, Any], *, inside: bool) -> None:
        """Look at one entry, which may be from before the period."""
        kind = entry["kind"]
        if kind == "policy":
            self._facts.take_policy(entry, inside=inside)
            self._names = Names(self._facts.policy)
        elif kind == "finding":
            self._finding(entry, inside=inside)
        elif kind == "coverage":
            self._coverage(entry)
        elif kind == "start":
            self._start(entry, inside=inside)
        elif kind == "stop":
            self._stopped = entry["reason"]
        if inside:
            self._facts.entries += 1
            take = getattr(self, f"_{kind.replace('-', '_')}_inside", None)
            if take is not None:
                take(entry)

    def end(self) -> None:
        """Put together what needs all of it."""
        facts = self._facts
        self._hole(facts.end)
        facts.sight.gaps.sort()
        facts.servers = {end: _joined(lives.values()) for end, lives in self._servers.items()}
        self._join_findings()

    def _leg_inside(self, leg: Mapping[str, Any]) -> None:
        facts, state = self._facts, leg["observed"]
        a, b = leg["a"], leg["b"]
        one, other = leg["segments"]
        facts.segments[a], facts.segments[b] = one, other
        facts.states[state] += 1
        facts.comparisons[leg["comparison"]] += 1
        if state == "encrypted":
            facts.key_exchanges[leg["key_exchange"]] += 1
        facts.partly += leg["assessed"] < 1000  # noqa: PLR2004  (thousandths)
        if leg["recording"]:
            facts.recordings[state] += 1
        for name in {one, other}:
            _count(facts.by_segment, name, state)
        for name in {a, b}:
            _count(facts.by_device, name, state)
        for name in {self._names.trunk(a, one), self._names.trunk(b, other)}:
            if name:
                _count(facts.by_trunk, name, state)
        _count(facts.by_week, _week(leg["at"] // DAY_MS), state)
        self._path(a, b, one, other).media[state] += 1
        # Media's hosts are not those that signal: whose signalling it was, only findings say.
        facts.signalling[_SIGNALLING.get(leg["signalling"], "undetermined")] += 1

    def _path(self, a: str, b: str, one: str, other: str) -> Path:
        if (a, b) > (b, a):
            a, b, one, other = b, a, other, one
        path = self._facts.paths.get((a, b))
        if path is None:
            path = self._facts.paths[a, b] = Path(a, b, (one, other))
        return path

    def _call_inside(self, call: Mapping[str, Any]) -> None:  # noqa: ARG002
        self._facts.calls += 1

    def _transaction_inside(self, transaction: Mapping[str, Any]) -> None:
        self._facts.transactions[transaction["outcome"]] += 1

    def _endpoint_inside(self, endpoint: Mapping[str, Any]) -> None:
        self._facts.endpoints[endpoint["address"]] = dict(endpoint)

    def _tls_server_inside(self, server: Mapping[str, Any]) -> None:
        lives = self._servers.setdefault((server["address"], server["port"]), {})
        lives[server["first"]] = dict(server)  # it counts from then on

    def _finding(self, step: Mapping[str, Any], *, inside: bool) -> None:
        findings = self._facts.findings
        former = findings.get(step["id"])
        over = step["step"] == "resolved"  # by its step: the state of one that is waived is so to its end
        if over and not inside:
            findings.pop(step["id"], None)  # over before the period
            return
        merged = {**step, "over": step["at"] if over else None}
        if over:
            merged["state"] = "resolved"  # who waived it stays beside
        merged["openings"] = former["openings"] if former else 0
        merged["earlier"] = former["earlier"] if former else 0
        if former is None or step["step"] == "opened":
            merged["openings"] += 1
        if former is not None:
            if former["over"] is not None and not over:
                merged["earlier"] += former["count"]  # another life, which counts from the beginning
            merged["first"] = min(former["first"], step["first"])
            merged["evidence"] = step["evidence"] or former["evidence"]
            merged["worst"] = max(former["worst"], step["severity"], key=SEVERITIES.index)
        else:
            merged["worst"] = step["severity"]
        findings[step["id"]] = merged

    def _join_findings(self) -> None:
        facts = self._facts
        for finding in facts.findings.values():
            finding["count"] += finding.pop("earlier")
            finding["severity"] = finding.pop("worst")
            subject = finding["subject"]
            a, b = sorted((subject["a"], subject["b"]))
            if not a:
                continue
            path = facts.paths.get((a, b))
            in_period = _touches(finding, facts.first, facts.last)  # it may be open, and have shown nothing for long
            if path is None and finding["code"] in CLEAR_SIGNALLING and in_period:
                ends = facts.segment(a, self._names), facts.segment(b, self._names)
                path = facts.paths[a, b] = Path(a, b, ends)
            if path is not None:
                path.findings.add(finding["id"])
                if finding["code"] in CLEAR_SIGNALLING and in_period:
                    path.signalling["clear"] = 1  # it was; legs are counted, and messages are not

    def _start(self, start: Mapping[str, Any], *, inside: bool) -> None:
        if inside:
            self._hole(start["at"])  # by what was known before it
        self._started = True
        if not inside:
            self._facts.sensors.clear()  # only the one that ran when the period began
        only = f", only packets that match: {start['filter']}" if start["filter"] else ""
        self._facts.sensors[start["site"], start["sensor"], f"{start['interface']}{only}"] = start["version"]
        self._facts.sight.starts += inside

    def _recovered_inside(self, recovered: Mapping[str, Any]) -> None:  # noqa: ARG002
        self._facts.sight.recovered += 1

    def _gap_inside(self, gap: Mapping[str, Any]) -> None:
        self._facts.sight.gaps.append(Gap(gap["from"], gap["to"], f"{gap['lost']} entries lost: {gap['why']}"))

    def _clock_inside(self, clock: Mapping[str, Any]) -> None:
        if not clock.get("back") and clock.get("synchronised") is self._synchronised:
            return  # as it is said of each day
        self._synchronised = clock.get("synchronised", self._synchronised)
        what = f"set back by {clock['back'] / 1000:.3f} s" if clock.get("back") else ""
        if clock.get("synchronised") is not None:
            what = ", ".join(filter(None, (what, "synchronised" if clock["synchronised"] else "not synchronised")))
        self._facts.sight.clock.append((clock["at"], what or "changed"))

    def _deleted_inside(self, deleted: Mapping[str, Any]) -> None:
        self._facts.deleted.append(dict(deleted))

    def _coverage(self, coverage: Mapping[str, Any]) -> None:
        first, last = max(coverage["from"], self._facts.first), min(coverage["to"], self._facts.end)
        if last < first:
            return
        first = max(first, self._covered)  # what is seen twice, the clock having gone back, counts once
        self._hole(first)
        if last > first:
            self._facts.sight.cover(first, last, coverage["state"], coverage["reasons"])
            self._covered = last
        self._stopped = None
        self._facts.sight.account.update(
            {name: coverage[name] for name in ACCOUNT if isinstance(coverage.get(name), int)}
        )

    def _hole(self, until: int) -> None:
        if not self._continuous or until - self._covered <= _HOLE_MS:
            return
        if self._stopped is not None:
            why = f"the sensor was stopped ({self._stopped})"
        elif not self._started:
            why = "before the sensor's first start"
        elif until >= self._facts.end:
            why = "nothing was recorded after this"
        else:
            why = "the sensor ended without a word, or nothing could be recorded"
        self._facts.sight.gaps.append(Gap(self._covered, until, why))
        self._facts.sight.cover(self._covered, until, "not-running", ())
        self._covered = until


class Names:
    """What the policy calls addresses: hosts, vendors and segments by their ranges."""

    def __init__(self, policy: Mapping[str, Any]) -> None:
        self.kinds: dict[str, str] = {segment["name"]: segment["kind"] for segment in policy.get("segments", ())}
        self.hosts: dict[str, str] = {
            address: host["name"] for host in policy.get("hosts", ()) for address in host["addresses"]
        }
        self._vendors = _ranges((vendor["name"], vendor["addresses"]) for vendor in policy.get("vendors", ()))
        self._segments = _ranges((segment["name"], segment["ranges"]) for segment in policy.get("segments", ()))
        self._known: dict[tuple[Literal["vendor", "segment"], str], str] = {}

    def kind(self, segment: str) -> str:
        """Return the kind of a segment by its name."""
        return OUTSIDE if segment == OUTSIDE else self.kinds.get(segment, "unknown")

    def vendor(self, address: str) -> str:
        """Return the name of the vendor who has an address, "" when none has."""
        return self._match("vendor", address)

    def segment(self, address: str) -> str:
        """Return the name of the segment whose range holds an address best."""
        return self._match("segment", address) or OUTSIDE

    def name(self, address: str) -> str:
        """Return what the policy calls a host, "" where it has no name for it."""
        return self.hosts.get(address) or self.vendor(address)

    def trunk(self, address: str, segment: str) -> str:
        """Return the trunk that an end of a leg is on, "" for an end inside."""
        if vendor := self.vendor(address):
            return vendor
        return segment if self.kind(segment) in ("trunk", OUTSIDE) else ""

    def _match(self, what: Literal["vendor", "segment"], address: str) -> str:
        key = what, address
        if key not in self._known:
            self._known[key] = _longest(self._vendors if what == "vendor" else self._segments, address)
        return self._known[key]


def is_pseudonym(range_: str) -> bool:
    """Say whether what stands for a range is a pseudonym."""
    return isinstance(_ranges([("", [range_])])[0][0], str)


def _joined(lives: Iterable[_Entry]) -> _Entry:
    """Return what a server was seen to do in several runs of a sensor, or in several captures."""
    ordered = sorted(lives, key=itemgetter("last"))
    shown = [each for each in ordered if each["chain"] is not None] or ordered
    said = ("versions", "ciphers", "groups")
    return {
        **shown[-1],
        **{name: sorted({each for life in ordered for each in life[name]}) for name in said},
        "handshakes": dict(sum((Counter(life["handshakes"]) for life in ordered), Counter())),
        "resumed": sum(life["resumed"] for life in ordered),
        "first": min(life["first"] for life in ordered),
        "last": ordered[-1]["last"],
    }


_Ranges = list[tuple[IPv4Network | IPv6Network | str, str]]


def _ranges(named: Iterable[tuple[str, Iterable[str]]]) -> _Ranges:
    found: _Ranges = []
    for name, ranges in named:
        for text in ranges:
            try:
                found.append((ip_network(text, strict=False), name))
            except ValueError:  # a pseudonym
                found.append((text, name))
    found.sort(key=lambda each: -each[0].prefixlen if not isinstance(each[0], str) else 0)
    return found


def _longest(ranges: _Ranges, address: str) -> str:
    try:
        ip = ip_address(address)
    except ValueError:
        return next((name for range_, name in ranges if range_ == address), "")
    return next((name for range_, name in ranges if not isinstance(range_, str) and ip in range_), "")


def _count(counts: dict[str, States], name: str, state: str) -> None:
    states = counts.get(name)
    if states is None:
        states = counts[name] = Counter()
    states[state] += 1


@lru_cache(maxsize=4096)
def _week(day: int) -> str:
    year, week, _ = datetime.fromtimestamp(day * 86_400, UTC).isocalendar()
    return f"{year}-W{week:02d}"
