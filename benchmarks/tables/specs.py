"""Every table in one list: what it is trained on, which payloads it applies to, and what it predicts from."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from benchmarks.tables.layout import Kind, OctetContext

if TYPE_CHECKING:
    from benchmarks.media.contents import Kind as ContentKind

Aim = Literal["average", "worst", "certain"]
Symmetry = Literal["none", "mirrored", "signless"]
_ALL: tuple[ContentKind, ...] = ("speech", "music", "noise", "loud", "tone", "silence", "digits", "text", "film")
_LOUD: tuple[ContentKind, ...] = ("loud",)


@dataclass(frozen=True)
class Spec:
    """One table to be trained; the fields that ``layout.Table`` has too mean the same.

    Attributes:
        name: at most 15 characters; the codec before "~".
        variants: names of the media variants it learns from.
        kinds: kinds of the contents it learns from.
        aim: "average" predicts the contents taken together; "worst" has the greatest gain on the content that gains
            least, which is what carries to contents never seen; "certain" predicts only what holds in every stream
            whatever the content, such as a parity bit.
        rare: gets the smaller weight among the tables of dynamic payload types.
        symmetry: "mirrored": a negated sound is as likely as the sound, and negation flips the first bit of an octet;
            "signless": the first bits are left out altogether, of the symbol and of its context.
        worthwhile: bits that a context must gain a visit.
    """

    name: str
    payload_type: int
    variants: tuple[str, ...]
    kind: Kind = Kind.BIT
    context: int = 6
    frame_octets: int = 0
    min_octets: int = 9
    max_octets: int = 1500
    period_bits: int = 0
    cap: int = 96
    by_frame: bool = False
    kinds: tuple[ContentKind, ...] = _ALL
    aim: Aim = "average"
    rare: bool = False
    symmetry: Symmetry = "none"
    worthwhile: float = 0.006


def _sampled(codec: str, payload_type: int, variant: str, *, signed: bool) -> tuple[Spec, ...]:
    """Return the tables of a codec of one octet a sample: all sounds, the least favourable, almost flat loud noise.

    Where the first bit is the sign, the least favourable sound is best told by its levels alone: what follows which
    sign depends on the spectrum, and that of a modem is none that speech would teach.
    """

    def spec(
        suffix: str,
        context: OctetContext,
        symmetry: Symmetry,
        aim: Aim = "average",
        kinds: tuple[ContentKind, ...] = _ALL,
    ) -> Spec:
        return Spec(
            codec + suffix,
            payload_type,
            (variant,),
            Kind.OCTET,
            context,
            min_octets=20,
            kinds=kinds,
            aim=aim,
            symmetry=symmetry,
        )

    worst = spec("~worst", OctetContext.NOTHING, "none", "worst")
    if signed:
        worst = spec("~worst", OctetContext.NIBBLE, "signless", "worst")
    return (
        spec("", OctetContext.NIBBLE, "mirrored" if signed else "none"),
        worst,
        spec("~loud", OctetContext.NOTHING, "mirrored" if signed else "none", kinds=_LOUD),
    )


def _framed(
    codec: str,
    payload_type: int,
    octets: int,
    *variants: str,
    context: int = 4,
    frames: int = 1,
    most: int = 6,
    mode: str = "",
    last: Aim = "worst",
) -> tuple[Spec, ...]:
    """Return the tables of a codec of fixed frames: speech and music, other sounds, and what carries to any sound.

    ``mode`` tells the names of several such sets of one codec apart.

    ``frames`` of a payload are scored, and ``most`` are expected in one.
    """

    def spec(purpose: str, aim: Aim, kinds: tuple[ContentKind, ...]) -> Spec:
        return Spec(
            f"{codec}~{mode}{purpose}".rstrip("~"),
            payload_type,
            variants,
            frame_octets=octets,
            min_octets=octets,
            max_octets=most * octets + 20,
            period_bits=8 * octets,
            cap=8 * octets * frames,
            aim=aim,
            kinds=kinds,
            context=min(context, 4) if purpose == "noise" else context,
            rare=True,
        )

    return (
        spec("", "average", ("speech", "music")),
        spec("noise", "average", ("noise", "loud", "tone", "silence")),
        spec(last, last, _ALL),
    )


def _packed(codec: str, bits: int, variant: str, payload_type: int = -1, mode: str = "") -> tuple[Spec, ...]:
    """Return the tables of a codec whose samples of a few bits fill octets without a frame (G.726)."""
    period = math.lcm(8, bits)

    def spec(purpose: str, aim: Aim) -> Spec:
        return Spec(
            f"{codec}~{mode}{purpose}".rstrip("~"),
            payload_type,
            (variant,),
            min_octets=20,
            context=8 if 8 % bits == 0 else 6,
            max_octets=400,
            period_bits=period,
            cap=480,
            aim=aim,
            rare=True,
        )

    return (spec("", "average"), spec("worst", "worst"))


def _headed(
    name: str,
    *variants: str,
    min_octets: int,
    max_octets: int = 1500,
    cap: int = 96,
    aim: Aim = "average",
) -> Spec:
    """Return the table of a codec of variable length whose first octets tell most."""
    return Spec(
        name,
        -1,
        variants,
        context=5,
        min_octets=min_octets,
        max_octets=max_octets,
        period_bits=cap,
        cap=cap,
        aim=aim,
    )


def _video(codec: str, *variants: str, payload_type: int = -1, cap: int = 64) -> Spec:
    """Return the two tables of a video codec: how the first payload of a picture begins, and how the others do."""
    return Spec(codec, payload_type, variants, context=4, min_octets=4, period_bits=cap, cap=cap, by_frame=True)


def _gsm(payload_type: int, mode: str = "") -> tuple[Spec, ...]:
    return _framed("gsm", payload_type, 33, "gsm-20", mode=mode)


def _g723(payload_type: int, mode: str = "") -> tuple[Spec, ...]:
    return _framed("g723", payload_type, 24, "g723-30", context=5, mode=mode)


def _g729(payload_type: int, mode: str = "") -> tuple[Spec, ...]:
    variants = ("g729-20", "g729-10", "g729-annexb")
    return _framed("g729", payload_type, 10, *variants, context=8, frames=3, most=12, mode=mode, last="certain")


STATIC: tuple[Spec, ...] = (
    *_sampled("pcmu", 0, "pcmu-20", signed=True),
    *_packed("g726-32", 4, "g726-32-20", 2, mode="pt2"),
    *_gsm(3),
    *_g723(4),
    *_sampled("pcma", 8, "pcma-20", signed=True),
    *_sampled("g722", 9, "g722-20", signed=False),
    Spec("cn", 13, ("cn-10",), context=5, min_octets=5, max_octets=31, period_bits=88, cap=88),
    Spec("cn~worst", 13, ("cn-10",), context=5, min_octets=5, max_octets=31, period_bits=88, cap=88, aim="worst"),
    Spec("cn~level", 13, ("cn-0",), min_octets=1, max_octets=4, period_bits=8, cap=8, aim="worst"),
    *_g729(18),
    Spec("g729~sid", 18, ("g729-annexb",), min_octets=2, max_octets=2, period_bits=16, cap=16),
    _video("jpeg", "jpeg-60", "jpeg-30", payload_type=26, cap=96),
)
_OPUS_SILK = ("opus-nb12", "opus-wb20", "opus-16nb60", "opus-24nb40", "opus-24dtx")
_OPUS_HYBRID = ("opus-32", "opus-32cbr")
_OPUS_CELT = ("opus-64audio", "opus-128stereo", "opus-48low10")
# The sensor tries the tables of dynamic types in this order, a few at a time: the likely codecs come first.
DYNAMIC: tuple[Spec, ...] = (
    _headed("opus", *_OPUS_SILK, min_octets=3, cap=64),
    _headed("opus~hybrid", *_OPUS_HYBRID, min_octets=3, cap=64),
    _headed("opus~celt", *_OPUS_CELT, min_octets=3, cap=64),
    _headed("opus~worst", *_OPUS_SILK, *_OPUS_HYBRID, *_OPUS_CELT, min_octets=3, cap=64, aim="worst"),
    # These have static types, where all their tables are asked. On others one has to be contradicted: what holds of any
    # sound, for their structure is none that a generic expert would see in time.
    *_g729(-1, "dyn")[-1:],
    *_gsm(-1, "dyn")[-1:],
    *_g723(-1, "dyn")[-1:],
    Spec("event", -1, ("event-20",), frame_octets=4, min_octets=4, max_octets=24, period_bits=32, cap=32),
    _headed("amrwb", "amrwb-2385be", "amrwb-1265be", "amrwb-1265dtx", "amrwb-660be", min_octets=6, max_octets=140),
    _headed("amrwb~aligned", "amrwb-1265oa", "amrwb-660oa", min_octets=6, max_octets=140),
    _headed("amr", "amr-122be", "amr-122dtx", "amr-74be", "amr-59be", "amr-475be", min_octets=6, max_octets=90),
    _headed("amr~aligned", "amr-122oa", "amr-795oa", "amr-475oa", min_octets=6, max_octets=90),
    _headed("red", "red-opus", "red-pcmu", "red-t140", min_octets=4, cap=64),
    _video("h264", "h264-x264", "h264-x264zero", "h264-openh264"),
    _video("vp8", "vp8-15bit", "vp8-plain"),
    _video("h265", "h265-x265"),
    _video("vp9", "vp9-15bit"),
    _video("av1", "av1-svt", "av1-aom"),
    *_framed("ilbc", -1, 38, "ilbc-20", most=3),
    *_framed("ilbc", -1, 50, "ilbc-30", most=2, mode="30"),
    _headed("speex", "speex-nb8", "speex-nb4", min_octets=15, max_octets=120),
    _headed("speex~worst", "speex-nb8", "speex-nb4", min_octets=15, max_octets=120, aim="worst"),
    _headed("speexwb", "speexwb-6", "speexwb-8", min_octets=20, max_octets=160),
    _headed("speexwb~worst", "speexwb-6", "speexwb-8", min_octets=20, max_octets=160, aim="worst"),
    *_packed("g726-32", 4, "g726-32-20"),
    *_packed("aal2-32", 4, "aal2-32-20"),
    *_packed("g726-16", 2, "g726-16-20"),
    *_packed("g726-24", 3, "g726-24-20"),
    *_packed("g726-40", 5, "g726-40-20"),
    *_packed("aal2-16", 2, "aal2-16-20"),
    *_packed("aal2-24", 3, "aal2-24-20"),
    *_packed("aal2-40", 5, "aal2-40-20"),
    _video("h263p", "h263p-400"),
    _video("mp4v", "mp4v-500"),
    Spec("l16", -1, ("l16-8k", "l16-16k"), Kind.OCTET, OctetContext.BIG_ENDIAN_16, 2, 80, rare=True),
    Spec("l16~worst", -1, ("l16-8k", "l16-16k"), Kind.OCTET, OctetContext.BIG_ENDIAN_16, 2, 80, aim="worst", rare=True),
    *_framed("codec2", -1, 8, "codec2-3200", frames=2),
    *_framed("codec2", -1, 7, "codec2-1300", frames=2, mode="1300"),
    Spec("t140", -1, ("t140-300",), context=8, min_octets=1, max_octets=64, period_bits=8, cap=160, rare=True),
)
SPECS: tuple[Spec, ...] = (*STATIC, *DYNAMIC)
