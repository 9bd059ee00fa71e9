"""Codecs that the library does not know: one family at a time is left out of the tables."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Executor
from dataclasses import dataclass
from itertools import islice

from benchmarks.verdict.families import UNKNOWN, variants, without
from benchmarks.verdict.report import NEVER, NOTHING, Limit, Row, shares
from benchmarks.verdict.sending import DYNAMIC_TYPE, Listener, endless, media, test_streams
from benchmarks.verdict.sending import starts as begins

HORIZON = 500
WITHIN = 250  # packets to "clear"
INFERRED = Limit(0.02, "<= 2 %", "0.5 %")
LATE = Limit(0.30, "<= 30 %", "<= 15 %")


@dataclass(frozen=True, slots=True)
class Unknown:
    """What became of the starts in one variant's streams."""

    family: str
    variant: str
    own_type: bool  # sent under its static type, not a dynamic one
    clear: tuple[int, ...]  # packets, NEVER if it was not said
    inferred: int
    proved: int
    first: str  # where the first was called encrypted


def hear(family: str, name: str, contents: int, starts: int, own_type: bool) -> Unknown:
    """Hear a variant's test contents by an engine that has no table of its family."""
    listener = Listener(without(family))
    clear, inferred, proved, first = [], 0, 0, ""
    for stream in test_streams(name, contents):
        packets = media(stream)
        for begin in begins(packets, starts):
            rest = list(islice(endless(packets), begin, begin + HORIZON))
            kind = stream.variant.payload_type if own_type else DYNAMIC_TYPE
            verdicts, _ = listener.sender(stream.variant, kind=kind).send_until_said(rest, HORIZON)
            said = verdicts[0] if verdicts else None
            clear.append(said.packet if said and said.protection == "clear" else NEVER)
            if said and said.protection == "encrypted":
                inferred += said.grade == "inferred"
                proved += said.grade == "proved"
                first = first or f"{name}/{stream.content.name}+{begin} after {said.packet}"
    return Unknown(family, name, own_type, tuple(clear), inferred, proved, first)


def rows(pool: Executor, contents: int, starts: int) -> Iterator[Row]:
    """Yield for each family how often it is called encrypted, and clear."""
    tried = [
        (family, variant.name, own_type)
        for family, stems in UNKNOWN.items()
        for variant in variants(stems)
        for own_type in (False, True)[: 1 + (variant.payload_type >= 0)]
    ]
    families, names, types = zip(*tried, strict=True)
    found = list(pool.map(hear, families, names, [contents] * len(tried), [starts] * len(tried), types))
    yield Row("a codec that no table knows", "packets to clear; clear within 250, inferred, proved; worst")
    inferred, late, proved = {}, {}, 0
    for family in UNKNOWN:
        for own_type in (False, True):
            part = [each for each in found if each.family == family and each.own_type == own_type]
            packets = [packet for each in part for packet in each.clear]
            if not packets:
                continue
            wrong = sum(each.inferred for each in part) / len(packets)
            within = sum(packet <= WITHIN for packet in packets) / len(packets)
            proved += sum(each.proved for each in part)
            if not own_type:
                inferred[family], late[family] = wrong, 1 - within
            worst = max(part, key=lambda each: each.inferred).first
            kind = "its own type" if own_type else "a dynamic type"
            yield Row(
                f"  {family}, {kind}",
                f"{shares(packets):24} {within:6.1%} {wrong:6.1%} {sum(each.proved for each in part)} of {len(packets)}"
                f"  {worst}",
            )
    average, missed = (sum(each.values()) / len(each) for each in (inferred, late))
    worst_family = max(inferred, key=lambda family: inferred[family])
    seen = f"{average:.2%}, worst {worst_family} {inferred[worst_family]:.1%}"
    yield Row("unknown codec: inferred, average of families", seen, INFERRED, average)
    yield Row(f"unknown codec: not clear within {WITHIN}", f"{missed:.1%}", LATE, missed)
    yield Row("unknown codec: proved", str(proved), NOTHING, proved)
