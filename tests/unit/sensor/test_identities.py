"""Telephone identities leave only as keyed pseudonyms."""

from __future__ import annotations

from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sensor.identities import Mode, Pseudonyms

KEY = bytes(range(32))


def keyed(key: bytes = KEY, epoch: int = 1, mode: Mode = "pseudonym") -> Pseudonyms:
    names = Pseudonyms(mode)
    names.set_key(epoch, key)
    return names


def test_same_key_same_identity_gives_same_pseudonym() -> None:
    assert keyed().of("+15550100") == keyed().of("+15550100")


def test_other_key_gives_other_pseudonym() -> None:
    assert keyed().of("+15550100") != keyed(bytes(32)).of("+15550100")


def test_no_key_draws_a_new_one_for_each_run() -> None:
    assert Pseudonyms().of("+15550100") != Pseudonyms().of("+15550100")


def test_same_text_of_another_kind_gives_another_pseudonym() -> None:
    names = keyed()
    assert names.of("alice", "user").removeprefix("user-") != names.of("alice", "call").removeprefix("call-")


def test_reveal_gives_the_identity_itself() -> None:
    assert keyed(mode="reveal").of("+15550100") == "+15550100"


def test_nothing_stays_nothing() -> None:
    assert keyed().of("") == ""


@given(st.text(min_size=4))
def test_any_identity_never_appears_in_its_pseudonym(identity: str) -> None:
    pseudonym = keyed().of(identity)
    assert identity not in pseudonym.removeprefix("user-1-")
    assert len(pseudonym) == len("user-1-") + 12


@given(st.binary(min_size=1, max_size=64))
def test_bytes_of_the_wire_decoded_with_escapes_are_accepted(raw: bytes) -> None:
    assert keyed().of(raw.decode("utf-8", "surrogateescape")).startswith("user-")


def test_another_epoch_shows_in_the_pseudonym() -> None:
    assert keyed(epoch=2).of("+15550100").startswith("user-2-")


@pytest.mark.parametrize(
    ("identity", "masked"),
    [("+15551234567", "…67"), ("1001", "…"), ("10012", "…12"), ("alice", "…"), ("front-desk-12", "…12"), ("", "")],
)
def test_masked_identity_shows_the_end_of_a_long_number_only(identity: str, masked: str) -> None:
    assert keyed(mode="mask").of(identity) == masked


def test_masked_calls_stay_pseudonyms() -> None:
    assert keyed(mode="mask").of("5551234567@pbx", "call") == keyed().of("5551234567@pbx", "call")


@pytest.mark.parametrize("mode", get_args(Mode))
def test_host_is_a_pseudonym_whatever_is_shown_of_identities(mode: Mode) -> None:
    assert keyed(mode=mode).host("10.0.0.1") == keyed().host("10.0.0.1")
    assert keyed(mode=mode).host("10.0.0.1").startswith("host-1-")
    assert keyed(mode=mode).host("") == ""
