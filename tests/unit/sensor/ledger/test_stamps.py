"""Time stamps of notes, by `openssl ts` on loopback: asked for, and verified by both verifiers."""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from deploy.verify import legwatch_verify
from sensor.cli import main
from sensor.ledger import stamps
from tests import ledgers
from tests.authority import Authority, authority
from tests.ledgers import Made

NOTE = "00000000-20260108.note"


@pytest.fixture(scope="module")
def tsa(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Authority]:
    with authority(tmp_path_factory.mktemp("authority")) as running:
        yield running


@pytest.fixture(scope="module")
def stamped(tmp_path_factory: pytest.TempPathFactory, tsa: Authority) -> Made:
    made = ledgers.write(tmp_path_factory.mktemp("stamped") / "ledger", [2, 2, 2])
    assert main(["ledger", "stamp", "--ledger", str(made.path), "--tsa", tsa.url, "--ca", str(tsa.certificate)]) == 0
    return made


@pytest.fixture
def made(stamped: Made, tmp_path: Path) -> Made:
    shutil.copytree(stamped.path, tmp_path / "ledger")
    return stamped._replace(path=tmp_path / "ledger")


def verified(made: Made, *arguments: object) -> tuple[int, int]:
    """The status of ours, and of the independent one."""
    words = [str(each) for each in ("--key", made.keys[0], *arguments)]
    return main(["ledger", "verify", str(made.path), *words]), legwatch_verify.main([str(made.path), *words])


def test_each_sealed_note_gets_a_stamp_once(made: Made, tsa: Authority, capsys: pytest.CaptureFixture[str]) -> None:
    assert sorted(each.name for each in made.path.glob("*.tsr")) == [
        "00000000-20260108.note.tsr",
        "00000001-20260109.note.tsr",
    ]
    before = {each: each.read_bytes() for each in made.path.glob("*.tsr")}
    assert main(["ledger", "stamp", "--ledger", str(made.path), "--tsa", tsa.url]) == 0
    assert capsys.readouterr().out == "0 notes were stamped\n"
    assert before == {each: each.read_bytes() for each in made.path.glob("*.tsr")}


def test_stamps_verify_with_the_certificate_and_are_told_without(
    made: Made, tsa: Authority, capsys: pytest.CaptureFixture[str]
) -> None:
    assert verified(made, "--tsa-ca", tsa.certificate) == (0, 0)
    said = capsys.readouterr().out
    assert said.count(f"{NOTE} was there at 20") == 2
    assert "not looked at" not in said
    assert verified(made) == (0, 0)
    assert capsys.readouterr().out.count("who signed that was not looked at") == 4


def test_stamp_of_another_note_is_found_without_any_certificate(made: Made) -> None:
    shutil.copy(made.path / "00000001-20260109.note.tsr", made.path / f"{NOTE}.tsr")
    assert verified(made) == (1, 1)


def test_stamp_by_another_authority_is_found(
    made: Made, tsa: Authority, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with authority(tmp_path) as other:
        (made.path / f"{NOTE}.tsr").write_bytes(stamps.ask(other.url, (made.path / NOTE).read_bytes()))
    assert verified(made) == (0, 0)
    capsys.readouterr()
    assert verified(made, "--tsa-ca", tsa.certificate) == (1, 1)
    assert capsys.readouterr().out.count("is not signed by that authority") == 2


def test_stamp_that_is_damaged_anywhere_ends_in_a_verdict(made: Made, tsa: Authority) -> None:
    """Of what nobody signed in a stamp a bit may change unnoticed; nothing in it makes a verifier stumble."""
    stamp, note = made.path / f"{NOTE}.tsr", made.path / NOTE
    octets = stamp.read_bytes()
    roots = stamps.authority_of(tsa.certificate.read_bytes())
    for bit in range(0, len(octets) * 8, 3):
        changed = bytearray(octets)
        changed[bit >> 3] ^= 1 << (bit & 7)
        stamp.write_bytes(changed)
        for check in (
            lambda: stamps.check(note.read_bytes(), stamp.read_bytes(), roots),
            lambda: legwatch_verify.check_stamp(note, stamp, None),
        ):
            with suppress(stamps.StampError, legwatch_verify.MisfitError):
                check()


@pytest.mark.parametrize("octets", [b"", b"0", b"\x30\x80", b"\x30\x84\xff\xff\xff\xff", bytes(3000), b"\x30" * 500])
def test_file_that_is_no_stamp_is_said(made: Made, octets: bytes) -> None:
    (made.path / f"{NOTE}.tsr").write_bytes(octets)
    assert verified(made) == (1, 1)


@pytest.mark.parametrize("url", ["http://127.0.0.1:9/tsr", "nothing", "ftp://127.0.0.1/x", "http://[::1"])
def test_authority_that_cannot_be_asked_is_one_line(
    tmp_path: Path, url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    made = ledgers.write(tmp_path / "ledger", [1, 1])
    assert main(["ledger", "stamp", "--ledger", str(made.path), "--tsa", url]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert not list(made.path.glob("*.tsr"))


def test_authority_whose_certificate_is_another_gives_no_stamp(
    tmp_path: Path, tsa: Authority, capsys: pytest.CaptureFixture[str]
) -> None:
    made = ledgers.write(tmp_path / "ledger", [1, 1])
    with authority(tmp_path) as other:
        words = ["--tsa", tsa.url, "--ca", str(other.certificate)]
        assert main(["ledger", "stamp", "--ledger", str(made.path), *words]) == 2
    assert "is not signed by that authority" in capsys.readouterr().err
    assert not list(made.path.glob("*.tsr"))


def test_stamp_that_was_given_before_is_no_answer(tsa: Authority) -> None:
    """Somebody between who keeps an answer, so that a note seems to be older."""
    certificate = stamps.authority_of(tsa.certificate.read_bytes())
    assert stamps.ask(tsa.url, b"a note", certificate)
    with pytest.raises(stamps.StampError, match="another question"):
        stamps.ask(f"{tsa.url}/replay", b"a note", certificate)


def test_verifying_without_stamps_loads_nothing_for_them(tmp_path: Path) -> None:
    made = ledgers.write(tmp_path / "ledger", [1, 1])
    code = (
        "import sys; from sensor.cli import main; "
        f"status = main(['ledger', 'verify', {str(made.path)!r}, '--key', {made.keys[0]!r}]); "
        "assert 'rfc3161_client' not in sys.modules; sys.exit(status)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
