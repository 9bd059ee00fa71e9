"""Media of real encoders, for training and for measuring: declared contents, declared codecs, streams of packets.

    from benchmarks.media import VARIANTS, streams
    for stream in streams("test", codec="g729"):
        for marker, timestamp, payload in stream.packets(): ...

``python -m benchmarks.tables make-media`` makes them, in a folder outside the repository: ``$LEGWATCH_MEDIA``, or
``legwatch-media`` in the temporary directory.
"""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.media import container
from benchmarks.media.codecs import VARIANTS, Variant
from benchmarks.media.container import Packet
from benchmarks.media.contents import CONTENTS, Content, Split

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["CONTENTS", "VARIANTS", "Content", "Packet", "Split", "Stream", "Variant", "cache", "streams"]


def cache() -> Path:
    """Return the folder that holds the media."""
    return Path(os.environ.get("LEGWATCH_MEDIA") or Path(tempfile.gettempdir(), "legwatch-media"))


@dataclass(frozen=True)
class Stream:
    """One content encoded by one variant of a codec."""

    variant: Variant
    content: Content

    @property
    def path(self) -> Path:
        """Where the packets are, or will be."""
        return cache() / "streams" / self.variant.name / f"{self.content.name}.lws"

    def packets(self) -> Iterator[Packet]:
        """Yield the packets in sending order."""
        return container.read(self.path)

    def make(self) -> int:
        """Encode the content; return the number of packets. Nothing is done when the file is there."""
        if self.path.exists():
            return 0
        return container.write(self.path, self.variant.encode(self.content))


def streams(split: Split | None = None, codec: str | None = None, *, made: bool = True) -> Iterator[Stream]:
    """Yield the streams of one side of the split (None: both) and one codec (None: all), in the declared order.

    Args:
        split: the side of the split.
        codec: name of a codec or of a variant of it.
        made: leave out the streams that have not been made.
    """
    for variant in VARIANTS:
        for content in CONTENTS:
            stream = Stream(variant, content)
            wanted = variant.takes(content) and split in (None, content.split)
            if wanted and codec in (None, variant.codec, variant.name) and (stream.path.exists() or not made):
                yield stream
