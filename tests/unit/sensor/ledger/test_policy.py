"""The policy as an entry: all that a report needs, addresses as they may be shown."""

from __future__ import annotations

from typing import Any

import pytest

from sensor.config.load import parse_config
from sensor.config.schema import Policy
from sensor.identities import Pseudonyms
from sensor.ledger.policy import policy_entry
from tests.unit.sensor.ledger.schema import valid

POLICY = """
policy:
  segments:
    - {name: phones, cidrs: [10.20.0.0/16], vlans: [20], isolated: true}
    - {name: carrier, kind: trunk, cidrs: [203.0.113.0/24, "2001:db8::/64"], media: any, signalling: any}
  hosts: [{name: pbx, role: pbx, addresses: [10.20.0.10]}]
  vendors:
    - {name: Example Telecom, addresses: [203.0.113.5/32], contact: noc, baa: {signed: 2025-01-02, expires: 2027-01-01}}
    - {name: Conduit, addresses: [198.51.100.0/24], baa_required: false}
  waivers:
    - {subjects: [phones, 10.20.1.7/32], codes: [rtcp-clear], owner: Ann, reason: is replaced, until: 2026-12-31}
  attestations:
    - control: 164.312(a)(1)
      statement: |
        Recordings are encrypted at rest.
        Keys are in the safe.
      by: Ann Example
      date: 2026-01-05
      file: https://wiki.example/recordings
      sha256: E3B0C44298FC1C149AFBF4C8996FB92427AE41E4649B934CA495991B7852B855
"""


@pytest.fixture
def policy() -> Policy:
    return parse_config(POLICY, "legwatch.yaml").policy


def test_entry_has_all_of_it(policy: Policy) -> None:
    entry: dict[str, Any] = valid(policy_entry(policy, str))
    assert [each["ranges"] for each in entry["segments"]] == [["10.20.0.0/16"], ["203.0.113.0/24", "2001:db8::/64"]]
    assert [each["baa"] for each in entry["vendors"]] == [{"signed": "2025-01-02", "expires": "2027-01-01"}, None]
    assert entry["waivers"][0]["subjects"] == ["phones", "10.20.1.7"]
    (said,) = entry["attestations"]
    assert (said["by"], said["on"], said["sha256"][:8]) == ("Ann Example", "2026-01-05", "e3b0c442")


def test_veiled_entry_shows_no_address_and_the_same_name_for_the_same(policy: Policy) -> None:
    names = Pseudonyms()
    text = str(valid(policy_entry(policy, names.host)))
    for part in ("10.20", "203.0.113", "198.51.100", "2001:db8"):
        assert part not in text
    assert names.host("10.20.0.10") in text
    assert "phones" in text
