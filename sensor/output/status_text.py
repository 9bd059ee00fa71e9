"""The status of a running sensor for people: the parts of which ``legwatch status`` and ``legwatch top`` are made."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from rich.console import Group
from rich.table import Table
from rich.text import Text

from sensor.model import Protection, Subject
from sensor.output.signs import LEVEL, OBSERVED, SEVERITY, printable
from sensor.output.table import describe

Status = Mapping[str, Any]  # docs/schema/status.schema.json

STALE_S = 2.0  # an object of this age was made by a loop that does not come round
BAR = 12  # characters of the longest bar
_LEGS: tuple[Protection, ...] = ("encrypted", "clear", "undetermined", "not-observed")
# What is shown, the count, and the condition that says it is too much or too little
_MIRROR = (
    ("both ways", "both_ways", ""),
    ("one way", "one_way", "one-way-mirror"),
    ("twice", "duplicates", "duplicate-mirror"),
    ("cut", "truncated", "truncated"),
    ("undecoded", "undecoded", "undecoded"),
    ("gaps", "gaps", "loss"),
)
_UNITS = ((86_400, "d"), (3_600, "h"), (60, "min"))


def headline(status: Status) -> Text:
    """Return which sensor this is, and whether it sees."""
    text = Text()
    if not status["ready"]:
        text.append(" ✗ BLIND ", style=LEVEL["blind"][1])
    elif status["conditions"]:
        text.append(" ! DEGRADED ", style="bold black on yellow")
    else:
        text.append(" ✓ READY ", style="bold black on green")
    text.append(f"  {status['sensor']}", style="bold").append(f" at {status['site']}, {status['interface']}")
    life = f"running {lasting(status['uptime_s'])}, version {status['version']}"
    text.append(f" (link {status['link']}), {life}", style="dim")
    if status["age_s"] >= STALE_S:
        text.append(f"  as of {lasting(status['age_s'])} ago", style="bold yellow")
    return text


def conditions(status: Status) -> Group:
    """Return what keeps the sensor from seeing, or from seeing well, a line each."""
    table = _grid("left", "left", "left")
    for each in status["conditions"]:
        sign, style = LEVEL[each["level"]]
        table.add_row(Text(sign, style=style), Text(each["reason"], style="bold"), printable(each["text"]))
    return Group(table) if status["conditions"] else Group()


def legs(status: Status) -> Group:
    """Return the legs in progress as bars, and where those in clear are."""
    counts = status["legs"]
    most = max(*counts.values(), 1)
    table = _grid("left", "right", "left")
    for state in _LEGS:
        (sign, style), count = OBSERVED[state], counts[state]
        length = -(-count * BAR // most)
        table.add_row(Text(sign, style=style), Text(f"{count:,}", style="bold"), Text("━" * length, style=style))
    clear = [f"{'/'.join(each['segments'])} {each['legs']:,}" for each in status["in_clear"]]
    where = [Text(f"in clear: {', '.join(clear)}", style=OBSERVED["clear"][1])] if clear else []
    return Group(table, *where)


def rates(status: Status) -> Table:
    """Return what comes in a second and what of it is lost, and what is in progress."""
    now = status["rates"]
    lost = now["kernel_drops"] + now["shed"]
    return _facts({
        "packets/s": f"{now['received']:,.0f}",
        "Mbit/s": f"{now['octets'] * 8 / 1e6:,.1f}",
        "lost/s": Text(f"{lost:,.0f}" + " ✗" * (lost > 0), style="bold red" if lost else ""),
        "calls": f"{status['calls']:,}",
        "streams": f"{status['streams']:,}",
        "flows": f"{status['flows']:,}",
    })  # fmt: skip


def mirror(status: Status) -> Table:
    """Return what the mirror showed within the last minute; what the sensor complains of is marked."""
    seen, holding = status["mirror"], {each["reason"] for each in status["conditions"]}
    return _facts({
        name: Text(f"{seen[count]:,}" + " !" * (reason in holding), style="yellow" if reason in holding else "")
        for name, count, reason in _MIRROR
    })  # fmt: skip


def findings(status: Status, most: int = 20) -> Group:
    """Return the newest findings, a line each."""
    table = Table.grid(padding=(0, 1, 0, 0), expand=True)
    for _ in range(4):
        table.add_column(no_wrap=True)
    table.add_column(no_wrap=True, overflow="ellipsis", ratio=1)
    for each in status["findings"]["newest"][:most]:
        over = each["state"] != "open"
        style = "dim" if over else SEVERITY[each["severity"]]
        state = {"open": "●", "resolved": "✓", "waived": "~"}[each["state"]]
        table.add_row(
            Text(state, style=style),
            Text(each["severity"], style=style),
            Text(lasting(_ago(status, each["first"])), style="dim"),
            Text(each["code"], style="dim" if over else "bold"),
            Text(f"{printable(describe(Subject(**each['subject'])))}: {printable(each['evidence'][-1])}"),
        )
    return Group(table if status["findings"]["newest"] else Text("none since the start", style="dim"))


def open_findings(status: Status) -> Text:
    """Return how many findings are open, by severity."""
    counts = status["findings"]["by_severity"]
    text = Text()
    for severity, count in counts.items():
        if count:
            text.append(f" {severity.upper()} {count:,} ", style=SEVERITY[severity]).append(" ")
    if not text:
        text.append("none ", style="green")
    if waived := status["findings"]["waived"]:
        text.append(f"{waived:,} waived", style="dim")
    return text


def sinks(status: Status) -> Text:
    """Return how the ways out are."""
    text = Text()
    for each in status["sinks"]:
        style = "" if each["up"] else "bold red"
        text.append(f"{'✓' if each['up'] else '✗'} {each['name']} {each['delivered']:,}", style=style)
        parts = [f"{each[what]:,} {what}" for what in ("waiting", "dropped") if each[what]]
        text.append(f" ({', '.join(parts)})  " if parts else "  ", style=style)
    return text


def ledger(status: Status) -> Text:
    """Return how the ledger is."""
    state = status["ledger"]
    if state is None:
        return Text("none", style="dim")
    text = Text(f"{state['size']:,} entries signed, {state['size_octets'] / (1 << 20):,.0f} MiB")
    if state["checkpoint"] is not None:
        text.append(f", last {lasting(_ago(status, state['checkpoint']))} ago")
    if state["lost"]:
        text.append(f", {state['lost']:,} lost", style="bold red")
    if state["days_left"] is not None:
        text.append(f", room for {state['days_left']:,} days", style="yellow")
    return text


def whole(status: Status) -> Iterator[Any]:
    """Yield all of it, part by part, as rich prints it."""
    yield headline(status)
    yield conditions(status)
    yield Text()
    table = Table.grid(padding=(0, 4, 0, 0))
    table.add_row(*(Text(title, style="bold") for title in ("Legs now", "Rates", "Mirror, last minute")))
    table.add_row(legs(status), rates(status), mirror(status))
    yield table
    yield Text("\nFindings open  ", style="bold").append_text(open_findings(status))
    yield findings(status)
    total, configuration = status["packets"], status["configuration"]
    account = ", ".join(f"{total[name]:,} {name}" for name in ("classified", "ignored", "malformed", "shed"))
    taken = f"{lasting(_ago(status, configuration['taken']))} ago"
    yield Text()
    yield _facts({
        "packets": f"{total['received']:,}: {account}; {total['kernel_drops']:,} dropped by the kernel before",
        "sinks": sinks(status),
        "ledger": ledger(status),
        "clock": f"{'kept' if status['clock']['synchronised'] else 'not kept'}, set {status['clock']['steps']} times",
        "configuration": f"taken {taken}{'' if configuration['last_reload_successful'] else ', a later one refused'}",
        "memory": f"{status['memory_octets'] / (1 << 20):,.0f} MiB",
        "process": str(status["pid"]),
    })  # fmt: skip


def lasting(seconds: float) -> str:
    """Return a time in its greatest unit: "4 s", "12 min", "3 d"."""
    for unit, name in _UNITS:
        if seconds >= unit:
            return f"{seconds / unit:.0f} {name}"
    return f"{max(seconds, 0):.0f} s"


def _ago(status: Status, when: str) -> float:
    return (datetime.fromisoformat(status["time"]) - datetime.fromisoformat(when)).total_seconds()


def _grid(*justified: Any) -> Table:
    table = Table.grid(padding=(0, 1, 0, 0))
    for place, justify in enumerate(justified, start=1):
        table.add_column(justify=justify, no_wrap=place < len(justified))
    return table


def _facts(facts: Mapping[str, str | Text]) -> Table:
    table = _grid("left", "left")
    for name, fact in facts.items():
        table.add_row(Text(name, style="dim"), fact)
    return table
