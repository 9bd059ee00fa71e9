"""What is true by the policy of transport security: handshakes, and the certificates that they show."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sensor.model import Subject
from sensor.policy import tls_suites as suites
from sensor.policy.claims import NS, claim, end, pair

if TYPE_CHECKING:
    from fastpath.records import Handshake
    from sensor.config.schema import Policy
    from sensor.findings import Claim
    from sensor.model import Chain, Severity
    from sensor.policy.segments import Required

DAY_NS = 86_400 * NS
# What a completed handshake is judged by, and what a certificate that was read
AGREED = ("tls-version", "tls-null", "tls-anonymous", "tls-cipher")
CERTIFICATE = (
    *("cert-expired", "cert-not-yet-valid", "cert-expiring", "cert-name-mismatch", "cert-weak", "cert-self-signed"),
    *("cert-untrusted", "not-observable"),
)
_VERSIONS = {
    0x0200: "SSL 2.0",
    0x0300: "SSL 3.0",
    0x0301: "TLS 1.0",
    0x0302: "TLS 1.1",
    0x0303: "TLS 1.2",
    0x0304: "TLS 1.3",
    0xFEFF: "DTLS 1.0",
    0xFEFD: "DTLS 1.2",
    0xFEFC: "DTLS 1.3",
}
_RANK = {0xFEFF: 0x0302, 0xFEFD: 0x0303, 0xFEFC: 0x0304}  # the TLS that a DTLS is made from (RFC 6347 section 1)
_FLOOR = {"1.2": 0x0303, "1.3": 0x0304}
# RFC 8446 section 6 and RFC 5246 section 7.2
_ALERTS = {
    10: "unexpected_message",
    20: "bad_record_mac",
    40: "handshake_failure",
    42: "bad_certificate",
    43: "unsupported_certificate",
    44: "certificate_revoked",
    45: "certificate_expired",
    46: "certificate_unknown",
    47: "illegal_parameter",
    48: "unknown_ca",
    49: "access_denied",
    50: "decode_error",
    51: "decrypt_error",
    70: "protocol_version",
    71: "insufficient_security",
    80: "internal_error",
    86: "inappropriate_fallback",
    109: "missing_extension",
    110: "unsupported_extension",
    112: "unrecognized_name",
    113: "bad_certificate_status_response",
    115: "unknown_psk_identity",
    116: "certificate_required",
    120: "no_application_protocol",
}


def version(number: int) -> str:
    """Return a version on the wire in words."""
    return _VERSIONS.get(number, f"version 0x{number:04x}")


def agreed(record: Handshake, required: Required, policy: Policy) -> list[Claim]:
    """Return the claims about what a completed handshake agreed on."""
    subject = hosts(record)
    where = _where(record)
    suite = suites.name(record.cipher)
    found = []

    def add(code: str, evidence: str) -> None:
        found.append(claim(code, policy, subject, required, evidence))

    if _RANK.get(record.version, record.version) < _FLOOR[policy.tls.min_version]:
        add(
            "tls-version",
            f"{version(record.version)} {where}; the policy asks for TLS {policy.tls.min_version} or later",
        )
    if suites.is_null(record.cipher):
        add("tls-null", f"{suite} {where}: nothing is encrypted")
    elif suites.is_anonymous(record.cipher):
        add("tls-anonymous", f"{suite} {where}: neither end shows who it is")
    elif (why := suites.weakness(record.cipher)) and suite not in policy.tls.allowed_ciphers:
        add("tls-cipher", f"{suite} {where}: {why}")
    return found


def weak_certificate(record: Handshake, chain: Chain, required: Required, policy: Policy) -> list[Claim]:
    """Return the claim about a DTLS-SRTP certificate, of which nothing but its strength matters (RFC 5763)."""
    if not chain.weak:
        return []
    evidence = f"the certificate of the DTLS server {_where(record)} has {', '.join(chain.weak)}"
    return [claim("cert-weak", policy, hosts(record), required, evidence)]


def unfinished(record: Handshake, required: Required, policy: Policy) -> list[Claim]:
    """Return the claim that a handshake came to nothing."""
    who = "client" if record.alert_by_client else "server"
    if record.outcome == "cut":
        why = f"the {who} closed the connection before it was complete"
    elif record.alert < 0:
        why = f"the {who} refused it; why is encrypted"
    else:
        why = f"the {who} refused it: {_ALERTS.get(record.alert, 'alert')} ({record.alert})"
    return [
        claim("tls-handshake-failed", policy, hosts(record), required, f"the handshake {_where(record)} failed: {why}")
    ]


def certificate(
    chain: Chain,
    names: tuple[str, ...],
    server: str,
    now_ns: int,
    required: Required,
    policy: Policy,
    *,
    external: bool,
) -> list[Claim]:
    """Return the claims about the certificate of a server: ``server`` is its address and port in text.

    ``names`` are those of which one must be in it, none when nobody said a name.
    """
    subject = Subject("tls-server", name=server)
    outside: Severity = "high" if external or policy.tls.certificates == "trusted" else "medium"
    found = []

    def add(code: str, evidence: str, severity: Severity | None = None) -> None:
        found.append(claim(code, policy, subject, required, f"the certificate of {server} {evidence}", severity))

    if now_ns > chain.not_after_ns:
        add("cert-expired", f"expired {_days(now_ns - chain.not_after_ns)} ago")
    elif now_ns < chain.not_before_ns:
        add("cert-not-yet-valid", f"is not valid for another {_days(chain.not_before_ns - now_ns)}")
    elif now_ns > chain.not_after_ns - policy.tls.expiring_days * DAY_NS:
        add("cert-expiring", f"expires in {_days(chain.not_after_ns - now_ns)}")
    if names and not any(chain.is_for(name) for name in names):
        add("cert-name-mismatch", "is for none of the names that it should be for")
    if chain.weak:
        add("cert-weak", f"has {', '.join(chain.weak)}")
    if chain.self_signed and chain.trust != "trusted" and _matters("cert-self-signed", policy):
        add("cert-self-signed", "is signed by itself", outside)
    if not chain.self_signed and chain.trust == "untrusted" and _matters("cert-untrusted", policy):
        add("cert-untrusted", f"is not trusted: {chain.reason}", outside)
    return found


def _matters(code: str, policy: Policy) -> bool:
    return policy.tls.certificates != "any" and not (code == "cert-self-signed" and policy.tls.accept_self_signed)


def not_observable(why: str, server: str, required: Required, policy: Policy) -> list[Claim]:
    """Return the claim that the certificate of a server cannot be judged, which is not that it is good."""
    evidence = f"the certificate of {server} cannot be seen: {why}"
    return [claim("not-observable", policy, Subject("tls-server", name=server), required, evidence)]


def hosts(record: Handshake) -> Subject:
    """Return the two hosts of a handshake as a subject."""
    return pair("leg" if record.kind == "dtls" else "signalling", record.key.a, record.key.b)


def _where(record: Handshake) -> str:
    key = record.key
    client, server = (key.a, key.a_port), (key.b, key.b_port)
    if not record.from_a:
        client, server = server, client
    return f"from {client[0]} to {end(*server)}"


def _days(ns: int) -> str:
    days = ns // DAY_NS
    return f"{days} day{'' if days == 1 else 's'}"
