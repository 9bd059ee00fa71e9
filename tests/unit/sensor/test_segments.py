"""What must hold between two addresses, by the segments that they are in."""

from __future__ import annotations

import pytest

from sensor.config.load import parse_config
from sensor.config.schema import Policy
from sensor.policy.segments import Required, Segments

VOICE = Required(media=True, signalling=True, segments=("voice",), policy=Policy())
NOTHING = Required(media=False, signalling=False, segments=(), policy=Policy())

SEGMENTED = parse_config(
    """
policy:
  segments:
  - {name: phones, cidrs: [10.0.0.0/8, "fd00::/16"]}
  - {name: servers, kind: server, cidrs: [10.9.0.0/16], signalling: any}
  - {name: lab, kind: data, vlans: [77], media: any, signalling: any}
  - {name: mirror, interfaces: [span1], media: any, signalling: any}
  pairs:
  - {between: [phones, outside], media: any}
  - {between: [lab, phones], signalling: encrypted}
""",
    "f",
).policy


@pytest.mark.parametrize(
    ("a", "b", "vlans", "media", "signalling", "segments"),
    [
        ("10.1.1.1", "10.2.2.2", (), True, True, ("phones",)),
        ("10.1.1.1", "10.9.0.1", (), True, True, ("phones", "servers")),  # the longest prefix; the stricter of two
        ("10.9.0.1", "10.9.0.2", (), True, False, ("servers",)),
        ("fd00::1", "fd00::2", (), True, True, ("phones",)),
        ("10.1.1.1", "203.0.113.5", (), False, True, ("phones",)),  # the pair says so
        ("203.0.113.5", "10.9.0.1", (), True, False, ("servers",)),  # outside asks for nothing
        ("203.0.113.5", "198.51.100.7", (), False, False, ()),
        ("203.0.113.5", "198.51.100.7", (5, 77), False, False, ("lab",)),
        ("203.0.113.5", "10.1.1.1", (77,), True, True, ("lab", "phones")),
        ("not.an.address", "10.9.0.1", (), True, False, ("servers",)),
    ],
)
def test_requirement_between_two_addresses(
    a: str, b: str, vlans: tuple[int, ...], media: bool, signalling: bool, segments: tuple[str, ...]
) -> None:
    table = Segments(SEGMENTED)
    for _ in range(2):  # computed, then remembered
        assert table.required(a, b, vlans)[:3] == (media, signalling, segments)


def test_interface_decides_last() -> None:
    assert Segments(SEGMENTED, "span1").required("203.0.113.5", "10.1.1.1").segments == ("mirror", "phones")
    assert Segments(SEGMENTED, "span2").required("203.0.113.5", "203.0.113.6").segments == ()


@pytest.mark.parametrize("address", ["10.77.0.11", "192.168.1.1", "100.64.0.1", "127.0.0.1", "fe80::1", "fd77::11"])
def test_without_a_policy_private_addresses_must_be_protected_wherever_the_other_end_is(address: str) -> None:
    table = Segments(Policy())
    assert table.required(address, "203.0.113.5") == VOICE
    assert table.required("239.77.0.1", address) == VOICE
    assert table.required("203.0.113.5", "198.51.100.7") == NOTHING
