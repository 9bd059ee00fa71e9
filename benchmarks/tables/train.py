"""Train tables: count symbols in contexts over the train contents, estimate, round.

An estimate leans on shorter contexts where a long one was seen seldom, and always keeps a part that is uniform, so
that no payload, however odd, costs a table more than a few packets gain it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.media import streams
from benchmarks.tables import quantise, symbols
from benchmarks.tables.layout import DRIFT_UNIT, Kind, OctetContext, Table
from benchmarks.tables.score import by_length, scored_symbols

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    import numpy.typing as npt

    from benchmarks.media import Split, Stream
    from benchmarks.tables.specs import Spec
    from benchmarks.tables.symbols import Flags, Octets

    Counts = npt.NDArray[np.float64]

STREAM_PACKETS = 800  # of one stream at most, so that no content outweighs the others
UNIFORM = 0.02  # part of every distribution that is uniform …
CERTAIN_UNIFORM = 0.001  # … of those that say what never has an exception
LEAN_VISITS = 40.0  # what a shorter context is worth against a longer one
ROUNDS = 160  # of the search for the least favourable contents
CERTAIN_VISITS = 64  # of a context, over all streams …
CERTAIN_STREAMS = 8  # … of which so many must have met it
CERTAIN_SHARE = (
    0.75  # of a position's visits that must be in such contexts: a law of the codec, no habit of its encoder
)
MIN_VETO_DRIFT = -3 * DRIFT_UNIT // 2
LEAST_TAG_OCTETS = 10


@dataclass(frozen=True)
class Sample:
    """Payloads of one stream that have one length, one a row, and which of them begin a frame."""

    payloads: Octets
    first: Flags


def frame_starts(timestamps: Sequence[int]) -> Flags:
    """Return for each packet whether its timestamp is new; the first packet's is."""
    return np.not_equal(np.diff(np.array(timestamps), prepend=-1), 0)


def samples(stream: Stream, limit: int = STREAM_PACKETS) -> Iterator[Sample]:
    """Yield the payloads of a stream by length."""
    packets = [packet for packet, _ in zip(stream.packets(), range(limit), strict=False)]
    first = frame_starts([packet.timestamp for packet in packets])
    payloads = [packet.payload for packet in packets]
    for length, where in by_length(payloads).items():
        rows = np.frombuffer(b"".join(payloads[index] for index in where), np.uint8).reshape(len(where), length)
        yield Sample(rows, first[where])


def sources(spec: Spec, split: Split) -> Iterator[Stream]:
    """Yield the streams that a table learns from (``train``) or is measured on (``test``)."""
    for variant in spec.variants:
        for stream in streams(split, variant):
            if stream.content.kind in spec.kinds:
                yield stream


def blank(spec: Spec) -> Table:
    """Return the table of a specification before training: every score is zero."""
    if spec.kind is Kind.OCTET:
        shape: tuple[int, ...] = (OctetContext(spec.context).count, 256)
    else:
        shape = ((1 + spec.by_frame) * spec.period_bits, 1 << spec.context, 2)
    return Table(
        spec.name,
        spec.kind,
        spec.context,
        False,
        spec.by_frame,
        False,
        0,
        spec.payload_type,
        spec.frame_octets,
        spec.min_octets,
        spec.max_octets,
        spec.period_bits,
        spec.cap,
        np.zeros(shape, np.int8),
    )


def count(table: Table, stream: Iterable[Sample]) -> tuple[Counts, int]:
    """Return how often each entry occurs in a stream, in the entries' shape, and in how many packets."""
    counts, packets = np.zeros(table.entries.size), 0
    for sample in stream:
        length = sample.payloads.shape[1]
        if table.applies(length):
            found = symbols.indices(table, sample.payloads, sample.first)[:, : scored_symbols(table, length)]
            counts += np.bincount(found.ravel(), minlength=counts.size)
            packets += len(found)
    return counts.reshape(table.entries.shape), packets


def _lean(counts: Counts, prior: Counts) -> Counts:
    return np.asarray((counts + LEAN_VISITS * prior) / (counts.sum(axis=-1, keepdims=True) + LEAN_VISITS))


def octet_probabilities(counts: Counts, context: OctetContext) -> Counts:
    """Estimate octet distributions, shape (contexts, 256), from counts of that shape."""
    if context is OctetContext.BIG_ENDIAN_16:
        halves = counts.reshape(2, 64, 256)
        alone = _lean(halves.sum(axis=1), np.full((2, 256), 1 / 256))
        found = _lean(halves, alone[:, None, :]).reshape(counts.shape)
    else:
        found = _lean(counts.sum(axis=0, keepdims=True), np.full((1, 256), 1 / 256))
        if context in (OctetContext.NIBBLE, OctetContext.TWO_NIBBLES):
            found = _lean(counts.reshape(16, -1, 256).sum(axis=1), found)
        if context is OctetContext.TWO_NIBBLES:
            found = _lean(counts, np.repeat(found, 16, axis=0))
    return (1 - UNIFORM) * found + UNIFORM / 256


def bit_probabilities(counts: Counts) -> Counts:
    """Estimate bit distributions, shape (positions, contexts, 2), from counts of that shape.

    Each context leans on the one without its oldest bit.
    """
    positions, contexts, _ = counts.shape
    found = np.full((positions, 1, 2), 0.5)
    for length in range(contexts.bit_length()):
        prior = np.tile(found, (1, 2, 1)) if length else found
        found = _lean(counts.reshape(positions, -1, 1 << length, 2).sum(axis=1), prior)
    return (1 - UNIFORM) * found + UNIFORM / 2


def probabilities(spec: Spec, counts: Counts) -> Counts:
    """Estimate the distribution in every context of a table."""
    if spec.kind is Kind.OCTET:
        return octet_probabilities(counts, OctetContext(spec.context))
    return bit_probabilities(counts)


def symmetric(spec: Spec, counts: Counts) -> Counts:
    """Return the counts with those of the negated sounds added, for octets whose first bit is the sample's sign.

    "mirrored": sample and context are negated together; "signless": each by itself, so that only levels tell.
    """
    if spec.symmetry == "none":
        return counts
    split = counts.reshape(-1, 2, 8, 2, 128) if len(counts) > 1 else counts.reshape(1, 1, 1, 2, 128)
    if spec.symmetry == "mirrored":
        return (split + split[:, ::-1, :, ::-1]).reshape(counts.shape)
    return np.broadcast_to(split.sum(axis=(1, 3), keepdims=True), split.shape).reshape(counts.shape)


def least_favourable(spec: Spec, counts: Sequence[Counts], packets: Sequence[int]) -> Counts:
    """Weigh the streams so that the table trained on them gains most on the stream that gains least.

    The least gain is concave in the table and the weights are its dual: streams that gain little grow in weight, by
    multiplicative updates, until no stream is worse off than it must be.
    """
    each = np.stack([one / n for one, n in zip(counts, packets, strict=True)])
    weights, average = np.full(len(each), 1 / len(each)), np.zeros(len(each))
    visits = float(np.mean(packets)) * len(each)
    for step in range(ROUNDS):
        estimate = probabilities(spec, visits * np.tensordot(weights, each, 1))
        gains = np.tensordot(each, np.log2(estimate.shape[-1] * estimate), each.ndim - 1)
        weights *= np.exp((gains.min() - gains) * 3 / (np.ptp(gains) + 1) / (1 + step / 30))
        weights /= weights.sum()
        average += weights * (step >= ROUNDS // 2)
    return np.asarray(visits * np.tensordot(average / average.sum(), each, 1))


def certain(counts: Sequence[Counts]) -> Counts:
    """Return bit distributions that say only what no stream contradicts; elsewhere both bits are as likely.

    Counts have the shape (positions, contexts, 2). A context must be met in several streams, and its bit must be the
    same in every single visit; and so it must be nearly everywhere at this position.
    """
    each = np.stack(counts)
    total = each.sum(axis=0)
    visits = total.sum(axis=-1, keepdims=True)
    met = (each.sum(axis=-1, keepdims=True) > 0).sum(axis=0)
    sure = (total.min(axis=-1, keepdims=True) == 0) & (visits >= CERTAIN_VISITS) & (met >= CERTAIN_STREAMS)
    sure &= (visits * sure).sum(axis=1, keepdims=True) > CERTAIN_SHARE * visits.sum(axis=1, keepdims=True)
    found = np.where(sure, total / np.maximum(visits, 1), 0.5)
    return np.asarray((1 - CERTAIN_UNIFORM) * found + CERTAIN_UNIFORM / 2)


def train(spec: Spec) -> Table:
    """Return the trained table of a specification, prior 0; ValueError if there is nothing to learn from."""
    table = blank(spec)
    counted = [count(table, samples(stream)) for stream in sources(spec, "train")]
    kept = [(counts, packets) for counts, packets in counted if packets]
    if not kept:
        raise ValueError(f"{spec.name}: no media of {', '.join(spec.variants)}; run make-media")
    counts = [symmetric(spec, one) for one, _ in kept]
    quantised = quantise.octets if spec.kind is Kind.OCTET else quantise.bits
    if spec.aim == "certain":
        table.entries[:] = quantised(certain(counts), spec.worthwhile)
        return table
    if spec.aim == "worst":
        total = least_favourable(spec, counts, [packets for _, packets in kept])
    else:
        total = np.sum(counts, axis=0)
    table.entries[:] = quantised(probabilities(spec, total), spec.worthwhile)
    return table


def weighted(specs: Sequence[Spec], tables: Sequence[Table]) -> list[Table]:
    """Give the tables their weights, and the right to be asked before a stream is called encrypted.

    Tables of a static payload type weigh the same, those of dynamic ones by whether their codec is rare. A veto needs
    a table that ciphertext contradicts soon, and payload lengths that ciphertext with a tag can have.
    """
    result = []
    for spec, table in zip(specs, tables, strict=True):
        rivals = [other for other in specs if other.payload_type == spec.payload_type]
        prior = (2 * len(rivals) - 1).bit_length()
        if spec.payload_type < 0:
            prior = 8 if spec.rare else 6
        tagged = table.max_octets >= table.min_octets + LEAST_TAG_OCTETS
        veto = tagged and (table.drift <= MIN_VETO_DRIFT or spec.aim == "certain")
        result.append(replace(table, prior=prior, veto=veto, certain=spec.aim == "certain"))
    return result
