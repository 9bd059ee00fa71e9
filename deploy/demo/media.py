"""Speech from espeak-ng, encoded by ffmpeg into the payloads of RTP packets of 20 ms."""

from __future__ import annotations

import struct
import subprocess
from dataclasses import dataclass

PACKET_MS = 20


@dataclass(frozen=True, slots=True)
class Codec:
    """A codec as SDP names it (RFC 3551, RFC 7587) and as ffmpeg makes it."""

    encoding: str  # of rtpmap, with clock and channels
    payload_type: int
    clock: int  # of RTP timestamps
    sample_rate: int
    encoder: tuple[str, ...]  # options and format of ffmpeg
    octets: int  # in a packet; 0 when it varies and ffmpeg writes Ogg

    @property
    def ticks(self) -> int:
        """RTP timestamp units in a packet."""
        return self.clock * PACKET_MS // 1000


PCMU = Codec("PCMU/8000", 0, 8000, 8000, ("-c:a", "pcm_mulaw", "-f", "mulaw"), 160)
PCMA = Codec("PCMA/8000", 8, 8000, 8000, ("-c:a", "pcm_alaw", "-f", "alaw"), 160)
# RFC 3551 section 4.5.2: the RTP clock of G.722 is 8000 although it samples at 16000
G722 = Codec("G722/8000", 9, 8000, 16000, ("-c:a", "g722", "-f", "g722"), 160)
OPUS = Codec(
    "opus/48000/2",
    111,
    48000,
    48000,
    ("-c:a", "libopus", "-b:a", "24k", "-application", "voip", "-frame_duration", str(PACKET_MS), "-f", "ogg"),
    0,
)


def speak(text: str, voice: str, codec: Codec, *, start_s: float, total_s: float, seed: int) -> list[bytes]:
    """Return payloads for ``total_s`` seconds: faint room noise, and ``text`` spoken over it from ``start_s``.

    Needs the programs espeak-ng and ffmpeg; the same versions of them give the same octets.

    Raises:
        subprocess.CalledProcessError: one of the programs failed.
    """
    wav = _run("espeak-ng", "-v", voice, "-s", "165", "--stdout", text)
    delay_ms = round(start_s * 1000)
    encoded = _run(
        *("ffmpeg", "-v", "error", "-i", "pipe:0"),
        *("-f", "lavfi", "-i", f"anoisesrc=sample_rate=48000:color=pink:amplitude=0.004:seed={seed}"),
        "-filter_complex",
        f"[0:a]aresample=48000,volume=0.7,adelay={delay_ms},apad[voice];[voice][1:a]amix=normalize=0",
        *("-t", f"{total_s:.3f}", "-ac", "1", "-ar", str(codec.sample_rate), "-bitexact"),
        *(*codec.encoder, "pipe:1"),
        data=wav,
    )
    count = round(total_s * 1000 / PACKET_MS)
    if codec.octets:
        return [encoded[at : at + codec.octets] for at in range(0, count * codec.octets, codec.octets)]
    return _ogg_packets(encoded)[2 : 2 + count]  # the first two are headers, RFC 7845 section 3


def _run(*command: str, data: bytes = b"") -> bytes:
    """Return what a program says to ``data``."""
    return subprocess.run(command, input=data, stdout=subprocess.PIPE, check=True).stdout  # noqa: S603 - all arguments are ours


def _ogg_packets(octets: bytes) -> list[bytes]:
    """Return the packets of an Ogg stream (RFC 3533 section 6): a lacing value under 255 ends a packet."""
    packets: list[bytes] = []
    packet = b""
    at = 0
    while at < len(octets):
        (segments,) = struct.unpack_from("B", octets, at + 26)
        lacing = octets[at + 27 : at + 27 + segments]
        at += 27 + segments
        for length in lacing:
            packet += octets[at : at + length]
            at += length
            if length < 255:  # noqa: PLR2004 - see above
                packets.append(packet)
                packet = b""
    return packets
