"""Inputs that fuzzing found worth keeping, replayed."""

from __future__ import annotations

import pytest

from tests.fuzz.__main__ import CORPUS
from tests.fuzz.seeds import seeds
from tests.fuzz.targets import TARGETS

KEPT = sorted(path for path in CORPUS.rglob("*") if path.is_file())


@pytest.mark.parametrize("target", TARGETS)
def test_seeds_do_no_harm(target: str) -> None:
    assert seeds()[target]
    for octets in seeds()[target]:
        TARGETS[target](octets)


@pytest.mark.parametrize("target", TARGETS)
def test_corpus_does_no_harm(target: str) -> None:
    inputs = [path for path in KEPT if path.parent.name == target]
    assert inputs
    for path in inputs:
        TARGETS[target](path.read_bytes())
