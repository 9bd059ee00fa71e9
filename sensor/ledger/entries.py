"""What the sensor says, as entries of the ledger: docs/schema/ledger.schema.json, docs/LEDGER.md.

An entry here is all but its ``at``, which the writer adds. Times are milliseconds since 1970, shares are thousandths:
a ledger has no fractions, whose text is not canonical everywhere (RFC 8785 section 3.2.2.3).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from fastpath.records import Attempt
    from sensor.model import Call, Chain, Endpoint, Finding, Leg, Step, TlsServer

# What JSON can say, without fractions. Names are ASCII.
Value = None | bool | int | str | list["Value"] | dict[str, "Value"]
Entry = dict[str, Value]

MS = 1_000_000  # nanoseconds


def leg_entry(leg: Leg) -> Entry:
    """Return what is kept of a leg that is over."""
    return {
        "kind": "leg",
        "a": leg.a,
        "b": leg.b,
        "media": leg.media,
        "signalling": leg.signalling,
        "signalled": leg.signalled,
        "observed": leg.observed,
        "comparison": leg.comparison,
        "key_exchange": leg.key_exchange,
        "assessed": round(leg.assessed * 1000),
        "recording": leg.recording,
        "call": leg.call,
        "segments": list(leg.segments),
        "first": leg.first_ns // MS,
        "last": leg.last_ns // MS,
    }


def call_entry(call: Call) -> Entry:
    """Return what is kept of a call that is over, its ends as pseudonyms."""
    return {
        "kind": "call",
        "call": call.call,
        "caller": call.caller or None,
        "callee": call.callee or None,
        "recording": call.recording,
        "legs": len(call.legs),
        "observed": call.observed,
        "joined_by": list(call.joined_by),
        "first": call.first_ns // MS,
        "last": call.last_ns // MS,
    }


def transaction_entry(attempt: Attempt) -> Entry:
    """Return what is kept of a SIP transaction; who was asked for is a pseudonym that lasts as long as the sensor."""
    a, b = (attempt.key.a, attempt.key.b) if attempt.from_a else (attempt.key.b, attempt.key.a)
    return {
        "kind": "transaction",
        "outcome": attempt.kind,
        "status": attempt.status,
        "a": a,  # who asks
        "b": b,
        "account": f"account-{attempt.account:016x}",
        "last": attempt.ts_ns // MS,
    }


def finding_entry(finding: Finding, step: Step) -> Entry:
    """Return a step of a finding."""
    subject = finding.subject
    return {
        "kind": "finding",
        "step": step,
        "id": finding.id,
        "code": finding.code,
        "severity": finding.severity,
        "state": finding.state,
        "subject": {"kind": subject.kind, "a": subject.a, "b": subject.b, "name": subject.name},
        "segments": list(finding.segments),
        "evidence": list(finding.evidence) if step != "resolved" else [],  # it was said
        "controls": list(finding.controls),
        "count": finding.count,
        "waived_by": finding.waived_by,
        "first": finding.first_ns // MS,
        "last": finding.last_ns // MS,
        "since": finding.since_ns // MS or None,
    }


def endpoint_entry(endpoint: Endpoint) -> Entry:
    """Return what is kept of an endpoint."""
    return {
        "kind": "endpoint",
        "address": endpoint.address,
        "mac": endpoint.mac or None,
        "user_agent": endpoint.user_agent or None,
        "media": endpoint.media,
        "signalling": endpoint.signalling,
        "first": endpoint.first_ns // MS,
        "last": endpoint.last_ns // MS,
    }


def tls_server_entry(server: TlsServer) -> Entry:
    """Return what is kept of a server of TLS that carries SIP; names stay inside."""
    return {
        "kind": "tls-server",
        "address": server.address,
        "port": server.port,
        "basis": server.basis,
        "versions": list(server.versions),
        "ciphers": list(server.ciphers),
        "groups": list(server.groups),
        "handshakes": dict(server.handshakes),
        "resumed": server.resumed,
        "certificate": server.certificate,
        "chain": _chain(server.chain) if server.chain is not None and server.chain.readable else None,
        "first": server.first_ns // MS,
        "last": server.last_ns // MS,
    }


def _chain(chain: Chain) -> dict[str, Value]:
    weak: Iterable[str] = chain.weak
    return {
        "sha256": chain.fingerprint,
        "key": chain.key,
        "signature": chain.signature or None,
        "self_signed": chain.self_signed,
        "trust": chain.trust,
        "weak": list(weak),
        "not_before": chain.not_before_ns // MS,
        "not_after": chain.not_after_ns // MS,
    }
