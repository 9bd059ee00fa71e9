"""The HIPAA Security Rule, control by control: what the evidence supports, contradicts and cannot show.

A network sensor sees the network. It never says of an organisation that it keeps a rule or breaks it: that is judged by
people, who know what no sensor sees.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from sensor.model import SEVERITIES
from sensor.policy.catalogue import (
    ACCESS,
    ACTIVITY_REVIEW,
    ASSOCIATES,
    AUDIT,
    AUTHENTICATION,
    CATALOGUE,
    DOCUMENTATION,
    ENCRYPTION,
    INTEGRITY,
    RISK_ANALYSIS,
    STORED_INTEGRITY,
    TRANSMISSION,
)
from sensor.report.words import BLIND, count, day, duration, share, sighted, were

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

Profile = Literal["current-rule", "nprm-2025"]
PROFILES: tuple[Profile, ...] = ("current-rule", "nprm-2025")
WORST = 5  # findings of a code that are named with a control

Report = dict[str, Any]

ABOUT: dict[Profile, str] = {
    "current-rule": (
        "The HIPAA Security Rule (45 CFR Part 164, Subpart C) as it is in force. What is addressable has to be "
        "implemented where that is reasonable and appropriate; where it is not, the reason is documented and an "
        "equivalent measure taken (164.306(d))."
    ),
    "nprm-2025": (
        "The proposed rule of 6 January 2025 (90 FR 898). It is a proposal, not law: nothing follows from it until a "
        "final rule does. It would end the distinction of required and addressable specifications, with limited "
        "exceptions, and renumber much of the rule; controls keep here the numbers of the rule in force."
    ),
}
# Said beside the controls whatever the profile is
NOTES = (
    (
        "Telephone calls over IP networks are in the scope of the Security Rule; those of a traditional land line are "
        "not (HHS Office for Civil Rights, guidance on audio-only telehealth, June 2022)."
    ),
    (
        "Names such as user-3f2a9c01b4de are keyed pseudonyms. A pseudonym is no de-identification in the sense of 45 "
        "CFR 164.514: who has the key can find the person."
    ),
    (
        "Documentation is kept for six years from its creation, or from when it was last in effect, whichever is "
        "later (164.316(b)(2)(i)). This report can be part of it; keep it with the attached JSON and its "
        "evidence: the ledger and its checkpoint, or the captures."
    ),
)


UNCOUNTED = "a pseudonym is in no range of addresses"
OF_ITSELF = (AUDIT, STORED_INTEGRITY, DOCUMENTATION)  # what is said of them is said of the evidence, seen or not


class Control(NamedTuple):
    """A standard or an implementation specification of the rule."""

    control: str
    title: str
    status: str  # under the rule in force
    proposed: str  # what the proposal would make of it
    supports: Callable[[Report], Iterator[str]]
    not_seen: tuple[str, ...]


def judged(report: Report, profile: Profile, attestations: Sequence[Mapping[str, Any]]) -> list[Report]:
    """Return each control with what the rest of the report says of it."""
    return [
        {
            "control": control.control,
            "title": control.title,
            "status": control.status if profile == "current-rule" else control.proposed,
            # Where nothing was seen, that something was not found supports nothing.
            "supports": list(control.supports(report)) if sighted(report) or control.control in OF_ITSELF else [BLIND],
            "contradicts": _contradictions(report["findings"], control.control),
            "not_seen": list(control.not_seen),
            "attestations": [dict(each) for each in attestations if each["control"] == control.control],
        }
        for control in CONTROLS
    ]


def _contradictions(findings: Sequence[Mapping[str, Any]], control: str) -> list[Report]:
    """Return the findings that bear on a control by their code, the worst first."""
    by_code: dict[str, Report] = {}
    for finding in findings:
        if control not in finding["controls"] or finding["severity"] == "info":
            continue
        code = finding["code"]
        known = by_code.setdefault(
            code,
            {"code": code, "title": title(code), "severity": "info", "findings": 0, "open": 0, "waived": 0, "ids": []},
        )
        known["severity"] = max(known["severity"], finding["severity"], key=SEVERITIES.index)
        known["findings"] += 1
        known["open"] += finding["state"] == "open"
        known["waived"] += finding["state"] == "waived"
        if len(known["ids"]) < WORST:
            known["ids"].append(finding["id"])
    return sorted(by_code.values(), key=lambda each: (-SEVERITIES.index(each["severity"]), -each["findings"]))


def title(code: str) -> str:
    """Return what a code means in words; of one that this version does not know, the code."""
    return CATALOGUE[code].title if code in CATALOGUE else code


def _media(report: Report) -> Iterator[str]:
    states = report["legs"]["states"]
    seen = report["legs"]["total"] - states["not-observed"]
    if not seen:
        yield "No media were seen in this period, so nothing is shown of their protection."
        return
    yield (
        f"Media of {count(states['encrypted'], 'leg')} of {seen} that were seen were encrypted "
        f"({share(states['encrypted'], seen)})."
    )


def _signalling(report: Report) -> Iterator[str]:
    states = report["legs"]["signalling"]
    seen = states["encrypted"] + states["clear"]
    if seen:
        yield (
            f"Signalling of {count(states['encrypted'], 'leg')} of {seen} whose signalling was seen went by TLS "
            f"({share(states['encrypted'], seen)})."
        )


def _transmission(report: Report) -> Iterator[str]:
    yield from _media(report)
    yield from _signalling(report)


def _integrity(report: Report) -> Iterator[str]:
    exchanges = report["legs"]["key_exchanges"]  # of legs that were encrypted
    keyed = sum(exchanges.get(kind, 0) for kind in ("sdes", "dtls", "zrtp"))
    exposed = exchanges.get("sdes-exposed", 0)
    if keyed:
        yield (
            f"{count(keyed, 'encrypted leg')} exchanged keys for SRTP, which authenticates "
            "packets unless its suite says otherwise."
        )
    if exposed:
        yield (
            f"{count(exposed, 'encrypted leg')} exchanged keys that were readable in the signalling: whoever read them "
            "can change what they protect."
        )
    weak = sum(finding["code"] in ("media-null-cipher", "media-weak-srtp") for finding in report["findings"])
    if keyed:
        yield f"{count(weak, 'finding')} of NULL or weak SRTP suites."
    if not keyed and not exposed:
        yield "No exchange of keys for SRTP was seen, so nothing is shown of the integrity of media."


def _authentication(report: Report) -> Iterator[str]:
    servers = report["tls_servers"]
    if not servers:
        yield "No server of SIP over TLS was seen."
        return
    readable = [server for server in servers if server["chain"] is not None]
    trusted = sum(server["chain"]["trust"] == "trusted" for server in readable)
    yield f"{count(len(servers), 'server')} of SIP over TLS; the certificates of {len(readable)} could be read."
    if readable:
        yield f"{trusted} of these had a chain to an issuer that the policy trusts."


def _access(report: Report) -> Iterator[str]:
    isolated = sum(segment["isolated"] for segment in report["segments"])
    if isolated:
        broken = sum(finding["code"] == "segment-violation" for finding in report["findings"])
        yield (
            f"{count(isolated, 'segment')} isolated by the policy; "
            f"{count(broken, 'finding')} of hosts that talked and may not."
        )
    else:
        yield "The policy isolates no segment, so nothing was held against such a rule."


def _audit(report: Report) -> Iterator[str]:
    coverage = report["coverage"]
    seen = coverage["seconds"]["seen"]
    if report["source"]["kind"] == "captures":
        yield (
            f"The captures cover {duration(seen + coverage['seconds']['degraded'])}; of "
            "the time between and around them they say nothing."
        )
    else:
        total = sum(coverage["seconds"].values())
        yield f"The sensor saw all of its mirror for {duration(seen)} of {duration(total)} ({share(seen, total)})."
    ledger = report["ledger"]
    if ledger is not None and ledger["verified"] is True:
        yield f"The ledger of {ledger['size']} entries was verified when this report was made."
    elif ledger is not None and ledger["verified"] is None:
        yield "The ledger was not verified when this report was made: no public key was given."


def _stored(report: Report) -> Iterator[str]:
    ledger = report["ledger"]
    if ledger is None:
        yield "The captures are named with their SHA-256, by which a change of them shows."
    elif ledger["verified"] is True:
        yield "The evidence itself is unchanged: the ledger's signed checkpoint fits its entries."
    else:
        yield "The evidence itself was not shown to be unchanged."


def _review(report: Report) -> Iterator[str]:
    findings = report["findings"]
    over = sum(finding["state"] == "resolved" for finding in findings)
    yield f"{count(len(findings), 'finding')} in the period, of which {over} {were(over)} over at its end."
    kept = sum(report["transactions"].values())
    if kept:
        yield f"{count(kept, 'SIP transaction')} of the period, kept with pseudonyms."
    attacks = sum(finding["code"] == "registration-attack" for finding in findings)
    yield f"{count(attacks, 'finding')} of registrations under attack."


def _risk(report: Report) -> Iterator[str]:
    yield (
        f"An inventory of {count(len(report['endpoints']), 'endpoint')} in "
        f"{count(len(report['segments']), 'segment')}, and of "
        f"{count(len(report['paths']), 'path')} between hosts, as a map and in the attached JSON."
    )


def _vendors(report: Report) -> Iterator[str]:
    vendors = report["vendors"]
    if not vendors:
        yield "The policy has no inventory of vendors, so nobody was held against one."
        return
    seen = [vendor for vendor in vendors if vendor["legs"]]
    asked = [vendor for vendor in seen if vendor["baa_required"]]
    signed = sum(vendor["baa"] is not None for vendor in asked)
    if any(vendor["legs"] is None for vendor in vendors):
        yield f"{count(len(vendors), 'vendor')} in the inventory; calls are not counted by vendor: {UNCOUNTED}."
        return
    yield f"{count(len(vendors), 'vendor')} in the inventory, {len(seen)} of them with calls in the period."
    if asked:
        yield f"The inventory has an agreement for {signed} of {len(asked)} that need one."


def _documentation(report: Report) -> Iterator[str]:
    if report["ledger"] is None:
        yield "This report and the captures that it names; how long they are kept is not seen."
        return
    oldest = report["ledger"]["oldest"]
    if oldest is not None:
        yield f"The ledger's oldest entry was written on {day(oldest)}."
    deleted = len(report["ledger"]["deleted"])
    if deleted:
        yield f"{count(deleted, 'segment')} deleted by retention in the period, each with an entry of its own."
    else:
        yield "Nothing of the ledger was deleted by retention in the period."


CONTROLS = (
    Control(
        RISK_ANALYSIS,
        "Risk analysis",
        "required",
        (
            "required; the proposal would add an inventory of technology assets and a network map, reviewed every 12 "
            "months"
        ),
        _risk,
        (
            (
                "Risks elsewhere than on this voice network, and how likely and how grave the organisation takes them "
                "to be."
            ),
        ),
    ),
    Control(
        ACTIVITY_REVIEW,
        "Information system activity review",
        "required",
        "required",
        _review,
        (
            "Whether anybody read the findings, and what was done about them.",
            "Logs of applications, telephones and exchanges.",
        ),
    ),
    Control(
        ASSOCIATES,
        "Business associate contracts and other arrangements",
        "required",
        "required; the proposal would ask business associates for a written verification every 12 months",
        _vendors,
        ("The agreements themselves, and vendors whose traffic does not come here.",),
    ),
    Control(
        ACCESS,
        "Access control",
        "required",
        "required; the proposal would add network segmentation",
        _access,
        (
            (
                "User accounts, emergency access, automatic logoff, and encryption of what is stored (recordings, "
                "voicemail)."
            ),
        ),
    ),
    Control(
        AUDIT,
        "Audit controls",
        "required (a standard without specifications)",
        "required",
        _audit,
        ("What happens inside telephones, exchanges and applications.",),
    ),
    Control(
        STORED_INTEGRITY,
        "Integrity",
        "required",
        "required",
        _stored,
        ("Recordings, voicemail and call records at rest, and who can change them.",),
    ),
    Control(
        AUTHENTICATION,
        "Person or entity authentication",
        "required",
        "required; the proposal would add multi-factor authentication",
        _authentication,
        ("Who sits at a telephone; passwords and their strength.", "Certificates that TLS 1.3 hides from a sensor."),
    ),
    Control(
        TRANSMISSION,
        "Transmission security",
        "required",
        "required",
        _transmission,
        (
            (
                "Media and signalling on networks whose traffic is not mirrored to the sensor, and behind a vendor's "
                "border."
            ),
        ),
    ),
    Control(
        INTEGRITY,
        "Integrity controls in transmission",
        "addressable",
        "required by the proposal, with limited exceptions",
        _integrity,
        ("Whether receivers check the authentication that packets carry.",),
    ),
    Control(
        ENCRYPTION,
        "Encryption in transmission",
        "addressable",
        "required by the proposal, with limited exceptions",
        _transmission,
        (
            (
                "The strength and the handling of keys at the ends; whether an alternative was documented where "
                "nothing is encrypted."
            ),
        ),
    ),
    Control(
        DOCUMENTATION,
        "Documentation: time limit of six years",
        "required",
        "required",
        _documentation,
        ("Policies, procedures and decisions, and where copies of the evidence are kept.",),
    ),
)
