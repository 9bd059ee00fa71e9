"""Make the codec tables of fastpath from nothing but packages.

``python -m benchmarks.tables`` does all of it; its steps one by one are ``make-media`` (encode the declared contents,
once, some minutes), ``train`` (write fastpath/tables/tables.bin and manifest.json) and ``check`` (the bound, the delays
on test contents, ciphertext).
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks import media
from benchmarks.media.make import make
from benchmarks.tables import check, layout, manifest, train
from benchmarks.tables.specs import SPECS

if TYPE_CHECKING:
    from collections.abc import Sequence

TABLES = Path(__file__).parents[2] / "fastpath" / "tables"
CIPHER_STREAMS = 100_000


def _say(line: str) -> None:
    print(line, flush=True)


def make_media(jobs: int) -> int:
    """Encode what is not there yet; 1 if some of it could not be made."""
    failures = 0
    for line in make(jobs):
        _say(f"not made: {line}")
        failures += 1
    _say(f"media: {sum(1 for _ in media.streams())} streams in {media.cache()}")
    return int(failures > 0)


def write_tables(folder: Path) -> int:
    """Train every table, check the bound, and replace the files; 1 if a bound does not hold."""
    tables = train.weighted(SPECS, [train.train(spec) for spec in SPECS])
    wrong = layout.violations(tables)
    for line in wrong:
        _say(f"wrong: {line}")
    if wrong:
        return 1
    packed = layout.pack(tables)
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in (("tables.bin", packed), ("manifest.json", manifest.manifest(SPECS, tables, packed))):
        unfinished = folder / f".{name}.unfinished"
        unfinished.write_bytes(content)
        unfinished.rename(folder / name)
    _say(f"tables: {len(tables)} in {len(packed)} octets")
    return 0


def check_tables(folder: Path, cipher_streams: int) -> int:
    """Print what the tables can do; 1 if a bound does not hold or ciphertext passes."""
    tables = layout.unpack((folder / "tables.bin").read_bytes())
    wrong = layout.violations(tables)
    for line in wrong:
        _say(f"wrong: {line}")
    for line in check.report(tables):
        _say(line)
    lengths = check.ciphertext_lengths(tables)
    each = -(-cipher_streams // len(lengths))
    most = max(check.ciphertext(tables, payload_type, octets, each) for payload_type, octets in lengths)
    _say(f"ciphertext: at most {most:.1f} bits in {max(cipher_streams, check.CIPHER_CHUNK * len(lengths))} streams")
    return int(bool(wrong) or not check.passes(most))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return its exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.tables", description="Make the codec tables.")
    parser.add_argument("step", nargs="?", choices=("make-media", "train", "check"), help="one step; default: all")
    parser.add_argument("--tables", type=Path, default=TABLES, metavar="FOLDER", help="where the tables are")
    parser.add_argument("--jobs", type=int, default=2, help="encoders at once")
    parser.add_argument("--cipher-streams", type=int, default=CIPHER_STREAMS, help="streams of ciphertext to try")
    options = parser.parse_args(arguments)
    status = 0
    if options.step in (None, "make-media"):
        status |= make_media(options.jobs)
    if options.step in (None, "train"):
        status |= write_tables(options.tables)
    if options.step in (None, "check"):
        status |= check_tables(options.tables, options.cipher_streams)
    return status


if __name__ == "__main__":
    sys.exit(main())
