"""What a call map shows of a network: hosts one by one where there are few, else those with the same picture as one.

Hosts with anything in clear keep their names the longest. Nothing is lost on the way: what a bundle holds is counted in
it, and what is between two hosts of one bundle is between the bundle and itself.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from sensor.report.facts import OUTSIDE
from sensor.report.words import count

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    Row = Mapping[str, Any]  # of the report object

FEW = 30  # hosts of a network that are all drawn
SMALL = 4  # hosts of a segment that are all drawn, however large the network
NAMED = 8  # hosts with something in clear that are drawn by themselves in a large network
BOXES = 6  # segments of one column; the others are one
# What is seen of a host or between two, the worst first.
PICTURES = (
    "media in clear",
    "signalling in clear",
    "media undetermined",
    "media not observed",
    "media encrypted",
    "signalling only",
)
UNPROTECTED, PROBLEMS = PICTURES[:2], PICTURES[:3]
_COLUMNS = {OUTSIDE: 0, "trunk": 0, "remote": 0, "server": 1, "sbc": 1, "management": 1}
PHONES = 2  # the column of all else


class Key(NamedTuple):
    """A host by its address, or a bundle by its picture."""

    box: str
    address: str
    picture: str


@dataclass(slots=True)
class Traffic:
    """What was seen on some paths."""

    paths: int = 0
    media: Counter[str] = field(default_factory=Counter)
    signalling: Counter[str] = field(default_factory=Counter)

    def add(self, path: Row) -> None:
        """Count a path of the report object."""
        self.paths += 1
        self.media.update(path["media"])
        self.signalling.update(path["signalling"])

    def join(self, other: Traffic) -> None:
        """Count what another one has counted."""
        self.paths += other.paths
        self.media.update(other.media)
        self.signalling.update(other.signalling)

    @property
    def picture(self) -> str:
        """The worst that was seen."""
        for state, picture in (("clear", PICTURES[0]), ("undetermined", PICTURES[2])):
            if self.media[state]:
                return picture
            if self.signalling["clear"]:
                return PICTURES[1]
        if self.media["not-observed"]:
            return PICTURES[3]
        return PICTURES[4] if self.media["encrypted"] else PICTURES[5]

    @property
    def rank(self) -> tuple[int, int, int, int]:
        """Sorts the worst first."""
        media = self.media
        return PICTURES.index(self.picture), -media["clear"], -self.signalling["clear"], -media["undetermined"]


@dataclass(slots=True)
class Node:
    """A host, or hosts of one segment with the same picture."""

    label: str
    detail: str
    hosts: int = 0
    traffic: Traffic = field(default_factory=Traffic)


@dataclass(slots=True)
class Box:
    """A segment, or the segments of a column for which there is no room."""

    title: str
    detail: str
    column: int
    nodes: list[Key] = field(default_factory=list)
    hosts: int = 0
    traffic: Traffic = field(default_factory=Traffic)


@dataclass(slots=True)
class Network:
    """All of it: boxes, what is in them, and what is between that."""

    boxes: dict[str, Box] = field(default_factory=dict)
    nodes: dict[Key, Node] = field(default_factory=dict)
    edges: dict[tuple[Key, Key], Traffic] = field(default_factory=dict)


class _Host(NamedTuple):
    address: str
    name: str
    segment: str
    traffic: Traffic


def network(paths: Sequence[Row], segments: Sequence[Row]) -> Network:
    """Return what a map shows of ``paths`` and ``segments`` of a report object, the worst of everything first."""
    hosts, kinds = _hosts(paths)
    homes, boxes = _boxes(paths, hosts, {segment["name"]: segment for segment in segments}, kinds)
    keys = _keys(sorted(hosts.values(), key=lambda host: (host.traffic.rank, host.address)), homes)
    found = Network(boxes)
    for address, key in keys.items():
        host = hosts[address]
        node = found.nodes.get(key)
        if node is None:
            node = found.nodes[key] = Node(host.name or address, address if host.name else "")
            boxes[key.box].nodes.append(key)
        node.hosts += 1
        node.traffic.join(host.traffic)
        boxes[key.box].hosts += 1
        if key.picture:
            node.label, node.detail = count(node.hosts, "host"), key.picture
    for path in paths:
        one, other = sorted((keys[path["a"]], keys[path["b"]]), key=lambda key: (boxes[key.box].column, key))
        found.edges.setdefault((one, other), Traffic()).add(path)
    found.edges = dict(sorted(found.edges.items(), key=lambda each: (each[1].rank, each[0])))
    return found


def _hosts(paths: Sequence[Row]) -> tuple[dict[str, _Host], dict[str, str]]:
    """Return hosts by address, and the kinds of their segments."""
    hosts: dict[str, _Host] = {}
    kinds: dict[str, str] = {}
    for path in paths:
        for end in ("a", "b") if path["a"] != path["b"] else ("a",):
            number = "ab".index(end)
            segment = path["segments"][number]
            kinds[segment] = path["kinds"][number]
            address = path[end]
            if address not in hosts:
                hosts[address] = _Host(address, path[f"{end}_name"], segment, Traffic())
            hosts[address].traffic.add(path)
    return hosts, kinds


def _boxes(
    paths: Sequence[Row], hosts: Mapping[str, _Host], segments: Mapping[str, Row], kinds: Mapping[str, str]
) -> tuple[dict[str, str], dict[str, Box]]:
    """Return the box of each segment, and the boxes as they follow each other."""
    traffic = {name: Traffic() for name in sorted({*segments, *kinds, *(host.segment for host in hosts.values())})}
    for path in paths:
        for name in {hosts[path["a"]].segment, hosts[path["b"]].segment}:
            traffic[name].add(path)
    homes: dict[str, str] = {}
    boxes: dict[str, Box] = {}
    columns: dict[int, list[str]] = {}
    for name in sorted(traffic, key=lambda name: (traffic[name].rank, name)):
        kind = segments[name]["kind"] if name in segments else kinds.get(name, "unknown")
        columns.setdefault(_COLUMNS.get(kind, PHONES), []).append(name)
    for column, names in sorted(columns.items()):
        own = names if len(names) <= BOXES else names[: BOXES - 1]
        for name in own:
            boxes[name] = Box(name, _detail(segments.get(name), kinds.get(name, "unknown")), column)
        rest = f"\0{column}"  # no segment is called so
        if own is not names:
            boxes[rest] = Box(f"{len(names) - len(own)} more segments", "the better protected ones", column)
        homes |= {name: name if name in boxes else rest for name in names}
    return homes, boxes


def _detail(segment: Row | None, kind: str) -> str:
    if segment is None:
        return "not in the policy" if kind in (OUTSIDE, "unknown") else kind
    ranges, vlans = len(segment["ranges"]), len(segment["vlans"])
    return ", ".join(
        [segment["kind"]] + ([count(ranges, "range")] if ranges else []) + ([count(vlans, "VLAN")] if vlans else [])
    )


def _keys(hosts: Sequence[_Host], homes: Mapping[str, str]) -> dict[str, Key]:
    """Return by which key each host is drawn; the worst ones come first."""
    sizes = Counter(homes[host.segment] for host in hosts)
    bad = [host.address for host in hosts if host.traffic.picture in UNPROTECTED]
    alone = set(bad[:NAMED]) if len(hosts) > FEW else {host.address for host in hosts}
    bundles = Counter((homes[host.segment], host.traffic.picture) for host in hosts if host.address not in alone)
    keys: dict[str, Key] = {}
    for host in hosts:
        box, picture = homes[host.segment], host.traffic.picture
        small = sizes[box] <= SMALL and box == host.segment
        if host.address in alone or small or bundles[box, picture] == 1:
            keys[host.address] = Key(box, host.address, "")
        else:
            keys[host.address] = Key(box, "", picture)
    return keys
