"""Codecs by family, and the tables without one of them."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from types import MappingProxyType

from benchmarks.media import VARIANTS, Variant
from benchmarks.tables import layout
from fastpath.engine import shipped_tables
from fastpath.verdict import Tables

# Names of codecs, up to the first hyphen.
UNKNOWN: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "G.729": ("g729",),
        "G.723.1": ("g723",),
        "iLBC": ("ilbc",),
        "GSM": ("gsm",),
        "G.726": ("g726", "aal2"),
        "Speex": ("speex", "speexwb"),
        "AMR": ("amr", "amrwb"),
        "Opus": ("opus",),
        "CN": ("cn",),
        "MPEG-4": ("mp4v",),
        "H.26x": ("h263p", "h264", "h265"),
        "VP8/9": ("vp8", "vp9"),
    }
)

PCM = ("pcmu", "pcma", "g722", "g726", "aal2", "l16")
HEADED = ("amr", "amrwb", "opus", "h263p", "h264", "h265", "vp8", "vp9", "av1", "jpeg", "mp4v")
PARAMETRIC = ("g729", "ilbc", "g723")
LAWLESS = ("g729", "g723", "ilbc", "codec2", "cn")  # frames with next to nothing in them that repeats


def stem(codec: str) -> str:
    """Return a codec's name up to the first hyphen."""
    return codec.partition("-")[0]


def variants(stems: tuple[str, ...]) -> list[Variant]:
    """Return the variants of some codecs."""
    return [variant for variant in VARIANTS if stem(variant.codec) in stems]


@cache
def without(family: str) -> Tables:
    """Return the shipped tables without those of a family."""
    tables = layout.unpack(shipped_tables().blob)
    return Tables(layout.pack([table for table in tables if stem(table.codec) not in UNKNOWN[family]]))
