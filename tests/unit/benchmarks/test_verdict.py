"""The evaluation of the verdict: what needs no media, seeded and small, and what must hold of it."""

import random
import struct
from collections.abc import Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from benchmarks.verdict.report import NEVER, Limit, Row, at, lost, shares
from tests.packets import speech

pytest.importorskip("numpy", reason="the media are made with numpy")

from benchmarks.media import VARIANTS, Packet, cache, container, streams
from benchmarks.verdict import clear, families, negatives, null, protected, unknown
from benchmarks.verdict.sending import Listener, endless, starts
from benchmarks.verdict.srtp import SUITES, WITH_MKI, Suite
from fastpath.engine import shipped_tables

PCMU = next(variant for variant in VARIANTS if variant.name == "pcmu-20")
HEADER = struct.pack(">BBHII", 0x80, 0, 7, 160, 0xDECAFBAD)


@pytest.fixture(scope="module", autouse=True)
def _scratch(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LEGWATCH_BENCH", str(tmp_path_factory.mktemp("compiled")))
        yield


@pytest.fixture
def pool() -> Iterator[Executor]:
    with ThreadPoolExecutor(1) as only:
        yield only


@pytest.fixture
def own_media(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Test contents of one variant, made here: the real encoders are no part of the test."""
    monkeypatch.setenv("LEGWATCH_MEDIA", str(tmp_path))
    for number, stream in enumerate(list(streams("test", "pcmu-20", made=False))[:2]):
        sound = speech(400, seed=number + 1)
        container.write(stream.path, [Packet(False, 160 * index, payload) for index, payload in enumerate(sound)])
    assert cache() == tmp_path


def test_ciphertext_never_exceeds_the_bound(pool: Executor) -> None:
    (figure, curve) = null.rows(pool, 20_000, seed=1)
    assert figure.kept, f"{figure}\n{curve}"


def test_payloads_that_repeat_exceed_the_bound() -> None:
    """The simulation can fail: what an MKI of eight octets covers twice over is not uniform."""
    shape = null.Shape(96, (9,), tail=0, mki_octets=8)
    done, reached = null.simulate(shape, 200, seed=1)
    assert reached[40] == done >= 200


@pytest.mark.parametrize("suite", [*SUITES, *WITH_MKI], ids=lambda suite: suite.name)
def test_protected_speech_is_never_clear_and_called_encrypted(suite: Suite) -> None:
    packets = [Packet(False, 160 * index, payload) for index, payload in enumerate(speech(200))]
    sender = Listener().sender(PCMU, protect=suite.keyed(random.Random(1)), repeats=0.05)
    (verdict,) = sender.send(packets)
    assert (verdict.protection, verdict.grade) == ("encrypted", "proved")
    assert verdict.packet <= 10


@pytest.mark.usefixtures("own_media")
def test_clear_speech_is_clear_and_stays_so() -> None:
    found = clear.hear("pcmu-20", contents=2, evenly=4, back_to_back=4)
    assert (len(found.said), found.alone, found.encrypted, found.changes) == (8, 8, (), 0)
    assert max(found.said) <= 10


@pytest.mark.usefixtures("own_media")
def test_protected_media_count_false_clear_and_delay() -> None:
    found = protected.hear("pcmu-20", contents=1, seed=1)
    assert len(found) == len(SUITES) + len(WITH_MKI)
    assert all(each.packets <= 10 and not each.wrong for each in found)


@pytest.mark.usefixtures("own_media")
def test_null_cipher_is_clear() -> None:
    assert {each.packets <= 10 for each in protected.hear_null("pcmu-20", contents=2, seed=1)} == {True}


def test_family_left_out_has_no_table() -> None:
    assert "g729" in shipped_tables().codecs
    assert "g729" not in families.without("G.729").codecs
    assert set(families.without("G.726").codecs) < set(shipped_tables().codecs)


@pytest.mark.usefixtures("own_media")
def test_unknown_codec_is_counted() -> None:
    found = unknown.hear("GSM", "pcmu-20", contents=2, starts=2, own_type=False)
    assert (len(found.clear), found.inferred, found.proved) == (4, 0, 0)


def test_what_is_no_rtp_is_not_taken_for_it(pool: Executor) -> None:
    (row,) = negatives.rows(pool, 20, seed=1)
    assert row.kept, str(row)


def test_aead_suite_seals_what_opens_again() -> None:
    (sealed,) = Suite(16, 0, mki_octets=4, aead=True).keyed(random.Random(3))([(HEADER, b"speech")], 7)
    rng = random.Random(3)
    key, salt = rng.randbytes(16), rng.randbytes(14)
    counter = b"\0\0" + HEADER[8:12] + (7).to_bytes(6, "big")
    nonce = bytes(one ^ other for one, other in zip(counter, salt[:12], strict=True))
    assert AESGCM(key).decrypt(nonce, sealed[:-4], HEADER) == b"speech"


def test_counter_mode_gives_packets_of_one_call_the_same_as_one_by_one() -> None:
    suite = Suite(16, 10)
    pair = [(HEADER, bytes(33)), (HEADER, bytes(20))]
    together = suite.keyed(random.Random(1))(pair, 65535)
    protect = suite.keyed(random.Random(1))
    assert together == protect(pair[:1], 65535) + protect(pair[1:], 65536)
    assert [len(payload) for payload in together] == [43, 30]


def test_stream_that_ends_begins_again_later() -> None:
    once = [Packet(False, 0, b"a"), Packet(False, 160, b"b")]
    again = endless(once)
    assert [next(again).timestamp for _ in range(5)] == [0, 160, 320, 480, 640]
    assert starts(once * 100, 4) == [0, 50, 100, 150]


def test_figures_of_delays() -> None:
    values = [1] * 98 + [7, NEVER]
    assert (at(values, 0.5), at(values, 0.99), lost(values)) == (1, 7, 1)
    assert shares(values) == "1/1/7/never/never"
    assert Row("what", "5", Limit(4, "<= 4"), 5).kept is False
    assert str(Row("what", "4", Limit(4, "<= 4"), 4)).endswith("ok")
