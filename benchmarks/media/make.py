"""Make every stream that is declared and not there yet."""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from typing import TYPE_CHECKING

from benchmarks.media import CONTENTS, VARIANTS, Content, Stream
from benchmarks.media.programs import ProgramError

if TYPE_CHECKING:
    from collections.abc import Iterator


def _encode(content: Content) -> list[str]:
    """Encode one content by every variant that takes it; return what could not be done."""
    failures = []
    for variant in VARIANTS:
        if variant.takes(content):
            try:
                Stream(variant, content).make()
            except ProgramError as error:
                failures.append(f"{variant.name}/{content.name}: {error}")
    return failures


def _encode_at(index: int) -> list[str]:
    return _encode(CONTENTS[index])


def make(jobs: int) -> Iterator[str]:
    """Make the media by so many processes at once, and yield a line for each stream that could not be made."""
    with ProcessPoolExecutor(jobs) as pool:
        for failures in pool.map(_encode_at, range(len(CONTENTS))):
            yield from failures
