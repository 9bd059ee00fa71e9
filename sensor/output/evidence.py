"""``explain`` for people: the evidence for the verdict on one flow, packet by packet. No payload, only its length."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import ceil, log10
from typing import TYPE_CHECKING, NamedTuple, TextIO

from rich.console import Console
from rich.table import Table
from rich.text import Text

from fastpath.records import Evidence, FlowEnded, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from fastpath.records import Record, StreamStats

MAX_STREAMS = 1024  # SSRCs that are remembered; a flow of something else has a new one in every packet

_NOT_SCORED = {
    "settled": "settled: not looked at",
    "glance": "settled: one glance",
    "other-type": "another type: not scored",
    "empty": "no payload: not scored",
    "duplicate": "duplicate: not scored",
    "behind": "behind: not scored",
    "stray": "stray number: not scored",
}
_NOT_TOLD = "scored; too short to be shown"
_UNNUMBERED = ("duplicate", "stray")
_STYLES = {"clear": "bold red", "encrypted": "green", "undetermined": "yellow"}
_MANY = 3  # packets in a row that were not looked at, from which on they share a line
_MARK, _NOTE = "► ", "· "
# Names, widths and sides. With a space between them they fill 80 columns.
_PACKET = (("Packet", 6, ">"), ("ms", 8, ">"), ("Seq", 5, ">"), ("Octets", 6, ">"), ("PT", 3, ">"), ("Tag", 4, ">"))
_SCORES = (("Clear", 7, ">"), ("by", 7, "<"), ("Hardest", 13, "<"))
_STATE = (("State", 12, "<"),)

_Columns = tuple[tuple[str, int, str], ...]


class Thresholds(NamedTuple):
    """Where the test decides, in bits."""

    clear: float
    reject: float


class State(NamedTuple):
    """What is said of a stream."""

    protection: str
    grade: str | None
    basis: tuple[str, ...]

    def __str__(self) -> str:
        why = f" ({', '.join(self.basis)})" if self.basis else ""
        return f"{self.protection}{f', {self.grade}' if self.grade else ''}{why}"


@dataclass(slots=True)
class Step:
    """One packet, the state of its stream after it, and the verdict that it brought."""

    packet: Evidence
    after: State
    verdict: Verdict | None = None


@dataclass(slots=True)
class _Kept:
    steps: list[Step] = field(default_factory=list)
    verdicts: list[Verdict] = field(default_factory=list)
    packets: int = 0


class Course(NamedTuple):
    """A stream's packets as far as they are kept, and every verdict on it."""

    stats: StreamStats
    steps: Sequence[Step]
    verdicts: Sequence[Verdict]  # those that say more than that nothing is known yet
    packets: int  # kept or not, duplicates included


class Explanation(NamedTuple):
    """All that is shown of a flow."""

    flow: FlowEnded
    courses: Sequence[Course]
    thresholds: Thresholds


class Trail:
    """Keeps what an engine says of the flow that it traces: each stream's first ``most`` packets, and its verdicts."""

    def __init__(self, flow: int, most: int) -> None:
        self.flow: FlowEnded | None = None
        self._id = flow
        self._most = most
        self._kept: dict[tuple[int, bool], _Kept] = {}

    def take(self, record: Record) -> None:
        """Take one record of the core, in order."""
        if record.flow != self._id:
            return
        if isinstance(record, Evidence):
            self._evidence(record)
        elif isinstance(record, Verdict):
            self._verdict(record)
        elif isinstance(record, FlowEnded):
            self.flow = record

    def courses(self) -> list[Course]:
        """Return the streams in the order in which they began; nothing before the flow ended."""
        streams = self.flow.streams if self.flow else ()
        return [
            Course(stats, kept.steps, kept.verdicts, kept.packets)
            for stats in streams
            if (kept := self._kept.get((stats.ssrc, stats.from_a)))
        ]

    def _evidence(self, packet: Evidence) -> None:
        kept = self._stream(packet.ssrc, from_a=packet.from_a)
        state = State(packet.protection, packet.grade, packet.basis)
        if kept.steps and kept.packets == len(kept.steps):
            kept.steps[-1].after = state
        kept.packets += 1
        if len(kept.steps) < self._most:
            kept.steps.append(Step(packet, state))

    def _verdict(self, verdict: Verdict) -> None:
        kept = self._stream(verdict.ssrc, from_a=verdict.from_a)
        if kept.steps and kept.packets == len(kept.steps):
            kept.steps[-1].after = State(verdict.protection, verdict.grade, verdict.basis)
            kept.steps[-1].verdict = verdict if _decides(verdict) else None
        if _decides(verdict):
            kept.verdicts.append(verdict)

    def _stream(self, ssrc: int, *, from_a: bool) -> _Kept:
        kept = self._kept.get((ssrc, from_a))
        if kept is None:
            if len(self._kept) >= MAX_STREAMS:
                loose = min(self._kept, key=lambda stream: self._kept[stream].packets)
                del self._kept[loose]
            kept = self._kept[ssrc, from_a] = _Kept()
        return kept


def print_explanation(explanation: Explanation, out: TextIO) -> None:
    """Print what is tested, then every stream's packets with a marked line where something was decided."""
    flow, courses, thresholds = explanation
    console = _console(out)
    a, b = ends(flow)
    state = State(flow.protection, flow.grade, flow.basis)
    console.print(Text(f"Flow {flow.flow}: {a} ↔ {b}, {flow.key.proto}", style="bold"))
    console.print(Text(f"{state}\n", style=_STYLES.get(flow.protection, "")))
    console.print(Text(_explained(thresholds), style="dim"))
    for course in courses:
        stats = course.stats
        console.print(Text(f"\nStream {name_of(flow, stats)}", style="bold underline"))
        console.print(Text(_heading(), style="bold"))
        shown = [step.verdict for step in course.steps if step.verdict]
        for line in _lines(course):
            console.print(line)
        for verdict in course.verdicts:
            if verdict not in shown:
                console.print(_marked(verdict))
        if course.packets > len(course.steps):
            more = f"The first {len(course.steps)} of {course.packets:,} packets; --packets shows more."
            console.print(Text(more, style="dim"))
        if not course.verdicts:
            console.print(Text(f"No verdict: {State(stats.protection, stats.grade, stats.basis)}", style="dim"))


def print_flows(flows: Sequence[FlowEnded], out: TextIO) -> None:
    """Print the media flows of a capture, so that one can be chosen."""
    console = _console(out)
    if not flows:
        console.print("No media flows were seen.")
        return
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="bold")
    table.add_column("Flow", justify="right")
    for name in ("Ends", "Carries", "Protection"):
        table.add_column(name, overflow="fold")
    for flow in flows:
        codecs = sorted({stream.codec for stream in flow.streams if stream.codec})
        protection = f"{flow.protection}, {flow.grade}" if flow.grade else flow.protection
        table.add_row(
            str(flow.flow),
            " ↔ ".join(ends(flow)),
            " ".join((flow.app, *codecs)),
            Text(protection, style=_STYLES.get(flow.protection, "")),
        )
    console.print(table)
    console.print(Text("\n--flow with one of these numbers shows how the verdict on it came about.", style="dim"))


def ends(flow: FlowEnded) -> tuple[str, str]:
    """Return both ends of a flow as address and port."""
    key = flow.key
    return _end(key.a, key.a_port), _end(key.b, key.b_port)


def name_of(flow: FlowEnded, stats: StreamStats) -> str:
    """Return a stream in words: its SSRC and which way it goes."""
    a, b = ends(flow) if stats.from_a else ends(flow)[::-1]
    return f"0x{stats.ssrc:08x}, {a} → {b}"


def bound(verdict: Verdict) -> str:
    """Return the bound of a verdict's error as a power of ten, rounded to the safe side; "" where there is none."""
    return "" if verdict.log10_p is None else f"10^{ceil(verdict.log10_p * 10) / 10:.1f}"


def _console(out: TextIO) -> Console:
    return Console(file=out, highlight=False, emoji=False, markup=False)


def _decides(verdict: Verdict) -> bool:
    return verdict.protection != "undetermined" or verdict.previous is not None


def _end(address: str, port: int) -> str:
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def _explained(thresholds: Thresholds) -> str:
    clear, reject = thresholds
    return (
        "What is tested: encrypted payloads are random octets. After each packet every expert (a codec's table, or a "
        "generic test of repetition and bias) says how many times likelier than random octets its own are to look "
        "like the payloads so far. The base-2 logarithm of the most, less what the choice among experts costs, is the "
        f"evidence for clear, in bits. At {clear:g} bits a stream is called clear: were it encrypted, the evidence "
        f"would ever come so far with a probability of at most 2^-{clear:g} (log10 {-clear * log10(2):.1f}), however "
        f"often one looks. A codec is rejected when it fits with {reject:g} bits or less. Encrypted is said when all "
        "codecs that the payload type can mean are rejected (on a dynamic type the bits must be even as well), or "
        "when no structure shows and something beside the payload proves it.\n"
        "Tag: octets beyond the codec's frames. Clear: evidence for it, and by which expert. Hardest: the fit of the "
        "codec that is hardest to reject, among those that are being asked. State: after the packet; once settled "
        "by a verdict, a stream is only watched."
    )


def _lines(course: Course) -> Iterator[Text]:
    before: State | None = None
    quiet: list[Step] = []
    for step in course.steps:
        if step.packet.fate == "settled" and step.after == before:
            quiet.append(step)
            continue
        yield from _quiet(quiet)
        quiet = []
        yield _row(step)
        if step.verdict:
            yield _marked(step.verdict)
        elif before is not None and step.after != before:
            yield Text(f"{_NOTE}{step.after}", style="dim")
        before = step.after
    yield from _quiet(quiet)


def _quiet(steps: Sequence[Step]) -> Iterator[Text]:
    if len(steps) < _MANY:
        yield from map(_row, steps)
        return
    first, last = steps[0], steps[-1].packet.packet
    head = f"{first.packet.packet:>6} {_milliseconds(first):>8} {f'to packet {last}':<{_width(_PACKET[2:])}}"
    yield _line(head, f"{_NOT_SCORED['settled']:<{_width(_SCORES)}}", first.after)


def _row(step: Step) -> Text:
    packet = step.packet
    head = _cells(
        _PACKET,
        "" if packet.fate in _UNNUMBERED else str(packet.packet),
        _milliseconds(step),
        str(packet.seq),
        str(packet.octets),
        str(packet.payload_type),
        "-" if packet.excess is None else str(packet.excess),
    )
    if packet.fate in _NOT_SCORED or packet.clear_bits is None:
        scores = f"{_NOT_SCORED.get(packet.fate, _NOT_TOLD):<{_width(_SCORES)}}"
    else:
        scores = _cells(_SCORES, f"{packet.clear_bits:.1f}", packet.leads, _hardest(packet))
    return _line(head, scores, step.after)


def _hardest(packet: Evidence) -> str:
    if packet.rejected:
        return "all rejected"
    return "-" if packet.fit_bits is None else f"{packet.fit_bits:.1f} {packet.hardest}"


def _milliseconds(step: Step) -> str:
    return f"{step.packet.elapsed_ns / 1e6:.1f}"


def _line(head: str, scores: str, state: State) -> Text:
    text = Text(f"{head} {scores} ")
    return text.append(state.protection, style=_STYLES.get(state.protection, ""))


def _marked(verdict: Verdict) -> Text:
    state = State(verdict.protection, verdict.grade, verdict.basis)
    parts = [f"{_MARK}packet {verdict.packet}, {verdict.elapsed_ns / 1e6:.1f} ms: {state}"]
    if verdict.previous and verdict.previous != "undetermined":
        parts.append(f"a change, it was {verdict.previous}")
    if limit := bound(verdict):
        parts.append(f"{verdict.codec or 'no known codec'}, probability under encryption at most {limit}")
    return Text("; ".join(parts), style=f"{_STYLES.get(verdict.protection, '')} bold")


def _heading() -> str:
    columns = (*_PACKET, *_SCORES, *_STATE)
    return _cells(columns, *(name for name, _, _ in columns)).rstrip()


def _cells(columns: _Columns, *values: str) -> str:
    return " ".join(f"{value[:width]:{side}{width}}" for (_, width, side), value in zip(columns, values, strict=True))


def _width(columns: _Columns) -> int:
    return sum(width for _, width, _ in columns) + len(columns) - 1
