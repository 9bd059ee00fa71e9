"""What was open when the sensor ended: how long it is held when nobody claims it again, and who goes on with it.

Nobody knows what happened meanwhile, so each finding is over as its kind is over while the sensor runs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sensor.policy.catalogue import CATALOGUE
from sensor.policy.claims import NS, claim

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from sensor.config.schema import Policy
    from sensor.findings import Claim, Kept
    from sensor.model import Finding
    from sensor.policy.media import MediaFacts
    from sensor.policy.segments import Required

DAY_NS = 86_400 * NS
WEEK_NS = 7 * DAY_NS
NEVER_NS = (1 << 63) - 1

# What is over when it is judged otherwise, or when nothing was seen of it for so long; all else when it was not seen
# for the policy's time
_PATIENCE_NS = {
    **dict.fromkeys(("tls-version", "tls-cipher", "tls-null", "tls-anonymous", "not-observable"), WEEK_NS),
    **dict.fromkeys(("cert-expired", "cert-expiring", "cert-not-yet-valid", "cert-name-mismatch"), WEEK_NS),
    **dict.fromkeys(("cert-weak", "cert-self-signed", "cert-untrusted", "qos-unmarked"), WEEK_NS),
    "posture-drift": DAY_NS,
}
_OF_FLOWS = frozenset(("access", "peer", "vendor"))  # subjects of what lasts while a flow does
_OF_SENSOR = frozenset(("sensor", "interface"))

# What packets of media tell again by themselves, and what is no longer true when they are not in clear
_TOLD_AGAIN = frozenset(("media-clear", "media-undetermined", "media-not-observed"))
_WHILE_CLEAR = frozenset(("media-clear-despite-srtp", "media-downgraded", "media-half-protected", "recording-clear"))


def held(
    kept: Iterable[Kept], alive_ns: int, now_ns: int, interface: str, policy: Policy, settle_ns: int
) -> Iterator[tuple[Kept, int]]:
    """Yield what is still known, with the packet time until which it is held when nobody claims it.

    ``alive_ns`` is the packet time when it was written last. What was true by then gets that as its last time.
    """
    alive_ns = min(alive_ns, now_ns)  # or the clock was set back
    for each in kept:
        finding = each.finding
        if finding.code not in CATALOGUE:
            continue
        finding.last_ns = min(finding.last_ns, now_ns)
        seen_ns = finding.last_ns if each.former or each.left_ns else max(finding.last_ns, alive_ns)
        if is_of_leg(finding) or _is_of_sensor(finding):
            finding.last_ns = seen_ns
        yield each, _until(finding, seen_ns, now_ns, interface, policy) + is_of_leg(finding) * settle_ns


def _until(finding: Finding, seen_ns: int, now_ns: int, interface: str, policy: Policy) -> int:
    kind, quiet_ns = finding.subject.kind, int(policy.resolve_after * NS)
    if _is_of_sensor(finding):
        return NEVER_NS if finding.subject.name == interface else 0
    if is_of_leg(finding):
        # Media that goes on is seen and judged by then; after a longer time it is taken for over.
        return now_ns + int(policy.media_idle * NS) if now_ns - seen_ns <= quiet_ns else 0
    if kind in _OF_FLOWS:
        return seen_ns + quiet_ns
    by_dtls = kind == "leg" and finding.code != "qos-unmarked"
    return finding.last_ns + (quiet_ns if by_dtls else _PATIENCE_NS.get(finding.code, quiet_ns))


def is_of_leg(finding: Finding) -> bool:
    """Say whether a finding lives as long as a leg does."""
    return finding.subject.kind == "leg" and finding.code not in _PATIENCE_NS


def _is_of_sensor(finding: Finding) -> bool:
    """Say whether a finding is true of the sensor until it is seen not to be; what was lost is not seen any more."""
    return finding.subject.kind in _OF_SENSOR and finding.code != "sensor-loss"


def goes_on(
    facts: MediaFacts, former: Iterable[Finding], said: Collection[Claim], required: Required
) -> Iterator[Claim]:
    """Yield what was true of a leg's hosts before the restart and its media alone does not tell again.

    Its signalling was not seen by this sensor, so nothing contradicts it but the media.
    """
    codes = {each.code for each in said}
    for finding in former:
        code, evidence = finding.code, finding.evidence[0]
        if code in codes or code in _TOLD_AGAIN or (facts.clear is None and code in _WHILE_CLEAR):
            continue
        if required.media or code == "media-clear-despite-srtp":
            yield claim(code, required.policy, finding.subject, required, evidence, since_ns=finding.since_ns)
