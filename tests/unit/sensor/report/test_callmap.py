"""The map of call paths: what it shows, what it bundles, and that it can be read."""

from __future__ import annotations

import re

import pytest

from sensor.report.bundles import FEW, NAMED, network
from sensor.report.callmap import EDGES, NUMBERED, draw
from tests.pictures import SVG, assert_readable, parsed, texts, tooltips
from tests.unit.sensor.report.networks import PBX, SEGMENTS, TRUNK, hospital, path, segment, states

HOSTILE = "</text>&\"'\x1b[31m\u202e\x00\ud800中"
RIGHT, MIDDLE = 580, 290  # where the columns of phones and servers begin


def words(svg: str) -> list[str]:
    return [text.words for text in texts(parsed(svg))]


@pytest.mark.parametrize(
    ("paths", "segments"),
    [
        ([], []),
        ([], SEGMENTS),
        (hospital(5, 1), SEGMENTS),
        (hospital(40, 3), SEGMENTS),
        (hospital(500, 30), SEGMENTS),
        (hospital(500, 500), SEGMENTS),
        ([path("10.20.0.1", "10.20.0.2", states(1, 2, 3, 4), states(0, 10))], SEGMENTS[:1]),
        ([path("10.20.0.1", "10.20.0.1", states(1))], SEGMENTS),
        ([path("203.0.113.1", f"10.20.0.{n}", states(0, 1)) for n in range(1, 60)], SEGMENTS),
        ([path(PBX, "10.20.0.1", states(0, 10**9), a_name="W" * 300, b_name=HOSTILE)], SEGMENTS),
        ([path("2001:db8:1111:2222:3333:4444:5555:6666", TRUNK, states(2))], SEGMENTS),
        ([], [segment(HOSTILE + "M" * 99, "voice"), *(segment(f"s{n}", "voice") for n in range(40))]),
    ],
)
def test_map_of_any_network_is_readable_and_the_same_each_time(paths: list, segments: list) -> None:  # type: ignore[type-arg]
    svg = draw(paths, segments)
    assert_readable(svg)
    assert draw(paths, segments) == svg


def test_hosts_stand_in_the_column_of_their_segment() -> None:
    svg = draw(hospital(2, 0), SEGMENTS)
    left = {text.words: text.left for text in texts(parsed(svg))}
    assert left["Carrier"] < MIDDLE < left["exchange"] < RIGHT < left["10.20.0.1"]
    assert {"voice, 2 ranges", "2 hosts"} <= set(left)


def test_segment_without_any_path_is_drawn_and_says_so() -> None:
    found = words(draw([], SEGMENTS))
    assert {"phones", "voice, 2 ranges", "No path between hosts was seen."} <= set(found)
    assert found.count("nothing seen") == len(SEGMENTS)


def test_path_in_clear_has_a_number_in_the_map_and_in_the_list() -> None:
    found = words(draw(hospital(5, 1), SEGMENTS))
    assert found.count("1") == 2
    assert "exchange (10.1.0.1, servers) ↔ 10.20.0.1 (phones)" in found
    assert "media: 1 clear, 5 encrypted; signalling: 6 encrypted" in found


def test_everything_encrypted_has_no_number_and_says_so() -> None:
    found = words(draw(hospital(5, 0), SEGMENTS))
    assert "1" not in found
    assert "No path was seen with media or signalling in clear, nor with media undetermined." in found


def test_media_and_signalling_are_lines_of_their_own_with_the_look_of_their_worst_state() -> None:
    root = parsed(draw([path(PBX, TRUNK, states(9, 1), states(10))], SEGMENTS))
    group = next(each for each in root.iter(f"{SVG}g") if "media: 1 clear" in (each.findtext(f"{SVG}title") or ""))
    media, signalling = group.findall(f"{SVG}path")
    assert media.get("stroke") != signalling.get("stroke")
    assert media.get("stroke-dasharray")
    assert not signalling.get("stroke-dasharray")
    assert float(media.get("stroke-width", "0")) > float(signalling.get("stroke-width", "0"))


def test_signalling_in_clear_alone_is_unprotected() -> None:
    found = words(draw([path(PBX, TRUNK, states(9), states(0, 9))], SEGMENTS))
    assert "media: 9 encrypted; signalling: 9 clear" in found


def test_few_hosts_are_all_drawn_by_themselves() -> None:
    assert len(network(hospital(FEW - 2, 0), SEGMENTS).nodes) == FEW


def test_many_hosts_with_the_same_picture_are_one_and_those_in_clear_keep_their_names() -> None:
    found = words(draw(hospital(312, 3), SEGMENTS))
    assert {"309 hosts", "10.20.0.1", "10.20.0.2", "10.20.0.3", "exchange", "Carrier"} <= set(found)


def test_of_many_hosts_in_clear_the_worst_keep_their_names() -> None:
    paths = [path(PBX, f"10.20.0.{n}", states(0, n)) for n in range(1, 101)]
    net = network(paths, SEGMENTS)
    named = {key.address for key in net.nodes if key.box == "phones" and key.address}
    assert named == {f"10.20.0.{n}" for n in range(100, 101 - NAMED, -1)}  # the exchange has most
    assert {node.label for key, node in net.nodes.items() if key.picture} == {f"{101 - NAMED} hosts"}


def test_more_segments_than_there_is_room_for_are_one_box_and_the_worst_keep_theirs() -> None:
    segments = [segment(f"ward {n:02d}", "voice") for n in range(40)]
    bad = path("10.20.0.1", "10.20.0.2", states(0, 1), segments=["ward 39", "ward 39"], kinds=["voice", "voice"])
    found = words(draw([bad], segments))
    assert "ward 39" in found
    assert "35 more segments" in found


def test_more_paths_than_are_drawn_are_counted() -> None:
    paths = [
        path(f"198.51.100.{n}", f"10.20.0.{m}", states(0, 1)) for n in range(1, 13) for m in range(1, 8)
    ]  # between few hosts
    found = words(draw(paths, SEGMENTS))
    assert _below(found, f"And more that are not drawn: {84 - EDGES} paths") == f"media: {84 - EDGES} clear"
    assert _below(found, f"Drawn and not in this list: {EDGES - NUMBERED} paths") == f"media: {EDGES - NUMBERED} clear"


def _below(found: list[str], line: str) -> str:
    return found[found.index(line) + 1]


def test_each_line_says_what_it_stands_for() -> None:
    said = tooltips(parsed(draw(hospital(300, 0), SEGMENTS)))
    assert [each for each in said if re.search(r"300 hosts .*300 paths; media: 1500 encrypted", each)]
