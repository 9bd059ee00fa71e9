"""The rules about the sensor itself, and the catalogue of all findings."""

from __future__ import annotations

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


def test_every_entry_of_the_catalogue_has_controls() -> None:
    assert all(entry.controls and entry.title for entry in CATALOGUE.values())
