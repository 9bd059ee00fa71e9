"""Real encoders: 16-bit samples in, the codec's own frames out (b"" where the encoder sends nothing).

The libraries are those of Debian; nothing of them is needed to build or to run the sensor.
"""

from __future__ import annotations

import ctypes
import functools
import importlib.util
from ctypes import byref, c_char_p, c_float, c_int, c_int16, c_uint8, c_void_p, create_string_buffer
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.media import programs

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.media.signals import Samples


@functools.cache
def _library(name: str) -> ctypes.CDLL:
    try:
        return ctypes.CDLL(name)
    except OSError as error:
        message = f"{error}; docs/design/003-codec-tables.md lists the packages"
        raise programs.ProgramError(message) from None


def _blocks(samples: Samples, count: int) -> Iterator[bytes]:
    for start in range(0, len(samples) - count + 1, count):
        yield samples[start : start + count].astype("<i2").tobytes()


def split(octets: bytes, count: int) -> list[bytes]:
    """Cut octets into pieces of equal length, leaving out an incomplete last one."""
    return [octets[start : start + count] for start in range(0, len(octets) - count + 1, count)]


def ffmpeg(samples: Samples, rate: int, encoder: str, *options: str, form: str) -> bytes:
    """Encode by one of ffmpeg's encoders into one of its raw formats."""
    return programs.encode(samples, rate, "-c:a", encoder, *options, "-f", form)


def g723(samples: Samples) -> list[bytes]:
    """ITU-T G.723.1 at 6.3 kbit/s, 24 octets each 30 ms."""
    wave = ffmpeg(samples, 8000, "g723_1", "-b:a", "6300", form="wav")
    return split(wave[wave.index(b"data") + 8 :], 24)


def g729(samples: Samples, *, silence_suppression: bool = False) -> list[bytes]:
    """ITU-T G.729 each 10 ms: 10 octets; with Annex B 2 for a silence descriptor and 0 for nothing to send."""
    library = _library("libbcg729.so.0")
    library.initBcg729EncoderChannel.restype = c_void_p
    channel = c_void_p(library.initBcg729EncoderChannel(c_uint8(silence_suppression)))
    frames, frame, length = [], create_string_buffer(16), c_uint8()
    for block in _blocks(samples, 80):
        library.bcg729Encoder(channel, block, frame, byref(length))
        frames.append(frame.raw[: length.value])
    library.closeBcg729EncoderChannel(channel)
    return frames


def ilbc(samples: Samples, milliseconds: int) -> list[bytes]:
    """IETF iLBC (RFC 3951), 38 octets each 20 ms or 50 each 30 ms, by the reference code inside the pjsua2 wheel."""
    found = importlib.util.find_spec("pjsua2")
    if found is None or found.origin is None:
        message = "iLBC needs the wheel pjsua2-python"
        raise programs.ProgramError(message)
    library = _library(str(next(Path(found.origin).parent.glob("_pjsua2*.so"))))
    state = create_string_buffer(1 << 16)
    library.initEncode(state, c_int(milliseconds))
    count, octets = 8 * milliseconds, {20: 38, 30: 50}[milliseconds]
    frames, frame = [], create_string_buffer(64)
    for start in range(0, len(samples) - count + 1, count):
        block = (c_float * count)(*samples[start : start + count].tolist())
        library.iLBC_encode(frame, block, state)
        frames.append(frame.raw[:octets])
    return frames


def amr_nb(samples: Samples, mode: int, *, dtx: bool = False) -> list[bytes]:
    """AMR (3GPP TS 26.071) frames in the storage format of RFC 4867 section 5.3, each 20 ms."""
    library = _library("libopencore-amrnb.so.0")
    library.Encoder_Interface_init.restype = c_void_p
    state = c_void_p(library.Encoder_Interface_init(c_int(dtx)))
    frames, frame = [], create_string_buffer(64)
    for block in _blocks(samples, 160):
        length = library.Encoder_Interface_Encode(state, c_int(mode), block, frame, c_int(0))
        frames.append(frame.raw[:length])
    library.Encoder_Interface_exit(state)
    return frames


def amr_wb(samples: Samples, mode: int, *, dtx: bool = False) -> list[bytes]:
    """AMR-WB (3GPP TS 26.171) frames in the storage format of RFC 4867 section 5.3, each 20 ms."""
    library = _library("libvo-amrwbenc.so.0")
    library.E_IF_init.restype = c_void_p
    state = c_void_p(library.E_IF_init())
    frames, frame = [], create_string_buffer(128)
    for block in _blocks(samples, 320):
        length = library.E_IF_encode(state, c_int(mode), block, frame, c_int(dtx))
        frames.append(frame.raw[:length])
    library.E_IF_exit(state)
    return frames


@dataclass(frozen=True)
class OpusMode:
    """How libopus is to encode: 48 kHz, ``channels`` of them, ``milliseconds`` a packet, options of its API."""

    bitrate: int
    milliseconds: float = 20
    application: int = 2048  # OPUS_APPLICATION_VOIP; 2049 AUDIO, 2051 RESTRICTED_LOWDELAY
    channels: int = 1
    vbr: bool = True
    dtx: bool = False
    fec: bool = False
    bandwidth: int = -1000  # OPUS_AUTO; 1101 narrowband, 1103 wideband


_OPUS_SET = {
    "bitrate": 4002,
    "vbr": 4006,
    "bandwidth": 4008,
    "complexity": 4010,
    "fec": 4012,
    "loss": 4014,
    "dtx": 4016,
}
_OPUS_NEED_NOT_BE_SENT = 2  # octets, with DTX


def opus(samples: Samples, mode: OpusMode) -> list[bytes]:
    """Opus (RFC 6716) packets; b"" where DTX sends nothing (packets of one or two octets need not be sent)."""
    library = _library("libopus.so.0")
    library.opus_encoder_create.restype = c_void_p
    failed = c_int()
    state = c_void_p(library.opus_encoder_create(48000, mode.channels, mode.application, byref(failed)))
    settings = {
        "bitrate": mode.bitrate,
        "bandwidth": mode.bandwidth,
        "vbr": mode.vbr,
        "complexity": 5,
        "fec": mode.fec,
        "loss": 15 * mode.fec,
        "dtx": mode.dtx,
    }
    for name, value in settings.items():
        library.opus_encoder_ctl(state, c_int(_OPUS_SET[name]), c_int(value))
    if mode.channels > 1:
        samples = np.stack([samples, np.roll(samples, 40) // 2 + samples // 4], axis=1).ravel()
    count = int(48 * mode.milliseconds)
    packets, packet = [], create_string_buffer(1500)
    for block in _blocks(samples, count * mode.channels):
        length = library.opus_encode(state, block, c_int(count), packet, c_int(1500))
        packets.append(packet.raw[:length] if length > _OPUS_NEED_NOT_BE_SENT else b"")
    library.opus_encoder_destroy(state)
    return packets


def codec2(samples: Samples, mode: int) -> list[bytes]:
    """Codec 2 frames: mode 0 is 3200 bit/s (8 octets each 20 ms), 4 is 1300 bit/s (7 octets each 40 ms)."""
    library = _library("libcodec2.so.1.0")
    library.codec2_create.restype = c_void_p
    state = c_void_p(library.codec2_create(c_int(mode)))
    octets = (library.codec2_bits_per_frame(state) + 7) // 8
    frames, frame = [], create_string_buffer(octets)
    for block in _blocks(samples, library.codec2_samples_per_frame(state)):
        library.codec2_encode(state, frame, block)
        frames.append(frame.raw)
    library.codec2_destroy(state)
    return frames


class _SpeexBits(ctypes.Structure):
    _fields_ = (
        ("chars", c_char_p),
        ("nb_bits", c_int),
        ("char_ptr", c_int),
        ("bit_ptr", c_int),
        ("owner", c_int),
        ("overflow", c_int),
        ("buf_size", c_int),
        ("reserved1", c_int),
        ("reserved2", c_void_p),
    )


def speex(samples: Samples, quality: int, *, wideband: bool, dtx: bool = False) -> list[bytes]:
    """Speex frames each 20 ms, ended as RFC 5574 section 3.2 says (a zero bit, then ones to the octet)."""
    library = _library("libspeex.so.1")
    library.speex_lib_get_mode.restype = c_void_p
    library.speex_encoder_init.restype = c_void_p
    state = c_void_p(library.speex_encoder_init(c_void_p(library.speex_lib_get_mode(c_int(wideband)))))
    for request, value in ((4, quality), (16, 2), (34, dtx), (30, dtx)):  # SPEEX_SET_QUALITY, COMPLEXITY, DTX, VAD
        library.speex_encoder_ctl(state, c_int(request), byref(c_int(value)))
    bits = _SpeexBits()
    library.speex_bits_init(byref(bits))
    frames, frame = [], create_string_buffer(200)
    for block in _blocks(samples, 320 if wideband else 160):
        library.speex_bits_reset(byref(bits))
        sent = library.speex_encode_int(state, (c_int16 * (len(block) // 2)).from_buffer_copy(block), byref(bits))
        length = library.speex_bits_write(byref(bits), frame, c_int(200))
        frames.append(frame.raw[:length] if sent or not dtx else b"")
    library.speex_encoder_destroy(state)
    return frames
