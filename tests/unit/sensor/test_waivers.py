"""Waivers: what somebody accepts for a while is recorded and does not alert; when it is over, it alerts again."""

from __future__ import annotations

import pytest

from sensor.config.load import parse_config
from sensor.findings import Book, Claim
from sensor.model import Subject
from sensor.policy.waivers import Waivers
from tests.unit.sensor.traffic import T0, Heard, S

DAY = 86_400 * S
POLICY = parse_config(
    """
policy:
  segments:
  - {name: phones, cidrs: [10.0.0.0/16, "fd00::/64"]}
  - {name: attic, cidrs: [10.9.0.0/16]}
  waivers:
  - subjects: [10.0.0.7, 10.0.3.0/24, "fd00::7", attic]
    codes: [media-clear, cert-expired]
    owner: J. Doe
    reason: the old gateway is replaced in February
    until: 2026-01-06
""",
    "f",
).policy
WAIVED = "J. Doe: the old gateway is replaced in February (until 2026-01-06)"


@pytest.mark.parametrize(
    ("code", "subject", "segments", "waived"),
    [
        ("media-clear", Subject("leg", "10.0.0.1", "10.0.0.7"), ("phones",), True),
        ("media-clear", Subject("leg", "10.0.0.1", "10.0.3.200"), ("phones",), True),
        ("media-clear", Subject("leg", "10.0.0.1", "fd00::7"), ("phones",), True),
        ("media-clear", Subject("leg", "10.0.0.1", "10.9.0.1"), ("phones", "attic"), True),
        ("media-clear", Subject("leg", "10.0.0.1", "10.0.0.8"), ("phones",), False),
        ("media-downgraded", Subject("leg", "10.0.0.1", "10.0.0.7"), ("phones",), False),
        ("cert-expired", Subject("tls-server", name="10.0.0.7:5061"), ("phones",), True),
        ("cert-expired", Subject("tls-server", name="[fd00::7]:5061"), ("phones",), True),
        ("cert-expired", Subject("tls-server", name="10.0.0.70:5061"), ("phones",), False),
    ],
)
def test_waiver_names_codes_and_ends(code: str, subject: Subject, segments: tuple[str, ...], waived: bool) -> None:
    assert Waivers(POLICY).of(code, subject, segments, T0) == (WAIVED if waived else None)


def test_waiver_holds_through_its_last_day_in_utc() -> None:
    subject = Subject("leg", "10.0.0.1", "10.0.0.7")
    last = T0 - T0 % DAY + 2 * DAY - 1
    assert Waivers(POLICY).of("media-clear", subject, (), last) == WAIVED
    assert Waivers(POLICY).of("media-clear", subject, (), last + 1) is None
    assert Waivers(POLICY).counts(last) == {"active": 1, "expired": 0}
    assert Waivers(POLICY).counts(last + 1) == {"active": 0, "expired": 1}


def test_finding_waived_is_opened_when_its_waiver_is_over_and_ends_waived_when_it_ends_before() -> None:
    heard = Heard()
    book = Book([heard], waived=Waivers(POLICY).of)
    claim = Claim("media-clear", "critical", Subject("leg", "10.0.0.1", "10.0.0.7"), ("phones",), "seen", ())
    book.hold("leg", [claim], T0)
    book.waive(T0 + S)
    assert [(finding.state, finding.waived_by) for finding in heard.findings] == [("waived", WAIVED)]
    book.hold("leg", [], T0 + 2 * S)
    assert heard.findings[0].state == "waived"

    book.hold("leg", [claim], T0 + 3 * S)
    book.waive(T0 + 2 * DAY)
    assert heard.said[2:] == [("opened", "media-clear"), ("opened", "media-clear")]
    assert (heard.findings[-1].state, heard.findings[-1].waived_by) == ("open", None)
    book.hold("leg", [], T0 + 2 * DAY)
    assert heard.findings[-1].state == "resolved"


def test_waiver_of_a_vendors_range_waives_what_is_said_of_the_vendor() -> None:
    policy = parse_config(
        """
policy:
  vendors: [{name: Example Telecom, addresses: [203.0.113.0/24]}]
  waivers:
  - subjects: [203.0.113.0/25]
    codes: [vendor-without-baa]
    owner: J. Doe
    reason: it is signed in March
    until: 2026-03-31
""",
        "f",
    ).policy
    waivers = Waivers(policy)
    assert waivers.of("vendor-without-baa", Subject("vendor", name="Example Telecom"), (), T0)
    assert waivers.of("vendor-without-baa", Subject("vendor", name="Another"), (), T0) is None
