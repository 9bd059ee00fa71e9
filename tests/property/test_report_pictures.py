"""Pictures of any network: nothing is lost, nothing lies on something else, and the same gives the same."""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from sensor.report.bundles import network
from sensor.report.callmap import draw
from sensor.report.charts import coverage_strip, states_by
from tests.pictures import assert_readable, parsed, texts, tooltips

STATES = ("encrypted", "clear", "undetermined", "not-observed")
KINDS = ("voice", "server", "sbc", "trunk", "remote", "management", "data", "outside", "unknown")
NUMBERS = st.sampled_from((0, 0, 1, 2, 1000, 10**9))
COUNTS = st.fixed_dictionaries(dict.fromkeys(STATES, NUMBERS))
NAMES = st.text(max_size=40) | st.just("")
HOSTS = st.tuples(st.integers(0, 12), st.integers(0, 60))


@st.composite
def networks(draw_: st.DrawFn) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Paths as facts has them, no two between the same hosts, and a policy that knows some of the segments."""
    kinds = draw_(st.lists(st.sampled_from(KINDS), min_size=13, max_size=13))
    names = draw_(st.dictionaries(HOSTS, NAMES, max_size=20))
    pairs = draw_(st.sets(st.tuples(HOSTS, HOSTS), max_size=40) | st.sets(st.tuples(HOSTS, HOSTS), min_size=150))
    paths = []
    for one, other in sorted({(min(pair), max(pair)) for pair in pairs}):
        ends = (one, other)
        paths.append(
            {
                **{"ab"[n]: f"10.{segment}.0.{host}" for n, (segment, host) in enumerate(ends)},
                **{f"{'ab'[n]}_name": names.get(end, "") for n, end in enumerate(ends)},
                "segments": [f"segment {segment}" for segment, _ in ends],
                "kinds": [kinds[segment] for segment, _ in ends],
                "media": draw_(COUNTS),
                "signalling": draw_(COUNTS),
            }
        )
    known = draw_(st.sets(st.integers(0, 16)))
    segments = [
        {"name": f"segment {n}", "kind": kinds[n % 13], "ranges": ["10.0.0.0/8"] * (n % 3), "vlans": []} for n in known
    ]
    return paths, segments


def counted(text: str) -> Counter[str]:
    """What a tooltip or a note says of paths, media and signalling."""
    found: Counter[str] = Counter()
    said = re.search(r"(?:(\d+) paths?(?:; |$))?((?:(?:media|signalling): [^;]*(?:; |$))*)$", text)
    assert said
    found["paths"] = int(said[1] or 1)
    for plane in filter(None, said[2].split("; ")):
        what, _, numbers = plane.partition(": ")
        for number in numbers.split(", "):
            many, state = number.split(" ")
            found[f"{what} {state}"] += int(many)
    return found


@settings(max_examples=150, deadline=None)
@given(networks())
def test_map_of_any_network_is_readable_and_what_is_drawn_and_left_out_is_all_that_was_seen(
    net: tuple[list[dict[str, Any]], list[dict[str, Any]]],
) -> None:
    paths, segments = net
    svg = draw(paths, segments)
    assert_readable(svg)
    assert draw(paths, segments) == svg
    root = parsed(svg)
    seen: Counter[str] = Counter({"paths": len(paths)})
    for path in paths:
        for plane in ("media", "signalling"):
            seen.update({f"{plane} {state}": number for state, number in path[plane].items()})
    shown: Counter[str] = Counter()
    for said in tooltips(root):
        shown += counted(said.rpartition("): ")[2])
    said_below = [text.words for text in texts(root)]
    for number, words in enumerate(said_below):
        if words.startswith("And more that are not drawn: "):
            planes = [
                each for each in said_below[number + 1 : number + 3] if each.startswith(("media: ", "signalling: "))
            ]
            shown += counted("; ".join([words.partition(": ")[2], *planes]))
    assert shown == +seen


@settings(max_examples=150, deadline=None)
@given(networks())
def test_every_host_is_in_one_node_and_one_box(net: tuple[list[dict[str, Any]], list[dict[str, Any]]]) -> None:
    paths, segments = net
    found = network(paths, segments)
    hosts = {path[end] for path in paths for end in ("a", "b")}
    assert sum(node.hosts for node in found.nodes.values()) == len(hosts)
    assert sum(box.hosts for box in found.boxes.values()) == len(hosts)
    assert sorted(key for box in found.boxes.values() for key in box.nodes) == sorted(found.nodes)
    assert network(list(reversed(paths)), segments).nodes.keys() == found.nodes.keys()


@given(st.lists(st.tuples(st.text(max_size=60), COUNTS), max_size=60))
@settings(deadline=None)
def test_bars_of_any_rows_are_readable(rows: list[tuple[str, dict[str, int]]]) -> None:
    assert_readable(states_by("Legs", [{"name": name, "states": states} for name, states in rows]))


@settings(deadline=None)
@given(
    st.integers(0, 4_000_000_000_000),
    st.integers(1, 500 * 86_400_000),
    st.lists(st.tuples(st.integers(-10, 1010), st.integers(-10, 1010), st.sampled_from(("seen", "degraded", "blind")))),
)
def test_strip_of_any_spans_is_readable_and_accounts_for_all_of_the_period(
    first: int, length: int, parts: list[tuple[int, int, str]]
) -> None:
    spans = [
        {"from": first + min(a, b) * length // 1000, "to": first + max(a, b) * length // 1000, "state": state}
        for a, b, state in parts
    ]
    svg = coverage_strip(first, first + length - 1, spans)
    assert_readable(svg)
    assert coverage_strip(first, first + length - 1, spans) == svg
