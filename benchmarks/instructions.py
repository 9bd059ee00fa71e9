"""Instructions a packet of the packet core, against those of the floor: ``python -m benchmarks.instructions``.

Time is noisy; how many instructions a program takes for the same input is not. Both run under callgrind (valgrind), the
core only while it takes a batch of packets, on the same generated capture. Their ratio is held against the recorded
one; three percent more fails. Another compiler makes other code, so that its ratio is held against the nearest one
more loosely, until ``--record`` adds it.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks import generate
from benchmarks.inputs import MissingToolError
from benchmarks.measured import ROOT

RECORD = Path(__file__).with_name("instructions.json")
MORE = 0.03
MORE_OTHERWISE = 0.15  # by a compiler that is not recorded
CALLS, PACKETS = 50, 400

_COLLECTED = re.compile(r"Collected : (\d+)")
_CORE = (sys.executable, "-c", "import sys; from benchmarks.instructions import take_all; take_all(sys.argv[1])")


def take_all(path: str) -> None:
    """Give every packet of a capture to an engine, always with the same hashes: what callgrind counts."""
    from fastpath.engine import Engine  # noqa: PLC0415  (of the program that is counted only)
    from fastpath.source import PcapFile  # noqa: PLC0415

    engine, source = Engine(secret=bytes(48)), PcapFile(path)
    while engine.process(source) > 0:
        engine.drain()


def counted(*command: str, only: str = "") -> int:
    """Return the instructions of a program, or those within functions of a name. Raises MissingToolError."""
    if shutil.which("valgrind") is None:
        message = "no valgrind: instructions cannot be counted"
        raise MissingToolError(message)
    with tempfile.TemporaryDirectory() as folder:
        options = ["--tool=callgrind", f"--callgrind-out-file={folder}/out"]
        options += [f"--toggle-collect=*{only}*"] if only else []
        done = subprocess.run(
            ["valgrind", *options, *command],
            cwd=ROOT,
            env=os.environ | {"PYTHONHASHSEED": "0"},
            capture_output=True,
            text=True,
            check=True,
        )
    found = _COLLECTED.search(done.stderr)
    if found is None:
        message = f"valgrind said: {done.stderr[-400:]}"
        raise RuntimeError(message)
    return int(found[1])


def compiler() -> str:
    """Return what makes the code: compiler, its major version, and the processor's architecture."""
    said = subprocess.run(("cc", "-dumpversion"), capture_output=True, text=True, check=True).stdout
    return f"cc {said.partition('.')[0].strip()} {platform.machine()}"


def measure() -> tuple[int, int]:
    """Return the instructions of core and floor for one capture."""
    with tempfile.TemporaryDirectory() as folder:
        capture, floor = Path(folder, "calls.pcap"), Path(folder, "floor")
        generate.write(capture, CALLS, PACKETS, stagger_s=0.01)
        # No instruction that only this processor has: valgrind knows fewer, and so does the core.
        subprocess.run(("cc", "-O2", "-w", "-o", floor, ROOT / "benchmarks" / "floor.c"), check=True)
        return counted(*_CORE, str(capture), only="take_batch"), counted(str(floor), str(capture))


def allowed(ratios: dict[str, float], made_by: str) -> float:
    """Return the ratio that a compiler's code may have at most."""
    if made_by in ratios:
        return ratios[made_by] * (1 + MORE)
    return max(ratios.values()) * (1 + MORE_OTHERWISE)


def main() -> int:
    """Count, and compare with the record; 1 when there are more, 2 when something is missing."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.instructions", description="instructions a packet")
    parser.add_argument("--record", action="store_true", help="make what is counted now the record of this compiler")
    arguments = parser.parse_args()
    ratios: dict[str, float] = json.loads(RECORD.read_text()) if RECORD.exists() else {}
    made_by = compiler()
    try:
        core, floor = measure()
    except MissingToolError as error:
        print(error, file=sys.stderr)
        return 2
    packets, ratio = 2 * CALLS * PACKETS, core / floor
    print(f"{made_by}: core {core / packets:.0f}, floor {floor / packets:.0f} instructions a packet, ratio {ratio:.3f}")
    if arguments.record:
        RECORD.write_text(json.dumps(ratios | {made_by: round(ratio, 4)}, indent=1) + "\n")
        return 0
    most = allowed(ratios, made_by)
    if ratio > most:
        print(f"more than {most:.3f}: make it cheaper, or say in the commit what it is worth and record it anew")
        return 1
    print(f"at most {most:.3f} is allowed")
    return 0


if __name__ == "__main__":
    sys.exit(main())
