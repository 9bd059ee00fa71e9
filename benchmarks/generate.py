"""Write a capture of G.711 calls, of any length: ``python -m benchmarks.generate OUT.pcap``.

Every call is set up and ended by SIP over UDP and has a stream each way. Half of the calls are encrypted: random octets
with room for a tag of 80 bits. Of every sixteen calls one is encrypted although its SDP says RTP/AVP, and one is clear
although its SDP says RTP/SAVP.
"""

from __future__ import annotations

import argparse
import math
import random
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from deploy.demo import sip, wire
from deploy.demo.channels import UdpChannel
from deploy.demo.keys import MediaKeys
from deploy.demo.media import PACKET_MS, PCMU
from deploy.demo.wire import MS, SECOND, Endpoint, Frame, Host

BEGIN_NS = 1_760_000_000 * SECOND
SETUP_NS = 400 * MS  # from INVITE to the first packet of media
ROUND_NS = PACKET_MS * MS
SAMPLES = PCMU.octets  # of a packet
TAG = 10  # octets, RFC 3711 section 5.2
BANK_SECONDS = 4
BANKS = 16

_SIXTEEN = 16  # calls that repeat
_ENCRYPTED = range(7, 15)
_PROMISED = (*range(7, 14), 15)
_RECORD = struct.Struct("<IIII")
_RTP = struct.Struct(">BBHII")


@dataclass(frozen=True, slots=True)
class Label:
    """What is true of a stream."""

    src: tuple[str, int]
    dst: tuple[str, int]
    ssrc: int
    encrypted: bool
    promised: bool  # its SDP says RTP/SAVP


@dataclass(slots=True)
class _Stream:
    label: Label
    head: bytes  # Ethernet, IPv4 and UDP
    first: int  # the round of its first packet
    phase_ns: int
    bank: bytes
    offset: int
    sequence: int
    timestamp: int


def write(path: Path, calls: int, packets: int, *, stagger_s: float = 10.0, seed: int = 1) -> list[Label]:
    """Write a capture and return the truth about its streams.

    Args:
        path: a classic pcap file with microseconds.
        calls: how many; each has two streams.
        packets: of every stream, 20 ms each.
        stagger_s: seconds over which the calls begin.
        seed: the same one gives the same octets.
    """
    rng = random.Random(seed)
    noise, sounds = rng.randbytes(1 << 20), [speech(rng) for _ in range(BANKS)]
    streams: list[_Stream] = []
    signalling: list[Frame] = []
    for number in range(calls):
        first = SETUP_NS // ROUND_NS + int(rng.random() * stagger_s * SECOND / ROUND_NS)
        encrypted = number % _SIXTEEN in _ENCRYPTED
        pair, frames = _call(number, first, packets, rng)
        for stream in pair:
            stream.bank = noise if encrypted else rng.choice(sounds)
            stream.offset = rng.randrange(len(stream.bank))
        streams += pair
        signalling += frames
    with path.open("wb") as file:
        file.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1))
        for records in _rounds(streams, sorted(signalling), packets):
            file.writelines(records)
    return [stream.label for stream in streams]


def speech(rng: random.Random) -> bytes:
    """Return some seconds of mu-law that are as predictable as speech: harmonics of a gliding pitch, and pauses."""
    octets = bytearray()
    while len(octets) < BANK_SECONDS * PCMU.sample_rate:
        length = rng.randrange(1200, 6000)
        pitch, loudness = rng.uniform(90, 230), rng.uniform(500, 4000) if rng.random() < 2 / 3 else 0.0
        colour = [rng.uniform(0.1, 1.0) / harmonic for harmonic in range(1, 7)]
        phase = 0.0
        for at in range(length):
            phase += 2 * math.pi * pitch * (1 + 0.05 * math.sin(at / 900)) / PCMU.sample_rate
            voice = sum(part * math.sin(phase * harmonic) for harmonic, part in enumerate(colour, 1))
            level = loudness * math.sin(math.pi * at / length)
            octets.append(mu_law(round(level * voice + rng.gauss(0, 12))))
    return bytes(octets[: BANK_SECONDS * PCMU.sample_rate])


def mu_law(sample: int) -> int:
    """Return the G.711 mu-law code of a 16-bit sample."""
    magnitude = min(abs(sample), 32635) + 132
    exponent = magnitude.bit_length() - 8
    return ~((0x80 if sample < 0 else 0) | exponent << 4 | magnitude >> exponent + 3 & 0x0F) & 0xFF


def _call(number: int, first: int, packets: int, rng: random.Random) -> tuple[list[_Stream], list[Frame]]:
    """Return both streams of a call, not yet with their sound, and its signalling."""
    phone = Host("phone", f"10.16.{number >> 8}.{number & 0xFF}")
    server = Host("server", f"10.0.0.{10 + number // 2000}")
    caller = sip.Party(phone, f"{1000 + number}", "Caller", "Phone 1.0", 16384 + 2 * rng.randrange(8000))
    callee = sip.Party(server, f"9{number:05}", "Callee", "Server 1.0", 20000 + 2 * (number % 2000))
    promised = number % _SIXTEEN in _PROMISED
    frames = _signalling(caller, callee, promised=promised, first=first, packets=packets, rng=rng)
    streams = []
    for src, dst in ((caller.media, callee.media), (callee.media, caller.media)):
        encrypted = number % _SIXTEEN in _ENCRYPTED
        octets = _RTP.size + SAMPLES + TAG * encrypted
        label = Label((src.host.ip, src.port), (dst.host.ip, dst.port), rng.getrandbits(32), encrypted, promised)
        streams.append(
            _Stream(
                label=label,
                head=wire.udp(src, dst, bytes(octets), wire.MEDIA_DSCP)[:-octets],
                first=first,
                phase_ns=rng.randrange(MS, ROUND_NS - 2 * MS),
                bank=b"",
                offset=0,
                sequence=rng.getrandbits(16),
                timestamp=rng.getrandbits(32),
            )
        )
    return streams, frames


def _signalling(
    caller: sip.Party, callee: sip.Party, *, promised: bool, first: int, packets: int, rng: random.Random
) -> list[Frame]:
    channel = UdpChannel(Endpoint(caller.host, 5060), Endpoint(callee.host, 5060))
    dialog = sip.Dialog(caller, callee, channel, "voice.example.org", rng)
    profile, keys = "RTP/SAVP" if promised else "RTP/AVP", MediaKeys.chosen(rng).crypto_lines() if promised else ()
    offer, answer = (
        sip.session(party, (PCMU,), profile, keys[side : side + 1], rng) for side, party in enumerate((caller, callee))
    )
    bye, done = dialog.bye()
    begin = BEGIN_NS + first * ROUND_NS
    end = begin + packets * ROUND_NS
    steps = (
        (begin - SETUP_NS, True, dialog.invite(offer)),
        (begin - 100 * MS, False, dialog.response("200 OK", answer)),
        (begin - 80 * MS, True, dialog.ack()),
        (end + 20 * MS, True, bye),
        (end + 40 * MS, False, done),
    )
    return [
        frame
        for at_ns, from_client, message in steps
        for frame in channel.send(at_ns, message, from_client=from_client)
    ]


def _rounds(streams: Sequence[_Stream], signalling: Sequence[Frame], packets: int) -> Iterator[list[bytes]]:
    """Yield the pcap records of 20 ms after 20 ms: what is said, then one packet of every stream that is on."""
    ordered = sorted(streams, key=lambda stream: stream.phase_ns)
    said = 0
    for now in range(max(stream.first for stream in streams) + packets + 3):
        round_ns = BEGIN_NS + now * ROUND_NS
        records = []
        while said < len(signalling) and signalling[said][0] < round_ns + MS:
            records.append(_record(*signalling[said]))
            said += 1
        records += [
            _record(round_ns + stream.phase_ns, _packet(stream, now - stream.first))
            for stream in ordered
            if 0 <= now - stream.first < packets
        ]
        yield records


def _packet(stream: _Stream, number: int) -> bytes:
    octets = SAMPLES + TAG * stream.label.encrypted
    at = (stream.offset + SAMPLES * number) % (len(stream.bank) - octets)
    return (
        stream.head
        + _RTP.pack(
            0x80,
            0x00 if number else 0x80,
            stream.sequence + number & 0xFFFF,
            stream.timestamp + SAMPLES * number & 0xFFFF_FFFF,
            stream.label.ssrc,
        )
        + stream.bank[at : at + octets]
    )


def _record(at_ns: int, octets: bytes) -> bytes:
    return _RECORD.pack(at_ns // SECOND, at_ns % SECOND // 1000, len(octets), len(octets)) + octets


def main() -> None:
    """Write a capture and say what is in it."""
    parser = argparse.ArgumentParser(description="write a capture of G.711 calls")
    parser.add_argument("out", type=Path)
    parser.add_argument("--calls", type=int, default=100)
    parser.add_argument("--packets", type=int, default=2500, help="of every stream, 20 ms each")
    arguments = parser.parse_args()
    labels = write(arguments.out, arguments.calls, arguments.packets)
    encrypted = sum(label.encrypted for label in labels)
    print(f"{arguments.out}: {len(labels)} streams of {arguments.packets} packets, {encrypted} encrypted")


if __name__ == "__main__":
    main()
