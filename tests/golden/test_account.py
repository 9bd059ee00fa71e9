"""The packet account adds up exactly, on every capture there is."""

import json
from pathlib import Path

import pytest

from sensor.cli import main

ROOT = Path(__file__).parents[2]
SHARED = ROOT.parent / "shared"
SUFFIXES = {".pcap", ".pcapng", ".cap"}


def captures(*folders: Path) -> list[Path]:
    """Every capture below the folders."""
    return sorted(path for folder in folders for path in folder.rglob("*") if path.suffix in SUFFIXES)


def account(capture: Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, int] | None:
    """How many packets were received, and of how many it is told what became of them; None for no capture."""
    status = main(["scan", "--json", str(capture)])
    lines = capsys.readouterr().out.splitlines()
    if status == 2 and not lines:
        return None
    told = json.loads(lines[-1])["account"]
    return told["received"], told["classified"] + sum(
        sum(told[kind].values()) for kind in ("ignored", "malformed", "shed")
    )


@pytest.mark.parametrize("capture", captures(ROOT / "deploy", ROOT / "tests"), ids=lambda path: path.name)
def test_account_of_own_capture_adds_up(capture: Path, capsys: pytest.CaptureFixture[str]) -> None:
    told = account(capture, capsys)
    assert told
    received, became = told
    assert received == became > 0


@pytest.mark.shared
def test_account_of_third_party_captures_adds_up(capsys: pytest.CaptureFixture[str]) -> None:
    accounts = {path: told for path in captures(SHARED) if (told := account(path, capsys))}
    assert accounts
    assert not [path.name for path, (received, became) in accounts.items() if received != became]
