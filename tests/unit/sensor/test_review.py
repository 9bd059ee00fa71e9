"""What in a policy is over or has no effect."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from sensor.config.load import parse_config
from sensor.policy.review import doubts

DAY_NS = 86_400 * 1_000_000_000
NOW_NS = int(datetime(2026, 6, 30, 12, tzinfo=UTC).timestamp()) * 1_000_000_000

SEGMENTS = "segments: [{name: phones, cidrs: [10.0.0.0/8]}, {name: far, kind: trunk, cidrs: [203.0.113.0/24]}]"
WAIVER = "waivers: [{subjects: [phones], codes: [media-clear], owner: a, reason: b, until: 2026-06-30}]"
AGREEMENT = "vendors: [{name: Far, addresses: [203.0.113.0/24], baa: {signed: 2026-01-01, expires: 2026-06-30}}]"


def said(policy: str, now_ns: int = NOW_NS) -> list[tuple[str, str]]:
    return list(doubts(parse_config(f"policy: {{{SEGMENTS}, {policy}}}", "f").policy, now_ns))


@pytest.mark.parametrize("text", [WAIVER, AGREEMENT])
def test_date_that_is_today_is_no_doubt(text: str) -> None:
    assert said(text) == []


def test_waiver_whose_last_day_was_yesterday_is_over() -> None:
    assert said(WAIVER, NOW_NS + DAY_NS) == [("waivers[0].until", "the waiver ended on 2026-06-30")]


def test_agreement_whose_last_day_was_yesterday_is_missing() -> None:
    what = "Far: its Business Associate Agreement ended on 2026-06-30"
    assert said(AGREEMENT, NOW_NS + DAY_NS) == [("vendors[0].baa", what)]


def test_vendor_without_an_agreement_is_in_doubt_unless_it_needs_none() -> None:
    vendor = "vendors: [{{name: Far, addresses: [203.0.113.0/24]{}}}]"
    assert said(vendor.format("")) == [("vendors[0].baa", "Far: the inventory has no Business Associate Agreement")]
    assert said(vendor.format(", baa_required: false")) == []


def test_vendor_in_a_segment_that_is_no_trunk_is_never_looked_for() -> None:
    vendors = "vendors: [{name: Far, addresses: [203.0.113.7/32, 10.9.0.0/16], baa_required: false}]"
    what = '10.9.0.0/16 begins in segment "phones", which is no trunk: no vendor is looked for there'
    assert said(vendors) == [("vendors[0].addresses[1]", what)]


def test_host_that_no_range_holds_is_in_no_segment() -> None:
    hosts = "hosts: [{name: pbx, role: pbx, addresses: [10.0.0.5, 192.0.2.5]}]"
    assert said(hosts) == [("hosts[0].addresses[1]", "192.0.2.5 is in no segment")]


def test_host_that_no_range_holds_may_be_in_a_segment_told_by_its_vlan() -> None:
    text = "policy: {segments: [{name: a, vlans: [5]}], hosts: [{name: p, role: pbx, addresses: [192.0.2.5]}]}"
    assert list(doubts(parse_config(text, "f").policy, NOW_NS)) == []
