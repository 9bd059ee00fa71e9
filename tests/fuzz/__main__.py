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
    arguments = parser.parse_args()
    import atheris  # noqa: PLC0415  (needed by nobody else)

    seeds.write(arguments.work)
    found, kept = arguments.work / arguments.target, CORPUS / arguments.target
    kept.mkdir(parents=True, exist_ok=True)
    options = (
        ["-merge=1", str(kept), str(found)]
        if arguments.merge
        else [f"-max_total_time={arguments.seconds}", "-max_len=8192", "-timeout=10", str(found), str(kept)]
    )
    atheris.Setup([sys.argv[0], *options], TARGETS[arguments.target])
    atheris.Fuzz()


if __name__ == "__main__":
    main()
