"""Proofs that verify alone: of one entry, and of two checkpoints; while what they need is there."""

import json
from pathlib import Path

import pytest

from sensor.ledger import proofs, reader
from sensor.ledger.keys import VerifierKey, new_pem
from sensor.ledger.layout import CHECKPOINT, DAY_MS, LedgerError
from sensor.ledger.proofs import ProofError
from sensor.ledger.retention import Retention
from sensor.ledger.writer import Writer

T0 = 1_767_830_400_000  # 2026-01-08 00:00 UTC
PEM = new_pem()
DAYS, A_DAY = 5, 7


class Made:
    """A ledger of several days at rest, with its key and its checkpoints by size."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.notes: dict[int, str] = {}
        writer = Writer(directory, PEM, origin_name="legwatch/test")
        writer.open(T0)
        for day in range(DAYS):
            for number in range(A_DAY):
                writer.append([{"kind": "leg", "number": day * A_DAY + number}], T0 + day * DAY_MS)
                size = writer.commit().size
                self.notes[size] = (directory / CHECKPOINT).read_text()
        writer.close()
        self.size = writer.size
        self.key = VerifierKey.parse(str(next(reader.entries(directory))[1]["vkey"]))

    def forget(self, keep_days: int) -> None:
        writer = Writer(self.directory, PEM, origin_name="legwatch/test")
        writer.open(T0 + DAYS * DAY_MS - 1)
        assert Retention(writer, keep_days).expire(T0 + DAYS * DAY_MS - 1)
        writer.close()
        self.size = writer.size


@pytest.fixture
def made(tmp_path: Path) -> Made:
    return Made(tmp_path)


def test_every_entry_of_every_segment_has_a_proof_that_verifies_alone(made: Made) -> None:
    for number, entry in list(reader.entries(made.directory)):
        proof = proofs.parse(json.dumps(proofs.inclusion(made.directory, number)))
        assert proofs.verify_inclusion_proof(proof, [made.key]) == entry


def test_checkpoint_goes_on_from_every_older_one(made: Made) -> None:
    for size, note in made.notes.items():
        proof = proofs.consistency(made.directory, note)
        former, later = proofs.verify_consistency_proof(proof, [made.key])
        assert (former.size, later.size) == (size, made.size)


def test_entries_that_are_left_have_proofs_when_older_ones_are_deleted(made: Made) -> None:
    made.forget(2)
    kept = dict(reader.entries(made.directory))
    assert min(kept) == 1 + 2 * A_DAY
    for number, entry in kept.items():
        assert proofs.verify_inclusion_proof(proofs.inclusion(made.directory, number), [made.key]) == entry
    for number in range(min(kept)):
        with pytest.raises(LedgerError, match="are deleted"):
            proofs.inclusion(made.directory, number)


def test_checkpoints_of_what_is_left_go_on_from_each_other_when_older_entries_are_deleted(made: Made) -> None:
    made.forget(2)
    for size, note in made.notes.items():
        if size > 2 * A_DAY:
            former, _ = proofs.verify_consistency_proof(proofs.consistency(made.directory, note), [made.key])
            assert former.size == size


def test_entry_that_is_not_signed_has_no_proof(made: Made) -> None:
    for number in (-1, made.size):
        with pytest.raises(LedgerError, match="there is none"):
            proofs.inclusion(made.directory, number)


@pytest.mark.parametrize("change", ["entry", "index", "size", "hashes", "checkpoint"])
def test_proof_with_anything_changed_proves_nothing(made: Made, change: str) -> None:
    proof = proofs.inclusion(made.directory, 9)
    other = proofs.inclusion(made.directory, 20)
    other["size"], other["checkpoint"] = made.size - 1, made.notes[made.size - 1]
    with pytest.raises(ProofError):
        proofs.verify_inclusion_proof({**proof, change: other[change]}, [made.key])
    with pytest.raises(ProofError):
        proofs.verify_inclusion_proof({name: proof[name] for name in proof if name != change}, [made.key])


def test_ledger_that_was_written_anew_does_not_go_on_from_a_witness(made: Made, tmp_path: Path) -> None:
    other = Made(tmp_path / "other")
    with pytest.raises(LedgerError, match="does not go on"):
        proofs.consistency(made.directory, other.notes[10])
