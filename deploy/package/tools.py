"""The programs that packages are made with."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def run(name: str, *arguments: str | Path, **told: str) -> str:
    """Run a program of the environment that builds, in the project's root; return what it prints.

    ``told`` is added to its environment. What a program says beside that is shown when it fails; raises
    subprocess.CalledProcessError.
    """
    programs = Path(sys.executable).parent
    # Some call others by name; argparse breaks lines for the terminal that it thinks it has.
    environment = os.environ | {"PATH": f"{programs}:{os.environ['PATH']}", "COLUMNS": "80"} | told
    command = (programs / name, *arguments)
    done = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True, env=environment)
    if done.returncode != 0:
        sys.stderr.write(done.stdout + done.stderr)
    done.check_returncode()
    return done.stdout
