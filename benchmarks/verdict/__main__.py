"""``python -m benchmarks.verdict``: the table of what the verdict reaches, from the project's own media.

Needs the test contents of ``python -m benchmarks.tables make-media``; the null simulation and the negatives do not.
The exit status is 0 when every floor was kept, 1 when not, 2 when something is missing.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor
from dataclasses import dataclass

from benchmarks import media
from benchmarks.verdict import clear, cost, lies, negatives, null, protected, unknown, watching
from benchmarks.verdict.report import HEADING, Row

NICE = 10
ALL = 1 << 30


@dataclass(frozen=True, slots=True)
class Options:
    """How much is measured."""

    streams: int
    quick: bool
    seed: int

    def size(self, quick: int, thorough: int = ALL) -> int:
        """Return one of two sizes."""
        return quick if self.quick else thorough


Section = Callable[[Executor, Options], Iterator[Row]]
SECTIONS: Mapping[str, Section] = {
    "null": lambda pool, options: null.rows(pool, options.streams, options.seed),
    "srtp": lambda pool, options: protected.rows(pool, options.size(1, 6), options.seed),
    "clear": lambda pool, options: clear.rows(pool, options.size(6), options.size(2, 8), options.size(4)),
    "unknown": lambda pool, options: unknown.rows(pool, options.size(6), options.size(1, 4)),
    "lies": lambda pool, options: lies.rows(pool, options.size(2, 8), 2),
    "null-cipher": lambda pool, options: protected.null_rows(pool, options.size(2), options.seed),
    "watch": lambda pool, options: watching.rows(pool, options.size(1, 6), options.seed),
    "negatives": lambda pool, options: negatives.rows(pool, options.size(200, 5000), options.seed),
    "cost": lambda pool, options: cost.rows(pool, options.size(2, 7)),
}
MEDIA_FREE = ("null", "negatives")


def _polite() -> None:
    os.nice(NICE)


def measure(names: Sequence[str], options: Options, jobs: int) -> bool:
    """Print the rows of some sections; return whether all floors were kept."""
    kept = True
    print(HEADING, flush=True)
    with ProcessPoolExecutor(jobs, initializer=_polite) as pool:
        for name in names:
            begin = time.monotonic()
            for row in SECTIONS[name](pool, options):
                kept = kept and row.kept
                print(row, flush=True)
            print(f"({name}: {time.monotonic() - begin:.0f} s)", file=sys.stderr, flush=True)
    return kept


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return its exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.verdict", description="Measure the verdict.")
    parser.add_argument("--quick", action="store_true", help="a part of everything, in about a minute")
    parser.add_argument("--streams", type=int, metavar="N", help="ciphertext streams to simulate (10^6; quick 10^5)")
    parser.add_argument("--only", action="append", choices=SECTIONS, metavar="SECTION", help=", ".join(SECTIONS))
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=2, help="processes at once")
    given = parser.parse_args(arguments)
    names = given.only or list(SECTIONS)
    if any(name not in MEDIA_FREE for name in names) and next(media.streams("test"), None) is None:
        print(f"no media in {media.cache()}: python -m benchmarks.tables make-media", file=sys.stderr)
        return 2
    streams = given.streams or (100_000 if given.quick else 1_000_000)
    return 0 if measure(names, Options(streams, given.quick, given.seed), given.jobs) else 1


if __name__ == "__main__":
    sys.exit(main())
