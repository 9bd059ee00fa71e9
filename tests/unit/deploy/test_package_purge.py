"""What the purge of a Debian package deletes: the sensor's own files, and no evidence."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

from sensor.ledger.layout import CHECKPOINT, NOTE, PACKED, STAMP, SUMS, TEXT, Segment
from sensor.state import baseline, findings, keys

SCRIPT = Path(__file__).parents[3] / "deploy" / "package" / "scripts" / "deb-postremove.sh"
DAY = Segment(3, "20260301")
LEDGER = {CHECKPOINT, *map(DAY.file, (TEXT, PACKED, SUMS, NOTE, STAMP))}
STATE = {baseline.NAME, findings.NAME, f"{findings.NAME}-wal", keys.NAME}


def purge(root: Path) -> None:
    """Run the script on a tree of its own; what it does to users and services is done to nobody."""
    commands = root / "commands"
    commands.mkdir()
    for name, status in {"getent": 1, "userdel": 1, "groupdel": 1, "systemctl": 1, "chown": 0}.items():
        (commands / name).write_text(f"#!/bin/sh\nexit {status}\n")
        (commands / name).chmod(0o755)
    script = re.sub(r"(?<!\w)/(?=(etc|run|var)/)", f"{root}/", SCRIPT.read_text())
    environment = os.environ | {"PATH": f"{commands}:{os.environ['PATH']}"}
    subprocess.run(["sh", "-c", script, "postrm", "purge"], check=True, timeout=30, env=environment)


def test_ledger_in_any_directory_and_evidence_outlive_a_purge_and_the_state_does_not(tmp_path: Path) -> None:
    state = tmp_path / "var/lib/legwatch"
    kept = {state / place / name for place in ("audit", "span0/ledger", ".") for name in LEDGER}
    kept |= {state / "legwatch-evidence-1.pcapng", state / "ledger/of-the-operator"}
    gone = {state / place / name for place in ("span0", ".", "empty") for name in STATE}
    for path in kept | gone:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    purge(tmp_path)
    assert {path for path in state.rglob("*") if path.is_file()} == kept
    assert not (state / "empty").exists()
