"""Which hosts' packets are wanted, how long, and how many."""

from __future__ import annotations

import pytest

from sensor.capture.filters import MAX_INSTRUCTIONS, SOCK_FILTER, compile_filter
from sensor.capture.linktypes import LINKTYPE_RAW
from sensor.evidence.pairs import MAX_PAIRS, Pair, Pairs, pair_of


def pair(number: int) -> Pair:
    made = pair_of(f"10.0.{number}.1", f"10.1.{number}.1")
    assert made is not None
    return made


def test_pair_is_the_same_in_both_directions() -> None:
    assert pair_of("10.0.0.1", "10.0.0.2") == pair_of("10.0.0.2", "10.0.0.1") == (b"\n\0\0\1", b"\n\0\0\2")


@pytest.mark.parametrize("ends", [("", ""), ("10.0.0.1", ""), ("10.0.0.1", "fd00::1"), ("phone", "10.0.0.1")])
def test_subject_without_two_hosts_is_no_pair(ends: tuple[str, str]) -> None:
    assert pair_of(*ends) is None


def test_pair_had_its_time_and_is_forgotten() -> None:
    pairs = Pairs(10, 200)
    pairs.want(pair(1), 5)
    pairs.expire(14.9)
    assert pairs.wanted(*pair(1)) == pairs.wanted(*reversed(pair(1))) == pair(1)
    pairs.expire(15)
    assert pairs.wanted(*pair(1)) is None
    assert not pairs


def test_pair_had_its_packets_and_is_forgotten() -> None:
    pairs = Pairs(10, 2)
    pairs.want(pair(1), 0)
    pairs.spend(pair(1))
    assert pairs
    pairs.spend(pair(1))
    assert not pairs


def test_wanted_pair_is_wanted_again_begins_anew() -> None:
    pairs = Pairs(10, 2)
    pairs.want(pair(1), 0)
    pairs.spend(pair(1))
    pairs.want(pair(1), 9)
    pairs.expire(18)
    pairs.spend(pair(1))
    assert pairs


def test_pair_beyond_the_bound_takes_the_place_of_the_oldest() -> None:
    pairs = Pairs(10, 200)
    for number in range(MAX_PAIRS):
        pairs.want(pair(number), 0)
    pairs.want(pair(0), 1)
    assert pairs.wanted(*pair(1)) == pair(1)
    pairs.want(pair(99), 1)
    assert pairs.wanted(*pair(1)) is None
    assert pairs.wanted(*pair(0)) == pair(0)


def test_pair_that_is_wanted_without_rtp_stays_so_until_it_is_forgotten() -> None:
    pairs = Pairs(10, 200)
    for rtp in (False, True):
        pairs.want(pair(1), 0, rtp=rtp)
        assert not pairs.rtp(pair(1))
    pairs.expire(10)
    pairs.want(pair(1), 10)
    assert pairs.rtp(pair(1))
    pairs.want(pair(1), 10, rtp=False)
    assert not pairs.rtp(pair(1))


def test_filter_names_the_pairs_within_what_the_sensor_sees() -> None:
    pairs = Pairs(10, 200)
    assert pairs.filter("not port 22", tagged=True) == ""
    pairs.want(pair(1), 0)
    one = "(ip host 10.0.1.1 and ip host 10.1.1.1)"
    assert pairs.filter("", tagged=False) == one
    assert pairs.filter(" ", tagged=True) == f"{one} or (vlan and ({one}))"
    assert pairs.filter("not port 22", tagged=False) == f"(not port 22) and ({one})"


def test_filter_is_the_same_whichever_pair_came_first() -> None:
    texts = set()
    for order in ((1, 2), (2, 1)):
        pairs = Pairs(10, 200)
        for number in order:
            pairs.want(pair(number), 0)
        texts.add(pairs.filter("", tagged=True))
    assert len(texts) == 1


def test_longest_filter_is_one_that_the_kernel_takes() -> None:
    pairs = Pairs(10, 200)
    for number in range(MAX_PAIRS):
        made = pair_of(f"2001:db8:{number:x}:1:2:3:4:5", f"2001:db8:{number:x}:5:4:3:2:1")
        assert made is not None
        pairs.want(made, 0)
    program = compile_filter(pairs.filter("not port 22", tagged=True))
    assert len(program) // SOCK_FILTER.size < MAX_INSTRUCTIONS / 2
    assert compile_filter(pairs.filter("not port 22", tagged=False), LINKTYPE_RAW)
