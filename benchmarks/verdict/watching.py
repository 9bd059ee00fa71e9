"""Streams whose protection changes: how many packets until the change is said."""

from __future__ import annotations

import random
from collections.abc import Iterator
from concurrent.futures import Executor
from dataclasses import dataclass
from itertools import islice

from benchmarks.media import VARIANTS
from benchmarks.verdict.families import LAWLESS, stem
from benchmarks.verdict.report import NEVER, Limit, Row, at, lost, shares, text
from benchmarks.verdict.sending import Listener, endless, media, test_streams
from benchmarks.verdict.srtp import SUITES

BEFORE, AFTER = 600, 1000  # packets on each side of the change
TO_ENCRYPTED = Limit(300, "within 300")
TO_CLEAR, TO_CLEAR_LAWLESS = Limit(100, "within 100"), Limit(400, "within 400")


@dataclass(frozen=True, slots=True)
class Change:
    """Packets from a change to what was said of it."""

    variant: str
    content: str
    doubted: int  # clear to encrypted: "clear" was withdrawn
    encrypted: int
    clear: int  # encrypted to clear, of the streams that were called encrypted before; -1 when it was not


def hear(name: str, contents: int, seed: int) -> list[Change]:
    """Let a variant's test contents change from clear to encrypted, and others from encrypted to clear."""
    listener = Listener()
    found = []
    for stream in test_streams(name, contents):
        packets = list(islice(endless(media(stream)), BEFORE + AFTER))
        rng = random.Random(f"{seed} {name} {stream.content.name}")
        protect = SUITES[0].keyed(rng)
        sender = listener.sender(stream.variant)
        sender.send(packets[:BEFORE])
        sender.protect = protect
        verdicts = sender.send(packets[BEFORE:])
        doubted = next((each.packet - BEFORE for each in verdicts if each.protection != "clear"), NEVER)
        encrypted = next((each.packet - BEFORE for each in verdicts if each.protection == "encrypted"), NEVER)
        sender = listener.sender(stream.variant, protect=protect)
        before = sender.send(packets[:BEFORE])
        sender.protect = None
        verdicts = sender.send(packets[BEFORE:])
        clear = next((each.packet - BEFORE for each in verdicts if each.protection == "clear"), NEVER)
        settled = bool(before) and before[-1].protection == "encrypted"
        found.append(Change(name, stream.content.name, doubted, encrypted, clear if settled else -1))
    return found


def rows(pool: Executor, contents: int, seed: int) -> Iterator[Row]:
    """Yield the delays by codec, and over all."""
    names = [variant.name for variant in VARIANTS]
    found = [each for part in pool.map(hear, names, [contents] * len(names), [seed] * len(names)) for each in part]
    codec = {variant.name: stem(variant.codec) for variant in VARIANTS}
    yield Row("a stream that changes", "median/max: clear withdrawn, encrypted said | clear said, of called encrypted")
    for name in dict.fromkeys(codec.values()):
        part = [each for each in found if codec[each.variant] == name]
        if not part:
            continue
        columns = (
            [each.doubted for each in part],
            [each.encrypted for each in part],
            [each.clear for each in part if each.clear >= 0],
        )
        figures = [f"{text(at(values, 0.5))}/{text(at(values, 1))}" for values in columns]
        settled = sum(each.clear >= 0 for each in part)
        yield Row(f"  {name}", f"{figures[0]:14} {figures[1]:14} | {figures[2]:14} {settled} of {len(part)}")
    encrypted = [each.encrypted for each in found]
    seen = f"{shares(encrypted):24} {lost(encrypted)} of {len(found)} not said"
    yield Row("watch: clear to encrypted", seen, TO_ENCRYPTED, at(encrypted, 1))
    for lawless, limit in ((False, TO_CLEAR), (True, TO_CLEAR_LAWLESS)):
        part = [each for each in found if (codec[each.variant] in LAWLESS) == lawless and each.clear >= 0]
        clear = [each.clear for each in part]
        worst = max(part, key=lambda each: each.clear, default=None)
        where = f"{worst.variant}/{worst.content}" if worst else ""
        seen = f"{shares(clear):24} {lost(clear)} of {len(clear)} not said, worst {where}"
        yield Row(f"watch: encrypted to clear{', G.729 and its like' * lawless}", seen, limit, at(clear, 1))
