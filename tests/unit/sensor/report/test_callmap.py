"""The call map: what is seen on it, what is said beside it, and that nothing of it is cut."""

import pytest

from sensor.report.callmap import MAX_HEIGHT, WIDTH, draw
from sensor.report.topology import CallPath, End, Segment
from tests.unit.sensor.report.pictures import SVG, assert_texts_have_room, parsed, words

VOICE, SERVERS, TRUNK = Segment("voice", "voice", 2), Segment("servers", "server", 1), Segment("carrier", "trunk", 1)
SEGMENTS = (VOICE, SERVERS, TRUNK)
PBX, CARRIER = End("10.0.1.1", "pbx", "servers"), End("192.0.2.1", "", "carrier")
Network = tuple[list[CallPath], list[End]]


def clinic(phones: int, clear: int = 0) -> Network:
    """Phones that call by one PBX; of the first ones media are in clear."""
    ends = [End(f"10.0.{2 + n // 250}.{1 + n % 250}", "", "voice") for n in range(phones)]
    paths = [
        CallPath(end.address, PBX.address, {"clear" if n < clear else "encrypted": 2}, {"encrypted": 2})
        for n, end in enumerate(ends)
    ]
    paths.append(CallPath(PBX.address, CARRIER.address, {"encrypted": 5, "undetermined": 1}, {"clear": 6}))
    return paths, [*ends, PBX, CARRIER]


def test_endpoints_that_are_few_are_each_drawn_with_what_was_seen_of_them() -> None:
    root = parsed(draw(*clinic(3, clear=1), SEGMENTS))
    assert {"voice", "servers", "carrier", "pbx", "10.0.1.1", "192.0.2.1"} <= set(words(root))
    assert {"10.0.2.1", "10.0.2.2", "10.0.2.3", "2 clear", "1 of 6 undetermined"} <= set(words(root))
    assert "voice, 2 ranges, 3 endpoints" not in words(root), "the kind is not said where it is the name"
    assert "2 ranges, 3 endpoints" in words(root)
    assert_texts_have_room(root)


def test_endpoints_that_are_many_are_bundled_and_the_unprotected_ones_named() -> None:
    root = parsed(draw(*clinic(312, clear=3), SEGMENTS))
    assert {"309 endpoints", "618 encrypted", "10.0.2.1", "10.0.2.2", "10.0.2.3"} <= set(words(root))
    assert "10.0.2.4" not in words(root)
    assert words(root).count("2 clear") == 3
    assert "Something was in clear on 4 of 313 paths: 4 drawn each by itself." in words(root)
    assert_texts_have_room(root)


def test_unprotected_endpoints_beyond_the_bound_are_bundled_and_counted() -> None:
    root = parsed(draw(*clinic(300, clear=200), SEGMENTS))
    (said,) = [each for each in words(root) if each.startswith("Something")]
    assert said == (
        "Something was in clear on 201 of 301 paths: 9 drawn each by itself, 192 within boxes of several endpoints."
    )
    assert {"192 endpoints", "100 endpoints"} <= set(words(root))


def test_protection_shows_without_colour() -> None:
    """By dashes, and by the shape of a mark; media and signalling by the width of the line."""
    root = parsed(draw(*clinic(3, clear=1), SEGMENTS))
    curves = [line for line in root.iter(f"{SVG}path") if "C" in line.attrib["d"]]
    by_state = {curve.attrib["stroke"]: curve.get("stroke-dasharray", "") for curve in curves}
    assert len(set(by_state.values())) == len(by_state) == 3
    assert {curve.attrib["stroke-width"] for curve in curves} == {"3", "1.4"}


def test_worst_line_lies_on_top_of_the_others() -> None:
    root = parsed(draw(*clinic(5, clear=1), SEGMENTS))
    titles = [group.findtext(f"{SVG}title") or "" for group in root.iter(f"{SVG}g")]
    lines = [title for title in titles if "\u2194" in title]
    assert "media 2 clear" in lines[-1]


def test_path_over_the_servers_goes_around_their_boxes() -> None:
    phone = End("10.0.2.1", "", "voice")
    ends = [phone, PBX, CARRIER]
    root = parsed(draw([CallPath(phone.address, CARRIER.address, {"clear": 1}, {})], ends, SEGMENTS))
    (way,) = [line.attrib["d"] for line in root.iter(f"{SVG}path") if "C" in line.attrib["d"]]
    lane = float(way.split("L")[1].split()[1])
    servers = min(float(rect.attrib["y"]) for rect in root.iter(f"{SVG}rect") if rect.get("x") == "355.0")
    assert lane < servers


def test_line_within_one_endpoint_or_one_segment_is_drawn() -> None:
    paths = [CallPath("10.0.2.1", "10.0.2.1", {"clear": 1}, {}), CallPath("10.0.2.1", "10.0.2.2", {"encrypted": 1}, {})]
    ends = [End("10.0.2.1", "", "voice"), End("10.0.2.2", "", "voice")]
    root = parsed(draw(paths, ends, [VOICE]))
    assert {"1 clear", "1 encrypted"} <= set(words(root))
    assert_texts_have_room(root)


def test_nothing_seen_is_said() -> None:
    assert "No endpoint and no path between hosts was seen." in words(parsed(draw([], [], [])))
    root = parsed(draw([], [], SEGMENTS))
    assert "No path between hosts was seen." in words(root)
    assert "2 ranges, nothing seen" in words(root)
    assert_texts_have_room(root)


def test_all_protected_is_said() -> None:
    paths = [CallPath("10.0.2.1", PBX.address, {"encrypted": 3}, {"encrypted": 3})]
    assert "Nothing was seen in clear on 1 path." in words(parsed(draw(paths, [PBX], SEGMENTS)))


def test_path_without_media_says_its_signalling() -> None:
    root = parsed(draw([CallPath("10.0.2.1", PBX.address, {}, {"clear": 4})], [PBX], SEGMENTS))
    assert {"signalling 4 clear", "no media seen"} <= set(words(root))


@pytest.mark.parametrize(
    "name", ["W" * 300, "\u4e2d" * 80, "<script>alert(1)</script>", "]]>&amp;\"'", "a\nb\x00\x1b[31m\u202e", "\ud800"]
)
def test_hostile_name_is_escaped_and_stays_in_its_box(name: str) -> None:
    segment = Segment(name, "voice", 0)
    paths = [CallPath(name, "10.0.1.1", {"clear": 10**15}, {"clear": 10**15})]
    svg = draw(paths, [End(name, name, name), PBX], [segment, *SEGMENTS])
    root = parsed(svg)
    assert not list(root.iter(f"{SVG}script"))
    assert_texts_have_room(root)
    svg.encode()


def test_map_of_many_segments_has_a_page_and_says_how_many_more_there_are() -> None:
    segments = [Segment(f"site-{n:02}", ("voice", "server", "trunk")[n % 3], 1) for n in range(90)]
    ends = [End(f"10.{n}.0.{m}", "", f"site-{n:02}") for n in range(90) for m in range(7)]
    paths = [
        CallPath(end.address, ends[n * 37 % len(ends)].address, {"clear": 1}, {"clear": 1})
        for n, end in enumerate(ends)
    ]
    root = parsed(draw(paths, ends, segments))
    assert float(root.attrib["height"]) <= MAX_HEIGHT
    assert any(each.endswith(" more segments") for each in words(root))
    assert any("more lines are not drawn" in each for each in words(root))
    assert_texts_have_room(root)


def test_wider_sheet_has_wider_boxes() -> None:
    root = parsed(draw(*clinic(3), SEGMENTS, width=2 * WIDTH))
    assert root.attrib["width"] == str(2 * WIDTH)
    assert_texts_have_room(root)
