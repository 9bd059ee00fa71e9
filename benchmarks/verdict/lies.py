"""Media in clear whose codec signalling names wrongly: a hint narrows what is asked and must decide nothing."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Executor
from itertools import islice

from benchmarks.media import VARIANTS
from benchmarks.verdict.report import NOTHING, Row, rule_of_three
from benchmarks.verdict.sending import DYNAMIC_TYPE, Listener, endless, media, rtpmap, starts, test_streams

HORIZON = 250
LIES = tuple(dict.fromkeys(filter(None, map(rtpmap, VARIANTS))))


def hear(name: str, contents: int, begins: int) -> tuple[int, list[str]]:
    """Send a variant's test contents on a dynamic type under hints of other codecs; return starts, and false alarms.

    The media keep their own clock and pace.
    """
    listener = Listener()
    total, wrong = 0, []
    for stream in test_streams(name, contents):
        packets = media(stream)
        for number, begin in enumerate(starts(packets, begins)):
            for lie in LIES[number % 2 :: 2]:
                rest = list(islice(endless(packets), begin, begin + HORIZON))
                sender = listener.sender(stream.variant, kind=DYNAMIC_TYPE)
                sender.describe(lie)
                verdicts, _ = sender.send_until_said(rest, HORIZON)
                total += 1
                if verdicts and verdicts[0].protection == "encrypted":
                    wrong.append(f"{name}/{stream.content.name}+{begin} as {lie}: after {verdicts[0].packet}")
    return total, wrong


def rows(pool: Executor, contents: int, begins: int) -> Iterator[Row]:
    """Yield how often a lie made clear media pass for encrypted."""
    names = [variant.name for variant in VARIANTS]
    found = list(pool.map(hear, names, [contents] * len(names), [begins] * len(names)))
    total, wrong = sum(each for each, _ in found), [line for _, lines in found for line in lines]
    seen = f"{len(wrong)} of {total:,} starts (none: {rule_of_three(total)})"
    yield Row("false encrypted under a lying description", seen, NOTHING, len(wrong))
    for line in wrong[:8]:
        yield Row(f"  {line}", "")
