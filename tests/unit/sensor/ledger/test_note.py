"""Signed notes and the keys that sign them: C2SP signed-note and tlog-checkpoint."""

import pytest

from sensor.ledger.keys import KeyFormatError, SigningKey, VerifierKey, new_pem
from sensor.ledger.merkle import Edge, leaf_hash
from sensor.ledger.note import Checkpoint, NoteError, opened, sign, verified

# The example of the specification, which is that of Go's golang.org/x/mod/sumdb/note
PETER = VerifierKey.parse("PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW")
SAYING = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n"
SIGNATURE = "x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM="
NOTE = f"{SAYING}\n— PeterNeumann {SIGNATURE}\n"
ORIGIN = "legwatch/north-wing/5d41402a"
KEY = SigningKey.from_pem(new_pem(), ORIGIN)
OTHER = SigningKey.from_pem(new_pem(), ORIGIN)


def edge(size: int) -> Edge:
    tree = Edge()
    tree.extend(leaf_hash(str(number).encode()) for number in range(size))
    return tree


def test_note_of_the_specification_is_by_its_key() -> None:
    assert verified(NOTE, [PETER]) == (SAYING, PETER)


def test_note_of_the_specification_with_any_octet_changed_is_by_nobody() -> None:
    octets = NOTE.encode()
    for place in range(len(octets)):
        changed = (octets[:place] + bytes([octets[place] ^ 1]) + octets[place + 1 :]).decode(errors="replace")
        with pytest.raises(NoteError):
            verified(changed, [PETER])


def test_verifier_key_is_written_as_it_was_read() -> None:
    assert str(PETER) == "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "PeterNeumann",
        "+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        "a b+c74f20a3+AA==",
        "PeterNeumann+c74f20a4+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        str(PETER).replace("ARpc", "AhpC"),
        str(PETER)[:-4],
        f"{PETER}=",
    ],
)
def test_text_that_is_no_verifier_key_is_refused(text: str) -> None:
    with pytest.raises(KeyFormatError):
        VerifierKey.parse(text)


@pytest.mark.parametrize("origin", ["", "two words", "a+b", "line\nend", "space\u2003wide"])
def test_name_that_notes_do_not_allow_is_refused(origin: str) -> None:
    with pytest.raises(KeyFormatError, match="no name of a key"):
        SigningKey.from_pem(new_pem(), origin)


@pytest.mark.parametrize("octets", [b"", b"-----BEGIN PRIVATE KEY-----\n-----END PRIVATE KEY-----\n", b"\xff"])
def test_file_that_is_no_key_is_refused(octets: bytes) -> None:
    with pytest.raises(KeyFormatError, match="no private key"):
        SigningKey.from_pem(octets, ORIGIN)


@pytest.mark.parametrize("with_edge", [False, True])
@pytest.mark.parametrize("size", [1, 3, 64, 1_000])
def test_checkpoint_is_read_as_it_was_signed(size: int, with_edge: bool) -> None:
    checkpoint = Checkpoint.of(ORIGIN, edge(size), with_edge=with_edge)
    assert opened(sign(str(checkpoint), KEY), [OTHER.verifier, KEY.verifier]) == checkpoint
    tree = checkpoint.tree()
    assert (tree is not None and tree.root() == edge(size).root()) is with_edge


def test_checkpoint_has_the_lines_that_the_format_says() -> None:
    lines = str(Checkpoint.of(ORIGIN, edge(3), with_edge=True)).split("\n")
    assert lines[:2] == [ORIGIN, "3"]
    assert len(lines[2]) == 44
    assert lines[3].startswith("edge ")
    assert lines[4:] == [""]


def test_checkpoint_by_another_key_is_refused() -> None:
    with pytest.raises(NoteError, match="not signed by a key that is trusted"):
        opened(sign(str(Checkpoint.of(ORIGIN, edge(3))), OTHER), [KEY.verifier])


def test_checkpoint_of_another_origin_is_refused_though_the_key_signed_it() -> None:
    with pytest.raises(NoteError, match="another origin"):
        opened(sign(str(Checkpoint.of("legwatch/south", edge(3))), KEY), [KEY.verifier])


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace("\n3\n", "\n03\n"),
        lambda text: text.replace("\n3\n", "\n-3\n"),
        lambda text: text.replace("\n3\n", "\n\u0663\n"),
        lambda text: text.replace("\n3\n", f"\n{'9' * 5000}\n"),
        lambda text: text.replace("\n3\n", "\n2\n"),
        lambda text: text.replace("edge ", "edges "),
        lambda text: text.replace("edge ", "edge AAAA"),
        lambda text: text + "more\n",
        lambda text: "\n".join(text.split("\n")[:2]) + "\n",
    ],
)
def test_text_that_is_no_checkpoint_is_refused_though_it_is_signed(change: object) -> None:
    assert callable(change)
    text = change(str(Checkpoint.of(ORIGIN, edge(3), with_edge=True)))
    with pytest.raises(NoteError):
        opened(sign(text, KEY), [KEY.verifier])
