"""The soak, a short one: what has to stay flat stays so, with everything that disturbs."""

import re
import subprocess
import sys

import pytest

from tests.live.lab import ROOT

pytestmark = pytest.mark.live

GATES = {
    "memory", "descriptors", "threads", "account", "legs", "wrong verdicts", "no verdict", "scrapes", "status",
    "reloads", "sink webhook", "sink file", "end",
}  # fmt: skip


def test_sensor_under_mixed_traffic_keeps_every_gate() -> None:
    command = (sys.executable, "-m", "benchmarks.soak", "--minutes", "1")
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert set(re.findall(r"^  kept    (\w+(?: \w+)?) ", done.stdout, re.MULTILINE)) == GATES
