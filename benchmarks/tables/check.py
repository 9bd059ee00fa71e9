"""Check tables: the packets they need on contents they never saw, and ciphertext, which must never pass."""

from __future__ import annotations

import math
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CTR

from benchmarks.media import VARIANTS, streams
from benchmarks.tables.layout import DRIFT_UNIT
from benchmarks.tables.score import (
    CLEAR_BITS,
    evidence,
    packets_needed,
    payload_scores,
    stream_scores,
    wrongly_rejected,
)
from benchmarks.tables.train import frame_starts

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from benchmarks.media import Stream
    from benchmarks.tables.layout import Table

NEVER = 10**9
STARTS = 8  # places in a stream where a capture is taken to begin
HORIZON_PACKETS = 300  # what a start must have before it
CIPHER_PACKETS = 16
CIPHER_CHUNK = 1700


def applicable(tables: Sequence[Table], payload_type: int) -> list[Table]:
    """Return the tables that a packet of a payload type is scored under: a static type's own, else the dynamic ones."""
    return [table for table in tables if table.payload_type == payload_type]


@dataclass(frozen=True)
class Delay:
    """From one start in a stream: packets to CLEAR_BITS (or NEVER), and whether all tables rejected it before."""

    packets: int
    rejected: bool


def measure(tables: Sequence[Table], stream: Stream, *, whole: bool) -> list[Delay]:
    """Return the delays from several starts in a stream."""
    packets = list(stream.packets())
    first = frame_starts([packet.timestamp for packet in packets])
    rivals = applicable(tables, stream.variant.payload_type)
    scores = stream_scores(rivals, [packet.payload for packet in packets], first, whole=whole)
    delays = []
    for start in np.unique(np.linspace(0, max(0, len(packets) - HORIZON_PACKETS), STARTS).astype(int)):
        need = packets_needed(rivals, scores, int(start))
        delays.append(Delay(need or NEVER, wrongly_rejected(rivals, scores, int(start), need)))
    return delays


def report(tables: Sequence[Table]) -> Iterator[str]:
    """Yield lines: for each variant the packets needed on test contents, and in how many starts it was rejected.

    A static payload type has a second line, for payloads whose length leaves no room for a tag.
    """
    yield f"{'packets to 40 bits':26}{'n':>4}{'median':>8}{'p95':>8}{'p99':>8}{'wrong':>7}   hardest content"
    for variant in VARIANTS:
        for whole in (False, True)[: 1 + (variant.payload_type >= 0)]:
            found = {
                stream.content.name: measure(tables, stream, whole=whole) for stream in streams("test", variant.name)
            }
            if found:
                yield _row(variant.name + " exact" * whole, found)


def _row(name: str, found: Mapping[str, Sequence[Delay]]) -> str:
    delays = [delay for each in found.values() for delay in each]
    packets = sorted(delay.packets for delay in delays)
    hardest = max(found, key=lambda content: float(np.median([delay.packets for delay in found[content]])))
    wrong = sum(delay.rejected for delay in delays)

    def at(share: float) -> str:
        value = packets[math.ceil(share * len(packets)) - 1]
        return "never" if value == NEVER else str(value)

    return f"{name:26}{len(found):4}{at(0.5):>8}{at(0.95):>8}{at(0.99):>8}{wrong:7}   {hardest}"


def ciphertext(tables: Sequence[Table], payload_type: int, octets: int, count: int) -> float:
    """Return the most evidence, in bits, that any of ``count`` streams of AES-CTR payloads of one length reaches."""
    rivals = [table for table in applicable(tables, payload_type) if table.applies(octets)]
    keystream = Cipher(AES(secrets.token_bytes(16)), CTR(bytes(16))).encryptor()
    most = float("-inf")
    first = np.arange(CIPHER_CHUNK * CIPHER_PACKETS) % 3 == 0
    for _ in range(0, count, CIPHER_CHUNK):
        octets_needed = octets * len(first)
        payloads = np.frombuffer(keystream.update(bytes(octets_needed)), np.uint8).reshape(len(first), octets)
        scores = np.stack([payload_scores(table, payloads, first) for table in rivals])
        found = evidence(rivals, scores.reshape(len(rivals), CIPHER_CHUNK, -1).transpose(1, 0, 2))
        most = max(most, float(found.max()) / DRIFT_UNIT)
    return most


def ciphertext_lengths(tables: Sequence[Table]) -> list[tuple[int, int]]:
    """Return payload types and lengths to try: each codec's frames with a tag of ten octets, of four, and without."""
    tried = set()
    for table in tables:
        base = max(table.frame_octets, table.min_octets)
        for tag in (0, 4, 10):
            if table.applies(base + tag):
                tried.add((table.payload_type, base + tag))
    return sorted(tried)


def passes(most: float) -> bool:
    """Whether ciphertext stayed below what calls a stream clear."""
    return most < CLEAR_BITS
