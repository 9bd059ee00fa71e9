"""``python -m tests.fuzz TARGET --seconds N``: coverage-guided fuzzing of the core by libFuzzer, through atheris.

Build the core for it first, in a copy of the repository: ``CC=clang FASTPATH_FUZZ=1 make ext``, and
``.venv/bin/pip install atheris dpkt hypothesis pytest``. Run it with ``ASAN_OPTIONS=detect_leaks=0`` and
``LD_PRELOAD=.venv/lib/python3.*/site-packages/asan_with_fuzzer.so``. New inputs go to the work folder; what is worth
keeping of them is put into ``tests/fuzz/corpus`` by ``--merge``, and replayed by the tests.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from tests.fuzz import seeds
from tests.fuzz.targets import TARGETS

CORPUS = Path(__file__).with_name("corpus")


def main() -> None:
    """Fuzz one target until its time is over or something breaks."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description="fuzz one target")
    parser.add_argument("target", choices=TARGETS)
    parser.add_argument("--seconds", type=int, default=600)
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "legwatch-fuzz")
    parser.add_argument("--merge", action="store_true", help="keep what adds coverage in tests/fuzz/corpus")
    arguments, own = parser.parse_known_args()  # what libFuzzer calls itself with is its own
    import atheris  # noqa: PLC0415  (needed by nobody else)

    found, kept = arguments.work / arguments.target, CORPUS / arguments.target
    launcher = arguments.work / f"{arguments.target}.sh"
    if not own:
        seeds.write(arguments.work)
        kept.mkdir(parents=True, exist_ok=True)
        launcher.write_text(f'#!/bin/sh\nexec {sys.executable} -m tests.fuzz {arguments.target} "$@"\n')
        launcher.chmod(0o755)
        own = [f"-max_total_time={arguments.seconds}", "-timeout=10"]
        if arguments.merge:  # runs itself once more, by its name
            own = ["-merge=1"]
        own += ["-max_len=4096", *map(str, (kept, found) if arguments.merge else (found, kept))]
    atheris.Setup([str(launcher), *own], TARGETS[arguments.target])
    atheris.Fuzz()


if __name__ == "__main__":
    main()
