"""Which files the running sensor keeps to."""

from __future__ import annotations

from pathlib import Path

from sensor.config.load import parse_config
from sensor.config.schema import Config
from sensor.confine.paths import readable, writable
from sensor.ledger.keys import new_pem


def test_configuration_that_is_a_link_has_both_directories_read(tmp_path: Path) -> None:
    for name in ("here", "there"):
        (tmp_path / name).mkdir()
    (tmp_path / "there/real.yaml").write_text("{}")
    (tmp_path / "here/link.yaml").symlink_to(tmp_path / "there/real.yaml")
    assert {tmp_path / "here", tmp_path / "there"} <= readable(Config(), str(tmp_path / "here/link.yaml"))


def test_directories_that_are_configured_are_written(tmp_path: Path) -> None:
    text = f"evidence: {{directory: {tmp_path}/evidence}}\nsinks: [{{type: file, path: {tmp_path}/log/events}}]\n"
    paths = writable(parse_config(text, "f"), tmp_path / "state")
    assert {tmp_path / "evidence", tmp_path / "log", tmp_path / "state"} <= paths


def test_file_that_the_configuration_names_has_its_directory_read(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("x")
    (tmp_path / "token").chmod(0o600)
    text = f"sinks: [{{type: webhook, url: 'https://a/', token_file: {tmp_path}/token}}]\n"
    assert tmp_path in readable(parse_config(text, "f"), None)


def test_ledgers_directory_is_written_and_that_of_its_key_read(tmp_path: Path) -> None:
    (tmp_path / "key").mkdir()
    (tmp_path / "key/ledger.pem").write_bytes(new_pem())
    (tmp_path / "key/ledger.pem").chmod(0o600)
    config = parse_config(f"ledger: {{directory: {tmp_path}/ledger, key_file: {tmp_path}/key/ledger.pem}}", "f")
    assert tmp_path / "ledger" in writable(config, None)
    assert tmp_path / "key" in readable(config, None)
