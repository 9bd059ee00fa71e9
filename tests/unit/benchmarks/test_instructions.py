"""The gate on instructions."""

import json

import pytest

from benchmarks.instructions import RECORD, allowed, take_all
from deploy.demo import __file__ as demo


def test_recorded_compiler_may_have_three_percent_more() -> None:
    assert allowed({"cc 12 x86_64": 2.0, "cc 13 x86_64": 4.0}, "cc 12 x86_64") == pytest.approx(2.06)


def test_other_compiler_is_held_against_the_most_with_more_room() -> None:
    assert allowed({"cc 12 x86_64": 2.0, "cc 13 x86_64": 4.0}, "cc 99 x86_64") == pytest.approx(4.6)


def test_record_has_ratios() -> None:
    assert all(ratio > 1 for ratio in json.loads(RECORD.read_text()).values())


def test_what_is_counted_takes_every_packet() -> None:
    take_all(demo.replace("__init__.py", "clinic.pcap"))
