"""What is sent: calls whose protection is known, and among them what nobody should send."""

from __future__ import annotations

import random
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks import generate
from tests.live.lab import Frames, read_capture

CALLS, PACKETS, STAGGER_S = 128, 250, 20.0  # of a cycle; packets of each stream, so a call is of five seconds
VOICE = "10.0.0.0/11"  # where they are; what is damaged is elsewhere
_ELSEWHERE = 99  # the first octet of its addresses
_LEAST = 60  # octets of a frame (IEEE 802.3 section 4A.4.2, without the check sequence)
_EVERY = 8  # packets of calls to one that is damaged, and two that begin a flow

Leg = tuple[str, str]  # what signalling promises, what packets are


@dataclass(frozen=True, slots=True)
class Cycle:
    """Frames with the times they had, and the legs that are in them."""

    frames: Frames
    legs: Counter[Leg]


def cycle(number: int) -> Cycle:
    """Return calls of the same phones as in any cycle, with everything else of theirs new."""
    frames, labels = _calls(CALLS, PACKETS, number)
    pairs = zip(labels[::2], labels[1::2], strict=True)  # both streams of a call
    legs = Counter(
        ("srtp-sdes" if label.promised else "clear", "encrypted" if label.encrypted else "clear") for label, _ in pairs
    )
    return Cycle(frames, legs)


class Noise:
    """Floods of new flows, of fragments and of synchronisation sources, and frames that are damaged."""

    def __init__(self, seed: int) -> None:
        self._chance = random.Random(seed)
        frames, _ = _calls(16, 50, 0)
        calls = [_moved(octets) for _, octets in frames]
        self._media = [octets for octets in calls if b"SIP/2.0" not in octets]
        # Dialogues last for half an hour: always new ones would be growth that is no defect.
        self._signalling = [self._damaged(octets) for octets in calls if b"SIP/2.0" in octets for _ in range(8)]

    def between(self, number: int) -> list[bytes]:
        """Return what comes behind packet ``number`` of the calls."""
        if number % _EVERY:
            return []
        if number % (_EVERY * 16) == 0:
            return [self._chance.choice(self._signalling)]
        return [self._damaged(self._chance.choice(self._media)), self._new_flow(), self._new_flow()]

    def flood(self, count: int) -> Iterator[bytes]:
        """Yield so many frames, each of a flow of its own."""
        return (self._new_flow() for _ in range(count))

    def _new_flow(self) -> bytes:
        chance = self._chance
        payload = bytes([0x80, 0]) + chance.randbytes(30)
        head = b"\x45\0" + (28 + len(payload)).to_bytes(2, "big") + chance.randbytes(2)
        head += chance.choice((b"\0\0", b"\0\0", b"\x20\0")) + b"\x40\x11\0\0"  # one in three is a fragment
        head += b"\xcb\x00" + chance.randbytes(2) + b"\xc6\x33\x64\x09"
        udp = chance.randbytes(2) + b"\x4e\x20" + (8 + len(payload)).to_bytes(2, "big") + chance.randbytes(2)
        return bytes(12) + b"\x08\0" + head + udp + payload

    def _damaged(self, octets: bytes) -> bytes:
        chance = self._chance
        changed = bytearray(octets[: chance.randrange(_LEAST, len(octets) + 1)])
        for _ in range(3):
            changed[chance.randrange(len(changed))] ^= 1 << chance.randrange(8)
        return bytes(changed)


def _calls(calls: int, packets: int, seed: int) -> tuple[Frames, list[generate.Label]]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "calls.pcap")
        labels = generate.write(path, calls, packets, stagger_s=STAGGER_S, seed=seed)
        return read_capture(path), labels


def _moved(octets: bytes) -> bytes:
    """Return a frame of other hosts, which its SDP names, too: what is damaged must not speak of sound calls."""
    at = octets.index(b"\x08\x00\x45") + 2
    changed = bytearray(octets.replace(b"10.0.0.", b"99.0.0.").replace(b"10.16.", b"99.16."))
    changed[at + 12] = changed[at + 16] = _ELSEWHERE
    return bytes(changed)
