"""The rules about the sensor itself, and the catalogue of all findings."""

from __future__ import annotations

import pytest

from sensor.config.schema import Policy
from sensor.model import Subject
from sensor.policy import health
from sensor.policy.catalogue import CATALOGUE
from tests.unit.sensor.traffic import S

POLICY = Policy()


def test_silence_is_claimed_after_the_policy_s_time() -> None:
    assert health.no_traffic("span0", 60 * S - 1, POLICY) == []
    (claim,) = health.no_traffic("span0", 60 * S, POLICY)
    assert (claim.code, claim.subject, claim.evidence) == (
        "sensor-no-traffic", Subject("interface", name="span0"), "no packet on span0 for more than 60 s",
    )  # fmt: skip


def test_loss_is_claimed_with_what_was_lost() -> None:
    assert health.loss("span0", {"packets": 0}, POLICY) == []
    (claim,) = health.loss("span0", {"packets dropped by the kernel": 7, "octets": 0}, POLICY)
    assert claim.evidence == "lost: 7 packets dropped by the kernel; the calls in it are not assessed"


QUIET = {
    "received": 10_000, "duplicates": 0, "truncated": 0, "media_one_way": 0, "media_both_ways": 20, "ignored.arp": 5000,
}  # fmt: skip


@pytest.mark.parametrize(
    ("seen", "code", "evidence"),
    [
        ({"media_one_way": 4, "media_both_ways": 0}, "sensor-one-way-mirror", "4 of 4 media flows"),
        ({"media_one_way": 18, "media_both_ways": 2}, "sensor-one-way-mirror", "18 of 20 media flows"),
        ({"duplicates": 501}, "sensor-duplicate-mirror", "501 of 10,000 packets (5.0%): duplicates 501"),
        ({"truncated": 101}, "sensor-truncated", "101 of 10,000 packets (1.0%): truncated 101"),
        (
            {"ignored.macsec": 900, "malformed.ipv4": 200},
            "sensor-undecoded",
            "1,100 of 10,000 packets (11.0%): ignored.macsec 900, malformed.ipv4 200",
        ),
    ],
)
def test_mirror_that_hides_something_is_claimed(seen: dict[str, int], code: str, evidence: str) -> None:
    (found,) = health.mirror("span0", QUIET | seen, POLICY)
    assert (found.code, found.subject) == (code, Subject("interface", name="span0"))
    assert evidence in found.evidence


@pytest.mark.parametrize(
    "seen",
    [
        {},
        {"media_one_way": 3, "media_both_ways": 0},
        {"media_one_way": 17, "media_both_ways": 3},
        {"duplicates": 500},
        {"truncated": 100},
        {"ignored.macsec": 1000},
        {"received": 999, "truncated": 900},
    ],
)
def test_mirror_is_not_claimed_for_little(seen: dict[str, int]) -> None:
    assert health.mirror("span0", QUIET | seen, POLICY) == []


def test_clock_that_was_set_or_that_nobody_keeps_is_claimed() -> None:
    assert health.clock("span0", 0, synchronised=True, policy=POLICY) == []
    (found,) = health.clock("span0", 2, synchronised=False, policy=POLICY)
    assert found.evidence == "the clock: it was set 2 times since the start; no server of time keeps it"


def test_traffic_without_voice_is_claimed_after_the_policy_s_time() -> None:
    assert health.no_voice("span0", 43_200 * S - 1, POLICY) == []
    (found,) = health.no_voice("span0", 43_200 * S, POLICY)
    assert found.code == "sensor-no-voice"


def test_every_entry_of_the_catalogue_has_controls() -> None:
    assert all(entry.controls and entry.title for entry in CATALOGUE.values())
