"""``python -m tests.sanitizers [PYTEST ARGUMENTS]``: the core with every check of compiler and Cython, under test.

A copy of the project is built in ``build/sanitized``, so that the core in use stays as it is. There the corpora of the
fuzzers, the properties, the golden captures and the demo are run; what else there is, by its name. One report of a
sanitizer ends the run and fails it (status 1).
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
TREE = ROOT / "build" / "sanitized"
PARTS = ("fastpath", "sensor", "deploy", "benchmarks", "tests")
MADE = shutil.ignore_patterns("*.so", "__pycache__", *(f"{path.stem}.c" for path in (ROOT / "fastpath").glob("*.pyx")))
BUILD = ("-W", "ignore", "-c", "from setuptools import setup; setup()", "--quiet", "build_ext", "--inplace")
TESTS = (
    *(f"tests/property/test_{name}.py" for name in ("engine", "evidence", "floods", "fuzz_corpus", "scanners")),
    *(f"tests/golden/test_{name}.py" for name in ("account", "engines", "faults")),
    *(f"tests/unit/fastpath/test_{name}.py" for name in ("fragments", "sip", "source", "tls", "websocket", "wire")),
)
# Reads one octet more than a packet has. Unless that is the end of it, what is run is not the core that was built.
BEHIND = """
import ctypes
from fastpath.source import BufferSource, skip
packet = bytes(99)
source = BufferSource([(0, packet)])
skip(source, 1)
ctypes.string_at(id(packet) + bytes.__basicsize__ - 1, len(packet) + 1)
"""
FINDINGS = 1  # the exit status of a scan that found something
REPORTED = -signal.SIGABRT  # the exit status of what a sanitizer ended


def environment() -> dict[str, str]:
    """Return the environment in which an error ends the process with status ``REPORTED``.

    Leaks end nothing: interpreters and other packages leave some, so ``reports`` picks out those of the core.
    """
    compiler = os.environ.get("CC", "gcc")
    found = subprocess.run([compiler, "-print-file-name=libasan.so"], capture_output=True, text=True, check=True)
    return os.environ | {
        "LD_PRELOAD": found.stdout.strip(),
        # Freed memory that is kept back counts as the process's own, which tests of memory look at.
        "ASAN_OPTIONS": "abort_on_error=1:detect_stack_use_after_return=1:quarantine_size_mb=16",
        "LSAN_OPTIONS": "exitcode=0",
        "UBSAN_OPTIONS": "abort_on_error=1:print_stacktrace=1",
        "PYTHONMALLOC": "malloc",  # each object in a block of its own, with forbidden octets around it
    }


def reports(stderr: str, module: str = "/fastpath/") -> list[str]:
    """Return what sanitizers wrote to standard error; of leaks those that a file of this path allocated."""
    parts = stderr.split("\n\n")
    errors = [part for part in parts if ": runtime error: " in part or "ERROR: AddressSanitizer" in part]
    return errors + [part for part in parts if "leak of" in part and module in part]


def build() -> None:
    """Copy the project and compile its core there."""
    shutil.rmtree(TREE, ignore_errors=True)
    for part in PARTS:
        shutil.copytree(ROOT / part, TREE / part, ignore=MADE)
    shutil.copy(ROOT / "pyproject.toml", TREE)
    parallel = f"--parallel={os.cpu_count()}"
    subprocess.run([sys.executable, *BUILD, parallel], cwd=TREE, env=os.environ | {"FASTPATH_DEBUG": "1"}, check=True)


def run(*command: str, stdout: int | None = None) -> tuple[int, list[str]]:
    """Run Python on the core that was built; return the exit status and what sanitizers reported."""
    errors = TREE / "stderr"
    with errors.open("wb") as stderr:
        done = subprocess.run(
            [sys.executable, *command], cwd=TREE, env=environment(), stdout=stdout, stderr=stderr, check=False
        )
    return done.returncode, reports(errors.read_text(errors="replace"))


def main(arguments: list[str]) -> int:
    """Build, run the tests that are named, or those for every day and the demo; return the exit status."""
    build()
    status, found = run("-c", BEHIND)
    if status != REPORTED or not found:
        sys.stderr.write(f"the core in {TREE} reports nothing\n")
        return 1
    kept = True
    # With pytest's usual way of capturing, what a sanitizer says at the end would be lost.
    tests = ("-m", "pytest", "-p", "no:cacheprovider", "--capture=sys", *(arguments or TESTS))
    demo = ("-m", "sensor", "scan", "deploy/demo/clinic.pcap")
    for command, stdout, expected in ((tests, None, 0), (demo, subprocess.DEVNULL, FINDINGS)):
        status, found = run(*command, stdout=stdout)
        sys.stderr.write("\n\n".join([*found, ""]))
        kept &= status == expected and not found
    return int(not kept)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
