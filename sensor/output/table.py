"""``scan`` for people: the legs with what was promised and what was seen, the findings, the account."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, TextIO, TypeVar

from rich.console import Console
from rich.table import Table
from rich.text import Text

from sensor.model import QuietSink
from sensor.output.signs import OBSERVED, SEVERITY, printable
from sensor.output.summary import rank

if TYPE_CHECKING:
    from collections.abc import Callable

    from fastpath.records import FlowEnded
    from sensor.model import (
        Call,
        Comparison,
        Endpoint,
        Finding,
        FlowContext,
        Leg,
        Protection,
        Signalled,
        Step,
        Subject,
        TlsServer,
    )
    from sensor.output.summary import Summary

MAX_LEGS = 100  # rows of the table; a person reads no more, and memory stays bounded
MAX_FINDINGS = 100

_Item = TypeVar("_Item")
_Order = tuple[int, str | bool, int]

_PROMISED: dict[Signalled, str] = {
    "clear": "clear",
    "srtp-sdes": "SRTP-SDES",
    "srtp-dtls": "SRTP-DTLS",
    "zrtp": "ZRTP",
    "optional": "optional",
    "unknown": "-",
}
_SIGNALLING = {"clear": ("clear", "red"), "tls": ("TLS", "green"), "unknown": ("-", "dim")}
_INDENT = "   "
_LEGEND = (
    "Promised: what the signalling agreed on. Observed: what the packets are (! its key was readable in the "
    "signalling). Seen: share of the leg's time that was well observed.\n"
)
_BADNESS: dict[Protection, int] = {"clear": 3, "undetermined": 2, "not-observed": 1, "encrypted": 0}
_CONTRADICTIONS: frozenset[Comparison] = frozenset({"clear-despite-srtp", "encrypted-despite-clear"})


class Report(QuietSink):
    """Keeps the worst legs and findings as they are reported and prints them at ``close``."""

    def __init__(self, out: TextIO) -> None:
        self._console = Console(file=out, highlight=False, emoji=False, markup=False)
        self._legs: list[Leg] = []
        self._observed: Counter[Protection] = Counter()
        self._open: dict[int, Finding] = {}  # by identity: the analysis hands out one object for a whole life
        self._resolved: list[Finding] = []

    def flow_ended(self, flow: FlowEnded, context: FlowContext) -> None:
        """Flows are for machines: the table shows legs."""

    def call_ended(self, call: Call) -> None:
        """Calls are for machines, as their legs are here."""

    def endpoint_ended(self, endpoint: Endpoint) -> None:
        """Endpoints are for machines."""

    def tls_server_ended(self, server: TlsServer) -> None:
        """TLS servers are for machines; what is wrong with them is a finding."""

    def leg_ended(self, leg: Leg) -> None:
        """Keep the leg if it is among the worst."""
        self._observed[leg.observed] += 1
        self._legs.append(leg)
        _cut(self._legs, _leg_order, MAX_LEGS)

    def finding_changed(self, finding: Finding, change: Step) -> None:
        """Keep the finding if it is among the most severe."""
        if change == "resolved":
            self._open.pop(id(finding), None)
            self._resolved.append(finding)
            _cut(self._resolved, _finding_order, MAX_FINDINGS)
        else:
            self._open[id(finding)] = finding

    def begin(self, capture: str | None) -> None:
        """Captures of one run share the tables."""

    def end(self) -> None:
        """See ``begin``."""

    def close(self, summary: Summary) -> None:
        """Print everything."""
        self._print_legs(summary.legs)
        self._print_findings(summary.findings.total())
        self._console.print(Text(account(summary), style="dim"))

    def _print_legs(self, total: int) -> None:
        if not total:
            self._console.print("No call legs were seen.\n")
            return
        table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="bold", collapse_padding=True)
        for name in ("Leg", "Media", "SIP", "Promised", "Observed"):
            table.add_column(name, overflow="fold", no_wrap=name != "Leg")
        table.add_column("Seen", justify="right", no_wrap=True)
        legs = sorted(self._legs, key=_leg_order)[:MAX_LEGS]
        for leg in legs:
            table.add_row(*_row(leg))
        self._console.print(_heading("Call legs", total, len(legs)))
        self._console.print(table)
        counted = [f"{self._observed[state]} {state.replace('-', ' ')}" for state in OBSERVED if self._observed[state]]
        self._console.print(Text(f"\n{', '.join(counted)}.", style="bold"))
        self._console.print(Text(_LEGEND, style="dim"))

    def _print_findings(self, total: int) -> None:
        if not total:
            self._console.print("No findings.\n")
            return
        findings = sorted([*self._resolved, *self._open.values()], key=_finding_order)[:MAX_FINDINGS]
        self._console.print(_heading("Findings", total, len(findings)))
        for finding in findings:
            head = Text()
            head.append(f" {finding.severity.upper()} ", style=SEVERITY[finding.severity])
            head.append(f" {finding.code}  ", style="bold")
            head.append(printable(describe(finding.subject)))
            if finding.state == "waived":
                head.append(f"  (waived by {finding.waived_by})", style="dim")
            self._console.print(head)
            for statement in finding.evidence:
                for line in Text(printable(statement)).wrap(self._console, self._console.width - len(_INDENT)):
                    line.rstrip()
                    self._console.print(Text(_INDENT).append_text(line))
        self._console.print()


def describe(subject: Subject) -> str:
    """Return a subject in words: "10.0.0.1 ↔ 10.0.0.2", "10.0.0.1", "interface eth0"."""
    if subject.b:
        return f"{subject.a} ↔ {subject.b}"
    if subject.a:
        return subject.a
    return f"{subject.kind} {subject.name}".strip()


def account(summary: Summary) -> str:
    """Return what became of the packets in one line; what did not happen is left out."""
    parts = [f"{summary.classified:,} read"]
    for name, reasons in (("ignored", summary.ignored), ("malformed", summary.malformed), ("shed", summary.shed)):
        if reasons.total():
            detail = ", ".join(f"{reason} {count:,}" for reason, count in reasons.most_common(3) if count)
            parts.append(f"{reasons.total():,} {name} ({detail})")
    if summary.duplicates:
        parts.append(f"{summary.duplicates:,} duplicates")
    if summary.kernel_drops:
        parts.append(f"{summary.kernel_drops:,} dropped by the kernel")
    packets = "1 packet" if summary.received == 1 else f"{summary.received:,} packets"
    flows = "1 flow" if summary.flows == 1 else f"{summary.flows:,} flows"
    return f"{packets} in {summary.seconds:,.1f} s: {', '.join(parts)}. {flows}."


def _row(leg: Leg) -> tuple[Text | str, ...]:
    observed, style = OBSERVED[leg.observed]
    if leg.observed == "encrypted" and _key_exposed(leg):
        observed, style = f"{observed} !", "yellow"
    signalling, signalling_style = _SIGNALLING[leg.signalling]
    return (
        f"{leg.a} ↔ {leg.b}",
        printable(leg.media),
        Text(signalling, style=signalling_style),
        Text(_PROMISED[leg.signalled], style="bold" if leg.comparison in _CONTRADICTIONS else ""),
        Text(observed, style=style),
        "-" if leg.observed == "not-observed" else f"{leg.assessed:.0%}",
    )


def _heading(name: str, total: int, shown: int) -> Text:
    heading = Text(f"{name} ({total})", style="bold underline")
    if shown < total:
        heading.append(f"  the worst {shown}; --json prints all", style="not bold not underline dim")
    return heading


def _key_exposed(leg: Leg) -> bool:
    return leg.key_exchange == "sdes-exposed"


def _leg_order(leg: Leg) -> tuple[int, bool, int]:
    return -_BADNESS[leg.observed], not (leg.comparison in _CONTRADICTIONS or _key_exposed(leg)), leg.first_ns


def _finding_order(finding: Finding) -> tuple[int, str, int]:
    return -rank(finding.severity), finding.code, finding.first_ns


def _cut(items: list[_Item], order: Callable[[_Item], _Order], most: int) -> None:
    # Twice the number, so that most of the time this costs nothing.
    if len(items) > 2 * most:
        items.sort(key=order)
        del items[most:]
