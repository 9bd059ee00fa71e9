"""A ledger that was tampered with does not verify, and the entry is named by what imports nothing of ours.

Ours says the same of each, so that neither of the two is the only one that knows.
"""

import base64
import hashlib
import io
import json
import random
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from deploy.verify import legwatch_verify
from sensor.ledger.keys import SigningKey, VerifierKey, new_pem, rotation
from sensor.ledger.layout import LedgerError
from sensor.ledger.retention import Retention
from sensor.ledger.sealing import compress_sealed
from sensor.ledger.verify import verify
from sensor.ledger.writer import Writer
from tests import ledgers
from tests.ledgers import DAY_MS, NAME, START_MS, Made, leg

SCRIPT = Path(legwatch_verify.__file__)
NOW_MS = START_MS + 100 * DAY_MS
SEALED, NEXT, OPEN = "00000000-20260108", "00000001-20260109", "00000002-20260110"

Mutation = Callable[[Path], object]
Verdict = tuple[bool, int | None]  # whether it verifies, and else the entry that is named


def by_theirs(path: Path, key: str, witnesses: list[Path], now_ms: int) -> Verdict:
    ledger = legwatch_verify.Ledger(path, [legwatch_verify.parse_key(key)], None, now_ms)
    ledger.verify([str(each) for each in witnesses])
    return not ledger.faults, ledger.faults[0].entry if ledger.faults else None


def by_ours(path: Path, key: str, witnesses: list[Path], now_ms: int) -> Verdict:
    texts = [each.read_text() for each in witnesses]
    try:
        faults = verify(path, [VerifierKey.parse(key)], witnesses=texts, now_ms=now_ms).faults
    except LedgerError:
        return False, None
    return not faults, faults[0].entry if faults else None


def verdict(path: Path, key: str, *witnesses: Path, now_ms: int = NOW_MS) -> Verdict:
    """What both say."""
    theirs, ours = (by(path, key, list(witnesses), now_ms) for by in (by_theirs, by_ours))
    assert theirs == ours
    return theirs


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """Three days of five entries, the first one of the ledger among them, and two that no checkpoint has."""
    return ledgers.write(tmp_path_factory.mktemp("kept") / "ledger", [4, 5, 5], unsigned=2)


@pytest.fixture
def made(kept: Made, tmp_path: Path) -> Made:
    shutil.copytree(kept.path, tmp_path / "ledger")
    return kept._replace(path=tmp_path / "ledger")


def flipped(octets: bytes, bit: int) -> bytes:
    changed = bytearray(octets)
    changed[bit >> 3] ^= 1 << (bit & 7)
    return bytes(changed)


# --- any bit


def test_any_bit_flipped_in_any_file_is_found_and_an_entry_named(tmp_path: Path) -> None:
    """A segment that is sealed, one that is open, two keys, entries behind the checkpoint: every bit of it."""
    made = ledgers.write(tmp_path / "ledger", [2, 1], unsigned=1, rotated=[0])
    assert verdict(made.path, made.keys[0]) == (True, None)
    files = sorted(made.path.iterdir())
    assert {file.name for file in files} >= {"checkpoint", f"{SEALED}.jsonl.zst", f"{SEALED}.note", f"{NEXT}.sums"}
    for file in files:
        octets = file.read_bytes()
        for bit in range(len(octets) * 8):
            file.write_bytes(flipped(octets, bit))
            verified, entry = verdict(made.path, made.keys[0])
            assert not verified, f"{file.name}: bit {bit}"
            assert entry is not None, f"{file.name}: bit {bit}"
        file.write_bytes(octets)


def test_bit_flipped_in_a_day_of_thousands_is_found(tmp_path: Path) -> None:
    made = ledgers.write(tmp_path / "ledger", [3000, 2000])
    chance = random.Random(1)
    for file in sorted(made.path.iterdir()):
        octets = file.read_bytes()
        for _ in range(12):
            file.write_bytes(flipped(octets, chance.randrange(len(octets) * 8)))
            verified, entry = verdict(made.path, made.keys[0])
            assert not verified
            assert entry is not None
        file.write_bytes(octets)


# --- entries


def lines_of(path: Path, stem: str) -> list[bytes]:
    with (
        legwatch_verify.unpacked(path / f"{stem}.jsonl.zst")
        if stem != OPEN
        else (path / f"{stem}.jsonl").open("rb") as file
    ):
        return file.read().splitlines(keepends=True)


def put(path: Path, stem: str, lines: list[bytes], *, summed: bool = False) -> None:
    """Have a segment hold lines, and have sums for them if that is wanted."""
    (path / f"{stem}.jsonl").write_bytes(b"".join(lines))
    (path / f"{stem}.jsonl.zst").unlink(missing_ok=True)
    if summed:
        leaves = [legwatch_verify.leaf_hash(line[:-1]) for line in lines]
        (path / f"{stem}.sums").write_bytes(b"".join(leaf[:4] for leaf in leaves))
    compress_sealed(path)


def edited(lines: list[bytes]) -> list[bytes]:
    return [lines[0], lines[1], lines[2].replace(b"10.20", b"10.21"), *lines[3:]]


def removed(lines: list[bytes]) -> list[bytes]:
    return [*lines[:2], *lines[3:]]


def doubled(lines: list[bytes]) -> list[bytes]:
    return [*lines[:3], lines[2], *lines[3:]]


def swapped(lines: list[bytes]) -> list[bytes]:
    return [*lines[:2], lines[3], lines[2], *lines[4:]]


CHANGES = [(edited, 2), (removed, 2), (doubled, 3), (swapped, 2)]


@pytest.mark.parametrize(("change", "differs"), CHANGES, ids=lambda each: getattr(each, "__name__", ""))
@pytest.mark.parametrize(("stem", "first"), [(SEALED, 0), (NEXT, 5), (OPEN, 10)])
def test_entry_that_was_changed_is_named(
    made: Made, change: Callable[[list[bytes]], list[bytes]], differs: int, stem: str, first: int
) -> None:
    put(made.path, stem, change(lines_of(made.path, stem)))
    assert verdict(made.path, made.keys[0]) == (False, first + differs)


@pytest.mark.parametrize(("change", "differs"), CHANGES, ids=lambda each: getattr(each, "__name__", ""))
@pytest.mark.parametrize("stem", [SEALED, NEXT, OPEN])
def test_entry_that_was_changed_with_its_sum_is_found_by_what_was_signed(
    made: Made, change: Callable[[list[bytes]], list[bytes]], differs: int, stem: str
) -> None:
    assert differs
    put(made.path, stem, change(lines_of(made.path, stem)), summed=True)
    verified, entry = verdict(made.path, made.keys[0])
    assert not verified
    assert entry is not None


def test_sum_that_was_changed_is_told_from_an_entry_that_was(made: Made) -> None:
    sums = made.path / f"{SEALED}.sums"
    sums.write_bytes(flipped(sums.read_bytes(), 70))
    ledger = legwatch_verify.Ledger(made.path, [legwatch_verify.parse_key(made.keys[0])], None, NOW_MS)
    ledger.verify([])
    (fault,) = ledger.faults
    assert str(fault) == f"entry 2 ({SEALED}, line 3): is what was signed: {SEALED}.sums was changed"


def test_ledger_that_a_machine_without_power_left_verifies(made: Made) -> None:
    """An entry that is not whole, and sums that did not come to the disk."""
    with (made.path / f"{OPEN}.jsonl").open("ab") as file:
        file.write(b'{"a":"10.2')
    sums = made.path / f"{OPEN}.sums"
    sums.write_bytes(sums.read_bytes()[:-6])
    assert verdict(made.path, made.keys[0]) == (True, None)


def test_segment_that_is_not_yet_compressed_verifies(made: Made) -> None:
    (made.path / f"{NEXT}.jsonl").write_bytes(b"".join(lines_of(made.path, NEXT)))
    assert verdict(made.path, made.keys[0]) == (True, None)  # both are there
    (made.path / f"{NEXT}.jsonl.zst").unlink()
    assert verdict(made.path, made.keys[0]) == (True, None)


# --- files


@pytest.mark.parametrize("name", ["checkpoint", f"{SEALED}.note", f"{OPEN}.jsonl"])
@pytest.mark.parametrize("is_link", [True, False])
def test_file_that_is_no_plain_one_is_refused(made: Made, name: str, is_link: bool) -> None:
    file = made.path / name
    if is_link:
        file.rename(made.path.parent / "elsewhere")
        file.symlink_to(made.path.parent / "elsewhere")
    else:
        file.unlink()
        file.mkdir()
    for by in (by_theirs, by_ours):
        assert not by(made.path, made.keys[0], [], NOW_MS)[0]


def swap(one: Path, other: Path) -> None:
    octets = one.read_bytes()
    one.write_bytes(other.read_bytes())
    other.write_bytes(octets)


def swap_segments(path: Path) -> None:
    for end in (".jsonl.zst", ".sums", ".note"):
        swap(path / f"{SEALED}{end}", path / f"{NEXT}{end}")


def remove(*names: str) -> Mutation:
    def mutation(path: Path) -> None:
        for name in names or [each.name for each in path.iterdir()]:
            (path / name).unlink()

    return mutation


def rename_day(path: Path) -> None:
    for end in (".jsonl.zst", ".sums", ".note"):
        (path / f"{NEXT}{end}").rename(path / f"00000001-20260107{end}")


def append(name: str, octets: bytes) -> Mutation:
    return lambda path: (path / name).write_bytes((path / name).read_bytes() + octets)


def replace(name: str, old: bytes, new: bytes) -> Mutation:
    return lambda path: (path / name).write_bytes((path / name).read_bytes().replace(old, new, 1))


@pytest.mark.parametrize(
    ("mutation", "entry"),
    [
        (remove(f"{SEALED}.jsonl.zst"), 0),
        (remove(f"{SEALED}.jsonl.zst", f"{SEALED}.sums"), 0),
        (remove(f"{SEALED}.jsonl.zst", f"{SEALED}.sums", f"{SEALED}.note"), 0),
        (remove(f"{NEXT}.jsonl.zst", f"{NEXT}.sums", f"{NEXT}.note"), 5),
        (remove(f"{OPEN}.jsonl", f"{OPEN}.sums"), 10),
        (remove(f"{SEALED}.note"), 0),
        (remove(f"{NEXT}.sums"), 5),
        (remove("checkpoint"), 10),
        (swap_segments, 0),
        (rename_day, 5),
        (append(f"{SEALED}.sums", b"\0"), 5),
        (append(f"{NEXT}.note", b"\n"), 5),
        (append("checkpoint", b" "), 10),
        (replace("checkpoint", b"15", b"015"), 10),
        (replace("checkpoint", b"legwatch/", b"Legwatch/"), 10),
        (replace(f"{SEALED}.note", b"\nedge ", b"\nextra\nedge "), 0),
        (remove(), 0),
    ],
)
def test_file_that_was_removed_swapped_or_changed_is_found(made: Made, mutation: Mutation, entry: int) -> None:
    mutation(made.path)
    assert verdict(made.path, made.keys[0]) == (False, entry)


@pytest.mark.parametrize("behind", [b"\0", b"\x28\xb5\x2f\xfd", bytes.fromhex("502a4d1800000000")])
def test_octets_behind_the_digest_of_a_sealed_segment_are_found(made: Made, behind: bytes) -> None:
    """Were they a frame that decoders skip, too."""
    append(f"{NEXT}.jsonl.zst", behind)(made.path)
    verified, entry = verdict(made.path, made.keys[0])
    assert not verified
    assert entry in range(5, 10)


def test_base64_that_says_the_same_in_another_form_is_refused(made: Made) -> None:
    """The last character of 68 octets has two bits that no octet has."""
    digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    for name, entry in (("checkpoint", 10), (f"{SEALED}.note", 0)):
        file = made.path / name
        note = file.read_text()
        last = note.rstrip("=\n")[-1]
        other = digits[digits.index(last) ^ 1]
        changed = note[: -len(f"{last}=\n")] + f"{other}=\n"
        assert base64.b64decode(changed.split()[-1]) == base64.b64decode(note.split()[-1])
        file.write_text(changed)
        assert verdict(made.path, made.keys[0]) == (False, entry)
        file.write_text(note)


def test_segment_of_another_ledger_is_found(made: Made, tmp_path: Path) -> None:
    other = ledgers.write(tmp_path / "other", [4, 5, 5])
    for end in (".jsonl.zst", ".sums", ".note"):
        shutil.copy(other.path / f"{NEXT}{end}", made.path)
    verified, entry = verdict(made.path, made.keys[0])
    assert (verified, entry) == (False, 5)


def test_signature_by_somebody_else_beside_the_own_does_not_matter(made: Made) -> None:
    """As witnesses of signed notes add theirs."""
    note = (made.path / "checkpoint").read_text()
    text = note[: note.index("\n\n") + 1]
    with (made.path / "checkpoint").open("a") as file:
        file.write(signature(text, new_pem(), "witness.example"))
    assert verdict(made.path, made.keys[0]) == (True, None)


# --- keys and signatures


def signature(text: str, pem: bytes, name: str) -> str:
    key = SigningKey.from_pem(pem, name)
    return f"— {name} {base64.b64encode(key.verifier.id + key.sign(text.encode())).decode()}\n"


def sign_again(file: Path, pem: bytes) -> None:
    text = file.read_text().partition("\n\n")[0] + "\n"
    file.write_text(f"{text}\n{signature(text, pem, text.splitlines()[0])}")


def write_again(path: Path, pem: bytes) -> None:
    """Make sums, notes and checkpoint anew for what the segments have, as somebody could who has a key."""
    tree = legwatch_verify.Tree()
    segments = sorted({each.name.partition(".")[0] for each in path.glob("0*.jsonl*")})
    for stem in segments:
        lines = lines_of(path, stem)
        put(path, stem, lines, summed=True)
        for line in lines:
            tree.append(legwatch_verify.leaf_hash(line[:-1]))
        origin = (path / "checkpoint").read_text().partition("\n")[0]
        root, edge = (base64.b64encode(each).decode() for each in (tree.root(), b"".join(tree.hashes)))
        name, extra = ("checkpoint", "") if stem == segments[-1] else (f"{stem}.note", f"edge {edge}\n")
        (path / name).write_text(f"{origin}\n{tree.size}\n{root}\n{extra}\n")
        sign_again(path / name, pem)


@pytest.mark.parametrize(("name", "entry"), [("checkpoint", 10), (f"{SEALED}.note", 0), (f"{NEXT}.note", 5)])
def test_note_signed_by_another_key_is_found(made: Made, name: str, entry: int) -> None:
    sign_again(made.path / name, new_pem())
    assert verdict(made.path, made.keys[0]) == (False, entry)


def test_ledger_of_another_key_is_not_that_of_the_one_that_is_trusted(made: Made, tmp_path: Path) -> None:
    other = ledgers.write(tmp_path / "other", [1, 1])
    assert verdict(other.path, made.keys[0]) == (False, 0)


@pytest.mark.parametrize("trusted", [0, 1, 2])
def test_any_key_that_the_ledger_ever_had_verifies_all_of_it(tmp_path: Path, trusted: int) -> None:
    made = ledgers.write(tmp_path / "ledger", [2, 2, 2, 2], rotated=[1, 3])
    assert len(set(made.keys)) == 3
    assert verdict(made.path, made.keys[trusted]) == (True, None)


def forge_change(made: Made, **changes: str) -> None:
    """Have the entry that changes the key say something else, in a ledger that the new key signs."""
    file = made.path / f"{NEXT}.jsonl"
    lines = file.read_bytes().splitlines(keepends=True)
    change = json.loads(lines[1])
    assert change["kind"] == "key"
    lines[1] = json.dumps(change | changes, separators=(",", ":"), sort_keys=True).encode() + b"\n"
    file.write_bytes(b"".join(lines))
    (made.path / f"{NEXT}.sums").unlink()
    sign_checkpoint_of(made.path, made.pems[1])


def test_new_key_that_the_old_one_did_not_sign_is_found(tmp_path: Path) -> None:
    """Somebody who has the new key only."""
    made = ledgers.write(tmp_path / "ledger", [2, 2], rotated=[1])
    forge_change(made, signature=base64.b64encode(bytes(64)).decode())
    assert verdict(made.path, made.keys[0]) == (False, 4)


def test_new_key_that_a_key_of_nobody_signed_is_found(tmp_path: Path) -> None:
    """Somebody who makes an old key, too."""
    made = ledgers.write(tmp_path / "ledger", [2, 2], rotated=[1])
    name = made.keys[0].partition("+")[0]
    nobody = SigningKey.from_pem(new_pem(), name)
    signed = nobody.sign(rotation(name, 4, str(nobody.verifier), made.keys[1]))
    forge_change(made, old=str(nobody.verifier), signature=base64.b64encode(signed).decode())
    assert verdict(made.path, made.keys[0]) == (False, 4)


def behind_the_checkpoint(path: Path, entry: dict[str, object]) -> None:
    """Put an entry, which anybody can write, behind all that is signed."""
    line = json.dumps(entry, separators=(",", ":"), sort_keys=True).encode()
    stem = max(each.name for each in path.glob("0*.jsonl")).partition(".")[0]
    with (path / f"{stem}.jsonl").open("ab") as text, (path / f"{stem}.sums").open("ab") as sums:
        text.write(line + b"\n")
        sums.write(legwatch_verify.leaf_hash(line)[:4])


def test_key_that_only_an_unsigned_entry_names_has_signed_nothing(tmp_path: Path) -> None:
    """Somebody who knows the public key only writes a ledger by a key of his own, and names the trusted one last."""
    forged = ledgers.write(tmp_path / "ledger", [3])
    name = forged.keys[0].partition("+")[0]
    forger, trusted = SigningKey.from_pem(forged.pems[0], name), SigningKey.from_pem(new_pem(), name).verifier
    signed = forger.sign(rotation(name, 4, str(forger.verifier), str(trusted)))
    change = {"old": str(forger.verifier), "new": str(trusted), "signature": base64.b64encode(signed).decode()}
    behind_the_checkpoint(forged.path, {"kind": "key", "at": START_MS + 2000, **change})
    assert verdict(forged.path, str(forger.verifier)) == (True, None)
    assert verdict(forged.path, str(trusted)) == (False, 0)


def test_note_whose_edge_is_not_of_its_root_is_found(made: Made) -> None:
    """By who has the key: hashing would go on from another tree."""
    file = made.path / f"{SEALED}.note"
    lines = file.read_text().splitlines()
    edge = base64.b64decode(lines[3].removeprefix("edge "))
    lines[3] = f"edge {base64.b64encode(edge[32:] + edge[:32]).decode()}"
    file.write_text("\n".join([*lines[:4], "", ""]))
    text = "".join(f"{line}\n" for line in lines[:4])
    file.write_text(f"{text}\n{signature(text, made.pems[0], lines[0])}")
    assert verdict(made.path, made.keys[0]) == (False, 0)


def sign_checkpoint_of(path: Path, pem: bytes) -> None:
    """Sign what the last two segments have now."""
    tree = legwatch_verify.Tree()
    for stem in sorted({each.name.partition(".")[0] for each in path.glob("0*.jsonl*")}):
        plain = path / f"{stem}.jsonl"
        lines = plain.read_bytes().splitlines() if plain.exists() else [each[:-1] for each in lines_of(path, stem)]
        for line in lines:
            tree.append(legwatch_verify.leaf_hash(line))
    origin = (path / "checkpoint").read_text().partition("\n")[0]
    (path / "checkpoint").write_text(f"{origin}\n{tree.size}\n{base64.b64encode(tree.root()).decode()}\n\n")
    sign_again(path / "checkpoint", pem)


# --- what only a copy that is kept elsewhere shows


def test_ledger_cut_back_with_its_checkpoint_is_found_by_a_witness_only(made: Made, tmp_path: Path) -> None:
    for name in (f"{OPEN}.jsonl", f"{OPEN}.sums"):
        (made.path / name).unlink()
    (made.path / "checkpoint").write_text(made.checkpoints[1])
    assert verdict(made.path, made.keys[0]) == (True, None)
    witness = tmp_path / "witness"
    witness.write_text(made.checkpoints[2])
    assert verdict(made.path, made.keys[0], witness) == (False, 10)


def test_checkpoint_older_than_a_note_is_found(made: Made) -> None:
    (made.path / "checkpoint").write_text(made.checkpoints[0])
    assert verdict(made.path, made.keys[0]) == (False, 5)


def test_ledger_cut_back_without_its_checkpoint_is_found(made: Made) -> None:
    put(made.path, OPEN, lines_of(made.path, OPEN)[:3], summed=True)
    assert verdict(made.path, made.keys[0]) == (False, 13)


def test_ledger_written_anew_by_who_has_the_key_is_found_by_a_witness_only(made: Made, tmp_path: Path) -> None:
    put(made.path, SEALED, edited(lines_of(made.path, SEALED)))
    write_again(made.path, made.pems[0])
    assert verdict(made.path, made.keys[0]) == (True, None)
    witness = tmp_path / "witness"
    witness.write_text(made.checkpoints[0])
    assert verdict(made.path, made.keys[0], witness) == (False, None)


def test_witnesses_of_all_days_verify(made: Made, tmp_path: Path) -> None:
    witnesses = [tmp_path / str(day) for day in range(3)]
    for witness, checkpoint in zip(witnesses, made.checkpoints, strict=True):
        witness.write_text(checkpoint)
    assert verdict(made.path, made.keys[0], *witnesses) == (True, None)


@pytest.mark.parametrize("text", ["", "nothing", f"{NAME}/00000000\n3\nAAAA\n\n— x y\n"])
def test_witness_that_is_no_note_is_said(made: Made, tmp_path: Path, text: str) -> None:
    witness = tmp_path / "witness"
    witness.write_text(text)
    assert verdict(made.path, made.keys[0], witness) == (False, None)


# --- time


def test_entry_from_the_future_is_named(made: Made) -> None:
    assert verdict(made.path, made.keys[0], now_ms=START_MS + 2 * DAY_MS - 400_000) == (False, 10)
    assert verdict(made.path, made.keys[0], now_ms=START_MS + 3 * DAY_MS) == (True, None)


def test_clock_set_back_is_allowed_where_it_is_said(tmp_path: Path) -> None:
    pem = new_pem()
    writer = Writer(tmp_path / "ledger", pem, origin_name=NAME)
    writer.open(START_MS + 90_000)
    writer.append([leg(0)], START_MS + 30_000)
    writer.append([leg(1)], START_MS - DAY_MS)  # another day
    writer.close()
    compress_sealed(tmp_path / "ledger")
    key = str(SigningKey.from_pem(pem, (tmp_path / "ledger" / "checkpoint").read_text().partition("\n")[0]).verifier)
    assert verdict(tmp_path / "ledger", key) == (True, None)


@pytest.mark.parametrize(
    ("old", "new", "entry"),
    [
        (b'"at":17678304010', b'"at":17678303990', 1),  # goes back
        (b'"at":17678304010', b'"at":17679304010', 1),  # another day
        (b'"at":1767830401', b'"ax":1767830401', 1),  # no time
        (b'"kind":"leg"', b'"kind":77777', 1),
        (b'"kind":"ledger"', b'"kind":"leader"', 0),
        (b'"format":1', b'"format":2', 0),
        (b'"media":"audio"', b'"media":"audio', 2),  # no JSON
    ],
)
def test_entry_that_nobody_should_have_signed_is_named(made: Made, old: bytes, new: bytes, entry: int) -> None:
    """Signed it is: by a sensor that errs, or somebody who has its key."""
    lines = lines_of(made.path, SEALED)
    lines[entry] = lines[entry].replace(old, new, 1)
    put(made.path, SEALED, lines)
    write_again(made.path, made.pems[0])
    verified, named = verdict(made.path, made.keys[0])
    assert not verified
    assert named == entry


# --- deleted


@pytest.fixture
def expired(tmp_path: Path) -> Made:
    """A ledger whose first two days were deleted: with them the entry that changed the key."""
    made = ledgers.write(tmp_path / "ledger", [2, 2, 2], rotated=[1])
    writer = Writer(made.path, made.pems[-1], origin_name=NAME)
    now = START_MS + 2 * DAY_MS + 5000
    writer.open(now)
    assert Retention(writer, 0).expire(now) == 2
    writer.close()
    return made


def test_ledger_whose_oldest_segments_were_deleted_verifies_from_the_rest_on(expired: Made, tmp_path: Path) -> None:
    assert verdict(expired.path, expired.keys[-1]) == (True, None)
    witness = tmp_path / "witness"
    witness.write_text(expired.checkpoints[0])  # older than what is left
    assert verdict(expired.path, expired.keys[-1], witness) == (True, None)
    witness.write_text(expired.checkpoints[2])
    assert verdict(expired.path, expired.keys[-1], witness) == (True, None)


def test_key_that_nothing_is_left_of_verifies_no_more(expired: Made) -> None:
    verified, _ = verdict(expired.path, expired.keys[0])
    assert not verified


def test_any_bit_flipped_in_the_note_that_hashing_begins_behind_is_found(expired: Made) -> None:
    file = expired.path / f"{NEXT}.note"
    octets = file.read_bytes()
    for bit in range(len(octets) * 8):
        file.write_bytes(flipped(octets, bit))
        verified, _ = verdict(expired.path, expired.keys[-1])
        assert not verified, bit


def test_deletion_that_only_an_unsigned_entry_tells_of_is_found(made: Made) -> None:
    note = legwatch_verify.parse_note("", (made.path / f"{SEALED}.note").read_bytes())
    for part in ("jsonl.zst", "sums"):
        (made.path / f"{SEALED}.{part}").unlink()
    told = {"segment": SEALED, "first": 0, "size": note.size, "root": base64.b64encode(note.root).decode()}
    behind_the_checkpoint(made.path, {"kind": "deleted", "at": START_MS + 3 * DAY_MS - 1, "why": "kept", **told})
    assert verdict(made.path, made.keys[0]) == (False, 0)


@pytest.mark.parametrize("old", [b'"kind":"deleted","root"', f'"segment":"{NEXT}"'.encode(), b'"size":6,'])
def test_deletion_that_no_entry_tells_of_is_found(expired: Made, old: bytes) -> None:
    file = expired.path / f"{OPEN}.jsonl"
    octets = file.read_bytes()
    assert old in octets
    file.write_bytes(octets.replace(old, old[:-2] + b"7" + old[-1:]))
    (expired.path / f"{OPEN}.sums").unlink()
    base = (expired.path / f"{NEXT}.note").read_bytes()
    tree = legwatch_verify.parse_note("", base).edge
    assert tree is not None
    for line in file.read_bytes().splitlines():
        tree.append(legwatch_verify.leaf_hash(line))
    origin = base.decode().partition("\n")[0]
    text = f"{origin}\n{tree.size}\n{base64.b64encode(tree.root()).decode()}\n\n"
    (expired.path / "checkpoint").write_text(text)
    sign_again(expired.path / "checkpoint", expired.pems[-1])
    assert verdict(expired.path, expired.keys[-1]) == (False, 0)


# --- what a hostile reading found: both say the same of it


def behind(line: bytes) -> Mutation:
    """Put a line that no checkpoint is of behind the open segment."""
    return append(f"{OPEN}.jsonl", line + b"\n")


AT = START_MS + 3 * DAY_MS - 1
PUBLIC = base64.b64encode(b"\1" + bytes(32)).decode()


@pytest.mark.parametrize(
    "line",
    [
        b'\xef\xbb\xbf{"at":%d,"kind":"leg"}' % AT,
        f'{{"at":{AT},"kind":"leg"}}'.encode("utf-16-be"),
        b'{"at":%d,"kind":"leg","x":"\xed\xa0\x80"}' % AT,
        b'{"at":%d,"kind":"leg"}\r' % AT,
        b'{"at":%d,"kind":"leg","x":1e999}' % AT,
        b'{"at":%d,"kind":"leg","x":NaN}' % AT,
        b'{"at":%d,"at":%d,"kind":"leg"}' % (AT, AT),
        b'{"at":%d,"\\u0061t":%d,"kind":"leg"}' % (AT, AT),
        b'{"at":%d,"back":1,"kind":"leg","kind":"clock"}' % AT,
        b'{"at":%d,"kind":"clock","back":1}' % AT,
        b'{"at":%d,"back":9007199254740992,"kind":"clock"}' % AT,
        b'{"at":%d,"kind":"leg","x":%s}' % (AT, b"9" * 5000),
        b'{"at":%d,"kind":"key","old":"\\ud800+00000000+%s"}' % (AT, PUBLIC.encode()),
        b"",
    ],
)
def test_line_that_another_reader_may_read_otherwise_is_named(made: Made, line: bytes) -> None:
    behind(line)(made.path)
    assert verdict(made.path, made.keys[0]) == (False, 17)


@pytest.mark.parametrize("segment", [b"[]", b"{}", b"1", b"null"])
def test_deletion_of_no_segment_is_an_entry_like_others(made: Made, segment: bytes) -> None:
    behind(b'{"at":%d,"kind":"deleted","segment":%s,"size":1}' % (AT, segment))(made.path)
    assert verdict(made.path, made.keys[0]) == (True, None)


def packed(path: Path, octets: bytes) -> None:
    """Have a sealed segment hold octets, with the digest that is theirs."""
    digest = hashlib.sha256(octets).digest()
    (path / f"{NEXT}.jsonl.zst").write_bytes(octets + bytes.fromhex("502a4d1820000000") + digest)


def compressor(*, checksum: bool = True, size: bool = True) -> zstandard.ZstdCompressor:
    return zstandard.ZstdCompressor(write_checksum=checksum, write_content_size=size)


HIDDEN = bytes.fromhex("512a4d1806000000") + b"hidden"


@pytest.mark.parametrize(
    "form",
    [
        lambda text: compressor().compress(text[:200]) + compressor().compress(text[200:]),
        lambda text: compressor(checksum=False).compress(text),
        lambda text: compressor(size=False).compress(text),
        lambda text: HIDDEN + compressor().compress(text),
        lambda text: compressor().compress(text) + HIDDEN,
    ],
)
def test_frame_that_no_writer_makes_is_found(made: Made, form: Callable[[bytes], bytes]) -> None:
    text = b"".join(lines_of(made.path, NEXT))
    packed(made.path, compressor().compress(text))
    assert verdict(made.path, made.keys[0]) == (True, None)
    packed(made.path, form(text))
    assert verdict(made.path, made.keys[0]) == (False, 5)


def test_text_beside_what_is_compressed_that_is_another_is_found(made: Made) -> None:
    text = b"".join(lines_of(made.path, NEXT))
    (made.path / f"{NEXT}.jsonl").write_bytes(text)
    packed(made.path, compressor().compress(text.replace(b"clear", b"klear")))
    assert verdict(made.path, made.keys[0]) == (False, 5)
    (made.path / f"{NEXT}.jsonl.zst").write_bytes(b"nothing")
    assert verdict(made.path, made.keys[0]) == (False, 5)


def test_text_of_the_last_segments_that_is_missing_with_an_older_checkpoint_is_found(made: Made) -> None:
    for name in (f"{NEXT}.jsonl.zst", f"{NEXT}.sums", f"{OPEN}.jsonl", f"{OPEN}.sums"):
        (made.path / name).unlink()
    (made.path / "checkpoint").write_text(made.checkpoints[0])
    assert verdict(made.path, made.keys[0]) == (False, 5)


@pytest.mark.parametrize("name", ["00000009-20270101.note", "00000009-20270101.sums"])
def test_note_or_sums_behind_the_last_segment_are_found(made: Made, name: str) -> None:
    (made.path / name).write_bytes(b"x")
    assert verdict(made.path, made.keys[0]) == (False, 17)


@pytest.mark.parametrize("name", ["00000000-20200101.note.tsr", "00000099-20260101.note.tsr"])
@pytest.mark.parametrize("is_link", [True, False])
def test_time_stamp_of_no_note_does_not_matter(made: Made, name: str, is_link: bool) -> None:
    (made.path / name).symlink_to("/nowhere") if is_link else (made.path / name).write_bytes(b"x")
    assert verdict(made.path, made.keys[0]) == (True, None)


def test_directory_that_has_the_name_of_a_part_is_refused(made: Made) -> None:
    (made.path / "00000099-20260101.sums").mkdir()
    assert verdict(made.path, made.keys[0]) == (False, None)


def test_sums_left_of_a_segment_that_was_deleted_do_not_matter(expired: Made) -> None:
    (expired.path / f"{SEALED}.sums").write_bytes(b"four")
    assert verdict(expired.path, expired.keys[-1]) == (True, None)


def test_two_days_of_one_number_name_no_entry(made: Made) -> None:
    (made.path / "00000001-20260111.sums").write_bytes(b"")
    assert verdict(made.path, made.keys[0]) == (False, None)


@pytest.mark.parametrize(
    "line",
    ["foo\x01bar AAAAAAAA", "other AAAA", "a\u00a0b AAAAAAAA", "a\x85b AAAAAAAA", "a\u2028b AAAAAAAA", "a+b AAAAAAAA"],
)
def test_signature_by_somebody_else_that_is_no_signature_is_found(made: Made, line: str) -> None:
    append("checkpoint", f"— {line}\n".encode())(made.path)
    assert verdict(made.path, made.keys[0]) == (False, 10)


@pytest.mark.parametrize("size", ["9" * 16, "9" * 17, "9" * 19])
def test_size_that_no_ledger_has_is_found(made: Made, size: str) -> None:
    replace("checkpoint", b"\n15\n", f"\n{size}\n".encode())(made.path)
    assert verdict(made.path, made.keys[0]) == (False, 17 if len(size) == 16 else 10)


@pytest.mark.parametrize("name", [f"{SEALED}.sums", f"{SEALED}.jsonl.zst", f"{NEXT}.sums", f"{NEXT}.jsonl.zst"])
def test_segment_with_a_change_of_the_key_that_is_missing_is_named_itself(tmp_path: Path, name: str) -> None:
    made = ledgers.write(tmp_path / "ledger", [4, 5, 5], rotated=[1])
    (made.path / name).unlink()
    for key in made.keys:
        verified, entry = verdict(made.path, key)
        assert not verified
        assert entry == (0 if name.startswith(SEALED) else 5)


@pytest.mark.parametrize("name", [f"{SEALED}.note", f"{NEXT}.note"])
def test_note_and_checkpoint_that_were_swapped_name_the_segment(made: Made, name: str) -> None:
    swap(made.path / name, made.path / "checkpoint")
    assert verdict(made.path, made.keys[0]) == (False, 0 if name.startswith(SEALED) else 5)


def test_checkpoint_that_was_damaged_after_a_deletion_names_the_last_segment(expired: Made) -> None:
    (expired.path / "checkpoint").write_bytes(b"x")
    first = legwatch_verify.parse_note("", (expired.path / f"{NEXT}.note").read_bytes()).size
    assert verdict(expired.path, expired.keys[-1]) == (False, first)


@pytest.mark.parametrize("line", [b"\n", b'{"at":%d,"kind":"leg"}\n' % (START_MS + DAY_MS), b"a" * (1 << 20)])
def test_segment_that_unpacks_to_much_more_than_its_sums_is_not_read_on(made: Made, line: bytes) -> None:
    """A small file of 512 MiB."""
    size = 1 << 29
    octets, each = io.BytesIO(), line * ((1 << 20) // len(line))
    with compressor().stream_writer(octets, size=size // len(each) * len(each), closefd=False) as writer:
        for _ in range(size // len(each)):
            writer.write(each)
    packed(made.path, octets.getvalue())
    begin = time.process_time()
    assert verdict(made.path, made.keys[0]) == (False, 5)
    assert time.process_time() - begin < 5.0


@pytest.mark.parametrize("name", [f"{NEXT}.sums", f"{OPEN}.jsonl", f"{SEALED}.note.tsr"])
def test_file_of_a_terabyte_without_octets_is_refused(made: Made, name: str) -> None:
    with (made.path / name).open("ab") as file:
        file.truncate(1 << 40)
    for by in (by_theirs, by_ours):
        assert not by(made.path, made.keys[0], [], NOW_MS)[0]


# --- anything


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_both_verifiers_say_the_same_of_whatever_was_done(
    kept: Made, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    path = tmp_path_factory.mktemp("any") / "ledger"
    shutil.copytree(kept.path, path)
    for _ in range(data.draw(st.integers(1, 2))):
        file = data.draw(st.sampled_from(sorted(path.iterdir())))
        octets = file.read_bytes()
        start = data.draw(st.integers(0, len(octets)))
        end = data.draw(st.integers(start, min(len(octets), start + 8)))
        file.write_bytes(octets[:start] + data.draw(st.binary(max_size=8)) + octets[end:])
    verdict(path, kept.keys[0])
    shutil.rmtree(path.parent)


# --- the program


def run(*arguments: object, alone: bool = False) -> subprocess.CompletedProcess[str]:
    """Run it as an auditor does; ``alone`` without any package, so that openssl and zstd are asked."""
    flags = ["-I", "-S"] if alone else []
    command = [sys.executable, *flags, str(SCRIPT), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)


@pytest.mark.parametrize("alone", [False, True])
def test_program_says_what_it_verified(made: Made, tmp_path: Path, *, alone: bool) -> None:
    key, witness = tmp_path / "key", tmp_path / "witness"
    key.write_text(f"{made.keys[0]}\n")
    witness.write_text(made.checkpoints[1])
    done = run(made.path, "--key", key, "--witness", witness, alone=alone)
    origin = made.checkpoints[0].partition("\n")[0]
    assert done.stdout == (
        f"{origin}: verified, entries 0 to 14\n2 entries behind them are signed by no checkpoint yet\n"
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("alone", [False, True])
def test_program_names_the_entry_with_its_segment_and_line(made: Made, *, alone: bool) -> None:
    put(made.path, NEXT, edited(lines_of(made.path, NEXT)))
    done = run(made.path, "--key", made.keys[0], alone=alone)
    assert done.returncode == 1
    assert f"does not verify: entry 7 ({NEXT}, line 3): is not the entry that its sum is of" in done.stdout


@pytest.mark.parametrize("alone", [False, True])
def test_program_refuses_a_signature_that_is_wrong(made: Made, *, alone: bool) -> None:
    note = (made.path / "checkpoint").read_text()
    signed = bytearray(base64.b64decode(note.split()[-1]))
    signed[20] ^= 1
    (made.path / "checkpoint").write_text(note.replace(note.split()[-1], base64.b64encode(signed).decode()))
    done = run(made.path, "--key", made.keys[0], alone=alone)
    assert done.returncode == 1
    assert "entry 10 (checkpoint): has a signature that is wrong" in done.stdout


@pytest.mark.parametrize("alone", [False, True])
def test_program_says_what_of_a_damaged_file_cannot_be_read(made: Made, *, alone: bool) -> None:
    file = made.path / f"{NEXT}.jsonl.zst"
    file.write_bytes(file.read_bytes()[:-60])
    done = run(made.path, "--key", made.keys[0], alone=alone)
    assert done.returncode == 1
    assert "does not verify: entry 5 " in done.stdout


def test_program_without_openssl_and_package_says_that_it_could_not_try(made: Made) -> None:
    command = [sys.executable, "-I", "-S", str(SCRIPT), str(made.path), "--key", made.keys[0]]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={"PATH": "/nowhere"})
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    "arguments",
    [["DIR"], ["--key", "KEY"], ["DIR", "--key", "x+y+z"], ["/nowhere", "--key", "KEY"], ["DIR", "--key", "/nowhere"]],
)
def test_program_answers_wrong_use_with_status_2(made: Made, arguments: list[str]) -> None:
    named = {"DIR": str(made.path), "KEY": made.keys[0]}
    done = run(*(named.get(each, each) for each in arguments))
    assert done.returncode == 2
    assert "Traceback" not in done.stderr


def test_memory_does_not_grow_with_a_segment(tmp_path: Path) -> None:
    pem, path = new_pem(), tmp_path / "ledger"
    writer = Writer(path, pem, origin_name=NAME)
    writer.open(START_MS)
    filling = ["x" * 1000]
    for batch in range(60):
        writer.append([{"kind": "leg", "n": batch, "evidence": [*filling, n]} for n in range(2000)], START_MS + batch)
    writer.append([leg(0)], START_MS + DAY_MS)
    writer.close()
    compress_sealed(path)
    key = SigningKey.from_pem(pem, (path / "checkpoint").read_text().partition("\n")[0]).verifier
    code = f"""if True:
        import runpy, sys
        sys.argv = ["verify", {str(path)!r}, "--key", {str(key)!r}]
        try:
            runpy.run_path({str(SCRIPT)!r}, run_name="__main__")
        except SystemExit as end:
            peak = next(line for line in open("/proc/self/status") if line.startswith("VmHWM"))
            print(end.code, peak.split()[1])
    """
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    status, peak = done.stdout.split()[-2:]
    assert status == "0"
    assert int(peak) < 60_000  # KiB; the text alone has 120 MB


def test_verifier_imports_nothing_of_the_project() -> None:
    code = f"import runpy, sys; runpy.run_path({str(SCRIPT)!r}); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, check=True)
    loaded = {each.partition(".")[0] for each in done.stdout.split()}
    assert not loaded & {"sensor", "fastpath", "deploy", "legwatch"}
    assert loaded <= sys.stdlib_module_names | {each for each in loaded if each.startswith("_")}


def test_ledger_that_is_written_meanwhile_verifies(tmp_path: Path) -> None:
    """Through commits and the ends of days, at each of which files come and go."""
    pem, path = new_pem(), tmp_path / "ledger"
    writer = Writer(path, pem, origin_name=NAME)
    writer.open(START_MS)
    key = str(SigningKey.from_pem(pem, (path / "checkpoint").read_text().partition("\n")[0]).verifier)
    over = threading.Event()

    def write() -> None:
        number = 0
        while not over.is_set():
            now = START_MS + number * (DAY_MS // 40)
            writer.append([leg(number + each) for each in range(20)], now)
            writer.commit()
            number += 1

    thread = threading.Thread(target=write)
    thread.start()
    try:
        sizes: set[int] = set()
        give_up = time.monotonic() + 120
        while (len(sizes) < 20 or len(list(path.glob("*.note"))) < 3) and time.monotonic() < give_up:
            ledger = legwatch_verify.Ledger(path, [legwatch_verify.parse_key(key)], None, NOW_MS * 2)
            ledger.verify([])
            assert not ledger.faults
            result = verify(path, [VerifierKey.parse(key)], now_ms=NOW_MS * 2)
            assert not result.faults
            sizes.add(result.size)
    finally:
        over.set()
        thread.join()
        writer.close()
    assert len(sizes) >= 20
