"""Whether the sensor sees: what it knows of itself, as conditions whose reasons are a closed list.

*Blind*: a part of what happens is missing, and it cannot say of which calls. *Degraded*: it sees, and something is not
as it should be. What it has findings about (``sensor-…``) is a condition for as long as the finding is open, so that
readiness, metrics and events say the same, and none of them flaps.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, NamedTuple, get_args

from sensor.policy.health import LEAST

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sensor.recent import Growth

Level = Literal["blind", "degraded"]
Phase = Literal["starting", "running", "stopping"]
Blinding = Literal[
    "starting",
    "stopping",
    "capture-ended",
    "stuck",
    "link-down",
    "link-gone",
    "no-traffic",
    "no-voice",
    "drops",
    "evidence-unwritable",
    "ledger-unwritable",
]
Degrading = Literal[
    "no-voice-yet",
    "loss",
    "overload",
    "one-way-mirror",
    "duplicate-mirror",
    "truncated",
    "undecoded",
    "clock",
    "sink-down",
    "state-unwritable",
    "reload-failed",
    "certificate-unreadable",
    "ledger-budget",
]
Reason = Blinding | Degrading
LEVELS: dict[Reason, Level] = {
    **dict.fromkeys(get_args(Blinding), "blind"),
    **dict.fromkeys(get_args(Degrading), "degraded"),
}

# What findings of the sensor about itself mean, but for ``sensor-evidence``: of that it knows which kind. That there is
# no voice depends on whether there ever was some.
_FINDINGS: dict[str, Reason] = {
    "sensor-no-traffic": "no-traffic",
    "sensor-no-voice": "no-voice",
    "sensor-loss": "loss",
    "sensor-overload": "overload",
    "sensor-one-way-mirror": "one-way-mirror",
    "sensor-duplicate-mirror": "duplicate-mirror",
    "sensor-truncated": "truncated",
    "sensor-undecoded": "undecoded",
    "sensor-clock": "clock",
}

_REFUSED = "the last configuration was refused; the one before it is in use"
_BROKEN = "the new certificate of the metrics endpoint cannot be used; the one before it is shown"


class Condition(NamedTuple):
    """One thing that keeps the sensor from seeing, or from seeing well."""

    level: Level
    reason: Reason
    text: str  # one line

    def __str__(self) -> str:
        """Return it as one line."""
        return f"{self.level}: {self.reason}: {self.text}"


@dataclass(frozen=True, slots=True)
class Seen:
    """What a sensor knows of itself at one moment. Texts are "" where all is well."""

    interface: str
    phase: Phase = "running"
    capture_ended: str = ""  # why no packet is taken any more
    link: str = "up"  # as the ring says it
    findings: Mapping[str, str] = field(default_factory=dict)  # about itself, that are open: code and what it says
    voice_known: bool = False  # there was some, since the start or before it
    drops: str = ""  # what ``Drops`` says
    evidence: str = ""  # why it cannot be written
    ledger: str = ""  # likewise
    ledger_budget: str = ""  # why its disk will not do for long
    sinks_down: Sequence[str] = ()
    state: str = ""  # why it cannot be kept
    reload_failed: bool = False
    certificate_unreadable: bool = False


def conditions(seen: Seen) -> tuple[Condition, ...]:
    """Return what holds, in the order of the list of reasons."""
    texts: dict[Reason, str] = {
        "starting": "no packet is taken yet" if seen.phase == "starting" else "",
        "stopping": "no packet is taken any more" if seen.phase == "stopping" else "",
        "capture-ended": seen.capture_ended,
        "link-down": f"{seen.interface} is down" if seen.link == "down" else "",
        "link-gone": f"there is no interface {seen.interface}" if seen.link == "gone" else "",
        "drops": seen.drops,
        "evidence-unwritable": seen.evidence,
        "ledger-unwritable": seen.ledger,
        "sink-down": f"cannot be reached: {', '.join(seen.sinks_down)}" if seen.sinks_down else "",
        "state-unwritable": seen.state,
        "reload-failed": _REFUSED if seen.reload_failed else "",
        "certificate-unreadable": _BROKEN if seen.certificate_unreadable else "",
        "ledger-budget": seen.ledger_budget,
    }
    for code, text in seen.findings.items():
        if code in _FINDINGS:
            reason = _FINDINGS[code]
            texts["no-voice-yet" if reason == "no-voice" and not seen.voice_known else reason] = text
    return tuple(condition(reason, texts[reason]) for reason in LEVELS if texts.get(reason))


def condition(reason: Reason, text: str) -> Condition:
    """Return a condition, at the level that its reason has."""
    return Condition(LEVELS[reason], reason, text)


def is_blind(holding: Sequence[Condition]) -> bool:
    """Whether any of these blinds."""
    return any(each.level == "blind" for each in holding)


def readiness_object(holding: Sequence[Condition]) -> dict[str, object]:
    """Return what holds as JSON has it."""
    return {"ready": not is_blind(holding), "conditions": [each._asdict() for each in holding]}


def headline(interface: str, legs: int, in_clear: int, holding: Sequence[Condition]) -> str:
    """Return in one line whether the sensor sees, and what."""
    blind = [each for each in holding if each.level == "blind"]
    if blind:
        return f"blind: {'; '.join(each.text for each in blind)}"
    degraded = ", ".join(each.reason for each in holding)
    return f"watching {interface}: {legs:,} legs, {in_clear:,} in clear{degraded and f'; degraded: {degraded}'}"


class Drops:
    """Whether more packets are lost than the policy allows: from its share on until the share is half of that."""

    def __init__(self) -> None:
        self._too_many = False

    def judge(self, minute: Growth, most: float) -> str:
        """Return the share that was lost between the wire and the flows, "" where that is no more than allowed."""
        kernel = minute.of("kernel_drops")
        core = minute.of(*(name for name in minute.after if name.startswith("shed.")))
        total = minute.of("received") + kernel  # what was shed had been received
        share = (kernel + core) / total if total >= LEAST.packets else 0.0
        self._too_many = share > (most / 2 if self._too_many else most)
        if not self._too_many:
            return ""
        return (
            f"{share:.1%} of {total:,} packets within {minute.seconds:.0f} s: {kernel:,} dropped by the kernel, "
            f"{core:,} shed; policy.max_loss is {most:.1%}"
        )
