"""What changed from one report to the next: what got better, what got worse, what is new and what is gone.

A change of a share is called one only where counts support it: where the Wilson score intervals of both shares (99 %)
do not overlap (E. B. Wilson, Probable inference, the law of succession, and statistical inference, JASA 22, 1927).
Where the later period was seen less, what is missing in it is not called better.
"""

from __future__ import annotations

from math import sqrt
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from sensor.model import SEVERITIES
from sensor.report.given import fault
from sensor.report.object import FORMAT
from sensor.report.words import count, day, duration, left_out, period, share

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    Row = Mapping[str, Any]

Kind = Literal["worse", "better", "new", "gone", "changed"]
KINDS: tuple[Kind, ...] = ("worse", "better", "new", "gone", "changed")
Z = 2.5758  # of the normal distribution, for 99 % in the middle
LESS = 10  # thousandths of a period that were seen less, from which on it is said
SHORTER = 0.9  # of the time that was seen before
_VERSIONS = ("SSL 3.0", "DTLS 1.0", "TLS 1.0", "TLS 1.1", "DTLS 1.2", "TLS 1.2", "DTLS 1.3", "TLS 1.3")


class NotComparableError(ValueError):
    """An object is no report of a format that is known here; the text says why."""


class Change(NamedTuple):
    """One difference."""

    kind: Kind
    about: str
    subject: str
    text: str


def compare(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    """Return what changed between two report objects, as an object for JSON; NotComparableError."""
    for word, report in (("former", before), ("later", after)):
        if report.get("type") != "report":
            raise NotComparableError(f"the {word} one is no report of legwatch")
        if report.get("format") != FORMAT:
            raise NotComparableError(
                f"the {word} one is of format {report.get('format')!r}, and {FORMAT} is known here"
            )
        if wrong := fault(report):
            raise NotComparableError(f"the {word} one is not what a report is: {wrong}")
    notes = list(_notes(before, after))
    less = seen_less(before, after)
    changes = [
        *_coverage(before, after),
        *_protection(before, after),
        *_findings(before["findings"], after["findings"], less=less, met=_was_met(after)),
        *_named("endpoint", before["endpoints"], after["endpoints"], _endpoint),
        *_servers(before["tls_servers"], after["tls_servers"]),
        *_vendors(before["vendors"], after["vendors"]),
    ]
    return {
        "type": "comparison",
        "format": FORMAT,
        "before": _side(before),
        "after": _side(after),
        "notes": notes,
        "seen_less": less,
        "changes": [change._asdict() for kind in KINDS for change in changes if change.kind == kind],
    }


def interval(part: int, whole: int) -> tuple[float, float]:
    """Return the Wilson score interval (99 %) of a share; all of 0 to 1 where nothing was counted."""
    if not whole:
        return 0.0, 1.0
    p, z2 = part / whole, Z * Z / whole
    middle, half = p + z2 / 2, Z * sqrt((p * (1 - p) + z2 / 4) / whole)
    return max((middle - half) / (1 + z2), 0.0), min((middle + half) / (1 + z2), 1.0)


def seen_less(before: Row, after: Row) -> bool:
    """Whether the later report rests on less than the former: nothing found means less then."""
    return (
        after["coverage"]["share"] + LESS <= before["coverage"]["share"]
        or _whole(after) + LESS <= _whole(before)
        or _sighted(after) < SHORTER * _sighted(before)
        or (_seen(before["legs"]["states"]) > 0 and not _seen(after["legs"]["states"]))
    )


def _whole(report: Row) -> int:
    """Return how many thousandths of the time were seen without losses or limits."""
    seconds = report["coverage"]["seconds"]
    time = sum(seconds.values())
    return int(seconds["seen"] * 1000 // time) if time else 0


def _sighted(report: Row) -> int:
    seconds = report["coverage"]["seconds"]
    return int(seconds["seen"]) + int(seconds["degraded"])


def _side(report: Row) -> dict[str, Any]:
    states = report["legs"]["states"]
    return {
        "period": dict(report["period"]),
        "site": report["source"]["site"],
        "seen_seconds": _sighted(report),
        "seen_share": report["coverage"]["share"],
        "legs": report["legs"]["total"],
        "legs_seen": _seen(states),
        "legs_encrypted": states["encrypted"],
    }


def _notes(before: Row, after: Row) -> Iterator[str]:
    """Say what limits the comparison, which comes before all that it says."""
    yield from _unlike(before, after)
    for word, report in (("before", before), ("after", after)):
        if not _sighted(report):
            yield f"Nothing was seen {word}, so nothing can be said of it."
        elif not _seen(report["legs"]["states"]):
            yield f"No media of calls were seen {word}."
        if report["ledger"] is not None and report["ledger"]["verified"] is False:
            yield f"The ledger of the report {word} does not verify."
        if report["ledger"] is not None and (unfit := report["ledger"].get("unfit")):
            yield f"Of the ledger of the report {word}, {left_out(unfit)}."
    if seen_less(before, after):
        yield (
            f"Less was seen after ({_seen_words(after)}) than before ({_seen_words(before)}): "
            "what was not found again may only not have been seen, and is not called better."
        )
    if seen_less(after, before):
        yield (
            f"Less was seen before ({_seen_words(before)}) than after ({_seen_words(after)}): "
            "what is new may have been there."
        )


def _unlike(before: Row, after: Row) -> Iterator[str]:
    """Say why the two may not be of the same."""
    if before["source"]["site"] != after["source"]["site"]:
        yield f"The reports are of different sites: {before['source']['site']} and {after['source']['site']}."
    if before["source"]["kind"] != after["source"]["kind"]:
        yield "One report is of a ledger and one of captures."
    addresses = [{endpoint["address"] for endpoint in report["endpoints"]} for report in (before, after)]
    if all(addresses) and addresses[0].isdisjoint(addresses[1]):
        yield (
            "No endpoint is in both: other hosts, or pseudonyms of another key. "
            "What is new or gone may then be the same by another name."
        )
    if before["period"]["from"] > after["period"]["from"]:
        yield "The second report is of an earlier period than the first."


def _seen_words(report: Row) -> str:
    legs = count(_seen(report["legs"]["states"]), "leg")
    seen, whole = share(report["coverage"]["share"], 1000), share(_whole(report), 1000)
    return f"{seen} of the period, {whole} without losses, {duration(_sighted(report))}, {legs}"


def _coverage(before: Row, after: Row) -> Iterator[Change]:
    for subject, one, other in (
        ("sensor", before["coverage"]["share"], after["coverage"]["share"]),
        ("without losses", _whole(before), _whole(after)),
    ):
        if abs(one - other) >= LESS:
            kind: Kind = "worse" if other < one else "better"
            yield Change(kind, "coverage", subject, f"{share(other, 1000)} of the time; before {share(one, 1000)}")


def _seen(states: Row) -> int:
    return int(states["encrypted"] + states["clear"] + states["undetermined"])


def _protection(before: Row, after: Row) -> Iterator[Change]:
    yield from _share("protection", "all legs", before["legs"]["states"], after["legs"]["states"])
    # Of signalling that is neither nothing was seen.
    planes = [report["legs"]["signalling"] | {"undetermined": 0} for report in (before, after)]
    yield from _share("signalling", "all legs", *planes)
    for about, key in (("segment", "by_segment"), ("trunk", "by_trunk"), ("device", "by_device")):
        former = {row["name"]: row["states"] for row in before["legs"][key]}
        later = {row["name"]: row["states"] for row in after["legs"][key]}
        for name in sorted({*former, *later}):
            if name in former and name in later:
                yield from _share(about, name, former[name], later[name])
            elif key != "by_device":  # devices are among the endpoints
                kind: Kind = "new" if name in later else "gone"
                yield Change(kind, about, name, _of(later.get(name) or former[name]))


def _share(about: str, name: str, before: Row, after: Row) -> Iterator[Change]:
    one = interval(before["encrypted"], _seen(before))
    other = interval(after["encrypted"], _seen(after))
    if other[0] > one[1] or other[1] < one[0]:
        kind: Kind = "better" if other[0] > one[1] else "worse"
        yield Change(kind, about, name, f"{_of(after)}; before {_of(before)}")


def _of(states: Row) -> str:
    return f"{share(states['encrypted'], _seen(states))} of {count(_seen(states), 'leg')} encrypted"


def _was_met(report: Row) -> bool:
    """Whether what was not found again was there to be found: a capture is of what somebody happened to record."""
    return bool(report["source"]["kind"] != "captures")


def _findings(before: Sequence[Row], after: Sequence[Row], *, less: bool, met: bool) -> Iterator[Change]:
    former, later = ({_finding(each): each for each in findings} for findings in (before, after))
    worst = {key: -SEVERITIES.index(each["severity"]) for key, each in {**former, **later}.items()}
    for key in sorted(worst, key=lambda key: (worst[key], key)):
        code, *subject = key
        one, other = former.get(key), later.get(key)
        name = f"{code} {' '.join(filter(None, subject))}"
        if one and other:
            yield from _lasting(name, one, other)
        elif other:
            accepted = other["waived_by"] is not None or other["severity"] == SEVERITIES[0]
            kind: Kind = "new" if accepted else "worse"
            waived = ", was waived" if other["waived_by"] and other["state"] == "resolved" else ""
            yield Change(kind, "finding", name, f"new, {other['severity']}, {other['state']}{waived}")
        elif one and one["state"] != "resolved":
            if less:
                yield Change("gone", "finding", name, f"{one['severity']}, not found again, and less was seen")
            elif not met:
                yield Change("gone", "finding", name, f"{one['severity']}, not found again in what was captured")
            else:
                kind = "gone" if one["severity"] == SEVERITIES[0] else "better"
                yield Change(kind, "finding", name, f"{one['severity']}, over")


def _lasting(name: str, one: Row, other: Row) -> Iterator[Change]:
    ranks = SEVERITIES.index(one["severity"]), SEVERITIES.index(other["severity"])
    if ranks[0] != ranks[1]:
        kind: Kind = "worse" if ranks[1] > ranks[0] else "better"
        yield Change(kind, "finding", name, f"{other['severity']}, before {one['severity']}")
    states = one["state"], other["state"]
    if states[0] == states[1]:
        return
    text = f"{other['severity']}, {states[1]}, before {states[0]}"
    if "waived" in states and "resolved" not in states:
        yield Change("changed", "finding", name, text)
    else:
        yield Change("better" if states[1] == "resolved" else "worse", "finding", name, text)


def _finding(finding: Row) -> tuple[str, ...]:
    subject = finding["subject"]
    return (finding["code"], *sorted(filter(None, (subject["a"], subject["b"]))), subject["name"])


def _named(
    about: str,
    before: Sequence[Row],
    after: Sequence[Row],
    named: Callable[[Row], tuple[str, str]],
) -> Iterator[Change]:
    """Compare what only comes and goes; ``named`` gives the name of a row and words about it."""
    former, later = dict(map(named, before)), dict(map(named, after))
    for name in sorted({*former, *later}):
        if name not in former:
            yield Change("new", about, name, later[name])
        elif name not in later:
            yield Change("gone", about, name, former[name])


def _endpoint(endpoint: Row) -> tuple[str, str]:
    return endpoint["address"], ", ".join(filter(None, (endpoint["name"], endpoint["segment"], endpoint["user_agent"])))


def _server(server: Row) -> tuple[str, str]:
    return f"{server['address']} port {server['port']}", ", ".join(server["versions"]) or "no handshake seen"


def _servers(before: Sequence[Row], after: Sequence[Row]) -> Iterator[Change]:
    yield from _named("TLS server", before, after, _server)
    former = {_server(server)[0]: server for server in before}
    for server in after:
        name = _server(server)[0]
        if name not in former:
            continue
        one, other = former[name]["versions"], server["versions"]
        if one and other and set(one) != set(other):
            text = f"{', '.join(other)}; before {', '.join(one)}"
            yield Change(_judged(_worst(other) - _worst(one)), "TLS version", name, text)
        if former[name]["chain"] and server["chain"]:
            yield from _certificate(name, former[name]["chain"], server["chain"])


def _worst(versions: Sequence[str]) -> int:
    """Return the place of the oldest version; one that has no name here says nothing."""
    return min((_VERSIONS.index(version) for version in versions if version in _VERSIONS), default=len(_VERSIONS))


def _judged(difference: int) -> Kind:
    if difference == 0:
        return "changed"
    return "better" if difference > 0 else "worse"


def _certificate(name: str, one: Row, other: Row) -> Iterator[Change]:
    if one["sha256"] != other["sha256"]:
        text = f"another one, {other['key']}, valid to {day(other['not_after'])}; before to {day(one['not_after'])}"
        yield Change("changed", "certificate", name, text)
    if one["trust"] != other["trust"]:
        trusts = ("untrusted", "unknown", "trusted")
        difference = trusts.index(other["trust"]) - trusts.index(one["trust"])
        known = "unknown" not in (one["trust"], other["trust"])  # the sensor could not tell, which is no change of it
        text = f"{other['trust']}, before {one['trust']}"
        yield Change(_judged(difference) if known else "changed", "certificate", name, text)
    if set(one["weak"]) != set(other["weak"]):
        worse = set(other["weak"]) - set(one["weak"])
        text = f"weak: {', '.join(other['weak']) or 'nothing'}; before {', '.join(one['weak']) or 'nothing'}"
        yield Change("worse" if worse else "better", "certificate", name, text)


def _vendor(vendor: Row) -> tuple[str, str]:
    return vendor["name"], vendor["role"]


def _vendors(before: Sequence[Row], after: Sequence[Row]) -> Iterator[Change]:
    yield from _named("vendor", before, after, _vendor)
    former = {vendor["name"]: vendor for vendor in before}
    for vendor in after:
        if vendor["name"] not in former:
            continue
        one, other = former[vendor["name"]]["baa"], vendor["baa"]
        if one != other:
            kind: Kind = "worse" if other is None else "better" if one is None else "changed"
            if not vendor["baa_required"]:
                kind = "changed"
            yield Change(kind, "vendor", vendor["name"], f"agreement {_baa(other)}; before {_baa(one)}")


def _baa(baa: Row | None) -> str:
    if baa is None:
        return "none"
    return f"signed {baa['signed']}" + (f", expires {baa['expires']}" if baa["expires"] else "")


def words(comparison: Mapping[str, Any], *, most: int) -> Iterator[str]:
    """Return a comparison as lines; of each kind of change no more than ``most``."""
    for word in ("before", "after"):
        side = comparison[word]
        yield (
            f"{word}: {period(side['period']['from'], side['period']['to'])}, {side['site']}: seen "
            f"{duration(side['seen_seconds'])}, {share(side['seen_share'], 1000)}; "
            f"{share(side['legs_encrypted'], side['legs_seen'])} of {count(side['legs_seen'], 'leg')} encrypted"
        )
    yield from comparison["notes"]
    for kind in KINDS:
        changes = [change for change in comparison["changes"] if change["kind"] == kind]
        if changes:
            yield ""
            yield f"{kind} ({len(changes)})"
        for change in changes[:most]:
            yield f"  {change['about']} {change['subject']}: {change['text']}"
        if len(changes) > most:
            yield f"  and {len(changes) - most} more, which --json has"
    yield ""
    if not comparison["changes"]:
        yield "No change that the counts support."
    yield "A share is said to have changed where the 99 % Wilson intervals of both do not overlap."
