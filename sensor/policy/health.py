"""What is true by the policy of the sensor itself: its blindness is a finding too."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from sensor.model import Subject
from sensor.policy.claims import NS, claim

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sensor.config.schema import Policy
    from sensor.findings import Claim

# Shares of a window's packets, or of its media flows, from which on something is said
MOST_TRUNCATED = 0.01
MOST_TWICE = 0.05
MOST_UNDECODED = 0.1
MOST_ONE_WAY = 0.9

# What the mirror carries and the sensor cannot look into; what is merely of no interest is not among it
UNDECODED = (
    *("ignored.macsec", "ignored.mpls", "ignored.ppp", "ignored.ethertype", "ignored.linktype", "ignored.gre"),
    *("ignored.l2tp", "ignored.hep", "ignored.tunnel-depth"),
)


# What a window of the mirror is judged by
MIRROR = ("sensor-one-way-mirror", "sensor-duplicate-mirror", "sensor-truncated", "sensor-undecoded")

# What is left out, stage by stage (fastpath/shedding.pxd)
_STAGES = ("jitter is not followed", "media with a verdict is not looked at", "only so many new media flows are let in")


class Least(NamedTuple):
    """How much has to be there before a share means something."""

    packets: int = 1000
    flows: int = 4


LEAST = Least()


def no_traffic(interface: str, silent_ns: int, policy: Policy) -> list[Claim]:
    """Return the claim that a watched interface is silent, once it has been for the policy's time."""
    if silent_ns < policy.no_traffic_after * NS:
        return []
    evidence = f"no packet on {interface} for more than {policy.no_traffic_after:g} s"
    return [claim("sensor-no-traffic", policy, Subject("interface", name=interface), None, evidence)]


def no_voice(interface: str, silent_ns: int, policy: Policy) -> list[Claim]:
    """Return the claim that a watched interface has traffic and no voice, once that lasts for the policy's time."""
    if silent_ns < policy.no_voice_after * NS:
        return []
    evidence = f"packets on {interface}, and neither media nor SIP among them for {policy.no_voice_after:g} s"
    return [claim("sensor-no-voice", policy, Subject("interface", name=interface), None, evidence)]


def loss(interface: str, lost: Mapping[str, int], policy: Policy) -> list[Claim]:
    """Return the claim that the sensor lost traffic: counts by the name of their counter, none when all are zero."""
    figures = ", ".join(f"{count} {name}" for name, count in lost.items() if count)
    if not figures:
        return []
    subject = Subject("sensor", name=interface)
    return [claim("sensor-loss", policy, subject, None, f"lost: {figures}; the calls in it are not assessed")]


def overload(interface: str, stage: int, policy: Policy) -> list[Claim]:
    """Return the claim that load is shed, with the stage that was reached."""
    if not stage:
        return []
    evidence = f"load is shed, stage {stage} of {len(_STAGES)}: {', '.join(_STAGES[:stage])}"
    return [claim("sensor-overload", policy, Subject("sensor", name=interface), None, evidence)]


def clock(interface: str, steps: int, *, synchronised: bool, policy: Policy) -> list[Claim]:
    """Return the claim that packet times cannot be relied on."""
    said = [f"it was set {steps} times since the start"] if steps else []
    if not synchronised:
        said.append("no server of time keeps it")
    if not said:
        return []
    return [claim("sensor-clock", policy, Subject("sensor", name=interface), None, f"the clock: {'; '.join(said)}")]


def evidence(interface: str, problems: Sequence[str], policy: Policy) -> list[Claim]:
    """Return the claim that what should be kept for an auditor is not: why, in a text for each kind of evidence."""
    if not problems:
        return []
    said = f"{'; '.join(problems)}; what is not kept of meanwhile cannot be shown later"
    return [claim("sensor-evidence", policy, Subject("sensor", name=interface), None, said)]


def mirror(interface: str, seen: Mapping[str, int], policy: Policy, least: Least = LEAST) -> list[Claim]:
    """Return what a window shows of the mirror: ``seen`` is what the engine's counters grew by in it."""
    subject = Subject("interface" if interface else "sensor", name=interface)
    found = (
        _one_way(seen, least),
        _share(seen, {"duplicates": seen["duplicates"]}, MOST_TWICE, least),
        _share(seen, {"truncated": seen["truncated"]}, MOST_TRUNCATED, least),
        _share(seen, _undecoded(seen), MOST_UNDECODED, least),
    )
    return [
        claim(code, policy, subject, None, evidence) for code, evidence in zip(MIRROR, found, strict=True) if evidence
    ]


def _one_way(seen: Mapping[str, int], least: Least) -> str:
    one, both = seen["media_one_way"], seen["media_both_ways"]
    if one < least.flows or one < MOST_ONE_WAY * (one + both):
        return ""
    return f"{one} of {one + both} media flows were seen in one direction only"


def _undecoded(seen: Mapping[str, int]) -> dict[str, int]:
    return {name: count for name, count in seen.items() if name in UNDECODED or name.startswith("malformed.")}


def _share(seen: Mapping[str, int], counts: Mapping[str, int], most: float, least: Least) -> str:
    count, received = sum(counts.values()), seen["received"]
    if received < least.packets or count <= most * received:
        return ""
    names = ", ".join(
        f"{name} {counts[name]:,}" for name in sorted(counts, key=counts.__getitem__, reverse=True) if counts[name]
    )
    return f"{count:,} of {received:,} packets ({count / received:.1%}): {names}"
