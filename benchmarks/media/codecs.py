"""Every codec the project encodes, in one list of variants: packet time, mode, packing."""

from __future__ import annotations

import functools
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from benchmarks.media import encoders, payloads, signals, video
from benchmarks.media.encoders import OpusMode

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from benchmarks.media.container import Packet
    from benchmarks.media.contents import Content, Kind
    from benchmarks.media.signals import Samples

DYNAMIC = -1
_AUDIO: tuple[Kind, ...] = ("speech", "music", "noise", "loud", "tone", "silence")


@dataclass(frozen=True)
class Variant:
    """One way to send one codec.

    Attributes:
        name: unique; the codec's name and what is special.
        codec: name of the codec, as its tables are called.
        payload_type: static RTP payload type (RFC 3551), or DYNAMIC.
        encode: makes the packets of a content.
        encoder: package of the encoder, or "own" where the project lays the payload out itself.
        kinds: kinds of contents it takes.
    """

    name: str
    codec: str
    payload_type: int
    encode: Callable[[Content], Iterable[Packet]]
    encoder: str
    kinds: tuple[Kind, ...] = field(default=_AUDIO)

    def takes(self, content: Content) -> bool:
        """Whether this variant can carry a content."""
        return content.kind in self.kinds


@functools.lru_cache(maxsize=4)
def sound(content: Content, rate: int) -> Samples:
    """Return a content's samples at a rate; the last few are kept."""
    if content.source is None:
        raise ValueError(f"{content.name} has no sound")
    return content.source(rate)


def _audio(
    name: str,
    payload_type: int,
    rate: int,
    step: int,
    frames: Callable[[Samples], Iterable[bytes]],
    encoder: str,
) -> Variant:
    """Return a variant whose payloads come at a fixed pace; its codec is the name up to the last hyphen."""

    def encode(content: Content) -> Iterable[Packet]:
        return payloads.paced(frames(sound(content, rate)), step)

    return Variant(name, name.rpartition("-")[0], payload_type, encode, encoder)


def _ffmpeg(rate: int, octets: int, encoder: str, form: str, *options: str) -> Callable[[Samples], list[bytes]]:
    """Return an encoder of ffmpeg whose raw output is cut into payloads of equal length."""
    return lambda samples: encoders.split(encoders.ffmpeg(samples, rate, encoder, *options, form=form), octets)


def _g726(bits: int, *, aal2: bool = False) -> Callable[[Samples], list[bytes]]:
    """RFC 3551 section 4.5.4: the first sample in the low bits of the octet; AAL2 order has it in the high bits."""
    name, form = ("g726", "g726") if aal2 else ("g726le", "g726le")
    return _ffmpeg(8000, 20 * bits, name, form, "-code_size", str(bits))


def _opus(mode: OpusMode) -> Callable[[Samples], list[bytes]]:
    return lambda samples: encoders.opus(samples, mode)


def _amr(mode: int, request: int, *, aligned: bool, dtx: bool = False) -> Callable[[Samples], Iterable[bytes]]:
    def frames(samples: Samples) -> Iterable[bytes]:
        coded = encoders.amr_nb(samples, mode, dtx=dtx)
        if aligned:
            return payloads.amr_octet_aligned(coded, request)
        return payloads.amr_bandwidth_efficient(coded, request, payloads.AMR_BITS)

    return frames


def _amr_wb(mode: int, request: int, *, aligned: bool, dtx: bool = False) -> Callable[[Samples], Iterable[bytes]]:
    def frames(samples: Samples) -> Iterable[bytes]:
        coded = encoders.amr_wb(samples, mode, dtx=dtx)
        if aligned:
            return payloads.amr_octet_aligned(coded, request)
        return payloads.amr_bandwidth_efficient(coded, request, payloads.AMR_WB_BITS)

    return frames


def _speex(quality: int, *, wideband: bool) -> Callable[[Samples], list[bytes]]:
    return lambda samples: encoders.speex(samples, quality, wideband=wideband)


def _codec2(mode: int, count: int) -> Callable[[Samples], list[bytes]]:
    return lambda samples: payloads.bundled(encoders.codec2(samples, mode), count)


def _red(
    primary: Callable[[Samples], list[bytes]],
    payload_type: int,
    step: int,
) -> Callable[[Samples], Iterable[bytes]]:
    return lambda samples: payloads.redundant(primary(samples), payload_type, step, 1)


def _events(content: Content) -> Iterable[Packet]:
    return payloads.telephone_events(signals.digits(content.seed), "0123456789*#ABCD")


def _text(content: Content) -> Iterable[Packet]:
    return payloads.paced(payloads.typed(content.text * 4, content.seed), 300)


def _text_red(content: Content) -> Iterable[Packet]:
    return payloads.paced(payloads.redundant(payloads.typed(content.text * 4, content.seed), 98, 300, 2), 300)


def _annex_b(samples: Samples) -> list[bytes]:
    return payloads.bundled(encoders.g729(samples, silence_suppression=True), 2)


def _film(name: str, encoder: str, payloader: str, package: str, payload_type: int = DYNAMIC) -> Variant:
    def encode(content: Content) -> Iterable[Packet]:
        return video.gstreamer(content, f"{encoder} ! {payloader}")

    return Variant(name, name.rpartition("-")[0], payload_type, encode, package, ("film",))


def _av1_film(name: str, encoder: str, *options: str) -> Variant:
    def encode(content: Content) -> Iterable[Packet]:
        return video.av1(content, encoder, *options)

    return Variant(name, name.rpartition("-")[0], DYNAMIC, encode, "ffmpeg", ("film",))


_VPX = "deadline=1 cpu-used=8 target-bitrate=600000 keyframe-max-dist=50"
_PCMU_20 = _ffmpeg(8000, 160, "pcm_mulaw", "mulaw")
_OPUS_32 = _opus(OpusMode(32_000))

FIXED: Sequence[Variant] = (
    _audio("pcmu-20", 0, 8000, 160, _PCMU_20, "ffmpeg"),
    _audio("pcmu-30", 0, 8000, 240, _ffmpeg(8000, 240, "pcm_mulaw", "mulaw"), "ffmpeg"),
    _audio("pcma-20", 8, 8000, 160, _ffmpeg(8000, 160, "pcm_alaw", "alaw"), "ffmpeg"),
    _audio("pcma-10", 8, 8000, 80, _ffmpeg(8000, 80, "pcm_alaw", "alaw"), "ffmpeg"),
    _audio("g722-20", 9, 16000, 160, _ffmpeg(16000, 160, "g722", "g722"), "ffmpeg"),
    _audio("gsm-20", 3, 8000, 160, _ffmpeg(8000, 33, "libgsm", "gsm"), "libgsm1"),
    _audio("g723-30", 4, 8000, 240, encoders.g723, "ffmpeg"),
    _audio("g729-20", 18, 8000, 160, lambda samples: payloads.bundled(encoders.g729(samples), 2), "libbcg729-0"),
    _audio("g729-10", 18, 8000, 80, encoders.g729, "libbcg729-0"),
    _audio("g729-annexb", 18, 8000, 160, _annex_b, "libbcg729-0"),
    _audio("l16-8k", DYNAMIC, 8000, 160, lambda samples: payloads.big_endian(samples, 160), "own"),
    _audio("l16-16k", DYNAMIC, 16000, 320, lambda samples: payloads.big_endian(samples, 320), "own"),
    _audio("cn-10", 13, 8000, 800, payloads.comfort_noise, "own"),
    _audio("cn-0", 13, 8000, 800, lambda samples: payloads.comfort_noise(samples, 0), "own"),
)

NEGOTIATED: Sequence[Variant] = (
    _audio("opus-nb12", DYNAMIC, 48000, 960, _opus(OpusMode(12_000, bandwidth=1101)), "libopus0"),
    _audio("opus-wb20", DYNAMIC, 48000, 960, _opus(OpusMode(20_000, bandwidth=1103)), "libopus0"),
    _audio("opus-32", DYNAMIC, 48000, 960, _OPUS_32, "libopus0"),
    _audio("opus-32cbr", DYNAMIC, 48000, 960, _opus(OpusMode(32_000, vbr=False)), "libopus0"),
    _audio("opus-24dtx", DYNAMIC, 48000, 960, _opus(OpusMode(24_000, dtx=True, fec=True)), "libopus0"),
    _audio("opus-64audio", DYNAMIC, 48000, 960, _opus(OpusMode(64_000, application=2049)), "libopus0"),
    _audio("opus-128stereo", DYNAMIC, 48000, 960, _opus(OpusMode(128_000, application=2049, channels=2)), "libopus0"),
    _audio("opus-48low10", DYNAMIC, 48000, 480, _opus(OpusMode(48_000, 10, application=2051)), "libopus0"),
    _audio("opus-16nb60", DYNAMIC, 48000, 2880, _opus(OpusMode(16_000, 60)), "libopus0"),
    _audio("opus-24nb40", DYNAMIC, 48000, 1920, _opus(OpusMode(24_000, 40, fec=True)), "libopus0"),
    _audio("amr-122be", DYNAMIC, 8000, 160, _amr(7, 15, aligned=False), "libopencore-amrnb0"),
    _audio("amr-122oa", DYNAMIC, 8000, 160, _amr(7, 15, aligned=True), "libopencore-amrnb0"),
    _audio("amr-122dtx", DYNAMIC, 8000, 160, _amr(7, 7, aligned=False, dtx=True), "libopencore-amrnb0"),
    _audio("amr-795oa", DYNAMIC, 8000, 160, _amr(5, 5, aligned=True), "libopencore-amrnb0"),
    _audio("amr-74be", DYNAMIC, 8000, 160, _amr(4, 7, aligned=False), "libopencore-amrnb0"),
    _audio("amr-59be", DYNAMIC, 8000, 160, _amr(2, 15, aligned=False), "libopencore-amrnb0"),
    _audio("amr-475be", DYNAMIC, 8000, 160, _amr(0, 15, aligned=False), "libopencore-amrnb0"),
    _audio("amr-475oa", DYNAMIC, 8000, 160, _amr(0, 15, aligned=True), "libopencore-amrnb0"),
    _audio("amrwb-2385be", DYNAMIC, 16000, 320, _amr_wb(8, 15, aligned=False), "libvo-amrwbenc0"),
    _audio("amrwb-1265be", DYNAMIC, 16000, 320, _amr_wb(2, 15, aligned=False), "libvo-amrwbenc0"),
    _audio("amrwb-1265oa", DYNAMIC, 16000, 320, _amr_wb(2, 2, aligned=True), "libvo-amrwbenc0"),
    _audio("amrwb-1265dtx", DYNAMIC, 16000, 320, _amr_wb(2, 8, aligned=False, dtx=True), "libvo-amrwbenc0"),
    _audio("amrwb-660be", DYNAMIC, 16000, 320, _amr_wb(0, 15, aligned=False), "libvo-amrwbenc0"),
    _audio("amrwb-660oa", DYNAMIC, 16000, 320, _amr_wb(0, 15, aligned=True), "libvo-amrwbenc0"),
    _audio("speex-nb8", DYNAMIC, 8000, 160, _speex(8, wideband=False), "libspeex1"),
    _audio("speex-nb4", DYNAMIC, 8000, 160, _speex(4, wideband=False), "libspeex1"),
    _audio("speexwb-6", DYNAMIC, 16000, 320, _speex(6, wideband=True), "libspeex1"),
    _audio("speexwb-8", DYNAMIC, 16000, 320, _speex(8, wideband=True), "libspeex1"),
    _audio("ilbc-20", DYNAMIC, 8000, 160, lambda samples: encoders.ilbc(samples, 20), "pjsua2-python"),
    _audio("ilbc-30", DYNAMIC, 8000, 240, lambda samples: encoders.ilbc(samples, 30), "pjsua2-python"),
    _audio("g726-16-20", DYNAMIC, 8000, 160, _g726(2), "ffmpeg"),
    _audio("g726-24-20", DYNAMIC, 8000, 160, _g726(3), "ffmpeg"),
    _audio("g726-32-20", DYNAMIC, 8000, 160, _g726(4), "ffmpeg"),
    _audio("g726-40-20", DYNAMIC, 8000, 160, _g726(5), "ffmpeg"),
    _audio("aal2-16-20", DYNAMIC, 8000, 160, _g726(2, aal2=True), "ffmpeg"),
    _audio("aal2-24-20", DYNAMIC, 8000, 160, _g726(3, aal2=True), "ffmpeg"),
    _audio("aal2-32-20", DYNAMIC, 8000, 160, _g726(4, aal2=True), "ffmpeg"),
    _audio("aal2-40-20", DYNAMIC, 8000, 160, _g726(5, aal2=True), "ffmpeg"),
    _audio("codec2-3200", DYNAMIC, 8000, 320, _codec2(0, 2), "libcodec2-1.0"),
    _audio("codec2-1300", DYNAMIC, 8000, 640, _codec2(4, 2), "libcodec2-1.0"),
    _audio("red-opus", DYNAMIC, 48000, 960, _red(_OPUS_32, 111, 960), "libopus0"),
    _audio("red-pcmu", DYNAMIC, 8000, 160, _red(_PCMU_20, 0, 160), "ffmpeg"),
    Variant("event-20", "event", DYNAMIC, _events, "own", ("digits",)),
    Variant("t140-300", "t140", DYNAMIC, _text, "own", ("text",)),
    Variant("red-t140", "red", DYNAMIC, _text_red, "own", ("text",)),
)

VIDEO: Sequence[Variant] = (
    _film(
        "h264-x264",
        "x264enc tune=zerolatency speed-preset=veryfast bitrate=800 key-int-max=50",
        "rtph264pay mtu=1200 config-interval=-1",
        "gstreamer1.0-plugins-ugly",
    ),
    _film(
        "h264-x264zero",
        "x264enc tune=zerolatency speed-preset=veryfast bitrate=400 sliced-threads=false",
        "rtph264pay mtu=1200 aggregate-mode=zero-latency",
        "gstreamer1.0-plugins-ugly",
    ),
    _film(
        "h264-openh264",
        "openh264enc bitrate=600000 gop-size=50",
        "rtph264pay mtu=1200 aggregate-mode=zero-latency",
        "gstreamer1.0-plugins-bad",
    ),
    _film(
        "h265-x265",
        "x265enc tune=zerolatency speed-preset=ultrafast bitrate=600 key-int-max=50",
        "rtph265pay mtu=1200 config-interval=-1",
        "gstreamer1.0-plugins-bad",
    ),
    _film("vp8-15bit", f"vp8enc {_VPX}", "rtpvp8pay mtu=1200 picture-id-mode=2", "gstreamer1.0-plugins-good"),
    _film("vp8-plain", f"vp8enc {_VPX}", "rtpvp8pay mtu=1200 picture-id-mode=0", "gstreamer1.0-plugins-good"),
    _film("vp9-15bit", f"vp9enc {_VPX}", "rtpvp9pay mtu=1200 picture-id-mode=2", "gstreamer1.0-plugins-good"),
    _film("h263p-400", "avenc_h263p bitrate=400000", "rtph263ppay mtu=1200", "gstreamer1.0-libav"),
    _film("mp4v-500", "avenc_mpeg4 bitrate=500000", "rtpmp4vpay mtu=1200", "gstreamer1.0-libav"),
    _film("jpeg-60", "jpegenc quality=60", "rtpjpegpay mtu=1200", "gstreamer1.0-plugins-good", 26),
    _film("jpeg-30", "jpegenc quality=30", "rtpjpegpay mtu=1200", "gstreamer1.0-plugins-good", 26),
    _av1_film("av1-svt", "libsvtav1", "-preset", "12", "-b:v", "500k", "-g", "50"),
    _av1_film("av1-aom", "libaom-av1", "-usage", "realtime", "-cpu-used", "8", "-b:v", "400k", "-g", "80"),
)

VARIANTS: tuple[Variant, ...] = (*FIXED, *NEGOTIATED, *VIDEO)
