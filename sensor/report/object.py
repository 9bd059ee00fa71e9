"""The report object: all that a report says, as JSON (docs/schema/report.schema.json).

HTML, PDF and CSV are made from it alone, so they say the same. Numbers are whole: times in milliseconds since 1970,
durations in seconds, shares in thousandths.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastpath import __version__
from sensor.model import SEVERITIES
from sensor.output.jsonl import version_name
from sensor.report import controls
from sensor.report.facts import ACCOUNT, OUTSIDE, SIGHT, STATES, Names, is_pseudonym

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from sensor.report.controls import Profile
    from sensor.report.facts import Facts, States

FORMAT = 1

Report = dict[str, Any]


def build(
    facts: Facts,
    *,
    profile: Profile,
    source: Mapping[str, Any],
    ledger: Mapping[str, Any] | None = None,
) -> Report:
    """Return the report on facts; ``source`` and ``ledger`` say where they are from.

    Its ``changes`` are None: sensor/report/compare.py makes them of two reports.
    """
    names = Names(facts.policy)
    findings = _findings(facts)
    report: Report = {
        "type": "report",
        "format": FORMAT,
        "version": __version__,
        "profile": profile,
        "period": {"from": facts.first, "to": facts.last},
        "source": dict(source),
        "coverage": _coverage(facts),
        "legs": _legs(facts, names),
        "transactions": dict(sorted(facts.transactions.items())),
        "paths": _paths(facts, names),
        "findings": findings,
        "tls_servers": [_server(server, names) for _, server in sorted(facts.servers.items())],
        "endpoints": [_endpoint(endpoint, facts, names) for _, endpoint in sorted(facts.endpoints.items())],
        "segments": [dict(segment) for segment in facts.policy.get("segments", ())],
        "hosts": [dict(host) for host in facts.policy.get("hosts", ())],
        "vendors": _vendors(facts),
        "waivers": _waivers(facts, findings),
        "changes": None,
        "ledger": _ledger(facts, ledger) if ledger is not None else None,
    }
    report["controls"] = controls.judged(report, profile, facts.policy.get("attestations", ()))
    return report


def _ledger(facts: Facts, said: Mapping[str, Any]) -> Report:
    return {**said, "oldest": facts.oldest, "entries": facts.entries, "unfit": facts.unfit, "deleted": facts.deleted}


def _states(states: States) -> dict[str, int]:
    return {state: states[state] for state in STATES}


def _rows(named: Mapping[str, States], kind: Mapping[str, str] | str) -> list[Report]:
    """Return rows with their states, the least protected first."""
    rows = [
        {
            "name": name,
            "kind": kind if isinstance(kind, str) else kind.get(name, "outside" if name == OUTSIDE else "unknown"),
            "states": _states(states),
        }
        for name, states in named.items()
    ]
    return sorted(rows, key=_unprotected_first)


def _unprotected_first(row: Report) -> tuple[int, int, int, str]:
    states = row["states"]
    return -states["clear"], -states["undetermined"], -states["encrypted"], row["name"]


def _legs(facts: Facts, names: Names) -> Report:
    devices = _rows(facts.by_device, "device")
    for row in devices:
        row["label"] = names.name(row["name"])
    trunks = {name: names.kind(name) if name in names.kinds or name == OUTSIDE else "vendor" for name in facts.by_trunk}
    return {
        "total": facts.states.total(),
        "calls": facts.calls,
        "states": _states(facts.states),
        "signalling": _states(facts.signalling),
        "comparisons": dict(sorted(facts.comparisons.items())),
        "key_exchanges": dict(sorted(facts.key_exchanges.items())),
        "partly": facts.partly,
        "recordings": _states(facts.recordings),
        "by_segment": _rows(facts.by_segment, names.kinds),
        "by_trunk": _rows(facts.by_trunk, trunks),
        "by_device": devices,
        "by_week": sorted(_rows(facts.by_week, "week"), key=lambda row: row["name"]),
    }


def _coverage(facts: Facts) -> Report:
    sight = facts.sight
    lengths = dict.fromkeys(SIGHT, 0)
    for span in sight.spans:
        lengths[span.state] += span.last - span.first
    whole = sum(lengths.values())
    return {
        "seconds": {state: ms // 1000 for state, ms in lengths.items()},
        "share": (lengths["seen"] + lengths["degraded"]) * 1000 // whole if whole else 0,
        "spans": [{"from": first, "to": last, "state": state} for first, last, state in sight.spans],
        "reasons": [{"reason": reason, "seconds": ms // 1000} for reason, ms in sight.reasons.most_common()],
        "gaps": [{"from": gap.first, "to": gap.last, "why": gap.why} for gap in sight.gaps],
        "clock": [{"time": time, "what": what} for time, what in sight.clock],
        "starts": sight.starts,
        "recovered": sight.recovered,
        "account": {name: sight.account[name] for name in ACCOUNT if name in sight.account},
    }


def _paths(facts: Facts, names: Names) -> list[Report]:
    paths = [
        {
            "a": path.a,
            "b": path.b,
            "a_name": names.name(path.a),
            "b_name": names.name(path.b),
            "segments": list(path.segments),
            "kinds": [names.kind(segment) for segment in path.segments],
            "media": _states(path.media),
            "signalling": _states(path.signalling),
            "findings": sorted(path.findings),
        }
        for path in facts.paths.values()
    ]
    return sorted(paths, key=_worst_first)


def _worst_first(path: Report) -> tuple[int, int, int, str, str]:
    media, signalling = path["media"], path["signalling"]
    return -media["clear"], -signalling["clear"], -media["undetermined"], path["a"], path["b"]


def _findings(facts: Facts) -> list[Report]:
    findings = [
        {
            "id": finding["id"],
            "code": finding["code"],
            "title": controls.title(finding["code"]),
            "severity": finding["severity"],
            "state": finding["state"],
            "subject": finding["subject"],
            "segments": finding["segments"],
            "evidence": finding["evidence"],
            "controls": finding["controls"],
            "first": finding["first"],
            "last": finding["last"],
            "over": finding["over"],
            "count": finding["count"],
            "openings": finding["openings"],
            "waived_by": finding["waived_by"],
        }
        for finding in facts.findings.values()
    ]
    return sorted(
        findings, key=lambda each: (-SEVERITIES.index(each["severity"]), each["code"], each["first"], each["id"])
    )


def _server(server: Mapping[str, Any], names: Names) -> Report:
    return {
        **{key: server[key] for key in ("address", "port", "basis", "handshakes", "resumed", "certificate", "chain")},
        "name": names.name(server["address"]),
        "versions": [version_name(version) for version in server["versions"]],
        "ciphers": [f"0x{cipher:04x}" for cipher in server["ciphers"]],
        "groups": server["groups"],
        "first": server["first"],
        "last": server["last"],
    }


def _endpoint(endpoint: Mapping[str, Any], facts: Facts, names: Names) -> Report:
    kept = ("address", "mac", "user_agent", "media", "signalling", "first", "last")
    return {
        **{key: endpoint[key] for key in kept},
        "name": names.name(endpoint["address"]),
        "segment": facts.segment(endpoint["address"], names),
    }


def _vendors(facts: Facts) -> list[Report]:
    return [
        {
            **{key: vendor[key] for key in ("name", "role", "addresses", "contact", "baa", "baa_required")},
            "legs": _vendor_legs(facts, vendor),
            "states": _states(facts.by_trunk[vendor["name"]]) if vendor["name"] in facts.by_trunk else None,
        }
        for vendor in facts.policy.get("vendors", ())
    ]


def _vendor_legs(facts: Facts, vendor: Mapping[str, Any]) -> int | None:
    """Return how many legs a vendor had, None where its ranges are pseudonyms, which are not those of hosts in them."""
    if vendor["name"] in facts.by_trunk:
        return facts.by_trunk[vendor["name"]].total()
    return None if any(is_pseudonym(address) for address in vendor["addresses"]) else 0


def _waivers(facts: Facts, findings: Sequence[Report]) -> list[Report]:
    by_words: dict[str, list[str]] = {}
    for finding in findings:
        if finding["waived_by"]:
            by_words.setdefault(finding["waived_by"], []).append(finding["id"])
    waivers: Iterable[Mapping[str, Any]] = facts.waivers.values()
    return [
        {
            **{key: waiver[key] for key in ("owner", "reason", "codes", "subjects", "until")},
            # As sensor/policy/waivers.py words it
            "findings": by_words.get(f"{waiver['owner']}: {waiver['reason']} (until {waiver['until']})", []),
        }
        for waiver in waivers
    ]
