"""The configuration of the ledger, and of what the organisation says itself."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from sensor.cli import main
from sensor.config.load import parse_config, to_yaml
from sensor.config.reader import ConfigError
from sensor.config.schema import Config
from sensor.ledger.keys import new_pem


@pytest.fixture
def key(tmp_path: Path) -> Path:
    path = tmp_path / "ledger.pem"
    path.write_bytes(new_pem())
    path.chmod(0o600)
    return path


def refused(text: str) -> str:
    """Return what is said of a configuration that is refused."""
    with pytest.raises(ConfigError) as error:
        parse_config(text, "f")
    return "\n".join(error.value.lines)


def test_without_a_directory_there_is_no_ledger_and_six_years_are_kept_of_one() -> None:
    ledger = Config().ledger
    assert (ledger.directory, ledger.key_file, ledger.transactions) == (None, None, False)
    assert (ledger.keep_days, ledger.budget_gib) == (2192, 20)


def test_key_is_read_and_never_shown(key: Path) -> None:
    config = parse_config(f"ledger: {{directory: /l, key_file: {key}}}", "f")
    assert config.ledger.key_file is not None
    assert config.ledger.key_file.content.startswith(b"-----BEGIN PRIVATE KEY-----")
    shown = to_yaml(config) + repr(config)
    assert str(key) in shown
    assert "BEGIN" not in shown


def test_directory_without_a_key_is_refused_with_what_makes_one() -> None:
    said = refused("ledger: {directory: /l}")
    assert "ledger.key_file: is missing" in said
    assert "legwatch ledger new-key FILE" in said


def test_directory_of_another_kind_of_record_is_refused(key: Path) -> None:
    said = refused(
        f"state: {{directory: /d}}\nevidence: {{directory: //d}}\nledger: {{directory: /e/../d, key_file: {key}}}"
    )
    assert said.splitlines() == [
        "f:2:23: evidence.directory: is that of state already; each needs one of its own",
        "f:3:21: ledger.directory: is that of state already; each needs one of its own",
    ]


def test_key_that_others_may_read_is_refused(key: Path) -> None:
    key.chmod(0o604)
    assert "chmod o=" in refused(f"ledger: {{directory: /l, key_file: {key}}}")


@pytest.mark.parametrize("kind", ["another curve", "text"])
def test_file_that_is_no_key_of_ed25519_is_refused(key: Path, kind: str) -> None:
    other = generate_private_key(SECP256R1()).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    key.write_bytes(other if kind == "another curve" else b"secret")
    said = refused(f"ledger: {{directory: /l, key_file: {key}}}")
    assert "no private key of Ed25519" in said
    assert "secret" not in said


def test_less_than_six_years_is_accepted_and_said(
    key: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "legwatch.yaml"
    for days, status in ((2191, 0), (2190, 1)):
        path.write_text(f"ledger: {{directory: /l, key_file: {key}, keep_days: {days}}}")
        assert main(["check-config", str(path)]) == status
        assert ("ledger.keep_days: 2190 days are less than six years" in capsys.readouterr().err) == bool(status)


SAID = "control: 164.312(a)(1), statement: Recordings are encrypted., by: Ann, date: 2026-01-05"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (SAID.replace("(a)(1)", "(a)(9)"), 'did you mean "164.312(a)(1)"?'),
        (SAID.replace("2026-01-05", "soon"), "must be a day"),
        (SAID.replace("Recordings are encrypted.", "x" * 2001), "1 to 2000 characters"),
        (f"{SAID}, file: a.pdf, sha256: abc", "64 hexadecimal digits"),
        (f"{SAID}, sha256: '{64 * 'a'}'", "no file is named"),
    ],
)
def test_attestation_that_says_nothing_to_rely_on_is_refused(text: str, words: str) -> None:
    assert words in refused(f"policy: {{attestations: [{{{text}}}]}}")
