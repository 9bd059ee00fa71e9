"""Media in clear: how many packets until it is said, and whether anything else is ever said."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from itertools import islice

from benchmarks.media import VARIANTS, Packet
from benchmarks.verdict.families import HEADED, PARAMETRIC, PCM, stem
from benchmarks.verdict.report import NEVER, NOTHING, Limit, Row, at, lost, rule_of_three, shares, text
from benchmarks.verdict.sending import Listener, endless, media, payload_type, starts, test_streams
from fastpath.engine import shipped_tables
from fastpath.records import Verdict
from fastpath.verdict import judge_payloads

HORIZON = 500  # packets a start has to be decided in
EVIDENCE_PACKETS = 16
CLEAR_BITS = 40
WORST = 20  # lines at most
PCM_EVIDENCE = Limit(1, "median 1", "median 1")
PCM_PACKETS = Limit(10, "all <= 10", "all <= 5")
HEADED_PACKETS = Limit(10, "p99 <= 10", "p99.9 <= 8")
PARAMETRIC_PACKETS = Limit(60, "p99 <= 60", "p99 <= 20")
FALSE_ENCRYPTED = Limit(0, "0 in 10^5 starts", "< 10^-6")


@dataclass(frozen=True, slots=True)
class Found:
    """What became of the starts in the streams of one variant."""

    variant: str
    said: tuple[int, ...]  # packets to "clear", NEVER if none of the horizon said it
    never: tuple[str, ...]  # the streams of these
    evidence: tuple[int, ...]  # packets whose payload alone shows it
    alone: int  # starts that share no packet with another
    encrypted: tuple[str, ...]  # where "encrypted" was said, and how
    changes: int  # of streams heard to their end


def evidence(packets: Sequence[Packet], kind: int) -> int:
    """Return how many packets it takes until the payloads alone are enough, by the test without the lengths' help."""
    stamps = [packet.timestamp for packet in packets[:EVIDENCE_PACKETS]]
    same = [index for index in range(1, len(stamps)) if stamps[index] == stamps[index - 1]]
    payloads = [packet.payload for packet in packets[:EVIDENCE_PACKETS]]
    judged = judge_payloads(shipped_tables(), payloads, kind, same_frame=same)
    return next((number for number, (bits, *_) in enumerate(judged, 1) if bits >= CLEAR_BITS), NEVER)


def hear(name: str, contents: int, evenly: int, back_to_back: int) -> Found:
    """Hear a variant's test contents.

    For the delays, captures that begin evenly over each stream, so that every content weighs the same; for what is
    never to be said, captures that begin where the one before was decided; and each stream once to its end.
    """
    listener = Listener()
    said: list[int] = []
    shown: list[int] = []
    encrypted: list[str] = []
    never: list[str] = []
    alone = changes = 0

    def note(where: str, verdicts: Sequence[Verdict]) -> None:
        wrong = [verdict for verdict in verdicts if verdict.protection == "encrypted"]
        encrypted.extend(f"{where}: {verdict.grade} after {verdict.packet}, {verdict.basis}" for verdict in wrong)

    for stream in test_streams(name, contents):
        packets = media(stream)
        where = f"{name}/{stream.content.name}"
        for begin in starts(packets, evenly):
            rest = list(islice(endless(packets), begin, begin + HORIZON))
            verdicts, _ = listener.sender(stream.variant).send_until_said(rest, HORIZON)
            clear = bool(verdicts) and verdicts[0].protection == "clear"
            said.append(verdicts[0].packet if clear else NEVER)
            shown.append(evidence(rest, payload_type(stream.variant)))
            never += [where] * (not clear)
            note(f"{where}+{begin}", verdicts)
        begin = 0
        for _ in range(min(back_to_back, len(packets))):
            rest = packets[begin : begin + HORIZON]
            if not rest:
                break
            verdicts, sent = listener.sender(stream.variant).send_until_said(rest, HORIZON)
            alone += 1
            note(f"{where}+{begin}", verdicts)
            begin += sent
        verdicts = listener.sender(stream.variant).send(packets)
        changes += sum(verdict.previous == "clear" for verdict in verdicts)
        note(f"{where} whole", verdicts)
    return Found(name, tuple(said), tuple(never), tuple(shown), alone, tuple(dict.fromkeys(encrypted)), changes)


def rows(pool: Executor, contents: int, evenly: int, back_to_back: int) -> Iterator[Row]:
    """Yield the delays by codec, by class, and the false alarms."""
    names = [variant.name for variant in VARIANTS]
    sizes = ([size] * len(names) for size in (contents, evenly, back_to_back))
    found = list(pool.map(hear, names, *sizes))
    codec = {variant.name: stem(variant.codec) for variant in VARIANTS}

    def of(stems: Sequence[str]) -> list[int]:
        return [packets for each in found if codec[each.variant] in stems for packets in each.said]

    def shown_of(stems: Sequence[str]) -> list[int]:
        return [packets for each in found if codec[each.variant] in stems for packets in each.evidence]

    yield Row("packets to clear", "median/p95/p99/p99.9/max, undecided of starts, median of the evidence alone")
    for name in dict.fromkeys(codec.values()):
        said = of([name])
        if said:
            seen = f"{shares(said):32} {lost(said)} of {len(said)}"
            yield Row(f"  {name}", f"{seen:52} {text(at(shown_of([name]), 0.5))}")
    pcm, headed, parametric = of(PCM), of(HEADED), of(PARAMETRIC)
    yield Row("clear: PCM codecs, evidence alone", shares(shown_of(PCM)), PCM_EVIDENCE, at(shown_of(PCM), 0.5))
    yield Row("clear: PCM codecs", shares(pcm), PCM_PACKETS, at(pcm, 1))
    yield Row("clear: AMR, Opus, video", shares(headed), HEADED_PACKETS, at(headed, 0.99))
    yield Row("clear: G.729, iLBC, G.723.1", shares(parametric), PARAMETRIC_PACKETS, at(parametric, 0.99))
    never = Counter(where for each in found for where in each.never)
    yield Row("  never clear", ", ".join(f"{where} {count}" for where, count in never.most_common(WORST)))
    total, wrong = sum(each.alone for each in found), [line for each in found for line in each.encrypted]
    seen = f"{len(wrong)} of {total:,} starts that share no packet (none: {rule_of_three(total)})"
    yield Row("false encrypted on clear media", seen, FALSE_ENCRYPTED, len(wrong))
    streams_wrong = Counter(line.partition("+")[0].partition(" ")[0] for line in wrong)
    for where, count in streams_wrong.most_common(WORST):
        yield Row(f"  {where}", f"{count}, first {next(line for line in wrong if line.startswith(where))}")
    unsteady = {each.variant: each.changes for each in found if each.changes}
    yield Row("clear streams that did not stay so", str(unsteady or 0), NOTHING, len(unsteady))
