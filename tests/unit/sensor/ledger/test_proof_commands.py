"""Proofs: made by one command, verified by another and by the verifier that imports nothing of ours."""

import base64
import hashlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from deploy.verify import legwatch_verify
from sensor.cli import main
from sensor.ledger import proofs
from sensor.ledger.keys import SigningKey, new_pem
from sensor.ledger.note import Checkpoint, sign
from sensor.ledger.writer import Writer
from tests import ledgers
from tests.ledgers import Made


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """Entries 0 to 12, and one that no checkpoint has."""
    return ledgers.write(tmp_path_factory.mktemp("proofs") / "ledger", [4, 5, 3], unsigned=1)


def prove(made: Made, capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, str]:
    status = main(["ledger", "prove", "--ledger", str(made.path), *map(str, words)])
    out, err = capsys.readouterr()
    assert err.count("\n") == (status == 2)
    return status, out


def checked(proof: Path, key: str, theirs: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    """What both say of a proof: the same."""
    ours = main(["ledger", "check", str(proof), "--key", key])
    out, err = capsys.readouterr()
    assert not err
    assert legwatch_verify.main([theirs, str(proof), "--key", key]) == ours
    capsys.readouterr()
    return ours, out


@pytest.mark.parametrize("entry", range(13))
def test_proof_of_every_entry_is_verified_without_the_ledger(
    made: Made, tmp_path: Path, entry: int, capsys: pytest.CaptureFixture[str]
) -> None:
    status, text = prove(made, capsys, entry)
    assert status == 0
    assert len(text) < 4096
    proof = tmp_path / "proof"
    proof.write_text(text)
    status, said = checked(proof, made.keys[0], "--entry", capsys)
    assert status == 0
    assert said == f"verified: entry {entry}, in a ledger of 13\n{json.loads(text)['entry']}\n"


@pytest.mark.parametrize("day", range(3))
def test_proof_that_the_ledger_went_on_is_verified_without_it(
    made: Made, tmp_path: Path, day: int, capsys: pytest.CaptureFixture[str]
) -> None:
    note, proof = tmp_path / "note", tmp_path / "proof"
    note.write_text(made.checkpoints[day])
    status, text = prove(made, capsys, "--consistency", note)
    assert status == 0
    proof.write_text(text)
    status, said = checked(proof, made.keys[0], "--consistency", capsys)
    assert (status, said) == (0, f"verified: 13 entries begin with the {(5, 10, 13)[day]} of before\n")


def changes(proof: dict[str, Any]) -> list[dict[str, Any]]:
    """All that somebody might do to a proof."""
    changed: list[dict[str, Any]] = [{**proof, "more": 1}]
    for name, value in proof.items():
        changed += [{other: proof[other] for other in proof if other != name}, {**proof, name: None}]
        if isinstance(value, int):
            changed += [{**proof, name: value + 1}, {**proof, name: -1}, {**proof, name: 2**70}, {**proof, name: True}]
        elif isinstance(value, str):
            changed += [
                {**proof, name: value[:at] + chr(ord(value[at]) ^ 1) + value[at + 1 :]} for at in range(len(value))
            ]
        else:
            changed += [{**proof, name: value[1:]}, {**proof, name: value[::-1]}, {**proof, name: [*value, value[0]]}]
            changed += [{**proof, name: [*value[1:], base64.b64encode(b"x" * size).decode()]} for size in (31, 32)]
            changed += [{**proof, name: [1, *value[1:]]}]
    return changed


def test_proof_of_an_entry_that_was_changed_anywhere_proves_nothing(
    made: Made, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, text = prove(made, capsys, 6)
    proof = tmp_path / "proof"
    for changed in changes(json.loads(text)):
        proof.write_text(json.dumps(changed))
        status, _ = checked(proof, made.keys[0], "--entry", capsys)
        assert status == 1, changed


def test_proof_between_checkpoints_that_was_changed_anywhere_proves_nothing(
    made: Made, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    note, proof = tmp_path / "note", tmp_path / "proof"
    note.write_text(made.checkpoints[0])
    _, text = prove(made, capsys, "--consistency", note)
    for changed in changes(json.loads(text)):
        proof.write_text(json.dumps(changed))
        status, _ = checked(proof, made.keys[0], "--consistency", capsys)
        assert status == 1, changed


def test_proof_from_a_checkpoint_that_its_key_signed_for_another_tree_proves_nothing(
    made: Made, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What shows that a ledger was written anew by who has its key."""
    note, proof = tmp_path / "note", tmp_path / "proof"
    note.write_text(made.checkpoints[1])
    _, text = prove(made, capsys, "--consistency", note)
    origin = made.checkpoints[1].partition("\n")[0]
    forged = sign(str(Checkpoint(origin, 10, bytes(32))), SigningKey.from_pem(made.pems[0], origin))
    proof.write_text(json.dumps(json.loads(text) | {"first": forged}))
    assert checked(proof, made.keys[0], "--consistency", capsys)[0] == 1
    note.write_text(forged)
    assert prove(made, capsys, "--consistency", note)[0] == 2


@pytest.mark.parametrize("text", ["", "nothing", "[]", "1", "{}", "[" * 100_000, '{"entry": "x"}', '{"first": "x"}'])
def test_file_that_is_no_proof_proves_nothing(
    made: Made, tmp_path: Path, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    proof = tmp_path / "proof"
    proof.write_text(text)
    for kind in ("--entry", "--consistency"):
        assert checked(proof, made.keys[0], kind, capsys)[0] == 1


def test_proof_by_another_key_proves_nothing(made: Made, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = ledgers.write(tmp_path / "other", [4])
    _, text = prove(other, capsys, 3)
    proof = tmp_path / "proof"
    proof.write_text(text)
    assert checked(proof, made.keys[0], "--entry", capsys)[0] == 1


@pytest.mark.parametrize(
    "words", [["13"], ["99"], ["x"], ["--consistency", "/nowhere"], ["--consistency", "/etc/hostname"]]
)
def test_what_cannot_be_proved_is_said(made: Made, words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Entry 13 is there, and not signed yet."""
    assert prove(made, capsys, *words)[0] == 2


def test_checkpoint_of_another_ledger_is_not_gone_on_from(
    made: Made, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = ledgers.write(tmp_path / "other", [4])
    assert prove(made, capsys, "--consistency", other.path / "checkpoint")[0] == 2


def proof_of(made: Made, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> tuple[Path, dict[str, Any]]:
    """An entry's proof, and the file where a changed one goes."""
    return tmp_path / "proof", json.loads(prove(made, capsys, 3)[1])


@pytest.mark.parametrize("change", [{"size": 13.0}, {"entry": "\ud800"}, {"checkpoint": "\ud800"}])
def test_proof_with_what_only_some_readers_take_proves_nothing(
    made: Made, tmp_path: Path, change: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    file, proof = proof_of(made, tmp_path, capsys)
    file.write_text(json.dumps(proof | change))
    assert checked(file, made.keys[0], "--entry", capsys)[0] == 1


def test_proof_behind_a_mark_of_its_encoding_proves_nothing(
    made: Made, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, proof = proof_of(made, tmp_path, capsys)
    file.write_text(json.dumps(proof), encoding="utf-8-sig")
    assert checked(file, made.keys[0], "--entry", capsys)[0] == 1


def test_proof_from_a_checkpoint_of_nothing_proves_nothing(
    made: Made, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    second = made.checkpoints[0]
    origin = second.partition("\n")[0]
    key = SigningKey.from_pem(made.pems[0], origin)
    nothing = sign(str(Checkpoint(origin, 0, hashlib.sha256().digest())), key)
    file = tmp_path / "proof"
    file.write_text(json.dumps({"first": nothing, "second": second, "hashes": []}))
    assert checked(file, made.keys[0], "--consistency", capsys)[0] == 1
    file.write_text(json.dumps({"first": nothing, "second": nothing, "hashes": []}))
    assert checked(file, made.keys[0], "--consistency", capsys)[0] == 1


def test_signature_by_somebody_with_the_hash_of_a_trusted_key_does_not_matter(
    made: Made, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With another name it is by another key."""
    file, proof = proof_of(made, tmp_path, capsys)
    signature = proof["checkpoint"].split()[-1]
    file.write_text(json.dumps(proof | {"checkpoint": f"{proof['checkpoint']}— x {signature[:-4]}\n"}))
    assert checked(file, made.keys[0], "--entry", capsys)[0] == 0


def test_entry_is_shown_without_what_a_terminal_obeys(tmp_path: Path) -> None:
    """On one that knows ASCII only, too."""
    writer = Writer(tmp_path / "ledger", pem := new_pem(), origin_name=ledgers.NAME)
    writer.open(ledgers.START_MS)
    writer.append([{"kind": "leg", "a": "x\u009b31m\u202eé"}], ledgers.START_MS)
    writer.close()
    file = tmp_path / "proof"
    file.write_text(json.dumps(proofs.inclusion(tmp_path / "ledger", 1)))
    origin = (tmp_path / "ledger" / "checkpoint").read_text().partition("\n")[0]
    key = str(SigningKey.from_pem(pem, origin).verifier)
    command = [sys.executable, str(legwatch_verify.__file__), "--entry", str(file), "--key", key]
    for encoding, shown in (("ascii", rb"x\ufffd31m\ufffd\xe9"), ("utf-8", "x\ufffd31m\ufffdé".encode())):
        done = subprocess.run(command, capture_output=True, check=False, env={"PYTHONIOENCODING": encoding})
        assert (done.returncode, done.stderr) == (0, b"")
        assert shown in done.stdout


@pytest.mark.parametrize("text", ["nothing", "\udcff"])
def test_witness_that_is_no_checkpoint_is_wrong_use_for_both(
    made: Made, tmp_path: Path, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    witness = tmp_path / "witness"
    witness.write_text(text, errors="surrogateescape")
    words = ["--key", made.keys[0], "--witness", str(witness)]
    assert main(["ledger", "verify", str(made.path), *words]) == 2
    with pytest.raises(SystemExit, match="2"):
        legwatch_verify.main([str(made.path), *words])
    assert capsys.readouterr().err.count("is no signed checkpoint\n") == 2
