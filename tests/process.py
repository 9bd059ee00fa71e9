"""The program as a process of its own: what gives up rights, or confines itself, must not do so to the test run."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
LEGWATCH = (sys.executable, "-m", "sensor")
# A test run by root has its files where no other user may look. Capabilities go all the same.
STAY_ROOT = ("--user", "root")


def run_to_end(*arguments: str, within: tuple[str, ...] = ()) -> tuple[int, str]:
    """Run legwatch, perhaps ``within`` another command, to its end; return exit status and standard error."""
    done = subprocess.run(
        [*within, *LEGWATCH, *arguments],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.returncode, done.stderr
