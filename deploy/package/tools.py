"""The programs that packages are made with."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def run(name: str, *arguments: str | Path, **told: str) -> str:
    """Run a program of the environment that builds, in the project's root; return what it prints.

    ``told`` is added to its environment. Raises subprocess.CalledProcessError; what is wrong went to standard error.
    """
    programs = Path(sys.executable).parent
    # Some call others by name; argparse breaks lines for the terminal that it thinks it has.
    environment = os.environ | {"PATH": f"{programs}:{os.environ['PATH']}", "COLUMNS": "80"} | told
    command = (programs / name, *arguments)
    return subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True, env=environment).stdout
