"""TLS that carries SIP, by its handshakes: which it is, what is wrong with it, and what cannot be said."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from fastpath.records import AppSeen, FlowKey, Handshake
from sensor.analysis import Analysis
from sensor.config.network import Segment
from sensor.config.schema import Policy, Tls
from tests.unit.sensor.test_tls_certificates import HOST, ISSUER, NOW_NS, ROOT, Issued, server
from tests.unit.sensor.traffic import Heard

PHONE, PBX = "10.0.0.1", "10.0.0.2"
S, DAY = 10**9, 86_400 * 10**9
KEY = FlowKey("tcp", PHONE, 40000, PBX, 5061, ())
GOOD = server(hosts=(HOST,))
SHAKE = Handshake(
    1,
    NOW_NS,
    KEY,
    from_a=True,
    kind="tls",
    outcome="completed",
    client_version=0x0303,
    version=0x0303,
    cipher=0xC030,
    group=29,
    server_name="pbx.example.org",
    alpn="",
    alpn_offered=(),
    resumed=False,
    alert=-1,
    alert_by_client=False,
    certificates=(GOOD.der, ISSUER.der),
    certificates_left_out=False,
    client_certificates=0,
)
TLS_1_3 = {"version": 0x0304, "cipher": 0x1301, "certificates": ()}


class Bench:
    """An analysis that trusts the root, and what it says."""

    def __init__(self, policy: Policy | None = None, roots: tuple[Issued, ...] = (ROOT,)) -> None:
        self.heard = Heard()
        self.analysis = Analysis(policy or Policy(), [self.heard], roots=lambda: [root.der for root in roots])

    def feed(self, **changes: Any) -> Bench:
        self.analysis.feed(replace(SHAKE, **changes))
        return self

    def later(self, ns: int) -> Bench:
        for hour in range(0, ns, 1800 * S):
            self.analysis.advance(NOW_NS + hour)
        self.analysis.advance(NOW_NS + ns)
        return self

    @property
    def findings(self) -> dict[str, str]:
        """Codes and severities of what is open."""
        return {finding.code: finding.severity for finding in self.analysis.book.open_findings()}


def shown(certificate: Issued) -> tuple[bytes, ...]:
    return certificate.der, ISSUER.der


def test_good_handshake_is_no_finding() -> None:
    assert Bench().feed().findings == {}


@pytest.mark.parametrize(
    ("changes", "findings"),
    [
        ({"version": 0x0302, "cipher": 0xC014}, {"tls-version": "high", "tls-cipher": "medium"}),
        ({"cipher": 0x002F}, {"tls-cipher": "medium"}),
        ({"cipher": 0x003B}, {"tls-null": "critical"}),
        ({"cipher": 0x00A7, "certificates": ()}, {"tls-anonymous": "critical"}),
        ({"cipher": 0x0005}, {"tls-cipher": "medium"}),
        ({"cipher": 0xEEEE}, {}),
        (TLS_1_3, {"not-observable": "info"}),
        ({"resumed": True, "certificates": ()}, {"not-observable": "info"}),
        ({"certificates": shown(server(days=(-300, -1)))}, {"cert-expired": "high"}),
        ({"certificates": shown(server(days=(-300, 10)))}, {"cert-expiring": "medium"}),
        ({"certificates": shown(server(days=(1, 100)))}, {"cert-not-yet-valid": "high"}),
        ({"server_name": "sbc.example.org"}, {"cert-name-mismatch": "high"}),
        ({"server_name": ""}, {}),
        ({"certificates": (server(None).der,)}, {"cert-self-signed": "medium"}),
        ({"certificates": (GOOD.der,)}, {"cert-untrusted": "medium"}),
        ({"outcome": "refused", "alert": 48, "alert_by_client": True}, {"tls-handshake-failed": "medium"}),
        ({"outcome": "cut", "version": 0, "certificates": ()}, {"tls-handshake-failed": "medium"}),
        ({"outcome": "unknown", "version": 0x0301}, {}),
    ],
)
def test_handshake_is_held_against_the_floor(changes: dict[str, Any], findings: dict[str, str]) -> None:
    assert Bench().feed(**changes).findings == findings


def test_refused_handshake_says_nothing_of_what_it_might_have_agreed_on() -> None:
    found = Bench().feed(outcome="refused", alert=70, version=0x0301, cipher=0x0005)
    assert found.findings == {"tls-handshake-failed": "medium"}
    (finding,) = found.analysis.book.open_findings()
    assert finding.evidence == [
        "the handshake from 10.0.0.1 to 10.0.0.2:5061 failed: the server refused it: protocol_version (70)"
    ]


def test_certificate_of_an_outside_server_weighs_more() -> None:
    key = KEY._replace(b="203.0.113.9")
    assert Bench().feed(key=key, certificates=(GOOD.der,)).findings == {"cert-untrusted": "high"}
    assert Bench().feed(key=key, certificates=(server(None).der,)).findings == {"cert-self-signed": "high"}


def test_upgrade_of_a_pair_resolves_what_was_old() -> None:
    bench = Bench().feed(version=0x0301)
    assert "tls-version" in bench.findings
    assert bench.feed(flow=2).findings == {}


def test_new_certificate_resolves_what_the_old_one_had() -> None:
    bench = Bench().feed(certificates=shown(server(days=(-300, -1))))
    assert bench.feed(flow=2).findings == {}


def test_time_alone_makes_a_certificate_expire() -> None:
    bench = Bench(Policy(tls=Tls(expiring_days=1))).feed(certificates=shown(server(days=(-1, 4))))
    assert bench.findings == {}
    assert bench.later(7 * DAY // 2).findings == {"cert-expiring": "medium"}
    assert bench.later(5 * DAY).findings == {"cert-expired": "high"}


def test_server_that_nobody_asks_any_more_is_forgotten() -> None:
    bench = Bench().feed(certificates=(server(None).der,))
    assert bench.later(6 * DAY).findings == {"cert-self-signed": "medium"}
    assert bench.later(8 * DAY).findings == {}
    assert [each.port for each in bench.heard.tls_servers] == [5061]


def test_failed_handshakes_are_one_finding_with_a_count_and_end_when_they_do() -> None:
    bench = Bench()
    for n in range(5):
        bench.feed(flow=n, ts_ns=NOW_NS + n, outcome="refused", alert=40)
    (finding,) = bench.analysis.book.open_findings()
    assert finding.count == 5
    assert bench.later(400 * S).findings == {}


def test_stranger_that_fails_is_no_finding_until_it_once_did_not() -> None:
    key = KEY._replace(a="203.0.113.7")
    failed = {"key": key, "outcome": "refused", "alert": 40}
    assert Bench().feed(**failed).findings == {}
    assert "tls-handshake-failed" in Bench().feed(key=key).feed(flow=2, **failed).findings


def test_not_observable_is_not_said_of_a_server_whose_certificate_was_seen_before() -> None:
    bench = Bench().feed()
    assert bench.feed(flow=2, resumed=True, certificates=()).findings == {}


@pytest.mark.parametrize(
    ("changes", "basis"),
    [
        ({}, "port"),
        ({"key": KEY._replace(b_port=5161), "alpn": "sip/2"}, "alpn"),
        ({"key": KEY._replace(b_port=5161), "alpn_offered": ("sip",)}, "alpn"),
    ],
)
def test_sip_inside_is_known_by(changes: dict[str, Any], basis: str) -> None:
    bench = Bench().feed(**changes)
    bench.analysis.close()
    (found,) = bench.heard.tls_servers
    assert (found.basis, found.handshakes, found.certificate) == (basis, {"completed": 1}, "readable")


def test_sip_inside_is_known_by_an_earlier_flow_to_the_same_server() -> None:
    bench = Bench()
    bench.analysis.feed(AppSeen(7, NOW_NS, FlowKey("tcp", PHONE, 50000, PBX, 5080, ()), "sip"))
    bench.feed(key=KEY._replace(b_port=5080))
    bench.analysis.close()
    assert [(each.port, each.basis) for each in bench.heard.tls_servers] == [(5080, "earlier-flow")]


def test_other_tls_is_nobodys_business() -> None:
    bench = Bench().feed(key=KEY._replace(b_port=443), version=0x0301, cipher=0x0005, alpn="http/1.1")
    bench.analysis.close()
    assert (bench.findings, bench.heard.tls_servers) == ({}, [])


def test_server_is_the_end_that_answers_whichever_is_named_first() -> None:
    key = FlowKey("tcp", PBX, 5061, PHONE, 40000, ())
    bench = Bench().feed(key=key, from_a=False, certificates=(GOOD.der,))
    (finding,) = bench.analysis.book.open_findings()
    assert finding.subject.name == "10.0.0.2:5061"


# DTLS


DTLS = {"kind": "dtls", "version": 0xFEFD, "key": KEY._replace(proto="udp", b_port=40002), "srtp_profile": 1}


@pytest.mark.parametrize(
    ("changes", "findings"),
    [
        ({"certificates": (server(None).der,)}, {}),  # RFC 5763: self-signed by design
        ({"certificates": (server(None, days=(-9, -1)).der,)}, {}),
        ({"version": 0xFEFF, "cipher": 0xC014}, {"tls-version": "high", "tls-cipher": "medium"}),
        ({"cipher": 0x003B}, {"tls-null": "critical"}),
        ({"srtp_profile": 0, "version": 0xFEFF}, {}),
    ],
)
def test_dtls_srtp_is_held_against_the_floor_but_its_certificate_is_not(
    changes: dict[str, Any], findings: dict[str, str]
) -> None:
    assert Bench().feed(**(DTLS | changes)).findings == findings


# The policy


def test_policy_raises_the_floor_and_accepts_exceptions() -> None:
    assert Bench(Policy(tls=Tls(min_version="1.3"))).feed().findings == {"tls-version": "high"}
    allowed = Policy(tls=Tls(allowed_ciphers=("TLS_RSA_WITH_AES_128_CBC_SHA",)))
    assert Bench(allowed).feed(cipher=0x002F).findings == {}
    assert Bench(Policy(tls=Tls(accept_self_signed=True))).feed(certificates=(server(None).der,)).findings == {}
    assert Bench(Policy(tls=Tls(sip_ports=(5061, 5071)))).feed(key=KEY._replace(b_port=5071), cipher=0x0005).findings


def test_names_of_the_policy_come_before_the_one_that_was_asked_for() -> None:
    policy = Policy(tls=Tls(server_names={PBX: ("sip.example.org",)}))
    assert Bench(policy).feed().findings == {"cert-name-mismatch": "high"}
    assert Bench(Policy(tls=Tls(server_names={PBX: ("pbx.example.org",)}))).feed(server_name="x.example").findings == {}


def test_segment_that_asks_for_nothing_gets_no_findings() -> None:
    segments = (Segment("lab", vlans=(7,), media="any", signalling="any"),)
    assert Bench(Policy(segments=segments)).feed(version=0x0301).findings == {}


def test_reload_judges_certificates_anew() -> None:
    bench = Bench().feed(certificates=(server(None).der,))
    bench.analysis.reload(Policy(tls=Tls(accept_self_signed=True)))
    assert bench.findings == {}


def test_no_name_of_a_certificate_is_in_any_statement() -> None:
    secret = server(hosts=(HOST,), days=(-300, -1))
    bench = Bench().feed(certificates=(secret.der,), server_name="canary.example")
    said = repr(bench.analysis.book.open_findings())
    assert "pbx.example.org" not in said
    assert "canary" not in said
