"""``legwatch explain-policy``: what rule applies between two addresses, and which line of the policy says so."""

from __future__ import annotations

import dataclasses
import json
import time
from argparse import Namespace
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Generic, Literal, TypeVar

from sensor.commands import OperatorError, configuration
from sensor.config.network import Pair, Requirement, Segment, Vendor
from sensor.config.schema import Policy
from sensor.model import Severity
from sensor.policy.access import is_external, missing_agreement, paths, vendor_of
from sensor.policy.catalogue import CATALOGUE
from sensor.policy.segments import Match, Required, Segments, isolating
from sensor.policy.waivers import Waivers, day

Value = TypeVar("Value")

_GENERAL = "policy"  # what no pair and no segment says
_CERTIFICATES = {
    "by-segment": "one of an issuer that nobody trusts is a finding, high where an end is outside",
    "trusted": "one of an issuer that nobody trusts is a finding, always high",
    "any": "the issuer does not matter",
}


@dataclass(frozen=True, slots=True)
class Carrier:
    """The vendor that an address outside belongs to; ``missing`` says what is wrong with its agreement."""

    name: str
    role: str
    agreement: str
    missing: bool


@dataclass(frozen=True, slots=True)
class End:
    """One address. Without a segment it is outside, without ``external`` no vendor is asked for."""

    address: str
    segment: str | None
    kind: str | None
    by: str | None
    host: str | None
    role: str | None
    external: bool
    vendor: Carrier | None


@dataclass(frozen=True, slots=True)
class Rule(Generic[Value]):
    """A value, and which line of the policy says it."""

    value: Value
    why: str


@dataclass(frozen=True, slots=True)
class Rules:
    """Floors and times."""

    rtcp: Rule[str]
    allowed_suites: Rule[tuple[str, ...]]
    key_exchange: Rule[tuple[str, ...]]
    min_tls: Rule[str]
    allowed_ciphers: Rule[tuple[str, ...]]
    certificates: Rule[str]
    accept_self_signed: Rule[bool]
    grace: Rule[float]
    clear_before_key_packets: Rule[int]
    clear_before_key_seconds: Rule[float]
    undetermined_after: Rule[float]
    not_observed_after: Rule[float]
    dscp: Rule[tuple[int, ...]]


@dataclass(frozen=True, slots=True)
class Way:
    """A path on which one end may manage the other."""

    client: str
    server: str
    protocols: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Other:
    """A severity in place of the usual one."""

    code: str
    severity: Severity
    default: Severity
    why: str


@dataclass(frozen=True, slots=True)
class Accepted:
    """A waiver that names either end."""

    subjects: tuple[str, ...]
    codes: tuple[str, ...]
    owner: str
    reason: str
    until: str
    over: bool


@dataclass(frozen=True, slots=True)
class Answer:
    """All that the policy says of two addresses."""

    a: End
    b: End
    access: Rule[Literal["allowed", "denied"]]
    management: tuple[Way, ...]
    media: Rule[Requirement]
    signalling: Rule[Requirement]
    rules: Rules
    severities: tuple[Other, ...]
    waivers: tuple[Accepted, ...]


def execute(args: Namespace) -> int:
    """Print the answer, in words or as an object."""
    a, b = (_address(text) for text in (args.a, args.b))
    policy = configuration(args.config).policy
    vlans = () if args.vlan is None else (args.vlan,)
    found = answer(policy, (a, b), vlans, args.interface, time.time_ns())
    if args.json:
        print(json.dumps(dataclasses.asdict(found), ensure_ascii=False))  # noqa: T201
    else:
        print("\n".join(lines(found)))  # noqa: T201
    return 0


def answer(policy: Policy, ends: tuple[str, str], vlans: tuple[int, ...], interface: str, now_ns: int) -> Answer:
    """Return what the policy says of two addresses that are seen in these VLANs on this interface."""
    segments = Segments(policy, interface)
    required = segments.required(*ends, vlans)
    matches = (segments.match(ends[0], vlans), segments.match(ends[1], vlans))
    a, b = (match.segment if match else None for match in matches)
    pair = segments.pair(a, b)
    outside = [is_external(end, vlans, segments) for end in ends]
    asked = bool(policy.vendors) and outside[0] != outside[1]
    described = [
        _end(end, match, policy, now_ns, external=asked and external)
        for end, match, external in zip(ends, matches, outside, strict=True)
    ]
    return Answer(
        described[0],
        described[1],
        Rule("allowed" if required.access else "denied", _why_access(pair, a, b)),
        tuple(
            Way(client, server, path.protocols)
            for client, server in (ends, ends[::-1])
            for path in paths(client, server, vlans, segments, policy)
        ),
        _requirement("media", pair, (a, b), required=required.media),
        _requirement("signalling", pair, (a, b), required=required.signalling),
        _rules(required.policy, pair),
        tuple(_severities(required, pair, (a, b))),
        tuple(
            Accepted(
                tuple(str(subject) for subject in waiver.subjects),
                waiver.codes,
                waiver.owner,
                waiver.reason,
                str(waiver.until),
                day(now_ns) > waiver.until,
            )
            for waiver in Waivers(policy).naming(*ends, required.segments)
        ),
    )


def _address(text: str) -> str:
    try:
        return str(ip_address(text))
    except ValueError:
        raise OperatorError(f"{text} is not an IP address such as 10.20.0.5 or fd00:20::5") from None


def _end(address: str, match: Match | None, policy: Policy, now_ns: int, *, external: bool) -> End:
    host = next((host for host in policy.hosts if address in host.addresses), None)
    vendor = vendor_of(address, policy) if external else None
    return End(
        address,
        match.segment.name if match else None,
        match.segment.kind if match else None,
        match.by if match else None,
        host.name if host else None,
        host.role if host else None,
        external,
        _carrier(vendor, now_ns) if vendor else None,
    )


def _carrier(vendor: Vendor, now_ns: int) -> Carrier:
    missing = missing_agreement(vendor, now_ns)
    if missing is not None:
        agreement = missing
    elif vendor.baa is None or not vendor.baa_required:
        agreement = "it needs no Business Associate Agreement"
    else:
        end = f"holds until {vendor.baa.expires}" if vendor.baa.expires else "has no end"
        agreement = f"its Business Associate Agreement, signed on {vendor.baa.signed}, {end}"
    return Carrier(vendor.name, vendor.role, agreement, missing is not None)


def _why_access(pair: Pair | None, a: Segment | None, b: Segment | None) -> str:
    if pair is not None and pair.access is not None:
        return f"{_pair(pair)} has access: {pair.access}"
    closed = isolating(a, b)
    if closed is not None:
        other = b if closed is a else a
        what = "outside" if other is None else f"of kind {other.kind}"
        return f"segment {closed.name} is isolated and the other end is {what}"
    isolated = next((one for one, other in ((a, b), (b, a)) if one and one.isolated and one is not other), None)
    if isolated is not None:
        return f"segment {isolated.name} is isolated and the other end is of the telephone system"
    return "no isolated segment and no pair keeps them apart" if a is not b else "both are in one segment"


def _requirement(
    plane: Literal["media", "signalling"], pair: Pair | None, ends: tuple[Segment | None, ...], *, required: bool
) -> Rule[Requirement]:
    value: Requirement = "encrypted" if required else "any"
    if pair is not None and getattr(pair, plane) is not None:
        return Rule(value, f"{_pair(pair)} says so")
    asking = list(dict.fromkeys(end.name for end in ends if end is not None and getattr(end, plane) == "encrypted"))
    if len(asking) > 1:
        return Rule(value, f"segments {' and '.join(asking)} ask for it")
    return Rule(value, f"segment {asking[0]} asks for it" if asking else "no segment of theirs asks for more")


def _rules(policy: Policy, pair: Pair | None) -> Rules:
    """Return what holds between two addresses, each with where it is said."""

    def rule(value: Value, key: str) -> Rule[Value]:
        by_pair = pair is not None and getattr(pair, key, None) is not None
        return Rule(value, _pair(pair) if pair is not None and by_pair else _GENERAL)

    return Rules(
        rtcp=rule(policy.rtcp, "rtcp"),
        allowed_suites=rule(policy.allowed_suites, "allowed_suites"),
        key_exchange=rule(tuple(map(str, policy.key_exchange)), "key_exchange"),
        min_tls=rule(policy.tls.min_version, "min_tls"),
        allowed_ciphers=rule(policy.tls.allowed_ciphers, "allowed_ciphers"),
        certificates=rule(policy.tls.certificates, "certificates"),
        accept_self_signed=Rule(policy.tls.accept_self_signed, _GENERAL),
        grace=rule(policy.grace, "grace"),
        clear_before_key_packets=Rule(policy.clear_before_key.packets, _GENERAL),
        clear_before_key_seconds=Rule(policy.clear_before_key.seconds, _GENERAL),
        undetermined_after=rule(policy.undetermined_after, "undetermined_after"),
        not_observed_after=Rule(policy.not_observed_after, _GENERAL),
        dscp=Rule(policy.dscp, _GENERAL),
    )


def _severities(required: Required, pair: Pair | None, ends: tuple[Segment | None, ...]) -> Iterator[Other]:
    for code, severity in required.policy.severities.items():
        entry = CATALOGUE[code]
        if severity == entry.severity and not entry.also:
            continue
        saying = dict.fromkeys(end.name for end in ends if end is not None and end.severities.get(code) == severity)
        if pair is not None and code in pair.severities:
            why = _pair(pair)
        else:
            why = f"segment {' and '.join(saying)}" if saying else _GENERAL
        yield Other(code, severity, entry.severity, why)


def _pair(pair: Pair) -> str:
    return f"pair [{', '.join(pair.between)}]"


def lines(found: Answer) -> Iterator[str]:
    """Give the answer in words."""
    yield from (_place(end) for end in (found.a, found.b))
    yield ""
    may = "they may talk" if found.access.value == "allowed" else "they may not talk"
    yield f"Access      {may}: {found.access.why}"
    for way in found.management:
        yield f"            on a management path {way.client} may use {', '.join(way.protocols)} on {way.server}"
    yield f"Media       {_must(found.media)}"
    if found.media.value == "any":
        yield "            SRTP that was agreed on and is not there is a finding all the same"
    yield f"Signalling  {_must(found.signalling)}"
    if found.media.value == "encrypted":
        yield from _media(found.rules)
    if "encrypted" in (found.media.value, found.signalling.value):
        yield from _tls(found.rules)
    for other in found.severities:
        yield f"Severity    {other.code} is {other.severity}, usually {other.default} ({other.why})"
    for waiver in found.waivers:
        until = "ended on" if waiver.over else "until"
        yield f"Waiver      {', '.join(waiver.codes)} of {', '.join(waiver.subjects)}, {until} {waiver.until}"
        yield f"            {waiver.owner}: {waiver.reason}"


def _place(end: End) -> str:
    text = f"{end.address} is "
    text += f"in segment {end.segment} ({end.kind}), by {end.by}" if end.segment else "outside all segments"
    if end.host:
        text += f"; it is host {end.host}, role {end.role}"
    if end.vendor:
        text += f"; it is of vendor {end.vendor.name} ({end.vendor.role}): {end.vendor.agreement}"
    elif end.external:
        text += "; it is in the inventory of no vendor"
    return text


def _must(rule: Rule[Requirement]) -> str:
    return f"{'must be encrypted' if rule.value == 'encrypted' else 'may be in clear'}: {rule.why}"


def _media(rules: Rules) -> Iterator[str]:
    rtcp = "must be encrypted" if rules.rtcp.value == "encrypted" else "in clear is a finding beside encrypted media"
    suites, ways, grace, unclear = rules.allowed_suites, rules.key_exchange, rules.grace, rules.undetermined_after
    early = f"{rules.clear_before_key_packets.value} packets or {rules.clear_before_key_seconds.value:g} s"
    yield f"RTCP        {rtcp} ({rules.rtcp.why})"
    yield f"SRTP        weak suites: {', '.join(suites.value) or 'none is accepted'} ({suites.why})"
    yield f"            keys by {' or '.join(ways.value) or 'any way'} ({ways.why})"
    early_s = f"{grace.value:g} s" if grace.value else "nothing"
    yield f"Times       {early_s} may be in clear while keys are on their way ({grace.why})"
    yield f"            more than {early} in clear before the first encrypted packet are a finding (policy)"
    yield f"            media of which nothing can be said is a finding after {unclear.value:g} s ({unclear.why})"
    yield f"            media that was agreed and is not seen, after {rules.not_observed_after.value:g} s (policy)"
    if rules.dscp.value:
        yield f"DSCP        {' or '.join(map(str, rules.dscp.value))} ({rules.dscp.why})"


def _tls(rules: Rules) -> Iterator[str]:
    version, ciphers, certificates = rules.min_tls, rules.allowed_ciphers, rules.certificates
    yield f"TLS         {version.value} or later ({version.why})"
    yield f"            weak suites: {', '.join(ciphers.value) or 'none is accepted'} ({ciphers.why})"
    yield f"            certificates: {_CERTIFICATES[certificates.value]} ({certificates.why})"
    if rules.accept_self_signed.value:
        yield "            certificates that signed themselves are no finding (policy)"
