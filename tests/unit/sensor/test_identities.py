"""Telephone identities leave only as keyed pseudonyms."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sensor.identities import Pseudonyms

KEY = bytes(range(32))


def test_same_key_same_identity_gives_same_pseudonym() -> None:
    assert Pseudonyms(KEY).of("+15550100") == Pseudonyms(KEY).of("+15550100")


def test_other_key_gives_other_pseudonym() -> None:
    assert Pseudonyms(KEY).of("+15550100") != Pseudonyms(bytes(32)).of("+15550100")


def test_no_key_draws_a_new_one_for_each_run() -> None:
    assert Pseudonyms().of("+15550100") != Pseudonyms().of("+15550100")


def test_same_text_of_another_kind_gives_another_pseudonym() -> None:
    names = Pseudonyms(KEY)
    assert names.of("alice", "user").removeprefix("user-") != names.of("alice", "call").removeprefix("call-")


def test_reveal_gives_the_identity_itself() -> None:
    assert Pseudonyms(KEY, reveal=True).of("+15550100") == "+15550100"


def test_nothing_stays_nothing() -> None:
    assert Pseudonyms(KEY).of("") == ""


@given(st.text(min_size=4))
def test_any_identity_never_appears_in_its_pseudonym(identity: str) -> None:
    pseudonym = Pseudonyms(KEY).of(identity)
    assert identity not in pseudonym.removeprefix("user-")
    assert len(pseudonym) == len("user-") + 12


@given(st.binary(min_size=1, max_size=64))
def test_bytes_of_the_wire_decoded_with_escapes_are_accepted(raw: bytes) -> None:
    assert Pseudonyms(KEY).of(raw.decode("utf-8", "surrogateescape")).startswith("user-")
