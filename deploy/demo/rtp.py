"""RTP and RTCP of a two-way conversation (RFC 3550), before any protection."""

from __future__ import annotations

import random
import struct
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

from .media import PACKET_MS, Codec
from .wire import MS, SECOND

_NTP_EPOCH = 2_208_988_800  # seconds from 1900 to 1970
_SENDER_REPORT, _DESCRIPTION, _GOODBYE = 200, 202, 203
_TRANSIT_NS = MS // 5  # from an end to the mirror port, or from there to the other end


class Datagram(NamedTuple):
    """One RTP or RTCP packet on its way."""

    ts_ns: int
    from_caller: bool
    is_rtcp: bool
    octets: bytes


@dataclass(frozen=True, slots=True)
class _Sender:
    """One direction: its identifiers and the times at which its packets pass."""

    ssrc: int
    first_sequence: int
    first_timestamp: int
    codec: Codec
    cname: str
    payloads: Sequence[bytes]
    times: Sequence[int]

    def packet(self, index: int) -> bytes:
        """Return one RTP packet; the marker bit begins a talkspurt (RFC 3551 section 4.1)."""
        return (
            struct.pack(
                ">BBHII",
                0x80,
                self.codec.payload_type | (0x80 if index == 0 else 0),
                (self.first_sequence + index) & 0xFFFF,
                (self.first_timestamp + index * self.codec.ticks) & 0xFFFFFFFF,
                self.ssrc,
            )
            + self.payloads[index]
        )

    def sent(self, at_ns: int) -> int:
        """Return how many of its packets have passed."""
        return bisect_right(self.times, at_ns)

    def jitter(self, count: int) -> int:
        """Return the interarrival jitter after ``count`` packets, in timestamp units (RFC 3550 A.8)."""
        jitter = 0.0
        for before, after in pairwise(self.times[:count]):
            late = (after - before) * self.codec.clock / SECOND - self.codec.ticks
            jitter += (abs(late) - jitter) / 16
        return int(jitter)


def converse(
    caller: Sequence[bytes], callee: Sequence[bytes], codec: Codec, start_ns: int, rng: random.Random
) -> list[Datagram]:
    """Return the packets of a conversation in the order of time.

    Args:
        caller: payloads of the caller, 20 ms each.
        callee: payloads of the callee, who starts to send a moment earlier.
        codec: the codec of both.
        start_ns: when the caller's first packet passes.
        rng: gives identifiers, jitter and the times of RTCP.
    """
    senders = (
        _sender(caller, codec, start_ns, rng),
        _sender(callee, codec, start_ns - 25 * MS, rng),
    )
    packets = [
        Datagram(ts_ns, side == 0, is_rtcp=False, octets=sender.packet(index))
        for side, sender in enumerate(senders)
        for index, ts_ns in enumerate(sender.times)
    ]
    return sorted(packets + _reports(senders, rng))


def _sender(payloads: Sequence[bytes], codec: Codec, start_ns: int, rng: random.Random) -> _Sender:
    return _Sender(
        ssrc=rng.getrandbits(32),
        first_sequence=rng.getrandbits(15),  # RFC 3711 section 3.3.1: start in the lower half
        first_timestamp=rng.getrandbits(32),
        codec=codec,
        cname=f"{rng.getrandbits(96):024x}",  # RFC 7022 section 4.2: short-term persistent, says nothing of the user
        payloads=payloads,
        times=[start_ns + index * PACKET_MS * MS + int(abs(rng.gauss(0, 0.4)) * MS) for index in range(len(payloads))],
    )


def _reports(senders: tuple[_Sender, _Sender], rng: random.Random) -> list[Datagram]:
    """Return compound RTCP packets of both sides, at the intervals of RFC 3550 section 6.3.1, with a BYE at the end."""
    due: list[tuple[int, int, bool]] = []
    for side, sender in enumerate(senders):
        end_ns = sender.times[-1] + 3 * MS
        at_ns = sender.times[0] + int(1.25 * SECOND * rng.uniform(0.5, 1.5))
        while at_ns < end_ns:
            due.append((at_ns, side, False))
            at_ns += int(2.5 * SECOND * rng.uniform(0.5, 1.5))
        due.append((end_ns, side, True))
    reports: list[Datagram] = []
    last_report = [0, 0]
    for at_ns, side, is_last in sorted(due):
        heard_ns = last_report[1 - side]
        compound = _compound(senders[side], senders[1 - side], at_ns, heard_ns, is_last=is_last)
        reports.append(Datagram(at_ns, side == 0, is_rtcp=True, octets=compound))
        last_report[side] = at_ns
    return reports


def _compound(own: _Sender, other: _Sender, at_ns: int, heard_ns: int, *, is_last: bool) -> bytes:
    """Return SR with one report block, SDES with CNAME and, at the end, BYE (RFC 3550 sections 6.4.1, 6.5, 6.6)."""
    sent, heard = own.sent(at_ns), other.sent(at_ns - _TRANSIT_NS)
    elapsed = (at_ns - own.times[0]) * own.codec.clock // SECOND
    ntp = _ntp(at_ns)
    sender = struct.pack(
        ">IQIII",
        own.ssrc,
        ntp,
        (own.first_timestamp + elapsed) & 0xFFFFFFFF,
        sent,
        sum(map(len, own.payloads[:sent])),
    )
    block = struct.pack(
        ">IIIIII",
        other.ssrc,
        0,  # nothing was lost
        other.first_sequence + heard - 1,
        other.jitter(heard),
        _ntp(heard_ns) >> 16 & 0xFFFFFFFF if heard_ns else 0,
        (at_ns - heard_ns - _TRANSIT_NS) * 65536 // SECOND if heard_ns else 0,
    )
    cname = own.cname.encode()
    item = struct.pack(">IBB", own.ssrc, 1, len(cname)) + cname
    description = item + bytes(4 - len(item) % 4)  # at least one null ends the items
    packets = _rtcp(_SENDER_REPORT, 1, sender + block) + _rtcp(_DESCRIPTION, 1, description)
    return packets + _rtcp(_GOODBYE, 1, struct.pack(">I", own.ssrc)) if is_last else packets


def _rtcp(kind: int, count: int, body: bytes) -> bytes:
    return struct.pack(">BBH", 0x80 | count, kind, len(body) // 4) + body


def _ntp(at_ns: int) -> int:
    """Return a 64-bit NTP timestamp."""
    seconds, rest = divmod(at_ns, SECOND)
    return (seconds + _NTP_EPOCH) << 32 | (rest << 32) // SECOND
