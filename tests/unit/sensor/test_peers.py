"""Who may talk with whom, and who outside takes part in calls."""

from __future__ import annotations

import pytest

from fastpath.records import FlowKey
from sensor.config.load import parse_config
from sensor.config.schema import Policy
from sensor.findings import Book
from sensor.network.peers import Peers
from sensor.policy.segments import Segments
from tests.unit.sensor.traffic import T0, Heard, S

DAY = 86_400 * S
HOSPITAL = parse_config(
    """
policy:
  resolve_after: 60
  segments:
  - {name: phones, cidrs: [10.20.0.0/16], isolated: true}
  - {name: servers, kind: server, cidrs: [10.30.0.0/24], isolated: true}
  - {name: admins, kind: management, cidrs: [10.40.0.0/24]}
  - {name: desks, kind: data, cidrs: [10.50.0.0/16]}
  - {name: kiosk, kind: data, cidrs: [10.60.0.0/24]}
  - {name: trunk, kind: trunk, cidrs: [203.0.113.0/24]}
  pairs:
  - {between: [kiosk, servers], access: allowed}
  - {between: [phones, trunk], access: denied}
  management:
  - {clients: [admins], servers: [servers, 10.20.9.0/24], protocols: [https, ssh, "udp/161"]}
  vendors:
  - name: Example Telecom
    addresses: [203.0.113.0/24]
    baa: {signed: 2025-01-01, expires: 2026-01-31}
  - {name: No Paper Ltd, addresses: [198.51.100.0/25]}
  - {name: A Conduit, addresses: [198.51.100.128/25], baa_required: false}
""",
    "f",
).policy


class Made:
    """Peers of a policy with a book, and what it said."""

    def __init__(self, policy: Policy = HOSPITAL) -> None:
        self.heard = Heard()
        self.peers = Peers(Book([self.heard]), Segments(policy), policy)

    def seen(self, a: str, b: str, port: int, app: str = "other", *, at: int = T0, flow: int = 1) -> None:
        proto = "udp" if app in ("rtp", "snmp", "dns") or port in (161, 67) else "tcp"
        self.peers.seen(flow, FlowKey(proto, a, 40000 if port != 67 else 68, b, port, ()), app, at)

    def call(self, a: str, b: str, *, at: int = T0, flow: int = 1) -> None:
        self.peers.calls(flow, FlowKey("udp", a, 16384, b, 16384, ()), at)

    def ended(self, a: str, b: str, port: int, app: str = "other", *, at: int = T0, flow: int = 1) -> None:
        self.peers.ended(flow, FlowKey("tcp", a, 40000, b, port, ()), app, at)

    @property
    def codes(self) -> list[str]:
        return [finding.code for finding in self.heard.findings]


@pytest.mark.parametrize(
    ("a", "b", "port", "app", "allowed"),
    [
        ("10.20.0.1", "10.20.0.2", 5060, "sip", True),  # within a segment
        ("10.20.0.1", "10.30.0.1", 5061, "tls", True),  # of the telephone system
        ("10.50.0.1", "10.20.0.1", 80, "http", False),
        ("10.20.0.1", "10.50.0.1", 80, "http", False),
        ("192.0.2.1", "10.20.0.1", 80, "http", False),  # outside everything
        ("10.60.0.1", "10.30.0.1", 80, "http", True),  # the pair lets it in
        ("10.60.0.1", "10.20.0.1", 80, "http", False),
        ("10.20.0.1", "203.0.113.1", 5061, "tls", False),  # the pair keeps it out
        ("10.30.0.1", "203.0.113.1", 5061, "tls", True),
        ("10.40.0.1", "10.30.0.1", 443, "tls", True),
        ("10.40.0.1", "10.30.0.1", 22, "other", True),
        ("10.40.0.1", "10.20.9.1", 161, "snmp", True),
        ("10.40.0.1", "10.20.8.1", 443, "tls", False),
        ("10.40.0.1", "10.30.0.1", 23, "telnet", False),
        ("10.50.0.1", "10.60.0.1", 80, "http", True),  # nobody's business here
    ],
)
def test_hosts_talk_as_the_policy_allows(a: str, b: str, port: int, app: str, allowed: bool) -> None:
    made = Made()
    made.seen(a, b, port, app)
    assert made.codes == ([] if allowed else ["segment-violation"])


def test_violation_names_the_stranger_first_and_what_it_did() -> None:
    made = Made()
    made.seen("10.20.0.1", "10.50.0.1", 80, "http")
    (finding,) = made.heard.findings
    assert (finding.subject.kind, finding.subject.a, finding.subject.b) == ("access", "10.50.0.1", "10.20.0.1")
    assert finding.evidence == ["HTTP over TCP between 10.20.0.1:40000 and 10.50.0.1:80"]
    assert set(finding.segments) == {"phones", "desks"}


def test_violation_is_over_when_it_was_not_seen_for_a_while() -> None:
    made = Made()
    made.seen("10.50.0.1", "10.20.0.1", 80)
    made.seen("10.50.0.1", "10.20.0.1", 80, at=T0 + 30 * S)
    made.ended("10.50.0.1", "10.20.0.1", 80, "http", at=T0 + 30 * S)
    made.peers.sweep(T0 + 80 * S)
    assert made.heard.said == [("opened", "segment-violation")]
    made.peers.sweep(T0 + 91 * S)
    assert made.heard.said[1:] == [("resolved", "segment-violation")]
    assert made.heard.findings[0].count == 2


@pytest.mark.parametrize(
    ("peer", "code"),
    [
        ("203.0.113.9", None),
        ("198.51.100.9", "vendor-without-baa"),
        ("198.51.100.200", None),
        ("1.1.1.1", "unknown-vendor"),
        ("10.99.0.1", None),  # private, and nobody's segment
    ],
)
def test_call_with_somebody_outside_asks_for_vendor_and_agreement(peer: str, code: str | None) -> None:
    made = Made()
    made.call("10.30.0.1", peer)
    assert [found for found in made.codes if "vendor" in found] == ([code] if code else [])


def test_agreement_ends_with_its_last_day() -> None:
    made = Made()
    last = T0 - T0 % DAY + 27 * DAY - S  # the end of 2026-01-31
    made.call("10.30.0.1", "203.0.113.9", at=last)
    assert made.codes == []
    made.call("10.30.0.2", "203.0.113.9", at=last + S)
    assert made.codes == ["vendor-without-baa"]
    assert "ended on 2026-01-31" in made.heard.findings[0].evidence[0]


def test_vendor_is_one_finding_whoever_calls() -> None:
    made = Made()
    for host in ("10.30.0.1", "10.30.0.2"):
        made.call(host, "198.51.100.9")
    found = [finding for finding in made.heard.findings if finding.code == "vendor-without-baa"]
    assert [(finding.subject.name, finding.count) for finding in found] == [("No Paper Ltd", 2)]


def test_policy_without_vendors_and_isolation_finds_nothing() -> None:
    made = Made(Policy())
    made.call("10.30.0.1", "1.1.1.1")
    assert made.codes == []


def test_policy_reloaded_judges_what_is_seen_next() -> None:
    made = Made()
    made.seen("10.50.0.1", "10.20.0.1", 80)
    made.peers.reload(Segments(Policy()), Policy(), T0 + S)
    made.seen("10.50.0.1", "10.20.0.1", 80, at=T0 + 2 * S)
    assert made.heard.said == [("opened", "segment-violation"), ("resolved", "segment-violation")]


def test_violation_goes_on_as_long_as_its_flow_does() -> None:
    made = Made()
    made.seen("10.50.0.1", "10.20.0.1", 80, "http")
    made.peers.sweep(T0 + 3600 * S)
    assert made.heard.said == [("opened", "segment-violation")]
    made.ended("10.50.0.1", "10.20.0.1", 80, "http", at=T0 + 3600 * S)
    made.peers.sweep(T0 + 3661 * S)
    assert made.heard.said[1:] == [("resolved", "segment-violation")]


def test_allowed_traffic_between_two_hosts_says_nothing_of_what_is_not() -> None:
    made = Made()
    made.seen("10.40.0.1", "10.30.0.1", 23, "telnet")
    made.ended("10.40.0.1", "10.30.0.1", 23, "telnet")
    for minute in range(10):
        made.seen("10.40.0.1", "10.30.0.1", 443, "tls", at=T0 + 60 * minute * S, flow=2)
    made.peers.sweep(T0 + 600 * S)
    assert made.heard.said == [("opened", "segment-violation"), ("resolved", "segment-violation")]


@pytest.mark.parametrize(
    ("a", "b", "port"),
    [
        ("10.20.0.1", "224.0.0.251", 5353),
        ("10.20.0.1", "ff02::fb", 5353),
        ("10.20.0.1", "255.255.255.255", 9),
        ("10.50.0.1", "10.20.255.255", 137),
        ("0.0.0.0", "10.50.0.1", 67),
        ("10.20.0.1", "10.50.0.1", 67),
    ],
)
def test_what_is_for_all_or_asks_for_an_address_is_no_violation(a: str, b: str, port: int) -> None:
    made = Made()
    made.seen(a, b, port)
    assert made.codes == []


def test_violation_that_another_policy_allows_is_resolved_and_one_that_it_does_not_stays() -> None:
    made = Made()
    made.seen("10.50.0.1", "10.20.0.1", 80, "http")
    made.peers.reload(Segments(HOSPITAL), HOSPITAL, T0 + S)
    assert made.heard.said == [("opened", "segment-violation")]
    made.peers.reload(Segments(Policy()), Policy(), T0 + 2 * S)
    assert made.heard.said[1:] == [("resolved", "segment-violation")]


def test_host_from_anywhere_in_a_voice_vlan_is_a_stranger_all_the_same() -> None:
    policy = parse_config(
        "policy: {segments: [{name: phones, vlans: [20]}], vendors: [{name: A, addresses: [203.0.113.0/24]}]}", "f"
    ).policy
    made = Made(policy)
    made.peers.calls(1, FlowKey("udp", "10.1.1.1", 5060, "1.1.1.1", 5060, (20,)), T0)
    assert made.codes == ["unknown-vendor"]


def test_flow_that_went_on_through_another_policy_holds_nothing_afterwards() -> None:
    made = Made()
    made.seen("10.50.0.1", "10.20.0.1", 80, "http", flow=1)
    made.peers.reload(Segments(Policy()), Policy(), T0 + S)
    made.ended("10.50.0.1", "10.20.0.1", 80, "http", at=T0 + 2 * S, flow=1)
    made.peers.reload(Segments(HOSPITAL), HOSPITAL, T0 + 3 * S)
    made.seen("10.50.0.1", "10.20.0.1", 80, "http", at=T0 + 4 * S, flow=2)
    made.ended("10.50.0.1", "10.20.0.1", 80, "http", at=T0 + 5 * S, flow=2)
    made.peers.sweep(T0 + 70 * S)
    assert [change for change, _ in made.heard.said] == ["opened", "resolved", "opened", "resolved"]
