"""Planted numbers, names, digits, keys and texts appear in no output."""

import subprocess
import sys
from pathlib import Path

import pytest

from deploy.demo.wire import write_pcap
from tests.canaries import CALL_ID, SECRETS, frames

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def capture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("canaries") / "call.pcap"
    write_pcap(path, frames())
    return path


def scan(*arguments: str | Path) -> str:
    """Everything that a scan prints, to people and to programs."""
    done = subprocess.run(
        [sys.executable, "-m", "sensor", "scan", *arguments], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1, done.stderr
    return done.stdout + done.stderr


def leaks(text: str) -> list[str]:
    """The secrets that stand in a text, case and punctuation between digits aside."""
    plain = text.lower()
    bare = "".join(character for character in plain if character.isalnum())
    return [
        secret
        for secret in SECRETS
        if secret.lower() in plain or "".join(character for character in secret.lower() if character.isalnum()) in bare
    ]


@pytest.mark.parametrize("arguments", [(), ("--json",)], ids=["people", "json"])
def test_scan_of_planted_secrets_prints_none(capture: Path, arguments: tuple[str, ...]) -> None:
    assert leaks(scan(*arguments, capture)) == []


@pytest.mark.parametrize("code", ["media-clear", "sdes-key-exposed", "signalling-clear"])
def test_planted_call_was_understood(capture: Path, code: str) -> None:
    """Without this the test above could pass because nothing was read."""
    assert code in scan("--json", capture)


def test_revealed_identities_are_found_by_the_same_look(capture: Path) -> None:
    assert CALL_ID in leaks(scan("--json", "--reveal-identities", capture))
