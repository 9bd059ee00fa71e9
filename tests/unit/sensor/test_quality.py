"""How a leg sounded: the E-model, the worst stream, and marks."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_network

import pytest

from sensor.calls.quality import quality_of, rating, score
from sensor.config.network import Segment
from sensor.config.schema import Policy
from sensor.policy import qos
from sensor.policy.segments import Segments
from tests.unit.sensor.samples import FLOW, STREAM


def test_default_values_give_the_rating_of_the_recommendation() -> None:
    # G.107 section 7.7: with all parameters at their defaults R is 93.2, and table B.1's opinion of it.
    assert rating("PCMU", 0, 0) == pytest.approx(93.2, abs=0.05)
    assert score(93.2) == pytest.approx(4.41, abs=0.005)


@pytest.mark.parametrize(("codec", "impairment"), [("PCMA", 0), ("G729", 11), ("G723", 15)])
def test_codec_takes_off_its_published_impairment(codec: str, impairment: float) -> None:
    without, reference = rating(codec, 0, 0), rating("PCMU", 0, 0)
    assert without is not None
    assert reference is not None
    assert reference - without == pytest.approx(impairment)


@pytest.mark.parametrize("codec", ["opus", "G722", "", "telephone-event"])
def test_codec_without_published_values_has_no_rating(codec: str) -> None:
    assert rating(codec, 0, 0) is None


def test_loss_and_delay_only_ever_lower_the_rating() -> None:
    by_loss = [rating("PCMU", percent / 100, 0) or 0 for percent in range(0, 101, 5)]
    by_delay = [rating("PCMU", 0, ms) or 0 for ms in range(0, 2000, 50)]
    assert by_loss == sorted(by_loss, reverse=True)
    assert by_delay == sorted(by_delay, reverse=True)
    assert min(by_loss + by_delay) >= 0
    assert (rating("PCMU", 0, 150) or 0) > 85
    assert (rating("PCMU", 0, 400) or 0) < 70


def test_loss_halves_what_is_left_at_the_codec_s_robustness() -> None:
    # G.107 (7-29): at Ppl = Bpl the effective impairment is midway between Ie and 95.
    lossless, lossy = rating("G729", 0, 0), rating("G729", 0.19, 0)
    assert lossless is not None
    assert lossy is not None
    assert lossless - lossy == pytest.approx((95 - 11) / 2, abs=0.01)


def test_score_stays_within_its_scale() -> None:
    assert [score(r) for r in (-5, 0, 100, 120)] == [1.0, 1.0, 4.5, 4.5]
    assert score(60) == pytest.approx(3.1, abs=0.01)
    assert all(score(r / 10) >= 1 for r in range(1000))


def test_leg_is_as_good_as_its_worst_stream() -> None:
    good, bad = replace(STREAM, packets=1000, lost=0), replace(STREAM, packets=900, lost=100, jitter_ms=7.0)
    quality = quality_of([good, bad])
    assert quality is not None
    assert (quality.loss, quality.jitter_ms) == (0.1, 7.0)
    assert quality_of([good], quality) == quality


def test_stream_of_few_packets_says_nothing() -> None:
    assert quality_of([replace(STREAM, packets=49)]) is None


def test_delay_is_half_of_both_ways_together_and_not_known_of_one() -> None:
    near, far = replace(STREAM, packets=500, delay_ms=10.0), replace(STREAM, packets=500, delay_ms=110.0)
    both, one = quality_of([near, far]), quality_of([near])
    assert both is not None
    assert one is not None
    assert (both.delay_ms, one.delay_ms) == (60.0, None)


def test_media_with_another_mark_than_the_policy_s_is_claimed() -> None:
    policy = Policy(dscp=(46,))
    segments = Segments(policy, "")
    flow = replace(FLOW, streams=(replace(STREAM, packets=500, dscp=0),))
    _, (claim,) = qos.unmarked(flow, segments, policy)
    assert (claim.code, claim.severity) == ("qos-unmarked", "info")
    assert "DSCP 0 from 192.0.2.10; the policy wants 46" in claim.evidence
    marked = replace(FLOW, streams=(replace(STREAM, packets=500, dscp=46), replace(STREAM, packets=9, dscp=0)))
    assert qos.unmarked(marked, segments, policy)[1] == []


def test_segment_that_weighs_unmarked_media_otherwise_is_heeded() -> None:
    phones = Segment("phones", cidrs=(ip_network("192.0.2.0/28"),), severities={"qos-unmarked": "high"})
    policy = Policy(dscp=(46,), segments=(phones,))
    flow = replace(FLOW, streams=(replace(STREAM, packets=500, dscp=0),))
    _, (claim,) = qos.unmarked(flow, Segments(policy, ""), policy)
    assert (claim.severity, claim.segments) == ("high", ("phones",))
