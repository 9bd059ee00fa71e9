"""What the call map shows: endpoints in their segments, bundled where there are many, and what was between them."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from sensor.model import WORSE

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from sensor.model import Protection

OUTSIDE = "outside"
_SIDES = {"outside": 0, "trunk": 0, "remote": 0, "sbc": 1, "server": 1, "management": 1}
PHONES = 2  # the side of everything else
_HUB = 3  # other ends, from which on an endpoint is shown by itself where there is room

States = Counter[str]


class Segment(NamedTuple):
    """A part of the network, and in how many ranges and VLANs it is."""

    name: str
    kind: str
    ranges: int

    @property
    def side(self) -> int:
        """Where it is drawn: 0 outside and trunks, 1 servers, 2 phones."""
        return _SIDES.get(self.kind, PHONES)


class End(NamedTuple):
    """An endpoint; ``name`` is "" where the policy has none for it."""

    address: str
    name: str
    segment: str


class CallPath(NamedTuple):
    """What was seen between two addresses: how many legs were so, by state."""

    a: str
    b: str
    media: Mapping[str, int]
    signalling: Mapping[str, int]

    @property
    def unprotected(self) -> bool:
        """Something was in clear."""
        return bool(self.media.get("clear") or self.signalling.get("clear"))


@dataclass(slots=True)
class Node:
    """One endpoint, or several that are drawn as one."""

    segment: Segment
    ends: list[End] = field(default_factory=list)
    media: States = field(default_factory=Counter)
    signalling: States = field(default_factory=Counter)


@dataclass(slots=True)
class Link:
    """What was seen between two nodes, or inside of one."""

    a: Node
    b: Node
    paths: int = 0
    unprotected: int = 0
    media: States = field(default_factory=Counter)
    signalling: States = field(default_factory=Counter)

    def take(self, path: CallPath) -> None:
        """Add a path to it."""
        self.paths += 1
        self.unprotected += path.unprotected
        self.media.update(path.media)
        self.signalling.update(path.signalling)

    @property
    def single(self) -> bool:
        """It is between two endpoints."""
        return len(self.a.ends) == len(self.b.ends) == 1


class Detail(NamedTuple):
    """How much is shown by itself."""

    alone: int  # endpoints of a segment, up to which each is
    hubs: int  # of a segment with more, those with the most other ends
    worst: int  # … and those with something in clear
    pictures: bool  # the rest by what was seen of it; else all as one
    segments: int  # at each side
    links: int


# From much to little: the first that fits is taken.
DETAILS = (
    Detail(12, 6, 8, pictures=True, segments=12, links=48),
    Detail(6, 4, 5, pictures=True, segments=10, links=36),
    Detail(3, 3, 3, pictures=True, segments=7, links=24),
    Detail(1, 1, 2, pictures=True, segments=5, links=24),
    Detail(1, 0, 0, pictures=False, segments=4, links=18),
)


@dataclass(slots=True)
class Topology:
    """All of it at one detail. What is drawn and ``left_out`` together is all that was seen."""

    segments: list[tuple[Segment, list[Node]]]  # the worst first
    links: list[Link]  # the worst first
    left_out: list[Link]


def worst(states: Mapping[str, int]) -> Protection | None:
    """Return the state that is said of all together; None of nothing."""
    return max((state for state, rank in WORSE.items() if states.get(state)), key=WORSE.__getitem__, default=None)


def rank(media: Mapping[str, int], signalling: Mapping[str, int]) -> tuple[int, ...]:
    """Return what to sort by for the worst first."""
    return (
        *(-media.get("clear", 0), -signalling.get("clear", 0), -media.get("undetermined", 0)),
        *(-sum(media.values()), -sum(signalling.values())),
    )


def of_report(report: Mapping[str, Any]) -> tuple[list[CallPath], list[End], list[Segment]]:
    """Return what a report object says of paths, of their ends, and of segments."""
    paths, ends = [], {}
    kinds = {OUTSIDE: OUTSIDE}
    for path in report["paths"]:
        paths.append(CallPath(path["a"], path["b"], path["media"], path["signalling"]))
        for end, segment, kind in zip("ab", path["segments"], path["kinds"], strict=True):
            ends[path[end]] = End(path[end], path[f"{end}_name"], segment)
            kinds.setdefault(segment, kind)
    known = {
        each["name"]: Segment(each["name"], each["kind"], len(each["ranges"]) + len(each["vlans"]))
        for each in report["segments"]
    }
    others = {name: Segment(name, kind, 0) for name, kind in kinds.items() if name not in known}
    for endpoint in report["endpoints"]:
        ends.setdefault(endpoint["address"], End(endpoint["address"], endpoint["name"], endpoint["segment"]))
    return paths, list(ends.values()), [*known.values(), *others.values()]


def arrange(paths: Sequence[CallPath], ends: Iterable[End], segments: Iterable[Segment], detail: Detail) -> Topology:
    """Return what to draw; a path's address that is no end is an end outside."""
    by_address = {end.address: end for end in ends}
    seen = {address: Node(Segment("", "", 0), [end]) for address, end in by_address.items()}
    others: defaultdict[str, set[str]] = defaultdict(set)
    for path in paths:
        for address in {path.a, path.b}:
            node = seen.setdefault(address, Node(Segment("", "", 0), [End(address, "", OUTSIDE)]))
            node.media.update(path.media)
            node.signalling.update(path.signalling)
        others[path.a].add(path.b)
        others[path.b].add(path.a)
    hubs = {address: len(peers) for address, peers in others.items()}
    placed = _placed(seen, segments, hubs, detail)
    at = {end.address: node for _, nodes in placed for node in nodes for end in node.ends}
    links = _links(paths, at)
    return Topology(placed, links[: detail.links], links[detail.links :])


def _placed(
    seen: Mapping[str, Node], segments: Iterable[Segment], hubs: Mapping[str, int], detail: Detail
) -> list[tuple[Segment, list[Node]]]:
    known = {segment.name: segment for segment in segments}
    inside: defaultdict[Segment, list[Node]] = defaultdict(list)
    for segment in known.values():
        if segment.name != OUTSIDE:  # which is everywhere, and of interest where somebody is in it
            inside[segment] = []
    for address in sorted(seen):
        node = seen[address]
        name = node.ends[0].segment
        inside[known.get(name) or Segment(name, OUTSIDE if name == OUTSIDE else "", 0)].append(node)
    kept = []
    for side in range(PHONES + 1):
        here = sorted(
            ((segment, nodes) for segment, nodes in inside.items() if segment.side == side),
            key=lambda each: (*rank(*_sums(each[1])), -len(each[1]), each[0].name),
        )
        kept += here[: detail.segments]
        rest = here[detail.segments :]
        if len(rest) == 1:
            kept += rest
        elif rest:
            more = Segment(f"{len(rest)} more segments", rest[0][0].kind, sum(each.ranges for each, _ in rest))
            kept.append((more, [node for _, nodes in rest for node in nodes]))
    return [(segment, _bundled(segment, nodes, hubs, detail)) for segment, nodes in kept]


def _sums(nodes: Iterable[Node]) -> tuple[States, States]:
    media, signalling = States(), States()
    for node in nodes:
        media.update(node.media)
        signalling.update(node.signalling)
    return media, signalling


def _bundled(segment: Segment, nodes: list[Node], hubs: Mapping[str, int], detail: Detail) -> list[Node]:
    """Return the nodes of a segment, the worst first, those of several endpoints last."""
    for node in nodes:
        node.segment = segment
    nodes = sorted(nodes, key=lambda each: (*rank(each.media, each.signalling), each.ends[0]))
    if len(nodes) <= detail.alone:
        return nodes

    def degree(node: Node) -> int:
        return hubs.get(node.ends[0].address, 0)

    central = sorted((node for node in nodes if degree(node) >= _HUB), key=lambda node: (-degree(node), node.ends[0]))
    alone = {node.ends[0].address for node in central[: detail.hubs]}
    bad = [node for node in nodes if node.media["clear"] or node.signalling["clear"]]
    alone |= {
        node.ends[0].address for node in [each for each in bad if each.ends[0].address not in alone][: detail.worst]
    }
    bundles: dict[tuple[Protection | None, Protection | None] | None, Node] = {}
    for node in nodes:
        if node.ends[0].address not in alone:
            picture = (worst(node.media), worst(node.signalling)) if detail.pictures else None
            bundle = bundles.setdefault(picture, Node(segment))
            bundle.ends += node.ends
            bundle.media.update(node.media)
            bundle.signalling.update(node.signalling)
    return [*(node for node in nodes if node.ends[0].address in alone), *bundles.values()]


def _links(paths: Iterable[CallPath], at: Mapping[str, Node]) -> list[Link]:
    links: dict[tuple[int, int], Link] = {}
    order = {id(node): number for number, node in enumerate({id(node): node for node in at.values()}.values())}
    for path in paths:
        a, b = sorted((at[path.a], at[path.b]), key=lambda node: order[id(node)])
        link = links.setdefault((order[id(a)], order[id(b)]), Link(a, b))
        link.take(path)
    return [links[key] for key in sorted(links, key=lambda key: (*rank(links[key].media, links[key].signalling), key))]
