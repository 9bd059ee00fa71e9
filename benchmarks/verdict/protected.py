"""Protected media: false clear, and how many packets until it is called encrypted."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from itertools import islice
from types import MappingProxyType

from benchmarks.media import VARIANTS, Variant
from benchmarks.verdict.report import NEVER, NOTHING, Limit, Row, at, lost, rule_of_three, share_lost, shares, text
from benchmarks.verdict.sending import Listener, endless, media, rtpmap, test_streams
from benchmarks.verdict.srtp import NULL_CIPHERS, SUITES, WITH_MKI, srtcp

STATIC_PACKETS, DYNAMIC_PACKETS, NULL_PACKETS = 120, 500, 60
SRTCP_PACKETS = 2
REPEATS = 0.05
LAWFUL = ("pcmu", "pcma", "g722", "gsm", "g723", "g729")  # static types whose frames have a law of length
EVEN = ("l16", "g726-16", "aal2-16")  # white noise in these is even, and nothing is inferred while it may be that
WORST = 8
VARIANT: Mapping[str, Variant] = MappingProxyType({variant.name: variant for variant in VARIANTS})
TAGGED = Limit(10, "p99 <= 10", "p99 <= 3")
NAMED = Limit(0.01, "<= 1 %", "0")
PAIRED = Limit(25, "p95 <= 25", "p95 <= 15")
INFERRED = Limit(250, "p95 <= 250", "p95 <= 60")
INFERRED_LOST = Limit(0.03, "<= 3 %", "<= 3 %")
NULL_LOST = Limit(0.03, "<= 3 %")


@dataclass(frozen=True, slots=True)
class Heard:
    """One protected stream."""

    variant: str
    suite: str
    mki: bool
    beside: str  # what else was seen: "", "rtcp", "hint"
    packets: int  # to "encrypted" or, of a null cipher, to "clear"
    grade: str
    basis: tuple[str, ...]
    wrong: str  # where the opposite was said


def hear(name: str, contents: int, seed: int) -> list[Heard]:
    """Send a variant's test contents under every suite, 5 % of the packets twice.

    Dynamic types also with SRTCP beside them, and with their codec named by signalling.
    """
    listener = Listener()
    found = []
    for stream in test_streams(name, contents):
        packets = media(stream)
        static = stream.variant.payload_type >= 0
        part = list(islice(endless(packets), STATIC_PACKETS if static else DYNAMIC_PACKETS))
        for suite in (*SUITES, *WITH_MKI):
            rng = random.Random(f"{seed} {name} {stream.content.name} {suite}")
            for beside in ("",) if static or suite != SUITES[0] else ("", "rtcp", "hint"):
                sender = listener.sender(stream.variant, protect=suite.keyed(rng), repeats=REPEATS)
                if beside == "hint":
                    if not rtpmap(stream.variant):
                        continue
                    sender.describe(rtpmap(stream.variant))
                verdicts = sender.send(part[:2])
                if beside == "rtcp":
                    reports = srtcp(rng, sender.ssrc, SRTCP_PACKETS)
                    listener.hear((listener.now_ns + 1, sender.frame(report)) for report in reports)
                verdicts += sender.send(part[2:])
                first = next((verdict for verdict in verdicts if verdict.protection == "encrypted"), None)
                clear = [verdict.packet for verdict in verdicts if verdict.protection == "clear"]
                where = f"{name}/{stream.content.name} {suite.name}: after {clear[0]}" if clear else ""
                found.append(
                    Heard(
                        name,
                        suite.name,
                        suite.mki_octets > 0,
                        beside,
                        first.packet if first else NEVER,
                        first.grade or "" if first else "",
                        first.basis if first else (),
                        where,
                    ),
                )
    return found


def hear_null(name: str, contents: int, seed: int) -> list[Heard]:
    """Send a variant's test contents in clear behind a tag."""
    listener = Listener()
    found = []
    for stream in test_streams(name, contents):
        part = list(islice(endless(media(stream)), NULL_PACKETS))
        for suite in NULL_CIPHERS:
            rng = random.Random(f"{seed} {name} {stream.content.name} {suite}")
            verdicts = listener.sender(stream.variant, protect=suite.keyed(rng)).send(part)
            first = verdicts[0] if verdicts else None
            wrong = [verdict.packet for verdict in verdicts if verdict.protection == "encrypted"]
            where = f"{name}/{stream.content.name} {suite.name}: {wrong[0]}" if wrong else ""
            packets = first.packet if first and first.protection == "clear" else NEVER
            basis = first.basis if first else ()
            found.append(Heard(name, suite.name, False, "", packets, "", basis, where))
    return found


def _worst(found: Sequence[Heard]) -> str:
    """Return which variants are undecided most often."""
    never = Counter(each.variant for each in found if each.packets >= NEVER)
    return ", ".join(f"{name} {count}" for name, count in never.most_common(WORST))


def _slowest(found: Sequence[Heard]) -> str:
    """Return the 99th percentile of the variants that are over the limit."""
    heard = {each.variant for each in found}
    by_variant = {name: at([each.packets for each in found if each.variant == name], 0.99) for name in heard}
    slow = [name for name, packets in by_variant.items() if packets > TAGGED.most]
    return ", ".join(f"{name} {text(by_variant[name])}" for name in sorted(slow, key=lambda name: -by_variant[name]))


def _all(
    pool: Executor,
    hear_one: Callable[[str, int, int], list[Heard]],
    contents: int,
    seed: int,
) -> list[Heard]:
    parts = pool.map(hear_one, VARIANT, [contents] * len(VARIANT), [seed] * len(VARIANT))
    return [each for part in parts for each in part]


def rows(pool: Executor, contents: int, seed: int) -> Iterator[Row]:
    """Yield false clear, and the delays of static and dynamic types."""
    found = _all(pool, hear, contents, seed)
    wrong = [each.wrong for each in found if each.wrong]
    seen = f"{len(wrong)} of {len(found):,} streams (none: {rule_of_three(len(found))})"
    yield Row("false clear, SRTP of test media, MKI, repeats", seen, NOTHING, len(wrong))
    for line in wrong[:WORST]:
        yield Row(f"  {line}", "")
    for mki in (False, True):
        part = [each for each in found if each.mki == mki and VARIANT[each.variant].codec in LAWFUL]
        yield from _static_rows(part, ", MKI" * mki)
    lawless = [
        each for each in found if VARIANT[each.variant].payload_type >= 0 and VARIANT[each.variant].codec not in LAWFUL
    ]
    packets = [each.packets for each in lawless]
    yield Row("encrypted, static type without a law", f"{shares(packets):24} {share_lost(packets):.1%} undecided")
    dynamic = [each for each in found if VARIANT[each.variant].payload_type < 0]
    for beside, what in (("rtcp", "an SRTCP pair"), ("hint", "a hinted codec")):
        part = [each for each in dynamic if each.beside == beside]
        packets = [each.packets for each in part]
        seen = f"{shares(packets):24} {lost(packets)} of {len(packets)} undecided"
        yield Row(f"encrypted, dynamic type, {what}", seen, PAIRED, at(packets, 0.95))
        if lost(packets):
            yield Row("  undecided", _worst(part))
            yield _without_even(part)
    for mki in (False, True):
        yield from _dynamic_rows([each for each in dynamic if not each.beside and each.mki == mki], ", MKI" * mki)


def _without_even(part: Sequence[Heard]) -> Row:
    packets = [each.packets for each in part if VARIANT[each.variant].codec not in EVEN]
    return Row("  but for L16 and G.726 at 16 kbit/s", f"{shares(packets):24} {share_lost(packets):.1%} undecided")


def _static_rows(part: Sequence[Heard], what: str) -> Iterator[Row]:
    packets = [each.packets for each in part]
    unnamed = Counter(each.variant for each in part if "tag-length" not in each.basis or each.grade != "proved")
    yield Row(f"encrypted, static type{what}", shares(packets), TAGGED, at(packets, 0.99))
    yield Row("  slower than that: p99 of the variant", _slowest(part))
    share = sum(unnamed.values()) / len(part) if part else 1.0
    yield Row("  not proved, or the tag not named", f"{share:.1%} {dict(unnamed.most_common(WORST))}", NAMED, share)


def _dynamic_rows(part: Sequence[Heard], what: str) -> Iterator[Row]:
    packets = [each.packets for each in part]
    yield Row(f"encrypted, dynamic type, nothing else{what}", shares(packets), INFERRED, at(packets, 0.95))
    seen = f"{share_lost(packets):.1%} of {len(part)} streams: {_worst(part)}"
    yield Row(f"  undecided after {DYNAMIC_PACKETS}", seen, INFERRED_LOST, share_lost(packets))
    yield _without_even(part)
    proved = sum(each.grade == "proved" for each in part)
    yield Row("  proved without a reason", str(proved), NOTHING, proved)


def null_rows(pool: Executor, contents: int, seed: int) -> Iterator[Row]:
    """Yield what is said of a NULL cipher."""
    found = _all(pool, hear_null, contents, seed)
    packets = [each.packets for each in found]
    seen = f"{shares(packets):24} undecided {share_lost(packets):.1%} of {len(found)} in {NULL_PACKETS} packets"
    yield Row("NULL cipher with a tag, clear", seen, NULL_LOST, share_lost(packets))
    yield Row("  undecided", _worst(found))
    lawful = [each for each in found if VARIANT[each.variant].codec in LAWFUL]
    named = sum("tag-present" in each.basis for each in lawful)
    yield Row("  tag-present at the verdict, static type", f"{named} of {len(lawful)}")
    wrong = [each.wrong for each in found if each.wrong]
    yield Row("  false encrypted", str(len(wrong)), NOTHING, len(wrong))
    for line in wrong[:WORST]:
        yield Row(f"  {line}", "")
