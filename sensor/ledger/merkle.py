"""The tree over all entries: RFC 6962 section 2.1; proofs are verified by the rules of RFC 9162 section 2.1."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

HASH_OCTETS = 32
EMPTY_ROOT = hashlib.sha256().digest()

Range = tuple[int, int]  # of leaves: the first, and the first behind

_sha256 = hashlib.sha256


def leaf_hash(octets: bytes) -> bytes:
    """Return the hash of an entry."""
    return _sha256(b"\0" + octets).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return the hash above two others."""
    return _sha256(b"\1" + left + right).digest()


class Edge:
    """A tree that grows, as the roots of the perfect subtrees that it is made of, the largest first."""

    def __init__(self, size: int = 0, hashes: Iterable[bytes] = ()) -> None:
        """Raises ValueError when a tree of this size has another number of them."""
        self.size = size
        self._hashes = list(hashes)
        if size < 0 or len(self._hashes) != size.bit_count() or any(len(each) != HASH_OCTETS for each in self._hashes):
            raise ValueError("an edge has one hash for each bit that is set in its size")

    @property
    def hashes(self) -> tuple[bytes, ...]:
        """The roots."""
        return tuple(self._hashes)

    def append(self, leaf: bytes) -> None:
        """Take the hash of the next entry."""
        self.extend((leaf,))

    def extend(self, leaves: Iterable[bytes]) -> None:
        """Take the hashes of the next entries."""
        size, hashes = self.size, self._hashes
        pop, push, sha256 = hashes.pop, hashes.append, _sha256
        for leaf in leaves:
            full, node = size, leaf
            while full & 1:
                node = sha256(b"\1" + pop() + node).digest()
                full >>= 1
            push(node)
            size += 1
        self.size = size

    def root(self) -> bytes:
        """Return the root."""
        hashes = self._hashes
        if not hashes:
            return EMPTY_ROOT
        root = hashes[-1]
        for left in hashes[-2::-1]:
            root = node_hash(left, root)
        return root

    def within(self, first: int, end: int) -> Edge:
        """Return the edge of those of its leaves that are in a range, none of whose subtrees is cut."""
        hashes, size = [], 0
        for (start, stop), node in zip(perfect(self.size), self._hashes, strict=True):
            if first <= start and stop <= end:
                hashes.append(node)
                size += stop - start
        return Edge(size, hashes)

    def copy(self) -> Edge:
        """Return one that grows by itself."""
        return Edge(self.size, self._hashes)


def perfect(size: int) -> Iterator[Range]:
    """Return the leaves of each perfect subtree of a tree, the largest first."""
    start = 0
    while start < size:
        stop = start + (1 << (size - start).bit_length() - 1)
        yield start, stop
        start = stop


def inclusion_ranges(size: int, index: int) -> list[Range]:
    """Return the leaves whose roots are the proof that a leaf is in a tree (RFC 6962 section 2.1.1), in its order."""
    if not 0 <= index < size:
        raise ValueError(f"a tree of {size} has no leaf {index}")
    ranges, first, end = [], 0, size
    while end - first > 1:
        middle = first + _split(end - first)
        if index < middle:
            ranges.append((middle, end))
            end = middle
        else:
            ranges.append((first, middle))
            first = middle
    return ranges[::-1]


def consistency_ranges(size: int, former: int) -> list[Range]:
    """Return the leaves whose roots are the proof that a tree goes on from a former one (RFC 6962 section 2.1.2)."""
    if not 0 < former <= size:
        raise ValueError(f"a tree of {size} cannot go on from one of {former}")
    ranges, first, end, whole = [], 0, size, True
    while former != end:
        middle = first + _split(end - first)
        if former <= middle:
            ranges.append((middle, end))
            end = middle
        else:
            ranges.append((first, middle))
            first, whole = middle, False
    if not whole:
        ranges.append((first, end))
    return ranges[::-1]


def _split(size: int) -> int:
    """Return how many leaves are in the left half: the greatest power of two below ``size``."""
    return 1 << (size - 1).bit_length() - 1


def root_of_inclusion(leaf: bytes, index: int, size: int, proof: Sequence[bytes]) -> bytes:
    """Return the root of the tree that a proof shows a leaf in (RFC 9162 section 2.1.3.2).

    Raises ValueError for a proof of the wrong length.
    """
    ranges = inclusion_ranges(size, index)
    if len(proof) != len(ranges):
        raise ValueError(f"the proof has {len(proof)} hashes in place of {len(ranges)}")
    root = leaf
    for (first, _), node in zip(ranges, proof, strict=True):
        root = node_hash(root, node) if first > index else node_hash(node, root)
    return root


def verify_consistency(former: int, former_root: bytes, size: int, root: bytes, proof: Sequence[bytes]) -> bool:
    """Say whether a proof shows that a tree goes on from a former one (RFC 9162 section 2.1.4.2)."""
    if former == size:
        return not proof and former_root == root
    if former == 0:
        return not proof and former_root == EMPTY_ROOT
    if not 0 < former < size:
        return False
    ranges = consistency_ranges(size, former)
    if len(proof) != len(ranges):
        return False
    nodes = list(proof)
    # A former tree that is perfect is a subtree of the other: then its root begins, and else what is in both.
    start = (0, former) if former & (former - 1) == 0 else ranges.pop(0)
    before = after = former_root if start[0] == 0 else nodes.pop(0)
    for (first, _), node in zip(ranges, nodes, strict=True):
        if first >= former:
            after = node_hash(after, node)
        else:
            before, after = node_hash(node, before), node_hash(node, after)
    return before == former_root and after == root
