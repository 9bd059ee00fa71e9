"""The packet core takes no more instructions than it is recorded to."""

import subprocess
import sys

import pytest

from tests.live.lab import ROOT

pytestmark = pytest.mark.live


def test_core_takes_no_more_instructions_than_recorded() -> None:
    command = (sys.executable, "-m", "benchmarks.instructions")
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
