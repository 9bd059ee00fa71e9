"""Programs of the test extra that look at files, and what is asked of YAML."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]
TOOLS = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
# Of yamllint; cloud-init wants the first line as it is.
_RULES = "line-length: {max: 120}, document-start: disable, comments: {ignore: user-data.yml}"
STYLE = f"{{extends: default, rules: {{{_RULES}}}}}"


def run(tool: str, *arguments: str | Path, folder: Path = ROOT) -> None:
    """Run a linter; what it complains about is the failure's text."""
    path = shutil.which(tool, path=TOOLS)
    assert path, f"{tool} is not installed: make test does that"
    done = subprocess.run(
        [path, *arguments], cwd=folder, env=os.environ | {"PATH": TOOLS}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
