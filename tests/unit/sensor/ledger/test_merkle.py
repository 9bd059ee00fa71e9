"""The tree: RFC 6962 section 2.1, its proofs, and the edge by which a segment is verified alone."""

from itertools import pairwise

import pytest

from sensor.ledger.merkle import (
    EMPTY_ROOT,
    Edge,
    consistency_ranges,
    inclusion_ranges,
    leaf_hash,
    node_hash,
    root_of_inclusion,
    verify_consistency,
)

# The vectors of Certificate Transparency's reference implementation (merkletree/merkle_tree_test.cc).
LEAVES = [
    leaf_hash(bytes.fromhex(text))
    for text in (
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    )
]
ROOTS = (
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
)
LEAF_1 = "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7"
LEAVES_2_3 = "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e"
LEAVES_4_7 = "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4"
LEAF_4 = "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b"
LEAVES_6_7 = "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0"
LEAVES_4_5 = "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a"
MANY = [leaf_hash(str(number).encode()) for number in range(65)]


def root(leaves: list[bytes]) -> bytes:
    """The definition, word for word."""
    if len(leaves) < 2:
        return leaves[0] if leaves else EMPTY_ROOT
    split = 1
    while split * 2 < len(leaves):
        split *= 2
    return node_hash(root(leaves[:split]), root(leaves[split:]))


def inclusion_proof(leaves: list[bytes], index: int) -> list[bytes]:
    return [root(leaves[first:end]) for first, end in inclusion_ranges(len(leaves), index)]


def consistency_proof(leaves: list[bytes], former: int) -> list[bytes]:
    return [root(leaves[first:end]) for first, end in consistency_ranges(len(leaves), former)]


def hexes(hashes: list[bytes]) -> list[str]:
    return [each.hex() for each in hashes]


@pytest.mark.parametrize("size", range(9))
def test_tree_of_the_reference_has_its_root(size: int) -> None:
    edge = Edge()
    edge.extend(LEAVES[:size])
    assert edge.root().hex() == ROOTS[size]


@pytest.mark.parametrize(
    ("size", "index", "proof"),
    [
        (1, 0, []),
        (8, 0, [LEAF_1, LEAVES_2_3, LEAVES_4_7]),
        (8, 5, [LEAF_4, LEAVES_6_7, ROOTS[4]]),
        (3, 2, [ROOTS[2]]),
        (5, 1, [ROOTS[1], LEAVES_2_3, LEAF_4]),
    ],
)
def test_leaf_of_the_reference_has_its_proof_of_inclusion(size: int, index: int, proof: list[str]) -> None:
    assert hexes(inclusion_proof(LEAVES[:size], index)) == proof


@pytest.mark.parametrize(
    ("size", "former", "proof"),
    [
        (1, 1, []),
        (8, 1, [LEAF_1, LEAVES_2_3, LEAVES_4_7]),
        (8, 6, [LEAVES_4_5, LEAVES_6_7, ROOTS[4]]),
        (5, 2, [LEAVES_2_3, LEAF_4]),
    ],
)
def test_tree_of_the_reference_has_its_proof_of_consistency(size: int, former: int, proof: list[str]) -> None:
    assert hexes(consistency_proof(LEAVES[:size], former)) == proof


@pytest.mark.parametrize("size", range(65))
def test_edge_of_any_size_gives_the_root_and_goes_on_from_its_hashes(size: int) -> None:
    edge = Edge()
    edge.extend(MANY[:size])
    assert edge.root() == root(MANY[:size])
    again = Edge(size, edge.hashes)
    again.append(MANY[size])
    assert again.root() == root(MANY[: size + 1])


def test_edge_with_a_hash_too_few_is_refused() -> None:
    with pytest.raises(ValueError, match="one hash for each bit"):
        Edge(3, [LEAVES[0]])


@pytest.mark.parametrize("size", range(1, 65))
def test_every_leaf_of_any_size_has_a_proof_that_gives_the_root(size: int) -> None:
    for index in range(size):
        proof = inclusion_proof(MANY[:size], index)
        assert root_of_inclusion(MANY[index], index, size, proof) == root(MANY[:size])


@pytest.mark.parametrize("size", [1, 2, 3, 7, 8, 21, 64])
def test_proof_of_inclusion_with_anything_changed_gives_another_root(size: int) -> None:
    whole = root(MANY[:size])
    for index in range(size):
        proof = inclusion_proof(MANY[:size], index)
        assert root_of_inclusion(MANY[64], index, size, proof) != whole
        for place in range(len(proof)):
            assert root_of_inclusion(MANY[index], index, size, [*proof[:place], MANY[64], *proof[place + 1 :]]) != whole
        for wrong in [proof[:-1], [*proof, MANY[64]]] if proof else [[MANY[64]]]:
            with pytest.raises(ValueError, match="hashes in place of"):
                root_of_inclusion(MANY[index], index, size, wrong)


@pytest.mark.parametrize("size", range(1, 65))
def test_tree_of_any_size_is_shown_to_go_on_from_every_former_one(size: int) -> None:
    for former in range(1, size + 1):
        proof = consistency_proof(MANY[:size], former)
        assert verify_consistency(former, root(MANY[:former]), size, root(MANY[:size]), proof)


@pytest.mark.parametrize("size", [1, 2, 3, 7, 8, 21, 64])
def test_proof_of_consistency_with_anything_changed_shows_nothing(size: int) -> None:
    roots = [root(MANY[:each]) for each in range(size + 1)]
    for former in range(1, size + 1):
        proof = consistency_proof(MANY[:size], former)
        assert not verify_consistency(former, MANY[64], size, roots[size], proof)
        assert not verify_consistency(former, roots[former], size, MANY[64], proof)
        for wrong in (*([*proof[:at], MANY[64], *proof[at + 1 :]] for at in range(len(proof))), [*proof, MANY[64]]):
            assert not verify_consistency(former, roots[former], size, roots[size], wrong)
    for former, later in pairwise(range(size)):
        assert not verify_consistency(later, roots[later], former, roots[former], [])


def test_leaf_that_is_not_in_the_tree_has_no_proof() -> None:
    for index in (-1, 8):
        with pytest.raises(ValueError, match="no leaf"):
            inclusion_proof(LEAVES, index)
    for former in (0, 9):
        with pytest.raises(ValueError, match="cannot go on from"):
            consistency_proof(LEAVES, former)
