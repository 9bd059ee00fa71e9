"""Any network can be drawn: texts have room, nothing is lost, and the same network gives the same picture."""

import re
from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from sensor.report.callmap import MAX_HEIGHT, draw
from sensor.report.topology import DETAILS, CallPath, End, Segment, arrange
from tests.unit.sensor.report.pictures import SVG, assert_texts_have_room, parsed, words

KINDS = ("voice", "server", "sbc", "trunk", "remote", "management", "data", "outside", "?")
STATES = ("encrypted", "clear", "undetermined", "not-observed")
Network = tuple[list[CallPath], list[End], list[Segment]]

counts = st.dictionaries(st.sampled_from(STATES), st.integers(0, 10**9), max_size=4)


@st.composite
def networks(draw_: st.DrawFn) -> Network:
    names = draw_(st.lists(st.text(max_size=20), unique=True, max_size=40))
    segments = [Segment(name, draw_(st.sampled_from(KINDS)), draw_(st.integers(0, 5))) for name in names]
    size = draw_(st.integers(0, 120))
    inside = [*names, "outside", "nobody's"]
    random = draw_(st.randoms(use_true_random=False))
    called = ["", *draw_(st.lists(st.text(max_size=80), max_size=5))]
    ends = [End(f"10.0.{n // 200}.{n % 200}", random.choice(called), random.choice(inside)) for n in range(size)]
    some = draw_(st.lists(counts, min_size=1, max_size=6))
    paths = [
        CallPath(random.choice(ends).address, random.choice(ends).address, random.choice(some), random.choice(some))
        for _ in range(draw_(st.integers(0, 300)) if ends else 0)
    ]
    return paths, ends, segments


def total(dictionaries: list[Counter[str]]) -> Counter[str]:
    return +sum(dictionaries, Counter())


@given(networks())
@settings(max_examples=60)
def test_any_network_has_a_picture_whose_texts_have_room(network: Network) -> None:
    svg = draw(*network)
    root = parsed(svg)
    assert_texts_have_room(root)
    assert float(root.attrib["height"]) <= MAX_HEIGHT
    assert draw(*network) == svg


@given(networks(), st.sampled_from(DETAILS))
@settings(max_examples=60)
def test_what_is_drawn_and_what_is_left_out_is_what_was_seen(network: Network, detail: tuple[int, ...]) -> None:
    paths, ends, segments = network
    topology = arrange(paths, ends, segments, DETAILS[DETAILS.index(detail)])
    links = [*topology.links, *topology.left_out]
    assert sum(link.paths for link in links) == len(paths)
    assert sum(link.unprotected for link in links) == sum(path.unprotected for path in paths)
    assert total([link.media for link in links]) == total([Counter(path.media) for path in paths])
    assert total([link.signalling for link in links]) == total([Counter(path.signalling) for path in paths])
    drawn = [end.address for _, nodes in topology.segments for node in nodes for end in node.ends]
    assert sorted(drawn) == sorted(end.address for end in ends)


@given(networks())
@settings(max_examples=60)
def test_what_the_picture_says_adds_up_to_what_was_seen(network: Network) -> None:
    root = parsed(draw(*network))
    titles = [group.findtext(f"{SVG}title") or "" for group in root.iter(f"{SVG}g")]
    said = [*titles, *(each for each in words(root) if "not drawn, of" in each)]
    numbers = [int(number) for each in said for number in re.findall(r"(\d+) paths?; media", each)]
    assert sum(numbers) == len(network[0])
